/* wide_portable.c - sums of float products in double (linear.c's forward).
 *
 * The product of two floats is exact in double, so there is nothing to fuse, and one file serves
 * CPUs with and without FMA. In double the chains are conv_16_portable.c's.
 */
#include "lanes.h"
#include "portable.h"

#include <assert.h>

#if REAL_IS_FLOAT
#define WIDE         (LANES / 2) /* doubles in a register */
#define WIDE_VECTORS (KERNEL_PANEL / WIDE)

typedef float narrow __attribute__((vector_size(LANES_BYTES / 2)));
typedef double wide __attribute__((vector_size(LANES_BYTES)));

static inline wide widened(const float *from) {
    narrow v;
    memcpy(&v, from, sizeof v);
    return __builtin_convertvector(v, wide);
}

/* As conv_tile_body. */
static inline __attribute__((always_inline)) void
wide_tile_body(const NAME(conv_tile) *tile, size_t first, int panel, const int pixels) {
    wide sum[2][WIDE_VECTORS];
    for (int p = 0; p < pixels; p++)
        for (int v = 0; v < WIDE_VECTORS; v++)
            sum[p][v] =
                tile->bias ? widened(tile->bias + panel * KERNEL_PANEL + v * WIDE) : (wide){0};
    for (size_t t = 0; t < tile->taps; t++) {
        const float *const *source = tile->source + t * tile->source_stride + first;
        const float *weight = tile->panel + (size_t)panel * tile->panel_size + tile->tap_panel[t];
        for (size_t c = 0; c < tile->channels; c++, weight += KERNEL_PANEL) {
            wide w[WIDE_VECTORS];
            for (int v = 0; v < WIDE_VECTORS; v++)
                w[v] = widened(weight + v * WIDE);
#pragma GCC unroll 2
            for (int p = 0; p < pixels; p++) {
                const double x = (double)source[p][c];
#pragma GCC unroll 8
                for (int v = 0; v < WIDE_VECTORS; v++)
                    sum[p][v] += x * w[v];
            }
        }
    }
    for (int p = 0; p < pixels; p++)
        for (int v = 0; v < WIDE_VECTORS; v++) {
            const narrow rounded = __builtin_convertvector(sum[p][v], narrow);
            float *to = tile->acc +
                        ((first + (size_t)p) * (size_t)tile->panels + (size_t)panel) * KERNEL_PANEL;
            memcpy(to + v * WIDE, &rounded, sizeof rounded);
        }
}

/* Two pixels fill the eight registers of sums that hide an addition's latency. */
void PORTABLE(wide_tile)(const NAME(conv_tile) *tile) {
    const size_t pixels = (size_t)tile->pixels;
    assert(tile->pixels >= 1 && tile->panels >= 1);
    for (int panel = 0; panel < tile->panels; panel++) {
        size_t p = 0;
        for (; p + 2 <= pixels; p += 2)
            wide_tile_body(tile, p, panel, 2);
        if (p < pixels)
            wide_tile_body(tile, p, panel, 1);
    }
}
#else
typedef int NAME(not_for_doubles); /* ISO C wants something in every file */
#endif
