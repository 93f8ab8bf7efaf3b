/* command_info.c - cnnscope info: what a model is made of. */
#include "common.h"
#include "memory_plan.h"
#include "model_counts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct info_settings {
    cli_common common;
    bool layers, memory;
    int64_t batch;
    const char *size, *work;
} info_settings;

#define AT(field) offsetof(info_settings, field)
static const cli_option options[] = {
    {"layers", 'l', CLI_FLAG, AT(layers), NULL, "every node: operation, output, parameters, FLOPs",
     0, 0},
    {"memory", 0, CLI_FLAG, AT(memory), NULL,
     "a run's plan: its steps and what each computes, and every block of memory", 0, 0},
    {"for", 0, CLI_TEXT, AT(work), "WORK",
     "--memory: predict, explain (default: Grad-CAM at the last stage) or gradient (the input's)",
     0, 0},
    {"batch", 0, CLI_INTEGER, AT(batch), "N", "--memory: for so many images (1)", 1, 65536},
    {"size", 0, CLI_TEXT, AT(size), "N|WxH", "--memory: for such an input (the model's)", 0, 0},
};

static int info_run(int argc, char **argv);

const cli_command cli_command_info = {
    .name = "info",
    .summary = "show a model's layers, shapes, parameters and FLOPs",
    .usage = "MODEL.json [--layers] [--memory [--for WORK] [--batch N] [--size N|WxH]] [--json]",
    .details = "FLOPs are those of one forward pass for one image: multiply and add count as two,\n"
               "comparisons and copies as none. Any node or module name of --layers can be given\n"
               "to explain --layer and dump --nodes.\n",
    .examples = "  cnnscope info best_model.json\n"
                "  cnnscope info best_model.json --layers\n"
                "  cnnscope info best_model.json --memory --for gradient --batch 8 --dtype f64\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_THREADS | CLI_ENGINE | CLI_DTYPE | CLI_ISA | CLI_KERNEL | CLI_NO_MMAP |
              CLI_QUIET | CLI_JSON,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = info_run,
};

static void print_text(const cs_model *model, const model_counts *counts) {
    char shown[VISIBLE_SIZE];
    const cs_preprocess *p = cs_model_preprocess(model);
    int64_t golden = 0;
    printf("architecture   %s\n", visible(cs_model_architecture(model), shown));
    printf("classes        %" PRId64 "\n", cs_model_class_count(model));
    for (int64_t i = 0; i < cs_model_class_count(model) && cs_model_class_name(model, i); i++)
        printf("  %4" PRId64 "         %s\n", i, visible(cs_model_class_name(model, i), shown));
    printf("input          %" PRId64 " channels, %" PRId64 " x %" PRId64
           " pixels (width x height)%s\n",
           p->channels, p->width, p->height, p->assumed_size ? ", assumed" : "");
    printf("scaling        value / %g, minus mean", p->divisor);
    for (int64_t i = 0; i < p->channels; i++)
        printf(" %.9g", p->mean[i]);
    printf(", divided by");
    for (int64_t i = 0; i < p->channels; i++)
        printf(" %.9g", p->std[i]);
    printf("%s\n", p->assumed_mean ? ", assumed" : "");
    if (p->assumed_eps)
        printf("eps            of the batch norms: assumed\n");
    printf("parameters     %" PRId64 ", and %" PRId64 " running statistics, in %d tensors\n",
           counts->parameters, counts->statistics, cs_model_tensor_count(model));
    printf("forward        %.3f GFLOP\n", (double)counts->flops / 1e9);
    printf("default layer  %s\n", visible(cs_model_default_layer(model), shown));
    printf("golden logits  %s\n",
           cs_model_golden(model, &golden) ? "yes" : "no: the weights hold NaN or infinity");
    printf("binary         sha256 %s\n", cs_model_binary_sha256(model));
    printf("manifest       sha256 %s\n", cs_model_manifest_sha256(model));
}

