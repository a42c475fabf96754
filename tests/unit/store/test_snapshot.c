/* store/snapshot*.c: what is saved is the state, what is loaded is what was
 * saved, and nothing else is ever believed. */
#include "tests/unit/store/state_fixture.h"

#include <lmdb.h>
#include <unistd.h>

#include "base/rand.h"
#include "store/snapshot.h"
#include "store/snapshot_format.h"
#include "tests/unit/store/memory_disk.h"

#define STAMP UINT64_C(0x1234)

struct world {
    struct fixture *fx;
    struct memory_disk m;
    char why[512];
};

static const struct raft_config config = {
    .count = 2, .members = {{7, RAFT_VOTER}, {9, RAFT_LEARNER}}};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    void *fx;

    assert_non_null(w);
    if (fixture_setup(&fx) != 0)
        return -1;
    w->fx = fx;
    memory_disk_init(&w->m);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *fx = w->fx;

    memory_disk_fini(&w->m);
    free(w);
    return fixture_teardown(&fx);
}

/* ---- Short ways ---- */

/* Something of every family of records, and @blocks blocks of data that can't
 * be compressed. */
static void plant(struct fixture *fx, unsigned blocks)
{
    static uint8_t bytes[PX_MIB];
    struct px_rand rand;
    uint64_t dir = do_mkdir(fx, ROOT, "dir");
    uint64_t f = do_create(fx, dir, "file");
    uint64_t orphan = do_create(fx, ROOT, "orphan");

    px_rand_init(&rand, 1);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)px_rand_next(&rand);
    assert_int_equal(run(fx, make_symlink(fx, dir, "link", "../target")).rc, 0);
    assert_int_equal(run(fx, make_link(f, ROOT, "hard")).rc, 0);
    assert_int_equal(run(fx, make_unlink(ROOT, "orphan")).rc, 0);
    do_write(fx, orphan, 0, "kept while open", 15);
    do_write(fx, f, EXTENT, "garbage", 7);
    do_truncate(fx, f, 1);
    do_write(fx, f, EXTENT, "far", 3);
    for (unsigned i = 0; i < blocks; i++)
        do_write(fx, f, (uint64_t)i * sizeof bytes, bytes, sizeof bytes);
}

static int try_save(struct world *w, struct store_snapshot_info *info)
{
    const struct store_snapshot_save_options options = {
        .disk = &w->m.disk, .stamp = STAMP, .config = config};

    return store_snapshot_save(w->fx->s, &options, info);
}

static struct store_snapshot_info save(struct world *w)
{
    struct store_snapshot_info info;

    assert_int_equal(try_save(w, &info), 0);
    return info;
}

static struct memory_file *file_of(struct world *w, raft_index index)
{
    char name[STORE_SNAPSHOT_NAME_BYTES];
    struct memory_file *f;

    store_snapshot_name(index, name);
    f = memory_disk_find(&w->m, name);
    assert_non_null(f);
    return f;
}

static int verify(struct world *w, const char *name)
{
    struct store_snapshot_info info;

    return store_snapshot_verify(&w->m.disk, name, STAMP, &info, w->why,
                                 sizeof w->why);
}

static int load(struct world *w, const char *name, const char *dir)
{
    return store_snapshot_load(&w->m.disk, name, STAMP, dir, "boot-1", NULL,
                               NULL, w->why, sizeof w->why);
}

/* Loads, and opens what was loaded as another fixture. */
static void load_and_open(struct world *w, const char *name,
                          struct fixture *loaded)
{
    *loaded = (struct fixture){.dir = "/tmp/phalanx-state-XXXXXX"};
    assert_non_null(mkdtemp(loaded->dir));
    if (load(w, name, loaded->dir) < 0)
        fail_msg("load: %s", w->why);
    fixture_reopen(loaded, "boot-2", false, STORE_STATE_KEPT);
}

/* ---- Whole ---- */

