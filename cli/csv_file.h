/* csv_file.h - comma-separated tables (RFC 4180), strictly, in and out. */
#ifndef CLI_CSV_FILE_H
#define CLI_CSV_FILE_H

#include "cnnscope_support.h"

#include <stdio.h>

/* A whole table. Row 0 is the header. Cells are UTF-8 and belong to the table. */
typedef struct csv_table {
    char *text;
    char **cells;   /* rows * columns */
    int64_t *lines; /* of each row: the line of the file that it begins in, from 1 */
    int64_t rows, columns;
} csv_table;

/* Reads PATH: fields between commas, quoted where they hold commas, line ends or (doubled) quotes;
 * lines end with LF or CR LF; a UTF-8 byte order mark and blank lines are passed over. Refused,
 * with the line: bytes that are not UTF-8, NUL, a quote inside a plain field or text behind a
 * closing one, a quoted field that does not end, a row with more or fewer fields than the header, a
 * header that names a column twice. Errors: CS_ERROR_IO, CS_ERROR_FORMAT, CS_ERROR_LIMIT (256 MiB),
 * CS_ERROR_MEMORY. Free with csv_free. */
cs_status csv_read(const char *path, csv_table *table, cs_error *err);
void csv_free(csv_table *table);

static inline const char *csv_cell(const csv_table *t, int64_t row, int64_t column) {
    return t->cells[row * t->columns + column];
}

/* The column whose header is one of the `names` (until NULL), ASCII case ignored; the first name
 * that there is; -1: none. */
int64_t csv_find(const csv_table *table, const char *const *names);

/* Writes a field, quoted where it must be; bytes that are not UTF-8 as U+FFFD. */
void csv_put_text(FILE *file, const char *text);
/* A number as it reads back; nothing for NaN. */
void csv_put_real(FILE *file, double value);

#endif
