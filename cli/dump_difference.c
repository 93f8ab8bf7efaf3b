#include "dump_difference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The largest size of an array's shape as text. */
#define SHAPE_SIZE 112

static const char *shape_text(const cs_npy_array *a, char out[SHAPE_SIZE]) {
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < a->dims && used < SHAPE_SIZE; i++)
        used += (size_t)snprintf(out + used, SHAPE_SIZE - used, "%s%lld", i ? ", " : "",
                                 (long long)a->shape[i]);
    return out;
}

static bool is_choice(dump_kind kind) { return kind == DUMP_GATES || kind == DUMP_WINNERS; }

static bool type_fits(dump_kind kind, const char *descr) {
    if (kind == DUMP_GATES)
        return strcmp(descr, "|b1") == 0 || strcmp(descr, "|u1") == 0;
    if (kind == DUMP_WINNERS)
        return strcmp(descr, "<i8") == 0 || strcmp(descr, "<i4") == 0;
    return descr[1] == 'f';
}

static cs_status check_pair(const dump_manifest *ma, const dump_manifest *mb, const dump_item *item,
                            const cs_npy_array *a, const cs_npy_array *b, cs_error *err) {
    const cs_npy_array *both[2] = {a, b};
    const dump_manifest *manifests[2] = {ma, mb};
    const char *folder = dump_kind_folder(item->kind);
    for (int i = 0; i < 2; i++)
        if (!type_fits(item->kind, both[i]->descr))
            return cs_error_set(err, CS_ERROR_FORMAT, item->name, -1,
                                "%s/%s%s.npy: has values of type '%s'; %s were expected",
                                manifests[i]->folder, folder, item->name, both[i]->descr,
                                item->kind == DUMP_GATES     ? "gates (bool or uint8)"
                                : item->kind == DUMP_WINNERS ? "winners (int64 or int32)"
                                                             : "float32 or float64");
    bool same = a->dims == b->dims;
    for (int i = 0; same && i < a->dims; i++)
        same = a->shape[i] == b->shape[i];
    char first[SHAPE_SIZE], second[SHAPE_SIZE];
    if (!same)
        return cs_error_set(err, CS_ERROR_MISMATCH, item->name, -1,
                            "%s%s.npy has shape [%s] in %s and [%s] in %s: they are of different "
                            "networks or input sizes",
                            folder, item->name, shape_text(a, first), ma->folder,
                            shape_text(b, second), mb->folder);
    return CS_OK;
}

static double value_of(const cs_npy_array *a, size_t i) {
    const char kind = a->descr[1], size = a->descr[2];
    if (kind == 'f')
        return size == '8' ? ((const double *)a->data)[i] : (double)((const float *)a->data)[i];
    if (size == '1')
        return ((const uint8_t *)a->data)[i];
    return size == '8' ? (double)((const int64_t *)a->data)[i]
                       : (double)((const int32_t *)a->data)[i];
}

/* The distance to the next larger number of the type, at magnitude `size` (finite). */
static double spacing(double size, cs_dtype type) {
    int exponent = 0;
    const int digits = type == CS_F32 ? 24 : 53, least = type == CS_F32 ? -149 : -1074;
    (void)frexp(size, &exponent);
    const int place = exponent - digits;
    return ldexp(1.0, size > 0 && place > least ? place : least);
}

/* Whether two numbers are the same; else their distance. */
static bool same_number(double a, double b, double *distance) {
    if (a == b || (isnan(a) && isnan(b)))
        return true;
    *distance = isfinite(a) && isfinite(b) ? fabs(a - b) : (double)INFINITY;
    return false;
}

static void set_place(dump_difference *d, const cs_npy_array *a, size_t index) {
    for (int i = a->dims - 1; i >= 0; i--) {
        d->at[i] = (int64_t)(index % (size_t)a->shape[i]);
        index /= (size_t)a->shape[i];
    }
}

static void compare(const cs_npy_array *a, const cs_npy_array *b, bool choice, dump_difference *d) {
    double top = 0;
    size_t place = 0;
    d->largest = -1;
    for (size_t i = 0; i < (size_t)d->entries; i++) {
        const double x = value_of(a, i), y = value_of(b, i), size = fmax(fabs(x), fabs(y));
        double distance = 0;
        if (isfinite(size))
            top = fmax(top, size);
        if (same_number(x, y, &distance))
            continue;
        d->differing++;
        if (choice)
            continue;
        d->ulp = fmax(d->ulp, isfinite(distance) ? distance / spacing(size, d->narrower)
                                                 : (double)INFINITY);
        if (distance > d->largest) {
            d->largest = distance;
            place = i;
        }
    }
    if (d->largest < 0) { /* none, or choices */
        d->largest = 0;
        return;
    }
    d->relative = top > 0 ? d->largest / top : (double)INFINITY;
    d->a = value_of(a, place);
    d->b = value_of(b, place);
    set_place(d, a, place);
}

cs_status dump_difference_take(const dump_manifest *ma, const dump_manifest *mb,
                               const dump_item *item, const difference_limits *limits,
                               dump_difference *out, cs_error *err) {
    cs_npy_array a = {0}, b = {0};
    *out = (dump_difference){.entries = 1};
    CS_TRY(dump_item_read(ma, item, &a, err));
    cs_status status = dump_item_read(mb, item, &b, err);
    if (status == CS_OK)
        status = check_pair(ma, mb, item, &a, &b, err);
    if (status == CS_OK) {
        for (int i = 0; i < a.dims; i++)
            out->entries *= a.shape[i];
        out->dims = a.dims;
        out->narrower = a.descr[2] == '8' && b.descr[2] == '8' ? CS_F64 : CS_F32;
        compare(&a, &b, is_choice(item->kind), out);
        out->parts = is_choice(item->kind)
                         ? out->differing > limits->flips
                         : out->differing > 0 && !(out->relative <= limits->tolerance) &&
                               !(out->ulp <= limits->ulp);
    }
    free(a.data);
    free(b.data);
    return status;
}
