/* test_cli.c - the program from outside: exit codes, files, and what is printed. */
#include "cli_runner.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *picture, *folder;

static void setup(void) {
    folder = strdup(test_temp_dir());
    picture = strdup(test_path(folder, "picture.png"));
    cli_draw(picture, 200, 1);
}

static void require_code(cli_result result, int code) {
    ck_assert_msg(result.code == code, "exit code %d, expected %d\nstdout: %s\nstderr: %s",
                  result.code, code, result.out, result.err);
}

static void require_text(const char *text, const char *wanted) {
    ck_assert_msg(strstr(text, wanted) != NULL, "'%s' is not in:\n%s", wanted, text);
}

static const char *const commands[] = {"convert", "init", "info", "verify", "predict", "explain",
                                       "compare", "dump", "diff", "trace",  "demo",    "selftest"};
#define COMMAND_COUNT ((int)(sizeof commands / sizeof commands[0]))

START_TEST(test_every_command_has_help_with_an_example) {
    char example[64];
    cli_result result = cli_run("%s --help", commands[_i]);
    require_code(result, 0);
    snprintf(example, sizeof example, "Examples:\n  cnnscope %s ", commands[_i]);
    require_text(result.out, example);
    ck_assert_str_eq(result.err, "");
}
END_TEST

START_TEST(test_top_level) {
    cli_result result = cli_run("--version");
    require_code(result, 0);
    ck_assert_str_eq(result.out, "cnnscope " CNNSCOPE_VERSION "\n");
    result = cli_run("--limits");
    require_code(result, 0);
    ck_assert(strlen(result.out) > 0);
    result = cli_run("--help");
    require_code(result, 0);
    for (int i = 0; i < COMMAND_COUNT; i++)
        require_text(result.out, commands[i]);
    result = cli_run("%s", "");
    require_code(result, 2);
    result = cli_run("explian");
    require_code(result, 2);
    require_text(result.err, "did you mean 'explain'");
    /* Commands of the design that do not exist yet are not known. */
    require_code(cli_run("diagnos x y -o z"), 2);
}
END_TEST

static const struct {
    const char *words, *message;
} usage_errors[] = {
    {"explain m.json a.png -o d --lyer layer4", "did you mean '--layer'"},
    {"explain m.json a.png -o", "needs a value"},
    {"explain m.json a.png -o --json", "needs a value"},
    {"explain m.json -o d", "an argument is missing"},
    {"explain m.json a.png", "no output folder"},
    {"explain m.json a.png -o d --method scorecm", "gradcam"},
    {"explain m.json a.png -o d --kernel fast", "auto, dense, skip"},
    {"explain m.json a.png -o d --quiet=yes", "takes no value"},
    {"explain m.json a.png -o d -x", "unknown option '-x'"},
    {"predict m.json a.png --threads 0", "expected a whole number from 1"},
    {"predict m.json a.png --threads=2x", "expected a whole number from 1"},
    {"predict m.json a.png --engine fast", "direct and gemm"},
    {"predict m.json a.png --dtype f16", "f32 and f64"},
    {"predict m.json a.png --isa sse9", "portable-nofma"},
    {"convert a.pth -o m --dtype f64", "has no effect on this command"},
    {"convert a.pth", "-o NAME"},
    {"convert a.pth -o m --mean 0.5,x", "expected numbers"},
    {"convert a.pth -o m --size 0", "expected N"},
    {"convert a.pth -o m --classes A,,B", "empty entry"},
    {"init --arch resnet18 -o m", "--classes"},
    {"verify m.json other.json", "unexpected argument"},
    {"dump m.json a.png -o d --param", "did you mean '--params'"},
    {"predict best_model.pth a.png", "convert it first"},
};

START_TEST(test_usage_errors) {
    cli_result result = cli_run("%s", usage_errors[_i].words);
    require_code(result, 2);
    require_text(result.err, usage_errors[_i].message);
    ck_assert_str_eq(result.out, "");
}
END_TEST

