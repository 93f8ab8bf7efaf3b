/* test_networks.c - whole random networks, every node and gradient: in float64 against the naive
 * loops, and the direct engine's bits in both types against the canonical arithmetic. */
#include "canonical.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>

/* The largest difference relative to the largest value must stay below `bound`. */
static void compare(const cs_tensor *got, const naive_tensor *truth, double bound,
                    const char *what) {
    double largest = 0;
    const int64_t count = truth->n * truth->c * truth->h * truth->w;
    ck_assert_int_eq(cs_tensor_count(got), count);
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(truth->v[i]));
    for (int64_t n = 0; n < got->n; n++)
        for (int64_t c = 0; c < got->c; c++)
            for (int64_t h = 0; h < got->h; h++)
                for (int64_t w = 0; w < got->w; w++) {
                    double value = cs_tensor_at(got, n, c, h, w);
                    double wanted = *naive_at(truth, n, c, h, w);
                    REQUIRE_EACH(fabs(value - wanted) <= bound * largest,
                                 "%s at [%lld, %lld, %lld, %lld] is %.17g, expected %.17g (largest "
                                 "%.3g)",
                                 what, (long long)n, (long long)c, (long long)h, (long long)w,
                                 value, wanted, largest);
                }
}

/* A run of two images with everything kept, forward and backward done. NULL without the engine. */
static cs_run *start(const random_model *net, cs_model *model, cs_engine engine, cs_isa isa,
                     cs_dtype dtype, cs_tensor *input, cs_tensor *seed) {
    cs_error err;
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.dtype = dtype;
    options.engine = engine;
    options.isa = isa;
    options.threads = 2;
    options.max_batch = 2;
    if (cs_run_create(model, &options, &run, &err) == CS_ERROR_UNSUPPORTED)
        return NULL;
    const built_model *m = &net->model;
    cs_random random = {7};
    REQUIRE_OK(cs_tensor_allocate(input, dtype, 2, m->channels, m->height, m->width, &err), err);
    REQUIRE_OK(cs_tensor_allocate(seed, dtype, 2, m->classes, 1, 1, &err), err);
    cs_random_fill_input(&random, input);
    cs_random_fill_input(&random, seed);
    /* The lower half of the first image is black: exact zeros at ReLUs, ties in pools. */
    for (int64_t c = 0; c < input->c; c++)
        for (int64_t h = input->h / 2; h < input->h; h++)
            for (int64_t w = 0; w < input->w; w++)
                cs_tensor_set(input, 0, c, h, w, 0);
    for (int i = 0; i < cs_model_node_count(model); i++)
        REQUIRE_OK(cs_run_keep(run, cs_model_node(model, i)->name, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    return run;
}

/* Every node's value and gradient. With a bound of 0 the bits must agree. */
static void check_all(const random_model *net, cs_model *model, cs_run *run,
                      const naive_tensor *values, const naive_tensor *gradients, double bound,
                      const char *line) {
    for (int i = 0; i <= net->model.count; i++)
        for (int gradient = 0; gradient < 2; gradient++) {
            cs_error err;
            cs_tensor got;
            char what[200];
            const char *name = cs_model_node(model, i)->name;
            snprintf(what, sizeof what, "%s: %s%s", line, gradient ? "gradient of " : "", name);
            REQUIRE_OK((gradient ? cs_run_gradient : cs_run_activation)(run, name, &got, &err),
                       err);
            const naive_tensor *truth = gradient ? &gradients[i] : &values[i];
            if (bound > 0)
                compare(&got, truth, bound, what);
            else
                canonical_require(&got, truth, what);
        }
}

/* In float64 gates and winners are the naive ones: without exact ties rounding does not move them,
 * and exact zeros and ties are exact in both. */
static void check_network(const random_model *net, cs_model *model, cs_engine engine, cs_isa isa,
                          cs_dtype dtype, int number) {
    cs_tensor input, seed;
    naive_tensor values[RANDOM_NODES], gradients[RANDOM_NODES];
    char line[64];
    snprintf(line, sizeof line, "network %d, %s %s %s", number,
             engine == CS_ENGINE_GEMM ? "gemm" : "direct", cs_isa_name(isa), cs_dtype_name(dtype));
    cs_run *run = start(net, model, engine, isa, dtype, &input, &seed);
    if (run == NULL)
        return;
    naive_tensor x = naive_from(&input), dy = naive_from(&seed);
    for (int canonical = 0; canonical < 2; canonical++) {
        if (canonical ? engine != CS_ENGINE_DIRECT : dtype != CS_F64)
            continue;
        if (canonical)
            canonical_network(net, &x, &dy, dtype, values, gradients);
        else
            random_model_naive(net, &x, &dy, values, gradients);
        check_all(net, model, run, values, gradients, canonical ? 0 : 1e-12, line);
        for (int i = 0; i <= net->model.count; i++) {
            naive_free(&values[i]);
            naive_free(&gradients[i]);
        }
    }
    naive_free(&x);
    naive_free(&dy);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    cs_run_free(run);
}

START_TEST(network_is_the_naive_and_canonical_one) {
    static random_model net;
    random_model_make(&net, (uint64_t)_i);
    cs_model *model = built_model_open(&net.model);
    for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++) {
        if (!cs_isa_available((cs_isa)isa))
            continue;
        check_network(&net, model, CS_ENGINE_DIRECT, (cs_isa)isa, CS_F32, _i);
        check_network(&net, model, CS_ENGINE_DIRECT, (cs_isa)isa, CS_F64, _i);
    }
    check_network(&net, model, CS_ENGINE_GEMM, CS_ISA_AUTO, CS_F64, _i);
    cs_model_free(model);
    random_model_free(&net);
}
END_TEST

Suite *suite_networks(void);
Suite *suite_networks(void) {
    Suite *suite = suite_create("networks");
    TCase *tests = tcase_create("random networks");
    tcase_add_loop_test(tests, network_is_the_naive_and_canonical_one, 0, test_long() ? 1000 : 60);
    suite_add_tcase(suite, tests);
    return suite;
}
