/* gossip/receive.c and replay.c: what is heard at all. */
#include "tests/unit/gossip/unit.h"

#include <string.h>

#include "tests/unit/gossip/rig.h"

/* ---- Refused: nothing changes, and it is counted ---- */

static struct swim_head head(void)
{
    return (struct swim_head){.type = SWIM_PING,
                              .run = 1,
                              .number = 1000,
                              .seq = 1,
                              .label = RIG_LABEL,
                              .from = "a",
                              .to = "me",
                              .target = ""};
}

/* With news of a stranger, which a packet that is heard would bring. */
static size_t bytes_of(const struct swim_head *h, uint8_t *data)
{
    const struct swim_news news = rig_news("x", 1, SWIM_ALIVE);
    struct swim_writer w;

    swim_write_head(&w, h, data, SWIM_PACKET_BYTES_MAX);
    assert_true(swim_write_news(&w, &news));
    return swim_write_end(&w);
}

/* Everything but the one counter is as if it had not come. */
static void refuses(const uint8_t *data, size_t size, bool is_stream,
                    size_t counter)
{
    struct swim_counters before;
    struct swim_counters after;
    uint64_t *counted;
    struct rig g;

    rig_open_among(&g, 3);
    before = rig_status(&g).counters;
    rig_bytes(&g, data, size, is_stream);
    after = rig_status(&g).counters;
    assert_int_equal(g.out.packet_count, 0);
    assert_int_equal(g.out.event_count, 0);
    assert_int_equal(rig_state(&g, "x"), 0);
    counted = (uint64_t *)(void *)((char *)&after + counter);
    assert_int_equal(*counted,
                     *(uint64_t *)(void *)((char *)&before + counter) + 1);
    --*counted;
    before.packets_in++;
    before.bytes_in += size;
    assert_memory_equal(&before, &after, sizeof before);
    rig_close(&g);
}

#define counter(name) offsetof(struct swim_counters, name)

static void a_packet_of_another_cluster_is_ignored_and_counted(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    struct swim_head h = head();

    (void)s;
    h.label = "other";
    refuses(data, bytes_of(&h, data), false, counter(label));
}

static void a_packet_for_another_id_is_ignored_and_counted(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    struct swim_head h = head();

    (void)s;
    h.to = "b"; /* our address was b's */
    refuses(data, bytes_of(&h, data), false, counter(misdirected));
}

static void our_own_packet_come_back_is_ignored_and_counted(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    struct swim_head h = head();

    (void)s;
    h.from = "me";
    h.run = RIG_INCARNATION;
    refuses(data, bytes_of(&h, data), false, counter(own));
    h.run++; /* another run of our id: somebody uses it, too */
    refuses(data, bytes_of(&h, data), false, counter(namesakes));
}

static void damaged_packets_are_ignored_and_counted(void **s)
{
    static uint8_t data[SWIM_STATE_BYTES_MAX + 1];
    const struct swim_head h = head();
    const size_t size = bytes_of(&h, data);

    (void)s;
    refuses(data, 0, false, counter(malformed));
    refuses(data, size - 1, false, counter(malformed));
    data[size - 1] ^= 1;
    refuses(data, size, false, counter(corrupt));
    data[SWIM_AT_VERSION]++;
    rig_seal(data, size);
    refuses(data, size, false, counter(version));
    refuses(data, SWIM_PACKET_BYTES_MAX + 1, false, counter(malformed));
    refuses(data, SWIM_STATE_BYTES_MAX + 1, true, counter(malformed));
}

static void each_type_has_its_way(void **s)
{
    static const struct {
        enum swim_packet_type type;
        bool is_stream;
    } wrong[] = {{SWIM_STATE_ASK, false},
                 {SWIM_STATE, false},
                 {SWIM_NEWS, true},
                 {SWIM_NACK, true},
                 {SWIM_PING_REQ, true}};

    (void)s;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t data[SWIM_PACKET_BYTES_MAX];
        struct swim_head h = head();

        h.type = wrong[i].type;
        h.seq = h.type != SWIM_NEWS;
        h.target = h.type == SWIM_PING_REQ ? "b" : "";
        refuses(data, bytes_of(&h, data), wrong[i].is_stream,
                counter(malformed));
    }
}

static void a_copy_of_a_packet_is_ignored_and_counted(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    const struct swim_head h = head();
    const size_t size = bytes_of(&h, data);
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_bytes(&g, data, size, false);
    assert_int_equal(rig_count(&g, SWIM_ACK), 1);
    rig_bytes(&g, data, size, false);
    assert_int_equal(rig_count(&g, SWIM_ACK), 1);
    assert_int_equal(rig_status(&g).counters.replayed, 1);
    rig_close(&g);
}

