/* test_hostile_images.c - pictures with one thing wrong each (the cases of hostile_images.c); and
 * valid ones of every format, and an .npy, cut at every byte and with every bit flipped: an error
 * or a picture, and nothing else.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cnnscope_cam.h"
#include "hostile_images.h"
#include "image_cases.h"
#include "test_support.h"

START_TEST(test_cases) { hostile_check(&hostile_pictures, _i); }
END_TEST

START_TEST(test_count) { ck_assert_int_eq(hostile_images_counted(), HOSTILE_IMAGE_COUNT); }
END_TEST

/* ------------------------------------------------------------------ faults --------------- */

static const char *const names[] = {
    "rgb8.png",     "rgba16-interlaced.png",
    "palette8.png", "palette2-interlaced.png",
    "grey16.png",   "grey1-interlaced.png",
    "baseline.jpg", "progressive.jpg",
    "grey.jpg",     "p1-1.pnm",
    "p2-4095.pnm",  "p3-255.pnm",
    "p4-1.pnm",     "p5-65535.pnm",
    "p5-100.pnm",   "p6-255.pnm",
};
enum { PICTURES = sizeof names / sizeof *names };

static cs_status decode(const char *name, const char *data, size_t size) {
    cs_error err = {0};
    cs_image image;
    cs_status status = cs_image_decode(data, size, name, NULL, &image, &err);
    ck_assert_msg(status == CS_OK ? image.pixels && image.width > 0 && image.height > 0
                                  : !image.pixels && err.text[0] && err.code == status,
                  "%s: neither a picture nor an error", name);
    cs_image_free(&image);
    return status;
}

/* Plain PNMs end with a number, whose last digits may go unnoticed, and a comment. */
static bool may_be_cut(const char *name, size_t length, size_t size) {
    bool plain = strncmp(name, "p2", 2) == 0 || strncmp(name, "p3", 2) == 0;
    return plain && length + strlen("999 # the end\n") >= size;
}

START_TEST(test_every_cut) {
    size_t size = 0;
    char *data = test_file_get(test_path(IMAGE_FOLDER, names[_i]), &size);
    for (size_t length = 0; length < size; length++) {
        char *exact = malloc(length + 1); /* so that AddressSanitizer sees a read behind it */
        memcpy(exact, data, length);
        char *shorter = realloc(exact, length ? length : 1);
        cs_status status = decode(names[_i], shorter, length);
        ck_assert_msg(status == CS_ERROR_FORMAT || may_be_cut(names[_i], length, size),
                      "%s cut to %zu of %zu bytes: %s", names[_i], length, size,
                      cs_status_name(status));
        free(shorter);
    }
    free(data);
}
END_TEST

/* What a bit flipped anywhere in these files may do. PNG: everything has a checksum. */
static bool may_flip(const char *name, cs_status status) {
    if (strstr(name, ".png"))
        return status != CS_OK;
    return true;
}

START_TEST(test_every_bit) {
    size_t size = 0;
    char *data = test_file_get(test_path(IMAGE_FOLDER, names[_i]), &size);
    clock_t begin = clock();
    for (size_t bit = 0; bit < 8 * size; bit++) {
        data[bit / 8] ^= (char)(1 << bit % 8);
        cs_status status = decode(names[_i], data, size);
        ck_assert_msg(may_flip(names[_i], status), "%s: bit %zu flipped unnoticed", names[_i], bit);
        data[bit / 8] ^= (char)(1 << bit % 8);
    }
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    ck_assert_msg(seconds < 120, "%zu flips of %s took %.1f s", 8 * size, names[_i], seconds);
    free(data);
}
END_TEST

/* An .npy: its header in every bit; it has no checksum, so values may change. */
START_TEST(test_npy) {
    const char *path = test_path(test_temp_dir(), "x.npy");
    cs_tensor t, back;
    cs_error err = {0};
    size_t size = 0;
    REQUIRE_OK(cs_tensor_allocate(&t, CS_F32, 1, 3, 4, 5, &err), err);
    REQUIRE_OK(cs_npy_write(path, &t, 4, &err), err);
    cs_tensor_release(&t);
    char *data = test_file_get(path, &size);
    for (size_t length = size; length-- > 0;) {
        ck_assert_int_eq(truncate(path, (off_t)length), 0);
        REQUIRE_STATUS(cs_npy_read(path, &back, &err), CS_ERROR_FORMAT, err);
    }
    for (size_t bit = 0; bit < 8 * (size - 3 * 4 * 5 * sizeof(float)); bit++) {
        data[bit / 8] ^= (char)(1 << bit % 8);
        test_file_put(path, data, size);
        back = (cs_tensor){0};
        cs_status status = cs_npy_read(path, &back, &err);
        ck_assert_msg(status != CS_OK || cs_tensor_count(&back) <= 60, "bit %zu", bit);
        cs_tensor_release(&back);
        data[bit / 8] ^= (char)(1 << bit % 8);
    }
    free(data);
}
END_TEST

Suite *suite_hostile_images(void);
Suite *suite_hostile_images(void) {
    Suite *suite = suite_create("hostile_images");
    TCase *cases = tcase_create("image cases"), *faults = tcase_create("image faults");
    tcase_add_loop_test(cases, test_cases, 0, HOSTILE_IMAGE_COUNT);
    tcase_add_test(cases, test_count);
    tcase_add_loop_test(faults, test_every_cut, 0, PICTURES);
    tcase_add_loop_test(faults, test_every_bit, 0, PICTURES);
    tcase_add_test(faults, test_npy);
    suite_add_tcase(suite, cases);
    suite_add_tcase(suite, faults);
    return suite;
}
