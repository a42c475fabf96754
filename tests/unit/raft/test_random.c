/* Clusters under random faults: messages lost, doubled, reordered, delayed;
 * partitions; crashes that lose what was not synced; clocks of different rates.
 * harness.h says what is checked after each step; at the end, when all heals,
 * the cluster has to make progress.
 *
 *   test_raft_random [SEED [COUNT]]   from SEED on, as printed by a failure */
#include "tests/unit/raft/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/raft/harness.h"
#include "tests/unit/raft/oracle.h"

#define SEEDS 300u
#define PHASES 25
#define ACTIONS 150

static uint64_t seed_first = 1;
static uint64_t seed_count = SEEDS;

/* Two kinds of trouble that not every run has, so that each is seen alone. */
static bool has_damage(const struct cluster *c)
{
    return c->seed % 4 != 2;
}

static bool has_changes(const struct cluster *c)
{
    return c->seed % 4 >= 2;
}

static uint64_t below(struct cluster *c, uint64_t bound)
{
    return px_rand_below(&c->rand, bound);
}

static struct node *any_node(struct cluster *c)
{
    return &c->nodes[below(c, c->count)];
}

/* ---- Faults ---- */

static void random_cut(struct cluster *c)
{
    if (below(c, 3) == 0) {
        cluster_heal(c);
        return;
    }
    if (below(c, 3) == 0) { /* one way only */
        c->is_cut[below(c, c->count)][below(c, c->count)] = true;
        return;
    }
    if (below(c, 2) == 0 && cluster_leader(c) != NULL) { /* the leader's */
        unsigned leader = (unsigned)cluster_leader(c)->id - 1;

        for (unsigned i = 0; i < c->count; i++)
            cluster_cut(c, leader, i, i != leader);
        return;
    }
    for (uint64_t side = below(c, UINT64_C(1) << c->count), i = 0; i < c->count;
         i++)
        for (unsigned k = 0; k < i; k++)
            cluster_cut(c, (unsigned)i, k, ((side >> i ^ side >> k) & 1) != 0);
}

static void crash(struct cluster *c, struct node *n)
{
    if (n->raft != NULL)
        cluster_crash(c, n, below(c, n->disk.write_count + 1),
                      below(c, n->applied + 1));
}

/* Its disk has lost something when it comes back: of a minority, so that the
 * others can make it good; now and then of more. */
static void random_damage(struct cluster *c, struct node *n)
{
    const struct disk *d = &n->disk;

    if (!has_damage(c))
        return;
    if (!d->is_faulty && cluster_faulty(c) >= (c->count - 1) / 2 &&
        below(c, 50) > 0)
        return;
    crash(c, n);
    if (d->is_new)
        return;
    if (d->past != NULL && below(c, 3) == 0)
        cluster_turn_back(c, n);
    else if (d->last > d->base.index && d->last > 1)
        cluster_damage(c, n,
                       d->last - 1 -
                           below(c, d->last - d->base.index) /
                               (1 + below(c, 10)));
}

static void random_crash(struct cluster *c, struct node *n)
{
    if (n->raft == NULL)
        cluster_restart(c, n);
    else if (below(c, 3) == 0)
        crash(c, n);
}

static void random_time(struct cluster *c)
{
    struct node *n = any_node(c);

    c->now += below(c, CLUSTER_H) / (1 + below(c, 20));
    if (n->raft != NULL && !n->is_paused)
        (void)cluster_step(c, n, (struct raft_in){.type = RAFT_IN_TICK});
}

static void random_message(struct cluster *c)
{
    size_t i;

    if (c->network.count == 0)
        return;
    i = below(c, 4) == 0 ? below(c, c->network.count) : 0;
    switch (below(c, 20)) {
    case 0:
        cluster_drop(c, i);
        return;
    case 1:
        cluster_double(c, i);
        return;
    default:
        cluster_deliver(c, i);
        return;
    }
}

/* To anybody; what makes no sense is refused. */
static void random_transfer(struct cluster *c, struct node *leader)
{
    struct raft_in in = {.type = RAFT_IN_TRANSFER,
                         .transfer = below(c, c->count + 1)};

    if (cluster_step(c, leader, in) == 0)
        c->counts.transfers++;
}

