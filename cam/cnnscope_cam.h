/* cnnscope_cam.h - images in, class activation maps and figures out.
 *
 * Stands on the public engine header only: what Grad-CAM needs, any user can have. A complete use:
 *
 *     cs_input input = {0};
 *     cs_cam cam = {0};
 *     cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
 *     cs_cam_options what = CS_CAM_OPTIONS_DEFAULT;         // gradcam, default layer, logit
 *     int64_t class_index = CS_CLASS_ARGMAX;
 *     ... cs_model_open, cs_run_create, cs_font_open, mkdir ...
 *     cs_cam_watch(run, model, &what, &err);                // tells the run what to keep
 *     cs_run_prepare(run, &err);
 *     cs_input_load("xray.png", cs_model_preprocess(model), &how, &input, &err);
 *     cs_run_forward(run, &input.tensor, &err);
 *     cs_cam_compute(run, model, &what, &class_index, &cam, &err);   // backward, map
 *     cs_explanation explanation = {model, &input, &cam, &logits, 0, "xray.png", &what, font};
 *     cs_explain_write("out/xray", &explanation, &err);
 *
 * Threads: nothing here has state; each object belongs to one thread at a time.
 */
#ifndef CNNSCOPE_CAM_H
#define CNNSCOPE_CAM_H

#include "cnnscope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ images --------------- */

/* 8-bit RGB: pixel (x, y) is the three bytes at pixels[3 * (y * width + x)]. An image that a
 * function of this header made owns its pixels; free it with cs_image_free. */
typedef struct cs_image {
    int64_t width, height;
    uint8_t *pixels;
} cs_image;

/* Bounds on what is accepted from a file. All are checked before anything is allocated for it. */
typedef struct cs_image_limits {
    size_t max_file_bytes;
    int64_t max_pixels;
    int64_t max_memory_bytes; /* what decoding may hold at once, beside the file's bytes */
} cs_image_limits;

#define CS_IMAGE_LIMITS_DEFAULT                                                                    \
    { (size_t)256 << 20, 50 * 1000 * 1000, (int64_t)1 << 30 }

/* The largest width or height of an image, whatever the limits say. */
#define CS_IMAGE_MAX_SIDE 16384

/* Allocates width x height black pixels. Errors: CS_ERROR_ARGUMENT (a side < 1), CS_ERROR_LIMIT,
 * CS_ERROR_MEMORY. */
cs_status cs_image_allocate(cs_image *image, int64_t width, int64_t height, cs_error *err);

/* Frees the pixels and clears the image. Accepts NULL and cleared images. */
void cs_image_free(cs_image *image);

/* Scans (SOS segments) that a JPEG may have: a progressive one of a few bytes a scan could keep a
 * decoder busy for hours. Encoders write about ten. */
#define CS_JPEG_MAX_SCANS 100

/* Reads a PNG, JPEG or PNM (P1 to P6), told by its bytes, never by its name, into RGB as Pillow's
 * Image.open(path).convert("RGB") does: grey is repeated three times, 1, 2 and 4 bits are scaled to
 * 0..255, a palette is looked up, alpha is dropped (not blended), of 16-bit RGB, RGBA and grey with
 * alpha the high byte is taken; no EXIF rotation, no gamma or colour profile. A PNM's sample v
 * becomes v / maximum * 255 rounded to nearest. One difference: 16-bit grey (which Pillow clips)
 * becomes v / 257 rounded to nearest (no ties exist), of a PNM as its other samples.
 * `limits` may be NULL for the defaults. Refused by name, with advice: TIFF, DICOM, HEIC, WebP,
 * GIF, BMP and others; CMYK, 12-bit, arithmetic-coded and lossless JPEG. A file that ends early is
 * an error, not a grey rest; a PNG's checksums must be right, and its pixel data exactly as long as
 * its header says. Errors: CS_ERROR_IO, CS_ERROR_FORMAT (damaged), CS_ERROR_UNSUPPORTED (another
 * format), CS_ERROR_LIMIT (file size, pixels, memory, CS_IMAGE_MAX_SIDE, CS_JPEG_MAX_SCANS),
 * CS_ERROR_MEMORY. */
cs_status cs_image_load(const char *path, const cs_image_limits *limits, cs_image *image,
                        cs_error *err);

