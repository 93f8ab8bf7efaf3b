/* test_measures.c - faithfulness and sanity of maps: against plain loops, and on
 * networks made so that the answer is known.
 */
#include "cam_cases.h"
#include "cnnscope_measures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ planted networks ----- */

enum { SIDE = 8, HALF = SIDE / 2, COUNT = SIDE * SIDE };

/* Input 1 x 8 x 8 -> conv 1x1 of 2 (x and -x) -> relu -> flatten -> 2 classes. Class 1's logit is
 * `weight` times the sum of the positive values of the upper left quadrant; class 0's is 0. */
static cs_model *quadrant_model(float weight) {
    static const float kernel[2] = {1, -1};
    static float matrix[2 * 2 * COUNT];
    static const float bias[2] = {0.25f, 0.5f};
    memset(matrix, 0, sizeof matrix);
    for (int y = 0; y < HALF; y++)
        for (int x = 0; x < HALF; x++)
            matrix[2 * COUNT + y * SIDE + x] = weight;
    built_node nodes[] = {
        {.name = "conv",
         .op = "conv2d",
         .inputs = {"input"},
         .in_channels = 1,
         .attributes = built_window(1, 1, 0, 1),
         .weight = kernel},
        {.name = "relu", .op = "relu", .inputs = {"conv"}},
        {.name = "flatten", .op = "flatten", .inputs = {"relu"}},
        {.name = "fc",
         .op = "linear",
         .inputs = {"flatten"},
         .in_channels = 2 * COUNT,
         .weight = matrix,
         .bias = bias},
    };
    nodes[0].attributes.out_channels = 2;
    nodes[0].attributes.groups = 1;
    nodes[3].attributes.out_channels = 2;
    const built_model model = {1, SIDE, SIDE, nodes, 4, "fc", 2};
    return built_model_open(&model);
}

/* All of the image positive, so that nothing but the quadrant's weights decides. */
static cam_fixture start_quadrant(float weight) {
    cs_error err;
    cam_fixture f = cam_start(quadrant_model(weight), "relu", CS_F64, 1, 1);
    for (int64_t i = 0; i < COUNT; i++)
        ((double *)f.input.data)[i] = 0.5 + (double)(i * 37 % COUNT) / COUNT;
    REQUIRE_OK(cs_run_forward(f.run, &f.input, &err), err);
    return f;
}

static cs_cam map_of(cam_fixture *f, const char *method, int64_t c) {
    cs_error err;
    cs_cam cam;
    cs_cam_options options = cam_options(method, NULL);
    options.layer = strcmp(method, "integrated-gradients") == 0 ? NULL : f->layer;
    REQUIRE_OK(cs_cam_compute_classes(f->run, f->model, &options, 0, &c, 1, &cam, &err), err);
    return cam;
}

