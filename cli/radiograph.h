/* radiograph.h - images that look like frontal chest radiographs, drawn from numbers: for the
 * demo, and for trials of the diagnosis, where it must be known what an image shows.
 *
 * The same seed gives the same bytes on every machine: the arithmetic is + - * / and sqrt in
 * double, each rounded once, and whole numbers. Anatomy, opacity, plant, exposure and noise are
 * drawn from streams of their own, so two images of one seed differ exactly where one has an
 * opacity or a plant and the other has none. */
#ifndef CLI_RADIOGRAPH_H
#define CLI_RADIOGRAPH_H

#include "cnnscope_cam.h"

/* What does not belong to the body, and may stand in an image. */
typedef enum radiograph_plant {
    RADIOGRAPH_NO_PLANT,
    RADIOGRAPH_CORNER_TAG,  /* a hospital's label, in the upper left corner */
    RADIOGRAPH_BORDER_TEXT, /* a line of small text along the lower edge, now here, now there */
    RADIOGRAPH_SIDE_MARKER, /* an "R" beside the chest, on the left of the image */
    RADIOGRAPH_DEVICE,      /* a round device with its wire, below the lungs */
    RADIOGRAPH_PLANTS       /* how many there are, the first included */
} radiograph_plant;

/* "none", "corner-tag", "border-text", "side-marker", "device". */
const char *radiograph_plant_name(radiograph_plant plant);

typedef struct radiograph {
    uint64_t seed;
    bool opacity; /* a hazy opacity in one lung: the sign of disease */
    radiograph_plant plant;
} radiograph;

/* Draws size x size pixels. `mask`, unless NULL, becomes 255 where the lung fields are (without
 * what the heart covers) and 0 elsewhere. `image` and `mask` are allocated; the caller frees
 * them with cs_image_free. Errors: CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status radiograph_draw(const radiograph *what, int64_t size, cs_image *image, cs_image *mask,
                          cs_error *err);

/* Where the plant of this radiograph lies: the smallest rectangle that holds it, in parts of the
 * side from the upper left corner. All zero for RADIOGRAPH_NO_PLANT. */
typedef struct radiograph_box {
    double left, top, right, bottom;
} radiograph_box;
radiograph_box radiograph_plant_box(const radiograph *what);

#endif
