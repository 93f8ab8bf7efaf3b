/* test_status.c - codes, exit codes, and what an error may and may not contain. */
#include "test_support.h"

#include <string.h>

START_TEST(exit_codes_are_the_documented_ones) {
    static const int expected[] = {0, 2, 3, 3, 3, 4, 5, 6, 6, 6, 2, 130};
    for (int status = 0; status < 12; status++)
        ck_assert_int_eq(cs_status_exit_code((cs_status)status), expected[status]);
}
END_TEST

START_TEST(names_are_words_and_differ) {
    for (int a = 0; a < 12; a++)
        for (int b = 0; b < a; b++)
            ck_assert_str_ne(cs_status_name((cs_status)a), cs_status_name((cs_status)b));
    ck_assert_str_eq(cs_status_name(CS_ERROR_MISMATCH), "mismatch");
    ck_assert_str_eq(cs_status_name((cs_status)99), "unknown");
}
END_TEST

START_TEST(error_is_filled_whole) {
    cs_error err;
    memset(&err, 0x55, sizeof err);
    ck_assert_int_eq(cs_error_set(&err, CS_ERROR_IO, "a.png", 12, "%s: %d", "a.png", 7),
                     CS_ERROR_IO);
    ck_assert_int_eq(err.code, CS_ERROR_IO);
    ck_assert_int_eq(err.offset, 12);
    ck_assert_str_eq(err.subject, "a.png");
    ck_assert_str_eq(err.text, "a.png: 7");
    cs_error_set(&err, CS_ERROR_IO, NULL, -1, "x");
    ck_assert_str_eq(err.subject, "");
    ck_assert_int_eq(cs_error_set(NULL, CS_ERROR_LIMIT, NULL, -1, "x"), CS_ERROR_LIMIT);
}
END_TEST

START_TEST(control_characters_are_visible) {
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
        {"\x1b[31mred", "\\x1b[31mred"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"},                         /* C1's CSI */
        {"\xe2\x80\xaegnp", "\\xe2\\x80\\xaegnp"}, /* right-to-left override */
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc3\xa9\xe3\x81\x82", "\xc3\xa9\xe3\x81\x82"}, /* é and あ stay */
        {"\xe3\x81", "\\xe3\\x81"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cs_error err;
        cs_error_set(&err, CS_ERROR_IO, cases[i].in, -1, "%s", cases[i].in);
        ck_assert_str_eq(err.text, cases[i].out);
        ck_assert_str_eq(err.subject, cases[i].out);
    }
}
END_TEST

START_TEST(long_texts_are_cut_between_characters) {
    char text[3001];
    cs_error err;
    for (size_t i = 0; i < 1000; i++)
        memcpy(text + 3 * i, "\xe3\x81\x82", 3);
    text[3000] = '\0';
    for (size_t shift = 0; shift < 3; shift++) {
        cs_error_set(&err, CS_ERROR_IO, text, -1, "%.*s%s", (int)shift, "xx", text);
        size_t length = strlen(err.text);
        ck_assert_uint_lt(length, sizeof err.text);
        ck_assert_uint_gt(length, sizeof err.text - 12);
        ck_assert_str_eq(err.subject + strlen(err.subject) - 3, "...");
        /* No half character: without the ones that vsnprintf may have cut, all are three bytes. */
        ck_assert_uint_eq((strlen(err.subject) - 3) % 3, 0);
    }
    memset(text, 27, 3000);
    cs_error_set(&err, CS_ERROR_IO, text, -1, "%s", text);
    ck_assert_str_eq(err.text + strlen(err.text) - 7, "\\x1b...");
}
END_TEST

START_TEST(a_text_may_be_wrapped_in_place) {
    cs_error err;
    cs_error_set(&err, CS_ERROR_FORMAT, "inner", 3, "inner text");
    cs_error_set(&err, err.code, err.subject, err.offset, "model: %s", err.text);
    ck_assert_str_eq(err.text, "model: inner text");
    ck_assert_str_eq(err.subject, "inner");
    ck_assert_int_eq(err.offset, 3);
}
END_TEST

Suite *suite_status(void);
Suite *suite_status(void) {
    Suite *suite = suite_create("status");
    TCase *cases = tcase_create("status and error");
    tcase_add_test(cases, exit_codes_are_the_documented_ones);
    tcase_add_test(cases, names_are_words_and_differ);
    tcase_add_test(cases, error_is_filled_whole);
    tcase_add_test(cases, control_characters_are_visible);
    tcase_add_test(cases, long_texts_are_cut_between_characters);
    tcase_add_test(cases, a_text_may_be_wrapped_in_place);
    suite_add_tcase(suite, cases);
    return suite;
}
