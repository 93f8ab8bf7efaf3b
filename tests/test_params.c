/* test_params.c - packed parameters: made anew when values change, shared by runs, out of memory
 * that is zero and given back; and what explain holds at its peak. */
#include "cli_runner.h"
#include "model.h"
#include "pages.h"
#include "params.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

START_TEST(pages_are_zero_aligned_and_usable) {
    static const size_t sizes[] = {1,        63,      4096,     (2u << 20) - 1,
                                   2u << 20, 5000001, 8u << 20, (16u << 20) + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int again = 0; again < 2; again++) { /* the second time not from fresh memory */
            unsigned char *bytes = pages_allocate(sizes[i]);
            ck_assert_ptr_nonnull(bytes);
            ck_assert_uint_eq((uintptr_t)bytes % 64, 0);
            size_t at = 0;
            while (at < sizes[i] && bytes[at] == 0)
                at++;
            ck_assert_msg(at == sizes[i], "byte %zu of %zu is not zero", at, sizes[i]);
            memset(bytes, 0xA5, sizes[i]);
            pages_free(bytes, sizes[i]);
        }
    pages_free(NULL, 1);
    pages_free(NULL, 8u << 20);
    ck_assert_ptr_null(pages_allocate(SIZE_MAX - 100));
    ck_assert_ptr_null(pages_allocate(SIZE_MAX / 2));
}
END_TEST

static cs_run *start_as(cs_model *model, cs_params *params, cs_dtype dtype, bool few_passes) {
    cs_error err;
    cs_run *run;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.threads = 2;
    options.params = params;
    options.dtype = dtype;
    options.few_passes = few_passes;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    return run;
}

static cs_run *start(cs_model *model, cs_params *params, cs_dtype dtype) {
    return start_as(model, params, dtype, false);
}

/* Output and input gradient of the input of seed 1, as one hash each. */
typedef struct hashes {
    char text[2][CS_SHA256_HEX_SIZE];
} hashes;

static hashes results_of(cs_run *run, const cs_model *model) {
    const cs_preprocess *p = cs_model_preprocess(model);
    cs_error err;
    cs_random random = {1};
    cs_tensor input, seed, t;
    hashes result;
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, p->channels, p->height, p->width, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&seed, CS_F32, 1, cs_model_class_count(model), 1, 1, &err), err);
    cs_random_fill_input(&random, &input);
    cs_tensor_set(&seed, 0, 0, 0, 0, 1);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
    REQUIRE_OK(cs_run_output(run, &t, &err), err);
    REQUIRE_OK(cs_tensor_sha256(&t, result.text[0], &err), err);
    REQUIRE_OK(cs_run_gradient(run, "input", &t, &err), err);
    REQUIRE_OK(cs_tensor_sha256(&t, result.text[1], &err), err);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    return result;
}

static void scale_all(cs_params *params, const cs_model *model, float factor) {
    for (int i = 0; i < cs_model_tensor_count(model); i++)
        for (int64_t j = 0; j < cs_model_tensor(model, i)->count; j++)
            cs_params_tensor(params, i)[j] *= factor;
    cs_params_changed(params);
}

/* A prepared run that is told nothing but prepared again sees the new values, the model's own runs
 * do not, and the old values give the old bits. */
START_TEST(changed_values_are_packed_anew) {
    cs_error err;
    cs_model *model;
    cs_params *params;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    REQUIRE_OK(cs_params_copy(model, &params, &err), err);
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
        cs_run *own = start(model, NULL, (cs_dtype)dtype);
        cs_run *run = start(model, params, (cs_dtype)dtype);
        const hashes before = results_of(own, model), same = results_of(run, model);
        ck_assert_mem_eq(&before, &same, sizeof before);
        const size_t packed = cs_run_memory_used(run).packed;

        scale_all(params, model, 0.5f);
        REQUIRE_OK(cs_run_prepare(run, &err), err);
        const hashes after = results_of(run, model);
        ck_assert_uint_eq(cs_run_memory_used(run).packed, packed);
        for (int i = 0; i < 2; i++)
            ck_assert_str_ne(after.text[i], before.text[i]);
        cs_run *fresh = start(model, params, (cs_dtype)dtype);
        const hashes wanted = results_of(fresh, model), still = results_of(own, model);
        ck_assert_mem_eq(&after, &wanted, sizeof after);
        ck_assert_mem_eq(&still, &before, sizeof still);

        scale_all(params, model, 2.0f);
        REQUIRE_OK(cs_run_prepare(run, &err), err);
        const hashes back = results_of(run, model);
        ck_assert_mem_eq(&back, &before, sizeof back);
        cs_run_free(own);
        cs_run_free(run);
        cs_run_free(fresh);
    }
    cs_params_free(params);
    cs_model_free(model);
}
END_TEST

/* Weights packed anew in each pass give the same bits, from less memory, and are those of the last
 * preparing. */
