#include "progress.h"

#include <stdio.h>
#include <unistd.h>

void progress_begin(progress *p, int total, bool quiet) {
    p->total = total;
    p->shown = total > 1 && !quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
}

void progress_step(const progress *p, int done) {
    static const char full[] = "##############################",
                      none[] = "..............................";
    int width = (int)sizeof full - 1;
    if (!p->shown)
        return;
    int filled = (int)((long long)width * done / p->total);
    fprintf(stderr, "\r[%.*s%.*s] %d of %d", filled, full, width - filled, none, done, p->total);
    fflush(stderr);
}

void progress_clear(const progress *p) {
    if (p->shown)
        fprintf(stderr, "\r%60s\r", "");
}
