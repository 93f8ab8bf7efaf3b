/* shortcut_flags.c - from rows to flags: for each class and pattern, what the maps show beyond the
 * nulls, and whether the network's own answers to changed images agree.
 */
#include "shortcut_summary.h"

#include <math.h>
#include <stdlib.h>

enum { LEAST_ROWS = 10 };
#define LEVEL          0.05
#define LEAST_RELATIVE 0.1
#define LEAST_SURVIVAL 0.5

enum {
    MEAN_CORNER = 0, /* of each corner's enrichment */
    MEAN_UNIFORM = CS_CORNER_COUNT,
    MEAN_ROI,
    MEAN_SIDE,
    MEAN_EDGE, /* of each edge's enrichment */
    SHARE_CORNER = MEAN_EDGE + CS_EDGE_COUNT,
    SHARE_UNIFORM,
    SHARE_ROI,
    SHARE_LEFT,
    SHARE_RIGHT,
    SHARE_BORDER,
    NEAR_CORNER, /* to the threshold */
    NEAR_BORDER,
    MARGIN, /* absolute, of all rows */
    STAYS,  /* of images predicted as the class: flat, shuffled */
    BECOMES = STAYS + 2,
    TALLIES = BECOMES + 2
};

/* The places whose change is tried, and what it costs beyond its control. */
typedef enum place {
    PLACE_CORNER = 0, /* each corner */
    PLACE_HOTTEST = CS_CORNER_COUNT,
    PLACE_RING_HOTTEST,
    PLACE_LEFT, /* this half minus the other */
    PLACE_RIGHT,
    PLACES
} place;

/* Sums over all rows, and over those whose map lies beyond the threshold there: a pattern that a
 * part of the images has would be thinned by the rest. */
enum { ALL = 0, SHOWN, KINDS };
typedef struct place_sums {
    tally excess, margin;
    flips test;
} place_sums;

typedef struct class_sums {
    int64_t class_index;
    tally tallies[TALLIES];
    place_sums places[PLACES][KINDS];
    double *memory;
    int64_t rows;
    int64_t patients;
    unsigned char *seen;
} class_sums;

cs_statistic pattern_statistic(cs_pattern pattern) {
    static const cs_statistic of[CS_PATTERN_COUNT] = {CS_STAT_CORNER, CS_STAT_ENTROPY,
                                                      CS_STAT_ENRICHMENT_ROI,
                                                      CS_STAT_LATERALITY_IMAGE, CS_STAT_EDGE};
    return of[pattern];
}

bool cs_row_is_beyond(const cs_diagnosis_row *row, cs_pattern pattern,
                      const cs_threshold *threshold) {
    double v = row->value[pattern_statistic(pattern)];
    if (pattern == CS_PATTERN_ROI)
        return v < threshold->value;
    return (pattern == CS_PATTERN_SIDE ? fabs(v) : v) > threshold->value;
}

const char *cs_verdict_name(cs_verdict verdict) {
    static const char *const names[] = {"none", "map only", "supported", "undetermined"};
    return names[verdict];
}

cs_verdict cs_diagnosis_verdict(const cs_diagnosis *diagnosis, cs_pattern pattern) {
    cs_verdict best = CS_VERDICT_UNDETERMINED;
    for (int64_t i = 0; i < diagnosis->flag_count; i++) {
        const cs_diagnosis_flag *f = &diagnosis->flags[i];
        if (f->pattern == pattern && f->verdict != CS_VERDICT_UNDETERMINED &&
            (best == CS_VERDICT_UNDETERMINED || f->verdict > best))
            best = f->verdict;
    }
    return best;
}

/* ------------------------------------------------------------------ sums ----------------- */

/* 1, 0, or NaN where the statistic does not exist. */
static double beyond(const cs_diagnosis *d, const cs_diagnosis_row *row, cs_pattern pattern) {
    if (isnan(row->value[pattern_statistic(pattern)]))
        return (double)NAN;
    return cs_row_is_beyond(row, pattern, &d->nulls->threshold[pattern]) ? 1.0 : 0.0;
}

/* How near the row's heat comes to the pattern's threshold, at most 1; NaN as above. A network that
 * shows corners or edges to blank images too has a high threshold: the share of images beyond it
 * alone could not tell one that just misses it from one whose heat is elsewhere. */
