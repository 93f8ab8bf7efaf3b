/* command_convert.c - cnnscope convert: a PyTorch checkpoint becomes a model. */
#include "cnnscope_convert.h"
#include "common.h"
#include "convert_report.h"
#include "interrupt.h"

#include <stdio.h>
#include <string.h>

typedef struct convert_settings {
    cli_common common;
    const char *output, *classes, *arch, *key, *size, *mean, *std;
    int64_t channels;
    double eps;
    bool strict, force;
} convert_settings;

#define AT(field) offsetof(convert_settings, field)
static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, AT(output), "NAME", "write NAME.json and NAME.bin (required)", 0, 0},
    {"classes", 0, CLI_TEXT, AT(classes), "A,B,...", "names of the classes, in order", 0, 0},
    {"arch", 0, CLI_TEXT, AT(arch), "NAME",
     "the architecture that it must be (default: recognised)", 0, 0},
    {"key", 0, CLI_TEXT, AT(key), "PATH",
     "where the state_dict is in the checkpoint, as in model.0", 0, 0},
    {"size", 0, CLI_TEXT, AT(size), "N|WxH", "input size (default: 224; CIFAR networks 32)", 0, 0},
    {"mean", 0, CLI_TEXT, AT(mean), "A,B,C",
     "mean of each channel, after division by 255 (default: ImageNet's)", 0, 0},
    {"std", 0, CLI_TEXT, AT(std), "A,B,C", "standard deviation of each channel", 0, 0},
    {"channels", 0, CLI_INTEGER, AT(channels), "N", "input channels that the model must have", 1,
     16},
    {"eps", 0, CLI_REAL, AT(eps), "X", "batch norms' epsilon (default: 1e-5)", 0, 0},
    {"strict", 0, CLI_FLAG, AT(strict), NULL,
     "refuse a checkpoint that names code beside its tensors", 0, 0},
    {"force", 'f', CLI_FLAG, AT(force), NULL, "overwrite NAME.json and NAME.bin", 0, 0},
};

static int convert_run(int argc, char **argv);

const cli_command cli_command_convert = {
    .name = "convert",
    .summary = "turn a PyTorch checkpoint into a model, without Python",
    .usage = "CHECKPOINT -o NAME [options]",
    .details =
        "Reads .pth and .pt files (zip), legacy .th and .pth files and .safetensors files that "
        "hold a\n"
        "state_dict, and executes nothing that they contain. The architecture is recognised from\n"
        "names and shapes: ResNet, ResNeXt and Wide ResNet of torchvision, with any number of "
        "classes,\n"
        "and the CIFAR ResNets. What a checkpoint cannot tell (input size, mean, std, eps) is "
        "taken\n"
        "from the architecture's habits, marked as assumed, and can be set here.\n",
    .examples =
        "  cnnscope convert best_model.pth -o best_model --classes NORMAL,PNEUMONIA\n"
        "  cnnscope convert resnet20.th -o resnet20 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_QUIET | CLI_JSON | CLI_TIMINGS,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = convert_run,
};

static cs_status convert(const char *checkpoint, const convert_settings *settings,
                         cs_convert_report *report, cs_error *err) {
    double mean[16], std[16];
    word_list classes = {0};
    cs_status status = CS_OK;
    cs_convert_options how = CS_CONVERT_OPTIONS_DEFAULT;
    how.name = settings->output;
    how.arch = settings->arch;
    how.key = settings->key;
    how.channels = settings->channels;
    how.eps = settings->eps;
    how.strict = settings->strict;
    how.force = settings->force;
    how.stop = interrupt_pending;
    if (settings->size)
        CS_TRY(parse_size(settings->size, &how.width, &how.height, err));
    if (settings->mean) {
        CS_TRY(parse_numbers(settings->mean, mean, 16, &how.mean_count, err));
        how.mean = mean;
    }
    if (settings->std) {
        CS_TRY(parse_numbers(settings->std, std, 16, &how.std_count, err));
        how.std = std;
    }
    if (settings->classes) {
        CS_TRY(word_list_split(&classes, settings->classes, err));
        how.classes = classes.words;
        how.class_count = classes.count;
    }
    status = cs_convert(checkpoint, &how, report, err);
    word_list_free(&classes);
    return status;
}

static int convert_run(int argc, char **argv) {
    convert_settings settings = {0};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_convert, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    const char *checkpoint = arguments.items[0];
    if (!settings.output)
        return cli_usage_error("convert", "no output given: add -o NAME (writes NAME.json and "
                                          "NAME.bin)");
    cs_error err;
    cs_convert_report report;
    interrupt_defer();
    if (convert(checkpoint, &settings, &report, &err) != CS_OK)
        return fail("convert", &err);
    cs_status status = convert_report_print(&report, &settings.common, "convert", checkpoint, &err);
    cs_convert_report_free(&report);
    return status == CS_OK ? 0 : fail("convert", &err);
}
