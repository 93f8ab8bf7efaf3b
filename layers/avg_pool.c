/* avg_pool.c - average pooling (torch.nn.AvgPool2d: padding, ceil_mode, count_include_pad; and
 * torch.nn.AdaptiveAvgPool2d(1), whose window is the whole map).
 *
 * Forward:  y[n,c,oy,ox] = (sum over the window's elements inside the image, row-major) / count
 *           count = the window's size within the padded image (count_include_pad), or within the
 *           image
 * Input gradient:  dx[n,c,iy,ix] = sum over the windows with (iy, ix), ascending, of dy / count
 * Tangent:         as forward
 *
 * Sums and divisions in double, rounded once.
 */
#include "layer_real.h"

#include <string.h>

/* What both operations are: a window that slides. */
typedef struct window {
    int64_t kernel[2], stride[2], padding[2];
    bool include_pad;
} window;

static window window_of(const layer_call *call) {
    const cs_node_attributes *a = call->attributes;
    window w = {{a->kernel_size[0], a->kernel_size[1]},
                {a->stride[0], a->stride[1]},
                {a->padding[0], a->padding[1]},
                a->count_include_pad};
    if (a->kernel_size[0] == 0) /* adaptive: the whole map */
        w = (window){{call->in.h, call->in.w}, {1, 1}, {0, 0}, false};
    return w;
}

/* The window's rows or columns [*begin, *end) inside the image; returns what they count for. */
static int64_t extent(const window *w, int axis, int64_t out, int64_t in, int64_t *begin,
                      int64_t *end) {
    const int64_t first = out * w->stride[axis] - w->padding[axis];
    int64_t last = first + w->kernel[axis];
    if (last > in + w->padding[axis])
        last = in + w->padding[axis];
    const int64_t padded = last - first;
    *begin = first < 0 ? 0 : first;
    *end = last > in ? in : last;
    return w->include_pad ? padded : *end - *begin;
}

static cs_status infer_adaptive(const cs_node_attributes *a, const cs_shape *in, const char *node,
                                cs_shape *out, cs_error *err) {
    (void)a, (void)node, (void)err;
    *out = (cs_shape){in->c, 1, 1};
    return CS_OK;
}

/* Sums of one pixel's channels. */
static size_t scratch_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch,
                           layer_pass pass) {
    (void)a, (void)out, (void)batch, (void)pass;
    return cs_align64((size_t)in.c * sizeof(double));
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const window w = window_of(call);
    const size_t channels = (size_t)call->in.c;
    double *sum = call->scratch;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->out.h * call->out.w), part, parts, &begin, &end);
    for (size_t q = begin; q < end; q++) {
        const int64_t ox = (int64_t)q % call->out.w, row = (int64_t)q / call->out.w;
        int64_t top, bottom, left, right;
        const int64_t rows = extent(&w, 0, row % call->out.h, call->in.h, &top, &bottom);
        const int64_t cols = extent(&w, 1, ox, call->in.w, &left, &right);
        memset(sum, 0, channels * sizeof *sum);
        for (int64_t iy = top; iy < bottom; iy++)
            for (int64_t ix = left; ix < right; ix++) {
                const REAL *x = (const REAL *)call->input[0] +
                                NAME(row_at)(call->in, row / call->out.h, iy) +
                                (size_t)ix * channels;
                for (size_t c = 0; c < channels; c++)
                    sum[c] += (double)x[c];
            }
        REAL *y = (REAL *)call->output + q * channels;
        for (size_t c = 0; c < channels; c++) {
            y[c] = (REAL)(sum[c] / (double)(rows * cols)) + 0;
            bad |= NAME(not_finite)(y[c]);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

/* The windows that hold an element: outputs [top, bottom) x [left, right) of image n. */
typedef struct holders {
    int64_t n, top, bottom, left, right;
} holders;

static holders holders_of(const layer_call *call, const window *w, int64_t pixel) {
    const int64_t ix = pixel % call->in.w, row = pixel / call->in.w;
    holders h = {.n = row / call->in.h};
    NAME(windows_over)(row % call->in.h, w->kernel[0] - 1, w->stride[0], w->padding[0], call->out.h,
                       &h.top, &h.bottom);
    NAME(windows_over)(ix, w->kernel[1] - 1, w->stride[1], w->padding[1], call->out.w, &h.left,
                       &h.right);
    return h;
}

/* sum = the gradient of an element that these windows hold. */
static void sum_gradients(const layer_call *call, const window *w, const holders *h, double *sum) {
    const size_t channels = (size_t)call->in.c;
    int64_t from, to;
    memset(sum, 0, channels * sizeof *sum);
    for (int64_t oy = h->top; oy < h->bottom; oy++)
        for (int64_t ox = h->left; ox < h->right; ox++) {
            const int64_t count =
                extent(w, 0, oy, call->in.h, &from, &to) * extent(w, 1, ox, call->in.w, &from, &to);
            const REAL *dy = (const REAL *)call->doutput + NAME(row_at)(call->out, h->n, oy) +
                             (size_t)ox * channels;
            for (size_t c = 0; c < channels; c++)
                sum[c] += (double)dy[c] / (double)count;
        }
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const window w = window_of(call);
    const size_t channels = (size_t)call->in.c;
    double *sum = call->scratch;
    size_t begin, end;
    bool bad = false;
    holders before = {.n = -1};
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    for (size_t q = begin; q < end; q++) {
        const holders h = holders_of(call, &w, (int64_t)q);
        if (memcmp(&h, &before, sizeof h) != 0) /* a whole map's mean has one window */
            sum_gradients(call, &w, &h, sum);
        before = h;
        REAL *dx = (REAL *)call->dinput[0] + q * channels;
        for (size_t c = 0; c < channels; c++) {
            const REAL v = (REAL)sum[c];
            bad |= NAME(not_finite)(v);
            NAME(deliver)(&dx[c], v, call->add[0]);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

const layer NAME(layer_avg_pool2d) = {
    .op = "avg_pool2d",
    .inputs = 1,
    .infer_shape = NAME(pool_shape),
    .scratch_size = scratch_size,
    .forward = forward,
    .tangent = forward,
    .backward = backward,
};

const layer NAME(layer_adaptive_avg_pool2d) = {
    .op = "adaptive_avg_pool2d",
    .inputs = 1,
    .infer_shape = infer_adaptive,
    .scratch_size = scratch_size,
    .forward = forward,
    .tangent = forward,
    .backward = backward,
};
