/* font.c - fonts for titles: a given one, those that Linux distributions install, or none. */
#include "font.h"

#include <stdlib.h>

#define FONT_MAX_BYTES ((size_t)64 << 20)

/* Freely licensed fonts, by where Debian, Fedora, Arch and Alpine put them: first those that look
 * best, then those for more scripts. A font is opened only when a text needs what the ones before
 * it lack. */
static const char *const system_fonts[] = {
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/google-noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation2/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation-sans/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation-sans-fonts/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/freefont/FreeSans.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf",
    "/usr/share/fonts/opentype/ipaexfont-gothic/ipaexg.ttf",
    "/usr/share/fonts/truetype/takao-gothic/TakaoGothic.ttf",
    "/usr/share/fonts/truetype/vlgothic/VL-Gothic-Regular.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/truetype/nanum/NanumGothic.ttf",
    "/usr/share/fonts/opentype/unifont/unifont.otf",
    "/usr/share/fonts/truetype/unifont/unifont.ttf",
};

#define SYSTEM_FONT_COUNT (sizeof system_fonts / sizeof *system_fonts)

typedef struct face {
    char *data;
    cs_stb_font *font;
} face;

struct cs_font {
    face faces[1 + SYSTEM_FONT_COUNT];
    size_t count;       /* of faces that are open */
    size_t next_system; /* the first of system_fonts not tried yet */
    bool exhausted;     /* memory was, when one of them was opened */
};

static cs_status open_face(const char *path, face *f, cs_error *err) {
    size_t size = 0;
    CS_TRY(cs_file_read(path, FONT_MAX_BYTES, &f->data, &size, err));
    bool exhausted = false;
    f->font = cs_stb_font_open((const uint8_t *)f->data, size, &exhausted);
    if (f->font)
        return CS_OK;
    free(f->data);
    f->data = NULL;
    CS_CHECK(!exhausted, CS_ERROR_MEMORY, "no memory for a font");
    return cs_error_set(err, CS_ERROR_FORMAT, path, 0,
                        "not a TrueType or OpenType font that can be read; give a .ttf, .otf or "
                        ".ttc file");
}

cs_status cs_font_builtin(cs_font **font, cs_error *err) {
    *font = calloc(1, sizeof **font);
    CS_CHECK(*font, CS_ERROR_MEMORY, "no memory for a font");
    (*font)->next_system = SYSTEM_FONT_COUNT;
    return CS_OK;
}

cs_status cs_font_open(const char *path, cs_font **font, cs_error *err) {
    CS_TRY(cs_font_builtin(font, err));
    (*font)->next_system = 0;
    if (!path)
        return CS_OK;
    cs_status status = open_face(path, &(*font)->faces[0], err);
    if (status == CS_OK) {
        (*font)->count = 1;
        return CS_OK;
    }
    cs_font_free(*font);
    *font = NULL;
    return status;
}

void cs_font_free(cs_font *font) {
    if (!font)
        return;
    for (size_t i = 0; i < font->count; i++) {
        cs_stb_font_close(font->faces[i].font);
        free(font->faces[i].data);
    }
    free(font);
}

const cs_stb_font *cs_font_find(cs_font *font, uint32_t code, int *glyph) {
    for (size_t i = 0;; i++) {
        while (i == font->count) {
            if (font->next_system == SYSTEM_FONT_COUNT)
                return NULL;
            /* A system font that is missing or cannot be read is no error: the next is tried. */
            cs_status status = open_face(system_fonts[font->next_system], &font->faces[i], NULL);
            if (status == CS_ERROR_MEMORY) {
                font->exhausted = true;
                return NULL;
            }
            font->next_system++;
            font->count += status == CS_OK;
        }
        *glyph = cs_stb_font_glyph(font->faces[i].font, code);
        if (*glyph != 0)
            return font->faces[i].font;
    }
}

cs_status cs_font_check(cs_font *font, cs_error *err) {
    bool exhausted = font->exhausted;
    font->exhausted = false;
    for (size_t i = 0; i < font->count; i++)
        exhausted |= cs_stb_font_exhausted(font->faces[i].font);
    CS_CHECK(!exhausted, CS_ERROR_MEMORY, "no memory for the text of a figure");
    return CS_OK;
}
