/* tangent.c - forward-mode derivatives of a run: the tangent of every node in one direction.
 *
 * Each node's tangent is computed from its inputs' as the layer's file says, node by node in
 * execution order, at the gates, winners and values of the last forward. Memory is placed by
 * lifetime, apart from the plan's.
 */
#include "run_state.h"

#include <stdlib.h>
#include <string.h>

struct run_tangents {
    bool done;
    uint8_t *keep;  /* per node */
    size_t *offset; /* per node, in the arena */
    char *arena;
};

/* ------------------------------------------------------------------ telling -------------- */

static cs_status start(cs_run *run, cs_error *err) {
    if (run->tangents)
        return CS_OK;
    const size_t nodes = (size_t)run->model->node_count;
    run->tangents = calloc(1, sizeof *run->tangents);
    CS_CHECK(run->tangents, CS_ERROR_MEMORY, "not enough memory for tangents");
    run->tangents->keep = calloc(nodes, sizeof *run->tangents->keep);
    run->tangents->offset = calloc(nodes, sizeof *run->tangents->offset);
    if (!run->tangents->keep || !run->tangents->offset) {
        tangents_free(run);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "not enough memory for tangents");
    }
    return CS_OK;
}

cs_status cs_run_keep_tangent(cs_run *run, const char *name, cs_error *err) {
    int node;
    CS_TRY(cs_model_find_node(run->model, name, &node, NULL, 0, err));
    run_unprepare(run);
    CS_TRY(start(run, err));
    run->tangents->keep[node] = 1;
    run->keep_gates = true;
    return CS_OK;
}

void cs_run_keep_parameter_tangents(cs_run *run) {
    run_unprepare(run);
    run->parameter_tangents = true;
}

void tangents_watch(cs_run *run) {
    for (int i = 1; run->tangents && i < run->model->node_count; i++) {
        const cs_node_info *info = &run->model->nodes[i];
        const layer *kind = run_kind(run, i);
        if (kind->needs_output)
            run->watch[i] |= WATCH_ACTIVATION;
        if (kind->statistics || (run->parameter_tangents && info->parameters > 0))
            run->watch[info->input[0]] |= WATCH_ACTIVATION;
    }
}

void tangents_free(cs_run *run) {
    if (!run->tangents)
        return;
    free(run->tangents->keep);
    free(run->tangents->offset);
    free(run->tangents->arena);
    free(run->tangents);
    run->tangents = NULL;
}

/* ------------------------------------------------------------------ preparing ------------ */

void tangents_unprepare(cs_run *run) {
    if (!run->tangents)
        return;
    free(run->tangents->arena);
    run->tangents->arena = NULL;
    run->tangents->done = false;
}

cs_status tangents_prepare(cs_run *run, cs_error *err) {
    run_tangents *t = run->tangents;
    if (!t)
        return CS_OK;
    const int count = run->model->node_count;
    plan_block *blocks = calloc((size_t)count, sizeof *blocks);
    CS_CHECK(blocks, CS_ERROR_MEMORY, "not enough memory for the plan of the tangents");
    for (int i = 0; i < count; i++) {
        const cs_shape s = run->shapes[i];
        blocks[i] = (plan_block){
            cs_align64((size_t)(run->max_batch * s.c * s.h * s.w) * cs_dtype_size(run->dtype)),
            0,
            i,
            t->keep[i] ? PLAN_END : i,
            CS_MEMORY_VALUE,
            i};
        for (int k = 0; k < run->model->nodes[i].inputs; k++) {
            plan_block *input = &blocks[run->model->nodes[i].input[k]];
            input->end = input->end > i ? input->end : i;
        }
    }
    size_t total = 0;
    cs_status status = memory_place(blocks, (size_t)count, &total, err);
    for (int i = 0; i < count; i++)
        t->offset[i] = blocks[i].offset;
    free(blocks);
    CS_TRY(status);
    t->arena = aligned_alloc(64, cs_align64(total + 1));
    CS_CHECK(t->arena, CS_ERROR_MEMORY,
             "not enough memory for the tangents: %zu bytes; use a smaller batch or keep less",
             total);
    return CS_OK;
}

/* ------------------------------------------------------------------ the pass ------------- */

static void *tangent_at(const cs_run *run, int node) {
    return run->tangents->arena + run->tangents->offset[node];
}

cs_status run_check_parameter(const cs_run *run, const cs_node_info *node, int i,
                              const cs_tensor *t, const char *what, cs_error *err) {
    const cs_tensor_info *info = &run->model->tensors[node->parameter[i]];
    int64_t want[4] = {1, 1, 1, 1};
    for (int k = 0; k < info->dims; k++)
        want[info->dims == 1 ? 1 : k] = info->shape[k];
    if (i >= 2)
        return cs_error_set(err, CS_ERROR_ARGUMENT, info->name, -1,
                            "%s is a running statistic and has no %s", info->name, what);
    if (t->dtype != run->dtype || t->n != want[0] || t->c != want[1] || t->h != want[2] ||
        t->w != want[3])
        return cs_error_set(err, CS_ERROR_ARGUMENT, info->name, -1,
                            "the %s of %s has shape [%lld, %lld, %lld, %lld] in %s; [%lld, "
                            "%lld, %lld, %lld] in %s was expected",
                            what, info->name, (long long)t->n, (long long)t->c, (long long)t->h,
                            (long long)t->w, cs_dtype_name(t->dtype), (long long)want[0],
                            (long long)want[1], (long long)want[2], (long long)want[3],
                            cs_dtype_name(run->dtype));
    return CS_OK;
}

