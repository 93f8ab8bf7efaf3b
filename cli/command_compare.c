/* command_compare.c - cnnscope compare: which method is best on this model, and how slow is it. */
#include "compare_job.h"
#include "compare_report.h"
#include "interrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct compare_settings {
    cli_common common;
    const char *output, *methods, *layer, *class_text, *target, *font, *masks, *fill;
    int64_t max_channels, steps, batch, curve_steps, seed;
    bool csv, sanity;
} compare_settings;

#define AT(field) offsetof(compare_settings, field)
static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, AT(output), "DIR", "a new folder for figures, maps and tables", 0, 0},
    {"methods", 'm', CLI_TEXT, AT(methods), "LIST",
     "METHOD or METHOD:VARIANT with commas between them, or all (default: "
     "gradcam,gradcam++,scorecam)",
     0, 0},
    {"layer", 0, CLI_TEXT, AT(layer), "PATH",
     "of the methods that take one (default: the last stage)", 0, 0},
    {"class", 'c', CLI_TEXT, AT(class_text), "CLASS",
     "argmax (default), a number from 0, or a name", 0, 0},
    {"target", 0, CLI_TEXT, AT(target), "KIND",
     "logit (default), prob, neg-logit, or margin:J (against class J)", 0, 0},
    {"masks", 0, CLI_TEXT, AT(masks), "PATH",
     "where the evidence should lie: one mask, or a folder with <image>.png", 0, 0},
    {"sanity", 0, CLI_FLAG, AT(sanity), NULL,
     "also randomise the weights, and explain the next class (slower)", 0, 0},
    {"fill", 0, CLI_TEXT, AT(fill), "KIND",
     "what stands for a pixel taken away: mean (default) or blur", 0, 0},
    {"curve-steps", 0, CLI_INTEGER, AT(curve_steps), "N", "steps of the curves (20)", 1, 100000},
    {"max-channels", 0, CLI_INTEGER, AT(max_channels), "N",
     "scorecam: only the N channels of largest standard deviation", 1, 1 << 20},
    {"steps", 0, CLI_INTEGER, AT(steps), "N", "integrated-gradients: points on the path (50)", 1,
     10000},
    {"batch", 0, CLI_INTEGER, AT(batch), "N", "images a pass; changes no result", 1, 4096},
    {"seed", 0, CLI_INTEGER, AT(seed), "S", "of the control and of random weights (1)", 0,
     INT64_MAX},
    {"csv", 0, CLI_FLAG, AT(csv), NULL, "print a row for each image and method", 0, 0},
    {"font", 0, CLI_TEXT, AT(font), "FILE", "TrueType or OpenType font for the figures", 0, 0},
};

static int compare_run(int argc, char **argv);

const cli_command cli_command_compare = {
    .name = "compare",
    .summary = "compare methods on your model: faithfulness, place, seconds, memory",
    .usage = "MODEL.json IMAGE... [options]",
    .details =
        "Prints a table of methods, means over the images:\n"
        "  deletion    area under the class's probability as the pixels that the map ranks\n"
        "              highest are taken away: low is good\n"
        "  insertion   the same as they are put back: high is good\n"
        "  drop %      probability lost when the image is multiplied by the map; increase %: how\n"
        "              often it rises instead\n"
        "  energy %    share of the map in the mask (--masks); hit %: how often its peak is there\n"
        "  other class, top random, random   (--sanity) rank correlation with the map of the next\n"
        "              class, and of the network with its last layer, and all layers, shuffled:\n"
        "              near 1 means that the map does not depend on them\n"
        "  seconds     an image, forward pass and map; passes: images forward + backward\n"
        "A control, a random map, is measured with them. With -o also DIR/<image>/\n"
        "comparison-figure.png with all methods side by side, the raw maps, comparison.csv and\n"
        "manifest.json. docs/cam-methods.md says what the measures can and cannot tell.\n",
    .examples =
        "  cnnscope compare best_model.json xray.png --max-channels 256 -o out\n"
        "  cnnscope compare best_model.json *.png --methods gradcam,gradcam++:authors,layercam\n"
        "  cnnscope compare best_model.json *.png --methods all --masks lungs/ --sanity --json\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_ALL_COMMON & ~CLI_TIMINGS,
    .least_arguments = 2,
    .most_arguments = -1,
    .run = compare_run,
};