/* The same from bytes in memory; `name` names them in errors. The bytes are not changed. */
cs_status cs_image_decode(const void *data, size_t size, const char *name,
                          const cs_image_limits *limits, cs_image *image, cs_error *err);

/* Writes an 8-bit RGB PNG, as cs_file_write does (complete or not at all). The same pixels give the
 * same bytes. Errors: CS_ERROR_ARGUMENT (a side < 1 or > CS_IMAGE_MAX_SIDE), CS_ERROR_OUTPUT,
 * CS_ERROR_MEMORY. */
cs_status cs_image_write_png(const char *path, const cs_image *image, cs_error *err);

/* The same bytes in memory: *png, which the caller frees with free(). */
cs_status cs_image_encode_png(const cs_image *image, uint8_t **png, size_t *png_size,
                              cs_error *err);

/* ------------------------------------------------------------------ resizing ------------- */

/* Pillow's Image.resize((width, height), BILINEAR) and BICUBIC on 8-bit data, bit for bit as
 * Pillow 13.0.0 does: antialiased, two passes with rounding between them, one left out where that
 * side does not change; horizontal first, but vertical first where the height shrinks by more than
 * twice the pixels that the width does (Pillow 12.0.0: always horizontal first). `out` is
 * allocated. Errors: CS_ERROR_ARGUMENT (a side < 1 or > CS_IMAGE_MAX_SIDE), CS_ERROR_MEMORY. */
cs_status cs_resize_bilinear(const cs_image *image, int64_t width, int64_t height, cs_image *out,
                             cs_error *err);
cs_status cs_resize_bicubic(const cs_image *image, int64_t width, int64_t height, cs_image *out,
                            cs_error *err);

/* ------------------------------------------------------------------ preprocessing -------- */

/* An image as the model's input, 1 x channels x height x width in float32 (channels-last), equal to
 * torchvision's Resize((height, width)), ToTensor, Normalize(mean, std) on a PIL image to the last
 * bit: Pillow's bilinear on 8 bits, u8 / divisor, then (v - mean) / std with mean and std rounded
 * to float32, each step rounded. channels is 3 (RGB), or 1 (Pillow's convert("L") before the
 * resize: (19595 R + 38470 G + 7471 B + 32768) >> 16, which leaves a grey image as it is). `input`
 * is allocated; free it with cs_tensor_release. Errors: CS_ERROR_UNSUPPORTED (other channels: give
 * an .npy), CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status cs_preprocess_image(const cs_preprocess *preprocess, const cs_image *image,
                              cs_tensor *input, cs_error *err);

/* The reverse, for showing an input that came as numbers: clip(floor(255 * (v * std + mean) + 0.5))
 * of image n in double, RGB from 3 channels; from other counts the first channel as grey. `image`
 * is allocated. Errors: CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status cs_preprocess_invert(const cs_preprocess *preprocess, const cs_tensor *input, int64_t n,
                               cs_image *image, cs_error *err);

/* An IMAGE of the command line, ready for the model. */
typedef struct cs_input {
    cs_tensor tensor; /* 1 x channels x height x width */
    cs_image display; /* at the model's input size: the original resized with Pillow's bicubic */
    int64_t original_width, original_height; /* of the file, before resizing */
    bool from_npy;
    char sha256[CS_SHA256_HEX_SIZE]; /* of the file's bytes */
} cs_input;

typedef struct cs_input_options {
    cs_image_limits limits;
    cs_dtype dtype; /* the run's: a float64 .npy stays float64 for CS_F64, else it is rounded */
} cs_input_options;

#define CS_INPUT_OPTIONS_DEFAULT                                                                   \
    { CS_IMAGE_LIMITS_DEFAULT, CS_F32 }

/* Reads PATH, an image (see cs_image_load) or an .npy of the input tensor itself (told by its
 * bytes; shape (1, C, H, W) or (C, H, W) as `preprocess` has them). On success the caller frees
 * *input with cs_input_free. `options` may be NULL.
 * Errors: as cs_image_load and cs_npy_read; CS_ERROR_MISMATCH (an .npy of another shape). */
cs_status cs_input_load(const char *path, const cs_preprocess *preprocess,
                        const cs_input_options *options, cs_input *input, cs_error *err);

/* Accepts NULL and cleared inputs. */
void cs_input_free(cs_input *input);

