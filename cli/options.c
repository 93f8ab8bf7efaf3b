#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMON(field) offsetof(cli_common, field)

/* In the order of the CLI_ bits, then --help, which every command has. */
static const cli_option common_options[] = {
    {"threads", 0, CLI_INTEGER, COMMON(threads), "N",
     "threads (default: one for each CPU); changes no result", 1, 1024},
    {"engine", 0, CLI_TEXT, COMMON(engine), "NAME",
     "direct (default): the canonical arithmetic; gemm: im2col + OpenBLAS", 0, 0},
    {"dtype", 0, CLI_TEXT, COMMON(dtype), "TYPE", "f32 (default) or f64", 0, 0},
    {"isa", 0, CLI_TEXT, COMMON(isa), "NAME",
     "auto (default), avx512, avx2, portable or portable-nofma; changes no result", 0, 0},
    {"kernel", 0, CLI_TEXT, COMMON(kernel), "NAME",
     "auto (default), dense or skip: whether zeros are multiplied; changes no result", 0, 0},
    {"no-mmap", 0, CLI_FLAG, COMMON(no_mmap), NULL,
     "read the weights into memory instead of mapping the file", 0, 0},
    {"quiet", 'q', CLI_FLAG, COMMON(quiet), NULL, "say nothing but errors and results", 0, 0},
    {"json", 0, CLI_FLAG, COMMON(json), NULL, "print JSON instead of text", 0, 0},
    {"timings", 0, CLI_FLAG, COMMON(timings), NULL, "print where the time went, on stderr", 0, 0},
    {"help", 'h', CLI_FLAG, COMMON(help), NULL, "this text", 0, 0},
};
#define COMMON_COUNT (sizeof common_options / sizeof common_options[0])

static bool has_common(const cli_command *command, size_t i) {
    return i == COMMON_COUNT - 1 || (command->common >> i & 1u) != 0;
}

int cli_usage_error(const char *command, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "cnnscope%s%s: ", command ? " " : "", command ? command : "");
    vfprintf(stderr, format, list);
    fprintf(stderr, "\nSee 'cnnscope%s%s --help'.\n", command ? " " : "", command ? command : "");
    va_end(list);
    return cs_status_exit_code(CS_ERROR_ARGUMENT);
}

/* Number of insertions, deletions, substitutions and swaps of neighbours between two words. */
static size_t distance(const char *a, const char *b) {
    enum { MOST = 64 };
    size_t rows[3][MOST + 1];
    size_t na = strlen(a), nb = strlen(b);
    if (na > MOST || nb > MOST)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[na % 3][nb];
}

const char *cli_nearest(const char *word, const char *(*name)(const void *list, size_t i),
                        const void *list, size_t count) {
    const char *best = NULL;
    size_t length = strlen(word), least = 1 + length / 3;
    for (size_t i = 0; i < count; i++) {
        const char *candidate = name(list, i);
        if (!candidate)
            continue;
        bool prefix = length >= 2 && strncmp(candidate, word, length) == 0;
        size_t d = prefix ? 0 : distance(word, candidate);
        if (d <= least && (!best || d < least)) {
            best = candidate;
            least = d;
        }
    }
    return best;
}

/* The command's own options, then the common ones; NULL for those that it does not take. */
static const char *option_name(const void *list, size_t i) {
    const cli_command *command = list;
    if (i < command->option_count)
        return command->options[i].name;
    i -= command->option_count;
    return has_common(command, i) ? common_options[i].name : NULL;
}

/* Finds "--name" (of `length` characters) or a letter; NULL where there is none. */
static const cli_option *find_option(const cli_command *command, const char *name, size_t length,
                                     char letter) {
    for (size_t i = 0; i < command->option_count + COMMON_COUNT; i++) {
        if (!option_name(command, i))
            continue;
        const cli_option *o = i < command->option_count
                                  ? &command->options[i]
                                  : &common_options[i - command->option_count];
        if (letter ? o->letter == letter
                   : strlen(o->name) == length && memcmp(o->name, name, length) == 0)
            return o;
    }
    return NULL;
}

static int unknown_option(const cli_command *command, const char *word, size_t length) {
    char name[64] = "";
    if (length < sizeof name)
        memcpy(name, word, length);
    for (size_t i = 0; i < COMMON_COUNT; i++)
        if (strcmp(common_options[i].name, name) == 0)
            return cli_usage_error(command->name, "option '--%s' has no effect on this command",
                                   name);
    const char *near =
        cli_nearest(name, option_name, command, command->option_count + COMMON_COUNT);
    if (near)
        return cli_usage_error(command->name, "unknown option '--%.*s'; did you mean '--%s'?",
                               (int)length, word, near);
    return cli_usage_error(command->name, "unknown option '--%.*s'", (int)length, word);
}

