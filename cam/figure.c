/* figure.c - the three panels side by side: original, heatmap with its colour bar, overlay. */
#include "cam_internal.h"
#include "canvas.h"
#include "font.h"
#include "panel.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* All in pixels. */
enum {
    MARGIN = 28,
    GAP = 28,
    HEADING = 22, /* sizes of text */
    DETAIL = 18,
    HEADING_LINE = 27,
    DETAIL_LINE = 23,
    BAR_WIDTH = 16,
    BAR_GAP = 10,
    LINE_MAX = 512,
};

static const cs_color white = {255, 255, 255}, black = {17, 17, 17}, grey = {96, 96, 96},
                      alarm = {176, 32, 32};

typedef struct layout {
    int64_t panel_width, panel_height; /* of a picture */
    int64_t column;                    /* width of a panel's column, at least a readable line */
    int64_t bar;                       /* width of the colour bar with its labels and gap */
    int64_t top;                       /* of the pictures */
    char low[32], high[32];            /* labels of the bar */
} layout;

static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }

static cs_status draw_panel(cs_image *canvas, const layout *l, int64_t left, const cs_image *image,
                            cs_error *err) {
    int64_t x = left + (l->column - l->panel_width) / 2;
    return cs_panel_draw(canvas, x, l->top, image, l->panel_width, l->panel_height, err);
}

/* A heading and the line below it, above a panel; both are cut to `width`. */
static void draw_titles(cs_image *canvas, cs_font *font, int64_t left, int64_t width,
                        const char *heading, const char *detail) {
    char line[LINE_MAX];
    int64_t base = MARGIN + HEADING;
    cs_text_fit(font, heading, HEADING, width, line, sizeof line);
    cs_text_draw(canvas, font, left, base - HEADING / 4, HEADING, black, line);
    cs_text_fit(font, detail, DETAIL, width, line, sizeof line);
    cs_text_draw(canvas, font, left, base + DETAIL_LINE - DETAIL / 4, DETAIL, grey, line);
}

/* "NAME, 98.3 %" with the name cut so that the whole fits into `width`. */
static void class_line(const cs_figure *f, cs_font *font, bool predicted, const char *before,
                       int64_t width, char out[LINE_MAX]) {
    const char *name = predicted ? f->predicted_name : f->class_name;
    int64_t index = predicted ? f->predicted_index : f->class_index;
    double probability = predicted ? f->predicted_probability : f->class_probability;
    char number[40], percent[40], fitted[LINE_MAX / 2];
    snprintf(number, sizeof number, "class %lld", (long long)index);
    snprintf(percent, sizeof percent, ", %.1f %%", 100.0 * probability);
    int64_t left =
        width - cs_text_width(font, before, DETAIL) - cs_text_width(font, percent, DETAIL);
    cs_text_fit(font, name ? name : number, DETAIL, at_least(left, 40), fitted, sizeof fitted);
    snprintf(out, LINE_MAX, "%.200s%s%s", before, fitted, percent);
}

static void draw_bar(cs_image *canvas, cs_font *font, const layout *l, int64_t left) {
    cs_panel_bar(canvas, left, l->top, BAR_WIDTH, l->panel_height);
    int64_t x = left + BAR_WIDTH + BAR_GAP, height = l->panel_height;
    int64_t high = l->top + DETAIL * 3 / 4, low = at_least(l->top + height, high + DETAIL);
    cs_text_draw(canvas, font, x, high, DETAIL, black, l->high);
    cs_text_draw(canvas, font, x, low, DETAIL, black, l->low);
}

static void draw_empty(cs_image *canvas, cs_font *font, const layout *l, int64_t left) {
    const char *text = "empty map";
    int64_t width = cs_text_width(font, text, HEADING);
    cs_text_draw(canvas, font, left + (l->column - width) / 2,
                 l->top + l->panel_height / 2 + HEADING / 4, HEADING, white, text);
}

