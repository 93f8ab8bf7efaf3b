/* test_resize.c - Pillow's resampling, bit for bit. */
#include "image_cases.h"

#include <string.h>

static void check_resized(const image_case *c, const cs_image *image) {
    cs_error err;
    cs_image out;
    if (strcmp(c->op, "bilinear") == 0)
        REQUIRE_OK(cs_resize_bilinear(image, c->width, c->height, &out, &err), err);
    else
        REQUIRE_OK(cs_resize_bicubic(image, c->width, c->height, &out, &err), err);
    ck_assert_int_eq(out.width, c->width);
    ck_assert_int_eq(out.height, c->height);
    image_case_check(c, out.pixels, 3 * (size_t)out.width * (size_t)out.height);
    cs_image_free(&out);
}

START_TEST(bilinear_is_pillows) {
    ck_assert_int_ge(image_cases_run("bilinear", check_resized), 60);
}
END_TEST

START_TEST(bicubic_is_pillows) { ck_assert_int_ge(image_cases_run("bicubic", check_resized), 60); }
END_TEST

START_TEST(the_same_size_is_a_copy) {
    cs_error err;
    cs_image noise = image_noise(9, 4, 1), out;
    REQUIRE_OK(cs_resize_bicubic(&noise, 9, 4, &out, &err), err);
    ck_assert_ptr_ne(noise.pixels, out.pixels);
    ck_assert_int_eq(memcmp(noise.pixels, out.pixels, 3 * 9 * 4), 0);
    cs_image_free(&noise);
    cs_image_free(&out);
}
END_TEST

START_TEST(impossible_sizes_are_refused) {
    cs_error err;
    cs_image noise = image_noise(9, 4, 1), out;
    REQUIRE_STATUS(cs_resize_bilinear(&noise, 0, 4, &out, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_resize_bilinear(&noise, 4, -1, &out, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_resize_bilinear(&noise, 4, 1 << 20, &out, &err), CS_ERROR_ARGUMENT, err);
    ck_assert_ptr_null(out.pixels);
    cs_image_free(&noise);
}
END_TEST

Suite *suite_resize(void);
Suite *suite_resize(void) {
    Suite *suite = suite_create("resize");
    TCase *tests = tcase_create("resize");
    tcase_add_test(tests, bilinear_is_pillows);
    tcase_add_test(tests, bicubic_is_pillows);
    tcase_add_test(tests, the_same_size_is_a_copy);
    tcase_add_test(tests, impossible_sizes_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