START_TEST(test_init_makes_the_example_network) {
    size_t size_a = 0, size_b = 0;
    require_code(cli_run("init --arch resnet:block=basic,layers=1-1-1-1,width=3 --classes A,B,C "
                         "--seed 1 -o %s/small_resnet",
                         folder),
                 0);
    for (int i = 0; i < 2; i++) {
        char made[2048];
        snprintf(made, sizeof made, "%s/small_resnet%s", folder, i ? ".bin" : ".json");
        char *a = test_file_get(made, &size_a);
        char *b = test_file_get(i ? "examples/small_resnet.bin" : EXAMPLE_MODEL, &size_b);
        ck_assert_uint_eq(size_a, size_b);
        ck_assert_msg(memcmp(a, b, size_a) == 0, "%s differs from the committed one", made);
        free(a);
        free(b);
    }
    /* Nothing is overwritten without --force. */
    require_code(cli_run("init --arch resnet18 --classes 2 -o %s/small_resnet", folder), 6);
    cli_result result = cli_run("init --arch resnet20_cifar --classes 3 --force --json -o "
                                "%s/small_resnet",
                                folder);
    require_code(result, 0);
    cli_require_json(result.out, "init --json");
}
END_TEST

START_TEST(test_info) {
    cli_result result = cli_run("info " EXAMPLE_MODEL " --layers --memory");
    require_code(result, 0);
    require_text(result.out, "layer4.0.relu_1");
    require_text(result.out, "default layer  layer4");
    require_text(result.out, "memory         for explain");
    result = cli_run("info " EXAMPLE_MODEL " --layers --memory --json");
    require_code(result, 0);
    cli_require_json(result.out, "info --json");
    require_text(result.out, "\"default_layer\": \"layer4\"");
    require_code(cli_run("info %s/absent.json", folder), 3);
}
END_TEST

/* Copies the example network to folder/small_resnet with one bit of a weight, or the first digit of
 * the golden logits, changed. */
static void damage_example(bool weight) {
    size_t json_size = 0, bin_size = 0;
    char *json = test_file_get(EXAMPLE_MODEL, &json_size);
    char *bin = test_file_get("examples/small_resnet.bin", &bin_size);
    char *logits = strstr(json, "\"logits_hex\"");
    ck_assert_ptr_nonnull(logits);
    char *digit = strstr(logits, "0x1.");
    ck_assert_ptr_nonnull(digit);
    if (weight)
        bin[bin_size / 2] = (char)(bin[bin_size / 2] ^ 1);
    else
        digit[4] = digit[4] == '0' ? '1' : '0';
    test_file_put(test_path(folder, "small_resnet.json"), json, json_size);
    test_file_put(test_path(folder, "small_resnet.bin"), bin, bin_size);
    free(json);
    free(bin);
}

START_TEST(test_verify) {
    cli_result result = cli_run("verify " EXAMPLE_MODEL);
    require_code(result, 0);
    require_text(result.out, "golden  equal: 3 logits");
    result = cli_run("verify --isa portable-nofma --threads 3 --json " EXAMPLE_MODEL);
    require_code(result, 0);
    cli_require_json(result.out, "verify --json");
    require_code(cli_run("verify %s/absent.json", folder), 3);

    damage_example(true);
    result = cli_run("verify %s/small_resnet.json", folder);
    require_code(result, 1);
    require_text(result.out, "binary  DIFFERS");
    damage_example(false);
    result = cli_run("verify %s/small_resnet.json", folder);
    require_code(result, 1);
    require_text(result.out, "golden  DIFFERS: 1 of 3 logits; the first is logit 0: expected ");
    require_text(result.out, "0x1.");
}
END_TEST

START_TEST(test_predict) {
    char one[4096];
    cli_result result = cli_run("predict " EXAMPLE_MODEL " %s --topk 2", picture);
    require_code(result, 0);
    require_text(result.out, "probability");
    result = cli_run("predict " EXAMPLE_MODEL " %s --json --threads 1", picture);
    require_code(result, 0);
    cli_require_json(result.out, "predict --json");
    require_text(result.out, "\"status\": \"ok\"");
    ck_assert_ptr_eq(strchr(result.out, '\n'), result.out + strlen(result.out) - 1);
    snprintf(one, sizeof one, "%s", result.out);
    ck_assert_str_eq(one, cli_run("predict " EXAMPLE_MODEL " %s --json --threads 2", picture).out);
    ck_assert_str_eq(
        one, cli_run("predict " EXAMPLE_MODEL " %s --json --isa portable-nofma", picture).out);
    ck_assert_str_eq(one, cli_run("predict " EXAMPLE_MODEL " %s --json --no-mmap", picture).out);
    result = cli_run("predict " EXAMPLE_MODEL " %s --json --repeat 3 --timings", picture);
    require_code(result, 0);
    cli_require_json(result.out, "predict --timings");
    require_text(result.out, "\"timings\": {\"forward_seconds\": [");
}
END_TEST

