/* test_convert.c - whole conversions: the same network stored in every way that torch.save knows
 * gives the same binary; options, warnings, overwriting; untrained models.
 */
#include "cnnscope_convert.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint_builder.h"
#include "cnnscope.h"
#include "test_support.h"

static const char tiny_arch[] = "resnet:block=basic,layers=1,width=2";

/* ------------------------------------------------------------------ helpers -------------- */

static const char *put_zip(const built_checkpoint *c, const char *byteorder) {
    built_archive archive;
    built_layout layout;
    bytes file = {0};
    built_records(c, &archive);
    if (byteorder) {
        bytes *text = &archive.records[built_record_find(&archive, "byteorder")].data;
        bytes_cut(text, 0);
        bytes_text(text, byteorder);
    }
    built_zip(&archive, &file, &layout);
    const char *path = test_path(test_temp_dir(), "model.pth");
    test_file_put(path, file.data, file.size);
    bytes_free(&file);
    built_archive_free(&archive);
    return path;
}

static const char *put_legacy(const built_checkpoint *c) {
    bytes file = {0};
    size_t parts[6];
    built_legacy(c, &file, parts);
    const char *path = test_path(test_temp_dir(), "model.th");
    test_file_put(path, file.data, file.size);
    bytes_free(&file);
    return path;
}

/* Converts into a new folder; returns NAME. */
static const char *convert(const char *path, cs_convert_options options,
                           cs_convert_report *report) {
    cs_error err = {0};
    options.name = test_path(test_temp_dir(), "model");
    REQUIRE_OK(cs_convert(path, &options, report, &err), err);
    return options.name;
}

static const cs_convert_options defaults = CS_CONVERT_OPTIONS_DEFAULT;

static const char *with_ending(const char *name, const char *ending) {
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, 512, "%s%s", name, ending);
    return out;
}

static void files_equal(const char *a, const char *b, const char *ending) {
    size_t size_a, size_b;
    char *text_a = test_file_get(with_ending(a, ending), &size_a);
    char *text_b = test_file_get(with_ending(b, ending), &size_b);
    ck_assert_uint_eq(size_a, size_b);
    ck_assert_msg(memcmp(text_a, text_b, size_a) == 0, "%s differ", ending);
    free(text_a);
    free(text_b);
}

static cs_model *open_model(const char *name) {
    cs_error err = {0};
    cs_model *model = NULL;
    REQUIRE_OK(cs_model_open(with_ending(name, ".json"), NULL, &model, &err), err);
    REQUIRE_OK(cs_model_verify_hash(model, &err), err);
    return model;
}

/* ------------------------------------------------------------------ one file ------------- */

START_TEST(test_tiny) {
    built_checkpoint c;
    cs_convert_report report;
    built_tiny(&c);
    const char *name = convert(put_zip(&c, NULL), defaults, &report);
    ck_assert_str_eq(report.architecture, tiny_arch);
    ck_assert_str_eq(report.format, "torch-zip");
    ck_assert_str_eq(report.key, "");
    ck_assert_str_eq(report.strip, "");
    ck_assert_int_eq(report.tensors, 17);
    ck_assert_int_eq(report.classes, 2);
    ck_assert_int_eq(report.channels, 3);
    ck_assert_int_eq(report.width, 224);
    ck_assert_int_eq(report.warning_count + report.dropped_count + report.opaque_count, 0);
    ck_assert(report.golden && report.assumed_size && report.assumed_mean && report.assumed_eps);
    ck_assert_str_eq(report.json_path, with_ending(name, ".json"));
    cs_model *model = open_model(name);
    ck_assert_int_eq(cs_model_tensor_count(model), c.count);
    int64_t parameters = 0;
    for (int i = 0; i < c.count; ++i) {
        const cs_tensor_info *t = cs_model_tensor(model, i);
        ck_assert_str_eq(t->name, c.tensors[i].name);
        ck_assert_int_eq(t->count, c.tensors[i].numel);
        ck_assert_int_eq(t->dims, c.tensors[i].dims);
        ck_assert(memcmp(t->data, c.tensors[i].data.data, c.tensors[i].data.size) == 0);
        parameters += t->count;
    }
    ck_assert_int_eq(report.parameters, parameters);
    ck_assert_str_eq(cs_model_architecture(model), tiny_arch);
    int64_t classes = 0;
    ck_assert_ptr_nonnull(cs_model_golden(model, &classes));
    ck_assert_int_eq(classes, 2);
    cs_model_free(model);
    cs_convert_report_free(&report);
    cs_convert_report_free(&report); /* a cleared report is accepted */
    built_free(&c);
}
END_TEST

