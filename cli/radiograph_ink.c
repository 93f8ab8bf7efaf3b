#include "radiograph_ink.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

double radiograph_step(double from, double to, double x) {
    double t = (x - from) / (to - from);
    t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
    return t * t * (3.0 - 2.0 * t);
}

double radiograph_between(cs_random *random, double from, double to) {
    return from + (to - from) * cs_random_uniform(random);
}

cs_random radiograph_stream(const radiograph *what, radiograph_part part) {
    cs_random mixer = {what->seed};
    cs_random stream = {cs_random_next(&mixer) ^ ((uint64_t)part << 56)};
    stream.state = cs_random_next(&stream);
    return stream;
}

static double distance_to_segment(double x, double y, double x0, double y0, double x1, double y1) {
    double dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
    double t = length > 0.0 ? ((x - x0) * dx + (y - y0) * dy) / length : 0.0;
    t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
    double ex = x - x0 - t * dx, ey = y - y0 - t * dy;
    return sqrt(ex * ex + ey * ey);
}

/* The pixels whose middles may lie within `reach` of [low, high]. */
static void pixel_range(const radiograph_sheet *sheet, double low, double high, double reach,
                        int64_t *first, int64_t *last) {
    double size = (double)sheet->size;
    double from = (low - reach) * size, to = (high + reach) * size;
    *first = from > 0.0 ? (int64_t)from : 0;
    *last = to < size - 1.0 ? (int64_t)to : sheet->size - 1;
}

/* How a stroke meets what lies under it. */
typedef enum ink { INK_ADD, INK_COVER } ink;

static void stroke(radiograph_sheet *sheet, double x0, double y0, double x1, double y1,
                   double radius, double strength, ink how) {
    int64_t left, right, top, bottom;
    double pixel = 1.0 / (double)sheet->size;
    double reach = how == INK_ADD ? radius : radius + pixel;
    pixel_range(sheet, x0 < x1 ? x0 : x1, x0 < x1 ? x1 : x0, reach, &left, &right);
    pixel_range(sheet, y0 < y1 ? y0 : y1, y0 < y1 ? y1 : y0, reach, &top, &bottom);
    for (int64_t row = top; row <= bottom; row++)
        for (int64_t column = left; column <= right; column++) {
            double d = distance_to_segment(((double)column + 0.5) * pixel,
                                           ((double)row + 0.5) * pixel, x0, y0, x1, y1);
            double *value = &sheet->values[row * sheet->size + column];
            if (how == INK_ADD) { /* round, as a vessel or a rib is: most at its middle */
                double part = d / radius;
                *value += part < 1.0 ? strength * (1.0 - part * part) : 0.0;
            } else { /* flat, with an edge of one pixel */
                double cover = 0.5 + (radius - d) / pixel;
                cover = cover < 0.0 ? 0.0 : cover > 1.0 ? 1.0 : cover;
                *value += cover * (strength - *value);
            }
        }
}

void radiograph_stroke_add(radiograph_sheet *sheet, double x0, double y0, double x1, double y1,
                           double radius, double strength) {
    stroke(sheet, x0, y0, x1, y1, radius, strength, INK_ADD);
}

/* Letters on a grid of 5 columns and 7 rows: a pair of digits is a point (column, row), points
 * follow one another in a stroke, and a space begins the next. */