static void print_layers(const cs_model *model, const model_counts *counts) {
    char shown[VISIBLE_SIZE], shape[80];
    printf("\n%-26s %-19s %18s %12s %15s\n", "node", "operation", "output (C x H x W)",
           "parameters", "FLOPs");
    for (int i = 0; i < counts->nodes; i++) {
        const node_counts *n = &counts->node[i];
        snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64 " x %" PRId64, n->chw[0], n->chw[1],
                 n->chw[2]);
        printf("%-26s %-19s %18s %12" PRId64 " %15" PRId64 "\n",
               visible(cs_model_node(model, i)->name, shown), cs_model_node(model, i)->op, shape,
               n->parameters, n->flops);
    }
    printf("%-26s %-19s %18s %12" PRId64 " %15" PRId64 "\n", "total", "", "", counts->parameters,
           counts->flops);
}

static cs_status print_json(const cs_model *model, const model_counts *counts, bool layers,
                            const cs_run *run, const memory_question *question, cs_error *err) {
    const cs_preprocess *p = cs_model_preprocess(model);
    int64_t golden = 0;
    json_writer w = {.file = stdout, .pretty = true}, *json = &w;
    put_object(json, NULL);
    put_text(json, "architecture", cs_model_architecture(model));
    put_array(json, "classes");
    for (int64_t i = 0; i < cs_model_class_count(model); i++)
        put_text(json, NULL, cs_model_class_name(model, i));
    put_close(json);
    put_object(json, "input");
    put_integer(json, "channels", p->channels);
    put_integer(json, "height", p->height);
    put_integer(json, "width", p->width);
    put_real(json, "divisor", p->divisor, CS_F64);
    put_row(json, "mean");
    for (int64_t i = 0; i < p->channels; i++)
        put_real(json, NULL, p->mean[i], CS_F64);
    put_close(json);
    put_row(json, "std");
    for (int64_t i = 0; i < p->channels; i++)
        put_real(json, NULL, p->std[i], CS_F64);
    put_close(json);
    put_assumed(json, p->assumed_size, p->assumed_mean, p->assumed_eps);
    put_close(json);
    put_integer(json, "tensors", cs_model_tensor_count(model));
    put_integer(json, "parameters", counts->parameters);
    put_integer(json, "statistics", counts->statistics);
    put_integer(json, "flops", counts->flops);
    put_text(json, "default_layer", cs_model_default_layer(model));
    put_boolean(json, "golden", cs_model_golden(model, &golden) != NULL);
    put_text(json, "binary_sha256", cs_model_binary_sha256(model));
    put_text(json, "manifest_sha256", cs_model_manifest_sha256(model));
    if (run)
        memory_plan_report(json, run, question);
    if (layers)
        model_counts_report(json, model, counts);
    put_close(json);
    return flush_stdout(err);
}

static cs_status info(const char *path, const info_settings *settings, cs_error *err) {
    cs_model *model = NULL;
    cs_run *run = NULL;
    cs_run_options how;
    memory_question question = {.batch = settings->batch};
    model_counts counts = {0};
    cs_status status = read_run_options(&settings->common, &how, err);
    if (status == CS_OK)
        status = memory_question_parse(&question, settings->work, settings->size, err);
    if (status == CS_OK)
        status = open_model(&settings->common, path, &model, err);
    if (status == CS_OK)
        status = model_counts_make(&counts, model, err);
    if (status == CS_OK && settings->memory)
        status = memory_plan_make(model, how, &question, &run, err);
    if (status == CS_OK && settings->common.json) {
        status = print_json(model, &counts, settings->layers, run, &question, err);
    } else if (status == CS_OK) {
        print_text(model, &counts);
        if (settings->memory)
            memory_plan_print(run, &question);
        if (settings->layers)
            print_layers(model, &counts);
        status = flush_stdout(err);
    }
    cs_run_free(run);
    free(question.blocks);
    model_counts_free(&counts);
    cs_model_free(model);
    return status;
}

static int info_run(int argc, char **argv) {
    info_settings settings = {.batch = 1, .work = "explain"};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_info, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    cs_error err;
    return info(arguments.items[0], &settings, &err) == CS_OK ? 0 : fail("info", &err);
}
