/* fuzz_checkpoint.h - what the fuzz targets of checkpoints share: a file in memory, and reading
 * all that a checkpoint holds.
 */
#ifndef FUZZ_CHECKPOINT_H
#define FUZZ_CHECKPOINT_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "architecture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of a file in memory with these bytes; one file, over and over. */
static inline const char *fuzz_file(const uint8_t *data, size_t size) {
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzzed", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    return path;
}

/* An error is filled, or there is none. */
static inline bool fuzz_good(cs_status status, const cs_error *err) {
    if (status != CS_OK && (err->code != status || !err->text[0]))
        abort();
    return status == CS_OK;
}

/* Which network it is, and whether to the last tensor. */
static inline void fuzz_recognise(const cs_checkpoint *c) {
    cs_resnet_spec spec;
    cs_draft draft = {0};
    cs_error err = {0};
    if (fuzz_good(cs_architecture_recognise(c, NULL, &spec, &err), &err) &&
        fuzz_good(cs_architecture_draft(&spec, &draft, &err), &err))
        fuzz_good(cs_architecture_match(c, &spec, &draft, &err), &err);
    cs_draft_release(&draft);
}

/* Chooses the state_dict and reads every tensor of it. */
static inline void fuzz_read(cs_checkpoint *c) {
    cs_error err = {0};
    if (!fuzz_good(cs_checkpoint_select(c, NULL, &err), &err))
        return;
    fuzz_recognise(c);
    for (size_t i = 0; i < c->tensor_count; ++i) {
        const cs_stored_tensor *t = &c->pickle.tensors[c->tensors[i].tensor];
        if (cs_checkpoint_find(c, c->tensors[i].name) != (int64_t)i ||
            t->numel > c->source.size + (1u << 18)) /* the limit of cs_checkpoint_select */
            abort();
        float *values = malloc(((size_t)t->numel + 1) * sizeof *values);
        uint32_t crc;
        bool known = false;
        if (!values)
            abort();
        fuzz_good(cs_checkpoint_read(c, t, values, &crc, &known, &err), &err);
        free(values);
    }
}

/* The whole way: from a file's bytes to every value. */
static inline void fuzz_checkpoint(const uint8_t *data, size_t size) {
    cs_checkpoint c = {.source = {.fd = -1}};
    cs_error err = {0};
    if (fuzz_good(cs_checkpoint_open(fuzz_file(data, size), &c, &err), &err))
        fuzz_read(&c);
    cs_checkpoint_close(&c);
}

#endif
