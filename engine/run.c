/* run.c - a run is created, told what is watched, and prepared; what it holds can be looked at.
 *
 * Forward and backward are in execute.c.
 */
#include "run_state.h"
#include "cpu.h"
#include "pages.h"

#include <stdlib.h>
#include <string.h>

#define THREAD_LIMIT 1024
#define BATCH_LIMIT  65536

static cs_status check_options(const cs_run_options *o, cs_error *err) {
    CS_CHECK(o->dtype == CS_F32 || o->dtype == CS_F64, CS_ERROR_ARGUMENT, "unknown element type %d",
             (int)o->dtype);
    CS_CHECK(o->engine == CS_ENGINE_DIRECT || o->engine == CS_ENGINE_GEMM, CS_ERROR_ARGUMENT,
             "unknown engine %d", (int)o->engine);
    CS_CHECK(o->engine == CS_ENGINE_DIRECT || layer_have_blas(), CS_ERROR_UNSUPPORTED,
             "this build has no gemm engine (it was made with BLAS=0); use --engine direct");
    CS_CHECK((int)o->kernel >= 0 && o->kernel <= CS_KERNEL_LAST, CS_ERROR_ARGUMENT,
             "unknown kernel %d", (int)o->kernel);
    CS_CHECK(o->threads >= 0 && o->threads <= THREAD_LIMIT, CS_ERROR_ARGUMENT,
             "%d threads; 0 (all CPUs) to %d were expected", o->threads, THREAD_LIMIT);
    CS_CHECK(o->max_batch >= 1 && o->max_batch <= BATCH_LIMIT, CS_ERROR_ARGUMENT,
             "a batch of %lld; 1 to %d were expected", (long long)o->max_batch, BATCH_LIMIT);
    CS_CHECK(o->height >= 0 && o->width >= 0 && o->height <= 65536 && o->width <= 65536,
             CS_ERROR_ARGUMENT, "an input of %lld x %lld; 1 to 65536 a side were expected",
             (long long)o->height, (long long)o->width);
    return CS_OK;
}

static cs_status build_run(cs_run *run, const cs_run_options *o, cs_error *err) {
    const size_t nodes = (size_t)run->model->node_count;
    const int threads = o->threads ? o->threads : cpu_count();
    CS_TRY(check_options(o, err));
    cs_kernel kernel;
    CS_TRY(cpu_choose_isa(o->isa, &run->isa, err));
    CS_TRY(cpu_choose_kernel(o->kernel, &kernel, err));
    run->kernel = (layer_kernel)kernel;
    run->params = o->params ? o->params : run->model->params;
    run->dtype = o->dtype;
    run->engine = o->engine == CS_ENGINE_GEMM ? LAYER_GEMM : LAYER_DIRECT;
    run->max_batch = o->max_batch;
    run->seed = run->model->output;
    run->bad_tensor = run->bad_node = -1;
    run->kernels = layer_kernels((layer_isa)run->isa, run->dtype);
    if (run->engine == LAYER_GEMM)
        layer_blas_one_thread();
    run->shapes = calloc(nodes, sizeof *run->shapes);
    run->watch = calloc(2 * nodes, sizeof *run->watch);
    run->parameter = calloc((size_t)run->model->tensor_count + 1, sizeof *run->parameter);
    run->read = calloc(nodes, sizeof *run->read);
    run->doutput = calloc(nodes, sizeof *run->doutput);
    run->packs[0] = calloc(2 * nodes, sizeof *run->packs[0]);
    run->part_flags = calloc((size_t)threads, sizeof *run->part_flags);
    run->part_ties = calloc((size_t)threads, sizeof *run->part_ties);
    CS_CHECK(run->shapes && run->watch && run->parameter && run->read && run->doutput &&
                 run->packs[0] && run->part_flags && run->part_ties,
             CS_ERROR_MEMORY, "not enough memory for a run over %zu nodes", nodes);
    run->packs[1] = run->packs[0] + nodes;
    run->hooked_watch = run->watch + nodes;
    CS_TRY(graph_shapes(run->model, o->height, o->width, run->shapes, err));
    return pool_create(threads, &run->pool, err);
}

