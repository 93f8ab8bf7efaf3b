/* report_patterns.c - the five patterns: grade, maps against null, change against control. */
#include "report_parts.h"

#include <math.h>

static void small_interval(html *h, const char *before, cs_interval v, bool with_sign,
                           const char *after) {
    html_put(h, before);
    html_interval(h, v, report_digits(v.value), with_sign);
    html_put(h, after);
}

static void p_value(html *h, double p) {
    if (!isfinite(p))
        return;
    html_put(h, p < 0.001 ? "p&nbsp;&lt;&nbsp;0.001" : "p&nbsp;=&nbsp;");
    if (p >= 0.001)
        html_number(h, p, 3);
    html_put(h, " corrected");
}

static void share_of(html *h, cs_interval v) {
    html_percent(h, v.value);
    if (!isfinite(v.low) || !isfinite(v.high))
        return;
    html_put(h, " <span class=\"soft\">(");
    html_percent(h, v.low);
    html_put(h, " to ");
    html_percent(h, v.high);
    html_put(h, ")</span>");
}

static void counts(html *h, const cs_diagnosis_flag *flag, const char *class_name) {
    html_count(h, flag->count);
    html_put(h, flag->count == 1 ? " map" : " maps");
    if (class_name) {
        html_put(h, " of ");
        html_name(h, class_name);
    }
    if (flag->patients > 0) {
        html_put(h, " from ");
        html_count(h, flag->patients);
        html_put(h, flag->patients == 1 ? " patient" : " patients");
    }
    html_put(h, ". ");
}

static void null_line(html *h, const report_finding *f) {
    const cs_threshold *t = f->limit;
    if (!t)
        return;
    html_put(h, f->two_sided ? "Threshold \xC2\xB1"
                : f->below   ? "Flagged below "
                             : "Flagged above ");
    html_number(h, t->value, report_digits(t->value));
    if (t->null_count == 0) {
        html_put(h, ": there is no null, since no region of interest could be measured on one. ");
        return;
    }
    html_put(h, ". Null: median ");
    html_number(h, t->null_median, report_digits(t->null_median));
    if (t->quantile > 0.5) {
        html_put(h, ", ");
        html_count(h, (int64_t)lround(100.0 * t->quantile));
        html_put(h, "&nbsp;% quantile ");
        html_number(h, t->null_quantile, report_digits(t->null_quantile));
    }
    html_put(h, " of ");
    html_count(h, t->null_count);
    html_put(h, f->two_sided ? " networks. " : " maps. ");
}

static void map_cell(html *h, const report_finding *f) {
    html_put(h, "<td data-head=\"Maps\">");
    if (!f->flag || !isfinite(f->flag->mean.value)) {
        html_put(h, "<p class=\"soft\">");
        html_put(h, f->reason ? f->reason : "Not measured.");
        html_put(h, "</p></td>\n");
        return;
    }
    html_put(h, "<p class=\"figures\"><b>");
    html_interval(h, f->flag->mean, report_digits(f->flag->mean.value), f->two_sided);
    html_put(h, "</b> ");
    html_put(h, f->statistic);
    if (f->pattern == CS_PATTERN_CORNER && f->where)
        html_format(h, ", %s", f->where);
    html_put(h, "</p>");
    report_strip_map(h, f);
    html_put(h, "<p><small>");
    if (isfinite(f->flag->share.value)) {
        share_of(h, f->flag->share);
        html_put(h, f->two_sided ? " of the images lie on the stronger side; "
                                 : " of the images lie beyond the threshold; ");
        html_percent(h, f->limit ? f->limit->null_rate : (double)NAN);
        html_put(h, " would be no evidence; ");
        p_value(h, f->flag->share_p);
        html_put(h, ". ");
    }
    null_line(h, f);
    counts(h, f->flag, f->class_name);
    if (f->reason)
        html_put(h, f->reason);
    html_format(h, "<br>Evidence of the maps: <b>%s</b></small></p></td>\n",
                f->flag->map_evidence ? "yes" : "no");
}

