/* hostile_files.c - see the header. Each function makes the change that its case is named for. */
#include "hostile_files.h"

#include <stdio.h>
#include <string.h>

static int record(const stages *s, const char *name) {
    return built_record_find(&s->archive, name);
}

/* ------------------------------------------------------------------ ZIP ------------------ */

static void z1(stages *s) { bytes_cut(&s->file, 0); }
static void z2(stages *s) { bytes_cut(&s->file, 4); }
static void z3(stages *s) { bytes_cut(&s->file, s->layout.end); }
static void z4(stages *s) { bytes_set(&s->file, s->layout.end + 20, 9, 2); }
static void z5(stages *s) { bytes_text(&s->file, "more"); }
static void z6(stages *s) { bytes_insert(&s->file, 0, "PK\3\4", 4); }
static void z7(stages *s) {
    bytes end = {0};
    bytes_put(&end, s->file.data + s->layout.end, 22);
    bytes_put(&s->file, end.data, end.size);
    bytes_free(&end);
}
static void z8(stages *s) { bytes_set(&s->file, s->layout.end + 4, 1, 2); }
static void set_count(stages *s, int more) {
    uint64_t count = (uint64_t)(s->archive.count + more);
    bytes_set(&s->file, s->layout.end + 8, count, 2);
    bytes_set(&s->file, s->layout.end + 10, count, 2);
    bytes_set(&s->file, s->layout.end64 + 24, count, 8);
    bytes_set(&s->file, s->layout.end64 + 32, count, 8);
}
static void z9(stages *s) { set_count(s, 1); }
static void z10(stages *s) { set_count(s, -1); }
static void set_directory(stages *s, uint64_t offset) {
    bytes_set(&s->file, s->layout.end + 16, 0xFFFFFFFF, 4);
    bytes_set(&s->file, s->layout.end64 + 48, offset, 8);
}
static void z11(stages *s) { set_directory(s, s->file.size); }
static void z12(stages *s) { set_directory(s, UINT64_MAX - 100); }
static void z13(stages *s) { bytes_set(&s->file, s->layout.locator + 8, s->file.size + 1, 8); }
static void z14(stages *s) { bytes_set(&s->file, s->layout.locator + 8, s->layout.data[2], 8); }
static void z15(stages *s) { bytes_set(&s->file, s->layout.end64 + 40, 77, 8); }
static void z16(stages *s) {
    bytes_set(&s->file, s->layout.end + 8, 0xFFFFFFFF, 4);
    bytes_set(&s->file, s->layout.end64 + 24, 65537, 8);
    bytes_set(&s->file, s->layout.end64 + 32, 65537, 8);
}
static void z17(stages *s) { bytes_set(&s->file, s->layout.central[1], 0x02014b51, 4); }
static void z18(stages *s) { bytes_set(&s->file, s->layout.central[1] + 28, 60000, 2); }
static void z19(stages *s) { bytes_set(&s->file, s->layout.local[1], 0x04034b51, 4); }
static void z20(stages *s) { bytes_set(&s->file, s->layout.local[1] + 30, 'M', 1); }
static void z21(stages *s) { bytes_set(&s->file, s->layout.local[1] + 8, 8, 2); }
static void set_flags(stages *s, uint64_t flags) {
    bytes_set(&s->file, s->layout.central[1] + 8, flags, 2);
    bytes_set(&s->file, s->layout.local[1] + 6, flags, 2);
}
static void z22(stages *s) { set_flags(s, 0x0809); }
static void z23_patch(stages *s) { set_flags(s, 0x0828); }
static void z23_strong(stages *s) { set_flags(s, 0x0848); }
static void set_method(stages *s, uint64_t method) {
    bytes_set(&s->file, s->layout.central[1] + 10, method, 2);
    bytes_set(&s->file, s->layout.local[1] + 8, method, 2);
}
static void z24(stages *s) { set_method(s, 8); }
static void z25(stages *s) {
    set_method(s, 8);
    bytes_set(&s->file, s->layout.central[1] + 24, 6000, 4);
}
static void z26(stages *s) { set_method(s, 99); }
static void z27(stages *s) { bytes_set(&s->file, s->layout.central[1] + 24, 7, 4); }
static void z28(stages *s) {
    bytes_set(&s->file, s->layout.central[2] + 20, 2200000000u, 4);
    bytes_set(&s->file, s->layout.central[2] + 24, 2200000000u, 4);
}
static void z29(stages *s) {
    bytes_set(&s->file, s->layout.central[2] + 42, s->layout.local[3], 4);
}
static void z30(stages *s) {
    uint64_t size = bytes_get(&s->file, s->layout.central[s->archive.count - 1] + 24, 4) + 100;
    bytes_set(&s->file, s->layout.central[s->archive.count - 1] + 20, size, 4);
    bytes_set(&s->file, s->layout.central[s->archive.count - 1] + 24, size, 4);
}
static void z31(stages *s) {
    snprintf(s->archive.records[3].name, 96, "%s", s->archive.records[2].name);
}
static void z32(stages *s) { snprintf(s->archive.records[3].name, 96, "%s", "model/DATA/0"); }
static void z33(stages *s) { snprintf(s->archive.records[2].name, 96, "model/../../x"); }
static void z34(stages *s) { snprintf(s->archive.records[2].name, 96, "/etc/x"); }
static void z35(stages *s) { snprintf(s->archive.records[2].name, 96, "C:\\x"); }
static void z36(stages *s) {
    bytes_set(&s->file, s->layout.central[2] + 46 + 8, 0, 1);
    bytes_set(&s->file, s->layout.local[2] + 30 + 8, 0, 1);
}
static void z37(stages *s) { snprintf(s->archive.records[2].name, 96, "model/a/data.pkl"); }
static void torchscript(stages *s) {
    snprintf(s->archive.records[2].name, 96, "model/code/__torch__/net.py");
}
static void torchscript_constants(stages *s) {
    snprintf(s->archive.records[2].name, 96, "model/constants.pkl");
}
static void torchscript_packed(stages *s) { /* its code is compressed */
    bytes_set(&s->file, s->layout.central[2] + 10, 8, 2);
}
static void z38(stages *s) { snprintf(s->archive.records[0].name, 96, "model/data.bin"); }
static void z39_none(stages *s) {
    snprintf(s->archive.records[record(s, "version")].name, 96, "model/revision");
}
static void set_record(stages *s, const char *name, const char *text) {
    bytes *data = &s->archive.records[record(s, name)].data;
    bytes_cut(data, 0);
    bytes_text(data, text);
}
static void z39_new(stages *s) { set_record(s, "version", "999"); }
static void z39_word(stages *s) { set_record(s, "version", "three"); }
static void z40(stages *s) { set_record(s, "byteorder", "middle"); }
static void flip_data(stages *s, const char *name) {
    size_t at = s->layout.data[record(s, name)];
    bytes_set(&s->file, at + 10, bytes_get(&s->file, at + 10, 1) ^ 1, 1);
}
static void z42(stages *s) { flip_data(s, "data.pkl"); }
static void z43(stages *s) { flip_data(s, "data/0"); }
static void clear_crc(stages *s, int i) {
    bytes_set(&s->file, s->layout.central[i] + 16, 0, 4);
    if (s->archive.records[i].data.size > 0)
        bytes_set(&s->file, s->layout.descriptor[i] + 4, 0, 4);
}
static void z44(stages *s) {
    for (int i = 0; i < s->archive.count; ++i)
        clear_crc(s, i);
}
static void z45(stages *s) { clear_crc(s, record(s, "data/0")); }
static void z46(stages *s) { bytes_set(&s->file, s->layout.descriptor[2] + 8, 7, 4); }
static void z47(stages *s) { bytes_set(&s->file, s->layout.local[2] + 30 + 12 + 2, 60000, 2); }

