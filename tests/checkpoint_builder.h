/* checkpoint_builder.h - small checkpoints as torch.save writes them, made byte by byte in C: a
 * valid one first, in which a test then changes exactly one thing.
 */
#ifndef CHECKPOINT_BUILDER_H
#define CHECKPOINT_BUILDER_H

#include "cnnscope_types.h"

/* ------------------------------------------------------------------ bytes ---------------- */

typedef struct bytes {
    unsigned char *data;
    size_t size, capacity;
} bytes;

void bytes_put(bytes *b, const void *data, size_t size);
void bytes_text(bytes *b, const char *text); /* without its NUL */
void bytes_le(bytes *b, uint64_t value, int count);
void bytes_set(bytes *b, size_t at, uint64_t value, int count); /* overwrites, little-endian */
uint64_t bytes_get(const bytes *b, size_t at, int count);
void bytes_cut(bytes *b, size_t size);
void bytes_insert(bytes *b, size_t at, const void *data, size_t size);
void bytes_free(bytes *b);

/* ------------------------------------------------------------------ pickle --------------- */

void pickle_begin(bytes *b); /* PROTO 2 */
void pickle_global(bytes *b, const char *module, const char *name);
void pickle_string(bytes *b, const char *text);
void pickle_int(bytes *b, int64_t value); /* the shortest of BININT1, BININT2, BININT, LONG1 */
void pickle_ints(bytes *b, const int64_t *values, int count); /* a tuple */
void pickle_op(bytes *b, const char *codes);                  /* operations without arguments */

/* ------------------------------------------------------------------ a checkpoint --------- */

enum { BUILT_TENSORS_MAX = 32, BUILT_RECORDS_MAX = 48, BUILT_DIMS_MAX = 8 };

/* How a tensor is declared, and its storage's bytes. */
typedef struct built_tensor {
    char name[80];
    char type[32]; /* "FloatStorage" */
    char key[32];  /* of its storage */
    int64_t numel; /* of its storage, as declared */
    int64_t offset;
    int dims, strides;
    int64_t shape[BUILT_DIMS_MAX], stride[BUILT_DIMS_MAX];
    bytes data;      /* the storage; empty where another tensor has it */
    bool shared;     /* another tensor wrote this storage */
    int64_t view[2]; /* legacy: offset and size of a view, where view[1] > 0 */
} built_tensor;

typedef struct built_checkpoint {
    built_tensor tensors[BUILT_TENSORS_MAX];
    int count;
    const char *wrapper; /* NULL: the root is the state_dict; "state_dict": {wrapper: dict}; "[]": a
                            list of one */
    const char *prefix;  /* before each name */
    bool parameters;     /* tensors are wrapped by _rebuild_parameter */
    bool old_rebuild;    /* _rebuild_tensor with 4 arguments */
} built_checkpoint;

/* Values of the tensors: multiples of 1/64 in [-0.5, 0.5), variances in (0, 1]. */
float built_value(int tensor, int64_t index, bool variance);

/* A network of one stage: resnet:block=basic,layers=1,width=2 with 2 classes, 17 float32 tensors,
 * each with its storage. */
void built_tiny(built_checkpoint *c);
built_tensor *built_find(built_checkpoint *c, const char *name);

/* Stores a tensor's values as another type: "HalfStorage", "BFloat16Storage", "DoubleStorage". The
 * values are exact in each. */
void built_retype(built_tensor *t, const char *type);

/* Stores a tensor with its dimensions reversed in memory: contiguous no more. */
void built_transpose(built_tensor *t);

void built_free(built_checkpoint *c);

/* data.pkl: the wrapped state_dict. `legacy` writes persistent ids with a view. */
void built_pickle(const built_checkpoint *c, bool legacy, bytes *out);

/* ------------------------------------------------------------------ files ---------------- */

typedef struct built_record {
    char name[96]; /* "model/data/0" */
    bytes data;
} built_record;

typedef struct built_archive {
    built_record records[BUILT_RECORDS_MAX];
    int count;
} built_archive;

/* Where the parts of a written archive lie. */
typedef struct built_layout {
    size_t local[BUILT_RECORDS_MAX], data[BUILT_RECORDS_MAX], descriptor[BUILT_RECORDS_MAX];
    size_t central[BUILT_RECORDS_MAX];
    size_t directory, end64, locator, end;
} built_layout;

/* The records of torch.save: data.pkl, byteorder, data/0..., version, in the folder "model". */
void built_records(const built_checkpoint *c, built_archive *archive);
int built_record_find(const built_archive *archive, const char *name);
void built_archive_free(built_archive *archive);

/* A zip file as PyTorch's writer makes it. */
void built_zip(const built_archive *archive, bytes *out, built_layout *layout);

/* A legacy file; parts[i] is where pickle i begins, parts[5] the first storage. */
void built_legacy(const built_checkpoint *c, bytes *out, size_t parts[6]);

/* The JSON text of a .safetensors file: the tensors in their order, as the package writes it. */
void built_safetensors_header(const built_checkpoint *c, bytes *out);
/* The whole file, the header padded with spaces to a multiple of 8. */
void built_safetensors(const built_checkpoint *c, bytes *out);

/* "model.pth" with the tiny network in a folder: its path, in static storage. */
const char *built_tiny_file(const char *folder);

#endif
