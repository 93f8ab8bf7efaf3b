/* finish_avx512.c - the fused epilogue for CPUs with AVX-512.
 *
 * What is finite is the common case, and one look at the value before ReLU settles it: a NaN or an
 * infinity of an earlier stage is still a NaN or an infinity there (scale, shift and residual being
 * finite, or known not to be from an earlier node). Only where one shows up does a second pass find
 * the stage that it came from.
 */
#include "kernel.h"

#if defined(__x86_64__)
#include "avx512.h"

/* How many pixels ahead memory is fetched. */
#define AHEAD 4

/* Registers of results of one pixel that are finished side by side. */
#define SIDE_BY_SIDE 8

/* `columns` registers of all pixels, from lane `first` on: what one pixel reads and writes lies
 * side by side. All but `first` are constants after inlining; more than one column are whole.
 * Returns whether a NaN or an infinity was there. */
static inline __attribute__((always_inline)) bool
finish_columns(const NAME(finish_tile) *given, const int first, const int columns,
               const bool scaled, const bool residual, const bool relu) {
    const NAME(finish_tile) tile = *given; /* its fields in registers: a store may alias them */
    const mask some = NAME(first_lanes)(columns > 1 ? WIDTH : (size_t)(tile.lanes - first));
    const vector zero = SPREAD(0);
    vector bad = zero, scale[SIDE_BY_SIDE], shift[SIDE_BY_SIDE];
#pragma GCC unroll 8
    for (int i = 0; scaled && i < columns; i++) {
        scale[i] = LOAD_SOME(some, tile.scale + first + i * WIDTH);
        shift[i] = LOAD_SOME(some, tile.shift + first + i * WIDTH);
    }
    for (int p = 0; p < tile.pixels; p++) {
        const REAL *acc = tile.acc + (size_t)p * tile.acc_stride + first;
        const size_t at = tile.pixel[p] * tile.out_stride + (size_t)first;
        const size_t soon =
            tile.pixel[p + AHEAD < tile.known ? p + AHEAD : p] * tile.out_stride + (size_t)first;
        REAL *out = tile.out + at;
        uint16_t *gates = tile.gates ? tile.gates + tile.pixel[p] * tile.gate_stride : NULL;
#pragma GCC unroll 8
        for (int i = 0; i < columns; i++) {
            const int l = i * WIDTH;
            vector v = KEEP(some, LOAD(acc + l));
            if (scaled)
                v = FMA(v, scale[i], shift[i]);
            if (residual)
                _mm_prefetch((const char *)(tile.residual + soon + l), _MM_HINT_T0);
            _mm_prefetch((const char *)(tile.out + soon + l), _MM_HINT_T0);
            if (residual)
                v = ADD(v, LOAD_SOME(some, tile.residual + at + l));
            bad = FMA(v, zero, bad); /* 0 * NaN and 0 * infinity are NaN */
            if (relu) {
                const mask open = IS_OPEN(v) & some;
                v = KEEP(open, v);
                if (gates && VECTORS == 1)
                    gates[(first + l) / KERNEL_PANEL] = (uint16_t)open;
                else if (gates)
                    ((uint8_t *)gates)[(first + l) / WIDTH] = (uint8_t)open;
            } else {
                if (tile.add)
                    v = ADD(LOAD_SOME(some, out + l), v);
                v = ADD(v, zero);
            }
            STORE_SOME(out + l, some, v);
        }
    }
    return IS_NAN(bad) != 0;
}

/* All of the tile. */
static inline __attribute__((always_inline)) bool finish_pixels(const NAME(finish_tile) *tile,
                                                                const bool scaled,
                                                                const bool residual,
                                                                const bool relu) {
    bool bad = false;
    int first = 0;
    for (; tile->lanes - first >= SIDE_BY_SIDE * WIDTH; first += SIDE_BY_SIDE * WIDTH)
        bad |= finish_columns(tile, first, SIDE_BY_SIDE, scaled, residual, relu);
    for (; tile->lanes - first >= 2 * WIDTH; first += 2 * WIDTH)
        bad |= finish_columns(tile, first, 2, scaled, residual, relu);
    for (; first < tile->lanes; first += WIDTH)
        bad |= finish_columns(tile, first, 1, scaled, residual, relu);
    return bad;
}

