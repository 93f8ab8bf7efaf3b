/* conv_16_portable.c - the portable kernels: plain C in canonical order, which the compiler
 * vectorises over the 16 results of a panel.
 *
 * Compiled for float and double, each with the CPU's fma and with the one of soft_fma.h.
 */
#include "lanes.h"
#include "portable.h"

#include <assert.h>

/* With a constant `pixels` after inlining, the inner loops unroll and the sums stay in registers.
 */
static inline __attribute__((always_inline)) void conv_tile_body(const NAME(conv_tile) *tile,
                                                                 const int pixels) {
    lanes sum[PORTABLE_PIXELS][PANEL_VECTORS];
    for (int v = 0; v < PANEL_VECTORS; v++)
        for (int p = 0; p < pixels; p++)
            sum[p][v] = tile->bias ? lanes_load(tile->bias + v * LANES) : (lanes){0};
    for (size_t t = 0; t < tile->taps; t++) {
        const REAL *weight = tile->panel + tile->tap_panel[t];
        const REAL *source[PORTABLE_PIXELS];
        for (int p = 0; p < pixels; p++)
            source[p] = tile->source[t * tile->source_stride + (size_t)p];
        for (size_t c = 0; c < tile->channels; c++, weight += KERNEL_PANEL) {
            lanes w[PANEL_VECTORS];
            for (int v = 0; v < PANEL_VECTORS; v++)
                w[v] = lanes_load(weight + v * LANES);
#pragma GCC unroll 6
            for (int p = 0; p < pixels; p++) {
                const lanes x = lanes_broadcast(source[p][c]);
#pragma GCC unroll 8
                for (int v = 0; v < PANEL_VECTORS; v++)
                    sum[p][v] = LANES_FMA(x, w[v], sum[p][v]);
            }
        }
    }
    for (int p = 0; p < pixels; p++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            lanes_store(tile->acc + p * KERNEL_PANEL + v * LANES, sum[p][v]);
}

#define CASE(pixels)                                                                               \
    case pixels: conv_tile_body(tile, pixels); break;

static void conv_tile(const NAME(conv_tile) *tile) {
    assert(tile->pixels >= 1 && tile->pixels <= PORTABLE_PIXELS && tile->panels == 1);
    switch (tile->pixels) {
        PORTABLE_CASES(CASE)
    default: break;
    }
}

static unsigned scale_shift(size_t rows, size_t channels, const REAL *x, const REAL *scale,
                            const REAL *shift, REAL *out) {
    bool bad = false;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < channels; c++) {
            REAL v = fused(x[r * channels + c], scale[c], shift[c]) + 0;
            out[r * channels + c] = v;
            bad |= NAME(not_finite)(v);
        }
    return bad ? STAGE_OWN : 0U;
}

#if CS_SOFT_FMA
#define TABLE NAME(kernels_portable_nofma)
#define ISA   "portable-nofma"
#else
#define TABLE NAME(kernels_portable)
#define ISA   "portable"
#endif
const NAME(kernels) TABLE = {
    .isa = ISA,
    .tile_pixels = PORTABLE_PIXELS,
    .tile_panels = 1,
    .skip_panels = SKIP_PANELS_PORTABLE,
    .skip_percent = 56,
    .skip_load = 0,
    .joined_pixels = 1,
    .joined_percent = 50,
    .conv_tile = conv_tile,
    .group_tile = PORTABLE(group_tile),
    .wide_tile = WIDE_TILE,
    .skip_tile = PORTABLE(skip_tile),
    .outer_tile = PORTABLE(outer_tile),
    .finish_tile = PORTABLE(finish_tile),
    .scale_shift = scale_shift,
    .sum_rows = PORTABLE(sum_rows),
    .square_rows = PORTABLE(square_rows),
    .product_rows = PORTABLE(product_rows),
    .gradient_rows = PORTABLE(gradient_rows),
    .gate_rows = PORTABLE(gate_rows),
    .pool_maximum = PORTABLE(pool_maximum),
    .pool_ties = PORTABLE(pool_ties),
    .pool_return = PORTABLE(pool_return),
    .norm_rows = PORTABLE(norm_rows),
    .norm_backward_rows = PORTABLE(norm_backward_rows),
};
