/* weight_gradient.c - the one driver behind the weight gradients of convolution and linear, and the
 * sums over pixels that bias gradients are.
 *
 *   y[n,k,oy,ox] = b[k] + sum over r, s, c of x[n,c,iy,ix] * w[k,c,r,s],  iy = oy*stride - pad +
 * r*dil
 *
 * so each output pixel of each image whose tap (r, s) lies inside contributes to a weight's
 * gradient:
 *
 *   dw[k,c,r,s] = sum over n, oy, ox of  dy[n,k,oy,ox] * x[n,c,iy,ix]
 *   db[k]       = sum over n, oy, ox of  dy[n,k,oy,ox]
 *
 * Per image one chain over oy, ox ascending; then one rounded addition to the gradient, images
 * ascending (docs/arithmetic.md): a batch gives the bits of its images one after another.
 *
 * That is a convolution again: its "pixels" are the outputs k, its "channels" the columns of a row
 * of outputs, its "taps" the rows, and its weights are x, in panels of 16 input channels. So the
 * kernels of convolution compute it. For them dy is transposed and x is copied into panels with its
 * padding, each phase of the stride by itself, so that every tap finds whole rows side by side. A
 * tap outside the map is x = 0: a term that leaves the chain as it is.
 *
 * A turn takes as many images as the caches hold: first all parts copy (`weight_gradient_copy`),
 * then each computes its tiles. Each weight belongs to one unit of work, a unit to one thread.
 */
#include "layer_real.h"

#include <string.h>

/* Copies of the images that are taken together fill no more than this, unless one does. */
#define COPY_BYTES ((size_t)2 << 20)

/* A row of the kernel whose input has few channels (a stem) is read as one run of values. */
#define RUN_VALUES 64

/* Sizes of the copies, and what follows from the attributes. */
typedef struct NAME(copies) {
    size_t inner, outer; /* values of a tap, outputs of a group */
    size_t groups, panels;
    int64_t run;                       /* columns of the kernel that are one tap: 1, or all */
    int64_t columns;                   /* taps in a row of the kernel */
    int64_t phase_rows, phase_columns; /* phases of the stride that taps read */
    int64_t rows, cols;                /* of the plane of one phase */
    size_t panel_size;                 /* elements of a panel: all its phases */
    size_t line;                       /* elements of one output's dy */
    size_t image;                      /* elements of one image's copies; dy comes first */
} NAME(copies);

static NAME(copies) copies_of(const cs_node_attributes *a, cs_shape in, cs_shape out) {
    const int64_t *kernel = a->kernel_size, *stride = a->stride, *dilation = a->dilation;
    const bool run =
        a->groups == 1 && dilation[1] == 1 && kernel[1] > 1 && kernel[1] * in.c <= RUN_VALUES;
    NAME(copies)
    s = {.groups = (size_t)a->groups,
         .run = run ? kernel[1] : 1,
         .columns = run ? 1 : kernel[1],
         .phase_rows = kernel[0] > 1 ? stride[0] : 1,
         .phase_columns = !run && kernel[1] > 1 ? stride[1] : 1,
         .outer = (size_t)(a->out_channels / a->groups)};
    s.inner = (size_t)(in.c / a->groups * s.run);
    s.panels = layer_gate_words((int64_t)s.inner);
    s.rows = out.h + (kernel[0] - 1) * dilation[0] / stride[0];
    s.cols = out.w + (s.columns - 1) * dilation[1] / stride[1];
    s.panel_size = (size_t)(s.phase_rows * s.phase_columns * s.rows * s.cols) * CS_PANEL;
    /* Lines that lie whole pages apart compete for one set of the first cache. */
    s.line = cs_align64((size_t)(out.h * out.w) * sizeof(REAL)) / sizeof(REAL);
    s.line += s.line * sizeof(REAL) % 1024 == 0 ? 64 / sizeof(REAL) : 0;
    s.image = (size_t)a->out_channels * s.line + s.groups * s.panels * s.panel_size;
    return s;
}

int64_t NAME(weight_gradient_images)(const cs_node_attributes *a, cs_shape in, cs_shape out) {
    const size_t bytes = copies_of(a, in, out).image * sizeof(REAL);
    return bytes < COPY_BYTES ? (int64_t)(COPY_BYTES / bytes) : 1;
}

