/* picture_builder.h - tiny PNG and JPEG files made byte by byte in C: valid ones first, in which a
 * test then changes exactly one thing.
 */
#ifndef PICTURE_BUILDER_H
#define PICTURE_BUILDER_H

#include "checkpoint_builder.h"

/* ------------------------------------------------------------------ PNG ------------------ */

enum { PNG_GREY = 0, PNG_RGB = 2, PNG_PALETTE = 3, PNG_GREY_ALPHA = 4, PNG_RGBA = 6 };

typedef struct built_png {
    uint32_t width, height;
    int depth, color, interlaced;
    const char *palette, *transparency; /* NULL: no PLTE, tRNS */
    size_t palette_size, transparency_size;
    int parts;         /* how many IDAT chunks the pixel data is split into; 0: one */
    const char *given; /* NULL: built_png_rows makes the rows */
    size_t given_size;
    bytes rows; /* before compression */
} built_png;

void png_signature(bytes *b);
void png_chunk(bytes *b, const char *type, const void *data, size_t size);
void png_header(bytes *b, const built_png *png);

/* Rows of the right size: filter 0, samples that count up (of palettes: 0). */
void built_png_rows(built_png *png);

/* A whole file. Frees rows. */
void built_png_write(built_png *png, bytes *file);

/* rows compressed as zlib does. */
void png_deflate(bytes *out, const bytes *rows);

/* Where the chunk `type` begins (its length field). */
size_t png_find(const bytes *file, const char *type);

/* Gives the chunk at `at` its right checksum. */
void png_fix(bytes *file, size_t at);

/* ------------------------------------------------------------------ JPEG ----------------- */

/* 8 x 8 pixels of middle grey with the shortest tables there are; a field that is changed makes the
 * one thing that is wrong. */
typedef struct built_jpeg {
    int frame; /* the marker's code: 0xC0 */
    int precision, width, height;
    int components, ids[4], sampling[4];
    int scan_components, scan_first, scan_count; /* components of each scan; how many scans */
    bool quantisation, dc_table, ac_table, end;
    const char *data; /* of a scan; NULL: the shortest that there can be */
    size_t data_size;
} built_jpeg;

built_jpeg built_jpeg_grey(void);
built_jpeg built_jpeg_color(void);
void jpeg_segment(bytes *b, int marker, const void *data, size_t size);
void built_jpeg_write(const built_jpeg *jpeg, bytes *file);

/* Where the marker is (its ff). */
size_t jpeg_find(const bytes *file, int marker);

#endif
