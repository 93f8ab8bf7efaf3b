/* hostile_manifests.c - manifests and binaries with one thing wrong each (list MANIFEST/BIN): what
 * opening them must end with.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert_support.h"
#include "hostile_table.h"
#include "test_support.h"

/* A valid model in which the manifest's first `from` becomes `to`, or whose binary is damaged. */
typedef struct manifest_case {
    hostile_row row;
    const char *from, *to;
    void (*damage)(const char *bin);
    void (*run)(const char *name, hostile_outcome *outcome); /* instead of opening */
} manifest_case;

/* NAME of a converted tiny model in a folder of its own. */
static char *make_model(void) {
    built_checkpoint c;
    built_tiny(&c);
    char *name = strdup(test_convert(test_put_zip(&c, NULL), convert_defaults, NULL));
    built_free(&c);
    return name;
}

static void replace(const char *name, const char *from, const char *to) {
    const char *path = test_with_ending(name, ".json");
    size_t size;
    char *text = test_file_get(path, &size), *at = strstr(text, from);
    ck_assert_msg(at != NULL, "the manifest has no %s", from);
    bytes changed = {0};
    bytes_put(&changed, text, (size_t)(at - text));
    bytes_text(&changed, to);
    bytes_text(&changed, at + strlen(from));
    test_file_put(path, changed.data, changed.size);
    bytes_free(&changed);
    free(text);
}

static void link_bin(const char *bin) { ck_assert_int_eq(symlink("model.moved", bin), 0); }
static void link_zero(const char *bin) { ck_assert_int_eq(symlink("/dev/zero", bin), 0); }
static void fifo_bin(const char *bin) { ck_assert_int_eq(mkfifo(bin, 0600), 0); }
static void folder_bin(const char *bin) { ck_assert_int_eq(mkdir(bin, 0700), 0); }

/* Writes the binary anew with one byte changed, or `cut` bytes shorter. */
static void write_changed(const char *bin, size_t at, unsigned char flip, size_t cut) {
    char moved[512];
    size_t size;
    snprintf(moved, sizeof moved, "%.*s.moved", (int)(strlen(bin) - strlen(".bin")), bin);
    char *data = test_file_get(moved, &size);
    data[at] ^= (char)flip;
    test_file_put(bin, data, size - cut);
    free(data);
}
static void cut_bin(const char *bin) { write_changed(bin, 0, 0, 64); }
static void flip_weight(const char *bin) { write_changed(bin, 200, 1, 0); }
static void other_bin(const char *bin) { write_changed(bin, 24, 1, 0); }
static void foreign_bin(const char *bin) { write_changed(bin, 0, 1, 0); }
static void big_bin(const char *bin) { write_changed(bin, 8, 5, 0); }

/* A thread that puts one of two binaries in the other's place until it is told to stop. */
typedef struct replacer {
    const char *bin;
    char *data[2];
    size_t size;
    atomic_bool stop;
} replacer;

static void *keep_replacing(void *argument) {
    replacer *r = argument;
    char other[512];
    snprintf(other, sizeof other, "%s.next", r->bin);
    for (int i = 0; !atomic_load(&r->stop); ++i) {
        test_file_put(other, r->data[i & 1], r->size);
        ck_assert_int_eq(rename(other, r->bin), 0);
    }
    return NULL;
}

static void run_replaced(const char *name, hostile_outcome *outcome) {
    enum { OPENINGS = 300, IDENTITY = 24 };
    pthread_t thread;
    int opened = 0;
    char *bin = strdup(test_with_ending(name, ".bin")); /* its storage is used again */
    replacer r = {.bin = bin};
    for (int i = 0; i < 2; ++i)
        r.data[i] = test_file_get(r.bin, &r.size);
    r.data[1][IDENTITY] ^= 1; /* another model of the same size */
    r.data[1][200] ^= 1;
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_replacing, &r), 0);
    for (int i = 0; i < OPENINGS; ++i) {
        cs_model *model = NULL;
        cs_error err = {0};
        cs_status status = cs_model_open(test_with_ending(name, ".json"), NULL, &model, &err);
        if (status == CS_OK) {
            REQUIRE_OK(cs_model_verify_hash(model, &err), err);
            ++opened;
        } else {
            ck_assert_int_eq(status, CS_ERROR_MISMATCH);
        }
        cs_model_free(model);
    }
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    ck_assert_int_gt(opened, 0);
    free(r.data[0]);
    free(r.data[1]);
    free(bin);
    *outcome = (hostile_outcome){.status = CS_OK, .offset = -1};
}

