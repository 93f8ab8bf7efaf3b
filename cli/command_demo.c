/* command_demo.c - cnnscope demo: a network that scores 100 % for a wrong reason, and its twin. */
#include "common.h"
#include "csv_file.h"
#include "embedded.h"
#include "radiograph_set.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int demo_run(int argc, char **argv);

const cli_command cli_command_demo = {
    .name = "demo",
    .summary = "find out a network that scores 100 % for a wrong reason",
    .usage = "DIR",
    .details =
        "Draws images that look like chest radiographs into the new folder DIR: half of them\n"
        "with a faint opacity in a lung. Those also carry a hospital's tag in a corner. One\n"
        "network, which learned on such images, is right on all of them. The demo diagnoses the\n"
        "set, asks the network about the tag on a healthy image and explains that; then it\n"
        "diagnoses the network's twin, which learned with the tag on half of all images, sick or\n"
        "healthy. Each command is printed as it runs. Nothing is downloaded; the last line names\n"
        "the report to open.\n",
    .examples = "  cnnscope demo demo\n",
    .options = NULL,
    .option_count = 0,
    .common = 0,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = demo_run,
};

enum { SIDE = 128, COUNT = 120, FIRST_SEED = 900000001, PAIR_SEED = 910000001 };
/* The longest name that is made below DIR. */
#define ROOM 64

