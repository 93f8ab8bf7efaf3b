/* state_find.c - which dict of a checkpoint is the state_dict: the one at a path that the user
 * gives, or the only dict that holds tensors, at most four containers deep. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "grow.h"

enum { DEPTH_MAX = 4, CANDIDATES_MAX = 8 };

/* A container on the way: whose member it is, under which cell. */
typedef struct place {
    uint32_t value, parent;  /* parent: index of a place, or CS_NO_VALUE */
    uint32_t cell, position; /* in the parent: its cell, and its number there */
    int depth;
} place;

typedef struct search {
    const cs_checkpoint *checkpoint;
    place *places;
    size_t count, capacity;
    unsigned char *seen; /* one a value */
    uint32_t candidates[CANDIDATES_MAX];
    size_t candidate_count;
    uint32_t module; /* a place whose value is a pickled nn.Module, or CS_NO_VALUE */
} search;

static const cs_value *value_at(const search *s, uint32_t place_index) {
    return &s->checkpoint->pickle.values[s->places[place_index].value];
}

static bool is_container(const cs_value *value) {
    return value->kind == CS_VALUE_DICT || value->kind == CS_VALUE_LIST ||
           value->kind == CS_VALUE_TUPLE;
}

/* Entries beside a state_dict that hold tensors of their own. */
static bool is_bookkeeping(const cs_value *key) {
    static const char *const words[] = {"optimizer",
                                        "optimizer_state_dict",
                                        "optimizers",
                                        "optimizer_states",
                                        "optim",
                                        "scheduler",
                                        "scheduler_state_dict",
                                        "lr_scheduler",
                                        "lr_schedulers",
                                        "momentum_buffer",
                                        "epoch",
                                        "best_prec1",
                                        "loss",
                                        "scaler",
                                        "amp",
                                        "callbacks",
                                        "loops"};
    for (size_t i = 0; key && key->kind == CS_VALUE_STRING && i < sizeof words / sizeof *words; ++i)
        if (strlen(words[i]) == key->as.string.size &&
            memcmp(words[i], key->as.string.text, key->as.string.size) == 0)
            return true;
    return false;
}

static const cs_value *key_of(const search *s, const cs_value *container, const cs_cell *cell) {
    return container->kind == CS_VALUE_DICT ? &s->checkpoint->pickle.values[cell->key] : NULL;
}

static void append_step(const search *s, const place *p, cs_text *text) {
    const cs_value *container = value_at(s, p->parent);
    const cs_value *key = key_of(s, container, &s->checkpoint->pickle.cells[p->cell]);
    if (text->size > 0)
        cs_text_append(text, ".");
    if (key && key->kind == CS_VALUE_STRING)
        cs_text_append_bytes(text, key->as.string.text, key->as.string.size);
    else if (key && key->kind == CS_VALUE_INT)
        cs_text_append(text, "%lld", (long long)key->as.integer);
    else
        cs_text_append(text, "%u", p->position);
}

/* "a.b.0": the path of a place; the caller frees it. NULL where memory is exhausted. */
static char *path_of(const search *s, uint32_t place_index) {
    uint32_t chain[DEPTH_MAX + 1];
    int length = 0;
    for (uint32_t p = place_index; s->places[p].parent != CS_NO_VALUE; p = s->places[p].parent)
        chain[length++] = p;
    cs_text text = {0};
    cs_text_append(&text, "%s", "");
    while (length > 0)
        append_step(s, &s->places[chain[--length]], &text);
    char *clean = text.failed ? NULL : cs_text_clean(text.data, text.size);
    cs_text_release(&text);
    return clean;
}

static cs_status add_place(search *s, place p, cs_error *err) {
    CS_TRY(cs_grow((void **)&s->places, &s->capacity, s->count + 1, sizeof p, CS_PICKLE_VALUES_MAX,
                   "containers", err));
    s->places[s->count++] = p;
    s->seen[p.value] = 1;
    return CS_OK;
}

/* A container that is among those it lies in. */
static cs_status check_cycle(const search *s, uint32_t place_index, uint32_t value, cs_error *err) {
    for (uint32_t p = place_index; p != CS_NO_VALUE; p = s->places[p].parent)
        if (s->places[p].value == value)
            return cs_source_error(&s->checkpoint->source, CS_ERROR_FORMAT, -1, err,
                                   "%s of the checkpoint contains itself",
                                   cs_value_kind_name(s->checkpoint->pickle.values[value].kind));
    return CS_OK;
}

