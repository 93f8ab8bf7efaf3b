/* image_jpeg.c - checks a JPEG's structure before stb sees it, and decodes it.
 *
 * stb fills in grey for a file that was cut, decodes CMYK with a formula of its own, and believes
 * what Huffman tables say of their size. So the markers are walked here: what stb does not do as
 * Pillow does is refused by name, tables are checked, and the file must reach its end marker,
 * behind which stb sees nothing.
 */
#include "cam_internal.h"
#include "image_stb.h"

#include <stdlib.h>

enum { SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DHT = 0xC4, JPG = 0xC8, DAC = 0xCC, TEM = 0x01 };

typedef struct jpeg {
    const uint8_t *data;
    size_t size;
    const char *name;
    const cs_image_limits *limits;
    int64_t width, height; /* 0 until the frame header was seen */
} jpeg;

static bool is_restart(int marker) { return marker >= 0xD0 && marker <= 0xD7; }

/* Start of frame: 0xC0 to 0xCF without the three that mean something else. */
static bool is_frame(int marker) {
    return marker >= 0xC0 && marker <= 0xCF && marker != DHT && marker != JPG && marker != DAC;
}

static const char *frame_name(int marker) {
    if (marker == 0xC3 || marker == 0xC7 || marker == 0xCB || marker == 0xCF)
        return "a lossless";
    if (marker >= 0xC9)
        return "an arithmetic-coded";
    return "a hierarchical";
}

static cs_status cut(const jpeg *j, cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)j->size,
                        "the JPEG is cut: the file ends before its end marker (ff d9); copy or "
                        "download it again");
}

/* Frame header: `at` is its first byte behind the marker, `length` its declared size. */
static cs_status check_frame(jpeg *j, int marker, size_t at, size_t length, cs_error *err) {
    const uint8_t *h = j->data + at;
    if (marker > 0xC2)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, j->name, (int64_t)at - 2,
                            "this is %s JPEG; baseline and progressive ones are read: convert it, "
                            "for example: djpeg FILE | pnmtopng > out.png",
                            frame_name(marker));
    if (length < 8)
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                            "the JPEG's frame header has %zu bytes; at least 8 are expected",
                            length);
    if (j->width)
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                            "the JPEG has a second frame header");
    if (h[2] != 8)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, j->name, (int64_t)at + 2,
                            "this JPEG has %d bits a sample; 8 are read: convert it to PNG", h[2]);
    int64_t height = h[3] << 8 | h[4], width = h[5] << 8 | h[6];
    CS_TRY(cs_image_check_size(width, height, j->name, (int64_t)at + 3, j->limits, err));
    if (h[7] != 1 && h[7] != 3)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, j->name, (int64_t)at + 7,
                            "this JPEG has %d components%s; grey (1) and colour (3) are read: "
                            "convert it, for example: magick FILE -colorspace sRGB out.png",
                            h[7], h[7] == 4 ? " (CMYK)" : "");
    j->width = width;
    j->height = height;
    return CS_OK;
}

/* Huffman tables: each a class and number, 16 counts of codes, and that many values, at most 256.
 */
static cs_status check_huffman(const jpeg *j, size_t at, size_t length, cs_error *err) {
    size_t end = at + length;
    at += 2;
    while (at < end) {
        size_t codes = 0;
        for (size_t i = 1; i <= 16 && at + i < end; i++)
            codes += j->data[at + i];
        if (end - at < 17 || codes > 256 || end - at - 17 < codes)
            return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                                "a Huffman table of %zu codes in a segment with %zu bytes left; at "
                                "most 256 that fit are expected: the JPEG is damaged",
                                codes, end - at);
        at += 17 + codes;
    }
    return CS_OK;
}

/* The offset of the next marker's code byte from `at` on, behind entropy-coded data (where ff 00 is
 * a data byte and restart markers stand); the file's size if there is none. */
static size_t next_marker(const jpeg *j, size_t at) {
    while (at + 1 < j->size) {
        int code = j->data[at + 1];
        if (j->data[at] == 0xFF && code != 0 && code != 0xFF && !is_restart(code))
            return at + 1;
        at++;
    }
    return j->size;
}

/* Shortens j->size to the end marker. */
static cs_status check_markers(jpeg *j, cs_error *err) {
    bool has_scan = false;
    size_t at = 2; /* behind SOI */
    for (;;) {
        at = next_marker(j, at);
        if (at >= j->size)
            return cut(j, err);
        int marker = j->data[at++];
        if (marker == EOI)
            break;
        if (marker == TEM || marker == SOI)
            continue;
        if (j->size - at < 2)
            return cut(j, err);
        size_t length = (size_t)(j->data[at] << 8 | j->data[at + 1]);
        if (length < 2)
            return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                                "a JPEG segment (ff %02x) of length %zu; at least 2 is expected",
                                marker, length);
        if (length > j->size - at)
            return cut(j, err);
        if (is_frame(marker))
            CS_TRY(check_frame(j, marker, at, length, err));
        if (marker == DHT)
            CS_TRY(check_huffman(j, at, length, err));
        has_scan = has_scan || marker == SOS;
        at += length;
    }
    if (!j->width || !has_scan)
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at, "the JPEG ends without %s",
                            j->width ? "pixels" : "a frame header");
    j->size = at;
    return CS_OK;
}

cs_status cs_jpeg_decode(const uint8_t *data, size_t size, const char *name,
                         const cs_image_limits *limits, cs_image *image, cs_error *err) {
    jpeg j = {.data = data, .size = size, .name = name, .limits = limits};
    *image = (cs_image){0};
    CS_TRY(check_markers(&j, err));
    cs_stb_pixels pixels = {0};
    const char *why = NULL;
    if (!cs_stb_decode(data, j.size, 3, 8, &pixels, &why))
        return cs_error_set(err, CS_ERROR_FORMAT, name, -1,
                            "the JPEG cannot be decoded: %s (its data is damaged, or memory is "
                            "exhausted)",
                            why);
    if (pixels.width != j.width || pixels.height != j.height) {
        free(pixels.samples);
        return cs_error_set(err, CS_ERROR_FORMAT, name, -1, "the JPEG contradicts its header");
    }
    *image = (cs_image){pixels.width, pixels.height, pixels.samples};
    return CS_OK;
}
