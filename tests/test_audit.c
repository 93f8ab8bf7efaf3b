/* test_audit.c - audits: the bars hold on right networks, each planted error is caught and its node
 * named, NaN and interruption, and the command with its files and exit codes. */
#include "audit_network.h"
#include "cli_runner.h"
#include "options.h"
#include "planted.h"
#include "random_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const cli_command cli_command_audit; /* common.h's, whose fail() is Check's name */

/* ------------------------------------------------------------------ right networks ------- */

/* Shares of one kind of part. */
static double sum_of_shares(const cs_audit *audit, bool flips) {
    double sum = 0;
    for (int i = 0; i < audit->node_count; i++) {
        const cs_audit_entry *e = &audit->own.nodes[i];
        sum += flips ? e->flips.share : e->rounding.share + e->sum.share;
    }
    return sum;
}

static void require_consistent(const cs_audit *audit, const char *line) {
    const cs_audit_ledger *l = &audit->own;
    for (int i = 0; i < CS_AUDIT_BARS; i++) {
        const cs_audit_verdict v = cs_audit_judge(audit, (cs_audit_bar)i);
        ck_assert_msg(v.met, "%s: %s is %.3g at %s", line, v.name, v.value, v.node ? v.node : "-");
    }
    ck_assert(cs_audit_holds(audit));
    if (l->difference <= CS_AUDIT_FLOOR * l->gradient)
        return;
    ck_assert_double_lt(fabs(sum_of_shares(audit, false) - l->rounding_total.share), 1e-6);
    ck_assert_double_lt(fabs(sum_of_shares(audit, true) - l->flips.share), 1e-6);
    ck_assert_double_lt(fabs(l->rounding_total.share + l->flips.share + l->rest.share - 1), 1e-9);
}

START_TEST(right_networks_hold) {
    static random_model net;
    char line[64];
    random_model_make(&net, (uint64_t)_i);
    cs_model *model = built_model_open(&net.model);
    cs_tensor input = audit_network_input(model, (uint64_t)_i + 40);
    for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++) {
        cs_audit_options options = CS_AUDIT_OPTIONS_DEFAULT;
        options.run.isa = (cs_isa)isa;
        options.run.threads = 1 + isa % 3;
        if (!cs_isa_available((cs_isa)isa))
            continue;
        snprintf(line, sizeof line, "random network %d, %s", _i, cs_isa_name((cs_isa)isa));
        cs_audit *audit = audit_network_run(model, &input, &options);
        require_consistent(audit, line);
        cs_audit_free(audit);
    }
    cs_tensor_release(&input);
    cs_model_free(model);
    random_model_free(&net);
}
END_TEST

/* OpenBLAS' float32 is explained as well. */
START_TEST(the_other_engine_holds) {
    cs_error err;
    cs_audit *audit = NULL;
    cs_audit_options options = CS_AUDIT_OPTIONS_DEFAULT;
    options.run.engine = CS_ENGINE_GEMM;
    cs_model *model = audit_network(false);
    cs_tensor input = audit_network_input(model, 3);
    const cs_status status = cs_audit_run(model, &input, &options, &audit, &err);
    if (status != CS_ERROR_UNSUPPORTED) {
        ck_assert_msg(status == CS_OK, "%s", err.text);
        require_consistent(audit, "gemm");
        cs_audit_free(audit);
    }
    cs_tensor_release(&input);
    cs_model_free(model);
}
END_TEST

/* A softmax is differentiated too; only what needs piecewise linearity does not apply. */
START_TEST(softmax_is_audited) {
    cs_model *model = audit_network(true);
    cs_tensor input = audit_network_input(model, 4);
    cs_audit *audit = audit_network_run(model, &input, NULL);
    require_consistent(audit, "softmax");
    ck_assert(!cs_audit_judge(audit, CS_AUDIT_COMPLETENESS).applies);
    ck_assert(!cs_audit_judge(audit, CS_AUDIT_FROZEN).applies);
    cs_audit_free(audit);
    cs_tensor_release(&input);
    cs_model_free(model);
}
END_TEST

