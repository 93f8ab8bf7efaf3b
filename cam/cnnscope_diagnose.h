/* cnnscope_diagnose.h - does a network look where it should, over many images?
 *
 * One image and class at a time: statistics of the raw map at the layer's size, divided by its sum
 * (never min-maxed: that erases heat that is spread evenly); then forward passes over changed
 * images (a region replaced, the image mirrored, shifted, made flat, shuffled). Over the set: means
 * with bootstrap intervals, and for each pattern (corner, border, uniform, roi, side) a flag with
 * two independent kinds of evidence, the map's and the counterfactual's, against thresholds that
 * come from nulls (blank and noise inputs, networks with shuffled weights) before an image is seen.
 *
 * left, right, top and bottom are the picture's, as it is looked at; in a frontal radiograph the
 * picture's left is the patient's right. Everything here is evidence, never proof
 * (docs/shortcuts.md).
 *
 * Threads: nothing here has state; each object belongs to one thread at a time.
 */
#ifndef CNNSCOPE_DIAGNOSE_H
#define CNNSCOPE_DIAGNOSE_H

#include "cnnscope_measures.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Called on the calling thread between pieces of long work, with what is done and all there is to
 * do; true ends the work with CS_ERROR_INTERRUPTED. A NULL function is not called. */
typedef struct cs_stop {
    bool (*function)(void *state, int64_t done, int64_t total);
    void *state;
} cs_stop;

/* ------------------------------------------------------------------ regions -------------- */

/* The parts of a picture that are measured. */
typedef enum cs_region {
    CS_REGION_TOP_LEFT = 0, /* squares of side 0.2 * min(height, width) in the four corners */
    CS_REGION_TOP_RIGHT,
    CS_REGION_BOTTOM_LEFT,
    CS_REGION_BOTTOM_RIGHT,
    CS_REGION_RING, /* all within 0.1 * min(height, width) of the border */
    CS_REGION_ROI,  /* the region of interest, where there is one */
    CS_REGION_LEFT, /* halves */
    CS_REGION_RIGHT,
    CS_REGION_TOP_EDGE, /* the ring's parts along one side, corners included */
    CS_REGION_BOTTOM_EDGE,
    CS_REGION_LEFT_EDGE,
    CS_REGION_RIGHT_EDGE,
    CS_REGION_COUNT
} cs_region;

#define CS_CORNER_COUNT 4 /* the first four regions */
#define CS_EDGE_COUNT   4 /* from CS_REGION_TOP_EDGE */
#define CS_CORNER_SIDE  0.2
#define CS_RING_WIDTH   0.1

/* "top_left", "ring", "roi", ...; static storage. */
const char *cs_region_name(cs_region region);

/* How much of each cell of a rows x columns grid over the picture a region covers, 0 to 1, exactly
 * (areas, no sampling): out[y * columns + x]. Sides are shares of the picture's: the picture is
 * `height` x `width` pixels, of which only the ratio matters. `roi` (1 x 1 x H x W, values 0 to 1)
 * is read for CS_REGION_ROI only: its area average over each cell. Errors: CS_ERROR_ARGUMENT (the
 * region of interest without `roi`). */
cs_status cs_region_cover(cs_region region, int64_t height, int64_t width, const cs_tensor *roi,
                          int64_t rows, int64_t columns, double *out, cs_error *err);

/* The two lung fields of a frontal radiograph that is framed as usual, approximately: two upright
 * ellipses. Shares of the picture's width and height. No lung was looked at; reports must call it
 * approximate. */
typedef struct cs_chest_template {
    double center_x[2], center_y, radius_x, radius_y;
} cs_chest_template;
#define CS_CHEST_TEMPLATE_DEFAULT                                                                  \
    { {0.30, 0.70}, 0.45, 0.17, 0.33 }

/* The template as a mask of height x width (1 x 1 x H x W, float32; a pixel is 1 where its centre
 * lies inside). Allocated. Errors: CS_ERROR_ARGUMENT (no pixel inside), CS_ERROR_MEMORY. */
