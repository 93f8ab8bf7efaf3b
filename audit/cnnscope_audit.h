/* cnnscope_audit.h - why a network's float32 gradient differs from its float64 gradient, node by
 * node, and whether either can be trusted at all.
 *
 * Stands on the public headers of the engine and of cam/: what an audit needs, any user can have.
 * docs/audit.md has the definitions and their derivations. A complete use:
 *
 *     cs_audit_options options = CS_AUDIT_OPTIONS_DEFAULT;
 *     cs_audit *audit = NULL;
 *     if (cs_audit_run(model, &input, &options, &audit, &err) == CS_OK)
 *         printf("flips carry %.1f %%\n", 100 * audit->own.flips.share);
 *     cs_audit_free(audit);
 *
 * Threads: nothing here has state; an audit drives its own runs.
 */
#ifndef CNNSCOPE_AUDIT_H
#define CNNSCOPE_AUDIT_H

#include "cnnscope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is promised, and held: a value above its bar is a mistake somewhere. */
#define CS_AUDIT_BAR_ADJOINT      1e-13 /* |<Ju,v> - <u,Jtv>| / (|Ju| |v|) */
#define CS_AUDIT_BAR_COMPLETENESS 1e-11 /* of the sum of absolute terms */
#define CS_AUDIT_BAR_FROZEN       1e-12 /* of the sum of absolute terms */
#define CS_AUDIT_BAR_BOUND        1     /* a node's own rounding over its proven bound */
#define CS_AUDIT_BAR_REST         1e-6  /* what the ledger leaves, of the difference */
/* A difference of the size of float64's own rounding is not explained further. */
#define CS_AUDIT_FLOOR 1e-12 /* of the gradient */

#define CS_AUDIT_DIRECTIONS 3 /* of the frozen differences; seeds 1, 2, 3 */
#define CS_AUDIT_STEPS      9 /* of the live differences: 1, 0.1, ... 1e-8 */

typedef struct cs_audit_options {
    cs_run_options run;  /* the float32 engine that is audited; its dtype is not looked at */
    int64_t class_index; /* whose logit's gradient; -1: that of the largest float32 logit */
    const char *against; /* a folder with another engine's dump (docs/formats.md), or NULL */
    /* Called often with the work done and to do, in multiply-adds; true ends the work with
     * CS_ERROR_INTERRUPTED. NULL: not called. */
    bool (*stop)(void *state, int64_t done, int64_t total);
    void *stop_state;
} cs_audit_options;

#define CS_AUDIT_OPTIONS_DEFAULT                                                                   \
    { CS_RUN_OPTIONS_DEFAULT, -1, NULL, NULL, NULL }

/* The identities at one node, in float64, at float64's gates. */
typedef struct cs_audit_identity {
    double adjoint;           /* as the bar has it; 0 for the input */
    double parameter_adjoint; /* the same for its parameters; NaN where it has none */
    bool accumulates;         /* adding its gradients to themselves doubles them exactly */
} cs_audit_identity;

/* A part of the difference D between two gradients: a vector c of D's shape. */
typedef struct cs_audit_part {
    bool present;
    double size;  /* |c| / |D| */
    double share; /* <c, D> / <D, D>: the shares of all parts and of the rest sum to 1 */
} cs_audit_part;

/* A node in a ledger. NaN where the engine's dump does not have what a number needs. */
typedef struct cs_audit_entry {
    /* Forward. This node's rounding alone: its float32 value minus the float64 step on the same
     * float32 inputs. */
    double own_max, own_rms;
    double bound_max;   /* the largest of its proven bounds; 0: exact */
    double bound_share; /* the largest of |rounding| / bound over its values; 0 / 0 is 0 */
    double accumulated_max, accumulated_rms; /* its float32 value minus its float64 value */
    double value_rms;                        /* of its float64 value */
    /* Gates or winners; all 0 where it has none. */
    int64_t gates, flipped;
    /* Of those that flipped: the smallest and largest distance of the float64 input from the tie
     * (|x|; the winner's value minus the other's). */
    double nearest, farthest;
    /* Backward: parts of the difference of the input's gradients. */
    cs_audit_part rounding; /* of this node's backward step */
    cs_audit_part sum;      /* of adding up the gradients that reach this node's output; of another
                               engine, where that cannot be told apart, its readers' rounding too */
    cs_audit_part flips;    /* of its gates or winners */
} cs_audit_entry;

