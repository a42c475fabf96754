/* Whole clusters, in stories: harness.h says what is checked after each step. */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/harness.h"

static bool is_everywhere(const struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->nodes[i].raft == NULL || c->nodes[i].applied != c->commit)
            return false;
    return true;
}

static struct node *other_than(struct cluster *c, const struct node *a,
                               const struct node *b)
{
    for (unsigned i = 0; i < c->count; i++)
        if (&c->nodes[i] != a && &c->nodes[i] != b)
            return &c->nodes[i];
    return NULL;
}

static void isolate(struct cluster *c, const struct node *n, bool is_cut)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->nodes[i].id != n->id)
            cluster_cut(c, (unsigned)n->id - 1, i, is_cut);
}

static void a_cluster_of_every_size_elects_and_commits(void **s)
{
    (void)s;
    for (unsigned count = 1; count <= NODES_MAX; count++) {
        struct cluster *c = cluster_new(count, 1);
        struct node *leader = cluster_run_to_leader(c);

        assert_int_equal(cluster_propose(c, leader, 7, leader->id), 0);
        cluster_run(c, CLUSTER_H);
        assert_true(c->commit >= 2);
        assert_true(is_everywhere(c));
        cluster_free(c);
    }
}

static void a_leader_stays_while_nothing_fails(void **s)
{
    struct cluster *c = cluster_new(5, 2);
    struct node *leader = cluster_run_to_leader(c);

    (void)s;
    cluster_run(c, 100 * CLUSTER_E);
    assert_ptr_equal(cluster_leader(c), leader);
    assert_int_equal(c->counts.leaders, 1);
    cluster_free(c);
}

static void the_follower_that_waits_applies_without_another_message(void **s)
{
    struct cluster *c = cluster_new(3, 3);
    struct node *leader = cluster_run_to_leader(c);
    struct node *waiting = other_than(c, leader, NULL);

    (void)s;
    cluster_run(c, CLUSTER_H);
    assert_int_equal(cluster_propose(c, leader, 7, waiting->id), 0);
    cluster_settle(c); /* no time passes: no heartbeat */
    assert_int_equal(waiting->applied, c->commit);
    assert_true(other_than(c, leader, waiting)->applied < c->commit);
    cluster_free(c);
}

static void a_new_leader_takes_over_when_the_old_one_dies(void **s)
{
    struct cluster *c = cluster_new(5, 4);
    struct node *first = cluster_run_to_leader(c);
    struct node *second;
    raft_index commit;

    (void)s;
    assert_int_equal(cluster_propose(c, first, 7, first->id), 0);
    cluster_settle(c);
    commit = c->commit;
    assert_int_equal(commit, 2);
    cluster_crash(c, first, 0, 0);
    second = cluster_run_to_leader(c);
    assert_ptr_not_equal(first, second);
    assert_true(c->commit > commit);
    cluster_restart(c, first);
    cluster_run(c, 3 * CLUSTER_E);
    assert_true(is_everywhere(c));
    assert_ptr_equal(cluster_leader(c), second);
    cluster_free(c);
}

/* 9.6: who comes back disturbs nobody. */
static void a_node_that_was_cut_off_comes_back_without_an_election(void **s)
{
    struct cluster *c = cluster_new(3, 5);
    struct node *leader = cluster_run_to_leader(c);
    struct node *away = other_than(c, leader, NULL);
    raft_term term = leader->raft->hard.term;

    (void)s;
    isolate(c, away, true);
    cluster_run(c, 20 * CLUSTER_E);
    assert_int_equal(away->raft->hard.term, term);
    isolate(c, away, false);
    cluster_run(c, 5 * CLUSTER_E);
    assert_ptr_equal(cluster_leader(c), leader);
    assert_int_equal(leader->raft->hard.term, term);
    assert_true(is_everywhere(c));
    cluster_free(c);
}

static void a_leader_that_was_cut_off_answers_nothing_and_catches_up(void **s)
{
    struct cluster *c = cluster_new(3, 6);
    struct node *old = cluster_run_to_leader(c);
    struct node *new;
    raft_index index;

    (void)s;
    isolate(c, old, true);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(cluster_propose(c, old, 100 + i, old->id), 0);
    cluster_read(c, old);
    cluster_run(c, CLUSTER_E);
    assert_int_equal(old->raft->role, RAFT_FOLLOWER);
    assert_false(raft_lease_read(old->raft, cluster_clock(c, old), &index));
    new = cluster_run_to_leader(c);
    assert_ptr_not_equal(new, old);
    assert_int_equal(cluster_propose(c, new, 200, new->id), 0);
    cluster_settle(c);
    isolate(c, old, false);
    cluster_run(c, 3 * CLUSTER_E);
    assert_true(is_everywhere(c));
    assert_true(c->counts.cuts > 0);      /* its five are gone */
    assert_int_equal(old->read_count, 0); /* the read went to the next */
    cluster_free(c);
}

