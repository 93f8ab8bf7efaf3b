/* test_cam_methods.c - the methods that need one gradient: each variant against plain loops,
 * targets, and degenerate maps.
 */
#include "cam_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ plain loops ---------- */

/* One channel's numbers. */
typedef struct channel {
    const cs_tensor *a, *g;
    int64_t n, c;
} channel;

static double at(const cs_tensor *t, const channel *ch, int64_t y, int64_t x) {
    return cs_tensor_at(t, ch->n, ch->c, y, x);
}

static double positive(double v) { return v > 0 ? v : 0; }

static double sum_of(const channel *ch, double (*f)(double a, double g)) {
    double sum = 0;
    for (int64_t y = 0; y < ch->a->h; y++)
        for (int64_t x = 0; x < ch->a->w; x++)
            sum += f(at(ch->a, ch, y, x), at(ch->g, ch, y, x));
    return sum;
}

static double only_a(double a, double g) { return a + 0 * g; }
static double only_g(double a, double g) { return g + 0 * a; }
static double a_times_g(double a, double g) { return a * g; }
static double a_times_g3(double a, double g) { return a * g * g * g; }

/* Grad-CAM++'s alpha as the equations have it. */
static double alpha(const char *variant, double g, double sum_a, double sum_ag3) {
    const double g2 = g * g, g3 = g2 * g;
    double down = 2 * g2 + sum_a * g3;
    if (strcmp(variant, "torchcam") == 0)
        return g2;
    if (strcmp(variant, "pgc") == 0)
        down += 1e-6;
    if (strcmp(variant, "monai") == 0)
        down = (2 * g2 + sum_ag3 == 0 ? 1 : 2 * g2 + sum_ag3) + 1e-7;
    if (strcmp(variant, "authors") == 0 && down == 0)
        down = 1;
    return g == 0 || down == 0 ? 0 : g2 / down;
}

static double plusplus_weight(const char *variant, const channel *ch) {
    const double sum_a = sum_of(ch, only_a), sum_ag3 = sum_of(ch, a_times_g3);
    double weight = 0, norm = 0;
    for (int64_t y = 0; y < ch->a->h; y++)
        for (int64_t x = 0; x < ch->a->w; x++) {
            const double g = at(ch->g, ch, y, x), v = alpha(variant, g, sum_a, sum_ag3);
            weight += v * positive(g);
            norm += g > 0 ? v : 0;
        }
    return strcmp(variant, "authors") == 0 && norm != 0 ? weight / norm : weight;
}

static double xgrad_weight(const char *variant, const channel *ch) {
    const double down = sum_of(ch, only_a) + (strcmp(variant, "pgc") == 0        ? 1e-7
                                              : strcmp(variant, "torchcam") == 0 ? 1e-8
                                                                                 : 0);
    return down == 0 ? 0 : sum_of(ch, a_times_g) / down;
}

/* A method's value at one position, before the ReLU. */
static double naive(const char *method, const char *variant, const cs_tensor *a, const cs_tensor *g,
                    int64_t n, int64_t y, int64_t x) {
    double sum = 0, most = 0;
    for (int64_t c = 0; c < a->c; c++) {
        const channel ch = {a, g, n, c};
        const double av = at(a, &ch, y, x), gv = at(g, &ch, y, x);
        most = fabs(gv) > most ? fabs(gv) : most;
        if (strcmp(method, "gradcam") == 0)
            sum += sum_of(&ch, only_g) / (double)(a->h * a->w) * av;
        else if (strcmp(method, "gradcam++") == 0)
            sum += plusplus_weight(variant, &ch) * av;
        else if (strcmp(method, "xgradcam") == 0)
            sum += xgrad_weight(variant, &ch) * av;
        else if (strcmp(method, "layercam") == 0)
            sum += positive(gv) * av;
        else if (strcmp(method, "gradient") == 0)
            sum += strcmp(variant, "sum") == 0 ? gv : fabs(gv);
        else
            sum += gv * av;
    }
    return strcmp(method, "gradient") == 0 && strcmp(variant, "paper") == 0 ? most : sum;
}

static void check_one(const char *method, const char *variant, const cs_tensor *a,
                      const cs_tensor *g) {
    cs_error err;
    cs_cam cam;
    const cs_cam_options options = cam_options(method, variant);
    for (int64_t n = 0; n < a->n; n++) {
        REQUIRE_OK(cs_cam_map(&options, a, g, n, &cam, &err), err);
        double largest = fmax(fabs(cam.signed_min), fabs(cam.signed_max)), sum = 0;
        for (int64_t y = 0; y < a->h; y++)
            for (int64_t x = 0; x < a->w; x++) {
                const double want = naive(method, variant, a, g, n, y, x);
                const double got = cs_tensor_at(&cam.signed_map, 0, 0, y, x);
                const double bound = (a->dtype == CS_F32 ? 1e-7 : 1e-12) * largest;
                ck_assert_msg(fabs(got - want) <= bound,
                              "%s:%s, image %d at (%d, %d): %.17g, expected %.17g", method, variant,
                              (int)n, (int)y, (int)x, got, want);
                ck_assert(cs_tensor_at(&cam.raw, 0, 0, y, x) == (got > 0 ? got : 0));
                sum += got;
            }
        ck_assert(sum == cam.signed_sum);
        cs_cam_free(&cam);
    }
}

