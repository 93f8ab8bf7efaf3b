/* progress.h - a bar on stderr where that is a terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>

typedef struct progress {
    bool shown;
    int total;
} progress;

/* A bar is shown for two steps or more, unless `quiet`, and where stdout is no terminal too: there
 * the results themselves show how far the work is. */
void progress_begin(progress *p, int total, bool quiet);
void progress_step(const progress *p, int done);
/* Wipes the bar away, also before anything else is printed; the next step draws it again. */
void progress_clear(const progress *p);

#endif
