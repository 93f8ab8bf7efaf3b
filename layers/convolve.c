/* convolve.c - the one driver behind convolution, linear and their input gradients.
 *
 *   result[n,i,j,k] = bias[k] + sum over taps t, channels c of
 *                     from[n,y(i,t),x(j,t),c] * w[t][c][k]
 *
 * as one chain an output, taps then channels ascending (docs/arithmetic.md). No im2col: a table of
 * pointers (strip.c), one for each tap and result, leads to the channels of the source pixel.
 * The idea of the pointer table is that of Dukhan, "The Indirect Convolution Algorithm" (2019).
 *
 * Work is divided into units: a strip of results (consecutive pixels) times a bundle of panels of
 * 16 channels. Consecutive units share their strip. A unit is computed densely, tile by tile, or
 * without the source's zeros where there are enough of them; the bits are the same.
 */
#include "strip.h"

#include <assert.h>
#include <string.h>

/* Pixels of a strip for which it is worth reading all weights. */
#define PIXELS_WORTH 64

/* A unit: the loaded strip times `panels` panels from `panel` on; `k` is the first of its result
 * channels, `lanes` how many of them exist. */
typedef struct NAME(unit) {
    const NAME(convolve) *work;
    NAME(strip) *strip;
    const REAL *panel, *panel_end;
    int panels;
    int64_t k, lanes;
    const REAL *bias; /* [panels][16], or NULL */
} NAME(unit);

/* A lane's weight is zero at a tap that it lacks, and zero times NaN or infinity is NaN: where such
 * a result shows up, the pixel's chains are made again over their own taps. */
static void mend_phases(const NAME(unit) *unit, size_t begin, int pixels) {
    const NAME(convolve) *work = unit->work;
    for (int p = 0; p < pixels; p++) {
        REAL *acc = unit->strip->acc + p * CS_PANEL;
        bool bad = false;
        for (int64_t l = 0; l < unit->lanes; l++)
            bad |= NAME(not_finite)(acc[l]);
        for (int64_t l = 0; bad && l < unit->lanes; l++) {
            acc[l] = 0;
            for (size_t t = 0; t < work->taps; t++) {
                const REAL *from = unit->strip->source[t * STRIP_LIMIT + begin + (size_t)p];
                const REAL *weight = unit->panel + work->tap_panel[t] + l;
                if (work->phases->lanes[t] >> l & 1)
                    for (int64_t c = 0; c < work->source.c; c++)
                        acc[l] = NAME(fused)(from[c], weight[c * CS_PANEL], acc[l]);
            }
        }
    }
}

/* Whether pixel `first` of a block has a neighbour (py, px) in it that lies inside the map. */
static bool phase_inside(const NAME(convolve) *work, size_t first, int64_t py, int64_t px) {
    const int64_t row = (int64_t)first / work->result.w % work->result.h;
    return row + py < work->result.h && (int64_t)first % work->result.w + px < work->result.w;
}

/* The tile once for each phase that its pixels have, or for each row of phases, which lie side by
 * side (gates do not). */
static unsigned finish_phases(const NAME(unit) *unit, const NAME(finish_tile) *tile) {
    const NAME(convolve) *work = unit->work;
    const int64_t c = work->result.c, wide = work->phases->wide;
    const int64_t together = tile->open || work->result.w % wide != 0 ? 1 : wide;
    unsigned flags = 0;
    for (int64_t phase = 0; phase < work->phases->high * wide; phase += together) {
        const int64_t py = phase / wide, px = phase % wide;
        const size_t offset = (size_t)(py * work->result.w + px);
        NAME(finish_tile) one = *tile;
        one.lanes = (int)(c * together);
        one.out += offset * one.out_stride;
        one.open = one.open ? one.open + offset * one.gate_stride : NULL;
        for (int p = 0; p < tile->pixels; p += one.pixels ? one.pixels : 1) {
            for (one.pixels = 0; p + one.pixels < tile->pixels &&
                                 phase_inside(work, tile->pixel[p + one.pixels], py, px);)
                one.pixels++;
            one.acc = tile->acc + (size_t)p * tile->acc_stride + phase * c;
            one.pixel = tile->pixel + p;
            one.known = tile->known - p;
            if (one.pixels > 0)
                flags |= work->kernels->finish_tile(&one);
        }
    }
    return flags;
}

