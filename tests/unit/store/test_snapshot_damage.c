/* store/snapshot_read.c, snapshot_format.c: a damaged snapshot is refused with a
 * sentence, wherever the damage is, and a damaged state is not saved. */
#include <lmdb.h>
#include <unistd.h>
#include <zstd.h>

#include "raft/config.h"
#include "store/snapshot_format.h"
#include "tests/unit/store/snapshot_fixture.h"

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

static void assert_foot_refused(struct world *w, struct memory_file *f,
                                const struct snapshot_foot *foot,
                                const char *why)
{
    snapshot_foot_encode(foot, STAMP, f->data + f->size - SNAPSHOT_FOOT_BYTES);
    assert_refused(w, f->name, 0);
    assert_non_null(strstr(w->why, why));
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
    assert_foot_refused(w, f, &foot, "other blocks");
    foot.records--;
    foot.chain++;
    assert_foot_refused(w, f, &foot, "other blocks");
    foot.chain--;
    foot.blocks++;
    assert_foot_refused(w, f, &foot, "other blocks");
    foot.blocks--;
    foot.bytes++;
    assert_foot_refused(w, f, &foot, "another length");
    foot.bytes--;
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

/* A block of a snapshot, unpacked: to be changed, and put back with checksums
 * that are right. */
struct opened {
    struct memory_disk *m;
    struct memory_file *f;
    struct snapshot_block block;
    uint8_t records[2 * PX_MIB];
    size_t size;
};

static void open_block(struct opened *o, struct memory_file *f)
{
    o->f = f;
    assert_int_equal(
        snapshot_block_decode(f->data + SNAPSHOT_HEAD_BYTES, &o->block), 0);
    o->size = ZSTD_decompress(o->records, sizeof o->records,
                              f->data + SNAPSHOT_HEAD_BYTES +
                                  SNAPSHOT_BLOCK_HEAD_BYTES,
                              o->block.packed_bytes);
    assert_int_equal(o->size, o->block.records_bytes);
}

static void close_block(struct opened *o)
{
    static uint8_t file[PX_MIB];
    uint8_t *block = file + SNAPSHOT_HEAD_BYTES;
    struct snapshot_foot foot;
    char name[STORE_DISK_NAME_BYTES_MAX + 1];
    size_t at;

    assert_int_equal(
        snapshot_foot_decode(o->f->data + o->f->size - SNAPSHOT_FOOT_BYTES,
                             STAMP, &foot),
        0);
    memcpy(file, o->f->data, SNAPSHOT_HEAD_BYTES);
    (void)snprintf(name, sizeof name, "%s", o->f->name);
    o->block.records_bytes = (uint32_t)o->size;
    o->block.packed_bytes = (uint32_t)ZSTD_compress(
        block + SNAPSHOT_BLOCK_HEAD_BYTES, PX_MIB / 2, o->records, o->size, 1);
    snapshot_block_encode(&o->block, STAMP, block);
    at =
        SNAPSHOT_HEAD_BYTES + SNAPSHOT_BLOCK_HEAD_BYTES + o->block.packed_bytes;
    foot.chain = o->block.checksum;
    foot.records = o->block.records;
    foot.records_bytes = o->block.records_bytes;
    foot.bytes = at + SNAPSHOT_FOOT_BYTES;
    snapshot_foot_encode(&foot, STAMP, file + at);
    (void)memory_disk_put(o->m, name, file, foot.bytes);
}

/* The head, likewise. */
static void change_head(struct opened *o, const struct raft_config *config)
{
    struct snapshot_head head;

    assert_int_equal(snapshot_head_decode(o->f->data, &head), 0);
    head.config = *config;
    snapshot_head_encode(&head, o->f->data);
    o->block.chain = head.checksum;
}

/* Where the first record of @tag is, and its bytes. */
static uint8_t *record_of(struct opened *o, uint8_t tag, size_t *size_out)
{
    MDB_val key, value;
    size_t at = 0;

    for (;;) {
        *size_out =
            snapshot_record_unpack(o->records, o->size, at, &key, &value);
        assert_true(*size_out > 0);
        if (((const uint8_t *)key.mv_data)[0] == tag)
            return o->records + at;
        at += *size_out;
    }
}

static void change_nothing(struct opened *o)
{
    (void)o;
}

/* The same records, hence the same sum. */
static void swap_names(struct opened *o)
{
    uint8_t room[512];
    size_t first_size, second_size;
    uint8_t *first = record_of(o, STORE_TAG_NAME, &first_size);
    MDB_val key, value;

    second_size = snapshot_record_unpack(
        o->records, o->size, (size_t)(first - o->records) + first_size, &key,
        &value);
    assert_int_equal(((const uint8_t *)key.mv_data)[0], STORE_TAG_NAME);
    memcpy(room, first, first_size);
    memmove(first, first + first_size, second_size);
    memcpy(first + second_size, room, first_size);
}

static void repeat_meta(struct opened *o)
{
    size_t size;
    uint8_t *meta = record_of(o, STORE_TAG_META, &size);

    memmove(meta + size, meta, o->size);
    o->size += size;
    o->block.records++;
}

static void drop(struct opened *o, uint8_t tag)
{
    size_t size;
    uint8_t *at = record_of(o, tag, &size);

    memmove(at, at + size, o->size - size - (size_t)(at - o->records));
    o->size -= size;
    o->block.records--;
}

static void drop_meta(struct opened *o)
{
    drop(o, STORE_TAG_META);
}

static void drop_a_name(struct opened *o)
{
    drop(o, STORE_TAG_NAME);
}

static void change_a_chunk(struct opened *o)
{
    size_t size;
    uint8_t *at = record_of(o, STORE_TAG_CHUNK, &size);

    at[size - 1] ^= 1;
}

static void change_an_inode(struct opened *o)
{
    size_t size;
    uint8_t *at = record_of(o, STORE_TAG_INODE, &size);

    at[size - 1] ^= 1;
}

static void change_a_tag(struct opened *o)
{
    size_t size;

    record_of(o, STORE_TAG_ENTRY, &size)[4] = 99;
}

static void lengthen_a_record(struct opened *o)
{
    size_t size;

    record_of(o, STORE_TAG_ENTRY, &size)[3] = 0xff;
}

/* As it was before the last change, say. */
static void name_other_members(struct opened *o)
{
    struct raft_config config = snapshot_config;

    config.members[1].role = RAFT_VOTER;
    change_head(o, &config);
}

static void name_no_voter(struct opened *o)
{
    struct raft_config config = snapshot_config;

    config.members[0].role = RAFT_LEARNER;
    change_head(o, &config);
}

static void spoil_the_configuration(struct opened *o)
{
    size_t size;
    uint8_t *record = record_of(o, STORE_TAG_CONFIG, &size);

    record[size - 1] = 9; /* the last member's role */
}

static void cut_the_last(struct opened *o)
{
    o->size--;
}

static void follow_another_head(struct opened *o)
{
    o->block.chain++;
}

static void claim_another_place(struct opened *o)
{
    o->block.offset++;
}

static void claim_another_number(struct opened *o)
{
    o->block.number++;
}

static void fill_beyond_the_limit(struct opened *o)
{
    memset(o->records + o->size, 0, sizeof o->records - o->size);
    o->size = PX_MIB + 1;
}

static void records_with_right_checksums_are_still_looked_at(void **state)
{
    static const struct {
        void (*change)(struct opened *o);
        const char *why; /* NULL: it is accepted */
    } changes[] = {
        {change_nothing, NULL},
        {swap_names, "out of order"},
        {repeat_meta, "out of order"},
        {drop_meta, "position"},
        {drop_a_name, "state's hash"},
        {change_a_chunk, "chunk's hash"},
        {change_an_inode, "state's hash"},
        {change_a_tag, "no record has such sizes"},
        {name_other_members, "the head's members"},
        {name_no_voter, "a snapshot's head"},
        {spoil_the_configuration, "a configuration is none"},
        {lengthen_a_record, "beyond its block"},
        {cut_the_last, "beyond its block"},
        {follow_another_head, "another one"},
        {claim_another_place, "another one"},
        {claim_another_number, "another one"},
        {fill_beyond_the_limit, "no block has such sizes"},
    };
    struct world *w = *state;
    struct opened *o = malloc(sizeof *o);

    assert_non_null(o);
    plant(w->fx, 0);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        int rc;

        o->m = &w->m;
        open_block(o, file_of(w, save(w).pos.index));
        changes[i].change(o);
        close_block(o);
        rc = verify(w, file_of(w, w->fx->last)->name);
        if (changes[i].why == NULL) {
            assert_int_equal(rc, 0);
            continue;
        }
        assert_int_equal(rc, -PX_ECORRUPT);
        if (strstr(w->why, changes[i].why) == NULL)
            fail_msg("change %zu: %s", i, w->why);
    }
    free(o);
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
    static const uint8_t meta = STORE_TAG_META, config = STORE_TAG_CONFIG,
                         unknown = 15, none = 0;
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
    key = val(&config, 1);
    value.mv_size = 8 + RAFT_CONFIG_BYTES_MAX;
    assert_true(snapshot_record_is_sound(&key, &value));
    value.mv_size++;
    assert_false(snapshot_record_is_sound(&key, &value));
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

/* ---- The state ---- */

/* Puts @value where the database has @key, behind the state's back: it is closed
 * meanwhile, as by the end of the process. */
static void replace_record(struct fixture *fx, const struct store_key *key,
                           const void *value, size_t size)
{
    MDB_val k = val(key->bytes, key->size), v = val(value, size);
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    store_view_free(fx->v);
    store_state_abandon(fx->s);
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

/* Nobody has read what is damaged but the save. */
static void assert_damage_is_found(struct world *w)
{
    struct store_snapshot_info info;

    assert_false(store_state_is_damaged(w->fx->s));
    assert_int_equal(try_save(w, &info), -PX_ECORRUPT);
    assert_true(store_state_is_damaged(w->fx->s));
}

static void
a_damaged_state_has_no_snapshot_and_is_known_to_be_damaged(void **state)
{
    struct world *w = *state;
    uint64_t f = do_create(w->fx, ROOT, "file");
    struct inode_record inode = {.mode = S_IFREG | 0644, .links = 1};
    struct store_key key;

    do_write(w->fx, f, 0, "data", 4);
    (void)save(w);
    store_key_number(&key, STORE_TAG_INODE, f);
    replace_record(w->fx, &key, &inode, sizeof inode); /* the whole's hash */
    assert_damage_is_found(w);
    replace_record(w->fx, &key, "short", 5); /* the record's size */
    assert_damage_is_found(w);
    store_key_chunk(&key, f, 0);
    replace_record(w->fx, &key, "01234567data", 12); /* the chunk's hash */
    assert_damage_is_found(w);
    assert_null(memory_disk_find(&w->m, "snapshot.new"));
    assert_int_equal(verify(w, file_of(w, w->fx->last)->name), 0);
    fixture_close(w->fx); /* not to be checked any more */
}

static void what_the_disk_for_snapshots_says_is_not_of_the_state(void **state)
{
    struct world *w = *state;
    struct store_snapshot_info info;

    (void)do_create(w->fx, ROOT, "file");
    w->m.fail_at = w->m.calls + 2;
    w->m.fail_rc = -PX_ECORRUPT;
    assert_int_equal(try_save(w, &info), -PX_ECORRUPT);
    assert_false(store_state_is_damaged(w->fx->s));
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(a_flipped_bit_anywhere_is_found),
        T(a_file_cut_anywhere_is_found),
        T(sound_checksums_over_unsound_records_are_not_enough),
        T(records_with_right_checksums_are_still_looked_at),
        T(records_of_wrong_sizes_are_none),
        T(a_record_beyond_its_block_is_none),
        T(a_damaged_state_has_no_snapshot_and_is_known_to_be_damaged),
        T(what_the_disk_for_snapshots_says_is_not_of_the_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
