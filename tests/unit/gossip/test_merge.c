/* gossip/merge.c and members.c: which story of a member holds; ours. SWIM 4.2. */
#include "tests/unit/gossip/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/gossip/rig.h"

/* ---- Others ---- */

static swim_incarnation incarnation_of(const struct rig *g, const char *id)
{
    struct swim_member_info m;

    return swim_find(g->swim, id, &m) ? m.incarnation : 0;
}

/* Known in incarnation 2 as @before, told of @incarnation as @news. */
static void becomes(enum swim_state before, swim_incarnation incarnation,
                    enum swim_state news, enum swim_state after)
{
    struct rig g;

    rig_open_among(&g, 4);
    rig_hear(&g, "b", 2, SWIM_ALIVE);
    rig_hear(&g, "b", 2, before);
    if (before == SWIM_DEAD) /* it has to run out here first */
        rig_pass_answering(&g, 10000 * MS, "b");
    assert_int_equal(rig_state(&g, "b"), before);
    rig_hear(&g, "b", incarnation, news);
    if (rig_state(&g, "b") != after)
        fail_msg("%s, then %s in %u: %s", swim_state_text(before),
                 swim_state_text(news), (unsigned)incarnation,
                 swim_state_text(rig_state(&g, "b")));
    assert_int_equal(incarnation_of(&g, "b"),
                     incarnation > 2 ? incarnation : 2);
    rig_close(&g);
}

static void news_of_an_older_incarnation_changes_nothing(void **s)
{
    (void)s;
    for (int before = SWIM_ALIVE; before <= SWIM_LEFT; before++) {
        for (int news = SWIM_ALIVE; news <= SWIM_LEFT; news++)
            becomes((enum swim_state)before, 1, (enum swim_state)news,
                    (enum swim_state)before);
    }
}

static void of_one_incarnation_the_stronger_state_holds(void **s)
{
    (void)s;
    becomes(SWIM_ALIVE, 2, SWIM_ALIVE, SWIM_ALIVE);
    becomes(SWIM_ALIVE, 2, SWIM_SUSPECT, SWIM_SUSPECT);
    becomes(SWIM_ALIVE, 2, SWIM_DEAD, SWIM_SUSPECT); /* it may yet refute */
    becomes(SWIM_ALIVE, 2, SWIM_LEFT, SWIM_LEFT);
    becomes(SWIM_SUSPECT, 2, SWIM_ALIVE, SWIM_SUSPECT);
    becomes(SWIM_SUSPECT, 2, SWIM_SUSPECT, SWIM_SUSPECT);
    becomes(SWIM_SUSPECT, 2, SWIM_DEAD, SWIM_SUSPECT);
    becomes(SWIM_SUSPECT, 2, SWIM_LEFT, SWIM_LEFT);
    becomes(SWIM_DEAD, 2, SWIM_ALIVE, SWIM_DEAD);
    becomes(SWIM_DEAD, 2, SWIM_SUSPECT, SWIM_DEAD);
    becomes(SWIM_DEAD, 2, SWIM_DEAD, SWIM_DEAD);
    becomes(SWIM_DEAD, 2, SWIM_LEFT, SWIM_LEFT);
    becomes(SWIM_LEFT, 2, SWIM_ALIVE, SWIM_LEFT);
    becomes(SWIM_LEFT, 2, SWIM_SUSPECT, SWIM_LEFT);
    becomes(SWIM_LEFT, 2, SWIM_DEAD, SWIM_LEFT);
}

static void a_higher_incarnation_overrides_all(void **s)
{
    (void)s;
    for (int before = SWIM_ALIVE; before <= SWIM_LEFT; before++) {
        const bool is_gone = before == SWIM_DEAD || before == SWIM_LEFT;

        becomes((enum swim_state)before, 3, SWIM_ALIVE, SWIM_ALIVE);
        becomes((enum swim_state)before, 3, SWIM_SUSPECT, SWIM_SUSPECT);
        becomes((enum swim_state)before, 3, SWIM_DEAD,
                is_gone ? SWIM_DEAD : SWIM_SUSPECT);
        becomes((enum swim_state)before, 3, SWIM_LEFT, SWIM_LEFT);
    }
}

static void the_dead_whom_we_never_knew_are_not_taken_up(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_hear(&g, "x", 1, SWIM_DEAD);
    rig_hear(&g, "y", 1, SWIM_LEFT);
    assert_int_equal(rig_state(&g, "x"), 0);
    assert_int_equal(rig_state(&g, "y"), 0);
    assert_int_equal(rig_status(&g).counters.unknown, 2);
    rig_hear(&g, "x", 1, SWIM_SUSPECT); /* one that may be alive is */
    assert_int_equal(rig_state(&g, "x"), SWIM_SUSPECT);
    rig_close(&g);
}

