/* test_pools.c - what pools and ReLU do where there is no number to compare: NaN, empty windows. */
#include "model_builder.h"
#include "test_support.h"

#include <math.h>

/* One channel of 1 x 4 through a layer with NaN at positions 1 and 2: the gradient of a window with
 * NaN goes to its first NaN. */
START_TEST(nan_passes_relu_and_wins_max_pools) {
    const double nan = (double)NAN;
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++)
        for (int pool = 0; pool < 2; pool++) {
            cs_error err;
            built_node node = {
                .name = "layer", .op = pool ? "max_pool2d" : "relu", .inputs = {"input"}};
            if (pool)
                node.attributes = (cs_node_attributes){
                    .kernel_size = {1, 3}, .stride = {1, 1}, .dilation = {1, 1}};
            built_model model = {.channels = 1,
                                 .height = 1,
                                 .width = 4,
                                 .nodes = &node,
                                 .count = 1,
                                 .output = "layer",
                                 .classes = 1};
            cs_model *opened = built_model_open(&model);
            cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
            options.dtype = (cs_dtype)dtype;
            cs_run *run = NULL;
            cs_tensor input, seed, y, dx;
            REQUIRE_OK(cs_run_create(opened, &options, &run, &err), err);
            REQUIRE_OK(cs_run_keep(run, "input", &err), err);
            REQUIRE_OK(cs_run_prepare(run, &err), err);
            REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, 1, 1, 4, &err), err);
            REQUIRE_OK(cs_tensor_allocate(&seed, CS_F32, 1, 1, 1, pool ? 2 : 4, &err), err);
            for (int64_t i = 0; i < 4; i++) {
                cs_tensor_set(&input, 0, 0, 0, i, i == 1 || i == 2 ? nan : 9.0 - 12.0 * (double)i);
                cs_tensor_set(&seed, 0, 0, 0, i % seed.w, (double)(1 + i % seed.w));
            }
            REQUIRE_OK(cs_run_forward(run, &input, &err), err);
            REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
            REQUIRE_OK(cs_run_output(run, &y, &err), err);
            REQUIRE_OK(cs_run_gradient(run, "input", &dx, &err), err);
            static const double gradients[2][4] = {{1, 2, 3, 0}, {0, 3, 0, 0}};
            for (int64_t i = 0; i < 4; i++)
                ck_assert_double_eq(cs_tensor_at(&dx, 0, 0, 0, i), gradients[pool][i]);
            ck_assert(isnan(cs_tensor_at(&y, 0, 0, 0, 1)));
            ck_assert(pool
                          ? isnan(cs_tensor_at(&y, 0, 0, 0, 0))
                          : cs_tensor_at(&y, 0, 0, 0, 0) == 9 && cs_tensor_at(&y, 0, 0, 0, 3) == 0);
            cs_tensor_release(&input);
            cs_tensor_release(&seed);
            cs_run_free(run);
            cs_model_free(opened);
        }
}
END_TEST

/* Dilated taps at -1 and 2 of a map of 2: nothing to take the maximum of. */
START_TEST(a_pool_window_beside_the_map_is_refused) {
    cs_error err;
    built_node node = {.name = "pool", .op = "max_pool2d", .inputs = {"input"}};
    node.attributes = built_window(2, 1, 1, 3);
    built_model model = {.channels = 1,
                         .height = 2,
                         .width = 2,
                         .nodes = &node,
                         .count = 1,
                         .output = "pool",
                         .classes = 1};
    const char *path = built_model_write(&model, test_temp_dir(), "model");
    cs_model *opened = NULL;
    REQUIRE_STATUS(cs_model_open(path, NULL, &opened, &err), CS_ERROR_MISMATCH, err);
    ck_assert_str_eq(err.subject, "pool");
}
END_TEST

Suite *suite_pools(void);
Suite *suite_pools(void) {
    Suite *suite = suite_create("pools");
    TCase *tests = tcase_create("pools");
    tcase_add_test(tests, nan_passes_relu_and_wins_max_pools);
    tcase_add_test(tests, a_pool_window_beside_the_map_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
