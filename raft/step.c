/* One input in, one output out. Each input has one handler, found here; what
 * the handlers want done is gathered in the draft, and becomes the raft_out.
 *
 *   input ─▶ [time] ─▶ handler ─▶ draft ─▶ out: now, write, after, commit ...
 *
 * A message is handled before the time that came with it, so that a heartbeat
 * that was delayed on this machine doesn't come too late for the timer it is
 * to reset. Everything else is handled after the time: a leader that has lost
 * its majority takes no proposal. */
#include "base/err.h"
#include "base/mutant.h"
#include "raft/core.h"

/* ---- What a step has to say ---- */

static struct raft_msg *fill(struct raft *r, struct raft_msg *m, raft_id to,
                             enum raft_msg_type type)
{
    *m = (struct raft_msg){
        .type = type, .from = r->id, .to = to, .term = r->hard.term};
    return m;
}

struct raft_msg *raft_msg_now(struct raft *r, raft_id to,
                              enum raft_msg_type type)
{
    px_assert(r->draft.now_count < RAFT_NOW_MAX);
    px_assert(raft_is_hard_durable(r)); /* R6 */
    return fill(r, &r->draft.now[r->draft.now_count++], to, type);
}

struct raft_msg *raft_msg_after(struct raft *r, raft_id to,
                                enum raft_msg_type type)
{
    px_assert(r->draft.after_count < RAFT_AFTER_MAX);
    px_assert(type != RAFT_MSG_APPEND); /* these are not held back */
    return fill(r, &r->draft.after[r->draft.after_count++], to, type);
}

struct raft_msg *raft_msg_settled(struct raft *r, raft_id to,
                                  enum raft_msg_type type)
{
    return raft_is_hard_durable(r) ? raft_msg_now(r, to, type)
                                   : raft_msg_after(r, to, type);
}

bool raft_is_hard_durable(const struct raft *r)
{
    if (px_mutant(VOTE_NOT_DURABLE))
        return true;
    return !r->draft.is_hard_changed && r->hard_seq <= r->durable_seq;
}

void raft_set_hard(struct raft *r, raft_term term, raft_id voted_for)
{
    px_assert(term >= r->hard.term);           /* R1 */
    px_assert(px_implies(term == r->hard.term, /* R1 */
                         r->hard.voted_for == 0));
    r->hard = (struct raft_hard_state){.term = term, .voted_for = voted_for};
    r->draft.is_hard_changed = true;
}

int raft_reserve(struct raft *r, size_t count)
{
    px_assert(!r->draft.is_log_shown); /* R11 */
    return raft_log_reserve(&r->log, count);
}

void raft_append_entry(struct raft *r, raft_term term,
                       enum raft_entry_kind kind, struct px_slice data)
{
    px_assert(!r->draft.is_log_shown); /* R11 */
    raft_log_append(&r->log, term, kind, data);
    if (kind == RAFT_ENTRY_CONFIG)
        raft_configs_append(r, raft_log_entry(&r->log, r->log.last));
    if (r->draft.append_first == 0)
        r->draft.append_first = r->log.last;
}

static void draft_begin(struct raft *r)
{
    struct raft_draft *d = &r->draft;

    while (d->fetched_count > 0)
        px_slice_unref(&d->fetched[--d->fetched_count].data);
    d->now_count = 0;
    d->after_count = 0;
    d->fetch_count = 0;
    d->snapshot_count = 0;
    d->is_hard_changed = false;
    d->is_reset = false;
    d->append_first = 0;
    d->reads = (struct raft_read_ready){0};
    d->proposed = (struct raft_pos){0};
    d->is_installed = false;
    d->is_recovered = false;
    d->lost = 0;
    d->is_log_shown = false;
    raft_log_trim(&r->log);
}

static px_ns earlier(px_ns a, px_ns b)
{
    return a < b ? a : b;
}

static px_ns deadline(const struct raft *r)
{
    if (r->role == RAFT_LEADER)
        return earlier(earlier(r->heartbeat_at, r->quorum_at),
                       earlier(r->transfer.next_at, r->transfer.until));
    return earlier(r->is_voter ? r->election_at : PX_NS_NEVER,
                   raft_reads_retry_at(r));
}

/* The write of this step, numbered. */
static void draft_write(struct raft *r, struct raft_out *out)
{
    const struct raft_draft *d = &r->draft;

    px_assert(!d->is_reset || d->append_first == 0);
    if (!d->is_hard_changed && !d->is_reset && d->append_first == 0)
        return;
    out->write.seq = raft_disk_next(r);
    out->write.last = raft_log_last(&r->log);
    if (d->is_hard_changed) {
        out->hard = &r->hard;
        r->hard_seq = r->write_seq;
    }
    if (d->is_reset)
        out->reset = &r->log.base;
    if (d->append_first > 0) {
        out->append = raft_log_entry(&r->log, d->append_first);
        out->append_count = r->log.last + 1 - d->append_first;
    }
}

