/* target.c - which class is explained, and the seed of the backward pass. */
#include "cam_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "0 NORMAL, 1 PNEUMONIA, ..." for an error's text. */
static void list_classes(const cs_model *model, char *out, size_t size) {
    int64_t count = cs_model_class_count(model);
    size_t used = 0;
    out[0] = '\0';
    for (int64_t i = 0; i < count && used + 80 < size; i++) {
        const char *name = cs_model_class_name(model, i);
        int n = snprintf(out + used, size - used, "%s%lld%s%.40s", i ? ", " : "", (long long)i,
                         name ? " " : "", name ? name : "");
        used += n > 0 ? (size_t)n : 0;
        if (i + 1 < count && used + 80 >= size)
            snprintf(out + used, size - used, ", ...");
    }
}

static cs_status no_such_class(const cs_model *model, const char *text, cs_error *err) {
    char names[512];
    list_classes(model, names, sizeof names);
    return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                        "the model has no class '%.64s'; its %lld classes are: %s", text,
                        (long long)cs_model_class_count(model), names);
}

static bool is_number(const char *text) {
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* The class of this name; -1 if there is none, -2 if ignoring case several fit. */
static int64_t find_name(const cs_model *model, const char *text) {
    int64_t count = cs_model_class_count(model), found = -1;
    for (int64_t i = 0; i < count; i++) {
        const char *name = cs_model_class_name(model, i);
        if (name && strcmp(name, text) == 0)
            return i;
    }
    for (int64_t i = 0; i < count; i++) {
        const char *name = cs_model_class_name(model, i);
        if (name && strcasecmp(name, text) == 0)
            found = found == -1 ? i : -2;
    }
    return found;
}

cs_status cs_class_parse(const cs_model *model, const char *text, int64_t *index, cs_error *err) {
    if (strcmp(text, "argmax") == 0) {
        *index = CS_CLASS_ARGMAX;
        return CS_OK;
    }
    int64_t found = -1;
    if (is_number(text))
        found = strlen(text) <= 18 ? strtoll(text, NULL, 10) : INT64_MAX;
    else
        found = find_name(model, text);
    if (found < 0 || found >= cs_model_class_count(model))
        return no_such_class(model, text, err);
    *index = found;
    return CS_OK;
}

int64_t cs_class_argmax(const cs_tensor *logits, int64_t n) {
    int64_t best = 0;
    for (int64_t c = 1; c < logits->c; c++) {
        double v = cs_tensor_at(logits, n, c, 0, 0), top = cs_tensor_at(logits, n, best, 0, 0);
        if (v > top || (top != top && v == v))
            best = c;
    }
    return best;
}

cs_status cs_target_parse(const cs_model *model, const char *text, cs_target *target,
                          cs_error *err) {
    static const struct {
        const char *name;
        cs_target_kind kind;
    } kinds[] = {
        {"logit", CS_TARGET_LOGIT}, {"neg-logit", CS_TARGET_NEG_LOGIT}, {"prob", CS_TARGET_PROB}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(text, kinds[i].name) == 0) {
            *target = (cs_target){kinds[i].kind, 0};
            return CS_OK;
        }
    if (strncmp(text, "margin:", 7) == 0) {
        int64_t other = 0;
        CS_TRY(cs_class_parse(model, text + 7, &other, err));
        CS_CHECK(other != CS_CLASS_ARGMAX, CS_ERROR_ARGUMENT,
                 "margin needs the other class by number or name, as in margin:0");
        *target = (cs_target){CS_TARGET_MARGIN, other};
        return CS_OK;
    }
    return cs_error_set(
        err, CS_ERROR_ARGUMENT, NULL, -1,
        "unknown target '%.64s'; there are logit, neg-logit, prob and margin:J (J a "
        "class)",
        text);
}

void cs_target_print(const cs_target *target, char out[32]) {
    static const char *const names[] = {"logit", "neg-logit", "prob"};
    if (target->kind == CS_TARGET_MARGIN)
        snprintf(out, 32, "margin:%lld", (long long)target->other);
    else
        snprintf(out, 32, "%s", names[target->kind]);
}

cs_status cs_target_value(const cs_target *target, const cs_tensor *logits, int64_t n, int64_t c,
                          double *value, cs_error *err) {
    double z = cs_tensor_at(logits, n, c, 0, 0);
    switch (target->kind) {
    case CS_TARGET_LOGIT: *value = z; return CS_OK;
    case CS_TARGET_NEG_LOGIT: *value = -z; return CS_OK;
    case CS_TARGET_MARGIN: *value = z - cs_tensor_at(logits, n, target->other, 0, 0); return CS_OK;
    case CS_TARGET_PROB: break;
    }
    double *p = malloc((size_t)logits->c * sizeof *p);
    CS_CHECK(p, CS_ERROR_MEMORY, "no memory for %lld probabilities", (long long)logits->c);
    cs_softmax(logits, n, p);
    *value = p[c];
    free(p);
    return CS_OK;
}

/* d p_c / d z_k = p_c * ((k == c) - p_k) */
static cs_status seed_probability(const cs_tensor *logits, int64_t n, int64_t c, cs_tensor *seed,
                                  cs_error *err) {
    double *p = malloc((size_t)logits->c * sizeof *p);
    CS_CHECK(p, CS_ERROR_MEMORY, "no memory for %lld probabilities", (long long)logits->c);
    cs_softmax(logits, n, p);
    for (int64_t k = 0; k < logits->c; k++)
        cs_tensor_set(seed, n, k, 0, 0, p[c] * ((k == c ? 1.0 : 0.0) - p[k]) + 0.0);
    free(p);
    return CS_OK;
}

static cs_status seed_image(const cs_target *target, const cs_tensor *logits, int64_t n, int64_t c,
                            cs_tensor *seed, cs_error *err) {
    CS_CHECK(c >= 0 && c < logits->c, CS_ERROR_ARGUMENT,
             "class %lld: the model has classes 0 to %lld", (long long)c, (long long)logits->c - 1);
    switch (target->kind) {
    case CS_TARGET_LOGIT: cs_tensor_set(seed, n, c, 0, 0, 1.0); return CS_OK;
    case CS_TARGET_NEG_LOGIT: cs_tensor_set(seed, n, c, 0, 0, -1.0); return CS_OK;
    case CS_TARGET_PROB: return seed_probability(logits, n, c, seed, err);
    case CS_TARGET_MARGIN:
        CS_CHECK(target->other >= 0 && target->other < logits->c, CS_ERROR_ARGUMENT,
                 "margin's class %lld: the model has classes 0 to %lld", (long long)target->other,
                 (long long)logits->c - 1);
        if (c != target->other) {
            cs_tensor_set(seed, n, c, 0, 0, 1.0);
            cs_tensor_set(seed, n, target->other, 0, 0, -1.0);
        }
        return CS_OK;
    }
    return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1, "unknown target %d", (int)target->kind);
}

cs_status cs_target_seed(const cs_target *target, const cs_tensor *logits, const int64_t *classes,
                         cs_tensor *seed, cs_error *err) {
    CS_CHECK(logits->h == 1 && logits->w == 1, CS_ERROR_ARGUMENT,
             "the logits have a map of %lld x %lld; 1 x 1 is expected", (long long)logits->h,
             (long long)logits->w);
    CS_TRY(cs_tensor_allocate(seed, logits->dtype, logits->n, logits->c, 1, 1, err));
    cs_status status = CS_OK;
    for (int64_t n = 0; n < logits->n && status == CS_OK; n++)
        status = seed_image(target, logits, n, classes[n], seed, err);
    if (status != CS_OK)
        cs_tensor_release(seed);
    return status;
}
