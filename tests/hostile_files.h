/* hostile_files.h - files with one thing wrong each (lists ZIP, LEGACY, TENSOR). */
#ifndef HOSTILE_FILES_H
#define HOSTILE_FILES_H

#include "checkpoint_builder.h"

/* The valid checkpoint in its stages; a case changes one of them. */
typedef struct stages {
    built_checkpoint tensors;
    built_archive archive;
    built_layout layout;
    size_t parts[6];
    bytes file;
} stages;

/* A case is a name of the list, its change, and the status that it must end with. */
typedef struct hostile_file {
    const char *name;
    void (*tensors)(stages *s); /* before the pickle is written */
    void (*records)(stages *s); /* before the archive is written */
    void (*file)(stages *s);    /* its bytes */
    cs_status status;
} hostile_file;

int hostile_file_count(void);
const hostile_file *hostile_file_get(int index);

/* Replaces the zip file by the same tensors as a legacy file. */
void hostile_write_legacy(stages *s);

#endif
