/* random_model.c - see random_model.h. */
#include "random_model.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t choose(random_model *net, int64_t below) {
    return (int64_t)(cs_random_next(&net->random) % (uint64_t)below);
}

/* `count` floats in [low, high). */
static float *draw(random_model *net, int64_t count, double low, double high) {
    float *values = malloc((size_t)count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(low + (high - low) * cs_random_uniform(&net->random));
    net->floats[net->float_count++] = values;
    return values;
}

/* The index in channels[] of a node's name: 0 is the input. */
static int index_of(const random_model *net, const char *name) {
    for (int i = 0; i < net->model.count; i++)
        if (strcmp(net->nodes[i].name, name) == 0)
            return i + 1;
    return 0;
}

/* Appends a node whose output has as many channels as its input, and returns its name. */
static built_node *append(random_model *net, const char *op, const char *a, const char *b) {
    int i = net->model.count;
    ck_assert_int_lt(i + 1, RANDOM_NODES);
    built_node *node = &net->nodes[i];
    snprintf(net->names[i], sizeof net->names[i], "%sn%d.%.19s", net->prefix, i, op);
    *node = (built_node){.name = net->names[i], .op = op, .inputs = {a, b}};
    node->in_channels = net->channels[index_of(net, a)];
    net->channels[i + 1] = node->in_channels;
    net->model.count = i + 1;
    return node;
}

static const char *add_conv(random_model *net, const char *in, int64_t out, int64_t kernel,
                            int64_t stride) {
    built_node *node = append(net, "conv2d", in, NULL);
    int64_t channels = node->in_channels, groups = 1;
    if (choose(net, 4) == 0 && channels % 2 == 0 && out % 2 == 0)
        groups = 2;
    if (choose(net, 6) == 0 && out == channels)
        groups = channels;
    if (out == channels && channels % 16 == 0 && choose(net, 2) == 0)
        groups = channels >> (1 + choose(net, 3)); /* 2, 4 or 8 wide: they share panels */
    int64_t dilation = kernel > 1 && choose(net, 4) == 0 ? 2 : 1;
    node->attributes = built_window(kernel, stride, dilation * (kernel / 2), dilation);
    node->attributes.out_channels = out;
    node->attributes.groups = groups;
    int64_t taps = channels / groups * kernel * kernel;
    double bound = sqrt(6.0 / (double)taps);
    node->weight = draw(net, out * taps, -bound, bound);
    if (choose(net, 3) == 0)
        node->bias = draw(net, out, -0.5, 0.5);
    net->channels[net->model.count] = out;
    return node->name;
}

static const char *add_norm(random_model *net, const char *in) {
    built_node *node = append(net, "batch_norm", in, NULL);
    int64_t channels = node->in_channels;
    node->weight = draw(net, channels, -1.0, 1.5);
    node->bias = draw(net, channels, -0.5, 0.5);
    node->running_mean = draw(net, channels, -0.5, 0.5);
    node->running_var = draw(net, channels, 0.2, 2.0);
    node->attributes.eps = 1e-5;
    return node->name;
}

static const char *add_plain(random_model *net, const char *op, const char *a, const char *b) {
    return append(net, op, a, b)->name;
}

static const char *add_pool(random_model *net, const char *in, bool average) {
    built_node *node = append(net, average ? "avg_pool2d" : "max_pool2d", in, NULL);
    /* The average pools stand where a map may be one pixel small: with padding a window fits. */
    int64_t padding = average ? 1 : choose(net, 2);
    node->attributes = built_window(2 + choose(net, 2), 1 + choose(net, 2), padding, 1);
    node->attributes.ceil_mode = choose(net, 2) == 0;
    node->attributes.count_include_pad = average && choose(net, 2) == 0;
    return node->name;
}

/* conv - norm - relu - conv - norm, plus a shortcut, in either order of the addition. */
static const char *add_residual(random_model *net, const char *in) {
    static const int64_t widths[] = {3, 8, 16, 17, 24, 48, 80};
    int64_t channels = net->channels[index_of(net, in)], out = channels, stride = 1;
    int64_t kind = choose(net, 3); /* identity, projection, option A */
    if (kind != 0) {
        stride = 1 + choose(net, 2);
        out = kind == 1 ? widths[choose(net, 7)] : channels + 1 + choose(net, 6);
    }
    const char *main = add_conv(net, in, out, 1 + 2 * choose(net, 2), stride);
    main = add_plain(net, "relu", add_norm(net, main), NULL);
    main = add_conv(net, main, out, 3, 1);
    if (choose(net, 4) != 0)
        main = add_norm(net, main);
    const char *side = in;
    if (kind == 1) {
        side = add_conv(net, in, out, 1, stride);
        side = choose(net, 2) == 0 ? add_norm(net, side) : side;
    } else if (kind == 2) {
        built_node *node = append(net, "shortcut_a", in, NULL);
        int64_t before = choose(net, out - channels + 1);
        node->attributes = (cs_node_attributes){.stride = {stride, stride},
                                                .pad_channels = {before, out - channels - before}};
        net->channels[net->model.count] = out;
        side = node->name;
    }
    bool main_first = choose(net, 2) == 0;
    const char *sum = add_plain(net, "add", main_first ? main : side, main_first ? side : main);
    return choose(net, 4) == 0 ? sum : add_plain(net, "relu", sum, NULL);
}

/* x is consumed by a convolution, by a ReLU and by the last addition: three times; or by the first
 * two in a module within a module, by an addition in the outer one, and by one behind both. */
static const char *add_triple(random_model *net, const char *in) {
    int64_t channels = net->channels[index_of(net, in)], nested = choose(net, 3);
    const int number = net->model.count;
    if (nested > 0)
        snprintf(net->prefix, sizeof net->prefix, nested == 1 ? "m%d." : "m%d.k.", number % 100);
    const char *a = add_conv(net, in, channels, 3, 1);
    const char *b = add_plain(net, "relu", in, NULL);
    const char *sum = add_plain(net, "add", a, b);
    if (nested == 2) {
        snprintf(net->prefix, sizeof net->prefix, "m%d.", number % 100);
        sum = add_plain(net, "add", sum, in);
    }
    net->prefix[0] = 0;
    return add_plain(net, "add", sum, in);
}

void random_model_make(random_model *net, uint64_t seed) {
    *net = (random_model){.random = {seed}};
    net->model = (built_model){.channels = 1 + choose(net, 5), .nodes = net->nodes};
    net->model.height = 6 + choose(net, 10);
    net->model.width = 6 + choose(net, 10);
    net->channels[0] = net->model.channels;
    const char *at =
        add_conv(net, "input", 4 + choose(net, 16), 1 + 2 * choose(net, 3), 1 + choose(net, 2));
    if (choose(net, 2) == 0)
        at = add_norm(net, at);
    if (choose(net, 4) != 0)
        at = add_plain(net, "relu", at, NULL);
    if (choose(net, 2) == 0)
        at = add_pool(net, at, false);
    for (int64_t blocks = 2 + choose(net, 3); blocks > 0; blocks--) {
        int64_t kind = choose(net, 6);
        at = kind == 0   ? add_triple(net, at)
             : kind == 1 ? add_pool(net, at, true)
                         : add_residual(net, at);
    }
    at = add_plain(net, "adaptive_avg_pool2d", at, NULL);
    at = add_plain(net, "flatten", at, NULL);
    built_node *fc = append(net, "linear", at, NULL);
    fc->attributes.out_channels = 2 + choose(net, 20);
    fc->weight = draw(net, fc->attributes.out_channels * fc->in_channels, -1, 1);
    fc->bias = draw(net, fc->attributes.out_channels, -1, 1);
    net->model.classes = net->channels[net->model.count] = fc->attributes.out_channels;
    net->model.output = fc->name;
}

void random_model_free(random_model *net) {
    for (int i = 0; i < net->float_count; i++)
        free(net->floats[i]);
}

int random_model_inputs(const random_model *net, int i, int index[2]) {
    int count = 0;
    for (; count < 2 && net->nodes[i].inputs[count] != NULL; count++)
        index[count] = index_of(net, net->nodes[i].inputs[count]);
    return count;
}

void random_model_naive(const random_model *net, const naive_tensor *input,
                        const naive_tensor *seed, naive_tensor *values, naive_tensor *gradients) {
    const int count = net->model.count;
    values[0] = naive_make(input->n, input->c, input->h, input->w);
    memcpy(values[0].v, input->v,
           (size_t)(input->n * input->c * input->h * input->w) * sizeof(double));
    for (int i = 0; i < count; i++) {
        const built_node *node = &net->nodes[i];
        const naive_tensor *in[2] = {NULL, NULL};
        for (int k = 0; k < 2 && node->inputs[k] != NULL; k++)
            in[k] = &values[index_of(net, node->inputs[k])];
        values[i + 1] = naive_forward(node, in, false);
    }
    for (int i = 0; i <= count; i++)
        gradients[i] = naive_make(values[i].n, values[i].c, values[i].h, values[i].w);
    memcpy(gradients[count].v, seed->v, (size_t)(seed->n * seed->c) * sizeof(double));
    for (int i = count - 1; i >= 0; i--) {
        const built_node *node = &net->nodes[i];
        const naive_tensor *in[2] = {NULL, NULL};
        for (int k = 0; k < 2 && node->inputs[k] != NULL; k++)
            in[k] = &values[index_of(net, node->inputs[k])];
        for (int k = 0; k < 2 && node->inputs[k] != NULL; k++) {
            naive_tensor part = naive_backward(node, in, k, &gradients[i + 1], false);
            naive_tensor *sum = &gradients[index_of(net, node->inputs[k])];
            for (int64_t e = 0; e < part.n * part.c * part.h * part.w; e++)
                sum->v[e] += part.v[e];
            naive_free(&part);
        }
    }
}
