/* Bytes that came: checked, then heard, then acted upon.
 *
 *   bytes ─▶ sound? ─▶ of our cluster? ─▶ for us, and from another? ─▶ new?
 *                                   no: counted, and nothing changes
 *         ─▶ its news (merge.c) ─▶ what it asks or answers
 *
 * The news is heard first, so that an answer goes to a member that this very
 * packet has introduced. Who stays unknown is answered, but told no news. */
#include <string.h>

#include "base/err.h"
#include "gossip/core.h"

static bool is_on_its_way(const struct swim_head *h, bool is_stream)
{
    switch (h->type) {
    case SWIM_PING:
    case SWIM_ACK:
        return true;
    case SWIM_PING_REQ:
    case SWIM_NACK:
    case SWIM_NEWS:
        return !is_stream;
    case SWIM_STATE_ASK:
    case SWIM_STATE:
        return is_stream;
    }
    return false;
}

/* 0, or the counter of why it is refused. */
static uint64_t *read_packet(struct swim *s, const struct swim_in *in,
                             struct swim_reader *r)
{
    const size_t size = in->packet.size;
    int rc;

    if (size >
        (in->packet.is_stream ? SWIM_STATE_BYTES_MAX : SWIM_PACKET_BYTES_MAX))
        return &s->counters.malformed;
    rc = swim_read_packet(r, in->packet.data, size);
    if (rc == -PX_ECORRUPT)
        return &s->counters.corrupt;
    if (rc == -PX_EFORMAT)
        return &s->counters.version;
    if (rc < 0 || !is_on_its_way(&r->head, in->packet.is_stream))
        return &s->counters.malformed;
    return NULL;
}

/* The same, of a sound packet. */
static uint64_t *judge(struct swim *s, const struct swim_head *h,
                       struct swim_member *from)
{
    if (strcmp(h->label, s->label) != 0)
        return &s->counters.label;
    if (from == s->self)
        return h->run == s->run ? &s->counters.own : &s->counters.namesakes;
    if (h->to[0] != '\0' && strcmp(h->to, s->self->id) != 0)
        return &s->counters.misdirected;
    if (from != NULL && !swim_is_fresh(from, h))
        return &s->counters.replayed;
    return NULL;
}

static void act(struct swim *s, const struct swim_origin *o)
{
    switch (o->head->type) {
    case SWIM_PING:
        swim_on_ping(s, o);
        return;
    case SWIM_ACK:
        swim_on_ack(s, o);
        return;
    case SWIM_PING_REQ:
        swim_on_ping_req(s, o);
        return;
    case SWIM_NACK:
        swim_on_nack(s, o);
        return;
    case SWIM_NEWS:
        return;
    case SWIM_STATE_ASK:
        swim_on_state_ask(s, o);
        return;
    case SWIM_STATE:
        s->counters.syncs++;
        return;
    }
}

void swim_on_packet(struct swim *s, const struct swim_in *in)
{
    struct swim_reader r;
    struct swim_origin o = {.head = &r.head,
                            .addr = in->packet.from,
                            .is_stream = in->packet.is_stream};
    struct swim_news news;
    uint64_t *refused;

    s->counters.packets_in++;
    s->counters.bytes_in += in->packet.size;
    refused = read_packet(s, in, &r);
    if (refused == NULL) {
        o.member = swim_member_find(s, r.head.from);
        refused = judge(s, &r.head, o.member);
    }
    if (refused != NULL) {
        ++*refused;
        return;
    }
    while (swim_read_news(&r, &news))
        swim_hear(s, &news, &o);
    if (o.member == NULL) {
        o.member = swim_member_find(s, r.head.from);
        if (o.member != NULL)
            (void)swim_is_fresh(o.member, &r.head); /* remember it: it is */
    }
    act(s, &o);
}
