/* shortcut_summary.h - what the files of the summary share. */
#ifndef CAM_SHORTCUT_SUMMARY_H
#define CAM_SHORTCUT_SUMMARY_H

#include "bootstrap.h"

enum { SUMMARY_BATCH = 16 }; /* groups or classes that one pass over the images sums up */

/* Reads image `index` and stops where asked. */
cs_status summary_image(const cs_diagnosis *d, int64_t index, cs_stop stop, cs_diagnosis_image *im,
                        cs_error *err);

/* The unit (patient or file) that an image's weights come from. */
uint64_t summary_unit(const cs_diagnosis_image *image);

/* The statistic that a pattern is about. */
cs_statistic pattern_statistic(cs_pattern pattern);

/* Fills d->flags for the given classes (shortcut_flags.c). Errors: as cs_diagnosis_summarise. */
cs_status summary_flags(cs_diagnosis *d, const int64_t *classes, int64_t count, cs_stop stop,
                        cs_error *err);

#endif
