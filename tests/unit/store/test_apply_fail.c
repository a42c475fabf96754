/* store/apply.c: a batch whose transaction fails leaves nothing behind; and
 * store/state.c: what the next open believes after a failure. LMDB's calls are
 * wrapped by the linker; the Nth one fails. */
#include "tests/unit/store/state_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "raft/config.h"
#include "store/state_core.h"

static uint64_t calls;
static uint64_t commits;
static uint64_t fail_at; /* 0: never */
static int fail_rc;

static bool fails_now(void)
{
    return ++calls == fail_at;
}

#define WRAP(name, parameters, arguments) \
    int __real_##name parameters;         \
    int __wrap_##name parameters;         \
    int __wrap_##name parameters          \
    {                                     \
        if (fails_now())                  \
            return fail_rc;               \
        return __real_##name arguments;   \
    }

WRAP(mdb_get, (MDB_txn * t, MDB_dbi d, MDB_val *k, MDB_val *v), (t, d, k, v))
WRAP(mdb_cursor_put, (MDB_cursor * c, MDB_val *k, MDB_val *v, unsigned f),
     (c, k, v, f))
WRAP(mdb_cursor_open, (MDB_txn * t, MDB_dbi d, MDB_cursor **c), (t, d, c))
WRAP(mdb_cursor_get, (MDB_cursor * c, MDB_val *k, MDB_val *v, MDB_cursor_op o),
     (c, k, v, o))
WRAP(mdb_cursor_del, (MDB_cursor * c, unsigned f), (c, f))
WRAP(mdb_txn_begin, (MDB_env * e, MDB_txn *p, unsigned f, MDB_txn **t),
     (e, p, f, t))

int __real_mdb_txn_commit(MDB_txn *t);
int __wrap_mdb_txn_commit(MDB_txn *t);
int __wrap_mdb_txn_commit(MDB_txn *t)
{
    if (fails_now()) {
        mdb_txn_abort(t); /* as LMDB does when it can't commit */
        return fail_rc;
    }
    commits++;
    return __real_mdb_txn_commit(t);
}

static bool dies_in_sync;

int __real_mdb_env_sync(MDB_env *e, int force);
int __wrap_mdb_env_sync(MDB_env *e, int force);
int __wrap_mdb_env_sync(MDB_env *e, int force)
{
    if (dies_in_sync)
        _exit(0);
    return fails_now() ? fail_rc : __real_mdb_env_sync(e, force);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    return fails_now() ? NULL : __real_realloc(p, size);
}

#define COMMANDS 12
#define BATCH (COMMANDS + 2)

/* Stamps and encodes @c as the entry behind the last. */
static struct raft_entry next_entry(struct fixture *fx, struct command c)
{
    struct raft_entry e = {.pos = {.term = 1, .index = ++fx->last},
                           .kind = RAFT_ENTRY_COMMAND};

    c.sequence = ++fx->sequence;
    c.floor = c.sequence;
    c.time = ++fx->time;
    if (c.op != COMMAND_SESSION_OPEN)
        c.session = fx->session;
    assert_int_equal(command_encode(&c, &e.data), 0);
    return e;
}

/* Node-1 becomes a learner, or is removed: an entry behind the last. */
static struct raft_entry next_members(struct fixture *fx, bool is_removed)
{
    const struct raft_config config = {
        .count = is_removed ? 1 : 2,
        .members = {{60, RAFT_VOTER}, {70, RAFT_LEARNER}}};
    struct store_change change = {.count = 1, .list = {{.id = 70}}};
    struct raft_entry e = {.pos = {.term = 1, .index = ++fx->last},
                           .kind = RAFT_ENTRY_CONFIG};
    struct px_slice added;
    struct px_buf *buf;

    (void)strcpy(change.list[0].name, "node-1");
    assert_int_equal(store_change_encode(&change, &added), 0);
    buf = px_buf_new(RAFT_CONFIG_BYTES_MAX + added.size);
    assert_non_null(buf);
    e.data = px_slice_of(buf, 0, raft_config_encode(&config, buf->data));
    memcpy(buf->data + e.data.size, added.data, added.size);
    e.data.size += added.size;
    px_slice_unref(&added);
    return e;
}

