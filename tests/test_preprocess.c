/* test_preprocess.c - pictures and .npy files as model inputs, equal to torchvision's. */
#include "image_cases.h"

#include <stdlib.h>
#include <string.h>

static cs_preprocess preprocess_of(int64_t channels, int64_t width, int64_t height) {
    cs_preprocess rgb = {channels, height, width, 255, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225},
                         false,    false,  false};
    cs_preprocess grey = {channels, height, width, 255, {0.5}, {0.25}, false, false, false};
    return channels == 3 ? rgb : grey;
}

static void check_input(const image_case *c, const cs_image *image) {
    cs_error err;
    cs_tensor input;
    cs_preprocess p = preprocess_of(c->channels, c->width, c->height);
    REQUIRE_OK(cs_preprocess_image(&p, image, &input, &err), err);
    ck_assert_int_eq(input.dtype, CS_F32);
    ck_assert_int_eq(cs_tensor_count(&input), c->channels * c->width * c->height);
    size_t size = (size_t)cs_tensor_count(&input) * sizeof(float);
    float *nchw = malloc(size);
    cs_tensor_copy_nchw(&input, nchw);
    image_case_check(c, nchw, size);
    free(nchw);
    cs_tensor_release(&input);
}

START_TEST(inputs_are_torchvisions) { ck_assert_int_ge(image_cases_run("input", check_input), 80); }
END_TEST

START_TEST(other_channel_counts_need_an_npy) {
    cs_error err;
    cs_tensor input;
    cs_image noise = image_noise(5, 5, 2);
    cs_preprocess p = preprocess_of(4, 8, 8);
    REQUIRE_STATUS(cs_preprocess_image(&p, &noise, &input, &err), CS_ERROR_UNSUPPORTED, err);
    ck_assert_ptr_nonnull(strstr(err.text, ".npy"));
    cs_image_free(&noise);
}
END_TEST

START_TEST(a_picture_loads_with_what_is_shown_of_it) {
    cs_error err;
    cs_input input;
    cs_preprocess p = preprocess_of(3, 8, 6);
    const char *path = test_path(IMAGE_FOLDER, "rgb8.png");
    REQUIRE_OK(cs_input_load(path, &p, NULL, &input, &err), err);
    cs_image original, shown;
    REQUIRE_OK(cs_image_load(path, NULL, &original, &err), err);
    REQUIRE_OK(cs_resize_bicubic(&original, 8, 6, &shown, &err), err);
    ck_assert_int_eq(input.display.width, 8);
    ck_assert_int_eq(memcmp(shown.pixels, input.display.pixels, 3 * 8 * 6), 0);
    ck_assert_int_eq(input.original_width, 11);
    ck_assert_int_eq(input.original_height, 13);
    ck_assert(!input.from_npy);
    size_t size = 0;
    char *bytes = test_file_get(path, &size), sha256[CS_SHA256_HEX_SIZE];
    cs_sha256_hex(bytes, size, sha256);
    ck_assert_str_eq(sha256, input.sha256);
    free(bytes);
    cs_image_free(&original);
    cs_image_free(&shown);
    cs_input_free(&input);
    cs_input_free(&input);
}
END_TEST

START_TEST(an_npy_is_the_input_itself) {
    cs_error err;
    cs_input from_picture, from_npy;
    cs_preprocess p = preprocess_of(3, 8, 6);
    REQUIRE_OK(cs_input_load(test_path(IMAGE_FOLDER, "rgb8.png"), &p, NULL, &from_picture, &err),
               err);
    const char *path = test_path(test_temp_dir(), "input.png"); /* told by its bytes */
    REQUIRE_OK(cs_npy_write(path, &from_picture.tensor, 4, &err), err);
    REQUIRE_OK(cs_input_load(path, &p, NULL, &from_npy, &err), err);
    ck_assert(from_npy.from_npy);
    test_tensors_equal(&from_npy.tensor, &from_picture.tensor, "input.npy");
    cs_image bilinear, original;
    REQUIRE_OK(cs_image_load(test_path(IMAGE_FOLDER, "rgb8.png"), NULL, &original, &err), err);
    REQUIRE_OK(cs_resize_bilinear(&original, 8, 6, &bilinear, &err), err);
    ck_assert_int_eq(memcmp(bilinear.pixels, from_npy.display.pixels, 3 * 8 * 6), 0);
    p.height = 7;
    cs_input refused;
    REQUIRE_STATUS(cs_input_load(path, &p, NULL, &refused, &err), CS_ERROR_MISMATCH, err);
    ck_assert_ptr_null(refused.tensor.data);
    cs_image_free(&original);
    cs_image_free(&bilinear);
    cs_input_free(&from_picture);
    cs_input_free(&from_npy);
}
END_TEST