cs_status cs_chest_template_make(const cs_chest_template *shape, int64_t height, int64_t width,
                                 cs_tensor *mask, cs_error *err);

/* ------------------------------------------------------------------ statistics ----------- */

/* What is measured of one map; p is the map divided by its sum, n its number of cells, E(R) the sum
 * of p times the cover of a region R, a(R) the share of the picture that R covers. NaN where it
 * does not exist (no region of interest, an empty map, counterfactuals off). */
typedef enum cs_statistic {
    CS_STAT_ENERGY_TOP_LEFT = 0, /* E: 0 to 1, in the order of cs_region up to CS_REGION_ROI */
    CS_STAT_ENERGY_TOP_RIGHT,
    CS_STAT_ENERGY_BOTTOM_LEFT,
    CS_STAT_ENERGY_BOTTOM_RIGHT,
    CS_STAT_ENERGY_RING,
    CS_STAT_ENERGY_ROI,
    CS_STAT_ENRICHMENT_TOP_LEFT, /* E / a: 1 is what an even map gives */
    CS_STAT_ENRICHMENT_TOP_RIGHT,
    CS_STAT_ENRICHMENT_BOTTOM_LEFT,
    CS_STAT_ENRICHMENT_BOTTOM_RIGHT,
    CS_STAT_ENRICHMENT_RING,
    CS_STAT_ENRICHMENT_ROI,
    CS_STAT_AREA_ROI,         /* a of the region of interest; those of the others are fixed */
    CS_STAT_CORNER,           /* the largest of the four corners' enrichments */
    CS_STAT_ENTROPY,          /* -sum p ln p / ln n: 0 one cell, 1 even */
    CS_STAT_GINI,             /* 0 even, towards 1 concentrated */
    CS_STAT_EFFECTIVE_AREA,   /* exp(-sum p ln p) / n: the share of the map that it is as if on */
    CS_STAT_ROI_RANK,         /* of the K cells with the most heat, the share covered by the region
                                 of interest; K its area in cells, rounded, at least 1 */
    CS_STAT_ROI_HIT,          /* 1: the first maximum's cell is covered by half or more; else 0 */
    CS_STAT_LATERALITY_IMAGE, /* (E(right) - E(left)) / (E(right) + E(left)): -1 left, 1 right */
    CS_STAT_LATERALITY_ROI,   /* the same of the heat in the region of interest alone */
    CS_STAT_LATERALITY_MIRRORED, /* LATERALITY_IMAGE of the map of the mirrored image */
    CS_STAT_POSITION,            /* (LATERALITY_IMAGE + LATERALITY_MIRRORED) / 2: the heat stays */
    CS_STAT_CONTENT,         /* (LATERALITY_IMAGE - LATERALITY_MIRRORED) / 2: the heat follows */
    CS_STAT_ENERGY_TOP_EDGE, /* E of the edges, in the order of cs_region */
    CS_STAT_ENRICHMENT_TOP_EDGE = CS_STAT_ENERGY_TOP_EDGE + CS_EDGE_COUNT,
    CS_STAT_EDGE = CS_STAT_ENRICHMENT_TOP_EDGE + CS_EDGE_COUNT, /* the largest of those four */
    CS_STAT_COUNT
} cs_statistic;

/* "energy_top_left", "entropy", ...: the names of diagnosis.csv's columns; static storage. */
const char *cs_statistic_name(cs_statistic statistic);

/* A map's measuring places, made once for many maps of one size. */
typedef struct cs_map_regions {
    int64_t rows, columns;
    double *cover[CS_REGION_COUNT]; /* rows * columns each; NULL: no region of interest */
    double area[CS_REGION_COUNT];   /* means of the covers */
} cs_map_regions;

/* Covers of all regions for maps of rows x columns over a picture of height x width. `roi` may be
 * NULL. Free with cs_map_regions_free. Errors: CS_ERROR_ARGUMENT (a region of interest that is 0
 * everywhere), CS_ERROR_MEMORY. */
