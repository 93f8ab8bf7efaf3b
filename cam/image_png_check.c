/* image_png_check.c - checks a PNG's pixel data before stb sees it.
 *
 * stb checks no checksum, makes room for whatever a deflate stream gives, and takes a stream that
 * ends early or goes on for too long. So zlib, whose inflate is the best tested there is, goes
 * through the stream first, into a small buffer that is thrown away.
 */
#include "cam_internal.h"

#include <string.h>
#include <zlib.h>

typedef struct pixel_stream {
    const uint8_t *data; /* the file */
    const char *name;
    size_t at; /* the chunk being read */
    uint64_t expected;
    z_stream z;
} pixel_stream;

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Gives zlib the chunk at s->at; false if that is no IDAT. */
static bool open_chunk(pixel_stream *s) {
    if (memcmp(s->data + s->at + 4, "IDAT", 4) != 0)
        return false;
    s->z.next_in = (Bytef *)s->data + s->at + 8;
    s->z.avail_in = read_u32(s->data + s->at);
    return true;
}

static cs_status wrong(const pixel_stream *s, const char *what, cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, s->name, (int64_t)s->at,
                        "the PNG's pixel data is damaged (%s); copy or download it again", what);
}

static cs_status wrong_size(const pixel_stream *s, bool is_more, cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, s->name, (int64_t)s->at,
                        "the PNG's pixel data inflates to %s than the %llu bytes that its header "
                        "promises: the file is damaged",
                        is_more ? "more" : "less", (unsigned long long)s->expected);
}

/* After zlib took what it could: is this its stream's end, and the end of the pixel data? */
static cs_status check_end(pixel_stream *s, cs_error *err) {
    if (s->z.total_out != s->expected)
        return wrong_size(s, false, err);
    while (s->z.avail_in == 0) {
        s->at += 12 + read_u32(s->data + s->at);
        if (!open_chunk(s))
            return CS_OK;
    }
    return wrong(s, "bytes follow the end of its deflate stream", err);
}

static cs_status inflate_all(pixel_stream *s, cs_error *err) {
    uint8_t nowhere[32768];
    open_chunk(s);
    for (;;) {
        s->z.next_out = nowhere;
        s->z.avail_out = sizeof nowhere;
        int result = inflate(&s->z, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR)
            return cs_error_set(err, CS_ERROR_MEMORY, s->name, -1, "no memory for inflating a PNG");
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return wrong(s, s->z.msg ? s->z.msg : "a preset dictionary", err);
        if (s->z.total_out > s->expected)
            return wrong_size(s, true, err);
        if (result == Z_STREAM_END)
            return check_end(s, err);
        if (s->z.avail_in == 0 && s->z.avail_out != 0) {
            s->at += 12 + read_u32(s->data + s->at);
            if (!open_chunk(s))
                return wrong(s, "its deflate stream is cut", err);
        }
    }
}

cs_status cs_png_check_data(const uint8_t *data, size_t at, uint64_t expected, const char *name,
                            cs_error *err) {
    pixel_stream s = {.data = data, .name = name, .at = at, .expected = expected};
    if (inflateInit(&s.z) != Z_OK)
        return cs_error_set(err, CS_ERROR_MEMORY, name, -1, "no memory for inflating a PNG");
    cs_status status = inflate_all(&s, err);
    inflateEnd(&s.z);
    return status;
}
