/* image_png.c - checks a PNG's structure before stb sees it, and decodes it as Pillow does.
 *
 * stb reads past what is wrong in silence: it looks at no checksum, takes a palette index behind
 * the palette's end from uninitialised memory, and fills in for a file that was cut. So the chunks
 * and their CRCs are checked here, and their pixel data in image_png_check.c. Palettes are looked
 * up here: the header is changed so that stb gives the indices as grey values.
 */
#include "cam_internal.h"
#include "image_stb.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE_SIZE 8
#define CHUNK_OVERHEAD 12   /* length, type, CRC */
#define IHDR_DATA      16   /* where IHDR's 13 bytes begin */
#define LOWER_CASE     0x20 /* of a chunk type's first letter: readers may skip it */

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

typedef struct png {
    uint8_t *data;
    size_t size;
    const char *name;
    uint32_t width, height;
    int depth, color;
    bool is_interlaced;
    size_t palette;     /* offset of the palette's bytes; 0: none */
    int colors;         /* its entries */
    size_t pixels;      /* offset of the first IDAT chunk; 0: none */
    size_t pixels_end;  /* behind the last one */
    size_t pixel_bytes; /* all of their data */
    bool has_transparency;
} png;

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static cs_status check_header(png *p, const cs_image_limits *limits, cs_error *err) {
    static const uint8_t depths[7] = {
        1 | 2 | 4 | 8 | 16, 0, 8 | 16, 1 | 2 | 4 | 8, 8 | 16, 0, 8 | 16};
    const uint8_t *h = p->data + IHDR_DATA;
    p->width = read_u32(h);
    p->height = read_u32(h + 4);
    p->depth = h[8];
    p->color = h[9];
    CS_TRY(cs_image_check_size(p->width, p->height, p->name, IHDR_DATA, limits, err));
    bool one_bit = p->depth != 0 && (p->depth & (p->depth - 1)) == 0;
    if (p->color > RGB_ALPHA || !one_bit || !(depths[p->color] & p->depth))
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, IHDR_DATA + 8,
                            "a PNG of colour type %d with %d bits does not exist", p->color,
                            p->depth);
    if (h[10] != 0 || h[11] != 0 || h[12] > 1)
        return cs_error_set(
            err, CS_ERROR_FORMAT, p->name, IHDR_DATA + 10,
            "unknown PNG compression %d, filter %d or interlacing %d (0, 0 and 0 or "
            "1 exist)",
            h[10], h[11], h[12]);
    p->is_interlaced = h[12] != 0;
    return CS_OK;
}

static cs_status wrong_place(const png *p, size_t at, cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                        "the PNG's %.4s chunk is a second one, or in the wrong place",
                        (const char *)p->data + at + 4);
}

static cs_status check_palette(png *p, size_t at, uint32_t length, cs_error *err) {
    if (p->palette || p->pixels || p->has_transparency)
        return wrong_place(p, at, err);
    if (length % 3 || length == 0 || length > 768)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "a palette of %u bytes: 3 to 768, 3 a colour, are expected", length);
    p->palette = at + 8;
    p->colors = (int)(length / 3);
    return CS_OK;
}

/* Alpha is dropped, so stb need not see which colours are transparent (and would misunderstand it
 * of a palette): with a lower-case letter more the chunk is one that readers skip. */
static cs_status check_transparency(png *p, size_t at, uint32_t length, cs_error *err) {
    static const uint32_t lengths[] = {2, 0, 6, 0, 0, 0, 0};
    if (p->has_transparency || p->pixels || (p->color == PALETTE && !p->palette))
        return wrong_place(p, at, err);
    bool fits = p->color == PALETTE ? length <= (uint32_t)p->colors : length == lengths[p->color];
    if (!fits || length == 0)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "a tRNS chunk of %u bytes does not fit a PNG of colour type %d", length,
                            p->color);
    p->has_transparency = true;
    memcpy(p->data + at + 4, "trNs", 4);
    return CS_OK;
}

static cs_status check_pixels(png *p, size_t at, uint32_t length, cs_error *err) {
    if (p->pixels && p->pixels_end != at)
        return wrong_place(p, at, err);
    if (!p->pixels)
        p->pixels = at;
    p->pixels_end = at + CHUNK_OVERHEAD + length;
    p->pixel_bytes += length;
    return CS_OK;
}

