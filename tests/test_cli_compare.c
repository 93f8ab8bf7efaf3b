/* test_cli_compare.c - cnnscope compare, and the methods of cnnscope explain, run from outside. */
#include "cli_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder, *picture;

static void setup(void) {
    folder = strdup(test_temp_dir());
    picture = strdup(test_path(folder, "picture.png"));
    cli_draw(picture, 40, 1);
}

static void teardown(void) {
    free(folder);
    free(picture);
}

static void require_code(cli_result result, int code) {
    ck_assert_msg(result.code == code, "exit code %d, expected %d\nstdout: %s\nstderr: %s",
                  result.code, code, result.out, result.err);
}

static void require_text(const char *text, const char *wanted) {
    ck_assert_msg(strstr(text, wanted) != NULL, "'%s' is not in:\n%s", wanted, text);
}

static int lines_of(const char *text) {
    int count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* ------------------------------------------------------------------ explain -------------- */

static const struct {
    const char *options, *name, *variant;
} methods[] = {
    {"--method gradcampp", "gradcam++-layer4", "paper"},
    {"--method GradCAM++ --variant monai", "gradcam++-layer4", "monai"},
    {"--method gradcam++ --target prob", "gradcam++-layer4", "paper"},
    {"--method scorecam --batch 3", "scorecam-layer4", "paper"},
    {"--method scorecam --variant torchcam --max-channels 5", "scorecam-layer4", "torchcam"},
    {"--method hirescam --layer layer3", "hirescam-layer3", "paper"},
    {"--method xgradcam --variant pgc", "xgradcam-layer4", "pgc"},
    {"--method layercam", "layercam-layer4", "paper"},
    {"--method gradient --variant sum", "gradient-input", "sum"},
    {"--method input-x-gradient", "input-x-gradient-input", "paper"},
    {"--method integrated-gradients --steps 7", "integrated-gradients-input", "captum"},
};
#define METHOD_COUNT ((int)(sizeof methods / sizeof methods[0]))

START_TEST(test_explain_by_each_method) {
    char wanted[128];
    cli_result result = cli_run("explain " EXAMPLE_MODEL " %s --class all --signed %s -o %s/out",
                                picture, methods[_i].options, folder);
    require_code(result, 0);
    for (int k = 0; k < 3; k++) {
        ck_assert(cli_exists("%s/out/picture/class-%d-%s.npy", folder, k, methods[_i].name));
        ck_assert(cli_exists("%s/out/picture/class-%d-%s-signed.npy", folder, k, methods[_i].name));
        ck_assert(cli_exists("%s/out/picture/class-%d-%s-figure.png", folder, k, methods[_i].name));
    }
    char *manifest = cli_text(test_path(folder, "out/manifest.json"));
    cli_require_json(manifest, "manifest.json");
    snprintf(wanted, sizeof wanted, "\"variant\": \"%s\"", methods[_i].variant);
    require_text(manifest, wanted);
    require_text(manifest, "\"sum_before_relu\"");
    free(manifest);
    require_code(cli_run("explain " EXAMPLE_MODEL " %s --class all --signed %s --threads 3 -o "
                         "%s/again",
                         picture, methods[_i].options, folder),
                 0);
    cli_require_same_folders(test_path(folder, "out"), test_path(folder, "again"));
}
END_TEST

static const struct {
    const char *words, *message;
} refused[] = {
    {"explain %s %s -o %s/x --method gradcam++ --variant best", "no variant 'best'"},
    {"explain %s %s -o %s/x --max-channels 3", "--max-channels is for scorecam"},
    {"explain %s %s -o %s/x --steps 3", "--steps is for integrated-gradients"},
    {"explain %s %s -o %s/x --method scorecam --max-channels 0", "--max-channels"},
    {"explain %s %s -o %s/x --method integrated-gradients --layer layer4", "at the input"},
    {"explain %s %s -o %s/x --method scorecam --variant authors --target margin:0",
     "take the target prob"},
    {"compare %s %s -o %s/x --methods gradcam,magic", "unknown method 'magic'"},
    {"compare %s %s -o %s/x --methods gradcam:magic", "no variant 'magic'"},
    {"compare %s %s -o %s/x --methods gradcam,gradcam", "listed twice"},
    {"compare %s %s -o %s/x --methods gradcam,,scorecam", "empty entry"},
    {"compare %s %s -o %s/x --fill black", "unknown fill"},
    {"compare %s %s -o %s/x --class 7", "has no class '7'"},
    {"compare %s %s -o %s/x --layer nowhere", "nowhere"},
    {"compare %s %s -o %s/x --curve-steps 0", "--curve-steps"},
};
#define REFUSED_COUNT ((int)(sizeof refused / sizeof refused[0]))

START_TEST(test_what_is_refused) {
    char words[512];
    snprintf(words, sizeof words, refused[_i].words, EXAMPLE_MODEL, picture, folder);
    cli_result result = cli_run("%s", words);
    require_code(result, 2);
    require_text(result.err, refused[_i].message);
    ck_assert_int_ne(cli_shell("ls -d %s/x* 2>/dev/null", folder), 0);
}
END_TEST

/* ------------------------------------------------------------------ compare -------------- */

START_TEST(test_compare_table_and_folder) {
    cli_result result = cli_run("compare " EXAMPLE_MODEL " %s -o %s/out", picture, folder);
    require_code(result, 0);
    require_text(result.out, "1 image, maps at layer4, target logit");
    static const char *const words[] = {"\ngradcam ",  "\ngradcam++ ",
                                        "\nscorecam ", "\nrandom ",
                                        "fastest: ",   "least left after deletion: "};
    for (int i = 0; i < 6; i++)
        require_text(result.out, words[i]);
    ck_assert(cli_exists("%s/out/picture/comparison-figure.png", folder));
    char *csv = cli_text(test_path(folder, "out/comparison.csv"));
    ck_assert_int_eq(lines_of(csv), 5);
    free(csv);
    char *manifest = cli_text(test_path(folder, "out/manifest.json"));
    cli_require_json(manifest, "manifest.json");
    require_text(manifest, "\"command\": \"compare\"");
    require_text(manifest, "\"insertion_area\"");
    free(manifest);
    require_code(cli_run("compare " EXAMPLE_MODEL " %s -o %s/out", picture, folder), 6);
    result = cli_run("compare " EXAMPLE_MODEL " %s -q -m all -o %s/a", picture, folder);
    require_code(result, 0);
    ck_assert_str_eq(result.out, "");
    require_code(cli_run("compare " EXAMPLE_MODEL " %s -q -m all --threads 3 --batch 2 -o %s/b",
                         picture, folder),
                 0);
    cli_require_same_folders(test_path(folder, "a"), test_path(folder, "b"));
}
END_TEST

START_TEST(test_compare_json_and_csv) {
    cli_result result = cli_run("compare " EXAMPLE_MODEL
                                " %s --methods gradcam,gradcam++:authors,gradient --json --sanity "
                                "--fill blur --curve-steps 4",
                                picture);
    require_code(result, 0);
    cli_require_json(result.out, "compare --json");
    require_text(result.out, "\"variant\": \"authors\"");
    require_text(result.out, "\"other_class_correlation\"");
    require_text(result.out, "\"layer1\": ");
    require_text(result.out, "\"fill\": \"blur\"");
    ck_assert_ptr_null(strstr(result.out, "nan"));
    result = cli_run("compare " EXAMPLE_MODEL " %s %s --methods gradcam --csv", picture, picture);
    require_code(result, 0);
    ck_assert_int_eq(lines_of(result.out), 5);
    require_text(result.out, ",bytes,seconds\r\n");
    require_text(result.out, ",random,,layer4,ok,");
}
END_TEST

START_TEST(test_quiet_comparison_without_a_folder_prints_its_table) {
    cli_result result = cli_run("compare " EXAMPLE_MODEL " %s --methods gradcam -q", picture);
    require_code(result, 0);
    require_text(result.out, "\ngradcam ");
    require_text(result.out, "\nrandom ");
}
END_TEST

START_TEST(test_compare_with_masks) {
    char *masks = strdup(test_path(folder, "masks"));
    ck_assert_int_eq(cli_shell("mkdir %s && cp %s %s/picture.png && cp %s %s/other.png", masks,
                               picture, masks, picture, folder),
                     0);
    cli_result result = cli_run("compare " EXAMPLE_MODEL " %s %s/other.png --methods gradcam "
                                "--masks %s",
                                picture, folder, masks);
    require_code(result, 0);
    require_text(result.out, "energy %");
    require_text(result.out, "The masks cover ");
    result = cli_run("compare " EXAMPLE_MODEL " %s --methods gradcam --masks %s/picture.png --json",
                     picture, masks);
    require_code(result, 0);
    require_text(result.out, "\"hit\": ");
    require_code(
        cli_run("compare " EXAMPLE_MODEL " %s --methods gradcam --masks %s/none", picture, masks),
        3);
    free(masks);
}
END_TEST

START_TEST(test_compare_goes_on_after_an_unreadable_image) {
    cli_result result =
        cli_run("compare " EXAMPLE_MODEL " %s/none.png %s --methods gradcam -o %s/out", folder,
                picture, folder);
    require_code(result, 3);
    require_text(result.err, "none.png");
    require_text(result.out, "1 image, ");
    char *manifest = cli_text(test_path(folder, "out/manifest.json"));
    require_text(manifest, "\"status\": \"io\"");
    free(manifest);
    result = cli_run("compare " EXAMPLE_MODEL " %s/none.png -o %s/two", folder, folder);
    require_code(result, 3);
    ck_assert(!cli_exists("%s/two", folder));
}
END_TEST

/* Ctrl-C in the middle of Score-CAM's passes: exit code 130, nothing left. */
START_TEST(test_interrupted_between_passes) {
    static const char *const commands[] = {"explain", "compare"};
    int interrupted = 0;
    for (int i = 0; i < 2; i++) {
        const int code = cli_shell(
            "timeout --preserve-status -s INT -k 5 0.3 %s %s " EXAMPLE_MODEL
            " %s %s %s %s %s %s %s %s -o %s/out%d %s "
            ">/dev/null 2>%s/err.txt",
            cli_program(), commands[i], picture, picture, picture, picture, picture, picture,
            picture, picture, folder, i,
            i ? "--methods scorecam,integrated-gradients:midpoint --steps 9000 --curve-steps 500"
              : "--method integrated-gradients --variant midpoint --steps 9000",
            folder);
        interrupted += code == 130;
        ck_assert_msg(code == 130 || code == 0, "%s: exit code %d", commands[i], code);
        ck_assert_msg((code == 0) == cli_exists("%s/out%d", folder, i), "%s: %d", commands[i],
                      code);
        ck_assert_int_ne(cli_shell("ls -d %s/*partial* 2>/dev/null", folder), 0);
    }
    ck_assert_int_gt(interrupted, 0);
}
END_TEST

Suite *suite_cli_compare(void);
Suite *suite_cli_compare(void) {
    Suite *suite = suite_create("cli_compare");
    TCase *tests = tcase_create("cli_compare");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_explain_by_each_method, 0, METHOD_COUNT);
    tcase_add_loop_test(tests, test_what_is_refused, 0, REFUSED_COUNT);
    tcase_add_test(tests, test_compare_table_and_folder);
    tcase_add_test(tests, test_compare_json_and_csv);
    tcase_add_test(tests, test_quiet_comparison_without_a_folder_prints_its_table);
    tcase_add_test(tests, test_compare_with_masks);
    tcase_add_test(tests, test_compare_goes_on_after_an_unreadable_image);
    tcase_add_test(tests, test_interrupted_between_passes);
    suite_add_tcase(suite, tests);
    return suite;
}
