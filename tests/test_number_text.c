/* test_number_text.c - numbers as text: shortest, exact, the same in every locale. */
#include "number_text.h"

#include <float.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnnscope_support.h"
#include "test_support.h"

static void double_is(double value, const char *wanted) {
    char text[CS_NUMBER_TEXT_SIZE];
    cs_double_text(value, text);
    ck_assert_str_eq(text, wanted);
}

static void hex_is(float value, const char *wanted) {
    char text[CS_NUMBER_TEXT_SIZE];
    cs_float_hex(value, text);
    ck_assert_str_eq(text, wanted);
}

START_TEST(test_known) {
    char text[CS_NUMBER_TEXT_SIZE];
    double_is(0.485, "0.485");
    double_is(1e-5, "1e-05");
    double_is(0.1 + 0.2, "0.30000000000000004");
    double_is(-0.0, "-0");
    double_is(DBL_MAX, "1.7976931348623157e+308");
    cs_float_text(0.1f, text);
    ck_assert_str_eq(text, "0.1");
    cs_float_text(-1.5f, text);
    ck_assert_str_eq(text, "-1.5");
    hex_is(0.25f, "0x1p-2");
    hex_is(-1.5f, "-0x1.8p+0");
    hex_is(-6.3640537f, "-0x1.974ca8p+2");
    hex_is(0.0f, "0x0p+0");
    hex_is(-0.0f, "-0x0p+0");
    hex_is(0x1p-149f, "0x1p-149");
    hex_is(FLT_MAX, "0x1.fffffep+127");
}
END_TEST

/* Random bit patterns come back; the hexadecimal form is glibc's. */
START_TEST(test_round_trip) {
    cs_random random = {5};
    char text[CS_NUMBER_TEXT_SIZE], printed[CS_NUMBER_TEXT_SIZE];
    for (int i = 0; i < 20000; ++i) {
        uint64_t bits = cs_random_next(&random);
        uint32_t word = (uint32_t)bits;
        float value;
        double wide;
        memcpy(&value, &word, sizeof value);
        memcpy(&wide, &bits, sizeof wide);
        if (!(value - value == 0) || !(wide - wide == 0))
            continue;
        cs_float_text(value, text);
        ck_assert(strtof(text, NULL) == value);
        cs_double_text(wide, text);
        ck_assert(strtod(text, NULL) == wide);
        cs_float_hex(value, text);
        snprintf(printed, sizeof printed, "%a", (double)value);
        ck_assert_str_eq(text, printed);
    }
}
END_TEST

START_TEST(test_comma_locale) {
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (setlocale(LC_NUMERIC, names[i]))
            double_is(0.485, "0.485");
    setlocale(LC_NUMERIC, "C");
}
END_TEST

Suite *suite_number_text(void);
Suite *suite_number_text(void) {
    Suite *suite = suite_create("number_text");
    TCase *all = tcase_create("number_text");
    tcase_add_test(all, test_known);
    tcase_add_test(all, test_round_trip);
    tcase_add_test(all, test_comma_locale);
    suite_add_tcase(suite, all);
    return suite;
}
