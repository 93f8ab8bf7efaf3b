/* npy.c - numpy's .npy files: a short text header, then the raw values.
 *
 * The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#include "base.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC      "\x93NUMPY"
#define MAGIC_SIZE 6
/* A .npy input is read whole; one of float64 of this size has 128 million values. */
#define LARGEST_FILE   ((size_t)1 << 30)
#define LARGEST_HEADER 4096

/* ------------------------------------------------------------------ writing -------------- */

/* Writes the header with its padding into out[0..256) and returns its size, a multiple of 64;
 * 0 where it does not fit. */
static size_t make_header(char out[256], const char *descr, const int64_t *shape, int dims) {
    char dict[200];
    int used =
        snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < dims && used > 0 && (size_t)used < sizeof dict; i++)
        used += snprintf(dict + used, sizeof dict - (size_t)used, "%s%" PRId64, i == 0 ? "" : ", ",
                         shape[i]);
    if (used > 0 && (size_t)used < sizeof dict)
        used += snprintf(dict + used, sizeof dict - (size_t)used, "%s), }", dims == 1 ? "," : "");
    if (used <= 0 || (size_t)used >= sizeof dict)
        return 0;
    size_t prefix = MAGIC_SIZE + 4, total = cs_align64(prefix + (size_t)used + 1);
    memset(out, ' ', total);
    memcpy(out, MAGIC, MAGIC_SIZE);
    out[6] = 1; /* version 1.0 */
    out[7] = 0;
    out[8] = (char)((total - prefix) & 255);
    out[9] = (char)((total - prefix) >> 8);
    memcpy(out + prefix, dict, (size_t)used);
    out[total - 1] = '\n';
    return total;
}

/* The whole file with room for `size` bytes of values at *values; NULL without memory. */
static char *make_file(const char *descr, const int64_t *shape, int dims, size_t size,
                       char **values, size_t *file_size) {
    char header[256];
    size_t header_size = make_header(header, descr, shape, dims);
    if (header_size == 0 || !cs_size_add(header_size, size, file_size))
        return NULL;
    char *file = malloc(*file_size);
    if (file != NULL) {
        memcpy(file, header, header_size);
        *values = file + header_size;
    }
    return file;
}

static cs_status no_memory(const char *path, size_t size, cs_error *err) {
    return cs_error_set(err, CS_ERROR_MEMORY, path, -1, "%s: no memory for %zu bytes", path, size);
}

cs_status cs_npy_write_raw(const char *path, const char *descr, const int64_t *shape, int dims,
                           const void *data, size_t size, cs_error *err) {
    char *values = NULL;
    size_t file_size = 0;
    char *file = make_file(descr, shape, dims, size, &values, &file_size);
    if (file == NULL)
        return no_memory(path, size, err);
    if (size > 0)
        memcpy(values, data, size);
    cs_status status = cs_file_write(path, file, file_size, err);
    free(file);
    return status;
}

static cs_status write_shaped(const char *path, const cs_tensor *t, const int64_t *shape, int dims,
                              cs_error *err) {
    char *values = NULL;
    size_t size = (size_t)cs_tensor_count(t) * cs_dtype_size(t->dtype), file_size = 0;
    char *file =
        make_file(t->dtype == CS_F64 ? "<f8" : "<f4", shape, dims, size, &values, &file_size);
    if (file == NULL)
        return no_memory(path, size, err);
    cs_tensor_copy_nchw(t, values);
    cs_status status = cs_file_write(path, file, file_size, err);
    free(file);
    return status;
}

cs_status cs_npy_write(const char *path, const cs_tensor *t, int dims, cs_error *err) {
    const int64_t shape[4] = {t->n, t->c, t->h, t->w};
    CS_CHECK(dims == 4 || (dims == 2 && t->h == 1 && t->w == 1), CS_ERROR_ARGUMENT,
             "%s: %d dimensions do not hold a tensor of %" PRId64 " x %" PRId64 " x %" PRId64
             " x %" PRId64,
             path, dims, t->n, t->c, t->h, t->w);
    return write_shaped(path, t, shape, dims, err);
}

cs_status cs_npy_write_map(const char *path, const cs_tensor *t, cs_error *err) {
    const int64_t shape[2] = {t->h, t->w};
    CS_CHECK(t->n == 1 && t->c == 1, CS_ERROR_ARGUMENT,
             "%s: a map has one image and one channel, not %" PRId64 " and %" PRId64, path, t->n,
             t->c);
    return write_shaped(path, t, shape, 2, err);
}

