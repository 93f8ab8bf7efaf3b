/* layercam.c - LayerCAM (Jiang and others 2021, IEEE TIP 30).
 *
 *     L = relu(sum over c of relu(dA_c) * A_c)    elementwise
 *
 * One double sum over the channels ascending, product and sum each rounded; then one rounding to
 * the map's type. (The paper also scales maps of early layers by tanh(2 L / max L) before it adds
 * layers up; that is display, and not done here.)
 */
#include "cam_internal.h"

static cs_status map(int variant, const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                     cs_tensor *out, cs_error *err) {
    (void)variant;
    (void)err;
    cs_elementwise_channels(activation, gradient, n, true, out);
    return CS_OK;
}

static const char *const variants[] = {"paper", NULL}, *const aliases[] = {"layer-cam", NULL};

const cs_cam_method cs_cam_method_layercam = {
    .info = {.name = "layercam", .title = "LayerCAM", .variants = variants},
    .aliases = aliases,
    .needs_activation = true,
    .needs_gradient = true,
    .map = map,
};
