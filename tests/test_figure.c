/* test_figure.c - panels, colour bar, text and fonts. What it looks like was looked at. */
#include "canvas.h"
#include "image_cases.h"

#include <string.h>

typedef struct panels {
    cs_image image, heat, overlay;
    cs_cam cam;
} panels;

static panels make_panels(int64_t width, int64_t height) {
    cs_error err;
    panels p = {.image = image_noise(width, height, 1),
                .heat = image_noise(width, height, 2),
                .overlay = image_noise(width, height, 3)};
    REQUIRE_OK(cs_tensor_allocate(&p.cam.raw, CS_F32, 1, 1, 7, 7, &err), err);
    p.cam.max = p.cam.signed_max = 0.25;
    p.cam.signed_min = -1;
    return p;
}

static void free_panels(panels *p) {
    cs_image_free(&p->image);
    cs_image_free(&p->heat);
    cs_image_free(&p->overlay);
    cs_cam_free(&p->cam);
}

static cs_figure figure_of(const panels *p) {
    cs_figure f = {&p->image, &p->heat,    &p->overlay, "image.png", "gradcam", "layer4", "logit",
                   "NORMAL",  "PNEUMONIA", 0,           1,           0.25,      0.75,     &p->cam};
    return f;
}

/* Whether `part` stands in `whole` with its corner at (x, y). */
static bool is_at(const cs_image *whole, const cs_image *part, int64_t x, int64_t y) {
    for (int64_t row = 0; row < part->height; row++)
        if (memcmp(whole->pixels + 3 * ((y + row) * whole->width + x),
                   part->pixels + 3 * row * part->width, 3 * (size_t)part->width) != 0)
            return false;
    return true;
}

/* The column where part begins, left to right from `from` on; -1 if nowhere. */
static int64_t find_panel(const cs_image *whole, const cs_image *part, int64_t from) {
    for (int64_t x = from; x + part->width <= whole->width; x++)
        for (int64_t y = 0; y + part->height <= whole->height; y++)
            if (is_at(whole, part, x, y))
                return x;
    return -1;
}

START_TEST(the_panels_stand_side_by_side) {
    cs_error err;
    cs_font *font = NULL;
    cs_image drawn;
    panels p = make_panels(340, 350); /* shown as they are */
    cs_figure f = figure_of(&p);
    REQUIRE_OK(cs_font_builtin(&font, &err), err);
    REQUIRE_OK(cs_figure_draw(&f, font, &drawn, &err), err);
    int64_t first = find_panel(&drawn, &p.image, 0);
    int64_t second = find_panel(&drawn, &p.heat, first + 340);
    int64_t third = find_panel(&drawn, &p.overlay, second + 340);
    ck_assert(first > 0 && second > first && third > second);
    /* Between heatmap and overlay: the colour bar, from JET's last colour to its first. */
    uint8_t last[3], base[3];
    cs_colormap_jet(255, last);
    cs_colormap_jet(0, base);
    bool has_last = false, has_base = false;
    for (int64_t y = 0; y < drawn.height; y++)
        for (int64_t x = second + 340; x < third; x++) {
            const uint8_t *pixel = drawn.pixels + 3 * (y * drawn.width + x);
            has_base |= has_last && memcmp(pixel, base, 3) == 0;
            has_last |= memcmp(pixel, last, 3) == 0;
        }
    ck_assert(has_last && has_base);
    cs_image_free(&drawn);
    cs_font_free(font);
    free_panels(&p);
}
END_TEST

START_TEST(panels_of_any_size_are_drawn) {
    static const int64_t sizes[][2] = {{1, 1},    {32, 32},   {1, 5000},
                                       {5000, 1}, {224, 100}, {2000, 1500}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cs_error err;
        cs_font *font = NULL;
        cs_image drawn;
        panels p = make_panels(sizes[i][0], sizes[i][1]);
        cs_figure f = figure_of(&p);
        REQUIRE_OK(cs_font_open(NULL, &font, &err), err);
        REQUIRE_OK(cs_figure_draw(&f, font, &drawn, &err), err);
        ck_assert(drawn.width > 3 * 336 && drawn.width < 3 * 768 + 400 && drawn.height < 1000);
        for (int c = 0; c < 3; c++) /* a clean margin */
            ck_assert_int_eq(drawn.pixels[c], 255);
        cs_image_free(&drawn);
        cs_font_free(font);
        free_panels(&p);
    }
}
END_TEST

static cs_image draw_with(const cs_figure *f) {
    cs_error err;
    cs_font *font = NULL;
    cs_image drawn;
    REQUIRE_OK(cs_font_builtin(&font, &err), err);
    REQUIRE_OK(cs_figure_draw(f, font, &drawn, &err), err);
    cs_font_free(font);
    return drawn;
}

static bool same(const cs_image *a, const cs_image *b) {
    return a->width == b->width && a->height == b->height &&
           memcmp(a->pixels, b->pixels, 3 * (size_t)a->width * (size_t)a->height) == 0;
}

