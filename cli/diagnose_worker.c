/* diagnose_worker.c - the work of one image, which depends on no other. */
#include "diagnose_job.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4 };

cs_status diagnose_worker_open(diagnose_worker *worker, diagnose_job *job, cs_error *err) {
    const cs_preprocess *p = cs_model_preprocess(job->model);
    cs_run_options how = job->how;
    *worker = (diagnose_worker){.job = job};
    how.threads = 1;
    how.max_batch = 1;
    CS_TRY(cs_run_create(job->model, &how, &worker->explain, err));
    CS_TRY(cs_cam_watch(worker->explain, job->model, &job->what, err));
    CS_TRY(cs_run_prepare(worker->explain, err));
    size_t rows = (size_t)cs_model_class_count(job->model);
    worker->classes = calloc(rows, sizeof *worker->classes);
    worker->cams = calloc(rows, sizeof *worker->cams);
    CS_CHECK(worker->classes && worker->cams, CS_ERROR_MEMORY, "out of memory");
    if (!job->has_changes)
        return CS_OK;
    how.max_batch = BATCH;
    CS_TRY(cs_tensor_allocate(&worker->mirrored, job->how.dtype, 1, p->channels, p->height,
                              p->width, err));
    CS_TRY(cs_run_create(job->model, &how, &worker->change, err));
    return cs_run_prepare(worker->change, err);
}

void diagnose_worker_close(diagnose_worker *worker) {
    cs_run_free(worker->explain);
    cs_run_free(worker->change);
    cs_tensor_release(&worker->mirrored);
    free(worker->classes);
    free(worker->cams);
}

/* One image on its way. */
typedef struct image_work {
    const diagnose_entry *entry;
    cs_input input;
    cs_tensor roi;
    bool owns_roi;
    const cs_map_regions *regions;
    cs_map_regions own_regions;
    diagnose_head *head;
    double *logits, *probabilities;
    cs_diagnosis_row *rows;
    void *record;
} image_work;

/* The forward pass: logits and classes into the record. */
static cs_status predict(diagnose_worker *w, image_work *image, cs_error *err) {
    cs_tensor logits;
    const char *where = NULL;
    CS_TRY(cs_run_forward(w->explain, &image->input.tensor, err));
    CS_TRY(cs_run_output(w->explain, &logits, err));
    if (cs_run_status(w->explain, &where) != CS_OK)
        return cs_error_set(err, CS_ERROR_NUMERIC, where, -1,
                            "NaN or infinity, first in %s; its logits mean nothing",
                            where ? where : "the network");
    cs_softmax(&logits, 0, image->probabilities);
    for (int64_t c = 0; c < logits.c; c++)
        image->logits[c] = cs_tensor_at(&logits, 0, c, 0, 0);
    image->head->predicted = cs_class_argmax(&logits, 0);
    image->head->row_count = class_choice_list(&w->job->choice, &logits, 0, w->classes);
    for (int64_t i = 0; i < image->head->row_count; i++) {
        cs_diagnosis_row *row = &image->rows[i];
        row->image = image->head->index;
        row->class_index = w->classes[i];
        row->logit = image->logits[w->classes[i]];
        row->probability = image->probabilities[w->classes[i]];
        row->margin = cs_class_margin(&logits, 0, w->classes[i]);
    }
    return CS_OK;
}

/* Frees what was not yet taken. */
static void free_cams(diagnose_worker *w, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        cs_cam_free(&w->cams[i]);
}

