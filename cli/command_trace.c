/* command_trace.c - cnnscope trace: every product and partial sum of one number of a run. */
#include "interrupt.h"
#include "manifest_parts.h"
#include "prediction.h"
#include "trace_report.h"
#include "common.h"

#include <stdlib.h>
#include <string.h>

typedef struct trace_settings {
    cli_common common;
    const char *node, *parameter, *at, *class_text, *target;
    bool gradient, all; /* `gradient` also of a parameter */
} trace_settings;

#define AT(field) offsetof(trace_settings, field)
static const cli_option options[] = {
    {"node", 'n', CLI_TEXT, AT(node), "N", "a node or module, as info --layers names it", 0, 0},
    {"parameter", 'p', CLI_TEXT, AT(parameter), "P",
     "or a weight or bias, whose gradient is traced: layer1.0.conv1.weight", 0, 0},
    {"at", 0, CLI_TEXT, AT(at), "n,c,y,x",
     "which number: image (0), channel, row, column; 0,c for vectors; a parameter's indices as "
     "in PyTorch (required)",
     0, 0},
    {"grad", 0, CLI_FLAG, AT(gradient), NULL, "the gradient with respect to it, not its value", 0,
     0},
    {"class", 'c', CLI_TEXT, AT(class_text), "CLASS",
     "whose gradient: argmax (default), a number from 0, or a name", 0, 0},
    {"target", 0, CLI_TEXT, AT(target), "KIND",
     "logit (default), prob, neg-logit, or margin:J (against class J)", 0, 0},
    {"all", 0, CLI_FLAG, AT(all), NULL,
     "print every term (else the first and last eight of long sums)", 0, 0},
};

static int trace_run(int argc, char **argv);

const cli_command cli_command_trace = {
    .name = "trace",
    .summary = "print every product and partial sum of one number",
    .usage = "MODEL.json IMAGE (--node N [--grad] | --parameter P) --at n,c,y,x",
    .details =
        "Prints how one output of a node, or with --grad one entry of the gradient with respect\n"
        "to it, is computed: the formula, then every product and the sum so far, in the order of\n"
        "docs/arithmetic.md. A gradient is the sum of what each node that reads the value\n"
        "contributes. --parameter traces the gradient of one weight or bias. The result is "
        "compared with what the engine computed, which must have the\n"
        "same bits: exit code 0, or 1 where it has not. --json has all terms.\n",
    .examples = "  cnnscope trace best_model.json xray.png --node layer1.0.conv1 --at 0,3,10,10\n"
                "  cnnscope trace best_model.json xray.png --node layer4.0.relu_2 --at 0,7,2,2 "
                "--grad --class 1 --all\n"
                "  cnnscope trace best_model.json xray.png --parameter layer1.0.conv1.weight --at "
                "5,3,0,0\n"
                "  cnnscope trace best_model.json xray.png --node fc --at 0,1 --dtype f64\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_ALL_COMMON & ~(CLI_ENGINE | CLI_QUIET | CLI_TIMINGS),
    .least_arguments = 2,
    .most_arguments = 2,
    .run = trace_run,
};

typedef struct trace_job {
    const trace_settings *settings;
    const char *model_path, *image;
    cs_run_options how;
    cs_model *model;
    cs_run *run;
    cs_input input;
    cs_gates *gates;
    cs_target target;
    int64_t class_index; /* CS_CLASS_ARGMAX until the forward pass */
    int node, tensor;    /* one of them, the other -1 */
    int64_t at[4];       /* of a node n, c, h, w; of a parameter its own indices */
    int64_t shape[4];    /* what they are below */
    int dims;
    trace_scene scene;
    trace lines;
    double value, own; /* as traced, and the run's */
} trace_job;

/* ------------------------------------------------------------------ the place ------------ */

/* `count` numbers as indices below job->shape; false where one is none. */
static bool set_indices(trace_job *job, const double numbers[4], int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (numbers[i] < 0 || numbers[i] >= (double)job->shape[i] ||
            numbers[i] != (double)(int64_t)numbers[i])
            return false;
        job->at[i] = (int64_t)numbers[i];
    }
    return true;
}

