#include "radiograph_set.h"
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

radiograph radiograph_set_image(const radiograph_set *set, int64_t i) {
    radiograph image = {set->first_seed + (uint64_t)i, i % 2 == 1, RADIOGRAPH_NO_PLANT};
    cs_random lot = {image.seed ^ 0x706C616E74u};
    bool drawn = cs_random_next(&lot) % 100 < (uint64_t)set->prevalence;
    if (drawn && (image.opacity || set->both))
        image.plant = set->plant;
    return image;
}

void radiograph_set_file(const radiograph *image, int64_t i, const char *what, char *out,
                         size_t size) {
    snprintf(out, size, "%s/%s/%05" PRId64 ".png", what,
             image->opacity ? RADIOGRAPH_OPACITY_NAME : RADIOGRAPH_NORMAL, i);
}

static cs_status make_folder(const char *folder, const char *name, cs_error *err) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s", folder, name);
    if (mkdir(path, 0777) != 0)
        return cs_error_set(err, CS_ERROR_OUTPUT, folder, -1, "%s: cannot make the folder: %s",
                            path, strerror(errno));
    return CS_OK;
}

static cs_status make_folders(const char *folder, cs_error *err) {
    static const char *const names[] = {"",
                                        "/images",
                                        "/images/" RADIOGRAPH_NORMAL,
                                        "/images/" RADIOGRAPH_OPACITY_NAME,
                                        "/masks",
                                        "/masks/" RADIOGRAPH_NORMAL,
                                        "/masks/" RADIOGRAPH_OPACITY_NAME};
    CS_CHECK(strlen(folder) < PATH_MAX - 64, CS_ERROR_ARGUMENT, "the folder's name is too long");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CS_TRY(make_folder(folder, names[i], err));
    return CS_OK;
}

/* Draws and writes image i, and its line of the table. */
static cs_status write_one(const radiograph_set *set, int64_t i, const char *folder, FILE *table,
                           cs_error *err) {
    radiograph what = radiograph_set_image(set, i);
    cs_image image = {0}, mask = {0};
    char name[64], path[PATH_MAX];
    CS_TRY(radiograph_draw(&what, set->size, &image, &mask, err));
    radiograph_set_file(&what, i, "masks", name, sizeof name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cs_status status = cs_image_write_png(path, &mask, err);
    radiograph_set_file(&what, i, "images", name, sizeof name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (status == CS_OK)
        status = cs_image_write_png(path, &image, err);
    fprintf(table, "%s,%s,%s,%" PRIu64 "\n", name,
            what.opacity ? RADIOGRAPH_OPACITY_NAME : RADIOGRAPH_NORMAL,
            radiograph_plant_name(what.plant), what.seed);
    cs_image_free(&image);
    cs_image_free(&mask);
    return status;
}

cs_status radiograph_set_write(const radiograph_set *set, const char *folder, cs_error *err) {
    CS_TRY(make_folders(folder, err));
    char *text = NULL, path[PATH_MAX];
    size_t size = 0;
    FILE *table = open_text(&text, &size);
    CS_CHECK(table, CS_ERROR_MEMORY, "no memory for the table of labels");
    cs_status status = CS_OK;
    fprintf(table, "file,class,plant,seed\n");
    for (int64_t i = 0; i < set->count && status == CS_OK; i++)
        status = write_one(set, i, folder, table, err);
    cs_error lost;
    if (close_text(table, &lost) != CS_OK && status == CS_OK)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for the table of labels");
    snprintf(path, sizeof path, "%s/labels.csv", folder);
    if (status == CS_OK)
        status = cs_file_write(path, text, size, err);
    free(text);
    return status;
}
