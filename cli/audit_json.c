/* audit_json.c - audit.json (docs/formats.md 2.5), and the arrays beside it. */
#include "audit_report.h"
#include "manifest_parts.h"

static void put_double(json_writer *w, const char *key, double value) {
    put_real(w, key, value, CS_F64);
}

static void put_part(json_writer *w, const char *key, const cs_audit_part *part) {
    if (!part->present)
        return;
    put_object(w, key);
    put_double(w, "size", part->size);
    put_double(w, "share", part->share);
    put_close(w);
}

static void put_bars(json_writer *w, const cs_audit *audit) {
    static const char *const keys[CS_AUDIT_BARS] = {
        "adjointness",  "parameter_adjointness", "accumulation",   "network_adjointness",
        "completeness", "frozen_differences",    "rounding_bound", "unexplained"};
    put_object(w, "bars");
    for (int i = 0; i < CS_AUDIT_BARS; i++) {
        const cs_audit_verdict verdict = cs_audit_judge(audit, (cs_audit_bar)i);
        put_object(w, keys[i]);
        if (verdict.applies)
            put_double(w, "value", verdict.value);
        else
            put_text(w, "value", NULL);
        put_double(w, "bar", verdict.bar);
        put_boolean(w, "met", verdict.met);
        put_text(w, "node", verdict.node);
        put_close(w);
    }
    put_close(w);
}

static void put_terms(json_writer *w, const cs_audit *audit) {
    put_object(w, "completeness");
    put_boolean(w, "applies", audit->piecewise_linear);
    put_double(w, "value", audit->logit64);
    put_double(w, "input_term", audit->input_term);
    put_double(w, "bias_terms", audit->bias_terms);
    put_double(w, "shift_terms", audit->shift_terms);
    put_close(w);
    put_row(w, "frozen_differences");
    for (int i = 0; i < CS_AUDIT_DIRECTIONS; i++)
        put_double(w, NULL, audit->frozen[i]);
    put_close(w);
    put_array(w, "live_differences");
    for (int i = 0; i < CS_AUDIT_STEPS; i++) {
        put_object(w, NULL);
        put_double(w, "step", audit->live[i].step);
        put_double(w, "error", audit->live[i].error);
        put_integer(w, "flipped", audit->live[i].flipped);
        put_close(w);
    }
    put_close(w);
    put_integer(w, "pool_ties", audit->pool_ties);
}

static void put_forward(json_writer *w, const cs_audit_entry *entry) {
    put_object(w, "forward");
    put_double(w, "own_max", entry->own_max);
    put_double(w, "own_rms", entry->own_rms);
    put_double(w, "bound_max", entry->bound_max);
    put_double(w, "bound_share", entry->bound_share);
    put_double(w, "accumulated_max", entry->accumulated_max);
    put_double(w, "accumulated_rms", entry->accumulated_rms);
    put_double(w, "value_rms", entry->value_rms);
    put_close(w);
}

static void put_entry(json_writer *w, const cs_audit *audit, const cs_audit_entry *entry, int i) {
    const cs_node_info *info = cs_model_node(audit->model, i);
    put_object(w, NULL);
    put_text(w, "node", info->name);
    put_text(w, "op", info->op);
    put_forward(w, entry);
    if (entry->gates > 0) {
        put_object(w, "gates");
        put_integer(w, "count", entry->gates);
        put_integer(w, "flipped", entry->flipped);
        if (entry->flipped > 0) {
            put_double(w, "nearest", entry->nearest);
            put_double(w, "farthest", entry->farthest);
        }
        put_close(w);
    }
    put_part(w, "rounding", &entry->rounding);
    put_part(w, "sum", &entry->sum);
    put_part(w, "flips", &entry->flips);
    put_close(w);
}

