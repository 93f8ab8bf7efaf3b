/* report_scene.h - a diagnosis with invented numbers, for the page alone: nothing is measured */
#ifndef REPORT_SCENE_H
#define REPORT_SCENE_H

#include "cnnscope_diagnose.h"

typedef struct report_scene_options {
    const char *model; /* path of a manifest; it needs two classes */
    int64_t images, failures;
    bool planted;                                /* the upper right corner is read */
    bool no_roi, no_labels, no_changes, no_maps; /* what is missing; no_maps: all are empty */
    bool hostile;                                /* names that try to be markup */
} report_scene_options;

typedef struct report_scene report_scene;

/* Writes its pictures into `folder`. Fails the test where that is not possible. The same options
 * give the same scene. */
report_scene *report_scene_make(const char *folder, const report_scene_options *options);
void report_scene_free(report_scene *scene);

/* Owned by the scene. */
cs_diagnosis *report_scene_diagnosis(report_scene *scene);

#endif
