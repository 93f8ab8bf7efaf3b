/* scorecam.c - Score-CAM (Wang and others 2020, arXiv 1910.01279).
 *
 *     M_c = mask of A_c * x                        mask: A_c enlarged to the input, scaled to 0..1
 *     S_c = f(M_c) - f(0)                          f: the target, by a forward pass a channel
 *     L = relu(sum over c of softmax(S)_c * A_c)   softmax over the channels
 *
 * f(0) is the same for all channels and cancels in the softmax; it is not computed.
 *
 * paper     enlarge (half-pixel centres), then minus its minimum, divided by its range; f is the
 *           target (the logit unless told otherwise)
 * authors   the authors' code: f is the softmax's probability, and it is the weight as it is, with
 *           no softmax over the channels; channels without range are left out
 * pgc       pytorch-grad-cam: enlarged with align_corners, divided by the range + 1e-8
 * torchcam  torch-cam: scaled at the layer's size (divided by the range + 1e-8), then enlarged
 *
 * A channel without range (a constant) has no mask of its own: it is 0 everywhere, so that all such
 * channels have one image, of zeros, and share one pass (authors: none). With max_channels, the
 * channels of largest standard deviation take part, the others do not (Faster Score-CAM).
 *
 * Masks are made in double; a masked value is rounded once to the run's type.
 */
#include "cam_internal.h"

#include <math.h>
#include <stdlib.h>

enum { PAPER, AUTHORS, PGC, TORCHCAM };
static const char *const variants[] = {"paper", "authors", "pgc", "torchcam", NULL},
                         *const aliases[] = {"score-cam", NULL};

enum { BATCH = 8 };
#define FLAT ((int64_t)-1) /* a pass whose image is zero */

/* One call's memory and where it stands. */
typedef struct scoring {
    cs_run *worker;
    cs_tensor activation, image; /* of the call's run: views, image call->n of which is meant */
    cs_tensor masked;            /* a batch of masked images */
    int64_t channels, batch;
    int64_t *passes; /* the channel of each pass, or FLAT */
    int64_t pass_count;
    bool *chosen, *flat; /* per channel */
    double *scores;      /* per class, per channel */
    double *flat_scores; /* per class */
    double *small, *rows, *large;
    cs_enlarge_tap *across, *down;
} scoring;

static void free_scoring(scoring *s) {
    cs_run_free(s->worker);
    cs_tensor_release(&s->masked);
    free(s->passes);
    free(s->chosen);
    free(s->scores);
    free(s->small);
    free(s->across);
}

/* Channel c of the image, row by row, into s->small. */
static void take_channel(const cs_cam_call *call, scoring *s, int64_t c) {
    const cs_tensor *a = &s->activation;
    size_t pixels = (size_t)(a->h * a->w), first = (size_t)call->n * pixels;
    for (size_t i = 0; i < pixels; i++)
        s->small[i] = cs_tensor_value(a, (first + i) * (size_t)a->c + (size_t)c);
}

static void range_of(const double *values, size_t count, double *low, double *high) {
    double least = values[0], most = values[0];
    for (size_t i = 1; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    *low = least;
    *high = most;
}

/* ------------------------------------------------------------------ which channels ------- */

typedef struct ranked {
    double deviation;
    int64_t channel;
} ranked;

/* The larger deviation first; of equals, the lower channel. */
static int compare_ranked(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->deviation != y->deviation)
        return x->deviation > y->deviation ? -1 : 1;
    return x->channel < y->channel ? -1 : x->channel > y->channel;
}

static double variance(const double *values, size_t count) {
    double mean = 0.0, sum = 0.0;
    for (size_t i = 0; i < count; i++)
        mean += values[i];
    mean /= (double)count;
    for (size_t i = 0; i < count; i++)
        sum += (values[i] - mean) * (values[i] - mean);
    return sum / (double)count;
}

/* Which channels take part, and which of them are flat. */
static cs_status choose_channels(const cs_cam_call *call, scoring *s, cs_error *err) {
    size_t pixels = (size_t)(s->activation.h * s->activation.w);
    int64_t most = call->options->max_channels;
    ranked *order = calloc((size_t)s->channels, sizeof *order);
    CS_CHECK(order, CS_ERROR_MEMORY, "no memory for %lld channels", (long long)s->channels);
    for (int64_t c = 0; c < s->channels; c++) {
        double low = 0.0, high = 0.0;
        take_channel(call, s, c);
        range_of(s->small, pixels, &low, &high);
        s->flat[c] = !(high > low);
        order[c] = (ranked){variance(s->small, pixels), c};
    }
    qsort(order, (size_t)s->channels, sizeof *order, compare_ranked);
    for (int64_t i = 0; i < s->channels; i++)
        s->chosen[order[i].channel] = most == 0 || i < most;
    free(order);
    return CS_OK;
}

/* A pass for each channel with a mask, in their order, and one for all flat ones. */
static void list_passes(const cs_cam_call *call, scoring *s) {
    bool any_flat = false;
    for (int64_t c = 0; c < s->channels; c++) {
        if (s->chosen[c] && !s->flat[c])
            s->passes[s->pass_count++] = c;
        any_flat = any_flat || (s->chosen[c] && s->flat[c]);
    }
    if (any_flat && call->variant != AUTHORS)
        s->passes[s->pass_count++] = FLAT;
}

