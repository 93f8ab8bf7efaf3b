/* convolve.c - the one driver behind convolution, linear and their input gradients.
 *
 *   result[n,i,j,k] = bias[k] + sum over taps t, channels c of
 *                     from[n,y(i,t),x(j,t),c] * w[t][c][k]
 *
 * as one chain an output, taps then channels ascending (docs/arithmetic.md). No im2col: a table of
 * pointers, one for each tap and result, leads to the channels of the source pixel; taps outside
 * the map point to a row of zeros, which leaves a chain's bits as they are.
 *
 * The idea of the pointer table is that of Dukhan, "The Indirect Convolution Algorithm" (2019).
 *
 * Work is divided into units: a strip of results (consecutive pixels) times as many panels of 16
 * channels as the kernel takes at once. Consecutive units share their strip, so a thread's share
 * re-reads the strip from cache.
 */
#include "layer_real.h"

#include <assert.h>
#include <string.h>

/* Results of a strip: at most 1.5 times this. Tiles of 14, 6 and 3 pixels divide it evenly, or
 * nearly. */
#define STRIP       56
#define STRIP_LIMIT (STRIP + STRIP / 2)

/* What a part keeps between units: the strip's pointers and result pixels, and a tile's sums. */
typedef struct NAME(strip) {
    REAL acc[KERNEL_PANELS_LIMIT * KERNEL_TILE_LIMIT * KERNEL_PANEL];
    size_t pixel[STRIP_LIMIT];
    size_t length, row, group; /* which strip and group are loaded */
    const REAL *source[];      /* [taps][STRIP_LIMIT] */
} NAME(strip);

size_t NAME(convolve_scratch)(size_t taps) {
    return cs_align64(sizeof(NAME(strip)) + taps * STRIP_LIMIT * sizeof(const REAL *));
}

/* Fills the pointer table for results [begin, end) of group g. */
static void load_strip(const NAME(convolve) *work, NAME(strip) *strip, size_t begin, size_t end,
                       int64_t g) {
    const int64_t per_image = work->rows * work->cols;
    const int64_t channels = work->source.c / work->groups;
    strip->length = end - begin;
    for (size_t q = begin; q < end; q++) {
        const int64_t n = (int64_t)q / per_image, rest = (int64_t)q % per_image;
        const int64_t i = rest / work->cols, j = rest % work->cols;
        const REAL *image =
            work->from + (size_t)n * (size_t)(work->source.h * work->source.w * work->source.c);
        strip->pixel[q - begin] =
            (size_t)((n * work->result.h + work->row0 + i * work->row_step) * work->result.w +
                     work->col0 + j * work->col_step);
        for (size_t t = 0; t < work->taps; t++) {
            const int64_t y = i * work->row_step_in + work->tap_row[t];
            const int64_t x = j * work->col_step_in + work->tap_col[t];
            const bool inside =
                (uint64_t)y < (uint64_t)work->source.h && (uint64_t)x < (uint64_t)work->source.w;
            strip->source[t * STRIP_LIMIT + (q - begin)] =
                inside ? image + (y * work->source.w + x) * work->source.c + g * channels
                       : work->zeros;
        }
    }
}

/* One panel of a tile through the epilogue: `k` is the first of `lanes` result channels. */
static unsigned finish(const NAME(convolve) *work, const NAME(strip) *strip, const REAL *acc,
                       size_t begin, int pixels, int64_t k, int lanes) {
    const layer_epilogue *e = &work->epilogue;
    const REAL *scale = e->scale_shift, *residual = e->residual;
    const NAME(finish_tile) tile = {
        .pixels = pixels,
        .lanes = lanes,
        .acc = acc,
        .pixel = strip->pixel + begin,
        .scale = scale ? scale + k : NULL,
        .shift = scale ? scale + NAME(norm_stride)(work->result.c) + k : NULL,
        .residual = residual ? residual + k : NULL,
        .relu = e->relu,
        .add = work->add,
        .gates = e->gates ? e->gates + k / CS_PANEL : NULL,
        .gate_stride = layer_gate_words(work->result.c),
        .out_stride = (size_t)work->result.c,
        .out = work->to + k,
    };
    return work->kernels->finish_tile(&tile);
}

/* One strip times `panels` panels: tiles as even as they come, each through the epilogue while it
 * is in cache. `k` is the first of the result channels, `left` how many the group has from there.
 */
static unsigned run_unit(const NAME(convolve) *work, NAME(strip) *strip, const REAL *panel,
                         int panels, int64_t k, int64_t left) {
    const size_t limit = (size_t)work->kernels->tile_pixels;
    const size_t tiles = (strip->length + limit - 1) / limit;
    REAL bias[KERNEL_PANELS_LIMIT * KERNEL_PANEL] = {0};
    if (work->bias)
        memcpy(bias, work->bias + k,
               (size_t)(left < panels * CS_PANEL ? left : panels * CS_PANEL) * sizeof(REAL));
    unsigned flags = 0;
    for (size_t t = 0; t < tiles; t++) {
        size_t begin, end;
        cs_share(strip->length, t, tiles, &begin, &end);
        const NAME(conv_tile) tile = {
            .pixels = (int)(end - begin),
            .panels = panels,
            .taps = work->taps,
            .channels = (size_t)(work->source.c / work->groups),
            .source = strip->source + begin,
            .source_stride = STRIP_LIMIT,
            .panel = panel,
            .panel_size = work->panel_size,
            .tap_panel = work->tap_panel,
            .bias = work->bias ? bias : NULL,
            .acc = strip->acc,
        };
        work->kernels->conv_tile(&tile);
        for (int i = 0; i < panels; i++) {
            const int64_t lanes = left - i * CS_PANEL;
            flags |=
                finish(work, strip, strip->acc + i * tile.pixels * CS_PANEL, begin, tile.pixels,
                       k + i * CS_PANEL, (int)(lanes < CS_PANEL ? lanes : CS_PANEL));
        }
    }
    return flags;
}

unsigned NAME(convolve_part)(const NAME(convolve) *work, size_t part, size_t parts) {
    NAME(strip) *strip = work->scratch;
    const size_t pixels = (size_t)(work->batch * work->rows * work->cols);
    const size_t strips = pixels < STRIP ? 1 : (pixels + STRIP / 2) / STRIP;
    const int64_t outputs = work->result.c / work->groups;
    const size_t groups = (size_t)work->groups, together = (size_t)work->kernels->tile_panels;
    const size_t panels = layer_gate_words(outputs), bundles = (panels + together - 1) / together;
    size_t begin, end;
    if (pixels == 0)
        return 0;
    cs_share(strips * groups * bundles, part, parts, &begin, &end);
    strip->row = strip->group = SIZE_MAX;
    unsigned flags = 0;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t row = unit / (groups * bundles);
        const size_t group = unit / bundles % groups, p = unit % bundles * together;
        if (strip->row != row || strip->group != group) {
            size_t first, last;
            cs_share(pixels, row, strips, &first, &last);
            assert(last - first <= STRIP_LIMIT);
            load_strip(work, strip, first, last, (int64_t)group);
            strip->row = row;
            strip->group = group;
        }
        flags |= run_unit(work, strip, work->panels + (group * panels + p) * work->panel_size,
                          (int)(panels - p < together ? panels - p : together),
                          (int64_t)group * outputs + (int64_t)p * CS_PANEL,
                          outputs - (int64_t)p * CS_PANEL);
    }
    return flags;
}