static const manifest_case cases[] = {
    {.row = {"M0 unchanged", CS_OK, -1, NULL, NULL}, "", "", NULL},
    {.row = {"- an unknown key", CS_OK, -1, NULL, "readers ignore what they do not know"},
     "\"requires\"",
     "\"more\": {\"a\": [1]}, \"requires\"",
     NULL},
    {.row = {"M1 no tensors", CS_ERROR_FORMAT, -1, NULL, NULL}, "\"tensors\"", "\"tensor\"", NULL},
    {.row = {"M1 no graph", CS_ERROR_FORMAT, -1, NULL, NULL}, "\"graph\"", "\"graphs\"", NULL},
    {.row = {"M1 no size", CS_ERROR_FORMAT, -1, NULL, NULL}, "\"size\"", "\"sizes\"", NULL},
    {.row = {"M1 no kernel size", CS_ERROR_FORMAT, -1, NULL, NULL},
     "\"kernel_size\"",
     "\"kernel\"",
     NULL},
    {.row = {"M2 version 2", CS_ERROR_UNSUPPORTED, -1, NULL, NULL}, "[1, 0]", "[2, 0]", NULL},
    {.row = {"M2 minor version 7", CS_OK, -1, NULL, "a minor version only adds"},
     "[1, 0]",
     "[1, 7]",
     NULL},
    {.row = {"M3 required feature", CS_ERROR_UNSUPPORTED, -1, NULL, NULL},
     "\"requires\": []",
     "\"requires\": [\"sparse\"]",
     NULL},
    {.row = {"M4 a path", CS_ERROR_FORMAT, -1, NULL, NULL},
     "\"model.bin\"",
     "\"a/model.bin\"",
     NULL},
    {.row = {"M4 ..", CS_ERROR_FORMAT, -1, NULL, NULL}, "\"model.bin\"", "\"..\"", NULL},
    {.row = {"M4 NUL", CS_ERROR_FORMAT, 89, NULL, NULL},
     "\"model.bin\"",
     "\"model\\u0000.bin\"",
     NULL},
    {.row = {"M4 no such file", CS_ERROR_IO, -1, NULL, NULL},
     "\"model.bin\"",
     "\"other.bin\"",
     NULL},
    {.row = {"M5 the binary is a symbolic link", CS_ERROR_IO, -1, NULL, NULL}, "", "", link_bin},
    {.row = {"M5 the binary is /dev/zero", CS_ERROR_IO, -1, NULL, NULL}, "", "", link_zero},
    {.row = {"M5 the binary is a FIFO", CS_ERROR_IO, -1, NULL, NULL}, "", "", fifo_bin},
    {.row = {"M5 the binary is a folder", CS_ERROR_IO, -1, NULL, NULL}, "", "", folder_bin},
    {.row = {"M6 size", CS_ERROR_FORMAT, 2504, NULL, NULL}, "\"size\": ", "\"size\": 1", NULL},
    {.row = {"M6 the binary is cut", CS_ERROR_FORMAT, -1, NULL, NULL}, "", "", cut_bin},
    {.row = {"M7 one bit of a weight differs", CS_ERROR_FORMAT, 64, "CRC-32 of tensor conv1.weight",
             "found by verify, which reads everything; opening looks at sizes, bounds and identity "
             "only"},
     "",
     "",
     flip_weight},
    {.row = {"M8 the binary of another model", CS_ERROR_MISMATCH, 24, NULL, NULL},
     "",
     "",
     other_bin},
    {.row = {"M8 the binary of another format", CS_ERROR_FORMAT, 0, NULL, NULL},
     "",
     "",
     foreign_bin},
    {.row = {"M9 unaligned", CS_ERROR_FORMAT, 68, NULL, NULL},
     "\"offset\": 64",
     "\"offset\": 68",
     NULL},
    {.row = {"M10 overlap", CS_ERROR_FORMAT, 64, NULL, NULL},
     "\"offset\": 1280",
     "\"offset\": 64",
     NULL},
    {.row = {"M11 past the end", CS_ERROR_FORMAT, 1280000, NULL, NULL},
     "\"offset\": 1280",
     "\"offset\": 1280000",
     NULL},
    {.row = {"M12 wraps", CS_ERROR_FORMAT, 3274, NULL, NULL},
     "\"offset\": 1280",
     "\"offset\": 18446744073709551552",
     NULL},
    {.row = {"M13 nbytes", CS_ERROR_FORMAT, 64, NULL, NULL},
     "\"nbytes\": 1176",
     "\"nbytes\": 1172",
     NULL},
    {.row = {"M14 tensor twice", CS_ERROR_FORMAT, -1, NULL, NULL},
     "{\"name\": \"bn1.bias\", \"dtype\"",
     "{\"name\": \"bn1.weight\", \"dtype\"",
     NULL},
    {.row = {"M15 key twice", CS_ERROR_FORMAT, 65, NULL, NULL},
     "\"requires\": []",
     "\"requires\": [], \"requires\": []",
     NULL},
    {.row = {"M16 1e400", CS_ERROR_FORMAT, 1090, NULL, NULL},
     "\"eps\": 1e-05",
     "\"eps\": 1e400",
     NULL},
    {.row = {"M16 0x10", CS_ERROR_FORMAT, 888, NULL, NULL},
     "\"groups\": 1",
     "\"groups\": 0x10",
     NULL},
    {.row = {"M16 01", CS_ERROR_FORMAT, 887, NULL, NULL}, "\"groups\": 1", "\"groups\": 01", NULL},
    {.row = {"M16 above 2^53", CS_ERROR_FORMAT, 887, NULL, NULL},
     "\"groups\": 1",
     "\"groups\": 9007199254740993",
     NULL},
    {.row = {"M17 lone surrogate", CS_ERROR_FORMAT, 427, NULL, NULL},
     "\"RGB\"",
     "\"\\ud800\"",
     NULL},
    {.row = {"M18 cycle", CS_ERROR_FORMAT, -1, NULL, NULL}, "[\"input\"]", "[\"relu\"]", NULL},
    {.row = {"M18 unknown op", CS_ERROR_UNSUPPORTED, -1, NULL, NULL},
     "\"op\": \"relu\"",
     "\"op\": \"gelu\"",
     NULL},
    {.row = {"M18 missing input", CS_ERROR_FORMAT, -1, NULL, NULL}, "[\"bn1\"]", "[\"bn7\"]", NULL},
    {.row = {"M18 two producers", CS_ERROR_FORMAT, -1, NULL, NULL},
     "{\"name\": \"relu\"",
     "{\"name\": \"bn1\"",
     NULL},
    {.row = {"M18 no such tensor", CS_ERROR_FORMAT, -1, NULL, NULL},
     "\"weight\": \"fc.weight\"",
     "\"weight\": \"fc.weights\"",
     NULL},
    {.row = {"M19 stride 0", CS_ERROR_FORMAT, -1, NULL, NULL},
     "\"stride\": [2, 2]",
     "\"stride\": [0, 2]",
     NULL},
    {.row = {"M19 groups do not divide", CS_ERROR_MISMATCH, -1, NULL, NULL},
     "\"groups\": 1",
     "\"groups\": 2",
     NULL},
    {.row = {"M19 window larger than the padded input", CS_ERROR_MISMATCH, -1, NULL, NULL},
     "\"dilation\": [1, 1], \"ceil_mode\"",
     "\"dilation\": [200, 200], \"ceil_mode\"",
     NULL},
    {.row = {"M20 mean of two", CS_ERROR_FORMAT, -1, NULL, NULL},
     "[0.485, 0.456, 0.406]",
     "[0.485, 0.456]",
     NULL},
    {.row = {"M20 std 0", CS_ERROR_FORMAT, -1, NULL, NULL},
     "[0.229, 0.224, 0.225]",
     "[0.229, 0, 0.225]",
     NULL},
    {.row = {"M21 three names for two classes", CS_ERROR_FORMAT, -1, NULL, NULL},
     "\"classes\": null",
     "\"classes\": [\"a\", \"b\", \"c\"]",
     NULL},
    {.row =
         {"M22 the binary is replaced again and again while it is opened", CS_OK, -1, NULL,
          "one descriptor: in 300 openings either the first binary, whole, or an error, never the "
          "bytes of the other"},
     "",
     "",
     NULL,
     run_replaced},
    {.row = {"M23 big-endian", CS_ERROR_UNSUPPORTED, -1, NULL, NULL},
     "\"little\"",
     "\"big\"",
     NULL},
    {.row = {"M23 big-endian mark in the binary", CS_ERROR_UNSUPPORTED, 8, NULL, NULL},
     "",
     "",
     big_bin},
    {.row = {"- an array", CS_ERROR_FORMAT, 12, NULL, NULL}, "{\n", "[\n", NULL},
};

