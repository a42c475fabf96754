/* node/begin.c: when a node may vote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/node_core.h"
#include "node/status.h"

/* ---- What the other parts would do ---- */

static unsigned sounds, recoveries, losses, keeps, ends;

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

void keep_identity(struct node *n)
{
    (void)n;
    keeps++;
}

void node_end(struct node *n, const char *why)
{
    (void)n;
    (void)why;
    ends++;
}

void disk_note_loss(struct node *n)
{
    (void)n;
}

void disk_recovered(struct node *n)
{
    (void)n;
}

/* Of a node that waits, and of pages: not asked here. */
px_ns px_now(void)
{
    return 1;
}

int node_begin(struct node *n, char *why, size_t why_size)
{
    (void)n;
    (void)why;
    (void)why_size;
    return 0;
}

size_t gossip_members(const struct node *n,
                      const struct swim_member_info **list_out)
{
    (void)n;
    *list_out = NULL;
    return 0;
}

json_t *gossip_json(const struct node *n)
{
    (void)n;
    return NULL;
}

char *status_page(json_t *root, size_t flags)
{
    (void)root;
    (void)flags;
    return NULL;
}

/* ---- The node ---- */

#define SELF 1u
#define VOTERS 3u

static struct node node;

/* One of three voters, whose log holds nothing. */
static void begin(void)
{
    memset(&node, 0, sizeof node);
    node.replica = (struct replica *)&node; /* there is one: that is all */
    node.config.id = SELF;
    node.initial.count = VOTERS;
    for (raft_id id = 1; id <= VOTERS; id++)
        node.initial.members[id - 1] = (struct raft_member){id, RAFT_VOTER};
    node.is_log_empty = true;
    sounds = recoveries = losses = keeps = ends = 0;
}

/* What was to be kept is durable. */
static void kept(void)
{
    node.keep.durable = node.identity;
    begin_on_kept(&node);
}

/* ---- When it may vote ---- */

static void
an_empty_log_is_sound_once_it_is_kept_that_the_cluster_is_new(void **state)
{
    (void)state;
    begin();
    begin_on_peer_hello(&node, 2, true);
    assert_int_equal(keeps, 0);
    begin_on_peer_hello(&node, 3, true);
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
    node.identity.is_begun = true;
    node.has_log_note = true;
    node.is_log_empty = false;
    node.identity.gossip_reserve = 1000;
    kept();
    assert_int_equal(sounds, 0);
}

static void
a_log_that_is_lost_is_not_taken_for_that_of_a_new_cluster(void **state)
{
    (void)state;
    begin();
    node.has_log_note = true;
    node.is_log_empty = false;
    begin_on_peer_hello(&node, 2, true);
    begin_on_peer_hello(&node, 3, true);
    assert_false(node.identity.is_begun);
    assert_int_equal(keeps, 0);
}

static void
who_has_recovered_says_so_once_nothing_on_the_disk_denies_it(void **state)
{
    (void)state;
    begin();
    node.has_log_note = true;
    node.is_log_empty = false;
    begin_on_recovered(&node);
    kept();
    assert_int_equal(recoveries, 0);
    begin_on_log_mended(&node);
    assert_int_equal(recoveries, 1);
}

static void
who_lost_something_while_it_ran_says_so_once_it_is_noted(void **state)
{
    (void)state;
    begin();
    node.identity.is_begun = node.keep.durable.is_begun = true;
    node.is_log_empty = false;
    begin_on_lost(&node, 7);
    assert_true(node.has_log_note);
    assert_int_equal(losses, 0);
    begin_on_loss_noted(&node);
    assert_int_equal(losses, 1);
    begin_on_recovered(&node);
    begin_on_log_mended(&node);
    assert_int_equal(recoveries, 1);
    assert_false(node.has_log_note);
    assert_int_equal(node.lost, 0);
}

/* The note of the first is on its way out when the second is found. */
static void
who_loses_more_while_it_is_being_forgotten_stays_faulty(void **state)
{
    (void)state;
    begin();
    node.identity.is_begun = node.keep.durable.is_begun = true;
    node.is_log_empty = false;
    node.has_log_note = true;
    begin_on_recovered(&node);
    begin_on_lost(&node, 7);
    begin_on_log_mended(&node);
    begin_on_loss_noted(&node);
    assert_int_equal(recoveries, 0);
    assert_int_equal(losses, 1);
    assert_true(node.has_log_note);
    assert_int_equal(node.lost, 7);
    begin_on_recovered(&node);
    begin_on_log_mended(&node);
    assert_int_equal(recoveries, 1);
}

/* While it was kept that the cluster is new, a leader's first entry came: raft
 * goes by that one's word then. */
static void who_is_given_the_log_of_a_new_cluster_says_so_too(void **state)
{
    (void)state;
    begin();
    begin_on_peer_hello(&node, 2, true);
    begin_on_peer_hello(&node, 3, true);
    node.is_log_empty = false;
    kept();
    keeps = 0;
    begin_on_recovered(&node);
    assert_int_equal(recoveries, 0); /* it is called from within a step */
    assert_int_equal(keeps, 1);
    kept();
    assert_int_equal(recoveries, 1);
}

/* ---- What others say of it ---- */

static void who_has_lost_its_log_is_not_one_whose_disk_was_emptied(void **state)
{
    (void)state;
    begin();
    node.has_log_note = true;
    node.is_log_empty = false;
    begin_on_refused(&node, NET_REFUSED_WIPED);
    assert_int_equal(ends, 0);
    node.has_log_note = false;
    node.is_log_empty = true;
    begin_on_refused(&node, NET_REFUSED_WIPED);
    assert_int_equal(ends, 1);
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
        cmocka_unit_test(
            who_lost_something_while_it_ran_says_so_once_it_is_noted),
        cmocka_unit_test(
            who_loses_more_while_it_is_being_forgotten_stays_faulty),
        cmocka_unit_test(who_is_given_the_log_of_a_new_cluster_says_so_too),
        cmocka_unit_test(
            who_has_lost_its_log_is_not_one_whose_disk_was_emptied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
