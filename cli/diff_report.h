/* diff_report.h - the comparison of two dumps, as a table and as JSON. */
#ifndef CLI_DIFF_REPORT_H
#define CLI_DIFF_REPORT_H

#include "dump_difference.h"

typedef struct diff_row {
    const dump_item *item; /* of folder A */
    dump_difference difference;
} diff_row;

typedef struct diff_result {
    dump_manifest a, b;
    difference_limits limits;
    diff_row *rows; /* what both hold, in the order of a pass */
    int64_t count;
    int64_t differing, parting; /* rows with a difference, rows beyond the limits */
    int64_t only_a, only_b;     /* files that the other does not have */
    const diff_row *first;      /* that parts, or NULL */
} diff_result;

/* `all`: every row, not those alone that differ. */
void print_diff(const diff_result *r, bool all, bool quiet);
void put_diff(json_writer *w, const diff_result *r);

#endif
