/* skip_portable.c - the portable skipping kernel: one pixel x up to 4 panels.
 *
 * For each tap and 64 channels of it the sums of a pixel are taken into registers (8 of AVX2's 16
 * for 4 panels of floats), its mask is walked bit by bit from the lowest channel up, and only what
 * is not zero is multiplied. The 64 x 64 weights of the block stay in the first-level cache for all
 * pixels.
 */
#include "lanes.h"
#include "portable.h"

#include <assert.h>

#define BLOCK KERNEL_BLOCK

/* One pixel through a block; `panels` is a constant after inlining. */
static inline __attribute__((always_inline)) void add_block(const REAL *x, uint64_t bits,
                                                            const REAL *weight, size_t panel_size,
                                                            REAL *acc, const int panels) {
    lanes sum[SKIP_PANELS_PORTABLE][PANEL_VECTORS];
#pragma GCC unroll 4
    for (int i = 0; i < panels; i++)
#pragma GCC unroll 8
        for (int v = 0; v < PANEL_VECTORS; v++)
            sum[i][v] = lanes_load(acc + i * KERNEL_PANEL + v * LANES);
    for (; bits; bits &= bits - 1) {
        const size_t c = (size_t)__builtin_ctzll(bits);
        const lanes value = lanes_broadcast(x[c]);
#pragma GCC unroll 4
        for (int i = 0; i < panels; i++)
#pragma GCC unroll 8
            for (int v = 0; v < PANEL_VECTORS; v++)
                sum[i][v] = LANES_FMA(
                    value,
                    lanes_load(weight + (size_t)i * panel_size + c * KERNEL_PANEL + v * LANES),
                    sum[i][v]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < panels; i++)
#pragma GCC unroll 8
        for (int v = 0; v < PANEL_VECTORS; v++)
            lanes_store(acc + i * KERNEL_PANEL + v * LANES, sum[i][v]);
}

static inline __attribute__((always_inline)) void skip_panels(const NAME(skip_tile) *tile,
                                                              const int panels) {
    for (int p = 0; p < tile->pixels; p++)
        for (int l = 0; l < panels * KERNEL_PANEL; l++)
            tile->acc[p * panels * KERNEL_PANEL + l] = tile->bias ? tile->bias[l] : 0;
    for (size_t t = 0; t < tile->taps; t++)
        for (size_t c = 0; c < tile->channels; c += BLOCK) {
            const REAL *weight = tile->panel + tile->tap_panel[t] + c * KERNEL_PANEL;
            const REAL *const *x = tile->source + t * tile->source_stride;
            const uint16_t *const *m = tile->nonzero + t * tile->source_stride;
            const size_t left = (tile->channels - c) / KERNEL_PANEL;
            for (int p = 0; p < tile->pixels; p++)
                add_block(x[p] + c, kernel_mask(m[p] + c / KERNEL_PANEL, left), weight,
                          tile->panel_size, tile->acc + p * panels * KERNEL_PANEL, panels);
        }
}

void PORTABLE(skip_tile)(const NAME(skip_tile) *tile) {
    assert(tile->panels >= 1 && tile->panels <= SKIP_PANELS_PORTABLE);
    switch (tile->panels) {
    case 1: skip_panels(tile, 1); break;
    case 2: skip_panels(tile, 2); break;
#if SKIP_PANELS_PORTABLE == 4
    case 3: skip_panels(tile, 3); break;
    case 4: skip_panels(tile, 4); break;
#endif
    default: break;
    }
}
