/* pickle.c - the machine: stack, marks, memo, and one small function per operation. */
#include "pickle.h"

#include <stdlib.h>
#include <string.h>

#include "grow.h"

typedef struct machine {
    cs_pickle *pickle;
    uint32_t *stack;
    size_t depth, stack_capacity;
    uint32_t *marks; /* stack depths */
    size_t mark_count, mark_capacity;
    uint32_t *memo;
    size_t memo_size, memo_capacity;
    size_t at;    /* next byte */
    size_t begin; /* of the current operation */
    unsigned char code;
    bool stopped;
    cs_error *err;
} machine;

typedef cs_status (*handler)(machine *m);

typedef struct operation {
    const char *name;
    handler run; /* NULL: known, and refused */
} operation;

static const operation operations[256]; /* defined at the end of this file */

#define FAIL(m, status, ...)                                                                       \
    cs_source_error((m)->pickle->source, (status), (int64_t)((m)->pickle->base + (m)->begin),      \
                    (m)->err, __VA_ARGS__)
#define BAD(m, ...) FAIL(m, CS_ERROR_FORMAT, __VA_ARGS__)

static const char *operation_name(const machine *m) { return operations[m->code].name; }

/* The bytes ended too early: the file's fault, or this program's limit. */
static cs_status short_of_bytes(machine *m, const char *where) {
    if (m->pickle->cut)
        return FAIL(m, CS_ERROR_LIMIT, "a pickle of more than %u bytes, this program's limit",
                    CS_PICKLE_BYTES_MAX);
    return BAD(m, "the pickle ends %s: the file is cut short or damaged, get it again", where);
}

/* The next `size` bytes, which the operation's argument takes. */
static cs_status take(machine *m, size_t size, const unsigned char **bytes) {
    if (size > m->pickle->size - m->at)
        return short_of_bytes(m, "within an operation's argument");
    *bytes = m->pickle->data + m->at;
    m->at += size;
    return CS_OK;
}

static cs_status push(machine *m, uint32_t value) {
    CS_TRY(cs_grow((void **)&m->stack, &m->stack_capacity, m->depth + 1, sizeof *m->stack,
                   CS_PICKLE_STACK_MAX, "values on the pickle's stack", m->err));
    m->stack[m->depth++] = value;
    return CS_OK;
}

static cs_status push_new(machine *m, cs_value value) {
    uint32_t index = 0;
    CS_TRY(cs_pickle_add(m->pickle, value, &index, m->err));
    return push(m, index);
}

/* Values above the last mark: what operations without a mark may take. */
static cs_status pop(machine *m, uint32_t *value) {
    size_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    if (m->depth <= floor)
        return BAD(m, "%s finds too few values on the stack", operation_name(m));
    *value = m->stack[--m->depth];
    return CS_OK;
}

static cs_status top(machine *m, uint32_t *value) {
    CS_TRY(pop(m, value));
    ++m->depth;
    return CS_OK;
}

/* Takes the last mark away; the values above it are stack[*first .. depth). */
static cs_status pop_mark(machine *m, size_t *first) {
    if (m->mark_count == 0)
        return BAD(m, "%s finds no mark on the stack", operation_name(m));
    *first = m->marks[--m->mark_count];
    return CS_OK;
}

static cs_value_kind kind_of(const machine *m, uint32_t value) {
    return m->pickle->values[value].kind;
}

static cs_status op_proto(machine *m) {
    const unsigned char *version = NULL;
    CS_TRY(take(m, 1, &version));
    if (*version >= 3 && *version <= 5)
        return FAIL(m, CS_ERROR_UNSUPPORTED,
                    "saved with pickle_protocol=%u; save it again with the default: "
                    "torch.save(torch.load(f), g)",
                    *version);
    if (*version != 2)
        return BAD(m, "pickle protocol %u, where torch.save writes 2", *version);
    if (m->begin + 2 != m->at || m->pickle->opcodes != 1)
        return BAD(m, "PROTO in the middle of a pickle");
    return CS_OK;
}

