/* class_choice.h - which classes of an image are meant: "argmax", "2", "PNEUMONIA", "all",
 * "topk:3".
 */
#ifndef CLI_CLASS_CHOICE_H
#define CLI_CLASS_CHOICE_H

#include "cnnscope_cam.h"

typedef struct class_choice {
    bool all;
    int64_t top;   /* the classes with the largest logits; 0: `index` alone */
    int64_t index; /* or CS_CLASS_ARGMAX */
} class_choice;

/* Errors: CS_ERROR_ARGUMENT. */
cs_status class_choice_parse(const cs_model *model, const char *text, class_choice *choice,
                             cs_error *err);

/* The classes of image n, largest logit first for topk, ascending for all. `classes` has room for
 * every class of the model; returns their number. */
int64_t class_choice_list(const class_choice *choice, const cs_tensor *logits, int64_t n,
                          int64_t *classes);

/* The `top` classes with the largest logits of image n, in that order; of equals the lower number
 * first, NaN last. Returns their number, at most logits->c. */
int64_t top_classes(const cs_tensor *logits, int64_t n, int64_t top, int64_t *classes);

#endif
