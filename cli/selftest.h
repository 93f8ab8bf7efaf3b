/* selftest.h - does a kernel of this machine give the hashes that docs/arithmetic.md publishes? */
#ifndef CLI_SELFTEST_H
#define CLI_SELFTEST_H

#include "cnnscope.h"

/* One row of the page's section 6. The node "d input" is the input gradient of logit 0. */
typedef struct selftest_hash {
    const char *node;
    const char *hash[2]; /* f32, f64 */
} selftest_hash;

/* The rows of the small network as they stood in the page when the program was built. */
extern const selftest_hash selftest_published[];
extern const int selftest_published_count;

/* What one instruction set gave in one type. */
typedef struct selftest_result {
    bool available; /* this CPU has it; otherwise nothing was run */
    int runs;       /* of forward and backward */
    int compared;   /* hashes, over all runs */
    int different;
    struct { /* the first that differs */
        const char *node, *expected;
        int threads, batch, position;
        char got[CS_SHA256_HEX_SIZE];
    } first;
} selftest_result;

/* Runs the image of seed 1 with 1 and 2 threads, and with 3 threads as the first and the last of a
 * batch of 3, and compares every hash of the table; `quick` leaves it at 2 threads.
 * Errors: those of cs_run_*; a difference is none. */
cs_status selftest_run(cs_model *model, const selftest_hash *table, int count, cs_isa isa,
                       cs_dtype dtype, bool quick, selftest_result *result, cs_error *err);

#endif
