/* zip_reader.c - end records, central directory, local headers. APPNOTE 4.3 names the fields.
 *
 * torch writes a zip64 end record into every file, data descriptors (flag bit 3) with zeros in the
 * local headers, and pads the local extra field so that data begins at multiples of 64. The central
 * directory is the truth; the local header and the descriptor must agree with it. */
#include "zip_reader.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "grow.h"

enum {
    END_SIZE = 22,
    LOCATOR_SIZE = 20,
    END64_SIZE = 56,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    FLAG_ENCRYPTED = 0x0001,
    FLAG_DESCRIPTOR = 0x0008,
    FLAG_UTF8 = 0x0800,
};
static const uint32_t SIGNATURE_END = 0x06054b50, SIGNATURE_LOCATOR = 0x07064b50,
                      SIGNATURE_END64 = 0x06064b50, SIGNATURE_CENTRAL = 0x02014b50,
                      SIGNATURE_LOCAL = 0x04034b50, SIGNATURE_DESCRIPTOR = 0x08074b50;

#define BAD(offset, ...)                                                                           \
    cs_source_error(zip->source, CS_ERROR_FORMAT, (int64_t)(offset), err, __VA_ARGS__)
#define REFUSE(offset, ...)                                                                        \
    cs_source_error(zip->source, CS_ERROR_UNSUPPORTED, (int64_t)(offset), err, __VA_ARGS__)

/* The last record is not where it must be: says what is there instead. */
static cs_status explain_missing_end(const cs_zip *zip, cs_error *err) {
    uint64_t size = zip->source->size;
    size_t tail_size = size < 65536 + END_SIZE ? (size_t)size : 65536 + END_SIZE;
    unsigned char *tail = NULL;
    CS_TRY(cs_source_load(zip->source, size - tail_size, tail_size, "the end of the file", &tail,
                          err));
    cs_status status = BAD(size, "no zip end record: the file is cut short; get it again");
    for (size_t i = tail_size < END_SIZE ? 0 : tail_size - END_SIZE + 1; i-- > 0;) {
        if (cs_le32(tail + i) != SIGNATURE_END)
            continue;
        uint64_t end = size - tail_size + i + END_SIZE, comment = cs_le16(tail + i + 20);
        if (end + comment > size)
            status = BAD(end - 2, "the zip comment of %llu bytes goes past the end of the file",
                         (unsigned long long)comment);
        else
            status = BAD(end, "%llu bytes behind the zip end record, where torch.save writes none",
                         (unsigned long long)(size - end));
        break;
    }
    free(tail);
    return status;
}

typedef struct end_record {
    uint64_t offset; /* of the first end record: where the central directory must end */
    uint64_t count, directory_size, directory_offset;
} end_record;

/* A 32-bit field says the same as its 64-bit one, or that it is too small for it. */
static bool agrees(uint64_t narrow, uint64_t sentinel, uint64_t wide) {
    return narrow == wide || narrow == sentinel;
}

static cs_status read_end64(const cs_zip *zip, const unsigned char *end, const unsigned char *loc,
                            end_record *record, cs_error *err) {
    uint64_t locator = zip->source->size - END_SIZE - LOCATOR_SIZE;
    uint64_t offset = cs_le64(loc + 8);
    if (locator < END64_SIZE || offset != locator - END64_SIZE)
        return BAD(locator + 8,
                   "the zip64 locator points to %llu, but the zip64 end record must "
                   "stand before it",
                   (unsigned long long)offset);
    if (cs_le32(loc + 4) != 0 || cs_le32(loc + 16) > 1)
        return BAD(locator, "a zip archive in several parts");
    unsigned char end64[END64_SIZE];
    CS_TRY(cs_source_read(zip->source, offset, end64, sizeof end64, err));
    if (cs_le32(end64) != SIGNATURE_END64 || cs_le64(end64 + 4) != END64_SIZE - 12)
        return BAD(offset, "not the zip64 end record that the locator promises");
    if (cs_le32(end64 + 16) != 0 || cs_le32(end64 + 20) != 0 ||
        cs_le64(end64 + 24) != cs_le64(end64 + 32))
        return BAD(offset + 16, "a zip archive in several parts");
    *record = (end_record){.offset = offset,
                           .count = cs_le64(end64 + 32),
                           .directory_size = cs_le64(end64 + 40),
                           .directory_offset = cs_le64(end64 + 48)};
    if (!agrees(cs_le16(end + 10), 0xFFFF, record->count) ||
        !agrees(cs_le32(end + 12), 0xFFFFFFFF, record->directory_size) ||
        !agrees(cs_le32(end + 16), 0xFFFFFFFF, record->directory_offset))
        return BAD(offset, "the zip64 and the 32-bit end record disagree");
    return CS_OK;
}

