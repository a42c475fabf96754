/* node/progress.c: what a long start notes. The clock is the test's: at each look
 * a second has gone by, or next to nothing. Disks are in memory, LMDB's files
 * are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/storage.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/noted.h"

#define TERM 5
#define APPLIED 3
#define ENTRIES 7                /* in the log: two to a segment */
#define BODY_BYTES (24 * PX_KIB) /* of each */
#define SEGMENT_BYTES (64 * PX_KIB)

static struct {
    struct memdisk *log;
    struct memdisk *snapshots;
    char state[64];
    struct storage storage;
} t;

static struct {
    px_ns now;
    px_ns step; /* a look takes it */
} watch;

px_ns __wrap_px_now(void);

px_ns __wrap_px_now(void)
{
    return watch.now += watch.step;
}

/* ---- A node's data ---- */

static int try_open(void)
{
    const struct storage_options options = {
        .log_disk = memdisk_disk(t.log),
        .snapshot_disk = memdisk_disk(t.snapshots),
        .log_dir = "log",
        .state_dir = t.state,
        .boot_id = "boot",
        .cluster = 1,
        .id = 1,
        .segment_bytes = SEGMENT_BYTES,
        .initial = {.count = 1, .members = {{1, RAFT_VOTER}}},
    };
    char why[512];

    return storage_open(&t.storage, &options, why, sizeof why);
}

static void write_log(void)
{
    static const uint8_t body[BODY_BYTES];
    const struct raft_hard_state hard = {.term = TERM};
    struct raft_entry entries[ENTRIES];

    for (raft_index i = 0; i < ENTRIES; i++)
        entries[i] =
            (struct raft_entry){.kind = RAFT_ENTRY_COMMAND,
                                .pos = {TERM, i + 1},
                                .data = {.data = body, .size = sizeof body}};
    assert_int_equal(store_log_write(t.storage.log, &hard, entries, ENTRIES),
                     0);
    assert_int_equal(store_log_sync(t.storage.log), 0);
}

static void apply(raft_index from, raft_index to)
{
    struct store_orphans orphans = {.count = 0};
    struct store_result result;

    for (raft_index i = from; i <= to; i++) {
        struct raft_entry e = {.kind = RAFT_ENTRY_NOOP, .pos = {TERM, i}};

        assert_int_equal(store_apply(t.storage.state, &e, 1, &result, &orphans),
                         0);
    }
    free(orphans.inodes);
}

static void save(struct raft_pos *pos_out)
{
    struct replica_snapshot_job job = {.what = REPLICA_SAVE};

    job.info.config =
        (struct raft_config){.count = 1, .members = {{1, RAFT_VOTER}}};
    assert_int_equal(storage_do(&t.storage, &job), 0);
    *pos_out = job.info.pos;
}

static int setup(void **state)
{
    (void)state;
    watch.step = 0;
    t.log = memdisk_new();
    t.snapshots = memdisk_new();
    (void)snprintf(t.state, sizeof t.state, "%s/phalanx-progress-XXXXXX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(t.state));
    assert_int_equal(try_open(), 0);
    write_log();
    apply(1, APPLIED);
    return 0;
}

static int teardown(void **state)
{
    char command[96];

    (void)state;
    storage_close(&t.storage);
    memdisk_free(t.log);
    memdisk_free(t.snapshots);
    (void)snprintf(command, sizeof command, "rm -r '%s'", t.state);
    assert_int_equal(system(command), 0);
    return 0;
}

/* ---- Notes ---- */

static int open_again(void *ctx)
{
    (void)ctx;
    storage_close(&t.storage);
    return try_open();
}

static int load(void *ctx)
{
    struct replica_snapshot_job job = {.what = REPLICA_LOAD,
                                       .info.pos = *(struct raft_pos *)ctx};

    return storage_do(&t.storage, &job);
}

static void a_start_says_each_second_how_far_the_log_is_read(void **state)
{
    (void)state;
    watch.step = PX_NS_PER_S;
    assert_int_equal(noted_while(open_again, NULL), 0);
    /* Four segments; the first has the term, too, and the last what the close
     * has written. */
    assert_int_equal(noted_count("info node=- term=0 store: reads the log: "),
                     9);
    assert_int_equal(noted_count("reads the log: 0%\n"), 3);
    assert_int_equal(noted_count("reads the log: 25%\n"), 2);
    assert_int_equal(noted_count("reads the log: 50%\n"), 2);
    assert_int_equal(noted_count("reads the log: 75%\n"), 2);
}

static void a_start_says_each_second_how_far_the_state_is_checked(void **state)
{
    (void)state;
    watch.step = PX_NS_PER_S;
    assert_int_equal(noted_while(open_again, NULL), 0);
    assert_true(noted_count("info node=- term=0 store: checks the state: ") >
                1);
    assert_int_equal(noted_count("checks the state: 100%\n"),
                     1); /* the last one */
}

static void building_a_state_says_each_second_how_far_it_is(void **state)
{
    struct raft_pos pos;

    (void)state;
    save(&pos);
    watch.step = PX_NS_PER_S;
    assert_int_equal(noted_while(load, &pos), 0);
    assert_true(noted_count("store: builds the state from a snapshot: ") > 0);
}

static void
a_snapshot_that_stands_in_says_each_second_how_far_it_is(void **state)
{
    struct raft_pos pos;
    char name[STORE_SNAPSHOT_NAME_BYTES];

    (void)state;
    save(&pos);
    store_snapshot_name(pos.index, name);
    assert_true(memdisk_flip(t.snapshots, name, 0, 1));
    watch.step = PX_NS_PER_S;
    assert_int_equal(noted_while(open_again, NULL), 0);
    assert_int_equal(noted_count("the state stands in"), 1);
    assert_int_equal(
        noted_count("store: makes a snapshot of the state: 100%\n"), 1);
}

static void shell(const char *command)
{
    assert_int_equal(setenv("STATE", t.state, 1), 0);
    assert_int_equal(system(command), 0);
}

/* One was received, and not adopted before the end: played by a state from
 * before it was made. */
static void checking_a_snapshot_says_each_second_how_far_it_is(void **state)
{
    struct raft_pos pos;

    (void)state;
    storage_close(&t.storage);
    shell("cp -r \"$STATE\" \"$STATE\"-before");
    assert_int_equal(try_open(), 0);
    apply(APPLIED + 1, APPLIED + 2);
    save(&pos);
    storage_close(&t.storage);
    shell("rm -r \"$STATE\" && mv \"$STATE\"-before \"$STATE\"");
    watch.step = PX_NS_PER_S;
    assert_int_equal(noted_while(open_again, NULL), 0);
    assert_true(noted_count("store: checks the snapshot: ") > 0);
}

static void what_takes_no_second_says_nothing(void **state)
{
    struct raft_pos pos;

    (void)state;
    save(&pos);
    watch.step = PX_NS_PER_MS;
    watch.now = 7 * PX_NS_PER_S - 2 * watch.step; /* over a full one */
    assert_int_equal(noted_while(open_again, NULL), 0);
    assert_int_equal(noted_count("%"), 0);
    assert_int_equal(noted_while(load, &pos), 0);
    assert_int_equal(noted_count("%"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_start_says_each_second_how_far_the_log_is_read),
        TEST(a_start_says_each_second_how_far_the_state_is_checked),
        TEST(building_a_state_says_each_second_how_far_it_is),
        TEST(a_snapshot_that_stands_in_says_each_second_how_far_it_is),
        TEST(checking_a_snapshot_says_each_second_how_far_it_is),
        TEST(what_takes_no_second_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
