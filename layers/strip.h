/* strip.h - a strip: a stretch of consecutive results of a convolution, and its pointer tables. */
#ifndef CS_STRIP_H
#define CS_STRIP_H

#include "layer_real.h"

/* Results of a strip at most. 224 = 16 tiles of 14 pixels: whole rows of ResNet's maps, and enough
 * tiles to read weights once for many of them. Their sums, which wait in memory while a skipping
 * kernel goes through the weights, are 112 KB with 8 panels of floats. */
#define STRIP_LIMIT 224

/* What a part keeps between units. */
typedef struct NAME(strip) {
    REAL acc[STRIP_LIMIT * KERNEL_SKIP_LIMIT * KERNEL_PANEL];
    size_t pixel[STRIP_LIMIT]; /* the result pixels */
    size_t begin, length;      /* the results that are loaded */
    size_t row, group;         /* which strip and group that is */
    const REAL **source;       /* [taps][STRIP_LIMIT] */
    const uint16_t **nonzero;  /* the same for the source's masks, or NULL */
    REAL *copies;              /* runs that leave the map */
    size_t copied;             /* how many of them */
    size_t outside;            /* taps that lie beside the map, over all results */
    bool skip;                 /* the strip has zeros enough for skipping */
} NAME(strip);

/* Bytes of scratch for a strip of `taps` taps, each a run of `run` pixels of `channels`
 * channels. */
size_t NAME(strip_size)(size_t taps, size_t run, size_t channels);

/* The strip in the scratch memory of a part, with nothing loaded. */
NAME(strip) *NAME(strip_in)(const NAME(convolve) *work);

/* Fills the tables for results [begin, end) of the strip's group. */
void NAME(strip_load)(const NAME(convolve) *work, NAME(strip) *strip, size_t begin, size_t end);

#endif
