/* naive.h - every layer as plain loops in double: the truth on small shapes.
 *
 * Written from PyTorch's definitions, not from the engine: N, C, H, W order, scatter instead of
 * gather in the backward passes, no shared code.
 */
#ifndef NAIVE_H
#define NAIVE_H

#include "model_builder.h"

/* N x C x H x W doubles in that order. */
typedef struct naive_tensor {
    int64_t n, c, h, w;
    double *v;
} naive_tensor;

/* Zeroed; free with naive_free. */
naive_tensor naive_make(int64_t n, int64_t c, int64_t h, int64_t w);
void naive_free(naive_tensor *t);
double *naive_at(const naive_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w);

/* A tensor of the engine as doubles, and the absolute values of a tensor. */
naive_tensor naive_from(const cs_tensor *t);
naive_tensor naive_absolute(const naive_tensor *t);

/* The node's output for its inputs. With `absolute`, parameters are taken by their absolute values
 * and no term is subtracted: from |x| that gives the sum of magnitudes that bounds the rounding. */
naive_tensor naive_forward(const built_node *node, const naive_tensor *const in[2], bool absolute);

/* The gradient with respect to input `which` (0 or 1), from that of the output. The inputs decide
 * gates and winners, so they are the signed ones with `absolute` too. */
naive_tensor naive_backward(const built_node *node, const naive_tensor *const in[2], int which,
                            const naive_tensor *dy, bool absolute);

/* The tangent of the output for tangents u of the inputs, and its part for tangents of weight and
 * bias (gamma and beta) in PyTorch's layout, at the inputs' values. */
naive_tensor naive_tangent(const built_node *node, const naive_tensor *const in[2],
                           const naive_tensor *const u[2], bool absolute);
naive_tensor naive_parameter_tangent(const built_node *node, const naive_tensor *x,
                                     const float *weight, const float *bias, bool absolute);

/* The number of terms that one result sums, at most: forward, and in the gradient. */
int64_t naive_terms(const built_node *node, const naive_tensor *in, bool backward);

#endif