/* ------------------------------------------------------------------ masked images -------- */

/* The mask of the channel in s->small, as values in s->large: (value - *low) / *divisor. */
static void make_mask(const cs_cam_call *call, scoring *s, double *low, double *divisor) {
    const cs_tensor *a = &s->activation, *x = &s->image;
    double high = 0.0;
    size_t pixels = (size_t)(a->h * a->w);
    if (call->variant == TORCHCAM) {
        range_of(s->small, pixels, low, &high);
        for (size_t i = 0; i < pixels; i++)
            s->small[i] = (s->small[i] - *low) / (high - *low + 1e-8);
    }
    cs_enlarge(s->small, a->h, a->w, s->across, x->w, s->down, x->h, s->rows, s->large);
    if (call->variant == TORCHCAM) {
        *low = 0.0;
        *divisor = 1.0;
        return;
    }
    range_of(s->large, (size_t)(x->h * x->w), low, &high);
    *divisor = high - *low + (call->variant == PGC ? 1e-8 : 0.0);
    if (!(high > *low)) /* enlarging has rounded the range away */
        *divisor = 1.0;
}

static void mask_f32(const scoring *s, double low, double divisor, const float *x, float *out) {
    size_t channels = (size_t)s->image.c, pixels = (size_t)(s->image.h * s->image.w);
    for (size_t i = 0; i < pixels; i++) {
        double mask = (s->large[i] - low) / divisor;
        for (size_t c = i * channels; c < (i + 1) * channels; c++)
            out[c] = (float)(mask * (double)x[c]);
    }
}

static void mask_f64(const scoring *s, double low, double divisor, const double *x, double *out) {
    size_t channels = (size_t)s->image.c, pixels = (size_t)(s->image.h * s->image.w);
    for (size_t i = 0; i < pixels; i++) {
        double mask = (s->large[i] - low) / divisor;
        for (size_t c = i * channels; c < (i + 1) * channels; c++)
            out[c] = mask * x[c];
    }
}

/* The masked image of a channel, or zeros, at place `slot` of the batch. */
static void mask_image(const cs_cam_call *call, scoring *s, int64_t channel, int64_t slot) {
    double low = 0.0, divisor = 1.0;
    size_t values = (size_t)(s->image.c * s->image.h * s->image.w);
    size_t from = (size_t)call->n * values, to = (size_t)slot * values;
    if (channel == FLAT) {
        for (size_t i = 0; i < values; i++)
            cs_tensor_store(&s->masked, to + i, 0.0);
        return;
    }
    take_channel(call, s, channel);
    make_mask(call, s, &low, &divisor);
    if (s->image.dtype == CS_F32)
        mask_f32(s, low, divisor, (const float *)s->image.data + from,
                 (float *)s->masked.data + to);
    else
        mask_f64(s, low, divisor, (const double *)s->image.data + from,
                 (double *)s->masked.data + to);
}

/* ------------------------------------------------------------------ scores --------------- */

static cs_status take_scores(const cs_cam_call *call, scoring *s, int64_t first, int64_t count,
                             cs_error *err) {
    cs_tensor logits = {0};
    cs_target target = call->options->target;
    if (call->variant == AUTHORS)
        target.kind = CS_TARGET_PROB;
    CS_TRY(cs_run_output(s->worker, &logits, err));
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < call->count; k++) {
            int64_t channel = s->passes[first + i];
            double *score =
                channel == FLAT ? &s->flat_scores[k] : &s->scores[k * s->channels + channel];
            CS_TRY(cs_target_value(&target, &logits, i, call->classes[k], score, err));
        }
    return CS_OK;
}

static cs_status run_passes(const cs_cam_call *call, scoring *s, cs_error *err) {
    for (int64_t first = 0; first < s->pass_count; first += s->batch) {
        int64_t left = s->pass_count - first, count = left < s->batch ? left : s->batch;
        cs_tensor masked = s->masked;
        masked.n = count;
        for (int64_t i = 0; i < count; i++)
            mask_image(call, s, s->passes[first + i], i);
        CS_TRY(cs_run_forward(s->worker, &masked, err));
        CS_TRY(cs_cam_check_finite(s->worker, err));
        CS_TRY(take_scores(call, s, first, count, err));
        CS_TRY(cs_cam_progress(call->options, first + count, s->pass_count, err));
    }
    return CS_OK;
}

/* scores[c] for a class: NaN for the channels that take no part. */
static void complete_scores(const cs_cam_call *call, scoring *s, int64_t k) {
    double *scores = s->scores + k * s->channels;
    for (int64_t c = 0; c < s->channels; c++) {
        if (!s->chosen[c] || (s->flat[c] && call->variant == AUTHORS))
            scores[c] = (double)NAN;
        else if (s->flat[c])
            scores[c] = s->flat_scores[k];
    }
}

/* ------------------------------------------------------------------ the map -------------- */

