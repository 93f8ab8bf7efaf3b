/* test_cli_parts.c - the command line's parts: JSON, lists, class choices, counts. */
#include "class_choice.h"
#include "common.h"
#include "json_writer.h"
#include "model_counts.h"
#include "output_folder.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The text between put_object and put_close. */
static char *written(void (*fill)(json_writer *w), bool pretty) {
    char *text = NULL;
    size_t size = 0;
    cs_error err;
    json_writer w = {.file = open_memstream(&text, &size), .pretty = pretty};
    put_object(&w, NULL);
    fill(&w);
    put_close(&w);
    fclose(w.file);
    ck_assert_msg(cs_json_check(text, size, 16, "text", &err) == CS_OK, "%s\n%s", err.text, text);
    return text;
}

static void fill_mixed(json_writer *w) {
    put_text(w, "a\"\\\n", "\x01 \xc3\xa9 \xff \xed\xa0\x80 \x7f");
    put_array(w, "b");
    put_close(w);
    put_array(w, "c");
    put_integer(w, NULL, -9007199254740991);
    put_boolean(w, NULL, true);
    put_text(w, NULL, NULL);
    put_object(w, NULL);
    put_close(w);
    put_close(w);
    put_real(w, "d", nan(""), CS_F64);
    put_real(w, "e", -HUGE_VAL, CS_F32);
}

START_TEST(json_escapes_and_nests) {
    char *line = written(fill_mixed, false), *indented = written(fill_mixed, true);
    ck_assert_str_eq(line,
                     "{\"a\\\"\\\\\\u000a\": \"\\u0001 \xc3\xa9 \\ufffd \\ufffd\\ufffd\\ufffd "
                     "\\u007f\", \"b\": [], \"c\": [-9007199254740991, true, null, {}], "
                     "\"d\": null, \"e\": null}\n");
    ck_assert_ptr_nonnull(strstr(indented, "\n  \"c\": [\n    -9007199254740991,\n    true"));
    free(line);
    free(indented);
}
END_TEST

START_TEST(reals_read_back_to_the_same_bits) {
    char digits[32];
    cs_random random = {7};
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = cs_random_next(&random);
        uint32_t half = (uint32_t)(bits >> 32);
        double wide;
        float narrow;
        memcpy(&wide, &bits, sizeof wide);
        memcpy(&narrow, &half, sizeof narrow);
        if (isfinite(wide))
            ck_assert(strtod(real_digits(wide, CS_F64, digits), NULL) == wide);
        if (isfinite(narrow))
            ck_assert(strtof(real_digits((double)narrow, CS_F32, digits), NULL) == narrow);
    }
    ck_assert_str_eq(real_digits((double)0.1f, CS_F32, digits), "0.1");
    ck_assert_str_eq(real_digits(0.1, CS_F64, digits), "0.1");
    ck_assert_str_eq(real_digits((double)0.1f, CS_F64, digits), "0.10000000149011612");
}
END_TEST

START_TEST(top_classes_are_sorted) {
    double values[] = {1.0, nan(""), 5.0, 5.0, -2.0, 7.0};
    static const int64_t order[] = {5, 2, 3, 0, 4, 1};
    int64_t classes[6];
    cs_tensor logits = {CS_F64, 1, 6, 1, 1, values};
    for (int64_t top = 1; top <= 8; top++) {
        int64_t count = top_classes(&logits, 0, top, classes);
        ck_assert_int_eq(count, top < 6 ? top : 6);
        for (int64_t i = 0; i < count; i++)
            ck_assert_int_eq(classes[i], order[i]);
    }
}
END_TEST

