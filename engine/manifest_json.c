/* manifest_json.c - reading fields of the manifest with errors that name them. */
#include "manifest_json.h"

#include <string.h>

static cs_status expected(json_place place, const char *key, const cJSON *item, const char *what,
                          cs_error *err) {
    return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                        "%s: %s: field \"%s\" is %s; %s was expected", place.file, place.where, key,
                        item ? "of another kind or value" : "missing", what);
}

static const cJSON *field(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

cs_status json_object(json_place place, const cJSON *object, const char *key, const cJSON **out,
                      cs_error *err) {
    *out = field(object, key);
    return cJSON_IsObject(*out) ? CS_OK : expected(place, key, *out, "an object", err);
}

cs_status json_array(json_place place, const cJSON *object, const char *key, const cJSON **out,
                     cs_error *err) {
    *out = field(object, key);
    return cJSON_IsArray(*out) ? CS_OK : expected(place, key, *out, "an array", err);
}

cs_status json_string(json_place place, const cJSON *object, const char *key, const char **out,
                      cs_error *err) {
    const cJSON *item = field(object, key);
    if (!cJSON_IsString(item))
        return expected(place, key, item, "a string", err);
    *out = item->valuestring;
    return CS_OK;
}

cs_status json_bool(json_place place, const cJSON *object, const char *key, bool *out,
                    cs_error *err) {
    const cJSON *item = field(object, key);
    if (!cJSON_IsBool(item))
        return expected(place, key, item, "true or false", err);
    *out = cJSON_IsTrue(item);
    return CS_OK;
}

cs_status json_number(json_place place, const cJSON *object, const char *key, double *out,
                      cs_error *err) {
    const cJSON *item = field(object, key);
    if (!cJSON_IsNumber(item))
        return expected(place, key, item, "a number", err);
    *out = item->valuedouble;
    return CS_OK;
}

/* The strict checker has seen to it that integers are exact in double. */
static bool integer_in(const cJSON *item, int64_t low, int64_t high, int64_t *out) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= (double)low) ||
        !(item->valuedouble <= (double)high))
        return false;
    *out = (int64_t)item->valuedouble;
    return (double)*out == item->valuedouble;
}

cs_status json_integer(json_place place, const cJSON *object, const char *key, int64_t low,
                       int64_t high, int64_t *out, cs_error *err) {
    const cJSON *item = field(object, key);
    if (integer_in(item, low, high, out))
        return CS_OK;
    return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                        "%s: %s: field \"%s\" is %s; an integer from %lld to %lld was expected",
                        place.file, place.where, key, item ? "something else" : "missing",
                        (long long)low, (long long)high);
}

cs_status json_pair(json_place place, const cJSON *object, const char *key, int64_t low,
                    int64_t high, int64_t out[2], cs_error *err) {
    const cJSON *item = field(object, key);
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2 &&
        integer_in(item->child, low, high, &out[0]) &&
        integer_in(item->child->next, low, high, &out[1]))
        return CS_OK;
    return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                        "%s: %s: field \"%s\" is %s; [rows, columns], two integers from %lld to "
                        "%lld, was expected",
                        place.file, place.where, key, item ? "something else" : "missing",
                        (long long)low, (long long)high);
}

cs_status json_hex(json_place place, const cJSON *object, const char *key, size_t digits,
                   const char **out, cs_error *err) {
    CS_TRY(json_string(place, object, key, out, err));
    if (strlen(*out) != digits || strspn(*out, "0123456789abcdef") != digits)
        return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                            "%s: %s: field \"%s\" is \"%.80s\"; %zu lower-case hexadecimal digits "
                            "were expected",
                            place.file, place.where, key, *out, digits);
    return CS_OK;
}
