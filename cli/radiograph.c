#include "radiograph_ink.h"

#include <math.h>
#include <stdlib.h>

#define RIBS 9

/* One body. Coordinates: x from -1 (left edge of the image) to 1, y from -1 (top) to 1; `u` is
 * the distance from the midline to either side, in units of this body's width. */
typedef struct body {
    double slope; /* of the shoulders: the body leans a little */
    double middle_x, middle_y, scale_x, scale_y;
    double torso, neck;                        /* half widths */
    double lung_width, apex, base[2], dome[2]; /* [0]: the lung on the left of the image */
    double heart_x, heart_y, heart_rx, heart_ry, knob;
    double rib_offset, rib_shift[2][RIBS], rib_strength;
    double clavicle, gas_x, gas_y, gas;
    uint64_t texture; /* seed of the soft tissue's unevenness */
} body;

static void draw_lots(const radiograph *what, body *b) {
    cs_random stream = radiograph_stream(what, RADIOGRAPH_ANATOMY), *r = &stream;
    b->slope = radiograph_between(r, -0.05, 0.05);
    b->middle_x = radiograph_between(r, -0.06, 0.06);
    b->middle_y = radiograph_between(r, -0.05, 0.05);
    b->scale_x = radiograph_between(r, 0.86, 1.02);
    b->scale_y = radiograph_between(r, 0.92, 1.06);
    b->torso = radiograph_between(r, 0.90, 1.02);
    b->neck = radiograph_between(r, 0.20, 0.26);
    b->lung_width = radiograph_between(r, 0.66, 0.76);
    b->apex = radiograph_between(r, -0.74, -0.66);
    b->base[0] = radiograph_between(r, 0.30, 0.46);
    b->base[1] = b->base[0] + radiograph_between(r, 0.02, 0.08);
    b->dome[0] = radiograph_between(r, 0.12, 0.20);
    b->dome[1] = radiograph_between(r, 0.12, 0.20);
    b->heart_x = radiograph_between(r, 0.12, 0.19);
    b->heart_y = radiograph_between(r, 0.16, 0.26);
    b->heart_rx = radiograph_between(r, 0.28, 0.38);
    b->heart_ry = radiograph_between(r, 0.26, 0.34);
    b->knob = radiograph_between(r, 0.16, 0.21);
    b->rib_offset = radiograph_between(r, -0.06, 0.06);
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < RIBS; i++)
            b->rib_shift[side][i] = radiograph_between(r, -0.012, 0.012);
    b->rib_strength = radiograph_between(r, 0.07, 0.12);
    b->clavicle = radiograph_between(r, -0.03, 0.05);
    b->gas_x = radiograph_between(r, 0.30, 0.46);
    b->gas_y = radiograph_between(r, 0.10, 0.17);
    b->gas = radiograph_between(r, 0.0, 0.26);
    b->texture = cs_random_next(r);
}

/* 1 inside an ellipse, 0 outside; `edge` is the soft part of its radius. */
static double ellipse(double x, double y, double cx, double cy, double rx, double ry, double edge) {
    double dx = (x - cx) / rx, dy = (y - cy) / ry;
    return 1.0 - radiograph_step(1.0 - edge, 1.0 + edge, sqrt(dx * dx + dy * dy));
}

/* Smooth noise in [-1, 1] with `cells` cells to the unit. */
static double unevenness(uint64_t seed, double x, double y, double cells) {
    double fx = (x + 2.0) * cells, fy = (y + 2.0) * cells;
    int64_t ix = (int64_t)fx, iy = (int64_t)fy;
    double corner[4];
    for (int i = 0; i < 4; i++) {
        uint64_t cell = (uint64_t)(ix + i % 2) * 4096 + (uint64_t)(iy + i / 2);
        cs_random random = {seed ^ (cell * 0x9E3779B97F4A7C15u)};
        corner[i] = 2.0 * cs_random_uniform(&random) - 1.0;
    }
    double tx = radiograph_step(0.0, 1.0, fx - (double)ix);
    double ty = radiograph_step(0.0, 1.0, fy - (double)iy);
    double above = corner[0] + tx * (corner[1] - corner[0]);
    double below = corner[2] + tx * (corner[3] - corner[2]);
    return above + ty * (below - above);
}

/* A point of the body, from a point of the image in parts of its side. */
static void to_body(const body *b, double px, double py, double *x, double *y) {
    double ix = 2.0 * px - 1.0 - b->middle_x, iy = 2.0 * py - 1.0 - b->middle_y;
    *x = (ix - b->slope * iy) / b->scale_x;
    *y = (iy + b->slope * ix) / b->scale_y;
}

