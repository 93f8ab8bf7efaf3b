/* diagnose_job.c - the images on several threads, their records in order; what begins and ends
 * it. */
#include "diagnose_job.h"
#include "interrupt.h"

#include <limits.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STATE_FILE "records/state.txt"

/* ------------------------------------------------------------------ beginning ------------ */

static cs_status read_options(diagnose_job *job, cs_error *err) {
    int node = 0;
    int64_t chw[3];
    CS_TRY(cs_cam_layer(job->model, &job->what, job->layer, sizeof job->layer, err));
    CS_TRY(cs_model_find_node(job->model, job->layer, &node, NULL, 0, err));
    CS_TRY(cs_model_node_shape(job->model, node, 0, 0, chw, err));
    job->what.layer = job->layer;
    CS_CHECK(chw[1] > 1 && chw[2] > 1, CS_ERROR_ARGUMENT,
             "%s has %lld x %lld cells: its map cannot tell places apart; give an earlier --layer",
             job->layer, (long long)chw[1], (long long)chw[2]);
    CS_TRY(cs_target_parse(job->model, job->target_text, &job->what.target, err));
    CS_TRY(class_choice_parse(job->model, job->class_text, &job->choice, err));
    int64_t classes = cs_model_class_count(job->model), rows = 1;
    if (job->choice.all)
        rows = classes;
    else if (job->choice.top > 0)
        rows = job->choice.top < classes ? job->choice.top : classes;
    job->rows_per_image = rows;
    job->records.layout = diagnose_layout_make(classes, rows, chw[1], chw[2], job->how.dtype);
    job->record = calloc(1, job->records.layout.size);
    job->maps = calloc((size_t)rows, sizeof *job->maps);
    CS_CHECK(job->record && job->maps, CS_ERROR_MEMORY, "out of memory");
    return job->figures ? cs_font_open(NULL, &job->font, err) : CS_OK;
}

