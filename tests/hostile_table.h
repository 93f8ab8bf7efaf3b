/* hostile_table.h - the files with one thing wrong each, list by list: what must come of them, and
 * what does. The suites `hostile` and `hostile_manifest` compare the two; docs/hostile-input.md is
 * printed from both (build/cnnscope-tests --hostile-table).
 */
#ifndef HOSTILE_TABLE_H
#define HOSTILE_TABLE_H

#include <stdio.h>

#include "checkpoint_builder.h"

/* What must come of a case. */
typedef struct hostile_row {
    const char *name; /* its name in the list, a space, what is wrong: "Z12 directory wraps" */
    cs_status status; /* CS_OK: accepted */
    int64_t offset;   /* the byte of the file that the error names, or -1 */
    const char *says; /* a part of the error, or of a warning, or NULL */
    const char *why;  /* where the list leaves a choice, or the case is accepted: why, or NULL */
} hostile_row;

/* What came of it. */
typedef struct hostile_outcome {
    cs_status status;
    int64_t offset;
    char text[1400];   /* the error, or the warnings */
    int left, allowed; /* files that the output folder has, and how many it should */
} hostile_outcome;

typedef struct hostile_list {
    const char *title, *about;
    int count;
    hostile_row (*row)(int index);
    void (*run)(int index, hostile_outcome *outcome);
} hostile_list;

extern const hostile_list hostile_zip_list, hostile_legacy_list, hostile_pickle_list,
    hostile_safetensors_list, hostile_formats_list, hostile_manifest_list;
/* Defined where the image cases are (weak: the lists above stand without them). */
extern const hostile_list hostile_pictures __attribute__((weak));

/* The lists in the page's order: index 0, 1, ... until NULL. */
const hostile_list *hostile_list_get(int index);

/* Runs a case under the limits of time and memory; fails the test unless all is as in its row. */
void hostile_check(const hostile_list *list, int index);

/* Writes docs/hostile-input.md. */
void hostile_table_print(FILE *out);

/* For main_test.c: writes it to stdout; returns the program's exit code. */
int hostile_table_main(void);

/* Converts these bytes: the outcome of most cases. */
void hostile_convert(const bytes *file, hostile_outcome *outcome);

/* Fills the outcome from a failed call; the folder's name is cut from the text. */
void hostile_failed(hostile_outcome *outcome, const cs_error *err, const char *folder);

int hostile_files_in(const char *folder);

#endif
