/* diagnose_output.c - predictions.csv, diagnosis.csv, cams.npy: streamed from the records. */
#include "diagnose_job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

cs_status diagnose_file_open(const diagnose_job *job, const char *name, FILE **file,
                             cs_error *err) {
    char path[PATH_MAX];
    CS_TRY(output_folder_path(&job->folder, path, err, "%s", name));
    *file = fopen(path, "we");
    if (!*file)
        return cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be written: %s", path,
                            strerror(errno));
    return CS_OK;
}

cs_status diagnose_file_close(FILE *file, const char *name, cs_error *err) {
    bool good = fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
    int why = errno;
    good = fclose(file) == 0 && good;
    return good ? CS_OK
                : cs_error_set(err, CS_ERROR_OUTPUT, name, -1, "%s: cannot be written: %s", name,
                               strerror(why));
}

/* ------------------------------------------------------------------ fields --------------- */

static void put_comma_text(FILE *f, const char *text) {
    fputc(',', f);
    csv_put_text(f, text ? text : "");
}

static void put_comma_real(FILE *f, double value) {
    fputc(',', f);
    csv_put_real(f, value);
}

static void put_comma_class(FILE *f, int64_t index) {
    fputc(',', f);
    if (index >= 0)
        fprintf(f, "%" PRId64, index);
}

static const char *class_name(const diagnose_job *job, int64_t index) {
    const char *name = index >= 0 ? cs_model_class_name(job->model, index) : NULL;
    return name ? name : "";
}

/* What the list says of an image. */
static void put_listed(const diagnose_job *job, FILE *f, const cs_diagnosis_image *image) {
    csv_put_text(f, image->file);
    put_comma_class(f, image->label);
    put_comma_class(f, image->predicted);
    put_comma_text(f, class_name(job, image->predicted));
    put_comma_text(f, cs_status_name(image->status));
    if (job->list.patient_count > 0)
        put_comma_text(f, image->patient);
    for (int64_t c = 0; c < job->list.column_count; c++)
        put_comma_text(f, image->columns[c]);
}

/* A column of the list gets "list_" before its name where that is one of ours. */
static void put_listed_header(const diagnose_job *job, FILE *f) {
    fputs("file,label,predicted,predicted_name,status", f);
    if (job->list.patient_count > 0)
        fputs(",patient", f);
    for (int64_t c = 0; c < job->list.column_count; c++) {
        char name[VISIBLE_SIZE];
        snprintf(name, sizeof name, "list_%.1000s", job->list.columns[c]);
        put_comma_text(f, name);
    }
}

/* ------------------------------------------------------------------ predictions.csv ------ */

static void put_prediction_row(const diagnose_job *job, FILE *f, const cs_diagnosis_image *image) {
    int64_t classes = cs_model_class_count(job->model);
    put_listed(job, f, image);
    for (int64_t k = 0; k < classes; k++)
        put_comma_real(f, image->logits[k]);
    for (int64_t k = 0; k < classes; k++)
        put_comma_real(f, image->probabilities[k]);
    put_comma_text(f, image->sha256);
    put_comma_text(f, image->message);
    fputc('\n', f);
}

static void put_prediction_header(const diagnose_job *job, FILE *f) {
    int64_t classes = cs_model_class_count(job->model);
    put_listed_header(job, f);
    for (int64_t k = 0; k < classes; k++)
        fprintf(f, ",logit_%" PRId64, k);
    for (int64_t k = 0; k < classes; k++)
        fprintf(f, ",probability_%" PRId64, k);
    fputs(",sha256,message\n", f);
}

/* ------------------------------------------------------------------ diagnosis.csv -------- */

static const char *cell_of(const cs_diagnosis_image *image, int64_t c) {
    bool is = image->label == c, says = image->predicted == c;
    if (image->label < 0)
        return "";
    return is ? (says ? "TP" : "FN") : (says ? "FP" : "TN");
}

static void put_change_columns(FILE *f, const cs_diagnosis_row *row) {
    for (int c = 0; c < CS_CHANGE_COUNT; c++)
        for (int i = 0; i < (cs_change_has_fill((cs_change)c) ? CS_FILL_COUNT : 1); i++) {
            bool known = row && row->has_changes;
            put_comma_real(f, known ? row->change[c][i].margin : (double)NAN);
        }
    for (int c = 0; c < CS_CORNER_COUNT; c++)
        put_comma_real(f, row ? cs_row_excess(row, (cs_change)c) : (double)NAN);
    put_comma_real(f, row ? cs_row_excess(row, CS_CHANGE_HOTTEST) : (double)NAN);
    put_comma_real(f, row ? cs_row_excess(row, CS_CHANGE_RING_HOTTEST) : (double)NAN);
}

static void put_change_header(FILE *f) {
    for (int c = 0; c < CS_CHANGE_COUNT; c++)
        for (int i = 0; i < (cs_change_has_fill((cs_change)c) ? CS_FILL_COUNT : 1); i++)
            fprintf(f, ",margin_%s%s%s", cs_change_name((cs_change)c),
                    cs_change_has_fill((cs_change)c) ? "_" : "",
                    cs_change_has_fill((cs_change)c) ? cs_fill_name((cs_fill)i) : "");
    for (int c = 0; c < CS_CORNER_COUNT; c++)
        fprintf(f, ",excess_%s", cs_change_name((cs_change)c));
    fprintf(f, ",excess_%s,excess_%s", cs_change_name(CS_CHANGE_HOTTEST),
            cs_change_name(CS_CHANGE_RING_HOTTEST));
}

