#include "panel.h"
#include "canvas.h"

#include <string.h>

enum { NEAREST_FROM = 4 /* from this enlargement on pixels stay squares */ };

static const cs_color frame = {200, 200, 200};

static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }

void cs_panel_size(const cs_image *image, int64_t *width, int64_t *height) {
    int64_t longer = at_least(image->width, image->height), wanted = longer;
    if (longer < CS_PANEL_LEAST) {
        int64_t factor = (CS_PANEL_LEAST + longer - 1) / longer;
        wanted = factor >= NEAREST_FROM ? factor * longer : CS_PANEL_LEAST;
    } else if (longer > CS_PANEL_MOST) {
        wanted = CS_PANEL_MOST;
    }
    *width = at_least(1, (image->width * wanted + longer / 2) / longer);
    *height = at_least(1, (image->height * wanted + longer / 2) / longer);
}

static cs_status enlarge_squares(const cs_image *image, int64_t width, int64_t height,
                                 cs_image *out, cs_error *err) {
    CS_TRY(cs_image_allocate(out, width, height, err));
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            int64_t from = y * image->height / height * image->width + x * image->width / width;
            memcpy(out->pixels + 3 * (y * width + x), image->pixels + 3 * from, 3);
        }
    return CS_OK;
}

cs_status cs_panel_draw(cs_image *canvas, int64_t x, int64_t y, const cs_image *image,
                        int64_t width, int64_t height, cs_error *err) {
    cs_image shown = {0};
    if (width >= NEAREST_FROM * image->width)
        CS_TRY(enlarge_squares(image, width, height, &shown, err));
    else
        CS_TRY(cs_resize_bicubic(image, width, height, &shown, err));
    cs_canvas_fill(canvas, x - 1, y - 1, shown.width + 2, shown.height + 2, frame);
    cs_canvas_paste(canvas, x, y, &shown);
    cs_image_free(&shown);
    return CS_OK;
}

void cs_panel_bar(cs_image *canvas, int64_t x, int64_t y, int64_t width, int64_t height) {
    cs_canvas_fill(canvas, x - 1, y - 1, width + 2, height + 2, frame);
    for (int64_t row = 0; row < height; row++) {
        uint8_t rgb[3];
        int64_t level = height > 1 ? (height - 1 - row) * 255 / (height - 1) : 255;
        cs_colormap_jet((uint8_t)level, rgb);
        cs_canvas_fill(canvas, x, y + row, width, 1, (cs_color){rgb[0], rgb[1], rgb[2]});
    }
}
