/* pickle.h - the values of a pickle, read as data: a protocol-2 machine with the 34 operations that
 * torch.save uses. Nothing that a pickle names is looked up or called: the constructors of tensors
 * are known by name, everything else becomes an opaque value.
 *
 * All values live in one arena and refer to each other by index, so sharing and cycles cost
 * nothing and nobody walks them recursively. Strings point into the pickle's bytes.
 */
#ifndef CS_PICKLE_H
#define CS_PICKLE_H

#include "source_file.h"

#define CS_PICKLE_BYTES_MAX    (64u << 20)
#define CS_PICKLE_OPCODES_MAX  10000000u
#define CS_PICKLE_VALUES_MAX   4000000u
#define CS_PICKLE_MEMO_MAX     1000000u
#define CS_PICKLE_STACK_MAX    1000000u
#define CS_PICKLE_STORAGES_MAX 65536u
#define CS_PICKLE_DIMS_MAX     8

#define CS_NO_VALUE UINT32_MAX

typedef enum cs_value_kind {
    CS_VALUE_NONE,
    CS_VALUE_BOOL,
    CS_VALUE_INT,
    CS_VALUE_BIG_INT, /* does not fit in 64 bits */
    CS_VALUE_FLOAT,
    CS_VALUE_STRING, /* UTF-8 */
    CS_VALUE_BYTES,  /* a Python 2 string that is not UTF-8 */
    CS_VALUE_TUPLE,
    CS_VALUE_LIST,
    CS_VALUE_DICT,
    CS_VALUE_GLOBAL,  /* a name that this machine knows */
    CS_VALUE_STORAGE, /* a persistent id */
    CS_VALUE_TENSOR,
    CS_VALUE_OPAQUE,         /* a name that it does not know, or whatever was made with it */
    CS_VALUE_MODULE,         /* an opaque object with the state of a torch.nn.Module */
    CS_VALUE_FOREIGN_TENSOR, /* a sparse, quantized, nested... tensor */
} cs_value_kind;

/* The types of a storage's elements. */
typedef enum cs_element {
    CS_ELEMENT_F32,
    CS_ELEMENT_F64,
    CS_ELEMENT_F16,
    CS_ELEMENT_BF16,
    CS_ELEMENT_I64,
    CS_ELEMENT_I32,
    CS_ELEMENT_I16,
    CS_ELEMENT_I8,
    CS_ELEMENT_U8,
    CS_ELEMENT_BOOL,
    CS_ELEMENT_UNTYPED, /* bytes; the tensor says what they are */
    CS_ELEMENT_FOREIGN, /* the first of those known by name and size alone: complex, quantized... */
    CS_ELEMENT_COUNT = CS_ELEMENT_FOREIGN + 19,
} cs_element;

size_t cs_element_size(cs_element element);
const char *cs_element_name(cs_element element); /* "float32", "complex64", ... */

/* What a known name means. */
typedef enum cs_global {
    CS_GLOBAL_OPAQUE,
    CS_GLOBAL_DICT,
    CS_GLOBAL_TENSOR_V1,
    CS_GLOBAL_TENSOR_V2,
    CS_GLOBAL_TENSOR_V3,
    CS_GLOBAL_PARAMETER, /* any function whose first argument is the tensor */
    CS_GLOBAL_SIZE,
    CS_GLOBAL_FROM_TYPE,
    CS_GLOBAL_TENSOR_CLASS,
    CS_GLOBAL_STORAGE,
    CS_GLOBAL_DTYPE,
    CS_GLOBAL_FOREIGN_TENSOR,
} cs_global;

/* Looks a name up; *element is set for storages and dtypes. */
cs_global cs_global_find(const char *module, size_t module_size, const char *name, size_t name_size,
                         cs_element *element);

/* A member of a tuple or list (key unused), or an entry of a dict. */
typedef struct cs_cell {
    uint32_t key, value, next;
} cs_cell;

typedef struct cs_value {
    uint8_t kind;
    uint8_t global;  /* GLOBAL: cs_global */
    uint8_t element; /* GLOBAL: cs_element */
    union {
        int64_t integer; /* INT, BOOL */
        double real;
        struct {
            const char *text;
            uint32_t size;
        } string;
        struct {
            uint32_t first, last, count; /* cells */
        } items;                         /* TUPLE, LIST, DICT */
        struct {
            uint32_t storage; /* index into storages */
            uint32_t view;    /* index into views, or CS_NO_VALUE */
        } stored;
        uint32_t index; /* TENSOR: into tensors; OPAQUE, MODULE, FOREIGN_TENSOR: into opaques */
    } as;
} cs_value;

typedef struct cs_storage {
    char *key; /* letters and digits; owned; NULL in a safetensors file */
    cs_element element;
    uint64_t numel;  /* bytes for CS_ELEMENT_UNTYPED */
    uint64_t offset; /* of its bytes in the file; set by the checkpoint */
    bool located, verified;
    const void *entry; /* zip: the cs_zip_entry */
} cs_storage;

