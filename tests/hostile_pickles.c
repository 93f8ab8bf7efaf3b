/* hostile_pickles.c - pickles with one thing wrong each (list PICKLE, and TENSOR where the pickle
 * alone is at fault). Most are a few bytes: PROTO 2, what is wrong, STOP. */
#include "hostile_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct hostile_pickle {
    hostile_row row;
    void (*make)(bytes *b); /* or, where it is NULL, these bytes: */
    const char *data;
    size_t size;
} hostile_pickle;

/* {"w": <tensor of 2 float32 in storage 1>}, with the parts that a case replaces. */
typedef struct one_tensor {
    const char *rebuild;
    const char *storage; /* "FloatStorage" */
    const char *key;     /* operations that push the key */
    void (*put_size)(bytes *b);
    void (*put_hooks)(bytes *b);
    const char *after; /* operations on the tensor */
} one_tensor;

static void put_id(bytes *b, const char *type) {
    pickle_op(b, "(");
    pickle_string(b, "storage");
    pickle_global(b, "torch", type ? type : "FloatStorage");
    pickle_string(b, "1");
    pickle_string(b, "cpu");
    pickle_int(b, 2);
    pickle_op(b, "tQ");
}

static void put_one(bytes *b, const one_tensor *t) {
    pickle_begin(b);
    pickle_op(b, "}");
    if (t->key)
        pickle_op(b, t->key);
    else
        pickle_string(b, "w");
    pickle_global(b, "torch._utils", t->rebuild ? t->rebuild : "_rebuild_tensor_v2");
    pickle_op(b, "(");
    put_id(b, t->storage);
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
static void quantized(bytes *b) { put_one(b, &(one_tensor){.rebuild = "_rebuild_qtensor"}); }
static void complex_tensor(bytes *b) { put_one(b, &(one_tensor){.storage = "ComplexHalfStorage"}); }
static void integer_key(bytes *b) { put_one(b, &(one_tensor){.key = "K\7"}); }
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

/* {"w": tensor, "extra": os.system("true")} */
static void call_beside(bytes *b) {
    bytes inner = {0};
    valid(&inner);
    bytes_put(b, inner.data, inner.size - 1);
    pickle_string(b, "extra");
    put_system_call(b);
    pickle_op(b, "s.");
    bytes_free(&inner);
}

static void key_with_nul(bytes *b) {
    bytes inner = {0};
    valid(&inner);
    bytes_put(b, inner.data, 4);
    bytes_le(b, 3, 4);
    bytes_put(b, "w\0x", 3);
    bytes_put(b, inner.data + 9, inner.size - 9);
    bytes_free(&inner);
}

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
    put_id(b, NULL);
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

static void many_names(bytes *b) {
    pickle_begin(b);
    for (int i = 0; i < 1025; ++i) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        pickle_global(b, "foreign", name);
    }
    pickle_op(b, ".");
}

static void many_operations(bytes *b) {
    pickle_begin(b);
    pickle_op(b, "N");
    for (int i = 0; i < 10000000; ++i)
        bytes_put(b, "q\0", 2);
    pickle_op(b, ".");
}

/* Pieces of pickles as text: the storage "1" of two float32, and a call that makes a tensor. */
#define WORD(text, size)             "X" size "\0\0\0" text
#define STORAGE_OF(type, key, numel) "(" WORD("storage", "\7") type key WORD("cpu", "\3") numel "tQ"
#define FLOATS                       "ctorch\nFloatStorage\n"
#define STORAGE                      STORAGE_OF(FLOATS, WORD("1", "\1"), "K\2")
#define REBUILD(version)             "ctorch._utils\n_rebuild_tensor" version "\n("
#define DIMS                         "K\0K\2\x85K\1\x85"
#define TENSOR                       REBUILD("_v2") STORAGE DIMS "\x89}tR"
#define FROM_TYPE                    "ctorch._tensor\n_rebuild_from_type_v2\n("
#define ORDERED                      "ccollections\nOrderedDict\n"

#define RAW(text)      .data = (text), .size = sizeof(text) - 1
#define MADE(function) .make = function

