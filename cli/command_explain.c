/* command_explain.c - cnnscope explain: heatmaps of what spoke for a class. */
#include "explain_job.h"
#include "interrupt.h"
#include "progress.h"

#include <stdio.h>
#include <string.h>

typedef struct explain_settings {
    cli_common common;
    const char *output, *method, *variant, *layer, *class_text, *target, *font;
    int64_t max_channels, steps, batch;
    bool write_signed;
} explain_settings;

#define AT(field) offsetof(explain_settings, field)
static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, AT(output), "DIR", "a new folder for the results (required)", 0, 0},
    {"method", 0, CLI_TEXT, AT(method), "NAME",
     "gradcam (default), gradcam++, scorecam, hirescam, xgradcam, layercam, gradient, "
     "input-x-gradient, integrated-gradients",
     0, 0},
    {"variant", 0, CLI_TEXT, AT(variant), "NAME",
     "of gradcam++: paper (default), authors, pgc, torchcam, monai; of others: docs/cam-methods.md",
     0, 0},
    {"layer", 0, CLI_TEXT, AT(layer), "PATH",
     "as layer3, layer4[-1], layer4.2.conv3 (default: the last stage)", 0, 0},
    {"class", 'c', CLI_TEXT, AT(class_text), "CLASS",
     "argmax (default), a number from 0, a name, all, or topk:N", 0, 0},
    {"target", 0, CLI_TEXT, AT(target), "KIND",
     "logit (default), prob, neg-logit, or margin:J (against class J)", 0, 0},
    {"max-channels", 0, CLI_INTEGER, AT(max_channels), "N",
     "scorecam: only the N channels of largest standard deviation", 1, 1 << 20},
    {"steps", 0, CLI_INTEGER, AT(steps), "N", "integrated-gradients: points on the path (50)", 1,
     10000},
    {"batch", 0, CLI_INTEGER, AT(batch), "N",
     "scorecam, integrated-gradients: images a pass; changes no result", 1, 4096},
    {"signed", 0, CLI_FLAG, AT(write_signed), NULL, "write -signed.npy, the map before the ReLU", 0,
     0},
    {"font", 0, CLI_TEXT, AT(font), "FILE", "TrueType or OpenType font for the figures", 0, 0},
};

static int explain_run(int argc, char **argv);

const cli_command cli_command_explain = {
    .name = "explain",
    .summary = "draw what in an image spoke for a class (Grad-CAM and others)",
    .usage = "MODEL.json IMAGE... -o DIR [options]",
    .details =
        "Writes DIR/<image>/class-<K>-<method>-<layer> with these endings:\n"
        "  .npy           the raw map at the layer's size\n"
        "  -heatmap.npy   scaled to 0..1 and enlarged to the model's input size\n"
        "  -heatmap.png, -overlay.png, -figure.png\n"
        "and DIR/manifest.json. DIR must not exist; it appears when everything is written. An\n"
        "IMAGE is a PNG, JPEG or PNM file, or an .npy of the input tensor itself. One that cannot\n"
        "be read does not stop the rest; the exit code is then 3. A map that is zero everywhere "
        "is\n"
        "reported as empty, with its range before the ReLU. docs/cam-methods.md has the formula "
        "of\n"
        "every method and variant. Score-CAM runs the network once for each channel of the layer,\n"
        "integrated gradients once for each step: minutes and seconds for a large network; Ctrl-C\n"
        "stops them and leaves nothing behind.\n",
    .examples =
        "  cnnscope explain best_model.json xray.png -o out\n"
        "  cnnscope explain best_model.json *.png --class PNEUMONIA --layer layer3 -o out\n"
        "  cnnscope explain best_model.json xray.png --class all --dtype f64 -o out64\n"
        "  cnnscope explain best_model.json xray.png --method gradcam++ --variant authors -o "
        "out\n"
        "  cnnscope explain best_model.json xray.png --method scorecam --max-channels 256 -o "
        "out\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_ALL_COMMON,
    .least_arguments = 2,
    .most_arguments = -1,
    .run = explain_run,
};

