/* canonical.c - see canonical.h. */
#include "canonical.h"
#include "test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EACH(t)                                                                                    \
    for (int64_t n_ = 0; n_ < (t)->n; n_++)                                                        \
        for (int64_t c_ = 0; c_ < (t)->c; c_++)                                                    \
            for (int64_t h_ = 0; h_ < (t)->h; h_++)                                                \
                for (int64_t w_ = 0; w_ < (t)->w; w_++)

/* Rounded to the type. */
static double rounded(double v, cs_dtype dtype) { return dtype == CS_F64 ? v : (double)(float)v; }

/* fma and + in the type. The sum of two floats rounds the same from double: 53 >= 2 * 24 + 2. */
static double fused(double x, double y, double z, cs_dtype dtype) {
    return dtype == CS_F64 ? fma(x, y, z) : (double)fmaf((float)x, (float)y, (float)z);
}
static double plus(double a, double b, cs_dtype dtype) { return rounded(a + b, dtype); }

/* Stored as v + (+0). */
static void store(const naive_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w, double v) {
    *naive_at(t, n, c, h, w) = v + 0.0;
}

static bool is_op(const built_node *node, const char *op) { return strcmp(node->op, op) == 0; }

static double weight_at(const built_node *node, int64_t k, int64_t c, int64_t r, int64_t s) {
    const cs_node_attributes *a = &node->attributes;
    int64_t channels = node->in_channels / a->groups;
    return (double)
        node->weight[((k * channels + c) * a->kernel_size[0] + r) * a->kernel_size[1] + s];
}

static double bias_at(const built_node *node, int64_t k) {
    return node->bias == NULL ? 0.0 : (double)node->bias[k] + 0.0;
}

static void conv_forward(const built_node *node, const naive_tensor *x, const naive_tensor *y,
                         cs_dtype dtype) {
    const cs_node_attributes *a = &node->attributes;
    int64_t channels = x->c / a->groups, outputs = y->c / a->groups;
    EACH(y) {
        double acc = bias_at(node, c_);
        for (int64_t r = 0; r < a->kernel_size[0]; r++)
            for (int64_t s = 0; s < a->kernel_size[1]; s++) {
                int64_t iy = h_ * a->stride[0] - a->padding[0] + r * a->dilation[0];
                int64_t ix = w_ * a->stride[1] - a->padding[1] + s * a->dilation[1];
                bool inside = iy >= 0 && iy < x->h && ix >= 0 && ix < x->w;
                for (int64_t c = 0; c < channels; c++) {
                    double v = inside ? *naive_at(x, n_, c_ / outputs * channels + c, iy, ix) : 0.0;
                    acc = fused(v, weight_at(node, c_, c, r, s), acc, dtype);
                }
            }
        store(y, n_, c_, h_, w_, acc);
    }
}

static void conv_backward(const built_node *node, const naive_tensor *dy, const naive_tensor *dx,
                          cs_dtype dtype) {
    const cs_node_attributes *a = &node->attributes;
    int64_t channels = dx->c / a->groups, outputs = dy->c / a->groups;
    EACH(dx) {
        double acc = 0;
        int64_t group = c_ / channels;
        for (int64_t r = 0; r < a->kernel_size[0]; r++)
            for (int64_t s = 0; s < a->kernel_size[1]; s++) {
                int64_t y = h_ + a->padding[0] - r * a->dilation[0];
                int64_t x = w_ + a->padding[1] - s * a->dilation[1];
                if (y % a->stride[0] != 0 || x % a->stride[1] != 0)
                    continue;
                y /= a->stride[0];
                x /= a->stride[1];
                if (y < 0 || y >= dy->h || x < 0 || x >= dy->w)
                    continue;
                for (int64_t k = group * outputs; k < (group + 1) * outputs; k++)
                    acc = fused(*naive_at(dy, n_, k, y, x), weight_at(node, k, c_ % channels, r, s),
                                acc, dtype);
            }
        store(dx, n_, c_, h_, w_, acc);
    }
}

/* A linear layer is a convolution with a 1 x 1 kernel on a 1 x 1 map. */
static built_node as_convolution(const built_node *node) {
    built_node conv = *node;
    conv.op = "conv2d";
    conv.attributes = built_window(1, 1, 0, 1);
    conv.attributes.out_channels = node->attributes.out_channels;
    return conv;
}

static void norm_scale_shift(const built_node *node, int64_t c, cs_dtype dtype, double out[2]) {
    double s = (double)node->weight[c] / sqrt((double)node->running_var[c] + node->attributes.eps);
    out[0] = rounded(s, dtype);
    out[1] = rounded(fma(-(double)node->running_mean[c], out[0], (double)node->bias[c]), dtype);
}

