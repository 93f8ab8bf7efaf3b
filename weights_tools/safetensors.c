/* safetensors.c - .safetensors files: 8 bytes with the header's size, a JSON object that names the
 * tensors, then their values one behind the other. What the reference implementation checks is
 * checked here, and what it leaves to the JSON reader is checked more strictly. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "cnnscope_support.h"
#include "grow.h"

enum { PREFIX = 8, ZIP_END_SIZE = 22 };

#define FAIL(status, offset, ...)                                                                  \
    cs_source_error(&c->source, (status), (int64_t)(offset), err, __VA_ARGS__)
#define BAD(offset, ...) FAIL(CS_ERROR_FORMAT, offset, __VA_ARGS__)

typedef struct dtype_row {
    const char *name, *element;
    unsigned bits;
} dtype_row;

static const dtype_row dtypes[] = {
    {"F32", "float32", 32},
    {"F64", "float64", 64},
    {"F16", "float16", 16},
    {"BF16", "bfloat16", 16},
    {"I64", "int64", 64},
    {"I32", "int32", 32},
    {"I16", "int16", 16},
    {"I8", "int8", 8},
    {"U8", "uint8", 8},
    {"BOOL", "bool", 8},
    {"U16", "uint16", 16},
    {"U32", "uint32", 32},
    {"U64", "uint64", 64},
    {"C64", "complex64", 64},
    {"F8_E4M3", "float8_e4m3fn", 8},
    {"F8_E5M2", "float8_e5m2", 8},
    {"F8_E4M3FNUZ", "float8_e4m3fnuz", 8},
    {"F8_E5M2FNUZ", "float8_e5m2fnuz", 8},
    {"F8_E8M0", "float8_e8m0fnu", 8},
    {"F6_E2M3", "float6_e2m3", 6},
    {"F6_E3M2", "float6_e3m2", 6},
    {"F4", "float4_e2m1", 4},
};

/* A tensor's bytes, relative to the end of the header. */
typedef struct byte_range {
    uint64_t begin, end;
} byte_range;

/* Loads prefix and header; the prefix becomes white space, so that offsets in the text are offsets
 * in the file. */
static cs_status load_header(cs_checkpoint *c, unsigned char **text, size_t *size, cs_error *err) {
    unsigned char prefix[PREFIX];
    CS_TRY(cs_source_read(&c->source, 0, prefix, sizeof prefix, err));
    uint64_t header = cs_le64(prefix);
    if (header > CS_SAFETENSORS_HEADER_MAX)
        return FAIL(CS_ERROR_LIMIT, 0,
                    "a safetensors header of %llu bytes, more than the format's limit of %d",
                    (unsigned long long)header, CS_SAFETENSORS_HEADER_MAX);
    if (header > c->source.size - PREFIX)
        return BAD(0,
                   "a safetensors header of %llu bytes, but only %llu follow: the file is cut "
                   "short, get it again",
                   (unsigned long long)header, (unsigned long long)(c->source.size - PREFIX));
    *size = PREFIX + (size_t)header;
    CS_TRY(cs_source_load(&c->source, 0, *size, "the header", text, err));
    memset(*text, ' ', PREFIX);
    return CS_OK;
}

/* Outside of strings a header has brackets, colons, commas and digits only: no fractions, signs,
 * exponents, true, false or null. Looked at before anything is built from it, so that the number
 * of values, and with it memory, is bounded first. */
static cs_status check_words(const cs_checkpoint *c, const unsigned char *text, size_t size,
                             cs_error *err) {
    static const char allowed[] = "{}[]: \t\n\r0123456789";
    bool quoted = false;
    size_t commas = 0;
    for (size_t i = 0; i < size; ++i) {
        unsigned char byte = text[i];
        if (quoted) {
            quoted = byte != '"';
            i += byte == '\\';
        } else if (byte == '"') {
            quoted = true;
        } else if (byte == 0) {
            return BAD(i, "a NUL byte in the header, which is padded with spaces only");
        } else if (byte == ',') {
            if (++commas > CS_SAFETENSORS_VALUES_MAX)
                return FAIL(CS_ERROR_LIMIT, i,
                            "a header of more than %d values, this program's limit",
                            CS_SAFETENSORS_VALUES_MAX);
        } else if (!memchr(allowed, byte, sizeof allowed - 1)) {
            return BAD(i,
                       "0x%02x in the header, which is made of names and of whole numbers written "
                       "in digits",
                       byte);
        }
    }
    return CS_OK;
}

