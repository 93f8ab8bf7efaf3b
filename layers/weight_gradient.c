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
 * Per image one chain over oy, ox ascending for each band of a few rows, the bands' sums added up;
 * then one rounded addition to the gradient, images ascending (docs/arithmetic.md): a batch gives
 * the bits of its images one after another.
 *
 * For each tap that is a sum of outer products: of an output pixel's dy and an input pixel's x. The
 * kernel takes a few outputs and one or two panels of 16 inputs through all pixels. For it dy is
 * copied into its tiles, pixel by pixel, and x into panels with its padding, each phase of the
 * stride by itself, so that every tap finds whole rows side by side. A tap outside the map is
 * x = 0: a term that leaves the chain as it is.
 *
 * A turn takes as many images as the caches hold: first all parts copy (`weight_gradient_copy`),
 * then each computes its tiles. Each weight belongs to one unit of work, a unit to one thread.
 */
#include "layer_real.h"

#include <string.h>

/* Copies of the images that are taken together fill no more than this, unless one does. */
#define COPY_BYTES ((size_t)2 << 20)

/* A band is as many rows of outputs as hold this many pixels. One chain over all 12544 pixels
 * behind a stem is further off than all else in its factors together, by ten times
 * (tests/oracle/compare_gradients.py); a band's is short, and kernels hardly notice its end. */
#define BAND_PIXELS 256

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
    size_t pixels;                     /* of an output */
    size_t x_at;                       /* elements in front of an image's x: its dy */
    size_t image;                      /* elements of one image's copies */
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
    s.pixels = (size_t)(out.h * out.w);
    s.x_at = cs_align64(s.pixels * (size_t)a->out_channels * sizeof(REAL)) / sizeof(REAL);
    s.image = s.x_at + s.groups * s.panels * s.panel_size;
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

#define TILE_VALUES (KERNEL_TILE_LIMIT * KERNEL_PANELS_LIMIT * CS_PANEL)

/* A tile's gradients: the kernel's own, and an image's, to which its bands are added. */
size_t NAME(weight_gradient_scratch)(void) { return cs_align64(2 * TILE_VALUES * sizeof(REAL)); }

/* ------------------------------------------------------------------ copies --------------- */

#define NEAR 16 /* pixels of dy that are one piece of work */
#define FEW  4  /* outputs that are copied at once: what is one too many is the next pixel's */

/* Outputs of a tile, the same for all who copy and compute. */
static size_t output_tiles(const NAME(kernels) *kernels, const NAME(copies) *s) {
    return (s->outer + (size_t)kernels->tile_pixels - 1) / (size_t)kernels->tile_pixels;
}

/* dy of pixels [begin, end) of an image, whose dy and copy begin at `dy` and `to`: tile by tile
 * [pixels][outputs of the tile]. */