static const hostile_pickle pickles[] = {
    {.row = {"P0 a valid pickle of one tensor", CS_ERROR_MISMATCH, -1, NULL, NULL}, MADE(valid)},
    {.row = {"P1 REDUCE on nothing", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2R.")},
    {.row = {"P1 NEWOBJ on nothing", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2\x81.")},
    {.row = {"P1 BUILD on nothing", CS_ERROR_FORMAT, 67, NULL, NULL}, RAW("\x80\2}b.")},
    {.row = {"P1 BINPERSID on nothing", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2Q.")},
    {.row = {"P1 TUPLE without mark", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2t.")},
    {.row = {"P1 TUPLE1 on nothing", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2\x85.")},
    {.row = {"P1 TUPLE2 on one", CS_ERROR_FORMAT, 67, NULL, NULL}, RAW("\x80\2N\x86.")},
    {.row = {"P1 TUPLE3 on two", CS_ERROR_FORMAT, 68, NULL, NULL}, RAW("\x80\2NN\x87.")},
    {.row = {"P1 SETITEM on two", CS_ERROR_FORMAT, 68, NULL, NULL}, RAW("\x80\2NNs.")},
    {.row = {"P1 SETITEMS without mark", CS_ERROR_FORMAT, 67, NULL, NULL}, RAW("\x80\2}u.")},
    {.row = {"P1 SETITEMS without dict", CS_ERROR_FORMAT, 69, NULL, NULL}, RAW("\x80\2(NNu.")},
    {.row = {"P1 APPEND on one", CS_ERROR_FORMAT, 67, NULL, NULL}, RAW("\x80\2Na.")},
    {.row = {"P1 APPENDS without list", CS_ERROR_FORMAT, 68, NULL, NULL}, RAW("\x80\2(Ne.")},
    {.row = {"P1 BINPUT on nothing", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2q\1.")},
    {.row = {"P1 LONG_BINPUT on nothing", CS_ERROR_FORMAT, 66, NULL, NULL},
     RAW("\x80\2r\1\0\0\0.")},
    {.row = {"P2 STOP on nothing", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2.")},
    {.row = {"P3 no STOP", CS_ERROR_FORMAT, 67, NULL, NULL}, RAW("\x80\2N")},
    {.row = {"P4 pop across a mark", CS_ERROR_FORMAT, 69, NULL, NULL}, RAW("\x80\2]N(a.")},
    {.row = {"P5 unmatched mark", CS_ERROR_FORMAT, 68, NULL, NULL}, RAW("\x80\2(N.")},
    {.row = {"P5 two values at STOP", CS_ERROR_FORMAT, 68, NULL, NULL}, RAW("\x80\2NN.")},
    {.row = {"P6 BINGET of an unset entry", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2h\1.")},
    {.row = {"P6 LONG_BINGET of an unset entry", CS_ERROR_FORMAT, 66, NULL, NULL},
     RAW("\x80\2j\xff\xff\xff\xff.")},
    {.row = {"P7 LONG_BINPUT 0xFFFFFFFF", CS_ERROR_LIMIT, 67, NULL, NULL},
     RAW("\x80\2Nr\xff\xff\xff\xff.")},
    {.row = {"P8 memo bomb", CS_ERROR_MISMATCH, -1, NULL,
             "shared, not copied: 2^60 leaves cost 60 values"},
     MADE(memo_bomb)},
    {.row = {"P9 a dict in itself", CS_ERROR_FORMAT, -1, NULL, NULL},
     RAW("\x80\2}q\1X\1\0\0\0ah\1s.")},
    {.row = {"P9 a list in itself", CS_ERROR_FORMAT, -1, NULL, NULL}, RAW("\x80\2]q\1h\1a.")},
    {.row = {"P10 a million nested tuples", CS_ERROR_MISMATCH, -1, NULL,
             "read without recursion; but no state_dict"},
     MADE(deep_tuples)},
    {.row = {"P10 a million marks", CS_ERROR_LIMIT, 1000066, NULL, NULL}, MADE(deep_marks)},
    {.row = {"P11 a string of 4 GB", CS_ERROR_FORMAT, 66, NULL, NULL},
     RAW("\x80\2X\xff\xff\xff\xff.")},
    {.row = {"P12 a string past the end", CS_ERROR_FORMAT, 66, NULL, NULL},
     RAW("\x80\2X\x0a\0\0\0abc.")},
    {.row = {"P13 invalid UTF-8", CS_ERROR_FORMAT, 67, NULL, NULL}, MADE(invalid_utf8)},
    {.row = {"P14 a NUL in a key", CS_ERROR_FORMAT, -1, NULL, NULL}, MADE(key_with_nul)},
    {.row = {"P15 a key of 1 MiB", CS_ERROR_LIMIT, -1, NULL, NULL}, MADE(long_key)},
    {.row = {"P16 GLOBAL without newline", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2cposix")},
    {.row = {"P16 GLOBAL with one newline", CS_ERROR_FORMAT, 66, NULL, NULL},
     RAW("\x80\2cposix\nsystem")},
    {.row = {"P17 a module of 64 KB", CS_ERROR_FORMAT, 66, NULL, NULL}, MADE(long_module)},
    {.row = {"P18 posix.system at the root", CS_ERROR_UNSUPPORTED, -1, NULL, NULL},
     RAW("\x80\2cposix\nsystem\nX\4\0\0\0true\x85R.")},
    {.row = {"P19 eval at the root", CS_ERROR_UNSUPPORTED, -1, NULL, "named, not run"},
     RAW("\x80\2c__builtin__\neval\nX\1\0\0\0"
         "1\x85R.")},
    {.row = {"P18 os.system called for an entry of the state_dict", CS_ERROR_UNSUPPORTED, -1, NULL,
             "an error because the entry is one of the chosen dict; beside it, see P18 in the "
             "first list"},
     MADE(call_beside)},
    {.row = {"P20 os.system for a size", CS_ERROR_FORMAT, 188, NULL, NULL}, MADE(nested_call_size)},
    {.row = {"P20 os.system for hooks", CS_ERROR_FORMAT, 190, NULL, NULL}, MADE(nested_call_hooks)},
    {.row = {"P21 SETITEM on a tensor", CS_ERROR_FORMAT, 172, NULL, NULL}, MADE(item_on_tensor)},
    {.row = {"P21 SETITEM on a tuple", CS_ERROR_FORMAT, 69, NULL, NULL}, RAW("\x80\2)NNs.")},
    {.row = {"P21 APPEND on a tensor", CS_ERROR_FORMAT, 171, NULL, NULL}, MADE(append_to_tensor)},
    {.row = {"P22 odd SETITEMS", CS_ERROR_FORMAT, 71, NULL, NULL}, RAW("\x80\2}(NNNu.")},
    {.row = {"P23 REDUCE with a list", CS_ERROR_FORMAT, 81, NULL, NULL},
     RAW("\x80\2cposix\nsystem\n]R.")},
    {.row = {"P24 BUILD on a tensor", CS_ERROR_FORMAT, 171, NULL, NULL}, MADE(build_tensor)},
    {.row = {"P25 a list as key", CS_ERROR_FORMAT, 69, NULL, NULL}, RAW("\x80\2}]Ns.")},
    {.row = {"P25 an integer as a tensor's name", CS_ERROR_MISMATCH, -1, NULL, NULL},
     MADE(integer_key)},
    {.row = {"P26 a string as persistent id", CS_ERROR_FORMAT, 72, NULL, NULL},
     RAW("\x80\2X\1\0\0\0aQ.")},
    {.row = {"P26 a short persistent id", CS_ERROR_FORMAT, 79, NULL, NULL},
     RAW("\x80\2X\7\0\0\0storage\x85Q.")},
    {.row = {"P26 a persistent id of another kind", CS_ERROR_FORMAT, 78, NULL, NULL},
     RAW("\x80\2(X\1\0\0\0aNNNNtQ.")},
    {.row = {"P27 LONG1 of 255 bytes as a dim", CS_ERROR_FORMAT, 424, NULL, NULL}, MADE(long_dim)},
    {.row =
         {"P28 protocol 4", CS_ERROR_UNSUPPORTED, 64, NULL,
          "the list leaves open to read protocols 3 to 5; torch.load(weights_only=True) does not "
          "either"},
     RAW("\x80\4\x95\1\0\0\0\0\0\0\0N.")},
    {.row = {"P28 FRAME in protocol 2", CS_ERROR_UNSUPPORTED, 66, NULL, NULL},
     RAW("\x80\2\x95\1\0\0\0\0\0\0\0N.")},
    {.row = {"P29 PROTO in the middle", CS_ERROR_FORMAT, 67, NULL, NULL}, RAW("\x80\2N\x80\2.")},
    {.row = {"P30 bytes behind STOP", CS_ERROR_FORMAT, 68, NULL, NULL}, RAW("\x80\2}..")},
    {.row = {"P31 a whole nn.Module", CS_ERROR_UNSUPPORTED, -1, NULL, "explained, with what to do"},
     MADE(whole_module)},
    {.row = {"P32 two candidates", CS_ERROR_ARGUMENT, -1, NULL, NULL}, MADE(two_dicts)},
    {.row = {"P33 an empty dict", CS_ERROR_MISMATCH, -1, NULL, NULL}, RAW("\x80\2}.")},
    {.row = {"T2 65 dimensions", CS_ERROR_LIMIT, 298, NULL, NULL}, MADE(many_dims)},
    {.row = {"T14 a float for a dim", CS_ERROR_FORMAT, 176, NULL, NULL}, MADE(float_dim)},
    {.row = {"T14 a bool for a dim", CS_ERROR_FORMAT, 168, NULL, NULL}, MADE(bool_dim)},
    {.row = {"T14 a LONG of 255 bytes for a dim", CS_ERROR_FORMAT, 424, NULL, NULL},
     MADE(long_dim)},
    {.row = {"T16 a sparse tensor", CS_ERROR_UNSUPPORTED, -1, NULL, NULL}, MADE(sparse)},
    {.row = {"T16 a quantized tensor", CS_ERROR_UNSUPPORTED, -1, NULL, NULL}, MADE(quantized)},
    {.row = {"T16 a complex tensor", CS_ERROR_MISMATCH, -1, NULL,
             "refused when it is read; one tensor is no ResNet"},
     MADE(complex_tensor)},
    {.row = {"- text opcode", CS_ERROR_FORMAT, 64, NULL, NULL}, RAW("(dp0\n.")},
    {.row = {"- POP", CS_ERROR_UNSUPPORTED, 68, NULL, NULL}, RAW("\x80\2NN0.")},
    {.row = {"- 0xff is no operation", CS_ERROR_FORMAT, 66, NULL, NULL}, RAW("\x80\2\xff.")},
    {.row = {"- a tensor from no storage", CS_ERROR_FORMAT, 112, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") "N" DIMS "\x89}tR.")},
    {.row = {"- a tensor from 5 arguments", CS_ERROR_FORMAT, 161, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE DIMS "\x89tR.")},
    {.row = {"- requires_grad None", CS_ERROR_FORMAT, 162, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE DIMS "N}tR.")},
    {.row = {"- version 3 with a dtype that is none", CS_ERROR_FORMAT, 163, NULL, NULL},
     RAW("\x80\2" REBUILD("_v3") STORAGE DIMS "\x89}NtR.")},
    {.row = {"- version 3 with a storage for a dtype", CS_ERROR_FORMAT, 182, NULL, NULL},
     RAW("\x80\2" REBUILD("_v3") STORAGE DIMS "\x89}" FLOATS "tR.")},
    {.row = {"- version 3 from 6 arguments", CS_ERROR_FORMAT, 162, NULL, NULL},
     RAW("\x80\2" REBUILD("_v3") STORAGE DIMS "\x89}tR.")},
    {.row = {"- version 3, int32 in a storage of float32", CS_ERROR_FORMAT, 175, NULL, NULL},
     RAW("\x80\2" REBUILD("_v3") STORAGE DIMS "\x89}ctorch\nint32\ntR.")},
    {.row = {"- a storage of another class", CS_ERROR_FORMAT, 145, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF("ctorch\nfloat32\n", WORD("1", "\1"), "K\2") DIMS
         "\x89}tR.")},
    {.row = {"- a storage of no class", CS_ERROR_FORMAT, 131, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF("N", WORD("1", "\1"), "K\2") DIMS "\x89}tR.")},
    {.row = {"- a storage of -1 elements", CS_ERROR_FORMAT, 153, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF(FLOATS, WORD("1", "\1"), "J\xff\xff\xff\xff") DIMS
         "\x89}tR.")},
    {.row = {"- a storage of None elements", CS_ERROR_FORMAT, 149, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF(FLOATS, WORD("1", "\1"), "N") DIMS "\x89}tR.")},
    {.row = {"- a storage key with a slash", CS_ERROR_FORMAT, 152, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF(FLOATS, WORD("a/b", "\3"), "K\2") DIMS "\x89}tR.")},
    {.row = {"- an empty storage key", CS_ERROR_FORMAT, 149, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF(FLOATS, WORD("", "\0"), "K\2") DIMS "\x89}tR.")},
    {.row = {"- a storage key None", CS_ERROR_FORMAT, 145, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF(FLOATS, "N", "K\2") DIMS "\x89}tR.")},
    {.row = {"- a storage key -1", CS_ERROR_FORMAT, 149, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF(FLOATS, "J\xff\xff\xff\xff", "K\2") DIMS "\x89}tR.")},
    {.row = {"- a storage key of 64 bytes", CS_ERROR_FORMAT, 213, NULL, NULL},
     RAW("\x80\2" REBUILD("_v2") STORAGE_OF(
         FLOATS, WORD("0123456789012345678901234567890123456789012345678901234567890123", "\x40"),
         "K\2") DIMS "\x89}tR.")},
    {.row = {"- a storage key as an integer, its record missing", CS_ERROR_FORMAT, 0, NULL, NULL},
     RAW("\x80\2"
         "}" WORD("w", "\1") REBUILD("_v2") STORAGE_OF(FLOATS, "K\x63", "K\2") DIMS "\x89}tRs.")},
    {.row = {"- a storage key in capitals, its record missing", CS_ERROR_FORMAT, 0, NULL, NULL},
     RAW("\x80\2"
         "}" WORD("w", "\1") REBUILD("_v2") STORAGE_OF(FLOATS, WORD("A_z", "\3"), "K\2") DIMS
         "\x89}tRs.")},
    {.row = {"- one storage of two sizes", CS_ERROR_FORMAT, 169, NULL, NULL},
     RAW("\x80\2"
         "]" STORAGE "a" STORAGE_OF(FLOATS, WORD("1", "\1"), "K\1") "a.")},
    {.row = {"- a dict made from an integer", CS_ERROR_FORMAT, 94, NULL, NULL},
     RAW("\x80\2" ORDERED "K\1\x85R.")},
    {.row = {"- a dict made from two things", CS_ERROR_FORMAT, 94, NULL, NULL},
     RAW("\x80\2" ORDERED "}}\x86R.")},
    {.row = {"- a dict made from a list of integers", CS_ERROR_FORMAT, 96, NULL, NULL},
     RAW("\x80\2" ORDERED "]K\1a\x85R.")},
    {.row = {"- a dict made from a list of triples", CS_ERROR_FORMAT, 98, NULL, NULL},
     RAW("\x80\2" ORDERED "]NNN\x87"
         "a\x85R.")},
    {.row = {"- a dict made from a dict", CS_ERROR_MISMATCH, -1, NULL, NULL},
     RAW("\x80\2" ORDERED "}" WORD("a", "\1") "Ns\x85R.")},
    {.row = {"- a dict made from a list of lists of two", CS_ERROR_MISMATCH, -1, NULL, NULL},
     RAW("\x80\2" ORDERED "]](NNea\x85R.")},
    {.row = {"- a dict with bytes for attributes", CS_ERROR_FORMAT, 94, NULL, NULL},
     RAW("\x80\2" ORDERED ")RNb.")},
    {.row = {"- a parameter made from an integer", CS_ERROR_FORMAT, 102, NULL, NULL},
     RAW("\x80\2"
         "ctorch._utils\n_rebuild_parameter\nK\1\x85R.")},
    {.row = {"- a parameter made from nothing", CS_ERROR_FORMAT, 100, NULL, NULL},
     RAW("\x80\2"
         "ctorch._utils\n_rebuild_parameter\n)R.")},
    {.row = {"- a subclass from 3 arguments", CS_ERROR_FORMAT, 108, NULL, NULL},
     RAW("\x80\2" FROM_TYPE "NNNtR.")},
    {.row = {"- a subclass without a tuple of arguments", CS_ERROR_FORMAT, 109, NULL, NULL},
     RAW("\x80\2" FROM_TYPE "NNN}tR.")},
    {.row = {"- a subclass of an unknown class", CS_ERROR_UNSUPPORTED, -1, NULL, NULL},
     RAW("\x80\2" FROM_TYPE "ctorch._utils\n_rebuild_tensor_v2\ncmine\nTensor\n)}tR.")},
    {.row = {"- a subclass made by an unknown function", CS_ERROR_UNSUPPORTED, -1, NULL, NULL},
     RAW("\x80\2" FROM_TYPE "cmine\nmake\nctorch\nTensor\n)}tR.")},
    {.row = {"- a subclass made by torch.Size", CS_ERROR_FORMAT, 133, NULL, NULL},
     RAW("\x80\2" FROM_TYPE "ctorch\nSize\nctorch\nTensor\n)}tR.")},
    {.row = {"- a subclass made by None", CS_ERROR_FORMAT, 122, NULL, NULL},
     RAW("\x80\2" FROM_TYPE "Nctorch\nTensor\n)}tR.")},
    {.row = {"- a string is called", CS_ERROR_FORMAT, 73, NULL, NULL},
     RAW("\x80\2" WORD("a", "\1") ")R.")},
    {.row = {"- a storage class is called", CS_ERROR_FORMAT, 87, NULL, NULL},
     RAW("\x80\2" FLOATS ")R.")},
    {.row = {"- a torch.Size made from an integer", CS_ERROR_FORMAT, 81, NULL, NULL},
     RAW("\x80\2"
         "ctorch\nSize\nK\1\x85R.")},
    {.row = {"- a torch.Size made from two things", CS_ERROR_FORMAT, 81, NULL, NULL},
     RAW("\x80\2"
         "ctorch\nSize\n))\x86R.")},
    {.row = {"- Python 2's copy_reg", CS_ERROR_UNSUPPORTED, -1, NULL, NULL},
     RAW("\x80\2"
         "ccopy_reg\n_reconstructor\n)R.")},
    {.row = {"- items and members given to an unknown object", CS_ERROR_UNSUPPORTED, -1, NULL,
             NULL},
     RAW("\x80\2"
         "cmine\nClass\n)\x81NNsNa(NNu(Ne}b.")},
    {.row = {"- an integer beside the names of the tensors", CS_ERROR_FORMAT, -1, NULL, NULL},
     RAW("\x80\2"
         "}(" WORD("w", "\1") TENSOR "K\7" TENSOR "u.")},
    {.row = {"- a pickled nn.Module within a dict", CS_ERROR_UNSUPPORTED, -1, NULL, NULL},
     RAW("\x80\2"
         "}" WORD("model", "\5") "cnet\nNet\n)\x81}(" WORD("_modules", "\x08") "}" WORD(
             "_parameters", "\x0b") "}ubs.")},
    {.row = {"- dicts 6 deep", CS_ERROR_MISMATCH, -1, NULL, NULL},
     RAW("\x80\2"
         "}" WORD("a", "\1") "}" WORD("a", "\1") "}" WORD("a", "\1") "}" WORD("a", "\1") "}" WORD(
             "a", "\1") "}" WORD("w", "\1") TENSOR "ssssss.")},
    {.row = {"- a tuple of tensors", CS_ERROR_MISMATCH, -1, NULL, NULL},
     RAW("\x80\2" TENSOR TENSOR "\x86.")},
    {.row = {"- 1025 foreign names", CS_ERROR_LIMIT, 14316, NULL, NULL}, MADE(many_names)},
    {.row = {"- 10 million operations", CS_ERROR_LIMIT, 20000063, NULL, NULL},
     MADE(many_operations)},
};

static hostile_row row(int index) { return pickles[index].row; }

void hostile_pickle_bytes(int index, bytes *out) {
    const hostile_pickle *one = &pickles[index];
    if (one->make)
        one->make(out);
    else
        bytes_put(out, one->data, one->size);
}

/* A data.pkl of its own in an otherwise valid archive. */
static void run(int index, hostile_outcome *outcome) {
    stages s = {0};
    built_tiny(&s.tensors);
    built_records(&s.tensors, &s.archive);
    bytes *data = &s.archive.records[0].data;
    bytes_cut(data, 0);
    hostile_pickle_bytes(index, data);
    built_zip(&s.archive, &s.file, &s.layout);
    hostile_convert(&s.file, outcome);
    hostile_stages_free(&s);
}

const hostile_list hostile_pickle_list = {
    .title = "PICKLE",
    .about = "The pickle in a valid archive (data.pkl begins at byte 64). Nothing that it names is "
             "looked up or called.",
    .count = sizeof pickles / sizeof *pickles,
    .row = row,
    .run = run,
};