static cs_status read_end(const cs_zip *zip, end_record *record, cs_error *err) {
    uint64_t size = zip->source->size;
    if (size < END_SIZE)
        return explain_missing_end(zip, err);
    unsigned char end[END_SIZE], locator[LOCATOR_SIZE];
    CS_TRY(cs_source_read(zip->source, size - END_SIZE, end, sizeof end, err));
    if (cs_le32(end) != SIGNATURE_END || cs_le16(end + 20) != 0)
        return explain_missing_end(zip, err);
    if (cs_le16(end + 4) != 0 || cs_le16(end + 6) != 0 || cs_le16(end + 8) != cs_le16(end + 10))
        return BAD(size - END_SIZE + 4, "a zip archive in several parts");
    *record = (end_record){.offset = size - END_SIZE,
                           .count = cs_le16(end + 10),
                           .directory_size = cs_le32(end + 12),
                           .directory_offset = cs_le32(end + 16)};
    if (size >= END_SIZE + LOCATOR_SIZE) {
        CS_TRY(cs_source_read(zip->source, size - END_SIZE - LOCATOR_SIZE, locator, sizeof locator,
                              err));
        if (cs_le32(locator) == SIGNATURE_LOCATOR)
            CS_TRY(read_end64(zip, end, locator, record, err));
    }
    if (record->count > CS_ZIP_ENTRIES_MAX)
        return cs_source_error(zip->source, CS_ERROR_LIMIT, (int64_t)record->offset, err,
                               "%llu zip entries, more than this program's limit of %d",
                               (unsigned long long)record->count, CS_ZIP_ENTRIES_MAX);
    if (record->directory_offset > record->offset ||
        record->directory_size != record->offset - record->directory_offset)
        return BAD(record->offset,
                   "the central directory (%llu bytes at %llu) does not end where "
                   "the end record begins",
                   (unsigned long long)record->directory_size,
                   (unsigned long long)record->directory_offset);
    return CS_OK;
}

/* Names are never used as paths; a name that could be taken for one outside is refused all the
 * same, since the file was made to deceive some reader. */
static cs_status check_name(const cs_zip *zip, const char *name, size_t length, uint64_t offset,
                            cs_error *err) {
    bool bad = length == 0 || name[0] == '/' || (length > 1 && name[1] == ':');
    for (size_t i = 0; i < length && !bad; ++i) {
        unsigned char c = (unsigned char)name[i];
        bool part = i == 0 || name[i - 1] == '/';
        bool dots = part && i + 1 < length && name[i] == '.' && name[i + 1] == '.' &&
                    (i + 2 == length || name[i + 2] == '/');
        bad = c < 0x20 || c == 0x7F || c == '\\' || dots;
    }
    if (bad)
        return BAD(offset, "the entry name \"%.*s\" is not one that torch.save writes",
                   (int)(length < 80 ? length : 80), name);
    return CS_OK;
}

/* Walks an extra field; for zip64 (id 1) hands out its bytes. */
static cs_status check_extra(const cs_zip *zip, const unsigned char *extra, size_t size,
                             uint64_t offset, const unsigned char **zip64, size_t *zip64_size,
                             cs_error *err) {
    *zip64 = NULL;
    *zip64_size = 0;
    for (size_t i = 0; i < size;) {
        if (size - i < 4 || cs_le16(extra + i + 2) > size - i - 4)
            return BAD(offset + i, "an extra field that goes past its header");
        size_t length = cs_le16(extra + i + 2);
        if (cs_le16(extra + i) == 1) {
            if (*zip64)
                return BAD(offset + i, "two zip64 extra fields in one header");
            *zip64 = extra + i + 4;
            *zip64_size = length;
        }
        i += 4 + length;
    }
    return CS_OK;
}

/* Takes the next 8-byte field of a zip64 extra field where the 32-bit one says that it stands
 * there. */
static bool widen(uint64_t *value, const unsigned char **zip64, size_t *left) {
    if (*value != 0xFFFFFFFF || !*zip64)
        return *value != 0xFFFFFFFF;
    if (*left < 8)
        return false;
    *value = cs_le64(*zip64);
    *zip64 += 8;
    *left -= 8;
    return true;
}

