/* diagnose_list.h - the images that diagnose goes through: a folder's, or those of a table. */
#ifndef CLI_DIAGNOSE_LIST_H
#define CLI_DIAGNOSE_LIST_H

#include "cnnscope_cam.h"
#include "csv_file.h"

typedef struct diagnose_entry {
    char *file, *path;     /* as the list has it or relative to the folder; to open it */
    int64_t label;         /* class, or -1 */
    const char *patient;   /* or NULL */
    int64_t patient_index; /* or -1 */
    const char **columns;  /* values, column_count of them */
    cs_status status; /* CS_OK, or why it cannot be an image (a second line of the same file) */
    int64_t line;     /* of the table */
} diagnose_entry;

typedef struct diagnose_list {
    diagnose_entry *entries;
    int64_t count;
    const char **columns; /* names of the columns that are carried through */
    int64_t column_count;
    int64_t patient_count, labelled; /* distinct patients; entries with a label */
    bool has_labels_column;
    csv_table table;
    const char **values; /* of all entries */
    size_t room;
} diagnose_list;

/* Reads a folder (all files in it and its folders, hidden ones left out, symbolic links to folders
 * not followed, in the order of their paths' bytes; the label is the top folder's name where that
 * is a class) or a table (columns: file, path or image; class or label; patient; all others are
 * carried through; files are relative to the table's folder). Errors: CS_ERROR_IO, CS_ERROR_FORMAT,
 * CS_ERROR_MEMORY. Free with diagnose_list_free. */
cs_status diagnose_list_read(diagnose_list *list, const cs_model *model, const char *path,
                             cs_error *err);
void diagnose_list_free(diagnose_list *list);

/* A hash of everything in the list that decides about results. */
cs_status diagnose_list_sha256(const diagnose_list *list, char out[CS_SHA256_HEX_SIZE],
                               cs_error *err);

#endif
