/* report_tables.c - answers to every change, groups, and how it was done. */
#include "report_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void head(html *h, const char *title, bool is_number) {
    html_format(h, "<th scope=\"col\"%s>%s</th>", is_number ? " class=\"n\"" : "", title);
}

static void percent_cell(html *h, double part, double whole) {
    html_put(h, "<td class=\"n\">");
    html_percent(h, whole > 0.0 ? part / whole : (double)NAN);
    html_put(h, "</td>");
}

static void number_cell(html *h, double v, bool with_sign) {
    html_put(h, "<td class=\"n\">");
    (with_sign ? html_signed : html_number)(h, v, report_digits(v));
    html_put(h, "</td>");
}

static const char *change_words(cs_change change) {
    static const char *const words[CS_CHANGE_COUNT] = {"upper left corner covered",
                                                       "upper right corner covered",
                                                       "lower left corner covered",
                                                       "lower right corner covered",
                                                       "border covered",
                                                       "left half covered",
                                                       "right half covered",
                                                       "region of interest covered",
                                                       "all but the region of interest covered",
                                                       "hottest square outside it covered",
                                                       "hottest stretch of the border covered",
                                                       "control square 1 covered",
                                                       "control square 2 covered",
                                                       "control square 3 covered",
                                                       "control square 4 covered",
                                                       "mirrored",
                                                       "shifted by a cell",
                                                       "every pixel the mean colour",
                                                       "tiles shuffled"};
    return words[change];
}

static void answer_row(report *r, const char *name, const report_answer *a) {
    html *h = &r->h;
    html_format(h, "<tr><th scope=\"row\">%s</th><td class=\"n\">", name);
    html_count(h, a == &r->whole ? r->done : r->answered);
    html_put(h, "</td>");
    percent_cell(h, (double)(a->count - a->kept), (double)a->count);
    if (r->labelled > 0)
        percent_cell(h, (double)a->correct, (double)a->labelled);
    number_cell(h, a->probability / (double)a->count, false);
    html_put(h, "</tr>\n");
}

void report_answers(report *r) {
    html *h = &r->h;
    html_put(h, "<section id=\"answers\" aria-labelledby=\"answers-h\"><h2 id=\"answers-h\">The "
                "score with and without each region</h2>\n");
    if (r->answered == 0) {
        html_put(h, "<p>No change was tried.</p>\n</section>\n");
        return;
    }
    html_put(h, "<p>Forward passes over changed pictures. Where a place is covered, it was done "
                "with the mean colour and with a strong blur, and both count. Whole images the "
                "network never sees like this: compare with the control squares.</p>\n"
                "<div class=\"wide\" role=\"region\" aria-labelledby=\"answers-h\" tabindex=\"0\">"
                "<table><thead><tr>");
    head(h, "Picture", false);
    head(h, "Images", true);
    head(h, "Predictions that change", true);
    if (r->labelled > 0)
        head(h, "Right", true);
    head(h, "Mean probability of the explained class", true);
    html_put(h, "</tr></thead>\n<tbody>\n");
    r->whole.kept = r->whole.count;
    r->whole.labelled = r->labelled;
    r->whole.correct = r->correct;
    answer_row(r, "as it is", &r->whole);
    for (int c = 0; c < CS_CHANGE_COUNT; c++)
        if (r->answer[c].count > 0)
            answer_row(r, change_words((cs_change)c), &r->answer[c]);
    html_put(h, "</tbody></table></div>\n</section>\n");
}

/* ------------------------------------------------------------------ groups --------------- */

static void interval_cell(html *h, cs_interval v, bool with_sign) {
    html_put(h, "<td class=\"n\">");
    html_interval(h, v, report_digits(v.value), with_sign);
    html_put(h, "</td>");
}

