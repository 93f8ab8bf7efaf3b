/* strip.c - the pointer table of a strip: where each tap of each of its results finds its values.
 *
 * A strip is a stretch of consecutive results. Its table has a row for each tap and in it a pointer
 * for each result: to the channels of the source pixel, or to zeros where the tap lies outside the
 * map (a zero term leaves a chain's bits as they are).
 *
 * A tap may be a *run*: several neighbouring source pixels, which lie side by side in memory, read
 * as one. A run that leaves the map is copied into the strip's own memory with zeros outside.
 */
#include "strip.h"

#include <string.h>

/* One tap of results j0 .. j1 of one row: where they are in source and table. */
typedef struct segment {
    const REAL *row;      /* the source's row, or NULL where the tap lies above or below the map */
    const uint16_t *mask; /* the row's masks, or NULL where none are wanted */
    int64_t j0, j1;       /* columns of the results, j1 exclusive */
    int64_t x0;           /* the source column of result column 0 */
    const REAL **to;      /* the pointer of column j0 */
    const uint16_t **mask_to;
} segment;

/* The first j with x0 + j * step >= bound, between 0 and limit. */
static int64_t first_reaching(int64_t x0, int64_t step, int64_t bound, int64_t limit) {
    const int64_t distance = bound - x0;
    const int64_t j = distance <= 0 ? 0 : (distance + step - 1) / step;
    return j < limit ? j : limit;
}

/* A run that leaves the row on one side or both, in the strip's own memory. */
static const REAL *copied_run(const NAME(convolve) *work, NAME(strip) *strip, const REAL *row,
                              int64_t x) {
    const int64_t c = work->source.c, w = work->source.w;
    const int64_t from = x < 0 ? 0 : x, to = x + work->run < w ? x + work->run : w;
    REAL *copy = strip->copies + strip->copied++ * (size_t)(work->run * c);
    memset(copy, 0, (size_t)(work->run * c) * sizeof *copy);
    if (to > from)
        memcpy(copy + (from - x) * c, row + from * c, (size_t)((to - from) * c) * sizeof *copy);
    return copy;
}

/* Columns left of `inside` begin left of the map; from `beyond` on they end right of it. */
static void load_segment(const NAME(convolve) *work, NAME(strip) *strip, const segment *s) {
    const int64_t step = work->col_step_in, c = work->source.c;
    const int64_t inside = s->row ? first_reaching(s->x0, step, 0, s->j1) : s->j1;
    const int64_t beyond =
        s->row ? first_reaching(s->x0, step, work->source.w - work->run + 1, s->j1) : s->j1;
    const REAL **to = s->to - s->j0;
    const int64_t left = inside < s->j0 ? s->j0 : inside, right = beyond < left ? left : beyond;
    strip->outside += (size_t)((s->j1 - s->j0) - (right - left));
    for (int64_t j = s->j0; j < s->j1; j++)
        if (j >= inside && j < beyond)
            to[j] = s->row + (s->x0 + j * step) * c;
        else if (s->row && work->run > 1)
            to[j] = copied_run(work, strip, s->row, s->x0 + j * step);
        else
            to[j] = work->zeros;
    if (!work->nonzero)
        return;
    const uint16_t **mask_to = s->mask_to - s->j0;
    const int64_t words = (int64_t)layer_gate_words(c);
    for (int64_t j = s->j0; j < s->j1; j++)
        mask_to[j] = j >= inside && j < beyond ? s->mask + (s->x0 + j * step) * words
                                               : (const uint16_t *)(const void *)work->zeros;
}

/* All taps of results [j0, j1) of row i of image n, which are the strip's from `at` on. */
static void load_row(const NAME(convolve) *work, NAME(strip) *strip, int64_t n, int64_t i,
                     int64_t j0, int64_t j1, size_t at) {
    const int64_t c = work->source.c, row = work->source.w * c;
    const REAL *image = work->from + n * work->source.h * row +
                        (int64_t)strip->group * (work->source.c / work->groups);
    const int64_t words = (int64_t)layer_gate_words(c);
    const uint16_t *masks = work->nonzero
                                ? work->nonzero + n * work->source.h * work->source.w * words +
                                      (int64_t)strip->group * (c / work->groups) / CS_PANEL
                                : NULL;
    const int64_t first =
        (n * work->result.h + work->row0 + i * work->row_step) * work->result.w + work->col0;
    for (int64_t j = j0; j < j1; j++)
        strip->pixel[at + (size_t)(j - j0)] = (size_t)(first + j * work->col_step);
    for (size_t t = 0; t < work->taps; t++) {
        const int64_t y = i * work->row_step_in + work->tap_row[t];
        const bool inside = (uint64_t)y < (uint64_t)work->source.h;
        const segment s = {
            .row = inside ? image + y * row : NULL,
            .mask = masks && inside ? masks + y * work->source.w * words : NULL,
            .j0 = j0,
            .j1 = j1,
            .x0 = work->tap_col[t],
            .to = strip->source + t * STRIP_LIMIT + at,
            .mask_to = masks ? strip->nonzero + t * STRIP_LIMIT + at : NULL,
        };
        load_segment(work, strip, &s);
    }
}

void NAME(strip_load)(const NAME(convolve) *work, NAME(strip) *strip, size_t begin, size_t end) {
    const int64_t per_image = work->rows * work->cols;
    strip->begin = begin;
    strip->length = end - begin;
    strip->copied = strip->outside = 0;
    for (size_t q = begin; q < end;) {
        const int64_t n = (int64_t)q / per_image, rest = (int64_t)q % per_image;
        const int64_t i = rest / work->cols, j = rest % work->cols;
        const int64_t left = (int64_t)(end - q), in_row = work->cols - j;
        const int64_t count = left < in_row ? left : in_row;
        load_row(work, strip, n, i, j, j + count, q - begin);
        q += (size_t)count;
    }
}

size_t NAME(strip_size)(size_t taps, size_t run, size_t channels) {
    const size_t table = cs_align64(taps * STRIP_LIMIT * sizeof(const REAL *));
    const size_t copies = run > 1 ? taps * STRIP_LIMIT * run * channels * sizeof(REAL) : 0;
    return cs_align64(sizeof(NAME(strip))) + 2 * table + cs_align64(copies);
}

NAME(strip) *NAME(strip_in)(const NAME(convolve) *work) {
    const size_t table = cs_align64(work->taps * STRIP_LIMIT * sizeof(const REAL *));
    NAME(strip) *strip = work->scratch;
    char *behind = (char *)work->scratch + cs_align64(sizeof *strip);
    strip->source = (const REAL **)(void *)behind;
    strip->nonzero = (const uint16_t **)(void *)(behind + table);
    strip->copies = (REAL *)(void *)(behind + 2 * table);
    strip->row = strip->group = SIZE_MAX;
    return strip;
}
