/* test_whole_networks.c - the same bits whatever the threads, instruction set, place in the batch
 * and observers, over whole networks, all parameter gradients among them: the trained CIFAR
 * ResNet-20 on real images, and in test-long a ResNet-50 from a seed and one trained on X-rays.
 *
 * Every setting's output and input gradient are compared byte by byte with those of one thread of
 * the portable kernels, where nothing is watched but the input gradient. The published hashes of
 * the seeded one are test_hashes.c's.
 */
#include "cnnscope_cam.h"
#include "cnnscope_convert.h"
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES 5

/* One dimension each of what must not matter. */
static const int thread_counts[] = {1, 2, 3, 7};
static const cs_isa isas[] = {CS_ISA_PORTABLE, CS_ISA_AVX512, CS_ISA_PORTABLE_NOFMA};

typedef struct setting {
    int threads;
    cs_isa isa;
    cs_kernel kernel;
    bool keep_all;
    bool parameters, training, hooked; /* gradients of parameters; batch statistics; read all */
} setting;

static const setting reference_setting = {
    .threads = 1, .isa = CS_ISA_PORTABLE, .kernel = CS_KERNEL_DENSE};

static const char *describe(const char *network, const setting *s, const char *what) {
    static char line[256];
    snprintf(line, sizeof line, "%s%s, %d threads, %s, %s, %s: %s", network,
             s->training ? " in training" : "", s->threads, cs_isa_name(s->isa),
             cs_kernel_name(s->kernel),
             s->keep_all ? "everything kept"
             : s->hooked ? "hooks that read"
                         : "nothing kept",
             what);
    return line;
}

/* A network with its images, the seed of the backward pass, and the reference's results. */
typedef struct scene {
    const char *name;
    cs_model *model;
    cs_dtype dtype;
    cs_tensor input, seed, output, gradient;
} scene;

static cs_tensor images_of(const cs_tensor *t, int64_t first, int64_t count) {
    cs_tensor view = *t;
    view.n = count;
    view.data = (char *)t->data + (size_t)(first * t->c * t->h * t->w) * cs_dtype_size(t->dtype);
    return view;
}

/* Looks at all that a hook is given. */
static cs_status look(const cs_hook_call *call, void *user, cs_error *err) {
    double *sum = user;
    (void)err;
    if (call->output)
        *sum += cs_tensor_at(call->output, 0, 0, 0, 0);
    for (int i = 0; i < call->input_count; i++)
        if (call->grad_inputs && call->grad_inputs[i].data)
            *sum += cs_tensor_at(&call->grad_inputs[i], 0, 0, 0, 0);
    return CS_OK;
}

static double looked_at;

static void hook_all(const scene *s, cs_run *run) {
    cs_error err;
    for (int i = 1; i < cs_model_node_count(s->model); i++) {
        const char *name = cs_model_node(s->model, i)->name;
        REQUIRE_OK(cs_run_hook(run, name, CS_HOOK_FORWARD, look, &looked_at, NULL, &err), err);
        REQUIRE_OK(cs_run_hook(run, name, CS_HOOK_BACKWARD, look, &looked_at, NULL, &err), err);
    }
}

static cs_run *start_run(const scene *s, const setting *how, int64_t batch) {
    cs_error err;
    cs_run *run;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.dtype = s->dtype;
    options.threads = how->threads;
    options.isa = how->isa;
    options.kernel = how->kernel;
    options.max_batch = batch;
    REQUIRE_OK(cs_run_create(s->model, &options, &run, &err), err);
    for (int i = 0; how->keep_all && i < cs_model_node_count(s->model); i++)
        REQUIRE_OK(cs_run_keep(run, cs_model_node(s->model, i)->name, &err), err);
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    cs_run_set_training(run, how->training);
    if (how->parameters)
        REQUIRE_OK(cs_run_keep_parameter_gradient(run, NULL, &err), err);
    if (how->hooked)
        hook_all(s, run);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    return run;
}

/* Views of a run's results for these images. */
static void pass(cs_run *run, const cs_tensor *input, const cs_tensor *seed, cs_tensor *output,
                 cs_tensor *gradient) {
    cs_error err;
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    REQUIRE_OK(cs_run_output(run, output, &err), err);
    REQUIRE_OK(cs_run_gradient(run, "input", gradient, &err), err);
}

