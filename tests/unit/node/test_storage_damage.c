/* node/storage.c: a snapshot or a log is damaged, and the state beside it may be
 * the last whole copy of what it has applied. It holds entries 1 to 40; the log
 * begins behind a snapshot at 20. The disks are in memory, LMDB's files are
 * real. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "node/evidence.h"
#include "node/storage.h"
#include "tests/lib/memdisk.h"

#define CLUSTER UINT64_C(0x77)
#define TERM 5
#define SAVED 20
#define HELD 40
#define ENTRY_BYTES (8u * PX_KIB)
#define SEGMENT_BYTES (64u * PX_KIB)
#define LOG_BLOCK 4096u
#define FOOT_BYTES 64u

struct folder {
    struct memdisk *home;
    struct memdisk *log;
    struct memdisk *snapshots;
    char state[64];
    const char *boot_id;
    bool knows_members;
};

static char why[512];

/* ---- A data folder ---- */

static void copy_folder(const char *from, const char *to)
{
    char command[192];

    (void)snprintf(command, sizeof command, "cp -a '%s'/. '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static void remove_folder(const char *path)
{
    char command[96];

    (void)snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
}

static void make_state_folder(struct folder *f)
{
    (void)snprintf(f->state, sizeof f->state, "%s/phalanx-damage-XXXXXX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(f->state));
}

static struct folder folder_copy(const struct folder *from)
{
    struct folder f = {.home = memdisk_clone(from->home),
                       .log = memdisk_clone(from->log),
                       .snapshots = memdisk_clone(from->snapshots),
                       .boot_id = from->boot_id,
                       .knows_members = from->knows_members};

    make_state_folder(&f);
    copy_folder(from->state, f.state);
    return f;
}

static void folder_free(struct folder *f)
{
    memdisk_free(f->home);
    memdisk_free(f->log);
    memdisk_free(f->snapshots);
    remove_folder(f->state);
}

static int try_open(struct folder *f, struct storage *s)
{
    struct storage_options options = {
        .term_disk = memdisk_disk(f->home),
        .log_disk = memdisk_disk(f->log),
        .snapshot_disk = memdisk_disk(f->snapshots),
        .log_dir = "log",
        .state_dir = f->state,
        .boot_id = f->boot_id,
        .cluster = CLUSTER,
        .id = 1,
        .segment_bytes = SEGMENT_BYTES,
    };

    if (f->knows_members)
        options.initial =
            (struct raft_config){.count = 1, .members = {{1, RAFT_VOTER}}};
    return storage_open(s, &options, why, sizeof why);
}

static void open_it(struct folder *f, struct storage *s)
{
    if (try_open(f, s) < 0)
        fail_msg("%s", why);
}

/* The process is gone; the disks are what its calls have made of them. */
static void drop(struct storage *s)
{
    store_state_abandon(s->state);
    s->state = NULL;
    storage_close(s);
}

/* ---- What it holds ---- */

static void apply(struct storage *s, struct raft_pos pos)
{
    struct raft_entry e = {.kind = RAFT_ENTRY_NOOP, .pos = pos};
    struct store_orphans orphans = {.count = 0};
    struct store_result result;

    assert_int_equal(store_apply(s->state, &e, 1, &result, &orphans), 0);
    free(orphans.inodes);
}

static void log_entry(struct storage *s, struct raft_pos pos)
{
    static const uint8_t bytes[ENTRY_BYTES];
    const struct raft_hard_state hard = {.term = pos.term};
    const struct raft_entry e = {.kind = RAFT_ENTRY_NOOP,
                                 .pos = pos,
                                 .data = {.data = bytes, .size = ENTRY_BYTES}};

    assert_int_equal(store_log_write(s->log, &hard, &e, 1), 0);
    assert_int_equal(store_log_sync(s->log), 0);
}

static void fill(struct storage *s, raft_index last)
{
    raft_index from = store_state_applied(s->state).index;

    for (raft_index i = from + 1; i <= last; i++) {
        log_entry(s, (struct raft_pos){TERM, i});
        apply(s, (struct raft_pos){TERM, i});
    }
}

static void save(struct storage *s)
{
    struct replica_snapshot_job job = {
        .what = REPLICA_SAVE,
        .info.config = {.count = 1, .members = {{1, RAFT_VOTER}}}};

    assert_int_equal(storage_do(s, &job), 0);
}

static int setup(void **state)
{
    static struct folder f;
    struct storage s;

    f = (struct folder){.home = memdisk_new(),
                        .log = memdisk_new(),
                        .snapshots = memdisk_new(),
                        .boot_id = "one",
                        .knows_members = true};
    make_state_folder(&f);
    open_it(&f, &s);
    fill(&s, SAVED);
    save(&s);
    assert_true(store_log_cut_head(s.log, SAVED) > 0);
    fill(&s, HELD);
    storage_close(&s);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    folder_free(*state);
    return 0;
}

/* ---- What is damaged ---- */

static uint64_t file_bytes(struct memdisk *m, const char *name)
{
    struct store_disk *d = memdisk_disk(m);
    int file = d->open(d, name, STORE_DISK_READ);
    uint64_t bytes = 0;
    uint8_t byte;

    assert_true(file >= 0);
    while (d->read(d, file, &byte, 1, bytes) == 1)
        bytes++;
    d->close(d, file);
    return bytes;
}

static void flip_snapshot(struct folder *f, bool is_foot)
{
    char name[STORE_SNAPSHOT_NAME_BYTES];
    uint64_t at = 100;

    store_snapshot_name(SAVED, name);
    if (is_foot)
        at = file_bytes(f->snapshots, name) - FOOT_BYTES / 2;
    assert_true(memdisk_flip(f->snapshots, name, at, 1));
}

/* In the first record of a segment: the newest but one, or an older one. */
static uint32_t flip_log(struct folder *f)
{
    char name[32];
    uint32_t newest = 0;

    for (uint32_t i = 1; i < 100; i++) {
        (void)snprintf(name, sizeof name, "%010u.log", i);
        if (memdisk_has(f->log, name))
            newest = i;
    }
    assert_true(newest > 3);
    (void)snprintf(name, sizeof name, "%010u.log", newest - 1);
    assert_true(memdisk_flip(f->log, name, LOG_BLOCK + 200, 1));
    return newest - 1;
}

/* All that was applied is there, and the log goes on behind it. */
static void check_whole(struct storage *s, raft_index applied, bool is_faulty)
{
    struct raft_pos pos = store_state_applied(s->state);

    assert_int_equal(pos.index, applied);
    assert_int_equal(pos.term, TERM);
    assert_false(s->is_rebuilt);
    assert_int_equal(s->found.last, applied);
    assert_int_equal(s->found.fault != NULL, is_faulty);
    assert_true(s->snapshot.pos.index >= s->found.base.index);
}

static void
a_snapshot_that_is_passed_over_is_made_again_of_the_state(void **state)
{
    for (int is_foot = 0; is_foot <= 1; is_foot++) {
        struct folder f = folder_copy(*state);
        struct storage s;

        flip_snapshot(&f, is_foot != 0);
        for (int starts = 0; starts < 2; starts++) {
            open_it(&f, &s);
            check_whole(&s, HELD, false);
            assert_int_equal(s.snapshot.pos.index, HELD);
            assert_int_equal(s.snapshot.config.count, 1);
            assert_in_range(s.found.first, 2, SAVED + 1); /* as it was */
            drop(&s);
        }
        folder_free(&f);
    }
}

static void remove_snapshot(struct folder *f)
{
    struct store_disk *d = memdisk_disk(f->snapshots);
    char name[STORE_SNAPSHOT_NAME_BYTES];

    store_snapshot_name(SAVED, name);
    assert_int_equal(d->remove(d, name), 0);
    assert_int_equal(d->sync_dir(d), 0);
}

/* By a person, whose disk gave an error for it; or a crash came when it had been
 * put aside. The fault: all of a sound log was. */
static void a_snapshot_that_is_missing_is_made_again_of_the_state(void **state)
{
    struct folder *f = *state;
    struct storage s;

    remove_snapshot(f);
    for (int starts = 0; starts < 2; starts++) {
        open_it(f, &s);
        check_whole(&s, HELD, false);
        assert_int_equal(s.snapshot.pos.index, HELD);
        assert_in_range(s.found.first, 2, SAVED + 1); /* as it was */
        drop(&s);
    }
    assert_false(memdisk_has(f->snapshots, "standing"));
}

static void what_a_damaged_log_has_lost_the_state_has(void **state)
{
    struct folder *f = *state;
    struct storage s;
    char bad[40];

    (void)snprintf(bad, sizeof bad, "%010u.log.bad", flip_log(f));
    for (int starts = 0; starts < 2; starts++) {
        open_it(f, &s);
        check_whole(&s, HELD, true);
        assert_int_equal(s.found.base.index, HELD);
        assert_int_equal(s.found.hard.term, TERM);
        assert_true(memdisk_has(f->log, bad));
        drop(&s);
    }
    open_it(f, &s);
    fill(&s, HELD + 3);
    assert_int_equal(storage_recovered(&s), 0);
    storage_close(&s);
    open_it(f, &s);
    check_whole(&s, HELD + 3, false);
    drop(&s);
}

static void a_log_and_a_snapshot_damaged_at_once_leave_the_state(void **state)
{
    struct folder *f = *state;
    struct storage s;

    flip_snapshot(f, false);
    (void)flip_log(f);
    for (int starts = 0; starts < 2; starts++) {
        open_it(f, &s);
        check_whole(&s, HELD, true);
        drop(&s);
    }
}

/* A snapshot that was installed may be ahead of the log; one that was made of
 * the state just now says nothing in favour of a log that ends before. */
static void a_log_that_ends_too_early_is_faulty_all_the_same(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s);
    apply(&s, (struct raft_pos){TERM, HELD + 1}); /* it was in the log once */
    storage_close(&s);
    flip_snapshot(f, false);
    open_it(f, &s);
    check_whole(&s, HELD + 1, true);
    assert_non_null(strstr(s.found.fault, "entries are lost"));
    drop(&s);
}

/* Where the state was received, and the log not reset yet, it may hold another
 * entry there, which was never committed. */
static void a_log_of_another_history_is_faulty(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s);
    log_entry(&s, (struct raft_pos){TERM + 1, HELD + 1});
    apply(&s, (struct raft_pos){TERM, HELD + 1});
    storage_close(&s);
    flip_snapshot(f, false);
    for (int starts = 0; starts < 2; starts++) {
        open_it(f, &s);
        check_whole(&s, HELD + 1, true);
        assert_non_null(
            strstr(s.found.fault, "does not follow on entry 41 of term 5"));
        drop(&s);
    }
}

static void copy_file(struct memdisk *from, struct memdisk *to,
                      const char *name)
{
    uint8_t bytes[4096];
    ssize_t n =
        store_disk_load(memdisk_disk(from), name, (char *)bytes, sizeof bytes);

    assert_true(n > 0 && n < (ssize_t)sizeof bytes);
    memdisk_put(to, name, bytes, (size_t)n);
}

/* From a leader, and it was whole when it arrived; ours is gone, or not yet. */
static void receive_damaged(struct folder *f, bool has_own)
{
    struct folder ahead = folder_copy(f);
    char name[STORE_SNAPSHOT_NAME_BYTES];
    struct storage s;

    open_it(&ahead, &s);
    fill(&s, HELD + 60);
    save(&s);
    drop(&s);
    store_snapshot_name(HELD + 60, name);
    assert_true(memdisk_flip(ahead.snapshots, name, 600, 1));
    copy_file(ahead.snapshots, f->snapshots, name);
    folder_free(&ahead);
    if (!has_own)
        remove_snapshot(f);
}

/* Its blocks are damaged, which only a look at all of it finds, when it was to
 * take the place of log and state: they stay. */
static void a_damaged_snapshot_takes_the_place_of_nothing(void **state)
{
    struct folder *f = *state;
    struct storage s;

    receive_damaged(f, false);
    for (int starts = 0; starts < 2; starts++) {
        open_it(f, &s);
        check_whole(&s, HELD, false);
        drop(&s);
    }
    assert_true(memdisk_has(f->snapshots, "damaged.bad"));
}

/* Nor where the state is marked, as the log is not in doubt by that. The fault:
 * it was reset to what nobody can read. */
static void leave_log(struct folder *f, raft_index heir)
{
    const struct replica_divergence wrong = {HELD - 1, 1, 2};
    struct storage s;

    receive_damaged(f, true);
    assert_int_equal(evidence_mark(f->state, &wrong, heir), 0);
    for (int starts = 0; starts < 2; starts++) {
        open_it(f, &s);
        check_whole(&s, HELD, false);
        assert_int_equal(s.snapshot.pos.index, SAVED);
        assert_int_equal(s.divergence.index, HELD - 1);
        drop(&s);
    }
    assert_true(memdisk_has(f->snapshots, "damaged.bad"));
}

static void a_damaged_snapshot_for_a_wrong_state_leaves_the_log(void **state)
{
    leave_log(*state, 0);
}

static void a_damaged_heir_of_a_wrong_state_leaves_the_log(void **state)
{
    leave_log(*state, HELD + 60);
}

static void write_mark(const struct folder *f, const char *text)
{
    char path[96];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/diverged", f->state);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* One bit makes another digit of one, or of a blank. The fault: the leader was
 * asked for a state of that index, without end. */
static void a_mark_that_names_what_never_was_is_a_mark_still(void **state)
{
    static const struct {
        const char *text;
        raft_index index;
    } marks[] = {
        {"index=40 own=1 others=2\n", 40},
        {"index=80 own=1 others=2\n", 1},
        {"index=400own=1 others=2\n", 1},
        {"index=40 \n", 1},
        {"", 1}, /* by hand */
    };
    struct folder *f = *state;

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        struct storage s;

        write_mark(f, marks[i].text);
        open_it(f, &s);
        check_whole(&s, HELD, false);
        assert_int_equal(s.divergence.index, marks[i].index);
        assert_int_equal(s.divergence.own, marks[i].index > 1);
        drop(&s);
    }
}

/* It is rebuilt from an older snapshot at first, and knows where it was wrong by
 * its log. */
static void a_mark_of_what_is_not_applied_yet_counts(void **state)
{
    const struct replica_divergence wrong = {HELD - 1, 1, 2};
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s);
    drop(&s);
    assert_int_equal(evidence_mark(f->state, &wrong, 0), 0);
    f->boot_id = "two"; /* the machine has gone down */
    open_it(f, &s);
    assert_int_equal(store_state_applied(s.state).index, SAVED);
    assert_int_equal(s.divergence.index, HELD - 1);
    drop(&s);
}

