/* fault_runner.c - see fault_runner.h. */
#include "fault_runner.h"
#include "checkpoint_builder.h"
#include "cli_runner.h"
#include "fault_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TINY "resnet:block=basic,layers=1,width=2"
#define SMALL                                                                                      \
    "resnet:block=basic,layers=1-1,width=4" /* small maps too: each run is a hundredth s */

const fault_command fault_commands[] = {
    {"convert", "convert in/tiny.pth -o made/model", "model.json model.bin", FAULT_FRESH},
    {"convert-force", "convert in/tiny.pth --force -o made/model", "model.json model.bin",
     FAULT_FORCES},
    {"init", "init --arch " TINY " --classes 2 -o made/model", "model.json model.bin", FAULT_FRESH},
    {"info", "info in/net.json --layers --memory --json --threads 1", "", FAULT_FRESH},
    {"verify", "verify in/net.json --threads 1", "", FAULT_FRESH},
    {"predict", "predict in/net.json in/picture.png --json --threads 3", "", FAULT_FRESH},
    {"predict-no-mmap", "predict in/net.json in/picture.png --json --no-mmap --threads 1", "",
     FAULT_FRESH},
    {"explain", "explain in/net.json in/picture.png --threads 1 -o made/out", "out", FAULT_FRESH},
    {"explain-scorecam",
     "explain in/net.json in/picture.png --method scorecam --max-channels 9 --threads 1 -o "
     "made/out",
     "out", FAULT_FRESH},
    {"explain-steps",
     "explain in/net.json in/picture.png --method integrated-gradients --steps 5 --threads 1 -o "
     "made/out",
     "out", FAULT_FRESH},
    {"compare",
     "compare in/net.json in/picture.png --methods gradcam++,scorecam --max-channels 4 "
     "--curve-steps 3 --sanity --masks in/picture.png --threads 1 --quiet -o made/out",
     "out", FAULT_FRESH},
    {"dump", "dump in/net.json in/picture.png --grad --params --threads 1 -o made/out", "out",
     FAULT_FRESH},
    {"diff", "diff in/dump in/dump", "", FAULT_FRESH},
    {"trace",
     "trace in/net.json in/picture.png --node layer1.0.relu_1 --at 0,1,2,3 --grad --threads 1", "",
     FAULT_FRESH},
    {"trace-parameter",
     "trace in/net.json in/picture.png --parameter conv1.weight --at 1,2,0,3 --threads 1", "",
     FAULT_FRESH},
    {"audit", "audit in/net.json in/picture.png --threads 1 -o made/out", "out", FAULT_FRESH},
    {"diagnose",
     "diagnose in/net.json in/images --roi in/picture.png --figures --quiet --threads 1 "
     "-o made/out",
     "out", FAULT_RESUMES},
    {"diagnose-resume",
     "diagnose in/net.json in/images --roi in/picture.png --figures --quiet --threads 1 --resume "
     "-o made/out",
     "out", FAULT_TAKES_UP},
};
const int fault_command_count = sizeof fault_commands / sizeof fault_commands[0];

enum { SECONDS = 10, TREE_SIZE = FAULT_TREE_SIZE, IMAGES = 3 };

static char folder[4096], program[4096], shim[4096];
static fault_result result;
static char learned_out[sizeof result.out], learned_tree[TREE_SIZE], old_tree[TREE_SIZE],
    input_tree[TREE_SIZE], begun_tree[TREE_SIZE];

const char *fault_folder(void) { return folder; }

static bool resumes(const fault_command *command) { return command->habit >= FAULT_RESUMES; }

bool fault_shim_works(void) {
    ck_assert_ptr_nonnull(realpath(cli_program(), program));
    snprintf(shim, sizeof shim, "%s", cli_built("fault_shim.so"));
    char *resolved = realpath(shim, NULL);
    if (!resolved) {
        fprintf(stderr, "skipped: %s was not built (it does not go with a sanitizer)\n", shim);
        return false;
    }
    snprintf(shim, sizeof shim, "%s", resolved);
    free(resolved);
    return true;
}

/* ------------------------------------------------------------------ folder --------------- */

static int remove_below(const char *path, const struct stat *info, int type, struct FTW *walk) {
    (void)info;
    (void)type;
    return walk->level == 0 ? 0 : remove(path);
}

static const char *in_folder(const char *name) { return test_path(folder, name); }

static void read_made(char out[TREE_SIZE]) { fault_tree_read(in_folder("made"), out); }

static void copy_file(const char *from, const char *to) {
    size_t size = 0;
    char *data = test_file_get(from, &size);
    test_file_put(to, data, size);
    free(data);
}

