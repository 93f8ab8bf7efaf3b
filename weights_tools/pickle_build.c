/* pickle_build.c - the arena, and what the pickle machine makes of names: dicts, tensors, opaque
 * objects. Everything about a tensor that the pickle alone decides is checked
 * here; whether its bytes are in the file is checked when they are read. */
#include <stdlib.h>
#include <string.h>

#include "grow.h"
#include "pickle.h"

#define BAD(pickle, at, ...)                                                                       \
    cs_source_error((pickle)->source, CS_ERROR_FORMAT, (at), err, __VA_ARGS__)

cs_status cs_pickle_init(cs_pickle *pickle, const cs_source *source, unsigned char *data,
                         size_t size, uint64_t base, bool legacy, cs_error *err) {
    *pickle =
        (cs_pickle){.source = source, .data = data, .size = size, .base = base, .legacy = legacy};
    /* Naming a storage takes 12 bytes of a pickle at least: the table is never more than half
     * full. */
    enum { BYTES_MIN = 8, ROOM = 8 };
    size_t most = size / BYTES_MIN + ROOM;
    pickle->storage_table_size =
        2 * (most < CS_PICKLE_STORAGES_MAX ? most : CS_PICKLE_STORAGES_MAX + ROOM);
    pickle->storage_table = malloc(pickle->storage_table_size * sizeof(uint32_t));
    if (!pickle->storage_table)
        return cs_source_error(source, CS_ERROR_MEMORY, -1, err, "no memory");
    memset(pickle->storage_table, 0xFF, pickle->storage_table_size * sizeof(uint32_t));
    return CS_OK;
}

void cs_pickle_release(cs_pickle *pickle) {
    for (size_t i = 0; i < pickle->storage_count; ++i)
        free(pickle->storages[i].key);
    for (size_t i = 0; i < pickle->opaque_count; ++i)
        free(pickle->opaques[i].name);
    free(pickle->data);
    free(pickle->values);
    free(pickle->cells);
    free(pickle->storages);
    free(pickle->storage_table);
    free(pickle->views);
    free(pickle->tensors);
    free(pickle->opaques);
    *pickle = (cs_pickle){0};
}

cs_status cs_pickle_add(cs_pickle *pickle, cs_value value, uint32_t *index, cs_error *err) {
    CS_TRY(cs_grow((void **)&pickle->values, &pickle->value_capacity, pickle->value_count + 1,
                   sizeof value, CS_PICKLE_VALUES_MAX, "pickle values", err));
    *index = (uint32_t)pickle->value_count;
    pickle->values[pickle->value_count++] = value;
    return CS_OK;
}

cs_status cs_pickle_append(cs_pickle *pickle, uint32_t container, uint32_t key, uint32_t value,
                           cs_error *err) {
    CS_TRY(cs_grow((void **)&pickle->cells, &pickle->cell_capacity, pickle->cell_count + 1,
                   sizeof *pickle->cells, CS_PICKLE_VALUES_MAX, "members of pickle values", err));
    uint32_t cell = (uint32_t)pickle->cell_count++;
    pickle->cells[cell] = (cs_cell){key, value, CS_NO_VALUE};
    cs_value *target = &pickle->values[container];
    if (target->as.items.count++ == 0)
        target->as.items.first = cell;
    else
        pickle->cells[target->as.items.last].next = cell;
    target->as.items.last = cell;
    return CS_OK;
}

size_t cs_pickle_items(const cs_pickle *pickle, uint32_t container, uint32_t *out, size_t limit) {
    const cs_value *value = &pickle->values[container];
    uint32_t cell = value->as.items.count ? value->as.items.first : CS_NO_VALUE;
    for (size_t i = 0; i < limit && cell != CS_NO_VALUE; ++i, cell = pickle->cells[cell].next)
        out[i] = pickle->cells[cell].value;
    return value->as.items.count;
}

