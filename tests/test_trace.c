/* test_trace.c - cnnscope trace: every operation's outputs, gradients and parameter gradients,
 * traced term by term, have the engine's bits; what is printed, and what is refused.
 */
#include "cli_runner.h"
#include "random_model.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ the same bits -------- */

static random_model net; /* large; one a process */

static cs_run *run_of(cs_model *model, cs_dtype dtype, uint64_t seed) {
    cs_error err;
    cs_run *run;
    cs_tensor input = {0}, logits, direction = {0};
    cs_random random = {seed};
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    const cs_preprocess *p = cs_model_preprocess(model);
    options.dtype = dtype;
    options.max_batch = 2;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    for (int i = 0; i < cs_model_node_count(model); i++)
        REQUIRE_OK(cs_run_keep_activation(run, cs_model_node(model, i)->name, &err), err);
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    REQUIRE_OK(cs_run_keep_parameter_gradient(run, NULL, &err), err);
    cs_run_keep_gates(run);
    REQUIRE_OK(cs_tensor_allocate(&input, dtype, 2, p->channels, p->height, p->width, &err), err);
    cs_random_fill_input(&random, &input);
    for (int64_t c = 0; c < p->channels; c++) /* zeros and ties */
        for (int64_t i = 0; i < p->height * p->width / 2; i++)
            cs_tensor_set(&input, 0, c, i / p->width, i % p->width, 0);
    cs_error unused;
    for (int i = 1; i < cs_model_node_count(model); i++) /* not all lead to the output */
        if (cs_run_keep_gradient(run, cs_model_node(model, i)->name, &unused) == CS_OK &&
            cs_run_prepare(run, &unused) != CS_OK)
            ck_abort_msg("%s: %s", cs_model_node(model, i)->name, unused.text);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    REQUIRE_OK(cs_run_output(run, &logits, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&direction, dtype, 2, logits.c, logits.h, logits.w, &err), err);
    cs_random_fill_input(&random, &direction);
    REQUIRE_OK(cs_run_backward(run, &direction, &err), err);
    cs_tensor_release(&direction);
    cs_tensor_release(&input);
    return run;
}

typedef struct counted {
    int values, gradients, several, parameters;
    int bands; /* of weights whose sums are of several bands */
} counted;

static void require_bits(double traced, double own, const char *what, const char *node, int seed,
                         trace_place at) {
    ck_assert_msg(memcmp(&traced, &own, sizeof own) == 0,
                  "network %d: %s of %s at [%lld,%lld,%lld,%lld] is traced as %a, the engine has "
                  "%a",
                  seed, what, node, (long long)at.n, (long long)at.c, (long long)at.h,
                  (long long)at.w, traced, own);
}

/* Some places of a node. */
static void check_node(const trace_scene *s, int node, int seed, cs_random *random, counted *n) {
    const cs_tensor *value = &s->values[node], *gradient = &s->gradients[node];
    const char *name = cs_model_node(s->model, node)->name;
    for (int i = 0; i < 12; i++) {
        const trace_place at = {(int64_t)(cs_random_next(random) % 2),
                                (int64_t)(cs_random_next(random) % (uint64_t)value->c),
                                (int64_t)(cs_random_next(random) % (uint64_t)value->h),
                                (int64_t)(cs_random_next(random) % (uint64_t)value->w)};
        trace lines = {0};
        require_bits(trace_forward(&lines, s, node, at),
                     cs_tensor_at(value, at.n, at.c, at.h, at.w), "the output", name, seed, at);
        ck_assert_int_gt(lines.count, 0);
        n->values++;
        trace_free(&lines);
        if (!gradient->data)
            continue;
        require_bits(trace_gradient(&lines, s, node, at),
                     cs_tensor_at(gradient, at.n, at.c, at.h, at.w), "the gradient", name, seed,
                     at);
        int parts = 0;
        for (int64_t k = 0; k < lines.count; k++)
            parts += lines.items[k].kind == TRACE_PART && lines.items[k].text[0] != 0;
        n->several += parts > 2;
        n->gradients++;
        ck_assert(!lines.full);
        trace_free(&lines);
    }
}