/* Who has not even got its own first configuration has nothing to lose. */
static void without_members_the_state_is_thrown_away(void **state)
{
    struct folder *f = *state;
    struct storage s;

    f->knows_members = false;
    flip_snapshot(f, false);
    open_it(f, &s);
    assert_int_equal(store_state_applied(s.state).index, 0);
    assert_non_null(s.found.fault);
    assert_int_equal(s.found.last, 0);
    drop(&s);
}

/* ---- Crashes ---- */

/* The process dies at call @at of one of the disks. False: it was done before.*/
static bool die_at(const struct folder *from, bool is_log, unsigned at,
                   raft_index held, bool is_faulty)
{
    const struct memdisk_plan plan = {.dark_at = at}, none = {0};
    struct folder f = folder_copy(from);
    struct memdisk *disk = is_log ? f.log : f.snapshots;
    struct storage s;
    bool was_dark;

    memdisk_go_on(disk, &plan);
    if (try_open(&f, &s) == 0)
        drop(&s);
    was_dark = memdisk_is_dark(disk);
    memdisk_go_on(disk, &none);
    for (int starts = 0; starts < 2; starts++) {
        open_it(&f, &s);
        check_whole(&s, held, is_faulty);
        drop(&s);
    }
    folder_free(&f);
    return was_dark;
}

