/* integrated_gradients.c - integrated gradients (Sundararajan and others 2017, arXiv 1703.01365).
 *
 *     IG_c = x_c * integral over t from 0 to 1 of dS/dx_c (t x)
 *     L = sum over the channels of IG_c, with its sign; then the ReLU
 *
 * The path goes from the input of zeros, the mean colour where inputs are normalised, straight to
 * the input x. Summed over the map, L before the ReLU is S(x) - S(0), as nearly as the sum that
 * stands for the integral (m steps, 50 unless told) is the integral:
 *
 * captum     Gauss-Legendre quadrature, captum's default
 * paper      t = 1/m, 2/m, ..., 1, each of weight 1/m (equation 3)
 * midpoint   t = 1/(2m), 3/(2m), ..., each of weight 1/m
 *
 * The weighted gradients are added in double, in the order of t; rounded once at the end.
 */
#include "cam_internal.h"

#include <math.h>
#include <stdlib.h>

enum { CAPTUM, PAPER, MIDPOINT };
static const char *const variants[] = {"captum", "paper", "midpoint", NULL},
                         *const aliases[] = {"ig", "integratedgradients", NULL};

enum { STEPS = 50, BATCH = 4, STEPS_LIMIT = 10000 };

/* cos by its power series, for 0 <= x <= pi: a start for Newton's steps, the same bits everywhere.
 */
static double cosine(double x) {
    double term = 1.0, sum = 1.0;
    for (int k = 1; k <= 30; k += 2) {
        term *= -x * x / (double)(k * (k + 1));
        sum += term;
    }
    return sum;
}

/* The Legendre polynomial of degree `count` at x, and its derivative. */
static double legendre(int64_t count, double x, double *slope) {
    double before = 1.0, p = x;
    for (int64_t k = 2; k <= count; k++) {
        double next = ((double)(2 * k - 1) * x * p - (double)(k - 1) * before) / (double)k;
        before = p;
        p = next;
    }
    *slope = (double)count * (x * p - before) / (x * x - 1.0);
    return p;
}

