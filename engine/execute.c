/* execute.c - forward and backward: the steps in order, each on all threads. Nothing is allocated.
 *
 * A watched node (kept or hooked) ends its step in the plan, so that its value stands in memory
 * between two steps: that is where a hook is called.
 */
#include "run_state.h"

#include <string.h>

/* One layer call on all parts. */
typedef struct execute_job {
    cs_run *run;
    layer_function function;
    layer_call call;
} execute_job;

static void execute_part(void *argument, size_t part, size_t parts) {
    const execute_job *job = argument;
    cs_run *run = job->run;
    layer_call call = job->call;
    call.scratch = run->arena + run->plan.scratch + part * run->plan.scratch_stride;
    call.ties = &run->part_ties[part];
    run->part_flags[part] = job->function(&call, part, parts);
}

/* Runs the job; returns the stages that met NaN or infinity. */
static unsigned execute(execute_job *job) {
    unsigned flags = 0;
    pool_run(job->run->pool, execute_part, job);
    for (int i = 0; i < pool_threads(job->run->pool); i++)
        flags |= job->run->part_flags[i];
    return flags;
}

/* ------------------------------------------------------------------ forward -------------- */

void run_note_bad(cs_run *run, int node) {
    if (run->bad_node < 0 || node < run->bad_node)
        run->bad_node = node;
}

unsigned run_layer(cs_run *run, int node, layer_function function, const layer_call *call) {
    execute_job job = {run, function, *call};
    const unsigned flags = execute(&job);
    if (flags != 0)
        run_note_bad(run, node);
    return flags;
}

layer_call run_call(const cs_run *run, int node, layer_pass pass) {
    const cs_node_info *info = &run->model->nodes[node];
    layer_call call = {
        .attributes = &info->attributes,
        .batch = run->batch,
        .in = run->shapes[info->inputs > 0 ? info->input[0] : node],
        .out = run->shapes[node],
        .pack = run->packs[pass][node],
        .kernels = run->kernels,
        .kernel = run->kernel,
        .saved = run_saved(run, node),
        .zeros = run->arena + run->plan.zeros,
        .shared = run_at(run, run->plan.shared),
    };
    for (int i = 0; i < info->parameters; i++)
        call.parameter[i] = params_values(run->params, info->parameter[i]);
    return call;
}

/* Images of a batch. */
typedef struct image_range {
    int64_t first, count;
} image_range;

/* A node's values, or its gradient, in a call for some of the images. */
static void *value_of(const cs_run *run, int node, const void *memory, image_range images) {
    return run_values_from(run, node, memory, run->plan.sliced_value[node], images.first);
}

/* A call for some of the images, without values. */
static layer_call call_for(const cs_run *run, int node, layer_pass pass, image_range images) {
    layer_call call = run_call(run, node, pass);
    const layer *kind = run_kind(run, node);
    call.batch = images.count;
    if (call.saved && images.first > 0)
        call.saved =
            (char *)call.saved + kind->saved_size(call.attributes, call.in, call.out, images.first);
    return call;
}

static void run_step(cs_run *run, const plan_step *step, image_range images) {
    const cs_node_info *info = &run->model->nodes[step->first];
    const layer *kind = run_kind(run, step->first);
    const bool imposed = run->imposed && kind->forward_imposed;
    if (run->passing)
        run_pack_passing(run, step->first);
    execute_job job = {run, kind->statistics, call_for(run, step->first, PASS_FORWARD, images)};
    layer_call *call = &job.call;
    for (int k = 0; k < info->inputs; k++)
        call->input[k] = value_of(run, info->input[k], run->read[step->first][k], images);
    call->output = value_of(run, step->last, run_at(run, run->plan.value[step->last]), images);
    if (step->norm >= 0)
        call->epilogue.scale_shift = run->packs[PASS_FORWARD][step->norm];
    if (step->add >= 0)
        call->epilogue.residual = value_of(
            run, step->residual,
            run->read[step->add][run->model->nodes[step->add].input[0] == step->residual ? 0 : 1],
            images);
    call->epilogue.relu = step->relu >= 0;
    if (step->relu >= 0)
        call->epilogue.gates =
            run_gates_from(run, step->relu, run_gates(run, step->relu), images.first);
    else if (run->plan.mask[step->first] != PLAN_NOWHERE)
        call->saved = run_gates_from(run, step->first, run_gates(run, step->first), images.first);
    /* 0 times infinity is not 0: nothing is skipped once a value or a weight is not finite. */
    if (info->inputs > 0 && run->bad_node < 0 && run->bad_tensor < 0)
        call->nonzero =
            run_gates_from(run, info->input[0], run_mask(run, info->input[0]), images.first);
    if (kind->statistics)
        (void)execute(&job);
    job.function = imposed ? kind->forward_imposed : kind->forward;
    const unsigned flags = execute(&job);
    if (flags & LAYER_OWN)
        run_note_bad(run, step->first);
    if (flags & LAYER_SCALE)
        run_note_bad(run, step->norm);
    if (flags & LAYER_ADD)
        run_note_bad(run, step->add);
}

