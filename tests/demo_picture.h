/* demo_picture.h - a picture that looks a little like a chest radiograph, drawn from numbers. */
#ifndef CLI_DEMO_PICTURE_H
#define CLI_DEMO_PICTURE_H

#include "cnnscope_cam.h"

/* Draws size x size pixels: a body, two lungs, ribs, a spine, a heart, one bright spot in the lung
 * on the left of the picture, and noise of a seed. The same bytes on every machine. `image` is
 * allocated. Errors: CS_ERROR_LIMIT, CS_ERROR_MEMORY. */
cs_status demo_picture_draw(int64_t size, uint64_t seed, cs_image *image, cs_error *err);

#endif