/* Every operation once, on what `prepare` made. */
static void make_batch(struct fixture *fx, struct raft_entry *entries,
                       uint64_t f, uint64_t orphan)
{
    static uint8_t bytes[3 * STORE_CHUNK_BYTES];
    struct command list[COMMANDS] = {
        make_create(fx, ROOT, "new"),
        make_mkdir(fx, ROOT, "dir"),
        make_symlink(fx, ROOT, "link", "target"),
        make_link(f, ROOT, "hard"),
        make_write(f, CHUNK / 2, bytes, sizeof bytes, 0),
        make_truncate(f, CHUNK + 1),
        make_rename(ROOT, "hard", ROOT, "moved", 0),
        make_unlink(ROOT, "new"),
        make_rmdir(ROOT, "dir"),
        make_release(&orphan, 1),
        {.op = COMMAND_SESSION_OPEN,
         .name = name_of_text("node-1"),
         .incarnation = 2},
        make_reap(&orphan, 1, COMMAND_FORCE),
    };

    for (size_t i = 0; i < COMMANDS; i++)
        entries[i] = next_entry(fx, list[i]);
    entries[COMMANDS] = next_members(fx, false);
    entries[COMMANDS + 1] = next_members(fx, true);
    fx->last -= BATCH; /* not applied yet */
}

static void apply_all(struct fixture *fx, struct raft_entry *entries,
                      size_t count, struct store_result *results)
{
    assert_int_equal(store_apply(fx->s, entries, count, results, &fx->orphans),
                     0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(results[i].rc, 0);
        px_slice_unref(&entries[i].data);
    }
}

static void every_failure_leaves_the_state_before_the_batch(void **state)
{
    struct fixture *fx = *state;
    struct raft_entry entries[BATCH];
    struct store_result results[BATCH];
    uint64_t f, orphan, hash;
    size_t orphans;
    uint64_t failures = 0;
    int rc;

    (void)open_session(fx, "node-1", 1);
    f = do_create(fx, ROOT, "f");
    orphan = do_create(fx, ROOT, "o");
    do_write(fx, orphan, 0, "data", 4);
    assert_int_equal(run(fx, make_unlink(ROOT, "o")).rc, 0);
    make_batch(fx, entries, f, orphan);
    hash = hash_of(fx);
    free(fx->orphans.inodes); /* so that it has to grow */
    fx->orphans = (struct store_orphans){0};
    orphans = fx->orphans.count;

    fail_rc = EIO;
    do {
        calls = 0;
        fail_at = ++failures;
        rc = store_apply(fx->s, entries, BATCH, results, &fx->orphans);
        fail_at = 0;
        if (rc == 0)
            break;
        assert_true(rc == -EIO || rc == -ENOMEM);
        assert_int_equal(fx->orphans.count, orphans);
        assert_int_equal(store_state_applied(fx->s).index, fx->last);
        assert_int_equal(hash_of(fx), hash);
        check(fx);
    } while (true);
    /* Nothing failed: fewer calls were made than there were attempts. */
    assert_true(failures > 100);
    for (size_t i = 0; i < BATCH; i++) {
        assert_int_equal(results[i].rc, 0);
        px_slice_unref(&entries[i].data);
    }
    fx->last += BATCH;
    assert_int_equal(store_state_applied(fx->s).index, fx->last);
    assert_int_equal(store_state_applied(fx->s).term, 1);
    assert_int_equal(stat_rc(fx, orphan), -ENOENT);
    check(fx);
    store_view_free(fx->v);
    assert_int_equal(store_state_close(fx->s), -EIO);
    fx->s = NULL;
}

/* Closes a state to which an apply has failed with @lmdb_rc, and opens it anew
 * in the same boot. */
static void reopen_failed(struct fixture *fx, int lmdb_rc,
                          enum store_state_origin origin)
{
    struct raft_entry e = next_entry(fx, make_create(fx, ROOT, "f"));
    struct store_result r;

    fail_rc = lmdb_rc;
    calls = 0;
    fail_at = 5;
    assert_int_equal(store_apply(fx->s, &e, 1, &r, &fx->orphans), -lmdb_rc);
    fail_at = 0;
    px_slice_unref(&e.data);
    store_view_free(fx->v);
    assert_int_equal(store_state_close(fx->s), -lmdb_rc);
    fixture_reopen(fx, "boot-1", false, origin);
}

