/* outer_14x32_avx512.c - the kernel of weight gradients for CPUs with AVX-512: sums over pixels of
 * 14 outputs' gradients times 32 inputs (16 of doubles), 28 registers of sums.
 *
 * The same chains as the portable kernel. Where the portable one adds to memory behind each image,
 * a tile's gradients wait in `acc`, which is in the first cache, until the last one.
 */
#include "kernel.h"

#if defined(__x86_64__)
#include "avx512.h"

#include <assert.h>

/* With constant `rows` and `columns` after inlining, everything inside unrolls and the sums stay in
 * registers. Column j is vector j % VECTORS of panel j / VECTORS. */
static inline __attribute__((always_inline)) unsigned
outer_body(const NAME(outer_tile) *tile, const int rows, const int columns) {
    const size_t second = VECTORS == 1 ? tile->panel_size : WIDTH, left_step = tile->left_step;
    const size_t lanes = (size_t)tile->lanes;
    mask some[COLUMNS];
    unsigned bad = 0;
    for (int j = 0; j < columns; j++)
        some[j] = NAME(first_lanes)(lanes > (size_t)(j * WIDTH) ? lanes - (size_t)(j * WIDTH) : 0);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            _mm_prefetch((const char *)(tile->out + (size_t)i * tile->out_stride + j * WIDTH),
                         _MM_HINT_T0);
    for (size_t n = 0; n < tile->images; n++) {
        const REAL *left = tile->left + n * tile->left_image;
        vector sum[TILE_PIXELS_AVX512][COLUMNS];
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < columns; j++)
                sum[i][j] = SPREAD(0);
        for (size_t t = 0; t < tile->runs; t++) {
            const REAL *panel = tile->panel + n * tile->panel_image + t * tile->panel_run;
            for (size_t p = 0; p < tile->length; p++, panel += KERNEL_PANEL, left += left_step) {
                vector w[COLUMNS];
#pragma GCC unroll 2
                for (int j = 0; j < columns; j++)
                    w[j] = LOAD(panel + (size_t)j * second);
#pragma GCC unroll 16
                for (int i = 0; i < rows; i++) {
                    const vector x = SPREAD(left[i]);
#pragma GCC unroll 2
                    for (int j = 0; j < columns; j++)
                        sum[i][j] = FMA(x, w[j], sum[i][j]);
                }
            }
        }
        const bool first = n == 0, last = n + 1 == tile->images;
        const size_t from_stride = first ? tile->out_stride : (size_t)(columns * WIDTH);
        const size_t to_stride = last ? tile->out_stride : (size_t)(columns * WIDTH);
        const REAL *from = first ? tile->out : tile->acc;
        REAL *to = last ? tile->out : tile->acc;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++, from += from_stride, to += to_stride)
#pragma GCC unroll 2
            for (int j = 0; j < columns; j++) {
                const vector v =
                    ADD(ADD(LOAD_SOME(some[j], from + j * WIDTH), sum[i][j]), SPREAD(0));
                bad |= last ? IS_BAD(v) & some[j] : 0U;
                STORE_SOME(to + j * WIDTH, some[j], v);
            }
    }
    return bad ? STAGE_OWN : 0U;
}

#define CASE(n)                                                                                    \
    case n: return outer_body(tile, n, columns);

static inline __attribute__((always_inline)) unsigned outer_columns(const NAME(outer_tile) *tile,
                                                                    const int columns) {
    switch (tile->rows) {
        TILE_CASES(CASE)
    default: return 0;
    }
}

unsigned AVX512(outer_tile)(const NAME(outer_tile) *tile) {
    assert(tile->rows >= 1 && tile->rows <= TILE_PIXELS_AVX512);
    assert(tile->panels >= 1 && tile->panels <= TILE_PANELS);
#if TILE_PANELS == 2
    if (tile->panels == 1)
        return outer_columns(tile, 1);
#endif
    return outer_columns(tile, COLUMNS);
}

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