cs_status cs_map_regions_make(int64_t rows, int64_t columns, int64_t height, int64_t width,
                              const cs_tensor *roi, cs_map_regions *regions, cs_error *err);
void cs_map_regions_free(cs_map_regions *regions);

/* Fills the statistics, but for the three of the mirrored image, of a raw map (1 x 1 x rows x
 * columns, values >= 0); those three, and all but the area for an empty map, become NaN. In
 * double, row-major.
 * Errors: CS_ERROR_ARGUMENT (sizes), CS_ERROR_MEMORY. */
cs_status cs_map_statistics(const cs_tensor *map, const cs_map_regions *regions,
                            double out[CS_STAT_COUNT], cs_error *err);

/* ------------------------------------------------------------------ counterfactuals ------ */

/* A change of the input. Those up to CS_CHANGE_CONTROL_LAST replace pixels by a fill; the others
 * have none and are stored under the first fill. */
typedef enum cs_change {
    CS_CHANGE_TOP_LEFT = 0, /* the corner is replaced */
    CS_CHANGE_TOP_RIGHT,
    CS_CHANGE_BOTTOM_LEFT,
    CS_CHANGE_BOTTOM_RIGHT,
    CS_CHANGE_RING,
    CS_CHANGE_LEFT, /* the half is replaced */
    CS_CHANGE_RIGHT,
    CS_CHANGE_ROI_REMOVED,  /* the region of interest is replaced */
    CS_CHANGE_ROI_ONLY,     /* all but the region of interest */
    CS_CHANGE_HOTTEST,      /* a square of a corner's size over the map's hottest cell outside the
                              region of interest, and of it only what is outside (all of it where
                              there is no region of interest) */
    CS_CHANGE_RING_HOTTEST, /* such a square over the map's hottest cell of the ring, and of it only
                              what lies in the ring */
    CS_CHANGE_CONTROL,      /* matched controls: squares of the same size at seeded places, which
                              touch neither a corner nor either hottest square */
    CS_CHANGE_CONTROL_LAST = CS_CHANGE_CONTROL + 3,
    CS_CHANGE_MIRRORED, /* left and right exchanged */
    CS_CHANGE_SHIFTED,  /* by one cell of the map to the right, edges repeated */
    CS_CHANGE_FLAT,     /* every pixel has the image's mean colour */
    CS_CHANGE_SHUFFLED, /* 16 x 16 tiles in a seeded order: everything is there, nothing in place */
    CS_CHANGE_COUNT
} cs_change;

/* What stands in a replaced region: CS_FILL_MEAN, the mean of the training images (0 in the
 * normalised input); CS_FILL_BLUR, the image after a Gaussian of 0.08 * min(height, width). */
#define CS_FILL_COUNT 2

/* "top_left", "control_1", "shuffled", ...; "mean", "blur"; static storage. */
const char *cs_change_name(cs_change change);
const char *cs_fill_name(cs_fill fill);
bool cs_change_has_fill(cs_change change);

/* What the network says of a changed image. */
typedef struct cs_change_result {
    double margin;      /* logit of the explained class minus the largest other; NaN: not run */
    double probability; /* of the explained class */
    int32_t predicted;  /* class; -1: not run */
    int32_t reserved;
} cs_change_result;

/* ------------------------------------------------------------------ rows ----------------- */

/* One image and class. Plain values only: it is stored as it is. */
typedef struct cs_diagnosis_row {
    int64_t image;       /* number in the list, from 0 */
    int64_t class_index; /* explained; -1 where the image's status is not CS_OK */
    int32_t map_status;  /* cs_cam_status */
    int32_t has_changes;
    double logit, probability, margin; /* of the explained class, as cs_change_result has them */
    double value[CS_STAT_COUNT];       /* cs_statistic */
    cs_change_result change[CS_CHANGE_COUNT][CS_FILL_COUNT];
    double hottest_x, hottest_y; /* centre of CS_CHANGE_HOTTEST, shares of width and height */
    double ring_x, ring_y;       /* the same of CS_CHANGE_RING_HOTTEST */
} cs_diagnosis_row;