/* The pool's window [y0, y1) x [x0, x1) inside the image, and what it counts for. */
typedef struct window {
    int64_t y0, y1, x0, x1, count;
} window;

static window window_at(const built_node *node, const naive_tensor *x, int64_t oy, int64_t ox) {
    const cs_node_attributes *a = &node->attributes;
    if (is_op(node, "adaptive_avg_pool2d"))
        return (window){0, x->h, 0, x->w, x->h * x->w};
    window w;
    w.y0 = oy * a->stride[0] - a->padding[0];
    w.x0 = ox * a->stride[1] - a->padding[1];
    w.y1 = w.y0 + a->kernel_size[0];
    w.x1 = w.x0 + a->kernel_size[1];
    if (w.y1 > x->h + a->padding[0])
        w.y1 = x->h + a->padding[0];
    if (w.x1 > x->w + a->padding[1])
        w.x1 = x->w + a->padding[1];
    w.count = (w.y1 - w.y0) * (w.x1 - w.x0);
    w.y0 = w.y0 < 0 ? 0 : w.y0;
    w.x0 = w.x0 < 0 ? 0 : w.x0;
    w.y1 = w.y1 > x->h ? x->h : w.y1;
    w.x1 = w.x1 > x->w ? x->w : w.x1;
    if (!a->count_include_pad)
        w.count = (w.y1 - w.y0) * (w.x1 - w.x0);
    return w;
}

static void average_forward(const built_node *node, const naive_tensor *x, const naive_tensor *y,
                            cs_dtype dtype) {
    EACH(y) {
        window w = window_at(node, x, h_, w_);
        double sum = 0;
        for (int64_t iy = w.y0; iy < w.y1; iy++)
            for (int64_t ix = w.x0; ix < w.x1; ix++)
                sum = sum + *naive_at(x, n_, c_, iy, ix);
        store(y, n_, c_, h_, w_, rounded(sum / (double)w.count, dtype));
    }
}

static void average_backward(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                             const naive_tensor *dx, cs_dtype dtype) {
    EACH(dx) {
        double sum = 0;
        for (int64_t oy = 0; oy < dy->h; oy++)
            for (int64_t ox = 0; ox < dy->w; ox++) {
                window w = window_at(node, x, oy, ox);
                if (h_ >= w.y0 && h_ < w.y1 && w_ >= w.x0 && w_ < w.x1)
                    sum = sum + *naive_at(dy, n_, c_, oy, ox) / (double)w.count;
            }
        store(dx, n_, c_, h_, w_, rounded(sum, dtype));
    }
}

/* The first element inside the image, until a later one is greater or is the first NaN. */
static void winner_of(const cs_node_attributes *a, const naive_tensor *x, const int64_t at[4],
                      int64_t won[2]) {
    bool any = false;
    double best = 0;
    for (int64_t r = 0; r < a->kernel_size[0]; r++)
        for (int64_t s = 0; s < a->kernel_size[1]; s++) {
            int64_t iy = at[2] * a->stride[0] - a->padding[0] + r * a->dilation[0];
            int64_t ix = at[3] * a->stride[1] - a->padding[1] + s * a->dilation[1];
            if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w)
                continue;
            double v = *naive_at(x, at[0], at[1], iy, ix);
            if (!any || v > best || (isnan(v) && !isnan(best))) {
                best = v;
                won[0] = iy;
                won[1] = ix;
            }
            any = true;
        }
}

static void max_forward(const built_node *node, const naive_tensor *x, const naive_tensor *y) {
    EACH(y) {
        const int64_t at[4] = {n_, c_, h_, w_};
        int64_t won[2] = {0, 0};
        winner_of(&node->attributes, x, at, won);
        store(y, n_, c_, h_, w_, *naive_at(x, n_, c_, won[0], won[1]));
    }
}

/* Windows ascending, so every pixel's sum is in that order. */
static void max_backward(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                         const naive_tensor *dx, cs_dtype dtype) {
    EACH(dy) {
        const int64_t at[4] = {n_, c_, h_, w_};
        int64_t won[2] = {0, 0};
        winner_of(&node->attributes, x, at, won);
        double *sum = naive_at(dx, n_, c_, won[0], won[1]);
        *sum = plus(*sum, *naive_at(dy, n_, c_, h_, w_), dtype);
    }
    EACH(dx) store(dx, n_, c_, h_, w_, *naive_at(dx, n_, c_, h_, w_));
}