/* The failure may be why it is not what it should be. */
static void after_a_failed_apply_the_state_is_not_believed(void **state)
{
    reopen_failed(*state, EIO, STORE_STATE_DISTRUSTED);
}

static void no_memory_says_nothing_against_what_is_stored(void **state)
{
    reopen_failed(*state, ENOMEM, STORE_STATE_KEPT);
}

/* The page cache shows what the disk does not hold, and the next sync would say
 * that all is well. */
static void after_a_failed_sync_the_state_is_not_believed(void **state)
{
    struct fixture *fx = *state;

    (void)do_create(fx, ROOT, "f");
    store_view_free(fx->v);
    fail_rc = EIO;
    calls = 0;
    fail_at = 1;
    assert_int_equal(store_state_close(fx->s), -EIO);
    fail_at = 0;
    fixture_reopen(fx, "boot-1", false, STORE_STATE_DISTRUSTED);
    assert_int_equal(lookup(fx, ROOT, "f"), 0);
}

/* Nobody was left to see whether it failed. */
static void who_dies_in_the_sync_is_not_believed(void **state)
{
    struct fixture *fx = *state;
    int status;
    pid_t child;

    fixture_close(fx);
    child = fork();
    if (child == 0) {
        fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
        store_view_free(fx->v);
        dies_in_sync = true;
        (void)store_state_close(fx->s);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_DISTRUSTED);
}

static void a_full_map_is_met_at_any_call_and_costs_nothing(void **state)
{
    struct fixture *fx = *state;
    struct raft_entry entries[BATCH];
    struct store_result results[BATCH];
    uint64_t f = do_create(fx, ROOT, "f"), orphan = do_create(fx, ROOT, "o");

    (void)open_session(fx, "node-1", 1);
    assert_int_equal(run(fx, make_unlink(ROOT, "o")).rc, 0);
    make_batch(fx, entries, f, orphan);
    fail_rc = MDB_MAP_FULL;
    calls = 0;
    fail_at = 40;
    apply_all(fx, entries, BATCH, results);
    fail_at = 0;
    assert_true(calls > 40);
    fx->last += BATCH;
    assert_int_equal(fx->orphans.count, 3); /* o, new, dir: each once */
}

/* ---- A full disk ---- */

static uint64_t room_left;

static int fake_room(struct store_disk *d, uint64_t *bytes_out)
{
    (void)d;
    *bytes_out = room_left;
    return 0;
}

static int apply_failing(struct fixture *fx, struct raft_entry *e, uint64_t at)
{
    struct store_result r;
    int rc;

    calls = 0;
    fail_at = at;
    rc = store_apply(fx->s, e, 1, &r, &fx->orphans);
    fail_at = 0;
    if (rc == 0)
        assert_int_equal(r.rc, 0);
    return rc;
}

/* LMDB says EIO where the last write before the disk is full is cut short. */
static void a_full_disk_is_told_from_a_broken_one(void **state)
{
    static const struct {
        int lmdb;
        uint64_t room;
        int said;
    } cases[] = {{ENOSPC, 0, -ENOSPC},
                 {ENOSPC, UINT64_MAX, -ENOSPC}, /* it was just now */
                 {EDQUOT, UINT64_MAX, -ENOSPC},
                 {EIO, 0, -ENOSPC},
                 {EIO, 1u << 20, -ENOSPC},
                 {EIO, 1u << 30, -EIO}};
    struct fixture *fx = *state;
    struct raft_entry e = next_entry(fx, make_create(fx, ROOT, "f"));
    uint64_t hash = hash_of(fx);

    fx->last--; /* not applied yet */
    fx->s->disk->room = fake_room;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fail_rc = cases[i].lmdb;
        room_left = cases[i].room;
        for (uint64_t at = 2; apply_failing(fx, &e, at) != 0; at++) {
            assert_int_equal(apply_failing(fx, &e, at), cases[i].said);
            assert_int_equal(hash_of(fx), hash);
        }
        /* It was applied, at last: another one for the next case. */
        px_slice_unref(&e.data);
        fx->last++;
        hash = hash_of(fx);
        e = next_entry(fx, make_write(lookup(fx, ROOT, "f"), i, "x", 1, 0));
        fx->last--;
    }
    px_slice_unref(&e.data);
    check(fx);
    store_view_free(fx->v);
    assert_int_equal(store_state_close(fx->s), -EIO); /* of the last case */
    fixture_reopen(fx, "boot-1", false, STORE_STATE_DISTRUSTED);
}

