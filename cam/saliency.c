/* saliency.c - the gradient itself (Simonyan and others 2013, arXiv 1312.6034), at the input or at
 * any layer.
 *
 * paper    max over the channels of |dA_c|         ("class saliency map", section 3.1)
 * sum-abs  sum over the channels of |dA_c|
 * sum      sum over the channels of dA_c, with its sign
 *
 * Sums in double, ascending, rounded once.
 */
#include "cam_internal.h"

#include <math.h>

enum { PAPER, SUM_ABS, SUM };
static const char *const variants[] = {"paper", "sum-abs", "sum", NULL}, *const aliases[] = {
                                                                             "saliency",
                                                                             "vanilla-gradient",
                                                                             NULL};

static cs_status map(int variant, const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                     cs_tensor *out, cs_error *err) {
    (void)activation;
    (void)err;
    size_t channels = (size_t)gradient->c;
    size_t pixels = (size_t)gradient->h * (size_t)gradient->w;
    for (size_t i = 0; i < pixels; i++) {
        size_t first = ((size_t)n * pixels + i) * channels;
        double result = 0.0;
        for (size_t c = first; c < first + channels; c++) {
            double v = cs_tensor_value(gradient, c);
            if (variant == PAPER)
                result = fabs(v) > result ? fabs(v) : result;
            else
                result += variant == SUM ? v : fabs(v);
        }
        cs_tensor_store(out, i, result + 0.0);
    }
    return CS_OK;
}

const cs_cam_method cs_cam_method_gradient = {
    .info = {.name = "gradient", .title = "Gradient", .variants = variants, .at_input = true},
    .aliases = aliases,
    .needs_gradient = true,
    .map = map,
};
