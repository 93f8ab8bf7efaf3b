/* test_gates.c - gates as a value: taken from a run, saved, loaded, compared and imposed. */
#include "random_model.h"
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES 3

/* A random network with its input and seed. */
typedef struct gate_scene {
    random_model net;
    cs_model *model;
    cs_tensor input, seed;
} gate_scene;

static gate_scene scene; /* large; each test runs in a process of its own */

static void open_scene(uint64_t number) {
    cs_error err;
    random_model_make(&scene.net, number);
    const built_model *m = &scene.net.model;
    scene.model = built_model_open(m);
    REQUIRE_OK(
        cs_tensor_allocate(&scene.input, CS_F32, IMAGES, m->channels, m->height, m->width, &err),
        err);
    REQUIRE_OK(cs_tensor_allocate(&scene.seed, CS_F32, IMAGES, m->classes, 1, 1, &err), err);
    cs_random random = {number + 5000};
    cs_random_fill_input(&random, &scene.input);
    cs_random_fill_input(&random, &scene.seed);
    for (int64_t i = 0; i < m->channels * m->width; i++) /* a black row: zeros, ties */
        cs_tensor_set(&scene.input, 1, i % m->channels, 0, i / m->channels, 0);
}

static void close_scene(void) {
    cs_model_free(scene.model);
    random_model_free(&scene.net);
    cs_tensor_release(&scene.input);
    cs_tensor_release(&scene.seed);
}

/* A run that is told nothing yet; NULL where the engine was not built. */
static cs_run *make_run(cs_engine engine, cs_isa isa, cs_dtype dtype) {
    cs_error err;
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.engine = engine;
    options.isa = isa;
    options.dtype = dtype;
    options.threads = 2;
    options.max_batch = IMAGES + 1;
    const cs_status status = cs_run_create(scene.model, &options, &run, &err);
    if (status == CS_ERROR_UNSUPPORTED && engine == CS_ENGINE_GEMM)
        return NULL;
    ck_assert_msg(status == CS_OK, "%s", err.text);
    return run;
}

static void pass(cs_run *run, cs_tensor *output, cs_tensor *gradient) {
    cs_error err;
    cs_tensor view;
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &scene.input, &err), err);
    REQUIRE_OK(cs_run_backward(run, &scene.seed, &err), err);
    REQUIRE_OK(cs_run_output(run, &view, &err), err);
    *output = test_tensor_copy(&view);
    REQUIRE_OK(cs_run_gradient(run, "input", &view, &err), err);
    *gradient = test_tensor_copy(&view);
}

static void keep_everything(cs_run *run) {
    cs_error err;
    for (int i = 0; i < cs_model_node_count(scene.model); i++)
        REQUIRE_OK(cs_run_keep(run, cs_model_node(scene.model, i)->name, &err), err);
}

/* Its own gates imposed: the same bits, in every engine, type and instruction set. */
static void check_own_gates(cs_engine engine, cs_isa isa, cs_dtype dtype) {
    cs_error err;
    cs_tensor y[2], dx[2];
    cs_gates *gates = NULL, *again = NULL;
    int64_t flipped;
    char line[100];
    cs_run *run = make_run(engine, isa, dtype);
    if (run == NULL)
        return;
    snprintf(line, sizeof line, "own gates imposed, %s %s %s",
             engine == CS_ENGINE_GEMM ? "gemm" : "direct", cs_isa_name(isa), cs_dtype_name(dtype));
    cs_run_keep_gates(run);
    pass(run, &y[0], &dx[0]);
    REQUIRE_OK(cs_run_gates(run, &gates, &err), err);
    REQUIRE_OK(cs_run_impose_gates(run, gates, &err), err);
    pass(run, &y[1], &dx[1]);
    test_tensors_equal(&y[1], &y[0], line);
    test_tensors_equal(&dx[1], &dx[0], line);
    REQUIRE_OK(cs_run_gates(run, &again, &err), err);
    for (int i = 0; i < cs_gates_count(gates); i++) {
        REQUIRE_OK(cs_gates_flipped(gates, again, i, &flipped, &err), err);
        ck_assert_int_eq(flipped, 0);
    }
    for (int i = 0; i < 2; i++) {
        cs_tensor_release(&y[i]);
        cs_tensor_release(&dx[i]);
    }
    cs_gates_free(gates);
    cs_gates_free(again);
    cs_run_free(run);
}

