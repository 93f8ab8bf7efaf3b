#include "common.h"
#include "interrupt.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *visible(const char *text, char out[VISIBLE_SIZE]) {
    cs_error shown;
    cs_error_set(&shown, CS_OK, NULL, -1, "%s", text);
    snprintf(out, VISIBLE_SIZE, "%s", shown.text);
    return out;
}

void print_error(const char *command, const cs_error *err) {
    char offset[32];
    snprintf(offset, sizeof offset, "%lld", (long long)err->offset);
    bool add_subject = err->subject[0] && !strstr(err->text, err->subject);
    bool add_offset = err->offset >= 0 && !strstr(err->text, offset);
    fflush(stdout);
    fprintf(stderr, "cnnscope %s: %s%s%s%s%s%s\n", command, add_subject ? err->subject : "",
            add_subject ? ": " : "", err->text, add_offset ? " (byte offset " : "",
            add_offset ? offset : "", add_offset ? ")" : "");
}

int fail(const char *command, const cs_error *err) {
    print_error(command, err);
    return cs_status_exit_code(err->code);
}

bool is_image_error(cs_status status) {
    return status == CS_ERROR_IO || status == CS_ERROR_FORMAT || status == CS_ERROR_UNSUPPORTED ||
           status == CS_ERROR_MISMATCH || status == CS_ERROR_NUMERIC || status == CS_ERROR_LIMIT;
}

typedef struct text_memory {
    char **text;
    size_t *size, room;
    bool full;
} text_memory;

static ssize_t text_write(void *cookie, const char *data, size_t size) {
    text_memory *m = cookie;
    if (m->room - *m->size <= size) {
        const size_t room = 2 * (*m->size + size) + 1;
        char *more = m->full ? NULL : realloc(*m->text, room);
        if (!more) {
            m->full = true;
            return 0;
        }
        *m->text = more;
        m->room = room;
    }
    memcpy(*m->text + *m->size, data, size);
    *m->size += size;
    (*m->text)[*m->size] = 0;
    return (ssize_t)size;
}

static int text_close(void *cookie) {
    text_memory *m = cookie;
    const bool full = m->full;
    free(m);
    return full ? -1 : 0;
}

FILE *open_text(char **text, size_t *size) {
    text_memory *m = malloc(sizeof *m);
    *text = calloc(1, 1);
    *size = 0;
    if (m)
        *m = (text_memory){text, size, 1, false};
    FILE *file =
        m && *text
            ? fopencookie(m, "w", (cookie_io_functions_t){.write = text_write, .close = text_close})
            : NULL;
    if (!file) {
        free(m);
        free(*text);
        *text = NULL;
    }
    return file;
}

cs_status close_text(FILE *file, cs_error *err) {
    const bool good = fflush(file) == 0 && !ferror(file);
    CS_CHECK(fclose(file) == 0 && good, CS_ERROR_MEMORY, "out of memory");
    return CS_OK;
}

cs_status flush_stdout(cs_error *err) {
    CS_CHECK(fflush(stdout) == 0 && !ferror(stdout), CS_ERROR_OUTPUT,
             "cannot write to standard output: %s", strerror(errno));
    return CS_OK;
}

void put_assumed(json_writer *w, bool size, bool mean, bool eps) {
    put_array(w, "assumed");
    if (size)
        put_text(w, NULL, "size");
    if (mean)
        put_text(w, NULL, "mean");
    if (eps)
        put_text(w, NULL, "eps");
    put_close(w);
}

cs_status word_list_split(word_list *list, const char *text, cs_error *err) {
    size_t most = 1;
    for (const char *c = text; *c; c++)
        most += *c == ',';
    list->count = 0;
    list->text = strdup(text);
    list->words = malloc(most * sizeof *list->words);
    if (!list->text || !list->words) {
        word_list_free(list);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
    }
    for (char *word = list->text, *next; word; word = next) {
        next = strchr(word, ',');
        if (next)
            *next++ = '\0';
        list->words[list->count++] = word;
        if (!*word) {
            word_list_free(list);
            return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                                "'%s' has an empty entry; expected words with commas between them",
                                text);
        }
    }
    return CS_OK;
}

