/* test_npy.c - .npy files: there and back, what numpy wrote, and what is refused. */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes magic, version, a header of `dict` and `values` bytes of zeros. */
static const char *make_npy(const char *dict, size_t values) {
    const char *path = test_path(test_temp_dir(), "a.npy");
    size_t length = strlen(dict) + 1, size = 10 + length + values;
    char *file = calloc(1, size);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (char)(length & 255);
    file[9] = (char)(length >> 8);
    memcpy(file + 10, dict, length - 1);
    file[10 + length - 1] = '\n';
    test_file_put(path, file, size);
    free(file);
    return path;
}

START_TEST(tensors_go_there_and_back) {
    cs_error err;
    const char *path = test_path(test_temp_dir(), "t.npy");
    static const int64_t shapes[][4] = {{2, 3, 5, 7}, {1, 1, 1, 1}, {4, 17, 1, 1}, {1, 3, 64, 33}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
            const int64_t *d = shapes[s];
            cs_tensor t, back;
            cs_random random = {s};
            REQUIRE_OK(cs_tensor_allocate(&t, (cs_dtype)dtype, d[0], d[1], d[2], d[3], &err), err);
            cs_random_fill_input(&random, &t);
            for (int dims = 2; dims <= 4; dims += 2) {
                if (dims == 2 && (d[2] != 1 || d[3] != 1))
                    continue;
                REQUIRE_OK(cs_npy_write(path, &t, dims, &err), err);
                REQUIRE_OK(cs_npy_read(path, &back, &err), err);
                test_tensors_equal(&back, &t, "npy");
                cs_tensor_release(&back);
            }
            cs_tensor_release(&t);
        }
}
END_TEST

START_TEST(the_bytes_are_numpys_format) {
    cs_error err;
    float data[6] = {1, 4, 2, 5, 3, 6}; /* channels last: c0 = 1 2 3, c1 = 4 5 6 */
    cs_tensor t = {CS_F32, 1, 2, 1, 3, data};
    const char *path = test_path(test_temp_dir(), "t.npy");
    REQUIRE_OK(cs_npy_write(path, &t, 4, &err), err);
    size_t size = 0;
    char *file = test_file_get(path, &size);
    static const char start[] = "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, "
                                "'shape': (1, 2, 1, 3), }";
    ck_assert_uint_eq(size, 128 + 24);
    ck_assert_mem_eq(file, start, sizeof start - 1);
    for (size_t i = sizeof start - 1; i < 127; i++)
        ck_assert_int_eq(file[i], ' ');
    ck_assert_int_eq(file[127], '\n');
    const float expected[6] = {1, 2, 3, 4, 5, 6};
    ck_assert_mem_eq(file + 128, expected, sizeof expected);
    free(file);
}
END_TEST

START_TEST(maps_and_raw_values) {
    cs_error err;
    double map[6] = {1, 2, 3, 4, 5, 6};
    cs_tensor t = {CS_F64, 1, 1, 2, 3, map}, back;
    const char *path = test_path(test_temp_dir(), "t.npy");
    REQUIRE_OK(cs_npy_write_map(path, &t, &err), err);
    REQUIRE_OK(cs_npy_read(path, &back, &err), err); /* (H, W) reads as (N, C) */
    ck_assert_int_eq(back.n, 2);
    ck_assert_int_eq(back.c, 3);
    ck_assert_mem_eq(back.data, map, sizeof map);
    cs_tensor_release(&back);
    const int64_t shape[1] = {3};
    const unsigned char gates[3] = {1, 0, 1};
    REQUIRE_OK(cs_npy_write_raw(path, "|u1", shape, 1, gates, 3, &err), err);
    size_t size = 0;
    char *file = test_file_get(path, &size);
    ck_assert_ptr_nonnull(strstr(file + 10, "'descr': '|u1'"));
    ck_assert_ptr_nonnull(strstr(file + 10, "'shape': (3,), }"));
    ck_assert_uint_eq(size % 64, 3);
    ck_assert_mem_eq(file + size - 3, gates, 3);
    free(file);
    REQUIRE_STATUS(cs_npy_read(path, &back, &err), CS_ERROR_UNSUPPORTED, err);
    cs_tensor two = {CS_F64, 1, 2, 1, 3, map};
    REQUIRE_STATUS(cs_npy_write_map(path, &two, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_npy_write(path, &two, 2, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_npy_write(path, &two, 3, &err), CS_ERROR_ARGUMENT, err);
}
END_TEST

START_TEST(headers_are_read_in_any_order_and_spacing) {
    static const char *const dicts[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3, 4), }",
        "{'shape':(1,2,3,4),'descr':'<f4','fortran_order':False}",
        "  { 'fortran_order' : False , 'shape' : ( 1 , 2 , 3 , 4 , ) , 'descr' : '<f4' , }   ",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (24,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }",
    };
    static const int64_t shapes[][4] = {{1, 2, 3, 4}, {1, 2, 3, 4},  {1, 2, 3, 4},
                                        {1, 2, 3, 4}, {1, 24, 1, 1}, {3, 4, 1, 1}};
    for (size_t i = 0; i < sizeof dicts / sizeof dicts[0]; i++) {
        cs_error err;
        cs_tensor t;
        REQUIRE_OK(cs_npy_read(make_npy(dicts[i], 96), &t, &err), err);
        ck_assert_int_eq(t.n, shapes[i][0]);
        ck_assert_int_eq(t.c, shapes[i][1]);
        ck_assert_int_eq(t.h, shapes[i][2]);
        ck_assert_int_eq(t.w, shapes[i][3]);
        cs_tensor_release(&t);
    }
}
END_TEST

