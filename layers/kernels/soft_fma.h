/* soft_fma.h - fma(x, y, z) in one rounding: the CPU's instruction, or the same bits without it.
 *
 * float: the product of two floats is exact in double. The sum with z is rounded to odd in double
 * (if it is inexact, its last bit is made 1), and then to float: 53 bits are enough beyond
 * float's 24 for the second rounding to be the only one (Boldo and Melquiond, "Emulation of FMA and
 * correctly rounded sums: proved algorithms using rounding to odd", 2008).
 *
 * (The sign of a zero result may differ from the instruction's; nothing stores it: ground rule 3
 * of docs/arithmetic.md.)
 *
 * double: the same paper's algorithm with Dekker's exact product; where a factor, the product or
 * the sum leaves the range in which that product is exact, libm's fma, which is exact everywhere.
 */
#ifndef CS_SOFT_FMA_H
#define CS_SOFT_FMA_H

#include "kernel.h"

#include <math.h>
#include <string.h>

#if CS_SOFT_FMA

/* The sum a + b rounded to odd; NaN and infinity as the addition gives them. */
static inline double add_round_odd(double a, double b) {
    double sum = a + b;
    double part = sum - a; /* Knuth's TwoSum: a + b = sum + error exactly */
    double error = (a - (sum - part)) + (b - part);
    uint64_t bits, error_bits;
    memcpy(&bits, &sum, sizeof bits);
    memcpy(&error_bits, &error, sizeof error_bits);
    /* An even sum with a remainder moves one step towards it: away from zero if both have the same
     * sign, towards zero otherwise. An odd sum is already one of the two neighbours, the odd one.
     */
    uint64_t inexact = (uint64_t)(error != 0) & (uint64_t)(error - error == 0);
    uint64_t step = inexact & ~bits & 1;
    uint64_t towards_zero = (bits ^ error_bits) >> 63;
    bits += step - 2 * (step & towards_zero);
    memcpy(&sum, &bits, sizeof sum);
    return sum;
}

/* |v| is 0 or in [2^-400, 2^400]: then no intermediate result below over- or underflows. */
static inline bool in_safe_range(double v) {
    double size = fabs(v);
    return (size >= 0x1p-400 && size <= 0x1p400) || size == 0;
}

static inline double fused_double(double x, double y, double z) {
    if (!(in_safe_range(x) && in_safe_range(y) && in_safe_range(z)))
        return fma(x, y, z);
    double product = x * y; /* Dekker: x * y = product + rest exactly */
    double x_scaled = 0x8000001p0 * x, y_scaled = 0x8000001p0 * y;
    double x_high = x_scaled - (x_scaled - x), x_low = x - x_high;
    double y_high = y_scaled - (y_scaled - y), y_low = y - y_high;
    double rest = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low;
    double low = z + rest; /* TwoSum(z, rest) */
    double part = low - z;
    double low_rest = (z - (low - part)) + (rest - part);
    double high = product + low; /* TwoSum(product, low) */
    part = high - product;
    double high_rest = (product - (high - part)) + (low - part);
    return high + add_round_odd(low_rest, high_rest);
}

#if REAL_IS_FLOAT
static inline float fused(float x, float y, float z) {
    return (float)add_round_odd((double)x * (double)y, (double)z);
}
#else
static inline double fused(double x, double y, double z) { return fused_double(x, y, z); }
#endif

#else

static inline double fused_double(double x, double y, double z) { return __builtin_fma(x, y, z); }

#if REAL_IS_FLOAT
static inline float fused(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
#else
static inline double fused(double x, double y, double z) { return fused_double(x, y, z); }
#endif

#endif

#endif
