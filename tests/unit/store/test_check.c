/* store/check.c finds what does not hold together, and bytes that do not parse
 * stop whoever meets them. The database is damaged with LMDB itself. */
#include "tests/unit/store/state_fixture.h"

#include <lmdb.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/hash.h"

/* The kept hash follows the damage, so that what finds it is another check. */
static void adjust_hash(MDB_txn *txn, MDB_dbi dbi, uint64_t change)
{
    uint8_t tag = STORE_TAG_META;
    MDB_val k = {1, &tag}, v;
    struct meta_record meta;

    assert_int_equal(mdb_get(txn, dbi, &k, &v), 0);
    assert_int_equal(v.mv_size, sizeof meta);
    memcpy(&meta, v.mv_data, sizeof meta);
    meta.hashes += change;
    meta.hash = store_meta_hash(&meta);
    v.mv_data = &meta;
    assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
}

/* Replaces (or with @size 0, removes) one record of a closed state. */
static void damage(struct fixture *fx, const struct store_key *key,
                   const void *data, size_t size)
{
    MDB_val k = {key->size, (void *)(uintptr_t)key->bytes};
    MDB_val v = {size, (void *)(uintptr_t)data};
    MDB_val old;
    uint64_t change = 0;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    fixture_close(fx);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_mapsize(env, UINT64_C(1) << 34), 0);
    assert_int_equal(mdb_env_open(env, fx->dir, MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    if (mdb_get(txn, dbi, &k, &old) == 0)
        change -= store_record_hash(&k, &old);
    if (size > 0)
        change += store_record_hash(&k, &v);
    if (size == 0)
        assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
    else
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    adjust_hash(txn, dbi, change);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
}

/* Does store_view_check end a process that looks at this state? */
static bool is_caught(struct fixture *fx)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit no_core = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)freopen("/dev/null", "w", stderr); /* the assertion's line */
        (void)signal(SIGABRT, SIG_DFL);          /* not cmocka's */
        if (store_view_begin(fx->v) < 0)
            _exit(2);
        (void)store_view_check(fx->v);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

struct tree {
    struct fixture fx;
    uint64_t dir, file, link_target, orphan;
    struct inode_record file_rec, dir_rec;
};

static void read_value(struct fixture *fx, const struct store_key *key,
                       void *value, size_t size)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {key->size, (void *)(uintptr_t)key->bytes}, v;

    fixture_close(fx);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, fx->dir, MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_get(txn, dbi, &k, &v), 0);
    assert_int_equal(v.mv_size, size);
    memcpy(value, v.mv_data, size);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
}

static void read_record(struct tree *t, uint64_t inode,
                        struct inode_record *rec)
{
    struct store_key key;

    store_key_number(&key, STORE_TAG_INODE, inode);
    read_value(&t->fx, &key, rec, sizeof *rec);
}

/* /dir/file of two extents, /hard the same, an orphan, some garbage. */
static void plant(struct tree *t)
{
    struct fixture *fx = &t->fx;

    fixture_open(fx);
    fx->session = open_session(fx, "node-0", 1);
    t->dir = do_mkdir(fx, ROOT, "dir");
    t->file = do_create(fx, t->dir, "file");
    do_write(fx, t->file, 0, "data", 4);
    do_write(fx, t->file, EXTENT, "far", 3);
    do_truncate(fx, t->file, 4); /* extent 1 is garbage now */
    do_write(fx, t->file, EXTENT, "again", 5);
    assert_int_equal(run(fx, make_link(t->file, ROOT, "hard")).rc, 0);
    t->orphan = do_create(fx, ROOT, "o");
    assert_int_equal(run(fx, make_unlink(ROOT, "o")).rc, 0);
    check(fx);
    assert_false(is_caught(fx));
    read_record(t, t->file, &t->file_rec);
    read_record(t, t->dir, &t->dir_rec);
}

static void uproot(struct tree *t)
{
    fixture_close(&t->fx);
    fixture_remove(&t->fx);
}

typedef void (*damager)(struct tree *t);

static void remove_key(struct tree *t, const struct store_key *key)
{
    damage(&t->fx, key, NULL, 0);
}

static void put_chunk(struct tree *t, const struct store_key *key,
                      const char *data, size_t size)
{
    uint64_t hash = store_chunk_hash(key->bytes, key->size, data, size);
    char value[64];

    memcpy(value, &hash, sizeof hash);
    memcpy(value + sizeof hash, data, size);
    damage(&t->fx, key, value, sizeof hash + size);
}

static void lose_inode(struct tree *t)
{
    struct store_key k;

    store_key_number(&k, STORE_TAG_INODE, t->file);
    remove_key(t, &k);
}

static void lose_name(struct tree *t)
{
    struct store_key k;

    store_key_name(&k, ROOT, name_of_text("hard"));
    remove_key(t, &k);
}

static void lose_entry(struct tree *t)
{
    struct store_key k;

    store_key_entry(&k, t->dir, STORE_COOKIE_MIN);
    remove_key(t, &k);
}

