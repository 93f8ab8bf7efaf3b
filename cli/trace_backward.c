/* trace_backward.c - one gradient of a run, term by term: each consumer's contribution, and their
 * sum.
 */
#include "trace.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cs_tensor *input_of(const trace_scene *s, int node, int k) {
    return &s->values[cs_model_node(s->model, node)->input[k]];
}

static void show_dy(trace *t, const trace_scene *s, int node, trace_place at) {
    trace_line(t, trace_value(&s->gradients[node], at), s->dtype, "dy[%lld,%lld,%lld,%lld]",
               (long long)at.n, (long long)at.c, (long long)at.h, (long long)at.w);
}

/* ------------------------------------------------------------------ contributions -------- */

/* Which output reads input position `in` through tap `tap`; false for none. */
static bool output_of(const trace_window *w, int axis, int64_t in, int64_t tap, int64_t size,
                      int64_t *out) {
    const int64_t scaled = in + w->padding[axis] - tap * w->dilation[axis];
    *out = scaled / w->stride[axis];
    return scaled >= 0 && scaled % w->stride[axis] == 0 && *out < size;
}

static double conv2d(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME], right[TRACE_NAME];
    const cs_node_info *info = cs_model_node(s->model, node);
    const cs_tensor *x = input_of(s, node, 0), *dy = &s->gradients[node];
    const trace_window win = trace_window_of(s, node);
    const int64_t groups = info->attributes.groups, channels = x->c / groups;
    const int64_t outputs = info->attributes.out_channels / groups, own = at.c % channels;
    const int64_t first = at.c / channels * outputs;
    double sum = 0;
    trace_formula(t,
                  "dx[n,c,iy,ix] = sum over r, s, k of dy[n,k,oy,ox] * w[k,c,r,s], oy = "
                  "(iy+%lld-r*%lld)/%lld, ox = (ix+%lld-s*%lld)/%lld",
                  (long long)win.padding[0], (long long)win.dilation[0], (long long)win.stride[0],
                  (long long)win.padding[1], (long long)win.dilation[1], (long long)win.stride[1]);
    for (int64_t r = 0; r < win.kernel[0]; r++)
        for (int64_t q = 0; q < win.kernel[1]; q++) {
            int64_t oy, ox;
            const bool row = output_of(&win, 0, at.h, r, dy->h, &oy);
            const bool column = output_of(&win, 1, at.w, q, dy->w, &ox);
            if (!row || !column) {
                trace_note(t, "r = %lld, s = %lld: no output reads this x through that weight",
                           (long long)r, (long long)q);
                continue;
            }
            for (int64_t k = first; k < first + outputs; k++) {
                const trace_place from = {at.n, k, oy, ox};
                const double v = trace_value(dy, from);
                const double w = trace_parameter(
                    s, node, 0, ((k * channels + own) * win.kernel[0] + r) * win.kernel[1] + q);
                sum = trace_fma(s->dtype, v, w, sum);
                const trace_place weight = {k, own, r, q};
                trace_term(t, trace_name(left, "dy", from), v, trace_name(right, "w", weight), w,
                           sum, s->dtype);
            }
        }
    return sum;
}

static double linear(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME], right[TRACE_NAME];
    const cs_tensor *dy = &s->gradients[node];
    const int64_t features = input_of(s, node, 0)->c;
    double sum = 0;
    trace_formula(t, "dx[n,c] = sum over k of dy[n,k] * w[k,c]");
    for (int64_t k = 0; k < dy->c; k++) {
        const trace_place from = {at.n, k, 0, 0};
        const double v = trace_value(dy, from),
                     w = trace_parameter(s, node, 0, k * features + at.c);
        sum = trace_fma(s->dtype, v, w, sum);
        const trace_place weight = {k, at.c, 0, 0};
        trace_term(t, trace_name(left, "dy", from), v, trace_name(right, "w", weight), w, sum,
                   s->dtype);
    }
    return sum;
}

