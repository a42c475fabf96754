/* node/fault.c: when a node may vote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/fault.h"

/* ---- What the other parts would do ---- */

static unsigned sounds, recoveries, losses;
static unsigned keeps, notes, forgets; /* that it has asked for */

void replica_sound(struct replica *r)
{
    (void)r;
    sounds++;
}

void replica_on_loss_noted(struct replica *r)
{
    (void)r;
    losses++;
}

void replica_on_recovered(struct replica *r)
{
    (void)r;
    recoveries++;
}

static void keep(void *ctx)
{
    (void)ctx;
    keeps++;
}

static void note_loss(void *ctx, raft_index index)
{
    (void)ctx;
    assert_int_equal(index, 7);
    notes++;
}

static void forget_loss(void *ctx)
{
    (void)ctx;
    forgets++;
}

/* ---- The node ---- */

#define SELF 1u
#define VOTERS 3u

static struct store_identity identity, durable;
static struct fault fault;
static bool is_log_empty;

/* One of three voters, whose log holds nothing. */
static void begin(void)
{
    memset(&identity, 0, sizeof identity);
    memset(&durable, 0, sizeof durable);
    fault = (struct fault){.io = {NULL, keep, note_loss, forget_loss},
                           .self = SELF,
                           .identity = &identity,
                           .durable = &durable};
    fault.replica = (struct replica *)&fault; /* there is one: that is all */
    fault.initial.count = VOTERS;
    for (raft_id id = 1; id <= VOTERS; id++)
        fault.initial.members[id - 1] = (struct raft_member){id, RAFT_VOTER};
    is_log_empty = true;
    sounds = recoveries = losses = 0;
    keeps = notes = forgets = 0;
}

/* What was to be kept is durable. */
static void kept(void)
{
    durable = identity;
    fault_on_kept(&fault);
}

static void hear(raft_id peer)
{
    fault_on_hello(&fault, peer, true, is_log_empty);
}

/* ---- When it may vote ---- */

static void
an_empty_log_is_sound_once_it_is_kept_that_the_cluster_is_new(void **state)
{
    (void)state;
    begin();
    hear(2);
    assert_int_equal(keeps, 0);
    hear(3);
    assert_int_equal(keeps, 1);
    assert_int_equal(sounds, 0);
    kept();
    assert_int_equal(sounds, 1);
}

static void
a_log_that_is_lost_is_not_sound_because_something_else_is_kept(void **state)
{
    (void)state;
    begin();
    identity.is_begun = true;
    fault.has_note = true;
    is_log_empty = false;
    identity.gossip_reserve = 1000;
    kept();
    assert_int_equal(sounds, 0);
}

static void
a_log_that_is_lost_is_not_taken_for_that_of_a_new_cluster(void **state)
{
    (void)state;
    begin();
    fault.has_note = true;
    hear(2);
    hear(3);
    assert_false(identity.is_begun);
    assert_int_equal(keeps, 0);
}

/* The log comes first: what makes it whole may still be on its way there. */
static void
who_has_recovered_says_so_once_nothing_on_the_disk_denies_it(void **state)
{
    (void)state;
    begin();
    fault.has_note = true;
    is_log_empty = false;
    fault_on_recovered(&fault);
    kept();
    assert_int_equal(forgets, 1);
    assert_int_equal(keeps, 0);
    fault_on_mended(&fault);
    assert_int_equal(keeps, 1);
    assert_int_equal(recoveries, 0);
    kept();
    assert_int_equal(recoveries, 1);
}

static void who_had_no_note_begins_behind_its_log_too(void **state)
{
    (void)state;
    begin();
    is_log_empty = false;
    fault_on_recovered(&fault);
    assert_int_equal(forgets, 1);
    assert_int_equal(keeps, 0);
    assert_false(identity.is_begun);
    fault_on_mended(&fault);
    assert_true(identity.is_begun);
    kept();
    assert_int_equal(recoveries, 1);
}

static void
who_lost_something_while_it_ran_says_so_once_it_is_noted(void **state)
{
    (void)state;
    begin();
    identity.is_begun = durable.is_begun = true;
    is_log_empty = false;
    fault_on_lost(&fault, 7);
    assert_int_equal(notes, 1);
    assert_true(fault.has_note);
    assert_int_equal(losses, 0);
    fault_on_loss_noted(&fault);
    assert_int_equal(losses, 1);
    fault_on_recovered(&fault);
    fault_on_mended(&fault);
    assert_int_equal(recoveries, 1);
    assert_false(fault.has_note);
    assert_int_equal(fault.lost, 0);
}

/* The note of the first is on its way out when the second is found. */
static void
who_loses_more_while_it_is_being_forgotten_stays_faulty(void **state)
{
    (void)state;
    begin();
    identity.is_begun = durable.is_begun = true;
    is_log_empty = false;
    fault.has_note = true;
    fault_on_recovered(&fault);
    fault_on_lost(&fault, 7);
    fault_on_mended(&fault);
    fault_on_loss_noted(&fault);
    assert_int_equal(recoveries, 0);
    assert_int_equal(losses, 1);
    assert_true(fault.has_note);
    assert_int_equal(fault.lost, 7);
    fault_on_recovered(&fault);
    fault_on_mended(&fault);
    assert_int_equal(recoveries, 1);
}

static void
who_loses_something_is_not_sound_because_its_cluster_is_new(void **state)
{
    (void)state;
    begin();
    hear(2);
    hear(3);
    fault_on_lost(&fault, 7);
    kept();
    assert_int_equal(sounds, 0);
}

/* While it was kept that the cluster is new, a leader's first entry came: raft
 * goes by that one's word then. */
static void who_is_given_the_log_of_a_new_cluster_says_so_too(void **state)
{
    (void)state;
    begin();
    hear(2);
    hear(3);
    assert_int_equal(keeps, 1);
    is_log_empty = false;
    fault_on_recovered(&fault);
    fault_on_mended(&fault);
    assert_int_equal(recoveries, 0);
    kept();
    assert_int_equal(recoveries, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_empty_log_is_sound_once_it_is_kept_that_the_cluster_is_new),
        cmocka_unit_test(
            a_log_that_is_lost_is_not_sound_because_something_else_is_kept),
        cmocka_unit_test(
            a_log_that_is_lost_is_not_taken_for_that_of_a_new_cluster),
        cmocka_unit_test(
            who_has_recovered_says_so_once_nothing_on_the_disk_denies_it),
        cmocka_unit_test(who_had_no_note_begins_behind_its_log_too),
        cmocka_unit_test(
            who_lost_something_while_it_ran_says_so_once_it_is_noted),
        cmocka_unit_test(
            who_loses_more_while_it_is_being_forgotten_stays_faulty),
        cmocka_unit_test(
            who_loses_something_is_not_sound_because_its_cluster_is_new),
        cmocka_unit_test(who_is_given_the_log_of_a_new_cluster_says_so_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
