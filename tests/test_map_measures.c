/* test_map_measures.c - what is measured of maps without a network: enlarging, masks, ranks; and
 * the figure of a comparison.
 */
#include "cam_cases.h"
#include "cnnscope_measures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_localisation) {
    cs_error err;
    cs_localisation place;
    cs_tensor map = cam_random(CS_F32, 1, 1, 4, 6, 2), mask = cam_random(CS_F32, 1, 1, 12, 18, 3);
    double *large = calloc(12 * 18, sizeof *large), inside = 0, all = 0, area = 0, top = -1;
    bool hit = false;
    cam_rectify(&map);
    for (int64_t i = 0; i < 12 * 18; i++)
        ((float *)mask.data)[i] = (float)(i * 7 % 11) / 10.0F;
    REQUIRE_OK(cs_map_enlarge(&map, 12, 18, large, &err), err);
    for (int64_t i = 0; i < 12 * 18; i++) {
        const double m = (double)((float *)mask.data)[i];
        inside += large[i] * m;
        all += large[i];
        area += m / (12 * 18);
        if (large[i] > top) {
            top = large[i];
            hit = m >= 0.5;
        }
    }
    REQUIRE_OK(cs_localisation_measure(&map, &mask, &place, &err), err);
    ck_assert_double_eq_tol(place.energy, inside / all, 1e-13);
    ck_assert_double_eq_tol(place.area, area, 1e-13);
    ck_assert_int_eq(place.hit, hit);
    memset(map.data, 0, 4 * 6 * sizeof(float));
    REQUIRE_OK(cs_localisation_measure(&map, &mask, &place, &err), err);
    ck_assert(isnan(place.energy) && !place.hit);
    ((float *)mask.data)[5] = 1.5F;
    REQUIRE_STATUS(cs_localisation_measure(&map, &mask, &place, &err), CS_ERROR_ARGUMENT, err);
    memset(mask.data, 0, 12 * 18 * sizeof(float));
    REQUIRE_STATUS(cs_localisation_measure(&map, &mask, &place, &err), CS_ERROR_ARGUMENT, err);
    free(large);
    cs_tensor_release(&map);
    cs_tensor_release(&mask);
}
END_TEST

/* Enlarging keeps the mass of inner cells: a factor f makes each cell f * f as much, but for what
 * the clamped border adds; of a constant exactly. */
START_TEST(test_enlarging) {
    cs_error err;
    float values[6] = {0, 1, 0, 2, 0, 4};
    double out[4 * 6], same[6], one[12];
    const cs_tensor map = {CS_F32, 1, 1, 2, 3, values}, pixel = {CS_F32, 1, 1, 1, 1, &values[5]};
    REQUIRE_OK(cs_map_enlarge(&map, 4, 6, out, &err), err);
    ck_assert(out[0] == 0 && out[1] == 0.25 && out[2] == 0.75 && out[3] == 0.75 && out[5] == 0);
    ck_assert(out[18] == 2 && out[23] == 4 && out[6] == 0.5);
    REQUIRE_OK(cs_map_enlarge(&map, 2, 3, same, &err), err);
    for (int i = 0; i < 6; i++)
        ck_assert(same[i] == (double)values[i]);
    REQUIRE_OK(cs_map_enlarge(&pixel, 3, 4, one, &err), err);
    for (int i = 0; i < 12; i++)
        ck_assert(one[i] == 4);
    REQUIRE_STATUS(cs_map_enlarge(&map, 0, 6, out, &err), CS_ERROR_ARGUMENT, err);
}
END_TEST

START_TEST(test_rank_correlation) {
    cs_error err;
    /* Ranks 1 2.5 2.5 4 5 6 and 6 5 3.5 3.5 1 2: Pearson's correlation of them. */
    float a[6] = {0, 3, 3, 4, 5, 9}, b[6] = {8, 7, 2, 2, -1, 0}, c[6] = {1, 1, 1, 1, 1, 1};
    const cs_tensor x = {CS_F32, 1, 1, 2, 3, a}, y = {CS_F32, 1, 1, 2, 3, b},
                    flat = {CS_F32, 1, 1, 2, 3, c}, other = {CS_F32, 1, 1, 3, 2, c};
    const double rx[6] = {1, 2.5, 2.5, 4, 5, 6}, ry[6] = {6, 5, 3.5, 3.5, 1, 2};
    double xy = 0, xx = 0, yy = 0, got = 0;
    for (int i = 0; i < 6; i++) {
        xy += (rx[i] - 3.5) * (ry[i] - 3.5);
        xx += (rx[i] - 3.5) * (rx[i] - 3.5);
        yy += (ry[i] - 3.5) * (ry[i] - 3.5);
    }
    REQUIRE_OK(cs_map_correlation(&x, &y, &got, &err), err);
    ck_assert_double_eq_tol(got, xy / sqrt(xx * yy), 1e-15);
    REQUIRE_OK(cs_map_correlation(&x, &x, &got, &err), err);
    ck_assert_double_eq_tol(got, 1, 1e-15);
    REQUIRE_OK(cs_map_correlation(&x, &flat, &got, &err), err);
    ck_assert(isnan(got));
    REQUIRE_STATUS(cs_map_correlation(&x, &other, &got, &err), CS_ERROR_ARGUMENT, err);
}
END_TEST

