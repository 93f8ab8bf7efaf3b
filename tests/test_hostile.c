/* test_hostile.c - files with one thing wrong each (hostile_*.c), by the names of the lists that
 * they come from; docs/hostile-input.md; and the valid files cut at every byte and with every bit
 * flipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cnnscope_convert.h"
#include "hostile_files.h"
#include "test_support.h"

START_TEST(test_zip) { hostile_check(&hostile_zip_list, _i); }
END_TEST

START_TEST(test_legacy) { hostile_check(&hostile_legacy_list, _i); }
END_TEST

START_TEST(test_pickles) { hostile_check(&hostile_pickle_list, _i); }
END_TEST

START_TEST(test_safetensors) { hostile_check(&hostile_safetensors_list, _i); }
END_TEST

START_TEST(test_formats) { hostile_check(&hostile_formats_list, _i); }
END_TEST

/* The page is the tables'. */
START_TEST(test_page) {
    char *text = NULL;
    size_t size = 0, page_size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    hostile_table_print(out);
    ck_assert_int_eq(fclose(out), 0);
    char *page = test_file_get("docs/hostile-input.md", &page_size);
    size_t same = 0, line = 1;
    for (; same < size && same < page_size && text[same] == page[same]; ++same)
        line += text[same] == '\n';
    ck_assert_msg(same == size && same == page_size,
                  "docs/hostile-input.md, line %zu, is not what build/cnnscope-tests "
                  "--hostile-table prints now",
                  line);
    free(text);
    free(page);
}
END_TEST

enum { ZIP, LEGACY, SAFETENSORS, CONTAINERS };

/* The valid file of one container. */
static void put_valid(stages *s, int container) {
    hostile_stages(s);
    if (container == LEGACY)
        hostile_write_legacy(s);
    if (container == SAFETENSORS) {
        bytes_cut(&s->file, 0);
        built_safetensors(&s->tensors, &s->file);
    }
}

/* The valid files cut at every byte: always refused, never a crash. */
START_TEST(test_every_cut) {
    stages s;
    put_valid(&s, _i);
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    const char *in = test_path(test_temp_dir(), "in.pth"), *out = test_temp_dir();
    options.name = test_path(out, "model");
    test_file_put(in, s.file.data, s.file.size);
    for (size_t size = s.file.size; size-- > 0;) {
        cs_error err = {0};
        ck_assert_int_eq(truncate(in, (off_t)size), 0);
        cs_status status = cs_convert(in, &options, NULL, &err);
        ck_assert_msg(status == CS_ERROR_FORMAT || (_i == LEGACY && status == CS_ERROR_UNSUPPORTED),
                      "cut at %zu: %s (%s)", size, cs_status_name(status), err.text);
    }
    ck_assert_int_eq(hostile_files_in(out), 0);
    hostile_stages_free(&s);
}
END_TEST

/* Every bit of headers and pickle flipped: any status, no crash, no half-written pair. */
START_TEST(test_every_bit) {
    stages s;
    put_valid(&s, _i);
    const char *in = test_path(test_temp_dir(), "in.pth"), *out = test_temp_dir();
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    options.name = test_path(out, "model");
    options.force = true;
    size_t step = test_long() ? 1 : 61;
    size_t end = _i == ZIP      ? s.file.size /* the others' data has no CRC */
                 : _i == LEGACY ? s.parts[5] + 8
                                : 8 + (size_t)bytes_get(&s.file, 0, 8);
    for (size_t bit = 0; bit < end * 8; bit += step) {
        cs_error err = {0};
        s.file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        test_file_put(in, s.file.data, s.file.size);
        cs_status status = cs_convert(in, &options, NULL, &err);
        ck_assert(status == CS_OK || err.text[0] != '\0');
        s.file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        int left = hostile_files_in(out);
        ck_assert_msg(left == 0 || left == 2, "bit %zu: %d files", bit, left);
    }
    hostile_stages_free(&s);
}
END_TEST

Suite *suite_hostile(void);
Suite *suite_hostile(void) {
    Suite *suite = suite_create("hostile");
    TCase *cases = tcase_create("cases"), *whole = tcase_create("bytes");
    tcase_add_loop_test(cases, test_zip, 0, hostile_zip_list.count);
    tcase_add_loop_test(cases, test_legacy, 0, hostile_legacy_list.count);
    tcase_add_loop_test(cases, test_pickles, 0, hostile_pickle_list.count);
    tcase_add_loop_test(cases, test_safetensors, 0, hostile_safetensors_list.count);
    tcase_add_loop_test(cases, test_formats, 0, hostile_formats_list.count);
    tcase_add_test(cases, test_page);
    tcase_add_loop_test(whole, test_every_cut, 0, CONTAINERS);
    tcase_add_loop_test(whole, test_every_bit, 0, CONTAINERS);
    suite_add_tcase(suite, cases);
    suite_add_tcase(suite, whole);
    return suite;
}
