/* command_init.c - cnnscope init: an untrained model from a seed. */
#include "cnnscope_convert.h"
#include "common.h"
#include "convert_report.h"
#include "interrupt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct init_settings {
    cli_common common;
    const char *output, *arch, *classes, *size;
    int64_t seed, channels;
    bool force;
} init_settings;

#define AT(field) offsetof(init_settings, field)
static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, AT(output), "NAME", "write NAME.json and NAME.bin (required)", 0, 0},
    {"arch", 0, CLI_TEXT, AT(arch), "NAME", "the architecture (required)", 0, 0},
    {"classes", 0, CLI_TEXT, AT(classes), "N|A,B,...",
     "number of classes, or their names (required)", 0, 0},
    {"seed", 0, CLI_INTEGER, AT(seed), "S", "the seed (default: 1)", 0, INT64_MAX},
    {"size", 0, CLI_TEXT, AT(size), "N|WxH", "input size (default: 224; CIFAR networks 32)", 0, 0},
    {"channels", 0, CLI_INTEGER, AT(channels), "N", "input channels (default: 3)", 1, 16},
    {"force", 'f', CLI_FLAG, AT(force), NULL, "overwrite NAME.json and NAME.bin", 0, 0},
};

static int init_run(int argc, char **argv);

const cli_command cli_command_init = {
    .name = "init",
    .summary = "make an untrained model from a seed",
    .usage = "--arch NAME --classes N|A,B,... -o NAME [options]",
    .details =
        "Weights are He-uniform from cnnscope's own generator: the same bytes on every machine.\n"
        "Besides the names that convert recognises (resnet18 ... wide_resnet101_2,\n"
        "resnet20_cifar ...), a small relative can be described:\n"
        "  resnet:block=basic,layers=1-1-1-1,width=8       (or block=bottleneck, groups,\n"
        "                                                   width_per_group)\n"
        "  resnet_cifar:depth=20,width=16\n",
    .examples = "  cnnscope init --arch resnet50 --classes 2 --seed 1 -o untrained\n"
                "  cnnscope init --arch resnet:layers=1-1-1-1,width=8 --classes CAT,DOG --size 64 "
                "-o small\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_QUIET | CLI_JSON | CLI_TIMINGS,
    .least_arguments = 0,
    .most_arguments = 0,
    .run = init_run,
};

static cs_status init(const init_settings *settings, cs_convert_report *report, cs_error *err) {
    cs_convert_options how = CS_CONVERT_OPTIONS_DEFAULT;
    word_list classes = {0};
    char *end = NULL;
    how.name = settings->output;
    how.channels = settings->channels;
    how.force = settings->force;
    how.stop = interrupt_pending;
    if (settings->size)
        CS_TRY(parse_size(settings->size, &how.width, &how.height, err));
    errno = 0;
    long long count = strtoll(settings->classes, &end, 10);
    if (*end != '\0' || errno) {
        CS_TRY(word_list_split(&classes, settings->classes, err));
        how.classes = classes.words;
        count = how.class_count = classes.count;
    }
    cs_status status = cs_init(settings->arch, count, (uint64_t)settings->seed, &how, report, err);
    word_list_free(&classes);
    return status;
}

static int init_run(int argc, char **argv) {
    init_settings settings = {.seed = 1};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_init, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    if (!settings.arch || !settings.classes || !settings.output)
        return cli_usage_error("init", "missing %s",
                               !settings.arch      ? "--arch NAME"
                               : !settings.classes ? "--classes N"
                                                   : "-o NAME");
    cs_error err;
    cs_convert_report report;
    interrupt_defer();
    if (init(&settings, &report, &err) != CS_OK)
        return fail("init", &err);
    cs_status status = convert_report_print(&report, &settings.common, "init", settings.arch, &err);
    cs_convert_report_free(&report);
    return status == CS_OK ? 0 : fail("init", &err);
}
