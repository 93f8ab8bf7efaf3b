/* diagnose_records.h - what is known of the images so far: one record of fixed size an image, in
 * the list's order, each with a checksum, so that a killed run goes on where it was. */
#ifndef CLI_DIAGNOSE_RECORDS_H
#define CLI_DIAGNOSE_RECORDS_H

#include "cnnscope_diagnose.h"

typedef struct diagnose_head {
    uint64_t magic;
    int64_t index, status, predicted, width, height, row_count;
    char sha256[72], message[1024];
} diagnose_head;

/* The parts of a record: head, logits and probabilities (classes each), rows, maps, checksum. */
typedef struct diagnose_layout {
    int64_t classes, rows, map_rows, map_columns;
    cs_dtype dtype;
    size_t logits, probabilities, row, map, size; /* byte offsets; of the whole */
} diagnose_layout;

diagnose_layout diagnose_layout_make(int64_t classes, int64_t rows, int64_t map_rows,
                                     int64_t map_columns, cs_dtype dtype);

/* Map i of a record in memory: a view. */
cs_tensor diagnose_record_map(const diagnose_layout *layout, void *record, int64_t i);

typedef struct diagnose_records {
    diagnose_layout layout;
    int file; /* -1: closed */
    int64_t count;
} diagnose_records;

/* Opens PATH, which one process at a time may have: makes it, or keeps its whole valid records from
 * the first on and cuts off the rest. Errors: CS_ERROR_OUTPUT (also: another process has it). */
cs_status diagnose_records_open(diagnose_records *records, const char *path,
                                const diagnose_layout *layout, cs_error *err);
void diagnose_records_close(diagnose_records *records);

/* Completes a record (magic, index, checksum) and appends it. Errors: CS_ERROR_OUTPUT. */
cs_status diagnose_records_append(diagnose_records *records, void *record, cs_error *err);

/* Reads record `index` into layout.size bytes. Errors: CS_ERROR_IO, CS_ERROR_FORMAT. */
cs_status diagnose_records_read(const diagnose_records *records, int64_t index, void *record,
                                cs_error *err);

#endif
