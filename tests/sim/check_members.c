/* Who the members are: as each log says by itself, whatever raft makes of it.
 *
 * All configurations that were ever in a log are kept, by their places. The
 * newest that a log holds is in force on its server (4.1). One that is
 * committed is settled; together with those behind it, which may be settled
 * yet, it is one of those that count: no majority of any of these may be lost.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "store/members.h"
#include "tests/sim/check_core.h"
#include "tests/sim/members.h"
#include "tests/sim/wire.h"

static const struct raft_config nobody; /* a joiner's, before it is told */

static size_t number_of(const struct raft_member *m)
{
    return (size_t)m->id - 1;
}

static const struct raft_member *member_of(const struct raft_config *config,
                                           size_t number)
{
    int i = raft_config_find(config, number + 1);

    return i >= 0 ? &config->members[i] : NULL;
}

static bool is_voter(const struct raft_config *config, size_t number)
{
    const struct raft_member *m = member_of(config, number);

    return m != NULL && m->role == RAFT_VOTER;
}

/* ---- All of them ---- */

static struct seen_config *find(const struct check *c, struct raft_pos pos)
{
    for (size_t i = c->config_count; i > 0; i--) {
        struct seen_config *k = &c->configs[i - 1];

        if (k->pos.index == pos.index && k->pos.term == pos.term)
            return k;
    }
    return NULL;
}

/* Ascending by index. */
static void insert(struct check *c, const struct seen_config *k)
{
    size_t i = c->config_count++;

    c->configs = check_grow(c->configs, &c->config_capacity, c->config_count,
                            sizeof *c->configs);
    for (; i > 0 && c->configs[i - 1].pos.index > k->pos.index; i--)
        c->configs[i] = c->configs[i - 1];
    c->configs[i] = *k;
}

void check_members_init(struct check *c)
{
    struct seen_config first = {0};

    first.config.count = c->world->voter_count;
    for (size_t i = 0; i < c->world->voter_count; i++)
        first.config.members[i] = (struct raft_member){i + 1, RAFT_VOTER};
    insert(c, &first);
}

static bool is_settled(const struct check *c, struct raft_pos pos)
{
    return pos.index == 0 || (pos.index < c->place_capacity &&
                              c->places[pos.index].committed == pos.term);
}

static bool holds(const struct server *s, struct raft_pos pos)
{
    const struct raft_log *log = &raft_of(s)->log;

    if (pos.index > log->last)
        return false;
    if (pos.index <= log->base.index)
        return is_settled(s->world->check, pos);
    return raft_log_term(log, pos.index) == pos.term;
}

/* The newest that its log holds before @end. */
static const struct seen_config *newest(const struct server *s, raft_index end)
{
    const struct check *c = s->world->check;

    for (size_t i = c->config_count; i > 1; i--) {
        const struct seen_config *k = &c->configs[i - 1];

        if (k->pos.index < end && holds(s, k->pos))
            return k;
    }
    return &c->configs[0];
}

const struct raft_config *check_config(const struct server *s)
{
    const struct seen_config *k = newest(s, UINT64_MAX);

    if (k->pos.index == 0 && s->number >= s->world->voter_count &&
        raft_of(s)->log.base.index == 0)
        return &nobody;
    return &k->config;
}

/* ---- New ones ---- */

/* One member more or less, or one that is another thing: so any two majorities,
 * of the one and of the other, have somebody in common (4.1). */
static bool is_one_step(const struct raft_config *a,
                        const struct raft_config *b)
{
    size_t differences = 0;

    for (size_t i = 0; i < SERVERS_MAX; i++) {
        const struct raft_member *was = member_of(a, i);
        const struct raft_member *is = member_of(b, i);

        differences += (was == NULL) != (is == NULL) ||
                       (was != NULL && is != NULL && was->role != is->role);
    }
    return differences == 1;
}

static bool is_partitioned(const struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++) {
        for (size_t k = 0; k < w->server_count; k++) {
            if (wire_is_cut(w, i, k))
                return true;
        }
    }
    return false;
}

static void check_new_config(struct server *s, const struct seen_config *k)
{
    const struct raft *r = raft_of(s);
    const struct seen_config *before = newest(s, k->pos.index);

    if (!is_one_step(&before->config, &k->config))
        world_fail(s->world,
                   "%s has members at %" PRIu64 "/%" PRIu64
                   " which are not one step from those before",
                   s->name, k->pos.term, k->pos.index);
    if (r->role != RAFT_LEADER || r->hard.term != k->pos.term)
        return; /* its leader was seen to begin it, or is gone */
    if (raft_log_term(&r->log, r->commit) != r->hard.term)
        world_fail(s->world,
                   "%s changes members at %" PRIu64 "/%" PRIu64
                   " before it has committed in its term",
                   s->name, k->pos.term, k->pos.index);
    if (before->pos.index > r->commit)
        world_fail(s->world,
                   "%s changes members at %" PRIu64 "/%" PRIu64
                   ", while the change at %" PRIu64 " is under way",
                   s->name, k->pos.term, k->pos.index, before->pos.index);
    s->world->counts[COUNT_CHANGES_BEGUN]++;
    s->world->counts[COUNT_CHANGES_PARTITIONED] += is_partitioned(s->world);
}

