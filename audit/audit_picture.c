/* audit_picture.c - what the difference means for the picture: Grad-CAM in float32 and float64. */
#include "audit_scene.h"
#include "cnnscope_cam.h"
#include "cnnscope_measures.h"

#include <math.h>

static cs_status make_map(audit_scene *scene, cs_dtype dtype, cs_tensor *map, cs_error *err) {
    cs_cam_options options = CS_CAM_OPTIONS_DEFAULT;
    cs_run *run = NULL;
    cs_cam cam = {0};
    CS_TRY(audit_make_run(scene, dtype, NULL, &run, err));
    cs_status status = cs_cam_watch(run, scene->model, &options, err);
    if (status == CS_OK)
        status = cs_run_prepare(run, err);
    if (status == CS_OK)
        status = cs_run_forward(run, scene->input, err);
    if (status == CS_OK)
        status = cs_cam_compute(run, scene->model, &options, &scene->audit->class_index, &cam, err);
    cs_run_free(run);
    CS_TRY(status);
    *map = cam.raw;
    cam.raw = (cs_tensor){0};
    cs_cam_free(&cam);
    return audit_step(scene, 2 * scene->total_cost, err);
}

cs_status audit_picture(audit_scene *scene, cs_error *err) {
    cs_audit *audit = scene->audit;
    double most = 0, largest = 0;
    CS_TRY(make_map(scene, CS_F32, &audit->map32, err));
    CS_TRY(make_map(scene, CS_F64, &audit->map64, err));
    for (int64_t i = 0; i < cs_tensor_count(&audit->map64); i++) {
        const double exact = ((const double *)audit->map64.data)[i];
        const double error = fabs((double)((const float *)audit->map32.data)[i] - exact);
        most = error > most ? error : most;
        largest = exact > largest ? exact : largest;
    }
    audit->map_difference = audit_ratio(most, 0, largest);
    return cs_map_correlation(&audit->map32, &audit->map64, &audit->map_correlation, err);
}
