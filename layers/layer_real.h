/* layer_real.h - what the files of layers/ share when they are compiled for one element type. */
#ifndef CS_LAYER_REAL_H
#define CS_LAYER_REAL_H

#include "kernel.h"
#include "layer.h"

#include <math.h>

/* x*y + z, rounded once; for what is not worth a kernel. */
static inline REAL NAME(fused)(REAL x, REAL y, REAL z) {
#if REAL_IS_FLOAT
    return fmaf(x, y, z);
#else
    return fma(x, y, z);
#endif
}

/* Elements of one image's row of pixels, and the row y of image n. */
static inline size_t NAME(row_size)(cs_shape s) { return (size_t)s.w * (size_t)s.c; }
static inline size_t NAME(row_at)(cs_shape s, int64_t n, int64_t y) {
    return (size_t)(n * s.h + y) * NAME(row_size)(s);
}

/* Stores or adds one result: v + (+0), or (there + v) + (+0). */
static inline void NAME(deliver)(REAL *there, REAL v, bool add) {
    *there = (add ? *there + v : v) + 0;
}

/* For operations that leave the shape as it is. */
cs_status NAME(same_shape)(const cs_node_attributes *a, const cs_shape *in, const char *node,
                           cs_shape *out, cs_error *err);

/* How many windows fit along one axis of the padded input; 0 for none. */
int64_t NAME(window_count)(int64_t in, int64_t kernel, int64_t stride, int64_t padding,
                           int64_t dilation, bool ceil_mode);

/* The windows of one axis that reach over position `at`, with a tap on it or not: outputs [*first,
 * *last) of `outputs`. `reach` is from a window's first tap to its last. */
void NAME(windows_over)(int64_t at, int64_t reach, int64_t stride, int64_t padding, int64_t outputs,
                        int64_t *first, int64_t *last);

/* The output's shape of a pool whose window slides. Errors: CS_ERROR_MISMATCH naming `node`. */
cs_status NAME(pool_shape)(const cs_node_attributes *a, const cs_shape *in, const char *node,
                           cs_shape *out, cs_error *err);

/* Result pixels in blocks of high x wide, whose channels share one panel: lane l belongs to channel
 * l % c of pixel (l / c / wide, l / c % wide) of the block. A lane that lacks a tap has a weight of
 * zero there. */
typedef struct NAME(phases) {
    int64_t high, wide;    /* high * wide * result.c <= 16; the groups are 1 */
    const uint16_t *lanes; /* of each tap: bit l where lane l has it */
} NAME(phases);

/* The convolution driver of convolve.c: results on a grid, each a chain over taps and channels. */
typedef struct NAME(convolve) {
    const NAME(kernels) *kernels;
    int64_t batch;
    int64_t groups, together; /* sets of `together` groups, which share a panel (1: each its own) */
    /* Results: pixel (row0 + i*row_step, col0 + j*col_step) of a map of result.h x result.w. */
    cs_shape result;
    int64_t rows, cols, row0, col0, row_step, col_step;
    const NAME(phases) *phases; /* these are a block's first, and no bias; NULL: single pixels */
    /* Sources: pixel (i*row_step_in + tap_row[t], j*col_step_in + tap_col[t]). */
    cs_shape source;
    int64_t row_step_in, col_step_in;
    size_t taps;
    const int64_t *tap_row, *tap_col;
    const size_t *tap_panel;
    int64_t run; /* source pixels side by side that a tap reads as one; more than 1: groups is 1 */
    const REAL *from, *zeros;
    const uint16_t *nonzero; /* masks of `from`, laid out as gates: a bit may be 0 only where the
                              * value is zero; or NULL: every value counts */
    layer_kernel kernel;     /* whether zeros may be skipped */
    const REAL *panels;      /* [groups][panels a group][panel_size] */
    size_t panel_size;
    const REAL *bias; /* [result.c], or NULL */
    bool double_sums; /* each chain in double, rounded at its end */
    layer_epilogue epilogue;
    bool backward; /* the epilogue is that of a backward call */
    REAL *to;
    bool add;
    void *scratch; /* NAME(strip_size)(taps, run, source.c) bytes */
} NAME(convolve);

unsigned NAME(convolve_part)(const NAME(convolve) *work, size_t part, size_t parts);
size_t NAME(strip_size)(size_t taps, size_t run, size_t channels);

/* The gradients of a convolution's weight and bias (weight_gradient.c), added to call->dparameter,
 * of call->images; `a` are the attributes as a convolution's. The weight's are made of copies in
 * call->shared: all parts of `copy` come first. */
int64_t NAME(weight_gradient_images)(const cs_node_attributes *a, cs_shape in, cs_shape out);
size_t NAME(weight_gradient_shared)(const cs_node_attributes *a, cs_shape in, cs_shape out,
                                    int64_t batch);
size_t NAME(weight_gradient_scratch)(void);
unsigned NAME(weight_gradient_copy)(const layer_call *call, const cs_node_attributes *a,
                                    size_t part, size_t parts);
unsigned NAME(weight_gradient_part)(const layer_call *call, const cs_node_attributes *a,
                                    size_t part, size_t parts);
unsigned NAME(bias_gradient_part)(const layer_call *call, size_t part, size_t parts);

/* One panel of `lanes` <= 16 lanes: to[t][i][16] from weights where value (lane, i, t) lies at
 * lane*lane_step + i*inner_step + t. What the other lanes hold reaches no result. */
void NAME(pack_panel)(const float *from, size_t lanes, size_t lane_step, size_t inner,
                      size_t inner_step, size_t taps, REAL *to);

/* A bias of `count` values, or zeros for NULL. */
void NAME(pack_bias)(const float *from, size_t count, REAL *to);

/* Packed parameters of a batch norm: scale[C], then shift[C], each padded to a whole panel. */
static inline size_t NAME(norm_stride)(int64_t channels) {
    return layer_gate_words(channels) * CS_PANEL;
}

extern const layer NAME(layer_input), NAME(layer_conv2d), NAME(layer_batch_norm),
    NAME(layer_batch_norm_training), NAME(layer_relu), NAME(layer_max_pool2d),
    NAME(layer_avg_pool2d), NAME(layer_adaptive_avg_pool2d), NAME(layer_linear), NAME(layer_add),
    NAME(layer_flatten), NAME(layer_softmax), NAME(layer_shortcut_a);
#if CS_HAVE_BLAS
extern const layer NAME(layer_gemm_conv2d), NAME(layer_gemm_linear);
#endif

#endif
