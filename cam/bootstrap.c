/* bootstrap.c - Poisson bootstrap, sign flips, binomial tail, Holm's correction.
 *
 * A unit's weight in a replicate depends on the seed and the unit's name alone, so sums over parts
 * of a set may be made anywhere and added; the images of one patient share their weights and signs,
 * which makes the intervals those of patients.
 */
#include "bootstrap.h"

#include <math.h>
#include <stdlib.h>

uint64_t bootstrap_unit(const char *name) {
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        hash = (hash ^ *c) * 0x100000001B3u;
    return hash;
}

static cs_random stream(uint64_t seed, uint64_t unit, uint64_t purpose) {
    cs_random mixer = {seed + purpose};
    return (cs_random){cs_random_next(&mixer) ^ unit};
}

void bootstrap_weights(uint64_t seed, uint64_t unit, double weights[BOOTSTRAP_REPLICATES]) {
    /* P(X <= k) of a Poisson variable of mean 1; what lies above the last is 7. */
    static const double upto[7] = {0.36787944117144233, 0.7357588823428847, 0.9196986029286058,
                                   0.9810118431238462,  0.9963401531726563, 0.9994058151824183,
                                   0.9999167588507119};
    cs_random random = stream(seed, unit, 1);
    for (int r = 0; r < BOOTSTRAP_REPLICATES; r++) {
        double u = cs_random_uniform(&random);
        int k = 0;
        while (k < 7 && u >= upto[k])
            k++;
        weights[r] = (double)k;
    }
}

void bootstrap_signs(uint64_t seed, uint64_t unit, double signs[BOOTSTRAP_FLIPS]) {
    cs_random random = stream(seed, unit, 2);
    uint64_t bits = 0;
    for (int f = 0; f < BOOTSTRAP_FLIPS; f++) {
        if (f % 64 == 0)
            bits = cs_random_next(&random);
        signs[f] = bits >> (f % 64) & 1u ? 1.0 : -1.0;
    }
}

/* ------------------------------------------------------------------ tallies -------------- */

void tally_begin(tally *t, double *memory) {
    *t = (tally){.values = memory, .weights = memory + BOOTSTRAP_REPLICATES};
}

void tally_add(tally *t, double value, const double *weights) {
    if (isnan(value))
        return;
    t->count++;
    t->sum += value;
    for (int r = 0; r < BOOTSTRAP_REPLICATES; r++) {
        t->values[r] += weights[r] * value;
        t->weights[r] += weights[r];
    }
}

double tally_mean(const tally *t) { return t->count > 0 ? t->sum / (double)t->count : (double)NAN; }

