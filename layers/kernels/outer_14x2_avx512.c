/* outer_14x2_avx512.c - weight gradients for CPUs with AVX-512: 14 outputs times two registers of
 * input channels are 28 of the 32 registers, as sums over pixels.
 */
#include "kernel.h"

#if defined(__x86_64__)

#include "avx512.h"

#include <assert.h>

/* With constant `rows` and `columns` after inlining, everything inside unrolls and the sums stay in
 * registers. */
static inline __attribute__((always_inline)) unsigned
outer_body(const NAME(outer_tile) *tile, const int rows, const int columns) {
    vector sum[OUTER_ROWS][OUTER_COLUMNS];
    mask some[OUTER_COLUMNS], bad = 0;
#pragma GCC unroll 2
    for (int j = 0; j < columns; j++)
        some[j] = NAME(first_lanes)((size_t)(tile->lanes - j * WIDTH));
#pragma GCC unroll 14
    for (int k = 0; k < rows; k++)
#pragma GCC unroll 2
        for (int j = 0; j < columns; j++)
            sum[k][j] = tile->resume ? LOAD(tile->acc + k * OUTER_LANES + j * WIDTH) : SPREAD(0);
    for (size_t y = 0; y < tile->height; y++) {
        const REAL *dy = tile->dy + y * tile->dy_row, *x = tile->x + y * tile->x_row;
        for (size_t i = 0; i < tile->width; i++, dy += tile->dy_col, x += tile->x_col) {
            vector v[OUTER_COLUMNS];
#pragma GCC unroll 2
            for (int j = 0; j < columns; j++)
                v[j] = LOAD_SOME(some[j], x + j * WIDTH);
#pragma GCC unroll 14
            for (int k = 0; k < rows; k++) {
                const vector g = SPREAD(dy[k]);
#pragma GCC unroll 2
                for (int j = 0; j < columns; j++)
                    sum[k][j] = FMA(g, v[j], sum[k][j]);
            }
        }
    }
#pragma GCC unroll 14
    for (int k = 0; k < rows; k++)
#pragma GCC unroll 2
        for (int j = 0; j < columns; j++) {
            if (!tile->dw) {
                STORE(tile->acc + k * OUTER_LANES + j * WIDTH, sum[k][j]);
                continue;
            }
            REAL *dw = tile->dw + (size_t)k * tile->dw_stride + j * WIDTH;
            const vector v = ADD(ADD(LOAD_SOME(some[j], dw), sum[k][j]), SPREAD(0));
            bad |= IS_BAD(v) & some[j];
            STORE_SOME(dw, some[j], v);
        }
    return bad ? STAGE_OWN : 0U;
}

#define CASE(n)                                                                                    \
    case n: return outer_body(tile, n, columns);

static inline __attribute__((always_inline)) unsigned outer_columns(const NAME(outer_tile) *tile,
                                                                    const int columns) {
    switch (tile->rows) {
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
    default: return 0;
    }
}

unsigned AVX512(outer_tile)(const NAME(outer_tile) *tile) {
    assert(tile->rows >= 1 && tile->rows <= OUTER_ROWS);
    assert(tile->lanes >= 1 && tile->lanes <= OUTER_LANES);
    return tile->lanes <= WIDTH ? outer_columns(tile, 1) : outer_columns(tile, 2);
}

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
