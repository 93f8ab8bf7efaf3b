/* hostile_pickles.c - see the header. Most are a few bytes: PROTO 2, what is wrong, STOP. */
#include "hostile_pickles.h"

#include <stdlib.h>
#include <string.h>

/* {"w": <tensor of 2 float32 in storage 1>}, with the parts that a case replaces. */
typedef struct one_tensor {
    const char *rebuild;
    void (*put_size)(bytes *b);
    void (*put_hooks)(bytes *b);
    const char *after; /* operations on the tensor */
} one_tensor;

static void put_id(bytes *b) {
    pickle_op(b, "(");
    pickle_string(b, "storage");
    pickle_global(b, "torch", "FloatStorage");
    pickle_string(b, "1");
    pickle_string(b, "cpu");
    pickle_int(b, 2);
    pickle_op(b, "tQ");
}

static void put_one(bytes *b, const one_tensor *t) {
    pickle_begin(b);
    pickle_op(b, "}");
    pickle_string(b, "w");
    pickle_global(b, "torch._utils", t->rebuild ? t->rebuild : "_rebuild_tensor_v2");
    pickle_op(b, "(");
    put_id(b);
    pickle_op(b, "K");
    bytes_le(b, 0, 1);
    if (t->put_size)
        t->put_size(b);
    else
        pickle_op(b, "K\2\x85");
    pickle_op(b, "K\1\x85\x89");
    if (t->put_hooks)
        t->put_hooks(b);
    else
        pickle_op(b, "}");
    pickle_op(b, "tR");
    if (t->after)
        pickle_op(b, t->after);
    pickle_op(b, "s.");
}

static void valid(bytes *b) { put_one(b, &(one_tensor){0}); }
static void sparse(bytes *b) { put_one(b, &(one_tensor){.rebuild = "_rebuild_sparse_tensor"}); }
static void put_system_call(bytes *b) {
    pickle_global(b, "os", "system");
    pickle_string(b, "true");
    pickle_op(b, "\x85R");
}
static void nested_call_size(bytes *b) { put_one(b, &(one_tensor){.put_size = put_system_call}); }
static void nested_call_hooks(bytes *b) { put_one(b, &(one_tensor){.put_hooks = put_system_call}); }
static void size_float(bytes *b) {
    pickle_op(b, "G\x40");
    bytes_le(b, 0, 7);
    pickle_op(b, "\x85");
}
static void float_dim(bytes *b) { put_one(b, &(one_tensor){.put_size = size_float}); }
static void size_bool(bytes *b) { pickle_op(b, "\x88\x85"); }
static void bool_dim(bytes *b) { put_one(b, &(one_tensor){.put_size = size_bool}); }
static void size_long(bytes *b) {
    pickle_op(b, "\x8a\xff");
    for (int i = 0; i < 255; ++i)
        bytes_le(b, 1, 1);
    pickle_op(b, "\x85");
}
static void long_dim(bytes *b) { put_one(b, &(one_tensor){.put_size = size_long}); }
static void size_of_65(bytes *b) {
    pickle_op(b, "(");
    for (int i = 0; i < 65; ++i)
        pickle_int(b, 1);
    pickle_op(b, "t");
}
static void many_dims(bytes *b) { put_one(b, &(one_tensor){.put_size = size_of_65}); }
static void item_on_tensor(bytes *b) { put_one(b, &(one_tensor){.after = "NNs"}); }
static void build_tensor(bytes *b) { put_one(b, &(one_tensor){.after = "}b"}); }
static void append_to_tensor(bytes *b) { put_one(b, &(one_tensor){.after = "Na"}); }

/* t = (t, t) sixty times by the memo: 2^60 leaves if anyone walked it as a tree. */
static void memo_bomb(bytes *b) {
    pickle_begin(b);
    pickle_op(b, ")");
    for (int i = 0; i < 60; ++i) {
        pickle_op(b, "q");
        bytes_le(b, (uint64_t)i, 1);
        pickle_op(b, "h");
        bytes_le(b, (uint64_t)i, 1);
        pickle_op(b, "\x86");
    }
    pickle_op(b, ".");
}

static void deep_tuples(bytes *b) {
    pickle_begin(b);
    pickle_op(b, ")");
    for (int i = 0; i < 1000000; ++i)
        pickle_op(b, "\x85");
    pickle_op(b, ".");
}

static void deep_marks(bytes *b) {
    pickle_begin(b);
    for (int i = 0; i < 1000001; ++i)
        pickle_op(b, "(");
    pickle_op(b, ".");
}

