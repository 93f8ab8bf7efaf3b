/* test_cam_passes.c - the methods that make passes of their own: Score-CAM and integrated gradients
 * against plain loops around the engine, Grad-CAM++ for the softmax, and what holds for all.
 */
#include "cam_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static cs_cam map_of(cam_fixture *f, cs_cam_options options, int64_t c) {
    cs_error err;
    cs_cam cam;
    if (strcmp(options.method, "integrated-gradients") != 0)
        options.layer = f->layer;
    REQUIRE_OK(cs_cam_compute_classes(f->run, f->model, &options, 0, &c, 1, &cam, &err), err);
    return cam;
}

/* ------------------------------------------------------------------ Score-CAM ------------ */

/* Bilinear interpolation at one place, as PyTorch's documentation has it. */
static double bilinear(const double *v, int64_t h, int64_t w, double y, double x) {
    y = fmin(fmax(y, 0), (double)(h - 1));
    x = fmin(fmax(x, 0), (double)(w - 1));
    const int64_t y0 = (int64_t)y, x0 = (int64_t)x;
    const int64_t y1 = y0 + 1 < h ? y0 + 1 : y0, x1 = x0 + 1 < w ? x0 + 1 : x0;
    const double fy = y - (double)y0, fx = x - (double)x0;
    return (1 - fy) * ((1 - fx) * v[y0 * w + x0] + fx * v[y0 * w + x1]) +
           fy * ((1 - fx) * v[y1 * w + x0] + fx * v[y1 * w + x1]);
}

typedef struct plane {
    int64_t h, w;
    double v[1024];
} plane;

static void least_and_most(const plane *p, double *least, double *most) {
    *least = *most = p->v[0];
    for (int64_t i = 1; i < p->h * p->w; i++) {
        *least = fmin(*least, p->v[i]);
        *most = fmax(*most, p->v[i]);
    }
}

static void scale(plane *p, double added) {
    double least = 0, most = 0;
    least_and_most(p, &least, &most);
    for (int64_t i = 0; i < p->h * p->w; i++)
        p->v[i] = most == least ? 0 : (p->v[i] - least) / (most - least + added);
}

static void enlarge(const plane *in, bool align_corners, plane *out) {
    for (int64_t y = 0; y < out->h; y++)
        for (int64_t x = 0; x < out->w; x++) {
            const double fy = (double)in->h / (double)out->h, fx = (double)in->w / (double)out->w;
            out->v[y * out->w + x] =
                align_corners ? bilinear(in->v, in->h, in->w,
                                         (double)(y * (in->h - 1)) / (double)(out->h - 1),
                                         (double)(x * (in->w - 1)) / (double)(out->w - 1))
                              : bilinear(in->v, in->h, in->w, ((double)y + 0.5) * fy - 0.5,
                                         ((double)x + 0.5) * fx - 0.5);
        }
}

/* The mask of channel k of the last forward, and whether the channel is constant. */
static plane mask_of(const cs_tensor *a, int64_t k, const cs_tensor *x, const char *variant,
                     bool *flat) {
    plane small = {.h = a->h, .w = a->w}, large = {.h = x->h, .w = x->w};
    double least = 0, most = 0;
    for (int64_t i = 0; i < a->h * a->w; i++)
        small.v[i] = cs_tensor_at(a, 0, k, i / a->w, i % a->w);
    least_and_most(&small, &least, &most);
    *flat = least == most;
    if (strcmp(variant, "torchcam") == 0)
        scale(&small, 1e-8);
    enlarge(&small, strcmp(variant, "pgc") == 0, &large);
    if (strcmp(variant, "torchcam") != 0)
        scale(&large, strcmp(variant, "pgc") == 0 ? 1e-8 : 0);
    return large;
}

