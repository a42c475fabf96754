/* A member's beginning and end, and what it says of itself. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gossip/core.h"

/* Durations beyond make no sense, and products of them would overflow. */
#define DURATION_MAX (UINT64_C(30) * 24 * 3600 * PX_NS_PER_S)
#define INTERVAL_MAX (UINT64_C(3600) * PX_NS_PER_S)
#define UNNOTICED_MAX 20u /* intervals; beyond is e^-20 (SWIM 3.1) */

/* ---- Settings ---- */

struct swim_settings swim_settings_of_tick(px_ns tick)
{
    if (tick < PX_NS_PER_MS)
        tick = PX_NS_PER_MS;
    if (tick > 10 * PX_NS_PER_S)
        tick = 10 * PX_NS_PER_S;
    return (struct swim_settings){
        .probe_timeout = 5 * tick,
        .probe_interval = 15 * tick,
        .relays = 3,
        .gossip_interval = 3 * tick,
        .gossip_fanout = 3,
        .spread_mult = 4,
        .suspicion_mult = 5,
        .suspicion_max_mult = 6,
        .confirmations = 3,
        .health_max = 8,
        .sync_interval = 150 * tick,
        .seed_interval = 5 * tick,
        .forget = UINT64_C(24) * 3600 * PX_NS_PER_S,
    };
}

px_ns swim_detection_bound(const struct swim_settings *settings, size_t members,
                           bool is_confirmed)
{
    const size_t round = members > 1 ? 2 * (members - 1) : 2;
    const size_t waits = round < UNNOTICED_MAX ? round : UNNOTICED_MAX;
    const px_ns min = swim_suspicion_min(settings, members);
    const px_ns spread = settings->gossip_interval * settings->spread_mult *
                         swim_digits(members);

    return settings->probe_interval * (waits + 1) + spread +
           (is_confirmed ? min : min * settings->suspicion_max_mult);
}

static bool are_counts_sound(const struct swim_settings *o)
{
    return o->relays <= SWIM_RELAYS_ASKED_MAX && o->gossip_fanout > 0 &&
           o->gossip_fanout <= SWIM_FANOUT_MAX && o->spread_mult > 0 &&
           o->spread_mult <= SWIM_MULT_MAX && o->suspicion_mult > 0 &&
           o->suspicion_mult <= SWIM_MULT_MAX && o->suspicion_max_mult > 0 &&
           o->suspicion_max_mult <= SWIM_MULT_MAX &&
           o->confirmations <= SWIM_CONFIRMATIONS_MAX && o->health_max <= 64;
}

static bool are_settings_sound(const struct swim_settings *o)
{
    return are_counts_sound(o) && o->probe_timeout > 0 &&
           o->probe_interval >= 3 * o->probe_timeout &&
           o->probe_interval <= INTERVAL_MAX && o->gossip_interval > 0 &&
           o->gossip_interval <= INTERVAL_MAX && o->sync_interval > 0 &&
           o->sync_interval <= INTERVAL_MAX && o->seed_interval > 0 &&
           o->seed_interval <= INTERVAL_MAX && o->forget > 0 &&
           o->forget <= DURATION_MAX;
}

/* ---- Ourselves ---- */

bool swim_about_is_sound(const struct swim_about *about)
{
    return swim_addr_is_sound(&about->gossip) &&
           swim_text_is_sound(about->peer, PX_ADDRESS_BYTES_MAX) &&
           swim_text_is_sound(about->zone, PX_NODE_ID_BYTES_MAX) &&
           about->role <= SWIM_ROLE_LEARNER;
}

static bool are_sound(const struct swim_options *o)
{
    return o->id[0] != '\0' && o->label[0] != '\0' &&
           swim_text_is_sound(o->id, PX_NODE_ID_BYTES_MAX) &&
           swim_text_is_sound(o->label, PX_NODE_ID_BYTES_MAX) &&
           swim_about_is_sound(&o->about) && o->incarnation > 0 &&
           o->incarnation < SWIM_INCARNATION_MAX &&
           are_settings_sound(&o->settings);
}

