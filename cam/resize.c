/* resize.c - Pillow's antialiased resampling of 8-bit images, bit for bit.
 *
 * An output pixel x sees the input around center = (x + 0.5) * scale, scale = in / out, through a
 * filter that is stretched by max(scale, 1) so that enlarging interpolates and reducing averages.
 * Its weights are computed in double, normalised to sum 1, and rounded to fixed point; sums are
 * integers, so the order of their terms does not matter. A pass along a side that does not change
 * is left out. Between the two passes the image is rounded to 8 bits, so their order shows: it is
 * the horizontal one first, except (in Pillow 13.0.0, whose rule this is) where the height shrinks
 * by more than twice the pixels that the width does.
 */
#include "cam_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 8 bits for the result and 2 of headroom for negative weights leave this for the fraction. */
#define FRACTION_BITS (32 - 8 - 2)
#define ROUNDING      (1 << (FRACTION_BITS - 1))

typedef struct filter {
    double (*weight)(double x);
    double support; /* weight is 0 at and beyond this distance */
} filter;

/* What one output position sums: input positions first, first + 1, ... with `count` weights. */
typedef struct span {
    int64_t first, count;
} span;

typedef struct weights {
    span *spans;     /* one an output position */
    int32_t *values; /* `stride` for each output position */
    int64_t stride;
} weights;

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys' cubic with a = -0.5. */
static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static void free_weights(weights *w) {
    free(w->spans);
    free(w->values);
}