/* The one that introduces its sender, too. */
static void a_copy_of_a_first_packet_is_ignored_too(void **s)
{
    const struct swim_news news = rig_news("x", 1, SWIM_ALIVE);
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    struct swim_head h = head();
    struct swim_writer w;
    struct rig g;
    size_t size;

    (void)s;
    h.from = "x";
    swim_write_head(&w, &h, data, sizeof data);
    assert_true(swim_write_news(&w, &news));
    size = swim_write_end(&w);
    rig_open_among(&g, 3);
    rig_bytes(&g, data, size, false);
    assert_int_equal(rig_state(&g, "x"), SWIM_ALIVE);
    rig_bytes(&g, data, size, false);
    assert_int_equal(rig_status(&g).counters.replayed, 1);
    rig_close(&g);
}

/* ---- The window ---- */

static bool is_fresh(struct swim_member *m, uint64_t run, uint64_t number)
{
    const struct swim_head h = {.run = run, .number = number};

    return swim_is_fresh(m, &h);
}

static void each_number_is_fresh_once(void **s)
{
    struct swim_member m = {.news.state = SWIM_ALIVE};
    struct px_rand rand;
    bool seen[400] = {false};

    (void)s;
    px_rand_init(&rand, 3);
    for (uint64_t top = 1; top + 60 < 400;) {
        const uint64_t number = top + px_rand_below(&rand, 60);

        assert_true(is_fresh(&m, 1, number) == !seen[number]);
        seen[number] = true;
        if (px_rand_below(&rand, 8) == 0 && m.replay.last > top + 55)
            top++;
        else if (m.replay.last < top + 55)
            continue;
        else
            top += px_rand_below(&rand, 2);
    }
}

static void what_is_far_behind_counts_as_seen(void **s)
{
    struct swim_member m = {.news.state = SWIM_ALIVE};

    (void)s;
    assert_true(is_fresh(&m, 1, 100));
    assert_true(is_fresh(&m, 1, 100 - 63));
    assert_false(is_fresh(&m, 1, 100 - 64));
    assert_true(is_fresh(&m, 1, 1000)); /* far ahead: the window is empty */
    for (unsigned i = 1; i < 64; i++)
        assert_true(is_fresh(&m, 1, 1000 - i));
    assert_false(is_fresh(&m, 1, 1000));
    assert_false(is_fresh(&m, 1, 100));
}

static void an_earlier_run_is_over_unless_its_sender_is_dead(void **s)
{
    struct swim_member m = {.news.state = SWIM_ALIVE};

    (void)s;
    assert_true(is_fresh(&m, 5, 100));
    assert_false(is_fresh(&m, 4, 101));
    assert_true(is_fresh(&m, 6, 1)); /* it was started anew */
    assert_false(is_fresh(&m, 5, 101));
    m.news.state = SWIM_DEAD; /* its disk was emptied, perhaps */
    assert_true(is_fresh(&m, 1, 1));
    assert_false(is_fresh(&m, 1, 1));
}

/* What it costs that such a one can be heard: copies of two runs of a member
 * that is dead, in turn, are answered; but they bring nothing back. */
static void copies_of_a_dead_members_runs_bring_nothing_back(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    struct swim_head h = head();
    struct swim_news news = rig_news("a", 1, SWIM_ALIVE);
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_hear(&g, "a", 1, SWIM_LEFT);
    assert_int_equal(rig_state(&g, "a"), SWIM_LEFT);
    for (unsigned i = 0; i < 6; i++) {
        struct swim_writer w;

        h.run = 1 + i % 2;
        swim_write_head(&w, &h, data, sizeof data);
        assert_true(swim_write_news(&w, &news));
        rig_clear(&g);
        rig_bytes(&g, data, swim_write_end(&w), false);
        assert_int_equal(rig_count(&g, SWIM_ACK), 1);
        assert_int_equal(rig_state(&g, "a"), SWIM_LEFT);
        assert_int_equal(g.out.event_count, 0);
    }
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_packet_of_another_cluster_is_ignored_and_counted),
        unit(a_packet_for_another_id_is_ignored_and_counted),
        unit(our_own_packet_come_back_is_ignored_and_counted),
        unit(damaged_packets_are_ignored_and_counted),
        unit(each_type_has_its_way),
        unit(a_copy_of_a_packet_is_ignored_and_counted),
        unit(a_copy_of_a_first_packet_is_ignored_too),
        unit(each_number_is_fresh_once),
        unit(what_is_far_behind_counts_as_seen),
        unit(an_earlier_run_is_over_unless_its_sender_is_dead),
        unit(copies_of_a_dead_members_runs_bring_nothing_back),
    };

    return cmocka_run_group_tests_name("gossip/receive", tests, NULL, NULL);
}
