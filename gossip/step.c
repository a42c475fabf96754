/* One input in, one output out.
 *
 *   input ─▶ [pause?] ─▶ handler ─▶ time ─▶ out
 *
 * A packet is handled before the time that came with it, so that an answer that
 * lay in the socket is not too late for the timer that waits for it. */
#include <errno.h>

#include "gossip/core.h"

/* ---- What a step has to say ---- */

static void draft_begin(struct swim *s)
{
    struct swim_draft *d = &s->draft;
    struct px_list *link;

    while ((link = px_list_pop_front(&d->forgotten)) != NULL)
        swim_member_free(px_list_entry(link, struct swim_member, state));
    d->packet_count = 0;
    d->bytes_count = 0;
    d->event_count = 0;
    d->reserve = 0;
    d->wants_seeds = false;
    d->is_out_of_memory = false;
    s->state_bytes = 0;
    s->step++;
}

static px_ns earlier(px_ns a, px_ns b)
{
    return a < b ? a : b;
}

static px_ns deadline(const struct swim *s)
{
    px_ns at = earlier(swim_probe_due(s), swim_relay_due(s));

    if (!s->is_leaving) /* who goes judges nobody any more */
        at = earlier(at, swim_suspects_at(s));
    at = earlier(at, swim_gossip_due(s));
    at = earlier(at, swim_sync_due(s));
    return at > s->now ? at : s->now; /* what was put off is due, not late */
}

static bool is_left(const struct swim *s)
{
    return s->is_leaving &&
           (s->order_count == 0 || px_list_empty(&s->self->told));
}

static void draft_end(struct swim *s, struct swim_out *out)
{
    const struct swim_draft *d = &s->draft;

    s->deadline = deadline(s);
    *out = (struct swim_out){
        .packets = d->packets,
        .packet_count = d->packet_count,
        .reserve = d->reserve,
        .events = d->events,
        .event_count = d->event_count,
        .wants_seeds = d->wants_seeds,
        .is_left = is_left(s),
        .deadline = s->deadline,
    };
}

/* ---- Inputs ---- */

static int on_self(struct swim *s, const struct swim_about *about)
{
    if (!swim_about_is_sound(about))
        return -EINVAL;
    swim_say(s, about);
    return 0;
}

/* Our last word. It ends the incarnation; a restart begins a higher one. */
static void on_leave(struct swim *s)
{
    if (s->is_leaving)
        return;
    s->is_leaving = true;
    swim_member_enter(s, s->self, SWIM_LEFT);
    swim_spread(s, s->self);
}

static int on_input(struct swim *s, const struct swim_in *in)
{
    switch (in->type) {
    case SWIM_IN_TICK:
        return 0;
    case SWIM_IN_PACKET:
        swim_on_packet(s, in);
        return 0;
    case SWIM_IN_RESERVED:
        swim_on_reserved(s, in->reserved);
        return 0;
    case SWIM_IN_SEEDS:
        swim_on_seeds(s, in->seeds.list, in->seeds.count);
        return 0;
    case SWIM_IN_SELF:
        return on_self(s, in->self);
    case SWIM_IN_LEAVE:
        on_leave(s);
        return 0;
    }
    px_assert_failed("a known input", __FILE__, __LINE__);
}

static void on_time(struct swim *s)
{
    swim_renew_try(s);
    swim_relay_time(s);
    swim_probe_time(s);
    if (!s->is_leaving)
        swim_suspects_expire(s);
    swim_sync_time(s);
    swim_gossip_time(s); /* the last: it tells what the others found out */
}

int swim_step(struct swim *s, const struct swim_in *in, struct swim_out *out)
{
    int rc;

    px_assert(in->now >= s->now);
    draft_begin(s);
    swim_note_pause(s, in->now);
    s->now = in->now;
    rc = on_input(s, in);
    on_time(s);
    draft_end(s, out);
    return rc == 0 && s->draft.is_out_of_memory ? -ENOMEM : rc;
}