static void effect_cell(html *h, const report_finding *f, bool has_changes) {
    html_put(h, "<td data-head=\"Change made to the picture\">");
    if (!f->flag || f->change == CS_CHANGE_COUNT || !isfinite(f->effect.value)) {
        html_put(h, has_changes
                        ? "<p class=\"soft\">Not measured.</p></td>"
                        : "<p class=\"soft\">Not tried: counterfactuals were off.</p></td>");
        return;
    }
    bool uniform = f->pattern == CS_PATTERN_UNIFORM;
    html_put(h, "<p class=\"figures\"><b>");
    html_interval(h, f->effect, report_digits(f->effect.value), !uniform);
    html_format(h, "</b> %s, with %s</p>", f->effect_text, f->change_text);
    report_strip_effect(h, f);
    html_put(h, "<p><small>");
    if (f->control_count > 0)
        html_format(h, "%s%s: ", uniform ? "With " : "Control, ", f->control_text);
    for (int i = 0; i < f->control_count; i++)
        small_interval(h, i == 0 ? "" : ", ", f->control[i], !uniform, "");
    html_put(h, f->control_count > 0 ? ". " : "");
    if (!uniform) {
        small_interval(h, "Beyond the control: ", f->flag->excess, true, "; ");
        small_interval(h, "relative to the margin of the whole image ", f->flag->relative, true,
                       "; less than 0.1 counts as none; ");
    }
    p_value(h, f->flag->excess_p);
    html_format(h, ".<br>Evidence of the change: <b>%s</b></small></p></td>",
                f->flag->counter_evidence ? "yes" : "no");
}

static void class_row(report *r, const cs_diagnosis_flag *flag) {
    html *h = &r->h;
    char room[24];
    html_put(h, "<tr><th scope=\"row\">");
    html_name(h, report_class(r->d, flag->class_index, room));
    html_format(h, "</th><td class=\"t\">%s</td><td>", report_pattern_title(flag->pattern));
    report_grade(h, flag->verdict);
    html_put(h, "</td><td class=\"n\">");
    html_count(h, flag->count);
    html_put(h, "</td><td class=\"n\">");
    html_interval(h, flag->mean, report_digits(flag->mean.value), false);
    html_put(h, "</td><td class=\"n\">");
    html_percent(h, flag->share.value);
    html_put(h, "</td><td class=\"n\">");
    html_interval(h, flag->relative, report_digits(flag->relative.value), true);
    html_put(h, "</td><td>");
    const char *suspect = report_region_words(flag->suspect);
    html_put(h, suspect ? suspect : "");
    html_put(h, "</td></tr>\n");
}

static void class_table(report *r) {
    html *h = &r->h;
    if (r->d->flag_count <= CS_PATTERN_COUNT)
        return;
    html_put(h, "<h3 id=\"by-class\">Every class</h3>\n<div class=\"wide\" role=\"region\" "
                "aria-labelledby=\"by-class\" tabindex=\"0\"><table><caption>Above stands the "
                "class with the strongest finding of each pattern; here all of them.</caption>"
                "<thead><tr><th scope=\"col\">Maps of</th><th scope=\"col\">Pattern</th>"
                "<th scope=\"col\">Verdict</th><th scope=\"col\" class=\"n\">Maps</th>"
                "<th scope=\"col\" class=\"n\">Statistic</th>"
                "<th scope=\"col\" class=\"n\">Beyond threshold</th>"
                "<th scope=\"col\" class=\"n\">Change, relative</th>"
                "<th scope=\"col\">Suspect</th></tr></thead>\n<tbody>\n");
    for (int64_t i = 0; i < r->d->flag_count; i++)
        class_row(r, &r->d->flags[i]);
    html_put(h, "</tbody></table></div>\n");
}

void report_patterns(report *r) {
    html *h = &r->h;
    html_put(h, "<section id=\"patterns\" aria-labelledby=\"patterns-h\">"
                "<h2 id=\"patterns-h\">Five patterns, two looks at each</h2>\n"
                "<p>First, where the heat lies, against what blank and noise inputs and shuffled "
                "weights give. Second, how the score answers when that place is changed, against "
                "a control. A pattern is supported only where both agree.</p>\n");
    report_strip_legend(h);
    html_put(h, "<table class=\"patterns\"><thead><tr><th scope=\"col\">Pattern</th>"
                "<th scope=\"col\">Maps</th><th scope=\"col\">Change made to the picture</th></tr>"
                "</thead>\n<tbody>\n");
    for (int k = 0; k < CS_PATTERN_COUNT; k++) {
        const report_finding *f = &r->finding[k];
        html_format(h, "<tr><th scope=\"row\">%s<br>", report_pattern_title((cs_pattern)k));
        report_grade(h, f->verdict);
        html_format(h, "<small>%s</small></th>\n", report_pattern_about((cs_pattern)k));
        map_cell(h, f);
        effect_cell(h, f, r->d->has_changes);
        html_put(h, "</tr>\n");
    }
    html_put(h, "</tbody></table>\n<p><small>Brackets hold bootstrap 95&nbsp;% intervals");
    html_put(h, r->d->by_patient ? ", by patient" : " over images, each taken as independent");
    html_put(h, "; p values are Holm-corrected for ");
    html_count(h, r->d->tests);
    html_put(h, " tests. Margin: the class's logit minus the largest other.</small></p>\n");
    class_table(r);
    html_put(h, "</section>\n");
}
