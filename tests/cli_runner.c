#include "cli_runner.h"
#include "cnnscope_cam.h"
#include "demo_picture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char *cli_program(void) {
    const char *program = getenv("CNNSCOPE_PROGRAM");
    return program ? program : "build/cnnscope";
}

const char *cli_built(const char *name) {
    static char path[1024];
    const char *program = cli_program(), *slash = strrchr(program, '/');
    snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash - program + 1) : 0, program, name);
    return path;
}

char *cli_text(const char *path) {
    size_t size = 0;
    return test_file_get(path, &size);
}

cli_result cli_run(const char *format, ...) {
    static char *out, *err;
    static char words[1 << 16], command[(1 << 16) + 4096];
    const char *folder = test_temp_dir();
    const char *out_path = test_path(folder, "out"), *err_path = test_path(folder, "err");
    va_list list;
    va_start(list, format);
    vsnprintf(words, sizeof words, format, list);
    va_end(list);
    snprintf(command, sizeof command, "%s %s >%s 2>%s", cli_program(), words, out_path, err_path);
    int status = system(command);
    free(out);
    free(err);
    out = cli_text(out_path);
    err = cli_text(err_path);
    ck_assert_msg(WIFEXITED(status), "%s: ended by signal %d\n%s", command, WTERMSIG(status), err);
    return (cli_result){WEXITSTATUS(status), out, err};
}

int cli_shell(const char *format, ...) {
    static char command[1 << 14];
    va_list list;
    va_start(list, format);
    vsnprintf(command, sizeof command, format, list);
    va_end(list);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool cli_exists(const char *format, ...) {
    char path[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(path, sizeof path, format, list);
    va_end(list);
    return access(path, F_OK) == 0;
}

void cli_draw(const char *path, int size, int seed) {
    cs_error err;
    cs_image image = {0};
    REQUIRE_OK(demo_picture_draw(size, (uint64_t)seed, &image, &err), err);
    REQUIRE_OK(cs_image_write_png(path, &image, &err), err);
    cs_image_free(&image);
}

void cli_require_json(const char *text, const char *what) {
    cs_error err;
    ck_assert_msg(cs_json_check(text, strlen(text), 16, what, &err) == CS_OK, "%s: %s\n%s", what,
                  err.text, text);
}

void cli_require_same_folders(const char *a, const char *b) {
    ck_assert_msg(cli_shell("diff -r -q -x manifest.json %s %s", a, b) == 0, "%s and %s differ", a,
                  b);
}
