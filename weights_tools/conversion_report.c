/* conversion_report.c - what a conversion tells its caller. */
#include <stdlib.h>
#include <string.h>

#include "conversion.h"

/* Copies `count` strings; *copied counts those that an error leaves behind. */
static char **copy_strings(char *const *strings, size_t count, int64_t *copied) {
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; ++i) {
        copy[i] = strdup(strings[i]);
        if (!copy[i])
            return copy;
        ++*copied;
    }
    return copy;
}

static cs_status fill_lists(const cs_conversion *c, cs_convert_report *r, cs_error *err) {
    const cs_checkpoint *checkpoint = c->checkpoint;
    size_t dropped = checkpoint ? checkpoint->dropped_count : 0;
    size_t opaque = checkpoint ? checkpoint->pickle.opaque_count : 0;
    r->warnings = copy_strings(c->warnings, c->warning_count, &r->warning_count);
    r->dropped = copy_strings(checkpoint ? checkpoint->dropped : NULL, dropped, &r->dropped_count);
    r->opaque = calloc(opaque + 1, sizeof *r->opaque);
    for (size_t i = 0; r->opaque && i < opaque; ++i) {
        const cs_opaque *from = &checkpoint->pickle.opaques[i];
        r->opaque[i] = (cs_convert_opaque){strdup(from->name), from->executes};
        if (!r->opaque[i].name)
            break;
        ++r->opaque_count;
    }
    CS_CHECK(r->warnings && r->dropped && r->opaque &&
                 r->warning_count == (int64_t)c->warning_count &&
                 r->dropped_count == (int64_t)dropped && r->opaque_count == (int64_t)opaque,
             CS_ERROR_MEMORY, "no memory for the report");
    return CS_OK;
}

cs_status cs_report_fill(const cs_conversion *c, cs_convert_report *r, cs_error *err) {
    const cs_checkpoint *checkpoint = c->checkpoint;
    r->json_path = strdup(c->json_path);
    r->bin_path = strdup(c->bin_path);
    r->architecture = strdup(c->arch);
    r->format = strdup(checkpoint ? checkpoint->format : "init");
    r->key = strdup(checkpoint ? checkpoint->key : "");
    r->strip = strdup(checkpoint ? checkpoint->strip : "");
    CS_CHECK(r->json_path && r->bin_path && r->architecture && r->format && r->key && r->strip,
             CS_ERROR_MEMORY, "no memory for the report");
    r->tensors = (int64_t)c->draft.tensor_count;
    r->parameters = c->draft.parameters;
    r->classes = c->spec.classes;
    r->channels = c->spec.channels;
    r->height = c->height;
    r->width = c->width;
    r->bin_size = (int64_t)c->bin_size;
    r->golden = c->golden != NULL;
    r->assumed_size = c->assumed_size;
    r->assumed_mean = c->assumed_mean || c->assumed_std;
    r->assumed_eps = c->assumed_eps;
    return fill_lists(c, r, err);
}

void cs_convert_report_free(cs_convert_report *r) {
    if (!r)
        return;
    for (int64_t i = 0; i < r->warning_count; ++i)
        free(r->warnings[i]);
    for (int64_t i = 0; i < r->dropped_count; ++i)
        free(r->dropped[i]);
    for (int64_t i = 0; i < r->opaque_count; ++i)
        free(r->opaque[i].name);
    free(r->warnings);
    free(r->dropped);
    free(r->opaque);
    free(r->json_path);
    free(r->bin_path);
    free(r->architecture);
    free(r->format);
    free(r->key);
    free(r->strip);
    *r = (cs_convert_report){0};
}
