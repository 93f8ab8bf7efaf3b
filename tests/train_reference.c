/* train_reference.c - see train_reference.h. */
#include "train_reference.h"
#include "test_support.h"

#include <math.h>
#include <string.h>

#define EACH(t)                                                                                    \
    for (int64_t n_ = 0; n_ < (t)->n; n_++)                                                        \
        for (int64_t c_ = 0; c_ < (t)->c; c_++)                                                    \
            for (int64_t h_ = 0; h_ < (t)->h; h_++)                                                \
                for (int64_t w_ = 0; w_ < (t)->w; w_++)

static bool is_op(const built_node *node, const char *op) { return strcmp(node->op, op) == 0; }

parameter_gradients parameter_gradients_make(const built_node *node) {
    const cs_node_attributes *a = &node->attributes;
    parameter_gradients g = {{0}, {0}};
    if (is_op(node, "conv2d"))
        g.weight = naive_make(a->out_channels, node->in_channels / a->groups, a->kernel_size[0],
                              a->kernel_size[1]);
    if (is_op(node, "linear"))
        g.weight = naive_make(a->out_channels, node->in_channels, 1, 1);
    if (is_op(node, "batch_norm"))
        g.weight = naive_make(1, node->in_channels, 1, 1);
    if (g.weight.v != NULL && node->bias != NULL)
        g.bias =
            naive_make(1, is_op(node, "batch_norm") ? node->in_channels : a->out_channels, 1, 1);
    return g;
}

void parameter_gradients_free(parameter_gradients *g) {
    naive_free(&g->weight);
    naive_free(&g->bias);
}

/* A linear layer is a convolution with a 1 x 1 kernel on a 1 x 1 map. */
static cs_node_attributes window_of(const built_node *node) {
    if (is_op(node, "conv2d"))
        return node->attributes;
    cs_node_attributes a = built_window(1, 1, 0, 1);
    a.out_channels = node->attributes.out_channels;
    return a;
}

static double mean_of(const naive_tensor *x, int64_t c) {
    double sum = 0;
    EACH(x) sum += c_ == c ? *naive_at(x, n_, c_, h_, w_) : 0;
    return sum / (double)(x->n * x->h * x->w);
}

static double variance_of(const naive_tensor *x, int64_t c) {
    double sum = 0, mean = mean_of(x, c);
    EACH(x) sum += c_ == c ? pow(*naive_at(x, n_, c_, h_, w_) - mean, 2) : 0;
    return sum / (double)(x->n * x->h * x->w);
}

/* ------------------------------------------------------------------ naive ---------------- */

static void naive_weight(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                         naive_tensor *dw) {
    const cs_node_attributes a = window_of(node);
    int64_t group_in = x->c / a.groups, group_out = dy->c / a.groups;
    EACH(dy)
    for (int64_t c = 0; c < group_in; c++)
        for (int64_t r = 0; r < a.kernel_size[0]; r++)
            for (int64_t s = 0; s < a.kernel_size[1]; s++) {
                int64_t iy = h_ * a.stride[0] - a.padding[0] + r * a.dilation[0];
                int64_t ix = w_ * a.stride[1] - a.padding[1] + s * a.dilation[1];
                if (iy >= 0 && iy < x->h && ix >= 0 && ix < x->w)
                    *naive_at(dw, c_, c, r, s) +=
                        *naive_at(dy, n_, c_, h_, w_) *
                        *naive_at(x, n_, c_ / group_out * group_in + c, iy, ix);
            }
}

static void naive_gamma(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                        bool training, bool absolute, naive_tensor *dw) {
    for (int64_t c = 0; c < x->c; c++) {
        double mean = training ? mean_of(x, c) : (double)node->running_mean[c];
        double var = training ? variance_of(x, c) : (double)node->running_var[c];
        double inverse = 1 / sqrt(var + node->attributes.eps);
        EACH(x) if (c_ == c) {
            double v = *naive_at(x, n_, c_, h_, w_), g = *naive_at(dy, n_, c_, h_, w_);
            dw->v[c] += (absolute ? fabs(g) * (fabs(v) + fabs(mean)) : g * (v - mean)) * inverse;
        }
    }
}

