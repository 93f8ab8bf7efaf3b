/* convert_report.h - what convert and init say about the model that they made. */
#ifndef CLI_CONVERT_REPORT_H
#define CLI_CONVERT_REPORT_H

#include "cnnscope_convert.h"
#include "options.h"

/* Prints the report on stdout (text, or JSON as asked for) and its warnings on stderr.
 * Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY. */
cs_status convert_report_print(const cs_convert_report *report, const cli_common *common,
                               const char *command, const char *source, cs_error *err);

#endif
