/* test_pool.c - threads that share work: every part is done once in each round, whoever does it. */
#include "pool.h"
#include "test_support.h"

#include <sched.h>
#include <stdatomic.h>

#define MOST_THREADS 7
#define ROUNDS       3000

typedef struct tally {
    atomic_int parts[MOST_THREADS];
    atomic_int wrong;
    int threads;
} tally;

static void count_part(void *argument, size_t part, size_t parts) {
    tally *t = argument;
    if (parts != (size_t)t->threads || part >= parts)
        atomic_fetch_add(&t->wrong, 1);
    else
        atomic_fetch_add(&t->parts[part], 1);
}

/* Rounds follow each other so fast that threads come late, for rounds that are past. */
static void check_rounds(int threads) {
    cs_error err;
    cs_pool *pool;
    tally t = {.threads = threads};
    REQUIRE_OK(pool_create(threads, &pool, &err), err);
    for (int round = 1; round <= ROUNDS; round++) {
        pool_run(pool, count_part, &t);
        for (int i = 0; i < threads; i++)
            REQUIRE_EACH(atomic_load(&t.parts[i]) == round,
                         "part %d of %d ran %d times in %d rounds", i, threads,
                         atomic_load(&t.parts[i]), round);
    }
    ck_assert_int_eq(atomic_load(&t.wrong), 0);
    pool_free(pool);
}

START_TEST(every_part_is_done_once_a_round) { check_rounds(_i + 1); }
END_TEST

/* All threads on one CPU: the driver finds parts that nobody has begun, and does them itself. */
START_TEST(threads_that_share_a_cpu_do_not_wait_for_each_other) {
    cpu_set_t before, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    check_rounds(3);
    ck_assert_int_eq(sched_setaffinity(0, sizeof before, &before), 0);
}
END_TEST

Suite *suite_pool(void);
Suite *suite_pool(void) {
    Suite *suite = suite_create("pool");
    TCase *tests = tcase_create("pool");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, every_part_is_done_once_a_round, 0, MOST_THREADS);
    tcase_add_test(tests, threads_that_share_a_cpu_do_not_wait_for_each_other);
    suite_add_tcase(suite, tests);
    return suite;
}
