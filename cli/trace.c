#include "trace.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ the list ------------- */

void trace_free(trace *t) {
    free(t->items);
    *t = (trace){0};
}

static trace_item *add(trace *t, trace_kind kind) {
    if (t->full)
        return NULL;
    if ((t->count & (t->count - 1)) == 0) { /* 0 or a power of two: no room left */
        const size_t size = t->count ? 2 * (size_t)t->count : 1;
        trace_item *grown = realloc(t->items, size * sizeof *grown);
        if (!grown) {
            t->full = true;
            return NULL;
        }
        t->items = grown;
    }
    trace_item *item = &t->items[t->count++];
    *item = (trace_item){.kind = kind};
    return item;
}

static void put_words(trace_item *item, const char *format, va_list list) {
    if (item)
        (void)vsnprintf(item->text, sizeof item->text, format, list);
}

void trace_part(trace *t, const char *node) {
    trace_item *item = add(t, TRACE_PART);
    if (item)
        (void)snprintf(item->text, sizeof item->text, "%s", node);
}

void trace_formula(trace *t, const char *format, ...) {
    va_list list;
    va_start(list, format);
    put_words(add(t, TRACE_FORMULA), format, list);
    va_end(list);
}

void trace_note(trace *t, const char *format, ...) {
    va_list list;
    va_start(list, format);
    put_words(add(t, TRACE_NOTE), format, list);
    va_end(list);
}

void trace_line(trace *t, double value, cs_dtype type, const char *format, ...) {
    va_list list;
    trace_item *item = add(t, TRACE_LINE);
    va_start(list, format);
    put_words(item, format, list);
    va_end(list);
    if (item) {
        item->sum = value;
        item->type = type;
    }
}

void trace_term(trace *t, const char *left, double x, const char *right, double w, double sum,
                cs_dtype type) {
    trace_item *item = add(t, TRACE_TERM);
    if (!item)
        return;
    (void)snprintf(item->left, sizeof item->left, "%s", left);
    (void)snprintf(item->right, sizeof item->right, "%s", right);
    item->x = x;
    item->w = w;
    item->product = x * w;
    item->sum = sum;
    item->type = type;
}

const char *trace_name(char out[TRACE_NAME], const char *what, trace_place p) {
    (void)snprintf(out, TRACE_NAME, "%.8s[%lld,%lld,%lld,%lld]", what, (long long)p.n,
                   (long long)p.c, (long long)p.h, (long long)p.w);
    return out;
}

/* ------------------------------------------------------------------ arithmetic ----------- */

double trace_round(cs_dtype type, double v) { return type == CS_F32 ? (double)(float)v : v; }

double trace_fma(cs_dtype type, double x, double w, double sum) {
    return type == CS_F32 ? (double)fmaf((float)x, (float)w, (float)sum) : fma(x, w, sum);
}

double trace_add(cs_dtype type, double a, double b) {
    return type == CS_F32 ? (double)((float)a + (float)b) : a + b;
}

double trace_multiply(cs_dtype type, double a, double b) {
    return type == CS_F32 ? (double)((float)a * (float)b) : a * b;
}

/* ------------------------------------------------------------------ what nodes have ------ */

trace_window trace_window_of(const trace_scene *s, int node) {
    const cs_node_info *info = cs_model_node(s->model, node);
    const cs_node_attributes *a = &info->attributes;
    if (strcmp(info->op, "adaptive_avg_pool2d") == 0) { /* the window is the whole map */
        const cs_tensor *in = &s->values[info->input[0]];
        return (trace_window){{in->h, in->w}, {1, 1}, {0, 0}, {1, 1}};
    }
    trace_window w = {{0, 0}, {0, 0}, {0, 0}, {1, 1}};
    for (int i = 0; i < 2; i++) {
        w.kernel[i] = a->kernel_size[i];
        w.stride[i] = a->stride[i];
        w.padding[i] = a->padding[i];
        w.dilation[i] = a->dilation[i] > 0 ? a->dilation[i] : 1;
    }
    return w;
}

int64_t trace_input_at(const trace_window *w, int axis, int64_t out, int64_t tap) {
    return out * w->stride[axis] - w->padding[axis] + tap * w->dilation[axis];
}

const char *trace_input_text(char text[TRACE_NAME], const trace_window *w, int axis) {
    const long long stride = w->stride[axis], padding = w->padding[axis];
    const long long dilation = w->dilation[axis];
    (void)snprintf(text, TRACE_NAME, "o%c*%lld-%lld+%c*%lld", "yx"[axis], stride, padding,
                   "rs"[axis], dilation);
    return text;
}

double trace_average_count(const trace_scene *s, int node, int64_t oy, int64_t ox) {
    const cs_node_info *info = cs_model_node(s->model, node);
    const cs_tensor *in = &s->values[info->input[0]];
    const trace_window w = trace_window_of(s, node);
    const int64_t out[2] = {oy, ox}, size[2] = {in->h, in->w};
    double count = 1;
    for (int i = 0; i < 2; i++) {
        const int64_t pad = info->attributes.count_include_pad ? w.padding[i] : 0;
        const int64_t first = out[i] * w.stride[i] - w.padding[i];
        const int64_t begin = first < -pad ? -pad : first;
        const int64_t end =
            first + w.kernel[i] > size[i] + pad ? size[i] + pad : first + w.kernel[i];
        count *= (double)(end - begin);
    }
    return count;
}

double trace_parameter(const trace_scene *s, int node, int slot, int64_t index) {
    const cs_node_info *info = cs_model_node(s->model, node);
    return (double)cs_model_tensor(s->model, info->parameter[slot])->data[index];
}

double trace_scale(trace *t, const trace_scene *s, int node, int64_t channel, double *shift) {
    const cs_node_info *info = cs_model_node(s->model, node);
    const double gamma = trace_parameter(s, node, 0, channel);
    const double variance = trace_parameter(s, node, 3, channel);
    const double eps = info->attributes.eps, factor = gamma / sqrt(variance + eps);
    const double scale = trace_round(s->dtype, factor);
    trace_line(t, gamma, CS_F32, "gamma[%lld]", (long long)channel);
    trace_line(t, variance, CS_F32, "var[%lld]", (long long)channel);
    trace_line(t, factor, CS_F64, "gamma / sqrt(var + eps), eps = %.17g, in double", eps);
    trace_line(t, scale, s->dtype, "scale: the same, rounded to %s", cs_dtype_name(s->dtype));
    if (shift) {
        const double beta = trace_parameter(s, node, 1, channel);
        const double mean = trace_parameter(s, node, 2, channel);
        trace_line(t, beta, CS_F32, "beta[%lld]", (long long)channel);
        trace_line(t, mean, CS_F32, "mean[%lld]", (long long)channel);
        *shift = trace_round(s->dtype, fma(-mean, scale, beta));
        trace_line(t, *shift, s->dtype,
                   "shift: beta - mean * scale, one rounding in double, then "
                   "to %s",
                   cs_dtype_name(s->dtype));
    }
    return scale;
}