static cs_faithfulness measure(cam_fixture *f, const cs_tensor *map, int64_t c, int64_t steps,
                               cs_fill fill) {
    cs_error err;
    cs_run *run = NULL;
    cs_faithfulness result;
    const cs_faithfulness_options options = {steps, 3, fill, NULL, NULL};
    REQUIRE_OK(cs_run_create_like(f->run, 3, NULL, &run, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_faithfulness_measure(run, &f->input, map, c, &options, &result, &err), err);
    cs_run_free(run);
    return result;
}

static cs_tensor quadrant_mask(void) {
    cs_error err;
    cs_tensor mask;
    REQUIRE_OK(cs_tensor_allocate(&mask, CS_F32, 1, 1, SIDE, SIDE, &err), err);
    for (int y = 0; y < HALF; y++)
        for (int x = 0; x < HALF; x++)
            cs_tensor_set(&mask, 0, 0, y, x, 1);
    return mask;
}

/* Methods that look at each place's gradient find the quadrant and nothing else. Grad-CAM, whose
 * weight is a channel's mean, cannot: its energy there is that of the activation itself. */
START_TEST(test_a_network_that_looks_at_one_quadrant) {
    static const char *const exact[] = {"hirescam", "layercam", "gradient", "input-x-gradient",
                                        "integrated-gradients"};
    cs_error err;
    cam_fixture f = start_quadrant(0.5f);
    cs_tensor mask = quadrant_mask();
    double inside = 0, all = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        all += ((double *)f.input.data)[i];
        inside += i / SIDE < HALF && i % SIDE < HALF ? ((double *)f.input.data)[i] : 0;
    }
    cs_localisation place;
    for (int i = 0; i < 5; i++) {
        cs_cam cam = map_of(&f, exact[i], 1);
        REQUIRE_OK(cs_localisation_measure(&cam.raw, &mask, &place, &err), err);
        ck_assert_msg(place.energy == 1 && place.hit && place.area == 0.25, "%s: energy %g",
                      exact[i], place.energy);
        /* 16 of 64 pixels decide: behind them the curves stand still. */
        cs_faithfulness r = measure(&f, &cam.raw, 1, 16, CS_FILL_MEAN);
        ck_assert_int_eq(r.points, 17);
        for (int k = 4; k < 17; k++)
            ck_assert_msg(r.deletion[k] == r.deletion[16] && r.insertion[k] == r.insertion[16],
                          "%s: point %d", exact[i], k);
        for (int k = 0; k < 4; k++)
            ck_assert(r.deletion[k] > r.deletion[k + 1] && r.insertion[k] < r.insertion[k + 1]);
        ck_assert(r.deletion[0] == r.probability && r.insertion[16] == r.probability &&
                  r.deletion[16] == r.insertion[0]);
        cs_faithfulness_free(&r);
        cs_cam_free(&cam);
    }
    cs_cam cam = map_of(&f, "gradcam", 1);
    REQUIRE_OK(cs_localisation_measure(&cam.raw, &mask, &place, &err), err);
    ck_assert_double_eq_tol(place.energy, inside / all, 1e-12);
    cs_cam_free(&cam);
    cs_tensor_release(&mask);
    cam_finish(&f);
}
END_TEST

/* A network of constants: gradients say nothing (empty), curves are flat, nothing is lost.
 * Score-CAM weighs all channels alike, so that it shows the mean activation: not every map means
 * something. */
START_TEST(test_a_constant_network) {
    cam_fixture f = start_quadrant(0);
    for (int m = 0; cs_cam_method_get(m); m++) {
        const char *name = cs_cam_method_get(m)->name;
        cs_cam cam = map_of(&f, name, 1);
        if (strcmp(name, "scorecam") == 0) {
            cs_tensor a;
            cs_error err;
            REQUIRE_OK(cs_run_activation(f.run, "relu", &a, &err), err);
            for (int64_t i = 0; i < COUNT; i++)
                ck_assert_double_eq_tol(((double *)cam.raw.data)[i],
                                        (cs_tensor_at(&a, 0, 0, i / SIDE, i % SIDE) +
                                         cs_tensor_at(&a, 0, 1, i / SIDE, i % SIDE)) /
                                            2,
                                        1e-12);
        } else {
            ck_assert_msg(cam.status == CS_CAM_EMPTY, "%s", name);
        }
        cs_faithfulness r = measure(&f, &cam.raw, 1, 5, CS_FILL_MEAN);
        for (int64_t k = 0; k < r.points; k++)
            ck_assert(r.deletion[k] == r.probability && r.insertion[k] == r.probability);
        ck_assert(r.drop == 0 && !r.increase && r.masked_probability == r.probability);
        ck_assert_double_eq_tol(r.deletion_area, r.probability, 1e-15);
        cs_faithfulness_free(&r);
        cs_cam_free(&cam);
    }
    cam_finish(&f);
}
END_TEST

/* ------------------------------------------------------------------ plain loops ---------- */

/* The Gaussian blur at one place of the 9 x 7 image, in two dimensions at once. */
static double blurred(const cs_tensor *t, int64_t c, int64_t y, int64_t x) {
    double sum = 0, weights = 0;
    for (int64_t i = -15; i <= 15; i++)
        for (int64_t j = -15; j <= 15; j++) {
            const double w = exp(-(double)(i * i + j * j) / 50);
            const int64_t v = y + i < 0 ? 0 : y + i >= t->h ? t->h - 1 : y + i;
            const int64_t u = x + j < 0 ? 0 : x + j >= t->w ? t->w - 1 : x + j;
            sum += w * cs_tensor_at(t, 0, c, v, u);
            weights += w;
        }
    return sum / weights;
}

