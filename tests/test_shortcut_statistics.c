/* test_shortcut_statistics.c - the statistics of a map against NumPy's float64
 * (fixtures/make_shortcut_fixture.py) and on planted maps whose numbers are known; regions, the
 * chest template, the tests of the summary against known values.
 */
#include "bootstrap.h"
#include "cnnscope_diagnose.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cs_tensor new_map(int64_t rows, int64_t columns) {
    cs_error err;
    cs_tensor t = {0};
    REQUIRE_OK(cs_tensor_allocate(&t, CS_F64, 1, 1, rows, columns, &err), err);
    return t;
}

static int statistic_named(const char *name) {
    for (int s = 0; s < CS_STAT_COUNT; s++)
        if (strcmp(cs_statistic_name((cs_statistic)s), name) == 0)
            return s;
    ck_abort_msg("no statistic %s", name);
    return -1;
}

static void read_mask(FILE *file, cs_tensor *mask) {
    for (int64_t i = 0; i < mask->h * mask->w; i++) {
        char digit = 0;
        ck_assert_int_eq(fscanf(file, " %c", &digit), 1);
        cs_tensor_set(mask, 0, 0, i / mask->w, i % mask->w, digit == '1' ? 1.0 : 0.0);
    }
}

START_TEST(test_numpy) {
    FILE *file = fopen("tests/fixtures/shortcut_statistics.txt", "r");
    ck_assert_ptr_nonnull(file);
    int rows, columns, height, width, has_roi, cases = 0;
    while (fscanf(file, " map %d %d %d %d %d", &rows, &columns, &height, &width, &has_roi) == 5) {
        cs_error err;
        cs_map_regions regions = {0};
        double value, got[CS_STAT_COUNT];
        char name[64];
        cs_tensor map = new_map(rows, columns), mask = new_map(height, width);
        for (int i = 0; i < rows * columns; i++) {
            ck_assert_int_eq(fscanf(file, "%lf", &value), 1);
            cs_tensor_set(&map, 0, 0, i / columns, i % columns, value);
        }
        if (has_roi)
            read_mask(file, &mask);
        REQUIRE_OK(cs_map_regions_make(rows, columns, height, width, has_roi ? &mask : NULL,
                                       &regions, &err),
                   err);
        REQUIRE_OK(cs_map_statistics(&map, &regions, got, &err), err);
        int compared = 0;
        while (fscanf(file, "%63s %lf", name, &value) == 2 && strcmp(name, "end") != 0) {
            int s = statistic_named(name);
            ck_assert_msg(fabs(got[s] - value) <= 1e-9 * fmax(1.0, fabs(value)),
                          "case %d, %s: %.17g, numpy %.17g", cases, name, got[s], value);
            compared++;
        }
        ck_assert_int_eq(compared, has_roi ? 30 : 24);
        ck_assert(has_roi || isnan(got[CS_STAT_ENERGY_ROI]));
        cs_map_regions_free(&regions);
        cs_tensor_release(&map);
        cs_tensor_release(&mask);
        cases++;
    }
    fclose(file);
    ck_assert_int_eq(cases, 6);
}
END_TEST

/* A map of 10 x 10 cells over 100 x 100 pixels: a corner is 2 x 2 cells. */
static void measure_10(const cs_tensor *map, double out[CS_STAT_COUNT]) {
    cs_error err;
    cs_map_regions regions = {0};
    REQUIRE_OK(cs_map_regions_make(10, 10, 100, 100, NULL, &regions, &err), err);
    REQUIRE_OK(cs_map_statistics(map, &regions, out, &err), err);
    cs_map_regions_free(&regions);
}

static void require_near(double got, double wanted, const char *what) {
    ck_assert_msg(fabs(got - wanted) < 1e-12, "%s: %.17g, expected %.17g", what, got, wanted);
}

