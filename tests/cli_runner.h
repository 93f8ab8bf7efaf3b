/* cli_runner.h - running the program that was built, for the suites that test it from outside. */
#ifndef CLI_RUNNER_H
#define CLI_RUNNER_H

#include "test_support.h"

/* The network of examples/ and a picture that does not change. */
#define EXAMPLE_MODEL "examples/small_resnet.json"

/* What a program left behind; the texts are static until the next run. */
typedef struct cli_result {
    int code;
    const char *out, *err;
} cli_result;

/* Runs `cnnscope ARGUMENTS` (split by a shell; the working directory is the repository's root). */
cli_result cli_run(const char *format, ...) CS_PRINTF(1, 2);

/* Runs a command of the shell; its exit code. */
int cli_shell(const char *format, ...) CS_PRINTF(1, 2);

/* The path of the program, and of a file in the folder that it was built in. */
const char *cli_program(void);
const char *cli_built(const char *name);

/* Whether a file or folder exists. */
bool cli_exists(const char *format, ...) CS_PRINTF(1, 2);

/* Draws the demo's picture of size x size pixels, of a seed, to a PNG file. */
void cli_draw(const char *path, int size, int seed);

/* A whole file; free() it. */
char *cli_text(const char *path);

/* Fails unless the text is strict JSON. */
void cli_require_json(const char *text, const char *what);

/* Fails unless the two folders hold the same files with the same bytes; manifest.json aside. */
void cli_require_same_folders(const char *a, const char *b);

#endif
