/* naive.c - see naive.h. */
#include "naive.h"
#include "test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* for (n, c, h, w) over a tensor; the names n_, c_, h_, w_ are the indices. */
#define EACH(t)                                                                                    \
    for (int64_t n_ = 0; n_ < (t)->n; n_++)                                                        \
        for (int64_t c_ = 0; c_ < (t)->c; c_++)                                                    \
            for (int64_t h_ = 0; h_ < (t)->h; h_++)                                                \
                for (int64_t w_ = 0; w_ < (t)->w; w_++)

naive_tensor naive_make(int64_t n, int64_t c, int64_t h, int64_t w) {
    naive_tensor t = {n, c, h, w, calloc((size_t)(n * c * h * w) + 1, sizeof(double))};
    ck_assert_ptr_nonnull(t.v);
    return t;
}

void naive_free(naive_tensor *t) {
    free(t->v);
    t->v = NULL;
}

double *naive_at(const naive_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w) {
    return &t->v[((n * t->c + c) * t->h + h) * t->w + w];
}

naive_tensor naive_from(const cs_tensor *t) {
    naive_tensor out = naive_make(t->n, t->c, t->h, t->w);
    EACH(&out) * naive_at(&out, n_, c_, h_, w_) = cs_tensor_at(t, n_, c_, h_, w_);
    return out;
}

naive_tensor naive_absolute(const naive_tensor *t) {
    naive_tensor out = naive_make(t->n, t->c, t->h, t->w);
    EACH(t) * naive_at(&out, n_, c_, h_, w_) = fabs(*naive_at(t, n_, c_, h_, w_));
    return out;
}

static bool is_op(const built_node *node, const char *op) { return strcmp(node->op, op) == 0; }

static double take(double value, bool absolute) { return absolute ? fabs(value) : value; }

/* ------------------------------------------------------------------ convolution ---------- */

/* torch.nn.Conv2d's and MaxPool2d's output size. */
static int64_t window_count(const cs_node_attributes *a, int64_t size, int axis) {
    int64_t dilation = a->dilation[axis] > 0 ? a->dilation[axis] : 1;
    int64_t reach = dilation * (a->kernel_size[axis] - 1) + 1;
    int64_t room = size + 2 * a->padding[axis] - reach, stride = a->stride[axis];
    if (!a->ceil_mode)
        return room / stride + 1;
    int64_t count = (room + stride - 1) / stride + 1;
    /* The last window must begin inside the image or its leading padding. */
    return (count - 1) * stride >= size + a->padding[axis] ? count - 1 : count;
}

/* Calls for every product of a convolution: y[n,k,oy,ox] += x[n,c,iy,ix] * w[k,c',r,s]. In the
 * gradient it is dx[n,c,iy,ix] += dy[n,k,oy,ox] * w. `y` or `dx` is what is summed into. */
static void convolve(const built_node *node, const naive_tensor *x, const naive_tensor *y,
                     bool gradient, bool absolute) {
    const cs_node_attributes *a = &node->attributes;
    int64_t group_in = x->c / a->groups, group_out = y->c / a->groups;
    int64_t kernel_h = a->kernel_size[0], kernel_w = a->kernel_size[1];
    EACH(y)
    for (int64_t c = 0; c < group_in; c++)
        for (int64_t r = 0; r < kernel_h; r++)
            for (int64_t s = 0; s < kernel_w; s++) {
                int64_t iy = h_ * a->stride[0] - a->padding[0] + r * a->dilation[0];
                int64_t ix = w_ * a->stride[1] - a->padding[1] + s * a->dilation[1];
                if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w)
                    continue;
                double w =
                    take((double)node->weight[((c_ * group_in + c) * kernel_h + r) * kernel_w + s],
                         absolute);
                double *outside = naive_at(y, n_, c_, h_, w_);
                double *inside = naive_at(x, n_, c_ / group_out * group_in + c, iy, ix);
                if (gradient)
                    *inside += *outside * w;
                else
                    *outside += *inside * w;
            }
}

static naive_tensor conv_forward(const built_node *node, const naive_tensor *x, bool absolute) {
    const cs_node_attributes *a = &node->attributes;
    naive_tensor y =
        naive_make(x->n, a->out_channels, window_count(a, x->h, 0), window_count(a, x->w, 1));
    if (node->bias != NULL)
        EACH(&y) * naive_at(&y, n_, c_, h_, w_) = take((double)node->bias[c_], absolute);
    convolve(node, x, &y, false, absolute);
    return y;
}

