/* audit_terms.c - does the gradient say what the network does?
 *
 * With its gates and winners held, a network of convolutions, batch norms, ReLUs and pools is
 * affine in its input x and in its biases and shifts, so that with g = df/dx
 *
 *   f(x) = <g, x> + sum over biases b of <df/db, b> + sum over batch norms of <df/dshift, shift>
 *   (f(x + u) - f(x - u)) / 2 = <g, u>       for any u, however large
 *
 * exactly (shift = beta - mean * scale, and df/dshift = df/dbeta). Rounding is judged relative to
 * the sum of the absolute terms. With live gates the difference quotient has an error of its own:
 * gates that flip between its ends for large steps, cancellation for small ones; it is shown, not
 * judged.
 */
#include "audit_scene.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ completeness --------- */

/* shift[c] as docs/arithmetic.md has it in float64. */
static double shift_of(const cs_model *model, const cs_node_info *info, int64_t c) {
    const float *value[4];
    for (int i = 0; i < 4; i++)
        value[i] = cs_model_tensor(model, info->parameter[i])->data;
    const double scale = (double)value[0][c] / sqrt((double)value[3][c] + info->attributes.eps);
    return fma(-(double)value[2][c], scale, (double)value[1][c]);
}

/* <df/db, b>, or <df/dbeta, shift>, and the sum of absolute terms. */
static cs_status add_constants(audit_scene *scene, int node, double *absolute, cs_error *err) {
    const cs_node_info *info = cs_model_node(scene->model, node);
    const bool norm = strcmp(info->op, "batch_norm") == 0;
    cs_tensor db;
    if (info->parameters < 2)
        return CS_OK;
    const cs_tensor_info *bias = cs_model_tensor(scene->model, info->parameter[1]);
    CS_TRY(cs_run_parameter_gradient(scene->frozen, bias->name, &db, err));
    double sum = 0;
    for (int64_t c = 0; c < bias->count; c++) {
        const double b = norm ? shift_of(scene->model, info, c) : (double)bias->data[c];
        const double term = ((const double *)db.data)[c] * b;
        sum += term;
        *absolute += fabs(term);
    }
    *(norm ? &scene->audit->shift_terms : &scene->audit->bias_terms) += sum;
    return CS_OK;
}

static cs_status completeness(audit_scene *scene, const cs_tensor *x, cs_error *err) {
    cs_audit *audit = scene->audit;
    double absolute = audit_absolute_dot(&audit->gradient64, x);
    audit->input_term = audit_dot(&audit->gradient64, x);
    for (int i = 1; i < scene->nodes; i++)
        CS_TRY(add_constants(scene, i, &absolute, err));
    audit->completeness = audit_ratio(audit->input_term + audit->bias_terms + audit->shift_terms,
                                      audit->logit64, absolute);
    return CS_OK;
}

/* ------------------------------------------------------------------ differences ---------- */

static cs_status value_at(audit_scene *scene, cs_run *run, const cs_tensor *x, const cs_tensor *u,
                          double step, cs_tensor *moved, double *f, cs_error *err) {
    cs_tensor logits;
    memcpy(moved->data, x->data, (size_t)cs_tensor_count(x) * sizeof(double));
    audit_add(moved, u, step);
    CS_TRY(cs_run_forward(run, moved, err));
    CS_TRY(cs_run_output(run, &logits, err));
    *f = cs_tensor_at(&logits, 0, scene->audit->class_index, 0, 0);
    return audit_step(scene, scene->total_cost, err);
}

/* Both ends of the difference; the gates of the second stay in the run. */
static cs_status difference(audit_scene *scene, cs_run *run, const cs_tensor *x, const cs_tensor *u,
                            double step, cs_tensor *moved, cs_audit_live *live, double *error,
                            cs_error *err) {
    double up, down;
    cs_gates *gates = NULL, *other = NULL;
    CS_TRY(value_at(scene, run, x, u, step, moved, &up, err));
    cs_status status = live ? cs_run_gates(run, &gates, err) : CS_OK;
    if (status == CS_OK)
        status = value_at(scene, run, x, u, -step, moved, &down, err);
    if (status == CS_OK)
        *error = audit_ratio((up - down) / (2 * step), audit_dot(&scene->audit->gradient64, u),
                             audit_absolute_dot(&scene->audit->gradient64, u));
    if (status == CS_OK && live)
        status = cs_run_gates(run, &other, err);
    for (int i = 0; status == CS_OK && live && i < cs_gates_count(gates); i++) {
        int64_t flipped;
        status = cs_gates_flipped(gates, other, i, &flipped, err);
        live->flipped += status == CS_OK ? flipped : 0;
    }
    cs_gates_free(gates);
    cs_gates_free(other);
    return status;
}

static cs_status differences(audit_scene *scene, const cs_tensor *x, cs_tensor *u, cs_tensor *moved,
                             cs_error *err) {
    cs_audit *audit = scene->audit;
    double step = 1;
    for (int i = 0; i < CS_AUDIT_DIRECTIONS; i++) {
        cs_random random = {1 + (uint64_t)i};
        cs_random_fill_input(&random, u);
        CS_TRY(difference(scene, scene->frozen, x, u, 1, moved, NULL, &audit->frozen[i], err));
    }
    cs_random random = {1};
    cs_random_fill_input(&random, u);
    for (int i = 0; i < CS_AUDIT_STEPS; i++) {
        cs_audit_live *live = &audit->live[i];
        live->step = step;
        CS_TRY(difference(scene, scene->live, x, u, step, moved, live, &live->error, err));
        step /= 10;
    }
    return CS_OK;
}

/* The frozen run's last backward was that of the class's logit. Its forward is lost. */
cs_status audit_terms(audit_scene *scene, cs_error *err) {
    cs_tensor x = {0}, u = {0}, moved = {0};
    cs_status status = audit_tensor(scene, 0, CS_F64, &x, err);
    if (status == CS_OK)
        status = audit_tensor(scene, 0, CS_F64, &u, err);
    if (status == CS_OK)
        status = audit_tensor(scene, 0, CS_F64, &moved, err);
    if (status == CS_OK) {
        audit_widen(scene->input, &x);
        status = completeness(scene, &x, err);
    }
    if (status == CS_OK)
        status = differences(scene, &x, &u, &moved, err);
    cs_tensor_release(&x);
    cs_tensor_release(&u);
    cs_tensor_release(&moved);
    return status;
}

double audit_terms_cost(const audit_scene *scene) {
    return 2 * (CS_AUDIT_DIRECTIONS + CS_AUDIT_STEPS) * scene->total_cost;
}
