/* train_reference.h - parameter gradients, batch norm in training and cross-entropy twice: as naive
 * loops in double (PyTorch's definitions, all images at once), and as docs/arithmetic.md has them,
 * one number at a time.
 */
#ifndef TRAIN_REFERENCE_H
#define TRAIN_REFERENCE_H

#include "canonical.h"

/* What a batch norm in training knows of a channel. */
typedef struct norm_statistics {
    double mean, squares, count;
} norm_statistics;

/* The gradients of a node's weight (K, C/groups, R, S; linear: K, features; batch_norm: 1, C) and
 * bias (1, K), to be added to; `v` is NULL where the node has none. Free both. */
typedef struct parameter_gradients {
    naive_tensor weight, bias;
} parameter_gradients;
parameter_gradients parameter_gradients_make(const built_node *node);
void parameter_gradients_free(parameter_gradients *g);

/* The naive loops. With `absolute`, no term is subtracted. */
void naive_params(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                  bool training, bool absolute, parameter_gradients *g);
naive_tensor naive_norm_training(const built_node *node, const naive_tensor *x);
naive_tensor naive_norm_training_backward(const built_node *node, const naive_tensor *x,
                                          const naive_tensor *dy);

/* The canonical arithmetic in a type. */
void canonical_params(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                      bool training, cs_dtype dtype, parameter_gradients *g);
norm_statistics canonical_statistics(const naive_tensor *x, int64_t c);
naive_tensor canonical_norm_training(const built_node *node, const naive_tensor *x, cs_dtype dtype);
naive_tensor canonical_norm_training_backward(const built_node *node, const naive_tensor *x,
                                              const naive_tensor *dy, cs_dtype dtype);

/* All values, gradients and parameter gradients of a network, as random_model_naive has the first
 * two; params[i] belongs to nodes[i]. */
typedef struct train_reference {
    naive_tensor values[RANDOM_NODES], gradients[RANDOM_NODES];
    parameter_gradients params[RANDOM_NODES];
} train_reference;
void train_reference_make(const random_model *net, const naive_tensor *input,
                          const naive_tensor *seed, bool training, bool canonical, cs_dtype dtype,
                          train_reference *out);
void train_reference_free(const random_model *net, train_reference *out);

#endif
