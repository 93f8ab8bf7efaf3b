/* fault_runner.c - see fault_runner.h. */
#include "fault_runner.h"
#include "checkpoint_builder.h"
#include "cli_runner.h"

#include <dirent.h>
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
    {"convert", "convert in/tiny.pth -o made/model", "model.json model.bin", false},
    {"convert-force", "convert in/tiny.pth --force -o made/model", "model.json model.bin", true},
    {"init", "init --arch " TINY " --classes 2 -o made/model", "model.json model.bin", false},
    {"info", "info in/net.json --layers --memory --json --threads 1", "", false},
    {"verify", "verify in/net.json --threads 1", "", false},
    {"predict", "predict in/net.json in/picture.png --json --threads 3", "", false},
    {"predict-no-mmap", "predict in/net.json in/picture.png --json --no-mmap --threads 1", "",
     false},
    {"explain", "explain in/net.json in/picture.png --threads 1 -o made/out", "out", false},
    {"explain-scorecam",
     "explain in/net.json in/picture.png --method scorecam --max-channels 9 --threads 1 -o "
     "made/out",
     "out", false},
    {"explain-steps",
     "explain in/net.json in/picture.png --method integrated-gradients --steps 5 --threads 1 -o "
     "made/out",
     "out", false},
    {"compare",
     "compare in/net.json in/picture.png --methods gradcam++,scorecam --max-channels 4 "
     "--curve-steps 3 --sanity --masks in/picture.png --threads 1 --quiet -o made/out",
     "out", false},
    {"dump", "dump in/net.json in/picture.png --grad --params --threads 1 -o made/out", "out",
     false},
    {"diff", "diff in/dump in/dump", "", false},
    {"trace",
     "trace in/net.json in/picture.png --node layer1.0.relu_1 --at 0,1,2,3 --grad --threads 1", "",
     false},
    {"audit", "audit in/net.json in/picture.png --threads 1 -o made/out", "out", false},
};
const int fault_command_count = sizeof fault_commands / sizeof fault_commands[0];

enum { SECONDS = 10, TREE_SIZE = 1 << 15 };

static char folder[4096], program[4096], shim[4096];
static fault_result result;
static char learned_out[sizeof result.out], learned_tree[TREE_SIZE], old_tree[TREE_SIZE],
    input_tree[TREE_SIZE];

const char *fault_folder(void) { return folder; }

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

/* ------------------------------------------------------------------ trees ---------------- */

/* nftw has no argument to hand on. */
static char *tree_text;
static size_t tree_root;

static int tree_entry(const char *path, const struct stat *info, int type, struct FTW *walk) {
    char hash[CS_SHA256_HEX_SIZE] = "-";
    (void)info;
    (void)walk;
    const char *name = strlen(path) > tree_root ? path + tree_root + 1 : "";
    if (type == FTW_F && strstr(name, "manifest.json") == NULL) {
        size_t size = 0;
        char *data = test_file_get(path, &size);
        cs_sha256_hex(data, size, hash);
        free(data);
    }
    size_t used = strlen(tree_text);
    snprintf(tree_text + used, TREE_SIZE - used, "%s %s\n", name, hash);
    ck_assert_uint_lt(strlen(tree_text), TREE_SIZE - 1);
    return 0;
}

static void add_line(char tree[TREE_SIZE], const char *line) {
    const size_t used = strlen(tree);
    snprintf(tree + used, TREE_SIZE - used, "%s\n", line);
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What lies in a folder as sorted lines "NAME SHA256"; of manifest.json, which has
 * dates and timings, the name. */
static void tree_read(const char *path, char out[TREE_SIZE]) {
    static char text[TREE_SIZE];
    char *lines[512];
    size_t count = 0;
    text[0] = out[0] = '\0';
    tree_text = text;
    tree_root = strlen(path);
    ck_assert_int_eq(nftw(path, tree_entry, 16, FTW_PHYS), 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        ck_assert_uint_lt(count, 512);
        lines[count++] = line;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++)
        add_line(out, lines[i]);
}

static int remove_below(const char *path, const struct stat *info, int type, struct FTW *walk) {
    (void)info;
    (void)type;
    return walk->level == 0 ? 0 : remove(path);
}

static const char *in_folder(const char *name) { return test_path(folder, name); }

static void read_made(char out[TREE_SIZE]) { tree_read(in_folder("made"), out); }

static void copy_file(const char *from, const char *to) {
    size_t size = 0;
    char *data = test_file_get(from, &size);
    test_file_put(to, data, size);
    free(data);
}

/* ------------------------------------------------------------------ folder --------------- */

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
    tree_read(in_folder("old"), old_tree);
    tree_read(in_folder("in"), input_tree);
}

