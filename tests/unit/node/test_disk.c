/* node/disk.c: the log thread on a disk that is full, and what a long start notes.
 * The node is made by hand, log and state are real ones, and the test plays the
 * replica, the clock and the disk's room. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/node_core.h"
#include "tests/lib/noted.h"

#define SEGMENT_BYTES (64u * PX_KIB)
#define LARGE_BYTES (2u * SEGMENT_BYTES) /* needs a segment of its own */
#define WRITES 2u
#define TRIES_MAX 5

static struct {
    struct node node;
    char dir[64];
    struct store_disk *term_disk;
    struct replica_write *writes[WRITES]; /* each with room for an entry */
    const struct replica_write *durable[WRITES]; /* in this order */
    _Atomic size_t durable_count;
    _Atomic unsigned syncs; /* of the log */
    /* The calls of the real disk. */
    int (*allocate)(struct store_disk *d, int file, uint64_t bytes);
    int (*sync)(struct store_disk *d, int file);
    int (*write)(struct store_disk *d, int file, struct iovec *iov,
                 size_t count, uint64_t offset);
    const struct store_disk *full; /* that of the two which has no room */
    unsigned tries;
    size_t durable_by_then; /* when there was room again */
    unsigned syncs_by_then;
    /* Applying. */
    char state_dir[64];
    px_ns step; /* of the clock, at each look; 0: it runs as clocks do */
    px_ns now;
    raft_index applied;
    int applied_rc;             /* of the last one that was done */
    unsigned state_tries_full;  /* so often it finds no room */
    unsigned state_loaded_left; /* another one is loaded when as many tries are
                                   left; 0: none */
} b;

/* ---- What the other parts would do ---- */

px_ns px_now(void)
{
    b.now = b.step > 0 ? b.now + b.step : uv_hrtime();
    return b.now;
}

void node_fail(struct node *n, const char *why, int rc)
{
    (void)n;
    fail_msg("%s: %d", why, rc);
}

void replica_on_durable(struct replica *r, struct replica_write *w)
{
    size_t count = atomic_load(&b.durable_count);

    (void)r;
    assert_true(count < WRITES);
    b.durable[count] = w;
    atomic_store(&b.durable_count, count + 1);
}

void replica_on_applied(struct replica *r, struct replica_apply *job, int rc)
{
    (void)r;
    assert_true(rc > 0 || (rc == -ENOSPC && job->applied == 0));
    b.applied_rc = rc;
    b.applied = job->first + job->applied - 1;
    for (size_t i = 0; i < job->count; i++)
        px_slice_unref(&job->entries[i].data);
}

/* Not asked for here. */
void fault_on_loss_noted(struct fault *f)
{
    (void)f;
}

void fault_on_mended(struct fault *f)
{
    (void)f;
}

void replica_on_fetched(struct replica *r, struct replica_fetch *job, int rc)
{
    (void)r;
    (void)job;
    (void)rc;
}

void replica_on_snapshot(struct replica *r, struct replica_snapshot_job *job,
                         int rc)
{
    (void)r;
    (void)job;
    (void)rc;
}

/* ---- The disk ---- */

/* There is when the loop has heard of what was written before, or when that has
 * taken so long that it never will. Thread: log. */
static bool has_room(const struct store_disk *d)
{
    if (b.full != d)
        return true;
    if (atomic_load(&b.durable_count) == 0 && ++b.tries < TRIES_MAX)
        return false;
    b.durable_by_then = atomic_load(&b.durable_count);
    b.syncs_by_then = atomic_load(&b.syncs);
    b.full = NULL;
    return true;
}

static int log_allocate(struct store_disk *d, int file, uint64_t bytes)
{
    return has_room(d) ? b.allocate(d, file, bytes) : -ENOSPC;
}

static int log_sync(struct store_disk *d, int file)
{
    atomic_fetch_add(&b.syncs, 1);
    return b.sync(d, file);
}

static int term_write(struct store_disk *d, int file, struct iovec *iov,
                      size_t count, uint64_t offset)
{
    return has_room(d) ? b.write(d, file, iov, count, offset) : -ENOSPC;
}

int __real_store_apply_some(struct store_state *s,
                            const struct raft_entry *entries, size_t count,
                            uint64_t work_max, struct store_result *results,
                            struct store_orphans *orphans);
int __wrap_store_apply_some(struct store_state *s,
                            const struct raft_entry *entries, size_t count,
                            uint64_t work_max, struct store_result *results,
                            struct store_orphans *orphans);

/* Thread: apply. */
int __wrap_store_apply_some(struct store_state *s,
                            const struct raft_entry *entries, size_t count,
                            uint64_t work_max, struct store_result *results,
                            struct store_orphans *orphans)
{
    if (b.state_tries_full == 0)
        return __real_store_apply_some(s, entries, count, work_max, results,
                                       orphans);
    if (--b.state_tries_full == b.state_loaded_left && b.state_loaded_left > 0)
        atomic_store(&b.node.storage.is_loaded, true); /* snapshot thread's */
    return -ENOSPC;
}

