/* shortcut_summary.c - from rows to groups: which there are, their means and intervals, mean maps,
 * the confusion matrix. Reads the images again and again instead of keeping them.
 */
#include "shortcut_summary.h"
#include "cam_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 12 }; /* of a column that is tabulated */
enum { TALLY_PROBABILITY = CS_STAT_COUNT, TALLY_MARGIN, TALLY_CORRECT, TALLY_DROP };
enum { TALLIES = TALLY_DROP + CS_CHANGE_COUNT };

const char *cs_cell_name(cs_cell cell) {
    static const char *const names[CS_CELL_COUNT] = {"all", "true positive", "false positive",
                                                     "false negative", "true negative"};
    return names[cell];
}

cs_status summary_image(const cs_diagnosis *d, int64_t index, cs_stop stop, cs_diagnosis_image *im,
                        cs_error *err) {
    if (stop.function && stop.function(stop.state, index, d->image_count))
        return cs_error_set(err, CS_ERROR_INTERRUPTED, NULL, -1, "interrupted");
    return d->image(d->image_state, index, im, err);
}

uint64_t summary_unit(const cs_diagnosis_image *image) {
    return bootstrap_unit(image->patient ? image->patient : image->file);
}

/* The cell of an image for class c, or -1 without a label. */
static int cell_of(const cs_diagnosis_image *image, int64_t c) {
    bool is = image->label == c, says = image->predicted == c;
    if (image->label < 0)
        return -1;
    return is ? (says ? CS_CELL_TRUE_POSITIVE : CS_CELL_FALSE_NEGATIVE)
              : (says ? CS_CELL_FALSE_POSITIVE : CS_CELL_TRUE_NEGATIVE);
}

/* ------------------------------------------------------------------ which groups --------- */

/* The values of one column. */
typedef struct column_values {
    char *value[MOST_VALUES];
    int count; /* MOST_VALUES + 1: too many to tabulate */
} column_values;

typedef struct survey {
    column_values *columns;
    int64_t per_class; /* cells and values */
    int64_t *first;    /* of each column: the place of its first value within a class */
    int64_t *counts;   /* rows of each class and cell or value */
} survey;

static void free_survey(const cs_diagnosis *d, survey *s) {
    for (int64_t c = 0; s->columns && c < d->column_count; c++)
        for (int v = 0; v < MOST_VALUES; v++)
            free(s->columns[c].value[v]);
    free(s->columns);
    free(s->first);
    free(s->counts);
}

static int find_value(const column_values *c, const char *value) {
    for (int v = 0; v < c->count && v < MOST_VALUES; v++)
        if (strcmp(c->value[v], value) == 0)
            return v;
    return -1;
}

/* Keeps the values in order. */
static cs_status add_value(column_values *c, const char *value, cs_error *err) {
    if (c->count > MOST_VALUES || !value[0] || find_value(c, value) >= 0)
        return CS_OK;
    if (c->count++ == MOST_VALUES)
        return CS_OK;
    int at = c->count - 1;
    char *copy = strdup(value);
    CS_CHECK(copy, CS_ERROR_MEMORY, "out of memory");
    for (; at > 0 && strcmp(c->value[at - 1], copy) > 0; at--)
        c->value[at] = c->value[at - 1];
    c->value[at] = copy;
    return CS_OK;
}

/* First pass: failures, confusion, values of columns. */
static cs_status survey_images(cs_diagnosis *d, survey *s, cs_stop stop, cs_error *err) {
    d->failed_count = d->row_count = 0;
    for (int64_t i = 0; i < d->image_count; i++) {
        cs_diagnosis_image image;
        CS_TRY(summary_image(d, i, stop, &image, err));
        d->failed_count += image.status != CS_OK;
        d->row_count += image.row_count;
        if (image.status == CS_OK && image.label >= 0 && d->confusion)
            d->confusion[image.label * d->confusion_classes + image.predicted]++;
        for (int64_t c = 0; image.status == CS_OK && c < d->column_count; c++)
            CS_TRY(add_value(&s->columns[c], image.columns[c], err));
    }
    s->per_class = CS_CELL_COUNT;
    for (int64_t c = 0; c < d->column_count; c++) {
        s->first[c] = s->per_class;
        s->per_class += s->columns[c].count > MOST_VALUES ? 0 : s->columns[c].count;
    }
    return CS_OK;
}

/* Second pass: how many rows each class, cell and value has. */
static cs_status survey_rows(cs_diagnosis *d, survey *s, cs_stop stop, cs_error *err) {
    int64_t classes = cs_model_class_count(d->model);
    s->counts = calloc((size_t)(classes * s->per_class), sizeof *s->counts);
    CS_CHECK(s->counts, CS_ERROR_MEMORY, "out of memory");
    for (int64_t i = 0; i < d->image_count; i++) {
        cs_diagnosis_image image;
        CS_TRY(summary_image(d, i, stop, &image, err));
        for (int64_t r = 0; r < image.row_count; r++) {
            int64_t class_index = image.rows[r].class_index;
            int64_t *counts = &s->counts[class_index * s->per_class];
            int cell = cell_of(&image, class_index);
            counts[CS_CELL_ALL]++;
            if (cell >= 0)
                counts[cell]++;
            for (int64_t c = 0; c < d->column_count; c++) {
                int v = s->columns[c].count > MOST_VALUES
                            ? -1
                            : find_value(&s->columns[c], image.columns[c]);
                if (v >= 0)
                    counts[s->first[c] + v]++;
            }
        }
    }
    return CS_OK;
}

