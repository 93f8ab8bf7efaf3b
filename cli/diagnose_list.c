#include "diagnose_list.h"
#include "common.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEEPEST = 16 };

static cs_status out_of_memory(cs_error *err) {
    return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for the list of images");
}

static cs_status add_entry(diagnose_list *list, const char *file, const char *path, cs_error *err) {
    if ((size_t)list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 256;
        diagnose_entry *larger = realloc(list->entries, room * sizeof *larger);
        if (!larger)
            return out_of_memory(err);
        list->entries = larger;
        list->room = room;
    }
    diagnose_entry *e = &list->entries[list->count++];
    *e = (diagnose_entry){
        .file = strdup(file), .path = strdup(path), .label = -1, .patient_index = -1};
    return e->file && e->path ? CS_OK : out_of_memory(err);
}

/* ------------------------------------------------------------------ folders -------------- */

static cs_status cannot_read(const char *folder, cs_error *err) {
    return cs_error_set(err, CS_ERROR_IO, folder, -1, "%s: cannot read the folder: %s", folder,
                        strerror(errno));
}

/* `relative` is "" or "a/b/". */
static cs_status walk(diagnose_list *list, const char *folder, const char *relative, int depth,
                      cs_error *err) {
    DIR *directory = opendir(folder);
    if (!directory)
        return cannot_read(folder, err);
    cs_status status = CS_OK;
    struct dirent *entry;
    while (status == CS_OK && (errno = 0, entry = readdir(directory)) != NULL) {
        char path[PATH_MAX], file[PATH_MAX], inner[PATH_MAX];
        struct stat info;
        if (entry->d_name[0] == '.')
            continue;
        int a = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        int b = snprintf(file, sizeof file, "%s%s", relative, entry->d_name);
        if (a >= PATH_MAX || b >= PATH_MAX - 1)
            status = cs_error_set(err, CS_ERROR_LIMIT, folder, -1, "a path below %s is too long",
                                  folder);
        else if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
            snprintf(inner, sizeof inner, "%.*s/", PATH_MAX - 2, file);
            if (depth < DEEPEST)
                status = walk(list, path, inner, depth + 1, err);
        } else if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
            status = add_entry(list, file, path, err);
        }
    }
    if (status == CS_OK && errno != 0)
        status = cannot_read(folder, err);
    closedir(directory);
    return status;
}

static int compare_entries(const void *a, const void *b) {
    return strcmp(((const diagnose_entry *)a)->file, ((const diagnose_entry *)b)->file);
}

/* The class that a text names, or -1. */
static int64_t class_of(const cs_model *model, const char *text) {
    int64_t index = -1;
    return cs_class_parse(model, text, &index, NULL) == CS_OK && index >= 0 ? index : -1;
}

static int64_t class_of_folder(const cs_model *model, const char *file) {
    char top[NAME_MAX + 1];
    const char *slash = strchr(file, '/');
    if (!slash || slash - file > NAME_MAX)
        return -1;
    snprintf(top, sizeof top, "%.*s", (int)(slash - file), file);
    return class_of(model, top);
}

static cs_status read_folder(diagnose_list *list, const cs_model *model, const char *path,
                             cs_error *err) {
    CS_TRY(walk(list, path, "", 0, err));
    if (list->count > 0)
        qsort(list->entries, (size_t)list->count, sizeof *list->entries, compare_entries);
    for (int64_t i = 0; i < list->count; i++)
        list->entries[i].label = class_of_folder(model, list->entries[i].file);
    return CS_OK;
}

/* ------------------------------------------------------------------ tables --------------- */

typedef struct named {
    const char *text;
    int64_t index;
} named;

