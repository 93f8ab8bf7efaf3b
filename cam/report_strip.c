/* report_strip.c - small drawings: a value with its interval against null and threshold, an effect
 * against its control. All their numbers stand beside them as text, so they are hidden from
 * readers that speak. */
#include "report_parts.h"

#include <math.h>

enum { WIDTH = 400, LEFT = 6, RIGHT = 394, MOST_RUG = 200 };

typedef struct axis {
    double low, high, step;
    int digits;
} axis;

static void include(axis *a, double v) {
    if (!isfinite(v))
        return;
    a->low = v < a->low || isnan(a->low) ? v : a->low;
    a->high = v > a->high || isnan(a->high) ? v : a->high;
}

/* Ends at multiples of a step of 1, 2 or 5 times a power of ten, with two to five steps. */
static void round_ends(axis *a) {
    if (isnan(a->low))
        *a = (axis){0.0, 1.0, 0.0, 0};
    double span = a->high - a->low;
    if (!(span > 1e-9))
        span = 1e-3;
    double power = 1.0;
    int digits = 0;
    for (; power * 2.5 > span && digits < 9; digits++)
        power /= 10.0;
    for (; power * 25.0 < span; digits--)
        power *= 10.0;
    a->step = power * (span / power > 12.5 ? 5.0 : span / power > 5.0 ? 2.0 : 1.0);
    a->digits = digits > 0 ? digits : 0;
    a->low = floor(a->low / a->step + 1e-6) * a->step;
    double high = ceil(a->high / a->step - 1e-6) * a->step;
    a->high = high > a->low + a->step / 2 ? high : a->low + a->step;
}

static double at(const axis *a, double v) {
    return LEFT + (RIGHT - LEFT) * (v - a->low) / (a->high - a->low);
}

static void line(html *h, const char *class_name, double x1, double y1, double x2, double y2) {
    html_format(h, "<path class=\"%s\" d=\"M", class_name);
    html_coordinate(h, x1);
    html_put(h, " ");
    html_coordinate(h, y1);
    html_put(h, "L");
    html_coordinate(h, x2);
    html_put(h, " ");
    html_coordinate(h, y2);
    html_put(h, "\"/>");
}

static void dot(html *h, const char *class_name, double x, double y) {
    html_format(h, "<circle class=\"%s\" cx=\"", class_name);
    html_coordinate(h, x);
    html_put(h, "\" cy=\"");
    html_coordinate(h, y);
    html_put(h, "\" r=\"5\"/>");
}

static void band(html *h, double x1, double x2, double y, double height) {
    html_put(h, "<rect class=\"null\" x=\"");
    html_coordinate(h, x1);
    html_put(h, "\" y=\"");
    html_coordinate(h, y);
    html_put(h, "\" width=\"");
    html_coordinate(h, x2 - x1 > 1.0 ? x2 - x1 : 1.0);
    html_put(h, "\" height=\"");
    html_coordinate(h, height);
    html_put(h, "\"/>");
}

static void open_strip(html *h, int height) {
    html_format(h, "<svg class=\"strip\" viewBox=\"0 0 %d %d\" aria-hidden=\"true\">", WIDTH,
                height);
}

static void put_axis(html *h, const axis *a, double y, bool with_sign) {
    line(h, "axis", LEFT, y, RIGHT, y);
    int ticks = (int)lround((a->high - a->low) / a->step);
    for (int i = 0; i <= ticks; i++) {
        double v = a->low + i * a->step, x = at(a, v);
        line(h, "axis", x, y, x, y + 4);
        html_put(h, "<text x=\"");
        html_coordinate(h, x);
        html_format(h, "\" y=\"%d\" text-anchor=\"%s\">", (int)y + 16,
                    i == 0       ? "start"
                    : i == ticks ? "end"
                                 : "middle");
        (with_sign ? html_signed : html_number)(h, v, a->digits);
        html_put(h, "</text>");
    }
}

static void put_interval(html *h, const axis *a, cs_interval v, double y, const char *span,
                         const char *mark) {
    if (!isfinite(v.value))
        return;
    if (isfinite(v.low) && isfinite(v.high))
        line(h, span, at(a, v.low), y, at(a, v.high), y);
    dot(h, mark, at(a, v.value), y);
}

