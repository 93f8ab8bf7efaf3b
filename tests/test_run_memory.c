/* test_run_memory.c - what a run tells of its plan: blocks that live together lie apart, every
 * value has its block, and `info --memory` says the same. */
#include "cli_runner.h"

#include <stdio.h>
#include <string.h>

static bool meet_in_time(const cs_memory_block *a, const cs_memory_block *b) {
    return (a->end < 0 || b->begin <= a->end) && (b->end < 0 || a->begin <= b->end);
}

static void check_blocks(const cs_run *run) {
    const size_t arena = cs_run_memory_used(run).arena;
    size_t highest = 0;
    for (int i = 0; i < cs_run_block_count(run); i++) {
        const cs_memory_block a = cs_run_block(run, i);
        ck_assert(a.begin >= 0 && (a.end < 0 || a.end >= a.begin));
        ck_assert_uint_eq(a.offset % 64, 0);
        ck_assert(a.size > 0 && a.offset + a.size <= arena);
        highest = a.offset + a.size > highest ? a.offset + a.size : highest;
        const bool unnamed = a.kind == CS_MEMORY_ZEROS || a.kind == CS_MEMORY_SCRATCH;
        ck_assert_msg((a.name == NULL) == unnamed, "a block of kind %s has %s",
                      cs_memory_kind_name(a.kind), a.name ? a.name : "no name");
        for (int j = 0; j < i; j++) {
            const cs_memory_block b = cs_run_block(run, j);
            const bool apart = a.offset + a.size <= b.offset || b.offset + b.size <= a.offset;
            ck_assert_msg(apart || !meet_in_time(&a, &b),
                          "%s of %s and %s of %s share memory at one time",
                          cs_memory_kind_name(a.kind), a.name ? a.name : "-",
                          cs_memory_kind_name(b.kind), b.name ? b.name : "-");
        }
    }
    ck_assert_uint_eq(highest, arena);
}

/* The block of a node's value or gradient; begin is -2 where there is none. */
static cs_memory_block find(const cs_run *run, cs_memory_kind kind, const char *name) {
    for (int i = 0; i < cs_run_block_count(run); i++) {
        const cs_memory_block block = cs_run_block(run, i);
        if (block.kind == kind && block.name && strcmp(block.name, name) == 0)
            return block;
    }
    return (cs_memory_block){.begin = -2};
}

static void check_steps(const cs_run *run) {
    ck_assert_int_eq(find(run, CS_MEMORY_VALUE, "input").begin, 0);
    for (int i = 0; i < cs_run_step_count(run); i++) {
        const cs_step_info step = cs_run_step(run, i);
        const char *last = step.first;
        for (int k = 0; k < 3; k++)
            last = step.fused[k] ? step.fused[k] : last;
        ck_assert_str_eq(last, step.last);
        ck_assert_int_eq(find(run, CS_MEMORY_VALUE, step.last).begin, i + 1);
    }
}

START_TEST(blocks_that_live_together_lie_apart) {
    cs_error err;
    cs_model *model;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    static const char *const kept[] = {NULL, "layer4", "layer1.0.conv1", "relu"};
    for (int k = 0; k < 4; k++)
        for (int gradient = 0; gradient < 2; gradient++)
            for (int64_t batch = 1; batch <= 3; batch += 2) {
                cs_run *run = test_run_start(model, batch, kept[k], gradient);
                check_blocks(run);
                check_steps(run);
                ck_assert_int_eq(find(run, CS_MEMORY_GRADIENT, "input").begin < 0, !gradient);
                if (gradient)
                    ck_assert_int_eq(find(run, CS_MEMORY_GRADIENT, "input").end, -1);
                cs_run_free(run);
            }
    cs_model_free(model);
}
END_TEST

START_TEST(a_run_that_is_not_prepared_has_no_blocks) {
    cs_error err;
    cs_model *model;
    cs_run *run;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    REQUIRE_OK(cs_run_create(model, NULL, &run, &err), err);
    ck_assert_int_eq(cs_run_block_count(run), 0);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

/* Everything is fused that can be, and keeping a node ends its step. */
START_TEST(a_kept_node_ends_its_step) {
    cs_error err;
    cs_model *model;
    REQUIRE_OK(cs_model_open(EXAMPLE_MODEL, NULL, &model, &err), err);
    cs_run *run = test_run_start(model, 1, NULL, false);
    ck_assert_str_eq(cs_run_step(run, 0).first, "conv1");
    ck_assert_str_eq(cs_run_step(run, 0).fused[0], "bn1");
    ck_assert_ptr_null(cs_run_step(run, 0).fused[1]);
    ck_assert_str_eq(cs_run_step(run, 0).fused[2], "relu");
    ck_assert_int_eq(find(run, CS_MEMORY_VALUE, "conv1").begin, -2);
    cs_run_free(run);
    run = test_run_start(model, 1, "conv1", false);
    ck_assert_ptr_null(cs_run_step(run, 0).fused[0]);
    ck_assert_int_eq(find(run, CS_MEMORY_VALUE, "conv1").end, -1);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

START_TEST(info_prints_the_plan) {
    static const char *const works[] = {"predict", "explain", "gradient"};
    for (int i = 0; i < 3; i++) {
        cli_result r = cli_run(
            "info " EXAMPLE_MODEL " --memory --for %s --batch 2 --size 96x64 --json", works[i]);
        ck_assert_int_eq(r.code, 0);
        cli_require_json(r.out, works[i]);
        ck_assert_ptr_nonnull(strstr(r.out, "\"blocks\""));
        r = cli_run("info " EXAMPLE_MODEL " --memory --for %s", works[i]);
        ck_assert_int_eq(r.code, 0);
        ck_assert_ptr_nonnull(strstr(r.out, "bn1 relu"));
        ck_assert_int_eq(strstr(r.out, "gradient             ") != NULL, i > 0);
    }
    ck_assert_int_eq(cli_run("info " EXAMPLE_MODEL " --memory --for train").code, 2);
    ck_assert_int_eq(cli_run("info " EXAMPLE_MODEL " --memory --size 9x").code, 2);
    ck_assert_int_eq(cli_run("info " EXAMPLE_MODEL " --memory --size x9").code, 2);
    ck_assert_int_eq(cli_run("info " EXAMPLE_MODEL " --memory --batch 0").code, 2);
}
END_TEST

Suite *suite_run_memory(void);
Suite *suite_run_memory(void) {
    Suite *suite = suite_create("run_memory");
    TCase *tests = tcase_create("plan");
    tcase_add_test(tests, blocks_that_live_together_lie_apart);
    tcase_add_test(tests, a_run_that_is_not_prepared_has_no_blocks);
    tcase_add_test(tests, a_kept_node_ends_its_step);
    tcase_add_test(tests, info_prints_the_plan);
    suite_add_tcase(suite, tests);
    return suite;
}
