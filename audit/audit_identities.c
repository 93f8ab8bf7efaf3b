/* audit_identities.c - is every backward step the transpose of its forward step?
 *
 * For a node with Jacobian J (in float64, at float64's gates) and random u, v:
 * <J u, v> = <u, Jt v>. J u is the tangent, Jt v the gradient; both sides are rounding apart from
 * equal, relative to |J u| |v|. The same for its parameters at a random input, and for the whole
 * network. Adding a gradient to itself must double it exactly: that shows that contributions are
 * added, not stored.
 */
#include "audit_scene.h"

#include <math.h>
#include <string.h>

/* What is random at one node; all float64. */
typedef struct probe {
    cs_tensor u[2], dx[2], v, tangent;
} probe;

static void probe_release(probe *p) {
    for (int k = 0; k < 2; k++) {
        cs_tensor_release(&p->u[k]);
        cs_tensor_release(&p->dx[k]);
    }
    cs_tensor_release(&p->v);
    cs_tensor_release(&p->tangent);
}

/* A direction that depends on the node alone. */
static cs_status probe_make(const audit_scene *scene, int node, probe *p, cs_error *err) {
    const cs_node_info *info = cs_model_node(scene->model, node);
    cs_random random = {1000 + (uint64_t)node};
    *p = (probe){0};
    for (int k = 0; k < info->inputs; k++) {
        CS_TRY(audit_tensor(scene, info->input[k], CS_F64, &p->u[k], err));
        CS_TRY(audit_tensor(scene, info->input[k], CS_F64, &p->dx[k], err));
        cs_random_fill_input(&random, &p->u[k]);
    }
    CS_TRY(audit_tensor(scene, node, CS_F64, &p->v, err));
    CS_TRY(audit_tensor(scene, node, CS_F64, &p->tangent, err));
    cs_random_fill_input(&random, &p->v);
    return CS_OK;
}

/* Whether each value is twice what it was. */
static bool is_double(const cs_tensor *once, const cs_tensor *twice) {
    const int64_t count = cs_tensor_count(once);
    for (int64_t i = 0; i < count; i++)
        if (((const double *)twice->data)[i] != 2 * ((const double *)once->data)[i])
            return false;
    return true;
}

/* Adds the gradient of input k to itself, in p->u[k], which is not needed any more. */
static cs_status check_adding(audit_scene *scene, int node, int k, probe *p,
                              cs_audit_identity *identity, cs_error *err) {
    memcpy(p->u[k].data, p->dx[k].data, (size_t)cs_tensor_count(&p->u[k]) * sizeof(double));
    CS_TRY(audit_node_backward(scene, scene->frozen, node, k, &p->v, &p->u[k], true, err));
    identity->accumulates &= is_double(&p->dx[k], &p->u[k]);
    return CS_OK;
}

static cs_status check_node(audit_scene *scene, int node, probe *p, cs_audit_identity *identity,
                            cs_error *err) {
    const cs_node_info *info = cs_model_node(scene->model, node);
    cs_tensor view;
    const cs_tensor *output, *const u[2] = {&p->u[0], info->inputs > 1 ? &p->u[1] : NULL};
    double right = 0;
    CS_TRY(audit_needed_output(scene, node, &view, &output, err));
    CS_TRY(cs_run_node_tangent(scene->frozen, node, output, u, &p->tangent, err));
    CS_TRY(audit_step(scene, scene->cost[node], err));
    for (int k = 0; k < info->inputs; k++) {
        CS_TRY(audit_node_backward(scene, scene->frozen, node, k, &p->v, &p->dx[k], false, err));
        right += audit_dot(&p->u[k], &p->dx[k]);
    }
    identity->adjoint = audit_ratio(audit_dot(&p->tangent, &p->v), right,
                                    audit_norm(&p->tangent) * audit_norm(&p->v));
    for (int k = 0; k < info->inputs; k++)
        CS_TRY(check_adding(scene, node, k, p, identity, err));
    return CS_OK;
}

/* ------------------------------------------------------------------ parameters ----------- */

/* Parameters' tangents, their gradients, and the gradients after a second time. */
typedef struct parameter_probe {
    cs_tensor w[2], dw[2], twice[2];
} parameter_probe;

static void parameter_probe_release(parameter_probe *q) {
    for (int i = 0; i < 2; i++) {
        cs_tensor_release(&q->w[i]);
        cs_tensor_release(&q->dw[i]);
        cs_tensor_release(&q->twice[i]);
    }
}