static void what_a_member_says_of_itself_comes_with_its_incarnation(void **s)
{
    struct swim_news news = rig_news("b", 1, SWIM_ALIVE);
    struct swim_member_info m;
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    news.peer = "elsewhere:9000";
    news.gossip.port++;
    rig_packet(&g, SWIM_NEWS, "b", 0, &news, 1);
    assert_int_equal(rig_event(&g, "b"), 0);
    news.incarnation++;
    rig_packet(&g, SWIM_NEWS, "b", 0, &news, 1);
    assert_int_equal(rig_event(&g, "b"), SWIM_EVENT_CHANGED + 1);
    assert_true(swim_find(g.swim, "b", &m));
    assert_string_equal(m.peer, "elsewhere:9000");
    assert_int_equal(m.gossip.port, news.gossip.port);
    rig_close(&g);
}

/* Two who have heard the same agree, in whatever order it came (G1). */
static void the_order_of_news_does_not_matter(void **s)
{
    static const enum swim_state states[] = {SWIM_ALIVE, SWIM_SUSPECT,
                                             SWIM_LEFT};
    struct px_rand rand;

    (void)s;
    px_rand_init(&rand, 5);
    for (unsigned round = 0; round < 200; round++) {
        struct swim_news news[6];
        struct rig g[2];

        for (unsigned i = 0; i < 6; i++)
            news[i] = rig_news("b", 1 + px_rand_below(&rand, 3),
                               states[px_rand_below(&rand, 3)]);
        news[0].state = SWIM_ALIVE; /* so that it is known to both */
        news[0].accuser_count = 0;
        for (unsigned k = 0; k < 2; k++) {
            rig_open_among(&g[k], 4);
            for (unsigned i = 0; i < 6; i++)
                rig_packet(&g[k], SWIM_NEWS, "c", 0, &news[k == 0 ? i : 5 - i],
                           1);
        }
        assert_int_equal(rig_state(&g[0], "b"), rig_state(&g[1], "b"));
        assert_int_equal(incarnation_of(&g[0], "b"),
                         incarnation_of(&g[1], "b"));
        rig_close(&g[0]);
        rig_close(&g[1]);
    }
}

/* ---- Events ---- */

static void each_change_is_told_once(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_hear(&g, "x", 1, SWIM_ALIVE);
    assert_int_equal(rig_event(&g, "x"), SWIM_EVENT_ALIVE + 1);
    rig_hear(&g, "x", 1, SWIM_ALIVE);
    assert_int_equal(g.out.event_count, 0);
    rig_hear(&g, "x", 1, SWIM_SUSPECT);
    assert_int_equal(rig_event(&g, "x"), SWIM_EVENT_SUSPECT + 1);
    rig_hear(&g, "x", 2, SWIM_ALIVE);
    assert_int_equal(rig_event(&g, "x"), SWIM_EVENT_ALIVE + 1);
    rig_hear(&g, "x", 2, SWIM_LEFT);
    assert_int_equal(rig_event(&g, "x"), SWIM_EVENT_LEFT + 1);
    assert_int_equal(g.out.event_count, 1);
    rig_close(&g);
}

/* ---- Bounds ---- */

static void fill(struct rig *g)
{
    for (unsigned i = 0; rig_status(g).members < SWIM_MEMBERS_MAX; i++) {
        char id[16];

        (void)snprintf(id, sizeof id, "m%u", i);
        rig_hear(g, id, 1, SWIM_ALIVE);
    }
}

static void a_table_full_of_the_living_takes_no_more(void **s)
{
    struct rig g;

    (void)s;
    rig_open(&g);
    fill(&g);
    rig_hear(&g, "late", 1, SWIM_ALIVE);
    assert_int_equal(rig_state(&g, "late"), 0);
    assert_int_equal(rig_status(&g).counters.full, 1);
    rig_close(&g);
}

static void the_longest_dead_makes_way(void **s)
{
    struct rig g;

    (void)s;
    rig_open(&g);
    fill(&g);
    rig_hear(&g, "m7", 1, SWIM_LEFT);
    rig_hear(&g, "m8", 1, SWIM_LEFT);
    rig_hear(&g, "late", 1, SWIM_ALIVE);
    assert_int_equal(rig_state(&g, "late"), SWIM_ALIVE);
    assert_int_equal(rig_state(&g, "m7"), 0);
    assert_int_equal(rig_event(&g, "m7"), SWIM_EVENT_FORGOTTEN + 1);
    assert_int_equal(rig_state(&g, "m8"), SWIM_LEFT);
    rig_close(&g);
}

