#include "dump_manifest.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST_MANIFEST = 16 << 20, DEPTH = 8, NODES = 1 << 20 };

const char *dump_kind_name(dump_kind kind) {
    static const char *const names[] = {"input",   "activation", "gates",
                                        "winners", "gradient",   "parameter"};
    return names[kind];
}

const char *dump_kind_folder(dump_kind kind) {
    static const char *const folders[] = {"",         "activations/", "gates/",
                                          "winners/", "gradients/",   "parameters/"};
    return folders[kind];
}

/* ------------------------------------------------------------------ fields --------------- */

static cs_status refuse(const dump_manifest *m, const char *what, cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, m->folder, -1,
                        "%s/manifest.json: %s; the manifest of cnnscope dump or dump_torch.py was "
                        "expected (docs/formats.md, 2.2)",
                        m->folder, what);
}

static const char *text_of(const cJSON *object, const char *key) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool is_true(const cJSON *object, const char *key) {
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static int64_t integer_of(const cJSON *object, const char *key, int64_t least, int64_t most) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    const bool fits = cJSON_IsNumber(item) && item->valuedouble >= (double)least &&
                      item->valuedouble <= (double)most;
    return fits ? (int64_t)item->valuedouble : -1;
}

static cs_status read_head(dump_manifest *m, cs_error *err) {
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(m->json, "model");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(m->json, "options");
    const char *format = text_of(m->json, "format"), *command = text_of(m->json, "command");
    if (!format || strcmp(format, "cnnscope-output") != 0 || !command)
        return refuse(m, "is of another kind", err);
    if (strcmp(command, "dump") != 0)
        return cs_error_set(err, CS_ERROR_FORMAT, m->folder, -1,
                            "%s: is the output of cnnscope %s; that of cnnscope dump was expected",
                            m->folder, command);
    m->architecture = text_of(model, "architecture");
    m->binary_sha256 = text_of(model, "binary_sha256");
    m->image_sha256 = text_of(m->json, "sha256");
    m->engine = text_of(options, "engine");
    m->dtype = text_of(options, "dtype");
    m->target = text_of(options, "target");
    m->training = is_true(options, "training");
    m->target_class = integer_of(m->json, "target_class", 0, INT32_MAX);
    if (!m->architecture || !m->binary_sha256 || !m->image_sha256 || !m->engine || !m->dtype)
        return refuse(m, "lacks \"model\", \"options\" or \"sha256\"", err);
    return CS_OK;
}

/* ------------------------------------------------------------------ items ---------------- */

static cs_status add(dump_manifest *m, dump_kind kind, const char *name, int64_t order,
                     cs_error *err) {
    if (!name || !is_file_name(name))
        return refuse(m, "names something that cannot be a file", err);
    if ((m->count & (m->count - 1)) == 0) { /* 0 or a power of two: full */
        const size_t size = m->count ? 2 * (size_t)m->count : 1;
        dump_item *grown = realloc(m->items, size * sizeof *grown);
        CS_CHECK(grown, CS_ERROR_MEMORY, "out of memory");
        m->items = grown;
    }
    m->items[m->count++] = (dump_item){kind, name, order};
    return CS_OK;
}

/* A node's index, from the list of nodes. */
static int64_t index_of(const cJSON *nodes, const char *name) {
    const cJSON *node;
    cJSON_ArrayForEach(node, nodes) {
        const char *own = text_of(node, "node");
        if (own && name && strcmp(own, name) == 0)
            return integer_of(node, "index", 0, NODES);
    }
    return NODES;
}

/* The backward pass, from the last node back, comes behind the forward pass. */
static int64_t backward_order(int64_t index) { return 3 * (int64_t)NODES - index; }

static cs_status add_nodes(dump_manifest *m, const cJSON *nodes, cs_error *err) {
    const cJSON *node;
    cJSON_ArrayForEach(node, nodes) {
        const char *file = text_of(node, "file");
        const int64_t index = integer_of(node, "index", 0, NODES);
        if (index < 0)
            return refuse(m, "has a node without \"index\"", err);
        if (is_true(node, "activation"))
            CS_TRY(add(m, DUMP_ACTIVATION, file, index, err));
        if (is_true(node, "gradient"))
            CS_TRY(add(m, DUMP_GRADIENT, file, backward_order(index), err));
    }
    return CS_OK;
}

