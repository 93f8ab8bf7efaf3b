/* graph.c - shapes of all nodes, names of nodes and modules, the layer that a CAM looks at. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A node's parameters must have the shapes that its operation and input call for. */
static cs_status check_parameters(const cs_model *model, const cs_node_info *node,
                                  const layer *kind, cs_shape in, cs_error *err) {
    for (int i = 0; i < node->parameters; i++) {
        const cs_tensor_info *t = &model->tensors[node->parameter[i]];
        int64_t want[4] = {0};
        const int dims =
            kind->parameter_shape ? kind->parameter_shape(&node->attributes, in, i, want) : 0;
        if (dims != t->dims || memcmp(want, t->shape, (size_t)dims * sizeof *want) != 0)
            return cs_error_set(
                err, CS_ERROR_MISMATCH, t->name, -1,
                "%s: the tensor %s has shape [%lld, %lld, %lld, %lld] (first %d count); %s needs "
                "[%lld, %lld, %lld, %lld] (first %d)",
                model->path, t->name, (long long)t->shape[0], (long long)t->shape[1],
                (long long)t->shape[2], (long long)t->shape[3], t->dims, node->name,
                (long long)want[0], (long long)want[1], (long long)want[2], (long long)want[3],
                dims);
    }
    return CS_OK;
}

cs_status graph_shapes(const cs_model *model, int64_t height, int64_t width, cs_shape *shapes,
                       cs_error *err) {
    const cs_preprocess *p = &model->preprocess;
    shapes[0] = (cs_shape){p->channels, height ? height : p->height, width ? width : p->width};
    for (int i = 1; i < model->node_count; i++) {
        const cs_node_info *node = &model->nodes[i];
        const layer *kind = layer_find(node->op, LAYER_DIRECT, CS_F32);
        cs_shape in[2] = {{0, 0, 0}, {0, 0, 0}};
        int64_t values;
        for (int k = 0; k < node->inputs; k++)
            in[k] = shapes[node->input[k]];
        CS_TRY(kind->infer_shape(&node->attributes, in, node->name, &shapes[i], err));
        if (__builtin_mul_overflow(shapes[i].h, shapes[i].w, &values) ||
            __builtin_mul_overflow(values, shapes[i].c, &values) || values > MODEL_IMAGE_LIMIT)
            return cs_error_set(err, CS_ERROR_LIMIT, node->name, -1,
                                "%s: %s: an output of %lld x %lld x %lld values an image is beyond "
                                "the limit of 2^31",
                                model->path, node->name, (long long)shapes[i].c,
                                (long long)shapes[i].h, (long long)shapes[i].w);
        CS_TRY(check_parameters(model, node, kind, in[0], err));
    }
    return CS_OK;
}

cs_status cs_model_node_shape(const cs_model *model, int node, int64_t height, int64_t width,
                              int64_t chw[3], cs_error *err) {
    cs_shape shape = model->shapes[node];
    if (height || width) {
        cs_shape *shapes = calloc((size_t)model->node_count, sizeof *shapes);
        CS_CHECK(shapes, CS_ERROR_MEMORY, "not enough memory for the shapes");
        const cs_status status = graph_shapes(model, height, width, shapes, err);
        shape = shapes[node];
        free(shapes);
        CS_TRY(status);
    }
    chw[0] = shape.c;
    chw[1] = shape.h;
    chw[2] = shape.w;
    return CS_OK;
}

bool cs_model_node_is_vector(const cs_model *model, int node) {
    for (const cs_node_info *info = &model->nodes[node]; info->inputs > 0;
         info = &model->nodes[info->input[0]])
        if (strcmp(info->op, "flatten") == 0 || strcmp(info->op, "linear") == 0)
            return true;
    return false;
}

/* True where `node` is, or belongs to, the module `path`. */
static bool in_module(const cs_node_info *node, const char *path, size_t length) {
    return (strncmp(node->module, path, length) == 0 &&
            (node->module[length] == '.' || node->module[length] == 0)) ||
           (strncmp(node->name, path, length) == 0 && node->name[length] == '.');
}

/* The last node of module path[0..length), or -1. */
static int last_of_module(const cs_model *model, const char *path, size_t length) {
    for (int i = model->node_count - 1; i >= 0 && length > 0; i--)
        if (in_module(&model->nodes[i], path, length))
            return i;
    return -1;
}

/* The number of children that module path[0..length) numbers: layer4.0, layer4.1, ... */
static long count_children(const cs_model *model, const char *path, size_t length) {
    char child[MODEL_NAME_LIMIT + 32];
    for (long count = 0;; count++) {
        const int size = snprintf(child, sizeof child, "%.*s.%ld", (int)length, path, count);
        if (size < 0 || (size_t)size >= sizeof child ||
            last_of_module(model, child, (size_t)size) < 0)
            return count;
    }
}

