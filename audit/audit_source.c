/* audit_source.c - where a float32 engine's values come from: a run of ours, or another's dump. */
#include "audit_scene.h"

#include <stdio.h>
#include <string.h>

#define PATH_SIZE 4096

/* ------------------------------------------------------------------ files ---------------- */

/* DIR/KIND/NAME.npy, or DIR/NAME.npy for kind NULL. */
static cs_status file_path(const audit_source *source, const char *kind, const char *name,
                           char path[PATH_SIZE], cs_error *err) {
    const int length = snprintf(path, PATH_SIZE, "%s/%s%s%s.npy", source->folder, kind ? kind : "",
                                kind ? "/" : "", name);
    CS_CHECK(length < PATH_SIZE, CS_ERROR_LIMIT, "the path of %s in %s is too long", name,
             source->folder);
    return CS_OK;
}

static bool exists(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    return file != NULL;
}

/* One array of the dump as float64. Files that are not there leave *there false. */
static cs_status read_values(const audit_scene *scene, const char *path, int node, cs_tensor *to,
                             bool *there, cs_error *err) {
    cs_tensor t = {0};
    cs_status status = CS_OK;
    *there = exists(path);
    if (!*there)
        return CS_OK;
    CS_TRY(cs_npy_read(path, &t, err));
    if (t.n != 1 || t.c != to->c || t.h != to->h || t.w != to->w)
        status = cs_error_set(err, CS_ERROR_MISMATCH, path, -1,
                              "%s: shape [%lld, %lld, %lld, %lld]; [1, %lld, %lld, %lld] was "
                              "expected for \"%s\": it belongs to another model or input size",
                              path, (long long)t.n, (long long)t.c, (long long)t.h, (long long)t.w,
                              (long long)to->c, (long long)to->h, (long long)to->w,
                              audit_name(scene, node));
    const int64_t count = cs_tensor_count(&t);
    for (int64_t i = 0; status == CS_OK && i < count; i++) {
        const double v =
            t.dtype == CS_F64 ? ((const double *)t.data)[i] : (double)((const float *)t.data)[i];
        ((double *)to->data)[i] = v;
        if (!(v - v == 0))
            status =
                cs_error_set(err, CS_ERROR_NUMERIC, path, -1,
                             "%s: NaN or infinity at element %lld: there is nothing to explain",
                             path, (long long)i);
    }
    cs_tensor_release(&t);
    return status;
}

/* ------------------------------------------------------------------ values --------------- */

cs_status audit_source_activation(const audit_scene *scene, const audit_source *source, int node,
                                  cs_tensor *to, bool *there, cs_error *err) {
    char path[PATH_SIZE];
    cs_tensor view;
    *there = true;
    if (node == 0) {
        audit_widen(scene->input, to);
        return CS_OK;
    }
    if (source->run) {
        CS_TRY(cs_run_activation(source->run, audit_name(scene, node), &view, err));
        audit_widen(&view, to);
        return CS_OK;
    }
    CS_TRY(file_path(source, "activations", audit_name(scene, node), path, err));
    return read_values(scene, path, node, to, there, err);
}

cs_status audit_source_gradient(const audit_scene *scene, const audit_source *source, int node,
                                cs_tensor *to, bool *there, cs_error *err) {
    char path[PATH_SIZE];
    cs_tensor view;
    *there = true;
    if (source->run) {
        CS_TRY(cs_run_gradient(source->run, audit_name(scene, node), &view, err));
        audit_widen(&view, to);
        return CS_OK;
    }
    CS_TRY(
        file_path(source, "gradients", node == 0 ? "input" : audit_name(scene, node), path, err));
    return read_values(scene, path, node, to, there, err);
}

/* ------------------------------------------------------------------ opening -------------- */

static cs_status missing(const char *path, const char *what, cs_error *err) {
    return cs_error_set(err, CS_ERROR_IO, path, -1,
                        "%s is missing: the dump is incomplete; a dump with %s is needed "
                        "(cnnscope dump --grad, or weights_tools/dump_torch.py)",
                        path, what);
}

/* The dump's own input must be ours, to the bit: its differences would be taken for rounding. */
static cs_status check_input(const audit_scene *scene, const audit_source *source, cs_tensor *x,
                             cs_error *err) {
    char path[PATH_SIZE];
    bool there;
    CS_TRY(file_path(source, NULL, "input", path, err));
    CS_TRY(read_values(scene, path, 0, x, &there, err));
    if (!there) {
        CS_TRY(file_path(source, "activations", "input", path, err));
        CS_TRY(read_values(scene, path, 0, x, &there, err));
    }
    if (!there)
        return missing(path, "input.npy", err);
    for (int64_t i = 0; i < cs_tensor_count(x); i++) {
        const double ours = (double)((const float *)scene->input->data)[i];
        if (((const double *)x->data)[i] != ours)
            return cs_error_set(err, CS_ERROR_MISMATCH, path, -1,
                                "%s: value %lld is %.9g, and %.9g in this image's input: the dump "
                                "is of another image or preprocessing; give the audit the dump's "
                                "own input.npy in place of the image",
                                path, (long long)i, ((const double *)x->data)[i], ours);
    }
    return CS_OK;
}

/* The gradient at the logits says which class the dump is of. */
static cs_status check_seed(const audit_scene *scene, const audit_source *source, cs_tensor *s,
                            cs_error *err) {
    char path[PATH_SIZE];
    bool there;
    CS_TRY(file_path(source, "gradients", audit_name(scene, scene->output), path, err));
    CS_TRY(read_values(scene, path, scene->output, s, &there, err));
    for (int64_t i = 0; there && i < cs_tensor_count(s); i++)
        if (((const double *)s->data)[i] != (i == scene->audit->class_index ? 1.0 : 0.0))
            return cs_error_set(err, CS_ERROR_MISMATCH, path, -1,
                                "%s: the gradient at logit %lld is %.9g, and the logit of class "
                                "%lld is audited: the dump is of another class or target",
                                path, (long long)i, ((const double *)s->data)[i],
                                (long long)scene->audit->class_index);
    return CS_OK;
}

cs_status audit_source_open(const audit_scene *scene, audit_source *source, cs_error *err) {
    char path[PATH_SIZE];
    cs_tensor x = {0}, s = {0};
    CS_TRY(file_path(source, "gradients", "input", path, err));
    if (!exists(path))
        return missing(path, "the gradient of the input", err);
    cs_status status = audit_tensor(scene, 0, CS_F64, &x, err);
    if (status == CS_OK)
        status = audit_tensor(scene, scene->output, CS_F64, &s, err);
    if (status == CS_OK)
        status = check_input(scene, source, &x, err);
    if (status == CS_OK)
        status = check_seed(scene, source, &s, err);
    if (status == CS_OK)
        status = cs_gates_load(scene->model, source->folder, scene->input->h, scene->input->w,
                               &source->gates, err);
    if (status == CS_OK && cs_gates_count(source->gates) > 0 &&
        cs_gates_node(source->gates, 0).n != 1)
        status = cs_error_set(err, CS_ERROR_MISMATCH, source->folder, -1,
                              "%s: the gates of %lld images; an audit is of one", source->folder,
                              (long long)cs_gates_node(source->gates, 0).n);
    cs_tensor_release(&x);
    cs_tensor_release(&s);
    if (status != CS_OK) {
        cs_gates_free(source->gates);
        source->gates = NULL;
    }
    return status;
}