static double batch_norm(trace *t, const trace_scene *s, int node, trace_place at) {
    trace_formula(t, "dx = dy * scale");
    const double scale = trace_scale(t, s, node, at.c, NULL);
    show_dy(t, s, node, at);
    return trace_multiply(s->dtype, trace_value(&s->gradients[node], at), scale);
}

/* A node's place among the gates. */
static int gates_index(const trace_scene *s, int node) {
    int i = 0;
    while (cs_gates_node(s->gates, i).node != node)
        i++;
    return i;
}

static double relu(trace *t, const trace_scene *s, int node, trace_place at) {
    const bool open = cs_gates_at(s->gates, gates_index(s, node), at.n, at.c, at.h, at.w) != 0;
    trace_formula(t, "dx = gate open ? dy : 0");
    show_dy(t, s, node, at);
    trace_line(t, trace_value(input_of(s, node, 0), at), s->dtype, "x: the gate is %s",
               open ? "open" : "closed");
    return open ? trace_value(&s->gradients[node], at) : 0;
}

static double add(trace *t, const trace_scene *s, int node, trace_place at) {
    trace_formula(t, "da = dy, db = dy");
    show_dy(t, s, node, at);
    return trace_value(&s->gradients[node], at);
}

static double max_pool(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME];
    const cs_tensor *x = input_of(s, node, 0), *dy = &s->gradients[node];
    const int index = gates_index(s, node);
    double sum = 0;
    trace_formula(t, "dx = sum of dy over the windows that x won, row by row");
    for (int64_t oy = 0; oy < dy->h; oy++)
        for (int64_t ox = 0; ox < dy->w; ox++) {
            if (cs_gates_at(s->gates, index, at.n, at.c, oy, ox) != at.h * x->w + at.w)
                continue;
            const trace_place from = {at.n, at.c, oy, ox};
            const double v = trace_value(dy, from);
            sum = trace_add(s->dtype, sum, v);
            trace_term(t, trace_name(left, "dy", from), v, "", 1, sum, s->dtype);
        }
    return sum;
}

static double average_pool(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME];
    const cs_tensor *dy = &s->gradients[node];
    const trace_window win = trace_window_of(s, node);
    double sum = 0;
    trace_formula(t, "dx = sum of dy / count over the windows that hold x, row by row, in double, "
                     "rounded once");
    for (int64_t oy = 0; oy < dy->h; oy++)
        for (int64_t ox = 0; ox < dy->w; ox++) {
            const int64_t r = at.h - (oy * win.stride[0] - win.padding[0]);
            const int64_t q = at.w - (ox * win.stride[1] - win.padding[1]);
            if (r < 0 || r >= win.kernel[0] || q < 0 || q >= win.kernel[1])
                continue;
            const trace_place from = {at.n, at.c, oy, ox};
            const double v = trace_value(dy, from), count = trace_average_count(s, node, oy, ox);
            sum += v / count;
            (void)snprintf(left, sizeof left, "dy[%lld,%lld,%lld,%lld] / %.0f", (long long)from.n,
                           (long long)from.c, (long long)oy, (long long)ox, count);
            trace_term(t, left, v / count, "", 1, sum, CS_F64);
        }
    return trace_round(s->dtype, sum);
}

