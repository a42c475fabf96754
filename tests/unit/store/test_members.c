/* store/members.c: who the members are, as every replica tells it from the
 * entries alone; and what becomes of those who are removed. */
#include "tests/unit/store/state_fixture.h"

#include "raft/config.h"

static const struct raft_config abc = {
    .count = 3,
    .members = {{30, RAFT_VOTER}, {10, RAFT_VOTER}, {20, RAFT_LEARNER}}};
static const struct raft_config ac = {
    .count = 2, .members = {{30, RAFT_VOTER}, {10, RAFT_VOTER}}};

static struct store_member member(raft_id id, const char *name,
                                  const char *address)
{
    struct store_member m = {.id = id};

    (void)snprintf(m.name, sizeof m.name, "%s", name);
    (void)snprintf(m.address, sizeof m.address, "%s", address);
    return m;
}

/* node-1 is 10, node-2 is 20, node-3 is 30. */
static struct store_change all_told(void)
{
    struct store_change c = {.count = 3};

    c.list[0] = member(10, "node-1", "[fd00::1]:9000");
    c.list[1] = member(20, "node-2", "two.example:9000");
    c.list[2] = member(30, "node-3", "10.0.0.3:9000");
    return c;
}

static struct store_members members_of(struct fixture *fx)
{
    struct store_members m;

    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_members(fx->v, &m), 0);
    store_view_end(fx->v);
    return m;
}

static int was_removed(struct fixture *fx, raft_id id)
{
    int was;

    assert_int_equal(store_view_begin(fx->v), 0);
    was = store_view_was_removed(fx->v, id);
    store_view_end(fx->v);
    return was;
}

static int knows(struct fixture *fx, const char *name)
{
    int does;

    assert_int_equal(store_view_begin(fx->v), 0);
    does = store_view_knows_node(fx->v, name);
    store_view_end(fx->v);
    return does;
}

static void expect(const struct store_members *m, size_t i, raft_id id,
                   enum raft_member_role role, const char *name,
                   const char *address)
{
    assert_int_equal(m->list[i].id, id);
    assert_int_equal(m->list[i].role, role);
    assert_string_equal(m->list[i].name, name);
    assert_string_equal(m->list[i].address, address);
}

/* ---- Who is a member ---- */

static void before_the_first_entry_the_initial_ones_hold(void **state)
{
    struct fixture *fx = *state;
    struct store_members m = members_of(fx);

    assert_int_equal(m.index, 0);
    assert_int_equal(m.count, 0);
    assert_int_equal(was_removed(fx, 10), 0);
}

static void an_entry_brings_members_with_names_and_addresses(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();
    struct store_result r = change_members(fx, &abc, &c);
    struct store_members m = members_of(fx);

    assert_int_equal(r.rc, 0);
    assert_int_equal(r.index, fx->last);
    assert_int_equal(m.index, fx->last);
    assert_int_equal(m.count, 3);
    expect(&m, 0, 30, RAFT_VOTER, "node-3", "10.0.0.3:9000");
    expect(&m, 1, 10, RAFT_VOTER, "node-1", "[fd00::1]:9000");
    expect(&m, 2, 20, RAFT_LEARNER, "node-2", "two.example:9000");
    assert_int_equal(store_state_applied(fx->s).index, fx->last);
}

static void what_is_not_told_stays_as_it_was(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();
    struct store_members m;
    struct raft_config four = abc;

    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    c = (struct store_change){.count = 2};
    c.list[0] = member(10, "", "[fd00::11]:9000");
    c.list[1] = member(99, "node-9", "nine:9000"); /* no member */
    four.members[four.count++] = (struct raft_member){40, RAFT_LEARNER};
    assert_int_equal(change_members(fx, &four, &c).rc, 0);
    m = members_of(fx);
    assert_int_equal(m.count, 4);
    expect(&m, 0, 30, RAFT_VOTER, "node-3", "10.0.0.3:9000");
    expect(&m, 1, 10, RAFT_VOTER, "node-1", "[fd00::11]:9000");
    expect(&m, 2, 20, RAFT_LEARNER, "node-2", "two.example:9000");
    expect(&m, 3, 40, RAFT_LEARNER, "", "");
    four.members[four.count++] = (struct raft_member){99, RAFT_LEARNER};
    assert_int_equal(change_members(fx, &four, NULL).rc, 0);
    m = members_of(fx);
    expect(&m, 1, 10, RAFT_VOTER, "node-1", "[fd00::11]:9000");
    expect(&m, 4, 99, RAFT_LEARNER, "", ""); /* what was told then is gone */
}