static void from_body(const body *b, double x, double y, double *px, double *py) {
    double sx = x * b->scale_x, sy = y * b->scale_y, norm = 1.0 + b->slope * b->slope;
    double ix = (sx + b->slope * sy) / norm, iy = (sy - b->slope * sx) / norm;
    *px = 0.5 * (ix + b->middle_x + 1.0);
    *py = 0.5 * (iy + b->middle_y + 1.0);
}

/* The chest wall's inside at a height: how far out the lungs reach. */
static double lung_edge(const body *b, int side, double y) {
    double v = (y - b->apex) / (b->base[side] + 0.1 - b->apex);
    v = v < 0.0 ? 0.0 : v > 1.0 ? 1.0 : v;
    double w = (1.0 - v) * (1.0 - v);
    return 0.30 + (b->lung_width - 0.30) * (1.0 - w * (1.0 - v)) + 0.04 * v;
}

/* Height of the diaphragm's dome at a distance from the midline. */
static double diaphragm(const body *b, int side, double u) {
    double t = (u - 0.36) / 0.42;
    return b->base[side] + b->dome[side] * t * t;
}

/* How much this point is lung, 0 to 1, whatever lies before it. */
static double lung(const body *b, int side, double u, double y) {
    double top = b->apex + 1.7 * (u - 0.30) * (u - 0.30);
    return radiograph_step(0.08, 0.17, u) *
           (1.0 - radiograph_step(-0.02, 0.025, u - lung_edge(b, side, y))) *
           radiograph_step(-0.03, 0.05, y - top) *
           (1.0 - radiograph_step(-0.025, 0.015, y - diaphragm(b, side, u)));
}

static double heart(const body *b, double x, double y) {
    double shape = ellipse(x, y - 0.35 * (x - b->heart_x), b->heart_x, b->heart_y, b->heart_rx,
                           b->heart_ry, 0.10);
    double knob = ellipse(x, y, 0.08, -0.34, b->knob - 0.08, 0.10, 0.25);
    return shape > knob ? shape : knob;
}

/* A rib across: bright, brighter still at its two edges. `d` is the distance from its middle. */
static double rib_profile(double d, double half) {
    double t = d / half;
    t = t * t;
    return t < 1.0 ? (0.65 + 0.7 * t) * radiograph_step(0.0, 0.35, 1.0 - t) : 0.0;
}

static double ribs(const body *b, int side, double u, double y) {
    double out = u - 0.10, spacing = 0.145;
    double back = y + 0.72 - b->rib_offset + 0.10 * out - 0.52 * out * out;
    int i = (int)(back / spacing + 0.5);
    i = i < 0 ? 0 : i >= RIBS ? RIBS - 1 : i;
    double wall = 1.0 - radiograph_step(0.0, 0.06, u - lung_edge(b, side, y) - 0.03);
    double value = rib_profile(back - spacing * i - b->rib_shift[side][i], 0.032) * wall;
    double front = y + 0.46 - b->rib_offset - 0.50 * (0.80 - u);
    int j = (int)(front / 0.165 + 0.5);
    j = j < 0 ? 0 : j > 5 ? 5 : j;
    double d = front - 0.165 * j - b->rib_shift[side][j];
    return value + 0.55 * rib_profile(d, 0.036) * wall * radiograph_step(0.28, 0.46, u);
}

static double clavicle(const body *b, double u, double y) {
    double middle = -0.60 + b->clavicle - 0.16 * u + 0.20 * u * u;
    return rib_profile(y - middle, 0.036) * radiograph_step(0.05, 0.09, u) *
           (1.0 - radiograph_step(0.66, 0.76, u));
}

static double spine(double x, double y) {
    double column = 1.0 - radiograph_step(0.07, 0.105, x < 0.0 ? -x : x);
    double phase = (y + 2.0) * 7.5;
    phase -= (double)(int64_t)phase;
    double gap = phase < 0.5 ? phase : 1.0 - phase;
    return column * (0.75 + 0.25 * radiograph_step(0.03, 0.14, gap));
}

/* How much air the rays meet at a point of the body: what the lung fields are. */
static double air(const body *b, double x, double y) {
    int side = x < 0.0 ? 0 : 1;
    return lung(b, side, x < 0.0 ? -x : x, y) * (1.0 - 0.88 * heart(b, x, y));
}