/* FOLDER/figures/<number>-<stem>-class-<K>.png */
static cs_status draw_figure(diagnose_job *job, image_work *image, const cs_cam *cam,
                             cs_error *err) {
    char path[PATH_MAX], predicted[VISIBLE_SIZE], shown[VISIBLE_SIZE];
    const char *name = base_name(image->entry->file), *dot = strrchr(name, '.');
    cs_tensor heat_values = {0};
    cs_image heat = {0}, overlay = {0}, drawn = {0};
    cs_figure figure = {.image = &image->input.display,
                        .heat = &heat,
                        .overlay = &overlay,
                        .title = visible(name, shown),
                        .method = job->what.method,
                        .layer = job->layer,
                        .target = job->target_text,
                        .class_name = cs_model_class_name(job->model, cam->class_index),
                        .predicted_name = cs_model_class_name(job->model, image->head->predicted),
                        .class_index = cam->class_index,
                        .predicted_index = image->head->predicted,
                        .class_probability = image->probabilities[cam->class_index],
                        .predicted_probability = image->probabilities[image->head->predicted],
                        .cam = cam};
    snprintf(predicted, sizeof predicted, "%.*s",
             dot && dot != name ? (int)(dot - name) : (int)strlen(name), shown);
    CS_TRY(output_folder_path(&job->folder, path, err,
                              "figures/%06" PRId64 "-%.100s-class-%" PRId64 ".png",
                              image->head->index + 1, predicted, cam->class_index));
    cs_status status = cs_heatmap_make(&cam->raw, image->input.display.width,
                                       image->input.display.height, &heat_values, err);
    if (status == CS_OK)
        status = cs_heatmap_color(&heat_values, &heat, err);
    if (status == CS_OK)
        status = cs_overlay_make(&image->input.display, &heat, &overlay, err);
    if (status == CS_OK) {
        pthread_mutex_lock(&job->drawing);
        status = cs_figure_draw(&figure, job->font, &drawn, err);
        pthread_mutex_unlock(&job->drawing);
    }
    if (status == CS_OK)
        status = cs_image_write_png(path, &drawn, err);
    cs_tensor_release(&heat_values);
    cs_image_free(&heat);
    cs_image_free(&overlay);
    cs_image_free(&drawn);
    return status;
}

/* Maps of the image's classes: into the record, measured. */
static cs_status measure_maps(diagnose_worker *w, image_work *image, cs_error *err) {
    diagnose_job *job = w->job;
    int64_t count = image->head->row_count;
    cs_status status = cs_cam_compute_classes(w->explain, job->model, &job->what, 0, w->classes,
                                              count, w->cams, err);
    CS_TRY(status);
    for (int64_t i = 0; i < count && status == CS_OK; i++) {
        cs_diagnosis_row *row = &image->rows[i];
        cs_tensor map = diagnose_record_map(&job->records.layout, image->record, i);
        memcpy(map.data, w->cams[i].raw.data, (size_t)(map.h * map.w) * cs_dtype_size(map.dtype));
        row->map_status = (int32_t)w->cams[i].status;
        status = cs_map_statistics(&map, image->regions, row->value, err);
        cs_map_hottest(&map, image->regions, &row->hottest_x, &row->hottest_y);
        cs_map_hottest_of_ring(&map, image->regions, &row->ring_x, &row->ring_y);
        if (status == CS_OK && job->figures)
            status = draw_figure(job, image, &w->cams[i], err);
    }
    free_cams(w, count);
    return status;
}

/* The maps of the mirrored image, for what stays on its side and what follows the content. */
static cs_status measure_mirrored(diagnose_worker *w, image_work *image, cs_error *err) {
    diagnose_job *job = w->job;
    int64_t count = image->head->row_count;
    cs_image_mirror(&image->input.tensor, &w->mirrored);
    w->mirrored.dtype = image->input.tensor.dtype;
    CS_TRY(cs_run_forward(w->explain, &w->mirrored, err));
    if (cs_run_status(w->explain, NULL) != CS_OK)
        return CS_OK;
    CS_TRY(cs_cam_compute_classes(w->explain, job->model, &job->what, 0, w->classes, count, w->cams,
                                  err));
    cs_status status = CS_OK;
    for (int64_t i = 0; i < count && status == CS_OK; i++) {
        double *own = image->rows[i].value, other[CS_STAT_COUNT];
        status = cs_map_statistics(&w->cams[i].raw, image->regions, other, err);
        if (status != CS_OK)
            break;
        own[CS_STAT_LATERALITY_MIRRORED] = other[CS_STAT_LATERALITY_IMAGE];
        own[CS_STAT_POSITION] =
            (own[CS_STAT_LATERALITY_IMAGE] + other[CS_STAT_LATERALITY_IMAGE]) / 2.0;
        own[CS_STAT_CONTENT] =
            (own[CS_STAT_LATERALITY_IMAGE] - other[CS_STAT_LATERALITY_IMAGE]) / 2.0;
    }
    free_cams(w, count);
    return status;
}