static cs_status op_stop(machine *m) {
    if (m->mark_count != 0)
        return BAD(m, "the pickle stops with a mark that nothing took");
    if (m->depth != 1)
        return BAD(m, "the pickle stops with %zu values on the stack, where one was expected",
                   m->depth);
    m->stopped = true;
    return CS_OK;
}

static cs_status op_mark(machine *m) {
    CS_TRY(cs_grow((void **)&m->marks, &m->mark_capacity, m->mark_count + 1, sizeof *m->marks,
                   CS_PICKLE_STACK_MAX, "marks on the pickle's stack", m->err));
    m->marks[m->mark_count++] = (uint32_t)m->depth;
    return CS_OK;
}

/* A line of GLOBAL's argument. */
static cs_status take_line(machine *m, const char **line, size_t *size) {
    enum { LINE_MAX_BYTES = 1024 };
    const unsigned char *begin = m->pickle->data + m->at;
    size_t left = m->pickle->size - m->at;
    const unsigned char *end = memchr(begin, '\n', left < LINE_MAX_BYTES ? left : LINE_MAX_BYTES);
    if (!end)
        return BAD(m, "GLOBAL without a newline within the %zu bytes behind it",
                   left < LINE_MAX_BYTES ? left : LINE_MAX_BYTES);
    *line = (const char *)begin;
    *size = (size_t)(end - begin);
    m->at += *size + 1;
    return CS_OK;
}

static cs_status op_global(machine *m) {
    const char *module = NULL, *name = NULL;
    size_t module_size = 0, name_size = 0;
    CS_TRY(take_line(m, &module, &module_size));
    CS_TRY(take_line(m, &name, &name_size));
    uint32_t value = 0;
    CS_TRY(cs_pickle_global(m->pickle, module, module_size, name, name_size, &value, m->err));
    return push(m, value);
}

/* REDUCE and NEWOBJ differ only in what Python would call. */
static cs_status op_call(machine *m) {
    uint32_t arguments = 0, function = 0, result = 0;
    CS_TRY(pop(m, &arguments));
    CS_TRY(pop(m, &function));
    if (kind_of(m, arguments) != CS_VALUE_TUPLE)
        return BAD(m, "%s with %s for arguments, where a tuple was expected", operation_name(m),
                   cs_value_kind_name(kind_of(m, arguments)));
    CS_TRY(cs_pickle_call(m->pickle, function, arguments, (int64_t)(m->pickle->base + m->begin),
                          &result, m->err));
    return push(m, result);
}

static cs_status op_build(machine *m) {
    uint32_t state = 0, object = 0;
    CS_TRY(pop(m, &state));
    CS_TRY(top(m, &object));
    return cs_pickle_set_state(m->pickle, object, state, (int64_t)(m->pickle->base + m->begin),
                               m->err);
}

static cs_status op_persistent(machine *m) {
    uint32_t id = 0, result = 0;
    CS_TRY(pop(m, &id));
    CS_TRY(cs_pickle_persistent(m->pickle, id, (int64_t)(m->pickle->base + m->begin), &result,
                                m->err));
    return push(m, result);
}

static cs_status push_container(machine *m, cs_value_kind kind) {
    cs_value value = {.kind = (uint8_t)kind};
    value.as.items.first = value.as.items.last = CS_NO_VALUE;
    return push_new(m, value);
}

static cs_status op_empty_dict(machine *m) { return push_container(m, CS_VALUE_DICT); }
static cs_status op_empty_list(machine *m) { return push_container(m, CS_VALUE_LIST); }
static cs_status op_empty_tuple(machine *m) { return push_container(m, CS_VALUE_TUPLE); }

/* A tuple of the values stack[first .. depth), in their place. */
static cs_status make_tuple(machine *m, size_t first) {
    size_t depth = m->depth;
    CS_TRY(push_container(m, CS_VALUE_TUPLE));
    uint32_t tuple = m->stack[depth];
    for (size_t i = first; i < depth; ++i)
        CS_TRY(cs_pickle_append(m->pickle, tuple, CS_NO_VALUE, m->stack[i], m->err));
    m->stack[first] = tuple;
    m->depth = first + 1;
    return CS_OK;
}

static cs_status op_tuple(machine *m) {
    size_t first = 0;
    CS_TRY(pop_mark(m, &first));
    return make_tuple(m, first);
}

