/* bench_cnnscope.c - times cnnscope's passes, prints JSON lines.
 *
 *   bench_cnnscope peak [--threads N] [--isa NAME] [--serve]
 *   bench_cnnscope MODEL.json INPUT.npy [--threads N] [--isa NAME] [--engine gemm] [--dtype f64]
 *                  [--work forward|gradient|gradcam|training] [--rounds N] [--layers] [--serve]
 *
 * "peak" measures the fastest fused multiply-adds of this machine. `gradient` is forward and input
 * gradient of logit 0, `gradcam` forward and the map of the predicted class at the last stage,
 * `training` forward in training mode, cross-entropy (labels 0, 1, 0, ...) and the gradients of all
 * parameters. --layers adds a line a step and backward operation. --serve prints the logits, then
 * answers each line on stdin with one round's seconds: bench/ours.py drives it in turn with the
 * peers, A B C A B C.
 */
#include "bench.h"
#include "cnnscope_cam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum bench_work { WORK_FORWARD, WORK_GRADIENT, WORK_GRADCAM, WORK_TRAINING } bench_work;
static const char *const work_names[] = {"forward", "gradient", "gradcam", "training"};
#define WORKS (sizeof work_names / sizeof *work_names)

typedef struct bench {
    const char *model_path, *input_path;
    cs_run_options options;
    int rounds;
    bench_work work;
    bool layers, serve;
    cs_model *model;
    cs_run *run;
    cs_tensor input, seed;
    int64_t *labels;
    cs_cam_options what;
} bench;

/* ------------------------------------------------------------------ rounds --------------- */

/* The gradients of all parameters, behind a forward pass. */
static cs_status train(bench *b, cs_error *err) {
    cs_tensor logits;
    CS_TRY(cs_run_output(b->run, &logits, err));
    CS_TRY(cs_cross_entropy(&logits, b->labels, CS_REDUCTION_MEAN, NULL, &b->seed, err));
    cs_run_zero_parameter_gradients(b->run);
    return cs_run_backward(b->run, &b->seed, err);
}

