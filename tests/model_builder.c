/* model_builder.c - see model_builder.h. */
#include "model_builder.h"
#include "test_support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE 64

/* The two files as they grow. */
typedef struct writer {
    char *bin;
    size_t bin_size;
    FILE *graph, *tensors;
    int tensor_count;
} writer;

static bool is_op(const built_node *node, const char *op) { return strcmp(node->op, op) == 0; }

/* Appends a tensor to the binary and its entry to the list. */
static void add_tensor(writer *w, const built_node *node, const char *role, const float *values,
                       const int64_t *shape, int dims) {
    size_t count = 1;
    for (int i = 0; i < dims; i++)
        count *= (size_t)shape[i];
    size_t bytes = count * sizeof(float), padded = (bytes + 63) / 64 * 64;
    w->bin = realloc(w->bin, w->bin_size + padded);
    ck_assert_msg(w->bin != NULL, "out of memory");
    memset(w->bin + w->bin_size, 0, padded);
    memcpy(w->bin + w->bin_size, values, bytes);
    fprintf(w->tensors, "%s\n    {\"name\": \"%s.%s\", \"dtype\": \"f32\", \"shape\": [",
            w->tensor_count++ == 0 ? "" : ",", node->name, role);
    for (int i = 0; i < dims; i++)
        fprintf(w->tensors, "%s%" PRId64, i == 0 ? "" : ", ", shape[i]);
    fprintf(w->tensors, "], \"offset\": %zu, \"nbytes\": %zu, \"crc32\": \"%08" PRIx32 "\"}",
            w->bin_size, bytes, cs_crc32(values, bytes));
    w->bin_size += padded;
}

/* One of a node's optional tensors: the manifest's field, and the tensor where there is one. */
static void add_vector(writer *w, const built_node *node, const char *role, const float *values,
                       int64_t length) {
    if (values == NULL) {
        fprintf(w->graph, ", \"%s\": null", role);
        return;
    }
    fprintf(w->graph, ", \"%s\": \"%s.%s\"", role, node->name, role);
    add_tensor(w, node, role, values, &length, 1);
}

static void add_weight(writer *w, const built_node *node) {
    const cs_node_attributes *a = &node->attributes;
    bool linear = is_op(node, "linear");
    int64_t groups = linear ? 1 : a->groups;
    const int64_t shape[4] = {a->out_channels, node->in_channels / groups, a->kernel_size[0],
                              a->kernel_size[1]};
    fprintf(w->graph, ", \"weight\": \"%s.weight\"", node->name);
    add_tensor(w, node, "weight", node->weight, shape, linear ? 2 : 4);
    add_vector(w, node, "bias", node->bias, a->out_channels);
    fprintf(w->graph, ", \"out_channels\": %" PRId64, a->out_channels);
}

static void add_pair(writer *w, const char *name, const int64_t pair[2]) {
    fprintf(w->graph, ", \"%s\": [%" PRId64 ", %" PRId64 "]", name, pair[0], pair[1]);
}

static void add_node(writer *w, const built_node *node) {
    const cs_node_attributes *a = &node->attributes;
    bool conv = is_op(node, "conv2d"), pool = is_op(node, "max_pool2d"),
         average = is_op(node, "avg_pool2d");
    fprintf(w->graph, ",\n    {\"name\": \"%s\", \"op\": \"%s\", \"module\": \"%s\"", node->name,
            node->op, node->module == NULL ? node->name : node->module);
    fprintf(w->graph, ", \"inputs\": [\"%s\"", node->inputs[0]);
    if (node->inputs[1] != NULL)
        fprintf(w->graph, ", \"%s\"", node->inputs[1]);
    fprintf(w->graph, "]");
    if (conv || is_op(node, "linear"))
        add_weight(w, node);
    if (is_op(node, "batch_norm")) {
        add_vector(w, node, "weight", node->weight, node->in_channels);
        add_vector(w, node, "bias", node->bias, node->in_channels);
        add_vector(w, node, "running_mean", node->running_mean, node->in_channels);
        add_vector(w, node, "running_var", node->running_var, node->in_channels);
        fprintf(w->graph, ", \"eps\": %.17g", a->eps);
    }
    if (conv || pool || average)
        add_pair(w, "kernel_size", a->kernel_size);
    if (conv || pool || average || is_op(node, "shortcut_a"))
        add_pair(w, "stride", a->stride);
    if (conv || pool || average)
        add_pair(w, "padding", a->padding);
    if (conv || pool)
        add_pair(w, "dilation", a->dilation);
    if (conv)
        fprintf(w->graph, ", \"groups\": %" PRId64, a->groups);
    if (pool || average)
        fprintf(w->graph, ", \"ceil_mode\": %s", a->ceil_mode ? "true" : "false");
    if (average)
        fprintf(w->graph, ", \"count_include_pad\": %s", a->count_include_pad ? "true" : "false");
    if (is_op(node, "shortcut_a"))
        add_pair(w, "pad_channels", a->pad_channels);
    fprintf(w->graph, "}");
}

