#include "tests/sim/transfers.h"

#include <inttypes.h>

#include "node/replica_core.h"
#include "tests/sim/wire.h"

static bool is_same(const struct transfer_in *t, const struct net_snapshot *n)
{
    return t->info.pos.index == n->pos.index &&
           t->info.pos.term == n->pos.term && t->info.bytes == n->bytes;
}

static bool is_installing(const struct transfer_in *t)
{
    return t->state == TRANSFER_LOADING || t->state == TRANSFER_LOADED;
}

static bool is_begun_by(const struct server *s, const struct net_snapshot *n)
{
    const struct transfer_in *t = &s->replica->in;

    return t->state == TRANSFER_RECEIVING && t->from == n->from &&
           is_same(t, n);
}

/* It is taken, or comes too soon, or is no news. */
static void take_offer(struct server *s, const struct net_snapshot *n)
{
    struct transfer_in *t = &s->replica->in;
    uint64_t *counts = s->world->counts;
    bool was_receiving = t->state == TRANSFER_RECEIVING;
    bool was_same = is_same(t, n);

    counts[COUNT_OFFERS_LATE] += is_installing(t) && !was_same;
    replica_on_transfer(s->replica, n);
    counts[COUNT_TRANSFERS_REPLACED] +=
        was_receiving && !was_same && is_begun_by(s, n);
}

/* It arrives, and no more of what was sent. */
static void break_behind(struct server *s, const struct net_snapshot *n)
{
    if (!s->breaks_piece || n->offset + n->data.size == n->bytes)
        return;
    s->breaks_piece = false;
    world_trace(s->world, s,
                "loses the connection to n%" PRIu64 " with a piece", n->from);
    wire_break(s->world, (size_t)n->from - 1, s->number);
}

static void take_piece(struct server *s, const struct net_snapshot *n,
                       uint64_t epoch)
{
    if (is_begun_by(s, n) && n->offset == s->replica->in.expected) {
        s->world->counts[COUNT_TRANSFERS_RESUMED] +=
            n->offset > 0 &&
            (s->pieces_from != n->from || s->pieces_epoch != epoch);
        s->pieces_from = n->from;
        s->pieces_epoch = epoch;
        break_behind(s, n);
    }
    replica_on_transfer(s->replica, n);
}

void transfers_take(struct server *s, const struct net_snapshot *n,
                    uint64_t epoch)
{
    if (n->what == NET_SNAPSHOT_OFFER)
        take_offer(s, n);
    else if (n->what == NET_SNAPSHOT_PIECE)
        take_piece(s, n, epoch);
    else
        replica_on_transfer(s->replica, n);
}

/* A term that is newer than the one in which the last piece came. */
void transfers_look(struct server *s)
{
    struct raft_status status;

    if (!is_installing(&s->replica->in)) {
        s->install_term = 0;
        return;
    }
    replica_get_status(s->replica, &status);
    s->world->counts[COUNT_TERMS_IN_INSTALL] +=
        s->install_term != 0 && status.term > s->install_term;
    s->install_term = status.term;
}
