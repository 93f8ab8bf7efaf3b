/* diagnose_json.c - diagnosis.json (docs/formats.md) and manifest.json. */
#include "diagnose_job.h"
#include "manifest_parts.h"

#include <math.h>
#include <stdlib.h>

static void put_interval(json_writer *w, const char *key, const cs_interval *v) {
    put_object(w, key);
    put_real(w, "value", v->value, CS_F64);
    put_real(w, "low", v->low, CS_F64);
    put_real(w, "high", v->high, CS_F64);
    put_integer(w, "count", v->count);
    put_close(w);
}

static void put_nulls(json_writer *w, const cs_null_set *set) {
    put_object(w, "nulls");
    put_integer(w, "networks", set->networks);
    put_integer(w, "maps", set->count);
    put_integer(w, "empty", set->empty);
    put_object(w, "thresholds");
    for (int p = 0; p < CS_PATTERN_COUNT; p++) {
        const cs_threshold *t = &set->threshold[p];
        put_object(w, cs_pattern_name((cs_pattern)p));
        put_real(w, "value", t->value, CS_F64);
        put_text(w, "evidence", p == CS_PATTERN_ROI ? "below" : "above");
        put_real(w, "null_median", t->null_median, CS_F64);
        put_real(w, "null_quantile", t->null_quantile, CS_F64);
        put_real(w, "quantile", t->quantile, CS_F64);
        put_real(w, "margin", t->margin, CS_F64);
        put_real(w, "least", t->least, CS_F64);
        put_real(w, "most", t->most, CS_F64);
        put_integer(w, "null_count", t->null_count);
        put_real(w, "null_rate", t->null_rate, CS_F64);
        put_close(w);
    }
    put_close(w);
    put_array(w, "set");
    for (int64_t i = 0; i < set->count; i++) {
        const cs_null_map *m = &set->maps[i];
        put_object(w, NULL);
        put_text(w, "network", m->network);
        put_text(w, "input", m->input);
        for (int s = 0; s < CS_STAT_COUNT; s++)
            put_real(w, cs_statistic_name((cs_statistic)s), m->value[s], CS_F64);
        put_close(w);
    }
    put_close(w);
    put_close(w);
}

static void put_flag(json_writer *w, const cs_diagnosis *d, const cs_diagnosis_flag *f) {
    put_object(w, NULL);
    put_text(w, "pattern", cs_pattern_name(f->pattern));
    put_integer(w, "class", f->class_index);
    put_text(w, "class_name", cs_model_class_name(d->model, f->class_index));
    put_text(w, "verdict", cs_verdict_name(f->verdict));
    put_real(w, "score", f->score, CS_F64);
    put_integer(w, "count", f->count);
    put_integer(w, "patients", f->patients);
    put_boolean(w, "map_evidence", f->map_evidence);
    put_interval(w, "mean", &f->mean);
    put_interval(w, "share", &f->share);
    put_real(w, "share_p", f->share_p, CS_F64);
    put_real(w, "map_score", f->map_score, CS_F64);
    put_real(w, "prevalence", f->prevalence, CS_F64);
    put_boolean(w, "has_counterfactuals", f->has_counter);
    put_boolean(w, "counterfactual_evidence", f->counter_evidence);
    put_boolean(w, "counterfactuals_of_shown", f->counter_is_of_shown);
    put_text(w, "suspect", f->suspect == CS_REGION_COUNT ? NULL : cs_region_name(f->suspect));
    put_interval(w, "excess", &f->excess);
    put_interval(w, "relative_excess", &f->relative);
    put_real(w, "excess_p", f->excess_p, CS_F64);
    put_real(w, "counterfactual_score", f->counter_score, CS_F64);
    if (f->pattern == CS_PATTERN_UNIFORM) {
        put_interval(w, "survival_flat", &f->survival[0]);
        put_interval(w, "survival_shuffled", &f->survival[1]);
    }
    put_close(w);
}

static void put_mean_map(json_writer *w, const cs_diagnosis *d, const double *map) {
    put_array(w, "mean_map");
    for (int64_t y = 0; y < d->map_rows; y++) {
        put_row(w, NULL);
        for (int64_t x = 0; x < d->map_columns; x++)
            put_real(w, NULL, map[y * d->map_columns + x], CS_F64);
        put_close(w);
    }
    put_close(w);
}

