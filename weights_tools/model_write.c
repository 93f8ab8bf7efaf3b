/* model_write.c - the pair NAME.json + NAME.bin, complete or not at all: written under other names,
 * run once for the golden logits, then renamed. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cnnscope_support.h"
#include "conversion.h"

static void put_le(unsigned char *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i)
        at[i] = (unsigned char)(value >> 8 * i);
}

/* The 64 bytes before the tensors (docs/formats.md 1.1). */
void cs_conversion_seal(cs_conversion *c) {
    enum { HEADER = 64 };
    cs_sha256_hex(c->bin + HEADER, c->bin_size - HEADER, c->region_sha256);
    memcpy(c->bin, "CNNSCOPE", 8);
    put_le(c->bin + 8, 0x01020304, 4);
    put_le(c->bin + 12, HEADER, 4);
    put_le(c->bin + 16, c->bin_size, 8);
    for (int i = 0; i < 16; ++i) {
        char digits[3] = {c->region_sha256[2 * i], c->region_sha256[2 * i + 1], '\0'};
        c->bin[24 + i] = (unsigned char)strtoul(digits, NULL, 16);
    }
}

static cs_status output_error(const char *path, cs_error *err) {
    return cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be written: %s", path,
                        strerror(errno));
}

/* Creates PATH.partial-<process>-<number>, a name that nothing had; *partial is freed, and the file
 * removed, with the conversion. */