/* Some entries of the gradients of a node's weight and bias. */
static void check_parameters(const trace_scene *s, cs_run *run, int node, int seed,
                             cs_random *random, counted *n) {
    const cs_node_info *info = cs_model_node(s->model, node);
    for (int i = 0; i < 12 * info->parameters && s->gradients[node].data; i++) {
        const int tensor = info->parameter[i % info->parameters];
        const cs_tensor_info *parameter = cs_model_tensor(s->model, tensor);
        cs_error err;
        cs_tensor own;
        int64_t at[4] = {0};
        trace lines = {0};
        if (trace_parameter_slot(s, node, tensor) < 0)
            continue; /* a running statistic */
        REQUIRE_OK(cs_run_parameter_gradient(run, parameter->name, &own, &err), err);
        for (int k = 0; k < parameter->dims; k++)
            at[k] = (int64_t)(cs_random_next(random) % (uint64_t)parameter->shape[k]);
        const trace_place place = parameter->dims == 1 ? (trace_place){0, at[0], 0, 0}
                                                       : (trace_place){at[0], at[1], at[2], at[3]};
        require_bits(trace_parameter_gradient(&lines, s, tensor, at), trace_value(&own, place),
                     "the gradient", parameter->name, seed, place);
        ck_assert_int_gt(lines.count, 2);
        for (int64_t k = 0; k < lines.count; k++)
            n->bands += strstr(lines.items[k].text, "bands so far") != NULL;
        n->parameters++;
        trace_free(&lines);
    }
}

static const char *const operations[] = {
    "conv2d",  "linear",     "batch_norm", "relu",
    "add",     "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d",
    "flatten", "shortcut_a", "softmax",    "input"};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static void check_model(cs_model *model, int seed, cs_dtype dtype,
                        counted by_operation[OPERATIONS]) {
    cs_error err;
    const int count = cs_model_node_count(model);
    cs_run *run = run_of(model, dtype, (uint64_t)seed + 3);
    cs_gates *gates;
    cs_random random = {(uint64_t)seed};
    trace_scene scene = {.model = model,
                         .dtype = dtype,
                         .seed_node = cs_model_output_node(model),
                         .values = calloc((size_t)count, sizeof(cs_tensor)),
                         .gradients = calloc((size_t)count, sizeof(cs_tensor))};
    REQUIRE_OK(trace_find_reached(&scene, &err), err);
    REQUIRE_OK(cs_run_gates(run, &gates, &err), err);
    scene.gates = gates;
    for (int i = 0; i < count; i++) {
        const char *name = cs_model_node(model, i)->name;
        REQUIRE_OK(cs_run_activation(run, name, &scene.values[i], &err), err);
        if (cs_run_gradient(run, name, &scene.gradients[i], &err) != CS_OK)
            scene.gradients[i] = (cs_tensor){0};
    }
    for (int i = 0; i < count; i++) {
        int op = 0;
        while (strcmp(operations[op], cs_model_node(model, i)->op) != 0)
            op++;
        check_node(&scene, i, seed, &random, &by_operation[op]);
        check_parameters(&scene, run, i, seed, &random, &by_operation[op]);
    }
    free(scene.values);
    free(scene.gradients);
    free(scene.reached);
    cs_gates_free(gates);
    cs_run_free(run);
    cs_model_free(model);
}

/* What the random networks lack. */
static cs_model *softmax_model(void) {
    static const float weights[] = {0.5F,  -0.25F, 1.0F, 0.75F, -1.5F, 0.125F,
                                    -0.5F, 0.3F,   0.2F, 0.9F,  -0.7F, 0.4F};
    static const built_node nodes[] = {
        {.name = "conv",
         .op = "conv2d",
         .inputs = {"input"},
         .in_channels = 3,
         .attributes = {.out_channels = 4,
                        .kernel_size = {1, 1},
                        .stride = {1, 1},
                        .dilation = {1, 1},
                        .groups = 1},
         .weight = weights},
        {.name = "softmax", .op = "softmax", .inputs = {"conv"}},
        {.name = "pool", .op = "adaptive_avg_pool2d", .inputs = {"softmax"}},
        {.name = "flatten", .op = "flatten", .inputs = {"pool"}},
        {.name = "fc",
         .op = "linear",
         .inputs = {"flatten"},
         .in_channels = 4,
         .attributes = {.out_channels = 3},
         .weight = weights},
    };
    static const built_model model = {.channels = 3,
                                      .height = 4,
                                      .width = 5,
                                      .nodes = nodes,
                                      .count = 5,
                                      .output = "fc",
                                      .classes = 3};
    return built_model_open(&model);
}