static cs_status parse_header(const cs_checkpoint *c, const unsigned char *text, size_t size,
                              cJSON **json, cs_error *err) {
    enum { DEPTH = 4 };
    CS_TRY(check_words(c, text, size, err));
    CS_TRY(cs_json_check((const char *)text, size, DEPTH, c->source.name, err));
    *json = cJSON_ParseWithLengthOpts((const char *)text, size, NULL, false);
    if (!*json)
        return FAIL(CS_ERROR_MEMORY, -1, "no memory for the header");
    if (!cJSON_IsObject(*json))
        return BAD(PREFIX, "the header is not a JSON object");
    return CS_OK;
}

/* An array of at most `limit` whole numbers; the count, or -1. More than fit are counted too. */
static int64_t read_numbers(const cJSON *array, uint64_t *out, int64_t limit) {
    int64_t count = 0;
    const cJSON *item;
    if (!cJSON_IsArray(array))
        return -1;
    cJSON_ArrayForEach(item, array) {
        if (!cJSON_IsNumber(item))
            return -1;
        if (count < limit)
            out[count] = (uint64_t)item->valuedouble; /* exact: checked to be below 2^53 */
        ++count;
    }
    return count;
}

static cs_status find_dtype(const cs_checkpoint *c, const cJSON *entry, const dtype_row **row,
                            cs_element *element, cs_error *err) {
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
    *row = NULL;
    for (size_t i = 0; cJSON_IsString(name) && i < sizeof dtypes / sizeof *dtypes && !*row; ++i)
        if (strcmp(name->valuestring, dtypes[i].name) == 0)
            *row = &dtypes[i];
    if (!cJSON_IsString(name))
        return BAD(PREFIX, "%s: its dtype is not a string", entry->string);
    if (!*row)
        return FAIL(CS_ERROR_UNSUPPORTED, PREFIX, "%s: the dtype %s is not one of safetensors'",
                    entry->string, name->valuestring);
    for (int i = 0; i < CS_ELEMENT_COUNT; ++i)
        if (strcmp(cs_element_name((cs_element)i), (*row)->element) == 0)
            *element = (cs_element)i;
    return CS_OK;
}

/* Shape, strides and number of elements; nothing may wrap, not even where a dimension is 0. */
static cs_status read_shape(const cs_checkpoint *c, const cJSON *entry, cs_stored_tensor *t,
                            cs_error *err) {
    uint64_t shape[CS_PICKLE_DIMS_MAX];
    int64_t dims =
        read_numbers(cJSON_GetObjectItemCaseSensitive(entry, "shape"), shape, CS_PICKLE_DIMS_MAX);
    if (dims < 0)
        return BAD(PREFIX, "%s: its shape is not an array of whole numbers", entry->string);
    if (dims > CS_PICKLE_DIMS_MAX)
        return FAIL(CS_ERROR_LIMIT, PREFIX,
                    "%s: %lld dimensions, more than this program's limit of %d", entry->string,
                    (long long)dims, CS_PICKLE_DIMS_MAX);
    uint64_t count = 1;
    bool empty = false;
    t->dims = (int)dims;
    for (int i = t->dims - 1; i >= 0; --i) {
        t->shape[i] = (int64_t)shape[i];
        t->stride[i] = shape[i] > 1 ? (int64_t)count : 0;
        empty = empty || shape[i] == 0;
        if (shape[i] > 1 &&
            (__builtin_mul_overflow(count, shape[i], &count) || count > INT64_MAX / 64))
            return BAD(PREFIX, "%s: the product of its shape overflows", entry->string);
    }
    t->numel = t->extent = empty ? 0 : count;
    return CS_OK;
}

