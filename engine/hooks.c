/* hooks.c - callbacks between the steps of a run: registered, removed, called in PyTorch's order.
 *
 * Which nodes a hook's path means is module_calls.c's; that a hooked node ends its step, and when a
 * backward hook is called, is in the plan (plan.c, gradient_groups.c).
 */
#include "hooks.h"
#include "run_state.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ registering ---------- */

static void free_hook(cs_hook *hook) {
    if (!hook)
        return;
    module_calls_free(hook->calls, hook->call_count);
    free(hook->path);
    free(hook);
}

void hooks_free(hook_list *list) {
    for (int i = 0; i < list->count; i++)
        free_hook(list->hooks[i]);
    free(list->hooks);
    free(list->events);
}

static cs_status make_hook(const cs_model *model, const char *path, cs_hook_kind kind,
                           cs_hook **made, cs_error *err) {
    char resolved[2 * MODEL_NAME_LIMIT];
    CS_CHECK(kind >= CS_HOOK_FORWARD_PRE && kind <= CS_HOOK_BACKWARD, CS_ERROR_ARGUMENT,
             "unknown kind of hook %d", (int)kind);
    cs_hook *hook = *made = calloc(1, sizeof *hook);
    CS_CHECK(hook, CS_ERROR_MEMORY, "not enough memory for a hook");
    hook->kind = kind;
    CS_TRY(module_calls_find(model, path, resolved, sizeof resolved, &hook->calls,
                             &hook->call_count, err));
    hook->path = strdup(resolved);
    CS_CHECK(hook->path, CS_ERROR_MEMORY, "not enough memory for a hook");
    for (int i = 0; i < hook->call_count; i++)
        hook->calls[i].hook = hook;
    CS_CHECK(kind != CS_HOOK_FORWARD_PRE || hook->calls[0].input_count > 0, CS_ERROR_ARGUMENT,
             "\"%s\" has no inputs that a forward-pre hook could see; use a forward hook",
             hook->path);
    return CS_OK;
}

cs_status cs_run_hook(cs_run *run, const char *path, cs_hook_kind kind, cs_hook_function function,
                      void *user, int *id, cs_error *err) {
    hook_list *list = &run->hooks;
    CS_CHECK(path && function, CS_ERROR_ARGUMENT, "a hook needs a path and a function");
    CS_TRY(run_may_be_told(run, err));
    cs_hook *hook = NULL;
    cs_status status = make_hook(run->model, path, kind, &hook, err);
    cs_hook **grown = realloc(list->hooks, ((size_t)list->count + 1) * sizeof *grown);
    if (grown)
        list->hooks = grown;
    if (status == CS_OK && !grown)
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "not enough memory for a hook");
    if (status != CS_OK) {
        free_hook(hook);
        return status;
    }
    hook->function = function;
    hook->user = user;
    hook->id = list->next_id++;
    list->hooks[list->count++] = hook;
    run_unprepare(run);
    if (id)
        *id = hook->id;
    return CS_OK;
}

cs_status cs_run_unhook(cs_run *run, int id, cs_error *err) {
    hook_list *list = &run->hooks;
    CS_TRY(run_may_be_told(run, err));
    for (int i = 0; i < list->count; i++) {
        if (list->hooks[i]->id != id)
            continue;
        free_hook(list->hooks[i]);
        memmove(&list->hooks[i], &list->hooks[i + 1],
                (size_t)(list->count - i - 1) * sizeof *list->hooks);
        list->count--;
        run_unprepare(run);
        break;
    }
    return CS_OK;
}

/* ------------------------------------------------------------------ planning ------------- */

hook_call *hooks_next_call(const hook_list *list, int *hook, int *call) {
    while (*hook < list->count && *call >= list->hooks[*hook]->call_count) {
        ++*hook;
        *call = 0;
    }
    return *hook < list->count ? &list->hooks[*hook]->calls[(*call)++] : NULL;
}

void hooks_watch(const hook_list *list, uint8_t *watch) {
    int hook = 0, index = 0;
    for (hook_call *call; (call = hooks_next_call(list, &hook, &index));) {
        const bool backward = call->hook->kind >= CS_HOOK_BACKWARD_PRE;
        const uint8_t bit = backward ? WATCH_STORED_GRADIENT : WATCH_STORED;
        if (call->hook->kind != CS_HOOK_FORWARD_PRE)
            watch[call->last] |= bit;
        for (int i = 0; i < call->input_count; i++)
            watch[call->inputs[i].tensor] |= bit;
    }
}

/* Before a node the outer module comes first, behind it the inner one; of one module, the pre-hooks
 * (a forward hook is told what they left), then the hook that was registered first. */