START_TEST(packs_of_one_pass_are_the_same) {
    cs_error err;
    cs_model *model;
    cs_params *params;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
        REQUIRE_OK(cs_params_copy(model, &params, &err), err);
        cs_run *passing = start_as(model, params, (cs_dtype)dtype, true);
        const size_t little = cs_run_memory_used(passing).packed;
        const hashes first = results_of(passing, model), second = results_of(passing, model);
        cs_run *keeping = start(model, params, (cs_dtype)dtype);
        const hashes wanted = results_of(keeping, model);
        ck_assert_mem_eq(&first, &wanted, sizeof wanted);
        ck_assert_mem_eq(&second, &wanted, sizeof wanted);
        /* (The backward pass's packs are kept.) */
        ck_assert_uint_lt(little, cs_run_memory_used(keeping).packed);
        scale_all(params, model, 0.5f);
        ck_assert_int_eq(cs_run_prepare(passing, &err), CS_OK);
        ck_assert_int_eq(cs_run_prepare(keeping, &err), CS_OK);
        const hashes scaled = results_of(passing, model), other = results_of(keeping, model);
        ck_assert_mem_eq(&scaled, &other, sizeof other);
        ck_assert_str_ne(scaled.text[0], wanted.text[0]);
        cs_run_free(passing);
        cs_run_free(keeping);
        cs_params_free(params);
    }
    cs_model_free(model);
}
END_TEST

/* NaN is found wherever it stands in a tensor, named, and forgotten when it is mended; in run 1
 * when its layer is reached. */
START_TEST(bad_values_are_found_and_mended) {
    cs_error err;
    cs_model *model;
    cs_params *params;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    REQUIRE_OK(cs_params_copy(model, &params, &err), err);
    cs_run *run = start_as(model, params, CS_F32, _i == 1);
    for (int i = 0; i < cs_model_tensor_count(model); i++) {
        const cs_tensor_info *info = cs_model_tensor(model, i);
        const int64_t places[3] = {0, info->count / 2, info->count - 1};
        for (int k = 0; k < 3; k++) {
            const uint32_t nan = k == 1 ? 0x7F800000 : 0xFF800001; /* infinity; a NaN */
            float *value = &cs_params_tensor(params, i)[places[k]], good = *value;
            const char *where = "";
            memcpy(value, &nan, sizeof nan);
            cs_params_changed(params);
            REQUIRE_OK(cs_run_prepare(run, &err), err);
            (void)results_of(run, model);
            ck_assert_int_eq(cs_run_status(run, &where), CS_ERROR_NUMERIC);
            ck_assert_str_eq(where, info->name);
            *value = good;
        }
    }
    cs_params_changed(params);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    (void)results_of(run, model);
    ck_assert_int_eq(cs_run_status(run, NULL), CS_OK);
    cs_run_free(run);
    cs_params_free(params);
    cs_model_free(model);
}
END_TEST

/* Values may be looked at while, and after, a run's preparing hands their pages back. */
START_TEST(released_pages_come_back) {
    cs_error err;
    cs_model *model;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    cs_run *one = start(model, NULL, CS_F32);
    const hashes before = results_of(one, model);
    model_release_pages(model);
    REQUIRE_OK(cs_model_verify_hash(model, &err), err);
    cs_run *two = start(model, NULL, CS_F64), *three = start(model, NULL, CS_F32);
    const hashes again = results_of(one, model), other = results_of(three, model);
    ck_assert_mem_eq(&again, &before, sizeof again);
    ck_assert_mem_eq(&other, &before, sizeof other);
    const hashes wide = results_of(two, model);
    ck_assert_str_ne(wide.text[0], before.text[0]);
    cs_run_free(one);
    cs_run_free(two);
    cs_run_free(three);
    cs_model_free(model);
}
END_TEST

/* Outside of the test's own process, whose children are measured. */
static char network[512];
static void make_network(void) {
    if (!test_long())
        return;
    snprintf(network, sizeof network, "%s", test_path(test_temp_dir(), "network"));
    ck_assert_int_eq(
        cli_run("init --arch resnet50 --classes 2 --seed 1 -o %s --quiet", network).code, 0);
}

/* Weights have 94 MB, which are in memory neither as a file nor packed. */
START_TEST(explain_stays_below_60_mb) {
    if (!test_long())
        return;
    const char *folder = test_temp_dir(), *picture = test_path(folder, "picture.png");
    struct rusage usage;
    cli_draw(picture, 256, 1);
    const cli_result r =
        cli_run("explain %s.json %s -o %s/made --quiet --threads 2", network, picture, folder);
    ck_assert_msg(r.code == 0, "%s", r.err);
    getrusage(RUSAGE_CHILDREN, &usage);
    ck_assert_msg(usage.ru_maxrss < 60 * 1000, "explain held %ld KB", usage.ru_maxrss);
}
END_TEST

Suite *suite_params(void);
Suite *suite_params(void) {
    Suite *suite = suite_create("params");
    TCase *tests = tcase_create("packs and pages");
    tcase_add_test(tests, pages_are_zero_aligned_and_usable);
    tcase_add_test(tests, changed_values_are_packed_anew);
    tcase_add_test(tests, packs_of_one_pass_are_the_same);
    tcase_add_loop_test(tests, bad_values_are_found_and_mended, 0, 2);
    tcase_add_test(tests, released_pages_come_back);
    suite_add_tcase(suite, tests);
    TCase *memory = tcase_create("memory");
    tcase_add_unchecked_fixture(memory, make_network, NULL);
    tcase_add_test(memory, explain_stays_below_60_mb);
    suite_add_tcase(suite, memory);
    return suite;
}