static double nearness(const cs_diagnosis *d, const cs_diagnosis_row *row, cs_pattern pattern) {
    double ratio = row->value[pattern_statistic(pattern)] / d->nulls->threshold[pattern].value;
    return ratio > 1.0 ? 1.0 : ratio;
}

static void add_maps(const cs_diagnosis *d, class_sums *s, const cs_diagnosis_row *row,
                     const double *weights) {
    double side = row->value[CS_STAT_LATERALITY_IMAGE];
    double is_beyond = beyond(d, row, CS_PATTERN_SIDE);
    for (int c = 0; c < CS_CORNER_COUNT; c++)
        tally_add(&s->tallies[MEAN_CORNER + c], row->value[CS_STAT_ENRICHMENT_TOP_LEFT + c],
                  weights);
    tally_add(&s->tallies[MEAN_UNIFORM], row->value[CS_STAT_ENTROPY], weights);
    tally_add(&s->tallies[MEAN_ROI], row->value[CS_STAT_ENRICHMENT_ROI], weights);
    tally_add(&s->tallies[MEAN_SIDE], side, weights);
    for (int e = 0; e < CS_EDGE_COUNT; e++)
        tally_add(&s->tallies[MEAN_EDGE + e], row->value[CS_STAT_ENRICHMENT_TOP_EDGE + e], weights);
    tally_add(&s->tallies[SHARE_CORNER], beyond(d, row, CS_PATTERN_CORNER), weights);
    tally_add(&s->tallies[SHARE_UNIFORM], beyond(d, row, CS_PATTERN_UNIFORM), weights);
    tally_add(&s->tallies[SHARE_ROI], beyond(d, row, CS_PATTERN_ROI), weights);
    tally_add(&s->tallies[SHARE_BORDER], beyond(d, row, CS_PATTERN_BORDER), weights);
    tally_add(&s->tallies[NEAR_CORNER], nearness(d, row, CS_PATTERN_CORNER), weights);
    tally_add(&s->tallies[NEAR_BORDER], nearness(d, row, CS_PATTERN_BORDER), weights);
    tally_add(&s->tallies[SHARE_LEFT], side < 0.0 ? is_beyond : 0.0 * is_beyond, weights);
    tally_add(&s->tallies[SHARE_RIGHT], side > 0.0 ? is_beyond : 0.0 * is_beyond, weights);
}

/* What the place's change costs beyond its control. */
static double excess_of(const cs_diagnosis_row *row, place at) {
    double right = cs_row_drop(row, CS_CHANGE_RIGHT) - cs_row_drop(row, CS_CHANGE_LEFT);
    switch (at) {
    case PLACE_HOTTEST: return cs_row_excess(row, CS_CHANGE_HOTTEST);
    case PLACE_RING_HOTTEST: return cs_row_excess(row, CS_CHANGE_RING_HOTTEST);
    case PLACE_LEFT: return -right;
    case PLACE_RIGHT: return right;
    default: return cs_row_excess(row, (cs_change)at);
    }
}

/* Whether the row's map shows the pattern at this place. */
static bool is_shown(const cs_diagnosis *d, const cs_diagnosis_row *row, place at) {
    const cs_threshold *thresholds = d->nulls->threshold;
    double side = row->value[CS_STAT_LATERALITY_IMAGE];
    switch (at) {
    case PLACE_HOTTEST: return cs_row_is_beyond(row, CS_PATTERN_ROI, &thresholds[CS_PATTERN_ROI]);
    case PLACE_RING_HOTTEST:
        return cs_row_is_beyond(row, CS_PATTERN_BORDER, &thresholds[CS_PATTERN_BORDER]);
    case PLACE_LEFT: return side < -thresholds[CS_PATTERN_SIDE].value;
    case PLACE_RIGHT: return side > thresholds[CS_PATTERN_SIDE].value;
    default:
        return row->value[CS_STAT_ENRICHMENT_TOP_LEFT + (int)at] >
               thresholds[CS_PATTERN_CORNER].value;
    }
}

static void add_place(const cs_diagnosis *d, class_sums *s, const cs_diagnosis_row *row, place at,
                      const double *weights, const double *signs) {
    double excess = excess_of(row, at);
    for (int kind = ALL; kind < (is_shown(d, row, at) ? KINDS : SHOWN); kind++) {
        place_sums *sums = &s->places[at][kind];
        tally_add(&sums->excess, excess, weights);
        flips_add(&sums->test, excess, signs);
        if (kind == SHOWN)
            tally_add(&sums->margin, fabs(row->margin), weights);
    }
}