START_TEST(test_every_operation_has_the_engines_bits) {
    counted by_operation[OPERATIONS] = {{0, 0, 0, 0, 0}};
    int several = 0;
    const int networks = test_long() ? 400 : 40;
    for (int seed = 4100; seed < 4100 + networks; seed++) {
        random_model_make(&net, (uint64_t)seed);
        if (seed % 8 == 0) { /* weight gradients of several bands */
            net.model.height = 41;
            net.model.width = 19;
        }
        check_model(built_model_open(&net.model), seed, (cs_dtype)(seed % 2), by_operation);
        random_model_free(&net);
    }
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++)
        check_model(softmax_model(), dtype, (cs_dtype)dtype, by_operation);
    for (int op = 0; op < OPERATIONS; op++) {
        printf("trace, %s: %d outputs, %d gradients, %d of them of three consumers or more, %d of "
               "parameters\n",
               operations[op], by_operation[op].values, by_operation[op].gradients,
               by_operation[op].several, by_operation[op].parameters);
        ck_assert_msg(by_operation[op].values > 0 && by_operation[op].gradients > 0, "no %s",
                      operations[op]);
        several += by_operation[op].several;
    }
    for (int op = 0; op < 3; op++) /* the three that have parameters */
        ck_assert_int_gt(by_operation[op].parameters, 20);
    ck_assert_int_gt(by_operation[0].bands, 20);
    ck_assert_int_gt(several, 0);
}
END_TEST

/* ------------------------------------------------------------------ the command ---------- */

static char *folder, *picture;

static void setup(void) {
    folder = strdup(test_temp_dir());
    picture = strdup(test_path(folder, "picture.png"));
    cli_draw(picture, 64, 1);
}

static const char *trace_of(const char *words, int code, const char *message) {
    cli_result result = cli_run("trace " EXAMPLE_MODEL " %s %s", picture, words);
    ck_assert_msg(result.code == code, "%s: exit code %d, expected %d\n%.900s%.900s", words,
                  result.code, code, result.out, result.err);
    const char *printed = code <= 1 ? result.out : result.err;
    ck_assert_msg(strstr(printed, message) != NULL, "%s: '%s' is not in:\n%.1500s", words, message,
                  printed);
    return printed;
}

START_TEST(test_what_is_printed) {
    trace_of("--node layer1.0.conv1 --at 0,1,0,5", 0, "terms of 0");
    trace_of("--node layer1.0.conv1 --at 0,1,0,5", 0, "the same bits");
    const char *text = trace_of("--node layer4.0.conv2 --at 0,1,3,3", 0, "(--all prints them)");
    ck_assert_ptr_nonnull(strstr(text, "y[n,k,oy,ox] = b[k] + sum over r, s, c of"));
    text = trace_of("--node layer4.0.conv2 --at 0,1,3,3 --all", 0, "  216  x[0,23,4,4]");
    ck_assert_ptr_null(strstr(text, "(--all"));
    trace_of("--node fc --at 0,1 --dtype f64", 0, "the same bits");
    trace_of("--node fc --at 0,1 --grad --class B", 0, "the seed of the backward pass");
    trace_of("--node layer1 --at 0,1,2,3 --grad", 0, "plus the contribution of layer2.0.conv1");
    trace_of("--node input --at 0,1,20,30 --grad --target prob", 0, "through conv1");
    trace_of("--parameter layer1.0.conv1.weight --at 1,2,2,0", 0, "the same bits");
    text = trace_of("--parameter conv1.weight --at 2,0,3,6 --class A", 0,
                    "dw[k,c,r,s] = sum over n, oy, ox of dy[n,k,oy,ox] * x[n,c,iy,ix]");
    ck_assert_ptr_nonnull(strstr(text, "bands so far: plus rows oy = 0 to 2"));
    text = trace_of("--parameter layer3.0.bn2.weight --at 4", 0,
                    "gradient with respect to layer3.0.bn2.weight");
    ck_assert_ptr_nonnull(strstr(text, "the same bits"));
    trace_of("--parameter layer3.0.bn2.bias --at 4 --dtype f64", 0, "the same bits");
    trace_of("--parameter fc.bias --at 1 --class B --target prob", 0, "the same bits");
    text = trace_of("--parameter layer4.0.bn1.weight --at 3 --json", 0, "\"same_bits\": true");
    ck_assert_ptr_nonnull(strstr(text, "\"parameter\": \"layer4.0.bn1.weight\""));
    cli_require_json(text, "trace --json");
    text = trace_of("--node layer4 --at 0,1,2,3 --grad --json", 0, "\"same_bits\": true");
    cli_require_json(text, "trace --json");
    text = trace_of("--node layer2.0.bn1 --at 0,1,2,3 --json --isa portable-nofma", 0, "scale");
    cli_require_json(text, "trace --json");
}
END_TEST

