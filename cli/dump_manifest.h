/* dump_manifest.h - what a folder of `cnnscope dump` (or dump_torch.py) says that it holds. */
#ifndef CLI_DUMP_MANIFEST_H
#define CLI_DUMP_MANIFEST_H

#include "common.h"

/* In the order in which a pass makes them. */
typedef enum dump_kind {
    DUMP_INPUT,
    DUMP_ACTIVATION,
    DUMP_GATES,
    DUMP_WINNERS,
    DUMP_GRADIENT,
    DUMP_PARAMETER,
    DUMP_KINDS,
} dump_kind;

/* "activation" and its like; and the folder its files are in, "" for the input. */
const char *dump_kind_name(dump_kind kind);
const char *dump_kind_folder(dump_kind kind);

typedef struct dump_item {
    dump_kind kind;
    const char *name; /* of the file, without ending */
    int64_t order;    /* its place in a pass: forward by node, then backward */
} dump_item;

/* Strings live as long as this. */
typedef struct dump_manifest {
    const char *folder;
    void *json;
    const char *architecture, *binary_sha256, *image_sha256, *engine, *dtype, *target;
    bool training;
    int64_t target_class;
    dump_item *items; /* in the order of a pass */
    int64_t count;
} dump_manifest;

/* Reads FOLDER/manifest.json and checks that every file it names is there. `folder` must outlive
 * *manifest, which is to be freed with dump_manifest_free, after an error too. Errors: CS_ERROR_IO
 * (no manifest, or an incomplete folder), CS_ERROR_FORMAT (no dump's manifest), CS_ERROR_MEMORY. */
cs_status dump_manifest_read(const char *folder, dump_manifest *manifest, cs_error *err);
void dump_manifest_free(dump_manifest *manifest);

/* Reads an item's file. Errors: as cs_npy_read_raw; CS_ERROR_LIMIT (too long a path). */
cs_status dump_item_read(const dump_manifest *manifest, const dump_item *item, cs_npy_array *array,
                         cs_error *err);

#endif