static cs_status read_place(trace_job *job, cs_error *err) {
    const char *text = job->settings->at;
    const char *name = cs_model_node(job->model, job->node)->name;
    double numbers[4] = {0};
    int64_t count = 0;
    job->dims = 4;
    job->shape[0] = 1;
    CS_TRY(cs_model_node_shape(job->model, job->node, 0, 0, &job->shape[1], err));
    CS_TRY(parse_numbers(text, numbers, 4, &count, err));
    const bool vector = job->shape[2] == 1 && job->shape[3] == 1;
    CS_CHECK(count == 4 || (count == 2 && vector), CS_ERROR_ARGUMENT, "--at '%s': expected %s",
             text, vector ? "n,c or n,c,y,x" : "n,c,y,x");
    if (!set_indices(job, numbers, count))
        return cs_error_set(err, CS_ERROR_ARGUMENT, name, -1,
                            "--at '%s': %s has 1 image, %lld channels, %lld rows and %lld "
                            "columns; each index is a whole number from 0",
                            text, name, (long long)job->shape[1], (long long)job->shape[2],
                            (long long)job->shape[3]);
    return CS_OK;
}

/* "1,2,3" of `count` numbers. */
static const char *list_of(const int64_t *numbers, int count, char out[96]) {
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(out + used, 96 - used, "%s%lld", i > 0 ? "," : "",
                                 (long long)numbers[i]);
    return out;
}

/* Asks the run for the parameter's gradient, which it refuses where there is none. */
static cs_status find_parameter(trace_job *job, cs_error *err) {
    const char *text = job->settings->at, *name = job->settings->parameter;
    double numbers[4] = {0};
    char shape[96];
    int64_t count = 0;
    CS_TRY(cs_run_keep_parameter_gradient(job->run, name, err));
    for (job->tensor = 0; strcmp(cs_model_tensor(job->model, job->tensor)->name, name) != 0;)
        job->tensor++;
    const cs_tensor_info *info = cs_model_tensor(job->model, job->tensor);
    job->dims = info->dims;
    memcpy(job->shape, info->shape, sizeof job->shape);
    CS_TRY(parse_numbers(text, numbers, 4, &count, err));
    if (count != info->dims || !set_indices(job, numbers, count))
        return cs_error_set(err, CS_ERROR_ARGUMENT, name, -1,
                            "--at '%s': %s has the shape [%s]; each index is a whole number from 0",
                            text, name, list_of(job->shape, job->dims, shape));
    return CS_OK;
}

/* ------------------------------------------------------------------ the run -------------- */

/* What the trace of a parameter reads: at each node that uses it the input, and the gradient of the
 * output. */
static cs_status watch_parameter(trace_job *job, cs_error *err) {
    for (int i = 1; i <= job->scene.seed_node; i++) {
        const cs_node_info *info = cs_model_node(job->model, i);
        if (trace_parameter_slot(&job->scene, i, job->tensor) < 0 || !trace_reaches(&job->scene, i))
            continue;
        CS_TRY(cs_run_keep_gradient(job->run, info->name, err));
        CS_TRY(
            cs_run_keep_activation(job->run, cs_model_node(job->model, info->input[0])->name, err));
    }
    return CS_OK;
}

/* The node, its inputs; for a gradient its consumers and their gradients. */
static cs_status watch_node(trace_job *job, cs_error *err) {
    const cs_model *model = job->model;
    const bool gradient = job->settings->gradient;
    const cs_node_info *info = cs_model_node(model, job->node);
    if (gradient)
        CS_TRY(cs_run_keep_gradient(job->run, info->name, err));
    CS_TRY(cs_run_keep_activation(job->run, info->name, err));
    for (int k = 0; k < info->inputs; k++)
        CS_TRY(cs_run_keep_activation(job->run, cs_model_node(model, info->input[k])->name, err));
    for (int i = job->node + 1; gradient && i <= job->scene.seed_node; i++) {
        const cs_node_info *reader = cs_model_node(model, i);
        for (int k = 0; k < reader->inputs; k++) {
            if (reader->input[k] != job->node || !trace_reaches(&job->scene, i))
                continue;
            CS_TRY(cs_run_keep(job->run, reader->name, err));
        }
    }
    return CS_OK;
}