START_TEST(test_comparison_figure) {
    cs_error err;
    cs_image image = {0}, wrong = {0}, small = {0}, large = {0};
    cs_font *font = NULL;
    cs_comparison_panel panels[9];
    REQUIRE_OK(cs_font_builtin(&font, &err), err);
    REQUIRE_OK(cs_image_allocate(&image, 40, 30, &err), err);
    REQUIRE_OK(cs_image_allocate(&wrong, 30, 40, &err), err);
    memset(image.pixels, 120, 3 * 40 * 30);
    for (int i = 0; i < 9; i++)
        panels[i] = (cs_comparison_panel){&image,
                                          "A title that is much too long for its column, "
                                          "whatever the font may be",
                                          {"one", i % 2 ? "two" : NULL},
                                          i == 3};
    cs_comparison_figure figure = {&image, "name", "what", ", how", panels, 2};
    REQUIRE_OK(cs_comparison_draw(&figure, font, &small, &err), err);
    figure.count = 9;
    REQUIRE_OK(cs_comparison_draw(&figure, font, &large, &err), err);
    ck_assert(small.width > 3 * 336 && large.width > 5 * 336 && large.height > 2 * 250);
    bool red = false;
    for (int64_t i = 0; i < large.width * large.height; i++) /* the words for an empty map */
        red = red || (large.pixels[3 * i] == 176 && large.pixels[3 * i + 1] == 32);
    ck_assert(red);
    panels[8].overlay = &wrong;
    cs_image_free(&small);
    REQUIRE_STATUS(cs_comparison_draw(&figure, font, &small, &err), CS_ERROR_ARGUMENT, err);
    cs_image_free(&image);
    cs_image_free(&wrong);
    cs_image_free(&large);
    cs_font_free(font);
}
END_TEST

/* However long the class's name, what is said of it is there. */
START_TEST(test_a_long_name_leaves_room_for_the_rest) {
    cs_error err;
    cs_font *font = NULL;
    cs_image image = {0}, drawn[3] = {{0}};
    char name[301] = "";
    memset(name, 'W', 300);
    REQUIRE_OK(cs_font_builtin(&font, &err), err);
    REQUIRE_OK(cs_image_allocate(&image, 40, 30, &err), err);
    memset(image.pixels, 120, 3 * 40 * 30);
    const cs_comparison_panel panel = {&image, "title", {"one", NULL}, false};
    static const char *const rest[] = {", 0.5", ", 0.5", ", 0.9"};
    for (int i = 0; i < 3; i++) {
        const cs_comparison_figure figure = {&image, "name", name, rest[i], &panel, 1};
        REQUIRE_OK(cs_comparison_draw(&figure, font, &drawn[i], &err), err);
    }
    const size_t size = 3 * (size_t)(drawn[0].width * drawn[0].height);
    ck_assert_int_eq(memcmp(drawn[0].pixels, drawn[1].pixels, size), 0);
    ck_assert_int_ne(memcmp(drawn[0].pixels, drawn[2].pixels, size), 0);
    for (int i = 0; i < 3; i++)
        cs_image_free(&drawn[i]);
    cs_image_free(&image);
    cs_font_free(font);
}
END_TEST

START_TEST(test_masks_from_pictures) {
    cs_error err;
    cs_image image = {0};
    cs_tensor mask;
    const char *path = test_path(test_temp_dir(), "mask.png");
    REQUIRE_OK(cs_image_allocate(&image, 4, 4, &err), err);
    for (int i = 0; i < 16; i++)
        memset(image.pixels + 3 * i, i % 4 < 2 ? 255 : 0, 3);
    REQUIRE_OK(cs_image_write_png(path, &image, &err), err);
    REQUIRE_OK(cs_mask_load(path, 4, 4, &mask, &err), err);
    for (int64_t i = 0; i < 16; i++)
        ck_assert(cs_tensor_at(&mask, 0, 0, i / 4, i % 4) == (i % 4 < 2 ? 1 : 0));
    cs_tensor_release(&mask);
    REQUIRE_OK(cs_mask_load(path, 2, 8, &mask, &err), err);
    ck_assert(mask.h == 8 && mask.w == 2 && cs_tensor_at(&mask, 0, 0, 3, 0) > 0.8);
    cs_tensor_release(&mask);
    cs_image_free(&image);
    REQUIRE_STATUS(cs_mask_load("nowhere.png", 4, 4, &mask, &err), CS_ERROR_IO, err);
}
END_TEST

Suite *suite_map_measures(void);
Suite *suite_map_measures(void) {
    Suite *suite = suite_create("map_measures");
    TCase *tests = tcase_create("map_measures");
    tcase_add_test(tests, test_localisation);
    tcase_add_test(tests, test_enlarging);
    tcase_add_test(tests, test_rank_correlation);
    tcase_add_test(tests, test_comparison_figure);
    tcase_add_test(tests, test_a_long_name_leaves_room_for_the_rest);
    tcase_add_test(tests, test_masks_from_pictures);
    suite_add_tcase(suite, tests);
    return suite;
}