/* Score-CAM with a run of its own, one image at a time, into want[h * w]. */
static void naive_scorecam(cam_fixture *f, const char *variant, int64_t c, double *want) {
    cs_error err;
    cs_tensor a, x, logits;
    cs_run *run = NULL;
    double scores[64], weights[64], sum = 0, p[16];
    REQUIRE_OK(cs_run_create_like(f->run, 1, NULL, &run, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_activation(f->run, f->layer, &a, &err), err);
    const bool authors = strcmp(variant, "authors") == 0;
    for (int64_t k = 0; k < a.c; k++) {
        bool flat = false;
        x = test_tensor_copy(&f->input);
        const plane mask = mask_of(&a, k, &x, variant, &flat);
        for (int64_t i = 0; i < x.h * x.w; i++)
            for (int64_t ch = 0; ch < x.c; ch++)
                cs_tensor_set(&x, 0, ch, i / x.w, i % x.w,
                              mask.v[i] * cs_tensor_at(&x, 0, ch, i / x.w, i % x.w));
        REQUIRE_OK(cs_run_forward(run, &x, &err), err);
        REQUIRE_OK(cs_run_output(run, &logits, &err), err);
        cs_softmax(&logits, 0, p);
        scores[k] = authors ? (flat ? 0 : p[c]) : cs_tensor_at(&logits, 0, c, 0, 0);
        sum += exp(scores[k]);
        cs_tensor_release(&x);
    }
    for (int64_t k = 0; k < a.c; k++)
        weights[k] = authors ? scores[k] : exp(scores[k]) / sum;
    for (int64_t i = 0; i < a.h * a.w; i++) {
        want[i] = 0;
        for (int64_t k = 0; k < a.c; k++)
            want[i] += weights[k] * cs_tensor_at(&a, 0, k, i / a.w, i % a.w);
    }
    cs_run_free(run);
}

START_TEST(test_scorecam_is_its_formula) {
    static const char *const variants[] = {"paper", "authors", "pgc", "torchcam"};
    int flat = 0;
    for (uint64_t seed = 1; seed <= 6; seed++)
        for (int v = 0; v < 4; v++) {
            double want[256];
            cam_fixture f = cam_start_small(CS_F64, 1, 3, seed);
            naive_scorecam(&f, variants[v], 1, want);
            cs_cam cam = map_of(&f, cam_options("scorecam", variants[v]), 1);
            for (int64_t i = 0; i < cam.raw.h * cam.raw.w; i++)
                ck_assert_msg(fabs(((double *)cam.signed_map.data)[i] - want[i]) <=
                                  1e-12 * fmax(1, fabs(cam.signed_max)),
                              "%s, seed %d, %d: %.17g, expected %.17g", variants[v], (int)seed,
                              (int)i, ((double *)cam.signed_map.data)[i], want[i]);
            flat += cam.forward_images < 5; /* channels that the ReLU has closed */
            cs_cam_free(&cam);
            cam_finish(&f);
        }
    ck_assert_int_gt(flat, 0);
}
END_TEST

START_TEST(test_scorecam_chooses_channels) {
    cs_error err;
    cs_tensor a;
    cam_fixture f = cam_start_small(CS_F64, 1, 3, 3);
    REQUIRE_OK(cs_run_activation(f.run, f.layer, &a, &err), err);
    int64_t best = 0;
    double most = -1;
    for (int64_t k = 0; k < a.c; k++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < a.h * a.w; i++) {
            const double v = cs_tensor_at(&a, 0, k, i / a.w, i % a.w);
            mean += v / (double)(a.h * a.w);
            square += v * v / (double)(a.h * a.w);
        }
        if (square - mean * mean > most) {
            most = square - mean * mean;
            best = k;
        }
    }
    cs_cam_options options = cam_options("scorecam", NULL);
    options.max_channels = 1;
    cs_cam cam = map_of(&f, options, 0);
    ck_assert_int_eq(cam.forward_images, 1);
    for (int64_t i = 0; i < a.h * a.w; i++) /* one channel: its softmax is 1 */
        ck_assert(((double *)cam.signed_map.data)[i] ==
                  cs_tensor_at(&a, 0, best, i / a.w, i % a.w));
    cs_cam_free(&cam);
    options.max_channels = 100;
    cam = map_of(&f, options, 0);
    cs_cam all = map_of(&f, cam_options("scorecam", NULL), 0);
    test_tensors_equal(&cam.raw, &all.raw, "100 of 5 channels");
    cs_cam_free(&cam);
    cs_cam_free(&all);
    cam_finish(&f);
}
END_TEST

