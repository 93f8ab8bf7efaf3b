/* hostile_table.c - see the header. */
#include "hostile_table.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cnnscope_convert.h"
#include "test_support.h"

/* A case has this much time and, above what the process has already, memory. */
enum { SECONDS = 2, MEGABYTES = 256 };

const hostile_list *hostile_list_get(int index) {
    const hostile_list *const lists[] = {&hostile_zip_list,     &hostile_legacy_list,
                                         &hostile_pickle_list,  &hostile_safetensors_list,
                                         &hostile_formats_list, &hostile_manifest_list,
                                         &hostile_pictures};
    return index < (int)(sizeof lists / sizeof *lists) ? lists[index] : NULL;
}

int hostile_files_in(const char *folder) {
    int count = 0;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

void hostile_failed(hostile_outcome *outcome, const cs_error *err, const char *folder) {
    size_t length = strlen(folder);
    outcome->status = err->code;
    outcome->offset = err->offset;
    snprintf(outcome->text, sizeof outcome->text, "%s", err->text);
    for (char *at = strstr(outcome->text, folder); at; at = strstr(at, folder)) {
        size_t cut = length + (at[length] == '/');
        memmove(at, at + cut, strlen(at + cut) + 1);
    }
}

void hostile_convert(const bytes *file, hostile_outcome *outcome) {
    const char *in = test_path(test_temp_dir(), "model.pth"), *out = test_temp_dir();
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    cs_convert_report report;
    cs_error err = {0};
    test_file_put(in, file->data, file->size);
    options.name = test_path(out, "model");
    *outcome = (hostile_outcome){.status = cs_convert(in, &options, &report, &err), .offset = -1};
    if (outcome->status != CS_OK)
        hostile_failed(outcome, &err, out);
    for (int64_t i = 0; i < report.warning_count; ++i) {
        size_t used = strlen(outcome->text);
        snprintf(outcome->text + used, sizeof outcome->text - used, "%s%s", used ? "; " : "",
                 report.warnings[i]);
    }
    for (int64_t i = 0; i < report.opaque_count; ++i) {
        size_t used = strlen(outcome->text);
        snprintf(outcome->text + used, sizeof outcome->text - used, "%s%s %s%s", used ? "; " : "",
                 report.opaque[i].executes ? "calls" : "names", report.opaque[i].name,
                 report.opaque[i].executes ? ", which was not run" : "");
    }
    outcome->left = hostile_files_in(out);
    outcome->allowed = outcome->status == CS_OK ? 2 : 0;
    cs_convert_report_free(&report);
    unlink(in); /* some are large */
}

/* Sanitizers and valgrind take memory and time of their own. */
static bool is_instrumented(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
    return true;
#endif
#endif
    const char *preload = getenv("LD_PRELOAD");
    return preload && strstr(preload, "vgpreload");
}

/* Check runs each test in a process of its own: the limit ends with it. */
static void limit_memory(void) {
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long long pages = 0;
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%llu", &pages), 1);
    fclose(f);
    rlim_t limit = pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)MEGABYTES << 20);
    struct rlimit both = {limit, limit};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &both), 0);
}

void hostile_check(const hostile_list *list, int index) {
    hostile_row row = list->row(index);
    hostile_outcome outcome = {0};
    struct timespec begin, end;
    bool free_run = is_instrumented();
    const char *fork_mode = getenv("CK_FORK");
    if (!free_run && !(fork_mode && strcmp(fork_mode, "no") == 0))
        limit_memory();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    list->run(index, &outcome);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    ck_assert_msg(outcome.status == row.status, "%s: got %s (%s), expected %s", row.name,
                  cs_status_name(outcome.status), outcome.text, cs_status_name(row.status));
    ck_assert_msg(outcome.status == CS_OK || (outcome.text[0] && !strchr(outcome.text, '\n')),
                  "%s: the error is not one line", row.name);
    ck_assert_msg(!row.says || strstr(outcome.text, row.says), "%s: \"%s\" does not say \"%s\"",
                  row.name, outcome.text, row.says);
    ck_assert_msg(outcome.offset == row.offset, "%s: byte %lld (%s), expected %lld", row.name,
                  (long long)outcome.offset, outcome.text, (long long)row.offset);
    ck_assert_msg(outcome.left == outcome.allowed, "%s: %d files left behind", row.name,
                  outcome.left);
    ck_assert_msg(free_run || seconds < SECONDS, "%s: %.2f s", row.name, seconds);
}

