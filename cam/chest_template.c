/* chest_template.c - where the lungs lie in a frontal radiograph that is framed as usual,
 * approximately: two upright ellipses. Nothing of the picture is looked at.
 */
#include "cnnscope_diagnose.h"

static bool is_inside(const cs_chest_template *shape, double x, double y) {
    double dy = (y - shape->center_y) / shape->radius_y;
    for (int side = 0; side < 2; side++) {
        double dx = (x - shape->center_x[side]) / shape->radius_x;
        if (dx * dx + dy * dy <= 1.0)
            return true;
    }
    return false;
}

cs_status cs_chest_template_make(const cs_chest_template *shape, int64_t height, int64_t width,
                                 cs_tensor *mask, cs_error *err) {
    int64_t inside = 0;
    CS_CHECK(shape->radius_x > 0.0 && shape->radius_y > 0.0, CS_ERROR_ARGUMENT,
             "the chest template's radii must be above 0");
    CS_TRY(cs_tensor_allocate(mask, CS_F32, 1, 1, height, width, err));
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            bool in = is_inside(shape, ((double)x + 0.5) / (double)width,
                                ((double)y + 0.5) / (double)height);
            cs_tensor_set(mask, 0, 0, y, x, in ? 1.0 : 0.0);
            inside += in;
        }
    if (inside > 0)
        return CS_OK;
    cs_tensor_release(mask);
    return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                        "the chest template has no pixel inside %lld x %lld", (long long)width,
                        (long long)height);
}