/* ------------------------------------------------------------------ LEGACY --------------- */

void hostile_write_legacy(stages *s) {
    bytes_cut(&s->file, 0);
    built_legacy(&s->tensors, &s->file, s->parts);
}
static void cut_part(stages *s, int part) {
    hostile_write_legacy(s);
    bytes_cut(&s->file, (s->parts[part] + s->parts[part + 1]) / 2);
}
static void l1_magic(stages *s) { cut_part(s, 0); }
static void l1_protocol(stages *s) { cut_part(s, 1); }
static void l1_system(stages *s) { cut_part(s, 2); }
static void l1_object(stages *s) { cut_part(s, 3); }
static void l1_keys(stages *s) { cut_part(s, 4); }
static void l1_data(stages *s) {
    hostile_write_legacy(s);
    bytes_cut(&s->file, s->file.size - 3);
}
static void l2(stages *s) {
    hostile_write_legacy(s);
    bytes_set(&s->file, 6, 0, 1);
}
static void l3(stages *s) {
    hostile_write_legacy(s);
    bytes_set(&s->file, s->parts[1] + 3, 1002, 2);
}
static void l4(stages *s) {
    hostile_write_legacy(s);
    bytes_set(&s->file, s->parts[3] - 3, 0x89, 1);
}
/* The list of storages begins "\x80\x02](X\1\0\0\0" and the first key. */
static void set_first_key(stages *s, char key) {
    hostile_write_legacy(s);
    bytes_set(&s->file, s->parts[4] + 9, (unsigned char)key, 1);
}
static void l5(stages *s) { set_first_key(s, '1'); }
static void l6(stages *s) { set_first_key(s, 'x'); }
static void l7(stages *s) {
    hostile_write_legacy(s);
    bytes_insert(&s->file, s->parts[4] + 10,
                 "X\1\0\0\0"
                 "0",
                 6);
}
static void set_numel(stages *s, uint64_t value) {
    hostile_write_legacy(s);
    bytes_set(&s->file, s->parts[5], value, 8);
}
static void l8(stages *s) { set_numel(s, 293); }
static void l9(stages *s) { set_numel(s, UINT64_MAX); }
static void l10(stages *s) { set_numel(s, (uint64_t)1 << 61); }
static void l11(stages *s) {
    hostile_write_legacy(s);
    bytes_text(&s->file, "x");
}
static void set_view(stages *s, int64_t offset, int64_t size) {
    s->tensors.tensors[0].view[0] = offset;
    s->tensors.tensors[0].view[1] = size;
    hostile_write_legacy(s);
}
static void l12(stages *s) { set_view(s, 1, 294); }
static void l12_inside(stages *s) { set_view(s, 0, 100); } /* the tensor needs 294 */
static void l13(stages *s) { set_view(s, -1, 294); }
static void l14(stages *s) {
    bytes_cut(&s->file, 0);
    for (int i = 0; i < 600; ++i)
        bytes_le(&s->file, 0, 1);
    memcpy(s->file.data + 257, "ustar", 5);
}