static double moved(trace *t, const trace_scene *s, int node, trace_place at) {
    const cs_node_info *info = cs_model_node(s->model, node);
    const cs_node_attributes *a = &info->attributes;
    const cs_tensor *x = input_of(s, node, 0);
    trace_place to = {at.n, (at.c * x->h + at.h) * x->w + at.w, 0, 0};
    if (strcmp(info->op, "flatten") == 0) {
        trace_formula(t, "dx[n,c,h,w] = dy[n,(c*%lld+h)*%lld+w]", (long long)x->h, (long long)x->w);
    } else {
        trace_formula(t,
                      "dx[n,c,iy,ix] = dy[n,c+%lld,iy/%lld,ix/%lld] where the strides divide, "
                      "else 0",
                      (long long)a->pad_channels[0], (long long)a->stride[0],
                      (long long)a->stride[1]);
        if (at.h % a->stride[0] != 0 || at.w % a->stride[1] != 0) {
            trace_note(t, "(%lld, %lld) was not taken", (long long)at.h, (long long)at.w);
            return 0;
        }
        to = (trace_place){at.n, at.c + a->pad_channels[0], at.h / a->stride[0],
                           at.w / a->stride[1]};
    }
    show_dy(t, s, node, to);
    return trace_value(&s->gradients[node], to);
}

static double softmax(trace *t, const trace_scene *s, int node, trace_place at) {
    char left[TRACE_NAME], right[TRACE_NAME];
    const cs_tensor *y = &s->values[node], *dy = &s->gradients[node];
    double sum = 0;
    trace_formula(t, "dx[c] = y[c] * (dy[c] - sum over j of dy[j] * y[j]), in double, rounded "
                     "once");
    for (int64_t j = 0; j < y->c; j++) {
        const trace_place from = {at.n, j, at.h, at.w};
        const double v = trace_value(dy, from), w = trace_value(y, from);
        sum += v * w;
        trace_term(t, trace_name(left, "dy", from), v, trace_name(right, "y", from), w, sum,
                   CS_F64);
    }
    show_dy(t, s, node, at);
    trace_line(t, trace_value(y, at), s->dtype, "y[%lld,%lld,%lld,%lld]", (long long)at.n,
               (long long)at.c, (long long)at.h, (long long)at.w);
    return trace_round(s->dtype, trace_value(y, at) * (trace_value(dy, at) - sum));
}

