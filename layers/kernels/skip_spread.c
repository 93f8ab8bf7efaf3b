/* skip_avx512.c - the skipping kernels for CPUs with AVX-512: two pixels x up to 8 panels of floats
 * (4 of doubles), or four pixels x up to half as many.
 *
 * For each tap and 64 channels of it the sums of two pixels are taken into registers, each pixel's
 * mask is walked bit by bit from its lowest channel up, and only what is not zero is multiplied, so
 * that each chain keeps its order. The 64 x 128 weights of the block stay in the first-level cache
 * for all pixels. Two pixels' masks are walked side by side: sixteen chains are in flight where one
 * pixel's eight only just cover the latency of a multiply-add.
 */
#include "kernel.h"

#if defined(__x86_64__)
#include "avx512.h"

#include <assert.h>
#include <string.h>

#define BLOCK      64                     /* channels of a block: bits of a mask */
#define WORDS      (BLOCK / KERNEL_PANEL) /* words of a mask */
#define SUMS       (SKIP_PANELS * VECTORS)
#define FEW_PIXELS 64 /* a block of them is done before memory has answered */

/* Hides from the compiler how these were computed, or it computes them again at each use. */
#define KEEP_IN_REGISTERS(a, b) __asm__("" : "+r"(a), "+r"(b))

/* What all pixels of one block share. Four pointers and a step reach eight panels with one addition
 * a channel: additions compete with the multiply-adds for two of the ports. */
typedef struct block {
    const char *weight[4]; /* of panels 0 to 3 */
    size_t four;           /* bytes from panel i to panel i + 4 */
    size_t words;          /* of the masks: 1 .. WORDS */
} block;

/* A pixel's mask of the block: bit c for channel c. */
static inline uint64_t mask_of(const uint16_t *words, size_t count) {
    uint64_t bits = 0;
    if (count == WORDS)
        memcpy(&bits, words, sizeof bits);
    else
        for (size_t i = 0; i < count; i++)
            bits |= (uint64_t)words[i] << (KERNEL_PANEL * i);
    return bits;
}

/* sum += x[c] * w[c] for the lowest channel c of the mask, which is taken out of it. */
static inline __attribute__((always_inline)) void
add_lowest(vector *sum, uint64_t *bits, const REAL *x, const block *b, const int panels) {
    const size_t c = (size_t)__builtin_ctzll(*bits);
    const vector v = SPREAD(x[c]);
    size_t at = c * KERNEL_PANEL * sizeof(REAL), behind = at + b->four;
    *bits &= *bits - 1;
    KEEP_IN_REGISTERS(at, behind);
#pragma GCC unroll 8
    for (int j = 0; j < panels; j++)
#pragma GCC unroll 2
        for (int i = 0; i < VECTORS; i++) {
            const REAL *w = (const REAL *)(const void *)(b->weight[j % 4] + (j < 4 ? at : behind));
            sum[j * VECTORS + i] = FMA(v, LOAD(w + i * WIDTH), sum[j * VECTORS + i]);
        }
}

/* One or two pixels through the block; `panels` and `pair` are constants after inlining. */
static inline __attribute__((always_inline)) const char *add_block(const block *given, const REAL *x,
                                                            const REAL *y, uint64_t m, uint64_t n,
                                                            REAL *acc, const int panels,
                                                            const bool pair, const char *fetch) {
    block b = *given;
    KEEP_IN_REGISTERS(b.weight[1], b.weight[2]);
    KEEP_IN_REGISTERS(b.weight[3], b.four);
    const int vectors = panels * VECTORS;
    vector s[SUMS], t[SUMS];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) {
        s[j] = LOAD(acc + j * WIDTH);
        if (pair)
            t[j] = LOAD(acc + (vectors + j) * WIDTH);
    }
    if (pair)
        while (m && n) {
            _mm_prefetch(fetch, HINT); fetch += 64;
            add_lowest(s, &m, x, &b, panels);
            add_lowest(t, &n, y, &b, panels);
        }
    while (m)
        add_lowest(s, &m, x, &b, panels);
    if (pair)
        while (n)
            add_lowest(t, &n, y, &b, panels);
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) {
        STORE(acc + j * WIDTH, s[j]);
        if (pair)
            STORE(acc + (vectors + j) * WIDTH, t[j]);
    }
    return fetch;
}