/* ------------------------------------------------------------------ linear --------------- */

static naive_tensor linear_forward(const built_node *node, const naive_tensor *x, bool absolute) {
    naive_tensor y = naive_make(x->n, node->attributes.out_channels, 1, 1);
    int64_t features = x->c * x->h * x->w;
    EACH(&y) {
        double sum = node->bias == NULL ? 0 : take((double)node->bias[c_], absolute);
        for (int64_t i = 0; i < features; i++)
            sum +=
                x->v[n_ * features + i] * take((double)node->weight[c_ * features + i], absolute);
        *naive_at(&y, n_, c_, 0, 0) = sum;
    }
    return y;
}

static void linear_backward(const built_node *node, const naive_tensor *dy, naive_tensor *dx,
                            bool absolute) {
    int64_t features = dx->c * dx->h * dx->w;
    EACH(dy)
    for (int64_t i = 0; i < features; i++)
        dx->v[n_ * features + i] +=
            *naive_at(dy, n_, c_, 0, 0) * take((double)node->weight[c_ * features + i], absolute);
}

/* ------------------------------------------------------------------ batch norm ----------- */

static double norm_scale(const built_node *node, int64_t c) {
    return (double)node->weight[c] / sqrt((double)node->running_var[c] + node->attributes.eps);
}

static naive_tensor norm_forward(const built_node *node, const naive_tensor *x, bool absolute) {
    naive_tensor y = naive_make(x->n, x->c, x->h, x->w);
    EACH(x) {
        double scale = take(norm_scale(node, c_), absolute), value = *naive_at(x, n_, c_, h_, w_);
        double mean = (double)node->running_mean[c_];
        value = absolute ? value + fabs(mean) : value - mean;
        *naive_at(&y, n_, c_, h_, w_) = value * scale + take((double)node->bias[c_], absolute);
    }
    return y;
}

/* ------------------------------------------------------------------ pools ---------------- */

/* The element that wins window (oy, ox): the first of the largest; -1, -1 for an empty window. */
static void pool_winner(const cs_node_attributes *a, const naive_tensor *x, const int64_t at[4],
                        int64_t winner[2]) {
    winner[0] = winner[1] = -1;
    for (int64_t r = 0; r < a->kernel_size[0]; r++)
        for (int64_t s = 0; s < a->kernel_size[1]; s++) {
            int64_t iy = at[2] * a->stride[0] - a->padding[0] + r * a->dilation[0];
            int64_t ix = at[3] * a->stride[1] - a->padding[1] + s * a->dilation[1];
            if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w)
                continue;
            if (winner[0] < 0 || *naive_at(x, at[0], at[1], iy, ix) >
                                     *naive_at(x, at[0], at[1], winner[0], winner[1])) {
                winner[0] = iy;
                winner[1] = ix;
            }
        }
}

