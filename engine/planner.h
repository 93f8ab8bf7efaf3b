/* planner.h - what the files of the planner share: scratch of planning itself. */
#ifndef CS_PLANNER_H
#define CS_PLANNER_H

#include "gradient_groups.h"

/* Scratch of planning itself, one entry a node. */
typedef struct planner {
    const plan_request *request;
    const cs_model *model;
    run_plan *plan;
    int *consumers;     /* how many nodes read it */
    int *consumer;      /* the last of them */
    bool *absorbed;     /* computed by an earlier node's step */
    bool *needed;       /* its gradient, or that of something before it, is asked for */
    bool *passed;       /* it has a backward operation */
    int32_t *last_read; /* when its value is read for the last time */
    gradient_groups groups;
    /* Per slot of run_plan.gradient: */
    int *slot_tensor;   /* the node whose gradient it is part of */
    int *contributions; /* gradient contributions planned so far */
    int *gradient_root; /* the slot whose memory it shares */
    bool *lent;         /* another's gradient stands in its memory: it is only read */
    int32_t *gradient_begin, *gradient_end;
    int32_t last_time; /* of the last backward operation */
} planner;

static inline const layer *planner_layer(const planner *p, int node) {
    return plan_layer(p->model, node, p->request->engine, p->request->dtype, p->request->training);
}

/* A node's value, of one image. */
static inline size_t planner_image_bytes(const planner *p, int node) {
    const cs_shape s = p->request->shapes[node];
    return (size_t)(s.c * s.h * s.w) * cs_dtype_size(p->request->dtype);
}

/* Parameter `i` of a node (0 weight, 1 bias) is there and its gradient is asked for. */
static inline bool planner_wants(const planner *p, int node, int i) {
    const cs_node_info *info = &p->model->nodes[node];
    return i < info->parameters && planner_layer(p, node)->backward_params &&
           p->request->parameter[info->parameter[i]];
}

static inline bool planner_wants_any(const planner *p, int node) {
    return planner_wants(p, node, 0) || planner_wants(p, node, 1);
}

/* The backward pass through a node reads the node's input. */
static inline bool planner_keeps_input(const planner *p, int node) {
    const layer *kind = planner_layer(p, node);
    return kind->needs_input || (kind->weight_reads_input && planner_wants(p, node, 0));
}

/* plan_backward.c: makes the backward operations. Errors: CS_ERROR_ARGUMENT (a gradient is asked
 * for that the seed does not depend on). */
cs_status planner_make_backward(planner *p, cs_error *err);

/* plan_slice.c: which steps and operations run for a few images at a time. */
void planner_slice(planner *p);

/* Memory that lives from `begin` to `end`, as the slices have it: true where it is for a slice's
 * images alone; else it outlives them, or they it, and that is said. */
bool planner_in_slices(const planner *p, int32_t *begin, int32_t *end);

/* plan_fuse.c: convolutions do what follows them in place. */
void planner_fuse_backward(planner *p);

#endif