START_TEST(test_each_variant_is_its_formula) {
    static const int64_t shapes[][4] = {{1, 1, 1, 1}, {2, 5, 4, 3}, {1, 33, 7, 7}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int dtype = CS_F32; dtype <= CS_F64; dtype++) {
            const int64_t *s = shapes[i];
            cs_tensor a = cam_random((cs_dtype)dtype, s[0], s[1], s[2], s[3], 10 + i);
            cs_tensor g = cam_random((cs_dtype)dtype, s[0], s[1], s[2], s[3], 20 + i);
            cam_rectify(&a);
            for (int m = 0; cs_cam_method_get(m); m++) {
                const cs_cam_method_info *method = cs_cam_method_get(m);
                for (int v = 0; !method->many_passes && method->variants[v]; v++)
                    check_one(method->name, method->variants[v], &a, &g);
            }
            cs_tensor_release(&a);
            cs_tensor_release(&g);
        }
}
END_TEST

/* ------------------------------------------------------------------ targets -------------- */

/* Signed maps are linear in the target: margin, neg-logit, and prob through the softmax. */
START_TEST(test_targets_are_linear_in_the_map) {
    cs_error err;
    cam_fixture f = cam_start_small(CS_F64, 1, 3, 7);
    cs_tensor logits;
    double p[3];
    REQUIRE_OK(cs_run_output(f.run, &logits, &err), err);
    cs_softmax(&logits, 0, p);
    cs_cam_options options = cam_options("hirescam", NULL);
    options.layer = f.layer;
    const int64_t classes[] = {0, 1, 2};
    cs_cam by_class[3], cam;
    REQUIRE_OK(cs_cam_compute_classes(f.run, f.model, &options, 0, classes, 3, by_class, &err),
               err);
    const cs_target targets[] = {
        {CS_TARGET_NEG_LOGIT, 0}, {CS_TARGET_MARGIN, 2}, {CS_TARGET_PROB, 0}};
    const double weights[3][3] = {
        {0, -1, 0}, {0, 1, -1}, {-p[1] * p[0], p[1] * (1 - p[1]), -p[1] * p[2]}};
    for (int t = 0; t < 3; t++) {
        double value = 0;
        options.target = targets[t];
        REQUIRE_OK(cs_cam_compute_classes(f.run, f.model, &options, 0, &classes[1], 1, &cam, &err),
                   err);
        for (int64_t i = 0; i < cam.raw.h * cam.raw.w; i++) {
            double want = 0;
            for (int k = 0; k < 3; k++)
                want += weights[t][k] * ((const double *)by_class[k].signed_map.data)[i];
            ck_assert_double_eq_tol(((const double *)cam.signed_map.data)[i], want, 1e-12);
        }
        REQUIRE_OK(cs_target_value(&targets[t], &logits, 0, 1, &value, &err), err);
        const double z1 = cs_tensor_at(&logits, 0, 1, 0, 0), z2 = cs_tensor_at(&logits, 0, 2, 0, 0);
        ck_assert(value == (t == 0 ? -z1 : t == 1 ? z1 - z2 : p[1]));
        cs_cam_free(&cam);
    }
    for (int k = 0; k < 3; k++)
        cs_cam_free(&by_class[k]);
    cam_finish(&f);
}
END_TEST

/* ------------------------------------------------------------------ degenerate ----------- */

static void require_finite(const char *method, const char *variant, const cs_tensor *a,
                           const cs_tensor *g, bool is_empty, const char *what) {
    cs_error err;
    cs_cam cam;
    const cs_cam_options options = cam_options(method, variant);
    REQUIRE_OK(cs_cam_map(&options, a, g, 0, &cam, &err), err);
    for (int64_t i = 0; i < a->h * a->w; i++)
        ck_assert_msg(isfinite(((const double *)cam.signed_map.data)[i]), "%s:%s: %s: %g", method,
                      variant, what, ((const double *)cam.signed_map.data)[i]);
    ck_assert_msg(!is_empty || cam.status == CS_CAM_EMPTY, "%s:%s: %s: not empty", method, variant,
                  what);
    ck_assert(cam.status == (cam.max > 0 ? CS_CAM_OK : CS_CAM_EMPTY));
    cs_cam_free(&cam);
}

