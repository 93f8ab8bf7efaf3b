/* bootstrap.h - means with intervals and tests that can be added up image by image, in constant
 * memory: what the shortcut summary stands on. */
#ifndef CAM_BOOTSTRAP_H
#define CAM_BOOTSTRAP_H

#include "cnnscope_diagnose.h"

enum { BOOTSTRAP_REPLICATES = 1000, BOOTSTRAP_FLIPS = 2000 };

/* A mean and its replicates: weighted sums and sums of weights. */
typedef struct tally {
    int64_t count;
    double sum;
    double *values, *weights; /* BOOTSTRAP_REPLICATES each */
} tally;

/* A unit's (patient's, else file's) weights: Poisson(1) in each replicate; and its signs: 1 or -1.
 * Both are streams of SplitMix64 that begin with the seed and a hash of its name. */
uint64_t bootstrap_unit(const char *name);
void bootstrap_weights(uint64_t seed, uint64_t unit, double weights[BOOTSTRAP_REPLICATES]);
void bootstrap_signs(uint64_t seed, uint64_t unit, double signs[BOOTSTRAP_FLIPS]);

/* `memory` has room for 2 * BOOTSTRAP_REPLICATES zeros. NaN is not added. */
void tally_begin(tally *t, double *memory);
void tally_add(tally *t, double value, const double *weights);
double tally_mean(const tally *t);

/* 95 % interval of the replicates' means; of the quotient or difference of two tallies. */
cs_interval tally_interval(const tally *t);
cs_interval tally_quotient(const tally *a, const tally *b);
/* `p` receives the share of replicates at or below 0, from the normal tail where there are none. */
cs_interval tally_difference(const tally *a, const tally *b, double *p);

/* Sums of a value under random signs of units; and the one-sided p of its mean being above 0,
 * with the normal tail where no flip reaches it. */
typedef struct flips {
    double sum;
    int64_t count;
    double *sums; /* BOOTSTRAP_FLIPS */
} flips;
void flips_add(flips *f, double value, const double *signs);
double flips_p(const flips *f);

/* P(X >= k) of n draws with probability q. */
double binomial_tail(int64_t n, int64_t k, double q);

/* Holm's correction in place of `count` p values; NaN takes no part. Returns how many took part, -1
 * without memory. */
int holm_correct(double *const *p, int count);

#endif
