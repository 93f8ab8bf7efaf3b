/* output_folder.h - a folder that is written under another name, DIR.partial-<process>, and gets
 * its own at the end: complete or not there. */
#ifndef CLI_OUTPUT_FOLDER_H
#define CLI_OUTPUT_FOLDER_H

#include "cnnscope_types.h"

#include <limits.h>

typedef struct output_folder {
    char final[PATH_MAX];   /* DIR */
    char partial[PATH_MAX]; /* where to write until the end; "" where there is none */
} output_folder;

/* Makes the partial folder, of which a process writes one at a time: `folder` must stay where it
 * is until it is finished or discarded. Refuses, before any work, a DIR that exists already in
 * whatever form. The folder that DIR lies in must exist. Errors: CS_ERROR_OUTPUT,
 * CS_ERROR_ARGUMENT (`directory` is NULL, empty or too long). */
cs_status output_folder_open(output_folder *folder, const char *directory, cs_error *err);

/* Formats the path of something in the partial folder into `out`. Errors: CS_ERROR_LIMIT. */
cs_status output_folder_path(const output_folder *folder, char out[PATH_MAX], cs_error *err,
                             const char *format, ...) CS_PRINTF(4, 5);

/* Makes a folder in the partial one, which may exist. Errors: CS_ERROR_OUTPUT. */
cs_status output_folder_make(const output_folder *folder, const char *name, cs_error *err);

/* Makes a new folder for an image, named after the file without folder and extension: "a/xray.png"
 * gives "xray", a second one "xray-2". Control characters become '_', and so does a leading dot.
 * `name` receives it. Errors: CS_ERROR_OUTPUT. */
cs_status output_folder_make_image(const output_folder *folder, const char *image_path,
                                   char name[NAME_MAX + 1], cs_error *err);

/* Gives the folder its name, unless that exists by now; then the partial one stays, and the error
 * names it. Errors: CS_ERROR_OUTPUT. */
cs_status output_folder_finish(output_folder *folder, cs_error *err);

/* Removes the partial folder, if there is one, and what is in it. */
void output_folder_discard(output_folder *folder);

/* The same for the folder that is being written, from a signal's handler; whether there is one. */
bool output_folder_abandon(void);

/* Work that can be taken up again. The partial folder is left as it is, and is not folder's any
 * more; or, while it is written, a second signal does not remove it. */
void output_folder_keep(output_folder *folder);
void output_folder_survives_signals(void);

/* Finds DIR.partial-* with `file` in it: number 0 is the one whose file was changed last. `path` is
 * "" where there are not so many. Errors: CS_ERROR_OUTPUT (nobody can tell), CS_ERROR_MEMORY,
 * CS_ERROR_ARGUMENT. */
cs_status output_folder_find_partial(const char *directory, const char *file, int number,
                                     char path[PATH_MAX], cs_error *err);

/* Takes up a partial folder that was found. Errors: as output_folder_open. */
cs_status output_folder_adopt(output_folder *folder, const char *directory, const char *partial,
                              cs_error *err);

/* Removes a folder within the partial one. Errors: CS_ERROR_OUTPUT (it is still there). */
cs_status output_folder_remove(const output_folder *folder, const char *name, cs_error *err);

#endif
