/* test_slices.c - first layers that run for a few images at a time (engine/plan_slice.c): the bits
 * and the node named for NaN and infinity are those of each image alone.
 */
#include "model_builder.h"
#include "test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES 3
#define SLICE  2   /* of them at a time: a slice, and what is left */
#define SIDE   160 /* conv1 reads and writes 1.9 MB an image */
#define KEPT   "relu2"

static float weights[7 * 16 * 5 * 5]; /* enough for each of the convolutions */

/* A block of ResNet's kind behind a stem, and a convolution with more weights than values. */
static cs_model *open_model(void) {
    cs_node_attributes stem = built_window(3, 1, 1, 1), head = built_window(5, 40, 0, 1);
    cs_node_attributes pool = built_window(2, 2, 0, 1);
    stem.out_channels = 16;
    head.out_channels = 7;
    const built_node nodes[] = {
        {.name = "conv1",
         .op = "conv2d",
         .inputs = {"input"},
         .in_channels = 3,
         .weight = weights,
         .attributes = stem},
        {.name = "relu1", .op = "relu", .inputs = {"conv1"}},
        {.name = "pool", .op = "max_pool2d", .inputs = {"relu1"}, .attributes = pool},
        {.name = "conv2",
         .op = "conv2d",
         .inputs = {"pool"},
         .in_channels = 16,
         .weight = weights,
         .attributes = stem},
        {.name = "add", .op = "add", .inputs = {"conv2", "pool"}},
        {.name = KEPT, .op = "relu", .inputs = {"add"}},
        {.name = "conv3",
         .op = "conv2d",
         .inputs = {KEPT},
         .in_channels = 16,
         .weight = weights,
         .attributes = stem},
        {.name = "relu3", .op = "relu", .inputs = {"conv3"}},
        {.name = "head",
         .op = "conv2d",
         .inputs = {"relu3"},
         .in_channels = 16,
         .weight = weights,
         .attributes = head},
        {.name = "mean", .op = "adaptive_avg_pool2d", .inputs = {"head"}},
    };
    const built_model model = {.channels = 3,
                               .height = SIDE,
                               .width = SIDE,
                               .nodes = nodes,
                               .count = (int)(sizeof nodes / sizeof *nodes),
                               .output = "mean",
                               .classes = 7};
    cs_random random = {5};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        weights[i] = (float)(cs_random_uniform(&random) - 0.5);
    return built_model_open(&model);
}

/* What a pass leaves, of `n` images. */
typedef struct results {
    cs_tensor output, kept, gradient;
    const char *bad;
} results;

static cs_tensor image_of(const cs_tensor *t, int64_t n) {
    cs_tensor one = *t;
    one.n = 1;
    one.data = (char *)t->data + (size_t)(n * t->c * t->h * t->w) * cs_dtype_size(t->dtype);
    return one;
}

static results pass(cs_run *run, const cs_tensor *input, const cs_tensor *seed, bool kept) {
    cs_error err;
    results r = {0};
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    REQUIRE_OK(cs_run_output(run, &r.output, &err), err);
    REQUIRE_OK(cs_run_gradient(run, "input", &r.gradient, &err), err);
    if (kept)
        REQUIRE_OK(cs_run_activation(run, KEPT, &r.kept, &err), err);
    (void)cs_run_status(run, &r.bad);
    return r;
}

static void require_bytes(const cs_tensor *batch, int64_t n, const cs_tensor *alone,
                          const char *what) {
    const cs_tensor got = image_of(batch, n);
    ck_assert_msg(memcmp(got.data, alone->data, cs_tensor_count(alone) * sizeof(float)) == 0,
                  "%s of image %d differs from the image's alone", what, (int)n);
}

/* Bytes of a node's value in the plan. */
static size_t value_size(const cs_run *run, const char *name) {
    for (int i = 0; i < cs_run_block_count(run); i++) {
        const cs_memory_block block = cs_run_block(run, i);
        if (block.kind == CS_MEMORY_VALUE && block.name && strcmp(block.name, name) == 0)
            return block.size;
    }
    return 0;
}

static cs_tensor drawn(int64_t n, int64_t c, int64_t side, uint64_t number) {
    cs_error err;
    cs_tensor t;
    cs_random random = {number};
    REQUIRE_OK(cs_tensor_allocate(&t, CS_F32, n, c, side, side, &err), err);
    for (int64_t i = 0; i < cs_tensor_count(&t); i++)
        ((float *)t.data)[i] = (float)(cs_random_uniform(&random) * 2 - 1);
    return t;
}