static void die_everywhere(struct folder *f, raft_index held, bool is_faulty)
{
    for (int is_log = 0; is_log <= 1; is_log++) {
        unsigned at = 1;

        while (die_at(f, is_log != 0, at, held, is_faulty))
            at++;
        assert_true(at > 10);
    }
}

static void a_process_that_dies_while_it_mends_a_snapshot_goes_on(void **state)
{
    flip_snapshot(*state, false);
    die_everywhere(*state, HELD, false);
}

static void
a_process_that_dies_while_it_makes_a_missing_one_goes_on(void **state)
{
    remove_snapshot(*state);
    die_everywhere(*state, HELD, false);
}

/* Its last name says nothing of it to the next start. */
static void
a_process_that_dies_while_it_gives_a_snapshot_up_goes_on(void **state)
{
    receive_damaged(*state, false);
    die_everywhere(*state, HELD, false);
}

static void a_process_that_dies_while_it_mends_a_log_goes_on(void **state)
{
    (void)flip_log(*state);
    die_everywhere(*state, HELD, true);
}

/* The next start finds a snapshot like any other, but for the note beside it. */
static void
a_process_that_dies_before_it_notes_a_fault_hides_nothing(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s);
    apply(&s, (struct raft_pos){TERM, HELD + 1}); /* it was in the log once */
    storage_close(&s);
    flip_snapshot(f, false);
    die_everywhere(f, HELD + 1, true);
}