static void draft_end(struct raft *r, struct raft_out *out)
{
    const struct raft_draft *d = &r->draft;

    *out = (struct raft_out){
        .now = {.list = d->now, .count = d->now_count},
        .after = {.list = d->after, .count = d->after_count},
        .commit = raft_ready_index(r),
        .reads = d->reads,
        .fetches = d->fetches,
        .fetch_count = d->fetch_count,
        .snapshots = d->snapshots,
        .snapshot_count = d->snapshot_count,
        .deadline = deadline(r),
        .proposed = d->proposed,
        .is_installed = d->is_installed,
        .is_recovered = d->is_recovered,
        .lost = d->lost,
    };
    draft_write(r, out);
    if (d->after_count > 0 && !px_mutant(ACK_BEFORE_FSYNC))
        out->after_seq = r->write_seq; /* all that they may depend on */
}

/* ---- Inputs ---- */

int raft_member_find(const struct raft *r, raft_id id)
{
    return raft_config_find(&r->config, id);
}

bool raft_is_peer_voter(const struct raft *r, size_t i)
{
    return r->config.members[i].role == RAFT_VOTER ||
           px_mutant(LEARNER_COUNTED);
}

struct raft_pos raft_peer_match(const struct raft *r, const struct raft_peer *p)
{
    return p->match < r->log.base.index ? (struct raft_pos){0}
                                        : raft_log_pos(&r->log, p->match);
}

static void on_time(struct raft *r)
{
    if (r->role == RAFT_LEADER && r->now >= r->quorum_at)
        raft_check_quorum(r);
    if (r->role == RAFT_LEADER) {
        raft_transfer_expire(r);
        raft_transfer_make_way(r);
        if (r->now >= r->heartbeat_at)
            raft_heartbeat_round(r);
        return;
    }
    if (r->is_voter && r->now >= r->election_at)
        raft_on_election_timeout(r);
    if (r->now >= raft_reads_retry_at(r))
        raft_reads_retry(r);
}

/* Messages that only a leader heeds, of its own term, from a member. */
static void on_msg_to_leader(struct raft *r, const struct raft_msg *m)
{
    struct raft_peer *p = &r->peers[raft_member_find(r, m->from)];

    p->heard = r->now;
    p->is_lost = false;
    if (m->type == RAFT_MSG_APPEND_REPLY)
        raft_on_append_reply(r, p, m);
    else if (m->type == RAFT_MSG_HEARTBEAT_REPLY)
        raft_on_heartbeat_reply(r, p, m);
    else if (m->type == RAFT_MSG_READ)
        raft_on_read_request(r, p, m);
    else if (m->type == RAFT_MSG_LOST)
        raft_on_lost(r, p, m);
}

/* A message of our term. */
static int on_msg_of_term(struct raft *r, const struct raft_msg *m)
{
    switch (m->type) {
    case RAFT_MSG_VOTE_REPLY:
    case RAFT_MSG_PRE_VOTE_REPLY:
        raft_on_vote_reply(r, m);
        return 0;
    case RAFT_MSG_APPEND:
        return raft_on_append(r, m);
    case RAFT_MSG_HEARTBEAT:
        raft_on_heartbeat(r, m);
        return 0;
    case RAFT_MSG_APPEND_REPLY:
    case RAFT_MSG_HEARTBEAT_REPLY:
    case RAFT_MSG_READ:
    case RAFT_MSG_LOST:
        if (r->role == RAFT_LEADER)
            on_msg_to_leader(r, m);
        return 0;
    case RAFT_MSG_READ_REPLY:
        raft_on_read_reply(r, m);
        return 0;
    case RAFT_MSG_TIMEOUT_NOW:
        raft_on_timeout_now(r, m);
        return 0;
    case RAFT_MSG_LOST_REPLY:
        raft_on_lost_reply(r, m);
        return 0;
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_VOTE:
        break; /* weighed before their terms are */
    }
    r->refused++;
    return 0;
}

/* Who stands for election or leads may be a member of a configuration that we
 * do not hold yet (4.1), and answers as our leader; other answers are awaited
 * from our own members alone. */
static bool may_be_stranger(enum raft_msg_type type)
{
    return type == RAFT_MSG_PRE_VOTE || type == RAFT_MSG_VOTE ||
           type == RAFT_MSG_APPEND || type == RAFT_MSG_HEARTBEAT ||
           type == RAFT_MSG_READ_REPLY || type == RAFT_MSG_LOST_REPLY ||
           type == RAFT_MSG_TIMEOUT_NOW;
}

