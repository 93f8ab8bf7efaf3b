/* model.c - opening a model: manifest, binary, identity, bounds; and what a model tells of itself.
 *
 * Everything is validated before the binary is mapped, from one file descriptor.
 */
#include "model.h"
#include "params.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_SIZE 64

/* Opens the binary beside the manifest, without following a link. */
static cs_status open_binary(const cs_model *model, const char *manifest_path, int *fd,
                             cs_error *err) {
    const char *slash = strrchr(manifest_path, '/');
    const size_t folder = slash ? (size_t)(slash - manifest_path) + 1 : 0;
    const size_t length = strlen(model->bin_file);
    char *path = malloc(folder + length + 1);
    CS_CHECK(path, CS_ERROR_MEMORY, "not enough memory to open the binary");
    memcpy(path, manifest_path, folder);
    memcpy(path + folder, model->bin_file, length + 1);
    /* O_NONBLOCK: a FIFO must not make us wait; it is refused below. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const int reason = errno;
    free(path);
    if (*fd < 0)
        return cs_error_set(err, CS_ERROR_IO, model->bin_file, -1,
                            "%s: cannot open the binary that %s names: %s%s", model->bin_file,
                            model->path, strerror(reason),
                            reason == ELOOP ? " (a symbolic link is not followed)" : "");
    return CS_OK;
}

static cs_status read_whole(int fd, const char *file, void *to, size_t size, cs_error *err) {
    for (size_t done = 0; done < size;) {
        const ssize_t got = pread(fd, (char *)to + done, size - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return cs_error_set(err, CS_ERROR_IO, file, (int64_t)done,
                                "%s: reading failed at byte %zu of %zu: %s", file, done, size,
                                got < 0 ? strerror(errno) : "the file became shorter");
        done += (size_t)got;
    }
    return CS_OK;
}

static cs_status check_header(const cs_model *model, const unsigned char *header, cs_error *err) {
    uint64_t size = 0;
    uint32_t header_size = 0;
    for (int i = 7; i >= 0; i--)
        size = size << 8 | header[16 + i];
    for (int i = 3; i >= 0; i--)
        header_size = header_size << 8 | header[12 + i];
    if (memcmp(header, "CNNSCOPE", 8) != 0)
        return cs_error_set(err, CS_ERROR_FORMAT, model->bin_file, 0,
                            "%s: does not begin with \"CNNSCOPE\": not a binary of cnnscope",
                            model->bin_file);
    if (memcmp(header + 8, "\x04\x03\x02\x01", 4) != 0)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, model->bin_file, 8,
                            "%s: the byte order mark is not that of a little-endian file",
                            model->bin_file);
    if (header_size != HEADER_SIZE || size != model->bin_size)
        return cs_error_set(
            err, CS_ERROR_FORMAT, model->bin_file, 12,
            "%s: its header states %u header bytes and %llu in all; %d and %zu were "
            "expected",
            model->bin_file, (unsigned)header_size, (unsigned long long)size, HEADER_SIZE,
            model->bin_size);
    if (memcmp(header + 24, model->bin_id, 16) != 0)
        return cs_error_set(err, CS_ERROR_MISMATCH, model->bin_file, 24,
                            "%s: its identity is not the one that %s states: the two files do not "
                            "belong together; convert the checkpoint again",
                            model->bin_file, model->path);
    return CS_OK;
}

static cs_status load_binary(cs_model *model, int fd, bool no_mmap, cs_error *err) {
    unsigned char header[HEADER_SIZE];
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return cs_error_set(err, CS_ERROR_IO, model->bin_file, -1, "%s: not a regular file",
                            model->bin_file);
    if ((uint64_t)st.st_size != model->bin_size)
        return cs_error_set(err, CS_ERROR_FORMAT, model->bin_file, -1,
                            "%s: has %lld bytes; the manifest states %zu: the copy is incomplete, "
                            "or the files do not belong together",
                            model->bin_file, (long long)st.st_size, model->bin_size);
    CS_TRY(read_whole(fd, model->bin_file, header, sizeof header, err));
    CS_TRY(check_header(model, header, err));
    if (no_mmap) {
        model->map = aligned_alloc(64, cs_align64(model->bin_size));
        CS_CHECK(model->map, CS_ERROR_MEMORY, "%s: not enough memory for %zu bytes",
                 model->bin_file, model->bin_size);
        return read_whole(fd, model->bin_file, model->map, model->bin_size, err);
    }
    void *map = mmap(NULL, model->bin_size, PROT_READ, MAP_PRIVATE, fd, 0);
    CS_CHECK(map != MAP_FAILED, CS_ERROR_MEMORY, "%s: cannot map %zu bytes: %s", model->bin_file,
             model->bin_size, strerror(errno));
    model->map = map;
    model->mapped = true;
    return CS_OK;
}

void model_release_pages(const cs_model *model) {
    if (model->mapped)
        (void)madvise(model->map, model->bin_size, MADV_DONTNEED);
}

static cs_status read_manifest(cs_model *model, const char *path, cs_error *err) {
    const char *slash = strrchr(path, '/');
    (void)snprintf(model->path, sizeof model->path, "%s", slash ? slash + 1 : path);
    CS_TRY(cs_file_read(path, MODEL_MANIFEST_LIMIT, &model->text, &model->text_size, err));
    cs_sha256_hex(model->text, model->text_size, model->manifest_sha256);
    return manifest_parse(model, err);
}

/* What both ways of opening end with, once the binary is in its place: the tensors' data, shapes
 * and parameters. */
static cs_status finish_open(cs_model *model, cs_error *err) {
    for (int i = 0; i < model->tensor_count; i++)
        model->tensors[i].data =
            (const float *)(const void *)((const char *)model->map + model->offsets[i]);
    model->shapes = calloc((size_t)model->node_count, sizeof *model->shapes);
    CS_CHECK(model->shapes, CS_ERROR_MEMORY, "not enough memory for the shapes");
    CS_TRY(graph_shapes(model, 0, 0, model->shapes, err));
    if (model->shapes[model->output].c != model->class_count)
        return cs_error_set(err, CS_ERROR_MISMATCH, model->path, -1,
                            "%s: the output \"%s\" has %lld channels, and num_classes is %lld",
                            model->path, model->nodes[model->output].name,
                            (long long)model->shapes[model->output].c,
                            (long long)model->class_count);
    CS_TRY(params_create(model, &model->params, err));
    graph_find_default_layer(model);
    return CS_OK;
}

cs_status cs_model_open(const char *path, const cs_model_options *options, cs_model **out,
                        cs_error *err) {
    int fd = -1;
    cs_model *model = calloc(1, sizeof *model);
    CS_CHECK(model, CS_ERROR_MEMORY, "not enough memory for a model");
    cs_status status = read_manifest(model, path, err);
    if (status == CS_OK)
        status = open_binary(model, path, &fd, err);
    if (status == CS_OK)
        status = load_binary(model, fd, options && options->no_mmap, err);
    if (fd >= 0)
        close(fd);
    if (status == CS_OK)
        status = finish_open(model, err);
    if (status != CS_OK) {
        cs_model_free(model);
        return status;
    }
    *out = model;
    return CS_OK;
}

/* Copies the manifest (the parser needs a NUL behind it) and parses it. */
static cs_status copy_manifest(cs_model *model, const char *name, const void *text, size_t size,
                               cs_error *err) {
    (void)snprintf(model->path, sizeof model->path, "%s", name);
    if (size > MODEL_MANIFEST_LIMIT)
        return cs_error_set(err, CS_ERROR_LIMIT, name, -1,
                            "%s: has %zu bytes; a manifest has at most %u", name, size,
                            MODEL_MANIFEST_LIMIT);
    model->text = malloc(size + 1);
    CS_CHECK(model->text, CS_ERROR_MEMORY, "%s: not enough memory for the manifest", name);
    memcpy(model->text, text, size);
    model->text[size] = '\0';
    model->text_size = size;
    cs_sha256_hex(text, size, model->manifest_sha256);
    return manifest_parse(model, err);
}

static cs_status borrow_binary(cs_model *model, const void *bin, size_t size, cs_error *err) {
    if (size != model->bin_size || size < HEADER_SIZE)
        return cs_error_set(err, CS_ERROR_FORMAT, model->bin_file, -1,
                            "%s: %zu bytes were given; the manifest states %zu", model->bin_file,
                            size, model->bin_size);
    CS_TRY(check_header(model, bin, err));
    model->map = (void *)(uintptr_t)bin; /* never written to: a model is read-only */
    model->borrowed = true;
    return CS_OK;
}

cs_status cs_model_open_memory(const char *name, const void *manifest, size_t manifest_size,
                               const void *bin, size_t bin_size, cs_model **out, cs_error *err) {
    CS_CHECK(((uintptr_t)bin & 63) == 0, CS_ERROR_ARGUMENT,
             "%s: the binary in memory does not begin at a multiple of 64 bytes", name);
    cs_model *model = calloc(1, sizeof *model);
    CS_CHECK(model, CS_ERROR_MEMORY, "not enough memory for a model");
    cs_status status = copy_manifest(model, name, manifest, manifest_size, err);
    if (status == CS_OK)
        status = borrow_binary(model, bin, bin_size, err);
    if (status == CS_OK)
        status = finish_open(model, err);
    if (status != CS_OK) {
        cs_model_free(model);
        return status;
    }
    *out = model;
    return CS_OK;
}

cs_status cs_model_verify_hash(const cs_model *model, cs_error *err) {
    char hex[CS_SHA256_HEX_SIZE];
    for (int i = 0; i < model->tensor_count; i++) {
        const cs_tensor_info *t = &model->tensors[i];
        const uint32_t crc = cs_crc32(t->data, (size_t)t->count * sizeof *t->data);
        if (crc != model->crcs[i])
            return cs_error_set(
                err, CS_ERROR_FORMAT, t->name, (int64_t)model->offsets[i],
                "%s: the CRC-32 of tensor %s is %08x; the manifest states %08x: the "
                "file was damaged after the conversion",
                model->bin_file, t->name, (unsigned)crc, (unsigned)model->crcs[i]);
    }
    cs_sha256_hex(model->map, model->bin_size, hex);
    if (strcmp(hex, model->bin_sha256) != 0)
        return cs_error_set(err, CS_ERROR_FORMAT, model->bin_file, -1,
                            "%s: its SHA-256 is %s; the manifest states %s", model->bin_file, hex,
                            model->bin_sha256);
    return CS_OK;
}

const cs_preprocess *cs_model_preprocess(const cs_model *model) { return &model->preprocess; }
int64_t cs_model_class_count(const cs_model *model) { return model->class_count; }
const char *cs_model_class_name(const cs_model *model, int64_t index) {
    return model->class_names && index >= 0 && index < model->class_count
               ? model->class_names[index]
               : NULL;
}
const char *cs_model_architecture(const cs_model *model) { return model->architecture; }
const float *cs_model_golden(const cs_model *model, int64_t *count) {
    *count = model->golden_count;
    return model->golden;
}
const char *cs_model_binary_sha256(const cs_model *model) { return model->bin_sha256; }
const char *cs_model_manifest_sha256(const cs_model *model) { return model->manifest_sha256; }
const char *cs_model_manifest_text(const cs_model *model) { return model->text; }
const char *cs_model_default_layer(const cs_model *model) { return model->default_layer; }
int cs_model_tensor_count(const cs_model *model) { return model->tensor_count; }
const cs_tensor_info *cs_model_tensor(const cs_model *model, int index) {
    return &model->tensors[index];
}
int cs_model_node_count(const cs_model *model) { return model->node_count; }
const cs_node_info *cs_model_node(const cs_model *model, int index) { return &model->nodes[index]; }
int cs_model_output_node(const cs_model *model) { return model->output; }
cs_params *cs_model_params(const cs_model *model) { return model->params; }
