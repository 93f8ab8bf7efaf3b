/* cam_internal.h - what the files of cam/ share and users do not see. */
#ifndef CS_CAM_INTERNAL_H
#define CS_CAM_INTERNAL_H

#include "cnnscope_cam.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "cnnscope is written for little-endian machines"
#endif

/* ------------------------------------------------------------------ image files ---------- */

typedef enum cs_file_kind {
    CS_FILE_UNKNOWN = 0,
    CS_FILE_PNG,
    CS_FILE_JPEG,
    CS_FILE_PNM,
    CS_FILE_NPY
} cs_file_kind;

/* Tells a file by its first bytes. For a kind that is known but not read, or not known at all, an
 * error that names it and says what to do. */
cs_status cs_image_sniff(const uint8_t *data, size_t size, const char *name, cs_file_kind *kind,
                         cs_error *err);

/* Checks width and height of a header against the limits, before anything is allocated. */
cs_status cs_image_check_size(int64_t width, int64_t height, const char *name, int64_t offset,
                              const cs_image_limits *limits, cs_error *err);

/* Checks how many bytes decoding will hold at once, beside the file's, before they are allocated.
 */
cs_status cs_image_check_memory(int64_t bytes, const char *name, const cs_image_limits *limits,
                                cs_error *err);

/* Inflates the pixel data of a PNG, whose first IDAT chunk begins at `at`, into nothing: it must be
 * one whole zlib stream with the right checksum of exactly `expected` bytes, in chunks that follow
 * each other (whose lengths were checked). Stops where it would give more. */
cs_status cs_png_check_data(const uint8_t *data, size_t at, uint64_t expected, const char *name,
                            cs_error *err);

/* Checks that data is a whole PNG and decodes it. data is changed on the way (palettes). */
cs_status cs_png_decode(uint8_t *data, size_t size, const char *name, const cs_image_limits *limits,
                        cs_image *image, cs_error *err);

/* Checks that data is a whole JPEG of a kind we read, and decodes it. */
cs_status cs_jpeg_decode(const uint8_t *data, size_t size, const char *name,
                         const cs_image_limits *limits, cs_image *image, cs_error *err);

/* The error for a cs_stb_decode that failed with `why`. */
cs_status cs_stb_error(const char *why, const char *kind, const char *name, cs_error *err);

/* Checks that data is one whole PNM picture and decodes it. */
cs_status cs_pnm_decode(const uint8_t *data, size_t size, const char *name,
                        const cs_image_limits *limits, cs_image *image, cs_error *err);

/* cs_image_decode on bytes that may be changed. */
cs_status cs_image_decode_in_place(uint8_t *data, size_t size, const char *name,
                                   const cs_image_limits *limits, cs_image *image, cs_error *err);

/* ------------------------------------------------------------------ numbers -------------- */

/* Value `i` in memory order, widened. */
static inline double cs_tensor_value(const cs_tensor *t, size_t i) {
    return t->dtype == CS_F32 ? (double)((const float *)t->data)[i] : ((const double *)t->data)[i];
}

/* Sets value `i` in memory order, rounded to the type, and returns what was stored. */
static inline double cs_tensor_store(cs_tensor *t, size_t i, double value) {
    if (t->dtype == CS_F64)
        return ((double *)t->data)[i] = value;
    return (double)(((float *)t->data)[i] = (float)value);
}

/* ------------------------------------------------------------------ methods -------------- */

/* One CAM method: a row of the table in cam_methods.c. */
typedef struct cs_cam_method {
    const char *name;
    /* Tells the run what to keep of the layer. */
    cs_status (*watch)(cs_run *run, const char *layer, cs_error *err);
    /* The map of image n, after forward and backward. */
    cs_status (*map)(cs_run *run, const char *layer, int64_t n, cs_cam *cam, cs_error *err);
} cs_cam_method;

extern const cs_cam_method cs_cam_method_gradcam;

/* ReLU, ranges and status of a map that `raw` holds signed. */
void cs_cam_rectify(cs_cam *cam);

#endif
