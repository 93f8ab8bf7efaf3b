#include "output_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUFFIX_ROOM = 64 }; /* for ".partial-<process>-<attempt>" */

/* The folder that is being written, for output_folder_abandon. */
static output_folder *volatile being_written;

/* Copies `directory` without slashes at its end. */
static cs_status clean_name(const char *directory, char out[PATH_MAX], cs_error *err) {
    CS_CHECK(directory && *directory, CS_ERROR_ARGUMENT, "no output folder given; use -o DIR");
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/')
        length--;
    CS_CHECK(length < PATH_MAX - SUFFIX_ROOM, CS_ERROR_ARGUMENT,
             "the name of the output folder is too long");
    memcpy(out, directory, length);
    out[length] = '\0';
    return CS_OK;
}

static cs_status check_name(const char *name, cs_error *err) {
    char parent[PATH_MAX];
    struct stat status;
    if (lstat(name, &status) == 0)
        return cs_error_set(err, CS_ERROR_OUTPUT, name, -1,
                            "%s: exists already; nothing is overwritten, so give another name or "
                            "remove it first",
                            name);
    snprintf(parent, sizeof parent, "%s", name);
    char *slash = strrchr(parent, '/');
    if (!slash)
        return CS_OK;
    slash[slash == parent] = '\0';
    if (stat(parent, &status) != 0 || !S_ISDIR(status.st_mode))
        return cs_error_set(err, CS_ERROR_OUTPUT, parent, -1,
                            "%s: there is no such folder to put the output in; make it first "
                            "(mkdir -p)",
                            parent);
    return CS_OK;
}

cs_status output_folder_open(output_folder *folder, const char *directory, cs_error *err) {
    folder->partial[0] = '\0';
    CS_TRY(clean_name(directory, folder->final, err));
    CS_TRY(check_name(folder->final, err));
    /* An older process of the same number may have left one behind. */
    for (int attempt = 1; attempt < 100; attempt++) {
        char suffix[SUFFIX_ROOM] = "", path[PATH_MAX];
        if (attempt > 1)
            snprintf(suffix, sizeof suffix, "-%d", attempt);
        snprintf(path, sizeof path, "%.*s.partial-%ld%s", PATH_MAX - 2 * SUFFIX_ROOM, folder->final,
                 (long)getpid(), suffix);
        if (mkdir(path, 0777) == 0) {
            memcpy(folder->partial, path, sizeof path);
            being_written = folder;
            return CS_OK;
        }
        if (errno != EEXIST)
            break;
    }
    return cs_error_set(err, CS_ERROR_OUTPUT, folder->final, -1, "%s: cannot make the folder: %s",
                        folder->final, strerror(errno));
}

cs_status output_folder_path(const output_folder *folder, char out[PATH_MAX], cs_error *err,
                             const char *format, ...) {
    size_t used = strlen(folder->partial);
    memcpy(out, folder->partial, used);
    out[used++] = '/';
    va_list list;
    va_start(list, format);
    int length = vsnprintf(out + used, PATH_MAX - used, format, list);
    va_end(list);
    CS_CHECK(length >= 0 && (size_t)length < PATH_MAX - used, CS_ERROR_LIMIT,
             "the path of an output file is too long");
    return CS_OK;
}

cs_status output_folder_make(const output_folder *folder, const char *name, cs_error *err) {
    char path[PATH_MAX];
    CS_TRY(output_folder_path(folder, path, err, "%s", name));
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot make the folder: %s", path,
                            strerror(errno));
    return CS_OK;
}

cs_status output_folder_make_image(const output_folder *folder, const char *image_path,
                                   char name[NAME_MAX + 1], cs_error *err) {
    enum { LONGEST = NAME_MAX - 32 };
    const char *slash = strrchr(image_path, '/'), *file = slash ? slash + 1 : image_path;
    const char *dot = strrchr(file, '.');
    size_t length = dot && dot != file ? (size_t)(dot - file) : strlen(file);
    char stem[NAME_MAX + 1], path[PATH_MAX];
    if (length > LONGEST)
        length = LONGEST;
    memcpy(stem, file, length);
    stem[length] = '\0';
    for (char *c = stem; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F || (c == stem && *c == '.'))
            *c = '_';
    for (int number = 1;; number++) {
        snprintf(name, NAME_MAX + 1, "%s", stem);
        if (number > 1)
            snprintf(name + length, NAME_MAX + 1 - length, "-%d", number);
        CS_TRY(output_folder_path(folder, path, err, "%s", name));
        if (mkdir(path, 0777) == 0)
            return CS_OK;
        if (errno != EEXIST)
            return cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot make the folder: %s",
                                path, strerror(errno));
    }
}

cs_status output_folder_finish(output_folder *folder, cs_error *err) {
    int result = renameat2(AT_FDCWD, folder->partial, AT_FDCWD, folder->final, RENAME_NOREPLACE);
    struct stat status;
    /* A file system without that flag: look, then rename. */
    if (result != 0 && (errno == EINVAL || errno == ENOSYS) && lstat(folder->final, &status) != 0)
        result = rename(folder->partial, folder->final);
    if (result != 0)
        cs_error_set(err, CS_ERROR_OUTPUT, folder->final, -1,
                     "%s: cannot be given its name: %s; the results are complete in %s",
                     folder->final, strerror(errno), folder->partial);
    folder->partial[0] = '\0';
    being_written = NULL;
    return result == 0 ? CS_OK : CS_ERROR_OUTPUT;
}

/* Removes the entries of the open folder, those of its folders `depth` levels down first; whether
 * any went. */
