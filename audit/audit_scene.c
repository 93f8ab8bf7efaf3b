/* audit_scene.c - runs, shapes, costs and memory of nodes for an audit. */
#include "audit_scene.h"

#include <stdlib.h>
#include <string.h>

const char *audit_name(const audit_scene *scene, int node) {
    return cs_model_node(scene->model, node)->name;
}

/* ------------------------------------------------------------------ scene ---------------- */

/* Multiply-adds of a node's step; at least one a value. */
static double node_cost(const audit_scene *scene, int node) {
    const cs_node_info *info = cs_model_node(scene->model, node);
    const int64_t *out = scene->shape[node];
    const double count = (double)(out[0] * out[1] * out[2]);
    if (strcmp(info->op, "conv2d") != 0 && strcmp(info->op, "linear") != 0)
        return count;
    const cs_tensor_info *weight = cs_model_tensor(scene->model, info->parameter[0]);
    return count * (1 + (double)weight->count / (double)out[0]);
}

static cs_status measure_nodes(audit_scene *scene, cs_error *err) {
    const cs_tensor *x = scene->input;
    for (int i = 0; i < scene->nodes; i++) {
        const cs_node_info *info = cs_model_node(scene->model, i);
        CS_TRY(cs_model_node_shape(scene->model, i, x->h, x->w, scene->shape[i], err));
        scene->cost[i] = node_cost(scene, i);
        scene->total_cost += scene->cost[i];
        scene->last_reader[i] = i;
        for (int k = 0; k < info->inputs; k++)
            scene->last_reader[info->input[k]] = i;
    }
    scene->reaches[scene->output] = true;
    for (int i = scene->output; i > 0; i--) {
        const cs_node_info *info = cs_model_node(scene->model, i);
        for (int k = 0; scene->reaches[i] && k < info->inputs; k++) {
            const int j = info->input[k];
            scene->reaches[j] = true;
            scene->reader[j] = scene->readers[j]++ == 0 ? i : scene->reader[j];
        }
    }
    CS_CHECK(x->c == scene->shape[0][0], CS_ERROR_ARGUMENT,
             "an input of %lld channels; the model takes %lld", (long long)x->c,
             (long long)scene->shape[0][0]);
    return CS_OK;
}

cs_status audit_scene_open(audit_scene *scene, cs_error *err) {
    const size_t nodes = (size_t)cs_model_node_count(scene->model);
    CS_CHECK(scene->input && scene->input->n == 1 && scene->input->dtype == CS_F32,
             CS_ERROR_ARGUMENT, "an audit takes one image, in float32");
    scene->nodes = (int)nodes;
    scene->output = cs_model_output_node(scene->model);
    scene->shape = calloc(nodes, sizeof *scene->shape);
    scene->reaches = calloc(nodes, sizeof *scene->reaches);
    scene->readers = calloc(nodes, sizeof *scene->readers);
    scene->reader = calloc(nodes, sizeof *scene->reader);
    scene->last_reader = calloc(nodes, sizeof *scene->last_reader);
    scene->cost = calloc(nodes, sizeof *scene->cost);
    CS_CHECK(scene->shape && scene->reaches && scene->readers && scene->reader &&
                 scene->last_reader && scene->cost,
             CS_ERROR_MEMORY, "not enough memory for an audit of %zu nodes", nodes);
    return measure_nodes(scene, err);
}

void audit_scene_close(audit_scene *scene) {
    free(scene->shape);
    free(scene->reaches);
    free(scene->readers);
    free(scene->reader);
    free(scene->last_reader);
    free(scene->cost);
    cs_tensor_release(&scene->seed);
    cs_run_free(scene->float32);
    cs_run_free(scene->live);
    cs_run_free(scene->frozen);
    cs_gates_free(scene->gates32);
    cs_gates_free(scene->gates64);
}

cs_status audit_make_run(const audit_scene *scene, cs_dtype dtype, cs_params *params, cs_run **run,
                         cs_error *err) {
    cs_run_options options = scene->options->run;
    options.dtype = dtype;
    options.max_batch = 1;
    options.height = scene->input->h;
    options.width = scene->input->w;
    if (params)
        options.params = params;
    if (dtype == CS_F64)
        options.engine = CS_ENGINE_DIRECT;
    return cs_run_create(scene->model, &options, run, err);
}

cs_status audit_check_finite(const audit_scene *scene, const cs_run *run, const char *pass,
                             cs_error *err) {
    const char *where = NULL;
    (void)scene;
    if (cs_run_status(run, &where) == CS_OK)
        return CS_OK;
    return cs_error_set(err, CS_ERROR_NUMERIC, where, -1,
                        "NaN or infinity in the %s, first in \"%s\": there is no gradient to "
                        "audit; check the image and the weights (cnnscope dump shows the values)",
                        pass, where);
}

cs_status audit_step(audit_scene *scene, double cost, cs_error *err) {
    const cs_audit_options *options = scene->options;
    scene->done += cost;
    const double done = scene->done < scene->total ? scene->done : scene->total;
    if (options->stop && options->stop(options->stop_state, (int64_t)done, (int64_t)scene->total))
        return cs_error_set(err, CS_ERROR_INTERRUPTED, NULL, -1, "interrupted");
    return CS_OK;
}