static cs_status list_groups(cs_diagnosis *d, const survey *s, cs_error *err) {
    int64_t classes = cs_model_class_count(d->model), most = 0;
    for (int64_t i = 0; i < classes * s->per_class; i++)
        most += s->counts[i] > 0;
    d->groups = calloc((size_t)most + 1, sizeof *d->groups);
    CS_CHECK(d->groups, CS_ERROR_MEMORY, "out of memory");
    for (int64_t k = 0; k < classes; k++) {
        const int64_t *counts = &s->counts[k * s->per_class];
        for (int cell = 0; cell < CS_CELL_COUNT; cell++)
            if (counts[cell] > 0)
                d->groups[d->group_count++] =
                    (cs_diagnosis_group){.class_index = k, .cell = (cs_cell)cell, .column = -1};
        for (int64_t c = 0; c < d->column_count; c++)
            for (int v = 0; v < s->columns[c].count && s->columns[c].count <= MOST_VALUES; v++) {
                if (counts[s->first[c] + v] == 0)
                    continue;
                char *value = strdup(s->columns[c].value[v]);
                CS_CHECK(value, CS_ERROR_MEMORY, "out of memory");
                d->groups[d->group_count++] =
                    (cs_diagnosis_group){.class_index = k, .column = c, .value = value};
            }
    }
    return CS_OK;
}

/* ------------------------------------------------------------------ sums ----------------- */

/* What one pass adds up for one group. */
typedef struct group_sums {
    cs_diagnosis_group *group;
    tally tallies[TALLIES];
    double *memory;
    unsigned char *patients; /* a bit each */
} group_sums;

static bool is_member(const cs_diagnosis_group *g, const cs_diagnosis_image *image,
                      const cs_diagnosis_row *row) {
    if (row->class_index != g->class_index)
        return false;
    if (g->column >= 0)
        return strcmp(image->columns[g->column], g->value) == 0;
    return g->cell == CS_CELL_ALL || cell_of(image, g->class_index) == (int)g->cell;
}

static void add_map(double *mean_map, const cs_tensor *map) {
    size_t count = (size_t)(map->h * map->w);
    double all = 0.0;
    for (size_t i = 0; i < count; i++)
        all += cs_tensor_value(map, i);
    for (size_t i = 0; i < count && all > 0.0; i++)
        mean_map[i] += cs_tensor_value(map, i) / all;
}

static void add_row(group_sums *s, const cs_diagnosis_image *image, int64_t r,
                    const double *weights) {
    const cs_diagnosis_row *row = &image->rows[r];
    cs_diagnosis_group *g = s->group;
    g->count++;
    g->empty_maps += row->map_status == CS_CAM_EMPTY;
    for (int t = 0; t < CS_STAT_COUNT; t++)
        tally_add(&s->tallies[t], row->value[t], weights);
    tally_add(&s->tallies[TALLY_PROBABILITY], row->probability, weights);
    tally_add(&s->tallies[TALLY_MARGIN], row->margin, weights);
    if (image->label >= 0)
        tally_add(&s->tallies[TALLY_CORRECT], image->label == image->predicted ? 1.0 : 0.0,
                  weights);
    for (int c = 0; c < CS_CHANGE_COUNT; c++)
        tally_add(&s->tallies[TALLY_DROP + c], cs_row_drop(row, (cs_change)c), weights);
    if (g->mean_map)
        add_map(g->mean_map, &image->maps[r]);
    int64_t p = image->patient_index;
    if (p >= 0 && !(s->patients[p / 8] >> (p % 8) & 1)) {
        s->patients[p / 8] |= (unsigned char)(1u << (p % 8));
        g->patients++;
    }
}

static cs_status begin_sums(const cs_diagnosis *d, group_sums *s, cs_diagnosis_group *g,
                            cs_error *err) {
    *s = (group_sums){.group = g};
    s->memory = calloc((size_t)TALLIES * 2 * BOOTSTRAP_REPLICATES, sizeof *s->memory);
    s->patients = calloc((size_t)d->patient_count / 8 + 1, 1);
    if (g->column < 0) {
        g->mean_map = calloc((size_t)(d->map_rows * d->map_columns), sizeof *g->mean_map);
        CS_CHECK(g->mean_map, CS_ERROR_MEMORY, "out of memory");
    }
    CS_CHECK(s->memory && s->patients, CS_ERROR_MEMORY, "out of memory");
    for (int t = 0; t < TALLIES; t++)
        tally_begin(&s->tallies[t], s->memory + (size_t)t * 2 * BOOTSTRAP_REPLICATES);
    return CS_OK;
}

