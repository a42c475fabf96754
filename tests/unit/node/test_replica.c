/* node/replica.c, commands.c, send.c, reads.c: a cluster in one process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/lib/noted.h"
#include "tests/unit/node/world.h"

static void a_cluster_of_one_serves(void **state)
{
    struct world *w = world_open(1, 1);
    struct world_request q;

    (void)state;
    assert_true(world_ready(w));
    world_mkdir(w, 0, "a", &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_int_equal(q.result.rc, 0);
    assert_true(world_has_name(w, 0, "a"));
    assert_int_equal(replica_try_read(w->nodes[0].replica), 0);
    world_close(w);
}

static void
a_command_of_a_follower_is_applied_there_when_it_is_answered(void **state)
{
    struct world *w = world_open(3, 2);
    struct world_request q;
    size_t follower;

    (void)state;
    assert_true(world_ready(w));
    follower = (world_leader(w) + 1) % 3;
    world_mkdir(w, follower, "a", &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_int_equal(q.result.rc, 0);
    assert_true(world_has_name(w, follower, "a"));
    world_close(w);
}

static void
a_read_on_any_node_sees_what_was_acknowledged_on_another(void **state)
{
    struct world *w = world_open(5, 3);

    (void)state;
    assert_true(world_ready(w));
    for (size_t i = 0; i < 25; i++) {
        struct world_request q;
        struct world_request read;
        char name[16];

        (void)snprintf(name, sizeof name, "n%zu", i);
        world_mkdir(w, i % 5, name, &q);
        assert_true(world_wait(w, &q));
        assert_int_equal(q.result.rc, 0);
        world_read(w, (i / 5 + i) % 5, &read);
        assert_true(world_wait(w, &read));
        assert_int_equal(read.rc, 0);
        assert_true(world_has_name(w, (i / 5 + i) % 5, name));
    }
    world_close(w);
}

/* The leader's answer comes at once; what it speaks of can't be applied before
 * the follower's own disk holds it. */
static void a_read_waits_until_its_index_is_applied_here(void **state)
{
    struct world *w = world_open(3, 16);
    struct world_request q;
    struct world_request read;
    size_t leader;
    size_t follower;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    follower = (leader + 1) % 3;
    w->nodes[follower].is_disk_stuck = true;
    world_mkdir(w, leader, "a", &q);
    assert_true(world_wait(w, &q));
    world_read(w, follower, &read);
    assert_true(world_settle(w, 100 * PX_NS_PER_MS));
    assert_false(world_has_name(w, follower, "a"));
    assert_false(read.is_done);
    w->nodes[follower].is_disk_stuck = false;
    assert_true(world_wait(w, &read));
    assert_int_equal(read.rc, 0);
    assert_true(world_has_name(w, follower, "a"));
    world_close(w);
}

/* The process stood still between its turn and the read. */
static void a_lease_that_has_ended_since_the_turn_serves_no_read(void **state)
{
    struct world *w = world_open(3, 20);
    struct replica *r;

    (void)state;
    assert_true(world_ready(w));
    r = w->nodes[world_leader(w)].replica;
    assert_int_equal(replica_try_read(r), 0);
    w->now += PX_NS_PER_S; /* four election timeouts */
    assert_int_equal(replica_try_read(r), -EAGAIN);
    world_close(w);
}

/* So that a node which is to end can wait for them. */
static void a_replica_knows_whether_requests_wait(void **state)
{
    struct world *w = world_open(3, 18);
    struct world_request q;
    struct world_request read;
    size_t follower;
    struct replica *r;

    (void)state;
    assert_true(world_ready(w));
    follower = (world_leader(w) + 1) % 3;
    r = w->nodes[follower].replica;
    assert_false(replica_has_requests(r));
    w->nodes[follower].is_disk_stuck = true;
    world_mkdir(w, follower, "a", &q);
    assert_true(world_settle(w, 100 * PX_NS_PER_MS));
    assert_true(replica_has_requests(r));
    w->nodes[follower].is_disk_stuck = false;
    assert_true(world_wait(w, &q));
    assert_false(replica_has_requests(r));
    world_read(w, follower, &read);
    assert_true(replica_has_requests(r));
    assert_true(world_wait(w, &read));
    assert_false(replica_has_requests(r));
    world_close(w);
}

