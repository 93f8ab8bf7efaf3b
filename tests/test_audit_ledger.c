/* test_audit_ledger.c - the gradient ledger against complete backward passes: flips of a forged
 * engine with gates of its own, a known error in one gradient, dumps that lack files or belong
 * elsewhere; and, in test-long, ten X-rays through a trained ResNet-50. */
#include "audit_network.h"
#include "cli_runner.h"
#include "test_support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A forged engine: our float32 with some nodes' gates those of another input, dumped. */
typedef struct forgery {
    cs_model *model;
    cs_tensor input, seed;
    cs_gates *gates64, *gates; /* float64's, and the forged ones */
    char folder[4096];
    cs_audit_options options;
} forgery;

static cs_run *make_run(const forgery *f, cs_dtype dtype) {
    cs_error err;
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.dtype = dtype;
    options.threads = 2;
    REQUIRE_OK(cs_run_create(f->model, &options, &run, &err), err);
    return run;
}

static cs_gates *gates_of(const forgery *f, const cs_tensor *input) {
    cs_error err;
    cs_gates *gates = NULL;
    cs_run *run = make_run(f, CS_F64);
    cs_run_keep_gates(run);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_gates(run, &gates, &err), err);
    cs_run_free(run);
    return gates;
}

static void write_values(const forgery *f, const char *kind, const char *name,
                         const cs_tensor *values) {
    cs_error err;
    char path[8192];
    snprintf(path, sizeof path, "%s/%s/%s.npy", f->folder, kind, name);
    REQUIRE_OK(cs_npy_write(path, values, 4, &err), err);
}

static void write_dump(forgery *f) {
    cs_error err;
    cs_tensor view;
    cs_run *run = make_run(f, CS_F32);
    for (int i = 0; i < cs_model_node_count(f->model); i++)
        REQUIRE_OK(cs_run_keep(run, cs_model_node(f->model, i)->name, &err), err);
    REQUIRE_OK(cs_run_impose_gates(run, f->gates, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &f->input, &err), err);
    REQUIRE_OK(cs_run_backward(run, &f->seed, &err), err);
    ck_assert_int_eq(cli_shell("mkdir -p %s/activations %s/gradients", f->folder, f->folder), 0);
    write_values(f, ".", "input", &f->input);
    for (int i = 0; i < cs_model_node_count(f->model); i++) {
        const char *name = cs_model_node(f->model, i)->name;
        REQUIRE_OK(cs_run_activation(run, name, &view, &err), err);
        write_values(f, "activations", name, &view);
        REQUIRE_OK(cs_run_gradient(run, name, &view, &err), err);
        write_values(f, "gradients", name, &view);
    }
    REQUIRE_OK(cs_gates_save(f->gates, f->folder, &err), err);
    cs_run_free(run);
}

/* The gates of every second node are those of another input. */
static void forgery_open(forgery *f, uint64_t number) {
    cs_error err;
    *f = (forgery){.model = audit_network(false), .options = CS_AUDIT_OPTIONS_DEFAULT};
    f->input = audit_network_input(f->model, number);
    cs_tensor other = audit_network_input(f->model, number + 1000);
    f->gates64 = gates_of(f, &f->input);
    cs_gates *foreign = gates_of(f, &other);
    REQUIRE_OK(cs_gates_copy(f->gates64, &f->gates, &err), err);
    for (int i = 0; i < cs_gates_count(f->gates); i += 2)
        REQUIRE_OK(cs_gates_take(f->gates, foreign, i, &err), err);
    cs_gates_free(foreign);
    cs_tensor_release(&other);
    REQUIRE_OK(cs_tensor_allocate(&f->seed, CS_F32, 1, 4, 1, 1, &err), err);
    ((float *)f->seed.data)[1] = 1;
    snprintf(f->folder, sizeof f->folder, "%s", test_temp_dir());
    f->options.class_index = 1;
    f->options.against = f->folder;
    write_dump(f);
}

static void forgery_close(forgery *f) {
    cs_gates_free(f->gates);
    cs_gates_free(f->gates64);
    cs_tensor_release(&f->input);
    cs_tensor_release(&f->seed);
    cs_model_free(f->model);
}

