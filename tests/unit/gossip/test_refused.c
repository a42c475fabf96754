/* Packets that whole clusters have sent, come back changed, late, or to somebody
 * else: each changes nothing at all, and is counted once, for what it is. What
 * the counter has to be follows from how the packet was made. */
#include "tests/unit/gossip/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/gossip/picture.h"
#include "tests/unit/gossip/rig.h"
#include "tests/unit/gossip/world.h"

#define NODES 6u
#define HEARERS 4u /* of those; they are never stopped */
#define KEPT_MAX 1024u
#define LONGER_MAX 64u
#define ROOM (4u * SWIM_PACKET_BYTES_MAX)

/* ---- What was sent, and has long been heard ---- */

struct kept {
    px_ns at;
    bool is_stream;
    size_t size;
    uint8_t data[ROOM];
};

static struct kept kept[KEPT_MAX]; /* a ring */
static size_t kept_count;

/* node-1 is 0. */
static size_t number_of(const char *id)
{
    return (size_t)(id[strlen(id) - 1] - '1');
}

/* Those for one of the hearers. */
static void keep(struct world *w, const struct swim_packet_out *p)
{
    struct swim_reader r;
    struct kept *k = &kept[kept_count % KEPT_MAX];

    assert_int_equal(swim_read_packet(&r, p->data, p->size), 0);
    if (r.head.to[0] == '\0' || number_of(r.head.to) >= HEARERS)
        return;
    assert_in_range(p->size, 1, ROOM - LONGER_MAX);
    k->at = w->now;
    k->is_stream = p->via != SWIM_UDP;
    k->size = p->size;
    memcpy(k->data, p->data, p->size);
    kept_count++;
}

/* ---- What is made of it ---- */

/* A packet that comes to node @to, and why it will be refused. */
struct forgery {
    uint8_t data[ROOM];
    size_t size;
    bool is_stream;
    size_t to;
    size_t counter;

    /* As it was sent. */
    enum swim_packet_type type;
    size_t from;
    size_t news_at; /* its first piece; 0: it has none */
    const struct world *world;
};

static void be_cut(struct forgery *f, struct px_rand *rand)
{
    f->size = px_rand_below(rand, f->size);
    f->counter = REFUSED(malformed);
}

static void be_longer(struct forgery *f, struct px_rand *rand)
{
    for (size_t more = 1 + px_rand_below(rand, LONGER_MAX); more > 0; more--)
        f->data[f->size++] = (uint8_t)px_rand_below(rand, 256);
    f->counter = REFUSED(malformed);
}

static void be_cut_and_sealed(struct forgery *f, struct px_rand *rand)
{
    f->size = SWIM_AT_RUN + px_rand_below(rand, f->size - SWIM_AT_RUN);
    rig_seal(f->data, f->size);
    f->counter = REFUSED(malformed);
}

static void be_longer_and_sealed(struct forgery *f, struct px_rand *rand)
{
    be_longer(f, rand);
    rig_seal(f->data, f->size);
}

/* The head tells a stream how long the packet is, so it is looked at first. */
static void be_damaged(struct forgery *f, struct px_rand *rand)
{
    const size_t at = px_rand_below(rand, f->size);
    const bool is_head =
        at < SWIM_AT_VERSION || (at >= SWIM_AT_BYTES && at < SWIM_AT_CHECKSUM);

    f->data[at] ^= (uint8_t)(1 + px_rand_below(rand, 255));
    f->counter = is_head ? REFUSED(malformed) : REFUSED(corrupt);
}

static void put(struct forgery *f, size_t at, size_t bytes, uint64_t value)
{
    for (size_t i = 0; i < bytes; i++)
        f->data[at + i] = (uint8_t)(value >> 8 * i);
}

