/* text.c - a line of UTF-8 text drawn glyph by glyph (no shaping, no right-to-left). */
#include "cam_internal.h"
#include "canvas.h"
#include "font.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

uint32_t cs_text_next(const char **text) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = (const uint8_t *)*text;
    int length = p[0] < 0x80             ? 1
                 : (p[0] & 0xE0) == 0xC0 ? 2
                 : (p[0] & 0xF0) == 0xE0 ? 3
                 : (p[0] & 0xF8) == 0xF0 ? 4
                                         : 0;
    *text += 1;
    if (length == 1)
        return p[0];
    uint32_t code = length ? p[0] & (0x7Fu >> length) : 0;
    for (int i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return CS_TEXT_REPLACEMENT;
        code = code << 6 | (p[i] & 0x3Fu);
    }
    if (length == 0 || code < smallest[length] || code > 0x10FFFF || (code >> 11) == 0x1B)
        return CS_TEXT_REPLACEMENT;
    *text += length - 1;
    return code;
}

/* Built-in glyphs are enlarged by a whole number. */
static int builtin_scale(int size) { return size >= 15 ? (size + 5) / 10 : 1; }

static float advance(cs_font *font, uint32_t code, int size) {
    int glyph = 0;
    const cs_stb_font *face = cs_font_find(font, code, &glyph);
    if (!face)
        return (float)((CS_BUILTIN_COLUMNS + 1) * builtin_scale(size));
    return cs_stb_font_advance(face, glyph, (float)size);
}

int64_t cs_text_width(cs_font *font, const char *text, int size) {
    float width = 0;
    while (*text)
        width += advance(font, cs_text_next(&text), size);
    return (int64_t)ceilf(width);
}

static void draw_builtin(cs_image *canvas, uint32_t code, int64_t x, int64_t y, int size,
                         cs_color color) {
    uint8_t rows[CS_BUILTIN_ROWS];
    int scale = builtin_scale(size);
    cs_font_builtin_glyph(code, rows);
    for (int r = 0; r < CS_BUILTIN_ROWS; r++)
        for (int c = 0; c < CS_BUILTIN_COLUMNS; c++)
            if (rows[r] & (16 >> c))
                cs_canvas_fill(canvas, x + c * scale, y + (r - CS_BUILTIN_ABOVE) * scale, scale,
                               scale, color);
}

static void draw_glyph(cs_image *canvas, const cs_stb_font *face, int glyph, float x, int64_t y,
                       int size, cs_color color) {
    cs_stb_glyph bitmap = {0};
    float left = floorf(x);
    cs_stb_font_draw(face, glyph, (float)size, x - left, &bitmap);
    for (int row = 0; row < bitmap.height; row++)
        for (int column = 0; column < bitmap.width; column++)
            cs_canvas_blend(canvas, (int64_t)left + bitmap.left + column, y + bitmap.top + row,
                            color, bitmap.coverage[row * bitmap.width + column]);
    cs_stb_glyph_free(&bitmap);
}

void cs_text_draw(cs_image *canvas, cs_font *font, int64_t x, int64_t y, int size, cs_color color,
                  const char *text) {
    float pen = (float)x;
    while (*text) {
        uint32_t code = cs_text_next(&text);
        int glyph = 0;
        const cs_stb_font *face = cs_font_find(font, code, &glyph);
        if (face)
            draw_glyph(canvas, face, glyph, pen, y, size, color);
        else
            draw_builtin(canvas, code, (int64_t)pen, y, size, color);
        pen += advance(font, code, size);
    }
}

void cs_text_fit(cs_font *font, const char *text, int size, int64_t width, char *out,
                 size_t out_size) {
    snprintf(out, out_size, "%s", text);
    if (strlen(text) < out_size && cs_text_width(font, out, size) <= width)
        return;
    float left = (float)width - 3 * advance(font, '.', size);
    const char *end = text, *kept = text;
    while (*end) {
        left -= advance(font, cs_text_next(&end), size);
        if (left < 0 || (size_t)(end - text) + 4 > out_size)
            break;
        kept = end;
    }
    snprintf(out, out_size, "%.*s...", (int)(kept - text), text);
}
