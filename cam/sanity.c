/* sanity.c - does a map depend on what the network has learnt, and on the class? Cascading
 * randomisation (Adebayo and others 2018, arXiv 1810.03292) and the map of another class (Sixt and
 * others 2020, arXiv 1912.09818), each by Spearman's rank correlation of the raw maps.
 */
#include "cam_internal.h"
#include "cnnscope_measures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ correlation ---------- */

typedef struct ranked {
    double value;
    size_t place;
} ranked;

static int compare_ranked(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* ranks[i] from 1, equals sharing their mean. */
static void fill_ranks(const cs_tensor *map, ranked *order, double *ranks) {
    size_t count = (size_t)cs_tensor_count(map);
    for (size_t i = 0; i < count; i++)
        order[i] = (ranked){cs_tensor_value(map, i), i};
    qsort(order, count, sizeof *order, compare_ranked);
    for (size_t i = 0, end = 0; i < count; i = end) {
        for (end = i + 1; end < count && order[end].value == order[i].value;)
            end++;
        for (size_t j = i; j < end; j++)
            ranks[order[j].place] = (double)(i + end + 1) / 2.0;
    }
}

static double pearson(const double *x, const double *y, size_t count) {
    double mean = (double)(count + 1) / 2.0, xx = 0.0, yy = 0.0, xy = 0.0;
    for (size_t i = 0; i < count; i++) {
        xx += (x[i] - mean) * (x[i] - mean);
        yy += (y[i] - mean) * (y[i] - mean);
        xy += (x[i] - mean) * (y[i] - mean);
    }
    return xx > 0.0 && yy > 0.0 ? xy / (sqrt(xx) * sqrt(yy)) : (double)NAN;
}

cs_status cs_map_correlation(const cs_tensor *a, const cs_tensor *b, double *correlation,
                             cs_error *err) {
    size_t count = (size_t)cs_tensor_count(a);
    CS_CHECK(a->n == 1 && a->c == 1 && b->n == 1 && b->c == 1 && a->h == b->h && a->w == b->w,
             CS_ERROR_ARGUMENT, "maps of %lld x %lld and %lld x %lld cannot be compared",
             (long long)a->w, (long long)a->h, (long long)b->w, (long long)b->h);
    ranked *order = calloc(count + 1, sizeof *order);
    double *ranks = calloc(2 * count + 1, sizeof *ranks);
    if (order && ranks) {
        fill_ranks(a, order, ranks);
        fill_ranks(b, order, ranks + count);
        *correlation = pearson(ranks, ranks + count, count);
    }
    bool good = order && ranks;
    free(order);
    free(ranks);
    CS_CHECK(good, CS_ERROR_MEMORY, "no memory to rank a map of %zu values", count);
    return CS_OK;
}

/* ------------------------------------------------------------------ the cascade ---------- */

static size_t first_word(const char *path) { return strcspn(path, "."); }

static bool is_in_stage(const cs_node_info *node, const char *stage) {
    size_t length = first_word(node->module);
    return node->parameters > 0 && strlen(stage) == length &&
           strncmp(node->module, stage, length) == 0;
}

bool cs_cascade_stage(const cs_model *model, int index, char *name, size_t size) {
    int found = -1;
    for (int i = cs_model_node_count(model) - 1; i >= 0; i--) {
        const cs_node_info *node = cs_model_node(model, i);
        char word[256];
        bool known = node->parameters == 0;
        snprintf(word, sizeof word, "%.*s", (int)first_word(node->module), node->module);
        for (int j = i + 1; j < cs_model_node_count(model) && !known; j++)
            known = is_in_stage(cs_model_node(model, j), word);
        if (!known && ++found == index) {
            snprintf(name, size, "%s", word);
            return true;
        }
    }
    return false;
}

static void shuffle(float *values, int64_t count, cs_random *random) {
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)(cs_random_uniform(random) * (double)(i + 1));
        float kept = values[i];
        values[i] = values[j];
        values[j] = kept;
    }
}

cs_status cs_cascade_randomise(cs_params *params, const cs_model *model, const char *stage,
                               cs_random *random, cs_error *err) {
    for (int i = 0; i < cs_model_node_count(model); i++) {
        const cs_node_info *node = cs_model_node(model, i);
        for (int p = 0; is_in_stage(node, stage) && p < node->parameters; p++) {
            float *values = cs_params_tensor(params, node->parameter[p]);
            CS_CHECK(values, CS_ERROR_ARGUMENT,
                     "the model's own parameters cannot be changed; take cs_params_copy");
            shuffle(values, cs_model_tensor(model, node->parameter[p])->count, random);
        }
    }
    cs_params_changed(params);
    return CS_OK;
}