static void nothing_acknowledged_is_lost_when_all_lose_power(void **s)
{
    struct cluster *c = cluster_new(5, 7);
    struct node *leader = cluster_run_to_leader(c);
    raft_index commit;

    (void)s;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(cluster_propose(c, leader, i, leader->id), 0);
    cluster_settle(c);
    for (uint64_t i = 0; i < 20; i++) /* and some that never get there */
        assert_int_equal(cluster_propose(c, leader, 50 + i, leader->id), 0);
    commit = c->commit;
    assert_int_equal(commit, 21);
    for (unsigned i = 0; i < c->count; i++)
        cluster_crash(c, &c->nodes[i], 0, 0);
    for (unsigned i = 0; i < c->count; i++)
        cluster_restart(c, &c->nodes[i]);
    leader = cluster_run_to_leader(c);
    cluster_run(c, CLUSTER_E);
    assert_true(c->commit > commit); /* the same ones: the harness looks */
    assert_true(is_everywhere(c));
    assert_true(c->counts.lost_writes > 0);
    cluster_free(c);
}

static void a_follower_far_behind_is_served_from_the_leaders_disk(void **s)
{
    struct cluster *c = cluster_new(3, 8);
    struct node *leader = cluster_run_to_leader(c);
    struct node *away = other_than(c, leader, NULL);

    (void)s;
    cluster_run(c, CLUSTER_H);
    cluster_crash(c, away, 0, 0);
    for (uint64_t i = 0; i < 3000; i++) {
        assert_int_equal(cluster_propose(c, leader, i, leader->id), 0);
        cluster_settle(c);
    }
    /* A restart empties the leader's memory. */
    cluster_crash(c, leader, 0, leader->applied);
    cluster_restart(c, leader);
    cluster_restart(c, away);
    leader = cluster_run_to_leader(c);
    cluster_run(c, 3 * CLUSTER_E);
    assert_true(is_everywhere(c));
    cluster_free(c);
}

static void a_follower_whose_disk_is_slow_keeps_its_leader(void **s)
{
    struct cluster *c = cluster_new(3, 9);
    struct node *leader = cluster_run_to_leader(c);
    raft_term term = leader->raft->hard.term;
    struct node *slow = other_than(c, leader, NULL);

    (void)s;
    assert_int_equal(cluster_propose(c, leader, 1, leader->id), 0);
    for (int i = 0; i < 100; i++) { /* 10 s, in which its disk does nothing */
        c->now += CLUSTER_H;
        for (unsigned k = 0; k < c->count; k++)
            (void)cluster_step(c, &c->nodes[k],
                               (struct raft_in){.type = RAFT_IN_TICK});
        while (c->network.count > 0)
            cluster_deliver(c, 0);
        for (unsigned k = 0; k < c->count; k++)
            if (&c->nodes[k] != slow)
                cluster_sync(c, &c->nodes[k], SIZE_MAX);
    }
    assert_true(slow->disk.write_count > 0);
    assert_int_equal(slow->raft->hard.term, term);
    assert_int_equal(slow->raft->leader, leader->id);
    assert_true(c->commit >= 2); /* the other two suffice */
    cluster_sync(c, slow, SIZE_MAX);
    cluster_run(c, 2 * CLUSTER_H);
    assert_true(is_everywhere(c));
    cluster_free(c);
}

static void reads_are_answered_on_every_node(void **s)
{
    struct cluster *c = cluster_new(5, 10);
    struct node *leader = cluster_run_to_leader(c);

    (void)s;
    for (int round = 0; round < 10; round++) {
        assert_int_equal(cluster_propose(c, leader, 5, leader->id), 0);
        for (unsigned i = 0; i < c->count; i++)
            cluster_read(c, &c->nodes[i]);
        cluster_settle(c);
        for (unsigned i = 0; i < c->count; i++)
            assert_int_equal(c->nodes[i].read_count, 0);
    }
    assert_int_equal(c->counts.reads_leader, 10);
    assert_int_equal(c->counts.reads_follower, 40);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_cluster_of_every_size_elects_and_commits),
        unit(a_leader_stays_while_nothing_fails),
        unit(the_follower_that_waits_applies_without_another_message),
        unit(a_new_leader_takes_over_when_the_old_one_dies),
        unit(a_node_that_was_cut_off_comes_back_without_an_election),
        unit(a_leader_that_was_cut_off_answers_nothing_and_catches_up),
        unit(nothing_acknowledged_is_lost_when_all_lose_power),
        unit(a_follower_far_behind_is_served_from_the_leaders_disk),
        unit(a_follower_whose_disk_is_slow_keeps_its_leader),
        unit(reads_are_answered_on_every_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
