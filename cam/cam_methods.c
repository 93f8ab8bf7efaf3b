/* cam_methods.c - the table of methods, and what they share: class, target, backward pass, ReLU.
 *
 * A new method is a file that defines a cs_cam_method, and a line of method_list.h.
 */
#include "cam_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define METHOD(topic) &cs_cam_method_##topic,
static const cs_cam_method *const methods[] = {
#include "method_list.h"
};
#undef METHOD
static const int method_count = sizeof methods / sizeof *methods;

/* ------------------------------------------------------------------ the table ------------ */

const cs_cam_method_info *cs_cam_method_get(int index) {
    return index >= 0 && index < method_count ? &methods[index]->info : NULL;
}

static bool is_called(const cs_cam_method *method, const char *text) {
    if (strcasecmp(text, method->info.name) == 0)
        return true;
    for (const char *const *alias = method->aliases; alias && *alias; alias++)
        if (strcasecmp(text, *alias) == 0)
            return true;
    return false;
}

static void add_name(char *list, size_t size, const char *name) {
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
}

static cs_status find_method(const char *text, const cs_cam_method **method, cs_error *err) {
    for (int i = 0; i < method_count; i++)
        if (is_called(methods[i], text)) {
            *method = methods[i];
            return CS_OK;
        }
    char names[256] = "";
    for (int i = 0; i < method_count; i++)
        add_name(names, sizeof names, methods[i]->info.name);
    return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1, "unknown method '%.64s'; there are: %s",
                        text, names);
}

cs_status cs_cam_method_find(const char *text, const cs_cam_method_info **method, cs_error *err) {
    const cs_cam_method *found = NULL;
    CS_TRY(find_method(text, &found, err));
    *method = &found->info;
    return CS_OK;
}

static cs_status find_variant(const cs_cam_method_info *method, const char *text, int *index,
                              cs_error *err) {
    for (*index = 0; method->variants[*index]; ++*index)
        if (!text || strcasecmp(text, method->variants[*index]) == 0)
            return CS_OK;
    char names[256] = "";
    for (int i = 0; method->variants[i]; i++)
        add_name(names, sizeof names, method->variants[i]);
    return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                        "%s has no variant '%.64s'; there are: %s", method->name, text, names);
}

cs_status cs_cam_variant_find(const cs_cam_method_info *method, const char *text,
                              const char **variant, cs_error *err) {
    int index = 0;
    CS_TRY(find_variant(method, text, &index, err));
    *variant = method->variants[index];
    return CS_OK;
}

/* ------------------------------------------------------------------ options -------------- */

typedef struct chosen {
    const cs_cam_method *method;
    int variant;
} chosen;

static cs_status choose(const cs_cam_options *options, chosen *what, cs_error *err) {
    CS_TRY(find_method(options->method, &what->method, err));
    const cs_cam_method_info *info = &what->method->info;
    CS_TRY(find_variant(info, options->variant, &what->variant, err));
    CS_CHECK(options->max_channels == 0 || info->has_channels, CS_ERROR_ARGUMENT,
             "%s does not choose among channels; only scorecam does", info->name);
    CS_CHECK(options->steps == 0 || info->has_steps, CS_ERROR_ARGUMENT,
             "%s has no steps; only integrated-gradients has", info->name);
    CS_CHECK(options->max_channels >= 0 && options->steps >= 0 && options->batch >= 0,
             CS_ERROR_ARGUMENT, "channels, steps and batch are counts from 1, or 0 for the usual");
    if (what->method->check)
        CS_TRY(what->method->check(&options->target, what->variant, err));
    return CS_OK;
}

static bool has_own_passes(const chosen *what, const cs_cam_options *options) {
    const cs_cam_method *m = what->method;
    return m->maps && (!m->own_passes || m->own_passes(&options->target, what->variant));
}

static const char *input_node(const cs_model *model) { return cs_model_node(model, 0)->name; }

static const char *layer_of(const cs_model *model, const cs_cam_method *method,
                            const cs_cam_options *options) {
    if (options->layer)
        return options->layer;
    return method->info.at_input ? input_node(model) : cs_model_default_layer(model);
}