/* Rewrites "layer4[-1].conv3" to "layer4.2.conv3"; false where it is malformed or too long. */
static bool resolve_indices(const cs_model *model, const char *path, char *out, size_t size) {
    size_t length = 0;
    while (*path) {
        if (length + 24 >= size)
            return false;
        if (*path != '[') {
            out[length++] = *path++;
            continue;
        }
        char *end;
        long index = strtol(path + 1, &end, 10);
        if (end == path + 1 || *end != ']')
            return false;
        if (index < 0)
            index += count_children(model, out, length);
        if (index < 0)
            return false;
        length += (size_t)snprintf(out + length, size - length, ".%ld", index);
        path = end + 1;
    }
    out[length] = 0;
    return true;
}

/* Edit distance, for suggestions; names longer than the table count as far away. */
static int distance(const char *a, const char *b) {
    int row[65];
    const size_t m = strlen(a), n = strlen(b);
    if (m > 64 || n > 64)
        return 1000;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            const int above = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n];
}

/* The three names nearest to a wanted one. */
typedef struct nearest {
    char name[3][MODEL_NAME_LIMIT + 1];
    int far[3];
} nearest;

/* Offers name[0..length). */
static void consider(nearest *best, const char *wanted, const char *name, size_t length) {
    char candidate[MODEL_NAME_LIMIT + 1];
    if (length == 0 || length > MODEL_NAME_LIMIT)
        return;
    memcpy(candidate, name, length);
    candidate[length] = 0;
    const int far = distance(wanted, candidate);
    for (int i = 0; i < 3; i++)
        if (strcmp(best->name[i], candidate) == 0)
            return;
    for (int i = 0; i < 3; i++)
        if (far < best->far[i]) {
            for (int k = 2; k > i; k--) {
                memcpy(best->name[k], best->name[k - 1], sizeof best->name[k]);
                best->far[k] = best->far[k - 1];
            }
            memcpy(best->name[i], candidate, length + 1);
            best->far[i] = far;
            return;
        }
}

/* Offers a path and every module that holds it. */
static void consider_path(nearest *best, const char *wanted, const char *path) {
    for (size_t length = strcspn(path, ".");; length += 1 + strcspn(path + length + 1, ".")) {
        consider(best, wanted, path, length);
        if (path[length] == 0)
            return;
    }
}

static cs_status unknown_name(const cs_model *model, const char *path, cs_error *err) {
    nearest best = {{{0}}, {1000, 1000, 1000}};
    for (int i = 0; i < model->node_count; i++) {
        consider_path(&best, path, model->nodes[i].name);
        consider_path(&best, path, model->nodes[i].module);
    }
    return cs_error_set(
        err, CS_ERROR_ARGUMENT, path, -1,
        "there is no layer \"%.100s\"; the nearest are %s, %s and %s; `cnnscope info "
        "MODEL.json --layers` lists all",
        path, best.name[0], best.name[1], best.name[2]);
}

cs_status graph_unknown_tensor(const cs_model *model, const char *name, cs_error *err) {
    nearest best = {{{0}}, {1000, 1000, 1000}};
    for (int i = 0; i < model->tensor_count; i++)
        consider(&best, name, model->tensors[i].name, strlen(model->tensors[i].name));
    return cs_error_set(err, CS_ERROR_ARGUMENT, name, -1,
                        "there is no parameter tensor \"%.100s\"; the nearest are %s, %s and %s",
                        name, best.name[0], best.name[1], best.name[2]);
}

cs_status cs_model_find_node(const cs_model *model, const char *path, int *node, char *resolved,
                             size_t resolved_size, cs_error *err) {
    char name[2 * MODEL_NAME_LIMIT];
    const char *plain = path;
    for (int prefix = 0; prefix < 3; prefix++) { /* as given, then without "model.", "module." */
        static const char *const prefixes[] = {"", "model.", "module."};
        const size_t length = strlen(prefixes[prefix]);
        if (strncmp(path, prefixes[prefix], length) != 0)
            continue;
        plain = path + length;
        if (strlen(plain) > MODEL_NAME_LIMIT || !resolve_indices(model, plain, name, sizeof name))
            continue;
        int found =
            name_index_find(&model->node_names, &model->nodes[0].name, sizeof *model->nodes, name);
        /* A node's own name wins over a module's: "layer1.0.relu" is the first of three calls. */
        if (found < 0)
            found = last_of_module(model, name, strlen(name));
        if (found < 0)
            continue;
        *node = found;
        if (resolved)
            (void)snprintf(resolved, resolved_size, "%s", name);
        return CS_OK;
    }
    return unknown_name(model, path, err);
}

void graph_find_default_layer(cs_model *model) {
    int pool = -1;
    for (int i = 0; i < model->node_count; i++)
        if (strstr(model->nodes[i].op, "_pool2d"))
            pool = i;
    const int source = pool > 0 ? model->nodes[pool].input[0] : model->output;
    const cs_node_info *node = &model->nodes[source];
    const size_t top = strcspn(node->name, ".");
    /* The top-level module, if its output is this node; else the node itself. */
    const bool whole = node->name[top] && last_of_module(model, node->name, top) == source;
    (void)snprintf(model->default_layer, sizeof model->default_layer, "%.*s",
                   whole ? (int)top : MODEL_NAME_LIMIT, node->name);
}
