/* test_invariance.c - the same bits whatever the threads, instruction set, batch and observers.
 *
 * Random networks run in a reference setting and in others; outputs and gradients are compared byte
 * by byte (each NaN as the same). The gemm engine keeps all but the second on one machine.
 */
#include "random_model.h"
#include "test_support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define IMAGES 5

/* How a run is set up. */
typedef struct setting {
    const char *what;
    int threads;
    cs_isa isa;
    cs_kernel kernel;
    bool keep_all;
    int64_t spare; /* how much larger than the batch the run's largest batch is */
    bool few_passes;
} setting;

static const setting settings[] = {
    {"2 threads", 2, CS_ISA_PORTABLE, CS_KERNEL_DENSE, false, 0, false},
    {"3 threads", 3, CS_ISA_PORTABLE, CS_KERNEL_AUTO, false, 0, false},
    {"2 threads, weights packed in each pass", 2, CS_ISA_PORTABLE, CS_KERNEL_AUTO, false, 0, true},
    {"weights packed in each pass, skipping, everything kept", 1, CS_ISA_AUTO, CS_KERNEL_SKIP, true,
     1, true},
    {"7 threads, skipping, a larger run", 7, CS_ISA_PORTABLE, CS_KERNEL_SKIP, false, 2, false},
    {"everything kept", 1, CS_ISA_PORTABLE, CS_KERNEL_DENSE, true, 0, false},
    {"3 threads, skipping, everything kept", 3, CS_ISA_PORTABLE, CS_KERNEL_SKIP, true, 1, false},
    {"portable-nofma", 1, CS_ISA_PORTABLE_NOFMA, CS_KERNEL_AUTO, false, 0, false},
    {"portable-nofma, 2 threads, everything kept", 2, CS_ISA_PORTABLE_NOFMA, CS_KERNEL_DENSE, true,
     0, false},
    {"avx512", 1, CS_ISA_AVX512, CS_KERNEL_DENSE, false, 0, false},
    {"avx512, skipping", 1, CS_ISA_AVX512, CS_KERNEL_SKIP, false, 1, false},
    {"avx512, 2 threads", 2, CS_ISA_AVX512, CS_KERNEL_AUTO, false, 0, false},
    {"avx512, 3 threads, skipping, everything kept", 3, CS_ISA_AVX512, CS_KERNEL_SKIP, true, 1,
     false},
};

/* What a run leaves: output and input gradient. */
typedef struct results {
    cs_tensor output, gradient;
} results;

static void free_results(results *r) {
    cs_tensor_release(&r->output);
    cs_tensor_release(&r->gradient);
}

/* A network, its input and seed in one type and engine. */
typedef struct scene {
    random_model net;
    cs_model *model;
    cs_engine engine;
    cs_dtype dtype;
    cs_tensor input, seed;
    char line[64];
} scene;

/* Images [first, first + count) of a tensor, as a view. */
static cs_tensor images_of(const cs_tensor *t, int64_t first, int64_t count) {
    cs_tensor view = *t;
    view.n = count;
    view.data = (char *)t->data + (size_t)(first * t->c * t->h * t->w) * cs_dtype_size(t->dtype);
    return view;
}

/* False where the engine was not built. */
static bool start_run(const scene *s, const setting *how, int64_t batch, cs_run **run) {
    cs_error err;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.engine = s->engine;
    options.dtype = s->dtype;
    options.threads = how->threads;
    options.isa = how->isa;
    options.kernel = how->kernel;
    options.max_batch = batch + how->spare;
    options.few_passes = how->few_passes;
    cs_status status = cs_run_create(s->model, &options, run, &err);
    if (status == CS_ERROR_UNSUPPORTED && s->engine == CS_ENGINE_GEMM)
        return false;
    ck_assert_msg(status == CS_OK, "%s: %s", s->line, err.text);
    for (int i = 0; how->keep_all && i < cs_model_node_count(s->model); i++)
        REQUIRE_OK(cs_run_keep(*run, cs_model_node(s->model, i)->name, &err), err);
    REQUIRE_OK(cs_run_keep_gradient(*run, "input", &err), err);
    REQUIRE_OK(cs_run_prepare(*run, &err), err);
    return true;
}

