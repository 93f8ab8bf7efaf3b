/* audit_gradient.c - the gradient ledger: the float32 gradient minus the float64 gradient, split
 * into what each node's rounding and each node's flipped gates account for.
 *
 * Write B for float64's backward steps with float32's gates, dy for float32's gradients (as they
 * stand in memory), dz for float64's. Then, exactly,
 *
 *   rounding of node i, input k:  e = (float32's step on dy_i) - B_i,k dy_i
 *   sum at node j:                e = dy_j - the sum of float32's steps that reach it
 *   flips of node k:              e = (step with float32's gates - step with float64's gates) dz_k
 *
 * and each e, carried on to the input by B, is its part of the difference. By induction over the
 * nodes, downwards: dy_j - h_j, h the gradient by B all the way from the seed, is the sum of the
 * carried e of rounding and sums above j; h - dz that of the flips, when the nodes' gates are
 * switched from float64's to float32's one after another, from the input up (below a node they are
 * float32's already, above it still float64's). Each part is carried by itself; what is left, the
 * difference minus all parts, is printed and not spread.
 *
 * A dump without some node's gradient: what B predicts stands in its place, and the rounding shows
 * at the next node below that has one. Where several nodes read j, another engine's steps cannot be
 * told apart: they are j's "sum".
 */
#include "audit_scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct gradient_job {
    audit_scene *scene;
    const audit_source *source;
    cs_audit_ledger *ledger;
    audit_values dy;      /* float32's gradient of each node, from its readers, by B */
    audit_values told;    /* where several nodes read one: what was told apart of its rounding */
    audit_values carried; /* on its way down */
    cs_tensor *rounding;  /* per node of two inputs: its part so far */
    cs_tensor part;       /* a part, at the input */
    cs_tensor difference;
    double size;
} gradient_job;

/* ------------------------------------------------------------------ carrying ------------- */

/* Adds `factor` times b, or stores it where `a` has nothing yet. */
static cs_status put(audit_values *values, int node, const cs_tensor *b, double factor,
                     cs_error *err) {
    const bool there = values->of[node].data != NULL;
    CS_TRY(audit_values_make(values, node, err));
    if (!there)
        memset(values->of[node].data, 0,
               (size_t)cs_tensor_count(&values->of[node]) * sizeof(double));
    audit_add(&values->of[node], b, factor);
    return CS_OK;
}

/* One node's backward step by B, into `values` of its inputs. */
static cs_status step_down(gradient_job *job, audit_values *values, int node, cs_error *err) {
    const cs_node_info *info = cs_model_node(job->scene->model, node);
    for (int k = 0; k < info->inputs; k++) {
        const int to = info->input[k];
        const bool add = values->of[to].data != NULL;
        CS_TRY(audit_values_make(values, to, err));
        CS_TRY(audit_node_backward(job->scene, job->scene->frozen, node, k, &values->of[node],
                                   &values->of[to], add, err));
    }
    return CS_OK;
}

/* Carries job->carried.of[from] down to the input: job->part. */
static cs_status carry(gradient_job *job, int from, cs_error *err) {
    for (int i = from; i > 0; i--) {
        if (!job->carried.of[i].data)
            continue;
        CS_TRY(step_down(job, &job->carried, i, err));
        audit_values_drop(&job->carried, i);
    }
    memcpy(job->part.data, job->carried.of[0].data,
           (size_t)cs_tensor_count(&job->part) * sizeof(double));
    audit_values_drop(&job->carried, 0);
    return CS_OK;
}

static void measure(const gradient_job *job, const cs_tensor *vector, cs_audit_part *part) {
    const double d2 = job->size * job->size;
    part->present = true;
    part->size = job->size > 0 ? audit_norm(vector) / job->size : 0;
    part->share = d2 > 0 ? audit_dot(vector, &job->difference) / d2 : 0;
}

/* Carries what stands at `from`, unless it is all zeros, adds it to `map` and measures it; `whole`
 * (or NULL) collects the parts of a node of two inputs. */
static cs_status settle(gradient_job *job, int from, cs_tensor *map, cs_tensor *whole,
                        cs_audit_part *part, cs_error *err) {
    if (audit_largest(&job->carried.of[from]) == 0) {
        audit_values_drop(&job->carried, from);
        return audit_step(job->scene, 0, err);
    }
    CS_TRY(carry(job, from, err));
    audit_add(map, &job->part, 1);
    if (!whole) {
        measure(job, &job->part, part);
        return CS_OK;
    }
    if (!whole->data)
        CS_TRY(audit_tensor(job->scene, 0, CS_F64, whole, err));
    audit_add(whole, &job->part, 1);
    measure(job, whole, part);
    return CS_OK;
}

