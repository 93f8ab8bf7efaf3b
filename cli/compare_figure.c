#include "compare_figure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 96 };

/* What a panel owns. */
typedef struct panel {
    cs_image overlay;
    char lines[2][LINE];
} panel;

static cs_status make_overlay(const cs_tensor *raw, const cs_image *display, cs_image *overlay,
                              cs_error *err) {
    cs_tensor heatmap = {0};
    cs_image heat = {0};
    cs_status status = cs_heatmap_make(raw, display->width, display->height, &heatmap, err);
    if (status == CS_OK)
        status = cs_heatmap_color(&heatmap, &heat, err);
    if (status == CS_OK)
        status = cs_overlay_make(display, &heat, overlay, err);
    cs_tensor_release(&heatmap);
    cs_image_free(&heat);
    return status;
}

static void write_lines(const compare_method *m, const compare_result *r, char lines[2][LINE]) {
    snprintf(lines[0], LINE, "deletion %.3f, insertion %.3f", r->faith.deletion_area,
             r->faith.insertion_area);
    int used = snprintf(lines[1], LINE, "drop %.0f %%", 100.0 * r->faith.drop);
    if (r->has_place && r->place.energy >= 0)
        used += snprintf(lines[1] + used, LINE - (size_t)used, ", in mask %.0f %%",
                         100.0 * r->place.energy);
    if (m->info && m->info->at_input)
        snprintf(lines[1] + used, LINE - (size_t)used, "; at %.40s", m->layer);
}

static cs_status draw(compare_job *job, const compare_image *image, const cs_input *input,
                      panel *panels, cs_image *out, cs_error *err) {
    char subtitle[512], label[CLASS_LABEL_SIZE], layer[256], shown[VISIBLE_SIZE];
    cs_comparison_panel *shown_panels = calloc((size_t)job->method_count, sizeof *shown_panels);
    CS_CHECK(shown_panels, CS_ERROR_MEMORY, "out of memory");
    cs_status status = CS_OK;
    for (int64_t i = 0; i < job->method_count && status == CS_OK; i++) {
        const compare_result *r = &image->results[i];
        status = make_overlay(&r->cam.raw, &input->display, &panels[i].overlay, err);
        write_lines(&job->methods[i], r, panels[i].lines);
        shown_panels[i] = (cs_comparison_panel){.overlay = &panels[i].overlay,
                                                .title = job->methods[i].title,
                                                .lines = {panels[i].lines[0], panels[i].lines[1]},
                                                .is_empty = r->cam.status == CS_CAM_EMPTY};
    }
    snprintf(layer, sizeof layer, "%s", job->methods[job->method_count - 1].layer);
    snprintf(subtitle, sizeof subtitle,
             ", probability %.3f; maps at %s. Deletion: low is good; insertion: high is good.",
             image->probability, layer);
    const cs_comparison_figure figure = {.image = &input->display,
                                         .title = visible(base_name(image->path), shown),
                                         .subject =
                                             class_label(job->model, image->class_index, label),
                                         .subtitle = subtitle,
                                         .panels = shown_panels,
                                         .count = job->method_count};
    if (status == CS_OK)
        status = cs_comparison_draw(&figure, job->font, out, err);
    free(shown_panels);
    return status;
}

static cs_status write_figure(compare_job *job, const compare_image *image, const cs_input *input,
                              const char *folder, cs_error *err) {
    char path[PATH_MAX];
    cs_image figure = {0};
    panel *panels = calloc((size_t)job->method_count, sizeof *panels);
    CS_CHECK(panels, CS_ERROR_MEMORY, "out of memory");
    cs_status status = draw(job, image, input, panels, &figure, err);
    if (status == CS_OK)
        status = output_folder_path(&job->folder, path, err, "%s/comparison-figure.png", folder);
    if (status == CS_OK)
        status = cs_image_write_png(path, &figure, err);
    for (int64_t i = 0; i < job->method_count; i++)
        cs_image_free(&panels[i].overlay);
    free(panels);
    cs_image_free(&figure);
    return status;
}

cs_status compare_figure_write(compare_job *job, const compare_image *image, const cs_input *input,
                               cs_error *err) {
    char folder[NAME_MAX + 1], path[PATH_MAX], name[64];
    CS_TRY(output_folder_make_image(&job->folder, image->path, folder, err));
    for (int64_t i = 0; i < job->method_count; i++) {
        const compare_method *m = &job->methods[i];
        snprintf(name, sizeof name, "%s", m->label);
        if (strchr(name, ':'))
            *strchr(name, ':') = '-';
        CS_TRY(output_folder_path(&job->folder, path, err, "%s/class-%" PRId64 "-%s-%s.npy", folder,
                                  image->class_index, name, m->layer));
        CS_TRY(cs_npy_write_map(path, &image->results[i].cam.raw, err));
    }
    return write_figure(job, image, input, folder, err);
}
