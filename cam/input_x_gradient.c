/* input_x_gradient.c - input times gradient (Shrikumar and others 2016, arXiv 1605.01713), at the
 * input or at any layer.
 *
 *     L = sum over the channels of x_c * dx_c, with its sign; then the ReLU
 *
 * The channels of a pixel are summed in double, ascending, rounded once. It is HiResCAM's formula
 * at the input.
 */
#include "cam_internal.h"

static cs_status map(int variant, const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                     cs_tensor *out, cs_error *err) {
    (void)variant;
    (void)err;
    cs_elementwise_channels(activation, gradient, n, false, out);
    return CS_OK;
}

static const char *const variants[] = {"paper", NULL}, *const aliases[] = {"gradient-x-input",
                                                                           "inputxgradient", NULL};

const cs_cam_method cs_cam_method_input_x_gradient = {
    .info = {.name = "input-x-gradient",
             .title = "Input x gradient",
             .variants = variants,
             .at_input = true},
    .aliases = aliases,
    .needs_activation = true,
    .needs_gradient = true,
    .map = map,
};
