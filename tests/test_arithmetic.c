/* test_arithmetic.c - cs_exp, cs_log and cs_softmax against the long double libm, in ulp. */
#include "test_support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The long double functions have 11 bits more than double; elsewhere there is nothing to compare
 * with. */
#define HAVE_REFERENCE (LDBL_MANT_DIG >= 64)

static double double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |got - exact| in units of the last place of the exact value's binade (subnormals' below it). */
static long double error_in_ulp(double got, long double exact) {
    int exponent = 0;
    (void)frexpl(exact, &exponent);
    if (exponent < -1021)
        exponent = -1021;
    return fabsl((long double)got - exact) / ldexpl(1.0L, exponent - 53);
}

/* The largest error of cs_exp over `count` arguments uniform in [low, high). */
static long double worst_exp(double low, double high, int count, double *where) {
    cs_random random = {17};
    long double worst = 0;
    for (int i = 0; i < count; i++) {
        double x = low + (high - low) * cs_random_uniform(&random);
        long double error = error_in_ulp(cs_exp(x), expl((long double)x));
        if (error > worst) {
            worst = error;
            *where = x;
        }
    }
    return worst;
}

static int points(void) { return test_long() ? 20000000 : 400000; }

START_TEST(exp_is_within_one_ulp) {
    static const double ranges[][2] = {{-1, 1},        {-20, 20},     {-708, 709.78},
                                       {-745.2, -708}, {-1e-8, 1e-8}, {-0.35, -0.34},
                                       {0.34, 0.35},   {700, 709.78}};
    for (size_t i = 0; HAVE_REFERENCE && i < sizeof ranges / sizeof ranges[0]; i++) {
        double where = 0;
        long double worst = worst_exp(ranges[i][0], ranges[i][1], points(), &where);
        ck_assert_msg(worst < 1.0L, "cs_exp(%a): %.3Lf ulp", where, worst);
    }
}
END_TEST

START_TEST(log_is_within_one_ulp) {
    cs_random random = {23};
    for (int i = 0; HAVE_REFERENCE && i < points(); i++) {
        uint64_t bits = cs_random_next(&random);
        /* Every exponent, subnormals too; then the hard binades around 1. */
        double any = double_of((bits >> 1) % UINT64_C(0x7FF0000000000000));
        double near = 0.5 + 1.5 * cs_random_uniform(&random);
        long double wrong = any > 0 ? error_in_ulp(cs_log(any), logl((long double)any)) : 0;
        REQUIRE_EACH(wrong < 1.0L, "cs_log(%a): %.3Lf ulp", any, wrong);
        wrong = error_in_ulp(cs_log(near), logl((long double)near));
        REQUIRE_EACH(near == 1.0 || wrong < 1.0L, "cs_log(%a): %.3Lf ulp", near, wrong);
        double close = 1.0 + (cs_random_uniform(&random) - 0.5) * 0x1p-20;
        wrong = error_in_ulp(cs_log(close), logl((long double)close));
        REQUIRE_EACH(close == 1.0 || wrong < 1.0L, "cs_log(%a): %.3Lf ulp", close, wrong);
    }
}
END_TEST