/* Images [first, first + count) of the scene, together in one batch, against the reference. */
static void check_images(const scene *s, cs_run *run, const setting *how, int64_t first,
                         int64_t count) {
    cs_tensor output, gradient;
    const cs_tensor input = images_of(&s->input, first, count);
    const cs_tensor seed = images_of(&s->seed, first, count);
    const cs_tensor wanted = images_of(&s->output, first, count);
    const cs_tensor wanted_gradient = images_of(&s->gradient, first, count);
    char what[64];
    pass(run, &input, &seed, &output, &gradient);
    snprintf(what, sizeof what, "output, %d images from %d", (int)count, (int)first);
    test_tensors_equal(&output, &wanted, describe(s->name, how, what));
    snprintf(what, sizeof what, "input gradient, %d images from %d", (int)count, (int)first);
    test_tensors_equal(&gradient, &wanted_gradient, describe(s->name, how, what));
}

static void make_reference(scene *s) {
    cs_error err;
    cs_tensor output, gradient;
    cs_run *run = start_run(s, &reference_setting, IMAGES);
    pass(run, &s->input, &s->seed, &output, &gradient);
    REQUIRE_OK(cs_run_status(run, NULL), err);
    s->output = test_tensor_copy(&output);
    s->gradient = test_tensor_copy(&gradient);
    cs_run_free(run);
}

/* One setting with a batch of `count` images. */
static void check_setting(const scene *s, const setting *how, int64_t count) {
    if (!cs_isa_available(how->isa)) {
        fprintf(stderr, "skipped: this CPU has no %s\n", cs_isa_name(how->isa));
        return;
    }
    cs_run *run = start_run(s, how, count);
    check_images(s, run, how, 0, count);
    cs_run_free(run);
}

/* Threads, instruction sets and observers. portable-nofma takes ten times as long: one image. */
static void check_settings(const scene *s, bool slow_too) {
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        for (size_t t = 0; t < sizeof thread_counts / sizeof *thread_counts; t++)
            for (int k = 0; k < 2 * (CS_KERNEL_LAST + 1); k++) {
                const setting how = {.threads = thread_counts[t],
                                     .isa = isas[i],
                                     .kernel = (cs_kernel)(k / 2),
                                     .keep_all = k % 2};
                const bool soft = how.isa == CS_ISA_PORTABLE_NOFMA;
                const bool usual = how.kernel == CS_KERNEL_AUTO;
                if (!slow_too && how.threads != 2 && (soft || !usual))
                    continue;
                /* (Everything kept of five large images would be gigabytes.) */
                check_setting(s, &how, soft || (how.keep_all && s->input.h > 32) ? 1 : IMAGES);
            }
}

/* Copies image `from` of a tensor to image `to` of another. */
static void copy_image(cs_tensor *there, int64_t to, const cs_tensor *here, int64_t from) {
    const cs_tensor source = images_of(here, from, 1), target = images_of(there, to, 1);
    memcpy(target.data, source.data, (size_t)cs_tensor_count(&source) * cs_dtype_size(here->dtype));
}

/* Each image alone, and each at every place of a batch of five. */
static void check_places(const scene *s, const setting *how) {
    if (!cs_isa_available(how->isa))
        return;
    scene turned = *s;
    cs_tensor *own[4] = {&turned.input, &turned.seed, &turned.output, &turned.gradient};
    const cs_tensor *from[4] = {&s->input, &s->seed, &s->output, &s->gradient};
    cs_run *alone = start_run(s, how, 1), *together = start_run(s, how, IMAGES);
    for (int i = 0; i < 4; i++)
        *own[i] = test_tensor_copy(from[i]);
    for (int64_t by = 0; by < IMAGES; by++) {
        check_images(s, alone, how, by, 1);
        for (int i = 0; i < 4; i++)
            for (int64_t n = 0; n < IMAGES; n++)
                copy_image(own[i], n, from[i], (n + by) % IMAGES);
        check_images(&turned, together, how, 0, IMAGES);
    }
    for (int i = 0; i < 4; i++)
        cs_tensor_release(own[i]);
    cs_run_free(alone);
    cs_run_free(together);
}

static void check_scene(scene *s, bool slow_too) {
    make_reference(s);
    check_settings(s, slow_too);
    for (int isa = CS_ISA_PORTABLE; isa <= CS_ISA_LAST; isa++) {
        const setting how = {.threads = 2, .isa = (cs_isa)isa};
        check_places(s, &how);
    }
}

/* ------------------------------------------------------------------ parameters ----------- */

/* The gradient of parameter tensor `index`; without data where it cannot be learned. */
static cs_tensor gradient_of(const scene *s, cs_run *run, int index, const char **name) {
    cs_error err;
    cs_tensor gradient = {0};
    *name = cs_model_tensor(s->model, index)->name;
    if (cs_run_parameter_gradient(run, *name, &gradient, &err) != CS_OK)
        gradient = (cs_tensor){0}; /* a running statistic */
    return gradient;
}

