/* test_interruptions.c - the program ended from outside, at every system call and at random
 * moments; files that change while they are read; disks that are full; streams that take nothing.
 *
 * `make test` tries a sample, `make test-long` all of them.
 */
#include "cli_runner.h"
#include "fault_runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const fault_command *command_named(const char *name) {
    for (int i = 0; i < fault_command_count; i++)
        if (strcmp(fault_commands[i].name, name) == 0)
            return &fault_commands[i];
    ck_abort_msg("no command %s", name);
    return NULL;
}

static const char *const writers[] = {
    "convert", "convert-force", "init",  "explain",  "explain-scorecam", "compare",
    "dump",    "trace",         "audit", "diagnose", "diagnose-resume"};
#define WRITER_COUNT ((int)(sizeof writers / sizeof writers[0]))

/* Sends a signal at calls of a class: `sample` of them, or all (of the allocations, each tenth). */
static void signal_at_calls(const fault_command *command, const char *class_name, int number,
                            int sample) {
    fault_learn(command);
    const long calls = fault_calls(class_name);
    long step = calls <= sample ? 1 : calls / sample;
    if (test_long())
        step = strcmp(class_name, "alloc") == 0 ? 10 : 1;
    ck_assert_int_gt(calls, 5);
    long ended = 0;
    for (long at = 1; at <= calls; at += step) {
        char fault[64];
        snprintf(fault, sizeof fault, "%s:%ld:signal=%d", class_name, at, number);
        const fault_result *r = fault_run(command, fault);
        if (number == SIGKILL) {
            ck_assert_msg(r->signal == SIGKILL, "%s %s: not killed", command->words, fault);
            fault_judge_ended(command, fault, true);
            ended++;
            continue;
        }
        ck_assert_msg(r->signal == 0 && (r->code == 130 || r->code == 0),
                      "%s %s: exit code %d, signal %d\n%s", command->words, fault, r->code,
                      r->signal, r->err);
        ended += r->code == 130;
        fault_judge_ended(command, fault, false);
    }
    ck_assert_int_gt(ended, 2);
    if (test_long())
        fprintf(stderr, "interruptions: %s: %s: signal %d: %ld of %ld ended\n", command->name,
                class_name, number, ended, (calls + step - 1) / step);
    fault_require_inputs();
}

START_TEST(test_kill_at_each_call) {
    if (!fault_shim_works())
        return;
    fault_setup();
    signal_at_calls(command_named(writers[_i]), "io", SIGKILL, 6);
}
END_TEST

START_TEST(test_interrupt_at_each_call) {
    if (!fault_shim_works())
        return;
    fault_setup();
    signal_at_calls(command_named(writers[_i]), "io", SIGINT, 6);
    signal_at_calls(command_named(writers[_i]), "alloc", SIGTERM, 5);
}
END_TEST

/* From a call on, a signal at every call: the second one ends the process at once, and a line says
 * what becomes of the output. */
START_TEST(test_interrupt_twice) {
    static const char *const names[] = {"explain", "dump", "diagnose", "diagnose-resume"};
    const fault_command *command = command_named(names[_i]);
    const bool resumes = _i >= 2;
    int said = 0, told = 0; /* told: which output, too; there is none yet at first */
    if (!fault_shim_works())
        return;
    fault_setup();
    fault_learn(command);
    const long calls = fault_calls("io"), step = test_long() || calls < 12 ? 1 : calls / 12;
    for (long at = 1; at <= calls; at += step) {
        char fault[64];
        snprintf(fault, sizeof fault, "io+:%ld:signal=%d", at, at % 2 ? SIGINT : SIGTERM);
        const fault_result *r = fault_run(command, fault);
        const bool again = strstr(r->err, "interrupted again: ended at once") != NULL;
        /* The last calls come when the output has its name. */
        ck_assert_msg(r->signal == 0 && (r->code == 130 || (r->code == 0 && at + 3 > calls)),
                      "%s %s: exit code %d, signal %d\n%s", command->words, fault, r->code,
                      r->signal, r->err);
        said += again;
        told += again && strstr(r->err, resumes ? "--resume" : "output was removed") != NULL;
        fault_judge_ended(command, fault, resumes);
    }
    ck_assert_int_gt(said, 2);
    ck_assert_int_gt(told, 0);
    fault_require_inputs();
}
END_TEST

