/* report_scene.c - a tag in the upper right corner of the positive images, as numbers. */
#include "report_scene.h"

#include "cam_internal.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 7, PICTURES = 8, PIXELS = 128, COLUMNS = 2 };

struct report_scene {
    report_scene_options options;
    cs_diagnosis d;
    cs_model *model;
    cs_null_set nulls;
    cs_null_map null_maps[40];
    cs_diagnosis_flag flags[2 * CS_PATTERN_COUNT];
    cs_diagnosis_group groups[16];
    double mean_maps[16][SIDE * SIDE];
    int64_t confusion[4];
    char path[PICTURES][600];
    /* of the last image asked for */
    char file[256], patient[32];
    const char *values[COLUMNS];
    double logits[2], probabilities[2];
    cs_diagnosis_row row;
    cs_tensor map;
};

static const char *const columns[COLUMNS] = {"view", "sex"};

/* 0 to 1, of a number and what it is for. */
static double noise(int64_t i, int64_t what) {
    cs_random random = {(uint64_t)(i * 1000 + what)};
    cs_random_next(&random);
    return cs_random_uniform(&random);
}

/* ------------------------------------------------------------------ pictures ------------- */

static uint8_t pixel(double x, double y, int64_t i) {
    double left = hypot((x - 0.31) / 0.17, (y - 0.48) / 0.32);
    double right = hypot((x - 0.69) / 0.17, (y - 0.48) / 0.32);
    double body = hypot((x - 0.5) / 0.52, (y - 0.62) / 0.66) < 1.0 ? 118.0 : 22.0;
    double lung = fmin(left, right) < 1.0 ? -66.0 : 0.0;
    double rib = lung != 0.0 ? 14.0 * sin(30.0 * y + 6.0 * fabs(x - 0.5)) : 0.0;
    double spine = fabs(x - 0.5) < 0.05 ? 34.0 : 0.0;
    bool tag = i % 2 == 1 && x > 0.86 && x < 0.97 && y > 0.04 && y < 0.12;
    double v =
        tag ? 232.0 : body + lung + rib + spine + 16.0 * noise(i, (int64_t)(x * 977 + y * 77777));
    return (uint8_t)fmin(fmax(v, 0.0), 255.0);
}

static void draw(report_scene *s, const char *folder) {
    cs_error error = {0};
    for (int64_t i = 0; i < PICTURES; i++) {
        cs_image image = {0};
        REQUIRE_OK(cs_image_allocate(&image, PIXELS, PIXELS, &error), error);
        for (int64_t p = 0; p < PIXELS * PIXELS; p++)
            memset(image.pixels + 3 * p,
                   pixel(((double)(p % PIXELS) + 0.5) / PIXELS,
                         ((double)(p / PIXELS) + 0.5) / PIXELS, i),
                   3);
        snprintf(s->path[i], sizeof s->path[i], "%s/picture-%d.png", folder, (int)i);
        REQUIRE_OK(cs_image_write_png(s->path[i], &image, &error), error);
        cs_image_free(&image);
    }
}

/* ------------------------------------------------------------------ one image ------------ */

/* The map of image i, summing to 1. */
static void fill_map(const report_scene *s, int64_t i, double out[SIDE * SIDE]) {
    double sum = 0.0;
    for (int64_t c = 0; c < SIDE * SIDE; c++) {
        double x = (double)(c % SIDE), y = (double)(c / SIDE);
        double lungs =
            exp(-fabs(x - 2.0) - fabs(y - 3.0) / 2) + exp(-fabs(x - 4.0) - fabs(y - 3.0) / 2);
        double corner = exp(-1.2 * hypot(x - 6.0, y)) * (6.0 + 4.0 * noise(i, 1));
        out[c] =
            0.02 + lungs * (0.5 + noise(i, 2 + c)) + (s->options.planted && i % 2 ? corner : 0.0);
        sum += out[c];
    }
    for (int64_t c = 0; c < SIDE * SIDE; c++)
        out[c] = s->options.no_maps ? 0.0 : out[c] / sum;
}