void fault_require_inputs(void) {
    char now[TREE_SIZE];
    tree_read(in_folder("in"), now);
    ck_assert_msg(strcmp(now, input_tree) == 0, "inputs were changed:\n%s", now);
}

static void prepare_made(const fault_command *command) {
    ck_assert_int_eq(nftw(in_folder("made"), remove_below, 16, FTW_DEPTH | FTW_PHYS), 0);
    if (!command->force)
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
    return strcmp(made, " -\n") == 0 || (command->force && strcmp(made, old_tree) == 0);
}

/* A complete pair whose report could not be printed, or a complete folder that could not be given
 * its name: that is said, and where it is. */
static bool complete_but(const fault_command *command) {
    char made[TREE_SIZE];
    read_made(made);
    if (strstr(result.err, "the results are complete in made/out.partial-"))
        return strncmp(made, " -\nout.partial-", 15) == 0;
    return strstr(command->outputs, "model.bin") && strstr(result.err, "standard output") &&
           strcmp(made, learned_tree) == 0;
}

/* Takes the figure's line out of a tree: a system font that cannot be read is passed over, and then
 * the figure's text looks different. */
static void without_figures(char tree[TREE_SIZE]) {
    char *to = tree;
    for (char *line = tree; *line;) {
        const size_t length = strcspn(line, "\n") + 1;
        char *next = line + length;
        const char *figure = strstr(line, "-figure.png");
        if (!figure || figure >= next) {
            memmove(to, line, length);
            to += length;
        }
        line = next;
    }
    *to = '\0';
}

static bool made_all(const char *fault) {
    char made[TREE_SIZE], truth[TREE_SIZE];
    read_made(made);
    memcpy(truth, learned_tree, sizeof truth);
    if (fault && strncmp(fault, "alloc", 5) != 0) {
        without_figures(made);
        without_figures(truth);
    }
    return strcmp(made, truth) == 0;
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
    ck_assert_msg(nothing_made(command) || complete_but(command), "something was left: %s", text);
}

/* Whether a line of a tree is also one of `truth`. */
static bool is_line_of(const char *line, const char *truth) {
    const char *at = strstr(truth, line);
    return at && (at == truth || at[-1] == '\n') && at[strlen(line)] == '\n';
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
        is_new &= is_line_of(line, learned_tree);
        is_old &= is_line_of(line, old_tree);
    }
    return is_new || is_old;
}

/* The same command once more, over what the ended process left. */
static void run_again(const fault_command *command) {
    char words[1024], made[TREE_SIZE];
    fault_command again = *command;
    snprintf(words, sizeof words, "%s%s", command->words,
             strstr(command->outputs, "model.bin") ? " --force" : "");
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
        ck_assert_msg(is_line_of(one, made), "%s afterwards: no %s", words, one);
    }
}

void fault_judge_ended(const fault_command *command, const char *fault, bool partial_may_stay) {
    char made[TREE_SIZE], rest[TREE_SIZE] = "", text[8192];
    describe(command, fault, text);
    read_made(made);
    for (char *line = strtok(made, "\n"); line; line = strtok(NULL, "\n")) {
        if (strstr(line, ".partial-")) {
            ck_assert_msg(partial_may_stay, "a partial output was left: %s", text);
            continue;
        }
        add_line(rest, line);
    }
    if (strcmp(command->outputs, "out") == 0)
        ck_assert_msg(strcmp(rest, " -\n") == 0 || strcmp(rest, learned_tree) == 0,
                      "an incomplete output: %s", text);
    else
        ck_assert_msg(pair_fits(rest), "a mixed pair: %s", text);
    run_again(command);
}
