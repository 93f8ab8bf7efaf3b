/* options.h - a small table-driven reader of command lines, and the --help that follows from the
 * same tables. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cnnscope.h"

typedef enum cli_kind {
    CLI_FLAG,    /* bool, set to true */
    CLI_TEXT,    /* const char *, points into argv */
    CLI_INTEGER, /* int64_t, between least and most */
    CLI_REAL,    /* double, finite */
} cli_kind;

/* One option; its value is stored `offset` bytes into the command's settings. */
typedef struct cli_option {
    const char *name; /* without the leading "--" */
    char letter;      /* the short form, or 0 */
    cli_kind kind;
    size_t offset;
    const char *value; /* what --help calls the value */
    const char *help;
    int64_t least, most; /* CLI_INTEGER */
} cli_option;

/* Options that several commands share: the first member of every settings struct. */
typedef struct cli_common {
    int64_t threads; /* 0: one for each CPU */
    const char *engine, *dtype, *isa, *kernel;
    bool no_mmap, quiet, json, timings, help;
} cli_common;

/* Which of them a command takes. */
enum {
    CLI_THREADS = 1 << 0,
    CLI_ENGINE = 1 << 1,
    CLI_DTYPE = 1 << 2,
    CLI_ISA = 1 << 3,
    CLI_KERNEL = 1 << 4,
    CLI_NO_MMAP = 1 << 5,
    CLI_QUIET = 1 << 6,
    CLI_JSON = 1 << 7,
    CLI_TIMINGS = 1 << 8,
    CLI_ALL_COMMON = (1 << 9) - 1,
};

typedef struct cli_command {
    const char *name;
    const char *summary;  /* one line */
    const char *usage;    /* what follows the name */
    const char *details;  /* paragraphs for --help */
    const char *examples; /* lines for --help */
    const cli_option *options;
    size_t option_count;
    unsigned common;
    int least_arguments, most_arguments; /* most: -1 for any number */
    int (*run)(int argc, char **argv);   /* argv[0] is the command's name; gives the exit code */
} cli_command;

/* What is left of the command line: pointers into argv, whose order is kept. */
typedef struct cli_arguments {
    int count;
    char **items;
} cli_arguments;

#define CLI_GO_ON (-1)

/* Reads argv[1..argc) into `settings` (which holds the defaults and begins with a cli_common) and
 * the arguments. Returns CLI_GO_ON, or the exit code: 0 after --help, 2 after a usage error, which
 * is explained on stderr with the nearest name. argv's entries are moved. */
int cli_parse(const cli_command *command, int argc, char **argv, void *settings,
              cli_arguments *arguments);

/* Of `count` names, the one nearest to `word`, or NULL where none is near. `name(list, i)` gives
 * the i-th. */
const char *cli_nearest(const char *word, const char *(*name)(const void *list, size_t i),
                        const void *list, size_t count);

/* Explains a usage error on stderr and returns 2. */
int cli_usage_error(const char *command, const char *format, ...) CS_PRINTF(2, 3);

#endif