START_TEST(test_signals_at_random_moments) {
    static const char *const names[] = {"convert-force", "explain", "diagnose"};
    const fault_command *command = command_named(names[_i]);
    const int count = test_long() ? 500 : 10;
    int ended[2] = {0, 0};
    if (!fault_shim_works())
        return;
    fault_setup();
    const double start = cs_seconds();
    fault_learn(command);
    const double whole = 1e6 * (cs_seconds() - start);
    cs_random random = {(uint64_t)_i};
    for (int i = 0; i < count; i++) {
        const bool kills = i % 2;
        const long moment = (long)(whole * cs_random_uniform(&random));
        const fault_result *r = fault_run_and_signal(command, kills ? SIGKILL : SIGINT, moment);
        char what[64];
        snprintf(what, sizeof what, "signal %d after %ld us", kills ? SIGKILL : SIGINT, moment);
        /* Before main has installed its handler, SIGINT ends the process as SIGKILL does. */
        ck_assert_msg(r->code == 0 || r->code == 130 || r->signal == SIGINT || r->signal == SIGKILL,
                      "%s: exit code %d, signal %d\n%s", what, r->code, r->signal, r->err);
        ended[kills] += r->code != 0;
        fault_judge_ended(command, what, kills);
    }
    if (test_long())
        fprintf(stderr,
                "interruptions: %s: random moments: %d of %d interrupted, %d of %d killed\n",
                command->name, ended[0], (count + 1) / 2, ended[1], count / 2);
    fault_require_inputs();
}
END_TEST

/* ------------------------------------------------------------------ changing files ------- */

static const struct {
    const char *command, *file, *other; /* what FILE is replaced by: made with these arguments */
} changes[] = {
    {"convert", "in/tiny.pth", "in/net.json"},
    {"predict", "in/net.bin", "old/model.bin"},
    {"predict-no-mmap", "in/net.bin", "old/model.bin"},
    {"predict", "in/net.json", "old/model.json"},
    {"predict", "in/picture.png", "in/other.png"},
    {"explain", "in/net.bin", "old/model.bin"},
    {"dump", "in/net.bin", "old/model.bin"},
    {"trace", "in/net.bin", "old/model.bin"},
    {"audit", "in/net.bin", "old/model.bin"},
    {"diagnose", "in/net.bin", "old/model.bin"},
};
#define CHANGE_COUNT ((int)(sizeof changes / sizeof changes[0]))

static void copy(const char *from, const char *to) {
    ck_assert_int_eq(cli_shell("cd %s && cp %s %s", fault_folder(), from, to), 0);
}

/* Before call `at` of any kind, `file` changes; the result is that of one of the two contents, or a
 * refusal. Returns how it ended. */
static int change_once(int i, const fault_command *command, const char *how, long at) {
    char fault[256], other[64];
    snprintf(other, sizeof other, "%s.other", changes[i].file);
    snprintf(fault, sizeof fault, "io:%ld:%s=%s", at, how, changes[i].file);
    copy(changes[i].other, other);
    const fault_result *r = fault_run(command, fault);
    copy("in/saved", changes[i].file);
    unlink(test_path(fault_folder(), other));
    ck_assert_msg(r->signal == 0, "%s %s: signal %d", command->words, fault, r->signal);
    ck_assert_msg(r->code == 0 || r->code == 3 || r->code == 4, "%s %s: exit code %d\n%s",
                  command->words, fault, r->code, r->err);
    ck_assert_msg(strcmp(command->name, "predict-no-mmap") != 0 || !strstr(r->err, "--no-mmap"),
                  "%s %s: %s", command->words, fault, r->err);
    /* Of two pictures either may be what was read; of two models only one fits its other half. */
    const bool either = strcmp(how, "replace") == 0 && strstr(changes[i].file, "picture");
    ck_assert_msg(r->code != 0 || either || fault_printed_the_same(), "%s %s: other output:\n%s",
                  command->words, fault, r->out);
    if (r->code != 0)
        ck_assert_msg(strstr(r->err, "cnnscope") != NULL, "no message: %s", fault);
    return r->code;
}

