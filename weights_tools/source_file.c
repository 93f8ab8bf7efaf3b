/* source_file.c - one descriptor, read with pread. */
#include "source_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

cs_status cs_source_error(const cs_source *source, cs_status code, int64_t offset, cs_error *err,
                          const char *format, ...) {
    char text[800];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (offset < 0)
        return cs_error_set(err, code, source->name, offset, "%s: %s", source->name, text);
    return cs_error_set(err, code, source->name, offset, "%s, byte %lld: %s", source->name,
                        (long long)offset, text);
}

cs_status cs_source_open(const char *path, cs_source *source, cs_error *err) {
    *source = (cs_source){.fd = -1};
    const char *slash = strrchr(path, '/');
    snprintf(source->name, sizeof source->name, "%s", slash ? slash + 1 : path);
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return cs_error_set(err, CS_ERROR_IO, path, -1, "%s: cannot be opened: %s", path,
                            strerror(errno));
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return cs_error_set(err, CS_ERROR_IO, path, -1, "%s: not a regular file", path);
    }
    source->fd = fd;
    source->size = (uint64_t)status.st_size;
    source->changed[0] = status.st_mtim.tv_sec;
    source->changed[1] = status.st_mtim.tv_nsec;
    return CS_OK;
}

void cs_source_close(cs_source *source) {
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

static cs_status check_range(const cs_source *source, uint64_t offset, size_t size, cs_error *err) {
    if (offset <= source->size && size <= source->size - offset)
        return CS_OK;
    return cs_source_error(source, CS_ERROR_FORMAT, (int64_t)offset, err,
                           "%zu bytes expected, but the file ends at %llu: it is cut short or "
                           "damaged, get it again",
                           size, (unsigned long long)source->size);
}

cs_status cs_source_read(const cs_source *source, uint64_t offset, void *out, size_t size,
                         cs_error *err) {
    CS_TRY(check_range(source, offset, size, err));
    unsigned char *to = out;
    while (size > 0) {
        ssize_t got = pread(source->fd, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return cs_source_error(source, CS_ERROR_IO, (int64_t)offset, err, "cannot be read: %s",
                                   got < 0 ? strerror(errno)
                                           : "the file became shorter while it was read");
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return CS_OK;
}

cs_status cs_source_load(const cs_source *source, uint64_t offset, size_t size, const char *what,
                         unsigned char **out, cs_error *err) {
    CS_TRY(check_range(source, offset, size, err)); /* before memory is asked for */
    unsigned char *data = malloc(size + 1);
    if (!data)
        return cs_source_error(source, CS_ERROR_MEMORY, -1, err, "no memory for %zu bytes of %s",
                               size, what);
    cs_status status = cs_source_read(source, offset, data, size, err);
    if (status != CS_OK) {
        free(data);
        return status;
    }
    data[size] = 0;
    *out = data;
    return CS_OK;
}

cs_status cs_source_unchanged(const cs_source *source, cs_error *err) {
    struct stat status;
    if (fstat(source->fd, &status) == 0 && (uint64_t)status.st_size == source->size &&
        status.st_mtim.tv_sec == source->changed[0] && status.st_mtim.tv_nsec == source->changed[1])
        return CS_OK;
    return cs_source_error(source, CS_ERROR_IO, -1, err,
                           "the file changed while it was read; convert it when it is complete");
}

/* Reads bytes [offset, offset + size) in pieces and gives each to `take`. */
static cs_status stream(const cs_source *source, uint64_t offset, uint64_t size,
                        void (*take)(void *state, const unsigned char *bytes, size_t count),
                        void *state, cs_error *err) {
    enum { CHUNK = 1 << 18 };
    unsigned char *chunk = malloc(CHUNK);
    if (!chunk)
        return cs_source_error(source, CS_ERROR_MEMORY, -1, err, "no memory for a buffer");
    cs_status status = CS_OK;
    while (size > 0 && status == CS_OK) {
        size_t part = size < CHUNK ? (size_t)size : CHUNK;
        status = cs_source_read(source, offset, chunk, part, err);
        if (status == CS_OK)
            take(state, chunk, part);
        offset += part;
        size -= part;
    }
    free(chunk);
    return status;
}

static void take_crc32(void *state, const unsigned char *bytes, size_t count) {
    uLong *crc = state;
    *crc = crc32_z(*crc, bytes, count);
}

static void take_sha256(void *state, const unsigned char *bytes, size_t count) {
    SHA256Update(state, bytes, count);
}

cs_status cs_source_crc32(const cs_source *source, uint64_t offset, uint64_t size, uint32_t *crc,
                          cs_error *err) {
    uLong value = crc32_z(0, NULL, 0);
    CS_TRY(stream(source, offset, size, take_crc32, &value, err));
    *crc = (uint32_t)value;
    return CS_OK;
}

cs_status cs_source_sha256(const cs_source *source, char out[65], cs_error *err) {
    SHA2_CTX context;
    SHA256Init(&context);
    CS_TRY(stream(source, 0, source->size, take_sha256, &context, err));
    SHA256End(&context, out);
    return CS_OK;
}