/* The status of the first image that failed, whose error was printed; any other stops the work. */
static cs_status explain_images(explain_job *job, const cli_arguments *arguments, cs_error *err) {
    cs_status first = CS_OK;
    progress bar;
    progress_begin(&bar, arguments->count - 1, job->common->quiet);
    for (int i = 1; i < arguments->count; i++) {
        cs_status status = interrupt_check(err);
        if (status == CS_OK)
            status = explain_job_image(job, arguments->items[i], err);
        progress_clear(&bar);
        if (status != CS_OK && !is_image_error(status))
            return status;
        if (status != CS_OK)
            print_error("explain", err);
        if (first == CS_OK)
            first = status;
        progress_step(&bar, i);
    }
    progress_clear(&bar);
    return first;
}

static void print_times(const explain_times *t) {
    fprintf(stderr,
            "load %.4f s, prepare %.4f s, forward %.4f s, backward %.4f s, cam %.4f s, "
            "write %.4f s, total %.4f s\n",
            t->load, t->prepare, t->forward, t->backward, t->cam, t->write, t->total);
}

/* Everything between a refused and a finished folder. Prints its errors; returns the exit code. */
static int explain(explain_job *job, const explain_settings *settings,
                   const cli_arguments *arguments) {
    cs_error err = {0};
    double start = cs_seconds();
    interrupt_defer();
    cs_status status = output_folder_open(&job->folder, settings->output, &err);
    if (status != CS_OK)
        return fail("explain", &err);
    status = explain_job_begin(job, settings->layer, settings->target, &err);
    if (status != CS_OK) {
        print_error("explain", &err);
        goto cleanup;
    }
    cs_status images = explain_images(job, arguments, &err);
    status = images;
    if (images != CS_OK && !is_image_error(images)) {
        print_error("explain", &err);
        goto cleanup;
    }
    if (job->explained == 0) {
        fprintf(stderr, "cnnscope explain: no image could be explained; nothing was written\n");
        goto cleanup;
    }
    if ((status = explain_job_finish(job, &err)) != CS_OK ||
        (status = interrupt_check(&err)) != CS_OK ||
        (status = output_folder_finish(&job->folder, &err)) != CS_OK) {
        print_error("explain", &err);
        goto cleanup;
    }
    status = images;
    job->times.total = cs_seconds() - start;
    if (job->common->timings)
        print_times(&job->times);
cleanup:
    output_folder_discard(&job->folder);
    return cs_status_exit_code(status);
}

/* The method and what belongs to it, checked as far as that goes without a model. */
static cs_status read_method(const explain_settings *settings, explain_job *job, cs_error *err) {
    cs_cam_options *what = &job->what;
    CS_TRY(cs_cam_method_find(settings->method, &job->method, err));
    const cs_cam_method_info *method = job->method;
    CS_TRY(cs_cam_variant_find(method, settings->variant, &what->variant, err));
    what->method = method->name;
    what->max_channels = settings->max_channels;
    what->steps = settings->steps;
    what->batch = settings->batch;
    CS_CHECK(what->max_channels == 0 || method->has_channels, CS_ERROR_ARGUMENT,
             "--max-channels is for scorecam, not for %s", method->name);
    CS_CHECK(what->steps == 0 || method->has_steps, CS_ERROR_ARGUMENT,
             "--steps is for integrated-gradients, not for %s", method->name);
    return CS_OK;
}

static int explain_run(int argc, char **argv) {
    explain_settings settings = {.method = "gradcam", .class_text = "argmax", .target = "logit"};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_explain, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    cs_error err;
    explain_job job = {.common = &settings.common,
                       .model_path = arguments.items[0],
                       .class_text = settings.class_text,
                       .font_path = settings.font,
                       .write_signed = settings.write_signed,
                       .one_image = arguments.count == 2,
                       .what = CS_CAM_OPTIONS_DEFAULT};
    if (!settings.output)
        return cli_usage_error("explain", "no output folder given: add -o DIR");
    if (read_method(&settings, &job, &err) != CS_OK)
        return fail("explain", &err);
    code = explain(&job, &settings, &arguments);
    explain_job_free(&job);
    return code;
}