/* How changes are measured. */
typedef struct cs_changes_options {
    const cs_tensor *roi; /* 1 x 1 x H x W at the input's size, values 0 to 1; 0.5 or more is
                             inside. NULL: its two changes are not run */
    int64_t map_columns;
    int64_t class_count;
    int64_t batch; /* images a pass, at most the run's largest; changes no result */
    uint64_t seed; /* chooses the controls and the tiles' order */
} cs_changes_options;

/* Measures all changes for `count` rows (one a class) of one image (1 x C x H x W, of the run's
 * type). Each row must have its class, margin, and its hottest squares' centres; those are run
 * for each row, the rest once for all, with controls that keep away from the first row's
 * hottest squares. The run is prepared and needs nothing kept; its last forward is lost. A changed
 * image that gives NaN or infinity counts as not run. Errors: CS_ERROR_ARGUMENT, CS_ERROR_MEMORY.
 */
cs_status cs_changes_measure(cs_run *run, const cs_tensor *image, const cs_changes_options *options,
                             cs_diagnosis_row *rows, int64_t count, cs_error *err);

/* Logit of class c of image n minus the largest other (the logit itself where there is one class).
 */
double cs_class_margin(const cs_tensor *logits, int64_t n, int64_t c);

/* The centre of the map's hottest cell among those covered by less than half of the region of
 * interest (of all, where regions has none, or no cell is): shares of width and height. */
void cs_map_hottest(const cs_tensor *map, const cs_map_regions *regions, double *x, double *y);

/* The same of the cells that the ring covers by at least half of what it covers of any. */
void cs_map_hottest_of_ring(const cs_tensor *map, const cs_map_regions *regions, double *x,
                            double *y);

/* `image` (1 x C x H x W) with left and right exchanged, into `out` of the same shape and type. */
void cs_image_mirror(const cs_tensor *image, cs_tensor *out);

/* Drop of the margin by a change, averaged over its fills (margin of the image - of the changed
 * image); NaN where it was not run. */
double cs_row_drop(const cs_diagnosis_row *row, cs_change change);

/* The drop by a change minus the mean drop by the matched controls (where that is above 0): what
 * `change` does that a square of its size elsewhere does not. For corners and hottest squares. */
double cs_row_excess(const cs_diagnosis_row *row, cs_change change);

/* One image of the list and what came of it. */
typedef struct cs_diagnosis_image {
    int64_t index;
    const char *file;             /* as the list has it, or relative to the folder */
    const char *path;             /* to open it */
    const char *patient;          /* NULL where no column says so */
    int64_t patient_index;        /* number of the patient, by first appearance; -1: unknown */
    const char *const *columns;   /* values, cs_diagnosis.column_count of them; "" where missing */
    int64_t label, predicted;     /* classes; -1: unknown */
    cs_status status;             /* CS_OK, or why it could not be diagnosed */
    const char *message;          /* "" where the status is CS_OK */
    int64_t width, height;        /* of the file; 0 unknown */
    const char *sha256;           /* of the file; "" unknown */
    const double *logits;         /* [class count]; NaN where the status is not CS_OK */
    const double *probabilities;  /* the same */
    const cs_diagnosis_row *rows; /* row_count of them, one an explained class; maps[i] belongs to
                                     rows[i], 1 x 1 x map rows x map columns, in the run's type */
    const cs_tensor *maps;
    int64_t row_count;
} cs_diagnosis_image;

/* Where an image stands for the explained class c: the label is c or not, the prediction is c or
 * not. */
typedef enum cs_cell {
    CS_CELL_ALL = 0,
    CS_CELL_TRUE_POSITIVE,
    CS_CELL_FALSE_POSITIVE,
    CS_CELL_FALSE_NEGATIVE,
    CS_CELL_TRUE_NEGATIVE,
    CS_CELL_COUNT
} cs_cell;
const char *cs_cell_name(cs_cell cell); /* "all", "true positive", ... */

