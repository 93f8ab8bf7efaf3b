/* report_words.c - the verdict and the limits in plain words. */
#include "report_parts.h"

#include <math.h>
#include <string.h>

const char *report_pattern_title(cs_pattern pattern) {
    static const char *const titles[CS_PATTERN_COUNT] = {"Heat in one corner", "Heat spread evenly",
                                                         "Heat outside the region of interest",
                                                         "Heat on one side", "Heat along one edge"};
    return titles[pattern];
}

const char *report_pattern_about(cs_pattern pattern) {
    static const char *const about[CS_PATTERN_COUNT] = {
        "Labels, side markers and burnt-in text stand there.",
        "The map prefers no place: nothing in particular was learnt.",
        "Shoulders, tubes, what lies below the diaphragm, the border.",
        "The heat stays on its side whatever the picture shows, mirrored ones too.",
        "Burnt-in text, a frame, the edge of a cassette."};
    return about[pattern];
}

int report_digits(double value) {
    return fabs(value) < 0.0995 ? 3 : fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1 : 0;
}

const char *report_class(const cs_diagnosis *d, int64_t index, char room[24]) {
    const char *name = index >= 0 ? cs_model_class_name(d->model, index) : NULL;
    snprintf(room, 24, "class %d", (int)index);
    return index < 0 ? "" : name ? name : room;
}

const char *report_base_name(const char *path, char room[REPORT_NAME]) {
    size_t end = path ? strlen(path) : 0;
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && !(path[begin - 1] == '/' && end > 1))
        begin--;
    snprintf(room, REPORT_NAME, "%.*s", (int)(end - begin), path ? path + begin : "");
    return room;
}

void report_grade(html *h, cs_verdict verdict) {
    const char *class_name = "not-tested", *word = "not judged";
    const char *shape = "<path d=\"M1 6h10\" stroke=\"currentColor\" stroke-width=\"2\"/>";
    if (verdict == CS_VERDICT_NONE) {
        class_name = "none";
        word = "none found";
        shape = "<circle cx=\"6\" cy=\"6\" r=\"4.8\" fill=\"none\" stroke=\"currentColor\" "
                "stroke-width=\"1.6\"/>";
    } else if (verdict == CS_VERDICT_MAP_ONLY) {
        class_name = "map-only";
        word = "map only";
        shape = "<circle cx=\"6\" cy=\"6\" r=\"4.8\" fill=\"none\" stroke=\"currentColor\" "
                "stroke-width=\"1.6\"/><path d=\"M6 1.2a4.8 4.8 0 0 0 0 9.6z\" "
                "fill=\"currentColor\"/>";
    } else if (verdict == CS_VERDICT_SUPPORTED) {
        class_name = word = "supported";
        shape = "<circle cx=\"6\" cy=\"6\" r=\"5.6\" fill=\"currentColor\"/>";
    }
    html_format(h,
                "<span class=\"grade %s\"><svg viewBox=\"0 0 12 12\" aria-hidden=\"true\">%s</svg>"
                "%s</span>",
                class_name, shape, word);
}

static bool any_of(const report *r, cs_verdict verdict) {
    for (int k = 0; k < CS_PATTERN_COUNT; k++)
        if (r->finding[k].verdict == verdict)
            return true;
    return false;
}

/* Where covering the place takes less than half of the margin, other places count too. */
static const char *how_much(const report_finding *f) {
    return f->flag->relative.value < 0.5 ? "partly reads" : "reads";
}

static void headline_of(html *h, const report_finding *f) {
    switch (f->pattern) {
    case CS_PATTERN_CORNER:
        html_format(h, "This model %s %s.", how_much(f),
                    f->where ? f->where : "a corner of the picture");
        break;
    case CS_PATTERN_UNIFORM: html_put(h, "This model looks at nothing in particular."); break;
    case CS_PATTERN_ROI:
        html_format(h, "This model %s what lies outside the region of interest.", how_much(f));
        break;
    case CS_PATTERN_BORDER:
        html_format(h, "This model %s %s of the picture.", how_much(f),
                    f->where ? f->where : "an edge");
        break;
    case CS_PATTERN_SIDE:
    case CS_PATTERN_COUNT:
        html_format(h, "This model %s %s, whatever the picture shows.", how_much(f),
                    f->where ? f->where : "one side");
        break;
    }
}