/* One float32 engine against float64. The tensors (float64, shaped as the input) are the audit's:
 * difference = rounding + flips + rest. */
typedef struct cs_audit_ledger {
    int64_t flipped;                           /* gates and winners, of all nodes */
    int missing_activations;                   /* nodes without; another engine's dump only */
    int missing_gradients;                     /* the same */
    double gradient;                           /* |float64 gradient| */
    double difference;                         /* |float32 gradient - float64 gradient| */
    double largest;                            /* its largest entry over the gradient's */
    cs_audit_part rounding_total, flips, rest; /* "rounding_total" with the sums */
    cs_tensor gradient32, difference_map, rounding_map, flips_map, rest_map;
    cs_audit_entry *nodes; /* one for each node of the model */
} cs_audit_ledger;

typedef struct cs_audit_live {
    double step, error; /* of the sum of absolute terms */
    int64_t flipped;    /* gates and winners between the two ends */
} cs_audit_live;

/* An audit of one model and input. Free with cs_audit_free. */
typedef struct cs_audit {
    const cs_model *model; /* must outlive the audit */
    int node_count;
    int64_t class_index;
    double logit32, logit64;
    int64_t pool_ties;             /* windows of the input with several largest values, float64 */
    cs_audit_identity *identities; /* one for each node */
    double network_adjoint;
    bool piecewise_linear; /* no softmax: completeness and frozen differences apply */
    double completeness, input_term, bias_terms, shift_terms; /* logit64 = sum of the terms */
    double frozen[CS_AUDIT_DIRECTIONS];
    cs_audit_live live[CS_AUDIT_STEPS];
    cs_tensor gradient64;  /* the input's */
    cs_audit_ledger own;   /* cnnscope's float32 */
    cs_audit_ledger other; /* another engine's; nodes is NULL without */
    /* Grad-CAM at the usual layer (cs_model_default_layer), 1 x 1 x h x w, float32 and float64; for
     * a map that cannot be made map32.data is NULL. */
    cs_tensor map32, map64;
    double map_difference;  /* the largest, over the float64 map's largest value */
    double map_correlation; /* Spearman's; NaN where a map is constant */
} cs_audit;

/* Audits one image (1 x C x H x W, float32, as cs_input_load gives it). *audit is the caller's.
 * Errors: CS_ERROR_NUMERIC (NaN or infinity: the first node or tensor is named), CS_ERROR_ARGUMENT
 * (input's shape, class), CS_ERROR_MEMORY, CS_ERROR_INTERRUPTED, CS_ERROR_LIMIT; and of
 * options->against CS_ERROR_IO (a file is missing or cannot be read), CS_ERROR_FORMAT,
 * CS_ERROR_MISMATCH (of another model, image or class). */
cs_status cs_audit_run(cs_model *model, const cs_tensor *input, const cs_audit_options *options,
                       cs_audit **audit, cs_error *err);

/* Accepts NULL. */
void cs_audit_free(cs_audit *audit);

/* What is held to a bar. */
typedef enum cs_audit_bar {
    CS_AUDIT_ADJOINT = 0, /* the worst node */
    CS_AUDIT_PARAMETER_ADJOINT,
    CS_AUDIT_ACCUMULATION, /* 0 or 1 */
    CS_AUDIT_NETWORK,
    CS_AUDIT_COMPLETENESS,
    CS_AUDIT_FROZEN,
    CS_AUDIT_BOUND,
    CS_AUDIT_REST,
    CS_AUDIT_BARS
} cs_audit_bar;

typedef struct cs_audit_verdict {
    const char *name; /* "adjointness, worst node"; static */
    double value, bar;
    bool applies, met; /* what does not apply is met */
    const char *node;  /* where the value is reached, or NULL */
} cs_audit_verdict;

cs_audit_verdict cs_audit_judge(const cs_audit *audit, cs_audit_bar bar);

/* Whether all bars are met. The other engine's ledger is held to none. */
bool cs_audit_holds(const cs_audit *audit);

#ifdef __cplusplus
}
#endif

#endif