/* Brightness without opacity, vessels, plant and noise. */
static double shade(const body *b, double x, double y) {
    int side = x < 0.0 ? 0 : 1;
    double u = x < 0.0 ? -x : x;
    double shoulder = radiograph_step(-1.02, -0.58, y - 0.10 * u);
    double half = b->neck + (b->torso - b->neck) * shoulder + 0.03 * y;
    double depth = half - u;
    double soft = depth > 0.0 ? depth / (depth + 0.06) : 0.0;
    double below =
        radiograph_step(-0.02, 0.10, y - diaphragm(b, side, u)) * radiograph_step(0.0, 0.3, depth);
    double value = 0.60 * soft + 0.10 * below;
    double windpipe = 1.0 - radiograph_step(0.02, 0.05, x < 0.0 ? -x : x);
    value += 0.07 * spine(x, y) * soft + 0.08 * soft * (1.0 - radiograph_step(0.11, 0.19, u));
    value += 0.07 * heart(b, x, y);
    value -= 0.46 * air(b, x, y) * (1.0 + 0.10 * unevenness(b->texture, x, y, 4.0));
    value -= 0.10 * windpipe * (1.0 - radiograph_step(-0.32, -0.22, y));
    value += b->rib_strength * ribs(b, side, u, y) * soft;
    value += 1.1 * b->rib_strength * clavicle(b, u, y) * soft;
    if (side == 1)
        value -= b->gas *
                 ellipse(x, y, b->gas_x, diaphragm(b, 1, b->gas_x) + b->gas_y, 0.13, 0.075, 0.35);
    return value + 0.035 * soft * unevenness(b->texture + 1, x, y, 2.5);
}

/* A branch of a vessel: a walk outwards that bends, thins and forks. */
static void draw_branch(radiograph_sheet *sheet, const body *b, cs_random *random, double x,
                        double y, double dx, double dy, double radius, int forks) {
    for (int step = 0; step < 14 && radius > 0.003; step++) {
        dx += radiograph_between(random, -0.22, 0.22);
        dy += radiograph_between(random, -0.22, 0.22);
        double length = sqrt(dx * dx + dy * dy) + 1e-9;
        dx /= length;
        dy /= length;
        double next_x = x + 0.045 * dx, next_y = y + 0.045 * dy;
        double strength = 0.13 * air(b, next_x, next_y) * radius / (radius + 0.006);
        double px, py, qx, qy;
        from_body(b, x, y, &px, &py);
        from_body(b, next_x, next_y, &qx, &qy);
        radiograph_stroke_add(sheet, px, py, qx, qy, radius, strength);
        x = next_x;
        y = next_y;
        radius *= 0.90;
        if (forks > 0 && cs_random_uniform(random) < 0.24) {
            double turn = cs_random_uniform(random) < 0.5 ? 0.8 : -0.8;
            draw_branch(sheet, b, random, x, y, dx - turn * dy, dy + turn * dx, 0.8 * radius,
                        forks - 1);
        }
    }
}

static void draw_vessels(radiograph_sheet *sheet, const radiograph *what, const body *b) {
    static const double directions[8][2] = {{0.35, -0.95}, {0.65, -0.75}, {0.90, -0.35},
                                            {1.00, 0.00},  {0.95, 0.35},  {0.75, 0.70},
                                            {0.50, 0.90},  {0.25, 1.00}};
    cs_random random = radiograph_stream(what, RADIOGRAPH_VESSELS);
    for (int side = -1; side <= 1; side += 2)
        for (int i = 0; i < 8; i++) {
            double y = -0.10 + radiograph_between(&random, -0.06, 0.08);
            double radius = radiograph_between(&random, 0.009, 0.014);
            draw_branch(sheet, b, &random, side * 0.17, y, side * directions[i][0],
                        directions[i][1], radius, 2);
        }
}

/* A hazy opacity: soft blobs about a place well inside one lung. */
static void draw_opacity(radiograph_sheet *sheet, const radiograph *what, const body *b) {
    cs_random random = radiograph_stream(what, RADIOGRAPH_OPACITY);
    double x = 0.0, y = 0.0;
    for (int tries = 0; tries < 200; tries++) {
        double u = radiograph_between(&random, 0.22, 0.66);
        x = cs_random_uniform(&random) < 0.5 ? -u : u;
        y = radiograph_between(&random, -0.50, 0.40);
        if (air(b, x, y) > 0.9 && air(b, x - 0.07, y) > 0.8 && air(b, x + 0.07, y) > 0.8 &&
            air(b, x, y + 0.08) > 0.8)
            break;
    }
    double strength = radiograph_between(&random, 0.12, 0.20);
    int blobs = 5 + (int)(cs_random_next(&random) >> 62);
    for (int i = 0; i < blobs; i++) {
        double bx = x + radiograph_between(&random, -0.085, 0.085);
        double by = y + radiograph_between(&random, -0.085, 0.085), px, py;
        double radius = radiograph_between(&random, 0.045, 0.085);
        from_body(b, bx, by, &px, &py);
        radiograph_stroke_add(sheet, px, py, px, py, radius,
                              3.0 / blobs * strength * air(b, bx, by));
    }
}

