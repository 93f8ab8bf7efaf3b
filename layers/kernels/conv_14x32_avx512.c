/* conv_14x32_avx512.c - the dense kernel for CPUs with AVX-512: 14 pixels x 2 panels of floats, or
 * 14 pixels x 1 panel of doubles, fill 28 of the 32 registers.
 *
 * The same chains as the portable kernels, more of them side by side.
 */
#include "kernel.h"

#if defined(__x86_64__)
#include "avx512.h"
#include "portable.h"

#include <assert.h>

/* Pixel p's source. There are more of them than registers; with one column gcc keeps those left
 * over in vector registers, whence they come back more slowly than from the table. */
static inline __attribute__((always_inline)) const REAL *source_at(const REAL *const *source,
                                                                   const int p, const int columns) {
    return columns == 1 && p >= 8 ? ((const REAL *const volatile *)source)[p] : source[p];
}

/* With constant `pixels` and `columns` after inlining, everything inside unrolls and the sums stay
 * in registers. Column j is vector j % VECTORS of panel j / VECTORS. */
static inline __attribute__((always_inline)) void
conv_tile_body(const NAME(conv_tile) *tile, const int pixels, const int columns) {
    vector sum[TILE_PIXELS_AVX512][COLUMNS];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int j = 0; j < columns; j++)
            sum[p][j] = tile->bias ? LOAD(tile->bias + j * WIDTH) : SPREAD(0);
    const char *ahead = tile->ahead ? tile->ahead : (const char *)tile;
    const size_t ahead_step = tile->ahead ? tile->ahead_step : 0;
    for (size_t t = 0; t < tile->taps; t++) {
        const REAL *weight = tile->panel + tile->tap_panel[t];
        const REAL *const *source = tile->source + t * tile->source_stride;
        const size_t second = VECTORS == 1 ? tile->panel_size : WIDTH;
        for (size_t c = 0; c < tile->channels; c++, weight += KERNEL_PANEL, ahead += ahead_step) {
            vector w[COLUMNS];
            _mm_prefetch(ahead, _MM_HINT_T1);
#pragma GCC unroll 2
            for (int j = 0; j < columns; j++)
                w[j] = LOAD(weight + (size_t)j * second);
#pragma GCC unroll 16
            for (int p = 0; p < pixels; p++) {
                const vector x = SPREAD(source_at(source, p, columns)[c]);
#pragma GCC unroll 2
                for (int j = 0; j < columns; j++)
                    sum[p][j] = FMA(x, w[j], sum[p][j]);
            }
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int j = 0; j < columns; j++)
            STORE(tile->acc + (p * columns + j) * WIDTH, sum[p][j]);
}

#define CASE(n)                                                                                    \
    case n: conv_tile_body(tile, n, columns); break;

static inline __attribute__((always_inline)) void conv_tile_columns(const NAME(conv_tile) *tile,
                                                                    const int columns) {
    switch (tile->pixels) {
        TILE_CASES(CASE)
    default: break;
    }
}

static void conv_tile(const NAME(conv_tile) *tile) {
    assert(tile->pixels >= 1 && tile->pixels <= TILE_PIXELS_AVX512);
    assert(tile->panels >= 1 && tile->panels <= TILE_PANELS);
#if TILE_PANELS == 2
    if (tile->panels == 1) {
        conv_tile_columns(tile, 1);
        return;
    }
#endif
    conv_tile_columns(tile, COLUMNS);
}

/* out = fma(x, scale, shift), pixel by pixel. */
static unsigned scale_shift(size_t rows, size_t channels, const REAL *x, const REAL *scale,
                            const REAL *shift, REAL *out) {
    unsigned bad = 0;
    for (size_t r = 0; r < rows; r++, x += channels, out += channels)
        for (size_t c = 0; c < channels; c += WIDTH) {
            const mask some = NAME(first_lanes)(channels - c);
            const vector v = ADD(
                FMA(LOAD_SOME(some, x + c), LOAD_SOME(some, scale + c), LOAD_SOME(some, shift + c)),
                SPREAD(0));
            bad |= IS_BAD(v) & some;
            STORE_SOME(out + c, some, v);
        }
    return bad ? STAGE_OWN : 0U;
}

/* The table of a CPU on which skipping pays at `percent` and `load` (kernels). */
/* clang-format off */
#define TABLE(percent, load) {                                                                  \
    .isa = "avx512",                                                                            \
    .tile_pixels = TILE_PIXELS_AVX512,                                                          \
    .tile_panels = TILE_PANELS,                                                                 \
    .skip_panels = SKIP_PANELS,                                                                 \
    .skip_percent = (percent),                                                                  \
    .skip_load = (load),                                                                        \
    .joined_pixels = JOINED_PIXELS,                                                             \
    .joined_percent = 85,                                                                       \
    .conv_tile = conv_tile,                                                                     \
    .group_tile = AVX512(group_tile),                                                           \
    .wide_tile = WIDE_TILE,                                                                     \
    .skip_tile = AVX512(skip_tile),                                                             \
    .outer_tile = AVX512(outer_tile),                                                           \
    .finish_tile = AVX512(finish_tile),                                                         \
    .scale_shift = scale_shift,                                                                 \
    .sum_rows = AVX512(sum_rows),                                                               \
    .square_rows = AVX512(square_rows),                                                         \
    .product_rows = AVX512(product_rows),                                                       \
    .gradient_rows = AVX512(gradient_rows),                                                     \
    .gate_rows = AVX512(gate_rows),                                                             \
    .pool_maximum = AVX512(pool_maximum),                                                       \
    .pool_ties = AVX512(pool_ties),                                                             \
    .pool_return = AVX512(pool_return),                                                         \
    .norm_rows = AVX512(norm_rows),                                                             \
    .norm_backward_rows = AVX512(norm_backward_rows),                                           \
}
/* clang-format on */

/* Measured on an Intel Xeon with AVX-512, where a load beside each multiply-add takes half as
 * much time again, */
const NAME(kernels) NAME(kernels_avx512) = TABLE(60, 700);
/* and on an AMD EPYC (Zen 5), whose loads keep up. */
const NAME(kernels) NAME(kernels_avx512_amd) = TABLE(76, 300);

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
