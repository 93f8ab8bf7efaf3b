/* manifest_parts.h - what every output folder's manifest.json has. */
#ifndef CLI_MANIFEST_PARTS_H
#define CLI_MANIFEST_PARTS_H

#include "json_writer.h"
#include "output_folder.h"

/* Versions, the model with its hashes, and the preprocessing. */
void put_manifest_head(json_writer *w, const char *command, const char *model_path,
                       const cs_model *model);

/* What may differ between two runs that give the same results: threads, instruction set, date. */
void put_manifest_machine(json_writer *w, const cs_run *run);

/* Writes what `put` puts of `job` as the file `name` of the folder, and on standard output where
 * `show`. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY, CS_ERROR_LIMIT. */
cs_status write_document(const output_folder *folder, const char *name,
                         void (*put)(json_writer *w, const void *job), const void *job, bool show,
                         cs_error *err);

#endif
