/* norm_portable.c - the portable kernels of batch norm in training and of the sums over pixels that
 * the gradients of biases and batch norms are.
 */
#include "lanes.h"
#include "portable.h"

void PORTABLE(sum_rows)(size_t rows, size_t stride, size_t channels, const REAL *x, double *acc) {
    for (size_t r = 0; r < rows; r++, x += stride)
        for (size_t c = 0; c < channels; c++)
            acc[c] = acc[c] + (double)x[c];
}

void PORTABLE(square_rows)(size_t rows, size_t stride, size_t channels, const REAL *x,
                           const double *mean, double *acc) {
    for (size_t r = 0; r < rows; r++, x += stride)
        for (size_t c = 0; c < channels; c++) {
            const double d = (double)x[c] - mean[c];
            acc[c] = fused_double(d, d, acc[c]);
        }
}

void PORTABLE(product_rows)(size_t rows, size_t stride, size_t channels, const REAL *dy,
                            const REAL *x, const double *mean, double *acc) {
    for (size_t r = 0; r < rows; r++, x += stride, dy += stride)
        for (size_t c = 0; c < channels; c++)
            acc[c] = fused_double((double)dy[c], (double)x[c] - mean[c], acc[c]);
}

void PORTABLE(gradient_rows)(const NAME(gradient_rows) *work) {
    for (int i = 0; i < 4; i += 2) {
        PORTABLE(sum_rows)(work->rows, work->stride, work->channels, work->dy, work->acc[i]);
        PORTABLE(product_rows)
        (work->rows, work->stride, work->channels, work->dy, work->x, work->mean, work->acc[i + 1]);
    }
}

/* One row; the gate words are complete. */
static unsigned norm_row(const NAME(norm_rows) *work, const REAL *x, const REAL *residual,
                         uint16_t *gates, REAL *out) {
    bool own = false, add = false;
    for (size_t c = 0; c < work->channels; c++) {
        REAL v = fused(x[c], work->scale[c], work->shift[c]);
        own |= NAME(not_finite)(v);
        if (residual) {
            v = v + residual[c];
            add |= NAME(not_finite)(v);
        }
        out[c] = v + 0;
    }
    for (size_t first = 0; work->relu && first < work->channels; first += KERNEL_PANEL) {
        unsigned open = 0;
        for (size_t c = first; c < first + KERNEL_PANEL && c < work->channels; c++) {
            open |= (unsigned)!(out[c] <= 0) << (c - first);
            out[c] = out[c] <= 0 ? 0 : out[c];
        }
        if (gates)
            gates[first / KERNEL_PANEL] = (uint16_t)open;
    }
    return (own ? STAGE_OWN : 0U) | (add ? STAGE_ADD : 0U);
}

unsigned PORTABLE(norm_rows)(const NAME(norm_rows) *work) {
    const size_t words = (work->channels + KERNEL_PANEL - 1) / KERNEL_PANEL;
    unsigned flags = 0;
    for (size_t r = 0; r < work->rows; r++) {
        const size_t at = r * work->channels;
        flags |= norm_row(work, work->x + at, work->residual ? work->residual + at : NULL,
                          work->gates ? work->gates + r * words : NULL, work->out + at);
    }
    return flags;
}

unsigned PORTABLE(norm_backward_rows)(size_t rows, size_t channels, const REAL *dy, const REAL *x,
                                      const double *const coefficients[4], REAL *dx, bool add) {
    const double *s = coefficients[0], *a = coefficients[1], *b = coefficients[2];
    const double *mean = coefficients[3];
    bool bad = false;
    for (size_t r = 0; r < rows; r++, dy += channels, x += channels, dx += channels)
        for (size_t c = 0; c < channels; c++) {
            const double d = (double)x[c] - mean[c];
            const REAL v = (REAL)(s[c] * (((double)dy[c] - a[c]) - d * b[c]));
            bad |= NAME(not_finite)(v);
            dx[c] = (add ? dx[c] + v : v) + 0;
        }
    return bad ? STAGE_OWN : 0U;
}
