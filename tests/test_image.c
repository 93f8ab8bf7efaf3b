/* test_image.c - decoding PNG, JPEG and PNM as Pillow does, refusing what is damaged or another
 * format. More of what is refused: hostile_images.h.
 */
#include "image_cases.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void check_decoded(const image_case *c, const cs_image *image) {
    ck_assert_int_eq(image->width, c->width);
    ck_assert_int_eq(image->height, c->height);
    image_case_check(c, image->pixels, 3 * (size_t)image->width * (size_t)image->height);
}

START_TEST(every_kind_of_png_and_pnm_decodes_as_pillow_does) {
    ck_assert_int_ge(image_cases_run("decode", check_decoded), 45);
}
END_TEST

static char *fixture(const char *name, size_t *size) {
    return test_file_get(test_path(IMAGE_FOLDER, name), size);
}

static void refuse(const void *data, size_t size, const char *what, cs_status wanted,
                   const char *word) {
    cs_error err;
    cs_image image;
    cs_status status = cs_image_decode(data, size, what, NULL, &image, &err);
    ck_assert_msg(status == wanted, "%s: status %s, expected %s", what, cs_status_name(status),
                  cs_status_name(wanted));
    ck_assert_msg(strstr(err.text, word), "%s: '%s' does not speak of '%s'", what, err.text, word);
    ck_assert_msg(strcmp(err.subject, what) == 0, "%s: the error names '%s'", what, err.subject);
    ck_assert_ptr_null(image.pixels);
}