/* Weights that are wanted soon: the next block's in the first cache, and those of the one behind in
 * the second, for memory answers too late for one block's time. NULL: none. */
typedef struct wanted {
    const char *next, *later;
    size_t panel_bytes;
    int pairs; /* of pixels, each of which has a share of them fetched */
} wanted;

/* The weights `blocks` blocks behind channel c of tap t, or NULL. */
static const char *block_behind(const NAME(skip_tile) *tile, size_t t, size_t c, size_t blocks) {
    if (tile->channels % BLOCK != 0)
        return NULL;
    const size_t at = t * tile->channels + c + blocks * BLOCK;
    const size_t tap = at / tile->channels, rest = at % tile->channels * KERNEL_PANEL;
    if (tap < tile->taps)
        return (const char *)(tile->panel + tile->tap_panel[tap] + rest);
    return tile->ahead && tap < 2 * tile->taps
               ? (const char *)(tile->ahead + tile->tap_panel[tap - tile->taps] + rest)
               : NULL;
}

/* Has the share of one pair of pixels fetched, in all panels. */
static inline __attribute__((always_inline)) void fetch_share(const wanted *w, int pair,
                                                              const int panels) {
    const int from = BLOCK * pair / w->pairs, to = BLOCK * (pair + 1) / w->pairs;
    const size_t row = KERNEL_PANEL * sizeof(REAL);
    for (int c = from; w->next && c < to; c++)
        for (int j = 0; j < panels; j++)
            _mm_prefetch(w->next + (size_t)j * w->panel_bytes + (size_t)c * row, _MM_HINT_T0);
    for (int c = from; w->later && c < to; c++)
        for (int j = 0; j < panels; j++)
            _mm_prefetch(w->later + (size_t)j * w->panel_bytes + (size_t)c * row, _MM_HINT_T1);
}

/* sum += x[c] * w[c] of JOINED_PIXELS pixels for the lowest channel c of the mask, which is taken
 * out of it: a weight loaded once serves them all. */
static inline __attribute__((always_inline)) void
add_lowest_joined(vector (*sum)[SUMS / 2], uint64_t *bits, const REAL *const *source, size_t first,
                  const block *b, const int vectors) {
    const size_t c = (size_t)__builtin_ctzll(*bits);
    vector x[JOINED_PIXELS];
    *bits &= *bits - 1;
#pragma GCC unroll 4
    for (int q = 0; q < JOINED_PIXELS; q++)
        x[q] = SPREAD(source[q][first + c]);
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
        const REAL *w = (const REAL *)(const void *)b->weight[j / VECTORS] + c * KERNEL_PANEL;
        const vector weight = LOAD(w + j % VECTORS * WIDTH);
#pragma GCC unroll 4
        for (int q = 0; q < JOINED_PIXELS; q++)
            sum[q][j] = FMA(x[q], weight, sum[q][j]);
    }
}

/* Up to half of the panels, for JOINED_PIXELS pixels together: a channel is left out where it is
 * zero in all of them. Where that is a quarter of the registers at most, two such sets (m and n)
 * are walked side by side, or their chains would not cover the latency of a multiply-add. */
