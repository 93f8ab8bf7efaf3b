/* test_controls.c - networks that are known to read a plant (tests/controls): diagnose finds it on
 * images that they never saw, and nothing of the kind on a network that had none to read.
 */
#include "cli_runner.h"
#include "radiograph_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NETS "tests/controls/nets/"
enum { IMAGES = 60, SIZE = 96, SEED = 900000001 };

/* The pattern that must be supported; NULL: none of those below may be. */
static const struct control {
    const char *network;
    radiograph_plant plant;
    int prevalence;
    const char *pattern;
} controls[] = {
    {"corner-tag-100-0", RADIOGRAPH_CORNER_TAG, 100, "corner"},
    {"border-text-100-0", RADIOGRAPH_BORDER_TEXT, 100, "border"},
    {"side-marker-100-0", RADIOGRAPH_SIDE_MARKER, 100, "side"},
    {"device-100-0", RADIOGRAPH_DEVICE, 100, "roi"},
    {"corner-tag-50-0", RADIOGRAPH_CORNER_TAG, 50, "corner"},
    {"clean-0", RADIOGRAPH_NO_PLANT, 0, NULL},
};
enum { CONTROLS = sizeof controls / sizeof controls[0] };

static bool is_supported(const char *verdicts, const char *pattern) {
    char words[64];
    snprintf(words, sizeof words, "\"%s\": \"supported\"", pattern);
    const char *found = strstr(verdicts, words), *end = strchr(verdicts, '}');
    return found && end && found < end;
}

START_TEST(test_known_networks) {
    const struct control *c = &controls[_i];
    const radiograph_set set = {.count = IMAGES,
                                .first_seed = SEED,
                                .plant = c->plant,
                                .prevalence = c->prevalence,
                                .size = SIZE};
    char folder[4096], path[4200];
    cs_error err;
    snprintf(folder, sizeof folder, "%s", test_temp_dir());
    snprintf(path, sizeof path, "%s/set", folder);
    REQUIRE_OK(radiograph_set_write(&set, path, &err), err);
    cli_result r = cli_run("diagnose " NETS "%s.json %s/set/images --roi %s/set/masks -o %s/found "
                           "--quiet",
                           c->network, folder, folder, folder);
    ck_assert_msg(r.code == 0, "%s: exit code %d: %s", c->network, r.code, r.err);
    snprintf(path, sizeof path, "%s/found/diagnosis.json", folder);
    char *json = cli_text(path), *verdicts = strstr(json, "\"verdicts\"");
    ck_assert_ptr_nonnull(verdicts);
    if (c->pattern)
        ck_assert_msg(is_supported(verdicts, c->pattern), "%s: no supported %s in %.200s",
                      c->network, c->pattern, verdicts);
    for (int i = 0; !c->pattern && i < CONTROLS; i++)
        ck_assert_msg(!controls[i].pattern || !is_supported(verdicts, controls[i].pattern),
                      "%s: a supported %s in %.200s", c->network, controls[i].pattern, verdicts);
    free(json);
}
END_TEST

Suite *suite_controls(void);

Suite *suite_controls(void) {
    Suite *suite = suite_create("controls");
    TCase *tests = tcase_create("controls");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_known_networks, 0, CONTROLS);
    suite_add_tcase(suite, tests);
    return suite;
}