cs_status cs_cam_layer(const cs_model *model, const cs_cam_options *options, char *resolved,
                       size_t resolved_size, cs_error *err) {
    const cs_cam_method *method = NULL;
    int node = 0;
    CS_TRY(find_method(options->method, &method, err));
    CS_TRY(cs_model_find_node(model, layer_of(model, method, options), &node, resolved,
                              resolved_size, err));
    CS_CHECK(node == 0 || !method->input_only, CS_ERROR_ARGUMENT,
             "%s works at the input, not at %s; leave the layer out", method->info.name, resolved);
    return CS_OK;
}

cs_status cs_cam_watch(cs_run *run, const cs_model *model, const cs_cam_options *options,
                       cs_error *err) {
    chosen what = {0};
    char layer[256];
    CS_TRY(choose(options, &what, err));
    CS_TRY(cs_cam_layer(model, options, layer, sizeof layer, err));
    if (what.method->needs_activation)
        CS_TRY(cs_run_keep_activation(run, layer, err));
    if (what.method->needs_gradient)
        CS_TRY(cs_run_keep_gradient(run, layer, err));
    if (what.method->needs_input)
        CS_TRY(cs_run_keep_activation(run, input_node(model), err));
    return CS_OK;
}

/* ------------------------------------------------------------------ maps ----------------- */

const char *cs_cam_status_name(cs_cam_status status) {
    return status == CS_CAM_EMPTY ? "empty" : "ok";
}

void cs_cam_free(cs_cam *cam) {
    if (!cam)
        return;
    cs_tensor_release(&cam->raw);
    cs_tensor_release(&cam->signed_map);
    *cam = (cs_cam){0};
}

static void free_all(cs_cam *cams, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        cs_cam_free(&cams[i]);
}

cs_status cs_cam_rectify(cs_cam *cam, cs_error *err) {
    const cs_tensor *map = &cam->signed_map;
    size_t count = (size_t)cs_tensor_count(map);
    CS_TRY(cs_tensor_allocate(&cam->raw, map->dtype, 1, 1, map->h, map->w, err));
    cam->signed_sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        double v = cs_tensor_value(map, i), kept = v <= 0 ? 0.0 : v;
        if (i == 0) {
            cam->signed_min = cam->signed_max = v;
            cam->min = cam->max = kept;
        }
        cam->signed_sum += v;
        cam->signed_min = v < cam->signed_min ? v : cam->signed_min;
        cam->signed_max = v > cam->signed_max ? v : cam->signed_max;
        cam->min = kept < cam->min ? kept : cam->min;
        cam->max = kept > cam->max ? kept : cam->max;
        cs_tensor_store(&cam->raw, i, kept);
    }
    cam->status = cam->max > 0 ? CS_CAM_OK : CS_CAM_EMPTY;
    return CS_OK;
}

cs_status cs_cam_check_finite(const cs_run *run, cs_error *err) {
    const char *where = NULL;
    if (cs_run_status(run, &where) == CS_OK)
        return CS_OK;
    return cs_error_set(err, CS_ERROR_NUMERIC, where, -1,
                        "NaN or infinity: no map is made of it; look at the checkpoint and the "
                        "input");
}

cs_status cs_cam_progress(const cs_cam_options *options, int64_t done, int64_t total,
                          cs_error *err) {
    if (options->stop && options->stop(options->stop_state, done, total))
        return cs_error_set(err, CS_ERROR_INTERRUPTED, NULL, -1, "interrupted");
    return CS_OK;
}

static cs_status check_shapes(const cs_tensor *a, const cs_tensor *g, int64_t n, cs_error *err) {
    CS_CHECK(a->dtype == g->dtype && a->n == g->n && a->c == g->c && a->h == g->h && a->w == g->w,
             CS_ERROR_ARGUMENT,
             "activation (%lld, %lld, %lld, %lld) and gradient (%lld, %lld, %lld, %lld) differ",
             (long long)a->n, (long long)a->c, (long long)a->h, (long long)a->w, (long long)g->n,
             (long long)g->c, (long long)g->h, (long long)g->w);
    CS_CHECK(n >= 0 && n < a->n && a->h >= 1 && a->w >= 1, CS_ERROR_ARGUMENT,
             "image %lld of %lld, map %lld x %lld", (long long)n, (long long)a->n, (long long)a->h,
             (long long)a->w);
    return CS_OK;
}