static double probability_of(cs_run *run, const cs_tensor *x, int64_t c) {
    cs_error err;
    cs_tensor logits;
    double p[3];
    REQUIRE_OK(cs_run_forward(run, x, &err), err);
    REQUIRE_OK(cs_run_output(run, &logits, &err), err);
    cs_softmax(&logits, 0, p);
    return p[c];
}

/* A map of the input's size: its values' order is the pixels' order. */
START_TEST(test_faithfulness_is_its_formula) {
    cs_error err;
    for (int fill = CS_FILL_MEAN; fill <= CS_FILL_BLUR; fill++) {
        cam_fixture f = cam_start_small(CS_F64, 1, 3, 5);
        cs_tensor map = cam_random(CS_F64, 1, 1, 9, 7, 8);
        cam_rectify(&map); /* many equals */
        const int64_t steps = 10, step = 7;
        cs_faithfulness r = measure(&f, &map, 2, steps, (cs_fill)fill);
        ck_assert_int_eq(r.points, 10); /* 63 pixels, 7 at a time */
        double areas[2] = {0, 0}, before[2] = {0, 0};
        for (int64_t k = 0; k < r.points; k++) {
            double now[2];
            for (int inserts = 0; inserts < 2; inserts++) {
                cs_tensor x = test_tensor_copy(&f.input);
                for (int64_t i = 0; i < 63; i++) {
                    int64_t rank = 0; /* how many pixels go before this one */
                    const double *v = map.data;
                    for (int64_t j = 0; j < 63; j++)
                        rank += v[j] > v[i] || (v[j] == v[i] && j < i);
                    for (int64_t c = 0; c < 3 && (rank < k * step) == !inserts; c++)
                        cs_tensor_set(&x, 0, c, i / 7, i % 7,
                                      fill == CS_FILL_MEAN ? 0
                                                           : blurred(&f.input, c, i / 7, i % 7));
                }
                now[inserts] = probability_of(f.run, &x, 2);
                if (k > 0)
                    areas[inserts] += (now[inserts] + before[inserts]) / 2 / 9;
                before[inserts] = now[inserts];
                cs_tensor_release(&x);
            }
            ck_assert_double_eq_tol(r.fraction[k], (double)k / 9, 1e-15);
            ck_assert_double_eq_tol(r.deletion[k], now[0], 1e-13);
            ck_assert_double_eq_tol(r.insertion[k], now[1], 1e-13);
        }
        ck_assert_double_eq_tol(r.deletion_area, areas[0], 1e-13);
        ck_assert_double_eq_tol(r.insertion_area, areas[1], 1e-13);
        cs_tensor x = test_tensor_copy(&f.input);
        double most = 0;
        for (int64_t i = 0; i < 63; i++)
            most = fmax(most, ((double *)map.data)[i]);
        for (int64_t i = 0; i < cs_tensor_count(&x); i++)
            ((double *)x.data)[i] *= ((double *)map.data)[i / 3] / most;
        const double masked = probability_of(f.run, &x, 2),
                     whole = probability_of(f.run, &f.input, 2);
        ck_assert_double_eq_tol(r.masked_probability, masked, 1e-13);
        ck_assert_double_eq_tol(r.drop, fmax(0, whole - masked) / whole, 1e-12);
        ck_assert_int_eq(r.increase, masked > whole);
        cs_tensor_release(&x);
        cs_tensor_release(&map);
        cs_faithfulness_free(&r);
        cam_finish(&f);
        (void)err;
    }
}
END_TEST

/* Measures do not depend on the map's scale (a saturated probability has gradients of 1e-9), and an
 * image of float32 is measured in the run's float64. */
