/* panel.h - what figures are made of: pictures in frames at a readable size, and the colour bar */
#ifndef CS_PANEL_H
#define CS_PANEL_H

#include "cnnscope_cam.h"

/* A picture's longer side is enlarged or reduced to something between these. */
#define CS_PANEL_LEAST 336
#define CS_PANEL_MOST  768

/* The size at which a picture is shown. */
void cs_panel_size(const cs_image *image, int64_t *width, int64_t *height);

/* The picture at that size, its upper left corner at (x, y), with a frame of one pixel around it.
 * Errors: CS_ERROR_MEMORY. */
cs_status cs_panel_draw(cs_image *canvas, int64_t x, int64_t y, const cs_image *image,
                        int64_t width, int64_t height, cs_error *err);

/* The colours from the highest to the lowest, with a frame. */
void cs_panel_bar(cs_image *canvas, int64_t x, int64_t y, int64_t width, int64_t height);

#endif
