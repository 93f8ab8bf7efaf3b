/* checkpoint_builder.c - bytes, pickles, zip archives and legacy files. */
#include "checkpoint_builder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnnscope_support.h"
#include "test_support.h"

void bytes_put(bytes *b, const void *data, size_t size) {
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size) + 64;
        b->data = realloc(b->data, b->capacity);
        ck_assert_ptr_nonnull(b->data);
    }
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

void bytes_text(bytes *b, const char *text) { bytes_put(b, text, strlen(text)); }

void bytes_le(bytes *b, uint64_t value, int count) {
    for (int i = 0; i < count; ++i) {
        unsigned char byte = (unsigned char)(value >> 8 * i);
        bytes_put(b, &byte, 1);
    }
}

void bytes_set(bytes *b, size_t at, uint64_t value, int count) {
    ck_assert_uint_le(at + (size_t)count, b->size);
    for (int i = 0; i < count; ++i)
        b->data[at + (size_t)i] = (unsigned char)(value >> 8 * i);
}

uint64_t bytes_get(const bytes *b, size_t at, int count) {
    uint64_t value = 0;
    ck_assert_uint_le(at + (size_t)count, b->size);
    for (int i = count; i-- > 0;)
        value = value << 8 | b->data[at + (size_t)i];
    return value;
}

void bytes_cut(bytes *b, size_t size) {
    if (size < b->size)
        b->size = size;
}

void bytes_insert(bytes *b, size_t at, const void *data, size_t size) {
    size_t behind = b->size - at;
    bytes_put(b, data, size); /* room */
    memmove(b->data + at + size, b->data + at, behind);
    memcpy(b->data + at, data, size);
}

void bytes_free(bytes *b) {
    free(b->data);
    *b = (bytes){0};
}

void pickle_begin(bytes *b) { bytes_text(b, "\x80\x02"); }

void pickle_global(bytes *b, const char *module, const char *name) {
    bytes_text(b, "c");
    bytes_text(b, module);
    bytes_text(b, "\n");
    bytes_text(b, name);
    bytes_text(b, "\n");
}

void pickle_string(bytes *b, const char *text) {
    bytes_text(b, "X");
    bytes_le(b, strlen(text), 4);
    bytes_text(b, text);
}

void pickle_int(bytes *b, int64_t value) {
    if (value >= 0 && value < 256) {
        bytes_text(b, "K");
        bytes_le(b, (uint64_t)value, 1);
    } else if (value >= 0 && value < 65536) {
        bytes_text(b, "M");
        bytes_le(b, (uint64_t)value, 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        bytes_text(b, "J");
        bytes_le(b, (uint64_t)value, 4);
    } else {
        bytes_text(b, "\x8a\x08");
        bytes_le(b, (uint64_t)value, 8);
    }
}

void pickle_ints(bytes *b, const int64_t *values, int count) {
    bytes_text(b, "(");
    for (int i = 0; i < count; ++i)
        pickle_int(b, values[i]);
    bytes_text(b, "t");
}

void pickle_op(bytes *b, const char *codes) { bytes_text(b, codes); }

float built_value(int tensor, int64_t index, bool variance) {
    int64_t step = (index * 37 + tensor * 11) % 64;
    return variance ? (float)(step + 1) / 64 : (float)(step - 32) / 64;
}

static void add_tensor(built_checkpoint *c, const char *name, int dims, int64_t a, int64_t b,
                       int64_t kernel) {
    built_tensor *t = &c->tensors[c->count];
    *t = (built_tensor){.dims = dims, .strides = dims, .shape = {a, b, kernel, kernel}};
    snprintf(t->name, sizeof t->name, "%s", name);
    snprintf(t->type, sizeof t->type, "FloatStorage");
    snprintf(t->key, sizeof t->key, "%d", c->count);
    t->numel = 1;
    for (int i = dims - 1; i >= 0; --i) {
        t->stride[i] = t->numel;
        t->numel *= t->shape[i];
    }
    for (int64_t i = 0; i < t->numel; ++i) {
        float value = built_value(c->count, i, strstr(name, "running_var") != NULL);
        bytes_put(&t->data, &value, sizeof value);
    }
    ++c->count;
}

static void add_norm(built_checkpoint *c, const char *name, int64_t channels) {
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    for (int i = 0; i < 4; ++i) {
        char full[80];
        snprintf(full, sizeof full, "%s.%s", name, parts[i]);
        add_tensor(c, full, 1, channels, 1, 1);
    }
}

void built_tiny(built_checkpoint *c) {
    *c = (built_checkpoint){.prefix = ""};
    add_tensor(c, "conv1.weight", 4, 2, 3, 7);
    add_norm(c, "bn1", 2);
    add_tensor(c, "layer1.0.conv1.weight", 4, 2, 2, 3);
    add_norm(c, "layer1.0.bn1", 2);
    add_tensor(c, "layer1.0.conv2.weight", 4, 2, 2, 3);
    add_norm(c, "layer1.0.bn2", 2);
    add_tensor(c, "fc.weight", 2, 2, 2, 1);
    add_tensor(c, "fc.bias", 1, 2, 1, 1);
}

built_tensor *built_find(built_checkpoint *c, const char *name) {
    for (int i = 0; i < c->count; ++i)
        if (strcmp(c->tensors[i].name, name) == 0)
            return &c->tensors[i];
    ck_abort_msg("no tensor %s", name);
}

/* Bits of a float whose fraction fits, as IEEE half precision. */
static uint64_t half_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t exponent = bits >> 23 & 255;
    uint32_t fraction = bits >> 13 & 1023;
    return (bits >> 16 & 0x8000) | (exponent ? (exponent - 112) << 10 | fraction : 0);
}

