/* checkpoint.c - opening a checkpoint, and the tensors of the state_dict chosen in it. */
#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "grow.h"

cs_status cs_checkpoint_open(const char *path, cs_checkpoint *checkpoint, cs_error *err) {
    *checkpoint = (cs_checkpoint){.strip = ""};
    cs_container container = CS_CONTAINER_ZIP;
    CS_TRY(cs_source_open(path, &checkpoint->source, err));
    CS_TRY(cs_checkpoint_sniff(&checkpoint->source, &container, err));
    if (container == CS_CONTAINER_ZIP)
        return cs_checkpoint_open_zip(checkpoint, err);
    return container == CS_CONTAINER_LEGACY ? cs_checkpoint_open_legacy(checkpoint, err)
                                            : cs_checkpoint_open_safetensors(checkpoint, err);
}

void cs_checkpoint_close(cs_checkpoint *checkpoint) {
    for (size_t i = 0; i < checkpoint->tensor_count; ++i)
        free(checkpoint->tensors[i].name);
    for (size_t i = 0; i < checkpoint->dropped_count; ++i)
        free(checkpoint->dropped[i]);
    free(checkpoint->tensors);
    free(checkpoint->dropped);
    free(checkpoint->by_name);
    free(checkpoint->key);
    free(checkpoint->folder);
    cs_pickle_release(&checkpoint->pickle);
    cs_zip_close(&checkpoint->zip);
    cs_source_close(&checkpoint->source);
}

cs_status cs_checkpoint_drop(cs_checkpoint *checkpoint, const char *text, size_t size,
                             cs_error *err) {
    CS_TRY(cs_grow((void **)&checkpoint->dropped, &checkpoint->dropped_capacity,
                   checkpoint->dropped_count + 1, sizeof *checkpoint->dropped, CS_DROPPED_MAX,
                   "entries that are not tensors", err));
    char *clean = cs_text_clean(text, size);
    CS_CHECK(clean, CS_ERROR_MEMORY, "no memory");
    checkpoint->dropped[checkpoint->dropped_count++] = clean;
    return CS_OK;
}

static bool ends_with(const char *text, size_t size, const char *end) {
    size_t length = strlen(end);
    return size >= length && memcmp(text + size - length, end, length) == 0;
}

/* A tensor's name: what Python's identifiers and dots can make. */
static cs_status check_name(const cs_checkpoint *c, const cs_value *key, cs_error *err) {
    if (key->kind != CS_VALUE_STRING)
        return cs_source_error(&c->source, CS_ERROR_FORMAT, -1, err,
                               "the state_dict has %s as a key, where a name was expected",
                               cs_value_kind_name(key->kind));
    if (key->as.string.size > CS_TENSOR_NAME_MAX)
        return cs_source_error(&c->source, CS_ERROR_LIMIT, -1, err,
                               "a tensor's name of %u bytes, more than this program's limit of %d",
                               key->as.string.size, CS_TENSOR_NAME_MAX);
    bool good = key->as.string.size > 0;
    for (uint32_t i = 0; i < key->as.string.size && good; ++i)
        good = (unsigned char)key->as.string.text[i] > 0x20 && key->as.string.text[i] != 0x7F;
    if (!good)
        return cs_source_error(&c->source, CS_ERROR_FORMAT, -1, err,
                               "a tensor's name is empty or has spaces or control characters: "
                               "\"%.*s\"",
                               (int)key->as.string.size, key->as.string.text);
    return CS_OK;
}

/* One entry of the chosen dict: taken, left out, or refused. */
static cs_status take_entry(cs_checkpoint *c, const cs_value *key, const cs_value *value,
                            cs_error *err) {
    const char *name = key->as.string.text;
    size_t size = key->as.string.size;
    CS_TRY(check_name(c, key, err));
    if (value->kind == CS_VALUE_OPAQUE || value->kind == CS_VALUE_MODULE ||
        value->kind == CS_VALUE_FOREIGN_TENSOR)
        return cs_source_error(&c->source, CS_ERROR_UNSUPPORTED, -1, err,
                               "%.*s is %s (%s), where a plain tensor was expected", (int)size,
                               name, cs_value_kind_name(value->kind),
                               c->pickle.opaques[value->as.index].name);
    if (value->kind != CS_VALUE_TENSOR)
        return cs_checkpoint_drop(c, name, size, err);
    CS_TRY(cs_grow((void **)&c->tensors, &c->tensor_capacity, c->tensor_count + 1,
                   sizeof *c->tensors, CS_CHECKPOINT_TENSORS_MAX, "tensors", err));
    char *copy = strndup(name, size);
    CS_CHECK(copy, CS_ERROR_MEMORY, "no memory for tensor names");
    c->tensors[c->tensor_count++] = (cs_named_tensor){copy, value->as.index};
    return CS_OK;
}

