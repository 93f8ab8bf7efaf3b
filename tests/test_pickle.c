/* test_pickle.c - what the pickle machine makes of values. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint_builder.h"
#include "pickle.h"
#include "test_support.h"

/* Runs a pickle; the values stay in *p. */
static uint32_t run(cs_pickle *p, const char *data, size_t size) {
    static const cs_source source = {.fd = -1, .name = "test"};
    cs_error err = {0};
    size_t at = 0;
    uint32_t root = 0;
    unsigned char *copy = malloc(size + 1);
    memcpy(copy, data, size);
    REQUIRE_OK(cs_pickle_init(p, &source, copy, size, 0, false, &err), err);
    REQUIRE_OK(cs_pickle_run(p, &at, &root, &err), err);
    ck_assert_uint_eq(at, size);
    return root;
}
#define RUN(p, text) run(p, "\x80\2" text ".", sizeof("\x80\2" text ".") - 1)

static cs_value value_of(const char *data, size_t size) {
    cs_pickle p;
    cs_value value = {0};
    uint32_t root = run(&p, data, size);
    value = p.values[root];
    cs_pickle_release(&p);
    return value;
}
#define VALUE(text) value_of("\x80\2" text ".", sizeof("\x80\2" text ".") - 1)

START_TEST(test_numbers) {
    ck_assert_int_eq(VALUE("K\xff").as.integer, 255);
    ck_assert_int_eq(VALUE("M\xff\xff").as.integer, 65535);
    ck_assert_int_eq(VALUE("J\xff\xff\xff\xff").as.integer, -1);
    ck_assert_int_eq(VALUE("J\0\0\0\x80").as.integer, INT32_MIN);
    ck_assert_int_eq(VALUE("\x8a\0").as.integer, 0);
    ck_assert_int_eq(VALUE("\x8a\1\x80").as.integer, -128);
    ck_assert_int_eq(VALUE("\x8a\2\x80\0").as.integer, 128);
    ck_assert_int_eq(VALUE("\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7f").as.integer, INT64_MAX);
    ck_assert_int_eq(VALUE("\x8a\x8\0\0\0\0\0\0\0\x80").as.integer, INT64_MIN);
    ck_assert_int_eq(VALUE("\x8a\x9\0\0\0\0\0\0\0\x80\0").kind, CS_VALUE_BIG_INT);
    ck_assert(VALUE("G\x40\x56\xe0\0\0\0\0\0").as.real == 91.5);
    ck_assert_int_eq(VALUE("\x88").as.integer, 1);
    ck_assert_int_eq(VALUE("\x89").as.integer, 0);
    ck_assert_int_eq(VALUE("\x89").kind, CS_VALUE_BOOL);
    ck_assert_int_eq(VALUE("N").kind, CS_VALUE_NONE);
}
END_TEST

START_TEST(test_strings) {
    cs_pickle p;
    uint32_t root = RUN(&p, "X\3\0\0\0a\xc3\xa9");
    ck_assert_int_eq(p.values[root].kind, CS_VALUE_STRING);
    ck_assert_uint_eq(p.values[root].as.string.size, 3);
    cs_pickle_release(&p);
    ck_assert_int_eq(VALUE("U\2\xff\xfe").kind, CS_VALUE_BYTES); /* Python 2 */
    ck_assert_int_eq(VALUE("U\2ab").kind, CS_VALUE_STRING);
}
END_TEST

START_TEST(test_containers) {
    cs_pickle p;
    uint32_t items[4];
    uint32_t root = RUN(&p, "(K\1K\2K\3K\4t");
    ck_assert_uint_eq(cs_pickle_items(&p, root, items, 4), 4);
    for (int i = 0; i < 4; ++i)
        ck_assert_int_eq(p.values[items[i]].as.integer, i + 1);
    cs_pickle_release(&p);
    root = RUN(&p, "K\1K\2K\3\x87");
    ck_assert_uint_eq(cs_pickle_items(&p, root, items, 4), 3);
    ck_assert_int_eq(p.values[items[2]].as.integer, 3);
    cs_pickle_release(&p);
    root = RUN(&p, "](K\1K\2eK\3a");
    ck_assert_uint_eq(cs_pickle_items(&p, root, items, 4), 3);
    ck_assert_int_eq(p.values[items[2]].as.integer, 3);
    cs_pickle_release(&p);
    /* The memo shares: the list appended to after it was stored in the dict. */
    root = RUN(&p, "}X\1\0\0\0a]q\5sh\5K\7a\x86");
    ck_assert_uint_eq(cs_pickle_items(&p, root, items, 2), 2);
    uint32_t list = cs_pickle_lookup(&p, items[0], "a");
    ck_assert_uint_eq(list, items[1]);
    ck_assert_uint_eq(p.values[list].as.items.count, 1);
    cs_pickle_release(&p);
}
END_TEST

