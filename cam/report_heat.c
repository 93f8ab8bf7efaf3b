/* report_heat.c - heat as colours: a ramp whose lightness grows evenly, so that it reads in grey,
 * on paper, and with any colour vision (JET, which explain shows for its sameness with OpenCV,
 * does not). */
#include "report_parts.h"

#include <math.h>
#include <stdlib.h>

void report_heat_color(double v, uint8_t rgb[3]) {
    static const double ramp[6][3] = {{10, 8, 24},   {62, 18, 88},   {139, 34, 96},
                                      {212, 72, 66}, {247, 148, 52}, {254, 240, 178}};
    const double t = 5.0 * (v > 0.0 ? v < 1.0 ? v : 1.0 : 0.0);
    int i = (int)t;
    if (i > 4)
        i = 4;
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)(ramp[i][c] + (ramp[i + 1][c] - ramp[i][c]) * (t - i) + 0.5);
}

cs_status report_heat_cells(const double *share, int64_t rows, int64_t columns, double most,
                            cs_image *out, cs_error *err) {
    CS_TRY(cs_image_allocate(out, columns, rows, err));
    for (int64_t i = 0; i < rows * columns; i++)
        report_heat_color(most > 0.0 ? share[i] / most : 0.0, out->pixels + 3 * i);
    return CS_OK;
}

/* Grey shines through where there is little heat. */
static void blend(const uint8_t in[3], double heat, uint8_t out[3]) {
    uint8_t rgb[3];
    double weight = 0.72 * (heat < 0.08 ? 0.0 : sqrt((heat - 0.08) / 0.92));
    double grey = 0.299 * in[0] + 0.587 * in[1] + 0.114 * in[2];
    report_heat_color(0.25 + 0.75 * heat, rgb);
    for (int c = 0; c < 3; c++)
        out[c] = (uint8_t)((1.0 - weight) * grey + weight * rgb[c] + 0.5);
}

cs_status report_heat_overlay(const cs_image *image, const cs_tensor *map, cs_image *out,
                              cs_error *err) {
    *out = (cs_image){0};
    size_t count = (size_t)image->width * (size_t)image->height;
    double *heat = malloc(count * sizeof *heat), most = 0.0;
    if (!heat)
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for an overlay");
    cs_status status = cs_map_enlarge(map, image->height, image->width, heat, err);
    if (status == CS_OK)
        status = cs_image_allocate(out, image->width, image->height, err);
    for (size_t i = 0; status == CS_OK && i < count; i++)
        most = heat[i] > most ? heat[i] : most;
    for (size_t i = 0; status == CS_OK && i < count; i++)
        blend(image->pixels + 3 * i, most > 0.0 ? heat[i] / most : 0.0, out->pixels + 3 * i);
    free(heat);
    return status;
}
