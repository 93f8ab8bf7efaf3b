/* command_demo.c - cnnscope demo: everything once, on a picture that it draws itself. */
#include "common.h"
#include "demo_picture.h"
#include "embedded.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct demo_settings {
    cli_common common;
} demo_settings;

static int demo_run(int argc, char **argv);

const cli_command cli_command_demo = {
    .name = "demo",
    .summary = "explain a picture that cnnscope draws itself",
    .usage = "DIR",
    .details =
        "Draws a picture into the new folder DIR and explains it with two untrained networks: the\n"
        "small one that it carries and a ResNet-50 made by init (its 94 MB are removed at the "
        "end).\n"
        "It prints the commands as it runs them. Untrained networks know nothing: the heatmaps\n"
        "show what the results look like, not what is in the picture.\n",
    .examples = "  cnnscope demo demo\n",
    .options = NULL,
    .option_count = 0,
    .common = 0,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = demo_run,
};

/* Writes the example network, which is part of the program, into the folder. */
static cs_status write_example(const char *json, const char *bin, cs_error *err) {
    CS_TRY(cs_file_write(bin, embedded_bin, (size_t)(embedded_bin_end - embedded_bin), err));
    return cs_file_write(json, embedded_manifest,
                         (size_t)(embedded_manifest_end - embedded_manifest), err);
}

/* Prints a command and runs it in this process; its exit code. */
static int run(const cli_command *command, int argc, char **argv) {
    char shown[VISIBLE_SIZE];
    printf("\n$ cnnscope");
    for (int i = 0; i < argc; i++)
        printf(" %s", visible(argv[i], shown));
    printf("\n");
    fflush(stdout);
    return command->run(argc, argv);
}

static cs_status draw(const char *path, cs_error *err) {
    cs_image image = {0};
    CS_TRY(demo_picture_draw(512, 1, &image, err));
    cs_status status = cs_image_write_png(path, &image, err);
    cs_image_free(&image);
    return status;
}

/* DIR/name into `out`, whose length demo_run has checked. */
static char *in(const char *dir, const char *name, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%.*s/%s", PATH_MAX - 64, dir, name);
    return out;
}

static int explain_both(const char *dir, char *picture, char *example) {
    char small[PATH_MAX], name[PATH_MAX], large_json[PATH_MAX], large_bin[PATH_MAX],
        large[PATH_MAX];
    char *explain_small[] = {"explain", example, picture, "-o", in(dir, "small", small)};
    char *init[] = {"init",      "--quiet", "--arch", "resnet50",
                    "--classes", "2",       "-o",     in(dir, "untrained-resnet50", name)};
    char *explain_large[] = {"explain", in(dir, "untrained-resnet50.json", large_json),
                             picture,   "--class",
                             "all",     "--timings",
                             "-o",      in(dir, "resnet50", large)};
    int code = run(&cli_command_explain, 5, explain_small);
    if (code == 0)
        code = run(&cli_command_init, 8, init);
    if (code == 0)
        code = run(&cli_command_explain, 8, explain_large);
    unlink(large_json);
    unlink(in(dir, "untrained-resnet50.bin", large_bin));
    return code;
}

static int demo_run(int argc, char **argv) {
    demo_settings settings = {0};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_demo, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    cs_error err;
    char example[PATH_MAX], bin[PATH_MAX], picture[PATH_MAX], shown[VISIBLE_SIZE];
    const char *dir = arguments.items[0];
    cs_status status = CS_OK;
    if (strlen(dir) >= PATH_MAX - 64)
        status = cs_error_set(&err, CS_ERROR_ARGUMENT, NULL, -1, "the folder's name is too long");
    if (status == CS_OK && mkdir(dir, 0777) != 0)
        status = cs_error_set(&err, CS_ERROR_OUTPUT, dir, -1, "%s: cannot make the folder: %s", dir,
                              strerror(errno));
    if (status == CS_OK)
        status = draw(in(dir, "picture.png", picture), &err);
    if (status == CS_OK)
        status = write_example(in(dir, "small_resnet.json", example),
                               in(dir, "small_resnet.bin", bin), &err);
    if (status != CS_OK)
        return fail("demo", &err);
    printf("drew %s\n", visible(picture, shown));
    code = explain_both(dir, picture, example);
    if (code != 0)
        return code;
    printf("\nLook at the figures: %s/small/picture/*-figure.png\n"
           "                     %s/resnet50/picture/*-figure.png\n"
           "The networks are untrained, so the heatmaps mean nothing; yours will.\n",
           visible(dir, shown), shown);
    return flush_stdout(&err) == CS_OK ? 0 : fail("demo", &err);
}
