/* test_convert_options.c - options, strange contents, and what is written where. */
#include "cnnscope_convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert_support.h"
#include "test_support.h"

/* ------------------------------------------------------------------ options -------------- */

START_TEST(test_options) {
    static const char *const classes[] = {"NORMAL", "PNEUMONIA \"x\" é"};
    const double mean = 0.5, std[3] = {0.25, 0.5, 1.0 / 3};
    built_checkpoint c;
    cs_convert_options options = convert_defaults;
    cs_convert_report report;
    built_tiny(&c);
    options.classes = classes;
    options.class_count = 2;
    options.arch = TINY_ARCH;
    options.channels = 3;
    options.width = 40;
    options.height = 30;
    options.mean = &mean;
    options.mean_count = 1;
    options.std = std;
    options.std_count = 3;
    options.eps = 1e-3;
    const char *name = test_convert(test_put_zip(&c, NULL), options, &report);
    ck_assert(!report.assumed_size && !report.assumed_mean && !report.assumed_eps);
    cs_model *model = test_open_model(name);
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
    ck_assert_int_ne(access(test_with_ending(options.name, ".json"), F_OK), 0);
    ck_assert_int_ne(access(test_with_ending(options.name, ".bin"), F_OK), 0);
}

START_TEST(test_refused_options) {
    static const char *const classes[] = {"A", "A", ""};
    const double zeros[3] = {0};
    built_checkpoint c;
    built_tiny(&c);
    char *path = strdup(test_put_zip(&c, NULL)); /* test_path's storage is used again and again */
    cs_convert_options o = convert_defaults;
    o.classes = classes;
    o.class_count = 3;
    refuse(path, o, CS_ERROR_MISMATCH);
    o.class_count = 2;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o.classes = classes + 1;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = convert_defaults, o.channels = 1;
    refuse(path, o, CS_ERROR_MISMATCH);
    o = convert_defaults, o.std = zeros, o.std_count = 3;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = convert_defaults, o.mean = zeros, o.mean_count = 2;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = convert_defaults, o.eps = -1;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = convert_defaults, o.width = 10;
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = convert_defaults, o.arch = "resnet50";
    refuse(path, o, CS_ERROR_MISMATCH);
    o = convert_defaults, o.arch = "vgg16";
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = convert_defaults, o.key = "state_dict";
    refuse(path, o, CS_ERROR_ARGUMENT);
    o = convert_defaults, o.name = "/nowhere/at/all";
    refuse(path, o, CS_ERROR_OUTPUT);
    o = convert_defaults, o.name = ".json";
    refuse(path, o, CS_ERROR_ARGUMENT);
    refuse("/nowhere/at/all.pth", convert_defaults, CS_ERROR_IO);
    refuse("/", convert_defaults, CS_ERROR_IO);
    free(path);
    built_free(&c);
}
END_TEST

START_TEST(test_key) {
    built_checkpoint c;
    cs_convert_options options = convert_defaults;
    cs_convert_report report;
    built_tiny(&c);
    c.wrapper = "net.a";
    char *path = strdup(test_put_zip(&c, NULL));
    options.key = "net.a"; /* a key with a dot in it */
    test_convert(path, options, &report);
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
    cs_convert_options options = convert_defaults;
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
    test_convert(path, options, &report);
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
    test_set_value(&c, cases[_i].name, cases[_i].value);
    const char *name = test_convert(test_put_zip(&c, NULL), convert_defaults, &report);
    ck_assert_int_eq(report.warning_count, 1);
    ck_assert_ptr_eq(strstr(report.warnings[0], cases[_i].name), report.warnings[0]);
    ck_assert(!report.golden);
    cs_model *model = test_open_model(name);
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
    refuse(test_put_zip(&c, NULL), convert_defaults, CS_ERROR_UNSUPPORTED);
    built_free(&c);
}
END_TEST

START_TEST(test_grey_input) {
    built_checkpoint c;
    built_tiny(&c);
    c.tensors[0].shape[1] = 1; /* the first channel of each filter */
    const char *name = test_convert(test_put_zip(&c, NULL), convert_defaults, NULL);
    cs_model *model = test_open_model(name);
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
        FILE_CASE("\2\0\0\0\0\0\0\0{}", CS_ERROR_MISMATCH, "no state_dict"),
        FILE_CASE("CNNSCOPE........", CS_ERROR_UNSUPPORTED, "converted"),
        FILE_CASE("hello, world", CS_ERROR_FORMAT, "not a checkpoint"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        cs_error err = {0};
        cs_convert_options options = convert_defaults;
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
    cs_convert_options options = convert_defaults;
    built_tiny(&c);
    const char *folder = test_temp_dir(), *path = test_put_zip(&c, NULL);
    options.name = test_path(folder, "model.json"); /* the ending is taken off */
    REQUIRE_OK(cs_convert(path, &options, NULL, &err), err);
    const char *kept = test_convert(path, convert_defaults, NULL),
               *name = test_path(folder, "model");
    /* Refused, and as it was. */
    test_set_value(&c, "fc.bias", 0.75f);
    const char *other = test_put_zip(&c, NULL);
    REQUIRE_STATUS(cs_convert(other, &options, NULL, &err), CS_ERROR_OUTPUT, err);
    test_files_equal(name, kept, ".bin");
    test_files_equal(name, kept, ".json");
    /* Forced, but with an input that is refused: as it was. */
    options.force = true;
    REQUIRE_STATUS(cs_convert("/nowhere", &options, NULL, &err), CS_ERROR_IO, err);
    test_files_equal(name, kept, ".json");
    /* Forced. */
    REQUIRE_OK(cs_convert(other, &options, NULL, &err), err);
    test_files_equal(name, test_convert(other, convert_defaults, NULL), ".bin");
    cs_model_free(test_open_model(name));
    /* One of the two is enough to refuse. */
    options.force = false;
    ck_assert_int_eq(unlink(test_with_ending(name, ".json")), 0);
    REQUIRE_STATUS(cs_convert(path, &options, NULL, &err), CS_ERROR_OUTPUT, err);
    built_free(&c);
}
END_TEST

Suite *suite_convert_options(void);
Suite *suite_convert_options(void) {
    Suite *suite = suite_create("convert_options");
    TCase *all = tcase_create("convert_options");
    tcase_add_test(all, test_options);
    tcase_add_test(all, test_refused_options);
    tcase_add_test(all, test_key);
    tcase_add_test(all, test_opaque_names);
    tcase_add_loop_test(all, test_broken_numbers, 0, 4);
    tcase_add_test(all, test_integer_weights);
    tcase_add_test(all, test_grey_input);
    tcase_add_test(all, test_other_files);
    tcase_add_test(all, test_overwrite);
    suite_add_tcase(suite, all);
    return suite;
}