/* Before a leader has committed in its term it is most tempting. */
static bool is_change_time(struct cluster *c, const struct node *leader)
{
    return has_changes(c) &&
           below(c, raft_can_serve(leader->raft) ? 6 : 2) == 0;
}

/* Of anybody; what can't be is refused. Who was removed may come back: its disk
 * is as it was. */
static void random_change(struct cluster *c, struct node *leader)
{
    struct raft_change change = {.what = (enum raft_change_what)below(c, 3),
                                 .id = 1 + below(c, c->count)};
    struct raft_in in = {.type = RAFT_IN_CHANGE, .change = &change};

    if (change.what == RAFT_REMOVE && below(c, 2) == 0)
        return; /* or there would be few */
    if (cluster_step(c, leader, in) != 0)
        return;
    c->counts.added += change.what == RAFT_ADD;
    c->counts.promoted += change.what == RAFT_PROMOTE;
    c->counts.removed += change.what == RAFT_REMOVE;
}

static void random_client(struct cluster *c)
{
    struct node *n = any_node(c);
    struct node *leader = cluster_leader(c);

    if (n->raft == NULL || n->is_paused)
        return;
    if (n->raft->role == RAFT_LEADER)
        leader = n; /* deposed, perhaps, and the last to know */
    if (leader != NULL && !leader->is_paused && below(c, 40) == 0)
        random_transfer(c, leader);
    else if (leader != NULL && !leader->is_paused && is_change_time(c, leader))
        random_change(c, leader);
    else if (below(c, 2) == 0)
        cluster_read(c, n);
    else if (leader != NULL && !leader->is_paused)
        (void)cluster_propose(/* refusals are part of it */
                              c, leader, px_rand_next(&c->rand), n->id);
}

static void random_disk(struct cluster *c, struct node *n)
{
    if (n->raft == NULL || n->is_paused)
        return;
    if (n->fetch_count > 0 && below(c, 2) == 0)
        cluster_answer_fetch(c, n, below(c, 5) > 0);
    else
        cluster_sync(c, n, 1 + below(c, 3));
}

static void random_past(struct cluster *c, struct node *n)
{
    if (below(c, 4) == 0)
        disk_note_past(&n->disk);
}

static void random_unreachable(struct cluster *c, struct node *n)
{
    if (n->raft != NULL && !n->is_paused)
        (void)cluster_step(c, n,
                           (struct raft_in){.type = RAFT_IN_UNREACHABLE,
                                            .unreachable = any_node(c)->id});
}

/* The process stops, or goes on: it has missed all that went by. */
static void random_pause(struct cluster *c)
{
    struct node *n = cluster_leader(c);

    if (n == NULL || below(c, 2) == 0)
        n = any_node(c);
    n->is_paused = !n->is_paused;
    if (n->raft != NULL)
        cluster_lease_read(c, n);
}

/* One that is under way, if there is any. */
static struct transfer *any_transfer(struct cluster *c)
{
    struct transfer *active[NODES_MAX * NODES_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < c->count; i++)
        for (unsigned k = 0; k < c->count; k++)
            if (c->transfers[i][k].stage != TRANSFER_NONE)
                active[count++] = &c->transfers[i][k];
    return count == 0 ? NULL : active[below(c, count)];
}

/* Saved, and the log's head dropped; or sent to one who may not need it, as to
 * one that has caught up meanwhile. */
static void random_save(struct cluster *c, struct node *n)
{
    struct raft_snapshot want = {.peer = any_node(c)->id};

    if (n->raft == NULL || n->is_paused)
        return;
    cluster_compact(c, n, n->applied - below(c, n->applied + 1) / 4);
    want.term = n->raft->hard.term;
    if (n->raft->role == RAFT_LEADER && want.peer != n->id)
        transfer_ask(c, n, &want);
}

static void random_snapshot(struct cluster *c)
{
    struct transfer *t = any_transfer(c);

    if (t == NULL)
        random_save(c, any_node(c));
    else if (below(c, 8) == 0)
        transfer_break(c, t);
    else if (below(c, 3) == 0 && t->stage >= TRANSFER_RECEIVED)
        crash(c, &c->nodes[t->to - 1]);
    else
        (void)transfer_advance(c, t); /* or it has to wait */
}

