/* cnnscope_measures.h - is a map faithful to the network, and does it lie where it should?
 *
 * A map says where the evidence for a class was. The measures here ask the network itself:
 * insertion and deletion curves, average drop and increase of confidence; or a mask that somebody
 * drew: energy and pointing game; or whether the map depends on the network and the class at all:
 * cascading randomisation of the weights, and the map of another class. docs/cam-methods.md has
 * the formulas.
 *
 * Threads: nothing here has state; each object belongs to one thread at a time.
 */
#ifndef CNNSCOPE_MEASURES_H
#define CNNSCOPE_MEASURES_H

#include "cnnscope_cam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ maps at the input ---- */

/* A raw map (1 x 1 x h x w) enlarged to height x width in double, with half-pixel centres as
 * PyTorch's interpolate(mode="bilinear", align_corners=False): out[y * width + x]. It is not
 * scaled. Errors: CS_ERROR_ARGUMENT, CS_ERROR_MEMORY. */
cs_status cs_map_enlarge(const cs_tensor *map, int64_t height, int64_t width, double *out,
                         cs_error *err);

/* ------------------------------------------------------------------ faithfulness --------- */

/* What stands where a pixel is taken away. */
typedef enum cs_fill {
    CS_FILL_MEAN = 0, /* 0 in every channel of the input: the mean colour */
    CS_FILL_BLUR,     /* the image after a Gaussian of standard deviation 5, 31 x 31, its edges
                         repeated */
} cs_fill;

typedef struct cs_faithfulness_options {
    int64_t steps; /* of the curves; 0: 20 */
    int64_t batch; /* images a pass, at most the run's; 0: 1 */
    cs_fill fill;
    /* Called after each pass, as cs_cam_options has it. */
    bool (*stop)(void *state, int64_t done, int64_t total);
    void *stop_state;
} cs_faithfulness_options;

#define CS_FAITHFULNESS_OPTIONS_DEFAULT                                                            \
    { 0, 0, CS_FILL_MEAN, NULL, NULL }

/* Free with cs_faithfulness_free. Probabilities are the softmax's, of the class. */
typedef struct cs_faithfulness {
    int64_t points; /* of the curves: fractions 0 to 1 */
    double *fraction, *deletion, *insertion;
    double deletion_area, insertion_area; /* trapezoids over the fraction */
    double probability;                   /* of the whole image */
    double masked_probability;            /* of the image times the map scaled to 0..1 */
    double drop;                          /* max(0, probability - masked) / probability */
    bool increase;                        /* masked > probability */
    int64_t forward_images;
} cs_faithfulness;

void cs_faithfulness_free(cs_faithfulness *f);

/* Measures a raw map (1 x 1 x h x w, any size) of one image (1 x C x H x W; of float32 in a run of
 * float64 it is widened) for a class. Pixels are ranked by cs_map_enlarge, the larger first, of
 * equals the first in row-major order; k = ceil(H W / steps) of them change at a time, the last
 * time the rest. Deletion fills the highest first; insertion begins with everything filled and
 * gives them back. For drop and increase the map is (L - min) / (max - min) at its own size, 0 if
 * it is constant, then enlarged. The run is prepared and needs nothing kept; its last forward is
 * lost. Errors: CS_ERROR_ARGUMENT, CS_ERROR_NUMERIC, CS_ERROR_MEMORY, CS_ERROR_INTERRUPTED. */
cs_status cs_faithfulness_measure(cs_run *run, const cs_tensor *image, const cs_tensor *map,
                                  int64_t class_index, const cs_faithfulness_options *options,
                                  cs_faithfulness *result, cs_error *err);

/* ------------------------------------------------------------------ localisation --------- */

typedef struct cs_localisation {
    double area;   /* share of the mask in the image */
    double energy; /* share of the map in the mask (energy-based pointing game; relevance mass
                      accuracy); NaN for an empty map */
    bool hit;      /* whether the map's first maximum lies in the mask (pointing game); false for
                      an empty map */
} cs_localisation;