static cs_status check_kind(const cs_zip *zip, const unsigned char *header, uint64_t at,
                            cs_error *err) {
    uint32_t flags = cs_le16(header + 8), method = cs_le16(header + 10);
    if (flags & (FLAG_ENCRYPTED | 0x0040 | 0x2000))
        return REFUSE(at + 8, "an encrypted zip entry");
    if (flags & ~(uint32_t)(FLAG_DESCRIPTOR | FLAG_UTF8))
        return REFUSE(at + 8, "zip flags 0x%04x, where torch.save writes 0x0808", flags);
    if (method == 8)
        return REFUSE(at + 10,
                      "a compressed zip entry, where torch.save stores; unpack the "
                      "archive and pack it again with \"zip -0 -r\", or save it again in Python: "
                      "torch.save(torch.load(f), g)");
    if (method != 0)
        return REFUSE(at + 10, "the zip method %u, where torch.save stores (0)", method);
    if (cs_le16(header + 34) != 0)
        return BAD(at + 34, "a zip archive in several parts");
    return CS_OK;
}

/* A program rather than weights; its code is often compressed, so this is asked first. */
static bool is_torchscript(const char *name, size_t size) {
    static const char end[] = "/constants.pkl";
    const size_t length = sizeof end - 1;
    return memmem(name, size, "/code/", 6) ||
           (size > length && memcmp(name + size - length, end, length) == 0);
}

/* One header of the central directory at `at` bytes into it; *next is where it ends. */
static cs_status read_central(cs_zip *zip, cs_zip_entry *entry, char **names, size_t at,
                              size_t *next, cs_error *err) {
    const unsigned char *header = zip->directory + at;
    uint64_t offset = zip->directory_offset + at;
    size_t left = (size_t)zip->directory_size - at;
    if (left < CENTRAL_SIZE)
        return BAD(offset, "the central directory has fewer entries than the end record says");
    if (cs_le32(header) != SIGNATURE_CENTRAL)
        return BAD(offset, "not a central directory header");
    size_t name = cs_le16(header + 28), extra = cs_le16(header + 30);
    size_t comment = cs_le16(header + 32);
    if (name + extra + comment > left - CENTRAL_SIZE)
        return BAD(offset + 28, "a name or extra field that goes past the central directory");
    const char *text = (const char *)header + CENTRAL_SIZE;
    CS_TRY(check_name(zip, text, name, offset + CENTRAL_SIZE, err));
    if (is_torchscript(text, name))
        return REFUSE(offset, "a TorchScript archive; save the weights in Python: "
                              "torch.save(torch.jit.load(f).state_dict(), \"model.pth\")");
    CS_TRY(check_kind(zip, header, offset, err));
    const unsigned char *zip64;
    size_t zip64_size;
    CS_TRY(check_extra(zip, header + CENTRAL_SIZE + name, extra, offset + CENTRAL_SIZE + name,
                       &zip64, &zip64_size, err));
    uint64_t stored = cs_le32(header + 20), size = cs_le32(header + 24);
    uint64_t local = cs_le32(header + 42);
    if (!widen(&size, &zip64, &zip64_size) || !widen(&stored, &zip64, &zip64_size) ||
        !widen(&local, &zip64, &zip64_size))
        return BAD(offset, "a 64-bit size without its zip64 extra field");
    if (stored != size)
        return BAD(offset + 20, "a stored entry of %llu bytes that says to unpack to %llu",
                   (unsigned long long)stored, (unsigned long long)size);
    memcpy(*names, text, name);
    (*names)[name] = '\0';
    *entry = (cs_zip_entry){.name = *names,
                            .local_offset = local,
                            .size = size,
                            .crc = cs_le32(header + 16),
                            .flags = cs_le16(header + 8)};
    *names += name + 1;
    *next = at + CENTRAL_SIZE + name + extra + comment;
    return CS_OK;
}

