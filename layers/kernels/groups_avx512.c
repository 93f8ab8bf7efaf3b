/* groups_avx512.c - narrow groups side by side in one panel, for CPUs with AVX-512.
 *
 * A pixel's 16 values are one register (two of doubles), of which a permutation gives every lane
 * channel c of its own group. The permutation has only one of the two ports that multiply-adds
 * have, so half of their peak is the limit here, where each group in a panel of its own would leave
 * most of the lanes idle.
 */
#include "kernel.h"

#if defined(__x86_64__)
#include "avx512.h"

#include <assert.h>

#if REAL_IS_FLOAT
typedef __m512i places;
#define PLACES(p)     _mm512_loadu_si512(p)
#define PICK(v, from) _mm512_permutexvar_ps(from, v)
#define NEXT(from)    _mm512_add_epi32(from, _mm512_set1_epi32(1))
typedef int32_t place;
#else
typedef __m512i places;
#define PLACES(p)     _mm512_loadu_si512(p)
#define PICK(v, from) _mm512_permutexvar_pd(from, v)
#define NEXT(from)    _mm512_add_epi64(from, _mm512_set1_epi64(1))
typedef int64_t place;
#endif

/* `pixels` and `channels` are constants after inlining. */
static inline __attribute__((always_inline)) void group_tile_body(const NAME(conv_tile) *tile,
                                                                  const places first,
                                                                  const int pixels,
                                                                  const int channels) {
    vector sum[TILE_PIXELS_AVX512][VECTORS];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            sum[p][v] = tile->bias ? LOAD(tile->bias + v * WIDTH) : SPREAD(0);
    for (size_t t = 0; t < tile->taps; t++) {
        const REAL *weight = tile->panel + tile->tap_panel[t];
        const REAL *const *source = tile->source + t * tile->source_stride;
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) {
            places from = first;
            vector x[TILE_PIXELS_AVX512];
#pragma GCC unroll 16
            for (int p = 0; p < pixels; p++)
                x[p] = LOAD(source[p] + v * WIDTH);
#pragma GCC unroll 1
            for (int c = 0; c < channels; c++) {
                const vector w = LOAD(weight + c * KERNEL_PANEL + v * WIDTH);
#pragma GCC unroll 16
                for (int p = 0; p < pixels; p++)
                    sum[p][v] = FMA(PICK(x[p], from), w, sum[p][v]);
                from = NEXT(from);
            }
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            STORE(tile->acc + p * KERNEL_PANEL + v * WIDTH, sum[p][v]);
}

#define CASE(n)                                                                                    \
    case n: group_tile_body(tile, from, n, (int)tile->channels); break;

void AVX512(group_tile)(const NAME(conv_tile) *tile) {
    assert(tile->pixels >= 1 && tile->pixels <= TILE_PIXELS_AVX512);
    assert(tile->channels >= 1 && tile->channels <= 8 && 16 % tile->channels == 0);
    place first[WIDTH];
    for (size_t l = 0; l < WIDTH; l++)
        first[l] = (place)(l / tile->channels * tile->channels);
    const places from = PLACES(first);
    switch (tile->pixels) {
        TILE_CASES(CASE)
    default: break;
    }
}

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
