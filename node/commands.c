/* Our own commands, from a request to the moment they are applied here. How
 * they get to the leader is in send.c.
 *
 *            replica_propose     no room: ROOM (quota.c)
 *                  │                    │ room
 *                  │ no session, or     ▼
 *                  ├─ window full ─▶ QUEUED commands_fill─┐
 *                  ▼                                      ▼
 *               UNSENT ──send: proposed here or forwarded──▶ SENT
 *                  ▲                                         │ applied here
 *                  └── every attempt was refused ────────────┤
 *                                                            ▼
 *                                              done(0, result)
 *
 * At the deadline UNSENT ends with -EAGAIN (nothing happened), SENT with
 * -PX_EUNKNOWN. The window is a ring by sequence number; all of it is sent
 * again, from the floor on, when the leader changes or the connection to it
 * comes back, and its oldest part when an answer is overdue (N2, N3).
 *
 * The session itself is opened by a command, marked by a number that was drawn
 * for this start of the node, and sent like the others. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "node/replica_core.h"

#define WINDOW PX_SESSION_INFLIGHT_MAX

/* What stands in a queued command until it gets its real stamps: the last
 * session number there is. */
#define UNSTAMPED (UINT64_MAX >> STORE_INODE_SESSION_SHIFT)

struct fs_wait **commands_slot(struct commands *cs, uint64_t sequence)
{
    return &cs->window[sequence % WINDOW];
}

bool commands_outstanding(const struct commands *cs)
{
    return cs->session == 0 || cs->floor < cs->next_sequence;
}

/* ---- Into the window ---- */

static bool makes_inode(const struct command *c)
{
    return c->op == COMMAND_CREATE || c->op == COMMAND_MKDIR ||
           c->op == COMMAND_SYMLINK ||
           (c->op == COMMAND_WRITE && (c->flags & COMMAND_CREATES) != 0);
}

uint64_t replica_new_inode(struct replica *r)
{
    struct commands *cs = &r->commands;

    if (cs->session == 0)
        return 0;
    cs->inode_counter++;
    px_assert(cs->inode_counter >> STORE_INODE_SESSION_SHIFT == 0);
    return cs->session << STORE_INODE_SESSION_SHIFT | cs->inode_counter;
}

static bool has_room(const struct commands *cs)
{
    return cs->session != 0 && cs->next_sequence < cs->floor + WINDOW;
}

/* Gives @w the next sequence number, and @c its stamps. */
static int enter_window(struct replica *r, struct fs_wait *w, struct command *c)
{
    struct commands *cs = &r->commands;
    struct px_slice bytes;
    int rc;

    c->session = cs->session;
    c->sequence = cs->next_sequence;
    c->floor = cs->floor;
    if (makes_inode(c) && c->inode >> STORE_INODE_SESSION_SHIFT != cs->session)
        c->inode = replica_new_inode(r);
    rc = command_encode(c, &bytes);
    if (rc < 0)
        return rc;
    px_slice_unref(&w->command);
    w->command = bytes;
    w->id = cs->next_sequence++;
    w->state = WAIT_UNSENT;
    w->attempts = 0;
    w->index = 0;
    px_assert(*commands_slot(cs, w->id) == NULL); /* N2 */
    *commands_slot(cs, w->id) = w;
    return 0;
}

/* @c as bytes of @w, to be read back when it gets its stamps. */
static int encode_unstamped(struct fs_wait *w, struct command *c)
{
    c->session = UNSTAMPED;
    c->sequence = 1;
    c->floor = 1;
    if (makes_inode(c) && c->inode == 0)
        c->inode = UNSTAMPED << STORE_INODE_SESSION_SHIFT | 1;
    return command_encode(c, &w->command);
}