static void long_key(bytes *b) {
    bytes key = {0};
    for (int i = 0; i < 1 << 20; ++i)
        bytes_text(&key, "k");
    bytes_le(&key, 0, 1);
    pickle_begin(b);
    pickle_op(b, "}");
    pickle_string(b, (const char *)key.data);
    pickle_global(b, "torch._utils", "_rebuild_tensor");
    pickle_op(b, "(");
    put_id(b);
    pickle_op(b, "K");
    bytes_le(b, 0, 1);
    pickle_op(b, "K\2\x85K\1\x85tRs.");
    bytes_free(&key);
}

static void long_module(bytes *b) {
    pickle_begin(b);
    pickle_op(b, "c");
    for (int i = 0; i < 65536; ++i)
        bytes_text(b, "m");
    pickle_op(b, "\nn\n.");
}

static void two_dicts(bytes *b) {
    pickle_begin(b);
    pickle_op(b, "}(");
    pickle_string(b, "model");
    bytes inner = {0};
    valid(&inner);
    bytes_put(b, inner.data + 2, inner.size - 3);
    pickle_string(b, "ema");
    bytes_put(b, inner.data + 2, inner.size - 3);
    pickle_op(b, "u.");
    bytes_free(&inner);
}

static void module_id(bytes *b) {
    pickle_begin(b);
    pickle_op(b, "(");
    pickle_string(b, "module");
    pickle_string(b, "Net");
    pickle_string(b, "net.py");
    pickle_string(b, "class Net: pass");
    pickle_op(b, "tQ.");
}

static void whole_module(bytes *b) {
    pickle_begin(b);
    pickle_global(b, "torchvision.models.resnet", "ResNet");
    pickle_op(b, ")\x81}(");
    pickle_string(b, "training");
    pickle_op(b, "\x89");
    pickle_string(b, "_parameters");
    pickle_op(b, "}");
    pickle_string(b, "_modules");
    pickle_op(b, "}ub.");
}

static void invalid_utf8(bytes *b) {
    pickle_begin(b);
    pickle_op(b, "}X");
    bytes_le(b, 2, 4);
    pickle_op(b, "\xc3(Ns.");
}

#define RAW(name, text, status)                                                                    \
    { name, NULL, text, sizeof(text) - 1, status }
#define MADE(name, make, status)                                                                   \
    { name, make, NULL, 0, status }