START_TEST(test_faithfulness_of_tiny_maps_and_narrow_images) {
    cs_error err;
    cam_fixture f = cam_start_small(CS_F64, 1, 3, 5);
    cs_tensor map = cam_random(CS_F64, 1, 1, 5, 4, 8), wide = f.input, narrow;
    cam_rectify(&map);
    REQUIRE_OK(cs_tensor_allocate(&narrow, CS_F32, 1, 3, 9, 7, &err), err);
    for (int64_t i = 0; i < cs_tensor_count(&wide); i++) {
        ((float *)narrow.data)[i] = (float)((double *)wide.data)[i];
        ((double *)wide.data)[i] = (double)((float *)narrow.data)[i];
    }
    cs_faithfulness first = measure(&f, &map, 2, 10, CS_FILL_BLUR);
    f.input = narrow;
    for (int64_t i = 0; i < 20; i++)
        ((double *)map.data)[i] *= 0x1p-60;
    cs_faithfulness second = measure(&f, &map, 2, 10, CS_FILL_BLUR);
    ck_assert(first.points == second.points && first.drop == second.drop &&
              first.masked_probability == second.masked_probability &&
              first.deletion_area == second.deletion_area &&
              first.insertion_area == second.insertion_area);
    ck_assert(first.masked_probability != first.probability);
    cs_faithfulness_free(&first);
    cs_faithfulness_free(&second);
    cs_tensor_release(&map);
    cs_tensor_release(&wide);
    cam_finish(&f);
}
END_TEST

static bool stop_at_once(void *state, int64_t done, int64_t total) {
    (void)state;
    return done < total;
}

START_TEST(test_faithfulness_refuses) {
    cs_error err;
    cs_faithfulness r;
    cam_fixture f = cam_start_small(CS_F64, 2, 3, 5);
    cs_tensor map = cam_random(CS_F64, 1, 1, 3, 3, 8), wide = map, one = f.input;
    cs_faithfulness_options options = CS_FAITHFULNESS_OPTIONS_DEFAULT;
    one.n = 1;
    REQUIRE_STATUS(cs_faithfulness_measure(f.run, &f.input, &map, 0, &options, &r, &err),
                   CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_faithfulness_measure(f.run, &one, &map, 3, &options, &r, &err),
                   CS_ERROR_ARGUMENT, err);
    wide.c = 9;
    wide.h = wide.w = 1;
    REQUIRE_STATUS(cs_faithfulness_measure(f.run, &one, &wide, 0, &options, &r, &err),
                   CS_ERROR_ARGUMENT, err);
    options.steps = -1;
    REQUIRE_STATUS(cs_faithfulness_measure(f.run, &one, &map, 0, &options, &r, &err),
                   CS_ERROR_ARGUMENT, err);
    options.steps = 100000; /* more than pixels: one pixel a step */
    REQUIRE_OK(cs_faithfulness_measure(f.run, &one, &map, 0, &options, &r, &err), err);
    ck_assert_int_eq(r.points, 64);
    cs_faithfulness_free(&r);
    options.stop = stop_at_once;
    REQUIRE_STATUS(cs_faithfulness_measure(f.run, &one, &map, 0, &options, &r, &err),
                   CS_ERROR_INTERRUPTED, err);
    options.stop = NULL;
    ((double *)one.data)[0] = (double)NAN;
    REQUIRE_STATUS(cs_faithfulness_measure(f.run, &one, &map, 0, &options, &r, &err),
                   CS_ERROR_NUMERIC, err);
    cs_tensor_release(&map);
    cam_finish(&f);
}
END_TEST

/* ------------------------------------------------------------------ sanity --------------- */

