/* avx512.h - what the kernels for CPUs with AVX-512 share: one register of REALs, and the names of
 * those that stand in files of their own.
 */
#ifndef CS_AVX512_H
#define CS_AVX512_H

#include "kernel.h"

#include <immintrin.h>

#if REAL_IS_FLOAT
#define AVX512(x) x##_avx512_f32
#define WIDTH     16 /* REALs in a register */
#define VECTORS   1  /* registers that hold one panel */
typedef __m512 vector;
typedef __mmask16 mask;
#define LOAD(p)             _mm512_loadu_ps(p)
#define LOAD_SOME(m, p)     _mm512_maskz_loadu_ps(m, p)
#define STORE(p, v)         _mm512_storeu_ps(p, v)
#define STORE_SOME(p, m, v) _mm512_mask_storeu_ps(p, m, v)
#define SPREAD(x)           _mm512_set1_ps(x)
#define FMA(x, y, z)        _mm512_fmadd_ps(x, y, z)
#define ADD(x, y)           _mm512_add_ps(x, y)
#define MULTIPLY(x, y)      _mm512_mul_ps(x, y)
#define KEEP(m, v)          _mm512_maskz_mov_ps(m, v)
#define IS_NAN(v)           _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q)
#define IS_OPEN(v)          _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NLE_UQ)
/* Not (|v| <= the largest number): infinity or NaN. */
#define IS_BAD(v) _mm512_cmp_ps_mask(_mm512_abs_ps(v), SPREAD(REAL_MAX), _CMP_NLE_UQ)
#else
#define AVX512(x)           x##_avx512_f64
#define WIDTH               8
#define VECTORS             2
typedef __m512d vector;
typedef __mmask8 mask;
#define LOAD(p)             _mm512_loadu_pd(p)
#define LOAD_SOME(m, p)     _mm512_maskz_loadu_pd(m, p)
#define STORE(p, v)         _mm512_storeu_pd(p, v)
#define STORE_SOME(p, m, v) _mm512_mask_storeu_pd(p, m, v)
#define SPREAD(x)           _mm512_set1_pd(x)
#define FMA(x, y, z)        _mm512_fmadd_pd(x, y, z)
#define ADD(x, y)           _mm512_add_pd(x, y)
#define MULTIPLY(x, y)      _mm512_mul_pd(x, y)
#define KEEP(m, v)          _mm512_maskz_mov_pd(m, v)
#define IS_NAN(v)           _mm512_cmp_pd_mask(v, v, _CMP_UNORD_Q)
#define IS_OPEN(v)          _mm512_cmp_pd_mask(v, _mm512_setzero_pd(), _CMP_NLE_UQ)
#define IS_BAD(v)           _mm512_cmp_pd_mask(_mm512_abs_pd(v), SPREAD(REAL_MAX), _CMP_NLE_UQ)
#endif

/* The first `count` lanes, of WIDTH at most. */
static inline mask NAME(first_lanes)(size_t count) {
    return (mask)(count < WIDTH ? (1U << count) - 1 : (1U << WIDTH) - 1);
}

/* A full tile of sums: 14 rows of two registers. */
#define TILE_PIXELS_AVX512 14
#define TILE_PANELS        (2 / VECTORS)
#define COLUMNS            2

/* CASE(n) for every number of rows that a tile may have. */
#define TILE_CASES(CASE)                                                                           \
    CASE(1)                                                                                        \
    CASE(2)                                                                                        \
    CASE(3)                                                                                        \
    CASE(4)                                                                                        \
    CASE(5)                                                                                        \
    CASE(6)                                                                                        \
    CASE(7)                                                                                        \
    CASE(8)                                                                                        \
    CASE(9)                                                                                        \
    CASE(10)                                                                                       \
    CASE(11)                                                                                       \
    CASE(12)                                                                                       \
    CASE(13)                                                                                       \
    CASE(14)

/* groups_avx512.c */
void AVX512(group_tile)(const NAME(conv_tile) *tile);

/* skip_avx512.c. Eight registers of sums at least hide the latency of a multiply-add. */
#define SKIP_PANELS   (8 / VECTORS)
#define JOINED_PIXELS 4
void AVX512(skip_tile)(const NAME(skip_tile) *tile);

/* outer_14x32_avx512.c */
unsigned AVX512(outer_tile)(const NAME(outer_tile) *tile);

/* pool_avx512.c */
unsigned AVX512(pool_maximum)(const NAME(pool_window) *window);
size_t AVX512(pool_ties)(const NAME(pool_window) *window);
unsigned AVX512(pool_return)(const NAME(pool_window) *windows);

/* finish_avx512.c */
unsigned AVX512(finish_tile)(const NAME(finish_tile) *tile);

/* norm_avx512.c */
void AVX512(sum_rows)(size_t rows, size_t stride, size_t channels, const REAL *x, double *acc);
void AVX512(square_rows)(size_t rows, size_t stride, size_t channels, const REAL *x,
                         const double *mean, double *acc);
void AVX512(product_rows)(size_t rows, size_t stride, size_t channels, const REAL *dy,
                          const REAL *x, const double *mean, double *acc);
void AVX512(gradient_rows)(const NAME(gradient_rows) *work);
unsigned AVX512(norm_rows)(const NAME(norm_rows) *work);
unsigned AVX512(norm_backward_rows)(size_t rows, size_t channels, const REAL *dy, const REAL *x,
                                    const double *const coefficients[4], REAL *dx, bool add);
void AVX512(gate_rows)(size_t rows, size_t channels, const REAL *dy, const uint16_t *open, REAL *dx,
                       bool add);

#endif