static cs_status make_map(const chosen *what, const cs_tensor *a, const cs_tensor *g, int64_t n,
                          cs_cam *cam, cs_error *err) {
    *cam = (cs_cam){0};
    CS_TRY(check_shapes(a, g, n, err));
    CS_TRY(cs_tensor_allocate(&cam->signed_map, a->dtype, 1, 1, a->h, a->w, err));
    cs_status status = what->method->map(what->variant, a, g, n, &cam->signed_map, err);
    if (status == CS_OK)
        status = cs_cam_rectify(cam, err);
    if (status != CS_OK)
        cs_cam_free(cam);
    return status;
}

cs_status cs_cam_map(const cs_cam_options *options, const cs_tensor *activation,
                     const cs_tensor *gradient, int64_t n, cs_cam *cam, cs_error *err) {
    chosen what = {0};
    CS_TRY(choose(options, &what, err));
    CS_CHECK(what.method->map && !has_own_passes(&what, options), CS_ERROR_ARGUMENT,
             "%s needs passes of its own: a gradient alone does not make its map",
             what.method->info.name);
    return make_map(&what, activation, gradient, n, cam, err);
}

/* ------------------------------------------------------------------ computing ------------ */

static cs_status backward(cs_run *run, const cs_cam_options *options, const cs_tensor *logits,
                          const int64_t *classes, double *took, cs_error *err) {
    cs_tensor seed = {0};
    CS_TRY(cs_target_seed(&options->target, logits, classes, &seed, err));
    double start = cs_seconds();
    cs_status status = cs_run_backward(run, &seed, err);
    *took = cs_seconds() - start;
    cs_tensor_release(&seed);
    return status == CS_OK ? cs_cam_check_finite(run, err) : status;
}

/* The backward pass of one class an image, and the map of image n into *cam. */
static cs_status map_of_last(cs_run *run, const chosen *what, const char *layer, int64_t n,
                             int64_t class_index, double took, cs_cam *cam, cs_error *err) {
    cs_tensor activation = {0}, gradient = {0};
    CS_TRY(cs_run_gradient(run, layer, &gradient, err));
    if (what->method->needs_activation)
        CS_TRY(cs_run_activation(run, layer, &activation, err));
    else
        activation = gradient; /* whose shape it has; not looked at */
    CS_TRY(make_map(what, &activation, &gradient, n, cam, err));
    cam->class_index = class_index;
    cam->backward_seconds = took;
    cam->backward_images = 1;
    return CS_OK;
}

/* A method's own passes for some classes of image n. */
static cs_status own_maps(const cs_cam_call *call, const chosen *what, cs_cam *cams,
                          cs_error *err) {
    for (int64_t i = 0; i < call->count; i++)
        cams[i] = (cs_cam){0};
    cs_status status = what->method->maps(call, cams, err);
    for (int64_t i = 0; i < call->count && status == CS_OK; i++) {
        cams[i].class_index = call->classes[i];
        status = cs_cam_rectify(&cams[i], err);
    }
    if (status != CS_OK)
        free_all(cams, call->count);
    return status;
}

/* Everything that is known before the first map: the method, the layer and the logits. */
typedef struct computation {
    chosen what;
    char layer[256];
    cs_tensor logits;
} computation;

static cs_status begin(cs_run *run, const cs_model *model, const cs_cam_options *options,
                       computation *c, cs_error *err) {
    CS_TRY(choose(options, &c->what, err));
    CS_TRY(cs_cam_layer(model, options, c->layer, sizeof c->layer, err));
    CS_TRY(cs_run_output(run, &c->logits, err));
    return cs_cam_check_finite(run, err);
}

