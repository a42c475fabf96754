/*   storm ─▶ (a core works, the rest is broken for ever) ─▶ all heals
 *         ─▶ progress on each node, in time ─▶ nothing is asked any more
 *         ─▶ states that are wrong are found
 *         ─▶ equal states, a linearizable history */
#include "tests/sim/story.h"

#include <inttypes.h>

#include "base/assert.h"
#include "tests/sim/check.h"
#include "tests/sim/clients.h"
#include "tests/sim/faults.h"
#include "tests/sim/gossip.h"
#include "tests/sim/members.h"
#include "tests/sim/server_open.h"
#include "tests/sim/state.h"

/* A write succeeds on each node that works within this many election timeouts:
 * a restarted node waits for one before it votes, elections may split, a
 * connection is dialled anew, and a forward that was lost is sent again after a
 * quarter of the request timeout (at most 3 elections here). */
#define RECOVERY_ELECTIONS 30
#define QUIET_ELECTIONS 60
/* A leader that could make no snapshot tries again so much later: one may wait for
 * it whose own state is wrong. */
#define SAVE_RETRY (10 * PX_NS_PER_S)
/* A state that differs is found when so many entries more are committed. */
#define FOUND_ENTRIES (4 * SERVER_HASH_EVERY)

/* Who is no member yet, or no longer, may do what it likes. */
static bool is_to_work(const struct world *w, size_t i, const bool core[])
{
    return core[i] && !w->servers[i]->is_gone && check_is_member(w, i);
}

static bool all_probed(const struct world *w, const bool core[])
{
    for (size_t i = 0; i < w->server_count; i++) {
        if (is_to_work(w, i, core) && !clients_is_probed(w->servers[i]))
            return false;
    }
    return true;
}

static void probe(struct world *w, const bool core[])
{
    for (size_t i = 0; i < w->server_count; i++) {
        if (is_to_work(w, i, core) && server_is_up(w->servers[i]))
            clients_probe(w->servers[i]);
    }
}

static px_ns recovery_max(const struct world *w)
{
    px_ns most = RECOVERY_ELECTIONS * w->election;

    for (size_t i = 0; i < w->server_count; i++) {
        if (w->servers[i]->doubt.is_allowed)
            return most + SAVE_RETRY;
    }
    return most;
}

static void must_recover(struct world *w, const bool core[])
{
    px_ns begun = w->now;
    px_ns end = begun + recovery_max(w);
    uint64_t took;

    clients_forget_probes(w);
    while (!all_probed(w, core)) {
        probe(w, core);
        if (w->now > end)
            world_fail(w, "no progress %" PRIu64 " ms after healing",
                       (end - begun) / PX_NS_PER_MS);
        world_run(w, w->now + w->heartbeat);
    }
    took = (w->now - begun) / PX_NS_PER_MS;
    if (took > w->counts[COUNT_RECOVERY_MS_MAX])
        w->counts[COUNT_RECOVERY_MS_MAX] = took;
}

/* Who has lost entries does not vote, nor who has yet to be given the log. */
static bool has_vote(const struct server *s)
{
    return !s->is_gone && !s->has_flips && !s->has_home_flip &&
           s->durable.is_begun;
}

/* No more than it takes; and nobody whose state may be found to be wrong, for
 * then it does not lead. False: there may be none yet, where the cluster has
 * hardly begun. */
static bool draw_core(struct world *w, bool core[])
{
    for (size_t i = 0; i < SERVERS_MAX; i++)
        core[i] = i < w->server_count && has_vote(w->servers[i]) &&
                  !w->servers[i]->doubt.is_allowed;
    if (!check_have_majorities(w, core))
        return false;
    for (size_t tries = 4 * w->server_count; tries > 0; tries--) {
        size_t i = (size_t)world_draw(w, 0, w->server_count);
        bool was = core[i];

        core[i] = false;
        core[i] = was && !check_have_majorities(w, core);
    }
    return true;
}

