/* gradcam_plusplus.c - Grad-CAM++ (Chattopadhay and others 2018, arXiv 1710.11063).
 *
 * With g = dS/dA at (i, j) for the target S, and sum A over the channel's map:
 *
 *     weight_c = sum over the map of alpha * relu(dY/dA)
 *     alpha = Y'' / (2 Y'' + (sum A) Y''')         derivatives by A at (i, j)
 *     L = relu(sum over c of weight_c * A_c)
 *
 * paper     Y = exp(S), equation 19: alpha = g^2 / (2 g^2 + (sum A) g^3). For g != 0 that is
 *           1 / (2 + g sum A), which cannot underflow; where 2 + g sum A is 0 it has no value,
 *           and 0 is taken. The positive factor exp(S) of dY/dA, one for the image, is left out.
 *           For the target prob, Y is the softmax itself (equations 21-24): see softmax_weight.
 * authors   the authors' TensorFlow code: 1 in place of a denominator of 0, and alpha divided by
 *           its sum over the positions with g > 0, which the paper does not have
 * pgc       pytorch-grad-cam: 1e-6 is added to the denominator
 * torchcam  torch-cam: the division is lost there, so weight_c = sum of relu(g)^3
 * monai     MONAI and others: sum over the map of A g^3 in place of (sum A) g^3 at (i, j); 1 in
 *           place of a denominator of 0; 1e-7 added to it
 *
 * All in double, sums row-major over the map, ascending over the channels; rounded once.
 */
#include "cam_internal.h"

#include <stdlib.h>

enum { PAPER, AUTHORS, PGC, TORCHCAM, MONAI };
static const char *const variants[] = {"paper", "authors", "pgc", "torchcam", "monai", NULL},
                         *const aliases[] = {"gradcampp", "gradcamplusplus", "grad-cam++", "gc++",
                                             NULL};

/* alpha for a gradient g > 0. `sum` is sum A; for MONAI the sum of A g^3. */
static double alpha_of(int variant, double g, double sum) {
    double g2 = g * g, divisor = 0.0;
    switch (variant) {
    case PAPER: divisor = 2.0 + g * sum; return divisor == 0.0 ? 0.0 : 1.0 / divisor;
    case AUTHORS: divisor = 2.0 + g * sum; return divisor == 0.0 ? g2 : 1.0 / divisor;
    case PGC: divisor = 2.0 * g2 + sum * (g2 * g) + 1e-6; break;
    case MONAI:
        divisor = 2.0 * g2 + sum;
        divisor = (divisor == 0.0 ? 1.0 : divisor) + 1e-7;
        break;
    default: return g2;
    }
    return divisor == 0.0 ? 0.0 : g2 / divisor;
}

/* sums[c] = sum over the map of A, or of A g^3. */
static void fill_sums(int variant, const cs_tensor *a, const cs_tensor *g, int64_t n,
                      double *sums) {
    size_t channels = (size_t)a->c, pixels = (size_t)a->h * (size_t)a->w;
    if (variant != MONAI) {
        cs_channel_sums(a, n, sums);
        return;
    }
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++) {
            size_t at = ((size_t)n * pixels + i) * channels + c;
            double v = cs_tensor_value(g, at);
            sums[c] += cs_tensor_value(a, at) * (v * v * v);
        }
}

/* weights[c], and in alphas[c] the sum of alpha where g > 0. */
static void fill_weights(int variant, const cs_tensor *g, int64_t n, const double *sums,
                         double *weights, double *alphas) {
    size_t channels = (size_t)g->c, pixels = (size_t)g->h * (size_t)g->w;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++) {
            double v = cs_tensor_value(g, ((size_t)n * pixels + i) * channels + c);
            if (!(v > 0.0))
                continue;
            double alpha = alpha_of(variant, v, sums[c]);
            weights[c] += alpha * v;
            alphas[c] += alpha;
        }
    for (size_t c = 0; c < channels && variant == AUTHORS; c++)
        weights[c] = alphas[c] == 0.0 ? weights[c] : weights[c] / alphas[c];
}

static cs_status map(int variant, const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                     cs_tensor *out, cs_error *err) {
    size_t channels = (size_t)activation->c;
    double *sums = calloc(3 * channels + 1, sizeof *sums);
    CS_CHECK(sums, CS_ERROR_MEMORY, "no memory for the weights of %zu channels", channels);
    double *weights = sums + channels, *alphas = weights + channels;
    fill_sums(variant, activation, gradient, n, sums);
    fill_weights(variant, gradient, n, sums, weights, alphas);
    cs_weighted_channels(activation, n, weights, out);
    free(sums);
    return CS_OK;
}

/* ------------------------------------------------------------------ softmax -------------- */

/* Moments of d_k = g_k - g_c under the softmax p: m1 = sum p_k d_k, m2 of d^2, m3 of d^3. Taking
 * the explained class's gradient away first keeps them exact where p_c is near 1. */
typedef struct moments {
    double m1, m2, m3;
} moments;

/* One position's alpha * relu(dY/dA) for Y = p_c. With h = g_c - sum p_k g_k = -m1:
 *     Y'   = Y h                                       = -Y m1                       (21)
 *     Y''  = Y (h^2 - var)                             =  Y (2 m1^2 - m2)            (22, 23)
 *     Y''' = Y (h^3 - 3 h var - third central moment)  =  Y (6 m1 m2 - 6 m1^3 - m3)  (24)
 * so that Y cancels in alpha; where the denominator is 0, alpha is 0. */
