/* test_files.c - whole files in and out, and the hashes. */
#include "test_support.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(what_is_written_is_read) {
    cs_error err;
    const char *folder = test_temp_dir();
    const char *path = test_path(folder, "a");
    static char data[100000];
    char *got = NULL;
    size_t size = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31);
    REQUIRE_OK(cs_file_write(path, data, sizeof data, &err), err);
    REQUIRE_OK(cs_file_read(path, sizeof data, &got, &size, &err), err);
    ck_assert_uint_eq(size, sizeof data);
    ck_assert_mem_eq(got, data, sizeof data);
    ck_assert_int_eq(got[size], 0);
    free(got);
    REQUIRE_OK(cs_file_write(path, "", 0, &err), err);
    REQUIRE_OK(cs_file_read(path, 0, &got, &size, &err), err);
    ck_assert_uint_eq(size, 0);
    free(got);
}
END_TEST

START_TEST(only_files_within_the_limit_are_read) {
    cs_error err;
    const char *folder = test_temp_dir();
    const char *path = test_path(folder, "a"), *pipe_path = test_path(folder, "pipe");
    char *got = NULL;
    size_t size = 0;
    test_file_put(path, "12345", 5);
    REQUIRE_STATUS(cs_file_read(path, 4, &got, &size, &err), CS_ERROR_LIMIT, err);
    REQUIRE_STATUS(cs_file_read(test_path(folder, "b"), 9, &got, &size, &err), CS_ERROR_IO, err);
    REQUIRE_STATUS(cs_file_read(folder, 1 << 20, &got, &size, &err), CS_ERROR_IO, err);
    REQUIRE_STATUS(cs_file_read("/dev/zero", 1 << 20, &got, &size, &err), CS_ERROR_IO, err);
    ck_assert_int_eq(mkfifo(pipe_path, 0600), 0);
    REQUIRE_STATUS(cs_file_read(pipe_path, 1 << 20, &got, &size, &err), CS_ERROR_IO, err);
    ck_assert_ptr_null(got);
}
END_TEST

START_TEST(a_write_replaces_whole_or_not_at_all) {
    cs_error err;
    const char *folder = test_temp_dir();
    const char *path = test_path(folder, "a");
    size_t size = 0;
    test_file_put(path, "old", 3);
    REQUIRE_OK(cs_file_write(path, "newer", 5, &err), err);
    char *got = test_file_get(path, &size);
    ck_assert_str_eq(got, "newer");
    free(got);
    REQUIRE_STATUS(cs_file_write(test_path(folder, "no/a"), "x", 1, &err), CS_ERROR_OUTPUT, err);
    /* The name of a folder that is not empty cannot be taken; nothing partial stays behind. */
    REQUIRE_STATUS(cs_file_write(folder, "x", 1, &err), CS_ERROR_OUTPUT, err);
    char partial[4200];
    snprintf(partial, sizeof partial, "%s.partial-%ld", folder, (long)getpid());
    ck_assert_int_ne(access(partial, F_OK), 0);
    /* A leftover of a killed process with this number is no obstacle. */
    snprintf(partial, sizeof partial, "%s.partial-%ld", path, (long)getpid());
    test_file_put(partial, "left", 4);
    REQUIRE_OK(cs_file_write(path, "third", 5, &err), err);
    ck_assert_int_ne(access(partial, F_OK), 0);
}
END_TEST