static void put_number(char *at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        at[i] = (char)(value >> (8 * i) & 255);
}

/* Fills the header; `identity` receives its identity as 32 hexadecimal digits. */
static void finish_header(writer *w, char identity[33]) {
    char hash[CS_SHA256_HEX_SIZE];
    cs_sha256_hex(w->bin + HEADER_SIZE, w->bin_size - HEADER_SIZE, hash);
    memcpy(w->bin, "CNNSCOPE", 8);
    put_number(w->bin + 8, 0x01020304, 4);
    put_number(w->bin + 12, HEADER_SIZE, 4);
    put_number(w->bin + 16, w->bin_size, 8);
    for (size_t i = 0; i < 16; i++) {
        char digits[3] = {hash[2 * i], hash[2 * i + 1], '\0'};
        w->bin[24 + i] = (char)strtol(digits, NULL, 16);
    }
    memcpy(identity, hash, 32);
    identity[32] = '\0';
}

/* The parts of the manifest around the graph and the list of tensors. */
static void write_manifest(FILE *f, const built_model *model, const char *name, writer *w,
                           const char *graph, const char *tensors) {
    char identity[33], hash[CS_SHA256_HEX_SIZE];
    finish_header(w, identity);
    cs_sha256_hex(w->bin, w->bin_size, hash);
    fprintf(
        f,
        "{\n  \"format\": \"cnnscope\",\n  \"version\": [1, 0],\n  \"requires\": [],\n"
        "  \"bin\": {\"file\": \"%s.bin\", \"size\": %zu, \"sha256\": \"%s\", \"uuid\": \"%s\", "
        "\"align\": 64, \"endian\": \"little\"},\n",
        name, w->bin_size, hash, identity);
    fprintf(f,
            "  \"model\": {\"arch\": \"test\", \"num_classes\": %" PRId64 ", \"classes\": null},\n",
            model->classes);
    fprintf(f,
            "  \"input\": {\"channels\": %" PRId64 ", \"height\": %" PRId64 ", \"width\": %" PRId64
            ", \"color\": \"RGB\", \"resize\": \"pillow-bilinear\", \"divisor\": 255, \"mean\": [",
            model->channels, model->height, model->width);
    for (int64_t c = 0; c < model->channels; c++)
        fprintf(f, "%s0", c == 0 ? "" : ", ");
    fprintf(f, "], \"std\": [");
    for (int64_t c = 0; c < model->channels; c++)
        fprintf(f, "%s1", c == 0 ? "" : ", ");
    fprintf(f, "], \"assumed\": []},\n  \"graph\": [%s\n  ],\n  \"output\": \"%s\",\n", graph,
            model->output);
    fprintf(f, "  \"tensors\": [%s\n  ],\n", tensors);
    fprintf(f,
            "  \"source\": {\"file\": \"none\", \"sha256\": \"%s\", \"format\": \"test\", "
            "\"key\": \"\", \"strip\": \"\", \"dropped\": [], \"opaque_globals\": []},\n",
            hash);
    fprintf(f,
            "  \"converter\": {\"name\": \"cnnscope\", \"version\": \"%s\"},\n"
            "  \"golden\": null\n}\n",
            CNNSCOPE_VERSION);
}

const char *built_model_write(const built_model *model, const char *folder, const char *name) {
    char *graph = NULL, *tensors = NULL, file[256];
    size_t graph_size = 0, tensors_size = 0;
    writer w = {.bin = calloc(1, HEADER_SIZE), .bin_size = HEADER_SIZE};
    w.graph = open_memstream(&graph, &graph_size);
    w.tensors = open_memstream(&tensors, &tensors_size);
    ck_assert_msg(w.bin != NULL && w.graph != NULL && w.tensors != NULL, "out of memory");
    fprintf(w.graph, "\n    {\"name\": \"input\", \"op\": \"input\", \"module\": \"\"}");
    for (int i = 0; i < model->count; i++)
        add_node(&w, &model->nodes[i]);
    fclose(w.graph);
    fclose(w.tensors);
    snprintf(file, sizeof file, "%s.json", name);
    const char *path = test_path(folder, file);
    FILE *f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "cannot create %s", path);
    write_manifest(f, model, name, &w, graph, tensors);
    ck_assert_msg(fclose(f) == 0, "cannot write %s", path);
    snprintf(file, sizeof file, "%s.bin", name);
    test_file_put(test_path(folder, file), w.bin, w.bin_size);
    free(w.bin);
    free(graph);
    free(tensors);
    return path;
}

cs_node_attributes built_window(int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
    return (cs_node_attributes){.kernel_size = {kernel, kernel},
                                .stride = {stride, stride},
                                .padding = {padding, padding},
                                .dilation = {dilation, dilation},
                                .groups = 1};
}

cs_model *built_model_open(const built_model *model) {
    cs_error err;
    cs_model *opened = NULL;
    const char *path = built_model_write(model, test_temp_dir(), "model");
    REQUIRE_OK(cs_model_open(path, NULL, &opened, &err), err);
    return opened;
}
