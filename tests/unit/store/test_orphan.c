/* store/orphan.c: unlinked inodes live as long as somebody may have them open,
 * and go in bounded steps. */
#include "tests/unit/store/state_fixture.h"

static int release(struct fixture *fx, uint64_t session, uint64_t sequence,
                   uint64_t inode)
{
    struct command c = make_release(&inode, 1);

    c.session = session;
    c.sequence = sequence;
    return run(fx, c).rc;
}

static int held(struct fixture *fx, uint64_t session, uint64_t from,
                uint64_t *inodes, size_t max)
{
    int count;

    assert_int_equal(store_view_begin(fx->v), 0);
    count = store_view_held(fx->v, session, from, inodes, max);
    store_view_end(fx->v);
    return count;
}

static void an_unlinked_file_lives_until_every_session_lets_go(void **state)
{
    struct fixture *fx = *state;
    uint64_t other = open_session(fx, "node-1", 1);
    uint64_t f = do_create(fx, ROOT, "f");

    do_write(fx, f, 0, "data", 4);
    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(fx->orphans.count, 1);
    assert_int_equal(fx->orphans.inodes[0], f);
    assert_int_equal(usage_of(fx).orphans, 1);
    /* By its number it is a file like any other. */
    assert_bytes(fx, f, 0, "data", 4);
    do_write(fx, f, 4, "more", 4);
    do_truncate(fx, f, 6);
    assert_bytes(fx, f, 0, "datamo", 6);
    check(fx);

    assert_int_equal(release(fx, fx->session, 0, f), 0);
    assert_int_equal(stat_rc(fx, f), 0); /* node-1 has not said */
    assert_int_equal(release(fx, fx->session, 0, f), 0); /* twice: the same */
    assert_int_equal(stat_rc(fx, f), 0);
    assert_int_equal(release(fx, other, 1, f), 0);
    assert_int_equal(stat_rc(fx, f), -ENOENT);
    assert_int_equal(usage_of(fx).orphans, 0);
    assert_int_equal(usage_of(fx).data_bytes, 0);
    assert_int_equal(usage_of(fx).inodes, 1);
    assert_int_equal(release(fx, other, 2, f), 0); /* gone: nothing to do */
}

static void a_release_does_not_touch_what_has_a_name(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");

    assert_int_equal(release(fx, fx->session, 0, f), 0);
    assert_int_equal(lookup(fx, ROOT, "f"), f);
    assert_int_equal(run(fx, make_reap(&f, 1, COMMAND_FORCE)).rc, 0);
    assert_int_equal(lookup(fx, ROOT, "f"), f);
}

static void a_session_that_ended_holds_nothing(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f"), found[4];
    uint64_t gone = open_session(fx, "node-1", 1);

    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(release(fx, fx->session, 0, f), 0);
    assert_int_equal(reapable(fx, found, 4), 0); /* node-1 holds it */
    assert_int_equal(run(fx, make_reap(&f, 1, 0)).rc, 0);
    assert_int_equal(stat_rc(fx, f), 0);
    assert_int_equal(held(fx, gone, 0, found, 4), 1);
    assert_int_equal(found[0], f);

    (void)open_session(fx, "node-1", 2);
    assert_int_equal(reapable(fx, found, 4), 1);
    assert_int_equal(found[0], f);
    assert_int_equal(run(fx, make_reap(&f, 1, 0)).rc, 0);
    assert_int_equal(stat_rc(fx, f), -ENOENT);
    assert_int_equal(reapable(fx, found, 4), 0);
}

static void force_reaps_what_is_still_held(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");

    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(run(fx, make_reap(&f, 1, COMMAND_FORCE)).rc, 0);
    assert_int_equal(stat_rc(fx, f), -ENOENT);
}

static void held_inodes_are_listed_in_parts(void **state)
{
    struct fixture *fx = *state;
    uint64_t made[10], found[10], from = 0;
    uint64_t later;
    size_t total = 0;
    char name[8];
    int count;

    for (size_t i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "f%zu", i);
        made[i] = do_create(fx, ROOT, name);
        assert_int_equal(run(fx, make_unlink(ROOT, name)).rc, 0);
    }
    while ((count = held(fx, fx->session, from, found, 3)) > 0) {
        for (int i = 0; i < count; i++)
            assert_int_equal(found[i], made[total++]);
        from = found[count - 1] + 1;
    }
    assert_int_equal(total, 10);
    later = open_session(fx, "node-1", 1); /* opened none of them */
    assert_int_equal(held(fx, later, 0, found, 10), 0);
}