/* Copies of all gradients of parameters, by tensor. */
static cs_tensor *copy_parameters(const scene *s, cs_run *run) {
    const int count = cs_model_tensor_count(s->model);
    cs_tensor *copies = calloc((size_t)count, sizeof *copies);
    const char *name;
    int learned = 0;
    for (int i = 0; i < count; i++) {
        const cs_tensor gradient = gradient_of(s, run, i, &name);
        if (!gradient.data)
            continue;
        copies[i] = test_tensor_copy(&gradient);
        learned++;
    }
    ck_assert_int_gt(learned, count / 2);
    return copies;
}

/* One setting's gradients of parameters and of the input, the batch at once. */
static void check_parameters(const scene *s, const setting *how, const cs_tensor *wanted,
                             const cs_tensor *wanted_input) {
    cs_tensor output, gradient;
    const char *name;
    if (!cs_isa_available(how->isa))
        return;
    cs_run *run = start_run(s, how, s->input.n);
    pass(run, &s->input, &s->seed, &output, &gradient);
    test_tensors_equal(&gradient, wanted_input, describe(s->name, how, "input gradient"));
    for (int i = 0; i < cs_model_tensor_count(s->model); i++) {
        const cs_tensor own = gradient_of(s, run, i, &name);
        if (own.data)
            test_tensors_equal(&own, &wanted[i], describe(s->name, how, name));
    }
    cs_run_free(run);
}

/* The reference: one thread, portable, dense, in inference the images one after another. */
static cs_tensor *reference_parameters(const scene *s, bool training, cs_tensor *input_gradient) {
    cs_tensor output, gradient;
    setting how = reference_setting;
    how.parameters = true;
    how.training = training;
    const int64_t at_once = training ? s->input.n : 1;
    cs_run *run = start_run(s, &how, at_once);
    *input_gradient = test_tensor_copy(&s->input);
    for (int64_t n = 0; n < s->input.n; n += at_once) {
        const cs_tensor input = images_of(&s->input, n, at_once);
        const cs_tensor seed = images_of(&s->seed, n, at_once);
        pass(run, &input, &seed, &output, &gradient);
        const cs_tensor there = images_of(input_gradient, n, at_once);
        memcpy(there.data, gradient.data,
               (size_t)cs_tensor_count(&gradient) * cs_dtype_size(s->dtype));
    }
    cs_tensor *copies = copy_parameters(s, run);
    cs_run_free(run);
    return copies;
}

/* Threads, instruction sets, dense and skipping, hooks that read; in both modes. */
static void check_all_parameters(const scene *s, bool slow_too) {
    for (int training = 0; training < 2; training++) {
        cs_tensor input_gradient;
        cs_tensor *wanted = reference_parameters(s, training, &input_gradient);
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
            for (size_t t = 0; t < sizeof thread_counts / sizeof *thread_counts; t++)
                for (int k = CS_KERNEL_DENSE; k <= CS_KERNEL_SKIP; k++) {
                    const setting how = {.threads = thread_counts[t],
                                         .isa = isas[i],
                                         .kernel = (cs_kernel)k,
                                         .parameters = true,
                                         .training = training,
                                         .hooked = t % 2};
                    const bool soft = how.isa == CS_ISA_PORTABLE_NOFMA;
                    if (slow_too || (soft ? t == 3 && k == CS_KERNEL_SKIP : (t + k) % 2))
                        check_parameters(s, &how, wanted, &input_gradient);
                }
        for (int i = 0; i < cs_model_tensor_count(s->model); i++)
            cs_tensor_release(&wanted[i]);
        cs_tensor_release(&input_gradient);
        free(wanted);
    }
}

/* ------------------------------------------------------------------ the networks --------- */

static void open_scene(scene *s, const char *name, const char *json, cs_dtype dtype) {
    cs_error err;
    *s = (scene){.name = name, .dtype = dtype};
    REQUIRE_OK(cs_model_open(json, NULL, &s->model, &err), err);
    const cs_preprocess *p = cs_model_preprocess(s->model);
    REQUIRE_OK(cs_tensor_allocate(&s->input, dtype, IMAGES, p->channels, p->height, p->width, &err),
               err);
    REQUIRE_OK(
        cs_tensor_allocate(&s->seed, dtype, IMAGES, cs_model_class_count(s->model), 1, 1, &err),
        err);
    cs_random random = {1};
    cs_random_fill_input(&random, &s->input);
    cs_random_fill_input(&random, &s->seed);
}

static void close_scene(scene *s) {
    cs_model_free(s->model);
    cs_tensor *tensors[] = {&s->input, &s->seed, &s->output, &s->gradient};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        cs_tensor_release(tensors[i]);
}

