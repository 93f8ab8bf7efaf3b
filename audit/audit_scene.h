/* audit_scene.h - what the files of audit/ share: runs, gates, memory of nodes, vectors. */
#ifndef AUDIT_SCENE_H
#define AUDIT_SCENE_H

#include "cnnscope_audit.h"

/* Where an audit stands. */
typedef struct audit_scene {
    cs_model *model;
    const cs_tensor *input;
    const cs_audit_options *options;
    cs_audit *audit;
    int nodes, output;
    int64_t (*shape)[3]; /* c, h, w of each node's output */
    int *last_reader;    /* the last node that reads this one, or the node itself */
    bool *reaches;       /* whether the output depends on it */
    int *readers;        /* how many inputs of nodes on which the output depends read it */
    int *reader;         /* the last of those nodes */
    double *cost;        /* multiply-adds of each node's step */
    double total_cost, done, total;
    cs_tensor seed;  /* of the backward pass: one at the class */
    cs_run *float32; /* the audited engine's run */
    cs_run *live;    /* float64, its own gates; single nodes */
    cs_run *frozen;  /* float64, imposed gates; single nodes, gradients at the gates */
    cs_gates *gates32, *gates64;
} audit_scene;

/* Opens the scene of an audit: shapes, costs, class and seed come with audit_scene_start. */
cs_status audit_scene_open(audit_scene *scene, cs_error *err);
void audit_scene_close(audit_scene *scene);

/* A run of the audited engine, or in float64 of the direct one; not told anything yet. */
cs_status audit_make_run(const audit_scene *scene, cs_dtype dtype, cs_params *params, cs_run **run,
                         cs_error *err);

/* A run's status as a call's: CS_ERROR_NUMERIC naming the node or tensor. */
cs_status audit_check_finite(const audit_scene *scene, const cs_run *run, const char *pass,
                             cs_error *err);

/* Says that work of this cost is done; CS_ERROR_INTERRUPTED where the caller wants to stop. */
cs_status audit_step(audit_scene *scene, double cost, cs_error *err);

const char *audit_name(const audit_scene *scene, int node);

/* ------------------------------------------------------------------ memory of nodes ------ */

/* A float64 tensor of a node's shape, not zeroed the second time: buffers go round. */
typedef struct audit_values {
    const audit_scene *scene;
    cs_tensor *of; /* per node; data NULL where there is none */
    void **spare;  /* buffers of the largest node's size */
    int spares;
    size_t largest;
} audit_values;

cs_status audit_values_open(audit_values *values, const audit_scene *scene, cs_error *err);
void audit_values_close(audit_values *values);
/* Gives values->of[node] memory, if it has none. */
cs_status audit_values_make(audit_values *values, int node, cs_error *err);
void audit_values_drop(audit_values *values, int node);
/* After node `node` was computed: drops the inputs that nobody reads any more. */
void audit_values_drop_inputs(audit_values *values, int node);

/* A tensor of a node's shape; release it with cs_tensor_release. */
cs_status audit_tensor(const audit_scene *scene, int node, cs_dtype dtype, cs_tensor *t,
                       cs_error *err);

/* Of the shape of a node's parameter 0 or 1, in float64. */
cs_status audit_parameter_tensor(const audit_scene *scene, int node, int i, cs_tensor *t,
                                 cs_error *err);

/* Copies a tensor of either type into a float64 one of the same shape. */
void audit_widen(const cs_tensor *from, cs_tensor *to);

/* A node's step in float64 on a run with single nodes: values->of[node] from its inputs'. */
cs_status audit_node_forward(audit_scene *scene, cs_run *run, audit_values *values, int node,
                             cs_error *err);

/* The backward step of one input of a node: stored, or added to what is there. */
cs_status audit_node_backward(audit_scene *scene, cs_run *run, int node, int input,
                              const cs_tensor *doutput, cs_tensor *dinput, bool add, cs_error *err);

/* The output of a softmax, which its derivatives read, as float64 has it; NULL for others. */
cs_status audit_needed_output(audit_scene *scene, int node, cs_tensor *view,
                              const cs_tensor **output, cs_error *err);

/* ------------------------------------------------------------------ vectors -------------- */

/* <a, b> of float64 tensors of one size, as if in twice the precision. */
double audit_dot(const cs_tensor *a, const cs_tensor *b);
double audit_norm(const cs_tensor *a);
double audit_largest(const cs_tensor *a);
/* a += factor * b */
void audit_add(cs_tensor *a, const cs_tensor *b, double factor);
/* sum of |a| |b| */
double audit_absolute_dot(const cs_tensor *a, const cs_tensor *b);
/* (|left - right|) / size; 0 for 0 / 0 */
double audit_ratio(double left, double right, double size);

/* ------------------------------------------------------------------ sources -------------- */

/* A float32 engine whose values are audited: cnnscope's own run, or another's dump. */
typedef struct audit_source {
    cs_run *run;        /* own: activations or gradients kept */
    const char *folder; /* another's */
    cs_gates *gates;
} audit_source;

/* Fills `to` (float64, of the node's shape). *there is false where a dump has no such file. */
cs_status audit_source_activation(const audit_scene *scene, const audit_source *source, int node,
                                  cs_tensor *to, bool *there, cs_error *err);
cs_status audit_source_gradient(const audit_scene *scene, const audit_source *source, int node,
                                cs_tensor *to, bool *there, cs_error *err);

/* Reads another engine's gates and compares its input and seed with ours; frees them where it
 * fails. Errors: CS_ERROR_IO, CS_ERROR_FORMAT, CS_ERROR_MISMATCH. */
cs_status audit_source_open(const audit_scene *scene, audit_source *source, cs_error *err);

/* ------------------------------------------------------------------ the parts ------------ */

/* Adjointness, completeness, frozen and live differences (audit_identities.c, audit_terms.c). */
cs_status audit_identities(audit_scene *scene, cs_error *err);
cs_status audit_terms(audit_scene *scene, cs_error *err);
double audit_identities_cost(const audit_scene *scene);
double audit_terms_cost(const audit_scene *scene);

/* The forward ledger, flips and their distances (audit_forward.c). */
cs_status audit_forward(audit_scene *scene, const audit_source *source, cs_audit_ledger *ledger,
                        cs_error *err);
double audit_forward_cost(const audit_scene *scene);

/* The gradient ledger (audit_gradient.c). The frozen run has gradients at float64's gates. */
cs_status audit_gradient(audit_scene *scene, const audit_source *source, cs_audit_ledger *ledger,
                         cs_error *err);
double audit_gradient_cost(const audit_scene *scene);

/* Grad-CAM in both types (audit_picture.c). */
cs_status audit_picture(audit_scene *scene, cs_error *err);

#endif