/* `row` is NULL for an image that could not be diagnosed. */
static void put_diagnosis_row(const diagnose_job *job, FILE *f, const cs_diagnosis_image *image,
                              const cs_diagnosis_row *row) {
    put_listed(job, f, image);
    put_comma_class(f, row ? row->class_index : -1);
    put_comma_text(f, class_name(job, row ? row->class_index : -1));
    put_comma_text(f, row ? cell_of(image, row->class_index) : "");
    put_comma_text(f, row ? cs_cam_status_name((cs_cam_status)row->map_status) : "");
    put_comma_real(f, row ? row->logit : (double)NAN);
    put_comma_real(f, row ? row->probability : (double)NAN);
    put_comma_real(f, row ? row->margin : (double)NAN);
    for (int s = 0; s < CS_STAT_COUNT; s++)
        put_comma_real(f, row ? row->value[s] : (double)NAN);
    for (int p = 0; p < CS_PATTERN_COUNT; p++) {
        bool beyond = row && cs_row_is_beyond(row, (cs_pattern)p, &job->nulls.threshold[p]);
        fprintf(f, ",%s", row ? (beyond ? "1" : "0") : "");
    }
    if (job->has_changes)
        put_change_columns(f, row);
    fputc('\n', f);
}

static void put_diagnosis_header(const diagnose_job *job, FILE *f) {
    put_listed_header(job, f);
    fputs(",class,class_name,cell,map,logit,probability,margin", f);
    for (int s = 0; s < CS_STAT_COUNT; s++)
        fprintf(f, ",%s", cs_statistic_name((cs_statistic)s));
    for (int p = 0; p < CS_PATTERN_COUNT; p++)
        fprintf(f, ",beyond_%s", cs_pattern_name((cs_pattern)p));
    if (job->has_changes)
        put_change_header(f);
    fputc('\n', f);
}

/* ------------------------------------------------------------------ cams.npy ------------- */

static void put_npy_header(const diagnose_job *job, FILE *f, int64_t count) {
    enum { SIZE = 128, BEFORE = 10 };
    const diagnose_layout *l = &job->records.layout;
    char text[SIZE - BEFORE + 1];
    int length = snprintf(text, sizeof text,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64
                          ", %" PRId64 "), }",
                          l->dtype == CS_F64 ? "<f8" : "<f4", count, l->map_rows, l->map_columns);
    fwrite("\x93NUMPY\x01\x00", 1, 8, f);
    fputc(SIZE - BEFORE, f);
    fputc(0, f);
    fprintf(f, "%s%*s\n", text, SIZE - BEFORE - 1 - length, "");
}

/* `map` is NULL for an image that could not be diagnosed: NaN. */
static void put_map(const diagnose_job *job, FILE *f, const cs_tensor *map) {
    const diagnose_layout *l = &job->records.layout;
    size_t count = (size_t)(l->map_rows * l->map_columns);
    const double nan64 = (double)NAN;
    const float nan32 = NAN;
    if (map)
        fwrite(map->data, cs_dtype_size(map->dtype), count, f);
    for (size_t i = 0; !map && i < count; i++)
        fwrite(l->dtype == CS_F64 ? (const void *)&nan64 : (const void *)&nan32,
               cs_dtype_size(l->dtype), 1, f);
}

/* ------------------------------------------------------------------ all three ------------ */

static cs_status put_images(diagnose_job *job, FILE *predictions, FILE *rows, FILE *maps,
                            cs_error *err) {
    const cs_diagnosis *d = &job->diagnosis;
    for (int64_t i = 0; i < d->image_count; i++) {
        cs_diagnosis_image image;
        CS_TRY(d->image(d->image_state, i, &image, err));
        put_prediction_row(job, predictions, &image);
        for (int64_t r = 0; r < image.row_count; r++) {
            put_diagnosis_row(job, rows, &image, &image.rows[r]);
            put_map(job, maps, &image.maps[r]);
        }
        if (image.row_count == 0) {
            put_diagnosis_row(job, rows, &image, NULL);
            put_map(job, maps, NULL);
        }
    }
    return CS_OK;
}

cs_status diagnose_write_tables(diagnose_job *job, cs_error *err) {
    static const char *const names[3] = {"predictions.csv", "diagnosis.csv", "cams.npy"};
    FILE *files[3] = {NULL, NULL, NULL};
    const cs_diagnosis *d = &job->diagnosis;
    int64_t lines = d->row_count + d->failed_count;
    cs_status status = CS_OK;
    for (int i = 0; i < 3 && status == CS_OK; i++)
        status = diagnose_file_open(job, names[i], &files[i], err);
    if (status == CS_OK) {
        put_prediction_header(job, files[0]);
        put_diagnosis_header(job, files[1]);
        put_npy_header(job, files[2], lines);
        status = put_images(job, files[0], files[1], files[2], err);
    }
    for (int i = 0; i < 3; i++) {
        if (!files[i])
            continue;
        cs_error second;
        cs_status closed = diagnose_file_close(files[i], names[i], &second);
        if (status == CS_OK && closed != CS_OK && err)
            *err = second;
        status = status == CS_OK ? closed : status;
    }
    return status;
}