static int32_t to_fixed(double weight) {
    double scaled = weight * (1 << FRACTION_BITS);
    return (int32_t)(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* Weights of the output position whose centre is `center`, into `row`; `scratch` has room for them
 * in double. */
static span fill_weights(const filter *f, double center, double stretch, int64_t in,
                         double *scratch, int32_t *row) {
    double support = f->support * stretch, inverse = 1.0 / stretch, sum = 0.0;
    int64_t first = (int64_t)(center - support + 0.5), end = (int64_t)(center + support + 0.5);
    first = first < 0 ? 0 : first;
    end = end > in ? in : end;
    for (int64_t i = 0; i < end - first; i++) {
        scratch[i] = f->weight(((double)(i + first) - center + 0.5) * inverse);
        sum += scratch[i];
    }
    for (int64_t i = 0; i < end - first; i++)
        row[i] = to_fixed(sum != 0.0 ? scratch[i] / sum : scratch[i]);
    return (span){first, end - first};
}

static cs_status make_weights(const filter *f, int64_t in, int64_t out, weights *w, cs_error *err) {
    double scale = (double)in / (double)out, stretch = scale < 1.0 ? 1.0 : scale;
    *w = (weights){.stride = (int64_t)ceil(f->support * stretch) * 2 + 1};
    double *scratch = calloc((size_t)w->stride, sizeof *scratch);
    w->spans = calloc((size_t)out, sizeof *w->spans);
    w->values = calloc((size_t)out, (size_t)w->stride * sizeof *w->values);
    if (!scratch || !w->spans || !w->values) {
        free(scratch);
        free_weights(w);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1,
                            "no memory for resizing %lld pixels to %lld", (long long)in,
                            (long long)out);
    }
    for (int64_t x = 0; x < out; x++)
        w->spans[x] = fill_weights(f, ((double)x + 0.5) * scale, stretch, in, scratch,
                                   w->values + x * w->stride);
    free(scratch);
    return CS_OK;
}

static uint8_t to_byte(int32_t sum) {
    sum >>= FRACTION_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void resize_rows(const cs_image *in, const weights *w, cs_image *out) {
    for (int64_t y = 0; y < out->height; y++) {
        const uint8_t *row = in->pixels + 3 * y * in->width;
        uint8_t *to = out->pixels + 3 * y * out->width;
        for (int64_t x = 0; x < out->width; x++) {
            const int32_t *k = w->values + x * w->stride;
            const uint8_t *p = row + 3 * w->spans[x].first;
            int32_t r = ROUNDING, g = ROUNDING, b = ROUNDING;
            for (int64_t i = 0; i < w->spans[x].count; i++, p += 3) {
                r += p[0] * k[i];
                g += p[1] * k[i];
                b += p[2] * k[i];
            }
            to[3 * x] = to_byte(r);
            to[3 * x + 1] = to_byte(g);
            to[3 * x + 2] = to_byte(b);
        }
    }
}

/* `sums` has room for one row. */
static void resize_columns(const cs_image *in, const weights *w, int32_t *sums, cs_image *out) {
    int64_t n = 3 * in->width;
    for (int64_t y = 0; y < out->height; y++) {
        const int32_t *k = w->values + y * w->stride;
        const uint8_t *p = in->pixels + w->spans[y].first * n;
        uint8_t *to = out->pixels + y * n;
        for (int64_t x = 0; x < n; x++)
            sums[x] = ROUNDING;
        for (int64_t i = 0; i < w->spans[y].count; i++, p += n)
            for (int64_t x = 0; x < n; x++)
                sums[x] += p[x] * k[i];
        for (int64_t x = 0; x < n; x++)
            to[x] = to_byte(sums[x]);
    }
}

static cs_status resize_width(const filter *f, const cs_image *in, int64_t width, cs_image *out,
                              cs_error *err) {
    weights w = {0};
    CS_TRY(make_weights(f, in->width, width, &w, err));
    cs_status status = cs_image_allocate(out, width, in->height, err);
    if (status == CS_OK)
        resize_rows(in, &w, out);
    free_weights(&w);
    return status;
}

static cs_status resize_height(const filter *f, const cs_image *in, int64_t height, cs_image *out,
                               cs_error *err) {
    weights w = {0};
    CS_TRY(make_weights(f, in->height, height, &w, err));
    int32_t *sums = malloc(3 * (size_t)in->width * sizeof *sums);
    cs_status status = cs_image_allocate(out, in->width, height, err);
    if (status == CS_OK && !sums)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for resizing an image");
    if (status == CS_OK)
        resize_columns(in, &w, sums, out);
    else
        cs_image_free(out);
    free(sums);
    free_weights(&w);
    return status;
}

static cs_status resize(const filter *f, const cs_image *image, int64_t width, int64_t height,
                        cs_image *out, cs_error *err) {
    *out = (cs_image){0};
    CS_CHECK(width >= 1 && height >= 1 && width <= CS_IMAGE_MAX_SIDE && height <= CS_IMAGE_MAX_SIDE,
             CS_ERROR_ARGUMENT, "cannot resize to %lld x %lld pixels (1 to %d a side)",
             (long long)width, (long long)height, CS_IMAGE_MAX_SIDE);
    if (width == image->width && height == image->height) {
        CS_TRY(cs_image_allocate(out, width, height, err));
        memcpy(out->pixels, image->pixels, 3 * (size_t)width * (size_t)height);
        return CS_OK;
    }
    if (height == image->height)
        return resize_width(f, image, width, out, err);
    if (width == image->width)
        return resize_height(f, image, height, out, err);
    int64_t narrower = image->width > width ? image->width - width : 0;
    bool columns_first = image->height - height > 2 * narrower;
    cs_image half = {0};
    CS_TRY(columns_first ? resize_height(f, image, height, &half, err)
                         : resize_width(f, image, width, &half, err));
    cs_status status = columns_first ? resize_width(f, &half, width, out, err)
                                     : resize_height(f, &half, height, out, err);
    cs_image_free(&half);
    return status;
}

cs_status cs_resize_bilinear(const cs_image *image, int64_t width, int64_t height, cs_image *out,
                             cs_error *err) {
    static const filter bilinear = {triangle, 1.0};
    return resize(&bilinear, image, width, height, out, err);
}

cs_status cs_resize_bicubic(const cs_image *image, int64_t width, int64_t height, cs_image *out,
                            cs_error *err) {
    static const filter bicubic = {cubic, 2.0};
    return resize(&bicubic, image, width, height, out, err);
}