/* A part of a storage that counts as one of its own (legacy files), in elements. */
typedef struct cs_storage_view {
    uint64_t offset, size;
} cs_storage_view;

/* A tensor: bounds are checked against its storage's declared size. */
typedef struct cs_stored_tensor {
    uint32_t storage;
    cs_element element;
    int dims;
    int64_t shape[CS_PICKLE_DIMS_MAX];
    int64_t stride[CS_PICKLE_DIMS_MAX];
    uint64_t offset;  /* elements from the storage's begin */
    uint64_t numel;   /* elements */
    uint64_t extent;  /* elements from the first to the last, both included; 0 where numel is */
    int64_t position; /* byte in the file where it was rebuilt, for errors */
} cs_stored_tensor;

typedef struct cs_opaque {
    char *name; /* "module.name", control characters made visible */
    bool executes;
} cs_opaque;

typedef struct cs_pickle {
    const cs_source *source;
    unsigned char *data; /* the bytes, owned */
    size_t size;
    uint64_t base; /* the file offset of data[0] */
    bool legacy;   /* persistent ids have a view */
    bool cut;      /* the file goes on behind the bytes: they end at this program's limit */
    uint64_t opcodes;
    cs_value *values;
    size_t value_count, value_capacity;
    cs_cell *cells;
    size_t cell_count, cell_capacity;
    cs_storage *storages;
    size_t storage_count, storage_capacity;
    uint32_t *storage_table; /* open addressing by key, CS_NO_VALUE is free */
    size_t storage_table_size;
    cs_storage_view *views;
    size_t view_count, view_capacity;
    cs_stored_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    cs_opaque *opaques;
    size_t opaque_count, opaque_capacity;
} cs_pickle;

/* Takes over `data` (freed with free()). The caller frees *pickle with cs_pickle_release, also
 * after an error. Errors: CS_ERROR_MEMORY. */
cs_status cs_pickle_init(cs_pickle *pickle, const cs_source *source, unsigned char *data,
                         size_t size, uint64_t base, bool legacy, cs_error *err);
void cs_pickle_release(cs_pickle *pickle);

/* Reads the pickle that begins at data[*at]; *at becomes the byte behind its STOP, *root its value.
 * Errors: CS_ERROR_FORMAT, CS_ERROR_UNSUPPORTED, CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status cs_pickle_run(cs_pickle *pickle, size_t *at, uint32_t *root, cs_error *err);

/* The value of a string key of a dict (the last of several), or CS_NO_VALUE. */
uint32_t cs_pickle_lookup(const cs_pickle *pickle, uint32_t dict, const char *key);

/* ---- between the machine and its constructors (pickle_build.c) ---- */

/* Fills `out` with at most `limit` members of a tuple or list; returns how many it has. */
size_t cs_pickle_items(const cs_pickle *pickle, uint32_t container, uint32_t *out, size_t limit);
/* Appends a value; *index is its number. */
cs_status cs_pickle_add(cs_pickle *pickle, cs_value value, uint32_t *index, cs_error *err);
/* Appends a member to a tuple, list or dict. */
cs_status cs_pickle_append(cs_pickle *pickle, uint32_t container, uint32_t key, uint32_t value,
                           cs_error *err);
/* Whether a value is an integer >= 0 (a bool is not), and which. */
bool cs_pickle_natural(const cs_pickle *pickle, uint32_t value, uint64_t *out);
/* GLOBAL: the value of a name. `at` is the byte in the file of the operation, here and below. */
cs_status cs_pickle_global(cs_pickle *pickle, const char *module, size_t module_size,
                           const char *name, size_t name_size, uint32_t *out, cs_error *err);
/* REDUCE, NEWOBJ: function(*arguments), which must be a tuple. */
cs_status cs_pickle_call(cs_pickle *pickle, uint32_t function, uint32_t arguments, int64_t at,
                         uint32_t *out, cs_error *err);
/* BINPERSID. */
cs_status cs_pickle_persistent(cs_pickle *pickle, uint32_t id, int64_t at, uint32_t *out,
                               cs_error *err);
/* BUILD: gives `state` to `object`. */
cs_status cs_pickle_set_state(cs_pickle *pickle, uint32_t object, uint32_t state, int64_t at,
                              cs_error *err);
/* The text of a storage's key. */
cs_status cs_pickle_storage_key(const cs_pickle *pickle, uint32_t value, char out[64], int64_t at,
                                cs_error *err);
/* Finds a storage by its key, or NULL. */
cs_storage *cs_pickle_find_storage(const cs_pickle *pickle, const char *key);

/* What a value is, for errors: "a tuple". */
const char *cs_value_kind_name(cs_value_kind kind);

#endif
