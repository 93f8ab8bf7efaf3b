/* bench.h - what the files of the benchmark program share. */
#ifndef BENCH_H
#define BENCH_H

#include "cnnscope.h"

/* Prints the fastest fused multiply-adds of this machine's registers as a JSON line: float32, two
 * operations an element, with the widest registers that `isa` allows. With `serve`, one line of
 * GFLOP/s for each line on stdin instead. Returns an exit code. */
int bench_peak(int threads, cs_isa isa, bool serve);

#endif
