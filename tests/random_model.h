/* random_model.h - small random residual networks: the same seed gives the same network. */
#ifndef RANDOM_MODEL_H
#define RANDOM_MODEL_H

#include "model_builder.h"
#include "naive.h"

#define RANDOM_NODES 64

/* A stem, two to four blocks (residual with each kind of shortcut and order of the addition, a
 * tensor consumed three or four times, inside modules and outside them, pools between them), a head
 * of pool, flatten and linear. */
typedef struct random_model {
    built_model model;
    built_node nodes[RANDOM_NODES];
    char names[RANDOM_NODES][48];
    char prefix[12]; /* of the module that new nodes are in: "" or "m7." */
    float *floats[4 * RANDOM_NODES];
    int float_count;
    int64_t channels[RANDOM_NODES]; /* of each node's output */
    cs_random random;
} random_model;

/* Makes the network; free it with random_model_free. It must not be moved. */
void random_model_make(random_model *net, uint64_t seed);
void random_model_free(random_model *net);

/* The tensors that nodes[i] reads, as below: 0 is the input, j + 1 what nodes[j] gives. Returns how
 * many. */
int random_model_inputs(const random_model *net, int i, int index[2]);

/* All nodes' values and gradients by the naive loops: values[0] is the input's, values[i + 1] that
 * of nodes[i]; likewise gradients. The caller frees each with naive_free. */
void random_model_naive(const random_model *net, const naive_tensor *input,
                        const naive_tensor *seed, naive_tensor *values, naive_tensor *gradients);

#endif
