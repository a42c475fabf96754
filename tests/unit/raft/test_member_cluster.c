/* raft/member.c: members come and go in whole clusters, in stories. */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/harness.h"

static struct node *lead_and_change(struct cluster *c,
                                    enum raft_change_what what, raft_id id)
{
    struct raft_change change = {.what = what, .id = id};
    struct raft_in in = {.type = RAFT_IN_CHANGE, .change = &change};
    struct node *leader = cluster_run_to_leader(c);

    assert_int_equal(cluster_step(c, leader, in), 0);
    cluster_run(c, 2 * CLUSTER_H);
    return leader;
}

/* One by one, until nobody is left of those that began. */
static void a_whole_cluster_is_exchanged(void **s)
{
    struct cluster *c = cluster_new_of(5, 2, 11);
    struct node *leader;

    (void)s;
    for (raft_id id = 3; id <= 5; id++) {
        (void)lead_and_change(c, RAFT_ADD, id);
        (void)lead_and_change(c, RAFT_PROMOTE, id);
    }
    for (raft_id id = 1; id <= 2; id++) {
        leader = cluster_run_to_leader(c);
        if (leader->id == id) {
            struct raft_in in = {.type = RAFT_IN_TRANSFER, .transfer = 5};

            assert_int_equal(cluster_step(c, leader, in), 0);
            cluster_run(c, CLUSTER_E);
        }
        assert_true(lead_and_change(c, RAFT_REMOVE, id)->id != id);
    }
    cluster_crash(c, &c->nodes[0], 0, 0);
    cluster_crash(c, &c->nodes[1], 0, 0);
    leader = cluster_run_to_leader(c);
    assert_true(leader->id >= 3);
    assert_int_equal(cluster_propose(c, leader, 7, leader->id), 0);
    cluster_run(c, 2 * CLUSTER_H);
    for (unsigned i = 2; i < 5; i++)
        assert_int_equal(c->nodes[i].applied, c->commit);
    cluster_free(c);
}

static void a_removed_node_disturbs_nobody(void **s)
{
    struct cluster *c = cluster_new(3, 12);
    struct node *leader = cluster_run_to_leader(c);
    raft_id gone = leader->id == 3 ? 2 : 3;
    raft_term term = leader->raft->hard.term;

    (void)s;
    (void)lead_and_change(c, RAFT_REMOVE, gone);
    cluster_run(c, 50 * CLUSTER_E);
    assert_ptr_equal(cluster_run_to_leader(c), leader);
    assert_int_equal(leader->raft->hard.term, term);
    cluster_free(c);
}

static void sync_all(struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++)
        cluster_sync(c, &c->nodes[i], SIZE_MAX);
}

/* Message by message, so that nothing that it sends as a leader has arrived. */
static void elect_unheard(struct cluster *c, struct node *n)
{
    c->now += 3 * CLUSTER_E; /* nobody counts on the leader before it */
    while (n->raft->role != RAFT_LEADER) {
        if (c->network.count == 0) {
            while (cluster_clock(c, n) < n->deadline)
                c->now += PX_NS_PER_MS;
            (void)cluster_step(c, n, (struct raft_in){.type = RAFT_IN_TICK});
        } else {
            cluster_deliver(c, 0);
        }
        sync_all(c);
    }
}

static void cut_both_ways(struct cluster *c, const struct node *a,
                          const struct node *b)
{
    cluster_cut(c, (unsigned)a->id - 1, (unsigned)b->id - 1, true);
    cluster_cut(c, (unsigned)b->id - 1, (unsigned)a->id - 1, true);
}

/* One leader promotes it, the next one has not heard of that, and is lost with
 * what it alone had. The fault: it had been sent that, and cut its promotion for
 * it; it refused its vote to the first, who needs it, and is no candidate. */
static void a_promotion_that_was_cut_keeps_nobody_from_leading(void **s)
{
    struct cluster *c = cluster_new_of(4, 3, 14);
    struct raft_change promote = {.what = RAFT_PROMOTE, .id = 4};
    struct raft_in in = {.type = RAFT_IN_CHANGE, .change = &promote};
    struct node *first = lead_and_change(c, RAFT_ADD, 4);
    struct node *next = &c->nodes[first->id == 1 ? 1 : 0];
    struct node *other = &c->nodes[first->id == 3 ? 1 : 2];
    const struct node *learner = &c->nodes[3];

    (void)s;
    cut_both_ways(c, first, next);
    cut_both_ways(c, first, other);
    assert_int_equal(cluster_step(c, first, in), 0);
    cluster_settle(c);
    assert_true(learner->raft->is_voter);
    cut_both_ways(c, first, learner);
    elect_unheard(c, next);
    cut_both_ways(c, next, other);
    cluster_settle(c);
    cluster_crash(c, next, 0, 0); /* for ever */
    cluster_heal(c);
    assert_ptr_equal(cluster_run_to_leader(c), first);
    assert_true(learner->raft->is_voter);
    cluster_free(c);
}

static void a_sole_voter_serves_reads_when_the_last_other_was_removed(void **s)
{
    struct cluster *c = cluster_new(2, 13);
    struct node *leader = cluster_run_to_leader(c);
    raft_id other = leader->id == 1 ? 2 : 1;
    struct raft_in in = {.type = RAFT_IN_TRANSFER, .transfer = other};

    (void)s;
    /* Told to take over, it never hears of it: no lease for this term. */
    cluster_run(c, CLUSTER_H);
    assert_int_equal(cluster_step(c, leader, in), 0);
    while (c->network.count > 0)
        cluster_drop(c, 0);
    cluster_run(c, 2 * CLUSTER_E);
    assert_ptr_equal(cluster_run_to_leader(c), leader);
    (void)lead_and_change(c, RAFT_REMOVE, other);
    cluster_read(c, leader);
    cluster_settle(c);
    assert_int_equal(leader->read_count, 0);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_whole_cluster_is_exchanged),
        unit(a_removed_node_disturbs_nobody),
        unit(a_promotion_that_was_cut_keeps_nobody_from_leading),
        unit(a_sole_voter_serves_reads_when_the_last_other_was_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
