/* test_csv.c - the reader and writer of comma-separated tables. */
#include "cli_runner.h"
#include "csv_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cs_status read_text(const char *text, size_t size, csv_table *t, cs_error *err) {
    const char *path = test_path(test_temp_dir(), "t.csv");
    test_file_put(path, text, size);
    return csv_read(path, t, err);
}

START_TEST(test_csv) {
    csv_table t = {0};
    cs_error err;
    char path[4096];
    const char good[] = "\xEF\xBB\xBF"
                        "File,b\r\n\"x\"\"1\",\"two\nlines\"\r\n\n,last";
    REQUIRE_OK(read_text(good, sizeof good - 1, &t, &err), err);
    ck_assert(t.rows == 3 && t.columns == 2);
    ck_assert_str_eq(csv_cell(&t, 0, 0), "File");
    ck_assert_str_eq(csv_cell(&t, 1, 0), "x\"1");
    ck_assert_str_eq(csv_cell(&t, 1, 1), "two\nlines");
    ck_assert_str_eq(csv_cell(&t, 2, 0), "");
    ck_assert_str_eq(csv_cell(&t, 2, 1), "last");
    ck_assert_int_eq(t.lines[2], 5);
    static const char *const names[] = {"path", "file", NULL};
    ck_assert_int_eq(csv_find(&t, names), 0);
    csv_free(&t);
    snprintf(path, sizeof path, "%s/w.csv", test_temp_dir());
    FILE *file = fopen(path, "w");
    csv_put_text(file, "a,\"b\"\n\xFF");
    fputc(',', file);
    csv_put_real(file, 0.1);
    fclose(file);
    char *text = cli_text(path);
    ck_assert_str_eq(text, "\"a,\"\"b\"\"\n\xEF\xBF\xBD\",0.1");
    free(text);
}
END_TEST

START_TEST(test_csv_refusals) {
    static const struct {
        const char *text;
        size_t size;
        const char *says;
    } cases[] = {
        {"", 0, "empty"},
        {"a,b\n1\n", 6, "line 2: 1 fields"},
        {"a,b\n1,2,3\n", 10, "line 2: 3 fields"},
        {"a\n\"open\n\n", 9, "line 2: a quoted field"},
        {"a\n\"x\"y\n", 7, "behind a closing quote"},
        {"a\nx\"y\n", 6, "a quote inside"},
        {"a\n\xFFz\n", 5, "line 2: bytes that are not UTF-8"},
        {"a\n\0z\n", 5, "line 2: a NUL byte"},
        {"a\rb\n", 4, "carriage return"},
        {"a,A\n", 4, "twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        csv_table t = {0};
        cs_error err;
        REQUIRE_STATUS(read_text(cases[i].text, cases[i].size, &t, &err), CS_ERROR_FORMAT, err);
        ck_assert_msg(strstr(err.text, cases[i].says), "'%s' is not in: %s", cases[i].says,
                      err.text);
    }
}
END_TEST

Suite *suite_csv(void);
Suite *suite_csv(void) {
    Suite *suite = suite_create("csv");
    TCase *tests = tcase_create("csv");
    tcase_add_test(tests, test_csv);
    tcase_add_test(tests, test_csv_refusals);
    suite_add_tcase(suite, tests);
    return suite;
}
