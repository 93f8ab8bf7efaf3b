/* kernel.h - what a kernel is: nothing but arithmetic on memory that the caller laid out.
 *
 * Compiled once for float and once for double (REAL), with names NAME(x) = x_f32, x_f64. A kernel
 * allocates nothing, knows no threads, and keeps no state. A table of kernels is complete in the
 * portable kernels; faster ones replace entries for the CPUs that have them.
 *
 * Every result is one chain of fused multiply-adds in the order that docs/arithmetic.md fixes;
 * kernels may differ only in how many chains they run side by side.
 */
#ifndef CS_KERNEL_H
#define CS_KERNEL_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KERNEL_PANEL        16 /* results of one pixel that are computed together */
#define KERNEL_TILE_LIMIT   16 /* no kernel has more pixels in a tile, */
#define KERNEL_PANELS_LIMIT 2  /* nor more panels */
#define KERNEL_SKIP_LIMIT   8  /* no skipping kernel has more panels */

/* Which stages of a fused step met NaN or infinity, as bits. */
enum { STAGE_OWN = 1, STAGE_SCALE = 2, STAGE_ADD = 4 };

#define KERNEL_BLOCK 64                            /* channels whose masks are read at once, */
#define KERNEL_WORDS (KERNEL_BLOCK / KERNEL_PANEL) /* and the words of those */

/* A pixel's mask of a block: bit c for channel c. `count` is the words that are left; of more than
 * a block's the rest is not read. */
static inline uint64_t kernel_mask(const uint16_t *words, size_t count) {
    uint64_t bits = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (count >= KERNEL_WORDS) { /* one load */
        memcpy(&bits, words, sizeof bits);
        return bits;
    }
#endif
    for (size_t i = 0; i < count && i < KERNEL_WORDS; i++)
        bits |= (uint64_t)words[i] << (KERNEL_PANEL * i);
    return bits;
}

#endif

/* The rest once for each element type; layers/registry.c includes it for both. */
#if defined(REAL) && !(REAL_IS_FLOAT ? CS_KERNEL_HAS_F32 : CS_KERNEL_HAS_F64)
#undef NAME
#undef REAL_MAX
#if REAL_IS_FLOAT
#define CS_KERNEL_HAS_F32 1
#define NAME(x)           x##_f32
#define REAL_MAX          FLT_MAX
#else
#define CS_KERNEL_HAS_F64 1
#define NAME(x)           x##_f64
#define REAL_MAX          DBL_MAX
#endif

/* One tile: `pixels` x `panels` x 16 chains. For tap t and pixel p, source[t * source_stride + p]
 * points to `channels` values (a row of zeros where the tap lies outside), and
 * panel + i * panel_size + tap_panel[t] to [channels][16] weights of panel i. acc[p][i][16] = bias
 * (16 values a panel, or +0 where NULL), then for t ascending, for channel ascending:
 * acc = fma(source, weight, acc). */
typedef struct NAME(conv_tile) {
    int pixels; /* 1 .. tile_pixels */
    int panels; /* 1 .. tile_panels */
    size_t taps, channels;
    const REAL *const *source;
    size_t source_stride;
    const REAL *panel;
    size_t panel_size;
    const size_t *tap_panel;
    const REAL *bias;  /* [panels][16] */
    const char *ahead; /* memory that is wanted soon, or NULL: a kernel may have it fetched, */
    size_t ahead_step; /* this many bytes for each tap and channel */
    REAL *acc;         /* [pixels][panels][16], 64-byte aligned */
} NAME(conv_tile);

/* A tile of a weight's gradient: `rows` x `panels` x 16 chains an image, over `runs` stretches of
 * `length` steps each. At a step the rows' factors lie side by side, those of the next step
 * `left_step` elements on, through all stretches; so do each panel's 16, but a stretch begins
 * `panel_run` elements behind the one before. For each image
 * acc = +0; for steps ascending: acc = fma(left, panel, acc); then out = out + acc, and at last
 * out + (+0). Row i's `lanes` results lie at out + i * out_stride. Returns STAGE_OWN where the last
 * out is NaN or infinite, or 0. */
