/* store/snapshot_save.c while the state changes: another thread applies, the
 * database grows, the map has to. */
#include "tests/unit/store/state_fixture.h"

#include <pthread.h>
#include <sched.h>

#include "store/snapshot.h"
#include "store/state_core.h"
#include "tests/unit/store/memory_disk.h"

#define STAMP UINT64_C(0x1234)
#define FILE_BYTES (8 * PX_MIB)
#define TURNS_MAX 4096
#define AHEAD_MAX 64 /* turns, of what the saver has seen */
#define SAVES 3

static_assert(SAVES * (FILE_BYTES / PX_MIB + 2) * AHEAD_MAX < TURNS_MAX,
              "turns are left at the last look of the last save");

static const struct raft_config members = {.count = 1,
                                           .members = {{7, RAFT_VOTER}}};

struct live {
    struct fixture fx;
    struct memory_disk m;
    uint64_t file;

    /* The saver waits between blocks until something was applied since its
     * last look, the applier for the next look when it is far ahead; so the two
     * do run at the same time, on any machine. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t turns;      /* guarded: entries applied by the other thread */
    uint64_t turns_seen; /* guarded: by the saver, at its last look */
    bool is_over;        /* guarded */
    pthread_t applier;
    uint64_t hashes[TURNS_MAX + 1]; /* guarded: by turn; 0 is before the first*/
    raft_index first;

    unsigned looks;
    unsigned grown; /* the attempt that the database has grown in, from 1 on */
    unsigned fills; /* for that */
};

static void fill(struct live *l, uint8_t salt)
{
    static uint8_t bytes[PX_MIB];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 131u + (i >> 8) * 31u + salt);
    for (uint64_t at = 0; at < FILE_BYTES; at += sizeof bytes) {
        memcpy(bytes, &at, sizeof at);
        do_write(&l->fx, l->file, at, bytes, sizeof bytes);
    }
}

static int setup(void **state)
{
    struct live *l = calloc(1, sizeof *l);

    assert_non_null(l);
    fixture_open(&l->fx);
    l->fx.session = open_session(&l->fx, "node-0", 1);
    l->file = do_create(&l->fx, ROOT, "file");
    fill(l, 0);
    memory_disk_init(&l->m);
    assert_int_equal(pthread_mutex_init(&l->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&l->changed, NULL), 0);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct live *l = *state;

    check(&l->fx);
    fixture_close(&l->fx);
    fixture_remove(&l->fx);
    memory_disk_fini(&l->m);
    (void)pthread_cond_destroy(&l->changed);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
    return 0;
}

/* Loads the snapshot @info, and looks at every record of it. */
static void assert_loads(struct live *l, const struct store_snapshot_info *info)
{
    struct fixture loaded = {.dir = "/tmp/phalanx-state-XXXXXX"};
    char name[STORE_SNAPSHOT_NAME_BYTES], why[256];

    assert_non_null(mkdtemp(loaded.dir));
    store_snapshot_name(info->pos.index, name);
    if (store_snapshot_load(&l->m.disk, name, STAMP, loaded.dir, "boot-1", NULL,
                            NULL, why, sizeof why) < 0)
        fail_msg("load: %s", why);
    fixture_reopen(&loaded, "boot-1", false, STORE_STATE_KEPT);
    assert_int_equal(loaded.last, info->pos.index);
    assert_int_equal(hash_of(&loaded), info->state_hash);
    check(&loaded);
    fixture_close(&loaded);
    fixture_remove(&loaded);
}

/* ---- Another thread applies ---- */

static void note_turn(struct live *l, uint64_t turn)
{
    uint64_t hash;

    (void)store_state_hash(l->fx.s, &hash);
    (void)pthread_mutex_lock(&l->lock);
    l->turns = turn;
    l->hashes[turn] = hash;
    (void)pthread_cond_signal(&l->changed);
    (void)pthread_mutex_unlock(&l->lock);
}

static bool is_over(struct live *l)
{
    bool over;

    (void)pthread_mutex_lock(&l->lock);
    over = l->is_over;
    (void)pthread_mutex_unlock(&l->lock);
    return over;
}

/* Waits for the saver; false: it has ended. */
static bool may_apply(struct live *l)
{
    bool may;

    (void)pthread_mutex_lock(&l->lock);
    while (!l->is_over && l->turns - l->turns_seen >= AHEAD_MAX)
        (void)pthread_cond_wait(&l->changed, &l->lock);
    may = !l->is_over;
    (void)pthread_mutex_unlock(&l->lock);
    return may;
}

static void *apply_for_ever(void *ctx)
{
    struct live *l = ctx;
    char text[32];

    for (uint64_t turn = 1; turn <= TURNS_MAX && may_apply(l); turn++) {
        struct command c = make_write(
            l->file, turn * 7919 * 64 % FILE_BYTES, text,
            (size_t)snprintf(text, sizeof text, "turn %u", (unsigned)turn), 0);

        (void)run(&l->fx, c);
        note_turn(l, turn);
    }
    return NULL;
}

static void end_applier(struct live *l, pthread_t applier)
{
    (void)pthread_mutex_lock(&l->lock);
    l->is_over = true;
    (void)pthread_cond_signal(&l->changed);
    (void)pthread_mutex_unlock(&l->lock);
    assert_int_equal(pthread_join(applier, NULL), 0);
}

