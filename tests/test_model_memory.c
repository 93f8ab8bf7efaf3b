/* test_model_memory.c - cs_model_open_memory: the same model as from files, and its refusals. */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "examples/small_resnet"

static char *manifest, *bin;
static size_t manifest_size, bin_size;

static void setup(void) {
    char *bytes = test_file_get(MODEL ".bin", &bin_size);
    manifest = test_file_get(MODEL ".json", &manifest_size);
    bin = aligned_alloc(64, (bin_size + 127) / 64 * 64);
    ck_assert_ptr_nonnull(bin);
    memcpy(bin, bytes, bin_size);
    free(bytes);
}

static void teardown(void) {
    free(manifest);
    free(bin);
}

START_TEST(test_same_as_from_files) {
    cs_error err;
    cs_model *files, *memory;
    REQUIRE_OK(cs_model_open(MODEL ".json", NULL, &files, &err), err);
    REQUIRE_OK(cs_model_open_memory("it", manifest, manifest_size, bin, bin_size, &memory, &err),
               err);
    /* The manifest is copied, the binary is used where it is. */
    memset(manifest, 'x', manifest_size);
    ck_assert_str_eq(cs_model_manifest_text(memory), cs_model_manifest_text(files));
    ck_assert_str_eq(cs_model_manifest_sha256(memory), cs_model_manifest_sha256(files));
    ck_assert_str_eq(cs_model_default_layer(memory), cs_model_default_layer(files));
    ck_assert_int_eq(cs_model_tensor_count(memory), cs_model_tensor_count(files));
    for (int i = 0; i < cs_model_tensor_count(files); i++) {
        const cs_tensor_info *a = cs_model_tensor(files, i), *b = cs_model_tensor(memory, i);
        const char *data = (const char *)(const void *)b->data;
        ck_assert_str_eq(a->name, b->name);
        ck_assert(data >= bin && data + 4 * b->count <= bin + bin_size);
        ck_assert_mem_eq(a->data, b->data, (size_t)a->count * sizeof *a->data);
    }
    REQUIRE_OK(cs_model_verify_hash(memory, &err), err);
    cs_model_free(files);
    cs_model_free(memory);
}
END_TEST

START_TEST(test_refusals) {
    cs_error err;
    cs_model *model = NULL;
    REQUIRE_STATUS(
        cs_model_open_memory("it", manifest, manifest_size, bin + 4, bin_size, &model, &err),
        CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(
        cs_model_open_memory("it", manifest, manifest_size, bin, bin_size - 64, &model, &err),
        CS_ERROR_FORMAT, err);
    REQUIRE_STATUS(
        cs_model_open_memory("it", manifest, manifest_size - 9, bin, bin_size, &model, &err),
        CS_ERROR_FORMAT, err);
    REQUIRE_STATUS(cs_model_open_memory("it", "", 0, bin, bin_size, &model, &err), CS_ERROR_FORMAT,
                   err);
    REQUIRE_STATUS(
        cs_model_open_memory("it", manifest, (size_t)1 << 40, bin, bin_size, &model, &err),
        CS_ERROR_LIMIT, err);
    bin[24] ^= 1; /* the identity */
    REQUIRE_STATUS(cs_model_open_memory("it", manifest, manifest_size, bin, bin_size, &model, &err),
                   CS_ERROR_MISMATCH, err);
    bin[24] ^= 1;
    bin[0] = 'X';
    REQUIRE_STATUS(cs_model_open_memory("it", manifest, manifest_size, bin, bin_size, &model, &err),
                   CS_ERROR_FORMAT, err);
    ck_assert_ptr_null(model);
}
END_TEST

START_TEST(test_damage_is_found) {
    cs_error err;
    cs_model *model;
    bin[bin_size - 64] ^= 1; /* in the last tensor */
    REQUIRE_OK(cs_model_open_memory("it", manifest, manifest_size, bin, bin_size, &model, &err),
               err);
    REQUIRE_STATUS(cs_model_verify_hash(model, &err), CS_ERROR_FORMAT, err);
    cs_model_free(model);
}
END_TEST

Suite *suite_model_memory(void);
Suite *suite_model_memory(void) {
    Suite *suite = suite_create("model_memory");
    TCase *tests = tcase_create("memory");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_same_as_from_files);
    tcase_add_test(tests, test_refusals);
    tcase_add_test(tests, test_damage_is_found);
    suite_add_tcase(suite, tests);
    return suite;
}
