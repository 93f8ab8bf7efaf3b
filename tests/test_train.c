/* test_train.c - parameter gradients and batch norm in training: each layer and whole random
 * networks against the naive loops (in float64) and the canonical arithmetic (bit by bit, both
 * types), and the same bits whatever the threads, instruction set, batch and observers.
 */
#include "test_support.h"
#include "train_reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a network runs. */
typedef struct setting {
    cs_engine engine;
    cs_isa isa;
    cs_dtype dtype;
    int threads;
    bool training, keep_all;
} setting;

/* Everything there is to know of a run of two images. */
typedef struct scene {
    random_model net;
    cs_model *model;
    cs_tensor input, seed;
    int number;
} scene;

static scene stage; /* large; one a process */

/* `height` and `width` of the input, or 0 for the network's own. */
static void open_scene(scene *s, int number, int64_t height, int64_t width) {
    cs_error err;
    s->number = number;
    random_model_make(&s->net, (uint64_t)number);
    if (height > 0) {
        s->net.model.height = height;
        s->net.model.width = width;
    }
    s->model = built_model_open(&s->net.model);
    const built_model *m = &s->net.model;
    cs_random random = {(uint64_t)number + 77};
    REQUIRE_OK(cs_tensor_allocate(&s->input, CS_F32, 2, m->channels, m->height, m->width, &err),
               err);
    REQUIRE_OK(cs_tensor_allocate(&s->seed, CS_F32, 2, m->classes, 1, 1, &err), err);
    cs_random_fill_input(&random, &s->input);
    cs_random_fill_input(&random, &s->seed);
    /* The lower half of the first image is black: exact zeros at ReLUs, ties in pools. */
    for (int64_t c = 0; c < m->channels; c++)
        for (int64_t h = m->height / 2; h < m->height; h++)
            for (int64_t w = 0; w < m->width; w++)
                cs_tensor_set(&s->input, 0, c, h, w, 0);
}

static void close_scene(scene *s) {
    cs_tensor_release(&s->input);
    cs_tensor_release(&s->seed);
    cs_model_free(s->model);
    random_model_free(&s->net);
}

/* A prepared run of at most `batch` images with all parameter gradients. NULL without the
 * engine. */