START_TEST(test_same_bytes_twice) {
    built_checkpoint c;
    built_tiny(&c);
    const char *path = put_zip(&c, NULL);
    const char *first = convert(path, defaults, NULL), *second = convert(path, defaults, NULL);
    files_equal(first, second, ".bin");
    files_equal(first, second, ".json");
    built_free(&c);
}
END_TEST

/* ------------------------------------------------------------------ ways to store -------- */

static void retype_half(built_checkpoint *c) {
    for (int i = 0; i < c->count; ++i)
        built_retype(&c->tensors[i], "HalfStorage");
}
static void retype_bfloat16(built_checkpoint *c) {
    for (int i = 0; i < c->count; ++i)
        built_retype(&c->tensors[i], "BFloat16Storage");
}
static void retype_double(built_checkpoint *c) {
    for (int i = 0; i < c->count; ++i)
        built_retype(&c->tensors[i], "DoubleStorage");
}
static void retype_mixed(built_checkpoint *c) {
    built_retype(&c->tensors[0], "DoubleStorage");
    built_retype(&c->tensors[5], "HalfStorage");
}
static void transpose(built_checkpoint *c) {
    for (int i = 0; i < c->count; ++i)
        built_transpose(&c->tensors[i]);
}
/* bn1.bias moves behind bn1.weight, into its storage. */
static void share(built_checkpoint *c) {
    built_tensor *a = built_find(c, "bn1.weight"), *b = built_find(c, "bn1.bias");
    bytes_put(&a->data, b->data.data, b->data.size);
    bytes_free(&b->data);
    a->numel = b->numel = 4;
    b->offset = 2;
    b->shared = true;
    snprintf(b->key, sizeof b->key, "%s", a->key);
}
/* As share, the legacy way: b is a view, its own offset 0. */
static void share_view(built_checkpoint *c) {
    share(c);
    built_tensor *b = built_find(c, "bn1.bias");
    b->offset = 0;
    b->view[0] = 2;
    b->view[1] = 2;
}
static void wrap_state_dict(built_checkpoint *c) { c->wrapper = "state_dict"; }
static void wrap_model(built_checkpoint *c) { c->wrapper = "model"; }
static void wrap_list(built_checkpoint *c) { c->wrapper = "[]"; }
static void prefix_module(built_checkpoint *c) { c->prefix = "module."; }
static void use_parameters(built_checkpoint *c) { c->parameters = true; }
static void use_old_rebuild(built_checkpoint *c) { c->old_rebuild = true; }
static void unchanged(built_checkpoint *c) { (void)c; }

typedef struct variant {
    const char *name;
    void (*change)(built_checkpoint *c);
    bool legacy;
    const char *key, *strip;
    int warnings;
} variant;

static const variant variants[] = {
    {"legacy", unchanged, true, "", "", 0},
    {"float16", retype_half, false, "", "", 0},
    {"bfloat16", retype_bfloat16, false, "", "", 0},
    {"float64", retype_double, false, "", "", 1},
    {"mixed types", retype_mixed, false, "", "", 1},
    {"legacy float16", retype_half, true, "", "", 0},
    {"reversed strides", transpose, false, "", "", 0},
    {"legacy reversed strides", transpose, true, "", "", 0},
    {"shared storage", share, false, "", "", 0},
    {"legacy shared storage", share, true, "", "", 0},
    {"legacy view", share_view, true, "", "", 0},
    {"state_dict", wrap_state_dict, false, "state_dict", "", 0},
    {"model", wrap_model, false, "model", "", 0},
    {"a list", wrap_list, false, "0", "", 0},
    {"module.", prefix_module, false, "", "module.", 0},
    {"parameters", use_parameters, false, "", "", 0},
    {"_rebuild_tensor", use_old_rebuild, true, "", "", 0},
};

