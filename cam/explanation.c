/* explanation.c - the files of one explained class of one image. */
#include "cam_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Pictures on the way to the files. */
typedef struct pictures {
    cs_tensor heatmap;
    cs_image heat, overlay, figure;
} pictures;

static void free_pictures(pictures *p) {
    cs_tensor_release(&p->heatmap);
    cs_image_free(&p->heat);
    cs_image_free(&p->overlay);
    cs_image_free(&p->figure);
}

/* What the five files share: FOLDER/class-K-METHOD-LAYER. */
static cs_status make_stem(const char *folder, const cs_explanation *e, const char *method,
                           const char *layer, char out[PATH_MAX], cs_error *err) {
    int n = snprintf(out, PATH_MAX, "%s/class-%lld-%s-%s", folder, (long long)e->cam->class_index,
                     method, layer);
    if (n < 0 || n >= PATH_MAX - 16)
        return cs_error_set(err, CS_ERROR_OUTPUT, folder, -1, "the path is too long");
    return CS_OK;
}

static const char *with_suffix(const char *stem, const char *suffix, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%.*s%s", PATH_MAX - 16, stem, suffix);
    return out;
}

static cs_status draw_figure(const cs_explanation *e, const cs_cam_method_info *method,
                             const char *layer, pictures *p, cs_error *err) {
    char name[64];
    const char *variant = NULL;
    CS_TRY(cs_cam_variant_find(method, e->options->variant, &variant, err));
    bool usual = variant == method->variants[0];
    snprintf(name, sizeof name, "%s%s%s", method->name, usual ? "" : ":", usual ? "" : variant);
    double *probabilities = malloc((size_t)e->logits->c * sizeof *probabilities);
    CS_CHECK(probabilities, CS_ERROR_MEMORY, "no memory for %lld probabilities",
             (long long)e->logits->c);
    cs_softmax(e->logits, e->n, probabilities);
    char target[32];
    cs_target_print(&e->options->target, target);
    int64_t class_index = e->cam->class_index, predicted = cs_class_argmax(e->logits, e->n);
    cs_figure figure = {
        .image = &e->input->display,
        .heat = &p->heat,
        .overlay = &p->overlay,
        .title = e->image_name,
        .method = name,
        .layer = layer,
        .target = target,
        .class_name = cs_model_class_name(e->model, class_index),
        .predicted_name = cs_model_class_name(e->model, predicted),
        .class_index = class_index,
        .predicted_index = predicted,
        .class_probability = probabilities[class_index],
        .predicted_probability = probabilities[predicted],
        .cam = e->cam,
    };
    cs_status status = cs_figure_draw(&figure, e->font, &p->figure, err);
    free(probabilities);
    return status;
}

/* The two halves of the work, of which the figure takes the longer. */
enum { FIGURE, FILES, HALVES };

typedef struct writing {
    const cs_explanation *e;
    const cs_cam_method_info *method;
    const char *layer, *stem;
    pictures *p;
    cs_status status[HALVES];
    cs_error err[HALVES];
} writing;

static cs_status write_figure(const writing *w, cs_error *err) {
    char path[PATH_MAX];
    if (!w->e->font)
        return CS_OK;
    CS_TRY(draw_figure(w->e, w->method, w->layer, w->p, err));
    return cs_image_write_png(with_suffix(w->stem, "-figure.png", path), &w->p->figure, err);
}

static cs_status write_files(const writing *w, cs_error *err) {
    char path[PATH_MAX];
    const cs_explanation *e = w->e;
    CS_TRY(cs_npy_write_map(with_suffix(w->stem, ".npy", path), &e->cam->raw, err));
    if (e->write_signed)
        CS_TRY(
            cs_npy_write_map(with_suffix(w->stem, "-signed.npy", path), &e->cam->signed_map, err));
    CS_TRY(cs_npy_write_map(with_suffix(w->stem, "-heatmap.npy", path), &w->p->heatmap, err));
    CS_TRY(cs_image_write_png(with_suffix(w->stem, "-heatmap.png", path), &w->p->heat, err));
    return cs_image_write_png(with_suffix(w->stem, "-overlay.png", path), &w->p->overlay, err);
}

static void write_part(void *argument, size_t part, size_t parts) {
    writing *w = argument;
    for (size_t half = part; half < HALVES; half += parts)
        w->status[half] =
            half == FIGURE ? write_figure(w, &w->err[FIGURE]) : write_files(w, &w->err[FILES]);
}

static cs_status write_halves(writing *w, cs_error *err) {
    if (w->e->run)
        cs_run_share_work(w->e->run, write_part, w);
    else
        write_part(w, 0, 1);
    for (int half = 0; half < HALVES; half++)
        if (w->status[half] != CS_OK) {
            if (err)
                *err = w->err[half];
            return w->status[half];
        }
    return CS_OK;
}

cs_status cs_explain_write(const char *folder, const cs_explanation *explanation, cs_error *err) {
    const cs_explanation *e = explanation;
    const cs_cam_method_info *method = NULL;
    char layer[256], stem[PATH_MAX];
    CS_TRY(cs_cam_method_find(e->options->method, &method, err));
    CS_TRY(cs_cam_layer(e->model, e->options, layer, sizeof layer, err));
    CS_TRY(make_stem(folder, e, method->name, layer, stem, err));
    const cs_image *display = &e->input->display;
    pictures p = {0};
    cs_status status =
        cs_heatmap_make(&e->cam->raw, display->width, display->height, &p.heatmap, err);
    if (status == CS_OK)
        status = cs_heatmap_color(&p.heatmap, &p.heat, err);
    if (status == CS_OK)
        status = cs_overlay_make(display, &p.heat, &p.overlay, err);
    writing w = {.e = e, .method = method, .layer = layer, .stem = stem, .p = &p};
    if (status == CS_OK)
        status = write_halves(&w, err);
    free_pictures(&p);
    return status;
}