static const struct {
    const char *words;
    int code;
    const char *message;
} refusals[] = {
    {"--node layer1.0.con1 --at 0,0,0,0", 2, "layer1.0.conv1"},
    {"--node layer1", 2, "--at n,c,y,x"},
    {"--at 0,0,0,0", 2, "--node N"},
    {"--node fc --parameter fc.bias --at 0", 2, "either --node N or --parameter P"},
    {"--parameter fc.bias", 2, "--at n,c,y,x"},
    {"--parameter fc.weights --at 0,0", 2, "fc.weight"},
    {"--parameter bn1.running_mean --at 0", 2, "has no gradient"},
    {"--parameter fc.weight --at 0", 2, "the shape [3,24]"},
    {"--parameter conv1.weight --at 0,3,0,0", 2, "the shape [3,3,7,7]"},
    {"--node layer1 --at 0,0", 2, "expected n,c,y,x"},
    {"--node layer1 --at 0,0,0,56", 2, "3 channels, 56 rows and 56 columns"},
    {"--node layer1 --at 1,0,0,0", 2, "1 image"},
    {"--node layer1 --at 0,0.5,0,0", 2, "whole number"},
    {"--node layer1 --at 0,-1,0,0", 2, "whole number"},
    {"--node layer1 --at 0,x,0,0", 2, "expected numbers"},
    {"--node fc --at 0,3", 2, "3 channels"},
    {"--node fc --at 0,1 --grad --class D", 2, "D"},
    {"--node fc --at 0,1 --engine gemm", 2, "no effect on this command"},
};

START_TEST(test_refusals) { trace_of(refusals[_i].words, refusals[_i].code, refusals[_i].message); }
END_TEST

START_TEST(test_nan_is_no_result) {
    cs_error err;
    cs_tensor input = {0};
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, 3, 224, 224, &err), err);
    cs_tensor_set(&input, 0, 0, 0, 0, (double)__builtin_nanf(""));
    const char *path = test_path(folder, "nan.npy");
    REQUIRE_OK(cs_npy_write(path, &input, 4, &err), err);
    cli_result result = cli_run("trace " EXAMPLE_MODEL " %s --node conv1 --at 0,0,0,0", path);
    ck_assert_int_eq(result.code, 5);
    ck_assert_ptr_nonnull(strstr(result.err, "first in input"));
    cs_tensor_release(&input);
}
END_TEST

Suite *suite_trace(void);
Suite *suite_trace(void) {
    Suite *suite = suite_create("trace");
    TCase *bits = tcase_create("bits");
    tcase_add_test(bits, test_every_operation_has_the_engines_bits);
    tcase_set_timeout(bits, 600);
    suite_add_tcase(suite, bits);
    TCase *command = tcase_create("command");
    tcase_add_checked_fixture(command, setup, NULL);
    tcase_add_test(command, test_what_is_printed);
    tcase_add_loop_test(command, test_refusals, 0, (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(command, test_nan_is_no_result);
    suite_add_tcase(suite, command);
    return suite;
}
