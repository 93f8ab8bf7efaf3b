/* audit.c - an audit from the first run to the verdict. */
#include "audit_scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ runs ----------------- */

/* The class and the seed, from the first forward's logits. */
static cs_status choose_class(audit_scene *scene, const cs_tensor *logits, cs_error *err) {
    cs_audit *audit = scene->audit;
    audit->class_index = scene->options->class_index;
    CS_CHECK(audit->class_index >= -1 && audit->class_index < logits->c, CS_ERROR_ARGUMENT,
             "there is no class %lld; the model has %lld", (long long)audit->class_index,
             (long long)logits->c);
    CS_CHECK(logits->h == 1 && logits->w == 1, CS_ERROR_UNSUPPORTED,
             "the model's output is a map of %lld x %lld: an audit needs one number a class",
             (long long)logits->h, (long long)logits->w);
    if (audit->class_index < 0) {
        audit->class_index = 0;
        for (int64_t c = 1; c < logits->c; c++)
            if (cs_tensor_at(logits, 0, c, 0, 0) >
                cs_tensor_at(logits, 0, audit->class_index, 0, 0))
                audit->class_index = c;
    }
    audit->logit32 = cs_tensor_at(logits, 0, audit->class_index, 0, 0);
    CS_TRY(audit_tensor(scene, scene->output, CS_F32, &scene->seed, err));
    ((float *)scene->seed.data)[audit->class_index] = 1;
    return CS_OK;
}

/* The audited engine's forward pass, with all activations. */
static cs_status run_float32_forward(audit_scene *scene, cs_error *err) {
    cs_tensor logits;
    CS_TRY(audit_make_run(scene, CS_F32, NULL, &scene->float32, err));
    for (int i = 0; i < scene->nodes; i++)
        CS_TRY(cs_run_keep_activation(scene->float32, audit_name(scene, i), err));
    cs_run_keep_gates(scene->float32);
    CS_TRY(cs_run_prepare(scene->float32, err));
    CS_TRY(cs_run_forward(scene->float32, scene->input, err));
    CS_TRY(audit_check_finite(scene, scene->float32, "float32 forward pass", err));
    CS_TRY(cs_run_gates(scene->float32, &scene->gates32, err));
    CS_TRY(cs_run_output(scene->float32, &logits, err));
    CS_TRY(choose_class(scene, &logits, err));
    return audit_step(scene, scene->total_cost, err);
}

/* Its gradients, in a run of its own: activations and gradients together need too much memory. */
static cs_status run_float32_backward(audit_scene *scene, cs_error *err) {
    cs_run_free(scene->float32);
    scene->float32 = NULL;
    CS_TRY(audit_make_run(scene, CS_F32, NULL, &scene->float32, err));
    for (int i = 0; i <= scene->output; i++) {
        if (scene->reaches[i])
            CS_TRY(cs_run_keep_gradient(scene->float32, audit_name(scene, i), err));
        if (strcmp(cs_model_node(scene->model, i)->op, "softmax") == 0)
            CS_TRY(cs_run_keep_activation(scene->float32, audit_name(scene, i), err));
    }
    cs_run_keep_single_nodes(scene->float32);
    CS_TRY(cs_run_prepare(scene->float32, err));
    CS_TRY(cs_run_forward(scene->float32, scene->input, err));
    CS_TRY(cs_run_backward(scene->float32, &scene->seed, err));
    CS_TRY(audit_check_finite(scene, scene->float32, "float32 backward pass", err));
    return audit_step(scene, 2 * scene->total_cost, err);
}

/* Float64 as it runs by itself. */
static cs_status run_live(audit_scene *scene, cs_error *err) {
    cs_tensor logits;
    CS_TRY(audit_make_run(scene, CS_F64, NULL, &scene->live, err));
    cs_run_keep_single_nodes(scene->live);
    CS_TRY(cs_run_prepare(scene->live, err));
    CS_TRY(cs_run_forward(scene->live, scene->input, err));
    CS_TRY(audit_check_finite(scene, scene->live, "float64 forward pass", err));
    CS_TRY(cs_run_gates(scene->live, &scene->gates64, err));
    CS_TRY(cs_run_output(scene->live, &logits, err));
    scene->audit->logit64 = cs_tensor_at(&logits, 0, scene->audit->class_index, 0, 0);
    scene->audit->pool_ties = cs_run_pool_ties(scene->live);
    return audit_step(scene, scene->total_cost, err);
}

/* What the frozen run is told: gradients at the input and the gates, biases and shifts. */
static cs_status tell_frozen(audit_scene *scene, cs_error *err) {
    cs_run *run = scene->frozen;
    CS_TRY(cs_run_keep_gradient(run, audit_name(scene, 0), err));
    for (int i = 0; i < cs_gates_count(scene->gates64); i++) {
        const cs_gates_info gates = cs_gates_node(scene->gates64, i);
        if (scene->reaches[gates.node])
            CS_TRY(cs_run_keep_gradient(run, gates.name, err));
    }
    for (int i = 1; i < scene->nodes; i++) {
        const cs_node_info *info = cs_model_node(scene->model, i);
        if (info->parameters > 1)
            CS_TRY(cs_run_keep_parameter_gradient(
                run, cs_model_tensor(scene->model, info->parameter[1])->name, err));
        if (strcmp(info->op, "softmax") == 0)
            CS_TRY(cs_run_keep_activation(run, info->name, err));
    }
    CS_TRY(cs_run_keep_tangent(run, audit_name(scene, scene->output), err));
    cs_run_keep_single_nodes(run);
    return cs_run_impose_gates(run, scene->gates64, err);
}