static void open_disks(void)
{
    struct store_disk **log_disk = &b.node.log_disk;

    (void)snprintf(b.dir, sizeof b.dir, "/tmp/phalanx-disk-XXXXXX");
    assert_non_null(mkdtemp(b.dir));
    assert_int_equal(store_disk_open(b.dir, log_disk), 0);
    assert_int_equal(store_disk_open(b.dir, &b.term_disk), 0);
    b.allocate = (*log_disk)->allocate;
    b.sync = (*log_disk)->sync;
    b.write = b.term_disk->write;
    (*log_disk)->allocate = log_allocate;
    (*log_disk)->sync = log_sync;
    b.term_disk->write = term_write;
}

static void open_log(void)
{
    const struct store_log_options options = {.disk = b.node.log_disk,
                                              .term_disk = b.term_disk,
                                              .dir = b.dir,
                                              .segment_bytes = SEGMENT_BYTES,
                                              .stamp = 1};
    char why[256] = "";

    assert_int_equal(
        store_log_open(&options, &b.node.storage.log, why, sizeof why), 0);
}

static int setup(void **state)
{
    (void)state;
    memset(&b, 0, sizeof b);
    for (size_t i = 0; i < WRITES; i++) {
        b.writes[i] =
            calloc(1, sizeof *b.writes[i] + sizeof(struct raft_entry));
        assert_non_null(b.writes[i]);
    }
    open_disks();
    b.node.storage.options.snapshot_disk = b.node.log_disk;
    b.node.storage.options.state_dir = b.dir;
    open_log();
    log_writer_init(&b.node.log_writer, &b.node.storage);
    assert_int_equal(uv_loop_init(&b.node.loop), 0);
    assert_int_equal(disk_start(&b.node), 0);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    disk_stop(&b.node);
    (void)uv_run(&b.node.loop, UV_RUN_DEFAULT); /* until all is closed */
    assert_int_equal(uv_loop_close(&b.node.loop), 0);
    store_log_close(b.node.storage.log);
    store_disk_close(b.node.log_disk);
    store_disk_close(b.term_disk);
    for (size_t i = 0; i < WRITES; i++)
        free(b.writes[i]);
    (void)snprintf(command, sizeof command, "rm -r '%s'", b.dir);
    assert_int_equal(system(command), 0);
    return 0;
}

/* ---- Writes ---- */

static void vote(size_t i)
{
    struct replica_write *w = b.writes[i];

    w->has_hard = true;
    w->hard = (struct raft_hard_state){.term = 1, .voted_for = 2};
}

static void entry(size_t i, uint32_t bytes)
{
    static const uint8_t data[LARGE_BYTES];
    struct replica_write *w = b.writes[i];

    w->count = 1;
    w->entries[0] = (struct raft_entry){.pos = {1, 1},
                                        .kind = RAFT_ENTRY_COMMAND,
                                        .data = {.data = data, .size = bytes}};
}

/* Both at once, the second of which finds no room. */
static void write_both(const struct store_disk *full)
{
    struct px_list writes;

    px_list_init(&writes);
    for (size_t i = 0; i < WRITES; i++)
        px_list_push_back(&writes, &b.writes[i]->link);
    b.full = full;
    disk_write(&b.node, &writes);
    while (atomic_load(&b.durable_count) < WRITES)
        (void)uv_run(&b.node.loop, UV_RUN_ONCE);
    for (size_t i = 0; i < WRITES; i++)
        assert_ptr_equal(b.durable[i], b.writes[i]);
}

/* The one who asked for it waits. */
static void a_vote_does_not_wait_for_an_entry_that_finds_no_room(void **state)
{
    (void)state;
    vote(0);
    entry(1, LARGE_BYTES);
    write_both(b.node.log_disk);
    assert_int_equal(b.durable_by_then, 1);
}

/* And the leader for this. Nothing but the wait flushes it. */
static void an_entry_does_not_wait_for_a_vote_that_finds_no_room(void **state)
{
    unsigned before = atomic_load(&b.syncs);

    (void)state;
    entry(0, 100);
    vote(1);
    write_both(b.term_disk);
    assert_int_equal(b.durable_by_then, 1);
    assert_int_equal(b.syncs_by_then, before + 1);
    assert_int_equal(atomic_load(&b.syncs), before + 2);
}

/* ---- Applying the log ---- */

/* Two batches and one more. */
#define NOOPS (2 * PX_BATCH_ENTRIES_MAX + 1)

