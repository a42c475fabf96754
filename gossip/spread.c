/* News: what is told, how often, and on which packets (SWIM 4.1).
 *
 *   queue[0]  ─ never told        told once: to queue[1]
 *   queue[1]  ─ told once         ...
 *   ...                           told lambda x digits(n) times: done
 *
 * Each packet takes what fits, the least told first, so that fresh news
 * overtakes what most have heard. News is always the present story of its
 * member: a newer one takes the place of the older, and begins anew.
 *
 * It rides on pings and answers; and as long as there is any, on packets of its
 * own, so that in a small cluster with long intervals a refutation is not late.
 * Told a bounded number of times by each member, it costs a bounded number of
 * packets. */
#include <string.h>

#include "gossip/core.h"

#define UNFIT_MAX 8u /* pieces that don't fit; then the packet counts as full */

unsigned swim_told_limit(const struct swim *s)
{
    return s->settings.spread_mult * swim_digits(swim_living(s));
}

void swim_spread_stop(struct swim_member *m)
{
    px_list_remove(&m->told);
}

void swim_spread(struct swim *s, struct swim_member *m)
{
    px_list_remove(&m->told);
    m->told_count = 0;
    px_list_push_back(&s->queue[0], &m->told);
}

bool swim_has_news(const struct swim *s)
{
    for (unsigned i = 0; i < SWIM_TOLD_MAX; i++) {
        if (!px_list_empty(&s->queue[i]))
            return true;
    }
    return false;
}

/* ---- One packet ---- */

static void count_told(struct swim *s, struct swim_member *m)
{
    px_list_remove(&m->told);
    m->told_count++;
    if (m->told_count < swim_told_limit(s))
        px_list_push_back(&s->queue[m->told_count], &m->told);
}

/* False: it does not fit. */
static bool tell(struct swim *s, struct swim_writer *w, struct swim_member *m)
{
    if (!swim_write_news(w, &m->news))
        return false;
    m->told_in = s->number;
    if (!px_list_empty(&m->told))
        count_told(s, m);
    return true;
}

/* Of one queue; false: the packet is full. */
static bool tell_queue(struct swim *s, struct swim_writer *w,
                       struct px_list *queue, const struct swim_member *to)
{
    struct px_list *it = queue->next;
    unsigned unfit = 0;

    while (it != queue && unfit < UNFIT_MAX) {
        struct swim_member *m = px_list_entry(it, struct swim_member, told);

        it = it->next;
        if (m == to || m->told_in == s->number)
            continue; /* it knows itself; or came from a queue before */
        if (!tell(s, w, m))
            unfit++;
    }
    return unfit == 0;
}

static void tell_all(struct swim *s, struct swim_writer *w,
                     struct swim_member *to)
{
    if (to->news.state != SWIM_ALIVE) /* Lifeguard's buddy system */
        (void)tell(s, w, to);         /* there is room for one */
    if (!swim_is_living(to))
        return; /* it would be wasted */
    for (unsigned i = 0; i < SWIM_TOLD_MAX; i++) {
        if (!tell_queue(s, w, &s->queue[i], to))
            return;
    }
}

static void put_packet(struct swim *s, enum swim_via via,
                       const struct swim_addr *addr, const uint8_t *data,
                       size_t size)
{
    struct swim_draft *d = &s->draft;
    struct swim_packet_out *p = &d->packets[d->packet_count++];

    memset(p, 0, sizeof *p);
    p->via = via;
    if (via != SWIM_ANSWER)
        p->to = *addr;
    p->data = data;
    p->size = size;
    s->counters.packets_out++;
    s->counters.bytes_out += size;
    if (via == SWIM_DIAL)
        s->counters.dials++;
}

void swim_send(struct swim *s, const struct swim_letter *letter)
{
    struct swim_draft *d = &s->draft;
    const struct swim_head head = {
        .type = letter->type,
        .run = s->run,
        .number = s->number + 1,
        .seq = letter->seq,
        .label = s->label,
        .from = s->self->id,
        .to = letter->to_id,
        .target = letter->target != NULL ? letter->target : "",
    };
    struct swim_writer w;
    uint8_t *bytes;

    if (d->packet_count == SWIM_OUT_MAX || d->bytes_count == SWIM_LETTERS_MAX) {
        s->counters.dropped++; /* as if the network had lost it */
        return;
    }
    s->number++;
    bytes = d->bytes[d->bytes_count++];
    swim_write_head(&w, &head, bytes, SWIM_PACKET_BYTES_MAX);
    if (letter->is_about_us)
        (void)tell(s, &w, s->self); /* there is room for one */
    if (letter->to != NULL)
        tell_all(s, &w, letter->to);
    put_packet(s, letter->via, &letter->addr, bytes, swim_write_end(&w));
}

void swim_send_state(struct swim *s, enum swim_via via,
                     const struct swim_addr *addr)
{
    if (s->draft.packet_count == SWIM_OUT_MAX) {
        s->counters.dropped++;
        return;
    }
    px_assert(s->state_bytes > 0);
    put_packet(s, via, addr, s->state, s->state_bytes);
}

void swim_warn(struct swim *s, struct swim_member *m)
{
    swim_send(s, &(struct swim_letter){.type = SWIM_NEWS,
                                       .via = SWIM_UDP,
                                       .addr = m->news.gossip,
                                       .to = m,
                                       .to_id = m->id});
}

void swim_answer_rumour(struct swim *s, const struct swim_origin *o)
{
    const bool is_known = o->member != NULL;

    if (s->wanted != 0 || (o->is_stream && !is_known))
        return; /* we have no answer yet; or don't know where to */
    swim_send(s, &(struct swim_letter){.type = SWIM_NEWS,
                                       .via = SWIM_UDP,
                                       .addr = is_known ? o->member->news.gossip
                                                        : o->addr,
                                       .to_id = o->head->from,
                                       .is_about_us = true});
}

/* ---- Packets of their own ---- */

px_ns swim_gossip_due(const struct swim *s)
{
    if (s->order_count == 0 || !swim_has_news(s))
        return PX_NS_NEVER;
    return s->gossip_at;
}

void swim_gossip_time(struct swim *s)
{
    size_t at;

    if (s->order_count == 1)
        swim_spread_stop(s->order[0]); /* there is no one else to be told */
    if (s->now < swim_gossip_due(s))
        return;
    /* Neighbours in a shuffled order are as good as random. */
    at = px_rand_below(&s->rand, s->order_count);
    for (unsigned i = 0; i < s->settings.gossip_fanout; i++) {
        struct swim_member *m = s->order[(at + i) % s->order_count];

        if (i == s->order_count || !swim_has_news(s))
            break;
        swim_send(s, &(struct swim_letter){.type = SWIM_NEWS,
                                           .via = SWIM_UDP,
                                           .addr = m->news.gossip,
                                           .to = m,
                                           .to_id = m->id});
    }
    s->gossip_at = s->now + s->settings.gossip_interval;
}