static void random_action(struct cluster *c)
{
    uint64_t dice = below(c, 100);

    if (dice < 10)
        random_snapshot(c);
    else if (dice < 50)
        random_message(c);
    else if (dice < 70)
        random_disk(c, any_node(c));
    else if (dice < 83)
        random_client(c);
    else if (dice < 94)
        random_time(c);
    else if (dice < 95)
        random_pause(c);
    else if (dice < 96)
        random_cut(c);
    else if (dice < 97)
        random_unreachable(c, any_node(c));
    else if (dice < 98 && below(c, 3) == 0)
        random_damage(c, any_node(c));
    else if (dice < 98)
        random_past(c, any_node(c));
    else
        random_crash(c, any_node(c));
    for (unsigned i = 0; i < c->count; i++)
        if (c->nodes[i].raft != NULL)
            cluster_lease_read(c, &c->nodes[i]);
}

static void print_counts(const struct cluster_counts *n)
{
    print_message("leaders %" PRIu64 ", commits %" PRIu64 ", cuts %" PRIu64
                  ", fetches %" PRIu64 ", reads by lease %" PRIu64
                  ", of leaders %" PRIu64 ", of followers %" PRIu64
                  ", crashes %" PRIu64 ", writes lost %" PRIu64 "\n",
                  n->leaders, n->commits, n->cuts, n->fetches, n->lease_reads,
                  n->reads_leader, n->reads_follower, n->crashes,
                  n->lost_writes);
    print_message("compactions %" PRIu64 ", snapshots asked for %" PRIu64
                  ", installed by reset %" PRIu64 ", with the log kept %" PRIu64
                  ", ignored %" PRIu64 ", broken %" PRIu64
                  ", found at a restart %" PRIu64
                  "; leadership handed over %" PRIu64 "\n",
                  n->compactions, n->asked, n->resets, n->kept, n->ignored,
                  n->broken, n->unswapped, n->transfers);
    print_message(
        "logs damaged %" PRIu64 ", again %" PRIu64 ", turned back %" PRIu64
        ", said so %" PRIu64 ", commits that counted on them %" PRIu64
        ", whole again %" PRIu64 "\n",
        n->damaged, n->again, n->turned, n->lost, n->phantoms, n->recovered);
    print_message("members added %" PRIu64 ", promoted %" PRIu64
                  ", removed %" PRIu64 ", brought by a snapshot %" PRIu64 "\n",
                  n->added, n->promoted, n->removed, n->configs_moved);
}

/* ---- A run ---- */

static void heal_all(struct cluster *c)
{
    cluster_heal(c);
    for (unsigned i = 0; i < c->count; i++) {
        struct node *n = &c->nodes[i];

        if (n->raft == NULL)
            cluster_restart(c, n);
        else if (n->is_paused)
            cluster_lease_read(c, n); /* its first act */
        n->is_paused = false;
    }
}

/* On all members: nobody speaks to the others. */
static bool is_everywhere(const struct cluster *c, const struct node *leader)
{
    const struct raft_config *config = &leader->raft->config;

    for (unsigned i = 0; i < c->count; i++)
        if (raft_config_find(config, i + 1) >= 0 &&
            (c->nodes[i].applied != c->commit || c->nodes[i].read_count > 0))
            return false;
    return true;
}

/* Once faults heal: a leader, a commit, and every replica and read served. */
static void check_progress(struct cluster *c)
{
    struct node *leader;
    raft_index commit;

    heal_all(c);
    if (cluster_faulty(c) > (has_changes(c) ? 0 : (c->count - 1) / 2))
        return; /* a majority can't vote: it may have to wait for ever */
    leader = cluster_run_to_leader(c);
    cluster_run(c, 6 * CLUSTER_E); /* 4 for losses that nobody reported */
    leader = cluster_run_to_leader(c);
    /* Before the next proposal, whose refusal would show what was lost. */
    if (!is_everywhere(c, leader))
        oracle_fail(c, "an idle cluster did not make good what it had lost");
    for (unsigned i = 0; i < c->count; i++)
        if (c->nodes[i].raft->fault.is_faulty)
            oracle_fail(c, "a faulty replica was not made whole");
    commit = c->commit;
    if (cluster_propose(c, leader, 1, leader->id) != 0)
        oracle_fail(c, "a proposal was refused after all had healed");
    cluster_run(c, 3 * CLUSTER_E);
    if (c->commit <= commit)
        oracle_fail(c, "nothing was committed after all had healed");
    if (!is_everywhere(c, leader))
        oracle_fail(c,
                    "a replica or a read stayed behind after all had healed");
}