static int64_t images_together(const cs_node_attributes *a, cs_shape in, cs_shape out,
                               int64_t batch) {
    const int64_t images = NAME(weight_gradient_images)(a, in, out);
    return images < batch ? images : batch;
}

size_t NAME(weight_gradient_shared)(const cs_node_attributes *a, cs_shape in, cs_shape out,
                                    int64_t batch) {
    return (size_t)images_together(a, in, out, batch) * copies_of(a, in, out).image * sizeof(REAL);
}

/* A table of source rows and one of panel offsets. */
size_t NAME(weight_gradient_scratch)(const cs_node_attributes *a, cs_shape in, cs_shape out,
                                     int64_t batch) {
    const size_t images = (size_t)images_together(a, in, out, batch);
    return cs_align64(images * (size_t)out.h * KERNEL_TILE_LIMIT * sizeof(const REAL *)) +
           cs_align64((size_t)out.h * sizeof(size_t)) +
           cs_align64(KERNEL_TILE_LIMIT * KERNEL_PANELS_LIMIT * CS_PANEL * sizeof(REAL));
}

/* ------------------------------------------------------------------ copies --------------- */

#define TRANSPOSED 16 /* pixels that are transposed together: whole lines of the copy */
#define NEAR       8  /* of which so many are read side by side */

/* dy of pixels [begin, end) of an image, each output's side by side. */
static void copy_dy(const REAL *dy, size_t outputs, size_t line, size_t begin, size_t end,
                    REAL *to) {
    for (size_t k = 0; k < outputs; k += CS_PANEL) {
        const size_t count = outputs - k < CS_PANEL ? outputs - k : CS_PANEL;
        for (size_t first = begin; first < end; first += NEAR) {
            const size_t last = first + NEAR < end ? first + NEAR : end;
            for (size_t i = 0; i < count; i++)
                for (size_t p = first; p < last; p++)
                    to[(k + i) * line + p] = dy[p * outputs + k + i];
        }
    }
}

/* Row y of a phase, of image n: all groups and panels. */
static void copy_x_row(const layer_call *call, const cs_node_attributes *a, const NAME(copies) *s,
                       int64_t n, int64_t phase, int64_t y, REAL *to) {
    const cs_shape in = call->in;
    const int64_t py = phase / s->phase_columns, px = phase % s->phase_columns;
    const int64_t iy = y * a->stride[0] + py - a->padding[0];
    const bool inside = iy >= 0 && iy < in.h;
    const REAL *row = (const REAL *)call->input[0] + NAME(row_at)(in, n, inside ? iy : 0);
    const int64_t channels = in.c, per_group = channels / a->groups, values = (int64_t)s->inner;
    REAL *line = to + (size_t)(phase * s->rows + y) * (size_t)s->cols * CS_PANEL;
    for (size_t p = 0; p < s->groups * s->panels; p++, line += s->panel_size) {
        const int64_t first = (int64_t)(p % s->panels) * CS_PANEL;
        const int64_t lanes = values - first < CS_PANEL ? values - first : CS_PANEL;
        const REAL *group = row + (int64_t)(p / s->panels) * per_group + first;
        for (int64_t x = 0; x < s->cols; x++) {
            const int64_t ix = x * a->stride[1] + px - a->padding[1];
            REAL *pixel = line + x * CS_PANEL;
            if (inside && ix >= 0 && ix + s->run <= in.w && lanes == CS_PANEL) {
                memcpy(pixel, group + ix * channels, CS_PANEL * sizeof *pixel);
                continue;
            }
            /* Values of the run that lie in the map. */
            const int64_t left = ix < 0 ? -ix * channels - first : 0;
            const int64_t right = (in.w - ix) * channels - first;
            for (int64_t l = 0; l < CS_PANEL; l++)
                pixel[l] =
                    inside && l < lanes && l >= left && l < right ? group[ix * channels + l] : 0;
        }
    }
}

