/* report_rows.c - the table of all images, written as they come: memory does not grow with them. */
#include "report_parts.h"

#include <math.h>
#include <string.h>

/* Statistics in the row, then those shown when it is opened. */
static const struct {
    const char *title;
    cs_statistic statistic;
    bool more, roi;
} columns[] = {
    {"Corner, times even", CS_STAT_CORNER, false, false},
    {"Entropy", CS_STAT_ENTROPY, false, false},
    {"In region, times even", CS_STAT_ENRICHMENT_ROI, false, true},
    {"Right minus left", CS_STAT_LATERALITY_IMAGE, false, false},
    {"Heat upper left", CS_STAT_ENERGY_TOP_LEFT, true, false},
    {"Heat upper right", CS_STAT_ENERGY_TOP_RIGHT, true, false},
    {"Heat lower left", CS_STAT_ENERGY_BOTTOM_LEFT, true, false},
    {"Heat lower right", CS_STAT_ENERGY_BOTTOM_RIGHT, true, false},
    {"Heat at the border", CS_STAT_ENERGY_RING, true, false},
    {"Heat in the region", CS_STAT_ENERGY_ROI, true, true},
    {"Hottest cells in the region", CS_STAT_ROI_RANK, true, true},
    {"Gini", CS_STAT_GINI, true, false},
    {"Effective area", CS_STAT_EFFECTIVE_AREA, true, false},
    {"Right minus left that stays when mirrored", CS_STAT_POSITION, true, false},
};
#define COLUMNS (sizeof columns / sizeof columns[0])

static bool shown(const report *r, size_t i) { return !columns[i].roi || r->d->roi; }

static void head(html *h, const char *text, bool is_number, bool more) {
    html_format(h, "<th scope=\"col\" class=\"%s%s\"><button type=\"button\">",
                is_number ? "n" : "t", more ? " more" : "");
    html_text(h, text);
    html_put(h, "</button></th>");
}

static void table_head(report *r) {
    html *h = &r->h;
    html_put(h, "<thead><tr>");
    head(h, "Image", false, false);
    head(h, "Status", false, false);
    if (r->labelled > 0)
        head(h, "Label", false, false);
    head(h, "Predicted", false, false);
    head(h, "Maps of", false, true);
    head(h, "Probability", true, false);
    head(h, "Margin", true, true);
    for (size_t i = 0; i < COLUMNS; i++)
        if (shown(r, i) && !columns[i].more)
            head(h, columns[i].title, true, false);
    if (r->d->has_changes)
        head(h, "Fall of the margin by the main change", true, false);
    head(h, "Beyond threshold", false, false);
    for (int64_t c = 0; c < r->d->column_count; c++)
        head(h, r->d->columns[c], false, false);
    for (size_t i = 0; i < COLUMNS; i++)
        if (shown(r, i) && columns[i].more)
            head(h, columns[i].title, true, true);
    html_put(h, "</tr></thead>\n");
}

static void text_cell(html *h, const char *text, bool more) {
    html_put(h, more ? "<td class=\"more\">" : "<td>");
    html_name(h, text);
    html_put(h, "</td>");
}

static void number_cell(html *h, double v, bool with_sign, bool more) {
    html_put(h, more ? "<td class=\"n more\">" : "<td class=\"n\">");
    if (!isnan(v))
        (with_sign ? html_signed : html_number)(h, v, 3);
    html_put(h, "</td>");
}

static void statistic_cells(report *r, const cs_diagnosis_row *row, bool more) {
    for (size_t i = 0; i < COLUMNS; i++)
        if (shown(r, i) && columns[i].more == more)
            number_cell(&r->h, row ? row->value[columns[i].statistic] : (double)NAN,
                        columns[i].statistic == CS_STAT_LATERALITY_IMAGE ||
                            columns[i].statistic == CS_STAT_POSITION,
                        more);
}

static void beyond_cell(report *r, const cs_diagnosis_row *row) {
    html *h = &r->h;
    bool any = false;
    html_put(h, "<td>");
    for (int k = 0; row && r->d->nulls && k < CS_PATTERN_COUNT; k++)
        if (cs_row_is_beyond(row, (cs_pattern)k, &r->d->nulls->threshold[k])) {
            html_format(h, "%s%s", any ? ", " : "", cs_pattern_name((cs_pattern)k));
            any = true;
        }
    html_put(h, "</td>");
}

