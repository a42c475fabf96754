/* Who the members are, and how that changes: one at a time (chapter 4).
 *
 *   ADD ─▶ learner ─▶ it has caught up ─▶ PROMOTE ─▶ voter ─▶ REMOVE ─▶ gone
 *
 * A configuration is an entry. The newest one in the log is in force, committed
 * or not (4.1), on every replica: so it comes into force when its entry is
 * appended, and goes when the log is cut before it. The list below holds those
 * that a cut could bring back, and the one that stands for what is applied.
 *
 *   index   applied ......................... last
 *           [0]         [1]        [2] in force
 *
 * Why one at a time is safe: any majority of one configuration and any majority
 * of the next have a member in common, so they can't elect two leaders in one
 * term, nor commit past each other. Two changes may not be under way at once;
 * and none may begin before the leader has committed in its own term: else two
 * leaders in turn could each propose a change to the same configuration, to
 * configurations whose majorities have nobody in common (the flaw of the
 * single-server change as first published, found in 2015).
 *
 * A learner is sent what is committed, and counts nowhere. It is promoted when
 * it lacks at most PROMOTE_LAG entries: else the majority might have to wait for
 * it.
 *
 * Were it sent all that its leader has, it could hold what nobody else has any
 * more, once that leader is lost, and be a voter to others: its promotion is in
 * their logs, and that leader has cut it from its own. Whoever stands for
 * election then needs its vote, and is refused for a log that is older; and by
 * its own log it may not stand. So the log of one that is a learner by its own
 * log, or no member, ends with what is committed, and is newer than nobody's who
 * can be elected: what it was sent as a voter came behind its promotion, and is
 * cut with it.
 *
 * Voters come and go only if a majority of those that there are then is heard
 * of and has votes to give (who is faulty has none: fault.c). Else nothing
 * could be committed any more, nor could a change that would help; and if we
 * fell, nobody else would be elected.
 *
 * A leader does not remove itself: it hands leadership over first. So whoever
 * leads is a voter of its own configuration. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mutant.h"
#include "raft/core.h"

#define PROMOTE_LAG PX_BATCH_ENTRIES_MAX
#define HEARD_BEATS 2u
#define LIST_MIN 4u

static struct raft_config_at *in_force(struct raft *r)
{
    return &r->configs.list[r->configs.count - 1];
}

/* ---- The list ---- */

