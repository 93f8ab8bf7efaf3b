/* checkpoint.h - a checkpoint of PyTorch or safetensors: the file, what its pickle or header says,
 * and the state_dict chosen in it. */
#ifndef CS_CHECKPOINT_H
#define CS_CHECKPOINT_H

#include "pickle.h"
#include "zip_reader.h"

#define CS_CHECKPOINT_TENSORS_MAX 65536
#define CS_TENSOR_NAME_MAX        255
#define CS_DROPPED_MAX            16384
#define CS_SAFETENSORS_HEADER_MAX 100000000
#define CS_SAFETENSORS_VALUES_MAX 1000000

typedef struct cs_named_tensor {
    char *name;      /* without the stripped prefix */
    uint32_t tensor; /* index into pickle.tensors */
} cs_named_tensor;

typedef struct cs_checkpoint {
    cs_source source;
    const char *format; /* "torch-zip", "torch-legacy", "safetensors" */
    cs_zip zip;         /* torch-zip */
    char *folder;       /* the archive's top folder with its slash: "best_model/" */
    bool big_endian;    /* elements are stored so */
    cs_pickle pickle;   /* safetensors: the same values, made from the header */
    uint32_t root;
    /* set by cs_checkpoint_select */
    char *key;                /* path of the state_dict; "" is the root */
    const char *strip;        /* "module." or "" */
    cs_named_tensor *tensors; /* in the checkpoint's order */
    size_t tensor_count, tensor_capacity;
    uint32_t *by_name; /* indices of the tensors, sorted by name */
    char **dropped;    /* entries left out, for people */
    size_t dropped_count, dropped_capacity;
} cs_checkpoint;

/* Opens a file, says what it is by its bytes, and reads its pickle. The caller closes it with
 * cs_checkpoint_close, also after an error. Errors: CS_ERROR_IO, CS_ERROR_FORMAT,
 * CS_ERROR_UNSUPPORTED, CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status cs_checkpoint_open(const char *path, cs_checkpoint *checkpoint, cs_error *err);
void cs_checkpoint_close(cs_checkpoint *checkpoint);

/* Chooses the state_dict: the one at `key` ("a.b.0"), or with NULL the only candidate.
 * Errors: CS_ERROR_ARGUMENT (no such key; several candidates), CS_ERROR_MISMATCH (none),
 * CS_ERROR_UNSUPPORTED (a pickled module; an entry that is not a plain tensor), CS_ERROR_FORMAT
 * (two tensors of one name), CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status cs_checkpoint_select(cs_checkpoint *checkpoint, const char *key, cs_error *err);

/* The index of the chosen state_dict's tensor of this name, or -1. */
int64_t cs_checkpoint_find(const cs_checkpoint *checkpoint, const char *name);

/* The tensor of this name, or NULL. */
const cs_stored_tensor *cs_checkpoint_tensor(const cs_checkpoint *checkpoint, const char *name);

/* Reads a tensor's values as float32 in C order: exact for float32, float16, bfloat16 and small
 * integers, rounded to nearest for float64. `out` takes t->numel floats. If `crc` is not NULL it
 * receives the CRC-32 of their bytes where it fell out of the reading, with *crc_known set.
 * Errors: CS_ERROR_UNSUPPORTED (complex and the like), CS_ERROR_FORMAT, CS_ERROR_IO,
 * CS_ERROR_MEMORY. */
cs_status cs_checkpoint_read(cs_checkpoint *checkpoint, const cs_stored_tensor *t, float *out,
                             uint32_t *crc, bool *crc_known, cs_error *err);

/* ---- parts of cs_checkpoint_open ---- */

typedef enum cs_container {
    CS_CONTAINER_ZIP,
    CS_CONTAINER_LEGACY,
    CS_CONTAINER_SAFETENSORS,
} cs_container;

/* Refuses, by name and with advice, what is none of the three. */
cs_status cs_checkpoint_sniff(const cs_source *source, cs_container *container, cs_error *err);
cs_status cs_checkpoint_open_zip(cs_checkpoint *checkpoint, cs_error *err);
cs_status cs_checkpoint_open_legacy(cs_checkpoint *checkpoint, cs_error *err);
cs_status cs_checkpoint_open_safetensors(cs_checkpoint *checkpoint, cs_error *err);

/* ---- parts of cs_checkpoint_select ---- */

/* Finds the dict of tensors and fills in key and the dropped entries beside it (state_find.c). */
cs_status cs_checkpoint_find_dict(cs_checkpoint *checkpoint, const char *key, uint32_t *dict,
                                  cs_error *err);
/* Adds a name to the dropped entries. */
cs_status cs_checkpoint_drop(cs_checkpoint *checkpoint, const char *text, size_t size,
                             cs_error *err);

#endif