START_TEST(a_float64_npy_follows_the_run) {
    cs_error err;
    cs_tensor t;
    cs_input input;
    cs_preprocess p = preprocess_of(3, 2, 2);
    cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
    REQUIRE_OK(cs_tensor_allocate(&t, CS_F64, 1, 3, 2, 2, &err), err);
    cs_tensor_set(&t, 0, 1, 0, 1, 0.1);
    const char *path = test_path(test_temp_dir(), "input.npy");
    REQUIRE_OK(cs_npy_write(path, &t, 4, &err), err);
    REQUIRE_OK(cs_input_load(path, &p, &how, &input, &err), err);
    ck_assert_int_eq(input.tensor.dtype, CS_F32);
    ck_assert(cs_tensor_at(&input.tensor, 0, 1, 0, 1) == (double)0.1f);
    cs_input_free(&input);
    how.dtype = CS_F64;
    REQUIRE_OK(cs_input_load(path, &p, &how, &input, &err), err);
    ck_assert_int_eq(input.tensor.dtype, CS_F64);
    ck_assert(cs_tensor_at(&input.tensor, 0, 1, 0, 1) == 0.1);
    cs_input_free(&input);
    cs_tensor_release(&t);
}
END_TEST

/* Whatever is refused, nothing of it is left in the input. */
START_TEST(refused_inputs_leave_nothing) {
    cs_error err;
    cs_input input;
    cs_tensor t;
    cs_preprocess p = preprocess_of(3, 8, 6);
    const char *path = test_path(test_temp_dir(), "x.npy");
    static const int64_t shapes[][4] = {{2, 3, 6, 8}, {1, 1, 6, 8}, {1, 3, 5, 8}, {1, 3, 6, 7}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *s = shapes[i];
        REQUIRE_OK(cs_tensor_allocate(&t, CS_F32, s[0], s[1], s[2], s[3], &err), err);
        REQUIRE_OK(cs_npy_write(path, &t, 4, &err), err);
        REQUIRE_STATUS(cs_input_load(path, &p, NULL, &input, &err), CS_ERROR_MISMATCH, err);
        ck_assert(!input.tensor.data && !input.display.pixels);
        cs_tensor_release(&t);
    }
    test_file_put(path, "\x93NUMPY\1\0\x76\0{", 11);
    REQUIRE_STATUS(cs_input_load(path, &p, NULL, &input, &err), CS_ERROR_FORMAT, err);
    test_file_put(path, "P6 1 1 255\nab", 13);
    REQUIRE_STATUS(cs_input_load(path, &p, NULL, &input, &err), CS_ERROR_FORMAT, err);
    test_file_put(path, "P6 1 1 255\nabc", 14);
    p.channels = 4;
    REQUIRE_STATUS(cs_input_load(path, &p, NULL, &input, &err), CS_ERROR_UNSUPPORTED, err);
    ck_assert(!input.tensor.data && !input.display.pixels);
    REQUIRE_STATUS(cs_input_load("no/such", &p, NULL, &input, &err), CS_ERROR_IO, err);
    cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
    how.limits.max_file_bytes = 13;
    REQUIRE_STATUS(cs_input_load(path, &p, &how, &input, &err), CS_ERROR_LIMIT, err);
    cs_input_free(NULL);
}
END_TEST

Suite *suite_preprocess(void);
Suite *suite_preprocess(void) {
    Suite *suite = suite_create("preprocess");
    TCase *tests = tcase_create("preprocess");
    tcase_add_test(tests, inputs_are_torchvisions);
    tcase_add_test(tests, other_channel_counts_need_an_npy);
    tcase_add_test(tests, a_picture_loads_with_what_is_shown_of_it);
    tcase_add_test(tests, an_npy_is_the_input_itself);
    tcase_add_test(tests, refused_inputs_leave_nothing);
    tcase_add_test(tests, a_float64_npy_follows_the_run);
    suite_add_tcase(suite, tests);
    return suite;
}
