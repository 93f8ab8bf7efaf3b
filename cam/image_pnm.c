/* image_pnm.c - reads PBM, PGM and PPM pictures (P1 to P6) as Pillow does.
 *
 * A header says how many samples follow, so what is there is counted before anything is allocated.
 * Where Pillow and netpbm disagree about a file (a comment glued to a number), or where the file
 * contradicts itself (a sample above the maximum, bytes behind the last one), it is refused.
 */
#include "cam_internal.h"

#include <math.h>
#include <string.h>

enum { MAX_DIGITS = 10, MAX_MAXVAL = 65535 };

typedef struct pnm {
    const uint8_t *data;
    size_t size, at;
    const char *name;
    const cs_image_limits *limits;
    int64_t width, height;
    int maxval;     /* 1 for bitmaps */
    int channels;   /* 1 or 3 */
    bool plain;     /* decimal numbers, not bytes */
    bool is_bitmap; /* 1 is black */
} pnm;

/* What isspace() says in the C locale. */
static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static cs_status cut(const pnm *p, const char *what, cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)p->size,
                        "the PNM is cut: the file ends before %s; copy or download it again", what);
}

/* Passes white space and comments (# to the end of the line). */
static void skip_space(pnm *p) {
    while (p->at < p->size && (is_space(p->data[p->at]) || p->data[p->at] == '#')) {
        if (p->data[p->at] == '#')
            while (p->at < p->size && p->data[p->at] != '\n' && p->data[p->at] != '\r')
                p->at++;
        else
            p->at++;
    }
}

/* A decimal number behind white space. What follows it is white space or the end of the file. */
static cs_status read_number(pnm *p, const char *what, int64_t *value, cs_error *err) {
    skip_space(p);
    size_t begin = p->at;
    *value = 0;
    while (p->at < p->size && is_digit(p->data[p->at]) && p->at - begin < MAX_DIGITS)
        *value = 10 * *value + (p->data[p->at++] - '0');
    if (begin == p->size)
        return cut(p, what, err);
    if (p->at == begin || (p->at < p->size && !is_space(p->data[p->at])))
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)begin,
                            "%s of the PNM: a number of at most %d digits and then white space are "
                            "expected; at byte %zu is 0x%02x",
                            what, MAX_DIGITS, p->at, p->data[p->at]);
    return CS_OK;
}

static cs_status read_header(pnm *p, cs_error *err) {
    int kind = p->data[1] - '0';
    p->plain = kind <= 3;
    p->is_bitmap = kind == 1 || kind == 4;
    p->channels = kind == 3 || kind == 6 ? 3 : 1;
    p->at = 2;
    if (p->size > 2 && !is_space(p->data[2]))
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, 2,
                            "behind P%d of a PNM white space is expected, not 0x%02x", kind,
                            p->data[2]);
    CS_TRY(read_number(p, "the width", &p->width, err));
    size_t at = p->at;
    CS_TRY(read_number(p, "the height", &p->height, err));
    CS_TRY(cs_image_check_size(p->width, p->height, p->name, 2, p->limits, err));
    int64_t maxval = 1;
    if (!p->is_bitmap) {
        at = p->at;
        CS_TRY(read_number(p, "the maximum", &maxval, err));
    }
    if (maxval < 1 || maxval > MAX_MAXVAL)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "the PNM's maximum is %lld; 1 to %d exist", (long long)maxval,
                            MAX_MAXVAL);
    p->maxval = (int)maxval;
    if (p->at == p->size)
        return cut(p, "the first pixel", err);
    p->at++; /* the one white space between header and pixels */
    return CS_OK;
}

/* Checks that the samples can be there: exactly, or for plain ones at least a byte each and white
 * space between numbers. */
static cs_status check_length(const pnm *p, cs_error *err) {
    size_t count = (size_t)p->width * (size_t)p->height * (size_t)p->channels;
    size_t left = p->size - p->at, wanted = count;
    if (p->plain)
        wanted = p->is_bitmap ? count : 2 * count - 1;
    else if (p->is_bitmap)
        wanted = (size_t)(p->width + 7) / 8 * (size_t)p->height;
    else if (p->maxval > 255)
        wanted = 2 * count;
    if (left < wanted)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)p->size,
                            "the PNM is cut: %lld x %lld pixels take%s %zu bytes, and %zu are "
                            "there; copy or download it again",
                            (long long)p->width, (long long)p->height, p->plain ? " at least" : "",
                            wanted, left);
    return CS_OK;
}

