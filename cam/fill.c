/* fill.c - what stands where pixels are taken away: the mean colour, or the image blurred. */
#include "cam_internal.h"

#include <stdlib.h>

/* exp(-i^2 / (2 sigma^2)) for -reach..reach, of sum 1. */
static void gaussian(double deviation, int64_t reach, double *weights) {
    double sum = 0.0;
    for (int64_t i = -reach; i <= reach; i++) {
        double v = cs_exp(-(double)(i * i) / (2.0 * deviation * deviation));
        weights[i + reach] = v;
        sum += v;
    }
    for (int64_t i = 0; i <= 2 * reach; i++)
        weights[i] /= sum;
}

/* out = in blurred along one side: `count` places `stride` values apart, for each of the rest. */
static void blur_side(const double *weights, int64_t reach, const double *in, double *out,
                      size_t total, size_t count, size_t stride) {
    for (size_t at = 0; at < total; at++) {
        int64_t place = (int64_t)(at / stride % count), last = (int64_t)count - 1;
        double sum = 0.0;
        for (int64_t i = -reach; i <= reach; i++) {
            int64_t from = place + i < 0 ? 0 : place + i > last ? last : place + i;
            sum += weights[i + reach] * in[(int64_t)at + (from - place) * (int64_t)stride];
        }
        out[at] = sum;
    }
}

cs_status cs_fill_make(const cs_tensor *image, bool blurred, double deviation, double **fill,
                       cs_error *err) {
    size_t count = (size_t)cs_tensor_count(image), width = (size_t)image->w;
    int64_t reach = (int64_t)(3.0 * deviation + 0.5);
    *fill = calloc(2 * count + 2 * (size_t)reach + 1, sizeof **fill);
    CS_CHECK(*fill, CS_ERROR_MEMORY, "no memory to blur an image");
    if (!blurred)
        return CS_OK;
    double *other = *fill + count, *weights = other + count;
    for (size_t i = 0; i < count; i++)
        (*fill)[i] = cs_tensor_value(image, i);
    gaussian(deviation, reach, weights);
    blur_side(weights, reach, *fill, other, count, width, (size_t)image->c);
    blur_side(weights, reach, other, *fill, count, (size_t)image->h, (size_t)image->c * width);
    return CS_OK;
}