static void pass(cs_run *run, const cs_tensor *input, const cs_tensor *seed, results *r) {
    cs_error err;
    cs_tensor view;
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_output(run, &view, &err), err);
    r->output = test_tensor_copy(&view);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    REQUIRE_OK(cs_run_gradient(run, "input", &view, &err), err);
    r->gradient = test_tensor_copy(&view);
}

static void require_equal(const scene *s, const char *what, const results *got,
                          const results *wanted) {
    char line[300];
    snprintf(line, sizeof line, "%s: %s: output", s->line, what);
    test_tensors_equal(&got->output, &wanted->output, line);
    snprintf(line, sizeof line, "%s: %s: input gradient", s->line, what);
    test_tensors_equal(&got->gradient, &wanted->gradient, line);
}

static void open_scene(scene *s, uint64_t seed, cs_engine engine, cs_dtype dtype) {
    cs_error err;
    random_model_make(&s->net, seed);
    s->model = built_model_open(&s->net.model);
    s->engine = engine;
    s->dtype = dtype;
    snprintf(s->line, sizeof s->line, "network %d, %s %s", (int)seed,
             engine == CS_ENGINE_GEMM ? "gemm" : "direct", cs_dtype_name(dtype));
    const built_model *m = &s->net.model;
    REQUIRE_OK(cs_tensor_allocate(&s->input, dtype, IMAGES, m->channels, m->height, m->width, &err),
               err);
    REQUIRE_OK(cs_tensor_allocate(&s->seed, dtype, IMAGES, m->classes, 1, 1, &err), err);
    cs_random random = {seed + 1000};
    cs_random_fill_input(&random, &s->input);
    cs_random_fill_input(&random, &s->seed);
    /* The lower half of the first image is black: exact zeros at ReLUs, ties in pools. */
    for (int64_t h = m->height / 2; h < m->height; h++)
        for (int64_t i = 0; i < m->channels * m->width; i++)
            cs_tensor_set(&s->input, 0, i % m->channels, h, i / m->channels, 0);
}

static void close_scene(scene *s) {
    cs_model_free(s->model);
    random_model_free(&s->net);
    cs_tensor_release(&s->input);
    cs_tensor_release(&s->seed);
}

static const setting reference_setting = {
    "reference", 1, CS_ISA_PORTABLE, CS_KERNEL_DENSE, false, 0, false};

/* Each image alone, in one run one after another, against its part of the batch. */
static void check_images_alone(const scene *s, const results *reference) {
    cs_run *run = NULL;
    ck_assert(start_run(s, &reference_setting, 1, &run));
    for (int64_t n = 0; n < IMAGES; n++) {
        char what[40];
        cs_tensor input = images_of(&s->input, n, 1), seed = images_of(&s->seed, n, 1);
        results alone,
            part = {images_of(&reference->output, n, 1), images_of(&reference->gradient, n, 1)};
        pass(run, &input, &seed, &alone);
        snprintf(what, sizeof what, "image %d alone", (int)n);
        require_equal(s, what, &alone, &part);
        free_results(&alone);
    }
    cs_run_free(run);
}

/* All settings, images alone, and the same run used again after a smaller batch. */
static void check_scene(const scene *s) {
    cs_run *run = NULL;
    results reference, again, few;
    if (!start_run(s, &reference_setting, IMAGES, &run))
        return;
    pass(run, &s->input, &s->seed, &reference);
    cs_tensor two = images_of(&s->input, 3, 2), two_seeds = images_of(&s->seed, 3, 2);
    pass(run, &two, &two_seeds, &few);
    pass(run, &s->input, &s->seed, &again);
    require_equal(s, "the same run again", &again, &reference);
    cs_run_free(run);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        results other;
        if (s->engine == CS_ENGINE_GEMM && settings[i].isa != CS_ISA_PORTABLE)
            continue;
        if (!cs_isa_available(settings[i].isa)) {
            fprintf(stderr, "skipped: this CPU has no %s\n", cs_isa_name(settings[i].isa));
            continue;
        }
        ck_assert(start_run(s, &settings[i], IMAGES, &run));
        pass(run, &s->input, &s->seed, &other);
        require_equal(s, settings[i].what, &other, &reference);
        free_results(&other);
        cs_run_free(run);
    }
    check_images_alone(s, &reference);
    free_results(&reference);
    free_results(&again);
    free_results(&few);
}