/* Everything that decides about results, one line each: what --resume compares. */
static cs_status make_state(const diagnose_job *job, char **text, cs_error *err) {
    char list[CS_SHA256_HEX_SIZE], roi[CS_SHA256_HEX_SIZE], target[32];
    size_t size = 0;
    CS_TRY(diagnose_list_sha256(&job->list, list, err));
    CS_TRY(diagnose_roi_sha256(&job->roi, roi, err));
    cs_target_print(&job->what.target, target);
    FILE *file = open_text(text, &size);
    CS_CHECK(file, CS_ERROR_MEMORY, "out of memory");
    /* Of so many values glibc allocates, and a failure is in fprintf's result alone. */
    const int printed = fprintf(
        file,
        "cnnscope: %s\nmodel: %s\nweights: %s\nimages: %s\nmethod: %s\nlayer: %s\nclass: %s\n"
        "target: %s\nregion of interest: %s\nmask: %s\ncounterfactuals: %s\nfigures: %s\n"
        "seed: %" PRIu64 "\nengine: %s\ntype: %s\nrecord: %zu\n",
        CNNSCOPE_VERSION, cs_model_manifest_sha256(job->model), cs_model_binary_sha256(job->model),
        list, job->what.method, job->layer, job->class_text, target,
        job->roi_text ? job->roi_text : "none", roi, job->has_changes ? "on" : "off",
        job->figures ? "on" : "off", job->seed, engine_name(job->how.engine),
        cs_dtype_name(job->how.dtype), job->records.layout.size);
    cs_status status = close_text(file, err);
    if (status == CS_OK && printed < 0)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    if (status != CS_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}

/* The first line in which two states differ, as "class: 1"; false where they are the same. */
static bool first_difference(const char *mine, const char *theirs, char *line, size_t size) {
    while (*mine && *theirs) {
        size_t a = strcspn(mine, "\n"), b = strcspn(theirs, "\n");
        if (a != b || memcmp(mine, theirs, a) != 0) {
            snprintf(line, size, "it has \"%.*s\" where this run has \"%.*s\"", (int)b, theirs,
                     (int)a, mine);
            return true;
        }
        mine += a + (mine[a] == '\n');
        theirs += b + (theirs[b] == '\n');
    }
    snprintf(line, size, "its description ends early");
    return *mine || *theirs;
}

/* Takes up the newest folder that agrees; *found false where there is none at all. */
static cs_status take_up(diagnose_job *job, const char *output, const char *state, bool *found,
                         cs_error *err) {
    char path[PATH_MAX], file[PATH_MAX], why[512] = "", first[PATH_MAX] = "", line[512];
    *found = false;
    for (int i = 0;; i++) {
        char *theirs = NULL;
        size_t size = 0;
        CS_TRY(output_folder_find_partial(output, STATE_FILE, i, path, err));
        if (!path[0])
            break;
        snprintf(file, sizeof file, "%.*s/" STATE_FILE, PATH_MAX - 32, path);
        CS_TRY(cs_file_read(file, 1 << 20, &theirs, &size, err));
        bool differs = first_difference(state, theirs, line, sizeof line);
        free(theirs);
        if (!differs) {
            *found = true;
            return output_folder_adopt(&job->folder, output, path, err);
        }
        if (!first[0]) {
            memcpy(first, path, sizeof path);
            memcpy(why, line, sizeof line);
        }
    }
    if (!first[0])
        return CS_OK;
    return cs_error_set(err, CS_ERROR_ARGUMENT, first, -1,
                        "%s cannot be resumed: %s; run with the same options, or without --resume",
                        first, why);
}

static cs_status open_folder(diagnose_job *job, const char *output, cs_error *err) {
    char *state = NULL, path[PATH_MAX];
    bool found = false;
    const diagnose_layout layout = job->records.layout;
    CS_TRY(make_state(job, &state, err));
    cs_status status = job->resume ? take_up(job, output, state, &found, err) : CS_OK;
    if (status == CS_OK && !found) {
        status = output_folder_open(&job->folder, output, err);
        if (status == CS_OK)
            status = output_folder_make(&job->folder, "records", err);
        if (status == CS_OK && job->figures)
            status = output_folder_make(&job->folder, "figures", err);
        if (status == CS_OK)
            status = output_folder_path(&job->folder, path, err, STATE_FILE);
        if (status == CS_OK)
            status = cs_file_write(path, state, strlen(state), err);
        if (status == CS_OK && job->resume && !job->common->quiet)
            fprintf(stderr, "cnnscope diagnose: there is nothing to resume; from the beginning\n");
    }
    free(state);
    CS_TRY(status);
    job->taken_up = found;
    CS_TRY(output_folder_path(&job->folder, path, err, "records/records.bin"));
    CS_TRY(diagnose_records_open(&job->records, path, &layout, err));
    job->resumed = job->records.count;
    return CS_OK;
}

cs_status diagnose_begin(diagnose_job *job, const char *output, cs_error *err) {
    job->records.file = -1;
    pthread_mutex_init(&job->drawing, NULL);
    CS_TRY(read_run_options(job->common, &job->how, err));
    CS_TRY(open_model(job->common, job->model_path, &job->model, err));
    CS_TRY(read_options(job, err));
    CS_TRY(diagnose_roi_open(&job->roi, job->model, job->roi_text, job->roi_shape, err));
    CS_TRY(diagnose_list_read(&job->list, job->model, job->source, err));
    CS_TRY(open_folder(job, output, err));
    return diagnose_make_nulls(job, err);
}

/* ------------------------------------------------------------------ images --------------- */

/* A finished record that waits for its turn. */
typedef struct finished {
    void *record;
    bool full;
} finished;

typedef struct crew {
    diagnose_job *job;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t next, committed, window;
    finished *slots; /* image i in slot i % window */
    bool stop;
    cs_status status; /* the first error that ends the work */
    cs_error err;
} crew;

typedef struct member {
    diagnose_worker worker;
    crew *crew;
    pthread_t thread;
    bool started;
} member;

static void *work(void *argument) {
    member *m = argument;
    crew *c = m->crew;
    cs_error err;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->stop && c->next < c->job->list.count && c->next - c->committed >= c->window)
            pthread_cond_wait(&c->changed, &c->lock);
        if (c->stop || c->next >= c->job->list.count)
            break;
        int64_t index = c->next++;
        finished *slot = &c->slots[index % c->window];
        pthread_mutex_unlock(&c->lock);
        cs_status status = diagnose_worker_image(&m->worker, index, slot->record, &err);
        pthread_mutex_lock(&c->lock);
        slot->full = status == CS_OK;
        if (status != CS_OK && c->status == CS_OK) {
            c->status = status;
            c->err = err;
        }
        c->stop = c->stop || status != CS_OK;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Appends the records that are next in order; called with the lock held. */
static void commit(crew *c) {
    finished *slot = &c->slots[c->committed % c->window];
    while (c->status == CS_OK && c->committed < c->job->list.count && slot->full) {
        pthread_mutex_unlock(&c->lock);
        cs_error err;
        cs_status status = diagnose_records_append(&c->job->records, slot->record, &err);
        pthread_mutex_lock(&c->lock);
        if (status != CS_OK) {
            c->status = status;
            c->err = err;
            c->stop = true;
            break;
        }
        slot->full = false;
        c->committed++;
        pthread_cond_broadcast(&c->changed);
        slot = &c->slots[c->committed % c->window];
    }
}

static void oversee(crew *c) {
    diagnose_job *job = c->job;
    pthread_mutex_lock(&c->lock);
    while (!c->stop && c->committed < job->list.count) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100 * 1000 * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (!c->slots[c->committed % c->window].full)
            pthread_cond_timedwait(&c->changed, &c->lock, &until);
        commit(c);
        c->stop = c->stop || interrupt_pending(NULL);
        progress_images(&job->bar, c->committed, job->list.count, job->resumed);
    }
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static cs_status start_crew(crew *c, member *members, int count, cs_error *err) {
    const size_t size = c->job->records.layout.size;
    c->slots = calloc((size_t)c->window, sizeof *c->slots);
    CS_CHECK(c->slots, CS_ERROR_MEMORY, "out of memory");
    for (int64_t i = 0; i < c->window; i++) {
        c->slots[i].record = malloc(size);
        CS_CHECK(c->slots[i].record, CS_ERROR_MEMORY, "no memory for records of %zu bytes", size);
    }
    for (int i = 0; i < count; i++) {
        members[i].crew = c;
        CS_TRY(diagnose_worker_open(&members[i].worker, c->job, err));
    }
    for (int i = 0; i < count; i++) {
        int failed = pthread_create(&members[i].thread, NULL, work, &members[i]);
        CS_CHECK(!failed, CS_ERROR_MEMORY, "cannot start a thread: %s", strerror(failed));
        members[i].started = true;
    }
    return CS_OK;
}

cs_status diagnose_images(diagnose_job *job, cs_error *err) {
    double start = cs_seconds();
    int64_t left = job->list.count - job->records.count;
    int count = job->threads < left ? job->threads : (int)left;
    if (count < 1)
        return CS_OK;
    crew c = {.job = job, .next = job->records.count, .committed = job->records.count};
    c.window = 4 * count;
    member *members = calloc((size_t)count, sizeof *members);
    CS_CHECK(members, CS_ERROR_MEMORY, "out of memory");
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.changed, NULL);
    progress_begin_work(&job->bar, job->common->quiet);
    cs_status status = start_crew(&c, members, count, err);
    if (status == CS_OK)
        oversee(&c);
    pthread_mutex_lock(&c.lock);
    c.stop = c.stop || status != CS_OK;
    pthread_cond_broadcast(&c.changed);
    pthread_mutex_unlock(&c.lock);
    for (int i = 0; i < count; i++) {
        if (members[i].started)
            pthread_join(members[i].thread, NULL);
        diagnose_worker_close(&members[i].worker);
    }
    pthread_mutex_lock(&c.lock);
    if (status == CS_OK)
        commit(&c);
    pthread_mutex_unlock(&c.lock);
    progress_clear(&job->bar);
    for (int64_t i = 0; c.slots && i < c.window; i++)
        free(c.slots[i].record);
    free(c.slots);
    free(members);
    job->image_seconds = cs_seconds() - start;
    CS_TRY(status);
    if (c.status != CS_OK && err)
        *err = c.err;
    CS_TRY(c.status);
    return interrupt_check(err);
}

