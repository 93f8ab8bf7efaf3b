/* canonical.h - the canonical arithmetic of docs/arithmetic.md, one number at a time.
 *
 * Written from that page, not from the engine. Values are doubles that hold numbers of the run's
 * type exactly; every operation rounds as the page says. The direct engine must give these bits.
 */
#ifndef CANONICAL_H
#define CANONICAL_H

#include "naive.h"
#include "random_model.h"

naive_tensor canonical_forward(const built_node *node, const naive_tensor *const in[2],
                               cs_dtype dtype);

/* `y` is the node's output. The contribution to input `which`, before it is added to others. */
naive_tensor canonical_backward(const built_node *node, const naive_tensor *const in[2], int which,
                                const naive_tensor *y, const naive_tensor *dy, cs_dtype dtype);

/* The gradient of a tensor (0: the input, i + 1: that of nodes[i]) from its contributions, in their
 * canonical order: parts[i][k] is that of nodes[i]'s input k. They are freed or become the sum. */
naive_tensor canonical_sum(const random_model *net, int tensor, naive_tensor (*parts)[2],
                           cs_dtype dtype);

/* As random_model_naive, in the canonical order of contributions. */
void canonical_network(const random_model *net, const naive_tensor *input, const naive_tensor *seed,
                       cs_dtype dtype, naive_tensor *values, naive_tensor *gradients);

/* Fails the test at the first [n, c, h, w] whose bits differ (each NaN as the same). */
void canonical_require(const cs_tensor *got, const naive_tensor *wanted, const char *what);

#endif
