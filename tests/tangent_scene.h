/* tangent_scene.h - a network, its input, a direction: what the tests of tangents share. */
#ifndef TANGENT_SCENE_H
#define TANGENT_SCENE_H

#include "random_model.h"

#define TANGENT_IMAGES 3

/* A network, its input, a direction. */
typedef struct tangent_scene {
    random_model net; /* or only its `model` */
    cs_model *model;
    cs_tensor input, direction;
    float **weights;       /* per model tensor: its tangent in PyTorch's layout */
    cs_tensor *parameters; /* the same for a run of `dtype` */
    cs_random random;
} tangent_scene;

/* Large; each test runs in a process of its own. */
extern tangent_scene scene;

/* Random network `number`; -1 is a zoo of the layers that random networks lack. */
void tangent_scene_open(int number);
void tangent_scene_close(void);

/* Fills scene.parameters, the parameters' tangents, for a run of this type. */
void tangent_scene_parameters(cs_dtype dtype);

/* A run of scene.model with the tangent taken; NULL where the engine was not built. */
cs_run *tangent_scene_run(cs_engine engine, cs_isa isa, cs_dtype dtype, int threads, bool keep_all,
                          bool parameters);

#endif
