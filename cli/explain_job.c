#include "explain_job.h"
#include "interrupt.h"
#include "manifest_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One image on its way. */
typedef struct explain_image {
    const char *path;
    cs_input input;
    prediction predicted;
    char folder[NAME_MAX + 1];
    explain_times times;
} explain_image;

/* After each pass of a method that makes many: the bar, and whether to stop. */
static bool stop_passes(void *state, int64_t done, int64_t total) {
    progress_work(state, done, total);
    return interrupt_pending(NULL);
}

static cs_status read_options(explain_job *job, const char *layer, const char *target,
                              cs_error *err) {
    int node = 0;
    int64_t chw[3];
    job->what.layer = layer;
    CS_TRY(cs_cam_layer(job->model, &job->what, job->layer, sizeof job->layer, err));
    CS_TRY(cs_model_find_node(job->model, job->layer, &node, NULL, 0, err));
    job->what.layer = job->layer;
    CS_TRY(cs_model_node_shape(job->model, node, 0, 0, chw, err));
    if (chw[1] == 1 && chw[2] == 1)
        fprintf(stderr,
                "cnnscope explain: warning: %s has 1 x 1 pixels, so its map cannot tell places "
                "apart\n",
                job->layer);
    CS_TRY(cs_target_parse(job->model, target, &job->what.target, err));
    CS_TRY(class_choice_parse(job->model, job->class_text, &job->choice, err));
    CS_TRY(cs_font_open(job->font_path, &job->font, err));
    size_t classes = (size_t)cs_model_class_count(job->model);
    job->classes = calloc(classes, sizeof *job->classes);
    job->cams = calloc(classes, sizeof *job->cams);
    CS_CHECK(job->classes && job->cams, CS_ERROR_MEMORY, "out of memory");
    job->what.stop = stop_passes;
    job->what.stop_state = &job->passes;
    return CS_OK;
}

static cs_status begin_manifest(explain_job *job, cs_error *err) {
    char target[32];
    json_writer *w = &job->manifest;
    w->pretty = true;
    w->file = open_text(&job->manifest_text, &job->manifest_size);
    CS_CHECK(w->file, CS_ERROR_MEMORY, "out of memory");
    put_object(w, NULL);
    put_manifest_head(w, "explain", job->model_path, job->model);
    put_object(w, "options");
    put_text(w, "method", job->what.method);
    put_text(w, "variant", job->what.variant);
    put_text(w, "layer", job->layer);
    if (job->what.max_channels)
        put_integer(w, "max_channels", job->what.max_channels);
    if (job->what.steps)
        put_integer(w, "steps", job->what.steps);
    put_text(w, "class", job->class_text);
    cs_target_print(&job->what.target, target);
    put_text(w, "target", target);
    put_text(w, "engine", engine_name(job->how.engine));
    put_text(w, "dtype", cs_dtype_name(job->how.dtype));
    put_close(w);
    put_array(w, "images");
    return CS_OK;
}

cs_status explain_job_begin(explain_job *job, const char *layer, const char *target,
                            cs_error *err) {
    double start = cs_seconds();
    CS_TRY(read_run_options(job->common, &job->how, err));
    CS_TRY(open_model(job->common, job->model_path, &job->model, err));
    CS_TRY(read_options(job, layer, target, err));
    job->times.load = cs_seconds() - start;
    start = cs_seconds();
    job->how.few_passes = job->one_image && !job->method->many_passes;
    CS_TRY(cs_run_create(job->model, &job->how, &job->run, err));
    CS_TRY(cs_cam_watch(job->run, job->model, &job->what, err));
    CS_TRY(cs_run_prepare(job->run, err));
    job->times.prepare = cs_seconds() - start;
    return begin_manifest(job, err);
}

/* Says on stdout what was found, unless the manifest's JSON is wanted there. */
static void print_class(const explain_job *job, const explain_image *image, const cs_cam *cam,
                        const char *name) {
    char shown[VISIBLE_SIZE], label[CLASS_LABEL_SIZE], predicted[CLASS_LABEL_SIZE];
    const prediction *p = &image->predicted;
    if (job->common->quiet || job->common->json)
        return;
    printf("%s: ", visible(image->path, shown));
    printf("predicted %s, probability %.4f", class_label(job->model, p->class_index, predicted),
           p->probabilities[p->class_index]);
    if (cam->class_index != p->class_index)
        printf("; explained %s, probability %.4f", class_label(job->model, cam->class_index, label),
               p->probabilities[cam->class_index]);
    printf("\n  %s/%s/%s-figure.png\n", visible(job->folder.final, shown), image->folder, name);
}