/* The numbers are the engine's: logits, gradients, and no error where there is no rounding. */
START_TEST(numbers_are_the_engines) {
    cs_error err;
    cs_tensor y, dx;
    cs_model *model = audit_network(false);
    cs_tensor input = audit_network_input(model, 5), seed = {0};
    cs_audit_options options = CS_AUDIT_OPTIONS_DEFAULT;
    options.class_index = 2;
    cs_audit *audit = audit_network_run(model, &input, &options);
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
        cs_run *run = NULL;
        cs_run_options how = CS_RUN_OPTIONS_DEFAULT;
        how.dtype = (cs_dtype)dtype;
        REQUIRE_OK(cs_run_create(model, &how, &run, &err), err);
        REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
        REQUIRE_OK(cs_run_prepare(run, &err), err);
        REQUIRE_OK(cs_run_forward(run, &input, &err), err);
        REQUIRE_OK(cs_run_output(run, &y, &err), err);
        REQUIRE_OK(cs_tensor_allocate(&seed, (cs_dtype)dtype, 1, 4, 1, 1, &err), err);
        cs_tensor_set(&seed, 0, 2, 0, 0, 1);
        REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
        REQUIRE_OK(cs_run_gradient(run, "input", &dx, &err), err);
        ck_assert(cs_tensor_at(&y, 0, 2, 0, 0) == (dtype ? audit->logit64 : audit->logit32));
        const double *got = (dtype ? &audit->gradient64 : &audit->own.gradient32)->data;
        for (int64_t i = 0; i < cs_tensor_count(&dx); i++)
            ck_assert(got[i] == (dtype ? ((double *)dx.data)[i] : (double)((float *)dx.data)[i]));
        cs_tensor_release(&seed);
        cs_run_free(run);
    }
    for (int i = 0; i < audit->node_count; i++) {
        const cs_audit_entry *e = &audit->own.nodes[i];
        const char *op = cs_model_node(model, i)->op;
        const bool exact = strcmp(op, "relu") == 0 || strcmp(op, "max_pool2d") == 0 ||
                           strcmp(op, "flatten") == 0 || strcmp(op, "shortcut_a") == 0 || i == 0;
        ck_assert_msg(exact ? e->own_max == 0 : e->own_max > 0 && e->bound_share > 0, "%s", op);
        ck_assert(e->bound_share <= 1);
    }
    cs_audit_free(audit);
    cs_tensor_release(&input);
    cs_model_free(model);
}
END_TEST

/* ------------------------------------------------------------------ planted errors ------- */

/* Each node by itself has this error; the audit names that node and no other. */
static void require_named(const cs_audit *audit, int node, planted_error error) {
    const char *name = cs_model_node(audit->model, node)->name;
    const cs_audit_bar bar = error == PLANTED_FORWARD ? CS_AUDIT_BOUND
                             : error == PLANTED_STORE || error == PLANTED_PARAMETER_STORE
                                 ? CS_AUDIT_ACCUMULATION
                             : error >= PLANTED_PARAMETER_SIGN ? CS_AUDIT_PARAMETER_ADJOINT
                                                               : CS_AUDIT_ADJOINT;
    const cs_audit_verdict v = cs_audit_judge(audit, bar);
    ck_assert_msg(!cs_audit_holds(audit), "%s: error %d was not noticed", name, error);
    ck_assert_msg(!v.met && v.node && strcmp(v.node, name) == 0,
                  "%s: error %d: \"%s\" is %.3g at %s", name, error, v.name, v.value,
                  v.node ? v.node : "-");
    for (int i = 0; i < audit->node_count; i++) {
        const cs_audit_identity *identity = &audit->identities[i];
        const bool right = identity->adjoint <= CS_AUDIT_BAR_ADJOINT && identity->accumulates &&
                           !(identity->parameter_adjoint > CS_AUDIT_BAR_ADJOINT) &&
                           audit->own.nodes[i].bound_share <= CS_AUDIT_BAR_BOUND;
        ck_assert_msg(right == (i != node), "%s: error %d: %s is %s", name, error,
                      cs_model_node(audit->model, i)->name, right ? "found right" : "blamed");
    }
}

