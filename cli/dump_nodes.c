#include "dump_nodes.h"
#include "interrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_gates(const cs_node_info *node) {
    return strcmp(node->op, "relu") == 0 || strcmp(node->op, "max_pool2d") == 0;
}

bool is_learned(const cs_node_info *node, int slot) {
    return slot < 2 || strcmp(node->op, "batch_norm") != 0;
}

static cs_status add(dump_nodes *nodes, int node, const char *name, bool activation,
                     cs_error *err) {
    for (int i = 0; i < nodes->count; i++) {
        if (strcmp(nodes->items[i].name, name) == 0) {
            nodes->items[i].activation |= activation;
            return CS_OK;
        }
    }
    if (!is_file_name(name))
        return cs_error_set(err, CS_ERROR_FORMAT, name, -1,
                            "the name '%s' in the manifest cannot be the name of a file", name);
    nodes->gated[node] |= has_gates(cs_model_node(nodes->model, node));
    dump_node *item = &nodes->items[nodes->count++];
    item->node = node;
    item->activation = activation;
    snprintf(item->name, sizeof item->name, "%s", name);
    return CS_OK;
}

/* A module's or node's name on the command line. */
static cs_status add_named(dump_nodes *nodes, const char *word, cs_error *err) {
    int node = 0;
    char resolved[NAME_MAX + 1];
    CS_TRY(cs_model_find_node(nodes->model, word, &node, resolved, sizeof resolved, err));
    return add(nodes, node, resolved, true, err);
}

/* Names of parameters are files' too. */
static cs_status check_parameters(const cs_model *model, cs_error *err) {
    for (int i = 0; i < cs_model_tensor_count(model); i++) {
        const char *name = cs_model_tensor(model, i)->name;
        if (!is_file_name(name))
            return cs_error_set(err, CS_ERROR_FORMAT, name, -1,
                                "the name '%s' in the manifest cannot be the name of a file", name);
    }
    return CS_OK;
}

cs_status dump_nodes_read(dump_nodes *nodes, const cs_model *model, const char *text,
                          cs_error *err) {
    word_list words = {0};
    int total = cs_model_node_count(model), output = cs_model_output_node(model);
    bool all = strcmp(text, "all") == 0;
    nodes->model = model;
    if (nodes->parameters)
        CS_TRY(check_parameters(model, err));
    cs_status status = all ? CS_OK : word_list_split(&words, text, err);
    if (status != CS_OK)
        return status;
    nodes->items = calloc((size_t)total + (size_t)words.count + 2, sizeof *nodes->items);
    nodes->gated = calloc((size_t)total, sizeof *nodes->gated);
    if (!nodes->items || !nodes->gated)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    for (int i = 0; all && i < total && status == CS_OK; i++)
        status = add(nodes, i, cs_model_node(model, i)->name, true, err);
    for (int64_t i = 0; i < words.count && status == CS_OK; i++)
        status = add_named(nodes, words.words[i], err);
    if (status == CS_OK)
        status = add(nodes, output, cs_model_node(model, output)->name, true, err);
    if (status == CS_OK && nodes->gradients)
        status = add(nodes, 0, cs_model_node(model, 0)->name, false, err);
    word_list_free(&words);
    return status;
}

void dump_nodes_free(dump_nodes *nodes) {
    free(nodes->items);
    free(nodes->gated);
    *nodes = (dump_nodes){0};
}

static bool any_gated(const dump_nodes *nodes) {
    for (int i = 0; i < cs_model_node_count(nodes->model); i++)
        if (nodes->gated[i])
            return true;
    return false;
}

cs_status dump_nodes_watch(const dump_nodes *nodes, cs_run *run, cs_error *err) {
    CS_TRY(cs_run_keep_activation(run, cs_model_node(nodes->model, 0)->name, err));
    for (int i = 0; i < nodes->count; i++) {
        const dump_node *item = &nodes->items[i];
        if (item->activation)
            CS_TRY(cs_run_keep_activation(run, item->name, err));
        if (nodes->gradients)
            CS_TRY(cs_run_keep_gradient(run, item->name, err));
    }
    if (any_gated(nodes))
        cs_run_keep_gates(run);
    return nodes->parameters ? cs_run_keep_parameter_gradient(run, NULL, err) : CS_OK;
}

/* ------------------------------------------------------------------ writing -------------- */

static cs_status write_item(const dump_nodes *nodes, const dump_node *item, bool gradient,
                            cs_run *run, const output_folder *folder, cs_error *err) {
    char path[PATH_MAX];
    cs_tensor tensor;
    if (gradient)
        CS_TRY(cs_run_gradient(run, item->name, &tensor, err));
    else
        CS_TRY(cs_run_activation(run, item->name, &tensor, err));
    CS_TRY(output_folder_path(folder, path, err, "%s/%s.npy",
                              gradient ? "gradients" : "activations", item->name));
    return cs_npy_write(path, &tensor, cs_model_node_is_vector(nodes->model, item->node) ? 2 : 4,
                        err);
}

