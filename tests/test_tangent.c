/* test_tangent.c - forward-mode derivatives: every node of random networks and of a zoo of layers
 * against the naive loops, adjointness with the backward pass, PyTorch's jvp, and the same bits for
 * all settings. */
#include "tangent_scene.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ naive ---------------- */

static naive_tensor read_node(cs_run *run, const char *name, bool tangent) {
    cs_error err;
    cs_tensor t;
    REQUIRE_OK((tangent ? cs_run_tangent_of : cs_run_activation)(run, name, &t, &err), err);
    return naive_from(&t);
}

static void add_to(naive_tensor *sum, naive_tensor *part) {
    for (int64_t i = 0; i < sum->n * sum->c * sum->h * sum->w; i++)
        sum->v[i] += part->v[i];
    naive_free(part);
}

/* One node's tangent from those of its inputs as the run has them, within the rounding bound. */
static void check_node(cs_run *run, const built_node *node, int index, cs_dtype dtype,
                       bool parameters, const char *line) {
    naive_tensor in[2], u[2], sizes[2], size_u[2];
    const naive_tensor *const ins[2] = {&in[0], &in[1]}, *const us[2] = {&u[0], &u[1]};
    const naive_tensor *const abs_us[2] = {&size_u[0], &size_u[1]};
    const int inputs = node->inputs[1] ? 2 : 1;
    const cs_node_info *info = cs_model_node(scene.model, index);
    const double unit = dtype == CS_F64 ? 0x1p-53 : 0x1p-24;
    for (int k = 0; k < inputs; k++) {
        in[k] = read_node(run, node->inputs[k], false);
        u[k] = read_node(run, node->inputs[k], true);
        sizes[k] = naive_absolute(&in[k]);
        size_u[k] = naive_absolute(&u[k]);
    }
    naive_tensor want = naive_tangent(node, ins, us, false);
    naive_tensor size = naive_tangent(node, ins, abs_us, true),
                 got = read_node(run, node->name, true);
    double terms = (double)naive_terms(node, &in[0], false);
    if (parameters && info->parameters > 0) {
        const float *weight = scene.weights[info->parameter[0]];
        const float *bias = info->parameters > 1 ? scene.weights[info->parameter[1]] : NULL;
        naive_tensor part = naive_parameter_tangent(node, &in[0], weight, bias, false);
        add_to(&want, &part);
        part = naive_parameter_tangent(node, &sizes[0], weight, bias, true);
        add_to(&size, &part);
    }
    ck_assert(got.n == want.n && got.c == want.c && got.h == want.h && got.w == want.w);
    for (int64_t i = 0; i < got.n * got.c * got.h * got.w; i++)
        REQUIRE_EACH(fabs(got.v[i] - want.v[i]) <= (terms + 6) * unit * size.v[i],
                     "%s: %s: tangent %lld is %.17g, expected %.17g within %.3g", line, node->name,
                     (long long)i, got.v[i], want.v[i], (terms + 6) * unit * size.v[i]);
    for (int k = 0; k < inputs; k++) {
        naive_free(&in[k]);
        naive_free(&u[k]);
        naive_free(&sizes[k]);
        naive_free(&size_u[k]);
    }
    naive_free(&want);
    naive_free(&size);
    naive_free(&got);
}

START_TEST(tangents_are_the_naive_ones) {
    tangent_scene_open(_i - 1);
    for (int kind = 0; kind < 8; kind++) {
        char line[100];
        const cs_engine engine = kind & 1 ? CS_ENGINE_GEMM : CS_ENGINE_DIRECT;
        const cs_dtype dtype = kind & 2 ? CS_F64 : CS_F32;
        snprintf(line, sizeof line, "network %d, %s %s%s", _i - 1, kind & 1 ? "gemm" : "direct",
                 cs_dtype_name(dtype), kind & 4 ? ", parameters" : "");
        cs_run *run = tangent_scene_run(engine, CS_ISA_AUTO, dtype, 2, true, kind & 4);
        for (int i = 0; run && i < scene.net.model.count; i++)
            check_node(run, &scene.net.model.nodes[i], i + 1, dtype, kind & 4, line);
        cs_run_free(run);
    }
    tangent_scene_close();
}
END_TEST