START_TEST(test_variants) {
    const variant *v = &variants[_i];
    built_checkpoint plain, c;
    cs_convert_report report;
    built_tiny(&plain);
    built_tiny(&c);
    v->change(&c);
    const char *wanted = convert(put_zip(&plain, NULL), defaults, NULL);
    const char *got = convert(v->legacy ? put_legacy(&c) : put_zip(&c, NULL), defaults, &report);
    files_equal(wanted, got, ".bin");
    ck_assert_str_eq(report.key, v->key);
    ck_assert_str_eq(report.strip, v->strip);
    ck_assert_int_eq(report.warning_count, v->warnings);
    ck_assert_int_eq(report.dropped_count, c.wrapper && c.wrapper[0] != '[' ? 1 : 0);
    cs_convert_report_free(&report);
    built_free(&plain);
    built_free(&c);
}
END_TEST

/* Elements of a big-endian file are turned round. */
START_TEST(test_big_endian) {
    built_checkpoint plain, c;
    built_tiny(&plain);
    built_tiny(&c);
    for (int i = 0; i < c.count; ++i) {
        unsigned char *data = c.tensors[i].data.data;
        for (size_t k = 0; k < c.tensors[i].data.size; k += 4) {
            unsigned char word[4] = {data[k + 3], data[k + 2], data[k + 1], data[k]};
            memcpy(data + k, word, 4);
        }
    }
    files_equal(convert(put_zip(&plain, NULL), defaults, NULL),
                convert(put_zip(&c, "big"), defaults, NULL), ".bin");
    built_free(&plain);
    built_free(&c);
}
END_TEST

START_TEST(test_counters_are_dropped) {
    built_checkpoint c;
    cs_convert_report report;
    built_tiny(&c);
    built_tensor *t = &c.tensors[c.count++];
    *t = (built_tensor){.name = "bn1.num_batches_tracked", .type = "LongStorage", .key = "99",
                        .numel = 1};
    bytes_le(&t->data, 12345, 8);
    convert(put_zip(&c, NULL), defaults, &report);
    ck_assert_int_eq(report.tensors, 17);
    ck_assert_int_eq(report.dropped_count, 1);
    ck_assert_str_eq(report.dropped[0], "bn1.num_batches_tracked");
    cs_convert_report_free(&report);
    built_free(&c);
}
END_TEST

/* fc = Sequential(Dropout, Linear): taken, with a warning. */
START_TEST(test_sequential_head) {
    built_checkpoint c;
    cs_convert_report report;
    built_tiny(&c);
    snprintf(built_find(&c, "fc.weight")->name, 80, "fc.1.weight");
    snprintf(built_find(&c, "fc.bias")->name, 80, "fc.1.bias");
    const char *name = convert(put_zip(&c, NULL), defaults, &report);
    ck_assert_int_eq(report.warning_count, 1);
    ck_assert_ptr_nonnull(strstr(report.warnings[0], "fc.1"));
    cs_model *model = open_model(name);
    ck_assert_str_eq(cs_model_node(model, cs_model_output_node(model))->name, "fc.1");
    cs_model_free(model);
    cs_convert_report_free(&report);
    built_free(&c);
}
END_TEST

/* ------------------------------------------------------------------ options -------------- */

START_TEST(test_options) {
    static const char *const classes[] = {"NORMAL", "PNEUMONIA \"x\" é"};
    const double mean = 0.5, std[3] = {0.25, 0.5, 1.0 / 3};
    built_checkpoint c;
    cs_convert_options options = defaults;
    cs_convert_report report;
    built_tiny(&c);
    options.classes = classes;
    options.class_count = 2;
    options.arch = tiny_arch;
    options.channels = 3;
    options.width = 40;
    options.height = 30;
    options.mean = &mean;
    options.mean_count = 1;
    options.std = std;
    options.std_count = 3;
    options.eps = 1e-3;
    const char *name = convert(put_zip(&c, NULL), options, &report);
    ck_assert(!report.assumed_size && !report.assumed_mean && !report.assumed_eps);
    cs_model *model = open_model(name);
    const cs_preprocess *p = cs_model_preprocess(model);
    ck_assert_int_eq(p->width, 40);
    ck_assert_int_eq(p->height, 30);
    for (int i = 0; i < 3; ++i)
        ck_assert(p->mean[i] == mean && p->std[i] == std[i]);
    ck_assert(!p->assumed_size && !p->assumed_mean && !p->assumed_eps);
    ck_assert_str_eq(cs_model_class_name(model, 1), classes[1]);
    ck_assert(cs_model_node(model, 2)->attributes.eps == 1e-3);
    cs_model_free(model);
    cs_convert_report_free(&report);
    built_free(&c);
}
END_TEST