static cs_status check_direction(const cs_run *run, const cs_direction *direction, cs_error *err) {
    if (direction->input)
        CS_TRY(run_check_shape(run, 0, direction->input, run->batch, "input's tangent", err));
    for (int i = 1; direction->parameters && i < run->model->node_count; i++) {
        const cs_node_info *node = &run->model->nodes[i];
        for (int k = 0; k < node->parameters; k++) {
            const cs_tensor *t = &direction->parameters[node->parameter[k]];
            CS_CHECK(!t->data || run->parameter_tangents, CS_ERROR_STATE,
                     "call cs_run_keep_parameter_tangents before a direction has any");
            if (t->data)
                CS_TRY(run_check_parameter(run, node, k, t, "tangent", err));
        }
    }
    return CS_OK;
}

/* Adds what the parameters' tangents give. */
static void add_parameters(cs_run *run, int node, const cs_tensor *parameters) {
    const cs_node_info *info = &run->model->nodes[node];
    const layer *kind = run_kind(run, node);
    layer_call call = run_call(run, node, PASS_FORWARD);
    bool any = false;
    for (int i = 0; i < info->parameters && i < 2; i++) {
        call.parameter_tangent[i] = parameters[info->parameter[i]].data;
        any |= call.parameter_tangent[i] != NULL;
    }
    if (!any)
        return;
    call.tangent = true;
    call.input[0] = run->read[node][0];
    call.output = tangent_at(run, node);
    run_layer(run, node, kind->tangent_parameters, &call);
}

/* Batch norm in training: its Jacobian is symmetric, so the tangent is what backward makes of
 * it. */
static void run_symmetric(cs_run *run, int node, layer_call call) {
    const layer *kind = run_kind(run, node);
    call.doutput = call.input[0];
    call.dinput[0] = call.output;
    call.input[0] = run->read[node][0];
    if (run_backward_params(run, node, &call) != 0)
        run_note_bad(run, node);
    run_layer(run, node, kind->backward, &call);
}

static void run_node(cs_run *run, int node, const cs_direction *direction) {
    const cs_node_info *info = &run->model->nodes[node];
    const layer *kind = run_kind(run, node);
    layer_call call = run_call(run, node, PASS_FORWARD);
    call.tangent = true;
    for (int k = 0; k < info->inputs; k++)
        call.input[k] = tangent_at(run, info->input[k]);
    call.output = tangent_at(run, node);
    call.value = kind->needs_output ? run_at(run, run->plan.output[node]) : NULL;
    if (kind->statistics)
        run_symmetric(run, node, call);
    else
        run_layer(run, node, kind->tangent, &call);
    if (direction->parameters && kind->tangent_parameters)
        add_parameters(run, node, direction->parameters);
}

cs_status cs_run_tangent(cs_run *run, const cs_direction *direction, cs_error *err) {
    CS_CHECK(run->tangents, CS_ERROR_STATE,
             "no tangent was asked for before cs_run_prepare: call cs_run_keep_tangent first");
    CS_CHECK(run->prepared && run->batch > 0, CS_ERROR_STATE,
             "call cs_run_forward before cs_run_tangent");
    CS_TRY(check_direction(run, direction, err));
    const cs_shape s = run->shapes[0];
    void *first = tangent_at(run, 0);
    if (direction->input) {
        layer_call call = run_call(run, 0, PASS_FORWARD);
        run_widen(run, direction->input, first);
        call.input[0] = call.output = first; /* stored as an input is: v + (+0) */
        run_layer(run, 0, layer_find("input", run->engine, run->dtype)->tangent, &call);
    } else {
        memset(first, 0, (size_t)(run->batch * s.c * s.h * s.w) * cs_dtype_size(run->dtype));
    }
    for (int i = 1; i < run->model->node_count; i++)
        run_node(run, i, direction);
    run->tangents->done = true;
    return CS_OK;
}

cs_status cs_run_tangent_of(cs_run *run, const char *name, cs_tensor *tangent, cs_error *err) {
    int node;
    CS_TRY(cs_model_find_node(run->model, name, &node, NULL, 0, err));
    CS_CHECK(run->tangents && run->tangents->keep[node], CS_ERROR_ARGUMENT,
             "the tangent of \"%s\" was not kept: call cs_run_keep_tangent first", name);
    CS_CHECK(run->prepared && run->tangents->done, CS_ERROR_STATE,
             "there is no tangent of \"%s\" before cs_run_tangent", name);
    const cs_shape s = run->shapes[node];
    *tangent = (cs_tensor){run->dtype, run->batch, s.c, s.h, s.w, tangent_at(run, node)};
    return CS_OK;
}
