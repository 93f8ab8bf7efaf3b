/* planted.h - deliberate errors in layers: the test program is linked with --wrap=layer_find, so
 * that the engine finds a layer with a mistake in it where a test has planted one. The library
 * knows nothing of it.
 */
#ifndef PLANTED_H
#define PLANTED_H

#include "cnnscope.h"

typedef enum planted_error {
    PLANTED_NOTHING = 0,
    PLANTED_SIGN,            /* the input gradient has the wrong sign */
    PLANTED_DROP,            /* a term is missing in it: a tap, a window, a gate or scale unused */
    PLANTED_STORE,           /* it is stored where it should be added */
    PLANTED_PARAMETER_SIGN,  /* the same in the gradients of parameters */
    PLANTED_PARAMETER_DROP,  /* one pixel's term is missing */
    PLANTED_PARAMETER_STORE, /* stored, not added */
    PLANTED_FORWARD,         /* in float32 alone: the first value is a thousandth too large */
    PLANTED_COUNT
} planted_error;

/* Plants an error in the layer of one node of a model, in both types, in inference and in training,
 * until planted_clear. One at a time; before a run is created. */
void planted_set(const cs_model *model, int node, planted_error error);
/* Extends it to every node with that operation, of every model. */
void planted_anywhere(void);
void planted_clear(void);

/* Whether the node can have that error. */
bool planted_fits(const cs_model *model, int node, planted_error error);

#endif