/* ------------------------------------------------------------------ reading -------------- */

/* What a header says, and where reading it stands. */
typedef struct header_reader {
    const char *path;
    const char *start, *at, *end; /* file, position, end of the header's text */
    char descr[8];
    bool fortran_order;
    int64_t shape[4];
    int dims;
    cs_error *err;
} header_reader;

static cs_status refuse(const header_reader *r, const char *what) {
    return cs_error_set(r->err, CS_ERROR_FORMAT, r->path, r->at - r->start,
                        "%s: byte %td: %s; a .npy header as numpy.save writes it is expected",
                        r->path, r->at - r->start, what);
}

static void skip_spaces(header_reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n'))
        r->at++;
}

/* Passes over `text`, with spaces before it, if it comes next. */
static bool accept(header_reader *r, const char *text) {
    size_t length = strlen(text);
    skip_spaces(r);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, text, length) != 0)
        return false;
    r->at += length;
    return true;
}

static cs_status read_shape(header_reader *r) {
    if (!accept(r, "("))
        return refuse(r, "the shape is no tuple");
    for (r->dims = 0; !accept(r, ")"); r->dims++) {
        skip_spaces(r);
        if (r->dims == 4)
            return cs_error_set(r->err, CS_ERROR_UNSUPPORTED, r->path, r->at - r->start,
                                "%s: has more than 4 dimensions (N, C, H, W are expected)",
                                r->path);
        int64_t value = 0;
        const char *first = r->at;
        for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
            if (__builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, *r->at - '0', &value))
                return refuse(r, "a dimension is too large");
        if (r->at == first)
            return refuse(r, "a dimension is no number");
        r->shape[r->dims] = value;
        if (accept(r, ","))
            continue;
        skip_spaces(r);
        if (r->at == r->end || *r->at != ')' || r->dims == 0)
            return refuse(r, "expected ',' or ')' in the shape");
    }
    return CS_OK;
}

static cs_status read_descr(header_reader *r) {
    size_t used = 0;
    if (!accept(r, "'"))
        return refuse(r, "the type is no string (structured types are not read)");
    while (r->at < r->end && *r->at != '\'') {
        if (used + 1 >= sizeof r->descr)
            return refuse(r, "the type's name is too long");
        r->descr[used++] = *r->at++;
    }
    r->descr[used] = '\0';
    return accept(r, "'") ? CS_OK : refuse(r, "a string is not closed");
}

/* Reads the dictionary with its three keys, in any order. */
static cs_status read_dict(header_reader *r) {
    unsigned seen = 0;
    if (!accept(r, "{"))
        return refuse(r, "the header is no dictionary");
    while (!accept(r, "}")) {
        unsigned which = accept(r, "'descr'")           ? 1
                         : accept(r, "'fortran_order'") ? 2
                         : accept(r, "'shape'")         ? 4
                                                        : 0;
        if (which == 0 || (seen & which) != 0)
            return refuse(r, "unknown or repeated key");
        seen |= which;
        if (!accept(r, ":"))
            return refuse(r, "expected ':'");
        if (which == 1)
            CS_TRY(read_descr(r));
        else if (which == 4)
            CS_TRY(read_shape(r));
        else if (accept(r, "True"))
            r->fortran_order = true;
        else if (!accept(r, "False"))
            return refuse(r, "fortran_order is neither True nor False");
        if (!accept(r, ",")) {
            if (!accept(r, "}"))
                return refuse(r, "expected ',' or '}'");
            break;
        }
    }
    skip_spaces(r);
    if (seen != 7 || r->at != r->end)
        return refuse(r, seen != 7 ? "a key is missing" : "something follows the dictionary");
    return CS_OK;
}

/* Finds the header's text and where the values begin. */
static cs_status read_header(header_reader *r, size_t size, size_t *values) {
    const unsigned char *p = (const unsigned char *)r->start;
    if (size < MAGIC_SIZE + 4 || memcmp(p, MAGIC, MAGIC_SIZE) != 0)
        return refuse(r, "no .npy file: the magic is missing");
    r->at = r->start + MAGIC_SIZE;
    size_t prefix = MAGIC_SIZE + 4, length = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] < 1 || p[6] > 3 || p[7] != 0)
        return cs_error_set(r->err, CS_ERROR_UNSUPPORTED, r->path, MAGIC_SIZE,
                            "%s: .npy version %d.%d is not known (1.0 to 3.0 are)", r->path, p[6],
                            p[7]);
    if (p[6] > 1) {
        prefix += 2;
        if (size < prefix)
            return refuse(r, "the file ends in its header");
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    }
    if (length > LARGEST_HEADER || length > size - prefix)
        return refuse(r, "the header is longer than the file or than 4096 bytes");
    r->at = r->start + prefix;
    r->end = r->at + length;
    *values = prefix + length;
    return read_dict(r);
}