START_TEST(test_predict_goes_on_after_an_unreadable_image) {
    cli_result result =
        cli_run("predict " EXAMPLE_MODEL " %s/absent.png %s --json", folder, picture);
    require_code(result, 3);
    require_text(result.out, "\"status\": \"io\"");
    require_text(result.out, "\"status\": \"ok\"");
    require_text(result.err, "absent.png");
}
END_TEST

#define MAP "class-%d-gradcam-layer4"
static const char *const endings[] = {".npy", "-heatmap.npy", "-heatmap.png", "-overlay.png",
                                      "-figure.png"};

START_TEST(test_explain_writes_its_files) {
    cli_result result =
        cli_run("explain " EXAMPLE_MODEL " %s --class all -o %s/out/", picture, folder);
    require_code(result, 0);
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
            ck_assert_msg(cli_exists("%s/out/picture/" MAP "%s", folder, k, endings[i]),
                          "class %d: no %s", k, endings[i]);
    char *manifest = cli_text(test_path(folder, "out/manifest.json"));
    cli_require_json(manifest, "manifest.json");
    require_text(manifest, "\"binary_sha256\"");
    require_text(manifest, "\"backward_seconds\"");
    free(manifest);

    /* An existing folder is refused before any work, and stays as it is. */
    result = cli_run("explain absent.json %s -o %s/out", picture, folder);
    require_code(result, 6);
    require_text(result.err, "exists already");
    ck_assert(cli_exists("%s/out/picture/class-0-gradcam-layer4.npy", folder));
    ck_assert_int_ne(cli_shell("ls -d %s/*partial* 2>/dev/null", folder), 0);
    require_code(cli_run("explain " EXAMPLE_MODEL " %s -o %s/no/such", picture, folder), 6);
}
END_TEST

START_TEST(test_explain_is_the_same_for_all_threads) {
    static const char *const how[] = {"--threads 1", "--threads 2", "--isa portable-nofma",
                                      "--no-mmap --threads 3"};
    char *paths[4];
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "out%d", i);
        paths[i] = strdup(test_path(folder, name));
        require_code(cli_run("explain " EXAMPLE_MODEL " %s --class topk:2 --layer 'layer3[-1]' "
                             "-o %s %s",
                             picture, paths[i], how[i]),
                     0);
        ck_assert(cli_exists("%s/picture", paths[i]));
        if (i > 0)
            cli_require_same_folders(paths[0], paths[i]);
    }
    for (int i = 0; i < 4; i++)
        free(paths[i]);
}
END_TEST

START_TEST(test_explain_goes_on_after_an_unreadable_image) {
    char *other = strdup(test_path(folder, "other"));
    ck_assert_int_eq(cli_shell("mkdir %s && cp %s %s/ && echo no image > %s/bad.png", other,
                               picture, other, other),
                     0);
    cli_result result = cli_run("explain " EXAMPLE_MODEL " %s %s/bad.png %s/picture.png -o %s/out",
                                picture, other, other, folder);
    require_code(result, 3);
    require_text(result.err, "bad.png");
    ck_assert(cli_exists("%s/out/picture", folder));
    ck_assert(cli_exists("%s/out/picture-2", folder));
    ck_assert(!cli_exists("%s/out/bad", folder));
    char *manifest = cli_text(test_path(folder, "out/manifest.json"));
    cli_require_json(manifest, "manifest.json");
    require_text(manifest, "\"folder\": \"picture-2\"");
    require_text(manifest, "\"message\"");
    free(manifest);

    require_code(cli_run("explain " EXAMPLE_MODEL " %s/bad.png -o %s/none", other, folder), 3);
    ck_assert(!cli_exists("%s/none", folder));
    free(other);
}
END_TEST

START_TEST(test_empty_map_is_reported) {
    /* The map of the predicted class is positive everywhere, so that of its negative is empty. */
    cli_result result =
        cli_run("explain " EXAMPLE_MODEL " %s --target neg-logit -q -o %s/out", picture, folder);
    require_code(result, 0);
    require_text(result.err, "empty map");
    require_text(result.err, "before the ReLU the map is from -0.");
    char *manifest = cli_text(test_path(folder, "out/manifest.json"));
    require_text(manifest, "\"status\": \"empty\"");
    require_text(manifest, "\"min_before_relu\": -0.");
    free(manifest);
}
END_TEST