int raft_configs_reserve(struct raft *r, size_t more)
{
    struct raft_configs *c = &r->configs;
    size_t capacity = c->capacity < LIST_MIN ? LIST_MIN : c->capacity;
    struct raft_config_at *list;

    if (c->count + more <= c->capacity)
        return 0;
    while (capacity < c->count + more)
        capacity *= 2;
    list = realloc(c->list, capacity * sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    c->list = list;
    c->capacity = capacity;
    return 0;
}

/* Members wait for entries under their numbers in the configuration. */
static void renumber_origins(struct raft *r,
                             const uint8_t number[RAFT_MEMBERS_MAX + 1])
{
    for (size_t i = 0; i < RAFT_UNAPPLIED_ENTRIES_MAX; i++)
        r->origins[i] = number[r->origins[i]];
}

/* What is known of a peer stays known. */
static void take_peers(struct raft *r, const struct raft_config *config)
{
    struct raft_peer old[RAFT_MEMBERS_MAX];
    uint8_t number[RAFT_MEMBERS_MAX + 1] = {0};

    memcpy(old, r->peers, sizeof old);
    memset(r->peers, 0, sizeof r->peers);
    for (size_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->members[i];
        struct raft_peer *p = &r->peers[i];
        int was = raft_config_find(&r->config, m->id);

        if (was >= 0) {
            *p = old[was];
            number[was + 1] = (uint8_t)(i + 1);
        } else {
            p->id = m->id;
            raft_progress_reset(p, r->log.last + 1);
        }
        p->role = m->role;
    }
    renumber_origins(r, number);
}

/* The newest in the log is in force. */
static void take(struct raft *r)
{
    const struct raft_config *config = px_mutant(CONFIG_WHEN_APPLIED)
                                           ? &r->configs.list[0].config
                                           : &in_force(r)->config;
    int own = raft_config_find(config, r->id);

    take_peers(r, config);
    r->config = *config;
    r->voter_count = raft_config_voters(config);
    r->is_voter = own >= 0 && config->members[own].role == RAFT_VOTER;
    r->granted = 0;
    px_assert(px_implies(r->role != RAFT_FOLLOWER, r->is_voter)); /* R5 */
}

/* Another one is the newest now. */
static void change(struct raft *r)
{
    bool was_voter = r->is_voter;

    take(r);
    r->config_changes++;
    if (r->is_voter && !was_voter)
        raft_election_restart(r);
    if (r->role == RAFT_LEADER) {
        raft_lease_recount(r);
        raft_reads_advance(r); /* they may have waited for who is gone */
    }
}

int raft_configs_init(struct raft *r, const struct raft_options *o)
{
    struct raft_configs *c = &r->configs;

    if (raft_configs_reserve(r, o->config_count + 1) < 0)
        return -ENOMEM;
    c->list[c->count++] =
        (struct raft_config_at){.index = o->base.index, .config = o->config};
    for (size_t i = 0; i < o->config_count; i++)
        c->list[c->count++] = o->configs[i];
    raft_configs_forget(r, o->applied);
    take(r);
    return 0;
}

void raft_configs_fini(struct raft *r)
{
    free(r->configs.list);
}

void raft_configs_append(struct raft *r, const struct raft_entry *e)
{
    struct raft_configs *c = &r->configs;
    struct raft_config_at at = {.index = e->pos.index};

    px_assert(c->count < c->capacity);
    px_assert(e->pos.index > in_force(r)->index); /* R17 */
    if (raft_config_decode(e->data, &at.config) < 0)
        px_assert_failed("a configuration that was looked at", __FILE__,
                         __LINE__);
    c->list[c->count++] = at;
    change(r);
}

void raft_configs_cut(struct raft *r, raft_index first)
{
    struct raft_configs *c = &r->configs;

    if (in_force(r)->index < first || px_mutant(CONFIG_CUT_FORGOTTEN))
        return;
    while (in_force(r)->index >= first) {
        px_assert(c->count > 1); /* nothing that is applied is cut */
        c->count--;
    }
    change(r);
}

void raft_configs_forget(struct raft *r, raft_index applied)
{
    struct raft_configs *c = &r->configs;
    size_t gone = 0;

    while (gone + 1 < c->count && c->list[gone + 1].index <= applied)
        gone++;
    if (gone == 0)
        return;
    c->count -= gone;
    memmove(c->list, c->list + gone, c->count * sizeof *c->list);
    if (px_mutant(CONFIG_WHEN_APPLIED))
        take(r);
}

void raft_configs_install(struct raft *r, raft_index index,
                          const struct raft_config *config)
{
    struct raft_configs *c = &r->configs;

    while (in_force(r)->index > r->log.last)
        c->count--;
    raft_configs_forget(r, index);
    c->list[0] = (struct raft_config_at){
        .index = px_mutant(CONFIG_OF_SNAPSHOT_STALE) ? c->list[0].index : index,
        .config =
            px_mutant(CONFIG_OF_SNAPSHOT_STALE) ? c->list[0].config : *config};
    change(r);
}

void raft_get_config(const struct raft *r, struct raft_config_at *config_out)
{
    *config_out = r->configs.list[r->configs.count - 1];
}

void raft_get_config_applied(const struct raft *r,
                             struct raft_config *config_out)
{
    *config_out = r->configs.list[0].config;
}

/* ---- Changes ---- */

/* An election timeout would be too long a time: a change that waits for one who
 * died a moment ago can't be taken back. That it is whole, it must have said in
 * this term. */
static bool can_vote(const struct raft *r, const struct raft_peer *p)
{
    return p->heard != 0 && p->round > 0 &&
           r->now - p->heard <= HEARD_BEATS * r->heartbeat && !p->is_lost &&
           (!p->is_faulty || px_mutant(FAULTY_PROMOTED));
}

bool raft_has_caught_up(const struct raft *r, const struct raft_peer *p)
{
    bool has_log = p->match + PROMOTE_LAG >= r->log.last;

    return p->state == RAFT_STREAM && (has_log || px_mutant(PROMOTED_BEHIND)) &&
           can_vote(r, p);
}

static bool has_majority(const struct raft *r, const struct raft_config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->members[i];

        count += m->role == RAFT_VOTER &&
                 (m->id == r->id ||
                  can_vote(r, &r->peers[raft_member_find(r, m->id)]));
    }
    return count > raft_config_voters(config) / 2 || px_mutant(CHANGE_UNHEARD);
}