static cs_status add_names(dump_manifest *m, dump_kind kind, const cJSON *names, const cJSON *nodes,
                           cs_error *err) {
    const cJSON *name;
    int64_t place = 0;
    if (!cJSON_IsArray(names))
        return refuse(m, "lacks \"gates\", \"winners\" or \"parameters\"", err);
    cJSON_ArrayForEach(name, names) {
        const char *text = cJSON_GetStringValue(name);
        const int64_t order = kind == DUMP_PARAMETER
                                  ? backward_order(0) + cJSON_GetArraySize(names) - place++
                                  : index_of(nodes, text);
        CS_TRY(add(m, kind, text, order, err));
    }
    return CS_OK;
}

static int by_order(const void *a, const void *b) {
    const dump_item *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->name, y->name);
}

static cs_status path_of(const dump_manifest *m, const dump_item *item, char path[PATH_MAX],
                         cs_error *err) {
    const int used = snprintf(path, PATH_MAX, "%s/%s%s.npy", m->folder,
                              dump_kind_folder(item->kind), item->name);
    CS_CHECK(used > 0 && used < PATH_MAX, CS_ERROR_LIMIT, "%s: the path is too long", m->folder);
    return CS_OK;
}

static cs_status check_files(const dump_manifest *m, cs_error *err) {
    char path[PATH_MAX], first[PATH_MAX] = "";
    int64_t missing = 0;
    for (int64_t i = 0; i < m->count; i++) {
        CS_TRY(path_of(m, &m->items[i], path, err));
        if (access(path, R_OK) != 0 && missing++ == 0)
            memcpy(first, path, sizeof first);
    }
    if (missing > 0)
        return cs_error_set(err, CS_ERROR_IO, first, -1,
                            "%s: cannot be read; the folder is incomplete: %lld of the %lld files "
                            "that its manifest names are missing",
                            first, (long long)missing, (long long)m->count);
    return CS_OK;
}

static cs_status read_text(dump_manifest *m, cs_error *err) {
    char path[PATH_MAX], *text = NULL;
    size_t size = 0;
    const int used = snprintf(path, sizeof path, "%s/manifest.json", m->folder);
    CS_CHECK(used > 0 && used < PATH_MAX, CS_ERROR_LIMIT, "%s: the path is too long", m->folder);
    if (access(m->folder, F_OK) == 0 && access(path, F_OK) != 0)
        return cs_error_set(err, CS_ERROR_IO, path, -1,
                            "%s: there is no manifest.json in it; a folder of cnnscope dump or "
                            "dump_torch.py was expected",
                            m->folder);
    CS_TRY(cs_file_read(path, LARGEST_MANIFEST, &text, &size, err));
    cs_status status = cs_json_check(text, size, DEPTH, path, err);
    if (status == CS_OK) {
        m->json = cJSON_ParseWithLengthOpts(text, size, NULL, false);
        if (!m->json)
            status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "%s: out of memory", path);
    }
    free(text);
    return status;
}

cs_status dump_manifest_read(const char *folder, dump_manifest *m, cs_error *err) {
    *m = (dump_manifest){.folder = folder};
    CS_TRY(read_text(m, err));
    CS_TRY(read_head(m, err));
    const cJSON *nodes = cJSON_GetObjectItemCaseSensitive(m->json, "nodes");
    if (!cJSON_IsArray(nodes) || cJSON_GetArraySize(nodes) == 0)
        return refuse(m, "lacks \"nodes\"", err);
    CS_TRY(add(m, DUMP_INPUT, "input", -1, err));
    CS_TRY(add_nodes(m, nodes, err));
    static const dump_kind kinds[] = {DUMP_GATES, DUMP_WINNERS, DUMP_PARAMETER};
    static const char *const keys[] = {"gates", "winners", "parameters"};
    for (int i = 0; i < 3; i++)
        CS_TRY(
            add_names(m, kinds[i], cJSON_GetObjectItemCaseSensitive(m->json, keys[i]), nodes, err));
    qsort(m->items, (size_t)m->count, sizeof *m->items, by_order);
    return check_files(m, err);
}

void dump_manifest_free(dump_manifest *m) {
    cJSON_Delete(m->json);
    free(m->items);
    *m = (dump_manifest){0};
}

cs_status dump_item_read(const dump_manifest *m, const dump_item *item, cs_npy_array *array,
                         cs_error *err) {
    char path[PATH_MAX];
    CS_TRY(path_of(m, item, path, err));
    return cs_npy_read_raw(path, array, err);
}