/* ------------------------------------------------------------------ integrated gradients - */

START_TEST(test_gauss_legendre) {
    for (int64_t n = 1; n <= 200; n = n < 5 ? n + 1 : n * 2) {
        double x[400], w[400];
        cs_gauss_legendre(n, x, w);
        for (int degree = 0; degree <= 2 * n - 1 && degree < 60; degree++) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++)
                sum += w[i] * pow(x[i], degree);
            ck_assert_msg(fabs(sum - 1.0 / (degree + 1)) < 1e-13, "%d points, degree %d: %.17g",
                          (int)n, degree, sum);
        }
        for (int64_t i = 0; i < n; i++)
            ck_assert(x[i] > (i ? x[i - 1] : 0) && x[i] < 1 && w[i] > 0);
    }
}
END_TEST

START_TEST(test_integrated_gradients_are_their_formula) {
    cs_error err;
    cs_tensor x, g, seed;
    const int64_t class_index = 2;
    static const char *const variants[] = {"captum", "paper", "midpoint"};
    for (int v = 0; v < 3; v++) {
        cam_fixture f = cam_start_small(CS_F64, 1, 3, 4);
        cs_cam_options options = cam_options("integrated-gradients", variants[v]);
        options.steps = 7;
        cs_cam cam = map_of(&f, options, class_index);
        ck_assert(cam.forward_images == 7 && cam.backward_images == 7 && cam.own_bytes > 0);
        double t[7], w[7], want[9 * 7] = {0};
        cs_gauss_legendre(7, t, w);
        REQUIRE_OK(cs_tensor_allocate(&seed, CS_F64, 1, 3, 1, 1, &err), err);
        cs_tensor_set(&seed, 0, class_index, 0, 0, 1);
        x = test_tensor_copy(&f.input);
        for (int k = 0; k < 7; k++) {
            const double at = v == 0 ? t[k] : v == 1 ? (k + 1) / 7.0 : (k + 0.5) / 7.0;
            for (int64_t i = 0; i < cs_tensor_count(&x); i++)
                ((double *)x.data)[i] = at * ((double *)f.input.data)[i];
            REQUIRE_OK(cs_run_forward(f.run, &x, &err), err);
            REQUIRE_OK(cs_run_backward(f.run, &seed, &err), err);
            REQUIRE_OK(cs_run_gradient(f.run, "input", &g, &err), err);
            for (int64_t i = 0; i < 9 * 7; i++)
                for (int64_t c = 0; c < 3; c++)
                    want[i] += (v == 0 ? w[k] : 1 / 7.0) * cs_tensor_at(&g, 0, c, i / 7, i % 7) *
                               cs_tensor_at(&f.input, 0, c, i / 7, i % 7);
        }
        for (int64_t i = 0; i < 9 * 7; i++)
            ck_assert_double_eq_tol(((double *)cam.signed_map.data)[i], want[i], 1e-12);
        cs_tensor_release(&x);
        cs_tensor_release(&seed);
        cs_cam_free(&cam);
        cam_finish(&f);
    }
}
END_TEST

