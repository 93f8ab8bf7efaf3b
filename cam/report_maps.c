/* report_maps.c - mean maps by class and place in the confusion matrix, all on one scale. */
#include "report_parts.h"

#include <math.h>

static double brightest(const cs_diagnosis *d) {
    double most = 0.0;
    for (int64_t g = 0; g < d->group_count; g++)
        for (int64_t i = 0; d->groups[g].mean_map && i < d->map_rows * d->map_columns; i++)
            most = fmax(most, d->groups[g].mean_map[i]);
    return most;
}

/* What a cell of the confusion matrix means, from the class's side. */
static const char *cell_words(cs_cell cell) {
    static const char *const words[CS_CELL_COUNT] = {
        "all", "labelled so too (true positive)", "labelled otherwise (false positive)",
        "labelled so, predicted otherwise (false negative)", "neither (true negative)"};
    return words[cell];
}

static void caption(report *r, const cs_diagnosis_group *g) {
    html *h = &r->h;
    char room[24];
    html_put(h, "<figcaption><b>");
    html_name(h, report_class(r->d, g->class_index, room));
    html_format(h, "</b>, %s<br>", cell_words(g->cell));
    html_count(h, g->count);
    html_put(h, g->count == 1 ? " map" : " maps");
    if (g->empty_maps > 0) {
        html_put(h, ", of them ");
        html_count(h, g->empty_maps);
        html_put(h, " empty and left out");
    }
    html_put(h, "</figcaption>");
}

static cs_status one_map(report *r, const cs_diagnosis_group *g, double most, cs_error *err) {
    html *h = &r->h;
    const cs_diagnosis *d = r->d;
    html_put(h, "<li><figure>");
    if (g->mean_map) {
        cs_image cells = {0};
        char room[24];
        CS_TRY(report_heat_cells(g->mean_map, d->map_rows, d->map_columns, most, &cells, err));
        html_put(h, "<img alt=\"Mean map for ");
        html_text(h, report_class(d, g->class_index, room));
        html_format(h, ", %s\" width=\"%d\" height=\"%d\" src=", cs_cell_name(g->cell),
                    (int)(d->map_columns * 16), (int)(d->map_rows * 16));
        cs_status status = html_png(h, &cells, err);
        cs_image_free(&cells);
        CS_TRY(status);
        html_put(h, ">");
    } else
        html_format(h, "<div class=\"blank\">%s</div>",
                    g->count == 0 ? "no such image" : "all maps are empty");
    caption(r, g);
    html_put(h, "</figure></li>\n");
    return CS_OK;
}

static cs_status scale(report *r, double most, cs_error *err) {
    html *h = &r->h;
    cs_image bar = {0};
    double steps[64];
    for (int i = 0; i < 64; i++)
        steps[i] = i / 63.0;
    CS_TRY(report_heat_cells(steps, 1, 64, 1.0, &bar, err));
    html_put(h, "<p class=\"scale\">0 <img alt=\"dark to bright\" src=");
    cs_status status = html_png(h, &bar, err);
    cs_image_free(&bar);
    CS_TRY(status);
    html_put(h, "> ");
    html_percent(h, most);
    html_put(h, " of the heat in one cell; an even map has ");
    html_percent(h, 1.0 / (double)(r->d->map_rows * r->d->map_columns));
    html_put(h, " in each</p>\n");
    return CS_OK;
}

cs_status report_maps(report *r, cs_error *err) {
    html *h = &r->h;
    const cs_diagnosis *d = r->d;
    double most = brightest(d);
    html_put(h, "<section id=\"maps\" aria-labelledby=\"maps-h\"><h2 id=\"maps-h\">Mean maps</h2>\n"
                "<p>Each image's map is divided by its sum, then averaged, at the layer's own size "
                "and without smoothing. All pictures share one scale.</p>\n");
    if (most > 0.0)
        CS_TRY(scale(r, most, err));
    html_put(h, "<ul class=\"maps\">\n");
    for (int64_t i = 0; i < d->group_count; i++) {
        const cs_diagnosis_group *g = &d->groups[i];
        bool told = g->cell == CS_CELL_ALL || d->confusion_classes > 0;
        if (g->column < 0 && told && (g->count > 0 || g->cell == CS_CELL_ALL))
            CS_TRY(one_map(r, g, most, err));
    }
    html_put(h, "</ul>\n</section>\n");
    return CS_OK;
}
