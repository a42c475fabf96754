/* node/storage.c: the states that a node keeps, and what a start makes of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "raft/config.h"
#include "tests/unit/node/storage_fixture.h"

/* ---- Folders of states ---- */

/* By who applies, on another thread. */
static void a_state_is_loaded_until_it_is_adopted_or_dropped(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    for (size_t i = 0; i < PIECES; i++)
        assert_int_equal(do_job(&s, REPLICA_STORE, i), 0);
    for (int is_adopted = 0; is_adopted <= 1; is_adopted++) {
        assert_false(s.is_loaded);
        assert_int_equal(do_job(&s, REPLICA_LOAD, 0), 0);
        assert_true(s.is_loaded);
        assert_int_equal(
            is_adopted ? storage_adopt(&s) : do_job(&s, REPLICA_CLEAN, 0), 0);
    }
    assert_false(s.is_loaded);
    drop(&s);
}

static int clean(struct storage *s)
{
    struct replica_snapshot_job job = {.what = REPLICA_CLEAN,
                                       .info = {.pos = pos}};

    return storage_do(s, &job);
}

static void what_was_replaced_goes_in_the_background(void **state)
{
    struct folder *f = *state;
    struct storage s;
    unsigned files;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0); /* before it */
    files = memdisk_file_count(f->snapshots);
    assert_int_equal(install(&s, &is_kept), 0);
    assert_true(has_folder(f, "1"));
    assert_int_equal(memdisk_file_count(f->snapshots), files + 1);
    assert_int_equal(clean(&s), 0);
    assert_false(has_folder(f, "1"));
    assert_true(has_folder(f, "2"));
    assert_int_equal(memdisk_file_count(f->snapshots), files);
    drop(&s);
    check_start(f, "one", true);
}

static void what_was_replaced_goes_at_a_start(void **state)
{
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    assert_true(has_folder(f, "1"));
    check_start(f, "one", true);
    assert_false(has_folder(f, "1"));
    assert_int_equal(memdisk_file_count(f->snapshots), 1);
}

/* After each call of the disk of the snapshots, and with the folder of the old
 * state gone in part, as its files may be in any order. */
static void power_lost_while_it_goes_loses_nothing(void **state)
{
    static const char *const parts[] = {"data.mdb", "lock.mdb", "boot"};
    const struct memdisk_plan none = {0};
    struct px_rand rand;

    px_rand_init(&rand, 1);
    for (unsigned at = 1; at <= 4; at++) {
        for (size_t part = 0; part < sizeof parts / sizeof parts[0]; part++) {
            const struct memdisk_plan plan = {.dark_at = at};
            struct folder f = folder_copy(*state);
            char path[128];
            struct storage s;
            bool is_kept;

            open_it(&f, &s, "one");
            assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
            assert_int_equal(install(&s, &is_kept), 0);
            (void)snprintf(path, sizeof path, "%s/1/%s", f.state, parts[part]);
            assert_int_equal(unlink(path), 0);
            memdisk_go_on(f.snapshots, &plan);
            (void)clean(&s);
            drop(&s);
            memdisk_go_on(f.snapshots, &none);
            memdisk_crash(f.log, &rand);
            memdisk_crash(f.snapshots, &rand);
            check_start(&f, at % 2 == 0 ? "one" : "two", true);
            folder_free(&f);
        }
    }
}

static void make_evidence(const struct folder *f)
{
    char path[128];
    FILE *data;

    (void)snprintf(path, sizeof path, "%s/diverged-7", f->state);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/diverged-7/data.mdb", f->state);
    data = fopen(path, "we");
    assert_non_null(data);
    assert_int_equal(fclose(data), 0);
}

/* The disks here are not the one that it lies on: there is room no sooner. */
static void what_was_kept_for_a_look_goes_where_room_is_needed(void **state)
{
    const struct memdisk_plan full = {.bytes_max = 1}, none = {0};
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    make_evidence(f);
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    assert_true(has_folder(f, "diverged-7")); /* there was room */
    memdisk_go_on(f->snapshots, &full);
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), -ENOSPC);
    assert_false(has_folder(f, "diverged-7"));
    make_evidence(f);
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), -ENOSPC);
    assert_false(has_folder(f, "diverged-7"));
    memdisk_go_on(f->snapshots, &none);
    drop(&s);
}

static void what_is_not_needed_any_more_goes_with_the_next_save(void **state)
{
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(install(&s, &is_kept), 0);
    assert_true(has_folder(f, "1"));
    assert_true(has_folder(f, "2"));
    assert_int_equal(do_job(&s, REPLICA_LOAD, 0), 0); /* in vain, */
    assert_int_equal(do_job(&s, REPLICA_LOAD, 0), 0); /* and again */
    assert_true(has_folder(f, "new"));
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    assert_null(s.loaded);
    assert_false(has_folder(f, "1"));
    assert_true(has_folder(f, "2"));
    assert_false(has_folder(f, "new"));
    drop(&s);
}