uint32_t cs_pickle_lookup(const cs_pickle *pickle, uint32_t dict, const char *key) {
    const cs_value *value = &pickle->values[dict];
    uint32_t found = CS_NO_VALUE;
    if (value->kind != CS_VALUE_DICT || value->as.items.count == 0)
        return found;
    for (uint32_t c = value->as.items.first; c != CS_NO_VALUE; c = pickle->cells[c].next) {
        const cs_value *k = &pickle->values[pickle->cells[c].key];
        if (k->kind == CS_VALUE_STRING && k->as.string.size == strlen(key) &&
            memcmp(k->as.string.text, key, k->as.string.size) == 0)
            found = pickle->cells[c].value;
    }
    return found;
}

const char *cs_value_kind_name(cs_value_kind kind) {
    static const char *const names[] = {"None",         "a bool",
                                        "an integer",   "a huge integer",
                                        "a float",      "a string",
                                        "bytes",        "a tuple",
                                        "a list",       "a dict",
                                        "a name",       "a storage",
                                        "a tensor",     "an object of a class unknown here",
                                        "an nn.Module", "a tensor of a foreign kind"};
    return names[kind];
}

/* A name that nothing here knows; one entry a name. */
static cs_status add_opaque(cs_pickle *pickle, const char *module, size_t module_size,
                            const char *name, size_t name_size, uint32_t *index, cs_error *err) {
    /* Python 2's names for the same modules. */
    if (module_size == 11 && memcmp(module, "__builtin__", 11) == 0)
        module = "builtins", module_size = 8;
    else if (module_size == 8 && memcmp(module, "copy_reg", 8) == 0)
        module = "copyreg", module_size = 7;
    cs_text text = {0};
    cs_text_append_bytes(&text, module, module_size);
    cs_text_append_bytes(&text, ".", 1);
    cs_text_append_bytes(&text, name, name_size);
    char *clean = text.failed ? NULL : cs_text_clean(text.data, text.size);
    cs_text_release(&text);
    if (!clean)
        return cs_source_error(pickle->source, CS_ERROR_MEMORY, -1, err, "no memory");
    for (size_t i = 0; i < pickle->opaque_count; ++i) {
        if (strcmp(pickle->opaques[i].name, clean) == 0) {
            free(clean);
            *index = (uint32_t)i;
            return CS_OK;
        }
    }
    enum { OPAQUES_MAX = 1024 };
    cs_status status =
        cs_grow((void **)&pickle->opaques, &pickle->opaque_capacity, pickle->opaque_count + 1,
                sizeof *pickle->opaques, OPAQUES_MAX, "foreign names in a pickle", err);
    if (status != CS_OK) {
        free(clean);
        return status;
    }
    *index = (uint32_t)pickle->opaque_count;
    pickle->opaques[pickle->opaque_count++] = (cs_opaque){clean, false};
    return CS_OK;
}

cs_status cs_pickle_global(cs_pickle *pickle, const char *module, size_t module_size,
                           const char *name, size_t name_size, uint32_t *out, cs_error *err) {
    cs_element element = CS_ELEMENT_F32;
    cs_global global = cs_global_find(module, module_size, name, name_size, &element);
    cs_value value = {
        .kind = CS_VALUE_GLOBAL, .global = (uint8_t)global, .element = (uint8_t)element};
    if (global == CS_GLOBAL_OPAQUE || global == CS_GLOBAL_FOREIGN_TENSOR)
        CS_TRY(add_opaque(pickle, module, module_size, name, name_size, &value.as.index, err));
    if (global == CS_GLOBAL_OPAQUE)
        value.kind = CS_VALUE_OPAQUE;
    return cs_pickle_add(pickle, value, out, err);
}

/* A tuple of at most 8 integers >= 0. */
static cs_status read_dims(cs_pickle *pickle, uint32_t tuple, const char *what, int64_t *out,
                           int *count, int64_t at, cs_error *err) {
    uint32_t items[CS_PICKLE_DIMS_MAX] = {0};
    cs_value_kind kind = pickle->values[tuple].kind;
    if (kind != CS_VALUE_TUPLE)
        return BAD(pickle, at, "a tensor whose %s is %s, where a tuple was expected", what,
                   cs_value_kind_name(kind));
    size_t dims = cs_pickle_items(pickle, tuple, items, CS_PICKLE_DIMS_MAX);
    if (dims > CS_PICKLE_DIMS_MAX)
        return cs_source_error(pickle->source, CS_ERROR_LIMIT, at, err,
                               "a tensor of %zu dimensions, more than this program's limit of %d",
                               dims, CS_PICKLE_DIMS_MAX);
    for (size_t i = 0; i < dims; ++i) {
        uint64_t value;
        if (!cs_pickle_natural(pickle, items[i], &value))
            return BAD(pickle, at,
                       "a tensor whose %s[%zu] is %s%s, where an integer >= 0 was "
                       "expected",
                       what, i, pickle->values[items[i]].kind == CS_VALUE_INT ? "negative: " : "",
                       cs_value_kind_name(pickle->values[items[i]].kind));
        out[i] = (int64_t)value;
    }
    *count = (int)dims;
    return CS_OK;
}

