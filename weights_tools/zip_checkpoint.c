/* zip_checkpoint.c - the records of a zip checkpoint (torch >= 1.6): one top folder with data.pkl,
 * version, byteorder, and the storages' bytes in data/<key>. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "cnnscope_support.h"

#define BAD(offset, ...)                                                                           \
    cs_source_error(&c->source, CS_ERROR_FORMAT, (int64_t)(offset), err, __VA_ARGS__)
#define REFUSE(offset, ...)                                                                        \
    cs_source_error(&c->source, CS_ERROR_UNSUPPORTED, (int64_t)(offset), err, __VA_ARGS__)

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* The folder of the only data.pkl, which must be everybody's. */
static cs_status find_folder(cs_checkpoint *c, cs_error *err) {
    const cs_zip_entry *pickle = NULL;
    for (size_t i = 0; i < c->zip.count; ++i) {
        const cs_zip_entry *entry = &c->zip.entries[i];
        if (!ends_with(entry->name, "/data.pkl"))
            continue;
        if (pickle)
            return BAD(entry->local_offset, "two records named data.pkl: %s and %s", pickle->name,
                       entry->name);
        pickle = entry;
    }
    if (!pickle)
        return BAD(0, "a zip archive without data.pkl: not written by torch.save");
    size_t length = strlen(pickle->name) - strlen("data.pkl");
    c->folder = strndup(pickle->name, length);
    if (!c->folder)
        return cs_source_error(&c->source, CS_ERROR_MEMORY, -1, err, "no memory");
    for (size_t i = 0; i < c->zip.count; ++i) {
        const char *name = c->zip.entries[i].name;
        if (strncmp(name, c->folder, length) != 0)
            return BAD(c->zip.entries[i].local_offset, "the entry %s is outside the folder %s",
                       name, c->folder);
    }
    return CS_OK;
}

static const cs_zip_entry *find_record(const cs_checkpoint *c, const char *name) {
    char path[1024];
    int length = snprintf(path, sizeof path, "%s%s", c->folder, name);
    return length > 0 && (size_t)length < sizeof path ? cs_zip_find(&c->zip, path) : NULL;
}

/* A record of a few bytes of text, without the white space at its end. */
static cs_status read_text(cs_checkpoint *c, const cs_zip_entry *entry, char *text, size_t size,
                           cs_error *err) {
    if (entry->size >= size)
        return BAD(entry->data_offset, "%s has %llu bytes, where a word was expected", entry->name,
                   (unsigned long long)entry->size);
    size_t length = (size_t)entry->size;
    CS_TRY(cs_source_read(&c->source, entry->data_offset, text, length, err));
    uint32_t crc = cs_crc32(text, length);
    CS_TRY(cs_zip_check_crc(&c->zip, entry, crc, err));
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
        --length;
    text[length] = '\0';
    return CS_OK;
}

static cs_status check_version(cs_checkpoint *c, cs_error *err) {
    enum { OLDEST = 1, NEWEST = 10 };
    const cs_zip_entry *entry = find_record(c, "version");
    if (!entry)
        entry = find_record(c, ".data/version");
    if (!entry)
        return BAD(0, "a zip archive with data.pkl but without version: not written by torch.save");
    char text[16], *end;
    CS_TRY(read_text(c, entry, text, sizeof text, err));
    long version = strtol(text, &end, 10);
    if (end == text || *end != '\0')
        return BAD(entry->data_offset, "%s is not a number", entry->name);
    if (version < OLDEST || version > NEWEST)
        return REFUSE(entry->data_offset,
                      "version %ld of torch.save's format, where %d to %d are "
                      "known",
                      version, OLDEST, NEWEST);
    return CS_OK;
}

static cs_status check_byteorder(cs_checkpoint *c, cs_error *err) {
    const cs_zip_entry *entry = find_record(c, "byteorder");
    if (!entry)
        return CS_OK; /* before torch 2.1: little */
    char text[16];
    CS_TRY(read_text(c, entry, text, sizeof text, err));
    c->big_endian = strcmp(text, "big") == 0;
    if (!c->big_endian && strcmp(text, "little") != 0)
        return BAD(entry->data_offset, "byte order \"%s\", where little or big was expected", text);
    return CS_OK;
}

/* Every storage of the pickle has its record, of the right size. */
static cs_status locate_storages(cs_checkpoint *c, cs_error *err) {
    for (size_t i = 0; i < c->pickle.storage_count; ++i) {
        cs_storage *storage = &c->pickle.storages[i];
        char name[80];
        snprintf(name, sizeof name, "data/%s", storage->key);
        const cs_zip_entry *entry = find_record(c, name);
        if (!entry)
            return BAD(0, "%s%s is missing: the file is damaged or incomplete, get it again",
                       c->folder, name);
        uint64_t bytes;
        if (__builtin_mul_overflow(storage->numel, cs_element_size(storage->element), &bytes) ||
            bytes != entry->size)
            return BAD(entry->data_offset, "%s has %llu bytes, but data.pkl says %llu x %s",
                       entry->name, (unsigned long long)entry->size,
                       (unsigned long long)storage->numel, cs_element_name(storage->element));
        storage->offset = entry->data_offset;
        storage->entry = entry;
        storage->located = true;
    }
    return CS_OK;
}

cs_status cs_checkpoint_open_zip(cs_checkpoint *c, cs_error *err) {
    c->format = "torch-zip";
    CS_TRY(cs_zip_open(&c->source, &c->zip, err));
    CS_TRY(find_folder(c, err));
    CS_TRY(check_version(c, err));
    CS_TRY(check_byteorder(c, err));
    const cs_zip_entry *entry = find_record(c, "data.pkl");
    if (!entry)
        return BAD(0, "the folder name %s is too long", c->folder);
    if (entry->size > CS_PICKLE_BYTES_MAX)
        return cs_source_error(&c->source, CS_ERROR_LIMIT, (int64_t)entry->data_offset, err,
                               "%s has %llu bytes, more than this program's limit of %u",
                               entry->name, (unsigned long long)entry->size, CS_PICKLE_BYTES_MAX);
    unsigned char *data = NULL;
    size_t size = (size_t)entry->size, at = 0;
    CS_TRY(cs_source_load(&c->source, entry->data_offset, size, "data.pkl", &data, err));
    CS_TRY(cs_pickle_init(&c->pickle, &c->source, data, size, entry->data_offset, false, err));
    CS_TRY(cs_zip_check_crc(&c->zip, entry, cs_crc32(data, size), err));
    CS_TRY(cs_pickle_run(&c->pickle, &at, &c->root, err));
    if (at != size)
        return BAD(entry->data_offset + at, "%zu bytes behind the end of data.pkl's pickle",
                   size - at);
    return locate_storages(c, err);
}
