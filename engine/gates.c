/* gates.c - ReLU gates and pool winners of a batch as a value: taken from a run, compared, imposed.
 */
#include "gates.h"
#include "run_state.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ create, free --------- */

static bool has_gates(const cs_node_info *node) {
    return strcmp(node->op, "relu") == 0 || strcmp(node->op, "max_pool2d") == 0;
}

static cs_status add_set(cs_gates *gates, const cs_shape *shapes, int node, cs_error *err) {
    const cs_node_info *info = &gates->model->nodes[node];
    const cs_shape in = shapes[info->input[0]], out = shapes[node];
    const layer *kind = layer_find(info->op, LAYER_DIRECT, CS_F32);
    gate_set *set = &gates->sets[gates->count];
    *set = (gate_set){.node = node,
                      .winners = strcmp(info->op, "max_pool2d") == 0,
                      .in = in,
                      .out = out,
                      .image_bytes = kind->saved_size(&info->attributes, in, out, 1)};
    size_t size;
    CS_CHECK(cs_size_mul(set->image_bytes, (size_t)gates->batch, &size) &&
                 size <= PTRDIFF_MAX - 64 && (set->data = aligned_alloc(64, cs_align64(size + 1))),
             CS_ERROR_MEMORY, "not enough memory for the gates of \"%s\"", info->name);
    memset(set->data, 0, cs_align64(size));
    gates->count++;
    return CS_OK;
}

cs_status gates_create(const cs_model *model, const cs_shape *shapes, int64_t batch, cs_gates **out,
                       cs_error *err) {
    cs_gates *gates = calloc(1, sizeof *gates);
    CS_CHECK(gates, CS_ERROR_MEMORY, "not enough memory for the gates");
    gates->model = model;
    gates->batch = batch;
    gates->sets = calloc((size_t)model->node_count, sizeof *gates->sets);
    cs_status status = gates->sets ? CS_OK
                                   : cs_error_set(err, CS_ERROR_MEMORY, NULL, -1,
                                                  "not enough memory for the gates");
    for (int i = 1; i < model->node_count && status == CS_OK; i++)
        if (has_gates(&model->nodes[i]))
            status = add_set(gates, shapes, i, err);
    if (status != CS_OK) {
        cs_gates_free(gates);
        return status;
    }
    *out = gates;
    return CS_OK;
}

void cs_gates_free(cs_gates *gates) {
    if (!gates)
        return;
    for (int i = 0; i < gates->count; i++)
        free(gates->sets[i].data);
    free(gates->sets);
    free(gates);
}

static size_t set_bytes(const cs_gates *gates, int index) {
    return (size_t)gates->batch * gates->sets[index].image_bytes;
}

cs_status cs_gates_copy(const cs_gates *gates, cs_gates **copy, cs_error *err) {
    cs_shape *shapes = calloc((size_t)gates->model->node_count, sizeof *shapes);
    CS_CHECK(shapes, CS_ERROR_MEMORY, "not enough memory for a copy of the gates");
    for (int i = 0; i < gates->count; i++) {
        const gate_set *set = &gates->sets[i];
        shapes[gates->model->nodes[set->node].input[0]] = set->in;
        shapes[set->node] = set->out;
    }
    const cs_status status = gates_create(gates->model, shapes, gates->batch, copy, err);
    free(shapes);
    for (int i = 0; status == CS_OK && i < gates->count; i++)
        memcpy((*copy)->sets[i].data, gates->sets[i].data, set_bytes(gates, i));
    return status;
}

/* ------------------------------------------------------------------ looking -------------- */

int cs_gates_count(const cs_gates *gates) { return gates->count; }

cs_gates_info cs_gates_node(const cs_gates *gates, int index) {
    const gate_set *set = &gates->sets[index];
    return (cs_gates_info){gates->model->nodes[set->node].name,
                           set->node,
                           set->winners,
                           gates->batch,
                           set->out.c,
                           set->out.h,
                           set->out.w};
}

void *gates_data(const cs_gates *gates, int node) {
    for (int i = 0; i < gates->count; i++)
        if (gates->sets[i].node == node)
            return gates->sets[i].data;
    return NULL;
}

int32_t cs_gates_at(const cs_gates *gates, int index, int64_t n, int64_t c, int64_t h, int64_t w) {
    const gate_set *set = &gates->sets[index];
    const size_t pixel = (size_t)((n * set->out.h + h) * set->out.w + w);
    if (set->winners)
        return ((const int32_t *)(const void *)set->data)[pixel * (size_t)set->out.c + (size_t)c];
    const uint16_t *words = (const uint16_t *)(const void *)set->data;
    return words[pixel * layer_gate_words(set->out.c) + (size_t)c / CS_PANEL] >> c % CS_PANEL & 1;
}