/* ------------------------------------------------------------------ classes and targets -- */

#define CS_CLASS_ARGMAX ((int64_t)-1)

/* Reads a class: "argmax" (CS_CLASS_ARGMAX), a number from 0, or a name (exactly, else ignoring
 * ASCII case where only one fits). Digits are always a number. Errors: CS_ERROR_ARGUMENT, listing
 * the names. */
cs_status cs_class_parse(const cs_model *model, const char *text, int64_t *index, cs_error *err);

/* The first class with the largest logit of image n; NaN counts as smallest. */
int64_t cs_class_argmax(const cs_tensor *logits, int64_t n);

/* What is explained: the number whose gradient is taken. */
typedef enum cs_target_kind {
    CS_TARGET_LOGIT = 0, /* z_c */
    CS_TARGET_NEG_LOGIT, /* -z_c */
    CS_TARGET_PROB,      /* softmax(z)_c */
    CS_TARGET_MARGIN,    /* z_c - z_other */
} cs_target_kind;

typedef struct cs_target {
    cs_target_kind kind;
    int64_t other; /* CS_TARGET_MARGIN: the other class */
} cs_target;

/* Reads "logit", "neg-logit", "prob" or "margin:J" (J a class number or name).
 * Errors: CS_ERROR_ARGUMENT. */
cs_status cs_target_parse(const cs_model *model, const char *text, cs_target *target,
                          cs_error *err);

/* The target's value for class c of image n's logits, in double; softmax as cs_softmax. Errors:
 * CS_ERROR_MEMORY. */
cs_status cs_target_value(const cs_target *target, const cs_tensor *logits, int64_t n, int64_t c,
                          double *value, cs_error *err);

/* The reverse of cs_target_parse: "logit", "margin:3". At most 32 bytes with the NUL. */
void cs_target_print(const cs_target *target, char out[32]);

/* The seed of the backward pass: the derivative of the target with respect to the logits
 * (N x K x 1 x 1), of the logits' type and shape. classes[n] is image n's class (an index, not
 * CS_CLASS_ARGMAX). logit: one-hot; neg-logit: -one-hot; prob: p_c * (delta - p) in double, rounded
 * once; margin: +1 at c, -1 at other (0 everywhere if they are the same). `seed` is allocated; free
 * it with cs_tensor_release.
 * Errors: CS_ERROR_ARGUMENT (a class out of range), CS_ERROR_MEMORY. */
cs_status cs_target_seed(const cs_target *target, const cs_tensor *logits, const int64_t *classes,
                         cs_tensor *seed, cs_error *err);

/* ------------------------------------------------------------------ maps ----------------- */

typedef enum cs_cam_status {
    CS_CAM_OK = 0,
    CS_CAM_EMPTY = 1, /* zero everywhere after the ReLU: nothing speaks for the class */
} cs_cam_status;

/* "ok" or "empty"; static storage. */
const char *cs_cam_status_name(cs_cam_status status);

/* A class activation map of the formulas in docs/cam-methods.md. */
typedef struct cs_cam {
    cs_tensor raw;        /* 1 x 1 x H x W at the layer's size, the run's type, after the ReLU */
    cs_tensor signed_map; /* the same before the ReLU */
    int64_t class_index;
    double min, max;               /* of raw */
    double signed_min, signed_max; /* of signed_map */
    double signed_sum;             /* of signed_map, row-major in double */
    cs_cam_status status;
    double backward_seconds; /* of the backward passes (one for all images of a batch) */
    int64_t forward_images;  /* images that the method itself sent forward, for all its classes */
    int64_t backward_images; /* and backward */
    size_t own_bytes;        /* memory of the run that it made for them */
} cs_cam;

/* Frees the maps and clears the struct. Accepts NULL and cleared maps. */
void cs_cam_free(cs_cam *cam);

typedef struct cs_cam_options {
    const char *method;   /* a key of cs_cam_method_get; "gradcam" */
    const char *layer;    /* anything cs_model_find_node takes; NULL: the method's, cs_cam_layer */
    const char *variant;  /* NULL: the method's first */
    int64_t max_channels; /* scorecam: that many channels, of largest standard deviation; 0: all */
    int64_t steps;        /* integrated-gradients: points on the path, at most 10000; 0: 50 */
    int64_t batch;        /* scorecam, integrated-gradients: images a pass; 0: chosen */
    /* scorecam, integrated-gradients: called on the calling thread after each pass with the images
     * done and to do; true ends the work with CS_ERROR_INTERRUPTED. NULL: not called. */
    bool (*stop)(void *state, int64_t done, int64_t total);
    void *stop_state;
    cs_target target;
} cs_cam_options;

