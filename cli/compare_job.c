#include "compare_job.h"
#include "compare_figure.h"
#include "interrupt.h"
#include "prediction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SCORER_BATCH = 8 };

static bool stop_work(void *state, int64_t done, int64_t total) {
    progress_work(state, done, total);
    return interrupt_pending(NULL);
}

/* ------------------------------------------------------------------ methods -------------- */

/* "METHOD" or "METHOD:VARIANT". */
static cs_status read_method(const compare_job *job, const char *word, compare_method *m,
                             cs_error *err) {
    char name[64];
    const char *colon = strchr(word, ':');
    snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - word) : (int)strlen(word), word);
    CS_TRY(cs_cam_method_find(name, &m->info, err));
    m->what = job->options;
    m->what.method = m->info->name;
    CS_TRY(cs_cam_variant_find(m->info, colon ? colon + 1 : NULL, &m->what.variant, err));
    if (!m->info->has_channels)
        m->what.max_channels = 0;
    if (!m->info->has_steps)
        m->what.steps = 0;
    m->what.layer = m->info->at_input ? NULL : job->layer;
    const char *variant = m->what.variant == m->info->variants[0] ? NULL : m->what.variant;
    snprintf(m->label, sizeof m->label, "%s%s%s", m->info->name, variant ? ":" : "",
             variant ? variant : "");
    snprintf(m->title, sizeof m->title, "%s%s%s%s", m->info->title, variant ? " (" : "",
             variant ? variant : "", variant ? ")" : "");
    return cs_cam_layer(job->model, &m->what, m->layer, sizeof m->layer, err);
}

/* The control has the size of the layer that maps are usually made at. */
static cs_status add_control(compare_job *job, cs_error *err) {
    compare_method *m = &job->methods[job->method_count++];
    snprintf(m->label, sizeof m->label, "random");
    snprintf(m->title, sizeof m->title, "Random (control)");
    m->what = (cs_cam_options)CS_CAM_OPTIONS_DEFAULT;
    m->what.layer = job->layer;
    return cs_cam_layer(job->model, &m->what, m->layer, sizeof m->layer, err);
}

static cs_status read_methods(compare_job *job, const char *text, cs_error *err) {
    char all[256] = "";
    word_list list = {0};
    for (int i = 0; cs_cam_method_get(i) && strcmp(text, "all") == 0; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? "," : "", cs_cam_method_get(i)->name);
    }
    CS_TRY(word_list_split(&list, all[0] ? all : text, err));
    job->methods = calloc((size_t)list.count + 1, sizeof *job->methods);
    cs_status status = CS_OK;
    if (!job->methods)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    for (int64_t i = 0; i < list.count && status == CS_OK; i++) {
        compare_method *m = &job->methods[job->method_count++];
        status = read_method(job, list.words[i], m, err);
        for (int64_t j = 0; j < i && status == CS_OK; j++)
            if (strcmp(job->methods[j].label, m->label) == 0)
                status =
                    cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1, "%s is listed twice", m->label);
    }
    word_list_free(&list);
    return status == CS_OK ? add_control(job, err) : status;
}

/* Refuses, before any work, what a method would refuse later. */
static cs_status check_methods(const compare_job *job, cs_error *err) {
    for (int64_t i = 0; i < job->method_count; i++) {
        cs_run *run = NULL;
        CS_TRY(cs_run_create_like(job->scorer, 1, NULL, &run, err));
        cs_status status = cs_cam_watch(run, job->model, &job->methods[i].what, err);
        cs_run_free(run);
        CS_TRY(status);
    }
    return CS_OK;
}