/* The most that one packet can do to a table. */
static void a_full_table_may_be_exchanged_by_one_state(void **s)
{
    static struct swim_news news[SWIM_MEMBERS_MAX];
    static char ids[SWIM_MEMBERS_MAX][16];
    struct rig g;

    (void)s;
    rig_open(&g);
    fill(&g);
    for (unsigned i = 0; i < SWIM_MEMBERS_MAX; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "m%u", i);
        if (rig_state(&g, ids[i]) == SWIM_ALIVE)
            rig_hear(&g, ids[i], 1, SWIM_LEFT);
        ids[i][0] = 'n';
        news[i] = rig_news(ids[i], 1, SWIM_ALIVE);
    }
    rig_stream(&g, SWIM_STATE, "z", 1, news, SWIM_MEMBERS_MAX);
    assert_int_equal(g.rc, 0);
    assert_int_equal(rig_status(&g).living, SWIM_MEMBERS_MAX);
    assert_int_equal(rig_event(&g, ids[0]), SWIM_EVENT_ALIVE + 1);
    assert_int_equal(rig_event(&g, "m0"), SWIM_EVENT_FORGOTTEN + 1);
    rig_close(&g);
}

/* ---- Ourselves ---- */

static void whoever_doubts_us_is_outbid_and_told_first(void **s)
{
    static const enum swim_state doubts[] = {SWIM_SUSPECT, SWIM_DEAD,
                                             SWIM_LEFT};

    (void)s;
    for (unsigned i = 0; i < 3; i++) {
        struct rig g;

        rig_open_among(&g, 3);
        rig_hear(&g, "me", RIG_INCARNATION, doubts[i]);
        assert_int_equal(rig_status(&g).incarnation, RIG_INCARNATION + 1);
        assert_int_equal(rig_status(&g).counters.refutations, 1);
        assert_true(rig_tells(&g.sent[0], "me", SWIM_ALIVE));
        assert_string_equal(g.sent[0].to, "a"); /* who told us */
        assert_int_equal(g.sent[0].news[0].incarnation, RIG_INCARNATION + 1);
        rig_close(&g);
    }
}

static void old_doubts_are_answered_and_not_outbid_again(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_hear(&g, "me", RIG_INCARNATION - 1, SWIM_SUSPECT);
    assert_int_equal(rig_status(&g).incarnation, RIG_INCARNATION);
    assert_int_equal(rig_status(&g).counters.refutations, 0);
    assert_true(rig_tells(rig_find(&g, SWIM_NEWS, "a"), "me", SWIM_ALIVE));
    rig_close(&g);
}

static void an_incarnation_beyond_the_reserved_waits_for_the_disk(void **s)
{
    const swim_incarnation claim = 100000;
    struct rig g;
    swim_incarnation reserve;

    (void)s;
    rig_open_among(&g, 3);
    rig_hear(&g, "me", claim, SWIM_DEAD);
    reserve = g.out.reserve;
    assert_true(reserve > claim);
    rig_hear(&g, "me", claim, SWIM_DEAD); /* by another: it is on its way */
    assert_int_equal(rig_status(&g).counters.refutations, 1);
    rig_pass(&g, 100 * MS);
    assert_int_equal(rig_status(&g).incarnation, RIG_INCARNATION);
    for (size_t i = 0; i < g.sent_count; i++) {
        for (size_t k = 0; k < g.sent[i].news_count; k++)
            assert_true(g.sent[i].news[k].incarnation <= RIG_INCARNATION);
    }
    rig_reserved(&g, reserve);
    assert_int_equal(rig_status(&g).incarnation, claim + 1);
    rig_close(&g);
}

static void incarnations_are_reserved_before_they_run_out(void **s)
{
    struct rig g;
    unsigned reserves = 0;

    (void)s;
    rig_open_among(&g, 3);
    for (unsigned i = 0; i < 200; i++) {
        rig_hear(&g, "me", rig_status(&g).incarnation, SWIM_SUSPECT);
        assert_int_equal(rig_status(&g).incarnation, RIG_INCARNATION + i + 1);
        if (g.out.reserve > 0) {
            reserves++;
            rig_reserved(&g, g.out.reserve);
        }
    }
    assert_in_range(reserves, 3, 10);
    rig_close(&g);
}

