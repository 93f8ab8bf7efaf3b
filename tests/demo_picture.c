#include "demo_picture.h"

#include <math.h>

/* 1 inside an ellipse, 0 outside, with a soft edge; coordinates and radii as parts of the side. */
static double ellipse(double x, double y, double cx, double cy, double rx, double ry, double edge) {
    double dx = (x - cx) / rx, dy = (y - cy) / ry;
    double t = (1.0 - (dx * dx + dy * dy)) / edge;
    t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
    return t * t * (3.0 - 2.0 * t);
}

/* Bright arcs across the lungs: a sawtooth of the height, bent downwards away from the spine. */
static double ribs(double x, double y) {
    double away = x < 0.5 ? 0.5 - x : x - 0.5;
    double phase = (y - 0.9 * away * away - 0.14 * away) * 11.0;
    double part = phase - floor(phase);
    double wave = part < 0.5 ? 2.0 * part : 2.0 - 2.0 * part;
    return wave > 0.55 ? (wave - 0.55) / 0.45 : 0.0;
}

/* Brightness from 0 to 1. */
static double shade(double x, double y) {
    double body = ellipse(x, y, 0.5, 0.62, 0.47, 0.66, 0.25);
    double lungs = ellipse(x, y, 0.30, 0.50, 0.155, 0.33, 0.45);
    lungs += ellipse(x, y, 0.70, 0.50, 0.155, 0.33, 0.45);
    double value = 0.04 + 0.58 * body - 0.42 * lungs;
    value += 0.10 * ribs(x, y) * body * (0.4 + 0.6 * lungs);
    value += 0.16 * ellipse(x, y, 0.5, 0.55, 0.055, 0.60, 0.8);         /* spine */
    value += 0.26 * ellipse(x, y, 0.56, 0.63, 0.15, 0.17, 0.6) * lungs; /* heart */
    value += 0.45 * ellipse(x, y, 0.30, 0.62, 0.075, 0.065, 1.0);       /* the spot */
    return value;
}

cs_status demo_picture_draw(int64_t size, uint64_t seed, cs_image *image, cs_error *err) {
    cs_random random = {seed};
    CS_TRY(cs_image_allocate(image, size, size, err));
    for (int64_t row = 0; row < size; row++) {
        for (int64_t column = 0; column < size; column++) {
            double x = ((double)column + 0.5) / (double)size,
                   y = ((double)row + 0.5) / (double)size;
            double noise = 0.05 * (cs_random_uniform(&random) + cs_random_uniform(&random) - 1.0);
            double value = 255.0 * (shade(x, y) + noise);
            uint8_t grey = value < 0.0 ? 0 : value > 255.0 ? 255 : (uint8_t)value;
            uint8_t *pixel = image->pixels + 3 * (row * size + column);
            pixel[0] = pixel[1] = pixel[2] = grey;
        }
    }
    return CS_OK;
}