/* Results [begin, begin + pixels) of the strip, panels from `first` on, through the epilogue. */
static unsigned finish(const NAME(unit) *unit, size_t begin, int pixels, int first, int panels) {
    const NAME(convolve) *work = unit->work;
    const layer_epilogue *e = &work->epilogue;
    const int64_t k = unit->k + first * CS_PANEL, left = unit->lanes - first * CS_PANEL;
    const REAL *scale = e->scale_shift, *residual = e->residual;
    const NAME(finish_tile) tile = {
        .pixels = pixels,
        .lanes = (int)(left < panels * CS_PANEL ? left : panels * CS_PANEL),
        .acc_stride = (size_t)(panels * CS_PANEL),
        .acc = unit->strip->acc,
        .pixel = unit->strip->pixel + begin,
        .known = (int)(unit->strip->length - begin),
        .scale = scale ? scale + k : NULL,
        .shift = scale && !work->backward ? scale + NAME(norm_stride)(work->result.c) + k : NULL,
        .residual = residual ? residual + k : NULL,
        .relu = e->relu,
        .add = work->add,
        .gates = e->gates && !work->backward ? e->gates + k / CS_PANEL : NULL,
        .open = e->gates && work->backward ? e->gates + k / CS_PANEL : NULL,
        .gate_stride = layer_gate_words(work->result.c),
        .out_stride = (size_t)work->result.c,
        .out = work->to + k,
    };
    if (!work->phases)
        return work->kernels->finish_tile(&tile);
    mend_phases(unit, begin, pixels);
    return finish_phases(unit, &tile);
}

/* Tiles as even as they come, each through the epilogue while it is in cache. While a pair of
 * panels is at work, the next one is fetched, a part of it with each tile. */
static unsigned run_dense(const NAME(unit) *unit, int first, int panels) {
    const NAME(convolve) *work = unit->work;
    const size_t limit = (size_t)work->kernels->tile_pixels, length = unit->strip->length;
    const size_t tiles = (length + limit - 1) / limit;
    const size_t channels = (size_t)(work->source.c / work->groups / work->together * work->run);
    const REAL *panel = unit->panel + (size_t)first * work->panel_size;
    const REAL *next = panel + (size_t)panels * work->panel_size;
    unsigned flags = 0;
    for (size_t t = 0; t < tiles; t++) {
        size_t begin, end;
        cs_share(length, t, tiles, &begin, &end);
        const size_t step = (size_t)panels * CS_PANEL * sizeof(REAL) / tiles;
        const NAME(conv_tile) tile = {
            .pixels = (int)(end - begin),
            .panels = panels,
            .taps = work->taps,
            .channels = channels,
            .source = unit->strip->source + begin,
            .source_stride = STRIP_LIMIT,
            .panel = panel,
            .panel_size = work->panel_size,
            .tap_panel = work->tap_panel,
            .bias = unit->bias ? unit->bias + first * CS_PANEL : NULL,
            .ahead = next + work->panel_size <= unit->panel_end
                         ? (const char *)next + t * work->taps * channels * step
                         : NULL,
            .ahead_step = step,
            .acc = unit->strip->acc,
        };
        if (work->double_sums)
            work->kernels->wide_tile(&tile);
        else if (work->together > 1)
            work->kernels->group_tile(&tile);
        else
            work->kernels->conv_tile(&tile);
        flags |= finish(unit, begin, tile.pixels, first, panels);
    }
    return flags;
}

