/* model_counts.h - shapes, parameters and FLOPs of every node. */
#ifndef CLI_MODEL_COUNTS_H
#define CLI_MODEL_COUNTS_H

#include "json_writer.h"

typedef struct node_counts {
    int64_t chw[3];     /* of the output, at the manifest's input size */
    int64_t parameters; /* learnt ones */
    int64_t statistics; /* running means and variances */
    int64_t flops;      /* of one forward pass: multiply and add are two, comparisons none */
} node_counts;

typedef struct model_counts {
    int nodes;
    node_counts *node;
    int64_t parameters, statistics, flops; /* totals */
} model_counts;

/* Free with model_counts_free. Errors: CS_ERROR_MISMATCH, CS_ERROR_MEMORY. */
cs_status model_counts_make(model_counts *counts, const cs_model *model, cs_error *err);
void model_counts_free(model_counts *counts);

/* Writes the array "layers". */
void model_counts_report(json_writer *json, const cs_model *model, const model_counts *counts);

#endif