static void fill(cs_tensor *t, double value) {
    for (int64_t i = 0; i < cs_tensor_count(t); i++)
        ((double *)t->data)[i] = value;
}

static void check_degenerate(const char *name, const char *variant, int64_t side) {
    const double pixels = (double)(side * side);
    cs_tensor a = cam_random(CS_F64, 1, 4, side, side, 3),
              g = cam_random(CS_F64, 1, 4, side, side, 4),
              zero = cam_random(CS_F64, 1, 4, side, side, 5);
    fill(&zero, 0);
    require_finite(name, variant, &a, &zero, true, "zero gradient");
    require_finite(name, variant, &zero, &g, strcmp(name, "gradient") != 0, "zero activation");
    fill(&a, 0.5);
    require_finite(name, variant, &a, &g, false, "constant channels");
    fill(&g, 1e-200);
    require_finite(name, variant, &a, &g, false, "tiny gradient");
    fill(&g, -2 / (0.5 * pixels));
    require_finite(name, variant, &a, &g, false, "2 + g sum A = 0, g < 0");
    fill(&a, -0.5);
    fill(&g, 2 / (0.5 * pixels));
    require_finite(name, variant, &a, &g, false, "2 + g sum A = 0, g > 0");
    cs_tensor_release(&a);
    cs_tensor_release(&g);
    cs_tensor_release(&zero);
}

START_TEST(test_degenerate_maps_give_no_nan) {
    for (int m = 0; cs_cam_method_get(m); m++)
        for (int v = 0; cs_cam_method_get(m)->variants[v]; v++)
            if (!cs_cam_method_get(m)->many_passes) {
                check_degenerate(cs_cam_method_get(m)->name, cs_cam_method_get(m)->variants[v], 1);
                check_degenerate(cs_cam_method_get(m)->name, cs_cam_method_get(m)->variants[v], 3);
            }
}
END_TEST

START_TEST(test_wrong_options_are_refused) {
    cs_error err;
    cam_fixture f = cam_start_small(CS_F64, 1, 3, 7);
    static const struct {
        const char *method, *variant, *layer;
        int64_t channels, steps;
        cs_target_kind target;
        const char *words;
    } cases[] = {
        {"gradcam", "authors", NULL, 0, 0, CS_TARGET_LOGIT, "no variant 'authors'"},
        {"gradcam", NULL, "nowhere", 0, 0, CS_TARGET_LOGIT, "nowhere"},
        {"gradcam", NULL, NULL, 5, 0, CS_TARGET_LOGIT, "only scorecam"},
        {"gradcam++", NULL, NULL, 0, 5, CS_TARGET_LOGIT, "only integrated-gradients"},
        {"integrated-gradients", NULL, "relu2", 0, 0, CS_TARGET_LOGIT, "at the input"},
        {"scorecam", "authors", NULL, 0, 0, CS_TARGET_MARGIN, "take the target prob"},
        {"scorecam", NULL, NULL, -1, 0, CS_TARGET_LOGIT, "counts from 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cs_cam_options options = cam_options(cases[i].method, cases[i].variant);
        options.layer = cases[i].layer;
        options.max_channels = cases[i].channels;
        options.steps = cases[i].steps;
        options.target.kind = cases[i].target;
        REQUIRE_STATUS(cs_cam_watch(f.run, f.model, &options, &err), CS_ERROR_ARGUMENT, err);
        ck_assert_msg(strstr(err.text, cases[i].words) != NULL, "%s", err.text);
    }
    cs_cam cam;
    cs_cam_options options = cam_options("scorecam", NULL);
    cs_tensor a = cam_random(CS_F64, 1, 1, 2, 2, 3);
    REQUIRE_STATUS(cs_cam_map(&options, &a, &a, 0, &cam, &err), CS_ERROR_ARGUMENT, err);
    options.method = "gradcam++";
    options.target.kind = CS_TARGET_PROB;
    REQUIRE_STATUS(cs_cam_map(&options, &a, &a, 0, &cam, &err), CS_ERROR_ARGUMENT, err);
    cs_tensor_release(&a);
    cam_finish(&f);
}
END_TEST

Suite *suite_cam_methods(void);
Suite *suite_cam_methods(void) {
    Suite *suite = suite_create("cam_methods");
    TCase *tests = tcase_create("cam_methods");
    tcase_add_test(tests, test_each_variant_is_its_formula);
    tcase_add_test(tests, test_targets_are_linear_in_the_map);
    tcase_add_test(tests, test_degenerate_maps_give_no_nan);
    tcase_add_test(tests, test_wrong_options_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
