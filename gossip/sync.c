/* The whole table, exchanged over TCP: what gossip has missed (memberlist's
 * push-pull); how a cluster is found, and found again.
 *
 *   sync_interval   with a random other; longer in large clusters, so that the
 *                   load of each stays the same. Now and then with a seed that
 *                   no living member is at: two clusters of the same label that
 *                   never met have a seed in common
 *   while alone     all seeds, at once, then less and less often
 *   of no cluster   likewise those that no living member is at: two who wait and
 *                   have met may both have looked before the others were there
 *   the dead        one of them every few intervals is told that it is taken
 *                   for dead, in case it is not (serf's reconnect)
 *
 * A state is encoded at most once in a step; a second one waits for the next. */
#include <stdlib.h>
#include <string.h>

#include "gossip/core.h"

#define SYNC_MEMBERS 32u /* up to which the interval is as set */
#define SEED_SHARE 4u    /* of so many syncs one goes to a seed */
#define SEED_PAUSE_MAX 10u
#define KNOCK_INTERVALS 5u

/* ---- The state in bytes ---- */

static bool reserve_state(struct swim *s)
{
    size_t bytes = SWIM_HEAD_BYTES_MAX;
    uint8_t *state;

    for (size_t i = 0; i < s->member_count; i++)
        bytes += swim_news_bytes(&s->members[i]->news);
    px_assert(bytes <= SWIM_STATE_BYTES_MAX);
    if (bytes <= s->state_room)
        return true;
    state = realloc(s->state, bytes);
    if (state == NULL) {
        s->draft.is_out_of_memory = true;
        return false;
    }
    s->state = state;
    s->state_room = bytes;
    return true;
}

/* False: no memory. */
static bool encode_state(struct swim *s, enum swim_packet_type type,
                         uint64_t seq, const char *to)
{
    const struct swim_head head = {
        .type = type,
        .run = s->run,
        .number = s->number + 1,
        .seq = seq,
        .label = s->label,
        .from = s->self->id,
        .to = to,
        .target = "",
    };
    struct swim_writer w;

    px_assert(s->state_bytes == 0);
    if (!reserve_state(s))
        return false;
    s->number++;
    swim_write_head(&w, &head, s->state, s->state_room);
    for (size_t i = 0; i < s->member_count; i++) {
        const bool is_written = swim_write_news(&w, &s->members[i]->news);

        px_assert(is_written); /* reserve_state counted it */
    }
    s->state_bytes = swim_write_end(&w);
    return true;
}

void swim_on_state_ask(struct swim *s, const struct swim_origin *o)
{
    s->counters.syncs++;
    if (encode_state(s, SWIM_STATE, o->head->seq, o->head->from))
        swim_send_state(s, SWIM_ANSWER, NULL);
}

/* ---- Push-pull ---- */

/* Doubled for each doubling beyond SYNC_MEMBERS, less or more an eighth, so
 * that nodes that were started together drift apart. */
static px_ns sync_pause(struct swim *s)
{
    px_ns pause = s->settings.sync_interval;

    for (size_t n = SYNC_MEMBERS; n < swim_living(s); n *= 2)
        pause += s->settings.sync_interval;
    return pause - pause / 8 + px_rand_below(&s->rand, pause / 4 + 1);
}

static bool is_living_at(const struct swim *s, const struct swim_addr *addr)
{
    for (size_t i = 0; i < s->member_count; i++) {
        const struct swim_member *m = s->members[i];

        if (swim_is_living(m) &&
            memcmp(&m->news.gossip, addr, sizeof *addr) == 0)
            return true;
    }
    return false;
}

/* One that no living member is at; NULL: there is none. */
static const struct swim_addr *lost_seed(struct swim *s)
{
    const size_t first =
        s->seed_count > 0 ? px_rand_below(&s->rand, s->seed_count) : 0;

    for (size_t i = 0; i < s->seed_count; i++) {
        const struct swim_addr *seed = &s->seeds[(first + i) % s->seed_count];

        if (!is_living_at(s, seed))
            return seed;
    }
    return NULL;
}