START_TEST(own_gates_change_nothing) {
    open_scene((uint64_t)_i);
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
        check_own_gates(CS_ENGINE_GEMM, CS_ISA_AUTO, (cs_dtype)dtype);
        for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++)
            if (cs_isa_available((cs_isa)isa))
                check_own_gates(CS_ENGINE_DIRECT, (cs_isa)isa, (cs_dtype)dtype);
    }
    close_scene();
}
END_TEST

/* Saved gates are what the node's input says; keeping them changes no bit. */
START_TEST(gates_are_what_the_inputs_say) {
    open_scene((uint64_t)_i);
    cs_error err;
    cs_gates *gates = NULL;
    cs_tensor y[2], dx[2], x, value;
    cs_run *plain = make_run(CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F32);
    cs_run *run = make_run(CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F32);
    pass(plain, &y[0], &dx[0]);
    cs_run_keep_gates(run);
    keep_everything(run);
    pass(run, &y[1], &dx[1]);
    test_tensors_equal(&y[1], &y[0], "gates kept");
    test_tensors_equal(&dx[1], &dx[0], "gates kept");
    REQUIRE_OK(cs_run_gates(run, &gates, &err), err);
    ck_assert_int_gt(cs_gates_count(gates), 0);
    for (int i = 0; i < cs_gates_count(gates); i++) {
        const cs_gates_info g = cs_gates_node(gates, i);
        const cs_node_info *node = cs_model_node(scene.model, g.node);
        ck_assert_int_eq(g.winners, strcmp(node->op, "max_pool2d") == 0);
        REQUIRE_OK(
            cs_run_activation(run, cs_model_node(scene.model, node->input[0])->name, &x, &err),
            err);
        REQUIRE_OK(cs_run_activation(run, node->name, &value, &err), err);
        ck_assert_int_eq(cs_tensor_count(&value), g.n * g.c * g.h * g.w);
        for (int64_t j = 0; j < cs_tensor_count(&value); j++) {
            const int64_t c = j % g.c, w = j / g.c % g.w, h = j / g.c / g.w % g.h;
            const int64_t n = j / g.c / g.w / g.h;
            const int32_t gate = cs_gates_at(gates, i, n, c, h, w);
            if (g.winners)
                ck_assert(cs_tensor_at(&x, n, c, gate / x.w, gate % x.w) ==
                          cs_tensor_at(&value, n, c, h, w));
            else
                ck_assert_int_eq(gate, cs_tensor_at(&x, n, c, h, w) > 0);
        }
    }
    for (int i = 0; i < 2; i++) {
        cs_tensor_release(&y[i]);
        cs_tensor_release(&dx[i]);
    }
    cs_gates_free(gates);
    cs_run_free(run);
    cs_run_free(plain);
    close_scene();
}
END_TEST

/* Gates of another input, imposed: each relu and pool selects by them and passes its gradient to
 * the same elements; backward alone follows gates imposed after the forward pass. */
static void check_selection(cs_run *run, const cs_gates *gates) {
    cs_error err;
    for (int i = 0; i < cs_gates_count(gates); i++) {
        const cs_gates_info g = cs_gates_node(gates, i);
        const cs_node_info *node = cs_model_node(scene.model, g.node);
        const char *from = cs_model_node(scene.model, node->input[0])->name;
        cs_tensor x, y, dx, dy;
        REQUIRE_OK(cs_run_activation(run, from, &x, &err), err);
        REQUIRE_OK(cs_run_gradient(run, from, &dx, &err), err);
        REQUIRE_OK(cs_run_activation(run, g.name, &y, &err), err);
        REQUIRE_OK(cs_run_gradient(run, g.name, &dy, &err), err);
        double *sums = calloc((size_t)cs_tensor_count(&x), sizeof *sums);
        ck_assert_ptr_nonnull(sums);
        for (int64_t j = 0; j < cs_tensor_count(&y); j++) {
            const int64_t c = j % g.c, w = j / g.c % g.w, h = j / g.c / g.w % g.h;
            const int64_t n = j / g.c / g.w / g.h;
            const int32_t gate = cs_gates_at(gates, i, n, c, h, w);
            const int64_t ih = g.winners ? gate / x.w : h, iw = g.winners ? gate % x.w : w;
            const double value = cs_tensor_at(&x, n, c, ih, iw);
            const bool open = g.winners || gate == 1;
            REQUIRE_EACH(cs_tensor_at(&y, n, c, h, w) == (open ? value : 0),
                         "%s: not the chosen value", g.name);
            sums[((n * x.h + ih) * x.w + iw) * x.c + c] += open ? cs_tensor_at(&dy, n, c, h, w) : 0;
        }
        int readers = 0;
        for (int k = 0; k < cs_model_node_count(scene.model); k++)
            for (int a = 0; a < cs_model_node(scene.model, k)->inputs; a++)
                readers += cs_model_node(scene.model, k)->input[a] == node->input[0];
        for (int64_t j = 0; readers == 1 && j < cs_tensor_count(&x); j++) {
            const double got =
                cs_tensor_at(&dx, j / x.c / x.w / x.h, j % x.c, j / x.c / x.w % x.h, j / x.c % x.w);
            REQUIRE_EACH(got - sums[j] < 1e-12 && sums[j] - got < 1e-12,
                         "%s: gradient %.17g, expected %.17g", g.name, got, sums[j]);
        }
        free(sums);
    }
}