static void a_state_that_is_distrusted_is_built_from_the_snapshot(void **state)
{
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    assert_int_equal(try_open(f, &s, "one", true), 0);
    assert_true(s.is_rebuilt);
    assert_int_equal(store_state_applied(s.state).index, pos.index);
    drop(&s);
}

/* Though the log is whole, and has all of it. */
static void a_state_that_is_distrusted_does_not_begin_at_nothing(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    drop(&s);
    assert_int_equal(try_open(f, &s, "one", true), 0);
    assert_int_equal(s.found.base.index, 0);
    assert_int_equal(store_state_applied(s.state).index, HELD);
    drop(&s);
}

static void a_state_of_another_history_than_the_log_is_refused(void **state)
{
    struct folder f = folder_new();
    struct storage s;

    (void)state;
    open_it(&f, &s, "one");
    write_and_apply(&s, TERM - 1);
    drop(&s);
    assert_int_equal(try_open(&f, &s, "one", false), -PX_ECORRUPT);
    assert_non_null(strstr(why, "does not follow"));
    folder_free(&f);
}

static void a_log_that_is_gone_is_not_taken_for_an_empty_one(void **state)
{
    struct folder *f = *state;
    struct storage s;

    memdisk_free(f->log);
    f->log = memdisk_new();
    assert_int_equal(try_open(f, &s, "one", false), -PX_ECORRUPT);
    assert_true(why[0] != '\0');
}

/* ---- What raft begins with ---- */

/* The id of the only member by which raft goes, if it begins with what @s has;
 * 7 is what the caller takes for the initial one. */
static raft_id begin_raft(const struct storage *s)
{
    struct raft_options options = {
        .id = 1,
        .config = {.count = 1, .members = {{7, RAFT_VOTER}}},
        .election = PX_NS_PER_S,
        .heartbeat = PX_NS_PER_S / 10,
        .now = 1,
    };
    struct raft_config_at at;
    struct raft *r;

    storage_to_raft(s, &options);
    assert_int_equal(raft_new(&options, &r), 0);
    raft_get_config(r, &at);
    raft_check(r);
    raft_free(r);
    assert_int_equal(at.config.count, 1);
    return at.config.members[0].id;
}

/* An entry with a configuration of @id alone; durable, not applied. */
static void write_config(struct storage *s, raft_index index, raft_id id)
{
    const struct raft_config c = {.count = 1, .members = {{id, RAFT_VOTER}}};
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    const struct raft_entry e = {
        .kind = RAFT_ENTRY_CONFIG,
        .pos = {TERM, index},
        .data = {.data = bytes, .size = raft_config_encode(&c, bytes)}};

    assert_int_equal(store_log_write(s->log, NULL, &e, 1), 0);
    assert_int_equal(store_log_sync(s->log), 0);
}

static void raft_begins_with_the_newest_configuration_in_the_log(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 7);
    write_config(&s, HELD + 1, 20);
    write_config(&s, HELD + 2, 30);
    drop(&s);
    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 30);
    write_config(&s, HELD + 2, 40); /* in its place */
    drop(&s);
    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 40);
    drop(&s);
}

/* All of it, and nothing twice. */
static void raft_begins_behind_what_the_state_has_applied(void **state)
{
    struct raft_options options = {.id = 1};
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    write_config(&s, HELD + 1, 20);
    write_config(&s, HELD + 2, 30);
    drop(&s);
    open_it(f, &s, "one");
    storage_to_raft(&s, &options);
    assert_int_equal(store_state_applied(s.state).index, HELD);
    assert_int_equal(options.applied, HELD);
    assert_int_equal(options.last, HELD + 2);
    drop(&s);
}

/* A member that was sent one: its log holds nothing, and what it was started
 * with is long out of date. */
static void raft_begins_with_the_configuration_of_the_snapshot(void **state)
{
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    write_config(&s, HELD + 1, 20);
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 1);
    write_config(&s, pos.index + 1, 50);
    drop(&s);
    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 50);
    drop(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_state_is_loaded_until_it_is_adopted_or_dropped),
        TEST(what_was_replaced_goes_in_the_background),
        TEST(what_was_replaced_goes_at_a_start),
        TEST(power_lost_while_it_goes_loses_nothing),
        TEST(what_was_kept_for_a_look_goes_where_room_is_needed),
        TEST(what_is_not_needed_any_more_goes_with_the_next_save),
        TEST(a_state_that_is_distrusted_is_built_from_the_snapshot),
        TEST(a_state_that_is_distrusted_does_not_begin_at_nothing),
        TEST(a_state_of_another_history_than_the_log_is_refused),
        TEST(a_log_that_is_gone_is_not_taken_for_an_empty_one),
        TEST(raft_begins_with_the_newest_configuration_in_the_log),
        TEST(raft_begins_behind_what_the_state_has_applied),
        TEST(raft_begins_with_the_configuration_of_the_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
