/* hostile_pnms.c - PNMs with one thing wrong, and files whose names lie (IMAGE 1, 2, 3, 9, 10). */
#include "hostile_images.h"

#include <string.h>

#include "test_support.h"

typedef struct hostile_text {
    hostile_image row;
    const char *text;
    size_t size;
} hostile_text;

static void make(const hostile_image *self, bytes *file) {
    const hostile_text *c = (const hostile_text *)self;
    bytes_put(file, c->text, c->size);
}

static void make_png(const hostile_image *self, bytes *file) {
    built_png png = {.width = 3, .height = 2, .depth = 8, .color = PNG_RGB};
    (void)self;
    built_png_write(&png, file);
}

static void make_jpeg(const hostile_image *self, bytes *file) {
    built_jpeg jpeg = built_jpeg_grey();
    (void)self;
    built_jpeg_write(&jpeg, file);
}

#define F CS_ERROR_FORMAT
#define L CS_ERROR_LIMIT
#define U CS_ERROR_UNSUPPORTED
#define PNM(name, status, offset, why, text)                                                       \
    { {{name, status, offset, NULL, why}, NULL, make}, text, sizeof(text) - 1 }
#define FILE_NAMED(name, status, offset, why, file, text)                                          \
    { {{name, status, offset, NULL, why}, file, make}, text, sizeof(text) - 1 }

