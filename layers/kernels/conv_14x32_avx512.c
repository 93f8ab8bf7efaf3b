/* conv_14x32_avx512.c - the kernels for CPUs with AVX-512: 14 pixels x 2 panels of floats, or 14
 * pixels x 1 panel of doubles, fill 28 of the 32 registers.
 *
 * The same chains as the portable kernels, more of them side by side.
 */
#include "kernel.h"

#if defined(__x86_64__)

#include "avx512.h"
#include "portable.h"

#include <assert.h>

#define TILE_PIXELS 14
#if REAL_IS_FLOAT
#define TILE_PANELS 2
#define VECTORS     1 /* registers that hold one panel */
#else
#define TILE_PANELS 1
#define VECTORS     2
#endif

#define COLUMNS (TILE_PANELS * VECTORS) /* registers across one pixel of a full tile */

/* With constant `pixels` and `columns` after inlining, everything inside unrolls and the sums stay
 * in registers. Column j is vector j % VECTORS of panel j / VECTORS. */
static inline __attribute__((always_inline)) void
conv_tile_body(const NAME(conv_tile) *tile, const int pixels, const int columns) {
    vector sum[TILE_PIXELS][COLUMNS];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int j = 0; j < columns; j++)
            sum[p][j] = tile->bias ? LOAD(tile->bias + j * WIDTH) : SPREAD(0);
    for (size_t t = 0; t < tile->taps; t++) {
        const REAL *weight = tile->panel + tile->tap_panel[t];
        const REAL *const *source = tile->source + t * tile->source_stride;
        const size_t second = VECTORS == 1 ? tile->panel_size : WIDTH;
        for (size_t c = 0; c < tile->channels; c++, weight += KERNEL_PANEL) {
            vector w[COLUMNS];
#pragma GCC unroll 2
            for (int j = 0; j < columns; j++)
                w[j] = LOAD(weight + (size_t)j * second);
#pragma GCC unroll 16
            for (int p = 0; p < pixels; p++) {
                const vector x = SPREAD(source[p][c]);
#pragma GCC unroll 2
                for (int j = 0; j < columns; j++)
                    sum[p][j] = FMA(x, w[j], sum[p][j]);
            }
        }
    }
#pragma GCC unroll 2
    for (int j = 0; j < columns; j++)
#pragma GCC unroll 16
        for (int p = 0; p < pixels; p++)
            STORE(tile->acc + (j / VECTORS * pixels + p) * KERNEL_PANEL + j % VECTORS * WIDTH,
                  sum[p][j]);
}

#define CASE(n)                                                                                    \
    case n: conv_tile_body(tile, n, columns); break;

static inline __attribute__((always_inline)) void conv_tile_columns(const NAME(conv_tile) *tile,
                                                                    const int columns) {
    switch (tile->pixels) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
        CASE(14)
    default: break;
    }
}

static void conv_tile(const NAME(conv_tile) *tile) {
    assert(tile->pixels >= 1 && tile->pixels <= TILE_PIXELS);
    assert(tile->panels >= 1 && tile->panels <= TILE_PANELS);
#if TILE_PANELS == 2
    if (tile->panels == 1) {
        conv_tile_columns(tile, 1);
        return;
    }
#endif
    conv_tile_columns(tile, COLUMNS);
}

/* What one register of a pixel goes through; `some` masks the lanes that exist. */
static inline __attribute__((always_inline)) unsigned
finish_vector(const NAME(finish_tile) *tile, const REAL *acc, const REAL *residual, REAL *out,
              int first, mask some, mask *open) {
    vector v = LOAD(acc + first);
    mask own = IS_BAD(v), scale = 0, add = 0;
    if (tile->scale) {
        v = FMA(v, LOAD_SOME(some, tile->scale + first), LOAD_SOME(some, tile->shift + first));
        scale = IS_BAD(v);
    }
    if (residual) {
        v = ADD(v, LOAD_SOME(some, residual + first));
        add = IS_BAD(v);
    }
    if (tile->relu) {
        *open = IS_OPEN(v) & some;
        v = KEEP(*open, v);
    }
    if (tile->add)
        v = ADD(LOAD_SOME(some, out + first), v);
    STORE_SOME(out + first, some, ADD(v, SPREAD(0)));
    return (own & some ? STAGE_OWN : 0U) | (scale & some ? STAGE_SCALE : 0U) |
           (add & some ? STAGE_ADD : 0U);
}

static unsigned finish_tile(const NAME(finish_tile) *tile) {
    assert(tile->lanes >= 1 && tile->lanes <= KERNEL_PANEL);
    const unsigned lanes = (1U << tile->lanes) - 1;
    unsigned flags = 0;
    for (int p = 0; p < tile->pixels; p++) {
        const size_t pixel = tile->pixel[p];
        unsigned gates = 0;
        for (int i = 0; i < VECTORS; i++) {
            mask open = 0;
            flags |= finish_vector(
                tile, tile->acc + p * KERNEL_PANEL,
                tile->residual ? tile->residual + pixel * tile->out_stride : NULL,
                tile->out + pixel * tile->out_stride, i * WIDTH, (mask)(lanes >> i * WIDTH), &open);
            gates |= (unsigned)open << i * WIDTH;
        }
        if (tile->relu && tile->gates)
            tile->gates[pixel * tile->gate_stride] = (uint16_t)gates;
    }
    return flags;
}

static unsigned scale_shift(size_t rows, size_t channels, const REAL *x, const REAL *scale,
                            const REAL *shift, REAL *out) {
    unsigned bad = 0;
    for (size_t r = 0; r < rows; r++, x += channels, out += channels)
        for (size_t c = 0; c < channels; c += WIDTH) {
            const size_t left = channels - c;
            const mask some = (mask)(left < WIDTH ? (1U << left) - 1 : (1U << WIDTH) - 1);
            const vector v = ADD(
                FMA(LOAD_SOME(some, x + c), LOAD_SOME(some, scale + c), LOAD_SOME(some, shift + c)),
                SPREAD(0));
            bad |= IS_BAD(v) & some;
            STORE_SOME(out + c, some, v);
        }
    return bad ? STAGE_OWN : 0U;
}

const NAME(kernels) NAME(kernels_avx512) = {"avx512",
                                            TILE_PIXELS,
                                            TILE_PANELS,
                                            conv_tile,
                                            finish_tile,
                                            scale_shift,
                                            OUTER_ROWS,
                                            OUTER_LANES,
                                            AVX512(outer_tile),
                                            PORTABLE(sum_rows),
                                            PORTABLE(square_rows),
                                            PORTABLE(product_rows),
                                            PORTABLE(norm_rows),
                                            PORTABLE(norm_backward_rows)};

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