/* Number of elements and extent in the storage, in checked arithmetic: nothing may wrap, not even
 * where another dimension is 0. */
static bool measure(cs_stored_tensor *t) {
    uint64_t count = 1, extent = 1, product, step;
    bool empty = false;
    for (int i = 0; i < t->dims; ++i) {
        empty = empty || t->shape[i] == 0;
        if (t->shape[i] <= 1) {
            t->stride[i] = 0; /* never stepped over, whatever it says */
            continue;
        }
        if (__builtin_mul_overflow(count, (uint64_t)t->shape[i], &product) ||
            __builtin_mul_overflow((uint64_t)t->shape[i] - 1, (uint64_t)t->stride[i], &step) ||
            __builtin_add_overflow(extent, step, &extent) || product > INT64_MAX)
            return false;
        count = product;
    }
    t->numel = empty ? 0 : count;
    t->extent = empty ? 0 : extent;
    return true;
}

/* Checks a tensor against the storage that it lies in. */
static cs_status place(cs_pickle *pickle, const cs_value *stored, cs_stored_tensor *t,
                       cs_error *err) {
    const cs_storage *storage = &pickle->storages[stored->as.stored.storage];
    uint64_t begin = 0, available = storage->numel;
    if (stored->as.stored.view != CS_NO_VALUE) {
        begin = pickle->views[stored->as.stored.view].offset;
        available = pickle->views[stored->as.stored.view].size;
    }
    if (storage->element == CS_ELEMENT_UNTYPED)
        available /= cs_element_size(t->element);
    else if (storage->element != t->element)
        return BAD(pickle, t->position, "a tensor of %s in storage %s of %s",
                   cs_element_name(t->element), storage->key, cs_element_name(storage->element));
    if (t->offset > available || t->extent > available - t->offset)
        return BAD(pickle, t->position,
                   "a tensor of %llu elements that reaches over %llu from "
                   "offset %llu, beyond the %llu of its storage %s",
                   (unsigned long long)t->numel, (unsigned long long)t->extent,
                   (unsigned long long)t->offset, (unsigned long long)available, storage->key);
    t->offset += begin;
    return CS_OK;
}

/* _rebuild_tensor and its versions: (storage, offset, size, stride, requires_grad, hooks, dtype,
 * metadata), of which version 1 has 4, version 2 has 6 or 7 (no dtype), version 3 has 7 or 8. */
