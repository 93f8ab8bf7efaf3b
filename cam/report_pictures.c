/* report_pictures.c - the most telling images: as the model sees them, under their heat, with the
 * regions that count and the numbers that speak. */
#include "report_parts.h"

#include <math.h>

static void coordinate(html *h, const char *name, double v) {
    html_format(h, " %s=\"", name);
    html_coordinate(h, v);
    html_put(h, "\"");
}

/* The suspect place of the leading finding, in the picture's pixels; width 0: none. */
typedef struct place {
    double x, y, width, height;
} place;

/* A square of a corner's size around a place. */
static place square(double x, double y, double width, double height) {
    double side = CS_CORNER_SIDE * fmin(width, height);
    return (place){x * width - side / 2, y * height - side / 2, side, side};
}

static place suspect_of(const report *r, const cs_diagnosis_row *row, double width, double height) {
    const report_finding *f = &r->finding[r->leading];
    double side = CS_CORNER_SIDE * fmin(width, height);
    bool right = f->change == CS_CHANGE_TOP_RIGHT || f->change == CS_CHANGE_BOTTOM_RIGHT;
    bool bottom = f->change == CS_CHANGE_BOTTOM_LEFT || f->change == CS_CHANGE_BOTTOM_RIGHT;
    if (f->change <= CS_CHANGE_BOTTOM_RIGHT)
        return (place){right ? width - side : 0.0, bottom ? height - side : 0.0, side, side};
    if (f->change == CS_CHANGE_LEFT || f->change == CS_CHANGE_RIGHT)
        return (place){f->change == CS_CHANGE_LEFT ? 0.0 : width / 2, 0.0, width / 2, height};
    if (f->change == CS_CHANGE_HOTTEST && isfinite(row->hottest_x))
        return square(row->hottest_x, row->hottest_y, width, height);
    if (f->change == CS_CHANGE_RING_HOTTEST && isfinite(row->ring_x))
        return square(row->ring_x, row->ring_y, width, height);
    return (place){0};
}

static bool inside(const cs_tensor *mask, int64_t y, int64_t x) {
    return cs_tensor_at(mask, 0, 0, y, x) >= 0.5;
}

/* The lines between two rows of the mask's pixels where one is inside and one is not (`down`: its
 * columns), each stretch one stroke. */
static void outline_along(html *h, const cs_tensor *mask, bool down) {
    const int64_t lines = (down ? mask->w : mask->h) - 1, length = down ? mask->h : mask->w;
    for (int64_t i = 0; i < lines; i++)
        for (int64_t j = 0, begin = -1; j <= length; j++) {
            bool edge = j < length && (down ? inside(mask, j, i) != inside(mask, j, i + 1)
                                            : inside(mask, i, j) != inside(mask, i + 1, j));
            if (edge && begin < 0)
                begin = j;
            if (edge || begin < 0)
                continue;
            html_format(h, down ? "M%d %dv%d" : "M%d %dh%d", (int)(down ? i + 1 : begin),
                        (int)(down ? begin : i + 1), (int)(j - begin));
            begin = -1;
        }
}

/* The outline of the image's own region of interest; nothing where it has none that can be read. */
static cs_status outline(report *r, const cs_diagnosis_image *image, cs_error *err) {
    cs_tensor mask = {0};
    cs_status status = CS_OK;
    if (r->d->region)
        status = r->d->region(r->d->image_state, image, &mask, err);
    if (status == CS_ERROR_MEMORY)
        return status;
    if (status == CS_OK && mask.data) {
        html_put(&r->h, "<path class=\"region\" d=\"");
        outline_along(&r->h, &mask, false);
        outline_along(&r->h, &mask, true);
        html_put(&r->h, "\"/>");
    }
    cs_tensor_release(&mask);
    return CS_OK;
}

static cs_status marks(report *r, const cs_diagnosis_image *image, const cs_diagnosis_row *row,
                       const cs_image *shown, cs_error *err) {
    html *h = &r->h;
    place p = suspect_of(r, row, (double)shown->width, (double)shown->height);
    html_format(h, "<svg viewBox=\"0 0 %d %d\" aria-hidden=\"true\">", (int)shown->width,
                (int)shown->height);
    CS_TRY(outline(r, image, err));
    if (p.width > 0.0) {
        html_put(h, "<rect class=\"box\"");
        coordinate(h, "x", p.x);
        coordinate(h, "y", p.y);
        coordinate(h, "width", p.width);
        coordinate(h, "height", p.height);
        html_put(h, "/>");
    }
    html_put(h, "</svg>");
    return CS_OK;
}

