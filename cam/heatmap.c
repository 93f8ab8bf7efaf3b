/* heatmap.c - a raw map normalised to 0..1 and enlarged as OpenCV's cv2.resize INTER_LINEAR does.
 *
 * The arithmetic is in the map's type, each step rounded. It was found from OpenCV's results (4.11
 * and 5.0, x86-64 packages, whose kernel for this is Intel's): positions in double,
 *     fx = fma(x + 0.5, in / out, -0.5),   left = floor(fx),   f = (T)(fx - left)
 * with f = 0 outside the first and last centre, rows first, then columns, each
 *     v = fma(right - left, f, left).
 */
#include "cam_internal.h"

#include <math.h>
#include <stdlib.h>

/* What an output position takes: value[left] + (value[right] - value[left]) * f. */
typedef struct tap {
    size_t left, right;
    double f;
} tap;

static double subtract(cs_dtype dtype, double a, double b) {
    return dtype == CS_F32 ? (double)((float)a - (float)b) : a - b;
}

static double divide(cs_dtype dtype, double a, double b) {
    return dtype == CS_F32 ? (double)((float)a / (float)b) : a / b;
}

static double interpolate(cs_dtype dtype, double left, double right, double f) {
    if (dtype == CS_F32)
        return (double)fmaf((float)right - (float)left, (float)f, (float)left);
    return fma(right - left, f, left);
}

static void fill_taps(cs_dtype dtype, int64_t in, int64_t out, tap *taps) {
    double scale = (double)in / (double)out;
    for (int64_t x = 0; x < out; x++) {
        double fx = fma((double)x + 0.5, scale, -0.5), left = floor(fx);
        double f = dtype == CS_F32 ? (double)(float)(fx - left) : fx - left;
        if (left < 0.0)
            left = f = 0.0;
        if (left >= (double)(in - 1)) {
            left = (double)(in - 1);
            f = 0.0;
        }
        size_t i = (size_t)left;
        taps[x] = (tap){i, i + 1 < (size_t)in ? i + 1 : i, f};
    }
}

/* (L - min) / (max(L - min) + 1e-8) into `out`. */
static void normalise(const cs_tensor *raw, double *out) {
    size_t count = (size_t)raw->h * (size_t)raw->w;
    cs_dtype t = raw->dtype;
    double min = cs_tensor_value(raw, 0), max = 0.0;
    for (size_t i = 1; i < count; i++)
        min = cs_tensor_value(raw, i) < min ? cs_tensor_value(raw, i) : min;
    for (size_t i = 0; i < count; i++) {
        out[i] = subtract(t, cs_tensor_value(raw, i), min);
        max = out[i] > max ? out[i] : max;
    }
    double divisor = t == CS_F32 ? (double)((float)max + 1e-8f) : max + 1e-8;
    for (size_t i = 0; i < count; i++)
        out[i] = divide(t, out[i], divisor);
}

/* `rows` has room for in_h x width numbers. */
static void enlarge(const double *in, int64_t in_h, int64_t in_w, const tap *across,
                    const tap *down, double *rows, cs_tensor *out) {
    size_t width = (size_t)out->w, height = (size_t)out->h;
    for (size_t y = 0; y < (size_t)in_h; y++)
        for (size_t x = 0; x < width; x++) {
            const double *row = in + y * (size_t)in_w;
            rows[y * width + x] =
                interpolate(out->dtype, row[across[x].left], row[across[x].right], across[x].f);
        }
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++)
            cs_tensor_store(out, y * width + x,
                            interpolate(out->dtype, rows[down[y].left * width + x],
                                        rows[down[y].right * width + x], down[y].f));
}

cs_status cs_heatmap_make(const cs_tensor *raw, int64_t width, int64_t height, cs_tensor *heatmap,
                          cs_error *err) {
    *heatmap = (cs_tensor){0};
    CS_CHECK(raw->n == 1 && raw->c == 1 && raw->h >= 1 && raw->w >= 1, CS_ERROR_ARGUMENT,
             "a map has shape (1, 1, H, W), not (%lld, %lld, %lld, %lld)", (long long)raw->n,
             (long long)raw->c, (long long)raw->h, (long long)raw->w);
    CS_CHECK(width >= 1 && height >= 1 && width <= CS_IMAGE_MAX_SIDE && height <= CS_IMAGE_MAX_SIDE,
             CS_ERROR_ARGUMENT, "a heatmap of %lld x %lld pixels (1 to %d a side)",
             (long long)width, (long long)height, CS_IMAGE_MAX_SIDE);
    double *values = calloc((size_t)raw->h * (size_t)raw->w, sizeof *values);
    double *rows = calloc((size_t)raw->h * (size_t)width, sizeof *rows);
    tap *across = malloc((size_t)width * sizeof *across);
    tap *down = malloc((size_t)height * sizeof *down);
    cs_status status = CS_OK;
    if (!values || !rows || !across || !down)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for a heatmap");
    if (status == CS_OK)
        status = cs_tensor_allocate(heatmap, raw->dtype, 1, 1, height, width, err);
    if (status == CS_OK) {
        normalise(raw, values);
        fill_taps(raw->dtype, raw->w, width, across);
        fill_taps(raw->dtype, raw->h, height, down);
        enlarge(values, raw->h, raw->w, across, down, rows, heatmap);
    }
    free(values);
    free(rows);
    free(across);
    free(down);
    return status;
}