static void group_row(report *r, const cs_diagnosis_group *g) {
    html *h = &r->h;
    const report_finding *f = &r->finding[r->leading];
    char room[24];
    html_put(h, "<tr><th scope=\"row\">");
    html_name(h, r->d->columns[g->column]);
    html_put(h, " = ");
    html_name(h, g->value && *g->value ? g->value : "(nothing)");
    html_put(h, "</th><td>");
    html_name(h, report_class(r->d, g->class_index, room));
    html_put(h, "</td><td class=\"n\">");
    html_count(h, g->count);
    html_put(h, "</td>");
    if (r->labelled > 0)
        interval_cell(h, g->correct, false);
    interval_cell(h, g->statistic[CS_STAT_CORNER], false);
    if (r->d->roi)
        interval_cell(h, g->statistic[CS_STAT_ENRICHMENT_ROI], false);
    interval_cell(h, g->statistic[CS_STAT_LATERALITY_IMAGE], true);
    if (f->change != CS_CHANGE_COUNT)
        interval_cell(h, g->drop[f->change], true);
    html_put(h, "</tr>\n");
}

static bool has_groups(const cs_diagnosis *d, int64_t column) {
    for (int64_t i = 0; i < d->group_count; i++)
        if (d->groups[i].column == column)
            return true;
    return false;
}

/* Columns of ages or free text have too many values for a table. */
static void untabulated(report *r) {
    html *h = &r->h;
    bool any = false;
    for (int64_t c = 0; c < r->d->column_count; c++) {
        if (has_groups(r->d, c))
            continue;
        html_put(h, any ? ", " : "<p><small>Not tabulated, for too many different values: ");
        html_name(h, r->d->columns[c]);
        any = true;
    }
    if (any)
        html_put(h, ".</small></p>\n");
}

void report_groups(report *r) {
    html *h = &r->h;
    const report_finding *f = &r->finding[r->leading];
    int64_t count = 0;
    for (int64_t i = 0; i < r->d->group_count; i++)
        count += r->d->groups[i].column >= 0;
    html_put(h, "<section id=\"groups\" aria-labelledby=\"groups-h\"><h2 id=\"groups-h\">Groups of "
                "images</h2>\n");
    if (count == 0) {
        html_put(h, "<p>The list has no columns such as view, site or sex; a list in CSV can carry "
                    "them.</p>\n");
        untabulated(r);
        html_put(h, "</section>\n");
        return;
    }
    html_put(h, "<p>By the columns of the list. A finding that differs between groups points at "
                "what the network may have learnt in place of the disease; one that does not is no "
                "excuse.</p>\n<div class=\"wide\" role=\"region\" aria-labelledby=\"groups-h\" "
                "tabindex=\"0\"><table><thead><tr>");
    head(h, "Group", false);
    head(h, "Maps of", false);
    head(h, "Maps", true);
    if (r->labelled > 0)
        head(h, "Right", true);
    head(h, "Corner, times even", true);
    if (r->d->roi)
        head(h, "In the region, times even", true);
    head(h, "Right minus left", true);
    if (f->change != CS_CHANGE_COUNT)
        html_format(h, "<th scope=\"col\" class=\"n\">Fall of the margin, %s</th>", f->change_text);
    html_put(h, "</tr></thead>\n<tbody>\n");
    for (int64_t i = 0; i < r->d->group_count; i++)
        if (r->d->groups[i].column >= 0)
            group_row(r, &r->d->groups[i]);
    html_put(h, "</tbody></table></div>\n");
    untabulated(r);
    html_put(h, "</section>\n");
}

/* ------------------------------------------------------------------ options -------------- */

static void option(html *h, const char *name, const char *value) {
    if (!value)
        return;
    html_format(h, "<dt>%s</dt><dd>", name);
    html_name(h, value);
    html_put(h, "</dd>\n");
}

