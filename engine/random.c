/* random.c - SplitMix64 and what is drawn from it; exact arithmetic only. */
#include "cnnscope_support.h"

uint64_t cs_random_next(cs_random *random) {
    random->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

double cs_random_uniform(cs_random *random) {
    return (double)(cs_random_next(random) >> 11) * 0x1p-53;
}

void cs_random_fill_input(cs_random *random, cs_tensor *t) {
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t c = 0; c < t->c; c++)
            for (int64_t h = 0; h < t->h; h++)
                for (int64_t w = 0; w < t->w; w++) {
                    double value = (double)(cs_random_next(random) >> 40) * 0x1p-22 - 2.0;
                    cs_tensor_set(t, n, c, h, w, value);
                }
}