/* Copies values of either type into memory of the run's type. */
void run_widen(const cs_run *run, const cs_tensor *from, void *to) {
    const size_t count = (size_t)cs_tensor_count(from);
    if (from->dtype == run->dtype)
        memcpy(to, from->data, count * cs_dtype_size(run->dtype));
    else
        for (size_t i = 0; i < count; i++)
            ((double *)to)[i] = (double)((const float *)from->data)[i];
}

cs_status run_check_shape(const cs_run *run, int node, const cs_tensor *t, int64_t batch,
                          const char *what, cs_error *err) {
    const cs_shape s = run->shapes[node];
    CS_CHECK(t && t->data && (t->dtype == CS_F32 || t->dtype == run->dtype), CS_ERROR_ARGUMENT,
             "the %s must be float32 or of the run's type (%s)", what, cs_dtype_name(run->dtype));
    CS_CHECK(t->n == batch && t->c == s.c && t->h == s.h && t->w == s.w, CS_ERROR_ARGUMENT,
             "the %s has shape [%lld, %lld, %lld, %lld]; [%lld, %lld, %lld, %lld] was expected",
             what, (long long)t->n, (long long)t->c, (long long)t->h, (long long)t->w,
             (long long)batch, (long long)s.c, (long long)s.h, (long long)s.w);
    return CS_OK;
}

bool execute_store(cs_run *run, int node, const void *from, void *to) {
    execute_job job = {run, layer_find("input", run->engine, run->dtype)->forward, {0}};
    job.call.in = job.call.out = run->shapes[node];
    job.call.batch = run->batch;
    job.call.input[0] = from;
    job.call.output = to;
    return execute(&job) != 0;
}

/* The slice that begins with image `first`. */
static image_range slice_at(const cs_run *run, int64_t first) {
    const int64_t left = run->batch - first;
    return (image_range){first, left < run->plan.slice ? left : run->plan.slice};
}

/* The steps that run for a few images at a time; then there are no hooks. */
static void run_slices(cs_run *run) {
    for (int i = 0; i < run->plan.sliced; i++)
        run->plan.steps[i].seconds = 0;
    for (int64_t n = 0; n < run->batch && run->plan.sliced > 0; n += run->plan.slice)
        for (int i = 0; i < run->plan.sliced; i++) {
            const double begin = cs_seconds();
            run_step(run, &run->plan.steps[i], slice_at(run, n));
            run->plan.steps[i].seconds += cs_seconds() - begin;
        }
}

static cs_status run_steps(cs_run *run, cs_error *err) {
    for (int i = 0; i < run->model->node_count; i++)
        for (int k = 0; k < run->model->nodes[i].inputs; k++)
            run->read[i][k] = run_at(run, run->plan.value[run->model->nodes[i].input[k]]);
    run->hooks.cursor = 0;
    CS_TRY(hooks_forward(run, 1, err));
    run_slices(run);
    for (int i = run->plan.sliced; i < run->plan.step_count; i++) {
        plan_step *step = &run->plan.steps[i];
        CS_TRY(hooks_forward(run, 2 * step->last, err));
        const double begin = cs_seconds();
        run_step(run, step, (image_range){0, run->batch});
        if (run->plan.output[step->last] != run->plan.value[step->last])
            (void)execute_store(run, step->last, run_at(run, run->plan.value[step->last]),
                                run_at(run, run->plan.output[step->last]));
        step->seconds = cs_seconds() - begin;
        CS_TRY(hooks_forward(run, 2 * step->last + 1, err));
    }
    return CS_OK;
}

