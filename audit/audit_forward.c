/* audit_forward.c - the forward ledger: each node's own rounding beside its proven bound, what has
 * accumulated, and which gates flipped, how near to the tie.
 *
 * Own rounding: y32 - step64(x32), the float32 value minus the float64 step on the very inputs that
 * float32 read. With u = 2^-24, gamma_m = m u / (1 - m u), S the sum of absolute products:
 *
 *   conv2d      a chain of m = R S C/g fused multiply-adds from the bias: each term meets at most m
 *               factors (1 + d), |d| <= u, so |error| <= gamma_m S, S = |b| + sum |x| |w|
 *               (Higham, section 3.1); m + 1 for sums in any order with products rounded
 *   linear      the direct engine: both types make the same chain in double, float32 rounds it
 *               once: u |y64|. Another engine: as conv2d
 *   batch_norm  y32 = (x s (1+d1) + (beta - mean s (1+d1)) (1+d2)) (1+d3): every product meets at
 *               most 3 factors: gamma_3 (|x s| + |mean s| + |beta|)
 *   add, average pools, softmax: one rounding of what float64 computes: u |y64|
 *   relu, max_pool2d, flatten, shortcut_a, input: 0
 *
 * To each float64's own rounding of the same step is added, gamma_m with u = 2^-53, and
 * m * 2^-149 for results that underflow.
 */
#include "audit_scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A ledger in the making. */
typedef struct forward_job {
    audit_scene *scene;
    const audit_source *source;
    cs_audit_ledger *ledger;
    cs_params *absolute;               /* weights and biases without their signs */
    cs_run *sums;                      /* a float64 run with them */
    audit_values exact, rounded, step; /* float64's values; float32's; float64 on float32's */
    audit_values bound;                /* at inputs: their absolute values */
    bool *there;                       /* whether the source has a node's value */
} forward_job;

static double gamma_of(double m, double unit) { return m * unit / (1 - m * unit); }

/* ------------------------------------------------------------------ bounds --------------- */

/* Convolutions and linear layers alone: the sums of the others are made here. */
static cs_status open_sums(forward_job *job, cs_error *err) {
    audit_scene *scene = job->scene;
    CS_TRY(cs_params_copy(scene->model, &job->absolute, err));
    for (int i = 0; i < scene->nodes; i++) {
        const cs_node_info *info = cs_model_node(scene->model, i);
        const bool product = strcmp(info->op, "conv2d") == 0 || strcmp(info->op, "linear") == 0;
        for (int k = 0; product && k < info->parameters; k++) {
            float *value = cs_params_tensor(job->absolute, info->parameter[k]);
            const int64_t count = cs_model_tensor(scene->model, info->parameter[k])->count;
            for (int64_t j = 0; j < count; j++)
                value[j] = fabsf(value[j]);
        }
    }
    cs_params_changed(job->absolute);
    CS_TRY(audit_make_run(scene, CS_F64, job->absolute, &job->sums, err));
    cs_run_keep_single_nodes(job->sums);
    CS_TRY(cs_run_prepare(job->sums, err));
    CS_TRY(cs_run_forward(job->sums, scene->input, err));
    return audit_step(scene, scene->total_cost, err);
}

/* The bound of a sum of products: job->bound.of[node]. */
static cs_status bound_products(forward_job *job, int node, cs_error *err) {
    audit_scene *scene = job->scene;
    const cs_node_info *info = cs_model_node(scene->model, node);
    const int input = info->input[0];
    const cs_tensor *x = &job->rounded.of[input];
    const cs_tensor_info *weight = cs_model_tensor(scene->model, info->parameter[0]);
    const bool any_order = !job->source->run || scene->options->run.engine != CS_ENGINE_DIRECT;
    const double m = (double)weight->count / (double)scene->shape[node][0] + (any_order ? 1 : 0);
    const double g64 = gamma_of(m, 0x1p-53), g = (gamma_of(m, 0x1p-24) + g64) * (1 + 2 * g64);
    CS_TRY(audit_values_make(&job->bound, input, err));
    double *to = job->bound.of[input].data;
    for (int64_t i = 0; i < cs_tensor_count(x); i++)
        to[i] = fabs(((const double *)x->data)[i]);
    CS_TRY(audit_node_forward(scene, job->sums, &job->bound, node, err));
    audit_values_drop(&job->bound, input);
    double *bound = job->bound.of[node].data;
    for (int64_t i = 0; i < cs_tensor_count(&job->bound.of[node]); i++)
        bound[i] = g * bound[i] + m * 0x1p-149;
    return CS_OK;
}