/* Tensor `index`, from one member of the header. */
static cs_status read_entry(const cs_checkpoint *c, const cJSON *entry, uint64_t data_size,
                            cs_stored_tensor *t, byte_range *range, cs_error *err) {
    const dtype_row *row = NULL;
    uint64_t offsets[2];
    if (!cJSON_IsObject(entry) || cJSON_GetArraySize(entry) != 3)
        return BAD(PREFIX, "%s: not an object of dtype, shape and data_offsets", entry->string);
    CS_TRY(find_dtype(c, entry, &row, &t->element, err));
    CS_TRY(read_shape(c, entry, t, err));
    if (read_numbers(cJSON_GetObjectItemCaseSensitive(entry, "data_offsets"), offsets, 2) != 2)
        return BAD(PREFIX, "%s: its data_offsets are not two whole numbers", entry->string);
    *range = (byte_range){offsets[0], offsets[1]};
    if (range->begin > range->end || range->end > data_size)
        return BAD(PREFIX, "%s: its bytes %llu to %llu do not lie in the %llu behind the header",
                   entry->string, (unsigned long long)range->begin, (unsigned long long)range->end,
                   (unsigned long long)data_size);
    uint64_t bits = t->numel * row->bits; /* cannot wrap: bounded with the shape */
    if (bits % 8 != 0 || bits / 8 != range->end - range->begin)
        return BAD(PREFIX, "%s: %llu x %s are %llu bits, but its data_offsets span %llu bytes",
                   entry->string, (unsigned long long)t->numel, row->name, (unsigned long long)bits,
                   (unsigned long long)(range->end - range->begin));
    t->position = (int64_t)range->begin;
    return CS_OK;
}

/* Tools keep notes under this key: strings by name. */
static cs_status check_metadata(const cs_checkpoint *c, const cJSON *entry, cs_error *err) {
    const cJSON *item;
    bool good = cJSON_IsObject(entry);
    cJSON_ArrayForEach(item, entry) good = good && cJSON_IsString(item);
    return good ? CS_OK : BAD(PREFIX, "__metadata__ is not an object of strings");
}

/* Adds a tensor with a storage of its own to the root. `name` stays where it is. */
static cs_status add_tensor(cs_checkpoint *c, const char *name, size_t name_size,
                            cs_stored_tensor *t, const byte_range *range, uint64_t data,
                            cs_error *err) {
    cs_pickle *p = &c->pickle;
    uint32_t key = 0, value = 0;
    CS_TRY(cs_grow((void **)&p->storages, &p->storage_capacity, p->storage_count + 1,
                   sizeof *p->storages, CS_CHECKPOINT_TENSORS_MAX, "tensors", err));
    CS_TRY(cs_grow((void **)&p->tensors, &p->tensor_capacity, p->tensor_count + 1,
                   sizeof *p->tensors, CS_CHECKPOINT_TENSORS_MAX, "tensors", err));
    t->storage = (uint32_t)p->storage_count;
    t->position = (int64_t)(data + range->begin);
    p->storages[p->storage_count++] = (cs_storage){.element = t->element,
                                                   .numel = t->numel,
                                                   .offset = data + range->begin,
                                                   .located = true,
                                                   .verified = true};
    cs_value text = {.kind = CS_VALUE_STRING}, tensor = {.kind = CS_VALUE_TENSOR};
    text.as.string.text = name;
    text.as.string.size = (uint32_t)name_size;
    tensor.as.index = (uint32_t)p->tensor_count;
    p->tensors[p->tensor_count++] = *t;
    CS_TRY(cs_pickle_add(p, text, &key, err));
    CS_TRY(cs_pickle_add(p, tensor, &value, err));
    return cs_pickle_append(p, c->root, key, value, err);
}

static bool before(const void *context, uint32_t a, uint32_t b) {
    const byte_range *ranges = context;
    return ranges[a].begin != ranges[b].begin ? ranges[a].begin < ranges[b].begin
                                              : ranges[a].end <= ranges[b].end;
}