static void open_state(void)
{
    struct store_state_options options = {.boot_id = "boot"};
    enum store_state_origin origin;
    char why[256];

    (void)snprintf(b.state_dir, sizeof b.state_dir, "/tmp/phalanx-disk-XXXXXX");
    options.dir = mkdtemp(b.state_dir);
    assert_non_null(options.dir);
    assert_int_equal(store_state_open(&options, &b.node.storage.state, &origin,
                                      why, sizeof why),
                     0);
}

static void close_state(void)
{
    char command[128];

    store_state_abandon(b.node.storage.state);
    (void)snprintf(command, sizeof command, "rm -r '%s'", b.state_dir);
    assert_int_equal(system(command), 0);
}

static void write_noops(void)
{
    for (raft_index i = 1; i <= NOOPS; i++) {
        const struct raft_entry e = {.kind = RAFT_ENTRY_NOOP, .pos = {1, i}};

        assert_int_equal(store_log_write(b.node.storage.log, NULL, &e, 1), 0);
    }
    assert_int_equal(store_log_sync(b.node.storage.log), 0);
}

/* As a start does: all that the log holds. */
static int apply_all(void *ctx)
{
    static struct replica_apply job;

    (void)ctx;
    while (b.applied < NOOPS) {
        raft_index before = b.applied;

        memset(&job, 0, sizeof job);
        px_list_init(&job.link);
        job.from_log = true;
        job.first = b.applied + 1;
        job.last = NOOPS;
        disk_apply(&b.node, &job);
        while (b.applied == before)
            (void)uv_run(&b.node.loop, UV_RUN_ONCE);
        free(job.orphans.inodes);
    }
    return 0;
}

static void a_start_says_each_second_how_much_is_applied(void **state)
{
    (void)state;
    open_state();
    write_noops();
    b.step = PX_NS_PER_S;
    assert_int_equal(noted_while(apply_all, NULL), 0);
    assert_int_equal(noted_count("info node=- term=0 store: applies the log: "),
                     2);
    assert_int_equal(noted_count("index=512 of 1025\n"), 1);
    assert_int_equal(noted_count("index=1024 of 1025\n"), 1);
    close_state();
}

static void what_is_applied_within_a_second_is_not_noted(void **state)
{
    (void)state;
    open_state();
    write_noops();
    b.step = PX_NS_PER_MS;
    assert_int_equal(noted_while(apply_all, NULL), 0);
    assert_int_equal(noted_count("store:"), 0);
    close_state();
}

/* ---- A state without room ---- */

#define HANGS (20 * PX_NS_PER_S)

static int apply_first(void *ctx)
{
    static struct replica_apply job;
    uint64_t end = uv_hrtime() + HANGS;

    (void)ctx;
    memset(&job, 0, sizeof job);
    px_list_init(&job.link);
    job.from_log = true;
    job.first = 1;
    job.last = 1;
    b.applied_rc = 0;
    disk_apply(&b.node, &job);
    while (b.applied_rc == 0 && uv_hrtime() < end)
        if (uv_run(&b.node.loop, UV_RUN_NOWAIT) != 0)
            uv_sleep(1);
    free(job.orphans.inodes);
    return b.applied_rc;
}

static void what_finds_no_room_in_the_state_waits_for_it(void **state)
{
    (void)state;
    open_state();
    write_noops();
    b.state_tries_full = 2;
    assert_int_equal(noted_while(apply_first, NULL), 1);
    assert_int_equal(b.applied, 1);
    assert_int_equal(
        noted_count("warn node=- term=0 disk: full: waiting=state"), 1);
    assert_int_equal(noted_count("disk: has room again: goes_on=state"), 1);
    assert_int_equal(atomic_load(&b.node.full_waits), 0);
    close_state();
}

/* There never is any, unless the old state goes, and it goes between two
 * applies. The fault: it waited until somebody made room. */
static void what_finds_none_makes_way_for_a_state_that_was_loaded(void **state)
{
    (void)state;
    open_state();
    write_noops();
    b.state_tries_full = UINT_MAX;
    b.state_loaded_left = UINT_MAX - 2;
    assert_int_equal(noted_while(apply_first, NULL), -ENOSPC);
    assert_int_equal(b.applied, 0);
    assert_int_equal(store_state_applied(b.node.storage.state).index, 0);
    assert_int_equal(noted_count("disk: full: waits no more=state"), 1);
    assert_int_equal(atomic_load(&b.node.full_waits), 0);
    b.state_tries_full = 0; /* and to the new one it is applied */
    atomic_store(&b.node.storage.is_loaded, false);
    assert_int_equal(apply_first(NULL), 1);
    close_state();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_vote_does_not_wait_for_an_entry_that_finds_no_room),
        TEST(an_entry_does_not_wait_for_a_vote_that_finds_no_room),
        TEST(a_start_says_each_second_how_much_is_applied),
        TEST(what_is_applied_within_a_second_is_not_noted),
        TEST(what_finds_no_room_in_the_state_waits_for_it),
        TEST(what_finds_none_makes_way_for_a_state_that_was_loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