/* The same nodes with the same shapes; the batch as asked. */
static cs_status check_like(const cs_gates *a, const cs_gates *b, bool batch, cs_error *err) {
    CS_CHECK(a->count == b->count, CS_ERROR_MISMATCH,
             "gates of %d nodes and of %d: they belong to different networks", a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const gate_set *x = &a->sets[i], *y = &b->sets[i];
        const char *name = a->model->nodes[x->node].name, *other = b->model->nodes[y->node].name;
        if (strcmp(name, other) != 0 || x->winners != y->winners)
            return cs_error_set(err, CS_ERROR_MISMATCH, name, -1,
                                "gates of \"%s\" where those of \"%s\" were expected: they belong "
                                "to different networks",
                                other, name);
        if (memcmp(&x->out, &y->out, sizeof x->out) != 0 ||
            memcmp(&x->in, &y->in, sizeof x->in) != 0)
            return cs_error_set(err, CS_ERROR_MISMATCH, name, -1,
                                "the gates of \"%s\" are %lld x %lld x %lld; %lld x %lld x %lld "
                                "were expected: they belong to another input size",
                                name, (long long)y->out.c, (long long)y->out.h, (long long)y->out.w,
                                (long long)x->out.c, (long long)x->out.h, (long long)x->out.w);
    }
    CS_CHECK(!batch || a->batch == b->batch, CS_ERROR_MISMATCH, "gates of %lld images and of %lld",
             (long long)a->batch, (long long)b->batch);
    return CS_OK;
}

cs_status cs_gates_flipped(const cs_gates *a, const cs_gates *b, int index, int64_t *flipped,
                           cs_error *err) {
    CS_TRY(check_like(a, b, true, err));
    const gate_set *set = &a->sets[index];
    const size_t pixels = (size_t)(a->batch * set->out.h * set->out.w);
    const size_t words = layer_gate_words(set->out.c), channels = (size_t)set->out.c;
    const uint16_t *x = (const uint16_t *)(const void *)set->data;
    const uint16_t *y = (const uint16_t *)(const void *)b->sets[index].data;
    *flipped = 0;
    if (set->winners) {
        const int32_t *won = (const int32_t *)(const void *)set->data;
        const int32_t *other = (const int32_t *)(const void *)b->sets[index].data;
        for (size_t i = 0; i < pixels * channels; i++)
            *flipped += won[i] != other[i];
        return CS_OK;
    }
    for (size_t i = 0; i < pixels * words; i++) {
        const size_t first = i % words * CS_PANEL;
        const unsigned mask = channels - first < CS_PANEL ? (1U << (channels - first)) - 1 : 0xFFFF;
        *flipped += __builtin_popcount((unsigned)(x[i] ^ y[i]) & mask);
    }
    return CS_OK;
}

cs_status cs_gates_take(cs_gates *gates, const cs_gates *from, int index, cs_error *err) {
    CS_TRY(check_like(gates, from, true, err));
    memcpy(gates->sets[index].data, from->sets[index].data, set_bytes(gates, index));
    return CS_OK;
}

/* ------------------------------------------------------------------ runs ----------------- */

void cs_run_keep_gates(cs_run *run) {
    if (run->hooks.busy)
        return;
    if (!run->keep_gates)
        run_unprepare(run);
    run->keep_gates = true;
}

cs_status cs_run_gates(const cs_run *run, cs_gates **gates, cs_error *err) {
    if (run->imposed)
        return cs_gates_copy(run->imposed, gates, err);
    CS_CHECK(run->keep_gates, CS_ERROR_STATE,
             "the gates were not kept: call cs_run_keep_gates first");
    CS_CHECK(run->prepared && run->batch > 0, CS_ERROR_STATE,
             "there are no gates before the first forward");
    CS_TRY(gates_create(run->model, run->shapes, run->batch, gates, err));
    for (int i = 0; i < (*gates)->count; i++)
        memcpy((*gates)->sets[i].data, run_saved(run, (*gates)->sets[i].node),
               set_bytes(*gates, i));
    return CS_OK;
}

cs_status cs_run_impose_gates(cs_run *run, const cs_gates *gates, cs_error *err) {
    cs_gates *own = NULL;
    CS_TRY(run_may_be_told(run, err));
    if (gates) {
        CS_CHECK(gates->batch <= run->max_batch, CS_ERROR_ARGUMENT,
                 "gates of %lld images; this run was created for 1 to %lld",
                 (long long)gates->batch, (long long)run->max_batch);
        CS_TRY(gates_create(run->model, run->shapes, gates->batch, &own, err));
        const cs_status status = check_like(own, gates, true, err);
        if (status != CS_OK) {
            cs_gates_free(own);
            return status;
        }
        for (int i = 0; i < own->count; i++)
            memcpy(own->sets[i].data, gates->sets[i].data, set_bytes(own, i));
    }
    if (!own != !run->imposed)
        run_unprepare(run);
    cs_gates_free(run->imposed);
    run->imposed = own;
    return CS_OK;
}
