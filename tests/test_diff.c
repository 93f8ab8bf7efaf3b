/* test_diff.c - cnnscope diff: dumps in which one thing was changed, limits, and folders that are
 * no dumps or not of one model.
 */
#include "cli_runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder;

/* A dump in folder/a, and a copy in folder/b. */
static void setup(void) {
    folder = strdup(test_temp_dir());
    const char *picture = test_path(folder, "picture.png");
    cli_draw(picture, 64, 1);
    cli_result result =
        cli_run("dump " EXAMPLE_MODEL " %s --grad --params -q -o %s/a", picture, folder);
    ck_assert_int_eq(result.code, 0);
    ck_assert_int_eq(cli_shell("cp -r %s/a %s/b", folder, folder), 0);
}

/* `cnnscope diff folder/a folder/b WORDS`; `message` must be in what it prints. */
static const char *diff(const char *words, int code, const char *message) {
    cli_result result = cli_run("diff %s/a %s/b %s", folder, folder, words);
    ck_assert_msg(result.code == code, "%s: exit code %d, expected %d\n%.900s%.900s", words,
                  result.code, code, result.out, result.err);
    const char *printed = code <= 1 ? result.out : result.err;
    ck_assert_msg(strstr(printed, message) != NULL, "'%s' is not in:\n%.1500s", message, printed);
    return printed;
}

/* Reads folder/b/NAME.npy, for a change, and writes it back. */
static cs_npy_array take(const char *name) {
    char path[4096];
    cs_error err;
    cs_npy_array array;
    snprintf(path, sizeof path, "%s/b/%s.npy", folder, name);
    REQUIRE_OK(cs_npy_read_raw(path, &array, &err), err);
    return array;
}

static void put(const char *name, cs_npy_array *a) {
    char path[4096];
    cs_error err;
    const size_t element = (size_t)(a->descr[2] - '0');
    snprintf(path, sizeof path, "%s/b/%s.npy", folder, name);
    REQUIRE_OK(cs_npy_write_raw(path, a->descr, a->shape, a->dims, a->data,
                                (size_t)test_npy_count(a) * element, &err),
               err);
    free(a->data);
}

/* Sets entry i of a float32 array. */
static void set(const char *name, int64_t i, float value) {
    cs_npy_array a = take(name);
    ((float *)a.data)[i] = value;
    put(name, &a);
}

static float get(const char *name, int64_t i) {
    cs_npy_array a = take(name);
    const float value = ((float *)a.data)[i];
    free(a.data);
    return value;
}

/* ------------------------------------------------------------------ what differs --------- */

START_TEST(test_equal) {
    diff("", 0,
         "equal: 133 files, every value"); /* input, twice 42 nodes, 10 of gates and winners, 38 */
    cli_require_json(diff("--json", 0, "\"first\": null"), "diff --json");
    diff("--only gates,winners", 0, "equal: 10 files");
}
END_TEST

START_TEST(test_one_value) {
    const float old = get("activations/layer2.0.conv2", 7);
    set("activations/layer2.0.conv2", 7, nextafterf(old, 1e9F));
    set("activations/layer3.0.conv1", 0, 1e9F);
    const char *line = diff("", 1, "parts first at layer2.0.conv2 (activation): 1 of ");
    ck_assert_ptr_nonnull(strstr(line, "at [0,0,0,7]"));
    ck_assert_ptr_nonnull(strstr(line, "at most 1 ulp of f32"));
    diff("--ulp 1", 1, "parts first at layer3.0.conv1");
    diff("--tolerance 2", 0, "equal within the limits: of 133 files 2 differ, 0 by more");
    diff("--only gradient", 0, "equal: 42 files");
    cli_require_json(diff("--json", 1, "\"equal\": false"), "diff --json");
}
END_TEST

/* The backward pass goes from the last node back, behind the forward pass. */
START_TEST(test_order_of_a_pass) {
    set("parameters/conv1.weight", 0, 1e9F);
    set("parameters/fc.bias", 0, 1e9F);
    diff("", 1, "parts first at fc.bias (parameter)");
    set("gradients/layer1.0.conv1", 0, 1e9F);
    diff("", 1, "parts first at layer1.0.conv1 (gradient)");
    set("gradients/layer3.0.conv1", 0, 1e9F);
    diff("", 1, "parts first at layer3.0.conv1 (gradient)");
    set("activations/fc", 0, 1e9F);
    diff("", 1, "parts first at fc (activation)");
    cs_npy_array gates = take("gates/layer2.0.relu");
    ((uint8_t *)gates.data)[3] ^= 1;
    put("gates/layer2.0.relu", &gates);
    diff("", 1, "parts first at layer2.0.relu (gates): 1 of ");
    diff("--flips 1", 1, "parts first at fc (activation)");
    cs_npy_array winners = take("winners/maxpool");
    ((int64_t *)winners.data)[3] += 1;
    ((int64_t *)winners.data)[4] += 1;
    put("winners/maxpool", &winners);
    diff("--flips 1", 1, "parts first at maxpool (winners): 2 of ");
    set("input", 0, 1e9F);
    diff("", 1, "parts first at input (input)");
}
END_TEST

