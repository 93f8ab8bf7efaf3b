/* localisation.c - how much of a map lies in a mask that somebody drew: the energy-based pointing
 * game (Wang and others 2020, section 4.3; the same number is called relevance mass accuracy) and
 * the pointing game (Zhang and others 2016).
 *
 * The map is the raw one, enlarged with half-pixel centres: no minimum is taken away first, which
 * would hide how much lies outside.
 */
#include "cam_internal.h"
#include "cnnscope_measures.h"

#include <math.h>
#include <stdlib.h>

/* The sums in double, row-major. */
static void measure(const double *map, const cs_tensor *mask, cs_localisation *result) {
    size_t count = (size_t)(mask->h * mask->w), top = 0;
    double inside = 0.0, all = 0.0, area = 0.0;
    for (size_t i = 0; i < count; i++) {
        double part = cs_tensor_value(mask, i);
        inside += map[i] * part;
        all += map[i];
        area += part;
        top = map[i] > map[top] ? i : top;
    }
    bool is_empty = !(map[top] > 0.0);
    result->area = area / (double)count;
    result->energy = is_empty ? (double)NAN : inside / all;
    result->hit = !is_empty && cs_tensor_value(mask, top) >= 0.5;
}

cs_status cs_localisation_measure(const cs_tensor *map, const cs_tensor *mask,
                                  cs_localisation *result, cs_error *err) {
    size_t count = (size_t)(mask->h * mask->w);
    bool any = false;
    CS_CHECK(mask->n == 1 && mask->c == 1, CS_ERROR_ARGUMENT,
             "a mask has shape (1, 1, H, W), not (%lld, %lld, %lld, %lld)", (long long)mask->n,
             (long long)mask->c, (long long)mask->h, (long long)mask->w);
    for (size_t i = 0; i < count; i++) {
        double v = cs_tensor_value(mask, i);
        CS_CHECK(v >= 0.0 && v <= 1.0, CS_ERROR_ARGUMENT,
                 "a mask's values are from 0 to 1; there is %g", v);
        any = any || v > 0.0;
    }
    CS_CHECK(any, CS_ERROR_ARGUMENT, "the mask is 0 everywhere: nothing can lie in it");
    double *large = calloc(count, sizeof *large);
    CS_CHECK(large, CS_ERROR_MEMORY, "no memory to compare a map with a mask");
    cs_status status = cs_map_enlarge(map, mask->h, mask->w, large, err);
    if (status == CS_OK)
        measure(large, mask, result);
    free(large);
    return status;
}

cs_status cs_mask_load(const char *path, int64_t width, int64_t height, cs_tensor *mask,
                       cs_error *err) {
    /* A network's input of one channel is made as a mask is: grey, resized, divided. */
    const cs_preprocess how = {
        .channels = 1, .height = height, .width = width, .divisor = 255.0, .std = {1.0}};
    cs_image image = {0};
    CS_TRY(cs_image_load(path, NULL, &image, err));
    cs_status status = cs_preprocess_image(&how, &image, mask, err);
    cs_image_free(&image);
    return status;
}
