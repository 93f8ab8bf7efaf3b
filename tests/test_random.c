/* test_random.c - the generator against its published vectors, and what is drawn from it. */
#include "test_support.h"

#include <string.h>

/* The first outputs of SplitMix64 from seed 1234567, as published with Vigna's splitmix64.c and in
 * the tests of several libraries. */
START_TEST(splitmix64_has_its_published_outputs) {
    static const uint64_t expected[] = {
        UINT64_C(6457827717110365317), UINT64_C(3203168211198807973), UINT64_C(9817491932198370423),
        UINT64_C(4593380528125082431), UINT64_C(16408922859458223821)};
    cs_random random = {1234567};
    for (size_t i = 0; i < 5; i++)
        ck_assert_uint_eq(cs_random_next(&random), expected[i]);
}
END_TEST

START_TEST(uniform_is_the_upper_bits) {
    cs_random random = {42}, same = {42};
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        double u = cs_random_uniform(&random);
        ck_assert(u >= 0 && u < 1);
        ck_assert_double_eq(u * 0x1p53, (double)(cs_random_next(&same) >> 11));
        sum += u;
    }
    ck_assert_double_eq_tol(sum / 100000, 0.5, 0.005);
}
END_TEST

START_TEST(input_is_filled_in_nchw_order_and_exact) {
    cs_error err;
    cs_tensor t, wide;
    REQUIRE_OK(cs_tensor_allocate(&t, CS_F32, 2, 3, 4, 5, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&wide, CS_F64, 2, 3, 4, 5, &err), err);
    cs_random random = {1}, again = {1}, raw = {1};
    cs_random_fill_input(&random, &t);
    cs_random_fill_input(&again, &wide);
    for (int64_t n = 0; n < 2; n++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t h = 0; h < 4; h++)
                for (int64_t w = 0; w < 5; w++) {
                    int64_t steps = (int64_t)(cs_random_next(&raw) >> 40) - (INT64_C(1) << 23);
                    double expected = (double)steps / 4194304.0;
                    ck_assert_double_eq(cs_tensor_at(&t, n, c, h, w), expected);
                    ck_assert_double_eq(cs_tensor_at(&wide, n, c, h, w), expected);
                    ck_assert(expected >= -2 && expected < 2);
                }
    cs_tensor_release(&t);
    cs_tensor_release(&wide);
}
END_TEST

Suite *suite_random(void);
Suite *suite_random(void) {
    Suite *suite = suite_create("random");
    TCase *cases = tcase_create("SplitMix64");
    tcase_add_test(cases, splitmix64_has_its_published_outputs);
    tcase_add_test(cases, uniform_is_the_upper_bits);
    tcase_add_test(cases, input_is_filled_in_nchw_order_and_exact);
    suite_add_tcase(suite, cases);
    return suite;
}