/* Classes as indices, which must exist; free() them. */
static cs_status resolve(const cs_tensor *logits, const int64_t *classes, int64_t count,
                         int64_t first, int64_t step, int64_t **out, cs_error *err) {
    *out = malloc((size_t)(count ? count : 1) * sizeof **out);
    CS_CHECK(*out, CS_ERROR_MEMORY, "no memory for %lld classes", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        int64_t c = classes[i];
        (*out)[i] = c == CS_CLASS_ARGMAX ? cs_class_argmax(logits, first + i * step) : c;
        if ((*out)[i] < 0 || (*out)[i] >= logits->c) {
            free(*out);
            return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                                "class %lld: the model has classes 0 to %lld", (long long)c,
                                (long long)logits->c - 1);
        }
    }
    return CS_OK;
}

static cs_status compute_images(cs_run *run, const cs_model *model, const cs_cam_options *options,
                                const computation *c, const int64_t *classes, cs_cam *cams,
                                cs_error *err) {
    double took = 0.0;
    cs_status status = CS_OK;
    bool own = has_own_passes(&c->what, options);
    if (!own)
        CS_TRY(backward(run, options, &c->logits, classes, &took, err));
    for (int64_t n = 0; n < c->logits.n; n++) {
        cs_cam_call call = {run, model, options, c->layer, c->what.variant, n, &classes[n], 1};
        status = own ? own_maps(&call, &c->what, &cams[n], err)
                     : map_of_last(run, &c->what, c->layer, n, classes[n], took, &cams[n], err);
        if (status != CS_OK) {
            free_all(cams, n);
            return status;
        }
    }
    return CS_OK;
}

cs_status cs_cam_compute(cs_run *run, const cs_model *model, const cs_cam_options *options,
                         const int64_t *classes, cs_cam *cams, cs_error *err) {
    computation c = {0};
    int64_t *resolved = NULL;
    CS_TRY(begin(run, model, options, &c, err));
    CS_TRY(resolve(&c.logits, classes, c.logits.n, 0, 1, &resolved, err));
    cs_status status = compute_images(run, model, options, &c, resolved, cams, err);
    free(resolved);
    return status;
}

/* One backward pass a class. The other images of the batch take part in it, for nothing. */
static cs_status compute_each(cs_run *run, const cs_cam_options *options, const computation *c,
                              int64_t n, const int64_t *classes, int64_t count, cs_cam *cams,
                              cs_error *err) {
    int64_t *batch = calloc((size_t)c->logits.n, sizeof *batch);
    cs_status status = CS_OK;
    CS_CHECK(batch, CS_ERROR_MEMORY, "no memory for %lld classes", (long long)c->logits.n);
    for (int64_t i = 0; i < count && status == CS_OK; i++) {
        double took = 0.0;
        batch[n] = classes[i];
        status = backward(run, options, &c->logits, batch, &took, err);
        if (status == CS_OK)
            status = map_of_last(run, &c->what, c->layer, n, classes[i], took, &cams[i], err);
        if (status != CS_OK)
            free_all(cams, i);
    }
    free(batch);
    return status;
}

cs_status cs_cam_compute_classes(cs_run *run, const cs_model *model, const cs_cam_options *options,
                                 int64_t n, const int64_t *classes, int64_t count, cs_cam *cams,
                                 cs_error *err) {
    computation c = {0};
    int64_t *resolved = NULL;
    CS_TRY(begin(run, model, options, &c, err));
    CS_CHECK(n >= 0 && n < c.logits.n, CS_ERROR_ARGUMENT, "image %lld of %lld", (long long)n,
             (long long)c.logits.n);
    CS_TRY(resolve(&c.logits, classes, count, n, 0, &resolved, err));
    cs_cam_call call = {run, model, options, c.layer, c.what.variant, n, resolved, count};
    cs_status status = has_own_passes(&c.what, options)
                           ? own_maps(&call, &c.what, cams, err)
                           : compute_each(run, options, &c, n, resolved, count, cams, err);
    free(resolved);
    return status;
}