static void add_row(const cs_diagnosis *d, class_sums *s, const cs_diagnosis_image *image,
                    const cs_diagnosis_row *row, const double *weights, const double *signs) {
    int64_t p = image->patient_index;
    s->rows++;
    if (p >= 0 && !(s->seen[p / 8] >> (p % 8) & 1)) {
        s->seen[p / 8] |= (unsigned char)(1u << (p % 8));
        s->patients++;
    }
    add_maps(d, s, row, weights);
    if (!row->has_changes)
        return;
    for (int at = 0; at < PLACES; at++)
        add_place(d, s, row, (place)at, weights, signs);
    tally_add(&s->tallies[MARGIN], fabs(row->margin), weights);
}

/* Whether the prediction stays, or becomes the class, when nothing is left in its place. */
static void add_survival(class_sums *s, const cs_diagnosis_image *image, const double *weights) {
    static const cs_change changes[2] = {CS_CHANGE_FLAT, CS_CHANGE_SHUFFLED};
    const cs_diagnosis_row *row = image->rows;
    for (int i = 0; i < 2 && row->has_changes; i++) {
        int32_t predicted = row->change[changes[i]][0].predicted;
        if (predicted >= 0)
            tally_add(&s->tallies[(image->predicted == s->class_index ? STAYS : BECOMES) + i],
                      predicted == s->class_index ? 1.0 : 0.0, weights);
    }
}

static cs_status sum_classes(const cs_diagnosis *d, class_sums *sums, int64_t count, cs_stop stop,
                             cs_error *err) {
    double weights[BOOTSTRAP_REPLICATES], signs[BOOTSTRAP_FLIPS];
    for (int64_t i = 0; i < d->image_count; i++) {
        cs_diagnosis_image image;
        CS_TRY(summary_image(d, i, stop, &image, err));
        if (image.row_count == 0)
            continue;
        uint64_t unit = summary_unit(&image);
        bootstrap_weights(d->seed, unit, weights);
        bootstrap_signs(d->seed, unit, signs);
        for (int64_t k = 0; k < count; k++) {
            add_survival(&sums[k], &image, weights);
            for (int64_t r = 0; r < image.row_count; r++)
                if (image.rows[r].class_index == sums[k].class_index)
                    add_row(d, &sums[k], &image, &image.rows[r], weights, signs);
        }
    }
    return CS_OK;
}

static cs_status begin_sums(const cs_diagnosis *d, class_sums *s, int64_t class_index,
                            cs_error *err) {
    const size_t tally_size = 2 * BOOTSTRAP_REPLICATES;
    const size_t place_size = 2 * tally_size + BOOTSTRAP_FLIPS;
    *s = (class_sums){.class_index = class_index};
    s->memory =
        calloc(TALLIES * tally_size + (size_t)PLACES * KINDS * place_size, sizeof *s->memory);
    s->seen = calloc((size_t)d->patient_count / 8 + 1, 1);
    CS_CHECK(s->memory && s->seen, CS_ERROR_MEMORY, "out of memory");
    double *free_memory = s->memory;
    for (size_t t = 0; t < TALLIES; t++, free_memory += tally_size)
        tally_begin(&s->tallies[t], free_memory);
    for (size_t p = 0; p < (size_t)PLACES * KINDS; p++, free_memory += place_size) {
        place_sums *sums = &s->places[p / KINDS][p % KINDS];
        tally_begin(&sums->excess, free_memory);
        tally_begin(&sums->margin, free_memory + tally_size);
        sums->test.sums = free_memory + 2 * tally_size;
    }
    return CS_OK;
}

/* ------------------------------------------------------------------ flags ---------------- */

static double map_score(const tally *tallies, const cs_diagnosis_flag *f) {
    switch (f->pattern) {
    case CS_PATTERN_CORNER: return tally_mean(&tallies[NEAR_CORNER]);
    case CS_PATTERN_BORDER: return tally_mean(&tallies[NEAR_BORDER]);
    case CS_PATTERN_SIDE: return fabs(f->mean.value);
    default: return f->share.value;
    }
}