static void put_group(json_writer *w, const cs_diagnosis *d, const cs_diagnosis_group *g) {
    put_object(w, NULL);
    put_integer(w, "class", g->class_index);
    put_text(w, "class_name", cs_model_class_name(d->model, g->class_index));
    put_text(w, "cell", cs_cell_name(g->cell));
    put_text(w, "column", g->column >= 0 ? d->columns[g->column] : NULL);
    put_text(w, "value", g->value);
    put_integer(w, "count", g->count);
    put_integer(w, "patients", g->patients);
    put_integer(w, "empty_maps", g->empty_maps);
    put_interval(w, "probability", &g->probability);
    put_interval(w, "margin", &g->margin);
    put_interval(w, "correct", &g->correct);
    put_object(w, "statistics");
    for (int s = 0; s < CS_STAT_COUNT; s++)
        put_interval(w, cs_statistic_name((cs_statistic)s), &g->statistic[s]);
    put_close(w);
    put_object(w, "drops");
    for (int c = 0; d->has_changes && c < CS_CHANGE_COUNT; c++)
        put_interval(w, cs_change_name((cs_change)c), &g->drop[c]);
    put_close(w);
    if (g->mean_map)
        put_mean_map(w, d, g->mean_map);
    put_close(w);
}

static void put_options(json_writer *w, const diagnose_job *job) {
    const cs_diagnosis *d = &job->diagnosis;
    put_object(w, "options");
    put_text(w, "source", d->source);
    put_text(w, "method", d->method);
    put_text(w, "layer", d->layer);
    put_text(w, "class", d->class_text);
    put_text(w, "target", d->target);
    put_text(w, "roi", d->roi);
    put_boolean(w, "roi_is_approximate_template", d->roi_is_template);
    put_text(w, "chest_template", job->roi_shape);
    put_boolean(w, "counterfactuals", d->has_changes);
    put_integer(w, "seed", (int64_t)d->seed);
    put_text(w, "engine", engine_name(job->how.engine));
    put_text(w, "dtype", cs_dtype_name(job->how.dtype));
    put_close(w);
}

static void put_set(json_writer *w, const cs_diagnosis *d) {
    put_object(w, "images");
    put_integer(w, "listed", d->image_count);
    put_integer(w, "failed", d->failed_count);
    put_integer(w, "rows", d->row_count);
    put_integer(w, "patients", d->patient_count);
    put_close(w);
    put_array(w, "confusion");
    for (int64_t k = 0; k < d->confusion_classes; k++) {
        put_row(w, NULL);
        for (int64_t j = 0; j < d->confusion_classes; j++)
            put_integer(w, NULL, d->confusion[k * d->confusion_classes + j]);
        put_close(w);
    }
    put_close(w);
}

static void put_diagnosis(json_writer *w, const diagnose_job *job) {
    const cs_diagnosis *d = &job->diagnosis;
    put_object(w, NULL);
    put_text(w, "format", "cnnscope-diagnosis");
    put_integer(w, "version", 1);
    put_text(w, "cnnscope", CNNSCOPE_VERSION);
    put_object(w, "model");
    put_text(w, "path", d->model_path);
    put_text(w, "architecture", cs_model_architecture(d->model));
    put_text(w, "manifest_sha256", cs_model_manifest_sha256(d->model));
    put_text(w, "binary_sha256", cs_model_binary_sha256(d->model));
    put_close(w);
    put_options(w, job);
    put_set(w, d);
    put_object(w, "verdicts");
    for (int p = 0; p < CS_PATTERN_COUNT; p++)
        put_text(w, cs_pattern_name((cs_pattern)p),
                 cs_verdict_name(cs_diagnosis_verdict(d, (cs_pattern)p)));
    put_close(w);
    put_integer(w, "tests", d->tests);
    put_array(w, "flags");
    for (int64_t i = 0; i < d->flag_count; i++)
        put_flag(w, d, &d->flags[i]);
    put_close(w);
    put_nulls(w, d->nulls);
    put_array(w, "groups");
    for (int64_t i = 0; i < d->group_count; i++)
        put_group(w, d, &d->groups[i]);
    put_close(w);
    put_close(w);
}

cs_status diagnose_write_json(diagnose_job *job, cs_error *err) {
    json_writer w = {.pretty = true};
    CS_TRY(diagnose_file_open(job, "diagnosis.json", &w.file, err));
    put_diagnosis(&w, job);
    return diagnose_file_close(w.file, "diagnosis.json", err);
}

cs_status diagnose_write_manifest(diagnose_job *job, cs_error *err) {
    json_writer w = {.pretty = true};
    double done = (double)(job->list.count - job->resumed);
    CS_TRY(diagnose_file_open(job, "manifest.json", &w.file, err));
    put_object(&w, NULL);
    put_manifest_head(&w, "diagnose", job->model_path, job->model);
    put_options(&w, job);
    put_integer(&w, "resumed_images", job->resumed);
    put_object(&w, "timings");
    put_real(&w, "null_seconds", job->null_seconds, CS_F64);
    put_real(&w, "image_seconds", job->image_seconds, CS_F64);
    put_real(&w, "images_per_second", job->image_seconds > 0.0 ? done / job->image_seconds : 0.0,
             CS_F64);
    put_real(&w, "summary_seconds", job->summary_seconds, CS_F64);
    put_close(&w);
    put_manifest_machine(&w, job->like);
    put_close(&w);
    return diagnose_file_close(w.file, "manifest.json", err);
}