/* Is @m for us to hear? Of no term only a refused pre-vote can be. */
static bool is_heard(const struct raft *r, const struct raft_msg *m)
{
    if (m->from == 0 || m->from == r->id || m->to != r->id)
        return false;
    if (m->term == 0 && m->type != RAFT_MSG_PRE_VOTE_REPLY)
        return false;
    if (m->term > RAFT_TERM_MAX)
        return false;
    return raft_member_find(r, m->from) >= 0 || may_be_stranger(m->type);
}

static int on_msg(struct raft *r, const struct raft_msg *m)
{
    if (!is_heard(r, m)) {
        r->refused++;
        return 0;
    }
    if (m->type == RAFT_MSG_PRE_VOTE) {
        raft_on_pre_vote(r, m);
        return 0;
    }
    if (m->type == RAFT_MSG_VOTE) {
        raft_on_vote(r, m);
        return 0;
    }
    if (m->type == RAFT_MSG_PRE_VOTE_REPLY && m->vote_reply.is_granted) {
        raft_on_vote_reply(r, m); /* of a term that nobody is in yet */
        return 0;
    }
    if (m->term > r->hard.term)
        raft_become_follower(r, m->term);
    if (m->term == r->hard.term ||
        (px_mutant(ECHO_OLD_TERM) && m->type == RAFT_MSG_HEARTBEAT_REPLY))
        return on_msg_of_term(r, m);
    if (m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT)
        raft_refuse_stale_leader(r, m);
    return 0;
}

static void on_durable(struct raft *r, struct raft_write write)
{
    bool was_silent = raft_is_silent(r);

    raft_disk_done(r, write.seq);
    raft_log_on_durable(&r->log, write);
    if (r->role == RAFT_CANDIDATE && raft_is_hard_durable(r))
        raft_on_own_vote_durable(r);
    if (was_silent && !raft_is_silent(r))
        raft_speak_again(r);
    if (r->role == RAFT_LEADER && raft_commit_advance(r))
        raft_commit_tell_all(r);
}

static void on_applied(struct raft *r, raft_index applied)
{
    bool was_silent = raft_is_silent(r);

    px_assert(applied <= raft_ready_index(r)); /* R3 */
    raft_disk_applied(r, applied);
    raft_configs_forget(r, r->log.applied);
    if (was_silent && !raft_is_silent(r))
        raft_speak_again(r);
}

static int on_input(struct raft *r, const struct raft_in *in)
{
    switch (in->type) {
    case RAFT_IN_TICK:
        return 0;
    case RAFT_IN_MSG:
        return on_msg(r, in->msg);
    case RAFT_IN_PROPOSE:
        return raft_on_propose(r, in->propose.list, in->propose.count);
    case RAFT_IN_READ:
        raft_on_read(r, in->read_id);
        return 0;
    case RAFT_IN_DURABLE:
        on_durable(r, in->durable);
        return 0;
    case RAFT_IN_APPLIED:
        on_applied(r, in->applied);
        return 0;
    case RAFT_IN_FETCHED:
        raft_on_fetched(r, in->fetched.peer, in->fetched.first,
                        in->fetched.entries, in->fetched.count);
        return 0;
    case RAFT_IN_UNREACHABLE:
        raft_on_unreachable(r, in->unreachable);
        return 0;
    case RAFT_IN_COMPACTED:
        raft_on_compacted(r, in->compacted);
        return 0;
    case RAFT_IN_SNAPSHOT_SENT:
        raft_on_snapshot_sent(r, in->sent.peer, in->sent.is_ok, in->sent.index);
        return 0;
    case RAFT_IN_INSTALLING:
        return raft_on_installing(r, in->installing);
    case RAFT_IN_CHANGE:
        return raft_on_change(r, in->change);
    case RAFT_IN_TRANSFER:
        return raft_on_transfer(r, in->transfer);
    case RAFT_IN_INSTALLED:
        return raft_on_installed(r, in->installed.pos, in->installed.config);
    case RAFT_IN_PASSIVE:
        raft_on_passive(r, in->is_passive);
        return 0;
    case RAFT_IN_NOTED:
        raft_fault_noted(r);
        return 0;
    case RAFT_IN_RECOVERED:
        r->is_recovering = false;
        return 0;
    case RAFT_IN_SOUND:
        raft_on_sound(r);
        return 0;
    }
    px_assert_failed("a known input", __FILE__, __LINE__);
}

int raft_step(struct raft *r, const struct raft_in *in, struct raft_out *out)
{
    int rc;

    px_assert(in->now >= r->now);
    r->now = in->now;
    draft_begin(r);
    raft_disk_look(r);
    if (in->type != RAFT_IN_MSG)
        on_time(r);
    rc = on_input(r, in);
    if (in->type == RAFT_IN_MSG)
        on_time(r);
    raft_fault_settle(r);
    draft_end(r, out);
    return rc;
}
