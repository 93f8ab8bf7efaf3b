/* max_pool.c - max pooling (torch.nn.MaxPool2d): padding, dilation, ceil_mode.
 *
 * Forward:  y[n,c,oy,ox] = max over the window's elements inside the image; padding never takes
 *           part. The first element wins until a later one is greater, or is the first NaN.
 * Winner:   index iy*W + ix of that element (PyTorch's return_indices), saved for the gradient.
 * Input gradient:  dx[n,c,iy,ix] = sum over the windows that (iy, ix) won, ascending, of dy.
 * Tangent:  y'[n,c,oy,ox] = x' of the winner.
 */
#include "layer_real.h"

#include <string.h>

/* The first tap whose position start + tap*dilation is not negative, so inside at the near side. */
static int64_t first_tap(int64_t start, int64_t dilation) {
    return start >= 0 ? 0 : (-start + dilation - 1) / dilation;
}

/* True where each window of an axis has a tap inside: with dilation one may step over the map. */
static bool windows_meet_map(const cs_node_attributes *a, int axis, int64_t in, int64_t out) {
    for (int64_t o = 0; o < out; o++) {
        const int64_t start = o * a->stride[axis] - a->padding[axis];
        const int64_t tap = first_tap(start, a->dilation[axis]);
        if (tap >= a->kernel_size[axis] || start + tap * a->dilation[axis] >= in)
            return false;
    }
    return true;
}

static cs_status infer_shape(const cs_node_attributes *a, const cs_shape *in, const char *node,
                             cs_shape *out, cs_error *err) {
    CS_TRY(NAME(pool_shape)(a, in, node, out, err));
    if (!windows_meet_map(a, 0, in->h, out->h) || !windows_meet_map(a, 1, in->w, out->w))
        return cs_error_set(err, CS_ERROR_MISMATCH, node, -1,
                            "%s: a window of dilation %lld x %lld lies beside the map of %lld x "
                            "%lld with all its taps and has no maximum",
                            node, (long long)a->dilation[0], (long long)a->dilation[1],
                            (long long)in->h, (long long)in->w);
    return CS_OK;
}

static size_t saved_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch) {
    (void)a, (void)in;
    return (size_t)(batch * out.h * out.w * out.c) * sizeof(int32_t);
}

/* One window of all channels. */
static void pool_window(const layer_call *call, int64_t n, int64_t oy, int64_t ox, REAL *y,
                        int32_t *winner) {
    const cs_node_attributes *a = call->attributes;
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->in.c;
    const int64_t top = oy * a->stride[0] - a->padding[0], left = ox * a->stride[1] - a->padding[1];
    const REAL *image = (const REAL *)call->input[0] + NAME(row_at)(call->in, n, 0);
    bool first = true;
    for (int64_t r = first_tap(top, a->dilation[0]); r < a->kernel_size[0]; r++) {
        const int64_t iy = top + r * a->dilation[0];
        for (int64_t s = first_tap(left, a->dilation[1]); iy < call->in.h && s < a->kernel_size[1];
             s++) {
            const int64_t ix = left + s * a->dilation[1];
            if (ix >= call->in.w)
                break;
            const REAL *x = image + (iy * call->in.w + ix) * call->in.c;
            const int32_t index = (int32_t)(iy * call->in.w + ix);
            if (first) {
                memcpy(y, x, channels * sizeof *y);
                for (size_t c = 0; winner && c < channels; c++)
                    winner[c] = index;
            } else {
                kernels->pool_offer(channels, x, index, y, winner);
            }
            first = false;
        }
    }
    for (size_t c = 0; c < channels; c++)
        y[c] += 0;
}

#define TOGETHER 64 /* channels whose ties are counted side by side */

