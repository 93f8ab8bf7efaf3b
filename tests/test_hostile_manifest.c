/* test_hostile_manifest.c - manifests and binaries with one thing wrong each:
 * hostile_manifests.c; and the manifest cut at every byte.
 */
#include <stdlib.h>
#include <string.h>

#include "convert_support.h"
#include "hostile_table.h"
#include "test_support.h"

START_TEST(test_manifest) { hostile_check(&hostile_manifest_list, _i); }
END_TEST

/* The manifest cut at every byte is never opened. */
START_TEST(test_cut_manifest) {
    cs_error err = {0};
    built_checkpoint c;
    built_tiny(&c);
    const char *name = test_convert(test_put_zip(&c, NULL), convert_defaults, NULL);
    char path[512];
    snprintf(path, sizeof path, "%s", test_with_ending(name, ".json"));
    size_t size;
    char *text = test_file_get(path, &size);
    for (size_t cut = 0; cut + 2 < size; ++cut) { /* the last two bytes are "}\n" */
        cs_model *model = NULL;
        test_file_put(path, text, cut);
        cs_status status = cs_model_open(path, NULL, &model, &err);
        ck_assert_msg(status == CS_ERROR_FORMAT, "cut at %zu: %s", cut, cs_status_name(status));
    }
    free(text);
    built_free(&c);
}
END_TEST

Suite *suite_hostile_manifest(void);
Suite *suite_hostile_manifest(void) {
    Suite *suite = suite_create("hostile_manifest");
    TCase *all = tcase_create("hostile_manifest");
    tcase_add_loop_test(all, test_manifest, 0, hostile_manifest_list.count);
    tcase_add_test(all, test_cut_manifest);
    suite_add_tcase(suite, all);
    return suite;
}