static cs_status op_tuple_of(machine *m) { /* TUPLE1, TUPLE2, TUPLE3: 0x85 to 0x87 */
    size_t count = (size_t)m->code - 0x84;
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i)
        CS_TRY(pop(m, &value));
    size_t first = m->depth;
    m->depth += count;
    return make_tuple(m, first);
}

/* Stores key: value in a dict; whatever is done to an opaque object leaves it opaque. */
static cs_status set_item(machine *m, uint32_t target, uint32_t key, uint32_t value) {
    cs_value_kind kind = kind_of(m, target), key_kind = kind_of(m, key);
    if (key_kind == CS_VALUE_LIST || key_kind == CS_VALUE_DICT)
        return BAD(m, "%s as a key, which Python cannot have", cs_value_kind_name(key_kind));
    if (kind == CS_VALUE_OPAQUE || kind == CS_VALUE_MODULE)
        return CS_OK;
    if (kind != CS_VALUE_DICT)
        return BAD(m, "%s on %s, where a dict was expected", operation_name(m),
                   cs_value_kind_name(kind));
    return cs_pickle_append(m->pickle, target, key, value, m->err);
}

static cs_status op_setitem(machine *m) {
    uint32_t value = 0, key = 0, target = 0;
    CS_TRY(pop(m, &value));
    CS_TRY(pop(m, &key));
    CS_TRY(top(m, &target));
    return set_item(m, target, key, value);
}

static cs_status op_setitems(machine *m) {
    size_t first = 0;
    uint32_t target = 0;
    CS_TRY(pop_mark(m, &first));
    size_t depth = m->depth;
    if ((depth - first) % 2 != 0)
        return BAD(m, "SETITEMS with %zu values, which are not pairs", depth - first);
    m->depth = first;
    CS_TRY(top(m, &target));
    for (size_t i = first; i < depth; i += 2)
        CS_TRY(set_item(m, target, m->stack[i], m->stack[i + 1]));
    return CS_OK;
}

static cs_status append_item(machine *m, uint32_t target, uint32_t value) {
    cs_value_kind kind = kind_of(m, target);
    if (kind == CS_VALUE_OPAQUE || kind == CS_VALUE_MODULE)
        return CS_OK;
    if (kind != CS_VALUE_LIST)
        return BAD(m, "%s on %s, where a list was expected", operation_name(m),
                   cs_value_kind_name(kind));
    return cs_pickle_append(m->pickle, target, CS_NO_VALUE, value, m->err);
}

static cs_status op_append(machine *m) {
    uint32_t value = 0, target = 0;
    CS_TRY(pop(m, &value));
    CS_TRY(top(m, &target));
    return append_item(m, target, value);
}

static cs_status op_appends(machine *m) {
    size_t first = 0;
    uint32_t target = 0;
    CS_TRY(pop_mark(m, &first));
    size_t depth = m->depth;
    m->depth = first;
    CS_TRY(top(m, &target));
    for (size_t i = first; i < depth; ++i)
        CS_TRY(append_item(m, target, m->stack[i]));
    return CS_OK;
}

static cs_status op_none(machine *m) { return push_new(m, (cs_value){.kind = CS_VALUE_NONE}); }

static cs_status op_bool(machine *m) { /* NEWTRUE 0x88, NEWFALSE 0x89 */
    cs_value value = {.kind = CS_VALUE_BOOL};
    value.as.integer = m->code == 0x88;
    return push_new(m, value);
}

static cs_status op_int(machine *m) {
    const unsigned char *b = NULL;
    size_t size = m->code == 'J' ? 4 : m->code == 'K' ? 1 : 2;
    CS_TRY(take(m, size, &b));
    cs_value value = {.kind = CS_VALUE_INT};
    value.as.integer = size == 4 ? (int32_t)cs_le32(b) : size == 2 ? (int64_t)cs_le16(b) : b[0];
    return push_new(m, value);
}

