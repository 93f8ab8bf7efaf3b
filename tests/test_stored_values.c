/* test_stored_values.c - tensors of real checkpoints (../shared/data) as PyTorch reads them:
 * fixtures/stored_values.txt, made by the script beside it.
 */
#include <dirent.h>
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

/* Files of torch-files that no tensor is read from, and why. */
static const struct {
    const char *file;
    cs_status status;
    const char *says;
} refused[] = {
    {"torch-files/burn/broken.pt", CS_ERROR_FORMAT, "not a checkpoint"},
};

START_TEST(test_refused) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        const char *path = test_data_path(refused[i].file);
        cs_error err = {0};
        cs_checkpoint c = {.source = {.fd = -1}};
        if (!path)
            return;
        cs_status status = cs_checkpoint_open(path, &c, &err);
        if (status == CS_OK)
            status = cs_checkpoint_select(&c, NULL, &err);
        cs_checkpoint_close(&c);
        ck_assert_int_eq(status, refused[i].status);
        ck_assert_msg(strstr(err.text, refused[i].says) != NULL, "%s", err.text);
    }
}
END_TEST

static bool is_known(const char *file) {
    expected e;
    bool found = false;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i)
        found = found || strcmp(refused[i].file, file) == 0;
    FILE *f = fopen("tests/fixtures/stored_values.txt", "r");
    ck_assert_ptr_nonnull(f);
    while (!found && read_line(f, &e))
        found = strcmp(e.file, file) == 0;
    fclose(f);
    return found;
}

/* No checkpoint of that folder is left out here. */
START_TEST(test_complete) {
    static const char *const folders[] = {"torch-files/burn", "torch-files/candle",
                                          "torch-files/facenet"};
    int seen = 0;
    for (int i = 0; i < 3; ++i) {
        const char *path = test_data_path(folders[i]);
        if (!path)
            return;
        DIR *folder = opendir(path);
        ck_assert_ptr_nonnull(folder);
        for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
            char name[300];
            snprintf(name, sizeof name, "%s/%s", folders[i], entry->d_name);
            if (!strstr(name, ".pt"))
                continue;
            ck_assert_msg(is_known(name), "%s is neither read nor refused here", name);
            ++seen;
        }
        closedir(folder);
    }
    ck_assert_int_ge(seen, 35);
}
END_TEST

Suite *suite_stored_values(void);
Suite *suite_stored_values(void) {
    Suite *suite = suite_create("stored_values");
    TCase *values = tcase_create("values");
    tcase_add_test(values, test_values);
    tcase_add_test(values, test_refused);
    tcase_add_test(values, test_complete);
    suite_add_tcase(suite, values);
    return suite;
}
