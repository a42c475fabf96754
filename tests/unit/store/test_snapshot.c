/* store/snapshot*.c: what is loaded is what was saved, and what fails leaves
 * whole snapshots and no half of a state. */
#include <unistd.h>
#include <xxhash.h>

#include "store/snapshot_format.h"
#include "tests/unit/store/snapshot_fixture.h"

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
                                                  .config = snapshot_config};

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

/* ---- Members ---- */

static struct raft_config with_voter(raft_id id)
{
    return (struct raft_config){
        .count = 2, .members = {{7, RAFT_LEARNER}, {id, RAFT_VOTER}}};
}

static void assert_config(const struct raft_config *got,
                          const struct raft_config *want)
{
    assert_int_equal(got->count, want->count);
    for (size_t i = 0; i < want->count; i++) {
        assert_int_equal(got->members[i].id, want->members[i].id);
        assert_int_equal(got->members[i].role, want->members[i].role);
    }
}

/* What the head of the newest file says. */
static struct raft_config found(struct world *w)
{
    struct store_snapshot_info info;

    assert_int_equal(
        store_snapshot_find(&w->m.disk, STAMP, &info, w->why, sizeof w->why),
        0);
    return info.config;
}

/* Whatever whoever saves believes them to be. */
static void the_members_are_those_of_the_state(void **state)
{
    struct world *w = *state;
    const struct raft_config first = with_voter(11);
    const struct raft_config second = with_voter(12);
    struct store_snapshot_info info;
    struct raft_config got;

    info = save(w);
    assert_config(&info.config, &snapshot_config); /* given: none applied */
    assert_int_equal(change_members(w->fx, &first, NULL).rc, 0);
    info = save(w);
    assert_config(&info.config, &first);
    assert_int_equal(change_members(w->fx, &second, NULL).rc, 0);
    (void)do_create(w->fx, ROOT, "behind");
    info = save(w);
    assert_config(&info.config, &second);
    got = found(w);
    assert_config(&got, &second);
    assert_int_equal(verify(w, file_of(w, info.pos.index)->name), 0);
}

static void members_come_back_with_all_that_is_known_of_them(void **state)
{
    struct world *w = *state;
    struct store_snapshot_info info;
    struct store_members m;
    struct fixture loaded;

    plant(w->fx, 0);
    info = save(w);
    load_and_open(w, file_of(w, info.pos.index)->name, &loaded);
    assert_int_equal(store_view_begin(loaded.v), 0);
    assert_int_equal(store_view_members(loaded.v, &m), 0);
    assert_int_equal(store_view_was_removed(loaded.v, 5), 1);
    assert_int_equal(store_view_was_removed(loaded.v, 7), 0);
    store_view_end(loaded.v);
    assert_int_equal(m.count, 2);
    assert_true(m.index > 0 && m.index <= info.pos.index);
    assert_int_equal(m.list[0].id, 7);
    assert_string_equal(m.list[0].name, "node-7");
    assert_int_equal(m.list[1].role, RAFT_LEARNER);
    fixture_close(&loaded);
    fixture_remove(&loaded);
}

/* One that was added, and has not come to the entry that tells it more. */
static void who_does_not_know_the_members_makes_none(void **state)
{
    struct world *w = *state;
    const struct raft_config config = with_voter(11);
    const struct store_snapshot_save_options options = {.disk = &w->m.disk,
                                                        .stamp = STAMP};
    struct store_snapshot_info info;

    assert_int_equal(store_snapshot_save(w->fx->s, &options, &info), -EAGAIN);
    assert_int_equal(w->m.open_count, 0);
    assert_int_equal(change_members(w->fx, &config, NULL).rc, 0);
    assert_int_equal(store_snapshot_save(w->fx->s, &options, &info), 0);
    assert_config(&info.config, &config);
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

/* Its process may have died between the rename and the sync of the folder: the
 * log's head goes on the word of this snapshot. */
static void what_is_found_stays(void **state)
{
    struct world *w = *state;
    raft_index found;

    (void)save(w);
    memset(w->m.story, 0, sizeof w->m.story);
    w->m.calls = 0;
    assert_int_equal(find(w, &found), 0);
    assert_string_equal(w->m.story, "D");
    w->m.fail_at = w->m.calls; /* that call */
    w->m.calls = 0;
    w->m.fail_rc = -EIO;
    assert_int_equal(find(w, &found), -EIO);
}

/* The log may begin behind it: to go on without is to lose what it holds. */
static void one_that_cannot_be_read_is_not_passed_over(void **state)
{
    struct world *w = *state;
    raft_index found;
    uint64_t n;
    int rc;

    (void)save(w);
    w->m.fail_rc = -EIO;
    for (n = 1;; n++) {
        w->m.calls = 0;
        w->m.fail_at = n;
        rc = find(w, &found);
        if (rc == 0)
            break;
        assert_int_equal(rc, -EIO);
    }
    assert_true(n > 3);
}

/* As a program of another version would have written it. */
static void set_head(struct memory_file *f, size_t offset, uint32_t value)
{
    uint64_t checksum;

    memcpy(f->data + offset, &value, sizeof value);
    checksum =
        XXH3_64bits_withSeed(f->data + sizeof checksum,
                             SNAPSHOT_HEAD_BYTES - sizeof checksum, STAMP);
    memcpy(f->data, &checksum, sizeof checksum);
}

/* The log begins behind it: with an older one, what is left would be cut. */
static void one_of_another_format_is_not_passed_over(void **state)
{
    static const struct {
        size_t offset; /* as snapshot_format.h draws it */
        uint32_t own;
    } formats[] = {{16, SNAPSHOT_FORMAT_VERSION}, {20, STORE_STATE_FORMAT}};
    struct world *w = *state;
    struct memory_file *f, *older;
    char name[STORE_SNAPSHOT_NAME_BYTES];
    raft_index found, first;

    first = save(w).pos.index;
    f = file_of(w, first);
    older = memory_disk_put(&w->m, "copy", f->data, f->size);
    (void)do_create(w->fx, ROOT, "more");
    f = file_of(w, save(w).pos.index);
    store_snapshot_name(first, name);
    (void)memory_disk_put(&w->m, name, older->data, older->size);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        set_head(f, formats[i].offset, formats[i].own + 1);
        assert_int_equal(find(w, &found), -PX_EFORMAT);
        assert_non_null(strstr(w->why, f->name));
        set_head(f, formats[i].offset, formats[i].own);
        assert_int_equal(find(w, &found), 0);
        assert_true(found > first);
    }
}

