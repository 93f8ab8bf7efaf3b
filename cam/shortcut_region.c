/* shortcut_region.c - the parts of a picture that the shortcut diagnosis measures, as the share of
 * each cell of a map that they cover. Rectangles by exact overlap; the region of interest by the
 * area average of its mask.
 */
#include "cam_internal.h"
#include "cnnscope_diagnose.h"

#include <math.h>
#include <stdlib.h>

static const char *const region_names[CS_REGION_COUNT] = {
    "top_left", "top_right", "bottom_left", "bottom_right", "ring",      "roi",
    "left",     "right",     "top_edge",    "bottom_edge",  "left_edge", "right_edge"};

const char *cs_region_name(cs_region region) { return region_names[region]; }

/* In shares of the picture's width and height. */
typedef struct rectangle {
    double left, top, right, bottom;
} rectangle;

/* The ring's is what it leaves out. */
static rectangle region_rectangle(cs_region region, int64_t height, int64_t width) {
    double least = (double)(height < width ? height : width);
    double x = CS_CORNER_SIDE * least / (double)width, y = CS_CORNER_SIDE * least / (double)height;
    double rx = CS_RING_WIDTH * least / (double)width, ry = CS_RING_WIDTH * least / (double)height;
    switch (region) {
    case CS_REGION_TOP_LEFT: return (rectangle){0.0, 0.0, x, y};
    case CS_REGION_TOP_RIGHT: return (rectangle){1.0 - x, 0.0, 1.0, y};
    case CS_REGION_BOTTOM_LEFT: return (rectangle){0.0, 1.0 - y, x, 1.0};
    case CS_REGION_BOTTOM_RIGHT: return (rectangle){1.0 - x, 1.0 - y, 1.0, 1.0};
    case CS_REGION_RING: return (rectangle){rx, ry, 1.0 - rx, 1.0 - ry};
    case CS_REGION_TOP_EDGE: return (rectangle){0.0, 0.0, 1.0, ry};
    case CS_REGION_BOTTOM_EDGE: return (rectangle){0.0, 1.0 - ry, 1.0, 1.0};
    case CS_REGION_LEFT_EDGE: return (rectangle){0.0, 0.0, rx, 1.0};
    case CS_REGION_RIGHT_EDGE: return (rectangle){1.0 - rx, 0.0, 1.0, 1.0};
    case CS_REGION_LEFT: return (rectangle){0.0, 0.0, 0.5, 1.0};
    default: return (rectangle){0.5, 0.0, 1.0, 1.0};
    }
}

/* The share of cell `index` of `count` that lies between low and high. */
static double overlap(int64_t index, int64_t count, double low, double high) {
    double from = low * (double)count - (double)index, to = high * (double)count - (double)index;
    from = from > 0.0 ? from : 0.0;
    to = to < 1.0 ? to : 1.0;
    return to > from ? to - from : 0.0;
}

/* The average of mask values over one cell, each weighted by its overlap. */
static double mask_average(const cs_tensor *mask, int64_t y, int64_t rows, int64_t x,
                           int64_t columns) {
    double top = (double)y / (double)rows, bottom = (double)(y + 1) / (double)rows;
    double left = (double)x / (double)columns, right = (double)(x + 1) / (double)columns;
    double sum = 0.0, all = 0.0;
    int64_t y_end = (int64_t)ceil(bottom * (double)mask->h);
    int64_t x_end = (int64_t)ceil(right * (double)mask->w);
    for (int64_t py = (int64_t)(top * (double)mask->h); py < y_end && py < mask->h; py++) {
        double down = overlap(py, mask->h, top, bottom);
        for (int64_t px = (int64_t)(left * (double)mask->w); px < x_end && px < mask->w; px++) {
            double weight = down * overlap(px, mask->w, left, right);
            sum += weight * cs_tensor_value(mask, (size_t)(py * mask->w + px));
            all += weight;
        }
    }
    return all > 0.0 ? sum / all : 0.0;
}

cs_status cs_region_cover(cs_region region, int64_t height, int64_t width, const cs_tensor *roi,
                          int64_t rows, int64_t columns, double *out, cs_error *err) {
    CS_CHECK(height >= 1 && width >= 1 && rows >= 1 && columns >= 1 && region >= 0 &&
                 region < CS_REGION_COUNT,
             CS_ERROR_ARGUMENT, "a region of a picture without pixels, or an unknown one");
    CS_CHECK(region != CS_REGION_ROI || (roi && roi->n == 1 && roi->c == 1), CS_ERROR_ARGUMENT,
             "the region of interest needs a mask of shape (1, 1, H, W)");
    rectangle r = region_rectangle(region, height, width);
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++) {
            double *cell = &out[y * columns + x];
            if (region == CS_REGION_ROI) {
                *cell = mask_average(roi, y, rows, x, columns);
                continue;
            }
            *cell = overlap(y, rows, r.top, r.bottom) * overlap(x, columns, r.left, r.right);
            if (region == CS_REGION_RING)
                *cell = 1.0 - *cell;
        }
    return CS_OK;
}

cs_status cs_map_regions_make(int64_t rows, int64_t columns, int64_t height, int64_t width,
                              const cs_tensor *roi, cs_map_regions *regions, cs_error *err) {
    *regions = (cs_map_regions){.rows = rows, .columns = columns};
    cs_status status = CS_OK;
    size_t cells = (size_t)(rows * columns);
    for (int r = 0; r < CS_REGION_COUNT && status == CS_OK; r++) {
        if (r == CS_REGION_ROI && !roi)
            continue;
        regions->cover[r] = calloc(cells, sizeof *regions->cover[r]);
        if (!regions->cover[r])
            status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "out of memory");
        else
            status = cs_region_cover((cs_region)r, height, width, roi, rows, columns,
                                     regions->cover[r], err);
        for (size_t i = 0; i < cells && status == CS_OK; i++)
            regions->area[r] += regions->cover[r][i];
        regions->area[r] /= (double)cells;
    }
    if (status == CS_OK && roi && !(regions->area[CS_REGION_ROI] > 0.0))
        status = cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                              "the region of interest is empty: its mask is 0 everywhere");
    if (status != CS_OK)
        cs_map_regions_free(regions);
    return status;
}

void cs_map_regions_free(cs_map_regions *regions) {
    if (!regions)
        return;
    for (int r = 0; r < CS_REGION_COUNT; r++)
        free(regions->cover[r]);
    *regions = (cs_map_regions){0};
}
