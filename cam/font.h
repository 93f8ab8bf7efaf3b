/* font.h - which font has a code point's glyph. */
#ifndef CS_FONT_H
#define CS_FONT_H

#include "cnnscope_cam.h"
#include "image_stb.h"

/* The first font that has a glyph for the code point (*glyph), looking into the system's fonts
 * until one has it; NULL if none has: the built-in glyph is drawn. */
const cs_stb_font *cs_font_find(cs_font *font, uint32_t code, int *glyph);

/* CS_ERROR_MEMORY if text drawn since the last call lacks a glyph for want of memory. */
cs_status cs_font_check(cs_font *font, cs_error *err);

#endif
