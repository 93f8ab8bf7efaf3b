/* canvas.h - drawing into an RGB image: rectangles, pictures, text. Everything is clipped. */
#ifndef CS_CANVAS_H
#define CS_CANVAS_H

#include "cnnscope_cam.h"

typedef struct cs_color {
    uint8_t r, g, b;
} cs_color;

void cs_canvas_fill(cs_image *canvas, int64_t x, int64_t y, int64_t width, int64_t height,
                    cs_color color);

/* One pixel, mixed with what is there by coverage / 255. */
void cs_canvas_blend(cs_image *canvas, int64_t x, int64_t y, cs_color color, uint8_t coverage);

void cs_canvas_paste(cs_image *canvas, int64_t x, int64_t y, const cs_image *picture);

/* Glyphs of the built-in font: CS_BUILTIN_ROWS rows of 5 bits (16 is the leftmost), the first 7
 * above the base line; a box where a code point has none. */
#define CS_BUILTIN_ROWS    9
#define CS_BUILTIN_ABOVE   7
#define CS_BUILTIN_COLUMNS 5
void cs_font_builtin_glyph(uint32_t code, uint8_t rows[CS_BUILTIN_ROWS]);

/* Text of UTF-8 (bytes that are not become U+FFFD) at a height of `size` pixels, ascender to
 * descender; (x, y) is the left end of the base line. cs_text_width is what the pen moves by. */
int64_t cs_text_width(cs_font *font, const char *text, int size);
void cs_text_draw(cs_image *canvas, cs_font *font, int64_t x, int64_t y, int size, cs_color color,
                  const char *text);

/* Copies text into out, cut at its end with "..." so that it is at most `width` pixels wide. */
void cs_text_fit(cs_font *font, const char *text, int size, int64_t width, char *out,
                 size_t out_size);

#endif