cs_status cs_run_forward(cs_run *run, const cs_tensor *input, cs_error *err) {
    CS_TRY(run_may_be_told(run, err));
    CS_CHECK(run->prepared, CS_ERROR_STATE, "call cs_run_prepare before cs_run_forward");
    CS_CHECK(run->packed_version == params_version(run->params), CS_ERROR_STATE,
             "parameters were changed: call cs_run_prepare before cs_run_forward");
    CS_CHECK(input && input->n >= 1 && input->n <= run->max_batch, CS_ERROR_ARGUMENT,
             "a batch of %lld images; this run was created for 1 to %lld",
             (long long)(input ? input->n : 0), (long long)run->max_batch);
    CS_TRY(run_check_shape(run, 0, input, input->n, "input", err));
    CS_CHECK(!run->imposed || run->imposed->batch == input->n, CS_ERROR_ARGUMENT,
             "a batch of %lld images; the imposed gates are those of %lld", (long long)input->n,
             (long long)(run->imposed ? run->imposed->batch : 0));
    CS_TRY(train_check_batch(run, input->n, err));
    run->batch = input->n;
    run->backward_done = false;
    run->bad_node = -1;
    memset(run->part_ties, 0, (size_t)pool_threads(run->pool) * sizeof *run->part_ties);

    void *stored = run_at(run, run->plan.value[0]);
    run_widen(run, input, stored);
    if (execute_store(run, 0, stored, stored))
        run_note_bad(run, 0);
    const cs_status status = run_steps(run, err);
    if (status != CS_OK)
        run->batch = 0; /* a hook ended the pass: there is nothing to look at */
    return status;
}

/* ------------------------------------------------------------------ backward ------------- */

unsigned run_backward_params(cs_run *run, int node, const layer_call *given) {
    const layer *kind = run_kind(run, node);
    execute_job job = {run, kind->backward_params, *given};
    layer_call *call = &job.call;
    const int64_t turn = kind->params_images
                             ? kind->params_images(call->attributes, call->in, call->out)
                             : call->batch;
    unsigned flags = 0;
    for (int64_t n = 0; n < call->batch; n += turn) {
        call->images[0] = n;
        call->images[1] = n + turn < call->batch ? n + turn : call->batch;
        if (kind->prepare_params && call->dparameter[0]) {
            job.function = kind->prepare_params;
            flags |= execute(&job);
        }
        job.function = kind->backward_params;
        flags |= execute(&job);
    }
    return flags;
}

static void *gradient_of(const cs_run *run, int slot, int node, const void *memory,
                         image_range images) {
    return run_values_from(run, node, memory, run->plan.sliced_gradient[slot], images.first);
}

/* Returns the node that met NaN or infinity, or -1. */
static int run_backward_operation(cs_run *run, plan_backward *op, image_range images) {
    const cs_node_info *info = &run->model->nodes[op->node];
    const layer *kind = run_kind(run, op->node);
    execute_job job = {run, kind->backward, call_for(run, op->node, PASS_BACKWARD, images)};
    layer_call *call = &job.call;
    unsigned flags = 0;
    if (info->inputs > 0)
        call->input[0] = value_of(run, info->input[0], run->read[op->node][0], images);
    call->output = value_of(run, op->node, run_at(run, run->plan.output[op->node]), images);
    call->doutput = gradient_of(run, op->node, op->node, run->doutput[op->node], images);
    for (int k = 0; k < info->inputs; k++) {
        void *to = op->wanted[k] ? run_at(run, run->plan.gradient[op->slot[k]]) : NULL;
        call->dinput[k] = gradient_of(run, op->slot[k], info->input[k], to, images);
        call->add[k] = op->add[k];
    }
    if (op->relu >= 0)
        call->epilogue.gates =
            run_gates_from(run, op->relu, run_saved(run, op->relu), images.first);
    if (op->norm >= 0)
        call->epilogue.scale_shift = run->packs[PASS_FORWARD][op->norm];
    if (op->mask >= 0 && run->bad_node < 0 && run->bad_tensor < 0)
        call->nonzero = run_gates_from(run, op->mask, run_saved(run, op->mask), images.first);
    for (int i = 0; i < info->parameters && i < 2; i++)
        call->dparameter[i] = run_at(run, run->plan.parameter[info->parameter[i]]);
    const double begin = cs_seconds();
    if (op->params || kind->statistics)
        flags |= run_backward_params(run, op->node, call);
    const double middle = cs_seconds();
    if (op->wanted[0] || op->wanted[1])
        flags |= execute(&job);
    op->seconds[0] += middle - begin;
    op->seconds[1] += cs_seconds() - middle;
    return flags == 0 ? -1 : flags == LAYER_SCALE ? op->norm : op->node;
}

