/* convert_support.c - see the header. */
#include "convert_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"

const char *test_put_zip(const built_checkpoint *c, const char *byteorder) {
    built_archive archive;
    built_layout layout;
    bytes file = {0};
    built_records(c, &archive);
    if (byteorder) {
        bytes *text = &archive.records[built_record_find(&archive, "byteorder")].data;
        bytes_cut(text, 0);
        bytes_text(text, byteorder);
    }
    built_zip(&archive, &file, &layout);
    const char *path = test_path(test_temp_dir(), "model.pth");
    test_file_put(path, file.data, file.size);
    bytes_free(&file);
    built_archive_free(&archive);
    return path;
}

const char *test_put_legacy(const built_checkpoint *c) {
    bytes file = {0};
    size_t parts[6];
    built_legacy(c, &file, parts);
    const char *path = test_path(test_temp_dir(), "model.th");
    test_file_put(path, file.data, file.size);
    bytes_free(&file);
    return path;
}

const char *test_put_safetensors(const built_checkpoint *c) {
    bytes file = {0};
    built_safetensors(c, &file);
    const char *path = test_path(test_temp_dir(), "model.safetensors");
    test_file_put(path, file.data, file.size);
    bytes_free(&file);
    return path;
}

/* Converts into a new folder; returns NAME. */
const char *test_convert(const char *path, cs_convert_options options, cs_convert_report *report) {
    cs_error err = {0};
    options.name = test_path(test_temp_dir(), "model");
    REQUIRE_OK(cs_convert(path, &options, report, &err), err);
    return options.name;
}

const char *test_with_ending(const char *name, const char *ending) {
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, 512, "%s%s", name, ending);
    return out;
}

void test_files_equal(const char *a, const char *b, const char *ending) {
    size_t size_a, size_b;
    char *text_a = test_file_get(test_with_ending(a, ending), &size_a);
    char *text_b = test_file_get(test_with_ending(b, ending), &size_b);
    ck_assert_uint_eq(size_a, size_b);
    ck_assert_msg(memcmp(text_a, text_b, size_a) == 0, "%s differ", ending);
    free(text_a);
    free(text_b);
}

cs_model *test_open_model(const char *name) {
    cs_error err = {0};
    cs_model *model = NULL;
    REQUIRE_OK(cs_model_open(test_with_ending(name, ".json"), NULL, &model, &err), err);
    REQUIRE_OK(cs_model_verify_hash(model, &err), err);
    return model;
}

void test_set_value(built_checkpoint *c, const char *name, float value) {
    memcpy(built_find(c, name)->data.data, &value, sizeof value);
}
