/* fault_runner.h - runs the program in a folder of its own with something going wrong at a chosen
 * moment (tests/faults/fault_shim.c), and judges what is left behind.
 *
 * The folder has in/ (tiny.pth, net.json + net.bin, picture.png, a folder of images: never to be
 * changed) and made/, where the outputs go.
 */
#ifndef FAULT_RUNNER_H
#define FAULT_RUNNER_H

#include "test_support.h"

/* What a command does with outputs that are there, and which it may leave. */
typedef enum fault_habit {
    FAULT_FRESH,   /* it starts from nothing and leaves all or nothing */
    FAULT_FORCES,  /* an older pair made/model.json + made/model.bin is there, and replaced */
    FAULT_RESUMES, /* it may leave made/out.partial-* for --resume, and an image that cannot be read
                      is a row of a complete output */
    FAULT_TAKES_UP /* the same, and such a folder with an image is there: it must not be lost */
} fault_habit;

/* A command line to try faults on. */
typedef struct fault_command {
    const char *name;
    const char *words;   /* arguments; paths relative to the folder */
    const char *outputs; /* what a good run leaves in made/: names with a space between */
    fault_habit habit;
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

/* Empties made/ (and puts there what the habit asks for), runs the command with a fault (NULL:
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
 * code 0 with all that fault_learn saw, or 3 or 6 with a line that says why and nothing made. Of a
 * command that resumes also: what is left goes on with --resume to all that fault_learn saw, or, at
 * exit code 3, all files are there and a row says which image could not be read. */
void fault_judge(const fault_command *command, const char *fault);

/* Fails the test unless made/ is as it may be after the process was ended from outside: each output
 * is complete, the old one, or absent; beside them only what has "partial" in its name, and that
 * only where `partial_may_stay` or the program said that --resume goes on with it. Then runs the
 * command again (forced, or with --resume, where it knows that), which must work. */
void fault_judge_ended(const fault_command *command, const char *fault, bool partial_may_stay);

/* Fails the test unless in/ is as it was made. */
void fault_require_inputs(void);

#endif
