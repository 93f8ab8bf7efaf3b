/* test_heatmap.c - from a raw map to colours and the overlay, equal to numpy and OpenCV. */
#include "image_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct heat_case {
    char type[8], heat[CS_SHA256_HEX_SIZE], color[CS_SHA256_HEX_SIZE], overlay[CS_SHA256_HEX_SIZE];
    int h, w, height, width;
    unsigned long seed;
} heat_case;

static void check_hash(const void *bytes, size_t size, const char *wanted, const char *what,
                       const heat_case *c) {
    char got[CS_SHA256_HEX_SIZE];
    cs_sha256_hex(bytes, size, got);
    ck_assert_msg(strcmp(got, wanted) == 0,
                  "%s of %s %d x %d to %d x %d, seed %lu: sha256 %s, not %s", what, c->type, c->h,
                  c->w, c->height, c->width, c->seed, got, wanted);
}

static void check_heat(const heat_case *c) {
    cs_error err;
    cs_tensor raw, heat;
    cs_dtype dtype = strcmp(c->type, "f64") == 0 ? CS_F64 : CS_F32;
    REQUIRE_OK(cs_tensor_allocate(&raw, dtype, 1, 1, c->h, c->w, &err), err);
    cs_random random = {c->seed};
    cs_random_fill_input(&random, &raw);
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++)
            if (cs_tensor_at(&raw, 0, 0, y, x) < 0)
                cs_tensor_set(&raw, 0, 0, y, x, 0);
    REQUIRE_OK(cs_heatmap_make(&raw, c->width, c->height, &heat, &err), err);
    ck_assert_int_eq(heat.dtype, dtype);
    size_t pixels = (size_t)c->height * (size_t)c->width;
    check_hash(heat.data, pixels * cs_dtype_size(dtype), c->heat, "heatmap", c);
    cs_image color, overlay, image = image_noise(c->width, c->height, c->seed + 1);
    REQUIRE_OK(cs_heatmap_color(&heat, &color, &err), err);
    check_hash(color.pixels, 3 * pixels, c->color, "colours", c);
    REQUIRE_OK(cs_overlay_make(&image, &color, &overlay, &err), err);
    check_hash(overlay.pixels, 3 * pixels, c->overlay, "overlay", c);
    cs_tensor_release(&raw);
    cs_tensor_release(&heat);
    cs_image_free(&color);
    cs_image_free(&overlay);
    cs_image_free(&image);
}

START_TEST(heatmaps_colours_and_overlays_are_opencvs) {
    FILE *file = fopen(IMAGE_FOLDER "/heat.txt", "r");
    ck_assert_ptr_nonnull(file);
    char line[512];
    int count = 0;
    while (fgets(line, sizeof line, file)) {
        heat_case c = {0};
        if (sscanf(line, "heat %7s %d %d %d %d %lu %64s %64s %64s", c.type, &c.h, &c.w, &c.height,
                   &c.width, &c.seed, c.heat, c.color, c.overlay) == 9) {
            check_heat(&c);
            count++;
        }
    }
    fclose(file);
    ck_assert_int_eq(count, 20);
}
END_TEST

START_TEST(jet_is_opencvs) {
    FILE *file = fopen(IMAGE_FOLDER "/heat.txt", "r");
    ck_assert_ptr_nonnull(file);
    char line[512], wanted[CS_SHA256_HEX_SIZE] = "", got[CS_SHA256_HEX_SIZE];
    while (fgets(line, sizeof line, file) && sscanf(line, "jet %64s", wanted) != 1)
        ;
    fclose(file);
    uint8_t table[256][3];
    for (int i = 0; i < 256; i++)
        cs_colormap_jet((uint8_t)i, table[i]);
    cs_sha256_hex(table, sizeof table, got);
    ck_assert_str_eq(got, wanted);
}
END_TEST

/* A map without contrast is 0 everywhere, not a division by zero. */
START_TEST(a_constant_map_is_blue) {
    cs_error err;
    float values[4] = {3, 3, 3, 3};
    cs_tensor raw = {CS_F32, 1, 1, 2, 2, values}, heat;
    cs_image color;
    REQUIRE_OK(cs_heatmap_make(&raw, 5, 5, &heat, &err), err);
    REQUIRE_OK(cs_heatmap_color(&heat, &color, &err), err);
    for (int i = 0; i < 25; i++) {
        ck_assert(((float *)heat.data)[i] == 0);
        ck_assert_int_eq(color.pixels[3 * i + 2], 128);
    }
    cs_tensor_release(&heat);
    cs_image_free(&color);
}
END_TEST

START_TEST(wrong_shapes_are_refused) {
    cs_error err;
    float values[4] = {0};
    cs_tensor raw = {CS_F32, 1, 2, 1, 2, values}, heat;
    REQUIRE_STATUS(cs_heatmap_make(&raw, 5, 5, &heat, &err), CS_ERROR_ARGUMENT, err);
    cs_image a = image_noise(2, 3, 1), b = image_noise(3, 2, 1), overlay;
    REQUIRE_STATUS(cs_overlay_make(&a, &b, &overlay, &err), CS_ERROR_ARGUMENT, err);
    cs_image_free(&a);
    cs_image_free(&b);
}
END_TEST

Suite *suite_heatmap(void);
Suite *suite_heatmap(void) {
    Suite *suite = suite_create("heatmap");
    TCase *tests = tcase_create("heatmap");
    tcase_add_test(tests, heatmaps_colours_and_overlays_are_opencvs);
    tcase_add_test(tests, jet_is_opencvs);
    tcase_add_test(tests, a_constant_map_is_blue);
    tcase_add_test(tests, wrong_shapes_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
