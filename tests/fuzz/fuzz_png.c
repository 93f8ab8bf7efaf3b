/* fuzz_png.c - fuzz target: PNG files.
 *
 * Checksums stop a fuzzer. An input that begins as a PNG is tried as it is, and then with the CRC
 * of each chunk and the Adler-32 of the pixel data made right. Any other input becomes a PNG: its
 * first bytes the header's fields, palette size and so on, the rest the rows, compressed here; so
 * what is behind inflate is reached as well.
 */
#include "fuzz_image.h"

#include <string.h>
#include <zlib.h>

enum { SIGNATURE_SIZE = 8, ROOM = 1 << 18 };

static const uint8_t signature[SIGNATURE_SIZE] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

static void put_u32(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The pixel data's chunks as one: copies it to `out`, or back from there if `is_back`. */
static size_t gather(uint8_t *png, size_t size, uint8_t *out, bool is_back) {
    size_t total = 0;
    for (size_t at = SIGNATURE_SIZE; size - at >= 12;) {
        size_t length = get_u32(png + at);
        if (length > size - at - 12)
            break;
        if (memcmp(png + at + 4, "IDAT", 4) == 0) {
            memcpy(is_back ? png + at + 8 : out + total, is_back ? out + total : png + at + 8,
                   length);
            total += length;
        }
        at += 12 + length;
    }
    return total;
}

/* Writes the right Adler-32 behind the deflate stream of `size` bytes of zlib data. */
static void fix_adler(uint8_t *data, size_t size) {
    static uint8_t rows[ROOM];
    z_stream z = {0};
    if (size < 6 || inflateInit2(&z, -15) != Z_OK)
        return;
    z.next_in = data + 2;
    z.avail_in = (uInt)size - 2;
    z.next_out = rows;
    z.avail_out = ROOM;
    if (inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in >= 4)
        put_u32(data + size - z.avail_in, adler32(1, rows, (uInt)z.total_out));
    inflateEnd(&z);
}

static void fix_checksums(uint8_t *png, size_t size) {
    uint8_t *data = malloc(size);
    if (!data)
        return;
    fix_adler(data, gather(png, size, data, false));
    gather(png, size, data, true);
    for (size_t at = SIGNATURE_SIZE; size - at >= 12;) {
        size_t length = get_u32(png + at);
        if (length > size - at - 12)
            break;
        put_u32(png + at + 8 + length, crc32(0, png + at + 4, (uInt)length + 4));
        at += 12 + length;
    }
    free(data);
}

static uint8_t *put_chunk(uint8_t *out, const char *type, const void *data, size_t size) {
    put_u32(out, size);
    memcpy(out + 4, type, 4);
    if (size)
        memcpy(out + 8, data, size);
    return out + 12 + size; /* fix_checksums writes the CRC */
}

/* Width, height, depth, colour type, flags, palette size, tRNS size; then palette, tRNS, rows. */
static void decode_built(const uint8_t *data, size_t size) {
    static uint8_t png[ROOM], compressed[ROOM / 2];
    static const uint8_t depths[] = {1, 2, 4, 8, 16}, colors[] = {0, 2, 3, 4, 6};
    if (size < 7 || size > ROOM / 8)
        return;
    uint8_t header[13] = {
        0, 0, 0,          data[0], 0, 0, 0, data[1], depths[data[2] % 5], colors[data[3] % 5],
        0, 0, data[4] & 1};
    size_t palette = data[5] * (size_t)3, transparent = data[6];
    uint8_t *at = png + SIGNATURE_SIZE;
    uLongf length = sizeof compressed;
    memcpy(png, signature, SIGNATURE_SIZE);
    at = put_chunk(at, "IHDR", header, sizeof header);
    data += 7;
    size -= 7;
    if (palette && palette <= size) {
        at = put_chunk(at, "PLTE", data, palette);
        data += palette;
        size -= palette;
    }
    if (transparent && transparent <= size) {
        at = put_chunk(at, "tRNS", data, transparent);
        data += transparent;
        size -= transparent;
    }
    if (compress2(compressed, &length, data, size, 1) != Z_OK)
        return;
    at = put_chunk(at, "IDAT", compressed, length);
    at = put_chunk(at, "IEND", NULL, 0);
    fix_checksums(png, (size_t)(at - png));
    fuzz_decode(png, (size_t)(at - png));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < SIGNATURE_SIZE || memcmp(data, signature, SIGNATURE_SIZE) != 0) {
        decode_built(data, size);
        return 0;
    }
    uint8_t *copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    fuzz_decode(copy, size);
    fix_checksums(copy, size);
    fuzz_decode(copy, size);
    free(copy);
    return 0;
}