static void sync_with(struct swim *s)
{
    const struct swim_member *m =
        s->order[px_rand_below(&s->rand, s->order_count)];
    const struct swim_addr *seed = NULL;

    s->sync_at = s->now + sync_pause(s);
    if (px_rand_below(&s->rand, SEED_SHARE) == 0)
        seed = lost_seed(s);
    s->draft.wants_seeds = seed != NULL;
    if (encode_state(s, SWIM_STATE_ASK, ++s->seq, seed == NULL ? m->id : ""))
        swim_send_state(s, SWIM_DIAL, seed == NULL ? &m->news.gossip : seed);
}

void swim_sync_soon(struct swim *s)
{
    const px_ns at = s->now + s->settings.probe_timeout;

    if (at < s->sync_at)
        s->sync_at = at;
}

/* ---- Seeds ---- */

void swim_on_seeds(struct swim *s, const struct swim_addr *list, size_t count)
{
    const bool are_first = s->seed_count == 0;

    s->seed_count = 0;
    for (size_t i = 0; i < count && s->seed_count < SWIM_SEEDS_MAX; i++) {
        if (swim_addr_is_sound(&list[i]))
            s->seeds[s->seed_count++] = list[i];
    }
    if (!are_first || s->seed_count == 0)
        return;
    s->seed_at = s->now; /* the first ones are not kept waiting */
    s->seed_pause = s->settings.seed_interval;
}

static bool is_alone(const struct swim *s)
{
    return s->order_count == 0;
}

/* Where most of what there is to find may not have been found. */
static bool is_searching(const struct swim *s)
{
    return is_alone(s) || s->about.cluster == 0;
}

static void ask_seeds(struct swim *s)
{
    s->seed_at = s->now + s->seed_pause;
    if (s->seed_pause < SEED_PAUSE_MAX * s->settings.seed_interval)
        s->seed_pause += s->settings.seed_interval;
    if (!is_alone(s) && lost_seed(s) == NULL)
        return;
    s->draft.wants_seeds = true;
    if (s->seed_count == 0 || !encode_state(s, SWIM_STATE_ASK, ++s->seq, ""))
        return;
    for (size_t i = 0; i < s->seed_count; i++) {
        if (!is_living_at(s, &s->seeds[i])) /* not we, either */
            swim_send_state(s, SWIM_DIAL, &s->seeds[i]);
    }
}

/* ---- The dead ---- */

static void knock(struct swim *s)
{
    s->knock_at = s->now + KNOCK_INTERVALS * s->settings.probe_interval;
    for (size_t i = 0; i < s->member_count; i++) {
        struct swim_member *m = s->members[s->knock_next++ % s->member_count];

        if (m->news.state == SWIM_DEAD) {
            swim_warn(s, m);
            return;
        }
    }
}

static px_ns forget_due(const struct swim *s)
{
    if (px_list_empty(&s->dead))
        return PX_NS_NEVER;
    return px_list_entry(s->dead.next, struct swim_member, state)->since +
           s->settings.forget;
}

/* ---- Time ---- */

void swim_sync_time(struct swim *s)
{
    while (s->now >= forget_due(s))
        swim_member_forget(
            s, px_list_entry(s->dead.next, struct swim_member, state));
    if (s->is_leaving)
        return;
    if (!px_list_empty(&s->dead) && s->now >= s->knock_at)
        knock(s);
    if (!is_searching(s))
        s->seed_pause = s->settings.seed_interval;
    if (s->state_bytes > 0)
        return; /* an answer; ours goes out in the next step */
    if (is_searching(s) && s->now >= s->seed_at)
        ask_seeds(s);
    else if (!is_alone(s) && s->now >= s->sync_at)
        sync_with(s);
}

px_ns swim_sync_due(const struct swim *s)
{
    px_ns due = forget_due(s);

    if (s->is_leaving)
        return due;
    if (!px_list_empty(&s->dead) && s->knock_at < due)
        due = s->knock_at;
    if (!is_alone(s) && s->sync_at < due)
        due = s->sync_at;
    if (is_searching(s) && s->seed_at < due)
        due = s->seed_at;
    return due;
}
