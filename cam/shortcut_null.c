/* shortcut_null.c - what the statistics give where there is nothing to see and nothing learnt, and
 * the thresholds that follow. Zero padding alone makes heat in corners, strides make one side
 * heavier: a statistic means something only beside these.
 */
#include "cam_internal.h"
#include "shortcut_summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHUFFLED_NETWORKS = 3, NOISES = 6, CLOUDS = 6, CLOUD_CELLS = 8 };
enum { PLAIN = 3, INPUTS = PLAIN + 2 * (NOISES + CLOUDS) };
enum { NULL_MAPS = (SHUFFLED_NETWORKS + 1) * INPUTS };

static const char *const pattern_names[CS_PATTERN_COUNT] = {"corner", "uniform", "roi", "side",
                                                            "border"};

const char *cs_pattern_name(cs_pattern pattern) { return pattern_names[pattern]; }

/* ------------------------------------------------------------------ inputs --------------- */

/* A value of 0..1 in the place of a grey pixel, as preprocessing has it. */
static void store_grey(const cs_preprocess *p, cs_tensor *t, size_t pixel, double grey) {
    for (int64_t k = 0; k < t->c; k++)
        cs_tensor_store(t, pixel * (size_t)t->c + (size_t)k,
                        (grey * 255.0 / p->divisor - p->mean[k]) / p->std[k]);
}

static cs_status make_clouds(const cs_preprocess *p, cs_random *random, cs_tensor *t,
                             cs_error *err) {
    cs_tensor small = {0};
    double *large = calloc((size_t)(t->h * t->w), sizeof *large);
    CS_CHECK(large, CS_ERROR_MEMORY, "out of memory");
    cs_status status = cs_tensor_allocate(&small, CS_F64, 1, 1, CLOUD_CELLS, CLOUD_CELLS, err);
    for (size_t i = 0; status == CS_OK && i < CLOUD_CELLS * CLOUD_CELLS; i++)
        cs_tensor_store(&small, i, cs_random_uniform(random));
    if (status == CS_OK)
        status = cs_map_enlarge(&small, t->h, t->w, large, err);
    for (size_t i = 0; status == CS_OK && i < (size_t)(t->h * t->w); i++)
        store_grey(p, t, i, large[i]);
    cs_tensor_release(&small);
    free(large);
    return status;
}

/* Input `index` of the null set and its name; `scratch` is of the same shape. */
static cs_status make_input(const cs_preprocess *p, uint64_t seed, int index, cs_tensor *t,
                            cs_tensor *scratch, char name[24], cs_error *err) {
    static const char *const plain[PLAIN] = {"black", "mean", "white"};
    size_t pixels = (size_t)(t->h * t->w);
    if (index < PLAIN) {
        snprintf(name, 24, "%s", plain[index]);
        for (size_t i = 0; i < pixels; i++)
            store_grey(p, t, i, index == 0 ? 0.0 : 1.0);
        if (index == 1)
            memset(t->data, 0, pixels * (size_t)t->c * cs_dtype_size(t->dtype));
        return CS_OK;
    }
    int number = (index - PLAIN) / 2;
    bool mirrored = (index - PLAIN) % 2 != 0, cloudy = number >= NOISES;
    cs_tensor *target = mirrored ? scratch : t;
    cs_random random = {seed + (uint64_t)number};
    snprintf(name, 24, "%s %d%s", cloudy ? "clouds" : "noise", number - (cloudy ? NOISES : 0) + 1,
             mirrored ? " mirrored" : "");
    if (cloudy)
        CS_TRY(make_clouds(p, &random, target, err));
    for (size_t i = 0; !cloudy && i < pixels; i++)
        store_grey(p, target, i, cs_random_uniform(&random));
    if (mirrored)
        cs_image_mirror(scratch, t);
    return CS_OK;
}

/* ------------------------------------------------------------------ maps ----------------- */

