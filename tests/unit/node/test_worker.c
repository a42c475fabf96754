/* node/worker.c: jobs, in order; pauses, and their end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/worker.h"

#define JOBS 1000
#define HOUR (3600 * PX_NS_PER_S)

struct job {
    struct px_list link;
    int number;
};

struct bench {
    uv_loop_t loop;
    struct worker worker;
    struct job jobs[JOBS];
    int given;
    int back;             /* how many came back, in order */
    px_ns pause;          /* in each work; 0: none */
    _Atomic int begun;    /* works */
    _Atomic bool was_cut; /* a pause ended early */
};

static void work(void *ctx, struct px_list *jobs)
{
    struct bench *b = ctx;

    (void)jobs;
    atomic_fetch_add(&b->begun, 1);
    if (b->pause > 0 && !worker_pause(&b->worker, b->pause))
        atomic_store(&b->was_cut, true);
}

static void done(void *ctx, struct px_list *jobs)
{
    struct bench *b = ctx;

    while (!px_list_empty(jobs)) {
        struct job *job =
            px_list_entry(px_list_pop_front(jobs), struct job, link);

        assert_int_equal(job->number, b->back);
        b->back++;
    }
}

static void give(struct bench *b)
{
    struct job *job = &b->jobs[b->given];
    struct px_list jobs;

    job->number = b->given++;
    px_list_init(&jobs);
    px_list_push_back(&jobs, &job->link);
    worker_give(&b->worker, &jobs);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(worker_start(&b->worker, &b->loop, b, work, done), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    worker_stop(&b->worker);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT); /* until its handle is closed */
    assert_int_equal(uv_loop_close(&b->loop), 0);
    free(b);
    return 0;
}

static void jobs_come_back_in_order(void **state)
{
    struct bench *b = *state;

    while (b->given < JOBS) {
        give(b);
        if (b->given % 10 == 0)
            (void)uv_run(&b->loop, UV_RUN_NOWAIT);
    }
    while (b->back < JOBS)
        (void)uv_run(&b->loop, UV_RUN_ONCE);
}

/* The teardown would not come back otherwise. */
static void a_pause_ends_with_the_worker(void **state)
{
    struct bench *b = *state;

    b->pause = HOUR;
    give(b);
    while (atomic_load(&b->begun) == 0)
        continue;
    worker_stop(&b->worker);
    assert_true(atomic_load(&b->was_cut));
    assert_int_equal(b->back, 0);
}

static void a_pause_is_not_cut_short_by_jobs(void **state)
{
    struct bench *b = *state;
    uint64_t begun = uv_hrtime();

    b->pause = 50 * PX_NS_PER_MS;
    give(b);
    while (atomic_load(&b->begun) == 0)
        continue;
    while (b->back == 0) {
        if (b->given < JOBS)
            give(b);
        (void)uv_run(&b->loop, UV_RUN_NOWAIT);
    }
    assert_true(uv_hrtime() - begun >= b->pause);
    assert_false(atomic_load(&b->was_cut));
}

#define worker_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        worker_test(jobs_come_back_in_order),
        worker_test(a_pause_ends_with_the_worker),
        worker_test(a_pause_is_not_cut_short_by_jobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