static void what_is_loaded_is_what_was_saved(void **state)
{
    struct world *w = *state;
    struct store_snapshot_info info;
    struct fixture loaded;
    uint64_t kept;

    plant(w->fx, 3);
    info = save(w);
    assert_int_equal(info.pos.index, w->fx->last);
    assert_int_equal(info.pos.term, 1);
    assert_int_equal(info.state_hash, hash_of(w->fx));
    assert_int_equal(info.bytes, file_of(w, info.pos.index)->size);
    load_and_open(w, file_of(w, info.pos.index)->name, &loaded);
    assert_int_equal(loaded.last, w->fx->last);
    assert_int_equal(hash_of(&loaded), hash_of(w->fx));
    assert_int_equal(store_state_hash(loaded.s, &kept).term, 1);
    assert_int_equal(kept, info.state_hash);
    check(&loaded);
    /* It goes on like the other one: sessions and answers are there too. */
    loaded.session = w->fx->session;
    loaded.sequence = w->fx->sequence;
    loaded.counter = w->fx->counter;
    loaded.time = w->fx->time;
    (void)do_create(&loaded, ROOT, "next");
    (void)do_create(w->fx, ROOT, "next");
    assert_int_equal(hash_of(&loaded), hash_of(w->fx));
    fixture_close(&loaded);
    fixture_remove(&loaded);
}

static void replicas_at_the_same_index_write_the_same_bytes(void **state)
{
    struct world *w = *state;
    struct memory_disk other;
    struct store_snapshot_info info;
    struct fixture loaded;
    const struct memory_file *a, *b;
    struct store_snapshot_save_options options = {.stamp = STAMP,
                                                  .config = config};

    plant(w->fx, 2);
    info = save(w);
    a = file_of(w, info.pos.index);
    load_and_open(w, a->name, &loaded); /* other pages, the same records */
    memory_disk_init(&other);
    options.disk = &other.disk;
    assert_int_equal(store_snapshot_save(loaded.s, &options, &info), 0);
    b = memory_disk_find(&other, a->name);
    assert_non_null(b);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
    memory_disk_fini(&other);
    fixture_close(&loaded);
    fixture_remove(&loaded);
}

static void an_empty_state_has_no_snapshot(void **state)
{
    struct fixture fresh_one, *kept;
    struct world *w = *state;
    struct store_snapshot_info info;

    fixture_open(&fresh_one);
    kept = w->fx;
    w->fx = &fresh_one;
    assert_int_equal(try_save(w, &info), -EINVAL);
    assert_int_equal(w->m.open_count, 0);
    w->fx = kept;
    fixture_close(&fresh_one);
    fixture_remove(&fresh_one);
}

static void the_new_one_is_durable_before_the_older_ones_go(void **state)
{
    struct world *w = *state;
    struct store_snapshot_info info, found;
    raft_index first = save(w).pos.index;
    char name[STORE_SNAPSHOT_NAME_BYTES];

    (void)do_create(w->fx, ROOT, "more");
    memset(w->m.story, 0, sizeof w->m.story);
    info = save(w);
    assert_string_equal(w->m.story, "OWSNDM");
    store_snapshot_name(first, name);
    assert_null(memory_disk_find(&w->m, name));
    assert_int_equal(
        store_snapshot_find(&w->m.disk, STAMP, &found, w->why, sizeof w->why),
        0);
    assert_int_equal(found.pos.index, info.pos.index);
    assert_int_equal(found.state_hash, info.state_hash);
    assert_int_equal(found.config.count, 2);
    assert_int_equal(found.config.members[1].id, 9);
    assert_int_equal(found.config.members[1].role, RAFT_LEARNER);
    assert_string_equal(w->why, "");
}

/* ---- Find ---- */

static int find(struct world *w, raft_index *index_out)
{
    struct store_snapshot_info info = {0};
    int rc =
        store_snapshot_find(&w->m.disk, STAMP, &info, w->why, sizeof w->why);

    *index_out = info.pos.index;
    return rc;
}

