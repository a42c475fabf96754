/* Probes: one other at a time, in the order of a shuffled round (SWIM 3.1, 4.3).
 *
 *   begin ──ping──▶ target             answered at any time before the end:
 *   timeout ──ping_req──▶ k others       well, and our health improves
 *           ──ping over TCP──▶ target
 *   end: nobody answered               suspect.c; and our own health worsens by
 *                                        each relay that did not even say nack
 *
 * A probe lasts an interval whatever comes of it, so the load is the same in
 * good and in bad times. */
#include <string.h>

#include "gossip/core.h"

/* ---- Begin ---- */

static void ping(struct swim *s, struct swim_member *m, enum swim_via via,
                 uint64_t seq)
{
    swim_send(s, &(struct swim_letter){.type = SWIM_PING,
                                       .via = via,
                                       .addr = m->news.gossip,
                                       .to = m,
                                       .to_id = m->id,
                                       .seq = seq});
}

static void begin(struct swim *s)
{
    struct swim_probe *p = &s->probe;

    s->probe_at = s->now + swim_stretched(s, s->settings.probe_interval);
    if (s->order_count == 0)
        return;
    if (s->order_next >= s->order_count)
        swim_order_shuffle(s);
    *p = (struct swim_probe){
        .target = s->order[s->order_next++],
        .seq = ++s->seq,
        .timeout_at = s->now + swim_stretched(s, s->settings.probe_timeout),
        .end_at = s->probe_at,
    };
    s->counters.probes++;
    ping(s, p->target, SWIM_UDP, p->seq);
}

/* ---- Timeout ---- */

/* k others, none of them the target. */
static void ask_others(struct swim *s)
{
    struct swim_probe *p = &s->probe;
    const size_t first = px_rand_below(&s->rand, s->order_count);

    s->counters.probes_relayed++;
    p->timeout_at = PX_NS_NEVER;
    for (size_t i = 0; i < s->order_count && p->asked < s->settings.relays;
         i++) {
        struct swim_member *m = s->order[(first + i) % s->order_count];

        if (m == p->target)
            continue;
        swim_send(s, &(struct swim_letter){.type = SWIM_PING_REQ,
                                           .via = SWIM_UDP,
                                           .addr = m->news.gossip,
                                           .to = m,
                                           .to_id = m->id,
                                           .seq = p->seq,
                                           .target = p->target->id});
        p->asked++;
    }
    ping(s, p->target, SWIM_DIAL, p->seq); /* as memberlist does */
}

/* ---- Answers ---- */

void swim_on_ack(struct swim *s, const struct swim_origin *o)
{
    struct swim_probe *p = &s->probe;

    if (swim_relay_ack(s, o))
        return;
    if (p->target == NULL || o->head->seq != p->seq) {
        s->counters.late_acks++;
        return;
    }
    if (p->is_acked)
        return;
    if (strcmp(o->head->from, p->target->id) != 0 && p->asked == 0)
        return; /* nobody was asked to answer in its place */
    p->is_acked = true;
    if (o->is_stream)
        s->counters.rescued_by_tcp++;
    swim_health_add(s, -1);
}

void swim_on_nack(struct swim *s, const struct swim_origin *o)
{
    struct swim_probe *p = &s->probe;

    if (p->target != NULL && o->head->seq == p->seq && p->nacks < p->asked)
        p->nacks++;
}

/* ---- End ---- */

static void end(struct swim *s)
{
    struct swim_probe p = s->probe;

    s->probe.target = NULL;
    if (p.is_acked)
        return;
    s->counters.probes_failed++;
    if (p.asked == 0)
        swim_health_add(s, 1); /* nobody could tell whose fault it was */
    else
        swim_health_add(s, (int)(p.asked - p.nacks));
    swim_suspect(s, p.target);
}

void swim_probe_drop(struct swim *s, const struct swim_member *m)
{
    if (s->probe.target == m)
        s->probe.target = NULL; /* the next one begins when it would have */
}

void swim_probe_time(struct swim *s)
{
    struct swim_probe *p = &s->probe;

    if (s->is_leaving) {
        p->target = NULL;
        return;
    }
    if (p->target != NULL && !p->is_acked && s->now >= p->timeout_at)
        ask_others(s);
    if (p->target != NULL && s->now >= p->end_at)
        end(s);
    if (p->target == NULL && s->now >= s->probe_at)
        begin(s);
}

px_ns swim_probe_due(const struct swim *s)
{
    const struct swim_probe *p = &s->probe;

    if (s->is_leaving)
        return PX_NS_NEVER;
    if (p->target == NULL)
        return s->probe_at;
    if (p->is_acked || p->end_at < p->timeout_at)
        return p->end_at;
    return p->timeout_at;
}