/* Its peers hold what it lost; until it has it back, it only follows. */
static void a_node_that_lost_entries_says_once_that_it_is_whole(void **state)
{
    struct world *w = world_open(3, 17);
    struct replica_counters counters;
    struct world_request q;
    struct world_node *n;
    size_t lost;

    (void)state;
    assert_true(world_ready(w));
    lost = world_leader(w);
    n = &w->nodes[lost];
    world_mkdir(w, (lost + 1) % 3, "a", &q);
    assert_true(world_wait(w, &q));
    world_kill(w, lost);
    n->is_faulty = true;
    n->count = store_state_applied(n->storage.state).index;
    world_start(w, lost);
    assert_true(world_ready(w));
    assert_true(world_leader(w) != lost);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_false(n->is_faulty);
    replica_get_counters(n->replica, &counters);
    assert_int_equal(counters.log_repairs, 1);
    world_close(w);
}

/* Or it would answer from a state that lacks what the others' have. */
static void a_node_that_can_not_apply_an_entry_stops(void **state)
{
    struct world *w = world_open(3, 19);
    struct world_request q;
    size_t broken;

    (void)state;
    assert_true(world_ready(w));
    broken = (world_leader(w) + 1) % 3;
    w->nodes[broken].apply_rc = -EIO;
    world_mkdir(w, world_leader(w), "a", &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    (void)world_settle(w, 100 * PX_NS_PER_MS);
    assert_string_equal(w->nodes[broken].failed, "applying the log failed");
    assert_false(world_has_name(w, broken, "a"));
    world_close(w);
}

static void make_names(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct world_request q;
        char name[24];

        (void)snprintf(name, sizeof name, "n%zu", i);
        world_mkdir(w, world_leader(w), name, &q);
        assert_true(world_wait(w, &q));
        assert_int_equal(q.rc, 0);
    }
}

/* The number of a node that lacks what the others hold on their disks only, and
 * those don't give it. It is about to start. */
static size_t starve(struct world *w)
{
    size_t last;

    assert_true(world_ready(w));
    last = (world_leader(w) + 1) % 3;
    world_kill(w, last);
    make_names(w, 10);
    for (size_t i = 0; i < 3; i++) {
        w->nodes[i].fetch_rc = -EIO;
        world_kill(w, i);
    }
    for (size_t i = 0; i < 3; i++) {
        if (i != last)
            world_start(w, i);
    }
    assert_true(world_ready(w));
    return last;
}

static int settle(void *ctx)
{
    assert_true(world_settle(ctx, 5 * PX_NS_PER_S));
    return 0;
}

/* The fault: it was tried again at each heartbeat, without a word. A node that
 * is faulty was never whole again. */
static void what_a_leader_can_not_read_goes_by_snapshot(void **state)
{
    (void)state;
    for (int is_faulty = 0; is_faulty <= 1; is_faulty++) {
        struct world *w = world_open(3, 19);
        struct replica_counters counters;
        size_t last = starve(w);

        w->nodes[last].is_faulty = is_faulty != 0;
        world_start(w, last);
        assert_int_equal(noted_while(settle, w), 0);
        assert_true(world_has_name(w, last, "n9"));
        assert_false(w->nodes[last].is_faulty);
        replica_get_counters(w->nodes[last].replica, &counters);
        assert_int_equal(counters.snapshots_installed, 1);
        replica_get_counters(w->nodes[world_leader(w)].replica, &counters);
        assert_int_equal(counters.snapshots_saved, 1);
        assert_true(counters.fetches_failed > 0);
        assert_int_equal(noted_count("log: can't be read for a peer: entry="),
                         1);
        world_close(w);
    }
}

/* The leader has the command in its log, on a majority, and dies before the
 * one who asked hears of it: sent again, the same number, applied once. */
static bool loses_commits(const struct world_msg *m)
{
    return m->type == WORLD_RAFT && m->raft.type == RAFT_MSG_APPEND_REPLY;
}

