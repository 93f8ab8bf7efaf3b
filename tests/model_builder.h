/* model_builder.h - small models written as C data: NAME.json + NAME.bin of docs/formats.md. */
#ifndef MODEL_BUILDER_H
#define MODEL_BUILDER_H

#include "cnnscope.h"

/* One node behind the input. Parameters are in PyTorch's layout; NULL where the node has none. */
typedef struct built_node {
    const char *name;
    const char *op;
    const char *inputs[2]; /* "input" is the model's input */
    const char *module;    /* NULL: the node's name */
    int64_t in_channels;   /* conv2d, batch_norm: C of the input; linear: its features */
    cs_node_attributes attributes;
    const float *weight; /* conv2d: K, C/groups, R, S; linear: K, features; batch_norm: C */
    const float *bias;
    const float *running_mean, *running_var;
} built_node;

typedef struct built_model {
    int64_t channels, height, width; /* of the input, at most 16 channels */
    const built_node *nodes;
    int count;
    const char *output;
    int64_t classes; /* channels of the output */
} built_model;

/* Attributes of a convolution or pool that is the same in both directions. */
cs_node_attributes built_window(int64_t kernel, int64_t stride, int64_t padding, int64_t dilation);

/* Writes FOLDER/NAME.json and FOLDER/NAME.bin and returns the manifest's path (static storage, as
 * test_path). Fails the test where that is not possible. */
const char *built_model_write(const built_model *model, const char *folder, const char *name);

/* Writes the model into a new folder and opens it. Free it with cs_model_free. */
cs_model *built_model_open(const built_model *model);

#endif
