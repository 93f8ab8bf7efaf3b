/* test_torch.c - seeded ResNet-18 and ResNet-50 against PyTorch in float64.
 *
 * tests/fixtures/torch_<arch>.txt holds samples of activations and gradients at a stem, a middle
 * and a last node (fixtures/make_torch_fixtures.py); the scalar is logit 0 of image 0 plus logit 1
 * of image 1, the input the golden one with batch 2.
 */
#include "cnnscope_convert.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the fixture says of one node, and how far we are from it. */
typedef struct block {
    char kind[16], node[128];
    double largest;
    long long count;
} block;

/* Reads "kind node largest count"; false at the end. */
static bool next_block(FILE *file, block *b) {
    char largest[64];
    if (fscanf(file, "%15s %127s %63s %lld", b->kind, b->node, largest, &b->count) != 4)
        return false;
    b->largest = strtod(largest, NULL);
    return true;
}

static double element(const cs_tensor *t, long long index) {
    const int64_t w = index % t->w, rest = index / t->w, h = rest % t->h, image = rest / t->h;
    return cs_tensor_at(t, image / t->c, image % t->c, h, w);
}

/* Largest difference of the block's 24 samples, relative to the node's largest value. */
static double compare_block(FILE *file, const block *b, cs_run *run) {
    cs_error err;
    cs_tensor t;
    double worst = 0;
    if (strcmp(b->kind, "activation") == 0)
        REQUIRE_OK(cs_run_activation(run, b->node, &t, &err), err);
    else
        REQUIRE_OK(cs_run_gradient(run, b->node, &t, &err), err);
    ck_assert_int_eq(cs_tensor_count(&t), b->count);
    for (int i = 0; i < 24; i++) {
        long long index;
        char value[64];
        ck_assert_int_eq(fscanf(file, "%lld %63s", &index, value), 2);
        const double difference = fabs(element(&t, index) - strtod(value, NULL)) / b->largest;
        worst = !(difference <= worst) ? difference : worst;
    }
    return worst;
}

/* NULL where the gemm engine was not built. */
static cs_run *run_seeded(const char *arch, int64_t classes, cs_engine engine, cs_dtype dtype,
                          FILE *file, cs_model **model) {
    cs_error err;
    cs_run *run;
    cs_tensor input, seed;
    cs_random random = {1};
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    cs_convert_options convert = CS_CONVERT_OPTIONS_DEFAULT;
    char name[512], json[520];
    (void)snprintf(name, sizeof name, "%s", test_path(test_temp_dir(), arch));
    (void)snprintf(json, sizeof json, "%s.json", name);
    convert.name = name;
    REQUIRE_OK(cs_init(arch, classes, 1, &convert, NULL, &err), err);
    REQUIRE_OK(cs_model_open(json, NULL, model, &err), err);
    options.max_batch = 2;
    options.dtype = dtype;
    options.engine = engine;
    cs_status status = cs_run_create(*model, &options, &run, &err);
    if (status == CS_ERROR_UNSUPPORTED && engine == CS_ENGINE_GEMM) {
        fprintf(stderr, "skipped: %s gemm (%s)\n", arch, err.text);
        return NULL;
    }
    ck_assert_msg(status == CS_OK, "%s: %s", arch, err.text);
    for (block b; next_block(file, &b);) {
        char line[128];
        REQUIRE_OK(cs_run_keep(run, b.node, &err), err);
        for (int i = 0; i < 25; i++) /* the rest of the header's line, then the samples */
            ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    }
    rewind(file);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 2, 3, 224, 224, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&seed, CS_F32, 2, classes, 1, 1, &err), err);
    cs_random_fill_input(&random, &input);
    cs_tensor_set(&seed, 0, 0, 0, 0, 1);
    cs_tensor_set(&seed, 1, 1, 0, 0, 1);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    return run;
}

static void compare_with_torch(const char *arch, int64_t classes, cs_engine engine, cs_dtype dtype,
                               double bound) {
    char path[128];
    cs_model *model;
    int blocks = 0;
    (void)snprintf(path, sizeof path, "tests/fixtures/torch_%s.txt", arch);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s is missing", path);
    cs_run *run = run_seeded(arch, classes, engine, dtype, file, &model);
    for (block b; run && next_block(file, &b); blocks++) {
        const double worst = compare_block(file, &b, run);
        ck_assert_msg(worst <= bound, "%s, %s: %s of %s is %.3g from PyTorch's; bound %.3g", arch,
                      cs_dtype_name(dtype), b.kind, b.node, worst, bound);
    }
    ck_assert_int_eq(blocks, run ? 20 : 0);
    if (run)
        printf("torch: %s %s %s: %lld pool windows tied\n", arch,
               engine == CS_ENGINE_GEMM ? "gemm" : "direct", cs_dtype_name(dtype),
               (long long)cs_run_pool_ties(run));
    fclose(file);
    cs_run_free(run);
    cs_model_free(model);
}

START_TEST(test_resnet18_f64) {
    compare_with_torch("resnet18", 10, CS_ENGINE_DIRECT, CS_F64, 1e-11);
}
END_TEST

START_TEST(test_resnet18_gemm_f64) {
    compare_with_torch("resnet18", 10, CS_ENGINE_GEMM, CS_F64, 1e-11);
}
END_TEST

START_TEST(test_resnet50_f64) {
    compare_with_torch("resnet50", 2, CS_ENGINE_DIRECT, CS_F64, 1e-11);
}
END_TEST

Suite *suite_torch(void);
Suite *suite_torch(void) {
    Suite *suite = suite_create("torch");
    TCase *tests = tcase_create("float64");
    tcase_add_test(tests, test_resnet18_f64);
    tcase_add_test(tests, test_resnet18_gemm_f64);
    tcase_add_test(tests, test_resnet50_f64);
    suite_add_tcase(suite, tests);
    return suite;
}