static int compare_named(const void *a, const void *b) {
    const named *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Finds entries that have the same text: second ones of a file are marked, patients numbered. */
static cs_status match_entries(diagnose_list *list, bool patients, cs_error *err) {
    named *all = malloc(((size_t)list->count + 1) * sizeof *all);
    if (!all)
        return out_of_memory(err);
    size_t count = 0;
    for (int64_t i = 0; i < list->count; i++) {
        const char *text = patients ? list->entries[i].patient : list->entries[i].file;
        if (text)
            all[count++] = (named){text, i};
    }
    qsort(all, count, sizeof *all, compare_named);
    for (size_t i = 0, first = 0; i < count; i++) {
        if (strcmp(all[i].text, all[first].text) != 0)
            first = i;
        diagnose_entry *e = &list->entries[all[i].index];
        if (patients)
            e->patient_index = all[first].index; /* numbered by first appearance below */
        else if (i > first)
            e->status = CS_ERROR_FORMAT;
    }
    free(all);
    for (int64_t i = 0; patients && i < list->count; i++) {
        diagnose_entry *e = &list->entries[i];
        if (e->patient_index == i)
            e->patient_index = list->patient_count++;
        else if (e->patient_index >= 0)
            e->patient_index = list->entries[e->patient_index].patient_index;
    }
    return CS_OK;
}

/* The table's columns that have no meaning of their own. */
static cs_status list_columns(diagnose_list *list, const int64_t known[3], cs_error *err) {
    const csv_table *t = &list->table;
    size_t columns = (size_t)t->columns;
    list->columns = calloc(columns + 1, sizeof *list->columns);
    list->values = calloc((size_t)t->rows * columns + 1, sizeof *list->values);
    if (!list->columns || !list->values)
        return out_of_memory(err);
    for (int64_t c = 0; c < t->columns; c++)
        if (c != known[0] && c != known[1] && c != known[2] && csv_cell(t, 0, c)[0])
            list->columns[list->column_count++] = csv_cell(t, 0, c);
    const char **value = list->values;
    for (int64_t row = 1; row < t->rows; row++) {
        list->entries[row - 1].columns = value;
        for (int64_t c = 0; c < t->columns; c++)
            if (c != known[0] && c != known[1] && c != known[2] && csv_cell(t, 0, c)[0])
                *value++ = csv_cell(t, row, c);
    }
    return CS_OK;
}

static cs_status read_table(diagnose_list *list, const cs_model *model, const char *path,
                            cs_error *err) {
    static const char *const files[] = {"file", "path", "image", "filename", NULL},
                             *const classes[] = {"class", "label", NULL},
                             *const patients[] = {"patient", "patient_id", "patientid", NULL};
    CS_TRY(csv_read(path, &list->table, err));
    const csv_table *t = &list->table;
    const int64_t known[3] = {csv_find(t, files), csv_find(t, classes), csv_find(t, patients)};
    if (known[0] < 0)
        return cs_error_set(err, CS_ERROR_FORMAT, path, -1,
                            "%s: no column says which file a row is about; expected one named "
                            "file, path or image in the header",
                            path);
    list->has_labels_column = known[1] >= 0;
    const char *slash = strrchr(path, '/');
    for (int64_t row = 1; row < t->rows; row++) {
        char full[PATH_MAX];
        const char *file = csv_cell(t, row, known[0]);
        int length = snprintf(full, sizeof full, "%.*s%s",
                              slash && file[0] != '/' ? (int)(slash - path + 1) : 0, path, file);
        if (!file[0] || length >= PATH_MAX)
            return cs_error_set(err, CS_ERROR_FORMAT, path, -1, "%s, line %lld: %s", path,
                                (long long)t->lines[row],
                                file[0] ? "the path is too long" : "no file is named");
        CS_TRY(add_entry(list, file, full, err));
        diagnose_entry *e = &list->entries[list->count - 1];
        e->line = t->lines[row];
        e->label = known[1] >= 0 ? class_of(model, csv_cell(t, row, known[1]))
                                 : class_of_folder(model, file);
        if (known[2] >= 0 && csv_cell(t, row, known[2])[0])
            e->patient = csv_cell(t, row, known[2]);
    }
    CS_TRY(list_columns(list, known, err));
    CS_TRY(match_entries(list, false, err));
    return match_entries(list, true, err);
}

/* ------------------------------------------------------------------ both ----------------- */

cs_status diagnose_list_read(diagnose_list *list, const cs_model *model, const char *path,
                             cs_error *err) {
    struct stat info;
    *list = (diagnose_list){0};
    if (stat(path, &info) != 0)
        return cs_error_set(err, CS_ERROR_IO, path, -1, "%s: %s", path, strerror(errno));
    CS_TRY(S_ISDIR(info.st_mode) ? read_folder(list, model, path, err)
                                 : read_table(list, model, path, err));
    for (int64_t i = 0; i < list->count; i++)
        list->labelled += list->entries[i].label >= 0;
    if (list->count == 0)
        return cs_error_set(err, CS_ERROR_IO, path, -1, "%s: there is no image in it", path);
    return CS_OK;
}

void diagnose_list_free(diagnose_list *list) {
    for (int64_t i = 0; i < list->count; i++) {
        free(list->entries[i].file);
        free(list->entries[i].path);
    }
    free(list->entries);
    free(list->columns);
    free(list->values);
    csv_free(&list->table);
    *list = (diagnose_list){0};
}

cs_status diagnose_list_sha256(const diagnose_list *list, char out[CS_SHA256_HEX_SIZE],
                               cs_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_text(&text, &size);
    if (!file)
        return out_of_memory(err);
    for (int64_t c = 0; c < list->column_count; c++)
        fprintf(file, "%s%c", list->columns[c], 0);
    for (int64_t i = 0; i < list->count; i++) {
        const diagnose_entry *e = &list->entries[i];
        fprintf(file, "%s%c%lld%c%s%c", e->file, 0, (long long)e->label, 0,
                e->patient ? e->patient : "", 0);
        for (int64_t c = 0; c < list->column_count; c++)
            fprintf(file, "%s%c", e->columns[c], 0);
    }
    cs_status status = close_text(file, err);
    if (status == CS_OK)
        cs_sha256_hex(text, size, out);
    free(text);
    return status;
}
