/* node/timer.c, on a real loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/timer.h"

#define RINGS 3
#define STUCK_S 20 /* a loop that never ends is ended by SIGALRM */

struct bench {
    uv_loop_t loop;
    struct node_timer timer;
    uv_check_t check; /* after each poll */
    px_ns deadline;   /* set again by each ring; PX_NS_NEVER: it isn't */
    px_ns rung;
    int rings;
    int polls;
};

static void on_due(void *ctx)
{
    struct bench *b = ctx;

    b->rung = px_now();
    b->rings++;
    if (b->rings == RINGS)
        uv_stop(&b->loop);
    node_timer_set(&b->timer, b->deadline);
}

static void on_check(uv_check_t *check)
{
    struct bench *b = check->data;

    b->polls++;
}

static void prepare(struct bench *b)
{
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(node_timer_init(&b->timer, &b->loop, on_due, b), 0);
    assert_int_equal(uv_check_init(&b->loop, &b->check), 0);
    b->check.data = b;
    assert_int_equal(uv_check_start(&b->check, on_check), 0);
    uv_unref((uv_handle_t *)&b->check);
    b->deadline = PX_NS_NEVER;
}

static void run(struct bench *b)
{
    (void)alarm(STUCK_S);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT); /* says what is left */
    (void)alarm(0);
}

static void finish(struct bench *b)
{
    node_timer_stop(&b->timer);
    uv_close((uv_handle_t *)&b->timer.handle, NULL);
    uv_close((uv_handle_t *)&b->check, NULL);
    assert_int_equal(uv_run(&b->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

static void it_rings_once_and_not_before_its_time(void **state)
{
    struct bench b = {0};
    px_ns begun, deadline, lag;

    (void)state;
    prepare(&b);
    begun = px_now();
    uv_update_time(&b.loop); /* it lags by a millisecond, and what this takes */
    deadline = px_now() + 5 * PX_NS_PER_MS;
    node_timer_set(&b.timer, deadline);
    lag = PX_NS_PER_MS + (px_now() - begun);
    run(&b);
    assert_int_equal(b.rings, 1);
    assert_true(b.rung + lag >= deadline);
    finish(&b);
}

static void an_earlier_deadline_counts_and_a_later_one_does_not(void **state)
{
    struct bench b = {0};
    px_ns begun = px_now();

    (void)state;
    prepare(&b);
    node_timer_set(&b.timer, begun + 3600 * PX_NS_PER_S);
    node_timer_set(&b.timer, begun);
    node_timer_set(&b.timer, begun + 3600 * PX_NS_PER_S);
    run(&b);
    assert_int_equal(b.rings, 1);
    finish(&b);
}

static void it_is_set_for_never_or_stopped_and_holds_no_loop(void **state)
{
    struct bench b = {0};

    (void)state;
    prepare(&b);
    node_timer_set(&b.timer, PX_NS_NEVER);
    run(&b);
    node_timer_set(&b.timer, px_now());
    node_timer_stop(&b.timer);
    run(&b);
    assert_int_equal(b.rings, 0);
    node_timer_set(&b.timer, px_now()); /* as if it had never been stopped */
    run(&b);
    assert_int_equal(b.rings, 1);
    finish(&b);
}

/* A deadline that the turn can't move, as the one of a node that leaves: the
 * loop polls between two rings, and ends when it is told to. */
static void a_deadline_that_stays_past_does_not_hold_the_loop(void **state)
{
    struct bench b = {0};

    (void)state;
    prepare(&b);
    b.deadline = px_now();
    node_timer_set(&b.timer, b.deadline);
    run(&b);
    assert_int_equal(b.rings, RINGS);
    assert_true(b.polls >= RINGS - 1);
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_rings_once_and_not_before_its_time),
        cmocka_unit_test(an_earlier_deadline_counts_and_a_later_one_does_not),
        cmocka_unit_test(it_is_set_for_never_or_stopped_and_holds_no_loop),
        cmocka_unit_test(a_deadline_that_stays_past_does_not_hold_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
