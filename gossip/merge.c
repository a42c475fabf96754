/* News, about others and about ourselves.
 *
 * A member's story is ordered by (incarnation, state): what is further in that
 * order replaces what is known, everything else is old. So news may come late,
 * twice, or never, in any order: two who have heard the same agree.
 *
 *   news about another       is of                   then
 *   unknown, living          -                       it is taken up
 *   unknown, dead or left    -                       nothing: we hold no story
 *                                                    that this would end
 *   known                    a lower incarnation     nothing
 *                            the same                its state, if stronger
 *                            a higher                its words, then its state
 *
 * About ourselves nobody knows better: we outbid (SWIM 4.2, Alive). The
 * incarnation that we use has to be durable, so that after a restart we begin
 * above it. They are reserved ahead, RESERVE at a time, and a refutation waits
 * for a disk only if somebody claims more than that. */
#include <string.h>

#include "gossip/core.h"

#define RESERVE 64u

/* ---- Others ---- */

/* Only its own word ends that, and it has none of this incarnation. */
static void hear_of_dead(struct swim *s, struct swim_member *m,
                         const struct swim_news *news)
{
    if (news->state == SWIM_LEFT && m->news.state == SWIM_DEAD) {
        m->news.accuser_count = 0;
        swim_member_enter(s, m, SWIM_LEFT);
        swim_spread(s, m);
    }
}

static void hear_state(struct swim *s, struct swim_member *m,
                       const struct swim_news *news)
{
    if (!swim_is_living(m)) {
        hear_of_dead(s, m, news);
        return;
    }
    switch (news->state) {
    case SWIM_ALIVE:
        return;
    case SWIM_SUSPECT:
    case SWIM_DEAD:
        swim_accuse(s, m, news);
        return;
    case SWIM_LEFT:
        m->news.accuser_count = 0;
        swim_member_enter(s, m, SWIM_LEFT);
        swim_spread(s, m);
        return;
    }
}

/* A higher incarnation: what was said of the former is void. */
static void hear_renewed(struct swim *s, struct swim_member *m,
                         const struct swim_news *news)
{
    const bool stays_dead = !swim_is_living(m) && (news->state == SWIM_DEAD ||
                                                   news->state == SWIM_LEFT);
    const enum swim_state before = m->news.state;

    if (swim_member_describe(s, m, news) < 0)
        return;
    s->counters.news++;
    if (stays_dead) {
        m->news.accuser_count = news->accuser_count;
        memcpy(m->news.accusers, news->accusers, sizeof news->accusers);
        if (news->state != before)
            swim_member_enter(s, m, news->state);
        else
            swim_member_touch(s, m, SWIM_EVENT_CHANGED);
    } else if (before == SWIM_ALIVE) {
        swim_member_touch(s, m, SWIM_EVENT_CHANGED);
    } else {
        swim_member_enter(s, m, SWIM_ALIVE);
    }
    swim_spread(s, m);
    hear_state(s, m, news);
}

static void hear_of_stranger(struct swim *s, const struct swim_news *news)
{
    struct swim_news alive = *news;
    struct swim_member *m;

    if (news->state == SWIM_DEAD || news->state == SWIM_LEFT) {
        s->counters.unknown++;
        return;
    }
    alive.state = SWIM_ALIVE;
    alive.accuser_count = 0;
    m = swim_member_add(s, &alive);
    if (m == NULL)
        return;
    s->counters.news++;
    swim_member_enter(s, m, SWIM_ALIVE);
    swim_spread(s, m);
    hear_state(s, m, news);
}

/* ---- Ourselves ---- */

static void put_self(struct swim *s, swim_incarnation incarnation)
{
    struct swim_member *self = s->self;
    struct swim_news news = self->news;

    news.incarnation = incarnation;
    news.gossip = s->about.gossip;
    news.peer = s->about.peer;
    news.zone = s->about.zone;
    news.role = s->about.role;
    news.protocol = s->about.protocol;
    news.expect = s->about.expect;
    news.cluster = s->about.cluster;
    news.view = s->about.view;
    if (swim_member_describe(s, self, &news) < 0)
        return; /* wanted stays: the next step tries again */
    s->wanted = 0;
    swim_spread(s, self);
}