static void lose_chunk(struct tree *t)
{
    struct store_key k;

    store_key_chunk(&k, t->file, 0);
    remove_key(t, &k);
}

static void stray_chunk(struct tree *t)
{
    struct store_key k;

    store_key_chunk(&k, UINT64_C(1) << 50, 0);
    put_chunk(t, &k, "stray", 5);
}

/* Its hash is another key's. */
static void misplace_chunk(struct tree *t)
{
    uint64_t hash;
    struct store_key k;
    char value[12];

    store_key_chunk(&k, t->file, 1);
    hash = store_chunk_hash(k.bytes, k.size, "data", 4);
    memcpy(value, &hash, sizeof hash);
    memcpy(value + sizeof hash, "data", 4);
    store_key_chunk(&k, t->file, 0);
    damage(&t->fx, &k, value, sizeof value);
}

static void lose_extent(struct tree *t)
{
    struct store_key k;

    store_key_extent(&k, t->file, 1);
    remove_key(t, &k);
}

static void lose_orphan(struct tree *t)
{
    struct store_key k;

    store_key_number(&k, STORE_TAG_ORPHAN, t->orphan);
    remove_key(t, &k);
}

static void lose_garbage(struct tree *t)
{
    struct store_key k;

    store_key_number(&k, STORE_TAG_GARBAGE, STORE_INODE_MIN);
    remove_key(t, &k);
}

static void lose_session(struct tree *t)
{
    struct store_key k;

    store_key_number(&k, STORE_TAG_SESSION, t->fx.session);
    remove_key(t, &k);
}

static void put_inode(struct tree *t, uint64_t inode,
                      const struct inode_record *rec)
{
    struct store_key k;

    store_key_number(&k, STORE_TAG_INODE, inode);
    damage(&t->fx, &k, rec, sizeof *rec);
}

/* Nothing but the hash of the whole can tell. */
static void change_time(struct tree *t)
{
    struct meta_record meta;
    struct store_key k;

    t->file_rec.mtime++;
    put_inode(t, t->file, &t->file_rec);
    store_key_start(&k, STORE_TAG_META);
    read_value(&t->fx, &k, &meta, sizeof meta);
    meta.hashes++;
    meta.hash = store_meta_hash(&meta);
    damage(&t->fx, &k, &meta, sizeof meta);
}

static void miscount_links(struct tree *t)
{
    t->file_rec.links++;
    put_inode(t, t->file, &t->file_rec);
}

static void miscount_bytes(struct tree *t)
{
    t->file_rec.file.bytes++;
    put_inode(t, t->file, &t->file_rec);
}

static void shrink_size_alone(struct tree *t)
{
    t->file_rec.size = EXTENT + 1;
    put_inode(t, t->file, &t->file_rec);
}

static void miscount_names(struct tree *t)
{
    t->dir_rec.size++;
    put_inode(t, t->dir, &t->dir_rec);
}

static void forget_parent(struct tree *t)
{
    t->dir_rec.dir.parent = t->dir;
    put_inode(t, t->dir, &t->dir_rec);
}

static void change_type(struct tree *t)
{
    t->file_rec.mode = S_IFLNK | 0777;
    put_inode(t, t->file, &t->file_rec);
}

static void every_kind_of_damage_is_caught(void **state)
{
    static const damager damagers[] = {
        lose_inode,     lose_name,      lose_entry,     lose_chunk,
        stray_chunk,    lose_extent,    lose_orphan,    lose_garbage,
        lose_session,   miscount_links, miscount_bytes, shrink_size_alone,
        miscount_names, forget_parent,  change_type,    misplace_chunk,
        change_time,
    };

    (void)state;
    for (size_t i = 0; i < sizeof damagers / sizeof damagers[0]; i++) {
        struct tree t;

        plant(&t);
        damagers[i](&t);
        if (!is_caught(&t.fx))
            fail_msg("damage %zu was not caught", i);
        uproot(&t);
    }
}

/* ---- Bytes that do not parse ---- */

static int apply_rc(struct fixture *fx, struct command c)
{
    struct raft_entry e = {.pos = {.term = 1, .index = fx->last + 1},
                           .kind = RAFT_ENTRY_COMMAND};
    struct store_result r;
    int rc;

    c.session = fx->session;
    c.sequence = ++fx->sequence;
    c.floor = c.sequence;
    assert_int_equal(command_encode(&c, &e.data), 0);
    rc = store_apply(fx->s, &e, 1, &r, &fx->orphans);
    px_slice_unref(&e.data);
    return rc;
}