static void draw_foot(cs_image *canvas, cs_font *font, const cs_figure *f, const layout *l) {
    char line[LINE_MAX], fitted[LINE_MAX];
    const cs_cam *c = f->cam;
    bool empty = c->status == CS_CAM_EMPTY;
    const char *what = empty              ? "Empty map: nothing here speaks for this class. "
                       : c->min == c->max ? "The map is constant. "
                                          : "";
    snprintf(line, sizeof line,
             "%sRaw map %lld x %lld, %.4g to %.4g; before the ReLU %.4g to %.4g; target %.32s.",
             what, (long long)c->raw.w, (long long)c->raw.h, c->min, c->max, c->signed_min,
             c->signed_max, f->target);
    cs_text_fit(font, line, DETAIL, canvas->width - 2 * MARGIN, fitted, sizeof fitted);
    cs_text_draw(canvas, font, MARGIN, l->top + l->panel_height + DETAIL_LINE + 10, DETAIL,
                 empty ? alarm : grey, fitted);
}

static layout make_layout(const cs_figure *f, cs_font *font) {
    layout l = {.top = MARGIN + HEADING_LINE + DETAIL_LINE + 4};
    cs_panel_size(f->image, &l.panel_width, &l.panel_height);
    l.column = at_least(l.panel_width, CS_PANEL_LEAST);
    snprintf(l.low, sizeof l.low, "%.4g", f->cam->min);
    snprintf(l.high, sizeof l.high, "%.4g", f->cam->max);
    int64_t label =
        at_least(cs_text_width(font, l.low, DETAIL), cs_text_width(font, l.high, DETAIL));
    l.bar = BAR_GAP + BAR_WIDTH + BAR_GAP + label;
    return l;
}

static cs_status check(const cs_figure *f, cs_error *err) {
    CS_CHECK(f->image->width == f->heat->width && f->image->height == f->heat->height &&
                 f->image->width == f->overlay->width && f->image->height == f->overlay->height,
             CS_ERROR_ARGUMENT, "the three panels of a figure have different sizes");
    return CS_OK;
}

cs_status cs_figure_draw(const cs_figure *figure, cs_font *font, cs_image *out, cs_error *err) {
    const cs_figure *f = figure;
    CS_TRY(check(f, err));
    layout l = make_layout(f, font);
    int64_t first = MARGIN, second = first + l.column + GAP;
    int64_t third = second + l.column + l.bar + GAP;
    int64_t bottom = l.top + l.panel_height + DETAIL_LINE + 10 + DETAIL / 4 + MARGIN * 2 / 3;
    CS_TRY(cs_image_allocate(out, third + l.column + MARGIN, bottom, err));
    cs_canvas_fill(out, 0, 0, out->width, out->height, white);
    cs_status status = draw_panel(out, &l, first, f->image, err);
    if (status == CS_OK)
        status = draw_panel(out, &l, second, f->heat, err);
    if (status == CS_OK)
        status = draw_panel(out, &l, third, f->overlay, err);
    if (status != CS_OK) {
        cs_image_free(out);
        return status;
    }
    char heading[LINE_MAX], detail[LINE_MAX];
    draw_titles(out, font, first, l.column, "Original", f->title ? f->title : "");
    snprintf(heading, sizeof heading, "Heatmap: %.64s at %.128s", f->method, f->layer);
    class_line(f, font, false, "for ", l.column + l.bar, detail);
    draw_titles(out, font, second, l.column + l.bar, heading, detail);
    class_line(f, font, true, "predicted ", l.column, detail);
    draw_titles(out, font, third, l.column, "Overlay", detail);
    draw_bar(out, font, &l, second + l.column + BAR_GAP - (l.column - l.panel_width) / 2);
    if (f->cam->status == CS_CAM_EMPTY)
        draw_empty(out, font, &l, second);
    draw_foot(out, font, f, &l);
    status = cs_font_check(font, err);
    if (status != CS_OK)
        cs_image_free(out);
    return status;
}
