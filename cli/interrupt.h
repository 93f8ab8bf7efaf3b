/* interrupt.h - signals: work that writes files is stopped between two pieces of it, all other work
 * at once; and what a mapped file's shrinking, a full quota and a closed pipe do. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include "cnnscope_types.h"

#define CLI_EXIT_INTERRUPTED 130

/* From now on SIGINT, SIGTERM and SIGHUP end the process with exit code 130; a file size limit is
 * an error of write, not the end; and SIGBUS, which reading a mapped file that became shorter
 * gives, ends it with exit code 3, a line on stderr, and no partial output folder left behind. */
void interrupt_install(void);

/* Names the file that will be mapped, for that line. */
void interrupt_mapping(const char *path);

/* From now on the first signal only sets a flag, for interrupt_check to report; a second one ends
 * the process, with a line on stderr that says what becomes of the output. A closed pipe is an
 * error of write, so that it leaves no partial output. */
void interrupt_defer(void);

/* Names the partial folder that a second signal leaves as it is, for that line. */
void interrupt_keeping(const char *partial);

/* CS_ERROR_INTERRUPTED once a deferred signal has come. */
cs_status interrupt_check(cs_error *err);

/* The same for cs_convert_options: whether such a signal has come. `state` is not used. */
bool interrupt_pending(void *state);

#endif
