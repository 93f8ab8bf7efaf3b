/* trace_forward.c - one output of a node, term by term. */
#include "trace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double bias_of(trace *t, const trace_scene *s, int node, int64_t k) {
    if (cs_model_node(s->model, node)->parameters < 2) {
        trace_line(t, 0, s->dtype, "sum begins at 0 (there is no bias)");
        return 0;
    }
    const double bias = trace_parameter(s, node, 1, k);
    trace_line(t, bias, s->dtype, "sum begins at the bias, b[%lld]", (long long)k);
    return bias;
}

static double conv2d(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME], right[TRACE_NAME], iy_text[TRACE_NAME], ix_text[TRACE_NAME];
    const cs_node_info *info = cs_model_node(s->model, node);
    const cs_tensor *x = &s->values[info->input[0]];
    const trace_window win = trace_window_of(s, node);
    const int64_t groups = info->attributes.groups, channels = x->c / groups;
    const int64_t first = at.c / (info->attributes.out_channels / groups) * channels;
    trace_formula(t, "y[n,k,oy,ox] = b[k] + sum over r, s, c of x[n,c,%s,%s] * w[k,c,r,s]",
                  trace_input_text(iy_text, &win, 0), trace_input_text(ix_text, &win, 1));
    double sum = bias_of(t, s, node, at.c);
    for (int64_t r = 0; r < win.kernel[0]; r++)
        for (int64_t q = 0; q < win.kernel[1]; q++) {
            const int64_t iy = trace_input_at(&win, 0, at.h, r);
            const int64_t ix = trace_input_at(&win, 1, at.w, q);
            if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w) {
                trace_note(t,
                           "r = %lld, s = %lld: (%lld, %lld) lies outside the map: %lld terms "
                           "of 0",
                           (long long)r, (long long)q, (long long)iy, (long long)ix,
                           (long long)channels);
                continue;
            }
            for (int64_t c = 0; c < channels; c++) {
                const trace_place from = {at.n, first + c, iy, ix}, weight = {at.c, c, r, q};
                const double v = trace_value(x, from);
                const double w = trace_parameter(
                    s, node, 0, ((at.c * channels + c) * win.kernel[0] + r) * win.kernel[1] + q);
                sum = trace_fma(s->dtype, v, w, sum);
                trace_term(t, trace_name(left, "x", from), v, trace_name(right, "w", weight), w,
                           sum, s->dtype);
            }
        }
    return sum;
}

/* The sum is kept in double and rounded once. */
static double linear(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME], right[TRACE_NAME];
    const cs_tensor *x = &s->values[cs_model_node(s->model, node)->input[0]];
    trace_formula(t, "y[n,k] = b[k] + sum over c of x[n,c] * w[k,c], in double, rounded once");
    double sum = bias_of(t, s, node, at.c);
    for (int64_t c = 0; c < x->c; c++) {
        const trace_place from = {at.n, c, 0, 0}, weight = {at.c, c, 0, 0};
        const double v = trace_value(x, from), w = trace_parameter(s, node, 0, at.c * x->c + c);
        sum = fma(v, w, sum);
        trace_term(t, trace_name(left, "x", from), v, trace_name(right, "w", weight), w, sum,
                   CS_F64);
    }
    return trace_round(s->dtype, sum);
}

static double batch_norm(trace *t, const trace_scene *s, int node, trace_place at) {
    double shift;
    trace_formula(t, "y = x * scale + shift, rounded once");
    const double scale = trace_scale(t, s, node, at.c, &shift);
    const double x = trace_value(&s->values[cs_model_node(s->model, node)->input[0]], at);
    trace_line(t, x, s->dtype, "x[%lld,%lld,%lld,%lld]", (long long)at.n, (long long)at.c,
               (long long)at.h, (long long)at.w);
    return trace_fma(s->dtype, x, scale, shift);
}

static double relu(trace *t, const trace_scene *s, int node, trace_place at) {
    const double x = trace_value(&s->values[cs_model_node(s->model, node)->input[0]], at);
    trace_formula(t, "y = x <= 0 ? 0 : x");
    trace_line(t, x, s->dtype, "x[%lld,%lld,%lld,%lld]: the gate is %s", (long long)at.n,
               (long long)at.c, (long long)at.h, (long long)at.w, x <= 0 ? "closed" : "open");
    return x <= 0 ? 0 : x;
}

static double add(trace *t, const trace_scene *s, int node, trace_place at) {
    const cs_node_info *info = cs_model_node(s->model, node);
    const double a = trace_value(&s->values[info->input[0]], at);
    const double b = trace_value(&s->values[info->input[1]], at);
    trace_formula(t, "y = a + b");
    trace_line(t, a, s->dtype, "a, of %s", cs_model_node(s->model, info->input[0])->name);
    trace_line(t, b, s->dtype, "b, of %s", cs_model_node(s->model, info->input[1])->name);
    return trace_add(s->dtype, a, b);
}