void report_headline(report *r) {
    html *h = &r->h;
    if (r->done == 0)
        html_put(h, "No image could be diagnosed.");
    else if (any_of(r, CS_VERDICT_SUPPORTED))
        headline_of(h, &r->finding[r->leading]);
    else if (any_of(r, CS_VERDICT_MAP_ONLY))
        html_put(h, r->d->has_changes ? "The maps raise a question that the scores do not confirm."
                                      : "The maps raise a question that the scores were not "
                                        "asked.");
    else if (any_of(r, CS_VERDICT_NONE))
        html_put(h, any_of(r, CS_VERDICT_UNDETERMINED)
                        ? "No evidence of a shortcut in the patterns that could be judged."
                        : "No evidence of the five patterns looked for.");
    else
        html_put(h, "Too little to judge.");
}

static void bold_percent(html *h, double share) {
    html_put(h, "<b>");
    html_percent(h, share);
    html_put(h, "</b>");
}

static void value_of(html *h, const char *before, cs_interval v, const char *after) {
    html_put(h, before);
    html_put(h, "<b>");
    html_number(h, v.value, report_digits(v.value));
    html_put(h, "</b>");
    if (isfinite(v.low) && isfinite(v.high)) {
        html_put(h, " (95&nbsp;% interval ");
        html_number(h, v.low, report_digits(v.value));
        html_put(h, " to ");
        html_number(h, v.high, report_digits(v.value));
        html_put(h, ")");
    }
    html_put(h, after);
}

/* Where the energies and the enrichments of edges begin, and those of the other regions. */
static double of_region(const report_finding *f, cs_region region, cs_statistic edges,
                        cs_statistic others) {
    bool edge = region >= CS_REGION_TOP_EDGE;
    int first = (int)(edge ? edges : others);
    int number = (int)region - (edge ? (int)CS_REGION_TOP_EDGE : 0);
    return f->group ? f->group->statistic[first + number].value : (double)NAN;
}

static double energy_of(const report_finding *f, cs_region region) {
    return of_region(f, region, CS_STAT_ENERGY_TOP_EDGE, CS_STAT_ENERGY_TOP_LEFT);
}

static double area_of(const report_finding *f, cs_region region) {
    if (!f->group)
        return (double)NAN;
    if (region == CS_REGION_ROI)
        return f->group->statistic[CS_STAT_AREA_ROI].value;
    return energy_of(f, region) /
           of_region(f, region, CS_STAT_ENRICHMENT_TOP_EDGE, CS_STAT_ENRICHMENT_TOP_LEFT);
}

/* "When the model says OPACITY, ": which maps are spoken of. */
static void when(report *r, const report_finding *f) {
    html *h = &r->h;
    if (!f->class_name) {
        html_put(h, "In the maps, ");
        return;
    }
    html_put(h,
             strcmp(r->d->class_text, "argmax") == 0 ? "When the model says " : "In the maps for ");
    html_name(h, f->class_name);
    html_put(h, ", ");
}

/* Where the heat lies, in plain words. */
static void maps_say(report *r, const report_finding *f) {
    html *h = &r->h;
    when(r, f);
    switch (f->pattern) {
    case CS_PATTERN_CORNER:
    case CS_PATTERN_BORDER:
        bold_percent(h, energy_of(f, f->flag->suspect));
        html_format(h, " of the heat lies %s %s, which is ",
                    f->pattern == CS_PATTERN_BORDER ? "along" : "in",
                    f->where ? f->where : "a corner");
        html_percent(h, area_of(f, f->flag->suspect));
        html_put(h, " of the picture. ");
        break;
    case CS_PATTERN_ROI:
        bold_percent(h, 1.0 - energy_of(f, CS_REGION_ROI));
        html_put(h, " of the heat lies outside the region of interest; heat without a preference "
                    "would have ");
        html_percent(h, 1.0 - area_of(f, CS_REGION_ROI));
        html_put(h, " there. ");
        break;
    case CS_PATTERN_UNIFORM: html_put(h, "the heat prefers no place of the picture. "); break;
    case CS_PATTERN_SIDE:
    case CS_PATTERN_COUNT:
        html_format(h, "the heat lies on %s in ", f->where ? f->where : "one side");
        bold_percent(h, f->flag->share.value);
        html_put(h, " of the images. ");
        break;
    }
}

