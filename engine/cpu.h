/* cpu.h - what this CPU has, its floating-point control, and the defaults from the environment. */
#ifndef CS_CPU_H
#define CS_CPU_H

#include "cnnscope.h"

/* Sets round-to-nearest with subnormals kept on this thread; returns what stood there before. */
unsigned cpu_set_rounding(void);
void cpu_restore_rounding(unsigned before);

/* Says that this thread is spinning. */
void cpu_relax(void);

/* The number of CPUs that this process may run on, at least 1. */
int cpu_count(void);

/* Whether the CPU has what the FMA build of the portable kernels was compiled for. */
bool cpu_has_fma(void);

/* Whether the CPU, and the system under it, has AVX-512. */
bool cpu_has_avx512(void);

/* Makes CS_ISA_AUTO a real one (CNNSCOPE_ISA, then the best), and refuses what the CPU lacks.
 * CS_ISA_PORTABLE falls back to CS_ISA_PORTABLE_NOFMA where there is no FMA: the bits are the same.
 */
cs_status cpu_choose_isa(cs_isa wanted, cs_isa *isa, cs_error *err);

/* CNNSCOPE_KERNEL in place of CS_KERNEL_AUTO, where it is set. */
cs_status cpu_choose_kernel(cs_kernel wanted, cs_kernel *kernel, cs_error *err);

#endif
