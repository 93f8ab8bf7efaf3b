/* test_support.h - what several suites share: data that may be absent, folders, tensors, messages.
 *
 * Tests run with the repository's root as the working directory.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include "cnnscope.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fails the test with the error's text unless the call succeeds. `error` is the cs_error given. */
#define REQUIRE_OK(expression, error)                                                              \
    do {                                                                                           \
        cs_status required_status = (expression);                                                  \
        ck_assert_msg(required_status == CS_OK, "%s: %s: %s", #expression,                         \
                      cs_status_name(required_status), (error).text);                              \
    } while (0)

/* Fails the test unless the call fails with this status and fills `error` accordingly. */
#define REQUIRE_STATUS(expression, wanted, error)                                                  \
    do {                                                                                           \
        cs_status required_status = (expression);                                                  \
        ck_assert_msg(required_status == (wanted), "%s: got status %s (%s), expected %s",          \
                      #expression, cs_status_name(required_status),                                \
                      required_status == CS_OK ? "" : (error).text, cs_status_name(wanted));       \
        ck_assert_int_eq((error).code, (wanted));                                                  \
        ck_assert_msg((error).text[0] != '\0', "%s: the error has no text", #expression);          \
    } while (0)

/* As ck_assert_msg, for loops over elements: Check writes a line for each of its assertions that
 * holds, so that it knows where a test was when it crashed. */
#define REQUIRE_EACH(condition, ...)                                                               \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

/* The path of a file or folder below ../shared/data (or below $CNNSCOPE_TEST_DATA), or NULL, with a
 * line on stderr, where it is not there: the test then returns. Static storage, eight at a time. */
const char *test_data_path(const char *relative);

/* Whether the slow tests shall run (`make test-long`). */
bool test_long(void);

/* A new empty folder, removed after the whole run. Static storage, eight at a time. */
const char *test_temp_dir(void);

/* "folder/name" in static storage, eight at a time. */
const char *test_path(const char *folder, const char *name);

/* For main_test.c: makes and removes the folder that holds all of test_temp_dir's. */
bool test_temp_start(void);
void test_temp_finish(void);

/* Writes, or reads whole (free() it), a file; fails the test where that is not possible. */
void test_file_put(const char *path, const void *data, size_t size);
char *test_file_get(const char *path, size_t *size);

/* Number of values of an array. */
int64_t test_npy_count(const cs_npy_array *array);

/* Distance of two numbers in units of the last place: 0 for equal bits and for two NaN; +0 and -0
 * are 1 apart. */
uint64_t test_ulps_f32(float a, float b);
uint64_t test_ulps_f64(double a, double b);

/* Fails the test with the first [n, c, h, w] at which two tensors of the same type differ in shape
 * or in bits (each NaN counts as the same). `what` begins the message: the reproducer line. */
void test_tensors_equal(const cs_tensor *got, const cs_tensor *wanted, const char *what);

/* A prepared run of two threads, for `batch` images at most, that keeps a node (NULL: none) and,
 * where asked, the input's gradient. Free it with cs_run_free. */
cs_run *test_run_start(cs_model *model, int64_t batch, const char *kept, bool gradient);

/* An own copy of a tensor (free it with cs_tensor_release). */
cs_tensor test_tensor_copy(const cs_tensor *t);

#endif