static void refuse(const char *path, cs_convert_options options, cs_status status) {
    cs_error err = {0};
    const char *folder = test_temp_dir();
    if (!options.name)
        options.name = test_path(folder, "model");
    REQUIRE_STATUS(cs_convert(path, &options, NULL, &err), status, err);
    ck_assert_int_ne(access(with_ending(options.name, ".json"), F_OK), 0);
    ck_assert_int_ne(access(with_ending(options.name, ".bin"), F_OK), 0);
}

START_TEST(test_refused_options) {
    static const char *const classes[] = {"A", "A", ""};
    const double zeros[3] = {0};
    built_checkpoint c;
    built_tiny(&c);
    char *path = strdup(put_zip(&c, NULL)); /* test_path's storage is used again and again */
    cs_convert_options o = defaults;
    o.classes = classes;
    o.class_count = 3;
    refuse(path, o, CS_ERROR_MISMATCH);
    o.class_count = 2;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o.classes = classes + 1;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = defaults, o.channels = 1;
    refuse(path, o, CS_ERROR_MISMATCH);
    o = defaults, o.std = zeros, o.std_count = 3;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = defaults, o.mean = zeros, o.mean_count = 2;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = defaults, o.eps = -1;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = defaults, o.width = 10;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = defaults, o.arch = "resnet50";
    refuse(path, o, CS_ERROR_MISMATCH);
    o = defaults, o.arch = "vgg16";
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = defaults, o.key = "state_dict";
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = defaults, o.name = "/nowhere/at/all";
    refuse(path, o, CS_ERROR_OUTPUT);
    o = defaults, o.name = ".json";
    refuse(path, o, CS_ERROR_ARGUMENT);
    refuse("/nowhere/at/all.pth", defaults, CS_ERROR_IO);
    refuse("/", defaults, CS_ERROR_IO);
    free(path);
    built_free(&c);
}
END_TEST

START_TEST(test_key) {
    built_checkpoint c;
    cs_convert_options options = defaults;
    cs_convert_report report;
    built_tiny(&c);
    c.wrapper = "net.a";
    char *path = strdup(put_zip(&c, NULL));
    options.key = "net.a"; /* a key with a dot in it */
    convert(path, options, &report);
    ck_assert_str_eq(report.key, "net.a");
    cs_convert_report_free(&report);
    options.key = "net";
    refuse(path, options, CS_ERROR_ARGUMENT);
    options.key = "best_prec1";
    refuse(path, options, CS_ERROR_ARGUMENT);
    options.key = ""; /* the root has no tensors */
    refuse(path, options, CS_ERROR_MISMATCH);
    free(path);
    built_free(&c);
}
END_TEST

/* ------------------------------------------------------------------ strange contents ----- */