static void without_room_for_a_snapshot_nothing_is_removed(void **state)
{
    const struct memdisk_plan full = {.bytes_max = 1}, none = {0};
    struct folder *f = *state;
    struct storage s;

    (void)flip_log(f);
    memdisk_go_on(f->snapshots, &full);
    for (int starts = 0; starts < 2; starts++) {
        assert_int_equal(try_open(f, &s), -ENOSPC);
        assert_non_null(strstr(why, "a snapshot can't be made"));
    }
    memdisk_go_on(f->snapshots, &none);
    open_it(f, &s);
    check_whole(&s, HELD, true);
    drop(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_that_is_passed_over_is_made_again_of_the_state),
        TEST(a_snapshot_that_is_missing_is_made_again_of_the_state),
        TEST(what_a_damaged_log_has_lost_the_state_has),
        TEST(a_log_and_a_snapshot_damaged_at_once_leave_the_state),
        TEST(a_log_that_ends_too_early_is_faulty_all_the_same),
        TEST(a_log_of_another_history_is_faulty),
        TEST(a_damaged_snapshot_takes_the_place_of_nothing),
        TEST(a_damaged_snapshot_for_a_wrong_state_leaves_the_log),
        TEST(a_damaged_heir_of_a_wrong_state_leaves_the_log),
        TEST(a_mark_that_names_what_never_was_is_a_mark_still),
        TEST(a_mark_of_what_is_not_applied_yet_counts),
        TEST(without_members_the_state_is_thrown_away),
        TEST(a_process_that_dies_while_it_mends_a_snapshot_goes_on),
        TEST(a_process_that_dies_while_it_makes_a_missing_one_goes_on),
        TEST(a_process_that_dies_while_it_gives_a_snapshot_up_goes_on),
        TEST(a_process_that_dies_while_it_mends_a_log_goes_on),
        TEST(a_process_that_dies_before_it_notes_a_fault_hides_nothing),
        TEST(without_room_for_a_snapshot_nothing_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