static void another_clusters_snapshot_is_refused(void **state)
{
    struct world *w = *state;
    struct store_snapshot_info info = save(w);
    const char *name = file_of(w, info.pos.index)->name;

    assert_int_equal(store_snapshot_verify(&w->m.disk, name, STAMP + 1, NULL,
                                           &info, w->why, sizeof w->why),
                     -PX_ECLUSTER);
    assert_non_null(strstr(w->why, "another cluster"));
    assert_int_equal(store_snapshot_find(&w->m.disk, STAMP + 1, &info, w->why,
                                         sizeof w->why),
                     -ENOENT);
}

/* ---- Room ---- */

#define RESERVE (80 * PX_MIB)
#define LIKELY (100 * PX_KIB)

static uint64_t room_left;
static unsigned room_falls_at; /* by one byte of the reserve; 0: never */

static int fake_room(struct store_disk *d, uint64_t *bytes_out)
{
    (void)d;
    if (room_falls_at > 0 && --room_falls_at == 0)
        room_left = RESERVE - 1;
    *bytes_out = room_left;
    return 0;
}

static int save_with(struct world *w, uint64_t room, uint64_t likely)
{
    const struct store_snapshot_save_options options = {
        .disk = &w->m.disk,
        .stamp = STAMP,
        .config = snapshot_config,
        .reserve_bytes = RESERVE,
        .likely_bytes = likely,
    };
    struct store_snapshot_info info;

    w->m.disk.room = fake_room;
    room_left = room;
    return store_snapshot_save(w->fx->s, &options, &info);
}

static void a_save_leaves_room_for_the_log(void **state)
{
    struct world *w = *state;
    raft_index found;

    plant(w->fx, 3);
    room_falls_at = 0;
    assert_int_equal(save_with(w, RESERVE + LIKELY - 1, LIKELY), -ENOSPC);
    assert_null(strchr(w->m.story, 'W')); /* nothing was even begun */
    room_falls_at = 2;
    assert_int_equal(save_with(w, RESERVE + LIKELY, LIKELY), -ENOSPC);
    assert_null(memory_disk_find(&w->m, "snapshot.new"));
    assert_int_equal(find(w, &found), -ENOENT);
    room_falls_at = 0;
    assert_int_equal(save_with(w, RESERVE + LIKELY, LIKELY), 0);
}

/* Or nothing would ever make room again. */
static void where_the_disk_is_full_one_is_made_by_all_means(void **state)
{
    struct world *w = *state;

    plant(w->fx, 3);
    room_falls_at = 0;
    assert_int_equal(save_with(w, RESERVE, LIKELY), 0);
    assert_int_equal(save_with(w, 0, LIKELY), 0);
}

static void what_a_larger_state_took_is_not_asked_for_again(void **state)
{
    struct world *w = *state;

    (void)do_create(w->fx, ROOT, "small");
    room_falls_at = 0;
    assert_int_equal(save_with(w, RESERVE + LIKELY, 1024 * PX_MIB), 0);
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
static bool look(void *ctx, uint64_t done, uint64_t bytes)
{
    struct half *h = ctx;
    char path[128];

    assert_true(done <= bytes);
    h->blocks++;
    (void)snprintf(path, sizeof path, "%s/boot", h->dir);
    h->has_note = h->has_note || access(path, F_OK) == 0;
    return true;
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
#define T(name) \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_loaded_is_what_was_saved),
        T(replicas_at_the_same_index_write_the_same_bytes),
        T(the_members_are_those_of_the_state),
        T(members_come_back_with_all_that_is_known_of_them),
        T(who_does_not_know_the_members_makes_none),
        T(an_empty_state_has_no_snapshot),
        T(the_new_one_is_durable_before_the_older_ones_go),
        T(damaged_ends_are_passed_over_and_said),
        T(what_is_found_stays),
        T(one_that_cannot_be_read_is_not_passed_over),
        T(one_of_another_format_is_not_passed_over),
        T(a_save_leaves_room_for_the_log),
        T(where_the_disk_is_full_one_is_made_by_all_means),
        T(what_a_larger_state_took_is_not_asked_for_again),
        T(another_clusters_snapshot_is_refused),
        T(a_load_into_a_folder_with_anything_is_refused),
        T(a_half_loaded_state_has_no_note_and_is_not_believed),
        T(every_failure_of_the_disk_leaves_a_whole_snapshot),
        T(every_failure_of_a_read_is_an_error_with_a_sentence),
        T(a_cancelled_save_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