START_TEST(slices_give_the_bits_of_each_image_alone) {
    const bool kept = _i & 1;
    cs_model *model = open_model();
    const char *node = kept ? KEPT : NULL;
    cs_run *all = test_run_start(model, IMAGES, node, true);
    cs_run *one = test_run_start(model, 1, node, true);
    cs_tensor input = drawn(IMAGES, 3, SIDE, 1), seed = drawn(IMAGES, 7, 1, 2);
    ck_assert_uint_eq(value_size(all, "relu1"), SLICE * SIDE * SIDE * 16 * sizeof(float));
    ck_assert_uint_eq(value_size(all, KEPT),
                      (kept ? IMAGES : SLICE) * SIDE / 2 * SIDE / 2 * 16 * sizeof(float));
    for (int64_t count = IMAGES; count > 0; count--) { /* fewer than the plan has room for, too */
        cs_tensor some = input, some_seed = seed;
        some.n = some_seed.n = count;
        for (int twice = 0; twice < 2; twice++) {
            const results got = pass(all, &some, &some_seed, kept);
            ck_assert_ptr_null(got.bad);
            for (int64_t n = 0; n < count; n++) {
                const cs_tensor x = image_of(&input, n), dy = image_of(&seed, n);
                const results alone = pass(one, &x, &dy, kept);
                require_bytes(&got.output, n, &alone.output, "the output");
                require_bytes(&got.gradient, n, &alone.gradient, "the gradient");
                if (kept)
                    require_bytes(&got.kept, n, &alone.kept, KEPT);
            }
        }
    }
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    cs_run_free(all);
    cs_run_free(one);
    cs_model_free(model);
}
END_TEST

/* Numbers so large that image `n` overflows; returns the node named for it alone. */
static const char *overflow(cs_run *one, cs_tensor *input, int64_t n, float factor,
                            const cs_tensor *seed) {
    const cs_tensor x = image_of(input, n), dy = image_of(seed, n);
    for (int64_t i = 0; i < cs_tensor_count(&x); i++)
        ((float *)x.data)[i] *= factor;
    return pass(one, &x, &dy, false).bad;
}

/* A later image meets infinity earlier in the network than the first image does. */
START_TEST(the_first_node_of_all_images_is_named) {
    cs_model *model = open_model();
    cs_run *all = test_run_start(model, IMAGES, NULL, true);
    cs_run *one = test_run_start(model, 1, NULL, true);
    cs_tensor input = drawn(IMAGES, 3, SIDE, 1), seed = drawn(IMAGES, 7, 1, 2);
    ck_assert_str_eq(overflow(one, &input, 0, 1e37f, &seed), "conv3");
    ck_assert_str_eq(overflow(one, &input, 1, 3e38f, &seed), "conv1");
    ck_assert_str_eq(pass(all, &input, &seed, false).bad, "conv1");
    /* Backwards: the same with the seed. */
    cs_tensor fresh = drawn(IMAGES, 3, SIDE, 1);
    for (int64_t n = 0; n < 2; n++) {
        const cs_tensor dy = image_of(&seed, n);
        for (int64_t i = 0; i < cs_tensor_count(&dy); i++)
            ((float *)dy.data)[i] = n == 0 ? 1e38f : 3e38f;
    }
    const cs_tensor x0 = image_of(&fresh, 0), x1 = image_of(&fresh, 1);
    const cs_tensor dy0 = image_of(&seed, 0), dy1 = image_of(&seed, 1);
    const char *late = pass(one, &x0, &dy0, false).bad;
    const char *early = pass(one, &x1, &dy1, false).bad;
    ck_assert_str_eq(late, "conv2");
    ck_assert_str_eq(early, "conv3");
    ck_assert_str_eq(pass(all, &fresh, &seed, false).bad, early);
    cs_tensor_release(&fresh);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    cs_run_free(all);
    cs_run_free(one);
    cs_model_free(model);
}
END_TEST

Suite *suite_slices(void);
Suite *suite_slices(void) {
    Suite *suite = suite_create("slices");
    TCase *tests = tcase_create("slices");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, slices_give_the_bits_of_each_image_alone, 0, 2);
    tcase_add_test(tests, the_first_node_of_all_images_is_named);
    suite_add_tcase(suite, tests);
    return suite;
}
