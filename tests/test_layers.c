/* test_layers.c - each layer alone, forward and input gradient, against the naive loops.
 *
 * Every case runs with each engine and instruction set in both types, on random values (within the
 * rounding bound of a sum of that many terms) and on small integers (exactly). The direct engine's
 * bits must besides be those of the canonical arithmetic.
 */
#include "canonical.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One problem: the layer's input is n x c x h x w. */
typedef struct layer_case {
    const char *op;
    int64_t n, c, h, w;
    bool bias;
    cs_node_attributes a;
} layer_case;

#define CONV(n, c, h, w, k, r, s, sy, sx, py, px, dy, dx, g, has_bias)                             \
    {                                                                                              \
        "conv2d", n, c, h, w, has_bias, {                                                          \
            .out_channels = k, .kernel_size = {r, s}, .stride = {sy, sx}, .padding = {py, px},     \
            .dilation = {dy, dx}, .groups = g                                                      \
        }                                                                                          \
    }
#define POOL(op, n, c, h, w, r, s, sy, sx, py, px, d, ceil, include)                               \
    {                                                                                              \
        op, n, c, h, w, false, {                                                                   \
            .kernel_size = {r, s}, .stride = {sy, sx}, .padding = {py, px}, .dilation = {d, d},    \
            .ceil_mode = ceil, .count_include_pad = include                                        \
        }                                                                                          \
    }
#define MAX(n, c, h, w, r, s, sy, sx, py, px, d, ceil)                                             \
    POOL("max_pool2d", n, c, h, w, r, s, sy, sx, py, px, d, ceil, false)
#define AVG(n, c, h, w, r, s, sy, sx, py, px, ceil, include)                                       \
    POOL("avg_pool2d", n, c, h, w, r, s, sy, sx, py, px, 1, ceil, include)
#define PLAIN(op, n, c, h, w)                                                                      \
    {                                                                                              \
        op, n, c, h, w, false, { 0 }                                                               \
    }
#define LINEAR(n, c, h, w, k, has_bias)                                                            \
    {                                                                                              \
        "linear", n, c, h, w, has_bias, { .out_channels = k }                                      \
    }
#define SHORTCUT(n, c, h, w, s, before, behind)                                                    \
    {                                                                                              \
        "shortcut_a", n, c, h, w, false, {                                                         \
            .stride = {s, s}, .pad_channels = { before, behind }                                   \
        }                                                                                          \
    }

