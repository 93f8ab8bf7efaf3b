/* base.h - what the layers may know of the engine: codes, views, checked sizes.
 *
 * Legend used throughout: N C H W image, channels, rows, columns; K output channels; R S kernel
 * rows and columns; OH OW output rows and columns; a leading d marks a gradient.
 */
#ifndef CS_BASE_H
#define CS_BASE_H

#include "cnnscope_support.h"
#include "cnnscope_types.h"

/* Channels are handled in panels of this many outputs, and gates in words of this many bits. */
#define CS_PANEL 16

/* c x h x w of one image of a value. */
typedef struct cs_shape {
    int64_t c, h, w;
} cs_shape;

/* a*b and a+b for sizes >= 0 with overflow checks; false where the result does not fit. */
static inline bool cs_size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool cs_size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* The half-open share [*begin, *end) of `count` units that part `part` of `parts` works on. */
static inline void cs_share(size_t count, size_t part, size_t parts, size_t *begin, size_t *end) {
    *begin = count / parts * part + (count % parts * part) / parts;
    *end = count / parts * (part + 1) + (count % parts * (part + 1)) / parts;
}

/* Rounds a size up to a multiple of 64 bytes (a cache line, an AVX-512 register). */
static inline size_t cs_align64(size_t size) { return (size + 63) & ~(size_t)63; }

#endif
