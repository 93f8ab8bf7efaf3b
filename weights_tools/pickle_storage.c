/* pickle_storage.c - persistent ids: the storages that tensors lie in, and their views. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grow.h"
#include "pickle.h"

#define BAD(pickle, at, ...)                                                                       \
    cs_source_error((pickle)->source, CS_ERROR_FORMAT, (at), err, __VA_ARGS__)

bool cs_pickle_natural(const cs_pickle *pickle, uint32_t value, uint64_t *out) {
    const cs_value *v = &pickle->values[value];
    *out = (uint64_t)v->as.integer;
    return v->kind == CS_VALUE_INT && v->as.integer >= 0;
}

/* Storage keys name records of the archive: letters and digits only. */
cs_status cs_pickle_storage_key(const cs_pickle *pickle, uint32_t value, char out[64], int64_t at,
                                cs_error *err) {
    const cs_value *key = &pickle->values[value];
    if (key->kind == CS_VALUE_INT && key->as.integer >= 0) {
        snprintf(out, 64, "%lld", (long long)key->as.integer);
        return CS_OK;
    }
    bool good = key->kind == CS_VALUE_STRING && key->as.string.size > 0 && key->as.string.size < 64;
    for (uint32_t i = 0; good && i < key->as.string.size; ++i) {
        char c = key->as.string.text[i];
        good =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    }
    if (!good)
        return BAD(pickle, at, "a storage whose key is not a number as torch.save writes it");
    memcpy(out, key->as.string.text, key->as.string.size);
    out[key->as.string.size] = '\0';
    return CS_OK;
}

static size_t slot_of(const cs_pickle *pickle, const char *key) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *c = key; *c; ++c)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    size_t slot = (size_t)(hash % pickle->storage_table_size);
    while (pickle->storage_table[slot] != CS_NO_VALUE &&
           strcmp(pickle->storages[pickle->storage_table[slot]].key, key) != 0)
        slot = (slot + 1) % pickle->storage_table_size;
    return slot;
}

cs_storage *cs_pickle_find_storage(const cs_pickle *pickle, const char *key) {
    uint32_t index = pickle->storage_table[slot_of(pickle, key)];
    return index == CS_NO_VALUE ? NULL : &pickle->storages[index];
}

static cs_status add_storage(cs_pickle *pickle, const char *key, cs_element element, uint64_t numel,
                             uint32_t *index, int64_t at, cs_error *err) {
    size_t slot = slot_of(pickle, key);
    *index = pickle->storage_table[slot];
    if (*index != CS_NO_VALUE) {
        const cs_storage *known = &pickle->storages[*index];
        if (known->element != element || known->numel != numel)
            return BAD(pickle, at, "storage %s is %llu x %s here and %llu x %s elsewhere", key,
                       (unsigned long long)numel, cs_element_name(element),
                       (unsigned long long)known->numel, cs_element_name(known->element));
        return CS_OK;
    }
    CS_TRY(cs_grow((void **)&pickle->storages, &pickle->storage_capacity, pickle->storage_count + 1,
                   sizeof *pickle->storages, CS_PICKLE_STORAGES_MAX, "storages", err));
    char *copy = strdup(key);
    if (!copy)
        return cs_source_error(pickle->source, CS_ERROR_MEMORY, -1, err, "no memory");
    *index = (uint32_t)pickle->storage_count;
    pickle->storages[pickle->storage_count++] =
        (cs_storage){.key = copy, .element = element, .numel = numel};
    pickle->storage_table[slot] = *index;
    return CS_OK;
}

/* (view_key, offset, view_size) of a legacy persistent id; None where there is none. */
static cs_status add_view(cs_pickle *pickle, uint32_t metadata, uint64_t numel, uint32_t *view,
                          int64_t at, cs_error *err) {
    *view = CS_NO_VALUE;
    if (pickle->values[metadata].kind == CS_VALUE_NONE)
        return CS_OK;
    uint32_t a[3] = {0};
    cs_storage_view range;
    if (pickle->values[metadata].kind != CS_VALUE_TUPLE ||
        cs_pickle_items(pickle, metadata, a, 3) != 3 ||
        !cs_pickle_natural(pickle, a[1], &range.offset) ||
        !cs_pickle_natural(pickle, a[2], &range.size))
        return BAD(pickle, at, "a storage view that is not (key, offset >= 0, size >= 0)");
    if (range.offset > numel || range.size > numel - range.offset)
        return BAD(pickle, at, "a storage view of %llu elements from %llu in a storage of %llu",
                   (unsigned long long)range.size, (unsigned long long)range.offset,
                   (unsigned long long)numel);
    CS_TRY(cs_grow((void **)&pickle->views, &pickle->view_capacity, pickle->view_count + 1,
                   sizeof range, CS_PICKLE_STACK_MAX, "storage views", err));
    *view = (uint32_t)pickle->view_count;
    pickle->views[pickle->view_count++] = range;
    return CS_OK;
}

static bool is_word(const cs_pickle *pickle, uint32_t value, const char *word) {
    const cs_value *v = &pickle->values[value];
    return v->kind == CS_VALUE_STRING && v->as.string.size == strlen(word) &&
           memcmp(v->as.string.text, word, v->as.string.size) == 0;
}

cs_status cs_pickle_persistent(cs_pickle *pickle, uint32_t id, int64_t at, uint32_t *out,
                               cs_error *err) {
    uint32_t a[6] = {0};
    cs_value_kind kind = pickle->values[id].kind;
    if (kind != CS_VALUE_TUPLE)
        return BAD(pickle, at, "a persistent id that is %s, where a tuple was expected",
                   cs_value_kind_name(kind));
    size_t count = cs_pickle_items(pickle, id, a, 6);
    if (count > 0 && is_word(pickle, a[0], "module"))
        return cs_source_error(pickle->source, CS_ERROR_UNSUPPORTED, at, err,
                               "a pickled nn.Module with its source text, not a state_dict; save "
                               "it in Python with torch.save(model.state_dict(), f)");
    if (count != (pickle->legacy ? 6u : 5u) || !is_word(pickle, a[0], "storage"))
        return BAD(pickle, at,
                   "a persistent id that is not ('storage', type, key, location, "
                   "numel%s)",
                   pickle->legacy ? ", view" : "");
    const cs_value *type = &pickle->values[a[1]];
    uint64_t numel;
    if (type->kind != CS_VALUE_GLOBAL || type->global != CS_GLOBAL_STORAGE)
        return BAD(pickle, at, "a storage whose type is not one of torch's");
    if (!cs_pickle_natural(pickle, a[4], &numel))
        return BAD(pickle, at, "a storage whose number of elements is not an integer >= 0");
    cs_element element = (cs_element)type->element;
    char key[64];
    CS_TRY(cs_pickle_storage_key(pickle, a[2], key, at, err));
    cs_value value = {.kind = CS_VALUE_STORAGE};
    CS_TRY(add_storage(pickle, key, element, numel, &value.as.stored.storage, at, err));
    value.as.stored.view = CS_NO_VALUE;
    if (pickle->legacy)
        CS_TRY(add_view(pickle, a[5], numel, &value.as.stored.view, at, err));
    return cs_pickle_add(pickle, value, out, err);
}