static cs_status create_partial(const char *path, char **partial, int *fd, cs_error *err) {
    for (int number = 0; number < 1000; ++number) {
        cs_text name = {0};
        cs_text_append(&name, "%s.partial-%ld-%d", path, (long)getpid(), number);
        CS_CHECK(!name.failed, CS_ERROR_MEMORY, "no memory for a path");
        *fd = open(name.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (*fd >= 0) {
            *partial = name.data;
            return CS_OK;
        }
        cs_text_release(&name);
        if (errno != EEXIST)
            break;
    }
    return output_error(path, err);
}

static cs_status write_all(int fd, const void *data, size_t size, const char *path, cs_error *err) {
    const char *from = data;
    while (size > 0) {
        ssize_t done = write(fd, from, size < (1u << 26) ? size : (1u << 26));
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return output_error(path, err);
        from += done;
        size -= (size_t)done;
    }
    return CS_OK;
}

static cs_status write_partial(const char *path, const void *data, size_t size, char **partial,
                               cs_error *err) {
    int fd = -1;
    CS_TRY(create_partial(path, partial, &fd, err));
    cs_status status = write_all(fd, data, size, path, err);
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* begins; fsync waits for its end */
    if (close(fd) != 0 && status == CS_OK)
        status = output_error(path, err);
    return status;
}

/* Writes the manifest that names `bin_file` to a new partial file. */
static cs_status write_manifest(cs_conversion *c, const char *bin_file, cs_error *err) {
    cs_text text = {0};
    cs_status status = cs_manifest_text(c, bin_file, &text, err);
    if (status == CS_OK)
        status = write_partial(c->json_path, text.data, text.size, &c->partial_json, err);
    cs_text_release(&text);
    return status;
}

static cs_status drop_partial(char **partial, cs_error *err) {
    if (unlink(*partial) != 0)
        return cs_error_set(err, CS_ERROR_OUTPUT, *partial, -1, "%s: cannot be removed: %s",
                            *partial, strerror(errno));
    free(*partial);
    *partial = NULL;
    return CS_OK;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static cs_status sync_path(const char *path, int flags, cs_error *err) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return output_error(path, err);
    cs_status status = fsync(fd) == 0 ? CS_OK : output_error(path, err);
    close(fd);
    return status;
}

/* Makes the renames durable; a file system that cannot say so is not an error. */
static void sync_folder(const char *path) {
    size_t size = (size_t)(last_part(path) - path);
    char *folder = size ? strndup(path, size) : strdup(".");
    if (folder)
        (void)sync_path(folder, O_RDONLY | O_DIRECTORY, NULL);
    free(folder);
}

/* Golden logits of the partial pair, whose manifest names the partial binary and not yet its hash,
 * which opening does not look at. */
static cs_status run_golden(cs_conversion *c, double *seconds, cs_error *err) {
    if (c->broken)
        return CS_OK;
    memset(c->bin_sha256, '0', 64);
    CS_TRY(write_manifest(c, last_part(c->partial_bin), err));
    double begin = cs_seconds();
    CS_TRY(cs_conversion_golden(c, c->partial_json, err));
    *seconds = cs_seconds() - begin;
    return drop_partial(&c->partial_json, err);
}

/* The hash of the whole binary, computed beside writing and running. It cannot go on from the
 * hash of the tensors, since the header that stands before them holds that one. */
typedef struct hash_job {
    const unsigned char *data;
    size_t size;
    char sha256[65];
} hash_job;

static void *run_hash(void *argument) {
    hash_job *job = argument;
    cs_sha256_hex(job->data, job->size, job->sha256);
    return NULL;
}

cs_status cs_conversion_write(cs_conversion *c, double *golden_seconds, cs_error *err) {
    *golden_seconds = 0;
    pthread_t thread;
    hash_job job = {c->bin, c->bin_size, ""};
    bool started = pthread_create(&thread, NULL, run_hash, &job) == 0;
    cs_status status = write_partial(c->bin_path, c->bin, c->bin_size, &c->partial_bin, err);
    if (status == CS_OK)
        status = cs_conversion_go_on(c, err);
    if (status == CS_OK)
        status = run_golden(c, golden_seconds, err);
    if (started)
        pthread_join(thread, NULL);
    else
        run_hash(&job);
    CS_TRY(status);
    memcpy(c->bin_sha256, job.sha256, sizeof c->bin_sha256);
    return write_manifest(c, last_part(c->bin_path), err);
}

/* An old manifest gets another name, *aside, or NULL where there is none. */
static cs_status set_aside(const cs_conversion *c, char **aside, cs_error *err) {
    cs_text name = {0};
    cs_text_append(&name, "%s.partial-%ld-old", c->json_path, (long)getpid());
    CS_CHECK(!name.failed, CS_ERROR_MEMORY, "no memory for a path");
    if (rename(c->json_path, name.data) == 0) {
        *aside = name.data;
        return CS_OK;
    }
    int reason = errno;
    cs_text_release(&name);
    errno = reason;
    return reason == ENOENT ? CS_OK : output_error(c->json_path, err);
}

/* An old manifest goes first, so that at no moment one stands beside a binary that is not its; it
 * comes back where the binary cannot be replaced. */
cs_status cs_conversion_commit(cs_conversion *c, cs_error *err) {
    CS_TRY(sync_path(c->partial_bin, O_RDONLY, err));
    CS_TRY(sync_path(c->partial_json, O_RDONLY, err));
    CS_TRY(cs_conversion_go_on(c, err)); /* the last moment */
    char *aside = NULL;
    cs_status status = CS_OK;
    if (c->options->force)
        CS_TRY(set_aside(c, &aside, err));
    if (rename(c->partial_bin, c->bin_path) != 0) {
        status = output_error(c->bin_path, err);
        if (aside)
            rename(aside, c->json_path);
        free(aside);
        return status;
    }
    free(c->partial_bin);
    c->partial_bin = NULL;
    if (rename(c->partial_json, c->json_path) != 0) {
        status = output_error(c->json_path, err);
        unlink(c->bin_path);
    } else {
        free(c->partial_json);
        c->partial_json = NULL;
        sync_folder(c->json_path);
    }
    if (aside && unlink(aside) != 0 && status == CS_OK) {
        c->partial_json = aside; /* removed with the conversion, if that works better */
        return CS_OK;
    }
    free(aside);
    return status;
}