static void warn_empty(const explain_image *image, const cs_cam *cam, const char *layer) {
    char shown[VISIBLE_SIZE], low[32], high[32];
    fflush(stdout);
    fprintf(stderr,
            "cnnscope explain: %s: class %" PRId64 ": empty map: nothing at %s speaks for this "
            "target (before the ReLU the map is from %s to %s)\n",
            visible(image->path, shown), cam->class_index, layer,
            real_digits(cam->signed_min, cam->raw.dtype, low),
            real_digits(cam->signed_max, cam->raw.dtype, high));
}

static void put_class(const explain_job *job, json_writer *w, const cs_cam *cam, const char *name) {
    cs_dtype dtype = cam->raw.dtype;
    put_object(w, NULL);
    put_integer(w, "class", cam->class_index);
    put_text(w, "name", cs_model_class_name(job->model, cam->class_index));
    put_text(w, "status", cs_cam_status_name(cam->status));
    put_text(w, "files", name);
    put_integer(w, "height", cam->raw.h);
    put_integer(w, "width", cam->raw.w);
    put_real(w, "min", cam->min, dtype);
    put_real(w, "max", cam->max, dtype);
    put_real(w, "min_before_relu", cam->signed_min, dtype);
    put_real(w, "max_before_relu", cam->signed_max, dtype);
    put_real(w, "sum_before_relu", cam->signed_sum, CS_F64);
    put_close(w);
}

/* Writes the files and the entry of one map. */
static cs_status write_class(explain_job *job, explain_image *image, const cs_cam *cam,
                             cs_error *err) {
    char folder[PATH_MAX], name[VISIBLE_SIZE + 64];
    double start = cs_seconds();
    const cs_explanation explanation = {.model = job->model,
                                        .input = &image->input,
                                        .cam = cam,
                                        .logits = &image->predicted.logits,
                                        .image_name = base_name(image->path),
                                        .options = &job->what,
                                        .font = job->font,
                                        .write_signed = job->write_signed,
                                        .run = job->run};
    CS_TRY(output_folder_path(&job->folder, folder, err, "%s", image->folder));
    CS_TRY(cs_explain_write(folder, &explanation, err));
    image->times.write += cs_seconds() - start;
    snprintf(name, sizeof name, "class-%" PRId64 "-%s-%s", cam->class_index, job->what.method,
             job->layer);
    put_class(job, &job->manifest, cam, name);
    print_class(job, image, cam, name);
    if (cam->status == CS_CAM_EMPTY)
        warn_empty(image, cam, job->layer);
    return CS_OK;
}

/* How many classes share a method's passes: maps at the input are large. */
static int64_t classes_at_once(const explain_job *job, int64_t count) {
    enum { AT_INPUT = 16 };
    const int64_t most = !job->method->many_passes ? 1 : job->method->at_input ? AT_INPUT : count;
    return count < most ? count : most;
}

/* The maps of `count` classes: made together, then written one after another. */
static cs_status explain_maps(explain_job *job, explain_image *image, const int64_t *classes,
                              int64_t count, cs_error *err) {
    double start = cs_seconds(), backward = 0.0;
    progress_begin_work(&job->passes, job->common->quiet);
    cs_status status =
        cs_cam_compute_classes(job->run, job->model, &job->what, 0, classes, count, job->cams, err);
    progress_clear(&job->passes);
    CS_TRY(status == CS_ERROR_INTERRUPTED ? interrupt_check(err) : status);
    for (int64_t i = 0; i < count; i++)
        backward += job->cams[i].backward_seconds;
    image->times.backward += backward;
    image->times.cam += cs_seconds() - start - backward;
    for (int64_t i = 0; i < count; i++) {
        if (status == CS_OK)
            status = interrupt_check(err);
        if (status == CS_OK)
            status = write_class(job, image, &job->cams[i], err);
        cs_cam_free(&job->cams[i]);
    }
    return status;
}

