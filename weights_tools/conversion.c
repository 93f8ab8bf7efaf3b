/* conversion.c - what every conversion does besides reading its values: options, places, checks. */
#include "conversion.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

cs_status cs_conversion_warn(cs_conversion *c, cs_error *err, const char *format, ...) {
    enum { WARNINGS_MAX = 1000 };
    CS_TRY(cs_grow((void **)&c->warnings, &c->warning_capacity, c->warning_count + 1,
                   sizeof *c->warnings, WARNINGS_MAX, "warnings", err));
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *copy = strdup(text);
    CS_CHECK(copy, CS_ERROR_MEMORY, "no memory for a warning");
    c->warnings[c->warning_count++] = copy;
    return CS_OK;
}

static bool ends_with(const char *text, size_t size, const char *end) {
    size_t length = strlen(end);
    return size >= length && memcmp(text + size - length, end, length) == 0;
}

static char *with_ending(const char *name, size_t size, const char *ending) {
    cs_text text = {0};
    cs_text_append_bytes(&text, name, size);
    cs_text_append(&text, "%s", ending);
    if (text.failed)
        cs_text_release(&text);
    return text.data;
}

cs_status cs_conversion_set_paths(cs_conversion *c, cs_error *err) {
    const char *name = c->options->name;
    size_t size = name ? strlen(name) : 0;
    if (ends_with(name, size, ".json"))
        size -= 5;
    else if (ends_with(name, size, ".bin"))
        size -= 4;
    size_t base = size;
    while (base > 0 && name[base - 1] != '/')
        --base;
    CS_CHECK(size > base && size - base <= 200, CS_ERROR_ARGUMENT,
             "the output needs a name of 1 to 200 bytes: -o NAME writes NAME.json and NAME.bin");
    c->json_path = with_ending(name, size, ".json");
    c->bin_path = with_ending(name, size, ".bin");
    CS_CHECK(c->json_path && c->bin_path, CS_ERROR_MEMORY, "no memory for a path");
    const char *const paths[] = {c->json_path, c->bin_path};
    struct stat status;
    for (int i = 0; i < 2; ++i) {
        bool exists = lstat(paths[i], &status) == 0;
        if (exists && S_ISDIR(status.st_mode))
            return cs_error_set(err, CS_ERROR_OUTPUT, paths[i], -1, "%s is a folder", paths[i]);
        if (exists && !c->options->force)
            return cs_error_set(err, CS_ERROR_OUTPUT, paths[i], -1,
                                "%s exists already; give another name, or --force to replace it",
                                paths[i]);
    }
    return CS_OK;
}

/* One value a channel from the user's one or `channels` values, or from the default. */
static cs_status set_moments(const cs_conversion *c, const char *what, const double *given,
                             int64_t count, const double *imagenet, bool positive, double *out,
                             cs_error *err) {
    int64_t channels = c->spec.channels;
    double grey = (imagenet[0] + imagenet[1] + imagenet[2]) / 3;
    CS_CHECK(!given || count == 1 || count == channels, CS_ERROR_ARGUMENT,
             "%lld values of %s for %lld input channels: one a channel, or one for all",
             (long long)count, what, (long long)channels);
    for (int64_t i = 0; i < channels; ++i) {
        out[i] = given ? given[count == 1 ? 0 : i] : channels == 3 ? imagenet[i] : grey;
        CS_CHECK(isfinite(out[i]) && (!positive || out[i] > 0), CS_ERROR_ARGUMENT, "%s must be %s",
                 what, positive ? "greater than 0" : "a finite number");
    }
    return CS_OK;
}

static cs_status set_size(cs_conversion *c, cs_error *err) {
    enum { SIZE_MAX_PIXELS = 16384 };
    const cs_convert_options *o = c->options;
    bool given = o->width != 0 || o->height != 0;
    CS_CHECK(!given || (o->width >= 1 && o->height >= 1 && o->width <= SIZE_MAX_PIXELS &&
                        o->height <= SIZE_MAX_PIXELS),
             CS_ERROR_ARGUMENT, "an input of %lld x %lld pixels: 1 to %d are possible",
             (long long)o->width, (long long)o->height, SIZE_MAX_PIXELS);
    int64_t usual = c->spec.cifar ? 32 : 224;
    c->width = given ? o->width : usual;
    c->height = given ? o->height : usual;
    return CS_OK;
}

static bool same_name(const void *context, uint32_t a, uint32_t b) {
    const char *const *names = context;
    return strcmp(names[a], names[b]) <= 0;
}

/* As many class names as classes, none empty, none twice (a class can be asked for by name). */
static cs_status check_classes(const cs_conversion *c, cs_error *err) {
    const cs_convert_options *o = c->options;
    if (!o->classes)
        return CS_OK;
    CS_CHECK(o->class_count == c->spec.classes, CS_ERROR_MISMATCH,
             "%lld class names, but the model has %lld classes", (long long)o->class_count,
             (long long)c->spec.classes);
    size_t count = (size_t)o->class_count;
    uint32_t *order = malloc(2 * count * sizeof *order);
    CS_CHECK(order, CS_ERROR_MEMORY, "no memory for the class names");
    cs_sort_indices(order, order + count, count, same_name, o->classes);
    cs_status status = CS_OK;
    for (size_t i = 0; i < count && status == CS_OK; ++i) {
        const char *name = o->classes[order[i]];
        if (!*name || (i > 0 && strcmp(o->classes[order[i - 1]], name) == 0))
            status = cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                                  *name ? "the class name \"%s\" stands twice%s"
                                        : "an empty class name%s%s",
                                  name, "");
    }
    free(order);
    return status;
}

