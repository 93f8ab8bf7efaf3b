/* shortcut_statistics.c - what is measured of one map: how much of it lies where, how concentrated
 * it is, and on which side. With p = map / sum(map) at the layer's size:
 *
 *     E(R) = sum p * cover_R       enrichment = E(R) / area(R)
 *     entropy = -sum p ln p / ln n     effective area = exp(-sum p ln p) / n
 *     Gini = sum over ranks i = 1..n of (2 i - n - 1) p_(i) / n      p ascending
 *     laterality = (E(right) - E(left)) / (E(right) + E(left))
 *
 * All sums in double, row-major. The map is never min-maxed first: that would turn even heat into
 * nothing.
 */
#include "cam_internal.h"
#include "cnnscope_diagnose.h"

#include <math.h>
#include <stdlib.h>

static const char *const statistic_names[CS_STAT_COUNT] = {"energy_top_left",
                                                           "energy_top_right",
                                                           "energy_bottom_left",
                                                           "energy_bottom_right",
                                                           "energy_ring",
                                                           "energy_roi",
                                                           "enrichment_top_left",
                                                           "enrichment_top_right",
                                                           "enrichment_bottom_left",
                                                           "enrichment_bottom_right",
                                                           "enrichment_ring",
                                                           "enrichment_roi",
                                                           "area_roi",
                                                           "corner",
                                                           "entropy",
                                                           "gini",
                                                           "effective_area",
                                                           "roi_rank",
                                                           "roi_hit",
                                                           "laterality_image",
                                                           "laterality_roi",
                                                           "laterality_mirrored",
                                                           "position",
                                                           "content",
                                                           "energy_top_edge",
                                                           "energy_bottom_edge",
                                                           "energy_left_edge",
                                                           "energy_right_edge",
                                                           "enrichment_top_edge",
                                                           "enrichment_bottom_edge",
                                                           "enrichment_left_edge",
                                                           "enrichment_right_edge",
                                                           "edge"};

const char *cs_statistic_name(cs_statistic statistic) { return statistic_names[statistic]; }

typedef struct ranked {
    double value;
    size_t cell;
} ranked;

/* The larger value first; of equals, the first cell. */
static int compare_ranked(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->cell < y->cell ? -1 : x->cell > y->cell;
}

static double energy(const double *p, const double *cover, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += p[i] * cover[i];
    return sum;
}

static double laterality(double left, double right) {
    return left + right > 0.0 ? (right - left) / (right + left) : (double)NAN;
}

/* Energies and enrichments of `number` regions from `first` on, where they exist, from those
 * statistics on; the largest enrichment, or 0. */
static double measure_regions(const double *p, size_t count, const cs_map_regions *regions,
                              cs_region first, int number, double *energies, double *enrichments) {
    double best = 0.0;
    for (int i = 0; i < number; i++) {
        const double *cover = regions->cover[(int)first + i];
        if (!cover)
            continue;
        energies[i] = energy(p, cover, count);
        enrichments[i] = energies[i] / regions->area[(int)first + i];
        best = enrichments[i] > best ? enrichments[i] : best;
    }
    return best;
}

static void measure_places(const double *p, size_t count, const cs_map_regions *regions,
                           double *out) {
    out[CS_STAT_CORNER] =
        measure_regions(p, count, regions, CS_REGION_TOP_LEFT, CS_CORNER_COUNT,
                        out + CS_STAT_ENERGY_TOP_LEFT, out + CS_STAT_ENRICHMENT_TOP_LEFT);
    measure_regions(p, count, regions, CS_REGION_RING, CS_REGION_ROI - CS_REGION_RING + 1,
                    out + CS_STAT_ENERGY_RING, out + CS_STAT_ENRICHMENT_RING);
    out[CS_STAT_EDGE] =
        measure_regions(p, count, regions, CS_REGION_TOP_EDGE, CS_EDGE_COUNT,
                        out + CS_STAT_ENERGY_TOP_EDGE, out + CS_STAT_ENRICHMENT_TOP_EDGE);
    const double *left = regions->cover[CS_REGION_LEFT], *right = regions->cover[CS_REGION_RIGHT];
    out[CS_STAT_LATERALITY_IMAGE] = laterality(energy(p, left, count), energy(p, right, count));
    const double *roi = regions->cover[CS_REGION_ROI];
    double inside[2] = {0.0, 0.0};
    for (size_t i = 0; roi && i < count; i++) {
        inside[0] += p[i] * roi[i] * left[i];
        inside[1] += p[i] * roi[i] * right[i];
    }
    if (roi)
        out[CS_STAT_LATERALITY_ROI] = laterality(inside[0], inside[1]);
}

static void measure_spread(const ranked *order, const double *p, size_t count, double *out) {
    double sum = 0.0, gini = 0.0;
    for (size_t i = 0; i < count; i++)
        if (p[i] > 0.0)
            sum -= p[i] * cs_log(p[i]);
    for (size_t i = 0; i < count; i++) /* order is descending: rank count - i */
        gini += ((double)count - 2.0 * (double)i - 1.0) * order[i].value;
    if (count > 1)
        out[CS_STAT_ENTROPY] = sum / cs_log((double)count);
    out[CS_STAT_GINI] = gini / (double)count;
    out[CS_STAT_EFFECTIVE_AREA] = cs_exp(sum) / (double)count;
}

static void measure_roi(const ranked *order, size_t count, const cs_map_regions *regions,
                        double *out) {
    const double *roi = regions->cover[CS_REGION_ROI];
    if (!roi)
        return;
    size_t most = (size_t)(regions->area[CS_REGION_ROI] * (double)count + 0.5);
    double sum = 0.0;
    most = most < 1 ? 1 : most;
    for (size_t i = 0; i < most; i++)
        sum += roi[order[i].cell];
    out[CS_STAT_ROI_RANK] = sum / (double)most;
    out[CS_STAT_ROI_HIT] = roi[order[0].cell] >= 0.5 ? 1.0 : 0.0;
}

cs_status cs_map_statistics(const cs_tensor *map, const cs_map_regions *regions,
                            double out[CS_STAT_COUNT], cs_error *err) {
    size_t count = (size_t)(regions->rows * regions->columns);
    CS_CHECK(map->n == 1 && map->c == 1 && map->h == regions->rows && map->w == regions->columns,
             CS_ERROR_ARGUMENT, "a map of %lld x %lld cells where the regions have %lld x %lld",
             (long long)map->h, (long long)map->w, (long long)regions->rows,
             (long long)regions->columns);
    for (int s = 0; s < CS_STAT_COUNT; s++)
        out[s] = (double)NAN;
    if (regions->cover[CS_REGION_ROI])
        out[CS_STAT_AREA_ROI] = regions->area[CS_REGION_ROI];
    double all = 0.0;
    for (size_t i = 0; i < count; i++)
        all += cs_tensor_value(map, i);
    if (!(all > 0.0))
        return CS_OK;
    double *p = malloc(count * sizeof *p);
    ranked *order = malloc(count * sizeof *order);
    for (size_t i = 0; p && order && i < count; i++) {
        p[i] = cs_tensor_value(map, i) / all;
        order[i] = (ranked){p[i], i};
    }
    if (p && order) {
        qsort(order, count, sizeof *order, compare_ranked);
        measure_places(p, count, regions, out);
        measure_spread(order, p, count, out);
        measure_roi(order, count, regions, out);
    }
    bool good = p && order;
    free(p);
    free(order);
    CS_CHECK(good, CS_ERROR_MEMORY, "out of memory");
    return CS_OK;
}