/* Newton's steps from the usual first guess, for the lower half; the upper one mirrors it. */
void cs_gauss_legendre(int64_t count, double *nodes, double *weights) {
    const double pi = 3.14159265358979323846;
    for (int64_t i = 0; i <= count - 1 - i; i++) {
        double x = -cosine(pi * ((double)i + 0.75) / ((double)count + 0.5)), slope = 1.0;
        for (int step = 0; step < 5; step++) {
            double value = legendre(count, x, &slope);
            x -= value / slope;
        }
        legendre(count, x, &slope);
        nodes[i] = 0.5 + 0.5 * x;
        nodes[count - 1 - i] = 0.5 - 0.5 * x;
        weights[i] = weights[count - 1 - i] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
}

static void fill_path(int variant, int64_t count, double *nodes, double *weights) {
    double m = (double)count;
    if (variant == CAPTUM) {
        cs_gauss_legendre(count, nodes, weights);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        nodes[i] = (variant == PAPER ? (double)(i + 1) : (double)i + 0.5) / m;
        weights[i] = 1.0 / m;
    }
}

/* One call's memory and where it stands. */
typedef struct path {
    cs_run *worker;
    cs_tensor image;         /* the call's, as the run has it: a view */
    cs_tensor points;        /* a batch of t x */
    double *nodes, *weights; /* of the steps */
    double *sums;            /* per class, per value of the input */
    int64_t *classes;        /* one class for each image of a batch */
    int64_t steps, batch;
    size_t values; /* of one image */
} path;

static void free_path(path *p) {
    cs_run_free(p->worker);
    cs_tensor_release(&p->points);
    free(p->nodes);
    free(p->sums);
    free(p->classes);
}

static cs_status make_path(const cs_cam_call *call, path *p, cs_error *err) {
    const char *input = cs_model_node(call->model, 0)->name;
    const cs_tensor *x = &p->image;
    CS_TRY(cs_run_activation(call->run, input, &p->image, err));
    p->steps = call->options->steps ? call->options->steps : STEPS;
    CS_CHECK(p->steps <= STEPS_LIMIT, CS_ERROR_LIMIT, "%lld steps; at most %d are possible",
             (long long)p->steps, STEPS_LIMIT);
    p->batch = call->options->batch ? call->options->batch : BATCH;
    p->batch = p->batch < p->steps ? p->batch : p->steps;
    p->values = (size_t)x->c * (size_t)x->h * (size_t)x->w;
    p->nodes = calloc(2 * (size_t)p->steps, sizeof *p->nodes);
    p->sums = calloc((size_t)call->count * p->values + 1, sizeof *p->sums);
    p->classes = calloc((size_t)p->batch, sizeof *p->classes);
    CS_CHECK(p->nodes && p->sums && p->classes, CS_ERROR_MEMORY,
             "no memory for integrated gradients of %lld classes", (long long)call->count);
    p->weights = p->nodes + p->steps;
    fill_path(call->variant, p->steps, p->nodes, p->weights);
    CS_TRY(cs_tensor_allocate(&p->points, x->dtype, p->batch, x->c, x->h, x->w, err));
    CS_TRY(cs_run_create_like(call->run, p->batch, NULL, &p->worker, err));
    CS_TRY(cs_run_keep_gradient(p->worker, input, err));
    return cs_run_prepare(p->worker, err);
}

/* Adds the gradients of one class at the batch's points, first to first + points.n. */
static cs_status add_class(const cs_cam_call *call, path *p, int64_t which, int64_t first,
                           const cs_tensor *logits, double *seconds, cs_error *err) {
    cs_tensor seed = {0}, gradient = {0};
    for (int64_t i = 0; i < logits->n; i++)
        p->classes[i] = call->classes[which];
    CS_TRY(cs_target_seed(&call->options->target, logits, p->classes, &seed, err));
    double start = cs_seconds(), *sums = p->sums + (size_t)which * p->values;
    cs_status status = cs_run_backward(p->worker, &seed, err);
    *seconds += cs_seconds() - start;
    cs_tensor_release(&seed);
    CS_TRY(status);
    CS_TRY(cs_cam_check_finite(p->worker, err));
    CS_TRY(cs_run_gradient(p->worker, cs_model_node(call->model, 0)->name, &gradient, err));
    for (int64_t i = 0; i < logits->n; i++)
        for (size_t j = 0; j < p->values; j++)
            sums[j] +=
                p->weights[first + i] * cs_tensor_value(&gradient, (size_t)i * p->values + j);
    return CS_OK;
}

/* Forward and backward of the points from `first` on. */
static cs_status pass(const cs_cam_call *call, path *p, int64_t first, cs_cam *cams,
                      cs_error *err) {
    cs_tensor points = p->points, logits = {0};
    size_t from = (size_t)call->n * p->values;
    points.n = p->steps - first < p->batch ? p->steps - first : p->batch;
    for (int64_t i = 0; i < points.n; i++)
        for (size_t j = 0; j < p->values; j++)
            cs_tensor_store(&points, (size_t)i * p->values + j,
                            p->nodes[first + i] * cs_tensor_value(&p->image, from + j));
    CS_TRY(cs_run_forward(p->worker, &points, err));
    CS_TRY(cs_cam_check_finite(p->worker, err));
    CS_TRY(cs_run_output(p->worker, &logits, err));
    for (int64_t k = 0; k < call->count; k++)
        CS_TRY(add_class(call, p, k, first, &logits, &cams[k].backward_seconds, err));
    return cs_cam_progress(call->options, first + points.n, p->steps, err);
}

static cs_status finish(const cs_cam_call *call, const path *p, int64_t which, cs_cam *cam,
                        cs_error *err) {
    const cs_tensor *x = &p->image;
    const double *sums = p->sums + (size_t)which * p->values;
    size_t channels = (size_t)x->c, from = (size_t)call->n * p->values;
    CS_TRY(cs_tensor_allocate(&cam->signed_map, x->dtype, 1, 1, x->h, x->w, err));
    for (size_t i = 0; i < p->values / channels; i++) {
        double sum = 0.0;
        for (size_t c = i * channels; c < (i + 1) * channels; c++)
            sum += cs_tensor_value(x, from + c) * sums[c];
        cs_tensor_store(&cam->signed_map, i, sum + 0.0);
    }
    cam->forward_images = p->steps;
    cam->backward_images = p->steps * call->count;
    cam->own_bytes = cs_run_memory_used(p->worker).arena;
    return CS_OK;
}

static cs_status maps(const cs_cam_call *call, cs_cam *cams, cs_error *err) {
    path p = {0};
    cs_status status = make_path(call, &p, err);
    for (int64_t first = 0; first < p.steps && status == CS_OK; first += p.batch)
        status = pass(call, &p, first, cams, err);
    for (int64_t k = 0; k < call->count && status == CS_OK; k++)
        status = finish(call, &p, k, &cams[k], err);
    free_path(&p);
    return status;
}

const cs_cam_method cs_cam_method_integrated_gradients = {
    .info = {.name = "integrated-gradients",
             .title = "Integrated gradients",
             .variants = variants,
             .at_input = true,
             .many_passes = true,
             .has_steps = true},
    .aliases = aliases,
    .needs_input = true,
    .needs_gradient = true, /* only so that one reading of the weights packs both passes */
    .input_only = true,
    .maps = maps,
};