cs_status compare_begin(compare_job *job, const char *methods, int64_t images, cs_error *err) {
    struct stat info;
    CS_TRY(read_run_options(job->common, &job->how, err));
    CS_TRY(open_model(job->common, job->model_path, &job->model, err));
    CS_TRY(cs_target_parse(job->model, job->target_text, &job->options.target, err));
    CS_TRY(cs_class_parse(job->model, job->class_text, &job->class_index, err));
    job->options.stop = job->measures.stop = stop_work;
    job->options.stop_state = job->measures.stop_state = &job->bar;
    CS_TRY(read_methods(job, methods, err));
    if (job->masks && stat(job->masks, &info) != 0)
        return cs_error_set(err, CS_ERROR_IO, job->masks, -1, "%s: no such file or folder",
                            job->masks);
    CS_TRY(cs_font_open(job->font_path, &job->font, err));
    job->images = calloc((size_t)images, sizeof *job->images);
    CS_CHECK(job->images, CS_ERROR_MEMORY, "out of memory");
    job->how.max_batch = job->measures.batch =
        job->options.batch ? job->options.batch : SCORER_BATCH;
    CS_TRY(cs_run_create(job->model, &job->how, &job->scorer, err));
    CS_TRY(cs_run_prepare(job->scorer, err));
    return check_methods(job, err);
}

/* ------------------------------------------------------------------ one map -------------- */

/* A map of uniform random numbers, another one for each image. */
static cs_status make_control(const compare_job *job, const compare_method *m, cs_cam *cam,
                              cs_error *err) {
    int node = 0;
    int64_t chw[3];
    CS_TRY(cs_model_find_node(job->model, m->layer, &node, NULL, 0, err));
    CS_TRY(cs_model_node_shape(job->model, node, 0, 0, chw, err));
    CS_TRY(cs_tensor_allocate(&cam->raw, job->how.dtype, 1, 1, chw[1], chw[2], err));
    cs_random random = {(uint64_t)job->seed + (uint64_t)job->image_count};
    for (int64_t i = 0; i < chw[1] * chw[2]; i++)
        cs_tensor_set(&cam->raw, 0, 0, i / chw[2], i % chw[2], cs_random_uniform(&random));
    cam->max = 1.0;
    return CS_OK;
}

/* The map by a run of its own, so that each method has what it needs and nothing else. */
static cs_status make_map(compare_job *job, const compare_method *m, const cs_input *input,
                          int64_t class_index, compare_result *r, cs_error *err) {
    cs_run *run = NULL;
    CS_TRY(cs_run_create_like(job->scorer, 1, NULL, &run, err));
    cs_status status = cs_cam_watch(run, job->model, &m->what, err);
    if (status == CS_OK)
        status = cs_run_prepare(run, err);
    double start = cs_seconds();
    if (status == CS_OK)
        status = cs_run_forward(run, &input->tensor, err);
    if (status == CS_OK)
        status =
            cs_cam_compute_classes(run, job->model, &m->what, 0, &class_index, 1, &r->cam, err);
    r->seconds = cs_seconds() - start;
    r->forward_images = 1 + r->cam.forward_images;
    r->backward_images = r->cam.backward_images;
    r->bytes = cs_run_memory_used(run).arena + r->cam.own_bytes;
    cs_run_free(run);
    return status;
}

/* The mask of an image: one for all, or FOLDER/STEM.png. */
static cs_status measure_place(const compare_job *job, const compare_image *image,
                               compare_result *r, cs_error *err) {
    char path[PATH_MAX], stem[NAME_MAX + 1];
    struct stat info;
    const cs_preprocess *p = cs_model_preprocess(job->model);
    const char *name = base_name(image->path), *dot = strrchr(name, '.');
    snprintf(stem, sizeof stem, "%.*s", dot && dot != name ? (int)(dot - name) : NAME_MAX, name);
    snprintf(path, sizeof path, "%s", job->masks);
    if (stat(job->masks, &info) == 0 && S_ISDIR(info.st_mode)) {
        snprintf(path, sizeof path, "%.*s/%s.png", PATH_MAX - NAME_MAX - 8, job->masks, stem);
        if (stat(path, &info) != 0)
            return CS_OK; /* not every image has a mask */
    }
    cs_tensor mask = {0};
    CS_TRY(cs_mask_load(path, p->width, p->height, &mask, err));
    cs_status status = cs_localisation_measure(&r->cam.raw, &mask, &r->place, err);
    r->has_place = status == CS_OK;
    cs_tensor_release(&mask);
    return status == CS_ERROR_ARGUMENT ? cs_error_set(err, CS_ERROR_FORMAT, path, -1,
                                                      "%s: the mask is black everywhere", path)
                                       : status;
}

