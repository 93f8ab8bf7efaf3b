/* max_pool.c - max pooling (torch.nn.MaxPool2d): padding, dilation, ceil_mode.
 *
 * Forward:  y[n,c,oy,ox] = max over the window's elements inside the image; padding never takes
 *           part. The first element wins until a later one is greater, or is the first NaN.
 * Winner:   index iy*W + ix of that element (PyTorch's return_indices), saved for the gradient.
 * Input gradient:  dx[n,c,iy,ix] = sum over the windows that (iy, ix) won, ascending, of dy.
 * Tangent:  y'[n,c,oy,ox] = x' of the winner.
 */
#include "layer_real.h"

/* The taps of one axis inside the map: the first one's position, and how many there are. */
static int64_t taps_inside(const cs_node_attributes *a, int axis, int64_t out, int64_t in,
                           int64_t *first) {
    const int64_t start = out * a->stride[axis] - a->padding[axis], dilation = a->dilation[axis];
    const int64_t tap = start >= 0 ? 0 : (-start + dilation - 1) / dilation; /* the first inside */
    const int64_t behind = (in - start + dilation - 1) / dilation;           /* and beyond */
    *first = start + tap * dilation;
    return (behind < a->kernel_size[axis] ? behind : a->kernel_size[axis]) - tap;
}

/* True where each window of an axis has a tap inside: with dilation one may step over the map. */
static bool windows_meet_map(const cs_node_attributes *a, int axis, int64_t in, int64_t out) {
    int64_t first;
    for (int64_t o = 0; o < out; o++)
        if (taps_inside(a, axis, o, in, &first) <= 0)
            return false;
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

/* The elements of window (oy, ox) of image n. */
static NAME(pool_window) window_at(const layer_call *call, int64_t n, int64_t oy, int64_t ox) {
    const cs_node_attributes *a = call->attributes;
    const cs_shape in = call->in;
    int64_t iy, ix;
    const int64_t rows = taps_inside(a, 0, oy, in.h, &iy), cols = taps_inside(a, 1, ox, in.w, &ix);
    return (NAME(pool_window)){
        .channels = (size_t)in.c,
        .rows = (size_t)rows,
        .cols = (size_t)cols,
        .row_step = (size_t)(a->dilation[0] * in.w * in.c),
        .col_step = (size_t)(a->dilation[1] * in.c),
        .from = (const REAL *)call->input[0] + NAME(row_at)(in, n, iy) + ix * in.c,
        .index = (int32_t)(iy * in.w + ix),
        .index_row = (int32_t)(a->dilation[0] * in.w),
        .index_col = (int32_t)a->dilation[1],
    };
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const size_t pixel_size = (size_t)call->out.c;
    const NAME(kernels) *kernels = call->kernels;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->out.h * call->out.w), part, parts, &begin, &end);
    for (size_t q = begin; q < end; q++) {
        const int64_t ox = (int64_t)q % call->out.w, row = (int64_t)q / call->out.w;
        const int64_t n = row / call->out.h, oy = row % call->out.h;
        NAME(pool_window) window = window_at(call, n, oy, ox);
        window.to = (REAL *)call->output + q * pixel_size;
        window.winner = call->saved ? (int32_t *)call->saved + q * pixel_size : NULL;
        bad |= kernels->pool_maximum(&window) != 0;
        if (call->saved && call->ties)
            *call->ties += (int64_t)kernels->pool_ties(&window);
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

/* The windows of one axis that hold one element: the first, how many, and how far apart. */
typedef struct holders {
    int64_t first, count, step;
} holders;

static holders holders_of(const cs_node_attributes *a, int axis, int64_t in, int64_t out) {
    const int64_t reach = (a->kernel_size[axis] - 1) * a->dilation[axis];
    holders h = {.step = 1};
    int64_t first, last;
    NAME(windows_over)(in, reach, a->stride[axis], a->padding[axis], out, &first, &last);
    for (int64_t o = first; o < last; o++) {
        if ((in + a->padding[axis] - o * a->stride[axis]) % a->dilation[axis] != 0)
            continue;
        if (h.count == 0)
            h.first = o;
        else if (h.count == 1)
            h.step = o - h.first;
        h.count++;
    }
    return h;
}

/* Those of every column, for a part. */
static size_t scratch_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch,
                           layer_pass pass) {
    (void)a, (void)out, (void)batch;
    return pass == PASS_BACKWARD ? cs_align64((size_t)in.w * sizeof(holders)) : 0;
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    const NAME(kernels) *kernels = call->kernels;
    const cs_shape in = call->in, out = call->out;
    size_t begin, end;
    unsigned bad = 0;
    holders *columns = call->scratch;
    for (int64_t ix = 0; ix < in.w; ix++)
        columns[ix] = holders_of(a, 1, ix, out.w);
    cs_share((size_t)(call->batch * in.h), part, parts, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const int64_t n = (int64_t)row / in.h, iy = (int64_t)row % in.h;
        const holders y = holders_of(a, 0, iy, out.h);
        for (int64_t ix = 0; ix < in.w; ix++) {
            const holders x = columns[ix];
            const size_t at = NAME(row_at)(out, n, y.first) + (size_t)(x.first * out.c);
            const NAME(pool_window) windows = {
                .channels = (size_t)in.c,
                .rows = (size_t)y.count,
                .cols = (size_t)x.count,
                .row_step = (size_t)(y.step * out.w * out.c),
                .col_step = (size_t)(x.step * out.c),
                .from = (const REAL *)call->doutput + at,
                .winner = (int32_t *)call->saved + at,
                .index = (int32_t)(iy * in.w + ix),
                .to = (REAL *)call->dinput[0] + row * NAME(row_size)(in) + (size_t)(ix * in.c),
                .add = call->add[0],
            };
            bad |= kernels->pool_return(&windows);
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