static int add_self(struct swim *s, const struct swim_options *o)
{
    const struct swim_news news = {
        .id = o->id,
        .peer = o->about.peer,
        .zone = o->about.zone,
        .incarnation = o->incarnation,
        .cluster = o->about.cluster,
        .view = o->about.view,
        .gossip = o->about.gossip,
        .state = SWIM_ALIVE,
        .role = o->about.role,
        .protocol = o->about.protocol,
        .expect = o->about.expect,
    };

    s->self = swim_member_add(s, &news);
    if (s->self == NULL)
        return -ENOMEM;
    swim_member_enter(s, s->self, SWIM_ALIVE);
    swim_spread(s, s->self);
    return 0;
}

static void set_times(struct swim *s)
{
    const px_ns interval = s->settings.probe_interval;

    /* Nodes that are started together don't probe together. */
    s->probe_at = s->now + px_rand_below(&s->rand, interval);
    s->gossip_at = s->now;
    s->sync_at = s->now;
    s->knock_at = s->now + interval;
    s->seed_at = s->now;
    s->seed_pause = s->settings.seed_interval;
    s->deadline = PX_NS_NEVER; /* nothing was asked for yet */
}

int swim_new(const struct swim_options *options, struct swim **swim_out)
{
    struct swim *s;

    if (!are_sound(options))
        return -EINVAL;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    px_list_init(&s->suspects);
    px_list_init(&s->dead);
    px_list_init(&s->draft.forgotten);
    for (unsigned i = 0; i < SWIM_TOLD_MAX; i++)
        px_list_init(&s->queue[i]);
    s->settings = options->settings;
    strcpy(s->label, options->label); /* are_sound has measured it */
    s->about = options->about;
    s->run = options->incarnation;
    s->reserved = options->incarnation;
    s->asked = options->incarnation;
    s->now = options->now;
    px_rand_init(&s->rand, options->seed ^ options->incarnation);
    s->seq = px_rand_next(&s->rand) >> 1; /* not those of an earlier run */
    set_times(s);
    if (add_self(s, options) < 0) {
        swim_free(s);
        return -ENOMEM;
    }
    *swim_out = s;
    return 0;
}

void swim_free(struct swim *s)
{
    struct px_list *link;

    if (s == NULL)
        return;
    while ((link = px_list_pop_front(&s->draft.forgotten)) != NULL)
        swim_member_free(px_list_entry(link, struct swim_member, state));
    for (size_t i = 0; i < s->member_count; i++)
        swim_member_free(s->members[i]);
    free(s->members);
    free(s->order);
    free(s->draft.events);
    free(s->state);
    free(s);
}

/* ---- What it says ---- */

void swim_get_status(const struct swim *s, struct swim_status *status_out)
{
    *status_out = (struct swim_status){
        .id = s->self->id,
        .incarnation = s->self->news.incarnation,
        .reserved = s->reserved,
        .health = s->health,
        .members = s->member_count,
        .living = swim_living(s),
        .is_leaving = s->is_leaving,
        .counters = s->counters,
    };
}

size_t swim_get_members(const struct swim *s, struct swim_member_info *members,
                        size_t max)
{
    for (size_t i = 0; i < s->member_count && i < max; i++)
        swim_member_info(s, s->members[i], &members[i]);
    return s->member_count;
}

bool swim_find(const struct swim *s, const char *id,
               struct swim_member_info *member_out)
{
    const struct swim_member *m = swim_member_find(s, id);

    if (m != NULL)
        swim_member_info(s, m, member_out);
    return m != NULL;
}

const char *swim_state_text(enum swim_state state)
{
    switch (state) {
    case SWIM_ALIVE:
        return "alive";
    case SWIM_SUSPECT:
        return "suspect";
    case SWIM_DEAD:
        return "dead";
    case SWIM_LEFT:
        return "left";
    }
    return "unknown";
}

const char *swim_event_text(enum swim_event_type type)
{
    switch (type) {
    case SWIM_EVENT_ALIVE:
        return "alive";
    case SWIM_EVENT_CHANGED:
        return "changed";
    case SWIM_EVENT_SUSPECT:
        return "suspect";
    case SWIM_EVENT_DEAD:
        return "dead";
    case SWIM_EVENT_LEFT:
        return "left";
    case SWIM_EVENT_FORGOTTEN:
        return "forgotten";
    }
    return "unknown";
}