void replica_propose(struct replica *r, struct fs_wait *w, struct command *c)
{
    struct commands *cs = &r->commands;
    int rc;

    w->command = (struct px_slice){0};
    px_list_init(&w->link);
    c->time = r->io.wall_time(r->io.ctx);
    r->counters.commands++;
    if (r->is_stopping || r->has_failed || w->deadline <= replica_now(r)) {
        rc = -EAGAIN;
    } else if (replica_is_quarantined(r)) {
        rc = -EIO;
    } else if (quota_refuses(r, c) && !px_mutant(QUOTA_UNASKED)) {
        rc = encode_unstamped(w, c);
        if (rc == 0)
            quota_wait(r, w);
    } else if (has_room(cs) && px_list_empty(&cs->queue)) {
        rc = enter_window(r, w, c);
    } else {
        rc = encode_unstamped(w, c);
        w->state = WAIT_QUEUED;
        if (rc == 0)
            px_list_push_back(&cs->queue, &w->link);
    }
    if (rc < 0)
        w->done(w, rc, NULL);
    else if (w->deadline < cs->expire_at)
        cs->expire_at = w->deadline;
}

/* A queued command was encoded without its stamps: it is read back. */
static int enter_from_queue(struct replica *r, struct fs_wait *w)
{
    struct command c;
    int rc;

    rc = command_decode(w->command, r->commands.scratch, &c);
    if (rc < 0)
        return rc;
    return enter_window(r, w, &c);
}

void commands_fill(struct replica *r)
{
    struct commands *cs = &r->commands;

    while (has_room(cs) && !px_list_empty(&cs->queue)) {
        struct fs_wait *w =
            px_list_entry(px_list_pop_front(&cs->queue), struct fs_wait, link);
        int rc = enter_from_queue(r, w);

        if (rc < 0) {
            px_slice_unref(&w->command);
            w->done(w, rc, NULL);
        }
    }
}

/* ---- Out of the window ---- */

static void advance_floor(struct commands *cs)
{
    while (cs->floor < cs->next_sequence &&
           *commands_slot(cs, cs->floor) == NULL)
        cs->floor++;
    if (cs->send_next < cs->floor)
        cs->send_next = cs->floor;
}

static void complete(struct replica *r, struct fs_wait *w, int rc,
                     const struct store_result *result)
{
    struct commands *cs = &r->commands;

    px_assert(*commands_slot(cs, w->id) == w);
    *commands_slot(cs, w->id) = NULL;
    advance_floor(cs);
    px_slice_unref(&w->command);
    w->done(w, rc, result);
}

static int outcome_without_answer(const struct fs_wait *w)
{
    return w->state == WAIT_SENT ? -PX_EUNKNOWN : -EAGAIN;
}

static void on_session(struct replica *r, const struct store_result *result)
{
    struct commands *cs = &r->commands;

    if (cs->session != 0 || result->sequence != cs->nonce)
        return;
    if (result->rc < 0) {
        replica_fail(r, "the cluster refuses this node a session", result->rc);
        return;
    }
    cs->session = result->inode;
    px_slice_unref(&cs->opening);
}

void commands_on_result(struct replica *r, const struct store_result *result)
{
    struct commands *cs = &r->commands;
    struct fs_wait *w;

    if (result->session == 0)
        on_session(r, result);
    if (result->session == 0 || result->session != cs->session)
        return;
    if (result->rc == -PX_ESESSION) {
        replica_fail(r,
                     "the session of this node has ended: another process runs "
                     "under its name",
                     result->rc);
        return;
    }
    if (result->sequence < cs->floor || result->sequence >= cs->next_sequence)
        return; /* answered before: a second copy */
    w = *commands_slot(cs, result->sequence);
    if (w != NULL && w->id == result->sequence)
        complete(r, w, 0, result);
}

bool replica_cancel(struct replica *r, struct fs_wait *w)
{
    switch ((enum wait_state)w->state) {
    case WAIT_READ:
    case WAIT_QUEUED:
    case WAIT_ROOM:
        px_list_remove(&w->link);
        px_slice_unref(&w->command);
        w->done(w, -EINTR, NULL);
        return true;
    case WAIT_UNSENT:
        complete(r, w, -EINTR, NULL);
        return true;
    case WAIT_SENT:
        return false;
    }
    px_assert(false); /* a wait in no state */
    return false;
}

/* ---- Time ---- */

/* One that waited elsewhere before it came may end before those it came after,
 * so all are looked at. */
