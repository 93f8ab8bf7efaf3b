/* report_parts.h - the parts of report.html, one file each (report_*.c); report.c puts them in
 * order */
#ifndef CS_REPORT_PARTS_H
#define CS_REPORT_PARTS_H

#include "report_html.h"

/* Styles and script (report.css, report.js), from each name to its _end (report_assets.S). */
extern const char cs_report_css[], cs_report_css_end[], cs_report_js[], cs_report_js_end[];

#define REPORT_CONTROLS (CS_CHANGE_CONTROL_LAST - CS_CHANGE_CONTROL + 1)

/* What the page says of one pattern: of the class with the strongest flag. */
typedef struct report_finding {
    cs_pattern pattern;
    cs_verdict verdict;
    const cs_diagnosis_flag *flag;   /* NULL: nothing was measured */
    const cs_diagnosis_group *group; /* all rows of its class; NULL */
    char class_room[24];
    const char *class_name; /* NULL: none */
    const char *where;      /* "the upper right corner"; NULL */
    const char *reason;     /* why it was not judged; NULL */
    const char *statistic;  /* what `flag->mean` is */
    cs_statistic of_null;   /* the statistic that the null maps are compared in */
    const cs_threshold *limit;
    double even;           /* what a perfectly even map has; NaN */
    bool below, two_sided; /* where evidence lies: below the limit, on either side */
    double *null;          /* null_count values */
    int64_t null_count;
    cs_change change;        /* the main one; CS_CHANGE_COUNT: none */
    const char *change_text; /* "the corner replaced" */
    const char *effect_text; /* what `effect` is */
    const char *control_text;
    cs_interval effect, control[REPORT_CONTROLS];
    int control_count;
} report_finding;

/* How the network answers to a change, over all images that have it. */
typedef struct report_answer {
    int64_t count, labelled, kept, correct;
    double probability, before; /* sums: of the explained class, changed and unchanged */
} report_answer;

/* One of the most telling images. */
typedef struct report_pick {
    int64_t image, row; /* number in the list; the image's row */
    double key;
} report_pick;

enum { REPORT_MOST, REPORT_LEAST, REPORT_WRONG, REPORT_PICK_LISTS, REPORT_PICKS = 6 };

enum { REPORT_NAME = 512 };

typedef struct report {
    html h;
    const cs_diagnosis *d;
    report_finding finding[CS_PATTERN_COUNT];
    int leading; /* the finding with the strongest verdict, first of equals */
    int64_t done, empty, answered, labelled, correct; /* images */
    report_answer whole, answer[CS_CHANGE_COUNT];
    /* Of the images predicted as the leading finding's class: its main change, and the control. */
    report_answer lead, lead_control;
    report_pick pick[REPORT_PICK_LISTS][REPORT_PICKS]; /* best first */
    int64_t picked[REPORT_PICK_LISTS];
} report;

/* report_finding.c. Errors: CS_ERROR_MEMORY. */
cs_status report_findings_make(report *r, cs_error *err);
void report_findings_free(report *r);
const char *report_region_words(cs_region region);
const cs_diagnosis_group *report_group(const cs_diagnosis *d, int64_t class_index, cs_cell cell);

/* report_survey.c: one pass over all images: answers to changes, the most telling images. */
cs_status report_survey(report *r, cs_error *err);

/* report_words.c: what the findings mean, in words. */
const char *report_pattern_title(cs_pattern pattern);
const char *report_pattern_about(cs_pattern pattern);
void report_grade(html *h, cs_verdict verdict);
void report_headline(report *r);
void report_lead(report *r);
void report_limits(report *r);

/* As many decimals as tell values of this size apart. */
int report_digits(double value);

/* The last part of a path, in `room`: a report is passed on, and where its files lay on somebody's
 * machine is for manifest.json alone. */
const char *report_base_name(const char *path, char room[REPORT_NAME]);

/* The class's name, or its number in `room`. */
const char *report_class(const cs_diagnosis *d, int64_t index, char room[24]);

/* report_strip.c: value, interval, null and threshold on one axis. */
void report_strip_map(html *h, const report_finding *f);
void report_strip_effect(html *h, const report_finding *f);
void report_strip_legend(html *h);

/* report_patterns.c */
void report_patterns(report *r);

/* report_maps.c, report_pictures.c. Errors: CS_ERROR_MEMORY and those of diagnosis->image. */
cs_status report_maps(report *r, cs_error *err);
cs_status report_hero(report *r, cs_error *err);
cs_status report_telling(report *r, cs_error *err);

/* report_heat.c: heat as colours whose lightness grows with it. */
void report_heat_color(double v, uint8_t rgb[3]); /* v within 0 and 1 */
/* Cells of a map as picture elements, `most` the brightest. Errors: CS_ERROR_MEMORY. */
cs_status report_heat_cells(const double *share, int64_t rows, int64_t columns, double most,
                            cs_image *out, cs_error *err);
/* A picture in grey under the enlarged raw map, the map's maximum brightest. Errors:
 * CS_ERROR_MEMORY. */
cs_status report_heat_overlay(const cs_image *image, const cs_tensor *map, cs_image *out,
                              cs_error *err);

/* report_tables.c */
void report_answers(report *r);
void report_groups(report *r);
void report_options(report *r);

/* report_rows.c: the table of all images. Errors: those of diagnosis->image. */
cs_status report_rows(report *r, cs_error *err);

#endif