static void softmax_forward(const naive_tensor *x, const naive_tensor *y, cs_dtype dtype) {
    EACH(y) {
        double most = *naive_at(x, n_, 0, h_, w_), sum = 0;
        for (int64_t c = 1; c < x->c; c++)
            if (*naive_at(x, n_, c, h_, w_) > most || isnan(*naive_at(x, n_, c, h_, w_)))
                most = *naive_at(x, n_, c, h_, w_);
        for (int64_t c = 0; c < x->c; c++)
            sum = sum + cs_exp(*naive_at(x, n_, c, h_, w_) - most);
        double e = cs_exp(*naive_at(x, n_, c_, h_, w_) - most);
        store(y, n_, c_, h_, w_, rounded(e / sum, dtype));
    }
}

static void softmax_backward(const naive_tensor *y, const naive_tensor *dy, const naive_tensor *dx,
                             cs_dtype dtype) {
    EACH(dx) {
        double sum = 0;
        for (int64_t c = 0; c < y->c; c++)
            sum = sum + *naive_at(dy, n_, c, h_, w_) * *naive_at(y, n_, c, h_, w_);
        double v = *naive_at(y, n_, c_, h_, w_) * (*naive_at(dy, n_, c_, h_, w_) - sum);
        store(dx, n_, c_, h_, w_, rounded(v, dtype));
    }
}

/* Batch norm, ReLU and addition: number by number. */
static void pointwise_forward(const built_node *node, const naive_tensor *const in[2],
                              const naive_tensor *y, cs_dtype dtype) {
    EACH(y) {
        double v = *naive_at(in[0], n_, c_, h_, w_), s[2];
        if (is_op(node, "batch_norm")) {
            norm_scale_shift(node, c_, dtype, s);
            v = fused(v, s[0], s[1], dtype);
        } else if (is_op(node, "add")) {
            v = plus(v, *naive_at(in[1], n_, c_, h_, w_), dtype);
        } else {
            v = v <= 0 ? 0.0 : v;
        }
        store(y, n_, c_, h_, w_, v);
    }
}

static void pointwise_backward(const built_node *node, const naive_tensor *x,
                               const naive_tensor *dy, const naive_tensor *dx, cs_dtype dtype) {
    EACH(dx) {
        double v = *naive_at(dy, n_, c_, h_, w_), s[2];
        if (is_op(node, "batch_norm")) {
            norm_scale_shift(node, c_, dtype, s);
            v = rounded(v * s[0], dtype);
        } else if (is_op(node, "relu") && *naive_at(x, n_, c_, h_, w_) <= 0) {
            v = 0.0;
        }
        store(dx, n_, c_, h_, w_, v);
    }
}

naive_tensor canonical_forward(const built_node *node, const naive_tensor *const in[2],
                               cs_dtype dtype) {
    /* Copies round nothing; of the others the naive loops give the shape. */
    naive_tensor y = naive_forward(node, in, false);
    if (is_op(node, "linear")) {
        built_node conv = as_convolution(node);
        conv_forward(&conv, in[0], &y, CS_F64); /* one rounding, at the end */
        EACH(&y) store(&y, n_, c_, h_, w_, rounded(*naive_at(&y, n_, c_, h_, w_), dtype));
    } else if (is_op(node, "conv2d")) {
        conv_forward(node, in[0], &y, dtype);
    } else if (is_op(node, "softmax")) {
        softmax_forward(in[0], &y, dtype);
    } else if (is_op(node, "max_pool2d")) {
        max_forward(node, in[0], &y);
    } else if (strstr(node->op, "avg_pool2d") != NULL) {
        average_forward(node, in[0], &y, dtype);
    } else if (!is_op(node, "flatten") && !is_op(node, "shortcut_a")) {
        pointwise_forward(node, in, &y, dtype);
    }
    return y;
}

naive_tensor canonical_backward(const built_node *node, const naive_tensor *const in[2], int which,
                                const naive_tensor *y, const naive_tensor *dy, cs_dtype dtype) {
    const naive_tensor *x = in[which];
    if (is_op(node, "flatten") || is_op(node, "shortcut_a"))
        return naive_backward(node, in, which, dy, false);
    naive_tensor dx = naive_make(x->n, x->c, x->h, x->w);
    if (is_op(node, "linear")) {
        built_node conv = as_convolution(node);
        conv_backward(&conv, dy, &dx, dtype);
    } else if (is_op(node, "conv2d")) {
        conv_backward(node, dy, &dx, dtype);
    } else if (is_op(node, "softmax")) {
        softmax_backward(y, dy, &dx, dtype);
    } else if (is_op(node, "max_pool2d")) {
        max_backward(node, x, dy, &dx, dtype);
    } else if (strstr(node->op, "avg_pool2d") != NULL) {
        average_backward(node, x, dy, &dx, dtype);
    } else {
        pointwise_backward(node, x, dy, &dx, dtype);
    }
    return dx;
}

