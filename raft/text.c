/* For people: see text.h. A place in the log is printed as term/index. */
#include "raft/text.h"

#include <inttypes.h>

#define POS "%" PRIu64 "/%" PRIu64

const char *raft_role_text(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "follower";
    case RAFT_PRE_CANDIDATE:
        return "pre-candidate";
    case RAFT_CANDIDATE:
        return "candidate";
    case RAFT_LEADER:
        return "leader";
    }
    return "unknown";
}

const char *raft_msg_type_text(enum raft_msg_type type)
{
    switch (type) {
    case RAFT_MSG_PRE_VOTE:
        return "pre-vote";
    case RAFT_MSG_PRE_VOTE_REPLY:
        return "pre-vote-reply";
    case RAFT_MSG_VOTE:
        return "vote";
    case RAFT_MSG_VOTE_REPLY:
        return "vote-reply";
    case RAFT_MSG_APPEND:
        return "append";
    case RAFT_MSG_APPEND_REPLY:
        return "append-reply";
    case RAFT_MSG_HEARTBEAT:
        return "heartbeat";
    case RAFT_MSG_HEARTBEAT_REPLY:
        return "heartbeat-reply";
    case RAFT_MSG_READ:
        return "read";
    case RAFT_MSG_READ_REPLY:
        return "read-reply";
    case RAFT_MSG_TIMEOUT_NOW:
        return "timeout-now";
    case RAFT_MSG_LOST:
        return "lost";
    case RAFT_MSG_LOST_REPLY:
        return "lost-reply";
    }
    return "unknown";
}

static void append_reply_text(const struct raft_msg_append_reply *a,
                              struct px_text *text)
{
    if (a->is_accepted)
        px_text_add(text, " accepted match=%" PRIu64, a->match);
    else
        px_text_add(text, " refused prev=%" PRIu64 " conflict=" POS, a->match,
                    a->conflict.term, a->conflict.index);
}

void raft_msg_text(const struct raft_msg *m, struct px_text *text)
{
    px_text_add(text, "%s %" PRIu64 ">%" PRIu64 " term=%" PRIu64,
                raft_msg_type_text(m->type), m->from, m->to, m->term);
    switch (m->type) {
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_VOTE:
        px_text_add(text, " last=" POS "%s", m->vote.last.term,
                    m->vote.last.index, m->vote.is_transfer ? " transfer" : "");
        return;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        px_text_add(text, m->vote_reply.is_granted ? " granted" : " refused");
        return;
    case RAFT_MSG_APPEND:
        px_text_add(text, " prev=" POS " commit=%" PRIu64 " count=%zu",
                    m->append.prev.term, m->append.prev.index, m->append.commit,
                    m->append.count);
        return;
    case RAFT_MSG_APPEND_REPLY:
        append_reply_text(&m->append_reply, text);
        return;
    case RAFT_MSG_HEARTBEAT:
        px_text_add(text, " match=" POS " commit=%" PRIu64 " round=%" PRIu64,
                    m->heartbeat.match.term, m->heartbeat.match.index,
                    m->heartbeat.commit, m->heartbeat.round);
        return;
    case RAFT_MSG_HEARTBEAT_REPLY:
        px_text_add(text, " round=%" PRIu64 " last=%" PRIu64 "%s%s",
                    m->heartbeat_reply.round, m->heartbeat_reply.last,
                    m->heartbeat_reply.is_faulty ? " faulty" : "",
                    m->heartbeat_reply.is_unfit ? " unfit" : "");
        return;
    case RAFT_MSG_READ:
        px_text_add(text, " id=%" PRIu64, m->read.id);
        return;
    case RAFT_MSG_READ_REPLY:
        px_text_add(text, " id=%" PRIu64 " index=%" PRIu64, m->read_reply.id,
                    m->read_reply.index);
        return;
    case RAFT_MSG_LOST:
        px_text_add(text, " id=%" PRIu64 " match=%" PRIu64 " last=%" PRIu64,
                    m->lost.id, m->lost.match, m->lost.last);
        return;
    case RAFT_MSG_LOST_REPLY:
        px_text_add(text, " id=%" PRIu64 " index=%" PRIu64, m->lost_reply.id,
                    m->lost_reply.index);
        return;
    case RAFT_MSG_TIMEOUT_NOW:
        return;
    }
}
