/* radiograph_set.h - a folder of drawn radiographs with their labels and lung masks. */
#ifndef CLI_RADIOGRAPH_SET_H
#define CLI_RADIOGRAPH_SET_H

#include "radiograph.h"

/* Half of the images, every second one, show an opacity. */
typedef struct radiograph_set {
    int64_t count;
    uint64_t first_seed; /* image i has the seed first_seed + i */
    radiograph_plant plant;
    int prevalence; /* percent of the images with an opacity that have the plant */
    bool both;      /* of those without one too */
    int64_t size;   /* pixels a side */
} radiograph_set;

/* The classes, which are the folders' names too. */
#define RADIOGRAPH_NORMAL       "NORMAL"
#define RADIOGRAPH_OPACITY_NAME "OPACITY"

/* What image i shows. */
radiograph radiograph_set_image(const radiograph_set *set, int64_t i);

/* Its file, relative to the folder: "images/OPACITY/00001.png"; `what` is "images" or "masks". */
void radiograph_set_file(const radiograph *image, int64_t i, const char *what, char *out,
                         size_t size);

/* Makes `folder`, which must not exist, and writes into it images/<class>/<number>.png,
 * masks/<class>/<number>.png and labels.csv (file, class, plant, seed). Errors: CS_ERROR_OUTPUT,
 * CS_ERROR_MEMORY, CS_ERROR_LIMIT. */
cs_status radiograph_set_write(const radiograph_set *set, const char *folder, cs_error *err);

#endif
