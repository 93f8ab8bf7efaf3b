/* test_init.c - untrained models: the formula, the bytes, the refusals. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cnnscope_support.h"
#include "convert_support.h"
#include "test_support.h"

static const char *init(const char *arch, int64_t classes, uint64_t seed,
                        cs_convert_options options) {
    cs_error err = {0};
    options.name = test_path(test_temp_dir(), "model");
    REQUIRE_OK(cs_init(arch, classes, seed, &options, NULL, &err), err);
    return options.name;
}

START_TEST(test_init_values) {
    const char *name =
        init("resnet:block=bottleneck,layers=1-1-1-1,width=4", 5, 7, convert_defaults);
    cs_model *model = test_open_model(name);
    cs_random random = {7};
    for (int i = 0; i < cs_model_tensor_count(model); ++i) {
        const cs_tensor_info *t = cs_model_tensor(model, i);
        bool weight = t->dims > 1;
        bool one = !weight && !strstr(t->name, "bias") && !strstr(t->name, "running_mean");
        double bound = weight ? sqrt(6.0 / (double)(t->count / t->shape[0])) : 0;
        for (int64_t k = 0; k < t->count; ++k) {
            float wanted = one ? 1.0f : 0.0f;
            if (weight)
                wanted = (float)((2 * cs_random_uniform(&random) - 1) * bound);
            ck_assert_msg(t->data[k] == wanted, "%s[%lld]", t->name, (long long)k);
        }
    }
    ck_assert_int_eq(cs_model_class_count(model), 5);
    ck_assert(!cs_model_preprocess(model)->assumed_eps);
    cs_model_free(model);
}
END_TEST

START_TEST(test_init_bytes) {
    cs_convert_options options = convert_defaults;
    options.channels = 1;
    options.width = options.height = 16;
    const char *one = init("resnet_cifar:depth=8,width=4", 3, 1, options);
    test_files_equal(one, init("resnet_cifar:depth=8,width=4", 3, 1, options), ".bin");
    test_files_equal(one, init("resnet_cifar:depth=8,width=4", 3, 1, options), ".json");
    size_t size, other_size;
    char *a = test_file_get(test_with_ending(one, ".bin"), &size);
    char *b = test_file_get(
        test_with_ending(init("resnet_cifar:depth=8,width=4", 3, 2, options), ".bin"), &other_size);
    ck_assert_uint_eq(size, other_size);
    ck_assert(memcmp(a, b, size) != 0);
    free(a);
    free(b);
}
END_TEST

START_TEST(test_init_refused) {
    cs_error err = {0};
    cs_convert_options options = convert_defaults;
    options.name = test_path(test_temp_dir(), "model");
    REQUIRE_STATUS(cs_init("resnet51", 2, 1, &options, NULL, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_init(NULL, 2, 1, &options, NULL, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_init("resnet18", 0, 1, &options, NULL, &err), CS_ERROR_ARGUMENT, err);
    options.channels = 17;
    REQUIRE_STATUS(cs_init("resnet18", 2, 1, &options, NULL, &err), CS_ERROR_LIMIT, err);
    ck_assert_int_ne(access(test_with_ending(options.name, ".bin"), F_OK), 0);
}
END_TEST

Suite *suite_init(void);
Suite *suite_init(void) {
    Suite *suite = suite_create("init");
    TCase *all = tcase_create("init");
    tcase_add_test(all, test_init_values);
    tcase_add_test(all, test_init_bytes);
    tcase_add_test(all, test_init_refused);
    suite_add_tcase(suite, all);
    return suite;
}