static void members_are_the_same_after_a_reopen(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();
    struct store_members m;
    raft_index index;

    c.removed = 50;
    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    index = fx->last;
    fixture_close(fx);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
    m = members_of(fx);
    assert_int_equal(m.index, index);
    expect(&m, 1, 10, RAFT_VOTER, "node-1", "[fd00::1]:9000");
    assert_int_equal(was_removed(fx, 50), 1);
}

/* ---- Entries that don't decode ---- */

static void what_is_added_and_does_not_decode_is_as_if_nothing_was(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX + 8];
    size_t size = raft_config_encode(&ac, bytes);
    struct store_members m;

    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    memset(bytes + size, 0xff, 8);
    assert_int_equal(run_config(fx, bytes, size + 8).rc, 0);
    m = members_of(fx);
    assert_int_equal(m.index, fx->last);
    assert_int_equal(m.count, 2);
    expect(&m, 0, 30, RAFT_VOTER, "node-3", "10.0.0.3:9000");
    expect(&m, 1, 10, RAFT_VOTER, "node-1", "[fd00::1]:9000");
    assert_int_equal(was_removed(fx, 20), 1); /* the configuration says so */
}

static void an_entry_without_a_configuration_changes_nothing(void **state)
{
    static const uint8_t bad[][10] = {
        {RAFT_MEMBERS_MAX + 1},            /* too many */
        {1, 5},                            /* cut off */
        {1, 0, 0, 0, 0, 0, 0, 0, 0, 1},    /* nobody */
        {1, 5, 0, 0, 0, 0, 0, 0, 0, 2},    /* no voter */
        {1, 5, 0, 0, 0, 0, 0, 0, 0, 0xff}, /* no role */
    };
    static const size_t sizes[] = {1, 2, 10, 10, 10};
    struct fixture *fx = *state;
    struct store_change c = all_told();
    struct store_members m;
    raft_index index;

    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    index = fx->last;
    assert_int_equal(run_config(fx, NULL, 0).rc, -PX_EFORMAT);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(run_config(fx, bad[i], sizes[i]).rc, -PX_EFORMAT);
    m = members_of(fx);
    assert_int_equal(m.index, index);
    assert_int_equal(m.count, 3);
    expect(&m, 0, 30, RAFT_VOTER, "node-3", "10.0.0.3:9000");
    expect(&m, 1, 10, RAFT_VOTER, "node-1", "[fd00::1]:9000");
    expect(&m, 2, 20, RAFT_LEARNER, "node-2", "two.example:9000");
    assert_int_equal(store_state_applied(fx->s).index, fx->last);
    assert_true(fx->last > index);
}

/* ---- Who was one ---- */

static void who_drops_out_is_removed_for_ever(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();

    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    assert_int_equal(was_removed(fx, 20), 0);
    assert_int_equal(change_members(fx, &ac, NULL).rc, 0);
    assert_int_equal(was_removed(fx, 20), 1);
    assert_int_equal(was_removed(fx, 10), 0);
    assert_int_equal(was_removed(fx, 30), 0);
    assert_int_equal(members_of(fx).count, 2);
    /* Not even an entry that should never have been made forgives it. */
    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    assert_int_equal(was_removed(fx, 20), 1);
}

/* Nobody told the state who the first members were. */
static void the_first_entry_says_whom_it_removes(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();

    c.removed = 20;
    assert_int_equal(change_members(fx, &ac, &c).rc, 0);
    assert_int_equal(was_removed(fx, 20), 1);
    assert_int_equal(members_of(fx).count, 2);
}

static void who_is_a_member_is_not_removed_whatever_is_added(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();

    c.removed = 20;
    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    assert_int_equal(was_removed(fx, 20), 0);
    assert_int_equal(members_of(fx).count, 3);
}

/* ---- Sessions ---- */

static void a_removed_nodes_session_ends_with_its_holds(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();
    uint64_t gone = open_session(fx, "node-2", 1), found[2];
    struct command late = make_create(fx, ROOT, "late");
    uint64_t f = do_create(fx, ROOT, "f");
    struct command release = make_release(&f, 1);

    late.session = gone;
    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    late.sequence = 1;
    assert_int_equal(run(fx, late).rc, -EINVAL); /* the inode isn't its own */
    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(run(fx, release).rc, 0);
    assert_int_equal(reapable(fx, found, 2), 0); /* node-2 may have it open */

    assert_int_equal(change_members(fx, &ac, NULL).rc, 0);
    assert_int_equal(reapable(fx, found, 2), 1);
    assert_int_equal(found[0], f);
    late.sequence = 1; /* its answer is gone, too */
    assert_int_equal(run(fx, late).rc, -PX_ESESSION);
    assert_int_equal(knows(fx, "node-2"), 0);
    assert_int_equal(knows(fx, "node-0"), 1);
    reap_all(fx);
    assert_int_equal(stat_rc(fx, f), -ENOENT);
}

