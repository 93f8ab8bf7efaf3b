/* test_faults.c - every allocation and every system call failed in turn, seen from outside: no
 * crash, no hang, no leak, an exit code that is documented, and outputs that are complete or not
 * there.
 *
 * `make test` tries a sample, `make test-long` all of them.
 */
#include "cli_runner.h"
#include "fault_runner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is made to happen to each call of a class. */
typedef struct fault_kind {
    const char *class_name, *action;
    int error;  /* errno, where the action is "errno" */
    int sample; /* calls of a command tried by `make test` */
} fault_kind;

static const fault_kind kinds[] = {
    {"alloc", "errno", ENOMEM, 12}, {"alloc+", "errno", ENOMEM, 6}, {"open", "errno", EACCES, 3},
    {"open", "errno", EMFILE, 1},   {"stat", "errno", EIO, 2},      {"read", "errno", EIO, 2},
    {"read", "errno", EINTR, 2},    {"read", "short", 0, 2},        {"read+", "short", 0, 1},
    {"write", "errno", ENOSPC, 3},  {"write", "errno", EINTR, 1},   {"write", "short", 0, 2},
    {"write+", "errno", EDQUOT, 2}, {"write+", "short", 0, 1},      {"fsync", "errno", EIO, 2},
    {"close", "errno", EIO, 3},     {"rename", "errno", EXDEV, 3},  {"mkdir", "errno", ENOSPC, 2},
    {"unlink", "errno", EACCES, 2}, {"mmap", "errno", ENODEV, 1},   {"thread", "errno", EAGAIN, 2},
    {"flush", "errno", ENOSPC, 1},  {"folder", "errno", EIO, 3},
};
#define KIND_COUNT ((int)(sizeof kinds / sizeof kinds[0]))

/* Tries each call of a kind, or an even sample of them; how many. */
static long try_kind(const fault_command *command, const fault_kind *kind, long calls) {
    long tried = 0;
    long step = calls <= kind->sample ? 1 : calls / kind->sample;
    if (test_long()) /* memory that stays exhausted ends most runs as one lost block does */
        step = strcmp(kind->class_name, "alloc+") == 0 ? 5 : 1;
    /* Not always the same ones of each stride. */
    for (long at = 1 + (step > 1 ? (long)strlen(command->name) % step : 0); at <= calls;
         at += step) {
        char fault[64];
        if (strcmp(kind->action, "errno") == 0)
            snprintf(fault, sizeof fault, "%s:%ld:errno=%d", kind->class_name, at, kind->error);
        else
            snprintf(fault, sizeof fault, "%s:%ld:%s", kind->class_name, at, kind->action);
        const fault_result *result = fault_run(command, fault);
        fault_judge(command, fault);
        /* Where going on is what the call asks for, the result is that of a good run. */
        if (kind->error == EINTR || strcmp(kind->action, "short") == 0)
            ck_assert_msg(result->code == 0, "%s: %s: exit code %d: %s", command->name, fault,
                          result->code, result->err);
        tried++;
    }
    return tried;
}

static long calls_of(const char *class_name) {
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(class_name, "+"), class_name);
    return fault_calls(name);
}

START_TEST(test_each_call_fails_once) {
    const fault_command *command = &fault_commands[_i];
    long calls[KIND_COUNT], tried = 0;
    if (!fault_shim_works())
        return;
    fault_setup();
    fault_learn(command);
    for (int i = 0; i < KIND_COUNT; i++)
        calls[i] = calls_of(kinds[i].class_name);
    ck_assert_int_gt(calls[0], 100); /* the shim sees the program's allocations */
    for (int i = 0; i < KIND_COUNT; i++) {
        long now = try_kind(command, &kinds[i], calls[i]);
        if (test_long())
            fprintf(stderr, "faults: %s: %s %s %d: %ld\n", command->name, kinds[i].class_name,
                    kinds[i].action, kinds[i].error, now);
        tried += now;
    }
    ck_assert_int_gt(tried, 10);
    fault_require_inputs();
}
END_TEST

Suite *suite_faults(void);
Suite *suite_faults(void) {
    Suite *suite = suite_create("faults");
    TCase *tests = tcase_create("faults");
    tcase_set_timeout(tests, test_long() ? 1200 : 120);
    tcase_add_loop_test(tests, test_each_call_fails_once, 0, fault_command_count);
    suite_add_tcase(suite, tests);
    return suite;
}