static double share_changed(const report_answer *a) {
    return 1.0 - (double)a->kept / (double)a->count;
}

/* How the answer changes when the place is covered, in plain words. */
static void change_says(report *r, const report_finding *f) {
    html *h = &r->h;
    if (f->change == CS_CHANGE_COUNT || !isfinite(f->flag->relative.value)) {
        html_put(h, "Whether the score depends on it was not tried. ");
        return;
    }
    if (f->pattern == CS_PATTERN_UNIFORM) {
        html_format(h, "With %s, ", f->change_text);
        bold_percent(h, f->effect.value);
        html_put(h, " of the predictions survive beyond chance: what is read needs no place. ");
        return;
    }
    if (r->lead.count == 0 || r->lead_control.count == 0)
        return;
    html_format(h, "With %s, ", f->change_text);
    bold_percent(h, share_changed(&r->lead));
    html_format(h, " of these answers change; with %s, ", f->control_text);
    bold_percent(h, share_changed(&r->lead_control));
    html_put(h, " do. ");
}

/* The same as the flag has it: statistic and threshold, excess and control. */
static void numbers_say(report *r, const report_finding *f) {
    static const char *const what[CS_PATTERN_COUNT] = {
        " times what an even map has there", " of an even map's entropy",
        " times the heat in the region that an even map has there",
        " is the mean laterality (\u22121 left, +1 right)", " times what an even map has there"};
    html *h = &r->h;
    html_put(h, "<p class=\"numbers\">");
    value_of(h, "In numbers: ", f->flag->mean, what[f->pattern]);
    html_put(h, "; the threshold, fixed before the images were seen, is ");
    html_number(h, f->limit ? f->limit->value : (double)NAN,
                report_digits(f->limit ? f->limit->value : 1.0));
    html_put(h, ".");
    if (f->pattern != CS_PATTERN_UNIFORM && f->change != CS_CHANGE_COUNT &&
        isfinite(f->flag->relative.value)) {
        html_format(h, " With %s, the margin over the next class falls by ", f->change_text);
        bold_percent(h, f->flag->relative.value);
        if (isfinite(f->flag->relative.low) && isfinite(f->flag->relative.high)) {
            html_put(h, " (");
            html_percent(h, f->flag->relative.low);
            html_put(h, " to ");
            html_percent(h, f->flag->relative.high);
            html_put(h, ")");
        }
        html_format(h, " of itself more than with %s", f->control_text);
        if (f->flag->counter_is_of_shown && f->flag->excess.count < f->flag->count) {
            html_put(h, " in the ");
            html_count(h, f->flag->excess.count);
            html_put(h, " images whose maps show it");
        }
        html_put(h, ": 100&nbsp;% is where an answer turns.");
    }
    html_put(h, "</p>\n");
}

/* "Also supported: heat on one side." for the patterns of a verdict but `except`. */
static void list_of(report *r, const char *begin, cs_verdict verdict, int except) {
    bool any = false;
    for (int k = 0; k < CS_PATTERN_COUNT; k++) {
        if (k == except || r->finding[k].verdict != verdict)
            continue;
        html_put(&r->h, any ? ", " : begin);
        const char *title = report_pattern_title((cs_pattern)k);
        html_format(&r->h, "%c%s", title[0] - 'A' + 'a', title + 1);
        any = true;
    }
    if (any)
        html_put(&r->h, ". ");
}