START_TEST(test_not_a_number) {
    cs_error err;
    cs_tensor input = {0};
    char *path = strdup(test_path(folder, "nan.npy"));
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, 3, 224, 224, &err), err);
    cs_tensor_set(&input, 0, 1, 100, 100, nan(""));
    REQUIRE_OK(cs_npy_write(path, &input, 4, &err), err);
    cs_tensor_release(&input);
    cli_result result = cli_run("predict " EXAMPLE_MODEL " %s %s --json", path, picture);
    require_code(result, 5);
    require_text(result.out, "\"status\": \"numeric\"");
    require_text(result.out, "\"status\": \"ok\"");
    require_text(result.err, "input");
    require_code(cli_run("explain " EXAMPLE_MODEL " %s -o %s/out", path, folder), 5);
    ck_assert(!cli_exists("%s/out", folder));
    /* Where the NaN came from is what a dump is for. */
    require_code(cli_run("dump " EXAMPLE_MODEL " %s -o %s/out --grad", path, folder), 5);
    ck_assert(cli_exists("%s/out/activations/layer1.0.add.npy", folder));
    free(path);

    /* A model without golden logits cannot be verified. */
    char *json = cli_text(EXAMPLE_MODEL);
    char *golden = strstr(json, "\"golden\":");
    ck_assert_ptr_nonnull(golden);
    strcpy(golden, "\"golden\": null}");
    test_file_put(test_path(folder, "small_resnet.json"), json, strlen(json));
    free(json);
    ck_assert_int_eq(cli_shell("cp examples/small_resnet.bin %s/", folder), 0);
    result = cli_run("verify %s/small_resnet.json", folder);
    require_code(result, 5);
    require_text(result.out, "golden  none");
}
END_TEST

START_TEST(test_explain_names) {
    cli_result result =
        cli_run("explain " EXAMPLE_MODEL " %s --layer layer44 -o %s/out", picture, folder);
    require_code(result, 2);
    require_text(result.err, "layer4");
    ck_assert(!cli_exists("%s/out", folder));
    require_code(cli_run("explain " EXAMPLE_MODEL " %s --class D -o %s/out", picture, folder), 2);
    require_code(cli_run("explain " EXAMPLE_MODEL " %s --class 3 -o %s/out", picture, folder), 2);
    require_code(cli_run("explain " EXAMPLE_MODEL " %s --class topk:0 -o %s/out", picture, folder),
                 2);
    result = cli_run("explain " EXAMPLE_MODEL " %s --class B --target margin:C --dtype f64 --layer "
                     "model.layer3.0.conv2 -q -o %s/out",
                     picture, folder);
    require_code(result, 0);
    ck_assert_str_eq(result.out, "");
    ck_assert(cli_exists("%s/out/picture/class-1-gradcam-layer3.0.conv2.npy", folder));
}
END_TEST

