/* store/view.c: what one consistent look shows. */
#include "tests/unit/store/state_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include <lmdb.h>

#include "store/state_core.h"

#define LIST_MAX 4096

struct listing {
    size_t count;
    size_t stop_after; /* 0: never */
    struct {
        char name[16];
        uint64_t inode;
        uint64_t cookie;
        uint32_t mode;
    } list[LIST_MAX];
};

static bool collect(void *ctx, const struct store_name *name)
{
    struct listing *l = ctx;

    assert_true(l->count < LIST_MAX);
    assert_true(name->name.size < sizeof l->list[0].name);
    memcpy(l->list[l->count].name, name->name.data, name->name.size);
    l->list[l->count].name[name->name.size] = '\0';
    l->list[l->count].inode = name->inode;
    l->list[l->count].cookie = name->cookie;
    l->list[l->count].mode = name->mode;
    l->count++;
    return l->stop_after == 0 || l->count < l->stop_after;
}

static struct listing *list(struct fixture *fx, uint64_t dir, uint64_t cookie,
                            size_t stop_after)
{
    static struct listing l;

    l = (struct listing){.stop_after = stop_after};
    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_list(fx->v, dir, cookie, collect, &l), 0);
    store_view_end(fx->v);
    return &l;
}

static void a_listing_shows_every_name_once_in_cookie_order(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d");
    uint64_t f = do_create(fx, d, "zz"), e = do_mkdir(fx, d, "aa");
    struct listing *l;

    assert_int_equal(run(fx, make_symlink(fx, d, "mm", "t")).rc, 0);
    l = list(fx, d, 0, 0);
    assert_int_equal(l->count, 3);
    assert_string_equal(l->list[0].name, "zz");
    assert_int_equal(l->list[0].inode, f);
    assert_int_equal(l->list[0].mode & S_IFMT, S_IFREG);
    assert_string_equal(l->list[1].name, "aa");
    assert_int_equal(l->list[1].inode, e);
    assert_int_equal(l->list[1].mode & S_IFMT, S_IFDIR);
    assert_int_equal(l->list[2].mode & S_IFMT, S_IFLNK);
    assert_true(l->list[0].cookie > 2);
    assert_true(l->list[0].cookie < l->list[1].cookie);
    assert_true(l->list[1].cookie < l->list[2].cookie);
    assert_int_equal(list(fx, ROOT, 0, 0)->count, 1);
    assert_int_equal(list(fx, e, 0, 0)->count, 0);
}

static void listing_what_is_no_directory_is_refused(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct listing l = {0};

    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_list(fx->v, f, 0, collect, &l), -ENOTDIR);
    assert_int_equal(store_view_list(fx->v, 999, 0, collect, &l), -ENOENT);
    assert_int_equal(store_view_list(fx->v, ROOT, UINT64_MAX, collect, &l), 0);
    store_view_end(fx->v);
    assert_int_equal(l.count, 0);
}

/* `rm -r` while another process lists: what stays is seen once. */
static void cookies_stay_while_other_names_come_and_go(void **state)
{
    enum { NAMES = 1000 };
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d"), cookie = 0;
    unsigned seen[NAMES] = {0};
    unsigned removed[NAMES] = {0};
    unsigned round = 0;
    char name[16];

    for (unsigned i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        (void)do_create(fx, d, name);
    }
    for (;;) {
        struct listing *l = list(fx, d, cookie, 7);

        if (l->count == 0)
            break;
        for (size_t i = 0; i < l->count; i++) {
            if (l->list[i].name[0] == 'n')
                seen[strtoul(l->list[i].name + 1, NULL, 10)]++;
            cookie = l->list[i].cookie;
        }
        /* Behind and ahead of the listing, some go and others come. */
        for (unsigned i = round % 7; i < NAMES; i += 97) {
            (void)snprintf(name, sizeof name, "n%u", i);
            if (run(fx, make_unlink(d, name)).rc == 0)
                removed[i] = 1;
        }
        if (round < 20) {
            (void)snprintf(name, sizeof name, "x%u", round);
            (void)do_create(fx, d, name);
        }
        round++;
    }
    for (unsigned i = 0; i < NAMES; i++) {
        assert_true(seen[i] <= 1);
        if (!removed[i])
            assert_int_equal(seen[i], 1);
    }
}