/* DIR/name into `out`, whose length demo_run has checked. */
static char *in(const char *dir, const char *name, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%.*s/%.*s", PATH_MAX - ROOM - 2, dir, ROOM, name);
    return out;
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

static void say(const char *text) { printf("\n%s\n", text); }

/* ------------------------------------------------------------------ what it works on ----- */

static cs_status write_bytes(const char *dir, const char *name, const unsigned char *begin,
                             const unsigned char *end, cs_error *err) {
    char path[PATH_MAX];
    return cs_file_write(in(dir, name, path), begin, (size_t)(end - begin), err);
}

static cs_status write_networks(const char *dir, cs_error *err) {
    CS_TRY(write_bytes(dir, "tag_reader.bin", embedded_tag_bin, embedded_tag_bin_end, err));
    CS_TRY(
        write_bytes(dir, "tag_reader.json", embedded_tag_manifest, embedded_tag_manifest_end, err));
    CS_TRY(write_bytes(dir, "fair_reader.bin", embedded_fair_bin, embedded_fair_bin_end, err));
    return write_bytes(dir, "fair_reader.json", embedded_fair_manifest, embedded_fair_manifest_end,
                       err);
}

/* One body four times: healthy and sick, with the tag and without. */
static cs_status draw_four(const char *dir, cs_error *err) {
    static const char *const names[4] = {"healthy.png", "healthy-tag.png", "sick.png",
                                         "sick-tag.png"};
    for (int i = 0; i < 4; i++) {
        char path[PATH_MAX];
        cs_image image = {0};
        const radiograph what = {PAIR_SEED, i >= 2,
                                 i % 2 ? RADIOGRAPH_CORNER_TAG : RADIOGRAPH_NO_PLANT};
        CS_TRY(radiograph_draw(&what, SIDE, &image, NULL, err));
        const cs_status status = cs_image_write_png(in(dir, names[i], path), &image, err);
        cs_image_free(&image);
        CS_TRY(status);
    }
    return CS_OK;
}

static cs_status draw_sets(const char *dir, cs_error *err) {
    char path[PATH_MAX];
    radiograph_set set = {.count = COUNT,
                          .first_seed = FIRST_SEED,
                          .plant = RADIOGRAPH_CORNER_TAG,
                          .prevalence = 100,
                          .size = SIDE};
    CS_TRY(radiograph_set_write(&set, in(dir, "hospital-a", path), err));
    set.prevalence = 50;
    set.both = true;
    CS_TRY(radiograph_set_write(&set, in(dir, "hospital-b", path), err));
    return draw_four(dir, err);
}

static cs_status prepare(const char *dir, cs_error *err) {
    CS_CHECK(strlen(dir) < PATH_MAX - ROOM, CS_ERROR_ARGUMENT, "the folder's name is too long");
    if (mkdir(dir, 0777) != 0)
        return cs_error_set(err, CS_ERROR_OUTPUT, dir, -1, "%s: cannot make the folder: %s", dir,
                            strerror(errno));
    CS_TRY(write_networks(dir, err));
    return draw_sets(dir, err);
}

/* ------------------------------------------------------------------ what it shows -------- */

/* Share of the rows of predictions.csv whose prediction is the label, in percent. */
static cs_status print_score(const char *dir, const char *diagnosis, cs_error *err) {
    static const char *const label[] = {"label", NULL}, *const predicted[] = {"predicted", NULL};
    char path[PATH_MAX], name[ROOM];
    csv_table table = {0};
    snprintf(name, sizeof name, "%s/predictions.csv", diagnosis);
    CS_TRY(csv_read(in(dir, name, path), &table, err));
    const int64_t a = csv_find(&table, label), b = csv_find(&table, predicted);
    int64_t right = 0;
    for (int64_t i = 1; i < table.rows && a >= 0 && b >= 0; i++)
        right += strcmp(csv_cell(&table, i, a), csv_cell(&table, i, b)) == 0;
    printf("right on %.0f %% of %lld images\n", 100.0 * (double)right / (double)(table.rows - 1),
           (long long)(table.rows - 1));
    csv_free(&table);
    return CS_OK;
}

static int diagnose(const char *dir, const char *model, const char *set, const char *name) {
    char json[PATH_MAX], images[PATH_MAX], masks[PATH_MAX], out[PATH_MAX], part[ROOM];
    cs_error err;
    snprintf(part, sizeof part, "%s/images", set);
    in(dir, part, images);
    snprintf(part, sizeof part, "%s/masks", set);
    in(dir, part, masks);
    char *arguments[] = {"diagnose", in(dir, model, json), images, "--roi", masks,
                         "-o",       in(dir, name, out)};
    const int code = run(&cli_command_diagnose, 7, arguments);
    if (code != 0)
        return code;
    return print_score(dir, name, &err) == CS_OK ? 0 : fail("demo", &err);
}

/* The tag put onto a healthy image, and taken off a sick one. */
static int ask_about_tag(const char *dir) {
    char json[PATH_MAX], healthy[PATH_MAX], tagged[PATH_MAX], sick[PATH_MAX], both[PATH_MAX],
        out[PATH_MAX];
    char *predict[] = {"predict",
                       in(dir, "tag_reader.json", json),
                       in(dir, "healthy.png", healthy),
                       in(dir, "healthy-tag.png", tagged),
                       in(dir, "sick.png", sick),
                       in(dir, "sick-tag.png", both)};
    char *explain[] = {"explain", json, tagged, both, "-o", in(dir, "explained", out)};
    say("The tag alone makes a healthy image sick, and without it a sick one is healthy:");
    const int code = run(&cli_command_predict, 6, predict);
    return code != 0 ? code : run(&cli_command_explain, 6, explain);
}

static int show(const char *dir) {
    say("A network that learned where every sick image carried the hospital's tag:");
    int code = diagnose(dir, "tag_reader.json", "hospital-a", "tag-reader");
    if (code == 0)
        code = ask_about_tag(dir);
    if (code != 0)
        return code;
    say("Its twin learned with the tag on half of all images, sick or healthy. It is right as\n"
        "often as the opacity can be seen, and the same thresholds find nothing:");
    return diagnose(dir, "fair_reader.json", "hospital-b", "fair-reader");
}

static int demo_run(int argc, char **argv) {
    char settings = 0, shown[VISIBLE_SIZE];
    cli_arguments arguments;
    cs_error err;
    int code = cli_parse(&cli_command_demo, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    const char *dir = arguments.items[0];
    if (prepare(dir, &err) != CS_OK)
        return fail("demo", &err);
    printf("drew %d images into %s\n", 2 * COUNT + 4, visible(dir, shown));
    code = show(dir);
    if (code != 0)
        return code;
    printf("\nLook at  %s/explained/healthy-tag/*-figure.png\n"
           "and open %s/tag-reader/report.html\n",
           shown, shown);
    return flush_stdout(&err) == CS_OK ? 0 : fail("demo", &err);
}