typedef struct null_work {
    const cs_model *model;
    const cs_cam_options *options;
    const cs_null_places *places;
    uint64_t seed;
    cs_stop stop;
    int64_t done; /* maps, empty ones too: the number of the next one */
    cs_tensor input, scratch;
    cs_null_set *set;
} null_work;

/* One network's maps. CS_ERROR_NUMERIC leaves it out. */
static cs_status measure_network(null_work *w, cs_run *run, const char *network, cs_error *err) {
    cs_null_set *set = w->set;
    int64_t first = set->count;
    for (int i = 0; i < INPUTS; i++) {
        cs_null_map *m = &set->maps[set->count];
        cs_cam cam = {0};
        const cs_map_regions *regions = NULL;
        int64_t class_index = CS_CLASS_ARGMAX;
        snprintf(m->network, sizeof m->network, "%s", network);
        CS_TRY(make_input(cs_model_preprocess(w->model), w->seed, i, &w->input, &w->scratch,
                          m->input, err));
        CS_TRY(cs_run_forward(run, &w->input, err));
        cs_status status =
            cs_cam_compute_classes(run, w->model, w->options, 0, &class_index, 1, &cam, err);
        if (status == CS_OK)
            status = w->places->function(w->places->state, w->done, NULL_MAPS, &regions, err);
        if (status == CS_OK)
            status = cs_map_statistics(&cam.raw, regions, m->value, err);
        bool is_empty = cam.status == CS_CAM_EMPTY;
        cs_cam_free(&cam);
        if (status == CS_ERROR_NUMERIC) {
            set->count = first;
            return CS_OK;
        }
        CS_TRY(status);
        set->empty += is_empty;
        set->count += !is_empty;
        w->done++;
        if (w->stop.function && w->stop.function(w->stop.state, w->done, NULL_MAPS))
            return cs_error_set(err, CS_ERROR_INTERRUPTED, NULL, -1, "interrupted");
    }
    set->networks++;
    return CS_OK;
}

/* The trained network (number 0) or one with shuffled weights. */
static cs_status measure_number(null_work *w, const cs_run *like, int number, cs_error *err) {
    cs_params *params = NULL;
    cs_run *run = NULL;
    cs_random random = {w->seed + 1000u * (uint64_t)number};
    char stage[256], name[24] = "trained";
    cs_status status = CS_OK;
    if (number > 0) {
        snprintf(name, sizeof name, "shuffled %d", number);
        CS_TRY(cs_params_copy(w->model, &params, err));
    }
    for (int i = 0; params && status == CS_OK && cs_cascade_stage(w->model, i, stage, sizeof stage);
         i++)
        status = cs_cascade_randomise(params, w->model, stage, &random, err);
    if (status == CS_OK)
        status = cs_run_create_like(like, 1, params, &run, err);
    if (status == CS_OK)
        status = cs_cam_watch(run, w->model, w->options, err);
    if (status == CS_OK)
        status = cs_run_prepare(run, err);
    if (status == CS_OK)
        status = measure_network(w, run, name, err);
    cs_run_free(run);
    cs_params_free(params);
    return status;
}

/* ------------------------------------------------------------------ thresholds ----------- */

