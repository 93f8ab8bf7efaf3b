/* cnnscope_types.h - the words that every part of cnnscope speaks: status codes, errors, tensors.
 *
 * Included by cnnscope.h; nothing here allocates except where a comment says so.
 */
#ifndef CNNSCOPE_TYPES_H
#define CNNSCOPE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ status and error ---- */

/* What a call that can fail returns. The numbers are stable; the command line's exit codes are
 * derived from them by cs_status_exit_code. */
typedef enum cs_status {
    CS_OK = 0,
    CS_ERROR_ARGUMENT = 1,     /* a wrong call or option                              (exit 2) */
    CS_ERROR_IO = 2,           /* an input cannot be opened or read                   (exit 3) */
    CS_ERROR_FORMAT = 3,       /* an input file is damaged or malformed               (exit 3) */
    CS_ERROR_UNSUPPORTED = 4,  /* an input is well formed, but not for this program   (exit 3) */
    CS_ERROR_MISMATCH = 5,     /* checkpoint, manifest and model do not fit together  (exit 4) */
    CS_ERROR_NUMERIC = 6,      /* NaN or infinity                                     (exit 5) */
    CS_ERROR_OUTPUT = 7,       /* an output cannot be written, or exists already      (exit 6) */
    CS_ERROR_LIMIT = 8,        /* a limit of the program is exceeded                  (exit 6) */
    CS_ERROR_MEMORY = 9,       /* memory is exhausted                                 (exit 6) */
    CS_ERROR_STATE = 10,       /* calls in the wrong order                            (exit 2) */
    CS_ERROR_INTERRUPTED = 11, /* the user or a hook stopped the work                 (exit 130) */
} cs_status;

/* Where and why a call failed. The caller owns it (usually on the stack); a failing call fills it
 * whole, a successful one leaves it alone. Every function accepts NULL for it. */
typedef struct cs_error {
    cs_status code;
    int64_t offset;    /* byte offset in the file, or -1 */
    char subject[256]; /* file, node or tensor concerned, or "" */
    char text[1024];   /* one line: what was wrong, what was expected, what to do */
} cs_error;

#if defined(__GNUC__)
#define CS_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define CS_PRINTF(format_index, first)
#endif

/* Fills *err (which may be NULL) and returns `code`, so that `return cs_error_set(...)` reads well.
 * `subject` may be NULL; `offset` is -1 where none applies. Control characters are made visible. */
cs_status cs_error_set(cs_error *err, cs_status code, const char *subject, int64_t offset,
                       const char *format, ...) CS_PRINTF(5, 6);

/* A short stable word for a status: "format", "mismatch", ... Never NULL; static storage. */
const char *cs_status_name(cs_status status);

/* The command line's exit code for a status (0, 2, 3, 4, 5, 6 or 130). */
int cs_status_exit_code(cs_status status);

/* Returns `code` with a formatted text from the enclosing function unless `condition` holds.
 * Expects a `cs_error *err` in scope. Use cs_error_set where a subject or an offset is known. */
#define CS_CHECK(condition, code, ...)                                                             \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return cs_error_set(err, (code), NULL, -1, __VA_ARGS__);                               \
    } while (0)

/* Returns the status of `expression` from the enclosing function unless it is CS_OK. */
#define CS_TRY(expression)                                                                         \
    do {                                                                                           \
        cs_status cs_try_status = (expression);                                                    \
        if (cs_try_status != CS_OK)                                                                \
            return cs_try_status;                                                                  \
    } while (0)

/* ------------------------------------------------------------------------- tensors ------- */

typedef enum cs_dtype {
    CS_F32 = 0,
    CS_F64 = 1,
} cs_dtype;

/* The size of one element in bytes. */
size_t cs_dtype_size(cs_dtype dtype);

/* "f32" or "f64"; static storage. */
const char *cs_dtype_name(cs_dtype dtype);

/* A view of N x C x H x W numbers that somebody else owns (whoever hands it out says for how long).
 * Memory is dense and channels-last: element (n, c, h, w) lies at ((n*H + h)*W + w)*C + c.
 * A vector per image (logits) has h = w = 1. */
typedef struct cs_tensor {
    cs_dtype dtype;
    int64_t n, c, h, w;
    void *data;
} cs_tensor;

/* Number of elements, n*c*h*w. */
int64_t cs_tensor_count(const cs_tensor *t);

/* One element, widened to double. The indices must lie inside the tensor. */
double cs_tensor_at(const cs_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w);

/* Sets one element, rounded to the tensor's type. The indices must lie inside the tensor. */
void cs_tensor_set(cs_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w, double value);

/* Copies the whole tensor, in its own type, into `out` (cs_tensor_count elements) in N, C, H, W
 * order, as PyTorch's contiguous tensors and .npy files have it. */
void cs_tensor_copy_nchw(const cs_tensor *t, void *out);

/* The reverse: fills `t` from values in N, C, H, W order of the same type. */
void cs_tensor_fill_nchw(cs_tensor *t, const void *values);

/* Allocates the data of a tensor (zeroed, 64-byte aligned). The caller frees it with
 * cs_tensor_release. Errors: CS_ERROR_LIMIT for a size that overflows or a dimension < 0,
 * CS_ERROR_MEMORY. */
cs_status cs_tensor_allocate(cs_tensor *t, cs_dtype dtype, int64_t n, int64_t c, int64_t h,
                             int64_t w, cs_error *err);

/* Frees what cs_tensor_allocate gave and clears the view. Accepts NULL and cleared views. */
void cs_tensor_release(cs_tensor *t);

/* ------------------------------------------------------------------ attributes ----------- */

/* Attributes of a node, in PyTorch's words. Fields that an operation does not have are 0. */
typedef struct cs_node_attributes {
    int64_t out_channels;   /* conv2d, linear: K */
    int64_t kernel_size[2]; /* conv2d, pools: R, S */
    int64_t stride[2];
    int64_t padding[2];
    int64_t dilation[2];
    int64_t groups;
    bool ceil_mode;          /* pools */
    bool count_include_pad;  /* avg_pool2d */
    double eps;              /* batch_norm */
    int64_t pad_channels[2]; /* shortcut_a: zero channels before and behind */
} cs_node_attributes;

#ifdef __cplusplus
}
#endif

#endif
