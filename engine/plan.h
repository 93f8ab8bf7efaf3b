/* plan.h - how a run does its work: steps, backward operations, and where everything lies.
 *
 * Time: the input is stored at 0, step i runs at i + 1, the seed is stored behind the last step,
 * and backward operation j runs after it. A value's memory is used again once its last reader is
 * done, unless somebody watches it.
 */
#ifndef CS_PLAN_H
#define CS_PLAN_H

#include "hooks.h"
#include "model.h"

#define PLAN_NOWHERE SIZE_MAX  /* no memory: not stored */
#define PLAN_END     INT32_MAX /* lives until the run's next forward */

/* What is watched of a node: values that are kept, and values that hooks want to find in memory at
 * one moment. Each ends the node's step. */
enum {
    WATCH_ACTIVATION = 1,
    WATCH_GRADIENT = 2,
    WATCH_STORED = 4,
    WATCH_STORED_GRADIENT = 8,
};

/* One forward step: a node, and the nodes behind it that its epilogue computes (-1: none). */
typedef struct plan_step {
    int first, norm, add, relu;
    int last;       /* the node whose value is stored */
    int residual;   /* the other operand of `add` */
    double seconds; /* it took in the last forward */
} plan_step;

/* One backward operation. Slots are indices of run_plan.gradient. */
typedef enum plan_backward_kind {
    BACKWARD_NODE,  /* the gradient of a node's output to those of its inputs */
    BACKWARD_OPEN,  /* a hooked call's output has its gradient */
    BACKWARD_CLOSE, /* its inputs have theirs */
    BACKWARD_MERGE, /* slot[0] is added to slot[1]; node: whose gradient they are */
} plan_backward_kind;

typedef struct plan_backward {
    plan_backward_kind kind;
    int node;
    bool wanted[2]; /* input's gradient is asked for */
    bool add[2];    /* it is added to earlier contributions */
    bool params;    /* gradients of its parameters are asked for */
    int slot[2];    /* where it goes */
    int relu, norm; /* nodes behind it whose backward pass its epilogue does, or -1 */
    int mask;       /* the ReLU whose closed gates are zeros of the output's gradient, or -1 */
    int32_t time;
    hook_call *call;
    double seconds[2]; /* what its parameters' gradients, and its inputs', took the last time */
} plan_backward;

/* A stretch of memory during a stretch of time. */
typedef struct plan_block {
    size_t size, offset;
    int32_t begin, end; /* both inclusive */
    cs_memory_kind kind;
    int node; /* whose value or gradient it is; a parameter's gradient: the tensor; else -1 */
} plan_block;

/* What the plan is made for. */
typedef struct plan_request {
    const cs_model *model;
    const cs_shape *shapes;
    const uint8_t *watch;  /* per node */
    const bool *parameter; /* per tensor: its gradient is asked for */
    bool training;
    const hook_list *hooks;
    layer_engine engine;
    cs_dtype dtype;
    int64_t batch;
    int threads;
    int seed;
    bool keep_gates;   /* of all nodes that have any, whether a gradient passes them or not */
    bool single_nodes; /* scratch for each pass of each node */
    bool imposed;      /* gates are given: each relu is a step of its own, and nothing is saved */
} plan_request;

typedef struct run_plan {
    plan_step *steps;
    int step_count;
    plan_backward *backward;
    int backward_count;
    /* The first `sliced` steps, and the backward operations from `sliced_backward` on, run for
     * `slice` images at a time, so that these stay in the caches; memory that no others use is for
     * so many images (sliced_value, sliced_mask: per node; sliced_gradient: as `gradient`). */
    int sliced, sliced_backward;
    int64_t slice;
    bool *sliced_value, *sliced_mask, *sliced_gradient;
    /* Per node: where its value, its gates or winners, and its own output lie in the arena (the
     * value, unless a hook may replace that and the backward pass needs the output). */
    size_t *value, *saved, *output;
    /* Per node: the gates of a ReLU whose readers skip zeros by them: `saved` where that is there
     * anyway. */
    size_t *mask;
    size_t *gradient;  /* per node, then per group of contributions that has memory of its own */
    size_t *parameter; /* per tensor: its gradient, as cs_run_parameter_gradient has it */
    size_t zeros, zeros_size;
    size_t scratch, scratch_stride; /* one stride a thread */
    size_t shared;                  /* of the threads together: gradients of parameters */
    size_t total;
    plan_block *blocks; /* all of the above */
    int block_count;
} run_plan;

/* The layer that computes a node. */
static inline const layer *plan_layer(const cs_model *model, int node, layer_engine engine,
                                      cs_dtype dtype, bool training) {
    if (model->planted[dtype] && node == model->planted_node)
        return model->planted[dtype];
    const layer *kind = layer_find(model->nodes[node].op, engine, dtype);
    return training && kind->training ? kind->training : kind;
}

cs_status plan_create(const plan_request *request, run_plan *plan, cs_error *err);
void plan_free(run_plan *plan);

/* Greedy placement by size (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
 * Inference", 2020): fills every block's offset; returns the bytes needed in all. */
cs_status memory_place(plan_block *blocks, size_t count, size_t *total, cs_error *err);

#endif
