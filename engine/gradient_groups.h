/* gradient_groups.h - in which order the contributions to a gradient are added. */
#ifndef CS_GRADIENT_GROUPS_H
#define CS_GRADIENT_GROUPS_H

#include "plan.h"

/* Contributions to one tensor's gradient that are summed before they are added to the rest: those
 * of nodes first..last. */
typedef struct gradient_group {
    int tensor; /* -1: a call without inputs, which only has its moment */
    int first, last;
    int operand;     /* of the one node, or -1: any */
    int depth, id;   /* order among groups of the same nodes; id: of the hook, or -1 */
    hook_call *call; /* the backward hook's call that sees the sum, or NULL */
    int input;       /* as which of its inputs */
    bool open;
    int slot, parent; /* where it is summed, and where that goes; the same slot where it may */
} gradient_group;

typedef struct gradient_groups {
    gradient_group *groups; /* by tensor, outer ones first */
    int *first_of_tensor;   /* per node, and one behind: its groups begin here */
    int *closing;           /* all groups, in the order in which they are complete */
    int count, closed, slots;
} gradient_groups;

/* Finds the groups of all tensors: modules of which two nodes or more read a tensor that others
 * read too, and calls with backward hooks. `groups` is zeroed. */
cs_status groups_create(const cs_model *model, const hook_list *hooks, gradient_groups *groups,
                        cs_error *err);
void groups_free(gradient_groups *groups);

/* The slot that takes operand k of `node`'s contribution: the input's own, or a group's.
 * contributions[slot] tells what each slot holds so far. */
int groups_slot(gradient_groups *groups, const cs_model *model, int node, int k,
                const int *contributions);

/* The next group that is complete once `node` has run, or NULL. */
gradient_group *groups_next_closed(gradient_groups *groups, int node);

#endif
