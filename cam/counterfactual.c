/* counterfactual.c - what the network says when a part of the image is not there, or not in its
 * place. Forward passes only. A drop means little alone, since any patch is strange to a network:
 * squares of the same size elsewhere are the control.
 */
#include "cam_internal.h"
#include "cnnscope_diagnose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTROLS = CS_CHANGE_CONTROL_LAST - CS_CHANGE_CONTROL + 1, TILES = 16, TRIES = 256 };
#define BLUR_SHARE 0.08

static const char *const change_names[CS_CHANGE_COUNT] = {
    "top_left",     "top_right", "bottom_left", "bottom_right", "ring",
    "left",         "right",     "roi_removed", "roi_only",     "hottest",
    "ring_hottest", "control_1", "control_2",   "control_3",    "control_4",
    "mirrored",     "shifted",   "flat",        "shuffled"};

const char *cs_change_name(cs_change change) { return change_names[change]; }

const char *cs_fill_name(cs_fill fill) { return fill == CS_FILL_BLUR ? "blur" : "mean"; }

bool cs_change_has_fill(cs_change change) { return change <= CS_CHANGE_CONTROL_LAST; }

/* ------------------------------------------------------------------ numbers -------------- */

double cs_class_margin(const cs_tensor *logits, int64_t n, int64_t c) {
    double own = cs_tensor_at(logits, n, c, 0, 0), other = -(double)INFINITY;
    for (int64_t k = 0; k < logits->c; k++) {
        double v = cs_tensor_at(logits, n, k, 0, 0);
        if (k != c && v > other)
            other = v;
    }
    return logits->c > 1 ? own - other : own;
}

double cs_row_drop(const cs_diagnosis_row *row, cs_change change) {
    double sum = 0.0;
    int fills = cs_change_has_fill(change) ? CS_FILL_COUNT : 1;
    for (int f = 0; f < fills; f++)
        sum += row->margin - row->change[change][f].margin;
    return row->has_changes ? sum / fills : (double)NAN;
}

double cs_row_excess(const cs_diagnosis_row *row, cs_change change) {
    double controls = 0.0;
    for (int i = 0; i < CONTROLS; i++)
        controls += cs_row_drop(row, (cs_change)(CS_CHANGE_CONTROL + i));
    controls /= CONTROLS;
    /* Squares whose loss raises the margin (a class that is the absence of something) must not pass
     * for evidence; NaN stays. */
    return cs_row_drop(row, change) - (controls < 0.0 ? 0.0 : controls);
}

static void centre_of(const cs_tensor *map, size_t cell, double *x, double *y) {
    size_t column = cell % (size_t)map->w, row = cell / (size_t)map->w;
    *x = ((double)column + 0.5) / (double)map->w;
    *y = ((double)row + 0.5) / (double)map->h;
}

void cs_map_hottest(const cs_tensor *map, const cs_map_regions *regions, double *x, double *y) {
    const double *roi = regions->cover[CS_REGION_ROI];
    size_t count = (size_t)(map->h * map->w), best = count;
    for (int pass = 0; pass < 2 && best == count; pass++)
        for (size_t i = 0; i < count; i++)
            if ((pass || !roi || roi[i] < 0.5) &&
                (best == count || cs_tensor_value(map, i) > cs_tensor_value(map, best)))
                best = i;
    centre_of(map, best, x, y);
}

void cs_map_hottest_of_ring(const cs_tensor *map, const cs_map_regions *regions, double *x,
                            double *y) {
    const double *ring = regions->cover[CS_REGION_RING];
    size_t count = (size_t)(map->h * map->w), best = 0;
    for (size_t i = 1; i < count; i++)
        best = ring[i] > ring[best] ? i : best;
    const double least = ring[best] / 2.0;
    for (size_t i = 0; i < count; i++)
        if (ring[i] >= least && cs_tensor_value(map, i) > cs_tensor_value(map, best))
            best = i;
    centre_of(map, best, x, y);
}

void cs_image_mirror(const cs_tensor *image, cs_tensor *out) {
    size_t pixel = (size_t)image->c * cs_dtype_size(image->dtype), width = (size_t)image->w;
    const char *from = image->data;
    char *to = out->data;
    for (size_t y = 0; y < (size_t)image->h; y++)
        for (size_t x = 0; x < width; x++)
            memcpy(to + (y * width + x) * pixel, from + (y * width + width - 1 - x) * pixel, pixel);
}