START_TEST(test_dump) {
    cs_error err;
    cs_tensor gradient = {0};
    cli_result result = cli_run("dump " EXAMPLE_MODEL " %s --nodes layer2,layer1.0.bn1 --grad "
                                "--class B --dtype f64 -o %s/out",
                                picture, folder);
    require_code(result, 0);
    static const char *const files[] = {
        "input",           "activations/layer2", "activations/layer1.0.bn1", "activations/fc",
        "gradients/input", "gradients/layer2",   "gradients/layer1.0.bn1",   "gradients/fc"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        ck_assert_msg(cli_exists("%s/out/%s.npy", folder, files[i]), "no %s", files[i]);
    ck_assert(!cli_exists("%s/out/activations/layer3.npy", folder));
    char *manifest = cli_text(test_path(folder, "out/manifest.json"));
    cli_require_json(manifest, "manifest.json");
    free(manifest);

    /* The gradient of logit 1 with respect to the logits. */
    REQUIRE_OK(cs_npy_read(test_path(folder, "out/gradients/fc.npy"), &gradient, &err), err);
    ck_assert_int_eq(gradient.dtype, CS_F64);
    ck_assert_int_eq(gradient.c, 3);
    for (int c = 0; c < 3; c++)
        ck_assert(cs_tensor_at(&gradient, 0, c, 0, 0) == (c == 1 ? 1.0 : 0.0));
    cs_tensor_release(&gradient);
    require_code(cli_run("dump " EXAMPLE_MODEL " %s -o %s/out", picture, folder), 6);
}
END_TEST

START_TEST(test_dump_of_all_is_a_superset_with_the_same_bytes) {
    char *few = strdup(test_path(folder, "few")), *all = strdup(test_path(folder, "all"));
    require_code(cli_run("dump " EXAMPLE_MODEL " %s --grad -o %s --threads 2", picture, all), 0);
    require_code(
        cli_run("dump " EXAMPLE_MODEL " %s/input.npy --grad --nodes conv1,fc -o %s", all, few), 0);
    /* Observation: what was kept beside them changes nothing. */
    ck_assert_int_eq(cli_shell("for f in input activations/conv1 activations/fc gradients/conv1 "
                               "gradients/input; do cmp %s/$f.npy %s/$f.npy || exit 1; done",
                               few, all),
                     0);
    ck_assert(cli_exists("%s/activations/layer3.0.add.npy", all));
    ck_assert(cli_exists("%s/gradients/maxpool.npy", all));
    free(few);
    free(all);
}
END_TEST

START_TEST(test_interrupt_leaves_nothing_behind) {
    enum { IMAGES = 2000 };
    static char *arguments[IMAGES + 8];
    char *out = strdup(test_path(folder, "out"));
    int count = 0;
    arguments[count++] = "cnnscope";
    arguments[count++] = "explain";
    arguments[count++] = "--quiet";
    arguments[count++] = EXAMPLE_MODEL;
    for (int i = 0; i < IMAGES; i++)
        arguments[count++] = picture;
    arguments[count++] = "-o"; /* options may stand last */
    arguments[count++] = out;
    pid_t child = fork();
    if (child == 0) {
        ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
        execv(cli_program(), arguments);
        _exit(127);
    }
    char name[64];
    snprintf(name, sizeof name, "out.partial-%ld", (long)child);
    char *partial = strdup(test_path(folder, name));
    for (int i = 0; i < 1000 && !cli_exists("%s/picture-2", partial); i++)
        usleep(10000);
    ck_assert(cli_exists("%s/picture-2", partial));
    int status = 0;
    kill(child, SIGINT);
    waitpid(child, &status, 0);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 130);
    ck_assert(!cli_exists("%s", out));
    ck_assert(!cli_exists("%s", partial));
    free(out);
    free(partial);
}
END_TEST

/* The network that reads the tag is found out, its twin is not. */
START_TEST(test_demo) {
    cli_result result = cli_run("demo %s/demo", folder);
    require_code(result, 0);
    ck_assert(strstr(result.out, "corner   supported  OPACITY (class 1), top_left: 100 %"));
    ck_assert(strstr(result.out, "right on 100 % of 120 images"));
    const char *twin = strstr(result.out, "fair_reader.json");
    ck_assert(twin && !strstr(twin, "supported") && !strstr(twin, "map only"));
    ck_assert(cli_exists("%s/demo/tag-reader/report.html", folder));
    ck_assert(cli_exists("%s/demo/fair-reader/report.html", folder));
    ck_assert(cli_exists("%s/demo/explained/sick-tag/class-1-gradcam-layer2-figure.png", folder));
    require_code(cli_run("demo %s/demo", folder), 6);
}
END_TEST

Suite *suite_cli(void);
Suite *suite_cli(void) {
    Suite *suite = suite_create("cli");
    TCase *tests = tcase_create("cli");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_loop_test(tests, test_every_command_has_help_with_an_example, 0, COMMAND_COUNT);
    tcase_add_test(tests, test_top_level);
    tcase_add_loop_test(tests, test_usage_errors, 0,
                        (int)(sizeof usage_errors / sizeof usage_errors[0]));
    tcase_add_test(tests, test_init_makes_the_example_network);
    tcase_add_test(tests, test_info);
    tcase_add_test(tests, test_verify);
    tcase_add_test(tests, test_predict);
    tcase_add_test(tests, test_predict_goes_on_after_an_unreadable_image);
    tcase_add_test(tests, test_explain_writes_its_files);
    tcase_add_test(tests, test_explain_is_the_same_for_all_threads);
    tcase_add_test(tests, test_explain_goes_on_after_an_unreadable_image);
    tcase_add_test(tests, test_empty_map_is_reported);
    tcase_add_test(tests, test_not_a_number);
    tcase_add_test(tests, test_explain_names);
    tcase_add_test(tests, test_dump);
    tcase_add_test(tests, test_dump_of_all_is_a_superset_with_the_same_bytes);
    tcase_add_test(tests, test_interrupt_leaves_nothing_behind);
    tcase_add_test(tests, test_demo);
    suite_add_tcase(suite, tests);
    return suite;
}