typedef struct NAME(outer_tile) {
    int rows;   /* 1 .. tile_pixels */
    int panels; /* 1 .. tile_panels */
    int lanes;  /* 1 .. 16 * panels */
    size_t images, runs, length;
    const REAL *left, *panel;
    size_t left_step, left_image; /* left_image, panel_image: from one image to the next */
    size_t panel_run, panel_image, panel_size;
    REAL *out;
    size_t out_stride;
    REAL *acc; /* [rows][panels][16], 64-byte aligned, the kernel's own */
} NAME(outer_tile);

/* conv_tile's chains without the terms whose source is zero: any number of pixels x `panels` x 16.
 * nonzero[t * source_stride + p] points to the masks of source[t * source_stride + p], a word for
 * 16 channels (bit l for channel l of them; `channels` is a multiple of 16). Only channels whose
 * bit is set are multiplied. */
typedef struct NAME(skip_tile) {
    int pixels; /* any */
    int row;    /* pixels of the map's rows, of which the tile has an even number; or 0 */
    int panels; /* 1 .. skip_panels */
    size_t taps, channels;
    const REAL *const *source;
    const uint16_t *const *nonzero;
    size_t source_stride;
    const REAL *panel;
    size_t panel_size;
    const size_t *tap_panel;
    const REAL *bias;  /* [panels][16] */
    const REAL *ahead; /* panels that are wanted next, laid out as these, or NULL */
    REAL *acc;         /* [pixels][panels][16], 64-byte aligned */
} NAME(skip_tile);

/* The fused epilogue of a tile: acc[p * acc_stride + 0..lanes) goes through scale and shift (batch
 * norm), the residual's addition and ReLU, as far as they are given, and is stored as v + (+0), or
 * added to what is there. Pixel p's result lies at out + pixel[p] * out_stride, its residual at
 * residual + pixel[p] * out_stride, its gate bits (a word for every 16 lanes: bit l for lane l, set
 * where open) at gates + pixel[p] * gate_stride.
 *
 * In a backward pass (`open` is given) the order is another: added to what is there if asked, set
 * to +0 where the gate (laid out as above) is closed, multiplied by the scale, if given. */
typedef struct NAME(finish_tile) {
    int pixels, lanes;
    size_t acc_stride;
    const REAL *acc;
    const size_t *pixel;
    int known;                 /* entries of `pixel`: those behind `pixels` come next */
    const REAL *scale, *shift; /* [lanes], both or neither; in a backward pass the scale alone */
    const REAL *residual;      /* or NULL */
    bool relu, add;
    uint16_t *gates; /* or NULL */
    const uint16_t *open;
    size_t gate_stride, out_stride;
    REAL *out;
} NAME(finish_tile);

/* Rows of a map through batch norm, a residual's addition and ReLU, as far as they are given; all
 * of `channels` values a row, gates of layer_gate_words(channels) words. */
typedef struct NAME(norm_rows) {
    size_t rows, channels;
    const REAL *x, *scale, *shift;
    const REAL *residual; /* or NULL */
    bool relu;
    uint16_t *gates; /* or NULL */
    REAL *out;
} NAME(norm_rows);

/* A window of max pooling, of all channels: rows x cols elements that lie row_step and col_step
 * REALs apart. Forward, `from` points to the first element and `index` counts them (index_row from
 * one row to the next, index_col in a row); the window's own are the winners and the maxima, `to`.
 * Backward, it is the windows that hold one element: `from` points to the first one's dy, `winner`
 * to its winners, `index` is the element's and `to` its gradient. */
typedef struct NAME(pool_window) {
    size_t channels, rows, cols;
    size_t row_step, col_step;
    const REAL *from;
    int32_t *winner; /* forward: or NULL */
    int32_t index, index_row, index_col;
    REAL *to;
    bool add; /* backward: added to what is there */
} NAME(pool_window);

/* The sums over rows that the gradients of batch norm in training are made of, in double, going on
 * from what is in acc: with d = x - mean, acc[0] and acc[2]: dy, acc[1] and acc[3]: fma(dy, d,
 * acc); the first two are a batch's, the others an image's. */
typedef struct NAME(gradient_rows) {
    size_t rows, stride, channels; /* `stride` elements from one row to the next */
    const REAL *dy, *x;
    const double *mean;
    double *acc[4];
} NAME(gradient_rows);