/* Takes "module." (DataParallel's) off the names if every one has it. */
static void strip_prefix(cs_checkpoint *c) {
    static const char prefix[] = "module.";
    const size_t length = sizeof prefix - 1;
    for (size_t i = 0; i < c->tensor_count; ++i)
        if (strncmp(c->tensors[i].name, prefix, length) != 0 || !c->tensors[i].name[length])
            return;
    for (size_t i = 0; i < c->tensor_count; ++i)
        memmove(c->tensors[i].name, c->tensors[i].name + length,
                strlen(c->tensors[i].name) - length + 1);
    c->strip = prefix;
}

/* Leaves out batch norm's counters, which say nothing about inference. */
static cs_status drop_counters(cs_checkpoint *c, cs_error *err) {
    size_t kept = 0;
    cs_status status = CS_OK;
    for (size_t i = 0; i < c->tensor_count; ++i) {
        char *name = c->tensors[i].name;
        size_t length = strlen(name);
        if (!ends_with(name, length, ".num_batches_tracked")) {
            c->tensors[kept++] = c->tensors[i];
            continue;
        }
        if (status == CS_OK)
            status = cs_checkpoint_drop(c, name, length, err);
        free(name);
    }
    c->tensor_count = kept;
    return status;
}

static bool before(const void *context, uint32_t a, uint32_t b) {
    const cs_named_tensor *tensors = context;
    return strcmp(tensors[a].name, tensors[b].name) <= 0;
}

/* Sorts by name. Python keeps the last of two entries of one name; here nobody guesses which was
 * meant. */
static cs_status sort_tensors(cs_checkpoint *c, cs_error *err) {
    free(c->by_name);
    c->by_name = malloc((c->tensor_count + 1) * sizeof *c->by_name);
    uint32_t *scratch = malloc((c->tensor_count + 1) * sizeof *scratch);
    bool room = c->by_name && scratch;
    if (room)
        cs_sort_indices(c->by_name, scratch, c->tensor_count, before, c->tensors);
    free(scratch);
    CS_CHECK(room, CS_ERROR_MEMORY, "no memory for tensor names");
    for (size_t i = 1; i < c->tensor_count; ++i) {
        const char *name = c->tensors[c->by_name[i]].name;
        if (strcmp(c->tensors[c->by_name[i - 1]].name, name) == 0)
            return cs_source_error(&c->source, CS_ERROR_FORMAT, -1, err, "two tensors named %s",
                                   name);
    }
    return CS_OK;
}

/* Strides let a few bytes claim to be many: what is read is bounded by the file's size. */
static cs_status check_volume(const cs_checkpoint *c, cs_error *err) {
    uint64_t limit = 4 * c->source.size + (1u << 20), values = 0, bytes = 0;
    for (size_t i = 0; i < c->tensor_count; ++i) {
        const cs_stored_tensor *t = &c->pickle.tensors[c->tensors[i].tensor];
        if (t->numel > limit / 4 || t->extent > limit / cs_element_size(t->element) ||
            (values += t->numel * 4) > limit ||
            (bytes += t->extent * cs_element_size(t->element)) > limit)
            return cs_source_error(&c->source, CS_ERROR_LIMIT, t->position, err,
                                   "up to %s the tensors expand to more than 4 times the file, "
                                   "this program's limit",
                                   c->tensors[i].name);
    }
    return CS_OK;
}

cs_status cs_checkpoint_select(cs_checkpoint *c, const char *key, cs_error *err) {
    uint32_t dict = 0;
    CS_TRY(cs_checkpoint_find_dict(c, key, &dict, err));
    const cs_value *found = &c->pickle.values[dict];
    uint32_t left = found->as.items.count, at = found->as.items.first;
    for (; left > 0; --left, at = c->pickle.cells[at].next)
        CS_TRY(take_entry(c, &c->pickle.values[c->pickle.cells[at].key],
                          &c->pickle.values[c->pickle.cells[at].value], err));
    strip_prefix(c);
    CS_TRY(sort_tensors(c, err)); /* before counters are dropped, that two of them are seen too */
    CS_TRY(drop_counters(c, err));
    CS_TRY(sort_tensors(c, err));
    if (c->tensor_count == 0)
        return cs_source_error(&c->source, CS_ERROR_MISMATCH, -1, err,
                               "no tensors in the state_dict");
    return check_volume(c, err);
}

int64_t cs_checkpoint_find(const cs_checkpoint *c, const char *name) {
    size_t low = 0, high = c->tensor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, c->tensors[c->by_name[middle]].name);
        if (order == 0)
            return c->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

const cs_stored_tensor *cs_checkpoint_tensor(const cs_checkpoint *c, const char *name) {
    int64_t index = cs_checkpoint_find(c, name);
    return index < 0 ? NULL : &c->pickle.tensors[c->tensors[index].tensor];
}
