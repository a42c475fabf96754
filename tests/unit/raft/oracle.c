#include "tests/unit/raft/oracle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void oracle_fail(const struct cluster *c, const char *what)
{
    (void)fprintf(stderr, "%s: %u nodes, seed %" PRIu64 "\n", what, c->count,
                  c->seed); /* nothing is left to do if this fails too */
    abort();
}

static void must(const struct cluster *c, bool condition, const char *what)
{
    if (!condition)
        oracle_fail(c, what);
}

static uint64_t value_of(const struct raft_entry *e)
{
    uint64_t value = 0;

    if (e->kind == RAFT_ENTRY_CONFIG)
        return px_djb2((const char *)e->data.data, e->data.size);
    if (e->data.size == sizeof value)
        memcpy(&value, e->data.data, sizeof value);
    return value;
}

/* ---- One leader a term, which holds all that was committed before ---- */

static void check_leader(struct cluster *c, const struct node *n)
{
    const struct raft *r = n->raft;
    raft_term term = r->hard.term;

    must(c, term < TERMS_MAX, "too many terms for the test");
    if (r->role != RAFT_LEADER || c->leaders[term] == n->id)
        return;
    must(c, c->leaders[term] == 0, "election safety: two leaders in a term");
    c->leaders[term] = n->id;
    c->counts.leaders++;
    must(c, r->log.base.index <= c->commit, "a base that is not committed");
    /* A candidate may win a term that others have left long ago. */
    for (raft_index i = r->log.base.index; i <= c->commit; i++)
        must(c,
             c->committed_in[i] >= term ||
                 raft_log_holds(&r->log, c->committed[i].pos),
             "leader completeness: a new leader lacks what was committed");
}

/* ---- Log matching ---- */

/* Whenever an entry comes to a log, its name must mean what it always has, and
 * follow what it always has; by induction, so must all before it. */
static void check_entry(struct cluster *c, const struct raft *r,
                        const struct raft_entry *e)
{
    uint64_t hash = e->pos.index * UINT64_C(0x9e3779b97f4a7c15) + e->pos.term;
    raft_term prev_term = raft_log_term(&r->log, e->pos.index - 1);
    struct entry_name *name;

    for (;; hash++) {
        name = &c->names[hash % ORACLE_NAMES];
        if (name->pos.index == 0)
            break;
        if (name->pos.index == e->pos.index && name->pos.term == e->pos.term) {
            must(c,
                 name->prev_term == prev_term && name->kind == e->kind &&
                     name->value == value_of(e),
                 "log matching: one index and term, two entries");
            return;
        }
    }
    must(c, ++c->name_count < ORACLE_NAMES / 2,
         "too many entries for the test");
    *name = (struct entry_name){.pos = e->pos,
                                .prev_term = prev_term,
                                .kind = e->kind,
                                .value = value_of(e)};
}

/* ---- Commits ---- */

/* On the disks of a majority, running or not: power may fail now. A copy that
 * was lost counts as long as its replica knows that it lacks something: until
 * then it was told of, and who has lost it does not vote. */
static bool is_on_majority(struct cluster *c, const struct raft_config *config,
                           struct raft_pos pos)
{
    size_t needed = raft_config_voters(config) / 2 + 1;
    size_t held = 0;
    size_t count = 0;

    for (size_t i = 0; i < config->count; i++) {
        const struct disk *d = &c->nodes[config->members[i].id - 1].disk;

        if (config->members[i].role != RAFT_VOTER)
            continue;
        count += disk_holds(d, pos);
        held += disk_held(d, pos);
    }
    c->counts.phantoms += count < needed;
    return held >= needed;
}

/* What any replica takes for committed: what others do, too. */
static void check_commit(struct cluster *c, const struct node *n)
{
    const struct raft *r = n->raft;

    for (raft_index i = c->commit + 1; i <= r->commit; i++) {
        c->committed[i].pos = raft_log_pos(&r->log, i);
        c->committed_in[i] = r->hard.term;
        c->counts.commits++;
        must(c, is_on_majority(c, &r->config, c->committed[i].pos),
             "committed, and not on the disks of a majority");
    }
    if (r->commit > c->commit)
        c->commit = r->commit;
    for (raft_index i = n->commit + 1; i <= r->commit; i++)
        must(c,
             i < r->log.base.index ||
                 raft_log_holds(&r->log, c->committed[i].pos),
             "state machine safety: two entries committed at one index");
}

/* Each index is applied for the first time after the one before it. */
static void add_config(struct cluster *c, const struct raft_entry *e)
{
    struct raft_config_at *at = &c->configs[c->config_count];

    if (e->kind != RAFT_ENTRY_CONFIG)
        return;
    must(c, c->config_count < CONFIGS_MAX, "too many changes for the test");
    must(c, e->pos.index > at[-1].index, "members out of order");
    at->index = e->pos.index;
    must(c, raft_config_decode(e->data, &at->config) > 0, "no members");
    c->config_count++;
}

