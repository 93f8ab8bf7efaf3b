/* groups_portable.c - narrow groups side by side in one panel.
 *
 * What a lane multiplies is a value of its own group: a vector of them is put together from the
 * pixel's values, by a shuffle of the compiler's where a vector holds whole groups.
 */
#include "lanes.h"
#include "portable.h"

#include <assert.h>

#if !defined(__clang__)
#if REAL_IS_FLOAT
typedef int32_t place;
#else
typedef int64_t place;
#endif
typedef place places __attribute__((vector_size(LANES_BYTES)));
#endif

/* Channel c of its own group for each of the lanes from `first` on; `channels` is a constant after
 * inlining. */
static inline __attribute__((always_inline)) lanes pick(const REAL *x, const int first, const int c,
                                                        const int channels) {
    if (channels == 1)
        return lanes_load(x + first);
    if (channels >= LANES)
        return lanes_broadcast(x[first / channels * channels + c]);
#if defined(__clang__) /* whose shuffles take literals alone; it makes one of this loop */
    lanes picked;
    for (int l = 0; l < LANES; l++)
        picked[l] = x[first + l / channels * channels + c];
    return picked;
#else
    places from;
    for (int l = 0; l < LANES; l++)
        from[l] = l / channels * channels + c;
    return __builtin_shuffle(lanes_load(x + first), from);
#endif
}

static inline __attribute__((always_inline)) void
group_tile_body(const NAME(conv_tile) *tile, const int pixels, const int channels) {
    lanes sum[PORTABLE_PIXELS][PANEL_VECTORS];
    for (int v = 0; v < PANEL_VECTORS; v++)
        for (int p = 0; p < pixels; p++)
            sum[p][v] = tile->bias ? lanes_load(tile->bias + v * LANES) : (lanes){0};
    for (size_t t = 0; t < tile->taps; t++) {
        const REAL *weight = tile->panel + tile->tap_panel[t];
        const REAL *source[PORTABLE_PIXELS];
        for (int p = 0; p < pixels; p++)
            source[p] = tile->source[t * tile->source_stride + (size_t)p];
#pragma GCC unroll 8
        for (int c = 0; c < channels; c++, weight += KERNEL_PANEL)
#pragma GCC unroll 8
            for (int v = 0; v < PANEL_VECTORS; v++) {
                const lanes w = lanes_load(weight + v * LANES);
#pragma GCC unroll 6
                for (int p = 0; p < pixels; p++)
                    sum[p][v] = LANES_FMA(pick(source[p], v * LANES, c, channels), w, sum[p][v]);
            }
    }
    for (int p = 0; p < pixels; p++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            lanes_store(tile->acc + p * KERNEL_PANEL + v * LANES, sum[p][v]);
}

#define CASE(pixels)                                                                               \
    case pixels: group_tile_body(tile, pixels, channels); break;

static inline __attribute__((always_inline)) void group_tile_channels(const NAME(conv_tile) *tile,
                                                                      const int channels) {
    switch (tile->pixels) {
        PORTABLE_CASES(CASE)
    default: break;
    }
}

void PORTABLE(group_tile)(const NAME(conv_tile) *tile) {
    assert(tile->pixels >= 1 && tile->pixels <= PORTABLE_PIXELS);
    switch (tile->channels) {
    case 1: group_tile_channels(tile, 1); break;
    case 2: group_tile_channels(tile, 2); break;
    case 4: group_tile_channels(tile, 4); break;
    case 8: group_tile_channels(tile, 8); break;
    default: assert(false);
    }
}
