/* manifest_graph.c - the manifest's graph: operations, attributes, wiring (docs/formats.md 1.2). */
#include "manifest_json.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which fields an operation has. */
enum {
    HAS_WEIGHT = 1,
    HAS_NORM = 2,
    HAS_KERNEL = 4,
    HAS_STRIDE = 8,
    HAS_PADDING = 16,
    HAS_DILATION = 32,
    HAS_GROUPS = 64,
    HAS_CEIL = 128,
    HAS_COUNT = 256,
    HAS_PAD_CHANNELS = 512,
    HAS_SLIDE = HAS_KERNEL | HAS_STRIDE | HAS_PADDING
};

static const struct operation {
    const char *name;
    unsigned fields;
} operations[] = {
    {"input", 0},
    {"conv2d", HAS_WEIGHT | HAS_SLIDE | HAS_DILATION | HAS_GROUPS},
    {"batch_norm", HAS_NORM},
    {"relu", 0},
    {"max_pool2d", HAS_SLIDE | HAS_DILATION | HAS_CEIL},
    {"avg_pool2d", HAS_SLIDE | HAS_CEIL | HAS_COUNT},
    {"adaptive_avg_pool2d", 0},
    {"linear", HAS_WEIGHT},
    {"add", 0},
    {"flatten", 0},
    {"softmax", 0},
    {"shortcut_a", HAS_STRIDE | HAS_PAD_CHANNELS},
};

static const struct operation *find_operation(const char *op) {
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, op) == 0)
            return &operations[i];
    return NULL;
}

static cs_status parse_attributes(json_place place, const cJSON *item, unsigned fields,
                                  cs_node_attributes *a, cs_error *err) {
    const int64_t most = MODEL_DIMENSION_LIMIT;
    if (fields & HAS_WEIGHT)
        CS_TRY(json_integer(place, item, "out_channels", 1, most, &a->out_channels, err));
    if (fields & HAS_KERNEL)
        CS_TRY(json_pair(place, item, "kernel_size", 1, 4096, a->kernel_size, err));
    if (fields & HAS_STRIDE)
        CS_TRY(json_pair(place, item, "stride", 1, 4096, a->stride, err));
    if (fields & HAS_PADDING)
        CS_TRY(json_pair(place, item, "padding", 0, 4096, a->padding, err));
    if (fields & HAS_DILATION)
        CS_TRY(json_pair(place, item, "dilation", 1, 4096, a->dilation, err));
    if (fields & HAS_GROUPS)
        CS_TRY(json_integer(place, item, "groups", 1, most, &a->groups, err));
    if (fields & HAS_CEIL)
        CS_TRY(json_bool(place, item, "ceil_mode", &a->ceil_mode, err));
    if (fields & HAS_COUNT)
        CS_TRY(json_bool(place, item, "count_include_pad", &a->count_include_pad, err));
    if (fields & HAS_PAD_CHANNELS)
        CS_TRY(json_pair(place, item, "pad_channels", 0, most, a->pad_channels, err));
    if (fields & HAS_NORM) {
        CS_TRY(json_number(place, item, "eps", &a->eps, err));
        if (!(a->eps >= 0 && a->eps < 1))
            return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                                "%s: %s: eps is %.17g; a number from 0 to 1 was expected",
                                place.file, place.where, a->eps);
    }
    return CS_OK;
}

/* Adds a parameter by the name in item[key]; `optional` allows null. */
static cs_status add_parameter(cs_model *model, json_place place, const cJSON *item,
                               const char *key, bool optional, cs_node_info *node, cs_error *err) {
    const char *name;
    if (optional && cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(item, key)))
        return CS_OK;
    CS_TRY(json_string(place, item, key, &name, err));
    const int tensor = name_index_find(&model->tensor_names, &model->tensors[0].name,
                                       sizeof *model->tensors, name);
    if (tensor < 0)
        return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                            "%s: %s: \"%s\" names the tensor \"%.200s\", which \"tensors\" lacks",
                            place.file, place.where, key, name);
    node->parameter[node->parameters++] = tensor;
    return CS_OK;
}

static cs_status parse_parameters(cs_model *model, json_place place, const cJSON *item,
                                  unsigned fields, cs_node_info *node, cs_error *err) {
    if (fields & HAS_WEIGHT) {
        CS_TRY(add_parameter(model, place, item, "weight", false, node, err));
        CS_TRY(add_parameter(model, place, item, "bias", true, node, err));
    }
    static const char *const norm[] = {"weight", "bias", "running_mean", "running_var"};
    for (int i = 0; (fields & HAS_NORM) && i < 4; i++)
        CS_TRY(add_parameter(model, place, item, norm[i], false, node, err));
    return CS_OK;
}