unsigned NAME(weight_gradient_copy)(const layer_call *call, const cs_node_attributes *a,
                                    size_t part, size_t parts) {
    const NAME(copies) s = copies_of(a, call->in, call->out);
    const size_t outputs = (size_t)call->out.c, pixels = (size_t)(call->out.h * call->out.w);
    const size_t blocks = (pixels + TRANSPOSED - 1) / TRANSPOSED;
    const size_t images = (size_t)(call->images[1] - call->images[0]);
    const size_t rows = (size_t)(s.phase_rows * s.phase_columns * s.rows);
    size_t begin, end;
    if (!call->dparameter[0])
        return 0;
    cs_share(images * blocks, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t image = i / blocks, first = i % blocks * TRANSPOSED;
        copy_dy((const REAL *)call->doutput +
                    NAME(row_at)(call->out, call->images[0] + (int64_t)image, 0),
                outputs, s.line, first, first + TRANSPOSED < pixels ? first + TRANSPOSED : pixels,
                (REAL *)call->shared + image * s.image);
    }
    cs_share(images * rows, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t image = i / rows;
        const int64_t row = (int64_t)(i % rows);
        copy_x_row(call, a, &s, call->images[0] + (int64_t)image, row / s.rows, row % s.rows,
                   (REAL *)call->shared + image * s.image + outputs * s.line);
    }
    return 0;
}

/* ------------------------------------------------------------------ products ------------- */

/* What a part works on. */
typedef struct NAME(outer_work) {
    const layer_call *call;
    const cs_node_attributes *a;
    const NAME(kernels) *kernels;
    NAME(copies) s;
    size_t images;
    size_t taps, channels;        /* of the kernel's tile: rows of outputs, and their columns */
    size_t output_tiles, bundles; /* of a group: tiles of outputs, bundles of panels */
    const REAL **source;          /* [images][taps][KERNEL_TILE_LIMIT] */
    size_t loaded;                /* the tile of outputs that `source` is about */
    size_t k[2];                  /* its outputs in its group */
    size_t *tap_panel;            /* [taps] */
    REAL *acc;
} NAME(outer_work);

static void load_outputs(NAME(outer_work) *work, size_t group, size_t tile) {
    const NAME(copies) *s = &work->s;
    if (work->loaded == group * work->output_tiles + tile)
        return;
    work->loaded = group * work->output_tiles + tile;
    cs_share(s->outer, tile, work->output_tiles, &work->k[0], &work->k[1]);
    const REAL **to = work->source;
    for (size_t n = 0; n < work->images; n++)
        for (size_t t = 0; t < work->taps; t++, to += KERNEL_TILE_LIMIT)
            for (size_t k = work->k[0]; k < work->k[1]; k++)
                to[k - work->k[0]] = (const REAL *)work->call->shared + n * s->image +
                                     (group * s->outer + k) * s->line + t * work->channels;
}

/* The loaded outputs times `panels` panels from `panel` on, for tap `tap` (of the taps as they are
 * copied), image after image. */
static unsigned run_tile(const NAME(outer_work) *work, size_t group, int64_t tap, size_t panel,
                         size_t panels) {
    const NAME(copies) *s = &work->s;
    const cs_node_attributes *a = work->a;
    const int64_t y = tap / s->columns * a->dilation[0], x = tap % s->columns * a->dilation[1];
    const int64_t py = s->phase_rows > 1 ? y % a->stride[0] : 0;
    const int64_t px = s->phase_columns > 1 ? x % a->stride[1] : 0;
    const int64_t plane = (py * s->phase_columns + px) * s->rows;
    const size_t at = (size_t)((plane + y / a->stride[0]) * s->cols + x / a->stride[1]) * CS_PANEL;
    const size_t taps = (size_t)(a->kernel_size[0] * s->columns), row = taps * s->inner;
    const size_t left = s->inner - panel * CS_PANEL;
    unsigned flags = 0;
    for (size_t t = 0; t < work->taps; t++)
        work->tap_panel[t] = at + t * (size_t)s->cols * CS_PANEL;
    for (size_t n = 0; n < work->images; n++) {
        const REAL *image = (const REAL *)work->call->shared + n * s->image;
        const NAME(conv_tile) tile = {
            .pixels = (int)(work->k[1] - work->k[0]),
            .panels = (int)panels,
            .taps = work->taps,
            .channels = work->channels,
            .source = work->source + n * work->taps * KERNEL_TILE_LIMIT,
            .source_stride = KERNEL_TILE_LIMIT,
            .panel = image + (size_t)work->call->out.c * s->line +
                     (group * s->panels + panel) * s->panel_size,
            .panel_size = s->panel_size,
            .tap_panel = work->tap_panel,
            .acc = work->acc,
        };
        static const size_t in_turn[KERNEL_TILE_LIMIT] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                          8, 9, 10, 11, 12, 13, 14, 15};
        const NAME(finish_tile) sum = {
            .pixels = tile.pixels,
            .lanes = (int)(left < panels * CS_PANEL ? left : panels * CS_PANEL),
            .acc_stride = panels * CS_PANEL,
            .acc = work->acc,
            .pixel = in_turn,
            .known = tile.pixels,
            .add = true,
            .out_stride = row,
            .out = (REAL *)work->call->dparameter[0] + (group * s->outer + work->k[0]) * row +
                   (size_t)tap * s->inner + panel * CS_PANEL,
        };
        work->kernels->conv_tile(&tile);
        flags |= work->kernels->finish_tile(&sum);
    }
    return flags;
}