static const hostile_text cases[] = {
    PNM("I0 P1", CS_OK, -1, NULL, "P1\n2 2\n0110"),
    PNM("I0 P2", CS_OK, -1, NULL, "P2 2 2 9 0 1 2 9"),
    PNM("I0 P3", CS_OK, -1, NULL, "P3 1 1 65535 0 1 65535\n"),
    PNM("I0 P4", CS_OK, -1, NULL, "P4 9 1\n\x55\x80"),
    PNM("I0 P5", CS_OK, -1, NULL, "P5 2 2 255\nabcd"),
    PNM("I0 P5 16 bits", CS_OK, -1, NULL, "P5 2 1 4095\n\x0f\xff\0\1"),
    PNM("I0 P6", CS_OK, -1, NULL, "P6 1 1 255\nabc"),
    PNM("I1 PNM width 0", F, 2, NULL, "P5 0 1 255\n"),
    PNM("I1 PNM height 0", F, 2, NULL, "P6 1 0 255\n"),
    PNM("I2 PNM 99999 x 99999: width and height 99999", L, 2, NULL, "P5 99999 99999 255\n"),
    PNM("I2 PNM 16384 x 3000: 49 million pixels without data", F, 18, NULL, "P6 16384 3000 255\n"),
    PNM("I2 PNM plain: 49 million pixels without data", F, 19, NULL, "P3 16384 3000 255\n1"),
    PNM("I3 PNM a byte less", F, 13, NULL, "P6 1 1 255\nab"),
    PNM("I3 PNM a number less", F, 16, NULL, "P2 2 2 255\n11 11"),
    PNM("I3 PNM P1 a pixel less", F, 12, NULL, "P1 2 2\n010\n\n"),
    PNM("I3 PNM P4 a byte less", F, 8, NULL, "P4 9 1\n\x55"),
    PNM("I3 PNM header: a header alone", F, 10, NULL, "P6 1 1 255"),
    PNM("I3 PNM no maximum: a header cut", F, 7, NULL, "P6 1 1\n"),
    PNM("I3 PNM magic alone: two bytes", F, 2, NULL, "P6"),
    PNM("I9 -1 x -1: width and height -1", F, 3, NULL, "P6 -1 -1 255\nabc"),
    PNM("I9 width +1: a sign", F, 3, NULL, "P6 +1 1 255\nabc"),
    PNM("I9 width 1.5: a fraction", F, 3, NULL, "P6 1.5 1 255\nabc"),
    PNM("I9 width 0x1: a hexadecimal number", F, 3, NULL, "P6 0x1 1 255\nabc"),
    PNM("I9 width of 20 digits: width 99999999999999999999", F, 3, NULL,
        "P6 99999999999999999999 1 255\nabc"),
    PNM("I9 width 2^32 + 1: width 4294967297", L, 2, NULL, "P6 4294967297 1 255\nabc"),
    PNM("I9 maximum 0", F, 6, NULL, "P6 1 1 0\nabc"),
    PNM("I9 maximum -5", F, 7, NULL, "P6 1 1 -5\nabc"),
    PNM("I9 maximum 65536", F, 6, NULL, "P6 1 1 65536\nabcdef"),
    PNM("I9 maximum 4294967551: maximum 2^32 + 255", F, 6, NULL, "P6 1 1 4294967551\nabc"),
    PNM("I9 no white space 1: no white space behind P6", F, 2, NULL, "P61 1 255\nabc"),
    PNM("I9 no white space 2: no white space before the pixels", F, 7, NULL,
        "P6 1 1 255\x80"
        "bc"),
    PNM("I9 no white space 3: no white space between width and height", F, 3, NULL,
        "P6 1x1 255\nabc"),
    PNM("I9 letters: letters in place of a number", F, 11, NULL, "P2 1 1 255\nabc"),
    PNM("I9 2 in P1: a bitmap's pixel is 2", F, 8, NULL, "P1 2 1\n02"),
    PNM("I9 P2 above maximum: a sample above the maximum", F, 12, NULL, "P2 1 1 9\n010"),
    PNM("I9 P5 above maximum: a sample above the maximum", F, 10, NULL, "P5 2 1 9\n\1\x0a"),
    PNM("I9 P5 16 bits above: a sample above the maximum", F, 11, NULL, "P5 1 1 256\n\1\1"),
    PNM("I9 CR LF: a line end converted: a byte more", F, 14, NULL, "P6 1 1 255\r\nabc"),
    PNM("I9 two pictures: a second picture", F, 12, NULL, "P5 1 1 255\naP5 1 1 255\nb"),
    PNM("I9 text behind: text behind the pixels", F, 13, NULL, "P2 1 1 255\n77 x"),
    PNM("I9 comments", CS_OK, -1, "comments", "P5 #a\n2 1 #b\n #c\n255\nab"),
    PNM("I9 CR ends a comment", CS_OK, -1, NULL, "P5 #a\r1 1 255\nb"),
    PNM("I9 line end behind", CS_OK, -1, "white space may follow the last pixel",
        "P5 1 1 255\nb\r\n"),
    PNM("I9 comment glued: a comment glued to a number", F, 7, NULL, "P5 1 1 255#a\nb"),
    PNM("I9 comment without end: a comment that never ends", F, 13, NULL, "P5 1 1 # abcd"),
    PNM("I9 NULs: NUL where white space is expected", F, 3, NULL, "P5 1\0001 255\na"),
    PNM("I10 P7: PAM", U, 0, NULL, "P7\nWIDTH 1\n"),
    PNM("I10 PF: PFM", U, 0, NULL, "PF\n1 1\n-1\nabcdabcdabcd"),
    FILE_NAMED("I10 text named .png: text", F, 0, NULL, "x.png", "hello"),
    FILE_NAMED("I10 empty: an empty file", F, 0, NULL, "x.png", ""),
    FILE_NAMED("I10 GIF named .png: GIF", U, 0, NULL, "x.png", "GIF89a and so on"),
    FILE_NAMED("I10 web page named .jpg: HTML", U, 0, NULL, "x.jpg", "<!DOCTYPE html><html>"),
    FILE_NAMED("I10 LFS pointer named .png: a Git LFS pointer", U, 0, NULL, "x.png",
               "version https://git-lfs.github.com/spec/v1\n"),
    FILE_NAMED("I10 NPY named .png: a NumPy array", U, 0, NULL, "x.png", "\x93NUMPY\1\0\x76\0{"),
    FILE_NAMED("I10 P6 named .jpeg", CS_OK, -1, "told by its bytes", "x.jpeg", "P6 1 1 255\nabc"),
    {{{"I10 PNG named .jpg", CS_OK, -1, NULL, "told by its bytes"}, "x.jpg", make_png}, "", 0},
    {{{"I10 JPEG named .png", CS_OK, -1, NULL, "told by its bytes"}, "x.png", make_jpeg}, "", 0},
    {{{"I10 PNG named .npy", CS_OK, -1, NULL, "told by its bytes"}, "x.npy", make_png}, "", 0},
    {{{"I10 a name with escapes", CS_OK, -1, NULL, "the name is only a name"},
      "\x1b[31m\n.png",
      make_png},
     "",
     0},
};

static int count(void) { return (int)(sizeof cases / sizeof *cases); }
static const hostile_image *get(int index) { return &cases[index].row; }

const hostile_image_group hostile_pnms = {count, get};