static cs_run *prepare(const scene *s, const setting *how, int64_t batch) {
    cs_error err;
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.dtype = how->dtype;
    options.engine = how->engine;
    options.isa = how->isa;
    options.threads = how->threads;
    options.max_batch = batch;
    if (cs_run_create(s->model, &options, &run, &err) == CS_ERROR_UNSUPPORTED)
        return NULL;
    cs_run_set_training(run, how->training);
    for (int i = 0; how->keep_all && i < cs_model_node_count(s->model); i++)
        REQUIRE_OK(cs_run_keep(run, cs_model_node(s->model, i)->name, &err), err);
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    REQUIRE_OK(cs_run_keep_parameter_gradient(run, NULL, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    return run;
}

static void pass(cs_run *run, const cs_tensor *input, const cs_tensor *seed) {
    cs_error err;
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
}

static double largest(const naive_tensor *t) {
    double most = 0;
    for (int64_t i = 0; i < t->n * t->c * t->h * t->w; i++)
        most = fmax(most, fabs(t->v[i]));
    return most;
}

/* With a bound of 0 the bits must agree; else the difference relative to the largest value, or to
 * `size` where that is more. */
static void compare(const cs_tensor *got, const naive_tensor *wanted, double bound, double size,
                    const char *line) {
    if (bound <= 0) {
        canonical_require(got, wanted, line);
        return;
    }
    const double scale = fmax(largest(wanted), size);
    ck_assert_int_eq(cs_tensor_count(got), wanted->n * wanted->c * wanted->h * wanted->w);
    for (int64_t n = 0; n < got->n; n++)
        for (int64_t c = 0; c < got->c; c++)
            for (int64_t h = 0; h < got->h; h++)
                for (int64_t w = 0; w < got->w; w++) {
                    double value = cs_tensor_at(got, n, c, h, w);
                    double truth = *naive_at(wanted, n, c, h, w);
                    REQUIRE_EACH(fabs(value - truth) <= bound * scale,
                                 "%s at [%lld, %lld, %lld, %lld] is %.17g, expected %.17g "
                                 "(largest %.3g)",
                                 line, (long long)n, (long long)c, (long long)h, (long long)w,
                                 value, truth, scale);
                }
}

static void compare_parameter(cs_run *run, const built_node *node, const char *role,
                              const naive_tensor *wanted, double bound, double size,
                              const char *line) {
    cs_error err;
    cs_tensor got;
    char name[128], what[256];
    if (wanted->v == NULL)
        return;
    snprintf(name, sizeof name, "%s.%s", node->name, role);
    snprintf(what, sizeof what, "%s: gradient of %s", line, name);
    REQUIRE_OK(cs_run_parameter_gradient(run, name, &got, &err), err);
    compare(&got, wanted, bound, size, what);
}

static void compare_all(const scene *s, const setting *how, cs_run *run,
                        const train_reference *truth, double bound) {
    char line[96], what[200];
    snprintf(line, sizeof line, "network %d, %s %s %s%s", s->number,
             how->engine == CS_ENGINE_GEMM ? "gemm" : "direct", cs_isa_name(how->isa),
             cs_dtype_name(how->dtype), how->training ? ", training" : "");
    for (int i = 0; i <= s->net.model.count; i++) {
        cs_error err;
        cs_tensor got;
        const char *name = cs_model_node(s->model, i)->name;
        snprintf(what, sizeof what, "%s: %s", line, name);
        REQUIRE_OK(cs_run_activation(run, name, &got, &err), err);
        compare(&got, &truth->values[i], bound, 0, what);
        snprintf(what, sizeof what, "%s: gradient of %s", line, name);
        REQUIRE_OK(cs_run_gradient(run, name, &got, &err), err);
        compare(&got, &truth->gradients[i], bound, 0, what);
        if (i == s->net.model.count)
            break;
        /* A convolution before a batch norm in training: its bias's gradient is a sum that cancels,
         * so it is measured by what is summed. */
        const naive_tensor *dy = &truth->gradients[i + 1];
        const double size = largest(dy) * sqrt((double)(dy->n * dy->h * dy->w));
        compare_parameter(run, &s->net.nodes[i], "weight", &truth->params[i].weight, bound, size,
                          line);
        compare_parameter(run, &s->net.nodes[i], "bias", &truth->params[i].bias, bound, size, line);
    }
}

/* In float64 against the naive loops; the direct engine's bits in its type against the canonical
 * arithmetic. */
static void check_network(const scene *s, const setting *how) {
    static train_reference truth;
    cs_run *run = prepare(s, how, 2);
    if (run == NULL)
        return;
    pass(run, &s->input, &s->seed);
    naive_tensor x = naive_from(&s->input), dy = naive_from(&s->seed);
    for (int canonical = 0; canonical < 2; canonical++) {
        if (canonical ? how->engine != CS_ENGINE_DIRECT : how->dtype != CS_F64)
            continue;
        train_reference_make(&s->net, &x, &dy, how->training, canonical, how->dtype, &truth);
        compare_all(s, how, run, &truth, canonical ? 0 : how->training ? 1e-9 : 1e-11);
        train_reference_free(&s->net, &truth);
    }
    ck_assert_int_eq(cs_run_status(run, NULL), CS_OK);
    naive_free(&x);
    naive_free(&dy);
    cs_run_free(run);
}

START_TEST(network_is_the_naive_and_canonical_one) {
    open_scene(&stage, _i, 0, 0);
    for (int training = 0; training < 2; training++) {
        setting how = {CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F64, 2, training, true};
        for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++) {
            how.isa = (cs_isa)isa;
            if (!cs_isa_available(how.isa))
                continue;
            how.dtype = CS_F32;
            check_network(&stage, &how);
            how.dtype = CS_F64;
            check_network(&stage, &how);
        }
        how.engine = CS_ENGINE_GEMM;
        how.isa = CS_ISA_AUTO;
        check_network(&stage, &how);
    }
    close_scene(&stage);
}
END_TEST

/* Whether some convolution's map has more pixels than one chain of a weight's gradient takes. */
static bool has_bands(const scene *s) {
    cs_error err;
    int64_t shape[3];
    bool found = false;
    for (int i = 0; i < cs_model_node_count(s->model); i++) {
        REQUIRE_OK(cs_model_node_shape(s->model, i, 0, 0, shape, &err), err);
        const int64_t rows = (256 + shape[2] - 1) / shape[2];
        found |= shape[1] > rows && strcmp(cs_model_node(s->model, i)->op, "conv2d") == 0;
    }
    return found;
}

/* Bands of whole rows: the last one as long as the others, or shorter. */
START_TEST(weights_of_large_maps_are_summed_in_bands) {
    static const int64_t sizes[][2] = {{41, 19}, {48, 16}, {300, 9}, {9, 300}};
    int number = 1000 * _i;
    open_scene(&stage, number, sizes[_i % 4][0], sizes[_i % 4][1]);
    while (!has_bands(&stage)) {
        close_scene(&stage);
        open_scene(&stage, ++number, sizes[_i % 4][0], sizes[_i % 4][1]);
    }
    setting how = {CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F32, 3, _i % 2, true};
    check_network(&stage, &how);
    how.isa = CS_ISA_PORTABLE;
    check_network(&stage, &how);
    how.dtype = CS_F64;
    check_network(&stage, &how);
    close_scene(&stage);
}
END_TEST

/* ------------------------------------------------------------------ overflow ------------- */

enum { WIDE = 15, SPOT = 11 }; /* channels, and the one in use */

/* a - b - pool - flatten; a is an `op`, b the same or a convolution. */
typedef struct overflow_case {
    const char *op;
    bool bias;          /* the bias's gradient overflows, else the weight's */
    bool both;          /* of a and b */
    const char *wanted; /* whose status names it */
} overflow_case;

static const overflow_case overflows[] = {
    {"conv2d", false, false, "a"},    {"conv2d", true, false, "a"},
    {"conv2d", true, true, "b"},      {"batch_norm", false, false, "a"},
    {"batch_norm", true, false, "a"}, {"batch_norm", true, true, "b"},
    {"linear", false, false, "a"},    {"linear", true, false, "a"},
    {"linear", true, true, "b"},
};
#define OVERFLOW_COUNT ((int)(sizeof overflows / sizeof *overflows))

/* A diagonal of `factor`, so that channel SPOT of the input reaches output SPOT alone. */
static cs_model *overflow_model(const overflow_case *c, float factor) {
    static float weight[2][WIDE * WIDE], zero[WIDE], one[WIDE];
    const bool norm = strcmp(c->op, "batch_norm") == 0, linear = strcmp(c->op, "linear") == 0;
    memset(weight, 0, sizeof weight);
    for (int k = 0; k < WIDE; k++) {
        one[k] = 1;
        weight[0][norm ? k : k * WIDE + k] = factor;
        weight[1][norm && c->both ? k : k * WIDE + k] = 1;
    }
    built_node nodes[4] = {
        {.name = "a", .op = c->op, .inputs = {"input"}},
        {.name = "b", .op = c->both || linear ? c->op : "conv2d", .inputs = {"a"}},
        {.name = "pool", .op = "adaptive_avg_pool2d", .inputs = {"b"}},
        {.name = "flatten", .op = "flatten", .inputs = {"pool"}},
    };
    for (int i = 0; i < 2; i++) {
        nodes[i].in_channels = WIDE;
        nodes[i].attributes = built_window(1, 1, 0, 1);
        nodes[i].attributes.out_channels = WIDE;
        nodes[i].weight = weight[i];
        nodes[i].bias = i == 0 || c->both ? zero : NULL;
        if (strcmp(nodes[i].op, "batch_norm") == 0) {
            nodes[i].running_mean = zero;
            nodes[i].running_var = one;
        }
    }
    const int64_t size = linear ? 1 : 2;
    const built_model model = {.channels = WIDE,
                               .height = size,
                               .width = size,
                               .nodes = nodes,
                               .count = 4,
                               .output = "flatten",
                               .classes = WIDE};
    return built_model_open(&model);
}

/* The status of `passes` passes over `images` images each, every one of which is finite alone. */
static void require_overflow(const overflow_case *c, cs_isa isa, cs_dtype dtype, int64_t images,
                             int passes) {
    cs_error err;
    cs_run *run = NULL;
    cs_tensor input = {0}, seed = {0};
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    const char *where = "none";
    /* A bias: 2e38 of each image; a weight: x = 1e38 at one pixel, times 2. */
    cs_model *model = overflow_model(c, c->bias ? 1 : 1e-30F);
    const cs_preprocess *p = cs_model_preprocess(model);
    options.isa = isa;
    options.dtype = dtype;
    options.max_batch = images;
    options.threads = 2;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    REQUIRE_OK(cs_run_keep_parameter_gradient(run, NULL, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, images, WIDE, p->height, p->width, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&seed, CS_F32, images, WIDE, 1, 1, &err), err);
    for (int64_t n = 0; n < images; n++) {
        cs_tensor_set(&input, n, SPOT, 0, 0, c->bias ? 0 : 1e38);
        cs_tensor_set(&seed, n, SPOT, 0, 0, c->bias ? 2e38 : 2.0 * (double)(p->height * p->width));
    }
    for (int i = 0; i < passes; i++)
        pass(run, &input, &seed);
    const cs_status status = cs_run_status(run, &where);
    const bool bad = dtype == CS_F32 && images * passes > 1;
    ck_assert_msg(bad ? status == CS_ERROR_NUMERIC && strcmp(where, c->wanted) == 0
                      : status == CS_OK,
                  "%s of %s, %s, %s, %d images, %d passes: %s, first in %s",
                  c->bias ? "bias" : "weight", c->op, cs_isa_name(isa), cs_dtype_name(dtype),
                  (int)images, passes, cs_status_name(status), where ? where : "none");
    ck_assert(!bad || cs_status_exit_code(status) == 5);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    cs_run_free(run);
    cs_model_free(model);
}

/* What each image gives is finite, their sum is not: the first node of the backward pass is named,
 * whether the images come together or one after another. */
START_TEST(gradients_that_overflow_when_images_are_added) {
    const overflow_case *c = &overflows[_i];
    for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++)
        for (int dtype = CS_F32; cs_isa_available((cs_isa)isa) && dtype <= CS_F64; dtype++) {
            require_overflow(c, (cs_isa)isa, (cs_dtype)dtype, 1, 1);
            require_overflow(c, (cs_isa)isa, (cs_dtype)dtype, 2, 1);
            require_overflow(c, (cs_isa)isa, (cs_dtype)dtype, 5, 1);
            require_overflow(c, (cs_isa)isa, (cs_dtype)dtype, 1, 2);
        }
}
END_TEST

Suite *suite_train(void);
Suite *suite_train(void) {
    Suite *suite = suite_create("train");
    TCase *tests = tcase_create("random networks");
    tcase_add_loop_test(tests, network_is_the_naive_and_canonical_one, 0, test_long() ? 300 : 30);
    tcase_add_loop_test(tests, weights_of_large_maps_are_summed_in_bands, 0, test_long() ? 40 : 4);
    suite_add_tcase(suite, tests);
    TCase *overflow = tcase_create("overflow");
    tcase_add_loop_test(overflow, gradients_that_overflow_when_images_are_added, 0, OVERFLOW_COUNT);
    suite_add_tcase(suite, overflow);
    return suite;
}