static void a_removed_directory_lists_nothing_and_takes_nothing(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d");

    assert_int_equal(run(fx, make_rmdir(ROOT, "d")).rc, 0);
    assert_int_equal(stat_of(fx, d).links, 0);
    assert_int_equal(run(fx, make_create(fx, d, "f")).rc, -ENOENT);
    assert_int_equal(release(fx, fx->session, 0, d), 0);
    assert_int_equal(stat_rc(fx, d), -ENOENT);
}

static void fill(struct fixture *fx, uint64_t f, uint64_t size)
{
    static uint8_t bytes[PX_MIB];

    for (uint64_t at = 0; at < size; at += PX_MIB)
        do_write(fx, f, at, bytes, PX_MIB);
}

/* Beyond one command's budget, data becomes garbage, and the inode goes all
 * the same. */
static void a_large_file_goes_in_steps(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f"), found[8];
    uint64_t before, steps = 0;
    size_t count;

    fill(fx, f, 3 * EXTENT);
    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(release(fx, fx->session, 0, f), 0);
    assert_int_equal(stat_rc(fx, f), -ENOENT);
    before = usage_of(fx).data_bytes;
    assert_true(before > 0);
    while ((count = reapable(fx, found, 8)) > 0) {
        uint64_t after;

        assert_int_equal(run(fx, make_reap(found, count, 0)).rc, 0);
        after = usage_of(fx).data_bytes;
        assert_true(after < before); /* each step gets on */
        assert_true(before - after <= (uint64_t)PX_REAP_CHUNKS_MAX * CHUNK);
        before = after;
        steps++;
        check(fx);
    }
    assert_int_equal(usage_of(fx).data_bytes, 0);
    assert_true(steps >= 2);
}

/* Many files in one release: what is over budget waits as garbage. */
static void one_release_deletes_a_bounded_number_of_chunks(void **state)
{
    struct fixture *fx = *state;
    uint64_t files[6];
    uint64_t before, after;
    char name[8];

    for (size_t i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "f%zu", i);
        files[i] = do_create(fx, ROOT, name);
        fill(fx, files[i], 4 * (uint64_t)PX_MIB);
        assert_int_equal(run(fx, make_unlink(ROOT, name)).rc, 0);
    }
    before = usage_of(fx).data_bytes;
    assert_int_equal(run(fx, make_release(files, 6)).rc, 0);
    after = usage_of(fx).data_bytes;
    assert_true(after > 0);
    assert_true(before - after <= (uint64_t)PX_REAP_CHUNKS_MAX * CHUNK);
    assert_int_equal(usage_of(fx).inodes, 1);
    reap_all(fx);
    assert_int_equal(usage_of(fx).data_bytes, 0);
}

/* A byte in each of extents 1 .. @count. */
static uint64_t make_sparse(struct fixture *fx, const char *name,
                            uint64_t count)
{
    uint64_t f = do_create(fx, ROOT, name);

    for (uint64_t n = 1; n <= count; n++)
        do_write(fx, f, n * EXTENT, "x", 1);
    return f;
}

#define MANY (PX_REAP_CHUNKS_MAX + 700)

/* Two files of more extents than one command's budget: each command turns a
 * budget's worth into garbage, and what is left waits with its inode. */
static void a_file_of_very_many_extents_goes_in_steps(void **state)
{
    struct fixture *fx = *state;
    uint64_t files[2] = {make_sparse(fx, "a", MANY),
                         make_sparse(fx, "b", MANY)};
    uint64_t left = 2 * (uint64_t)MANY; /* extents and garbage */

    assert_int_equal(run(fx, make_unlink(ROOT, "a")).rc, 0);
    assert_int_equal(run(fx, make_unlink(ROOT, "b")).rc, 0);
    assert_int_equal(run(fx, make_release(files, 2)).rc, 0);
    assert_int_equal(usage_of(fx).orphans, 2 + PX_REAP_CHUNKS_MAX);
    assert_int_equal(usage_of(fx).data_bytes, left); /* none is deleted yet */
    assert_int_equal(stat_of(fx, files[0]).links, 0);
    check(fx);

    assert_int_equal(run(fx, make_reap(files, 2, 0)).rc, 0);
    assert_int_equal(stat_rc(fx, files[0]), -ENOENT);
    assert_int_equal(stat_of(fx, files[1]).links, 0);
    assert_int_equal(usage_of(fx).orphans, 1 + 2 * PX_REAP_CHUNKS_MAX);
    check(fx);

    fixture_close(fx);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
    reap_all(fx); /* finds them by itself */
    assert_int_equal(stat_rc(fx, files[1]), -ENOENT);
    assert_int_equal(usage_of(fx).inodes, 1);
    assert_int_equal(usage_of(fx).orphans, 0);
    assert_int_equal(usage_of(fx).data_bytes, 0);
}