static bool is_letter(uint8_t c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

static cs_status check_checksum(const png *p, size_t at, uint32_t length, cs_error *err) {
    uint32_t said = read_u32(p->data + at + 8 + length);
    uint32_t is = cs_crc32(p->data + at + 4, (size_t)length + 4);
    if (said != is)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the checksum of the PNG's %.4s chunk is %08x, and its bytes give "
                            "%08x: it is damaged; copy or download it again",
                            (const char *)p->data + at + 4, said, is);
    return CS_OK;
}

/* One chunk: `at` is the offset of its length field, `length` was checked against the file. */
static cs_status check_chunk(png *p, size_t at, uint32_t length, cs_error *err) {
    const uint8_t *type = p->data + at + 4;
    for (int i = 0; i < 4; i++)
        if (!is_letter(type[i]))
            return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                                "a PNG chunk of four letters is expected, not %02x %02x %02x %02x",
                                type[0], type[1], type[2], type[3]);
    CS_TRY(check_checksum(p, at, length, err));
    if (memcmp(type, "PLTE", 4) == 0)
        return check_palette(p, at, length, err);
    if (memcmp(type, "tRNS", 4) == 0)
        return check_transparency(p, at, length, err);
    if (memcmp(type, "IDAT", 4) == 0)
        return check_pixels(p, at, length, err);
    if (memcmp(type, "IHDR", 4) == 0 && at != SIGNATURE_SIZE)
        return wrong_place(p, at, err);
    if (!(type[0] & LOWER_CASE) && memcmp(type, "IHDR", 4) != 0 && memcmp(type, "IEND", 4) != 0)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, p->name, (int64_t)at,
                            "the PNG needs a reader that knows its %.4s chunk: write it anew, for "
                            "example: magick FILE out.png",
                            (const char *)type);
    return CS_OK;
}

static cs_status cut(const png *p, size_t at, cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                        "the PNG is cut: its chunks go on past the file's end at byte %zu; copy or "
                        "download it again",
                        p->size);
}

static cs_status check_chunks(png *p, const cs_image_limits *limits, cs_error *err) {
    size_t at = SIGNATURE_SIZE;
    if (p->size - at < CHUNK_OVERHEAD + 13)
        return cut(p, at, err);
    if (memcmp(p->data + at + 4, "CgBI", 4) == 0)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, p->name, (int64_t)at,
                            "this is Apple's variant of PNG (CgBI): make it a PNG again, for "
                            "example: pngcrush -revert-iphone-optimizations FILE out.png");
    if (read_u32(p->data + at) != 13 || memcmp(p->data + at + 4, "IHDR", 4) != 0)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the PNG does not begin with its header (IHDR of 13 bytes)");
    CS_TRY(check_checksum(p, at, 13, err));
    CS_TRY(check_header(p, limits, err));
    at += CHUNK_OVERHEAD + 13;
    for (;;) {
        if (p->size - at < CHUNK_OVERHEAD)
            return cut(p, at, err);
        uint32_t length = read_u32(p->data + at);
        if (length > p->size - at - CHUNK_OVERHEAD)
            return cut(p, at, err);
        CS_TRY(check_chunk(p, at, length, err));
        if (memcmp(p->data + at + 4, "IEND", 4) == 0)
            break;
        at += CHUNK_OVERHEAD + length;
    }
    if (read_u32(p->data + at) != 0)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the PNG's end chunk (IEND) holds %u bytes; none are expected",
                            read_u32(p->data + at));
    if (!p->pixels)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the PNG ends without pixels (no IDAT chunk)");
    if (p->color == PALETTE && !p->palette)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the PNG's palette is missing (no PLTE chunk)");
    return CS_OK;
}

/* The bytes that rows of a width hold, each behind its filter byte. */
static uint64_t rows_size(const png *p, uint64_t width, uint64_t height) {
    static const uint8_t samples[] = {1, 0, 3, 1, 2, 0, 4};
    uint64_t bits = width * samples[p->color] * (uint64_t)p->depth;
    return width ? height * ((bits + 7) / 8 + 1) : 0;
}

/* What the pixel data inflates to. Interlaced are seven pictures of every so manyth pixel. */
static uint64_t inflated_size(const png *p) {
    static const uint8_t x0[] = {0, 4, 0, 2, 0, 1, 0}, y0[] = {0, 0, 4, 0, 2, 0, 1};
    static const uint8_t dx[] = {8, 8, 4, 4, 2, 2, 1}, dy[] = {8, 8, 8, 4, 4, 2, 2};
    if (!p->is_interlaced)
        return rows_size(p, p->width, p->height);
    uint64_t size = 0;
    for (int i = 0; i < 7; i++)
        size += rows_size(p, (p->width + dx[i] - 1u - x0[i]) / dx[i],
                          (p->height + dy[i] - 1u - y0[i]) / dy[i]);
    return size;
}