/* Compares a raw map (1 x 1 x h x w) with a mask of values 0 to 1 at the input's size (1 x 1 x H x
 * W): energy = sum(L * mask) / sum(L) of cs_map_enlarge; the maximum counts as inside where the
 * mask is 0.5 or more. Errors: CS_ERROR_ARGUMENT (sizes, a mask that is 0 everywhere),
 * CS_ERROR_MEMORY. */
cs_status cs_localisation_measure(const cs_tensor *map, const cs_tensor *mask,
                                  cs_localisation *result, cs_error *err);

/* Reads a mask from a picture: grey (Pillow's convert("L")), resized to width x height with
 * Pillow's bilinear, v / 255. `mask` is allocated; free it with cs_tensor_release. Errors: as
 * cs_image_load. */
cs_status cs_mask_load(const char *path, int64_t width, int64_t height, cs_tensor *mask,
                       cs_error *err);

/* ------------------------------------------------------------------ sanity --------------- */

/* Spearman's rank correlation of two maps of one size, ranks of equals averaged; NaN where one of
 * them is constant. Errors: CS_ERROR_ARGUMENT (sizes), CS_ERROR_MEMORY. */
cs_status cs_map_correlation(const cs_tensor *a, const cs_tensor *b, double *correlation,
                             cs_error *err);

/* The stages of a cascade: the parts of the model with parameters, by the first word of their
 * modules' paths, from the output to the input: "fc", "layer4", ..., "conv1". Returns the name of
 * stage 0, 1, ... into `name` (of at least 64 bytes), false behind the last. */
bool cs_cascade_stage(const cs_model *model, int index, char *name, size_t size);

/* Shuffles the values of every parameter tensor of one stage of a private copy, each tensor within
 * itself (Fisher-Yates with SplitMix64): what was learnt is gone, the values' distribution is not.
 * The caller makes runs with these params anew. Errors: CS_ERROR_ARGUMENT (not a private copy). */
cs_status cs_cascade_randomise(cs_params *params, const cs_model *model, const char *stage,
                               cs_random *random, cs_error *err);

/* Whether a map depends on what the network has learnt: its correlation with the map of the same
 * class after each stage of a cascade from the output down (Adebayo and others 2018), and with the
 * map of the class that comes next in probability (Sixt and others 2020). Near 1: it does not. */
typedef struct cs_sanity {
    int stages;
    double *cascade;     /* per stage; NaN where a map is constant or the network gives NaN */
    double other_class;  /* NaN where a map is constant or there is one class */
    int64_t other_index; /* that class, or -1 */
} cs_sanity;

void cs_sanity_free(cs_sanity *sanity);

/* Measures `cam`, the map that `options` gave for one image (1 x C x H x W, of the run's type). The
 * run need not be prepared: others like it are made, one with a copy of the model's parameters.
 * options->stop is called. Errors: as cs_cam_compute. */
cs_status cs_sanity_measure(const cs_run *run, const cs_model *model, const cs_tensor *image,
                            const cs_cam_options *options, const cs_cam *cam, uint64_t seed,
                            cs_sanity *result, cs_error *err);

/* ------------------------------------------------------------------ one figure ----------- */

/* One method's place in a comparison figure. */
typedef struct cs_comparison_panel {
    const cs_image *overlay; /* of the image's size */
    const char *title;       /* "Grad-CAM++ (authors)" */
    const char *lines[2];    /* below it; NULL for none */
    bool is_empty;           /* an empty map */
} cs_comparison_panel;

typedef struct cs_comparison_figure {
    const cs_image *image;
    const char *title;              /* the image's name */
    const char *subject, *subtitle; /* a line below: the class, which is cut to fit, and the rest */
    const cs_comparison_panel *panels;
    int64_t count;
} cs_comparison_figure;

/* Draws the image and all panels side by side, in rows of equal length, with a colour bar. `out` is
 * allocated. Errors: CS_ERROR_ARGUMENT (sizes), CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status cs_comparison_draw(const cs_comparison_figure *figure, cs_font *font, cs_image *out,
                             cs_error *err);

#ifdef __cplusplus
}
#endif

#endif
