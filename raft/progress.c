/* The part of a write: what has been sent to one follower, and what of it the
 * follower has said it holds. See progress.h for the states. */
#include "raft/progress.h"

#include "base/assert.h"
#include "base/mutant.h"

static void forget_inflight(struct raft_peer *p)
{
    p->inflight_first = 0;
    p->inflight_count = 0;
    p->inflight_bytes = 0;
}

void raft_progress_reset(struct raft_peer *p, raft_index next)
{
    raft_progress_probe(p, next);
    p->match = 0;
    p->owed = 0;
    p->heard = 0;
    p->is_lost = false;
    p->is_fit = false;
    p->stamp = 0;
    p->round = 0;
    p->is_faulty = false;
    p->read_waiting = 0;
    p->read_asked = 0;
}

void raft_progress_probe(struct raft_peer *p, raft_index next)
{
    p->state = RAFT_PROBE;
    p->next = next;
    p->is_waiting = false;
    p->sent_at = 0;
    p->shown = 0;
    p->told = 0; /* the commits told may have been lost along the way */
    forget_inflight(p);
}

void raft_progress_snapshot(struct raft_peer *p, raft_index next, px_ns now)
{
    raft_progress_probe(p, next);
    p->state = RAFT_SNAPSHOT;
    p->sent_at = now;
}

static struct raft_inflight *inflight_at(struct raft_peer *p, unsigned i)
{
    return &p->inflight[(p->inflight_first + i) % RAFT_INFLIGHT_MSGS_MAX];
}

void raft_progress_sent(struct raft_peer *p, raft_index last, uint64_t bytes,
                        px_ns now)
{
    if (p->state != RAFT_STREAM) {
        p->is_waiting = true;
        p->sent_at = now;
        return;
    }
    if (p->inflight_count == 0)
        p->moved_at = now;
    px_assert(p->inflight_count < RAFT_INFLIGHT_MSGS_MAX);
    *inflight_at(p, p->inflight_count++) =
        (struct raft_inflight){.last = last, .bytes = bytes};
    p->inflight_bytes += bytes;
    p->next = last + 1;
}

bool raft_progress_accepted(struct raft_peer *p, raft_index match, px_ns now)
{
    bool is_news = match > p->match;

    if (is_news) {
        p->match = match;
        p->moved_at = now;
    }
    if (p->state == RAFT_SNAPSHOT && p->match + 1 < p->next)
        return is_news; /* late: it is still behind the base */
    if (p->state != RAFT_STREAM) {
        p->state = RAFT_STREAM;
        p->next = p->match + 1;
        p->is_waiting = false;
        p->moved_at = now;
        return is_news;
    }
    while (p->inflight_count > 0 && inflight_at(p, 0)->last <= p->match) {
        p->inflight_bytes -= inflight_at(p, 0)->bytes;
        p->inflight_first = (p->inflight_first + 1) % RAFT_INFLIGHT_MSGS_MAX;
        p->inflight_count--;
    }
    if (p->next <= p->match)
        p->next = p->match + 1;
    return is_news;
}

void raft_progress_shown(struct raft_peer *p, raft_index last, px_ns now)
{
    if (last <= p->shown)
        return;
    p->shown = last;
    p->moved_at = now;
}

bool raft_progress_has_room(const struct raft_peer *p, uint64_t *bytes_out)
{
    uint64_t room = px_mutant(FLOW_UNBOUNDED)
                        ? RAFT_INFLIGHT_BYTES_MAX
                        : RAFT_INFLIGHT_BYTES_MAX - p->inflight_bytes;

    *bytes_out = room < PX_BATCH_BYTES_MAX ? room : PX_BATCH_BYTES_MAX;
    switch (p->state) {
    case RAFT_PROBE:
        return !p->is_waiting;
    case RAFT_STREAM:
        return p->inflight_count < RAFT_INFLIGHT_MSGS_MAX ||
               px_mutant(FLOW_UNBOUNDED);
    case RAFT_SNAPSHOT:
        return false;
    }
    px_assert_failed("a known state", __FILE__, __LINE__);
}

bool raft_progress_is_stuck(const struct raft_peer *p, px_ns since)
{
    if (p->state != RAFT_STREAM)
        return p->sent_at <= since;
    return p->inflight_count > 0 && p->moved_at <= since;
}

const char *raft_progress_text(enum raft_progress_state state)
{
    switch (state) {
    case RAFT_PROBE:
        return "probe";
    case RAFT_STREAM:
        return "stream";
    case RAFT_SNAPSHOT:
        return "snapshot";
    }
    return "unknown";
}
