/* main.c - cnnscope's command line: picks the subcommand. */
#include "cnnscope_cam.h"
#include "cnnscope_convert.h"
#include "common.h"
#include "interrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cli_command *const commands[] = {
    &cli_command_convert, &cli_command_init,     &cli_command_info,    &cli_command_verify,
    &cli_command_predict, &cli_command_explain,  &cli_command_compare, &cli_command_diagnose,
    &cli_command_dump,    &cli_command_diff,     &cli_command_trace,   &cli_command_audit,
    &cli_command_demo,    &cli_command_selftest,
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(void) {
    printf("cnnscope %s - see why a convolutional network decided as it did\n\n"
           "Usage: cnnscope COMMAND ... | --limits | --version | --help\n\nCommands:\n",
           CNNSCOPE_VERSION);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-8s  %s\n", commands[i]->name, commands[i]->summary);
    printf("\n'cnnscope COMMAND --help' has the options and examples.\n\n"
           "From a PyTorch checkpoint to a heatmap:\n"
           "  cnnscope convert best_model.pth -o best_model --classes NORMAL,PNEUMONIA\n"
           "  cnnscope explain best_model.json xray.png -o out\n\n"
           "Exit codes: 0 done; 1 the answer is no; 2 usage; 3 an input cannot be read or is\n"
           "refused; 4 checkpoint, manifest and model do not fit; 5 NaN or infinity; 6 an output\n"
           "cannot be written, or a limit or memory is exhausted; 130 interrupted.\n");
}

static void print_limit(const char *name, uint64_t value) {
    printf("%-40s %llu\n", name, (unsigned long long)value);
}

static void print_limits(void) {
    const cs_image_limits images = CS_IMAGE_LIMITS_DEFAULT;
    cs_convert_limit limit;
    for (int64_t i = 0; (limit = cs_convert_limit_get(i)).name; i++)
        print_limit(limit.name, limit.value);
    cs_model_limit model;
    for (int64_t i = 0; (model = cs_model_limit_get(i)).name; i++)
        print_limit(model.name, model.value);
    print_limit("bytes of an image file", images.max_file_bytes);
    print_limit("pixels of an image", (uint64_t)images.max_pixels);
    print_limit("width or height of an image", CS_IMAGE_MAX_SIDE);
    print_limit("bytes of memory for decoding an image", (uint64_t)images.max_memory_bytes);
    print_limit("scans of a JPEG", CS_JPEG_MAX_SCANS);
}

static const char *command_name(const void *list, size_t i) {
    (void)list;
    return commands[i]->name;
}

/* OpenBLAS, when it is loaded, starts a thread for each CPU, and they spin while the first image is
 * explained, a fifth of its time. We use one of its threads; it asks before main, so we say it
 * earlier still. (Who has set the variable knows better.) */
static void before_libraries(void) { (void)setenv("OPENBLAS_NUM_THREADS", "1", 0); }
__attribute__((section(".preinit_array"),
               used)) static void (*const run_before_libraries)(void) = before_libraries;

int main(int argc, char **argv) {
    interrupt_install();
    const char *word = argc > 1 ? argv[1] : "--help";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help();
        return argc > 1 ? 0 : cs_status_exit_code(CS_ERROR_ARGUMENT);
    }
    if (strcmp(word, "--version") == 0) {
        printf("cnnscope %s\n", CNNSCOPE_VERSION);
        return 0;
    }
    if (strcmp(word, "--limits") == 0) {
        print_limits();
        return 0;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(word, commands[i]->name) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    const char *near = cli_nearest(word, command_name, NULL, COMMAND_COUNT);
    const char *kind = word[0] == '-' ? "option" : "command";
    if (near)
        return cli_usage_error(NULL, "unknown %s '%s'; did you mean '%s'?", kind, word, near);
    return cli_usage_error(NULL, "unknown %s '%s'", kind, word);
}
