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
    raft_index index;
    uint64_t walked, kept;

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char letter = (char)('A' + 3 * i), name[2] = {letter, '\0'};
        uint64_t f = plant(fx, name, letter);

        flip(fx, (char)(letter + 1), CHUNK, places[i]);
        assert_int_equal(read_some(fx, f, CHUNK, 1), -PX_ECORRUPT);
        assert_int_equal(read_some(fx, f, 2 * CHUNK - 1, 1), -PX_ECORRUPT);
        assert_int_equal(read_some(fx, f, 0, sizeof content), -PX_ECORRUPT);
        assert_bytes(fx, f, 0, content, CHUNK);
        assert_bytes(fx, f, 2 * CHUNK, content + 2 * CHUNK, LAST_BYTES);
        /* Written over as a whole, it is right again. */
        do_write(fx, f, CHUNK, content + CHUNK, CHUNK);
        assert_bytes(fx, f, 0, content, sizeof content);
    }
    /* A damaged hash was taken from the sum, so the state's hash is wrong for
     * good: other replicas tell that this one differs. */
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

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_changed_byte_fails_reads_of_its_chunk_alone),
        T(a_short_chunk_is_looked_at_too),
        T(damaged_bytes_are_not_kept_in_a_chunk_that_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