/* The four combinations of engine and type, by the lower bits of a test's number. */
static void open_numbered(scene *s, int number) {
    open_scene(s, (uint64_t)number / 4, number & 1 ? CS_ENGINE_GEMM : CS_ENGINE_DIRECT,
               number & 2 ? CS_F64 : CS_F32);
}

static scene stage; /* large; one a process */

START_TEST(bits_are_the_same_in_every_setting) {
    open_numbered(&stage, _i);
    check_scene(&stage);
    close_scene(&stage);
}
END_TEST

static void scale_by(cs_tensor *t, double factor) {
    cs_tensor flat = {t->dtype, 1, cs_tensor_count(t), 1, 1, t->data};
    for (int64_t i = 0; i < flat.c; i++)
        cs_tensor_set(&flat, 0, i, 0, 0, cs_tensor_at(&flat, 0, i, 0, 0) * factor);
}

/* Values whose products and sums are subnormal, through the whole network. */
START_TEST(subnormals_are_kept_everywhere) {
    open_numbered(&stage, _i);
    double tiny = stage.dtype == CS_F64 ? 0x1p-1060 : 0x1p-138;
    scale_by(&stage.input, tiny);
    scale_by(&stage.seed, tiny);
    check_scene(&stage);
    cs_run *run = NULL;
    if (start_run(&stage, &reference_setting, IMAGES, &run)) {
        results r;
        int64_t subnormal = 0;
        double smallest = stage.dtype == CS_F64 ? DBL_MIN : (double)FLT_MIN;
        pass(run, &stage.input, &stage.seed, &r);
        for (int64_t n = 0; n < IMAGES; n++)
            for (int64_t c = 0; c < r.gradient.c; c++) {
                double value = fabs(cs_tensor_at(&r.gradient, n, c, 2, 2));
                subnormal += value > 0 && value < smallest;
            }
        /* A gradient may vanish behind closed gates; over all networks some do not. */
        if (_i / 4 == 1)
            ck_assert_msg(subnormal > 0, "%s: no subnormal gradient", stage.line);
        free_results(&r);
        cs_run_free(run);
    }
    close_scene(&stage);
}
END_TEST

