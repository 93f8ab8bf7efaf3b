/* colormap.c - heatmaps as colours, and the overlay. */
#include "cam_internal.h"

#include <math.h>

/* OpenCV's JET, found to be three trapezoids of slope 4 (tests compare all 256 entries) with one
 * rounding that goes the other way. */
void cs_colormap_jet(uint8_t index, uint8_t rgb[3]) {
    static const struct { int up, down; } trapezoids[3] = {{-382, 1148}, {-128, 892}, {128, 638}};
    for (int c = 0; c < 3; c++) {
        int up = trapezoids[c].up + 4 * index, down = trapezoids[c].down - 4 * index;
        int v = up < down ? up : down;
        rgb[c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    if (index == 159)
        rgb[2] = 1;
}

cs_status cs_heatmap_color(const cs_tensor *heatmap, cs_image *image, cs_error *err) {
    CS_TRY(cs_image_allocate(image, heatmap->w, heatmap->h, err));
    size_t count = (size_t)heatmap->w * (size_t)heatmap->h;
    for (size_t i = 0; i < count; i++) {
        double h = cs_tensor_value(heatmap, i);
        double v = heatmap->dtype == CS_F32 ? (double)(255.0f * (float)h) : 255.0 * h;
        cs_colormap_jet((uint8_t)(v >= 255.0 ? 255.0 : v >= 0.0 ? v : 0.0), image->pixels + 3 * i);
    }
    return CS_OK;
}

cs_status cs_overlay_make(const cs_image *image, const cs_image *heat, cs_image *overlay,
                          cs_error *err) {
    CS_CHECK(image->width == heat->width && image->height == heat->height, CS_ERROR_ARGUMENT,
             "the image has %lld x %lld pixels, the heatmap %lld x %lld", (long long)image->width,
             (long long)image->height, (long long)heat->width, (long long)heat->height);
    CS_TRY(cs_image_allocate(overlay, image->width, image->height, err));
    size_t count = 3 * (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < count; i++) {
        double v = 0.6 * image->pixels[i] / 255.0 + 0.4 * heat->pixels[i] / 255.0;
        overlay->pixels[i] = (uint8_t)floor(255.0 * v + 0.5);
    }
    return CS_OK;
}
