/* fault_runner.h - runs the program in a folder of its own with something going wrong at a chosen
 * moment (tests/faults/fault_shim.c), and judges what is left behind.
 *
 * The folder has in/ (tiny.pth, net.json + net.bin, picture.png: never to be changed) and made/,
 * where the outputs go.
 */
#ifndef FAULT_RUNNER_H
#define FAULT_RUNNER_H

#include "test_support.h"

/* A command line to try faults on. */
typedef struct fault_command {
    const char *name;
    const char *words;   /* arguments; paths relative to the folder */
    const char *outputs; /* what a good run leaves in made/: names with a space between */
    bool force;          /* an older pair made/model.json + made/model.bin is there before */
} fault_command;

extern const fault_command fault_commands[];
extern const int fault_command_count;

/* What a run left behind. */
typedef struct fault_result {
    int code;   /* exit code, or -1 */
    int signal; /* that ended it, or 0; SIGALRM: it hung */
    long live;  /* blocks that main's return left allocated, or -1 where main did not return */
    char out[1 << 16], err[4096]; /* stdout and stderr, cut to size */
} fault_result;

/* Whether the shim can be used here: built (not with a sanitizer), and loaded. */
bool fault_shim_works(void);

/* Prepares the folder once a test; fails the test where it cannot. */
void fault_setup(void);
const char *fault_folder(void); /* its path */

/* Empties made/ (and puts the old pair there for `force`), runs the command with a fault (NULL:
 * none) and collects the result. The program has ten seconds. */
const fault_result *fault_run(const fault_command *command, const char *fault);

/* As fault_run, but the program is sent `signal_number` after `microseconds`. */
const fault_result *fault_run_and_signal(const fault_command *command, int signal_number,
                                         long microseconds);

/* How many calls of a class (or "io") the last run made before main returned. */
long fault_calls(const char *class_name);

/* Runs the command without a fault and keeps what it prints and leaves as the truth. */
void fault_learn(const fault_command *command);

/* Whether the last run printed what fault_learn saw. */
bool fault_printed_the_same(void);

/* Fails the test unless the last run did what is promised: no crash, no hang, no block leaked; exit
 * code 0 with all that fault_learn saw, or 3 or 6 with a line that says why and nothing made. */
void fault_judge(const fault_command *command, const char *fault);

/* Fails the test unless made/ is as it may be after the process was ended from outside: each output
 * is complete, the old one, or absent; beside them only what has "partial" in its name, and that
 * only where `partial_may_stay`. Then runs the command again (after removing the outputs, unless
 * forced), which must work. */
void fault_judge_ended(const fault_command *command, const char *fault, bool partial_may_stay);

/* Fails the test unless in/ is as it was made. */
void fault_require_inputs(void);

#endif