/* The float64 gradient of the input from a node's, with these gates: a complete pass. */
static cs_tensor gradient_with(const forgery *f, const cs_gates *gates, const char *node,
                               const cs_tensor *seed) {
    cs_error err;
    cs_tensor view;
    cs_run *run = make_run(f, CS_F64);
    REQUIRE_OK(cs_run_set_seed_node(run, node, &err), err);
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    REQUIRE_OK(cs_run_impose_gates(run, gates, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &f->input, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    REQUIRE_OK(cs_run_gradient(run, "input", &view, &err), err);
    cs_tensor gradient = test_tensor_copy(&view);
    cs_run_free(run);
    return gradient;
}

static double dot(const cs_tensor *a, const cs_tensor *b) {
    long double sum = 0;
    for (int64_t i = 0; i < cs_tensor_count(a); i++)
        sum += (long double)((double *)a->data)[i] * (long double)((double *)b->data)[i];
    return (double)sum;
}

static void require_near(double got, double wanted, double bound, const char *what) {
    ck_assert_msg(fabs(got - wanted) <= bound, "%s: %.17g, expected %.17g", what, got, wanted);
}

/* ------------------------------------------------------------------ flips ---------------- */

START_TEST(flips_are_those_of_complete_passes) {
    cs_error err;
    forgery f;
    forgery_open(&f, (uint64_t)_i + 1);
    cs_audit *audit = audit_network_run(f.model, &f.input, &f.options);
    const cs_audit_ledger *ledger = &audit->other;
    cs_gates *mixed = NULL;
    int64_t total = 0;
    REQUIRE_OK(cs_gates_copy(f.gates64, &mixed, &err), err);
    cs_tensor before = gradient_with(&f, mixed, "fc", &f.seed);
    for (int i = 0; i < cs_gates_count(mixed); i++) {
        const cs_gates_info g = cs_gates_node(mixed, i);
        const cs_audit_entry *entry = &ledger->nodes[g.node];
        int64_t flipped;
        REQUIRE_OK(cs_gates_flipped(f.gates64, f.gates, i, &flipped, &err), err);
        REQUIRE_OK(cs_gates_take(mixed, f.gates, i, &err), err);
        cs_tensor after = gradient_with(&f, mixed, "fc", &f.seed);
        for (int64_t j = 0; j < cs_tensor_count(&after); j++)
            ((double *)before.data)[j] =
                ((double *)after.data)[j] - ((double *)before.data)[j]; /* the node's part */
        const double d = ledger->difference;
        require_near(entry->flips.size, sqrt(dot(&before, &before)) / d, 1e-12, g.name);
        require_near(entry->flips.share, dot(&before, &ledger->difference_map) / d / d, 1e-12,
                     g.name);
        ck_assert_int_eq(entry->flipped, flipped);
        ck_assert_int_eq(entry->gates, g.c * g.h * g.w);
        ck_assert(flipped == 0 || (entry->nearest >= 0 && entry->nearest <= entry->farthest));
        total += flipped;
        cs_tensor_release(&before);
        before = after;
    }
    ck_assert_int_gt(total, 20);
    ck_assert_int_eq(ledger->flipped, total);
    ck_assert_double_le(ledger->rest.size, CS_AUDIT_BAR_REST);
    ck_assert_double_gt(ledger->flips.share, 0.99);
    ck_assert(cs_audit_holds(audit)); /* the other engine is held to nothing */
    cs_tensor_release(&before);
    cs_gates_free(mixed);
    cs_audit_free(audit);
    forgery_close(&f);
}
END_TEST

/* Distances are those of the float64 input. */
START_TEST(distances_are_those_of_the_input) {
    cs_error err;
    forgery f;
    cs_tensor x;
    forgery_open(&f, 9);
    cs_audit *audit = audit_network_run(f.model, &f.input, &f.options);
    cs_run *run = make_run(&f, CS_F64);
    REQUIRE_OK(cs_run_keep_activation(run, "bn1", &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &f.input, &err), err);
    REQUIRE_OK(cs_run_activation(run, "bn1", &x, &err), err);
    double least = (double)INFINITY, most = 0;
    for (int64_t c = 0; c < x.c; c++)
        for (int64_t i = 0; i < x.h * x.w; i++) {
            const int64_t h = i / x.w, w = i % x.w;
            if (cs_gates_at(f.gates, 0, 0, c, h, w) == cs_gates_at(f.gates64, 0, 0, c, h, w))
                continue;
            least = fmin(least, fabs(cs_tensor_at(&x, 0, c, h, w)));
            most = fmax(most, fabs(cs_tensor_at(&x, 0, c, h, w)));
        }
    ck_assert_str_eq(cs_model_node(f.model, 3)->name, "relu");
    ck_assert(audit->other.nodes[3].nearest == least && audit->other.nodes[3].farthest == most);
    cs_run_free(run);
    cs_audit_free(audit);
    forgery_close(&f);
}
END_TEST

/* ------------------------------------------------------------------ rounding ------------- */

/* A known error in one node's gradient, which what follows does not have: the step that made it has
 * that error carried on, the steps after it take it away again. */
START_TEST(an_error_is_found_where_it_is) {
    cs_error err;
    forgery f;
    cs_tensor dy = {0};
    char path[8192];
    forgery_open(&f, 20);
    snprintf(path, sizeof path, "%s/gradients/a.relu.npy", f.folder);
    REQUIRE_OK(cs_npy_read(path, &dy, &err), err);
    cs_tensor error = {0};
    cs_random random = {5};
    REQUIRE_OK(cs_tensor_allocate(&error, CS_F64, 1, dy.c, dy.h, dy.w, &err), err);
    for (int64_t i = 0; i < cs_tensor_count(&dy); i++) {
        float *v = &((float *)dy.data)[i];
        const float old = *v;
        *v += 0.01f * (float)(cs_random_uniform(&random) - 0.5);
        ((double *)error.data)[i] = (double)*v - (double)old;
    }
    write_values(&f, "gradients", "a.relu", &dy);
    cs_audit *audit = audit_network_run(f.model, &f.input, &f.options);
    cs_tensor carried = gradient_with(&f, f.gates, "a.relu", &error);
    int node = 0;
    REQUIRE_OK(cs_model_find_node(f.model, "a.conv2", &node, NULL, 0, &err), err);
    const cs_audit_ledger *ledger = &audit->other;
    require_near(ledger->nodes[node].rounding.size,
                 sqrt(dot(&carried, &carried)) / ledger->difference, 1e-5, "a.conv2");
    ck_assert_double_gt(ledger->nodes[node].rounding.size, 1e-4);
    ck_assert_double_le(ledger->rest.size, CS_AUDIT_BAR_REST);
    cs_tensor_release(&dy);
    cs_tensor_release(&error);
    cs_tensor_release(&carried);
    cs_audit_free(audit);
    forgery_close(&f);
}
END_TEST

/* ------------------------------------------------------------------ dumps ---------------- */

/* Nodes without gradients or activations: the parts still sum to the difference. */
START_TEST(a_dump_may_lack_nodes) {
    forgery f;
    forgery_open(&f, 30);
    ck_assert_int_eq(cli_shell("cd %s/gradients && rm bn1.npy a.add.npy b.conv1.npy fc.npy && cd "
                               "../activations && rm maxpool.npy a.relu.npy",
                               f.folder),
                     0);
    cs_audit *audit = audit_network_run(f.model, &f.input, &f.options);
    ck_assert_int_eq(audit->other.missing_gradients, 3); /* fc's is the seed */
    ck_assert_int_eq(audit->other.missing_activations, 2);
    ck_assert_double_le(audit->other.rest.size, CS_AUDIT_BAR_REST);
    for (int i = 0; i < audit->node_count; i++) {
        const char *name = cs_model_node(f.model, i)->name;
        const cs_audit_entry *e = &audit->other.nodes[i];
        const bool unknown = strcmp(name, "maxpool") == 0 || strcmp(name, "a.relu") == 0;
        ck_assert_msg(isnan(e->accumulated_max) == unknown, "%s", name);
        if (unknown || strcmp(name, "a.conv1") == 0 || strcmp(name, "a.conv2") == 0)
            ck_assert_msg(isnan(e->own_max), "%s", name);
    }
    cs_audit_free(audit);
    forgery_close(&f);
}
END_TEST

static void require_refused(forgery *f, cs_status status, const char *words) {
    cs_error err;
    cs_audit *audit = NULL;
    REQUIRE_STATUS(cs_audit_run(f->model, &f->input, &f->options, &audit, &err), status, err);
    ck_assert_msg(strstr(err.text, words), "%s: %s", words, err.text);
    ck_assert_ptr_null(audit);
}

START_TEST(dumps_of_something_else_are_refused) {
    forgery f;
    forgery_open(&f, 40);
    cs_tensor wrong = test_tensor_copy(&f.input);
    const struct {
        const char *spoil, *words;
        cs_status status;
    } cases[] = {
        {"rm gradients/input.npy", "incomplete", CS_ERROR_IO},
        {"rm input.npy activations/input.npy", "incomplete", CS_ERROR_IO},
        {"rm gates/a.relu.npy", "a.relu", CS_ERROR_IO},
        {"rm winners/maxpool.npy", "maxpool", CS_ERROR_IO},
        {"cp activations/relu.npy activations/a.add.npy", "another model", CS_ERROR_MISMATCH},
        {"cp gates/relu.npy gates/a.relu.npy", "a.relu", CS_ERROR_MISMATCH},
        {"head -c 200 gradients/relu.npy > t && mv t gradients/relu.npy", "relu", CS_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(cli_shell("cp -r %s %s.kept && cd %s && %s", f.folder, f.folder, f.folder,
                                   cases[i].spoil),
                         0);
        require_refused(&f, cases[i].status, cases[i].words);
        ck_assert_int_eq(cli_shell("rm -r %s && mv %s.kept %s", f.folder, f.folder, f.folder), 0);
    }
    ((float *)wrong.data)[3] += 1;
    write_values(&f, ".", "input", &wrong);
    require_refused(&f, CS_ERROR_MISMATCH, "another image");
    write_values(&f, ".", "input", &f.input);
    f.options.class_index = 2;
    require_refused(&f, CS_ERROR_MISMATCH, "another class");
    f.options.class_index = 1;
    ((float *)wrong.data)[3] = (float)NAN;
    write_values(&f, "gradients", "input", &wrong);
    require_refused(&f, CS_ERROR_NUMERIC, "NaN");
    cs_tensor_release(&wrong);
    forgery_close(&f);
}
END_TEST

/* ------------------------------------------------------------------ X-rays --------------- */

static void audit_picture_file(const char *model, const char *path, const char *folder) {
    const cli_result r = cli_run("audit %s %s -o %s --threads 2", model, path, folder);
    ck_assert_msg(r.code == 0, "%s: exit code %d\n%s%s", path, r.code, r.out, r.err);
}

/* Ten X-rays, five of each class: all bars hold, the ledger among them. */
START_TEST(xrays_are_explained) {
    static const char *const classes[] = {"chest-xray/NORMAL", "chest-xray/PNEUMONIA"};
    const char *checkpoint = test_data_path("best_model.pth");
    if (!test_long() || !checkpoint)
        return;
    char name[2048], model[2060], path[8192], out[4096];
    snprintf(name, sizeof name, "%s", test_path(test_temp_dir(), "best_model"));
    snprintf(model, sizeof model, "%s.json", name);
    ck_assert_int_eq(cli_run("convert %s -o %s", checkpoint, name).code, 0);
    for (int k = 0; k < 2; k++) {
        const char *given = test_data_path(classes[k]);
        struct dirent **names = NULL;
        char folder[2048]; /* a test's paths are kept for a while only */
        if (!given)
            return;
        snprintf(folder, sizeof folder, "%s", given);
        const int count = scandir(folder, &names, NULL, alphasort);
        for (int i = 0, done = 0; i < count; i++) {
            if (names[i]->d_name[0] != '.' && done < 5) {
                snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
                snprintf(out, sizeof out, "%s-%d-%d", model, k, done++);
                audit_picture_file(model, path, out);
            }
            free(names[i]);
        }
        free(names);
    }
}
END_TEST

Suite *suite_audit_ledger(void);
Suite *suite_audit_ledger(void) {
    Suite *suite = suite_create("audit_ledger");
    TCase *tests = tcase_create("audit_ledger");
    tcase_set_timeout(tests, test_long() ? 1800 : 60);
    tcase_add_loop_test(tests, flips_are_those_of_complete_passes, 0, 4);
    tcase_add_test(tests, distances_are_those_of_the_input);
    tcase_add_test(tests, an_error_is_found_where_it_is);
    tcase_add_test(tests, a_dump_may_lack_nodes);
    tcase_add_test(tests, dumps_of_something_else_are_refused);
    tcase_add_test(tests, xrays_are_explained);
    suite_add_tcase(suite, tests);
    return suite;
}
