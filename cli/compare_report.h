/* compare_report.h - a comparison as a table for the terminal, as CSV and as JSON. */
#ifndef CLI_COMPARE_REPORT_H
#define CLI_COMPARE_REPORT_H

#include "compare_job.h"

/* Means over the images that could be compared; NaN where there is nothing to take a mean of. */
typedef struct compare_summary {
    double deletion, insertion, drop, increase; /* drop and increase as shares */
    double energy, area, hits;                  /* of the images with a mask */
    double other_class, cascade_first, cascade_last;
    double seconds, forward, backward, megabytes;
    int64_t images, empty, masks;
} compare_summary;

compare_summary compare_summarise(const compare_job *job, int64_t method);

/* The table, and in words which method is best at what. */
void compare_print_table(const compare_job *job, FILE *file);

/* A row an image and method; `with_cost` adds what depends on threads and machine: bytes, seconds.
 */
void compare_print_csv(const compare_job *job, bool with_cost, FILE *file);

/* The JSON document of docs/formats.md. */
void compare_print_json(const compare_job *job, FILE *file);

#endif
