/* test_cam_identities.c - what must hold whatever the weights: at the layer before the mean and the
 * last linear layer all gradient methods are sums of the same W A; Score-CAM's baseline cancels;
 * and without biases the gradient is the same all along the path of integrated gradients.
 * In float64, within 1e-11 of the largest value.
 */
#include "cam_cases.h"
#include "convert_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double positive(double v) { return v > 0 ? v : 0; }

static double largest(const cs_cam *cam) { return fmax(fabs(cam->signed_min), cam->signed_max); }

/* The map of a class from the run's last forward, at `layer` (NULL: the method's own). */
static cs_cam map_at(cam_fixture *f, const char *layer, const char *method, const char *variant,
                     int64_t c) {
    cs_error err;
    cs_cam cam;
    cs_cam_options options = cam_options(method, variant);
    options.layer = layer;
    REQUIRE_OK(cs_cam_compute_classes(f->run, f->model, &options, 0, &c, 1, &cam, &err), err);
    ck_assert_int_eq(cam.class_index, c);
    return cam;
}

static cs_cam map_of(cam_fixture *f, const char *method, const char *variant, int64_t c) {
    return map_at(f, f->layer, method, variant, c);
}

/* The largest difference of x and factor * y, as a share of x's largest value. */
static double apart(const cs_cam *x, const cs_cam *y, double factor) {
    double most = 0;
    for (int64_t i = 0; i < cs_tensor_count(&x->signed_map); i++)
        most = fmax(most, fabs(((double *)x->signed_map.data)[i] -
                               factor * ((double *)y->signed_map.data)[i]));
    return most / largest(x);
}

static void require_same(const cs_cam *x, const cs_cam *y, const char *what) {
    ck_assert_msg(apart(x, y, 1) <= 1e-11, "%s: %g apart", what, apart(x, y, 1));
}

/* ------------------------------------------------------------------ the last layer ------- */

/* The last linear layer's weight (0) or bias (1). */
static const float *parameter(const cs_model *model, int which) {
    const cs_node_info *fc = cs_model_node(model, cs_model_output_node(model));
    ck_assert_str_eq(fc->op, "linear");
    return cs_model_tensor(model, fc->parameter[which])->data;
}

/* sum over the channels of weights[k] A_k, compared with a map. */
static void require_weighted(const cs_tensor *a, const double *weights, const cs_cam *cam,
                             const char *what) {
    for (int64_t y = 0; y < a->h; y++)
        for (int64_t x = 0; x < a->w; x++) {
            double sum = 0;
            for (int64_t k = 0; k < a->c; k++)
                sum += weights[k] * cs_tensor_at(a, 0, k, y, x);
            ck_assert_msg(fabs(sum - cs_tensor_at(&cam->signed_map, 0, 0, y, x)) <=
                              1e-11 * largest(cam),
                          "%s at (%d, %d)", what, (int)y, (int)x);
        }
}

/* Three methods' maps from the last layer's matrix: the original CAM divided by H W; relu(W) A; and
 * equation 19 in closed form. */
static void check_weights(cam_fixture *f, int64_t c) {
    cs_error err;
    cs_tensor a;
    REQUIRE_OK(cs_run_activation(f->run, f->layer, &a, &err), err);
    const double pixels = (double)(a.h * a.w);
    double *cam = calloc(3 * (size_t)a.c, sizeof *cam), *layer = cam + a.c, *plus = layer + a.c;
    for (int64_t k = 0; k < a.c; k++) {
        double sum = 0;
        for (int64_t y = 0; y < a.h; y++)
            for (int64_t x = 0; x < a.w; x++)
                sum += cs_tensor_at(&a, 0, k, y, x);
        cam[k] = (double)parameter(f->model, 0)[c * a.c + k] / pixels;
        layer[k] = positive(cam[k]);
        plus[k] = pixels * layer[k] / (2 + cam[k] * sum);
    }
    cs_cam maps[] = {map_of(f, "gradcam", NULL, c), map_of(f, "layercam", NULL, c),
                     map_of(f, "gradcam++", "paper", c)};
    require_weighted(&a, cam, &maps[0], "Grad-CAM is CAM / HW");
    require_weighted(&a, layer, &maps[1], "LayerCAM is relu(W) A / HW");
    require_weighted(&a, plus, &maps[2], "equation 19 in closed form");
    for (int i = 0; i < 3; i++)
        cs_cam_free(&maps[i]);
    free(cam);
}