/* Stores a value; NULL text for a flag. */
static int store(const cli_command *command, const cli_option *o, const char *text,
                 void *settings) {
    void *target = (char *)settings + o->offset;
    char *end = NULL;
    errno = 0;
    if (o->kind == CLI_FLAG) {
        *(bool *)target = true;
    } else if (o->kind == CLI_TEXT) {
        *(const char **)target = text;
    } else if (o->kind == CLI_INTEGER) {
        long long value = strtoll(text, &end, 10);
        if (end == text || *end || errno || value < o->least || value > o->most)
            return cli_usage_error(command->name,
                                   "'--%s %s': expected a whole number from %lld to %lld", o->name,
                                   text, (long long)o->least, (long long)o->most);
        *(int64_t *)target = value;
    } else {
        double value = strtod(text, &end);
        if (end == text || *end || !isfinite(value))
            return cli_usage_error(command->name, "'--%s %s': expected a number", o->name, text);
        *(double *)target = value;
    }
    return CLI_GO_ON;
}

/* Reads the option at argv[*at] with its value, and leaves *at on the last word used. */
static int parse_option(const cli_command *command, int argc, char **argv, int *at,
                        void *settings) {
    const char *word = argv[*at], *value = NULL;
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    size_t length = is_long ? strcspn(name, "=") : 1;
    const cli_option *o = find_option(command, name, length, is_long ? 0 : *name);
    if (!o)
        return is_long ? unknown_option(command, name, length)
                       : cli_usage_error(command->name, "unknown option '%s'", word);
    if (name[length])
        value = name + length + (name[length] == '=');
    if (o->kind == CLI_FLAG && value)
        return cli_usage_error(command->name, "'%s': option '--%s' takes no value", word, o->name);
    if (o->kind != CLI_FLAG && !value) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return cli_usage_error(command->name, "option '%s' needs a value (%s)", word, o->value);
        value = argv[++*at];
    }
    return store(command, o, value, settings);
}

static void print_option(const cli_option *o) {
    char left[80];
    snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter ? "-" : "", o->letter ? o->letter : ' ',
             o->letter ? ", " : "   ", o->name, o->value ? " " : "", o->value ? o->value : "");
    if (strlen(left) > 24)
        printf("  %s\n  %-24s  %s\n", left, "", o->help);
    else
        printf("  %-24s  %s\n", left, o->help);
}

static void print_help(const cli_command *command) {
    printf("cnnscope %s - %s\n\nUsage: cnnscope %s %s\n\n%s\n", command->name, command->summary,
           command->name, command->usage, command->details);
    printf("Options:\n");
    for (size_t i = 0; i < command->option_count; i++)
        print_option(&command->options[i]);
    for (size_t i = 0; i < COMMON_COUNT; i++)
        if (has_common(command, i))
            print_option(&common_options[i]);
    printf("\nExamples:\n%s", command->examples);
}

static int check_count(const cli_command *command, const cli_arguments *arguments) {
    if (arguments->count < command->least_arguments)
        return cli_usage_error(command->name, "%s; usage: cnnscope %s %s",
                               arguments->count ? "an argument is missing" : "no argument given",
                               command->name, command->usage);
    if (command->most_arguments >= 0 && arguments->count > command->most_arguments)
        return cli_usage_error(command->name, "unexpected argument '%s'",
                               arguments->items[command->most_arguments]);
    return CLI_GO_ON;
}

int cli_parse(const cli_command *command, int argc, char **argv, void *settings,
              cli_arguments *arguments) {
    const cli_common *common = settings;
    bool only_arguments = false;
    arguments->count = 0;
    arguments->items = argv + 1;
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (only_arguments || word[0] != '-' || word[1] == '\0') {
            arguments->items[arguments->count++] = argv[at];
        } else if (strcmp(word, "--") == 0) {
            only_arguments = true;
        } else {
            int code = parse_option(command, argc, argv, &at, settings);
            if (code != CLI_GO_ON)
                return code;
            if (common->help) {
                print_help(command);
                return 0;
            }
        }
    }
    return check_count(command, arguments);
}
