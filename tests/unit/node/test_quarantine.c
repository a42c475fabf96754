/* node/quarantine.c, node/evidence.c: what becomes of a node whose state is
 * wrong. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/unit/node/world.h"

#define EVERY 16u
#define LONG (60 * PX_NS_PER_S)

static unsigned made; /* names that were used */

static void write_some(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct world_request q;
        char name[16];

        (void)snprintf(name, sizeof name, "n%u", made++);
        world_mkdir(w, world_leader(w), name, &q);
        assert_true(world_wait(w, &q));
        assert_int_equal(q.rc, 0);
        assert_int_equal(q.result.rc, 0);
    }
}

static struct replica_counters counters(const struct world *w, size_t node)
{
    struct replica_counters c;

    replica_get_counters(w->nodes[node].replica, &c);
    return c;
}

static bool any_quarantined(struct world *w, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].replica != NULL &&
            replica_is_quarantined(w->nodes[i].replica))
            return true;
    }
    return false;
}

static bool none_quarantined(struct world *w, void *ctx)
{
    return !any_quarantined(w, ctx);
}

static bool loses_transfers(const struct world_msg *m)
{
    return m->type == WORLD_TRANSFER;
}

/* Node @wrong has been found, and nothing is sent to it that could help. */
static void quarantine(struct world *w, size_t wrong)
{
    w->loses = loses_transfers;
    world_diverge(w, wrong);
    for (unsigned i = 0; i < 3 * EVERY && !any_quarantined(w, NULL); i++)
        write_some(w, 1);
    assert_true(replica_is_quarantined(w->nodes[wrong].replica));
}

static void heal(struct world *w)
{
    w->loses = NULL;
    assert_true(world_run(w, LONG, none_quarantined, NULL));
    assert_true(world_ready(w));
    assert_true(world_settle(w, PX_NS_PER_S));
}

static void expect_equal(struct world *w)
{
    for (size_t i = 1; i < w->node_count; i++)
        assert_int_equal(world_hash(w, i), world_hash(w, 0));
}

/* Three nodes; the number of a follower that is in quarantine. */
static size_t wrong_follower(struct world *w)
{
    size_t wrong;

    assert_true(world_ready(w));
    write_some(w, 3);
    wrong = (world_leader(w) + 1) % w->node_count;
    quarantine(w, wrong);
    return wrong;
}

static void a_state_that_is_wrong_is_not_shown(void **state)
{
    struct world *w = world_open_comparing(3, 1, EVERY);
    size_t wrong = wrong_follower(w);
    struct replica *r = w->nodes[wrong].replica;
    struct world_request q;

    (void)state;
    assert_false(replica_is_ready(r));
    assert_true(replica_try_read(r) < 0);
    world_read(w, wrong, &q);
    assert_true(q.is_done);
    assert_int_equal(q.rc, -EIO);
    world_mkdir(w, wrong, "x", &q);
    assert_true(q.is_done);
    assert_int_equal(q.rc, -EIO);
    write_some(w, EVERY); /* the others go on */
    assert_false(world_has_name(w, wrong, "x"));
    replica_want_snapshot(r);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_int_equal(counters(w, wrong).snapshots_saved, 0);
    world_close(w);
}

/* The leader had refused something: a little later it would have been sent
 * again. */
static void a_pause_that_ends_in_it_is_not_due_for_ever(void **state)
{
    struct world *w = world_open_comparing(3, 20, EVERY);
    size_t wrong = wrong_follower(w);
    struct replica *r = w->nodes[wrong].replica;
    struct net_forward_refused f = {
        .from = world_leader(w) + 1, .sequence = 1, .rc = -EAGAIN};

    (void)state;
    replica_on_refused(r, &f);
    for (unsigned i = 0; i < 100; i++) {
        w->now += 10 * PX_NS_PER_MS; /* nothing else arrives */
        replica_turn(r);
        assert_true(replica_deadline(r) > w->now);
    }
    world_close(w);
}

static size_t silent; /* the node whose requests don't arrive */

static bool loses_requests(const struct world_msg *m)
{
    return m->type == WORLD_TRANSFER ||
           (m->from == silent &&
            (m->type == WORLD_FORWARD ||
             (m->type == WORLD_RAFT && m->raft.type == RAFT_MSG_READ)));
}

