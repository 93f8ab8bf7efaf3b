/* hostile_files.h - files with one thing wrong each (lists ZIP, LEGACY, TENSOR, PICKLE). */
#ifndef HOSTILE_FILES_H
#define HOSTILE_FILES_H

#include "hostile_table.h"

/* The valid checkpoint in its stages; a case changes one of them. */
typedef struct stages {
    built_checkpoint tensors;
    built_archive archive;
    built_layout layout;
    size_t parts[6];
    bytes file;
} stages;

/* A case is what must come of it, and its change. */
typedef struct hostile_file {
    hostile_row row;
    void (*tensors)(stages *s);        /* before the pickle is written */
    void (*records)(stages *s);        /* before the archive is written */
    void (*file)(stages *s);           /* its bytes */
    void (*run)(hostile_outcome *out); /* instead of converting */
} hostile_file;

/* Makes the file and converts it. */
void hostile_file_run(const hostile_file *one, hostile_outcome *outcome);

/* The valid zip file, in its stages; free it with hostile_stages_free. */
void hostile_stages(stages *s);
void hostile_stages_free(stages *s);

/* Appends the pickle of a case of hostile_pickle_list. */
void hostile_pickle_bytes(int index, bytes *out);

/* Replaces the zip file by the same tensors as a legacy file. */
void hostile_write_legacy(stages *s);

#endif
