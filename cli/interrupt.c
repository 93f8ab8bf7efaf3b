#include "interrupt.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A signal handler reaches nothing but globals. */
static volatile sig_atomic_t deferred, pending;

static void on_signal(int number) {
    (void)number;
    if (!deferred || pending)
        _exit(CLI_EXIT_INTERRUPTED);
    pending = 1;
}

void interrupt_install(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void interrupt_defer(void) { deferred = 1; }

cs_status interrupt_check(cs_error *err) {
    if (!pending)
        return CS_OK;
    return cs_error_set(err, CS_ERROR_INTERRUPTED, NULL, -1, "interrupted; nothing was written");
}
