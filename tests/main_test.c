/* main_test.c - runs the suites of suites.h, all or those named on the command line, as many side
 * by side as there are processors (CNNSCOPE_TEST_JOBS=N: N).
 *
 * With --hostile-table it prints docs/hostile-input.md instead; with --fuzz-seeds FOLDER it
 * writes first inputs for the fuzz targets.
 *
 * Each test runs in a process of its own (Check's default), with a time limit. A suite's line, and
 * whatever it had to say, stand together when it ends (a suite that runs alone is heard as it goes:
 * some take half an hour); Check's summary is the last line.
 */
#include "fuzz_seeds.h"
#include "hostile_table.h"
#include "test_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Weak: a suite can be built and run while another one does not compile (make SRC_tests=...). */
#define SUITE(topic) Suite *suite_##topic(void) __attribute__((weak));
#include "suites.h"
#undef SUITE

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
#define SUITE(topic) {#topic, suite_##topic},
#include "suites.h"
#undef SUITE
};

#define SUITE_COUNT (sizeof suites / sizeof suites[0])

static bool is_wanted(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

/* Every argument must be the name of a suite. */
static bool arguments_are_known(int argc, char **argv) {
    bool all = true;
    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (size_t s = 0; s < SUITE_COUNT; s++)
            known |= strcmp(argv[i], suites[s].name) == 0;
        if (!known)
            fprintf(stderr, "no suite '%s'\n", argv[i]);
        all &= known;
    }
    if (!all) {
        fprintf(stderr, "suites:");
        for (size_t s = 0; s < SUITE_COUNT; s++)
            fprintf(stderr, " %s", suites[s].name);
        fprintf(stderr, "\n");
    }
    return all;
}

/* ------------------------------------------------------------------ side by side --------- */

/* What a suite's process leaves on its pipe. */
typedef struct outcome {
    int checks, failures, errors;
} outcome;

/* A suite that is running or has run. */
typedef struct job {
    pid_t process;
    int pipe;     /* its outcome comes here */
    FILE *output; /* what it and its tests print; NULL: nothing is held back */
    double begun; /* seconds */
} job;

static int jobs_wanted(void) {
    const char *text = getenv("CNNSCOPE_TEST_JOBS");
    const long count = text ? strtol(text, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 16 ? 16 : (int)count;
}

/* The suite's process: runs it, says what failed, hands the numbers over. */
static void run_suite(size_t s, int to) {
    outcome done = {0};
    SRunner *runner = srunner_create(suites[s].make());
    srunner_run_all(runner, CK_SILENT);
    const int failed = srunner_ntests_failed(runner);
    TestResult **results = srunner_failures(runner);
    done.checks = srunner_ntests_run(runner);
    for (int i = 0; i < failed; i++)
        done.errors += tr_rtype(results[i]) == CK_ERROR;
    done.failures = failed - done.errors;
    if (failed > 0)
        srunner_print(runner, CK_NORMAL);
    free(results);
    srunner_free(runner);
    fflush(NULL);
    _exit(write(to, &done, sizeof done) == (ssize_t)sizeof done ? EXIT_SUCCESS : EXIT_FAILURE);
}

static bool job_start(job *j, size_t s, bool alone) {
    int ends[2];
    j->output = alone ? NULL : tmpfile();
    if ((!alone && !j->output) || pipe(ends) != 0)
        return false;
    fflush(NULL);
    j->begun = cs_seconds();
    j->process = fork();
    if (j->process == 0) {
        if (j->output) {
            dup2(fileno(j->output), STDOUT_FILENO);
            dup2(fileno(j->output), STDERR_FILENO);
        }
        close(ends[0]);
        run_suite(s, ends[1]);
    }
    close(ends[1]);
    j->pipe = ends[0];
    return j->process > 0;
}

/* Prints what an ended suite printed and adds its numbers; one that was ended from outside counts
 * as an error. */
static void job_end(job *j, size_t s, outcome *all) {
    outcome done = {0, 0, 1};
    char block[4096];
    if (read(j->pipe, &done, sizeof done) != (ssize_t)sizeof done)
        done = (outcome){1, 0, 1};
    close(j->pipe);
    printf("%-20s %5d checks %7.1f s%s\n", suites[s].name, done.checks, cs_seconds() - j->begun,
           done.failures + done.errors ? "  FAILED" : "");
    if (j->output) {
        rewind(j->output);
        for (size_t got; (got = fread(block, 1, sizeof block, j->output)) > 0;)
            fwrite(block, 1, got, stdout);
        fclose(j->output);
    }
    fflush(stdout);
    all->checks += done.checks;
    all->failures += done.failures;
    all->errors += done.errors;
    j->process = 0;
}

/* Waits until one of the suites ends. */
static void wait_for_one(job jobs[SUITE_COUNT], outcome *all) {
    const pid_t ended = wait(NULL);
    for (size_t s = 0; s < SUITE_COUNT; s++)
        if (ended > 0 && jobs[s].process == ended)
            job_end(&jobs[s], s, all);
}

static int run_all(int argc, char **argv) {
    static job jobs[SUITE_COUNT];
    outcome all = {0};
    int running = 0;
    const int most = jobs_wanted();
    const bool alone = argc == 2;
    for (size_t s = 0; s < SUITE_COUNT; s++) {
        if (!is_wanted(suites[s].name, argc, argv))
            continue;
        if (suites[s].make == NULL || !job_start(&jobs[s], s, alone)) {
            fprintf(stderr, "suite '%s' %s\n", suites[s].name,
                    suites[s].make == NULL ? "was not built" : strerror(errno));
            all.errors++;
            continue;
        }
        if (++running == most) {
            wait_for_one(jobs, &all);
            running--;
        }
    }
    while (running-- > 0)
        wait_for_one(jobs, &all);
    const int failed = all.failures + all.errors;
    const int passed = all.checks > failed ? all.checks - failed : 0;
    printf("%d%%: Checks: %d, Failures: %d, Errors: %d\n",
           all.checks    ? 100 * passed / all.checks
           : failed == 0 ? 100
                         : 0,
           all.checks, all.failures, all.errors);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    bool table = argc == 2 && strcmp(argv[1], "--hostile-table") == 0;
    bool seeds = argc == 3 && strcmp(argv[1], "--fuzz-seeds") == 0;
    if ((table || seeds) && test_temp_start()) {
        int code = table ? hostile_table_main() : fuzz_seeds_main(argv[2]);
        test_temp_finish();
        return code;
    }
    if (!arguments_are_known(argc, argv) || !test_temp_start())
        return EXIT_FAILURE;
    setenv("CK_DEFAULT_TIMEOUT", test_long() ? "600" : "120", 0); /* seconds a test */
    const int code = run_all(argc, argv);
    test_temp_finish();
    return code;
}
