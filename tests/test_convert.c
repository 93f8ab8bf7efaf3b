/* test_convert.c - whole conversions: the same network stored in every way that torch.save knows
 * gives the same binary; and real files.
 */
#include "cnnscope_convert.h"

#include <stdio.h>
#include <string.h>

#include "convert_support.h"
#include "test_support.h"

/* ------------------------------------------------------------------ one file ------------- */

START_TEST(test_tiny) {
    built_checkpoint c;
    cs_convert_report report;
    built_tiny(&c);
    const char *name = test_convert(test_put_zip(&c, NULL), convert_defaults, &report);
    ck_assert_str_eq(report.architecture, TINY_ARCH);
    ck_assert_str_eq(report.format, "torch-zip");
    ck_assert_str_eq(report.key, "");
    ck_assert_str_eq(report.strip, "");
    ck_assert_int_eq(report.tensors, 17);
    ck_assert_int_eq(report.classes, 2);
    ck_assert_int_eq(report.channels, 3);
    ck_assert_int_eq(report.width, 224);
    ck_assert_int_eq(report.warning_count + report.dropped_count + report.opaque_count, 0);
    ck_assert(report.golden && report.assumed_size && report.assumed_mean && report.assumed_eps);
    ck_assert_str_eq(report.json_path, test_with_ending(name, ".json"));
    cs_model *model = test_open_model(name);
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
    ck_assert_str_eq(cs_model_architecture(model), TINY_ARCH);
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
    const char *path = test_put_zip(&c, NULL);
    const char *first = test_convert(path, convert_defaults, NULL),
               *second = test_convert(path, convert_defaults, NULL);
    test_files_equal(first, second, ".bin");
    test_files_equal(first, second, ".json");
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
    const char *(*put)(const built_checkpoint *c); /* NULL: as a zip file */
    const char *key, *strip;
    int warnings;
} variant;

static const variant variants[] = {
    {"legacy", unchanged, test_put_legacy, "", "", 0},
    {"float16", retype_half, NULL, "", "", 0},
    {"bfloat16", retype_bfloat16, NULL, "", "", 0},
    {"float64", retype_double, NULL, "", "", 1},
    {"mixed types", retype_mixed, NULL, "", "", 1},
    {"legacy float16", retype_half, test_put_legacy, "", "", 0},
    {"reversed strides", transpose, NULL, "", "", 0},
    {"legacy reversed strides", transpose, test_put_legacy, "", "", 0},
    {"shared storage", share, NULL, "", "", 0},
    {"legacy shared storage", share, test_put_legacy, "", "", 0},
    {"legacy view", share_view, test_put_legacy, "", "", 0},
    {"state_dict", wrap_state_dict, NULL, "state_dict", "", 0},
    {"model", wrap_model, NULL, "model", "", 0},
    {"a list", wrap_list, NULL, "0", "", 0},
    {"module.", prefix_module, NULL, "", "module.", 0},
    {"parameters", use_parameters, NULL, "", "", 0},
    {"safetensors", unchanged, test_put_safetensors, "", "", 0},
    {"safetensors float16", retype_half, test_put_safetensors, "", "", 0},
    {"safetensors bfloat16", retype_bfloat16, test_put_safetensors, "", "", 0},
    {"safetensors float64", retype_double, test_put_safetensors, "", "", 1},
    {"safetensors mixed types", retype_mixed, test_put_safetensors, "", "", 1},
    {"safetensors module.", prefix_module, test_put_safetensors, "", "module.", 0},
    {"_rebuild_tensor", use_old_rebuild, test_put_legacy, "", "", 0},
};

