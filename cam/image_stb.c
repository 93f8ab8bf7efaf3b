/* image_stb.c - the only file that compiles stb: image decoding and font rasterising.
 *
 * stb checks little, so what reaches it was checked before (image_png.c, image_jpeg.c), decodes
 * from memory only, cannot allocate more than CS_STB_MAX_ALLOCATION at once, and gets zeroed
 * memory: what it forgets to fill shows nothing of what was there before.
 */
#include "image_stb.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* CS_IMAGE_LIMITS_DEFAULT's max_memory_bytes, which was checked for all of them together. */
#define CS_STB_MAX_ALLOCATION ((size_t)1 << 30)

static void *stb_malloc(size_t size) {
    return size <= CS_STB_MAX_ALLOCATION ? calloc(size, 1) : NULL;
}

static void *stb_realloc(void *old, size_t size) {
    return size <= CS_STB_MAX_ALLOCATION ? realloc(old, size) : NULL;
}

/* stb passes over a glyph for which memory is exhausted; a font's user data is a flag for it. */
static void *stb_font_malloc(size_t size, bool *exhausted) {
    void *block = stb_malloc(size);
    if (!block && exhausted)
        *exhausted = true;
    return block;
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
#define STBI_MAX_DIMENSIONS     16384 /* CS_IMAGE_MAX_SIDE */
#define STBI_MALLOC(size)       stb_malloc(size)
#define STBI_REALLOC(old, size) stb_realloc(old, size)
#define STBI_FREE(old)          free(old)
#include <stb/stb_image.h>

#define STB_TRUETYPE_IMPLEMENTATION
#define STBTT_STATIC
/* stb asserts that memory was there, and then copes where it was not; its other assertions hold. */
#define STBTT_assert(condition)       assert((condition) || strcmp(#condition, "z != NULL") == 0)
#define STBTT_malloc(size, exhausted) stb_font_malloc(size, exhausted)
#define STBTT_free(block, exhausted)  ((void)(exhausted), free(block))
#include <stb/stb_truetype.h>

/* ------------------------------------------------------------------ images --------------- */

bool cs_stb_decode(const uint8_t *data, size_t size, int channels, int bits, cs_stb_pixels *out,
                   const char **why) {
    int in_file = 0;
    if (size > INT_MAX) {
        *why = "too large";
        return false;
    }
    /* stb forgets to say so where memory ends. Then its reason is still that of this call. */
    static const uint8_t nothing[1];
    stbi_info_from_memory(nothing, 0, &out->width, &out->height, &in_file);
    if (bits == 16)
        out->samples = stbi_load_16_from_memory(data, (int)size, &out->width, &out->height,
                                                &in_file, channels);
    else
        out->samples =
            stbi_load_from_memory(data, (int)size, &out->width, &out->height, &in_file, channels);
    if (out->samples)
        return true;
    const char *reason = stbi_failure_reason();
    bool is_memory = strcmp(reason, "unknown image type") == 0 || strcmp(reason, "outofmem") == 0;
    *why = is_memory ? NULL : reason;
    return false;
}

/* ------------------------------------------------------------------ fonts ---------------- */

struct cs_stb_font {
    stbtt_fontinfo info;
    bool exhausted;
};

cs_stb_font *cs_stb_font_open(const uint8_t *data, size_t size, bool *exhausted) {
    *exhausted = false;
    if (size < 12 || size > INT_MAX)
        return NULL;
    int offset = stbtt_GetFontOffsetForIndex(data, 0);
    if (offset < 0 || (size_t)offset > size - 12)
        return NULL;
    cs_stb_font *font = calloc(1, sizeof *font);
    *exhausted = !font;
    if (font && !stbtt_InitFont(&font->info, data, offset)) {
        free(font);
        return NULL;
    }
    if (font)
        font->info.userdata = &font->exhausted;
    return font;
}

void cs_stb_font_close(cs_stb_font *font) { free(font); }

bool cs_stb_font_exhausted(cs_stb_font *font) {
    const bool exhausted = font->exhausted;
    font->exhausted = false;
    return exhausted;
}

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
