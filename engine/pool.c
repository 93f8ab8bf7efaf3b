/* pool.c - threads that wait for work: they spin for a short while, then sleep.
 *
 * A round is a generation number: the driver publishes the work, raises `generation`, works with
 * the others, and waits until `pending` is 0. Each thread begins with a part of its own (the
 * driver's is 0), and when it is done with that takes those that nobody has begun: a thread that
 * sleeps, or whose CPU is at work for another process, holds nobody up unless it is in the middle
 * of a part.
 */
#include "pool.h"
#include "cpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A sleeping thread takes long to wake where the CPU is a virtual one that was given back, so a
 * thread looks for about two milliseconds, longer than nearly any step takes, before it sleeps; and
 * soon offers its CPU to whoever else wants it. */
#define SPINS       40000
#define SPINS_ALONE 2000 /* looks without an offer, */
#define SPINS_OFFER 64   /* and looks between two offers */

struct cs_pool {
    int threads;
    pthread_t *thread; /* threads - 1 of them */
    int started;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_uint generation;
    atomic_int pending;
    atomic_uint *claimed; /* of each part: the last generation in which somebody took it */
    atomic_bool stop;     /* a thread that comes late for a round looks at any time */
#if defined(__linux__)
    cpu_set_t allowed; /* CPUs that the process may use, where there are enough for all threads */
    bool places;       /* there are */
    bool *asleep;      /* of each thread; changes under the lock */
    atomic_int driver; /* the CPU on which the caller was when it published */
#endif
    void (*work)(void *argument, size_t part, size_t parts);
    void *argument;
};

typedef struct worker {
    cs_pool *pool;
    int part;
} worker;

/* Linux often wakes (or starts) a thread on the CPU of the one that wakes it, which goes on working
 * there, and needs some milliseconds to see that another CPU is idle (ResNet-20 took 2.3 ms instead
 * of 0.4). So threads are woken on the other CPUs, and one that finds itself on the driver's moves;
 * after that, they may use all again. */
#if defined(__linux__)
static void learn_places(cs_pool *pool) {
    pool->asleep = calloc((size_t)pool->threads, sizeof *pool->asleep);
    pool->places = pool->asleep &&
                   sched_getaffinity(0, sizeof pool->allowed, &pool->allowed) == 0 &&
                   CPU_COUNT(&pool->allowed) >= pool->threads;
}

/* All but the driver's. */
static cpu_set_t other_places(const cs_pool *pool) {
    const int driver = atomic_load_explicit(&pool->driver, memory_order_relaxed);
    cpu_set_t others = pool->allowed;
    if (driver >= 0 && driver < CPU_SETSIZE)
        CPU_CLR((size_t)driver, &others);
    return others;
}

/* The driver, with the lock held. */
static void place_sleepers(cs_pool *pool) {
    atomic_store_explicit(&pool->driver, sched_getcpu(), memory_order_relaxed);
    for (int i = 0; pool->places && i < pool->started; i++)
        if (pool->asleep[i]) {
            const cpu_set_t others = other_places(pool);
            (void)pthread_setaffinity_np(pool->thread[i], sizeof others, &others);
        }
}

/* With the lock held. */
static void set_asleep(cs_pool *pool, int part, bool asleep) {
    if (pool->places)
        pool->asleep[part - 1] = asleep;
}

static void go_anywhere(const cs_pool *pool) {
    if (pool->places)
        (void)sched_setaffinity(0, sizeof pool->allowed, &pool->allowed);
}

static void step_aside(const cs_pool *pool) {
    if (!pool->places ||
        sched_getcpu() != atomic_load_explicit(&pool->driver, memory_order_relaxed))
        return;
    const cpu_set_t others = other_places(pool);
    (void)sched_setaffinity(0, sizeof others, &others);
    go_anywhere(pool);
}

static void forget_places(cs_pool *pool) { free(pool->asleep); }
#else
static void learn_places(cs_pool *pool) { (void)pool; }
static void place_sleepers(cs_pool *pool) { (void)pool; }
static void set_asleep(cs_pool *pool, int part, bool asleep) {
    (void)pool, (void)part, (void)asleep;
}
static void go_anywhere(const cs_pool *pool) { (void)pool; }
static void step_aside(const cs_pool *pool) { (void)pool; }
static void forget_places(cs_pool *pool) { (void)pool; }
#endif

static void relax(int spin) {
    if (spin >= SPINS_ALONE && spin % SPINS_OFFER == 0)
        (void)sched_yield();
    else
        cpu_relax();
}

