/* norm_avx512.c - batch norm in training, the sums over pixels of gradients, and gates, for CPUs
 * with AVX-512.
 *
 * The same chains as the portable kernels. A few channels' sums stay in registers while some rows
 * go by: each is one chain, and eight of them hide the latency of an addition.
 */
#include "kernel.h"

#if defined(__x86_64__)
#include "avx512.h"

#define DOUBLES 8 /* in a register */
#define CHAINS  8 /* registers of sums */

typedef __m512d wide;

static inline __mmask8 first_doubles(size_t count) {
    return (__mmask8)(count < DOUBLES ? (1U << count) - 1 : 0xFFU);
}

/* Eight values, as doubles; `whole`, a constant after inlining, where all of them are there. (What
 * masks half registers of floats is not in every AVX-512; and a masked load of a whole register
 * that reaches into what was just stored waits for it.) */
static inline __attribute__((always_inline)) wide load_wide(const bool whole, __mmask8 some,
                                                            const REAL *from) {
#if REAL_IS_FLOAT
    return _mm512_cvtps_pd(whole ? _mm256_loadu_ps(from)
                                 : _mm512_castps512_ps256(_mm512_maskz_loadu_ps(some, from)));
#else
    return whole ? _mm512_loadu_pd(from) : _mm512_maskz_loadu_pd(some, from);
#endif
}

/* ------------------------------------------------------------------ sums ----------------- */

typedef enum sum_kind { SUM_PLAIN, SUM_SQUARES, SUM_PRODUCTS } sum_kind;

/* What sums over rows read. */
typedef struct sum_work {
    size_t rows, stride, channels;
    const REAL *dy, *x;
    const double *mean;
    double *acc;
} sum_work;

/* Channels from `first` on of up to `chains` registers; the last three are constants after
 * inlining. */