static void map_evidence(const cs_diagnosis *d, const class_sums *s, const tally *mean,
                         const tally *share, cs_diagnosis_flag *f) {
    const cs_threshold *t = &d->nulls->threshold[f->pattern];
    f->mean = tally_interval(mean);
    f->share = tally_interval(share);
    f->count = f->mean.count;
    f->share_p = binomial_tail(share->count, (int64_t)(share->sum + 0.5), t->null_rate);
    f->map_score = map_score(s->tallies, f);
    double above = (f->share.value - t->null_rate) / (1.0 - t->null_rate);
    f->prevalence = above > 0.0 ? above : 0.0;
    bool negative = f->pattern == CS_PATTERN_SIDE && f->mean.value < 0.0;
    f->map_evidence = f->pattern == CS_PATTERN_ROI ? f->mean.high < t->value
                      : negative                   ? f->mean.high < -t->value
                                                   : f->mean.low > t->value;
}

/* Asked of the rows that show the pattern there, or of all where those are too few. SIDE is always
 * asked of all: heat on a side goes along with content on that side, so that the rows that show it
 * would answer yes in any network. */
static void counter_evidence(const class_sums *s, place at, cs_diagnosis_flag *f) {
    const place_sums *sums = &s->places[at][SHOWN];
    const tally *margin = &sums->margin;
    f->counter_is_of_shown = f->pattern != CS_PATTERN_SIDE && sums->excess.count >= LEAST_ROWS;
    if (!f->counter_is_of_shown) {
        sums = &s->places[at][ALL];
        margin = &s->tallies[MARGIN];
    }
    f->has_counter = sums->excess.count >= LEAST_ROWS;
    if (!f->has_counter)
        return;
    f->excess = tally_interval(&sums->excess);
    f->relative = tally_quotient(&sums->excess, margin);
    f->excess_p = flips_p(&sums->test);
}

static void survival_evidence(const class_sums *s, cs_diagnosis_flag *f) {
    double p[2];
    for (int i = 0; i < 2; i++) {
        const tally *stays = &s->tallies[STAYS + i], *becomes = &s->tallies[BECOMES + i];
        f->survival[i] = tally_difference(stays, becomes, &p[i]);
        if (stays->count < LEAST_ROWS || becomes->count < LEAST_ROWS)
            return;
    }
    int larger = f->survival[1].value > f->survival[0].value;
    f->has_counter = true;
    f->excess = f->relative = f->survival[larger];
    f->excess_p = p[larger];
}

/* The first of the largest means. */
static int largest(const tally *means, int count) {
    int best = 0;
    for (int i = 1; i < count; i++)
        if (tally_mean(&means[i]) > tally_mean(&means[best]))
            best = i;
    return best;
}

/* The tallies that each pattern looks at; corner, border and side choose by the maps alone. */
static void make_flag(const cs_diagnosis *d, const class_sums *s, cs_diagnosis_flag *f) {
    const tally *t = s->tallies;
    const int corner = largest(t + MEAN_CORNER, CS_CORNER_COUNT);
    const int edge = largest(t + MEAN_EDGE, CS_EDGE_COUNT);
    const bool left = tally_mean(&t[MEAN_SIDE]) < 0.0;
    switch (f->pattern) {
    case CS_PATTERN_CORNER:
        f->suspect = (cs_region)corner;
        map_evidence(d, s, &t[MEAN_CORNER + corner], &t[SHARE_CORNER], f);
        counter_evidence(s, (place)(PLACE_CORNER + corner), f);
        break;
    case CS_PATTERN_UNIFORM:
        map_evidence(d, s, &t[MEAN_UNIFORM], &t[SHARE_UNIFORM], f);
        survival_evidence(s, f);
        break;
    case CS_PATTERN_ROI:
        map_evidence(d, s, &t[MEAN_ROI], &t[SHARE_ROI], f);
        counter_evidence(s, PLACE_HOTTEST, f);
        break;
    case CS_PATTERN_BORDER:
        f->suspect = (cs_region)(CS_REGION_TOP_EDGE + edge);
        map_evidence(d, s, &t[MEAN_EDGE + edge], &t[SHARE_BORDER], f);
        counter_evidence(s, PLACE_RING_HOTTEST, f);
        break;
    default:
        f->suspect = left ? CS_REGION_LEFT : CS_REGION_RIGHT;
        map_evidence(d, s, &t[MEAN_SIDE], &t[left ? SHARE_LEFT : SHARE_RIGHT], f);
        counter_evidence(s, left ? PLACE_LEFT : PLACE_RIGHT, f);
    }
}

