/* image_jpeg.c - checks a JPEG's structure before stb sees it, and decodes it.
 *
 * stb fills in grey for a file that was cut, decodes CMYK with a formula of its own, believes what
 * Huffman tables say of their size, and uses tables that nobody defined. So the markers are walked
 * here: what stb does not do as Pillow does is refused by name; tables are checked, and that scans
 * find theirs; each component must have a scan with data for its blocks; and the file must reach
 * its end marker, behind which stb sees nothing.
 */
#include "cam_internal.h"
#include "image_stb.h"

#include <stdlib.h>

enum {
    SOI = 0xD8,
    EOI = 0xD9,
    SOS = 0xDA,
    DQT = 0xDB,
    DHT = 0xC4,
    JPG = 0xC8,
    DAC = 0xCC,
    TEM = 0x01,
    PROGRESSIVE = 0xC2
};

typedef struct component {
    int id, h, v, quantisation;
    bool has_scan; /* one that begins its DC coefficients */
} component;

typedef struct jpeg {
    const uint8_t *data;
    size_t size;
    const char *name;
    const cs_image_limits *limits;
    int64_t width, height; /* 0 until the frame header was seen */
    bool is_progressive;
    int count; /* components */
    component components[3];
    int h_max, v_max;    /* largest sampling factors */
    unsigned tables;     /* bit n: quantisation table n is defined */
    unsigned huffman[2]; /* the same of DC and AC tables */
    int scans;
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

/* Blocks of 8 x 8 samples that a component has. */
static int64_t block_count(const jpeg *j, const component *c) {
    int64_t width = (j->width * c->h + j->h_max - 1) / j->h_max;
    int64_t height = (j->height * c->v + j->v_max - 1) / j->v_max;
    return ((width + 7) / 8) * ((height + 7) / 8);
}

/* What stb holds: whole groups of blocks of each component, of progressive ones with coefficients
 * of two bytes, and the picture. */
static int64_t memory_needed(const jpeg *j) {
    int64_t across = (j->width + 8 * j->h_max - 1) / (8 * j->h_max);
    int64_t down = (j->height + 8 * j->v_max - 1) / (8 * j->v_max);
    int64_t bytes = 3 * j->width * j->height + (1 << 20);
    for (int i = 0; i < j->count; i++)
        bytes += across * down * j->components[i].h * j->components[i].v * 64 *
                 (j->is_progressive ? 3 : 1);
    return bytes;
}

/* The frame header's components, three bytes each from `at` on. */
static cs_status check_components(jpeg *j, size_t at, cs_error *err) {
    j->h_max = j->v_max = 1;
    for (int i = 0; i < j->count; i++, at += 3) {
        const uint8_t *h = j->data + at;
        component *c = &j->components[i];
        *c = (component){.id = h[0], .h = h[1] >> 4, .v = h[1] & 15, .quantisation = h[2]};
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->quantisation > 3)
            return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                                "component %d of the JPEG has sampling %d x %d and quantisation "
                                "table %d; 1 to 4 and 0 to 3 exist",
                                c->id, c->h, c->v, c->quantisation);
        for (int k = 0; k < i; k++)
            if (j->components[k].id == c->id)
                return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                                    "the JPEG has two components %d", c->id);
        j->h_max = c->h > j->h_max ? c->h : j->h_max;
        j->v_max = c->v > j->v_max ? c->v : j->v_max;
    }
    return cs_image_check_memory(memory_needed(j), j->name, j->limits, err);
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
    if (length != 8 + 3 * (size_t)h[7])
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                            "the JPEG's frame header has %zu bytes; its %d components need %d",
                            length, h[7], 8 + 3 * h[7]);
    j->width = width;
    j->height = height;
    j->is_progressive = marker == PROGRESSIVE;
    j->count = h[7];
    return check_components(j, at + 8, err);
}

/* Huffman tables: each a class and number, 16 counts of codes, and that many values, at most 256.
 */
static cs_status check_huffman(jpeg *j, size_t at, size_t length, cs_error *err) {
    size_t end = at + length;
    at += 2;
    while (at < end) {
        size_t codes = 0;
        for (size_t i = 1; i <= 16 && at + i < end; i++)
            codes += j->data[at + i];
        if (end - at < 17 || codes > 256 || end - at - 17 < codes || (j->data[at] & 0xEC))
            return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                                "a Huffman table of %zu codes in a segment with %zu bytes left; at "
                                "most 256 that fit are expected: the JPEG is damaged",
                                codes, end - at);
        j->huffman[j->data[at] >> 4] |= 1u << (j->data[at] & 15);
        at += 17 + codes;
    }
    return CS_OK;
}

