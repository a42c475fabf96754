/* Commands on their way to the leader: proposed when that is this node,
 * forwarded when it is another, refused to others when it is neither.
 *
 * A forwarded command is not answered when it is in the log: its sender sees
 * it applied. It is answered when it was not proposed, so that the sender
 * tries again and still knows that nothing happened. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "node/replica_core.h"
#include "raft/config.h"

/* Has this leader got it already? A refusal of one command takes send_next
 * back, not the others' places in its log. */
static bool is_with_leader(const struct commands *cs, const struct fs_wait *w)
{
    return w->state == WAIT_SENT && w->index == cs->epoch;
}

static void mark_sent(struct replica *r, struct fs_wait *w)
{
    w->index = r->commands.epoch;
    if (w->attempts > 0)
        r->counters.resent++;
    w->attempts++;
    w->state = WAIT_SENT;
}

static void refuse(struct replica *r, raft_id to, uint64_t session,
                   uint64_t sequence, int rc)
{
    struct net_forward_refused answer = {
        .from = r->id,
        .session = session,
        .sequence = sequence,
        .rc = rc,
    };

    r->io.refuse(r->io.ctx, to, &answer);
    r->counters.refused++;
}

void commands_refuse_forwards(struct replica *r, int rc)
{
    struct commands *cs = &r->commands;

    for (size_t i = 0; i < cs->forward_count; i++) {
        struct forward_in *f = &cs->forwards[i];

        refuse(r, f->from, f->session, f->sequence, rc);
        px_slice_unref(&f->command);
    }
    cs->forward_count = 0;
    cs->forward_bytes = 0;
}

/* A session tells others that this node has been here. So it is opened once
 * something has been kept here that says the same after a restart: else a crash
 * now would make us look like a node whose disk was emptied. */
static bool is_opening_due(const struct replica *r)
{
    return r->commands.session == 0 && !r->commands.opening_sent &&
           r->status.durable > 0;
}

struct batch {
    struct raft_proposal list[PX_BATCH_ENTRIES_MAX];
    size_t count;
    size_t bytes;
};

static bool batch_has_room(const struct batch *b)
{
    return b->count < PX_BATCH_ENTRIES_MAX && b->bytes < PX_BATCH_BYTES_MAX;
}

static void batch_add(struct batch *b, struct px_slice command, raft_id origin)
{
    b->list[b->count++] =
        (struct raft_proposal){RAFT_ENTRY_COMMAND, command, origin};
    b->bytes += command.size;
}

/* Fills @b: our session's opening, our commands, those of others. Says up to
 * which of each it got. */
static void batch_fill(struct replica *r, struct batch *b, uint64_t *sent_out,
                       size_t *forwards_out)
{
    struct commands *cs = &r->commands;
    uint64_t sequence = cs->send_next;
    size_t i = 0;

    b->count = 0;
    b->bytes = 0;
    if (is_opening_due(r))
        batch_add(b, cs->opening, r->id);
    for (; sequence < cs->next_sequence && batch_has_room(b); sequence++) {
        struct fs_wait *w = *commands_slot(cs, sequence);

        if (w != NULL && !is_with_leader(cs, w))
            batch_add(b, w->command, r->id);
    }
    for (; i < cs->forward_count && batch_has_room(b); i++)
        batch_add(b, cs->forwards[i].command, cs->forwards[i].from);
    *sent_out = sequence;
    *forwards_out = i;
}

/* The batch is in raft's log. */
static void batch_sent(struct replica *r, uint64_t sent, size_t forwards)
{
    struct commands *cs = &r->commands;

    if (is_opening_due(r))
        cs->opening_sent = true;
    for (uint64_t s = cs->send_next; s < sent; s++) {
        struct fs_wait *w = *commands_slot(cs, s);

        if (w != NULL && !is_with_leader(cs, w))
            mark_sent(r, w);
    }
    cs->send_next = sent;
    for (size_t i = 0; i < forwards; i++) {
        cs->forward_bytes -= cs->forwards[i].command.size;
        px_slice_unref(&cs->forwards[i].command);
    }
    cs->forward_count -= forwards;
    memmove(cs->forwards, cs->forwards + forwards,
            cs->forward_count * sizeof cs->forwards[0]);
    r->counters.for_others += forwards;
}

static void propose_all(struct replica *r)
{
    struct batch b;
    size_t forwards;
    uint64_t sent;

    for (;;) {
        struct raft_in in = {.type = RAFT_IN_PROPOSE};
        int rc;

        batch_fill(r, &b, &sent, &forwards);
        if (b.count == 0)
            return;
        in.propose.list = b.list;
        in.propose.count = b.count;
        rc = replica_step(r, &in);
        if (rc < 0) { /* full, or no memory: ours stay for the next turn */
            commands_refuse_forwards(r, rc == -PX_ENOTLEADER ? -PX_ENOTLEADER
                                                             : -EAGAIN);
            return;
        }
        batch_sent(r, sent, forwards);
    }
}

