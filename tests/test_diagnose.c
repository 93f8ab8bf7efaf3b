/* test_diagnose.c - cnnscope diagnose from outside: its files, threads, kills and --resume, entries
 * that are no images, --fail-on, regions of interest, lists with something wrong.
 */
#include "cli_runner.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IMAGES = 12 };

static char *folder, *images, *table, *model;

static void setup(void) {
    char name[64];
    folder = strdup(test_temp_dir());
    images = strdup(test_path(folder, "images"));
    table = strdup(test_path(folder, "list.csv"));
    model = strdup(test_path(folder, "net.json"));
    ck_assert_int_eq(cli_run("init --arch resnet:block=basic,layers=1-1,width=4 --classes 3 "
                             "--seed 5 --size 64 -o %s/net",
                             folder)
                         .code,
                     0);
    ck_assert_int_eq(mkdir(images, 0777), 0);
    FILE *file = fopen(table, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "file,class,patient,view,note\n");
    for (int i = 0; i < IMAGES; i++) {
        snprintf(name, sizeof name, "%02d.png", i);
        cli_draw(test_path(images, name), 32, i + 1);
        fprintf(file, "images/%s,%d,p%d,%s,\"a, \"\"b\"\" %d\"\n", name, i % 2, i / 2,
                i % 3 ? "PA" : "AP", i);
    }
    fclose(file);
}

static void teardown(void) {
    free(folder);
    free(images);
    free(table);
    free(model);
}

static void require_code(cli_result r, int code) {
    ck_assert_msg(r.code == code, "exit code %d, expected %d\nstdout: %s\nstderr: %s", r.code, code,
                  r.out, r.err);
}

static void require_says(const char *text, const char *words) {
    ck_assert_msg(strstr(text, words), "'%s' is not in: %s", words, text);
}

static cli_result diagnose(const char *source, const char *out, const char *more) {
    return cli_run("diagnose %s %s -o %s/%s %s", model, source, folder, out, more);
}

static int64_t line_count(const char *out, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s", folder, out, name);
    char *text = cli_text(path);
    int64_t count = 0;
    for (const char *c = text; *c; c++)
        count += *c == '\n';
    free(text);
    return count;
}

static char *output(const char *out, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s", folder, out, name);
    return cli_text(path);
}

START_TEST(test_files) {
    require_code(diagnose(table, "a", ""), 0);
    ck_assert_int_eq(line_count("a", "predictions.csv"), IMAGES + 1);
    ck_assert_int_eq(line_count("a", "diagnosis.csv"), IMAGES + 1);
    char *json = output("a", "diagnosis.json"), *csv = output("a", "diagnosis.csv");
    cli_require_json(json, "diagnosis.json");
    require_says(json, "\"patients\": 6");
    require_says(json, "\"column\": \"view\"");
    require_says(csv, ",list_view,");
    require_says(csv, "\"a, \"\"b\"\" 3\"");
    ck_assert(!cli_exists("%s/a/records", folder));
    ck_assert(cli_exists("%s/a/manifest.json", folder));
    free(json);
    free(csv);
    cs_error err;
    cs_npy_array maps = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/a/cams.npy", folder);
    REQUIRE_OK(cs_npy_read_raw(path, &maps, &err), err);
    ck_assert(maps.dims == 3 && maps.shape[0] == IMAGES && strcmp(maps.descr, "<f4") == 0);
    free(maps.data);
    require_code(diagnose(table, "a", ""), 6); /* exists already */
    require_code(diagnose(table, "all", "--class all --figures --no-counterfactuals"), 0);
    ck_assert(line_count("all", "diagnosis.csv") > 2 * IMAGES);
    ck_assert(cli_exists("%s/all/figures/000001-00-class-0.png", folder));
}
END_TEST

START_TEST(test_threads) {
    require_code(diagnose(table, "one", "--threads 1 --figures"), 0);
    require_code(diagnose(table, "three", "--threads 3 --figures"), 0);
    char a[4096], b[4096];
    snprintf(a, sizeof a, "%s/one", folder);
    snprintf(b, sizeof b, "%s/three", folder);
    cli_require_same_folders(a, b);
}
END_TEST

