/* grow.c - arrays and texts that grow. */
#include "grow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cs_status cs_grow(void **items, size_t *capacity, size_t need, size_t size, size_t limit,
                  const char *what, cs_error *err) {
    if (need > limit)
        return cs_error_set(err, CS_ERROR_LIMIT, NULL, -1,
                            "more than %zu %s, the limit of this program", limit, what);
    if (need <= *capacity)
        return CS_OK;
    size_t wanted = *capacity < 16 ? 16 : *capacity;
    while (wanted < need)
        wanted *= 2;
    void *grown = NULL;
    size_t bytes = 0;
    if (!__builtin_mul_overflow(wanted, size, &bytes))
        grown = realloc(*items, bytes);
    if (!grown)
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for %zu %s", wanted, what);
    *items = grown;
    *capacity = wanted;
    return CS_OK;
}

/* Length of the UTF-8 sequence at p (1 to 4), or 0 where it is broken. */
static size_t sequence_length(const unsigned char *p, size_t left) {
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xC2 && p[0] <= 0xDF   ? 2
               : p[0] >= 0xE0 && p[0] <= 0xEF ? 3
               : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4
                                              : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; ++i)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool outside = (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF4 && p[1] > 0x8F);
    return overlong || outside ? 0 : n;
}

bool cs_utf8_valid(const char *text, size_t size) {
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < size;) {
        size_t n = sequence_length(p + i, size - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

char *cs_text_clean(const char *text, size_t size) {
    size_t limit = size < 200 ? size : 200;
    char *clean = malloc(limit + 1);
    if (!clean)
        return NULL;
    const unsigned char *p = (const unsigned char *)text;
    size_t out = 0;
    for (size_t i = 0; i < limit;) {
        size_t n = sequence_length(p + i, limit - i);
        if (n == 0 || p[i] < 0x20 || p[i] == 0x7F) {
            clean[out++] = '?';
            i += 1;
            continue;
        }
        memcpy(clean + out, p + i, n);
        out += n;
        i += n;
    }
    clean[out] = '\0';
    return clean;
}

void cs_sort_indices(uint32_t *index, uint32_t *scratch, size_t count,
                     bool (*before)(const void *context, uint32_t a, uint32_t b),
                     const void *context) {
    for (size_t i = 0; i < count; ++i)
        index[i] = (uint32_t)i;
    for (size_t width = 1; width < count; width *= 2) { /* merges runs of `width` */
        for (size_t begin = 0; begin < count; begin += 2 * width) {
            size_t middle = begin + width < count ? begin + width : count;
            size_t end = begin + 2 * width < count ? begin + 2 * width : count;
            size_t a = begin, b = middle;
            for (size_t out = begin; out < end; ++out) {
                bool left = b == end || (a < middle && before(context, index[a], index[b]));
                scratch[out] = left ? index[a++] : index[b++];
            }
        }
        memcpy(index, scratch, count * sizeof *index);
    }
}

static bool reserve(cs_text *text, size_t more) {
    if (text->failed)
        return false;
    if (more < text->capacity - text->size)
        return true;
    size_t wanted = text->capacity ? text->capacity : 4096;
    while (wanted - text->size <= more)
        wanted *= 2;
    char *grown = realloc(text->data, wanted);
    if (!grown) {
        text->failed = true;
        return false;
    }
    text->data = grown;
    text->capacity = wanted;
    return true;
}

void cs_text_append_bytes(cs_text *text, const char *bytes, size_t size) {
    if (!reserve(text, size + 1))
        return;
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void cs_text_append(cs_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text->failed = true;
        return;
    }
    if (!reserve(text, (size_t)length + 1))
        return;
    va_start(arguments, format);
    vsnprintf(text->data + text->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)length;
}

void cs_text_release(cs_text *text) {
    free(text->data);
    *text = (cs_text){0};
}