static inline __attribute__((always_inline)) void
add_block_joined(const block *given, const REAL *const *source, size_t first, uint64_t m,
                 uint64_t n, REAL *acc, const int panels, const int sets) {
    block b = *given;
    KEEP_IN_REGISTERS(b.weight[1], b.weight[2]);
    const int vectors = panels * VECTORS;
    vector sum[2 * JOINED_PIXELS][SUMS / 2];
#pragma GCC unroll 8
    for (int q = 0; q < sets * JOINED_PIXELS; q++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            sum[q][j] = LOAD(acc + (q * vectors + j) * WIDTH);
    if (sets == 2)
        while (m && n) {
            add_lowest_joined(sum, &m, source, first, &b, vectors);
            add_lowest_joined(sum + JOINED_PIXELS, &n, source + JOINED_PIXELS, first, &b, vectors);
        }
    while (m)
        add_lowest_joined(sum, &m, source, first, &b, vectors);
    if (sets == 2)
        while (n)
            add_lowest_joined(sum + JOINED_PIXELS, &n, source + JOINED_PIXELS, first, &b, vectors);
#pragma GCC unroll 8
    for (int q = 0; q < sets * JOINED_PIXELS; q++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            STORE(acc + (q * vectors + j) * WIDTH, sum[q][j]);
}

/* The channels of which one of JOINED_PIXELS pixels has a value. */
static inline uint64_t joined_mask(const uint16_t *const *masks, size_t word, size_t words) {
    uint64_t bits = 0;
    for (int q = 0; q < JOINED_PIXELS; q++)
        bits |= mask_of(masks[q] + word, words);
    return bits;
}

static inline __attribute__((always_inline)) void run_block(const NAME(skip_tile) *tile,
                                                            const block *b, size_t tap,
                                                            size_t first, const wanted *soon,
                                                            const int panels) {
    const REAL *const *x = tile->source + tap * tile->source_stride;
    const uint16_t *const *m = tile->nonzero + tap * tile->source_stride;
    const size_t word = first / KERNEL_PANEL;
    REAL *acc = tile->acc;
    int p = 0, line = 0;
    if (4 * panels <= SKIP_PANELS)
        for (; p + 2 * JOINED_PIXELS <= tile->pixels;
             p += 2 * JOINED_PIXELS, acc += 2 * JOINED_PIXELS * panels * KERNEL_PANEL)
            add_block_joined(b, x + p, first, joined_mask(m + p, word, b->words),
                             joined_mask(m + p + JOINED_PIXELS, word, b->words), acc, panels, 2);
    if (2 * panels <= SKIP_PANELS)
        for (; p + JOINED_PIXELS <= tile->pixels;
             p += JOINED_PIXELS, acc += JOINED_PIXELS * panels * KERNEL_PANEL)
            add_block_joined(b, x + p, first, joined_mask(m + p, word, b->words), 0, acc, panels,
                             1);
    for (; p + 2 <= tile->pixels; p += 2, acc += 2 * panels * KERNEL_PANEL) {
        const char *w = FT2 ? soon->later : soon->next;
        const char *from = w && line < 64 * panels ? w + (size_t)(line / 64) * soon->panel_bytes + line % 64 * 64 : (const char*)acc;
        const char *end = add_block(b, x[p] + first, x[p + 1] + first, mask_of(m[p] + word, b->words),
                  mask_of(m[p + 1] + word, b->words), acc, panels, true, from);
        line += (end - from) / 64;
    }
    if (p < tile->pixels)
        add_block(b, x[p] + first, x[p] + first, mask_of(m[p] + word, b->words), 0, acc, panels,
                  false, NULL);
}

static inline __attribute__((always_inline)) void skip_panels(const NAME(skip_tile) *tile,
                                                              const int panels) {
    for (int p = 0; p < tile->pixels; p++)
        for (int j = 0; j < panels * VECTORS; j++)
            STORE(tile->acc + (p * panels * VECTORS + j) * WIDTH,
                  tile->bias ? LOAD(tile->bias + j * WIDTH) : SPREAD(0));
    for (size_t t = 0; t < tile->taps; t++)
        for (size_t c = 0; c < tile->channels; c += BLOCK) {
            const size_t words = (tile->channels - c) / KERNEL_PANEL;
            const REAL *weight = tile->panel + tile->tap_panel[t] + c * KERNEL_PANEL;
            block b = {.four = 4 * tile->panel_size * sizeof(REAL),
                       .words = words < WORDS ? words : WORDS};
            for (int j = 0; j < 4; j++)
                b.weight[j] =
                    (const char *)(weight + (j < panels ? (size_t)j : 0) * tile->panel_size);
            const wanted soon = {
                .next = block_behind(tile, t, c, 1),
                .later = tile->pixels <= FEW_PIXELS ? block_behind(tile, t, c, 2) : NULL,
                .panel_bytes = tile->panel_size * sizeof(REAL),
                .pairs = tile->pixels / 2,
            };
            run_block(tile, &b, t, c, &soon, panels);
        }
}

#define CASE(n)                                                                                    \
    case n: skip_panels(tile, n); break;

void AVX512(skip_tile)(const NAME(skip_tile) *tile) {
    assert(tile->panels >= 1 && tile->panels <= SKIP_PANELS);
    switch (tile->panels) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
#if SKIP_PANELS == 8
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
#endif
    default: break;
    }
}

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