static int by_time(const void *a, const void *b) {
    const hook_event *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    const hook_call *p = x->call, *q = y->call;
    if (p->depth != q->depth)
        return (p->depth < q->depth) == (x->key % 2 == 0) ? -1 : 1;
    if (p->hook->kind != q->hook->kind)
        return p->hook->kind < q->hook->kind ? -1 : 1;
    return p->hook->id < q->hook->id ? -1 : p->hook->id > q->hook->id;
}

cs_status hooks_prepare(hook_list *list, cs_error *err) {
    int hook = 0, index = 0, count = 0;
    for (int i = 0; i < list->count; i++)
        count += list->hooks[i]->call_count;
    free(list->events);
    list->event_count = list->cursor = 0;
    list->events = calloc(2 * (size_t)count + 1, sizeof *list->events);
    CS_CHECK(list->events, CS_ERROR_MEMORY, "not enough memory for the hooks");
    for (hook_call *call; (call = hooks_next_call(list, &hook, &index));) {
        if (call->hook->kind <= CS_HOOK_FORWARD)
            list->events[list->event_count++] = (hook_event){2 * call->first, call};
        if (call->hook->kind == CS_HOOK_FORWARD)
            list->events[list->event_count++] = (hook_event){2 * call->last + 1, call};
    }
    qsort(list->events, (size_t)list->event_count, sizeof *list->events, by_time);
    return CS_OK;
}

/* ------------------------------------------------------------------ calling -------------- */

/* What a hook is given, and what it asks for. */
typedef struct hook_context {
    cs_hook_call seen; /* first: cs_hook_replace gets here from its address */
    cs_run *run;
    hook_call *call;
    cs_tensor value; /* the output or its gradient */
    cs_status failed;
    cs_error error;
} hook_context;

static cs_tensor view_of(const cs_run *run, int node, const void *data) {
    const cs_shape s = run->shapes[node];
    return (cs_tensor){run->dtype, run->batch, s.c, s.h, s.w, (void *)(uintptr_t)data};
}

static hook_context context_of(cs_run *run, hook_call *call) {
    const cs_hook *hook = call->hook;
    return (hook_context){
        .seen = {.kind = hook->kind,
                 .module = hook->path,
                 .node = run->model->nodes[call->last].name,
                 .call = call->index,
                 .calls = hook->call_count,
                 .input_count = call->input_count},
        .run = run,
        .call = call,
    };
}

/* Calls the hook; an error of a replacement that it made counts even if it ignores it. */
static cs_status call_hook(hook_context *context, cs_error *err) {
    const cs_hook *hook = context->call->hook;
    cs_error own = {0}, *told = err ? err : &own;
    *told = (cs_error){.offset = -1};
    context->run->hooks.busy = true;
    const cs_status status = hook->function(&context->seen, hook->user, told);
    context->run->hooks.busy = false;
    if (status != CS_OK && told->text[0] == 0)
        return cs_error_set(err, status, hook->path, -1,
                            "a hook on \"%s\" ended the pass with status \"%s\"", hook->path,
                            cs_status_name(status));
    told->code = status;
    if (status == CS_OK && context->failed != CS_OK && err)
        *err = context->error;
    return status != CS_OK ? status : context->failed;
}

/* Stores a replacement; a NaN or an infinity in it is the hooked call's. */
static void store(hook_context *context, int node, const cs_tensor *from, void *to, int blamed) {
    cs_run *run = context->run;
    const bool forward = context->seen.kind <= CS_HOOK_FORWARD;
    if (execute_store(run, node, from->data, to) &&
        (run->bad_node < 0 || (forward && blamed < run->bad_node)))
        run->bad_node = blamed;
}

/* From here on the call's nodes read the replacement. */
static void redirect(cs_run *run, const hook_call *call, const hook_input *input) {
    const void *memory = run_at(run, input->memory);
    for (int i = call->first; i <= call->last; i++)
        for (int k = 0; k < run->model->nodes[i].inputs; k++)
            if (run->model->nodes[i].input[k] == input->tensor &&
                (!input->single || k == input->operand))
                run->read[i][k] = memory;
}

static void replace(hook_context *context, int index, const cs_tensor *tensor) {
    cs_run *run = context->run;
    hook_call *call = context->call;
    hook_input *input = index < call->input_count ? &call->inputs[index] : NULL;
    switch (context->seen.kind) {
    case CS_HOOK_FORWARD_PRE:
        store(context, input->tensor, tensor, run_at(run, input->memory), call->first);
        redirect(run, call, input);
        call->views[index].data = run_at(run, input->memory);
        break;
    case CS_HOOK_FORWARD:
        store(context, call->last, tensor, context->value.data, call->last);
        break;
    case CS_HOOK_BACKWARD_PRE:
        store(context, call->last, tensor, run_at(run, call->memory), call->last);
        run->doutput[call->last] = context->value.data = run_at(run, call->memory);
        break;
    case CS_HOOK_BACKWARD:
        store(context, input->tensor, tensor, call->views[index].data, call->first);
        break;
    }
}