/* Text in a cell of a Markdown table. */
static void print_cell(FILE *out, const char *text) {
    for (const char *c = text; *c; ++c) {
        const char *entity = *c == '|'   ? "\\|"
                             : *c == '<' ? "&lt;"
                             : *c == '*' ? "\\*"
                             : *c == '_' ? "\\_"
                                         : NULL;
        if (entity)
            fputs(entity, out);
        else
            fputc(*c, out);
    }
}

static void print_row(FILE *out, const hostile_list *list, int index) {
    hostile_row row = list->row(index);
    hostile_outcome outcome = {0};
    list->run(index, &outcome);
    const char *what = strchr(row.name, ' ');
    fprintf(out, "| %.*s | ", (int)(what ? what - row.name : 0), row.name);
    print_cell(out, what ? what + 1 : row.name);
    if (outcome.status == CS_OK)
        fprintf(out, " | accepted%s |  | ", outcome.text[0] ? ", warned" : "");
    else
        fprintf(out, " | %s, exit %d | ", cs_status_name(outcome.status),
                cs_status_exit_code(outcome.status));
    if (outcome.status != CS_OK && outcome.offset >= 0)
        fprintf(out, "%lld | ", (long long)outcome.offset);
    else if (outcome.status != CS_OK)
        fputs(" | ", out);
    print_cell(out, outcome.text);
    if (row.why) {
        fputs(outcome.text[0] ? "<br>*" : "*", out);
        print_cell(out, row.why);
        fputs("*", out);
    }
    fputs(" |\n", out);
}

void hostile_table_print(FILE *out) {
    int total = 0;
    for (int i = 0; hostile_list_get(i); ++i)
        total += hostile_list_get(i)->count;
    fprintf(out,
            "# Hostile input\n"
            "What becomes of files that are damaged or made to do harm. Each case is a small valid "
            "file in which one\nproperty is wrong, made by the tests in C; %d of them stand here, "
            "with the error or the warning that the\nprogram gives, word for word. The suites "
            "`hostile` and `hostile_manifest` hold each case to its row, to %d s and\nto %d MB of "
            "memory, and see that nothing is left in the output's folder.\n\n"
            "This page is printed by the tests' tables: `build/cnnscope-tests --hostile-table > "
            "docs/hostile-input.md`.\nA test compares it with what the program says today.\n\n"
            "Rows named Z0, L0, ... are the valid files. Rows without a number are cases that came "
            "up on the way. An\noutcome is the error's code and the program's exit code; the byte "
            "is where in the file the error points.\n",
            total, SECONDS, MEGABYTES);
    for (int i = 0; hostile_list_get(i); ++i) {
        const hostile_list *list = hostile_list_get(i);
        fprintf(out, "\n## %s\n%s\n\n| case | what is wrong | outcome | byte | what it says |\n",
                list->title, list->about);
        fputs("|---|---|---|---|---|\n", out);
        for (int k = 0; k < list->count; ++k)
            print_row(out, list, k);
    }
}

START_TEST(print_page) { hostile_table_print(stdout); }
END_TEST

/* The cases use Check's assertions, which work within a test only. */
int hostile_table_main(void) {
    Suite *suite = suite_create("page");
    TCase *page = tcase_create("page");
    tcase_add_test(page, print_page);
    suite_add_tcase(suite, page);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    if (failed)
        srunner_print(runner, CK_NORMAL);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