/* Windows whose winner is not the only element of its value (zero left out). */
static int64_t count_ties(const layer_call *call, int64_t n, int64_t oy, int64_t ox,
                          const REAL *y) {
    const cs_node_attributes *a = call->attributes;
    const NAME(kernels) *kernels = call->kernels;
    const int64_t top = oy * a->stride[0] - a->padding[0], left = ox * a->stride[1] - a->padding[1];
    const REAL *image = (const REAL *)call->input[0] + NAME(row_at)(call->in, n, 0);
    int64_t ties = 0;
    for (int64_t c = 0; c < call->in.c; c += TOGETHER) {
        const size_t some = (size_t)(call->in.c - c < TOGETHER ? call->in.c - c : TOGETHER);
        int32_t equal[TOGETHER] = {0};
        for (int64_t r = first_tap(top, a->dilation[0]); r < a->kernel_size[0]; r++)
            for (int64_t s = first_tap(left, a->dilation[1]); s < a->kernel_size[1]; s++) {
                const int64_t iy = top + r * a->dilation[0], ix = left + s * a->dilation[1];
                if (iy < call->in.h && ix < call->in.w)
                    kernels->pool_equal(some, image + (iy * call->in.w + ix) * call->in.c + c,
                                        y + c, equal);
            }
        for (size_t i = 0; i < some; i++)
            ties += (equal[i] > 1) & (y[(size_t)c + i] != 0);
    }
    return ties;
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const size_t pixel_size = (size_t)call->out.c;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->out.h * call->out.w), part, parts, &begin, &end);
    for (size_t q = begin; q < end; q++) {
        const int64_t ox = (int64_t)q % call->out.w, row = (int64_t)q / call->out.w;
        const int64_t n = row / call->out.h, oy = row % call->out.h;
        REAL *y = (REAL *)call->output + q * pixel_size;
        pool_window(call, n, oy, ox, y,
                    call->saved ? (int32_t *)call->saved + q * pixel_size : NULL);
        for (size_t c = 0; c < pixel_size; c++)
            bad |= NAME(not_finite)(y[c]);
        if (call->saved && call->ties)
            *call->ties += count_ties(call, n, oy, ox, y);
    }
    return bad ? LAYER_OWN : 0U;
}

/* y = the element that the given winner names: forward by imposed winners, and the tangent. */
static unsigned forward_imposed(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c;
    const int64_t per_image = call->out.h * call->out.w;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * per_image), part, parts, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++) {
        const REAL *image =
            (const REAL *)call->input[0] + NAME(row_at)(call->in, (int64_t)pixel / per_image, 0);
        const int32_t *winner = (const int32_t *)call->saved + pixel * channels;
        REAL *y = (REAL *)call->output + pixel * channels;
        for (size_t c = 0; c < channels; c++) {
            y[c] = image[(size_t)winner[c] * channels + c] + 0;
            bad |= NAME(not_finite)(y[c]);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

static size_t scratch_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch,
                           layer_pass pass) {
    (void)a, (void)out, (void)batch;
    return pass == PASS_BACKWARD ? cs_align64(NAME(row_size)(in) * sizeof(REAL)) : 0;
}

/* Sums row iy of the input gradient in `sum`: windows ascending, as they may reach this row. Only
 * the one element that won adds anything but zero. */
static void gather_row(const layer_call *call, int64_t n, int64_t iy, REAL *sum) {
    const cs_node_attributes *a = call->attributes;
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->in.c;
    const int64_t reach = (a->kernel_size[0] - 1) * a->dilation[0];
    const int64_t lowest = iy + a->padding[0] - reach;
    const int64_t first = lowest <= 0 ? 0 : (lowest + a->stride[0] - 1) / a->stride[0];
    for (int64_t oy = first; oy < call->out.h && oy * a->stride[0] - a->padding[0] <= iy; oy++) {
        if ((iy + a->padding[0] - oy * a->stride[0]) % a->dilation[0] != 0)
            continue;
        for (int64_t ox = 0; ox < call->out.w; ox++) {
            const size_t at = NAME(row_at)(call->out, n, oy) + (size_t)ox * channels;
            const int64_t left = ox * a->stride[1] - a->padding[1];
            for (int64_t s = first_tap(left, a->dilation[1]); s < a->kernel_size[1]; s++) {
                const int64_t ix = left + s * a->dilation[1];
                if (ix >= call->in.w)
                    break;
                kernels->pool_return(channels, (const int32_t *)call->saved + at,
                                     (int32_t)(iy * call->in.w + ix),
                                     (const REAL *)call->doutput + at, sum + (size_t)ix * channels);
            }
        }
    }
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const size_t size = NAME(row_size)(call->in);
    REAL *sum = call->scratch;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->in.h), part, parts, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        REAL *dx = (REAL *)call->dinput[0] + row * size;
        memset(sum, 0, size * sizeof(REAL));
        gather_row(call, (int64_t)row / call->in.h, (int64_t)row % call->in.h, sum);
        for (size_t i = 0; i < size; i++) {
            bad |= NAME(not_finite)(sum[i]);
            NAME(deliver)(&dx[i], sum[i], call->add[0]);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

const layer NAME(layer_max_pool2d) = {
    .op = "max_pool2d",
    .inputs = 1,
    .infer_shape = infer_shape,
    .saved_size = saved_size,
    .scratch_size = scratch_size,
    .forward = forward,
    .forward_imposed = forward_imposed,
    .tangent = forward_imposed,
    .backward = backward,
};
