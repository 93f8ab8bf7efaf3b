#include "diagnose_records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MAGIC 0x3167616964736373u /* "sscdiag1" */

static size_t round_up(size_t size) { return (size + 63) / 64 * 64; }

diagnose_layout diagnose_layout_make(int64_t classes, int64_t rows, int64_t map_rows,
                                     int64_t map_columns, cs_dtype dtype) {
    diagnose_layout l = {.classes = classes,
                         .rows = rows,
                         .map_rows = map_rows,
                         .map_columns = map_columns,
                         .dtype = dtype};
    l.logits = round_up(sizeof(diagnose_head));
    l.probabilities = l.logits + (size_t)classes * sizeof(double);
    l.row = round_up(l.probabilities + (size_t)classes * sizeof(double));
    l.map = round_up(l.row + (size_t)rows * sizeof(cs_diagnosis_row));
    l.size = round_up(l.map + (size_t)(rows * map_rows * map_columns) * cs_dtype_size(dtype) +
                      sizeof(uint32_t));
    return l;
}

cs_tensor diagnose_record_map(const diagnose_layout *layout, void *record, int64_t i) {
    size_t bytes = (size_t)(layout->map_rows * layout->map_columns) * cs_dtype_size(layout->dtype);
    return (cs_tensor){.dtype = layout->dtype,
                       .n = 1,
                       .c = 1,
                       .h = layout->map_rows,
                       .w = layout->map_columns,
                       .data = (char *)record + layout->map + (size_t)i * bytes};
}

static uint32_t checksum(const diagnose_layout *l, const void *record) {
    return cs_crc32(record, l->size - sizeof(uint32_t));
}

static bool is_valid(const diagnose_layout *l, const void *record, int64_t index) {
    const diagnose_head *head = record;
    uint32_t sum;
    memcpy(&sum, (const char *)record + l->size - sizeof sum, sizeof sum);
    return head->magic == MAGIC && head->index == index && sum == checksum(l, record);
}

static bool read_all(int file, void *data, size_t size, int64_t at) {
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(file, (char *)data + done, size - done, at + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* Counts the valid records and cuts off what follows. */
static cs_status keep_valid(diagnose_records *r, const char *path, cs_error *err) {
    void *record = malloc(r->layout.size);
    CS_CHECK(record, CS_ERROR_MEMORY, "no memory for a record of %zu bytes", r->layout.size);
    while (read_all(r->file, record, r->layout.size, r->count * (int64_t)r->layout.size) &&
           is_valid(&r->layout, record, r->count))
        r->count++;
    free(record);
    if (ftruncate(r->file, r->count * (int64_t)r->layout.size) != 0)
        return cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be cut to %lld records: %s",
                            path, (long long)r->count, strerror(errno));
    return CS_OK;
}

cs_status diagnose_records_open(diagnose_records *records, const char *path,
                                const diagnose_layout *layout, cs_error *err) {
    *records = (diagnose_records){.layout = *layout, .file = -1};
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0)
        return cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be opened: %s", path,
                            strerror(errno));
    records->file = file;
    cs_status status = CS_OK;
    if (flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        status = cs_error_set(err, CS_ERROR_OUTPUT, path, -1,
                              "%s: another process is writing it; wait for that, or end it", path);
    if (status == CS_OK)
        status = keep_valid(records, path, err);
    if (status != CS_OK)
        diagnose_records_close(records);
    return status;
}

void diagnose_records_close(diagnose_records *records) {
    if (records->file >= 0)
        close(records->file);
    records->file = -1;
}

cs_status diagnose_records_append(diagnose_records *records, void *record, cs_error *err) {
    const diagnose_layout *l = &records->layout;
    diagnose_head *head = record;
    head->magic = MAGIC;
    head->index = records->count;
    uint32_t sum = checksum(l, record);
    memcpy((char *)record + l->size - sizeof sum, &sum, sizeof sum);
    for (size_t done = 0; done < l->size;) {
        ssize_t n = pwrite(records->file, (const char *)record + done, l->size - done,
                           records->count * (int64_t)l->size + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        CS_CHECK(n > 0, CS_ERROR_OUTPUT, "cannot write a record: %s", strerror(errno));
        done += (size_t)n;
    }
    records->count++;
    return CS_OK;
}

cs_status diagnose_records_read(const diagnose_records *records, int64_t index, void *record,
                                cs_error *err) {
    const diagnose_layout *l = &records->layout;
    CS_CHECK(read_all(records->file, record, l->size, index * (int64_t)l->size), CS_ERROR_IO,
             "cannot read record %lld: %s", (long long)index, strerror(errno));
    CS_CHECK(is_valid(l, record, index), CS_ERROR_FORMAT,
             "record %lld was changed while the program ran", (long long)index);
    return CS_OK;
}