cs_status cs_conversion_prepare(cs_conversion *c, bool assume, cs_error *err) {
    static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    const cs_convert_options *o = c->options;
    CS_CHECK(c->spec.channels <= CS_CHANNELS_MAX, CS_ERROR_LIMIT,
             "%lld input channels, more than the limit of %d", (long long)c->spec.channels,
             CS_CHANNELS_MAX);
    CS_CHECK(o->channels == 0 || o->channels == c->spec.channels, CS_ERROR_MISMATCH,
             "conv1.weight has %lld input channels, but %lld were asked for",
             (long long)c->spec.channels, (long long)o->channels);
    CS_CHECK(o->eps == 0 || (o->eps > 0 && o->eps < 1), CS_ERROR_ARGUMENT,
             "eps must be between 0 and 1");
    CS_TRY(set_size(c, err));
    CS_TRY(set_moments(c, "mean", o->mean, o->mean_count, mean, false, c->mean, err));
    CS_TRY(set_moments(c, "std", o->std, o->std_count, std, true, c->std, err));
    CS_TRY(check_classes(c, err));
    c->eps = o->eps > 0 ? o->eps : 1e-5;
    c->assumed_size = assume && o->width == 0;
    c->assumed_mean = assume && !o->mean;
    c->assumed_std = assume && !o->std;
    c->assumed_eps = assume && o->eps == 0;
    cs_architecture_describe(&c->spec, c->arch, sizeof c->arch);
    return CS_OK;
}

cs_status cs_conversion_layout(cs_conversion *c, cs_error *err) {
    enum { HEADER = 64, ALIGN = 64 };
    size_t end = HEADER;
    for (size_t i = 0; i < c->draft.tensor_count; ++i) {
        cs_draft_tensor *tensor = &c->draft.tensors[i]; /* sizes are bounded by the draft */
        tensor->offset = end;
        end = (end + (size_t)tensor->count * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
    }
    void *memory = NULL;
    CS_CHECK(posix_memalign(&memory, ALIGN, end) == 0, CS_ERROR_MEMORY,
             "no memory for the %zu bytes of the model", end);
    c->bin = memory;
    c->bin_size = end;
    memset(c->bin, 0, HEADER);
    for (size_t i = 0; i < c->draft.tensor_count; ++i) {
        const cs_draft_tensor *tensor = &c->draft.tensors[i];
        size_t used = (size_t)tensor->offset + (size_t)tensor->count * sizeof(float);
        size_t next = i + 1 < c->draft.tensor_count ? (size_t)c->draft.tensors[i + 1].offset : end;
        memset(c->bin + used, 0, next - used);
    }
    return CS_OK;
}

float *cs_conversion_values(const cs_conversion *c, const cs_draft_tensor *tensor) {
    return (float *)(void *)(c->bin + tensor->offset);
}

cs_status cs_conversion_inspect(cs_conversion *c, cs_error *err) {
    enum { NAMED_MAX = 20 };
    int64_t found = 0;
    for (size_t i = 0; i < c->draft.tensor_count; ++i) {
        const cs_draft_tensor *tensor = &c->draft.tensors[i];
        const float *values = cs_conversion_values(c, tensor);
        int64_t odd = 0, negative = 0;
        for (int64_t k = 0; k < tensor->count; ++k)
            odd += !(fabsf(values[k]) <= 3.402823466e38f);
        for (int64_t k = 0; tensor->role == CS_ROLE_VARIANCE && k < tensor->count; ++k)
            negative += values[k] < 0;
        if (odd + negative == 0 || ++found > NAMED_MAX)
            continue;
        CS_TRY(cs_conversion_warn(c, err,
                                  "%s: %lld of its %lld values are %s: running the model "
                                  "will end with the status numeric",
                                  tensor->name, (long long)(odd ? odd : negative),
                                  (long long)tensor->count,
                                  odd ? "NaN or infinity" : "negative variances"));
    }
    c->broken = found > 0;
    if (found > NAMED_MAX)
        CS_TRY(cs_conversion_warn(c, err, "%lld further tensors like these",
                                  (long long)(found - NAMED_MAX)));
    return CS_OK;
}

cs_status cs_conversion_go_on(const cs_conversion *c, cs_error *err) {
    if (!c->options->stop || !c->options->stop(c->options->stop_state))
        return CS_OK;
    return cs_error_set(err, CS_ERROR_INTERRUPTED, NULL, -1, "interrupted; nothing was written");
}

void cs_conversion_release(cs_conversion *c) {
    if (c->partial_bin)
        unlink(c->partial_bin);
    if (c->partial_json)
        unlink(c->partial_json);
    for (size_t i = 0; i < c->warning_count; ++i)
        free(c->warnings[i]);
    free(c->warnings);
    free(c->partial_bin);
    free(c->partial_json);
    free(c->json_path);
    free(c->bin_path);
    free(c->bin);
    free(c->golden);
    cs_draft_release(&c->draft);
}