static void copy_dy(const NAME(copies) *s, size_t tiles, const REAL *dy, size_t begin, size_t end,
                    REAL *to) {
    const size_t outputs = s->groups * s->outer;
    for (size_t t = 0; t < s->groups * tiles; t++) {
        size_t first, last;
        cs_share(s->outer, t % tiles, tiles, &first, &last);
        const size_t k = t / tiles * s->outer + first, rows = last - first;
        const REAL *from = dy + begin * outputs + k;
        REAL *tile = to + k * s->pixels + begin * rows;
        size_t p = begin;
        for (; rows >= FEW && p + 1 < end; p++, from += outputs, tile += rows)
            for (size_t i = 0; i < rows; i += FEW)
                memcpy(tile + i, from + i, FEW * sizeof *tile);
        /* The last pixel's next may be another part's. */
        for (; p < end; p++, from += outputs, tile += rows)
            memcpy(tile, from, rows * sizeof *tile);
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
    const size_t tiles = output_tiles(call->kernels, &s);
    const size_t blocks = (s.pixels + NEAR - 1) / NEAR;
    const size_t images = (size_t)(call->images[1] - call->images[0]);
    const size_t rows = (size_t)(s.phase_rows * s.phase_columns * s.rows);
    size_t begin, end;
    if (!call->dparameter[0])
        return 0;
    cs_share(images * blocks, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t image = i / blocks, first = i % blocks * NEAR;
        copy_dy(&s, tiles,
                (const REAL *)call->doutput +
                    NAME(row_at)(call->out, call->images[0] + (int64_t)image, 0),
                first, first + NEAR < s.pixels ? first + NEAR : s.pixels,
                (REAL *)call->shared + image * s.image);
    }
    cs_share(images * rows, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t image = i / rows;
        const int64_t row = (int64_t)(i % rows);
        copy_x_row(call, a, &s, call->images[0] + (int64_t)image, row / s.rows, row % s.rows,
                   (REAL *)call->shared + image * s.image + s.x_at);
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
    size_t rows, band, width;     /* of outputs: rows of the map and of a band, columns */
    bool whole;                   /* rows lie side by side in x: a band is one run */
    size_t output_tiles, bundles; /* of a group: tiles of outputs, bundles of panels */
} NAME(outer_work);

/* The steps of each of the tile's images: `rows` rows of outputs. */
static void set_band(const NAME(outer_work) *work, NAME(outer_tile) *tile, size_t rows) {
    tile->runs = work->whole ? 1 : rows;
    tile->length = work->whole ? rows * work->width : work->width;
}

/* The same in one band after another of each image. */
static unsigned run_bands(const NAME(outer_work) *work, const NAME(outer_tile) *tile) {
    const size_t stride = (size_t)tile->panels * CS_PANEL, bands = work->rows / work->band;
    const size_t rest = work->rows % work->band;
    REAL *image = tile->acc + TILE_VALUES;
    bool bad = false;
    for (size_t n = 0; n < tile->images; n++) {
        NAME(outer_tile) part = *tile;
        memset(image, 0, (size_t)tile->rows * stride * sizeof *image);
        part.images = bands;
        part.left += n * tile->left_image;
        part.panel += n * tile->panel_image;
        part.left_image = work->band * work->width * tile->left_step;
        part.panel_image = work->band * tile->panel_run;
        part.out = image;
        part.out_stride = stride;
        set_band(work, &part, work->band);
        (void)work->kernels->outer_tile(&part);
        if (rest > 0) {
            part.images = 1;
            part.left += bands * part.left_image;
            part.panel += bands * part.panel_image;
            set_band(work, &part, rest);
            (void)work->kernels->outer_tile(&part);
        }
        for (int i = 0; i < tile->rows; i++) {
            REAL *out = tile->out + (size_t)i * tile->out_stride;
            for (int l = 0; l < tile->lanes; l++) {
                out[l] = (out[l] + image[(size_t)i * stride + (size_t)l]) + 0;
                bad |= NAME(not_finite)(out[l]);
            }
        }
    }
    return bad ? LAYER_OWN : 0U;
}

/* A tile of outputs times `panels` panels from `panel` on, for tap `tap` (of the taps as they are
 * copied), image after image. */
static unsigned run_tile(const NAME(outer_work) *work, size_t group, size_t tile, int64_t tap,
                         size_t panel, size_t panels) {
    const NAME(copies) *s = &work->s;
    const cs_node_attributes *a = work->a;
    const int64_t y = tap / s->columns * a->dilation[0], x = tap % s->columns * a->dilation[1];
    const int64_t py = s->phase_rows > 1 ? y % a->stride[0] : 0;
    const int64_t px = s->phase_columns > 1 ? x % a->stride[1] : 0;
    const int64_t plane = (py * s->phase_columns + px) * s->rows;
    const size_t at = (size_t)((plane + y / a->stride[0]) * s->cols + x / a->stride[1]) * CS_PANEL;
    const size_t taps = (size_t)(a->kernel_size[0] * s->columns), row = taps * s->inner;
    const size_t left = s->inner - panel * CS_PANEL;
    const REAL *copies = work->call->shared;
    size_t first, last;
    cs_share(s->outer, tile, work->output_tiles, &first, &last);
    const size_t k = group * s->outer + first;
    NAME(outer_tile) sums = {
        .rows = (int)(last - first),
        .panels = (int)panels,
        .lanes = (int)(left < panels * CS_PANEL ? left : panels * CS_PANEL),
        .images = work->images,
        .left = copies + k * s->pixels,
        .left_step = last - first,
        .left_image = s->image,
        .panel = copies + s->x_at + (group * s->panels + panel) * s->panel_size + at,
        .panel_run = (size_t)s->cols * CS_PANEL,
        .panel_image = s->image,
        .panel_size = s->panel_size,
        .out =
            (REAL *)work->call->dparameter[0] + k * row + (size_t)tap * s->inner + panel * CS_PANEL,
        .out_stride = row,
        .acc = work->call->scratch,
    };
    if (work->band < work->rows)
        return run_bands(work, &sums);
    set_band(work, &sums, work->rows);
    return work->kernels->outer_tile(&sums);
}

/* The wider side turns slowest, so that its slice and the whole of the other stay in cache. */
static unsigned run_unit(const NAME(outer_work) *work, size_t unit) {
    const NAME(copies) *s = &work->s;
    const size_t taps = (size_t)(work->a->kernel_size[0] * s->columns);
    const size_t together = (size_t)work->kernels->tile_panels;
    const bool wide = s->outer >= s->inner;
    const size_t fast = wide ? work->bundles : work->output_tiles;
    const size_t slow = wide ? work->output_tiles : work->bundles;
    const size_t quick = unit % fast, tap = unit / fast % taps, late = unit / fast / taps % slow;
    const size_t group = unit / fast / taps / slow;
    const size_t panel = (wide ? quick : late) * together;
    return run_tile(work, group, wide ? late : quick, (int64_t)tap, panel,
                    s->panels - panel < together ? s->panels - panel : together);
}

unsigned NAME(weight_gradient_part)(const layer_call *call, const cs_node_attributes *a,
                                    size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    NAME(outer_work)
    work = {.call = call, .a = a, .kernels = kernels, .s = copies_of(a, call->in, call->out)};
    const size_t together = (size_t)kernels->tile_panels;
    work.images = (size_t)(call->images[1] - call->images[0]);
    work.rows = (size_t)call->out.h;
    work.width = (size_t)call->out.w;
    work.band = (BAND_PIXELS + work.width - 1) / work.width;
    work.whole = work.s.cols == call->out.w;
    work.output_tiles = output_tiles(kernels, &work.s);
    work.bundles = (work.s.panels + together - 1) / together;
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
