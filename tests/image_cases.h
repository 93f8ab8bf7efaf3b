/* image_cases.h - the images and expectations of tests/fixtures/images (see
 * make_image_fixtures.py). */
#ifndef IMAGE_CASES_H
#define IMAGE_CASES_H

#include "cnnscope_cam.h"
#include "test_support.h"

#define IMAGE_FOLDER "tests/fixtures/images"

/* One line of expected.txt. */
typedef struct image_case {
    char op[16];     /* decode, bilinear, bicubic, input */
    char image[200]; /* a file of the folder, data:PATH, noise:WxH:SEED */
    int width, height, channels;
    char sha256[CS_SHA256_HEX_SIZE];
} image_case;

/* Calls `check` for every line of expected.txt with this op, with the opened image; returns how
 * many there were. Images of ../shared/data are left out where it is absent. */
int image_cases_run(const char *op, void (*check)(const image_case *c, const cs_image *image));

/* Fails the test unless `size` bytes have the case's hash. */
void image_case_check(const image_case *c, const void *bytes, size_t size);

/* Random bytes, the generator of make_image_fixtures.py. */
cs_image image_noise(int64_t width, int64_t height, uint64_t seed);

#endif