/* The tensor that replacement `index` stands for, or NULL. */
static const cs_tensor *replaced(const hook_context *context, int index) {
    const cs_hook_kind kind = context->seen.kind;
    const bool of_inputs = kind == CS_HOOK_FORWARD_PRE || kind == CS_HOOK_BACKWARD;
    if (index < 0 || index >= (of_inputs ? context->call->input_count : 1))
        return NULL;
    const cs_tensor *there = of_inputs ? &context->call->views[index] : &context->value;
    return there->data ? there : NULL;
}

static cs_status check_replacement(const hook_context *context, int index, const cs_tensor *t,
                                   cs_error *err) {
    const char *path = context->call->hook->path;
    const cs_tensor *there = replaced(context, index);
    CS_CHECK(there, CS_ERROR_ARGUMENT, "a hook on \"%s\" replaced number %d, which is not there",
             path, index);
    CS_CHECK(t && t->data, CS_ERROR_ARGUMENT, "a hook on \"%s\" gave no replacement (NULL)", path);
    if (t->dtype != there->dtype || t->n != there->n || t->c != there->c || t->h != there->h ||
        t->w != there->w)
        return cs_error_set(
            err, CS_ERROR_ARGUMENT, path, -1,
            "a hook on \"%s\" gave a replacement of shape [%lld, %lld, %lld, %lld] and type %s; "
            "[%lld, %lld, %lld, %lld] and %s were expected",
            path, (long long)t->n, (long long)t->c, (long long)t->h, (long long)t->w,
            cs_dtype_name(t->dtype), (long long)there->n, (long long)there->c, (long long)there->h,
            (long long)there->w, cs_dtype_name(there->dtype));
    return CS_OK;
}

cs_status cs_hook_replace(const cs_hook_call *call, int index, const cs_tensor *tensor,
                          cs_error *err) {
    hook_context *context = (hook_context *)(uintptr_t)call;
    const cs_status status = check_replacement(context, index, tensor, &context->error);
    if (status == CS_OK) {
        replace(context, index, tensor);
        return CS_OK;
    }
    context->failed = status;
    if (err)
        *err = context->error;
    return status;
}

/* A call begins: its inputs are those that stand there now. */
static cs_status begin_forward(cs_run *run, hook_call *call, cs_error *err) {
    for (int i = 0; i < call->input_count; i++) {
        const hook_input *input = &call->inputs[i];
        call->views[i] = view_of(run, input->tensor, run->read[input->reader][input->operand]);
    }
    if (call->hook->kind == CS_HOOK_FORWARD)
        return CS_OK;
    hook_context context = context_of(run, call);
    context.seen.inputs = call->views;
    return call_hook(&context, err);
}

static cs_status end_forward(cs_run *run, hook_call *call, cs_error *err) {
    hook_context context = context_of(run, call);
    context.seen.inputs = call->views;
    context.value = view_of(run, call->last, run_at(run, run->plan.value[call->last]));
    context.seen.output = &context.value;
    return call_hook(&context, err);
}

cs_status hooks_forward(cs_run *run, int key, cs_error *err) {
    hook_list *list = &run->hooks;
    while (list->cursor < list->event_count && list->events[list->cursor].key <= key) {
        const hook_event event = list->events[list->cursor++];
        CS_TRY((event.key % 2 ? end_forward : begin_forward)(run, event.call, err));
    }
    return CS_OK;
}

cs_status hooks_open_backward(cs_run *run, hook_call *call, cs_error *err) {
    if (call->hook->kind == CS_HOOK_BACKWARD) {
        call->grad_output = run->doutput[call->last];
        return CS_OK;
    }
    hook_context context = context_of(run, call);
    context.value = view_of(run, call->last, run->doutput[call->last]);
    context.seen.grad_output = &context.value;
    return call_hook(&context, err);
}

cs_status hooks_close_backward(cs_run *run, hook_call *call, cs_error *err) {
    hook_context context = context_of(run, call);
    for (int i = 0; i < call->input_count; i++) {
        const hook_input *input = &call->inputs[i];
        const void *data = input->slot < 0 ? NULL : run_at(run, run->plan.gradient[input->slot]);
        call->views[i] = view_of(run, input->tensor, data);
    }
    context.seen.grad_inputs = call->views;
    context.value = view_of(run, call->last, call->grad_output);
    context.seen.grad_output = &context.value;
    return call_hook(&context, err);
}
