/* radiograph_ink.h - soft lines, discs and stroked letters on a sheet of brightness, for
 * radiograph.c. */
#ifndef CLI_RADIOGRAPH_INK_H
#define CLI_RADIOGRAPH_INK_H

#include "radiograph.h"

/* size x size brightnesses from 0 (black) to 1, row by row. */
typedef struct radiograph_sheet {
    int64_t size;
    double *values;
} radiograph_sheet;

/* A stroke from (x0, y0) to (x1, y1) with round ends, `radius` wide on both sides, all in parts
 * of the side; `strength` is added at its middle, less towards its edge. */
void radiograph_stroke_add(radiograph_sheet *sheet, double x0, double y0, double x1, double y1,
                           double radius, double strength);

/* Draws the plant of a radiograph. */
void radiograph_plant_draw(radiograph_sheet *sheet, const radiograph *what);

/* 0 up to `from`, 1 from `to` on, a smooth step between. */
double radiograph_step(double from, double to, double x);

/* Uniform in [from, to). */
double radiograph_between(cs_random *random, double from, double to);

/* A stream of its own for each part of a radiograph. */
typedef enum radiograph_part {
    RADIOGRAPH_ANATOMY = 1,
    RADIOGRAPH_VESSELS,
    RADIOGRAPH_OPACITY,
    RADIOGRAPH_PLANTED,
    RADIOGRAPH_EXPOSURE,
    RADIOGRAPH_GRAIN
} radiograph_part;
cs_random radiograph_stream(const radiograph *what, radiograph_part part);

#endif