void oracle_on_apply(struct cluster *c, const struct node *n,
                     const struct raft_entry *e)
{
    struct raft_entry *known = &c->committed[e->pos.index];

    must(c, e->pos.index >= 1 && e->pos.index <= c->commit,
         "applied before it was committed");
    must(c, known->pos.term == e->pos.term,
         "state machine safety: two entries applied at one index");
    must(c, disk_holds(&n->disk, e->pos),
         "applied before it was durable there");
    if (known->data.data == NULL) {
        known->kind = e->kind;
        known->data = px_slice_ref(e->data);
        add_config(c, e);
    }
    must(c, known->kind == e->kind && value_of(known) == value_of(e),
         "state machine safety: two values applied at one index");
}

/* A snapshot is the state now: what it holds was committed, the log goes on
 * behind it, and nothing that counts went with the log before. */
static void check_installed(struct cluster *c, const struct node *n,
                            struct raft_pos pos, bool is_reset)
{
    const struct raft *r = n->raft;

    must(c,
         pos.index <= c->commit && pos.term == c->committed[pos.index].pos.term,
         "installed what was not committed");
    must(c, pos.index > n->applied, "installed an older state");
    must(c, r->log.base.index == pos.index && r->log.applied == pos.index,
         "a snapshot that is not the base");
    c->counts.resets += is_reset;
    c->counts.kept += !is_reset;
}

/* ---- Reads ---- */

void oracle_on_read(struct cluster *c, const struct node *n, raft_index index,
                    raft_index floor)
{
    (void)n;
    must(c, index >= floor, "a stale read");
    must(c, index <= c->commit, "a read of what is not committed");
}

static void take_reads(struct cluster *c, struct node *n,
                       const struct raft_read_ready *ready)
{
    size_t done = 0;

    while (done < n->read_count && n->reads[done].id <= ready->id) {
        oracle_on_read(c, n, ready->index, n->reads[done].floor);
        if (n->raft->role == RAFT_LEADER)
            c->counts.reads_leader++;
        else
            c->counts.reads_follower++;
        done++;
    }
    n->read_count -= done;
    memmove(n->reads, n->reads + done, n->read_count * sizeof n->reads[0]);
}

/* ---- Steps ---- */

void oracle_on_step(struct cluster *c, struct node *n, const struct raft_in *in,
                    const struct raft_out *out)
{
    if (out->is_installed)
        check_installed(c, n, in->installed.pos, out->reset != NULL);
    else if (in->type == RAFT_IN_INSTALLED)
        c->counts.ignored++;
    check_leader(c, n);
    if (out->append_count > 0 && out->append[0].pos.index <= n->disk.last)
        c->counts.cuts++;
    for (size_t i = 0; i < out->append_count; i++)
        check_entry(c, n->raft, &out->append[i]);
    must(c, out->commit >= n->commit, "the commit index went back");
    check_commit(c, n);
    if (out->reads.id != 0)
        take_reads(c, n, &out->reads);
}

/* ---- What leaves is on disk ---- */

/* Up to @match the disk holds what the leader of @term, who asked, holds. */
static void check_acknowledged(struct cluster *c, const struct node *n,
                               raft_term term, raft_index match)
{
    const struct raft *leader = c->nodes[c->leaders[term] - 1].raft;

    must(c, n->disk.last >= match, "acknowledged before it was durable");
    if (leader != NULL && leader->role == RAFT_LEADER &&
        leader->hard.term == term && match >= leader->log.base.index)
        must(c,
             raft_log_holds(&leader->log, match <= n->disk.base.index
                                              ? c->committed[match].pos
                                              : n->disk.log[match].pos),
             "acknowledged what the leader does not hold");
}

void oracle_on_send(struct cluster *c, const struct node *n,
                    const struct raft_msg *m)
{
    const struct raft_hard_state *hard = &n->disk.hard;
    bool is_of_next_term =
        m->type == RAFT_MSG_PRE_VOTE ||
        (m->type == RAFT_MSG_PRE_VOTE_REPLY && m->vote_reply.is_granted);

    c->counts.lost += m->type == RAFT_MSG_LOST;
    if (!is_of_next_term)
        must(c, hard->term >= m->term, "a term left before it was durable");
    if (hard->term != m->term)
        return; /* held back, and overtaken: nobody will heed it */
    if (m->type == RAFT_MSG_VOTE)
        must(c, hard->voted_for == n->id,
             "a candidacy left before it was durable");
    if (m->type == RAFT_MSG_VOTE_REPLY && m->vote_reply.is_granted)
        must(c, hard->voted_for == m->to, "a vote left before it was durable");
    if (m->type == RAFT_MSG_APPEND_REPLY && m->append_reply.is_accepted)
        check_acknowledged(c, n, m->term, m->append_reply.match);
}

void oracle_fini(struct cluster *c)
{
    for (raft_index i = 1; i <= c->commit; i++)
        px_slice_unref(&c->committed[i].data);
}
