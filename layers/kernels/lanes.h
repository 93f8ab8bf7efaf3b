/* lanes.h - a few REALs side by side, as one value that compilers keep in a register.
 *
 * Plain C loops over an array of sums leave the array in memory (the whole network then runs at
 * half the speed), so the sums are vectors of the compiler's. Only fma needs the CPU's name for it;
 * without FMA it is soft_fma.h's, lane by lane.
 */
#ifndef CS_LANES_H
#define CS_LANES_H

#include "soft_fma.h"

#if defined(__AVX__)
#define LANES_BYTES 32
#else
#define LANES_BYTES 16
#endif
#define LANES         ((int)(LANES_BYTES / sizeof(REAL)))
#define PANEL_VECTORS (KERNEL_PANEL / LANES) /* vectors that hold one panel */

typedef REAL lanes __attribute__((vector_size(LANES_BYTES)));

#if !CS_SOFT_FMA && defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#if REAL_IS_FLOAT
#define LANES_FMA(x, y, z) ((lanes)_mm256_fmadd_ps((__m256)(x), (__m256)(y), (__m256)(z)))
#else
#define LANES_FMA(x, y, z) ((lanes)_mm256_fmadd_pd((__m256d)(x), (__m256d)(y), (__m256d)(z)))
#endif
#else
#if CS_SOFT_FMA /* long: a copy in every unrolled tile takes compilers minutes */
__attribute__((noinline, unused)) static lanes lanes_fma(lanes x, lanes y, lanes z) {
#else
static inline lanes lanes_fma(lanes x, lanes y, lanes z) {
#endif
    lanes result;
    for (int i = 0; i < LANES; i++)
        result[i] = fused(x[i], y[i], z[i]);
    return result;
}
#define LANES_FMA(x, y, z) lanes_fma(x, y, z)
#endif

/* Memory need not be aligned. */
static inline lanes lanes_load(const REAL *from) {
    lanes v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void lanes_store(REAL *to, lanes v) { memcpy(to, &v, sizeof v); }

/* x in every lane, as an initialiser, which compilers turn into one instruction. */
static inline lanes lanes_broadcast(REAL x) {
#if LANES_BYTES == 32 && REAL_IS_FLOAT
    return (lanes){x, x, x, x, x, x, x, x};
#elif LANES_BYTES == 32 || REAL_IS_FLOAT
    return (lanes){x, x, x, x};
#else
    return (lanes){x, x};
#endif
}

#endif
