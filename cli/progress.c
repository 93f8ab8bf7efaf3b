#include "progress.h"

#include "cnnscope_support.h"

#include <stdio.h>
#include <unistd.h>

void progress_begin(progress *p, int total, bool quiet) {
    *p = (progress){.total = total};
    p->shown = total > 1 && !quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
}

/* Everything fits into 79 columns: a label takes its place from the bar. */
static void draw_bar(const progress *p, int64_t done, int64_t total) {
    static const char full[] = "##############################",
                      none[] = "..............................";
    int width = p->label ? 20 : 30;
    double share = (double)done / (double)total;
    int filled = (int)(width * share);
    fprintf(stderr, "\r%.24s%s[%.*s%.*s]", p->label ? p->label : "", p->label ? " " : "", filled,
            full, width - filled, none);
    if (p->percent)
        fprintf(stderr, " %d %%", (int)(100 * share));
    else
        fprintf(stderr, " %lld of %lld", (long long)done, (long long)total);
}

void progress_step(const progress *p, int done) {
    if (!p->shown)
        return;
    draw_bar(p, done, p->total);
    fflush(stderr);
}

void progress_begin_work(progress *p, bool quiet) {
    *p = (progress){.shown = !quiet && isatty(STDERR_FILENO), .begun = cs_seconds()};
}

void progress_work(progress *p, int64_t done, int64_t total) {
    enum { LATER = 500, AGAIN = 100 }; /* milliseconds */
    double now = cs_seconds();
    if (!p->shown || done <= 0 || total < done || now - p->begun < LATER / 1000.0 ||
        (done < total && now - p->drawn < AGAIN / 1000.0))
        return;
    long long left = (long long)((now - p->begun) * (double)(total - done) / (double)done + 0.5);
    p->drawn = now;
    draw_bar(p, done, total);
    fprintf(stderr, ", %lld:%02lld left  ", left / 60, left % 60);
    fflush(stderr);
}

void progress_images(progress *p, int64_t done, int64_t total, int64_t before) {
    enum { AGAIN = 200 }; /* milliseconds */
    double now = cs_seconds(), rate = (double)(done - before) / (now - p->begun + 1e-9);
    if (!p->shown || done <= before || (done < total && now - p->drawn < AGAIN / 1000.0))
        return;
    long long left = (long long)((double)(total - done) / rate + 0.5);
    p->drawn = now;
    draw_bar(p, done, total);
    fprintf(stderr, ", %.1f images/s, %lld:%02lld left  ", rate, left / 60, left % 60);
    fflush(stderr);
}

void progress_clear(const progress *p) {
    if (p->shown)
        fprintf(stderr, "\r%79s\r", "");
}
