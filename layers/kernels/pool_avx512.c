/* pool_avx512.c - the kernels of max pooling for CPUs with AVX-512: a window's maxima and winners
 * stay in registers until all elements have been seen.
 */
#include "kernel.h"

#if defined(__x86_64__)
#include "avx512.h"

/* Indices of as many elements as a register has REALs: in its first lanes. */
typedef __m512i indices;
#define LOAD_INDICES(m, p)     _mm512_maskz_loadu_epi32(m, p)
#define STORE_INDICES(p, m, v) _mm512_mask_storeu_epi32(p, m, v)
#define SAME_INDEX(a, b)       (mask) _mm512_cmpeq_epi32_mask(a, b)

#define TOGETHER 4 /* registers of channels that are walked side by side */

#if REAL_IS_FLOAT
#define COMPARE(a, b, how) _mm512_cmp_ps_mask(a, b, how)
#define CHOOSE(m, a, b)    _mm512_mask_mov_ps(b, m, a)
#else
#define COMPARE(a, b, how) _mm512_cmp_pd_mask(a, b, how)
#define CHOOSE(m, a, b)    _mm512_mask_mov_pd(b, m, a)
#endif

/* `vectors` registers of channels from c on; it and `winners` are constants after inlining. */
static inline __attribute__((always_inline)) unsigned
maximum_of(const NAME(pool_window) *window, size_t c, const int vectors, const bool winners) {
    const mask some = NAME(first_lanes)(window->channels - c);
    const REAL *row = window->from + c;
    vector y[TOGETHER];
    indices winner[TOGETHER];
    mask bad = 0;
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) {
        y[i] = vectors > 1 ? LOAD(row + i * WIDTH) : LOAD_SOME(some, row);
        winner[i] = _mm512_set1_epi32(window->index);
    }
    for (size_t r = 0; r < window->rows; r++, row += window->row_step) {
        const REAL *x = row;
        int32_t index = window->index + (int32_t)r * window->index_row;
        for (size_t s = 0; s < window->cols; s++, x += window->col_step) {
            const indices own = _mm512_set1_epi32(index);
#pragma GCC unroll 4
            for (int i = 0; i < vectors; i++) {
                const vector v = vectors > 1 ? LOAD(x + i * WIDTH) : LOAD_SOME(some, x);
                const mask wins =
                    (mask)(COMPARE(v, y[i], _CMP_NLE_UQ) & COMPARE(y[i], y[i], _CMP_ORD_Q));
                y[i] = CHOOSE(wins, v, y[i]);
                if (winners)
                    winner[i] = _mm512_mask_mov_epi32(winner[i], wins, own);
            }
            index += window->index_col;
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) {
        bad |= IS_BAD(y[i]);
        STORE_SOME(window->to + c + i * WIDTH, some, ADD(y[i], SPREAD(0)));
        if (winners)
            STORE_INDICES(window->winner + c + i * WIDTH, some, winner[i]);
    }
    return bad;
}

static inline __attribute__((always_inline)) unsigned maximum(const NAME(pool_window) *window,
                                                              const bool winners) {
    unsigned bad = 0;
    size_t c = 0;
    for (; c + TOGETHER * WIDTH <= window->channels; c += TOGETHER * WIDTH)
        bad |= maximum_of(window, c, TOGETHER, winners);
    for (; c < window->channels; c += WIDTH)
        bad |= maximum_of(window, c, 1, winners);
    return bad ? STAGE_OWN : 0U;
}

unsigned AVX512(pool_maximum)(const NAME(pool_window) *window) {
    return window->winner ? maximum(window, true) : maximum(window, false);
}

size_t AVX512(pool_ties)(const NAME(pool_window) *window) {
    size_t ties = 0;
    for (size_t c = 0; c < window->channels; c += WIDTH) {
        const mask some = NAME(first_lanes)(window->channels - c);
        const vector y = LOAD_SOME(some, window->to + c);
        const mask nonzero = COMPARE(y, SPREAD(0), _CMP_NEQ_UQ);
        unsigned once = 0, more = 0;
        for (size_t r = 0; r < window->rows; r++)
            for (size_t s = 0; s < window->cols; s++) {
                const REAL *x = window->from + r * window->row_step + s * window->col_step + c;
                const mask equal = COMPARE(LOAD_SOME(some, x), y, _CMP_EQ_OQ);
                more |= once & equal;
                once |= equal;
            }
        ties += (size_t)__builtin_popcount(more & nonzero & some);
    }
    return ties;
}

/* `vectors` registers of channels from c on. */
static inline __attribute__((always_inline)) unsigned returned_to(const NAME(pool_window) *windows,
                                                                  size_t c, const int vectors) {
    const mask some = NAME(first_lanes)(windows->channels - c);
    const indices own = _mm512_set1_epi32(windows->index);
    vector sum[TOGETHER];
    mask bad = 0;
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++)
        sum[i] = SPREAD(0);
    for (size_t r = 0; r < windows->rows; r++)
        for (size_t s = 0; s < windows->cols; s++) {
            const size_t at = r * windows->row_step + s * windows->col_step + c;
#pragma GCC unroll 4
            for (int i = 0; i < vectors; i++) {
                const indices winner = LOAD_INDICES(some, windows->winner + at + i * WIDTH);
                const mask won = SAME_INDEX(winner, own) & some;
                sum[i] = ADD(sum[i], LOAD_SOME(won, windows->from + at + i * WIDTH));
            }
        }
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) {
        REAL *to = windows->to + c + i * WIDTH;
        const vector v = windows->add ? ADD(LOAD_SOME(some, to), sum[i]) : sum[i];
        bad |= IS_BAD(sum[i]);
        STORE_SOME(to, some, ADD(v, SPREAD(0)));
    }
    return bad;
}

unsigned AVX512(pool_return)(const NAME(pool_window) *windows) {
    unsigned bad = 0;
    size_t c = 0;
    for (; c + TOGETHER * WIDTH <= windows->channels; c += TOGETHER * WIDTH)
        bad |= returned_to(windows, c, TOGETHER);
    for (; c < windows->channels; c += WIDTH)
        bad |= returned_to(windows, c, 1);
    return bad ? STAGE_OWN : 0U;
}

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