/* LONG1: a byte count, then a little-endian two's complement number. */
static cs_status op_long(machine *m) {
    const unsigned char *size = NULL, *b = NULL;
    CS_TRY(take(m, 1, &size));
    CS_TRY(take(m, *size, &b));
    if (*size > 8)
        return push_new(m, (cs_value){.kind = CS_VALUE_BIG_INT});
    uint64_t bits = *size > 0 && (b[*size - 1] & 0x80) ? UINT64_MAX : 0;
    for (size_t i = *size; i-- > 0;)
        bits = bits << 8 | b[i];
    cs_value value = {.kind = CS_VALUE_INT};
    memcpy(&value.as.integer, &bits, sizeof bits);
    return push_new(m, value);
}

static cs_status op_float(machine *m) {
    const unsigned char *b = NULL;
    CS_TRY(take(m, 8, &b));
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) /* big-endian, alone among pickle's numbers */
        bits = bits << 8 | b[i];
    cs_value value = {.kind = CS_VALUE_FLOAT};
    memcpy(&value.as.real, &bits, sizeof bits);
    return push_new(m, value);
}

static cs_status op_string(machine *m) { /* BINUNICODE 'X', SHORT_BINSTRING 'U' */
    const unsigned char *b = NULL;
    size_t width = m->code == 'X' ? 4 : 1;
    CS_TRY(take(m, width, &b));
    size_t size = width == 4 ? cs_le32(b) : b[0];
    CS_TRY(take(m, size, &b));
    bool valid = cs_utf8_valid((const char *)b, size);
    if (!valid && m->code == 'X')
        return BAD(m, "a string that is not UTF-8");
    cs_value value = {.kind = valid ? CS_VALUE_STRING : CS_VALUE_BYTES};
    value.as.string.text = (const char *)b;
    value.as.string.size = (uint32_t)size;
    return push_new(m, value);
}

static cs_status op_put(machine *m) { /* BINPUT 'q', LONG_BINPUT 'r' */
    const unsigned char *b = NULL;
    uint32_t value = 0;
    CS_TRY(take(m, m->code == 'q' ? 1 : 4, &b));
    size_t key = m->code == 'q' ? b[0] : cs_le32(b);
    CS_TRY(top(m, &value));
    if (key >= CS_PICKLE_MEMO_MAX)
        return FAIL(m, CS_ERROR_LIMIT, "memo entry %zu, beyond this program's limit of %u", key,
                    CS_PICKLE_MEMO_MAX);
    CS_TRY(cs_grow((void **)&m->memo, &m->memo_capacity, key + 1, sizeof *m->memo,
                   CS_PICKLE_MEMO_MAX, "memo entries", m->err));
    for (; m->memo_size <= key; ++m->memo_size)
        m->memo[m->memo_size] = CS_NO_VALUE;
    m->memo[key] = value;
    return CS_OK;
}

static cs_status op_get(machine *m) { /* BINGET 'h', LONG_BINGET 'j' */
    const unsigned char *b = NULL;
    CS_TRY(take(m, m->code == 'h' ? 1 : 4, &b));
    size_t key = m->code == 'h' ? b[0] : cs_le32(b);
    if (key >= m->memo_size || m->memo[key] == CS_NO_VALUE)
        return BAD(m, "memo entry %zu is used before it is set", key);
    return push(m, m->memo[key]);
}

static cs_status step(machine *m) {
    m->begin = m->at;
    if (m->at >= m->pickle->size)
        return short_of_bytes(m, "without STOP");
    if (++m->pickle->opcodes > CS_PICKLE_OPCODES_MAX)
        return FAIL(m, CS_ERROR_LIMIT, "more than %u pickle operations, this program's limit",
                    CS_PICKLE_OPCODES_MAX);
    m->code = m->pickle->data[m->at++];
    if (m->pickle->opcodes == 1 && m->code != 0x80)
        return BAD(m, "a pickle that does not begin with PROTO 2");
    const operation *found = &operations[m->code];
    if (found->run) {
        cs_status status = found->run(m);
        if (status == CS_ERROR_LIMIT && m->err && m->err->offset < 0) {
            char text[sizeof m->err->text];
            memcpy(text, m->err->text, sizeof text);
            return FAIL(m, status, "%s", text); /* an array's limit: here */
        }
        return status;
    }
    if (found->name)
        return FAIL(m, CS_ERROR_UNSUPPORTED,
                    "the pickle operation %s (0x%02x), which torch.save "
                    "does not write",
                    found->name, m->code);
    return BAD(m, "0x%02x is not a pickle operation", m->code);
}

