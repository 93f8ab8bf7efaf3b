/* picture_builder.c - see picture_builder.h. */
#include "picture_builder.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "test_support.h"

/* ------------------------------------------------------------------ PNG ------------------ */

static void put_be(bytes *b, uint32_t value, int count) {
    for (int i = count - 1; i >= 0; i--)
        bytes_le(b, value >> 8 * i & 255, 1);
}

void png_signature(bytes *b) { bytes_put(b, "\x89PNG\r\n\x1a\n", 8); }

void png_chunk(bytes *b, const char *type, const void *data, size_t size) {
    size_t at = b->size;
    put_be(b, (uint32_t)size, 4);
    bytes_put(b, type, 4);
    if (size)
        bytes_put(b, data, size);
    put_be(b, (uint32_t)crc32(0, b->data + at + 4, (uInt)size + 4), 4);
}

void png_header(bytes *b, const built_png *png) {
    bytes header = {0};
    put_be(&header, png->width, 4);
    put_be(&header, png->height, 4);
    bytes_le(&header, (uint64_t)png->depth, 1);
    bytes_le(&header, (uint64_t)png->color, 1);
    bytes_le(&header, 0, 2);
    bytes_le(&header, (uint64_t)png->interlaced, 1);
    png_chunk(b, "IHDR", header.data, header.size);
    bytes_free(&header);
}

static void put_rows(built_png *png, uint32_t width, uint32_t height) {
    static const uint32_t samples[] = {1, 1, 3, 1, 2, 1, 4, 1};
    size_t size = (width * samples[png->color & 7] * (uint32_t)png->depth + 7) / 8;
    for (uint32_t y = 0; width && y < height; y++) {
        bytes_le(&png->rows, 0, 1);
        for (size_t i = 0; i < size; i++)
            bytes_le(&png->rows, png->color == PNG_PALETTE ? 0 : png->rows.size & 255, 1);
    }
}

void built_png_rows(built_png *png) {
    static const uint32_t x0[] = {0, 4, 0, 2, 0, 1, 0}, y0[] = {0, 0, 4, 0, 2, 0, 1};
    static const uint32_t dx[] = {8, 8, 4, 4, 2, 2, 1}, dy[] = {8, 8, 8, 4, 4, 2, 2};
    if (!png->interlaced)
        put_rows(png, png->width, png->height);
    for (int i = 0; png->interlaced && i < 7; i++)
        put_rows(png, (png->width + dx[i] - 1 - x0[i]) / dx[i],
                 (png->height + dy[i] - 1 - y0[i]) / dy[i]);
}

void png_deflate(bytes *out, const bytes *rows) {
    uLongf size = compressBound(rows->size);
    unsigned char *data = malloc(size);
    ck_assert(data && compress2(data, &size, rows->data, rows->size, 9) == Z_OK);
    bytes_put(out, data, size);
    free(data);
}

void built_png_write(built_png *png, bytes *file) {
    bytes data = {0};
    if (png->given)
        bytes_put(&png->rows, png->given, png->given_size);
    else
        built_png_rows(png);
    png_deflate(&data, &png->rows);
    png_signature(file);
    png_header(file, png);
    if (png->palette)
        png_chunk(file, "PLTE", png->palette, png->palette_size);
    if (png->transparency)
        png_chunk(file, "tRNS", png->transparency, png->transparency_size);
    size_t parts = png->parts ? (size_t)png->parts : 1;
    for (size_t i = 0; i < parts; i++) {
        size_t from = data.size * i / parts, to = data.size * (i + 1) / parts;
        png_chunk(file, "IDAT", data.data + from, to - from);
    }
    png_chunk(file, "IEND", NULL, 0);
    bytes_free(&data);
    bytes_free(&png->rows);
}

size_t png_find(const bytes *file, const char *type) {
    const unsigned char *at = memmem(file->data, file->size, type, 4);
    ck_assert_ptr_nonnull(at);
    return (size_t)(at - file->data) - 4;
}