static cs_status read_directory(cs_zip *zip, size_t count, cs_error *err) {
    CS_TRY(cs_source_load(zip->source, zip->directory_offset, (size_t)zip->directory_size,
                          "the central directory", &zip->directory, err));
    zip->entries = calloc(count + 1, sizeof *zip->entries);
    zip->by_name = calloc(count + 1, sizeof *zip->by_name);
    zip->names = malloc((size_t)zip->directory_size + 1);
    if (!zip->entries || !zip->by_name || !zip->names)
        return cs_source_error(zip->source, CS_ERROR_MEMORY, -1, err, "no memory for %zu entries",
                               count);
    char *names = zip->names;
    size_t at = 0;
    for (; zip->count < count; ++zip->count)
        CS_TRY(read_central(zip, &zip->entries[zip->count], &names, at, &at, err));
    if (at != zip->directory_size)
        return BAD(zip->directory_offset + at,
                   "the central directory has more than the %zu entries of the end record", count);
    return CS_OK;
}

/* The local header's own sizes and CRC: zero where a descriptor follows, else the central ones. */
static cs_status check_local_sizes(const cs_zip *zip, const cs_zip_entry *entry,
                                   const unsigned char *header, const unsigned char *zip64,
                                   size_t zip64_size, cs_error *err) {
    uint64_t size = cs_le32(header + 22), stored = cs_le32(header + 18);
    uint32_t crc = cs_le32(header + 14);
    if ((entry->flags & FLAG_DESCRIPTOR) && (size == 0 || size == 0xFFFFFFFF))
        return CS_OK; /* not known when the header was written */
    if (!widen(&size, &zip64, &zip64_size) || !widen(&stored, &zip64, &zip64_size) ||
        size != entry->size || stored != entry->size || crc != entry->crc)
        return BAD(entry->local_offset + 14,
                   "%s: size or CRC of the local header are not the central directory's",
                   entry->name);
    return CS_OK;
}

static cs_status check_descriptor(const cs_zip *zip, const cs_zip_entry *entry, uint64_t offset,
                                  uint64_t size, cs_error *err) {
    unsigned char d[24] = {0};
    if (size != 16 && size != 24)
        return BAD(offset,
                   "%s: %llu bytes between this entry and the next, where a data "
                   "descriptor of 16 or 24 was expected",
                   entry->name, (unsigned long long)size);
    CS_TRY(cs_source_read(zip->source, offset, d, (size_t)size, err));
    uint64_t stored = size == 16 ? cs_le32(d + 8) : cs_le64(d + 8);
    uint64_t full = size == 16 ? cs_le32(d + 12) : cs_le64(d + 16);
    if (cs_le32(d) != SIGNATURE_DESCRIPTOR || cs_le32(d + 4) != entry->crc ||
        stored != entry->size || full != entry->size)
        return BAD(offset, "%s: the data descriptor is not what the central directory says",
                   entry->name);
    return CS_OK;
}

/* The local header at entry->local_offset; the entry must end exactly at `end`. */
static cs_status read_local(const cs_zip *zip, cs_zip_entry *entry, uint64_t end, cs_error *err) {
    uint64_t at = entry->local_offset;
    unsigned char header[LOCAL_SIZE];
    CS_TRY(cs_source_read(zip->source, at, header, sizeof header, err));
    if (cs_le32(header) != SIGNATURE_LOCAL)
        return BAD(at, "%s: no local header where the central directory says", entry->name);
    size_t name = cs_le16(header + 26), extra = cs_le16(header + 28);
    unsigned char *rest = NULL;
    CS_TRY(
        cs_source_load(zip->source, at + LOCAL_SIZE, name + extra, "a local header", &rest, err));
    const unsigned char *zip64;
    size_t zip64_size;
    cs_status status = CS_OK;
    if (name != strlen(entry->name) || memcmp(rest, entry->name, name) != 0)
        status = BAD(at + LOCAL_SIZE, "%s has another name in its local header", entry->name);
    else if (cs_le16(header + 8) != 0 || cs_le16(header + 6) != entry->flags)
        status =
            BAD(at + 6, "%s: flags or method differ from the central directory's", entry->name);
    if (status == CS_OK)
        status =
            check_extra(zip, rest + name, extra, at + LOCAL_SIZE + name, &zip64, &zip64_size, err);
    if (status == CS_OK)
        status = check_local_sizes(zip, entry, header, zip64, zip64_size, err);
    free(rest);
    CS_TRY(status);
    entry->data_offset = at + LOCAL_SIZE + name + extra;
    if (entry->data_offset > end || entry->size > end - entry->data_offset)
        return BAD(at,
                   "%s: %llu bytes of data do not fit before the next entry, which begins at "
                   "%llu",
                   entry->name, (unsigned long long)entry->size, (unsigned long long)end);
    uint64_t behind = end - entry->data_offset - entry->size;
    if (entry->flags & FLAG_DESCRIPTOR)
        return check_descriptor(zip, entry, end - behind, behind, err);
    if (behind != 0)
        return BAD(end - behind, "%s: %llu bytes behind it belong to no entry", entry->name,
                   (unsigned long long)behind);
    return CS_OK;
}