static int compare_reals(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* numpy's quantile of sorted values. */
static double quantile(const double *sorted, int64_t count, double q) {
    if (count < 1)
        return (double)NAN;
    double at = q * (double)(count - 1);
    int64_t below = (int64_t)at;
    double part = at - (double)below;
    return below + 1 < count ? sorted[below] + part * (sorted[below + 1] - sorted[below])
                             : sorted[below];
}

static void set_threshold(cs_threshold *t, double *values, int64_t count) {
    qsort(values, (size_t)count, sizeof *values, compare_reals);
    t->null_count = count;
    t->null_median = quantile(values, count, 0.5);
    t->null_quantile = quantile(values, count, t->quantile);
    double v = count > 0 ? t->null_quantile + t->margin : t->least;
    t->value = v < t->least ? t->least : v > t->most ? t->most : v;
}

/* The absolute value of the mean laterality of each network's maps. */
static int64_t side_values(const cs_null_set *set, double *values) {
    int64_t count = 0;
    for (int64_t i = 0; i < set->count;) {
        double sum = 0.0;
        int64_t first = i;
        for (; i < set->count && strcmp(set->maps[i].network, set->maps[first].network) == 0; i++)
            sum += set->maps[i].value[CS_STAT_LATERALITY_IMAGE];
        values[count++] = fabs(sum / (double)(i - first));
    }
    return count;
}

static cs_status set_thresholds(cs_null_set *set, bool roi_varies, cs_error *err) {
    static const cs_threshold rules[CS_PATTERN_COUNT] = {
        [CS_PATTERN_CORNER] =
            {.quantile = 0.95, .margin = 0.5, .least = 3.0, .most = 6.0, .null_rate = 0.05},
        [CS_PATTERN_UNIFORM] = {.quantile = 0.5, .least = 0.85, .most = 0.92, .null_rate = 0.25},
        [CS_PATTERN_ROI] = {.quantile = 0.95, .least = 1.25, .most = 1.5, .null_rate = 0.25},
        [CS_PATTERN_SIDE] =
            {.quantile = 0.95, .margin = 0.1, .least = 0.25, .most = 0.5, .null_rate = 0.6},
        [CS_PATTERN_BORDER] = {
            .quantile = 0.95, .margin = 0.5, .least = 2.0, .most = 4.0, .null_rate = 0.05}};
    double *values = calloc((size_t)set->count + 1, sizeof *values);
    CS_CHECK(values, CS_ERROR_MEMORY, "out of memory");
    for (int p = 0; p < CS_PATTERN_COUNT; p++) {
        cs_threshold *t = &set->threshold[p];
        const cs_statistic own = pattern_statistic((cs_pattern)p);
        const bool counts = p == CS_PATTERN_CORNER || p == CS_PATTERN_BORDER;
        int64_t count = 0, beyond = 0;
        *t = rules[p];
        if (p == CS_PATTERN_ROI && roi_varies)
            t->most = t->least;
        for (int64_t i = 0; p != CS_PATTERN_SIDE && i < set->count; i++)
            if (!isnan(set->maps[i].value[own]))
                values[count++] = set->maps[i].value[own];
        if (p == CS_PATTERN_SIDE)
            count = side_values(set, values);
        set_threshold(t, values, count);
        for (int64_t i = 0; counts && i < count; i++)
            beyond += values[i] > t->value;
        if (count > 0 && (double)beyond / (double)count > t->null_rate)
            t->null_rate = (double)beyond / (double)count;
    }
    free(values);
    return CS_OK;
}

cs_status cs_null_set_make(const cs_run *like, const cs_model *model, const cs_cam_options *options,
                           const cs_null_places *places, uint64_t seed, cs_stop stop,
                           cs_null_set *set, cs_error *err) {
    const cs_preprocess *p = cs_model_preprocess(model);
    null_work w = {.model = model,
                   .options = options,
                   .places = places,
                   .seed = seed,
                   .stop = stop,
                   .set = set};
    *set = (cs_null_set){0};
    set->maps = calloc(NULL_MAPS + 1, sizeof *set->maps);
    cs_status status = CS_OK;
    if (!set->maps)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    if (status == CS_OK)
        status = cs_tensor_allocate(&w.input, CS_F32, 1, p->channels, p->height, p->width, err);
    if (status == CS_OK)
        status = cs_tensor_allocate(&w.scratch, CS_F32, 1, p->channels, p->height, p->width, err);
    for (int i = 0; i <= SHUFFLED_NETWORKS && status == CS_OK; i++)
        status = measure_number(&w, like, i, err);
    if (status == CS_OK)
        status = set_thresholds(set, places->roi_varies, err);
    cs_tensor_release(&w.input);
    cs_tensor_release(&w.scratch);
    if (status != CS_OK)
        cs_null_set_free(set);
    return status;
}

void cs_null_set_free(cs_null_set *set) {
    if (!set)
        return;
    free(set->maps);
    *set = (cs_null_set){0};
}
