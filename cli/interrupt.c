#include "interrupt.h"
#include "output_folder.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A signal handler reaches nothing but globals. */
static volatile sig_atomic_t deferred, pending;
static char bus_line[2 * PATH_MAX], kept_line[2 * PATH_MAX];

/* To stderr, from a handler, which can do nothing where that takes nothing. */
static void say(const char *line) {
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        return;
}

static void on_signal(int number) {
    (void)number;
    if (deferred && !pending) {
        pending = 1;
        return;
    }
    const bool removed = output_folder_abandon();
    if (pending && removed)
        say("cnnscope: interrupted again: ended at once; the unfinished output was removed\n");
    else if (pending)
        say(kept_line[0] ? kept_line
                         : "cnnscope: interrupted again: ended at once; what is unfinished has "
                           "\"partial\" in its name\n");
    _exit(CLI_EXIT_INTERRUPTED);
}

/* A page of a mapped file is not there any more. The access that met it is one of ours, so that
 * nothing it interrupted holds a lock. */
static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)context;
    if (info->si_code != BUS_ADRERR || !bus_line[0]) {
        signal(number, SIG_DFL);
        raise(number); /* comes when this handler returns */
        return;
    }
    output_folder_abandon();
    say(bus_line);
    _exit(cs_status_exit_code(CS_ERROR_IO));
}

void interrupt_mapping(const char *path) {
    snprintf(
        bus_line, sizeof bus_line,
        "cnnscope: the binary of %.*s became shorter, or could not be read, while it was mapped "
        "into memory; when it is whole again, run again, with --no-mmap if this recurs\n",
        PATH_MAX, path);
}

void interrupt_keeping(const char *partial) {
    output_folder_survives_signals();
    snprintf(kept_line, sizeof kept_line,
             "cnnscope: interrupted again: ended at once; the images done so far are in %.*s, and "
             "the same command with --resume goes on from there\n",
             PATH_MAX, partial);
}

void interrupt_install(void) {
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        /* nohup has SIGHUP ignored, and it stays so. */
        if (stops[i] != SIGHUP ||
            (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN))
            sigaction(stops[i], &action, NULL);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

void interrupt_defer(void) {
    signal(SIGPIPE, SIG_IGN);
    deferred = 1;
}

cs_status interrupt_check(cs_error *err) {
    if (!pending)
        return CS_OK;
    return cs_error_set(err, CS_ERROR_INTERRUPTED, NULL, -1, "interrupted; nothing was written");
}

bool interrupt_pending(void *state) {
    (void)state;
    return pending != 0;
}
