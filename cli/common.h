/* common.h - what the subcommands share beside their options: messages, lists, opening a model. */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include "cnnscope_cam.h"
#include "json_writer.h"
#include "options.h"

extern const cli_command cli_command_convert, cli_command_init, cli_command_info,
    cli_command_verify, cli_command_predict, cli_command_explain, cli_command_dump,
    cli_command_diff, cli_command_trace, cli_command_compare, cli_command_diagnose,
    cli_command_audit, cli_command_demo, cli_command_selftest;

#define CLI_EXIT_NO 1 /* the answer is no */

#define VISIBLE_SIZE 1024
/* Copies text with control characters made visible, for a terminal; returns `out`. */
const char *visible(const char *text, char out[VISIBLE_SIZE]);

/* Prints "cnnscope COMMAND: ..." with all that *err says, on stderr. */
void print_error(const char *command, const cs_error *err);

/* The same, and returns the exit code. */
int fail(const char *command, const cs_error *err);

/* Whether a status concerns one image (unreadable, refused, NaN) and the others can go on. */
bool is_image_error(cs_status status);

/* A stream into memory: *text, ending in 0, and its *size stand once close_text said CS_OK; free
 * *text in any case. NULL where there is no memory. Unlike open_memstream's, which may lose a
 * character without a word, a failed allocation is never forgotten; but for that of a printf with
 * more than a dozen conversions, which is in its result alone. */
FILE *open_text(char **text, size_t *size);

/* Closes it; CS_ERROR_MEMORY where it could not take everything. */
cs_status close_text(FILE *file, cs_error *err);

/* Flushes stdout; CS_ERROR_OUTPUT where it could not take everything. */
cs_status flush_stdout(cs_error *err);

/* "assumed": those of "size", "mean" and "eps" that the checkpoint did not tell. */
void put_assumed(json_writer *w, bool size, bool mean, bool eps);

/* A list of words cut at commas. Free it with word_list_free. */
typedef struct word_list {
    char *text; /* owns the words */
    const char **words;
    int64_t count;
} word_list;
cs_status word_list_split(word_list *list, const char *text, cs_error *err);
void word_list_free(word_list *list);

/* Reads a list of numbers cut at commas into values[0..most). Errors: CS_ERROR_ARGUMENT. */
cs_status parse_numbers(const char *text, double *values, int64_t most, int64_t *count,
                        cs_error *err);

/* Reads "224" or "320x240" (width x height). Errors: CS_ERROR_ARGUMENT. */
cs_status parse_size(const char *text, int64_t *width, int64_t *height, cs_error *err);

/* Opens the model of a manifest, NAME.json; says so where the file of weights or a checkpoint is
 * given. Errors: as cs_model_open; CS_ERROR_ARGUMENT. */
cs_status open_model(const cli_common *common, const char *path, cs_model **model, cs_error *err);

/* Fills options from --threads, --engine, --dtype, --isa and --kernel. Errors:
 * CS_ERROR_ARGUMENT. */
cs_status read_run_options(const cli_common *common, cs_run_options *options, cs_error *err);

const char *engine_name(cs_engine engine);

/* "NORMAL (class 0)", or "class 0" where the class has no name; returns `out`. */
#define CLASS_LABEL_SIZE (VISIBLE_SIZE + 32)
const char *class_label(const cs_model *model, int64_t index, char out[CLASS_LABEL_SIZE]);

/* Whether a name from a manifest, which may come from anywhere, may be that of a file (to which an
 * ending is added). */
bool is_file_name(const char *name);

/* The file name behind the last slash. */
const char *base_name(const char *path);

#endif