/* Chunks that were deleted leave less for extents. */
static void chunks_and_extents_share_one_budget(void **state)
{
    struct fixture *fx = *state;
    uint64_t chunks = 4 * (uint64_t)PX_MIB / CHUNK + 1; /* of a full file */
    uint64_t files[2] = {do_create(fx, ROOT, "full"),
                         make_sparse(fx, "sparse", PX_REAP_CHUNKS_MAX)};

    fill(fx, files[0], 4 * (uint64_t)PX_MIB);
    assert_int_equal(run(fx, make_unlink(ROOT, "full")).rc, 0);
    assert_int_equal(run(fx, make_unlink(ROOT, "sparse")).rc, 0);
    assert_int_equal(run(fx, make_release(files, 2)).rc, 0);
    assert_int_equal(stat_rc(fx, files[0]), -ENOENT);
    assert_int_equal(usage_of(fx).orphans, 1 + PX_REAP_CHUNKS_MAX - chunks);
    check(fx);
    reap_all(fx);
    assert_int_equal(usage_of(fx).data_bytes, 0);
    assert_int_equal(usage_of(fx).inodes, 1);
}

/* Who holds it is not asked again: what is half gone goes. */
static void a_forced_reap_that_stops_half_way_is_continued(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = make_sparse(fx, "f", MANY), found[4];

    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(held(fx, fx->session, 0, found, 4), 1);
    assert_int_equal(run(fx, make_reap(&f, 1, COMMAND_FORCE)).rc, 0);
    assert_int_equal(stat_rc(fx, f), 0);
    assert_int_equal(held(fx, fx->session, 0, found, 4), 0);
    reap_all(fx);
    assert_int_equal(stat_rc(fx, f), -ENOENT);
    assert_int_equal(usage_of(fx).data_bytes, 0);
}

static void a_number_whose_data_is_garbage_is_not_given_again(void **state)
{
    struct fixture *fx = *state;
    uint64_t files[5];
    struct command c;
    bool was_refused = false;
    char name[8];

    for (size_t i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "f%zu", i);
        files[i] = do_create(fx, ROOT, name);
        fill(fx, files[i], 4 * (uint64_t)PX_MIB);
        assert_int_equal(run(fx, make_unlink(ROOT, name)).rc, 0);
    }
    assert_int_equal(run(fx, make_release(files, 5)).rc, 0);
    for (size_t i = 0; i < 5 && !was_refused; i++) {
        c = make_create(fx, ROOT, "again");
        c.inode = files[i];
        was_refused = run(fx, c).rc == -EINVAL;
        (void)run(fx, make_unlink(ROOT, "again"));
    }
    assert_true(was_refused);
}

/* The scan for reapable orphans is bounded, and goes round. */
static void every_reapable_orphan_is_found_in_the_end(void **state)
{
    enum { HELD = 5000 };
    struct fixture *fx = *state;
    uint64_t last, found[4], holder;
    size_t count = 0;

    (void)open_session(fx, "node-1", 1);
    holder = open_session(fx, "node-2", 1);
    for (int i = 0; i < HELD; i++) {
        (void)do_create(fx, ROOT, "f");
        assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    }
    last = do_create(fx, ROOT, "f");
    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(release(fx, fx->session, 0, last), 0);
    assert_int_equal(release(fx, holder, 1, last), 0);
    assert_int_equal(reapable(fx, found, 4), 0);
    (void)open_session(fx, "node-1", 2); /* the last holder of `last` */
    for (int calls = 0; calls < HELD && count == 0; calls++)
        count = reapable(fx, found, 4);
    assert_int_equal(count, 1);
    assert_int_equal(found[0], last);
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(an_unlinked_file_lives_until_every_session_lets_go),
        T(a_release_does_not_touch_what_has_a_name),
        T(a_session_that_ended_holds_nothing),
        T(force_reaps_what_is_still_held),
        T(held_inodes_are_listed_in_parts),
        T(a_removed_directory_lists_nothing_and_takes_nothing),
        T(a_large_file_goes_in_steps),
        T(one_release_deletes_a_bounded_number_of_chunks),
        T(a_file_of_very_many_extents_goes_in_steps),
        T(chunks_and_extents_share_one_budget),
        T(a_forced_reap_that_stops_half_way_is_continued),
        T(a_number_whose_data_is_garbage_is_not_given_again),
        T(every_reapable_orphan_is_found_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