/* Quantisation tables: each a precision and number, and 64 values of one or two bytes. */
static cs_status check_quantisation(jpeg *j, size_t at, size_t length, cs_error *err) {
    size_t end = at + length;
    at += 2;
    while (at < end) {
        int head = j->data[at];
        size_t size = head >> 4 ? 129 : 65;
        if (end - at < size || (head & 0xEC))
            return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                                "a quantisation table (%02x) of %zu bytes in a segment with %zu "
                                "left: the JPEG is damaged",
                                head, size, end - at);
        j->tables |= 1u << (head & 15);
        at += size;
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

static component *find_component(jpeg *j, int id) {
    for (int i = 0; i < j->count; i++)
        if (j->components[i].id == id)
            return &j->components[i];
    return NULL;
}

static cs_status missing_table(const jpeg *j, size_t at, const char *what, int number,
                               cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                        "a scan of the JPEG uses %s table %d, which is not defined before it", what,
                        number);
}

/* One component of the scan that begins at spectral value `first`. */
static cs_status check_scan_component(jpeg *j, size_t at, int first, bool refines, int64_t *bits,
                                      cs_error *err) {
    component *c = find_component(j, j->data[at]);
    int dc = j->data[at + 1] >> 4, ac = j->data[at + 1] & 15;
    if (!c)
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                            "a scan of the JPEG has component %d, its frame header has not",
                            j->data[at]);
    if (!(j->tables >> c->quantisation & 1))
        return missing_table(j, at, "quantisation", c->quantisation, err);
    if (first == 0 && !refines && !(j->huffman[0] >> dc & 1))
        return missing_table(j, at, "DC Huffman", dc, err);
    if ((first > 0 || !j->is_progressive) && !(j->huffman[1] >> ac & 1))
        return missing_table(j, at, "AC Huffman", ac, err);
    if (first == 0) {
        c->has_scan = c->has_scan || !refines;
        *bits += block_count(j, c) * (j->is_progressive ? 1 : 2);
    }
    return CS_OK;
}

/* A scan's header. A block's DC coefficient takes a bit at least, in one that is not progressive
 * the others take one more: a file of a few bytes cannot claim millions of pixels. */
static cs_status check_scan(jpeg *j, size_t at, size_t length, cs_error *err) {
    const uint8_t *h = j->data + at;
    if (!j->width)
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                            "a scan of the JPEG stands before its frame header");
    if (++j->scans > CS_JPEG_MAX_SCANS)
        return cs_error_set(err, CS_ERROR_LIMIT, j->name, (int64_t)at,
                            "the JPEG has more than %d scans: convert it to PNG",
                            CS_JPEG_MAX_SCANS);
    if (length < 6 || h[2] < 1 || h[2] > j->count || length != 6 + 2 * (size_t)h[2])
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                            "the header of a scan of the JPEG has %zu bytes and does not fit %d "
                            "components",
                            length, j->count);
    int first = h[length - 3];
    bool refines = h[length - 1] >> 4 != 0;
    int64_t bits = 0;
    for (size_t i = 0; i < h[2]; i++)
        CS_TRY(check_scan_component(j, at + 3 + 2 * i, first, refines, &bits, err));
    size_t data = at + length, end = next_marker(j, data);
    if (end < j->size && (int64_t)(end - 1 - data) < bits / 8)
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)data,
                            "a scan of the JPEG has %zu bytes; its blocks need at least %lld: the "
                            "file is damaged or was cut",
                            end - 1 - data, (long long)(bits / 8));
    return CS_OK;
}

/* What the end marker at `at` must have behind it. */
static cs_status check_complete(const jpeg *j, size_t at, cs_error *err) {
    if (!j->width || !j->scans)
        return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at, "the JPEG ends without %s",
                            j->width ? "pixels" : "a frame header");
    for (int i = 0; i < j->count; i++)
        if (!j->components[i].has_scan)
            return cs_error_set(err, CS_ERROR_FORMAT, j->name, (int64_t)at,
                                "the JPEG ends without a scan of its component %d",
                                j->components[i].id);
    return CS_OK;
}

/* Shortens j->size to the end marker. */
static cs_status check_markers(jpeg *j, cs_error *err) {
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
        if (marker == DQT)
            CS_TRY(check_quantisation(j, at, length, err));
        if (marker == SOS)
            CS_TRY(check_scan(j, at, length, err));
        at += length;
    }
    CS_TRY(check_complete(j, at, err));
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
        return cs_stb_error(why, "JPEG", name, err);
    if (pixels.width != j.width || pixels.height != j.height) {
        free(pixels.samples);
        return cs_error_set(err, CS_ERROR_FORMAT, name, -1, "the JPEG contradicts its header");
    }
    *image = (cs_image){pixels.width, pixels.height, pixels.samples};
    return CS_OK;
}
