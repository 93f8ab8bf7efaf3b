/* compare_figure.h - what compare writes for one image: the raw maps, and all methods in a figure.
 */
#ifndef CLI_COMPARE_FIGURE_H
#define CLI_COMPARE_FIGURE_H

#include "compare_job.h"

/* Makes DIR/<image>/ and writes class-<K>-<method>[-<variant>]-<layer>.npy for each method, and
 * comparison-figure.png. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY, CS_ERROR_LIMIT. */
cs_status compare_figure_write(compare_job *job, const compare_image *image, const cs_input *input,
                               cs_error *err);

#endif