/* The tensors' bytes follow each other from the header to the end of the file. */
static cs_status check_tiling(const cs_checkpoint *c, const byte_range *ranges, uint32_t *order,
                              size_t count, uint64_t data, cs_error *err) {
    uint64_t end = 0;
    cs_sort_indices(order, order + count, count, before, ranges);
    for (size_t i = 0; i < count; ++i) {
        const byte_range *range = &ranges[order[i]];
        if (range->begin != end)
            return BAD(
                data + (range->begin < end ? range->begin : end), "%llu bytes that %s",
                (unsigned long long)(range->begin < end ? end - range->begin : range->begin - end),
                range->begin < end ? "two tensors claim" : "no tensor claims");
        end = range->end;
    }
    if (data + end != c->source.size)
        return BAD(data + end, "%llu bytes behind the last tensor",
                   (unsigned long long)(c->source.size - data - end));
    return CS_OK;
}

static cs_status read_entries(cs_checkpoint *c, const cJSON *json, uint64_t data,
                              byte_range *ranges, uint32_t *order, cs_error *err) {
    char *names = (char *)c->pickle.data; /* parsed: its room is for the names now */
    size_t count = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, json) {
        if (strcmp(entry->string, "__metadata__") == 0) {
            CS_TRY(check_metadata(c, entry, err));
            continue;
        }
        if (count == CS_CHECKPOINT_TENSORS_MAX)
            return FAIL(CS_ERROR_LIMIT, PREFIX, "more than %d tensors, this program's limit",
                        CS_CHECKPOINT_TENSORS_MAX);
        cs_stored_tensor t = {0};
        size_t size = strlen(entry->string);
        CS_TRY(read_entry(c, entry, c->source.size - data, &t, &ranges[count], err));
        memcpy(names, entry->string, size); /* unescaped: no longer than it was in the header */
        CS_TRY(add_tensor(c, names, size, &t, &ranges[count], data, err));
        names += size;
        ++count;
    }
    return check_tiling(c, ranges, order, count, data, err);
}

/* Programs that look for a zip archive's directory at the end would find one: which of the two the
 * file is depends on the reader. */
static cs_status check_zip_end(const cs_checkpoint *c, cs_error *err) {
    unsigned char end[ZIP_END_SIZE];
    if (c->source.size < PREFIX + ZIP_END_SIZE)
        return CS_OK;
    CS_TRY(cs_source_read(&c->source, c->source.size - sizeof end, end, sizeof end, err));
    if (memcmp(end, "PK\5\6", 4) == 0 && cs_le16(end + 20) == 0)
        return BAD(c->source.size - sizeof end,
                   "a safetensors file that is a zip archive too: made to deceive some reader");
    return CS_OK;
}

cs_status cs_checkpoint_open_safetensors(cs_checkpoint *c, cs_error *err) {
    unsigned char *text = NULL;
    size_t size = 0;
    cJSON *json = NULL;
    byte_range *ranges = NULL;
    uint32_t *order = NULL;
    c->format = "safetensors";
    CS_TRY(load_header(c, &text, &size, err));
    CS_TRY(cs_pickle_init(&c->pickle, &c->source, text, size, 0, false, err));
    cs_status status = parse_header(c, text, size, &json, err);
    if (status != CS_OK)
        goto cleanup;
    size_t count = (size_t)cJSON_GetArraySize(json);
    ranges = calloc(count + 1, sizeof *ranges);
    order = calloc(2 * count + 1, sizeof *order);
    status = ranges && order
                 ? cs_pickle_add(&c->pickle, (cs_value){.kind = CS_VALUE_DICT}, &c->root, err)
                 : FAIL(CS_ERROR_MEMORY, -1, "no memory for %zu tensors", count);
    if (status == CS_OK)
        status = read_entries(c, json, size, ranges, order, err);
    if (status == CS_OK)
        status = check_zip_end(c, err);
cleanup:
    cJSON_Delete(json);
    free(ranges);
    free(order);
    return status;
}
