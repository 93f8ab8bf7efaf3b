/* pool_portable.c - the portable kernels of max pooling and of gates: loops over channels without
 * branches, which compilers turn into vectors.
 */
#include "portable.h"

void PORTABLE(pool_offer)(size_t channels, const REAL *restrict x, int32_t index, REAL *restrict y,
                          int32_t *restrict winner) {
    for (size_t c = 0; winner && c < channels; c++)
        winner[c] = ((x[c] <= y[c]) | (y[c] != y[c])) ? winner[c] : index;
    for (size_t c = 0; c < channels; c++)
        y[c] = ((x[c] <= y[c]) | (y[c] != y[c])) ? y[c] : x[c];
}

void PORTABLE(pool_equal)(size_t channels, const REAL *restrict x, const REAL *restrict y,
                          int32_t *restrict count) {
    for (size_t c = 0; c < channels; c++)
        count[c] += x[c] == y[c];
}

void PORTABLE(pool_return)(size_t channels, const int32_t *restrict winner, int32_t index,
                           const REAL *restrict dy, REAL *restrict sum) {
    for (size_t c = 0; c < channels; c++)
        sum[c] = sum[c] + (winner[c] == index ? dy[c] : 0);
}

void PORTABLE(gate_rows)(size_t rows, size_t channels, const REAL *dy, const uint16_t *open,
                         REAL *dx, bool add) {
    const size_t words = (channels + KERNEL_PANEL - 1) / KERNEL_PANEL;
    for (size_t r = 0; r < rows; r++, dy += channels, dx += channels, open += words)
        for (size_t first = 0; first < channels; first += KERNEL_PANEL) {
            const size_t left = channels - first < KERNEL_PANEL ? channels - first : KERNEL_PANEL;
            const unsigned gates = open[first / KERNEL_PANEL];
            const REAL *from = dy + first;
            REAL *to = dx + first;
            for (size_t l = 0; l < left; l++) {
                const REAL v = gates >> l & 1 ? from[l] : 0;
                to[l] = (add ? to[l] + v : v) + 0;
            }
        }
}
