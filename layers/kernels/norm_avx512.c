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

#if REAL_IS_FLOAT
/* Eight floats. (Instructions that mask half registers are not in every AVX-512.) */
static inline __m256 load_half(__mmask8 some, const float *from) {
    return _mm512_castps512_ps256(_mm512_maskz_loadu_ps(some, from));
}
#endif

/* Eight values, as doubles. */
static inline wide load_wide(__mmask8 some, const REAL *from) {
#if REAL_IS_FLOAT
    return _mm512_cvtps_pd(load_half(some, from));
#else
    return _mm512_maskz_loadu_pd(some, from);
#endif
}

/* ------------------------------------------------------------------ sums ----------------- */

typedef enum sum_kind { SUM_PLAIN, SUM_SQUARES, SUM_PRODUCTS } sum_kind;

/* Channels of up to CHAINS registers; `kind` is a constant after inlining. */
static inline __attribute__((always_inline)) void sum_chains(size_t rows, size_t stride,
                                                             size_t channels, const REAL *dy,
                                                             const REAL *x, const double *mean,
                                                             double *acc, const sum_kind kind) {
    wide sum[CHAINS], middle[CHAINS];
    __mmask8 some[CHAINS];
#pragma GCC unroll 8
    for (int j = 0; j < CHAINS; j++) {
        const size_t c = (size_t)j * DOUBLES;
        some[j] = first_doubles(c < channels ? channels - c : 0);
        sum[j] = _mm512_maskz_loadu_pd(some[j], acc + c);
        if (kind != SUM_PLAIN)
            middle[j] = _mm512_maskz_loadu_pd(some[j], mean + c);
    }
    for (size_t r = 0; r < rows; r++, x += stride, dy += stride) {
#pragma GCC unroll 8
        for (int j = 0; j < CHAINS; j++) {
            const wide v = load_wide(some[j], x + j * DOUBLES);
            if (kind == SUM_PLAIN) {
                sum[j] = _mm512_add_pd(sum[j], v);
                continue;
            }
            const wide d = _mm512_sub_pd(v, middle[j]);
            sum[j] = _mm512_fmadd_pd(kind == SUM_SQUARES ? d : load_wide(some[j], dy + j * DOUBLES),
                                     d, sum[j]);
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < CHAINS; j++)
        _mm512_mask_storeu_pd(acc + j * DOUBLES, some[j], sum[j]);
}

void AVX512(sum_rows)(size_t rows, size_t stride, size_t channels, const REAL *x, double *acc) {
    for (size_t c = 0; c < channels; c += CHAINS * DOUBLES)
        sum_chains(rows, stride, channels - c, x + c, x + c, NULL, acc + c, SUM_PLAIN);
}

void AVX512(square_rows)(size_t rows, size_t stride, size_t channels, const REAL *x,
                         const double *mean, double *acc) {
    for (size_t c = 0; c < channels; c += CHAINS * DOUBLES)
        sum_chains(rows, stride, channels - c, x + c, x + c, mean + c, acc + c, SUM_SQUARES);
}

void AVX512(product_rows)(size_t rows, size_t stride, size_t channels, const REAL *dy,
                          const REAL *x, const double *mean, double *acc) {
    for (size_t c = 0; c < channels; c += CHAINS * DOUBLES)
        sum_chains(rows, stride, channels - c, dy + c, x + c, mean + c, acc + c, SUM_PRODUCTS);
}

#define BOTH 4 /* registers of each of the four sums */

/* Channels of up to BOTH registers. */
static inline void gradient_chains(const NAME(gradient_rows) *work, size_t first) {
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
            const wide g = load_wide(some[j], dy + j * DOUBLES);
            const wide d = _mm512_sub_pd(load_wide(some[j], x + j * DOUBLES), mean[j]);
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
        gradient_chains(work, c);
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

unsigned AVX512(norm_backward_rows)(size_t rows, size_t channels, const REAL *dy, const REAL *x,
                                    const double *const coefficients[4], REAL *dx, bool add) {
    const double *s = coefficients[0], *a = coefficients[1], *b = coefficients[2];
    const double *mean = coefficients[3];
    wide bad = _mm512_setzero_pd();
    for (size_t r = 0; r < rows; r++, dy += channels, x += channels, dx += channels)
        for (size_t c = 0; c < channels; c += DOUBLES) {
            const __mmask8 some = first_doubles(channels - c);
            const wide d =
                _mm512_sub_pd(load_wide(some, x + c), _mm512_maskz_loadu_pd(some, mean + c));
            const wide g =
                _mm512_sub_pd(load_wide(some, dy + c), _mm512_maskz_loadu_pd(some, a + c));
            const wide v = _mm512_mul_pd(
                _mm512_maskz_loadu_pd(some, s + c),
                _mm512_sub_pd(g, _mm512_mul_pd(d, _mm512_maskz_loadu_pd(some, b + c))));
#if REAL_IS_FLOAT
            __m256 y = _mm512_cvtpd_ps(v);
            bad = _mm512_fmadd_pd(_mm512_cvtps_pd(y), _mm512_setzero_pd(), bad);
            if (add)
                y = _mm256_add_ps(load_half(some, dx + c), y);
            _mm512_mask_storeu_ps(dx + c, some,
                                  _mm512_castps256_ps512(_mm256_add_ps(y, _mm256_setzero_ps())));
#else
            wide y = v;
            bad = _mm512_fmadd_pd(y, _mm512_setzero_pd(), bad);
            if (add)
                y = _mm512_add_pd(_mm512_maskz_loadu_pd(some, dx + c), y);
            _mm512_mask_storeu_pd(dx + c, some, _mm512_add_pd(y, _mm512_setzero_pd()));
#endif
        }
    return _mm512_cmp_pd_mask(bad, bad, _CMP_UNORD_Q) ? STAGE_OWN : 0U;
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