/* Starts a diagnosis and kills it after some microseconds; whether that was before its end. */
static bool start_and_kill(const char *options, unsigned wait, int number) {
    char command[8192];
    snprintf(command, sizeof command, "exec %s diagnose %s %s -o %s/killed %s >%s/out 2>%s/err",
             cli_program(), model, table, folder, options, folder, folder);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    usleep(wait);
    kill(child, number);
    int status = 0;
    waitpid(child, &status, 0);
    return number == SIGKILL ? WIFSIGNALED(status)
                             : WIFEXITED(status) && WEXITSTATUS(status) == 130;
}

START_TEST(test_kill) {
    const int kills = test_long() ? 20 : 5;
    char a[4096], b[4096];
    int killed = 0, with_records = 0;
    cs_random random = {17};
    snprintf(a, sizeof a, "%s/whole", folder);
    snprintf(b, sizeof b, "%s/killed", folder);
    double start = cs_seconds();
    require_code(diagnose(table, "whole", "--threads 2"), 0);
    double seconds = cs_seconds() - start;
    for (int i = 0; i < kills; i++) {
        unsigned wait = (unsigned)(1e6 * seconds * cs_random_uniform(&random));
        killed += start_and_kill(i ? "--resume --threads 2" : "--threads 1", wait, SIGKILL);
        with_records += cli_shell("ls %s/killed.partial-*/records/records.bin >%s/ls 2>&1", folder,
                                  folder) == 0;
        if (cli_exists("%s", b)) { /* it was quick enough: begin again */
            cli_require_same_folders(a, b);
            cli_shell("rm -rf %s/killed", folder);
        }
    }
    ck_assert_int_gt(killed, kills / 5);
    ck_assert_int_gt(with_records, 0);
    require_code(diagnose(table, "killed", "--resume --threads 3"), 0);
    cli_require_same_folders(a, b);
    ck_assert_int_ne(cli_shell("ls -d %s/killed.partial-* >%s/ls 2>&1", folder, folder), 0);
}
END_TEST

/* Ends a diagnosis where it has some records. */
static void leave_records(int number) {
    for (unsigned wait = 10000; wait < 20000000; wait = wait * 9 / 8) {
        cli_shell("rm -rf %s/killed*", folder);
        start_and_kill("--threads 1", wait, number);
        if (cli_shell("test -s %s/killed.partial-*/records/records.bin", folder) == 0)
            return;
    }
    ck_abort_msg("no run was ended between its first and its last record");
}

START_TEST(test_torn_record) {
    char a[4096], b[4096];
    snprintf(a, sizeof a, "%s/whole", folder);
    snprintf(b, sizeof b, "%s/killed", folder);
    require_code(diagnose(table, "whole", ""), 0);
    leave_records(SIGKILL);
    ck_assert_int_eq(
        cli_shell("f=$(ls %s/killed.partial-*/records/records.bin) && truncate -s -7 $f", folder),
        0);
    require_code(diagnose(table, "killed", "--resume"), 0);
    cli_require_same_folders(a, b);
}
END_TEST