/* Real pictures take the place of the random ones. */
static void load_images(scene *s, const char *const paths[IMAGES]) {
    cs_error err;
    for (int64_t n = 0; n < IMAGES; n++) {
        cs_input picture = {0};
        REQUIRE_OK(cs_input_load(paths[n], cs_model_preprocess(s->model), NULL, &picture, &err),
                   err);
        for (int64_t c = 0; c < s->input.c; c++)
            for (int64_t y = 0; y < s->input.h; y++)
                for (int64_t x = 0; x < s->input.w; x++)
                    cs_tensor_set(&s->input, n, c, y, x, cs_tensor_at(&picture.tensor, 0, c, y, x));
        cs_input_free(&picture);
    }
}

/* The manifest's path of a converted checkpoint (static storage). */
static const char *converted(const char *checkpoint) {
    static char json[600];
    char name[512];
    cs_error err;
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    snprintf(name, sizeof name, "%s", test_path(test_temp_dir(), "network"));
    snprintf(json, sizeof json, "%s.json", name);
    options.name = name;
    REQUIRE_OK(cs_convert(checkpoint, &options, NULL, &err), err);
    return json;
}

static scene stage;

START_TEST(trained_resnet20) {
    static const char *const names[IMAGES] = {
        "cifar10-sample/png/0000_cat.png", "cifar10-sample/png/0001_ship.png",
        "cifar10-sample/png/0002_ship.png", "cifar10-sample/png/0003_airplane.png",
        "cifar10-sample/png/0004_frog.png"};
    const char *checkpoint = test_data_path("cifar-resnets/resnet20-12fca82f.th");
    const char *paths[IMAGES];
    if (!checkpoint)
        return;
    for (int i = 0; i < IMAGES; i++)
        if (!(paths[i] = test_data_path(names[i])))
            return;
    open_scene(&stage, _i == CS_F32 ? "resnet20 f32" : "resnet20 f64", converted(checkpoint),
               (cs_dtype)_i);
    load_images(&stage, paths);
    check_scene(&stage, test_long());
    stage.input.n = stage.seed.n = test_long() ? IMAGES : 2;
    check_all_parameters(&stage, test_long());
    close_scene(&stage);
}
END_TEST

START_TEST(example_network) {
    open_scene(&stage, _i == CS_F32 ? "small_resnet f32" : "small_resnet f64",
               "examples/small_resnet.json", (cs_dtype)_i);
    check_scene(&stage, test_long());
    close_scene(&stage);
}
END_TEST

START_TEST(seeded_resnet50) {
    char name[512], json[520];
    cs_error err;
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    if (!test_long())
        return;
    snprintf(name, sizeof name, "%s", test_path(test_temp_dir(), "resnet50"));
    snprintf(json, sizeof json, "%s.json", name);
    options.name = name;
    REQUIRE_OK(cs_init("resnet50", 2, 1, &options, NULL, &err), err);
    open_scene(&stage, "resnet50 of seed 1", json, CS_F32);
    check_scene(&stage, false);
    close_scene(&stage);
}
END_TEST

START_TEST(trained_resnet50) {
    static const char *const names[IMAGES] = {
        "chest-xray/PNEUMONIA/00000150_002.png", "chest-xray/PNEUMONIA/00000165_001.png",
        "chest-xray/PNEUMONIA/00000193_019.png", "chest-xray/NORMAL/00001280_004.png",
        "chest-xray/NORMAL/00001299_000.png"};
    const char *paths[IMAGES], *checkpoint = test_data_path("best_model.pth");
    if (!test_long() || !checkpoint)
        return;
    for (int i = 0; i < IMAGES; i++)
        if (!(paths[i] = test_data_path(names[i])))
            return;
    open_scene(&stage, "best_model", converted(checkpoint), CS_F32);
    load_images(&stage, paths);
    check_scene(&stage, false);
    stage.input.n = stage.seed.n = 2;
    check_all_parameters(&stage, false);
    close_scene(&stage);
}
END_TEST

Suite *suite_whole_networks(void);
Suite *suite_whole_networks(void) {
    Suite *suite = suite_create("whole_networks");
    TCase *tests = tcase_create("small");
    tcase_add_loop_test(tests, example_network, CS_F32, CS_F64 + 1);
    tcase_add_loop_test(tests, trained_resnet20, CS_F32, CS_F64 + 1);
    suite_add_tcase(suite, tests);
    TCase *large = tcase_create("ResNet-50");
    tcase_add_test(large, seeded_resnet50);
    tcase_add_test(large, trained_resnet50);
    tcase_set_timeout(large, 1800);
    suite_add_tcase(suite, large);
    return suite;
}