START_TEST(test_planted) {
    double v[CS_STAT_COUNT];
    cs_tensor map = new_map(10, 10);
    for (int i = 0; i < 100; i++)
        cs_tensor_set(&map, 0, 0, i / 10, i % 10, 0.97); /* even: min-max would make it nothing */
    measure_10(&map, v);
    require_near(v[CS_STAT_CORNER], 1.0, "corner of an even map");
    require_near(v[CS_STAT_ENTROPY], 1.0, "entropy of an even map");
    require_near(v[CS_STAT_GINI], 0.0, "Gini of an even map");
    require_near(v[CS_STAT_EFFECTIVE_AREA], 1.0, "effective area of an even map");
    require_near(v[CS_STAT_LATERALITY_IMAGE], 0.0, "laterality of an even map");
    require_near(v[CS_STAT_ENERGY_RING], 0.36, "ring of an even map");
    memset(map.data, 0, 100 * sizeof(double));
    cs_tensor_set(&map, 0, 0, 9, 0, 3.0); /* one cell, bottom left */
    measure_10(&map, v);
    require_near(v[CS_STAT_ENRICHMENT_BOTTOM_LEFT], 25.0, "bottom left");
    require_near(v[CS_STAT_CORNER], 25.0, "corner");
    require_near(v[CS_STAT_ENERGY_TOP_LEFT], 0.0, "top left");
    require_near(v[CS_STAT_ENRICHMENT_RING], 1.0 / 0.36, "ring");
    require_near(v[CS_STAT_ENRICHMENT_TOP_EDGE], 0.0, "upper edge");
    require_near(v[CS_STAT_ENRICHMENT_TOP_EDGE + 1], 10.0, "lower edge");
    require_near(v[CS_STAT_ENRICHMENT_TOP_EDGE + 2], 10.0, "left edge");
    require_near(v[CS_STAT_EDGE], 10.0, "edge");
    require_near(v[CS_STAT_ENTROPY], 0.0, "entropy of one cell");
    require_near(v[CS_STAT_GINI], 0.99, "Gini of one cell");
    require_near(v[CS_STAT_EFFECTIVE_AREA], 0.01, "effective area of one cell");
    require_near(v[CS_STAT_LATERALITY_IMAGE], -1.0, "laterality");
    memset(map.data, 0, 100 * sizeof(double));
    measure_10(&map, v);
    for (int s = 0; s < CS_STAT_COUNT; s++)
        ck_assert_msg(isnan(v[s]), "%s of an empty map: %g", cs_statistic_name((cs_statistic)s),
                      v[s]);
    cs_tensor_release(&map);
}
END_TEST

START_TEST(test_one_cell) {
    double v[CS_STAT_COUNT];
    cs_error err;
    cs_map_regions regions = {0};
    cs_tensor map = new_map(1, 1);
    cs_tensor_set(&map, 0, 0, 0, 0, 2.0);
    REQUIRE_OK(cs_map_regions_make(1, 1, 64, 64, NULL, &regions, &err), err);
    REQUIRE_OK(cs_map_statistics(&map, &regions, v, &err), err);
    ck_assert(isnan(v[CS_STAT_ENTROPY]));
    require_near(v[CS_STAT_CORNER], 1.0, "corner");
    require_near(v[CS_STAT_LATERALITY_IMAGE], 0.0, "laterality");
    cs_tensor wrong = new_map(2, 1);
    REQUIRE_STATUS(cs_map_statistics(&wrong, &regions, v, &err), CS_ERROR_ARGUMENT, err);
    cs_map_regions_free(&regions);
    cs_tensor_release(&wrong);
    cs_tensor_release(&map);
}
END_TEST