/* ------------------------------------------------------------------ adjointness ---------- */

static long double inner(const cs_tensor *a, const cs_tensor *b) {
    long double sum = 0;
    for (int64_t i = 0; i < cs_tensor_count(a); i++)
        sum += (long double)((double *)a->data)[i] * (long double)((double *)b->data)[i];
    return sum;
}

/* <J u, v> = <u, Jt v> for the whole network and a direction of input and parameters. */
static void check_adjoint(bool training, int number) {
    cs_error err;
    cs_tensor y, dx, u, gradient;
    cs_run *run = tangent_scene_run(CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F64, 2, false, true);
    cs_run_set_training(run, training);
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    REQUIRE_OK(cs_run_keep_parameter_gradient(run, NULL, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &scene.input, &err), err);
    const cs_direction direction = {&scene.direction, scene.parameters};
    REQUIRE_OK(cs_run_tangent(run, &direction, &err), err);
    REQUIRE_OK(cs_run_tangent_of(run, scene.net.model.output, &y, &err), err);
    cs_tensor seed = test_tensor_copy(&y);
    cs_random_fill_input(&scene.random, &seed);
    REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
    REQUIRE_OK(cs_run_gradient(run, "input", &dx, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&u, CS_F64, dx.n, dx.c, dx.h, dx.w, &err), err);
    for (int64_t i = 0; i < cs_tensor_count(&dx); i++)
        ((double *)u.data)[i] = (double)((float *)scene.direction.data)[i];
    long double left = inner(&y, &seed), right = inner(&u, &dx);
    for (int i = 0; i < cs_model_tensor_count(scene.model); i++) {
        if (!scene.parameters[i].data)
            continue;
        REQUIRE_OK(
            cs_run_parameter_gradient(run, cs_model_tensor(scene.model, i)->name, &gradient, &err),
            err);
        right += inner(&scene.parameters[i], &gradient);
    }
    ck_assert_msg(fabsl(left - right) <= 2e-13L * sqrtl(inner(&y, &y) * inner(&seed, &seed)),
                  "network %d%s: <Ju,v> = %.17Lg, <u,Jtv> = %.17Lg", number,
                  training ? ", training" : "", left, right);
    cs_tensor_release(&seed);
    cs_tensor_release(&u);
    cs_run_free(run);
}

START_TEST(tangent_and_gradient_are_adjoint) {
    tangent_scene_open(_i - 1);
    check_adjoint(false, _i - 1);
    check_adjoint(true, _i - 1);
    tangent_scene_close();
}
END_TEST

/* ------------------------------------------------------------------ invariance ----------- */

START_TEST(tangents_have_one_value) {
    tangent_scene_open(_i - 1);
    cs_error err;
    cs_tensor view;
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
        cs_run *run =
            tangent_scene_run(CS_ENGINE_DIRECT, CS_ISA_PORTABLE, (cs_dtype)dtype, 1, false, true);
        REQUIRE_OK(cs_run_tangent_of(run, scene.net.model.output, &view, &err), err);
        cs_tensor wanted = test_tensor_copy(&view);
        cs_run_free(run);
        for (int isa = CS_ISA_PORTABLE_NOFMA; isa <= CS_ISA_LAST; isa++)
            for (int threads = 1; threads <= 7; threads += 2) {
                char line[100];
                if (!cs_isa_available((cs_isa)isa))
                    continue;
                run = tangent_scene_run(CS_ENGINE_DIRECT, (cs_isa)isa, (cs_dtype)dtype, threads,
                                        threads == 3, true);
                snprintf(line, sizeof line, "tangent, %s, %d threads", cs_isa_name((cs_isa)isa),
                         threads);
                REQUIRE_OK(cs_run_tangent_of(run, scene.net.model.output, &view, &err), err);
                test_tensors_equal(&view, &wanted, line);
                cs_run_free(run);
            }
        cs_tensor_release(&wanted);
    }
    tangent_scene_close();
}
END_TEST

