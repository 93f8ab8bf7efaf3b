/* batch_norm.c - batch norm in inference (torch.nn.BatchNorm2d after eval()).
 *
 * In double: s = gamma / sqrt(var + eps); scale = (T)s; shift = (T)fma(-mean, scale, beta), with
 * the rounded scale, so that scale and shift are exactly what is computed with.
 *
 * Forward:         y  = fma(x, scale, shift)
 * Input gradient:  dx = dy * scale
 * Parameter gradients, as sums over images, rows and columns, in double:
 *                  dbeta = sum of dy
 *                  dgamma = sum of dy * (x - mean) / sqrt(var + eps)
 * Tangent:         y' = x' * scale + (x - mean) / sqrt(var + eps) * gamma' + beta'
 *
 * Never folded into weights: it runs in the epilogue of the convolution before it, or here where
 * the convolution's own output is watched.
 */
#include "layer_real.h"

#include <math.h>

static size_t pack_size(const cs_node_attributes *a, cs_shape in, layer_pass pass) {
    (void)a;
    return pass == PASS_FORWARD ? 2 * NAME(norm_stride)(in.c) : 0;
}

static void pack(const layer_pack_call *call, size_t part, size_t parts) {
    const float *gamma = call->parameter[0], *beta = call->parameter[1];
    const float *mean = call->parameter[2], *var = call->parameter[3];
    REAL *scale = call->pack, *shift = scale + NAME(norm_stride)(call->in.c);
    size_t begin, end;
    cs_share((size_t)call->in.c, part, parts, &begin, &end);
    for (size_t c = begin; c < end; c++) {
        const double s = (double)gamma[c] / sqrt((double)var[c] + call->attributes->eps);
        scale[c] = (REAL)s;
        shift[c] = (REAL)fma(-(double)mean[c], (double)scale[c], (double)beta[c]);
    }
}

static int parameter_shape(const cs_node_attributes *a, cs_shape in, int i, int64_t shape[4]) {
    (void)a;
    shape[0] = in.c;
    return i < 4 ? 1 : 0;
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->in.c;
    const REAL *scale = call->pack, *shift = scale + NAME(norm_stride)(call->in.c);
    size_t begin, end;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    return kernels->scale_shift(end - begin, channels,
                                (const REAL *)call->input[0] + begin * channels, scale, shift,
                                (REAL *)call->output + begin * channels);
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c;
    const REAL *scale = call->pack, *dy = call->doutput;
    REAL *dx = call->dinput[0];
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    if (!call->add[0]) /* fma(dy, scale, +0) + 0 is dy * scale + 0 */
        return ((const NAME(kernels) *)call->kernels)
            ->scale_shift(end - begin, channels, dy + begin * channels, scale, call->zeros,
                          dx + begin * channels);
    for (size_t pixel = begin; pixel < end; pixel++)
        for (size_t c = 0; c < channels; c++) {
            const REAL v = dy[pixel * channels + c] * scale[c];
            bad |= NAME(not_finite)(v);
            NAME(deliver)(&dx[pixel * channels + c], v, call->add[0]);
        }
    return bad ? LAYER_OWN : 0U;
}

#define TOGETHER 64 /* channels whose sums are kept side by side */

static unsigned backward_params(const layer_call *call, size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->in.c, pixels = (size_t)(call->in.h * call->in.w);
    const float *mean_of = call->parameter[2], *var = call->parameter[3];
    REAL *dgamma = call->dparameter[0];
    size_t begin, end;
    bool bad = false;
    cs_share(channels, part, parts, &begin, &end);
    for (size_t c = begin; dgamma && c < end; c += TOGETHER) {
        const size_t count = end - c < TOGETHER ? end - c : TOGETHER;
        double mean[TOGETHER];
        for (size_t i = 0; i < count; i++)
            mean[i] = (double)mean_of[c + i];
        for (int64_t n = call->images[0]; n < call->images[1]; n++) {
            const size_t at = NAME(row_at)(call->in, n, 0) + c;
            double sum[TOGETHER] = {0};
            kernels->product_rows(pixels, channels, count, (const REAL *)call->doutput + at,
                                  (const REAL *)call->input[0] + at, mean, sum);
            for (size_t i = 0; i < count; i++) {
                const double inverse = 1 / sqrt((double)var[c + i] + call->attributes->eps);
                dgamma[c + i] = (dgamma[c + i] + (REAL)(sum[i] * inverse)) + 0;
                bad |= NAME(not_finite)(dgamma[c + i]);
            }
        }
    }
    unsigned flags = bad ? LAYER_OWN : 0U;
    if (call->dparameter[1])
        flags |= NAME(bias_gradient_part)(call, part, parts);
    return flags;
}

static unsigned tangent(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c;
    const REAL *scale = call->pack, *dx = call->input[0];
    REAL *dy = call->output;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++)
        for (size_t c = 0; c < channels; c++) {
            const REAL v = dx[pixel * channels + c] * scale[c];
            bad |= NAME(not_finite)(v);
            NAME(deliver)(&dy[pixel * channels + c], v, false);
        }
    return bad ? LAYER_OWN : 0U;
}

/* In double, rounded once. */
static unsigned tangent_parameters(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c;
    const REAL *x = call->input[0], *dgamma = call->parameter_tangent[0];
    const REAL *dbeta = call->parameter_tangent[1];
    const float *mean = call->parameter[2], *var = call->parameter[3];
    size_t begin, end;
    bool bad = false;
    cs_share(channels, part, parts, &begin, &end);
    for (size_t c = begin; c < end; c++) {
        const double inverse = 1 / sqrt((double)var[c] + call->attributes->eps);
        const double slope = dgamma ? (double)dgamma[c] * inverse : 0;
        const double shift = dbeta ? (double)dbeta[c] : 0;
        for (int64_t pixel = 0; pixel < call->batch * call->in.h * call->in.w; pixel++) {
            const size_t i = (size_t)pixel * channels + c;
            const REAL v = (REAL)fma((double)x[i] - (double)mean[c], slope, shift);
            bad |= NAME(not_finite)(v);
            NAME(deliver)((REAL *)call->output + i, v, true);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

const layer NAME(layer_batch_norm) = {
    .op = "batch_norm",
    .inputs = 1,
    .infer_shape = NAME(same_shape),
    .parameter_shape = parameter_shape,
    .pack_size = pack_size,
    .pack = pack,
    .forward = forward,
    .tangent = tangent,
    .tangent_parameters = tangent_parameters,
    .backward = backward,
    .backward_params = backward_params,
    .weight_reads_input = true,
    .training = &NAME(layer_batch_norm_training),
    .in_place = true,
    .pack_for_both = true,
};
