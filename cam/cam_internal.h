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

/* What a method with passes of its own works on: `count` classes of image n of the run's last
 * forward. `variant` is an index into the method's variants. */
typedef struct cs_cam_call {
    cs_run *run;
    const cs_model *model;
    const cs_cam_options *options;
    const char *layer;
    int variant;
    int64_t n;
    const int64_t *classes;
    int64_t count;
} cs_cam_call;

/* One CAM method: a file of its own defines it, and a line of method_list.h lists it. */
typedef struct cs_cam_method {
    cs_cam_method_info info;
    const char *const *aliases; /* until NULL */
    bool needs_activation, needs_gradient, needs_input, input_only;
    /* Whether the variant takes the target; NULL: all do. */
    cs_status (*check)(const cs_target *target, int variant, cs_error *err);
    /* The signed map of image n, after forward and backward, into `map` (1 x 1 x H x W). */
    cs_status (*map)(int variant, const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                     cs_tensor *map, cs_error *err);
    /* Whether `maps` is to be called instead; NULL: whenever there is one. */
    bool (*own_passes)(const cs_target *target, int variant);
    /* The same with passes of its own: cams[i].signed_map is allocated for each class. */
    cs_status (*maps)(const cs_cam_call *call, cs_cam *cams, cs_error *err);
} cs_cam_method;

#define METHOD(topic) extern const cs_cam_method cs_cam_method_##topic;
#include "method_list.h"
#undef METHOD

/* ReLU, ranges and status of a map from its signed_map; allocates raw. Errors: CS_ERROR_MEMORY. */
cs_status cs_cam_rectify(cs_cam *cam, cs_error *err);

/* CS_ERROR_NUMERIC where the run has met NaN or infinity. */
cs_status cs_cam_check_finite(const cs_run *run, cs_error *err);

/* Calls options->stop, if there is one. Errors: CS_ERROR_INTERRUPTED. */
cs_status cs_cam_progress(const cs_cam_options *options, int64_t done, int64_t total,
                          cs_error *err);

/* sums[c] = sum over the map of image n's channel c, row-major in double. */
void cs_channel_sums(const cs_tensor *t, int64_t n, double *sums);

/* map[y, x] = sum over c ascending of weights[c] * A[c, y, x] of image n, in double, product and
 * sum each rounded, then once to the map's type. */
void cs_weighted_channels(const cs_tensor *activation, int64_t n, const double *weights,
                          cs_tensor *map);

/* map[y, x] = sum over c ascending of dA[c, y, x] * A[c, y, x] of image n, rounded likewise;
 * `only_positive` takes relu(dA). */
void cs_elementwise_channels(const cs_tensor *activation, const cs_tensor *gradient, int64_t n,
                             bool only_positive, cs_tensor *map);

/* ------------------------------------------------------------------ filling -------------- */

/* What stands in place of each value of `image` (one image) where it is taken away, in double in
 * memory order: 0 for the mean colour, or (`blurred`) the image after a Gaussian of `deviation`
 * pixels that reaches three deviations, its edges repeated. The caller frees *fill. Errors:
 * CS_ERROR_MEMORY. */
cs_status cs_fill_make(const cs_tensor *image, bool blurred, double deviation, double **fill,
                       cs_error *err);

/* ------------------------------------------------------------------ enlarging ------------ */

/* What an output position takes along one side: (1 - f) * value[left] + f * value[right]. */
typedef struct cs_enlarge_tap {
    int64_t left, right;
    double f;
} cs_enlarge_tap;

/* PyTorch's bilinear interpolation from `in` to `out` values: half-pixel centres clamped to the
 * first and last, or with align_corners the corners' centres on each other. */
void cs_enlarge_taps(int64_t in, int64_t out, bool align_corners, cs_enlarge_tap *taps);

/* in_h x in_w values to out_h x out_w (the taps' lengths), rows first; `rows` has room for
 * in_h * out_w. */
void cs_enlarge(const double *in, int64_t in_h, int64_t in_w, const cs_enlarge_tap *across,
                int64_t out_w, const cs_enlarge_tap *down, int64_t out_h, double *rows,
                double *out);

/* ------------------------------------------------------------------ text ----------------- */

#define CS_TEXT_REPLACEMENT 0xFFFDu

/* The code point at *text, which moves behind it; CS_TEXT_REPLACEMENT for a byte that begins none
 * (overlong forms, surrogates and what is beyond U+10FFFF included). */
uint32_t cs_text_next(const char **text);

#endif