static void trace_config(const struct server *s, const struct seen_config *k)
{
    char line[SERVERS_MAX * 8];
    struct px_text text;

    if (!s->world->options.is_traced)
        return;
    px_text_init(&text, line, sizeof line);
    for (size_t i = 0; i < k->config.count; i++)
        px_text_add(&text, " n%" PRIu64 "%s", k->config.members[i].id,
                    k->config.members[i].role == RAFT_VOTER ? "" : "-");
    world_trace(s->world, s, "changes members at %" PRIu64 "/%" PRIu64 ":%s",
                k->pos.term, k->pos.index, line);
}

static void see(struct server *s, const struct raft_entry *e)
{
    struct seen_config k = {.pos = e->pos};

    if (find(s->world->check, e->pos) != NULL)
        return;
    if (raft_config_decode(e->data, &k.config) < 0)
        world_fail(s->world, "%s has no configuration at %" PRIu64 "/%" PRIu64,
                   s->name, e->pos.term, e->pos.index);
    check_new_config(s, &k);
    insert(s->world->check, &k);
    trace_config(s, &k);
}

void check_see_configs(struct server *s)
{
    struct record *rec = record_of(s);
    const struct raft_log *log = &raft_of(s)->log;
    raft_index first = rec->seen.index + 1;

    if (!raft_log_holds(log, rec->seen))
        first = log->base.index + 1; /* it was cut meanwhile */
    if (first < raft_log_tail_first(log))
        first = raft_log_tail_first(log);
    for (raft_index i = first; i <= log->last; i++) {
        const struct raft_entry *e = raft_log_entry(log, i);

        if (e->kind == RAFT_ENTRY_CONFIG)
            see(s, e);
    }
    rec->seen = raft_log_last(log);
}

/* ---- Settled ones ---- */

static void count_step(struct world *w, const struct raft_config *a,
                       const struct raft_config *b)
{
    size_t voters = raft_config_voters(a);

    if (b->count > a->count)
        w->counts[COUNT_ADDED]++;
    else if (b->count < a->count)
        w->counts[COUNT_REMOVED]++;
    else if (raft_config_voters(b) > voters)
        w->counts[COUNT_PROMOTED]++;
}

/* Nobody is left of those who were there at the last exchange. */
static void count_exchange(struct check *c, const struct raft_config *config)
{
    for (size_t i = 0; i < config->count; i++) {
        if (member_of(&c->exchanged, number_of(&config->members[i])) != NULL)
            return;
    }
    c->exchanged = *config;
    c->world->counts[COUNT_EXCHANGES]++;
}

void check_settle(struct check *c, struct raft_pos pos)
{
    struct seen_config *k = find(c, pos);
    struct raft_config before = *check_settled(c->world);

    if (k == NULL)
        return; /* an entry of another kind */
    c->settled = pos;
    count_step(c->world, &before, &k->config);
    count_exchange(c, &k->config);
    members_on_settled(c->world, &before, &k->config);
}

const struct raft_config *check_settled(const struct world *w)
{
    return &find(w->check, w->check->settled)->config;
}

const struct raft_config *check_settled_at(const struct world *w,
                                           raft_index index)
{
    const struct check *c = w->check;
    const struct raft_config *found = &c->configs[0].config;

    for (size_t i = 1; i < c->config_count; i++) {
        struct raft_pos pos = c->configs[i].pos;

        if (pos.index <= index && is_settled(c, pos))
            found = &c->configs[i].config;
    }
    return found;
}

bool check_is_member(const struct world *w, size_t number)
{
    return member_of(check_settled(w), number) != NULL;
}

static bool was_removed_at(const struct world *w, size_t number,
                           raft_index index)
{
    const struct check *c = w->check;
    bool was_member = false;

    for (size_t i = 0; i < c->config_count; i++) {
        struct raft_pos pos = c->configs[i].pos;

        if (pos.index > index || !is_settled(c, pos))
            continue;
        if (member_of(&c->configs[i].config, number) != NULL)
            was_member = true;
        else if (was_member)
            return true;
    }
    return false;
}