static void thresholds(report *r) {
    html *h = &r->h;
    const cs_threshold *roi;
    if (!r->d->nulls)
        return;
    roi = &r->d->nulls->threshold[CS_PATTERN_ROI];
    html_put(h, "<h3 id=\"thresholds\">Thresholds</h3>\n<div class=\"wide\" role=\"region\" "
                "aria-labelledby=\"thresholds\" tabindex=\"0\"><table><caption>From ");
    html_count(h, r->d->nulls->count);
    html_put(h, " maps of blank and noise inputs by ");
    html_count(h, r->d->nulls->networks);
    html_put(h, " networks, this one and others with its weights shuffled (");
    html_count(h, r->d->nulls->empty);
    html_put(h, " of the maps were empty), before an image was seen.");
    if (roi->null_count > 0 && !(roi->most > roi->least))
        html_put(h, " Each image has a region of interest of its own: each null map was measured "
                    "in that of another image, and the threshold is fixed.");
    html_put(h, "</caption><thead><tr>");
    head(h, "Pattern", false);
    head(h, "Threshold", true);
    head(h, "Null: median", true);
    head(h, "Quantile", true);
    head(h, "Its value", true);
    head(h, "Margin added", true);
    head(h, "Not below", true);
    head(h, "Not above", true);
    html_put(h, "</tr></thead>\n<tbody>\n");
    for (int k = 0; k < CS_PATTERN_COUNT; k++) {
        const cs_threshold *t = &r->d->nulls->threshold[k];
        html_format(h, "<tr><th scope=\"row\">%s</th>", report_pattern_title((cs_pattern)k));
        number_cell(h, t->value, false);
        number_cell(h, t->null_median, false);
        percent_cell(h, t->quantile, 1.0);
        number_cell(h, t->null_quantile, false);
        number_cell(h, t->margin, false);
        number_cell(h, t->least, false);
        number_cell(h, t->most, false);
        html_put(h, "</tr>\n");
    }
    html_put(h, "</tbody></table></div>\n");
}

static void confusion(report *r) {
    html *h = &r->h;
    const cs_diagnosis *d = r->d;
    char room[24];
    if (d->confusion_classes < 1 || d->confusion_classes > 12)
        return;
    html_put(h, "<h3 id=\"confusion\">Labels and predictions</h3>\n<div class=\"wide\" "
                "role=\"region\" aria-labelledby=\"confusion\" tabindex=\"0\"><table>"
                "<thead><tr><th scope=\"col\">Labelled</th>");
    for (int64_t c = 0; c < d->confusion_classes; c++) {
        html_put(h, "<th scope=\"col\" class=\"n\">predicted ");
        html_name(h, report_class(d, c, room));
        html_put(h, "</th>");
    }
    html_put(h, "</tr></thead>\n<tbody>\n");
    for (int64_t c = 0; c < d->confusion_classes; c++) {
        html_put(h, "<tr><th scope=\"row\">");
        html_name(h, report_class(d, c, room));
        html_put(h, "</th>");
        for (int64_t p = 0; p < d->confusion_classes; p++) {
            html_put(h, "<td class=\"n\">");
            html_count(h, d->confusion[c * d->confusion_classes + p]);
            html_put(h, "</td>");
        }
        html_put(h, "</tr>\n");
    }
    html_put(h, "</tbody></table></div>\n");
}

void report_options(report *r) {
    html *h = &r->h;
    const cs_diagnosis *d = r->d;
    char room[REPORT_NAME];
    html_put(h, "<section id=\"how\" aria-labelledby=\"how-h\"><h2 id=\"how-h\">How it was done"
                "</h2>\n");
    confusion(r);
    thresholds(r);
    html_put(h, "<h3>Options</h3>\n<dl class=\"options\">\n");
    option(h, "Model", report_base_name(d->model_path, room));
    option(h, "Its manifest's SHA-256", cs_model_manifest_sha256(d->model));
    option(h, "Its binary's SHA-256", cs_model_binary_sha256(d->model));
    option(h, "Images", report_base_name(d->source, room));
    option(h, "Method", d->method);
    option(h, "Layer", d->layer);
    option(h, "Explained class", d->class_text);
    option(h, "Target", d->target);
    option(h, "Region of interest", d->roi ? report_base_name(d->roi, room) : "none");
    option(h, "Changes to pictures", d->has_changes ? "tried" : "off");
    option(h, "Intervals and tests", d->by_patient ? "by patient" : "by image");
    html_format(h, "<dt>Seed</dt><dd>%llu</dd>\n", (unsigned long long)d->seed);
    option(h, "Program", "cnnscope " CNNSCOPE_VERSION);
    option(h, "Where the files lay", "in manifest.json beside this page, not in the page");
    html_put(h, "</dl>\n</section>\n");
}
