/* zip_reader.h - the zip archives that torch.save writes, read strictly: what two readers could
 * understand differently is refused. Entries are stored (not compressed), tile the file from its
 * first byte to the central directory, and have one name each. */
#ifndef CS_ZIP_READER_H
#define CS_ZIP_READER_H

#include "source_file.h"

#define CS_ZIP_ENTRIES_MAX 65536

typedef struct cs_zip_entry {
    const char *name; /* NUL-terminated, checked */
    uint64_t local_offset, data_offset, size;
    uint32_t crc;
    uint32_t flags;
} cs_zip_entry;

typedef struct cs_zip {
    const cs_source *source;
    unsigned char *directory; /* the central directory's bytes */
    uint64_t directory_offset, directory_size;
    char *names;
    cs_zip_entry *entries; /* in the central directory's order */
    size_t count;
    uint32_t *by_name; /* indices sorted by name without case */
    bool crc_absent;   /* every CRC is 0: written without (torch's compute_crc32=False) */
} cs_zip;

/* Reads and checks the structure of the whole archive, not the CRCs of its data. The source must
 * outlive the archive; the caller frees it with cs_zip_close, also after an error.
 * Errors: CS_ERROR_FORMAT, CS_ERROR_UNSUPPORTED, CS_ERROR_LIMIT, CS_ERROR_IO, CS_ERROR_MEMORY. */
cs_status cs_zip_open(const cs_source *source, cs_zip *zip, cs_error *err);
void cs_zip_close(cs_zip *zip);

/* The entry of this very name, or NULL. */
const cs_zip_entry *cs_zip_find(const cs_zip *zip, const char *name);

/* Compares an entry's CRC-32 with the one computed from its data. Errors: CS_ERROR_FORMAT. */
cs_status cs_zip_check_crc(const cs_zip *zip, const cs_zip_entry *entry, uint32_t computed,
                           cs_error *err);

#endif