static int forward_one(struct replica *r, uint64_t session, uint64_t sequence,
                       struct px_slice command)
{
    struct net_forward f = {
        .from = r->id,
        .session = session,
        .sequence = sequence,
        .command = command,
    };
    int rc = r->io.forward(r->io.ctx, r->status.leader, &f);

    if (rc == 0)
        r->counters.forwarded++;
    return rc;
}

static void forward_all(struct replica *r)
{
    struct commands *cs = &r->commands;

    if (is_opening_due(r))
        cs->opening_sent = forward_one(r, 0, cs->nonce, cs->opening) == 0;
    for (; cs->send_next < cs->next_sequence; cs->send_next++) {
        struct fs_wait *w = *commands_slot(cs, cs->send_next);

        if (w == NULL || is_with_leader(cs, w))
            continue;
        if (forward_one(r, cs->session, w->id, w->command) < 0)
            return; /* again when the peer is up, or at retry_at */
        mark_sent(r, w);
    }
}

void commands_send(struct replica *r)
{
    struct commands *cs = &r->commands;
    px_ns now = replica_now(r);

    commands_fill(r);
    if (r->status.role != RAFT_LEADER)
        commands_refuse_forwards(r, -PX_ENOTLEADER);
    if (now < cs->pause_until)
        return;
    cs->pause_until = 0; /* over: it is no deadline any more */
    if (r->status.leader == 0 || replica_is_quarantined(r))
        return;
    if (r->status.role == RAFT_LEADER)
        propose_all(r);
    else
        forward_all(r);
    if (commands_outstanding(cs) && cs->retry_at == PX_NS_NEVER) {
        cs->retry_at = now + r->request_timeout / 4;
        cs->retry_end = cs->send_next;
    }
}

/* All that has no answer is to be sent again. */
void commands_send_again(struct replica *r)
{
    struct commands *cs = &r->commands;

    cs->epoch++;
    cs->send_next = cs->floor;
    cs->opening_sent = false;
    cs->pause_until = 0;
    cs->retry_at = PX_NS_NEVER;
}

/* A leader that stays, behind a connection that stays, loses nothing but a
 * refusal that found no room: so a little at a time will do. What was first
 * sent since retry_at was set is not overdue. */
void commands_send_overdue(struct replica *r)
{
    struct commands *cs = &r->commands;
    size_t bytes = 0;

    for (uint64_t s = cs->floor;
         s < cs->retry_end && bytes < PX_BATCH_BYTES_MAX; s++) {
        struct fs_wait *w = *commands_slot(cs, s);

        if (w == NULL)
            continue;
        w->index = 0; /* of no epoch */
        bytes += w->command.size;
        cs->send_next = cs->floor;
    }
    cs->opening_sent = false;
    cs->retry_at = PX_NS_NEVER;
}

void replica_on_peer_up(struct replica *r, raft_id peer)
{
    if (peer == r->status.leader)
        commands_send_again(r);
}

/* One whose place among the members was cut from the log, or that was removed,
 * and does not know it. It has no session, and what it asks for again and again
 * would each time take a place in the log. */
static bool is_stranger(const struct replica *r, raft_id from)
{
    return raft_config_find(&r->config, from) < 0;
}

void replica_on_forward(struct replica *r, const struct net_forward *f)
{
    struct commands *cs = &r->commands;
    struct forward_in *in;

    if (r->is_stopping)
        return;
    if (is_stranger(r, f->from) || cs->forward_count == FORWARDS_IN_MAX ||
        cs->forward_bytes + f->command.size > RAFT_UNAPPLIED_BYTES_MAX) {
        refuse(r, f->from, f->session, f->sequence, -EAGAIN);
        return;
    }
    in = &cs->forwards[cs->forward_count++];
    in->from = f->from;
    in->session = f->session;
    in->sequence = f->sequence;
    in->command = px_slice_ref(f->command);
    cs->forward_bytes += f->command.size;
}

void replica_on_refused(struct replica *r, const struct net_forward_refused *f)
{
    struct commands *cs = &r->commands;
    struct fs_wait *w;

    if (f->from != r->status.leader)
        return; /* of an earlier leader: the change has sent all again */
    cs->pause_until = replica_now(r) + r->heartbeat / 4;
    if (f->session == 0) {
        cs->opening_sent = false;
        return;
    }
    if (f->session != cs->session || f->sequence < cs->floor ||
        f->sequence >= cs->next_sequence)
        return;
    w = *commands_slot(cs, f->sequence);
    if (w == NULL || w->attempts == 0)
        return;
    w->index = 0;
    if (--w->attempts == 0)
        w->state = WAIT_UNSENT;
    if (f->sequence < cs->send_next)
        cs->send_next = f->sequence;
}
