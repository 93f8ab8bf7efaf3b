/* faithfulness.c - insertion and deletion (Petsiuk and others 2018, arXiv 1806.07421), average drop
 * and increase of confidence (Chattopadhay and others 2018): the network's own answer to whether
 * the pixels that a map marks are those it used.
 *
 * Curves are of the softmax's probability; areas are sums of trapezoids over the fraction of pixels
 * changed, in double.
 */
#include "cam_internal.h"
#include "cnnscope_measures.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 20 };
#define BLUR_DEVIATION 5.0

/* ------------------------------------------------------------------ maps at the input ---- */

static cs_status check_map(const cs_tensor *map, int64_t height, int64_t width, cs_error *err) {
    CS_CHECK(map->n == 1 && map->c == 1 && map->h >= 1 && map->w >= 1, CS_ERROR_ARGUMENT,
             "a map has shape (1, 1, H, W), not (%lld, %lld, %lld, %lld)", (long long)map->n,
             (long long)map->c, (long long)map->h, (long long)map->w);
    CS_CHECK(height >= 1 && width >= 1 && height <= CS_IMAGE_MAX_SIDE && width <= CS_IMAGE_MAX_SIDE,
             CS_ERROR_ARGUMENT, "a map enlarged to %lld x %lld pixels (1 to %d a side)",
             (long long)width, (long long)height, CS_IMAGE_MAX_SIDE);
    return CS_OK;
}

/* Values as cs_map_enlarge, of (v - low) / divisor. */
static cs_status enlarge_scaled(const cs_tensor *map, double low, double divisor, int64_t height,
                                int64_t width, double *out, cs_error *err) {
    CS_TRY(check_map(map, height, width, err));
    size_t pixels = (size_t)(map->h * map->w);
    double *small = calloc(pixels + (size_t)(map->h * width), sizeof *small);
    cs_enlarge_tap *taps = calloc((size_t)(width + height), sizeof *taps);
    if (!small || !taps) {
        free(small);
        free(taps);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory to enlarge a map");
    }
    for (size_t i = 0; i < pixels; i++)
        small[i] = (cs_tensor_value(map, i) - low) / divisor;
    cs_enlarge_taps(map->w, width, false, taps);
    cs_enlarge_taps(map->h, height, false, taps + width);
    cs_enlarge(small, map->h, map->w, taps, width, taps + width, height, small + pixels, out);
    free(small);
    free(taps);
    return CS_OK;
}

cs_status cs_map_enlarge(const cs_tensor *map, int64_t height, int64_t width, double *out,
                         cs_error *err) {
    return enlarge_scaled(map, 0.0, 1.0, height, width, out, err);
}

