#include "compare_report.h"
#include "manifest_parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ summary -------------- */

typedef struct mean {
    double sum;
    int64_t count;
} mean;

static void add(mean *m, double value) {
    if (isnan(value))
        return;
    m->sum += value;
    m->count++;
}

static double value_of(const mean *m) { return m->count ? m->sum / (double)m->count : (double)NAN; }

static double cascade_at(const compare_result *r, int stage) {
    const cs_sanity *s = &r->sanity;
    return r->has_sanity && s->stages > 0 ? s->cascade[stage < 0 ? s->stages - 1 : stage]
                                          : (double)NAN;
}

static double or_nan(bool known, double value) { return known ? value : (double)NAN; }

compare_summary compare_summarise(const compare_job *job, int64_t method) {
    enum {
        DELETION,
        INSERTION,
        DROP,
        INCREASE,
        ENERGY,
        AREA,
        HIT,
        OTHER,
        FIRST,
        LAST,
        SECONDS,
        FORWARD,
        BACKWARD,
        BYTES,
        MEANS
    };
    mean m[MEANS] = {{0}};
    compare_summary s = {0};
    for (int64_t i = 0; i < job->image_count; i++) {
        if (!job->images[i].results)
            continue;
        const compare_result *r = &job->images[i].results[method];
        const double values[MEANS] = {r->faith.deletion_area,
                                      r->faith.insertion_area,
                                      r->faith.drop,
                                      r->faith.increase ? 1.0 : 0.0,
                                      or_nan(r->has_place, r->place.energy),
                                      or_nan(r->has_place, r->place.area),
                                      or_nan(r->has_place, r->place.hit ? 1.0 : 0.0),
                                      or_nan(r->has_sanity, r->sanity.other_class),
                                      cascade_at(r, 0),
                                      cascade_at(r, -1),
                                      r->seconds,
                                      (double)r->forward_images,
                                      (double)r->backward_images,
                                      (double)r->bytes / 1e6};
        for (int k = 0; k < MEANS; k++)
            add(&m[k], values[k]);
        s.images++;
        s.empty += r->cam.status == CS_CAM_EMPTY;
        s.masks += r->has_place;
    }
    double *const out[MEANS] = {&s.deletion,      &s.insertion,    &s.drop,    &s.increase,
                                &s.energy,        &s.area,         &s.hits,    &s.other_class,
                                &s.cascade_first, &s.cascade_last, &s.seconds, &s.forward,
                                &s.backward,      &s.megabytes};
    for (int k = 0; k < MEANS; k++)
        *out[k] = value_of(&m[k]);
    return s;
}

/* ------------------------------------------------------------------ table ---------------- */

static bool has_masks(const compare_job *job) {
    for (int64_t i = 0; i < job->image_count; i++)
        if (job->images[i].results && job->images[i].results[0].has_place)
            return true;
    return false;
}

/* A number of `width` columns, or a dash. */
static void print_number(FILE *file, double value, int width, int digits) {
    if (isnan(value))
        fprintf(file, "%*s", width, "-");
    else
        fprintf(file, "%*.*f", width, digits, value);
}

static void print_row(const compare_job *job, int64_t method, int width, FILE *file) {
    compare_summary s = compare_summarise(job, method);
    const bool is_control = !job->methods[method].info;
    fprintf(file, "%-*s", width, job->methods[method].label);
    print_number(file, s.deletion, 10, 4);
    print_number(file, s.insertion, 11, 4);
    print_number(file, 100.0 * s.drop, 8, 1);
    print_number(file, 100.0 * s.increase, 12, 1);
    if (has_masks(job)) {
        print_number(file, 100.0 * s.energy, 10, 1);
        print_number(file, 100.0 * s.hits, 8, 1);
    }
    if (job->wants_sanity) {
        print_number(file, s.other_class, 13, 3);
        print_number(file, s.cascade_first, 11, 3);
        print_number(file, s.cascade_last, 9, 3);
    }
    fprintf(file, "%7" PRId64, s.empty);
    print_number(file, is_control ? (double)NAN : s.seconds, 10, 3);
    if (is_control)
        fprintf(file, "%14s%9s\n", "-", "-");
    else
        fprintf(file, "%8.0f +%4.0f%9.1f\n", s.forward, s.backward, s.megabytes);
}

