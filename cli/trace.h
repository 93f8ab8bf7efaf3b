/* trace.h - every product and partial sum of one number of a run, in the canonical order of
 * docs/arithmetic.md, written down while it is computed anew from the run's tensors.
 */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "cnnscope.h"

typedef enum trace_kind {
    TRACE_PART,    /* what follows is the contribution of node `text` */
    TRACE_FORMULA, /* `text` */
    TRACE_LINE,    /* `text` = value `sum`, of type `type` */
    TRACE_TERM,    /* one more term of a sum: left * right = product, `sum` so far */
    TRACE_NOTE,    /* `text`: what is left out, and why */
} trace_kind;

/* One number's place: n, c, h, w. */
typedef struct trace_place {
    int64_t n, c, h, w;
} trace_place;

static inline double trace_value(const cs_tensor *t, trace_place p) {
    return cs_tensor_at(t, p.n, p.c, p.h, p.w);
}

#define TRACE_NAME 96 /* bytes of "x[n,c,h,w]" */

typedef struct trace_item {
    trace_kind kind;
    char text[192];
    char left[TRACE_NAME],
        right[TRACE_NAME]; /* TRACE_TERM; right is "" where the term is `left` alone */
    double x, w;           /* their values */
    double product;        /* in double: exact where the run is of float32 */
    double sum;
    cs_dtype type; /* of `sum`: partial sums may be kept in double */
} trace_item;

/* A growing list; `full` once memory was exhausted, after which nothing is added. */
typedef struct trace {
    trace_item *items;
    int64_t count;
    bool full;
} trace;

void trace_free(trace *t);
void trace_part(trace *t, const char *node);
void trace_formula(trace *t, const char *format, ...) CS_PRINTF(2, 3);
void trace_note(trace *t, const char *format, ...) CS_PRINTF(2, 3);
void trace_line(trace *t, double value, cs_dtype type, const char *format, ...) CS_PRINTF(4, 5);
/* Adds a term x * w, named left * right; `right` is "" where the term is x alone. */
void trace_term(trace *t, const char *left, double x, const char *right, double w, double sum,
                cs_dtype type);
/* "what[n,c,h,w]"; returns `out`. */
const char *trace_name(char out[TRACE_NAME], const char *what, trace_place place);

/* A run after its passes, and what was kept of it: by node, data NULL where it was not. */
typedef struct trace_scene {
    const cs_model *model;
    cs_dtype dtype;
    int seed_node; /* where the backward pass began */
    cs_tensor *values, *gradients;
    const cs_gates *gates;
    bool *reached; /* trace_find_reached's: nodes that the backward pass goes through */
} trace_scene;

/* A node's output, and the gradient with respect to it: written into *t and returned. What they
 * read must have been kept: the node's inputs; the gradients of the nodes that read it, and the
 * outputs of those among them that are softmax. */
double trace_forward(trace *t, const trace_scene *s, int node, trace_place at);
double trace_gradient(trace *t, const trace_scene *s, int node, trace_place at);

/* The gradient of entry `at` of a learned parameter (index as cs_model_tensor; PyTorch's indices,
 * of a vector the first): inputs of the nodes that use it must have been kept, and the gradients
 * of their outputs. */
double trace_parameter_gradient(trace *t, const trace_scene *s, int tensor, const int64_t at[4]);
/* The tensor's place among a node's parameters that are learned, or -1. */
int trace_parameter_slot(const trace_scene *s, int node, int tensor);

/* Finds what the backward pass goes through, from the seed node on; the caller frees
 * scene->reached. Errors: CS_ERROR_MEMORY. */
cs_status trace_find_reached(trace_scene *s, cs_error *err);

/* Whether the backward pass goes from the seed node to `node`. */
bool trace_reaches(const trace_scene *s, int node);

/* One operation in the run's type, and v as it is stored. */
double trace_fma(cs_dtype type, double x, double w, double sum);
double trace_add(cs_dtype type, double a, double b);
double trace_multiply(cs_dtype type, double a, double b);
double trace_round(cs_dtype type, double v);

/* The window of a node, whatever its operation. */
typedef struct trace_window {
    int64_t kernel[2], stride[2], padding[2], dilation[2];
} trace_window;
trace_window trace_window_of(const trace_scene *s, int node);

/* The input position that output `out` reads through tap `tap`, inside the map or not; and the same
 * as a formula, "oy*2-3+r*1" of axis 0: returns `text`. */
int64_t trace_input_at(const trace_window *w, int axis, int64_t out, int64_t tap);
const char *trace_input_text(char text[TRACE_NAME], const trace_window *w, int axis);

/* What an average over the window of output (oy, ox) is divided by. */
double trace_average_count(const trace_scene *s, int node, int64_t oy, int64_t ox);

/* The scale of a batch norm's channel in inference, and where it is shown; *shift unless NULL. */
double trace_scale(trace *t, const trace_scene *s, int node, int64_t channel, double *shift);

/* A parameter of a node: tensor `slot` of its list, entry `index`. */
double trace_parameter(const trace_scene *s, int node, int slot, int64_t index);

#endif
