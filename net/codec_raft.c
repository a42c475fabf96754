/* struct raft_msg <-> message Raft. In the life of a write: the leader's
 * entries leave, and arrive at a follower, as an append whose data is never
 * copied on the way out, and is read once, into one buffer, on the way in. */
#include <errno.h>

#include "base/assert.h"
#include "net/codec.h"
#include "net/codec_head.h"

/* Every part that a Raft head may consist of, so that one of them can be
 * pointed to. */
struct parts {
    Net__Raft raft;
    Net__Vote vote;
    Net__VoteReply vote_reply;
    Net__Append append;
    Net__AppendReply append_reply;
    Net__Heartbeat heartbeat;
    Net__HeartbeatReply heartbeat_reply;
    Net__Read read;
    Net__ReadReply read_reply;
    Net__Lost lost;
    Net__LostReply lost_reply;
    uint64_t terms[PX_BATCH_ENTRIES_MAX];
    uint32_t kinds[PX_BATCH_ENTRIES_MAX];
    uint32_t sizes[PX_BATCH_ENTRIES_MAX];
};

/* ---- Encode ---- */

static void put_vote(struct parts *p, const struct raft_msg_vote *v)
{
    net__vote__init(&p->vote);
    p->vote.last_term = v->last.term;
    p->vote.last_index = v->last.index;
    p->vote.is_transfer = v->is_transfer;
    p->raft.vote = &p->vote;
    p->raft.what_case = NET__RAFT__WHAT_VOTE;
}

static void put_vote_reply(struct parts *p, const struct raft_msg_vote_reply *v)
{
    net__vote_reply__init(&p->vote_reply);
    p->vote_reply.is_granted = v->is_granted;
    p->raft.vote_reply = &p->vote_reply;
    p->raft.what_case = NET__RAFT__WHAT_VOTE_REPLY;
}

static void put_append(struct parts *p, const struct raft_msg_append *a)
{
    px_assert(a->count <= PX_BATCH_ENTRIES_MAX);
    net__append__init(&p->append);
    p->append.prev_term = a->prev.term;
    p->append.prev_index = a->prev.index;
    p->append.commit = a->commit;
    for (size_t i = 0; i < a->count; i++) {
        const struct raft_entry *e = &a->entries[i];

        px_assert(e->pos.index == a->prev.index + i + 1); /* no gap */
        px_assert(e->data.size <= PX_ENTRY_BYTES_MAX);
        p->terms[i] = e->pos.term;
        p->kinds[i] = e->kind;
        p->sizes[i] = (uint32_t)e->data.size;
    }
    p->append.terms = p->terms;
    p->append.kinds = p->kinds;
    p->append.sizes = p->sizes;
    p->append.n_terms = a->count;
    p->append.n_kinds = a->count;
    p->append.n_sizes = a->count;
    p->raft.append = &p->append;
    p->raft.what_case = NET__RAFT__WHAT_APPEND;
}

static void put_append_reply(struct parts *p,
                             const struct raft_msg_append_reply *a)
{
    net__append_reply__init(&p->append_reply);
    p->append_reply.is_accepted = a->is_accepted;
    p->append_reply.match = a->match;
    p->append_reply.conflict_term = a->conflict.term;
    p->append_reply.conflict_index = a->conflict.index;
    p->raft.append_reply = &p->append_reply;
    p->raft.what_case = NET__RAFT__WHAT_APPEND_REPLY;
}

static void put_heartbeat(struct parts *p, const struct raft_msg_heartbeat *h)
{
    net__heartbeat__init(&p->heartbeat);
    p->heartbeat.match_term = h->match.term;
    p->heartbeat.match_index = h->match.index;
    p->heartbeat.commit = h->commit;
    p->heartbeat.stamp = h->stamp;
    p->heartbeat.round = h->round;
    p->raft.heartbeat = &p->heartbeat;
    p->raft.what_case = NET__RAFT__WHAT_HEARTBEAT;
}

static void put_heartbeat_reply(struct parts *p,
                                const struct raft_msg_heartbeat_reply *h)
{
    net__heartbeat_reply__init(&p->heartbeat_reply);
    p->heartbeat_reply.stamp = h->stamp;
    p->heartbeat_reply.round = h->round;
    p->heartbeat_reply.last = h->last;
    p->heartbeat_reply.faulty = h->is_faulty;
    p->heartbeat_reply.unfit = h->is_unfit;
    p->raft.heartbeat_reply = &p->heartbeat_reply;
    p->raft.what_case = NET__RAFT__WHAT_HEARTBEAT_REPLY;
}

static void put_read(struct parts *p, const struct raft_msg_read *r)
{
    net__read__init(&p->read);
    p->read.id = r->id;
    p->raft.read = &p->read;
    p->raft.what_case = NET__RAFT__WHAT_READ;
}

