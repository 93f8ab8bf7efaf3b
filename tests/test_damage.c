/* test_damage.c - a valid model and a valid .npy, cut at every byte and with every bit flipped:
 * each is refused with a reason, or is a model that can be asked and run; what opening does not
 * look at (the values) the hashes find.
 *
 * `make test` tries a sample, `make test-long` all of them.
 */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL "examples/small_resnet"

static char *json;
static unsigned char *bin; /* aligned as cs_model_open_memory wants it */
static size_t json_size, bin_size;

static void setup(void) {
    json = test_file_get(MODEL ".json", &json_size);
    char *read = test_file_get(MODEL ".bin", &bin_size);
    bin = aligned_alloc(64, (bin_size + 63) / 64 * 64);
    ck_assert_ptr_nonnull(bin);
    memcpy(bin, read, bin_size);
    free(read);
}

static void teardown(void) {
    free(json);
    free(bin);
}

/* Opens the model in memory; a refusal must give a code of damaged input and a text. */
static cs_model *open_or_refuse(size_t text_size, size_t size, const char *what, size_t where) {
    cs_error err = {0};
    cs_model *model = NULL;
    cs_status status = cs_model_open_memory("m.json", json, text_size, bin, size, &model, &err);
    if (status == CS_OK)
        return model;
    const bool expected = status == CS_ERROR_FORMAT || status == CS_ERROR_UNSUPPORTED ||
                          status == CS_ERROR_MISMATCH || status == CS_ERROR_LIMIT;
    ck_assert_msg(expected && err.text[0] != '\0', "%s %zu: %s: %s", what, where,
                  cs_status_name(status), err.text);
    return NULL;
}

/* A model that opened although a bit is wrong must still be one: a run is prepared, or refused, and
 * with `runs` goes forward. */
static void use(cs_model *model, const char *what, size_t where, bool runs) {
    cs_error err = {0};
    cs_run *run = NULL;
    cs_tensor input = {0};
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.threads = 1;
    const cs_preprocess *p = cs_model_preprocess(model);
    cs_status status = cs_run_create(model, &options, &run, &err);
    if (status == CS_OK && p->height * p->width <= 512 * 512)
        status = cs_run_prepare(run, &err);
    ck_assert_msg(status == CS_OK || err.text[0] != '\0', "%s %zu: no reason", what, where);
    if (status == CS_OK && runs && p->height * p->width <= 256 * 256) {
        REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, p->channels, p->height, p->width, &err),
                   err);
        status = cs_run_forward(run, &input, &err);
        ck_assert_msg(status == CS_OK || err.text[0] != '\0', "%s %zu: no reason", what, where);
        cs_tensor_release(&input);
    }
    cs_run_free(run);
    cs_model_free(model);
}

START_TEST(test_manifest_cut_at_every_byte) {
    size_t end = json_size;
    while (end > 0 && (json[end - 1] == '\n' || json[end - 1] == ' '))
        end--; /* white space behind the value says nothing */
    for (size_t size = 0; size < end; size += test_long() ? 1 : 13)
        ck_assert_msg(open_or_refuse(size, bin_size, "cut at byte", size) == NULL,
                      "the first %zu bytes of the manifest are taken for a manifest", size);
}
END_TEST

START_TEST(test_manifest_with_every_bit_flipped) {
    size_t accepted = 0, tried = 0;
    for (size_t bit = 0; bit < 8 * json_size; bit += test_long() ? 1 : 61, tried++) {
        json[bit / 8] = (char)(json[bit / 8] ^ (1 << bit % 8));
        cs_model *model = open_or_refuse(json_size, bin_size, "manifest's bit", bit);
        if (model)
            use(model, "manifest's bit", bit, ++accepted % 16 == 0);
        json[bit / 8] = (char)(json[bit / 8] ^ (1 << bit % 8));
    }
    ck_assert_uint_gt(tried - accepted, tried / 4);
    if (test_long())
        fprintf(stderr, "damage: manifest: %zu bits flipped, %zu refused\n", tried,
                tried - accepted);
}
END_TEST

START_TEST(test_binary_cut_at_every_byte) {
    for (size_t size = 0; size < bin_size; size += size < 128 || test_long() ? 1 : 509)
        ck_assert_msg(open_or_refuse(json_size, size, "cut at byte", size) == NULL,
                      "the first %zu bytes of the binary are taken for a binary", size);
}
END_TEST