void built_retype(built_tensor *t, const char *type) {
    bytes old = t->data;
    t->data = (bytes){0};
    snprintf(t->type, sizeof t->type, "%s", type);
    for (size_t i = 0; i < old.size; i += sizeof(float)) {
        float value;
        uint32_t bits;
        memcpy(&value, old.data + i, sizeof value);
        memcpy(&bits, &value, sizeof bits);
        double wide = (double)value;
        if (strcmp(type, "DoubleStorage") == 0)
            bytes_put(&t->data, &wide, sizeof wide);
        else
            bytes_le(&t->data, strcmp(type, "HalfStorage") == 0 ? half_bits(value) : bits >> 16, 2);
    }
    bytes_free(&old);
}

void built_transpose(built_tensor *t) {
    float *values = malloc(t->data.size);
    memcpy(values, t->data.data, t->data.size);
    int64_t step = 1, index[BUILT_DIMS_MAX] = {0};
    for (int i = 0; i < t->dims; ++i) {
        t->stride[i] = step;
        step *= t->shape[i];
    }
    for (int64_t k = 0; k < t->numel; ++k) {
        int64_t at = 0;
        for (int i = 0; i < t->dims; ++i)
            at += index[i] * t->stride[i];
        memcpy(t->data.data + (size_t)at * sizeof *values, &values[k], sizeof *values);
        for (int i = t->dims - 1; i >= 0 && ++index[i] == t->shape[i]; --i)
            index[i] = 0;
    }
    free(values);
}

void built_free(built_checkpoint *c) {
    for (int i = 0; i < c->count; ++i)
        bytes_free(&c->tensors[i].data);
}

static void put_storage(const built_tensor *t, bool legacy, bytes *b) {
    pickle_op(b, "(");
    pickle_string(b, "storage");
    pickle_global(b, "torch", t->type);
    pickle_string(b, t->key);
    pickle_string(b, "cpu");
    pickle_int(b, t->numel);
    if (legacy && t->view[1] > 0) {
        pickle_op(b, "(");
        pickle_string(b, "1");
        pickle_int(b, t->view[0]);
        pickle_int(b, t->view[1]);
        pickle_op(b, "t");
    } else if (legacy) {
        pickle_op(b, "N");
    }
    pickle_op(b, "tQ");
}

static void put_tensor(const built_checkpoint *c, const built_tensor *t, bool legacy, bytes *b) {
    if (c->parameters) {
        pickle_global(b, "torch._utils", "_rebuild_parameter");
        pickle_op(b, "(");
    }
    pickle_global(b, "torch._utils", c->old_rebuild ? "_rebuild_tensor" : "_rebuild_tensor_v2");
    pickle_op(b, "(");
    put_storage(t, legacy, b);
    pickle_int(b, t->offset);
    pickle_ints(b, t->shape, t->dims);
    pickle_ints(b, t->stride, t->strides);
    if (!c->old_rebuild) {
        pickle_op(b, "\x89");
        pickle_global(b, "collections", "OrderedDict");
        pickle_op(b, ")R");
    }
    pickle_op(b, "tR");
    if (c->parameters) {
        pickle_op(b, "\x88");
        pickle_global(b, "collections", "OrderedDict");
        pickle_op(b, ")RtR");
    }
}