/* ------------------------------------------------------------------ nulls, thresholds ---- */

/* The patterns that are looked for. */
typedef enum cs_pattern {
    CS_PATTERN_CORNER = 0, /* heat in one corner: a tag, a marker */
    CS_PATTERN_UNIFORM,    /* heat spread evenly: nothing in particular is read */
    CS_PATTERN_ROI,        /* heat outside the region of interest */
    CS_PATTERN_SIDE,       /* heat on one side, whatever the image */
    CS_PATTERN_BORDER,     /* heat along one edge: burnt-in text, a frame */
    CS_PATTERN_COUNT
} cs_pattern;
const char *cs_pattern_name(cs_pattern pattern); /* "corner", "uniform", ... */

/* What the null set gave for a pattern, and the threshold that follows: the quantile plus the
 * margin, then not below `least` nor above `most`. The pattern's map statistic: CS_STAT_CORNER (the
 * 95 % quantile + 0.5; least 3, most 6), CS_STAT_ENTROPY (median; least 0.85, most 0.92),
 * CS_STAT_ENRICHMENT_ROI (95 % quantile; least 1.25, most 1.5; evidence lies *below* it),
 * CS_STAT_LATERALITY_IMAGE (95 % quantile over the networks of the absolute value of its mean over
 * their inputs, + 0.1; least 0.25, most 0.5), CS_STAT_EDGE (95 % quantile + 0.5; least 2, most
 * 4). */
typedef struct cs_threshold {
    double value;
    double null_median, null_quantile; /* `quantile` of the null values */
    double quantile, margin, least, most;
    int64_t null_count; /* values: maps, or networks for CS_PATTERN_SIDE */
    double null_rate;   /* share of maps beyond the threshold that is not evidence: that of the null
                           maps beyond it, at least 0.05 (CORNER, BORDER); fixed 0.25 (UNIFORM,
                           ROI); 0.6 of the stronger side (SIDE) */
} cs_threshold;

/* One map of the null set. */
typedef struct cs_null_map {
    char network[24]; /* "trained", "shuffled 1", ... */
    char input[24];   /* "black", "mean", "white", "noise 1", "clouds 1 mirrored", ... */
    double value[CS_STAT_COUNT];
} cs_null_map;

typedef struct cs_null_set {
    cs_null_map *maps; /* networks with shuffled weights behind the trained one */
    int64_t count;
    int64_t empty;    /* of them with an empty map, which count for nothing */
    int64_t networks; /* that gave finite numbers, the trained one among them */
    cs_threshold threshold[CS_PATTERN_COUNT];
} cs_null_set;

/* Where null map `index` of `count` is measured: regions that are valid until the next call. Where
 * the region of interest differs from image to image (`roi_varies`), give the null maps those of
 * images of the set, each another: then they are measured as the set is, by heat that knows nothing
 * of it. The threshold of CS_PATTERN_ROI is then its least, 1.25, whatever they give
 * (docs/shortcuts.md 3). Errors end the null set. */
typedef struct cs_null_places {
    cs_status (*function)(void *state, int64_t index, int64_t count, const cs_map_regions **regions,
                          cs_error *err);
    void *state;
    bool roi_varies;
} cs_null_places;

/* Makes the null set: black, mean, white, noise (independent pixels), clouds (noise enlarged from 8
 * x 8) and their mirror images, on the trained network and on three whose weights are shuffled in
 * each tensor, each map of the network's own predicted class; then the thresholds. Networks that
 * give NaN or infinity are left out. The runs are made like `like`, one at a time. Maps whose
 * place has no region of interest count for nothing in CS_PATTERN_ROI. Free with cs_null_set_free.
 * Errors: as cs_cam_compute, and those of `places`. */