/* --resume while the run that it would go on with still runs: refused, and nothing is removed. */
START_TEST(test_resume_beside_running) {
    char a[4096], b[4096], records[4096];
    snprintf(a, sizeof a, "%s/whole", folder);
    snprintf(b, sizeof b, "%s/killed", folder);
    require_code(diagnose(table, "whole", ""), 0);
    leave_records(SIGKILL);
    ck_assert_int_eq(cli_shell("mv %s/killed.partial-* %s/killed.partial-1", folder, folder), 0);
    snprintf(records, sizeof records, "%s/killed.partial-1/records/records.bin", folder);
    int file = open(records, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(flock(file, LOCK_EX | LOCK_NB), 0);
    cli_result r = diagnose(table, "killed", "--resume");
    require_code(r, 6);
    require_says(r.err, "another process is writing it");
    require_says(r.err, "was left as it was");
    close(file);
    require_code(diagnose(table, "killed", "--resume"), 0);
    cli_require_same_folders(a, b);
}
END_TEST

START_TEST(test_interrupt) {
    leave_records(SIGINT);
    char *err = cli_text(test_path(folder, "err"));
    require_says(err, "--resume");
    free(err);
    cli_result r = diagnose(table, "killed", "--resume --seed 2"); /* other options */
    require_code(r, 2);
    require_says(r.err, "seed: 1");
    require_says(r.err, "seed: 2");
    r = diagnose(images, "killed", "--resume");
    require_code(r, 2);
    require_says(r.err, "images: ");
    require_code(diagnose(table, "killed", "--resume"), 0);
    r = diagnose(table, "fresh", "--resume");
    require_code(r, 0);
    require_says(r.err, "nothing to resume");
}
END_TEST

START_TEST(test_bad_entries) {
    char path[4096];
    cli_shell("cd %s && : >empty.png && echo text >text.png && head -c 100 00.png >cut.png && "
              "ln -s nowhere gone.png && mkdir sub && cp 00.png sub/00.png && mkfifo pipe.png && "
              "printf 'P6 60000 60000 255\\n' >huge.ppm",
              images);
    cli_result r = diagnose(images, "bad", "--no-counterfactuals");
    require_code(r, 3);
    require_says(r.err, "cut.png");
    char *csv = output("bad", "diagnosis.csv");
    static const char *const names[] = {"\nempty.png,,,,",  "\ntext.png,,,,",
                                        "\ncut.png,,,,",    "\ngone.png,,,,io",
                                        "\npipe.png,,,,io", "\nhuge.ppm,,,,limit"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        require_says(csv, names[i]);
    require_says(csv, "\nsub/00.png,,");
    free(csv);
    ck_assert_int_eq(line_count("bad", "diagnosis.csv"), IMAGES + 8);
    char *page = output("bad", "report.html");
    ck_assert_ptr_nonnull(strstr(page, "of 19 entries"));
    ck_assert_msg(!strstr(page, folder), "the page tells where its files lie");
    free(page);
    r = diagnose(images, "gate",
                 "--no-counterfactuals --roi chest-template --fail-on corner,uniform,roi,side");
    require_code(r, 1);
    snprintf(path, sizeof path, "%s/twice.csv", folder);
    char text[] = "file\nimages/00.png\nimages/00.png\nimages/none.png\n";
    test_file_put(path, text, sizeof text - 1);
    r = diagnose(path, "twice", "--no-counterfactuals");
    require_code(r, 3);
    require_says(r.err, "line 3");
    require_says(r.err, "none.png");
    ck_assert_int_eq(line_count("twice", "predictions.csv"), 4);
}
END_TEST

/* A disk that is full midway (a mount of our own, which needs root), made larger, and --resume. */
START_TEST(test_disk_full) {
    static const int kilobytes[] = {4, 24, 60, 400};
    char a[4096], b[4096], *program = realpath(cli_program(), NULL), *example = NULL;
    int full = 0, kept = 0;
    example = realpath(EXAMPLE_MODEL, NULL);
    ck_assert_int_eq(mkdir(test_path(folder, "small"), 0700), 0);
    if (cli_shell("cd %s && unshare -m sh -c 'mount -t tmpfs tmpfs small' 2>/dev/null", folder)) {
        fprintf(stderr, "skipped: disk full: no mount is possible here\n");
        free(program);
        free(example);
        return;
    }
    ck_assert_int_eq(cli_shell("cd %s && %s diagnose %s list.csv -o whole >out.txt 2>err.txt",
                               folder, program, example),
                     0);
    snprintf(a, sizeof a, "%s/whole", folder);
    snprintf(b, sizeof b, "%s/copied", folder);
    for (size_t i = 0; i < sizeof kilobytes / sizeof kilobytes[0]; i++) {
        const int code = cli_shell(
            "cd %s && rm -rf copied && unshare -m sh -c 'mount -t tmpfs -o size=%dk tmpfs small && "
            "%s diagnose %s list.csv -o small/out >out.txt 2>err.txt; code=$?; "
            "ls -d small/out.partial-* >kept.txt 2>/dev/null; test -e small/out && exit 98; "
            "mount -o remount,size=8m small && "
            "%s diagnose %s list.csv -o small/out --resume >again.txt 2>&1 || exit 99; "
            "cp -a small/out copied; exit $code'",
            folder, kilobytes[i], program, example, program, example);
        char *err = cli_text(test_path(folder, "err.txt"));
        char *partial = cli_text(test_path(folder, "kept.txt"));
        ck_assert_msg(code == 6, "%d KiB: exit code %d\n%s", kilobytes[i], code, err);
        require_says(err, "No space left");
        ck_assert_msg(!partial[0] || strstr(err, "--resume"), "%d KiB: %s", kilobytes[i], err);
        cli_require_same_folders(a, b);
        full++;
        kept += partial[0] != '\0';
        free(err);
        free(partial);
    }
    ck_assert_int_eq(full, 4);
    ck_assert_int_gt(kept, 1);
    ck_assert_int_eq(cli_shell("cd %s && unshare -m sh -c 'mount -t tmpfs -o ro tmpfs small && "
                               "%s diagnose %s list.csv -o small/out' >out.txt 2>err.txt",
                               folder, program, example),
                     6);
    free(program);
    free(example);
}
END_TEST

START_TEST(test_refusals) {
    require_code(cli_run("diagnose %s %s", model, table), 2);
    require_code(diagnose(table, "a", "--fail-on corners"), 2);
    require_code(diagnose(table, "a", "--method gradient"), 2);
    require_code(diagnose(table, "a", "--chest-template 1,2,3,4,5"), 2);
    require_code(diagnose(table, "a", "--roi chest-template --chest-template 1,2"), 2);
    require_code(diagnose(table, "a", "--roi nowhere.png"), 3);
    require_code(diagnose("nowhere", "a", ""), 3);
    require_code(diagnose(table, "no/such/folder", ""), 6);
    ck_assert_int_ne(cli_shell("ls -d %s/a* >%s/ls 2>&1", folder, folder), 0);
}
END_TEST

START_TEST(test_roi) {
    char boxes[4096];
    snprintf(boxes, sizeof boxes, "%s/boxes.csv", folder);
    char text[1024] = "file,x,y,width,height\n", more[8192];
    for (int i = 0; i < IMAGES; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%02d.png,0,0,16,32\n",
                 i % 2 ? "images/" : "", i);
    test_file_put(boxes, text, strlen(text));
    snprintf(more, sizeof more, "--no-counterfactuals --roi %s", boxes);
    require_code(diagnose(table, "boxes", more), 0);
    char *csv = output("boxes", "diagnosis.csv");
    const char *second = strstr(csv, "\nimages/01.png");
    ck_assert_ptr_nonnull(second);
    free(csv);
    /* The left half of a picture of 32 x 32, at the model's 64. */
    char *page = output("boxes", "report.html");
    ck_assert_ptr_nonnull(strstr(page, "<path class=\"region\" d=\"M32 0v64\"/>"));
    free(page);
    require_code(diagnose(table, "chest", "--roi chest-template"), 0);
    char *json = output("chest", "diagnosis.json");
    require_says(json, "\"roi_is_approximate_template\": true");
    free(json);
    require_code(diagnose(table, "small",
                          "--no-counterfactuals --roi chest-template "
                          "--chest-template 0.25,0.75,0.5,0.1,0.1"),
                 0);
    char *usual = output("chest", "report.html"), *other = output("small", "report.html");
    char *a = strstr(usual, "class=\"region\""), *b = strstr(other, "class=\"region\"");
    ck_assert_msg(a && b && strncmp(a, b, 60) != 0, "the outline is not that of the region");
    free(usual);
    free(other);
    char wrong[] = "file,x,y,width,height\n00.png,0,zero,16,32\n";
    test_file_put(boxes, wrong, sizeof wrong - 1);
    cli_result r = diagnose(table, "wrong", more);
    require_code(r, 3);
    require_says(r.err, "line 2");
}
END_TEST

/* The null maps of the roi pattern that a diagnosis counts. */
static int64_t roi_nulls(const char *out) {
    char *json = output(out, "diagnosis.json"), *at = strstr(json, "\"roi\": {");
    at = at ? strstr(at, "\"null_count\": ") : NULL;
    ck_assert_ptr_nonnull(at);
    const int64_t count = strtoll(at + strlen("\"null_count\": "), NULL, 10);
    free(json);
    return count;
}

/* Each image with a mask or boxes of its own: null maps are measured in those, and the threshold
 * follows. An image without one, or with a black one, has no region and stops nothing. */
START_TEST(test_roi_of_each_image) {
    char more[8192], path[4096];
    snprintf(more, sizeof more, "--no-counterfactuals --roi %s/boxes.csv", folder);
    snprintf(path, sizeof path, "%s/boxes.csv", folder);
    char text[1024] = "file,x,y,width,height\n";
    for (int i = 0; i < IMAGES; i += 2)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%02d.png,%d,0,16,32\n", i, i);
    test_file_put(path, text, strlen(text));
    require_code(diagnose(table, "half", more), 0);
    const int64_t half = roi_nulls("half");
    for (int i = 1; i < IMAGES; i += 2)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%02d.png,%d,0,16,32\n", i, i);
    test_file_put(path, text, strlen(text));
    require_code(diagnose(table, "boxes", more), 0);
    const int64_t all = roi_nulls("boxes");
    ck_assert_msg(half > 0 && all > half && all <= 108, "%lld and %lld", (long long)half,
                  (long long)all);
    ck_assert_int_eq(cli_shell("mkdir %s/masks && cd %s/masks && "
                               "{ echo P5 32 32 255; head -c 1024 /dev/zero; } >black.pgm && "
                               "{ echo P5 32 32 255; head -c 256 /dev/zero; "
                               "for i in $(seq 16); do head -c 8 /dev/zero; "
                               "head -c 16 /dev/zero | tr '\\0' '\\377'; head -c 8 /dev/zero; "
                               "done; head -c 256 /dev/zero; } >one.pgm",
                               folder, folder),
                     0);
    ck_assert_int_eq(cli_shell("cd %s/masks && for i in 00 01 02 03 04 05 06 07 08 09 10 11; do "
                               "cp one.pgm $i.png; done",
                               folder),
                     0);
    /* The same mask for each gives the null maps of one for all; the threshold is its least. */
    snprintf(more, sizeof more, "--no-counterfactuals --roi %s/masks/one.pgm", folder);
    require_code(diagnose(table, "shared", more), 0);
    snprintf(more, sizeof more, "--no-counterfactuals --roi %s/masks", folder);
    require_code(diagnose(table, "same", more), 0);
    char *a = output("same", "diagnosis.json"), *b = output("shared", "diagnosis.json");
    char *x = strstr(a, "\"set\": ["), *y = strstr(b, "\"set\": [");
    ck_assert(x && y);
    ck_assert_ptr_nonnull(
        strstr(strstr(strstr(a, "\"thresholds\""), "\"roi\""), "\"value\": 1.25,"));
    *strstr(x, "\"groups\"") = *strstr(y, "\"groups\"") = '\0';
    ck_assert_str_eq(x, y);
    ck_assert_ptr_nonnull(strstr(x, "enrichment_roi"));
    free(a);
    free(b);
    ck_assert_int_eq(cli_shell("cp %s/masks/black.pgm %s/masks/11.png", folder, folder), 0);
    snprintf(more, sizeof more, "--roi %s/masks", folder);
    require_code(diagnose(table, "black", more), 0);
    ck_assert_int_eq(line_count("black", "diagnosis.csv"), IMAGES + 1);
    ck_assert_int_gt(roi_nulls("black"), 0);
}
END_TEST

/* Whatever the verdicts are, the exit code follows them. */
START_TEST(test_fail_on) {
    int code = 0;
    require_code(diagnose(table, "a", "--no-counterfactuals --roi chest-template"), 0);
    char *json = output("a", "diagnosis.json"), *verdicts = strstr(json, "\"verdicts\"");
    ck_assert_ptr_nonnull(verdicts);
    static const char *const names[] = {"corner", "uniform", "roi", "side"};
    int found = 0;
    for (int i = 0; i < 4; i++) {
        char line[64], out[8], more[128];
        snprintf(line, sizeof line, "\"%s\": \"map only\"", names[i]);
        const char *at = strstr(verdicts, line);
        code = at && at < strstr(verdicts, "\"tests\"") ? 1 : 0;
        found += code;
        snprintf(out, sizeof out, "b%d", i);
        snprintf(more, sizeof more, "--no-counterfactuals --roi chest-template --fail-on %s",
                 names[i]);
        require_code(diagnose(table, out, more), code);
    }
    ck_assert_msg(found > 0 && found < 4, "%d patterns found: the test needs some and not all",
                  found);
    free(json);
}
END_TEST

Suite *suite_diagnose(void);

Suite *suite_diagnose(void) {
    Suite *suite = suite_create("diagnose");
    TCase *tests = tcase_create("diagnose");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_files);
    tcase_add_test(tests, test_threads);
    tcase_add_test(tests, test_kill);
    tcase_add_test(tests, test_torn_record);
    tcase_add_test(tests, test_resume_beside_running);
    tcase_add_test(tests, test_interrupt);
    tcase_add_test(tests, test_bad_entries);
    tcase_add_test(tests, test_disk_full);
    tcase_add_test(tests, test_refusals);
    tcase_add_test(tests, test_roi);
    tcase_add_test(tests, test_roi_of_each_image);
    tcase_add_test(tests, test_fail_on);
    suite_add_tcase(suite, tests);
    return suite;
}