static void bound_norm(forward_job *job, int node) {
    const cs_model *model = job->scene->model;
    const cs_node_info *info = cs_model_node(model, node);
    const double *x = job->rounded.of[info->input[0]].data;
    double *bound = job->bound.of[node].data;
    const float *value[4];
    for (int i = 0; i < 4; i++)
        value[i] = cs_model_tensor(model, info->parameter[i])->data;
    const int64_t count = cs_tensor_count(&job->bound.of[node]), channels = job->bound.of[node].c;
    const double g = (gamma_of(3, 0x1p-24) + gamma_of(5, 0x1p-53)) * (1 + 0x1p-40);
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = i % channels;
        const double s =
            fabs((double)value[0][c] / sqrt((double)value[3][c] + info->attributes.eps));
        bound[i] =
            g * (fabs(x[i]) * s + fabs((double)value[2][c]) * s + fabs((double)value[1][c])) +
            3 * 0x1p-149;
    }
}

/* Fills job->bound.of[node]. job->step.of[node] is the float64 step. */
static cs_status make_bound(forward_job *job, int node, cs_error *err) {
    const char *op = cs_model_node(job->scene->model, node)->op;
    const bool linear = strcmp(op, "linear") == 0;
    const bool once = job->source->run && job->scene->options->run.engine == CS_ENGINE_DIRECT;
    if (strcmp(op, "conv2d") == 0 || (linear && !once))
        return bound_products(job, node, err);
    CS_TRY(audit_values_make(&job->bound, node, err));
    if (strcmp(op, "batch_norm") == 0) {
        bound_norm(job, node);
        return CS_OK;
    }
    const bool rounds =
        linear || strcmp(op, "add") == 0 || strstr(op, "avg_pool") || strcmp(op, "softmax") == 0;
    const double *y = job->step.of[node].data;
    double *bound = job->bound.of[node].data;
    for (int64_t i = 0; i < cs_tensor_count(&job->bound.of[node]); i++)
        bound[i] = rounds ? (0x1p-24 + 0x1p-52) * fabs(y[i]) + 0x1p-149 : 0;
    return CS_OK;
}

/* ------------------------------------------------------------------ one node ------------- */

static void own_rounding(const forward_job *job, int node, cs_audit_entry *entry) {
    const double *y = job->rounded.of[node].data, *step = job->step.of[node].data;
    const double *bound = job->bound.of[node].data;
    const int64_t count = cs_tensor_count(&job->rounded.of[node]);
    double squares = 0;
    entry->own_max = entry->bound_max = entry->bound_share = 0;
    for (int64_t i = 0; i < count; i++) {
        const double error = fabs(y[i] - step[i]), share = error == 0 ? 0 : error / bound[i];
        squares += error * error;
        entry->own_max = error > entry->own_max ? error : entry->own_max;
        entry->bound_max = bound[i] > entry->bound_max ? bound[i] : entry->bound_max;
        entry->bound_share = share > entry->bound_share ? share : entry->bound_share;
    }
    entry->own_rms = sqrt(squares / (double)count);
}

/* NaN for value 0 where `rounded` has no values. */
static void accumulated(const cs_tensor *rounded, const cs_tensor *exact, bool there,
                        cs_audit_entry *entry) {
    const double *y = exact->data, *z = rounded->data;
    const int64_t count = cs_tensor_count(exact);
    double squares = 0, errors = 0, most = 0;
    for (int64_t i = 0; i < count; i++) {
        const double error = there ? fabs(z[i] - y[i]) : 0;
        squares += y[i] * y[i];
        errors += error * error;
        most = error > most ? error : most;
    }
    entry->value_rms = sqrt(squares / (double)count);
    entry->accumulated_max = there ? most : (double)NAN;
    entry->accumulated_rms = there ? sqrt(errors / (double)count) : (double)NAN;
}

/* How far a float64 input was from the tie, of a gate or winner that flipped. */
static double distance(const cs_tensor *x, const cs_gates_info *g, const int64_t at[3],
                       int32_t ours, int32_t theirs) {
    if (!g->winners)
        return fabs(cs_tensor_at(x, 0, at[0], at[1], at[2]));
    return fabs(cs_tensor_at(x, 0, at[0], ours / x->w, ours % x->w) -
                cs_tensor_at(x, 0, at[0], theirs / x->w, theirs % x->w));
}