/* Completeness: the map before the ReLU sums to S(x) - S(0), the nearer the more steps. */
START_TEST(test_integrated_gradients_are_complete) {
    cs_error err;
    cs_tensor logits, zero;
    cam_fixture f = cam_start_small(CS_F64, 1, 3, 4);
    double difference[3], error[2][3];
    REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
    for (int c = 0; c < 3; c++)
        difference[c] = cs_tensor_at(&logits, 0, c, 0, 0);
    static const int64_t steps[] = {10, 4000};
    for (int i = 0; i < 2; i++)
        for (int c = 0; c < 3; c++) {
            cs_cam_options options = cam_options("integrated-gradients", "midpoint");
            options.steps = steps[i];
            options.batch = 64;
            cs_cam cam = map_of(&f, options, c);
            error[i][c] = cam.signed_sum;
            cs_cam_free(&cam);
        }
    REQUIRE_OK(cs_tensor_allocate(&zero, CS_F64, 1, 3, 9, 7, &err), err);
    REQUIRE_OK(cs_run_forward(f.run, &zero, &err), err);
    REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
    for (int c = 0; c < 3; c++) {
        const double want = difference[c] - cs_tensor_at(&logits, 0, c, 0, 0);
        ck_assert_msg(fabs(error[1][c] - want) < 1e-3 && fabs(error[0][c] - want) < 0.2,
                      "class %d: %g, with 10 steps %g, with 4000 %g", c, want, error[0][c],
                      error[1][c]);
    }
    cs_tensor_release(&zero);
    cam_finish(&f);
}
END_TEST

/* ------------------------------------------------------------------ Grad-CAM++, softmax -- */

/* For two classes Y is the logistic function s of one difference, d = z_c - z_o, and the chain rule
 * gives Y' = s' d', Y'' = s'' d'^2, Y''' = s''' d'^3 with s' = pq, s'' = pq (q - p) and
 * s''' = pq (1 - 6 pq). */
START_TEST(test_plusplus_of_two_classes) {
    cs_error err;
    cs_tensor logits, a, g, seed;
    for (uint64_t net = 1; net <= 4; net++)
        for (int c = 0; c < 2; c++) {
            double p[2], want[64] = {0}, largest = 0;
            cam_fixture f = cam_start_small(CS_F64, 1, 2, net);
            cs_cam_options options = cam_options("gradcam++", "paper");
            options.target.kind = CS_TARGET_PROB;
            cs_cam cam = map_of(&f, options, c);
            ck_assert_int_eq(cam.backward_images, 2);
            REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
            cs_softmax(&logits, 0, p);
            const double P = p[c], q = p[1 - c];
            REQUIRE_OK(cs_tensor_allocate(&seed, CS_F64, 1, 2, 1, 1, &err), err);
            cs_tensor_set(&seed, 0, c, 0, 0, 1);
            cs_tensor_set(&seed, 0, 1 - c, 0, 0, -1);
            REQUIRE_OK(cs_run_backward(f.run, &seed, &err), err);
            REQUIRE_OK(cs_run_gradient(f.run, f.layer, &g, &err), err);
            REQUIRE_OK(cs_run_activation(f.run, f.layer, &a, &err), err);
            for (int64_t k = 0; k < a.c; k++) {
                double sum = 0, weight = 0;
                for (int64_t i = 0; i < a.h * a.w; i++)
                    sum += cs_tensor_at(&a, 0, k, i / a.w, i % a.w);
                for (int64_t i = 0; i < a.h * a.w; i++) {
                    const double d = cs_tensor_at(&g, 0, k, i / a.w, i % a.w);
                    const double y1 = P * q * d, y2 = P * q * (q - P) * d * d,
                                 y3 = P * q * (1 - 6 * P * q) * d * d * d;
                    weight += d == 0 ? 0 : y2 / (2 * y2 + sum * y3) * fmax(y1, 0);
                }
                for (int64_t i = 0; i < a.h * a.w; i++)
                    want[i] += weight * cs_tensor_at(&a, 0, k, i / a.w, i % a.w);
            }
            for (int64_t i = 0; i < a.h * a.w; i++)
                largest = fmax(largest, fabs(want[i]));
            for (int64_t i = 0; i < a.h * a.w; i++)
                ck_assert_double_eq_tol(((double *)cam.signed_map.data)[i], want[i],
                                        1e-11 * largest);
            cs_tensor_release(&seed);
            cs_cam_free(&cam);
            cam_finish(&f);
        }
}
END_TEST