/* The seed of an image's changes: of the job and of the file's bytes. */
static uint64_t image_seed(const diagnose_job *job, const char *sha256) {
    char digits[17];
    snprintf(digits, sizeof digits, "%.16s", sha256);
    return job->seed ^ (uint64_t)strtoull(digits, NULL, 16);
}

static cs_status load(diagnose_worker *w, image_work *image, cs_error *err) {
    diagnose_job *job = w->job;
    cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
    how.dtype = job->how.dtype;
    const cs_preprocess *p = cs_model_preprocess(job->model);
    const diagnose_layout *l = &job->records.layout;
    CS_TRY(cs_input_load(image->entry->path, p, &how, &image->input, err));
    image->head->width = image->input.original_width;
    image->head->height = image->input.original_height;
    snprintf(image->head->sha256, sizeof image->head->sha256, "%s", image->input.sha256);
    CS_TRY(diagnose_roi_mask(&job->roi, image->entry->file, &image->input, &image->roi,
                             &image->owns_roi, err));
    image->regions = &job->regions;
    if (!image->owns_roi || !image->roi.data)
        return CS_OK;
    image->regions = &image->own_regions;
    return cs_map_regions_make(l->map_rows, l->map_columns, p->height, p->width, &image->roi,
                               &image->own_regions, err);
}

static cs_status diagnose(diagnose_worker *w, image_work *image, cs_error *err) {
    diagnose_job *job = w->job;
    if (image->entry->status != CS_OK)
        return cs_error_set(err, image->entry->status, image->entry->file, -1,
                            "%s, line %" PRId64 ": the same file stands in an earlier line",
                            job->source, image->entry->line);
    CS_TRY(load(w, image, err));
    CS_TRY(predict(w, image, err));
    CS_TRY(measure_maps(w, image, err));
    if (!job->has_changes)
        return CS_OK;
    CS_TRY(measure_mirrored(w, image, err));
    const cs_changes_options how = {.roi = image->roi.data ? &image->roi : NULL,
                                    .map_columns = job->records.layout.map_columns,
                                    .class_count = cs_model_class_count(job->model),
                                    .batch = BATCH,
                                    .seed = image_seed(job, image->head->sha256)};
    return cs_changes_measure(w->change, &image->input.tensor, &how, image->rows,
                              image->head->row_count, err);
}

/* A record of an image that could not be diagnosed. */
static void clear_record(const diagnose_layout *l, image_work *image) {
    image->head->row_count = 0;
    image->head->predicted = -1;
    for (int64_t c = 0; c < l->classes; c++)
        image->logits[c] = image->probabilities[c] = (double)NAN;
}

cs_status diagnose_worker_image(diagnose_worker *worker, int64_t index, void *record,
                                cs_error *err) {
    const diagnose_layout *l = &worker->job->records.layout;
    memset(record, 0, l->size);
    char *bytes = record;
    image_work image = {.entry = &worker->job->list.entries[index],
                        .head = record,
                        .logits = (double *)(void *)(bytes + l->logits),
                        .probabilities = (double *)(void *)(bytes + l->probabilities),
                        .rows = (cs_diagnosis_row *)(void *)(bytes + l->row),
                        .record = record};
    image.head->index = index;
    cs_status status = diagnose(worker, &image, err);
    image.head->status = (int64_t)status;
    if (status != CS_OK) {
        clear_record(l, &image);
        snprintf(image.head->message, sizeof image.head->message, "%s", err->text);
    }
    cs_input_free(&image.input);
    cs_map_regions_free(&image.own_regions);
    if (image.owns_roi)
        cs_tensor_release(&image.roi);
    return is_image_error(status) ? CS_OK : status;
}
