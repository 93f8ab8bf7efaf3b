/* test_valgrind.c - each command under valgrind's memcheck: no error, no block lost. For
 * `make valgrind` and `make test-long`; skips with a line where there is no valgrind.
 */
#include "cli_runner.h"
#include "fault_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beside the commands that faults are tried on. */
static const char *const more[] = {
    "predict in/net.json in/picture.png --engine gemm --dtype f64 --threads 1",
    "explain in/net.json in/picture.png --class all --layer layer2 --dtype f64 -o made/more",
    "explain in/net.json in/picture.png --method gradcam++ --target prob --class all -o made/plus",
    "trace in/net.json in/picture.png --node fc --at 0,1 --json --dtype f64",
    "trace in/net.json in/picture.png --parameter layer1.0.conv1.weight --at 1,0,2,2",
    "dump in/net.json in/picture.png --gates in/gates --training --params -o made/dump",
    "compare in/net.json in/picture.png --methods gradient,xgradcam --curve-steps 2 --json",
    "diagnose in/net.json in/images --roi chest-template --class all --method layercam --threads 2 "
    "--dtype f64 -o made/more",
    "diagnose in/net.json in/images --roi in/images --no-counterfactuals --fail-on corner "
    "-o made/gate",
};
#define MORE_COUNT ((int)(sizeof more / sizeof more[0]))

static bool is_wanted(void) {
    if (!test_long() && !getenv("CNNSCOPE_TEST_VALGRIND"))
        return false;
    if (cli_shell("command -v valgrind >/dev/null") == 0 &&
        cli_shell("test -e %s", cli_built("fault_shim.so")) == 0)
        return true;
    fprintf(stderr, "skipped: there is no valgrind, or the program was built with a sanitizer\n");
    return false;
}

START_TEST(test_memcheck) {
    if (!is_wanted())
        return;
    fault_setup();
    char *program = realpath(cli_program(), NULL);
    const char *words =
        _i < fault_command_count ? fault_commands[_i].words : more[_i - fault_command_count];
    const int code = cli_shell(
        "cd %s && OPENBLAS_NUM_THREADS=1 valgrind --quiet --fair-sched=try --error-exitcode=99 "
        "--leak-check=full --errors-for-leak-kinds=definite,indirect "
        "--show-leak-kinds=definite,indirect %s %s >out.txt 2>err.txt",
        fault_folder(), program, words);
    char *err = cli_text(test_path(fault_folder(), "err.txt"));
    ck_assert_msg(code == 0 && !strstr(err, "=="), "cnnscope %s: exit code %d\n%s", words, code,
                  err);
    free(err);
    free(program);
}
END_TEST

Suite *suite_valgrind(void);
Suite *suite_valgrind(void) {
    Suite *suite = suite_create("valgrind");
    TCase *tests = tcase_create("valgrind");
    tcase_set_timeout(tests, 600);
    tcase_add_loop_test(tests, test_memcheck, 0, fault_command_count + MORE_COUNT);
    suite_add_tcase(suite, tests);
    return suite;
}