/* The wider side turns slowest, so that its slice and the whole of the other stay in cache. */
static unsigned run_unit(NAME(outer_work) *work, size_t unit) {
    const NAME(copies) *s = &work->s;
    const size_t taps = (size_t)(work->a->kernel_size[0] * s->columns);
    const size_t together = (size_t)work->kernels->tile_panels;
    const bool wide = s->outer >= s->inner;
    const size_t fast = wide ? work->bundles : work->output_tiles;
    const size_t slow = wide ? work->output_tiles : work->bundles;
    const size_t quick = unit % fast, tap = unit / fast % taps, late = unit / fast / taps % slow;
    const size_t group = unit / fast / taps / slow;
    const size_t panel = (wide ? quick : late) * together;
    load_outputs(work, group, wide ? late : quick);
    return run_tile(work, group, (int64_t)tap, panel,
                    s->panels - panel < together ? s->panels - panel : together);
}

unsigned NAME(weight_gradient_part)(const layer_call *call, const cs_node_attributes *a,
                                    size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    NAME(outer_work)
    work = {.call = call, .a = a, .kernels = kernels, .s = copies_of(a, call->in, call->out)};
    const size_t tile = (size_t)kernels->tile_pixels, together = (size_t)kernels->tile_panels;
    const size_t height = (size_t)call->out.h, width = (size_t)call->out.w;
    const bool whole = work.s.cols == call->out.w; /* rows lie side by side: one tap does */
    work.images = (size_t)(call->images[1] - call->images[0]);
    work.taps = whole ? 1 : height;
    work.channels = whole ? height * width : width;
    work.output_tiles = (work.s.outer + tile - 1) / tile;
    work.bundles = (work.s.panels + together - 1) / together;
    work.loaded = SIZE_MAX;
    work.acc = call->scratch;
    work.source = (const REAL **)(void *)((char *)call->scratch +
                                          cs_align64(KERNEL_TILE_LIMIT * KERNEL_PANELS_LIMIT *
                                                     CS_PANEL * sizeof(REAL)));
    work.tap_panel = (size_t *)(void *)(work.source + work.images * height * KERNEL_TILE_LIMIT);
    size_t begin, end;
    unsigned flags = 0;
    cs_share((size_t)(a->groups * a->kernel_size[0] * work.s.columns) * work.bundles *
                 work.output_tiles,
             part, parts, &begin, &end);
    for (size_t unit = begin; unit < end; unit++)
        flags |= run_unit(&work, unit);
    return flags;
}

#define TOGETHER 64 /* channels whose sums are kept side by side */

unsigned NAME(bias_gradient_part)(const layer_call *call, size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->out.c, pixels = (size_t)(call->out.h * call->out.w);
    REAL *db = call->dparameter[1];
    size_t begin, end;
    bool bad = false;
    cs_share(channels, part, parts, &begin, &end);
    for (size_t c = begin; c < end; c += TOGETHER) {
        const size_t count = end - c < TOGETHER ? end - c : TOGETHER;
        for (int64_t n = call->images[0]; n < call->images[1]; n++) {
            double sum[TOGETHER] = {0};
            kernels->sum_rows(pixels, channels, count,
                              (const REAL *)call->doutput + NAME(row_at)(call->out, n, 0) + c, sum);
            for (size_t i = 0; i < count; i++) {
                db[c + i] = (db[c + i] + (REAL)sum[i]) + 0;
                bad |= NAME(not_finite)(db[c + i]);
            }
        }
    }
    return bad ? LAYER_OWN : 0U;
}