/* The map scaled to 0..1 at its own size, then enlarged; a constant is 0 everywhere. */
static cs_status enlarge_to_one(const cs_tensor *map, int64_t height, int64_t width, double *out,
                                cs_error *err) {
    size_t pixels = (size_t)(map->h * map->w);
    double low = cs_tensor_value(map, 0), high = low;
    for (size_t i = 1; i < pixels; i++) {
        double v = cs_tensor_value(map, i);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    return enlarge_scaled(map, low, high > low ? high - low : 1.0, height, width, out, err);
}

typedef struct ranked {
    double value;
    int64_t pixel;
} ranked;

static int compare_ranked(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->pixel < y->pixel ? -1 : x->pixel > y->pixel;
}

/* ------------------------------------------------------------------ measuring ------------ */

/* One measurement's memory. Images to score have numbers: 0 the whole image, 1 the masked one, then
 * those of the deletion curve, then those of the insertion curve. */
typedef struct measuring {
    cs_run *run;
    const cs_tensor *image;
    int64_t class_index, points, step, pixels, batch;
    ranked *order;
    double *fill, *mask;
    double *probabilities, *softmax;
    cs_tensor images;
} measuring;

static int64_t image_count(const measuring *m) { return 2 + 2 * m->points; }

static void put_pixel(measuring *m, int64_t slot, int64_t pixel, bool filled) {
    size_t channels = (size_t)m->image->c, from = (size_t)pixel * channels;
    size_t to = (size_t)(slot * m->pixels) * channels + from;
    for (size_t c = 0; c < channels; c++)
        cs_tensor_store(&m->images, to + c,
                        filled ? m->fill[from + c] : cs_tensor_value(m->image, from + c));
}

/* Image `number` at place `slot` of the batch. */
static void make_image(measuring *m, int64_t number, int64_t slot) {
    size_t channels = (size_t)m->image->c, to = (size_t)(slot * m->pixels) * channels;
    if (number == 1) {
        for (size_t i = 0; i < (size_t)m->pixels * channels; i++)
            cs_tensor_store(&m->images, to + i,
                            m->mask[i / channels] * cs_tensor_value(m->image, i));
        return;
    }
    bool inserts = number >= 2 + m->points;
    int64_t point = number == 0 || m->points < 1 ? 0 : (number - 2) % m->points,
            changed = point * m->step;
    for (int64_t i = 0; i < m->pixels; i++)
        put_pixel(m, slot, m->order[i].pixel, (i < changed) != inserts);
}

static cs_status score_batch(measuring *m, int64_t first, int64_t count, cs_error *err) {
    cs_tensor images = m->images, logits = {0};
    images.n = count;
    for (int64_t i = 0; i < count; i++)
        make_image(m, first + i, i);
    CS_TRY(cs_run_forward(m->run, &images, err));
    CS_TRY(cs_cam_check_finite(m->run, err));
    CS_TRY(cs_run_output(m->run, &logits, err));
    for (int64_t i = 0; i < count; i++) {
        cs_softmax(&logits, i, m->softmax);
        m->probabilities[first + i] = m->softmax[m->class_index];
    }
    return CS_OK;
}

static cs_status score_all(measuring *m, const cs_faithfulness_options *options, cs_error *err) {
    const cs_cam_options report = {.stop = options->stop, .stop_state = options->stop_state};
    for (int64_t first = 0; first < image_count(m); first += m->batch) {
        int64_t left = image_count(m) - first, count = left < m->batch ? left : m->batch;
        CS_TRY(score_batch(m, first, count, err));
        CS_TRY(cs_cam_progress(&report, first + count, image_count(m), err));
    }
    return CS_OK;
}

static double area(const double *x, const double *y, int64_t count) {
    double sum = 0.0;
    for (int64_t i = 1; i < count; i++)
        sum += (x[i] - x[i - 1]) * (y[i] + y[i - 1]) / 2.0;
    return sum;
}

static cs_status fill_result(const measuring *m, cs_faithfulness *r, cs_error *err) {
    r->points = m->points;
    r->fraction = calloc(3 * (size_t)m->points, sizeof *r->fraction);
    CS_CHECK(r->fraction, CS_ERROR_MEMORY, "no memory for the curves");
    r->deletion = r->fraction + m->points;
    r->insertion = r->deletion + m->points;
    for (int64_t i = 0; i < m->points; i++) {
        int64_t changed = i * m->step < m->pixels ? i * m->step : m->pixels;
        r->fraction[i] = (double)changed / (double)m->pixels;
        r->deletion[i] = m->probabilities[2 + i];
        r->insertion[i] = m->probabilities[2 + m->points + i];
    }
    r->deletion_area = area(r->fraction, r->deletion, m->points);
    r->insertion_area = area(r->fraction, r->insertion, m->points);
    r->probability = m->probabilities[0];
    r->masked_probability = m->probabilities[1];
    double lost = r->probability - r->masked_probability;
    r->drop = lost > 0.0 ? lost / r->probability : 0.0;
    r->increase = lost < 0.0;
    r->forward_images = image_count(m);
    return CS_OK;
}

static cs_status begin(measuring *m, const cs_tensor *map, const cs_faithfulness_options *options,
                       cs_error *err) {
    const cs_tensor *x = m->image;
    int64_t steps = options->steps ? options->steps : STEPS;
    CS_CHECK(x->n == 1 && x->c >= 1 && x->h >= 1 && x->w >= 1, CS_ERROR_ARGUMENT,
             "one image is measured at a time, not %lld", (long long)x->n);
    CS_CHECK(steps >= 1 && options->batch >= 0, CS_ERROR_ARGUMENT,
             "%lld steps: 1 or more are expected", (long long)steps);
    m->pixels = x->h * x->w;
    m->step = (m->pixels + steps - 1) / steps;
    m->points = 1 + (m->pixels + m->step - 1) / m->step;
    m->batch = options->batch ? options->batch : 1;
    m->order = calloc((size_t)m->pixels, sizeof *m->order);
    m->mask = calloc((size_t)m->pixels, sizeof *m->mask);
    m->probabilities = calloc((size_t)image_count(m), sizeof *m->probabilities);
    CS_CHECK(m->order && m->mask && m->probabilities, CS_ERROR_MEMORY,
             "no memory to measure a map");
    CS_TRY(cs_fill_make(x, options->fill, BLUR_DEVIATION, &m->fill, err));
    CS_TRY(cs_map_enlarge(map, x->h, x->w, m->mask, err));
    for (int64_t i = 0; i < m->pixels; i++)
        m->order[i] = (ranked){m->mask[i], i};
    qsort(m->order, (size_t)m->pixels, sizeof *m->order, compare_ranked);
    return enlarge_to_one(map, x->h, x->w, m->mask, err);
}

/* The number of classes and the run's type are known from a forward pass: that of the first image.
 */
static cs_status make_images(measuring *m, cs_error *err) {
    const cs_tensor *x = m->image;
    cs_tensor logits = {0};
    CS_TRY(cs_run_forward(m->run, m->image, err));
    CS_TRY(cs_run_output(m->run, &logits, err));
    CS_CHECK(m->class_index >= 0 && m->class_index < logits.c, CS_ERROR_ARGUMENT,
             "class %lld: the model has classes 0 to %lld", (long long)m->class_index,
             (long long)logits.c - 1);
    m->softmax = calloc((size_t)logits.c, sizeof *m->softmax);
    CS_CHECK(m->softmax, CS_ERROR_MEMORY, "no memory for %lld probabilities", (long long)logits.c);
    return cs_tensor_allocate(&m->images, logits.dtype, m->batch, x->c, x->h, x->w, err);
}

void cs_faithfulness_free(cs_faithfulness *f) {
    if (!f)
        return;
    free(f->fraction);
    *f = (cs_faithfulness){0};
}

cs_status cs_faithfulness_measure(cs_run *run, const cs_tensor *image, const cs_tensor *map,
                                  int64_t class_index, const cs_faithfulness_options *options,
                                  cs_faithfulness *result, cs_error *err) {
    measuring m = {.run = run, .image = image, .class_index = class_index};
    *result = (cs_faithfulness){0};
    cs_status status = begin(&m, map, options, err);
    if (status == CS_OK)
        status = make_images(&m, err);
    if (status == CS_OK)
        status = score_all(&m, options, err);
    if (status == CS_OK)
        status = fill_result(&m, result, err);
    free(m.order);
    free(m.mask);
    free(m.fill);
    free(m.probabilities);
    free(m.softmax);
    cs_tensor_release(&m.images);
    return status;
}
