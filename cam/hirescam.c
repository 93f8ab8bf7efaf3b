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
    cs_elementwise_channels(activation, gradient, n, false, out);
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