static cs_status prepare(trace_job *job, cs_error *err) {
    const trace_settings *settings = job->settings;
    cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
    CS_TRY(read_run_options(&settings->common, &job->how, err));
    CS_TRY(open_model(&settings->common, job->model_path, &job->model, err));
    if (settings->node) {
        CS_TRY(cs_model_find_node(job->model, settings->node, &job->node, NULL, 0, err));
        CS_TRY(read_place(job, err));
    }
    CS_TRY(cs_class_parse(job->model, settings->class_text, &job->class_index, err));
    CS_TRY(cs_target_parse(job->model, settings->target, &job->target, err));
    how.dtype = job->how.dtype;
    CS_TRY(cs_input_load(job->image, cs_model_preprocess(job->model), &how, &job->input, err));
    const size_t nodes = (size_t)cs_model_node_count(job->model);
    job->scene.model = job->model;
    job->scene.dtype = job->how.dtype;
    job->scene.seed_node = cs_model_output_node(job->model);
    job->scene.values = calloc(nodes, sizeof *job->scene.values);
    job->scene.gradients = calloc(nodes, sizeof *job->scene.gradients);
    CS_CHECK(job->scene.values && job->scene.gradients, CS_ERROR_MEMORY, "out of memory");
    CS_TRY(trace_find_reached(&job->scene, err));
    CS_TRY(cs_run_create(job->model, &job->how, &job->run, err));
    if (settings->parameter)
        CS_TRY(find_parameter(job, err));
    CS_TRY(settings->parameter ? watch_parameter(job, err) : watch_node(job, err));
    if (settings->gradient)
        cs_run_keep_gates(job->run);
    return cs_run_prepare(job->run, err);
}

/* Views of what was kept; nodes that were not stay without data. */
static void collect(trace_job *job) {
    for (int i = 0; i < cs_model_node_count(job->model); i++) {
        const char *name = cs_model_node(job->model, i)->name;
        cs_tensor view;
        if (cs_run_activation(job->run, name, &view, NULL) == CS_OK)
            job->scene.values[i] = view;
        if (job->settings->gradient && cs_run_gradient(job->run, name, &view, NULL) == CS_OK)
            job->scene.gradients[i] = view;
    }
}

static cs_status check_finite(const trace_job *job, cs_error *err) {
    const char *where = NULL;
    const cs_status status = cs_run_status(job->run, &where);
    if (status == CS_OK)
        return CS_OK;
    return cs_error_set(err, status, where, -1,
                        "%s: NaN or infinity, first in %s; the sums mean nothing", job->image,
                        where ? where : "the network");
}

/* The number, traced, and as the run has it. */
static cs_status trace_it(trace_job *job, cs_error *err) {
    const int64_t *at = job->at;
    cs_tensor own;
    if (job->settings->parameter) {
        CS_TRY(cs_run_parameter_gradient(job->run, job->settings->parameter, &own, err));
        job->own = job->dims == 1 ? cs_tensor_at(&own, 0, at[0], 0, 0)
                                  : cs_tensor_at(&own, at[0], at[1], at[2], at[3]);
        job->value = trace_parameter_gradient(&job->lines, &job->scene, job->tensor, at);
        return CS_OK;
    }
    const trace_place place = {at[0], at[1], at[2], at[3]};
    const bool gradient = job->settings->gradient;
    own = gradient ? job->scene.gradients[job->node] : job->scene.values[job->node];
    job->own = trace_value(&own, place);
    job->value = gradient ? trace_gradient(&job->lines, &job->scene, job->node, place)
                          : trace_forward(&job->lines, &job->scene, job->node, place);
    return CS_OK;
}

static cs_status compute(trace_job *job, cs_error *err) {
    cs_tensor logits, seed = {0};
    CS_TRY(cs_run_forward(job->run, &job->input.tensor, err));
    CS_TRY(cs_run_output(job->run, &logits, err));
    if (job->class_index == CS_CLASS_ARGMAX)
        job->class_index = cs_class_argmax(&logits, 0);
    if (job->settings->gradient) {
        CS_TRY(cs_target_seed(&job->target, &logits, &job->class_index, &seed, err));
        const cs_status status = cs_run_backward(job->run, &seed, err);
        cs_tensor_release(&seed);
        CS_TRY(status);
        CS_TRY(cs_run_gates(job->run, &job->gates, err));
        job->scene.gates = job->gates;
    }
    CS_TRY(check_finite(job, err));
    collect(job);
    CS_TRY(trace_it(job, err));
    CS_CHECK(!job->lines.full, CS_ERROR_MEMORY, "out of memory for the terms of the sum");
    return CS_OK;
}

