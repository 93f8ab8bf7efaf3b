/* conv_16_portable.c - the portable kernels: plain C in canonical order, which the compiler
 * vectorises over the 16 results of a panel.
 *
 * Compiled for float and double, each with the CPU's fma and with the one of soft_fma.h.
 */
#include "lanes.h"
#include "portable.h"

#include <assert.h>

/* 6 x 16 floats or 3 x 16 doubles fill 12 of the 16 vector registers of AVX2. */
#if REAL_IS_FLOAT
#define TILE_PIXELS 6
#else
#define TILE_PIXELS 3
#endif

/* With a constant `pixels` after inlining, the inner loops unroll and the sums stay in registers.
 */
static inline __attribute__((always_inline)) void conv_tile_body(const NAME(conv_tile) *tile,
                                                                 const int pixels) {
    lanes sum[TILE_PIXELS][PANEL_VECTORS];
    for (int v = 0; v < PANEL_VECTORS; v++)
        for (int p = 0; p < pixels; p++)
            sum[p][v] = tile->bias ? lanes_load(tile->bias + v * LANES) : (lanes){0};
    for (size_t t = 0; t < tile->taps; t++) {
        const REAL *weight = tile->panel + tile->tap_panel[t];
        const REAL *source[TILE_PIXELS];
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

static void conv_tile(const NAME(conv_tile) *tile) {
    assert(tile->pixels >= 1 && tile->pixels <= TILE_PIXELS && tile->panels == 1);
    switch (tile->pixels) {
    case 1: conv_tile_body(tile, 1); break;
    case 2: conv_tile_body(tile, 2); break;
    case 3: conv_tile_body(tile, 3); break;
#if TILE_PIXELS == 6
    case 4: conv_tile_body(tile, 4); break;
    case 5: conv_tile_body(tile, 5); break;
    case 6: conv_tile_body(tile, 6); break;
#endif
    default: break;
    }
}

/* One panel of a pixel through the epilogue, in place: `count` results from lane `first` on. Each stage is checked by itself, so that
 * what is found does not depend on what was fused. */
static inline unsigned finish_panel(const NAME(finish_tile) *tile, int first, int count,
                                    const REAL *residual, REAL *v, uint16_t *gate) {
    bool own = false, scale = false, add = false;
    for (int l = 0; l < count; l++)
        own |= NAME(not_finite)(v[l]);
    if (tile->scale)
        for (int l = 0; l < count; l++) {
            v[l] = fused(v[l], tile->scale[first + l], tile->shift[first + l]);
            scale |= NAME(not_finite)(v[l]);
        }
    if (residual)
        for (int l = 0; l < count; l++) {
            v[l] = v[l] + residual[l];
            add |= NAME(not_finite)(v[l]);
        }
    if (tile->relu) {
        unsigned open = 0;
        for (int l = 0; l < count; l++) {
            open |= (unsigned)!(v[l] <= 0) << l;
            v[l] = v[l] <= 0 ? 0 : v[l];
        }
        if (gate)
            *gate = (uint16_t)open;
    }
    return (own ? STAGE_OWN : 0U) | (scale ? STAGE_SCALE : 0U) | (add ? STAGE_ADD : 0U);
}

/* The same in a backward pass: out is written. */
static inline unsigned finish_backward(const NAME(finish_tile) *tile, int first, int count,
                                       unsigned open, const REAL *v, REAL *out) {
    bool own = false, scale = false;
    for (int l = 0; l < count; l++) {
        REAL sum = tile->add ? out[l] + v[l] : v[l];
        own |= NAME(not_finite)(v[l]);
        sum = open >> l & 1 ? sum : 0;
        if (tile->scale) {
            sum = sum * tile->scale[first + l];
            scale |= NAME(not_finite)(sum);
        }
        out[l] = sum + 0;
    }
    return (own ? STAGE_OWN : 0U) | (scale ? STAGE_SCALE : 0U);
}

static unsigned finish_tile(const NAME(finish_tile) *tile) {
    unsigned flags = 0;
    for (int p = 0; p < tile->pixels; p++)
        for (int first = 0; first < tile->lanes; first += KERNEL_PANEL) {
            const int left = tile->lanes - first, count = left < KERNEL_PANEL ? left : KERNEL_PANEL;
            const size_t pixel = tile->pixel[p], at = pixel * tile->out_stride + (size_t)first;
            REAL v[KERNEL_PANEL], *out = tile->out + at;
            for (int l = 0; l < KERNEL_PANEL; l++)
                v[l] = tile->acc[(size_t)p * tile->acc_stride + (size_t)(first + l)];
            if (tile->open) {
                flags |= finish_backward(
                    tile, first, count,
                    tile->open[pixel * tile->gate_stride + (size_t)first / KERNEL_PANEL], v, out);
                continue;
            }
            flags |= finish_panel(
                tile, first, count, tile->residual ? tile->residual + at : NULL, v,
                tile->gates ? tile->gates + pixel * tile->gate_stride + first / KERNEL_PANEL
                            : NULL);
            for (int l = 0; l < count; l++)
                out[l] = (tile->add ? out[l] + v[l] : v[l]) + 0;
        }
    return flags;
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

/* The terms that are not zero, one after another. */
static void skip_tile(const NAME(skip_tile) *tile) {
    for (int p = 0; p < tile->pixels; p++)
        for (int i = 0; i < tile->panels; i++) {
            REAL *acc = tile->acc + (p * tile->panels + i) * KERNEL_PANEL;
            lanes sum[PANEL_VECTORS];
            for (int v = 0; v < PANEL_VECTORS; v++)
                sum[v] =
                    tile->bias ? lanes_load(tile->bias + i * KERNEL_PANEL + v * LANES) : (lanes){0};
            for (size_t t = 0; t < tile->taps; t++) {
                const REAL *w = tile->panel + (size_t)i * tile->panel_size + tile->tap_panel[t];
                const REAL *x = tile->source[t * tile->source_stride + (size_t)p];
                const uint16_t *m = tile->nonzero[t * tile->source_stride + (size_t)p];
                for (size_t c = 0; c < tile->channels; c += KERNEL_PANEL)
                    for (unsigned bits = m[c / KERNEL_PANEL]; bits; bits &= bits - 1) {
                        const size_t at = c + (size_t)__builtin_ctz(bits);
                        const lanes value = lanes_broadcast(x[at]);
                        for (int v = 0; v < PANEL_VECTORS; v++)
                            sum[v] = LANES_FMA(value, lanes_load(w + at * KERNEL_PANEL + v * LANES),
                                               sum[v]);
                    }
            }
            for (int v = 0; v < PANEL_VECTORS; v++)
                lanes_store(acc + v * LANES, sum[v]);
        }
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
    .tile_pixels = TILE_PIXELS,
    .tile_panels = 1,
    .skip_panels = 4,
    .skip_percent = 50,
    .skip_load = 0,
    .joined_pixels = 1,
    .joined_percent = 50,
    .conv_tile = conv_tile,
    .skip_tile = skip_tile,
    .finish_tile = finish_tile,
    .scale_shift = scale_shift,
    .outer_rows = OUTER_ROWS,
    .outer_lanes = OUTER_LANES,
    .outer_tile = PORTABLE(outer_tile),
    .sum_rows = PORTABLE(sum_rows),
    .square_rows = PORTABLE(square_rows),
    .product_rows = PORTABLE(product_rows),
    .norm_rows = PORTABLE(norm_rows),
    .norm_backward_rows = PORTABLE(norm_backward_rows),
};
