/* The table: every member that is known, by id, in its list, and in the order
 * in which the living are pinged.
 *
 *   members[]   all, ourselves included      buckets[]   all, by px_djb2(id)
 *   order[]     the living others            suspects, dead   lists
 *
 *   order:  | pinged in this round | order_next ... | to be pinged |
 *
 * Round robin over a shuffled order gives each failure a bound on when it is
 * first noticed, which choosing at random can't (SWIM 4.3). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gossip/core.h"

bool swim_is_living(const struct swim_member *m)
{
    return m->news.state == SWIM_ALIVE || m->news.state == SWIM_SUSPECT;
}

size_t swim_living(const struct swim *s)
{
    return s->order_count + 1;
}

static struct swim_member **bucket_of(struct swim *s, uint64_t key)
{
    return &s->buckets[key % SWIM_BUCKETS];
}

struct swim_member *swim_member_find(const struct swim *s, const char *id)
{
    const uint64_t key = px_djb2(id, strlen(id));

    for (struct swim_member *m = s->buckets[key % SWIM_BUCKETS]; m != NULL;
         m = m->next) {
        if (m->key == key && strcmp(m->id, id) == 0)
            return m;
    }
    return NULL;
}

/* ---- Making and freeing ---- */

/* A copy of both texts, behind each other; NULL without memory. */
static char *copy_texts(const struct swim_news *news)
{
    const size_t peer_size = strlen(news->peer) + 1;
    const size_t zone_size = strlen(news->zone) + 1;
    char *texts = malloc(peer_size + zone_size);

    if (texts == NULL)
        return NULL;
    memcpy(texts, news->peer, peer_size);
    memcpy(texts + peer_size, news->zone, zone_size);
    return texts;
}

static void take_texts(struct swim_member *m, char *texts)
{
    free(m->texts);
    m->texts = texts;
    m->news.id = m->id;
    m->news.peer = texts;
    m->news.zone = texts + strlen(texts) + 1;
}

void swim_member_free(struct swim_member *m)
{
    if (m == NULL)
        return;
    free(m->texts);
    free(m);
}

static int grow(struct swim *s)
{
    const size_t capacity = s->capacity == 0 ? 16 : 2 * s->capacity;
    struct swim_member **members =
        realloc(s->members, capacity * sizeof *members);
    struct swim_member **order;
    struct swim_event *events;

    if (members == NULL)
        return -ENOMEM;
    s->members = members;
    order = realloc(s->order, capacity * sizeof *order);
    if (order == NULL)
        return -ENOMEM;
    s->order = order;
    /* In a step, at most as many are told of as were there and come anew: a
     * packet has SWIM_MEMBERS_MAX pieces of news. */
    events = realloc(s->draft.events, 2 * capacity * sizeof *events);
    if (events == NULL)
        return -ENOMEM;
    s->draft.events = events;
    s->capacity = capacity;
    return 0;
}

static struct swim_member *member_new(const struct swim_news *news)
{
    const size_t id_size = strlen(news->id) + 1;
    struct swim_member *m = calloc(1, sizeof *m + id_size);
    char *texts = copy_texts(news);

    if (m == NULL || texts == NULL) {
        free(m);
        free(texts);
        return NULL;
    }
    memcpy(m->id, news->id, id_size);
    m->key = px_djb2(m->id, id_size - 1);
    m->news = *news;
    take_texts(m, texts);
    px_list_init(&m->state);
    px_list_init(&m->told);
    return m;
}

/* Room for one more: the longest dead makes way. */
static bool has_room(struct swim *s)
{
    if (s->member_count < SWIM_MEMBERS_MAX)
        return true;
    if (px_list_empty(&s->dead))
        return false;
    swim_member_forget(s,
                       px_list_entry(s->dead.next, struct swim_member, state));
    return true;
}

struct swim_member *swim_member_add(struct swim *s,
                                    const struct swim_news *news)
{
    struct swim_member **bucket;
    struct swim_member *m;

    px_assert(swim_member_find(s, news->id) == NULL);
    if (!has_room(s)) {
        s->counters.full++;
        return NULL;
    }
    if (s->member_count == s->capacity && grow(s) < 0)
        goto fail;
    m = member_new(news);
    if (m == NULL)
        goto fail;
    bucket = bucket_of(s, m->key);
    m->next = *bucket;
    *bucket = m;
    m->at = (uint32_t)s->member_count;
    s->members[s->member_count++] = m;
    return m;
fail:
    s->draft.is_out_of_memory = true;
    return NULL;
}

int swim_member_describe(struct swim *s, struct swim_member *m,
                         const struct swim_news *news)
{
    const enum swim_state state = m->news.state;
    char *texts = copy_texts(news);

    px_assert(news->incarnation > m->news.incarnation || /* G1 */
              m == s->self);
    if (texts == NULL) {
        s->draft.is_out_of_memory = true;
        return -ENOMEM;
    }
    m->news = *news;
    m->news.state = state;
    m->news.accuser_count = 0;
    take_texts(m, texts);
    return 0;
}

