/* test_tensor.c - views, orders of elements, allocation. */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

START_TEST(memory_is_channels_last) {
    float data[24];
    for (int i = 0; i < 24; i++)
        data[i] = (float)i;
    cs_tensor t = {CS_F32, 1, 3, 2, 4, data};
    ck_assert_double_eq(cs_tensor_at(&t, 0, 1, 0, 0), 1);
    ck_assert_double_eq(cs_tensor_at(&t, 0, 0, 0, 1), 3);
    ck_assert_double_eq(cs_tensor_at(&t, 0, 0, 1, 0), 12);
    ck_assert_int_eq(cs_tensor_count(&t), 24);
    cs_tensor_set(&t, 0, 2, 1, 3, 0.1);
    ck_assert(data[23] == 0.1f);
}
END_TEST

/* Shapes around the tile of the transposition, in both types and directions. */
START_TEST(nchw_copies_go_there_and_back) {
    static const int64_t shapes[][4] = {{1, 1, 1, 1},    {2, 3, 4, 5},  {1, 17, 31, 1},
                                        {3, 1, 33, 3},   {1, 64, 8, 8}, {2, 5, 1, 100},
                                        {1, 2048, 1, 1}, {0, 3, 2, 2}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
            cs_error err;
            cs_tensor t, back;
            const int64_t *d = shapes[s];
            REQUIRE_OK(cs_tensor_allocate(&t, (cs_dtype)dtype, d[0], d[1], d[2], d[3], &err), err);
            REQUIRE_OK(cs_tensor_allocate(&back, (cs_dtype)dtype, d[0], d[1], d[2], d[3], &err),
                       err);
            cs_random random = {s};
            cs_random_fill_input(&random, &t);
            double *flat = calloc((size_t)cs_tensor_count(&t) + 1, sizeof *flat);
            cs_tensor_copy_nchw(&t, flat);
            int64_t i = 0;
            for (int64_t n = 0; n < d[0]; n++)
                for (int64_t c = 0; c < d[1]; c++)
                    for (int64_t h = 0; h < d[2]; h++)
                        for (int64_t w = 0; w < d[3]; w++, i++)
                            ck_assert_double_eq(dtype == CS_F64 ? flat[i]
                                                                : (double)((float *)flat)[i],
                                                cs_tensor_at(&t, n, c, h, w));
            cs_tensor_fill_nchw(&back, flat);
            test_tensors_equal(&back, &t, "copy_nchw, fill_nchw");
            free(flat);
            cs_tensor_release(&t);
            cs_tensor_release(&back);
        }
}
END_TEST

START_TEST(allocation_is_aligned_zeroed_and_checked) {
    cs_error err;
    cs_tensor t;
    REQUIRE_OK(cs_tensor_allocate(&t, CS_F64, 1, 3, 7, 5, &err), err);
    ck_assert_uint_eq((uintptr_t)t.data % 64, 0);
    for (int i = 0; i < 105; i++)
        ck_assert_double_eq(((double *)t.data)[i], 0);
    cs_tensor_release(&t);
    ck_assert_ptr_null(t.data);
    cs_tensor_release(&t);
    cs_tensor_release(NULL);
    const int64_t big = INT64_C(1) << 31;
    REQUIRE_STATUS(cs_tensor_allocate(&t, CS_F32, big, big, big, 1, &err), CS_ERROR_LIMIT, err);
    REQUIRE_STATUS(cs_tensor_allocate(&t, CS_F32, 0, big, big, big, &err), CS_ERROR_LIMIT, err);
    REQUIRE_STATUS(cs_tensor_allocate(&t, CS_F32, 1, -1, 1, 1, &err), CS_ERROR_LIMIT, err);
    ck_assert_ptr_null(t.data);
}
END_TEST

Suite *suite_tensor(void);
Suite *suite_tensor(void) {
    Suite *suite = suite_create("tensor");
    TCase *cases = tcase_create("tensor");
    tcase_add_test(cases, memory_is_channels_last);
    tcase_add_test(cases, nchw_copies_go_there_and_back);
    tcase_add_test(cases, allocation_is_aligned_zeroed_and_checked);
    suite_add_tcase(suite, cases);
    return suite;
}