static void end_sums(const cs_diagnosis *d, group_sums *s) {
    cs_diagnosis_group *g = s->group;
    for (int t = 0; t < CS_STAT_COUNT; t++)
        g->statistic[t] = tally_interval(&s->tallies[t]);
    g->probability = tally_interval(&s->tallies[TALLY_PROBABILITY]);
    g->margin = tally_interval(&s->tallies[TALLY_MARGIN]);
    g->correct = tally_interval(&s->tallies[TALLY_CORRECT]);
    for (int c = 0; c < CS_CHANGE_COUNT; c++)
        g->drop[c] = tally_interval(&s->tallies[TALLY_DROP + c]);
    int64_t maps = g->count - g->empty_maps;
    for (int64_t i = 0; g->mean_map && maps > 0 && i < d->map_rows * d->map_columns; i++)
        g->mean_map[i] /= (double)maps;
    if (maps == 0) {
        free(g->mean_map);
        g->mean_map = NULL;
    }
}

/* One pass over the images for a few groups. */
static cs_status sum_groups(cs_diagnosis *d, group_sums *sums, int64_t count, cs_stop stop,
                            cs_error *err) {
    double weights[BOOTSTRAP_REPLICATES];
    for (int64_t i = 0; i < d->image_count; i++) {
        cs_diagnosis_image image;
        CS_TRY(summary_image(d, i, stop, &image, err));
        if (image.row_count == 0)
            continue;
        bootstrap_weights(d->seed, summary_unit(&image), weights);
        for (int64_t r = 0; r < image.row_count; r++)
            for (int64_t g = 0; g < count; g++)
                if (is_member(sums[g].group, &image, &image.rows[r]))
                    add_row(&sums[g], &image, r, weights);
    }
    return CS_OK;
}

static cs_status summarise_groups(cs_diagnosis *d, cs_stop stop, cs_error *err) {
    for (int64_t first = 0; first < d->group_count; first += SUMMARY_BATCH) {
        int64_t left = d->group_count - first, count = left < SUMMARY_BATCH ? left : SUMMARY_BATCH;
        group_sums *sums = calloc((size_t)count, sizeof *sums);
        CS_CHECK(sums, CS_ERROR_MEMORY, "out of memory");
        cs_status status = CS_OK;
        for (int64_t g = 0; g < count && status == CS_OK; g++)
            status = begin_sums(d, &sums[g], &d->groups[first + g], err);
        if (status == CS_OK)
            status = sum_groups(d, sums, count, stop, err);
        for (int64_t g = 0; g < count; g++) {
            if (status == CS_OK)
                end_sums(d, &sums[g]);
            free(sums[g].memory);
            free(sums[g].patients);
        }
        free(sums);
        CS_TRY(status);
    }
    return CS_OK;
}

/* ------------------------------------------------------------------ the whole ------------ */

static cs_status summarise_flags(cs_diagnosis *d, const survey *s, cs_stop stop, cs_error *err) {
    int64_t classes = cs_model_class_count(d->model), count = 0;
    int64_t *present = calloc((size_t)classes, sizeof *present);
    CS_CHECK(present, CS_ERROR_MEMORY, "out of memory");
    for (int64_t k = 0; k < classes; k++)
        if (s->counts[k * s->per_class] > 0)
            present[count++] = k;
    cs_status status = summary_flags(d, present, count, stop, err);
    free(present);
    return status;
}

cs_status cs_diagnosis_summarise(cs_diagnosis *diagnosis, cs_stop stop, cs_error *err) {
    cs_diagnosis *d = diagnosis;
    survey s = {0};
    size_t columns = (size_t)d->column_count;
    int64_t cells = d->confusion_classes * d->confusion_classes;
    cs_status status = CS_OK;
    s.columns = calloc(columns + 1, sizeof *s.columns);
    s.first = calloc(columns + 1, sizeof *s.first);
    d->confusion = cells > 0 ? calloc((size_t)cells, sizeof *d->confusion) : NULL;
    if (!s.columns || !s.first || (cells > 0 && !d->confusion))
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    if (status == CS_OK)
        status = survey_images(d, &s, stop, err);
    if (status == CS_OK)
        status = survey_rows(d, &s, stop, err);
    if (status == CS_OK)
        status = list_groups(d, &s, err);
    if (status == CS_OK)
        status = summarise_groups(d, stop, err);
    if (status == CS_OK)
        status = summarise_flags(d, &s, stop, err);
    free_survey(d, &s);
    return status;
}

void cs_diagnosis_free_summary(cs_diagnosis *diagnosis) {
    for (int64_t g = 0; diagnosis->groups && g < diagnosis->group_count; g++) {
        free((char *)(uintptr_t)diagnosis->groups[g].value);
        free(diagnosis->groups[g].mean_map);
    }
    free(diagnosis->groups);
    free(diagnosis->flags);
    free(diagnosis->confusion);
    diagnosis->groups = NULL;
    diagnosis->flags = NULL;
    diagnosis->confusion = NULL;
    diagnosis->group_count = diagnosis->flag_count = 0;
}
