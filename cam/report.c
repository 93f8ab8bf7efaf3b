/* report.c - report.html: the verdict, its evidence, the images, and what it cannot show, as
 * one file that needs nothing else. */
#include "report_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void embedded(html *h, const char *begin, const char *end) {
    fwrite(begin, 1, (size_t)(end - begin), h->file);
}

static void page_head(report *r) {
    html *h = &r->h;
    char room[REPORT_NAME];
    html_put(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
                "<title>");
    report_headline(r);
    html_put(h, " cnnscope diagnosis of ");
    html_text(h, report_base_name(r->d->source, room));
    html_put(h, "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    embedded(h, cs_report_css, cs_report_css_end);
    html_put(h, "</style>\n<script>document.documentElement.className = \"loading\";</script>\n"
                "</head>\n<body>\n"
                "<a class=\"skip\" href=\"#verdict\">Skip to the verdict</a>\n"
                "<header class=\"masthead\"><span><b>cnnscope</b> diagnosis</span>"
                "<span>Model <b>");
    html_name(h, report_base_name(r->d->model_path, room));
    html_put(h, "</b></span><span>Images <b>");
    html_name(h, report_base_name(r->d->source, room));
    html_put(h, "</b></span></header>\n");
}

static void key_number(html *h, const char *name) { html_format(h, "<div><dt>%s</dt><dd>", name); }

static void key_numbers(report *r) {
    html *h = &r->h;
    char room[REPORT_NAME];
    html_put(h, "<dl class=\"key\">");
    key_number(h, "Images diagnosed");
    html_count(h, r->done);
    if (r->d->image_count != r->done) {
        html_put(h, "<small>of ");
        html_count(h, r->d->image_count);
        html_put(h, " entries; the rest has its reason in the table</small>");
    }
    if (r->empty > 0) {
        html_put(h, "<small>");
        html_count(h, r->empty);
        html_put(h, " with an empty map</small>");
    }
    html_put(h, "</dd></div>");
    key_number(h, "Predicted as labelled");
    if (r->labelled > 0)
        html_percent(h, (double)r->correct / (double)r->labelled);
    else
        html_put(h, "\xE2\x80\x93<small>no labels</small>");
    html_put(h, "</dd></div>");
    key_number(h, "Region of interest");
    html_put(h, r->d->roi ? "<small class=\"name\">" : "\xE2\x80\x93<small>none given</small>");
    if (r->d->roi) {
        html_name(h, report_base_name(r->d->roi, room));
        html_put(h, r->d->roi_is_template ? ", approximate</small>" : "</small>");
    }
    html_put(h, "</dd></div></dl>\n");
}

static void contents(html *h) {
    html_put(h, "<nav aria-label=\"Contents\"><ul><li><a href=\"#patterns\">Patterns</a></li>"
                "<li><a href=\"#telling\">Telling images</a></li>"
                "<li><a href=\"#maps\">Mean maps</a></li>"
                "<li><a href=\"#answers\">With and without</a></li>"
                "<li><a href=\"#groups\">Groups</a></li>"
                "<li><a href=\"#limits\">Limits</a></li><li><a href=\"#how\">How</a></li>"
                "<li><a href=\"#all\">All images</a></li></ul></nav>\n");
}

static cs_status page(report *r, cs_error *err) {
    html *h = &r->h;
    page_head(r);
    html_format(h, "<main>\n<div class=\"verdict%s\" id=\"verdict\" tabindex=\"-1\"><div>\n",
                r->picked[REPORT_MOST] > 0 ? " pictured" : "");
    report_grade(h, r->finding[r->leading].verdict);
    html_put(h, "\n<h1>");
    report_headline(r);
    html_put(h, "</h1>\n");
    report_lead(r);
    key_numbers(r);
    html_put(h, "</div>\n");
    CS_TRY(report_hero(r, err));
    html_put(h, "</div>\n");
    contents(h);
    report_patterns(r);
    CS_TRY(report_telling(r, err));
    CS_TRY(report_maps(r, err));
    report_answers(r);
    report_groups(r);
    report_limits(r);
    report_options(r);
    CS_TRY(report_rows(r, err));
    html_put(h, "</main>\n<footer>Made by cnnscope " CNNSCOPE_VERSION
                ". This page loads nothing from anywhere.</footer>\n<script>\n");
    embedded(h, cs_report_js, cs_report_js_end);
    html_put(h, "</script>\n</body>\n</html>\n");
    return CS_OK;
}

/* Nothing half-written stays. */
static cs_status close_page(report *r, const char *path, cs_status status, cs_error *err) {
    bool failed = ferror(r->h.file) != 0;
    failed = fclose(r->h.file) != 0 || failed;
    if (status == CS_OK && failed)
        status = cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be written: %s", path,
                              strerror(errno));
    if (status != CS_OK)
        unlink(path);
    return status;
}

cs_status cs_diagnosis_write_report(const cs_diagnosis *diagnosis, const char *folder,
                                    cs_error *err) {
    report r = {.d = diagnosis};
    char path[4096];
    CS_CHECK(snprintf(path, sizeof path, "%s/report.html", folder) < (int)sizeof path,
             CS_ERROR_OUTPUT, "the path of the report is too long");
    cs_status status = report_findings_make(&r, err);
    if (status == CS_OK)
        status = report_survey(&r, err);
    if (status == CS_OK) {
        r.h.file = fopen(path, "wbe");
        if (!r.h.file)
            status = cs_error_set(err, CS_ERROR_OUTPUT, path, -1, "%s: cannot be written: %s", path,
                                  strerror(errno));
    }
    if (r.h.file)
        status = close_page(&r, path, page(&r, err), err);
    report_findings_free(&r);
    return status;
}
