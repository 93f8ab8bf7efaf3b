/* pool.h - a small pool of threads: work in fixed parts, each done by whichever thread is free.
 *
 * Our own rather than OpenMP: libgomp gives ThreadSanitizer false races and hangs after a fork.
 */
#ifndef CS_POOL_H
#define CS_POOL_H

#include "cnnscope_types.h"

typedef struct cs_pool cs_pool;

/* A pool of `threads` >= 1, the caller's own among them; none is started for 1. */
cs_status pool_create(int threads, cs_pool **pool, cs_error *err);
void pool_free(cs_pool *pool);

/* Calls work(argument, part, threads) once for each part, on whichever thread (the calling one does
 * its share), and returns when all are done. While it runs, each thread's floating-point control is
 * round-to-nearest with subnormals kept; the caller's is restored. Only one thread may drive a pool
 * at a time. */
void pool_run(cs_pool *pool, void (*work)(void *argument, size_t part, size_t parts),
              void *argument);

int pool_threads(const cs_pool *pool);

#endif