START_TEST(imposed_gates_select) {
    open_scene((uint64_t)_i);
    cs_error err;
    cs_gates *own = NULL, *other = NULL;
    cs_tensor y, dx;
    cs_run *run = make_run(CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F64);
    cs_run_keep_gates(run);
    keep_everything(run);
    pass(run, &y, &dx);
    cs_tensor_release(&y);
    cs_tensor_release(&dx);
    REQUIRE_OK(cs_run_gates(run, &own, &err), err);
    for (int64_t i = 0; i < cs_tensor_count(&scene.input); i++) /* another input's gates */
        ((float *)scene.input.data)[i] *= -0.5f;
    REQUIRE_OK(cs_run_forward(run, &scene.input, &err), err);
    REQUIRE_OK(cs_run_gates(run, &other, &err), err);
    int64_t flipped = 0;
    for (int i = 0; i < cs_gates_count(own); i++) {
        int64_t count, expected = 0;
        const cs_gates_info g = cs_gates_node(own, i);
        REQUIRE_OK(cs_gates_flipped(own, other, i, &count, &err), err);
        for (int64_t j = 0; j < g.n * g.c * g.h * g.w; j++)
            expected += cs_gates_at(own, i, j % g.n, j / g.n % g.c, j / g.n / g.c % g.h,
                                    j / g.n / g.c / g.h) !=
                        cs_gates_at(other, i, j % g.n, j / g.n % g.c, j / g.n / g.c % g.h,
                                    j / g.n / g.c / g.h);
        ck_assert_int_eq(count, expected);
        flipped += count;
    }
    ck_assert_int_gt(flipped, 0);
    REQUIRE_OK(cs_run_impose_gates(run, own, &err), err);
    pass(run, &y, &dx);
    check_selection(run, own);
    /* The backward pass takes the gates that were imposed last, without a new forward pass. */
    cs_tensor forward_only = y, second;
    REQUIRE_OK(cs_run_impose_gates(run, other, &err), err);
    REQUIRE_OK(cs_run_backward(run, &scene.seed, &err), err);
    REQUIRE_OK(cs_run_gradient(run, "input", &second, &err), err);
    cs_tensor by_other = test_tensor_copy(&second), view;
    REQUIRE_OK(cs_run_output(run, &view, &err), err);
    test_tensors_equal(&view, &forward_only, "output after other gates");
    for (int i = 0; i < cs_gates_count(own); i++) /* taken over one by one: own becomes other */
        REQUIRE_OK(cs_gates_take(own, other, i, &err), err);
    REQUIRE_OK(cs_run_impose_gates(run, own, &err), err);
    REQUIRE_OK(cs_run_backward(run, &scene.seed, &err), err);
    REQUIRE_OK(cs_run_gradient(run, "input", &second, &err), err);
    test_tensors_equal(&second, &by_other, "gates taken over");
    cs_tensor_release(&by_other);
    cs_tensor_release(&y);
    cs_tensor_release(&dx);
    cs_gates_free(own);
    cs_gates_free(other);
    cs_run_free(run);
    close_scene();
}
END_TEST

START_TEST(files_go_there_and_back) {
    open_scene((uint64_t)_i);
    cs_error err;
    cs_gates *gates = NULL, *back = NULL;
    cs_tensor y, dx;
    const char *folder = test_temp_dir();
    cs_run *run = make_run(CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F32);
    cs_run_keep_gates(run);
    pass(run, &y, &dx);
    REQUIRE_OK(cs_run_gates(run, &gates, &err), err);
    REQUIRE_OK(cs_gates_save(gates, folder, &err), err);
    REQUIRE_OK(cs_gates_load(scene.model, folder, 0, 0, &back, &err), err);
    ck_assert_int_eq(cs_gates_count(back), cs_gates_count(gates));
    for (int i = 0; i < cs_gates_count(gates); i++) {
        int64_t flipped;
        REQUIRE_OK(cs_gates_flipped(gates, back, i, &flipped, &err), err);
        ck_assert_int_eq(flipped, 0);
    }
    cs_tensor_release(&y);
    cs_tensor_release(&dx);
    cs_gates_free(gates);
    cs_gates_free(back);
    cs_run_free(run);
    close_scene();
}
END_TEST