static cs_status make_tensor(cs_pickle *pickle, cs_global version, uint32_t arguments, int64_t at,
                             uint32_t *out, cs_error *err) {
    uint32_t a[8] = {0};
    size_t count = cs_pickle_items(pickle, arguments, a, 8);
    bool fits = version == CS_GLOBAL_TENSOR_V1   ? count == 4
                : version == CS_GLOBAL_TENSOR_V2 ? count == 6 || count == 7
                                                 : count == 7 || count == 8;
    if (!fits)
        return BAD(pickle, at, "a tensor is rebuilt from %zu arguments", count);
    const cs_value stored = pickle->values[a[0]];
    cs_stored_tensor t = {.position = at};
    if (stored.kind != CS_VALUE_STORAGE)
        return BAD(pickle, at, "a tensor is rebuilt from %s, where a storage was expected",
                   cs_value_kind_name(stored.kind));
    if (!cs_pickle_natural(pickle, a[1], &t.offset))
        return BAD(pickle, at, "a tensor whose storage offset is not an integer >= 0");
    int strides = 0;
    CS_TRY(read_dims(pickle, a[2], "size", t.shape, &t.dims, at, err));
    CS_TRY(read_dims(pickle, a[3], "stride", t.stride, &strides, at, err));
    if (t.dims != strides)
        return BAD(pickle, at, "a tensor with %d sizes and %d strides", t.dims, strides);
    if (count > 5 && (pickle->values[a[4]].kind != CS_VALUE_BOOL ||
                      (pickle->values[a[5]].kind != CS_VALUE_DICT &&
                       pickle->values[a[5]].kind != CS_VALUE_NONE)))
        return BAD(pickle, at, "a tensor whose requires_grad or hooks are of the wrong kind");
    t.storage = stored.as.stored.storage;
    t.element = pickle->storages[t.storage].element;
    if (version == CS_GLOBAL_TENSOR_V3) {
        const cs_value *dtype = &pickle->values[a[6]];
        if (dtype->kind != CS_VALUE_GLOBAL || dtype->global != CS_GLOBAL_DTYPE)
            return BAD(pickle, at, "a tensor whose dtype is not one of torch's");
        t.element = (cs_element)dtype->element;
    }
    if (!measure(&t))
        return BAD(pickle, at, "a tensor whose size overflows");
    CS_TRY(place(pickle, &stored, &t, err));
    CS_TRY(cs_grow((void **)&pickle->tensors, &pickle->tensor_capacity, pickle->tensor_count + 1,
                   sizeof t, CS_PICKLE_STACK_MAX, "tensors in a pickle", err));
    cs_value value = {.kind = CS_VALUE_TENSOR};
    value.as.index = (uint32_t)pickle->tensor_count;
    pickle->tensors[pickle->tensor_count++] = t;
    return cs_pickle_add(pickle, value, out, err);
}

/* OrderedDict(), OrderedDict([(key, value), ...]), Counter({...}). */
static cs_status make_dict(cs_pickle *pickle, uint32_t arguments, int64_t at, uint32_t *out,
                           cs_error *err) {
    uint32_t source = 0;
    cs_value value = {.kind = CS_VALUE_DICT};
    CS_TRY(cs_pickle_add(pickle, value, out, err));
    size_t count = cs_pickle_items(pickle, arguments, &source, 1);
    if (count == 0)
        return CS_OK;
    cs_value_kind kind = pickle->values[source].kind;
    if (count != 1 || (kind != CS_VALUE_DICT && kind != CS_VALUE_LIST))
        return BAD(pickle, at, "a dict made from %zu arguments, the first of them %s", count,
                   cs_value_kind_name(kind));
    uint32_t left = pickle->values[source].as.items.count;
    uint32_t cell = pickle->values[source].as.items.first;
    for (; left > 0; --left, cell = pickle->cells[cell].next) {
        uint32_t pair[2] = {pickle->cells[cell].key, pickle->cells[cell].value};
        cs_value_kind item = pickle->values[pair[1]].kind;
        if (kind == CS_VALUE_LIST && ((item != CS_VALUE_LIST && item != CS_VALUE_TUPLE) ||
                                      cs_pickle_items(pickle, pair[1], pair, 2) != 2))
            return BAD(pickle, at, "a dict made from a list that does not hold pairs");
        CS_TRY(cs_pickle_append(pickle, *out, pair[0], pair[1], err));
    }
    return CS_OK;
}

/* What was made with something opaque is opaque itself. */
static cs_status make_opaque(cs_pickle *pickle, uint32_t from, cs_value_kind kind, uint32_t *out,
                             cs_error *err) {
    cs_value value = {.kind = (uint8_t)kind};
    value.as.index = pickle->values[from].as.index;
    pickle->opaques[value.as.index].executes |= kind == CS_VALUE_OPAQUE;
    return cs_pickle_add(pickle, value, out, err);
}

/* A parameter is its first argument, the tensor. */
static cs_status make_parameter(cs_pickle *pickle, uint32_t arguments, int64_t at, uint32_t *out,
                                cs_error *err) {
    size_t count = cs_pickle_items(pickle, arguments, out, 1);
    cs_value_kind kind = count > 0 ? pickle->values[*out].kind : CS_VALUE_NONE;
    if (kind != CS_VALUE_TENSOR && kind != CS_VALUE_OPAQUE && kind != CS_VALUE_FOREIGN_TENSOR)
        return BAD(pickle, at, "a parameter made from %s, where a tensor was expected",
                   cs_value_kind_name(kind));
    return CS_OK;
}

