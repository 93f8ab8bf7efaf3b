/* xgradcam.c - XGrad-CAM (Fu and others 2020, arXiv 2008.02312).
 *
 *     weight_c = sum over the map of dA_c * A_c / (sum over the map of A_c)
 *     L = relu(sum over c of weight_c * A_c)
 *
 * paper     as above; a channel whose activations sum to 0 has weight 0 (its quotient has no value)
 * pgc       pytorch-grad-cam: the divisor + 1e-7
 * torchcam  torch-cam: the divisor + 1e-8
 *
 * Sums are in double, row-major over the map, ascending over the channels; the map is rounded once.
 */
#include "cam_internal.h"

#include <stdlib.h>

static const char *const variants[] = {"paper", "pgc", "torchcam", NULL}, *const aliases[] = {
                                                                              "xgrad-cam", NULL};
static const double added[] = {0.0, 1e-7, 1e-8};

/* weights[c] from sums[c] of the activations. */
static void fill_weights(int variant, const cs_tensor *a, const cs_tensor *g, int64_t n,
                         const double *sums, double *weights) {
    size_t channels = (size_t)a->c, pixels = (size_t)a->h * (size_t)a->w;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++) {
            size_t at = ((size_t)n * pixels + i) * channels + c;
            weights[c] += cs_tensor_value(g, at) * cs_tensor_value(a, at);
        }
    for (size_t c = 0; c < channels; c++) {
        double divisor = sums[c] + added[variant];
        weights[c] = divisor == 0.0 ? 0.0 : weights[c] / divisor;
    }
}

static cs_status map(int variant, const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                     cs_tensor *out, cs_error *err) {
    size_t channels = (size_t)activation->c;
    double *sums = calloc(2 * channels + 1, sizeof *sums);
    CS_CHECK(sums, CS_ERROR_MEMORY, "no memory for the weights of %zu channels", channels);
    cs_channel_sums(activation, n, sums);
    fill_weights(variant, activation, gradient, n, sums, sums + channels);
    cs_weighted_channels(activation, n, sums + channels, out);
    free(sums);
    return CS_OK;
}

const cs_cam_method cs_cam_method_xgradcam = {
    .info = {.name = "xgradcam", .title = "XGrad-CAM", .variants = variants},
    .aliases = aliases,
    .needs_activation = true,
    .needs_gradient = true,
    .map = map,
};
