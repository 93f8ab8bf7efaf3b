/* hirescam.c - HiResCAM (Draelos and Carin 2020, arXiv 2011.08891).
 *
 *     L = relu(sum over c of dA_c * A_c)          elementwise: no averaging of the gradient
 *
 * One double sum over the channels ascending, product and sum each rounded; then one rounding to
 * the map's type.
 */
#include "cam_internal.h"

static cs_status map(int variant, const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                     cs_tensor *out, cs_error *err) {
    (void)variant;
    (void)err;
    size_t channels = (size_t)activation->c;
    size_t pixels = (size_t)activation->h * (size_t)activation->w;
    for (size_t i = 0; i < pixels; i++) {
        size_t first = ((size_t)n * pixels + i) * channels;
        double sum = 0.0;
        for (size_t c = first; c < first + channels; c++)
            sum += cs_tensor_value(gradient, c) * cs_tensor_value(activation, c);
        cs_tensor_store(out, i, sum + 0.0);
    }
    return CS_OK;
}

static const char *const variants[] = {"paper", NULL}, *const aliases[] = {"hires-cam", NULL};

const cs_cam_method cs_cam_method_hirescam = {
    .info = {.name = "hirescam", .title = "HiResCAM", .variants = variants},
    .aliases = aliases,
    .needs_activation = true,
    .needs_gradient = true,
    .map = map,
};