/* A command that has left may yet take effect: to call that EIO would be to
 * say that it did not. */
static void what_waits_is_refused_unless_it_has_left(void **state)
{
    struct world *w = world_open_comparing(3, 2, EVERY);
    struct world_request read;
    struct world_request sent;
    struct world_request unsent;
    size_t wrong;

    (void)state;
    assert_true(world_ready(w));
    wrong = (world_leader(w) + 1) % 3;
    w->request_timeout = 10 * LONG;
    silent = wrong;
    w->loses = loses_requests;
    world_diverge(w, wrong);
    world_read(w, wrong, &read);
    world_mkdir(w, wrong, "sent", &sent);
    assert_true(world_settle(w, 10 * PX_NS_PER_MS));
    w->nodes[wrong].is_unreachable = true;
    world_mkdir(w, wrong, "unsent", &unsent);
    for (unsigned i = 0; i < 3 * EVERY && !any_quarantined(w, NULL); i++)
        write_some(w, 1);
    assert_true(read.is_done && sent.is_done && unsent.is_done);
    assert_int_equal(read.rc, -EIO);
    assert_int_equal(sent.rc, -PX_EUNKNOWN);
    assert_int_equal(unsent.rc, -EIO);
    w->nodes[wrong].is_unreachable = false;
    heal(w);
    world_close(w);
}

static void a_follower_is_rebuilt_and_serves_again(void **state)
{
    struct world *w = world_open_comparing(3, 3, EVERY);
    size_t wrong = wrong_follower(w);
    struct world_request q;

    (void)state;
    heal(w);
    expect_equal(w);
    world_mkdir(w, wrong, "after", &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.result.rc, 0);
    world_read(w, wrong, &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_true(world_has_name(w, wrong, "after"));
    write_some(w, 3 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    expect_equal(w);
    assert_int_equal(counters(w, wrong).divergences, 1);
    assert_true(counters(w, wrong).hashes_equal > 0);
    world_close(w);
}

static void a_leader_is_rebuilt_by_who_leads_after_it(void **state)
{
    struct world *w = world_open_comparing(3, 4, EVERY);
    struct world_request q;
    size_t wrong;

    (void)state;
    assert_true(world_ready(w));
    wrong = world_leader(w);
    world_diverge(w, wrong);
    for (unsigned i = 0; i < 3 * EVERY; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "l%u", i);
        world_mkdir(w, (wrong + 1) % 3, name, &q);
        assert_true(world_wait(w, &q));
        assert_int_equal(q.rc, 0);
    }
    heal(w);
    expect_equal(w);
    assert_int_equal(counters(w, wrong).divergences, 1);
    assert_int_equal(counters(w, wrong).snapshots_installed, 1);
    world_close(w);
}

/* What the leader has is from before: another one is made. */
static void a_snapshot_from_before_it_differed_does_not_do(void **state)
{
    struct world *w = world_open_comparing(3, 5, EVERY);
    size_t leader;
    size_t wrong;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    replica_want_snapshot(w->nodes[leader].replica);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_int_equal(counters(w, leader).snapshots_saved, 1);
    wrong = wrong_follower(w);
    heal(w);
    assert_int_equal(world_leader(w), leader);
    assert_int_equal(counters(w, leader).snapshots_saved, 2);
    assert_int_equal(counters(w, wrong).snapshots_installed, 1);
    expect_equal(w);
    world_close(w);
}

static raft_index newest_snapshot(struct world *w, size_t node)
{
    struct store_snapshot_info info;
    char why[256];

    assert_int_equal(
        store_snapshot_find(w->nodes[node].storage.options.snapshot_disk, 1,
                            &info, why, sizeof why),
        0);
    return info.pos.index;
}

static size_t count_names(struct world *w, size_t node, const char *folder,
                          const char *prefix)
{
    const struct dirent *e;
    char path[128];
    size_t count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/%s", w->nodes[node].dir, folder);
    dir = opendir(path);
    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL)
        count += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    assert_int_equal(closedir(dir), 0);
    return count;
}