/* begun/: what a disk that is full behind the first image leaves of the command "diagnose". */
static void make_begun(void) {
    const fault_command *command = fault_commands;
    while (strcmp(command->name, "diagnose") != 0)
        command++;
    for (int at = 1; at < 9; at++) {
        char fault[32];
        snprintf(fault, sizeof fault, "write:%d:errno=%d", at, ENOSPC);
        fault_run(command, fault);
        if (cli_shell("cd %s/made && test -s out.partial-*/records/records.bin && "
                      "mv out.partial-* ../begun/out.partial-1",
                      folder) == 0)
            break;
    }
    fault_tree_read(in_folder("begun"), begun_tree);
    ck_assert_ptr_nonnull(strstr(begun_tree, "out.partial-1/records/records.bin"));
}

void fault_setup(void) {
    /* Check's handlers end the whole group; a child has them until it runs the program. */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    snprintf(folder, sizeof folder, "%s", test_temp_dir());
    ck_assert_int_eq(mkdir(in_folder("in"), 0700), 0);
    ck_assert_int_eq(mkdir(in_folder("made"), 0700), 0);
    ck_assert_int_eq(mkdir(in_folder("old"), 0700), 0);
    cli_draw(in_folder("in/picture.png"), 24, 1);
    ck_assert_int_eq(
        cli_run("init --arch " SMALL " --size 32 --classes 3 --seed 5 -o %s/in/net", folder).code,
        0);
    ck_assert_int_eq(cli_shell("mv %s %s/in/tiny.pth", built_tiny_file(in_folder("in")), folder),
                     0);
    ck_assert_int_eq(
        cli_run("init --arch " TINY " --classes 3 --seed 7 -o %s/old/model", folder).code, 0);
    ck_assert_int_eq(cli_run("dump %s/in/net.json %s/in/picture.png --nodes relu,fc --grad -q -o "
                             "%s/in/dump",
                             folder, folder, folder)
                         .code,
                     0);
    ck_assert_int_eq(
        cli_run("dump %s/in/net.json %s/in/picture.png -q -o %s/in/gates", folder, folder, folder)
            .code,
        0);
    ck_assert_int_eq(cli_shell("rm -r %s/in/gates/activations", folder), 0);
    ck_assert_int_eq(mkdir(in_folder("in/images"), 0700), 0);
    for (int i = 0; i < IMAGES; i++) {
        char name[32];
        snprintf(name, sizeof name, "in/images/%d.png", i);
        cli_draw(in_folder(name), 24, 1 + i);
    }
    fault_tree_read(in_folder("old"), old_tree);
    fault_tree_read(in_folder("in"), input_tree);
    ck_assert_int_eq(mkdir(in_folder("begun"), 0700), 0);
    if (shim[0])
        make_begun();
}

void fault_require_inputs(void) {
    char now[TREE_SIZE];
    fault_tree_read(in_folder("in"), now);
    ck_assert_msg(strcmp(now, input_tree) == 0, "inputs were changed:\n%s", now);
}

static void prepare_made(const fault_command *command) {
    ck_assert_int_eq(nftw(in_folder("made"), remove_below, 16, FTW_DEPTH | FTW_PHYS), 0);
    if (command->habit == FAULT_TAKES_UP)
        ck_assert_int_eq(cli_shell("cp -r %s/begun/. %s/made", folder, folder), 0);
    if (command->habit != FAULT_FORCES)
        return;
    copy_file(in_folder("old/model.json"), in_folder("made/model.json"));
    copy_file(in_folder("old/model.bin"), in_folder("made/model.bin"));
}

/* ------------------------------------------------------------------ running -------------- */

