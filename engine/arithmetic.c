/* arithmetic.c - exp, log and softmax in double, each a fixed sequence of IEEE operations.
 *
 * libm's functions differ in the last bit between CPUs and versions; these do not. They use only
 * + - * / (never contracted to fma), comparisons, and bit operations on the representation.
 * docs/arithmetic.md states the sequence step by step and derives the error bound.
 */
#include "cnnscope_support.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "the canonical arithmetic needs double expressions evaluated in double (no x87)"
#endif

/* ln 2 = LN2_HI + LN2_LO: the first has 33 significant bits, so that k * LN2_HI is exact for
 * |k| < 2^20; the second is the rest, rounded. */
static const double LN2_HI = 0x1.62e42feep-1;
static const double LN2_LO = 0x1.a39ef35793c76p-33;
static const double INV_LN2 = 0x1.71547652b82fep+0;

/* Adding and subtracting 1.5 * 2^52 rounds to the nearest integer, ties to even. */
static const double ROUNDER = 0x1.8p52;

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k for -1022 <= k <= 1023. */
static double power_of_two(int64_t k) { return double_of((uint64_t)(k + 1023) << 52); }

double cs_exp(double x) {
    /* c[i] = 1/(i + 2)!: the Taylor series from r^2 to r^14. What is cut off is below
     * 0.3466^15/15! < 2^-63. */
    static const double c[13] = {
        1.0 / 2,         1.0 / 6,          1.0 / 24,          1.0 / 120,     1.0 / 720,
        1.0 / 5040,      1.0 / 40320,      1.0 / 362880,      1.0 / 3628800, 1.0 / 39916800,
        1.0 / 479001600, 1.0 / 6227020800, 1.0 / 87178291200,
    };
    if (!(x <= 0x1.62e42fefa39efp+9)) /* the largest x with a finite exp; NaN passes through */
        return x > 0 ? HUGE_VAL : x;
    if (x < -746.0)
        return 0.0;
    double kd = (x * INV_LN2 + ROUNDER) - ROUNDER;
    double hi = x - kd * LN2_HI;
    double lo = kd * LN2_LO;
    double r = hi - lo;
    double r_low = (hi - r) - lo;
    double p = c[12];
    for (int i = 11; i >= 0; i--)
        p = p * r + c[i];
    double one_r = 1.0 + r;
    double lost = (1.0 - one_r) + r;
    double y = one_r + ((r_low + lost) + r * r * p);
    int64_t k = (int64_t)kd;
    if (k > 1023)
        return y * 0x1p1023 * 2.0;
    if (k < -1022)
        return y * power_of_two(k + 1000) * 0x1p-1000; /* rounded once, as a subnormal */
    return y * power_of_two(k);
}

double cs_log(double x) {
    /* d[i] = 2/(2i + 3): log((1 + s)/(1 - s)) = 2s + s * (d[0] z + d[1] z^2 + ...), z = s^2. */
    static const double d[11] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                                 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
    if (!(x > 0))
        return x == 0 ? -HUGE_VAL : double_of(UINT64_C(0x7FF8000000000000));
    if (x > DBL_MAX)
        return x;
    int64_t e = 0;
    if (x < DBL_MIN) {
        x = x * 0x1p54;
        e = -54;
    }
    /* m in [0x1.6a09ep-1, 0x1.6a09ep0): the upper word is compared with that of sqrt(2). */
    uint64_t bits = bits_of(x) + (UINT64_C(0x3FF0000000000000) - UINT64_C(0x3FE6A09E00000000));
    e += (int64_t)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) + UINT64_C(0x3FE6A09E00000000);
    double f = double_of(bits) - 1.0; /* exact */
    double s = f / (2.0 + f);
    double z = s * s;
    double p = d[10];
    for (int i = 9; i >= 0; i--)
        p = p * z + d[i];
    /* log m = f - f^2/2 + s * (f^2/2 + z*p). */
    double half = 0.5 * f * f;
    double ed = (double)e;
    double top = ed * LN2_HI;
    double sum = top + f;
    double lost = (top - sum) + f;
    return sum + (lost + ((s * (half + z * p) + ed * LN2_LO) - half));
}

void cs_softmax(const cs_tensor *t, int64_t n, double *out) {
    double largest = cs_tensor_at(t, n, 0, 0, 0), sum = 0;
    for (int64_t c = 1; c < t->c; c++) {
        double value = cs_tensor_at(t, n, c, 0, 0);
        if (value > largest || value != value)
            largest = value;
    }
    for (int64_t c = 0; c < t->c; c++) {
        out[c] = cs_exp(cs_tensor_at(t, n, c, 0, 0) - largest);
        sum = sum + out[c];
    }
    for (int64_t c = 0; c < t->c; c++)
        out[c] = out[c] / sum;
}