/* Loads the image and runs the network. */
static cs_status forward(explain_job *job, explain_image *image, cs_error *err) {
    cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
    how.dtype = job->how.dtype;
    double start = cs_seconds();
    cs_status status =
        cs_input_load(image->path, cs_model_preprocess(job->model), &how, &image->input, err);
    image->times.load = cs_seconds() - start;
    CS_TRY(status);
    CS_TRY(interrupt_check(err));
    start = cs_seconds();
    CS_TRY(cs_run_forward(job->run, &image->input.tensor, err));
    image->times.forward = cs_seconds() - start;
    CS_TRY(prediction_make(&image->predicted, job->model, job->run, err));
    return image->predicted.status == CS_OK
               ? CS_OK
               : prediction_numeric_error(&image->predicted, image->path, err);
}

static cs_status explain_classes(explain_job *job, explain_image *image, cs_error *err) {
    json_writer *w = &job->manifest;
    int64_t count = class_choice_list(&job->choice, &image->predicted.logits, 0, job->classes);
    CS_TRY(output_folder_make_image(&job->folder, image->path, image->folder, err));
    put_text(w, "folder", image->folder);
    put_integer(w, "pool_ties", cs_run_pool_ties(job->run));
    put_array(w, "explanations");
    cs_status status = CS_OK;
    const int64_t step = classes_at_once(job, count);
    for (int64_t i = 0; i < count && status == CS_OK; i += step) {
        status = interrupt_check(err);
        if (status == CS_OK)
            status = explain_maps(job, image, job->classes + i, count - i < step ? count - i : step,
                                  err);
    }
    put_close(w);
    return status;
}

static void add_times(explain_times *sum, const explain_times *t) {
    sum->load += t->load;
    sum->forward += t->forward;
    sum->backward += t->backward;
    sum->cam += t->cam;
    sum->write += t->write;
}

cs_status explain_job_image(explain_job *job, const char *path, cs_error *err) {
    json_writer *w = &job->manifest;
    explain_image image = {.path = path};
    cs_status status = forward(job, &image, err);
    put_object(w, NULL);
    put_text(w, "image", path);
    put_text(w, "sha256", image.input.sha256[0] ? image.input.sha256 : NULL);
    put_integer(w, "width", image.input.original_width);
    put_integer(w, "height", image.input.original_height);
    put_prediction(w, image.predicted.probabilities ? &image.predicted : NULL);
    if (status == CS_OK)
        status = explain_classes(job, &image, err);
    put_text(w, "status", cs_status_name(status));
    if (status != CS_OK)
        put_text(w, "message", err->text);
    put_object(w, "timings");
    put_real(w, "load_seconds", image.times.load, CS_F64);
    put_real(w, "forward_seconds", image.times.forward, CS_F64);
    put_real(w, "backward_seconds", image.times.backward, CS_F64);
    put_real(w, "cam_seconds", image.times.cam, CS_F64);
    put_real(w, "write_seconds", image.times.write, CS_F64);
    put_close(w);
    put_close(w);
    add_times(&job->times, &image.times);
    job->explained += status == CS_OK;
    prediction_free(&image.predicted);
    cs_input_free(&image.input);
    return status;
}

cs_status explain_job_finish(explain_job *job, cs_error *err) {
    char path[PATH_MAX];
    json_writer *w = &job->manifest;
    put_close(w);
    put_object(w, "timings");
    put_real(w, "load_seconds", job->times.load, CS_F64);
    put_real(w, "prepare_seconds", job->times.prepare, CS_F64);
    put_real(w, "forward_seconds", job->times.forward, CS_F64);
    put_real(w, "backward_seconds", job->times.backward, CS_F64);
    put_real(w, "cam_seconds", job->times.cam, CS_F64);
    put_real(w, "write_seconds", job->times.write, CS_F64);
    put_close(w);
    put_manifest_machine(w, job->run);
    put_close(w);
    cs_status status = close_text(w->file, err);
    w->file = NULL;
    CS_TRY(status);
    CS_TRY(output_folder_path(&job->folder, path, err, "manifest.json"));
    CS_TRY(cs_file_write(path, job->manifest_text, job->manifest_size, err));
    if (job->common->json)
        fwrite(job->manifest_text, 1, job->manifest_size, stdout);
    return flush_stdout(err);
}

void explain_job_free(explain_job *job) {
    if (job->manifest.file)
        fclose(job->manifest.file);
    free(job->manifest_text);
    free(job->classes);
    free(job->cams);
    cs_font_free(job->font);
    cs_run_free(job->run);
    cs_model_free(job->model);
}