static void check_class(cam_fixture *f, double logit, int64_t c) {
    cs_cam grad = map_of(f, "gradcam", NULL, c), hires = map_of(f, "hirescam", NULL, c),
           xgrad = map_of(f, "xgradcam", NULL, c), layer = map_of(f, "layercam", NULL, c),
           authors = map_of(f, "gradcam++", "authors", c);
    require_same(&grad, &hires, "Grad-CAM and HiResCAM");
    require_same(&grad, &xgrad, "Grad-CAM and XGrad-CAM");
    require_same(&layer, &authors, "LayerCAM and the authors' Grad-CAM++");
    const double want = logit - (double)parameter(f->model, 1)[c];
    const double pixels = (double)(grad.raw.h * grad.raw.w);
    ck_assert_msg(fabs(grad.signed_sum - want) <= 1e-11 * fmax(1, pixels * largest(&grad)),
                  "the map's sum %.17g, logit - bias %.17g", grad.signed_sum, want);
    cs_cam *all[] = {&grad, &hires, &xgrad, &layer, &authors};
    for (int i = 0; i < 5; i++)
        cs_cam_free(all[i]);
    check_weights(f, c);
}

static void check_last_layer(cam_fixture *f) {
    cs_error err;
    cs_tensor logits;
    REQUIRE_OK(cs_run_output(f->run, &logits, &err), err);
    double *z = calloc((size_t)logits.c, sizeof *z);
    const int64_t classes = logits.c;
    for (int64_t c = 0; c < classes; c++)
        z[c] = cs_tensor_at(&logits, 0, c, 0, 0);
    for (int64_t c = 0; c < classes; c++)
        check_class(f, z[c], c);
    free(z);
}

START_TEST(test_identities_at_the_last_layer) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        cam_fixture f = cam_start_small(CS_F64, 1, 3, seed);
        check_last_layer(&f);
        cam_finish(&f);
    }
    cam_fixture f = cam_start_file("examples/small_resnet.json", CS_F64, 1);
    check_last_layer(&f);
    cam_finish(&f);
}
END_TEST

/* A checkpoint of the real data on a real picture, or {0} where it is absent. */
static cam_fixture start_trained(const char *checkpoint, const char *picture, const char *layer) {
    cs_error err;
    cs_input input = {0};
    const cs_input_options how = {CS_IMAGE_LIMITS_DEFAULT, CS_F64};
    const char *path = test_data_path(checkpoint), *image = test_data_path(picture);
    if (!path || !image)
        return (cam_fixture){0};
    cam_fixture f =
        cam_start(test_open_model(test_convert(path, convert_defaults, NULL)), layer, CS_F64, 1, 2);
    REQUIRE_OK(cs_input_load(image, cs_model_preprocess(f.model), &how, &input, &err), err);
    for (int64_t i = 0; i < cs_tensor_count(&input.tensor); i++)
        ((double *)f.input.data)[i] = (double)((const float *)input.tensor.data)[i];
    cs_input_free(&input);
    REQUIRE_OK(cs_run_forward(f.run, &f.input, &err), err);
    return f;
}

START_TEST(test_identities_of_trained_networks) {
    cam_fixture f = start_trained("cifar-resnets/resnet20-12fca82f.th",
                                  "cifar10-sample/png/0003_airplane.png", "layer3");
    if (f.run)
        check_last_layer(&f);
    cam_finish(&f);
    if (!test_long())
        return;
    f = start_trained("best_model.pth", "chest-xray/PNEUMONIA/00000150_002.png", "layer4");
    if (f.run)
        check_last_layer(&f);
    cam_finish(&f);
}
END_TEST

/* One stage earlier dA differs from place to place, and none of it holds: the methods are not the
 * same by construction. */
START_TEST(test_identities_break_one_layer_earlier) {
    cam_fixture f = cam_start(cam_small_model(3, 2), "relu1", CS_F64, 1, 1);
    cs_error err;
    cs_tensor logits;
    REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
    const double z = cs_tensor_at(&logits, 0, 1, 0, 0);
    cs_cam grad = map_of(&f, "gradcam", NULL, 1), hires = map_of(&f, "hirescam", NULL, 1),
           xgrad = map_of(&f, "xgradcam", NULL, 1), layer = map_of(&f, "layercam", NULL, 1),
           authors = map_of(&f, "gradcam++", "authors", 1);
    ck_assert(apart(&grad, &hires, 1) > 1e-2);
    ck_assert(apart(&grad, &xgrad, 1) > 1e-2);
    ck_assert(apart(&layer, &authors, layer.signed_sum / authors.signed_sum) > 1e-2);
    ck_assert(fabs(grad.signed_sum - (z - (double)parameter(f.model, 1)[1])) > 1e-2);
    cs_cam *all[] = {&grad, &hires, &xgrad, &layer, &authors};
    for (int i = 0; i < 5; i++)
        cs_cam_free(all[i]);
    cam_finish(&f);
}
END_TEST

