/* trace_parameter.c - the gradient of one entry of a parameter, term by term: image after image
 * what each node that uses it contributes.
 */
#include "trace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One image at one node. */
typedef struct parameter_part {
    const trace_scene *s;
    int node;
    int64_t image;
    const cs_tensor *x, *dy; /* the node's input, the gradient of its output */
} parameter_part;

/* ------------------------------------------------------------------ weights -------------- */

/* Pixels of one chain of a weight's gradient, at least (docs/arithmetic.md). */
enum { BAND_PIXELS = 256 };

/* A row of outputs: its terms of the chain `sum`; returns the chain. */
static double weight_row(trace *t, const parameter_part *p, const trace_window *win,
                         const int64_t at[4], int64_t oy, double sum) {
    char left[TRACE_NAME], right[TRACE_NAME];
    const cs_node_attributes *a = &cs_model_node(p->s->model, p->node)->attributes;
    const int64_t group = at[0] / (p->dy->c / a->groups);
    const int64_t channel = group * (p->x->c / a->groups) + at[1];
    const int64_t iy = trace_input_at(win, 0, oy, at[2]);
    if (iy < 0 || iy >= p->x->h) {
        trace_note(t, "oy = %lld: iy = %lld lies outside the map: %lld terms of 0", (long long)oy,
                   (long long)iy, (long long)p->dy->w);
        return sum;
    }
    for (int64_t ox = 0; ox < p->dy->w; ox++) {
        const int64_t ix = trace_input_at(win, 1, ox, at[3]);
        if (ix < 0 || ix >= p->x->w)
            continue;
        const trace_place to = {p->image, at[0], oy, ox}, from = {p->image, channel, iy, ix};
        const double g = trace_value(p->dy, to), v = trace_value(p->x, from);
        sum = trace_fma(p->s->dtype, g, v, sum);
        trace_term(t, trace_name(left, "dy", to), g, trace_name(right, "x", from), v, sum,
                   p->s->dtype);
    }
    return sum;
}

static double conv2d_weight(trace *t, const parameter_part *p, const int64_t at[4]) {
    char iy[TRACE_NAME], ix[TRACE_NAME];
    const trace_window win = trace_window_of(p->s, p->node);
    const cs_dtype dtype = p->s->dtype;
    const int64_t rows = p->dy->h, band = (BAND_PIXELS + p->dy->w - 1) / p->dy->w;
    double value = 0;
    trace_formula(
        t, "dw[k,c,r,s] = sum over n, oy, ox of dy[n,k,oy,ox] * x[n,c,iy,ix], iy = %s, ix = %s",
        trace_input_text(iy, &win, 0), trace_input_text(ix, &win, 1));
    trace_note(t, "ox whose ix lies outside the map add 0 and are left out");
    for (int64_t first = 0; first < rows; first += band) {
        double sum = 0;
        const int64_t end = first + band < rows ? first + band : rows;
        for (int64_t oy = first; oy < end; oy++)
            sum = weight_row(t, p, &win, at, oy, sum);
        value = trace_add(dtype, value, sum) + 0.0;
        if (band < rows)
            trace_line(t, value, dtype, "bands so far: plus rows oy = %lld to %lld",
                       (long long)first, (long long)(end - 1));
    }
    return value;
}

static double linear_weight(trace *t, const parameter_part *p, const int64_t at[4]) {
    char left[TRACE_NAME], right[TRACE_NAME];
    const trace_place to = {p->image, at[0], 0, 0}, from = {p->image, at[1], 0, 0};
    const double g = trace_value(p->dy, to), v = trace_value(p->x, from);
    const double sum = trace_fma(p->s->dtype, g, v, 0);
    trace_formula(t, "dw[k,c] = sum over n of dy[n,k] * x[n,c]");
    trace_term(t, trace_name(left, "dy", to), g, trace_name(right, "x", from), v, sum, p->s->dtype);
    return sum + 0.0;
}

/* ------------------------------------------------------------------ vectors -------------- */

