/* gates_file.c - gates and winners as .npy files, one a node (docs/formats.md). */
#include "gates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 4096

/* Names come from a manifest, which may come from anywhere. */
static cs_status file_path(const cs_gates *gates, int index, const char *folder,
                           char path[PATH_SIZE], cs_error *err) {
    const gate_set *set = &gates->sets[index];
    const char *name = gates->model->nodes[set->node].name;
    bool fit = name[0] != 0 && name[0] != '.' && strlen(name) <= 239;
    for (const char *c = name; *c; c++)
        fit = fit && *c != '/' && (unsigned char)*c >= 0x20 && *c != 0x7F;
    if (!fit)
        return cs_error_set(err, CS_ERROR_FORMAT, name, -1,
                            "the node's name \"%s\" cannot be the name of a file", name);
    const int used =
        snprintf(path, PATH_SIZE, "%s/%s/%s.npy", folder, set->winners ? "winners" : "gates", name);
    CS_CHECK(used > 0 && used < PATH_SIZE, CS_ERROR_ARGUMENT, "%s: the folder's path is too long",
             folder);
    return CS_OK;
}

/* The shape as PyTorch has it; returns the number of dimensions. */
static int file_shape(const cs_gates *gates, int index, int64_t shape[4]) {
    const gate_set *set = &gates->sets[index];
    shape[0] = gates->batch;
    shape[1] = set->out.c;
    shape[2] = set->out.h;
    shape[3] = set->out.w;
    return cs_model_node_is_vector(gates->model, set->node) ? 2 : 4;
}

/* ------------------------------------------------------------------ writing -------------- */

/* Calls with the values in N, C, H, W order. */
static void put_values(const cs_gates *gates, int index, void *values) {
    const gate_set *set = &gates->sets[index];
    size_t i = 0;
    for (int64_t n = 0; n < gates->batch; n++)
        for (int64_t c = 0; c < set->out.c; c++)
            for (int64_t h = 0; h < set->out.h; h++)
                for (int64_t w = 0; w < set->out.w; w++, i++) {
                    const int32_t value = cs_gates_at(gates, index, n, c, h, w);
                    if (set->winners)
                        ((int64_t *)values)[i] = value;
                    else
                        ((uint8_t *)values)[i] = (uint8_t)value;
                }
}

static cs_status save_set(const cs_gates *gates, int index, const char *folder, cs_error *err) {
    const gate_set *set = &gates->sets[index];
    char path[PATH_SIZE];
    int64_t shape[4];
    const int dims = file_shape(gates, index, shape);
    const size_t element = set->winners ? sizeof(int64_t) : 1;
    const size_t size = (size_t)(gates->batch * set->out.c * set->out.h * set->out.w) * element;
    CS_TRY(file_path(gates, index, folder, path, err));
    void *values = malloc(size ? size : 1);
    CS_CHECK(values, CS_ERROR_MEMORY, "%s: no memory for %zu bytes", path, size);
    put_values(gates, index, values);
    const cs_status status =
        cs_npy_write_raw(path, set->winners ? "<i8" : "|b1", shape, dims, values, size, err);
    free(values);
    return status;
}

static cs_status make_folder(const char *folder, const char *name, cs_error *err) {
    char path[PATH_SIZE];
    const int used = snprintf(path, sizeof path, "%s/%s", folder, name);
    CS_CHECK(used > 0 && (size_t)used < sizeof path, CS_ERROR_ARGUMENT,
             "%s: the folder's path is too long", folder);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "cannot make the folder %s: %s", path,
                            strerror(errno));
    return CS_OK;
}

cs_status cs_gates_save_node(const cs_gates *gates, int index, const char *folder, cs_error *err) {
    CS_TRY(make_folder(folder, gates->sets[index].winners ? "winners" : "gates", err));
    return save_set(gates, index, folder, err);
}

cs_status cs_gates_save(const cs_gates *gates, const char *folder, cs_error *err) {
    for (int i = 0; i < gates->count; i++)
        CS_TRY(cs_gates_save_node(gates, i, folder, err));
    return CS_OK;
}

/* ------------------------------------------------------------------ reading -------------- */

/* The array's shape must be the node's, for the gates' batch. */
static cs_status check_file(const cs_gates *gates, int index, const cs_npy_array *a,
                            const char *path, cs_error *err) {
    int64_t shape[4];
    file_shape(gates, index, shape);
    bool same = true;
    for (int i = 0; i < 4; i++)
        same = same && shape[i] == (i < a->dims ? a->shape[i] : 1);
    if (!same)
        return cs_error_set(err, CS_ERROR_MISMATCH, path, -1,
                            "%s: has shape [%lld, %lld, %lld, %lld] (first %d count); [%lld, %lld, "
                            "%lld, %lld] was expected: it belongs to another network or input size",
                            path, (long long)a->shape[0], (long long)a->shape[1],
                            (long long)a->shape[2], (long long)a->shape[3], a->dims,
                            (long long)shape[0], (long long)shape[1], (long long)shape[2],
                            (long long)shape[3]);
    const bool wide = strcmp(a->descr, "<i8") == 0 || strcmp(a->descr, "<i4") == 0;
    const bool narrow = strcmp(a->descr, "|b1") == 0 || strcmp(a->descr, "|u1") == 0;
    if (gates->sets[index].winners ? !wide : !narrow)
        return cs_error_set(err, CS_ERROR_FORMAT, path, -1,
                            "%s: has values of type '%s'; %s were expected", path, a->descr,
                            gates->sets[index].winners ? "winners (int64 or int32)"
                                                       : "gates (bool or uint8)");
    return CS_OK;
}

