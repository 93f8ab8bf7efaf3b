/* test_examples.c - the programs of examples/ run, and what they print is what other ways to the
 * same numbers give.
 */
#include "cli_runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder;

static void setup(void) { folder = strdup(test_temp_dir()); }

/* What `examples/NAME WORDS` prints; free() it. */
static char *output_of(const char *name, const char *words) {
    char path[64];
    snprintf(path, sizeof path, "examples/%s", name);
    ck_assert_int_eq(cli_shell("%s %s > %s/out.txt", cli_built(path), words, folder), 0);
    return cli_text(test_path(folder, "out.txt"));
}

/* The example network with the image that the examples take, everything kept, after both passes. */
static cs_run *everything(cs_model **model) {
    cs_error err;
    cs_run *run;
    cs_tensor image = {0}, seed = {0};
    cs_random random = {1};
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, model, &err), err);
    REQUIRE_OK(cs_run_create(*model, &options, &run, &err), err);
    for (int i = 0; i < cs_model_node_count(*model); i++)
        REQUIRE_OK(cs_run_keep(run, cs_model_node(*model, i)->name, &err), err);
    cs_run_keep_single_nodes(run);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&image, CS_F32, 1, 3, 224, 224, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&seed, CS_F32, 1, 3, 1, 1, &err), err);
    cs_random_fill_input(&random, &image);
    cs_tensor_set(&seed, 0, 0, 0, 0, 1);
    REQUIRE_OK(cs_run_forward(run, &image, &err), err);
    REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
    REQUIRE_OK(cs_npy_write(test_path(folder, "image.npy"), &image, 4, &err), err);
    cs_tensor_release(&image);
    cs_tensor_release(&seed);
    return run;
}

static cs_tensor tensor_of(cs_run *run, const char *name, bool gradient) {
    cs_error err;
    cs_tensor t;
    REQUIRE_OK(gradient ? cs_run_gradient(run, name, &t, &err)
                        : cs_run_activation(run, name, &t, &err),
               err);
    return t;
}

START_TEST(test_gradcam) {
    cs_model *model;
    cs_error err;
    cs_tensor map = {0};
    cs_run_free(everything(&model)); /* for the image */
    cs_model_free(model);
    char *hooked = output_of("hooked_gradcam", EXAMPLE_MODEL " layer4");
    char *textbook = output_of("textbook_gradcam", EXAMPLE_MODEL " layer4");
    ck_assert_str_eq(hooked, textbook);
    ck_assert_int_eq(
        cli_run("explain " EXAMPLE_MODEL " %s/image.npy --class 0 -o %s/cam", folder, folder).code,
        0);
    REQUIRE_OK(cs_npy_read(test_path(folder, "cam/image/class-0-gradcam-layer4.npy"), &map, &err),
               err);
    ck_assert_int_eq(cs_tensor_count(&map), 49);
    const char *at = hooked;
    for (int i = 0; i < 49; i++) { /* three digits are printed */
        char *end;
        const double shown = strtod(at, &end), raw = (double)((const float *)map.data)[i];
        const double wanted = raw > 0 ? raw : 0;
        ck_assert_msg(end != at && fabs(shown - wanted) <= 0.006 * wanted,
                      "number %d is %g, not %g", i, shown, wanted);
        at = end;
    }
    cs_tensor_release(&map);
    free(hooked);
    free(textbook);
}
END_TEST

/* ------------------------------------------------------------------ guided --------------- */

/* Adds what one node hands on to its inputs' sums; a relu's negative entries are cut off. */
static void hand_on(cs_run *run, const cs_model *model, int node, cs_tensor *sums) {
    cs_error err;
    const cs_node_info *info = cs_model_node(model, node);
    cs_tensor parts[2] = {{0}, {0}}, *wanted[2] = {NULL, NULL};
    for (int k = 0; k < info->inputs; k++) {
        const cs_tensor like = tensor_of(run, cs_model_node(model, info->input[k])->name, false);
        REQUIRE_OK(cs_tensor_allocate(&parts[k], CS_F32, like.n, like.c, like.h, like.w, &err),
                   err);
        wanted[k] = &parts[k];
    }
    REQUIRE_OK(cs_run_node_backward(run, node, NULL, &sums[node], wanted, false, &err), err);
    for (int k = info->inputs - 1; k >= 0; k--) {
        cs_tensor *sum = &sums[info->input[k]];
        float *from = parts[k].data;
        for (int64_t i = 0; i < cs_tensor_count(&parts[k]); i++)
            from[i] = strcmp(info->op, "relu") == 0 && from[i] < 0 ? 0 : from[i];
        for (int64_t i = 0; sum->data && i < cs_tensor_count(sum); i++)
            ((float *)sum->data)[i] += from[i];
        if (sum->data)
            cs_tensor_release(&parts[k]);
        else
            *sum = parts[k];
    }
}