/* Bytes of one element; 0 for a type that is not read. */
static size_t element_size(const char *descr) {
    static const char known[][4] = {"|b1", "|u1", "<i4", "<i8", "<f4", "<f8"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(descr, known[i]) == 0)
            return (size_t)(descr[2] - '0');
    return 0;
}

/* Reads the whole file: its header, and *values, where the values begin. The caller frees *file. */
static cs_status read_file(header_reader *r, char **file, size_t *values) {
    size_t size = 0;
    CS_TRY(cs_file_read(r->path, LARGEST_FILE, file, &size, r->err));
    r->start = r->at = r->end = *file;
    CS_TRY(read_header(r, size, values));
    if (r->fortran_order)
        return cs_error_set(r->err, CS_ERROR_UNSUPPORTED, r->path, -1,
                            "%s: is in Fortran order; save it with numpy.ascontiguousarray",
                            r->path);
    if (r->dims < 1)
        return cs_error_set(r->err, CS_ERROR_UNSUPPORTED, r->path, -1,
                            "%s: is a single number; 1 to 4 dimensions are expected", r->path);
    size_t wanted = element_size(r->descr);
    if (wanted == 0)
        return cs_error_set(r->err, CS_ERROR_UNSUPPORTED, r->path, -1,
                            "%s: has values of type '%s'; bool, uint8, int32, int64, float32 and "
                            "float64 are read",
                            r->path, r->descr);
    /* The file's size bounds the allocation that follows. */
    bool fits = true;
    int64_t s[4] = {1, 1, 1, 1};
    for (int i = 0; i < r->dims; i++) {
        s[i] = r->shape[i];
        fits = fits && cs_size_mul(wanted, (size_t)s[i], &wanted);
    }
    if (!fits || wanted != size - *values)
        return cs_error_set(r->err, CS_ERROR_FORMAT, r->path, (int64_t)*values,
                            "%s: has %zu bytes of values, which is not its shape %" PRId64
                            " x %" PRId64 " x %" PRId64 " x %" PRId64,
                            r->path, size - *values, s[0], s[1], s[2], s[3]);
    /* The values may start at any byte; moving them aligns them. */
    memmove(*file, *file + *values, wanted);
    return CS_OK;
}

cs_status cs_npy_read(const char *path, cs_tensor *t, cs_error *err) {
    char *file = NULL;
    size_t values = 0;
    cs_tensor read = {0};
    header_reader r = {.path = path, .err = err};
    cs_status status = read_file(&r, &file, &values);
    if (status == CS_OK && strcmp(r.descr, "<f4") != 0 && strcmp(r.descr, "<f8") != 0)
        status = cs_error_set(err, CS_ERROR_UNSUPPORTED, path, -1,
                              "%s: has values of type '%s'; '<f4' or '<f8' is expected: save it "
                              "with array.astype('<f4')",
                              path, r.descr);
    if (status == CS_OK) {
        const int64_t *s = r.shape;
        const int64_t shapes[4][4] = {
            {1, s[0], 1, 1}, {s[0], s[1], 1, 1}, {1, s[0], s[1], s[2]}, {s[0], s[1], s[2], s[3]}};
        const int64_t *d = shapes[r.dims - 1];
        status = cs_tensor_allocate(&read, strcmp(r.descr, "<f8") == 0 ? CS_F64 : CS_F32, d[0],
                                    d[1], d[2], d[3], err);
    }
    if (status == CS_OK) {
        cs_tensor_fill_nchw(&read, file);
        *t = read;
    }
    free(file);
    return status;
}

cs_status cs_npy_read_raw(const char *path, cs_npy_array *array, cs_error *err) {
    char *file = NULL;
    size_t values = 0;
    header_reader r = {.path = path, .err = err};
    const cs_status status = read_file(&r, &file, &values);
    if (status != CS_OK) {
        free(file);
        return status;
    }
    *array = (cs_npy_array){.dims = r.dims, .data = file};
    memcpy(array->descr, r.descr, sizeof array->descr);
    memcpy(array->shape, r.shape, (size_t)r.dims * sizeof *r.shape);
    return CS_OK;
}