START_TEST(bad_headers_are_refused) {
    static const struct {
        const char *dict;
        cs_status status;
    } cases[] = {
        {"", CS_ERROR_FORMAT},
        {"{}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (24,)}",
         CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (24,), 'x': 1}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (24)}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-24,)}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (24, 2)}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (23,)}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
         CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 24)}",
         CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 9, 9)}",
         CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (24,)}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (24,)} x", CS_ERROR_FORMAT},
        {"{'descr': '<f4", CS_ERROR_FORMAT},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (24,)}", CS_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 24)}",
         CS_ERROR_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", CS_ERROR_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (4, 6)}", CS_ERROR_UNSUPPORTED},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (24,)}", CS_ERROR_UNSUPPORTED},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (24,)}", CS_ERROR_UNSUPPORTED},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (24,)}", CS_ERROR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cs_error err;
        cs_tensor t = {0};
        cs_status status = cs_npy_read(make_npy(cases[i].dict, 96), &t, &err);
        ck_assert_msg(status == cases[i].status, "%s: %s, expected %s", cases[i].dict,
                      cs_status_name(status), cs_status_name(cases[i].status));
        ck_assert_ptr_null(t.data);
    }
}
END_TEST

START_TEST(truncated_and_foreign_files_are_refused) {
    cs_error err;
    cs_tensor t = {0};
    size_t size = 0;
    const char *path = make_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (24,), }", 96);
    char *file = test_file_get(path, &size);
    const char *cut = test_path(test_temp_dir(), "cut.npy");
    for (size_t length = 0; length < size; length += length < 90 ? 1 : 17) {
        test_file_put(cut, file, length);
        REQUIRE_STATUS(cs_npy_read(cut, &t, &err), CS_ERROR_FORMAT, err);
    }
    file[6] = 4;
    test_file_put(cut, file, size);
    REQUIRE_STATUS(cs_npy_read(cut, &t, &err), CS_ERROR_UNSUPPORTED, err);
    file[6] = 1;
    file[9] = 127; /* a header longer than the file */
    test_file_put(cut, file, size);
    REQUIRE_STATUS(cs_npy_read(cut, &t, &err), CS_ERROR_FORMAT, err);
    free(file);
    REQUIRE_STATUS(cs_npy_read("no-such.npy", &t, &err), CS_ERROR_IO, err);
}
END_TEST

Suite *suite_npy(void);
Suite *suite_npy(void) {
    Suite *suite = suite_create("npy");
    TCase *cases = tcase_create("npy");
    tcase_add_test(cases, tensors_go_there_and_back);
    tcase_add_test(cases, the_bytes_are_numpys_format);
    tcase_add_test(cases, maps_and_raw_values);
    tcase_add_test(cases, headers_are_read_in_any_order_and_spacing);
    tcase_add_test(cases, bad_headers_are_refused);
    tcase_add_test(cases, truncated_and_foreign_files_are_refused);
    suite_add_tcase(suite, cases);
    return suite;
}
