/* weight_gradient.c - the one driver behind the weight gradients of convolution and linear, and the
 * sums over pixels that bias gradients are.
 *
 *   y[n,k,oy,ox] = b[k] + sum over r, s, c of x[n,c,iy,ix] * w[k,c,r,s],  iy = oy*stride - pad +
 * r*dil
 *
 * so each output pixel of each image whose tap (r, s) lies inside contributes to a weight's
 * gradient:
 *
 *   dw[k,c,r,s] = sum over n, oy, ox of  dy[n,k,oy,ox] * x[n,c,iy,ix]
 *   db[k]       = sum over n, oy, ox of  dy[n,k,oy,ox]
 *
 * Per image one chain over oy, ox ascending; then one rounded addition to the gradient, images
 * ascending (docs/arithmetic.md): a batch gives the bits of its images one after another.
 *
 * For each tap that is an outer product of channels, summed over pixels: both operands lie in
 * memory as they are needed, channels-last, so nothing is copied and no pointer table is needed;
 * the outputs whose tap lies inside are a rectangle. Each weight belongs to one unit of work, and a
 * unit to one thread.
 */
#include "layer_real.h"

/* Images are taken together while their inputs and gradients fill no more than half a usual
 * second-level cache: large weights are then read and written less often. */
#define CACHE_BYTES ((size_t)1 << 20)

/* The outputs [first, end) of an axis whose tap lies inside the map. */
typedef struct NAME(range) {
    int64_t first, end;
} NAME(range);

static NAME(range) outputs_inside(int64_t in, int64_t out, int64_t stride, int64_t offset) {
    NAME(range) range;
    range.first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    range.end = in - offset <= 0 ? 0 : (in - offset + stride - 1) / stride;
    range.end = range.end < out ? range.end : out;
    range.first = range.first < range.end ? range.first : range.end;
    return range;
}

/* What a part works on: the whole layer, and how it is divided into tiles. */
typedef struct NAME(outer_work) {
    const NAME(kernels) *kernels;
    const cs_node_attributes *a;
    const layer_call *call;
    size_t inner, outer; /* channels, outputs of a group */
    size_t inner_tiles, outer_tiles;
    REAL *acc;
} NAME(outer_work);

/* One tile of one tap of group g, summed over image n. */
static unsigned run_tile(const NAME(outer_work) *work, int64_t n, size_t g, size_t tap,
                         const size_t c[2], const size_t k[2]) {
    const cs_node_attributes *a = work->a;
    const layer_call *call = work->call;
    const cs_shape in = call->in, out = call->out;
    const int64_t top = (int64_t)tap / a->kernel_size[1] * a->dilation[0] - a->padding[0];
    const int64_t left = (int64_t)tap % a->kernel_size[1] * a->dilation[1] - a->padding[1];
    const NAME(range) rows = outputs_inside(in.h, out.h, a->stride[0], top);
    const NAME(range) cols = outputs_inside(in.w, out.w, a->stride[1], left);
    const size_t taps = (size_t)(a->kernel_size[0] * a->kernel_size[1]);
    const NAME(outer_tile) tile = {
        .rows = (int)(k[1] - k[0]),
        .lanes = (int)(c[1] - c[0]),
        .height = cols.first < cols.end ? (size_t)(rows.end - rows.first) : 0,
        .width = (size_t)(cols.end - cols.first),
        .dy = (const REAL *)call->doutput + NAME(row_at)(out, n, rows.first) +
              (size_t)(cols.first * out.c) + g * work->outer + k[0],
        .x = (const REAL *)call->input[0] +
             (size_t)((n * in.h + rows.first * a->stride[0] + top) * in.w +
                      cols.first * a->stride[1] + left) *
                 (size_t)in.c +
             g * work->inner + c[0],
        .dy_row = NAME(row_size)(out),
        .dy_col = (size_t)out.c,
        .x_row = NAME(row_size)(in) * (size_t)a->stride[0],
        .x_col = (size_t)(in.c * a->stride[1]),
        .acc = work->acc,
        .dw = (REAL *)call->dparameter[0] + ((g * work->outer + k[0]) * taps + tap) * work->inner +
              c[0],
        .dw_stride = taps * work->inner,
    };
    return tile.height > 0 ? work->kernels->outer_tile(&tile) : 0;
}