/* Seconds of one round, or -1. */
static double one_round(bench *b, cs_error *err) {
    const double begin = cs_seconds();
    if (cs_run_forward(b->run, &b->input, err) != CS_OK)
        return -1;
    if (b->work == WORK_GRADIENT && cs_run_backward(b->run, &b->seed, err) != CS_OK)
        return -1;
    if (b->work == WORK_TRAINING && train(b, err) != CS_OK)
        return -1;
    if (b->work == WORK_GRADCAM) {
        const int64_t classes[1] = {CS_CLASS_ARGMAX};
        cs_cam cam = {0};
        if (cs_cam_compute(b->run, b->model, &b->what, classes, &cam, err) != CS_OK)
            return -1;
        cs_cam_free(&cam);
    }
    return cs_seconds() - begin;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Multiply-adds of a step's convolution or linear layer, times two. */
static double step_flops(const bench *b, const cs_step_info *step) {
    const cs_node_info *node = cs_model_node(b->model, step->first_node);
    int64_t out[3], in[3];
    cs_error err;
    if (node->parameters == 0 || strcmp(node->op, "batch_norm") == 0 ||
        cs_model_node_shape(b->model, step->first_node, 0, 0, out, &err) != CS_OK ||
        cs_model_node_shape(b->model, node->input[0], 0, 0, in, &err) != CS_OK)
        return 0;
    const cs_node_attributes *a = &node->attributes;
    const double taps = a->kernel_size[0] ? (double)(a->kernel_size[0] * a->kernel_size[1]) : 1;
    const double groups = a->groups ? (double)a->groups : 1;
    return 2 * (double)(out[0] * out[1] * out[2]) * (double)in[0] / groups * taps *
           (double)b->input.n;
}

static double all_flops(const bench *b) {
    double sum = 0;
    for (int i = 0; i < cs_run_step_count(b->run); i++) {
        const cs_step_info step = cs_run_step(b->run, i);
        sum += step_flops(b, &step);
    }
    return sum;
}

/* Backward operations: the gradients of parameters, and those of inputs. */
static void print_backward(const bench *b, int operations, const double *best) {
    for (int i = 0; i < operations; i++) {
        const cs_backward_info op = cs_run_backward_step(b->run, i);
        const char *last = op.fused[1] ? op.fused[1] : op.fused[0] ? op.fused[0] : op.name;
        printf("{\"backward\": \"%s\", \"to\": \"%s\", \"parameters_ms\": %.4f, "
               "\"inputs_ms\": %.4f}\n",
               op.name ? op.name : "", last ? last : "", best[2 * i] * 1e3, best[2 * i + 1] * 1e3);
    }
}

static void keep_least(double *least, int round, double seconds) {
    if (round == 0 || seconds < *least)
        *least = seconds;
}

/* Best time of every step and operation over some rounds. */
static int print_layers(bench *b, cs_error *err) {
    const int count = cs_run_step_count(b->run), operations = cs_run_backward_count(b->run);
    const int all = count + 2 * operations;
    double *best = calloc((size_t)all, sizeof *best);
    if (!best)
        return 1;
    for (int round = 0; round < b->rounds; round++) {
        if (one_round(b, err) < 0)
            break;
        for (int i = 0; i < count; i++)
            keep_least(best + i, round, cs_run_step(b->run, i).seconds);
        for (int i = 0; i < operations; i++) {
            const cs_backward_info op = cs_run_backward_step(b->run, i);
            keep_least(best + count + 2 * i, round, op.parameters);
            keep_least(best + count + 2 * i + 1, round, op.inputs);
        }
    }
    print_backward(b, operations, best + count);
    for (int i = 0; i < count; i++) {
        const cs_step_info step = cs_run_step(b->run, i);
        const double flops = step_flops(b, &step);
        printf("{\"step\": \"%s\", \"to\": \"%s\", \"milliseconds\": %.4f, \"gflop\": %.4f, "
               "\"gflops\": %.1f}\n",
               step.first, step.last, best[i] * 1e3, flops * 1e-9, flops / best[i] * 1e-9);
    }
    free(best);
    return 0;
}

static int print_rounds(bench *b, cs_error *err) {
    double *took = malloc((size_t)b->rounds * sizeof *took);
    if (!took)
        return 1;
    for (int round = 0; round < b->rounds; round++)
        took[round] = one_round(b, err);
    qsort(took, (size_t)b->rounds, sizeof *took, by_value);
    printf("{\"engine\": \"cnnscope\", \"work\": \"%s\", \"isa\": \"%s\", \"threads\": %d, "
           "\"batch\": %lld, \"rounds\": %d, \"best_ms\": %.3f, \"median_ms\": %.3f, "
           "\"forward_gflop\": %.4f, \"arena_bytes\": %zu, \"packed_bytes\": %zu}\n",
           work_names[b->work], cs_isa_name(cs_run_isa(b->run)), cs_run_threads(b->run),
           (long long)b->input.n, b->rounds, took[0] * 1e3, took[b->rounds / 2] * 1e3,
           all_flops(b) * 1e-9, cs_run_memory_used(b->run).arena,
           cs_run_memory_used(b->run).packed);
    free(took);
    return 0;
}

/* First the output, for the comparison; then one round for each line that comes in. */
static int serve(bench *b, cs_error *err) {
    cs_tensor output;
    char line[64];
    if (one_round(b, err) < 0 || cs_run_output(b->run, &output, err) != CS_OK)
        return 1;
    for (int64_t i = 0; i < cs_tensor_count(&output); i++)
        printf("%.9g ", cs_tensor_at(&output, i / output.c, i % output.c, 0, 0));
    printf("\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        printf("%.9f\n", one_round(b, err));
        fflush(stdout);
    }
    return 0;
}

/* ------------------------------------------------------------------ options -------------- */

static cs_status open_bench(bench *b, cs_error *err) {
    CS_TRY(cs_model_open(b->model_path, NULL, &b->model, err));
    CS_TRY(cs_npy_read(b->input_path, &b->input, err));
    b->options.max_batch = b->input.n;
    b->options.height = b->input.h;
    b->options.width = b->input.w;
    CS_TRY(cs_run_create(b->model, &b->options, &b->run, err));
    if (b->work == WORK_GRADIENT)
        CS_TRY(cs_run_keep_gradient(b->run, "input", err));
    if (b->work == WORK_GRADCAM) {
        CS_CHECK(b->input.n == 1, CS_ERROR_ARGUMENT, "gradcam is timed on one image at a time");
        CS_TRY(cs_cam_watch(b->run, b->model, &b->what, err));
    }
    if (b->work == WORK_TRAINING) {
        cs_run_set_training(b->run, true);
        CS_TRY(cs_run_keep_parameter_gradient(b->run, NULL, err));
    }
    b->labels = calloc((size_t)b->input.n, sizeof *b->labels);
    CS_CHECK(b->labels, CS_ERROR_MEMORY, "not enough memory for the labels");
    for (int64_t n = 0; n < b->input.n; n++)
        b->labels[n] = n % 2;
    CS_TRY(cs_tensor_allocate(&b->seed, CS_F32, b->input.n, cs_model_class_count(b->model), 1, 1,
                              err));
    for (int64_t n = 0; n < b->input.n; n++)
        cs_tensor_set(&b->seed, n, 0, 0, 0, 1);
    return cs_run_prepare(b->run, err);
}

/* Reads one option and its value; returns how many words it took, 0 for an unknown one. */
static int read_option(bench *b, char **word, int left, cs_error *err) {
    const char *value = left > 1 ? word[1] : "";
    if (strcmp(word[0], "--layers") == 0)
        return b->layers = true, 1;
    if (strcmp(word[0], "--serve") == 0)
        return b->serve = true, 1;
    if (strcmp(word[0], "--work") == 0)
        for (size_t i = 0; i < WORKS; i++)
            if (strcmp(value, work_names[i]) == 0)
                return b->work = (bench_work)i, 2;
    if (strcmp(word[0], "--threads") == 0)
        return b->options.threads = atoi(value), 2;
    if (strcmp(word[0], "--rounds") == 0)
        return b->rounds = atoi(value) > 0 ? atoi(value) : 1, 2;
    if (strcmp(word[0], "--isa") == 0)
        return cs_isa_parse(value, &b->options.isa, err) == CS_OK ? 2 : 0;
    if (strcmp(word[0], "--kernel") == 0)
        return cs_kernel_parse(value, &b->options.kernel, err) == CS_OK ? 2 : 0;
    if (strcmp(word[0], "--engine") == 0 && strcmp(value, "gemm") == 0)
        return b->options.engine = CS_ENGINE_GEMM, 2;
    if (strcmp(word[0], "--dtype") == 0 && strcmp(value, "f64") == 0)
        return b->options.dtype = CS_F64, 2;
    return 0;
}

int main(int argc, char **argv) {
    bench b = {.options = CS_RUN_OPTIONS_DEFAULT, .rounds = 30, .what = CS_CAM_OPTIONS_DEFAULT};
    cs_error err = {.text = "usage: see the head of bench/bench_cnnscope.c"};
    const bool peak = argc > 1 && strcmp(argv[1], "peak") == 0;
    int result = 1, took = 1;
    for (int i = peak ? 2 : 3; i < argc && took > 0; i += took)
        took = read_option(&b, argv + i, argc - i, &err);
    if (peak && took > 0)
        return bench_peak(b.options.threads > 0 ? b.options.threads : 1, b.options.isa, b.serve);
    if (argc > 2 && took > 0) {
        b.model_path = argv[1];
        b.input_path = argv[2];
        if (open_bench(&b, &err) == CS_OK && one_round(&b, &err) >= 0)
            result = b.serve ? serve(&b, &err) : print_rounds(&b, &err);
        if (result == 0 && b.layers)
            result = print_layers(&b, &err);
    }
    if (result != 0)
        fprintf(stderr, "bench: %s\n", err.text);
    cs_tensor_release(&b.input);
    cs_tensor_release(&b.seed);
    free(b.labels);
    cs_run_free(b.run);
    cs_model_free(b.model);
    return result;
}