START_TEST(test_nan_infinity_and_zeros) {
    cs_npy_array a = take("activations/layer2.0.conv2"), b = take("activations/layer2.0.conv2");
    float *x = a.data, *y = b.data;
    const float special[][2] = {{NAN, NAN}, {INFINITY, INFINITY}, {0.0F, -0.0F}};
    for (int i = 0; i < 3; i++) {
        x[i] = special[i][0];
        y[i] = special[i][1];
    }
    put("activations/layer2.0.conv2", &a);
    ck_assert_int_eq(cli_shell("rm -r %s/a && cp -r %s/b %s/a", folder, folder, folder), 0);
    put("activations/layer2.0.conv2", &b);
    diff("", 0, "every value");
    set("activations/layer2.0.conv2", 0, 1.0F);
    diff("--tolerance 1e30 --ulp 1e30", 1, "by at most inf");
    cli_require_json(diff("--json", 1, "\"ulp\": null"), "diff --json");
}
END_TEST

START_TEST(test_types) {
    cli_result result = cli_run("dump " EXAMPLE_MODEL " %s/a/input.npy --grad --params --dtype f64 "
                                "--gates %s/a -q -o %s/wide",
                                folder, folder, folder);
    ck_assert_int_eq(result.code, 0);
    ck_assert_int_eq(cli_shell("cd %s && rm -r b && mv wide b", folder), 0);
    diff("--only input,gates,winners", 0, "equal: 11 files");
    const char *line = diff("", 1, "ulp of f32");
    ck_assert_ptr_nonnull(strstr(line, "the files of the images differ")); /* .png and .npy */
    diff("--tolerance 2e-5", 0, "equal within the limits");
    /* Fewer nodes, and a module's name: what both have is compared. */
    result = cli_run("dump " EXAMPLE_MODEL " %s/a/input.npy --nodes layer2,conv1 -q -o %s/few",
                     folder, folder);
    ck_assert_int_eq(result.code, 0);
    ck_assert_int_eq(cli_shell("cd %s && rm -r b && mv few b", folder), 0);
    diff("", 0, "129 files that only A has, 1 that only B has");
}
END_TEST

/* ------------------------------------------------------------------ what is refused ------ */

static const struct {
    const char *change; /* in folder/b */
    int code;
    const char *message;
} refusals[] = {
    {"rm -r *", 3, "no manifest.json"},
    {"rm manifest.json", 3, "no manifest.json"},
    {"rm activations/relu.npy", 3, "incomplete: 1 of the 133 files"},
    {"rm -r parameters gates/relu.npy", 3, "incomplete: 39 of the 133 files"},
    {"truncate -s 300 gradients/fc.npy gradients/relu.npy", 3, "gradients/fc.npy"},
    {"sed -i s/cnnscope-output/other/ manifest.json", 3, "is of another kind"},
    {"sed -i 's/\"dump\"/\"explain\"/' manifest.json", 3, "output of cnnscope explain"},
    {"sed -i 's/\"nodes\": \\[/\"no\": [/' manifest.json", 3, "nodes"},
    {"sed -i 's/\"index\": 3/\"index\": -3/' manifest.json", 3, "without \"index\""},
    {"sed -i 's,\"conv1.weight\",\"../a/input\",' manifest.json", 3, "cannot be a file"},
    {"sed -i 's/\"winners\"/\"gates\"/' manifest.json", 3, "manifest.json"},
    {"truncate -s 100 manifest.json", 3, "manifest.json"},
    {"sed -i 's/\"binary_sha256\": \"d5/\"binary_sha256\": \"e5/' manifest.json", 4,
     "different models"},
    {"cp activations/conv1.npy activations/maxpool.npy", 4, "activations/maxpool.npy has shape ["},
    {"cp activations/relu.npy gates/relu.npy", 3, "gates (bool or uint8) were expected"},
    {"cp gates/relu.npy activations/relu.npy", 3, "float32 or float64 were expected"},
    {"sed -i 's/<f4/<f2/' activations/relu.npy", 3, "activations/relu.npy"},
    {"sed -i 's/<f4/>f4/' activations/relu.npy", 3, "activations/relu.npy"},
};

START_TEST(test_folders_that_do_not_fit) {
    ck_assert_int_eq(cli_shell("cd %s/b && %s", folder, refusals[_i].change), 0);
    diff("", refusals[_i].code, refusals[_i].message);
}
END_TEST

START_TEST(test_words) {
    diff("--only gates,nothing", 2, "there is no kind 'nothing'");
    diff("--tolerance -1", 2, "from 0 on");
    cli_result result = cli_run("diff %s/a %s/absent", folder, folder);
    ck_assert_int_eq(result.code, 3);
    ck_assert_ptr_nonnull(strstr(result.err, "absent"));
    ck_assert_int_eq(cli_run("diff %s/a", folder).code, 2);
    diff("--quiet", 0, "equal: 133 files");
}
END_TEST

Suite *suite_diff(void);
Suite *suite_diff(void) {
    Suite *suite = suite_create("diff");
    TCase *tests = tcase_create("diff");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_equal);
    tcase_add_test(tests, test_one_value);
    tcase_add_test(tests, test_order_of_a_pass);
    tcase_add_test(tests, test_nan_infinity_and_zeros);
    tcase_add_test(tests, test_types);
    tcase_add_loop_test(tests, test_folders_that_do_not_fit, 0,
                        (int)(sizeof refusals / sizeof refusals[0]));
    tcase_add_test(tests, test_words);
    suite_add_tcase(suite, tests);
    return suite;
}