/* Once an entry has said who they are, the state knows it, with their names. */
static bool are_in_state(const struct raft_config *config,
                         const struct store_members *in)
{
    if (in->index == 0)
        return true; /* nor need it */
    for (size_t i = 0; i < config->count && i < in->count; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "n%" PRIu64, config->members[i].id);
        if (config->members[i].id != in->list[i].id ||
            config->members[i].role != in->list[i].role ||
            strcmp(name, in->list[i].name) != 0)
            return false;
    }
    return config->count == in->count;
}

void check_state_members(struct server *s, struct store_view *v)
{
    const struct raft_config *want =
        check_settled_at(s->world, store_view_index(v));
    bool is_first = want == &s->world->check->configs[0].config;
    struct store_members have;

    px_assert(store_view_members(v, &have) == 0);
    if ((have.index == 0) != is_first || !are_in_state(want, &have))
        world_fail(s->world, "%s has other members in its state at %" PRIu64,
                   s->name, store_view_index(v));
    for (size_t i = 0; i < s->world->server_count; i++) {
        bool is_removed = store_view_was_removed(v, i + 1) == 1;

        if (is_removed != was_removed_at(s->world, i, store_view_index(v)))
            world_fail(s->world, "%s: in its state, n%zu is%s removed", s->name,
                       i + 1, is_removed ? "" : " not");
    }
}

bool check_was_removed(struct server *s, size_t number)
{
    return was_removed_at(s->world, number,
                          store_state_applied(s->storage.state).index);
}

/* ---- Majorities ---- */

bool check_has_majority(const struct raft_config *config, const bool of[])
{
    size_t count = 0;

    for (size_t i = 0; i < config->count; i++)
        count += config->members[i].role == RAFT_VOTER &&
                 of[number_of(&config->members[i])];
    return count > raft_config_voters(config) / 2;
}

bool check_have_majorities(const struct world *w, const bool of[])
{
    const struct check *c = w->check;

    for (size_t i = 0; i < c->config_count; i++) {
        const struct seen_config *k = &c->configs[i];

        if (k->pos.index < c->settled.index ||
            (k->pos.index == c->settled.index &&
             k->pos.term != c->settled.term))
            continue; /* it will never be in force again */
        if (!check_has_majority(&k->config, of))
            return false;
    }
    return true;
}

bool check_is_on_majority(const struct server *s, raft_index index,
                          raft_term term)
{
    const struct check *c = s->world->check;
    bool has[SERVERS_MAX];

    for (size_t i = 0; i < SERVERS_MAX; i++)
        has[i] = check_is_durable(&c->records[i], index, term);
    /* Who does not lead has heard of it, from a leader that is gone. */
    return raft_of(s)->role == RAFT_LEADER
               ? check_has_majority(check_config(s), has)
               : check_have_majorities(s->world, has);
}

/* ---- Each server ---- */

static bool is_same(const struct raft_config *a, const struct raft_config *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (a->members[i].id != b->members[i].id ||
            a->members[i].role != b->members[i].role)
            return false;
    }
    return a->count == b->count;
}

void check_snapshot_members(const struct server *s,
                            const struct store_snapshot_info *info)
{
    const struct raft_config *want =
        check_settled_at(s->world, info->pos.index);

    if (info->pos.index > 0 && !is_same(want, &info->config))
        world_fail(s->world,
                   "%s has a snapshot of %" PRIu64
                   " with other members than were there",
                   s->name, info->pos.index);
    s->world->counts[COUNT_CONFIG_SNAPSHOTS] +=
        want != &s->world->check->configs[0].config;
}

void check_members(struct server *s)
{
    struct raft_config told;
    const struct raft_config *have = &raft_of(s)->config;
    const struct raft_config *want = check_config(s);

    (void)replica_get_config(s->replica, &told); /* settled or not */
    if (!is_same(have, want) || !is_same(&told, want))
        world_fail(s->world,
                   "%s goes by other members than its log, to %" PRIu64
                   ", says",
                   s->name, raft_of(s)->log.last);
}

bool check_is_voter(const struct server *s, size_t number)
{
    return is_voter(check_config(s), number);
}

void check_count_cut(struct server *s, raft_index index, raft_term term)
{
    s->world->counts[COUNT_CONFIG_CUTS] +=
        find(s->world->check, (struct raft_pos){term, index}) != NULL;
}

/* The leader dies with a change that nobody knows to be committed. */
void check_count_end(struct server *s)
{
    const struct raft *r = raft_of(s);

    s->world->counts[COUNT_CONFIG_CRASHES] +=
        r->role == RAFT_LEADER && newest(s, UINT64_MAX)->pos.index > r->commit;
}