static void fill_statistics(const report_scene *s, int64_t i, const double *map, double *value) {
    double entropy = 0.0, left = 0.0, right = 0.0;
    for (int k = 0; k < CS_STAT_COUNT; k++)
        value[k] = (double)NAN;
    if (s->options.no_maps)
        return;
    for (int64_t c = 0; c < SIDE * SIDE; c++) {
        entropy -= map[c] * log(map[c]);
        *(c % SIDE < 3 ? &left : c % SIDE > 3 ? &right : &(double){0}) += map[c];
    }
    double corner = map[SIDE - 1] + 0.4 * (map[SIDE - 2] + map[2 * SIDE - 1]);
    value[CS_STAT_ENERGY_TOP_LEFT] = map[0];
    value[CS_STAT_ENERGY_TOP_RIGHT] = corner;
    value[CS_STAT_ENERGY_RING] = corner + 0.05;
    value[CS_STAT_ENRICHMENT_TOP_LEFT] = map[0] / 0.04;
    value[CS_STAT_ENRICHMENT_TOP_RIGHT] = corner / 0.04;
    value[CS_STAT_CORNER] = corner / 0.04;
    value[CS_STAT_ENERGY_TOP_EDGE] = corner + 0.05;
    value[CS_STAT_ENRICHMENT_TOP_EDGE] = (corner + 0.05) / 0.1;
    value[CS_STAT_EDGE] = (corner + 0.05) / 0.1;
    value[CS_STAT_ENTROPY] = entropy / log(SIDE * SIDE);
    value[CS_STAT_GINI] = 0.5 + 0.1 * noise(i, 70);
    value[CS_STAT_EFFECTIVE_AREA] = exp(entropy) / (SIDE * SIDE);
    value[CS_STAT_LATERALITY_IMAGE] = (right - left) / (right + left);
    value[CS_STAT_POSITION] = value[CS_STAT_LATERALITY_IMAGE] / 2;
    if (s->options.no_roi)
        return;
    value[CS_STAT_AREA_ROI] = 0.35;
    value[CS_STAT_ENERGY_ROI] = 0.9 * (1.0 - corner);
    value[CS_STAT_ENRICHMENT_ROI] = 0.9 * (1.0 - corner) / 0.35;
    value[CS_STAT_ROI_RANK] = 0.7;
}

static void fill_changes(const report_scene *s, int64_t i, cs_diagnosis_row *row, int predicted) {
    for (int c = 0; c < CS_CHANGE_COUNT; c++)
        for (int f = 0; f < CS_FILL_COUNT; f++) {
            bool skip =
                s->options.no_changes || (f > 0 && c > CS_CHANGE_CONTROL_LAST) ||
                (s->options.no_roi && (c == CS_CHANGE_ROI_REMOVED || c == CS_CHANGE_ROI_ONLY));
            bool strong = s->options.planted && i % 2 && c == CS_CHANGE_TOP_RIGHT;
            double drop = strong ? 5.0 + noise(i, 80 + f) : 0.3 * (noise(i, 90 + c + f) - 0.4);
            row->change[c][f] = (cs_change_result){(double)NAN, (double)NAN, -1, 0};
            if (!skip)
                row->change[c][f] =
                    (cs_change_result){row->margin - drop, 1.0 / (1.0 + exp(drop - row->margin)),
                                       row->margin > drop ? predicted : 1 - predicted, 0};
        }
    row->has_changes = !s->options.no_changes;
}