static void records_that_do_not_parse_are_errors_not_answers(void **state)
{
    struct store_key k;
    struct store_inode i;
    struct tree t;
    char data[8];

    (void)state;
    plant(&t);
    store_key_number(&k, STORE_TAG_INODE, t.file);
    damage(&t.fx, &k, "short", 5);
    assert_int_equal(apply_rc(&t.fx, make_write(t.file, 0, "x", 1, 0)),
                     -PX_ECORRUPT);
    assert_int_equal(store_view_begin(t.fx.v), 0);
    assert_int_equal(store_view_inode(t.fx.v, t.file, &i), -PX_ECORRUPT);
    assert_int_equal(store_view_read(t.fx.v, t.file, 0, data, 8), -PX_ECORRUPT);
    assert_int_equal(store_view_lookup(t.fx.v, t.dir, name_of_text("file"), &i),
                     -PX_ECORRUPT);
    assert_int_equal(store_view_inode(t.fx.v, t.dir, &i), 0); /* others do */
    store_view_end(t.fx.v);
    uproot(&t);

    plant(&t);
    store_key_name(&k, t.dir, name_of_text("file"));
    damage(&t.fx, &k, "short", 5);
    assert_int_equal(apply_rc(&t.fx, make_unlink(t.dir, "file")), -PX_ECORRUPT);
    uproot(&t);

    plant(&t);
    store_key_number(&k, STORE_TAG_ORPHAN, t.orphan);
    damage(&t.fx, &k, "short", 5);
    assert_int_equal(apply_rc(&t.fx, make_release(&t.orphan, 1)), -PX_ECORRUPT);
    uproot(&t);

    plant(&t);
    store_key_entry(&k, t.dir, STORE_COOKIE_MIN);
    damage(&t.fx, &k, "short", 5);
    assert_int_equal(apply_rc(&t.fx, make_unlink(t.dir, "file")), 0);
    uproot(&t);
}

static void names_without_their_inode_are_errors(void **state)
{
    struct tree t;

    (void)state;
    plant(&t);
    lose_inode(&t);
    assert_int_equal(apply_rc(&t.fx, make_unlink(t.dir, "file")), -PX_ECORRUPT);
    assert_int_equal(apply_rc(&t.fx, make_rename(ROOT, "hard", ROOT, "x", 0)),
                     -PX_ECORRUPT);
    assert_int_equal(apply_rc(&t.fx, make_create(&t.fx, ROOT, "hard")),
                     -PX_ECORRUPT);
    assert_int_equal(lookup(&t.fx, t.dir, "none"), 0);
    uproot(&t);
}

static void a_name_of_a_file_that_leads_to_a_directory_is_an_error(void **state)
{
    struct name_record name;
    struct store_key k;
    struct command c;
    struct tree t;

    (void)state;
    plant(&t);
    store_key_name(&k, ROOT, name_of_text("hard"));
    read_value(&t.fx, &k, &name, sizeof name);
    name.inode = t.dir; /* its type still says: a regular file */
    damage(&t.fx, &k, &name, sizeof name);
    assert_int_equal(apply_rc(&t.fx, make_create(&t.fx, ROOT, "hard")),
                     -PX_ECORRUPT);
    c = make_write(fresh(&t.fx), 0, "x", 1, COMMAND_CREATES);
    c.parent = ROOT;
    c.name = name_of_text("hard");
    assert_int_equal(apply_rc(&t.fx, c), -PX_ECORRUPT);
    uproot(&t);
}

static void a_rename_of_or_over_an_inode_without_links_is_an_error(void **state)
{
    struct tree t;

    (void)state;
    plant(&t);
    (void)do_create(&t.fx, ROOT, "other");
    t.file_rec.links = 0;
    put_inode(&t, t.file, &t.file_rec);
    assert_int_equal(
        apply_rc(&t.fx, make_rename(ROOT, "other", ROOT, "hard", 0)),
        -PX_ECORRUPT);
    assert_int_equal(apply_rc(&t.fx, make_rename(ROOT, "hard", ROOT, "x", 0)),
                     -PX_ECORRUPT);
    uproot(&t);
}

static void data_numbers_that_ran_out_are_an_error(void **state)
{
    struct meta_record meta;
    struct store_key k;
    struct tree t;

    (void)state;
    plant(&t);
    store_key_start(&k, STORE_TAG_META);
    read_value(&t.fx, &k, &meta, sizeof meta);
    meta.next_data = STORE_DATA_END;
    meta.hash = store_meta_hash(&meta);
    damage(&t.fx, &k, &meta, sizeof meta);
    assert_int_equal(apply_rc(&t.fx, make_write(t.file, 0, "x", 1, 0)), 0);
    t.fx.last++;
    assert_int_equal(apply_rc(&t.fx, make_write(t.file, 2 * EXTENT, "x", 1, 0)),
                     -PX_ECORRUPT);
    uproot(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_damage_is_caught),
        cmocka_unit_test(records_that_do_not_parse_are_errors_not_answers),
        cmocka_unit_test(names_without_their_inode_are_errors),
        cmocka_unit_test(
            a_name_of_a_file_that_leads_to_a_directory_is_an_error),
        cmocka_unit_test(
            a_rename_of_or_over_an_inode_without_links_is_an_error),
        cmocka_unit_test(data_numbers_that_ran_out_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
