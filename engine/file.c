/* file.c - whole files in and out. */
#include "cnnscope_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux moves at most 2 GiB - 4 KiB in one call. */
#define LARGEST_TRANSFER ((size_t)1 << 30)

/* Reads `size` bytes, however many calls it takes. */
static cs_status read_all(int fd, const char *path, char *data, size_t size, cs_error *err) {
    size_t done = 0;
    while (done < size) {
        size_t left = size - done;
        ssize_t got = read(fd, data + done, left < LARGEST_TRANSFER ? left : LARGEST_TRANSFER);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cs_error_set(err, CS_ERROR_IO, path, (int64_t)done, "%s: cannot be read: %s",
                                path, strerror(errno));
        if (got == 0)
            return cs_error_set(err, CS_ERROR_IO, path, (int64_t)done,
                                "%s: became shorter while it was read (%zu of %zu bytes)", path,
                                done, size);
        done += (size_t)got;
    }
    return CS_OK;
}

cs_status cs_file_read(const char *path, size_t limit, char **data, size_t *size, cs_error *err) {
    cs_status status = CS_OK;
    struct stat info;
    char *buffer = NULL;
    /* Without O_NONBLOCK, opening a pipe would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return cs_error_set(err, CS_ERROR_IO, path, -1, "%s: cannot be opened: %s", path,
                            strerror(errno));
    if (fstat(fd, &info) != 0) {
        status = cs_error_set(err, CS_ERROR_IO, path, -1, "%s: %s", path, strerror(errno));
        goto cleanup;
    }
    if (!S_ISREG(info.st_mode)) {
        status = cs_error_set(err, CS_ERROR_IO, path, -1, "%s: is %s, not a file", path,
                              S_ISDIR(info.st_mode) ? "a folder" : "a device or a pipe");
        goto cleanup;
    }
    if ((uint64_t)info.st_size > limit) {
        status = cs_error_set(err, CS_ERROR_LIMIT, path, -1,
                              "%s: has %lld bytes; files of this kind are read up to %zu bytes",
                              path, (long long)info.st_size, limit);
        goto cleanup;
    }
    buffer = malloc((size_t)info.st_size + 1);
    if (buffer == NULL) {
        status = cs_error_set(err, CS_ERROR_MEMORY, path, -1, "%s: no memory for its %lld bytes",
                              path, (long long)info.st_size);
        goto cleanup;
    }
    status = read_all(fd, path, buffer, (size_t)info.st_size, err);
    if (status != CS_OK)
        goto cleanup;
    buffer[info.st_size] = '\0';
    *data = buffer;
    *size = (size_t)info.st_size;
    buffer = NULL;
cleanup:
    free(buffer);
    close(fd);
    return status;
}

/* Writes `size` bytes and has them on the disk. False with errno set. */
static bool write_all(int fd, const char *data, size_t size) {
    size_t done = 0;
    while (done < size) {
        size_t left = size - done;
        ssize_t put = write(fd, data + done, left < LARGEST_TRANSFER ? left : LARGEST_TRANSFER);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        done += (size_t)put;
    }
    /* Pipes and some file systems know no fsync; there is nothing to wait for there. */
    return fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
}

cs_status cs_file_write(const char *path, const void *data, size_t size, cs_error *err) {
    cs_status status = CS_OK;
    char *partial = NULL;
    int fd = -1;
    if (asprintf(&partial, "%s.partial-%ld", path, (long)getpid()) < 0)
        return cs_error_set(err, CS_ERROR_MEMORY, path, -1, "%s: out of memory", path);
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    fd = open(partial, flags, 0666);
    if (fd < 0 && errno == EEXIST && unlink(partial) == 0)
        fd = open(partial, flags, 0666); /* left by a process of this number that was killed */
    if (fd < 0) {
        status = cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be created: %s", path,
                              strerror(errno));
        goto cleanup;
    }
    bool written = write_all(fd, data, size);
    int reason = errno;
    if (close(fd) != 0 && written) {
        written = false;
        reason = errno;
    }
    if (written && rename(partial, path) != 0) {
        written = false;
        reason = errno;
    }
    if (!written) {
        unlink(partial);
        status = cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be written: %s", path,
                              strerror(reason));
    }
cleanup:
    free(partial);
    return status;
}