/* Waits for a generation other than `seen`, and returns it. */
static unsigned wait_for_work(cs_pool *pool, int part, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        const unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen)
            return now;
        if (i == 0)
            step_aside(pool);
        relax(i);
    }
    pthread_mutex_lock(&pool->lock);
    set_asleep(pool, part, true);
    while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen)
        pthread_cond_wait(&pool->wake, &pool->lock);
    set_asleep(pool, part, false);
    pthread_mutex_unlock(&pool->lock);
    go_anywhere(pool);
    return atomic_load_explicit(&pool->generation, memory_order_acquire);
}

/* Takes a part that nobody has taken in this generation. Each part is taken once in every one, so
 * that a thread that comes too late, for a generation that is past, takes nothing. */
static bool claim(cs_pool *pool, int part, unsigned generation) {
    unsigned before = generation - 1;
    return atomic_compare_exchange_strong_explicit(&pool->claimed[part], &before, generation,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* The thread's own part, and then all that are left; returns how many. */
static int work_parts(cs_pool *pool, int own, unsigned generation) {
    int done = 0;
    for (int i = 0; i < pool->threads; i++) {
        const int part = (own + i) % pool->threads;
        if (!claim(pool, part, generation))
            continue;
        pool->work(pool->argument, (size_t)part, (size_t)pool->threads);
        done++;
    }
    return done;
}

static void *thread_main(void *argument) {
    const worker me = *(worker *)argument;
    cs_pool *pool = me.pool;
    unsigned seen = 0;
    free(argument);
    (void)cpu_set_rounding(); /* this thread is ours: nothing to restore */
    for (;;) {
        seen = wait_for_work(pool, me.part, seen);
        if (pool->stop)
            return NULL;
        const int done = work_parts(pool, me.part, seen);
        if (done > 0 &&
            atomic_fetch_sub_explicit(&pool->pending, done, memory_order_acq_rel) == done) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static bool start_thread(cs_pool *pool) {
    worker *w = malloc(sizeof *w);
    if (!w)
        return false;
    *w = (worker){pool, pool->started + 1};
    if (pthread_create(&pool->thread[pool->started], NULL, thread_main, w) != 0) {
        free(w);
        return false;
    }
    pool->started++;
    return true;
}

cs_status pool_create(int threads, cs_pool **out, cs_error *err) {
    cs_pool *pool = calloc(1, sizeof *pool);
    CS_CHECK(pool, CS_ERROR_MEMORY, "not enough memory for a pool of %d threads", threads);
    pool->threads = threads;
    pool->thread = calloc((size_t)threads, sizeof *pool->thread);
    pool->claimed = calloc((size_t)threads, sizeof *pool->claimed);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    learn_places(pool);
    bool ok = pool->thread && pool->claimed;
    while (ok && pool->started < threads - 1)
        ok = start_thread(pool);
    if (!ok) {
        pool_free(pool);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1,
                            "%d threads could not be started; use --threads with a smaller number",
                            threads);
    }
    *out = pool;
    return CS_OK;
}

/* Returns the new generation. */
static unsigned publish(cs_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    place_sleepers(pool);
    const unsigned before = atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    return before + 1;
}

void pool_free(cs_pool *pool) {
    if (!pool)
        return;
    pool->stop = true;
    (void)publish(pool);
    for (int i = 0; i < pool->started; i++)
        pthread_join(pool->thread[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    forget_places(pool);
    free(pool->claimed);
    free(pool->thread);
    free(pool);
}

static void wait_until_done(cs_pool *pool) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->pending, memory_order_acquire) == 0)
            return;
        relax(i);
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load_explicit(&pool->pending, memory_order_acquire) != 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void pool_run(cs_pool *pool, void (*work)(void *argument, size_t part, size_t parts),
              void *argument) {
    const unsigned before = cpu_set_rounding();
    if (pool->threads == 1) {
        work(argument, 0, 1);
    } else {
        pool->work = work;
        pool->argument = argument;
        atomic_store_explicit(&pool->pending, pool->threads, memory_order_relaxed);
        const unsigned generation = publish(pool);
        const int done = work_parts(pool, 0, generation);
        if (atomic_fetch_sub_explicit(&pool->pending, done, memory_order_acq_rel) != done)
            wait_until_done(pool);
    }
    cpu_restore_rounding(before);
}

int pool_threads(const cs_pool *pool) { return pool->threads; }