void png_fix(bytes *file, size_t at) {
    const unsigned char *p = file->data + at;
    size_t size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    uint32_t crc = (uint32_t)crc32(0, p + 4, (uInt)size + 4);
    for (int i = 0; i < 4; i++)
        file->data[at + 8 + size + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
}

/* ------------------------------------------------------------------ JPEG ----------------- */

built_jpeg built_jpeg_grey(void) {
    return (built_jpeg){.frame = 0xC0,
                        .precision = 8,
                        .width = 8,
                        .height = 8,
                        .components = 1,
                        .ids = {1, 2, 3, 4},
                        .sampling = {0x11, 0x11, 0x11, 0x11},
                        .scan_components = 1,
                        .scan_count = 1,
                        .quantisation = true,
                        .dc_table = true,
                        .ac_table = true,
                        .end = true};
}

built_jpeg built_jpeg_color(void) {
    built_jpeg jpeg = built_jpeg_grey();
    jpeg.components = jpeg.scan_components = 3;
    return jpeg;
}

void jpeg_segment(bytes *b, int marker, const void *data, size_t size) {
    put_be(b, 0xFF00u | (uint32_t)marker, 2);
    put_be(b, (uint32_t)size + 2, 2);
    bytes_put(b, data, size);
}

static void put_frame(bytes *b, const built_jpeg *jpeg) {
    bytes frame = {0};
    bytes_le(&frame, (uint64_t)jpeg->precision, 1);
    put_be(&frame, (uint32_t)jpeg->height, 2);
    put_be(&frame, (uint32_t)jpeg->width, 2);
    bytes_le(&frame, (uint64_t)jpeg->components, 1);
    for (int i = 0; i < jpeg->components; i++) {
        bytes_le(&frame, (uint64_t)jpeg->ids[i], 1);
        bytes_le(&frame, (uint64_t)jpeg->sampling[i], 1);
        bytes_le(&frame, 0, 1);
    }
    jpeg_segment(b, jpeg->frame, frame.data, frame.size);
    bytes_free(&frame);
}

/* Table 0 of a class with one code, "0", for the value 0: no difference, or end of block. */
static void put_huffman(bytes *b, int class) {
    unsigned char table[18] = {(unsigned char)(class << 4), 1};
    jpeg_segment(b, 0xC4, table, sizeof table);
}

static void put_scan(bytes *b, const built_jpeg *jpeg) {
    bytes scan = {0};
    bytes_le(&scan, (uint64_t)jpeg->scan_components, 1);
    for (int i = 0; i < jpeg->scan_components; i++) {
        bytes_le(&scan, (uint64_t)jpeg->ids[jpeg->scan_first + i], 1);
        bytes_le(&scan, 0, 1);
    }
    unsigned char tail[3] = {0, jpeg->frame == 0xC2 ? 0 : 63, 0};
    bytes_put(&scan, tail, 3);
    jpeg_segment(b, 0xDA, scan.data, scan.size);
    bytes_free(&scan);
    if (jpeg->data)
        bytes_put(b, jpeg->data, jpeg->data_size);
    else
        bytes_put(b, jpeg->components == 1 ? "\x3f" : "\x03", 1);
}

void built_jpeg_write(const built_jpeg *jpeg, bytes *file) {
    unsigned char table[65];
    memset(table, 1, sizeof table);
    table[0] = 0;
    put_be(file, 0xFFD8, 2);
    if (jpeg->quantisation)
        jpeg_segment(file, 0xDB, table, sizeof table);
    put_frame(file, jpeg);
    if (jpeg->dc_table)
        put_huffman(file, 0);
    if (jpeg->ac_table)
        put_huffman(file, 1);
    for (int i = 0; i < jpeg->scan_count; i++)
        put_scan(file, jpeg);
    if (jpeg->end)
        put_be(file, 0xFFD9, 2);
}

size_t jpeg_find(const bytes *file, int marker) {
    unsigned char code[2] = {0xFF, (unsigned char)marker};
    const unsigned char *at = memmem(file->data, file->size, code, 2);
    ck_assert_ptr_nonnull(at);
    return (size_t)(at - file->data);
}
