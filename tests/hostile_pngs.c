/* hostile_pngs.c - PNGs with one thing wrong in their chunks (IMAGE 1, 2, 4, 6, 7). */
#include "hostile_images.h"

#include <string.h>

#include "test_support.h"

/* A PNG that is valid but for its fields, then `count` bytes written at `delta` behind the start of
 * `chunk` (whose checksum is made right again if `fix`), then more. */
typedef struct hostile_png {
    hostile_image row;
    built_png png;
    const char *chunk;
    size_t delta;
    const char *bytes;
    size_t count;
    bool fix;
    void (*more)(bytes *file);
} hostile_png;

static void make(const hostile_image *self, bytes *file) {
    const hostile_png *c = (const hostile_png *)self;
    built_png png = c->png;
    built_png_write(&png, file);
    if (c->chunk) {
        size_t at = png_find(file, c->chunk);
        memcpy(file->data + at + c->delta, c->bytes, c->count);
        if (c->fix)
            png_fix(file, at);
    }
    if (c->more)
        c->more(file);
}

/* Puts a chunk before another one. */
static void insert(bytes *file, const char *before, const char *type, const char *data,
                   size_t size) {
    bytes chunk = {0};
    png_chunk(&chunk, type, data, size);
    bytes_insert(file, png_find(file, before), chunk.data, chunk.size);
    bytes_free(&chunk);
}

static void add_text(bytes *file) {
    insert(file, "IDAT", "tEXt", "Title\0x", 7);
    file->data[png_find(file, "tEXt") + 14] = 'y';
}
static void add_critical(bytes *file) { insert(file, "IDAT", "CgBI", "\x50\0\x20\6", 4); }
static void add_unknown(bytes *file) { insert(file, "IDAT", "quUx", "anything", 8); }
static void add_digits(bytes *file) { insert(file, "IDAT", "te7t", "", 0); }
static void add_header(bytes *file) {
    bytes_insert(file, png_find(file, "IDAT"), file->data + 8, 25);
}
static void add_apple(bytes *file) { insert(file, "IHDR", "CgBI", "\x50\0\x20\6", 4); }
static void add_before_header(bytes *file) { insert(file, "IHDR", "gAMA", "\0\0\xb1\x8f", 4); }
static void add_palette(bytes *file) { insert(file, "IDAT", "PLTE", "abc", 3); }
static void add_palette_late(bytes *file) { insert(file, "IEND", "PLTE", "abc", 3); }
static void add_transparency_late(bytes *file) { insert(file, "IEND", "tRNS", "abcdef", 6); }
static void add_transparency_early(bytes *file) { insert(file, "PLTE", "tRNS", "a", 1); }
static void add_transparency_twice(bytes *file) { insert(file, "IDAT", "tRNS", "abcdef", 6); }
static void drop_end(bytes *file) { bytes_cut(file, file->size - 12); }
static void drop_pixels(bytes *file) {
    size_t at = png_find(file, "IDAT");
    memmove(file->data + at, file->data + file->size - 12, 12);
    bytes_cut(file, at + 12);
}
static void fill_end(bytes *file) {
    drop_end(file);
    png_chunk(file, "IEND", "x", 1);
}
static void add_behind(bytes *file) { bytes_text(file, "PK and more"); }

static const char colors_257[771];

#define F CS_ERROR_FORMAT
#define L CS_ERROR_LIMIT
#define ROW(name, status, offset, why)                                                             \
    { {name, status, offset, NULL, why}, NULL, make }
#define SET(in, at, text, fixed)                                                                   \
    .chunk = in, .delta = at, .bytes = text, .count = sizeof(text) - 1, .fix = fixed
#define PICTURE .width = 3, .height = 2, .depth = 8
#define RGB8                                                                                       \
    { PICTURE, .color = PNG_RGB }
#define PALETTE2                                                                                   \
    { PICTURE, .color = PNG_PALETTE, .palette = "abcdef", .palette_size = 6 }

