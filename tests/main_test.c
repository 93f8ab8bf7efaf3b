/* main_test.c - runs the suites of suites.h, all or those named on the command line.
 *
 * With --hostile-table it prints docs/hostile-input.md instead; with --fuzz-seeds FOLDER it
 * writes first inputs for the fuzz targets.
 *
 * Each test runs in a process of its own (Check's default), with a time limit. Check's summary is
 * the last line of a good run.
 */
#include "fuzz_seeds.h"
#include "hostile_table.h"
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Weak: a suite can be built and run while another one does not compile (make SRC_tests=...). */
#define SUITE(topic) Suite *suite_##topic(void) __attribute__((weak));
#include "suites.h"
#undef SUITE

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
#define SUITE(topic) {#topic, suite_##topic},
#include "suites.h"
#undef SUITE
};

#define SUITE_COUNT (sizeof suites / sizeof suites[0])

static bool is_wanted(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

/* Every argument must be the name of a suite. */
static bool arguments_are_known(int argc, char **argv) {
    bool all = true;
    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (size_t s = 0; s < SUITE_COUNT; s++)
            known |= strcmp(argv[i], suites[s].name) == 0;
        if (!known)
            fprintf(stderr, "no suite '%s'\n", argv[i]);
        all &= known;
    }
    if (!all) {
        fprintf(stderr, "suites:");
        for (size_t s = 0; s < SUITE_COUNT; s++)
            fprintf(stderr, " %s", suites[s].name);
        fprintf(stderr, "\n");
    }
    return all;
}

int main(int argc, char **argv) {
    bool table = argc == 2 && strcmp(argv[1], "--hostile-table") == 0;
    bool seeds = argc == 3 && strcmp(argv[1], "--fuzz-seeds") == 0;
    if ((table || seeds) && test_temp_start()) {
        int code = table ? hostile_table_main() : fuzz_seeds_main(argv[2]);
        test_temp_finish();
        return code;
    }
    if (!arguments_are_known(argc, argv) || !test_temp_start())
        return EXIT_FAILURE;
    setenv("CK_DEFAULT_TIMEOUT", test_long() ? "600" : "120", 0); /* seconds a test */
    SRunner *runner = srunner_create(NULL);
    int missing = 0;
    for (size_t s = 0; s < SUITE_COUNT; s++) {
        if (!is_wanted(suites[s].name, argc, argv))
            continue;
        if (suites[s].make != NULL) {
            srunner_add_suite(runner, suites[s].make());
        } else {
            fprintf(stderr, "suite '%s' was not built\n", suites[s].name);
            missing++;
        }
    }
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner) + missing;
    srunner_free(runner);
    test_temp_finish();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