static bool has_all(const struct world *w, size_t i, raft_index last)
{
    struct raft_status status;

    if (w->servers[i]->is_gone || !check_is_member(w, i))
        return true; /* nothing is asked of it */
    if (!server_is_up(w->servers[i]))
        return false;
    replica_get_status(w->servers[i]->replica, &status);
    return status.last.index == last && status.applied == last;
}

static bool is_quiet(const struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++) {
        if (!has_all(w, i, check_commit(w)))
            return false;
    }
    return clients_are_idle(w);
}

/* Quiet for a while: unlinked files are still released, and reaped. */
static void must_be_quiet(struct world *w)
{
    px_ns begun = w->now;
    px_ns quiet_since = w->now;

    while (w->now < quiet_since + 2 * PX_NS_PER_S) {
        world_run(w, w->now + w->heartbeat);
        if (!is_quiet(w))
            quiet_since = w->now;
        if (w->now > begun + 10 * PX_NS_PER_S + QUIET_ELECTIONS * w->election)
            world_fail(w, "replicas do not come to the same end");
    }
}

static void live_with_a_core(struct world *w)
{
    bool core[SERVERS_MAX];

    if (!draw_core(w, core))
        return;
    faults_heal_core(w, core);
    gossip_must_agree(w, core);
    must_recover(w, core);
    world_run(w, w->now + 5 * w->election);
}

/* A damaged log takes a vote away, until a leader has made it whole; where
 * others have not been given theirs yet, too few may be left to elect one. And
 * where nobody has begun, it can't say that it was empty, so nobody finds that the
 * cluster is new. It takes a flipped bit: whoever has led was elected by a majority
 * of votes. */
static bool has_to_wait(struct world *w)
{
    bool votes[SERVERS_MAX] = {false};
    bool has_flips = false;

    for (size_t i = 0; i < w->server_count; i++) {
        const struct server *s = w->servers[i];

        votes[i] = has_vote(s);
        has_flips |= s->has_flips;
    }
    return has_flips && !check_have_majorities(w, votes);
}

/* What is safe stays so. */
static void wait_for_ever(struct world *w)
{
    w->counts[COUNT_TOO_FEW_VOTES]++;
    clients_end(w);
    world_run(w, w->now + 2 * w->request_timeout);
    clients_check(w);
}

/* A state that is wrong is outvoted, and replaced. A person decides where those
 * who are right have no say, or nothing more can be written. */
static void must_find(struct world *w, const bool all[])
{
    raft_index decided_since = check_commit(w);

    if (!states_have_wrong(w))
        return;
    for (unsigned i = 0; i < FOUND_ENTRIES && states_have_wrong(w); i++) {
        if (!states_are_decided(w))
            decided_since = check_commit(w);
        if (check_commit(w) > decided_since + FOUND_ENTRIES)
            world_fail(w, "a wrong state is not found");
        must_recover(w, all);
    }
    states_give_up(w);
    world_run(w, w->now + w->heartbeat);
    must_recover(w, all);
}

static void end_well(struct world *w)
{
    bool all[SERVERS_MAX];

    for (size_t i = 0; i < SERVERS_MAX; i++)
        all[i] = true;
    gossip_must_agree(w, all);
    must_recover(w, all);
    clients_end(w);
    must_find(w, all);
    must_be_quiet(w);
    gossip_must_bury(w);
    check_states(w);
    clients_check(w);
}

void story_run(struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++) {
        server_start_later(w->servers[i], world_draw(w, 0, w->election));
    }
    clients_begin(w);
    faults_begin(w);
    members_begin(w);
    world_run(w, w->options.storm);
    members_end(w);
    if (w->server_count > 1 && world_chance(w, 40))
        live_with_a_core(w);
    faults_heal(w);
    if (has_to_wait(w))
        wait_for_ever(w);
    else
        end_well(w);
    for (size_t i = 0; i < w->server_count; i++) {
        w->counts[COUNT_SEGMENTS] +=
            sim_disk_file_count(w->servers[i]->disks[SERVER_LOG]);
        if (server_is_up(w->servers[i]))
            server_end(w->servers[i], SERVER_STOPPED);
    }
    w->counts[COUNT_SECONDS] += w->now / PX_NS_PER_S;
}