/* ------------------------------------------------------------------ refusals ------------- */

/* A relu and a 2 x 2 pool of stride 2 on a map of 1 x 4 x 4. */
static cs_model *small_model(void) {
    static built_node nodes[2];
    nodes[0] = (built_node){.name = "relu", .op = "relu", .inputs = {"input"}};
    nodes[1] = (built_node){.name = "pool",
                            .op = "max_pool2d",
                            .inputs = {"relu"},
                            .attributes = built_window(2, 2, 0, 1)};
    const built_model model = {.channels = 1,
                               .height = 4,
                               .width = 4,
                               .nodes = nodes,
                               .count = 2,
                               .output = "pool",
                               .classes = 1};
    return built_model_open(&model);
}

static void write_good(const char *folder) {
    cs_error err;
    const uint8_t gates[16] = {1, 1};
    const int64_t winners[4] = {0, 3, 12, 15}, shape[4] = {1, 1, 4, 4}, half[4] = {1, 1, 2, 2};
    char path[4096];
    cs_gates *probe = NULL;
    cs_run *run = NULL;
    cs_model *model = small_model();
    /* cs_gates_save makes the folders. */
    cs_tensor input;
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 1, 1, 4, 4, &err), err);
    REQUIRE_OK(cs_run_create(model, NULL, &run, &err), err);
    cs_run_keep_gates(run);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    REQUIRE_OK(cs_run_gates(run, &probe, &err), err);
    REQUIRE_OK(cs_gates_save(probe, folder, &err), err);
    snprintf(path, sizeof path, "%s/gates/relu.npy", folder);
    REQUIRE_OK(cs_npy_write_raw(path, "|u1", shape, 4, gates, sizeof gates, &err), err);
    snprintf(path, sizeof path, "%s/winners/pool.npy", folder);
    REQUIRE_OK(cs_npy_write_raw(path, "<i8", half, 4, winners, sizeof winners, &err), err);
    cs_gates_free(probe);
    cs_run_free(run);
    cs_model_free(model);
    cs_tensor_release(&input);
}

/* One file replaced by something wrong. */
typedef struct bad_file {
    const char *file, *descr;
    int64_t shape[4];
    int64_t value; /* of the first element; the others are 0 */
    cs_status status;
} bad_file;

static const bad_file bad_files[] = {
    {"gates/relu.npy", "|u1", {1, 1, 4, 4}, 2, CS_ERROR_FORMAT},       /* no gate */
    {"gates/relu.npy", "<f4", {1, 1, 4, 4}, 0, CS_ERROR_FORMAT},       /* another type */
    {"gates/relu.npy", "|u1", {1, 1, 4, 5}, 0, CS_ERROR_MISMATCH},     /* another shape */
    {"gates/relu.npy", "|u1", {2, 1, 4, 4}, 0, CS_ERROR_MISMATCH},     /* more images than pool */
    {"gates/relu.npy", "|u1", {0, 1, 4, 4}, 0, CS_ERROR_MISMATCH},     /* no image */
    {"gates/relu.npy", "|u1", {60000, 0, 4, 4}, 0, CS_ERROR_MISMATCH}, /* images of nothing */
    {"winners/pool.npy", "<i8", {1, 1, 2, 2}, 2, CS_ERROR_FORMAT},     /* the next window's */
    {"winners/pool.npy", "<i8", {1, 1, 2, 2}, -1, CS_ERROR_FORMAT},    /* negative */
    {"winners/pool.npy", "<i8", {1, 1, 2, 2}, 1LL << 40, CS_ERROR_FORMAT}, /* beyond int32 */
    {"winners/pool.npy", "|u1", {1, 1, 2, 2}, 0, CS_ERROR_FORMAT},         /* another type */
    {"winners/pool.npy", NULL, {0}, 0, CS_ERROR_IO},                       /* missing */
};