/* p->u[0] is the input here. The tangent is added to zeros. */
static cs_status check_parameters(audit_scene *scene, int node, int count, probe *p,
                                  parameter_probe *q, cs_audit_identity *identity, cs_error *err) {
    cs_random random = {5000 + (uint64_t)node};
    const cs_tensor *w[2] = {NULL, NULL};
    cs_tensor *dw[2] = {NULL, NULL};
    double right = 0;
    for (int i = 0; i < count; i++) {
        CS_TRY(audit_parameter_tensor(scene, node, i, &q->w[i], err));
        CS_TRY(audit_parameter_tensor(scene, node, i, &q->dw[i], err));
        cs_random_fill_input(&random, &q->w[i]);
        w[i] = &q->w[i];
        dw[i] = &q->dw[i];
    }
    cs_random_fill_input(&random, &p->u[0]);
    memset(p->tangent.data, 0, (size_t)cs_tensor_count(&p->tangent) * sizeof(double));
    CS_TRY(cs_run_node_parameter_tangent(scene->frozen, node, &p->u[0], w, &p->tangent, err));
    CS_TRY(audit_step(scene, scene->cost[node], err));
    CS_TRY(cs_run_node_parameter_gradient(scene->frozen, node, &p->u[0], &p->v, dw, err));
    CS_TRY(audit_step(scene, scene->cost[node], err));
    for (int i = 0; i < count; i++) {
        right += audit_dot(w[i], dw[i]);
        CS_TRY(audit_parameter_tensor(scene, node, i, &q->twice[i], err));
        audit_add(&q->twice[i], dw[i], 1);
        dw[i] = &q->twice[i];
    }
    identity->parameter_adjoint = audit_ratio(audit_dot(&p->tangent, &p->v), right,
                                              audit_norm(&p->tangent) * audit_norm(&p->v));
    CS_TRY(cs_run_node_parameter_gradient(scene->frozen, node, &p->u[0], &p->v, dw, err));
    for (int i = 0; i < count; i++)
        identity->accumulates &= is_double(&q->dw[i], dw[i]);
    return audit_step(scene, scene->cost[node], err);
}

/* ------------------------------------------------------------------ network -------------- */

static cs_status check_network(audit_scene *scene, cs_error *err) {
    cs_tensor y, dx;
    probe p = {0};
    cs_random random = {77};
    cs_run *run = scene->frozen;
    const char *output = audit_name(scene, scene->output);
    cs_status status = audit_tensor(scene, 0, CS_F64, &p.u[0], err);
    if (status == CS_OK)
        status = audit_tensor(scene, scene->output, CS_F64, &p.v, err);
    if (status == CS_OK) {
        cs_random_fill_input(&random, &p.u[0]);
        cs_random_fill_input(&random, &p.v);
        const cs_direction direction = {&p.u[0], NULL};
        status = cs_run_tangent(run, &direction, err);
    }
    if (status == CS_OK)
        status = cs_run_tangent_of(run, output, &y, err);
    if (status == CS_OK)
        status = cs_run_backward(run, &p.v, err);
    if (status == CS_OK)
        status = cs_run_gradient(run, audit_name(scene, 0), &dx, err);
    if (status == CS_OK)
        scene->audit->network_adjoint = audit_ratio(audit_dot(&y, &p.v), audit_dot(&p.u[0], &dx),
                                                    audit_norm(&y) * audit_norm(&p.v));
    probe_release(&p);
    CS_TRY(status);
    return audit_step(scene, 2 * scene->total_cost, err);
}

cs_status audit_identities(audit_scene *scene, cs_error *err) {
    for (int i = 0; i < scene->nodes; i++) {
        cs_audit_identity *identity = &scene->audit->identities[i];
        const cs_node_info *info = cs_model_node(scene->model, i);
        const int count = info->parameters < 2 ? info->parameters : 2;
        probe p;
        parameter_probe q = {0};
        *identity = (cs_audit_identity){0, (double)NAN, true};
        if (i == 0)
            continue;
        cs_status status = probe_make(scene, i, &p, err);
        if (status == CS_OK)
            status = check_node(scene, i, &p, identity, err);
        if (status == CS_OK && count > 0)
            status = check_parameters(scene, i, count, &p, &q, identity, err);
        parameter_probe_release(&q);
        probe_release(&p);
        CS_TRY(status);
    }
    return check_network(scene, err);
}

double audit_identities_cost(const audit_scene *scene) {
    double cost = 2 * scene->total_cost;
    for (int i = 1; i < scene->nodes; i++) {
        const cs_node_info *info = cs_model_node(scene->model, i);
        cost += scene->cost[i] * (1 + 2 * info->inputs + (info->parameters > 0 ? 3 : 0));
    }
    return cost;
}