static void expire_window(struct replica *r, px_ns now)
{
    struct commands *cs = &r->commands;

    for (uint64_t s = cs->floor; s < cs->next_sequence; s++) {
        struct fs_wait *w = *commands_slot(cs, s);

        if (w == NULL || w->id != s || w->deadline > now)
            continue; /* answered, perhaps by what we do here; or not due */
        r->counters.expired++;
        complete(r, w, outcome_without_answer(w), NULL);
    }
}

static px_ns window_earliest(const struct commands *cs)
{
    px_ns earliest = PX_NS_NEVER;

    for (uint64_t s = cs->floor; s < cs->next_sequence; s++) {
        const struct fs_wait *w = cs->window[s % WINDOW];

        if (w != NULL && w->deadline < earliest)
            earliest = w->deadline;
    }
    return earliest;
}

static void expire_list(struct replica *r, const struct px_list *waits,
                        px_ns now)
{
    struct fs_wait *w;

    while ((w = replica_first_due(waits, now)) != NULL) {
        px_list_remove(&w->link);
        px_slice_unref(&w->command);
        r->counters.expired++;
        w->done(w, -EAGAIN, NULL);
    }
}

static px_ns earlier(px_ns a, px_ns b)
{
    return a < b ? a : b;
}

static void expire_all(struct replica *r, px_ns now)
{
    struct commands *cs = &r->commands;

    expire_window(r, now);
    expire_list(r, &cs->queue, now);
    expire_list(r, &r->quota.waiting, now);
    cs->expire_at = earlier(window_earliest(cs),
                            earlier(replica_earliest(&cs->queue),
                                    replica_earliest(&r->quota.waiting)));
}

void commands_refuse(struct replica *r)
{
    struct commands *cs = &r->commands;
    struct px_list *link;

    for (uint64_t s = cs->floor; s < cs->next_sequence; s++) {
        struct fs_wait *w = *commands_slot(cs, s);

        if (w != NULL && w->id == s)
            complete(r, w, w->state == WAIT_SENT ? -PX_EUNKNOWN : -EIO, NULL);
    }
    px_list_splice_back(&cs->queue, &r->quota.waiting);
    while ((link = px_list_pop_front(&cs->queue)) != NULL) {
        struct fs_wait *w = px_list_entry(link, struct fs_wait, link);

        px_slice_unref(&w->command);
        w->done(w, -EIO, NULL);
    }
    cs->expire_at = PX_NS_NEVER;
}

void commands_expire(struct replica *r, px_ns now)
{
    struct commands *cs = &r->commands;

    if (now >= cs->expire_at)
        expire_all(r, now);
    if (now < cs->retry_at)
        return;
    if (r->status.role == RAFT_LEADER || !commands_outstanding(cs))
        cs->retry_at = PX_NS_NEVER; /* ours are in our own log */
    else
        commands_send_overdue(r);
}

px_ns commands_deadline(const struct replica *r)
{
    const struct commands *cs = &r->commands;
    px_ns deadline = earlier(cs->retry_at, cs->expire_at);

    return cs->pause_until == 0 ? deadline : earlier(deadline, cs->pause_until);
}

/* ---- Life ---- */

int commands_init(struct replica *r)
{
    struct commands *cs = &r->commands;
    struct command c = {
        .op = COMMAND_SESSION_OPEN,
        .name = {r->node, strlen(r->node)},
        .incarnation = r->incarnation,
        .time = r->io.wall_time(r->io.ctx),
    };

    px_list_init(&cs->queue);
    cs->floor = 1;
    cs->next_sequence = 1;
    cs->send_next = 1;
    cs->expire_at = PX_NS_NEVER;
    cs->retry_at = PX_NS_NEVER;
    cs->epoch = 1;
    cs->nonce = r->start;
    c.sequence = cs->nonce;
    cs->scratch = command_scratch_new();
    if (cs->scratch == NULL)
        return -ENOMEM;
    return command_encode(&c, &cs->opening);
}

void commands_stop(struct replica *r)
{
    commands_refuse_forwards(r, -PX_ENOTLEADER);
    commands_expire(r, PX_NS_NEVER);
}

void commands_fini(struct replica *r)
{
    struct commands *cs = &r->commands;

    for (size_t i = 0; i < cs->forward_count; i++)
        px_slice_unref(&cs->forwards[i].command);
    px_slice_unref(&cs->opening);
    command_scratch_free(cs->scratch);
}
