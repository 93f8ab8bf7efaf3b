/* test_gradcam.c - Grad-CAM's arithmetic against plain loops, and on a small network. */
#include "cnnscope_cam.h"
#include "model_builder.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static cs_tensor random_tensor(cs_dtype dtype, int64_t n, int64_t c, int64_t h, int64_t w,
                               uint64_t seed) {
    cs_error err;
    cs_tensor t;
    REQUIRE_OK(cs_tensor_allocate(&t, dtype, n, c, h, w, &err), err);
    cs_random random = {seed};
    cs_random_fill_input(&random, &t);
    return t;
}

/* The definition, one pixel at a time. */
static double naive_map(const cs_tensor *a, const cs_tensor *g, int64_t n, int64_t y, int64_t x) {
    double sum = 0;
    for (int64_t c = 0; c < a->c; c++) {
        double mean = 0;
        for (int64_t v = 0; v < g->h; v++)
            for (int64_t u = 0; u < g->w; u++)
                mean += cs_tensor_at(g, n, c, v, u);
        mean /= (double)(g->h * g->w);
        sum += mean * cs_tensor_at(a, n, c, y, x);
    }
    return a->dtype == CS_F32 ? (double)(float)sum : sum;
}

static cs_status gradcam_map(const cs_tensor *a, const cs_tensor *g, int64_t n, cs_cam *cam,
                             cs_error *err) {
    const cs_cam_options options = CS_CAM_OPTIONS_DEFAULT;
    return cs_cam_map(&options, a, g, n, cam, err);
}

