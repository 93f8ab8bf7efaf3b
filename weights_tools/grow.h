/* grow.h - arrays that grow by doubling, under a limit. */
#ifndef CS_GROW_H
#define CS_GROW_H

#include "cnnscope_types.h"

/* Makes room for `need` elements of `size` bytes in the array *items of capacity *capacity. `what`
 * and `limit` name the bound: more than `limit` elements is CS_ERROR_LIMIT. */
cs_status cs_grow(void **items, size_t *capacity, size_t need, size_t size, size_t limit,
                  const char *what, cs_error *err);

/* A copy of at most 200 bytes of text for people: control characters and broken UTF-8 become '?'.
 * The caller frees it; NULL where memory is exhausted. */
char *cs_text_clean(const char *text, size_t size);

/* Whether text[0..size) is UTF-8 without surrogates and overlong forms. */
bool cs_utf8_valid(const char *text, size_t size);

/* Fills index[0..count) with the numbers 0.. in an order that sorts them by `before(context, a, b)`
 * ("a stands before b or is equal"); stable. qsort has no context, and the library no globals.
 * `scratch` has `count` entries. */
void cs_sort_indices(uint32_t *index, uint32_t *scratch, size_t count,
                     bool (*before)(const void *context, uint32_t a, uint32_t b),
                     const void *context);

/* A text that grows. `failed` is set once memory is exhausted; `data` is NUL-terminated. */
typedef struct cs_text {
    char *data;
    size_t size, capacity;
    bool failed;
} cs_text;

void cs_text_append(cs_text *text, const char *format, ...) CS_PRINTF(2, 3);
void cs_text_append_bytes(cs_text *text, const char *bytes, size_t size);
void cs_text_release(cs_text *text);

#endif