/* Looks at the members of one container; it is a candidate if it is a dict with a tensor. */
static cs_status visit(search *s, uint32_t index, cs_error *err) {
    const cs_pickle *pickle = &s->checkpoint->pickle;
    const place p = s->places[index];
    const cs_value *container = &pickle->values[p.value];
    uint32_t at = container->as.items.first;
    bool tensors = false;
    for (uint32_t i = 0; i < container->as.items.count; ++i, at = pickle->cells[at].next) {
        const cs_value *key = key_of(s, container, &pickle->cells[at]);
        uint32_t member = pickle->cells[at].value;
        const cs_value *value = &pickle->values[member];
        if (is_bookkeeping(key))
            continue;
        if (value->kind == CS_VALUE_TENSOR || value->kind == CS_VALUE_FOREIGN_TENSOR)
            tensors = tensors || (key && key->kind == CS_VALUE_STRING);
        bool module = value->kind == CS_VALUE_MODULE && s->module == CS_NO_VALUE;
        if (!module && (!is_container(value) || p.depth == DEPTH_MAX))
            continue;
        CS_TRY(check_cycle(s, index, member, err));
        if (s->seen[member])
            continue;
        if (module)
            s->module = (uint32_t)s->count;
        CS_TRY(add_place(s, (place){member, index, at, i, p.depth + 1}, err));
    }
    if (tensors && s->candidate_count < CANDIDATES_MAX)
        s->candidates[s->candidate_count++] = index;
    return CS_OK;
}

/* `where` is a path, or "" for the root. */
static cs_status refuse_module(const search *s, const cs_value *value, const char *where,
                               cs_error *err) {
    return cs_source_error(&s->checkpoint->source, CS_ERROR_UNSUPPORTED, -1, err,
                           "%s%sa pickled %s of class %s, not a state_dict; load it in Python and "
                           "save its weights: torch.save(model.state_dict(), \"model.pth\")",
                           where, *where ? " is " : "",
                           value->kind == CS_VALUE_MODULE ? "nn.Module" : "object",
                           s->checkpoint->pickle.opaques[value->as.index].name);
}

static cs_status explain_none(const search *s, cs_error *err) {
    if (s->module != CS_NO_VALUE) {
        char *path = path_of(s, s->module);
        cs_status status = refuse_module(s, value_at(s, s->module), path ? path : "", err);
        free(path);
        return status;
    }
    const cs_value *root = value_at(s, 0);
    return cs_source_error(&s->checkpoint->source, CS_ERROR_MISMATCH, -1, err,
                           "no state_dict in it: the checkpoint is %s%s",
                           cs_value_kind_name(root->kind),
                           is_container(root) ? " that holds no dict of tensors" : "");
}

static cs_status explain_several(const search *s, cs_error *err) {
    cs_text text = {0};
    for (size_t i = 0; i < s->candidate_count; ++i) {
        char *path = path_of(s, s->candidates[i]);
        cs_text_append(&text, "%s\"%s\"", i ? ", " : "", path ? path : "");
        free(path);
    }
    cs_status status = cs_source_error(&s->checkpoint->source, CS_ERROR_ARGUMENT, -1, err,
                                       "several dicts of tensors in it; say which with --key: %s",
                                       text.failed ? "" : text.data);
    cs_text_release(&text);
    return status;
}