static double softmax_weight(const moments *m, double probability, double sum) {
    double first = -m->m1 * probability;
    if (!(first > 0.0))
        return 0.0;
    double second = 2.0 * m->m1 * m->m1 - m->m2;
    double third = 6.0 * m->m1 * m->m2 - 6.0 * m->m1 * m->m1 * m->m1 - m->m3;
    double divisor = 2.0 * second + sum * third;
    return divisor == 0.0 ? 0.0 : second / divisor * first;
}

/* The gradient of logit k of image n, by a backward pass. */
static cs_status gradient_of(const cs_cam_call *call, const cs_tensor *logits, int64_t k,
                             cs_tensor *gradient, double *seconds, cs_error *err) {
    cs_tensor seed = {0};
    CS_TRY(cs_tensor_allocate(&seed, logits->dtype, logits->n, logits->c, 1, 1, err));
    cs_tensor_set(&seed, call->n, k, 0, 0, 1.0);
    double start = cs_seconds();
    cs_status status = cs_run_backward(call->run, &seed, err);
    *seconds += cs_seconds() - start;
    cs_tensor_release(&seed);
    CS_TRY(status);
    CS_TRY(cs_cam_check_finite(call->run, err));
    return cs_run_gradient(call->run, call->layer, gradient, err);
}

/* What one class's map is made of: room for the gradient of its logit, and the moments. */
typedef struct softmax_work {
    double *own; /* g_c */
    moments *all;
    double *probabilities; /* of the classes */
    double *sums, *weights;
} softmax_work;

static void free_work(softmax_work *w) {
    free(w->own);
    free(w->all);
    free(w->probabilities);
    free(w->sums);
}

static cs_status make_work(softmax_work *w, const cs_tensor *a, int64_t classes, cs_error *err) {
    size_t count = (size_t)a->c * (size_t)a->h * (size_t)a->w;
    w->own = calloc(count + 1, sizeof *w->own);
    w->all = calloc(count + 1, sizeof *w->all);
    w->probabilities = calloc((size_t)classes + 1, sizeof *w->probabilities);
    w->sums = calloc(2 * (size_t)a->c + 1, sizeof *w->sums);
    if (!w->own || !w->all || !w->probabilities || !w->sums) {
        free_work(w);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1,
                            "no memory for the derivatives of the softmax at %zu values", count);
    }
    w->weights = w->sums + a->c;
    return CS_OK;
}

/* Adds what class k contributes to the moments; for the explained class, keeps its gradient. */
static void add_class(softmax_work *w, const cs_tensor *g, int64_t n, double probability,
                      bool is_own) {
    size_t count = (size_t)g->c * (size_t)g->h * (size_t)g->w, first = (size_t)n * count;
    for (size_t i = 0; i < count; i++) {
        double v = cs_tensor_value(g, first + i);
        if (is_own) {
            w->own[i] = v;
            continue;
        }
        double d = v - w->own[i];
        w->all[i].m1 += probability * d;
        w->all[i].m2 += probability * (d * d);
        w->all[i].m3 += probability * (d * d * d);
    }
}

static cs_status softmax_class(const cs_cam_call *call, const cs_tensor *logits, int64_t c,
                               softmax_work *w, cs_cam *cam, cs_error *err) {
    cs_tensor a = {0}, g = {0};
    CS_TRY(gradient_of(call, logits, c, &g, &cam->backward_seconds, err));
    add_class(w, &g, call->n, 0.0, true);
    for (int64_t k = 0; k < logits->c; k++) {
        if (k == c)
            continue;
        CS_TRY(gradient_of(call, logits, k, &g, &cam->backward_seconds, err));
        add_class(w, &g, call->n, w->probabilities[k], false);
        CS_TRY(cs_cam_progress(call->options, k + 1, logits->c, err));
    }
    cam->backward_images = logits->c;
    CS_TRY(cs_run_activation(call->run, call->layer, &a, err));
    CS_TRY(cs_tensor_allocate(&cam->signed_map, a.dtype, 1, 1, a.h, a.w, err));
    cs_channel_sums(&a, call->n, w->sums);
    size_t channels = (size_t)a.c, count = channels * (size_t)a.h * (size_t)a.w;
    for (size_t i = 0; i < channels; i++)
        w->weights[i] = 0.0;
    for (size_t i = 0; i < count; i++)
        w->weights[i % channels] +=
            softmax_weight(&w->all[i], w->probabilities[c], w->sums[i % channels]);
    cs_weighted_channels(&a, call->n, w->weights, &cam->signed_map);
    return CS_OK;
}

static cs_status maps(const cs_cam_call *call, cs_cam *cams, cs_error *err) {
    cs_tensor logits = {0}, a = {0};
    CS_TRY(cs_run_output(call->run, &logits, err));
    CS_TRY(cs_run_activation(call->run, call->layer, &a, err));
    cs_status status = CS_OK;
    for (int64_t i = 0; i < call->count && status == CS_OK; i++) {
        softmax_work w = {0};
        CS_TRY(make_work(&w, &a, logits.c, err));
        cs_softmax(&logits, call->n, w.probabilities);
        status = softmax_class(call, &logits, call->classes[i], &w, &cams[i], err);
        free_work(&w);
    }
    return status;
}

static bool own_passes(const cs_target *target, int variant) {
    return variant == PAPER && target->kind == CS_TARGET_PROB;
}

const cs_cam_method cs_cam_method_gradcam_plusplus = {
    .info = {.name = "gradcam++", .title = "Grad-CAM++", .variants = variants},
    .aliases = aliases,
    .needs_activation = true,
    .needs_gradient = true,
    .map = map,
    .own_passes = own_passes,
    .maps = maps,
};