/* ------------------------------------------------------------------ output --------------- */

static bool is_same(const trace_job *job) {
    return memcmp(&job->value, &job->own, sizeof job->own) == 0;
}

/* What is traced, and what x is in the formula. */
static void print_head(const trace_job *job) {
    const trace_settings *settings = job->settings;
    const cs_node_info *info = job->node < 0 ? NULL : cs_model_node(job->model, job->node);
    char name[VISIBLE_SIZE], label[CLASS_LABEL_SIZE], at[96], shape[96];
    printf("%s%s%s%s%s, at [%s] of [%s], %s\n",
           settings->gradient ? "gradient with respect to " : "",
           visible(info ? info->name : settings->parameter, name), info ? " (" : "",
           info ? info->op : "", info ? ")" : "", list_of(job->at, job->dims, at),
           list_of(job->shape, job->dims, shape), cs_dtype_name(job->how.dtype));
    if (settings->gradient)
        printf("of %s\n", class_label(job->model, job->class_index, label));
    else if (info && info->inputs == 1)
        printf("x is the output of %s\n",
               visible(cs_model_node(job->model, info->input[0])->name, name));
}

static void print_text(const trace_job *job) {
    char value[32], own[32];
    print_head(job);
    print_trace(&job->lines, job->how.dtype, job->settings->all);
    printf("\nresult          %s  (%a)\n", real_digits(job->value, job->how.dtype, value),
           job->value);
    printf("the run's own   %s  (%a): %s\n", real_digits(job->own, job->how.dtype, own), job->own,
           is_same(job) ? "the same bits" : "DIFFERENT");
}

static void put_json(const trace_job *job) {
    const cs_node_info *info = job->node < 0 ? NULL : cs_model_node(job->model, job->node);
    char target[32], hexadecimal[40];
    json_writer w = {.file = stdout, .pretty = true};
    put_object(&w, NULL);
    put_manifest_head(&w, "trace", job->model_path, job->model);
    put_text(&w, "image", job->image);
    put_text(&w, "sha256", job->input.sha256);
    put_text(&w, "node", info ? info->name : NULL);
    put_text(&w, "op", info ? info->op : NULL);
    put_text(&w, "parameter", job->settings->parameter);
    put_row(&w, "at");
    for (int i = 0; i < job->dims; i++)
        put_integer(&w, NULL, job->at[i]);
    put_close(&w);
    put_text(&w, "dtype", cs_dtype_name(job->how.dtype));
    put_boolean(&w, "gradient", job->settings->gradient);
    put_integer(&w, "target_class", job->class_index);
    cs_target_print(&job->target, target);
    put_text(&w, "target", target);
    put_trace(&w, &job->lines, job->how.dtype);
    put_real(&w, "result", job->value, job->how.dtype);
    (void)snprintf(hexadecimal, sizeof hexadecimal, "%a", job->value);
    put_text(&w, "result_hex", hexadecimal);
    put_real(&w, "own", job->own, job->how.dtype);
    put_boolean(&w, "same_bits", is_same(job));
    put_close(&w);
}

static cs_status trace_one(trace_job *job, cs_error *err) {
    CS_TRY(prepare(job, err));
    CS_TRY(compute(job, err));
    if (job->settings->common.json)
        put_json(job);
    else
        print_text(job);
    return flush_stdout(err);
}

static int trace_run(int argc, char **argv) {
    trace_settings settings = {.class_text = "argmax", .target = "logit"};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_trace, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    if (!settings.node == !settings.parameter || !settings.at)
        return cli_usage_error("trace", "which number? give --at n,c,y,x and either --node N or "
                                        "--parameter P");
    settings.gradient = settings.gradient || settings.parameter;
    cs_error err;
    trace_job job = {.settings = &settings,
                     .model_path = arguments.items[0],
                     .image = arguments.items[1],
                     .node = -1,
                     .tensor = -1};
    if (trace_one(&job, &err) != CS_OK)
        code = fail("trace", &err);
    else
        code = is_same(&job) ? 0 : CLI_EXIT_NO;
    trace_free(&job.lines);
    free(job.scene.values);
    free(job.scene.gradients);
    free(job.scene.reached);
    cs_gates_free(job.gates);
    cs_input_free(&job.input);
    cs_run_free(job.run);
    cs_model_free(job.model);
    return code;
}