static void add_counts(struct cluster_counts *sum,
                       const struct cluster_counts *add)
{
    sum->leaders += add->leaders;
    sum->commits += add->commits;
    sum->cuts += add->cuts;
    sum->fetches += add->fetches;
    sum->lease_reads += add->lease_reads;
    sum->reads_leader += add->reads_leader;
    sum->reads_follower += add->reads_follower;
    sum->crashes += add->crashes;
    sum->lost_writes += add->lost_writes;
    sum->compactions += add->compactions;
    sum->asked += add->asked;
    sum->resets += add->resets;
    sum->kept += add->kept;
    sum->ignored += add->ignored;
    sum->broken += add->broken;
    sum->unswapped += add->unswapped;
    sum->damaged += add->damaged;
    sum->again += add->again;
    sum->turned += add->turned;
    sum->lost += add->lost;
    sum->phantoms += add->phantoms;
    sum->recovered += add->recovered;
    sum->transfers += add->transfers;
    sum->added += add->added;
    sum->promoted += add->promoted;
    sum->removed += add->removed;
    sum->configs_moved += add->configs_moved;
}

static void run_seed(uint64_t seed, struct cluster_counts *sum)
{
    unsigned count = seed / 4 % 2 == 0 ? 3 : 5;
    unsigned voters = seed % 4 >= 2 ? 1 + (unsigned)(seed / 8 % count) : count;
    struct cluster *c = cluster_new_of(count, voters, seed);

    for (unsigned i = 0; i < c->count; i++)
        c->nodes[i].clock_ppm = (int64_t)below(c, 18001) - 9000;
    for (int phase = 0; phase < PHASES; phase++) {
        for (int i = 0; i < ACTIONS; i++)
            random_action(c);
        if (below(c, 2) == 0)
            heal_all(c);
        cluster_run(c, below(c, 4 * CLUSTER_E));
    }
    check_progress(c);
    add_counts(sum, &c->counts);
    cluster_free(c);
}

static void safety_holds_under_faults_and_progress_follows(void **s)
{
    struct cluster_counts sum = {0};

    (void)s;
    for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++)
        run_seed(seed, &sum);
    print_counts(&sum);
    if (seed_count < SEEDS)
        return;
    /* It has all happened, many times. */
    assert_true(sum.leaders > 5 * SEEDS);
    assert_true(sum.commits > 50 * SEEDS);
    assert_true(sum.cuts > SEEDS / 2);
    assert_true(sum.fetches > SEEDS);
    assert_true(sum.lease_reads > 10 * SEEDS);
    assert_true(sum.reads_leader > 5 * SEEDS);
    assert_true(sum.reads_follower > 10 * SEEDS);
    assert_true(sum.crashes > 5 * SEEDS);
    assert_true(sum.lost_writes > SEEDS);
    assert_true(sum.compactions > 10 * SEEDS);
    assert_true(sum.asked > 5 * SEEDS);
    assert_true(sum.resets > 2 * SEEDS);
    assert_true(sum.kept > SEEDS / 10);
    assert_true(sum.ignored > SEEDS);
    assert_true(sum.broken > SEEDS);
    assert_true(sum.unswapped > SEEDS / 10);
    assert_true(sum.damaged > SEEDS);
    assert_true(sum.again > SEEDS / 10);
    assert_true(sum.turned > SEEDS / 10);
    assert_true(sum.lost > SEEDS);
    assert_true(sum.phantoms > 0);
    assert_true(sum.recovered > SEEDS / 2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        unit(safety_holds_under_faults_and_progress_follows),
    };

    if (argc > 1) {
        seed_first = strtoull(argv[1], NULL, 10);
        seed_count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