static void damaged_ends_are_passed_over_and_said(void **state)
{
    struct world *w = *state;
    struct memory_file *f, *cut;
    raft_index first, found;
    char name[STORE_SNAPSHOT_NAME_BYTES];

    assert_int_equal(find(w, &found), -ENOENT);
    assert_string_equal(w->why, "");
    first = save(w).pos.index;
    f = memory_disk_put(&w->m, "copy", file_of(w, first)->data,
                        file_of(w, first)->size);
    (void)do_create(w->fx, ROOT, "more");
    cut = file_of(w, save(w).pos.index);
    cut->size--;
    store_snapshot_name(first, name);
    f = memory_disk_put(&w->m, name, f->data, f->size);
    store_snapshot_name(first + 2, name); /* renamed */
    (void)memory_disk_put(&w->m, name, f->data, f->size);
    (void)memory_disk_put(&w->m, "snapshot.new", f->data, 100);
    (void)memory_disk_put(&w->m, "received.new", f->data, 100);
    (void)memory_disk_put(&w->m, "12.snap", f->data, f->size);
    assert_int_equal(find(w, &found), 0);
    assert_int_equal(found, first);
    assert_non_null(strstr(w->why, "foot"));
    assert_non_null(strstr(w->why, "another index"));
    assert_null(memory_disk_find(&w->m, "snapshot.new"));
    assert_null(memory_disk_find(&w->m, "received.new"));
    assert_non_null(memory_disk_find(&w->m, "copy"));
    f->data[SNAPSHOT_HEAD_BYTES - 1] ^= 1;
    assert_int_equal(find(w, &found), -ENOENT);
    assert_non_null(strstr(w->why, "head"));
}

static void another_clusters_snapshot_is_refused(void **state)
{
    struct world *w = *state;
    struct store_snapshot_info info = save(w);
    const char *name = file_of(w, info.pos.index)->name;

    assert_int_equal(store_snapshot_verify(&w->m.disk, name, STAMP + 1, &info,
                                           w->why, sizeof w->why),
                     -PX_ECLUSTER);
    assert_non_null(strstr(w->why, "another cluster"));
    assert_int_equal(store_snapshot_find(&w->m.disk, STAMP + 1, &info, w->why,
                                         sizeof w->why),
                     -ENOENT);
}

/* ---- Damage ---- */

/* -PX_ECORRUPT, with a sentence that names the file. */
static void assert_refused(struct world *w, const char *name, uint64_t place)
{
    int rc = verify(w, name);

    if (rc != -PX_ECORRUPT)
        fail_msg("byte %llu: %d", (unsigned long long)place, rc);
    assert_non_null(strstr(w->why, name));
    assert_int_equal(w->m.open_count, 0);
}

static void a_flipped_bit_anywhere_is_found(void **state)
{
    struct world *w = *state;
    struct memory_file *f;

    plant(w->fx, 2);
    f = file_of(w, save(w).pos.index);
    assert_int_equal(verify(w, f->name), 0);
    for (size_t i = 0; i < f->size;) {
        uint8_t bit = (uint8_t)(1u << i % 8);

        f->data[i] ^= bit;
        /* The stamp is whose it is, the version how to read it: they are
         * compared only once the head's checksum is right. */
        assert_refused(w, f->name, i);
        f->data[i] ^= bit;
        i += i < 700 || f->size - i < 100 ? 1 : f->size / 200;
        if (i < f->size && f->size - i < 100 + f->size / 200 &&
            f->size - i >= 100)
            i = f->size - 100;
    }
    assert_int_equal(verify(w, f->name), 0);
}

/* Where the blocks begin, and the foot; returns how many places. */
static size_t boundaries(const struct memory_file *f, size_t *places,
                         size_t max)
{
    size_t count = 0, at = SNAPSHOT_HEAD_BYTES;
    struct snapshot_block b;

    while (at < f->size - SNAPSHOT_FOOT_BYTES) {
        assert_true(count < max);
        places[count++] = at;
        assert_int_equal(snapshot_block_decode(f->data + at, &b), 0);
        at += SNAPSHOT_BLOCK_HEAD_BYTES + b.packed_bytes;
    }
    assert_int_equal(at, f->size - SNAPSHOT_FOOT_BYTES);
    places[count++] = at;
    return count;
}

