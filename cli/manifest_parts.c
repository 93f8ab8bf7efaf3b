#include "manifest_parts.h"
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void put_numbers(json_writer *w, const char *key, const double *values, int64_t count) {
    put_row(w, key);
    for (int64_t i = 0; i < count; i++)
        put_real(w, NULL, values[i], CS_F64);
    put_close(w);
}

void put_manifest_head(json_writer *w, const char *command, const char *model_path,
                       const cs_model *model) {
    const cs_preprocess *p = cs_model_preprocess(model);
    put_text(w, "format", "cnnscope-output");
    put_integer(w, "version", 1);
    put_text(w, "cnnscope", CNNSCOPE_VERSION);
    put_text(w, "command", command);
    put_object(w, "model");
    put_text(w, "path", model_path);
    put_text(w, "architecture", cs_model_architecture(model));
    put_text(w, "manifest_sha256", cs_model_manifest_sha256(model));
    put_text(w, "binary_sha256", cs_model_binary_sha256(model));
    put_close(w);
    put_object(w, "preprocessing");
    put_integer(w, "channels", p->channels);
    put_integer(w, "height", p->height);
    put_integer(w, "width", p->width);
    put_text(w, "resize", "pillow-bilinear");
    put_real(w, "divisor", p->divisor, CS_F64);
    put_numbers(w, "mean", p->mean, p->channels);
    put_numbers(w, "std", p->std, p->channels);
    put_close(w);
}

void put_manifest_machine(json_writer *w, const cs_run *run) {
    char date[32];
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    put_integer(w, "threads", cs_run_threads(run));
    put_text(w, "isa", cs_isa_name(cs_run_isa(run)));
    put_text(w, "date", date);
}

cs_status write_document(const output_folder *folder, const char *name,
                         void (*put)(json_writer *w, const void *job), const void *job, bool show,
                         cs_error *err) {
    char path[PATH_MAX], *text = NULL;
    size_t size = 0;
    CS_TRY(output_folder_path(folder, path, err, "%s", name));
    json_writer w = {.file = open_text(&text, &size), .pretty = true};
    CS_CHECK(w.file, CS_ERROR_MEMORY, "out of memory");
    put(&w, job);
    cs_status status = close_text(w.file, err);
    if (status == CS_OK)
        status = cs_file_write(path, text, size, err);
    if (status == CS_OK && show)
        fwrite(text, 1, size, stdout);
    free(text);
    return status;
}
