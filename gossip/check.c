/* Every invariant of core.h, looked at: the state first, then what changed
 * since the last look. */
#include "gossip/core.h"

static bool is_in(const struct px_list *head, const struct px_list *link)
{
    px_list_for_each (it, head) {
        if (it == link)
            return true;
    }
    return false;
}

static void check_self(const struct swim *s)
{
    const struct swim_news *self = &s->self->news;

    px_assert(self->incarnation <= s->reserved); /* G2 */
    px_assert(s->reserved <= s->asked);
    px_assert(self->state == (s->is_leaving ? SWIM_LEFT : SWIM_ALIVE)); /* G3 */
    px_assert(!s->self->is_ordered);
    px_assert(swim_member_find(s, s->self->id) == s->self);
}

static void check_order(const struct swim *s)
{
    size_t living = 0;

    px_assert(s->order_next <= s->order_count);
    for (size_t i = 0; i < s->member_count; i++) {
        const struct swim_member *m = s->members[i];

        px_assert(m->is_ordered == (m != s->self && swim_is_living(m)));
        living += m->is_ordered;
    }
    px_assert(living == s->order_count); /* G4 */
    for (size_t i = 0; i < s->order_count; i++)
        px_assert(s->order[i]->is_ordered);
}

static void check_suspect(const struct swim *s, const struct swim_member *m)
{
    const bool is_suspect = m->news.state == SWIM_SUSPECT;

    px_assert(is_suspect == is_in(&s->suspects, &m->state)); /* G5 */
    px_assert(px_implies(is_suspect, m->news.accuser_count > 0));
    px_assert(px_implies(is_suspect, m->since <= s->now));
    px_assert(px_implies(m->is_confirmed, is_suspect));
    px_assert(
        px_implies(m->news.state == SWIM_ALIVE || m->news.state == SWIM_LEFT,
                   m->news.accuser_count == 0));
}

static void check_dead(const struct swim *s)
{
    size_t dead = 0;
    px_ns since = 0;

    px_list_for_each (it, &s->dead) {
        const struct swim_member *m =
            px_list_entry(it, const struct swim_member, state);

        px_assert(!swim_is_living(m)); /* G6 */
        px_assert(m->since >= since);
        since = m->since;
        dead++;
    }
    px_assert(dead + s->order_count + 1 == s->member_count);
}

static void check_queues(const struct swim *s)
{
    for (unsigned i = 0; i < SWIM_TOLD_MAX; i++) {
        px_list_for_each (it, &s->queue[i]) {
            const struct swim_member *m =
                px_list_entry(it, const struct swim_member, told);

            px_assert(m->told_count == i); /* G7 */
            px_assert(s->members[m->at] == m);
        }
    }
}

static void check_probe(const struct swim *s)
{
    const struct swim_probe *p = &s->probe;

    px_assert(px_implies(p->target != NULL, p->target->is_ordered)); /* G8 */
    px_assert(p->asked <= s->settings.relays);
    px_assert(p->nacks <= p->asked);
    px_assert(s->health <= s->settings.health_max); /* G9 */
}

static void check_change(struct swim_member *m)
{
    const struct swim_news *n = &m->news;

    px_assert(n->incarnation >= m->seen_incarnation); /* G1 */
    px_assert(px_implies(n->incarnation == m->seen_incarnation,
                         n->state >= m->seen_state));
    m->seen_incarnation = n->incarnation;
    m->seen_state = n->state;
}

void swim_check(struct swim *s)
{
    px_assert(s->member_count <= SWIM_MEMBERS_MAX); /* G10 */
    px_assert(s->member_count <= s->capacity);
    check_self(s);
    check_order(s);
    check_dead(s);
    check_queues(s);
    check_probe(s);
    for (size_t i = 0; i < s->member_count; i++) {
        px_assert(s->members[i]->at == i);
        px_assert(swim_member_find(s, s->members[i]->id) == s->members[i]);
        check_suspect(s, s->members[i]);
        check_change(s->members[i]);
    }
}
