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

static cs_status map(int variant, const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                     cs_tensor *out, cs_error *err) {
    (void)variant;
    double pixels = (double)(activation->h * activation->w);
    double *weights = calloc((size_t)activation->c + 1, sizeof *weights);
    CS_CHECK(weights, CS_ERROR_MEMORY, "no memory for the weights of %lld channels",
             (long long)activation->c);
    cs_channel_sums(gradient, n, weights);
    for (int64_t c = 0; c < activation->c; c++)
        weights[c] /= pixels;
    cs_weighted_channels(activation, n, weights, out);
    free(weights);
    return CS_OK;
}

static const char *const variants[] = {"paper", NULL}, *const aliases[] = {"grad-cam", NULL};

const cs_cam_method cs_cam_method_gradcam = {
    .info = {.name = "gradcam", .title = "Grad-CAM", .variants = variants},
    .aliases = aliases,
    .needs_activation = true,
    .needs_gradient = true,
    .map = map,
};