static void a_file_cut_anywhere_is_found(void **state)
{
    struct world *w = *state;
    struct memory_file *f;
    size_t places[16], count, whole;

    plant(w->fx, 3);
    f = file_of(w, save(w).pos.index);
    whole = f->size;
    count = boundaries(f, places, 15);
    assert_true(count > 3);
    for (size_t i = 0; i < count; i++) {
        for (size_t back = 0; back < 3; back++) {
            f->size = places[i] - back;
            assert_refused(w, f->name, f->size);
        }
        /* The foot behind fewer blocks, its length put right. */
        memmove(f->data + places[i], f->data + whole - SNAPSHOT_FOOT_BYTES,
                SNAPSHOT_FOOT_BYTES);
        f->size = places[i] + SNAPSHOT_FOOT_BYTES;
        if (i + 1 < count)
            assert_refused(w, f->name, f->size);
        (void)save(w); /* the same bytes again */
        f = file_of(w, w->fx->last);
        assert_int_equal(f->size, whole);
    }
    f->size = 0;
    assert_refused(w, f->name, 0);
    f->size = whole;
}

/* Someone who can make checksums still can't make a state of it. */
static void sound_checksums_over_unsound_records_are_not_enough(void **state)
{
    struct world *w = *state;
    struct snapshot_block b;
    struct snapshot_foot foot;
    struct memory_file *f;
    struct fixture loaded = {.dir = "/tmp/phalanx-state-XXXXXX"};
    uint8_t *end;

    plant(w->fx, 0); /* one block */
    f = file_of(w, save(w).pos.index);
    end = f->data + f->size - SNAPSHOT_FOOT_BYTES;
    assert_int_equal(snapshot_foot_decode(end, STAMP, &foot), 0);
    foot.state_hash++;
    snapshot_foot_encode(&foot, STAMP, end);
    assert_refused(w, f->name, 0);
    assert_non_null(strstr(w->why, "hash"));
    assert_non_null(mkdtemp(loaded.dir));
    assert_int_equal(load(w, f->name, loaded.dir), -PX_ECORRUPT);
    assert_int_equal(rmdir(loaded.dir), 0); /* nothing is left in it */
    foot.state_hash--;
    foot.records++;
    snapshot_foot_encode(&foot, STAMP, end);
    assert_refused(w, f->name, 0);
    foot.records--;
    snapshot_foot_encode(&foot, STAMP, end);
    assert_int_equal(verify(w, f->name), 0);
    assert_int_equal(snapshot_block_decode(f->data + SNAPSHOT_HEAD_BYTES, &b),
                     0);
    b.records++;
    snapshot_block_encode(&b, STAMP, f->data + SNAPSHOT_HEAD_BYTES);
    foot.chain = b.checksum;
    snapshot_foot_encode(&foot, STAMP, end);
    assert_refused(w, f->name, 0);
    assert_non_null(strstr(w->why, "count"));
}

/* ---- Records ---- */

static MDB_val val(const void *data, size_t size)
{
    return (MDB_val){size, (void *)(uintptr_t)data};
}

