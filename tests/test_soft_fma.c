/* test_soft_fma.c - fma without the instruction against libm's, which is exact. Random numbers do
 * not reach the hard cases, sums within a hair of the middle between two neighbours: those are
 * built.
 */
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* For float the header gives the double version too, which sums in double are made with. */
#define CS_SOFT_FMA   1
#define REAL          float
#define REAL_IS_FLOAT 1
#include "soft_fma.h"

static cs_random source;

static int64_t choose(int64_t below) {
    return (int64_t)(cs_random_next(&source) % (uint64_t)below);
}

/* The sign of a zero may differ: no step stores a -0. */
static void check_f32(float x, float y, float z) {
    float got = fused(x, y, z), wanted = fmaf(x, y, z);
    REQUIRE_EACH(got == wanted || test_ulps_f32(got, wanted) == 0, "fma(%a, %a, %a) is %a, not %a",
                 (double)x, (double)y, (double)z, (double)got, (double)wanted);
}

static void check_f64(double x, double y, double z) {
    double got = fused_double(x, y, z), wanted = fma(x, y, z);
    REQUIRE_EACH(got == wanted || test_ulps_f64(got, wanted) == 0, "fma(%a, %a, %a) is %a, not %a",
                 x, y, z, got, wanted);
}

static int tries(void) { return test_long() ? 30000000 : 1000000; }

START_TEST(any_bits_at_all) {
    source = (cs_random){1};
    for (int i = 0; i < tries(); i++) {
        uint32_t narrow[3];
        uint64_t wide[3];
        float f[3];
        double d[3];
        for (int k = 0; k < 3; k++) {
            wide[k] = cs_random_next(&source);
            narrow[k] = (uint32_t)(cs_random_next(&source) >> 32);
        }
        memcpy(f, narrow, sizeof f);
        memcpy(d, wide, sizeof d);
        check_f32(f[0], f[1], f[2]);
        check_f64(d[0], d[1], d[2]);
    }
}
END_TEST

/* A factor near 1: (1 + i*step) * (1 - j*step) is 1 minus little, or exactly 1. */
static double near_one(int digits) { return 1.0 + ldexp((double)(choose(17) - 8), -digits); }

/* z has all its digits; x*y is half of its last digit, give or take a hair: whether the sum goes up
 * or down depends on digits far below those that a double keeps. */
START_TEST(sums_at_the_middle_between_neighbours) {
    source = (cs_random){2};
    for (int i = 0; i < tries(); i++) {
        int shift = (int)choose(60) - 30, split = (int)choose(40) - 20;
        for (int digits = 24; digits <= 53; digits += 29) {
            double sign = choose(2) ? 1.0 : -1.0, x, y, z;
            int hair = digits - (int)choose(digits / 2);
            z = 1.0 + ldexp((double)choose(INT64_C(1) << 20), -(digits - 1));
            x = ldexp(near_one(hair - 1), -digits + split);
            y = ldexp(near_one(hair - 1), -split);
            z = ldexp(z, shift);
            x = sign * ldexp(x, shift);
            if (digits == 24)
                check_f32((float)x, (float)y, (float)z);
            else
                check_f64(x, y, z);
        }
    }
}
END_TEST

/* Results among the subnormals, where the middle lies elsewhere, and products that cancel z. */
START_TEST(subnormal_results_and_cancellation) {
    source = (cs_random){3};
    for (int i = 0; i < tries(); i++) {
        int e = (int)choose(60);
        double u = near_one(23), v = near_one(22) * (choose(2) ? 1.0 : -1.0);
        check_f32((float)ldexp(u, -70 - e), (float)ldexp(v, -60),
                  (float)ldexp((double)(choose(4096) - 2048), -149));
        check_f32((float)u, (float)v, (float)(-u * v));
        u = near_one(52);
        v = near_one(51) * (choose(2) ? 1.0 : -1.0);
        check_f64(ldexp(u, -520 - e), ldexp(v, -500), ldexp((double)(choose(4096) - 2048), -1074));
        check_f64(u, v, -u * v);
        check_f64(ldexp(u, 390 + e / 4), ldexp(v, e), ldexp(u, 400 - e / 2));
    }
}
END_TEST

START_TEST(special_values) {
    const double values[] = {0.0,
                             -0.0,
                             1.0,
                             -1.0,
                             HUGE_VAL,
                             -HUGE_VAL,
                             (double)NAN,
                             0x1p-149,
                             -0x1p-149,
                             0x1p-126,
                             0x1.fffffep127,
                             -0x1.fffffep127,
                             0x1p-1074,
                             -0x1p-1074,
                             0x1p-1022,
                             0x1.fffffffffffffp1023,
                             0x1p-400,
                             0x1p400,
                             0x1.000002p0,
                             0x1.fffffffffffffp399};
    const size_t count = sizeof values / sizeof values[0];
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            for (size_t k = 0; k < count; k++) {
                check_f64(values[i], values[j], values[k]);
                check_f32((float)values[i], (float)values[j], (float)values[k]);
            }
}
END_TEST

Suite *suite_soft_fma(void);
Suite *suite_soft_fma(void) {
    Suite *suite = suite_create("soft_fma");
    TCase *cases = tcase_create("round-to-odd");
    tcase_add_test(cases, any_bits_at_all);
    tcase_add_test(cases, sums_at_the_middle_between_neighbours);
    tcase_add_test(cases, subnormal_results_and_cancellation);
    tcase_add_test(cases, special_values);
    suite_add_tcase(suite, cases);
    return suite;
}