/* The operations that run for a few images at a time. The first that meets NaN or infinity is the
 * first in the plan's order, whichever image it was. */
static void run_backward_slices(cs_run *run) {
    const run_plan *plan = &run->plan;
    int first = plan->backward_count, bad = -1;
    for (int64_t n = 0; n < run->batch; n += plan->slice)
        for (int j = plan->sliced_backward; j < plan->backward_count; j++) {
            const int met = run_backward_operation(run, &plan->backward[j], slice_at(run, n));
            if (met >= 0 && j < first) {
                first = j;
                bad = met;
            }
        }
    if (run->bad_node < 0)
        run->bad_node = bad;
}

/* Adds a module's part of an input's gradient to the rest. */
static void merge(cs_run *run, const plan_backward *op) {
    execute_job job = {run, layer_find("add", run->engine, run->dtype)->backward, {0}};
    job.call.in = job.call.out = run->shapes[op->node];
    job.call.batch = run->batch;
    job.call.doutput = run_at(run, run->plan.gradient[op->slot[0]]);
    job.call.dinput[0] = run_at(run, run->plan.gradient[op->slot[1]]);
    job.call.add[0] = true;
    if (execute(&job) != 0 && run->bad_node < 0)
        run->bad_node = op->node;
}

static cs_status run_backward_plan(cs_run *run, cs_error *err) {
    for (int i = 0; i < run->model->node_count; i++)
        run->doutput[i] = run_at(run, run->plan.gradient[i]);
    for (int j = 0; j < run->plan.backward_count; j++)
        run->plan.backward[j].seconds[0] = run->plan.backward[j].seconds[1] = 0;
    for (int j = 0; j < run->plan.sliced_backward; j++) {
        plan_backward *op = &run->plan.backward[j];
        const double begin = cs_seconds();
        int bad = -1;
        if (op->kind == BACKWARD_OPEN)
            CS_TRY(hooks_open_backward(run, op->call, err));
        else if (op->kind == BACKWARD_CLOSE)
            CS_TRY(hooks_close_backward(run, op->call, err));
        else if (op->kind == BACKWARD_MERGE)
            merge(run, op);
        else
            bad = run_backward_operation(run, op, (image_range){0, run->batch});
        if (run->bad_node < 0)
            run->bad_node = bad;
        if (op->kind != BACKWARD_NODE)
            op->seconds[1] = cs_seconds() - begin;
    }
    run_backward_slices(run);
    return CS_OK;
}

cs_status cs_run_backward(cs_run *run, const cs_tensor *seed, cs_error *err) {
    CS_TRY(run_may_be_told(run, err));
    CS_CHECK(run->prepared && run->batch > 0, CS_ERROR_STATE,
             "call cs_run_forward before cs_run_backward");
    CS_CHECK(run->plan.gradient[run->seed] != PLAN_NOWHERE, CS_ERROR_STATE,
             "no gradient was asked for before cs_run_prepare: call cs_run_keep or "
             "cs_run_keep_parameter_gradient first");
    CS_TRY(run_check_shape(run, run->seed, seed, run->batch, "seed", err));
    CS_CHECK(!run->imposed || run->imposed->batch == run->batch, CS_ERROR_ARGUMENT,
             "the gates imposed since the forward pass are those of %lld images, not of %lld",
             (long long)(run->imposed ? run->imposed->batch : 0), (long long)run->batch);

    run->backward_done = false;
    void *stored = run_at(run, run->plan.gradient[run->seed]);
    run_widen(run, seed, stored);
    if (execute_store(run, run->seed, stored, stored) && run->bad_node < 0)
        run->bad_node = run->seed;
    CS_TRY(run_backward_plan(run, err));
    run->backward_done = true;
    return CS_OK;
}

void cs_run_share_work(cs_run *run, void (*work)(void *argument, size_t part, size_t parts),
                       void *argument) {
    pool_run(run->pool, work, argument);
}