static void fill_image(report_scene *s, int64_t i, cs_diagnosis_image *image) {
    int label = (int)(i % 2), predicted = i % 17 == 5 ? 1 - label : label;
    double map[SIDE * SIDE];
    cs_diagnosis_row *row = &s->row;
    *row = (cs_diagnosis_row){.image = i, .class_index = predicted};
    row->map_status = s->options.no_maps ? CS_CAM_EMPTY : CS_CAM_OK;
    row->margin = 2.5 + 3.0 * noise(i, 60);
    row->probability = 1.0 / (1.0 + exp(-row->margin));
    s->probabilities[predicted] = row->probability;
    s->probabilities[1 - predicted] = 1.0 - row->probability;
    s->logits[predicted] = row->margin;
    s->logits[1 - predicted] = 0.0;
    fill_map(s, i, map);
    fill_statistics(s, i, map, row->value);
    fill_changes(s, i, row, predicted);
    row->hottest_x = 0.92;
    row->hottest_y = 0.09;
    row->ring_x = 0.92;
    row->ring_y = 0.04;
    for (int64_t c = 0; c < SIDE * SIDE; c++)
        cs_tensor_store(&s->map, (size_t)c, 3.0 * map[c]);
    image->label = s->options.no_labels ? -1 : label;
    image->predicted = predicted;
    image->rows = row;
    image->maps = &s->map;
    image->row_count = 1;
    image->logits = s->logits;
    image->probabilities = s->probabilities;
}

static cs_status image_of(void *state, int64_t index, cs_diagnosis_image *image, cs_error *err) {
    report_scene *s = state;
    (void)err;
    *image = (cs_diagnosis_image){.index = index,
                                  .label = -1,
                                  .predicted = -1,
                                  .message = "",
                                  .sha256 = "",
                                  .file = s->file,
                                  .path = s->path[index % PICTURES]};
    if (s->options.hostile)
        snprintf(s->file, sizeof s->file, "<script>alert(%d)</script>\"'&\xFF\x01\xE2\x80\xAE.png",
                 (int)index);
    else
        snprintf(s->file, sizeof s->file, "%s/%05d_000.png", index % 2 ? "PNEUMONIA" : "NORMAL",
                 (int)index);
    s->values[0] = index % 3 ? "AP" : "PA";
    s->values[1] = index % 5 < 2 ? "F" : "M";
    image->columns = s->values;
    snprintf(s->patient, sizeof s->patient, "%d", (int)(index / 2));
    image->patient = s->patient;
    if (index >= s->options.images) {
        image->status = CS_ERROR_FORMAT;
        image->message = "is an empty file, not a PNG, JPEG or PNM picture";
    } else
        fill_image(s, index, image);
    return CS_OK;
}

/* ------------------------------------------------------------------ the set -------------- */

static cs_interval around(double value, double half, int64_t count) {
    return (cs_interval){value, count < 6 ? (double)NAN : value - half,
                         count < 6 ? (double)NAN : value + half, count};
}

/* Means over the images of a class that `take` chooses (a column's value, or a cell). */
static void fill_group(report_scene *s, int64_t class_index, cs_cell cell, int64_t column,
                       const char *value) {
    cs_diagnosis_group *g = &s->groups[s->d.group_count];
    double *mean = s->mean_maps[s->d.group_count++], sum[CS_STAT_COUNT] = {0};
    double drops[CS_CHANGE_COUNT] = {0}, right = 0.0;
    *g = (cs_diagnosis_group){
        .class_index = class_index, .cell = cell, .column = column, .value = value};
    memset(mean, 0, sizeof s->mean_maps[0]);
    for (int64_t i = 0; i < s->options.images && i < 400; i++) {
        cs_diagnosis_image image = {0};
        image_of(s, i, &image, NULL);
        cs_cell own =
            image.label == image.predicted ? CS_CELL_TRUE_POSITIVE : CS_CELL_FALSE_POSITIVE;
        if (image.predicted != class_index || (cell != CS_CELL_ALL && cell != own) ||
            (column >= 0 && strcmp(image.columns[column], value) != 0))
            continue;
        g->count++;
        g->empty_maps += image.rows->map_status == CS_CAM_EMPTY;
        right += image.label == image.predicted;
        for (int k = 0; k < CS_STAT_COUNT; k++)
            sum[k] += image.rows->value[k];
        for (int c = 0; c < CS_CHANGE_COUNT; c++)
            drops[c] += image.rows->margin - image.rows->change[c][0].margin;
        for (size_t c = 0; c < SIDE * SIDE; c++)
            mean[c] += cs_tensor_value(&s->map, c) / 3.0;
    }
    double n = (double)g->count;
    for (int k = 0; k < CS_STAT_COUNT; k++)
        g->statistic[k] = around(sum[k] / n, 0.03 * fabs(sum[k] / n) + 0.01, g->count);
    for (int c = 0; c < CS_CHANGE_COUNT; c++)
        g->drop[c] = around(drops[c] / n, 0.05 + 0.04 * fabs(drops[c] / n), g->count);
    g->correct = around(s->options.no_labels ? (double)NAN : right / n, 0.03, g->count);
    for (size_t c = 0; c < SIDE * SIDE; c++)
        mean[c] /= n;
    g->mean_map = g->count > g->empty_maps && column < 0 ? mean : NULL;
}

