/* outer_portable.c - the portable kernel of weight gradients: sums over pixels of a few outputs'
 * gradients times 16 inputs.
 *
 * Both factors lie side by side, channels last, as they do in the maps, so that nothing has to be
 * transposed: the rows' factors are broadcast, the panel's are the vector.
 */
#include "lanes.h"
#include "portable.h"

#include <assert.h>

/* One image's sums, into tile->acc; `rows` is a constant after inlining. */
static inline __attribute__((always_inline)) void outer_image(const NAME(outer_tile) *tile,
                                                              size_t image, const int rows) {
    const REAL *left = tile->left + image * tile->left_image;
    lanes sum[PORTABLE_PIXELS][PANEL_VECTORS];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            sum[i][v] = (lanes){0};
    for (size_t t = 0; t < tile->runs; t++) {
        const REAL *panel = tile->panel + image * tile->panel_image + t * tile->panel_run;
        for (size_t p = 0; p < tile->length; p++, left += tile->left_step, panel += KERNEL_PANEL) {
            lanes w[PANEL_VECTORS];
            for (int v = 0; v < PANEL_VECTORS; v++)
                w[v] = lanes_load(panel + v * LANES);
#pragma GCC unroll 6
            for (int i = 0; i < rows; i++) {
                const lanes x = lanes_broadcast(left[i]);
#pragma GCC unroll 8
                for (int v = 0; v < PANEL_VECTORS; v++)
                    sum[i][v] = LANES_FMA(x, w[v], sum[i][v]);
            }
        }
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            lanes_store(tile->acc + i * KERNEL_PANEL + v * LANES, sum[i][v]);
}

#define CASE(rows)                                                                                 \
    case rows: outer_image(tile, n, rows); break;

unsigned PORTABLE(outer_tile)(const NAME(outer_tile) *tile) {
    bool bad = false;
    assert(tile->rows >= 1 && tile->rows <= PORTABLE_PIXELS && tile->panels == 1);
    for (size_t n = 0; n < tile->images; n++) {
        switch (tile->rows) {
            PORTABLE_CASES(CASE)
        default: break;
        }
        for (int i = 0; i < tile->rows; i++) {
            REAL *out = tile->out + (size_t)i * tile->out_stride;
            for (int l = 0; l < tile->lanes; l++) {
                out[l] = (out[l] + tile->acc[i * KERNEL_PANEL + l]) + 0;
                bad |= NAME(not_finite)(out[l]);
            }
        }
    }
    return bad ? STAGE_OWN : 0U;
}
