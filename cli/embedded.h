/* embedded.h - networks of examples/ inside the program. */
#ifndef CLI_EMBEDDED_H
#define CLI_EMBEDDED_H

#include "cnnscope.h"

/* The files' bytes, from each name to its _end (embedded_files.S). */
extern const unsigned char embedded_manifest[], embedded_manifest_end[], embedded_bin[],
    embedded_bin_end[]; /* small_resnet, untrained */
extern const unsigned char embedded_tag_manifest[], embedded_tag_manifest_end[], embedded_tag_bin[],
    embedded_tag_bin_end[]; /* tag_reader: the demo's network that learned a corner tag */
extern const unsigned char embedded_fair_manifest[], embedded_fair_manifest_end[],
    embedded_fair_bin[], embedded_fair_bin_end[]; /* fair_reader: its twin that did not */

/* Opens small_resnet. Free it with cs_model_free. Errors: as cs_model_open_memory. */
cs_status embedded_model_open(cs_model **model, cs_error *err);

#endif
