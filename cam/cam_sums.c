/* cam_sums.c - sums over maps and channels, and PyTorch's bilinear enlargement, in double. */
#include "cam_internal.h"

#include <math.h>

void cs_channel_sums(const cs_tensor *t, int64_t n, double *sums) {
    size_t channels = (size_t)t->c, pixels = (size_t)t->h * (size_t)t->w;
    size_t first = (size_t)n * pixels * channels;
    for (size_t c = 0; c < channels; c++)
        sums[c] = 0.0;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            sums[c] += cs_tensor_value(t, first + i * channels + c);
}

void cs_weighted_channels(const cs_tensor *activation, int64_t n, const double *weights,
                          cs_tensor *map) {
    size_t channels = (size_t)activation->c;
    size_t pixels = (size_t)activation->h * (size_t)activation->w;
    for (size_t i = 0; i < pixels; i++) {
        size_t first = ((size_t)n * pixels + i) * channels;
        double sum = 0.0;
        for (size_t c = 0; c < channels; c++)
            sum += weights[c] * cs_tensor_value(activation, first + c);
        cs_tensor_store(map, i, sum + 0.0);
    }
}

void cs_elementwise_channels(const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                             bool only_positive, cs_tensor *map) {
    size_t channels = (size_t)activation->c;
    size_t pixels = (size_t)activation->h * (size_t)activation->w;
    for (size_t i = 0; i < pixels; i++) {
        size_t first = ((size_t)n * pixels + i) * channels;
        double sum = 0.0;
        for (size_t c = first; c < first + channels; c++) {
            double g = cs_tensor_value(gradient, c);
            sum += (only_positive && g <= 0 ? 0.0 : g) * cs_tensor_value(activation, c);
        }
        cs_tensor_store(map, i, sum + 0.0);
    }
}

void cs_enlarge_taps(int64_t in, int64_t out, bool align_corners, cs_enlarge_tap *taps) {
    double scale = align_corners ? (out > 1 ? (double)(in - 1) / (double)(out - 1) : 0.0)
                                 : (double)in / (double)out;
    for (int64_t x = 0; x < out; x++) {
        double at = align_corners ? scale * (double)x : scale * ((double)x + 0.5) - 0.5;
        at = at < 0.0 ? 0.0 : at;
        int64_t left = (int64_t)floor(at);
        taps[x] = (cs_enlarge_tap){left, left + 1 < in ? left + 1 : left, at - (double)left};
    }
}

/* A constant stays one, to the bit: the difference of equals is +0. */
static double between(double left, double right, double f) { return left + f * (right - left); }

void cs_enlarge(const double *in, int64_t in_h, int64_t in_w, const cs_enlarge_tap *across,
                int64_t out_w, const cs_enlarge_tap *down, int64_t out_h, double *rows,
                double *out) {
    for (int64_t y = 0; y < in_h; y++)
        for (int64_t x = 0; x < out_w; x++)
            rows[y * out_w + x] =
                between(in[y * in_w + across[x].left], in[y * in_w + across[x].right], across[x].f);
    for (int64_t y = 0; y < out_h; y++) {
        const double *upper = rows + down[y].left * out_w, *lower = rows + down[y].right * out_w;
        for (int64_t x = 0; x < out_w; x++)
            out[y * out_w + x] = between(upper[x], lower[x], down[y].f);
    }
}