/* Unit u of a group: a tap, a tile of inputs and one of outputs. The wider side turns slowest, so
 * that its slice and the whole of the other stay in cache. */
static unsigned run_unit(const NAME(outer_work) *work, const int64_t images[2], size_t unit) {
    const size_t taps = (size_t)(work->a->kernel_size[0] * work->a->kernel_size[1]);
    const bool wide = work->outer > work->inner;
    const size_t fast = wide ? work->inner_tiles : work->outer_tiles;
    const size_t slow = wide ? work->outer_tiles : work->inner_tiles;
    const size_t quick = unit % fast, tap = unit / fast % taps, late = unit / fast / taps % slow;
    const size_t g = unit / fast / taps / slow;
    const size_t lanes = (size_t)work->kernels->outer_lanes, i = wide ? quick : late;
    const size_t c[2] = {i * lanes, (i + 1) * lanes < work->inner ? (i + 1) * lanes : work->inner};
    size_t k[2];
    unsigned flags = 0;
    cs_share(work->outer, wide ? late : quick, work->outer_tiles, &k[0], &k[1]);
    for (int64_t n = images[0]; n < images[1]; n++)
        flags |= run_tile(work, n, g, tap, c, k);
    return flags;
}

unsigned NAME(weight_gradient_part)(const layer_call *call, const cs_node_attributes *a,
                                    size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    _Alignas(64) REAL acc[KERNEL_OUTER_LIMIT];
    const size_t rows = (size_t)kernels->outer_rows, lanes = (size_t)kernels->outer_lanes;
    NAME(outer_work)
    work = {.kernels = kernels, .a = a, .call = call, .acc = acc};
    work.inner = (size_t)(call->in.c / a->groups);
    work.outer = (size_t)(call->out.c / a->groups);
    work.inner_tiles = (work.inner + lanes - 1) / lanes;
    work.outer_tiles = (work.outer + rows - 1) / rows;
    const size_t image = ((size_t)call->in.h * NAME(row_size)(call->in) +
                          (size_t)call->out.h * NAME(row_size)(call->out)) *
                         sizeof(REAL);
    const int64_t together = image < CACHE_BYTES ? (int64_t)(CACHE_BYTES / image) : 1;
    size_t begin, end;
    unsigned flags = 0;
    cs_share((size_t)(a->groups * a->kernel_size[0] * a->kernel_size[1]) * work.inner_tiles *
                 work.outer_tiles,
             part, parts, &begin, &end);
    for (int64_t n = 0; n < call->batch; n += together) {
        const int64_t images[2] = {n, n + together < call->batch ? n + together : call->batch};
        for (size_t unit = begin; unit < end; unit++)
            flags |= run_unit(&work, images, unit);
    }
    return flags;
}

#define TOGETHER 64 /* channels whose sums are kept side by side */

unsigned NAME(bias_gradient_part)(const layer_call *call, size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->out.c, pixels = (size_t)(call->out.h * call->out.w);
    REAL *db = call->dparameter[1];
    size_t begin, end;
    bool bad = false;
    cs_share(channels, part, parts, &begin, &end);
    for (size_t c = begin; c < end; c += TOGETHER) {
        const size_t count = end - c < TOGETHER ? end - c : TOGETHER;
        for (int64_t n = 0; n < call->batch; n++) {
            double sum[TOGETHER] = {0};
            kernels->sum_rows(pixels, channels, count,
                              (const REAL *)call->doutput + NAME(row_at)(call->out, n, 0) + c, sum);
            for (size_t i = 0; i < count; i++) {
                db[c + i] = (db[c + i] + (REAL)sum[i]) + 0;
                bad |= NAME(not_finite)(db[c + i]);
            }
        }
    }
    return bad ? LAYER_OWN : 0U;
}
