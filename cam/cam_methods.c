/* cam_methods.c - the table of methods, and what they share: class, target, backward pass, ReLU.
 *
 * A new method is a file that defines a cs_cam_method, and a line in the table.
 */
#include "cam_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const cs_cam_method *const methods[] = {&cs_cam_method_gradcam};
static const int method_count = sizeof methods / sizeof *methods;

const char *cs_cam_method_name(int index) {
    return index >= 0 && index < method_count ? methods[index]->name : NULL;
}

static cs_status find_method(const char *text, const cs_cam_method **method, cs_error *err) {
    for (int i = 0; i < method_count; i++)
        if (strcasecmp(text, methods[i]->name) == 0) {
            *method = methods[i];
            return CS_OK;
        }
    char names[256] = "";
    for (int i = 0; i < method_count; i++) {
        size_t used = strlen(names);
        strncat(names + used, i ? ", " : "", sizeof names - used - 1);
        used = strlen(names);
        strncat(names + used, methods[i]->name, sizeof names - used - 1);
    }
    return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1, "unknown method '%.64s'; there are: %s",
                        text, names);
}

cs_status cs_cam_method_parse(const char *text, const char **method, cs_error *err) {
    const cs_cam_method *found = NULL;
    CS_TRY(find_method(text, &found, err));
    *method = found->name;
    return CS_OK;
}

const char *cs_cam_status_name(cs_cam_status status) {
    return status == CS_CAM_EMPTY ? "empty" : "ok";
}

void cs_cam_free(cs_cam *cam) {
    if (!cam)
        return;
    cs_tensor_release(&cam->raw);
    *cam = (cs_cam){0};
}

void cs_cam_rectify(cs_cam *cam) {
    cs_tensor *raw = &cam->raw;
    size_t count = (size_t)cs_tensor_count(raw);
    for (size_t i = 0; i < count; i++) {
        double v = cs_tensor_value(raw, i), kept = v <= 0 ? 0.0 : v;
        if (i == 0) {
            cam->signed_min = cam->signed_max = v;
            cam->min = cam->max = kept;
        }
        cam->signed_min = v < cam->signed_min ? v : cam->signed_min;
        cam->signed_max = v > cam->signed_max ? v : cam->signed_max;
        cam->min = kept < cam->min ? kept : cam->min;
        cam->max = kept > cam->max ? kept : cam->max;
        cs_tensor_store(raw, i, kept);
    }
    cam->status = cam->max > 0 ? CS_CAM_OK : CS_CAM_EMPTY;
}

static const char *layer_of(const cs_model *model, const cs_cam_options *options) {
    return options->layer ? options->layer : cs_model_default_layer(model);
}

cs_status cs_cam_watch(cs_run *run, const cs_model *model, const cs_cam_options *options,
                       cs_error *err) {
    const cs_cam_method *method = NULL;
    CS_TRY(find_method(options->method, &method, err));
    return method->watch(run, layer_of(model, options), err);
}

static cs_status check_finite(const cs_run *run, cs_error *err) {
    const char *where = NULL;
    if (cs_run_status(run, &where) == CS_OK)
        return CS_OK;
    return cs_error_set(err, CS_ERROR_NUMERIC, where, -1,
                        "NaN or infinity: no map is made of it; look at the checkpoint and the "
                        "input");
}

static cs_status backward(cs_run *run, const cs_cam_options *options, const cs_tensor *logits,
                          const int64_t *classes, double *took, cs_error *err) {
    cs_tensor seed = {0};
    CS_TRY(cs_target_seed(&options->target, logits, classes, &seed, err));
    double start = cs_seconds();
    cs_status status = cs_run_backward(run, &seed, err);
    *took = cs_seconds() - start;
    cs_tensor_release(&seed);
    return status == CS_OK ? check_finite(run, err) : status;
}

static cs_status make_maps(cs_run *run, const char *layer, const cs_cam_method *method,
                           const int64_t *classes, int64_t count, cs_cam *cams, cs_error *err) {
    for (int64_t n = 0; n < count; n++) {
        cs_status status = method->map(run, layer, n, &cams[n], err);
        if (status != CS_OK) {
            while (n-- > 0)
                cs_cam_free(&cams[n]);
            return status;
        }
        cams[n].class_index = classes[n];
    }
    return CS_OK;
}

cs_status cs_cam_compute(cs_run *run, const cs_model *model, const cs_cam_options *options,
                         const int64_t *classes, cs_cam *cams, cs_error *err) {
    const cs_cam_method *method = NULL;
    cs_tensor logits = {0};
    CS_TRY(find_method(options->method, &method, err));
    CS_TRY(cs_run_output(run, &logits, err));
    CS_TRY(check_finite(run, err));
    int64_t *resolved = malloc((size_t)logits.n * sizeof *resolved);
    CS_CHECK(resolved, CS_ERROR_MEMORY, "no memory for %lld classes", (long long)logits.n);
    for (int64_t n = 0; n < logits.n; n++)
        resolved[n] = classes[n] == CS_CLASS_ARGMAX ? cs_class_argmax(&logits, n) : classes[n];
    double took = 0.0;
    cs_status status = backward(run, options, &logits, resolved, &took, err);
    if (status == CS_OK)
        status = make_maps(run, layer_of(model, options), method, resolved, logits.n, cams, err);
    for (int64_t n = 0; status == CS_OK && n < logits.n; n++)
        cams[n].backward_seconds = took;
    free(resolved);
    return status;
}
