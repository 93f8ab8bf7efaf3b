/* image_stb.c - the only file that compiles stb: image decoding and font rasterising.
 *
 * stb checks little, so what reaches it was checked before (image_png.c, image_jpeg.c), decodes
 * from memory only, and cannot allocate more than CS_STB_MAX_ALLOCATION at once.
 */
#include "image_stb.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Enough for CS_IMAGE_LIMITS_DEFAULT's pixels in 16-bit RGBA with a filter byte a row. */
#define CS_STB_MAX_ALLOCATION ((size_t)512 << 20)

static void *stb_malloc(size_t size) { return size <= CS_STB_MAX_ALLOCATION ? malloc(size) : NULL; }

static void *stb_realloc(void *old, size_t size) {
    return size <= CS_STB_MAX_ALLOCATION ? realloc(old, size) : NULL;
}

/* stb's warnings are silenced for this file (GCC tells of unused functions at its end). */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wcast-qual"
#endif

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 16384 /* CS_IMAGE_MAX_SIDE */
#define STBI_MALLOC(size) stb_malloc(size)
#define STBI_REALLOC(old, size) stb_realloc(old, size)
#define STBI_FREE(old) free(old)
#include <stb/stb_image.h>

#define STB_TRUETYPE_IMPLEMENTATION
#define STBTT_STATIC
#include <stb/stb_truetype.h>

/* ------------------------------------------------------------------ images --------------- */

bool cs_stb_decode(const uint8_t *data, size_t size, int channels, int bits, cs_stb_pixels *out,
                   const char **why) {
    int in_file = 0;
    if (size > INT_MAX) {
        *why = "too large";
        return false;
    }
    if (bits == 16)
        out->samples = stbi_load_16_from_memory(data, (int)size, &out->width, &out->height,
                                                &in_file, channels);
    else
        out->samples =
            stbi_load_from_memory(data, (int)size, &out->width, &out->height, &in_file, channels);
    if (out->samples)
        return true;
    *why = stbi_failure_reason() ? stbi_failure_reason() : "unknown";
    return false;
}

/* ------------------------------------------------------------------ fonts ---------------- */

struct cs_stb_font {
    stbtt_fontinfo info;
};

cs_stb_font *cs_stb_font_open(const uint8_t *data, size_t size) {
    if (size < 12 || size > INT_MAX)
        return NULL;
    int offset = stbtt_GetFontOffsetForIndex(data, 0);
    if (offset < 0 || (size_t)offset > size - 12)
        return NULL;
    cs_stb_font *font = calloc(1, sizeof *font);
    if (font && !stbtt_InitFont(&font->info, data, offset)) {
        free(font);
        font = NULL;
    }
    return font;
}

void cs_stb_font_close(cs_stb_font *font) { free(font); }

int cs_stb_font_glyph(const cs_stb_font *font, uint32_t code) {
    return code <= INT_MAX ? stbtt_FindGlyphIndex(&font->info, (int)code) : 0;
}

void cs_stb_font_draw(const cs_stb_font *font, int glyph, float pixels, float shift,
                      cs_stb_glyph *out) {
    float scale = stbtt_ScaleForPixelHeight(&font->info, pixels);
    out->coverage = stbtt_GetGlyphBitmapSubpixel(&font->info, scale, scale, shift, 0, glyph,
                                                 &out->width, &out->height, &out->left, &out->top);
    if (!out->coverage)
        out->width = out->height = 0;
}

void cs_stb_glyph_free(cs_stb_glyph *glyph) {
    stbtt_FreeBitmap(glyph->coverage, NULL);
    glyph->coverage = NULL;
}

float cs_stb_font_advance(const cs_stb_font *font, int glyph, float pixels) {
    int advance = 0, bearing = 0;
    stbtt_GetGlyphHMetrics(&font->info, glyph, &advance, &bearing);
    return (float)advance * stbtt_ScaleForPixelHeight(&font->info, pixels);
}

float cs_stb_font_ascent(const cs_stb_font *font, float pixels) {
    int ascent = 0, descent = 0, gap = 0;
    stbtt_GetFontVMetrics(&font->info, &ascent, &descent, &gap);
    return (float)ascent * stbtt_ScaleForPixelHeight(&font->info, pixels);
}