cs_status cs_run_create(cs_model *model, const cs_run_options *options, cs_run **out,
                        cs_error *err) {
    const cs_run_options defaults = CS_RUN_OPTIONS_DEFAULT;
    cs_run *run = calloc(1, sizeof *run);
    CS_CHECK(run, CS_ERROR_MEMORY, "not enough memory for a run");
    run->model = model;
    run->options = options ? *options : defaults;
    const cs_status status = build_run(run, &run->options, err);
    if (status != CS_OK) {
        cs_run_free(run);
        return status;
    }
    *out = run;
    return CS_OK;
}

cs_status cs_run_create_like(const cs_run *run, int64_t max_batch, cs_params *params, cs_run **out,
                             cs_error *err) {
    cs_run_options options = run->options;
    options.max_batch = max_batch;
    if (params)
        options.params = params;
    return cs_run_create(run->model, &options, out, err);
}

void cs_run_free(cs_run *run) {
    if (!run)
        return;
    hooks_free(&run->hooks);
    plan_free(&run->plan);
    pool_free(run->pool);
    cs_gates_free(run->imposed);
    tangents_free(run);
    pages_free(run->arena, run->arena_size);
    pages_free(run->passing, run->passing_size);
    free(run->shapes);
    free(run->watch);
    free(run->parameter);
    free(run->read);
    free(run->doutput);
    free(run->packs[0]);
    free(run->part_flags);
    free(run->part_ties);
    free(run);
}

/* ------------------------------------------------------------------ telling -------------- */

/* The memory of the old plan goes with it: views of it end here, as the header says. */
void run_unprepare(cs_run *run) {
    tangents_unprepare(run);
    plan_free(&run->plan);
    pages_free(run->arena, run->arena_size);
    run->arena = NULL;
    run->arena_size = 0;
    pages_free(run->passing, run->passing_size);
    run->passing = NULL;
    run->passing_size = 0;
    run->prepared = run->backward_done = false;
    run->batch = 0;
}

cs_status run_may_be_told(const cs_run *run, cs_error *err) {
    CS_CHECK(!run->hooks.busy, CS_ERROR_STATE,
             "a hook may not tell, prepare or drive the run that called it");
    return CS_OK;
}

static cs_status watch(cs_run *run, const char *name, unsigned bits, cs_error *err) {
    int node;
    CS_TRY(run_may_be_told(run, err));
    CS_TRY(cs_model_find_node(run->model, name, &node, NULL, 0, err));
    if ((run->watch[node] & bits) != bits) {
        run_unprepare(run);
        run->watch[node] |= (uint8_t)bits;
    }
    return CS_OK;
}

cs_status cs_run_keep(cs_run *run, const char *name, cs_error *err) {
    return watch(run, name, WATCH_ACTIVATION | WATCH_GRADIENT, err);
}

cs_status cs_run_keep_activation(cs_run *run, const char *name, cs_error *err) {
    return watch(run, name, WATCH_ACTIVATION, err);
}

cs_status cs_run_keep_gradient(cs_run *run, const char *name, cs_error *err) {
    return watch(run, name, WATCH_GRADIENT, err);
}

cs_status cs_run_set_seed_node(cs_run *run, const char *name, cs_error *err) {
    int node;
    CS_TRY(run_may_be_told(run, err));
    CS_TRY(cs_model_find_node(run->model, name, &node, NULL, 0, err));
    if (node != run->seed) {
        run_unprepare(run);
        run->seed = node;
    }
    return CS_OK;
}

/* ------------------------------------------------------------------ preparing ------------ */

