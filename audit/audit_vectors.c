/* audit_vectors.c - sums over float64 tensors. */
#include "audit_scene.h"

#include <math.h>

/* The rounding error of a + b = sum (Knuth). */
static double lost(double a, double b, double sum) {
    const double part = sum - a;
    return (a - (sum - part)) + (b - part);
}

/* Ogita, Rump and Oishi's Dot2: the products' and sums' rounding errors are summed beside them, so
 * that an identity is not blamed for the measurement. */
double audit_dot(const cs_tensor *a, const cs_tensor *b) {
    const double *x = a->data, *y = b->data;
    const int64_t count = cs_tensor_count(a);
    double sum = 0, rest = 0;
    for (int64_t i = 0; i < count; i++) {
        const double product = x[i] * y[i], next = sum + product;
        rest += fma(x[i], y[i], -product) + lost(sum, product, next);
        sum = next;
    }
    return sum + rest;
}

double audit_norm(const cs_tensor *a) { return sqrt(audit_dot(a, a)); }

double audit_absolute_dot(const cs_tensor *a, const cs_tensor *b) {
    const double *x = a->data, *y = b->data;
    const int64_t count = cs_tensor_count(a);
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += fabs(x[i] * y[i]);
    return sum;
}

double audit_largest(const cs_tensor *a) {
    const double *x = a->data;
    const int64_t count = cs_tensor_count(a);
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return most;
}

void audit_add(cs_tensor *a, const cs_tensor *b, double factor) {
    double *x = a->data;
    const double *y = b->data;
    const int64_t count = cs_tensor_count(a);
    for (int64_t i = 0; i < count; i++)
        x[i] += factor * y[i];
}

void audit_widen(const cs_tensor *from, cs_tensor *to) {
    double *x = to->data;
    const int64_t count = cs_tensor_count(to);
    for (int64_t i = 0; i < count; i++)
        x[i] = from->dtype == CS_F64 ? ((const double *)from->data)[i]
                                     : (double)((const float *)from->data)[i];
}

double audit_ratio(double left, double right, double size) {
    const double gap = fabs(left - right);
    return gap == 0 ? 0 : gap / size; /* infinite where size is 0 */
}