static void check_map(const cs_tensor *a, const cs_tensor *g, int64_t n) {
    cs_error err;
    cs_cam cam;
    REQUIRE_OK(gradcam_map(a, g, n, &cam, &err), err);
    ck_assert_int_eq(cam.raw.h, a->h);
    ck_assert_int_eq(cam.raw.w, a->w);
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (int64_t y = 0; y < a->h; y++)
        for (int64_t x = 0; x < a->w; x++) {
            double v = naive_map(a, g, n, y, x), got = cs_tensor_at(&cam.raw, 0, 0, y, x);
            ck_assert_msg(got == (v <= 0 ? 0 : v),
                          "image %d, pixel (%d, %d): %.17g, expected %.17g", (int)n, (int)y, (int)x,
                          got, v <= 0 ? 0 : v);
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
    ck_assert(cam.signed_min == low && cam.signed_max == high);
    ck_assert(cam.min == (low <= 0 ? 0 : low) && cam.max == (high <= 0 ? 0 : high));
    ck_assert_int_eq(cam.status, high > 0 ? CS_CAM_OK : CS_CAM_EMPTY);
    cs_cam_free(&cam);
    cs_cam_free(&cam);
}

START_TEST(the_map_is_the_formula) {
    static const int64_t shapes[][4] = {{1, 1, 1, 1}, {3, 5, 7, 4}, {2, 64, 7, 7}, {1, 33, 1, 9}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
            const int64_t *s = shapes[i];
            cs_tensor a = random_tensor((cs_dtype)dtype, s[0], s[1], s[2], s[3], 10 + i);
            cs_tensor g = random_tensor((cs_dtype)dtype, s[0], s[1], s[2], s[3], 20 + i);
            for (int64_t n = 0; n < s[0]; n++)
                check_map(&a, &g, n);
            cs_tensor_release(&a);
            cs_tensor_release(&g);
        }
}
END_TEST

START_TEST(an_empty_map_says_so) {
    cs_error err;
    cs_cam cam;
    float a[4] = {1, 2, 3, 4}, g[4] = {-1, -1, -1, -1};
    cs_tensor activation = {CS_F32, 1, 1, 2, 2, a}, gradient = {CS_F32, 1, 1, 2, 2, g};
    REQUIRE_OK(gradcam_map(&activation, &gradient, 0, &cam, &err), err);
    ck_assert_int_eq(cam.status, CS_CAM_EMPTY);
    ck_assert_str_eq(cs_cam_status_name(cam.status), "empty");
    ck_assert(cam.max == 0 && cam.signed_min == -4 && cam.signed_max == -1);
    cs_cam_free(&cam);
    gradient.w = 1;
    REQUIRE_STATUS(gradcam_map(&activation, &gradient, 0, &cam, &err), CS_ERROR_ARGUMENT, err);
    gradient.w = 2;
    REQUIRE_STATUS(gradcam_map(&activation, &gradient, 1, &cam, &err), CS_ERROR_ARGUMENT, err);
}
END_TEST

/* input 2 x 4 x 3 -> conv 1x1 -> relu -> mean over the map -> 3 classes. */
static cs_model *small_model(void) {
    static const float kernel[4 * 2] = {0.5f, -1, 1, 1, -0.25f, 2, 0.75f, 0.5f};
    static const float matrix[3 * 4] = {1, -1, 0.5f, 2, -1, 0.25f, 1, -2, 0.5f, 0.5f, -3, 1};
    static const float bias[3] = {0.125f, -0.5f, 1};
    built_node nodes[] = {
        {.name = "conv",
         .op = "conv2d",
         .inputs = {"input"},
         .in_channels = 2,
         .attributes = built_window(1, 1, 0, 1),
         .weight = kernel},
        {.name = "relu", .op = "relu", .inputs = {"conv"}},
        {.name = "avgpool", .op = "adaptive_avg_pool2d", .inputs = {"relu"}},
        {.name = "flatten", .op = "flatten", .inputs = {"avgpool"}},
        {.name = "fc",
         .op = "linear",
         .inputs = {"flatten"},
         .in_channels = 4,
         .weight = matrix,
         .bias = bias},
    };
    nodes[0].attributes.out_channels = 4;
    nodes[0].attributes.groups = 1;
    nodes[4].attributes.out_channels = 3;
    built_model model = {2, 4, 3, nodes, 5, "fc", 3};
    return built_model_open(&model);
}

typedef struct fixture {
    cs_model *model;
    cs_run *run;
    cs_tensor input;
} fixture;

static fixture start(cs_dtype dtype, int64_t batch, const cs_cam_options *options) {
    cs_error err;
    fixture f = {.model = small_model()};
    cs_run_options run_options = CS_RUN_OPTIONS_DEFAULT;
    run_options.dtype = dtype;
    run_options.max_batch = batch;
    run_options.threads = 1;
    REQUIRE_OK(cs_run_create(f.model, &run_options, &f.run, &err), err);
    REQUIRE_OK(cs_cam_watch(f.run, f.model, options, &err), err);
    REQUIRE_OK(cs_run_prepare(f.run, &err), err);
    f.input = random_tensor(dtype, batch, 2, 4, 3, 5);
    REQUIRE_OK(cs_run_forward(f.run, &f.input, &err), err);
    return f;
}

static void finish(fixture *f) {
    cs_run_free(f->run);
    cs_model_free(f->model);
    cs_tensor_release(&f->input);
}

/* Where only the mean and a linear layer follow, the signed maps sum to z_c - b_c: an identity that
 * needs no other program. */
START_TEST(the_last_layers_map_sums_to_the_logit) {
    cs_error err;
    cs_cam_options options = CS_CAM_OPTIONS_DEFAULT;
    options.layer = "relu";
    fixture f = start(CS_F64, 2, &options);
    static const double bias[3] = {0.125, -0.5, 1};
    cs_tensor logits, a, g;
    REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
    for (int64_t c = 0; c < 3; c++) {
        cs_cam cams[2];
        int64_t classes[2] = {c, c};
        REQUIRE_OK(cs_cam_compute(f.run, f.model, &options, classes, cams, &err), err);
        REQUIRE_OK(cs_run_activation(f.run, "relu", &a, &err), err);
        REQUIRE_OK(cs_run_gradient(f.run, "relu", &g, &err), err);
        for (int64_t n = 0; n < 2; n++) {
            double sum = 0;
            for (int64_t y = 0; y < 4; y++)
                for (int64_t x = 0; x < 3; x++) {
                    double v = naive_map(&a, &g, n, y, x);
                    sum += v;
                    ck_assert(cs_tensor_at(&cams[n].raw, 0, 0, y, x) == (v <= 0 ? 0 : v));
                }
            ck_assert_double_eq_tol(sum, cs_tensor_at(&logits, n, c, 0, 0) - bias[c], 1e-13);
            ck_assert_int_eq(cams[n].class_index, c);
            ck_assert(cams[n].backward_seconds >= 0);
            cs_cam_free(&cams[n]);
        }
    }
    finish(&f);
}
END_TEST

START_TEST(argmax_and_targets_reach_the_map) {
    cs_error err;
    cs_cam_options options = CS_CAM_OPTIONS_DEFAULT;
    options.layer = "relu";
    fixture f = start(CS_F32, 1, &options);
    cs_tensor logits;
    cs_cam cam, negative;
    int64_t class_index = CS_CLASS_ARGMAX;
    REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
    REQUIRE_OK(cs_cam_compute(f.run, f.model, &options, &class_index, &cam, &err), err);
    ck_assert_int_eq(cam.class_index, cs_class_argmax(&logits, 0));
    ck_assert_int_eq(cam.raw.dtype, CS_F32);
    options.target.kind = CS_TARGET_NEG_LOGIT;
    REQUIRE_OK(cs_cam_compute(f.run, f.model, &options, &class_index, &negative, &err), err);
    ck_assert(negative.signed_min == -cam.signed_max && negative.signed_max == -cam.signed_min);
    cs_cam_free(&cam);
    cs_cam_free(&negative);
    class_index = 3;
    REQUIRE_STATUS(cs_cam_compute(f.run, f.model, &options, &class_index, &cam, &err),
                   CS_ERROR_ARGUMENT, err);
    finish(&f);
}
END_TEST

START_TEST(no_map_is_made_of_nan) {
    cs_error err;
    cs_cam_options options = CS_CAM_OPTIONS_DEFAULT;
    options.layer = "relu";
    fixture f = start(CS_F32, 1, &options);
    cs_cam cam;
    int64_t class_index = 0;
    cs_tensor_set(&f.input, 0, 0, 0, 0, (double)NAN);
    REQUIRE_OK(cs_run_forward(f.run, &f.input, &err), err);
    REQUIRE_STATUS(cs_cam_compute(f.run, f.model, &options, &class_index, &cam, &err),
                   CS_ERROR_NUMERIC, err);
    finish(&f);
}
END_TEST

START_TEST(methods_are_found_by_name) {
    cs_error err;
    const cs_cam_method_info *method = NULL;
    const char *variant = NULL;
    ck_assert_str_eq(cs_cam_method_get(0)->name, "gradcam");
    ck_assert_ptr_null(cs_cam_method_get(1000));
    ck_assert_ptr_null(cs_cam_method_get(-1));
    REQUIRE_OK(cs_cam_method_find("GradCAM", &method, &err), err);
    ck_assert_str_eq(method->name, "gradcam");
    REQUIRE_OK(cs_cam_method_find("gradcampp", &method, &err), err);
    ck_assert_str_eq(method->name, "gradcam++");
    REQUIRE_OK(cs_cam_variant_find(method, NULL, &variant, &err), err);
    ck_assert_str_eq(variant, "paper");
    REQUIRE_OK(cs_cam_variant_find(method, "MONAI", &variant, &err), err);
    ck_assert_str_eq(variant, "monai");
    REQUIRE_STATUS(cs_cam_variant_find(method, "magic", &variant, &err), CS_ERROR_ARGUMENT, err);
    ck_assert_ptr_nonnull(strstr(err.text, "authors"));
    REQUIRE_STATUS(cs_cam_method_find("magic", &method, &err), CS_ERROR_ARGUMENT, err);
    ck_assert_ptr_nonnull(strstr(err.text, "integrated-gradients"));
}
END_TEST

/* What explain writes for one class: five files that agree with the functions that made them. */
START_TEST(an_explanation_is_five_files) {
    cs_error err;
    cs_cam_options options = CS_CAM_OPTIONS_DEFAULT;
    options.layer = "module.relu";
    fixture f = start(CS_F32, 1, &options);
    const char *folder = test_temp_dir(), *npy = test_path(folder, "input.npy");
    REQUIRE_OK(cs_npy_write(npy, &f.input, 4, &err), err);
    cs_input input;
    cs_cam cam;
    cs_font *font = NULL;
    cs_tensor logits, raw, heat, wanted;
    int64_t class_index = 2;
    REQUIRE_OK(cs_input_load(npy, cs_model_preprocess(f.model), NULL, &input, &err), err);
    REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
    REQUIRE_OK(cs_cam_compute(f.run, f.model, &options, &class_index, &cam, &err), err);
    REQUIRE_OK(cs_font_builtin(&font, &err), err);
    cs_explanation e = {f.model,     &input,   &cam, &logits, 0,
                        "input.npy", &options, font, false,   NULL};
    REQUIRE_OK(cs_explain_write(folder, &e, &err), err);
    REQUIRE_OK(cs_npy_read(test_path(folder, "class-2-gradcam-relu.npy"), &raw, &err), err);
    ck_assert_int_eq(raw.n * raw.c * raw.h * raw.w, 4 * 3);
    ck_assert_int_eq(memcmp(raw.data, cam.raw.data, 4 * 3 * sizeof(float)), 0);
    REQUIRE_OK(cs_npy_read(test_path(folder, "class-2-gradcam-relu-heatmap.npy"), &heat, &err),
               err);
    REQUIRE_OK(cs_heatmap_make(&cam.raw, 3, 4, &wanted, &err), err);
    ck_assert_int_eq(memcmp(heat.data, wanted.data, 4 * 3 * sizeof(float)), 0);
    cs_image colors, overlay, figure, wanted_colors, wanted_overlay;
    REQUIRE_OK(
        cs_image_load(test_path(folder, "class-2-gradcam-relu-heatmap.png"), NULL, &colors, &err),
        err);
    REQUIRE_OK(
        cs_image_load(test_path(folder, "class-2-gradcam-relu-overlay.png"), NULL, &overlay, &err),
        err);
    REQUIRE_OK(
        cs_image_load(test_path(folder, "class-2-gradcam-relu-figure.png"), NULL, &figure, &err),
        err);
    REQUIRE_OK(cs_heatmap_color(&wanted, &wanted_colors, &err), err);
    REQUIRE_OK(cs_overlay_make(&input.display, &wanted_colors, &wanted_overlay, &err), err);
    ck_assert_int_eq(memcmp(colors.pixels, wanted_colors.pixels, 3 * 12), 0);
    ck_assert_int_eq(memcmp(overlay.pixels, wanted_overlay.pixels, 3 * 12), 0);
    ck_assert_int_ge(figure.width, 3 * 252);
    REQUIRE_STATUS(cs_explain_write(test_path(folder, "missing"), &e, &err), CS_ERROR_OUTPUT, err);
    cs_image *images[] = {&colors, &overlay, &figure, &wanted_colors, &wanted_overlay};
    for (int i = 0; i < 5; i++)
        cs_image_free(images[i]);
    cs_tensor_release(&raw);
    cs_tensor_release(&heat);
    cs_tensor_release(&wanted);
    cs_font_free(font);
    cs_cam_free(&cam);
    cs_input_free(&input);
    finish(&f);
}
END_TEST

static void require_same_file(const char *folder, const char *one, const char *other) {
    size_t size[2];
    char *data[2] = {test_file_get(test_path(folder, one), &size[0]),
                     test_file_get(test_path(folder, other), &size[1])};
    ck_assert_msg(size[0] == size[1] && memcmp(data[0], data[1], size[0]) == 0, "%s", other);
    free(data[0]);
    free(data[1]);
}

/* The same files whoever writes them, and the same error. */
START_TEST(threads_share_the_writing) {
    static const char *const endings[] = {".npy",         "-signed.npy",  "-heatmap.npy",
                                          "-heatmap.png", "-overlay.png", "-figure.png"};
    cs_error err;
    cs_cam_options options = CS_CAM_OPTIONS_DEFAULT;
    options.layer = "module.relu";
    fixture f = start(CS_F32, 1, &options);
    char folder[512];
    snprintf(folder, sizeof folder, "%.500s", test_temp_dir()); /* paths are soon used again */
    const int64_t class_index = 1;
    cs_input input;
    cs_cam cam;
    cs_font *font = NULL;
    cs_tensor logits;
    REQUIRE_OK(cs_npy_write(test_path(folder, "input.npy"), &f.input, 4, &err), err);
    REQUIRE_OK(cs_input_load(test_path(folder, "input.npy"), cs_model_preprocess(f.model), NULL,
                             &input, &err),
               err);
    REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
    REQUIRE_OK(cs_cam_compute(f.run, f.model, &options, &class_index, &cam, &err), err);
    REQUIRE_OK(cs_font_builtin(&font, &err), err);
    cs_explanation e = {f.model, &input, &cam, &logits, 0, "input.npy", &options, font, true, NULL};
    for (int threads = 0; threads <= 3; threads++) {
        char into[32];
        cs_run_options how = CS_RUN_OPTIONS_DEFAULT;
        how.threads = threads;
        if (threads > 0)
            REQUIRE_OK(cs_run_create(f.model, &how, &e.run, &err), err);
        snprintf(into, sizeof into, "by-%d", threads);
        ck_assert_int_eq(mkdir(test_path(folder, into), 0777), 0);
        REQUIRE_OK(cs_explain_write(test_path(folder, into), &e, &err), err);
        for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
            char one[96], other[96];
            snprintf(one, sizeof one, "by-0/class-1-gradcam-relu%s", endings[i]);
            snprintf(other, sizeof other, "%s/class-1-gradcam-relu%s", into, endings[i]);
            require_same_file(folder, one, other);
        }
        REQUIRE_STATUS(cs_explain_write(test_path(folder, "missing"), &e, &err), CS_ERROR_OUTPUT,
                       err);
        ck_assert_int_eq(cs_explain_write(test_path(folder, "missing"), &e, NULL), CS_ERROR_OUTPUT);
        ck_assert_ptr_nonnull(strstr(err.text, "-figure.png"));
        cs_run_free(e.run);
    }
    cs_font_free(font);
    cs_cam_free(&cam);
    cs_input_free(&input);
    finish(&f);
}
END_TEST

Suite *suite_gradcam(void);
Suite *suite_gradcam(void) {
    Suite *suite = suite_create("gradcam");
    TCase *tests = tcase_create("gradcam");
    tcase_add_test(tests, the_map_is_the_formula);
    tcase_add_test(tests, an_empty_map_says_so);
    tcase_add_test(tests, the_last_layers_map_sums_to_the_logit);
    tcase_add_test(tests, argmax_and_targets_reach_the_map);
    tcase_add_test(tests, threads_share_the_writing);
    tcase_add_test(tests, no_map_is_made_of_nan);
    tcase_add_test(tests, methods_are_found_by_name);
    tcase_add_test(tests, an_explanation_is_five_files);
    suite_add_tcase(suite, tests);
    return suite;
}