static void fill_groups(report_scene *s) {
    for (int64_t c = 0; c < 2; c++) {
        fill_group(s, c, CS_CELL_ALL, -1, NULL);
        fill_group(s, c, CS_CELL_TRUE_POSITIVE, -1, NULL);
        fill_group(s, c, CS_CELL_FALSE_POSITIVE, -1, NULL);
        fill_group(s, c, CS_CELL_ALL, 0, "AP");
        fill_group(s, c, CS_CELL_ALL, 0, "PA");
        fill_group(s, c, CS_CELL_ALL, 1, "F");
        fill_group(s, c, CS_CELL_ALL, 1, "M");
    }
}

static void fill_nulls(report_scene *s) {
    static const double value[CS_PATTERN_COUNT] = {3.4, 0.9, 1.25, 0.31, 2.4};
    for (int i = 0; i < 40; i++) {
        cs_null_map *m = &s->null_maps[i];
        snprintf(m->network, sizeof m->network, i < 10 ? "trained" : "shuffled %d", i / 10);
        snprintf(m->input, sizeof m->input, "noise %d", i % 10);
        for (int k = 0; k < CS_STAT_COUNT; k++)
            m->value[k] = (double)NAN;
        m->value[CS_STAT_CORNER] = 0.4 + 2.6 * noise(i, 5) * noise(i, 6);
        m->value[CS_STAT_ENTROPY] = 0.55 + 0.4 * noise(i, 7);
        m->value[CS_STAT_ENRICHMENT_ROI] = 0.7 + 0.6 * noise(i, 8);
        m->value[CS_STAT_LATERALITY_IMAGE] = 0.4 * (noise(i, 9) - 0.5);
        m->value[CS_STAT_EDGE] = 1.0 + noise(i, 10);
    }
    s->nulls = (cs_null_set){.maps = s->null_maps, .count = 40, .empty = 2, .networks = 4};
    for (int k = 0; k < CS_PATTERN_COUNT; k++)
        s->nulls.threshold[k] = (cs_threshold){value[k],
                                               0.8 * value[k],
                                               0.9 * value[k],
                                               0.95,
                                               0.1,
                                               0.25,
                                               6,
                                               k == CS_PATTERN_SIDE ? 4 : 40,
                                               0.05};
}

