/* interrupt.h - SIGINT and SIGTERM: work that writes a folder is stopped between two pieces of it,
 * all other work at once. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include "cnnscope_types.h"

#define CLI_EXIT_INTERRUPTED 130

/* Handles both signals by ending the process with exit code 130. */
void interrupt_install(void);

/* From now on the first signal only sets a flag, for interrupt_check to report; a second one ends
 * the process. */
void interrupt_defer(void);

/* CS_ERROR_INTERRUPTED once a deferred signal has come. */
cs_status interrupt_check(cs_error *err);

#endif
