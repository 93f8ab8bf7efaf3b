/* gates.h - what a batch's ReLU gates and pool winners are inside the engine. */
#ifndef CS_GATES_H
#define CS_GATES_H

#include "model.h"

/* One node's gates in the layout of layer.h: words of 16 bits a pixel, or int32 winners. */
typedef struct gate_set {
    int node;
    bool winners;
    cs_shape in, out;
    size_t image_bytes; /* of one image */
    char *data;         /* batch * image_bytes, 64-byte aligned */
} gate_set;

struct cs_gates {
    const cs_model *model;
    int64_t batch;
    int count;
    gate_set *sets; /* in execution order */
};

/* Gates for `batch` images of a model at these shapes, all closed, all winners 0. */
cs_status gates_create(const cs_model *model, const cs_shape *shapes, int64_t batch,
                       cs_gates **gates, cs_error *err);

/* A node's data, or NULL where it has none. */
void *gates_data(const cs_gates *gates, int node);

#endif
