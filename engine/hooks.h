/* hooks.h - hooks inside the engine: which calls of a module they see, and when they are called. */
#ifndef CS_HOOKS_H
#define CS_HOOKS_H

#include "model.h"

typedef struct hook_call hook_call;

/* One input of a call. */
typedef struct hook_input {
    int tensor;    /* the node whose value it is */
    int reader;    /* the first node of the call that reads it, */
    int operand;   /* and as which of its inputs */
    bool single;   /* it is this one operand, and not every reading of the value in the call */
    size_t memory; /* FORWARD_PRE: where a replacement is stored; BACKWARD: the gradient; in the
                      arena, filled by the plan */
    int slot;      /* BACKWARD: its gradient's slot in the plan, or -1 */
} hook_input;

typedef struct cs_hook {
    int id;
    cs_hook_kind kind;
    cs_hook_function function;
    void *user;
    char *path;
    hook_call *calls;
    int call_count;
} cs_hook;

/* A call of the hooked module: a stretch of nodes, of which the last gives the output. */
struct hook_call {
    const cs_hook *hook;
    int index;
    int first, last;
    int depth; /* larger: further inside */
    hook_input *inputs;
    int input_count;
    cs_tensor *views;        /* [input_count] */
    bool reached;            /* by the planned backward pass */
    size_t memory;           /* BACKWARD_PRE: where a replacement is stored; filled by the plan */
    const void *grad_output; /* BACKWARD: as the pre-hooks left it */
};

/* A moment of the forward pass: key 2*i before node i, 2*i + 1 behind it. */
typedef struct hook_event {
    int key;
    hook_call *call;
} hook_event;

typedef struct hook_list {
    cs_hook **hooks; /* in order of registration */
    int count, next_id;
    hook_event *events; /* of the forward pass, in order */
    int event_count, cursor;
    bool busy; /* a hook is running */
} hook_list;

void hooks_free(hook_list *list);

/* Makes the forward pass's events from the hooks that there are now. */
cs_status hooks_prepare(hook_list *list, cs_error *err);

/* Adds what hooks watch to the WATCH_ bits of plan.h. */
void hooks_watch(const hook_list *list, uint8_t *watch);

/* The calls of a hook one after another: false behind the last. `*hook` and `*call` begin as 0. */
hook_call *hooks_next_call(const hook_list *list, int *hook, int *call);

/* The calls of the node or module at `path` (module_calls.c): *calls and their inputs are
 * allocated. `resolved` as cs_model_find_node. */
cs_status module_calls_find(const cs_model *model, const char *path, char *resolved,
                            size_t resolved_size, hook_call **calls, int *count, cs_error *err);
void module_calls_free(hook_call *calls, int count);

/* The length of the path, within its `module`, of the innermost module that holds a node and is not
 * just that node: "layer1.0" of layer1.0.relu_1 and of layer1.0.add. */
size_t module_container(const cs_node_info *node);

/* True where container path[0..length) holds the node. */
bool module_holds(const cs_node_info *node, const char *path, size_t length);

#endif