/* The same from a file, mapped and read. */
START_TEST(test_binary_file_cut) {
    const char *folder = test_temp_dir();
    const char *name = test_path(folder, "m.json"), *file = test_path(folder, "small_resnet.bin");
    const cs_model_options options = {.no_mmap = _i == 1};
    test_file_put(name, json, json_size);
    test_file_put(file, bin, bin_size);
    size_t step = test_long() ? 7 : 1021;
    for (size_t size = bin_size - 1; size > 0; size = size > step ? size - step : size - 1) {
        cs_error err = {0};
        cs_model *model = NULL;
        ck_assert_int_eq(truncate(file, (off_t)size), 0);
        REQUIRE_STATUS(cs_model_open(name, &options, &model, &err), CS_ERROR_FORMAT, err);
    }
}
END_TEST

/* Every bit of the header and bits of the values: refused at once, or by the hashes. */
START_TEST(test_binary_with_every_bit_flipped) {
    size_t refused = 0, found = 0;
    for (size_t bit = 0; bit < 8 * bin_size; bit += bit < 512 ? 1 : test_long() ? 9 : 8 * 97 + 1) {
        cs_error err = {0};
        bin[bit / 8] = (unsigned char)(bin[bit / 8] ^ (1 << bit % 8));
        cs_model *model = open_or_refuse(json_size, bin_size, "binary's bit", bit);
        ck_assert_msg(!model || bit >= 40 * 8, "bit %zu of the header is not looked at", bit);
        if (model)
            REQUIRE_STATUS(cs_model_verify_hash(model, &err), CS_ERROR_FORMAT, err);
        refused += !model;
        found += model != NULL;
        cs_model_free(model);
        bin[bit / 8] = (unsigned char)(bin[bit / 8] ^ (1 << bit % 8));
    }
    ck_assert_uint_ge(refused, 320);
    if (test_long())
        fprintf(stderr, "damage: binary: %zu bits refused at once, %zu found by the hashes\n",
                refused, found);
}
END_TEST

/* ------------------------------------------------------------------ .npy ----------------- */

START_TEST(test_npy_damaged) {
    cs_error err = {0};
    cs_tensor t = {0};
    const char *path = test_path(test_temp_dir(), "t.npy");
    size_t size = 0, read = 0;
    REQUIRE_OK(cs_tensor_allocate(&t, _i ? CS_F64 : CS_F32, 1, 3, 4, 5, &err), err);
    REQUIRE_OK(cs_npy_write(path, &t, 4, &err), err);
    cs_tensor_release(&t);
    char *file = test_file_get(path, &size);
    for (size_t cut = 0; cut < size; cut++) {
        test_file_put(path, file, cut);
        cs_status status = cs_npy_read(path, &t, &err);
        ck_assert_msg(status == CS_ERROR_FORMAT || status == CS_ERROR_UNSUPPORTED,
                      "cut at byte %zu: %s", cut, cs_status_name(status));
    }
    for (size_t bit = 0; bit < 8 * 128; bit++) {
        file[bit / 8] = (char)(file[bit / 8] ^ (1 << bit % 8));
        test_file_put(path, file, size);
        cs_status status = cs_npy_read(path, &t, &err);
        ck_assert_msg(status == CS_OK || err.text[0] != '\0', "bit %zu: no reason", bit);
        if (status == CS_OK) { /* another shape or type of the same size; it is all there */
            ck_assert_uint_eq((size_t)cs_tensor_count(&t) * cs_dtype_size(t.dtype), size - 128);
            cs_tensor_release(&t);
            read++;
        }
        file[bit / 8] = (char)(file[bit / 8] ^ (1 << bit % 8));
    }
    ck_assert_uint_lt(read, 100); /* blanks that become other blanks, and the like */
    free(file);
}
END_TEST

Suite *suite_damage(void);
Suite *suite_damage(void) {
    Suite *suite = suite_create("damage");
    TCase *tests = tcase_create("damage");
    tcase_set_timeout(tests, test_long() ? 1200 : 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_manifest_cut_at_every_byte);
    tcase_add_test(tests, test_manifest_with_every_bit_flipped);
    tcase_add_test(tests, test_binary_cut_at_every_byte);
    tcase_add_loop_test(tests, test_binary_file_cut, 0, 2);
    tcase_add_test(tests, test_binary_with_every_bit_flipped);
    tcase_add_loop_test(tests, test_npy_damaged, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