/* Finds the member of a container that the path begins with, the longest of several. */
static cs_status descend(search *s, uint32_t from, const char **path, cs_error *err) {
    const cs_pickle *pickle = &s->checkpoint->pickle;
    const cs_value *container = value_at(s, from);
    place best = {.value = CS_NO_VALUE};
    size_t best_length = 0;
    uint32_t at = container->as.items.first;
    for (uint32_t i = 0; is_container(container) && i < container->as.items.count; ++i) {
        cs_text step = {0};
        append_step(s, &(place){.parent = from, .cell = at, .position = i}, &step);
        size_t length = step.failed ? 0 : step.size;
        if (length > 0 && (best.value == CS_NO_VALUE || length > best_length) &&
            strncmp(*path, step.data, length) == 0 &&
            ((*path)[length] == '.' || (*path)[length] == '\0')) {
            best = (place){pickle->cells[at].value, from, at, i, s->places[from].depth + 1};
            best_length = length;
        }
        cs_text_release(&step);
        at = pickle->cells[at].next;
    }
    if (best.value == CS_NO_VALUE)
        return cs_source_error(&s->checkpoint->source, CS_ERROR_ARGUMENT, -1, err,
                               "no \"%s\" where --key looks for it, in %s", *path,
                               cs_value_kind_name(container->kind));
    if (best.depth > DEPTH_MAX)
        return cs_source_error(&s->checkpoint->source, CS_ERROR_LIMIT, -1, err,
                               "--key goes more than %d containers deep", DEPTH_MAX);
    *path += best_length + ((*path)[best_length] == '.');
    return add_place(s, best, err);
}

/* The names beside the path to the chosen place. */
static cs_status drop_siblings(const search *s, cs_checkpoint *c, uint32_t chosen, cs_error *err) {
    enum { NAMED_MAX = 64 };
    for (uint32_t p = chosen; s->places[p].parent != CS_NO_VALUE; p = s->places[p].parent) {
        const cs_value *container = value_at(s, s->places[p].parent);
        uint32_t at = container->as.items.first;
        for (uint32_t i = 0; i < container->as.items.count; ++i, at = c->pickle.cells[at].next) {
            if (i == s->places[p].position || c->dropped_count >= NAMED_MAX)
                continue;
            cs_text step = {0};
            append_step(s, &(place){.parent = s->places[p].parent, .cell = at, .position = i},
                        &step);
            cs_status status =
                step.failed ? cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for names")
                            : cs_checkpoint_drop(c, step.data, step.size, err);
            cs_text_release(&step);
            CS_TRY(status);
        }
    }
    return CS_OK;
}

static cs_status find(search *s, const char *key, uint32_t *chosen, cs_error *err) {
    const cs_value *root = value_at(s, 0);
    if (root->kind == CS_VALUE_MODULE || root->kind == CS_VALUE_OPAQUE)
        return refuse_module(s, root, "", err);
    if (key) {
        *chosen = 0;
        while (*key) {
            CS_TRY(descend(s, *chosen, &key, err));
            *chosen = (uint32_t)s->count - 1;
        }
        const cs_value *value = value_at(s, *chosen);
        if (value->kind == CS_VALUE_MODULE || value->kind == CS_VALUE_OPAQUE)
            return refuse_module(s, value, "", err);
        if (value->kind != CS_VALUE_DICT)
            return cs_source_error(&s->checkpoint->source, CS_ERROR_ARGUMENT, -1, err,
                                   "--key leads to %s, where a dict was expected",
                                   cs_value_kind_name(value->kind));
        return CS_OK;
    }
    for (size_t i = 0; i < s->count; ++i)
        if (is_container(value_at(s, (uint32_t)i)))
            CS_TRY(visit(s, (uint32_t)i, err));
    if (s->candidate_count == 0)
        return explain_none(s, err);
    if (s->candidate_count > 1)
        return explain_several(s, err);
    *chosen = s->candidates[0];
    return CS_OK;
}

cs_status cs_checkpoint_find_dict(cs_checkpoint *c, const char *key, uint32_t *dict,
                                  cs_error *err) {
    search s = {.checkpoint = c, .module = CS_NO_VALUE};
    uint32_t chosen = 0;
    s.seen = calloc(c->pickle.value_count, 1);
    CS_CHECK(s.seen, CS_ERROR_MEMORY, "no memory for a search through the checkpoint");
    cs_status status = add_place(&s, (place){c->root, CS_NO_VALUE, 0, 0, 0}, err);
    if (status == CS_OK)
        status = find(&s, key, &chosen, err);
    if (status == CS_OK)
        status = drop_siblings(&s, c, chosen, err);
    if (status == CS_OK) {
        *dict = s.places[chosen].value;
        c->key = path_of(&s, chosen);
        if (!c->key)
            status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "no memory for a name");
    }
    free(s.places);
    free(s.seen);
    return status;
}