/* ------------------------------------------------------------------ rounding ------------- */

/* The only node that reads j, or -1. */
static int only_reader(const audit_scene *scene, int j) {
    return scene->readers[j] == 1 ? scene->reader[j] : -1;
}

static cs_status settle_rounding(gradient_job *job, int node, int from, cs_error *err) {
    const bool two = cs_model_node(job->scene->model, node)->inputs > 1;
    return settle(job, from, &job->ledger->rounding_map, two ? &job->rounding[node] : NULL,
                  &job->ledger->nodes[node].rounding, err);
}

/* Our own float32 step of input k beside B's, where others read that input too. */
static cs_status tell_apart(gradient_job *job, int node, int k, const cs_tensor *dy32,
                            cs_error *err) {
    audit_scene *scene = job->scene;
    const int to = cs_model_node(scene->model, node)->input[k];
    cs_tensor step32 = {0}, wide = {0};
    CS_TRY(audit_values_make(&job->carried, to, err));
    CS_TRY(audit_node_backward(scene, scene->frozen, node, k, &job->dy.of[node],
                               &job->carried.of[to], false, err));
    cs_status status = audit_tensor(scene, to, CS_F32, &step32, err);
    if (status == CS_OK)
        status = audit_tensor(scene, to, CS_F64, &wide, err);
    if (status == CS_OK)
        status = audit_node_backward(scene, job->source->run, node, k, dy32, &step32, false, err);
    if (status == CS_OK) {
        double *e = job->carried.of[to].data;
        audit_widen(&step32, &wide);
        for (int64_t i = 0; i < cs_tensor_count(&wide); i++)
            e[i] = ((const double *)wide.data)[i] - e[i];
        status = put(&job->told, to, &job->carried.of[to], 1, err);
    }
    cs_tensor_release(&step32);
    cs_tensor_release(&wide);
    return status == CS_OK ? settle_rounding(job, node, to, err) : status;
}

/* What node j's own gradient has that B does not predict from its readers'. */
static cs_status compare(gradient_job *job, int j, cs_error *err) {
    bool there;
    cs_tensor *actual;
    CS_TRY(audit_values_make(&job->carried, j, err));
    actual = &job->carried.of[j];
    CS_TRY(audit_source_gradient(job->scene, job->source, j, actual, &there, err));
    job->ledger->missing_gradients += !there;
    if (!there) {
        audit_values_drop(&job->carried, j);
        return CS_OK;
    }
    double *e = actual->data, *dy = job->dy.of[j].data;
    for (int64_t i = 0; i < cs_tensor_count(actual); i++) {
        const double predicted = dy[i];
        dy[i] = e[i];
        e[i] -= predicted;
    }
    if (job->told.of[j].data)
        audit_add(actual, &job->told.of[j], -1);
    const int reader = only_reader(job->scene, j);
    if (reader >= 0)
        return settle_rounding(job, reader, j, err);
    return settle(job, j, &job->ledger->rounding_map, NULL, &job->ledger->nodes[j].sum, err);
}

/* Readers of one value, told apart in our own engine. */
static cs_status tell_inputs_apart(gradient_job *job, int node, cs_error *err) {
    const cs_node_info *info = cs_model_node(job->scene->model, node);
    cs_tensor dy32;
    for (int k = 0; k < info->inputs; k++) {
        if (!job->source->run || only_reader(job->scene, info->input[k]) >= 0)
            continue;
        CS_TRY(cs_run_gradient(job->source->run, info->name, &dy32, err));
        CS_TRY(tell_apart(job, node, k, &dy32, err));
    }
    return CS_OK;
}

static cs_status rounding(gradient_job *job, cs_error *err) {
    audit_scene *scene = job->scene;
    CS_TRY(audit_values_make(&job->dy, scene->output, err));
    audit_widen(&scene->seed, &job->dy.of[scene->output]);
    for (int i = scene->output; i >= 0; i--) {
        if (!job->dy.of[i].data)
            continue;
        if (i < scene->output)
            CS_TRY(compare(job, i, err));
        if (i > 0) {
            CS_TRY(tell_inputs_apart(job, i, err));
            CS_TRY(step_down(job, &job->dy, i, err));
        }
        audit_values_drop(&job->told, i);
        audit_values_drop(&job->dy, i);
    }
    return CS_OK;
}

/* ------------------------------------------------------------------ flips ---------------- */

