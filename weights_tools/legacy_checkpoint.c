/* legacy_checkpoint.c - files of torch.save before 1.6: five pickles back to back (magic number,
 * protocol, system, the object, the storages' keys), then each storage in the keys' order, with its
 * number of elements before its bytes. Numbers are little-endian whoever wrote them. */
#include <string.h>

#include "checkpoint.h"

#define BAD(offset, ...)                                                                           \
    cs_source_error(&c->source, CS_ERROR_FORMAT, (int64_t)(offset), err, __VA_ARGS__)
#define REFUSE(offset, ...)                                                                        \
    cs_source_error(&c->source, CS_ERROR_UNSUPPORTED, (int64_t)(offset), err, __VA_ARGS__)

static const cs_value *value_of(const cs_checkpoint *c, uint32_t index) {
    return &c->pickle.values[index];
}

/* The three pickles before the object. */
static cs_status read_preamble(cs_checkpoint *c, size_t *at, cs_error *err) {
    enum { PROTOCOL = 1001 };
    uint32_t value = 0;
    CS_TRY(cs_pickle_run(&c->pickle, at, &value, err)); /* the magic number, sniffed already */
    size_t begin = *at;
    CS_TRY(cs_pickle_run(&c->pickle, at, &value, err));
    if (value_of(c, value)->kind != CS_VALUE_INT || value_of(c, value)->as.integer != PROTOCOL)
        return REFUSE(begin, "not protocol %d of torch.save's legacy format", PROTOCOL);
    begin = *at;
    CS_TRY(cs_pickle_run(&c->pickle, at, &value, err));
    uint32_t little = cs_pickle_lookup(&c->pickle, value, "little_endian");
    if (little == CS_NO_VALUE || value_of(c, little)->kind != CS_VALUE_BOOL)
        return BAD(begin, "the description of the writing machine is not one of torch.save's");
    if (!value_of(c, little)->as.integer)
        return REFUSE(begin, "a legacy file from a big-endian machine; load it and save it again "
                             "with a newer PyTorch");
    return CS_OK;
}

/* One storage at *offset: 8 bytes of count, then the elements. */
static cs_status locate(cs_checkpoint *c, uint32_t key, size_t position, uint64_t *offset,
                        cs_error *err) {
    char text[64];
    CS_TRY(cs_pickle_storage_key(&c->pickle, key, text, (int64_t)position, err));
    cs_storage *storage = cs_pickle_find_storage(&c->pickle, text);
    if (!storage)
        return BAD(position, "the list of storages names %s, which no tensor uses", text);
    if (storage->located)
        return BAD(position, "the list of storages names %s twice", text);
    unsigned char count[8];
    CS_TRY(cs_source_read(&c->source, *offset, count, sizeof count, err));
    if (cs_le64(count) != storage->numel)
        return BAD(*offset, "storage %s has %lld elements here, but %llu in the pickle", text,
                   (long long)cs_le64(count), (unsigned long long)storage->numel);
    uint64_t bytes, left = c->source.size - *offset - sizeof count;
    if (__builtin_mul_overflow(storage->numel, cs_element_size(storage->element), &bytes) ||
        bytes > left)
        return BAD(*offset,
                   "storage %s has %llu x %s, but the file ends %llu bytes on: it is cut "
                   "short, get it again",
                   text, (unsigned long long)storage->numel, cs_element_name(storage->element),
                   (unsigned long long)left);
    storage->offset = *offset + sizeof count;
    storage->located = true;
    *offset = storage->offset + bytes;
    return CS_OK;
}

static cs_status locate_storages(cs_checkpoint *c, uint32_t keys, size_t position, uint64_t end,
                                 cs_error *err) {
    const cs_value *list = value_of(c, keys);
    if (list->kind != CS_VALUE_LIST)
        return BAD(position, "the list of storages is %s", cs_value_kind_name(list->kind));
    uint32_t left = list->as.items.count, cell = list->as.items.first;
    for (; left > 0; --left, cell = c->pickle.cells[cell].next)
        CS_TRY(locate(c, c->pickle.cells[cell].value, position, &end, err));
    for (size_t i = 0; i < c->pickle.storage_count; ++i)
        if (!c->pickle.storages[i].located)
            return BAD(position, "the list of storages lacks %s, which a tensor uses",
                       c->pickle.storages[i].key);
    if (end != c->source.size)
        return BAD(end, "%llu bytes behind the last storage",
                   (unsigned long long)(c->source.size - end));
    return CS_OK;
}

cs_status cs_checkpoint_open_legacy(cs_checkpoint *c, cs_error *err) {
    c->format = "torch-legacy";
    uint64_t file = c->source.size;
    size_t size = file < CS_PICKLE_BYTES_MAX ? (size_t)file : CS_PICKLE_BYTES_MAX, at = 0;
    unsigned char *data = NULL;
    uint32_t keys = 0;
    CS_TRY(cs_source_load(&c->source, 0, size, "pickles", &data, err));
    CS_TRY(cs_pickle_init(&c->pickle, &c->source, data, size, 0, true, err));
    c->pickle.cut = size < file;
    CS_TRY(read_preamble(c, &at, err));
    CS_TRY(cs_pickle_run(&c->pickle, &at, &c->root, err));
    size_t position = at;
    CS_TRY(cs_pickle_run(&c->pickle, &at, &keys, err));
    return locate_storages(c, keys, position, at, err);
}
