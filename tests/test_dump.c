/* test_dump.c - cnnscope dump: parameter gradients, gates and winners, imposed gates, training
 * mode, and what is refused.
 */
#include "cli_runner.h"
#include "model_builder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder, *picture;

static void setup(void) {
    folder = strdup(test_temp_dir());
    picture = strdup(test_path(folder, "picture.png"));
    cli_draw(picture, 64, 1);
}

static void require(int code, const char *message, const char *words) {
    cli_result result = cli_run("%s", words);
    ck_assert_msg(result.code == code, "%s: exit code %d, expected %d\n%s", words, result.code,
                  code, result.err);
    ck_assert_msg(!message || strstr(result.err, message), "%s: '%s' is not in:\n%s", words,
                  message, result.err);
}

/* `cnnscope dump MODEL picture WORDS -o folder/NAME`, which must end with `code`. */
static void dump(const char *model, const char *words, const char *name, int code,
                 const char *message) {
    char line[1 << 14];
    snprintf(line, sizeof line, "dump %s %s %s -o %s/%s", model, picture, words, folder, name);
    require(code, message, line);
}

static cs_npy_array array_of(const char *format, const char *name) {
    char path[4096];
    cs_error err;
    cs_npy_array array;
    snprintf(path, sizeof path, format, folder, name);
    REQUIRE_OK(cs_npy_read_raw(path, &array, &err), err);
    return array;
}

/* ------------------------------------------------------------------ the engine's numbers -- */

