/* test_stored_values.c - tensors of real checkpoints (../shared/data) as PyTorch reads them:
 * fixtures/stored_values.txt, made by the script beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "checkpoint_builder.h"
#include "cnnscope_support.h"
#include "test_support.h"

typedef struct expected {
    char file[128], key[128], name[128], shape[64], sha256[65];
} expected;

static bool read_line(FILE *f, expected *e) {
    return fscanf(f, "%127s %127s %127s %63s %64s", e->file, e->key, e->name, e->shape,
                  e->sha256) == 5;
}

static void append_values(cs_checkpoint *c, const cs_stored_tensor *t, bytes *out) {
    cs_error err = {0};
    float *values = malloc(((size_t)t->numel + 1) * sizeof *values);
    REQUIRE_OK(cs_checkpoint_read(c, t, values, NULL, NULL, &err), err);
    bytes_put(out, values, (size_t)t->numel * sizeof *values);
    free(values);
}

static void check_shape(const cs_stored_tensor *t, const char *wanted) {
    char shape[64] = "scalar";
    int length = 0;
    for (int i = 0; i < t->dims; ++i)
        length += snprintf(shape + length, sizeof shape - (size_t)length, "%s%lld", i ? "x" : "",
                           (long long)t->shape[i]);
    ck_assert_str_eq(shape, wanted);
}

static void check(const expected *e, const char *path) {
    cs_error err = {0};
    cs_checkpoint c;
    bytes values = {0};
    char sha256[CS_SHA256_HEX_SIZE];
    REQUIRE_OK(cs_checkpoint_open(path, &c, &err), err);
    REQUIRE_OK(cs_checkpoint_select(&c, strcmp(e->key, "-") == 0 ? "" : e->key, &err), err);
    if (strcmp(e->name, "*") == 0) {
        ck_assert_int_eq((int)c.tensor_count, atoi(e->shape));
        for (size_t i = 0; i < c.tensor_count; ++i)
            append_values(&c, &c.pickle.tensors[c.tensors[i].tensor], &values);
    } else {
        const cs_stored_tensor *t = cs_checkpoint_tensor(&c, e->name);
        ck_assert_msg(t != NULL, "%s: no tensor %s", e->file, e->name);
        check_shape(t, e->shape);
        append_values(&c, t, &values);
    }
    cs_sha256_hex(values.data, values.size, sha256);
    ck_assert_msg(strcmp(sha256, e->sha256) == 0, "%s %s %s: values differ from PyTorch's", e->file,
                  e->key, e->name);
    bytes_free(&values);
    cs_checkpoint_close(&c);
}

START_TEST(test_values) {
    expected e;
    int checked = 0;
    FILE *f = fopen("tests/fixtures/stored_values.txt", "r");
    ck_assert_ptr_nonnull(f);
    if (test_data_path("torch-files")) {
        for (; read_line(f, &e); ++checked) {
            const char *path = test_data_path(e.file);
            ck_assert_msg(path != NULL, "%s is not there", e.file);
            check(&e, path);
        }
        ck_assert_int_ge(checked, 60);
    }
    fclose(f);
}
END_TEST

Suite *suite_stored_values(void);
Suite *suite_stored_values(void) {
    Suite *suite = suite_create("stored_values");
    TCase *values = tcase_create("values");
    tcase_add_test(values, test_values);
    suite_add_tcase(suite, values);
    return suite;
}