/* ------------------------------------------------------------------ changed images ------- */

typedef struct box {
    int64_t left, top, right, bottom; /* pixels; right and bottom are the first outside */
} box;

/* One measurement's memory. */
typedef struct changing {
    cs_run *run;
    const cs_tensor *image, *roi;
    int64_t map_columns;
    double *fill[CS_FILL_COUNT];
    double *mean; /* per channel */
    box controls[CONTROLS];
    int64_t tiles[2], order[TILES * TILES]; /* down and across; which tile comes to which place */
    cs_tensor images;                       /* a batch */
} changing;

/* One image to run. */
typedef struct pass {
    cs_change change;
    int fill;
    int64_t row; /* of a hottest square; -1: all */
} pass;

static int64_t square_side(const cs_tensor *image) {
    int64_t least = image->h < image->w ? image->h : image->w;
    int64_t side = (int64_t)(CS_CORNER_SIDE * (double)least + 0.5);
    return side < 1 ? 1 : side;
}

static box corner_box(const cs_tensor *image, int corner) {
    int64_t side = square_side(image);
    int64_t left = corner % 2 ? image->w - side : 0, top = corner / 2 ? image->h - side : 0;
    return (box){left, top, left + side, top + side};
}

/* A square around a place, moved inside the image. */
static box square_at(const cs_tensor *image, double x, double y) {
    int64_t side = square_side(image);
    int64_t left = (int64_t)(x * (double)image->w - (double)side / 2.0 + 0.5);
    int64_t top = (int64_t)(y * (double)image->h - (double)side / 2.0 + 0.5);
    left = left < 0 ? 0 : left > image->w - side ? image->w - side : left;
    top = top < 0 ? 0 : top > image->h - side ? image->h - side : top;
    return (box){left, top, left + side, top + side};
}

static bool touches(box a, box b) {
    return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/* Places that touch neither corners nor hottest squares nor, while there is room, each other. */
static void choose_controls(changing *c, const cs_diagnosis_row *row, cs_random *random) {
    const box hot[2] = {square_at(c->image, row->hottest_x, row->hottest_y),
                        square_at(c->image, row->ring_x, row->ring_y)};
    for (int i = 0; i < CONTROLS; i++)
        for (int attempt = 0; attempt < TRIES; attempt++) {
            double x = cs_random_uniform(random), y = cs_random_uniform(random);
            box b = square_at(c->image, x, y);
            bool bad = touches(b, hot[0]) || touches(b, hot[1]);
            for (int k = 0; k < CS_CORNER_COUNT && !bad; k++)
                bad = touches(b, corner_box(c->image, k));
            for (int k = 0; k < i && !bad && attempt < TRIES / 2; k++)
                bad = touches(b, c->controls[k]);
            c->controls[i] = b;
            if (!bad)
                break;
        }
}

static void choose_tiles(changing *c, cs_random *random) {
    c->tiles[0] = c->image->h < TILES ? c->image->h : TILES;
    c->tiles[1] = c->image->w < TILES ? c->image->w : TILES;
    int64_t count = c->tiles[0] * c->tiles[1];
    for (int64_t i = 0; i < count; i++)
        c->order[i] = i;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)(cs_random_uniform(random) * (double)(i + 1)), kept = c->order[i];
        c->order[i] = c->order[j];
        c->order[j] = kept;
    }
}

/* Whether the change replaces pixel (x, y). */
static bool is_replaced(const changing *c, const pass *p, box b, int64_t x, int64_t y) {
    const cs_tensor *image = c->image;
    bool in_roi = c->roi && cs_tensor_value(c->roi, (size_t)(y * image->w + x)) >= 0.5;
    double least = (double)(image->h < image->w ? image->h : image->w);
    int64_t ring = (int64_t)(CS_RING_WIDTH * least + 0.5);
    bool in_ring = x < ring || y < ring || x >= image->w - ring || y >= image->h - ring;
    bool in_box = x >= b.left && x < b.right && y >= b.top && y < b.bottom;
    switch (p->change) {
    case CS_CHANGE_RING: return in_ring;
    case CS_CHANGE_ROI_REMOVED: return in_roi;
    case CS_CHANGE_ROI_ONLY: return !in_roi;
    case CS_CHANGE_HOTTEST: return in_box && !in_roi;
    case CS_CHANGE_RING_HOTTEST: return in_box && in_ring;
    default: return in_box;
    }
}