/* A run as the dump makes it. */
static cs_run *run_like_dump(cs_model *model, cs_dtype dtype, bool training) {
    cs_error err;
    cs_run *run;
    cs_tensor input = {0}, logits, seed = {0};
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.dtype = dtype;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    cs_run_set_training(run, training);
    cs_run_keep_gates(run);
    REQUIRE_OK(cs_run_keep_parameter_gradient(run, NULL, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_npy_read(test_path(folder, "out/input.npy"), &input, &err), err);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    REQUIRE_OK(cs_run_output(run, &logits, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&seed, dtype, 1, logits.c, 1, 1, &err), err);
    cs_tensor_set(&seed, 0, 2, 0, 0, 1);
    REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
    cs_tensor_release(&seed);
    cs_tensor_release(&input);
    return run;
}

static void check_parameters(const cs_model *model, cs_run *run, cs_dtype dtype) {
    int checked = 0;
    for (int i = 0; i < cs_model_tensor_count(model); i++) {
        const cs_tensor_info *info = cs_model_tensor(model, i);
        cs_error err;
        cs_tensor gradient;
        if (strstr(info->name, "running")) {
            ck_assert(!cli_exists("%s/out/parameters/%s.npy", folder, info->name));
            continue;
        }
        REQUIRE_OK(cs_run_parameter_gradient(run, info->name, &gradient, &err), err);
        cs_npy_array array = array_of("%s/out/parameters/%s.npy", info->name);
        ck_assert_str_eq(array.descr, dtype == CS_F32 ? "<f4" : "<f8");
        ck_assert_int_eq(array.dims, info->dims);
        for (int d = 0; d < info->dims; d++)
            ck_assert_int_eq(array.shape[d], info->shape[d]);
        const size_t size = (size_t)info->count * cs_dtype_size(dtype);
        void *values = malloc(size);
        cs_tensor_copy_nchw(&gradient, values);
        ck_assert_msg(memcmp(values, array.data, size) == 0, "%s differs", info->name);
        free(values);
        free(array.data);
        checked++;
    }
    ck_assert_int_eq(checked, 38);
}

static void check_gates(cs_run *run) {
    cs_error err;
    cs_gates *gates, *read;
    int64_t flipped;
    REQUIRE_OK(cs_run_gates(run, &gates, &err), err);
    cs_model *model;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    REQUIRE_OK(cs_gates_load(model, test_path(folder, "out"), 0, 0, &read, &err), err);
    for (int i = 0; i < cs_gates_count(gates); i++) {
        REQUIRE_OK(cs_gates_flipped(gates, read, i, &flipped, &err), err);
        ck_assert_int_eq(flipped, 0);
    }
    cs_gates_free(read);
    cs_gates_free(gates);
    cs_model_free(model);
}

START_TEST(test_parameters_and_gates) {
    cs_error err;
    cs_model *model;
    const cs_dtype dtype = (cs_dtype)(_i % 2);
    const bool training = _i >= 2;
    char words[128];
    snprintf(words, sizeof words, "--params --class C --dtype %s%s", cs_dtype_name(dtype),
             training ? " --training" : "");
    dump(EXAMPLE_MODEL, words, "out", 0, NULL);
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    cs_run *run = run_like_dump(model, dtype, training);
    check_parameters(model, run, dtype);
    check_gates(run);
    ck_assert(!cli_exists("%s/out/gradients", folder)); /* not asked for */
    char *manifest = cli_text(test_path(folder, "out/manifest.json"));
    cli_require_json(manifest, "manifest.json");
    ck_assert_ptr_nonnull(
        strstr(manifest, training ? "\"training\": true" : "\"training\": false"));
    free(manifest);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

START_TEST(test_gates_are_the_signs_of_what_relu_gives) {
    dump(EXAMPLE_MODEL, "", "out", 0, NULL);
    cs_npy_array gates = array_of("%s/out/gates/%s.npy", "layer2.0.relu");
    cs_npy_array values = array_of("%s/out/activations/%s.npy", "layer2.0.relu");
    const int64_t count = test_npy_count(&gates);
    int64_t open = 0;
    ck_assert_int_eq(count, test_npy_count(&values));
    for (int64_t i = 0; i < count; i++) {
        ck_assert_int_eq(((uint8_t *)gates.data)[i], ((float *)values.data)[i] > 0);
        open += ((uint8_t *)gates.data)[i];
    }
    ck_assert(open > 0 && open < count);
    free(gates.data);
    free(values.data);

    /* Each winner is where the pool's value stands in its input. */
    cs_npy_array winners = array_of("%s/out/winners/%s.npy", "maxpool");
    cs_npy_array in = array_of("%s/out/activations/%s.npy", "relu");
    cs_npy_array out = array_of("%s/out/activations/%s.npy", "maxpool");
    const int64_t plane = in.shape[2] * in.shape[3], made = out.shape[2] * out.shape[3];
    for (int64_t i = 0; i < test_npy_count(&out); i++)
        ck_assert(((float *)in.data)[i / made * plane + ((int64_t *)winners.data)[i]] ==
                  ((float *)out.data)[i]);
    free(winners.data);
    free(in.data);
    free(out.data);
}
END_TEST

START_TEST(test_gates_of_named_nodes_alone) {
    dump(EXAMPLE_MODEL, "--nodes relu,layer2", "out", 0, NULL);
    ck_assert(cli_exists("%s/out/gates/relu.npy", folder));
    ck_assert(cli_exists("%s/out/gates/layer2.0.relu_1.npy", folder));
    ck_assert_int_eq(cli_shell("test $(ls %s/out/gates | wc -l) = 2", folder), 0);
    ck_assert(!cli_exists("%s/out/winners", folder));
}
END_TEST

/* ------------------------------------------------------------------ imposed gates -------- */

START_TEST(test_own_gates_change_nothing) {
    char words[4200];
    dump(EXAMPLE_MODEL, "--grad --params", "out", 0, NULL);
    snprintf(words, sizeof words, "--grad --params --gates %s/out", folder);
    dump(EXAMPLE_MODEL, words, "again", 0, NULL);
    cli_require_same_folders(test_path(folder, "out"), test_path(folder, "again"));
}
END_TEST

START_TEST(test_given_gates_are_followed) {
    char words[4200];
    cs_error err;
    dump(EXAMPLE_MODEL, "--grad", "out", 0, NULL);
    /* All gates of one relu open, all of another closed. */
    for (int i = 0; i < 2; i++) {
        cs_npy_array gates = array_of("%s/out/gates/%s.npy", i ? "layer4.0.relu_1" : "relu");
        const size_t size = (size_t)test_npy_count(&gates);
        memset(gates.data, 1 - i, size);
        char path[4200];
        snprintf(path, sizeof path, "%s/out/gates/%s.npy", folder, i ? "layer4.0.relu_1" : "relu");
        REQUIRE_OK(cs_npy_write_raw(path, "|b1", gates.shape, gates.dims, gates.data, size, &err),
                   err);
        free(gates.data);
    }
    snprintf(words, sizeof words, "--grad --gates %s/out", folder);
    dump(EXAMPLE_MODEL, words, "given", 0, NULL);
    ck_assert_int_eq(
        cli_shell("cd %s/given && cmp activations/relu.npy activations/bn1.npy", folder),
        0); /* open: the values go through, negative ones too */
    cs_npy_array closed = array_of("%s/given/activations/%s.npy", "layer4.0.relu_1");
    for (int64_t i = 0; i < test_npy_count(&closed); i++)
        ck_assert(((float *)closed.data)[i] == 0);
    free(closed.data);
    closed = array_of("%s/given/gradients/%s.npy", "layer4.0.add");
    for (int64_t i = 0; i < test_npy_count(&closed); i++)
        ck_assert(((float *)closed.data)[i] == 0);
    free(closed.data);
    ck_assert_int_eq(cli_shell("diff -r %s/out/gates %s/given/gates", folder, folder), 0);
}
END_TEST

/* ------------------------------------------------------------------ what is refused ------ */

START_TEST(test_gates_that_do_not_fit) {
    char words[4200], other[4200];
    snprintf(words, sizeof words, "--gates %s/absent", folder);
    dump(EXAMPLE_MODEL, words, "d", 3, "absent");
    dump(EXAMPLE_MODEL, "", "out", 0, NULL);
    snprintf(words, sizeof words, "--gates %s/out", folder);

    /* Another network: of other shapes, then without a node of that name. */
    char line[4300];
    snprintf(line, sizeof line,
             "init --arch resnet:block=basic,layers=1-1-1-1,width=4 --classes 3 -o %s/wide",
             folder);
    require(0, NULL, line);
    snprintf(other, sizeof other, "%s/wide.json", folder);
    dump(other, words, "d", 4, "another network");
    snprintf(line, sizeof line, "init --arch resnet20_cifar --classes 3 -o %s/cifar", folder);
    require(0, NULL, line);
    snprintf(other, sizeof other, "%s/cifar.json", folder);
    dump(other, words, "d", 4, "another network");

    /* A file cut short, one that is missing, and one that holds something else. */
    ck_assert_int_eq(cli_shell("cd %s && cp -r out cut && truncate -s 200 cut/gates/relu.npy && "
                               "cp -r out lost && rm lost/winners/maxpool.npy && cp -r out odd && "
                               "cp odd/activations/relu.npy odd/gates/relu.npy",
                               folder),
                     0);
    static const char *const damaged[] = {"cut", "gates/relu",           "lost", "winners/maxpool",
                                          "odd", "gates (bool or uint8)"};
    for (int i = 0; i < 6; i += 2) {
        snprintf(words, sizeof words, "--gates %s/%s", folder, damaged[i]);
        dump(EXAMPLE_MODEL, words, "d", 3, damaged[i + 1]);
    }
    ck_assert(!cli_exists("%s/d", folder));
}
END_TEST

START_TEST(test_unknown_nodes_list_the_nearest) {
    dump(EXAMPLE_MODEL, "--nodes layer1.0.con1", "d", 2, "layer1.0.conv1");
    dump(EXAMPLE_MODEL, "--nodes ''", "d", 2, "empty entry");
    ck_assert(!cli_exists("%s/d", folder));
}
END_TEST

/* ------------------------------------------------------------------ NaN and infinity ----- */

/* Two 1 x 1 convolutions and a mean; the input of size x size is `x` everywhere. */
static void dump_map(int size, const float first, const float second, float x, const char *words,
                     int code, const char *message) {
    const float weights[2] = {first, second};
    built_node nodes[] = {{.name = "a", .op = "conv2d", .inputs = {"input"}, .weight = &weights[0]},
                          {.name = "b", .op = "conv2d", .inputs = {"a"}, .weight = &weights[1]},
                          {.name = "pool", .op = "adaptive_avg_pool2d", .inputs = {"b"}},
                          {.name = "out", .op = "flatten", .inputs = {"pool"}}};
    for (int i = 0; i < 2; i++) {
        nodes[i].in_channels = 1;
        nodes[i].attributes = built_window(1, 1, 0, 1);
        nodes[i].attributes.out_channels = 1;
    }
    const built_model model = {.channels = 1,
                               .height = size,
                               .width = size,
                               .nodes = nodes,
                               .count = 4,
                               .output = "out",
                               .classes = 1};
    cs_error err;
    cs_tensor input = {0};
    char line[1 << 14];
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, 1, size, size, &err), err);
    for (int i = 0; i < size * size; i++)
        cs_tensor_set(&input, 0, 0, i / size, i % size, (double)x);
    REQUIRE_OK(cs_npy_write(test_path(folder, "input.npy"), &input, 4, &err), err);
    cs_tensor_release(&input);
    snprintf(line, sizeof line, "dump %s %s/input.npy %s -o %s/numbers",
             built_model_write(&model, folder, "model"), folder, words, folder);
    require(code, message, line);
    ck_assert(cli_exists("%s/numbers/activations/b.npy", folder));
    char *manifest = cli_text(test_path(folder, "numbers/manifest.json"));
    ck_assert_ptr_nonnull(
        strstr(manifest, code == 0 ? "\"status\": \"ok\"" : "\"status\": \"numeric\""));
    free(manifest);
    ck_assert_int_eq(cli_shell("rm -r %s/numbers %s/model.*", folder, folder), 0);
}