/* ------------------------------------------------------------------ memory of nodes ------ */

cs_status audit_tensor(const audit_scene *scene, int node, cs_dtype dtype, cs_tensor *t,
                       cs_error *err) {
    const int64_t *s = scene->shape[node];
    return cs_tensor_allocate(t, dtype, 1, s[0], s[1], s[2], err);
}

cs_status audit_parameter_tensor(const audit_scene *scene, int node, int i, cs_tensor *t,
                                 cs_error *err) {
    const cs_node_info *info = cs_model_node(scene->model, node);
    const cs_tensor_info *tensor = cs_model_tensor(scene->model, info->parameter[i]);
    int64_t s[4] = {1, 1, 1, 1};
    for (int k = 0; k < tensor->dims; k++)
        s[tensor->dims == 1 ? 1 : k] = tensor->shape[k];
    return cs_tensor_allocate(t, CS_F64, s[0], s[1], s[2], s[3], err);
}

cs_status audit_values_open(audit_values *values, const audit_scene *scene, cs_error *err) {
    *values = (audit_values){.scene = scene};
    values->of = calloc((size_t)scene->nodes, sizeof *values->of);
    values->spare = calloc((size_t)scene->nodes, sizeof *values->spare);
    for (int i = 0; i < scene->nodes; i++) {
        const int64_t *s = scene->shape[i];
        const size_t size = (size_t)(s[0] * s[1] * s[2]) * sizeof(double);
        values->largest = size > values->largest ? size : values->largest;
    }
    CS_CHECK(values->of && values->spare, CS_ERROR_MEMORY, "not enough memory for values of nodes");
    return CS_OK;
}

void audit_values_drop(audit_values *values, int node) {
    if (values->of[node].data && values->spare)
        values->spare[values->spares++] = values->of[node].data;
    values->of[node].data = NULL;
}

void audit_values_close(audit_values *values) {
    for (int i = 0; values->of && values->spare && i < values->scene->nodes; i++)
        audit_values_drop(values, i);
    for (int i = 0; values->spare && i < values->spares; i++)
        free(values->spare[i]);
    free(values->of);
    free(values->spare);
    *values = (audit_values){0};
}

cs_status audit_values_make(audit_values *values, int node, cs_error *err) {
    cs_tensor *t = &values->of[node];
    if (t->data)
        return CS_OK;
    const int64_t *s = values->scene->shape[node];
    *t = (cs_tensor){CS_F64, 1, s[0], s[1], s[2], NULL};
    if (values->spares > 0) {
        t->data = values->spare[--values->spares];
        return CS_OK;
    }
    t->data = aligned_alloc(64, (values->largest + 127) / 64 * 64);
    CS_CHECK(t->data, CS_ERROR_MEMORY, "not enough memory for the values of a node: %zu bytes",
             values->largest);
    return CS_OK;
}

void audit_values_drop_inputs(audit_values *values, int node) {
    const audit_scene *scene = values->scene;
    const cs_node_info *info = cs_model_node(scene->model, node);
    for (int k = 0; k < info->inputs; k++)
        if (scene->last_reader[info->input[k]] == node)
            audit_values_drop(values, info->input[k]);
    if (scene->last_reader[node] == node)
        audit_values_drop(values, node);
}

/* ------------------------------------------------------------------ steps of nodes ------- */

cs_status audit_node_forward(audit_scene *scene, cs_run *run, audit_values *values, int node,
                             cs_error *err) {
    const cs_node_info *info = cs_model_node(scene->model, node);
    const cs_tensor *inputs[2] = {NULL, NULL};
    for (int k = 0; k < info->inputs; k++)
        inputs[k] = &values->of[info->input[k]];
    CS_TRY(audit_values_make(values, node, err));
    CS_TRY(cs_run_node_forward(run, node, inputs, &values->of[node], err));
    return audit_step(scene, scene->cost[node], err);
}

cs_status audit_needed_output(audit_scene *scene, int node, cs_tensor *view,
                              const cs_tensor **output, cs_error *err) {
    *output = NULL;
    if (strcmp(cs_model_node(scene->model, node)->op, "softmax") != 0)
        return CS_OK;
    CS_TRY(cs_run_activation(scene->frozen, audit_name(scene, node), view, err));
    *output = view;
    return CS_OK;
}

cs_status audit_node_backward(audit_scene *scene, cs_run *run, int node, int input,
                              const cs_tensor *doutput, cs_tensor *dinput, bool add,
                              cs_error *err) {
    cs_tensor view;
    const cs_tensor *output;
    cs_tensor *const dinputs[2] = {input == 0 ? dinput : NULL, input == 1 ? dinput : NULL};
    CS_TRY(audit_needed_output(scene, node, &view, &output, err));
    if (output && run == scene->float32)
        CS_TRY(cs_run_activation(run, audit_name(scene, node), &view, err));
    CS_TRY(cs_run_node_backward(run, node, output, doutput, dinputs, add, err));
    return audit_step(scene, scene->cost[node], err);
}