/* It was made of the wrong state, and cut the log behind it. */
static void its_own_snapshots_are_replaced_by_the_leaders(void **state)
{
    struct world *w = world_open_comparing(3, 6, EVERY);
    raft_index own;
    size_t wrong;

    (void)state;
    assert_true(world_ready(w));
    wrong = (world_leader(w) + 1) % 3;
    w->loses = loses_transfers;
    world_diverge(w, wrong);
    write_some(w, EVERY / 4);
    replica_want_snapshot(w->nodes[wrong].replica);
    assert_true(world_settle(w, PX_NS_PER_S));
    own = newest_snapshot(w, wrong);
    quarantine(w, wrong);
    heal(w);
    assert_true(newest_snapshot(w, wrong) > own);
    assert_int_equal(count_names(w, wrong, "snapshot", "0"), 1);
    expect_equal(w);
    world_close(w);
}

static void a_restart_does_not_end_the_quarantine(void **state)
{
    struct world *w = world_open_comparing(3, 7, EVERY);
    size_t wrong = wrong_follower(w);
    struct replica_divergence before;
    struct replica_divergence after;

    (void)state;
    assert_true(world_settle(w, PX_NS_PER_S)); /* it is marked */
    replica_get_divergence(w->nodes[wrong].replica, &before);
    world_kill(w, wrong);
    world_start(w, wrong);
    assert_true(replica_is_quarantined(w->nodes[wrong].replica));
    replica_get_divergence(w->nodes[wrong].replica, &after);
    assert_memory_equal(&before, &after, sizeof before);
    world_kill(w, (wrong + 1) % 3); /* it does not lead: nobody does */
    world_kill(w, (wrong + 2) % 3);
    assert_true(world_settle(w, LONG));
    assert_int_equal(world_leader(w), 3);
    assert_true(replica_is_quarantined(w->nodes[wrong].replica));
    world_start(w, (wrong + 1) % 3);
    heal(w);
    world_kill(w, wrong);
    world_start(w, wrong);
    assert_false(replica_is_quarantined(w->nodes[wrong].replica));
    world_start(w, (wrong + 2) % 3);
    assert_true(world_ready(w));
    assert_true(world_settle(w, PX_NS_PER_S));
    expect_equal(w);
    world_close(w);
}

/* Two nodes can't tell which of them is wrong; who can marks that one. */
static void a_mark_made_by_hand_has_a_node_rebuilt(void **state)
{
    struct world *w = world_open_comparing(2, 10, EVERY);
    char path[128];
    FILE *mark;

    (void)state;
    assert_true(world_ready(w));
    world_diverge(w, 0);
    write_some(w, 2 * EVERY);
    assert_false(any_quarantined(w, NULL));
    world_kill(w, 0);
    (void)snprintf(path, sizeof path, "%s/state/diverged", w->nodes[0].dir);
    mark = fopen(path, "we");
    assert_non_null(mark);
    assert_int_equal(fclose(mark), 0);
    world_start(w, 0);
    assert_true(replica_is_quarantined(w->nodes[0].replica));
    heal(w);
    expect_equal(w);
    world_close(w);
}

/* Its log is sound: it makes a majority where another one is down. */
static void a_node_in_quarantine_votes_and_acknowledges(void **state)
{
    struct world *w = world_open_comparing(3, 8, EVERY);
    size_t wrong = wrong_follower(w);
    size_t leader = world_leader(w);

    (void)state;
    world_kill(w, leader);
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    assert_true(world_leader(w) < 3 && world_leader(w) != wrong);
    write_some(w, 4 * EVERY);
    assert_true(replica_is_quarantined(w->nodes[wrong].replica));
    heal(w);
    world_start(w, leader);
    assert_true(world_ready(w));
    assert_true(world_settle(w, PX_NS_PER_S));
    expect_equal(w);
    world_close(w);
}