static cs_status write_gates(const dump_nodes *nodes, const cs_run *run,
                             const output_folder *folder, cs_error *err) {
    cs_gates *gates = NULL;
    if (!any_gated(nodes))
        return CS_OK;
    CS_TRY(cs_run_gates(run, &gates, err));
    cs_status status = CS_OK;
    for (int i = 0; i < cs_gates_count(gates) && status == CS_OK; i++)
        if (nodes->gated[cs_gates_node(gates, i).node])
            status = cs_gates_save_node(gates, i, folder->partial, err);
    cs_gates_free(gates);
    return status;
}

/* In PyTorch's shape and order. */
static cs_status write_parameter(const cs_tensor_info *info, cs_run *run,
                                 const output_folder *folder, cs_error *err) {
    char path[PATH_MAX];
    cs_tensor gradient;
    CS_TRY(cs_run_parameter_gradient(run, info->name, &gradient, err));
    CS_TRY(output_folder_path(folder, path, err, "parameters/%s.npy", info->name));
    const size_t size = (size_t)cs_tensor_count(&gradient) * cs_dtype_size(gradient.dtype);
    void *values = malloc(size ? size : 1);
    CS_CHECK(values, CS_ERROR_MEMORY, "out of memory for the gradient of %s", info->name);
    cs_tensor_copy_nchw(&gradient, values);
    const cs_status status = cs_npy_write_raw(path, gradient.dtype == CS_F32 ? "<f4" : "<f8",
                                              info->shape, info->dims, values, size, err);
    free(values);
    return status;
}

static cs_status write_parameters(const dump_nodes *nodes, cs_run *run, const output_folder *folder,
                                  cs_error *err) {
    const cs_model *model = nodes->model;
    if (!nodes->parameters)
        return CS_OK;
    CS_TRY(output_folder_make(folder, "parameters", err));
    for (int i = 0; i < cs_model_node_count(model); i++) {
        const cs_node_info *node = cs_model_node(model, i);
        CS_TRY(interrupt_check(err));
        for (int k = 0; k < node->parameters; k++)
            if (is_learned(node, k))
                CS_TRY(
                    write_parameter(cs_model_tensor(model, node->parameter[k]), run, folder, err));
    }
    return CS_OK;
}

cs_status dump_nodes_write(const dump_nodes *nodes, cs_run *run, const output_folder *folder,
                           cs_error *err) {
    char path[PATH_MAX];
    cs_tensor input;
    CS_TRY(cs_run_activation(run, cs_model_node(nodes->model, 0)->name, &input, err));
    CS_TRY(output_folder_path(folder, path, err, "input.npy"));
    CS_TRY(cs_npy_write(path, &input, 4, err));
    CS_TRY(output_folder_make(folder, "activations", err));
    if (nodes->gradients)
        CS_TRY(output_folder_make(folder, "gradients", err));
    for (int i = 0; i < nodes->count; i++) {
        const dump_node *item = &nodes->items[i];
        CS_TRY(interrupt_check(err));
        if (item->activation)
            CS_TRY(write_item(nodes, item, false, run, folder, err));
        if (nodes->gradients)
            CS_TRY(write_item(nodes, item, true, run, folder, err));
    }
    CS_TRY(write_gates(nodes, run, folder, err));
    return write_parameters(nodes, run, folder, err);
}

/* ------------------------------------------------------------------ manifest ------------- */

static void put_gated(json_writer *w, const dump_nodes *nodes, const char *key, const char *op) {
    put_array(w, key);
    for (int i = 0; i < cs_model_node_count(nodes->model); i++) {
        const cs_node_info *node = cs_model_node(nodes->model, i);
        if (nodes->gated[i] && strcmp(node->op, op) == 0)
            put_text(w, NULL, node->name);
    }
    put_close(w);
}

void put_dump_nodes(json_writer *w, const dump_nodes *nodes) {
    const cs_model *model = nodes->model;
    put_array(w, "nodes");
    for (int i = 0; i < nodes->count; i++) {
        const dump_node *item = &nodes->items[i];
        put_object(w, NULL);
        put_text(w, "file", item->name);
        put_text(w, "node", cs_model_node(model, item->node)->name);
        put_integer(w, "index", item->node);
        put_boolean(w, "activation", item->activation);
        put_boolean(w, "gradient", nodes->gradients);
        put_close(w);
    }
    put_close(w);
    put_gated(w, nodes, "gates", "relu");
    put_gated(w, nodes, "winners", "max_pool2d");
    put_array(w, "parameters");
    for (int i = 0; nodes->parameters && i < cs_model_node_count(model); i++) {
        const cs_node_info *node = cs_model_node(model, i);
        for (int k = 0; k < node->parameters; k++)
            if (is_learned(node, k))
                put_text(w, NULL, cs_model_tensor(model, node->parameter[k])->name);
    }
    put_close(w);
}
