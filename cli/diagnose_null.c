/* diagnose_null.c - the nulls of a diagnosis, measured in the regions that the images are measured
 * in. */
#include "diagnose_job.h"
#include "interrupt.h"

bool diagnose_stop(void *state, int64_t done, int64_t total) {
    progress_work(state, done, total);
    return interrupt_pending(NULL);
}

/* The regions of interest of images, evenly over the list, where each image has its own. */
typedef struct null_places {
    diagnose_job *job;
    cs_map_regions own; /* of the last null map, where it has one */
} null_places;

/* The mask of an image of the list; none where it has none, or what it takes cannot be read: that
 * is reported when the image's turn comes. */
static cs_status mask_of(const diagnose_job *job, const diagnose_entry *entry, cs_tensor *mask,
                         cs_error *err) {
    cs_input input = {0};
    bool owned = false;
    cs_status status = entry->status;
    if (status == CS_OK && job->roi.boxes.text) /* boxes are in pixels of the file */
        status = cs_input_load(entry->path, cs_model_preprocess(job->model), NULL, &input, err);
    if (status == CS_OK)
        status = diagnose_roi_mask(&job->roi, entry->file, &input, mask, &owned, err);
    cs_input_free(&input);
    return is_image_error(status) || entry->status != CS_OK ? CS_OK : status;
}

/* cs_null_places.function */
static cs_status give_place(void *state, int64_t index, int64_t count,
                            const cs_map_regions **regions, cs_error *err) {
    null_places *places = state;
    const diagnose_job *job = places->job;
    const cs_preprocess *p = cs_model_preprocess(job->model);
    const diagnose_layout *l = &job->records.layout;
    const int64_t images = job->list.count;
    cs_tensor mask = {0};
    *regions = &job->regions;
    if (!job->roi.text || job->roi.shared.data || images == 0)
        return CS_OK;
    const int64_t image = images < count ? index % images : index * images / count;
    CS_TRY(mask_of(job, &job->list.entries[image], &mask, err));
    if (!mask.data)
        return CS_OK;
    cs_map_regions_free(&places->own);
    cs_status status = cs_map_regions_make(l->map_rows, l->map_columns, p->height, p->width, &mask,
                                           &places->own, err);
    cs_tensor_release(&mask);
    *regions = &places->own;
    return status;
}

cs_status diagnose_make_nulls(diagnose_job *job, cs_error *err) {
    const cs_preprocess *p = cs_model_preprocess(job->model);
    const diagnose_layout *l = &job->records.layout;
    const double start = cs_seconds();
    null_places own = {.job = job};
    const cs_null_places places = {give_place, &own, job->roi.text && !job->roi.shared.data};
    cs_run_options how = job->how;
    how.threads = (int)job->common->threads;
    CS_TRY(cs_run_create(job->model, &how, &job->like, err));
    job->threads = cs_run_threads(job->like);
    CS_TRY(cs_map_regions_make(l->map_rows, l->map_columns, p->height, p->width,
                               job->roi.shared.data ? &job->roi.shared : NULL, &job->regions, err));
    progress_begin_work(&job->bar, job->common->quiet);
    cs_status status = cs_null_set_make(job->like, job->model, &job->what, &places, job->seed,
                                        (cs_stop){diagnose_stop, &job->bar}, &job->nulls, err);
    progress_clear(&job->bar);
    cs_map_regions_free(&own.own);
    job->null_seconds = cs_seconds() - start;
    return status;
}
