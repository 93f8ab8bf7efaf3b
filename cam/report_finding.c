/* report_finding.c - of each pattern the class with the strongest flag, with its null and control
 * numbers in one place. */
#include "report_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *report_region_words(cs_region region) {
    switch (region) {
    case CS_REGION_TOP_LEFT: return "the upper left corner";
    case CS_REGION_TOP_RIGHT: return "the upper right corner";
    case CS_REGION_BOTTOM_LEFT: return "the lower left corner";
    case CS_REGION_BOTTOM_RIGHT: return "the lower right corner";
    case CS_REGION_RING: return "the border";
    case CS_REGION_ROI: return "the region of interest";
    case CS_REGION_LEFT: return "the left half";
    case CS_REGION_RIGHT: return "the right half";
    case CS_REGION_TOP_EDGE: return "the upper edge";
    case CS_REGION_BOTTOM_EDGE: return "the lower edge";
    case CS_REGION_LEFT_EDGE: return "the left edge";
    case CS_REGION_RIGHT_EDGE: return "the right edge";
    case CS_REGION_COUNT: break;
    }
    return NULL;
}

const cs_diagnosis_group *report_group(const cs_diagnosis *d, int64_t class_index, cs_cell cell) {
    for (int64_t i = 0; i < d->group_count; i++)
        if (d->groups[i].class_index == class_index && d->groups[i].cell == cell &&
            d->groups[i].column < 0)
            return &d->groups[i];
    return NULL;
}

static int rank(cs_verdict verdict) {
    return verdict == CS_VERDICT_SUPPORTED  ? 3
           : verdict == CS_VERDICT_MAP_ONLY ? 2
           : verdict == CS_VERDICT_NONE     ? 1
                                            : 0;
}

static const cs_diagnosis_flag *strongest(const cs_diagnosis *d, cs_pattern pattern) {
    const cs_diagnosis_flag *best = NULL;
    for (int64_t i = 0; i < d->flag_count; i++) {
        const cs_diagnosis_flag *f = &d->flags[i];
        if (f->pattern != pattern)
            continue;
        if (!best || rank(f->verdict) > rank(best->verdict) ||
            (rank(f->verdict) == rank(best->verdict) && f->score > best->score))
            best = f;
    }
    return best;
}

/* The values that stand against the threshold: of maps, or for CS_PATTERN_SIDE the means of the
 * networks. */
static cs_status copy_null(report_finding *f, const cs_null_set *nulls, cs_error *err) {
    f->null = calloc((size_t)(nulls->count > 0 ? nulls->count : 1), sizeof *f->null);
    if (!f->null)
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for the report's nulls");
    for (int64_t i = 0; i < nulls->count;) {
        double sum = 0.0;
        int64_t count = 0, begin = i;
        bool one_each = f->pattern != CS_PATTERN_SIDE;
        for (;
             i < nulls->count &&
             (one_each ? i == begin : !strcmp(nulls->maps[i].network, nulls->maps[begin].network));
             i++) {
            double v = nulls->maps[i].value[f->of_null];
            sum += isfinite(v) ? v : 0.0;
            count += isfinite(v);
        }
        if (count > 0)
            f->null[f->null_count++] = sum / (double)count;
    }
    return CS_OK;
}

static void describe_map(report_finding *f) {
    f->even = (double)NAN;
    switch (f->pattern) {
    case CS_PATTERN_CORNER:
        f->statistic = "times the heat that an even map has there";
        f->of_null = CS_STAT_CORNER;
        f->even = 1.0;
        break;
    case CS_PATTERN_UNIFORM:
        f->statistic = "entropy of the map, as a share of an even map's";
        f->of_null = CS_STAT_ENTROPY;
        f->even = 1.0;
        break;
    case CS_PATTERN_ROI:
        f->statistic = "times the heat in the region of interest that an even map has there";
        f->of_null = CS_STAT_ENRICHMENT_ROI;
        f->below = true;
        f->even = 1.0;
        break;
    case CS_PATTERN_BORDER:
        f->statistic = "times the heat along one edge that an even map has there";
        f->of_null = CS_STAT_EDGE;
        f->even = 1.0;
        break;
    case CS_PATTERN_SIDE:
    case CS_PATTERN_COUNT:
        f->statistic = "heat right minus left, as a share of both (\xE2\x88\x92"
                       "1 left, +1 right)";
        f->of_null = CS_STAT_LATERALITY_IMAGE;
        f->two_sided = true;
        f->even = 0.0;
        break;
    }
}