static box pass_box(const changing *c, const pass *p, const cs_diagnosis_row *rows) {
    int64_t width = c->image->w, height = c->image->h;
    if (p->change < CS_CORNER_COUNT)
        return corner_box(c->image, (int)p->change);
    if (p->change == CS_CHANGE_LEFT)
        return (box){0, 0, width / 2, height};
    if (p->change == CS_CHANGE_RIGHT)
        return (box){width - width / 2, 0, width, height};
    if (p->change == CS_CHANGE_HOTTEST)
        return square_at(c->image, rows[p->row].hottest_x, rows[p->row].hottest_y);
    if (p->change == CS_CHANGE_RING_HOTTEST)
        return square_at(c->image, rows[p->row].ring_x, rows[p->row].ring_y);
    if (p->change >= CS_CHANGE_CONTROL && p->change <= CS_CHANGE_CONTROL_LAST)
        return c->controls[p->change - CS_CHANGE_CONTROL];
    return (box){0, 0, 0, 0};
}

/* The pixel of the image that comes to (x, y). */
static int64_t moved_from(const changing *c, cs_change change, int64_t x, int64_t y) {
    int64_t width = c->image->w;
    if (change == CS_CHANGE_MIRRORED)
        return y * width + width - 1 - x;
    if (change == CS_CHANGE_SHIFTED) {
        int64_t by = (width + c->map_columns / 2) / c->map_columns;
        return y * width + (x < by ? 0 : x - by);
    }
    int64_t tall = c->image->h / c->tiles[0], wide = width / c->tiles[1];
    int64_t row = y / tall, column = x / wide;
    if (row >= c->tiles[0] || column >= c->tiles[1])
        return y * width + x; /* what is left over at the edges stays */
    int64_t tile = c->order[row * c->tiles[1] + column];
    return (tile / c->tiles[1] * tall + y % tall) * width + tile % c->tiles[1] * wide + x % wide;
}

/* Makes the changed image at place `slot` of the batch. */
static void make_image(changing *c, const pass *p, const cs_diagnosis_row *rows, int64_t slot) {
    const cs_tensor *image = c->image;
    size_t channels = (size_t)image->c, to = (size_t)(slot * image->h * image->w) * channels;
    box b = pass_box(c, p, rows);
    for (int64_t y = 0; y < image->h; y++)
        for (int64_t x = 0; x < image->w; x++, to += channels) {
            size_t from = (size_t)(y * image->w + x) * channels;
            bool filled = cs_change_has_fill(p->change) && is_replaced(c, p, b, x, y);
            if (!cs_change_has_fill(p->change) && p->change != CS_CHANGE_FLAT)
                from = (size_t)moved_from(c, p->change, x, y) * channels;
            for (size_t k = 0; k < channels; k++)
                cs_tensor_store(&c->images, to + k,
                                filled                        ? c->fill[p->fill][from + k]
                                : p->change == CS_CHANGE_FLAT ? c->mean[k]
                                                              : cs_tensor_value(image, from + k));
        }
}

/* ------------------------------------------------------------------ measuring ------------ */

static void store_result(const cs_tensor *logits, int64_t n, double *softmax, const pass *p,
                         cs_diagnosis_row *rows, int64_t count) {
    cs_softmax(logits, n, softmax);
    for (int64_t r = p->row < 0 ? 0 : p->row; r < (p->row < 0 ? count : p->row + 1); r++) {
        cs_change_result *result = &rows[r].change[p->change][p->fill];
        double margin = cs_class_margin(logits, n, rows[r].class_index);
        bool finite = isfinite(margin) && isfinite(softmax[rows[r].class_index]);
        result->margin = finite ? margin : (double)NAN;
        result->probability = finite ? softmax[rows[r].class_index] : (double)NAN;
        result->predicted = finite ? (int32_t)cs_class_argmax(logits, n) : -1;
    }
}