static void begin_flag(cs_diagnosis_flag *f, const class_sums *s, cs_pattern pattern) {
    const cs_interval none = {(double)NAN, (double)NAN, (double)NAN, 0};
    *f = (cs_diagnosis_flag){.pattern = pattern,
                             .class_index = s->class_index,
                             .suspect = CS_REGION_COUNT,
                             .patients = s->patients,
                             .mean = none,
                             .share = none,
                             .excess = none,
                             .relative = none,
                             .survival = {none, none},
                             .share_p = (double)NAN,
                             .excess_p = (double)NAN};
}

/* After the corrections: the verdicts. */
static void judge(const cs_diagnosis *d, cs_diagnosis_flag *f) {
    const cs_threshold *t = &d->nulls->threshold[f->pattern];
    bool more = f->share.low > t->null_rate && f->share_p < LEVEL;
    double least = f->pattern == CS_PATTERN_UNIFORM ? LEAST_SURVIVAL : LEAST_RELATIVE;
    f->map_evidence = f->map_evidence || more;
    f->counter_evidence = f->has_counter && f->relative.low > least && f->excess_p < LEVEL;
    double r = f->relative.value;
    f->counter_score = !f->has_counter || !(r > 0.0) ? 0.0 : r < 1.0 ? r : 1.0;
    f->score = f->has_counter ? f->map_score * f->counter_score : f->map_score;
    if (f->count < LEAST_ROWS) {
        f->verdict = CS_VERDICT_UNDETERMINED;
        f->map_evidence = f->counter_evidence = false;
        f->score = isnan(f->score) ? 0.0 : f->score;
        f->map_score = isnan(f->map_score) ? 0.0 : f->map_score;
    } else {
        f->verdict = !f->map_evidence      ? CS_VERDICT_NONE
                     : f->counter_evidence ? CS_VERDICT_SUPPORTED
                                           : CS_VERDICT_MAP_ONLY;
    }
}

static cs_status correct_and_judge(cs_diagnosis *d, cs_error *err) {
    size_t count = (size_t)d->flag_count;
    double **p = calloc(count + 1, sizeof *p);
    CS_CHECK(p, CS_ERROR_MEMORY, "out of memory");
    int done = 0;
    for (int family = 0; family < 2 && done >= 0; family++) {
        for (size_t i = 0; i < count; i++) {
            cs_diagnosis_flag *f = &d->flags[i];
            if (f->count < LEAST_ROWS)
                f->share_p = f->excess_p = (double)NAN;
            p[i] = family ? &f->excess_p : &f->share_p;
        }
        done = holm_correct(p, (int)count);
        d->tests += done;
    }
    free(p);
    CS_CHECK(done >= 0, CS_ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        judge(d, &d->flags[i]);
    return CS_OK;
}

cs_status summary_flags(cs_diagnosis *d, const int64_t *classes, int64_t count, cs_stop stop,
                        cs_error *err) {
    d->flags = calloc((size_t)count * CS_PATTERN_COUNT + 1, sizeof *d->flags);
    CS_CHECK(d->flags, CS_ERROR_MEMORY, "out of memory");
    for (int64_t first = 0; first < count; first += SUMMARY_BATCH) {
        int64_t some = count - first < SUMMARY_BATCH ? count - first : SUMMARY_BATCH;
        class_sums *sums = calloc((size_t)some, sizeof *sums);
        CS_CHECK(sums, CS_ERROR_MEMORY, "out of memory");
        cs_status status = CS_OK;
        for (int64_t k = 0; k < some && status == CS_OK; k++)
            status = begin_sums(d, &sums[k], classes[first + k], err);
        if (status == CS_OK)
            status = sum_classes(d, sums, some, stop, err);
        for (int64_t k = 0; k < some; k++) {
            for (int p = 0; status == CS_OK && p < CS_PATTERN_COUNT; p++) {
                cs_diagnosis_flag *f = &d->flags[d->flag_count++];
                begin_flag(f, &sums[k], (cs_pattern)p);
                make_flag(d, &sums[k], f);
            }
            free(sums[k].memory);
            free(sums[k].seen);
        }
        free(sums);
        CS_TRY(status);
    }
    return correct_and_judge(d, err);
}
