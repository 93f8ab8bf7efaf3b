/* manifest_parts.h - what every output folder's manifest.json has. */
#ifndef CLI_MANIFEST_PARTS_H
#define CLI_MANIFEST_PARTS_H

#include "json_writer.h"

/* Versions, the model with its hashes, and the preprocessing. */
void put_manifest_head(json_writer *w, const char *command, const char *model_path,
                       const cs_model *model);

/* What may differ between two runs that give the same results: threads, instruction set, date. */
void put_manifest_machine(json_writer *w, const cs_run *run);

#endif