/* The length of a row where the strip is whole rows of an even length, two by two; or 0. */
static size_t rows_in_pairs(const NAME(convolve) *work, const NAME(strip) *strip) {
    const size_t row = (size_t)work->cols;
    const bool whole = row % 2 == 0 && strip->begin % row == 0 && strip->length % (2 * row) == 0;
    return whole ? row : 0;
}

static unsigned run_skipping(const NAME(unit) *unit) {
    const NAME(convolve) *work = unit->work;
    const NAME(strip) *strip = unit->strip;
    const REAL *next = unit->panel + (size_t)unit->panels * work->panel_size;
    const NAME(skip_tile) tile = {
        .pixels = (int)strip->length,
        .row = (int)rows_in_pairs(work, strip),
        .panels = unit->panels,
        .taps = work->taps,
        .channels = (size_t)(work->source.c / work->groups),
        .source = strip->source,
        .nonzero = strip->nonzero,
        .source_stride = STRIP_LIMIT,
        .panel = unit->panel,
        .panel_size = work->panel_size,
        .tap_panel = work->tap_panel,
        .bias = unit->bias,
        .ahead = next < unit->panel_end ? next : NULL,
        .acc = unit->strip->acc,
    };
    work->kernels->skip_tile(&tile);
    return finish(unit, 0, tile.pixels, 0, unit->panels);
}

static unsigned run_unit(NAME(unit) *unit) {
    const NAME(convolve) *work = unit->work;
    const int together = work->kernels->tile_panels;
    REAL bias[KERNEL_SKIP_LIMIT * KERNEL_PANEL] = {0};
    unsigned flags = 0;
    if (work->bias)
        memcpy(bias, work->bias + unit->k, (size_t)unit->lanes * sizeof(REAL));
    unit->bias = work->bias ? bias : NULL;
    if (unit->strip->skip)
        flags = run_skipping(unit);
    for (int first = 0; first < unit->panels && !unit->strip->skip; first += together) {
        const int left = unit->panels - first;
        flags |= run_dense(unit, first, left < together ? left : together);
    }
    unit->bias = NULL;
    return flags;
}

/* ------------------------------------------------------------------ dense or skipping ---- */

/* Every so many'th pixel is looked at. */
#define SAMPLED 8

/* Ones among the bits of each of four words, added to the four counts in `counts`. */
static inline uint64_t add_ones(uint64_t counts, uint64_t bits) {
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return counts + (bits & UINT64_C(0x00ff00ff00ff00ff)) +
           (bits >> 8 & UINT64_C(0x00ff00ff00ff00ff));
}

/* Where the q'th of the neighbours lies that pixel p is joined with: behind it, or in a square. */
static size_t neighbour(size_t p, size_t q, size_t row) {
    return row ? p / (2 * row) * (2 * row) + p % (2 * row) / 4 * 2 + q % 2 + q / 2 * row : p + q;
}

/* About how many channels of the strip's middle tap, whose sources are nearly all of the strip's,
 * are left when zeros that `joined` neighbours share are skipped, summed over its pixels. */
static size_t count_left(const NAME(convolve) *work, const NAME(strip) *strip, size_t joined) {
    const size_t words = (size_t)(work->source.c / work->groups) / CS_PANEL;
    const uint16_t *const *nonzero = strip->nonzero + work->taps / 2 * STRIP_LIMIT;
    const size_t row = joined == 4 ? rows_in_pairs(work, strip) : 0; /* four are a square */
    size_t left = 0;
    for (size_t p = 0; p < strip->length; p += joined * SAMPLED) {
        uint64_t counts = 0;
        for (size_t i = 0; i < words; i += KERNEL_WORDS) {
            uint64_t bits = 0;
            for (size_t q = 0; q < joined && p + q < strip->length; q++)
                bits |= kernel_mask(nonzero[neighbour(p, q, row)] + i, words - i);
            counts = add_ones(counts, bits);
        }
        left += SAMPLED * joined * (counts * UINT64_C(0x0001000100010001) >> 48);
    }
    return left;
}