/* One sample as 0..255, in Pillow's operations: Python's round(sample / maxval * 255). */
static uint8_t scale(const pnm *p, int64_t sample) {
    if (p->is_bitmap)
        return sample ? 0 : 255;
    return p->maxval == 255 ? (uint8_t)sample : (uint8_t)rint((double)sample / p->maxval * 255);
}

static cs_status too_large(const pnm *p, size_t at, int64_t sample, cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                        "a sample of the PNM is %lld; its header says that %d is the maximum",
                        (long long)sample, p->maxval);
}

/* Decimal numbers; of bitmaps single digits, with or without white space between them. */
static cs_status read_plain(pnm *p, int64_t *sample, cs_error *err) {
    if (!p->is_bitmap) {
        CS_TRY(read_number(p, "a sample", sample, err));
        return *sample > p->maxval ? too_large(p, p->at, *sample, err) : CS_OK;
    }
    skip_space(p);
    if (p->at == p->size)
        return cut(p, "the last pixel", err);
    if (p->data[p->at] != '0' && p->data[p->at] != '1')
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)p->at,
                            "a pixel of the bitmap is 0x%02x; the digits 0 and 1 are expected",
                            p->data[p->at]);
    *sample = p->data[p->at++] - '0';
    return CS_OK;
}

/* Bytes, or two bytes with the high one first. The length was checked. */
static cs_status read_raw(pnm *p, int64_t *sample, cs_error *err) {
    size_t at = p->at;
    *sample = p->data[p->at++];
    if (p->maxval > 255)
        *sample = *sample << 8 | p->data[p->at++];
    return *sample > p->maxval ? too_large(p, at, *sample, err) : CS_OK;
}

static void read_bits(pnm *p, uint8_t *pixels) {
    for (int64_t y = 0; y < p->height; y++) {
        for (int64_t x = 0; x < p->width; x++, pixels += 3)
            memset(pixels, p->data[p->at + (size_t)x / 8] >> (7 - x % 8) & 1 ? 0 : 255, 3);
        p->at += (size_t)(p->width + 7) / 8;
    }
}

static cs_status read_samples(pnm *p, uint8_t *pixels, cs_error *err) {
    size_t count = (size_t)p->width * (size_t)p->height * (size_t)p->channels;
    for (size_t i = 0; i < count; i++) {
        int64_t sample = 0;
        CS_TRY(p->plain ? read_plain(p, &sample, err) : read_raw(p, &sample, err));
        uint8_t value = scale(p, sample);
        if (p->channels == 3)
            pixels[i] = value;
        else
            memset(pixels + 3 * i, value, 3);
    }
    return CS_OK;
}

/* A picture whose pixels were shifted by a conversion of line ends has bytes left over. */
static cs_status check_rest(pnm *p, cs_error *err) {
    size_t at = p->at;
    if (p->plain)
        skip_space(p);
    while (!p->plain && p->at < p->size && is_space(p->data[p->at]))
        p->at++;
    if (p->at < p->size)
        return cs_error_set(err, CS_ERROR_FORMAT, p->name, (int64_t)at,
                            "%zu bytes follow the PNM's last pixel: its header is wrong, or it "
                            "holds several pictures: split it, for example: pamsplit FILE",
                            p->size - at);
    return CS_OK;
}

cs_status cs_pnm_decode(const uint8_t *data, size_t size, const char *name,
                        const cs_image_limits *limits, cs_image *image, cs_error *err) {
    pnm p = {.data = data, .size = size, .name = name, .limits = limits};
    *image = (cs_image){0};
    CS_TRY(read_header(&p, err));
    CS_TRY(check_length(&p, err));
    CS_TRY(cs_image_check_memory(3 * p.width * p.height, name, limits, err));
    CS_TRY(cs_image_allocate(image, p.width, p.height, err));
    cs_status status = CS_OK;
    if (p.is_bitmap && !p.plain)
        read_bits(&p, image->pixels);
    else
        status = read_samples(&p, image->pixels, err);
    if (status == CS_OK)
        status = check_rest(&p, err);
    if (status != CS_OK)
        cs_image_free(image);
    return status;
}