static void a_renamed_name_gets_a_cookie_behind_the_others(void **state)
{
    struct fixture *fx = *state;
    uint64_t first;

    (void)do_create(fx, ROOT, "a");
    (void)do_create(fx, ROOT, "b");
    first = list(fx, ROOT, 0, 0)->list[0].cookie;
    assert_int_equal(run(fx, make_rename(ROOT, "a", ROOT, "c", 0)).rc, 0);
    assert_string_equal(list(fx, ROOT, 0, 0)->list[0].name, "b");
    assert_string_equal(list(fx, ROOT, 0, 0)->list[1].name, "c");
    assert_true(list(fx, ROOT, 0, 0)->list[1].cookie > first + 1);
}

static void names_are_bytes_of_up_to_their_maximum(void **state)
{
    struct fixture *fx = *state;
    char name[PX_NAME_BYTES_MAX + 2];
    struct store_inode i;
    uint64_t f;

    memset(name, 0xff, sizeof name);
    name[PX_NAME_BYTES_MAX] = '\0';
    f = do_create(fx, ROOT, name);
    assert_int_equal(lookup(fx, ROOT, name), f);
    name[PX_NAME_BYTES_MAX] = 'x';
    name[PX_NAME_BYTES_MAX + 1] = '\0';
    assert_int_equal(lookup(fx, ROOT, name), 0);
    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(
        store_view_lookup(fx->v, ROOT, (struct command_name){"", 0}, &i),
        -ENOENT);
    store_view_end(fx->v);
}

static void a_view_shows_one_index_whatever_is_applied_meanwhile(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct store_view *v;
    struct store_inode i;
    raft_index then;
    char found[8];

    do_write(fx, f, 0, "old", 3);
    then = fx->last;
    assert_int_equal(store_view_new(fx->s, &v), 0);
    /* Applying with a view begun on the same thread is fine here: the fixture's
     * map never has to grow. */
    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_index(v), then);
    do_write(fx, f, 0, "new!", 4);
    assert_int_equal(run(fx, make_rename(ROOT, "f", ROOT, "g", 0)).rc, 0);
    assert_int_equal(store_view_index(v), then);
    assert_int_equal(store_view_read(v, f, 0, found, 8), 3);
    assert_memory_equal(found, "old", 3);
    assert_int_equal(store_view_lookup(v, ROOT, name_of_text("f"), &i), 0);
    assert_int_equal(store_view_lookup(v, ROOT, name_of_text("g"), &i),
                     -ENOENT);
    store_view_end(v);
    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_index(v), fx->last);
    assert_int_equal(store_view_read(v, f, 0, found, 8), 4);
    store_view_free(v); /* ends it */
}

static void usage_counts_what_there_is(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct store_usage u;

    do_write(fx, f, 0, "12345", 5);
    do_write(fx, f, CHUNK, "1", 1);
    u = usage_of(fx);
    assert_int_equal(u.inodes, 2);
    assert_int_equal(u.data_bytes, 6);
    assert_int_equal(u.orphans, 0);
    assert_true(u.file_bytes > 0);
    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(usage_of(fx).orphans, 1);
}

/* ---- Views on other threads ---- */

struct reader {
    struct store_state *s;
    uint64_t inode;
    atomic_bool is_over;
    atomic_uint looks;
    _Atomic(const char *) wrong; /* what a reader saw that can't be */
};

/* The file always holds its own applied index, in every byte of 3 chunks. What
 * is published as applied can be seen; what can be seen may not be published
 * yet. */
