/* hostile_images.c - the list IMAGE: reading its pictures. */
#include "hostile_images.h"

#include "cnnscope_cam.h"
#include "test_support.h"

static const hostile_image_group *const groups[] = {&hostile_pngs, &hostile_png_data,
                                                    &hostile_jpegs, &hostile_pnms};

int hostile_images_counted(void) {
    int count = 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        count += groups[i]->count();
    return count;
}

static const hostile_image *get(int index) {
    int group = 0;
    while (index >= groups[group]->count())
        index -= groups[group++]->count();
    return groups[group]->get(index);
}

static hostile_row row(int index) { return get(index)->row; }

static void run(int index, hostile_outcome *outcome) {
    const hostile_image *one = get(index);
    const char *folder = test_temp_dir();
    const char *path = test_path(folder, one->file_name ? one->file_name : "picture");
    bytes file = {0};
    cs_image image;
    cs_error err = {0};
    one->make(one, &file);
    test_file_put(path, file.data, file.size);
    bytes_free(&file);
    *outcome = (hostile_outcome){.status = cs_image_load(path, NULL, &image, &err), .offset = -1};
    if (outcome->status != CS_OK)
        hostile_failed(outcome, &err, folder);
    ck_assert_int_eq(image.pixels == NULL, outcome->status != CS_OK);
    cs_image_free(&image);
    outcome->left = hostile_files_in(folder);
    outcome->allowed = 1; /* the picture itself */
}

const hostile_list hostile_pictures = {
    .title = "IMAGE",
    .about =
        "PNG, JPEG and PNM pictures (3 x 2, 8 x 8 or a few pixels large), and files whose names "
        "lie. A byte is\nthat of the chunk, segment or number at fault.",
    .count = HOSTILE_IMAGE_COUNT,
    .row = row,
    .run = run,
};
