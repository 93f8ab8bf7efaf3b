/* model_draft.h - a model before it is written: its nodes and tensors as the manifest has them. */
#ifndef CS_MODEL_DRAFT_H
#define CS_MODEL_DRAFT_H

#include "cnnscope_types.h"

#define CS_DRAFT_PARAMETERS_MAX ((int64_t)1 << 30) /* 4 GiB of float32 */

typedef enum cs_draft_op {
    CS_OP_INPUT,
    CS_OP_CONV2D,
    CS_OP_BATCH_NORM,
    CS_OP_RELU,
    CS_OP_MAX_POOL2D,
    CS_OP_ADAPTIVE_AVG_POOL2D,
    CS_OP_FLATTEN,
    CS_OP_LINEAR,
    CS_OP_ADD,
    CS_OP_SHORTCUT_A,
} cs_draft_op;

/* What a tensor is in its node, and so how an untrained one begins. */
typedef enum cs_draft_role {
    CS_ROLE_WEIGHT,   /* of a convolution or linear layer: He-uniform */
    CS_ROLE_ONE,      /* batch norm's weight */
    CS_ROLE_ZERO,     /* biases, running means */
    CS_ROLE_VARIANCE, /* running variances: one, and never negative */
} cs_draft_role;

typedef struct cs_draft_tensor {
    char *name;
    cs_draft_role role;
    int dims;
    int64_t shape[4];
    int64_t count;
    uint64_t offset; /* in the binary */
    uint32_t crc32;
} cs_draft_tensor;

typedef struct cs_draft_node {
    char *name, *module;
    cs_draft_op op;
    int input[2];  /* nodes; -1 */
    int tensor[4]; /* tensors in the operation's order; -1 */
    int64_t out_channels, kernel, stride, padding, groups; /* the same for rows and columns */
    int64_t pad_channels;                                  /* shortcut_a: on each side */
} cs_draft_node;

typedef struct cs_draft {
    cs_draft_node *nodes;
    size_t node_count, node_capacity;
    cs_draft_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    int64_t parameters; /* elements of all tensors */
    cs_status status;   /* the first failure of an addition; later additions do nothing */
    cs_error *err;
} cs_draft;

/* Additions return the new node's index, or -1 once the draft has failed. Names are copied. */
int cs_draft_input(cs_draft *draft);
/* Operations without parameters. `other` is add's second input, -1 elsewhere. */
int cs_draft_simple(cs_draft *draft, cs_draft_op op, const char *name, const char *module,
                    int input, int other);
/* Square convolution without bias; tensor "<name>.weight" of shape [out, in/groups, k, k]. */
typedef struct cs_draft_conv {
    int64_t in, out, kernel, stride, padding, groups;
} cs_draft_conv;
int cs_draft_conv2d(cs_draft *draft, const char *name, int input, const cs_draft_conv *conv);
/* Tensors "<name>.weight", ".bias", ".running_mean", ".running_var" of `channels`. */
int cs_draft_batch_norm(cs_draft *draft, const char *name, int input, int64_t channels);
/* Tensors "<name>.weight" [out, in] and, with bias, "<name>.bias". */
int cs_draft_linear(cs_draft *draft, const char *name, int input, int64_t in, int64_t out,
                    bool bias);
/* The node itself, to set further attributes; only for a valid index. */
cs_draft_node *cs_draft_at(cs_draft *draft, int node);

/* "conv2d": the manifest's word. */
const char *cs_draft_op_name(cs_draft_op op);

void cs_draft_release(cs_draft *draft);

#endif
