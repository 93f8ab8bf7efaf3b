/* image.c - RGB images: memory, reading by content. */
#include "cam_internal.h"

#include <stdlib.h>
#include <string.h>

cs_status cs_image_allocate(cs_image *image, int64_t width, int64_t height, cs_error *err) {
    *image = (cs_image){0};
    CS_CHECK(width >= 1 && height >= 1, CS_ERROR_ARGUMENT, "an image of %lld x %lld pixels",
             (long long)width, (long long)height);
    size_t size = 0;
    CS_CHECK(!__builtin_mul_overflow((size_t)width, (size_t)height, &size) &&
                 !__builtin_mul_overflow(size, (size_t)3, &size) && size <= PTRDIFF_MAX,
             CS_ERROR_LIMIT, "an image of %lld x %lld pixels is too large for memory",
             (long long)width, (long long)height);
    uint8_t *pixels = calloc(size, 1);
    CS_CHECK(pixels, CS_ERROR_MEMORY, "no memory for an image of %lld x %lld pixels",
             (long long)width, (long long)height);
    *image = (cs_image){width, height, pixels};
    return CS_OK;
}

void cs_image_free(cs_image *image) {
    if (!image)
        return;
    free(image->pixels);
    *image = (cs_image){0};
}

cs_status cs_image_check_size(int64_t width, int64_t height, const char *name, int64_t offset,
                              const cs_image_limits *limits, cs_error *err) {
    if (width < 1 || height < 1)
        return cs_error_set(err, CS_ERROR_FORMAT, name, offset,
                            "the image is %lld x %lld pixels large: there is nothing to see",
                            (long long)width, (long long)height);
    if (width > CS_IMAGE_MAX_SIDE || height > CS_IMAGE_MAX_SIDE)
        return cs_error_set(err, CS_ERROR_LIMIT, name, offset,
                            "the image says it is %lld x %lld pixels large; at most %d a side are "
                            "read: make it smaller first",
                            (long long)width, (long long)height, CS_IMAGE_MAX_SIDE);
    if (width * height > limits->max_pixels)
        return cs_error_set(err, CS_ERROR_LIMIT, name, offset,
                            "the image says it has %lld x %lld pixels; at most %lld are read: make "
                            "it smaller first",
                            (long long)width, (long long)height, (long long)limits->max_pixels);
    return CS_OK;
}

cs_status cs_image_check_memory(int64_t bytes, const char *name, const cs_image_limits *limits,
                                cs_error *err) {
    if (bytes > limits->max_memory_bytes)
        return cs_error_set(err, CS_ERROR_LIMIT, name, -1,
                            "decoding the image takes up to %lld bytes of memory; at most %lld are "
                            "used: make it smaller first",
                            (long long)bytes, (long long)limits->max_memory_bytes);
    return CS_OK;
}

cs_status cs_stb_error(const char *why, const char *kind, const char *name, cs_error *err) {
    if (!why)
        return cs_error_set(err, CS_ERROR_MEMORY, name, -1, "no memory for decoding the %s", kind);
    return cs_error_set(err, CS_ERROR_FORMAT, name, -1,
                        "the %s cannot be decoded: %s (its pixel data is damaged)", kind, why);
}

cs_status cs_image_decode_in_place(uint8_t *data, size_t size, const char *name,
                                   const cs_image_limits *limits, cs_image *image, cs_error *err) {
    static const cs_image_limits defaults = CS_IMAGE_LIMITS_DEFAULT;
    if (!limits)
        limits = &defaults;
    *image = (cs_image){0};
    cs_file_kind kind = CS_FILE_UNKNOWN;
    CS_TRY(cs_image_sniff(data, size, name, &kind, err));
    if (kind == CS_FILE_PNG)
        return cs_png_decode(data, size, name, limits, image, err);
    if (kind == CS_FILE_JPEG)
        return cs_jpeg_decode(data, size, name, limits, image, err);
    if (kind == CS_FILE_PNM)
        return cs_pnm_decode(data, size, name, limits, image, err);
    return cs_error_set(
        err, CS_ERROR_UNSUPPORTED, name, 0,
        "this is a NumPy array where a picture is expected: give a PNG, JPEG or PNM");
}

cs_status cs_image_decode(const void *data, size_t size, const char *name,
                          const cs_image_limits *limits, cs_image *image, cs_error *err) {
    *image = (cs_image){0};
    uint8_t *copy = malloc(size ? size : 1);
    CS_CHECK(copy, CS_ERROR_MEMORY, "no memory for %zu bytes of an image", size);
    if (size)
        memcpy(copy, data, size);
    cs_status status = cs_image_decode_in_place(copy, size, name, limits, image, err);
    free(copy);
    return status;
}

cs_status cs_image_load(const char *path, const cs_image_limits *limits, cs_image *image,
                        cs_error *err) {
    static const cs_image_limits defaults = CS_IMAGE_LIMITS_DEFAULT;
    char *data = NULL;
    size_t size = 0;
    *image = (cs_image){0};
    CS_TRY(cs_file_read(path, (limits ? limits : &defaults)->max_file_bytes, &data, &size, err));
    cs_status status = cs_image_decode_in_place((uint8_t *)data, size, path, limits, image, err);
    free(data);
    return status;
}