#define CS_CAM_OPTIONS_DEFAULT                                                                     \
    {                                                                                              \
        "gradcam", NULL, NULL, 0, 0, 0, NULL, NULL, { CS_TARGET_LOGIT, 0 }                         \
    }

/* A method of the table. Strings and arrays are static. */
typedef struct cs_cam_method_info {
    const char *name;             /* "gradcam++" */
    const char *title;            /* "Grad-CAM++" */
    const char *const *variants;  /* names, the default first, until NULL */
    bool at_input;                /* its layer is the input unless told otherwise */
    bool many_passes;             /* runs images of its own: slow, and options->stop is called */
    bool has_channels, has_steps; /* options->max_channels, options->steps mean something */
} cs_cam_method_info;

/* The methods there are: index 0, 1, ... until NULL. */
const cs_cam_method_info *cs_cam_method_get(int index);

/* Finds a method by its key, case ignored, or by another name of it ("gradcampp").
 * Errors: CS_ERROR_ARGUMENT, listing the keys. */
cs_status cs_cam_method_find(const char *text, const cs_cam_method_info **method, cs_error *err);

/* Finds a variant's static name, case ignored; NULL gives the first. Errors: CS_ERROR_ARGUMENT,
 * listing them. */
cs_status cs_cam_variant_find(const cs_cam_method_info *method, const char *text,
                              const char **variant, cs_error *err);

/* The layer that the options mean, with indices resolved ("layer4.2"): the given one, or the
 * input's node for methods at the input, or cs_model_default_layer. Errors: CS_ERROR_ARGUMENT. */
cs_status cs_cam_layer(const cs_model *model, const cs_cam_options *options, char *resolved,
                       size_t resolved_size, cs_error *err);

/* Checks the options and tells a run what the method needs (an unprepared or prepared run; it must
 * be prepared afterwards). Errors: CS_ERROR_ARGUMENT (unknown method, variant or layer, an option
 * that the method does not have, a target that the variant does not take). */
cs_status cs_cam_watch(cs_run *run, const cs_model *model, const cs_cam_options *options,
                       cs_error *err);

/* The maps of the last forward's images: cams[n], n < the logits' batch, each allocated (free with
 * cs_cam_free; none on failure). classes[n] may be CS_CLASS_ARGMAX; cams[n].class_index tells what
 * it was. May be called again for other classes and targets after one forward. Errors:
 * CS_ERROR_STATE, CS_ERROR_ARGUMENT, CS_ERROR_NUMERIC (the run has NaN or infinity: no picture is
 * made of it), CS_ERROR_MEMORY, CS_ERROR_INTERRUPTED. */
cs_status cs_cam_compute(cs_run *run, const cs_model *model, const cs_cam_options *options,
                         const int64_t *classes, cs_cam *cams, cs_error *err);

/* The maps of `count` classes of image n of the last forward: cams[i] is that of classes[i]. The
 * same maps as one call a class gives, but methods with passes of their own make them once for all.
 * Errors: as cs_cam_compute. */
cs_status cs_cam_compute_classes(cs_run *run, const cs_model *model, const cs_cam_options *options,
                                 int64_t n, const int64_t *classes, int64_t count, cs_cam *cams,
                                 cs_error *err);

/* The map of image n from a layer's activation A and gradient dA (N x C x H x W, same type), for
 * methods without passes of their own. Sums in double, rounded once to the type. Fills everything
 * but class_index. Errors: CS_ERROR_ARGUMENT (another method, shapes differ), CS_ERROR_MEMORY. */
cs_status cs_cam_map(const cs_cam_options *options, const cs_tensor *activation,
                     const cs_tensor *gradient, int64_t n, cs_cam *cam, cs_error *err);

/* The nodes and weights of Gauss-Legendre quadrature on [0, 1] for `count` points, ascending. */
void cs_gauss_legendre(int64_t count, double *nodes, double *weights);

/* ------------------------------------------------------------------ from map to picture -- */

