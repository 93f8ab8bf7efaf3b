/* embedded.h - the example network (examples/small_resnet) inside the program. */
#ifndef CLI_EMBEDDED_H
#define CLI_EMBEDDED_H

#include "cnnscope.h"

/* The files' bytes, from each name to its _end (embedded_files.S). */
extern const unsigned char embedded_manifest[], embedded_manifest_end[], embedded_bin[],
    embedded_bin_end[];

/* Opens it. Free it with cs_model_free. Errors: as cs_model_open_memory. */
cs_status embedded_model_open(cs_model **model, cs_error *err);

#endif