static inline __attribute__((always_inline)) void sum_chains(const sum_work *work, size_t first,
                                                             const sum_kind kind, const int chains,
                                                             const bool whole) {
    wide sum[CHAINS], middle[CHAINS];
    __mmask8 some[CHAINS];
    const REAL *x = work->x + first, *dy = kind == SUM_PRODUCTS ? work->dy + first : x;
#pragma GCC unroll 8
    for (int j = 0; j < chains; j++) {
        const size_t c = first + (size_t)j * DOUBLES;
        some[j] = first_doubles(c < work->channels ? work->channels - c : 0);
        sum[j] = _mm512_maskz_loadu_pd(some[j], work->acc + c);
        if (kind != SUM_PLAIN)
            middle[j] = _mm512_maskz_loadu_pd(some[j], work->mean + c);
    }
    for (size_t r = 0; r < work->rows; r++, x += work->stride, dy += work->stride) {
#pragma GCC unroll 8
        for (int j = 0; j < chains; j++) {
            const wide v = load_wide(whole, some[j], x + j * DOUBLES);
            if (kind == SUM_PLAIN) {
                sum[j] = _mm512_add_pd(sum[j], v);
                continue;
            }
            const wide d = _mm512_sub_pd(v, middle[j]);
            sum[j] = _mm512_fmadd_pd(
                kind == SUM_SQUARES ? d : load_wide(whole, some[j], dy + j * DOUBLES), d, sum[j]);
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < chains; j++)
        _mm512_mask_storeu_pd(work->acc + first + j * DOUBLES, some[j], sum[j]);
}

/* `kind` is a constant after inlining. */
static inline __attribute__((always_inline)) void sum_all(const sum_work *work,
                                                          const sum_kind kind) {
    size_t c = 0;
    for (; c + (size_t)CHAINS * DOUBLES <= work->channels; c += (size_t)CHAINS * DOUBLES)
        sum_chains(work, c, kind, CHAINS, true);
    for (; c + (size_t)CHAINS / 2 * DOUBLES <= work->channels; c += (size_t)CHAINS / 2 * DOUBLES)
        sum_chains(work, c, kind, CHAINS / 2, true);
    if (c < work->channels)
        sum_chains(work, c, kind, CHAINS / 2, false);
}

void AVX512(sum_rows)(size_t rows, size_t stride, size_t channels, const REAL *x, double *acc) {
    const sum_work work = {rows, stride, channels, NULL, x, NULL, acc};
    sum_all(&work, SUM_PLAIN);
}

void AVX512(square_rows)(size_t rows, size_t stride, size_t channels, const REAL *x,
                         const double *mean, double *acc) {
    const sum_work work = {rows, stride, channels, NULL, x, mean, acc};
    sum_all(&work, SUM_SQUARES);
}

void AVX512(product_rows)(size_t rows, size_t stride, size_t channels, const REAL *dy,
                          const REAL *x, const double *mean, double *acc) {
    const sum_work work = {rows, stride, channels, dy, x, mean, acc};
    sum_all(&work, SUM_PRODUCTS);
}

#define BOTH 4 /* registers of each of the four sums */

/* Channels of up to BOTH registers; `whole` is a constant after inlining. */
static inline __attribute__((always_inline)) void gradient_chains(const NAME(gradient_rows) *work,
                                                                  size_t first, const bool whole) {
    wide sum[4][BOTH], mean[BOTH];
    __mmask8 some[BOTH];
#pragma GCC unroll 4
    for (int j = 0; j < BOTH; j++) {
        const size_t c = first + (size_t)j * DOUBLES;
        some[j] = first_doubles(c < work->channels ? work->channels - c : 0);
        mean[j] = _mm512_maskz_loadu_pd(some[j], work->mean + c);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            sum[i][j] = _mm512_maskz_loadu_pd(some[j], work->acc[i] + c);
    }
    const REAL *dy = work->dy + first, *x = work->x + first;
    for (size_t r = 0; r < work->rows; r++, dy += work->stride, x += work->stride) {
#pragma GCC unroll 4
        for (int j = 0; j < BOTH; j++) {
            const wide g = load_wide(whole, some[j], dy + j * DOUBLES);
            const wide d = _mm512_sub_pd(load_wide(whole, some[j], x + j * DOUBLES), mean[j]);
            sum[0][j] = _mm512_add_pd(sum[0][j], g);
            sum[1][j] = _mm512_fmadd_pd(g, d, sum[1][j]);
            sum[2][j] = _mm512_add_pd(sum[2][j], g);
            sum[3][j] = _mm512_fmadd_pd(g, d, sum[3][j]);
        }
    }
#pragma GCC unroll 4
    for (int j = 0; j < BOTH; j++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            _mm512_mask_storeu_pd(work->acc[i] + first + j * DOUBLES, some[j], sum[i][j]);
}

void AVX512(gradient_rows)(const NAME(gradient_rows) *work) {
    for (size_t c = 0; c < work->channels; c += (size_t)BOTH * DOUBLES)
        if (c + (size_t)BOTH * DOUBLES <= work->channels)
            gradient_chains(work, c, true);
        else
            gradient_chains(work, c, false);
}

/* ------------------------------------------------------------------ results -------------- */

static inline __attribute__((always_inline)) unsigned
norm_all(const NAME(norm_rows) *work, const bool residual, const bool relu) {
    const size_t words = (work->channels + KERNEL_PANEL - 1) / KERNEL_PANEL;
    const vector zero = SPREAD(0);
    vector own = zero, added = zero;
    for (size_t r = 0; r < work->rows; r++)
        for (size_t c = 0; c < work->channels; c += WIDTH) {
            const mask some = NAME(first_lanes)(work->channels - c);
            const size_t at = r * work->channels + c;
            vector v = FMA(LOAD_SOME(some, work->x + at), LOAD_SOME(some, work->scale + c),
                           LOAD_SOME(some, work->shift + c));
            own = FMA(v, zero, own); /* 0 * NaN and 0 * infinity are NaN */
            if (residual) {
                v = ADD(v, LOAD_SOME(some, work->residual + at));
                added = FMA(v, zero, added);
            }
            v = ADD(v, zero);
            if (relu) {
                const mask open = IS_OPEN(v) & some;
                v = KEEP(open, v);
                if (work->gates && VECTORS == 1)
                    work->gates[r * words + c / KERNEL_PANEL] = (uint16_t)open;
                else if (work->gates)
                    ((uint8_t *)(work->gates + r * words))[c / WIDTH] = (uint8_t)open;
            }
            STORE_SOME(work->out + at, some, v);
        }
    return (IS_NAN(own) ? STAGE_OWN : 0U) | (IS_NAN(added) ? STAGE_ADD : 0U);
}

unsigned AVX512(norm_rows)(const NAME(norm_rows) *work) {
    if (work->residual)
        return work->relu ? norm_all(work, true, true) : norm_all(work, true, false);
    return work->relu ? norm_all(work, false, true) : norm_all(work, false, false);
}

/* What a channel's input gradient is made of (kernel.h). */
typedef struct norm_coefficients {
    const double *s, *a, *b, *mean;
} norm_coefficients;

/* Eight channels' input gradients, before they are rounded. */
static inline __attribute__((always_inline)) wide norm_gradient(const norm_coefficients *k,
                                                                size_t c, const bool whole,
                                                                size_t left, const REAL *dy,
                                                                const REAL *x) {
    const __mmask8 some = first_doubles(left);
    const wide d =
        _mm512_sub_pd(load_wide(whole, some, x + c), _mm512_maskz_loadu_pd(some, k->mean + c));
    const wide g =
        _mm512_sub_pd(load_wide(whole, some, dy + c), _mm512_maskz_loadu_pd(some, k->a + c));
    return _mm512_mul_pd(_mm512_maskz_loadu_pd(some, k->s + c),
                         _mm512_sub_pd(g, _mm512_mul_pd(d, _mm512_maskz_loadu_pd(some, k->b + c))));
}

/* A register of results, of `left` channels at most: whole lines are stored, so that the loads of
 * the next ones, where dx takes the place of dy, do not wait for them. */
static inline __attribute__((always_inline)) vector norm_gradients(const norm_coefficients *k,
                                                                   size_t c, const bool whole,
                                                                   size_t left, const REAL *dy,
                                                                   const REAL *x) {
    const wide low = norm_gradient(k, c, whole, left, dy, x);
#if REAL_IS_FLOAT
    wide high = _mm512_setzero_pd();
    if (whole || left > DOUBLES)
        high = norm_gradient(k, c + DOUBLES, whole, left - DOUBLES, dy, x);
    return _mm512_castpd_ps(
        _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_castps_pd(_mm512_cvtpd_ps(low))),
                           _mm256_castps_pd(_mm512_cvtpd_ps(high)), 1));
#else
    return low;
#endif
}