/* The child: into the folder, streams to files, ten seconds, the shim. */
static void exec_program(const fault_command *command, const char *fault) {
    char words[1024], *arguments[64];
    int count = 0;
    arguments[count++] = program;
    snprintf(words, sizeof words, "%s", command->words);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        arguments[count++] = word;
    arguments[count] = NULL;
    if (chdir(folder) != 0)
        _exit(126);
    int out = open("out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open("err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    alarm(SECONDS);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("LD_PRELOAD", shim, 1);
    setenv("CNNSCOPE_FAULT_REPORT", "report.txt", 1);
    unsetenv("CNNSCOPE_FAULT");
    if (fault)
        setenv("CNNSCOPE_FAULT", fault, 1);
    execv(program, arguments);
    _exit(127);
}

static void read_start(const char *name, char *out, size_t size) {
    int fd = open(in_folder(name), O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, out, size - 1);
    out[got > 0 ? got : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

long fault_calls(const char *class_name) {
    char text[8192], key[32];
    read_start("report.txt", text, sizeof text);
    snprintf(key, sizeof key, "%s ", class_name);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, key, strlen(key)) == 0)
            return strtol(line + strlen(key), NULL, 10);
    return -1;
}

static pid_t start(const fault_command *command, const char *fault) {
    unlink(in_folder("report.txt"));
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        exec_program(command, fault);
    return child;
}

static const fault_result *finish(pid_t child) {
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result.live = fault_calls("live");
    read_start("out.txt", result.out, sizeof result.out);
    read_start("err.txt", result.err, sizeof result.err);
    return &result;
}

const fault_result *fault_run(const fault_command *command, const char *fault) {
    prepare_made(command);
    return finish(start(command, fault));
}

const fault_result *fault_run_and_signal(const fault_command *command, int signal_number,
                                         long microseconds) {
    prepare_made(command);
    pid_t child = start(command, NULL);
    usleep((useconds_t)microseconds);
    kill(child, signal_number);
    return finish(child);
}

/* ------------------------------------------------------------------ judging -------------- */

static void describe(const fault_command *command, const char *fault, char out[8192]) {
    char made[TREE_SIZE], report[2048];
    read_made(made);
    read_start("report.txt", report, sizeof report);
    snprintf(out, 8192,
             "CNNSCOPE_FAULT=%s cnnscope %s\nexit code %d, signal %d\n%.500s\nmade/:%.2000s\n%s",
             fault ? fault : "", command->words, result.code, result.signal, result.err, made,
             report);
}

/* The command's first word, as messages name it. */
static bool explains_itself(const fault_command *command) {
    char start_of_line[64];
    int length = (int)strcspn(command->words, " ");
    snprintf(start_of_line, sizeof start_of_line, "cnnscope %.*s: ", length, command->words);
    const char *line = strstr(result.err, start_of_line);
    return line && strlen(line) > strlen(start_of_line) + 8 && strchr(line, '\n');
}

void fault_learn(const fault_command *command) {
    fault_run(command, NULL);
    ck_assert_msg(result.code == 0 && result.live == 0, "%s: exit code %d, %ld blocks left\n%s",
                  command->words, result.code, result.live, result.err);
    memcpy(learned_out, result.out, sizeof learned_out);
    read_made(learned_tree);
}

bool fault_printed_the_same(void) { return strcmp(result.out, learned_out) == 0; }

/* Nothing in made/, or the old pair where there was one. */
static bool nothing_made(const fault_command *command) {
    char made[TREE_SIZE];
    read_made(made);
    return strcmp(made, " -\n") == 0 ||
           (command->habit == FAULT_FORCES && strcmp(made, old_tree) == 0) ||
           (command->habit == FAULT_TAKES_UP && strcmp(made, begun_tree) == 0);
}

/* A complete output whose report could not be printed, or a complete folder that could not be given
 * its name: that is said, and where it is. */
static bool complete_but(const fault_command *command) {
    char made[TREE_SIZE];
    read_made(made);
    if (strstr(result.err, "the results are complete in made/out.partial-"))
        return strncmp(made, " -\nout.partial-", 15) == 0;
    return (strstr(command->outputs, "model.bin") || resumes(command)) &&
           strstr(result.err, "standard output") && strcmp(made, learned_tree) == 0;
}

/* A picture that could be read for the diagnosis and not for the report, which says so. */
static bool report_misses_picture(void) {
    const char *path = in_folder("made/out/report.html");
    size_t size = 0;
    if (access(path, F_OK) != 0)
        return false;
    char *page = test_file_get(path, &size);
    const bool misses = strstr(page, "The picture can no longer be read.") != NULL;
    free(page);
    return misses;
}

/* A system font that cannot be read is passed over, and then a figure's text looks different. */
static void drop_figures(char tree[TREE_SIZE]) {
    fault_tree_drop(tree, "-figure.png ");
    fault_tree_drop(tree, "out/figures/");
}

static bool made_all(const char *fault) {
    char made[TREE_SIZE], truth[TREE_SIZE];
    read_made(made);
    memcpy(truth, learned_tree, sizeof truth);
    if (fault && strncmp(fault, "alloc", 5) != 0 && report_misses_picture()) {
        fault_tree_drop(made, "report.html ");
        fault_tree_drop(truth, "report.html ");
    }
    if (fault && strncmp(fault, "alloc", 5) != 0) {
        drop_figures(made);
        drop_figures(truth);
    }
    return strcmp(made, truth) == 0;
}

/* Lines of made/out/predictions.csv, and how many of them are those of an image that is right. */
static int prediction_lines(int *right) {
    size_t size = 0;
    char *data = test_file_get(in_folder("made/out/predictions.csv"), &size);
    int lines = 0;
    *right = 0;
    for (const char *line = data; (size_t)(line - data) < size; line += strcspn(line, "\n") + 1) {
        const char *status = strstr(line, ",ok,");
        lines++;
        *right += status && status < line + strcspn(line, "\n");
    }
    free(data);
    return lines;
}

/* All files, and a row of each image, of which some are of images that could not be read. */
static bool complete_with_bad_images(const fault_command *command) {
    static const char *const files[] = {"report.html",    "predictions.csv", "diagnosis.csv",
                                        "diagnosis.json", "cams.npy",        "manifest.json"};
    char made[TREE_SIZE], name[64];
    int right = 0;
    read_made(made);
    if (!resumes(command) || result.code != 3 || !strstr(made, "\nout -\n"))
        return false;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(name, sizeof name, "\nout/%s ", files[i]);
        if (!strstr(made, name))
            return false;
    }
    return prediction_lines(&right) == 1 + IMAGES && right < IMAGES &&
           !strstr(made, "\nout/records");
}

