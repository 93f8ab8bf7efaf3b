/* test_selftest.c - cnnscope selftest: what it says, that it notices, and that it needs no files;
 * other processors under qemu. */
#include "cli_runner.h"
#include "embedded.h"
#include "selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The embedded files are those of examples/. */
START_TEST(test_embedded_files) {
    size_t size;
    char *bytes = test_file_get("examples/small_resnet.json", &size);
    ck_assert_uint_eq(size, (size_t)(embedded_manifest_end - embedded_manifest));
    ck_assert_mem_eq(bytes, embedded_manifest, size);
    free(bytes);
    bytes = test_file_get("examples/small_resnet.bin", &size);
    ck_assert_uint_eq(size, (size_t)(embedded_bin_end - embedded_bin));
    ck_assert_mem_eq(bytes, embedded_bin, size);
    free(bytes);
    ck_assert_int_ge(selftest_published_count, 9);
}
END_TEST

START_TEST(test_difference_is_found) {
    cs_error err;
    cs_model *model;
    selftest_result result;
    selftest_hash table[] = {selftest_published[0], selftest_published[1]};
    table[1].hash[CS_F32] = table[0].hash[CS_F32];
    REQUIRE_OK(embedded_model_open(&model, &err), err);
    REQUIRE_OK(selftest_run(model, table, 2, CS_ISA_PORTABLE_NOFMA, CS_F32, true, &result, &err),
               err);
    ck_assert(result.available);
    ck_assert_int_eq(result.runs, 1);
    ck_assert_int_eq(result.compared, 2);
    ck_assert_int_eq(result.different, 1);
    ck_assert_str_eq(result.first.node, table[1].node);
    ck_assert_str_eq(result.first.expected, table[0].hash[CS_F32]);
    ck_assert_str_eq(result.first.got, selftest_published[1].hash[CS_F32]);
    /* The float64 column is whole. */
    REQUIRE_OK(selftest_run(model, table, 2, CS_ISA_PORTABLE_NOFMA, CS_F64, true, &result, &err),
               err);
    ck_assert_int_eq(result.different, 0);
    cs_model_free(model);
}
END_TEST

START_TEST(test_all_places) {
    cs_error err;
    cs_model *model;
    selftest_result result;
    REQUIRE_OK(embedded_model_open(&model, &err), err);
    REQUIRE_OK(selftest_run(model, selftest_published, selftest_published_count, CS_ISA_PORTABLE,
                            CS_F64, false, &result, &err),
               err);
    ck_assert_int_eq(result.different, 0);
    if (result.available)
        ck_assert_int_eq(result.compared, 4 * selftest_published_count);
    cs_model_free(model);
}
END_TEST

START_TEST(test_command_needs_no_files) {
    char *program = realpath(cli_program(), NULL);
    ck_assert_ptr_nonnull(program);
    ck_assert_int_eq(cli_shell("cd %s && %s selftest --quick > out", test_temp_dir(), program), 0);
    free(program);
    cli_result result = cli_run("selftest --quick --json");
    ck_assert_int_eq(result.code, 0);
    cli_require_json(result.out, "selftest --json");
    ck_assert_ptr_nonnull(strstr(result.out, "\"isa\": \"portable-nofma\""));
    ck_assert_ptr_nonnull(strstr(result.out, "\"equal\": true"));
    ck_assert_ptr_null(strstr(result.out, "\"different\": 1"));
    result = cli_run("selftest --quick --quiet");
    ck_assert_int_eq(result.code, 0);
    ck_assert_str_eq(result.out, "");
    ck_assert_int_eq(cli_run("selftest file").code, 2);
}
END_TEST

/* Emulated, with fused multiply-adds in software on top: minutes. */
START_TEST(test_on_other_processors) {
    if (test_long())
        ck_assert_int_eq(cli_shell("tools/selftest_everywhere.sh %s", cli_program()), 0);
}
END_TEST

Suite *suite_selftest(void);
Suite *suite_selftest(void) {
    Suite *suite = suite_create("selftest");
    TCase *tests = tcase_create("selftest");
    tcase_add_test(tests, test_embedded_files);
    tcase_add_test(tests, test_difference_is_found);
    tcase_add_test(tests, test_all_places);
    tcase_add_test(tests, test_command_needs_no_files);
    suite_add_tcase(suite, tests);
    TCase *emulated = tcase_create("emulated");
    tcase_set_timeout(emulated, 3600);
    tcase_add_test(emulated, test_on_other_processors);
    suite_add_tcase(suite, emulated);
    return suite;
}
