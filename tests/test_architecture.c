/* test_architecture.c - names, graphs and tensors of the architectures against torchvision's
 * (fixtures/torchvision_graphs.txt, made by the script beside it), and descriptions. */
#include <stdio.h>
#include <string.h>

#include "architecture.h"
#include "checkpoint_builder.h"
#include "cnnscope_convert.h"
#include "cnnscope_support.h"
#include "test_support.h"

static void make_draft(const char *arch, cs_draft *draft) {
    cs_error err = {0};
    cs_resnet_spec spec;
    REQUIRE_OK(cs_architecture_parse(arch, &spec, &err), err);
    REQUIRE_OK(cs_architecture_draft(&spec, draft, &err), err);
}

static void add_tensor_line(const cs_draft_tensor *t, bytes *lines) {
    char number[32];
    bytes_text(lines, t->name);
    for (int i = 0; i < t->dims; ++i) {
        snprintf(number, sizeof number, "%s%lld", i ? ", " : " [", (long long)t->shape[i]);
        bytes_text(lines, number);
    }
    bytes_text(lines, "]\n");
}

START_TEST(test_torchvision) {
    char arch[64], nodes_sha[65], tensors_sha[65], sha256[CS_SHA256_HEX_SIZE];
    int nodes, tensors, checked = 0;
    FILE *f = fopen("tests/fixtures/torchvision_graphs.txt", "r");
    ck_assert_ptr_nonnull(f);
    while (fscanf(f, "%63s %d %64s %d %64s", arch, &nodes, nodes_sha, &tensors, tensors_sha) == 5) {
        cs_draft draft;
        bytes names = {0}, shapes = {0};
        make_draft(arch, &draft);
        ck_assert_int_eq((int)draft.node_count, nodes);
        ck_assert_int_eq((int)draft.tensor_count, tensors);
        for (size_t i = 0; i < draft.node_count; ++i) {
            bytes_text(&names, draft.nodes[i].name);
            bytes_text(&names, "\n");
        }
        for (size_t i = 0; i < draft.tensor_count; ++i)
            add_tensor_line(&draft.tensors[i], &shapes);
        cs_sha256_hex(names.data, names.size, sha256);
        ck_assert_msg(strcmp(sha256, nodes_sha) == 0, "%s: node names differ", arch);
        cs_sha256_hex(shapes.data, shapes.size, sha256);
        ck_assert_msg(strcmp(sha256, tensors_sha) == 0, "%s: tensors differ", arch);
        bytes_free(&names);
        bytes_free(&shapes);
        cs_draft_release(&draft);
        ++checked;
    }
    fclose(f);
    ck_assert_int_eq(checked, 10);
}
END_TEST

/* Every name describes itself, and so does every description. */
START_TEST(test_describe) {
    static const char *const described[] = {
        "resnet:block=bottleneck,layers=1-1-1-1,width=4,groups=1,width_per_group=64",
        "resnet:block=bottleneck,layers=1-2,width=8,groups=2,width_per_group=64",
        "resnet:block=basic,layers=1-1-1,width=8", "resnet_cifar:depth=8,width=8"};
    cs_error err = {0};
    cs_resnet_spec spec;
    char text[160];
    int64_t names = 0;
    for (; cs_architecture_name(names); ++names) {
        REQUIRE_OK(cs_architecture_parse(cs_architecture_name(names), &spec, &err), err);
        cs_architecture_describe(&spec, text, sizeof text);
        ck_assert_str_eq(text, cs_architecture_name(names));
    }
    ck_assert_int_eq(names, 16);
    for (size_t i = 0; i < sizeof described / sizeof *described; ++i) {
        REQUIRE_OK(cs_architecture_parse(described[i], &spec, &err), err);
        cs_architecture_describe(&spec, text, sizeof text);
        ck_assert_str_eq(text, described[i]);
    }
    REQUIRE_OK(cs_architecture_parse("resnet:layers=3-4-6-3,block=bottleneck", &spec, &err), err);
    cs_architecture_describe(&spec, text, sizeof text);
    ck_assert_str_eq(text, "resnet50");
    REQUIRE_OK(cs_architecture_parse("resnet_cifar", &spec, &err), err);
    cs_architecture_describe(&spec, text, sizeof text);
    ck_assert_str_eq(text, "resnet20_cifar");
}
END_TEST

START_TEST(test_refused_names) {
    static const char *const wrong[] = {"",
                                        "resnet5",
                                        "vgg16",
                                        "resnet:",
                                        "resnet:depth=50",
                                        "resnet:width=0",
                                        "resnet:layers=1-2-3-4-5",
                                        "resnet:layers=1-",
                                        "resnet:layers=",
                                        "resnet:width=99999999999999999999",
                                        "resnet:block=best",
                                        "resnet:groups=32",
                                        "resnet_cifar:depth=21",
                                        "resnet_cifar:width=7",
                                        "resnet_cifar:layers=1-1-1",
                                        "resnet:block=bottleneck,width=1,width_per_group=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        cs_error err = {0};
        cs_resnet_spec spec;
        ck_assert_msg(cs_architecture_parse(wrong[i], &spec, &err) == CS_ERROR_ARGUMENT, "\"%s\"",
                      wrong[i]);
        ck_assert(err.text[0] != '\0');
    }
}
END_TEST

/* The CIFAR networks' shapes: option A has no parameters; 6n + 2 layers. */
START_TEST(test_cifar) {
    cs_draft draft;
    make_draft("resnet20_cifar", &draft);
    ck_assert_int_eq((int)draft.tensor_count, 97);
    ck_assert_int_eq((int)draft.parameters, 269722 + 2 * 688); /* and running statistics */
    int shortcuts = 0;
    for (size_t i = 0; i < draft.node_count; ++i) {
        if (draft.nodes[i].op != CS_OP_SHORTCUT_A)
            continue;
        ck_assert_int_eq((int)draft.nodes[i].stride, 2);
        ck_assert_int_eq((int)draft.nodes[i].pad_channels, shortcuts == 0 ? 8 : 16);
        ++shortcuts;
    }
    ck_assert_int_eq(shortcuts, 2);
    cs_draft_release(&draft);
}
END_TEST

START_TEST(test_too_large) {
    cs_error err = {0};
    cs_resnet_spec spec;
    cs_draft draft;
    REQUIRE_OK(cs_architecture_parse("resnet:width=8192", &spec, &err), err);
    REQUIRE_STATUS(cs_architecture_draft(&spec, &draft, &err), CS_ERROR_LIMIT, err);
    cs_draft_release(&draft);
}
END_TEST

Suite *suite_architecture(void);
Suite *suite_architecture(void) {
    Suite *suite = suite_create("architecture");
    TCase *all = tcase_create("architecture");
    tcase_add_test(all, test_torchvision);
    tcase_add_test(all, test_describe);
    tcase_add_test(all, test_refused_names);
    tcase_add_test(all, test_cifar);
    tcase_add_test(all, test_too_large);
    suite_add_tcase(suite, all);
    return suite;
}
