/* pack_panel.c - one panel of packed weights, a transposition or a copy; and packed biases. */
#include "layer_real.h"

/* Lanes whose rows are read side by side. Rows of 1x1 layers lie whole pages apart, so that all
 * compete for one set of the first cache, which holds 8 lines of one on most CPUs. */
#define ROWS 8

/* Lanes that lie side by side, one value of each (a 1x1 layer's, backward). */
static void copy_rows(const float *from, size_t inner, size_t inner_step, REAL *to) {
    for (size_t i = 0; i < inner; i++)
        for (size_t l = 0; l < CS_PANEL; l++)
            to[i * CS_PANEL + l] = (REAL)from[i * inner_step + l] + 0;
}

/* The panel is written from its first pixel to its last, in whole lines of the cache. */
void NAME(pack_panel)(const float *from, size_t lanes, size_t lane_step, size_t inner,
                      size_t inner_step, size_t taps, REAL *to) {
    if (lanes == CS_PANEL && lane_step == 1 && taps == 1) {
        copy_rows(from, inner, inner_step, to);
        return;
    }
    for (size_t first = 0; first < lanes; first += ROWS) {
        const size_t end = first + ROWS < lanes ? first + ROWS : lanes;
        for (size_t i = 0; i < inner; i++)
            for (size_t l = first; l < end; l++)
                for (size_t t = 0; t < taps; t++)
                    to[(t * inner + i) * CS_PANEL + l] =
                        (REAL)from[l * lane_step + i * inner_step + t] + 0;
    }
}

void NAME(pack_bias)(const float *from, size_t count, REAL *to) {
    for (size_t i = 0; i < count; i++)
        to[i] = from ? (REAL)from[i] + 0 : 0;
}