static void take_controls(report_finding *f) {
    for (int i = 0; i < REPORT_CONTROLS; i++)
        if (isfinite(f->group->drop[CS_CHANGE_CONTROL + i].value))
            f->control[f->control_count++] = f->group->drop[CS_CHANGE_CONTROL + i];
    f->control_text = "a square of the same size elsewhere";
}

static void describe_change(report_finding *f) {
    const cs_diagnosis_flag *flag = f->flag;
    f->change = CS_CHANGE_COUNT;
    f->effect = (cs_interval){(double)NAN, (double)NAN, (double)NAN, 0};
    if (!flag || !f->group || !flag->has_counter)
        return;
    f->effect_text = "fall of the margin over the next class";
    if (f->pattern == CS_PATTERN_CORNER && flag->suspect < CS_CORNER_COUNT) {
        f->change = (cs_change)(CS_CHANGE_TOP_LEFT + (int)flag->suspect);
        f->change_text = "the corner covered";
        take_controls(f);
    } else if (f->pattern == CS_PATTERN_ROI) {
        f->change = CS_CHANGE_HOTTEST;
        f->change_text = "the hottest square outside it covered";
        take_controls(f);
    } else if (f->pattern == CS_PATTERN_BORDER) {
        f->change = CS_CHANGE_RING_HOTTEST;
        f->change_text = "the hottest stretch of the border covered";
        take_controls(f);
    } else if (f->pattern == CS_PATTERN_SIDE) {
        bool left = flag->suspect == CS_REGION_LEFT;
        f->change = left ? CS_CHANGE_LEFT : CS_CHANGE_RIGHT;
        f->change_text = left ? "the left half covered" : "the right half covered";
        f->control[0] = f->group->drop[left ? CS_CHANGE_RIGHT : CS_CHANGE_LEFT];
        f->control_count = 1;
        f->control_text = "the other half";
    } else if (f->pattern == CS_PATTERN_UNIFORM) {
        bool flat = !(flag->survival[1].value > flag->survival[0].value);
        f->change = flat ? CS_CHANGE_FLAT : CS_CHANGE_SHUFFLED;
        f->change_text = flat ? "every pixel made the mean colour" : "tiles shuffled";
        f->effect_text = "of the predictions survive (0: the change erases what is read)";
        f->effect = flag->survival[flat ? 0 : 1];
        f->control[0] = flag->survival[flat ? 1 : 0];
        f->control_count = 1;
        f->control_text = flat ? "tiles shuffled" : "every pixel made the mean colour";
        return;
    }
    if (f->change != CS_CHANGE_COUNT)
        f->effect = f->group->drop[f->change];
}

static const char *where(const cs_diagnosis_flag *flag) {
    if (flag->suspect == CS_REGION_LEFT)
        return "the left side";
    if (flag->suspect == CS_REGION_RIGHT)
        return "the right side";
    return report_region_words(flag->suspect);
}

static cs_status make(report *r, report_finding *f, cs_pattern pattern, cs_error *err) {
    const cs_diagnosis *d = r->d;
    f->pattern = pattern;
    f->flag = strongest(d, pattern);
    f->verdict = f->flag ? f->flag->verdict : CS_VERDICT_UNDETERMINED;
    if (f->flag) {
        f->group = report_group(d, f->flag->class_index, CS_CELL_ALL);
        f->class_name = report_class(d, f->flag->class_index, f->class_room);
        f->where = where(f->flag);
    }
    if (pattern == CS_PATTERN_ROI && !d->roi)
        f->reason = "No region of interest was given (--roi).";
    else if (!f->flag || f->flag->count == 0)
        f->reason = "No map to measure.";
    else if (f->verdict == CS_VERDICT_UNDETERMINED)
        f->reason = "Too few images for an interval.";
    describe_map(f);
    describe_change(f);
    if (!d->nulls)
        return CS_OK;
    f->limit = &d->nulls->threshold[pattern];
    return copy_null(f, d->nulls, err);
}

cs_status report_findings_make(report *r, cs_error *err) {
    for (int k = 0; k < CS_PATTERN_COUNT; k++) {
        CS_TRY(make(r, &r->finding[k], (cs_pattern)k, err));
        if (rank(r->finding[k].verdict) > rank(r->finding[r->leading].verdict))
            r->leading = k;
    }
    return CS_OK;
}

void report_findings_free(report *r) {
    for (int k = 0; k < CS_PATTERN_COUNT; k++)
        free(r->finding[k].null);
}