cs_status cs_null_set_make(const cs_run *like, const cs_model *model, const cs_cam_options *options,
                           const cs_null_places *places, uint64_t seed, cs_stop stop,
                           cs_null_set *set, cs_error *err);
void cs_null_set_free(cs_null_set *set);

/* ------------------------------------------------------------------ the set -------------- */

/* A mean over rows with its bootstrap 95 % interval (by patient where one is known). NaN: no
 * value; low and high NaN: too few rows or groups (docs/formats.md). */
typedef struct cs_interval {
    double value, low, high;
    int64_t count; /* rows that have a value */
} cs_interval;

/* Rows of one class that have something in common. */
typedef struct cs_diagnosis_group {
    int64_t class_index;
    cs_cell cell;
    int64_t column;    /* of the list, cs_diagnosis.columns; -1: none, all rows of the cell */
    const char *value; /* in that column; NULL */
    int64_t count;     /* rows */
    int64_t patients;  /* 0 where no column says so */
    int64_t empty_maps;
    cs_interval statistic[CS_STAT_COUNT];
    cs_interval probability, margin;
    cs_interval correct; /* share of images predicted as labelled, of those with a label */
    cs_interval drop[CS_CHANGE_COUNT]; /* cs_row_drop */
    double *mean_map; /* mean of the maps divided by their sums: map rows x map columns; NULL where
                         there is none, and for groups by a column's value */
} cs_diagnosis_group;

typedef enum cs_verdict {
    CS_VERDICT_NONE = 0,
    CS_VERDICT_MAP_ONLY,     /* the maps show it, the counterfactuals do not (or were off) */
    CS_VERDICT_SUPPORTED,    /* both do */
    CS_VERDICT_UNDETERMINED, /* too few images, or no region of interest */
} cs_verdict;
const char *cs_verdict_name(cs_verdict verdict); /* "none", "map only", "supported", ... */

/* The evidence for a pattern in the maps of one class. */
typedef struct cs_diagnosis_flag {
    cs_pattern pattern;
    int64_t class_index;
    cs_verdict verdict;
    double score; /* 0 to 1, for ranking networks: map_score times counter_score (or map_score
                     alone where there are no counterfactuals) */
    int64_t count, patients;
    /* Map: the mean of the pattern's statistic lies beyond the threshold with its whole interval,
     * or more images lie beyond it than null_rate, with the whole interval and p < 0.05. */
    bool map_evidence;
    cs_interval mean;  /* of the pattern's statistic; CORNER, BORDER: of the suspect's enrichment */
    cs_interval share; /* of images beyond the threshold; SIDE: beyond it on the stronger side */
    double share_p;    /* one-sided binomial test against null_rate, Holm-corrected */
    double map_score;  /* the share; CORNER, BORDER: how near the maps come to the threshold (the
                          mean over images of value / threshold, at most 1 each); SIDE: the
                          absolute value of the mean */
    /* Counterfactual: the relative excess is above 0.1 (UNIFORM: the survival above 0.5) with its
     * whole interval, and p < 0.05. */
    bool counter_evidence, has_counter;
    bool counter_is_of_shown; /* `excess`, `relative` and their p are of the rows whose own map lies
                                 beyond the threshold at the suspect place (ten or more of them),
                                 else of all rows; never UNIFORM, SIDE */
    cs_region suspect;    /* CORNER: the corner of largest mean enrichment; SIDE: the stronger half;
                          BORDER: the edge of
                          largest mean enrichment; else CS_REGION_COUNT */
    cs_interval excess;   /* mean of: CORNER cs_row_excess of the corner; ROI cs_row_excess of
                             CS_CHANGE_HOTTEST; BORDER of CS_CHANGE_RING_HOTTEST; SIDE drop by the
                             half minus drop by the other; UNIFORM see `survival` */
    cs_interval relative; /* the same divided by those rows' mean margin, unchanged */
    double excess_p;      /* sign-flip test of excess > 0 by patient, Holm-corrected */
    cs_interval survival[2]; /* UNIFORM, for CS_CHANGE_FLAT and CS_CHANGE_SHUFFLED: share of images
                                predicted as the class that stay so, minus share of the others that
                                become it: 0 the change erases what is read, 1 it erases nothing.
                                `excess` and `relative` are the larger of the two */
    double counter_score;    /* relative.value, within 0 and 1 */
    double prevalence;       /* estimate of the share of images that show it beyond what the null
                             gives: (share - null_rate) / (1 - null_rate), at least 0 */
} cs_diagnosis_flag;