void word_list_free(word_list *list) {
    free(list->text);
    free(list->words);
    *list = (word_list){0};
}

cs_status parse_numbers(const char *text, double *values, int64_t most, int64_t *count,
                        cs_error *err) {
    *count = 0;
    for (const char *at = text;;) {
        char *end = NULL;
        double value = strtod(at, &end);
        CS_CHECK(end != at && isfinite(value) && (*end == ',' || *end == '\0'), CS_ERROR_ARGUMENT,
                 "'%s': expected numbers with commas between them", text);
        CS_CHECK(*count < most, CS_ERROR_ARGUMENT, "'%s': more than %lld numbers", text,
                 (long long)most);
        values[(*count)++] = value;
        if (*end == '\0')
            return CS_OK;
        at = end + 1;
    }
}

cs_status parse_size(const char *text, int64_t *width, int64_t *height, cs_error *err) {
    char *end = NULL;
    long long w = strtoll(text, &end, 10), h = w;
    bool good = end != text && w > 0;
    if (good && (*end == 'x' || *end == 'X')) {
        const char *second = end + 1;
        h = strtoll(second, &end, 10);
        good = end != second && h > 0;
    }
    CS_CHECK(good && *end == '\0' && w <= 1 << 20 && h <= 1 << 20, CS_ERROR_ARGUMENT,
             "size '%s': expected N, or WIDTHxHEIGHT as in 320x240", text);
    *width = w;
    *height = h;
    return CS_OK;
}

cs_status open_model(const cli_common *common, const char *path, cs_model **model, cs_error *err) {
    cs_model_options options = {.no_mmap = common->no_mmap};
    char shown[VISIBLE_SIZE];
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".bin") == 0)
        return cs_error_set(err, CS_ERROR_ARGUMENT, path, -1,
                            "%s is the weights' file; give the manifest beside it, %.*s.json", path,
                            (int)(length - 4), path);
    if (length > 4 &&
        (strcmp(path + length - 4, ".pth") == 0 || strcmp(path + length - 3, ".pt") == 0))
        return cs_error_set(err, CS_ERROR_ARGUMENT, path, -1,
                            "%s is a checkpoint; convert it first: cnnscope convert %s -o NAME",
                            path, path);
    if (!common->no_mmap)
        interrupt_mapping(visible(path, shown));
    return cs_model_open(path, &options, model, err);
}

const char *engine_name(cs_engine engine) { return engine == CS_ENGINE_GEMM ? "gemm" : "direct"; }

cs_status read_run_options(const cli_common *common, cs_run_options *options, cs_error *err) {
    *options = (cs_run_options)CS_RUN_OPTIONS_DEFAULT;
    options->threads = (int)common->threads;
    if (common->engine && strcmp(common->engine, "gemm") == 0)
        options->engine = CS_ENGINE_GEMM;
    else
        CS_CHECK(!common->engine || strcmp(common->engine, "direct") == 0, CS_ERROR_ARGUMENT,
                 "unknown engine '%s'; there are direct and gemm", common->engine);
    if (common->dtype && strcmp(common->dtype, "f64") == 0)
        options->dtype = CS_F64;
    else
        CS_CHECK(!common->dtype || strcmp(common->dtype, "f32") == 0, CS_ERROR_ARGUMENT,
                 "unknown type '%s'; there are f32 and f64", common->dtype);
    if (common->kernel)
        CS_TRY(cs_kernel_parse(common->kernel, &options->kernel, err));
    return common->isa ? cs_isa_parse(common->isa, &options->isa, err) : CS_OK;
}

const char *class_label(const cs_model *model, int64_t index, char out[CLASS_LABEL_SIZE]) {
    char shown[VISIBLE_SIZE];
    const char *name = cs_model_class_name(model, index);
    if (name)
        snprintf(out, CLASS_LABEL_SIZE, "%s (class %lld)", visible(name, shown), (long long)index);
    else
        snprintf(out, CLASS_LABEL_SIZE, "class %lld", (long long)index);
    return out;
}

bool is_file_name(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX - 16 || name[0] == '.')
        return false;
    for (const char *c = name; *c; c++)
        if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7F)
            return false;
    return true;
}

const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