cs_status cs_pickle_run(cs_pickle *pickle, size_t *at, uint32_t *root, cs_error *err) {
    machine m = {.pickle = pickle, .at = *at, .err = err};
    cs_status status = CS_OK;
    pickle->opcodes = 0;
    while (status == CS_OK && !m.stopped)
        status = step(&m);
    if (status == CS_OK) {
        *root = m.stack[0];
        *at = m.at;
    }
    free(m.stack);
    free(m.marks);
    free(m.memo);
    return status;
}

static const operation operations[256] = {
    [0x80] = {"PROTO", op_proto},
    ['.'] = {"STOP", op_stop},
    ['('] = {"MARK", op_mark},
    ['c'] = {"GLOBAL", op_global},
    ['R'] = {"REDUCE", op_call},
    [0x81] = {"NEWOBJ", op_call},
    ['b'] = {"BUILD", op_build},
    ['Q'] = {"BINPERSID", op_persistent},
    ['}'] = {"EMPTY_DICT", op_empty_dict},
    [']'] = {"EMPTY_LIST", op_empty_list},
    [')'] = {"EMPTY_TUPLE", op_empty_tuple},
    [0x8f] = {"EMPTY_SET", op_empty_list},
    ['t'] = {"TUPLE", op_tuple},
    [0x85] = {"TUPLE1", op_tuple_of},
    [0x86] = {"TUPLE2", op_tuple_of},
    [0x87] = {"TUPLE3", op_tuple_of},
    ['s'] = {"SETITEM", op_setitem},
    ['u'] = {"SETITEMS", op_setitems},
    ['a'] = {"APPEND", op_append},
    ['e'] = {"APPENDS", op_appends},
    ['N'] = {"NONE", op_none},
    [0x88] = {"NEWTRUE", op_bool},
    [0x89] = {"NEWFALSE", op_bool},
    ['J'] = {"BININT", op_int},
    ['K'] = {"BININT1", op_int},
    ['M'] = {"BININT2", op_int},
    [0x8a] = {"LONG1", op_long},
    ['G'] = {"BINFLOAT", op_float},
    ['X'] = {"BINUNICODE", op_string},
    ['U'] = {"SHORT_BINSTRING", op_string},
    ['q'] = {"BINPUT", op_put},
    ['r'] = {"LONG_BINPUT", op_put},
    ['h'] = {"BINGET", op_get},
    ['j'] = {"LONG_BINGET", op_get},
    /* Refused by name. */
    ['0'] = {"POP", NULL},
    ['1'] = {"POP_MARK", NULL},
    ['2'] = {"DUP", NULL},
    ['F'] = {"FLOAT", NULL},
    ['I'] = {"INT", NULL},
    ['L'] = {"LONG", NULL},
    ['P'] = {"PERSID", NULL},
    ['S'] = {"STRING", NULL},
    ['T'] = {"BINSTRING", NULL},
    ['V'] = {"UNICODE", NULL},
    ['d'] = {"DICT", NULL},
    ['g'] = {"GET", NULL},
    ['i'] = {"INST", NULL},
    ['l'] = {"LIST", NULL},
    ['o'] = {"OBJ", NULL},
    ['p'] = {"PUT", NULL},
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x8b] = {"LONG4", NULL},
    ['B'] = {"BINBYTES", NULL},
    ['C'] = {"SHORT_BINBYTES", NULL},
    [0x8c] = {"SHORT_BINUNICODE", NULL},
    [0x8d] = {"BINUNICODE8", NULL},
    [0x8e] = {"BINBYTES8", NULL},
    [0x90] = {"ADDITEMS", NULL},
    [0x91] = {"FROZENSET", NULL},
    [0x92] = {"NEWOBJ_EX", NULL},
    [0x93] = {"STACK_GLOBAL", NULL},
    [0x94] = {"MEMOIZE", NULL},
    [0x95] = {"FRAME", NULL},
    [0x96] = {"BYTEARRAY8", NULL},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};