static bool wait_for_a_turn(void *ctx)
{
    struct live *l = ctx;

    (void)pthread_mutex_lock(&l->lock);
    while (l->turns == l->turns_seen && l->turns < TURNS_MAX)
        (void)pthread_cond_wait(&l->changed, &l->lock);
    l->turns_seen = l->turns;
    (void)pthread_cond_signal(&l->changed);
    (void)pthread_mutex_unlock(&l->lock);
    l->looks++;
    return false;
}

static void
a_snapshot_is_the_state_at_its_index_while_others_apply(void **state)
{
    struct live *l = *state;
    const struct store_snapshot_save_options options = {.disk = &l->m.disk,
                                                        .stamp = STAMP,
                                                        .config = members,
                                                        .is_cancelled =
                                                            wait_for_a_turn,
                                                        .ctx = l};
    struct store_snapshot_info infos[SAVES];
    pthread_t applier;
    int rc = 0;

    l->first = l->fx.last;
    note_turn(l, 0);
    assert_int_equal(pthread_create(&applier, NULL, apply_for_ever, l), 0);
    for (int i = 0; i < SAVES && rc == 0; i++)
        rc = store_snapshot_save(l->fx.s, &options, &infos[i]);
    end_applier(l, applier);
    assert_int_equal(rc, 0);
    assert_true(l->turns < TURNS_MAX);
    assert_true(l->looks >= SAVES * (FILE_BYTES / PX_MIB - 1));
    for (int i = 0; i < SAVES; i++) {
        assert_in_range(infos[i].pos.index, l->first, l->fx.last);
        assert_int_equal(infos[i].state_hash,
                         l->hashes[infos[i].pos.index - l->first]);
    }
    assert_true(infos[1].pos.index > infos[0].pos.index);
    assert_loads(l, &infos[SAVES - 1]);
}

/* ---- Growth ---- */

/* What a save may make it grow by, as long as it has less than 256 MiB. */
#define GROWTH_BYTES (64 * PX_MIB)
#define ATTEMPTS 3

static unsigned begun_count(const struct live *l)
{
    unsigned count = 0;

    for (const char *c = l->m.story; *c != '\0'; c++)
        count += *c == 'O' ? 1 : 0;
    return count;
}

static uint64_t database_bytes(struct live *l)
{
    return usage_of(&l->fx).file_bytes;
}

/* At the first look of each attempt, everything is overwritten until the
 * database has grown too much, by the save's own thread: the pages that its
 * view pins can't be used again. The last attempt has looks left after that. */
static bool grow(void *ctx)
{
    struct live *l = ctx;
    const unsigned begun = begun_count(l);
    const uint64_t before = database_bytes(l);

    if (begun == l->grown || begun > ATTEMPTS)
        return false;
    while (database_bytes(l) <= before + GROWTH_BYTES)
        fill(l, (uint8_t)++l->fills);
    l->grown = begun;
    return false;
}

static void a_save_that_makes_the_database_grow_begins_anew_twice(void **state)
{
    struct live *l = *state;
    const struct store_snapshot_save_options options = {.disk = &l->m.disk,
                                                        .stamp = STAMP,
                                                        .config = members,
                                                        .is_cancelled = grow,
                                                        .ctx = l};
    struct store_snapshot_info info;

    assert_int_equal(store_snapshot_save(l->fx.s, &options, &info), 0);
    assert_int_equal(begun_count(l), ATTEMPTS);
    assert_int_equal(l->grown, ATTEMPTS);
    assert_loads(l, &info);
}

/* ---- The map ---- */

static void *fill_once(void *ctx)
{
    struct live *l = ctx;

    fill(l, 1);
    (void)pthread_mutex_lock(&l->lock);
    l->is_over = true;
    (void)pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* The first look, but for the one before all begins, starts the applier, and
 * stays until that is stuck. */
static bool wait_for_the_map(void *ctx)
{
    struct live *l = ctx;

    if (l->looks++ != 1)
        return false;
    assert_int_equal(pthread_create(&l->applier, NULL, fill_once, l), 0);
    while (!store_env_is_growing(&l->fx.s->env) && !is_over(l))
        (void)sched_yield();
    assert_false(is_over(l)); /* the map was full */
    return false;
}

static void a_save_makes_way_for_a_map_that_grows(void **state)
{
    struct live *l = *state;
    const struct store_state_options small = {
        .dir = l->fx.dir, .boot_id = "boot-1", .map_bytes = PX_MIB};
    const struct store_snapshot_save_options options = {.disk = &l->m.disk,
                                                        .stamp = STAMP,
                                                        .config = members,
                                                        .is_cancelled =
                                                            wait_for_the_map,
                                                        .ctx = l};
    struct store_snapshot_info info;
    enum store_state_origin origin;
    char why[128];

    fixture_close(&l->fx);
    assert_int_equal(
        store_state_open(&small, &l->fx.s, &origin, why, sizeof why), 0);
    assert_int_equal(store_view_new(l->fx.s, &l->fx.v), 0);
    assert_int_equal(store_snapshot_save(l->fx.s, &options, &info), 0);
    assert_int_equal(pthread_join(l->applier, NULL), 0);
    assert_string_not_equal(l->m.story, "OWSND"); /* there was a restart */
    assert_loads(l, &info);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_snapshot_is_the_state_at_its_index_while_others_apply),
        T(a_save_that_makes_the_database_grow_begins_anew_twice),
        T(a_save_makes_way_for_a_map_that_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
