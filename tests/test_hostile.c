/* test_hostile.c - checkpoints with one thing wrong each, by the names of the list that they come
 * from (ZIP, LEGACY, PICKLE, TENSOR): the status they must end with, and no file left behind. The
 * cases are in hostile_files.c and hostile_pickles.c.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cnnscope_convert.h"
#include "hostile_files.h"
#include "hostile_pickles.h"
#include "test_support.h"

static int files_in(const char *folder) {
    int count = 0;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* Converts the bytes and checks status and what is left behind. */
static void try_bytes(const char *name, const bytes *file, cs_status wanted) {
    const char *in = test_path(test_temp_dir(), "in.pth"), *out = test_temp_dir();
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    cs_convert_report report;
    cs_error err = {0};
    test_file_put(in, file->data, file->size);
    options.name = test_path(out, "model");
    cs_status status = cs_convert(in, &options, &report, &err);
    ck_assert_msg(status == wanted, "%s: got %s (%s), expected %s", name, cs_status_name(status),
                  err.text, cs_status_name(wanted));
    ck_assert_msg(status == CS_OK || (err.code == wanted && err.text[0] && !strchr(err.text, '\n')),
                  "%s: the error is not filled", name);
    ck_assert_msg(files_in(out) == (status == CS_OK ? 2 : 0), "%s: %d files left behind", name,
                  files_in(out));
    cs_convert_report_free(&report);
}

START_TEST(test_files) {
    const hostile_file *one = hostile_file_get(_i);
    stages s = {0};
    built_tiny(&s.tensors);
    if (one->tensors)
        one->tensors(&s);
    built_records(&s.tensors, &s.archive);
    if (one->records)
        one->records(&s);
    built_zip(&s.archive, &s.file, &s.layout);
    if (one->file)
        one->file(&s);
    try_bytes(one->name, &s.file, one->status);
    bytes_free(&s.file);
    built_archive_free(&s.archive);
    built_free(&s.tensors);
}
END_TEST

/* A data.pkl of its own in an otherwise valid archive. */
static void try_pickle(const char *name, const bytes *pickle, cs_status wanted) {
    stages s = {0};
    built_tiny(&s.tensors);
    built_records(&s.tensors, &s.archive);
    bytes *data = &s.archive.records[0].data;
    bytes_cut(data, 0);
    bytes_put(data, pickle->data, pickle->size);
    built_zip(&s.archive, &s.file, &s.layout);
    try_bytes(name, &s.file, wanted);
    bytes_free(&s.file);
    built_archive_free(&s.archive);
    built_free(&s.tensors);
}

START_TEST(test_pickles) {
    const hostile_pickle *one = hostile_pickle_get(_i);
    bytes pickle = {0};
    if (one->make)
        one->make(&pickle);
    else
        bytes_put(&pickle, one->data, one->size);
    try_pickle(one->name, &pickle, one->status);
    bytes_free(&pickle);
}
END_TEST

/* The valid files cut at every byte: always refused, never a crash. */
START_TEST(test_every_cut) {
    stages s = {0};
    built_tiny(&s.tensors);
    built_records(&s.tensors, &s.archive);
    built_zip(&s.archive, &s.file, &s.layout);
    bool legacy = _i == 1;
    if (legacy)
        hostile_write_legacy(&s);
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    const char *in = test_path(test_temp_dir(), "in.pth"), *out = test_temp_dir();
    options.name = test_path(out, "model");
    test_file_put(in, s.file.data, s.file.size);
    for (size_t size = s.file.size; size-- > 0;) {
        cs_error err = {0};
        ck_assert_int_eq(truncate(in, (off_t)size), 0);
        cs_status status = cs_convert(in, &options, NULL, &err);
        ck_assert_msg(status == CS_ERROR_FORMAT || (legacy && status == CS_ERROR_UNSUPPORTED),
                      "cut at %zu: %s (%s)", size, cs_status_name(status), err.text);
    }
    ck_assert_int_eq(files_in(out), 0);
    bytes_free(&s.file);
    built_archive_free(&s.archive);
    built_free(&s.tensors);
}
END_TEST

/* Every bit of headers and pickle flipped: any status, no crash, no half-written pair. */
START_TEST(test_every_bit) {
    stages s = {0};
    built_tiny(&s.tensors);
    built_records(&s.tensors, &s.archive);
    built_zip(&s.archive, &s.file, &s.layout);
    if (_i == 1)
        hostile_write_legacy(&s);
    const char *in = test_path(test_temp_dir(), "in.pth"), *out = test_temp_dir();
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    options.name = test_path(out, "model");
    options.force = true;
    size_t step = test_long() ? 1 : 61;
    size_t end = _i == 1 ? s.parts[5] + 8 : s.file.size; /* legacy data has no CRC */
    for (size_t bit = 0; bit < end * 8; bit += step) {
        cs_error err = {0};
        s.file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        test_file_put(in, s.file.data, s.file.size);
        cs_status status = cs_convert(in, &options, NULL, &err);
        ck_assert(status == CS_OK || err.text[0] != '\0');
        s.file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        int left = files_in(out);
        ck_assert_msg(left == 0 || left == 2, "bit %zu: %d files", bit, left);
    }
    bytes_free(&s.file);
    built_archive_free(&s.archive);
    built_free(&s.tensors);
}
END_TEST

Suite *suite_hostile(void);
Suite *suite_hostile(void) {
    Suite *suite = suite_create("hostile");
    TCase *files = tcase_create("files");
    tcase_add_loop_test(files, test_files, 0, hostile_file_count());
    tcase_add_loop_test(files, test_pickles, 0, hostile_pickle_count());
    tcase_add_loop_test(files, test_every_cut, 0, 2);
    tcase_add_loop_test(files, test_every_bit, 0, 2);
    suite_add_tcase(suite, files);
    return suite;
}