START_TEST(wrong_files_are_refused) {
    cs_error err;
    const bad_file *bad = &bad_files[_i];
    const char *folder = test_temp_dir();
    cs_gates *gates = NULL;
    cs_model *model = small_model();
    char path[4096];
    write_good(folder);
    REQUIRE_OK(cs_gates_load(model, folder, 0, 0, &gates, &err), err);
    cs_gates_free(gates);
    snprintf(path, sizeof path, "%s/%s", folder, bad->file);
    if (bad->descr) {
        const int64_t *s = bad->shape;
        int64_t values[64] = {bad->value};
        const size_t size = (size_t)(s[0] * s[1] * s[2] * s[3]) * (size_t)(bad->descr[2] - '0');
        ck_assert_uint_le(size, sizeof values);
        REQUIRE_OK(cs_npy_write_raw(path, bad->descr, s, 4, values, size, &err), err);
    } else {
        ck_assert_int_eq(remove(path), 0);
    }
    gates = NULL;
    REQUIRE_STATUS(cs_gates_load(model, folder, 0, 0, &gates, &err), bad->status, err);
    /* The file, or the one that no longer fits beside it, is named. */
    ck_assert_msg(strstr(err.text, ".npy") != NULL, "%s", err.text);
    ck_assert_ptr_null(gates);
    cs_model_free(model);
}
END_TEST

START_TEST(wrong_gates_are_refused) {
    cs_error err;
    cs_gates *gates = NULL, *few = NULL;
    cs_tensor y, dx;
    int64_t flipped;
    open_scene(3);
    cs_run *run = make_run(CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F32);
    REQUIRE_STATUS(cs_run_gates(run, &gates, &err), CS_ERROR_STATE, err);
    cs_run_keep_gates(run);
    REQUIRE_STATUS(cs_run_gates(run, &gates, &err), CS_ERROR_STATE, err);
    pass(run, &y, &dx);
    REQUIRE_OK(cs_run_gates(run, &gates, &err), err);
    /* Gates of three images, and a batch of two. */
    cs_tensor two = scene.input;
    two.n = 2;
    REQUIRE_OK(cs_run_forward(run, &two, &err), err);
    REQUIRE_OK(cs_run_gates(run, &few, &err), err);
    REQUIRE_STATUS(cs_gates_flipped(gates, few, 0, &flipped, &err), CS_ERROR_MISMATCH, err);
    REQUIRE_OK(cs_run_impose_gates(run, gates, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_STATUS(cs_run_forward(run, &two, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_OK(cs_run_forward(run, &scene.input, &err), err);
    REQUIRE_OK(cs_run_impose_gates(run, few, &err), err);
    REQUIRE_STATUS(cs_run_backward(run, &scene.seed, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_OK(cs_run_impose_gates(run, gates, &err), err);
    REQUIRE_OK(cs_run_backward(run, &scene.seed, &err), err);
    /* Another network, another size, a run for fewer images. */
    cs_model *other = small_model();
    cs_run *run_other = NULL, *run_small = NULL, *run_single = NULL;
    REQUIRE_OK(cs_run_create(other, NULL, &run_other, &err), err);
    REQUIRE_STATUS(cs_run_impose_gates(run_other, few, &err), CS_ERROR_ARGUMENT, err);
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.max_batch = IMAGES;
    REQUIRE_OK(cs_run_create(other, &options, &run_small, &err), err);
    REQUIRE_STATUS(cs_run_impose_gates(run_small, gates, &err), CS_ERROR_MISMATCH, err);
    cs_run_free(run_small);
    options.height = scene.input.h + 16;
    options.width = scene.input.w;
    REQUIRE_OK(cs_run_create(scene.model, &options, &run_small, &err), err);
    REQUIRE_STATUS(cs_run_impose_gates(run_small, gates, &err), CS_ERROR_MISMATCH, err);
    REQUIRE_OK(cs_run_create(scene.model, NULL, &run_single, &err), err);
    REQUIRE_STATUS(cs_run_impose_gates(run_single, gates, &err), CS_ERROR_ARGUMENT, err);
    cs_run_free(run_single);
    cs_run_free(run_small);
    cs_run_free(run_other);
    cs_model_free(other);
    cs_tensor_release(&y);
    cs_tensor_release(&dx);
    cs_gates_free(gates);
    cs_gates_free(few);
    cs_run_free(run);
    close_scene();
}
END_TEST

Suite *suite_gates(void);
Suite *suite_gates(void) {
    Suite *suite = suite_create("gates");
    TCase *tests = tcase_create("gates");
    tcase_add_loop_test(tests, own_gates_change_nothing, 0, 20);
    tcase_add_loop_test(tests, gates_are_what_the_inputs_say, 0, 20);
    tcase_add_loop_test(tests, imposed_gates_select, 0, 20);
    tcase_add_loop_test(tests, files_go_there_and_back, 0, 10);
    tcase_add_loop_test(tests, wrong_files_are_refused, 0,
                        (int)(sizeof bad_files / sizeof bad_files[0]));
    tcase_add_test(tests, wrong_gates_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