unsigned AVX512(norm_backward_rows)(size_t rows, size_t channels, const REAL *dy, const REAL *x,
                                    const double *const coefficients[4], REAL *dx, bool add) {
    const norm_coefficients k = {coefficients[0], coefficients[1], coefficients[2],
                                 coefficients[3]};
    const vector zero = SPREAD(0);
    vector bad = zero;
    for (size_t r = 0; r < rows; r++, dy += channels, x += channels, dx += channels)
        for (size_t c = 0; c < channels; c += WIDTH) {
            const size_t left = channels - c;
            const mask some = NAME(first_lanes)(left);
            vector v = left >= WIDTH ? norm_gradients(&k, c, true, WIDTH, dy, x)
                                     : norm_gradients(&k, c, false, left, dy, x);
            bad = FMA(v, zero, bad); /* 0 * NaN and 0 * infinity are NaN */
            if (add)
                v = ADD(LOAD_SOME(some, dx + c), v);
            STORE_SOME(dx + c, some, ADD(v, zero));
        }
    return IS_NAN(bad) ? STAGE_OWN : 0U;
}

void AVX512(gate_rows)(size_t rows, size_t channels, const REAL *dy, const uint16_t *open, REAL *dx,
                       bool add) {
    const size_t words = (channels + KERNEL_PANEL - 1) / KERNEL_PANEL;
    for (size_t r = 0; r < rows; r++, dy += channels, dx += channels, open += words)
        for (size_t c = 0; c < channels; c += WIDTH) {
            const mask some = NAME(first_lanes)(channels - c);
            const mask gate = (mask)(open[c / KERNEL_PANEL] >> c % KERNEL_PANEL) & some;
            vector v = LOAD_SOME(gate, dy + c);
            if (add)
                v = ADD(LOAD_SOME(some, dx + c), v);
            STORE_SOME(dx + c, some, ADD(v, SPREAD(0)));
        }
}

#else
typedef int NAME(not_for_this_cpu); /* ISO C wants something in every file */
#endif