void swim_member_forget(struct swim *s, struct swim_member *m)
{
    struct swim_member **it = bucket_of(s, m->key);

    px_assert(m != s->self);
    px_assert(!swim_is_living(m));
    swim_member_touch(s, m, SWIM_EVENT_FORGOTTEN);
    while (*it != m)
        it = &(*it)->next;
    *it = m->next;
    s->members[m->at] = s->members[--s->member_count];
    s->members[m->at]->at = m->at;
    swim_spread_stop(m);
    px_list_remove(&m->state);
    px_list_push_back(&s->draft.forgotten, &m->state);
}

/* ---- The order of pings ---- */

static void swap(struct swim *s, size_t a, size_t b)
{
    struct swim_member *m = s->order[a];

    s->order[a] = s->order[b];
    s->order[b] = m;
}

/* Fisher and Yates. */
void swim_order_shuffle(struct swim *s)
{
    for (size_t i = s->order_count; i > 1; i--)
        swap(s, i - 1, px_rand_below(&s->rand, i));
    s->order_next = 0;
}

/* At a random place, so that not everybody pings a newcomer at once (SWIM 4.3):
 * among those still to be pinged, or those that were. */
static void order_insert(struct swim *s, struct swim_member *m)
{
    const size_t at = px_rand_below(&s->rand, s->order_count + 1);

    px_assert(s->order_count < s->capacity);
    memmove(&s->order[at + 1], &s->order[at],
            (s->order_count - at) * sizeof(struct swim_member *));
    s->order[at] = m;
    m->is_ordered = true;
    s->order_count++;
    if (at < s->order_next)
        s->order_next++;
}

static void order_remove(struct swim *s, struct swim_member *m)
{
    size_t at = 0;

    while (s->order[at] != m) {
        at++;
        px_assert(at < s->order_count); /* G4 */
    }
    m->is_ordered = false;
    s->order_count--;
    memmove(&s->order[at], &s->order[at + 1],
            (s->order_count - at) * sizeof(struct swim_member *));
    if (at < s->order_next)
        s->order_next--;
}

/* ---- States ---- */

static enum swim_event_type event_of(enum swim_state state)
{
    switch (state) {
    case SWIM_ALIVE:
        return SWIM_EVENT_ALIVE;
    case SWIM_SUSPECT:
        return SWIM_EVENT_SUSPECT;
    case SWIM_DEAD:
        return SWIM_EVENT_DEAD;
    case SWIM_LEFT:
        return SWIM_EVENT_LEFT;
    }
    px_assert_failed("a known state", __FILE__, __LINE__);
}

void swim_member_enter(struct swim *s, struct swim_member *m,
                       enum swim_state state)
{
    m->news.state = state;
    m->since = s->now;
    m->is_confirmed = false;
    px_list_remove(&m->state);
    if (state == SWIM_SUSPECT)
        px_list_push_back(&s->suspects, &m->state);
    if (!swim_is_living(m) && m != s->self)
        px_list_push_back(&s->dead, &m->state);
    if (swim_is_living(m) && !m->is_ordered && m != s->self)
        order_insert(s, m);
    if (!swim_is_living(m) && m->is_ordered) {
        order_remove(s, m);
        swim_probe_drop(s, m);
    }
    swim_member_touch(s, m, event_of(state));
}

/* ---- What is said of them ---- */

void swim_member_info(const struct swim *s, const struct swim_member *m,
                      struct swim_member_info *info_out)
{
    const struct swim_news *n = &m->news;

    *info_out = (struct swim_member_info){
        .id = m->id,
        .state = n->state,
        .incarnation = n->incarnation,
        .gossip = n->gossip,
        .peer = n->peer,
        .zone = n->zone,
        .role = n->role,
        .protocol = n->protocol,
        .expect = n->expect,
        .cluster = n->cluster,
        .view = n->view,
        .since = m->since,
        .is_self = m == s->self,
    };
}

/* Of a member that changes twice in a step, the last change is told. */
void swim_member_touch(struct swim *s, struct swim_member *m,
                       enum swim_event_type type)
{
    struct swim_draft *d = &s->draft;
    struct swim_event *e;

    if (m == s->self)
        return;
    if (m->event_step != s->step) {
        px_assert(d->event_count < 2 * s->capacity);
        m->event_step = s->step;
        m->event_at = (uint32_t)d->event_count++;
        d->events[m->event_at].type = type;
    }
    e = &d->events[m->event_at];
    if (type != SWIM_EVENT_CHANGED) /* "it came" says more than "it changed" */
        e->type = type;
    swim_member_info(s, m, &e->member);
}