START_TEST(other_formats_are_refused_by_name) {
    static const struct {
        const char *bytes;
        size_t size, at;
        const char *word;
    } cases[] = {{"II*\0", 4, 0, "TIFF"},
                 {"MM\0*", 4, 0, "TIFF"},
                 {"DICM", 4, 128, "DICOM"},
                 {"ftypheic", 8, 4, "HEIC"},
                 {"WEBP", 4, 8, "WebP"},
                 {"GIF89a", 6, 0, "GIF"},
                 {"BM", 2, 0, "BMP"},
                 {"P7\n", 3, 0, "PAM"},
                 {"%PDF-1.4", 8, 0, "PDF"},
                 {"<!DOCTYPE html>", 15, 0, "web page"},
                 {"\0\0\0\x0cjP  ", 8, 0, "2000"},
                 {"version https://git-lfs", 23, 0, "LFS"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char data[400] = {0};
        memcpy(data + cases[i].at, cases[i].bytes, cases[i].size);
        refuse(data, sizeof data, "x.png", CS_ERROR_UNSUPPORTED, cases[i].word);
    }
    refuse("\x93NUMPY\1\0", 8, "x.png", CS_ERROR_UNSUPPORTED, "NumPy");
    refuse("", 0, "x.png", CS_ERROR_FORMAT, "empty");
    refuse("hello", 5, "x.png", CS_ERROR_FORMAT, "neither");
    refuse("\x89", 1, "x.png", CS_ERROR_FORMAT, "neither");
}
END_TEST

/* I10: the name says nothing. */
START_TEST(a_wrong_extension_does_not_matter) {
    cs_error err;
    cs_image image;
    size_t size = 0;
    char *png = fixture("rgb8.png", &size);
    const char *path = test_path(test_temp_dir(), "photo.jpg");
    test_file_put(path, png, size);
    REQUIRE_OK(cs_image_load(path, NULL, &image, &err), err);
    ck_assert_int_eq(image.width, 11);
    cs_image_free(&image);
    free(png);
    REQUIRE_STATUS(cs_image_load("no/such.png", NULL, &image, &err), CS_ERROR_IO, err);
}
END_TEST

/* I3: cut at every byte. The last byte of a PNG's end chunk may be gone before it is noticed, never
 * pixels; a JPEG must reach its end marker. */
START_TEST(a_file_cut_anywhere_is_refused) {
    static const char *const names[] = {"rgb8.png",     "palette8-interlaced.png", "grey1.png",
                                        "baseline.jpg", "progressive.jpg",         "grey.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = 0;
        char *data = fixture(names[i], &size);
        for (size_t length = 0; length < size; length++) {
            cs_error err;
            cs_image image;
            cs_status status = cs_image_decode(data, length, names[i], NULL, &image, &err);
            ck_assert_msg(status == CS_ERROR_FORMAT, "%s cut to %zu of %zu bytes: status %s",
                          names[i], length, size, cs_status_name(status));
            ck_assert_ptr_null(image.pixels);
        }
        free(data);
    }
}
END_TEST

/* Where `bytes` stand in the data, which must have them. */
static char *find(char *data, size_t size, const char *bytes, size_t count) {
    char *at = memmem(data, size, bytes, count);
    ck_assert_ptr_nonnull(at);
    return at;
}

static void put_u32(char *at, uint32_t v) {
    for (int i = 0; i < 4; i++)
        at[i] = (char)(v >> (24 - 8 * i));
}

/* A PNG's chunk whose data changed gets its CRC anew, so that only what is tested is wrong. */
static void fix_header_crc(char *png) {
    put_u32(png + 29, (uint32_t)crc32(0, (const Bytef *)png + 12, 17));
}

/* I1, I2 and what else a header can say. */
START_TEST(impossible_headers_are_refused) {
    static const struct {
        uint32_t width, height;
        int depth, color, interlace;
        cs_status status;
        const char *word;
    } cases[] = {
        {0, 0, 8, 2, 0, CS_ERROR_FORMAT, "nothing to see"},
        {0, 5, 8, 2, 0, CS_ERROR_FORMAT, "nothing to see"},
        {65535, 65535, 8, 2, 0, CS_ERROR_LIMIT, "65535 x 65535"},
        {0xFFFFFFFF, 1, 8, 2, 0, CS_ERROR_LIMIT, "4294967295"},
        {16384, 16384, 8, 2, 0, CS_ERROR_LIMIT, "pixels"},
        /* allowed, but has no data */
        {16384, 3000, 8, 2, 0, CS_ERROR_FORMAT, "inflates to less"},
        {11, 13, 3, 0, 0, CS_ERROR_FORMAT, "does not exist"},
        {11, 13, 4, 2, 0, CS_ERROR_FORMAT, "does not exist"},
        {11, 13, 16, 3, 0, CS_ERROR_FORMAT, "does not exist"},
        {11, 13, 8, 7, 0, CS_ERROR_FORMAT, "does not exist"},
        {11, 13, 8, 2, 2, CS_ERROR_FORMAT, "interlacing"},
        {11, 13, 8, 3, 0, CS_ERROR_FORMAT, "palette is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        char *png = fixture("rgb8.png", &size);
        put_u32(png + 16, cases[i].width);
        put_u32(png + 20, cases[i].height);
        png[24] = (char)cases[i].depth;
        png[25] = (char)cases[i].color;
        png[28] = (char)cases[i].interlace;
        fix_header_crc(png);
        refuse(png, size, "header.png", cases[i].status, cases[i].word);
        free(png);
    }
}
END_TEST

/* I8, and the frame headers that a JPEG can have. */
START_TEST(jpegs_that_would_decode_differently_are_refused) {
    size_t size = 0;
    char *jpeg = fixture("cmyk.jpg", &size);
    refuse(jpeg, size, "cmyk.jpg", CS_ERROR_UNSUPPORTED, "CMYK");
    free(jpeg);
    jpeg = fixture("baseline.jpg", &size);
    char *frame = find(jpeg, size, "\xff\xc0", 2);
    frame[4] = 12;
    refuse(jpeg, size, "deep.jpg", CS_ERROR_UNSUPPORTED, "12 bits");
    frame[4] = 8;
    frame[1] = (char)0xC9;
    refuse(jpeg, size, "arithmetic.jpg", CS_ERROR_UNSUPPORTED, "arithmetic-coded");
    frame[1] = (char)0xC3;
    refuse(jpeg, size, "lossless.jpg", CS_ERROR_UNSUPPORTED, "lossless");
    frame[1] = (char)0xC0;
    frame[5] = frame[6] = 0;
    refuse(jpeg, size, "flat.jpg", CS_ERROR_FORMAT, "nothing to see");
    frame[5] = frame[6] = frame[7] = frame[8] = (char)0xFF;
    refuse(jpeg, size, "huge.jpg", CS_ERROR_LIMIT, "65535 x 65535");
    free(jpeg);
    jpeg = fixture("baseline.jpg", &size);
    memset(find(jpeg, size, "\xff\xc4", 2) + 4, 0xFF, 16); /* a Huffman table */
    refuse(jpeg, size, "table.jpg", CS_ERROR_FORMAT, "Huffman");
    free(jpeg);
}
END_TEST

static int largest_difference(const cs_image *a, const cs_image *b) {
    int largest = 0;
    ck_assert_int_eq(a->width, b->width);
    ck_assert_int_eq(a->height, b->height);
    for (int64_t i = 0; i < 3 * a->width * a->height; i++) {
        int d = abs(a->pixels[i] - b->pixels[i]);
        largest = d > largest ? d : largest;
    }
    return largest;
}

/* JPEG has no exact answer: libjpeg-turbo's pixels are a few levels away (see docs/cam-methods.md).
 */
START_TEST(jpegs_decode_close_to_pillow) {
    static const char *const names[][2] = {{"baseline.jpg", "baseline.jpg.png"},
                                           {"progressive.jpg", "progressive.jpg.png"},
                                           {"grey.jpg", "grey.jpg.png"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cs_error err;
        cs_image got, pillow;
        REQUIRE_OK(cs_image_load(test_path(IMAGE_FOLDER, names[i][0]), NULL, &got, &err), err);
        REQUIRE_OK(cs_image_load(test_path(IMAGE_FOLDER, names[i][1]), NULL, &pillow, &err), err);
        int difference = largest_difference(&got, &pillow);
        ck_assert_msg(difference <= 3, "%s: %d levels from Pillow", names[i][0], difference);
        cs_image_free(&got);
        cs_image_free(&pillow);
    }
}
END_TEST

START_TEST(a_written_png_reads_back) {
    cs_error err;
    cs_image noise = image_noise(370, 211, 5), back;
    const char *path = test_path(test_temp_dir(), "out.png");
    REQUIRE_OK(cs_image_write_png(path, &noise, &err), err);
    REQUIRE_OK(cs_image_load(path, NULL, &back, &err), err);
    ck_assert_int_eq(largest_difference(&noise, &back), 0);
    cs_image_free(&noise);
    cs_image_free(&back);
}
END_TEST

START_TEST(limits_hold) {
    cs_error err;
    cs_image image;
    cs_image_limits few_pixels = {1 << 20, 142, 1 << 20}, few_bytes = {100, 1000000, 1 << 20};
    const char *path = test_path(IMAGE_FOLDER, "rgb8.png"); /* 11 x 13 */
    REQUIRE_STATUS(cs_image_load(path, &few_pixels, &image, &err), CS_ERROR_LIMIT, err);
    REQUIRE_STATUS(cs_image_load(path, &few_bytes, &image, &err), CS_ERROR_LIMIT, err);
    few_pixels.max_pixels = 143;
    REQUIRE_OK(cs_image_load(path, &few_pixels, &image, &err), err);
    cs_image_free(&image);
    few_pixels.max_memory_bytes = 1000; /* rows and pixels take 442 + 429; with zlib's data more */
    REQUIRE_STATUS(cs_image_load(path, &few_pixels, &image, &err), CS_ERROR_LIMIT, err);
    path = test_path(IMAGE_FOLDER, "progressive.jpg");
    few_pixels = (cs_image_limits){1 << 20, 1 << 20, 1 << 20};
    REQUIRE_STATUS(cs_image_load(path, &few_pixels, &image, &err), CS_ERROR_LIMIT, err);
    path = test_path(IMAGE_FOLDER, "p6-255.pnm");
    few_pixels.max_memory_bytes = 428;
    REQUIRE_STATUS(cs_image_load(path, &few_pixels, &image, &err), CS_ERROR_LIMIT, err);
    few_pixels.max_memory_bytes = 429;
    REQUIRE_OK(cs_image_load(path, &few_pixels, &image, &err), err);
    cs_image_free(&image);
    cs_image_free(&image);
    cs_image_free(NULL);
    REQUIRE_STATUS(cs_image_allocate(&image, 0, 1, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_image_allocate(&image, INT64_MAX, 2, &err), CS_ERROR_LIMIT, err);
}
END_TEST

Suite *suite_image(void);
Suite *suite_image(void) {
    Suite *suite = suite_create("image");
    TCase *tests = tcase_create("image");
    tcase_add_test(tests, every_kind_of_png_and_pnm_decodes_as_pillow_does);
    tcase_add_test(tests, other_formats_are_refused_by_name);
    tcase_add_test(tests, a_wrong_extension_does_not_matter);
    tcase_add_test(tests, a_file_cut_anywhere_is_refused);
    tcase_add_test(tests, impossible_headers_are_refused);
    tcase_add_test(tests, jpegs_that_would_decode_differently_are_refused);
    tcase_add_test(tests, jpegs_decode_close_to_pillow);
    tcase_add_test(tests, a_written_png_reads_back);
    tcase_add_test(tests, limits_hold);
    suite_add_tcase(suite, tests);
    return suite;
}