static void dump_of(const float first, const float second, float x, const char *words, int code,
                    const char *message) {
    dump_map(2, first, second, x, words, code, message);
}

START_TEST(test_nan_and_infinity_name_where_they_began) {
    dump_of(2, 3, 1, "--grad --params", 0, NULL);
    dump_of(NAN, 3, 1, "--grad --params", 5, "first in a.weight");
    dump_of(2, INFINITY, 1, "", 5, "first in b.weight");
    dump_of(2, 3, NAN, "--grad", 5, "first in input");
    dump_of(2, 3, -INFINITY, "--params", 5, "first in input");
    dump_of(1e30F, 1e30F, 1e-10F, "--grad", 5, "first in b"); /* 1e50 */
    /* Forward 1e30, backward 1e60. */
    dump_of(1e30F, 1e30F, 1e-30F, "", 0, NULL);
    dump_of(1e30F, 1e30F, 1e-30F, "--grad", 5, "first in a");
    dump_of(1e30F, 1e30F, 1e-30F, "--grad --dtype f64", 0, NULL);
    /* db = 1/4 each; da = 1e-10 * db; the weight's gradient of a is x * da. */
    dump_of(1e-30F, 1e10F, 3e38F, "--params", 5, "first in a");
    /* Four bands of 1.5e38 each: finite, but not their sum. */
    dump_map(32, 1e-30F, 2, 3e38F, "--params", 5, "first in a");
    dump_map(32, 1e-30F, 1, 3e38F, "--params", 0, NULL);
    dump_map(32, 1e-30F, 2, 3e38F, "--params --dtype f64", 0, NULL);
}
END_TEST

Suite *suite_dump(void);
Suite *suite_dump(void) {
    Suite *suite = suite_create("dump");
    TCase *tests = tcase_create("dump");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_loop_test(tests, test_parameters_and_gates, 0, 4);
    tcase_add_test(tests, test_gates_are_the_signs_of_what_relu_gives);
    tcase_add_test(tests, test_gates_of_named_nodes_alone);
    tcase_add_test(tests, test_own_gates_change_nothing);
    tcase_add_test(tests, test_given_gates_are_followed);
    tcase_add_test(tests, test_gates_that_do_not_fit);
    tcase_add_test(tests, test_unknown_nodes_list_the_nearest);
    tcase_add_test(tests, test_nan_and_infinity_name_where_they_began);
    suite_add_tcase(suite, tests);
    return suite;
}
