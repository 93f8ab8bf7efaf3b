/* convert.c - cs_convert: checkpoint, state_dict, architecture, values, pair. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cnnscope_support.h"
#include "conversion.h"

static const cs_convert_limit limits[] = {
    {"zip entries", CS_ZIP_ENTRIES_MAX},
    {"pickle bytes", CS_PICKLE_BYTES_MAX},
    {"pickle operations", CS_PICKLE_OPCODES_MAX},
    {"pickle values", CS_PICKLE_VALUES_MAX},
    {"pickle memo entries", CS_PICKLE_MEMO_MAX},
    {"pickle stack", CS_PICKLE_STACK_MAX},
    {"safetensors header bytes", CS_SAFETENSORS_HEADER_MAX},
    {"safetensors header values", CS_SAFETENSORS_VALUES_MAX},
    {"storages", CS_PICKLE_STORAGES_MAX},
    {"tensors", CS_CHECKPOINT_TENSORS_MAX},
    {"tensor dimensions", CS_PICKLE_DIMS_MAX},
    {"tensor name bytes", CS_TENSOR_NAME_MAX},
    {"parameters", (uint64_t)CS_DRAFT_PARAMETERS_MAX},
    {"input channels", CS_CHANNELS_MAX},
};

cs_convert_limit cs_convert_limit_get(int64_t index) {
    const int64_t count = sizeof limits / sizeof *limits;
    return index >= 0 && index < count ? limits[index] : (cs_convert_limit){NULL, 0};
}

/* The source's hash, computed beside everything else. */
typedef struct source_hash {
    const cs_source *source;
    char sha256[65];
    cs_status status;
    cs_error err;
} source_hash;

static void *hash_source(void *argument) {
    source_hash *job = argument;
    job->status = cs_source_sha256(job->source, job->sha256, &job->err);
    return NULL;
}

static cs_status check_strict(const cs_checkpoint *checkpoint, cs_error *err) {
    if (checkpoint->pickle.opaque_count == 0)
        return CS_OK;
    const cs_opaque *first = &checkpoint->pickle.opaques[0];
    return cs_source_error(&checkpoint->source, CS_ERROR_UNSUPPORTED, -1, err,
                           "the pickle %s %s, and --strict allows tensors only",
                           first->executes ? "calls" : "names", first->name);
}

/* Reads every tensor of the draft into the binary, with its CRC. */
static cs_status read_tensors(cs_conversion *c, cs_checkpoint *checkpoint, cs_error *err) {
    int64_t rounded = 0;
    for (size_t i = 0; i < c->draft.tensor_count; ++i) {
        CS_TRY(cs_conversion_go_on(c, err));
        cs_draft_tensor *tensor = &c->draft.tensors[i];
        const cs_stored_tensor *stored = cs_checkpoint_tensor(checkpoint, tensor->name);
        float *values = cs_conversion_values(c, tensor);
        bool known = false;
        CS_TRY(cs_checkpoint_read(checkpoint, stored, values, &tensor->crc32, &known, err));
        if (!known)
            tensor->crc32 = cs_crc32(values, (size_t)tensor->count * sizeof *values);
        rounded += stored->element == CS_ELEMENT_F64;
    }
    if (rounded > 0)
        CS_TRY(cs_conversion_warn(c, err, "%lld tensors of float64 were rounded to float32",
                                  (long long)rounded));
    return CS_OK;
}

static cs_status warn_about_source(cs_conversion *c, const cs_checkpoint *checkpoint,
                                   cs_error *err) {
    if (checkpoint->zip.crc_absent)
        CS_TRY(cs_conversion_warn(c, err,
                                  "the archive was written without CRCs: damage could not "
                                  "be noticed"));
    if (strchr(c->spec.head, '.'))
        CS_TRY(cs_conversion_warn(c, err,
                                  "fc is a Sequential whose only layer with parameters is "
                                  "%s: its others are taken for layers that do nothing in "
                                  "inference (dropout)",
                                  c->spec.head));
    return CS_OK;
}

/* From the chosen state_dict to the values in memory. */
static cs_status read_model(cs_conversion *c, cs_checkpoint *checkpoint, cs_error *err) {
    CS_TRY(cs_checkpoint_select(checkpoint, c->options->key, err));
    CS_TRY(cs_architecture_recognise(checkpoint, c->options->arch, &c->spec, err));
    CS_TRY(cs_architecture_draft(&c->spec, &c->draft, err));
    CS_TRY(cs_architecture_match(checkpoint, &c->spec, &c->draft, err));
    CS_TRY(cs_conversion_prepare(c, true, err));
    CS_TRY(cs_conversion_layout(c, err));
    CS_TRY(warn_about_source(c, checkpoint, err));
    CS_TRY(read_tensors(c, checkpoint, err));
    CS_TRY(cs_conversion_inspect(c, err));
    cs_conversion_seal(c);
    return CS_OK;
}

static cs_status convert(cs_conversion *c, cs_checkpoint *checkpoint, const char *path,
                         cs_convert_report *report, cs_error *err) {
    double begin = cs_seconds();
    CS_TRY(cs_conversion_set_paths(c, err));
    CS_TRY(cs_checkpoint_open(path, checkpoint, err));
    c->checkpoint = checkpoint;
    if (c->options->strict)
        CS_TRY(check_strict(checkpoint, err));
    source_hash job = {.source = &checkpoint->source};
    pthread_t thread;
    bool started = pthread_create(&thread, NULL, hash_source, &job) == 0;
    cs_status status = read_model(c, checkpoint, err);
    report->read_seconds = cs_seconds() - begin;
    if (started)
        pthread_join(thread, NULL);
    else
        hash_source(&job);
    CS_TRY(status);
    if (job.status != CS_OK) {
        if (err)
            *err = job.err;
        return job.status;
    }
    memcpy(c->source_sha256, job.sha256, sizeof c->source_sha256);
    CS_TRY(cs_source_unchanged(&checkpoint->source, err));
    begin = cs_seconds();
    CS_TRY(cs_conversion_write(c, &report->golden_seconds, err));
    CS_TRY(cs_report_fill(c, report, err));
    CS_TRY(cs_conversion_commit(c, err));
    report->write_seconds = cs_seconds() - begin - report->golden_seconds;
    return CS_OK;
}

cs_status cs_convert(const char *checkpoint, const cs_convert_options *options,
                     cs_convert_report *report, cs_error *err) {
    cs_conversion c = {.options = options};
    cs_checkpoint source = {.source = {.fd = -1}};
    cs_convert_report filled = {0};
    cs_status status = convert(&c, &source, checkpoint, &filled, err);
    cs_conversion_release(&c);
    cs_checkpoint_close(&source);
    if (status != CS_OK || !report)
        cs_convert_report_free(&filled);
    if (report)
        *report = filled;
    return status;
}
