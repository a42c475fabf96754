/* store/session.c: each command once, and sessions that begin and end. */
#include "tests/unit/store/state_fixture.h"

#define INFLIGHT PX_SESSION_INFLIGHT_MAX

static struct command mkdir_once(uint64_t session, uint64_t sequence,
                                 uint64_t floor, uint64_t inode,
                                 const char *name)
{
    return (struct command){.op = COMMAND_MKDIR,
                            .session = session,
                            .sequence = sequence,
                            .floor = floor,
                            .time = 1,
                            .parent = ROOT,
                            .name = name_of_text(name),
                            .inode = inode,
                            .mode = 0755};
}

static struct store_result apply_mkdir(struct fixture *fx, uint64_t sequence,
                                       uint64_t floor, const char *name)
{
    struct command c =
        mkdir_once(fx->session, sequence, floor, fresh(fx), name);

    return run_bare(fx, &c);
}

static void a_command_sent_again_gets_its_first_answer(void **state)
{
    struct fixture *fx = *state;
    struct command c = mkdir_once(fx->session, 7, 7, fresh(fx), "lock");
    struct store_result first = run_bare(fx, &c), again;
    uint64_t inodes = usage_of(fx).inodes;

    again = run_bare(fx, &c);
    assert_int_equal(first.rc, 0);
    assert_int_equal(again.rc, 0); /* not -EEXIST about its own success */
    assert_int_equal(again.inode, first.inode);
    assert_int_equal(again.index, first.index);
    assert_int_equal(usage_of(fx).inodes, inodes);
}

/* What a voter says of its state is passed on, and leaves the tree alone. */
static void a_hash_is_passed_on_once_and_changes_nothing_else(void **state)
{
    struct fixture *fx = *state;
    struct command c = {.op = COMMAND_HASH,
                        .session = fx->session,
                        .sequence = 7,
                        .floor = 7,
                        .time = 1,
                        .hashed_index = 4096,
                        .state_hash = 0xabc,
                        .voter = 3};
    struct store_usage before = usage_of(fx), after;
    struct store_result first = run_bare(fx, &c), again = run_bare(fx, &c);

    assert_int_equal(first.rc, 0);
    assert_int_equal(first.claim.index, 4096);
    assert_int_equal(first.claim.hash, 0xabc);
    assert_int_equal(first.claim.voter, 3);
    assert_int_equal(again.rc, 0);
    assert_int_equal(again.claim.index, 0);
    after = usage_of(fx);
    assert_int_equal(after.inodes, before.inodes);
    assert_int_equal(after.data_bytes, before.data_bytes);
    c.session = fx->session + 1; /* that never was */
    assert_int_equal(run_bare(fx, &c).claim.index, 0);
}

static void a_refusal_sent_again_stays_a_refusal(void **state)
{
    struct fixture *fx = *state;
    struct command c = make_unlink(ROOT, "f");

    c.session = fx->session;
    c.sequence = 50;
    c.floor = 50;
    assert_int_equal(run_bare(fx, &c).rc, -ENOENT);
    fx->sequence = 50;
    (void)do_create(fx, ROOT, "f");
    c.floor = 50;
    assert_int_equal(run_bare(fx, &c).rc, -EALREADY); /* the floor is 51 */
    assert_int_not_equal(lookup(fx, ROOT, "f"), 0);
}

static void sequences_may_arrive_in_any_order(void **state)
{
    static const uint64_t order[] = {5, 3, 9, 4, 3, 5, 8, 9, 6, 7};
    struct fixture *fx = *state;
    uint64_t made[16] = {0};
    char name[8];

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct store_result r;

        (void)snprintf(name, sizeof name, "d%u", (unsigned)order[i]);
        r = apply_mkdir(fx, order[i], 3, name);
        assert_int_equal(r.rc, 0);
        assert_int_equal(r.sequence, order[i]);
        if (made[order[i]] != 0)
            assert_int_equal(r.inode, made[order[i]]);
        made[order[i]] = r.inode;
    }
    assert_int_equal(usage_of(fx).inodes, 1 + 7);
}

static void below_the_floor_nobody_is_answered(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(apply_mkdir(fx, 10, 10, "a").rc, 0);
    assert_int_equal(apply_mkdir(fx, 9, 1, "b").rc, -EALREADY);
    assert_int_equal(apply_mkdir(fx, 10, 1, "c").rc, 0); /* kept: answered */
    assert_int_equal(lookup(fx, ROOT, "b"), 0);
    assert_int_equal(lookup(fx, ROOT, "c"), 0);
    /* Its own floor puts a command out of reach as well. */
    assert_int_equal(apply_mkdir(fx, 20, 21, "d").rc, -EALREADY);
    assert_int_equal(lookup(fx, ROOT, "d"), 0);
}