void naive_params(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                  bool training, bool absolute, parameter_gradients *g) {
    if (g->weight.v != NULL && is_op(node, "batch_norm"))
        naive_gamma(node, x, dy, training, absolute, &g->weight);
    else if (g->weight.v != NULL)
        naive_weight(node, x, dy, &g->weight);
    if (g->bias.v != NULL)
        EACH(dy) g->bias.v[c_] += *naive_at(dy, n_, c_, h_, w_);
}

naive_tensor naive_norm_training(const built_node *node, const naive_tensor *x) {
    naive_tensor y = naive_make(x->n, x->c, x->h, x->w);
    for (int64_t c = 0; c < x->c; c++) {
        double mean = mean_of(x, c), scale = 1 / sqrt(variance_of(x, c) + node->attributes.eps);
        EACH(x)
        if (c_ == c)
            *naive_at(&y, n_, c_, h_, w_) =
                (*naive_at(x, n_, c_, h_, w_) - mean) * scale * (double)node->weight[c] +
                (double)node->bias[c];
    }
    return y;
}

/* Ioffe and Szegedy 2015, section 3: through the variance, then the mean, then each value. */
naive_tensor naive_norm_training_backward(const built_node *node, const naive_tensor *x,
                                          const naive_tensor *dy) {
    naive_tensor dx = naive_make(x->n, x->c, x->h, x->w);
    double m = (double)(x->n * x->h * x->w);
    for (int64_t c = 0; c < x->c; c++) {
        double mean = mean_of(x, c), var = variance_of(x, c) + node->attributes.eps;
        double dvar = 0, dmean = 0, sum = 0, gamma = (double)node->weight[c];
        EACH(x) if (c_ == c) {
            double d = *naive_at(x, n_, c_, h_, w_) - mean;
            double dnormal = *naive_at(dy, n_, c_, h_, w_) * gamma;
            dvar += dnormal * d * -0.5 * pow(var, -1.5);
            dmean -= dnormal / sqrt(var);
            sum += d;
        }
        dmean += dvar * -2 * sum / m;
        EACH(x) if (c_ == c) {
            double d = *naive_at(x, n_, c_, h_, w_) - mean;
            double dnormal = *naive_at(dy, n_, c_, h_, w_) * gamma;
            *naive_at(&dx, n_, c_, h_, w_) = dnormal / sqrt(var) + dvar * 2 * d / m + dmean / m;
        }
    }
    return dx;
}

/* ------------------------------------------------------------------ canonical ------------ */

static double rounded(double v, cs_dtype dtype) { return dtype == CS_F64 ? v : (double)(float)v; }

static double fused(double x, double y, double z, cs_dtype dtype) {
    return dtype == CS_F64 ? fma(x, y, z) : (double)fmaf((float)x, (float)y, (float)z);
}

/* The one rounded addition of an image's sum. */
static void add_rounded(double *there, double sum, cs_dtype dtype) {
    *there = rounded(*there + rounded(sum, dtype), dtype) + 0.0;
}

/* Rows of a map that one chain of a weight's gradient goes through: 256 pixels or a little more. */
static int64_t band_of(int64_t width) { return (256 + width - 1) / width; }

static double image_weight(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                           const int64_t at[5], cs_dtype dtype) {
    const cs_node_attributes a = window_of(node);
    const int64_t n = at[0], k = at[1], r = at[3], s = at[4];
    const int64_t channel = k / (dy->c / a.groups) * (x->c / a.groups) + at[2];
    double acc = 0, sum = 0;
    for (int64_t oy = 0; oy < dy->h; oy++) {
        for (int64_t ox = 0; ox < dy->w; ox++) {
            int64_t iy = oy * a.stride[0] - a.padding[0] + r * a.dilation[0];
            int64_t ix = ox * a.stride[1] - a.padding[1] + s * a.dilation[1];
            if (iy >= 0 && iy < x->h && ix >= 0 && ix < x->w)
                acc = fused(*naive_at(dy, n, k, oy, ox), *naive_at(x, n, channel, iy, ix), acc,
                            dtype);
        }
        if ((oy + 1) % band_of(dy->w) == 0 || oy + 1 == dy->h) {
            add_rounded(&sum, acc, dtype);
            acc = 0;
        }
    }
    return sum;
}

