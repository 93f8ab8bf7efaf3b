#include "dump_nodes.h"
#include "interrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names come from a manifest, which may come from anywhere. */
static bool is_file_name(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX - 16 || name[0] == '.')
        return false;
    for (const char *c = name; *c; c++)
        if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7F)
            return false;
    return true;
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
                            "the node's name '%s' cannot be the name of a file", name);
    dump_node *item = &nodes->items[nodes->count++];
    item->node = node;
    item->activation = activation;
    snprintf(item->name, sizeof item->name, "%s", name);
    return CS_OK;
}

/* A module's or node's name on the command line. */
static cs_status add_named(dump_nodes *nodes, const cs_model *model, const char *word,
                           cs_error *err) {
    int node = 0;
    char resolved[NAME_MAX + 1];
    CS_TRY(cs_model_find_node(model, word, &node, resolved, sizeof resolved, err));
    return add(nodes, node, resolved, true, err);
}

/* What a flatten or linear gives, and what keeps that shape, are vectors in PyTorch. */
static void find_vectors(dump_nodes *nodes, const cs_model *model) {
    for (int i = 0; i < cs_model_node_count(model); i++) {
        const cs_node_info *info = cs_model_node(model, i);
        bool makes = strcmp(info->op, "flatten") == 0 || strcmp(info->op, "linear") == 0;
        nodes->is_vector[i] = makes || (info->inputs > 0 && nodes->is_vector[info->input[0]]);
    }
}

cs_status dump_nodes_read(dump_nodes *nodes, const cs_model *model, const char *text,
                          bool gradients, cs_error *err) {
    word_list words = {0};
    int total = cs_model_node_count(model), output = cs_model_output_node(model);
    bool all = strcmp(text, "all") == 0;
    nodes->gradients = gradients;
    cs_status status = all ? CS_OK : word_list_split(&words, text, err);
    if (status != CS_OK)
        return status;
    nodes->items = calloc((size_t)total + (size_t)words.count + 2, sizeof *nodes->items);
    nodes->is_vector = calloc((size_t)total, sizeof *nodes->is_vector);
    if (!nodes->items || !nodes->is_vector)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    else
        find_vectors(nodes, model);
    for (int i = 0; all && i < total && status == CS_OK; i++)
        status = add(nodes, i, cs_model_node(model, i)->name, true, err);
    for (int64_t i = 0; i < words.count && status == CS_OK; i++)
        status = add_named(nodes, model, words.words[i], err);
    if (status == CS_OK)
        status = add(nodes, output, cs_model_node(model, output)->name, true, err);
    if (status == CS_OK && gradients)
        status = add(nodes, 0, cs_model_node(model, 0)->name, false, err);
    word_list_free(&words);
    return status;
}

void dump_nodes_free(dump_nodes *nodes) {
    free(nodes->items);
    free(nodes->is_vector);
    *nodes = (dump_nodes){0};
}

cs_status dump_nodes_watch(const dump_nodes *nodes, const cs_model *model, cs_run *run,
                           cs_error *err) {
    CS_TRY(cs_run_keep_activation(run, cs_model_node(model, 0)->name, err));
    for (int i = 0; i < nodes->count; i++) {
        const dump_node *item = &nodes->items[i];
        if (item->activation)
            CS_TRY(cs_run_keep_activation(run, item->name, err));
        if (nodes->gradients)
            CS_TRY(cs_run_keep_gradient(run, item->name, err));
    }
    return CS_OK;
}

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
    return cs_npy_write(path, &tensor, nodes->is_vector[item->node] ? 2 : 4, err);
}

cs_status dump_nodes_write(const dump_nodes *nodes, const cs_model *model, cs_run *run,
                           const output_folder *folder, cs_error *err) {
    char path[PATH_MAX];
    cs_tensor input;
    CS_TRY(cs_run_activation(run, cs_model_node(model, 0)->name, &input, err));
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
    return CS_OK;
}

void put_dump_nodes(json_writer *w, const dump_nodes *nodes, const cs_model *model) {
    put_array(w, "nodes");
    for (int i = 0; i < nodes->count; i++) {
        const dump_node *item = &nodes->items[i];
        put_object(w, NULL);
        put_text(w, "file", item->name);
        put_text(w, "node", cs_model_node(model, item->node)->name);
        put_boolean(w, "activation", item->activation);
        put_boolean(w, "gradient", nodes->gradients);
        put_close(w);
    }
    put_close(w);
}
