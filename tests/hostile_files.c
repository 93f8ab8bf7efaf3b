/* hostile_files.c - see the header. Lists LEGACY and TENSOR. Each function makes the change that
 * its case is named for. */
#include "hostile_files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "test_support.h"

void hostile_stages(stages *s) {
    *s = (stages){0};
    built_tiny(&s->tensors);
    built_records(&s->tensors, &s->archive);
    built_zip(&s->archive, &s->file, &s->layout);
}

void hostile_stages_free(stages *s) {
    bytes_free(&s->file);
    built_archive_free(&s->archive);
    built_free(&s->tensors);
}

void hostile_file_run(const hostile_file *one, hostile_outcome *outcome) {
    stages s = {0};
    if (one->run) {
        one->run(outcome);
        return;
    }
    built_tiny(&s.tensors);
    if (one->tensors)
        one->tensors(&s);
    built_records(&s.tensors, &s.archive);
    if (one->records)
        one->records(&s);
    built_zip(&s.archive, &s.file, &s.layout);
    if (one->file)
        one->file(&s);
    hostile_convert(&s.file, outcome);
    hostile_stages_free(&s);
}

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
static void l5_shorter(stages *s) { /* the last key, "16" */
    hostile_write_legacy(s);
    size_t at = s->parts[5] - 2 - 7;
    memmove(s->file.data + at, s->file.data + at + 7, s->file.size - at - 7);
    s->file.size -= 7;
}
static void replace_keys(stages *s, const char *pickle, size_t size) {
    bytes file = {0};
    hostile_write_legacy(s);
    bytes_put(&file, s->file.data, s->parts[4]);
    bytes_put(&file, pickle, size);
    bytes_put(&file, s->file.data + s->parts[5], s->file.size - s->parts[5]);
    bytes_free(&s->file);
    s->file = file;
}
static void keys_none(stages *s) { replace_keys(s, "\x80\2}.", 4); }
static void keys_odd(stages *s) { replace_keys(s, "\x80\2]Na.", 6); }
static void endian_none(stages *s) {
    hostile_write_legacy(s);
    bytes_set(&s->file, s->parts[3] - 3, 'N', 1);
}
static void protocol_none(stages *s) {
    hostile_write_legacy(s);
    bytes_set(&s->file, s->parts[1] + 2, 'U', 1);
    bytes_set(&s->file, s->parts[1] + 3, 1, 1);
}

