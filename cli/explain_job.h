/* explain_job.h - explaining images one after another into a folder. */
#ifndef CLI_EXPLAIN_JOB_H
#define CLI_EXPLAIN_JOB_H

#include "class_choice.h"
#include "common.h"
#include "json_writer.h"
#include "output_folder.h"
#include "prediction.h"
#include "progress.h"

/* Wall time of each kind of work, in seconds. */
typedef struct explain_times {
    double load, prepare, forward, backward, cam, write, total;
} explain_times;

typedef struct explain_job {
    const cli_common *common;
    const char *model_path;
    const char *class_text, *font_path;
    bool write_signed;
    bool one_image;
    const cs_cam_method_info *method;
    cs_cam_options what;
    cs_run_options how;
    char layer[VISIBLE_SIZE]; /* the layer's path with indices resolved */
    class_choice choice;
    cs_model *model;
    cs_run *run;
    cs_font *font;
    int64_t *classes; /* room for all, and for their maps */
    cs_cam *cams;
    progress passes; /* of the method, within an image */
    output_folder folder;
    json_writer manifest;
    char *manifest_text;
    size_t manifest_size;
    int explained; /* number of images */
    explain_times times;
} explain_job;

/* Loads the model, reads the options that depend on it, prepares the run, and begins the manifest.
 * The folder must be open. Errors: everything. */
cs_status explain_job_begin(explain_job *job, const char *layer, const char *target, cs_error *err);

/* Explains one image: writes its files and its entry of the manifest, also for an error with the
 * image (is_image_error), which is returned. */
cs_status explain_job_image(explain_job *job, const char *image, cs_error *err);

/* Ends the manifest and writes it. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY. */
cs_status explain_job_finish(explain_job *job, cs_error *err);

/* Frees all but the folder. */
void explain_job_free(explain_job *job);

#endif
