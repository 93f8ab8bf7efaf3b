/* cam_cases.h - what the suites of CAM methods share: small networks, runs, random tensors. */
#ifndef CAM_CASES_H
#define CAM_CASES_H

#include "cnnscope_cam.h"
#include "model_builder.h"
#include "test_support.h"

/* A model with a run that keeps all that any method needs of its layer and its input, after the
 * forward pass of random images. */
typedef struct cam_fixture {
    cs_model *model;
    cs_run *run;
    cs_tensor input;
    const char *layer; /* the one before the mean */
} cam_fixture;

/* Input 3 x 9 x 7 -> conv 3x3 of 6 -> relu1 -> conv 3x3 stride 2 of 5 -> relu2 (5 x 4) -> mean ->
 * `classes`, with random weights. */
cs_model *cam_small_model(int64_t classes, uint64_t seed);

/* That network, and one from a file, each with `batch` images. */
cam_fixture cam_start_small(cs_dtype dtype, int64_t batch, int64_t classes, uint64_t seed);
cam_fixture cam_start_file(const char *path, cs_dtype dtype, int64_t batch);

/* The same for a model of one's own, which the fixture then owns. */
cam_fixture cam_start(cs_model *model, const char *layer, cs_dtype dtype, int64_t batch,
                      int threads);
void cam_finish(cam_fixture *f);

cs_cam_options cam_options(const char *method, const char *variant);

/* Uniform in [-2, 2). */
cs_tensor cam_random(cs_dtype dtype, int64_t n, int64_t c, int64_t h, int64_t w, uint64_t seed);

/* Negative values become 0. */
void cam_rectify(cs_tensor *t);

#endif