static cs_status parse_inputs(cs_model *model, json_place place, const cJSON *item, int index,
                              cs_node_info *node, cs_error *err) {
    const layer *kind = layer_find(node->op, LAYER_DIRECT, CS_F32);
    const cJSON *inputs, *input;
    if (index == 0)
        return CS_OK;
    CS_TRY(json_array(place, item, "inputs", &inputs, err));
    if (cJSON_GetArraySize(inputs) != kind->inputs)
        return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                            "%s: %s: %s takes %d input(s), and \"inputs\" has %d", place.file,
                            place.where, node->op, kind->inputs, cJSON_GetArraySize(inputs));
    cJSON_ArrayForEach(input, inputs) {
        const int from = cJSON_IsString(input)
                             ? name_index_find(&model->node_names, &model->nodes[0].name,
                                               sizeof *model->nodes, input->valuestring)
                             : -1;
        if (from < 0)
            return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                                "%s: %s: its input \"%.200s\" is not a node that stands before it; "
                                "the graph must be in execution order, without cycles",
                                place.file, place.where,
                                cJSON_IsString(input) ? input->valuestring : "(not a string)");
        node->input[node->inputs++] = from;
    }
    return CS_OK;
}

/* A name that can be a file's, and that a terminal shows as it is. */
static bool is_plain_name(const char *name) {
    if (name[0] == 0 || name[0] == '.' || strlen(name) > MODEL_NAME_LIMIT)
        return false;
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f || *name == '/')
            return false;
    return true;
}

static cs_status parse_node(cs_model *model, const cJSON *item, int index, cs_error *err) {
    char where[MODEL_NAME_LIMIT + 40];
    cs_node_info *node = &model->nodes[index];
    (void)snprintf(where, sizeof where, "graph[%d]", index);
    json_place place = {model->path, where};
    if (!cJSON_IsObject(item))
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1, "%s: %s is not an object",
                            model->path, where);
    CS_TRY(json_string(place, item, "name", &node->name, err));
    CS_TRY(json_string(place, item, "op", &node->op, err));
    CS_TRY(json_string(place, item, "module", &node->module, err));
    if (!is_plain_name(node->name))
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: %s: a node's name has 1 to %d printable bytes, without '/' and "
                            "not beginning with '.': files are named after it",
                            model->path, where, MODEL_NAME_LIMIT);
    (void)snprintf(where, sizeof where, "graph[%d] (%s)", index, node->name);
    const struct operation *operation = find_operation(node->op);
    if (!operation || (index == 0) != (strcmp(node->op, "input") == 0))
        return cs_error_set(err, operation ? CS_ERROR_FORMAT : CS_ERROR_UNSUPPORTED, model->path,
                            -1, "%s: %s: %s \"%.60s\"", model->path, where,
                            operation ? "the first node and no other is the input; this one is a"
                                      : "this version does not know the operation",
                            node->op);
    CS_TRY(parse_inputs(model, place, item, index, node, err));
    CS_TRY(parse_attributes(place, item, operation->fields, &node->attributes, err));
    CS_TRY(parse_parameters(model, place, item, operation->fields, node, err));
    if (!name_index_add(&model->node_names, &model->nodes[0].name, sizeof *model->nodes, index))
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: %s: another node has this name", model->path, where);
    return CS_OK;
}

cs_status manifest_graph_parse(cs_model *model, const void *graph, const char *output,
                               cs_error *err) {
    const cJSON *item;
    const int count = cJSON_GetArraySize(graph);
    if (count < 2 || count > MODEL_NODE_LIMIT)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: \"graph\" has %d nodes; 2 to %d were expected", model->path, count,
                            MODEL_NODE_LIMIT);
    model->nodes = calloc((size_t)count, sizeof *model->nodes);
    CS_CHECK(model->nodes, CS_ERROR_MEMORY, "not enough memory for %d nodes", count);
    CS_TRY(name_index_create(&model->node_names, (size_t)count, err));
    int index = 0;
    cJSON_ArrayForEach(item, (const cJSON *)graph) {
        CS_TRY(parse_node(model, item, index, err));
        model->node_count = ++index;
    }
    model->output =
        name_index_find(&model->node_names, &model->nodes[0].name, sizeof *model->nodes, output);
    if (model->output < 0)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: \"output\" is \"%.200s\", which is not a node", model->path,
                            output);
    return CS_OK;
}
