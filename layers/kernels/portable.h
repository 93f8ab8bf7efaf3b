/* portable.h - names of the portable kernels, of which each file is compiled with the CPU's fma and
 * with the one of soft_fma.h; conv_16_portable.c makes the tables of them. */
#ifndef CS_PORTABLE_H
#define CS_PORTABLE_H

#include "kernel.h"

#if CS_SOFT_FMA && REAL_IS_FLOAT
#define PORTABLE(x) x##_portable_nofma_f32
#elif CS_SOFT_FMA
#define PORTABLE(x) x##_portable_nofma_f64
#elif REAL_IS_FLOAT
#define PORTABLE(x) x##_portable_f32
#else
#define PORTABLE(x) x##_portable_f64
#endif

/* 6 x 16 floats or 3 x 16 doubles fill 12 of the 16 vector registers of AVX2; CASE(n) for every
 * number of pixels. */
#if REAL_IS_FLOAT
#define PORTABLE_PIXELS 6
#define PORTABLE_CASES(CASE)                                                                       \
    CASE(1)                                                                                        \
    CASE(2)                                                                                        \
    CASE(3)                                                                                        \
    CASE(4)                                                                                        \
    CASE(5)                                                                                        \
    CASE(6)
#else
#define PORTABLE_PIXELS 3
#define PORTABLE_CASES(CASE)                                                                       \
    CASE(1)                                                                                        \
    CASE(2)                                                                                        \
    CASE(3)
#endif

/* outer_portable.c */
unsigned PORTABLE(outer_tile)(const NAME(outer_tile) *tile);

/* skip_portable.c: 4 panels of floats, or 2 of doubles, fill 8 registers of AVX2. */
#if REAL_IS_FLOAT
#define SKIP_PANELS_PORTABLE 4
#else
#define SKIP_PANELS_PORTABLE 2
#endif
void PORTABLE(skip_tile)(const NAME(skip_tile) *tile);

/* groups_portable.c */
void PORTABLE(group_tile)(const NAME(conv_tile) *tile);

/* wide_portable.c: of floats only; doubles have conv_tile. */
#if REAL_IS_FLOAT
void PORTABLE(wide_tile)(const NAME(conv_tile) *tile);
#define WIDE_TILE PORTABLE(wide_tile)
#else
#define WIDE_TILE conv_tile
#endif

/* finish_portable.c */
unsigned PORTABLE(finish_tile)(const NAME(finish_tile) *tile);

/* norm_portable.c */
void PORTABLE(sum_rows)(size_t rows, size_t stride, size_t channels, const REAL *x, double *acc);
void PORTABLE(square_rows)(size_t rows, size_t stride, size_t channels, const REAL *x,
                           const double *mean, double *acc);
void PORTABLE(product_rows)(size_t rows, size_t stride, size_t channels, const REAL *dy,
                            const REAL *x, const double *mean, double *acc);
void PORTABLE(gradient_rows)(const NAME(gradient_rows) *work);
unsigned PORTABLE(norm_rows)(const NAME(norm_rows) *work);
unsigned PORTABLE(norm_backward_rows)(size_t rows, size_t channels, const REAL *dy, const REAL *x,
                                      const double *const coefficients[4], REAL *dx, bool add);

/* pool_portable.c */
void PORTABLE(gate_rows)(size_t rows, size_t channels, const REAL *dy, const uint16_t *open,
                         REAL *dx, bool add);
unsigned PORTABLE(pool_maximum)(const NAME(pool_window) *window);
size_t PORTABLE(pool_ties)(const NAME(pool_window) *window);
unsigned PORTABLE(pool_return)(const NAME(pool_window) *windows);

#endif