/* ------------------------------------------------------------------ single nodes --------- */

/* Each node alone gives the bits that the run has: forward, backward (its contributions added as
 * the run adds them) and tangent; and leaves the run's own values alone. */
static void check_single(cs_run *run, int index, cs_dtype dtype) {
    cs_error err;
    const cs_node_info *info = cs_model_node(scene.model, index);
    cs_tensor in[2], u[2], value, tangent;
    const cs_tensor *const ins[2] = {&in[0], &in[1]}, *const us[2] = {&u[0], &u[1]};
    for (int k = 0; k < info->inputs; k++) {
        const char *name = cs_model_node(scene.model, info->input[k])->name;
        REQUIRE_OK(cs_run_activation(run, name, &in[k], &err), err);
        REQUIRE_OK(cs_run_tangent_of(run, name, &u[k], &err), err);
    }
    REQUIRE_OK(cs_run_activation(run, info->name, &value, &err), err);
    REQUIRE_OK(cs_run_tangent_of(run, info->name, &tangent, &err), err);
    cs_tensor out;
    REQUIRE_OK(cs_tensor_allocate(&out, dtype, value.n, value.c, value.h, value.w, &err), err);
    REQUIRE_OK(cs_run_node_forward(run, index, ins, &out, &err), err);
    test_tensors_equal(&out, &value, info->name);
    REQUIRE_OK(cs_run_node_tangent(run, index, &value, us, &out, &err), err);
    test_tensors_equal(&out, &tangent, info->name);
    cs_tensor_release(&out);
}

static void check_single_backward(cs_run *run, int tensor, cs_dtype dtype) {
    cs_error err;
    cs_tensor gradient, sum;
    const char *name = cs_model_node(scene.model, tensor)->name;
    int parts = 0; /* three and more are added module by module (test_hooks.c) */
    REQUIRE_OK(cs_run_gradient(run, name, &gradient, &err), err);
    REQUIRE_OK(
        cs_tensor_allocate(&sum, dtype, gradient.n, gradient.c, gradient.h, gradient.w, &err), err);
    for (int i = cs_model_node_count(scene.model) - 1; i > tensor; i--)
        for (int k = cs_model_node(scene.model, i)->inputs - 1; k >= 0; k--) {
            const cs_node_info *info = cs_model_node(scene.model, i);
            if (info->input[k] != tensor)
                continue;
            cs_tensor *to[2] = {NULL, NULL}, dy, y;
            to[k] = &sum;
            REQUIRE_OK(cs_run_gradient(run, info->name, &dy, &err), err);
            REQUIRE_OK(cs_run_activation(run, info->name, &y, &err), err);
            REQUIRE_OK(cs_run_node_backward(run, i, &y, &dy, to, parts > 0, &err), err);
            parts++;
        }
    if (parts == 1 || parts == 2)
        test_tensors_equal(&sum, &gradient, name);
    cs_tensor_release(&sum);
}

START_TEST(single_nodes_are_the_runs) {
    tangent_scene_open(_i - 1);
    for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
        cs_error err;
        cs_tensor seed, y;
        cs_run *run =
            tangent_scene_run(CS_ENGINE_DIRECT, CS_ISA_AUTO, (cs_dtype)dtype, 2, true, false);
        const cs_direction direction = {&scene.direction, NULL};
        cs_run_keep_single_nodes(run);
        REQUIRE_OK(cs_run_prepare(run, &err), err);
        REQUIRE_OK(cs_run_forward(run, &scene.input, &err), err);
        REQUIRE_OK(cs_run_tangent(run, &direction, &err), err);
        REQUIRE_OK(cs_run_output(run, &y, &err), err);
        seed = test_tensor_copy(&y);
        cs_random_fill_input(&scene.random, &seed);
        REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
        for (int i = 1; i < cs_model_node_count(scene.model); i++)
            check_single(run, i, (cs_dtype)dtype);
        for (int i = 0; i < cs_model_node_count(scene.model); i++)
            check_single_backward(run, i, (cs_dtype)dtype);
        cs_tensor_release(&seed);
        cs_run_free(run);
    }
    tangent_scene_close();
}
END_TEST