static void
a_command_sent_again_after_its_leader_died_is_applied_once(void **state)
{
    struct world *w = world_open(3, 4);
    struct world_request q;
    size_t leader;
    size_t follower;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    follower = (leader + 1) % 3;
    world_mkdir(w, follower, "lock", &q);
    w->loses = loses_commits;
    assert_true(world_settle(w, 20 * PX_NS_PER_MS));
    assert_false(q.is_done);
    world_kill(w, leader);
    w->loses = NULL;
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_int_equal(q.result.rc, 0); /* not EEXIST about its own success */
    world_close(w);
}

static void
without_a_majority_a_read_ends_with_eagain_at_its_deadline(void **state)
{
    struct world *w = world_open(3, 5);
    struct world_request q;
    px_ns begun;

    (void)state;
    assert_true(world_ready(w));
    world_kill(w, 1);
    world_kill(w, 2);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_int_equal(replica_try_read(w->nodes[0].replica), -EAGAIN);
    begun = w->now;
    world_read(w, 0, &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, -EAGAIN);
    assert_true(w->now - begun >= 5 * PX_NS_PER_S);
    assert_true(w->now - begun < 6 * PX_NS_PER_S);
    world_close(w);
}

static void a_command_that_never_left_ends_with_eagain(void **state)
{
    struct world *w = world_open(3, 6);
    struct world_request q;

    (void)state;
    assert_true(world_ready(w));
    world_kill(w, 1);
    world_kill(w, 2);
    assert_true(world_settle(w, 2 * PX_NS_PER_S)); /* no leader any more */
    world_mkdir(w, 0, "a", &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, -EAGAIN);
    world_close(w);
}

static void
a_command_in_the_log_of_a_lonely_leader_ends_as_unknown(void **state)
{
    struct world *w = world_open(3, 7);
    struct world_request q;
    size_t leader;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    world_kill(w, (leader + 1) % 3);
    world_kill(w, (leader + 2) % 3);
    world_mkdir(w, leader, "a", &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, -PX_EUNKNOWN);
    world_close(w);
}

/* A request that waited elsewhere first brings what is left of its time. */
static void a_request_ends_at_its_own_deadline_whoever_came_before(void **state)
{
    struct world *w = world_open(3, 12);
    struct world_request first[2];
    struct world_request second[2];
    size_t left; /* no leader, who would know at once what becomes of it */
    px_ns begun;

    (void)state;
    assert_true(world_ready(w));
    left = (world_leader(w) + 1) % 3;
    world_kill(w, (left + 1) % 3);
    world_kill(w, (left + 2) % 3);
    begun = w->now;
    world_mkdir(w, left, "a", &first[0]);
    world_read(w, left, &first[1]);
    w->request_timeout = 2 * PX_NS_PER_S;
    world_mkdir(w, left, "b", &second[0]);
    world_read(w, left, &second[1]);
    assert_true(world_wait(w, &second[0]));
    assert_true(world_wait(w, &second[1]));
    assert_true(w->now - begun < 3 * PX_NS_PER_S);
    assert_false(first[0].is_done || first[1].is_done);
    assert_true(world_wait(w, &first[0]));
    assert_true(world_wait(w, &first[1]));
    assert_true(w->now - begun < 6 * PX_NS_PER_S);
    world_close(w);
}

static void a_request_without_session_ends_at_its_own_deadline(void **state)
{
    struct world *w = world_open(3, 13);
    struct world_request first;
    struct world_request second;

    (void)state;
    world_kill(w, 1);
    world_kill(w, 2);
    world_mkdir(w, 0, "a", &first);
    w->request_timeout = 2 * PX_NS_PER_S;
    world_mkdir(w, 0, "b", &second);
    assert_true(world_wait(w, &second));
    assert_int_equal(second.rc, -EAGAIN);
    assert_false(first.is_done);
    world_close(w);
}

