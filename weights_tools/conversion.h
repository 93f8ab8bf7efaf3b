/* conversion.h - the state of one conversion: what to write, and how it is written. */
#ifndef CS_CONVERSION_H
#define CS_CONVERSION_H

#include "architecture.h"
#include "cnnscope_convert.h"
#include "grow.h"

#define CS_CHANNELS_MAX 16
#define CS_MANIFEST_MAX (16u << 20)

typedef struct cs_conversion {
    const cs_convert_options *options;
    cs_resnet_spec spec;
    char arch[160];
    cs_draft draft;
    /* where it goes */
    char *json_path, *bin_path;
    char *partial_json, *partial_bin; /* while they exist */
    /* the binary: header and tensors */
    unsigned char *bin;
    size_t bin_size;
    char bin_sha256[65], region_sha256[65];
    /* the input */
    int64_t width, height;
    double mean[CS_CHANNELS_MAX], std[CS_CHANNELS_MAX], eps;
    bool assumed_size, assumed_mean, assumed_std, assumed_eps;
    /* where it comes from: a checkpoint, or a seed (checkpoint is NULL) */
    const cs_checkpoint *checkpoint;
    char source_sha256[65];
    const char *seed_arch;
    uint64_t seed;
    /* golden logits, `spec.classes` of them, or NULL */
    float *golden;
    bool broken; /* NaN, infinity or a negative variance among the parameters */
    char **warnings;
    size_t warning_count, warning_capacity;
} cs_conversion;

/* Checks the options against the spec, and fills in the input's defaults and the paths.
 * `assume` marks defaults as assumed. Errors: CS_ERROR_ARGUMENT, CS_ERROR_MISMATCH,
 * CS_ERROR_MEMORY. */
cs_status cs_conversion_prepare(cs_conversion *conversion, bool assume, cs_error *err);

/* Sets the output paths and refuses those that exist, unless forced. Errors: CS_ERROR_ARGUMENT,
 * CS_ERROR_OUTPUT, CS_ERROR_MEMORY. */
cs_status cs_conversion_set_paths(cs_conversion *conversion, cs_error *err);

/* Gives every tensor its place and allocates the binary, padding zeroed.
 * Errors: CS_ERROR_MEMORY. */
cs_status cs_conversion_layout(cs_conversion *conversion, cs_error *err);

/* A tensor's values in the binary. */
float *cs_conversion_values(const cs_conversion *conversion, const cs_draft_tensor *tensor);

/* Notes NaN, infinity and negative variances as warnings; sets `broken`. */
cs_status cs_conversion_inspect(cs_conversion *conversion, cs_error *err);

/* Adds a warning. Errors: CS_ERROR_MEMORY, CS_ERROR_LIMIT. */
cs_status cs_conversion_warn(cs_conversion *conversion, cs_error *err, const char *format, ...)
    CS_PRINTF(3, 4);

/* CS_ERROR_INTERRUPTED if the caller wants the work stopped. */
cs_status cs_conversion_go_on(const cs_conversion *conversion, cs_error *err);

/* Fills in the binary's header, with the hash of its tensors. */
void cs_conversion_seal(cs_conversion *conversion);

/* Writes the sealed binary and its manifest, golden logits in it, under partial names.
 * `*golden_seconds` receives the time that the logits took. */
cs_status cs_conversion_write(cs_conversion *conversion, double *golden_seconds, cs_error *err);

/* Puts the pair in place: both files or, after an error, neither. */
cs_status cs_conversion_commit(cs_conversion *conversion, cs_error *err);

/* The manifest's text, which names `bin_file`; the caller releases it. Errors: CS_ERROR_MEMORY,
 * CS_ERROR_LIMIT, CS_ERROR_ARGUMENT (names that are not UTF-8). */
cs_status cs_manifest_text(const cs_conversion *conversion, const char *bin_file, cs_text *text,
                           cs_error *err);

/* Runs the golden input through the model at `manifest` and keeps its logits; a run that meets NaN
 * or infinity gives a warning instead. */
cs_status cs_conversion_golden(cs_conversion *conversion, const char *manifest, cs_error *err);

/* Fills a report from a conversion whose files are written. Errors: CS_ERROR_MEMORY. */
cs_status cs_report_fill(const cs_conversion *conversion, cs_convert_report *report, cs_error *err);

/* Frees everything, and removes partial files. */
void cs_conversion_release(cs_conversion *conversion);

#endif
