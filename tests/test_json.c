/* test_json.c - what the strict JSON checker takes and refuses, and where. */
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text with a NUL inside needs its length; others are measured. */
#define TEXT(literal) literal, sizeof(literal) - 1

static cs_status check(const char *text, size_t size, cs_error *err) {
    /* An exact copy without a NUL behind it, so that a sanitizer sees a read too far. */
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, text, size);
    cs_status status = cs_json_check(copy, size, 16, "a.json", err);
    free(copy);
    return status;
}

START_TEST(valid_texts_pass) {
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {TEXT("{}")},
        {TEXT("[]")},
        {TEXT(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n")},
        {TEXT("null")},
        {TEXT("true")},
        {TEXT("false")},
        {TEXT("\"\"")},
        {TEXT("0")},
        {TEXT("-0")},
        {TEXT("-0.0e-0")},
        {TEXT("9007199254740991")},
        {TEXT("-9007199254740991")},
        {TEXT("1.7976931348623157e308")},
        {TEXT("-1.7976931348623157E+308")},
        {TEXT("1.7976931348623158079e308")}, /* below halfway to 2^1024: rounds to the largest */
        {TEXT("0.00017976931348623157e312")},
        {TEXT("17976931348623157000000.0e286")},
        {TEXT("0e999999999999999999999999")},
        {TEXT("0.000e99999")},
        {TEXT("1e-999999999999999999999999")},
        {TEXT("123456789012345678901234567890.5")},
        {TEXT("{\"a\":{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]}},\"b\":1}")},
        {TEXT("{\"\":0,\" \":1}")},
        {TEXT("{\"a\":1,\"A\":2,\"\\u00e4\":3,\"a\\u0308\":4}")},
        {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\\u001f\"")},
        {TEXT("\"\xc3\xa9\xe3\x81\x82\xf0\x9f\x98\x80\x7f\"")},
        {TEXT("\"\xef\xbf\xbf\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\"")},
        {TEXT("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]")}, /* 16 deep */
        {TEXT("[1,\"a\",null,true,false,{},[],-1.5e+3]")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cs_error err;
        cs_status status = check(cases[i].text, cases[i].size, &err);
        ck_assert_msg(status == CS_OK, "%s: %s", cases[i].text, err.text);
    }
}
END_TEST

static const struct refused {
    const char *text;
    size_t size;
    int64_t offset; /* where the error is said to be */
} refused[] = {
    {TEXT(""), 0},
    {TEXT("  "), 2},
    {TEXT("{"), 1},
    {TEXT("["), 1},
    {TEXT("[1"), 0},
    {TEXT("[1,"), 3},
    {TEXT("[1,]"), 3},
    {TEXT("[,1]"), 1},
    {TEXT("[1 2]"), 3},
    {TEXT("[1}"), 2},
    {TEXT("{\"a\":1]"), 6},
    {TEXT("{\"a\":1,}"), 7},
    {TEXT("{,}"), 1},
    {TEXT("{a:1}"), 1},
    {TEXT("{'a':1}"), 1},
    {TEXT("{1:1}"), 1},
    {TEXT("{\"a\" 1}"), 5},
    {TEXT("{\"a\":}"), 5},
    {TEXT("{\"a\"}"), 4},
    {TEXT("{\"a\":1 \"b\":2}"), 7},
    {TEXT("]"), 0},
    {TEXT("{}{}"), 2},
    {TEXT("{} x"), 3},
    {TEXT("1 2"), 2},
    {TEXT("{}\0"), 2},
    {TEXT("\xef\xbb\xbf{}"), 0}, /* byte order mark */
    {TEXT("\f1"), 0},
    {TEXT("\xc2\xa0"
          "1"),
     0}, /* no-break space */
    {TEXT("tru"), 0},
    {TEXT("True"), 0},
    {TEXT("nullx"), 4},
    {TEXT("NaN"), 0},
    {TEXT("Infinity"), 0},
    {TEXT("-Infinity"), 0},
    {TEXT("-"), 0},
    {TEXT("+1"), 0},
    {TEXT("01"), 0},
    {TEXT("-01"), 0},
    {TEXT("00"), 0},
    {TEXT(".5"), 0},
    {TEXT("1."), 0},
    {TEXT("1.e3"), 0},
    {TEXT("1e"), 0},
    {TEXT("1e+"), 0},
    {TEXT("1.5e-"), 0},
    {TEXT("0x10"), 1},
    {TEXT("1_000"), 1},
    {TEXT("1,5"), 1},
    {TEXT("9007199254740992"), 0},
    {TEXT("-9007199254740992"), 0},
    {TEXT("99999999999999999999999999999999999999"), 0},
    {TEXT("1e309"), 0},
    {TEXT("1.7976931348623159e308"), 0},
    {TEXT("-0.00017976931348623159e312"), 0},
    {TEXT("1e999999999999999999999999"), 0},
    {TEXT("\"a"), 0},
    {TEXT("\"a\\\""), 0},
    {TEXT("\"a\\"), 2},
    {TEXT("'a'"), 0},
    {TEXT("\"\\a\""), 1},
    {TEXT("\"\\x41\""), 1},
    {TEXT("\"\\\0\""), 1},
    {TEXT("\"\\u12\""), 1},
    {TEXT("\"\\u12g4\""), 1},
    {TEXT("\"\\U0041\""), 1},
    {TEXT("\"\\u0000\""), 1},
    {TEXT("\"a\0b\""), 2},
    {TEXT("\"a\nb\""), 2},
    {TEXT("\"a\tb\""), 2},
    {TEXT("\"\x1f\""), 1},
    {TEXT("\"\\ud800\""), 1},
    {TEXT("\"\\udc00\""), 1},
    {TEXT("\"\\ud800\\u0041\""), 1},
    {TEXT("\"\\ud800\\ud800\""), 1},
    {TEXT("\"\\ud83d\xf0\x9f\x98\x80\""), 1},
    {TEXT("\"\x80\""), 1},
    {TEXT("\"\xc3\""), 1},
    {TEXT("\"\xc0\xaf\""), 1},         /* overlong '/' */
    {TEXT("\"\xe0\x80\xaf\""), 1},     /* overlong '/' */
    {TEXT("\"\xed\xa0\x80\""), 1},     /* surrogate */
    {TEXT("\"\xf4\x90\x80\x80\""), 1}, /* above U+10FFFF */
    {TEXT("\"\xf8\x88\x80\x80\x80\""), 1},
    {TEXT("\"ab\xff\""), 3},
    {TEXT("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"), 16},
    {TEXT("{\"a\":1,\"a\":2}"), 7},
    {TEXT("{\"a\":1,\"b\":3,\"\\u0061\":2}"), 13},
    {TEXT("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":1}"), 10},
    {TEXT("{\"/\":1,\"\\/\":2}"), 7},
    {TEXT("{\"x\":{\"k\":1,\"l\":2,\"k\":3},\"x\":2}"), 18},
    {TEXT("[{\"\":1,\"\":1}]"), 7},
    {TEXT("// comment\n1"), 0},
    {TEXT("[1 /* two */]"), 3},
};

START_TEST(invalid_texts_are_refused_at_their_byte) {
    const struct refused *c = &refused[_i];
    cs_error err;
    cs_status status = check(c->text, c->size, &err);
    ck_assert_msg(status == CS_ERROR_FORMAT, "'%s' gave %s", c->text, cs_status_name(status));
    ck_assert_msg(err.offset == c->offset, "'%s': byte %lld, expected %lld (%s)", c->text,
                  (long long)err.offset, (long long)c->offset, err.text);
    ck_assert_str_eq(err.subject, "a.json");
    ck_assert_msg(strncmp(err.text, "a.json: byte ", 13) == 0, "%s", err.text);
}
END_TEST

/* Every prefix of a text that uses all of the syntax is refused; none is read beyond its end. */
START_TEST(every_truncation_is_refused) {
    static const char text[] =
        "{\"a\":[1,-2.5e+3,true,false,null,\"\\u00e9\\ud83d\\ude00\xc3\xa9\"],"
        "\"b\":{\"c\":{},\"d\":[]}}";
    cs_error err;
    ck_assert_int_eq(check(text, sizeof text - 1, &err), CS_OK);
    for (size_t size = 0; size < sizeof text - 1; size++)
        REQUIRE_STATUS(check(text, size, &err), CS_ERROR_FORMAT, err);
}
END_TEST

/* An object of many keys with one repeated at the end; equal hashes are not needed to see whether
 * the search is quadratic: 300000 keys would take minutes. */
START_TEST(large_objects_are_checked_in_time) {
    const int keys = 300000;
    char *text = NULL;
    size_t size = 0;
    cs_error err;
    FILE *f = open_memstream(&text, &size);
    fprintf(f, "{");
    for (int i = 0; i < keys; i++)
        fprintf(f, "\"key %d\":[%d],", i, i);
    fprintf(f, "\"last\":0");
    fflush(f);
    size_t before = size;
    fprintf(f, ",\"key 7\":1}");
    fclose(f);
    REQUIRE_STATUS(cs_json_check(text, size, 16, "a.json", &err), CS_ERROR_FORMAT, err);
    ck_assert_int_eq(err.offset, (int64_t)before + 1);
    text[before] = '}';
    ck_assert_msg(cs_json_check(text, before + 1, 16, "a.json", &err) == CS_OK, "%s", err.text);
    free(text);
}
END_TEST

START_TEST(depth_is_exact) {
    cs_error err;
    ck_assert_int_eq(cs_json_check("1", 1, 0, "a.json", &err), CS_OK);
    REQUIRE_STATUS(cs_json_check("[]", 2, 0, "a.json", &err), CS_ERROR_FORMAT, err);
    ck_assert_int_eq(cs_json_check("[{},[]]", 7, 2, "a.json", &err), CS_OK);
    REQUIRE_STATUS(cs_json_check("[{},[[]]]", 9, 2, "a.json", &err), CS_ERROR_FORMAT, err);
    ck_assert_int_eq(err.offset, 5);
    /* Deep nesting costs no stack. */
    char *deep = malloc(2000000);
    memset(deep, '[', 1000000);
    memset(deep + 1000000, ']', 1000000);
    ck_assert_int_eq(cs_json_check(deep, 2000000, 1000000, "a.json", &err), CS_OK);
    REQUIRE_STATUS(cs_json_check(deep, 2000000, 999999, "a.json", &err), CS_ERROR_FORMAT, err);
    free(deep);
}
END_TEST

/* The checker decides without strtod (whose decimal point depends on the locale); here, in the C
 * locale, strtod is the reference: numbers of hundreds of digits around 2^1024 - 2^970, from where
 * on they round to infinity. */
START_TEST(overflow_is_decided_as_strtod_does) {
    static const char limit[] =
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649"
        "017977587207096330286416692887910946555547851940402630657488671505820681908902000708383"
        "676273854845817711531764475730270069855571366959622842914819860834936475292719074168444"
        "365510704342711559699508093042880177904174497792";
    const int digits = (int)sizeof limit - 1;
    cs_random random = {11};
    int refused_count = 0;
    for (int i = 0; i < 2000; i++) {
        char number[400], text[512];
        cs_error err;
        memcpy(number, limit, sizeof limit);
        if (i > 0) /* one digit changed; the first stays, so that the magnitude is the same */
            number[1 + cs_random_next(&random) % (uint64_t)(digits - 1)] =
                (char)('0' + cs_random_next(&random) % 10);
        int point = 1 + (int)(cs_random_next(&random) % (uint64_t)(digits - 1));
        snprintf(text, sizeof text, "-%.*s.%se%d", point, number, number + point, digits - point);
        bool infinite = strtod(text, NULL) == -HUGE_VAL;
        cs_status status = check(text, strlen(text), &err);
        ck_assert_msg((status != CS_OK) == infinite, "%s", text);
        refused_count += infinite;
    }
    ck_assert_int_gt(refused_count, 500);
    ck_assert_int_lt(refused_count, 1500);
}
END_TEST

Suite *suite_json(void);
Suite *suite_json(void) {
    Suite *suite = suite_create("json");
    TCase *cases = tcase_create("strict JSON");
    tcase_add_test(cases, valid_texts_pass);
    tcase_add_loop_test(cases, invalid_texts_are_refused_at_their_byte, 0,
                        (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(cases, every_truncation_is_refused);
    tcase_add_test(cases, large_objects_are_checked_in_time);
    tcase_add_test(cases, depth_is_exact);
    tcase_add_test(cases, overflow_is_decided_as_strtod_does);
    suite_add_tcase(suite, cases);
    return suite;
}
