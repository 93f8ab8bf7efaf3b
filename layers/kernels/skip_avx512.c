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

#define BLOCK KERNEL_BLOCK
#define SUMS  (SKIP_PANELS * VECTORS)
#define ROW   (KERNEL_PANEL * sizeof(REAL)) /* bytes of a channel's weights in a panel */

/* Hides from the compiler how these were computed, or it computes them again at each use. */
#define KEEP_IN_REGISTERS(a, b) __asm__("" : "+r"(a), "+r"(b))

/* What all pixels of one block share. Four pointers and a step reach eight panels with one addition
 * a channel: additions compete with the multiply-adds for two of the ports. */
typedef struct block {
    const char *weight[4]; /* of panels 0 to 3 */
    size_t four;           /* bytes from panel i to panel i + 4 */
    size_t words;          /* of the masks that are left */
    const REAL *start;     /* what all sums start from, or NULL: they go on */
} block;

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

/* One or two pixels through the block; `panels`, `pair` and `rows` are constants after inlining.
 * With each step of a pair the next `rows` rows from `soon` on are fetched: a prefetch between
 * multiply-adds is free, where many in a row cost 2.5 cycles each. Returns the row behind them. */
static inline __attribute__((always_inline)) const char *
add_block(const block *given, const REAL *x, const REAL *y, uint64_t m, uint64_t n, REAL *acc,
          const char *soon, const int panels, const bool pair, const size_t rows) {
    block b = *given;
    KEEP_IN_REGISTERS(b.weight[1], b.weight[2]);
    KEEP_IN_REGISTERS(b.weight[3], b.four);
    const int vectors = panels * VECTORS;
    const REAL *from = b.start ? b.start : acc;
    const int second = b.start ? 0 : vectors * WIDTH;
    vector s[SUMS], t[SUMS];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) {
        s[j] = LOAD(from + j * WIDTH);
        if (pair)
            t[j] = LOAD(from + second + j * WIDTH);
    }
    if (pair)
        for (; m && n; soon += rows * ROW) {
            for (size_t i = 0; i < rows; i++)
                _mm_prefetch(soon + i * ROW, _MM_HINT_T0);
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
    return soon;
}

/* The weights that come next: of panel `panel` row `row` is fetched next. */
typedef struct wanted {
    const char *weights; /* or NULL */
    size_t panel_bytes;
    int panel;
    size_t row;
} wanted;

/* The weights behind those of channel c of tap t, or NULL. */
static const char *block_behind(const NAME(skip_tile) *tile, size_t t, size_t c) {
    if (tile->channels % BLOCK != 0)
        return NULL;
    if (c + BLOCK < tile->channels)
        return (const char *)(tile->panel + tile->tap_panel[t] + (c + BLOCK) * KERNEL_PANEL);
    if (t + 1 < tile->taps)
        return (const char *)(tile->panel + tile->tap_panel[t + 1]);
    return tile->ahead ? (const char *)(tile->ahead + tile->tap_panel[0]) : NULL;
}

_Static_assert(JOINED_PIXELS == 4, "joined pixels are squares");

/* Where pixel q of joined ones lies: JOINED_PIXELS behind one another, or squares side by side in
 * two rows, whose pixels share more zeros. */
static inline __attribute__((always_inline)) size_t joined_at(int q, int row) {
    return (size_t)(row ? q / 4 * 2 + q % 2 + q % 4 / 2 * row : q);
}

/* sum += x[c] * w[c] of JOINED_PIXELS pixels for the lowest channel c of the mask, which is taken
 * out of it: a weight loaded once serves them all. */
