#include "prediction.h"
#include "cnnscope_cam.h"

#include <stdlib.h>

cs_status prediction_make(prediction *p, const cs_model *model, cs_run *run, cs_error *err) {
    *p = (prediction){.model = model};
    CS_TRY(cs_run_output(run, &p->logits, err));
    p->probabilities = malloc((size_t)p->logits.c * sizeof *p->probabilities);
    CS_CHECK(p->probabilities, CS_ERROR_MEMORY, "out of memory");
    cs_softmax(&p->logits, 0, p->probabilities);
    p->class_index = cs_class_argmax(&p->logits, 0);
    p->status = cs_run_status(run, &p->where);
    return CS_OK;
}

void prediction_free(prediction *p) {
    free(p->probabilities);
    *p = (prediction){0};
}

cs_status prediction_numeric_error(const prediction *p, const char *image, cs_error *err) {
    const char *where = p->where ? p->where : "the network";
    return cs_error_set(err, CS_ERROR_NUMERIC, where, -1,
                        "%s: NaN or infinity, first in %s; its logits mean nothing", image, where);
}

void put_prediction(json_writer *w, const prediction *p) {
    if (p && p->status == CS_OK) {
        put_integer(w, "class", p->class_index);
        put_text(w, "name", cs_model_class_name(p->model, p->class_index));
    } else {
        put_text(w, "class", NULL);
        put_text(w, "name", NULL);
    }
    if (p)
        put_vector(w, "logits", &p->logits, 0);
    else
        put_text(w, "logits", NULL);
    if (p && p->status == CS_OK) {
        put_row(w, "probabilities");
        for (int64_t c = 0; c < p->logits.c; c++)
            put_real(w, NULL, p->probabilities[c], CS_F64);
        put_close(w);
    } else {
        put_text(w, "probabilities", NULL);
    }
}
