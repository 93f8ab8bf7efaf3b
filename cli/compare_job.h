/* compare_job.h - several methods on the same images, each map measured in the same way. */
#ifndef CLI_COMPARE_JOB_H
#define CLI_COMPARE_JOB_H

#include "cnnscope_measures.h"
#include "common.h"
#include "output_folder.h"
#include "progress.h"

/* A method to compare: a row of the table. */
typedef struct compare_method {
    char label[64];                 /* "gradcam++:authors", as it was asked for */
    char title[64];                 /* "Grad-CAM++ (authors)" */
    const cs_cam_method_info *info; /* NULL: the control, a map of random numbers */
    cs_cam_options what;
    char layer[256];
} compare_method;

/* One method on one image. Numbers that do not exist are NaN. */
typedef struct compare_result {
    cs_cam cam;
    double seconds; /* forward and map */
    int64_t forward_images, backward_images;
    size_t bytes; /* of runs: everything but the packed weights */
    cs_faithfulness faith;
    bool has_place;
    cs_localisation place;
    bool has_sanity;
    cs_sanity sanity;
} compare_result;

typedef struct compare_image {
    char *path;
    char sha256[CS_SHA256_HEX_SIZE];
    cs_status status;
    char message[sizeof((cs_error *)0)->text];
    int64_t class_index, predicted_index;
    double probability;
    compare_result *results; /* one a method; NULL where the status is not CS_OK */
} compare_image;

typedef struct compare_job {
    const cli_common *common;
    const char *model_path, *masks, *font_path;
    const char *class_text, *target_text, *layer;
    cs_cam_options options; /* channels, steps, batch of all methods */
    cs_faithfulness_options measures;
    bool wants_sanity;
    int64_t seed;
    cs_run_options how;
    cs_model *model;
    cs_font *font;
    int64_t class_index; /* or CS_CLASS_ARGMAX */
    compare_method *methods;
    int64_t method_count;
    compare_image *images;
    int64_t image_count;
    cs_run *scorer; /* for the measures: batches, nothing kept */
    progress bar;
    output_folder folder; /* partial[0]: results are written */
} compare_job;

/* Opens the model, reads the list of methods ("gradcam,gradcam++:authors" or "all"), which gets the
 * control added at its end, and prepares the scorer. Errors: everything. */
cs_status compare_begin(compare_job *job, const char *methods, int64_t images, cs_error *err);

/* Compares the methods on one image and, where there is a folder, writes maps and figure into it.
 * An error with the image (is_image_error) is kept in its row too. */
cs_status compare_one(compare_job *job, const char *path, cs_error *err);

/* Frees all but the folder. */
void compare_free(compare_job *job);

#endif
