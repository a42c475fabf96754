/* Suspicion: how one that does not answer gets the time to say that it is
 * alive, and how that time shrinks as others agree (LHA-Suspicion, Lifeguard
 * IV.B).
 *
 *   timeout = max(min, max - (max - min) x log(C + 1) / log(K + 1))
 *
 *   min = alpha x digits(n) x interval, max = beta x min; C others suspect it
 *   too, K would suffice: settings.confirmations, or as many as there are.
 *
 * A node that is slow itself hears of no others that agree, and waits for max;
 * where the suspect is gone indeed, others find that out, and it is min.
 *
 * Every node judges by its own clock. A death that another tells of is the word
 * of one who may have been cut off: it counts as if all had agreed, from when
 * it is heard of here. So nobody is dead here who had less than min to refute,
 * and a node behind a healed partition can't kill. */
#include "gossip/core.h"

/* log2(1 .. 4) in 1/1024. */
static const uint64_t log2_1024[SWIM_CONFIRMATIONS_MAX + 1] = {0, 1024, 1623,
                                                               2048};

unsigned swim_digits(size_t n)
{
    unsigned digits = 1;

    for (n = n > 0 ? n - 1 : 0; n >= 10; n /= 10)
        digits++;
    return digits;
}

px_ns swim_suspicion_min(const struct swim_settings *settings, size_t members)
{
    return settings->probe_interval * settings->suspicion_mult *
           swim_digits(members);
}

/* All but it and us can confirm. */
static unsigned confirmations_wanted(const struct swim *s)
{
    const size_t others = s->order_count - 1;

    return others < s->settings.confirmations ? (unsigned)others
                                              : s->settings.confirmations;
}

static px_ns timeout_of(const struct swim *s, const struct swim_member *m)
{
    const px_ns min = swim_suspicion_min(&s->settings, swim_living(s));
    const px_ns max = min * s->settings.suspicion_max_mult;
    const unsigned wanted = confirmations_wanted(s);
    const unsigned confirmed = m->news.accuser_count - 1u;

    px_assert(m->news.accuser_count > 0); /* G5 */
    if (m->is_confirmed || confirmed >= wanted)
        return min;
    return max - (max - min) * log2_1024[confirmed] / log2_1024[wanted];
}

px_ns swim_suspicion_end(const struct swim *s, const struct swim_member *m)
{
    return m->since + timeout_of(s, m);
}

/* True if @key was not among them, and there was room. */
static bool add_accuser(struct swim *s, struct swim_member *m, uint64_t key)
{
    struct swim_news *n = &m->news;

    for (unsigned i = 0; i < n->accuser_count; i++) {
        if (n->accusers[i] == key)
            return false;
    }
    if (n->accuser_count > s->settings.confirmations)
        return false;
    n->accusers[n->accuser_count++] = key;
    return true;
}

static void begin(struct swim *s, struct swim_member *m)
{
    px_assert(m->news.state == SWIM_ALIVE);
    s->counters.suspicions++;
    m->news.accuser_count = 0;
    swim_member_enter(s, m, SWIM_SUSPECT);
}

void swim_suspect(struct swim *s, struct swim_member *m)
{
    const bool is_first = m->news.state == SWIM_ALIVE;

    if (is_first)
        begin(s, m);
    if (add_accuser(s, m, s->self->key))
        swim_spread(s, m);
    if (is_first)
        swim_warn(s, m);
}

void swim_accuse(struct swim *s, struct swim_member *m,
                 const struct swim_news *news)
{
    const bool is_first = m->news.state == SWIM_ALIVE;
    bool is_news = is_first;

    if (is_first)
        begin(s, m);
    for (unsigned i = 0; i < news->accuser_count; i++)
        is_news |= add_accuser(s, m, news->accusers[i]);
    if (news->state == SWIM_DEAD && !m->is_confirmed) {
        m->is_confirmed = true;
        is_news = true;
    }
    if (!is_news)
        return;
    s->counters.news++;
    swim_spread(s, m); /* each new accuser is told on: up to K of them */
    if (is_first && news->state == SWIM_DEAD)
        swim_warn(s, m); /* a surprise: it may not have heard, either */
}

void swim_suspects_expire(struct swim *s)
{
    struct px_list *it = s->suspects.next;

    while (it != &s->suspects) {
        struct swim_member *m = px_list_entry(it, struct swim_member, state);

        it = it->next;
        if (s->now < swim_suspicion_end(s, m))
            continue;
        s->counters.deaths++;
        swim_member_enter(s, m, SWIM_DEAD);
        swim_spread(s, m);
    }
}

px_ns swim_suspects_at(const struct swim *s)
{
    px_ns at = PX_NS_NEVER;

    px_list_for_each (it, &s->suspects) {
        const px_ns end = swim_suspicion_end(
            s, px_list_entry(it, const struct swim_member, state));

        at = end < at ? end : at;
    }
    return at;
}