/* ------------------------------------------------------------------ PyTorch -------------- */

/* tests/fixtures/torch_jvp.txt: torch.func.jvp in float64 of the example network; the input is that
 * of seed 1, tangents those of seed 2: the input's in N, C, H, W order, then each parameter's in
 * the manifest's order and layout. */
START_TEST(pytorch_has_the_same_tangents) {
    cs_error err;
    char node[128], largest[64], value[64];
    long long count, index;
    FILE *file = fopen("tests/fixtures/torch_jvp.txt", "r");
    ck_assert_ptr_nonnull(file);
    REQUIRE_OK(cs_model_open("examples/small_resnet.json", NULL, &scene.model, &err), err);
    const cs_preprocess *p = cs_model_preprocess(scene.model);
    const int tensors = cs_model_tensor_count(scene.model);
    cs_random inputs = {1}, tangents = {2};
    REQUIRE_OK(cs_tensor_allocate(&scene.input, CS_F32, 1, p->channels, p->height, p->width, &err),
               err);
    scene.direction = test_tensor_copy(&scene.input);
    cs_random_fill_input(&inputs, &scene.input);
    cs_random_fill_input(&tangents, &scene.direction);
    scene.weights = calloc((size_t)tensors, sizeof *scene.weights);
    scene.parameters = calloc((size_t)tensors, sizeof *scene.parameters);
    for (int t = 0; t < tensors; t++) {
        const cs_tensor_info *info = cs_model_tensor(scene.model, t);
        if (strstr(info->name, "running_"))
            continue;
        scene.weights[t] = malloc((size_t)info->count * sizeof **scene.weights);
        cs_tensor line = {CS_F32, 1, info->count, 1, 1, scene.weights[t]};
        cs_random_fill_input(&tangents, &line);
    }
    scene.net.model.output = cs_model_node(scene.model, cs_model_output_node(scene.model))->name;
    cs_run *run = tangent_scene_run(CS_ENGINE_DIRECT, CS_ISA_AUTO, CS_F64, 1, true, true);
    int blocks = 0;
    for (; fscanf(file, "%127s %63s %lld", node, largest, &count) == 3; blocks++) {
        cs_tensor t;
        REQUIRE_OK(cs_run_tangent_of(run, node, &t, &err), err);
        ck_assert_int_eq(cs_tensor_count(&t), count);
        for (int i = 0; i < 12; i++) {
            ck_assert_int_eq(fscanf(file, "%lld %63s", &index, value), 2);
            const double got =
                cs_tensor_at(&t, 0, index / (t.h * t.w), index / t.w % t.h, index % t.w);
            ck_assert_msg(fabs(got - strtod(value, NULL)) <= 1e-12 * strtod(largest, NULL),
                          "%s: tangent %lld is %.17g, PyTorch's %.17g", node, index, got,
                          strtod(value, NULL));
        }
    }
    ck_assert_int_eq(blocks, cs_model_node_count(scene.model));
    fclose(file);
    cs_run_free(run);
    tangent_scene_close();
}
END_TEST

/* ------------------------------------------------------------------ refusals ------------- */

