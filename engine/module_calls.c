/* module_calls.c - the calls of a module: the stretches of nodes that its path means.
 *
 * A module that is a single operation (a ReLU) is called once a node; any other (a block, a
 * stage) once for each unbroken stretch of nodes below it.
 */
#include "hooks.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* True where the node is one call of a module of its own: it is named as the module, or as the
 * module with a number ("layer1.0.relu_1"). */
static bool is_whole_module(const cs_node_info *node) {
    const size_t length = strlen(node->module);
    if (length == 0 || strncmp(node->name, node->module, length) != 0)
        return false;
    const char *rest = node->name + length;
    if (*rest == 0)
        return true;
    if (*rest++ != '_' || *rest == 0)
        return false;
    while (isdigit((unsigned char)*rest))
        rest++;
    return *rest == 0;
}

size_t module_container(const cs_node_info *node) {
    if (!is_whole_module(node))
        return strlen(node->module);
    const char *dot = strrchr(node->module, '.');
    return dot ? (size_t)(dot - node->module) : 0;
}

bool module_holds(const cs_node_info *node, const char *path, size_t length) {
    const size_t container = module_container(node);
    return length == 0 || (container >= length && strncmp(node->module, path, length) == 0 &&
                           (container == length || node->module[length] == '.'));
}

/* ------------------------------------------------------------------ inputs --------------- */

/* Adds operand k of `node`, unless the value is among the inputs already. */
static void add_input(hook_call *call, const cs_node_info *info, int node, int k, bool single) {
    for (int i = 0; i < call->input_count && !single; i++)
        if (call->inputs[i].tensor == info->input[k])
            return;
    call->inputs[call->input_count++] = (hook_input){
        .tensor = info->input[k], .reader = node, .operand = k, .single = single, .slot = -1};
}

static cs_status find_inputs(const cs_model *model, hook_call *call, cs_error *err) {
    size_t most = 1;
    for (int i = call->first; i <= call->last; i++)
        for (int k = 0; k < model->nodes[i].inputs; k++)
            most += model->nodes[i].input[k] < call->first;
    call->inputs = calloc(most, sizeof *call->inputs);
    call->views = calloc(most, sizeof *call->views);
    CS_CHECK(call->inputs && call->views, CS_ERROR_MEMORY, "not enough memory for a hook");
    for (int i = call->first; i <= call->last; i++)
        for (int k = 0; k < model->nodes[i].inputs; k++)
            if (model->nodes[i].input[k] < call->first)
                add_input(call, &model->nodes[i], i, k, call->first == call->last);
    return CS_OK;
}

/* A call has one output: nothing else of it may be read outside. */
static cs_status check_output(const cs_model *model, const hook_call *call, const char *path,
                              cs_error *err) {
    int leak = model->output >= call->first && model->output < call->last ? model->output : -1;
    for (int i = call->last + 1; i < model->node_count && leak < 0; i++)
        for (int k = 0; k < model->nodes[i].inputs; k++)
            if (model->nodes[i].input[k] >= call->first && model->nodes[i].input[k] < call->last)
                leak = model->nodes[i].input[k];
    if (leak >= 0)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, path, -1,
                            "\"%s\" cannot be hooked as a module: beside its output \"%s\", its "
                            "node \"%s\" is read outside it; hook its nodes by their own names",
                            path, model->nodes[call->last].name, model->nodes[leak].name);
    return CS_OK;
}

/* ------------------------------------------------------------------ calls ---------------- */

/* Appends nodes first..last as a call. */
static cs_status add_call(const cs_model *model, const char *path, hook_call **calls, int *count,
                          hook_call call, cs_error *err) {
    hook_call *grown = realloc(*calls, ((size_t)*count + 1) * sizeof *grown);
    CS_CHECK(grown, CS_ERROR_MEMORY, "not enough memory for a hook");
    *calls = grown;
    call.index = *count;
    grown[(*count)++] = call;
    CS_TRY(check_output(model, &call, path, err));
    return find_inputs(model, &grown[*count - 1], err);
}

/* The unbroken stretches of nodes that a container holds. */
static cs_status find_container(const cs_model *model, const char *path, hook_call **calls,
                                int *count, cs_error *err) {
    const size_t length = strlen(path);
    const int end = length > 0 ? model->node_count : model->output + 1;
    for (int i = 1; i < end; i++) {
        if (!module_holds(&model->nodes[i], path, length))
            continue;
        hook_call call = {.first = i, .depth = (int)length};
        while (i + 1 < end && module_holds(&model->nodes[i + 1], path, length))
            i++;
        call.last = i;
        CS_TRY(add_call(model, path, calls, count, call, err));
    }
    return CS_OK;
}

/* Each node of a module that is a single operation. */
static cs_status find_leaves(const cs_model *model, const char *path, hook_call **calls, int *count,
                             cs_error *err) {
    for (int i = 1; i < model->node_count; i++)
        if (is_whole_module(&model->nodes[i]) && strcmp(model->nodes[i].module, path) == 0)
            CS_TRY(add_call(model, path, calls, count,
                            (hook_call){.first = i, .last = i, .depth = INT_MAX}, err));
    return CS_OK;
}

cs_status module_calls_find(const cs_model *model, const char *path, char *resolved,
                            size_t resolved_size, hook_call **calls, int *count, cs_error *err) {
    int node = 0;
    *calls = NULL;
    *count = 0;
    resolved[0] = 0;
    if (path[0])
        CS_TRY(cs_model_find_node(model, path, &node, resolved, resolved_size, err));
    cs_status status = find_container(model, resolved, calls, count, err);
    if (status == CS_OK && *count == 0)
        status = find_leaves(model, resolved, calls, count, err);
    if (status == CS_OK && *count == 0)
        status = strcmp(model->nodes[node].name, resolved) == 0
                     ? add_call(model, resolved, calls, count,
                                (hook_call){.first = node, .last = node, .depth = INT_MAX}, err)
                     : cs_error_set(err, CS_ERROR_UNSUPPORTED, resolved, -1,
                                    "\"%s\" begins names of nodes, and is no module in this "
                                    "manifest; hook its nodes by their own names",
                                    resolved);
    if (status != CS_OK) {
        module_calls_free(*calls, *count);
        *calls = NULL;
        *count = 0;
    }
    return status;
}

void module_calls_free(hook_call *calls, int count) {
    for (int i = 0; i < count; i++) {
        free(calls[i].inputs);
        free(calls[i].views);
    }
    free(calls);
}
