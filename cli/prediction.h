/* prediction.h - what a model says of one image, for text and JSON. */
#ifndef CLI_PREDICTION_H
#define CLI_PREDICTION_H

#include "json_writer.h"

typedef struct prediction {
    const cs_model *model;
    cs_tensor logits;      /* the run's output, of one image */
    double *probabilities; /* softmax, in double */
    int64_t class_index;   /* of the largest logit */
    cs_status status;      /* CS_OK or CS_ERROR_NUMERIC */
    const char *where;     /* the node that first held NaN or infinity */
} prediction;

/* Reads the run's last forward pass (of one image). Free with prediction_free; valid until the
 * run's next forward. Errors: CS_ERROR_STATE, CS_ERROR_MEMORY. */
cs_status prediction_make(prediction *p, const cs_model *model, cs_run *run, cs_error *err);
void prediction_free(prediction *p);

/* Fills *err with CS_ERROR_NUMERIC and where it began; returns that code. */
cs_status prediction_numeric_error(const prediction *p, const char *image, cs_error *err);

/* Writes "class", "name", "logits" and "probabilities"; all null for p = NULL, and the class, name
 * and probabilities where the status is not CS_OK. */
void put_prediction(json_writer *w, const prediction *p);

#endif
