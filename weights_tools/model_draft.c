/* model_draft.c - building a draft, node by node. */
#include "model_draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grow.h"

enum { NODES_MAX = 65536, NAME_SIZE = 256, DIMENSION_MAX = 1 << 24 };

static int add_tensor(cs_draft *draft, const char *node, const char *suffix, cs_draft_role role,
                      int dims, const int64_t *shape) {
    if (draft->status != CS_OK)
        return -1;
    cs_draft_tensor tensor = {.role = role, .dims = dims, .count = 1};
    for (int i = 0; i < dims; ++i) {
        tensor.shape[i] = shape[i];
        if (shape[i] < 1 || shape[i] > DIMENSION_MAX ||
            __builtin_mul_overflow(tensor.count, shape[i], &tensor.count))
            tensor.count = CS_DRAFT_PARAMETERS_MAX + 1;
    }
    if (tensor.count > CS_DRAFT_PARAMETERS_MAX - draft->parameters) {
        draft->status = cs_error_set(draft->err, CS_ERROR_LIMIT, NULL, -1,
                                     "%s%s: more than %lld parameters in all, this program's limit",
                                     node, suffix, (long long)CS_DRAFT_PARAMETERS_MAX);
        return -1;
    }
    draft->status =
        cs_grow((void **)&draft->tensors, &draft->tensor_capacity, draft->tensor_count + 1,
                sizeof tensor, NODES_MAX, "tensors", draft->err);
    if (draft->status != CS_OK)
        return -1;
    char name[NAME_SIZE + 16];
    snprintf(name, sizeof name, "%s%s", node, suffix);
    tensor.name = strdup(name);
    if (!tensor.name) {
        draft->status = cs_error_set(draft->err, CS_ERROR_MEMORY, NULL, -1, "no memory for names");
        return -1;
    }
    draft->tensors[draft->tensor_count] = tensor;
    draft->parameters += tensor.count;
    return (int)draft->tensor_count++;
}

static int add_node(cs_draft *draft, cs_draft_op op, const char *name, const char *module,
                    int input, int other) {
    if (draft->status != CS_OK)
        return -1;
    draft->status = cs_grow((void **)&draft->nodes, &draft->node_capacity, draft->node_count + 1,
                            sizeof *draft->nodes, NODES_MAX, "nodes", draft->err);
    if (draft->status != CS_OK)
        return -1;
    cs_draft_node node = {.name = strdup(name),
                          .module = strdup(module),
                          .op = op,
                          .input = {input, other},
                          .tensor = {-1, -1, -1, -1},
                          .stride = 1};
    if (!node.name || !node.module) {
        free(node.name);
        free(node.module);
        draft->status = cs_error_set(draft->err, CS_ERROR_MEMORY, NULL, -1, "no memory for names");
        return -1;
    }
    draft->nodes[draft->node_count] = node;
    return (int)draft->node_count++;
}

int cs_draft_input(cs_draft *draft) { return add_node(draft, CS_OP_INPUT, "input", "", -1, -1); }

int cs_draft_simple(cs_draft *draft, cs_draft_op op, const char *name, const char *module,
                    int input, int other) {
    return add_node(draft, op, name, module, input, other);
}

int cs_draft_conv2d(cs_draft *draft, const char *name, int input, const cs_draft_conv *conv) {
    int index = add_node(draft, CS_OP_CONV2D, name, name, input, -1);
    const int64_t shape[4] = {conv->out, conv->in / conv->groups, conv->kernel, conv->kernel};
    int weight = add_tensor(draft, name, ".weight", CS_ROLE_WEIGHT, 4, shape);
    if (draft->status != CS_OK)
        return -1;
    cs_draft_node *node = &draft->nodes[index];
    node->tensor[0] = weight;
    node->out_channels = conv->out;
    node->kernel = conv->kernel;
    node->stride = conv->stride;
    node->padding = conv->padding;
    node->groups = conv->groups;
    return index;
}

int cs_draft_batch_norm(cs_draft *draft, const char *name, int input, int64_t channels) {
    static const struct {
        const char *suffix;
        cs_draft_role role;
    } parts[4] = {{".weight", CS_ROLE_ONE},
                  {".bias", CS_ROLE_ZERO},
                  {".running_mean", CS_ROLE_ZERO},
                  {".running_var", CS_ROLE_VARIANCE}};
    int index = add_node(draft, CS_OP_BATCH_NORM, name, name, input, -1);
    for (int i = 0; i < 4; ++i) {
        int tensor = add_tensor(draft, name, parts[i].suffix, parts[i].role, 1, &channels);
        if (draft->status != CS_OK)
            return -1;
        draft->nodes[index].tensor[i] = tensor;
    }
    return index;
}

int cs_draft_linear(cs_draft *draft, const char *name, int input, int64_t in, int64_t out,
                    bool bias) {
    int index = add_node(draft, CS_OP_LINEAR, name, name, input, -1);
    const int64_t shape[2] = {out, in};
    int weight = add_tensor(draft, name, ".weight", CS_ROLE_WEIGHT, 2, shape);
    int offsets = bias ? add_tensor(draft, name, ".bias", CS_ROLE_ZERO, 1, &out) : -1;
    if (draft->status != CS_OK)
        return -1;
    draft->nodes[index].tensor[0] = weight;
    draft->nodes[index].tensor[1] = offsets;
    draft->nodes[index].out_channels = out;
    return index;
}

cs_draft_node *cs_draft_at(cs_draft *draft, int node) { return &draft->nodes[node]; }

const char *cs_draft_op_name(cs_draft_op op) {
    static const char *const names[] = {
        "input",   "conv2d", "batch_norm", "relu",      "max_pool2d", "adaptive_avg_pool2d",
        "flatten", "linear", "add",        "shortcut_a"};
    return names[op];
}

void cs_draft_release(cs_draft *draft) {
    for (size_t i = 0; i < draft->node_count; ++i) {
        free(draft->nodes[i].name);
        free(draft->nodes[i].module);
    }
    for (size_t i = 0; i < draft->tensor_count; ++i)
        free(draft->tensors[i].name);
    free(draft->nodes);
    free(draft->tensors);
    *draft = (cs_draft){0};
}