START_TEST(lists_and_sizes) {
    cs_error err;
    word_list list;
    REQUIRE_OK(word_list_split(&list, "A,b c,D", &err), err);
    ck_assert_int_eq(list.count, 3);
    ck_assert_str_eq(list.words[1], "b c");
    word_list_free(&list);
    REQUIRE_STATUS(word_list_split(&list, "", &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(word_list_split(&list, "A,", &err), CS_ERROR_ARGUMENT, err);
    int64_t width = 0, height = 0, count = 0;
    REQUIRE_OK(parse_size("320x240", &width, &height, &err), err);
    ck_assert_int_eq(width, 320);
    ck_assert_int_eq(height, 240);
    REQUIRE_OK(parse_size("64", &width, &height, &err), err);
    ck_assert_int_eq(height, 64);
    static const char *const bad[] = {"", "x", "3x", "-1", "0", "3x4x5", "99999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        REQUIRE_STATUS(parse_size(bad[i], &width, &height, &err), CS_ERROR_ARGUMENT, err);
    double values[3];
    REQUIRE_OK(parse_numbers("0.5,-1e-3,2", values, 3, &count, &err), err);
    ck_assert_int_eq(count, 3);
    ck_assert(values[1] == -1e-3);
    static const char *const bad_numbers[] = {"", "1,", "1,2,3,4", "nan", "1;2", "1e999"};
    for (size_t i = 0; i < sizeof bad_numbers / sizeof bad_numbers[0]; i++)
        REQUIRE_STATUS(parse_numbers(bad_numbers[i], values, 3, &count, &err), CS_ERROR_ARGUMENT,
                       err);
}
END_TEST

static const char *word_at(const void *list, size_t i) { return ((const char *const *)list)[i]; }

START_TEST(nearest_names) {
    static const char *const words[] = {"convert", "init", "info", NULL, "explain"};
    ck_assert_str_eq(cli_nearest("explian", word_at, words, 5), "explain");
    ck_assert_str_eq(cli_nearest("conv", word_at, words, 5), "convert");
    ck_assert_str_eq(cli_nearest("inif", word_at, words, 5), "init");
    ck_assert_ptr_null(cli_nearest("zzzzzz", word_at, words, 5));
    char endless[400];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    ck_assert_ptr_null(cli_nearest(endless, word_at, words, 5));
}
END_TEST

START_TEST(names_of_image_folders) {
    static const struct {
        const char *image, *name;
    } cases[] = {{"a/xray.png", "xray"},
                 {"xray.jpg", "xray-2"},
                 {"b/xray.png", "xray-3"},
                 {"x.tar.gz", "x.tar"},
                 {".png", "_png"},
                 {"a\nb.png", "a_b"},
                 {"..", "_"},
                 {"noending", "noending"}};
    cs_error err;
    output_folder folder;
    char name[NAME_MAX + 1];
    const char *dir = test_path(test_temp_dir(), "out");
    REQUIRE_OK(output_folder_open(&folder, dir, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        REQUIRE_OK(output_folder_make_image(&folder, cases[i].image, name, &err), err);
        ck_assert_str_eq(name, cases[i].name);
    }
    output_folder second;
    REQUIRE_OK(output_folder_open(&second, dir, &err), err);
    ck_assert_str_ne(folder.partial, second.partial);
    REQUIRE_OK(output_folder_finish(&folder, &err), err);
    REQUIRE_STATUS(output_folder_finish(&second, &err), CS_ERROR_OUTPUT, err);
    REQUIRE_STATUS(output_folder_open(&second, dir, &err), CS_ERROR_OUTPUT, err);
    REQUIRE_STATUS(output_folder_open(&second, "", &err), CS_ERROR_ARGUMENT, err);
}
END_TEST

/* The first convolution by hand: 3 channels in, 3 out, 7 x 7, 112 x 112 outputs. */
START_TEST(counts_of_the_example) {
    cs_error err;
    cs_model *model = NULL;
    model_counts counts = {0};
    REQUIRE_OK(cs_model_open("examples/small_resnet.json", NULL, &model, &err), err);
    REQUIRE_OK(model_counts_make(&counts, model, &err), err);
    ck_assert_int_eq(counts.node[1].parameters, 3 * 3 * 7 * 7);
    ck_assert_int_eq(counts.node[1].flops, 2LL * 3 * 7 * 7 * 3 * 112 * 112);
    ck_assert_int_eq(counts.node[2].parameters, 2 * 3); /* bn1 */
    ck_assert_int_eq(counts.node[2].statistics, 2 * 3);
    ck_assert_int_eq(counts.node[2].flops, 2LL * 3 * 112 * 112);
    int fc = cs_model_output_node(model);
    ck_assert_int_eq(counts.node[fc].parameters, 24 * 3 + 3);
    ck_assert_int_eq(counts.node[fc].flops, 2 * 24 * 3 + 3);
    int64_t numbers = 0;
    for (int i = 0; i < cs_model_tensor_count(model); i++)
        numbers += cs_model_tensor(model, i)->count;
    ck_assert_int_eq(counts.parameters + counts.statistics, numbers);
    model_counts_free(&counts);
    cs_model_free(model);
}
END_TEST

Suite *suite_cli_parts(void);
Suite *suite_cli_parts(void) {
    Suite *suite = suite_create("cli_parts");
    TCase *tests = tcase_create("cli_parts");
    tcase_add_test(tests, json_escapes_and_nests);
    tcase_add_test(tests, reals_read_back_to_the_same_bits);
    tcase_add_test(tests, top_classes_are_sorted);
    tcase_add_test(tests, lists_and_sizes);
    tcase_add_test(tests, nearest_names);
    tcase_add_test(tests, names_of_image_folders);
    tcase_add_test(tests, counts_of_the_example);
    suite_add_tcase(suite, tests);
    return suite;
}
