/* fuzz_image.h - what the fuzz targets of pictures share: decode these bytes and see that a picture
 * or an error comes of it.
 */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <stdlib.h>

#include "cnnscope_cam.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small limits: an input is a fraction of a millisecond. */
static inline void fuzz_decode(const uint8_t *data, size_t size) {
    const cs_image_limits limits = {1 << 20, 1 << 16, 1 << 24};
    cs_error err = {0};
    cs_image image;
    cs_status status = cs_image_decode(data, size, "fuzzed", &limits, &image, &err);
    if (status == CS_OK ? !image.pixels || image.width * image.height > limits.max_pixels
                        : image.pixels || err.code != status || !err.text[0])
        abort();
    volatile uint8_t pixel; /* all of them are there */
    for (int64_t i = 0; image.pixels && i < 3 * image.width * image.height; i++)
        pixel = image.pixels[i];
    (void)pixel;
    cs_image_free(&image);
}

#endif