static void put_read_reply(struct parts *p, const struct raft_msg_read_reply *r)
{
    net__read_reply__init(&p->read_reply);
    p->read_reply.id = r->id;
    p->read_reply.index = r->index;
    p->raft.read_reply = &p->read_reply;
    p->raft.what_case = NET__RAFT__WHAT_READ_REPLY;
}

static void put_lost(struct parts *p, const struct raft_msg_lost *l)
{
    net__lost__init(&p->lost);
    p->lost.id = l->id;
    p->lost.match = l->match;
    p->lost.last = l->last;
    p->raft.lost = &p->lost;
    p->raft.what_case = NET__RAFT__WHAT_LOST;
}

static void put_lost_reply(struct parts *p, const struct raft_msg_lost_reply *l)
{
    net__lost_reply__init(&p->lost_reply);
    p->lost_reply.id = l->id;
    p->lost_reply.index = l->index;
    p->raft.lost_reply = &p->lost_reply;
    p->raft.what_case = NET__RAFT__WHAT_LOST_REPLY;
}

static void put_what(struct parts *p, const struct raft_msg *msg)
{
    switch (msg->type) {
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_VOTE:
        put_vote(p, &msg->vote);
        break;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        put_vote_reply(p, &msg->vote_reply);
        break;
    case RAFT_MSG_APPEND:
        put_append(p, &msg->append);
        break;
    case RAFT_MSG_APPEND_REPLY:
        put_append_reply(p, &msg->append_reply);
        break;
    case RAFT_MSG_HEARTBEAT:
        put_heartbeat(p, &msg->heartbeat);
        break;
    case RAFT_MSG_HEARTBEAT_REPLY:
        put_heartbeat_reply(p, &msg->heartbeat_reply);
        break;
    case RAFT_MSG_READ:
        put_read(p, &msg->read);
        break;
    case RAFT_MSG_READ_REPLY:
        put_read_reply(p, &msg->read_reply);
        break;
    case RAFT_MSG_LOST:
        put_lost(p, &msg->lost);
        break;
    case RAFT_MSG_LOST_REPLY:
        put_lost_reply(p, &msg->lost_reply);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        break; /* its type says it all */
    }
}

struct net_frame *net_encode_raft(const struct raft_msg *msg)
{
    const size_t entry_count =
        msg->type == RAFT_MSG_APPEND ? msg->append.count : 0;
    struct net_frame *f;
    struct parts p; /* large, and mostly unused: not cleared */

    net__raft__init(&p.raft);
    p.raft.type = msg->type;
    p.raft.from = msg->from;
    p.raft.to = msg->to;
    p.raft.term = msg->term;
    put_what(&p, msg);
    f = net_head_encode(NET_FRAME_RAFT, &p.raft.base, entry_count);
    if (f == NULL)
        return NULL;
    for (size_t i = 0; i < entry_count; i++) {
        if (net_frame_add(f, msg->append.entries[i].data) < 0) {
            net_frame_free(f);
            return NULL;
        }
    }
    net_frame_seal(f);
    return f;
}

/* ---- Decode ---- */

static bool is_kind(uint32_t kind)
{
    return kind == RAFT_ENTRY_NOOP || kind == RAFT_ENTRY_COMMAND ||
           kind == RAFT_ENTRY_CONFIG;
}

/* Terms never fall along a log, and none is above its leader's. The body must
 * be used up exactly. */
static int get_entries(const Net__Append *a, raft_term term,
                       struct px_slice body, struct raft_entry *entries)
{
    raft_term before = a->prev_term;
    size_t at = 0;

    for (size_t i = 0; i < a->n_terms; i++) {
        const size_t size = a->sizes[i];

        if (a->terms[i] < before || a->terms[i] > term || a->terms[i] == 0)
            return -EPROTO;
        if (!is_kind(a->kinds[i]))
            return -EPROTO;
        if (size > PX_ENTRY_BYTES_MAX || size > body.size - at)
            return -EPROTO;
        entries[i] = (struct raft_entry){
            .pos = {a->terms[i], a->prev_index + i + 1},
            .kind = (enum raft_entry_kind)a->kinds[i],
            .data = {.owner = body.owner,
                     .data = size > 0 ? body.data + at : NULL,
                     .size = size}};
        before = a->terms[i];
        at += size;
    }
    return at == body.size ? 0 : -EPROTO;
}

static int get_append(const Net__Append *a, struct px_slice body,
                      struct raft_entry *entries, struct raft_msg *out)
{
    int rc;

    if (a->n_terms > PX_BATCH_ENTRIES_MAX)
        return -EPROTO;
    if (a->n_kinds != a->n_terms || a->n_sizes != a->n_terms)
        return -EPROTO;
    if (a->prev_index > UINT64_MAX - PX_BATCH_ENTRIES_MAX)
        return -EPROTO;
    rc = get_entries(a, out->term, body, entries);
    if (rc < 0)
        return rc;
    out->append =
        (struct raft_msg_append){.prev = {a->prev_term, a->prev_index},
                                 .commit = a->commit,
                                 .count = a->n_terms,
                                 .entries = entries};
    return 0;
}

