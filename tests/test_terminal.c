/* test_terminal.c - Score-CAM, integrated gradients and compare at a terminal: a bar with the time
 * left, wiped away before the results; and Ctrl-C, which ends them with nothing written.
 */
#include "cli_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A pseudo terminal with a command at its other end, and what it has shown. */
typedef struct terminal {
    int master;
    pid_t child;
    size_t size;
    char text[1 << 18];
} terminal;

static terminal screen;
static char *folder, *picture;

static void setup(void) {
    folder = strdup(test_temp_dir());
    picture = strdup(test_path(folder, "picture.png"));
    cli_draw(picture, 40, 1);
}

static void teardown(void) {
    free(folder);
    free(picture);
}

/* The child: the terminal is its standard error and where Ctrl-C comes from. */
static void run_child(const char *name, const char *command) {
    setsid();
    int slave = open(name, O_RDWR), nothing = open("/dev/null", O_RDWR);
    if (slave < 0 || nothing < 0 || ioctl(slave, TIOCSCTTY, 0) != 0 || dup2(nothing, 0) < 0 ||
        dup2(slave, 1) < 0 || dup2(slave, 2) < 0)
        _exit(125);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(126);
}

/* False, with a line on stderr, where this machine has no pseudo terminals. */
static bool start(const char *arguments) {
    static char command[4096];
    screen.size = 0;
    screen.master = posix_openpt(O_RDWR | O_NOCTTY);
    if (screen.master < 0 || grantpt(screen.master) != 0 || unlockpt(screen.master) != 0) {
        fprintf(stderr, "skipped: no pseudo terminals here\n");
        return false;
    }
    snprintf(command, sizeof command, "exec %s %s", cli_program(), arguments);
    screen.child = fork();
    if (screen.child == 0)
        run_child(ptsname(screen.master), command);
    ck_assert_int_gt(screen.child, 0);
    return true;
}

/* Reads until the text is there (NULL: to the end); false at the end. */
static bool read_until(const char *wanted) {
    for (;;) {
        ssize_t n =
            read(screen.master, screen.text + screen.size, sizeof screen.text - 1 - screen.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) /* Linux has EIO for a terminal that everybody has closed */
            return false;
        screen.size += (size_t)n;
        screen.text[screen.size] = '\0';
        ck_assert(screen.size < sizeof screen.text - 1);
        if (wanted && strstr(screen.text, wanted))
            return true;
    }
}

/* The exit code, after the terminal has been read to its end. */
static int finish(void) {
    int status = 0;
    read_until(NULL);
    ck_assert(waitpid(screen.child, &status, 0) == screen.child);
    close(screen.master);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d:\n%s", WTERMSIG(status), screen.text);
    return WEXITSTATUS(status);
}

/* What takes seconds comes last. The network whose 256 channels Score-CAM needs is made for it. */
static const char *const works[] = {
    "explain " EXAMPLE_MODEL " --method integrated-gradients --steps",
    "compare " EXAMPLE_MODEL " --methods integrated-gradients:midpoint --steps",
};
enum { COMPARE = 1, SCORECAM = 2, WORKS = 3 };

static bool begin(int work, int amount) {
    char arguments[2048] = "";
    if (work == SCORECAM) {
        cli_result made =
            cli_run("init --arch resnet:block=bottleneck,layers=1,width=64 --classes 2 "
                    "-q -o %s/wide",
                    folder);
        ck_assert_msg(made.code == 0, "%s", made.err);
        snprintf(arguments, sizeof arguments,
                 "explain %s/wide.json --method scorecam "
                 "--max-channels %d %s -o %s/out",
                 folder, amount, picture, folder);
    } else {
        snprintf(arguments, sizeof arguments, "%s %d %s -o %s/out", works[work], amount, picture,
                 folder);
    }
    /* One thread of the plain kernels: the bar comes after half a second of work. */
    strcat(arguments, " --threads 1 --isa portable --kernel dense");
    return start(arguments);
}

START_TEST(test_ctrl_c) {
    if (!begin(_i, 9000))
        return;
    ck_assert_msg(read_until(" left"), "no bar:\n%s", screen.text);
    ck_assert_int_eq(write(screen.master, "\003", 1), 1);
    int code = finish();
    ck_assert_msg(code == 130, "exit code %d:\n%s", code, screen.text);
    ck_assert_msg(strstr(screen.text, "interrupted; nothing was written") != NULL, "%s",
                  screen.text);
    ck_assert_int_ne(cli_shell("ls -d %s/out* 2>/dev/null", folder), 0);
}
END_TEST

/* The bar is over-written with blanks before the result's line begins. */
START_TEST(test_bar_comes_and_goes) {
    if (!begin(_i, 130))
        return;
    ck_assert_int_eq(finish(), 0);
    if (!strstr(screen.text, "[#")) { /* too fast a machine: more work */
        ck_assert_int_eq(cli_shell("rm -r %s/out", folder), 0);
        ck_assert(begin(_i, _i == SCORECAM ? 256 : 1300));
        ck_assert_int_eq(finish(), 0);
    }
    const char *bar = strstr(screen.text, "[#"), *blank = NULL, *result = NULL;
    ck_assert_msg(bar && strstr(bar, " of ") && strstr(bar, " left"), "no bar:\n%s", screen.text);
    if (_i == COMPARE)
        ck_assert(strstr(screen.text, "\rintegrated-gradients:mid [#") != NULL);
    for (const char *at = bar; (at = strstr(at, "          \r")) != NULL; at++)
        blank = at;
    result = strstr(bar, _i == COMPARE ? "deletion" : "predicted");
    ck_assert_msg(blank && result && blank < result, "the bar stays:\n%s", screen.text);
    ck_assert(strstr(result, "[#") == NULL);
}
END_TEST

Suite *suite_terminal(void);
Suite *suite_terminal(void) {
    Suite *suite = suite_create("terminal");
    TCase *tests = tcase_create("terminal");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_ctrl_c, 0, WORKS);
    tcase_add_loop_test(tests, test_bar_comes_and_goes, 0, WORKS);
    suite_add_tcase(suite, tests);
    return suite;
}
