/* test_hashes.c - recomputes the hashes published in docs/arithmetic.md, section 6.
 *
 * The table's rows are "| `network` | `node` | `f32 hash` | `f64 hash` |"; the node "d input" is
 * the input gradient of logit 0.
 */
#include "cnnscope_convert.h"
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_LIMIT 64

typedef struct row {
    char network[64], node[64], hash[2][CS_SHA256_HEX_SIZE];
} row;

static int read_rows(const char *network, row rows[ROW_LIMIT]) {
    char line[512];
    int count = 0;
    FILE *file = fopen("docs/arithmetic.md", "r");
    ck_assert_msg(file != NULL, "docs/arithmetic.md is missing");
    while (fgets(line, sizeof line, file) && count < ROW_LIMIT) {
        row *r = &rows[count];
        if (sscanf(line, "| `%63[^`]` | `%63[^`]` | `%64[0-9a-f]` | `%64[0-9a-f]` |", r->network,
                   r->node, r->hash[0], r->hash[1]) == 4 &&
            strcmp(r->network, network) == 0)
            count++;
    }
    fclose(file);
    return count;
}

static void run_golden(cs_run *run, const cs_model *model) {
    const cs_preprocess *p = cs_model_preprocess(model);
    cs_random random = {1};
    cs_error err;
    cs_tensor input, seed;
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, p->channels, p->height, p->width, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&seed, CS_F32, 1, cs_model_class_count(model), 1, 1, &err), err);
    cs_random_fill_input(&random, &input);
    cs_tensor_set(&seed, 0, 0, 0, 0, 1);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
}

static void check_network(const char *network, const char *json, cs_dtype dtype, cs_isa isa,
                          cs_kernel kernel, int threads) {
    row rows[ROW_LIMIT];
    const int count = read_rows(network, rows);
    cs_error err;
    cs_model *model;
    cs_run *run;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.dtype = dtype;
    options.isa = isa;
    options.kernel = kernel;
    options.threads = threads;
    ck_assert_msg(count >= 5, "docs/arithmetic.md has %d hashes of %s", count, network);
    REQUIRE_OK(cs_model_open(json, NULL, &model, &err), err);
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].node, "d input") != 0)
            REQUIRE_OK(cs_run_keep_activation(run, rows[i].node, &err), err);
    run_golden(run, model);
    for (int i = 0; i < count; i++) {
        char hash[CS_SHA256_HEX_SIZE];
        cs_tensor t;
        if (strcmp(rows[i].node, "d input") == 0)
            REQUIRE_OK(cs_run_gradient(run, "input", &t, &err), err);
        else
            REQUIRE_OK(cs_run_activation(run, rows[i].node, &t, &err), err);
        REQUIRE_OK(cs_tensor_sha256(&t, hash, &err), err);
        ck_assert_msg(strcmp(hash, rows[i].hash[dtype]) == 0,
                      "%s, %s, %s, %s, %d threads: the hash is %s, and docs/arithmetic.md has %s",
                      network, rows[i].node, cs_dtype_name(dtype), cs_isa_name(isa), threads, hash,
                      rows[i].hash[dtype]);
    }
    cs_run_free(run);
    cs_model_free(model);
}

START_TEST(test_example) {
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++)
        for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++)
            for (int threads = 1; threads <= 3 && cs_isa_available((cs_isa)isa); threads++)
                check_network("small_resnet", "examples/small_resnet.json", (cs_dtype)dtype,
                              (cs_isa)isa, CS_KERNEL_AUTO, threads);
}
END_TEST

/* Writes the seeded ResNet-50 and returns its manifest's path. */
static const char *seeded_resnet50(void) {
    static char json[520];
    char name[512];
    cs_error err;
    cs_convert_options convert = CS_CONVERT_OPTIONS_DEFAULT;
    (void)snprintf(name, sizeof name, "%s", test_path(test_temp_dir(), "resnet50"));
    (void)snprintf(json, sizeof json, "%s.json", name);
    convert.name = name;
    REQUIRE_OK(cs_init("resnet50", 2, 1, &convert, NULL, &err), err);
    return json;
}

START_TEST(test_resnet50) {
    const char *json = seeded_resnet50();
    for (int isa = CS_ISA_PORTABLE; isa <= CS_ISA_LAST; isa++)
        if (cs_isa_available((cs_isa)isa)) {
            for (int kernel = 0; kernel <= CS_KERNEL_LAST; kernel++)
                check_network("resnet50", json, CS_F32, (cs_isa)isa, (cs_kernel)kernel, 2);
            check_network("resnet50", json, CS_F64, (cs_isa)isa, CS_KERNEL_AUTO, 2);
        }
}
END_TEST

START_TEST(test_resnet50_everywhere) {
    if (!test_long())
        return;
    const char *json = seeded_resnet50();
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
        check_network("resnet50", json, (cs_dtype)dtype, CS_ISA_PORTABLE, CS_KERNEL_AUTO, 1);
        check_network("resnet50", json, (cs_dtype)dtype, CS_ISA_PORTABLE, CS_KERNEL_AUTO, 3);
        check_network("resnet50", json, (cs_dtype)dtype, CS_ISA_PORTABLE, CS_KERNEL_AUTO, 7);
        check_network("resnet50", json, (cs_dtype)dtype, CS_ISA_PORTABLE_NOFMA, CS_KERNEL_AUTO, 2);
    }
}
END_TEST

Suite *suite_hashes(void);
Suite *suite_hashes(void) {
    Suite *suite = suite_create("hashes");
    TCase *tests = tcase_create("published");
    tcase_add_test(tests, test_example);
    tcase_add_test(tests, test_resnet50);
    tcase_add_test(tests, test_resnet50_everywhere);
    suite_add_tcase(suite, tests);
    return suite;
}