/* Forward and backward at float64's gates. */
static cs_status run_frozen(audit_scene *scene, cs_error *err) {
    CS_TRY(cs_run_impose_gates(scene->frozen, scene->gates64, err));
    CS_TRY(cs_run_forward(scene->frozen, scene->input, err));
    cs_run_zero_parameter_gradients(scene->frozen);
    CS_TRY(cs_run_backward(scene->frozen, &scene->seed, err));
    CS_TRY(audit_check_finite(scene, scene->frozen, "float64 passes", err));
    return audit_step(scene, 2 * scene->total_cost, err);
}

static cs_status open_frozen(audit_scene *scene, cs_error *err) {
    cs_tensor gradient;
    CS_TRY(audit_make_run(scene, CS_F64, NULL, &scene->frozen, err));
    CS_TRY(tell_frozen(scene, err));
    CS_TRY(cs_run_prepare(scene->frozen, err));
    CS_TRY(run_frozen(scene, err));
    CS_TRY(cs_run_gradient(scene->frozen, audit_name(scene, 0), &gradient, err));
    CS_TRY(audit_tensor(scene, 0, CS_F64, &scene->audit->gradient64, err));
    audit_widen(&gradient, &scene->audit->gradient64);
    return CS_OK;
}

/* ------------------------------------------------------------------ parts ---------------- */

static bool is_piecewise_linear(const audit_scene *scene) {
    for (int i = 0; i < scene->nodes; i++)
        if (strcmp(cs_model_node(scene->model, i)->op, "softmax") == 0)
            return false;
    return true;
}

static cs_status open_ledger(const audit_scene *scene, cs_audit_ledger *ledger, cs_error *err) {
    ledger->nodes = calloc((size_t)scene->nodes, sizeof *ledger->nodes);
    CS_CHECK(ledger->nodes, CS_ERROR_MEMORY, "not enough memory for a ledger");
    return CS_OK;
}

/* Forward parts first, while activations are kept; then identities and gradients. */
static cs_status run_parts(audit_scene *scene, audit_source *other, cs_error *err) {
    cs_audit *audit = scene->audit;
    CS_TRY(run_float32_forward(scene, err));
    if (other->folder)
        CS_TRY(audit_source_open(scene, other, err));
    CS_TRY(run_live(scene, err));
    CS_TRY(open_ledger(scene, &audit->own, err));
    const audit_source forward = {scene->float32, NULL, scene->gates32};
    CS_TRY(audit_forward(scene, &forward, &audit->own, err));
    if (other->folder) {
        CS_TRY(open_ledger(scene, &audit->other, err));
        CS_TRY(audit_forward(scene, other, &audit->other, err));
    }
    CS_TRY(run_float32_backward(scene, err));
    CS_TRY(open_frozen(scene, err));
    CS_TRY(audit_identities(scene, err));
    CS_TRY(run_frozen(scene, err));
    CS_TRY(audit_terms(scene, err));
    CS_TRY(run_frozen(scene, err));
    const audit_source backward = {scene->float32, NULL, scene->gates32};
    CS_TRY(audit_gradient(scene, &backward, &audit->own, err));
    if (other->folder)
        CS_TRY(audit_gradient(scene, other, &audit->other, err));
    CS_TRY(audit_picture(scene, err));
    return audit_step(scene, scene->total, err);
}

cs_status cs_audit_run(cs_model *model, const cs_tensor *input, const cs_audit_options *options,
                       cs_audit **out, cs_error *err) {
    audit_scene scene = {.model = model, .input = input, .options = options};
    audit_source other = {.folder = options->against};
    cs_audit *audit = calloc(1, sizeof *audit);
    CS_CHECK(audit, CS_ERROR_MEMORY, "not enough memory for an audit");
    scene.audit = audit;
    audit->model = model;
    audit->node_count = cs_model_node_count(model);
    audit->identities = calloc((size_t)audit->node_count, sizeof *audit->identities);
    cs_status status = audit->identities ? CS_OK
                                         : cs_error_set(err, CS_ERROR_MEMORY, NULL, -1,
                                                        "not enough memory for an audit");
    if (status == CS_OK)
        status = audit_scene_open(&scene, err);
    if (status == CS_OK) {
        audit->piecewise_linear = is_piecewise_linear(&scene);
        scene.total =
            14 * scene.total_cost + audit_identities_cost(&scene) + audit_terms_cost(&scene) +
            (other.folder ? 2 : 1) * (audit_forward_cost(&scene) + audit_gradient_cost(&scene));
        status = run_parts(&scene, &other, err);
    }
    cs_gates_free(other.gates);
    audit_scene_close(&scene);
    if (status != CS_OK) {
        cs_audit_free(audit);
        return status;
    }
    *out = audit;
    return CS_OK;
}

static void free_ledger(cs_audit_ledger *ledger) {
    cs_tensor_release(&ledger->gradient32);
    cs_tensor_release(&ledger->difference_map);
    cs_tensor_release(&ledger->rounding_map);
    cs_tensor_release(&ledger->flips_map);
    cs_tensor_release(&ledger->rest_map);
    free(ledger->nodes);
}

void cs_audit_free(cs_audit *audit) {
    if (!audit)
        return;
    free_ledger(&audit->own);
    free_ledger(&audit->other);
    free(audit->identities);
    cs_tensor_release(&audit->gradient64);
    cs_tensor_release(&audit->map32);
    cs_tensor_release(&audit->map64);
    free(audit);
}