/* The status of the first image that failed, whose error was printed; any other stops the work. */
static cs_status compare_images(compare_job *job, const cli_arguments *arguments, cs_error *err) {
    cs_status first = CS_OK;
    for (int i = 1; i < arguments->count; i++) {
        cs_status status = interrupt_check(err);
        if (status == CS_OK)
            status = compare_one(job, arguments->items[i], err);
        if (status != CS_OK && !is_image_error(status))
            return status;
        if (status != CS_OK)
            print_error("compare", err);
        if (first == CS_OK)
            first = status;
    }
    return first;
}

/* Prints into memory, then into a file of the folder. */
static cs_status write_report(compare_job *job, const char *name,
                              void (*print)(const compare_job *, FILE *), cs_error *err) {
    char path[PATH_MAX], *text = NULL;
    size_t size = 0;
    FILE *file = open_text(&text, &size);
    CS_CHECK(file, CS_ERROR_MEMORY, "out of memory");
    print(job, file);
    cs_status status = close_text(file, err);
    if (status == CS_OK)
        status = output_folder_path(&job->folder, path, err, "%s", name);
    if (status == CS_OK)
        status = cs_file_write(path, text, size, err);
    free(text);
    return status;
}

static void print_stable_csv(const compare_job *job, FILE *file) {
    compare_print_csv(job, false, file);
}

static cs_status report(compare_job *job, const compare_settings *settings, cs_error *err) {
    char shown[VISIBLE_SIZE];
    if (job->folder.partial[0]) {
        CS_TRY(write_report(job, "comparison.csv", print_stable_csv, err));
        CS_TRY(write_report(job, "manifest.json", compare_print_json, err));
    }
    if (job->common->json)
        compare_print_json(job, stdout);
    else if (settings->csv)
        compare_print_csv(job, true, stdout);
    else if (!job->common->quiet || !job->folder.partial[0]) /* results must go somewhere */
        compare_print_table(job, stdout);
    if (job->folder.partial[0] && !job->common->quiet && !job->common->json && !settings->csv)
        printf("\n%s/*/comparison-figure.png\n", visible(job->folder.final, shown));
    CS_TRY(flush_stdout(err));
    CS_TRY(interrupt_check(err));
    return job->folder.partial[0] ? output_folder_finish(&job->folder, err) : CS_OK;
}

/* Prints its errors; returns the exit code. */
static int compare(compare_job *job, const compare_settings *settings,
                   const cli_arguments *arguments) {
    cs_error err = {0};
    interrupt_defer();
    if (settings->output && output_folder_open(&job->folder, settings->output, &err) != CS_OK)
        return fail("compare", &err);
    cs_status status = compare_begin(job, settings->methods, arguments->count - 1, &err);
    cs_status images = CS_OK;
    if (status == CS_OK) {
        images = compare_images(job, arguments, &err);
        status = is_image_error(images) ? CS_OK : images;
    }
    bool any = false;
    for (int64_t i = 0; i < job->image_count; i++)
        any = any || job->images[i].results;
    if (status == CS_OK && !any) {
        fprintf(stderr, "cnnscope compare: no image could be compared\n");
        output_folder_discard(&job->folder);
        return cs_status_exit_code(images);
    }
    if (status == CS_OK)
        status = report(job, settings, &err);
    if (status != CS_OK)
        print_error("compare", &err);
    output_folder_discard(&job->folder);
    return cs_status_exit_code(status != CS_OK ? status : images);
}

static int compare_run(int argc, char **argv) {
    compare_settings settings = {.methods = "gradcam,gradcam++,scorecam",
                                 .class_text = "argmax",
                                 .target = "logit",
                                 .fill = "mean",
                                 .curve_steps = 20,
                                 .seed = 1};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_compare, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    compare_job job = {.common = &settings.common,
                       .model_path = arguments.items[0],
                       .masks = settings.masks,
                       .font_path = settings.font,
                       .class_text = settings.class_text,
                       .target_text = settings.target,
                       .layer = settings.layer,
                       .options = CS_CAM_OPTIONS_DEFAULT,
                       .measures = {.steps = settings.curve_steps},
                       .wants_sanity = settings.sanity,
                       .seed = settings.seed};
    job.options.max_channels = settings.max_channels;
    job.options.steps = settings.steps;
    job.options.batch = settings.batch;
    if (strcmp(settings.fill, "blur") == 0)
        job.measures.fill = CS_FILL_BLUR;
    else if (strcmp(settings.fill, "mean") != 0)
        return cli_usage_error("compare", "unknown fill '%s'; there are mean and blur",
                               settings.fill);
    code = compare(&job, &settings, &arguments);
    compare_free(&job);
    return code;
}