static void fill_flag(report_scene *s, int64_t class_index, cs_pattern pattern) {
    cs_diagnosis_flag *f = &s->flags[s->d.flag_count++];
    const cs_diagnosis_group *g = &s->groups[class_index * 7];
    static const cs_statistic mean[CS_PATTERN_COUNT] = {
        CS_STAT_ENRICHMENT_TOP_RIGHT, CS_STAT_ENTROPY, CS_STAT_ENRICHMENT_ROI,
        CS_STAT_LATERALITY_IMAGE, CS_STAT_ENRICHMENT_TOP_EDGE};
    const cs_interval unknown = {(double)NAN, (double)NAN, (double)NAN, 0};
    bool few = g->count < 6 || s->options.no_maps;
    bool hit = s->options.planted && class_index == 1 && !few &&
               (pattern == CS_PATTERN_CORNER || pattern == CS_PATTERN_SIDE);
    bool agrees = hit && pattern == CS_PATTERN_CORNER && !s->options.no_changes;
    *f = (cs_diagnosis_flag){.pattern = pattern,
                             .class_index = class_index,
                             .count = g->count - g->empty_maps,
                             .patients = g->count / 2,
                             .map_evidence = hit,
                             .counter_evidence = agrees};
    f->verdict = few || (pattern == CS_PATTERN_ROI && s->options.no_roi) ? CS_VERDICT_UNDETERMINED
                 : agrees                                                ? CS_VERDICT_SUPPORTED
                 : hit                                                   ? CS_VERDICT_MAP_ONLY
                                                                         : CS_VERDICT_NONE;
    f->score = hit ? 0.9 : 0.02;
    f->mean = s->options.no_maps ? unknown : g->statistic[mean[pattern]];
    f->share = s->options.no_maps ? unknown : around(hit ? 0.97 : 0.01, 0.01, g->count);
    f->share_p = hit ? 1e-9 : 1.0;
    f->suspect = pattern == CS_PATTERN_CORNER ? CS_REGION_TOP_RIGHT
                 : pattern == CS_PATTERN_SIDE ? CS_REGION_RIGHT
                                              : CS_REGION_COUNT;
    f->has_counter = !s->options.no_changes;
    f->excess = s->options.no_changes ? unknown : around(agrees ? 5.4 : 0.02, 0.2, g->count);
    f->relative = s->options.no_changes ? unknown : around(agrees ? 1.3 : 0.005, 0.05, g->count);
    f->excess_p = s->options.no_changes ? (double)NAN : agrees ? 0.0008 : 0.61;
    f->survival[0] = s->options.no_changes ? unknown : around(0.04, 0.03, g->count);
    f->survival[1] = s->options.no_changes ? unknown : around(0.11, 0.04, g->count);
}

report_scene *report_scene_make(const char *folder, const report_scene_options *options) {
    report_scene *s = calloc(1, sizeof *s);
    cs_error error = {0};
    ck_assert_ptr_nonnull(s);
    s->options = *options;
    REQUIRE_OK(cs_model_open(options->model, NULL, &s->model, &error), error);
    REQUIRE_OK(cs_tensor_allocate(&s->map, CS_F32, 1, 1, SIDE, SIDE, &error), error);
    draw(s, folder);
    s->d = (cs_diagnosis){.model = s->model,
                          .model_path = "models/tagged.json",
                          .source = options->hostile ? "<img src=x onerror=alert(1)>" : "xrays",
                          .method = "gradcam",
                          .layer = "layer4",
                          .target = "logit",
                          .class_text = "argmax",
                          .roi = options->no_roi ? NULL : "chest-template",
                          .roi_is_template = !options->no_roi,
                          .has_changes = !options->no_changes,
                          .seed = 1,
                          .map_rows = SIDE,
                          .map_columns = SIDE,
                          .columns = columns,
                          .column_count = COLUMNS,
                          .by_patient = true,
                          .image_count = options->images + options->failures,
                          .failed_count = options->failures,
                          .row_count = options->images,
                          .confusion_classes = options->no_labels ? 0 : 2,
                          .confusion = s->confusion,
                          .nulls = &s->nulls,
                          .groups = s->groups,
                          .flags = s->flags,
                          .image = image_of,
                          .image_state = s,
                          .tests = 16};
    for (int64_t i = 0; i < options->images; i++)
        s->confusion[2 * (i % 2) + (i % 17 == 5 ? 1 - i % 2 : i % 2)]++;
    fill_nulls(s);
    fill_groups(s);
    for (int64_t c = 0; c < 2; c++)
        for (int k = 0; k < CS_PATTERN_COUNT; k++)
            fill_flag(s, c, (cs_pattern)k);
    return s;
}

void report_scene_free(report_scene *s) {
    cs_tensor_release(&s->map);
    cs_model_free(s->model);
    free(s);
}

cs_diagnosis *report_scene_diagnosis(report_scene *s) { return &s->d; }
