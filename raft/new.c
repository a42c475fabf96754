/* A replica's beginning and end, and what it says of itself. */
#include <errno.h>
#include <stdlib.h>

#include "base/mutant.h"
#include "raft/core.h"

#define PPM UINT64_C(1000000)
/* Durations beyond make no sense, and products of them would overflow. */
#define DURATION_MAX (UINT64_C(3600) * PX_NS_PER_S)

static bool is_log_sound(const struct raft_options *o)
{
    raft_term term = o->base.term;
    raft_index next = o->base.index + 1;

    if ((o->base.index == 0) != (o->base.term == 0) ||
        o->applied < o->base.index || o->applied > o->last)
        return false;
    for (size_t i = 0; i < o->run_count; i++) {
        const struct raft_term_run *run = &o->runs[i];

        if (run->term == 0 || run->first > o->last)
            return false;
        if (i == 0 ? run->term < term : run->term <= term)
            return false; /* the term of the base may go on behind it */
        if (i == 0 ? run->first != next : run->first < next)
            return false;
        term = run->term;
        next = run->first + 1;
    }
    if ((o->run_count == 0) != (o->last == o->base.index))
        return false;
    return o->hard.term >= term;
}

/* Each lies in the log; one that is in force has a voter, but for the first. */
static bool are_configs_sound(const struct raft_options *o)
{
    raft_index before = o->base.index;

    if (!raft_config_is_sound(&o->config))
        return false;
    for (size_t i = 0; i < o->config_count; i++) {
        const struct raft_config_at *at = &o->configs[i];

        if (at->index <= before || at->index > o->last ||
            !raft_config_is_sound(&at->config) ||
            raft_config_voters(&at->config) == 0)
            return false;
        before = at->index;
    }
    return true;
}

static bool are_durations_sound(const struct raft_options *o)
{
    return o->heartbeat > 0 && o->election <= DURATION_MAX &&
           o->heartbeat <= o->election / 4 && o->clock_drift_ppm < PPM;
}

static bool are_sound(const struct raft_options *o)
{
    if (o->is_first_boot && (o->last > 0 || o->hard.term > 0 || o->is_faulty))
        return false;
    return o->id != 0 && is_log_sound(o) && are_configs_sound(o) &&
           are_durations_sound(o);
}

/* For how long an earlier run's word may bind: whoever it answered counts on
 * the election timeout of that time. Rounded up. A timeout beyond DURATION_MAX
 * was never accepted. */
static px_ns quiet_time(const struct raft_options *o)
{
    px_ns e = o->promise > o->election ? o->promise : o->election;

    if (e > DURATION_MAX)
        e = DURATION_MAX;
    return e + (e * o->clock_drift_ppm + PPM - 1) / PPM;
}

/* Replicas whose seeds come to be equal draw different numbers all the same: they
 * would ask for each other's votes at the same moment, for ever. */
static uint64_t own_seed(const struct raft_options *o)
{
    struct px_rand of_id;

    if (px_mutant(TIMEOUT_SHARED))
        return o->seed;
    px_rand_init(&of_id, o->id);
    return px_rand_next(&of_id) ^ o->seed;
}

static void set_times(struct raft *r, const struct raft_options *o)
{
    struct px_rand attempts;
    bool is_alone = r->is_voter && r->voter_count == 1;

    r->election = o->election;
    r->heartbeat = o->heartbeat;
    r->lease =
        o->election * (PPM - o->clock_drift_ppm) / (PPM + o->clock_drift_ppm);
    if (px_mutant(LEASE_NO_DRIFT))
        r->lease = o->election;
    r->now = o->now;
    /* A sole voter can have promised nothing to anybody. */
    if (!o->is_first_boot && !is_alone && !px_mutant(LEASE_AFTER_RESTART))
        r->quiet_until = o->now + quiet_time(o);
    px_rand_init(&r->rand, own_seed(o));
    raft_election_restart(r);
    if (is_alone)
        r->election_at = o->now;
    /* Attempts to read, and what a faulty replica asks, must differ from those
     * before a restart, within the same term: the time tells the two apart. */
    px_rand_init(&attempts, own_seed(o) ^ o->now);
    r->reads.attempt_next = px_rand_next(&attempts) >> 1 | 1;
    r->fault_next = px_rand_next(&attempts) >> 1 | 1;
    if (o->is_faulty)
        raft_fault_begin(r, true);
}

int raft_new(const struct raft_options *options, struct raft **raft_out)
{
    struct raft *r;

    if (!are_sound(options))
        return -EINVAL;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return -ENOMEM;
    r->id = options->id;
    r->hard = options->hard;
    r->commit = options->applied;
    r->now = options->now;
    if (raft_log_init(&r->log, options) < 0 ||
        raft_configs_init(r, options) < 0) {
        raft_free(r);
        return -ENOMEM;
    }
    set_times(r, options);
    r->seen_hard = r->hard;
    r->seen_commit = r->commit;
    r->seen_base = r->log.base.index;
    r->seen_fault = r->fault;
    *raft_out = r;
    return 0;
}

void raft_free(struct raft *r)
{
    if (r == NULL)
        return;
    while (r->draft.fetched_count > 0)
        px_slice_unref(&r->draft.fetched[--r->draft.fetched_count].data);
    raft_configs_fini(r);
    raft_log_fini(&r->log);
    free(r);
}

size_t raft_committed(const struct raft *r, raft_index first,
                      struct raft_entry *entries, size_t max)
{
    raft_index ready = raft_ready_index(r);
    uint64_t bytes = 0;
    size_t count = 0;

    if (first < raft_log_tail_first(&r->log))
        return 0;
    while (count < max && first + count <= ready) {
        const struct raft_entry *e = raft_log_entry(&r->log, first + count);

        bytes += e->data.size;
        if (count > 0 && bytes > PX_BATCH_BYTES_MAX)
            break;
        entries[count++] = *e;
    }
    return count;
}

void raft_get_status(const struct raft *r, struct raft_status *status_out)
{
    *status_out = (struct raft_status){
        .id = r->id,
        .role = r->role,
        .term = r->hard.term,
        .voted_for = r->hard.voted_for,
        .leader = r->leader,
        .base = r->log.base,
        .last = raft_log_last(&r->log),
        .durable = r->log.durable,
        .commit = r->commit,
        .applied = r->log.applied,
        .config = r->configs.list[r->configs.count - 1].index,
        .config_changes = r->config_changes,
        .lease_end = raft_lease_end(r),
        .can_serve = raft_can_serve(r),
        .is_installing = r->installing != 0,
        .is_faulty = r->fault.is_faulty,
        .recovered_at = r->fault.barrier,
        .transfer = r->transfer.to,
        .refused = r->refused,
    };
}

size_t raft_get_peers(const struct raft *r, struct raft_peer_status *peers,
                      size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < r->config.count; i++) {
        const struct raft_peer *p = &r->peers[i];

        if (p->id == r->id)
            continue;
        if (count < max)
            peers[count] = (struct raft_peer_status){
                .id = p->id,
                .role = p->role,
                .state = raft_progress_text(p->state),
                .match = p->match,
                .next = p->next,
                .heard = p->heard,
                .is_faulty = p->is_faulty,
                .has_caught_up = raft_has_caught_up(r, p),
            };
        count++;
    }
    return count;
}