static inline __attribute__((always_inline)) void
add_lowest_joined(vector (*sum)[SUMS / 2], uint64_t *bits, const REAL *const *x, const block *b,
                  const int vectors) {
    const size_t c = (size_t)__builtin_ctzll(*bits);
    vector v[JOINED_PIXELS];
    *bits &= *bits - 1;
#pragma GCC unroll 4
    for (int q = 0; q < JOINED_PIXELS; q++)
        v[q] = SPREAD(x[q][c]);
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
        const REAL *w = (const REAL *)(const void *)b->weight[j / VECTORS] + c * KERNEL_PANEL;
        const vector weight = LOAD(w + j % VECTORS * WIDTH);
#pragma GCC unroll 4
        for (int q = 0; q < JOINED_PIXELS; q++)
            sum[q][j] = FMA(v[q], weight, sum[q][j]);
    }
}

/* The channels of which one of JOINED_PIXELS pixels, from `first` on, has a value. */
static inline uint64_t joined_mask(const uint16_t *const *masks, int first, int row, size_t word,
                                   size_t words) {
    uint64_t bits = 0;
    for (int q = first; q < first + JOINED_PIXELS; q++)
        bits |= kernel_mask(masks[joined_at(q, row)] + word, words);
    return bits;
}

/* Up to half of the panels, for JOINED_PIXELS pixels together: a channel is left out where it is
 * zero in all of them. Where that is a quarter of the registers at most, two such sets are walked
 * side by side, or their chains would not cover the latency of a multiply-add. */