/* {"args": Namespace, "hook": os.system("true"), "state_dict": ...}: converted, and told. */
START_TEST(test_opaque_names) {
    built_checkpoint c;
    cs_convert_options options = defaults;
    cs_convert_report report;
    built_archive archive;
    built_layout layout;
    bytes file = {0}, inner = {0};
    built_tiny(&c);
    built_records(&c, &archive);
    bytes *pickle = &archive.records[0].data;
    bytes_put(&inner, pickle->data + 2, pickle->size - 3);
    bytes_cut(pickle, 2);
    bytes_put(pickle, "}(", 2);
    pickle_string(pickle, "args");
    pickle_global(pickle, "argparse", "Namespace");
    pickle_string(pickle, "hook");
    pickle_global(pickle, "os", "system");
    pickle_string(pickle, "true");
    pickle_op(pickle, "\x85R");
    pickle_string(pickle, "state_dict");
    bytes_put(pickle, inner.data, inner.size);
    pickle_op(pickle, "u.");
    built_zip(&archive, &file, &layout);
    const char *path = test_path(test_temp_dir(), "model.pth");
    test_file_put(path, file.data, file.size);
    convert(path, options, &report);
    ck_assert_int_eq(report.opaque_count, 2);
    ck_assert_str_eq(report.opaque[0].name, "argparse.Namespace");
    ck_assert(!report.opaque[0].executes);
    ck_assert_str_eq(report.opaque[1].name, "os.system");
    ck_assert(report.opaque[1].executes);
    ck_assert_int_eq(report.dropped_count, 2);
    cs_convert_report_free(&report);
    options.strict = true;
    refuse(path, options, CS_ERROR_UNSUPPORTED);
    bytes_free(&file);
    bytes_free(&inner);
    built_archive_free(&archive);
    built_free(&c);
}
END_TEST

static void set_value(built_checkpoint *c, const char *name, float value) {
    memcpy(built_find(c, name)->data.data, &value, sizeof value);
}

/* NaN, infinity, a negative variance: converted with a warning that names the tensor, no golden. */
START_TEST(test_broken_numbers) {
    static const struct {
        const char *name;
        float value;
    } cases[] = {{"fc.weight", NAN},
                 {"conv1.weight", INFINITY},
                 {"bn1.bias", -INFINITY},
                 {"bn1.running_var", -0.25f}};
    built_checkpoint c;
    cs_convert_report report;
    built_tiny(&c);
    set_value(&c, cases[_i].name, cases[_i].value);
    const char *name = convert(put_zip(&c, NULL), defaults, &report);
    ck_assert_int_eq(report.warning_count, 1);
    ck_assert_ptr_eq(strstr(report.warnings[0], cases[_i].name), report.warnings[0]);
    ck_assert(!report.golden);
    cs_model *model = open_model(name);
    int64_t count = 0;
    ck_assert_ptr_null(cs_model_golden(model, &count));
    cs_model_free(model);
    cs_convert_report_free(&report);
    built_free(&c);
}
END_TEST

START_TEST(test_integer_weights) {
    built_checkpoint c;
    built_tiny(&c);
    snprintf(c.tensors[0].type, sizeof c.tensors[0].type, "IntStorage");
    refuse(put_zip(&c, NULL), defaults, CS_ERROR_UNSUPPORTED);
    built_free(&c);
}
END_TEST

START_TEST(test_grey_input) {
    built_checkpoint c;
    built_tiny(&c);
    c.tensors[0].shape[1] = 1; /* the first channel of each filter */
    const char *name = convert(put_zip(&c, NULL), defaults, NULL);
    cs_model *model = open_model(name);
    const cs_preprocess *p = cs_model_preprocess(model);
    ck_assert_int_eq(p->channels, 1);
    ck_assert(fabs(p->mean[0] - 0.449) < 1e-9 && fabs(p->std[0] - 0.226) < 1e-9);
    cs_model_free(model);
    built_free(&c);
}
END_TEST