START_TEST(planted_errors_are_named) {
    cs_model *model = audit_network(true);
    cs_tensor input = audit_network_input(model, 6);
    int tried = 0;
    for (int node = 1; node < cs_model_node_count(model); node++) {
        const planted_error error = (planted_error)_i;
        if (!planted_fits(model, node, error))
            continue;
        planted_set(model, node, error);
        cs_audit *audit = audit_network_run(model, &input, NULL);
        planted_clear();
        require_named(audit, node, error);
        cs_audit_free(audit);
        tried++;
    }
    ck_assert_int_ge(tried, 7);
    cs_tensor_release(&input);
    cs_model_free(model);
}
END_TEST

/* ------------------------------------------------------------------ refusals ------------- */

static bool stop_at_once(void *state, int64_t done, int64_t total) {
    int *calls = state;
    ck_assert(done >= 0 && done <= total);
    return ++*calls > 40;
}

START_TEST(bad_input_is_refused) {
    cs_error err;
    cs_audit *audit = NULL;
    cs_audit_options options = CS_AUDIT_OPTIONS_DEFAULT;
    cs_model *model = audit_network(false);
    cs_tensor input = audit_network_input(model, 7), two = {0};
    int calls = 0;
    options.class_index = 4;
    REQUIRE_STATUS(cs_audit_run(model, &input, &options, &audit, &err), CS_ERROR_ARGUMENT, err);
    options.class_index = -1;
    REQUIRE_OK(cs_tensor_allocate(&two, CS_F32, 2, 3, 12, 10, &err), err);
    REQUIRE_STATUS(cs_audit_run(model, &two, &options, &audit, &err), CS_ERROR_ARGUMENT, err);
    options.stop = stop_at_once;
    options.stop_state = &calls;
    REQUIRE_STATUS(cs_audit_run(model, &input, &options, &audit, &err), CS_ERROR_INTERRUPTED, err);
    ck_assert_int_eq(calls, 41);
    options.stop = NULL;
    ((float *)input.data)[7] = (float)NAN;
    REQUIRE_STATUS(cs_audit_run(model, &input, &options, &audit, &err), CS_ERROR_NUMERIC, err);
    ck_assert_str_eq(err.subject, "input");
    ck_assert_ptr_null(audit);
    cs_tensor_release(&two);
    cs_tensor_release(&input);
    cs_model_free(model);
}
END_TEST

/* ------------------------------------------------------------------ the command ---------- */