/* The row, the control aside, with the least (or most) of a measure; -1 where there is none. */
static int64_t best_of(const compare_job *job, size_t offset, bool least) {
    int64_t best = -1;
    double top = 0.0;
    for (int64_t i = 0; i < job->method_count; i++) {
        compare_summary s = compare_summarise(job, i);
        double value = *(const double *)(const void *)((const char *)&s + offset);
        if (!job->methods[i].info || isnan(value) ||
            (best >= 0 && !(least ? value < top : value > top)))
            continue;
        best = i;
        top = value;
    }
    return best;
}

static void print_best(const compare_job *job, FILE *file) {
    static const struct {
        const char *words;
        size_t offset;
        bool least;
    } questions[] = {
        {"least left after deletion", offsetof(compare_summary, deletion), true},
        {"most back after insertion", offsetof(compare_summary, insertion), false},
        {"smallest drop", offsetof(compare_summary, drop), true},
        {"most energy in the mask", offsetof(compare_summary, energy), false},
        {"fastest", offsetof(compare_summary, seconds), true},
    };
    int64_t fastest = best_of(job, offsetof(compare_summary, seconds), true);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        int64_t best = best_of(job, questions[i].offset, questions[i].least);
        if (best >= 0)
            fprintf(file, "%s%s: %s", i ? "; " : "\n", questions[i].words,
                    job->methods[best].label);
    }
    fprintf(file, ".\n");
    for (int64_t i = 0; i < job->method_count && fastest >= 0; i++) {
        double ratio = compare_summarise(job, i).seconds / compare_summarise(job, fastest).seconds;
        if (job->methods[i].info && ratio >= 2.0)
            fprintf(file, "%s takes %.0f times as long as %s.\n", job->methods[i].label, ratio,
                    job->methods[fastest].label);
    }
}

void compare_print_table(const compare_job *job, FILE *file) {
    int width = 8;
    int64_t images = compare_summarise(job, 0).images;
    const bool masks = has_masks(job);
    for (int64_t i = 0; i < job->method_count; i++)
        if ((int)strlen(job->methods[i].label) > width)
            width = (int)strlen(job->methods[i].label);
    fprintf(file, "%" PRId64 " image%s, maps at %s, target %s; means over the images\n\n", images,
            images == 1 ? "" : "s", job->methods[job->method_count - 1].layer, job->target_text);
    fprintf(file, "%-*s%10s%11s%8s%12s", width, "method", "deletion", "insertion", "drop %",
            "increase %");
    if (masks)
        fprintf(file, "%10s%8s", "energy %", "hit %");
    if (job->wants_sanity)
        fprintf(file, "%13s%11s%9s", "other class", "top random", "random");
    fprintf(file, "%7s%10s%14s%9s\n", "empty", "seconds", "passes", "MB");
    for (int64_t i = 0; i < job->method_count; i++)
        print_row(job, i, width, file);
    print_best(job, file);
    if (masks)
        fprintf(file,
                "The masks cover %.1f %% of their images, so that is the energy of an even "
                "map.\n",
                100.0 * compare_summarise(job, 0).area);
    fprintf(file, "Low deletion, high insertion and a small drop mean that the network itself uses "
                  "what\nthe map shows; a method is worth no more than its lead over random.\n");
}

/* ------------------------------------------------------------------ CSV ------------------ */