/* Sealed, but one of the numbers of its head can't be. */
static void have_a_wrong_head(struct forgery *f, struct px_rand *rand)
{
    const struct {
        size_t at;
        size_t bytes;
        uint64_t value;
        size_t counter;
    } wrong[] = {
        {SWIM_AT_VERSION, 1, SWIM_VERSION + 1, REFUSED(version)},
        {SWIM_AT_TYPE, 1, 0, REFUSED(malformed)},
        {SWIM_AT_TYPE, 1, SWIM_STATE + 1, REFUSED(malformed)},
        {SWIM_AT_NEWS, 2, SWIM_MEMBERS_MAX + 1, REFUSED(malformed)},
        {SWIM_AT_NEWS, 2, f->news_at == 0, REFUSED(malformed)}, /* not so */
        {SWIM_AT_ZERO, 4, 1, REFUSED(malformed)},
        {SWIM_AT_RUN, 8, 0, REFUSED(malformed)},
        {SWIM_AT_RUN, 8, SWIM_INCARNATION_MAX + 1, REFUSED(malformed)},
        {SWIM_AT_NUMBER, 8, 0, REFUSED(malformed)},
        {SWIM_AT_SEQ, 8, f->type == SWIM_NEWS, REFUSED(malformed)},
        {SWIM_AT_TEXTS, 1, 0, REFUSED(malformed)},
        {SWIM_AT_TEXTS + 1, 1, ' ', REFUSED(malformed)},
        {SWIM_AT_TEXTS + 1, 1, 'T', REFUSED(label)},
    };
    const size_t i = px_rand_below(rand, sizeof wrong / sizeof *wrong);

    put(f, wrong[i].at, wrong[i].bytes, wrong[i].value);
    rig_seal(f->data, f->size);
    f->counter = wrong[i].counter;
}

/* The same of its first piece of news. */
static void have_wrong_news(struct forgery *f, struct px_rand *rand)
{
    static const struct {
        size_t at;
        size_t bytes;
        uint64_t value;
    } wrong[] = {
        {0, 1, 0},
        {0, 1, SWIM_LEFT + 1},
        {1, 1, SWIM_ACCUSERS_MAX + 1},
        {2, 1, SWIM_ROLE_LEARNER + 1},
        {SWIM_NEWS_AT_PORT, 2, 0},
        {SWIM_NEWS_AT_IP + 8, 8, 0}, /* "::" */
        {SWIM_NEWS_AT_INCARNATION, 8, 0},
        {SWIM_NEWS_AT_INCARNATION, 8, SWIM_INCARNATION_MAX + 1},
        {SWIM_NEWS_AT_TEXTS, 1, 0}, /* no id */
    };
    const size_t i = px_rand_below(rand, sizeof wrong / sizeof *wrong);

    if (f->news_at == 0) {
        have_a_wrong_head(f, rand);
        return;
    }
    put(f, f->news_at + wrong[i].at, wrong[i].bytes, wrong[i].value);
    rig_seal(f->data, f->size);
    f->counter = REFUSED(malformed);
}

static void be_late(struct forgery *f, struct px_rand *rand)
{
    (void)rand;
    f->counter = REFUSED(replayed);
}

/* By UDP what came on a stream, or the other way round. */
static void come_the_other_way(struct forgery *f, struct px_rand *rand)
{
    const bool is_both = f->type == SWIM_PING || f->type == SWIM_ACK;

    (void)rand;
    f->is_stream = !f->is_stream;
    f->counter = is_both ? REFUSED(replayed) : REFUSED(malformed);
}

static void go_to_another(struct forgery *f, struct px_rand *rand)
{
    f->to = (f->to + 1 + px_rand_below(rand, HEARERS - 1)) % HEARERS;
    f->counter = f->to == f->from ? REFUSED(own) : REFUSED(misdirected);
}

/* Sealed, and from the very one that it is for; of its run, or another. */
static void be_its_hearers_own(struct forgery *f, struct px_rand *rand)
{
    const size_t from_at = SWIM_AT_TEXTS + sizeof WORLD_LABEL + 1;
    const struct swim *hearer = f->world->nodes[f->to].swim;
    const bool is_own = px_rand_below(rand, 2) == 0;

    memcpy(f->data + from_at, hearer->self->id, strlen(hearer->self->id));
    put(f, SWIM_AT_RUN, 8, hearer->run + !is_own);
    rig_seal(f->data, f->size);
    f->counter = is_own ? REFUSED(own) : REFUSED(namesakes);
}

static void (*const ways[])(struct forgery *f, struct px_rand *rand) = {
    be_cut,        be_longer,          be_cut_and_sealed,  be_longer_and_sealed,
    be_damaged,    have_a_wrong_head,  have_wrong_news,    be_late,
    go_to_another, come_the_other_way, be_its_hearers_own,
};
#define WAYS (sizeof ways / sizeof *ways)

/* Any that was sent a second ago or more. */
static void forgery_begin(struct forgery *f, struct world *w)
{
    const size_t count = kept_count < KEPT_MAX ? kept_count : KEPT_MAX;
    const struct kept *k = NULL;
    struct swim_reader r;

    while (k == NULL || k->at + SECOND > w->now)
        k = &kept[px_rand_below(&w->rand, count)];
    *f = (struct forgery){
        .size = k->size, .is_stream = k->is_stream, .world = w};
    memcpy(f->data, k->data, k->size);
    assert_int_equal(swim_read_packet(&r, f->data, f->size), 0);
    f->type = r.head.type;
    f->from = number_of(r.head.from);
    f->to = number_of(r.head.to);
    f->news_at = r.news > 0 ? (size_t)(r.at - f->data) : 0;
}