START_TEST(the_command_writes_a_folder) {
    static const char *const files[] = {"audit.json", "manifest.json",  "gradient32.npy",
                                        "flips.npy",  "gradient64.npy", "rounding.npy",
                                        "map32.npy",  "map64.npy",      "unexplained.npy"};
    static const char *const keys[] = {"\"format\": \"cnnscope-audit\"",
                                       "\"version\": 1",
                                       "\"holds\": true",
                                       "\"bars\"",
                                       "\"completeness\"",
                                       "\"live_differences\"",
                                       "\"adjointness\"",
                                       "\"network_adjointness\"",
                                       "\"ledger\"",
                                       "\"unexplained\"",
                                       "\"bound_share\"",
                                       "\"gates\"",
                                       "\"against\": null",
                                       "\"gradcam\"",
                                       "\"rank_correlation\""};
    char folder[4096], picture[4200]; /* cli_run uses up the places of test_path */
    snprintf(folder, 4000, "%s", test_temp_dir());
    snprintf(picture, sizeof picture, "%s/picture.png", folder);
    cli_draw(picture, 50, 3);
    cli_result r = cli_run("audit " EXAMPLE_MODEL " %s -o %s/out --threads 2", picture, folder);
    ck_assert_msg(r.code == 0, "exit code %d: %s", r.code, r.err);
    ck_assert_ptr_nonnull(strstr(r.out, "every identity holds"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        ck_assert_msg(cli_exists("%s/out/%s", folder, files[i]), "%s", files[i]);
    char *json = cli_text(test_path(test_path(folder, "out"), "audit.json"));
    cli_require_json(json, "audit.json");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ck_assert_msg(strstr(json, keys[i]), "audit.json lacks %s", keys[i]);
    r = cli_run("audit " EXAMPLE_MODEL " %s -o %s/again --json --threads 1", picture, folder);
    ck_assert_int_eq(r.code, 0);
    ck_assert_str_eq(r.out, json); /* the same bytes whatever the threads */
    cli_require_same_folders(test_path(folder, "out"), test_path(folder, "again"));
    ck_assert_int_eq(cli_run("audit " EXAMPLE_MODEL " %s -o %s/out", picture, folder).code, 6);
    ck_assert_int_eq(cli_run("audit " EXAMPLE_MODEL " %s", picture).code, 2);
    r = cli_run("audit " EXAMPLE_MODEL " %s -o %s/x --class Z", picture, folder);
    ck_assert_int_eq(r.code, 2);
    r = cli_run("audit " EXAMPLE_MODEL " %s -o %s/x --against %s", picture, folder, folder);
    ck_assert_int_eq(r.code, 3);
    ck_assert_ptr_nonnull(strstr(r.err, "incomplete"));
    ck_assert(!cli_exists("%s/x", folder));
    free(json);
}
END_TEST

START_TEST(nan_ends_with_5) {
    cs_error err;
    cs_tensor input = {0};
    const char *folder = test_temp_dir(), *path = test_path(folder, "nan.npy");
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, 3, 224, 224, &err), err);
    cs_model *model = NULL;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    const cs_preprocess *p = cs_model_preprocess(model);
    input.h = p->height;
    input.w = p->width;
    ((float *)input.data)[5] = INFINITY;
    REQUIRE_OK(cs_npy_write(path, &input, 4, &err), err);
    const cli_result r = cli_run("audit " EXAMPLE_MODEL " %s -o %s/out", path, folder);
    ck_assert_int_eq(r.code, 5);
    ck_assert_ptr_nonnull(strstr(r.err, "first in \"input\""));
    ck_assert(!cli_exists("%s/out", folder));
    cs_tensor_release(&input);
    cs_model_free(model);
}
END_TEST

/* The command itself, in this process, in which an error is planted. */
START_TEST(a_bar_that_is_not_met_gives_1) {
    const char *folder = test_temp_dir();
    char picture[4096], out[4096];
    cs_error err;
    cs_model *model = NULL;
    snprintf(picture, sizeof picture, "%s", test_path(folder, "picture.png"));
    snprintf(out, sizeof out, "%s", test_path(folder, "out"));
    cli_draw(picture, 40, 1);
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    planted_set(model, 1, PLANTED_FORWARD); /* the command opens a model of its own */
    planted_anywhere();
    char *words[] = {"audit", EXAMPLE_MODEL, picture, "-o", out, "--quiet", NULL};
    const int code = cli_command_audit.run(6, words);
    planted_clear();
    ck_assert_int_eq(code, 1);
    char *json = cli_text(test_path(out, "audit.json"));
    ck_assert_ptr_nonnull(strstr(json, "\"holds\": false"));
    free(json);
    cs_model_free(model);
}
END_TEST

Suite *suite_audit(void);
Suite *suite_audit(void) {
    Suite *suite = suite_create("audit");
    TCase *tests = tcase_create("audit");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, right_networks_hold, 0, 6);
    tcase_add_test(tests, the_other_engine_holds);
    tcase_add_test(tests, softmax_is_audited);
    tcase_add_test(tests, numbers_are_the_engines);
    tcase_add_loop_test(tests, planted_errors_are_named, 1, PLANTED_COUNT);
    tcase_add_test(tests, bad_input_is_refused);
    tcase_add_test(tests, the_command_writes_a_folder);
    tcase_add_test(tests, nan_ends_with_5);
    tcase_add_test(tests, a_bar_that_is_not_met_gives_1);
    suite_add_tcase(suite, tests);
    return suite;
}