/* Which part belongs to a type; 0 for a type that isn't one. */
static Net__Raft__WhatCase what_of(uint32_t type, bool *is_type_out)
{
    *is_type_out = true;
    switch ((enum raft_msg_type)type) {
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_VOTE:
        return NET__RAFT__WHAT_VOTE;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        return NET__RAFT__WHAT_VOTE_REPLY;
    case RAFT_MSG_APPEND:
        return NET__RAFT__WHAT_APPEND;
    case RAFT_MSG_APPEND_REPLY:
        return NET__RAFT__WHAT_APPEND_REPLY;
    case RAFT_MSG_HEARTBEAT:
        return NET__RAFT__WHAT_HEARTBEAT;
    case RAFT_MSG_HEARTBEAT_REPLY:
        return NET__RAFT__WHAT_HEARTBEAT_REPLY;
    case RAFT_MSG_READ:
        return NET__RAFT__WHAT_READ;
    case RAFT_MSG_READ_REPLY:
        return NET__RAFT__WHAT_READ_REPLY;
    case RAFT_MSG_LOST:
        return NET__RAFT__WHAT_LOST;
    case RAFT_MSG_LOST_REPLY:
        return NET__RAFT__WHAT_LOST_REPLY;
    case RAFT_MSG_TIMEOUT_NOW:
        return NET__RAFT__WHAT__NOT_SET;
    }
    *is_type_out = false;
    return NET__RAFT__WHAT__NOT_SET;
}

/* All parts but an append's. */
static void get_small(const Net__Raft *head, struct raft_msg *out)
{
    switch (out->type) {
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_VOTE:
        out->vote.last =
            (struct raft_pos){head->vote->last_term, head->vote->last_index};
        out->vote.is_transfer = head->vote->is_transfer;
        break;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        out->vote_reply.is_granted = head->vote_reply->is_granted;
        break;
    case RAFT_MSG_APPEND_REPLY:
        out->append_reply.is_accepted = head->append_reply->is_accepted;
        out->append_reply.match = head->append_reply->match;
        out->append_reply.conflict =
            (struct raft_pos){head->append_reply->conflict_term,
                              head->append_reply->conflict_index};
        break;
    case RAFT_MSG_HEARTBEAT:
        out->heartbeat.match = (struct raft_pos){head->heartbeat->match_term,
                                                 head->heartbeat->match_index};
        out->heartbeat.commit = head->heartbeat->commit;
        out->heartbeat.stamp = head->heartbeat->stamp;
        out->heartbeat.round = head->heartbeat->round;
        break;
    case RAFT_MSG_HEARTBEAT_REPLY:
        out->heartbeat_reply.stamp = head->heartbeat_reply->stamp;
        out->heartbeat_reply.round = head->heartbeat_reply->round;
        out->heartbeat_reply.last = head->heartbeat_reply->last;
        out->heartbeat_reply.is_faulty = head->heartbeat_reply->faulty;
        out->heartbeat_reply.is_unfit = head->heartbeat_reply->unfit;
        break;
    case RAFT_MSG_READ:
        out->read.id = head->read->id;
        break;
    case RAFT_MSG_READ_REPLY:
        out->read_reply.id = head->read_reply->id;
        out->read_reply.index = head->read_reply->index;
        break;
    case RAFT_MSG_LOST:
        out->lost.id = head->lost->id;
        out->lost.match = head->lost->match;
        out->lost.last = head->lost->last;
        break;
    case RAFT_MSG_LOST_REPLY:
        out->lost_reply.id = head->lost_reply->id;
        out->lost_reply.index = head->lost_reply->index;
        break;
    case RAFT_MSG_APPEND:
    case RAFT_MSG_TIMEOUT_NOW:
        break;
    }
}

int net_decode_raft(const struct net_frame_in *frame,
                    struct raft_entry *entries, struct raft_msg *out)
{
    struct net_arena arena;
    const Net__Raft *head =
        net_head_decode(frame, &net__raft__descriptor, &arena);
    struct raft_msg msg = {0};
    bool is_type;

    if (head == NULL)
        return -EPROTO;
    if (what_of(head->type, &is_type) != head->what_case || !is_type)
        return -EPROTO;
    msg.type = (enum raft_msg_type)head->type;
    msg.from = head->from;
    msg.to = head->to;
    msg.term = head->term;
    if (msg.type == RAFT_MSG_APPEND) {
        int rc = get_append(head->append, frame->body, entries, &msg);

        if (rc < 0)
            return rc;
    } else {
        if (frame->body.size > 0)
            return -EPROTO;
        get_small(head, &msg);
    }
    *out = msg;
    return 0;
}
