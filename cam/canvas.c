/* canvas.c - rectangles and pictures, clipped to the canvas. */
#include "canvas.h"

#include <string.h>

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

void cs_canvas_fill(cs_image *canvas, int64_t x, int64_t y, int64_t width, int64_t height,
                    cs_color color) {
    int64_t right = smaller(x + width, canvas->width), bottom = smaller(y + height, canvas->height);
    for (int64_t row = larger(y, 0); row < bottom; row++)
        for (int64_t column = larger(x, 0); column < right; column++) {
            uint8_t *p = canvas->pixels + 3 * (row * canvas->width + column);
            p[0] = color.r;
            p[1] = color.g;
            p[2] = color.b;
        }
}

static uint8_t mix(uint8_t below, uint8_t above, uint8_t coverage) {
    return (uint8_t)((below * (255 - coverage) + above * coverage + 127) / 255);
}

void cs_canvas_blend(cs_image *canvas, int64_t x, int64_t y, cs_color color, uint8_t coverage) {
    if (x < 0 || y < 0 || x >= canvas->width || y >= canvas->height)
        return;
    uint8_t *p = canvas->pixels + 3 * (y * canvas->width + x);
    p[0] = mix(p[0], color.r, coverage);
    p[1] = mix(p[1], color.g, coverage);
    p[2] = mix(p[2], color.b, coverage);
}

void cs_canvas_paste(cs_image *canvas, int64_t x, int64_t y, const cs_image *picture) {
    int64_t left = larger(x, 0), right = smaller(x + picture->width, canvas->width);
    int64_t bottom = smaller(y + picture->height, canvas->height);
    for (int64_t row = larger(y, 0); row < bottom && left < right; row++)
        memcpy(canvas->pixels + 3 * (row * canvas->width + left),
               picture->pixels + 3 * ((row - y) * picture->width + left - x),
               3 * (size_t)(right - left));
}