/* The most that stb and this file hold at once: compressed data (a buffer that doubles, moving) and
 * rows; rows and samples; samples and what they are converted to. stb's guess of the rows' size is
 * too small for interlaced ones and doubles, and their passes are decoded apart. */
static int64_t memory_needed(const png *p, uint64_t inflated) {
    uint64_t count = (uint64_t)p->width * p->height, bytes = p->depth == 16 ? 2 : 1;
    uint64_t samples = count * bytes * (p->color == PALETTE ? 1 : p->color == RGB_ALPHA ? 4 : 3);
    uint64_t first = 3 * p->pixel_bytes + (p->is_interlaced ? 3 : 1) * inflated;
    uint64_t second = (p->is_interlaced ? 2 : 1) * (inflated + samples);
    uint64_t third = samples + 3 * count * bytes;
    uint64_t most = first > second ? first : second;
    return (int64_t)(most > third ? most : third);
}

/* Indices, which stb scaled as if they were grey (so they stand in the upper bits), through the
 * palette. */
static cs_status look_up(const png *p, const uint8_t *samples, cs_image *image, cs_error *err) {
    size_t count = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < count; i++) {
        int index = samples[i] >> (8 - p->depth);
        if (index >= p->colors)
            return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)p->palette,
                                "pixel (%zu, %zu) has colour %d of a palette of %d",
                                i % (size_t)image->width, i / (size_t)image->width, index,
                                p->colors);
        memcpy(image->pixels + 3 * i, p->data + p->palette + 3 * index, 3);
    }
    return CS_OK;
}

/* v / 257 rounded to nearest: 65535 = 257 * 255, and 257 is odd, so there are no ties. */
static void scale_grey16(const uint16_t *samples, cs_image *image) {
    size_t count = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < count; i++)
        memset(image->pixels + 3 * i, (int)((samples[i] + 128u) / 257u), 3);
}

/* The high bytes of RGB; stb would do the same, and leak where memory is exhausted. */
static void take_high_bytes(const uint16_t *samples, cs_image *image) {
    size_t count = 3 * (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < count; i++)
        image->pixels[i] = (uint8_t)(samples[i] >> 8);
}

/* Makes the image of what stb gave, of which it may take the samples. */
static cs_status convert(const png *p, cs_stb_pixels *pixels, cs_image *image, cs_error *err) {
    if (pixels->width != (int)p->width || pixels->height != (int)p->height)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, -1, "the PNG contradicts its header");
    if (p->color != PALETTE && p->depth != 16) {
        *image = (cs_image){pixels->width, pixels->height, pixels->samples};
        pixels->samples = NULL;
        return CS_OK;
    }
    CS_TRY(cs_image_allocate(image, pixels->width, pixels->height, err));
    if (p->color == PALETTE)
        return look_up(p, pixels->samples, image, err);
    if (p->color == GREY)
        scale_grey16(pixels->samples, image);
    else
        take_high_bytes(pixels->samples, image);
    return CS_OK;
}

static cs_status decode(png *p, cs_image *image, cs_error *err) {
    bool palette = p->color == PALETTE;
    int channels = palette || (p->color == GREY && p->depth == 16) ? 1 : 3;
    cs_stb_pixels pixels = {0};
    const char *why = NULL;
    if (palette)
        p->data[IHDR_DATA + 9] = GREY;
    if (!cs_stb_decode(p->data, p->size, channels, p->depth == 16 ? 16 : 8, &pixels, &why))
        return cs_stb_error(why, "PNG", p->name, err);
    cs_status status = convert(p, &pixels, image, err);
    if (status != CS_OK)
        cs_image_free(image);
    free(pixels.samples);
    return status;
}

cs_status cs_png_decode(uint8_t *data, size_t size, const char *name, const cs_image_limits *limits,
                        cs_image *image, cs_error *err) {
    png p = {.data = data, .size = size, .name = name};
    *image = (cs_image){0};
    CS_TRY(check_chunks(&p, limits, err));
    uint64_t inflated = inflated_size(&p);
    CS_TRY(cs_image_check_memory(memory_needed(&p, inflated), name, limits, err));
    CS_TRY(cs_png_check_data(data, p.pixels, inflated, name, err));
    return decode(&p, image, err);
}