static void put_quoted(FILE *file, const char *text) {
    fputc('"', file);
    for (; text && *text; text++) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

/* Empty where there is no number. */
static void put_cell(FILE *file, double value) {
    char digits[32];
    fprintf(file, ",%s", isnan(value) ? "" : real_digits(value, CS_F64, digits));
}

static void print_csv_row(const compare_job *job, const compare_image *image, int64_t method,
                          bool with_cost, FILE *file) {
    const compare_method *m = &job->methods[method];
    const compare_result *r = &image->results[method];
    put_quoted(file, image->path);
    fprintf(file, ",%" PRId64 ",", image->class_index);
    put_quoted(file, cs_model_class_name(job->model, image->class_index));
    put_cell(file, image->probability);
    fprintf(file, ",%s,%s,%s,%s", m->info ? m->info->name : "random",
            m->info ? m->what.variant : "", m->layer, cs_cam_status_name(r->cam.status));
    put_cell(file, r->faith.deletion_area);
    put_cell(file, r->faith.insertion_area);
    put_cell(file, r->faith.masked_probability);
    put_cell(file, r->faith.drop);
    fprintf(file, ",%d", r->faith.increase);
    put_cell(file, or_nan(r->has_place, r->place.area));
    put_cell(file, or_nan(r->has_place, r->place.energy));
    put_cell(file, or_nan(r->has_place, r->place.hit ? 1.0 : 0.0));
    put_cell(file, or_nan(r->has_sanity, r->sanity.other_class));
    put_cell(file, cascade_at(r, 0));
    put_cell(file, cascade_at(r, -1));
    fprintf(file, ",%" PRId64 ",%" PRId64, r->forward_images, r->backward_images);
    if (with_cost) {
        fprintf(file, ",%zu", r->bytes);
        put_cell(file, r->seconds);
    }
    fprintf(file, "\r\n");
}

void compare_print_csv(const compare_job *job, bool with_cost, FILE *file) {
    fprintf(file,
            "image,class,name,probability,method,variant,layer,status,deletion_area,insertion_area,"
            "masked_probability,drop,increase,mask_area,energy,hit,other_class_correlation,"
            "top_random_correlation,random_correlation,forward_images,backward_images%s\r\n",
            with_cost ? ",bytes,seconds" : "");
    for (int64_t i = 0; i < job->image_count; i++)
        for (int64_t k = 0; k < job->method_count && job->images[i].results; k++)
            print_csv_row(job, &job->images[i], k, with_cost, file);
}

/* ------------------------------------------------------------------ JSON ----------------- */

static void put_doubles(json_writer *w, const char *key, const double *values, int64_t count) {
    put_row(w, key);
    for (int64_t i = 0; i < count; i++)
        put_real(w, NULL, values[i], CS_F64);
    put_close(w);
}

static void put_result(json_writer *w, const compare_job *job, const compare_method *m,
                       const compare_result *r) {
    put_object(w, NULL);
    put_text(w, "method", m->info ? m->info->name : "random");
    put_text(w, "variant", m->info ? m->what.variant : NULL);
    put_text(w, "layer", m->layer);
    put_text(w, "status", cs_cam_status_name(r->cam.status));
    put_real(w, "deletion_area", r->faith.deletion_area, CS_F64);
    put_real(w, "insertion_area", r->faith.insertion_area, CS_F64);
    put_real(w, "masked_probability", r->faith.masked_probability, CS_F64);
    put_real(w, "drop", r->faith.drop, CS_F64);
    put_boolean(w, "increase", r->faith.increase);
    put_doubles(w, "fraction", r->faith.fraction, r->faith.points);
    put_doubles(w, "deletion", r->faith.deletion, r->faith.points);
    put_doubles(w, "insertion", r->faith.insertion, r->faith.points);
    if (r->has_place) {
        put_real(w, "mask_area", r->place.area, CS_F64);
        put_real(w, "energy", r->place.energy, CS_F64);
        put_boolean(w, "hit", r->place.hit);
    }
    if (r->has_sanity) {
        put_integer(w, "other_class", r->sanity.other_index);
        put_real(w, "other_class_correlation", r->sanity.other_class, CS_F64);
        put_object(w, "random_correlation");
        for (int i = 0; i < r->sanity.stages; i++) {
            char stage[256];
            cs_cascade_stage(job->model, i, stage, sizeof stage);
            put_real(w, stage, r->sanity.cascade[i], CS_F64);
        }
        put_close(w);
    }
    put_integer(w, "forward_images", r->forward_images);
    put_integer(w, "backward_images", r->backward_images);
    put_integer(w, "bytes", (int64_t)r->bytes);
    put_real(w, "seconds", r->seconds, CS_F64);
    put_close(w);
}

static void put_image(json_writer *w, const compare_job *job, const compare_image *image) {
    put_object(w, NULL);
    put_text(w, "image", image->path);
    put_text(w, "sha256", image->sha256[0] ? image->sha256 : NULL);
    put_text(w, "status", cs_status_name(image->status));
    if (image->status != CS_OK)
        put_text(w, "message", image->message);
    if (image->results) {
        put_integer(w, "class", image->class_index);
        put_text(w, "name", cs_model_class_name(job->model, image->class_index));
        put_integer(w, "predicted", image->predicted_index);
        put_real(w, "probability", image->probability, CS_F64);
        put_array(w, "results");
        for (int64_t k = 0; k < job->method_count; k++)
            put_result(w, job, &job->methods[k], &image->results[k]);
        put_close(w);
    }
    put_close(w);
}

static void put_summary(json_writer *w, const compare_job *job, int64_t method) {
    const compare_summary s = compare_summarise(job, method);
    const compare_method *m = &job->methods[method];
    put_object(w, NULL);
    put_text(w, "method", m->info ? m->info->name : "random");
    put_text(w, "variant", m->info ? m->what.variant : NULL);
    put_text(w, "layer", m->layer);
    put_integer(w, "images", s.images);
    put_integer(w, "empty", s.empty);
    put_real(w, "deletion_area", s.deletion, CS_F64);
    put_real(w, "insertion_area", s.insertion, CS_F64);
    put_real(w, "drop", s.drop, CS_F64);
    put_real(w, "increase", s.increase, CS_F64);
    put_integer(w, "masks", s.masks);
    put_real(w, "mask_area", s.area, CS_F64);
    put_real(w, "energy", s.energy, CS_F64);
    put_real(w, "hits", s.hits, CS_F64);
    put_real(w, "other_class_correlation", s.other_class, CS_F64);
    put_real(w, "top_random_correlation", s.cascade_first, CS_F64);
    put_real(w, "random_correlation", s.cascade_last, CS_F64);
    put_real(w, "megabytes", s.megabytes, CS_F64);
    put_real(w, "seconds", s.seconds, CS_F64);
    put_close(w);
}

static void put_options(json_writer *w, const compare_job *job) {
    put_object(w, "options");
    put_text(w, "class", job->class_text);
    put_text(w, "target", job->target_text);
    put_integer(w, "max_channels", job->options.max_channels);
    put_integer(w, "steps", job->options.steps);
    put_integer(w, "curve_steps", job->measures.steps);
    put_text(w, "fill", job->measures.fill == CS_FILL_BLUR ? "blur" : "mean");
    put_text(w, "masks", job->masks);
    put_integer(w, "seed", job->seed);
    put_text(w, "engine", engine_name(job->how.engine));
    put_text(w, "dtype", cs_dtype_name(job->how.dtype));
    put_close(w);
}

void compare_print_json(const compare_job *job, FILE *file) {
    json_writer w = {.file = file, .pretty = true};
    put_object(&w, NULL);
    put_manifest_head(&w, "compare", job->model_path, job->model);
    put_options(&w, job);
    put_array(&w, "methods");
    for (int64_t i = 0; i < job->method_count; i++)
        put_summary(&w, job, i);
    put_close(&w);
    put_array(&w, "images");
    for (int64_t i = 0; i < job->image_count; i++)
        put_image(&w, job, &job->images[i]);
    put_close(&w);
    put_manifest_machine(&w, job->scorer);
    put_close(&w);
}