/* A message with the last part of each path that it may name in the path's place. */
static void put_message(report *r, const cs_diagnosis_image *image) {
    const char *const paths[] = {image->path, r->d->roi, r->d->source};
    char out[2048] = {0}, room[REPORT_NAME];
    size_t used = 0;
    for (const char *s = image->message; *s && used + 1 < sizeof out;) {
        const char *path = NULL;
        for (size_t i = 0; i < sizeof paths / sizeof paths[0] && !path; i++)
            if (paths[i] && *paths[i] && strncmp(s, paths[i], strlen(paths[i])) == 0)
                path = paths[i];
        if (path)
            used +=
                (size_t)snprintf(out + used, sizeof out - used, "%s",
                                 path == image->path ? image->file : report_base_name(path, room));
        else
            out[used++] = *s;
        s += path ? strlen(path) : 1;
        used = used < sizeof out ? used : sizeof out - 1;
    }
    html_name(&r->h, out);
}

static void status_cell(report *r, const cs_diagnosis_image *image, const cs_diagnosis_row *row) {
    html *h = &r->h;
    bool ok = image->status == CS_OK && row && row->map_status == CS_CAM_OK;
    html_put(h, ok ? "<td>ok" : "<td class=\"failed\">");
    if (image->status != CS_OK) {
        html_format(h, "%s: ", cs_status_name(image->status));
        put_message(r, image);
    } else if (!ok)
        html_put(h, row ? "empty map" : "no map");
    html_put(h, "</td>");
}

static void one_row(report *r, const cs_diagnosis_image *image, const cs_diagnosis_row *row) {
    html *h = &r->h;
    char room[24];
    const report_finding *f = &r->finding[r->leading];
    bool changed = row && row->has_changes && f->change != CS_CHANGE_COUNT;
    html_put(h, "<tr><th scope=\"row\"><button type=\"button\">");
    html_name(h, image->file);
    html_put(h, "</button></th>");
    status_cell(r, image, row);
    if (r->labelled > 0)
        text_cell(h, report_class(r->d, image->label, room), false);
    text_cell(h, report_class(r->d, image->predicted, room), false);
    text_cell(h, report_class(r->d, row ? row->class_index : -1, room), true);
    number_cell(h, row ? row->probability : (double)NAN, false, false);
    number_cell(h, row ? row->margin : (double)NAN, true, true);
    statistic_cells(r, row, false);
    if (r->d->has_changes)
        number_cell(h, changed ? cs_row_drop(row, f->change) : (double)NAN, true, false);
    beyond_cell(r, row);
    for (int64_t c = 0; c < r->d->column_count; c++)
        text_cell(h, image->columns ? image->columns[c] : "", false);
    statistic_cells(r, row, true);
    html_put(h, "</tr>\n");
}

static void tools(report *r) {
    html *h = &r->h;
    html_put(h, "<form class=\"tools\" role=\"search\" aria-label=\"Filter the table\">"
                "<p><label for=\"filter\">Contains</label><input id=\"filter\" type=\"search\" "
                "autocomplete=\"off\"></p>"
                "<p><label for=\"only\">Show</label><select id=\"only\">"
                "<option value=\"\">all images</option>");
    if (r->labelled > 0)
        html_put(h, "<option value=\"wrong\">wrong predictions</option>");
    for (int k = 0; k < CS_PATTERN_COUNT; k++)
        html_format(h, "<option value=\"%s\">beyond the threshold: %s</option>",
                    cs_pattern_name((cs_pattern)k), cs_pattern_name((cs_pattern)k));
    html_put(h, "<option value=\"failed\">not diagnosed, or an empty map</option></select></p>"
                "<p><button type=\"reset\">Clear</button></p>"
                "<output for=\"filter only\" aria-live=\"polite\"></output></form>\n"
                "<noscript><p>Sorting, filtering and opening a row need scripts, which are off "
                "here; the table holds everything.</p></noscript>\n");
}

cs_status report_rows(report *r, cs_error *err) {
    html *h = &r->h;
    html_put(h, "<section id=\"all\" aria-labelledby=\"all-h\"><h2 id=\"all-h\">All images</h2>\n"
                "<p>A head sorts, a name opens the rest of its row, Escape closes it. Exact "
                "numbers, and those of every change, are in diagnosis.csv.</p>\n");
    tools(r);
    html_put(h, "<div class=\"wide\" role=\"region\" aria-labelledby=\"all-h\" tabindex=\"0\">"
                "<table id=\"images\">");
    table_head(r);
    html_put(h, "<tbody>\n");
    for (int64_t i = 0; i < r->d->image_count; i++) {
        cs_diagnosis_image image = {0};
        CS_TRY(r->d->image(r->d->image_state, i, &image, err));
        for (int64_t k = 0; k < image.row_count; k++)
            one_row(r, &image, &image.rows[k]);
        if (image.row_count == 0)
            one_row(r, &image, NULL);
    }
    html_put(h, "</tbody></table></div>\n"
                "<p class=\"pages\"><button type=\"button\" id=\"rest\" hidden>Show the rest"
                "</button></p>\n</section>\n");
    return CS_OK;
}