static inline __attribute__((always_inline)) void
add_block_joined(const block *given, const REAL *const *source, const uint16_t *const *masks,
                 size_t first, int row, REAL *acc, const int panels, const int sets) {
    block b = *given;
    KEEP_IN_REGISTERS(b.weight[1], b.weight[2]);
    const int vectors = panels * VECTORS;
    const size_t word = first / KERNEL_PANEL;
    uint64_t m = joined_mask(masks, 0, row, word, b.words);
    uint64_t n = sets == 2 ? joined_mask(masks, JOINED_PIXELS, row, word, b.words) : 0;
    const REAL *x[2 * JOINED_PIXELS];
    vector sum[2 * JOINED_PIXELS][SUMS / 2];
#pragma GCC unroll 8
    for (int q = 0; q < sets * JOINED_PIXELS; q++) {
        const REAL *from = b.start ? b.start : acc + joined_at(q, row) * (size_t)(vectors * WIDTH);
        x[q] = source[joined_at(q, row)] + first;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            sum[q][j] = LOAD(from + j * WIDTH);
    }
    if (sets == 2)
        while (m && n) {
            add_lowest_joined(sum, &m, x, &b, vectors);
            add_lowest_joined(sum + JOINED_PIXELS, &n, x + JOINED_PIXELS, &b, vectors);
        }
    while (m)
        add_lowest_joined(sum, &m, x, &b, vectors);
    if (sets == 2)
        while (n)
            add_lowest_joined(sum + JOINED_PIXELS, &n, x + JOINED_PIXELS, &b, vectors);
#pragma GCC unroll 8
    for (int q = 0; q < sets * JOINED_PIXELS; q++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            STORE(acc + joined_at(q, row) * (size_t)(vectors * WIDTH) + j * WIDTH, sum[q][j]);
}

/* Squares, `sets` at a time, as far as the rows' lengths allow. Returns how many pixels are done:
 * all or none. */
static inline __attribute__((always_inline)) int run_squares(const NAME(skip_tile) *tile,
                                                             const block *b, const REAL *const *x,
                                                             const uint16_t *const *m, size_t first,
                                                             const int panels, const int sets) {
    const int row = tile->row;
    if (row == 0 || row % (2 * sets) != 0)
        return 0;
    for (int p = 0; p < tile->pixels; p += 2 * row)
        for (int q = p; q < p + row; q += 2 * sets)
            add_block_joined(b, x + q, m + q, first, row, tile->acc + q * panels * KERNEL_PANEL,
                             panels, sets);
    return tile->pixels;
}

/* The pixels of x[0] and x[1] through the block. A panel's rows lie one behind the other; the pair
 * that reaches the end of them goes on behind it, where rows of a later block lie. What is fetched
 * when all is there are the sums of the next pair. */
static inline __attribute__((always_inline)) void run_pair(const block *b, const REAL *const *x,
                                                           const uint16_t *const *masks,
                                                           size_t first, REAL *acc, wanted *soon,
                                                           const int panels, const size_t rows) {
    const size_t word = first / KERNEL_PANEL;
    const bool more = soon->weights && soon->panel < panels;
    const char *from =
        more ? soon->weights + (size_t)soon->panel * soon->panel_bytes + soon->row * ROW
             : (const char *)acc;
    const char *end =
        add_block(b, x[0] + first, x[1] + first, kernel_mask(masks[0] + word, b->words),
                  kernel_mask(masks[1] + word, b->words), acc, from, panels, true, rows);
    soon->row += (size_t)(end - from) / ROW;
    if (soon->row >= BLOCK) {
        soon->row = 0;
        soon->panel++;
    }
}

static inline __attribute__((always_inline)) void run_block(const NAME(skip_tile) *tile,
                                                            const block *b, size_t tap,
                                                            size_t first, wanted *soon,
                                                            const int panels, const size_t rows) {
    const REAL *const *x = tile->source + tap * tile->source_stride;
    const uint16_t *const *m = tile->nonzero + tap * tile->source_stride;
    const size_t word = first / KERNEL_PANEL;
    REAL *acc = tile->acc;
    int p = 0;
    if (2 * panels <= SKIP_PANELS) {
        const int sets = 4 * panels <= SKIP_PANELS ? 2 : 1;
        p = run_squares(tile, b, x, m, first, panels, sets);
        for (; p + sets * JOINED_PIXELS <= tile->pixels; p += sets * JOINED_PIXELS)
            add_block_joined(b, x + p, m + p, first, 0, acc + p * panels * KERNEL_PANEL, panels,
                             sets);
        for (; p + JOINED_PIXELS <= tile->pixels; p += JOINED_PIXELS)
            add_block_joined(b, x + p, m + p, first, 0, acc + p * panels * KERNEL_PANEL, panels, 1);
    }
    acc += p * panels * KERNEL_PANEL;
    for (; p + 2 <= tile->pixels; p += 2, acc += 2 * panels * KERNEL_PANEL)
        run_pair(b, x + p, m + p, first, acc, soon, panels, rows);
    if (p < tile->pixels)
        add_block(b, x[p] + first, x[p] + first, kernel_mask(m[p] + word, b->words), 0, acc, NULL,
                  panels, false, 0);
}

/* Whether a tile's pixels are few, and some of their taps lie outside of the map, so that a block
 * has hardly as many steps as rows are to be fetched: two with each. */
#define FEW_PIXELS 64
static bool fetch_faster(const NAME(skip_tile) *tile) {
    return tile->pixels <= FEW_PIXELS && tile->taps > 1;
}

static inline __attribute__((always_inline)) void skip_panels(const NAME(skip_tile) *tile,
                                                              const int panels) {
    static const REAL zero[SKIP_PANELS * KERNEL_PANEL];
    const REAL *start = tile->bias ? tile->bias : zero;
    for (size_t t = 0; t < tile->taps; t++)
        for (size_t c = 0; c < tile->channels; c += BLOCK) {
            const REAL *weight = tile->panel + tile->tap_panel[t] + c * KERNEL_PANEL;
            block b = {.four = 4 * tile->panel_size * sizeof(REAL),
                       .words = (tile->channels - c) / KERNEL_PANEL,
                       .start = t == 0 && c == 0 ? start : NULL};
            for (int j = 0; j < 4; j++)
                b.weight[j] =
                    (const char *)(weight + (j < panels ? (size_t)j : 0) * tile->panel_size);
            wanted soon = {.weights = block_behind(tile, t, c),
                           .panel_bytes = tile->panel_size * sizeof(REAL)};
            if (panels == SKIP_PANELS && fetch_faster(tile))
                run_block(tile, &b, t, c, &soon, panels, 2);
            else
                run_block(tile, &b, t, c, &soon, panels, 1);
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
