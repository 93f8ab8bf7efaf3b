/* test_report.c - report.html: its structure, what is missing, escaping, the same bytes */
#include "report_scene.h"
#include "test_support.h"

#include "report_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL "examples/small_resnet.json"

static char *page_of(const report_scene_options *options, size_t *size) {
    const char *folder = test_temp_dir();
    cs_error error = {0};
    report_scene *scene = report_scene_make(folder, options);
    REQUIRE_OK(cs_diagnosis_write_report(report_scene_diagnosis(scene), folder, &error), error);
    report_scene_free(scene);
    return test_file_get(test_path(folder, "report.html"), size);
}

static int count_of(const char *text, const char *wanted) {
    int count = 0;
    for (; (text = strstr(text, wanted)) != NULL; text += strlen(wanted))
        count++;
    return count;
}

static void require_text(const char *page, const char *wanted) {
    ck_assert_msg(strstr(page, wanted) != NULL, "'%s' is not in the page", wanted);
}

static void require_absent(const char *page, const char *unwanted) {
    const char *at = strstr(page, unwanted);
    ck_assert_msg(at == NULL, "'%s' is in the page: %.80s", unwanted, at ? at : "");
}

/* Every element that opens closes, in order. */
static void require_balanced(const char *page) {
    static const char *const empty[] = {"meta", "link",   "img",  "input", "br",
                                        "path", "circle", "rect", "use"};
    char open[64][16];
    int depth = 0;
    for (const char *s = strchr(page, '<'); s; s = strchr(s + 1, '<')) {
        char name[16] = {0};
        bool closing = s[1] == '/', alone = false;
        if (s[1] == '!')
            continue;
        ck_assert_msg(sscanf(s + 1 + closing, "%15[a-z0-9]", name) == 1, "no element at %.40s", s);
        const char *end = strchr(s, '>');
        ck_assert_ptr_nonnull(end);
        for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
            alone = alone || strcmp(name, empty[i]) == 0;
        if (strcmp(name, "style") == 0 || strcmp(name, "script") == 0) {
            s = strstr(end, closing ? ">" : name[1] == 't' ? "</style>" : "</script>");
            continue;
        }
        if (closing) {
            ck_assert_msg(depth > 0 && strcmp(open[depth - 1], name) == 0,
                          "</%s> closes <%s>: %.60s", name, depth ? open[depth - 1] : "nothing", s);
            depth--;
        } else if (!alone) {
            ck_assert_int_lt(depth, 64);
            snprintf(open[depth++], sizeof open[0], "%s", name);
        }
    }
    ck_assert_msg(depth == 0, "<%s> stays open", depth ? open[depth - 1] : "");
}

/* Nothing of the page points outside it. */
static void require_alone(const char *page) {
    static const char *const outside[] = {"http:",     "https:",  "src=\"//",
                                          "href=\"//", "@import", "url("};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        require_absent(page, outside[i]);
}

static const struct {
    report_scene_options options;
    const char *headline;
} scenes[] = {
    {{.images = 60, .planted = true}, "This model reads the upper right corner."},
    {{.images = 60, .planted = true, .failures = 3}, "This model reads the upper right corner."},
    {{.images = 60}, "No evidence of the five patterns looked for."},
    {{.images = 60, .no_roi = true},
     "No evidence of a shortcut in the patterns that could be judged."},
    {{.images = 60, .planted = true, .no_changes = true},
     "The maps raise a question that the scores were not asked."},
    {{.images = 60, .no_labels = true}, "No evidence of the five patterns looked for."},
    {{.images = 3, .planted = true}, "Too little to judge."},
    {{.images = 8, .no_maps = true}, "Too little to judge."},
    {{.images = 0, .failures = 4}, "No image could be diagnosed."},
    {{.images = 0}, "No image could be diagnosed."},
};
#define SCENE_COUNT ((int)(sizeof scenes / sizeof scenes[0]))

START_TEST(test_every_scene) {
    report_scene_options options = scenes[_i].options;
    char headline[160];
    size_t size = 0, again = 0;
    options.model = MODEL;
    char *page = page_of(&options, &size), *same = page_of(&options, &again);
    snprintf(headline, sizeof headline, "<h1>%s</h1>", scenes[_i].headline);
    require_text(page, headline);
    require_balanced(page);
    require_alone(page);
    ck_assert_int_eq(count_of(page, "<tr><th scope=\"row\"><button"),
                     (int)(options.images + options.failures));
    ck_assert_int_eq(count_of(page, "<h1>"), 1);
    ck_assert_int_eq(count_of(page, "<img "), count_of(page, "<img alt=\""));
    ck_assert_int_eq(count_of(page, "<th "), count_of(page, "<th scope=\""));
    require_absent(page, ">nan");
    require_absent(page, " nan");
    require_absent(page, ">huge<");
    require_text(page, "evidence, not proof");
    ck_assert_uint_eq(size, again);
    ck_assert_mem_eq(page, same, size);
    free(page);
    free(same);
}
END_TEST