START_TEST(test_dicts) {
    cs_pickle p;
    uint32_t root = RUN(&p, "}(X\1\0\0\0aK\1X\1\0\0\0bK\2X\1\0\0\0aK\3u");
    ck_assert_int_eq(p.values[cs_pickle_lookup(&p, root, "a")].as.integer, 3); /* the last */
    ck_assert_int_eq(p.values[cs_pickle_lookup(&p, root, "b")].as.integer, 2);
    ck_assert_uint_eq(cs_pickle_lookup(&p, root, "c"), CS_NO_VALUE);
    cs_pickle_release(&p);
    /* Python 2: OrderedDict([('a', 1), ['b', 2]]). */
    root = RUN(&p, "ccollections\nOrderedDict\n](X\1\0\0\0aK\1\x86](X\1\0\0\0bK\2ee\x85R");
    ck_assert_int_eq(p.values[root].kind, CS_VALUE_DICT);
    ck_assert_int_eq(p.values[cs_pickle_lookup(&p, root, "a")].as.integer, 1);
    ck_assert_int_eq(p.values[cs_pickle_lookup(&p, root, "b")].as.integer, 2);
    cs_pickle_release(&p);
}
END_TEST

/* Names that are not known stay opaque, whatever is done with them. */
START_TEST(test_opaque) {
    cs_pickle p;
    uint32_t root = RUN(&p, "c__builtin__\neval\nX\1\0\0\0"
                            "1\x85R}b]aNNs");
    ck_assert_int_eq(p.values[root].kind, CS_VALUE_OPAQUE);
    ck_assert_uint_eq(p.opaque_count, 1);
    ck_assert_str_eq(p.opaques[0].name, "builtins.eval");
    ck_assert(p.opaques[0].executes);
    cs_pickle_release(&p);
    root = RUN(&p, "](cargparse\nNamespace\ncargparse\nNamespace\ncdatetime\ndate\n)Re");
    ck_assert_uint_eq(p.opaque_count, 2);
    ck_assert(!p.opaques[0].executes);
    ck_assert(p.opaques[1].executes);
    ck_assert_uint_eq(p.values[root].as.items.count, 3);
    cs_pickle_release(&p);
}
END_TEST

#define ID                                                                                         \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                             \
    "7X\3\0\0\0cpuK\x0atQ"

START_TEST(test_tensors) {
    cs_pickle p;
    uint32_t root = RUN(&p, "ctorch._utils\n_rebuild_tensor_v2\n(" ID "K\1K\3K\2\x86K\2K\1\x86"
                            "\x89}tR");
    ck_assert_int_eq(p.values[root].kind, CS_VALUE_TENSOR);
    const cs_stored_tensor *t = &p.tensors[p.values[root].as.index];
    ck_assert_uint_eq(t->offset, 1);
    ck_assert_uint_eq(t->numel, 6);
    ck_assert_uint_eq(t->extent, 6);
    ck_assert_int_eq(t->dims, 2);
    ck_assert_int_eq(t->element, CS_ELEMENT_F32);
    ck_assert_str_eq(p.storages[t->storage].key, "7");
    cs_pickle_release(&p);
    /* Version 3 says the type of an untyped storage's bytes. */
    root = RUN(&p, "ctorch._utils\n_rebuild_tensor_v3\n((X\7\0\0\0storagectorch.storage\n"
                   "UntypedStorage\nX\1\0\0\0"
                   "0X\3\0\0\0cpuK\x10tQK\0K\4\x85K\1\x85\x89}"
                   "ctorch\nfloat16\ntR");
    t = &p.tensors[p.values[root].as.index];
    ck_assert_int_eq(t->element, CS_ELEMENT_F16);
    ck_assert_uint_eq(t->numel, 4);
    cs_pickle_release(&p);
    /* A subclass of a known class, and a parameter. */
    root = RUN(&p, "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\n"
                   "ctorch.nn.parameter\nParameter\n(" ID "K\0K\2\x85K\1\x85\x89}t}tR");
    ck_assert_int_eq(p.values[root].kind, CS_VALUE_TENSOR);
    cs_pickle_release(&p);
    /* A size that torch.Size made. */
    root = RUN(&p, "ctorch._utils\n_rebuild_tensor\n(" ID "K\0ctorch\nSize\nK\2\x85\x85RK\1\x85tR");
    ck_assert_int_eq(p.values[root].kind, CS_VALUE_TENSOR);
    cs_pickle_release(&p);
}
END_TEST

Suite *suite_pickle(void);
Suite *suite_pickle(void) {
    Suite *suite = suite_create("pickle");
    TCase *all = tcase_create("pickle");
    tcase_add_test(all, test_numbers);
    tcase_add_test(all, test_strings);
    tcase_add_test(all, test_containers);
    tcase_add_test(all, test_dicts);
    tcase_add_test(all, test_opaque);
    tcase_add_test(all, test_tensors);
    suite_add_tcase(suite, all);
    return suite;
}