/* Whether zeros are to be skipped in the loaded strip. */
static bool strip_skips(const NAME(convolve) *work, const NAME(strip) *strip) {
    const NAME(kernels) *kernels = work->kernels;
    const int64_t panels = (int64_t)layer_gate_words(work->result.c / work->groups);
    const bool few = panels * 2 <= kernels->skip_panels;
    if (!work->nonzero || work->taps == 0)
        return false;
    if (work->kernel == LAYER_KERNEL_SKIP)
        return true;
    /* left / (length * channels) <= (percent - load / length) / 100 */
    const double taps = (double)(work->taps * strip->length);
    const double left = (double)count_left(work, strip, few ? (size_t)kernels->joined_pixels : 1) *
                        (taps - (double)strip->outside) / taps;
    const double percent = few ? kernels->joined_percent : kernels->skip_percent;
    const double limit = percent * (double)strip->length - kernels->skip_load;
    const int64_t channels = work->source.c / work->groups;
    return left * 100 <= limit * (double)channels;
}

/* ------------------------------------------------------------------ all units ------------ */

/* As few strips as may be, or a multiple of the parts: each part then has pixels of its own, of
 * which the layers before and behind give it the same ones, so that they are in its CPU's cache.
 * Where that leaves it few pixels for the weights that it must read, parts share pixels and divide
 * channels. */
static size_t count_strips(const NAME(convolve) *work, size_t pixels, size_t units_a_strip,
                           size_t parts) {
    const size_t limit = (size_t)work->kernels->tile_pixels;
    const size_t least = (pixels + STRIP_LIMIT - 1) / STRIP_LIMIT;
    const size_t most = (pixels + limit - 1) / limit;
    const size_t dealt = (least + parts - 1) / parts * parts;
    const bool even = least * units_a_strip % parts == 0;
    if (even && pixels < dealt * PIXELS_WORTH)
        return least;
    return dealt < most ? dealt : most;
}

unsigned NAME(convolve_part)(const NAME(convolve) *given, size_t part, size_t parts) {
    NAME(convolve) work = *given;
    const size_t pixels = (size_t)(work.batch * work.rows * work.cols);
    const int64_t phases = work.phases ? work.phases->high * work.phases->wide : 1;
    const int64_t outputs = work.result.c / work.groups * phases;
    const int64_t inner = work.source.c / work.groups;
    const size_t groups = (size_t)work.groups, together = (size_t)work.kernels->skip_panels;
    const size_t panels = layer_gate_words(outputs), bundles = (panels + together - 1) / together;
    if (pixels == 0)
        return 0;
    if (work.kernel == LAYER_KERNEL_DENSE || inner % CS_PANEL != 0 || work.run > 1 ||
        work.together > 1)
        work.nonzero = NULL;
    const size_t strips = count_strips(&work, pixels, groups * bundles, parts);
    NAME(strip) *strip = NAME(strip_in)(&work);
    size_t begin, end;
    cs_share(strips * groups * bundles, part, parts, &begin, &end);
    unsigned flags = 0;
    for (size_t index = begin; index < end; index++) {
        const size_t row = index / (groups * bundles);
        const size_t group = index / bundles % groups, p = index % bundles * together;
        if (strip->row != row || strip->group != group) {
            size_t first, last;
            cs_share(pixels, row, strips, &first, &last);
            strip->row = row;
            strip->group = group;
            NAME(strip_load)(&work, strip, first, last);
            strip->skip = strip_skips(&work, strip);
        }
        const int64_t left = outputs - (int64_t)p * CS_PANEL;
        NAME(unit) unit = {
            .work = &work,
            .strip = strip,
            .panel = work.panels + (group * panels + p) * work.panel_size,
            .panel_end = work.panels + groups * panels * work.panel_size,
            .panels = (int)(panels - p < together ? panels - p : together),
            .k = (int64_t)group * outputs + (int64_t)p * CS_PANEL,
            .lanes = left < (int64_t)together * CS_PANEL ? left : (int64_t)together * CS_PANEL,
        };
        flags |= run_unit(&unit);
    }
    return flags;
}