/* ------------------------------------------------------------------ other weights -------- */

/* The fixture with a copy of its model's parameters, each bias multiplied by `factor`, class 0's
 * then raised by `added`; its run and forward are made anew. Free *params after the fixture. */
static cam_fixture with_biases(cam_fixture f, float factor, float added, cs_params **params) {
    cs_error err;
    cs_run *run = NULL;
    const cs_node_info *fc = cs_model_node(f.model, cs_model_output_node(f.model));
    REQUIRE_OK(cs_params_copy(f.model, params, &err), err);
    for (int t = 0; t < cs_model_tensor_count(f.model); t++) {
        const cs_tensor_info *info = cs_model_tensor(f.model, t);
        float *values = cs_params_tensor(*params, t);
        if (strstr(info->name, "bias"))
            for (int64_t i = 0; i < info->count; i++)
                values[i] *= factor;
    }
    cs_params_tensor(*params, fc->parameter[1])[0] += added;
    cs_params_changed(*params);
    REQUIRE_OK(cs_run_create_like(f.run, 1, *params, &run, &err), err);
    REQUIRE_OK(cs_run_keep(run, f.layer, &err), err);
    REQUIRE_OK(cs_run_keep(run, "input", &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &f.input, &err), err);
    cs_run_free(f.run);
    f.run = run;
    return f;
}

/* f(M) - f(baseline) is f(M) and a constant, whatever the baseline is, as the last bias is one in a
 * class's logit: the variants with a softmax over the channels do not see it; `authors`, whose
 * weights are probabilities, does. */
START_TEST(test_scorecam_is_unchanged_by_its_baseline) {
    static const char *const variants[] = {"paper", "pgc", "torchcam", "authors"};
    static const float baselines[] = {7.25F, -40, 1000};
    for (int v = 0; v < 4; v++)
        for (int b = 0; b < 3; b++) {
            cs_params *params = NULL;
            cam_fixture f = cam_start_small(CS_F64, 1, 3, 3);
            cs_cam before = map_of(&f, "scorecam", variants[v], 0);
            f = with_biases(f, 1, baselines[b], &params);
            cs_cam after = map_of(&f, "scorecam", variants[v], 0);
            if (v < 3)
                require_same(&before, &after, variants[v]);
            else
                ck_assert(apart(&before, &after, 1) > 1e-2);
            cs_cam_free(&before);
            cs_cam_free(&after);
            cam_finish(&f);
            cs_params_free(params);
        }
}
END_TEST

/* Without biases the network is homogeneous: S(t x) = t S(x) with the same gates. So input x
 * gradient adds up to the logit, and every way of taking the integral gives the same map. */
START_TEST(test_homogeneous_network) {
    static const char *const variants[] = {"captum", "paper", "midpoint"};
    for (uint64_t seed = 1; seed <= 4; seed++) {
        cs_error err;
        cs_tensor logits;
        cs_params *params = NULL;
        cam_fixture f = with_biases(cam_start_small(CS_F64, 1, 3, seed), 0, 0, &params);
        REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
        const double z = cs_tensor_at(&logits, 0, 2, 0, 0);
        cs_cam product = map_at(&f, NULL, "input-x-gradient", NULL, 2);
        ck_assert_msg(fabs(product.signed_sum - z) <= 1e-11 * fmax(1, fabs(z)), "%.17g, %.17g",
                      product.signed_sum, z);
        for (int v = 0; v < 3; v++) {
            cs_cam integrated = map_at(&f, NULL, "integrated-gradients", variants[v], 2);
            require_same(&product, &integrated, variants[v]);
            cs_cam_free(&integrated);
        }
        cs_cam_free(&product);
        cam_finish(&f);
        cs_params_free(params);
    }
}
END_TEST

Suite *suite_cam_identities(void);
Suite *suite_cam_identities(void) {
    Suite *suite = suite_create("cam_identities");
    TCase *tests = tcase_create("cam_identities");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_identities_at_the_last_layer);
    tcase_add_test(tests, test_identities_of_trained_networks);
    tcase_add_test(tests, test_identities_break_one_layer_earlier);
    tcase_add_test(tests, test_scorecam_is_unchanged_by_its_baseline);
    tcase_add_test(tests, test_homogeneous_network);
    suite_add_tcase(suite, tests);
    return suite;
}
