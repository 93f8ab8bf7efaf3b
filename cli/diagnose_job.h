/* diagnose_job.h - diagnosing a list of images: each by itself on one of several threads, committed
 * in order, then summed up. */
#ifndef CLI_DIAGNOSE_JOB_H
#define CLI_DIAGNOSE_JOB_H

#include "class_choice.h"
#include "common.h"
#include "diagnose_list.h"
#include "diagnose_records.h"
#include "diagnose_roi.h"
#include "output_folder.h"
#include "progress.h"

#include <pthread.h>

typedef struct diagnose_job {
    const cli_common *common;
    const char *model_path, *source, *class_text, *roi_text, *roi_shape, *target_text;
    bool has_changes, figures, resume;
    uint64_t seed;
    cs_cam_options what;
    cs_run_options how; /* of the workers: one thread each */
    int threads;
    char layer[VISIBLE_SIZE];
    class_choice choice;
    int64_t rows_per_image;
    cs_model *model;
    cs_run *like;  /* for the nulls: all threads; tells the machine to the manifest */
    cs_font *font; /* with `figures`, under `drawing` */
    pthread_mutex_t drawing;
    diagnose_list list;
    diagnose_roi roi;
    cs_map_regions regions; /* with the shared region of interest, if there is one */
    cs_null_set nulls;
    output_folder folder;
    diagnose_records records;
    bool taken_up;   /* the folder is that of an earlier run */
    int64_t resumed; /* records that were there */
    void *record;    /* the one that diagnosis.image gave last */
    cs_tensor *maps;
    progress bar;
    double null_seconds, image_seconds, summary_seconds;
    cs_diagnosis diagnosis;
} diagnose_job;

/* Opens everything, makes or takes up the folder, makes the nulls. Errors: everything. */
cs_status diagnose_begin(diagnose_job *job, const char *output, cs_error *err);

/* Diagnoses the images that have no record yet. Errors: those that end all work; of CS_OK, records
 * are complete. */
cs_status diagnose_images(diagnose_job *job, cs_error *err);

/* Sums up into job->diagnosis and writes all files, the manifest last. */
cs_status diagnose_finish(diagnose_job *job, cs_error *err);

/* Frees all but the folder. */
void diagnose_free(diagnose_job *job);

/* ------------------------------------------------------------------ its parts ------------ */

/* A cs_stop.function whose state is the job's bar: shows how far the work is; true after a signal.
 */
bool diagnose_stop(void *state, int64_t done, int64_t total);

/* Makes job->like, job->regions and job->nulls (diagnose_null.c); part of diagnose_begin. */
cs_status diagnose_make_nulls(diagnose_job *job, cs_error *err);

/* One thread's runs and memory (diagnose_worker.c). */
typedef struct diagnose_worker {
    diagnose_job *job;
    cs_run *explain, *change;
    cs_tensor mirrored;
    int64_t *classes;
    cs_cam *cams;
} diagnose_worker;

/* Makes the runs; call it on one thread for all workers. Errors: as cs_run_prepare. */
cs_status diagnose_worker_open(diagnose_worker *worker, diagnose_job *job, cs_error *err);
void diagnose_worker_close(diagnose_worker *worker);

/* Fills the record of entry `index`, also for an error with the image, which is not returned. */
cs_status diagnose_worker_image(diagnose_worker *worker, int64_t index, void *record,
                                cs_error *err);

/* Writes predictions.csv, diagnosis.csv and cams.npy (diagnose_output.c), diagnosis.json
 * (diagnose_json.c) and manifest.json into the partial folder. */
cs_status diagnose_write_tables(diagnose_job *job, cs_error *err);
cs_status diagnose_write_json(diagnose_job *job, cs_error *err);
cs_status diagnose_write_manifest(diagnose_job *job, cs_error *err);

/* Opens a new file in the partial folder; closes it, with an error where not all could be written.
 */
cs_status diagnose_file_open(const diagnose_job *job, const char *name, FILE **file, cs_error *err);
cs_status diagnose_file_close(FILE *file, const char *name, cs_error *err);

#endif