static void put_limit(html *h, double x, const char *text) {
    line(h, "limit", x, 14, x, 50);
    if (!text)
        return;
    html_put(h, "<text class=\"limit-text\" x=\"");
    html_coordinate(h, x);
    html_format(h, "\" y=\"10\" text-anchor=\"%s\">%s</text>",
                x < 40           ? "start"
                : x > WIDTH - 40 ? "end"
                                 : "middle",
                text);
}

static void put_null(html *h, const axis *a, const report_finding *f) {
    double low = f->null[0], high = f->null[0];
    for (int64_t i = 1; i < f->null_count; i++) {
        low = fmin(low, f->null[i]);
        high = fmax(high, f->null[i]);
    }
    band(h, at(a, low), at(a, high), 38, 12);
    int64_t stride = f->null_count / MOST_RUG + 1;
    for (int64_t i = 0; i < f->null_count; i += stride)
        line(h, "rug", at(a, f->null[i]), 40, at(a, f->null[i]), 48);
}

static void include_interval(axis *a, cs_interval v) {
    include(a, v.value);
    include(a, v.low);
    include(a, v.high);
}

void report_strip_map(html *h, const report_finding *f) {
    axis a = {(double)NAN, (double)NAN, 0.0, 0};
    double limit = f->limit ? f->limit->value : (double)NAN;
    include_interval(&a, f->flag->mean);
    include(&a, limit);
    include(&a, f->even);
    if (f->two_sided)
        include(&a, -limit);
    for (int64_t i = 0; i < f->null_count; i++)
        include(&a, f->null[i]);
    round_ends(&a);
    open_strip(h, 70);
    if (f->null_count > 0)
        put_null(h, &a, f);
    if (isfinite(limit))
        put_limit(h, at(&a, limit), "threshold");
    if (isfinite(limit) && f->two_sided)
        put_limit(h, at(&a, -limit), NULL);
    bool hot = f->verdict == CS_VERDICT_SUPPORTED;
    put_interval(h, &a, f->flag->mean, 27, hot ? "span hot" : "span", hot ? "dot hot" : "dot");
    put_axis(h, &a, 50, f->two_sided);
    html_put(h, "</svg>");
}

void report_strip_effect(html *h, const report_finding *f) {
    axis a = {0.0, 0.0, 0.0, 0};
    bool share = f->pattern == CS_PATTERN_UNIFORM;
    include_interval(&a, f->effect);
    for (int i = 0; i < f->control_count; i++)
        include_interval(&a, f->control[i]);
    include(&a, share ? 1.0 : 0.0);
    round_ends(&a);
    open_strip(h, 70);
    line(h, "axis", at(&a, 0.0), 10, at(&a, 0.0), 50);
    bool hot = f->verdict == CS_VERDICT_SUPPORTED;
    put_interval(h, &a, f->effect, 18, hot ? "span hot" : "span", hot ? "dot hot" : "dot");
    for (int i = 0; i < f->control_count; i++)
        put_interval(h, &a, f->control[i], f->control_count > 1 ? 30.0 + 4.5 * i : 37.0,
                     "control-span", "control");
    put_axis(h, &a, 50, !share);
    html_put(h, "</svg>");
}

void report_strip_legend(html *h) {
    html_put(
        h,
        "<ul class=\"legend strip-key\" aria-label=\"How to read the strips\">"
        "<li><svg class=\"strip\" viewBox=\"0 0 44 16\" aria-hidden=\"true\"><path class=\"span\" "
        "d=\"M4 8H40\"/><circle class=\"dot\" cx=\"22\" cy=\"8\" r=\"5\"/></svg>these images, 95 % "
        "interval (red: supported)</li>"
        "<li><svg class=\"strip\" viewBox=\"0 0 44 16\" aria-hidden=\"true\"><rect class=\"null\" "
        "x=\"4\" y=\"2\" width=\"36\" height=\"12\"/><path class=\"rug\" d=\"M10 4v8M17 4v8M20 "
        "4v8M31 4v8\"/></svg>null: what maps look like without anything to find</li>"
        "<li><svg class=\"strip\" viewBox=\"0 0 44 16\" aria-hidden=\"true\"><path class=\"limit\" "
        "d=\"M22 0V16\"/></svg>threshold, fixed beforehand</li>"
        "<li><svg class=\"strip\" viewBox=\"0 0 44 16\" aria-hidden=\"true\"><path "
        "class=\"control-span\" d=\"M4 8H40\"/><circle class=\"control\" cx=\"22\" cy=\"8\" "
        "r=\"5\"/></svg>control: the same change elsewhere</li></ul>\n");
}