/* `row`: with the regions that count; NULL: without. */
static cs_status picture(report *r, const cs_image *shown, const char *what,
                         const cs_diagnosis_image *image, const cs_diagnosis_row *row,
                         cs_error *err) {
    html *h = &r->h;
    html_format(h, "<span class=\"picture\"><img alt=\"%s ", what);
    html_text(h, image->file);
    html_format(h, "\" width=\"%d\" height=\"%d\" src=", (int)shown->width, (int)shown->height);
    CS_TRY(html_png(h, shown, err));
    html_put(h, ">");
    if (row)
        CS_TRY(marks(r, image, row, shown, err));
    html_put(h, "</span>");
    return CS_OK;
}

static cs_status pair(report *r, const cs_diagnosis_image *image, const cs_diagnosis_row *row,
                      const cs_tensor *map, bool plain, cs_error *err) {
    cs_input input = {0};
    cs_image overlay = {0};
    html *h = &r->h;
    cs_status status =
        cs_input_load(image->path, cs_model_preprocess(r->d->model), NULL, &input, NULL);
    if (status == CS_ERROR_MEMORY)
        return cs_error_set(err, status, image->file, -1, "no memory for a picture");
    if (status != CS_OK) {
        html_put(h, "<p class=\"soft\">The picture can no longer be read.</p>");
        return CS_OK;
    }
    html_format(h, "<div class=\"pictures %s\">", plain ? "pair" : "single");
    if (plain)
        status = picture(r, &input.display, "Image", image, NULL, err);
    if (status == CS_OK && row->map_status == CS_CAM_OK && map)
        status = report_heat_overlay(&input.display, map, &overlay, err);
    if (status == CS_OK)
        status = picture(r, overlay.pixels ? &overlay : &input.display,
                         overlay.pixels ? "Heat over" : "Empty map of", image, row, err);
    html_put(h, "</div>");
    cs_image_free(&overlay);
    cs_input_free(&input);
    return status;
}

static void number(html *h, const char *name, double v, bool with_sign) {
    if (isnan(v))
        return;
    html_format(h, "<dt>%s</dt><dd>", name);
    (with_sign ? html_signed : html_number)(h, v, report_digits(v));
    html_put(h, "</dd>");
}

static void numbers(report *r, const cs_diagnosis_row *row) {
    html *h = &r->h;
    const report_finding *f = &r->finding[r->leading];
    double control = 0.0;
    int count = 0;
    for (int c = CS_CHANGE_CONTROL; c <= CS_CHANGE_CONTROL_LAST; c++)
        if (isfinite(cs_row_drop(row, (cs_change)c))) {
            control += cs_row_drop(row, (cs_change)c);
            count++;
        }
    html_put(h, "<dl>");
    number(h, "Heat in a corner, times an even map's", row->value[CS_STAT_CORNER], false);
    number(h, "Heat in the region of interest, times an even map's",
           row->value[CS_STAT_ENRICHMENT_ROI], false);
    number(h, "Right minus left", row->value[CS_STAT_LATERALITY_IMAGE], true);
    number(h, "Entropy of the map", row->value[CS_STAT_ENTROPY], false);
    number(h, "Margin over the next class", row->margin, true);
    if (f->change != CS_CHANGE_COUNT && row->has_changes) {
        html_format(h, "<dt>Margin with %s</dt><dd>", f->change_text);
        double v = row->margin - cs_row_drop(row, f->change);
        html_signed(h, v, report_digits(v));
        html_put(h, "</dd>");
        if (count > 0 && f->pattern != CS_PATTERN_UNIFORM)
            number(h, "Margin with squares elsewhere covered",
                   row->margin - control / (double)count, true);
    }
    html_put(h, "</dl>");
}