static const hostile_pickle pickles[] = {
    MADE("P0 a valid pickle of one tensor", valid, CS_ERROR_MISMATCH),
    RAW("P1 REDUCE on nothing", "\x80\2R.", CS_ERROR_FORMAT),
    RAW("P1 NEWOBJ on nothing", "\x80\2\x81.", CS_ERROR_FORMAT),
    RAW("P1 BUILD on nothing", "\x80\2}b.", CS_ERROR_FORMAT),
    RAW("P1 BINPERSID on nothing", "\x80\2Q.", CS_ERROR_FORMAT),
    RAW("P1 TUPLE without mark", "\x80\2t.", CS_ERROR_FORMAT),
    RAW("P1 TUPLE1 on nothing", "\x80\2\x85.", CS_ERROR_FORMAT),
    RAW("P1 TUPLE2 on one", "\x80\2N\x86.", CS_ERROR_FORMAT),
    RAW("P1 TUPLE3 on two", "\x80\2NN\x87.", CS_ERROR_FORMAT),
    RAW("P1 SETITEM on two", "\x80\2NNs.", CS_ERROR_FORMAT),
    RAW("P1 SETITEMS without mark", "\x80\2}u.", CS_ERROR_FORMAT),
    RAW("P1 SETITEMS without dict", "\x80\2(NNu.", CS_ERROR_FORMAT),
    RAW("P1 APPEND on one", "\x80\2Na.", CS_ERROR_FORMAT),
    RAW("P1 APPENDS without list", "\x80\2(Ne.", CS_ERROR_FORMAT),
    RAW("P1 BINPUT on nothing", "\x80\2q\1.", CS_ERROR_FORMAT),
    RAW("P2 STOP on nothing", "\x80\2.", CS_ERROR_FORMAT),
    RAW("P3 no STOP", "\x80\2N", CS_ERROR_FORMAT),
    RAW("P4 pop across a mark", "\x80\2]N(a.", CS_ERROR_FORMAT),
    RAW("P5 unmatched mark", "\x80\2(N.", CS_ERROR_FORMAT),
    RAW("P5 two values at STOP", "\x80\2NN.", CS_ERROR_FORMAT),
    RAW("P6 BINGET of an unset entry", "\x80\2h\1.", CS_ERROR_FORMAT),
    RAW("P6 LONG_BINGET of an unset entry", "\x80\2j\xff\xff\xff\xff.", CS_ERROR_FORMAT),
    RAW("P7 LONG_BINPUT 0xFFFFFFFF", "\x80\2Nr\xff\xff\xff\xff.", CS_ERROR_LIMIT),
    MADE("P8 memo bomb", memo_bomb, CS_ERROR_MISMATCH),
    RAW("P9 a dict in itself", "\x80\2}q\1X\1\0\0\0ah\1s.", CS_ERROR_FORMAT),
    RAW("P9 a list in itself", "\x80\2]q\1h\1a.", CS_ERROR_FORMAT),
    MADE("P10 a million nested tuples", deep_tuples, CS_ERROR_MISMATCH),
    MADE("P10 a million marks", deep_marks, CS_ERROR_LIMIT),
    RAW("P11 a string of 4 GB", "\x80\2X\xff\xff\xff\xff.", CS_ERROR_FORMAT),
    RAW("P12 a string past the end", "\x80\2X\x0a\0\0\0abc.", CS_ERROR_FORMAT),
    MADE("P13 invalid UTF-8", invalid_utf8, CS_ERROR_FORMAT),
    MADE("P15 a key of 1 MiB", long_key, CS_ERROR_LIMIT),
    RAW("P16 GLOBAL without newline", "\x80\2cposix", CS_ERROR_FORMAT),
    RAW("P16 GLOBAL with one newline", "\x80\2cposix\nsystem", CS_ERROR_FORMAT),
    MADE("P17 a module of 64 KB", long_module, CS_ERROR_FORMAT),
    RAW("P18 posix.system at the root", "\x80\2cposix\nsystem\nX\4\0\0\0true\x85R.",
        CS_ERROR_UNSUPPORTED),
    RAW("P19 eval at the root",
        "\x80\2c__builtin__\neval\nX\1\0\0\0"
        "1\x85R.",
        CS_ERROR_UNSUPPORTED),
    MADE("P20 os.system for a size", nested_call_size, CS_ERROR_FORMAT),
    MADE("P20 os.system for hooks", nested_call_hooks, CS_ERROR_FORMAT),
    MADE("P21 SETITEM on a tensor", item_on_tensor, CS_ERROR_FORMAT),
    RAW("P21 SETITEM on a tuple", "\x80\2)NNs.", CS_ERROR_FORMAT),
    MADE("P21 APPEND on a tensor", append_to_tensor, CS_ERROR_FORMAT),
    RAW("P22 odd SETITEMS", "\x80\2}(NNNu.", CS_ERROR_FORMAT),
    RAW("P23 REDUCE with a list", "\x80\2cposix\nsystem\n]R.", CS_ERROR_FORMAT),
    MADE("P24 BUILD on a tensor", build_tensor, CS_ERROR_FORMAT),
    RAW("P25 a list as key", "\x80\2}]Ns.", CS_ERROR_FORMAT),
    RAW("P26 a string as persistent id", "\x80\2X\1\0\0\0aQ.", CS_ERROR_FORMAT),
    RAW("P26 a short persistent id", "\x80\2X\7\0\0\0storage\x85Q.", CS_ERROR_FORMAT),
    RAW("P26 a persistent id of another kind", "\x80\2(X\1\0\0\0aNNNNtQ.", CS_ERROR_FORMAT),
    MADE("P27 LONG1 of 255 bytes as a dim", long_dim, CS_ERROR_FORMAT),
    RAW("P28 protocol 4", "\x80\4\x95\1\0\0\0\0\0\0\0N.", CS_ERROR_UNSUPPORTED),
    RAW("P28 FRAME in protocol 2", "\x80\2\x95\1\0\0\0\0\0\0\0N.", CS_ERROR_UNSUPPORTED),
    RAW("P29 PROTO in the middle", "\x80\2N\x80\2.", CS_ERROR_FORMAT),
    RAW("P30 bytes behind STOP", "\x80\2}..", CS_ERROR_FORMAT),
    MADE("P31 a whole nn.Module", whole_module, CS_ERROR_UNSUPPORTED),
    MADE("P32 two candidates", two_dicts, CS_ERROR_ARGUMENT),
    RAW("P33 an empty dict", "\x80\2}.", CS_ERROR_MISMATCH),
    MADE("L15 a module id", module_id, CS_ERROR_UNSUPPORTED),
    MADE("T2 65 dimensions", many_dims, CS_ERROR_LIMIT),
    MADE("T14 a float for a dim", float_dim, CS_ERROR_FORMAT),
    MADE("T14 a bool for a dim", bool_dim, CS_ERROR_FORMAT),
    MADE("T16 a sparse tensor", sparse, CS_ERROR_UNSUPPORTED),
    RAW("text opcode", "(dp0\n.", CS_ERROR_FORMAT),
    RAW("POP", "\x80\2NN0.", CS_ERROR_UNSUPPORTED),
    RAW("no opcode", "\x80\2\xff.", CS_ERROR_FORMAT),
};

int hostile_pickle_count(void) { return (int)(sizeof pickles / sizeof *pickles); }

const hostile_pickle *hostile_pickle_get(int index) { return &pickles[index]; }
