/* store/data.c: bytes of a chunk that changed on the disk are never shown, never
 * kept, and harm no other chunk. The closed database's file is changed. */
#include "tests/unit/store/state_fixture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Three chunks: full, full, and a short one; each of one letter. */
#define LAST_BYTES 100u

static uint8_t content[2 * STORE_CHUNK_BYTES + LAST_BYTES];

static uint64_t plant(struct fixture *fx, const char *name, char letter)
{
    uint64_t f = do_create(fx, ROOT, name);

    memset(content, letter, CHUNK);
    memset(content + CHUNK, letter + 1, CHUNK);
    memset(content + 2 * CHUNK, letter + 2, LAST_BYTES);
    do_write(fx, f, 0, content, sizeof content);
    return f;
}

/* Closes the state, changes one bit of the byte at @at of wherever @size bytes
 * of @letter lie in the database, and opens it again. */
static void flip(struct fixture *fx, char letter, size_t size, ptrdiff_t at)
{
    uint8_t row[STORE_CHUNK_BYTES], *file, *place, *end;
    struct stat st;
    char path[128];
    size_t count = 0;
    int fd;

    fixture_close(fx);
    memset(row, letter, size);
    (void)snprintf(path, sizeof path, "%s/data.mdb", fx->dir);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    file = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                fd, 0);
    assert_true(file != MAP_FAILED);
    end = file + st.st_size;
    for (place = memmem(file, (size_t)(end - file), row, size); place != NULL;
         place = memmem(place, (size_t)(end - place), row, size)) {
        place[at] ^= 1;
        place += size;
        count++;
    }
    assert_true(count > 0);
    assert_int_equal(munmap(file, (size_t)st.st_size), 0);
    close(fd);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
}

/* Damage was met: the state is closed, and comes back empty. */
static void begin_anew(struct fixture *fx)
{
    assert_true(store_state_is_damaged(fx->s));
    fixture_close(fx);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_DISTRUSTED);
    assert_false(store_state_is_damaged(fx->s));
    assert_int_equal(fx->last, 0);
    fx->sequence = 0;
    fx->session = open_session(fx, "node-0", 1);
}

static ssize_t read_some(struct fixture *fx, uint64_t f, uint64_t offset,
                         size_t size)
{
    static uint8_t found[sizeof content];
    ssize_t rc;

    assert_int_equal(store_view_begin(fx->v), 0);
    rc = store_view_read(fx->v, f, offset, found, size);
    store_view_end(fx->v);
    return rc;
}

static void a_changed_byte_fails_reads_of_its_chunk_alone(void **state)
{
    /* Of the hash, and of the data. */
    static const ptrdiff_t places[] = {-8, -1, 0, 2000, STORE_CHUNK_BYTES - 1};
    struct fixture *fx = *state;

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint64_t f = plant(fx, "f", 'A');

        flip(fx, 'B', CHUNK, places[i]);
        assert_int_equal(read_some(fx, f, CHUNK, 1), -PX_ECORRUPT);
        assert_int_equal(read_some(fx, f, 2 * CHUNK - 1, 1), -PX_ECORRUPT);
        assert_int_equal(read_some(fx, f, 0, sizeof content), -PX_ECORRUPT);
        assert_bytes(fx, f, 0, content, CHUNK);
        assert_bytes(fx, f, 2 * CHUNK, content + 2 * CHUNK, LAST_BYTES);
        begin_anew(fx);
    }
}

/* So the state's hash is wrong for good: other replicas tell that this one
 * differs. */
static void a_damaged_hash_stays_in_the_sum(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = plant(fx, "f", 'A');
    raft_index index;
    uint64_t walked, kept;

    flip(fx, 'B', CHUNK, -8);
    do_write(fx, f, CHUNK, content + CHUNK, CHUNK);
    assert_bytes(fx, f, 0, content, sizeof content);
    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_hash(fx->v, &walked), 0);
    store_view_state_hash(fx->v, &index, &kept);
    store_view_end(fx->v);
    assert_int_not_equal(walked, kept);
    fixture_close(fx);
}

static void a_short_chunk_is_looked_at_too(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = plant(fx, "f", 'A');

    flip(fx, 'C', LAST_BYTES, LAST_BYTES - 1);
    assert_int_equal(read_some(fx, f, 2 * CHUNK, 1), -PX_ECORRUPT);
    assert_bytes(fx, f, 0, content, 2 * CHUNK);
    do_truncate(fx, f, 2 * CHUNK);
}

static int apply_rc(struct fixture *fx, struct command c)
{
    struct raft_entry e = {.pos = {.term = 1, .index = fx->last + 1},
                           .kind = RAFT_ENTRY_COMMAND};
    struct store_result r;
    int rc;

    c.session = fx->session;
    c.sequence = fx->sequence + 1;
    assert_int_equal(command_encode(&c, &e.data), 0);
    rc = store_apply(fx->s, &e, 1, &r, &fx->orphans);
    px_slice_unref(&e.data);
    return rc;
}

static void damaged_bytes_are_not_kept_in_a_chunk_that_changes(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = plant(fx, "f", 'A');

    flip(fx, 'B', CHUNK, 7);
    assert_int_equal(apply_rc(fx, make_write(f, CHUNK + 9, "x", 1, 0)),
                     -PX_ECORRUPT);
    assert_int_equal(apply_rc(fx, make_truncate(f, CHUNK + 9)), -PX_ECORRUPT);
    assert_int_equal(store_state_applied(fx->s).index, fx->last);
    do_truncate(fx, f, CHUNK); /* no byte of it stays */
}

/* Otherwise the same entry would meet the same bytes after every restart. */
static void after_an_apply_that_met_damage_the_state_is_built_anew(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = plant(fx, "f", 'A');

    flip(fx, 'B', CHUNK, 7);
    assert_false(store_state_is_damaged(fx->s)); /* nobody has looked */
    assert_int_equal(apply_rc(fx, make_truncate(f, CHUNK + 9)), -PX_ECORRUPT);
    begin_anew(fx);
    assert_int_equal(lookup(fx, ROOT, "f"), 0);
}

static void the_note_of_damage_says_why(void **state)
{
    struct fixture *fx = *state;
    struct store_state_options options = {.dir = fx->dir, .boot_id = "boot-1"};
    uint64_t f = plant(fx, "f", 'A');
    enum store_state_origin origin;
    char why[128];

    flip(fx, 'B', CHUNK, 7);
    assert_int_equal(read_some(fx, f, CHUNK, 1), -PX_ECORRUPT);
    fixture_close(fx);
    assert_int_equal(
        store_state_open(&options, &fx->s, &origin, why, sizeof why), 0);
    assert_int_equal(origin, STORE_STATE_DISTRUSTED);
    assert_non_null(strstr(why, "damaged records"));
    assert_int_equal(store_view_new(fx->s, &fx->v), 0);
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_changed_byte_fails_reads_of_its_chunk_alone),
        T(a_damaged_hash_stays_in_the_sum),
        T(a_short_chunk_is_looked_at_too),
        T(damaged_bytes_are_not_kept_in_a_chunk_that_changes),
        T(after_an_apply_that_met_damage_the_state_is_built_anew),
        T(the_note_of_damage_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