static int compare_floats(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

START_TEST(test_cascade_shuffles_one_stage) {
    cs_error err;
    cs_model *model = NULL;
    cs_params *params = NULL;
    char stage[256];
    static const char *const stages[] = {"fc",     "layer4", "layer3", "layer2",
                                         "layer1", "bn1",    "conv1"};
    REQUIRE_OK(cs_model_open("examples/small_resnet.json", NULL, &model, &err), err);
    for (int i = 0; i < 7; i++) {
        ck_assert(cs_cascade_stage(model, i, stage, sizeof stage));
        ck_assert_str_eq(stage, stages[i]);
    }
    ck_assert(!cs_cascade_stage(model, 7, stage, sizeof stage));
    REQUIRE_OK(cs_params_copy(model, &params, &err), err);
    cs_random random = {1};
    REQUIRE_OK(cs_cascade_randomise(params, model, "layer4", &random, &err), err);
    int moved = 0;
    for (int t = 0; t < cs_model_tensor_count(model); t++) {
        const cs_tensor_info *info = cs_model_tensor(model, t);
        const size_t size = (size_t)info->count * sizeof(float);
        float *now = cs_params_tensor(params, t);
        if (strncmp(info->name, "layer4.", 7) != 0) {
            ck_assert_msg(memcmp(now, info->data, size) == 0, "%s", info->name);
            continue;
        }
        moved += memcmp(now, info->data, size) != 0;
        float *before = malloc(size);
        memcpy(before, info->data, size);
        qsort(before, (size_t)info->count, sizeof *before, compare_floats);
        qsort(now, (size_t)info->count, sizeof *now, compare_floats);
        ck_assert_msg(memcmp(now, before, size) == 0, "%s", info->name);
        free(before);
    }
    ck_assert_int_gt(moved, 2);
    REQUIRE_STATUS(cs_cascade_randomise(cs_model_params(model), model, "fc", &random, &err),
                   CS_ERROR_ARGUMENT, err);
    cs_params_free(params);
    cs_model_free(model);
}
END_TEST

/* The map of the input's magnitude (gradient of a network that is shuffled within its last layer
 * alone) changes; the other class's map of the quadrant network is empty, so it has no rank. */
START_TEST(test_sanity) {
    cs_error err;
    cs_sanity s;
    cs_model *model = NULL;
    REQUIRE_OK(cs_model_open("examples/small_resnet.json", NULL, &model, &err), err);
    cam_fixture f = cam_start(model, "layer4", CS_F32, 1, 1);
    cs_cam cam = map_of(&f, "gradcam", 1), other;
    cs_cam_options options = cam_options("gradcam", NULL);
    REQUIRE_OK(cs_sanity_measure(f.run, f.model, &f.input, &options, &cam, 3, &s, &err), err);
    ck_assert_int_eq(s.stages, 7);
    ck_assert(s.other_index >= 0 && s.other_index != 1);
    double want = 0;
    other = map_of(&f, "gradcam", s.other_index);
    REQUIRE_OK(cs_map_correlation(&cam.raw, &other.raw, &want, &err), err);
    ck_assert(s.other_class == want || (isnan(want) && isnan(s.other_class)));
    int numbers = 0;
    for (int i = 0; i < 7; i++) {
        ck_assert(isnan(s.cascade[i]) || (fabs(s.cascade[i]) < 0.9999 && s.cascade[i] >= -1));
        numbers += !isnan(s.cascade[i]);
    }
    ck_assert_int_gt(numbers, 3);
    cs_cam_free(&cam);
    cs_cam_free(&other);
    cs_sanity_free(&s);
    cam_finish(&f);
    cam_fixture q = start_quadrant(0.5f);
    cam = map_of(&q, "hirescam", 1);
    options = cam_options("hirescam", NULL);
    options.layer = "relu";
    REQUIRE_OK(cs_sanity_measure(q.run, q.model, &q.input, &options, &cam, 3, &s, &err), err);
    ck_assert(s.stages == 2 && s.other_index == 0 && isnan(s.other_class));
    cs_cam_free(&cam);
    cs_sanity_free(&s);
    cam_finish(&q);
}
END_TEST

Suite *suite_measures(void);
Suite *suite_measures(void) {
    Suite *suite = suite_create("measures");
    TCase *tests = tcase_create("measures");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_a_network_that_looks_at_one_quadrant);
    tcase_add_test(tests, test_a_constant_network);
    tcase_add_test(tests, test_faithfulness_is_its_formula);
    tcase_add_test(tests, test_faithfulness_of_tiny_maps_and_narrow_images);
    tcase_add_test(tests, test_faithfulness_refuses);
    tcase_add_test(tests, test_cascade_shuffles_one_stage);
    tcase_add_test(tests, test_sanity);
    suite_add_tcase(suite, tests);
    return suite;
}
