/* run_state.h - what a run is inside the engine. */
#ifndef CS_RUN_STATE_H
#define CS_RUN_STATE_H

#include "gates.h"
#include "hooks.h"
#include "model.h"
#include "params.h"
#include "plan.h"
#include "pool.h"

typedef struct run_tangents run_tangents;

struct cs_run {
    cs_model *model;
    cs_run_options options; /* as it was created */
    cs_params *params;
    cs_dtype dtype;
    layer_engine engine;
    cs_isa isa;
    layer_kernel kernel;
    int64_t max_batch;
    cs_shape *shapes;
    cs_pool *pool;
    const void *kernels;

    uint8_t *watch;        /* WATCH_ bits per node */
    uint8_t *hooked_watch; /* with those of the hooks */
    hook_list hooks;
    int seed;
    bool keep_gates;
    cs_gates *imposed; /* the run's own copy, or NULL */
    bool *parameter;   /* per tensor: its gradient is asked for */
    bool training;
    bool single_nodes; /* nodes may be run one by one */
    bool parameter_tangents;
    run_tangents *tangents; /* NULL where none is kept */

    bool prepared;
    run_plan plan;
    char *arena;
    size_t arena_size;
    const void **packs[2];   /* per pass, per node */
    uint64_t packed_version; /* of the params that the packs were made from */
    int bad_tensor;          /* the first parameter tensor that holds NaN or infinity, or -1 */
    void *passing;           /* memory for the pack of one step's first node, or NULL where all
                              * packs are kept */
    size_t passing_size;
    unsigned *part_flags; /* per thread */
    int64_t *part_ties;   /* per thread */

    const void *(*read)[2]; /* per node: where its inputs stand, as forward-pre hooks left them */
    const void **doutput;   /* per node: its gradient, as backward-pre hooks left it */

    int64_t batch; /* of the last forward; 0 before the first */
    bool backward_done;
    int bad_node; /* first in execution order that met NaN or infinity, or -1 */
};

/* A node's value or gradient in the arena. */
static inline void *run_at(const cs_run *run, size_t offset) {
    return offset == PLAN_NOWHERE ? NULL : run->arena + offset;
}

/* A node's gates or winners: the imposed ones, else where forward saves them; NULL for none. */
static inline void *run_saved(const cs_run *run, int node) {
    void *imposed = run->imposed ? gates_data(run->imposed, node) : NULL;
    return imposed ? imposed : run_at(run, run->plan.saved[node]);
}

/* Where a ReLU's gates are written (or stand, if imposed): saved, or for skipping alone; or
 * NULL. */
static inline void *run_gates(const cs_run *run, int node) {
    void *saved = run_saved(run, node);
    return saved ? saved : run_at(run, run->plan.mask[node]);
}

/* Images from `first` on in memory of a node's values or gradients, or of a ReLU's gates; NULL
 * stays NULL. `sliced`: it is for one slice of the batch, which begins there (run_plan). */
static inline void *run_values_from(const cs_run *run, int node, const void *memory, bool sliced,
                                    int64_t first) {
    const cs_shape s = run->shapes[node];
    const size_t image = (size_t)(s.c * s.h * s.w) * cs_dtype_size(run->dtype);
    return memory ? (char *)memory + (sliced ? 0 : (size_t)first * image) : NULL;
}

static inline void *run_gates_from(const cs_run *run, int node, const void *memory, int64_t first) {
    const cs_shape s = run->shapes[node];
    const size_t image = (size_t)(s.h * s.w) * layer_gate_words(s.c) * sizeof(uint16_t);
    return memory ? (char *)memory + (run->plan.sliced_mask[node] ? 0 : (size_t)first * image)
                  : NULL;
}

/* The gates by which readers of a ReLU skip its zeros, or NULL. */
static inline void *run_mask(const cs_run *run, int node) {
    return run->plan.mask[node] == PLAN_NOWHERE ? NULL : run_gates(run, node);
}

/* run.c: forgets the plan and its memory; CS_ERROR_STATE where a hook asks. */
void run_unprepare(cs_run *run);
cs_status run_may_be_told(const cs_run *run, cs_error *err);

/* run.c: the pack of a step's first node, where it is made anew in each forward. */
void run_pack_passing(cs_run *run, int node);

/* execute.c: stores values of a node's shape as v + (+0); true where one is NaN or infinite. */
bool execute_store(cs_run *run, int node, const void *from, void *to);

/* hooks.c: calls the hooks of the forward pass up to a moment (hook_event.key); those around the
 * backward pass of one call. */
cs_status hooks_forward(cs_run *run, int key, cs_error *err);
cs_status hooks_open_backward(cs_run *run, hook_call *call, cs_error *err);
cs_status hooks_close_backward(cs_run *run, hook_call *call, cs_error *err);

/* train.c: batch norm in training needs more than one value a channel. */
cs_status train_check_batch(const cs_run *run, int64_t batch, cs_error *err);

/* Zeroes the gradients of parameters. */
void train_zero(cs_run *run);
/* The layer that computes a node of the run. */
static inline const layer *run_kind(const cs_run *run, int node) {
    return plan_layer(run->model, node, run->engine, run->dtype, run->training);
}

/* Runs a layer's function on all parts; returns the stages that met NaN or infinity, and notes
 * `node` as the first bad one if there are any. */
unsigned run_layer(cs_run *run, int node, layer_function function, const layer_call *call);

/* A node met NaN or infinity. */
void run_note_bad(cs_run *run, int node);

/* The gradients of a node's parameters (call->dparameter), in turns of as many images as the layer
 * says; returns the stages that met NaN or infinity. */
unsigned run_backward_params(cs_run *run, int node, const layer_call *call);

/* A call for a node, without values. */
layer_call run_call(const cs_run *run, int node, layer_pass pass);

/* Copies values of either type into memory of the run's type. */
void run_widen(const cs_run *run, const cs_tensor *from, void *to);

/* Errors: CS_ERROR_ARGUMENT unless `t` has the shape of a node's output for `batch` images, and
 * float32 or the run's type. */
cs_status run_check_shape(const cs_run *run, int node, const cs_tensor *t, int64_t batch,
                          const char *what, cs_error *err);

/* Errors: CS_ERROR_ARGUMENT unless `t` (a tangent, a gradient) is of the run's type and shaped as
 * cs_run_parameter_gradient's of parameter i of a node. */
cs_status run_check_parameter(const cs_run *run, const cs_node_info *node, int i,
                              const cs_tensor *t, const char *what, cs_error *err);

/* Watches what the tangents need, before the plan is made; then their memory; and its end. */
void tangents_watch(cs_run *run);
cs_status tangents_prepare(cs_run *run, cs_error *err);
void tangents_unprepare(cs_run *run);
void tangents_free(cs_run *run);

#endif