static void a_claim_that_cannot_be_outbid_is_survived(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_hear(&g, "me", SWIM_INCARNATION_MAX, SWIM_DEAD);
    rig_pass(&g, 1000 * MS);
    assert_true(rig_status(&g).incarnation <= SWIM_INCARNATION_MAX);
    rig_close(&g);
}

/* An emptied disk: others remember a higher incarnation of ours. */
static void what_we_said_in_a_life_that_we_forgot_is_outbid(void **s)
{
    struct swim_news news = rig_news("me", RIG_INCARNATION + 5, SWIM_ALIVE);
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    news.peer = "elsewhere:9000";
    rig_packet(&g, SWIM_NEWS, "a", 0, &news, 1);
    assert_int_equal(rig_status(&g).incarnation, RIG_INCARNATION + 6);
    assert_int_equal(rig_status(&g).counters.namesakes, 1);
    rig_close(&g);
}

static void what_has_changed_about_us_is_said_in_a_new_incarnation(void **s)
{
    struct swim_options o = rig_options();
    struct swim_in in = {.type = SWIM_IN_SELF, .self = &o.about};
    struct swim_member_info m;
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    o.about.role = SWIM_ROLE_VOTER;
    o.about.gossip.port = 1;
    rig_step(&g, &in);
    assert_int_equal(g.rc, 0);
    assert_true(swim_find(g.swim, "me", &m));
    assert_int_equal(m.incarnation, RIG_INCARNATION + 1);
    assert_int_equal(m.role, SWIM_ROLE_VOTER);
    assert_int_equal(m.gossip.port, 1);
    o.about.gossip.port = 0;
    rig_step(&g, &in);
    assert_int_equal(g.rc, -EINVAL);
    assert_int_equal(rig_status(&g).incarnation, RIG_INCARNATION + 1);
    rig_close(&g);
}

static void what_nobody_has_heard_yet_needs_no_new_incarnation(void **s)
{
    struct swim_options o = rig_options();
    struct swim_in in = {.type = SWIM_IN_SELF, .self = &o.about};
    struct swim_member_info m;
    struct rig g;

    (void)s;
    rig_open(&g);
    o.about.gossip.port = 1;
    rig_step(&g, &in);
    assert_true(swim_find(g.swim, "me", &m));
    assert_int_equal(m.incarnation, RIG_INCARNATION);
    assert_int_equal(m.gossip.port, 1);
    rig_close(&g);
}

static void who_leaves_refutes_nothing_any_more(void **s)
{
    struct swim_in in = {.type = SWIM_IN_LEAVE};
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_step(&g, &in);
    assert_false(g.out.is_left);
    rig_hear(&g, "me", RIG_INCARNATION, SWIM_DEAD);
    assert_int_equal(rig_status(&g).incarnation, RIG_INCARNATION);
    rig_pass(&g, 300 * MS);
    assert_true(g.out.is_left);
    assert_int_equal(rig_count(&g, SWIM_PING), 0);
    rig_close(&g);
}

static void who_is_alone_has_left_at_once(void **s)
{
    struct swim_in in = {.type = SWIM_IN_LEAVE};
    struct rig g;

    (void)s;
    rig_open(&g);
    rig_step(&g, &in);
    assert_true(g.out.is_left);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(news_of_an_older_incarnation_changes_nothing),
        unit(of_one_incarnation_the_stronger_state_holds),
        unit(a_higher_incarnation_overrides_all),
        unit(the_dead_whom_we_never_knew_are_not_taken_up),
        unit(what_a_member_says_of_itself_comes_with_its_incarnation),
        unit(the_order_of_news_does_not_matter),
        unit(each_change_is_told_once),
        unit(a_table_full_of_the_living_takes_no_more),
        unit(the_longest_dead_makes_way),
        unit(a_full_table_may_be_exchanged_by_one_state),
        unit(whoever_doubts_us_is_outbid_and_told_first),
        unit(old_doubts_are_answered_and_not_outbid_again),
        unit(an_incarnation_beyond_the_reserved_waits_for_the_disk),
        unit(incarnations_are_reserved_before_they_run_out),
        unit(a_claim_that_cannot_be_outbid_is_survived),
        unit(what_we_said_in_a_life_that_we_forgot_is_outbid),
        unit(what_has_changed_about_us_is_said_in_a_new_incarnation),
        unit(what_nobody_has_heard_yet_needs_no_new_incarnation),
        unit(who_leaves_refutes_nothing_any_more),
        unit(who_is_alone_has_left_at_once),
    };

    return cmocka_run_group_tests_name("gossip/merge", tests, NULL, NULL);
}