static cs_status run_passes(changing *c, const pass *passes, int64_t count, double *softmax,
                            cs_diagnosis_row *rows, int64_t row_count, cs_error *err) {
    int64_t batch = c->images.n;
    for (int64_t first = 0; first < count; first += batch) {
        cs_tensor view = c->images, logits;
        view.n = count - first < batch ? count - first : batch;
        for (int64_t i = 0; i < view.n; i++)
            make_image(c, &passes[first + i], rows, i);
        CS_TRY(cs_run_forward(c->run, &view, err));
        CS_TRY(cs_run_output(c->run, &logits, err));
        for (int64_t i = 0; i < view.n; i++)
            store_result(&logits, i, softmax, &passes[first + i], rows, row_count);
    }
    return CS_OK;
}

static int64_t list_passes(const changing *c, int64_t row_count, pass *passes) {
    int64_t count = 0;
    for (int change = 0; change < CS_CHANGE_COUNT; change++) {
        if (!c->roi && (change == CS_CHANGE_ROI_REMOVED || change == CS_CHANGE_ROI_ONLY))
            continue;
        bool each = change == CS_CHANGE_HOTTEST || change == CS_CHANGE_RING_HOTTEST;
        for (int f = 0; f < (cs_change_has_fill((cs_change)change) ? CS_FILL_COUNT : 1); f++)
            for (int64_t r = 0; r < (each ? row_count : 1); r++)
                passes[count++] = (pass){(cs_change)change, f, each ? r : -1};
    }
    return count;
}

static void mean_color(const cs_tensor *image, double *mean) {
    size_t count = (size_t)(image->h * image->w);
    cs_channel_sums(image, 0, mean);
    for (int64_t k = 0; k < image->c; k++)
        mean[k] /= (double)count;
}

static void clear_results(cs_diagnosis_row *rows, int64_t count) {
    const cs_change_result none = {.margin = (double)NAN, .probability = (double)NAN, -1, 0};
    for (int64_t r = 0; r < count; r++) {
        rows[r].has_changes = true;
        for (int i = 0; i < CS_CHANGE_COUNT; i++)
            for (int f = 0; f < CS_FILL_COUNT; f++)
                rows[r].change[i][f] = none;
    }
}

cs_status cs_changes_measure(cs_run *run, const cs_tensor *image, const cs_changes_options *options,
                             cs_diagnosis_row *rows, int64_t count, cs_error *err) {
    const cs_tensor *roi = options->roi;
    int64_t classes = options->class_count;
    CS_CHECK(image->n == 1 && count >= 1 && options->batch >= 1 && options->map_columns >= 1 &&
                 classes >= 1 && (!roi || (roi->h == image->h && roi->w == image->w)),
             CS_ERROR_ARGUMENT, "changes need one image, its rows, and a mask of its size");
    changing c = {.run = run, .image = image, .roi = roi, .map_columns = options->map_columns};
    cs_random random = {options->seed};
    double least = (double)(image->h < image->w ? image->h : image->w);
    size_t most = (size_t)(CS_CHANGE_COUNT + 2 * count) * CS_FILL_COUNT;
    pass *passes = calloc(most, sizeof *passes);
    double *softmax = calloc((size_t)(classes + image->c), sizeof *softmax);
    cs_status status = CS_OK;
    if (!passes || !softmax)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    for (int f = 0; f < CS_FILL_COUNT && status == CS_OK; f++)
        status = cs_fill_make(image, f == CS_FILL_BLUR, BLUR_SHARE * least, &c.fill[f], err);
    if (status == CS_OK)
        status = cs_tensor_allocate(&c.images, image->dtype, options->batch, image->c, image->h,
                                    image->w, err);
    if (status == CS_OK) {
        c.mean = softmax + classes;
        mean_color(image, c.mean);
        clear_results(rows, count);
        choose_controls(&c, rows, &random);
        choose_tiles(&c, &random);
        status = run_passes(&c, passes, list_passes(&c, count, passes), softmax, rows, count, err);
    }
    for (int f = 0; f < CS_FILL_COUNT; f++)
        free(c.fill[f]);
    cs_tensor_release(&c.images);
    free(passes);
    free(softmax);
    return status;
}