START_TEST(wrong_calls_are_refused) {
    cs_error err;
    cs_tensor t;
    cs_run *run = NULL;
    tangent_scene_open(3);
    const char *output = scene.net.model.output;
    cs_direction direction = {&scene.direction, NULL};
    REQUIRE_OK(cs_run_create(scene.model, NULL, &run, &err), err);
    REQUIRE_STATUS(cs_run_tangent(run, &direction, &err), CS_ERROR_STATE, err);
    REQUIRE_STATUS(cs_run_keep_tangent(run, "nothing", &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_OK(cs_run_keep_tangent(run, output, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_STATUS(cs_run_tangent(run, &direction, &err), CS_ERROR_STATE, err);
    cs_tensor one = scene.input, small = scene.direction;
    one.n = small.n = 1;
    REQUIRE_OK(cs_run_forward(run, &one, &err), err);
    REQUIRE_STATUS(cs_run_tangent_of(run, output, &t, &err), CS_ERROR_STATE, err);
    REQUIRE_STATUS(cs_run_tangent(run, &direction, &err), CS_ERROR_ARGUMENT, err); /* 3 images */
    direction.input = &small;
    tangent_scene_parameters(CS_F32);
    direction.parameters = scene.parameters;
    REQUIRE_STATUS(cs_run_tangent(run, &direction, &err), CS_ERROR_STATE, err);
    cs_run_keep_parameter_tangents(run);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &one, &err), err);
    REQUIRE_OK(cs_run_tangent(run, &direction, &err), err);
    REQUIRE_STATUS(cs_run_tangent_of(run, "input", &t, &err), CS_ERROR_ARGUMENT, err);
    tangent_scene_parameters(CS_F64); /* not the run's type */
    REQUIRE_STATUS(cs_run_tangent(run, &direction, &err), CS_ERROR_ARGUMENT, err);
    /* A running statistic, and NaN, whose first node is named. */
    tangent_scene_parameters(CS_F32);
    for (int i = 0; i < cs_model_node_count(scene.model); i++) {
        const cs_node_info *info = cs_model_node(scene.model, i);
        if (strcmp(info->op, "batch_norm") != 0)
            continue;
        scene.parameters[info->parameter[2]] = scene.parameters[info->parameter[0]];
        REQUIRE_STATUS(cs_run_tangent(run, &direction, &err), CS_ERROR_ARGUMENT, err);
        scene.parameters[info->parameter[2]] = (cs_tensor){0};
        break;
    }
    const char *where = NULL;
    ((float *)small.data)[0] = NAN;
    REQUIRE_OK(cs_run_tangent(run, &direction, &err), err);
    ck_assert_int_eq(cs_run_status(run, &where), CS_ERROR_NUMERIC);
    ck_assert_str_eq(where, "input");
    /* Single nodes. */
    const cs_tensor *const ins[2] = {&small, NULL};
    REQUIRE_STATUS(cs_run_node_forward(run, 1, ins, &one, &err), CS_ERROR_STATE, err);
    cs_run_keep_single_nodes(run);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_STATUS(cs_run_node_forward(run, 1, ins, &one, &err), CS_ERROR_STATE, err);
    one.data = scene.input.data;
    REQUIRE_OK(cs_run_forward(run, &one, &err), err);
    REQUIRE_STATUS(cs_run_node_forward(run, 0, ins, &one, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_run_node_forward(run, 1, ins, &scene.input, &err), CS_ERROR_ARGUMENT, err);
    cs_run_free(run);
    tangent_scene_close();
}
END_TEST

Suite *suite_tangent(void);
Suite *suite_tangent(void) {
    Suite *suite = suite_create("tangent");
    TCase *tests = tcase_create("tangents");
    tcase_add_loop_test(tests, tangents_are_the_naive_ones, 0, 30);
    tcase_add_loop_test(tests, tangent_and_gradient_are_adjoint, 0, 30);
    tcase_add_loop_test(tests, tangents_have_one_value, 0, 10);
    tcase_add_loop_test(tests, single_nodes_are_the_runs, 0, 20);
    tcase_add_test(tests, pytorch_has_the_same_tangents);
    tcase_add_test(tests, wrong_calls_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
