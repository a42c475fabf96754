/* Pings: those that we are asked, and those that we make for others.
 *
 *   asker ──ping_req(target)──▶ we ──ping──▶ target
 *                               we ◀──ack─── target
 *   asker ◀────────ack───────── we
 *   asker ◀────────nack──────── we     no answer within 80 % of the timeout
 *                                      (Lifeguard IV.A): "I am here, it isn't"
 *
 * Targets are looked up in our own table: nobody can have us send to an address
 * of his choosing. An answer that comes after the nack is passed on all the
 * same. */
#include <string.h>

#include "gossip/core.h"

static enum swim_via way_back(const struct swim_origin *o)
{
    return o->is_stream ? SWIM_ANSWER : SWIM_UDP;
}

static void answer(struct swim *s, const struct swim_origin *o,
                   enum swim_packet_type type)
{
    swim_send(s, &(struct swim_letter){.type = type,
                                       .via = way_back(o),
                                       .addr = o->addr,
                                       .to = o->member,
                                       .to_id = o->head->from,
                                       .seq = o->head->seq});
}

void swim_on_ping(struct swim *s, const struct swim_origin *o)
{
    answer(s, o, SWIM_ACK);
}

/* ---- For others ---- */

static struct swim_relay *relay_find(struct swim *s, uint64_t seq)
{
    for (unsigned i = 0; i < SWIM_RELAYS_MAX; i++) {
        if (s->relays[i].seq == seq)
            return &s->relays[i];
    }
    return NULL;
}

/* To whom asked; news only if it is still a member. */
static void tell_asker(struct swim *s, const struct swim_relay *r,
                       enum swim_packet_type type)
{
    swim_send(s, &(struct swim_letter){.type = type,
                                       .via = SWIM_UDP,
                                       .addr = r->asker_addr,
                                       .to = swim_member_find(s, r->asker),
                                       .to_id = r->asker,
                                       .seq = r->asker_seq});
}

void swim_on_ping_req(struct swim *s, const struct swim_origin *o)
{
    struct swim_member *target = swim_member_find(s, o->head->target);
    struct swim_relay *r = relay_find(s, 0);

    if (target == NULL || target == s->self || r == NULL) {
        s->counters.relays_full += r == NULL;
        answer(s, o, target == s->self ? SWIM_ACK : SWIM_NACK);
        return;
    }
    *r = (struct swim_relay){
        .seq = ++s->seq,
        .asker_seq = o->head->seq,
        .asker_addr = o->addr,
        .nack_at = s->now + s->settings.probe_timeout / 5 * 4,
        .end_at = s->now + s->settings.probe_interval,
    };
    strcpy(r->asker, o->head->from); /* a text of a packet: it fits */
    s->counters.relayed++;
    swim_send(s, &(struct swim_letter){.type = SWIM_PING,
                                       .via = SWIM_UDP,
                                       .addr = target->news.gossip,
                                       .to = target,
                                       .to_id = target->id,
                                       .seq = r->seq});
}

bool swim_relay_ack(struct swim *s, const struct swim_origin *o)
{
    struct swim_relay *r = relay_find(s, o->head->seq);

    if (r == NULL)
        return false;
    tell_asker(s, r, SWIM_ACK);
    r->seq = 0;
    return true;
}

void swim_relay_time(struct swim *s)
{
    for (unsigned i = 0; i < SWIM_RELAYS_MAX; i++) {
        struct swim_relay *r = &s->relays[i];

        if (r->seq != 0 && s->now >= r->nack_at) {
            s->counters.nacks_out++;
            tell_asker(s, r, SWIM_NACK);
            r->nack_at = PX_NS_NEVER;
        }
        if (s->now >= r->end_at)
            r->seq = 0;
    }
}

px_ns swim_relay_due(const struct swim *s)
{
    px_ns due = PX_NS_NEVER;

    for (unsigned i = 0; i < SWIM_RELAYS_MAX; i++) {
        const struct swim_relay *r = &s->relays[i];
        const px_ns at = r->nack_at < r->end_at ? r->nack_at : r->end_at;

        if (r->seq != 0 && at < due)
            due = at;
    }
    return due;
}