START_TEST(test_variants) {
    const variant *v = &variants[_i];
    built_checkpoint plain, c;
    cs_convert_report report;
    built_tiny(&plain);
    built_tiny(&c);
    v->change(&c);
    const char *wanted = test_convert(test_put_zip(&plain, NULL), convert_defaults, NULL);
    const char *got =
        test_convert(v->put ? v->put(&c) : test_put_zip(&c, NULL), convert_defaults, &report);
    test_files_equal(wanted, got, ".bin");
    ck_assert_str_eq(report.key, v->key);
    ck_assert_str_eq(report.strip, v->strip);
    ck_assert_int_eq(report.warning_count, v->warnings);
    ck_assert_int_eq(report.dropped_count, c.wrapper && c.wrapper[0] != '[' ? 1 : 0);
    cs_convert_report_free(&report);
    built_free(&plain);
    built_free(&c);
}
END_TEST

/* What the safetensors package wrote (fixtures/make_safetensors.py): the same network. */
START_TEST(test_package_file) {
    built_checkpoint plain;
    cs_convert_report report;
    built_tiny(&plain);
    const char *wanted = test_convert(test_put_zip(&plain, NULL), convert_defaults, NULL);
    const char *got = test_convert("tests/fixtures/tiny.safetensors", convert_defaults, &report);
    test_files_equal(wanted, got, ".bin");
    ck_assert_str_eq(report.format, "safetensors");
    ck_assert_int_eq(report.dropped_count, 1); /* num_batches_tracked */
    cs_convert_report_free(&report);
    built_free(&plain);
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
    test_files_equal(test_convert(test_put_zip(&plain, NULL), convert_defaults, NULL),
                     test_convert(test_put_zip(&c, "big"), convert_defaults, NULL), ".bin");
    built_free(&plain);
    built_free(&c);
}
END_TEST

START_TEST(test_counters_are_dropped) {
    built_checkpoint c;
    cs_convert_report report;
    built_tiny(&c);
    built_tensor *t = &c.tensors[c.count++];
    *t = (built_tensor){
        .name = "bn1.num_batches_tracked", .type = "LongStorage", .key = "99", .numel = 1};
    bytes_le(&t->data, 12345, 8);
    test_convert(test_put_zip(&c, NULL), convert_defaults, &report);
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
    const char *name = test_convert(test_put_zip(&c, NULL), convert_defaults, &report);
    ck_assert_int_eq(report.warning_count, 1);
    ck_assert_ptr_nonnull(strstr(report.warnings[0], "fc.1"));
    cs_model *model = test_open_model(name);
    ck_assert_str_eq(cs_model_node(model, cs_model_output_node(model))->name, "fc.1");
    cs_model_free(model);
    cs_convert_report_free(&report);
    built_free(&c);
}
END_TEST

/* ------------------------------------------------------------------ real files ----------- */

START_TEST(test_real_files) {
    static const struct {
        const char *path, *arch, *key, *strip;
        int tensors, dropped;
        bool slow;
    } cases[] = {
        {"cifar-resnets/resnet20-12fca82f.th", "resnet20_cifar", "state_dict", "module.", 97, 1,
         false},
        {"cifar-resnets/resnet32-d509ac18.th", "resnet32_cifar", "state_dict", "module.", 157, 1,
         false},
        {"best_model.pth", "resnet50", "", "", 267, 53, true},
    };
    const char *path = test_data_path(cases[_i].path);
    if (!path || (cases[_i].slow && !test_long()))
        return;
    cs_convert_report report;
    const char *name = test_convert(path, convert_defaults, &report);
    ck_assert_str_eq(report.architecture, cases[_i].arch);
    ck_assert_str_eq(report.key, cases[_i].key);
    ck_assert_str_eq(report.strip, cases[_i].strip);
    ck_assert_int_eq(report.tensors, cases[_i].tensors);
    ck_assert_int_eq(report.dropped_count, cases[_i].dropped);
    ck_assert_int_eq(report.opaque_count, 0);
    ck_assert(report.golden);
    cs_model_free(test_open_model(name));
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
    tcase_add_test(all, test_package_file);
    tcase_add_test(all, test_big_endian);
    tcase_add_test(all, test_counters_are_dropped);
    tcase_add_test(all, test_sequential_head);
    tcase_add_loop_test(all, test_real_files, 0, 3);
    suite_add_tcase(suite, all);
    return suite;
}
