/* source_file.h - the checkpoint as one open file: every byte is read through one descriptor, so
 * that a file replaced meanwhile cannot be half of what is read, and with pread rather than a map,
 * so that a file cut short meanwhile is an error and not a signal. */
#ifndef CS_SOURCE_FILE_H
#define CS_SOURCE_FILE_H

#include "cnnscope_types.h"

typedef struct cs_source {
    int fd;
    uint64_t size;
    int64_t changed[2]; /* time of the last change when opened: seconds, nanoseconds */
    char name[256];     /* the last part of the path, for errors and provenance */
} cs_source;

/* Fills *err with "NAME, byte OFFSET: ..." (without the offset where it is -1); returns `code`. */
cs_status cs_source_error(const cs_source *source, cs_status code, int64_t offset, cs_error *err,
                          const char *format, ...) CS_PRINTF(5, 6);

/* Opens a regular file. The caller closes it with cs_source_close. Errors: CS_ERROR_IO. */
cs_status cs_source_open(const char *path, cs_source *source, cs_error *err);
void cs_source_close(cs_source *source);

/* Reads bytes [offset, offset + size). Errors: CS_ERROR_FORMAT (past the end of the file),
 * CS_ERROR_IO (cannot be read, or the file became shorter). */
cs_status cs_source_read(const cs_source *source, uint64_t offset, void *out, size_t size,
                         cs_error *err);

/* As cs_source_read, into memory that the caller frees. `what` is for errors ("data.pkl").
 * Errors: CS_ERROR_MEMORY too. */
cs_status cs_source_load(const cs_source *source, uint64_t offset, size_t size, const char *what,
                         unsigned char **out, cs_error *err);

/* Size and time of the last change are as when the file was opened. Errors: CS_ERROR_IO. */
cs_status cs_source_unchanged(const cs_source *source, cs_error *err);

/* CRC-32 (zlib's) of bytes [offset, offset + size). Errors: as cs_source_read. */
cs_status cs_source_crc32(const cs_source *source, uint64_t offset, uint64_t size, uint32_t *crc,
                          cs_error *err);

/* SHA-256 of the whole file as lower-case hexadecimal (65 bytes with its NUL). */
cs_status cs_source_sha256(const cs_source *source, char out[65], cs_error *err);

/* Little-endian numbers at p. */
static inline uint32_t cs_le16(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}
static inline uint32_t cs_le32(const unsigned char *p) { return cs_le16(p) | cs_le16(p + 2) << 16; }
static inline uint64_t cs_le64(const unsigned char *p) {
    return (uint64_t)cs_le32(p) | (uint64_t)cs_le32(p + 4) << 32;
}

#endif