static cs_status compare_map(compare_job *job, const compare_method *m, const compare_image *image,
                             const cs_input *input, compare_result *r, cs_error *err) {
    progress_begin_work(&job->bar, job->common->quiet);
    job->bar.label = m->label;
    CS_TRY(m->info ? make_map(job, m, input, image->class_index, r, err)
                   : make_control(job, m, &r->cam, err));
    CS_TRY(cs_faithfulness_measure(job->scorer, &input->tensor, &r->cam.raw, image->class_index,
                                   &job->measures, &r->faith, err));
    if (job->masks)
        CS_TRY(measure_place(job, image, r, err));
    if (job->wants_sanity && m->info) {
        CS_TRY(cs_sanity_measure(job->scorer, job->model, &input->tensor, &m->what, &r->cam,
                                 (uint64_t)job->seed, &r->sanity, err));
        r->has_sanity = true;
    }
    return CS_OK;
}

/* ------------------------------------------------------------------ one image ------------ */

static void free_results(compare_image *image, int64_t count) {
    for (int64_t i = 0; image->results && i < count; i++) {
        cs_cam_free(&image->results[i].cam);
        cs_faithfulness_free(&image->results[i].faith);
        cs_sanity_free(&image->results[i].sanity);
    }
    free(image->results);
    image->results = NULL;
}

static cs_status predict(compare_job *job, const cs_input *input, compare_image *image,
                         cs_error *err) {
    prediction p = {0};
    CS_TRY(cs_run_forward(job->scorer, &input->tensor, err));
    CS_TRY(prediction_make(&p, job->model, job->scorer, err));
    cs_status status = p.status;
    if (status != CS_OK) {
        prediction_numeric_error(&p, image->path, err);
    } else {
        image->predicted_index = p.class_index;
        image->class_index = job->class_index == CS_CLASS_ARGMAX ? p.class_index : job->class_index;
        image->probability = p.probabilities[image->class_index];
    }
    prediction_free(&p);
    return status;
}

static cs_status compare_all(compare_job *job, compare_image *image, cs_error *err) {
    cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
    cs_input input = {0};
    how.dtype = job->how.dtype;
    CS_TRY(cs_input_load(image->path, cs_model_preprocess(job->model), &how, &input, err));
    memcpy(image->sha256, input.sha256, sizeof image->sha256);
    cs_status status = predict(job, &input, image, err);
    image->results = calloc((size_t)job->method_count, sizeof *image->results);
    if (status == CS_OK && !image->results)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    for (int64_t i = 0; i < job->method_count && status == CS_OK; i++) {
        status = interrupt_check(err);
        if (status == CS_OK)
            status = compare_map(job, &job->methods[i], image, &input, &image->results[i], err);
        progress_clear(&job->bar);
    }
    if (status == CS_ERROR_INTERRUPTED)
        interrupt_check(err);
    if (status == CS_OK && job->folder.partial[0])
        status = compare_figure_write(job, image, &input, err);
    cs_input_free(&input);
    return status;
}

cs_status compare_one(compare_job *job, const char *path, cs_error *err) {
    compare_image *image = &job->images[job->image_count];
    image->path = strdup(path);
    CS_CHECK(image->path, CS_ERROR_MEMORY, "out of memory");
    job->image_count++;
    image->status = compare_all(job, image, err);
    if (image->status != CS_OK) {
        free_results(image, job->method_count);
        snprintf(image->message, sizeof image->message, "%s", err->text);
        return image->status;
    }
    for (int64_t i = 0; i < job->method_count; i++) { /* the maps are written; of many images */
        cs_tensor_release(&image->results[i].cam.raw);
        cs_tensor_release(&image->results[i].cam.signed_map);
    }
    return CS_OK;
}

void compare_free(compare_job *job) {
    for (int64_t i = 0; i < job->image_count; i++) {
        free_results(&job->images[i], job->method_count);
        free(job->images[i].path);
    }
    free(job->images);
    free(job->methods);
    cs_font_free(job->font);
    cs_run_free(job->scorer);
    cs_model_free(job->model);
}