norm_statistics canonical_statistics(const naive_tensor *x, int64_t c) {
    norm_statistics s = {0, 0, (double)(x->n * x->h * x->w)};
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t n = 0; n < x->n; n++)
            for (int64_t h = 0; h < x->h; h++)
                for (int64_t w = 0; w < x->w; w++) {
                    double v = *naive_at(x, n, c, h, w), d = v - s.mean;
                    if (pass == 0)
                        s.mean = s.mean + v;
                    else
                        s.squares = fma(d, d, s.squares);
                }
        if (pass == 0)
            s.mean = s.mean / s.count;
    }
    return s;
}

/* One image's sums of dy and of dy * (x - mean), going on from what they hold. */
static void image_sums(const naive_tensor *x, const naive_tensor *dy, int64_t n, int64_t c,
                       double mean, double *sum, double *product) {
    for (int64_t h = 0; h < x->h; h++)
        for (int64_t w = 0; w < x->w; w++) {
            double g = *naive_at(dy, n, c, h, w);
            *sum = *sum + g;
            *product = fma(g, *naive_at(x, n, c, h, w) - mean, *product);
        }
}

static void norm_params(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                        bool training, cs_dtype dtype, parameter_gradients *g) {
    for (int64_t c = 0; c < x->c; c++) {
        norm_statistics s = canonical_statistics(x, c);
        double mean = training ? s.mean : (double)node->running_mean[c];
        double var = training ? s.squares / s.count : (double)node->running_var[c];
        double inverse = 1 / sqrt(var + node->attributes.eps);
        for (int64_t n = 0; n < x->n; n++) {
            double sum = 0, product = 0;
            image_sums(x, dy, n, c, mean, &sum, &product);
            add_rounded(&g->weight.v[c], product * inverse, dtype);
            add_rounded(&g->bias.v[c], sum, dtype);
        }
    }
}

void canonical_params(const built_node *node, const naive_tensor *x, const naive_tensor *dy,
                      bool training, cs_dtype dtype, parameter_gradients *g) {
    if (g->weight.v != NULL && is_op(node, "batch_norm")) {
        norm_params(node, x, dy, training, dtype, g);
        return;
    }
    for (int64_t n = 0; n < x->n && g->weight.v != NULL; n++) {
        const naive_tensor *dw = &g->weight;
        EACH(dw) {
            double acc = image_weight(node, x, dy, (const int64_t[5]){n, n_, c_, h_, w_}, dtype);
            add_rounded(naive_at(dw, n_, c_, h_, w_), acc, dtype);
        }
        for (int64_t k = 0; g->bias.v != NULL && k < dy->c; k++) {
            double sum = 0;
            for (int64_t h = 0; h < dy->h; h++)
                for (int64_t w = 0; w < dy->w; w++)
                    sum = sum + *naive_at(dy, n, k, h, w);
            add_rounded(&g->bias.v[k], sum, dtype);
        }
    }
}

naive_tensor canonical_norm_training(const built_node *node, const naive_tensor *x,
                                     cs_dtype dtype) {
    naive_tensor y = naive_make(x->n, x->c, x->h, x->w);
    for (int64_t c = 0; c < x->c; c++) {
        norm_statistics s = canonical_statistics(x, c);
        double t = (double)node->weight[c] / sqrt(s.squares / s.count + node->attributes.eps);
        double scale = rounded(t, dtype);
        double shift = rounded(fma(-s.mean, scale, (double)node->bias[c]), dtype);
        EACH(x)
        if (c_ == c)
            *naive_at(&y, n_, c_, h_, w_) =
                fused(*naive_at(x, n_, c_, h_, w_), scale, shift, dtype) + 0.0;
    }
    return y;
}