static void records_of_wrong_sizes_are_none(void **state)
{
    static const uint8_t bytes[SNAPSHOT_VALUE_BYTES_MAX + 1] = {
        STORE_TAG_CHUNK};
    static const uint8_t meta = STORE_TAG_META, unknown = 11, none = 0;
    MDB_val key = val(bytes, 13), value = val(bytes, 9);

    (void)state;
    assert_true(snapshot_record_is_sound(&key, &value));
    value.mv_size = 8;
    assert_false(snapshot_record_is_sound(&key, &value));
    value.mv_size = SNAPSHOT_VALUE_BYTES_MAX;
    assert_true(snapshot_record_is_sound(&key, &value));
    value.mv_size++;
    assert_false(snapshot_record_is_sound(&key, &value));
    value.mv_size = 9;
    key.mv_size = 12;
    assert_false(snapshot_record_is_sound(&key, &value));
    key.mv_size = 0;
    assert_false(snapshot_record_is_sound(&key, &value));
    key = val(&unknown, 1);
    assert_false(snapshot_record_is_sound(&key, &value));
    key = val(&none, 1);
    assert_false(snapshot_record_is_sound(&key, &value));
    key = val(&meta, 1);
    assert_false(snapshot_record_is_sound(&key, &value));
    value.mv_size = sizeof(struct meta_record);
    assert_true(snapshot_record_is_sound(&key, &value));
}

static void a_record_beyond_its_block_is_none(void **state)
{
    const uint8_t record[] = {1, 0, 2, 0, 'k', 'v', 'w'};
    MDB_val key, value;

    (void)state;
    assert_int_equal(snapshot_record_unpack(record, 7, 0, &key, &value), 7);
    assert_int_equal(key.mv_size, 1);
    assert_int_equal(value.mv_size, 2);
    assert_memory_equal(value.mv_data, "vw", 2);
    for (size_t size = 0; size < 7; size++)
        assert_int_equal(snapshot_record_unpack(record, size, 0, &key, &value),
                         0);
}

/* ---- Interrupted ---- */

static void a_load_into_a_folder_with_anything_is_refused(void **state)
{
    struct world *w = *state;
    raft_index index = save(w).pos.index;

    assert_int_equal(load(w, file_of(w, index)->name, w->fx->dir), -ENOTEMPTY);
    assert_non_null(strstr(w->why, w->fx->dir));
    check(w->fx);
}

struct half {
    const char *dir;
    unsigned blocks;
    bool has_note;
};

/* Looks when half of it is there: is there a note that someone could believe? */
static void look(void *ctx, uint64_t done, uint64_t bytes)
{
    struct half *h = ctx;
    char path[128];

    assert_true(done <= bytes);
    h->blocks++;
    (void)snprintf(path, sizeof path, "%s/boot", h->dir);
    h->has_note = h->has_note || access(path, F_OK) == 0;
}

static void a_half_loaded_state_has_no_note_and_is_not_believed(void **state)
{
    struct world *w = *state;
    struct fixture loaded = {.dir = "/tmp/phalanx-state-XXXXXX"};
    struct half half = {.dir = loaded.dir};
    char path[128];
    const char *name;

    plant(w->fx, 2);
    name = file_of(w, save(w).pos.index)->name;
    assert_non_null(mkdtemp(loaded.dir));
    assert_int_equal(store_snapshot_load(&w->m.disk, name, STAMP, loaded.dir,
                                         "boot-1", look, &half, w->why,
                                         sizeof w->why),
                     0);
    assert_true(half.blocks >= 3);
    assert_false(half.has_note);
    (void)snprintf(path, sizeof path, "%s/boot", loaded.dir);
    assert_int_equal(unlink(path), 0); /* as it was until then */
    fixture_reopen(&loaded, "boot-1", false, STORE_STATE_DISTRUSTED);
    assert_int_equal(loaded.last, 0);
    fixture_close(&loaded);
    fixture_remove(&loaded);
}

static void every_failure_of_the_disk_leaves_a_whole_snapshot(void **state)
{
    struct world *w = *state;
    struct store_snapshot_info info;
    raft_index first, found;
    int rc;

    plant(w->fx, 1);
    first = save(w).pos.index;
    (void)do_create(w->fx, ROOT, "more");
    for (uint64_t n = 1;; n++) {
        w->m.calls = 0;
        w->m.fail_at = n;
        w->m.fail_rc = -ENOSPC;
        rc = try_save(w, &info);
        w->m.fail_at = 0;
        if (rc == 0)
            break;
        assert_int_equal(rc, -ENOSPC);
        assert_int_equal(w->m.open_count, 0);
        assert_int_equal(find(w, &found), 0);
        assert_true(found == first || found == w->fx->last);
        assert_string_equal(w->why, "");
    }
    assert_true(w->m.calls >= 7);
    assert_int_equal(find(w, &found), 0);
    assert_int_equal(found, w->fx->last);
}

