/* test_target.c - classes by number or name, and the seeds of targets. */
#include "cnnscope_cam.h"
#include "model_builder.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A model whose six classes have these names. */
static cs_model *named_model(void) {
    static const float matrix[6] = {1, 2, 3, 4, 5, 6};
    built_node nodes[] = {
        {.name = "flatten", .op = "flatten", .inputs = {"input"}},
        {.name = "fc", .op = "linear", .inputs = {"flatten"}, .in_channels = 1, .weight = matrix},
    };
    nodes[1].attributes.out_channels = 6;
    built_model model = {1, 1, 1, nodes, 2, "fc", 6};
    const char *path = built_model_write(&model, test_temp_dir(), "named");
    size_t size = 0;
    char *text = test_file_get(path, &size);
    const char *from = "\"classes\": null";
    const char *to = "\"classes\": [\"NORMAL\", \"Pneumonia\", \"cat\", \"CAT\", \"肺炎\", \"0x\"]";
    char *at = memmem(text, size, from, strlen(from));
    ck_assert_ptr_nonnull(at);
    char *named = malloc(size + 200);
    int length = snprintf(named, size + 200, "%.*s%s%.*s", (int)(at - text), text, to,
                          (int)(text + size - at - strlen(from)), at + strlen(from));
    test_file_put(path, named, (size_t)length);
    free(text);
    free(named);
    cs_error err;
    cs_model *opened = NULL;
    REQUIRE_OK(cs_model_open(path, NULL, &opened, &err), err);
    return opened;
}

START_TEST(classes_have_numbers_and_names) {
    static const struct {
        const char *text;
        int64_t index;
    } good[] = {{"argmax", CS_CLASS_ARGMAX},
                {"0", 0},
                {"5", 5},
                {"05", 5},
                {"NORMAL", 0},
                {"normal", 0},
                {"PNEUMONIA", 1},
                {"cat", 2},
                {"CAT", 3},
                {"肺炎", 4},
                {"0x", 5}};
    static const char *const bad[] = {"6", "-1", "", "Cat", "norm", "99999999999999999999", "1.0"};
    cs_model *model = named_model();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cs_error err;
        int64_t index = -2;
        REQUIRE_OK(cs_class_parse(model, good[i].text, &index, &err), err);
        ck_assert_msg(index == good[i].index, "'%s' is class %d", good[i].text, (int)index);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cs_error err;
        int64_t index = -2;
        REQUIRE_STATUS(cs_class_parse(model, bad[i], &index, &err), CS_ERROR_ARGUMENT, err);
        ck_assert_ptr_nonnull(strstr(err.text, "1 Pneumonia"));
        ck_assert_int_eq(index, -2);
    }
    cs_model_free(model);
}
END_TEST

START_TEST(targets_read_and_print) {
    static const char *const texts[] = {"logit", "neg-logit", "prob", "margin:3"};
    cs_model *model = named_model();
    cs_error err;
    cs_target target;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char printed[32];
        REQUIRE_OK(cs_target_parse(model, texts[i], &target, &err), err);
        cs_target_print(&target, printed);
        ck_assert_str_eq(printed, texts[i]);
    }
    REQUIRE_OK(cs_target_parse(model, "margin:normal", &target, &err), err);
    ck_assert_int_eq(target.other, 0);
    static const char *const bad[] = {"", "loss", "margin", "margin:", "margin:9", "margin:argmax"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        REQUIRE_STATUS(cs_target_parse(model, bad[i], &target, &err), CS_ERROR_ARGUMENT, err);
    cs_model_free(model);
}
END_TEST

START_TEST(argmax_takes_the_first_and_no_nan) {
    float a[] = {1, 3, 3, 2, NAN, 7, NAN, NAN};
    cs_tensor logits = {CS_F32, 2, 4, 1, 1, a};
    ck_assert_int_eq(cs_class_argmax(&logits, 0), 1);
    ck_assert_int_eq(cs_class_argmax(&logits, 1), 1);
}
END_TEST

static void check_seed(cs_target target, const double *wanted) {
    cs_error err;
    double z[6] = {0.5, -1, 2, 0, 0, 0};
    cs_tensor logits = {CS_F64, 2, 3, 1, 1, z}, seed;
    int64_t classes[2] = {2, 0};
    REQUIRE_OK(cs_target_seed(&target, &logits, classes, &seed, &err), err);
    ck_assert_int_eq(seed.dtype, CS_F64);
    for (int i = 0; i < 6; i++)
        ck_assert_double_eq_tol(((double *)seed.data)[i], wanted[i], 1e-15);
    cs_tensor_release(&seed);
}

START_TEST(seeds_are_the_targets_derivatives) {
    double e[3] = {exp(0.5), exp(-1), exp(2)}, sum = e[0] + e[1] + e[2];
    double p[3] = {e[0] / sum, e[1] / sum, e[2] / sum}, third = 1.0 / 3;
    check_seed((cs_target){CS_TARGET_LOGIT, 0}, (double[]){0, 0, 1, 1, 0, 0});
    check_seed((cs_target){CS_TARGET_NEG_LOGIT, 0}, (double[]){0, 0, -1, -1, 0, 0});
    check_seed((cs_target){CS_TARGET_MARGIN, 1}, (double[]){0, -1, 1, 1, -1, 0});
    check_seed((cs_target){CS_TARGET_MARGIN, 2}, (double[]){0, 0, 0, 1, 0, -1});
    check_seed((cs_target){CS_TARGET_PROB, 0},
               (double[]){-p[2] * p[0], -p[2] * p[1], p[2] * (1 - p[2]), third * (1 - third),
                          -third * third, -third * third});
}
END_TEST

START_TEST(impossible_seeds_are_refused) {
    cs_error err;
    float z[3] = {0};
    cs_tensor logits = {CS_F32, 1, 3, 1, 1, z}, seed;
    cs_target target = {CS_TARGET_LOGIT, 0};
    int64_t too_large = 3, argmax = CS_CLASS_ARGMAX, good = 1;
    REQUIRE_STATUS(cs_target_seed(&target, &logits, &too_large, &seed, &err), CS_ERROR_ARGUMENT,
                   err);
    ck_assert_ptr_null(seed.data);
    REQUIRE_STATUS(cs_target_seed(&target, &logits, &argmax, &seed, &err), CS_ERROR_ARGUMENT, err);
    target = (cs_target){CS_TARGET_MARGIN, 3};
    REQUIRE_STATUS(cs_target_seed(&target, &logits, &good, &seed, &err), CS_ERROR_ARGUMENT, err);
}
END_TEST

Suite *suite_target(void);
Suite *suite_target(void) {
    Suite *suite = suite_create("target");
    TCase *tests = tcase_create("target");
    tcase_add_test(tests, classes_have_numbers_and_names);
    tcase_add_test(tests, targets_read_and_print);
    tcase_add_test(tests, argmax_takes_the_first_and_no_nan);
    tcase_add_test(tests, seeds_are_the_targets_derivatives);
    tcase_add_test(tests, impossible_seeds_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