static void a_request_whose_time_is_up_is_refused_at_once(void **state)
{
    struct world *w = world_open(1, 14);
    struct world_request command;
    struct world_request read;

    (void)state;
    assert_true(world_ready(w));
    w->request_timeout = 0;
    world_mkdir(w, 0, "a", &command);
    world_read(w, 0, &read);
    assert_true(command.is_done && read.is_done);
    assert_int_equal(command.rc, -EAGAIN);
    assert_int_equal(read.rc, -EAGAIN);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_false(world_has_name(w, 0, "a"));
    world_close(w);
}

static bool has_other_leader(struct world *w, void *ctx)
{
    size_t old = *(size_t *)ctx;
    size_t leader = world_leader(w);

    return leader < w->node_count && leader != old &&
           w->nodes[leader].replica != NULL;
}

/* E is 240 ms: from 120 on it makes way. */
static void a_slow_disk_of_the_leader_causes_no_election(void **state)
{
    struct world *w = world_open(3, 8);
    struct world_request q;
    size_t leader;
    struct raft_status before;
    struct raft_status after;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    replica_get_status(w->nodes[leader].replica, &before);
    w->nodes[leader].is_disk_stuck = true;
    world_mkdir(w, (leader + 1) % 3, "a", &q);
    assert_true(world_wait(w, &q)); /* the two others are a majority */
    assert_int_equal(q.rc, 0);
    world_mkdir(w, (leader + 1) % 3, "b", &q);
    assert_true(world_settle(w, 100 * PX_NS_PER_MS));
    w->nodes[leader].is_disk_stuck = false;
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_true(world_settle(w, PX_NS_PER_S));
    replica_get_status(w->nodes[leader].replica, &after);
    assert_int_equal(after.term, before.term);
    assert_int_equal(after.role, RAFT_LEADER);
    world_close(w);
}

/* Long before anybody has lost patience, which takes 240 ms more at least. */
static void a_leader_whose_disk_is_stuck_hands_over(void **state)
{
    struct world *w = world_open(3, 8);
    struct world_request mine;
    size_t old;

    (void)state;
    assert_true(world_ready(w));
    old = world_leader(w);
    w->nodes[old].is_disk_stuck = true;
    world_mkdir(w, old, "mine", &mine);
    assert_true(world_run(w, 300 * PX_NS_PER_MS, has_other_leader, &old));
    world_close(w);
}

static void a_leader_whose_disk_is_stuck_makes_way(void **state)
{
    struct world *w = world_open(3, 8);
    struct world_request mine, q[20];
    size_t old;

    (void)state;
    assert_true(world_ready(w));
    old = world_leader(w);
    w->nodes[old].is_disk_stuck = true;
    world_mkdir(w, old, "mine", &mine);
    assert_true(world_run(w, 3 * PX_NS_PER_S, has_other_leader, &old));
    for (size_t i = 0; i < 20; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "n%zu", i);
        world_mkdir(w, (old + 1 + i % 2) % 3, name, &q[i]);
    }
    for (size_t i = 0; i < 20; i++) {
        assert_true(world_wait(w, &q[i]));
        assert_int_equal(q[i].rc, 0);
    }
    assert_false(mine.is_done); /* it is in nobody's state here */
    w->nodes[old].is_disk_stuck = false;
    assert_true(world_wait(w, &mine));
    assert_int_equal(mine.rc, 0);
    assert_true(world_settle(w, 2 * PX_NS_PER_S));
    assert_true(world_has_name(w, old, "n19"));
    assert_true(world_hash(w, old) == world_hash(w, (old + 1) % 3));
    world_close(w);
}

static void
more_requests_than_the_window_wait_and_are_all_answered(void **state)
{
    static struct world_request q[PX_SESSION_INFLIGHT_MAX + 200];
    const size_t count = sizeof q / sizeof q[0];
    struct world *w = world_open(3, 9);
    size_t follower;

    (void)state;
    assert_true(world_ready(w));
    follower = (world_leader(w) + 1) % 3;
    for (size_t i = 0; i < count; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "n%zu", i);
        world_mkdir(w, follower, name, &q[i]);
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(world_wait(w, &q[i]));
        assert_int_equal(q[i].rc, 0);
        assert_int_equal(q[i].result.rc, 0);
    }
    world_close(w);
}