/* The stages that met NaN or infinity, of one column. */
static unsigned guilty_stages(const NAME(finish_tile) *tile, int first, mask some) {
    unsigned flags = 0;
    for (int p = 0; p < tile->pixels; p++) {
        vector v = LOAD(tile->acc + (size_t)p * tile->acc_stride + first);
        flags |= IS_BAD(v) & some ? STAGE_OWN : 0U;
        if (tile->scale) {
            v = FMA(v, LOAD_SOME(some, tile->scale + first), LOAD_SOME(some, tile->shift + first));
            flags |= IS_BAD(v) & some ? STAGE_SCALE : 0U;
        }
        if (tile->residual) {
            const REAL *residual = tile->residual + tile->pixel[p] * tile->out_stride + first;
            v = ADD(v, LOAD_SOME(some, residual));
            flags |= IS_BAD(v) & some ? STAGE_ADD : 0U;
        }
    }
    return flags;
}

/* The same of a backward pass; returns STAGE_ bits. */
static inline __attribute__((always_inline)) unsigned
finish_columns_backward(const NAME(finish_tile) *given, const int first, const int columns,
                        const bool scaled, const bool added) {
    const NAME(finish_tile) tile = *given;
    const mask some = NAME(first_lanes)(columns > 1 ? WIDTH : (size_t)(tile.lanes - first));
    const vector zero = SPREAD(0);
    vector own = zero, product = zero, scale[SIDE_BY_SIDE];
#pragma GCC unroll 8
    for (int i = 0; scaled && i < columns; i++)
        scale[i] = LOAD_SOME(some, tile.scale + first + i * WIDTH);
    for (int p = 0; p < tile.pixels; p++) {
        const REAL *acc = tile.acc + (size_t)p * tile.acc_stride + first;
        const size_t soon = tile.pixel[p + AHEAD < tile.known ? p + AHEAD : p] * tile.out_stride;
        REAL *out = tile.out + tile.pixel[p] * tile.out_stride + first;
        const uint16_t *open = tile.open + tile.pixel[p] * tile.gate_stride;
#pragma GCC unroll 8
        for (int i = 0; i < columns; i++) {
            const int l = first + i * WIDTH;
            const mask gate = (mask)(open[l / KERNEL_PANEL] >> l % KERNEL_PANEL) & some;
            vector v = KEEP(some, LOAD(acc + i * WIDTH));
            _mm_prefetch((const char *)(tile.out + soon + l), _MM_HINT_T0);
            own = FMA(v, zero, own);
            if (added)
                v = ADD(LOAD_SOME(some, out + i * WIDTH), v);
            v = KEEP(gate, v);
            if (scaled) {
                v = MULTIPLY(v, scale[i]);
                product = FMA(v, zero, product);
            }
            STORE_SOME(out + i * WIDTH, some, ADD(v, zero));
        }
    }
    return (IS_NAN(own) ? STAGE_OWN : 0U) | (IS_NAN(product) ? STAGE_SCALE : 0U);
}

static inline __attribute__((always_inline)) unsigned
finish_backward(const NAME(finish_tile) *tile, const bool scaled, const bool added) {
    unsigned flags = 0;
    int first = 0;
    for (; tile->lanes - first >= SIDE_BY_SIDE * WIDTH; first += SIDE_BY_SIDE * WIDTH)
        flags |= finish_columns_backward(tile, first, SIDE_BY_SIDE, scaled, added);
    for (; tile->lanes - first >= 2 * WIDTH; first += 2 * WIDTH)
        flags |= finish_columns_backward(tile, first, 2, scaled, added);
    for (; first < tile->lanes; first += WIDTH)
        flags |= finish_columns_backward(tile, first, 1, scaled, added);
    return flags;
}

unsigned AVX512(finish_tile)(const NAME(finish_tile) *tile) {
    unsigned flags = 0;
    bool bad = false;
    if (tile->open)
        return tile->scale ? tile->add ? finish_backward(tile, true, true)
                                       : finish_backward(tile, true, false)
               : tile->add ? finish_backward(tile, false, true)
                           : finish_backward(tile, false, false);
    switch ((tile->scale ? 4 : 0) | (tile->residual ? 2 : 0) | (tile->relu ? 1 : 0)) {
    case 0: bad = finish_pixels(tile, false, false, false); break;
    case 1: bad = finish_pixels(tile, false, false, true); break;
    case 2: bad = finish_pixels(tile, false, true, false); break;
    case 3: bad = finish_pixels(tile, false, true, true); break;
    case 4: bad = finish_pixels(tile, true, false, false); break;
    case 5: bad = finish_pixels(tile, true, false, true); break;
    case 6: bad = finish_pixels(tile, true, true, false); break;
    default: bad = finish_pixels(tile, true, true, true); break;
    }
    for (int first = 0; bad && first < tile->lanes; first += WIDTH)
        flags |= guilty_stages(tile, first, NAME(first_lanes)((size_t)(tile->lanes - first)));
    return flags;
}

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
