/* hostile_png_data.c - PNGs whose chunks are right, and one thing is wrong in the pixel data that
 * they hold (IMAGE 4, 5, 7).
 */
#include "hostile_images.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "test_support.h"

/* The pixel data, compressed, and how it is changed; or rows other than the header promises. */
typedef struct hostile_data {
    hostile_image row;
    void (*rows)(bytes *rows);
    void (*change)(bytes *data);
    void (*chunks)(bytes *file, const bytes *data); /* NULL: one IDAT */
} hostile_data;

static void one_chunk(bytes *file, const bytes *data) {
    png_chunk(file, "IDAT", data->data, data->size);
}

static void make(const hostile_image *self, bytes *file) {
    const hostile_data *c = (const hostile_data *)self;
    built_png png = {.width = 3, .height = 2, .depth = 8, .color = PNG_RGB};
    bytes data = {0};
    built_png_rows(&png);
    if (c->rows)
        c->rows(&png.rows);
    png_deflate(&data, &png.rows);
    if (c->change)
        c->change(&data);
    png_signature(file);
    png_header(file, &png);
    (c->chunks ? c->chunks : one_chunk)(file, &data);
    png_chunk(file, "IEND", NULL, 0);
    bytes_free(&data);
    bytes_free(&png.rows);
}

static void wrong_adler(bytes *data) { data->data[data->size - 1] ^= 1; }
static void no_adler(bytes *data) { bytes_cut(data, data->size - 4); }
static void cut_stream(bytes *data) { bytes_cut(data, data->size - 8); }
static void empty(bytes *data) { bytes_cut(data, 0); }
static void bad_block(bytes *data) { data->data[2] |= 7; }
static void bad_method(bytes *data) { memcpy(data->data, "\x79\x9c", 2); }
static void bad_check(bytes *data) { data->data[1] ^= 1; }
static void dictionary(bytes *data) {
    memcpy(data->data, "\x78\xf9", 2);
    bytes_insert(data, 2, "\0\0\0\1", 4);
}
static void trailing(bytes *data) { bytes_text(data, "x"); }
static void two_streams(bytes *data) {
    size_t size = data->size;
    unsigned char *copy = malloc(size);
    memcpy(copy, data->data, size);
    bytes_put(data, copy, size);
    free(copy);
}

static void bomb(bytes *rows) {
    static const unsigned char zeros[1 << 16];
    for (int i = 0; i < 1600; i++)
        bytes_put(rows, zeros, sizeof zeros);
}
static void byte_less(bytes *rows) { bytes_cut(rows, rows->size - 1); }
static void byte_more(bytes *rows) { bytes_text(rows, "x"); }
static void row_less(bytes *rows) { bytes_cut(rows, rows->size - 10); }
static void filter_5(bytes *rows) { rows->data[10] = 5; }
static void filter_255(bytes *rows) { rows->data[0] = 255; }
static void filter_4(bytes *rows) { rows->data[0] = 4; }

static void apart(bytes *file, const bytes *data) {
    png_chunk(file, "IDAT", data->data, 10);
    png_chunk(file, "tEXt", "a\0b", 3);
    png_chunk(file, "IDAT", data->data + 10, data->size - 10);
}
static void many(bytes *file, const bytes *data) {
    for (size_t i = 0; i < data->size; i++) {
        png_chunk(file, "IDAT", data->data + i, 1);
        for (int k = 0; k < 100; k++)
            png_chunk(file, "IDAT", NULL, 0);
    }
}
static void empty_last(bytes *file, const bytes *data) {
    one_chunk(file, data);
    png_chunk(file, "IDAT", NULL, 0);
}
static void more_last(bytes *file, const bytes *data) {
    one_chunk(file, data);
    png_chunk(file, "IDAT", "x", 1);
}

#define F CS_ERROR_FORMAT
#define ROW(name, status, offset, why)                                                             \
    { {name, status, offset, NULL, why}, NULL, make }

static const hostile_data cases[] = {
    {ROW("I4 Adler-32: the pixel data's own checksum, its CRC is right", F, 33, NULL),
     .change = wrong_adler},
    {ROW("I4 no Adler-32: the pixel data ends before its checksum", F, 69, NULL),
     .change = no_adler},
    {ROW("I5 bomb: 100 MiB of zeros for 3 x 2 pixels", F, 33, NULL), .rows = bomb},
    {ROW("I5 a byte less: inflates to a byte less", F, 33, NULL), .rows = byte_less},
    {ROW("I5 a byte more: inflates to a byte more", F, 33, NULL), .rows = byte_more},
    {ROW("I5 a row less: inflates to a row less", F, 33, NULL), .rows = row_less},
    {ROW("I5 cut: the deflate stream is cut", F, 65, NULL), .change = cut_stream},
    {ROW("I5 empty: IDAT of 0 bytes", F, 45, NULL), .change = empty},
    {ROW("I5 block type: a deflate block of type 3", F, 33, NULL), .change = bad_block},
    {ROW("I5 method: zlib's method 9", F, 33, NULL), .change = bad_method},
    {ROW("I5 header check: zlib's header check", F, 33, NULL), .change = bad_check},
    {ROW("I5 dictionary: a preset dictionary", F, 33, NULL), .change = dictionary},
    {ROW("I5 trailing byte: a byte behind the deflate stream", F, 33, NULL), .change = trailing},
    {ROW("I5 second stream: a second deflate stream", F, 33, NULL), .change = two_streams},
    {ROW("I5 trailing chunk: an IDAT behind the deflate stream", F, 73, NULL), .chunks = more_last},
    {ROW("I5 IDATs apart: another chunk between IDATs", F, 70, NULL), .chunks = apart},
    {ROW("I5 3000 IDATs", CS_OK, -1, "a byte a chunk, and empty ones"), .chunks = many},
    {ROW("I5 empty IDAT", CS_OK, -1, "an empty IDAT at the end"), .chunks = empty_last},
    {ROW("I7 filter 5: a row's filter is 5", F, -1, NULL), .rows = filter_5},
    {ROW("I7 filter 255: the first row's filter is 255", F, -1, NULL), .rows = filter_255},
    {ROW("I7 filter 4", CS_OK, -1, "Paeth in the first row"), .rows = filter_4},
};

static int count(void) { return (int)(sizeof cases / sizeof *cases); }
static const hostile_image *get(int index) { return &cases[index].row; }

const hostile_image_group hostile_png_data = {count, get};