/* The table of one instruction set. */
typedef struct NAME(kernels) {
    const char *isa;
    int tile_pixels, tile_panels; /* at most KERNEL_TILE_LIMIT and KERNEL_PANELS_LIMIT */
    int skip_panels;              /* at most KERNEL_SKIP_LIMIT; a multiple of tile_panels */
    /* Skipping pays where at most skip_percent - skip_load / pixels of 100 values are not zero
     * (measured; a block of weights is loaded for all pixels of a strip). */
    int skip_percent, skip_load;
    /* Up to half of skip_panels are computed for so many pixels together, which skip what is zero
     * in all of them, and pay where at most joined_percent is left. */
    int joined_pixels, joined_percent;
    void (*conv_tile)(const NAME(conv_tile) *tile);
    /* The same for groups side by side in one panel: one panel, `channels` (1, 2, 4 or 8) of each
     * group, and as many results. A source points to the 16 values of the 16 / channels groups;
     * lane l takes those of its own, that is value l / channels * channels + c for channel c. */
    void (*group_tile)(const NAME(conv_tile) *tile);
    /* The same with each chain in double, `acc = acc + source * weight`, rounded to REAL at its end
     * (a product of floats is exact in double). In double it is conv_tile. */
    void (*wide_tile)(const NAME(conv_tile) *tile);
    void (*skip_tile)(const NAME(skip_tile) *tile);
    unsigned (*outer_tile)(const NAME(outer_tile) *tile);
    /* Returns STAGE_ bits of the stages that met NaN or infinity. */
    unsigned (*finish_tile)(const NAME(finish_tile) *tile);
    /* out = fma(x, scale, shift) + 0 over rows x channels; returns STAGE_OWN or 0. */
    unsigned (*scale_shift)(size_t rows, size_t channels, const REAL *x, const REAL *scale,
                            const REAL *shift, REAL *out);
    /* Sums in double over `rows` rows, `stride` elements apart, for c < channels, which go on from
     * what is in acc: acc[c] + x[c]; fma(d, d, acc[c]) and fma(dy[c], d, acc[c]) with
     * d = x[c] - mean[c]. */
    void (*sum_rows)(size_t rows, size_t stride, size_t channels, const REAL *x, double *acc);
    void (*square_rows)(size_t rows, size_t stride, size_t channels, const REAL *x,
                        const double *mean, double *acc);
    void (*product_rows)(size_t rows, size_t stride, size_t channels, const REAL *dy, const REAL *x,
                         const double *mean, double *acc);
    void (*gradient_rows)(const NAME(gradient_rows) *work);
    /* dx = (gate open ? dy : +0) + 0, or added to dx; gates of layer_gate_words(channels) words a
     * row. */
    void (*gate_rows)(size_t rows, size_t channels, const REAL *dy, const uint16_t *open, REAL *dx,
                      bool add);
    /* Max pooling. The first element wins until a later one is greater, or is the first NaN;
     * to = the winner + 0. Returns STAGE_OWN or 0. */
    unsigned (*pool_maximum)(const NAME(pool_window) *window);
    /* How many channels have a maximum that is not zero and equals more than one element. */
    size_t (*pool_ties)(const NAME(pool_window) *window);
    /* sum = +0; for windows row by row: sum += (winner == index ? dy : +0); to = sum + 0, or
     * (to + sum) + 0. Returns STAGE_OWN where the sum is NaN or infinite, or 0. */
    unsigned (*pool_return)(const NAME(pool_window) *windows);
    /* Returns STAGE_OWN and STAGE_ADD as finish_tile does STAGE_SCALE and STAGE_ADD. */
    unsigned (*norm_rows)(const NAME(norm_rows) *work);
    /* dx = (REAL)(s * ((dy - a) - (x - mean) * b)) + 0, each step in double. coefficients: s, a,
     * b, mean of all channels, each `channels` long. Returns STAGE_OWN or 0. */
    unsigned (*norm_backward_rows)(size_t rows, size_t channels, const REAL *dy, const REAL *x,
                                   const double *const coefficients[4], REAL *dx, bool add);
} NAME(kernels);

extern const NAME(kernels) NAME(kernels_portable);
extern const NAME(kernels) NAME(kernels_portable_nofma);
#if defined(__x86_64__)
extern const NAME(kernels) NAME(kernels_avx512), NAME(kernels_avx512_amd);
#endif

/* True where any bit pattern but a finite number stands. */
static inline bool NAME(not_finite)(REAL v) { return !(v <= REAL_MAX && v >= -REAL_MAX); }

#endif
