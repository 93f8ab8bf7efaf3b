/* cpu.c - what this CPU has, its floating-point control, and the defaults from the environment (the
 * one place in the library that reads it). */
#include "cpu.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define MXCSR_DEFAULT                                                                              \
    0x1F80u /* all exceptions masked, to nearest, no flush, no denormals-as-zero */

unsigned cpu_set_rounding(void) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(MXCSR_DEFAULT);
    return before;
}
void cpu_restore_rounding(unsigned before) { _mm_setcsr(before); }
void cpu_relax(void) { _mm_pause(); }
bool cpu_has_fma(void) { return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2"); }
bool cpu_has_avx512(void) { return __builtin_cpu_supports("avx512f") && cpu_has_fma(); }

#elif defined(__aarch64__)

unsigned cpu_set_rounding(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return (unsigned)before;
}
void cpu_restore_rounding(unsigned before) {
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)before));
}
void cpu_relax(void) { __asm__ volatile("yield"); }
bool cpu_has_fma(void) { return true; }
bool cpu_has_avx512(void) { return false; }

#else
#include <fenv.h>

unsigned cpu_set_rounding(void) {
    const int before = fegetround();
    fesetround(FE_TONEAREST);
    return (unsigned)before;
}
void cpu_restore_rounding(unsigned before) { fesetround((int)before); }
void cpu_relax(void) {}
bool cpu_has_fma(void) { return false; }
bool cpu_has_avx512(void) { return false; }

#endif

double cs_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    const int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count;
}

static const struct {
    const char *name;
    cs_isa isa;
} isa_names[] = {
    {"auto", CS_ISA_AUTO},
    {"portable-nofma", CS_ISA_PORTABLE_NOFMA},
    {"portable", CS_ISA_PORTABLE},
    {"avx2", CS_ISA_PORTABLE}, /* the portable kernels are compiled for it */
    {"avx512", CS_ISA_AVX512},
};

cs_status cs_isa_parse(const char *name, cs_isa *isa, cs_error *err) {
#if defined(__x86_64__)
    const bool avx2 = cpu_has_fma();
#else
    const bool avx2 = false;
#endif
    CS_CHECK(avx2 || strcmp(name, "avx2") != 0, CS_ERROR_UNSUPPORTED,
             "this CPU has no AVX2 with FMA; use auto or portable (the results are the same bits)");
    for (size_t i = 0; i < sizeof isa_names / sizeof *isa_names; i++)
        if (strcmp(isa_names[i].name, name) == 0) {
            *isa = isa_names[i].isa;
            return CS_OK;
        }
    return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                        "there is no instruction set \"%.40s\"; known are auto, "
                        "portable-nofma, portable, avx2, avx512",
                        name);
}

const char *cs_isa_name(cs_isa isa) {
    for (size_t i = 0; i < sizeof isa_names / sizeof *isa_names; i++)
        if (isa_names[i].isa == isa)
            return isa_names[i].name;
    return "?";
}

bool cs_isa_available(cs_isa isa) {
    switch (isa) {
    case CS_ISA_AUTO:
    case CS_ISA_PORTABLE_NOFMA: return true;
    case CS_ISA_PORTABLE: return cpu_has_fma();
    case CS_ISA_AVX512: return cpu_has_avx512();
    }
    return false;
}

cs_status cpu_choose_isa(cs_isa wanted, cs_isa *isa, cs_error *err) {
    const char *from_environment = getenv("CNNSCOPE_ISA");
    if (wanted == CS_ISA_AUTO && from_environment)
        CS_TRY(cs_isa_parse(from_environment, &wanted, err));
    if (wanted == CS_ISA_AUTO)
        wanted = cpu_has_avx512() ? CS_ISA_AVX512 : CS_ISA_PORTABLE;
    CS_CHECK(wanted != CS_ISA_AVX512 || cs_isa_available(wanted), CS_ERROR_UNSUPPORTED,
             "this CPU has no AVX-512; use --isa auto or portable (the results are the same bits)");
    if (wanted == CS_ISA_PORTABLE && !cpu_has_fma())
        wanted = CS_ISA_PORTABLE_NOFMA;
    *isa = wanted;
    return CS_OK;
}

static const char *const kernel_names[] = {"auto", "dense", "skip"};

cs_status cs_kernel_parse(const char *name, cs_kernel *kernel, cs_error *err) {
    for (int i = 0; i <= CS_KERNEL_LAST; i++)
        if (strcmp(kernel_names[i], name) == 0) {
            *kernel = (cs_kernel)i;
            return CS_OK;
        }
    return cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                        "there is no kernel \"%.40s\"; known are auto, dense, skip", name);
}

const char *cs_kernel_name(cs_kernel kernel) {
    return (int)kernel >= 0 && kernel <= CS_KERNEL_LAST ? kernel_names[kernel] : "?";
}

cs_status cpu_choose_kernel(cs_kernel wanted, cs_kernel *kernel, cs_error *err) {
    const char *from_environment = getenv("CNNSCOPE_KERNEL");
    *kernel = wanted;
    return wanted == CS_KERNEL_AUTO && from_environment
               ? cs_kernel_parse(from_environment, kernel, err)
               : CS_OK;
}