/* ------------------------------------------------------------------ measuring ------------ */

/* The map of a class by a run of its own with these parameters (NULL: the run's), correlated with
 * `cam`. A network of NaN has no correlation. */
static cs_status correlate(const cs_run *like, const cs_model *model, cs_params *params,
                           const cs_tensor *image, const cs_cam_options *options,
                           int64_t class_index, const cs_cam *cam, double *correlation,
                           cs_error *err) {
    cs_run *run = NULL;
    cs_cam other = {0};
    *correlation = (double)NAN;
    CS_TRY(cs_run_create_like(like, 1, params, &run, err));
    cs_status status = cs_cam_watch(run, model, options, err);
    if (status == CS_OK)
        status = cs_run_prepare(run, err);
    if (status == CS_OK)
        status = cs_run_forward(run, image, err);
    if (status == CS_OK)
        status = cs_cam_compute_classes(run, model, options, 0, &class_index, 1, &other, err);
    if (status == CS_OK)
        status = cs_map_correlation(&cam->raw, &other.raw, correlation, err);
    cs_cam_free(&other);
    cs_run_free(run);
    return status == CS_ERROR_NUMERIC ? CS_OK : status;
}

/* The class with the largest logit but one's own, or -1. */
static cs_status find_other(const cs_run *like, const cs_tensor *image, int64_t own, int64_t *other,
                            cs_error *err) {
    cs_run *run = NULL;
    cs_tensor logits = {0};
    *other = -1;
    CS_TRY(cs_run_create_like(like, 1, NULL, &run, err));
    cs_status status = cs_run_prepare(run, err);
    if (status == CS_OK)
        status = cs_run_forward(run, image, err);
    if (status == CS_OK)
        status = cs_run_output(run, &logits, err);
    for (int64_t c = 0; status == CS_OK && c < logits.c; c++)
        if (c != own && (*other < 0 || cs_tensor_at(&logits, 0, c, 0, 0) >
                                           cs_tensor_at(&logits, 0, *other, 0, 0)))
            *other = c;
    cs_run_free(run);
    return status;
}

static cs_status run_cascade(const cs_run *run, const cs_model *model, const cs_tensor *image,
                             const cs_cam_options *options, const cs_cam *cam, uint64_t seed,
                             cs_sanity *result, cs_error *err) {
    cs_params *params = NULL;
    cs_random random = {seed};
    char stage[256];
    CS_TRY(cs_params_copy(model, &params, err));
    cs_status status = CS_OK;
    for (int i = 0; i < result->stages && status == CS_OK; i++) {
        cs_cascade_stage(model, i, stage, sizeof stage);
        status = cs_cascade_randomise(params, model, stage, &random, err);
        if (status == CS_OK)
            status = correlate(run, model, params, image, options, cam->class_index, cam,
                               &result->cascade[i], err);
    }
    cs_params_free(params);
    return status;
}

void cs_sanity_free(cs_sanity *sanity) {
    if (!sanity)
        return;
    free(sanity->cascade);
    *sanity = (cs_sanity){0};
}

cs_status cs_sanity_measure(const cs_run *run, const cs_model *model, const cs_tensor *image,
                            const cs_cam_options *options, const cs_cam *cam, uint64_t seed,
                            cs_sanity *result, cs_error *err) {
    char stage[256];
    *result = (cs_sanity){.other_class = (double)NAN, .other_index = -1};
    while (cs_cascade_stage(model, result->stages, stage, sizeof stage))
        result->stages++;
    result->cascade = calloc((size_t)result->stages + 1, sizeof *result->cascade);
    CS_CHECK(result->cascade, CS_ERROR_MEMORY, "no memory for a cascade of %d stages",
             result->stages);
    cs_status status = find_other(run, image, cam->class_index, &result->other_index, err);
    if (status == CS_OK && result->other_index >= 0)
        status = correlate(run, model, NULL, image, options, result->other_index, cam,
                           &result->other_class, err);
    if (status == CS_OK)
        status = run_cascade(run, model, image, options, cam, seed, result, err);
    if (status != CS_OK)
        cs_sanity_free(result);
    return status;
}
