/* image_cases.c - reads expected.txt and opens the images that it names. */
#include "image_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cs_image image_noise(int64_t width, int64_t height, uint64_t seed) {
    cs_error err;
    cs_image image;
    REQUIRE_OK(cs_image_allocate(&image, width, height, &err), err);
    cs_random random = {seed};
    for (int64_t i = 0; i < 3 * width * height; i++)
        image.pixels[i] = (uint8_t)(cs_random_next(&random) >> 56);
    return image;
}

/* False where the image is to be left out. */
static bool open_image(const char *name, cs_image *image) {
    cs_error err;
    long width, height;
    unsigned long seed;
    if (sscanf(name, "noise:%ldx%ld:%lu", &width, &height, &seed) == 3) {
        *image = image_noise(width, height, seed);
        return true;
    }
    const char *path =
        strncmp(name, "data:", 5) == 0 ? test_data_path(name + 5) : test_path(IMAGE_FOLDER, name);
    if (!path)
        return false;
    REQUIRE_OK(cs_image_load(path, NULL, image, &err), err);
    return true;
}

static bool read_case(FILE *file, image_case *c) {
    char line[512];
    if (!fgets(line, sizeof line, file))
        return false;
    *c = (image_case){0};
    if (sscanf(line, "%15s %199s %d %d %d %64s\n", c->op, c->image, &c->width, &c->height,
               &c->channels, c->sha256) != 6 ||
        strlen(c->sha256) != 64)
        ck_assert_msg(sscanf(line, "%15s %199s %d %d %64s\n", c->op, c->image, &c->width,
                             &c->height, c->sha256) == 5,
                      "expected.txt: %s", line);
    return true;
}

int image_cases_run(const char *op, void (*check)(const image_case *c, const cs_image *image)) {
    FILE *file = fopen(IMAGE_FOLDER "/expected.txt", "r");
    ck_assert_msg(file, "%s/expected.txt cannot be read", IMAGE_FOLDER);
    image_case c;
    char opened[200] = "";
    cs_image image = {0};
    bool is_open = false;
    int count = 0;
    while (read_case(file, &c)) {
        if (strcmp(c.op, op) != 0)
            continue;
        if (strcmp(c.image, opened) != 0) {
            cs_image_free(&image);
            memcpy(opened, c.image, sizeof opened);
            is_open = open_image(opened, &image);
        }
        if (!is_open)
            continue;
        check(&c, &image);
        count++;
    }
    cs_image_free(&image);
    fclose(file);
    return count;
}

void image_case_check(const image_case *c, const void *bytes, size_t size) {
    char got[CS_SHA256_HEX_SIZE];
    cs_sha256_hex(bytes, size, got);
    ck_assert_msg(strcmp(got, c->sha256) == 0,
                  "%s %s %d x %d (%d channels): sha256 %s, expected %s", c->op, c->image, c->width,
                  c->height, c->channels, got, c->sha256);
}
