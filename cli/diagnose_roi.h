/* diagnose_roi.h - the region of interest of each image: one for all, a folder of masks, boxes from
 * a table, or the chest template. */
#ifndef CLI_DIAGNOSE_ROI_H
#define CLI_DIAGNOSE_ROI_H

#include "cnnscope_diagnose.h"
#include "csv_file.h"

typedef struct diagnose_roi {
    const char *text; /* what was given; NULL: none */
    bool is_template;
    cs_tensor shared; /* data NULL: it differs from image to image */
    const char *folder;
    csv_table boxes; /* file, x, y, width, height in pixels of the file */
    int64_t column[5];
    int64_t height, width; /* the model's input */
} diagnose_roi;

/* Reads --roi; `shape` (cx1,cx2,cy,rx,ry as shares of the sides) changes the template, NULL: as it
 * is. Errors: CS_ERROR_ARGUMENT, CS_ERROR_IO, CS_ERROR_FORMAT, CS_ERROR_MEMORY. */
cs_status diagnose_roi_open(diagnose_roi *roi, const cs_model *model, const char *text,
                            const char *shape, cs_error *err);
void diagnose_roi_free(diagnose_roi *roi);

/* The mask of one image at the model's input size; mask->data is NULL where it has none (no file or
 * box of its name, or a mask that is black everywhere, as of a healthy image among findings), and
 * belongs to `roi` where that is shared (*owned false). Safe from several threads. Errors: as
 * cs_mask_load. */
cs_status diagnose_roi_mask(const diagnose_roi *roi, const char *file, const cs_input *input,
                            cs_tensor *mask, bool *owned, cs_error *err);

/* A hash of the shared mask or the boxes; of a folder, its name alone. */
cs_status diagnose_roi_sha256(const diagnose_roi *roi, char out[CS_SHA256_HEX_SIZE], cs_error *err);

#endif
