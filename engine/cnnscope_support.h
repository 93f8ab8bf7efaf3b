/* cnnscope_support.h - small tools that the engine, the converter and the CAM tools share:
 * random numbers, exp and log, SHA-256, a strict JSON checker, whole-file reading, .npy.
 *
 * All functions are thread-safe; none keeps state.
 */
#ifndef CNNSCOPE_SUPPORT_H
#define CNNSCOPE_SUPPORT_H

#include "cnnscope_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ random numbers ------- */

/* SplitMix64 (Steele, Lea, Flood 2014): the state is advanced by 0x9E3779B97F4A7C15, then mixed.
 * A stream is its 64-bit state; `cs_random r = {seed}` starts one. See docs/arithmetic.md. */
typedef struct cs_random {
    uint64_t state;
} cs_random;

/* The next 64 bits. */
uint64_t cs_random_next(cs_random *random);

/* Uniform in [0, 1): the upper 53 bits times 2^-53, exact. */
double cs_random_uniform(cs_random *random);

/* Fills `t` in N, C, H, W order with (next >> 40) * 2^-22 - 2: uniform in [-2, 2), exact in
 * float32. This is the golden input of a seed. */
void cs_random_fill_input(cs_random *random, cs_tensor *t);

/* ------------------------------------------------------------------ arithmetic ----------- */

/* exp(x) and log(x) in double by a fixed sequence of IEEE operations (docs/arithmetic.md), the same
 * bits on every machine; within 1 ulp. exp overflows to infinity above 709.78 and gives 0 below
 * -745.2; log(0) = -infinity, log of a negative number or NaN = NaN. */
double cs_exp(double x);
double cs_log(double x);

/* Softmax of image n of a tensor with h = w = 1: out[c], c < t->c, in double (maximum subtracted,
 * cs_exp, sums ascending). */
void cs_softmax(const cs_tensor *t, int64_t n, double *out);

/* ------------------------------------------------------------------ time ----------------- */

/* A clock that only goes forward, in seconds; its zero is arbitrary. */
double cs_seconds(void);

/* ------------------------------------------------------------------ hashes --------------- */

#define CS_SHA256_HEX_SIZE 65 /* 64 digits and a NUL */

/* SHA-256 of `size` bytes as lower-case hexadecimal. */
void cs_sha256_hex(const void *data, size_t size, char out[CS_SHA256_HEX_SIZE]);

/* SHA-256 of the little-endian N, C, H, W values of a tensor in its own type; every NaN is written
 * as the quiet NaN 0x7FC00000 (f64: 0x7FF8000000000000). Errors: CS_ERROR_MEMORY. */
cs_status cs_tensor_sha256(const cs_tensor *t, char out[CS_SHA256_HEX_SIZE], cs_error *err);

/* CRC-32 (zlib's) of `size` bytes. */
uint32_t cs_crc32(const void *data, size_t size);

/* ------------------------------------------------------------------ JSON ----------------- */

/* Checks that text[0..size) is one JSON value in strict RFC 8259 syntax: UTF-8 without NUL or lone
 * surrogates, no duplicate keys in an object (compared after unescaping), nesting of at most
 * `depth`, integers (numbers without '.', 'e', 'E') within +-(2^53 - 1), other numbers finite in
 * double, nothing after the value but white space. cJSON, which is lenient, may parse what passes.
 * `subject` names the file in errors. Errors: CS_ERROR_FORMAT with the byte offset (of the text),
 * CS_ERROR_MEMORY. */
cs_status cs_json_check(const char *text, size_t size, int depth, const char *subject,
                        cs_error *err);

/* ------------------------------------------------------------------ files ---------------- */

/* Reads a whole regular file of at most `limit` bytes into memory: *data (NUL-terminated behind
 * *size bytes), which the caller frees with free(). Errors: CS_ERROR_IO, CS_ERROR_LIMIT (larger),
 * CS_ERROR_MEMORY. */
cs_status cs_file_read(const char *path, size_t limit, char **data, size_t *size, cs_error *err);

/* Writes data to PATH through PATH.partial-<pid> with fsync and rename: PATH is complete or as it
 * was. Errors: CS_ERROR_OUTPUT. */
cs_status cs_file_write(const char *path, const void *data, size_t size, cs_error *err);

/* Writes a tensor as a .npy file (version 1.0, '<f4' or '<f8', C order, N, C, H, W), as
 * cs_file_write does. `dims` of 4 writes the shape (N, C, H, W), 2 writes (N, C) and needs
 * h = w = 1; a map without channels (n = c = 1) may be written with dims 2 as (H, W) through
 * cs_npy_write_map. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY, CS_ERROR_ARGUMENT. */
cs_status cs_npy_write(const char *path, const cs_tensor *t, int dims, cs_error *err);
cs_status cs_npy_write_map(const char *path, const cs_tensor *t, cs_error *err);

/* Writes raw little-endian bytes behind a .npy header: `descr` is numpy's ("<f4", "|u1", "<i8"),
 * `shape` has `dims` entries. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY. */
cs_status cs_npy_write_raw(const char *path, const char *descr, const int64_t *shape, int dims,
                           const void *data, size_t size, cs_error *err);

/* Reads a .npy of '<f4' or '<f8', C order, with 1 to 4 dimensions: shape (N, C, H, W), (C, H, W)
 * with n = 1, (N, C), or (C). *t is allocated; the caller frees it with cs_tensor_release.
 * Errors: CS_ERROR_IO, CS_ERROR_FORMAT, CS_ERROR_UNSUPPORTED, CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status cs_npy_read(const char *path, cs_tensor *t, cs_error *err);

/* The raw values of a .npy in C order with 1 to 4 dimensions: bool, integers or floats,
 * little-endian ("|b1", "|u1", "<i4", "<i8", "<f4", "<f8"). */
typedef struct cs_npy_array {
    char descr[8];
    int dims;
    int64_t shape[4]; /* `dims` entries */
    void *data;       /* the caller frees it with free() */
} cs_npy_array;

/* Errors: as cs_npy_read. */
cs_status cs_npy_read_raw(const char *path, cs_npy_array *array, cs_error *err);

#ifdef __cplusplus
}
#endif

#endif