static int compare_reals(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* numpy's quantile of sorted values. */
static double quantile(const double *sorted, int count, double q) {
    double at = q * (double)(count - 1);
    int below = (int)at;
    double part = at - (double)below;
    return below + 1 < count ? sorted[below] + part * (sorted[below + 1] - sorted[below])
                             : sorted[below];
}

/* The interval around `value` of the replicates that exist. */
static cs_interval close_interval(double value, int64_t count, double *replicates, int existing) {
    cs_interval result = {value, (double)NAN, (double)NAN, count};
    if (count < 2 || existing < BOOTSTRAP_REPLICATES / 2)
        return result;
    qsort(replicates, (size_t)existing, sizeof *replicates, compare_reals);
    result.low = quantile(replicates, existing, 0.025);
    result.high = quantile(replicates, existing, 0.975);
    return result;
}

static double replicate_mean(const tally *t, int r) { return t->values[r] / t->weights[r]; }

cs_interval tally_interval(const tally *t) {
    double replicates[BOOTSTRAP_REPLICATES];
    int count = 0;
    for (int r = 0; r < BOOTSTRAP_REPLICATES; r++)
        if (t->weights[r] > 0.0)
            replicates[count++] = replicate_mean(t, r);
    return close_interval(tally_mean(t), t->count, replicates, count);
}

cs_interval tally_quotient(const tally *a, const tally *b) {
    double replicates[BOOTSTRAP_REPLICATES];
    int count = 0;
    for (int r = 0; r < BOOTSTRAP_REPLICATES; r++)
        if (a->weights[r] > 0.0 && b->weights[r] > 0.0 && replicate_mean(b, r) > 0.0)
            replicates[count++] = replicate_mean(a, r) / replicate_mean(b, r);
    return close_interval(tally_mean(a) / tally_mean(b), a->count, replicates, count);
}

/* An upper bound of the normal distribution's tail above z > 0. */
static double normal_tail(double z) {
    double tail = cs_exp(-z * z / 2.0) / (z * 2.5066282746310002);
    return tail < 1.0 ? tail : 1.0;
}

/* One-sided p of `value` against `count` values of a null, `reached` of which are as large; their
 * squares' mean is `square`. */
static double one_sided(double value, int reached, int count, double square) {
    double p = (1.0 + reached) / (1.0 + count);
    if (reached > 0 || !(square > 0.0) || !(value > 0.0))
        return p;
    double tail = normal_tail(value / sqrt(square));
    return tail < p ? tail : p;
}

cs_interval tally_difference(const tally *a, const tally *b, double *p) {
    double replicates[BOOTSTRAP_REPLICATES];
    double value = tally_mean(a) - tally_mean(b), square = 0.0;
    int count = 0, reached = 0;
    for (int r = 0; r < BOOTSTRAP_REPLICATES; r++)
        if (a->weights[r] > 0.0 && b->weights[r] > 0.0) {
            double v = replicate_mean(a, r) - replicate_mean(b, r);
            reached += v <= 0.0;
            square += (v - value) * (v - value);
            replicates[count++] = v;
        }
    *p = count > 0 ? one_sided(value, reached, count, square / count) : (double)NAN;
    int64_t rows = a->count < b->count ? a->count : b->count;
    return close_interval(value, rows, replicates, count);
}

/* ------------------------------------------------------------------ tests ---------------- */

void flips_add(flips *f, double value, const double *signs) {
    if (isnan(value))
        return;
    f->count++;
    f->sum += value;
    for (int i = 0; i < BOOTSTRAP_FLIPS; i++)
        f->sums[i] += signs[i] * value;
}

double flips_p(const flips *f) {
    double square = 0.0;
    int reached = 0;
    if (f->count == 0)
        return (double)NAN;
    for (int i = 0; i < BOOTSTRAP_FLIPS; i++) {
        reached += f->sums[i] >= f->sum;
        square += f->sums[i] * f->sums[i];
    }
    return one_sided(f->sum, reached, BOOTSTRAP_FLIPS, square / BOOTSTRAP_FLIPS);
}

double binomial_tail(int64_t n, int64_t k, double q) {
    double coefficient = 0.0, sum = 0.0; /* ln (n choose i) */
    if (k <= 0)
        return 1.0;
    for (int64_t i = 0; i <= n; i++) {
        if (i > 0)
            coefficient += cs_log((double)(n - i + 1)) - cs_log((double)i);
        if (i >= k)
            sum += cs_exp(coefficient + (double)i * cs_log(q) + (double)(n - i) * cs_log(1.0 - q));
    }
    return sum < 1.0 ? sum : 1.0;
}

int holm_correct(double *const *p, int count) {
    int tests = 0, done = 0;
    double last = 0.0, largest = -1.0;
    for (int i = 0; i < count; i++)
        tests += !isnan(*p[i]);
    double *raw = calloc((size_t)count + 1, sizeof *raw);
    for (int i = 0; raw && i < count; i++)
        raw[i] = *p[i];
    /* The p values ascending, each value (with its equals) once. */
    while (raw && done < tests) {
        double next = (double)INFINITY;
        int equals = 0;
        for (int i = 0; i < count; i++)
            if (raw[i] > largest && raw[i] < next)
                next = raw[i];
        double corrected = next * (double)(tests - done);
        last = corrected > last ? corrected : last;
        last = last < 1.0 ? last : 1.0;
        for (int i = 0; i < count; i++)
            if (raw[i] == next) {
                *p[i] = last;
                equals++;
            }
        done += equals;
        largest = next;
    }
    int result = raw ? tests : -1;
    free(raw);
    return result;
}