static hostile_row row(int index) { return cases[index].row; }

static void open_model(const char *name, hostile_outcome *outcome) {
    char folder[512];
    cs_error err = {0};
    cs_model *model = NULL;
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(name, '/') - name), name);
    outcome->status = cs_model_open(test_with_ending(name, ".json"), NULL, &model, &err);
    if (outcome->status == CS_OK)
        outcome->status = cs_model_verify_hash(model, &err);
    outcome->offset = -1;
    if (outcome->status != CS_OK)
        hostile_failed(outcome, &err, folder);
    cs_model_free(model);
}

static void run(int index, hostile_outcome *outcome) {
    const manifest_case *one = &cases[index];
    char *name = make_model(), bin[512];
    *outcome = (hostile_outcome){0};
    replace(name, one->from, one->to);
    snprintf(bin, sizeof bin, "%s", test_with_ending(name, ".bin"));
    if (one->damage) {
        ck_assert_int_eq(rename(bin, test_with_ending(name, ".moved")), 0);
        one->damage(bin);
    }
    if (one->run)
        one->run(name, outcome);
    else
        open_model(name, outcome);
    free(name);
}

const hostile_list hostile_manifest_list = {
    .title = "MANIFEST AND BINARY",
    .about = "The pair `NAME.json` and `NAME.bin`, opened and then compared with its hashes as "
             "`verify` does. Byte offsets are\nthe JSON text's where it is not JSON, the binary's "
             "where that is at fault.",
    .count = sizeof cases / sizeof *cases,
    .row = row,
    .run = run,
};
