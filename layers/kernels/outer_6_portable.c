/* outer_6_portable.c - the portable kernel of weight gradients: 6 outputs x 2 vectors of input
 * channels, 12 of the 16 vector registers of AVX2, as sums over pixels.
 */
#include "lanes.h"
#include "portable.h"

#include <assert.h>

/* A tile's sums between its registers and memory. */
static inline __attribute__((always_inline)) void
outer_tile_body(const NAME(outer_tile) *tile, lanes sum[OUTER_ROWS][OUTER_VECTORS],
                const int rows) {
    for (size_t y = 0; y < tile->height; y++) {
        const REAL *dy = tile->dy + y * tile->dy_row, *x = tile->x + y * tile->x_row;
        for (size_t i = 0; i < tile->width; i++, dy += tile->dy_col, x += tile->x_col) {
            lanes v[OUTER_VECTORS];
            for (int j = 0; j < OUTER_VECTORS; j++)
                v[j] = lanes_load(x + j * LANES);
#pragma GCC unroll 6
            for (int k = 0; k < rows; k++) {
                const lanes g = lanes_broadcast(dy[k]);
#pragma GCC unroll 2
                for (int j = 0; j < OUTER_VECTORS; j++)
                    sum[k][j] = LANES_FMA(g, v[j], sum[k][j]);
            }
        }
    }
}

/* All lanes are there: the sums stay in registers. */
static inline __attribute__((always_inline)) void full_tile(const NAME(outer_tile) *tile, REAL *acc,
                                                            const int rows) {
    lanes sum[OUTER_ROWS][OUTER_VECTORS];
    for (int k = 0; k < rows; k++)
        for (int j = 0; j < OUTER_VECTORS; j++)
            sum[k][j] = lanes_load(acc + k * OUTER_LANES + j * LANES);
    outer_tile_body(tile, sum, rows);
    for (int k = 0; k < rows; k++)
        for (int j = 0; j < OUTER_VECTORS; j++)
            lanes_store(acc + k * OUTER_LANES + j * LANES, sum[k][j]);
}

/* Fewer lanes: what lies behind them may not be read. */
static void narrow_tile(const NAME(outer_tile) *tile, REAL *acc) {
    for (size_t y = 0; y < tile->height; y++)
        for (size_t i = 0; i < tile->width; i++) {
            const REAL *dy = tile->dy + y * tile->dy_row + i * tile->dy_col;
            const REAL *x = tile->x + y * tile->x_row + i * tile->x_col;
            for (int k = 0; k < tile->rows; k++)
                for (int l = 0; l < tile->lanes; l++)
                    acc[k * OUTER_LANES + l] = fused(dy[k], x[l], acc[k * OUTER_LANES + l]);
        }
}

unsigned PORTABLE(outer_tile)(const NAME(outer_tile) *tile) {
    assert(tile->rows >= 1 && tile->rows <= OUTER_ROWS);
    assert(tile->lanes >= 1 && tile->lanes <= OUTER_LANES);
    REAL *acc = tile->acc;
    bool bad = false;
    for (int i = 0; !tile->resume && i < tile->rows * OUTER_LANES; i++)
        acc[i] = 0;
    switch (tile->lanes == OUTER_LANES ? tile->rows : 0) {
    case 1: full_tile(tile, acc, 1); break;
    case 2: full_tile(tile, acc, 2); break;
    case 3: full_tile(tile, acc, 3); break;
    case 4: full_tile(tile, acc, 4); break;
    case 5: full_tile(tile, acc, 5); break;
    case 6: full_tile(tile, acc, 6); break;
    default: narrow_tile(tile, acc); break;
    }
    for (int k = 0; tile->dw && k < tile->rows; k++)
        for (int l = 0; l < tile->lanes; l++) {
            REAL *there = &tile->dw[(size_t)k * tile->dw_stride + (size_t)l];
            *there = (*there + acc[k * OUTER_LANES + l]) + 0;
            bad |= NAME(not_finite)(*there);
        }
    return bad ? STAGE_OWN : 0U;
}