/* A full disk is imitated by a limit on the size of files. */
START_TEST(a_write_that_fails_midway_leaves_the_old_file) {
    cs_error err;
    const char *path = test_path(test_temp_dir(), "a");
    static char data[8192];
    struct rlimit before, small;
    size_t size = 0;
    test_file_put(path, "old", 3);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    small = (struct rlimit){4096, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    cs_status status = cs_file_write(path, data, sizeof data, &err);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(status, CS_ERROR_OUTPUT);
    char *got = test_file_get(path, &size);
    ck_assert_str_eq(got, "old");
    free(got);
    char partial[4200];
    snprintf(partial, sizeof partial, "%s.partial-%ld", path, (long)getpid());
    ck_assert_int_ne(access(partial, F_OK), 0);
}
END_TEST

START_TEST(sha256_and_crc32_know_their_vectors) {
    char hash[CS_SHA256_HEX_SIZE];
    cs_sha256_hex("abc", 3, hash);
    ck_assert_str_eq(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cs_sha256_hex("", 0, hash);
    ck_assert_str_eq(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ck_assert_uint_eq(cs_crc32("123456789", 9), 0xCBF43926u);
    ck_assert_uint_eq(cs_crc32("", 0), 0);
}
END_TEST

/* The hash is that of the bytes in N, C, H, W order, whatever the memory's order. */
START_TEST(tensor_hash_is_of_nchw_bytes) {
    cs_error err;
    char hash[CS_SHA256_HEX_SIZE], expected[CS_SHA256_HEX_SIZE];
    cs_random random = {3};
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
        cs_tensor t;
        REQUIRE_OK(cs_tensor_allocate(&t, (cs_dtype)dtype, 2, 3, 5, 1100, &err), err);
        cs_random_fill_input(&random, &t);
        size_t bytes = (size_t)cs_tensor_count(&t) * cs_dtype_size(t.dtype);
        void *flat = malloc(bytes);
        cs_tensor_copy_nchw(&t, flat);
        cs_sha256_hex(flat, bytes, expected);
        REQUIRE_OK(cs_tensor_sha256(&t, hash, &err), err);
        ck_assert_str_eq(hash, expected);
        free(flat);
        cs_tensor_release(&t);
    }
}
END_TEST

START_TEST(tensor_hash_writes_every_nan_alike) {
    cs_error err;
    char first[CS_SHA256_HEX_SIZE], second[CS_SHA256_HEX_SIZE], third[CS_SHA256_HEX_SIZE];
    uint32_t quiet[2] = {0x7FC00000u, 0x3F800000u}, other[2] = {0xFFC00123u, 0x3F800000u};
    uint64_t wide[1] = {UINT64_C(0x7FF8000000000000)},
             wide_other[1] = {UINT64_C(0xFFF8000000000001)};
    cs_tensor t = {CS_F32, 1, 2, 1, 1, quiet}, u = {CS_F32, 1, 2, 1, 1, other};
    REQUIRE_OK(cs_tensor_sha256(&t, first, &err), err);
    REQUIRE_OK(cs_tensor_sha256(&u, second, &err), err);
    cs_sha256_hex(quiet, sizeof quiet, third);
    ck_assert_str_eq(first, second);
    ck_assert_str_eq(first, third);
    t = (cs_tensor){CS_F64, 1, 1, 1, 1, wide};
    u = (cs_tensor){CS_F64, 1, 1, 1, 1, wide_other};
    REQUIRE_OK(cs_tensor_sha256(&t, first, &err), err);
    REQUIRE_OK(cs_tensor_sha256(&u, second, &err), err);
    cs_sha256_hex(wide, sizeof wide, third);
    ck_assert_str_eq(first, second);
    ck_assert_str_eq(first, third);
    /* -0 is not +0, and infinity is not NaN. */
    double zeros[1] = {-0.0};
    t = (cs_tensor){CS_F64, 1, 1, 1, 1, zeros};
    REQUIRE_OK(cs_tensor_sha256(&t, second, &err), err);
    zeros[0] = HUGE_VAL;
    REQUIRE_OK(cs_tensor_sha256(&t, third, &err), err);
    ck_assert_str_ne(first, third);
    ck_assert_str_ne(second, third);
}
END_TEST

Suite *suite_files(void);
Suite *suite_files(void) {
    Suite *suite = suite_create("files");
    TCase *cases = tcase_create("files and hashes");
    tcase_add_test(cases, what_is_written_is_read);
    tcase_add_test(cases, only_files_within_the_limit_are_read);
    tcase_add_test(cases, a_write_replaces_whole_or_not_at_all);
    tcase_add_test(cases, a_write_that_fails_midway_leaves_the_old_file);
    tcase_add_test(cases, sha256_and_crc32_know_their_vectors);
    tcase_add_test(cases, tensor_hash_is_of_nchw_bytes);
    tcase_add_test(cases, tensor_hash_writes_every_nan_alike);
    suite_add_tcase(suite, cases);
    return suite;
}
