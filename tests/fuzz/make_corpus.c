/* make_corpus.c - writes the first inputs of the picture targets from the tests' hostile cases:
 * make_corpus FOLDER (files FOLDER/png/case-N and so on; what a fuzzer found stands beside them).
 */
#include <stdio.h>
#include <stdlib.h>

#include "hostile_images.h"
#include "test_support.h"

enum { LARGEST = 1500 };

static int write_group(const char *into, const char *name, const hostile_image_group *group,
                       int from) {
    char path[1024];
    for (int i = 0; i < group->count(); i++) {
        const hostile_image *one = group->get(i);
        bytes file = {0};
        one->make(one, &file);
        snprintf(path, sizeof path, "%s/%s/case-%03d", into, name, from + i);
        if (file.size <= LARGEST)
            test_file_put(path, file.data, file.size);
        bytes_free(&file);
    }
    return from + group->count();
}

static const char *folder;

/* The builders' checks need a running test. */
START_TEST(write_all) {
    write_group(folder, "png", &hostile_png_data, write_group(folder, "png", &hostile_pngs, 0));
    write_group(folder, "jpeg", &hostile_jpegs, 0);
    write_group(folder, "pnm", &hostile_pnms, 0);
}
END_TEST

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus FOLDER\n");
        return EXIT_FAILURE;
    }
    folder = argv[1];
    Suite *suite = suite_create("corpus");
    TCase *tests = tcase_create("corpus");
    tcase_add_test(tests, write_all);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
