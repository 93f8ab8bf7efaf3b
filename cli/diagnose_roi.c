#include "diagnose_roi.h"
#include "cnnscope_measures.h"
#include "common.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------ opening -------------- */

static cs_status open_template(diagnose_roi *roi, const char *shape, cs_error *err) {
    cs_chest_template t = CS_CHEST_TEMPLATE_DEFAULT;
    double values[5];
    int64_t count = 0;
    if (shape) {
        CS_TRY(parse_numbers(shape, values, 5, &count, err));
        CS_CHECK(count == 5, CS_ERROR_ARGUMENT,
                 "--chest-template '%s': expected five numbers: the two centres' x, their y, the "
                 "radii across and down, as shares of the sides (0.30,0.70,0.45,0.17,0.33)",
                 shape);
        t = (cs_chest_template){{values[0], values[1]}, values[2], values[3], values[4]};
    }
    roi->is_template = true;
    return cs_chest_template_make(&t, roi->height, roi->width, &roi->shared, err);
}

static cs_status read_box(const diagnose_roi *roi, int64_t row, double box[4], cs_error *err) {
    for (int i = 0; i < 4; i++) {
        const char *text = csv_cell(&roi->boxes, row, roi->column[1 + i]);
        char *end = NULL;
        box[i] = strtod(text, &end);
        if (end == text || *end || !isfinite(box[i]) || (i >= 2 && !(box[i] > 0.0)))
            return cs_error_set(err, CS_ERROR_FORMAT, roi->text, -1,
                                "%s, line %lld: '%s' is no %s in pixels", roi->text,
                                (long long)roi->boxes.lines[row], text,
                                i >= 2 ? "size above 0" : "position");
    }
    return CS_OK;
}

static cs_status open_boxes(diagnose_roi *roi, cs_error *err) {
    static const char *const names[5][5] = {{"file", "path", "image", "filename", NULL},
                                            {"x", "left", NULL},
                                            {"y", "top", NULL},
                                            {"width", "w", NULL},
                                            {"height", "h", NULL}};
    CS_TRY(csv_read(roi->text, &roi->boxes, err));
    for (int i = 0; i < 5; i++) {
        roi->column[i] = csv_find(&roi->boxes, names[i]);
        if (roi->column[i] < 0)
            return cs_error_set(err, CS_ERROR_FORMAT, roi->text, -1,
                                "%s: the header has no column %s; a table of boxes has file, x, y, "
                                "width, height (pixels)",
                                roi->text, names[i][0]);
    }
    for (int64_t row = 1; row < roi->boxes.rows; row++) {
        double box[4];
        CS_TRY(read_box(roi, row, box, err));
    }
    return CS_OK;
}

static bool has_pixels(const cs_tensor *mask) {
    for (int64_t i = 0; mask->data && i < mask->h * mask->w; i++)
        if (cs_tensor_at(mask, 0, 0, i / mask->w, i % mask->w) > 0.0)
            return true;
    return false;
}

static bool has_ending(const char *text, const char *ending) {
    size_t a = strlen(text), b = strlen(ending);
    return a > b && strcmp(text + a - b, ending) == 0;
}

cs_status diagnose_roi_open(diagnose_roi *roi, const cs_model *model, const char *text,
                            const char *shape, cs_error *err) {
    struct stat info;
    const cs_preprocess *p = cs_model_preprocess(model);
    *roi = (diagnose_roi){.text = text, .height = p->height, .width = p->width};
    CS_CHECK(!shape || (text && strcmp(text, "chest-template") == 0), CS_ERROR_ARGUMENT,
             "--chest-template changes --roi chest-template, which was not given");
    if (!text)
        return CS_OK;
    if (strcmp(text, "chest-template") == 0)
        return open_template(roi, shape, err);
    if (stat(text, &info) != 0)
        return cs_error_set(err, CS_ERROR_IO, text, -1,
                            "%s: %s; --roi takes a mask, a folder of masks, a table of boxes or "
                            "chest-template",
                            text, strerror(errno));
    if (S_ISDIR(info.st_mode)) {
        roi->folder = text;
        return CS_OK;
    }
    if (has_ending(text, ".csv"))
        return open_boxes(roi, err);
    CS_TRY(cs_mask_load(text, roi->width, roi->height, &roi->shared, err));
    if (has_pixels(&roi->shared))
        return CS_OK;
    return cs_error_set(err, CS_ERROR_FORMAT, text, -1, "%s: the mask is black everywhere", text);
}