/* What an operand of `node` contributes to its gradient; both of an addition's are alike. */
static double contribution_of(trace *t, const trace_scene *s, int node, trace_place at) {
    static const struct {
        const char *op;
        double (*trace)(trace *t, const trace_scene *s, int node, trace_place at);
    } operations[] = {{"conv2d", conv2d},
                      {"linear", linear},
                      {"batch_norm", batch_norm},
                      {"relu", relu},
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
    return add(t, s, node, at) + 0.0;
}

/* ------------------------------------------------------------------ several consumers ---- */

typedef struct contribution {
    int node;
    double value;
} contribution;

/* The length of the path of the module that holds a node: its own, without the last word where the
 * node is the module's one operation. */
static size_t container_length(const cs_node_info *node) {
    const size_t length = strlen(node->module);
    const char *rest = node->name + length;
    if (length == 0 || strncmp(node->name, node->module, length) != 0)
        return length;
    if (*rest == '_' && rest[1] != 0)
        for (rest++; isdigit((unsigned char)*rest);)
            rest++;
    if (*rest != 0)
        return length;
    const char *dot = strrchr(node->module, '.');
    return dot ? (size_t)(dot - node->module) : 0;
}

/* The first `level` words of the path that holds node `like`; 0 where it has fewer. */
static size_t module_length(const trace_scene *s, int like, int level) {
    const cs_node_info *info = cs_model_node(s->model, like);
    const size_t whole = container_length(info);
    int words = 0;
    for (size_t i = 0; i < whole; i++)
        if (i + 1 == whole || info->module[i + 1] == '.')
            if (++words == level)
                return i + 1;
    return 0;
}

/* Whether all nodes from..to lie in the module that holds `like`, `level` words deep. */
static bool share_module(const trace_scene *s, int like, int level, int from, int to) {
    const char *path = cs_model_node(s->model, like)->module;
    const size_t length = module_length(s, like, level);
    bool all = length > 0 && from > 0;
    for (int i = from; i <= to && all; i++) {
        const cs_node_info *info = cs_model_node(s->model, i);
        const size_t own = container_length(info);
        all = own >= length && strncmp(info->module, path, length) == 0 &&
              (own == length || info->module[length] == '.');
    }
    return all;
}

/* The sum so far. */
typedef struct running_sum {
    double value;
    bool begun;
} running_sum;

static void add_to(trace *t, const trace_scene *s, running_sum *sum, double value,
                   const char *what) {
    sum->value = sum->begun ? trace_add(s->dtype, sum->value, value) + 0.0 : value;
    trace_line(t, sum->value, s->dtype, "%s the contribution of %s", sum->begun ? "plus" : "first",
               what);
    sum->begun = true;
}

/* Adds contributions in reverse execution order; those inside a module that does not hold the
 * producer are summed by themselves first. */
static void add_up(trace *t, const trace_scene *s, int producer, const contribution *items,
                   int count, int level, running_sum *sum) {
    for (int end = count - 1, begin; end >= 0; end = begin - 1) {
        const int like = items[end].node;
        begin = end;
        while (begin > 0 && share_module(s, like, level + 1, items[begin - 1].node, like))
            begin--;
        if (begin == end) {
            add_to(t, s, sum, items[end].value, cs_model_node(s->model, like)->name);
            continue;
        }
        running_sum inside = {0, false};
        const bool own = !share_module(s, like, level + 1, producer, like);
        if (own)
            trace_note(t, "within %.*s:", (int)module_length(s, like, level + 1),
                       cs_model_node(s->model, like)->module);
        add_up(t, s, producer, &items[begin], end - begin + 1, level + 1, own ? &inside : sum);
        if (own) {
            char name[160];
            (void)snprintf(name, sizeof name, "%.*s", (int)module_length(s, like, level + 1),
                           cs_model_node(s->model, like)->module);
            add_to(t, s, sum, inside.value, name);
        }
    }
}

cs_status trace_find_reached(trace_scene *s, cs_error *err) {
    s->reached = calloc((size_t)cs_model_node_count(s->model), sizeof *s->reached);
    CS_CHECK(s->reached, CS_ERROR_MEMORY, "out of memory");
    s->reached[s->seed_node] = true;
    for (int i = s->seed_node; i > 0; i--)
        for (int k = 0; s->reached[i] && k < cs_model_node(s->model, i)->inputs; k++)
            s->reached[cs_model_node(s->model, i)->input[k]] = true;
    return CS_OK;
}

bool trace_reaches(const trace_scene *s, int node) { return s->reached[node]; }

double trace_gradient(trace *t, const trace_scene *s, int node, trace_place at) {
    contribution *items = calloc(2 * (size_t)cs_model_node_count(s->model), sizeof *items);
    int count = 0;
    if (node == s->seed_node) {
        free(items);
        trace_formula(t, "the seed of the backward pass: the derivative of the target");
        return trace_value(&s->gradients[node], at);
    }
    if (!items) {
        t->full = true;
        return 0;
    }
    for (int i = node + 1; i <= s->seed_node; i++)
        for (int k = 0; k < cs_model_node(s->model, i)->inputs; k++)
            if (cs_model_node(s->model, i)->input[k] == node && trace_reaches(s, i)) {
                trace_part(t, cs_model_node(s->model, i)->name);
                items[count].node = i;
                items[count].value = contribution_of(t, s, i, at);
                trace_line(t, items[count].value, s->dtype, "contribution of %s",
                           cs_model_node(s->model, i)->name);
                count++;
            }
    running_sum sum = {0, false};
    if (count > 1) {
        trace_part(t, "");
        trace_formula(t, "the contributions, last node first; those inside a module before those "
                         "outside it");
        if (count > 2)
            add_up(t, s, node, items, count, 0, &sum);
        for (int i = 1; i >= 0 && count == 2; i--) /* the same in any order */
            add_to(t, s, &sum, items[i].value, cs_model_node(s->model, items[i].node)->name);
    }
    const double result = count > 1 ? sum.value : count == 1 ? items[0].value : 0;
    free(items);
    return result;
}