static void run_again(const fault_command *command);

/* A partial folder with some images, announced, with which --resume goes on to the same files. */
static bool left_to_resume(const fault_command *command) {
    char made[TREE_SIZE];
    read_made(made);
    if (!resumes(command) || !strstr(result.err, "--resume") ||
        strncmp(made, " -\nout.partial-", 15) != 0)
        return false;
    run_again(command);
    read_made(made);
    return strcmp(made, learned_tree) == 0;
}

void fault_judge(const fault_command *command, const char *fault) {
    char text[8192];
    describe(command, fault, text);
    ck_assert_msg(result.signal != SIGALRM, "hung: %s", text);
    ck_assert_msg(result.signal == 0, "crashed: %s", text);
    ck_assert_msg(result.live == 0, "leaked: %s", text);
    if (result.code == 0) {
        ck_assert_msg(made_all(fault), "other files than without a fault: %s", text);
        ck_assert_msg(strcmp(result.out, learned_out) == 0, "other output: %s\n%s", text,
                      result.out);
        return;
    }
    ck_assert_msg(result.code == 3 || result.code == 6, "exit code: %s", text);
    ck_assert_msg(explains_itself(command), "no message: %s", text);
    ck_assert_msg(nothing_made(command) || complete_but(command) ||
                      complete_with_bad_images(command) || left_to_resume(command),
                  "something was left: %s", text);
}

/* Of a pair: all new, all old, or no manifest. */
static bool pair_fits(const char *made) {
    const char *json = strstr(made, "model.json ");
    if (!json)
        return true;
    bool is_new = true, is_old = true;
    const char *files[] = {json, strstr(made, "model.bin ")};
    for (int i = 0; i < 2; i++) {
        char line[256];
        if (!files[i])
            return false;
        snprintf(line, sizeof line, "%.*s", (int)strcspn(files[i], "\n"), files[i]);
        is_new &= fault_tree_has(line, learned_tree);
        is_old &= fault_tree_has(line, old_tree);
    }
    return is_new || is_old;
}

/* The same command once more, over what the ended process left. */
static void run_again(const fault_command *command) {
    const char *option = strstr(command->outputs, "model.bin") ? "--force"
                         : command->habit == FAULT_RESUMES     ? "--resume"
                                                               : "";
    char words[1024], made[TREE_SIZE];
    fault_command again = *command;
    snprintf(words, sizeof words, "%s %s", command->words, option);
    again.words = words;
    read_made(made);
    if (strstr(made, "\nout ")) /* complete: it would be refused */
        return;
    finish(start(&again, NULL));
    ck_assert_msg(result.code == 0, "%s afterwards: %s", words, result.err);
    read_made(made);
    for (const char *line = learned_tree; *line; line += strcspn(line, "\n") + 1) {
        char one[512];
        snprintf(one, sizeof one, "%.*s", (int)strcspn(line, "\n"), line);
        ck_assert_msg(fault_tree_has(one, made), "%s afterwards: no %s", words, one);
    }
}

void fault_judge_ended(const fault_command *command, const char *fault, bool partial_may_stay) {
    char made[TREE_SIZE], rest[TREE_SIZE] = "", text[8192];
    describe(command, fault, text);
    read_made(made);
    for (char *line = strtok(made, "\n"); line; line = strtok(NULL, "\n")) {
        if (strstr(line, ".partial-")) {
            ck_assert_msg(partial_may_stay || (resumes(command) && strstr(result.err, "--resume")),
                          "a partial output was left: %s", text);
            continue;
        }
        fault_tree_add(rest, line);
    }
    if (strcmp(command->outputs, "out") == 0)
        ck_assert_msg(strcmp(rest, " -\n") == 0 || strcmp(rest, learned_tree) == 0,
                      "an incomplete output: %s", text);
    else
        ck_assert_msg(pair_fits(rest), "a mixed pair: %s", text);
    run_again(command);
}