static params_request pack_request(cs_run *run, int node, layer_pass pass) {
    const cs_node_info *info = &run->model->nodes[node];
    return (params_request){
        .node = node,
        .in = run->shapes[info->inputs > 0 ? info->input[0] : node],
        .kind = plan_layer(run->model, node, run->engine, run->dtype, run->training),
        .pass = pass,
        .pack = &run->packs[pass][node],
    };
}

/* Whether the pack of a node's forward pass is made in each pass anew: only the step that the node
 * begins may read it. */
static bool passes(const cs_run *run, const params_request *r) {
    if (!run->options.few_passes || run->single_nodes || run->training || run->tangents ||
        r->kind->pack_for_both || params_block_size(run->params, r, run->dtype) == 0)
        return false;
    for (int i = 0; i < run->plan.step_count; i++)
        if (run->plan.steps[i].first == r->node)
            return true;
    return false;
}

void run_pack_passing(cs_run *run, int node) {
    const params_request r = pack_request(run, node, PASS_FORWARD);
    if (!passes(run, &r))
        return;
    if (params_pack_into(run->params, &r, run->passing, run->pool))
        run->bad_tensor = params_first_bad(run->params);
    *r.pack = run->passing;
}

/* Memory for the largest pack of a pass. */
static cs_status allocate_passing(cs_run *run, cs_error *err) {
    size_t most = 0;
    for (int i = 1; i < run->model->node_count; i++) {
        const params_request r = pack_request(run, i, PASS_FORWARD);
        const size_t size = passes(run, &r) ? params_block_size(run->params, &r, run->dtype) : 0;
        most = size > most ? size : most;
    }
    if (run->passing || most == 0)
        return CS_OK;
    run->passing = pages_allocate(most);
    run->passing_size = run->passing ? most : 0;
    CS_CHECK(run->passing, CS_ERROR_MEMORY, "not enough memory for a layer's packed weights");
    return CS_OK;
}

/* Both passes of a node one behind the other: its values are read from the file once. */
static cs_status pack_all(cs_run *run, cs_error *err) {
    CS_TRY(allocate_passing(run, err));
    const int nodes = run->model->node_count;
    params_request *requests = malloc(2 * (size_t)nodes * sizeof *requests);
    size_t count = 0;
    CS_CHECK(requests, CS_ERROR_MEMORY, "not enough memory for a list of %d nodes", nodes);
    const plan_backward *last = run->plan.backward + run->plan.backward_count;
    for (int i = 1; i < nodes; i++) {
        requests[count] = pack_request(run, i, PASS_FORWARD);
        const bool both = requests[count].kind->pack_for_both;
        count += !passes(run, &requests[count]);
        /* Nodes' own backward operations are in falling order of the nodes. */
        while (last > run->plan.backward && (last[-1].kind != BACKWARD_NODE || last[-1].node < i))
            last--;
        const bool planned = last > run->plan.backward && last[-1].node == i && last[-1].wanted[0];
        if ((planned || run->single_nodes) && !both)
            requests[count++] = pack_request(run, i, PASS_BACKWARD);
    }
    run->packed_version = params_version(run->params);
    const cs_status status = params_pack(run->params, requests, count, run->engine, run->dtype,
                                         run->pool, &run->bad_tensor, err);
    for (size_t i = 0; status == CS_OK && i < count; i++)
        if (requests[i].kind->pack_for_both)
            run->packs[PASS_BACKWARD][requests[i].node] = *requests[i].pack;
    free(requests);
    return status;
}

/* The plan stands, but parameters may have changed since their packing. */
static cs_status pack_again(cs_run *run, cs_error *err) {
    if (run->packed_version == params_version(run->params))
        return CS_OK;
    const cs_status status = pack_all(run, err);
    if (status != CS_OK)
        run_unprepare(run);
    return status;
}