/* ------------------------------------------------------------------ ending --------------- */

/* cs_diagnosis.image: from the record and the list. */
static cs_status give_image(void *state, int64_t index, cs_diagnosis_image *image, cs_error *err) {
    diagnose_job *job = state;
    const diagnose_layout *l = &job->records.layout;
    const diagnose_entry *e = &job->list.entries[index];
    const diagnose_head *head = job->record;
    const char *bytes = job->record;
    CS_TRY(diagnose_records_read(&job->records, index, job->record, err));
    for (int64_t i = 0; i < l->rows; i++)
        job->maps[i] = diagnose_record_map(l, job->record, i);
    *image = (cs_diagnosis_image){.index = index,
                                  .file = e->file,
                                  .path = e->path,
                                  .patient = e->patient,
                                  .patient_index = e->patient_index,
                                  .columns = e->columns,
                                  .label = e->label,
                                  .predicted = head->predicted,
                                  .status = (cs_status)head->status,
                                  .message = head->message,
                                  .width = head->width,
                                  .height = head->height,
                                  .sha256 = head->sha256,
                                  .logits = (const double *)(const void *)(bytes + l->logits),
                                  .probabilities =
                                      (const double *)(const void *)(bytes + l->probabilities),
                                  .rows = (const cs_diagnosis_row *)(const void *)(bytes + l->row),
                                  .maps = job->maps,
                                  .row_count = head->row_count};
    return CS_OK;
}