START_TEST(test_what_is_missing_is_said) {
    report_scene_options options = {.model = MODEL, .images = 60, .failures = 2};
    size_t size = 0;
    char *page = page_of(&options, &size);
    require_text(page, "of 62 entries");
    require_text(page, "format: <bdi>is an empty file, not a PNG, JPEG or PNM picture</bdi>");
    require_text(page, "chest-template</bdi>, approximate");
    free(page);
    options = (report_scene_options){.model = MODEL,
                                     .images = 60,
                                     .no_roi = true,
                                     .no_labels = true,
                                     .no_changes = true,
                                     .planted = true};
    page = page_of(&options, &size);
    require_text(page, "No region of interest was given (--roi).");
    require_text(page, "no labels");
    require_text(page, "Not tried: counterfactuals were off.");
    require_text(page, "No change was tried.");
    require_absent(page, "value=\"wrong\"");
    free(page);
    options = (report_scene_options){.model = MODEL, .images = 8, .no_maps = true};
    page = page_of(&options, &size);
    require_text(page, "8 with an empty map");
    require_text(page, "all maps are empty");
    free(page);
}
END_TEST

START_TEST(test_names_are_no_markup) {
    report_scene_options options = {.model = MODEL, .images = 20, .failures = 1, .hostile = true};
    size_t size = 0;
    char *page = page_of(&options, &size);
    require_absent(page, "<script>alert");
    require_absent(page, "<img src=x");
    require_absent(page, "\xFF");
    require_absent(page, "\x01");
    require_text(page, "<bdi>&lt;script&gt;alert(0)&lt;/script&gt;&quot;&#39;&amp;");
    require_balanced(page);
    free(page);
}
END_TEST

START_TEST(test_numbers) {
    static const struct {
        double value;
        int digits;
        const char *plain;
    } cases[] = {{0.375, 2, "0.38"},
                 {-0.375, 2,
                  "\xE2\x88\x92"
                  "0.38"},
                 {-0.001, 2, "0.00"},
                 {12.0, 0, "12"},
                 {0.05, 3, "0.050"},
                 {1e300, 2, "huge"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = NULL;
        size_t size = 0;
        html h = {open_memstream(&text, &size)};
        html_number(&h, cases[i].value, cases[i].digits);
        fclose(h.file);
        ck_assert_str_eq(text, cases[i].plain);
        free(text);
    }
    char *text = NULL;
    size_t size = 0;
    html h = {open_memstream(&text, &size)};
    html_count(&h, 1234567);
    html_put(&h, " ");
    html_count(&h, 1002);
    html_put(&h, " ");
    html_count(&h, 0);
    fclose(h.file);
    ck_assert_str_eq(text, "1,234,567 1,002 0");
    free(text);
}
END_TEST

START_TEST(test_base_names) {
    static const char *const cases[][2] = {{"a/b/c.json", "c.json"},
                                           {"/data/x-rays/images/", "images"},
                                           {"images", "images"},
                                           {"./x", "x"},
                                           {"/", "/"},
                                           {"a//", "a"},
                                           {"", ""}};
    char room[REPORT_NAME];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(report_base_name(cases[i][0], room), cases[i][1]);
    ck_assert_str_eq(report_base_name(NULL, room), "");
}
END_TEST

/* Lightness grows along the ramp: it reads in grey. */
START_TEST(test_heat_grows_lighter) {
    double before = -1.0;
    for (int i = 0; i <= 100; i++) {
        uint8_t rgb[3];
        report_heat_color(i / 100.0, rgb);
        double light = 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
        ck_assert_msg(light > before - 0.5, "step %d is darker", i);
        before = light;
    }
    ck_assert_double_gt(before, 220.0);
}
END_TEST

START_TEST(test_unwritable_folder) {
    report_scene_options options = {.model = MODEL, .images = 6};
    report_scene *scene = report_scene_make(test_temp_dir(), &options);
    cs_error error = {0};
    REQUIRE_STATUS(
        cs_diagnosis_write_report(report_scene_diagnosis(scene), "no/such/folder", &error),
        CS_ERROR_OUTPUT, error);
    report_scene_free(scene);
}
END_TEST

Suite *suite_report(void);
Suite *suite_report(void) {
    Suite *suite = suite_create("report");
    TCase *page = tcase_create("page");
    tcase_set_timeout(page, 120);
    tcase_add_loop_test(page, test_every_scene, 0, SCENE_COUNT);
    tcase_add_test(page, test_what_is_missing_is_said);
    tcase_add_test(page, test_names_are_no_markup);
    tcase_add_test(page, test_numbers);
    tcase_add_test(page, test_base_names);
    tcase_add_test(page, test_heat_grows_lighter);
    tcase_add_test(page, test_unwritable_folder);
    suite_add_tcase(suite, page);
    return suite;
}