static bool remove_entries(int folder, int depth) {
    _Alignas(struct dirent64) char entries[4096];
    bool removed = false;
    ssize_t size;
    while ((size = getdents64(folder, entries, sizeof entries)) > 0)
        for (ssize_t at = 0; at < size;) {
            const struct dirent64 *entry = (const void *)(entries + at);
            const char *name = entry->d_name;
            at += entry->d_reclen;
            if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                continue;
            if (unlinkat(folder, name, 0) != 0 && depth > 0) {
                int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                while (inner >= 0 && remove_entries(inner, depth - 1))
                    lseek(inner, 0, SEEK_SET);
                if (inner >= 0)
                    close(inner);
                unlinkat(folder, name, AT_REMOVEDIR);
            }
            removed |= faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
        }
    return removed;
}

/* Nothing here takes memory: it must work when that is exhausted, and in a signal's handler. What
 * cannot be removed is left: it has "partial" in its name. */
static void remove_folder(const char *path) {
    enum { DEPTH = 3 };
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    while (folder >= 0 && remove_entries(folder, DEPTH))
        lseek(folder, 0, SEEK_SET);
    if (folder >= 0)
        close(folder);
    rmdir(path);
}

void output_folder_discard(output_folder *folder) {
    if (folder->partial[0])
        remove_folder(folder->partial);
    folder->partial[0] = '\0';
    being_written = NULL;
}

bool output_folder_abandon(void) {
    if (!being_written)
        return false;
    remove_folder(being_written->partial);
    return true;
}

/* ------------------------------------------------------------------ taking up again ------ */

void output_folder_keep(output_folder *folder) {
    folder->partial[0] = '\0';
    being_written = NULL;
}

void output_folder_survives_signals(void) { being_written = NULL; }

cs_status output_folder_adopt(output_folder *folder, const char *directory, const char *partial,
                              cs_error *err) {
    CS_TRY(clean_name(directory, folder->final, err));
    CS_TRY(check_name(folder->final, err));
    snprintf(folder->partial, sizeof folder->partial, "%s", partial);
    return CS_OK;
}

typedef struct found_partial {
    char path[PATH_MAX];
    struct timespec changed;
} found_partial;

static bool is_newer(const found_partial *a, const found_partial *b) {
    return a->changed.tv_sec != b->changed.tv_sec ? a->changed.tv_sec > b->changed.tv_sec
                                                  : a->changed.tv_nsec > b->changed.tv_nsec;
}

enum { MOST_PARTIALS = 64 };

/* Adds a partial folder to those found, the newest first. */
static void add_partial(found_partial *found, int *count, const char *path, const char *file) {
    char inner[PATH_MAX];
    struct stat info;
    found_partial *f = &found[*count];
    if (snprintf(f->path, sizeof f->path, "%s", path) >= PATH_MAX - SUFFIX_ROOM ||
        snprintf(inner, sizeof inner, "%s/%s", path, file) >= PATH_MAX)
        return;
    if (stat(inner, &info) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return;
        info.st_mtim = (struct timespec){0}; /* it is there: reading it says what is wrong */
    }
    f->changed = info.st_mtim;
    for (int i = (*count)++; i > 0 && is_newer(&found[i], &found[i - 1]); i--) {
        found_partial kept = found[i];
        found[i] = found[i - 1];
        found[i - 1] = kept;
    }
}

/* The partial folders of `clean` in the folder that it lies in. */
static cs_status list_partials(const char *clean, const char *file, found_partial *found,
                               int *count, cs_error *err) {
    char parent[PATH_MAX], path[PATH_MAX];
    const char *slash = strrchr(clean, '/'), *name = slash ? slash + 1 : clean;
    const size_t length = strlen(name);
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - clean + 1) : 2,
             slash ? clean : "./");
    DIR *folder = opendir(parent);
    if (!folder && (errno == ENOENT || errno == ENOTDIR))
        return CS_OK; /* making the folder there says so */
    struct dirent *entry = NULL;
    while (folder && *count < MOST_PARTIALS && (errno = 0, entry = readdir(folder)) != NULL)
        if (strncmp(entry->d_name, name, length) == 0 &&
            strncmp(entry->d_name + length, ".partial-", 9) == 0 &&
            snprintf(path, sizeof path, "%s%s", slash ? parent : "", entry->d_name) < PATH_MAX)
            add_partial(found, count, path, file);
    const int failed = !folder || !entry ? errno : 0;
    if (folder)
        closedir(folder);
    if (failed)
        return cs_error_set(err, CS_ERROR_OUTPUT, parent, -1,
                            "%s: cannot be searched for work to go on with: %s", parent,
                            strerror(failed));
    return CS_OK;
}

cs_status output_folder_find_partial(const char *directory, const char *file, int number,
                                     char path[PATH_MAX], cs_error *err) {
    char clean[PATH_MAX];
    int count = 0;
    path[0] = '\0';
    CS_TRY(clean_name(directory, clean, err));
    found_partial *found = calloc(MOST_PARTIALS, sizeof *found);
    CS_CHECK(found, CS_ERROR_MEMORY, "out of memory");
    const cs_status status = list_partials(clean, file, found, &count, err);
    if (status == CS_OK && number < count)
        memcpy(path, found[number].path, PATH_MAX);
    free(found);
    return status;
}

cs_status output_folder_remove(const output_folder *folder, const char *name, cs_error *err) {
    char path[PATH_MAX];
    CS_TRY(output_folder_path(folder, path, err, "%s", name));
    remove_folder(path);
    if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return CS_OK;
    return cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be removed", path);
}