/* The softmax of the scores that are numbers; the others' weight is 0. */
static void softmax_weights(const double *scores, int64_t count, double *weights) {
    double most = (double)-INFINITY, sum = 0.0;
    for (int64_t c = 0; c < count; c++)
        most = scores[c] > most ? scores[c] : most;
    for (int64_t c = 0; c < count; c++) {
        weights[c] = isnan(scores[c]) ? 0.0 : cs_exp(scores[c] - most);
        sum += weights[c];
    }
    for (int64_t c = 0; c < count; c++)
        weights[c] = sum > 0.0 ? weights[c] / sum : 0.0;
}

static cs_status combine(const cs_tensor *activation, int64_t n, const double *scores,
                         bool raw_weights, cs_cam *cam, cs_error *err) {
    double *weights = calloc((size_t)activation->c + 1, sizeof *weights);
    CS_CHECK(weights, CS_ERROR_MEMORY, "no memory for the weights of %lld channels",
             (long long)activation->c);
    cs_status status = cs_tensor_allocate(&cam->signed_map, activation->dtype, 1, 1, activation->h,
                                          activation->w, err);
    if (status == CS_OK) {
        if (!raw_weights)
            softmax_weights(scores, activation->c, weights);
        for (int64_t c = 0; c < activation->c && raw_weights; c++)
            weights[c] = isnan(scores[c]) ? 0.0 : scores[c];
        cs_weighted_channels(activation, n, weights, &cam->signed_map);
    }
    free(weights);
    return status;
}

/* ------------------------------------------------------------------ the method ----------- */

static cs_status allocate(const cs_cam_call *call, scoring *s, cs_error *err) {
    const cs_tensor *a = &s->activation, *x = &s->image;
    size_t channels = (size_t)a->c;
    s->passes = calloc(channels + 1, sizeof *s->passes);
    s->chosen = calloc(2 * channels + 1, sizeof *s->chosen);
    s->scores = calloc((size_t)call->count * (channels + 1) + 1, sizeof *s->scores);
    s->small = calloc((size_t)(a->h * a->w) + (size_t)(a->h * x->w) + (size_t)(x->h * x->w),
                      sizeof *s->small);
    s->across = calloc((size_t)x->w + (size_t)x->h, sizeof *s->across);
    CS_CHECK(s->passes && s->chosen && s->scores && s->small && s->across, CS_ERROR_MEMORY,
             "no memory for scoring %zu channels", channels);
    s->flat = s->chosen + channels;
    s->flat_scores = s->scores + (size_t)call->count * channels;
    s->rows = s->small + a->h * a->w;
    s->large = s->rows + a->h * x->w;
    s->down = s->across + x->w;
    cs_enlarge_taps(a->w, x->w, call->variant == PGC, s->across);
    cs_enlarge_taps(a->h, x->h, call->variant == PGC, s->down);
    return CS_OK;
}

static cs_status make_scoring(const cs_cam_call *call, scoring *s, cs_error *err) {
    const cs_tensor *x = &s->image;
    CS_TRY(cs_run_activation(call->run, call->layer, &s->activation, err));
    CS_TRY(cs_run_activation(call->run, cs_model_node(call->model, 0)->name, &s->image, err));
    s->channels = s->activation.c;
    CS_TRY(allocate(call, s, err));
    CS_TRY(choose_channels(call, s, err));
    list_passes(call, s);
    s->batch = call->options->batch ? call->options->batch : BATCH;
    if (s->batch > s->pass_count)
        s->batch = s->pass_count ? s->pass_count : 1;
    CS_TRY(cs_tensor_allocate(&s->masked, x->dtype, s->batch, x->c, x->h, x->w, err));
    CS_TRY(cs_run_create_like(call->run, s->batch, NULL, &s->worker, err));
    return cs_run_prepare(s->worker, err);
}

static cs_status maps(const cs_cam_call *call, cs_cam *cams, cs_error *err) {
    scoring s = {0};
    cs_status status = make_scoring(call, &s, err);
    if (status == CS_OK)
        status = run_passes(call, &s, err);
    for (int64_t k = 0; k < call->count && status == CS_OK; k++) {
        complete_scores(call, &s, k);
        status = combine(&s.activation, call->n, s.scores + k * s.channels,
                         call->variant == AUTHORS, &cams[k], err);
        cams[k].forward_images = s.pass_count;
        cams[k].own_bytes = cs_run_memory_used(s.worker).arena;
    }
    free_scoring(&s);
    return status;
}

static cs_status check(const cs_target *target, int variant, cs_error *err) {
    CS_CHECK(variant != AUTHORS || target->kind == CS_TARGET_LOGIT ||
                 target->kind == CS_TARGET_PROB,
             CS_ERROR_ARGUMENT,
             "scorecam's variant authors weighs by the class's probability; take the target prob");
    return CS_OK;
}

const cs_cam_method cs_cam_method_scorecam = {
    .info = {.name = "scorecam",
             .title = "Score-CAM",
             .variants = variants,
             .many_passes = true,
             .has_channels = true},
    .aliases = aliases,
    .needs_activation = true,
    .needs_input = true,
    .check = check,
    .maps = maps,
};
