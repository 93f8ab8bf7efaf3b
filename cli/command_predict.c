/* command_predict.c - cnnscope predict: logits and probabilities of images. */
#include "class_choice.h"
#include "common.h"
#include "prediction.h"
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct predict_settings {
    cli_common common;
    int64_t top, repeat;
} predict_settings;

#define AT(field) offsetof(predict_settings, field)
static const cli_option options[] = {
    {"topk", 'k', CLI_INTEGER, AT(top), "K", "print the K likeliest classes (default: 5)", 1,
     1000000},
    {"repeat", 0, CLI_INTEGER, AT(repeat), "N", "run the forward pass N times, for --timings", 1,
     1000000},
};

static int predict_run(int argc, char **argv);

const cli_command cli_command_predict = {
    .name = "predict",
    .summary = "classify images",
    .usage = "MODEL.json IMAGE... [options]",
    .details =
        "An IMAGE is a PNG, JPEG or PNM file, or an .npy of the input tensor itself. One that\n"
        "cannot be read does not stop the rest; the exit code is then 3. With --json, one line\n"
        "an image: image, class, name, logits, probabilities, status (and timings).\n",
    .examples = "  cnnscope predict best_model.json xray.png\n"
                "  cnnscope predict best_model.json *.png --json > predictions.jsonl\n"
                "  cnnscope predict best_model.json xray.png --repeat 20 --timings\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_ALL_COMMON,
    .least_arguments = 2,
    .most_arguments = -1,
    .run = predict_run,
};

typedef struct predict_job {
    const predict_settings *settings;
    cs_model *model;
    cs_run *run;
    cs_dtype dtype;
    double *seconds; /* of each forward pass of the last image, settings->repeat of them */
    int64_t *classes;
} predict_job;

static void print_text(const predict_job *job, const char *image, const prediction *p) {
    char shown[VISIBLE_SIZE], label[CLASS_LABEL_SIZE], digits[32];
    printf("%s\n", visible(image, shown));
    int64_t count = top_classes(&p->logits, 0, job->settings->top, job->classes);
    for (int64_t i = 0; i < count; i++) {
        int64_t c = job->classes[i];
        double logit = cs_tensor_at(&p->logits, 0, c, 0, 0);
        printf("  %-28s probability %.6f   logit %s\n", class_label(job->model, c, label),
               p->probabilities[c], real_digits(logit, p->logits.dtype, digits));
    }
}

/* `p` is NULL where the image could not be read. */
static void print_json(const predict_job *job, const char *image, const prediction *p,
                       cs_status status, const cs_error *err) {
    json_writer w = {.file = stdout};
    put_object(&w, NULL);
    put_text(&w, "image", image);
    put_prediction(&w, p);
    put_text(&w, "status", cs_status_name(status));
    if (status != CS_OK)
        put_text(&w, "message", err->text);
    if (p && job->settings->common.timings) {
        put_object(&w, "timings");
        put_row(&w, "forward_seconds");
        for (int64_t i = 0; i < job->settings->repeat; i++)
            put_real(&w, NULL, job->seconds[i], CS_F64);
        put_close(&w);
        put_close(&w);
    }
    put_close(&w);
}

static int compare_seconds(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_timings(const predict_job *job) {
    int64_t count = job->settings->repeat;
    qsort(job->seconds, (size_t)count, sizeof *job->seconds, compare_seconds);
    fprintf(stderr, "forward: best %.4f s, median %.4f s of %" PRId64 "\n", job->seconds[0],
            job->seconds[count / 2], count);
}

static cs_status forward(predict_job *job, const char *image, prediction *p, cs_error *err) {
    cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
    cs_input input = {0};
    how.dtype = job->dtype;
    CS_TRY(cs_input_load(image, cs_model_preprocess(job->model), &how, &input, err));
    cs_status status = CS_OK;
    for (int64_t i = 0; i < job->settings->repeat && status == CS_OK; i++) {
        double start = cs_seconds();
        status = cs_run_forward(job->run, &input.tensor, err);
        job->seconds[i] = cs_seconds() - start;
    }
    cs_input_free(&input);
    CS_TRY(status);
    CS_TRY(prediction_make(p, job->model, job->run, err));
    return p->status == CS_OK ? CS_OK : prediction_numeric_error(p, image, err);
}

/* One image, from file to print. */
static cs_status predict_image(predict_job *job, const char *image, cs_error *err) {
    prediction p = {0};
    cs_status status = forward(job, image, &p, err);
    bool computed = p.probabilities != NULL;
    if (job->settings->common.json)
        print_json(job, image, computed ? &p : NULL, status, err);
    else if (computed)
        print_text(job, image, &p);
    if (computed && job->settings->common.timings)
        print_timings(job);
    prediction_free(&p);
    return status;
}

/* The status of the first image that failed, whose error was printed; others stop everything. */
static cs_status predict_images(predict_job *job, const cli_arguments *arguments, cs_error *err) {
    cs_status first = CS_OK;
    progress bar;
    progress_begin(&bar, arguments->count - 1, job->settings->common.quiet);
    for (int i = 1; i < arguments->count; i++) {
        cs_status status = predict_image(job, arguments->items[i], err);
        if (status != CS_OK && !is_image_error(status))
            return status;
        progress_clear(&bar);
        if (status != CS_OK)
            print_error("predict", err);
        if (first == CS_OK)
            first = status;
        CS_TRY(flush_stdout(err));
        progress_step(&bar, i);
    }
    progress_clear(&bar);
    return first;
}

static cs_status predict(predict_job *job, const cli_arguments *arguments, cs_error *err) {
    cs_run_options how;
    const cli_common *common = &job->settings->common;
    CS_TRY(read_run_options(common, &how, err));
    double start = cs_seconds();
    CS_TRY(open_model(common, arguments->items[0], &job->model, err));
    double opened = cs_seconds();
    job->dtype = how.dtype;
    job->seconds = calloc((size_t)job->settings->repeat, sizeof *job->seconds);
    job->classes = calloc((size_t)cs_model_class_count(job->model), sizeof *job->classes);
    CS_CHECK(job->seconds && job->classes, CS_ERROR_MEMORY, "out of memory");
    how.few_passes = arguments->count == 2 && job->settings->repeat == 1;
    CS_TRY(cs_run_create(job->model, &how, &job->run, err));
    CS_TRY(cs_run_prepare(job->run, err));
    if (common->timings)
        fprintf(stderr, "load %.4f s, prepare %.4f s, %d threads, %s\n", opened - start,
                cs_seconds() - opened, cs_run_threads(job->run), cs_isa_name(cs_run_isa(job->run)));
    return CS_OK;
}

static int predict_run(int argc, char **argv) {
    predict_settings settings = {.top = 5, .repeat = 1};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_predict, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    cs_error err = {0};
    predict_job job = {.settings = &settings};
    cs_status status = predict(&job, &arguments, &err);
    if (status == CS_OK) {
        status = predict_images(&job, &arguments, &err);
        if (!is_image_error(status) && status != CS_OK)
            print_error("predict", &err);
    } else {
        print_error("predict", &err);
    }
    cs_run_free(job.run);
    cs_model_free(job.model);
    free(job.seconds);
    free(job.classes);
    return cs_status_exit_code(status);
}