/* The heatmap: (L - min) / (max(L - min) + 1e-8), each step rounded in the map's type, enlarged to
 * width x height as OpenCV's cv2.resize INTER_LINEAR does for that type. docs/cam-methods.md has
 * the order of the operations. 1 x 1 x height x width; allocated. Errors: CS_ERROR_MEMORY. */
cs_status cs_heatmap_make(const cs_tensor *raw, int64_t width, int64_t height, cs_tensor *heatmap,
                          cs_error *err);

/* Entry `index` of OpenCV's COLORMAP_JET as R, G, B. */
void cs_colormap_jet(uint8_t index, uint8_t rgb[3]);

/* Colours of a heatmap: entry trunc(255 * h) of the table, the product in the map's type. `image`
 * is allocated. Errors: CS_ERROR_MEMORY. */
cs_status cs_heatmap_color(const cs_tensor *heatmap, cs_image *image, cs_error *err);

/* 0.6 * image / 255 + 0.4 * heat / 255 = v, floor(255 * v + 0.5), in double from left to right.
 * Both of the same size. `overlay` is allocated. Errors: CS_ERROR_ARGUMENT, CS_ERROR_MEMORY. */
cs_status cs_overlay_make(const cs_image *image, const cs_image *heat, cs_image *overlay,
                          cs_error *err);

/* ------------------------------------------------------------------ figure --------------- */

/* Fonts for titles. */
typedef struct cs_font cs_font;

/* Opens a TrueType or OpenType font at PATH, or for NULL the first of the freely licensed fonts
 * that Linux distributions install (DejaVu, Noto, Liberation, ...; for other scripts, Noto CJK and
 * its like when a text needs them), or the built-in ASCII glyphs if there is none. Fonts are
 * trusted files. Errors: CS_ERROR_IO, CS_ERROR_FORMAT (only for a given PATH), CS_ERROR_MEMORY. */
cs_status cs_font_open(const char *path, cs_font **font, cs_error *err);

/* The built-in ASCII glyphs alone. */
cs_status cs_font_builtin(cs_font **font, cs_error *err);

/* Accepts NULL. */
void cs_font_free(cs_font *font);

/* What a figure shows. Strings are UTF-8. */
typedef struct cs_figure {
    const cs_image *image; /* the three panels, of one size */
    const cs_image *heat;
    const cs_image *overlay;
    const char *title;          /* the image's name; NULL for none */
    const char *method;         /* "gradcam" */
    const char *layer;          /* "layer4.2" */
    const char *target;         /* "logit" */
    const char *class_name;     /* of the explained class; NULL prints its number */
    const char *predicted_name; /* of the predicted class; NULL prints its number */
    int64_t class_index, predicted_index;
    double class_probability, predicted_probability;
    const cs_cam *cam; /* for the range of the colour bar, and "empty" */
} cs_figure;

/* Draws the three panels (each enlarged until its longer side has at least 336 pixels) with titles
 * and the colour bar. `out` is allocated. Errors: CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status cs_figure_draw(const cs_figure *figure, cs_font *font, cs_image *out, cs_error *err);

/* ------------------------------------------------------------------ explanations --------- */

/* One explained class of one image, ready to be written. */
typedef struct cs_explanation {
    const cs_model *model;
    const cs_input *input;
    const cs_cam *cam;
    const cs_tensor *logits; /* the run's output; image `n` of it belongs to `input` */
    int64_t n;
    const char *image_name; /* for the figure's title */
    const cs_cam_options *options;
    cs_font *font;     /* NULL: no figure */
    bool write_signed; /* the map before the ReLU too */
    cs_run *run;       /* whose threads share the work; NULL: the calling one does it alone */
} cs_explanation;

/* Writes FOLDER/class-<K>-<method>-<layer>.npy (raw map, shape (H, W), the run's type), the same
 * with -heatmap.npy (at the input size, the same type), -heatmap.png, -overlay.png and -figure.png;
 * on request -signed.npy (the raw map before the ReLU).
 * `<layer>` is the module path with indices resolved. FOLDER must exist.
 * Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY, CS_ERROR_ARGUMENT (an unknown layer or method). */
cs_status cs_explain_write(const char *folder, const cs_explanation *explanation, cs_error *err);

#ifdef __cplusplus
}
#endif

#endif