/* ------------------------------------------------------------------ TENSOR --------------- */

static built_tensor *first(stages *s) { return &s->tensors.tensors[0]; }
static void t1(stages *s) { first(s)->strides = 3; }
static void t3(stages *s) { first(s)->shape[1] = -1; }
static void t4(stages *s) {
    first(s)->shape[0] = (int64_t)1 << 62;
    first(s)->shape[1] = 4;
    memset(first(s)->stride, 0, sizeof first(s)->stride);
}
static void t5(stages *s) {
    first(s)->shape[0] = first(s)->shape[1] = (int64_t)1 << 32;
    first(s)->shape[2] = first(s)->shape[3] = 1;
    memset(first(s)->stride, 0, sizeof first(s)->stride);
}
static void t6(stages *s) { first(s)->stride[0] = -1; }
static void t7(stages *s) { first(s)->stride[0] = (int64_t)1 << 62; }
static void t8(stages *s) { first(s)->offset = -1; }
static void t9(stages *s) { first(s)->offset = first(s)->numel; }
static void t10(stages *s) {
    built_tensor *t = built_find(&s->tensors, "fc.weight");
    t->shape[0] = t->shape[1] = (int64_t)1 << 21;
    t->stride[0] = t->stride[1] = 0;
}
static void t11(stages *s) {
    built_tensor *a = built_find(&s->tensors, "bn1.weight");
    built_tensor *b = built_find(&s->tensors, "bn1.bias");
    snprintf(b->key, sizeof b->key, "%s", a->key);
    snprintf(b->type, sizeof b->type, "IntStorage");
    b->shared = true;
}
static void t12_short(stages *s) { bytes_cut(&first(s)->data, first(s)->data.size - 4); }
static void t12_long(stages *s) { bytes_le(&first(s)->data, 0, 4); }
static void t13(stages *s) { first(s)->shared = true; }
static void t15(stages *s) {
    built_tensor *t = built_find(&s->tensors, "fc.weight");
    t->shape[0] = 0;
}
static void t17(stages *s) { snprintf(first(s)->key, sizeof first(s)->key, "../version"); }
static void t18(stages *s) {
    for (int i = 1; i < 5; ++i) { /* each below the limit, together above it */
        s->tensors.tensors[i].shape[0] = 100000;
        s->tensors.tensors[i].stride[0] = 0;
    }
}
static void t19_missing(stages *s) {
    snprintf(built_find(&s->tensors, "bn1.bias")->name, 80, "bn1.bias.num_batches_tracked");
}
static void t19_extra(stages *s) {
    snprintf(built_find(&s->tensors, "fc.bias")->name, 80, "fc.biases");
}
static void t19_shape(stages *s) { built_find(&s->tensors, "bn1.bias")->shape[0] = 1; }
static void p14(stages *s) { snprintf(first(s)->name, 80, "conv1.\nweight\033[2J"); }
static void p32_same(stages *s) { snprintf(first(s)->name, 80, "bn1.bias"); }