/* Everything that a report needs. Strings are UTF-8 unless they come from the file system. */
typedef struct cs_diagnosis {
    const cs_model *model;
    const char *model_path, *source; /* as they were given: the model, the folder or list */
    const char *method, *layer, *target, *class_text;
    const char *roi;      /* what was given to --roi; NULL: none */
    bool roi_is_template; /* "chest-template": reports must call it approximate */
    bool has_changes;     /* counterfactuals were run */
    uint64_t seed;
    int64_t map_rows, map_columns;
    const char *const *columns; /* carried through from the list: "view", "sex" */
    int64_t column_count;
    int64_t patient_count;
    bool by_patient;      /* intervals and tests treat a patient's images as one */
    int64_t image_count;  /* in the list */
    int64_t failed_count; /* of them with a status other than CS_OK */
    int64_t row_count;
    int64_t confusion_classes; /* class count, or 0 where there are no labels */
    int64_t *confusion;        /* [label * classes + predicted] */
    const cs_null_set *nulls;
    cs_diagnosis_group *groups; /* per class: all, then the cells, then the columns' values */
    int64_t group_count;
    cs_diagnosis_flag *flags; /* per class, each pattern in order */
    int64_t flag_count;
    /* Image i of the list; what *image points at is valid until the next call. Any order. Errors:
     * CS_ERROR_IO, CS_ERROR_FORMAT, CS_ERROR_MEMORY. */
    cs_status (*image)(void *state, int64_t index, cs_diagnosis_image *image, cs_error *err);
    /* The region of interest of an image at the model's input size, as cs_changes_options has it,
     * for the report's pictures: allocated, or data NULL where the image has none. NULL: unknown,
     * and no outline is drawn. Errors: those of reading a mask; the picture then goes without. */
    cs_status (*region)(void *state, const cs_diagnosis_image *image, cs_tensor *mask,
                        cs_error *err);
    void *image_state; /* of both */
    int tests;         /* p values that Holm's correction is over */
} cs_diagnosis;

/* Reads all images through diagnosis->image, once and then once for each 16 groups, in constant
 * memory, and fills confusion, groups, flags, patient counts and tests; all else must be filled.
 * Bootstrap: 1000 replicates of Poisson(1) weights from SplitMix64 of seed, patient (or file) and
 * replicate, so that sums over parts of the set can be added. Free with cs_diagnosis_free_summary.
 * Errors: those of diagnosis->image, CS_ERROR_MEMORY, CS_ERROR_INTERRUPTED. */
cs_status cs_diagnosis_summarise(cs_diagnosis *diagnosis, cs_stop stop, cs_error *err);

/* Frees groups, flags and confusion. */
void cs_diagnosis_free_summary(cs_diagnosis *diagnosis);

/* Whether an image's row is beyond the pattern's threshold (SIDE: beyond it on either side). False
 * for NaN. */
bool cs_row_is_beyond(const cs_diagnosis_row *row, cs_pattern pattern,
                      const cs_threshold *threshold);

/* The strongest verdict of a pattern over all classes. */
cs_verdict cs_diagnosis_verdict(const cs_diagnosis *diagnosis, cs_pattern pattern);

/* Writes FOLDER/report.html: one file, no network. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY, and
 * those of diagnosis->image. */
cs_status cs_diagnosis_write_report(const cs_diagnosis *diagnosis, const char *folder,
                                    cs_error *err);

#ifdef __cplusplus
}
#endif

#endif
