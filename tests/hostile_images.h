/* hostile_images.h - pictures with one thing wrong each, and a few odd ones that must be read (list
 * IMAGE).
 */
#ifndef HOSTILE_IMAGES_H
#define HOSTILE_IMAGES_H

#include "hostile_table.h"
#include "picture_builder.h"

typedef struct hostile_image {
    hostile_row row;
    const char *file_name; /* NULL: "picture" */
    void (*make)(const struct hostile_image *self, bytes *file);
} hostile_image;

/* How many there are; hostile_images_counted() is the same number, counted. */
enum { HOSTILE_IMAGE_COUNT = 197 };
int hostile_images_counted(void);

/* What hostile_pictures is made of. */
typedef struct hostile_image_group {
    int (*count)(void);
    const hostile_image *(*get)(int index);
} hostile_image_group;

extern const hostile_image_group hostile_pngs, hostile_png_data, hostile_jpegs, hostile_pnms;

#endif
