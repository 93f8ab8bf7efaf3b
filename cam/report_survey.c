/* report_survey.c - one pass over all images: how the network answers to each change, and which
 * images tell most. Nothing is kept of an image but its numbers in these tallies. */
#include "report_parts.h"

#include <math.h>

/* Keeps the largest keys, best first; of equals the first image. */
static void offer(report *r, int list, int64_t image, int64_t row, double key) {
    report_pick *picks = r->pick[list];
    int64_t *count = &r->picked[list], at = *count;
    if (!isfinite(key))
        return;
    while (at > 0 && key > picks[at - 1].key)
        at--;
    if (at >= REPORT_PICKS)
        return;
    if (*count < REPORT_PICKS)
        (*count)++;
    for (int64_t i = *count - 1; i > at; i--)
        picks[i] = picks[i - 1];
    picks[at] = (report_pick){image, row, key};
}

/* How much a map shows of the leading pattern. */
static double key_of(const report_finding *f, const cs_diagnosis_row *row) {
    if (!f->flag || row->class_index != f->flag->class_index)
        return (double)NAN;
    switch (f->pattern) {
    case CS_PATTERN_CORNER:
        return f->flag->suspect < CS_CORNER_COUNT
                   ? row->value[CS_STAT_ENRICHMENT_TOP_LEFT + (int)f->flag->suspect]
                   : (double)NAN;
    case CS_PATTERN_UNIFORM: return row->value[CS_STAT_ENTROPY];
    case CS_PATTERN_ROI: return -row->value[CS_STAT_ENRICHMENT_ROI];
    case CS_PATTERN_BORDER:
        return f->flag->suspect >= CS_REGION_TOP_EDGE && f->flag->suspect < CS_REGION_COUNT
                   ? row->value[CS_STAT_ENRICHMENT_TOP_EDGE +
                                ((int)f->flag->suspect - (int)CS_REGION_TOP_EDGE)]
                   : (double)NAN;
    case CS_PATTERN_SIDE:
        return row->value[CS_STAT_LATERALITY_IMAGE] *
               (f->flag->suspect == CS_REGION_LEFT ? -1.0 : 1.0);
    case CS_PATTERN_COUNT: break;
    }
    return (double)NAN;
}

/* Over the fills of a change; an answer counts once an image and fill. */
static void add_answer(report *r, const cs_diagnosis_image *image, const cs_diagnosis_row *row) {
    for (int c = 0; c < CS_CHANGE_COUNT; c++) {
        report_answer *a = &r->answer[c];
        for (int f = 0; f < CS_FILL_COUNT; f++) {
            const cs_change_result *result = &row->change[c][f];
            if (result->predicted < 0)
                continue;
            a->count++;
            a->kept += result->predicted == image->predicted;
            a->labelled += image->label >= 0;
            a->correct += image->label >= 0 && result->predicted == image->label;
            a->probability += result->probability;
            a->before += row->probability;
        }
    }
}

static void count_kept(report_answer *a, const cs_diagnosis_image *image,
                       const cs_diagnosis_row *row, cs_change change) {
    for (int f = 0; f < CS_FILL_COUNT; f++) {
        a->count += row->change[change][f].predicted >= 0;
        a->kept += row->change[change][f].predicted == image->predicted;
    }
}

/* What the verdict says of answers that change: only images whose answer is the class count. */
static void add_lead(report *r, const cs_diagnosis_image *image, const cs_diagnosis_row *row) {
    const report_finding *f = &r->finding[r->leading];
    if (!f->flag || f->change == CS_CHANGE_COUNT || !row->has_changes ||
        row->class_index != f->flag->class_index || image->predicted != row->class_index)
        return;
    count_kept(&r->lead, image, row, f->change);
    if (f->pattern == CS_PATTERN_SIDE)
        count_kept(&r->lead_control, image, row,
                   f->change == CS_CHANGE_LEFT ? CS_CHANGE_RIGHT : CS_CHANGE_LEFT);
    else
        for (int c = CS_CHANGE_CONTROL; c <= CS_CHANGE_CONTROL_LAST; c++)
            count_kept(&r->lead_control, image, row, (cs_change)c);
}

/* The row of the predicted class, or the first. */
static const cs_diagnosis_row *main_row(const cs_diagnosis_image *image) {
    for (int64_t i = 0; i < image->row_count; i++)
        if (image->rows[i].class_index == image->predicted)
            return &image->rows[i];
    return image->row_count > 0 ? &image->rows[0] : NULL;
}

static void add_image(report *r, int64_t index, const cs_diagnosis_image *image) {
    const cs_diagnosis_row *row = main_row(image);
    if (image->status != CS_OK || !row)
        return;
    r->done++;
    r->empty += row->map_status == CS_CAM_EMPTY;
    r->labelled += image->label >= 0;
    r->correct += image->label >= 0 && image->label == image->predicted;
    r->whole.count++;
    r->whole.probability += row->probability;
    if (row->has_changes) {
        r->answered++;
        add_answer(r, image, row);
    }
    if (image->label >= 0 && image->label != image->predicted)
        offer(r, REPORT_WRONG, index, row - image->rows, row->probability);
    for (int64_t i = 0; i < image->row_count; i++) {
        add_lead(r, image, &image->rows[i]);
        double key = key_of(&r->finding[r->leading], &image->rows[i]);
        offer(r, REPORT_MOST, index, i, key);
        offer(r, REPORT_LEAST, index, i, -key);
    }
}

cs_status report_survey(report *r, cs_error *err) {
    for (int64_t i = 0; i < r->d->image_count; i++) {
        cs_diagnosis_image image = {0};
        CS_TRY(r->d->image(r->d->image_state, i, &image, err));
        add_image(r, i, &image);
    }
    return CS_OK;
}