static void put_ledger(json_writer *w, const char *key, const cs_audit *audit,
                       const cs_audit_ledger *ledger) {
    if (!ledger->nodes) {
        put_text(w, key, NULL);
        return;
    }
    put_object(w, key);
    put_double(w, "gradient", ledger->gradient);
    put_double(w, "difference", ledger->difference);
    put_double(w, "largest", ledger->largest);
    put_integer(w, "flipped", ledger->flipped);
    put_integer(w, "missing_activations", ledger->missing_activations);
    put_integer(w, "missing_gradients", ledger->missing_gradients);
    put_part(w, "rounding", &ledger->rounding_total);
    put_part(w, "flips", &ledger->flips);
    put_part(w, "unexplained", &ledger->rest);
    put_array(w, "nodes");
    for (int i = 0; i < audit->node_count; i++)
        put_entry(w, audit, &ledger->nodes[i], i);
    put_close(w);
    put_close(w);
}

static void put_identities(json_writer *w, const cs_audit *audit) {
    put_array(w, "adjointness");
    for (int i = 1; i < audit->node_count; i++) {
        const cs_node_info *info = cs_model_node(audit->model, i);
        put_object(w, NULL);
        put_text(w, "node", info->name);
        put_double(w, "input", audit->identities[i].adjoint);
        if (info->parameters > 0)
            put_double(w, "parameters", audit->identities[i].parameter_adjoint);
        put_boolean(w, "accumulates", audit->identities[i].accumulates);
        put_close(w);
    }
    put_close(w);
    put_double(w, "network_adjointness", audit->network_adjoint);
}

void put_audit(json_writer *w, const cs_audit *audit) {
    put_object(w, NULL);
    put_text(w, "format", "cnnscope-audit");
    put_integer(w, "version", 1);
    put_boolean(w, "holds", cs_audit_holds(audit));
    put_integer(w, "class", audit->class_index);
    put_text(w, "name", cs_model_class_name(audit->model, audit->class_index));
    put_real(w, "logit_f32", audit->logit32, CS_F32);
    put_double(w, "logit_f64", audit->logit64);
    put_bars(w, audit);
    put_terms(w, audit);
    put_identities(w, audit);
    put_ledger(w, "ledger", audit, &audit->own);
    put_ledger(w, "against", audit, &audit->other);
    put_object(w, "gradcam");
    put_text(w, "layer", cs_model_default_layer(audit->model));
    put_double(w, "difference", audit->map_difference);
    put_double(w, "rank_correlation", audit->map_correlation);
    put_close(w);
    put_close(w);
}

/* ------------------------------------------------------------------ arrays --------------- */

static cs_status write_array(const output_folder *folder, const char *prefix, const char *name,
                             const cs_tensor *t, cs_error *err) {
    char path[PATH_MAX];
    CS_TRY(output_folder_path(folder, path, err, "%s%s.npy", prefix, name));
    if (t->c == 1 && t->dtype == CS_F32)
        return cs_npy_write_map(path, t, err);
    return cs_npy_write(path, t, 4, err);
}

static cs_status write_ledger(const cs_audit_ledger *ledger, const char *prefix,
                              const output_folder *folder, cs_error *err) {
    if (!ledger->nodes)
        return CS_OK;
    CS_TRY(write_array(folder, prefix, "gradient32", &ledger->gradient32, err));
    CS_TRY(write_array(folder, prefix, "rounding", &ledger->rounding_map, err));
    CS_TRY(write_array(folder, prefix, "flips", &ledger->flips_map, err));
    return write_array(folder, prefix, "unexplained", &ledger->rest_map, err);
}

cs_status audit_write_arrays(const cs_audit *audit, const output_folder *folder, cs_error *err) {
    CS_TRY(write_array(folder, "", "gradient64", &audit->gradient64, err));
    CS_TRY(write_ledger(&audit->own, "", folder, err));
    CS_TRY(write_ledger(&audit->other, "against-", folder, err));
    CS_TRY(write_array(folder, "", "map32", &audit->map32, err));
    return write_array(folder, "", "map64", &audit->map64, err);
}
