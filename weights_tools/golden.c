/* golden.c - the logits that `verify` compares: the input of seed 1, batch 1, float32, the portable
 * kernel of the direct engine. */
#include <stdlib.h>
#include <string.h>

#include "cnnscope.h"
#include "conversion.h"

static cs_status run(cs_conversion *c, cs_model *model, cs_tensor *input, cs_error *err) {
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.isa = CS_ISA_PORTABLE;
    cs_run *run = NULL;
    cs_random random = {1};
    cs_tensor output;
    const char *where = NULL;
    cs_random_fill_input(&random, input);
    cs_status status = cs_run_create(model, &options, &run, err);
    if (status == CS_OK)
        status = cs_run_prepare(run, err);
    if (status == CS_OK)
        status = cs_run_forward(run, input, err);
    if (status == CS_OK)
        status = cs_run_output(run, &output, err);
    if (status != CS_OK)
        goto cleanup;
    if (cs_run_status(run, &where) != CS_OK) {
        status = cs_conversion_warn(c, err,
                                    "no golden logits: their input meets NaN or infinity "
                                    "at %s",
                                    where ? where : "a node");
        goto cleanup;
    }
    if (output.dtype != CS_F32 || cs_tensor_count(&output) != c->spec.classes) {
        status = cs_error_set(err, CS_ERROR_MISMATCH, NULL, -1,
                              "the model has %lld outputs, "
                              "where %lld classes were expected",
                              (long long)cs_tensor_count(&output), (long long)c->spec.classes);
        goto cleanup;
    }
    c->golden = malloc((size_t)c->spec.classes * sizeof *c->golden);
    if (c->golden)
        memcpy(c->golden, output.data, (size_t)c->spec.classes * sizeof *c->golden);
    else
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for the golden logits");
cleanup:
    cs_run_free(run);
    return status;
}

cs_status cs_conversion_golden(cs_conversion *c, const char *manifest, cs_error *err) {
    cs_model *model = NULL;
    cs_tensor input = {0};
    cs_status status = cs_model_open(manifest, NULL, &model, err);
    if (status == CS_OK)
        status = cs_tensor_allocate(&input, CS_F32, 1, c->spec.channels, c->height, c->width, err);
    if (status == CS_OK)
        status = run(c, model, &input, err);
    cs_tensor_release(&input);
    cs_model_free(model);
    return status;
}
