/* Snapshots of a cluster under test: made, sent and installed as raft.h asks of
 * a caller, one stage at a time, so that anything may come in between. */
#include <string.h>

#include "tests/unit/raft/harness.h"
#include "tests/unit/raft/oracle.h"

void cluster_compact(struct cluster *c, struct node *n, raft_index index)
{
    struct raft_in in = {.type = RAFT_IN_COMPACTED, .compacted = index};

    px_assert(index <= n->applied);
    if (n->applied > n->disk.snapshot.index)
        n->disk.snapshot = c->committed[n->applied].pos;
    /* What the log on disk is still to be reset behind is not there to go. */
    if (index <= n->raft->log.base.index)
        return;
    (void)cluster_step(c, n, in); /* can't fail */
    disk_compact(&n->disk, index);
    c->counts.compactions++;
}

static struct node *node_of(struct cluster *c, raft_id id)
{
    return &c->nodes[id - 1];
}

static bool is_up(const struct node *n)
{
    return n->raft != NULL && !n->is_paused;
}

void transfer_ask(struct cluster *c, const struct node *n,
                  const struct raft_snapshot *want)
{
    struct transfer *t = &c->transfers[n->id - 1][want->peer - 1];

    c->counts.asked++;
    if (n->disk.snapshot.index < want->base)
        oracle_fail(c, "the log's head is gone, and no snapshot covers it");
    if (t->stage != TRANSFER_NONE)
        return;
    t->stage = TRANSFER_ASKED;
    t->term = want->term;
    t->pos = n->disk.snapshot;
}

static int install_step(struct cluster *c, struct node *n, raft_term term)
{
    return cluster_step(
        c, n, (struct raft_in){.type = RAFT_IN_INSTALLING, .installing = term});
}

/* It is over; the sender is told. */
static void end(struct cluster *c, struct transfer *t, bool is_ok)
{
    struct node *from = node_of(c, t->from);
    struct raft_in in = {.type = RAFT_IN_SNAPSHOT_SENT};

    t->stage = TRANSFER_NONE;
    in.sent.peer = t->to;
    in.sent.is_ok = is_ok;
    in.sent.index = t->pos.index;
    if (from->raft != NULL)
        (void)cluster_step(c, from, in); /* can't fail */
}

/* The receiver gives up, if it is there to do so. */
static void give_up(struct cluster *c, struct transfer *t)
{
    struct node *to = node_of(c, t->to);

    if (to->receiving != t)
        return;
    to->receiving = NULL;
    if (to->raft != NULL)
        (void)install_step(c, to, 0); /* can't fail */
}

void transfer_break(struct cluster *c, struct transfer *t)
{
    if (t->stage != TRANSFER_ASKED && t->stage != TRANSFER_RECEIVING)
        return; /* nothing is on the wire any more */
    c->counts.broken++;
    give_up(c, t);
    end(c, t, false);
}

void transfer_crash(struct cluster *c, const struct node *n)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct transfer *in = &c->transfers[i][n->id - 1];
        struct transfer *out = &c->transfers[n->id - 1][i];

        if (in->stage != TRANSFER_NONE) {
            node_of(c, in->to)->receiving = NULL;
            end(c, in, false);
        }
        transfer_break(c, out);
    }
}

static bool begin(struct cluster *c, struct transfer *t)
{
    struct node *to = node_of(c, t->to);

    if (to->receiving != NULL || install_step(c, to, t->term) != 0) {
        transfer_break(c, t);
        return true;
    }
    to->receiving = t;
    t->seq = to->raft->write_seq;
    t->stage = TRANSFER_RECEIVING;
    return true;
}

static bool install(struct cluster *c, struct transfer *t)
{
    struct node *to = node_of(c, t->to);
    struct raft_config config = *cluster_config_at(c, t->pos.index);
    struct raft_in in = {.type = RAFT_IN_INSTALLED};

    in.installed.pos = t->pos;
    in.installed.config = &config;
    c->counts.configs_moved +=
        memcmp(&config, &to->raft->config, sizeof config) != 0;
    if (cluster_step(c, to, in) != 0)
        oracle_fail(c, "a snapshot was refused");
    t->seq = to->raft->write_seq;
    t->stage = TRANSFER_INSTALLED;
    return true;
}

bool transfer_advance(struct cluster *c, struct transfer *t)
{
    struct node *to = node_of(c, t->to);
    bool is_cut =
        c->is_cut[t->from - 1][t->to - 1] || c->is_cut[t->to - 1][t->from - 1];

    if (t->stage == TRANSFER_NONE || (is_up(to) && t->stage > TRANSFER_ASKED &&
                                      to->disk.durable_seq < t->seq))
        return false;
    if ((is_cut || !is_up(to) || node_of(c, t->from)->raft == NULL) &&
        t->stage < TRANSFER_RECEIVED) {
        transfer_break(c, t);
        return true;
    }
    if (!is_up(to))
        return false;
    switch (t->stage) {
    case TRANSFER_NONE:
        return false;
    case TRANSFER_ASKED:
        return begin(c, t);
    case TRANSFER_RECEIVING:
        if (t->pos.index > to->disk.snapshot.index)
            to->disk.snapshot = t->pos;
        t->stage = TRANSFER_RECEIVED;
        return true;
    case TRANSFER_RECEIVED:
        return install(c, t);
    case TRANSFER_INSTALLED:
        give_up(c, t); /* done: the old state is swapped */
        if (is_cut || px_rand_below(&c->rand, 3) > 0)
            end(c, t, !is_cut);
        t->stage = TRANSFER_NONE; /* or the word of it was lost */
        return true;
    }
    return false;
}