static double max_pool(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME];
    const cs_tensor *x = &s->values[cs_model_node(s->model, node)->input[0]];
    const trace_window win = trace_window_of(s, node);
    double best = 0;
    bool any = false;
    trace_formula(t, "y = the largest x of the window, row by row; of equals the first; padding "
                     "never takes part");
    for (int64_t r = 0; r < win.kernel[0]; r++)
        for (int64_t q = 0; q < win.kernel[1]; q++) {
            const int64_t iy = trace_input_at(&win, 0, at.h, r);
            const int64_t ix = trace_input_at(&win, 1, at.w, q);
            if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w) {
                trace_note(t, "(%lld, %lld) lies outside the map", (long long)iy, (long long)ix);
                continue;
            }
            const trace_place from = {at.n, at.c, iy, ix};
            const double v = trace_value(x, from);
            if (!any || v > best || (isnan(v) && !isnan(best)))
                best = v;
            any = true;
            trace_term(t, trace_name(left, "x", from), v, "", 1, best, s->dtype);
        }
    return best;
}

static double average_pool(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME];
    const cs_tensor *x = &s->values[cs_model_node(s->model, node)->input[0]];
    const trace_window win = trace_window_of(s, node);
    double sum = 0;
    trace_formula(t, "y = (sum of the window's x, row by row, in double) / count, rounded once");
    for (int64_t r = 0; r < win.kernel[0]; r++)
        for (int64_t q = 0; q < win.kernel[1]; q++) {
            const int64_t iy = trace_input_at(&win, 0, at.h, r);
            const int64_t ix = trace_input_at(&win, 1, at.w, q);
            if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w) {
                trace_note(t, "(%lld, %lld) lies outside the map", (long long)iy, (long long)ix);
                continue;
            }
            const trace_place from = {at.n, at.c, iy, ix};
            const double v = trace_value(x, from);
            sum += v;
            trace_term(t, trace_name(left, "x", from), v, "", 1, sum, CS_F64);
        }
    const double count = trace_average_count(s, node, at.h, at.w);
    trace_line(t, count, CS_F64, "count");
    trace_line(t, sum / count, CS_F64, "sum / count, in double");
    return trace_round(s->dtype, sum / count);
}

static double moved(trace *t, const trace_scene *s, int node, trace_place at) {
    const cs_node_info *info = cs_model_node(s->model, node);
    const cs_tensor *x = &s->values[info->input[0]];
    trace_place from = {at.n, at.c / (x->h * x->w), at.c / x->w % x->h, at.c % x->w};
    if (strcmp(info->op, "flatten") == 0) {
        trace_formula(t, "y[n,(c*%lld+h)*%lld+w] = x[n,c,h,w]", (long long)x->h, (long long)x->w);
    } else {
        const cs_node_attributes *a = &info->attributes;
        from = (trace_place){at.n, at.c - a->pad_channels[0], at.h * a->stride[0],
                             at.w * a->stride[1]};
        trace_formula(t,
                      "y[n,k,oy,ox] = x[n,k-%lld,oy*%lld,ox*%lld] where there is such a channel, "
                      "else 0",
                      (long long)a->pad_channels[0], (long long)a->stride[0],
                      (long long)a->stride[1]);
    }
    if (from.c < 0 || from.c >= x->c) {
        trace_note(t, "channel %lld is one of the zero channels", (long long)at.c);
        return 0;
    }
    const double v = trace_value(x, from);
    trace_line(t, v, s->dtype, "x[%lld,%lld,%lld,%lld]", (long long)from.n, (long long)from.c,
               (long long)from.h, (long long)from.w);
    return v;
}

static double softmax(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME];
    const cs_tensor *x = &s->values[cs_model_node(s->model, node)->input[0]];
    double largest = cs_tensor_at(x, at.n, 0, at.h, at.w), sum = 0, own = 0;
    trace_formula(t, "y[c] = exp(x[c] - m) / (sum over j of exp(x[j] - m)), m the largest x, in "
                     "double, rounded once");
    for (int64_t c = 1; c < x->c; c++) {
        const double v = cs_tensor_at(x, at.n, c, at.h, at.w);
        if (!(v <= largest))
            largest = v;
    }
    trace_line(t, largest, s->dtype, "m");
    for (int64_t c = 0; c < x->c; c++) {
        const double e = cs_exp(cs_tensor_at(x, at.n, c, at.h, at.w) - largest);
        sum += e;
        (void)snprintf(left, sizeof left, "exp(x[%lld] - m)", (long long)c);
        trace_term(t, left, e, "", 1, sum, CS_F64);
        if (c == at.c)
            own = e;
    }
    trace_line(t, own / sum, CS_F64, "exp(x[%lld] - m) / sum, in double", (long long)at.c);
    return trace_round(s->dtype, own / sum);
}

double trace_forward(trace *t, const trace_scene *s, int node, trace_place at) {
    static const struct {
        const char *op;
        double (*trace)(trace *t, const trace_scene *s, int node, trace_place at);
    } operations[] = {{"conv2d", conv2d},
                      {"linear", linear},
                      {"batch_norm", batch_norm},
                      {"relu", relu},
                      {"add", add},
                      {"max_pool2d", max_pool},
                      {"avg_pool2d", average_pool},
                      {"adaptive_avg_pool2d", average_pool},
                      {"flatten", moved},
                      {"shortcut_a", moved},
                      {"softmax", softmax}};
    const char *op = cs_model_node(s->model, node)->op;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(op, operations[i].op) == 0)
            return operations[i].trace(t, s, node, at) + 0.0;
    trace_formula(t, "y = x + (+0): the input as it was given, -0 as 0");
    return trace_value(&s->values[node], at);
}