static void caption(report *r, const cs_diagnosis_image *image, const cs_diagnosis_row *row) {
    html *h = &r->h;
    char room[24];
    html_put(h, "<figcaption><b>");
    html_name(h, image->file);
    html_put(h, "</b><br>");
    if (image->label >= 0) {
        html_put(h, "labelled ");
        html_name(h, report_class(r->d, image->label, room));
        html_put(h, ", ");
    }
    html_put(h, "predicted ");
    html_name(h, report_class(r->d, image->predicted, room));
    if (image->probabilities && image->predicted >= 0) {
        html_put(h, " (");
        html_percent(h, image->probabilities[image->predicted]);
        html_put(h, ")");
    }
    html_put(h, "; map for ");
    html_name(h, report_class(r->d, row->class_index, room));
    if (row->map_status != CS_CAM_OK)
        html_put(h, ": <b>empty</b>, nothing speaks for the class");
}

static cs_status one(report *r, const report_pick *pick, cs_error *err) {
    cs_diagnosis_image image = {0};
    html *h = &r->h;
    CS_TRY(r->d->image(r->d->image_state, pick->image, &image, err));
    const cs_diagnosis_row *row = &image.rows[pick->row];
    html_put(h, "<li><figure>");
    CS_TRY(pair(r, &image, row, image.maps ? &image.maps[pick->row] : NULL, true, err));
    caption(r, &image, row);
    numbers(r, row);
    html_put(h, "</figcaption></figure></li>\n");
    return CS_OK;
}

cs_status report_hero(report *r, cs_error *err) {
    cs_diagnosis_image image = {0};
    html *h = &r->h;
    const report_pick *pick = &r->pick[REPORT_MOST][0];
    if (r->picked[REPORT_MOST] == 0)
        return CS_OK;
    CS_TRY(r->d->image(r->d->image_state, pick->image, &image, err));
    html_put(h, "<figure class=\"hero\">");
    CS_TRY(pair(r, &image, &image.rows[pick->row], image.maps ? &image.maps[pick->row] : NULL,
                false, err));
    caption(r, &image, &image.rows[pick->row]);
    html_put(h, ". ");
    html_put(h, r->finding[r->leading].change != CS_CHANGE_COUNT
                    ? "Bright: much heat. Dashed: what was changed.</figcaption></figure>\n"
                    : "Bright: much heat.</figcaption></figure>\n");
    return CS_OK;
}

static cs_status list(report *r, int which, int64_t most, const char *title, cs_error *err) {
    int64_t count = r->picked[which] < most ? r->picked[which] : most;
    if (count == 0)
        return CS_OK;
    html_format(&r->h, "<h3>%s</h3>\n<ul class=\"telling\">\n", title);
    for (int64_t i = 0; i < count; i++)
        CS_TRY(one(r, &r->pick[which][i], err));
    html_put(&r->h, "</ul>\n");
    return CS_OK;
}

cs_status report_telling(report *r, cs_error *err) {
    static const char *const most[CS_PATTERN_COUNT] = {
        "Most heat in the suspect corner", "Most even maps", "Least heat in the region of interest",
        "Most heat on the stronger side", "Most heat along the suspect edge"};
    static const char *const least[CS_PATTERN_COUNT] = {
        "Least, for comparison", "Least even, for comparison", "Most, for comparison",
        "Most on the other side, for comparison", "Least, for comparison"};
    int64_t few = r->picked[REPORT_MOST] / 2;
    html *h = &r->h;
    html_put(h, "<section id=\"telling\" aria-labelledby=\"telling-h\">"
                "<h2 id=\"telling-h\">The most telling images</h2>\n");
    if (r->picked[REPORT_MOST] == 0 && r->picked[REPORT_WRONG] == 0)
        html_put(h, "<p>None: no image has a map.</p>\n");
    else {
        html_put(h, "<p>Chosen by rule, not by hand: the extremes of the strongest finding, and "
                    "the surest mistakes, of ");
        html_count(h, r->done);
        html_put(h, " images. Left as the model sees it, right with its heat (the map's maximum is "
                    "brightest");
        html_put(h, r->d->roi && r->d->region ? "; blue: the region of interest" : "");
        html_put(h, r->finding[r->leading].change != CS_CHANGE_COUNT
                        ? "; dashed: what was changed).</p>\n"
                        : ").</p>\n");
    }
    CS_TRY(list(r, REPORT_MOST, REPORT_PICKS, most[r->leading], err));
    CS_TRY(list(r, REPORT_LEAST, few < 2 ? few : 2, least[r->leading], err));
    CS_TRY(list(r, REPORT_WRONG, 4, "Wrong, and most sure", err));
    html_put(h, "</section>\n");
    return CS_OK;
}
