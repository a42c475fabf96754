/* Are we the slow one? Lifeguard's local health multiplier (IV.A), and the time
 * in which we were not run at all.
 *
 *   +1   a refutation was needed: others missed us
 *   +1   each relay that owed us a nack and did not send it
 *   +1   a probe failed and nobody could be asked
 *   +1   a pause
 *   -1   a probe was answered
 *
 * An unhealthy node probes more slowly and waits longer before it accuses. */
#include "gossip/core.h"

void swim_health_add(struct swim *s, int change)
{
    const int health = (int)s->health + change;

    if (health < 0)
        s->health = 0;
    else if (health > s->settings.health_max)
        s->health = s->settings.health_max;
    else
        s->health = (unsigned)health;
}

px_ns swim_stretched(const struct swim *s, px_ns duration)
{
    return duration * (s->health + 1);
}

static void move(px_ns *at, px_ns by)
{
    if (*at != PX_NS_NEVER)
        *at += by;
}

static void move_all(struct swim *s, px_ns by, px_ns now)
{
    move(&s->probe.timeout_at, by);
    move(&s->probe.end_at, by);
    move(&s->probe_at, by);
    move(&s->gossip_at, by);
    move(&s->sync_at, by);
    move(&s->knock_at, by);
    move(&s->seed_at, by);
    for (unsigned i = 0; i < SWIM_RELAYS_MAX; i++) {
        move(&s->relays[i].nack_at, by);
        move(&s->relays[i].end_at, by);
    }
    px_list_for_each (it, &s->suspects) {
        struct swim_member *m = px_list_entry(it, struct swim_member, state);

        m->since = m->since + by < now ? m->since + by : now; /* G5 */
    }
}

/* The caller steps by our deadline. If it comes much later, this process or
 * this machine stood still: answers lie unread in the socket, and refutations
 * were not heard. What others did in that time is not known, so it is taken out
 * of all our timers, with a little more to read the socket in: a suspect may have
 * refuted in the very last moment. Lifeguard's multiplier alone would come too late for the
 * suspicions that are under way. */
void swim_note_pause(struct swim *s, px_ns now)
{
    if (s->deadline == PX_NS_NEVER ||
        now <= s->deadline + s->settings.probe_timeout)
        return;
    s->counters.pauses++;
    swim_health_add(s, 1);
    move_all(s, now - s->deadline + s->settings.probe_timeout, now);
}
