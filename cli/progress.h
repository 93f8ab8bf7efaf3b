/* progress.h - a bar on stderr where that is a terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    bool shown;
    int total;
    const char *label;   /* may be set after a begin: shown before the bar, cut at 24 characters */
    bool percent;        /* likewise: the pieces mean nothing to a reader */
    double begun, drawn; /* clock of progress_begin_work and of its last drawing; 0: not drawn */
} progress;

/* A bar is shown for two steps or more, unless `quiet`, and where stdout is no terminal too: there
 * the results themselves show how far the work is. */
void progress_begin(progress *p, int total, bool quiet);
void progress_step(const progress *p, int done);

/* A bar for work of seconds or minutes within one result, with the time left, whatever stdout is.
 * It appears when the work has taken half a second. */
void progress_begin_work(progress *p, bool quiet);
void progress_work(progress *p, int64_t done, int64_t total);

/* Behind progress_begin_work: the same with images a second, of which `before` were there already.
 */
void progress_images(progress *p, int64_t done, int64_t total, int64_t before);

/* Wipes the bar away, also before anything else is printed; the next step draws it again. */
void progress_clear(const progress *p);

#endif