static cs_status flips_of(gradient_job *job, int node, cs_error *err) {
    audit_scene *scene = job->scene;
    const int to = cs_model_node(scene->model, node)->input[0];
    cs_tensor dz, theirs = {0};
    CS_TRY(cs_run_gradient(scene->frozen, audit_name(scene, node), &dz, err));
    CS_TRY(audit_tensor(scene, to, CS_F64, &theirs, err));
    cs_status status = audit_values_make(&job->carried, to, err);
    if (status == CS_OK)
        status = cs_run_impose_gates(scene->frozen, scene->gates64, err);
    if (status == CS_OK)
        status = audit_node_backward(scene, scene->frozen, node, 0, &dz, &theirs, false, err);
    if (status == CS_OK)
        status = cs_run_impose_gates(scene->frozen, job->source->gates, err);
    if (status == CS_OK)
        status = audit_node_backward(scene, scene->frozen, node, 0, &dz, &job->carried.of[to],
                                     false, err);
    if (status == CS_OK)
        audit_add(&job->carried.of[to], &theirs, -1);
    cs_tensor_release(&theirs);
    CS_TRY(status);
    return settle(job, to, &job->ledger->flips_map, NULL, &job->ledger->nodes[node].flips, err);
}

/* ------------------------------------------------------------------ ledger --------------- */

static cs_status open_maps(gradient_job *job, cs_error *err) {
    audit_scene *scene = job->scene;
    cs_audit_ledger *ledger = job->ledger;
    const cs_tensor *g64 = &scene->audit->gradient64;
    bool there = false;
    cs_tensor *const maps[] = {&ledger->gradient32, &ledger->difference_map, &ledger->rounding_map,
                               &ledger->flips_map,  &ledger->rest_map,       &job->part};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        CS_TRY(audit_tensor(scene, 0, CS_F64, maps[i], err));
    CS_TRY(audit_source_gradient(scene, job->source, 0, &ledger->gradient32, &there, err));
    audit_add(&ledger->difference_map, &ledger->gradient32, 1);
    audit_add(&ledger->difference_map, g64, -1);
    job->difference = ledger->difference_map;
    job->size = ledger->difference = audit_norm(&ledger->difference_map);
    ledger->gradient = audit_norm(g64);
    const double most = audit_largest(g64);
    ledger->largest = most > 0 ? audit_largest(&ledger->difference_map) / most : 0;
    return CS_OK;
}

static void close_ledger(const gradient_job *job) {
    cs_audit_ledger *ledger = job->ledger;
    audit_add(&ledger->rest_map, &ledger->difference_map, 1);
    audit_add(&ledger->rest_map, &ledger->rounding_map, -1);
    audit_add(&ledger->rest_map, &ledger->flips_map, -1);
    measure(job, &ledger->rounding_map, &ledger->rounding_total);
    measure(job, &ledger->flips_map, &ledger->flips);
    measure(job, &ledger->rest_map, &ledger->rest);
}

static cs_status make_parts(gradient_job *job, cs_error *err) {
    audit_scene *scene = job->scene;
    CS_TRY(open_maps(job, err));
    CS_TRY(cs_run_impose_gates(scene->frozen, job->source->gates, err));
    CS_TRY(rounding(job, err));
    for (int i = 0; i < cs_gates_count(scene->gates64); i++) {
        const int node = cs_gates_node(scene->gates64, i).node;
        if (scene->reaches[node] && job->ledger->nodes[node].flipped > 0)
            CS_TRY(flips_of(job, node, err));
    }
    close_ledger(job);
    return CS_OK;
}

cs_status audit_gradient(audit_scene *scene, const audit_source *source, cs_audit_ledger *ledger,
                         cs_error *err) {
    gradient_job job = {.scene = scene, .source = source, .ledger = ledger};
    job.rounding = calloc((size_t)scene->nodes, sizeof *job.rounding);
    cs_status status =
        job.rounding ? CS_OK : cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "not enough memory");
    audit_values *const all[] = {&job.dy, &job.told, &job.carried};
    for (size_t i = 0; i < sizeof all / sizeof *all && status == CS_OK; i++)
        status = audit_values_open(all[i], scene, err);
    if (status == CS_OK)
        status = make_parts(&job, err);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        audit_values_close(all[i]);
    for (int i = 0; job.rounding && i < scene->nodes; i++)
        cs_tensor_release(&job.rounding[i]);
    free(job.rounding);
    cs_tensor_release(&job.part);
    return status;
}

/* Not more: a node without rounding or flips is not carried. */
double audit_gradient_cost(const audit_scene *scene) {
    double cost = scene->total_cost, below = 0;
    for (int i = 1; i < scene->nodes; i++) {
        const cs_node_info *info = cs_model_node(scene->model, i);
        const bool exact = strcmp(info->op, "flatten") == 0 ||
                           strcmp(info->op, "shortcut_a") == 0 || strcmp(info->op, "add") == 0;
        cost += exact ? 0 : below; /* rounding or flips, carried on from the node's input */
        below += scene->cost[i];
    }
    return cost;
}
