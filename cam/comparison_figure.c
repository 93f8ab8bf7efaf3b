/* comparison_figure.c - one image with the overlays of several methods side by side. */
#include "cam_internal.h"
#include "canvas.h"
#include "cnnscope_measures.h"
#include "font.h"
#include "panel.h"

#include <stdio.h>

/* All in pixels. */
enum {
    MARGIN = 28,
    GAP = 24,
    HEADING = 24, /* sizes of text */
    TITLE = 20,
    DETAIL = 16,
    HEAD_HEIGHT = 66, /* the figure's title and subtitle */
    TITLE_HEIGHT = 28,
    DETAIL_LINE = 21,
    BAR_WIDTH = 16,
    BAR_GAP = 20,
    IN_A_ROW = 6, /* panels, at most */
    LINE_MAX = 512,
};

static const cs_color white = {255, 255, 255}, black = {17, 17, 17}, grey = {96, 96, 96},
                      alarm = {176, 32, 32};

typedef struct layout {
    int64_t width, height; /* of a picture */
    int64_t column, row;   /* from one cell to the next */
    int64_t columns, rows;
} layout;

static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }

static layout make_layout(const cs_comparison_figure *f) {
    layout l = {0};
    int64_t cells = f->count + 1;
    cs_panel_size(f->image, &l.width, &l.height);
    l.rows = (cells + IN_A_ROW - 1) / IN_A_ROW;
    l.columns = (cells + l.rows - 1) / l.rows;
    l.column = at_least(l.width, CS_PANEL_LEAST) + GAP;
    l.row = TITLE_HEIGHT + l.height + 2 * DETAIL_LINE + GAP;
    return l;
}

static void draw_line(cs_image *canvas, cs_font *font, int64_t x, int64_t y, int64_t width,
                      int size, cs_color color, const char *text) {
    char fitted[LINE_MAX];
    cs_text_fit(font, text ? text : "", size, width, fitted, sizeof fitted);
    cs_text_draw(canvas, font, x, y, size, color, fitted);
}

/* The subject, cut so that what is said of it fits into `width` too. */
static void subject_line(const cs_comparison_figure *f, cs_font *font, int64_t width,
                         char out[2 * LINE_MAX]) {
    char fitted[LINE_MAX];
    const char *rest = f->subtitle ? f->subtitle : "";
    const int64_t left = width - cs_text_width(font, rest, DETAIL);
    cs_text_fit(font, f->subject ? f->subject : "", DETAIL, at_least(left, 40), fitted,
                sizeof fitted);
    snprintf(out, 2 * LINE_MAX, "%s%s", fitted, rest);
}

/* Cell 0 is the image, the others are the panels. */
static cs_status draw_cell(cs_image *canvas, cs_font *font, const cs_comparison_figure *f,
                           const layout *l, int64_t cell, cs_error *err) {
    const cs_comparison_panel original = {.overlay = f->image, .title = "Original"};
    const cs_comparison_panel *p = cell ? &f->panels[cell - 1] : &original;
    int64_t column = l->column - GAP, x = MARGIN + cell % l->columns * l->column;
    int64_t y = MARGIN + HEAD_HEIGHT + cell / l->columns * l->row,
            below = y + TITLE_HEIGHT + l->height;
    int64_t picture = x + (column - l->width) / 2;
    draw_line(canvas, font, picture, y + TITLE - TITLE / 4, column, TITLE, black, p->title);
    CS_TRY(cs_panel_draw(canvas, picture, y + TITLE_HEIGHT, p->overlay, l->width, l->height, err));
    if (p->is_empty)
        draw_line(canvas, font, picture, below + DETAIL_LINE, column, DETAIL, alarm,
                  "empty map: nothing here speaks for this class");
    for (int i = 0; i < 2 && !p->is_empty; i++)
        draw_line(canvas, font, picture, below + (i + 1) * DETAIL_LINE, column, DETAIL, grey,
                  p->lines[i]);
    return CS_OK;
}

/* Each map has its own range, so the bar has words for numbers. */
static void draw_bar(cs_image *canvas, cs_font *font, const layout *l) {
    int64_t x = MARGIN + l->columns * l->column - GAP + BAR_GAP;
    int64_t y = MARGIN + HEAD_HEIGHT + TITLE_HEIGHT;
    cs_panel_bar(canvas, x, y, BAR_WIDTH, l->height);
    cs_text_draw(canvas, font, x + BAR_WIDTH + 8, y + DETAIL * 3 / 4, DETAIL, black, "most");
    cs_text_draw(canvas, font, x + BAR_WIDTH + 8, y + l->height, DETAIL, black, "least");
}

static cs_status check(const cs_comparison_figure *f, cs_error *err) {
    for (int64_t i = 0; i < f->count; i++)
        CS_CHECK(f->panels[i].overlay->width == f->image->width &&
                     f->panels[i].overlay->height == f->image->height,
                 CS_ERROR_ARGUMENT, "the pictures of a comparison have different sizes");
    return CS_OK;
}

cs_status cs_comparison_draw(const cs_comparison_figure *figure, cs_font *font, cs_image *out,
                             cs_error *err) {
    char below_title[2 * LINE_MAX];
    CS_TRY(check(figure, err));
    layout l = make_layout(figure);
    int64_t bar = BAR_GAP + BAR_WIDTH + 8 + cs_text_width(font, "least", DETAIL);
    int64_t width = 2 * MARGIN + l.columns * l.column - GAP + bar;
    CS_TRY(cs_image_allocate(out, width, 2 * MARGIN + HEAD_HEIGHT + l.rows * l.row - GAP, err));
    cs_canvas_fill(out, 0, 0, out->width, out->height, white);
    draw_line(out, font, MARGIN, MARGIN + HEADING - HEADING / 4, width - 2 * MARGIN, HEADING, black,
              figure->title);
    subject_line(figure, font, width - 2 * MARGIN, below_title);
    draw_line(out, font, MARGIN, MARGIN + HEADING + DETAIL_LINE, width - 2 * MARGIN, DETAIL, grey,
              below_title);
    cs_status status = CS_OK;
    for (int64_t cell = 0; cell <= figure->count && status == CS_OK; cell++)
        status = draw_cell(out, font, figure, &l, cell, err);
    draw_bar(out, font, &l);
    if (status == CS_OK)
        status = cs_font_check(font, err);
    if (status != CS_OK)
        cs_image_free(out);
    return status;
}