/* cs_diagnosis.region: boxes need no more of the image than its size. */
static cs_status give_region(void *state, const cs_diagnosis_image *image, cs_tensor *mask,
                             cs_error *err) {
    const diagnose_job *job = state;
    const cs_input input = {.original_width = image->width, .original_height = image->height};
    cs_tensor found = {0};
    bool owned = false;
    CS_TRY(diagnose_roi_mask(&job->roi, image->file, &input, &found, &owned, err));
    if (owned || !found.data) {
        *mask = found;
        return CS_OK;
    }
    CS_TRY(cs_tensor_allocate(mask, found.dtype, 1, 1, found.h, found.w, err));
    memcpy(mask->data, found.data, (size_t)cs_tensor_count(&found) * cs_dtype_size(found.dtype));
    return CS_OK;
}

static cs_status summarise(diagnose_job *job, cs_error *err) {
    cs_diagnosis *d = &job->diagnosis;
    *d = (cs_diagnosis){.model = job->model,
                        .model_path = job->model_path,
                        .source = job->source,
                        .method = job->what.method,
                        .layer = job->layer,
                        .target = job->target_text,
                        .class_text = job->class_text,
                        .roi = job->roi_text,
                        .roi_is_template = job->roi.is_template,
                        .has_changes = job->has_changes,
                        .seed = job->seed,
                        .map_rows = job->records.layout.map_rows,
                        .map_columns = job->records.layout.map_columns,
                        .columns = (const char *const *)job->list.columns,
                        .column_count = job->list.column_count,
                        .patient_count = job->list.patient_count,
                        .by_patient = job->list.patient_count > 0,
                        .image_count = job->list.count,
                        .confusion_classes =
                            job->list.labelled > 0 ? cs_model_class_count(job->model) : 0,
                        .nulls = &job->nulls,
                        .image = give_image,
                        .region = give_region,
                        .image_state = job};
    double start = cs_seconds();
    progress_begin_work(&job->bar, job->common->quiet);
    cs_status status = cs_diagnosis_summarise(d, (cs_stop){diagnose_stop, &job->bar}, err);
    progress_clear(&job->bar);
    job->summary_seconds = cs_seconds() - start;
    return status;
}

static cs_status write_report(diagnose_job *job, cs_error *err) {
    char folder[PATH_MAX];
    CS_TRY(output_folder_path(&job->folder, folder, err, "."));
    return cs_diagnosis_write_report(&job->diagnosis, folder, err);
}

cs_status diagnose_finish(diagnose_job *job, cs_error *err) {
    CS_TRY(summarise(job, err));
    CS_TRY(diagnose_write_tables(job, err));
    CS_TRY(diagnose_write_json(job, err));
    CS_TRY(write_report(job, err));
    CS_TRY(interrupt_check(err));
    return diagnose_write_manifest(job, err);
}

void diagnose_free(diagnose_job *job) {
    cs_diagnosis_free_summary(&job->diagnosis);
    diagnose_records_close(&job->records);
    cs_null_set_free(&job->nulls);
    cs_map_regions_free(&job->regions);
    diagnose_roi_free(&job->roi);
    diagnose_list_free(&job->list);
    free(job->record);
    free(job->maps);
    cs_font_free(job->font);
    cs_run_free(job->like);
    cs_model_free(job->model);
    pthread_mutex_destroy(&job->drawing);
}