naive_tensor canonical_norm_training_backward(const built_node *node, const naive_tensor *x,
                                              const naive_tensor *dy, cs_dtype dtype) {
    naive_tensor dx = naive_make(x->n, x->c, x->h, x->w);
    for (int64_t c = 0; c < x->c; c++) {
        norm_statistics s = canonical_statistics(x, c);
        double var = s.squares / s.count + node->attributes.eps, a = 0, b = 0;
        double t = (double)node->weight[c] / sqrt(var);
        for (int64_t n = 0; n < x->n; n++)
            image_sums(x, dy, n, c, s.mean, &a, &b);
        a = a / s.count;
        b = b / var / s.count;
        EACH(x) if (c_ == c) {
            double d = *naive_at(x, n_, c_, h_, w_) - s.mean;
            double v = t * ((*naive_at(dy, n_, c_, h_, w_) - a) - d * b);
            *naive_at(&dx, n_, c_, h_, w_) = rounded(v, dtype) + 0.0;
        }
    }
    return dx;
}

/* ------------------------------------------------------------------ networks ------------- */

static naive_tensor copy_of(const naive_tensor *t) {
    naive_tensor copy = naive_make(t->n, t->c, t->h, t->w);
    memcpy(copy.v, t->v, (size_t)(t->n * t->c * t->h * t->w) * sizeof(double));
    return copy;
}

static naive_tensor backward_of(const built_node *node, const naive_tensor *const in[2], int k,
                                const naive_tensor *y, const naive_tensor *dy, bool training,
                                bool canonical, cs_dtype dtype) {
    if (training && is_op(node, "batch_norm"))
        return canonical ? canonical_norm_training_backward(node, in[0], dy, dtype)
                         : naive_norm_training_backward(node, in[0], dy);
    return canonical ? canonical_backward(node, in, k, y, dy, dtype)
                     : naive_backward(node, in, k, dy, false);
}

void train_reference_make(const random_model *net, const naive_tensor *input,
                          const naive_tensor *seed, bool training, bool canonical, cs_dtype dtype,
                          train_reference *out) {
    const int count = net->model.count;
    int index[2] = {0, 0};
    out->values[0] = copy_of(input);
    for (int i = 0; i < count; i++) {
        const built_node *node = &net->nodes[i];
        (void)random_model_inputs(net, i, index);
        const naive_tensor *in[2] = {&out->values[index[0]], &out->values[index[1]]};
        const bool batch = training && is_op(node, "batch_norm");
        out->values[i + 1] = canonical ? batch ? canonical_norm_training(node, in[0], dtype)
                                               : canonical_forward(node, in, dtype)
                             : batch ? naive_norm_training(node, in[0])
                                       : naive_forward(node, in, false);
        out->params[i] = parameter_gradients_make(node);
    }
    naive_tensor parts[RANDOM_NODES][2];
    out->gradients[count] = copy_of(seed);
    for (int i = count - 1; i >= -1; i--) {
        if (i + 1 < count)
            out->gradients[i + 1] = canonical_sum(net, i + 1, parts, canonical ? dtype : CS_F64);
        if (i < 0)
            break;
        const built_node *node = &net->nodes[i];
        const int inputs = random_model_inputs(net, i, index);
        const naive_tensor *in[2] = {&out->values[index[0]], &out->values[index[1]]};
        const naive_tensor *dy = &out->gradients[i + 1];
        if (canonical)
            canonical_params(node, in[0], dy, training, dtype, &out->params[i]);
        else
            naive_params(node, in[0], dy, training, false, &out->params[i]);
        for (int k = 0; k < inputs; k++)
            parts[i][k] =
                backward_of(node, in, k, &out->values[i + 1], dy, training, canonical, dtype);
    }
}

void train_reference_free(const random_model *net, train_reference *out) {
    for (int i = 0; i <= net->model.count; i++) {
        naive_free(&out->values[i]);
        naive_free(&out->gradients[i]);
        if (i < net->model.count)
            parameter_gradients_free(&out->params[i]);
    }
}