/* -0 in the input and the seed is stored as +0, and nothing kept is ever -0. */
START_TEST(minus_zero_is_stored_as_zero) {
    cs_error err;
    open_numbered(&stage, _i);
    cs_run *run = NULL;
    results plus, minus;
    const setting how = {"", 2, CS_ISA_PORTABLE, CS_KERNEL_AUTO, true, 0, false};
    if (!start_run(&stage, &how, IMAGES, &run))
        return;
    cs_tensor *both[2] = {&stage.input, &stage.seed};
    for (int sign = 0; sign < 2; sign++) {
        for (int k = 0; k < 2; k++) {
            cs_tensor flat = {both[k]->dtype, 1, cs_tensor_count(both[k]), 1, 1, both[k]->data};
            for (int64_t i = 0; i < flat.c; i += 3)
                cs_tensor_set(&flat, 0, i, 0, 0, sign == 0 ? 0.0 : -0.0);
        }
        pass(run, &stage.input, &stage.seed, sign == 0 ? &plus : &minus);
    }
    require_equal(&stage, "-0 for +0", &minus, &plus);
    free_results(&minus);
    if (_i / 4 % 2 == 1) { /* products that underflow to -0 */
        scale_by(&stage.input, stage.dtype == CS_F64 ? 0x1p-1074 : 0x1p-149);
        scale_by(&stage.seed, stage.dtype == CS_F64 ? 0x1p-1074 : 0x1p-149);
    }
    pass(run, &stage.input, &stage.seed, &minus);
    for (int i = 0; i < cs_model_node_count(stage.model); i++)
        for (int gradient = 0; gradient < 2; gradient++) {
            cs_tensor t;
            const char *name = cs_model_node(stage.model, i)->name;
            REQUIRE_OK((gradient ? cs_run_gradient : cs_run_activation)(run, name, &t, &err), err);
            cs_tensor flat = {t.dtype, 1, cs_tensor_count(&t), 1, 1, t.data};
            for (int64_t e = 0; e < flat.c; e++) {
                double value = cs_tensor_at(&flat, 0, e, 0, 0);
                REQUIRE_EACH(!(value == 0 && signbit(value)), "%s: %s of %s has a -0", stage.line,
                             gradient ? "gradient" : "activation", name);
            }
        }
    free_results(&plus);
    free_results(&minus);
    cs_run_free(run);
    close_scene(&stage);
}
END_TEST

/* NaN or infinity in one image: the status says so and names the input, every setting gives the
 * same bits, and the other images do not notice. */
START_TEST(not_finite_inputs_stay_in_their_image) {
    open_numbered(&stage, _i);
    cs_run *run = NULL;
    results clean, bad;
    if (!start_run(&stage, &reference_setting, IMAGES, &run))
        return;
    pass(run, &stage.input, &stage.seed, &clean);
    ck_assert_int_eq(cs_run_status(run, NULL), CS_OK);
    cs_tensor_set(&stage.input, 2, 0, 3, 3, _i / 4 % 2 == 0 ? (double)NAN : HUGE_VAL);
    pass(run, &stage.input, &stage.seed, &bad);
    const char *where = "";
    ck_assert_int_eq(cs_run_status(run, &where), CS_ERROR_NUMERIC);
    ck_assert_str_eq(where, "input");
    for (int64_t n = 0; n < IMAGES; n++) {
        results got = {images_of(&bad.output, n, 1), images_of(&bad.gradient, n, 1)};
        results wanted = {images_of(&clean.output, n, 1), images_of(&clean.gradient, n, 1)};
        if (n != 2)
            require_equal(&stage, "beside a NaN", &got, &wanted);
    }
    check_scene(&stage);
    free_results(&bad);
    free_results(&clean);
    cs_tensor_set(&stage.input, 2, 0, 3, 3, 1.0);
    pass(run, &stage.input, &stage.seed, &clean);
    ck_assert_int_eq(cs_run_status(run, NULL), CS_OK);
    free_results(&clean);
    cs_run_free(run);
    close_scene(&stage);
}
END_TEST

/* ------------------------------------------------------------------ the node named ------- */