static void one_wrong_state_is_kept_the_newest(void **state)
{
    struct world *w = world_open_comparing(3, 9, EVERY);
    size_t wrong = wrong_follower(w);
    struct replica_divergence d;
    char name[64];

    (void)state;
    heal(w);
    assert_int_equal(count_names(w, wrong, "state", "diverged"), 1);
    assert_true(world_leader(w) != wrong); /* it had no reason to lead */
    quarantine(w, wrong);
    replica_get_divergence(w->nodes[wrong].replica, &d);
    heal(w);
    assert_int_equal(count_names(w, wrong, "state", "diverged"), 1);
    (void)snprintf(name, sizeof name, "diverged-%llu",
                   (unsigned long long)d.index);
    assert_int_equal(count_names(w, wrong, "state", name), 1);
    (void)snprintf(name, sizeof name, "state/diverged-%llu",
                   (unsigned long long)d.index);
    assert_int_equal(count_names(w, wrong, name, "diverged"), 1);
    assert_int_equal(count_names(w, wrong, name, "data.mdb"), 1);
    expect_equal(w);
    world_close(w);
}

/* Pieces, answers and claims come late, twice as it were, or never. */
static void it_is_rebuilt_over_a_bad_network_too(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 110; seed++) {
        struct world *w = world_open_comparing(5, seed, EVERY);

        (void)wrong_follower(w);
        w->lose_percent = 10;
        w->shuffle_percent = 20;
        w->loses = NULL;
        assert_true(world_run(w, 10 * LONG, none_quarantined, NULL));
        w->lose_percent = 0;
        w->shuffle_percent = 0;
        assert_true(world_ready(w));
        assert_true(world_settle(w, 10 * PX_NS_PER_S));
        expect_equal(w);
        world_close(w);
    }
}

static size_t count_running(const struct world *w)
{
    size_t count = 0;

    for (size_t i = 0; i < w->node_count; i++)
        count += w->nodes[i].replica != NULL;
    return count;
}

/* One stays, for the clock's sake. */
static void kill_or_start(struct world *w)
{
    size_t node = (size_t)px_rand_below(&w->rand, w->node_count);

    if (w->nodes[node].replica == NULL)
        world_start(w, node);
    else if (count_running(w) > 1)
        world_kill(w, node);
}

/* Who leads may be the one, and be found out in the middle of it. */
static void write_anyhow(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct world_request q;
        char name[16];

        assert_true(world_ready(w) || any_quarantined(w, NULL));
        (void)snprintf(name, sizeof name, "n%u", made++);
        world_mkdir(w, i % w->node_count, name, &q);
        assert_true(world_wait(w, &q));
    }
}

/* Whoever, and whenever: in the middle of a piece, before the mark. */
static void it_is_rebuilt_though_nodes_die_meanwhile(void **state)
{
    (void)state;
    for (uint64_t seed = 200; seed < 230; seed++) {
        struct world *w = world_open_comparing(3, seed, EVERY);

        (void)wrong_follower(w);
        w->loses = NULL;
        for (unsigned i = 0; i < 20; i++) {
            kill_or_start(w);
            (void)world_settle(w, px_rand_below(&w->rand, 100 * PX_NS_PER_MS));
        }
        for (size_t i = 0; i < w->node_count; i++) {
            if (w->nodes[i].replica == NULL)
                world_start(w, i);
        }
        assert_true(world_ready(w));
        write_anyhow(w, 3 * EVERY); /* it may not have been marked in time */
        heal(w);
        expect_equal(w);
        world_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_that_is_wrong_is_not_shown),
        cmocka_unit_test(a_pause_that_ends_in_it_is_not_due_for_ever),
        cmocka_unit_test(what_waits_is_refused_unless_it_has_left),
        cmocka_unit_test(a_follower_is_rebuilt_and_serves_again),
        cmocka_unit_test(a_leader_is_rebuilt_by_who_leads_after_it),
        cmocka_unit_test(a_snapshot_from_before_it_differed_does_not_do),
        cmocka_unit_test(its_own_snapshots_are_replaced_by_the_leaders),
        cmocka_unit_test(a_restart_does_not_end_the_quarantine),
        cmocka_unit_test(a_mark_made_by_hand_has_a_node_rebuilt),
        cmocka_unit_test(a_node_in_quarantine_votes_and_acknowledges),
        cmocka_unit_test(one_wrong_state_is_kept_the_newest),
        cmocka_unit_test(it_is_rebuilt_over_a_bad_network_too),
        cmocka_unit_test(it_is_rebuilt_though_nodes_die_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