/* Uses what is reserved, and has more reserved when half of it is used. */
void swim_renew_try(struct swim *s)
{
    swim_incarnation top = s->wanted > s->self->news.incarnation
                               ? s->wanted
                               : s->self->news.incarnation;

    if (s->wanted != 0 && s->wanted <= s->reserved)
        put_self(s, s->wanted);
    px_assert(s->self->news.incarnation <= s->reserved); /* G2 */
    if (top + RESERVE / 2 <= s->asked)
        return;
    top = top < SWIM_INCARNATION_MAX - RESERVE ? top + RESERVE
                                               : SWIM_INCARNATION_MAX;
    if (top <= s->asked)
        return;
    s->asked = top;
    s->draft.reserve = top;
}

void swim_renew(struct swim *s, swim_incarnation least)
{
    if (least <= s->self->news.incarnation)
        least = s->self->news.incarnation + 1;
    if (least > SWIM_INCARNATION_MAX)
        return; /* only damage gets there, and nothing gets beyond */
    if (least > s->wanted)
        s->wanted = least;
    swim_renew_try(s);
}

void swim_on_reserved(struct swim *s, swim_incarnation incarnation)
{
    px_assert(incarnation <= s->asked);
    if (incarnation > s->reserved)
        s->reserved = incarnation;
    swim_renew_try(s);
}

void swim_say(struct swim *s, const struct swim_about *about)
{
    s->about = *about;
    if (s->number == 0) /* nobody has heard what we said before */
        put_self(s, s->self->news.incarnation);
    else
        swim_renew(s, 0);
}

static bool is_our_word(const struct swim *s, const struct swim_news *n)
{
    const struct swim_news *self = &s->self->news;

    return memcmp(&n->gossip, &self->gossip, sizeof n->gossip) == 0 &&
           strcmp(n->peer, self->peer) == 0 && strcmp(n->zone, self->zone) == 0;
}

static void refute(struct swim *s, const struct swim_news *news,
                   const struct swim_origin *origin)
{
    s->counters.refutations++;
    swim_health_add(s, 1); /* they had a reason: we may be slow (Lifeguard) */
    swim_renew(s, news->incarnation + 1);
    if (news->state == SWIM_DEAD)
        swim_sync_soon(s); /* we were away, and know little */
    swim_answer_rumour(s, origin);
}

static void hear_of_self(struct swim *s, const struct swim_news *news,
                         const struct swim_origin *origin)
{
    const struct swim_news *self = &s->self->news;

    if (s->is_leaving)
        return;
    if (news->incarnation < self->incarnation) {
        if (news->state != SWIM_ALIVE)
            swim_answer_rumour(s, origin);
        return;
    }
    if (news->state != SWIM_ALIVE) {
        if (s->wanted <= news->incarnation) /* else it is on its way */
            refute(s, news, origin);
        return;
    }
    if (news->incarnation == self->incarnation && is_our_word(s, news))
        return;
    /* An earlier life of ours, that our disk has forgotten; or someone of the
     * same id. */
    s->counters.namesakes++;
    if (news->incarnation > self->incarnation)
        swim_renew(s, news->incarnation + 1);
}

/* ---- */

void swim_hear(struct swim *s, const struct swim_news *news,
               const struct swim_origin *origin)
{
    struct swim_member *m = swim_member_find(s, news->id);

    if (m == s->self)
        hear_of_self(s, news, origin);
    else if (m == NULL)
        hear_of_stranger(s, news);
    else if (news->incarnation > m->news.incarnation)
        hear_renewed(s, m, news);
    else if (news->incarnation == m->news.incarnation)
        hear_state(s, m, news);
}