/* input - a (conv) - b (batch norm) - c (relu) - d (conv) - e (add of d and b) - f (pool) */
static void name_overflowing(int which, bool keep_all, cs_isa isa, const char *wanted) {
    cs_error err;
    const float big = 3e38f, one = 1, zero = 0;
    built_node nodes[6] = {
        {.name = "a", .op = "conv2d", .inputs = {"input"}, .in_channels = 1},
        {.name = "b", .op = "batch_norm", .inputs = {"a"}, .in_channels = 1},
        {.name = "c", .op = "relu", .inputs = {"b"}},
        {.name = "d", .op = "conv2d", .inputs = {"c"}, .in_channels = 1},
        {.name = "e", .op = "add", .inputs = {"d", "b"}},
        {.name = "f", .op = "adaptive_avg_pool2d", .inputs = {"e"}},
    };
    for (int i = 0; i < 4; i++) {
        nodes[i].attributes = built_window(1, 1, 0, 1);
        nodes[i].attributes.out_channels = 1;
        nodes[i].attributes.eps = 0;
        nodes[i].weight = &one;
    }
    nodes[1].bias = nodes[1].running_mean = &zero;
    nodes[1].running_var = &one;
    /* Which node is the first to overflow, from an input of 2. */
    if (which == 0 || which == 1 || which == 3)
        nodes[which].weight = &big;
    if (which == 4) { /* b = 3e38 and d = 3e38, each finite, but not their sum */
        nodes[1].bias = &big;
        nodes[1].weight = &zero;
    }
    built_model small = {.channels = 1,
                         .height = 2,
                         .width = 3,
                         .nodes = nodes,
                         .count = 6,
                         .output = "f",
                         .classes = 1};
    cs_model *model = built_model_open(&small);
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.isa = isa;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    for (int i = 0; keep_all && i < 7; i++)
        REQUIRE_OK(cs_run_keep(run, cs_model_node(model, i)->name, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    float values[6] = {1, 0.5f, 2, 1, 1, 1};
    cs_tensor input = {CS_F32, 1, 1, 2, 3, values};
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    const char *where = "";
    cs_status status = cs_run_status(run, &where);
    ck_assert_msg(status == CS_ERROR_NUMERIC && strcmp(where, wanted) == 0,
                  "overflow in %s%s: status %s, node %s", wanted, keep_all ? " (all kept)" : "",
                  cs_status_name(status), where == NULL ? "NULL" : where);
    cs_run_free(run);
    cs_model_free(model);
}

START_TEST(the_first_node_to_overflow_is_named) {
    for (int keep_all = 0; keep_all < 2; keep_all++)
        for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++) {
            if (!cs_isa_available((cs_isa)isa))
                continue;
            name_overflowing(0, keep_all != 0, (cs_isa)isa, "a");
            name_overflowing(1, keep_all != 0, (cs_isa)isa, "b");
            name_overflowing(3, keep_all != 0, (cs_isa)isa, "d");
            name_overflowing(4, keep_all != 0, (cs_isa)isa, "e");
        }
}
END_TEST

/* Weights that are not finite: the run's status names the tensor. */
START_TEST(weights_that_are_not_finite_are_named) {
    cs_error err;
    float weights[2] = {1, (float)NAN};
    built_node node = {
        .name = "fc", .op = "linear", .inputs = {"input"}, .in_channels = 1, .weight = weights};
    node.attributes.out_channels = 2;
    built_model small = {.channels = 1,
                         .height = 1,
                         .width = 1,
                         .nodes = &node,
                         .count = 1,
                         .output = "fc",
                         .classes = 2};
    cs_model *model = built_model_open(&small);
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    float value = 1;
    cs_tensor input = {CS_F32, 1, 1, 1, 1, &value}, output;
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    const char *where = "";
    ck_assert_int_eq(cs_run_status(run, &where), CS_ERROR_NUMERIC);
    ck_assert_str_eq(where, "fc.weight");
    REQUIRE_OK(cs_run_output(run, &output, &err), err);
    ck_assert_double_eq(cs_tensor_at(&output, 0, 0, 0, 0), 1);
    ck_assert(isnan(cs_tensor_at(&output, 0, 1, 0, 0)));
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

Suite *suite_invariance(void);
Suite *suite_invariance(void) {
    Suite *suite = suite_create("invariance");
    TCase *tests = tcase_create("bits");
    const int networks = test_long() ? 400 : 20;
    tcase_add_loop_test(tests, bits_are_the_same_in_every_setting, 0, 4 * networks);
    tcase_add_loop_test(tests, subnormals_are_kept_everywhere, 0, 12);
    tcase_add_loop_test(tests, minus_zero_is_stored_as_zero, 0, 40);
    tcase_add_loop_test(tests, not_finite_inputs_stay_in_their_image, 0, 40);
    tcase_add_test(tests, the_first_node_to_overflow_is_named);
    tcase_add_test(tests, weights_that_are_not_finite_are_named);
    suite_add_tcase(suite, tests);
    return suite;
}
