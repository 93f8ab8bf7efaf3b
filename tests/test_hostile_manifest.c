/* test_hostile_manifest.c - manifests and binaries with one thing wrong each (list MANIFEST/BIN):
 * what opening them must end with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert_support.h"
#include "test_support.h"

/* A valid manifest in which the first `from` becomes `to`. */
typedef struct manifest_case {
    const char *name, *from, *to;
    cs_status status;
} manifest_case;

static const manifest_case cases[] = {
    {"M0 unchanged", "", "", CS_OK},
    {"unknown key", "\"requires\"", "\"more\": {\"a\": [1]}, \"requires\"", CS_OK},
    {"M1 no tensors", "\"tensors\"", "\"tensor\"", CS_ERROR_FORMAT},
    {"M1 no graph", "\"graph\"", "\"graphs\"", CS_ERROR_FORMAT},
    {"M1 no size", "\"size\"", "\"sizes\"", CS_ERROR_FORMAT},
    {"M1 no kernel size", "\"kernel_size\"", "\"kernel\"", CS_ERROR_FORMAT},
    {"M2 version 2", "[1, 0]", "[2, 0]", CS_ERROR_UNSUPPORTED},
    {"version 1.7", "[1, 0]", "[1, 7]", CS_OK},
    {"M3 required feature", "\"requires\": []", "\"requires\": [\"sparse\"]", CS_ERROR_UNSUPPORTED},
    {"M4 a path", "\"model.bin\"", "\"a/model.bin\"", CS_ERROR_FORMAT},
    {"M4 ..", "\"model.bin\"", "\"..\"", CS_ERROR_FORMAT},
    {"M4 NUL", "\"model.bin\"", "\"model\\u0000.bin\"", CS_ERROR_FORMAT},
    {"no such file", "\"model.bin\"", "\"other.bin\"", CS_ERROR_IO},
    {"M6 size", "\"size\": ", "\"size\": 1", CS_ERROR_FORMAT},
    {"M9 unaligned", "\"offset\": 64", "\"offset\": 68", CS_ERROR_FORMAT},
    {"M10 overlap", "\"offset\": 1280", "\"offset\": 64", CS_ERROR_FORMAT},
    {"M11 past the end", "\"offset\": 1280", "\"offset\": 1280000", CS_ERROR_FORMAT},
    {"M12 wraps", "\"offset\": 1280", "\"offset\": 18446744073709551552", CS_ERROR_FORMAT},
    {"M13 nbytes", "\"nbytes\": 1176", "\"nbytes\": 1172", CS_ERROR_FORMAT},
    {"M14 tensor twice", "{\"name\": \"bn1.bias\", \"dtype\"",
     "{\"name\": \"bn1.weight\", \"dtype\"", CS_ERROR_FORMAT},
    {"M15 key twice", "\"requires\": []", "\"requires\": [], \"requires\": []", CS_ERROR_FORMAT},
    {"M16 1e400", "\"eps\": 1e-05", "\"eps\": 1e400", CS_ERROR_FORMAT},
    {"M16 0x10", "\"groups\": 1", "\"groups\": 0x10", CS_ERROR_FORMAT},
    {"M16 01", "\"groups\": 1", "\"groups\": 01", CS_ERROR_FORMAT},
    {"M16 above 2^53", "\"groups\": 1", "\"groups\": 9007199254740993", CS_ERROR_FORMAT},
    {"M17 lone surrogate", "\"RGB\"", "\"\\ud800\"", CS_ERROR_FORMAT},
    {"M18 cycle", "[\"input\"]", "[\"relu\"]", CS_ERROR_FORMAT},
    {"M18 unknown op", "\"op\": \"relu\"", "\"op\": \"gelu\"", CS_ERROR_UNSUPPORTED},
    {"M18 missing input", "[\"bn1\"]", "[\"bn7\"]", CS_ERROR_FORMAT},
    {"M18 two producers", "{\"name\": \"relu\"", "{\"name\": \"bn1\"", CS_ERROR_FORMAT},
    {"M18 no such tensor", "\"weight\": \"fc.weight\"", "\"weight\": \"fc.weights\"",
     CS_ERROR_FORMAT},
    {"M19 stride 0", "\"stride\": [2, 2]", "\"stride\": [0, 2]", CS_ERROR_FORMAT},
    {"M20 mean of two", "[0.485, 0.456, 0.406]", "[0.485, 0.456]", CS_ERROR_FORMAT},
    {"M20 std 0", "[0.229, 0.224, 0.225]", "[0.229, 0, 0.225]", CS_ERROR_FORMAT},
    {"M21 three names for two classes", "\"classes\": null", "\"classes\": [\"a\", \"b\", \"c\"]",
     CS_ERROR_FORMAT},
    {"M23 big-endian", "\"little\"", "\"big\"", CS_ERROR_UNSUPPORTED},
    {"not JSON", "{\n", "[\n", CS_ERROR_FORMAT},
};