/* How the detector answers: exposure, contrast, darker corners, grain. */
static void expose(radiograph_sheet *sheet, const radiograph *what) {
    cs_random lots = radiograph_stream(what, RADIOGRAPH_EXPOSURE);
    cs_random grain = radiograph_stream(what, RADIOGRAPH_GRAIN);
    double contrast = radiograph_between(&lots, 0.88, 1.12);
    double bend = radiograph_between(&lots, -0.10, 0.14);
    double black = radiograph_between(&lots, 0.02, 0.07);
    double noise = radiograph_between(&lots, 0.025, 0.045);
    double size = (double)sheet->size;
    for (int64_t row = 0; row < sheet->size; row++)
        for (int64_t column = 0; column < sheet->size; column++) {
            double *v = &sheet->values[row * sheet->size + column];
            double x = (2.0 * (double)column + 1.0) / size - 1.0;
            double y = (2.0 * (double)row + 1.0) / size - 1.0;
            double value = *v < 0.0 ? 0.0 : *v > 1.0 ? 1.0 : *v;
            value += bend * value * (1.0 - value);
            value = black + contrast * value * (1.0 - 0.05 * (x * x + y * y));
            *v = value + noise * (cs_random_uniform(&grain) + cs_random_uniform(&grain) - 1.0);
        }
}

static void to_pixels(const radiograph_sheet *sheet, uint8_t *pixels) {
    for (int64_t i = 0; i < sheet->size * sheet->size; i++) {
        double value = 255.0 * sheet->values[i] + 0.5;
        uint8_t grey = value < 0.0 ? 0 : value >= 255.0 ? 255 : (uint8_t)value;
        pixels[3 * i] = pixels[3 * i + 1] = pixels[3 * i + 2] = grey;
    }
}

static void shade_all(radiograph_sheet *sheet, const body *b) {
    double size = (double)sheet->size;
    for (int64_t row = 0; row < sheet->size; row++)
        for (int64_t column = 0; column < sheet->size; column++) {
            double x, y;
            to_body(b, ((double)column + 0.5) / size, ((double)row + 0.5) / size, &x, &y);
            sheet->values[row * sheet->size + column] = shade(b, x, y);
        }
}

static cs_status draw_mask(const body *b, int64_t size, cs_image *mask, cs_error *err) {
    CS_TRY(cs_image_allocate(mask, size, size, err));
    for (int64_t row = 0; row < size; row++)
        for (int64_t column = 0; column < size; column++) {
            double x, y;
            to_body(b, ((double)column + 0.5) / (double)size, ((double)row + 0.5) / (double)size,
                    &x, &y);
            uint8_t *pixel = mask->pixels + 3 * (row * size + column);
            pixel[0] = pixel[1] = pixel[2] = air(b, x, y) > 0.5 ? 255 : 0;
        }
    return CS_OK;
}

cs_status radiograph_draw(const radiograph *what, int64_t size, cs_image *image, cs_image *mask,
                          cs_error *err) {
    body b;
    draw_lots(what, &b);
    CS_TRY(cs_image_allocate(image, size, size, err));
    radiograph_sheet sheet = {size, malloc((size_t)(size * size) * sizeof(double))};
    cs_status status = CS_OK;
    if (!sheet.values)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory to draw %lld x %lld",
                              (long long)size, (long long)size);
    if (status == CS_OK && mask)
        status = draw_mask(&b, size, mask, err);
    if (status == CS_OK) {
        shade_all(&sheet, &b);
        draw_vessels(&sheet, what, &b);
        if (what->opacity)
            draw_opacity(&sheet, what, &b);
        expose(&sheet, what);
        radiograph_plant_draw(&sheet, what);
        to_pixels(&sheet, image->pixels);
    } else {
        cs_image_free(image);
    }
    free(sheet.values);
    return status;
}
