/* example.h - what the examples share: a model with an input, a pass, and the end on an error.
 *
 * The image is the input of seed 1; cnnscope_cam.h reads real ones.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "cnnscope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program unless the call went well. */
static inline void must(cs_status status, const cs_error *err) {
    if (status == CS_OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(cs_status_exit_code(status));
}

/* A copy, which cs_tensor_release frees. */
static inline cs_status example_copy(const cs_tensor *from, cs_tensor *copy, cs_error *err) {
    CS_TRY(cs_tensor_allocate(copy, from->dtype, from->n, from->c, from->h, from->w, err));
    memcpy(copy->data, from->data, (size_t)cs_tensor_count(from) * cs_dtype_size(from->dtype));
    return CS_OK;
}

typedef struct example {
    cs_model *model;
    cs_run *run;
    cs_tensor image, seed; /* seed: the derivative of class 0's logit */
} example;

static inline example example_open(int argc, char **argv, const char *usage) {
    cs_error err;
    example e = {0};
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    cs_random random = {1};
    if (argc < 2) {
        fprintf(stderr, "usage: %s\n", usage);
        exit(2);
    }
    must(cs_model_open(argv[1], NULL, &e.model, &err), &err);
    const cs_preprocess *p = cs_model_preprocess(e.model);
    must(cs_run_create(e.model, &options, &e.run, &err), &err);
    must(cs_tensor_allocate(&e.image, CS_F32, 1, p->channels, p->height, p->width, &err), &err);
    must(cs_tensor_allocate(&e.seed, CS_F32, 1, cs_model_class_count(e.model), 1, 1, &err), &err);
    cs_random_fill_input(&random, &e.image);
    cs_tensor_set(&e.seed, 0, 0, 0, 0, 1.0);
    return e;
}

/* Forward, and backward from class 0's logit as far as something asks for a gradient. */
static inline void example_pass(example *e, bool backward) {
    cs_error err;
    must(cs_run_prepare(e->run, &err), &err);
    must(cs_run_forward(e->run, &e->image, &err), &err);
    if (backward)
        must(cs_run_backward(e->run, &e->seed, &err), &err);
}

static inline void example_close(example *e) {
    cs_tensor_release(&e->image);
    cs_tensor_release(&e->seed);
    cs_run_free(e->run);
    cs_model_free(e->model);
}

#endif