static int compare_offsets(const void *a, const void *b) {
    const cs_zip_entry *x = *(cs_zip_entry *const *)a, *y = *(cs_zip_entry *const *)b;
    return x->local_offset < y->local_offset ? -1 : x->local_offset > y->local_offset;
}

/* The entries tile [0, central directory) without overlap and without holes. */
static cs_status check_tiling(const cs_zip *zip, cs_zip_entry **order, cs_error *err) {
    for (size_t i = 0; i < zip->count; ++i)
        order[i] = &zip->entries[i];
    qsort(order, zip->count, sizeof *order, compare_offsets);
    if (zip->count > 0 && order[0]->local_offset != 0)
        return BAD(0, "%llu bytes before the first zip entry",
                   (unsigned long long)order[0]->local_offset);
    for (size_t i = 0; i < zip->count; ++i) {
        uint64_t end = i + 1 < zip->count ? order[i + 1]->local_offset : zip->directory_offset;
        if (order[i]->local_offset > zip->directory_offset)
            return BAD(zip->directory_offset, "%s begins behind the central directory",
                       order[i]->name);
        CS_TRY(read_local(zip, order[i], end, err));
    }
    return CS_OK;
}

static bool before(const void *context, uint32_t a, uint32_t b) {
    const cs_zip_entry *entries = context;
    return strcasecmp(entries[a].name, entries[b].name) <= 0;
}

static cs_status check_names(const cs_zip *zip, uint32_t *scratch, cs_error *err) {
    cs_sort_indices(zip->by_name, scratch, zip->count, before, zip->entries);
    for (size_t i = 1; i < zip->count; ++i) {
        const cs_zip_entry *a = &zip->entries[zip->by_name[i - 1]];
        const cs_zip_entry *b = &zip->entries[zip->by_name[i]];
        if (strcasecmp(a->name, b->name) == 0)
            return BAD(b->local_offset, "two zip entries named \"%s\" and \"%s\"", a->name,
                       b->name);
    }
    return CS_OK;
}

cs_status cs_zip_open(const cs_source *source, cs_zip *zip, cs_error *err) {
    *zip = (cs_zip){.source = source};
    end_record end = {0};
    CS_TRY(read_end(zip, &end, err));
    zip->directory_offset = end.directory_offset;
    zip->directory_size = end.directory_size;
    CS_TRY(read_directory(zip, (size_t)end.count, err));
    void *scratch = malloc((zip->count + 1) * sizeof(void *));
    if (!scratch)
        return cs_source_error(source, CS_ERROR_MEMORY, -1, err, "no memory");
    cs_status status = check_names(zip, scratch, err);
    if (status == CS_OK)
        status = check_tiling(zip, scratch, err);
    free(scratch);
    CS_TRY(status);
    bool data = false;
    zip->crc_absent = true;
    for (size_t i = 0; i < zip->count; ++i) {
        data = data || zip->entries[i].size > 0;
        zip->crc_absent = zip->crc_absent && zip->entries[i].crc == 0;
    }
    zip->crc_absent = zip->crc_absent && data;
    return CS_OK;
}

void cs_zip_close(cs_zip *zip) {
    free(zip->directory);
    free(zip->names);
    free(zip->entries);
    free(zip->by_name);
    *zip = (cs_zip){0};
}

const cs_zip_entry *cs_zip_find(const cs_zip *zip, const char *name) {
    size_t low = 0, high = zip->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const cs_zip_entry *entry = &zip->entries[zip->by_name[middle]];
        int order = strcasecmp(name, entry->name);
        if (order == 0)
            return strcmp(name, entry->name) == 0 ? entry : NULL;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

cs_status cs_zip_check_crc(const cs_zip *zip, const cs_zip_entry *entry, uint32_t computed,
                           cs_error *err) {
    if (zip->crc_absent || computed == entry->crc)
        return CS_OK;
    return BAD(entry->data_offset,
               "%s: the CRC-32 is %08x, but the archive says %08x: the file is "
               "damaged, get it again",
               entry->name, (unsigned)computed, (unsigned)entry->crc);
}
