#include "model_counts.h"

#include <stdlib.h>
#include <string.h>

static bool is_op(const cs_node_info *info, const char *op) { return strcmp(info->op, op) == 0; }

/* `in` is the shape of the node's first input. */
static int64_t count_flops(const cs_node_info *info, const int64_t in[3], const int64_t out[3],
                           bool has_bias) {
    const cs_node_attributes *a = &info->attributes;
    int64_t outputs = out[0] * out[1] * out[2], inputs = in[0] * in[1] * in[2];
    if (is_op(info, "conv2d"))
        return outputs * (2 * a->kernel_size[0] * a->kernel_size[1] * in[0] / a->groups + has_bias);
    if (is_op(info, "linear"))
        return outputs * (2 * inputs + has_bias);
    if (is_op(info, "batch_norm"))
        return 2 * outputs;
    if (is_op(info, "add"))
        return outputs;
    if (is_op(info, "avg_pool2d"))
        return outputs * (a->kernel_size[0] * a->kernel_size[1] + 1);
    if (is_op(info, "adaptive_avg_pool2d"))
        return inputs + outputs;
    if (is_op(info, "softmax"))
        return 4 * outputs; /* difference, exp, sum, quotient */
    return 0;
}

cs_status model_counts_make(model_counts *counts, const cs_model *model, cs_error *err) {
    counts->nodes = cs_model_node_count(model);
    counts->node = calloc((size_t)counts->nodes, sizeof *counts->node);
    CS_CHECK(counts->node, CS_ERROR_MEMORY, "out of memory");
    for (int i = 0; i < counts->nodes; i++) {
        node_counts *n = &counts->node[i];
        const cs_node_info *info = cs_model_node(model, i);
        CS_TRY(cs_model_node_shape(model, i, 0, 0, n->chw, err));
        for (int j = 0; j < info->parameters; j++) {
            int64_t count = cs_model_tensor(model, info->parameter[j])->count;
            if (is_op(info, "batch_norm") && j >= 2)
                n->statistics += count;
            else
                n->parameters += count;
        }
        if (info->inputs > 0)
            n->flops =
                count_flops(info, counts->node[info->input[0]].chw, n->chw, info->parameters == 2);
        counts->parameters += n->parameters;
        counts->statistics += n->statistics;
        counts->flops += n->flops;
    }
    return CS_OK;
}

void model_counts_free(model_counts *counts) {
    free(counts->node);
    *counts = (model_counts){0};
}

void model_counts_report(json_writer *json, const cs_model *model, const model_counts *counts) {
    put_array(json, "layers");
    for (int i = 0; i < counts->nodes; i++) {
        const cs_node_info *info = cs_model_node(model, i);
        put_object(json, NULL);
        put_text(json, "name", info->name);
        put_text(json, "module", info->module);
        put_text(json, "op", info->op);
        put_array(json, "inputs");
        for (int j = 0; j < info->inputs; j++)
            put_text(json, NULL, cs_model_node(model, info->input[j])->name);
        put_close(json);
        put_row(json, "shape");
        for (int j = 0; j < 3; j++)
            put_integer(json, NULL, counts->node[i].chw[j]);
        put_close(json);
        put_integer(json, "parameters", counts->node[i].parameters);
        put_integer(json, "statistics", counts->node[i].statistics);
        put_integer(json, "flops", counts->node[i].flops);
        put_close(json);
    }
    put_close(json);
}