/* _rebuild_from_type_v2(function, class, arguments, state). */
static cs_status make_from_type(cs_pickle *pickle, uint32_t arguments, int64_t at, uint32_t *out,
                                cs_error *err) {
    uint32_t a[4] = {0};
    if (cs_pickle_items(pickle, arguments, a, 4) != 4 ||
        pickle->values[a[2]].kind != CS_VALUE_TUPLE)
        return BAD(pickle, at, "a tensor of a subclass is rebuilt from the wrong arguments");
    const cs_value *function = &pickle->values[a[0]], *class = &pickle->values[a[1]];
    if (class->kind == CS_VALUE_OPAQUE)
        return make_opaque(pickle, a[1], CS_VALUE_OPAQUE, out, err);
    if (function->kind == CS_VALUE_OPAQUE)
        return make_opaque(pickle, a[0], CS_VALUE_OPAQUE, out, err);
    if (function->kind == CS_VALUE_GLOBAL &&
        (function->global == CS_GLOBAL_TENSOR_V1 || function->global == CS_GLOBAL_TENSOR_V2 ||
         function->global == CS_GLOBAL_TENSOR_V3))
        return make_tensor(pickle, (cs_global)function->global, a[2], at, out, err);
    return BAD(pickle, at, "a tensor of a subclass is rebuilt by something that makes no tensors");
}

cs_status cs_pickle_call(cs_pickle *pickle, uint32_t function, uint32_t arguments, int64_t at,
                         uint32_t *out, cs_error *err) {
    const cs_value *callee = &pickle->values[function];
    if (callee->kind == CS_VALUE_OPAQUE)
        return make_opaque(pickle, function, CS_VALUE_OPAQUE, out, err);
    if (callee->kind != CS_VALUE_GLOBAL)
        return BAD(pickle, at, "%s is called as if it were a function",
                   cs_value_kind_name(callee->kind));
    switch ((cs_global)callee->global) {
    case CS_GLOBAL_DICT: return make_dict(pickle, arguments, at, out, err);
    case CS_GLOBAL_TENSOR_V1:
    case CS_GLOBAL_TENSOR_V2:
    case CS_GLOBAL_TENSOR_V3:
        return make_tensor(pickle, (cs_global)callee->global, arguments, at, out, err);
    case CS_GLOBAL_PARAMETER: return make_parameter(pickle, arguments, at, out, err);
    case CS_GLOBAL_FROM_TYPE: return make_from_type(pickle, arguments, at, out, err);
    case CS_GLOBAL_FOREIGN_TENSOR:
        return make_opaque(pickle, function, CS_VALUE_FOREIGN_TENSOR, out, err);
    case CS_GLOBAL_SIZE:
        if (cs_pickle_items(pickle, arguments, out, 1) == 1 &&
            pickle->values[*out].kind == CS_VALUE_TUPLE)
            return CS_OK;
        return BAD(pickle, at, "a torch.Size that is not made from a tuple");
    default: return BAD(pickle, at, "a type is called as if it were a function");
    }
}

cs_status cs_pickle_set_state(cs_pickle *pickle, uint32_t object, uint32_t state, int64_t at,
                              cs_error *err) {
    cs_value *target = &pickle->values[object];
    if (target->kind == CS_VALUE_OPAQUE &&
        cs_pickle_lookup(pickle, state, "_modules") != CS_NO_VALUE &&
        cs_pickle_lookup(pickle, state, "_parameters") != CS_NO_VALUE)
        target->kind = CS_VALUE_MODULE;
    /* A dict's attributes (state_dict()'s _metadata) say nothing about its tensors. */
    if (target->kind == CS_VALUE_OPAQUE || target->kind == CS_VALUE_MODULE ||
        (target->kind == CS_VALUE_DICT && pickle->values[state].kind == CS_VALUE_DICT))
        return CS_OK;
    return BAD(pickle, at, "BUILD gives a state to %s", cs_value_kind_name(target->kind));
}