static void the_window_above_the_floor_is_bounded(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(apply_mkdir(fx, 10 + INFLIGHT, 10, "in").rc, 0);
    assert_int_equal(apply_mkdir(fx, 11 + INFLIGHT, 10, "out").rc, -EINVAL);
    assert_int_equal(apply_mkdir(fx, UINT64_MAX, 10, "far").rc, -EINVAL);
    assert_int_equal(lookup(fx, ROOT, "out"), 0);
    /* A refusal is not kept: with a higher floor it goes through. */
    assert_int_equal(apply_mkdir(fx, 11 + INFLIGHT, 11, "out").rc, 0);
}

/* Slots of the ring are used again, and never by two that can be answered. */
static void a_full_window_is_answered_to_the_last(void **state)
{
    struct fixture *fx = *state;
    uint64_t made[INFLIGHT + 1];
    char name[16];

    for (uint64_t lap = 0; lap < 2; lap++) {
        uint64_t floor = 1 + lap * 700;

        for (uint64_t n = 0; n <= INFLIGHT; n++) {
            struct store_result r;

            (void)snprintf(name, sizeof name, "d%u", (unsigned)(floor + n));
            r = apply_mkdir(fx, floor + n, floor, name);
            assert_int_equal(r.rc, 0);
            made[n] = r.inode;
        }
        for (uint64_t n = 0; n <= INFLIGHT; n++)
            assert_int_equal(apply_mkdir(fx, floor + n, floor, "x").inode,
                             made[n]);
    }
    assert_int_equal(lookup(fx, ROOT, "x"), 0);
    assert_int_equal(usage_of(fx).inodes, 1 + 700 + INFLIGHT + 1);
}

static void answers_survive_a_restart(void **state)
{
    struct fixture *fx = *state;
    struct command c = mkdir_once(fx->session, 7, 7, fresh(fx), "lock");
    uint64_t inode = run_bare(fx, &c).inode;

    fixture_close(fx);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
    assert_int_equal(run_bare(fx, &c).inode, inode);
    c.sequence = 6; /* the floor of 7 was kept as well */
    c.floor = 1;
    assert_int_equal(run_bare(fx, &c).rc, -EALREADY);
}

static void opening_again_gives_the_same_session(void **state)
{
    struct fixture *fx = *state;
    uint64_t one = open_session(fx, "node-1", 5);

    assert_int_not_equal(one, fx->session);
    assert_int_equal(open_session(fx, "node-1", 5), one);
}

static struct command open_of(const char *node, uint64_t incarnation,
                              uint64_t nonce)
{
    return (struct command){.op = COMMAND_SESSION_OPEN,
                            .name = name_of_text(node),
                            .incarnation = incarnation,
                            .sequence = nonce};
}

/* A node whose disk was wiped, or is a copy, starts with an incarnation that
 * was used before, and with sequences from 1: it must not be answered with
 * what another life's commands did. */
static void an_incarnation_used_again_does_not_get_old_answers(void **state)
{
    struct fixture *fx = *state;
    struct command first = open_of("node-1", 5, 111),
                   again = open_of("node-1", 5, 222),
                   higher = open_of("node-1", 6, 222), c;
    uint64_t old = run_bare(fx, &first).inode, new;
    struct store_result r;

    c = mkdir_once(old, 1, 1, (old << 40) + 256, "one");
    assert_int_equal(run_bare(fx, &c).rc, 0);
    r = run_bare(fx, &again);
    assert_int_equal(r.rc, -PX_ESESSION);
    assert_int_equal(r.inode, 0);
    assert_int_equal(run_bare(fx, &first).inode, old); /* it goes on living */
    new = run_bare(fx, &higher).inode;
    assert_int_not_equal(new, old);
    c = mkdir_once(new, 1, 1, (new << 40) + 256, "two");
    assert_int_equal(run_bare(fx, &c).rc, 0);
    assert_int_equal(lookup(fx, ROOT, "two"), (new << 40) + 256);
}

static void the_nonce_of_a_session_survives_a_restart(void **state)
{
    struct fixture *fx = *state;
    struct command first = open_of("node-1", 5, UINT64_MAX),
                   again = open_of("node-1", 5, 1), c;
    uint64_t session = run_bare(fx, &first).inode;

    c = mkdir_once(session, 9, 9, (session << 40) + 256, "floor-of-9");
    assert_int_equal(run_bare(fx, &c).rc, 0); /* the record is written again */
    fixture_close(fx);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
    assert_int_equal(run_bare(fx, &first).rc, 0);
    assert_int_equal(run_bare(fx, &first).inode, session);
    assert_int_equal(run_bare(fx, &again).rc, -PX_ESESSION);
}