static void every_failure_of_a_read_is_an_error_with_a_sentence(void **state)
{
    struct world *w = *state;
    const char *name;
    uint64_t n;

    plant(w->fx, 1);
    name = file_of(w, save(w).pos.index)->name;
    for (n = 1;; n++) {
        w->m.calls = 0;
        w->m.fail_at = n;
        w->m.fail_rc = -EIO;
        if (verify(w, name) == 0)
            break;
        assert_non_null(strstr(w->why, name));
        assert_int_equal(w->m.open_count, 0);
    }
    assert_true(n > 6);
    w->m.fail_at = 0;
}

/* Puts @value where the closed database has @key, behind the state's back. */
static void replace_record(struct fixture *fx, const struct store_key *key,
                           const void *value, size_t size)
{
    MDB_val k = val(key->bytes, key->size), v = val(value, size);
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    fixture_close(fx);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_mapsize(env, UINT64_C(1) << 34), 0);
    assert_int_equal(mdb_env_open(env, fx->dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
}

static void a_damaged_state_has_no_snapshot(void **state)
{
    struct world *w = *state;
    uint64_t f = do_create(w->fx, ROOT, "file");
    struct inode_record inode = {.mode = S_IFREG | 0644, .links = 1};
    struct store_snapshot_info info;
    struct store_key key;

    do_write(w->fx, f, 0, "data", 4);
    (void)save(w);
    store_key_number(&key, STORE_TAG_INODE, f);
    replace_record(w->fx, &key, &inode, sizeof inode); /* the whole's hash */
    assert_int_equal(try_save(w, &info), -PX_ECORRUPT);
    replace_record(w->fx, &key, "short", 5); /* the record's size */
    assert_int_equal(try_save(w, &info), -PX_ECORRUPT);
    store_key_chunk(&key, f, 0);
    replace_record(w->fx, &key, "01234567data", 12); /* the chunk's hash */
    assert_int_equal(try_save(w, &info), -PX_ECORRUPT);
    assert_null(memory_disk_find(&w->m, "snapshot.new"));
    assert_int_equal(verify(w, file_of(w, w->fx->last)->name), 0);
    fixture_close(w->fx); /* not to be checked any more */
}

static bool yes(void *ctx)
{
    (void)ctx;
    return true;
}

static void a_cancelled_save_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct store_snapshot_info info;
    const struct store_snapshot_save_options options = {
        .disk = &w->m.disk, .stamp = STAMP, .is_cancelled = yes};

    plant(w->fx, 3);
    assert_int_equal(store_snapshot_save(w->fx->s, &options, &info),
                     -ECANCELED);
    assert_null(memory_disk_find(&w->m, "snapshot.new"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_loaded_is_what_was_saved),
        T(replicas_at_the_same_index_write_the_same_bytes),
        T(an_empty_state_has_no_snapshot),
        T(the_new_one_is_durable_before_the_older_ones_go),
        T(damaged_ends_are_passed_over_and_said),
        T(another_clusters_snapshot_is_refused),
        T(a_flipped_bit_anywhere_is_found),
        T(a_file_cut_anywhere_is_found),
        T(sound_checksums_over_unsound_records_are_not_enough),
        T(records_of_wrong_sizes_are_none),
        T(a_record_beyond_its_block_is_none),
        T(a_load_into_a_folder_with_anything_is_refused),
        T(a_half_loaded_state_has_no_note_and_is_not_believed),
        T(every_failure_of_the_disk_leaves_a_whole_snapshot),
        T(every_failure_of_a_read_is_an_error_with_a_sentence),
        T(a_damaged_state_has_no_snapshot),
        T(a_cancelled_save_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