static const hostile_png cases[] = {
    {.row = ROW("I0 PNG", CS_OK, -1, NULL), .png = RGB8},
    {.row = ROW("I0 PNG palette", CS_OK, -1, NULL), .png = PALETTE2},
    {.row = ROW("I1 PNG width 0", F, 16, NULL), .png = RGB8, SET("IHDR", 8, "\0\0\0\0", true)},
    {.row = ROW("I1 PNG height 0", F, 16, NULL), .png = RGB8, SET("IHDR", 12, "\0\0\0\0", true)},
    {.row = ROW("I2 PNG 65535 x 65535: width and height 65535", L, 16, NULL),
     .png = RGB8,
     SET("IHDR", 8, "\0\0\xff\xff\0\0\xff\xff", true)},
    {.row = ROW("I2 PNG width 2^32 - 1: width 4294967295", L, 16, NULL),
     .png = RGB8,
     SET("IHDR", 8, "\xff\xff\xff\xff", true)},
    {.row = ROW("I2 PNG width 2^31: width 2147483648", L, 16, NULL),
     .png = RGB8,
     SET("IHDR", 8, "\x80\0\0\0", true)},
    {.row = ROW("I2 PNG 16384 x 16384: 268 million pixels", L, 16, NULL),
     .png = RGB8,
     SET("IHDR", 8, "\0\0\x40\0\0\0\x40\0", true)},
    {.row = ROW("I2 PNG memory: 47 million interlaced pixels of 16 bits RGBA", L, -1, NULL),
     .png = RGB8,
     SET("IHDR", 8, "\0\0\x40\0\0\0\x0b\0\x10\6\0\0\1", true)},
    {.row = ROW("I2 PNG 16384 x 2816: 46 million pixels without data", F, 33, NULL),
     .png = RGB8,
     SET("IHDR", 8, "\0\0\x40\0\0\0\x0b\0", true)},
    {.row = ROW("I4 IHDR CRC: header's checksum", F, 8, NULL),
     .png = RGB8,
     SET("IHDR", 21, "abcd", false)},
    {.row = ROW("I4 PLTE CRC: palette's checksum", F, 33, NULL),
     .png = PALETTE2,
     SET("PLTE", 8, "x", false)},
    {.row = ROW("I4 IDAT CRC: pixel data's checksum", F, 33, NULL),
     .png = RGB8,
     SET("IDAT", 12, "x", false)},
    {.row = ROW("I4 tEXt CRC: checksum of a chunk that is skipped", F, 33, NULL),
     .png = RGB8,
     .more = add_text},
    {.row = ROW("I4 IEND CRC: end's checksum", F, 73, NULL),
     .png = RGB8,
     SET("IEND", 8, "x", false)},
    {.row = ROW("I6 index: colour 1 of a palette of 1", F, 41, NULL),
     .png = {.width = 8,
             .height = 1,
             .depth = 1,
             .color = PNG_PALETTE,
             .palette = "abc",
             .palette_size = 3,
             .given = "\0\x80",
             .given_size = 2}},
    {.row = ROW("I6 no palette: no PLTE", F, 56, NULL), .png = {PICTURE, .color = PNG_PALETTE}},
    {.row = ROW("I6 empty palette: PLTE of 0 bytes", F, 33, NULL),
     .png = {PICTURE, .color = PNG_PALETTE, .palette = "", .palette_size = 0}},
    {.row = ROW("I6 palette of 4 bytes: PLTE of 4 bytes", F, 33, NULL),
     .png = {PICTURE, .color = PNG_PALETTE, .palette = "abcd", .palette_size = 4}},
    {.row = ROW("I6 palette of 771 bytes: PLTE of 257 colours", F, 33, NULL),
     .png = {PICTURE, .color = PNG_PALETTE, .palette = colors_257, .palette_size = 771}},
    {.row = ROW("I6 palette behind tRNS", F, 51, NULL),
     .png = {PICTURE, .color = PNG_RGB, .transparency = "abcdef", .transparency_size = 6},
     .more = add_palette},
    {.row = ROW("I7 tRNS of 0 bytes", F, 51, NULL),
     .png = {PICTURE, .color = PNG_PALETTE, .palette = "abcdef", .palette_size = 6,
             .transparency = "", .transparency_size = 0}},
    {.row = ROW("I6 two palettes: second PLTE", F, 51, NULL), .png = PALETTE2, .more = add_palette},
    {.row = ROW("I6 palette late: PLTE behind IDAT", F, 73, NULL),
     .png = RGB8,
     .more = add_palette_late},
    {.row = ROW("I6 palette of RGB", CS_OK, -1, "a palette that is a hint only"),
     .png = RGB8,
     .more = add_palette},
    {.row = ROW("I7 tRNS of 3 in 2: tRNS longer than the palette", F, 51, NULL),
     .png = {PICTURE, .color = PNG_PALETTE, .palette = "abcdef", .palette_size = 6,
             .transparency = "abc", .transparency_size = 3}},
    {.row = ROW("I7 tRNS early: tRNS before PLTE", F, 33, NULL),
     .png = PALETTE2,
     .more = add_transparency_early},
    {.row = ROW("I7 tRNS late: tRNS behind IDAT", F, 73, NULL),
     .png = RGB8,
     .more = add_transparency_late},
    {.row = ROW("I7 tRNS twice: second tRNS", F, 51, NULL),
     .png = {PICTURE, .color = PNG_RGB, .transparency = "abcdef", .transparency_size = 6},
     .more = add_transparency_twice},
    {.row = ROW("I7 tRNS of RGBA: tRNS beside alpha", F, 33, NULL),
     .png = {PICTURE, .color = PNG_RGBA, .transparency = "ab", .transparency_size = 2}},
    {.row = ROW("I7 tRNS of 3 bytes: tRNS of 3 bytes for grey", F, 33, NULL),
     .png = {PICTURE, .color = PNG_GREY, .transparency = "abc", .transparency_size = 3}},
    {.row = ROW("I7 tRNS grey", CS_OK, -1, "a transparent grey"),
     .png = {PICTURE, .color = PNG_GREY, .transparency = "\0\1", .transparency_size = 2}},
    {.row = ROW("I7 tRNS palette", CS_OK, -1, "a transparent colour"),
     .png = {PICTURE, .color = PNG_PALETTE, .palette = "abcdef", .palette_size = 6,
             .transparency = "a", .transparency_size = 1}},
    {.row = ROW("I7 16-bit grey", CS_OK, -1, NULL),
     .png = {.width = 3, .height = 2, .depth = 16, .color = PNG_GREY}},
    {.row = ROW("I7 16-bit grey and alpha", CS_OK, -1, NULL),
     .png = {.width = 3, .height = 2, .depth = 16, .color = PNG_GREY_ALPHA}},
    {.row = ROW("I7 grey and alpha", CS_OK, -1, NULL), .png = {PICTURE, .color = PNG_GREY_ALPHA}},
    {.row = ROW("I7 interlaced", CS_OK, -1, NULL),
     .png = {PICTURE, .color = PNG_RGBA, .interlaced = 1}},
    {.row = ROW("I7 interlaced 1 x 1", CS_OK, -1, "six passes are empty"),
     .png = {.width = 1, .height = 1, .depth = 1, .color = PNG_GREY, .interlaced = 1}},
    {.row = ROW("I7 depth 3: 3 bits a sample", F, 24, NULL),
     .png = RGB8,
     SET("IHDR", 16, "\3\0", true)},
    {.row = ROW("I7 depth 0: 0 bits a sample", F, 24, NULL),
     .png = RGB8,
     SET("IHDR", 16, "\0", true)},
    {.row = ROW("I7 RGB of 4 bits: 4 bits of RGB", F, 24, NULL),
     .png = RGB8,
     SET("IHDR", 16, "\4", true)},
    {.row = ROW("I7 palette of 16 bits: 16 bits of palette", F, 24, NULL),
     .png = PALETTE2,
     SET("IHDR", 16, "\x10", true)},
    {.row = ROW("I7 colour type 1", F, 24, NULL), .png = RGB8, SET("IHDR", 17, "\1", true)},
    {.row = ROW("I7 colour type 255", F, 24, NULL), .png = RGB8, SET("IHDR", 17, "\xff", true)},
    {.row = ROW("I7 interlacing 2", F, 26, NULL), .png = RGB8, SET("IHDR", 20, "\2", true)},
    {.row = ROW("I7 compression 1", F, 26, NULL), .png = RGB8, SET("IHDR", 18, "\1", true)},
    {.row = ROW("I7 filter method 1", F, 26, NULL), .png = RGB8, SET("IHDR", 19, "\1", true)},
    {.row =
         ROW("I7 critical chunk: a chunk that a reader must know", CS_ERROR_UNSUPPORTED, 33, NULL),
     .png = RGB8,
     .more = add_critical},
    {.row = ROW("I7 CgBI: Apple's variant of PNG", CS_ERROR_UNSUPPORTED, 8, NULL),
     .png = RGB8,
     .more = add_apple},
    {.row = ROW("I7 other chunk", CS_OK, -1, "a chunk that may be skipped"),
     .png = RGB8,
     .more = add_unknown},
    {.row = ROW("I7 chunk type: a chunk named te7t", F, 33, NULL), .png = RGB8, .more = add_digits},
    {.row = ROW("I7 two headers: second IHDR", F, 33, NULL), .png = RGB8, .more = add_header},
    {.row = ROW("I7 header late: IHDR is the second chunk", F, 8, NULL),
     .png = RGB8,
     .more = add_before_header},
    {.row = ROW("I7 header of 12 bytes: IHDR of 12 bytes", F, 8, NULL),
     .png = RGB8,
     SET("IHDR", 3, "\x0c", false)},
    {.row = ROW("I7 chunk length + 1: IDAT a byte longer", F, 33, NULL),
     .png = RGB8,
     SET("IDAT", 0, "\0\0\0\x1f", false)},
    {.row = ROW("I7 chunk length 2^32 - 1: IDAT of 4 GiB", F, 33, NULL),
     .png = RGB8,
     SET("IDAT", 0, "\xff\xff\xff\xff", false)},
    {.row = ROW("I7 chunk length 2^32 - 12: a length that wraps to 0", F, 33, NULL),
     .png = RGB8,
     SET("IDAT", 0, "\xff\xff\xff\xf4", false)},
    {.row = ROW("I7 no IEND: no end", F, 73, NULL), .png = RGB8, .more = drop_end},
    {.row = ROW("I7 IEND of 1 byte: an end with data", F, 73, NULL), .png = RGB8, .more = fill_end},
    {.row = ROW("I5 no IDAT: no pixel data", F, 33, NULL), .png = RGB8, .more = drop_pixels},
    {.row = ROW("I7 bytes behind IEND", CS_OK, -1, "what follows is not looked at"),
     .png = RGB8,
     .more = add_behind},
};

static int count(void) { return (int)(sizeof cases / sizeof *cases); }
static const hostile_image *get(int index) { return &cases[index].row; }

const hostile_image_group hostile_pngs = {count, get};