static naive_tensor copy_of(const naive_tensor *t) {
    naive_tensor copy = naive_make(t->n, t->c, t->h, t->w);
    EACH(t) store(&copy, n_, c_, h_, w_, *naive_at(t, n_, c_, h_, w_));
    return copy;
}

/* The first contribution is stored, later ones are added. */
static void contribute(naive_tensor *sum, naive_tensor *part, cs_dtype dtype) {
    if (sum->v == NULL) {
        *sum = *part;
        return;
    }
    EACH(part) {
        double *there = naive_at(sum, n_, c_, h_, w_);
        *there = plus(*there, *naive_at(part, n_, c_, h_, w_), dtype) + 0.0;
    }
    naive_free(part);
}

/* What one consumer adds to a gradient. */
typedef struct contribution {
    int node;
    naive_tensor part;
} contribution;

/* Whether all nodes from..to lie below the same module as nodes[like], `level` components deep. */
static bool share_module(const random_model *net, int like, int level, int from, int to) {
    const char *path = net->nodes[like].name;
    size_t length = 0;
    for (int dots = 0; path[length] != 0; length++)
        if (path[length] == '.' && ++dots == level)
            break;
    bool all = path[length] == '.'; /* the node itself is no module */
    for (int i = from; i <= to; i++)
        all = all && i >= 0 && strncmp(net->nodes[i].name, path, length + 1) == 0;
    return all;
}

/* Adds contributions in reverse execution order; those inside a module first to a sum of their own,
 * unless it holds the producer. `level` says how many modules were entered. */
static void accumulate(const random_model *net, int producer, contribution *items, int count,
                       int level, naive_tensor *sum, cs_dtype dtype) {
    for (int end = count - 1, begin; end >= 0; end = begin - 1) {
        begin = end;
        while (begin > 0 && share_module(net, items[end].node, level + 1, items[begin - 1].node,
                                         items[end].node))
            begin--;
        if (begin == end) {
            contribute(sum, &items[end].part, dtype);
            continue;
        }
        naive_tensor inside = {0};
        const bool own = !share_module(net, items[end].node, level + 1, producer, items[end].node);
        accumulate(net, producer, &items[begin], end - begin + 1, level + 1, own ? &inside : sum,
                   dtype);
        if (own)
            contribute(sum, &inside, dtype);
    }
}

naive_tensor canonical_sum(const random_model *net, int tensor, naive_tensor (*parts)[2],
                           cs_dtype dtype) {
    contribution items[2 * RANDOM_NODES];
    naive_tensor sum = {0};
    int count = 0, index[2];
    for (int i = tensor; i < net->model.count; i++) {
        const int inputs = random_model_inputs(net, i, index);
        for (int k = 0; k < inputs; k++)
            if (index[k] == tensor)
                items[count++] = (contribution){i, parts[i][k]};
    }
    accumulate(net, tensor - 1, items, count, 0, &sum, dtype);
    return sum;
}

void canonical_network(const random_model *net, const naive_tensor *input, const naive_tensor *seed,
                       cs_dtype dtype, naive_tensor *values, naive_tensor *gradients) {
    const int count = net->model.count;
    int index[2];
    naive_tensor parts[RANDOM_NODES][2];
    values[0] = copy_of(input);
    for (int i = 0; i < count; i++) {
        random_model_inputs(net, i, index);
        const naive_tensor *in[2] = {&values[index[0]], &values[index[1]]};
        values[i + 1] = canonical_forward(&net->nodes[i], in, dtype);
    }
    for (int i = count; i >= 0; i--) {
        gradients[i] = i == count ? copy_of(seed) : canonical_sum(net, i, parts, dtype);
        for (int k = 0; i > 0 && k < random_model_inputs(net, i - 1, index); k++) {
            const naive_tensor *in[2] = {&values[index[0]], &values[index[1]]};
            parts[i - 1][k] =
                canonical_backward(&net->nodes[i - 1], in, k, &values[i], &gradients[i], dtype);
        }
    }
}

void canonical_require(const cs_tensor *got, const naive_tensor *wanted, const char *what) {
    cs_error err;
    cs_tensor t;
    REQUIRE_OK(cs_tensor_allocate(&t, got->dtype, wanted->n, wanted->c, wanted->h, wanted->w, &err),
               err);
    EACH(wanted) cs_tensor_set(&t, n_, c_, h_, w_, *naive_at(wanted, n_, c_, h_, w_));
    test_tensors_equal(got, &t, what);
    cs_tensor_release(&t);
}
