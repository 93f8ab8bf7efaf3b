/* audit_network.c - see audit_network.h. */
#include "audit_network.h"
#include "test_support.h"

enum { FLOATS = 16 * 8 * 9 };

static float values[6][FLOATS], positive[16], vectors[3][16];

#define CONV(k, r, s, p, g)                                                                        \
    {                                                                                              \
        .out_channels = (k), .kernel_size = {(r), (r)}, .stride = {(s), (s)},                      \
        .padding = {(p), (p)}, .dilation = {1, 1}, .groups = (g)                                   \
    }
#define NORM(node_name, from, channels)                                                            \
    {                                                                                              \
        .name = node_name, .op = "batch_norm", .inputs = {from}, .in_channels = (channels),        \
        .attributes = {.eps = 1e-5}, .weight = vectors[0], .bias = vectors[1],                     \
        .running_mean = vectors[2], .running_var = positive                                        \
    }

static const built_node nodes[] = {
    {.name = "conv1",
     .op = "conv2d",
     .inputs = {"input"},
     .in_channels = 3,
     .attributes = CONV(8, 3, 1, 1, 1),
     .weight = values[0]},
    NORM("bn1", "conv1", 8),
    {.name = "relu", .op = "relu", .inputs = {"bn1"}},
    {.name = "maxpool",
     .op = "max_pool2d",
     .inputs = {"relu"},
     .attributes =
         {.kernel_size = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .dilation = {1, 1}}},
    {.name = "a.conv1",
     .op = "conv2d",
     .inputs = {"maxpool"},
     .in_channels = 8,
     .attributes = CONV(8, 3, 1, 1, 2),
     .weight = values[1],
     .bias = vectors[1]},
    {.name = "a.relu", .op = "relu", .inputs = {"a.conv1"}},
    {.name = "a.conv2",
     .op = "conv2d",
     .inputs = {"a.relu"},
     .in_channels = 8,
     .attributes = CONV(8, 3, 1, 1, 1),
     .weight = values[2]},
    NORM("a.bn2", "a.conv2", 8),
    {.name = "a.add", .op = "add", .inputs = {"a.bn2", "maxpool"}},
    {.name = "a.relu_1", .op = "relu", .inputs = {"a.add"}},
    {.name = "b.conv1",
     .op = "conv2d",
     .inputs = {"a.relu_1"},
     .in_channels = 8,
     .attributes = CONV(16, 3, 2, 1, 1),
     .weight = values[3]},
    {.name = "b.shortcut",
     .op = "shortcut_a",
     .inputs = {"a.relu_1"},
     .attributes = {.stride = {2, 2}, .pad_channels = {4, 4}}},
    {.name = "b.add", .op = "add", .inputs = {"b.conv1", "b.shortcut"}},
    {.name = "b.relu", .op = "relu", .inputs = {"b.add"}},
    {.name = "pool",
     .op = "avg_pool2d",
     .inputs = {"b.relu"},
     .attributes = {.kernel_size = {2, 2}, .stride = {1, 1}, .padding = {1, 1}}},
    {.name = "avgpool", .op = "adaptive_avg_pool2d", .inputs = {"pool"}},
    {.name = "flatten", .op = "flatten", .inputs = {"avgpool"}},
    {.name = "fc",
     .op = "linear",
     .inputs = {"flatten"},
     .in_channels = 16,
     .attributes = {.out_channels = 4},
     .weight = values[4],
     .bias = vectors[1]},
    {.name = "softmax", .op = "softmax", .inputs = {"fc"}},
};
#define NODES ((int)(sizeof nodes / sizeof *nodes))

cs_model *audit_network(bool softmax) {
    cs_random random = {2024};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < FLOATS; j++)
            values[i][j] = (float)(cs_random_uniform(&random) - 0.5) * (i < 4 ? 0.5f : 1);
    for (int j = 0; j < 16; j++) {
        vectors[0][j] = (float)(0.5 + cs_random_uniform(&random));
        vectors[1][j] = (float)(cs_random_uniform(&random) - 0.5);
        vectors[2][j] = (float)(cs_random_uniform(&random) - 0.5);
        positive[j] = (float)(0.5 + cs_random_uniform(&random));
    }
    const built_model model = {.channels = 3,
                               .height = 12,
                               .width = 10,
                               .nodes = nodes,
                               .count = softmax ? NODES : NODES - 1,
                               .output = softmax ? "softmax" : "fc",
                               .classes = 4};
    return built_model_open(&model);
}

cs_tensor audit_network_input(const cs_model *model, uint64_t seed) {
    cs_error err;
    cs_tensor input = {0};
    cs_random random = {seed};
    const cs_preprocess *p = cs_model_preprocess(model);
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, p->channels, p->height, p->width, &err), err);
    cs_random_fill_input(&random, &input);
    return input;
}

cs_audit *audit_network_run(cs_model *model, const cs_tensor *input,
                            const cs_audit_options *options) {
    cs_error err;
    cs_audit *audit = NULL;
    cs_audit_options usual = CS_AUDIT_OPTIONS_DEFAULT;
    usual.run.threads = 2;
    REQUIRE_OK(cs_audit_run(model, input, options ? options : &usual, &audit, &err), err);
    return audit;
}
