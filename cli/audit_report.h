/* audit_report.h - an audit as a table for a terminal, and as JSON (docs/formats.md 2.5). */
#ifndef CLI_AUDIT_REPORT_H
#define CLI_AUDIT_REPORT_H

#include "cnnscope_audit.h"
#include "json_writer.h"
#include "output_folder.h"

/* Prints the verdict, the bars, both ledgers' largest nodes (with `all`, every node) and what it
 * means for the picture. */
void audit_print(const cs_audit *audit, bool all);

/* The document audit.json. */
void put_audit(json_writer *w, const cs_audit *audit);

/* gradient64.npy, gradient32.npy, rounding.npy, flips.npy, rest.npy, map32.npy, map64.npy; of
 * another engine against-gradient.npy and so on. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY. */
cs_status audit_write_arrays(const cs_audit *audit, const output_folder *folder, cs_error *err);

#endif