static void l15(stages *s) {
    bytes id = {0};
    hostile_write_legacy(s);
    pickle_op(&id, "(");
    pickle_string(&id, "module");
    pickle_global(&id, "net", "Net");
    pickle_string(&id, "net.py");
    pickle_string(&id, "class Net: pass");
    pickle_op(&id, "tQ");
    bytes_insert(&s->file, s->parts[3] + 2, id.data, id.size);
    bytes_free(&id);
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
static void set_first_value(stages *s, const char *name, float value) {
    memcpy(built_find(&s->tensors, name)->data.data, &value, sizeof value);
}
static void t20_nan(stages *s) { set_first_value(s, "conv1.weight", NAN); }
static void t20_infinity(stages *s) { set_first_value(s, "fc.bias", INFINITY); }
static void t20_variance(stages *s) { set_first_value(s, "bn1.running_var", -1); }
static void t12_none(stages *s) { first(s)->numel = 0; }
static void t9_empty(stages *s) {
    first(s)->offset = first(s)->numel;
    first(s)->shape[0] = 0;
}

static void t20_half(stages *s) {
    built_retype(first(s), "HalfStorage");
    bytes_set(&first(s)->data, 0, 0x7C00, 2); /* infinity */
    bytes_set(&first(s)->data, 2, 0x8001, 2); /* the largest negative subnormal */
}
static void t16_complex(stages *s) {
    snprintf(first(s)->type, sizeof first(s)->type, "ComplexHalfStorage");
}
static void t7_sum(stages *s) {
    for (int i = 0; i < 4; ++i)
        first(s)->stride[i] = INT64_MAX / 2;
}
static void t18_one(stages *s) { first(s)->shape[0] = 1 << 20, first(s)->stride[0] = 0; }
static void name_blank(stages *s) { snprintf(first(s)->name, 80, "conv1 weight"); }
static void name_empty(stages *s) { first(s)->name[0] = '\0'; }
static void name_module(stages *s) {
    s->tensors.prefix = "module.";
    first(s)->name[0] = '\0';
}

/* ------------------------------------------------------------------ no known network ----- */

static void rename_tensor(stages *s, const char *from, const char *to) {
    snprintf(built_find(&s->tensors, from)->name, 80, "%s", to);
}
static void in_a_prefix(stages *s) { s->tensors.prefix = "net."; }
static void no_layer1(stages *s) {
    for (int i = 0; i < s->tensors.count; ++i)
        if (strncmp(s->tensors.tensors[i].name, "layer1", 6) == 0)
            s->tensors.tensors[i].name[5] = '5';
}
static void no_blocks(stages *s) {
    for (int i = 0; i < s->tensors.count; ++i)
        if (strncmp(s->tensors.tensors[i].name, "layer1.0", 8) == 0)
            s->tensors.tensors[i].name[7] = 'a';
}
static void two_heads(stages *s) {
    rename_tensor(s, "fc.weight", "fc.0.weight");
    rename_tensor(s, "fc.bias", "fc.2.weight");
}
static void third_convolution(stages *s) {
    rename_tensor(s, "layer1.0.bn2.weight", "layer1.0.conv3.weight");
}
static void odd_groups(stages *s) {
    third_convolution(s);
    built_find(&s->tensors, "layer1.0.conv2.weight")->shape[0] = 1;
}
static void too_wide(stages *s) {
    first(s)->shape[0] = 1 << 21;
    first(s)->shape[3] = 0;
}
static void cifar(stages *s) {
    first(s)->shape[2] = first(s)->shape[3] = 3;
    rename_tensor(s, "fc.weight", "linear.weight");
    rename_tensor(s, "fc.bias", "linear.bias");
}
static void cifar_bottleneck(stages *s) {
    cifar(s);
    third_convolution(s);
}
static void cifar_odd(stages *s) {
    cifar(s);
    first(s)->shape[0] = 1;
}

static const hostile_file files[] = {
    {.row = {"L0 the valid file", CS_OK, -1, NULL, NULL}, .file = hostile_write_legacy},
    {.row = {"L1 cut in the magic", CS_ERROR_FORMAT, 2, NULL, NULL}, .file = l1_magic},
    {.row = {"L1 cut in the protocol", CS_ERROR_FORMAT, 17, NULL, NULL}, .file = l1_protocol},
    {.row = {"L1 cut in the system", CS_ERROR_FORMAT, 25, NULL, NULL}, .file = l1_system},
    {.row = {"L1 cut in the object", CS_ERROR_FORMAT, 1368, NULL, NULL}, .file = l1_object},
    {.row = {"L1 cut in the keys", CS_ERROR_FORMAT, 2718, NULL, NULL}, .file = l1_keys},
    {.row = {"L1 cut in the data", CS_ERROR_FORMAT, 4485, NULL, NULL}, .file = l1_data},
    {.row = {"L2 wrong magic", CS_ERROR_UNSUPPORTED, 0, NULL, NULL}, .file = l2},
    {.row = {"L3 protocol 1002", CS_ERROR_UNSUPPORTED, 15, NULL, NULL}, .file = l3},
    {.row = {"L4 big-endian", CS_ERROR_UNSUPPORTED, 21, NULL, NULL}, .file = l4},
    {.row = {"L5 key missing", CS_ERROR_FORMAT, 2781, NULL, NULL}, .file = l5},
    {.row = {"L5 the last key missing", CS_ERROR_FORMAT, 2666, NULL, NULL}, .file = l5_shorter},
    {.row = {"L6 key unknown", CS_ERROR_FORMAT, 2666, NULL, NULL}, .file = l6},
    {.row = {"L7 key twice", CS_ERROR_FORMAT, 2666, NULL, NULL}, .file = l7},
    {.row = {"L8 numel differs", CS_ERROR_FORMAT, 2781, NULL, NULL}, .file = l8},
    {.row = {"L9 numel -1", CS_ERROR_FORMAT, 2781, NULL, NULL}, .file = l9},
    {.row = {"L10 numel 2^61", CS_ERROR_FORMAT, 2781, NULL, NULL}, .file = l10},
    {.row = {"L11 trailing byte", CS_ERROR_FORMAT, 4501, NULL, NULL}, .file = l11},
    {.row = {"L12 view past the root", CS_ERROR_FORMAT, 215, NULL, NULL}, .file = l12},
    {.row = {"L12 tensor past the view", CS_ERROR_FORMAT, 266, NULL, NULL}, .file = l12_inside},
    {.row = {"L13 view offset negative", CS_ERROR_FORMAT, 218, NULL, NULL}, .file = l13},
    {.row = {"L14 tar", CS_ERROR_UNSUPPORTED, 257, NULL, NULL}, .file = l14},
    {.row = {"L15 a 'module' persistent id (class and source text)", CS_ERROR_UNSUPPORTED, 125,
             NULL, NULL},
     .file = l15},
    {.row = {"- the list of storages a dict", CS_ERROR_FORMAT, 2666, NULL, NULL},
     .file = keys_none},
    {.row = {"- the list of storages with None", CS_ERROR_FORMAT, 2666, NULL, NULL},
     .file = keys_odd},
    {.row = {"- little_endian None", CS_ERROR_FORMAT, 21, NULL, NULL}, .file = endian_none},
    {.row = {"- the protocol a string", CS_ERROR_UNSUPPORTED, 15, NULL, NULL},
     .file = protocol_none},
    {.row = {"T0 the valid file", CS_OK, -1, NULL, NULL}},
    {.row = {"T1 sizes and strides", CS_ERROR_FORMAT, 246, NULL, NULL}, .tensors = t1},
    {.row = {"T3 dim -1", CS_ERROR_FORMAT, 251, NULL, NULL}, .tensors = t3},
    {.row = {"T4 product wraps", CS_ERROR_FORMAT, 256, NULL, NULL}, .tensors = t4},
    {.row = {"T5 product wraps to 0", CS_ERROR_FORMAT, 264, NULL, NULL}, .tensors = t5},
    {.row = {"T6 stride -1", CS_ERROR_FORMAT, 251, NULL, NULL}, .tensors = t6},
    {.row = {"T7 stride 2^62", CS_ERROR_FORMAT, 256, NULL, NULL}, .tensors = t7},
    {.row = {"T7 strides whose sum overflows", CS_ERROR_FORMAT, 280, NULL, NULL},
     .tensors = t7_sum},
    {.row = {"T8 offset -1", CS_ERROR_FORMAT, 251, NULL, NULL}, .tensors = t8},
    {.row = {"T9 offset = numel", CS_ERROR_FORMAT, 249, NULL, NULL}, .tensors = t9},
    {.row = {"T9 offset = numel of an empty tensor", CS_ERROR_MISMATCH, -1, NULL,
             "in bounds: it has no element; but no architecture has such a tensor"},
     .tensors = t9_empty},
    {.row = {"T10 17 TB by zero strides", CS_ERROR_LIMIT, 2508, NULL, NULL}, .tensors = t10},
    {.row = {"T11 one storage of two types", CS_ERROR_FORMAT, 484, NULL, NULL}, .tensors = t11},
    {.row = {"T12 record too short", CS_ERROR_FORMAT, 2880, NULL, NULL}, .tensors = t12_short},
    {.row = {"T12 record too long", CS_ERROR_FORMAT, 2880, NULL, NULL}, .tensors = t12_long},
    {.row = {"T12 numel in the pickle 0, the record full", CS_ERROR_FORMAT, 247, NULL, NULL},
     .tensors = t12_none},
    {.row = {"T13 record missing", CS_ERROR_FORMAT, 0, NULL, NULL}, .tensors = t13},
    {.row = {"T15 dim 0", CS_ERROR_MISMATCH, -1, NULL, "a valid tensor, which no architecture has"},
     .tensors = t15},
    {.row = {"T16 a complex tensor", CS_ERROR_UNSUPPORTED, 254, NULL, NULL},
     .tensors = t16_complex},
    {.row = {"T17 key with a path", CS_ERROR_FORMAT, 6649, NULL, NULL}, .tensors = t17},
    {.row = {"T18 views expand", CS_ERROR_LIMIT, 681, NULL, NULL}, .tensors = t18},
    {.row = {"T18 one tensor expands", CS_ERROR_LIMIT, 251, NULL, NULL}, .tensors = t18_one},
    {.row = {"T19 missing", CS_ERROR_MISMATCH, -1, NULL, NULL}, .tensors = t19_missing},
    {.row = {"T19 left over", CS_ERROR_MISMATCH, -1, NULL, NULL}, .tensors = t19_extra},
    {.row = {"T19 wrong shape", CS_ERROR_MISMATCH, -1, NULL, NULL}, .tensors = t19_shape},
    {.row = {"T20 NaN in a weight", CS_OK, -1, "NaN or infinity",
             "the list leaves open to warn or to refuse: converted with golden: null, and running "
             "it ends "
             "with exit code 5"},
     .tensors = t20_nan},
    {.row = {"T20 infinity in a bias", CS_OK, -1, "NaN or infinity", "as above"},
     .tensors = t20_infinity},
    {.row = {"T20 a negative running_var", CS_OK, -1, "negative variances", "as above"},
     .tensors = t20_variance},
    {.row = {"T20 infinity in float16", CS_OK, -1, NULL, "as above"}, .tensors = t20_half},
    {.row = {"P14 control characters", CS_ERROR_FORMAT, -1, NULL, NULL}, .tensors = p14},
    {.row = {"- two tensors of one name", CS_ERROR_FORMAT, -1, NULL, NULL}, .tensors = p32_same},
    {.row = {"- a blank in a name", CS_ERROR_FORMAT, -1, NULL, NULL}, .tensors = name_blank},
    {.row = {"- an empty name", CS_ERROR_FORMAT, -1, NULL, NULL}, .tensors = name_empty},
    {.row = {"- the name module. alone", CS_ERROR_MISMATCH, -1, NULL, NULL},
     .tensors = name_module},
    {.row = {"- names behind net.", CS_ERROR_MISMATCH, -1, "take the prefix", NULL},
     .tensors = in_a_prefix},
    {.row = {"- no layer1", CS_ERROR_MISMATCH, -1, "layer1.0.conv1.weight is missing", NULL},
     .tensors = no_layer1},
    {.row = {"- a layer1 without blocks", CS_ERROR_MISMATCH, -1, "layer1.0.conv1.weight is missing",
             NULL},
     .tensors = no_blocks},
    {.row = {"- a Sequential of two layers for fc", CS_ERROR_MISMATCH, -1, "Sequential", NULL},
     .tensors = two_heads},
    {.row = {"- a third convolution in a block of two", CS_ERROR_MISMATCH, -1, NULL, NULL},
     .tensors = third_convolution},
    {.row = {"- groups that do not divide", CS_ERROR_MISMATCH, -1, NULL, NULL},
     .tensors = odd_groups},
    {.row = {"- 2097152 channels", CS_ERROR_LIMIT, -1, "2097152", NULL}, .tensors = too_wide},
    {.row = {"- a CIFAR ResNet of one stage", CS_ERROR_MISMATCH, -1, NULL, NULL}, .tensors = cifar},
    {.row = {"- a CIFAR ResNet with a third convolution", CS_ERROR_MISMATCH, -1, "blocks of two",
             NULL},
     .tensors = cifar_bottleneck},
    {.row = {"- a CIFAR ResNet of odd width", CS_ERROR_MISMATCH, -1, "even", NULL},
     .tensors = cifar_odd},
};

static hostile_row row(int index) { return files[index].row; }

static void run(int index, hostile_outcome *outcome) { hostile_file_run(&files[index], outcome); }

const hostile_list hostile_legacy_list = {
    .title = "LEGACY and TENSOR",
    .about =
        "The format of torch.save before PyTorch 1.6 (L), and what a pickle in either format says "
        "of its tensors (T).",
    .count = sizeof files / sizeof *files,
    .row = row,
    .run = run,
};