void built_pickle(const built_checkpoint *c, bool legacy, bytes *b) {
    bool list = c->wrapper && strcmp(c->wrapper, "[]") == 0;
    pickle_begin(b);
    if (list) {
        pickle_op(b, "](");
    } else if (c->wrapper) {
        pickle_op(b, "}(");
        pickle_string(b, "best_prec1");
        pickle_op(b, "G\x40\x56\xe0"); /* BINFLOAT 91.5 */
        bytes_le(b, 0, 5);
        pickle_string(b, c->wrapper);
    }
    pickle_global(b, "collections", "OrderedDict");
    pickle_op(b, ")R(");
    for (int i = 0; i < c->count; ++i) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", c->prefix, c->tensors[i].name);
        pickle_string(b, name);
        put_tensor(c, &c->tensors[i], legacy, b);
    }
    pickle_op(b, "u");
    if (c->wrapper)
        pickle_op(b, list ? "e" : "u");
    pickle_op(b, ".");
}

static void add_record(built_archive *archive, const char *name, const void *data, size_t size) {
    built_record *record = &archive->records[archive->count++];
    *record = (built_record){0};
    snprintf(record->name, sizeof record->name, "model/%s", name);
    bytes_put(&record->data, data, size);
}

void built_records(const built_checkpoint *c, built_archive *archive) {
    bytes pickle = {0};
    archive->count = 0;
    built_pickle(c, false, &pickle);
    add_record(archive, "data.pkl", pickle.data, pickle.size);
    bytes_free(&pickle);
    add_record(archive, "byteorder", "little", 6);
    for (int i = 0; i < c->count; ++i) {
        char name[64];
        snprintf(name, sizeof name, "data/%s", c->tensors[i].key);
        if (!c->tensors[i].shared)
            add_record(archive, name, c->tensors[i].data.data, c->tensors[i].data.size);
    }
    add_record(archive, "version", "3\n", 2);
}

int built_record_find(const built_archive *archive, const char *name) {
    for (int i = 0; i < archive->count; ++i)
        if (strcmp(archive->records[i].name + strlen("model/"), name) == 0)
            return i;
    ck_abort_msg("no record %s", name);
}

void built_archive_free(built_archive *archive) {
    for (int i = 0; i < archive->count; ++i)
        bytes_free(&archive->records[i].data);
    archive->count = 0;
}

/* Local header, data at a multiple of 64, descriptor. */
static void put_entry(const built_record *record, bytes *b, built_layout *layout, int i) {
    size_t name = strlen(record->name), size = record->data.size;
    layout->local[i] = b->size;
    size_t extra = 4 + (64 - (b->size + 30 + name + 4) % 64) % 64;
    bytes_le(b, 0x04034b50, 4);
    bytes_le(b, 0, 2); /* version needed */
    bytes_le(b, size ? 0x0808 : 0x0800, 2);
    bytes_le(b, 0, 6); /* method, time, date */
    bytes_le(b, 0, 8); /* CRC, stored size: in the descriptor */
    bytes_le(b, 0, 4); /* size */
    bytes_le(b, name, 2);
    bytes_le(b, extra, 2);
    bytes_text(b, record->name);
    bytes_text(b, "FB");
    bytes_le(b, extra - 4, 2);
    for (size_t k = 4; k < extra; ++k)
        bytes_text(b, "Z");
    layout->data[i] = b->size;
    bytes_put(b, record->data.data, size);
    layout->descriptor[i] = b->size;
    if (size == 0)
        return;
    bytes_le(b, 0x08074b50, 4);
    bytes_le(b, cs_crc32(record->data.data, size), 4);
    bytes_le(b, size, 4);
    bytes_le(b, size, 4);
}

static void put_central(const built_record *record, bytes *b, built_layout *layout, int i) {
    size_t size = record->data.size;
    layout->central[i] = b->size;
    bytes_le(b, 0x02014b50, 4);
    bytes_le(b, 0, 4); /* versions */
    bytes_le(b, size ? 0x0808 : 0x0800, 2);
    bytes_le(b, 0, 6); /* method, time, date */
    bytes_le(b, size ? cs_crc32(record->data.data, size) : 0, 4);
    bytes_le(b, size, 4);
    bytes_le(b, size, 4);
    bytes_le(b, strlen(record->name), 2);
    bytes_le(b, 0, 8); /* extra, comment, disk, internal attributes */
    bytes_le(b, 0, 4); /* external attributes */
    bytes_le(b, layout->local[i], 4);
    bytes_text(b, record->name);
}

