/* image_stb.h - the few stb functions that cam/ uses; stb itself is seen by image_stb.c alone. */
#ifndef CS_IMAGE_STB_H
#define CS_IMAGE_STB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a decoder gave: `samples` holds width * height * channels values of `bits` bits (8, or 16 in
 * native order). The caller frees samples with free(). */
typedef struct cs_stb_pixels {
    int width, height;
    void *samples;
} cs_stb_pixels;

/* Decodes a PNG or JPEG to `channels` (1 or 3) samples a pixel of `bits` (8 or 16) bits. On failure
 * false, with a short reason in *why (static storage), or NULL there if memory is exhausted. The
 * data must begin as a PNG or JPEG does. */
bool cs_stb_decode(const uint8_t *data, size_t size, int channels, int bits, cs_stb_pixels *out,
                   const char **why);

/* A font file in memory, which must outlive it. Opaque; made by cs_stb_font_open (NULL if the bytes
 * are not a font, or with *exhausted if memory is), freed by cs_stb_font_close. */
typedef struct cs_stb_font cs_stb_font;
cs_stb_font *cs_stb_font_open(const uint8_t *data, size_t size, bool *exhausted);
void cs_stb_font_close(cs_stb_font *font);

/* Whether memory was exhausted while one of its glyphs was drawn, since it was last asked. */
bool cs_stb_font_exhausted(cs_stb_font *font);

/* The glyph of a code point; 0 if the font has none. */
int cs_stb_font_glyph(const cs_stb_font *font, uint32_t code);

/* A glyph drawn at a height of `pixels` (ascender to descender): coverage 0..255, to be freed with
 * cs_stb_glyph_free; left and top are the bitmap's corner relative to the pen on the base line. */
typedef struct cs_stb_glyph {
    int width, height, left, top;
    uint8_t *coverage; /* NULL where the glyph is blank */
} cs_stb_glyph;

void cs_stb_font_draw(const cs_stb_font *font, int glyph, float pixels, float shift,
                      cs_stb_glyph *out);
void cs_stb_glyph_free(cs_stb_glyph *glyph);

/* How far the pen moves, and the ascender's height above the base line, at that size. */
float cs_stb_font_advance(const cs_stb_font *font, int glyph, float pixels);
float cs_stb_font_ascent(const cs_stb_font *font, float pixels);

#endif
