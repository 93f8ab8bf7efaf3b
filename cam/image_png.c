/* image_png.c - checks a PNG's structure before stb sees it, and decodes it as Pillow does.
 *
 * stb reads past what is wrong in silence: it looks at no checksum, takes a palette index behind
 * the palette's end from uninitialised memory, and fills in for a file that was cut. So the chunks
 * are walked here (the place of the CRC check is check_chunk), and palettes are looked up here: the
 * header is changed so that stb gives the indices as grey values.
 */
#include "cam_internal.h"
#include "image_stb.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE_SIZE 8
#define CHUNK_OVERHEAD 12 /* length, type, CRC */
#define IHDR_DATA 16      /* where IHDR's 13 bytes begin */

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

typedef struct png {
    uint8_t *data;
    size_t size;
    const char *name;
    uint32_t width, height;
    int depth, color;
    size_t palette; /* offset of the palette's bytes; 0: none */
    int colors;     /* its entries */
    bool has_pixels;
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
    return CS_OK;
}

/* One chunk: `at` is the offset of its length field, `length` was checked against the file. */
static cs_status check_chunk(png *p, size_t at, uint32_t length, cs_error *err) {
    uint8_t *type = p->data + at + 4;
    if (memcmp(type, "PLTE", 4) == 0) {
        if (p->palette || length % 3 || length == 0 || length > 768)
            return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                                "a palette of %u bytes, or a second one: one of 3 to 768 bytes, 3 "
                                "a colour, is expected",
                                length);
        p->palette = at + 8;
        p->colors = (int)(length / 3);
    } else if (memcmp(type, "IDAT", 4) == 0) {
        p->has_pixels = true;
    } else if (memcmp(type, "tRNS", 4) == 0 && p->color == PALETTE) {
        /* Alpha is dropped; for stb, which will see a grey image, tRNS would mean something else.
         * Lower case makes it a chunk that readers skip. */
        memcpy(type, "trNs", 4);
    } else if (memcmp(type, "IHDR", 4) == 0) {
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at, "a second PNG header");
    }
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
    if (read_u32(p->data + at) != 13 || memcmp(p->data + at + 4, "IHDR", 4) != 0)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the PNG does not begin with its header (IHDR of 13 bytes)");
    CS_TRY(check_header(p, limits, err));
    at += CHUNK_OVERHEAD + 13;
    for (;;) {
        if (p->size - at < CHUNK_OVERHEAD)
            return cut(p, at, err);
        uint32_t length = read_u32(p->data + at);
        if (length > p->size - at - CHUNK_OVERHEAD)
            return cut(p, at, err);
        if (memcmp(p->data + at + 4, "IEND", 4) == 0)
            break;
        CS_TRY(check_chunk(p, at, length, err));
        at += CHUNK_OVERHEAD + length;
    }
    if (!p->has_pixels)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the PNG ends without pixels (no IDAT chunk)");
    if (p->color == PALETTE && !p->palette)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the PNG's palette is missing (no PLTE chunk)");
    return CS_OK;
}

/* Indices, which stb scaled as if they were grey, through the palette. */
static cs_status look_up(const png *p, const uint8_t *samples, cs_image *image, cs_error *err) {
    int scale = 255 / ((1 << p->depth) - 1);
    size_t count = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < count; i++) {
        int index = samples[i] / scale;
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

/* Makes the image of what stb gave, of which it may take the samples. */
static cs_status convert(const png *p, cs_stb_pixels *pixels, cs_image *image, cs_error *err) {
    if (pixels->width != (int)p->width || pixels->height != (int)p->height)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, -1, "the PNG contradicts its header");
    if (p->color == PALETTE) {
        CS_TRY(cs_image_allocate(image, pixels->width, pixels->height, err));
        return look_up(p, pixels->samples, image, err);
    }
    if (p->color == GREY && p->depth == 16) {
        CS_TRY(cs_image_allocate(image, pixels->width, pixels->height, err));
        scale_grey16(pixels->samples, image);
        return CS_OK;
    }
    *image = (cs_image){pixels->width, pixels->height, pixels->samples};
    pixels->samples = NULL;
    return CS_OK;
}

static cs_status decode(png *p, cs_image *image, cs_error *err) {
    bool grey16 = p->color == GREY && p->depth == 16, palette = p->color == PALETTE;
    cs_stb_pixels pixels = {0};
    const char *why = NULL;
    if (palette)
        p->data[IHDR_DATA + 9] = GREY;
    if (!cs_stb_decode(p->data, p->size, grey16 || palette ? 1 : 3, grey16 ? 16 : 8, &pixels, &why))
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, -1,
                            "the PNG cannot be decoded: %s (its pixel data is damaged, or memory "
                            "is exhausted)",
                            why);
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
    return decode(&p, image, err);
}
