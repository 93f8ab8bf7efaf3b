/* tangent_scene.c - see tangent_scene.h. */
#include "tangent_scene.h"
#include "test_support.h"

#include <stdlib.h>

tangent_scene scene;

/* All layers that random networks lack, one behind the other. */
static const float zoo_weight[8 * 6 * 9] = {0.5f, -1.25f, 0.75f, 2, -0.5f, 1, 0.25f, -2};
static float zoo_values[8 * 6 * 9], zoo_linear[5 * 10 * 2 * 2], zoo_bias[8] = {1, -1, 0.5f, 2};
static const built_node zoo[] = {
    {.name = "conv",
     .op = "conv2d",
     .inputs = {"input"},
     .in_channels = 6,
     .attributes = {.out_channels = 8,
                    .kernel_size = {3, 3},
                    .stride = {1, 2},
                    .padding = {2, 1},
                    .dilation = {2, 1},
                    .groups = 2},
     .weight = zoo_values,
     .bias = zoo_bias},
    {.name = "shortcut",
     .op = "shortcut_a",
     .inputs = {"conv"},
     .attributes = {.stride = {2, 2}, .pad_channels = {1, 1}}},
    {.name = "channels", .op = "softmax", .inputs = {"shortcut"}},
    {.name = "average",
     .op = "avg_pool2d",
     .inputs = {"channels"},
     .attributes = {.kernel_size = {3, 2},
                    .stride = {2, 2},
                    .padding = {1, 1},
                    .ceil_mode = true,
                    .count_include_pad = true}},
    {.name = "flatten", .op = "flatten", .inputs = {"average"}},
    {.name = "linear",
     .op = "linear",
     .inputs = {"flatten"},
     .in_channels = 40,
     .attributes = {.out_channels = 5},
     .weight = zoo_linear,
     .bias = zoo_bias},
    {.name = "softmax", .op = "softmax", .inputs = {"linear"}},
};

static void make_zoo(void) {
    cs_random random = {77};
    for (size_t i = 0; i < sizeof zoo_values / sizeof *zoo_values; i++)
        zoo_values[i] = zoo_weight[i % 8] * (float)cs_random_uniform(&random);
    for (size_t i = 0; i < sizeof zoo_linear / sizeof *zoo_linear; i++)
        zoo_linear[i] = (float)cs_random_uniform(&random) - 0.5f;
    scene.net.model = (built_model){.channels = 6,
                                    .height = 6,
                                    .width = 9,
                                    .nodes = zoo,
                                    .count = (int)(sizeof zoo / sizeof *zoo),
                                    .output = "softmax",
                                    .classes = 5};
}

/* Network `number`; -1 is the zoo. */
void tangent_scene_open(int number) {
    cs_error err;
    if (number < 0)
        make_zoo();
    else
        random_model_make(&scene.net, (uint64_t)number);
    const built_model *m = &scene.net.model;
    scene.model = built_model_open(m);
    scene.random = (cs_random){(uint64_t)number + 900};
    REQUIRE_OK(cs_tensor_allocate(&scene.input, CS_F32, TANGENT_IMAGES, m->channels, m->height,
                                  m->width, &err),
               err);
    scene.direction = test_tensor_copy(&scene.input);
    cs_random_fill_input(&scene.random, &scene.input);
    cs_random_fill_input(&scene.random, &scene.direction);
    const int tensors = cs_model_tensor_count(scene.model);
    scene.weights = calloc((size_t)tensors + 1, sizeof *scene.weights);
    scene.parameters = calloc((size_t)tensors + 1, sizeof *scene.parameters);
    ck_assert(scene.weights && scene.parameters);
    for (int i = 0; i < cs_model_node_count(scene.model); i++)
        for (int k = 0; k < cs_model_node(scene.model, i)->parameters && k < 2; k++) {
            const int t = cs_model_node(scene.model, i)->parameter[k];
            const int64_t count = cs_model_tensor(scene.model, t)->count;
            scene.weights[t] = malloc((size_t)count * sizeof **scene.weights);
            ck_assert_ptr_nonnull(scene.weights[t]);
            for (int64_t j = 0; j < count; j++)
                scene.weights[t][j] = (float)(cs_random_uniform(&scene.random) - 0.5);
        }
}

static void release_parameters(void) {
    for (int i = 0; i < cs_model_tensor_count(scene.model); i++)
        cs_tensor_release(&scene.parameters[i]);
}

/* The parameters' tangents as the engine takes them. */
void tangent_scene_parameters(cs_dtype dtype) {
    release_parameters();
    for (int i = 0; i < cs_model_tensor_count(scene.model); i++) {
        cs_error err;
        const cs_tensor_info *t = cs_model_tensor(scene.model, i);
        int64_t s[4] = {1, 1, 1, 1};
        if (!scene.weights[i])
            continue;
        for (int k = 0; k < t->dims; k++)
            s[t->dims == 1 ? 1 : k] = t->shape[k];
        REQUIRE_OK(cs_tensor_allocate(&scene.parameters[i], dtype, s[0], s[1], s[2], s[3], &err),
                   err);
        for (int64_t j = 0; j < t->count; j++)
            cs_tensor_set(&scene.parameters[i], j / (s[1] * s[2] * s[3]), j / (s[2] * s[3]) % s[1],
                          j / s[3] % s[2], j % s[3], (double)scene.weights[i][j]);
    }
}

void tangent_scene_close(void) {
    release_parameters();
    for (int i = 0; i < cs_model_tensor_count(scene.model); i++)
        free(scene.weights[i]);
    free(scene.weights);
    free(scene.parameters);
    cs_model_free(scene.model);
    if (scene.net.float_count)
        random_model_free(&scene.net);
    cs_tensor_release(&scene.input);
    cs_tensor_release(&scene.direction);
}

/* A run with the tangent taken; NULL where the engine was not built. */
cs_run *tangent_scene_run(cs_engine engine, cs_isa isa, cs_dtype dtype, int threads, bool keep_all,
                          bool parameters) {
    cs_error err;
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.engine = engine;
    options.isa = isa;
    options.dtype = dtype;
    options.threads = threads;
    options.max_batch = TANGENT_IMAGES + 1;
    const cs_status status = cs_run_create(scene.model, &options, &run, &err);
    if (status == CS_ERROR_UNSUPPORTED && engine == CS_ENGINE_GEMM)
        return NULL;
    ck_assert_msg(status == CS_OK, "%s", err.text);
    for (int i = 0; keep_all && i < cs_model_node_count(scene.model); i++) {
        const char *name = cs_model_node(scene.model, i)->name;
        REQUIRE_OK(cs_run_keep(run, name, &err), err);
        REQUIRE_OK(cs_run_keep_tangent(run, name, &err), err);
    }
    REQUIRE_OK(cs_run_keep_tangent(run, scene.net.model.output, &err), err);
    if (parameters)
        cs_run_keep_parameter_tangents(run);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &scene.input, &err), err);
    tangent_scene_parameters(dtype);
    const cs_direction direction = {&scene.direction, parameters ? scene.parameters : NULL};
    REQUIRE_OK(cs_run_tangent(run, &direction, &err), err);
    return run;
}
