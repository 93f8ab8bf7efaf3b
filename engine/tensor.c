/* tensor.c - views of N x C x H x W numbers in channels-last memory. */
#include "base.h"

#include <stdlib.h>
#include <string.h>

/* Pixels that a transposition handles at a time, so that both sides stay in the L1 cache. */
#define PIXEL_TILE 32

size_t cs_dtype_size(cs_dtype dtype) { return dtype == CS_F64 ? sizeof(double) : sizeof(float); }

const char *cs_dtype_name(cs_dtype dtype) { return dtype == CS_F64 ? "f64" : "f32"; }

int64_t cs_tensor_count(const cs_tensor *t) { return t->n * t->c * t->h * t->w; }

static size_t element_index(const cs_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w) {
    return (size_t)(((n * t->h + h) * t->w + w) * t->c + c);
}

double cs_tensor_at(const cs_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w) {
    size_t i = element_index(t, n, c, h, w);
    return t->dtype == CS_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

void cs_tensor_set(cs_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w, double value) {
    size_t i = element_index(t, n, c, h, w);
    if (t->dtype == CS_F64)
        ((double *)t->data)[i] = value;
    else
        ((float *)t->data)[i] = (float)value;
}

/* Transposes rows x columns elements of 4 or 8 bytes: out[column][row] = in[row][column]. Integers
 * carry the bits, NaN payloads included. */
static void transpose(void *out, const void *in, size_t rows, size_t columns, size_t element) {
    for (size_t r0 = 0; r0 < rows; r0 += PIXEL_TILE) {
        size_t r1 = rows - r0 < PIXEL_TILE ? rows : r0 + PIXEL_TILE;
        for (size_t c = 0; c < columns; c++) {
            if (element == sizeof(uint64_t)) {
                for (size_t r = r0; r < r1; r++)
                    ((uint64_t *)out)[c * rows + r] = ((const uint64_t *)in)[r * columns + c];
            } else {
                for (size_t r = r0; r < r1; r++)
                    ((uint32_t *)out)[c * rows + r] = ((const uint32_t *)in)[r * columns + c];
            }
        }
    }
}

void cs_tensor_copy_nchw(const cs_tensor *t, void *out) {
    size_t element = cs_dtype_size(t->dtype), pixels = (size_t)(t->h * t->w);
    size_t image = pixels * (size_t)t->c * element;
    for (size_t n = 0; n < (size_t)t->n; n++)
        transpose((char *)out + n * image, (const char *)t->data + n * image, pixels, (size_t)t->c,
                  element);
}

void cs_tensor_fill_nchw(cs_tensor *t, const void *values) {
    size_t element = cs_dtype_size(t->dtype), pixels = (size_t)(t->h * t->w);
    size_t image = pixels * (size_t)t->c * element;
    for (size_t n = 0; n < (size_t)t->n; n++)
        transpose((char *)t->data + n * image, (const char *)values + n * image, (size_t)t->c,
                  pixels, element);
}

cs_status cs_tensor_allocate(cs_tensor *t, cs_dtype dtype, int64_t n, int64_t c, int64_t h,
                             int64_t w, cs_error *err) {
    *t = (cs_tensor){.dtype = dtype};
    size_t size = cs_dtype_size(dtype);
    bool fits = n >= 0 && c >= 0 && h >= 0 && w >= 0;
    /* Zero counts as one here, so that the product of the others cannot overflow behind it. */
    const int64_t dims[4] = {n, c, h, w};
    for (int i = 0; i < 4 && fits; i++)
        fits = cs_size_mul(size, dims[i] == 0 ? 1 : (size_t)dims[i], &size);
    CS_CHECK(fits && size <= PTRDIFF_MAX - 64, CS_ERROR_LIMIT,
             "a tensor of %lld x %lld x %lld x %lld %s values is not possible", (long long)n,
             (long long)c, (long long)h, (long long)w, cs_dtype_name(dtype));
    void *data = aligned_alloc(64, cs_align64(size));
    CS_CHECK(data != NULL, CS_ERROR_MEMORY, "out of memory: a tensor needs %zu bytes", size);
    memset(data, 0, cs_align64(size));
    *t = (cs_tensor){.dtype = dtype, .n = n, .c = c, .h = h, .w = w, .data = data};
    return CS_OK;
}

void cs_tensor_release(cs_tensor *t) {
    if (t == NULL)
        return;
    free(t->data);
    *t = (cs_tensor){.dtype = t->dtype};
}