/* Whether position `at` of an axis is a tap of output `out`'s window. */
static bool is_tap(const cs_node_attributes *a, int axis, int64_t out, int64_t at, int64_t size) {
    const int64_t step = at - (out * a->stride[axis] - a->padding[axis]);
    return at >= 0 && at < size && step >= 0 && step % a->dilation[axis] == 0 &&
           step / a->dilation[axis] < a->kernel_size[axis];
}

static int64_t value_of(const cs_npy_array *a, size_t i) {
    if (a->descr[2] == '8')
        return ((const int64_t *)a->data)[i];
    return a->descr[2] == '4' ? ((const int32_t *)a->data)[i] : ((const uint8_t *)a->data)[i];
}

/* Stores one value; false for one that cannot be. */
static bool set_value(cs_gates *gates, int index, size_t pixel, int64_t h, int64_t w, int64_t c,
                      int64_t value) {
    gate_set *set = &gates->sets[index];
    const cs_node_attributes *a = &gates->model->nodes[set->node].attributes;
    if (!set->winners) {
        uint16_t *word = (uint16_t *)(void *)set->data + pixel * layer_gate_words(set->out.c) +
                         (size_t)c / CS_PANEL;
        *word |= (uint16_t)((unsigned)(value != 0) << c % CS_PANEL);
        return value == 0 || value == 1;
    }
    ((int32_t *)(void *)set->data)[pixel * (size_t)set->out.c + (size_t)c] = (int32_t)value;
    return value >= 0 && is_tap(a, 0, h, value / set->in.w, set->in.h) &&
           is_tap(a, 1, w, value % set->in.w, set->in.w);
}

static cs_status take_values(cs_gates *gates, int index, const cs_npy_array *array,
                             const char *path, cs_error *err) {
    const gate_set *set = &gates->sets[index];
    size_t i = 0;
    for (int64_t n = 0; n < gates->batch; n++)
        for (int64_t c = 0; c < set->out.c; c++)
            for (int64_t h = 0; h < set->out.h; h++)
                for (int64_t w = 0; w < set->out.w; w++, i++) {
                    const int64_t value = value_of(array, i);
                    const size_t pixel = (size_t)((n * set->out.h + h) * set->out.w + w);
                    if (!set_value(gates, index, pixel, h, w, c, value))
                        return cs_error_set(
                            err, CS_ERROR_FORMAT, path, -1,
                            "%s: the value %lld at [%lld, %lld, %lld, %lld] is no %s", path,
                            (long long)value, (long long)n, (long long)c, (long long)h,
                            (long long)w,
                            set->winners ? "index y*W + x of an element of that window"
                                         : "gate (0 or 1)");
                }
    return CS_OK;
}

static cs_status load_set(cs_gates *gates, int index, const char *folder, cs_error *err) {
    char path[PATH_SIZE];
    cs_npy_array array;
    CS_TRY(file_path(gates, index, folder, path, err));
    CS_TRY(cs_npy_read_raw(path, &array, err));
    cs_status status = check_file(gates, index, &array, path, err);
    if (status == CS_OK)
        status = take_values(gates, index, &array, path, err);
    free(array.data);
    return status;
}

/* The number of images: that of the first file, which must fit otherwise, so that its size bounds
 * what is allocated for the others. `gates` is a probe without images. */
static cs_status find_batch(cs_gates *gates, const char *folder, cs_error *err) {
    char path[PATH_SIZE];
    cs_npy_array array;
    if (gates->count == 0)
        return CS_OK;
    CS_TRY(file_path(gates, 0, folder, path, err));
    CS_TRY(cs_npy_read_raw(path, &array, err));
    gates->batch = array.shape[0];
    cs_status status = check_file(gates, 0, &array, path, err);
    free(array.data);
    CS_TRY(status);
    if (gates->batch < 1 || gates->batch > 65536)
        return cs_error_set(err, CS_ERROR_MISMATCH, path, -1,
                            "%s: holds the gates of %lld images; 1 to 65536 were expected", path,
                            (long long)gates->batch);
    return CS_OK;
}

cs_status cs_gates_load(const cs_model *model, const char *folder, int64_t height, int64_t width,
                        cs_gates **out, cs_error *err) {
    cs_shape *shapes = calloc((size_t)model->node_count, sizeof *shapes);
    cs_gates *probe = NULL, *gates = NULL;
    CS_CHECK(shapes, CS_ERROR_MEMORY, "not enough memory for the shapes");
    cs_status status = graph_shapes(model, height, width, shapes, err);
    if (status == CS_OK)
        status = gates_create(model, shapes, 0, &probe, err);
    if (status == CS_OK)
        status = find_batch(probe, folder, err);
    if (status == CS_OK)
        status = gates_create(model, shapes, probe->batch, &gates, err);
    for (int i = 0; status == CS_OK && i < gates->count; i++)
        status = load_set(gates, i, folder, err);
    free(shapes);
    cs_gates_free(probe);
    if (status != CS_OK) {
        cs_gates_free(gates);
        return status;
    }
    *out = gates;
    return CS_OK;
}