static void
an_unsent_request_can_be_cancelled_and_a_sent_one_can_not(void **state)
{
    struct world *w = world_open(3, 10);
    struct world_request unsent;
    struct world_request sent;
    size_t leader;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    world_mkdir(w, leader, "unsent", &unsent);
    assert_true(replica_cancel(w->nodes[leader].replica, &unsent.wait));
    assert_int_equal(unsent.rc, -EINTR);
    world_mkdir(w, leader, "sent", &sent);
    replica_turn(w->nodes[leader].replica);
    assert_false(replica_cancel(w->nodes[leader].replica, &sent.wait));
    assert_true(world_wait(w, &sent));
    assert_int_equal(sent.result.rc, 0);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_false(world_has_name(w, leader, "unsent"));
    world_close(w);
}

static void a_node_whose_session_was_taken_over_stops(void **state)
{
    struct world *w = world_open(3, 11);
    struct world_request q;
    size_t follower;

    (void)state;
    assert_true(world_ready(w));
    follower = (world_leader(w) + 1) % 3;
    world_cut(w, follower, true);
    /* Another process under its name: a later incarnation. */
    {
        struct command c = {
            .op = COMMAND_SESSION_OPEN, .incarnation = 99, .sequence = 1234567};
        struct px_slice bytes;
        struct net_forward f = {.from = follower + 1, .sequence = 1234567};
        char name[16];

        (void)snprintf(name, sizeof name, "node-%zu", follower);
        c.name = (struct command_name){name, strlen(name)};
        assert_int_equal(command_encode(&c, &bytes), 0);
        f.command = bytes;
        replica_on_forward(w->nodes[world_leader(w)].replica, &f);
        px_slice_unref(&bytes);
    }
    assert_true(world_settle(w, PX_NS_PER_S));
    world_cut(w, follower, false);
    world_mkdir(w, follower, "a", &q);
    assert_true(world_settle(w, 4 * PX_NS_PER_S));
    assert_non_null(w->nodes[follower].failed);
    world_close(w);
}

/* A data folder that was copied, used, and put back: its node comes to life
 * twice with one incarnation, and counts its commands from 1 both times. */
static void two_lives_of_one_incarnation_never_share_a_session(void **state)
{
    struct world *w = world_open(3, 15);
    struct world_request first;
    struct world_request second;
    size_t leader;
    size_t follower;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    follower = (leader + 1) % 3;
    world_kill(w, follower);
    world_save(w, follower);
    world_start(w, follower);
    assert_true(world_ready(w));
    world_mkdir(w, follower, "first", &first);
    assert_true(world_wait(w, &first));
    assert_int_equal(first.wait.id, 1);
    assert_int_equal(first.result.rc, 0);
    world_kill(w, follower);
    world_kill(w, leader); /* which counts on what the folder held */
    world_restore(w, follower);
    assert_false(world_has_name(w, follower, "first"));
    world_start(w, leader);
    world_start(w, follower);
    world_mkdir(w, follower, "second", &second);
    assert_true(world_settle(w, 4 * PX_NS_PER_S));
    assert_non_null(w->nodes[follower].failed);
    assert_false(second.is_done); /* least of all by the first's answer */
    world_kill(w, follower);
    assert_int_equal(second.rc, -EAGAIN);
    world_start(w, follower); /* the next incarnation is its own again */
    assert_true(world_ready(w));
    assert_true(world_has_name(w, follower, "first"));
    assert_false(world_has_name(w, follower, "second"));
    world_close(w);
}

/* Kills, restarts, cuts and losses; each name raced for by all nodes has one
 * winner, and what was acknowledged is there on all in the end. */