/* Its last SESSION_OPEN may have been on its way. */
static void a_removed_node_opens_no_session(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();
    struct command open = {.op = COMMAND_SESSION_OPEN,
                           .name = name_of_text("node-2"),
                           .sequence = 7};

    c.removed = 20;
    assert_int_equal(change_members(fx, &ac, &c).rc, 0);
    for (open.incarnation = 1; open.incarnation < 4; open.incarnation++)
        assert_int_equal(run_bare(fx, &open).rc, -PX_ESESSION);
    open.name = name_of_text("node-20"); /* another one */
    assert_int_equal(run_bare(fx, &open).rc, 0);
    open.name = name_of_text("node-3");
    assert_int_equal(run_bare(fx, &open).rc, 0);
}

static void a_node_is_known_while_its_session_lives(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(knows(fx, "node-1"), 0);
    (void)open_session(fx, "node-1", 4);
    assert_int_equal(knows(fx, "node-1"), 1);
    assert_int_equal(knows(fx, "node-"), 0);
    assert_int_equal(knows(fx, "node-11"), 0);
    assert_int_equal(knows(fx, ""), 0);
}

/* ---- The same on all ---- */

static void members_count_for_no_quota(void **state)
{
    struct fixture *fx = *state;
    struct store_change c = all_told();
    struct command quota = {.op = COMMAND_SET_QUOTA, .offset = 1};
    uint64_t used = usage_of(fx).used;

    c.removed = 50;
    assert_int_equal(run(fx, quota).rc, 0); /* it is full */
    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    assert_int_equal(usage_of(fx).used, used);
}

/* Applied one by one and in one batch, beside commands. */
static void replicas_agree_however_entries_come(void **state)
{
    struct fixture *fx = *state;
    struct fixture other;
    struct store_change c = all_told();
    struct raft_entry entries[3] = {{.kind = RAFT_ENTRY_CONFIG},
                                    {.kind = RAFT_ENTRY_COMMAND},
                                    {.kind = RAFT_ENTRY_CONFIG}};
    struct command open = {.op = COMMAND_SESSION_OPEN,
                           .name = name_of_text("node-2"),
                           .incarnation = 1};
    struct store_result results[3];
    uint8_t first[RAFT_CONFIG_BYTES_MAX];
    uint8_t second[RAFT_CONFIG_BYTES_MAX];

    fixture_open(&other);
    (void)open_session(&other, "node-0", 1);
    assert_int_equal(change_members(fx, &abc, &c).rc, 0);
    assert_int_equal(change_members(&other, &abc, &c).rc, 0);
    assert_int_equal(hash_of(fx), hash_of(&other));

    entries[0].data = (struct px_slice){
        .data = first, .size = raft_config_encode(&abc, first)};
    assert_int_equal(command_encode(&open, &entries[1].data), 0);
    entries[2].data = (struct px_slice){
        .data = second, .size = raft_config_encode(&ac, second)};
    for (size_t i = 0; i < 3; i++)
        entries[i].pos = (struct raft_pos){1, fx->last + 1 + i};
    assert_int_equal(store_apply(fx->s, entries, 3, results, &fx->orphans), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            store_apply(other.s, &entries[i], 1, &results[i], &other.orphans),
            0);
    px_slice_unref(&entries[1].data);
    fx->last += 3;
    other.last += 3;
    assert_int_equal(hash_of(fx), hash_of(&other));
    assert_int_equal(was_removed(&other, 20), 1);
    check(&other);
    fixture_close(&other);
    fixture_remove(&other);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(before_the_first_entry_the_initial_ones_hold),
        TEST(an_entry_brings_members_with_names_and_addresses),
        TEST(what_is_not_told_stays_as_it_was),
        TEST(members_are_the_same_after_a_reopen),
        TEST(what_is_added_and_does_not_decode_is_as_if_nothing_was),
        TEST(an_entry_without_a_configuration_changes_nothing),
        TEST(who_drops_out_is_removed_for_ever),
        TEST(the_first_entry_says_whom_it_removes),
        TEST(who_is_a_member_is_not_removed_whatever_is_added),
        TEST(a_removed_nodes_session_ends_with_its_holds),
        TEST(a_removed_node_opens_no_session),
        TEST(a_node_is_known_while_its_session_lives),
        TEST(members_count_for_no_quota),
        TEST(replicas_agree_however_entries_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