/* NAME of a converted tiny model in a folder of its own. */
static char *make_model(void) {
    built_checkpoint c;
    built_tiny(&c);
    char *name = strdup(test_convert(test_put_zip(&c, NULL), convert_defaults, NULL));
    built_free(&c);
    return name;
}

static cs_status open_status(const char *name, cs_error *err) {
    cs_model *model = NULL;
    cs_status status = cs_model_open(test_with_ending(name, ".json"), NULL, &model, err);
    cs_model_free(model);
    return status;
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

START_TEST(test_manifest) {
    const manifest_case *one = &cases[_i];
    cs_error err = {0};
    char *name = make_model();
    replace(name, one->from, one->to);
    cs_status status = open_status(name, &err);
    ck_assert_msg(status == one->status, "%s: got %s (%s), expected %s", one->name,
                  cs_status_name(status), err.text, cs_status_name(one->status));
    ck_assert(status == CS_OK || err.text[0] != '\0');
    free(name);
}
END_TEST

/* M5: the binary is no file. */
START_TEST(test_not_a_file) {
    cs_error err = {0};
    char *name = make_model(), bin[512], moved[512];
    snprintf(bin, sizeof bin, "%s", test_with_ending(name, ".bin"));
    snprintf(moved, sizeof moved, "%s", test_with_ending(name, ".moved"));
    ck_assert_int_eq(rename(bin, moved), 0);
    ck_assert_int_eq(symlink(moved, bin), 0);
    REQUIRE_STATUS(open_status(name, &err), CS_ERROR_IO, err);
    ck_assert_int_eq(unlink(bin), 0);
    ck_assert_int_eq(symlink("/dev/zero", bin), 0);
    REQUIRE_STATUS(open_status(name, &err), CS_ERROR_IO, err);
    ck_assert_int_eq(unlink(bin), 0);
    ck_assert_int_eq(mkfifo(bin, 0600), 0);
    REQUIRE_STATUS(open_status(name, &err), CS_ERROR_IO, err);
    ck_assert_int_eq(unlink(bin), 0);
    ck_assert_int_eq(mkdir(bin, 0700), 0);
    REQUIRE_STATUS(open_status(name, &err), CS_ERROR_IO, err);
    free(name);
}
END_TEST

/* M6, M7, M8: the binary is cut, damaged, or another model's. */
START_TEST(test_wrong_binary) {
    cs_error err = {0};
    cs_model *model = NULL;
    char *name = make_model();
    const char *bin = test_with_ending(name, ".bin");
    size_t size;
    char *data = test_file_get(bin, &size);
    test_file_put(bin, data, size - 64);
    REQUIRE_STATUS(open_status(name, &err), CS_ERROR_FORMAT, err);
    data[200] ^= 1; /* in conv1.weight: opening looks at sizes and identity only */
    test_file_put(bin, data, size);
    REQUIRE_OK(cs_model_open(test_with_ending(name, ".json"), NULL, &model, &err), err);
    REQUIRE_STATUS(cs_model_verify_hash(model, &err), CS_ERROR_FORMAT, err);
    cs_model_free(model);
    data[24] ^= 1; /* the identity */
    test_file_put(bin, data, size);
    cs_status status = open_status(name, &err);
    ck_assert_msg(status == CS_ERROR_FORMAT || status == CS_ERROR_MISMATCH, "%s",
                  cs_status_name(status));
    free(data);
    free(name);
}
END_TEST

/* The manifest cut at every byte is never opened. */
START_TEST(test_cut_manifest) {
    cs_error err = {0};
    char *name = make_model(), path[512];
    snprintf(path, sizeof path, "%s", test_with_ending(name, ".json"));
    size_t size;
    char *text = test_file_get(path, &size);
    for (size_t cut = 0; cut + 2 < size; ++cut) { /* the last two bytes are "}\n" */
        test_file_put(path, text, cut);
        cs_status status = open_status(name, &err);
        ck_assert_msg(status == CS_ERROR_FORMAT, "cut at %zu: %s", cut, cs_status_name(status));
    }
    free(text);
    free(name);
}
END_TEST

Suite *suite_hostile_manifest(void);
Suite *suite_hostile_manifest(void) {
    Suite *suite = suite_create("hostile_manifest");
    TCase *all = tcase_create("hostile_manifest");
    tcase_add_loop_test(all, test_manifest, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(all, test_not_a_file);
    tcase_add_test(all, test_wrong_binary);
    tcase_add_test(all, test_cut_manifest);
    suite_add_tcase(suite, all);
    return suite;
}
