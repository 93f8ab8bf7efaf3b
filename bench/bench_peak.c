/* bench_peak.c - the machine's limit: fused multiply-adds with nothing else to wait for. */
#include "bench.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define THREADS_LIMIT 256
#define PEAK_LOOPS    1000000
#define TRIES         20

/* 16 independent chains hide the latency of four cycles; the sum is returned so that none is left
 * out. Counts two operations an element. */
__attribute__((target("avx512f"))) static float peak_avx512(void) {
    __m512 sum[16];
    const __m512 a = _mm512_set1_ps(1.0F), b = _mm512_set1_ps(1e-9F);
    for (int j = 0; j < 16; j++)
        sum[j] = _mm512_set1_ps((float)j);
    for (int i = 0; i < PEAK_LOOPS; i++)
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++)
            sum[j] = _mm512_fmadd_ps(sum[j], a, b);
    float total = 0;
    for (int j = 0; j < 16; j++)
        total += _mm512_reduce_add_ps(sum[j]);
    return total;
}

__attribute__((target("avx2,fma"))) static float peak_avx2(void) {
    __m256 sum[12];
    const __m256 a = _mm256_set1_ps(1.0F), b = _mm256_set1_ps(1e-9F);
    for (int j = 0; j < 12; j++)
        sum[j] = _mm256_set1_ps((float)j);
    for (int i = 0; i < PEAK_LOOPS; i++)
#pragma GCC unroll 12
        for (int j = 0; j < 12; j++)
            sum[j] = _mm256_fmadd_ps(sum[j], a, b);
    float total = 0, lanes[8];
    for (int j = 0; j < 12; j++) {
        _mm256_storeu_ps(lanes, sum[j]);
        total += lanes[0];
    }
    return total;
}

typedef struct peak_job {
    bool wide;
    float sink;
} peak_job;

static void *peak_thread(void *argument) {
    peak_job *job = argument;
    job->sink = job->wide ? peak_avx512() : peak_avx2();
    return NULL;
}

/* GFLOP/s of all threads together in one try; -1 where a thread does not start. */
static double one_try(int threads, bool wide) {
    pthread_t thread[THREADS_LIMIT];
    peak_job job[THREADS_LIMIT];
    const double flops = (double)PEAK_LOOPS * (wide ? 16 * 16 : 12 * 8) * 2 * threads;
    const double begin = cs_seconds();
    for (int i = 0; i < threads; i++) {
        job[i].wide = wide;
        if (pthread_create(&thread[i], NULL, peak_thread, &job[i]) != 0)
            return -1;
    }
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    return flops / (cs_seconds() - begin) * 1e-9;
}

int bench_peak(int threads, cs_isa isa, bool serve) {
    const bool wide =
        (isa == CS_ISA_AUTO || isa == CS_ISA_AVX512) && cs_isa_available(CS_ISA_AVX512);
    char line[64];
    double best = 0;
    if (!cs_isa_available(CS_ISA_PORTABLE) || isa == CS_ISA_PORTABLE_NOFMA ||
        (isa == CS_ISA_AVX512 && !wide))
        return fprintf(stderr, "bench: this CPU has no such FMA\n"), 1;
    if (threads > THREADS_LIMIT)
        return fprintf(stderr, "bench: at most %d threads\n", THREADS_LIMIT), 1;
    while (serve && fgets(line, sizeof line, stdin)) {
        printf("%.3f\n", one_try(threads, wide));
        fflush(stdout);
    }
    for (int i = 0; i < TRIES && !serve; i++)
        best = fmax(best, one_try(threads, wide));
    if (!serve)
        printf("{\"peak_gflops\": %.1f, \"threads\": %d, \"isa\": \"%s\"}\n", best, threads,
               wide ? "avx512" : "avx2");
    return 0;
}
#else
int bench_peak(int threads, cs_isa isa, bool serve) {
    (void)threads, (void)isa, (void)serve;
    return fprintf(stderr, "bench: the peak is measured on x86-64 only\n"), 1;
}
#endif