/* ------------------------------------------------------------------ all of them ---------- */

static const struct {
    const char *method, *variant;
    cs_target_kind target;
} own[] = {
    {"scorecam", "paper", CS_TARGET_LOGIT},
    {"scorecam", "authors", CS_TARGET_LOGIT},
    {"scorecam", "pgc", CS_TARGET_NEG_LOGIT},
    {"scorecam", "torchcam", CS_TARGET_MARGIN},
    {"gradcam++", "paper", CS_TARGET_PROB},
    {"integrated-gradients", "captum", CS_TARGET_PROB},
    {"integrated-gradients", "paper", CS_TARGET_LOGIT},
    {"gradcam", "paper", CS_TARGET_PROB},
};
#define OWN_COUNT ((int)(sizeof own / sizeof own[0]))

static cs_cam_options own_options(int i, const cam_fixture *f) {
    cs_cam_options options = cam_options(own[i].method, own[i].variant);
    options.target.kind = own[i].target;
    options.layer = strcmp(own[i].method, "integrated-gradients") == 0 ? NULL : f->layer;
    options.steps = strcmp(own[i].method, "integrated-gradients") == 0 ? 9 : 0;
    return options;
}

/* The same bits for any batch, number of threads, and whether classes are asked for together; and
 * an image's map does not depend on the other images of its batch. */
START_TEST(test_the_same_bits) {
    cs_error err;
    for (int i = 0; i < OWN_COUNT; i++)
        for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
            cam_fixture one = cam_start(cam_small_model(3, 9), "relu2", (cs_dtype)dtype, 1, 1);
            cam_fixture two = cam_start(cam_small_model(3, 9), "relu2", (cs_dtype)dtype, 2, 3);
            const size_t size = (size_t)cs_tensor_count(&one.input) * cs_dtype_size(dtype);
            memcpy((char *)two.input.data + size, one.input.data, size);
            memset(two.input.data, 0, size);
            REQUIRE_OK(cs_run_forward(two.run, &two.input, &err), err);
            cs_cam_options a = own_options(i, &one), b = own_options(i, &two);
            const int64_t classes[3] = {0, 1, 2}, batch_classes[2] = {0, 2};
            cs_cam together[3], alone, batch[2];
            a.batch = 1;
            b.batch = 4;
            REQUIRE_OK(
                cs_cam_compute_classes(one.run, one.model, &a, 0, classes, 3, together, &err), err);
            for (int c = 0; c < 3; c++) {
                REQUIRE_OK(
                    cs_cam_compute_classes(two.run, two.model, &b, 1, &classes[c], 1, &alone, &err),
                    err);
                test_tensors_equal(&together[c].signed_map, &alone.signed_map, own[i].method);
                cs_cam_free(&alone);
            }
            REQUIRE_OK(cs_cam_compute(two.run, two.model, &b, batch_classes, batch, &err), err);
            test_tensors_equal(&together[2].signed_map, &batch[1].signed_map, own[i].method);
            for (int c = 0; c < 3; c++)
                cs_cam_free(&together[c]);
            cs_cam_free(&batch[0]);
            cs_cam_free(&batch[1]);
            cam_finish(&one);
            cam_finish(&two);
        }
}
END_TEST

typedef struct stopping {
    int64_t calls, done, total, at;
} stopping;

static bool stop_at(void *state, int64_t done, int64_t total) {
    stopping *s = state;
    ck_assert(done > s->done && done <= total && (s->total == 0 || total == s->total));
    s->calls++;
    s->done = done;
    s->total = total;
    return s->calls == s->at;
}

