/* hostile_pickles.h - pickles with one thing wrong each (list PICKLE, and TENSOR where the pickle
 * alone is at fault). */
#ifndef HOSTILE_PICKLES_H
#define HOSTILE_PICKLES_H

#include "checkpoint_builder.h"

typedef struct hostile_pickle {
    const char *name;
    void (*make)(bytes *b); /* or, where it is NULL, these bytes: */
    const char *data;
    size_t size;
    cs_status status;
} hostile_pickle;

int hostile_pickle_count(void);
const hostile_pickle *hostile_pickle_get(int index);

#endif