static cs_status compare_gates(const forward_job *job, int index, cs_error *err) {
    const audit_scene *scene = job->scene;
    const cs_gates *gates = job->source->gates;
    const cs_gates_info g = cs_gates_node(scene->gates64, index);
    const cs_tensor *x = &job->exact.of[cs_model_node(scene->model, g.node)->input[0]];
    cs_audit_entry *entry = &job->ledger->nodes[g.node];
    entry->gates = g.c * g.h * g.w;
    CS_TRY(cs_gates_flipped(scene->gates64, gates, index, &entry->flipped, err));
    job->ledger->flipped += entry->flipped;
    if (entry->flipped == 0)
        return CS_OK;
    entry->nearest = (double)INFINITY;
    int64_t at[3];
    for (at[0] = 0; at[0] < g.c; at[0]++)
        for (at[1] = 0; at[1] < g.h; at[1]++)
            for (at[2] = 0; at[2] < g.w; at[2]++) {
                const int32_t a = cs_gates_at(scene->gates64, index, 0, at[0], at[1], at[2]);
                const int32_t b = cs_gates_at(gates, index, 0, at[0], at[1], at[2]);
                if (a == b)
                    continue;
                const double d = distance(x, &g, at, a, b);
                entry->nearest = d < entry->nearest ? d : entry->nearest;
                entry->farthest = d > entry->farthest ? d : entry->farthest;
            }
    return CS_OK;
}

/* The source's value, and its own rounding where its inputs are known too. */
static cs_status look_at(forward_job *job, int node, cs_error *err) {
    audit_scene *scene = job->scene;
    const cs_node_info *info = cs_model_node(scene->model, node);
    cs_audit_entry *entry = &job->ledger->nodes[node];
    bool known = true;
    CS_TRY(audit_values_make(&job->rounded, node, err));
    CS_TRY(audit_source_activation(scene, job->source, node, &job->rounded.of[node],
                                   &job->there[node], err));
    job->ledger->missing_activations += !job->there[node];
    accumulated(&job->rounded.of[node], &job->exact.of[node], job->there[node], entry);
    entry->own_max = entry->own_rms = entry->bound_max = entry->bound_share =
        node == 0 ? 0 : (double)NAN;
    for (int k = 0; k < info->inputs; k++)
        known &= job->there[info->input[k]];
    if (node == 0 || !known || !job->there[node])
        return CS_OK;
    const cs_tensor *inputs[2] = {NULL, NULL};
    for (int k = 0; k < info->inputs; k++)
        inputs[k] = &job->rounded.of[info->input[k]];
    CS_TRY(audit_values_make(&job->step, node, err));
    CS_TRY(cs_run_node_forward(scene->live, node, inputs, &job->step.of[node], err));
    CS_TRY(audit_step(scene, scene->cost[node], err));
    CS_TRY(make_bound(job, node, err));
    own_rounding(job, node, entry);
    audit_values_drop(&job->step, node);
    audit_values_drop(&job->bound, node);
    return CS_OK;
}

static cs_status all_nodes(forward_job *job, cs_error *err) {
    audit_scene *scene = job->scene;
    int gates = 0;
    CS_TRY(audit_values_make(&job->exact, 0, err));
    audit_widen(scene->input, &job->exact.of[0]);
    CS_TRY(look_at(job, 0, err));
    for (int i = 1; i < scene->nodes; i++) {
        CS_TRY(audit_node_forward(scene, scene->live, &job->exact, i, err));
        CS_TRY(look_at(job, i, err));
        if (gates < cs_gates_count(scene->gates64) &&
            cs_gates_node(scene->gates64, gates).node == i)
            CS_TRY(compare_gates(job, gates++, err));
        audit_values_drop_inputs(&job->exact, i);
        audit_values_drop_inputs(&job->rounded, i);
    }
    return CS_OK;
}

cs_status audit_forward(audit_scene *scene, const audit_source *source, cs_audit_ledger *ledger,
                        cs_error *err) {
    forward_job job = {.scene = scene, .source = source, .ledger = ledger};
    job.there = calloc((size_t)scene->nodes, sizeof *job.there);
    cs_status status =
        job.there ? CS_OK : cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "not enough memory");
    audit_values *const all[] = {&job.exact, &job.rounded, &job.step, &job.bound};
    for (size_t i = 0; i < sizeof all / sizeof *all && status == CS_OK; i++)
        status = audit_values_open(all[i], scene, err);
    if (status == CS_OK)
        status = open_sums(&job, err);
    if (status == CS_OK)
        status = all_nodes(&job, err);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        audit_values_close(all[i]);
    cs_run_free(job.sums);
    cs_params_free(job.absolute);
    free(job.there);
    return status;
}

double audit_forward_cost(const audit_scene *scene) { return 4 * scene->total_cost; }