void report_lead(report *r) {
    html *h = &r->h;
    const report_finding *f = &r->finding[r->leading];
    html_put(h, "<p class=\"lead\">");
    if (r->done == 0)
        html_put(h, "What was wrong with each entry stands in the table below.");
    else if (f->verdict == CS_VERDICT_SUPPORTED || f->verdict == CS_VERDICT_MAP_ONLY) {
        maps_say(r, f);
        change_says(r, f);
        if (f->verdict == CS_VERDICT_MAP_ONLY && r->d->has_changes)
            html_put(h, "So the pattern is in the maps; that the score depends on it, more than on "
                        "other places, is not shown. ");
        list_of(r, "Also supported: ", CS_VERDICT_SUPPORTED, r->leading);
        list_of(r, "In the maps only: ", CS_VERDICT_MAP_ONLY, r->leading);
    } else if (f->verdict == CS_VERDICT_NONE)
        html_put(h, "For each pattern that was judged, the maps or the answers to changes stay on "
                    "the near side of thresholds that were fixed before the images were seen. That "
                    "is no clean bill of health: a shortcut of another kind, or one that maps do "
                    "not show, is not found this way. ");
    if (r->done > 0)
        list_of(r, "Not judged: ", CS_VERDICT_UNDETERMINED, -1);
    html_put(h, "</p>\n");
    if (r->done > 0 && (f->verdict == CS_VERDICT_SUPPORTED || f->verdict == CS_VERDICT_MAP_ONLY))
        numbers_say(r, f);
    html_put(h, "<p class=\"caution\">");
    html_put(h, any_of(r, CS_VERDICT_SUPPORTED)
                    ? "This is evidence, not proof. &ldquo;Supported&rdquo; means that two looks "
                      "agree: where the heat lies, beyond what blank and noise inputs give, and "
                      "how the score answers when that place is changed, beyond a control."
                    : "This is evidence, not proof, and absence of evidence is weaker still. "
                      "&ldquo;Supported&rdquo; would mean that the maps and a change made to the "
                      "picture agree.");
    html_put(h, " <a href=\"#limits\">What this report cannot show</a></p>\n");
}

void report_limits(report *r) {
    html *h = &r->h;
    html_put(
        h, "<section id=\"limits\" aria-labelledby=\"limits-h\"><h2 id=\"limits-h\">What this "
           "report cannot show</h2>\n<ul>\n"
           "<li><b>A shortcut without a place.</b> Exposure, sharpness, noise or a scanner's "
           "grey scale leave no spot on a map. Maps miss shortcuts nobody thought of, and raise "
           "false alarms (Adebayo and others, ICLR 2022).</li>\n"
           "<li><b>That a model is sound.</b> Heat in the right place does not make the reason "
           "right, and good scores elsewhere do not clear a model (DeGrave and others, Nature "
           "Machine Intelligence 2021; Viviano and others, ICLR 2021).</li>\n"
           "<li><b>Fine detail.</b> A cell of the map is many pixels wide. Grad-CAM localises "
           "worse than radiologists do, worst for small and complex findings (Saporta and "
           "others, Nature Machine Intelligence 2022); in a planted test its hottest tenth "
           "hardly touched the tag that the network read (Sun and others, MICCAI "
           "2023).</li>\n"
           "<li><b>What happens to real patients.</b> A covered, blurred or mirrored picture is "
           "one that the network never saw in training. The control patch answers for a part of "
           "that, not for all.</li>\n"
           "<li><b>Why.</b> A marker may be read because it comes with the disease, the "
           "hospital or the patient's posture: the groups above are a hint, and no cause.</li>\n");
    if (r->d->roi_is_template)
        html_put(h, "<li><b>Anatomy.</b> The region of interest is an approximation, one outline "
                    "for all pictures; a rotated or cropped picture does not fit it.</li>\n");
    if (!r->d->by_patient)
        html_put(h, "<li><b>Patients.</b> No column said which images belong together, so each "
                    "counted as independent: with several of one patient, the intervals are too "
                    "narrow.</li>\n");
    if (r->done > 0 && r->done < 30)
        html_put(h, "<li><b>Much, from so few images.</b> Intervals from fewer than 30 images are "
                    "rough, and may be too narrow.</li>\n");
    html_put(h, "</ul>\n</section>\n");
}