START_TEST(test_guided_backpropagation) {
    cs_error err;
    cs_model *model;
    cs_tensor got = {0};
    cs_run *run = everything(&model);
    const int count = cs_model_node_count(model), output = cs_model_output_node(model);
    cs_tensor *sums = calloc((size_t)count, sizeof *sums);
    const cs_tensor seed = tensor_of(run, cs_model_node(model, output)->name, true);
    sums[output] = test_tensor_copy(&seed);
    for (int i = output; i > 0; i--)
        hand_on(run, model, i, sums);
    char words[4200];
    snprintf(words, sizeof words, EXAMPLE_MODEL " %s/guided.npy", folder);
    free(output_of("guided_backprop", words));
    REQUIRE_OK(cs_npy_read(test_path(folder, "guided.npy"), &got, &err), err);
    test_tensors_equal(&got, &sums[0], "guided backpropagation, node by node");
    const cs_tensor plain = tensor_of(run, "input", true);
    ck_assert_int_ne(memcmp(plain.data, got.data, sizeof(float) * 150528), 0);
    for (int i = 0; i < count; i++)
        cs_tensor_release(&sums[i]);
    free(sums);
    cs_tensor_release(&got);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

/* ------------------------------------------------------------------ ablation ------------- */

/* Behind the last stage stand only the mean and a linear layer: a channel's part of the logit is
 * its mean times its weight. */
START_TEST(test_ablation) {
    cs_model *model;
    cs_run *run = everything(&model);
    const cs_tensor pooled = tensor_of(run, "avgpool", false);
    const float *weights = NULL;
    for (int i = 0; i < cs_model_tensor_count(model); i++)
        if (strcmp(cs_model_tensor(model, i)->name, "fc.weight") == 0)
            weights = cs_model_tensor(model, i)->data;
    ck_assert_ptr_nonnull(weights);
    char *text = output_of("ablation", EXAMPLE_MODEL " layer4"), *line = text;
    for (int k = 0; k < (int)pooled.c; k++) {
        int channel;
        double change;
        ck_assert_msg(sscanf(line, "channel %d %lf", &channel, &change) == 2, "%s", line);
        ck_assert_int_eq(channel, k);
        const double wanted = -(double)weights[k] * cs_tensor_at(&pooled, 0, k, 0, 0);
        ck_assert_msg(fabs(change - wanted) <= 1e-6, "channel %d: %.9g, expected %.9g", k, change,
                      wanted);
        line = strchr(line, '\n') + 1;
    }
    ck_assert_str_eq(line, "");
    free(text);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

START_TEST(test_gradient_histogram) {
    cs_model *model;
    cs_run *run = everything(&model);
    char *text = output_of("gradient_histogram", EXAMPLE_MODEL);
    char *line = strchr(text, '\n') + 1;
    int lines = 0;
    for (; *line; line = strchr(line, '\n') + 1, lines++) {
        char name[64];
        long long bins[11], wanted[11] = {0};
        const int read = sscanf(line, "%63s %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld",
                                name, &bins[0], &bins[1], &bins[2], &bins[3], &bins[4], &bins[5],
                                &bins[6], &bins[7], &bins[8], &bins[9], &bins[10]);
        ck_assert_int_eq(read, 12);
        const cs_tensor dy = tensor_of(run, name, true);
        for (int64_t i = 0; i < cs_tensor_count(&dy); i++) {
            const double size = fabs((double)((const float *)dy.data)[i]);
            int bin = size > 0 ? 1 : 0;
            for (double edge = 1e-9; bin > 0 && bin < 10 && size >= edge; edge *= 10)
                bin++;
            wanted[bin]++;
        }
        for (int b = 0; b < 11; b++)
            ck_assert_msg(bins[b] == wanted[b], "%s, column %d: %lld, expected %lld", name, b,
                          bins[b], wanted[b]);
    }
    ck_assert_int_eq(lines, 13); /* 12 convolutions and the linear layer */
    free(text);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

START_TEST(test_examples_say_what_is_wrong) {
    static const char *const names[] = {"hooked_gradcam", "guided_backprop", "ablation",
                                        "gradient_histogram"};
    char path[64];
    snprintf(path, sizeof path, "examples/%s", names[_i]);
    ck_assert_int_eq(cli_shell("%s 2> %s/err.txt", cli_built(path), folder), 2);
    ck_assert_int_eq(cli_shell("grep -q usage %s/err.txt", folder), 0);
    ck_assert_int_eq(cli_shell("%s absent.json out 2> %s/err.txt", cli_built(path), folder), 3);
    ck_assert_int_eq(cli_shell("grep -q absent.json %s/err.txt", folder), 0);
}
END_TEST

Suite *suite_examples(void);
Suite *suite_examples(void) {
    Suite *suite = suite_create("examples");
    TCase *tests = tcase_create("examples");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_gradcam);
    tcase_add_test(tests, test_guided_backpropagation);
    tcase_add_test(tests, test_ablation);
    tcase_add_test(tests, test_gradient_histogram);
    tcase_add_loop_test(tests, test_examples_say_what_is_wrong, 0, 4);
    suite_add_tcase(suite, tests);
    return suite;
}
