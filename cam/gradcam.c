/* gradcam.c - Grad-CAM (Selvaraju and others 2017, arXiv 1610.02391).
 *
 *     weight_c = mean over the map of dA_c        dA: the target's gradient at the layer
 *     L = relu(sum over c of weight_c * A_c)
 *
 * Each mean is a double sum in row-major order, divided by H * W; each L one double sum over the
 * channels ascending, product and sum each rounded; then one rounding to the map's type.
 */
#include "cam_internal.h"

#include <stdlib.h>

/* sums[c] = mean of image n's channel c. */
static void channel_means(const cs_tensor *t, int64_t n, double *means) {
    size_t channels = (size_t)t->c, pixels = (size_t)t->h * (size_t)t->w;
    size_t first = (size_t)n * pixels * channels;
    for (size_t c = 0; c < channels; c++)
        means[c] = 0.0;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            means[c] += cs_tensor_value(t, first + i * channels + c);
    for (size_t c = 0; c < channels; c++)
        means[c] /= (double)pixels;
}

cs_status cs_gradcam_map(const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                         cs_cam *cam, cs_error *err) {
    const cs_tensor *a = activation, *g = gradient;
    CS_CHECK(a->dtype == g->dtype && a->n == g->n && a->c == g->c && a->h == g->h && a->w == g->w,
             CS_ERROR_ARGUMENT,
             "activation (%lld, %lld, %lld, %lld) and gradient (%lld, %lld, %lld, %lld) differ",
             (long long)a->n, (long long)a->c, (long long)a->h, (long long)a->w, (long long)g->n,
             (long long)g->c, (long long)g->h, (long long)g->w);
    CS_CHECK(n >= 0 && n < a->n && a->h >= 1 && a->w >= 1, CS_ERROR_ARGUMENT,
             "image %lld of %lld, map %lld x %lld", (long long)n, (long long)a->n, (long long)a->h,
             (long long)a->w);
    *cam = (cs_cam){0};
    size_t channels = (size_t)a->c, pixels = (size_t)a->h * (size_t)a->w;
    double *weights = malloc((channels ? channels : 1) * sizeof *weights);
    CS_CHECK(weights, CS_ERROR_MEMORY, "no memory for the weights of %zu channels", channels);
    cs_status status = cs_tensor_allocate(&cam->raw, a->dtype, 1, 1, a->h, a->w, err);
    if (status == CS_OK) {
        channel_means(g, n, weights);
        for (size_t i = 0; i < pixels; i++) {
            size_t first = ((size_t)n * pixels + i) * channels;
            double sum = 0.0;
            for (size_t c = 0; c < channels; c++)
                sum += weights[c] * cs_tensor_value(a, first + c);
            cs_tensor_store(&cam->raw, i, sum + 0.0);
        }
        cs_cam_rectify(cam);
    }
    free(weights);
    return status;
}

static cs_status watch(cs_run *run, const char *layer, cs_error *err) {
    return cs_run_keep(run, layer, err);
}

static cs_status map(cs_run *run, const char *layer, int64_t n, cs_cam *cam, cs_error *err) {
    cs_tensor activation = {0}, gradient = {0};
    CS_TRY(cs_run_activation(run, layer, &activation, err));
    CS_TRY(cs_run_gradient(run, layer, &gradient, err));
    return cs_gradcam_map(&activation, &gradient, n, cam, err);
}

const cs_cam_method cs_cam_method_gradcam = {"gradcam", watch, map};