static void a_full_disk_that_was_waited_out_leaves_no_doubt(void **state)
{
    struct fixture *fx = *state;
    struct raft_entry e = next_entry(fx, make_create(fx, ROOT, "f"));

    fail_rc = ENOSPC;
    assert_int_equal(apply_failing(fx, &e, 5), -ENOSPC);
    assert_int_equal(apply_failing(fx, &e, 0), 0);
    px_slice_unref(&e.data);
    fixture_close(fx);
    fixture_reopen(fx, "boot-2", false, STORE_STATE_KEPT);
    assert_int_not_equal(lookup(fx, ROOT, "f"), 0);
}

/* 17 extents of chunks that hold a byte each. Reaping them all is more than
 * one transaction should carry; each part is whole, and so is the sum. */
static void a_batch_that_deletes_very_much_is_several_transactions(void **state)
{
    enum { EXTENTS = 17, TOGETHER = 64 };
    struct fixture *fx = *state;
    struct raft_entry entries[TOGETHER];
    struct store_result results[TOGETHER];
    uint64_t f = do_create(fx, ROOT, "f"), garbage[EXTENTS];
    uint64_t chunks = (uint64_t)EXTENTS * STORE_EXTENT_CHUNKS;
    size_t count;

    for (uint64_t n = 0; n < chunks; n += TOGETHER) {
        for (size_t i = 0; i < TOGETHER; i++)
            entries[i] =
                next_entry(fx, make_write(f, (n + i) * CHUNK, "x", 1, 0));
        apply_all(fx, entries, TOGETHER, results);
    }
    do_truncate(fx, f, 0);
    count = reapable(fx, garbage, EXTENTS);
    assert_int_equal(count, EXTENTS - 1); /* extent 0 went at once */
    entries[0] = next_entry(fx, make_create(fx, ROOT, "before"));
    for (size_t i = 0; i < count; i++)
        entries[1 + i] = next_entry(fx, make_reap(&garbage[i], 1, 0));
    entries[1 + count] = next_entry(fx, make_create(fx, ROOT, "after"));
    commits = 0;
    apply_all(fx, entries, count + 2, results);
    assert_int_equal(commits, 2);
    assert_int_equal(usage_of(fx).data_bytes, 0);
    assert_int_equal(usage_of(fx).orphans, 0);
    assert_int_equal(lookup(fx, ROOT, "after"), results[1 + count].inode);
}

/* Each rename walks up from where its directory goes: work, like chunks. */
static void a_batch_of_deep_renames_is_several_transactions(void **state)
{
    enum { DEPTH = 4000, RENAMES = 18 };
    struct fixture *fx = *state;
    struct raft_entry entries[RENAMES];
    struct store_result results[RENAMES];
    uint64_t deep = ROOT, sides[2];

    for (int i = 0; i < DEPTH; i++)
        deep = do_mkdir(fx, deep, "d");
    sides[0] = do_mkdir(fx, deep, "x");
    sides[1] = do_mkdir(fx, deep, "y");
    (void)do_mkdir(fx, sides[0], "m");
    for (int i = 0; i < RENAMES; i++)
        entries[i] = next_entry(
            fx, make_rename(sides[i % 2], "m", sides[1 - i % 2], "m", 0));
    commits = 0;
    apply_all(fx, entries, RENAMES, results);
    assert_int_equal(commits, 2); /* 18 * 4001 steps are more than 65536 */
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(every_failure_leaves_the_state_before_the_batch),
        T(after_a_failed_apply_the_state_is_not_believed),
        T(no_memory_says_nothing_against_what_is_stored),
        T(after_a_failed_sync_the_state_is_not_believed),
        T(who_dies_in_the_sync_is_not_believed),
        T(a_full_map_is_met_at_any_call_and_costs_nothing),
        T(a_full_disk_is_told_from_a_broken_one),
        T(a_full_disk_that_was_waited_out_leaves_no_doubt),
        T(a_batch_that_deletes_very_much_is_several_transactions),
        T(a_batch_of_deep_renames_is_several_transactions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
