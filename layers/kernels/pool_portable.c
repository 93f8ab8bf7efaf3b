/* pool_portable.c - the portable kernels of max pooling and of gates: loops over channels without
 * branches, which compilers turn into vectors.
 */
#include "portable.h"

#include <string.h>

#define LANES 16 /* channels side by side */

/* The channels of a window from `c` on, LANES at most. */
static size_t lanes_from(const NAME(pool_window) *window, size_t c) {
    return window->channels - c < LANES ? window->channels - c : LANES;
}

/* The element in row r and column s, its channel c. */
static const REAL *element(const NAME(pool_window) *window, size_t r, size_t s, size_t c) {
    return window->from + r * window->row_step + s * window->col_step + c;
}

/* One more element; with constant `lanes` after inlining both loops become vectors. */
static inline void offer(const size_t lanes, const REAL *restrict x, int32_t index,
                         REAL *restrict y, int32_t *restrict winner) {
    for (size_t l = 0; l < lanes; l++)
        winner[l] = ((x[l] <= y[l]) | (y[l] != y[l])) ? winner[l] : index;
    for (size_t l = 0; l < lanes; l++)
        y[l] = ((x[l] <= y[l]) | (y[l] != y[l])) ? y[l] : x[l];
}

unsigned PORTABLE(pool_maximum)(const NAME(pool_window) *window) {
    bool bad = false;
    for (size_t c = 0; c < window->channels; c += LANES) {
        const size_t lanes = lanes_from(window, c);
        REAL y[LANES] = {0};
        int32_t winner[LANES];
        memcpy(y, element(window, 0, 0, c), lanes * sizeof *y);
        for (size_t l = 0; l < LANES; l++)
            winner[l] = window->index;
        for (size_t r = 0; r < window->rows; r++)
            for (size_t s = r == 0; s < window->cols; s++) {
                const REAL *x = element(window, r, s, c);
                const int32_t index =
                    window->index + (int32_t)r * window->index_row + (int32_t)s * window->index_col;
                if (lanes == LANES)
                    offer(LANES, x, index, y, winner);
                else
                    offer(lanes, x, index, y, winner);
            }
        for (size_t l = 0; l < lanes; l++) {
            window->to[c + l] = y[l] + 0;
            bad |= NAME(not_finite)(y[l]);
        }
        if (window->winner)
            memcpy(window->winner + c, winner, lanes * sizeof *winner);
    }
    return bad ? STAGE_OWN : 0U;
}

size_t PORTABLE(pool_ties)(const NAME(pool_window) *window) {
    size_t ties = 0;
    for (size_t c = 0; c < window->channels; c += LANES) {
        const size_t lanes = lanes_from(window, c);
        const REAL *y = window->to + c;
        int32_t equal[LANES] = {0};
        for (size_t r = 0; r < window->rows; r++)
            for (size_t s = 0; s < window->cols; s++) {
                const REAL *x = element(window, r, s, c);
                for (size_t l = 0; l < lanes; l++)
                    equal[l] += x[l] == y[l];
            }
        for (size_t l = 0; l < lanes; l++)
            ties += (equal[l] > 1) & (y[l] != 0);
    }
    return ties;
}

unsigned PORTABLE(pool_return)(const NAME(pool_window) *windows) {
    bool bad = false;
    for (size_t c = 0; c < windows->channels; c += LANES) {
        const size_t lanes = lanes_from(windows, c);
        REAL sum[LANES] = {0};
        for (size_t r = 0; r < windows->rows; r++)
            for (size_t s = 0; s < windows->cols; s++) {
                const REAL *dy = element(windows, r, s, c);
                const int32_t *winner = windows->winner + (dy - windows->from);
                for (size_t l = 0; l < lanes; l++)
                    sum[l] = sum[l] + (winner[l] == windows->index ? dy[l] : 0);
            }
        REAL *to = windows->to + c;
        for (size_t l = 0; l < lanes; l++) {
            to[l] = (windows->add ? to[l] + sum[l] : sum[l]) + 0;
            bad |= NAME(not_finite)(sum[l]);
        }
    }
    return bad ? STAGE_OWN : 0U;
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