/* Every text shows, and an empty map looks different. */
START_TEST(what_changes_can_be_seen) {
    panels p = make_panels(224, 224);
    cs_figure f = figure_of(&p);
    cs_image base = draw_with(&f), again = draw_with(&f);
    ck_assert(same(&base, &again));
    cs_image_free(&again);
    cs_figure changed[] = {f, f, f, f, f, f};
    changed[0].title = "other.png";
    changed[1].layer = "layer3";
    changed[2].class_name = NULL;
    changed[3].predicted_name = NULL;
    changed[4].predicted_probability = 0.8;
    changed[5].target = "prob";
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        cs_image other = draw_with(&changed[i]);
        ck_assert_msg(!same(&base, &other), "change %zu cannot be seen", i);
        cs_image_free(&other);
    }
    p.cam.status = CS_CAM_EMPTY;
    cs_image empty = draw_with(&f);
    ck_assert(!same(&base, &empty));
    cs_image_free(&empty);
    cs_image_free(&base);
    free_panels(&p);
}
END_TEST

START_TEST(long_and_broken_names_fit) {
    cs_error err;
    cs_font *font = NULL;
    char fitted[64], very_long[2000];
    memset(very_long, 'm', sizeof very_long - 1);
    very_long[sizeof very_long - 1] = '\0';
    REQUIRE_OK(cs_font_builtin(&font, &err), err);
    cs_text_fit(font, very_long, 18, 200, fitted, sizeof fitted);
    ck_assert_int_le(cs_text_width(font, fitted, 18), 200);
    ck_assert_str_eq(fitted + strlen(fitted) - 3, "...");
    cs_text_fit(font, "short", 18, 200, fitted, sizeof fitted);
    ck_assert_str_eq(fitted, "short");
    cs_text_fit(font, very_long, 18, 1 << 20, fitted, sizeof fitted);
    ck_assert_uint_eq(strlen(fitted), 63);
    cs_text_fit(font, "x", 18, 0, fitted, sizeof fitted);
    ck_assert_str_eq(fitted, "...");
    /* One box a byte for what is not UTF-8, one for a code point: the pen shows it. */
    static const struct {
        const char *text;
        int glyphs;
    } cases[] = {{"", 0},
                 {"aé", 2},
                 {"肺", 1},
                 {"\xff", 1},
                 {"\xc3", 1},
                 {"\xe8\x82", 2},
                 {"\xc0\xaf", 2},
                 {"\xed\xa0\x80", 3},
                 {"\xf0\x9f\x98\x80", 1},
                 {"\xf4\x90\x80\x80", 4},
                 {"\x80z", 2}};
    int64_t one = cs_text_width(font, "a", 18);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(cs_text_width(font, cases[i].text, 18) == cases[i].glyphs * one,
                      "text %zu is not %d glyphs", i, cases[i].glyphs);
    panels p = make_panels(40, 40);
    cs_figure f = figure_of(&p);
    f.title = f.class_name = f.predicted_name = f.layer = very_long;
    cs_image drawn;
    REQUIRE_OK(cs_figure_draw(&f, font, &drawn, &err), err);
    f.title = f.class_name = "\xff\xc0\x80\xed\xa0\x80";
    cs_image_free(&drawn);
    REQUIRE_OK(cs_figure_draw(&f, font, &drawn, &err), err);
    cs_image_free(&drawn);
    cs_font_free(font);
    free_panels(&p);
}
END_TEST

START_TEST(built_in_glyphs_all_differ) {
    uint8_t glyphs[96][CS_BUILTIN_ROWS];
    for (uint32_t i = 0; i < 96; i++) {
        cs_font_builtin_glyph(' ' + i, glyphs[i]);
        for (int r = 0; r < CS_BUILTIN_ROWS; r++)
            ck_assert_int_lt(glyphs[i][r], 32);
        for (uint32_t j = 0; j < i; j++)
            ck_assert_msg(memcmp(glyphs[i], glyphs[j], CS_BUILTIN_ROWS) != 0, "'%c' and '%c'",
                          (char)(' ' + i), (char)(' ' + j));
    }
}
END_TEST

START_TEST(fonts_that_cannot_be_read_are_refused) {
    cs_error err;
    cs_font *font = NULL;
    REQUIRE_STATUS(cs_font_open("no/such.ttf", &font, &err), CS_ERROR_IO, err);
    ck_assert_ptr_null(font);
    REQUIRE_STATUS(cs_font_open(IMAGE_FOLDER "/rgb8.png", &font, &err), CS_ERROR_FORMAT, err);
    ck_assert_ptr_null(font);
    cs_font_free(NULL);
}
END_TEST

START_TEST(different_panels_are_refused) {
    cs_error err;
    cs_font *font = NULL;
    cs_image drawn, other = image_noise(10, 9, 1);
    panels p = make_panels(10, 10);
    cs_figure f = figure_of(&p);
    f.heat = &other;
    REQUIRE_OK(cs_font_builtin(&font, &err), err);
    REQUIRE_STATUS(cs_figure_draw(&f, font, &drawn, &err), CS_ERROR_ARGUMENT, err);
    cs_image_free(&other);
    cs_font_free(font);
    free_panels(&p);
}
END_TEST

Suite *suite_figure(void);
Suite *suite_figure(void) {
    Suite *suite = suite_create("figure");
    TCase *tests = tcase_create("figure");
    tcase_add_test(tests, the_panels_stand_side_by_side);
    tcase_add_test(tests, panels_of_any_size_are_drawn);
    tcase_add_test(tests, what_changes_can_be_seen);
    tcase_add_test(tests, long_and_broken_names_fit);
    tcase_add_test(tests, built_in_glyphs_all_differ);
    tcase_add_test(tests, fonts_that_cannot_be_read_are_refused);
    tcase_add_test(tests, different_panels_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