START_TEST(test_progress_and_stop) {
    cs_error err;
    cs_cam cam;
    cam_fixture f = cam_start_small(CS_F32, 1, 3, 9);
    const int64_t c = 0;
    for (int i = 0; i < OWN_COUNT - 1; i++) {
        stopping s = {0};
        cs_cam_options options = own_options(i, &f);
        options.stop = stop_at;
        options.stop_state = &s;
        options.batch = 2;
        cs_cam all = map_of(&f, options, c);
        ck_assert_msg(s.calls >= 2 && s.done == s.total, "%s: %d calls, %d of %d", own[i].method,
                      (int)s.calls, (int)s.done, (int)s.total);
        s = (stopping){.at = 2};
        REQUIRE_STATUS(cs_cam_compute_classes(f.run, f.model, &options, 0, &c, 1, &cam, &err),
                       CS_ERROR_INTERRUPTED, err);
        cs_cam_free(&all);
    }
    cam_finish(&f);
}
END_TEST

/* One class, whose probability is 1 whatever the input; logits so far apart that the softmax is
 * exactly 0 and 1; a layer of one pixel; an input of zeros. No NaN; maps of nothing are empty. */
START_TEST(test_degenerate_networks) {
    cs_error err;
    for (int i = 0; i < OWN_COUNT; i++)
        for (int which = 0; which < 4; which++) {
            cam_fixture f = cam_start(cam_small_model(which == 0 ? 1 : 3, 9),
                                      which == 2 ? "avgpool" : "relu2", CS_F64, 1, 1);
            const bool is_prob = own[i].target == CS_TARGET_PROB;
            if (which == 1)
                for (int64_t j = 0; j < cs_tensor_count(&f.input); j++)
                    ((double *)f.input.data)[j] *= 1e6;
            if (which == 3)
                memset(f.input.data, 0, (size_t)cs_tensor_count(&f.input) * sizeof(double));
            REQUIRE_OK(cs_run_forward(f.run, &f.input, &err), err);
            cs_cam cam = map_of(&f, own_options(i, &f), 0);
            for (int64_t j = 0; j < cs_tensor_count(&cam.signed_map); j++)
                ck_assert(isfinite(((double *)cam.signed_map.data)[j]));
            const bool gradient = strcmp(own[i].method, "scorecam") != 0;
            ck_assert_msg(!(which == 0 && is_prob && gradient) || cam.status == CS_CAM_EMPTY,
                          "%s: the probability of an only class has a map", own[i].method);
            cs_cam_free(&cam);
            cam_finish(&f);
        }
}
END_TEST

/* Channels without range share one pass, or are left out. */
START_TEST(test_flat_channels) {
    cam_fixture f = cam_start(cam_small_model(3, 9), "avgpool", CS_F64, 1, 1);
    cs_cam paper = map_of(&f, cam_options("scorecam", "paper"), 0),
           authors = map_of(&f, cam_options("scorecam", "authors"), 0);
    ck_assert_int_eq(paper.forward_images, 1);
    ck_assert_int_eq(authors.forward_images, 0);
    ck_assert_int_eq(authors.status, CS_CAM_EMPTY);
    ck_assert_int_eq(paper.status, CS_CAM_OK);
    cs_cam_free(&paper);
    cs_cam_free(&authors);
    cam_finish(&f);
}
END_TEST

Suite *suite_cam_passes(void);
Suite *suite_cam_passes(void) {
    Suite *suite = suite_create("cam_passes");
    TCase *tests = tcase_create("cam_passes");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_scorecam_is_its_formula);
    tcase_add_test(tests, test_scorecam_chooses_channels);
    tcase_add_test(tests, test_gauss_legendre);
    tcase_add_test(tests, test_integrated_gradients_are_their_formula);
    tcase_add_test(tests, test_integrated_gradients_are_complete);
    tcase_add_test(tests, test_plusplus_of_two_classes);
    tcase_add_test(tests, test_the_same_bits);
    tcase_add_test(tests, test_progress_and_stop);
    tcase_add_test(tests, test_degenerate_networks);
    tcase_add_test(tests, test_flat_channels);
    suite_add_tcase(suite, tests);
    return suite;
}