/* What is no checkpoint is refused by name. */
START_TEST(test_other_files) {
    static const struct {
        const char *data;
        size_t size;
        cs_status status;
        const char *word;
    } cases[] = {
#define FILE_CASE(text, status, word) {text, sizeof(text) - 1, status, word}
        FILE_CASE("\x89HDF\r\n\x1a\n........", CS_ERROR_UNSUPPORTED, "HDF5"),
        FILE_CASE("\x1f\x8b\x08......", CS_ERROR_UNSUPPORTED, "gzip"),
        FILE_CASE("GGUF\3\0\0\0", CS_ERROR_UNSUPPORTED, "GGUF"),
        FILE_CASE("version https://git-lfs.github.com/spec/v1\n", CS_ERROR_UNSUPPORTED, "LFS"),
        FILE_CASE("<!DOCTYPE html>", CS_ERROR_UNSUPPORTED, "web page"),
        FILE_CASE("\x89PNG\r\n\x1a\n", CS_ERROR_UNSUPPORTED, "PNG"),
        FILE_CASE("\x08\x07\x12\x07pytorch", CS_ERROR_UNSUPPORTED, "ONNX"),
        FILE_CASE("\x80\4N.", CS_ERROR_UNSUPPORTED, "pickle"),
        FILE_CASE("\2\0\0\0\0\0\0\0{}", CS_ERROR_UNSUPPORTED, "safetensors"),
        FILE_CASE("CNNSCOPE........", CS_ERROR_UNSUPPORTED, "converted"),
        FILE_CASE("hello, world", CS_ERROR_FORMAT, "not a checkpoint"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        cs_error err = {0};
        cs_convert_options options = defaults;
        const char *path = test_path(test_temp_dir(), "file.pth");
        test_file_put(path, cases[i].data, cases[i].size);
        options.name = test_path(test_temp_dir(), "model");
        REQUIRE_STATUS(cs_convert(path, &options, NULL, &err), cases[i].status, err);
        ck_assert_msg(strstr(err.text, cases[i].word) != NULL, "%s: %s", cases[i].word, err.text);
    }
}
END_TEST

/* ------------------------------------------------------------------ output --------------- */

START_TEST(test_overwrite) {
    built_checkpoint c;
    cs_error err = {0};
    cs_convert_options options = defaults;
    built_tiny(&c);
    const char *folder = test_temp_dir(), *path = put_zip(&c, NULL);
    options.name = test_path(folder, "model.json"); /* the ending is taken off */
    REQUIRE_OK(cs_convert(path, &options, NULL, &err), err);
    const char *kept = convert(path, defaults, NULL), *name = test_path(folder, "model");
    /* Refused, and as it was. */
    set_value(&c, "fc.bias", 0.75f);
    const char *other = put_zip(&c, NULL);
    REQUIRE_STATUS(cs_convert(other, &options, NULL, &err), CS_ERROR_OUTPUT, err);
    files_equal(name, kept, ".bin");
    files_equal(name, kept, ".json");
    /* Forced, but with an input that is refused: as it was. */
    options.force = true;
    REQUIRE_STATUS(cs_convert("/nowhere", &options, NULL, &err), CS_ERROR_IO, err);
    files_equal(name, kept, ".json");
    /* Forced. */
    REQUIRE_OK(cs_convert(other, &options, NULL, &err), err);
    files_equal(name, convert(other, defaults, NULL), ".bin");
    cs_model_free(open_model(name));
    /* One of the two is enough to refuse. */
    options.force = false;
    ck_assert_int_eq(unlink(with_ending(name, ".json")), 0);
    REQUIRE_STATUS(cs_convert(path, &options, NULL, &err), CS_ERROR_OUTPUT, err);
    built_free(&c);
}
END_TEST

/* ------------------------------------------------------------------ init ----------------- */

static const char *init(const char *arch, int64_t classes, uint64_t seed,
                        cs_convert_options options) {
    cs_error err = {0};
    options.name = test_path(test_temp_dir(), "model");
    REQUIRE_OK(cs_init(arch, classes, seed, &options, NULL, &err), err);
    return options.name;
}

START_TEST(test_init_values) {
    const char *name = init("resnet:block=bottleneck,layers=1-1-1-1,width=4", 5, 7, defaults);
    cs_model *model = open_model(name);
    cs_random random = {7};
    for (int i = 0; i < cs_model_tensor_count(model); ++i) {
        const cs_tensor_info *t = cs_model_tensor(model, i);
        bool weight = t->dims > 1;
        bool one = !weight && !strstr(t->name, "bias") && !strstr(t->name, "running_mean");
        double bound = weight ? sqrt(6.0 / (double)(t->count / t->shape[0])) : 0;
        for (int64_t k = 0; k < t->count; ++k) {
            float wanted = one ? 1.0f : 0.0f;
            if (weight)
                wanted = (float)((2 * cs_random_uniform(&random) - 1) * bound);
            ck_assert_msg(t->data[k] == wanted, "%s[%lld]", t->name, (long long)k);
        }
    }
    ck_assert_int_eq(cs_model_class_count(model), 5);
    ck_assert(!cs_model_preprocess(model)->assumed_eps);
    cs_model_free(model);
}
END_TEST

START_TEST(test_init_bytes) {
    cs_convert_options options = defaults;
    options.channels = 1;
    options.width = options.height = 16;
    const char *one = init("resnet_cifar:depth=8,width=4", 3, 1, options);
    files_equal(one, init("resnet_cifar:depth=8,width=4", 3, 1, options), ".bin");
    files_equal(one, init("resnet_cifar:depth=8,width=4", 3, 1, options), ".json");
    size_t size, other_size;
    char *a = test_file_get(with_ending(one, ".bin"), &size);
    char *b = test_file_get(with_ending(init("resnet_cifar:depth=8,width=4", 3, 2, options), ".bin"),
                            &other_size);
    ck_assert_uint_eq(size, other_size);
    ck_assert(memcmp(a, b, size) != 0);
    free(a);
    free(b);
}
END_TEST

START_TEST(test_init_refused) {
    cs_error err = {0};
    cs_convert_options options = defaults;
    options.name = test_path(test_temp_dir(), "model");
    REQUIRE_STATUS(cs_init("resnet51", 2, 1, &options, NULL, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_init(NULL, 2, 1, &options, NULL, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_init("resnet18", 0, 1, &options, NULL, &err), CS_ERROR_ARGUMENT, err);
    options.channels = 17;
    REQUIRE_STATUS(cs_init("resnet18", 2, 1, &options, NULL, &err), CS_ERROR_LIMIT, err);
    ck_assert_int_ne(access(with_ending(options.name, ".bin"), F_OK), 0);
}
END_TEST

/* ------------------------------------------------------------------ real files ----------- */

START_TEST(test_real_files) {
    static const struct {
        const char *path, *arch, *key, *strip;
        int tensors, dropped;
        bool slow;
    } cases[] = {
        {"cifar-resnets/resnet20-12fca82f.th", "resnet20_cifar", "state_dict", "module.", 97, 1, false},
        {"cifar-resnets/resnet32-d509ac18.th", "resnet32_cifar", "state_dict", "module.", 157, 1, false},
        {"best_model.pth", "resnet50", "", "", 267, 53, true},
    };
    const char *path = test_data_path(cases[_i].path);
    if (!path || (cases[_i].slow && !test_long()))
        return;
    cs_convert_report report;
    const char *name = convert(path, defaults, &report);
    ck_assert_str_eq(report.architecture, cases[_i].arch);
    ck_assert_str_eq(report.key, cases[_i].key);
    ck_assert_str_eq(report.strip, cases[_i].strip);
    ck_assert_int_eq(report.tensors, cases[_i].tensors);
    ck_assert_int_eq(report.dropped_count, cases[_i].dropped);
    ck_assert_int_eq(report.opaque_count, 0);
    ck_assert(report.golden);
    cs_model_free(open_model(name));
    cs_convert_report_free(&report);
}
END_TEST

Suite *suite_convert(void);
Suite *suite_convert(void) {
    Suite *suite = suite_create("convert");
    TCase *all = tcase_create("convert");
    tcase_add_test(all, test_tiny);
    tcase_add_test(all, test_same_bytes_twice);
    tcase_add_loop_test(all, test_variants, 0, (int)(sizeof variants / sizeof *variants));
    tcase_add_test(all, test_big_endian);
    tcase_add_test(all, test_counters_are_dropped);
    tcase_add_test(all, test_sequential_head);
    tcase_add_test(all, test_options);
    tcase_add_test(all, test_refused_options);
    tcase_add_test(all, test_key);
    tcase_add_test(all, test_opaque_names);
    tcase_add_loop_test(all, test_broken_numbers, 0, 4);
    tcase_add_test(all, test_integer_weights);
    tcase_add_test(all, test_grey_input);
    tcase_add_test(all, test_other_files);
    tcase_add_test(all, test_overwrite);
    tcase_add_test(all, test_init_values);
    tcase_add_test(all, test_init_bytes);
    tcase_add_test(all, test_init_refused);
    tcase_add_loop_test(all, test_real_files, 0, 3);
    suite_add_tcase(suite, all);
    return suite;
}