void diagnose_roi_free(diagnose_roi *roi) {
    cs_tensor_release(&roi->shared);
    csv_free(&roi->boxes);
}

/* ------------------------------------------------------------------ one image ------------ */

/* FOLDER/a/xray.png for a/xray.jpg, else FOLDER/xray.png. */
static cs_status folder_mask(const diagnose_roi *roi, const char *file, cs_tensor *mask,
                             cs_error *err) {
    const char *names[2] = {file, base_name(file)};
    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX];
        struct stat info;
        const char *dot = strrchr(base_name(file), '.');
        int length = (int)strlen(names[i]) - (dot && dot != base_name(file) ? (int)strlen(dot) : 0);
        if (snprintf(path, sizeof path, "%s/%.*s.png", roi->folder, length, names[i]) <
                (int)sizeof path &&
            stat(path, &info) == 0)
            return cs_mask_load(path, roi->width, roi->height, mask, err);
    }
    return CS_OK;
}

/* A pixel is inside where its centre is. */
static void draw_box(const double box[4], const cs_input *input, cs_tensor *mask) {
    double sx = (double)mask->w / (double)input->original_width;
    double sy = (double)mask->h / (double)input->original_height;
    for (int64_t y = 0; y < mask->h; y++)
        for (int64_t x = 0; x < mask->w; x++) {
            double px = ((double)x + 0.5) / sx, py = ((double)y + 0.5) / sy;
            if (px >= box[0] && px < box[0] + box[2] && py >= box[1] && py < box[1] + box[3])
                cs_tensor_set(mask, 0, 0, y, x, 1.0);
        }
}

static cs_status boxes_mask(const diagnose_roi *roi, const char *file, const cs_input *input,
                            cs_tensor *mask, cs_error *err) {
    for (int64_t row = 1; row < roi->boxes.rows; row++) {
        const char *name = csv_cell(&roi->boxes, row, roi->column[0]);
        double box[4];
        if (strcmp(name, file) != 0 && strcmp(name, base_name(file)) != 0)
            continue;
        CS_TRY(read_box(roi, row, box, err));
        if (!mask->data)
            CS_TRY(cs_tensor_allocate(mask, CS_F32, 1, 1, roi->height, roi->width, err));
        draw_box(box, input, mask);
    }
    return CS_OK;
}

cs_status diagnose_roi_mask(const diagnose_roi *roi, const char *file, const cs_input *input,
                            cs_tensor *mask, bool *owned, cs_error *err) {
    *owned = false;
    *mask = roi->shared;
    if (!roi->text || mask->data)
        return CS_OK;
    *owned = true;
    CS_TRY(roi->folder ? folder_mask(roi, file, mask, err)
                       : boxes_mask(roi, file, input, mask, err));
    if (!has_pixels(mask)) /* a black mask; boxes beside the picture or between its pixels */
        cs_tensor_release(mask);
    return CS_OK;
}

cs_status diagnose_roi_sha256(const diagnose_roi *roi, char out[CS_SHA256_HEX_SIZE],
                              cs_error *err) {
    char *text = NULL;
    size_t size = 0;
    if (roi->shared.data)
        return cs_tensor_sha256(&roi->shared, out, err);
    if (!roi->boxes.text) {
        cs_sha256_hex(roi->text ? roi->text : "", roi->text ? strlen(roi->text) : 0, out);
        return CS_OK;
    }
    CS_TRY(cs_file_read(roi->text, (size_t)256 << 20, &text, &size, err));
    cs_sha256_hex(text, size, out);
    free(text);
    return CS_OK;
}