static int add(struct raft_config *config, raft_id id)
{
    if (raft_config_find(config, id) >= 0)
        return -EEXIST;
    if (config->count == RAFT_MEMBERS_MAX)
        return -ENOSPC;
    config->members[config->count++] =
        (struct raft_member){.id = id, .role = RAFT_LEARNER};
    return 0;
}

static int promote(const struct raft *r, struct raft_config *config, raft_id id)
{
    int i = raft_config_find(config, id);

    if (i < 0)
        return -ENOENT;
    if (config->members[i].role == RAFT_VOTER)
        return -EEXIST;
    if (!raft_has_caught_up(r, &r->peers[i]))
        return -EAGAIN;
    config->members[i].role = RAFT_VOTER;
    return has_majority(r, config) ? 0 : -EAGAIN;
}

static int remove_member(const struct raft *r, struct raft_config *config,
                         raft_id id)
{
    int i = raft_config_find(config, id);
    bool was_voter;

    if (i < 0)
        return -ENOENT;
    was_voter = config->members[i].role == RAFT_VOTER;
    config->count--;
    memmove(&config->members[i], &config->members[i + 1],
            (config->count - (size_t)i) * sizeof config->members[0]);
    return was_voter && !has_majority(r, config) ? -EAGAIN : 0;
}

static int make(const struct raft *r, const struct raft_change *change,
                struct raft_config *config)
{
    if (change->id == 0 || change->id == r->id)
        return -EINVAL;
    *config = r->config;
    switch (change->what) {
    case RAFT_ADD:
        return add(config, change->id);
    case RAFT_PROMOTE:
        return promote(r, config, change->id);
    case RAFT_REMOVE:
        return remove_member(r, config, change->id);
    }
    return -EINVAL;
}

static int may_change(struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return -PX_ENOTLEADER;
    if (r->transfer.to != 0 || raft_is_silent(r))
        return -EAGAIN;
    if (!raft_can_serve(r) && !px_mutant(CHANGE_BEFORE_COMMIT))
        return -EAGAIN;
    if (in_force(r)->index > r->commit && !px_mutant(CHANGES_OVERLAP))
        return -EBUSY;
    return 0;
}

static struct px_slice encode(const struct raft_config *config,
                              struct px_slice added)
{
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    size_t size = raft_config_encode(config, bytes);
    struct px_buf *b = px_buf_new(size + added.size);

    if (b == NULL)
        return (struct px_slice){0};
    memcpy(b->data, bytes, size);
    if (added.size > 0)
        memcpy(b->data + size, added.data, added.size);
    return px_slice_of(b, 0, b->size);
}

int raft_on_change(struct raft *r, const struct raft_change *change)
{
    struct raft_config config;
    struct px_slice data;
    int rc = may_change(r);

    px_assert(change->added.size <= PX_ENTRY_BYTES_MAX - RAFT_CONFIG_BYTES_MAX);
    if (rc == 0)
        rc = make(r, change, &config);
    if (rc < 0)
        return rc;
    data = encode(&config, change->added);
    if (data.owner == NULL)
        return -ENOMEM;
    rc = raft_reserve(r, 1);
    if (rc == 0)
        rc = raft_configs_reserve(r, 1);
    if (rc == 0) {
        raft_append_entry(r, r->hard.term, RAFT_ENTRY_CONFIG, data);
        r->origins[r->log.last % RAFT_UNAPPLIED_ENTRIES_MAX] = 0;
        r->draft.proposed = raft_log_last(&r->log);
        raft_send_to_all(r);
    }
    px_slice_unref(&data);
    return rc;
}