START_TEST(special_values) {
    ck_assert_double_eq(cs_exp(0.0), 1.0);
    ck_assert_double_eq(cs_exp(-0.0), 1.0);
    ck_assert_double_eq(cs_exp(HUGE_VAL), HUGE_VAL);
    ck_assert_double_eq(cs_exp(-HUGE_VAL), 0.0);
    ck_assert_double_eq(cs_exp(-746.0), 0.0);
    ck_assert_double_eq(cs_exp(-1e300), 0.0);
    ck_assert_double_eq(cs_exp(0x1.62e42fefa39efp+9), 0x1.fffffffffff2ap+1023);
    ck_assert_double_eq(cs_exp(0x1.62e42fefa39f0p+9), HUGE_VAL);
    ck_assert_double_eq(cs_exp(-745.13), 0x1p-1074);
    ck_assert(isnan(cs_exp(nan(""))));
    ck_assert_double_eq(cs_log(1.0), 0.0);
    ck_assert(!signbit(cs_log(1.0)));
    ck_assert_double_eq(cs_log(0.0), -HUGE_VAL);
    ck_assert_double_eq(cs_log(-0.0), -HUGE_VAL);
    ck_assert_double_eq(cs_log(HUGE_VAL), HUGE_VAL);
    ck_assert_double_eq(cs_log(2.0), 0x1.62e42fefa39efp-1);
    ck_assert(isnan(cs_log(-1.0)));
    ck_assert(isnan(cs_log(-HUGE_VAL)));
    ck_assert(isnan(cs_log(nan(""))));
}
END_TEST

/* The bits themselves are the promise: this hash is of 200000 results of each function, and must be
 * the same for every compiler, option and machine. */
START_TEST(bits_are_the_published_ones) {
    static double results[400000];
    cs_random random = {1};
    for (int i = 0; i < 200000; i++) {
        double u = cs_random_uniform(&random);
        results[2 * i] = cs_exp(1455.0 * u - 745.5);
        results[2 * i + 1] =
            cs_log(double_of((cs_random_next(&random) >> 1) % UINT64_C(0x7FF0000000000000)));
    }
    char hash[CS_SHA256_HEX_SIZE];
    cs_sha256_hex(results, sizeof results, hash);
    ck_assert_str_eq(hash, "e42b6003db76498b9a4fbf01c771cd0b5c0fa6885a41d34ae3613b1282d6edf2");
}
END_TEST

START_TEST(softmax_sums_to_one_and_shifts) {
    double out[5], shifted[5], sum = 0;
    float values[5] = {1.5f, -2.0f, 0.25f, 88.0f, 87.5f}, moved[5];
    for (int i = 0; i < 5; i++)
        moved[i] = values[i] + 1024.0f;
    cs_tensor t = {CS_F32, 1, 5, 1, 1, values}, u = {CS_F32, 1, 5, 1, 1, moved};
    cs_softmax(&t, 0, out);
    cs_softmax(&u, 0, shifted);
    for (int i = 0; i < 5; i++) {
        sum += out[i];
        ck_assert_double_eq(out[i], shifted[i]);
    }
    ck_assert_double_eq_tol(sum, 1.0, 1e-15);
    ck_assert_double_eq_tol(out[3] / out[4], exp(0.5), 1e-15);
}
END_TEST

START_TEST(softmax_takes_the_image_asked_for) {
    double values[6] = {0, 0, 0, 1000, -1000, 0}, out[3];
    cs_tensor t = {CS_F64, 2, 3, 1, 1, values};
    cs_softmax(&t, 1, out);
    ck_assert_double_eq(out[0], 1.0);
    ck_assert_double_eq(out[1], 0.0);
    ck_assert_double_eq(out[2], 0.0);
    cs_softmax(&t, 0, out);
    ck_assert_double_eq(out[1], 1.0 / 3.0);
    values[4] = nan("");
    cs_softmax(&t, 1, out);
    ck_assert(isnan(out[0]) && isnan(out[2]));
}
END_TEST

Suite *suite_arithmetic(void);
Suite *suite_arithmetic(void) {
    Suite *suite = suite_create("arithmetic");
    TCase *cases = tcase_create("exp, log, softmax");
    tcase_add_test(cases, exp_is_within_one_ulp);
    tcase_add_test(cases, log_is_within_one_ulp);
    tcase_add_test(cases, special_values);
    tcase_add_test(cases, bits_are_the_published_ones);
    tcase_add_test(cases, softmax_sums_to_one_and_shifts);
    tcase_add_test(cases, softmax_takes_the_image_asked_for);
    suite_add_tcase(suite, cases);
    return suite;
}