cs_status cs_run_prepare(cs_run *run, cs_error *err) {
    CS_TRY(run_may_be_told(run, err));
    if (run->prepared)
        return pack_again(run, err);
    const plan_request request = {
        .model = run->model,
        .shapes = run->shapes,
        .watch = run->hooked_watch,
        .parameter = run->parameter,
        .training = run->training,
        .hooks = &run->hooks,
        .engine = run->engine,
        .dtype = run->dtype,
        .batch = run->max_batch,
        .threads = pool_threads(run->pool),
        .seed = run->seed,
        .keep_gates = run->keep_gates,
        .single_nodes = run->single_nodes,
        .imposed = run->imposed != NULL,
    };
    run_unprepare(run);
    tangents_watch(run);
    memcpy(run->hooked_watch, run->watch, (size_t)run->model->node_count);
    hooks_watch(&run->hooks, run->hooked_watch);
    CS_TRY(hooks_prepare(&run->hooks, err));
    CS_TRY(plan_create(&request, &run->plan, err));
    run->arena_size = cs_align64(run->plan.total);
    run->arena = pages_allocate(run->arena_size);
    if (!run->arena) {
        const size_t size = run->arena_size;
        run_unprepare(run);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1,
                            "not enough memory for the run: %zu bytes; use a smaller batch or "
                            "input, or keep less",
                            size);
    }
    train_zero(run);
    cs_status status = pack_all(run, err);
    if (status == CS_OK)
        status = tangents_prepare(run, err);
    if (status != CS_OK) {
        run_unprepare(run);
        return status;
    }
    run->prepared = true;
    return CS_OK;
}

/* ------------------------------------------------------------------ looking -------------- */

static cs_status view(const cs_run *run, int node, size_t offset, cs_tensor *tensor,
                      cs_error *err) {
    CS_CHECK(run->prepared && run->batch > 0, CS_ERROR_STATE,
             "there is nothing to look at before the first forward");
    *tensor = (cs_tensor){run->dtype,          run->batch,          run->shapes[node].c,
                          run->shapes[node].h, run->shapes[node].w, run_at(run, offset)};
    return CS_OK;
}

cs_status cs_run_output(cs_run *run, cs_tensor *output, cs_error *err) {
    const int node = run->model->output;
    return view(run, node, run->prepared ? run->plan.value[node] : 0, output, err);
}

cs_status cs_run_activation(cs_run *run, const char *name, cs_tensor *tensor, cs_error *err) {
    int node;
    CS_TRY(cs_model_find_node(run->model, name, &node, NULL, 0, err));
    CS_CHECK((run->watch[node] & WATCH_ACTIVATION) || node == run->model->output, CS_ERROR_ARGUMENT,
             "the activation of \"%s\" was not kept: call cs_run_keep first", name);
    return view(run, node, run->prepared ? run->plan.value[node] : 0, tensor, err);
}

cs_status cs_run_gradient(cs_run *run, const char *name, cs_tensor *tensor, cs_error *err) {
    int node;
    CS_TRY(cs_model_find_node(run->model, name, &node, NULL, 0, err));
    CS_CHECK(run->watch[node] & WATCH_GRADIENT, CS_ERROR_ARGUMENT,
             "the gradient of \"%s\" was not kept: call cs_run_keep first", name);
    CS_CHECK(run->backward_done, CS_ERROR_STATE,
             "there is no gradient of \"%s\" before cs_run_backward", name);
    return view(run, node, run->plan.gradient[node], tensor, err);
}

cs_status cs_run_status(const cs_run *run, const char **where) {
    if (run->batch == 0 || (run->bad_tensor < 0 && run->bad_node < 0))
        return CS_OK;
    if (where)
        *where = run->bad_tensor >= 0 ? run->model->tensors[run->bad_tensor].name
                                      : run->model->nodes[run->bad_node].name;
    return CS_ERROR_NUMERIC;
}

int64_t cs_run_pool_ties(const cs_run *run) {
    int64_t ties = 0;
    for (int i = 0; i < pool_threads(run->pool); i++)
        ties += run->part_ties[i];
    return ties;
}

int cs_run_threads(const cs_run *run) { return pool_threads(run->pool); }
cs_isa cs_run_isa(const cs_run *run) { return run->isa; }