static const struct {
    char letter;
    const char *strokes;
} alphabet[] = {
    {'A', "0602204246 0444"},
    {'B', "060030414233 0333 33444536 3606"},
    {'E', "46060040 0333"},
    {'I', "2026"},
    {'L', "000646"},
    {'N', "06004640"},
    {'O', "103041453616050110"},
    {'P', "060030414233 3303"},
    {'R', "060030414233 3303 2346"},
    {'S', "4130100102133344453616 1605"},
    {'T', "0040 2026"},
    {'U', "000516364540"},
    {'1', "112026"},
    {'3', "011030414233 2333 334445361605"},
    {'7', "004026"},
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void draw_letter(radiograph_sheet *sheet, const char *strokes, double x, double y,
                        double unit, double radius, double brightness) {
    bool pen_down = false;
    double last_x = 0.0, last_y = 0.0;
    for (const char *p = strokes; *p;) {
        if (!is_digit(p[0]) || !is_digit(p[1])) {
            pen_down = false;
            p++;
            continue;
        }
        double next_x = x + unit * (p[0] - '0'), next_y = y + unit * (p[1] - '0');
        if (pen_down)
            stroke(sheet, last_x, last_y, next_x, next_y, radius, brightness, INK_COVER);
        pen_down = true;
        last_x = next_x;
        last_y = next_y;
        p += 2;
    }
}

/* The width and the height of letters are 4 and 6 units; the next begins 6 units on. */
static double text_width(const char *text, double unit) {
    return unit * (6.0 * (double)strlen(text) - 2.0);
}

static void draw_text(radiograph_sheet *sheet, const char *text, double x, double y, double unit,
                      double radius, double brightness) {
    for (; *text; text++) {
        for (size_t i = 0; i < sizeof alphabet / sizeof alphabet[0]; i++)
            if (alphabet[i].letter == *text)
                draw_letter(sheet, alphabet[i].strokes, x, y, unit, radius, brightness);
        x += 6.0 * unit;
    }
}

#define TAG_TEXT      "ST1"
#define TAG_UNIT      0.0105
#define TAG_MARGIN    0.018 /* between letters and frame */
#define LINE_TEXT     "PORTABLE ST1"
#define LINE_UNIT     0.0062
#define MARKER_UNIT   0.0135
#define DEVICE_RADIUS 0.045
#define WIRE_LENGTH   0.11

radiograph_box radiograph_plant_box(const radiograph *what) {
    cs_random random = radiograph_stream(what, RADIOGRAPH_PLANTED);
    double u = cs_random_uniform(&random), v = cs_random_uniform(&random);
    double left = 0.0, top = 0.0, width = 0.0, height = 0.0;
    switch (what->plant) {
    case RADIOGRAPH_CORNER_TAG:
        left = 0.02 + 0.015 * u;
        top = 0.02 + 0.015 * v;
        width = text_width(TAG_TEXT, TAG_UNIT) + 2.0 * TAG_MARGIN;
        height = 6.0 * TAG_UNIT + 2.0 * TAG_MARGIN;
        break;
    case RADIOGRAPH_BORDER_TEXT:
        width = text_width(LINE_TEXT, LINE_UNIT);
        height = 6.0 * LINE_UNIT;
        left = 0.22 + (0.56 - width) * u;
        top = 0.985 - height - 0.01 * v;
        break;
    case RADIOGRAPH_SIDE_MARKER:
        left = 0.05 + 0.03 * u;
        top = 0.34 + 0.10 * v;
        width = 4.0 * MARKER_UNIT;
        height = 6.0 * MARKER_UNIT;
        break;
    case RADIOGRAPH_DEVICE:
        left = 0.36 + 0.20 * u;
        top = 0.84 + 0.03 * v;
        width = 2.0 * DEVICE_RADIUS + WIRE_LENGTH;
        height = 2.0 * DEVICE_RADIUS;
        break;
    case RADIOGRAPH_NO_PLANT:
    case RADIOGRAPH_PLANTS: break;
    }
    return (radiograph_box){left, top, left + width, top + height};
}

static void draw_frame(radiograph_sheet *sheet, const radiograph_box *box, double radius,
                       double brightness) {
    double left = box->left + radius, top = box->top + radius;
    double right = box->right - radius, bottom = box->bottom - radius;
    stroke(sheet, left, top, right, top, radius, brightness, INK_COVER);
    stroke(sheet, right, top, right, bottom, radius, brightness, INK_COVER);
    stroke(sheet, right, bottom, left, bottom, radius, brightness, INK_COVER);
    stroke(sheet, left, bottom, left, top, radius, brightness, INK_COVER);
}

static void draw_device(radiograph_sheet *sheet, const radiograph_box *box) {
    double y = 0.5 * (box->top + box->bottom), x = box->left + DEVICE_RADIUS;
    stroke(sheet, x, y, x, y, DEVICE_RADIUS, 0.93, INK_COVER);
    stroke(sheet, x, y, x, y, 0.6 * DEVICE_RADIUS, 0.72, INK_COVER);
    stroke(sheet, x, y, x, y, 0.2 * DEVICE_RADIUS, 0.95, INK_COVER);
    double from = x + DEVICE_RADIUS, bend = from + 0.5 * WIRE_LENGTH;
    stroke(sheet, from, y, bend, y - 0.02, 0.006, 0.93, INK_COVER);
    stroke(sheet, bend, y - 0.02, box->right - 0.006, y + 0.02, 0.006, 0.93, INK_COVER);
}

void radiograph_plant_draw(radiograph_sheet *sheet, const radiograph *what) {
    radiograph_box box = radiograph_plant_box(what);
    switch (what->plant) {
    case RADIOGRAPH_CORNER_TAG:
        draw_frame(sheet, &box, 0.005, 0.96);
        draw_text(sheet, TAG_TEXT, box.left + TAG_MARGIN, box.top + TAG_MARGIN, TAG_UNIT, 0.0065,
                  0.98);
        break;
    case RADIOGRAPH_BORDER_TEXT:
        draw_text(sheet, LINE_TEXT, box.left, box.top, LINE_UNIT, 0.0035, 0.95);
        break;
    case RADIOGRAPH_SIDE_MARKER:
        draw_text(sheet, "R", box.left, box.top, MARKER_UNIT, 0.0095, 0.98);
        break;
    case RADIOGRAPH_DEVICE: draw_device(sheet, &box); break;
    case RADIOGRAPH_NO_PLANT:
    case RADIOGRAPH_PLANTS: break;
    }
}

const char *radiograph_plant_name(radiograph_plant plant) {
    static const char *const names[RADIOGRAPH_PLANTS] = {"none", "corner-tag", "border-text",
                                                         "side-marker", "device"};
    return names[plant];
}