static const layer_case cases[] = {
    /* kernel 1: maps of one pixel, strides, channels around the panels of 16 */
    CONV(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, false),
    CONV(2, 3, 5, 7, 4, 1, 1, 1, 1, 0, 0, 1, 1, 1, true),
    CONV(1, 17, 3, 3, 17, 1, 1, 1, 1, 0, 0, 1, 1, 1, false),
    CONV(5, 16, 4, 4, 32, 1, 1, 2, 2, 0, 0, 1, 1, 1, false),
    CONV(2, 33, 5, 4, 15, 1, 1, 2, 2, 0, 0, 1, 1, 1, true),
    CONV(1, 64, 1, 1, 33, 1, 1, 1, 1, 0, 0, 1, 1, 1, true),
    CONV(1, 2, 4, 4, 3, 1, 1, 1, 1, 2, 1, 1, 1, 1, true), /* a border of nothing but bias */
    CONV(3, 5, 7, 5, 6, 1, 1, 3, 2, 1, 0, 1, 1, 1, false),
    /* kernel 3 and others, odd sizes, uneven attributes */
    CONV(1, 1, 3, 3, 1, 3, 3, 1, 1, 0, 0, 1, 1, 1, false),
    CONV(1, 1, 1, 1, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, true), /* kernel larger than the map */
    CONV(2, 3, 2, 1, 5, 5, 7, 1, 1, 2, 3, 1, 1, 1, false),
    CONV(1, 4, 1, 9, 3, 7, 7, 2, 2, 3, 3, 1, 1, 1, true),
    CONV(4, 3, 9, 11, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    CONV(3, 17, 7, 7, 17, 3, 3, 2, 2, 1, 1, 1, 1, 1, true),
    CONV(2, 16, 8, 8, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, false), /* stride leaves the last row out */
    CONV(1, 3, 10, 13, 8, 3, 2, 3, 2, 0, 1, 1, 1, 1, true),
    CONV(1, 2, 11, 5, 3, 2, 4, 1, 3, 1, 2, 1, 1, 1, false),
    CONV(2, 3, 23, 21, 16, 7, 7, 2, 2, 3, 3, 1, 1, 1, false), /* the stem */
    CONV(1, 1, 8, 8, 3, 2, 2, 4, 4, 0, 0, 1, 1, 1, true),     /* stride larger than the kernel */
    /* few channels and a stride: the input gradient's phases side by side; even and odd sizes */
    CONV(2, 3, 22, 24, 20, 7, 7, 2, 2, 3, 3, 1, 1, 1, false),
    CONV(1, 4, 9, 8, 17, 5, 4, 2, 2, 0, 1, 1, 1, 1, true),
    CONV(2, 2, 7, 9, 5, 2, 3, 2, 4, 0, 5, 1, 1, 1, false),
    CONV(1, 5, 6, 10, 3, 3, 1, 1, 3, 2, 1, 1, 1, 1, false),
    CONV(1, 1, 3, 17, 16, 1, 9, 2, 8, 0, 2, 1, 1, 1, true),
    CONV(1, 1, 13, 12, 2, 9, 3, 4, 4, 1, 0, 1, 1, 1, false),
    CONV(5, 2, 3, 5, 2, 3, 5, 1, 1, 0, 0, 1, 1, 1, true), /* one output pixel */
    CONV(1, 7, 6, 6, 9, 3, 3, 5, 5, 2, 2, 1, 1, 1, false),
    CONV(1, 40, 6, 5, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    CONV(2, 3, 5, 6, 4, 3, 3, 1, 1, 4, 5, 1, 1, 1, true), /* padding wider than the kernel */
    /* dilation */
    CONV(1, 3, 9, 9, 5, 3, 3, 1, 1, 2, 2, 2, 2, 1, false),
    CONV(2, 17, 7, 8, 3, 3, 3, 2, 1, 3, 0, 3, 2, 1, true),
    CONV(1, 2, 5, 5, 2, 3, 3, 1, 1, 4, 4, 4, 4, 1, false), /* only the middle tap inside */
    CONV(3, 4, 10, 10, 4, 2, 3, 2, 3, 1, 2, 3, 2, 1, true),
    /* groups: few, uneven against the panels, depthwise, depthwise with a multiplier */
    CONV(2, 4, 5, 5, 6, 3, 3, 1, 1, 1, 1, 1, 1, 2, true),
    CONV(1, 34, 4, 4, 34, 3, 3, 1, 1, 1, 1, 1, 1, 2, false),
    CONV(2, 32, 5, 5, 32, 3, 3, 2, 2, 1, 1, 1, 1, 2, true),
    CONV(1, 64, 4, 4, 64, 3, 3, 1, 1, 1, 1, 1, 1, 32, false),
    CONV(2, 17, 6, 5, 17, 3, 3, 1, 1, 1, 1, 1, 1, 17, true),
    CONV(1, 5, 6, 6, 15, 3, 3, 2, 2, 1, 1, 1, 1, 5, true),
    CONV(1, 6, 5, 5, 4, 3, 3, 1, 1, 2, 2, 2, 2, 2, false),
    CONV(3, 9, 3, 3, 6, 1, 1, 1, 1, 0, 0, 1, 1, 3, true),
    /* narrow groups that share panels of 16, in rows that are longer and shorter than a tile */
    CONV(1, 16, 9, 31, 16, 3, 3, 1, 1, 1, 1, 1, 1, 4, true),
    CONV(2, 32, 5, 7, 32, 3, 3, 1, 1, 1, 1, 1, 1, 4, false),
    CONV(1, 16, 7, 30, 16, 3, 3, 2, 2, 1, 1, 1, 1, 2, true),
    CONV(1, 32, 6, 15, 32, 3, 3, 1, 1, 2, 2, 2, 2, 8, false),
    CONV(3, 48, 6, 5, 48, 5, 3, 1, 1, 0, 2, 1, 1, 24, true),
    CONV(2, 16, 8, 29, 16, 3, 3, 1, 1, 1, 1, 1, 1, 16, true),
    CONV(2, 32, 3, 3, 32, 1, 1, 1, 1, 0, 0, 1, 1, 4, true),
    /* the layers of networks at a small size */
    CONV(1, 64, 14, 14, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    CONV(1, 256, 7, 7, 64, 1, 1, 1, 1, 0, 0, 1, 1, 1, false),
    LINEAR(1, 1, 1, 1, 1, false),
    LINEAR(5, 3, 1, 1, 2, true),
    LINEAR(2, 17, 1, 1, 33, true),
    LINEAR(3, 5, 4, 3, 7, true), /* flattened in (c, h, w) order */
    LINEAR(1, 512, 1, 1, 10, false),
    PLAIN("batch_norm", 1, 1, 1, 1),
    PLAIN("batch_norm", 3, 17, 5, 4),
    PLAIN("batch_norm", 2, 64, 3, 3),
    PLAIN("relu", 1, 1, 1, 1),
    PLAIN("relu", 3, 17, 5, 7),
    PLAIN("relu", 2, 48, 4, 4),
    PLAIN("add", 1, 1, 1, 1),
    PLAIN("add", 4, 17, 3, 5),
    PLAIN("flatten", 2, 5, 3, 4),
    PLAIN("flatten", 5, 17, 1, 1),
    PLAIN("softmax", 3, 5, 1, 1),
    PLAIN("softmax", 1, 1, 1, 1),
    PLAIN("softmax", 2, 17, 3, 2),
    MAX(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, false),
    MAX(2, 3, 8, 8, 2, 2, 2, 2, 0, 0, 1, false),
    MAX(3, 17, 9, 7, 3, 3, 2, 2, 1, 1, 1, false),
    MAX(2, 4, 8, 10, 3, 3, 2, 2, 1, 1, 1, true),
    MAX(1, 2, 5, 5, 2, 2, 2, 2, 0, 0, 1, true), /* the last window is cut off */
    MAX(1, 3, 7, 6, 2, 3, 3, 2, 1, 1, 1, true),
    MAX(1, 2, 9, 9, 3, 3, 1, 1, 1, 1, 2, false),
    MAX(2, 2, 10, 9, 2, 3, 2, 3, 1, 1, 3, true),
    MAX(5, 1, 3, 3, 3, 3, 1, 1, 1, 1, 1, false),
    MAX(1, 1, 1, 1, 3, 3, 2, 2, 1, 1, 1, false),
    MAX(1, 1, 2, 2, 2, 2, 5, 5, 1, 1, 1,
        true), /* ceil_mode's window would begin behind the image */
    AVG(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, false, true),
    AVG(2, 3, 8, 8, 2, 2, 2, 2, 0, 0, false, true),
    AVG(3, 17, 9, 7, 3, 3, 2, 2, 1, 1, false, true),
    AVG(3, 17, 9, 7, 3, 3, 2, 2, 1, 1, false, false),
    AVG(2, 4, 8, 10, 3, 3, 2, 2, 1, 1, true, true),
    AVG(2, 4, 8, 10, 3, 3, 2, 2, 1, 1, true, false),
    AVG(1, 2, 5, 7, 2, 3, 3, 2, 1, 1, true, true),
    AVG(1, 2, 5, 7, 2, 3, 3, 2, 1, 1, true, false),
    AVG(1, 5, 6, 6, 4, 2, 1, 3, 2, 0, true, true),
    AVG(4, 3, 1, 1, 3, 3, 2, 2, 1, 1, false, false),
    PLAIN("adaptive_avg_pool2d", 1, 1, 1, 1),
    PLAIN("adaptive_avg_pool2d", 3, 17, 7, 5),
    PLAIN("adaptive_avg_pool2d", 2, 40, 4, 4),
    SHORTCUT(2, 3, 8, 8, 2, 1, 2),
    SHORTCUT(1, 16, 7, 5, 2, 8, 8),
    SHORTCUT(3, 17, 4, 4, 1, 0, 3),
    SHORTCUT(1, 2, 5, 5, 3, 0, 0),
};

/* Everything one check needs; `line` reproduces it. */
typedef struct layer_check {
    const layer_case *problem;
    cs_engine engine;
    cs_isa isa;
    cs_dtype dtype;
    bool integers;
    char line[256];
    built_node nodes[4];
    int count;
    float *floats[16]; /* parameters to free */
    int float_count;
    cs_random random;
} layer_check;

static void describe(layer_check *check) {
    const layer_case *p = check->problem;
    const cs_node_attributes *a = &p->a;
    snprintf(check->line, sizeof check->line,
             "%s n%d c%d h%d w%d k%d r%dx%d s%dx%d p%dx%d d%dx%d g%d pad%d+%d%s%s%s, %s %s %s %s",
             p->op, (int)p->n, (int)p->c, (int)p->h, (int)p->w, (int)a->out_channels,
             (int)a->kernel_size[0], (int)a->kernel_size[1], (int)a->stride[0], (int)a->stride[1],
             (int)a->padding[0], (int)a->padding[1], (int)a->dilation[0], (int)a->dilation[1],
             (int)a->groups, (int)a->pad_channels[0], (int)a->pad_channels[1],
             p->bias ? " bias" : "", a->ceil_mode ? " ceil" : "",
             a->count_include_pad ? " include" : "",
             check->engine == CS_ENGINE_GEMM ? "gemm" : "direct", cs_isa_name(check->isa),
             cs_dtype_name(check->dtype), check->integers ? "integers" : "random");
}

static double draw(layer_check *check, int64_t most) {
    if (check->integers)
        return (double)((int64_t)(cs_random_next(&check->random) % (uint64_t)(2 * most + 1)) -
                        most);
    return (cs_random_uniform(&check->random) * 2 - 1) * (double)most;
}

/* `count` random floats, freed with the check. */
static float *draw_floats(layer_check *check, int64_t count, int64_t most) {
    float *values = malloc((size_t)count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)draw(check, most);
    check->floats[check->float_count++] = values;
    return values;
}

/* Variances: positive; powers of 4 with the integers, so that the scale is exact. */
static float *draw_variances(layer_check *check, int64_t count) {
    float *values = draw_floats(check, count, 3);
    for (int64_t i = 0; i < count; i++)
        values[i] = check->integers ? (float)ldexp(1.0, 2 * (int)values[i]) : values[i] * values[i];
    return values;
}

static built_node *add_node(layer_check *check, const char *name, const char *op,
                            const char *input) {
    built_node *node = &check->nodes[check->count++];
    *node = (built_node){.name = name, .op = op, .inputs = {input, NULL}};
    return node;
}

/* A 1 x 1 convolution from the input to `channels`: more than an input may have. Its values are the
 * input's times small integers, so that nothing is rounded. */
static void add_expansion(layer_check *check, const char *name, int64_t channels, int64_t in,
                          int64_t factor) {
    built_node *node = add_node(check, name, "conv2d", "input");
    node->attributes = built_window(1, 1, 0, 1);
    node->attributes.out_channels = channels;
    node->in_channels = in;
    float *weights = draw_floats(check, channels * in, 1);
    for (int64_t i = 0; i < channels * in; i++)
        weights[i] = i % in == i / in % in ? (float)(factor * (1 + i / in / in)) : 0.0f;
    node->weight = weights;
}

static void add_parameters(layer_check *check, built_node *node) {
    const layer_case *p = check->problem;
    const cs_node_attributes *a = &p->a;
    node->in_channels = p->c;
    if (strcmp(p->op, "conv2d") == 0)
        node->weight = draw_floats(
            check, a->out_channels * p->c / a->groups * a->kernel_size[0] * a->kernel_size[1], 4);
    if (strcmp(p->op, "linear") == 0) {
        node->in_channels = p->c * p->h * p->w;
        node->weight = draw_floats(check, a->out_channels * node->in_channels, 4);
    }
    if (p->bias)
        node->bias = draw_floats(check, a->out_channels, 4);
    if (strcmp(p->op, "batch_norm") == 0) {
        node->weight = draw_floats(check, p->c, 4);
        node->bias = draw_floats(check, p->c, 4);
        node->running_mean = draw_floats(check, p->c, 4);
        node->running_var = draw_variances(check, p->c);
        node->attributes.eps = check->integers ? 0 : 1e-5;
    }
}

/* The model of a check: [expansions,] the layer under test, which is the last node. */
static cs_model *open_model(layer_check *check) {
    const layer_case *p = check->problem;
    const bool is_add = strcmp(p->op, "add") == 0, is_linear = strcmp(p->op, "linear") == 0;
    int64_t in = p->c > 16 ? 5 : p->c;
    const char *input = "input";
    if (p->c > 16 || is_add) {
        add_expansion(check, "x", p->c, in, 1);
        input = "x";
    }
    if (is_add)
        add_expansion(check, "b", p->c, in, -3);
    if (is_linear && p->h * p->w > 1) {
        add_node(check, "flat", "flatten", input);
        input = "flat";
    }
    built_node *node = add_node(check, "layer", p->op, input);
    node->inputs[1] = is_add ? "b" : NULL;
    node->attributes = p->a;
    add_parameters(check, node);
    int64_t classes = p->a.out_channels > 0 ? p->a.out_channels : p->c;
    classes += p->a.pad_channels[0] + p->a.pad_channels[1];
    if (strcmp(p->op, "flatten") == 0)
        classes *= p->h * p->w;
    built_model model = {.channels = in,
                         .height = p->h,
                         .width = p->w,
                         .nodes = check->nodes,
                         .count = check->count,
                         .output = "layer",
                         .classes = classes};
    return built_model_open(&model);
}

/* Whether integer values must come out exactly: sums of integers, and one rounding at most. */
static bool is_exact(const layer_check *check, bool backward) {
    const char *op = check->problem->op;
    bool average = strstr(op, "avg_pool2d") != NULL;
    return check->integers && strcmp(op, "softmax") != 0 && !(average && backward);
}

/* Compares with the naive result: `magnitude` is the same sum over absolute values. */
static void compare(const layer_check *check, const char *what, const cs_tensor *got,
                    const naive_tensor *truth, const naive_tensor *magnitude, int64_t terms,
                    bool exact) {
    double unit = check->dtype == CS_F64 ? 0x1p-53 : 0x1p-24;
    ck_assert_msg(
        got->n == truth->n && got->c == truth->c && got->h == truth->h && got->w == truth->w,
        "%s: %s is %lld x %lld x %lld x %lld, expected %lld x %lld x %lld x %lld", check->line,
        what, (long long)got->n, (long long)got->c, (long long)got->h, (long long)got->w,
        (long long)truth->n, (long long)truth->c, (long long)truth->h, (long long)truth->w);
    for (int64_t n = 0; n < got->n; n++)
        for (int64_t c = 0; c < got->c; c++)
            for (int64_t h = 0; h < got->h; h++)
                for (int64_t w = 0; w < got->w; w++) {
                    double value = cs_tensor_at(got, n, c, h, w);
                    double wanted = *naive_at(truth, n, c, h, w);
                    double bound = (double)(terms + 4) * unit * *naive_at(magnitude, n, c, h, w);
                    if (exact) {
                        wanted = check->dtype == CS_F64 ? wanted : (double)(float)wanted;
                        bound = 0;
                    }
                    REQUIRE_EACH(fabs(value - wanted) <= bound && !(value == 0 && signbit(value)),
                                 "%s: %s at [%lld, %lld, %lld, %lld] is %.17g, expected %.17g "
                                 "within %.3g",
                                 check->line, what, (long long)n, (long long)c, (long long)h,
                                 (long long)w, value, wanted, bound);
                }
}

static cs_tensor draw_tensor(layer_check *check, cs_dtype dtype, const int64_t s[4]) {
    cs_error err;
    cs_tensor t;
    REQUIRE_OK(cs_tensor_allocate(&t, dtype, s[0], s[1], s[2], s[3], &err), err);
    for (int64_t n = 0; n < s[0]; n++)
        for (int64_t c = 0; c < s[1]; c++)
            for (int64_t h = 0; h < s[2]; h++)
                for (int64_t w = 0; w < s[3]; w++)
                    cs_tensor_set(&t, n, c, h, w, draw(check, 6));
    return t;
}

/* The direct engine against the canonical arithmetic, bit by bit. */
static void require_canonical(const layer_check *check, const naive_tensor *const in[2],
                              const cs_tensor *y, const naive_tensor *dy, int which,
                              const cs_tensor *dx) {
    const built_node *node = &check->nodes[check->count - 1];
    char line[300];
    if (check->engine != CS_ENGINE_DIRECT)
        return;
    naive_tensor output = canonical_forward(node, in, check->dtype);
    naive_tensor gradient = canonical_backward(node, in, which, &output, dy, check->dtype);
    snprintf(line, sizeof line, "%s: canonical output", check->line);
    canonical_require(y, &output, line);
    snprintf(line, sizeof line, "%s: canonical gradient", check->line);
    canonical_require(dx, &gradient, line);
    naive_free(&output);
    naive_free(&gradient);
}

/* NaN and infinity in dy reach the canonical results and no others. */
static void check_not_finite(const layer_check *check, cs_run *run, const naive_tensor *const in[2],
                             const cs_tensor *y, cs_tensor *seed) {
    cs_error err;
    cs_tensor dx;
    static const double values[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const int64_t n = seed->n - 1, k = (seed->c - 1) * (int64_t)i / 2;
        const int64_t h = (seed->h - 1) * (int64_t)i / 2, w = (seed->w - 1) * (int64_t)(2 - i) / 2;
        const double before = cs_tensor_at(seed, n, k, h, w);
        cs_tensor_set(seed, n, k, h, w, values[i]);
        naive_tensor dy = naive_from(seed);
        REQUIRE_OK(cs_run_backward(run, seed, &err), err);
        REQUIRE_OK(cs_run_gradient(run, check->nodes[check->count - 1].inputs[0], &dx, &err), err);
        require_canonical(check, in, y, &dy, 0, &dx);
        cs_tensor_set(seed, n, k, h, w, before);
        naive_free(&dy);
    }
}

/* Forward and backward through the run; the layer's results against the naive ones. */
static void check_run(layer_check *check, cs_run *run) {
    cs_error err;
    const layer_case *p = check->problem;
    const built_node *node = &check->nodes[check->count - 1];
    int inputs = node->inputs[1] == NULL ? 1 : 2;
    cs_tensor x[2], dx[2], y;
    naive_tensor in[2], in_abs[2];
    const naive_tensor *const ins[2] = {&in[0], &in[1]}, *const abs_ins[2] = {&in_abs[0],
                                                                              &in_abs[1]};
    int64_t channels = p->c > 16 ? 5 : p->c;
    cs_tensor input = draw_tensor(check, CS_F32, (const int64_t[4]){p->n, channels, p->h, p->w});
    for (int i = 0; i < inputs; i++)
        REQUIRE_OK(cs_run_keep(run, node->inputs[i], &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    REQUIRE_OK(cs_run_output(run, &y, &err), err);
    for (int i = 0; i < inputs; i++) {
        REQUIRE_OK(cs_run_activation(run, node->inputs[i], &x[i], &err), err);
        in[i] = naive_from(&x[i]);
        in_abs[i] = naive_absolute(&in[i]);
    }
    naive_tensor truth = naive_forward(node, ins, false), size = naive_forward(node, abs_ins, true);
    if (strcmp(p->op, "softmax") == 0) { /* its terms are positive */
        naive_free(&size);
        size = naive_absolute(&truth);
    }
    compare(check, "output", &y, &truth, &size, naive_terms(node, &in[0], false),
            is_exact(check, false));
    cs_tensor seed = draw_tensor(check, check->dtype, (const int64_t[4]){y.n, y.c, y.h, y.w});
    naive_tensor dy = naive_from(&seed), dy_abs = naive_absolute(&dy);
    REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
    for (int i = 0; i < inputs; i++) {
        REQUIRE_OK(cs_run_gradient(run, node->inputs[i], &dx[i], &err), err);
        naive_tensor want = naive_backward(node, ins, i, &dy, false);
        naive_tensor want_size = naive_backward(node, ins, i, &dy_abs, true);
        compare(check, i == 0 ? "input gradient" : "second input's gradient", &dx[i], &want,
                &want_size, naive_terms(node, &in[0], true), is_exact(check, true));
        require_canonical(check, ins, &y, &dy, i, &dx[i]);
        naive_free(&want);
        naive_free(&want_size);
    }
    ck_assert_int_eq(cs_run_status(run, NULL), CS_OK);
    if (strcmp(p->op, "conv2d") == 0 && check->engine == CS_ENGINE_DIRECT)
        check_not_finite(check, run, ins, &y, &seed);
    for (int i = 0; i < inputs; i++) {
        naive_free(&in[i]);
        naive_free(&in_abs[i]);
    }
    naive_free(&truth);
    naive_free(&size);
    naive_free(&dy);
    naive_free(&dy_abs);
    cs_tensor_release(&seed);
    cs_tensor_release(&input);
}

/* One engine, instruction set, type and kind of values. */
static void check_variant(int number, cs_engine engine, cs_isa isa, cs_dtype dtype, bool integers) {
    cs_error err;
    layer_check check = {.problem = &cases[number],
                         .engine = engine,
                         .isa = isa,
                         .dtype = dtype,
                         .integers = integers,
                         .random = {(uint64_t)number}};
    describe(&check);
    cs_model *model = open_model(&check);
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.engine = engine;
    options.isa = isa;
    options.dtype = dtype;
    options.threads = integers ? 2 : 1;
    options.max_batch = check.problem->n + (integers ? 1 : 0);
    cs_status status = cs_run_create(model, &options, &run, &err);
    if (status == CS_ERROR_UNSUPPORTED && engine == CS_ENGINE_GEMM) {
        if (number == 0)
            fprintf(stderr, "skipped: %s (%s)\n", check.line, err.text);
    } else {
        ck_assert_msg(status == CS_OK, "%s: %s", check.line, err.text);
        check_run(&check, run);
    }
    cs_run_free(run);
    cs_model_free(model);
    for (int i = 0; i < check.float_count; i++)
        free(check.floats[i]);
}

START_TEST(layer_is_the_naive_one) {
    for (int kind = 0; kind < 4; kind++) {
        const cs_dtype dtype = kind & 1 ? CS_F64 : CS_F32;
        const bool integers = (kind & 2) != 0;
        check_variant(_i, CS_ENGINE_GEMM, CS_ISA_AUTO, dtype, integers);
        for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++)
            if (cs_isa_available((cs_isa)isa))
                check_variant(_i, CS_ENGINE_DIRECT, (cs_isa)isa, dtype, integers);
    }
}
END_TEST

Suite *suite_layers(void);
Suite *suite_layers(void) {
    Suite *suite = suite_create("layers");
    TCase *tests = tcase_create("against naive loops");
    tcase_add_loop_test(tests, layer_is_the_naive_one, 0, (int)(sizeof cases / sizeof cases[0]));
    suite_add_tcase(suite, tests);
    return suite;
}