static void race_under_faults(uint64_t seed)
{
    enum { ROUNDS = 40 };
    struct world *w = world_open(5, seed);
    static struct world_request q[ROUNDS][5];
    bool asked[ROUNDS][5] = {{false}};
    unsigned known = 0;

    assert_true(world_ready(w));
    w->shuffle_percent = 30;
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t victim = px_rand_below(&w->rand, 5);
        char name[16];

        (void)snprintf(name, sizeof name, "r%zu", round);
        for (size_t i = 0; i < 5; i++) {
            asked[round][i] = w->nodes[i].replica != NULL;
            if (asked[round][i])
                world_mkdir(w, i, name, &q[round][i]);
        }
        w->lose_percent = (unsigned)px_rand_below(&w->rand, 10);
        if (round % 4 == 1)
            world_kill(w, victim);
        if (round % 4 == 2)
            world_cut(w, victim, true);
        (void)world_settle(w, px_rand_below(&w->rand, PX_NS_PER_S));
        for (size_t i = 0; i < 5; i++) {
            world_cut(w, i, false);
            if (w->nodes[i].replica == NULL)
                world_start(w, i);
        }
    }
    w->lose_percent = 0;
    w->shuffle_percent = 0;
    (void)world_settle(w, 12 * PX_NS_PER_S);
    for (size_t round = 0; round < ROUNDS; round++) {
        unsigned winners = 0;
        unsigned unknown = 0;
        char name[16];

        (void)snprintf(name, sizeof name, "r%zu", round);
        for (size_t i = 0; i < 5; i++) {
            if (!asked[round][i])
                continue;
            assert_true(q[round][i].is_done);
            winners += q[round][i].rc == 0 && q[round][i].result.rc == 0;
            unknown += q[round][i].rc == -PX_EUNKNOWN;
        }
        if (winners > 1 || (winners == 0 && unknown == 0))
            fail_msg("seed %llu round %zu: %u winners, %u unknown",
                     (unsigned long long)seed, round, winners, unknown);
        for (size_t i = 0; i < 5; i++) {
            if (winners == 1 && !world_has_name(w, i, name))
                fail_msg("seed %llu: %s lost on node %zu",
                         (unsigned long long)seed, name, i);
        }
        known += winners;
    }
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(world_hash(w, i), world_hash(w, 0));
    assert_true(known > ROUNDS / 2);
    world_close(w);
}

static void a_race_has_one_winner_whatever_fails(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 130; seed++)
        race_under_faults(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_of_one_serves),
        cmocka_unit_test(
            a_command_of_a_follower_is_applied_there_when_it_is_answered),
        cmocka_unit_test(
            a_read_on_any_node_sees_what_was_acknowledged_on_another),
        cmocka_unit_test(a_read_waits_until_its_index_is_applied_here),
        cmocka_unit_test(a_lease_that_has_ended_since_the_turn_serves_no_read),
        cmocka_unit_test(a_replica_knows_whether_requests_wait),
        cmocka_unit_test(a_node_that_lost_entries_says_once_that_it_is_whole),
        cmocka_unit_test(a_node_that_can_not_apply_an_entry_stops),
        cmocka_unit_test(what_a_leader_can_not_read_goes_by_snapshot),
        cmocka_unit_test(
            a_command_sent_again_after_its_leader_died_is_applied_once),
        cmocka_unit_test(
            without_a_majority_a_read_ends_with_eagain_at_its_deadline),
        cmocka_unit_test(a_command_that_never_left_ends_with_eagain),
        cmocka_unit_test(
            a_command_in_the_log_of_a_lonely_leader_ends_as_unknown),
        cmocka_unit_test(
            a_request_ends_at_its_own_deadline_whoever_came_before),
        cmocka_unit_test(a_request_without_session_ends_at_its_own_deadline),
        cmocka_unit_test(a_request_whose_time_is_up_is_refused_at_once),
        cmocka_unit_test(a_slow_disk_of_the_leader_causes_no_election),
        cmocka_unit_test(a_leader_whose_disk_is_stuck_hands_over),
        cmocka_unit_test(a_leader_whose_disk_is_stuck_makes_way),
        cmocka_unit_test(
            more_requests_than_the_window_wait_and_are_all_answered),
        cmocka_unit_test(
            an_unsent_request_can_be_cancelled_and_a_sent_one_can_not),
        cmocka_unit_test(a_node_whose_session_was_taken_over_stops),
        cmocka_unit_test(two_lives_of_one_incarnation_never_share_a_session),
        cmocka_unit_test(a_race_has_one_winner_whatever_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
