/* fuzz_seeds.c - see the header. Small valid files in their varieties, and the short pickles of the
 * hostile ones; what a fuzzer found from there stands beside them in tests/fuzz/corpus/.
 */
#include "fuzz_seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "convert_support.h"
#include "hostile_files.h"
#include "test_support.h"

static const char *seeds_folder;

static void put(const char *target, const char *name, const bytes *data) {
    char path[1024];
    mkdir(seeds_folder, 0777);
    snprintf(path, sizeof path, "%s/%s", seeds_folder, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", seeds_folder, target, name);
    test_file_put(path, data->data, data->size);
}

/* The last two tensors of the tiny network, in one of some varieties. */
static void make(built_checkpoint *c, int variety) {
    built_checkpoint tiny;
    built_tiny(&tiny);
    *c = (built_checkpoint){.prefix = "", .count = 2};
    for (int i = 0; i < 2; ++i) {
        built_tensor *from = &tiny.tensors[tiny.count - 2 + i];
        c->tensors[i] = *from;
        from->data = (bytes){0};
    }
    built_free(&tiny);
    if (variety == 1)
        c->wrapper = "state_dict", c->prefix = "module.", c->old_rebuild = true;
    if (variety == 2)
        c->wrapper = "[]", c->parameters = true;
    if (variety == 3)
        built_retype(&c->tensors[0], "HalfStorage"), built_retype(&c->tensors[1], "DoubleStorage");
    if (variety == 4)
        built_transpose(&c->tensors[0]), c->tensors[1].view[1] = 2;
}

static void put_varieties(void) {
    for (int i = 0; i < 5; ++i) {
        built_checkpoint c;
        built_archive archive;
        built_layout layout;
        bytes zip = {0}, legacy = {0}, pickle = {0}, header = {0};
        size_t parts[6];
        char name[32];
        snprintf(name, sizeof name, "valid-%d", i);
        make(&c, i);
        built_records(&c, &archive);
        built_zip(&archive, &zip, &layout);
        for (int k = 0; k < archive.count && i > 0; ++k) { /* without CRCs */
            bytes_set(&zip, layout.central[k] + 16, 0, 4);
            bytes_set(&zip, layout.descriptor[k] + 4, 0, 4);
        }
        put("zip", name, &zip);
        built_legacy(&c, &legacy, parts);
        put("legacy", name, &legacy);
        bytes_le(&pickle, (uint64_t)i & 1, 1);
        built_pickle(&c, i & 1, &pickle);
        put("pickle", name, &pickle);
        bytes_le(&header, c.tensors[0].data.size + c.tensors[1].data.size, 2);
        built_safetensors_header(&c, &header);
        if (i == 2)
            bytes_insert(&header, 3, "\"__metadata__\":{\"a\":\"b\"},", 25);
        put("safetensors", name, &header);
        bytes_free(&zip);
        bytes_free(&legacy);
        bytes_free(&pickle);
        bytes_free(&header);
        built_archive_free(&archive);
        built_free(&c);
    }
}

static void put_pickles(void) {
    enum { SHORT = 400 };
    for (int i = 0; i < hostile_pickle_list.count; ++i) {
        bytes data = {0};
        char name[32];
        bytes_le(&data, 0, 1);
        hostile_pickle_bytes(i, &data);
        snprintf(name, sizeof name, "hostile-%d", i);
        if (data.size < SHORT)
            put("pickle", name, &data);
        bytes_free(&data);
    }
}

/* A whole network, for what recognises it. */
static void put_network(void) {
    built_checkpoint c;
    bytes data = {0};
    built_tiny(&c);
    bytes_le(&data, 0, 1);
    built_pickle(&c, false, &data);
    put("pickle", "network", &data);
    bytes_free(&data);
    built_free(&c);
}

/* A manifest without identity. */
static void put_manifest(void) {
    built_checkpoint c;
    bytes text = {0};
    size_t size;
    built_tiny(&c);
    const char *name = test_convert(test_put_zip(&c, NULL), convert_defaults, NULL);
    char *json = test_file_get(test_with_ending(name, ".json"), &size);
    char *uuid = strstr(json, "\"uuid\": \"");
    memset(uuid + strlen("\"uuid\": \""), '0', 32);
    bytes_put(&text, json, size);
    put("manifest", "valid", &text);
    bytes_free(&text);
    free(json);
    built_free(&c);
}

START_TEST(write_seeds) {
    put_varieties();
    put_pickles();
    put_network();
    put_manifest();
}
END_TEST

/* The builders use Check's assertions, which work within a test only. */
int fuzz_seeds_main(const char *folder) {
    Suite *suite = suite_create("seeds");
    TCase *seeds = tcase_create("seeds");
    seeds_folder = folder;
    tcase_add_test(seeds, write_seeds);
    suite_add_tcase(suite, seeds);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