START_TEST(test_file_changes_while_it_is_read) {
    static const char *const ways[] = {"truncate", "grow", "replace"};
    const fault_command *command = command_named(changes[_i].command);
    if (!fault_shim_works())
        return;
    fault_setup();
    cli_draw(test_path(fault_folder(), "in/other.png"), 24, 2);
    copy(changes[_i].file, "in/saved");
    fault_learn(command);
    const long calls = fault_calls("io");
    const long step = test_long() || calls < 8 ? 1 : calls / 6;
    int refused = 0, done = 0;
    for (size_t way = 0; way < 3; way++)
        for (long at = 1; at <= calls; at += step) {
            const int code = change_once(_i, command, ways[way], at);
            refused += code != 0;
            done += code == 0;
            fault_judge_ended(command, ways[way], false);
        }
    ck_assert_int_gt(refused, 0);
    if (test_long())
        fprintf(stderr, "interruptions: %s: %s changes: %d refused, %d done\n", command->name,
                changes[_i].file, refused, done);
}
END_TEST

/* A mapped binary whose end is cut off while the program reads it: a line and exit code 3. */
START_TEST(test_mapped_file_becomes_shorter) {
    const fault_command *command = command_named(_i ? "dump" : "predict");
    if (!fault_shim_works())
        return;
    fault_setup();
    fault_learn(command);
    /* Cut to nothing before the mmap call's return is used: the first access meets no page. */
    const char *bin = test_path(fault_folder(), "in/net.bin");
    struct stat info;
    ck_assert_int_eq(stat(bin, &info), 0);
    const fault_result *r = fault_run(command, "mmap:1:truncate=in/net.bin");
    ck_assert_msg(r->code == 3, "exit code %d, signal %d: %s", r->code, r->signal, r->err);
    ck_assert_msg(strstr(r->err, "net.json became shorter") && strstr(r->err, "--no-mmap"), "%s",
                  r->err);
    ck_assert_int_eq(cli_shell("test -z \"$(ls %s/made)\"", fault_folder()), 0);
}
END_TEST

/* ------------------------------------------------------------------ full disks ----------- */

/* In a file system of few pages (a mount of our own, which needs root): nothing partial stays. */
START_TEST(test_disk_full) {
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"convert", "convert in/tiny.pth -o small/model"},
        {"init", "init --arch resnet:block=basic,layers=1,width=8 --classes 2 -o small/model"},
        {"explain", "explain in/net.json in/picture.png -o small/out"},
        {"compare", "compare in/net.json in/picture.png --methods gradcam -q -o small/out"},
        {"dump", "dump in/net.json in/picture.png --grad -o small/out"},
        {"audit", "audit in/net.json in/picture.png --threads 1 -o small/out"},
    };
    fault_setup();
    char *program = realpath(cli_program(), NULL);
    ck_assert_int_eq(mkdir(test_path(fault_folder(), "small"), 0700), 0);
    if (cli_shell("cd %s && unshare -m sh -c 'mount -t tmpfs tmpfs small' 2>/dev/null",
                  fault_folder()) != 0) {
        fprintf(stderr, "skipped: disk full: no mount is possible here\n");
        free(program);
        return;
    }
    for (int pages = 1; pages <= 8; pages++) {
        const int code =
            cli_shell("cd %s && unshare -m sh -c 'mount -t tmpfs -o size=%dk tmpfs small "
                      "&& %s %s >out.txt 2>err.txt; code=$?; ls -A small; "
                      "test $code = 0 -o -z \"$(ls -A small)\" || exit 99; exit $code' "
                      ">list.txt",
                      fault_folder(), 4 * pages, program, cases[_i].words);
        char *err = cli_text(test_path(fault_folder(), "err.txt"));
        ck_assert_msg(code == 6 || code == 0, "%s, %d pages: exit code %d\n%s", cases[_i].name,
                      pages, code, err);
        ck_assert_msg(code == 0 || strstr(err, "No space left"), "%s: %s", cases[_i].name, err);
        ck_assert_msg(code != 0 || pages > 2, "%s fits into %d pages", cases[_i].name, pages);
        free(err);
    }
    const int code = cli_shell("cd %s && unshare -m sh -c 'mount -t tmpfs -o ro tmpfs small && "
                               "%s %s' 2>err.txt >out.txt",
                               fault_folder(), program, cases[_i].words);
    ck_assert_int_eq(code, 6);
    fault_require_inputs();
    free(program);
}
END_TEST

