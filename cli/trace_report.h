/* trace_report.h - a trace as text and as JSON. */
#ifndef CLI_TRACE_REPORT_H
#define CLI_TRACE_REPORT_H

#include "json_writer.h"
#include "trace.h"

/* Terms of a sum are numbered; of long sums only the first and last are shown unless `all`. */
void print_trace(const trace *t, cs_dtype dtype, bool all);

/* Writes the array "steps": every item, whatever its number. */
void put_trace(json_writer *w, const trace *t, cs_dtype dtype);

#endif