static const hostile_file files[] = {
    {"Z1 empty file", NULL, NULL, z1, CS_ERROR_FORMAT},
    {"Z2 4 bytes", NULL, NULL, z2, CS_ERROR_FORMAT},
    {"Z3 no end record", NULL, NULL, z3, CS_ERROR_FORMAT},
    {"Z4 comment past the end", NULL, NULL, z4, CS_ERROR_FORMAT},
    {"Z5 bytes behind the end", NULL, NULL, z5, CS_ERROR_FORMAT},
    {"Z6 bytes before the first header", NULL, NULL, z6, CS_ERROR_FORMAT},
    {"Z7 two end records", NULL, NULL, z7, CS_ERROR_FORMAT},
    {"Z8 disk number", NULL, NULL, z8, CS_ERROR_FORMAT},
    {"Z9 count too high", NULL, NULL, z9, CS_ERROR_FORMAT},
    {"Z10 count too low", NULL, NULL, z10, CS_ERROR_FORMAT},
    {"Z11 directory past the end", NULL, NULL, z11, CS_ERROR_FORMAT},
    {"Z12 directory wraps", NULL, NULL, z12, CS_ERROR_FORMAT},
    {"Z13 locator past the end", NULL, NULL, z13, CS_ERROR_FORMAT},
    {"Z14 locator into the data", NULL, NULL, z14, CS_ERROR_FORMAT},
    {"Z15 end records disagree", NULL, NULL, z15, CS_ERROR_FORMAT},
    {"Z16 65537 entries", NULL, NULL, z16, CS_ERROR_LIMIT},
    {"Z17 central magic", NULL, NULL, z17, CS_ERROR_FORMAT},
    {"Z18 name past the directory", NULL, NULL, z18, CS_ERROR_FORMAT},
    {"Z19 local magic", NULL, NULL, z19, CS_ERROR_FORMAT},
    {"Z20 names differ", NULL, NULL, z20, CS_ERROR_FORMAT},
    {"Z21 methods differ", NULL, NULL, z21, CS_ERROR_FORMAT},
    {"Z22 encrypted", NULL, NULL, z22, CS_ERROR_UNSUPPORTED},
    {"Z23 patched data", NULL, NULL, z23_patch, CS_ERROR_UNSUPPORTED},
    {"Z23 strong encryption", NULL, NULL, z23_strong, CS_ERROR_UNSUPPORTED},
    {"Z24 deflate", NULL, NULL, z24, CS_ERROR_UNSUPPORTED},
    {"Z25 deflate bomb", NULL, NULL, z25, CS_ERROR_UNSUPPORTED},
    {"Z26 method 99", NULL, NULL, z26, CS_ERROR_UNSUPPORTED},
    {"Z27 stored with two sizes", NULL, NULL, z27, CS_ERROR_FORMAT},
    {"Z28 2.2 GB in 2 KB", NULL, NULL, z28, CS_ERROR_FORMAT},
    {"Z29 overlap", NULL, NULL, z29, CS_ERROR_FORMAT},
    {"Z30 entry over the directory", NULL, NULL, z30, CS_ERROR_FORMAT},
    {"Z31 same name twice", NULL, z31, NULL, CS_ERROR_FORMAT},
    {"Z32 names by case", NULL, z32, NULL, CS_ERROR_FORMAT},
    {"Z33 ..", NULL, z33, NULL, CS_ERROR_FORMAT},
    {"Z34 /etc", NULL, z34, NULL, CS_ERROR_FORMAT},
    {"Z35 C:", NULL, z35, NULL, CS_ERROR_FORMAT},
    {"Z36 NUL in a name", NULL, NULL, z36, CS_ERROR_FORMAT},
    {"Z37 two data.pkl", NULL, z37, NULL, CS_ERROR_FORMAT},
    {"Z38 no data.pkl", NULL, z38, NULL, CS_ERROR_FORMAT},
    {"Z39 no version", NULL, z39_none, NULL, CS_ERROR_FORMAT},
    {"Z39 version 999", NULL, z39_new, NULL, CS_ERROR_UNSUPPORTED},
    {"Z39 version a word", NULL, z39_word, NULL, CS_ERROR_FORMAT},
    {"Z40 byteorder middle", NULL, z40, NULL, CS_ERROR_FORMAT},
    {"Z42 CRC of data.pkl", NULL, NULL, z42, CS_ERROR_FORMAT},
    {"Z43 CRC of data/0", NULL, NULL, z43, CS_ERROR_FORMAT},
    {"Z44 all CRCs 0", NULL, NULL, z44, CS_OK},
    {"Z45 one CRC 0", NULL, NULL, z45, CS_ERROR_FORMAT},
    {"Z46 descriptor disagrees", NULL, NULL, z46, CS_ERROR_FORMAT},
    {"Z47 extra field too long", NULL, NULL, z47, CS_ERROR_FORMAT},
    {"TorchScript", NULL, torchscript, NULL, CS_ERROR_UNSUPPORTED},
    {"TorchScript, packed", NULL, torchscript, torchscript_packed, CS_ERROR_UNSUPPORTED},
    {"TorchScript, constants", NULL, torchscript_constants, NULL, CS_ERROR_UNSUPPORTED},
    {"L0 the valid file", NULL, NULL, hostile_write_legacy, CS_OK},
    {"L1 cut in the magic", NULL, NULL, l1_magic, CS_ERROR_FORMAT},
    {"L1 cut in the protocol", NULL, NULL, l1_protocol, CS_ERROR_FORMAT},
    {"L1 cut in the system", NULL, NULL, l1_system, CS_ERROR_FORMAT},
    {"L1 cut in the object", NULL, NULL, l1_object, CS_ERROR_FORMAT},
    {"L1 cut in the keys", NULL, NULL, l1_keys, CS_ERROR_FORMAT},
    {"L1 cut in the data", NULL, NULL, l1_data, CS_ERROR_FORMAT},
    {"L2 wrong magic", NULL, NULL, l2, CS_ERROR_UNSUPPORTED},
    {"L3 protocol 1002", NULL, NULL, l3, CS_ERROR_UNSUPPORTED},
    {"L4 big-endian", NULL, NULL, l4, CS_ERROR_UNSUPPORTED},
    {"L5 key missing", NULL, NULL, l5, CS_ERROR_FORMAT},
    {"L6 key unknown", NULL, NULL, l6, CS_ERROR_FORMAT},
    {"L7 key twice", NULL, NULL, l7, CS_ERROR_FORMAT},
    {"L8 numel differs", NULL, NULL, l8, CS_ERROR_FORMAT},
    {"L9 numel -1", NULL, NULL, l9, CS_ERROR_FORMAT},
    {"L10 numel 2^61", NULL, NULL, l10, CS_ERROR_FORMAT},
    {"L11 trailing byte", NULL, NULL, l11, CS_ERROR_FORMAT},
    {"L12 view past the root", NULL, NULL, l12, CS_ERROR_FORMAT},
    {"L12 tensor past the view", NULL, NULL, l12_inside, CS_ERROR_FORMAT},
    {"L13 view offset negative", NULL, NULL, l13, CS_ERROR_FORMAT},
    {"L14 tar", NULL, NULL, l14, CS_ERROR_UNSUPPORTED},
    {"T0 the valid file", NULL, NULL, NULL, CS_OK},
    {"T1 sizes and strides", t1, NULL, NULL, CS_ERROR_FORMAT},
    {"T3 dim -1", t3, NULL, NULL, CS_ERROR_FORMAT},
    {"T4 product wraps", t4, NULL, NULL, CS_ERROR_FORMAT},
    {"T5 product wraps to 0", t5, NULL, NULL, CS_ERROR_FORMAT},
    {"T6 stride -1", t6, NULL, NULL, CS_ERROR_FORMAT},
    {"T7 stride 2^62", t7, NULL, NULL, CS_ERROR_FORMAT},
    {"T8 offset -1", t8, NULL, NULL, CS_ERROR_FORMAT},
    {"T9 offset = numel", t9, NULL, NULL, CS_ERROR_FORMAT},
    {"T10 17 TB by zero strides", t10, NULL, NULL, CS_ERROR_LIMIT},
    {"T11 one storage of two types", t11, NULL, NULL, CS_ERROR_FORMAT},
    {"T12 record too short", t12_short, NULL, NULL, CS_ERROR_FORMAT},
    {"T12 record too long", t12_long, NULL, NULL, CS_ERROR_FORMAT},
    {"T13 record missing", t13, NULL, NULL, CS_ERROR_FORMAT},
    {"T15 dim 0", t15, NULL, NULL, CS_ERROR_MISMATCH},
    {"T17 key with a path", t17, NULL, NULL, CS_ERROR_FORMAT},
    {"T18 views expand", t18, NULL, NULL, CS_ERROR_LIMIT},
    {"T19 missing", t19_missing, NULL, NULL, CS_ERROR_MISMATCH},
    {"T19 left over", t19_extra, NULL, NULL, CS_ERROR_MISMATCH},
    {"T19 wrong shape", t19_shape, NULL, NULL, CS_ERROR_MISMATCH},
    {"P14 control characters", p14, NULL, NULL, CS_ERROR_FORMAT},
    {"duplicate tensor name", p32_same, NULL, NULL, CS_ERROR_FORMAT},
};

int hostile_file_count(void) { return (int)(sizeof files / sizeof *files); }

const hostile_file *hostile_file_get(int index) { return &files[index]; }
