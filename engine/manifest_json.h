/* manifest_json.h - reading fields of the manifest with errors that name them. */
#ifndef CS_MANIFEST_JSON_H
#define CS_MANIFEST_JSON_H

#include "cnnscope_types.h"

#include <cjson/cJSON.h>

/* Where a field stands, for errors: "best_model.json: tensors[3] (conv1.weight)". */
typedef struct json_place {
    const char *file;
    const char *where;
} json_place;

/* Each fetches object[key], or fails with CS_ERROR_FORMAT saying what was expected there. */
cs_status json_object(json_place place, const cJSON *object, const char *key, const cJSON **out,
                      cs_error *err);
cs_status json_array(json_place place, const cJSON *object, const char *key, const cJSON **out,
                     cs_error *err);
cs_status json_string(json_place place, const cJSON *object, const char *key, const char **out,
                      cs_error *err);
cs_status json_bool(json_place place, const cJSON *object, const char *key, bool *out,
                    cs_error *err);
cs_status json_number(json_place place, const cJSON *object, const char *key, double *out,
                      cs_error *err);
/* An exact integer in [low, high]. */
cs_status json_integer(json_place place, const cJSON *object, const char *key, int64_t low,
                       int64_t high, int64_t *out, cs_error *err);
/* An array of two integers in [low, high]. */
cs_status json_pair(json_place place, const cJSON *object, const char *key, int64_t low,
                    int64_t high, int64_t out[2], cs_error *err);
/* `digits` lower-case hexadecimal digits. */
cs_status json_hex(json_place place, const cJSON *object, const char *key, size_t digits,
                   const char **out, cs_error *err);

#endif