static void a_higher_incarnation_ends_the_old_session(void **state)
{
    struct fixture *fx = *state;
    uint64_t old = fx->session, new;
    struct command c = mkdir_once(old, 1, 1, fresh(fx), "d");

    assert_int_equal(run_bare(fx, &c).rc, 0);
    new = open_session(fx, "node-0", 2);
    assert_true(new > old);
    assert_int_equal(run_bare(fx, &c).rc, -PX_ESESSION); /* kept no more */
    c.sequence = 2;
    c.name = name_of_text("e");
    assert_int_equal(run_bare(fx, &c).rc, -PX_ESESSION);
    assert_int_equal(lookup(fx, ROOT, "e"), 0);
}

/* Its answer went with the session, so there is none to give again. */
static void what_an_ended_session_did_is_not_done_again(void **state)
{
    struct fixture *fx = *state;
    struct command c = mkdir_once(fx->session, 1, 1, fresh(fx), "d");

    assert_int_equal(run_bare(fx, &c).rc, 0);
    fx->session = open_session(fx, "node-0", 2);
    assert_int_equal(run(fx, make_rmdir(ROOT, "d")).rc, 0);
    assert_int_equal(run_bare(fx, &c).rc, -PX_ESESSION); /* late */
    assert_int_equal(lookup(fx, ROOT, "d"), 0);
}

static void a_lower_incarnation_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct command c = {.op = COMMAND_SESSION_OPEN,
                        .name = name_of_text("node-1"),
                        .incarnation = 4};
    uint64_t session = open_session(fx, "node-1", 5);

    assert_int_equal(run_bare(fx, &c).rc, -PX_ESESSION);
    c = mkdir_once(session, 1, 1, (session << 40) + 256, "still-alive");
    assert_int_equal(run_bare(fx, &c).rc, 0);
}

static void an_unknown_session_is_never_made_silently(void **state)
{
    struct fixture *fx = *state;
    struct command c = mkdir_once(99, 1, 1, (UINT64_C(99) << 40) + 256, "d");

    assert_int_equal(run_bare(fx, &c).rc, -PX_ESESSION);
    assert_int_equal(run_bare(fx, &c).rc, -PX_ESESSION);
    assert_int_equal(lookup(fx, ROOT, "d"), 0);
}

static void sessions_are_bounded(void **state)
{
    struct fixture *fx = *state;
    struct command c = {.op = COMMAND_SESSION_OPEN, .incarnation = 1};
    char name[16];

    for (unsigned i = 1; i < PX_SESSIONS_MAX; i++) {
        (void)snprintf(name, sizeof name, "node-%u", i);
        (void)open_session(fx, name, 1);
    }
    c.name = name_of_text("one-more");
    assert_int_equal(run_bare(fx, &c).rc, -ENOSPC);
    /* A node that is known takes its own place. */
    (void)open_session(fx, "node-17", 2);
    check(fx);
}

static void
an_entry_that_is_no_command_changes_nothing_but_the_index(void **state)
{
    struct fixture *fx = *state;
    struct raft_entry e = {
        .pos = {.term = 1, .index = fx->last + 1},
        .kind = RAFT_ENTRY_COMMAND,
        .data = {.data = (const uint8_t *)"rubbish", .size = 7}};
    struct store_result r;

    assert_int_equal(store_apply(fx->s, &e, 1, &r, &fx->orphans), 0);
    assert_int_equal(r.rc, -PX_EFORMAT);
    assert_int_equal(r.session, 0);
    e = (struct raft_entry){.pos = {.term = 3, .index = fx->last + 2},
                            .kind = RAFT_ENTRY_NOOP};
    assert_int_equal(store_apply(fx->s, &e, 1, &r, &fx->orphans), 0);
    assert_int_equal(r.rc, 0);
    assert_int_equal(store_state_applied(fx->s).index, fx->last + 2);
    assert_int_equal(store_state_applied(fx->s).term, 3);
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_command_sent_again_gets_its_first_answer),
        T(a_hash_is_passed_on_once_and_changes_nothing_else),
        T(a_refusal_sent_again_stays_a_refusal),
        T(sequences_may_arrive_in_any_order),
        T(below_the_floor_nobody_is_answered),
        T(the_window_above_the_floor_is_bounded),
        T(a_full_window_is_answered_to_the_last),
        T(answers_survive_a_restart),
        T(opening_again_gives_the_same_session),
        T(an_incarnation_used_again_does_not_get_old_answers),
        T(the_nonce_of_a_session_survives_a_restart),
        T(a_higher_incarnation_ends_the_old_session),
        T(what_an_ended_session_did_is_not_done_again),
        T(a_lower_incarnation_is_refused),
        T(an_unknown_session_is_never_made_silently),
        T(sessions_are_bounded),
        T(an_entry_that_is_no_command_changes_nothing_but_the_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