START_TEST(test_regions) {
    cs_error err;
    cs_tensor mask = {0}, none = new_map(8, 8);
    cs_map_regions regions = {0};
    const cs_chest_template shape = CS_CHEST_TEMPLATE_DEFAULT, bad = {{0.3, 0.7}, 0.45, 0.0, 0.3},
                            outside = {{4.0, 5.0}, 4.0, 0.1, 0.1};
    REQUIRE_OK(cs_chest_template_make(&shape, 200, 200, &mask, &err), err);
    REQUIRE_OK(cs_map_regions_make(8, 8, 200, 200, &mask, &regions, &err), err);
    /* Two ellipses that do not overlap: 2 pi 0.17 0.33, sampled at 200 x 200 centres. */
    ck_assert(fabs(regions.area[CS_REGION_ROI] - 2.0 * 3.14159265 * 0.17 * 0.33) < 2e-3);
    require_near(regions.area[CS_REGION_LEFT], 0.5, "left");
    require_near(regions.area[CS_REGION_TOP_LEFT], 0.04, "a corner's area");
    require_near(regions.area[CS_REGION_RING], 0.36, "the ring's area");
    cs_map_regions_free(&regions);
    cs_tensor_release(&mask);
    REQUIRE_STATUS(cs_chest_template_make(&bad, 200, 200, &mask, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_chest_template_make(&outside, 200, 200, &mask, &err), CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_map_regions_make(8, 8, 8, 8, &none, &regions, &err), CS_ERROR_ARGUMENT, err);
    cs_tensor_release(&none);
}
END_TEST

START_TEST(test_hottest) {
    double x = 0.0, y = 0.0;
    cs_error err;
    cs_map_regions regions = {0};
    cs_tensor map = new_map(4, 4), roi = new_map(4, 4);
    cs_tensor_set(&map, 0, 0, 1, 1, 5.0);
    cs_tensor_set(&map, 0, 0, 3, 2, 4.0);
    cs_tensor_set(&roi, 0, 0, 1, 1, 1.0);
    REQUIRE_OK(cs_map_regions_make(4, 4, 4, 4, &roi, &regions, &err), err);
    cs_map_hottest(&map, &regions, &x, &y); /* the hotter cell lies in the region of interest */
    require_near(x, 2.5 / 4.0, "x");
    require_near(y, 3.5 / 4.0, "y");
    cs_map_regions_free(&regions);
    cs_tensor_release(&map);
    cs_tensor_release(&roi);
}
END_TEST

/* The ring of 10 x 10 cells is the outermost; of 4 x 4 cells it covers no cell by half. */
START_TEST(test_hottest_of_ring) {
    double x = 0.0, y = 0.0;
    cs_error err;
    const int64_t sides[2] = {10, 4};
    for (int i = 0; i < 2; i++) {
        const int64_t side = sides[i];
        cs_map_regions regions = {0};
        cs_tensor map = new_map(side, side);
        cs_tensor_set(&map, 0, 0, 1, 2, 9.0); /* hotter, but inside */
        cs_tensor_set(&map, 0, 0, side - 1, 1, 5.0);
        cs_tensor_set(&map, 0, 0, 0, 0, 2.0);
        REQUIRE_OK(cs_map_regions_make(side, side, 40, 40, NULL, &regions, &err), err);
        cs_map_hottest_of_ring(&map, &regions, &x, &y);
        require_near(x, 1.5 / (double)side, "x");
        require_near(y, ((double)side - 0.5) / (double)side, "y");
        cs_map_regions_free(&regions);
        cs_tensor_release(&map);
    }
}
END_TEST

START_TEST(test_tests) {
    double p[5] = {0.01, 0.04, 0.03, (double)NAN, 0.005};
    double *const list[5] = {&p[0], &p[1], &p[2], &p[3], &p[4]};
    /* statsmodels.stats.multitest.multipletests([.01, .04, .03, .005], method="holm") */
    ck_assert_int_eq(holm_correct(list, 5), 4);
    require_near(p[0], 0.03, "Holm");
    require_near(p[1], 0.06, "Holm");
    require_near(p[2], 0.06, "Holm");
    require_near(p[4], 0.02, "Holm");
    ck_assert(isnan(p[3]));
    /* scipy.stats.binom.sf(7, 10, 0.5), sf(14, 50, 0.25) */
    require_near(binomial_tail(10, 8, 0.5), 0.0546875, "binomial");
    ck_assert(fabs(binomial_tail(50, 15, 0.25) - 0.2519188554772399) < 1e-12);
    require_near(binomial_tail(10, 0, 0.5), 1.0, "binomial");
}
END_TEST

START_TEST(test_bootstrap) {
    double *memory = calloc(2 * BOOTSTRAP_REPLICATES, sizeof *memory);
    double weights[BOOTSTRAP_REPLICATES], sum = 0.0, square = 0.0;
    tally t;
    cs_random random = {3};
    tally_begin(&t, memory);
    for (int i = 0; i < 400; i++) {
        char name[16];
        snprintf(name, sizeof name, "patient %d", i);
        bootstrap_weights(1, bootstrap_unit(name), weights);
        tally_add(&t, cs_random_uniform(&random), weights);
        sum += weights[0];
        square += weights[0] * weights[0];
    }
    tally_add(&t, (double)NAN, weights);
    cs_interval v = tally_interval(&t);
    ck_assert_int_eq(v.count, 400);
    /* Poisson(1): mean 1, second moment 2; a mean of 400 uniforms: 1.96 / sqrt(12 * 400). */
    ck_assert(fabs(sum / 400.0 - 1.0) < 0.2 && fabs(square / 400.0 - 2.0) < 0.6);
    ck_assert(v.low < v.value && v.value < v.high);
    ck_assert(fabs((v.high - v.low) / (2.0 * 1.96 / sqrt(4800.0)) - 1.0) < 0.15);
    free(memory);
    flips f = {.sums = calloc(BOOTSTRAP_FLIPS, sizeof(double))};
    double signs[BOOTSTRAP_FLIPS];
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "patient %d", i);
        bootstrap_signs(1, bootstrap_unit(name), signs);
        flips_add(&f, 1.0, signs);
    }
    /* All eight flips alike: 1 / 256 of the signs reach the sum. */
    ck_assert(flips_p(&f) > 0.001 && flips_p(&f) < 0.009);
    for (int i = 0; i < BOOTSTRAP_FLIPS; i++)
        f.sums[i] = -f.sums[i];
    f.sum = -f.sum;
    ck_assert(flips_p(&f) > 0.99); /* below 0: no evidence of being above */
    free(f.sums);
}
END_TEST

Suite *suite_shortcut_statistics(void);

Suite *suite_shortcut_statistics(void) {
    Suite *suite = suite_create("shortcut_statistics");
    TCase *tests = tcase_create("shortcut_statistics");
    tcase_add_test(tests, test_numpy);
    tcase_add_test(tests, test_planted);
    tcase_add_test(tests, test_one_cell);
    tcase_add_test(tests, test_regions);
    tcase_add_test(tests, test_hottest);
    tcase_add_test(tests, test_hottest_of_ring);
    tcase_add_test(tests, test_tests);
    tcase_add_test(tests, test_bootstrap);
    suite_add_tcase(suite, tests);
    return suite;
}