/* dy == NULL: fills y with the maxima. Otherwise adds dy to the winners' dx. */
static void max_pool(const built_node *node, const naive_tensor *x, const naive_tensor *y,
                     const naive_tensor *dy, naive_tensor *dx) {
    EACH(y) {
        const int64_t at[4] = {n_, c_, h_, w_};
        int64_t winner[2];
        pool_winner(&node->attributes, x, at, winner);
        if (dy == NULL)
            *naive_at(y, n_, c_, h_, w_) = *naive_at(x, n_, c_, winner[0], winner[1]);
        else
            *naive_at(dx, n_, c_, winner[0], winner[1]) += *naive_at(dy, n_, c_, h_, w_);
    }
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* torch.nn.AvgPool2d: the divisor counts padding or not, but never what ceil_mode adds behind it.
 * dy == NULL: fills y with the means. Otherwise adds dy/count to dx. */
static void avg_pool(const built_node *node, const naive_tensor *x, const naive_tensor *y,
                     const naive_tensor *dy, naive_tensor *dx) {
    const cs_node_attributes *a = &node->attributes;
    EACH(y) {
        int64_t y0 = h_ * a->stride[0] - a->padding[0], x0 = w_ * a->stride[1] - a->padding[1];
        int64_t y1 = smaller(y0 + a->kernel_size[0], x->h + a->padding[0]);
        int64_t x1 = smaller(x0 + a->kernel_size[1], x->w + a->padding[1]);
        int64_t count = (y1 - y0) * (x1 - x0);
        y0 = larger(y0, 0);
        x0 = larger(x0, 0);
        y1 = smaller(y1, x->h);
        x1 = smaller(x1, x->w);
        if (!a->count_include_pad)
            count = (y1 - y0) * (x1 - x0);
        double sum = 0;
        for (int64_t iy = y0; iy < y1; iy++)
            for (int64_t ix = x0; ix < x1; ix++) {
                if (dy == NULL)
                    sum += *naive_at(x, n_, c_, iy, ix);
                else
                    *naive_at(dx, n_, c_, iy, ix) += *naive_at(dy, n_, c_, h_, w_) / (double)count;
            }
        if (dy == NULL)
            *naive_at(y, n_, c_, h_, w_) = sum / (double)count;
    }
}

/* The adaptive pool to 1 x 1 is the average pool whose window is the map. */
static built_node whole_map(const naive_tensor *x) {
    built_node node = {.op = "avg_pool2d"};
    node.attributes = (cs_node_attributes){.kernel_size = {x->h, x->w}, .stride = {1, 1}};
    return node;
}

/* ------------------------------------------------------------------ the others ----------- */

static naive_tensor softmax_forward(const naive_tensor *x) {
    naive_tensor y = naive_make(x->n, x->c, x->h, x->w);
    EACH(x) {
        double sum = 0;
        for (int64_t c = 0; c < x->c; c++)
            sum += exp(*naive_at(x, n_, c, h_, w_) - *naive_at(x, n_, c_, h_, w_));
        *naive_at(&y, n_, c_, h_, w_) = 1 / sum;
    }
    return y;
}

static void softmax_backward(const naive_tensor *x, const naive_tensor *dy, naive_tensor *dx,
                             bool absolute) {
    naive_tensor y = softmax_forward(x);
    EACH(x) for (int64_t c = 0; c < x->c; c++) {
        double a = *naive_at(&y, n_, c_, h_, w_), b = *naive_at(&y, n_, c, h_, w_);
        double slope = (c == c_ ? a : 0) - (absolute ? -a * b : a * b);
        *naive_at(dx, n_, c_, h_, w_) += slope * *naive_at(dy, n_, c, h_, w_);
    }
    naive_free(&y);
}

static naive_tensor shortcut_forward(const built_node *node, const naive_tensor *x) {
    const cs_node_attributes *a = &node->attributes;
    naive_tensor y = naive_make(x->n, x->c + a->pad_channels[0] + a->pad_channels[1],
                                (x->h + a->stride[0] - 1) / a->stride[0],
                                (x->w + a->stride[1] - 1) / a->stride[1]);
    for (int64_t c = 0; c < x->c; c++)
        EACH(&y)
    if (c_ == c + a->pad_channels[0])
        *naive_at(&y, n_, c_, h_, w_) = *naive_at(x, n_, c, h_ * a->stride[0], w_ * a->stride[1]);
    return y;
}

static naive_tensor flatten_forward(const naive_tensor *x) {
    naive_tensor y = naive_make(x->n, x->c * x->h * x->w, 1, 1);
    memcpy(y.v, x->v, (size_t)(x->n * x->c * x->h * x->w) * sizeof(double));
    return y;
}

naive_tensor naive_forward(const built_node *node, const naive_tensor *const in[2], bool absolute) {
    const naive_tensor *x = in[0];
    if (is_op(node, "conv2d"))
        return conv_forward(node, x, absolute);
    if (is_op(node, "linear"))
        return linear_forward(node, x, absolute);
    if (is_op(node, "batch_norm"))
        return norm_forward(node, x, absolute);
    if (is_op(node, "softmax"))
        return softmax_forward(x);
    if (is_op(node, "flatten"))
        return flatten_forward(x);
    if (is_op(node, "shortcut_a"))
        return shortcut_forward(node, x);
    if (is_op(node, "adaptive_avg_pool2d")) {
        built_node whole = whole_map(x);
        return naive_forward(&whole, in, absolute);
    }
    if (is_op(node, "max_pool2d") || is_op(node, "avg_pool2d")) {
        const cs_node_attributes *a = &node->attributes;
        naive_tensor y = naive_make(x->n, x->c, window_count(a, x->h, 0), window_count(a, x->w, 1));
        (is_op(node, "max_pool2d") ? max_pool : avg_pool)(node, x, &y, NULL, NULL);
        return y;
    }
    naive_tensor y = naive_make(x->n, x->c, x->h, x->w);
    EACH(x) {
        double value = *naive_at(x, n_, c_, h_, w_);
        if (is_op(node, "add"))
            value += *naive_at(in[1], n_, c_, h_, w_);
        else
            value = value > 0 ? value : 0; /* relu */
        *naive_at(&y, n_, c_, h_, w_) = value;
    }
    return y;
}

naive_tensor naive_backward(const built_node *node, const naive_tensor *const in[2], int which,
                            const naive_tensor *dy, bool absolute) {
    const naive_tensor *x = in[which];
    const cs_node_attributes *a = &node->attributes;
    naive_tensor dx = naive_make(x->n, x->c, x->h, x->w);
    if (is_op(node, "conv2d")) {
        convolve(node, &dx, dy, true, absolute);
    } else if (is_op(node, "linear")) {
        linear_backward(node, dy, &dx, absolute);
    } else if (is_op(node, "softmax")) {
        softmax_backward(x, dy, &dx, absolute);
    } else if (is_op(node, "max_pool2d")) {
        max_pool(node, x, dy, dy, &dx);
    } else if (is_op(node, "avg_pool2d")) {
        avg_pool(node, x, dy, dy, &dx);
    } else if (is_op(node, "adaptive_avg_pool2d")) {
        built_node whole = whole_map(x);
        avg_pool(&whole, x, dy, dy, &dx);
    } else if (is_op(node, "flatten")) {
        memcpy(dx.v, dy->v, (size_t)(x->n * x->c * x->h * x->w) * sizeof(double));
    } else if (is_op(node, "shortcut_a")) {
        EACH(dy)
        if (c_ >= a->pad_channels[0] && c_ < a->pad_channels[0] + x->c)
            *naive_at(&dx, n_, c_ - a->pad_channels[0], h_ * a->stride[0], w_ * a->stride[1]) =
                *naive_at(dy, n_, c_, h_, w_);
    } else {
        EACH(x) {
            double value = *naive_at(dy, n_, c_, h_, w_);
            if (is_op(node, "batch_norm"))
                value *= take(norm_scale(node, c_), absolute);
            else if (is_op(node, "relu") && *naive_at(x, n_, c_, h_, w_) <= 0)
                value = 0;
            *naive_at(&dx, n_, c_, h_, w_) = value;
        }
    }
    return dx;
}

/* y' of a max pool: x' of the element that x lets win. */
static naive_tensor max_pool_tangent(const built_node *node, const naive_tensor *const in[2],
                                     const naive_tensor *u) {
    naive_tensor y = naive_forward(node, in, false);
    EACH(&y) {
        const int64_t at[4] = {n_, c_, h_, w_};
        int64_t winner[2];
        pool_winner(&node->attributes, in[0], at, winner);
        *naive_at(&y, n_, c_, h_, w_) = *naive_at(u, n_, c_, winner[0], winner[1]);
    }
    return y;
}

naive_tensor naive_tangent(const built_node *node, const naive_tensor *const in[2],
                           const naive_tensor *const u[2], bool absolute) {
    built_node linear = *node;
    linear.bias = NULL;
    if (is_op(node, "conv2d") || is_op(node, "linear"))
        return naive_forward(&linear, u, absolute);
    if (is_op(node, "max_pool2d"))
        return max_pool_tangent(node, in, u[0]);
    if (is_op(node, "batch_norm") || is_op(node, "relu") || is_op(node, "softmax"))
        return naive_backward(node, in, 0, u[0], absolute); /* symmetric Jacobians */
    return naive_forward(node, u, absolute);
}

naive_tensor naive_parameter_tangent(const built_node *node, const naive_tensor *x,
                                     const float *weight, const float *bias, bool absolute) {
    built_node moved = *node;
    const naive_tensor *const in[2] = {x, NULL};
    moved.weight = weight;
    moved.bias = bias;
    if (!is_op(node, "batch_norm"))
        return naive_forward(&moved, in, absolute);
    return norm_forward(&moved, x, absolute);
}

int64_t naive_terms(const built_node *node, const naive_tensor *in, bool backward) {
    const cs_node_attributes *a = &node->attributes;
    int64_t taps = a->kernel_size[0] * a->kernel_size[1];
    if (is_op(node, "conv2d"))
        return (backward ? a->out_channels : in->c) / a->groups * taps + 1;
    if (is_op(node, "linear"))
        return (backward ? a->out_channels : in->c * in->h * in->w) + 1;
    if (is_op(node, "max_pool2d") || is_op(node, "avg_pool2d"))
        return taps;
    if (is_op(node, "adaptive_avg_pool2d"))
        return in->h * in->w;
    return is_op(node, "softmax") ? in->c + 4 : 2;
}