/* ---- It comes ---- */

static void feed(struct world *w, const struct forgery *f,
                 struct picture *before, struct picture *after)
{
    const struct swim *hearer = w->nodes[f->to].swim;
    uint8_t *copy = malloc(f->size + 1); /* behind it begins what isn't ours */

    assert_non_null(copy);
    memcpy(copy + 1, f->data, f->size);
    picture_take(hearer, before);
    world_inject(w, f->to, copy + 1, f->size, w->nodes[f->from].addr,
                 f->is_stream);
    picture_take(hearer, after);
    free(copy);
}

/* A cluster in which one is stopped and comes back, and one leaves: so that
 * there are deaths to tell of, and an earlier run. */
static void open_eventful(struct world *w, uint64_t seed)
{
    const struct world_options o = world_lan(NODES, seed);

    kept_count = 0;
    world_open_whole(w, &o);
    w->tap = keep;
}

static void go_on(struct world *w, unsigned round)
{
    if (round == 3)
        world_kill(w, 5);
    if (round == 8)
        world_start(w, 5, 0);
    if (round == 20)
        world_leave(w, 4);
    world_run(w, SECOND + px_rand_below(&w->rand, 1000) * MS);
}

static void what_is_changed_late_or_astray_changes_nothing(void **s)
{
    uint64_t counted[sizeof(struct swim_counters)] = {0};
    struct world w;

    (void)s;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        open_eventful(&w, seed);
        world_run(&w, 5 * SECOND);
        for (unsigned i = 0; i < 30 * WAYS * 8; i++) {
            struct picture before;
            struct picture after;
            struct forgery f;

            if (i % (WAYS * 8) == 0)
                go_on(&w, i / (WAYS * 8));
            forgery_begin(&f, &w);
            ways[i % WAYS](&f, &w.rand);
            feed(&w, &f, &before, &after);
            picture_check_refused(&before, &after, f.size, f.counter);
            counted[f.counter]++;
        }
        world_close(&w);
    }
    assert_true(counted[REFUSED(malformed)] > 0);
    assert_true(counted[REFUSED(corrupt)] > 0);
    assert_true(counted[REFUSED(version)] > 0);
    assert_true(counted[REFUSED(label)] > 0);
    assert_true(counted[REFUSED(replayed)] > 0);
    assert_true(counted[REFUSED(misdirected)] > 0);
    assert_true(counted[REFUSED(own)] > 0);
    assert_true(counted[REFUSED(namesakes)] > 0);
}

/* Who can seal packets can lie; but what he sends is heard whole, or not at
 * all. The world looks at each invariant. */
static void what_is_sealed_is_sound_or_changes_nothing(void **s)
{
    unsigned refused = 0;
    unsigned heard = 0;

    (void)s;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w;

        open_eventful(&w, seed);
        world_run(&w, 5 * SECOND);
        for (unsigned i = 0; i < 100; i++) {
            struct picture before;
            struct picture after;
            struct forgery f;
            size_t counter;

            forgery_begin(&f, &w);
            for (size_t n = px_rand_below(&w.rand, 4) + 1; n > 0; n--)
                f.data[SWIM_AT_VERSION +
                       px_rand_below(&w.rand, f.size - SWIM_AT_VERSION)] =
                    (uint8_t)px_rand_below(&w.rand, 256);
            rig_seal(f.data, f.size);
            feed(&w, &f, &before, &after);
            counter = picture_refusal(&before, &after, w.nodes[f.to].swim,
                                      f.data, f.size);
            if (counter != NOT_REFUSED)
                picture_check_refused(&before, &after, f.size, counter);
            else
                picture_check_sound(w.nodes[f.to].swim, f.data, f.size);
            refused += counter != NOT_REFUSED;
            heard += counter == NOT_REFUSED;
        }
        world_run(&w, 10 * SECOND);
        world_close(&w);
    }
    assert_true(refused > 0);
    assert_true(heard > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_is_changed_late_or_astray_changes_nothing),
        unit(what_is_sealed_is_sound_or_changes_nothing),
    };

    return cmocka_run_group_tests_name("gossip/refused", tests, NULL, NULL);
}