void built_zip(const built_archive *archive, bytes *b, built_layout *layout) {
    uint64_t count = (uint64_t)archive->count;
    for (int i = 0; i < archive->count; ++i)
        put_entry(&archive->records[i], b, layout, i);
    layout->directory = b->size;
    for (int i = 0; i < archive->count; ++i)
        put_central(&archive->records[i], b, layout, i);
    layout->end64 = b->size;
    uint64_t size = layout->end64 - layout->directory;
    bytes_le(b, 0x06064b50, 4);
    bytes_le(b, 44, 8);
    bytes_le(b, 0, 4); /* versions */
    bytes_le(b, 0, 8); /* disks */
    bytes_le(b, count, 8);
    bytes_le(b, count, 8);
    bytes_le(b, size, 8);
    bytes_le(b, layout->directory, 8);
    layout->locator = b->size;
    bytes_le(b, 0x07064b50, 4);
    bytes_le(b, 0, 4);
    bytes_le(b, layout->end64, 8);
    bytes_le(b, 1, 4);
    layout->end = b->size;
    bytes_le(b, 0x06054b50, 4);
    bytes_le(b, 0, 4); /* disks */
    bytes_le(b, count, 2);
    bytes_le(b, count, 2);
    bytes_le(b, size, 4);
    bytes_le(b, layout->directory, 4);
    bytes_le(b, 0, 2); /* comment */
}

void built_legacy(const built_checkpoint *c, bytes *b, size_t parts[6]) {
    static const unsigned char magic[] = {0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46,
                                          0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, '.'};
    parts[0] = b->size;
    bytes_put(b, magic, sizeof magic);
    parts[1] = b->size;
    pickle_begin(b);
    pickle_int(b, 1001);
    pickle_op(b, ".");
    parts[2] = b->size;
    pickle_begin(b);
    pickle_op(b, "}(");
    pickle_string(b, "protocol_version");
    pickle_int(b, 1001);
    pickle_string(b, "little_endian");
    pickle_op(b, "\x88u.");
    parts[3] = b->size;
    built_pickle(c, true, b);
    parts[4] = b->size;
    pickle_begin(b);
    pickle_op(b, "](");
    for (int i = 0; i < c->count; ++i)
        if (!c->tensors[i].shared)
            pickle_string(b, c->tensors[i].key);
    pickle_op(b, "e.");
    parts[5] = b->size;
    for (int i = 0; i < c->count; ++i) {
        if (c->tensors[i].shared)
            continue;
        bytes_le(b, (uint64_t)c->tensors[i].numel, 8);
        bytes_put(b, c->tensors[i].data.data, c->tensors[i].data.size);
    }
}

static const char *safetensors_dtype(const char *storage) {
    static const char *const names[][2] = {{"FloatStorage", "F32"}, {"DoubleStorage", "F64"},
                                           {"HalfStorage", "F16"},  {"BFloat16Storage", "BF16"},
                                           {"LongStorage", "I64"},  {"IntStorage", "I32"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (strcmp(storage, names[i][0]) == 0)
            return names[i][1];
    ck_abort_msg("no dtype for %s", storage);
}

void built_safetensors_header(const built_checkpoint *c, bytes *out) {
    size_t at = 0;
    for (int i = 0; i < c->count; ++i) {
        const built_tensor *t = &c->tensors[i];
        char text[200];
        snprintf(text, sizeof text, "%c\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", i ? ',' : '{',
                 c->prefix, t->name, safetensors_dtype(t->type));
        bytes_text(out, text);
        for (int d = 0; d < t->dims; ++d) {
            snprintf(text, sizeof text, "%s%lld", d ? "," : "", (long long)t->shape[d]);
            bytes_text(out, text);
        }
        snprintf(text, sizeof text, "],\"data_offsets\":[%zu,%zu]}", at, at + t->data.size);
        bytes_text(out, text);
        at += t->data.size;
    }
    bytes_text(out, "}");
}

void built_safetensors(const built_checkpoint *c, bytes *out) {
    bytes header = {0};
    built_safetensors_header(c, &header);
    while (header.size % 8 != 0)
        bytes_text(&header, " ");
    bytes_le(out, header.size, 8);
    bytes_put(out, header.data, header.size);
    for (int i = 0; i < c->count; ++i)
        bytes_put(out, c->tensors[i].data.data, c->tensors[i].data.size);
    bytes_free(&header);
}

const char *built_tiny_file(const char *folder) {
    built_checkpoint c;
    built_archive archive;
    built_layout layout;
    bytes file = {0};
    built_tiny(&c);
    built_records(&c, &archive);
    built_zip(&archive, &file, &layout);
    const char *path = test_path(folder, "model.pth");
    test_file_put(path, file.data, file.size);
    bytes_free(&file);
    built_archive_free(&archive);
    built_free(&c);
    return path;
}
