/* test_support.c - see test_support.h. */
#include "test_support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define PATHS     8

static char temp_root[PATH_SIZE];

/* The next of eight static buffers. */
static char *next_path(void) {
    static char paths[PATHS][PATH_SIZE];
    static unsigned used;
    return paths[used++ % PATHS];
}

const char *test_path(const char *folder, const char *name) {
    char *path = next_path();
    int length = snprintf(path, PATH_SIZE, "%s/%s", folder, name);
    ck_assert_msg(length > 0 && length < PATH_SIZE, "path too long: %s/%s", folder, name);
    return path;
}

const char *test_data_path(const char *relative) {
    const char *root = getenv("CNNSCOPE_TEST_DATA");
    const char *path = test_path(root == NULL ? "../shared/data" : root, relative);
    if (access(path, R_OK) == 0)
        return path;
    fprintf(stderr, "skipped: %s is not there\n", path);
    return NULL;
}

bool test_long(void) {
    const char *value = getenv("CNNSCOPE_TEST_LONG");
    return value != NULL && value[0] != '\0';
}

bool test_temp_start(void) {
    const char *base = getenv("TMPDIR");
    int length = snprintf(temp_root, sizeof temp_root, "%s/cnnscope-test-XXXXXX",
                          base == NULL || base[0] == '\0' ? "/tmp" : base);
    return length > 0 && (size_t)length < sizeof temp_root && mkdtemp(temp_root) != NULL;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

void test_temp_finish(void) { nftw(temp_root, remove_entry, 16, FTW_DEPTH | FTW_PHYS); }

const char *test_temp_dir(void) {
    char *path = next_path();
    int length = snprintf(path, PATH_SIZE, "%.4000s/XXXXXX", temp_root);
    ck_assert_msg(length > 0 && mkdtemp(path) != NULL, "no folder like %s can be made", path);
    return path;
}

void test_file_put(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "cannot create %s", path);
    ck_assert_msg(size == 0 || fwrite(data, 1, size, f) == size, "cannot write %s", path);
    ck_assert_msg(fclose(f) == 0, "cannot write %s", path);
}

char *test_file_get(const char *path, size_t *size) {
    cs_error err;
    char *data = NULL;
    REQUIRE_OK(cs_file_read(path, SIZE_MAX / 4, &data, size, &err), err);
    return data;
}

int64_t test_npy_count(const cs_npy_array *array) {
    int64_t count = 1;
    for (int i = 0; i < array->dims; i++)
        count *= array->shape[i];
    return count;
}

uint64_t test_ulps_f32(float a, float b) {
    int32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    if (a != a || b != b)
        return a != a && b != b ? 0 : UINT64_MAX;
    /* Bits as an ordered scale: negative numbers count down from -1. */
    int64_t p = x < 0 ? -1 - (int64_t)(x & INT32_MAX) : x;
    int64_t q = y < 0 ? -1 - (int64_t)(y & INT32_MAX) : y;
    return (uint64_t)(p > q ? p - q : q - p);
}

uint64_t test_ulps_f64(double a, double b) {
    int64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    if (a != a || b != b)
        return a != a && b != b ? 0 : UINT64_MAX;
    int64_t p = x < 0 ? -1 - (x & INT64_MAX) : x;
    int64_t q = y < 0 ? -1 - (y & INT64_MAX) : y;
    return p > q ? (uint64_t)p - (uint64_t)q : (uint64_t)q - (uint64_t)p;
}

void test_tensors_equal(const cs_tensor *got, const cs_tensor *wanted, const char *what) {
    ck_assert_msg(got->dtype == wanted->dtype, "%s: types differ", what);
    ck_assert_msg(
        got->n == wanted->n && got->c == wanted->c && got->h == wanted->h && got->w == wanted->w,
        "%s: shape %lld x %lld x %lld x %lld, expected %lld x %lld x %lld x %lld", what,
        (long long)got->n, (long long)got->c, (long long)got->h, (long long)got->w,
        (long long)wanted->n, (long long)wanted->c, (long long)wanted->h, (long long)wanted->w);
    if (memcmp(got->data, wanted->data, (size_t)cs_tensor_count(got) * cs_dtype_size(got->dtype)) ==
        0)
        return;
    for (int64_t n = 0; n < got->n; n++)
        for (int64_t c = 0; c < got->c; c++)
            for (int64_t h = 0; h < got->h; h++)
                for (int64_t w = 0; w < got->w; w++) {
                    double a = cs_tensor_at(got, n, c, h, w);
                    double b = cs_tensor_at(wanted, n, c, h, w);
                    uint64_t ulps = got->dtype == CS_F64 ? test_ulps_f64(a, b)
                                                         : test_ulps_f32((float)a, (float)b);
                    ck_assert_msg(ulps == 0,
                                  "%s: at [%lld, %lld, %lld, %lld] %a (%.17g), expected %a "
                                  "(%.17g), %llu ulp apart",
                                  what, (long long)n, (long long)c, (long long)h, (long long)w, a,
                                  a, b, b, (unsigned long long)ulps);
                }
}

cs_tensor test_tensor_copy(const cs_tensor *t) {
    cs_error err;
    cs_tensor copy;
    REQUIRE_OK(cs_tensor_allocate(&copy, t->dtype, t->n, t->c, t->h, t->w, &err), err);
    memcpy(copy.data, t->data, (size_t)cs_tensor_count(t) * cs_dtype_size(t->dtype));
    return copy;
}

cs_run *test_run_start(cs_model *model, int64_t batch, const char *kept, bool gradient) {
    cs_error err;
    cs_run *run;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.threads = 2;
    options.max_batch = batch;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    if (kept)
        REQUIRE_OK(cs_run_keep(run, kept, &err), err);
    if (gradient)
        REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    return run;
}
