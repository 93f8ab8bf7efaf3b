#include "cam_cases.h"

#include <stdlib.h>

cs_tensor cam_random(cs_dtype dtype, int64_t n, int64_t c, int64_t h, int64_t w, uint64_t seed) {
    cs_error err;
    cs_tensor t;
    REQUIRE_OK(cs_tensor_allocate(&t, dtype, n, c, h, w, &err), err);
    cs_random random = {seed};
    cs_random_fill_input(&random, &t);
    return t;
}

void cam_rectify(cs_tensor *t) {
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t c = 0; c < t->c; c++)
            for (int64_t y = 0; y < t->h; y++)
                for (int64_t x = 0; x < t->w; x++)
                    if (cs_tensor_at(t, n, c, y, x) < 0)
                        cs_tensor_set(t, n, c, y, x, 0);
}

cs_cam_options cam_options(const char *method, const char *variant) {
    cs_cam_options options = CS_CAM_OPTIONS_DEFAULT;
    options.method = method;
    options.variant = variant;
    return options;
}

/* `count` values in [-scale, scale); free() them. */
static float *random_floats(cs_random *random, size_t count, float scale) {
    float *values = malloc(count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(2 * cs_random_uniform(random) - 1) * scale;
    return values;
}

cs_model *cam_small_model(int64_t classes, uint64_t seed) {
    cs_random random = {seed};
    float *w1 = random_floats(&random, 6 * 3 * 9, 0.4f), *b1 = random_floats(&random, 6, 0.2f),
          *w2 = random_floats(&random, 5 * 6 * 9, 0.4f), *b2 = random_floats(&random, 5, 0.2f),
          *w3 = random_floats(&random, (size_t)classes * 5, 1.0f),
          *b3 = random_floats(&random, (size_t)classes, 0.5f);
    built_node nodes[] = {
        {.name = "conv1",
         .op = "conv2d",
         .inputs = {"input"},
         .in_channels = 3,
         .attributes = built_window(3, 1, 1, 1),
         .weight = w1,
         .bias = b1},
        {.name = "relu1", .op = "relu", .inputs = {"conv1"}},
        {.name = "conv2",
         .op = "conv2d",
         .inputs = {"relu1"},
         .in_channels = 6,
         .attributes = built_window(3, 2, 1, 1),
         .weight = w2,
         .bias = b2},
        {.name = "relu2", .op = "relu", .inputs = {"conv2"}},
        {.name = "avgpool", .op = "adaptive_avg_pool2d", .inputs = {"relu2"}},
        {.name = "flatten", .op = "flatten", .inputs = {"avgpool"}},
        {.name = "fc",
         .op = "linear",
         .inputs = {"flatten"},
         .in_channels = 5,
         .weight = w3,
         .bias = b3},
    };
    nodes[0].attributes.out_channels = 6;
    nodes[2].attributes.out_channels = 5;
    nodes[0].attributes.groups = nodes[2].attributes.groups = 1;
    nodes[6].attributes.out_channels = classes;
    const built_model model = {3, 9, 7, nodes, 7, "fc", classes};
    cs_model *opened = built_model_open(&model);
    float *all[] = {w1, b1, w2, b2, w3, b3};
    for (int i = 0; i < 6; i++)
        free(all[i]);
    return opened;
}

cam_fixture cam_start(cs_model *model, const char *layer, cs_dtype dtype, int64_t batch,
                      int threads) {
    cs_error err;
    cam_fixture f = {.model = model, .layer = layer};
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    const cs_preprocess *p = cs_model_preprocess(model);
    options.dtype = dtype;
    options.max_batch = batch;
    options.threads = threads;
    REQUIRE_OK(cs_run_create(model, &options, &f.run, &err), err);
    REQUIRE_OK(cs_run_keep(f.run, layer, &err), err);
    REQUIRE_OK(cs_run_keep(f.run, "input", &err), err);
    REQUIRE_OK(cs_run_prepare(f.run, &err), err);
    f.input = cam_random(dtype, batch, p->channels, p->height, p->width, 5);
    REQUIRE_OK(cs_run_forward(f.run, &f.input, &err), err);
    return f;
}

cam_fixture cam_start_small(cs_dtype dtype, int64_t batch, int64_t classes, uint64_t seed) {
    return cam_start(cam_small_model(classes, seed), "relu2", dtype, batch, 1);
}

cam_fixture cam_start_file(const char *path, cs_dtype dtype, int64_t batch) {
    cs_error err;
    cs_model *model = NULL;
    REQUIRE_OK(cs_model_open(path, NULL, &model, &err), err);
    return cam_start(model, cs_model_default_layer(model), dtype, batch, 2);
}

void cam_finish(cam_fixture *f) {
    cs_run_free(f->run);
    cs_model_free(f->model);
    cs_tensor_release(&f->input);
}