/* A limit on the size of files is an error like a full disk. */
START_TEST(test_file_size_limit) {
    fault_setup();
    char *program = realpath(cli_program(), NULL);
    const int code =
        cli_shell("cd %s && sh -c 'ulimit -f 1; exec %s convert in/tiny.pth -o made/model' "
                  ">out.txt 2>err.txt",
                  fault_folder(), program);
    char *err = cli_text(test_path(fault_folder(), "err.txt"));
    ck_assert_msg(code == 6, "exit code %d: %s", code, err);
    ck_assert_msg(strstr(err, "File too large") != NULL, "%s", err);
    ck_assert_int_eq(cli_shell("test -z \"$(ls -A %s/made)\"", fault_folder()), 0);
    free(err);
    free(program);
}
END_TEST

/* ------------------------------------------------------------------ streams -------------- */

static const char *const talkers[] = {"info", "verify", "predict", "explain",
                                      "dump", "trace",  "audit"};
#define TALKER_COUNT ((int)(sizeof talkers / sizeof talkers[0]))

/* stdout on a full device, closed, and a pipe that nobody reads. */
START_TEST(test_stdout_takes_nothing) {
    static const char *const ways[] = {"%s >/dev/full", "%s >&-",
                                       "(%s; echo $? >code.txt) | sleep 0; exit $(cat code.txt)"};
    const fault_command *command = command_named(talkers[_i]);
    fault_setup();
    char *program = realpath(cli_program(), NULL);
    for (size_t way = 0; way < 3; way++) {
        char line[1024], script[2048];
        snprintf(line, sizeof line, "%s %s 2>err.txt", program, command->words);
        const char *at = strstr(ways[way], "%s");
        snprintf(script, sizeof script, "%.*s%s%s", (int)(at - ways[way]), ways[way], line, at + 2);
        const int code = cli_shell("cd %s && sh -c '%s'", fault_folder(), script);
        char *err = cli_text(test_path(fault_folder(), "err.txt"));
        /* A pipe that is closed ends what writes nothing else, as it does everywhere (141). */
        const bool writes = command->outputs[0] != '\0';
        const bool expected = code == 6 || (way == 2 && (code == 0 || (code == 141 && !writes)));
        ck_assert_msg(expected, "%s: %s: exit code %d\n%s", command->name, ways[way], code, err);
        ck_assert_msg(code != 6 || strstr(err, "standard output"), "%s: %s", command->name, err);
        if (code != 0)
            ck_assert_int_eq(cli_shell("test -z \"$(ls -A %s/made)\"", fault_folder()), 0);
        cli_shell("rm -rf %s/made/*", fault_folder());
        free(err);
    }
    free(program);
}
END_TEST

Suite *suite_interruptions(void);
Suite *suite_interruptions(void) {
    Suite *suite = suite_create("interruptions");
    TCase *tests = tcase_create("interruptions");
    tcase_set_timeout(tests, test_long() ? 1200 : 120);
    tcase_add_loop_test(tests, test_kill_at_each_call, 0, WRITER_COUNT);
    tcase_add_loop_test(tests, test_interrupt_at_each_call, 0, WRITER_COUNT);
    tcase_add_loop_test(tests, test_interrupt_twice, 0, 4);
    tcase_add_loop_test(tests, test_signals_at_random_moments, 0, 3);
    tcase_add_loop_test(tests, test_file_changes_while_it_is_read, 0, CHANGE_COUNT);
    tcase_add_loop_test(tests, test_mapped_file_becomes_shorter, 0, 2);
    tcase_add_loop_test(tests, test_disk_full, 0, 6);
    tcase_add_test(tests, test_file_size_limit);
    tcase_add_loop_test(tests, test_stdout_takes_nothing, 0, TALKER_COUNT);
    suite_add_tcase(suite, tests);
    return suite;
}
