/* cnnscope_plan.h - what a prepared run tells of itself: its memory and its steps.
 *
 * Included by cnnscope.h. Nothing here changes a run; a run belongs to one thread at a time.
 */
#ifndef CNNSCOPE_PLAN_H
#define CNNSCOPE_PLAN_H

#include "cnnscope_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cs_run cs_run;

/* What the run holds, in bytes: its one allocation, the panels packed from its parameters (which
 * other runs share), and the model's file, which is mapped (its pages are handed back once they are
 * packed, so that it need not be in memory) or was read into memory. */
typedef struct cs_run_memory {
    size_t arena;
    size_t packed;
    size_t file;
    bool file_mapped;
} cs_run_memory;
cs_run_memory cs_run_memory_used(const cs_run *run);

/* What a block of the one allocation is for. */
typedef enum cs_memory_kind {
    CS_MEMORY_VALUE,              /* a node's value */
    CS_MEMORY_GRADIENT,           /* its gradient, or a part of it */
    CS_MEMORY_GATES,              /* a ReLU's gates, a pool's winners, or batch statistics */
    CS_MEMORY_PARAMETER_GRADIENT, /* a parameter tensor's gradient */
    CS_MEMORY_HOOK,               /* what stands in for a value or gradient at a hook */
    CS_MEMORY_ZEROS,              /* what padding is read from */
    CS_MEMORY_SCRATCH,            /* the threads' own */
} cs_memory_kind;

/* A block: `size` bytes from `offset` on, taken from time `begin` to time `end`, both inclusive;
 * others lie there before and after. The input is stored at time 0, step i (cs_run_step) runs at
 * i + 1, the backward operations one by one after the last. `end` is -1 where it is kept until the
 * next forward. `name` is the node's or the parameter's (lives as long as the model), or NULL. */
typedef struct cs_memory_block {
    cs_memory_kind kind;
    const char *name;
    size_t offset, size;
    int begin, end;
} cs_memory_block;

/* The blocks of a prepared run (0 of one that is not); the index must be in range. */
int cs_run_block_count(const cs_run *run);
cs_memory_block cs_run_block(const cs_run *run, int index);
const char *cs_memory_kind_name(cs_memory_kind kind);

/* A step of the plan: a node and those behind it that are computed with it (`fused`: batch norm,
 * addition, ReLU; NULL where there is none), and how long it took in the last forward. Names live
 * as long as the model. The index must be in range; valid while the run is prepared. */
typedef struct cs_step_info {
    const char *first, *last;
    int first_node, last_node;
    double seconds;
    const char *fused[3];
} cs_step_info;
int cs_run_step_count(const cs_run *run);
cs_step_info cs_run_step(const cs_run *run, int index);

/* An operation of the backward pass, in the order in which they run: from the gradient of a node's
 * output to those of its parameters (`parameters` seconds in the last backward) and of its inputs
 * (`inputs` seconds), and through the nodes before it that are computed with it (ReLU, batch norm;
 * NULL where there is none). Operations without a name add up parts of a gradient or call hooks.
 * Names live as long as the model. The index must be in range; valid while the run is prepared. */
typedef struct cs_backward_info {
    const char *name;
    int node;
    double parameters, inputs;
    const char *fused[2];
} cs_backward_info;
int cs_run_backward_count(const cs_run *run);
cs_backward_info cs_run_backward_step(const cs_run *run, int index);

#ifdef __cplusplus
}
#endif

#endif