static double gamma_of(trace *t, const parameter_part *p, const int64_t at[4]) {
    char left[TRACE_NAME], right[TRACE_NAME], x[TRACE_NAME];
    const double mean = trace_parameter(p->s, p->node, 2, at[0]);
    const double variance = trace_parameter(p->s, p->node, 3, at[0]);
    const double eps = cs_model_node(p->s->model, p->node)->attributes.eps;
    const double inverse = 1 / sqrt(variance + eps);
    double sum = 0;
    trace_formula(t, "dgamma[c] = (sum over n, h, w of dy[n,c,h,w] * (x[n,c,h,w] - mean[c])) / "
                     "sqrt(var[c] + eps), in double, rounded once an image");
    trace_line(t, mean, CS_F32, "mean[%lld]", (long long)at[0]);
    for (int64_t h = 0; h < p->dy->h; h++)
        for (int64_t w = 0; w < p->dy->w; w++) {
            const trace_place here = {p->image, at[0], h, w};
            const double g = trace_value(p->dy, here), d = trace_value(p->x, here) - mean;
            sum = fma(g, d, sum);
            (void)snprintf(right, sizeof right, "%.80s - mean", trace_name(x, "x", here));
            trace_term(t, trace_name(left, "dy", here), g, right, d, sum, CS_F64);
        }
    trace_line(t, variance, CS_F32, "var[%lld]", (long long)at[0]);
    trace_line(t, inverse, CS_F64, "1 / sqrt(var + eps), eps = %.17g, in double", eps);
    trace_line(t, sum * inverse, CS_F64, "the sum times it, in double");
    return trace_round(p->s->dtype, sum * inverse) + 0.0;
}

/* A bias, and batch norm's beta. */
static double bias_of(trace *t, const parameter_part *p, const int64_t at[4]) {
    char left[TRACE_NAME];
    const bool norm = strcmp(cs_model_node(p->s->model, p->node)->op, "batch_norm") == 0;
    double sum = 0;
    trace_formula(t, "%s, in double, rounded once an image",
                  norm ? "dbeta[c] = sum over n, h, w of dy[n,c,h,w]"
                       : "db[k] = sum over n, oy, ox of dy[n,k,oy,ox]");
    for (int64_t h = 0; h < p->dy->h; h++)
        for (int64_t w = 0; w < p->dy->w; w++) {
            const trace_place here = {p->image, at[0], h, w};
            const double g = trace_value(p->dy, here);
            sum += g;
            trace_term(t, trace_name(left, "dy", here), g, "", 1, sum, CS_F64);
        }
    return trace_round(p->s->dtype, sum) + 0.0;
}

/* ------------------------------------------------------------------ all of it ------------ */

int trace_parameter_slot(const trace_scene *s, int node, int tensor) {
    const cs_node_info *info = cs_model_node(s->model, node);
    for (int i = 0; i < info->parameters && i < 2; i++)
        if (info->parameter[i] == tensor)
            return i;
    return -1;
}

static double image_part(trace *t, const parameter_part *p, int slot, const int64_t at[4]) {
    const char *op = cs_model_node(p->s->model, p->node)->op;
    if (slot == 1)
        return bias_of(t, p, at);
    if (strcmp(op, "conv2d") == 0)
        return conv2d_weight(t, p, at);
    return strcmp(op, "linear") == 0 ? linear_weight(t, p, at) : gamma_of(t, p, at);
}

/* The backward pass meets the last node first, and each node adds image after image. */
double trace_parameter_gradient(trace *t, const trace_scene *s, int tensor, const int64_t at[4]) {
    double gradient = 0;
    bool any = false;
    for (int node = s->seed_node; node > 0; node--) {
        const int slot = trace_parameter_slot(s, node, tensor);
        if (slot < 0 || !trace_reaches(s, node))
            continue;
        const cs_node_info *info = cs_model_node(s->model, node);
        parameter_part part = {s, node, 0, &s->values[info->input[0]], &s->gradients[node]};
        trace_part(t, info->name);
        for (; part.image < part.dy->n; part.image++) {
            const double v = image_part(t, &part, slot, at);
            trace_line(t, v, s->dtype, "contribution of image %lld", (long long)part.image);
            gradient = trace_add(s->dtype, gradient, v) + 0.0;
            if (any)
                trace_line(t, gradient, s->dtype, "added to the gradient");
            any = true;
        }
    }
    if (!any)
        trace_note(t, "the target does not depend on it");
    return gradient;
}
