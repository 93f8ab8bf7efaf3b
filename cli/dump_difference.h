/* dump_difference.h - how far two arrays of two dumps are apart. */
#ifndef CLI_DUMP_DIFFERENCE_H
#define CLI_DUMP_DIFFERENCE_H

#include "dump_manifest.h"

/* What may differ. */
typedef struct difference_limits {
    double tolerance; /* of the largest value of both arrays */
    double ulp;       /* entry by entry */
    int64_t flips;    /* gates or winners, in one node */
} difference_limits;

/* Numbers are compared in double: NaN equals NaN, -0 equals +0. One ulp is the distance of
 * neighbouring numbers of the narrower of both types at the larger of both entries. Where a number
 * stands against NaN or another infinity, the distance is infinite. Of gates and winners only
 * entries and differing count. */
typedef struct dump_difference {
    int64_t entries, differing;
    double largest;  /* |a - b| */
    double relative; /* the same, of the largest value of both arrays; 0 where all are 0 */
    double ulp;      /* the largest distance of one entry */
    int64_t at[4];   /* where `largest` stands, `dims` indices */
    int dims;
    double a, b; /* what stands there */
    cs_dtype narrower;
    bool parts; /* beyond the limits */
} dump_difference;

/* Compares an item of both folders. Errors: as dump_item_read; CS_ERROR_MISMATCH (other shapes),
 * CS_ERROR_FORMAT (types that the kind does not have). */
cs_status dump_difference_take(const dump_manifest *a, const dump_manifest *b,
                               const dump_item *item, const difference_limits *limits,
                               dump_difference *out, cs_error *err);

#endif