static const char *look(struct reader *r, struct store_view *v)
{
    static _Thread_local uint8_t found[3 * STORE_CHUNK_BYTES];
    const char *wrong = NULL;
    raft_index published = store_state_applied(r->s).index;
    raft_index index;

    if (store_view_begin(v) < 0)
        return "a view that can't begin";
    index = store_view_index(v);
    if (index < published)
        wrong = "a view older than what was published before it";
    if (store_view_read(v, r->inode, 0, found, sizeof found) != sizeof found)
        wrong = "a short file";
    for (size_t i = 0; i < sizeof found && !wrong; i++)
        if (found[i] != (uint8_t)index)
            wrong = "another index's bytes";
    store_view_end(v);
    return wrong;
}

static void *read_on(void *ctx)
{
    struct reader *r = ctx;
    struct store_view *v;

    if (store_view_new(r->s, &v) < 0)
        abort();
    while (!atomic_load(&r->is_over)) {
        const char *wrong = look(r, v);

        if (wrong)
            atomic_store(&r->wrong, wrong);
        atomic_fetch_add(&r->looks, 1);
    }
    store_view_free(v);
    return NULL;
}

static void views_on_other_threads_see_whole_batches(void **state)
{
    enum { READERS = 2 };
    struct fixture *fx = *state;
    uint8_t bytes[3 * CHUNK];
    struct reader r = {.s = fx->s, .inode = do_create(fx, ROOT, "f")};
    pthread_t threads[READERS];

    memset(bytes, (uint8_t)(fx->last + 1), sizeof bytes);
    do_write(fx, r.inode, 0, bytes, sizeof bytes);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    while (atomic_load(&r.looks) < 500) {
        memset(bytes, (uint8_t)(fx->last + 1), sizeof bytes);
        do_write(fx, r.inode, 0, bytes, sizeof bytes);
    }
    atomic_store(&r.is_over, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    if (atomic_load(&r.wrong))
        fail_msg("a reader saw %s", atomic_load(&r.wrong));
}

/* ---- The map ---- */

/* In the middle of each mdb_txn_begin, which the linker leads here, the test asks
 * whether the map could grow just now. */
static struct store_env *watched; /* NULL: it does not ask */
static bool has_grown;
static int begin_rc; /* what it says, instead of beginning */

static bool can_grow(struct store_env *env)
{
    if (pthread_rwlock_trywrlock(&env->guard) != 0)
        return false;
    (void)pthread_rwlock_unlock(&env->guard); /* held */
    return true;
}

int __real_mdb_txn_begin(MDB_env *e, MDB_txn *p, unsigned f, MDB_txn **t);
int __wrap_mdb_txn_begin(MDB_env *e, MDB_txn *p, unsigned f, MDB_txn **t);
int __wrap_mdb_txn_begin(MDB_env *e, MDB_txn *p, unsigned f, MDB_txn **t)
{
    if (watched != NULL && can_grow(watched))
        has_grown = true;
    return begin_rc != 0 ? begin_rc : __real_mdb_txn_begin(e, p, f, t);
}

/* It is unmapped for that, under whoever reads it. */
static void the_map_does_not_grow_while_a_view_is_made(void **state)
{
    struct fixture *fx = *state;
    struct store_view *v;

    watched = &fx->s->env;
    begin_rc = MDB_READERS_FULL;
    assert_int_equal(store_view_new(fx->s, &v), -EMFILE);
    assert_true(can_grow(watched));
    begin_rc = 0;
    assert_int_equal(store_view_new(fx->s, &v), 0);
    assert_true(can_grow(watched));
    watched = NULL;
    assert_false(has_grown);
    store_view_free(v);
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_listing_shows_every_name_once_in_cookie_order),
        T(listing_what_is_no_directory_is_refused),
        T(cookies_stay_while_other_names_come_and_go),
        T(a_renamed_name_gets_a_cookie_behind_the_others),
        T(names_are_bytes_of_up_to_their_maximum),
        T(a_view_shows_one_index_whatever_is_applied_meanwhile),
        T(usage_counts_what_there_is),
        T(views_on_other_threads_see_whole_batches),
        T(the_map_does_not_grow_while_a_view_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
