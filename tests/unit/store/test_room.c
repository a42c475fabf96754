/* store/room.c: what the quota counts, and what it refuses. */
#include "tests/unit/store/state_fixture.h"

#include "base/rand.h"
#include "store/room.h"

#define MADE (STORE_INODE_COST + STORE_NAME_COST)

static struct command make_quota(uint64_t bytes, uint32_t flags)
{
    return (struct command){
        .op = COMMAND_SET_QUOTA, .offset = bytes, .flags = flags};
}

static void set_quota(struct fixture *fx, uint64_t bytes)
{
    assert_int_equal(run(fx, make_quota(bytes, 0)).rc, 0);
}

/* Nothing more fits, to the byte. */
static void fill_up(struct fixture *fx)
{
    set_quota(fx, usage_of(fx).used);
}

static bool lacks_room(struct fixture *fx, struct command c)
{
    bool lacks;

    assert_int_equal(store_view_begin(fx->v), 0);
    lacks = store_view_lacks_room(fx->v, &c);
    store_view_end(fx->v);
    return lacks;
}

/* Said before the proposal, and again when it is applied. */
static void assert_refused(struct fixture *fx, struct command c)
{
    uint64_t before = usage_of(fx).used;

    assert_true(lacks_room(fx, c));
    assert_int_equal(run(fx, c).rc, -ENOSPC);
    assert_int_equal(usage_of(fx).used, before);
}

static int answer(struct fixture *fx, struct command c)
{
    assert_false(lacks_room(fx, c));
    return run(fx, c).rc;
}

static void assert_done(struct fixture *fx, struct command c)
{
    assert_int_equal(answer(fx, c), 0);
}

/* ---- The quota ---- */

static void there_is_none_until_it_is_set(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(usage_of(fx).quota, 0);
    (void)do_create(fx, ROOT, "f");
    assert_int_equal(run(fx, make_quota(5, 0)).value, 5);
    assert_int_equal(usage_of(fx).quota, 5);
    assert_refused(fx, make_create(fx, ROOT, "g"));
}

static void the_first_one_does_not_replace_another(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(run(fx, make_quota(7, COMMAND_EXCLUSIVE)).value, 7);
    assert_int_equal(run(fx, make_quota(9, COMMAND_EXCLUSIVE)).value, 7);
    assert_int_equal(usage_of(fx).quota, 7);
    assert_int_equal(run(fx, make_quota(9, 0)).value, 9);
}

static void it_is_part_of_the_hash_and_survives_a_restart(void **state)
{
    struct fixture *fx = *state;
    uint64_t before, after;

    before = hash_of(fx);
    set_quota(fx, 12345);
    after = hash_of(fx);
    assert_int_not_equal(before, after);
    fixture_close(fx);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
    assert_int_equal(usage_of(fx).quota, 12345);
    assert_int_equal(hash_of(fx), after);
}

/* ---- What counts ---- */

static void everything_that_takes_room_counts(void **state)
{
    struct fixture *fx = *state;
    uint64_t base = usage_of(fx).used;
    uint64_t f = do_create(fx, ROOT, "f");

    assert_int_equal(usage_of(fx).used, base + MADE);
    do_write(fx, f, 0, "12345", 5);
    assert_int_equal(usage_of(fx).used, base + MADE + STORE_CHUNK_COST + 5);
    do_write(fx, f, 10 * CHUNK, "x", 1); /* a hole costs nothing */
    assert_int_equal(usage_of(fx).used, base + MADE + 2 * STORE_CHUNK_COST + 6);
    assert_int_equal(run(fx, make_link(f, ROOT, "g")).rc, 0);
    assert_int_equal(usage_of(fx).used,
                     base + MADE + STORE_NAME_COST + 2 * STORE_CHUNK_COST + 6);
    (void)do_mkdir(fx, ROOT, "d");
    assert_int_equal(run(fx, make_symlink(fx, ROOT, "s", "abc")).rc, 0);
    assert_int_equal(usage_of(fx).used, base + 3 * MADE + STORE_NAME_COST +
                                            3 * STORE_CHUNK_COST + 9);
}

static void a_removed_file_counts_until_nobody_holds_it(void **state)
{
    struct fixture *fx = *state;
    uint64_t before = usage_of(fx).used;
    uint64_t f = do_create(fx, ROOT, "f");

    do_write(fx, f, 0, "12345", 5);
    assert_int_equal(run(fx, make_unlink(ROOT, "f")).rc, 0);
    assert_int_equal(usage_of(fx).used,
                     before + STORE_INODE_COST + STORE_CHUNK_COST + 5);
    assert_int_equal(run(fx, make_release(&f, 1)).rc, 0);
    assert_int_equal(usage_of(fx).used, before);
}

static void
what_is_cut_from_a_large_file_counts_until_it_is_reaped(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    uint64_t before = usage_of(fx).used;

    do_write(fx, f, 2 * EXTENT, "12345", 5);
    do_truncate(fx, f, 0);
    assert_int_equal(usage_of(fx).used, before + STORE_CHUNK_COST + 5);
    reap_all(fx);
    assert_int_equal(usage_of(fx).used, before);
}

/* ---- At the brim ---- */

static void what_fits_to_the_byte_fits(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    uint64_t used = usage_of(fx).used;

    set_quota(fx, used + STORE_CHUNK_COST + 3);
    assert_refused(fx, make_write(f, 0, "1234", 4, 0));
    assert_done(fx, make_write(f, 0, "123", 3, 0));
    assert_refused(fx, make_write(f, 3, "4", 1, 0));
    assert_int_equal(usage_of(fx).used, usage_of(fx).quota);
}

static void what_grows_is_refused(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct command create = make_create(fx, ROOT, "new");

    fill_up(fx);
    assert_refused(fx, create);
    assert_refused(fx, make_mkdir(fx, ROOT, "new"));
    assert_refused(fx, make_symlink(fx, ROOT, "new", "target"));
    assert_refused(fx, make_link(f, ROOT, "new"));
    assert_refused(fx, make_write(f, 0, "x", 1, 0));
    assert_refused(fx, make_write(f, 0, "x", 1, COMMAND_APPENDS));
    create.op = COMMAND_WRITE;
    create.flags = COMMAND_CREATES | COMMAND_EXCLUSIVE;
    create.data = "x";
    create.data_size = 1;
    assert_refused(fx, create);
    assert_int_equal(lookup(fx, ROOT, "new"), 0);
}

static void what_does_not_grow_is_done_at_any_fill(void **state)
{
    struct fixture *fx = *state;
    struct command chmod_c = {
        .op = COMMAND_SETATTR, .attrs = COMMAND_MODE, .mode = S_IFREG | 0600};
    uint64_t f = do_create(fx, ROOT, "f"), d = do_mkdir(fx, ROOT, "d");

    do_write(fx, f, 0, "12345", 5);
    set_quota(fx, 1); /* far below what is used */
    chmod_c.inode = f;
    assert_done(fx, chmod_c);
    assert_done(fx, make_write(f, 0, "abcde", 5, 0));
    assert_done(fx, make_write(f, 0, "xyz", 3, COMMAND_TRUNCATES));
    assert_done(fx, make_truncate(f, 2));
    assert_done(fx, make_truncate(f, 1000000)); /* a hole */
    assert_done(fx, make_rename(ROOT, "f", d, "a-name-that-is-longer", 0));
    assert_int_equal(open_session(fx, "node-1", 1), 2);
    assert_done(fx, make_unlink(d, "a-name-that-is-longer"));
    assert_done(fx, make_release(&f, 1));
    assert_done(fx, make_rmdir(ROOT, "d"));
    assert_done(fx, make_reap(&f, 1, COMMAND_FORCE));
    assert_done(fx, make_quota(UINT64_C(1) << 30, 0));
    assert_done(fx, make_create(fx, ROOT, "g"));
}

/* `mkdir lock` must say EEXIST while another holds it, however full it is. */
static void what_is_wrong_for_another_reason_is_told_so(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct command c;

    fill_up(fx);
    assert_int_equal(answer(fx, make_mkdir(fx, ROOT, "f")), -EEXIST);
    assert_int_equal(answer(fx, make_link(f, ROOT, "f")), -EEXIST);
    assert_int_equal(answer(fx, make_symlink(fx, ROOT, "f", "t")), -EEXIST);
    assert_int_equal(answer(fx, make_mkdir(fx, f, "x")), -ENOTDIR);
    assert_int_equal(answer(fx, make_mkdir(fx, 9999, "x")), -ENOENT);
    assert_int_equal(answer(fx, make_write(9999, 0, "x", 1, 0)), -ENOENT);
    assert_int_equal(answer(fx, make_write(ROOT, 0, "x", 1, 0)), -EISDIR);
    assert_int_equal(answer(fx, make_write(f, PX_FILE_BYTES_MAX, "x", 1, 0)),
                     -EFBIG);
    c = make_create(fx, ROOT, "f");
    c.flags = COMMAND_EXCLUSIVE;
    assert_int_equal(answer(fx, c), -EEXIST);
    c.flags = 0;
    assert_int_equal(answer(fx, c), 0); /* it is there: nothing grows */
    c.op = COMMAND_WRITE;
    c.flags = COMMAND_CREATES | COMMAND_EXCLUSIVE;
    c.data = "x";
    c.data_size = 1;
    assert_int_equal(answer(fx, c), -EEXIST);
}

/* The old chunks of a large file are garbage, which counts: to write at an
 * offset in what is truncated is to have both. */
static void garbage_is_no_room_for_what_replaces_it(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");

    do_write(fx, f, EXTENT, "12345", 5);
    fill_up(fx);
    assert_refused(fx, make_write(f, EXTENT, "12345", 5, COMMAND_TRUNCATES));
    assert_done(fx, make_truncate(f, 0));
    assert_refused(fx, make_write(f, EXTENT, "12345", 5, 0));
    reap_all(fx);
    assert_done(fx, make_write(f, EXTENT, "12345", 5, 0));
}

/* ---- Anything ---- */

struct world {
    struct px_rand rand;
    struct fixture *fx;  /* its quota is set to the byte, before each command */
    struct fixture twin; /* has none: says what each command adds */
    uint64_t files[4];
    char name[2], new_name[2];
    uint8_t bytes[3 * STORE_CHUNK_BYTES];
};

static uint64_t below(struct world *w, uint64_t bound)
{
    return px_rand_below(&w->rand, bound);
}

static struct command_name any_name(struct world *w, char *room)
{
    room[0] = (char)('a' + below(w, 4));
    return (struct command_name){room, 1};
}

static struct command any_write(struct world *w)
{
    static const uint32_t flags[] = {0, COMMAND_TRUNCATES, COMMAND_APPENDS,
                                     COMMAND_TRUNCATES | COMMAND_APPENDS};
    struct command c =
        make_write(w->files[below(w, 4)], below(w, 4 * STORE_CHUNK_BYTES),
                   w->bytes, below(w, sizeof w->bytes), flags[below(w, 4)]);

    if (below(w, 2) == 0)
        c.offset = 0;
    if (below(w, 3) == 0) {
        c.flags |= COMMAND_CREATES;
        c.parent = ROOT;
        c.name = any_name(w, w->name);
        c.inode = fresh(w->fx);
        c.mode = S_IFREG | 0644;
    }
    return c;
}

static struct command any_command(struct world *w)
{
    uint64_t f = w->files[below(w, 4)];

    any_name(w, w->name);
    any_name(w, w->new_name);
    switch (below(w, 9)) {
    case 0:
        return make_create(w->fx, ROOT, w->name);
    case 1:
        return make_mkdir(w->fx, ROOT, w->name);
    case 2:
        return make_symlink(w->fx, ROOT, w->name, w->new_name);
    case 3:
        return make_link(f, ROOT, w->name);
    case 4:
        return make_unlink(ROOT, w->name);
    case 5:
        return make_rename(ROOT, w->name, ROOT, w->new_name, 0);
    case 6:
        return make_truncate(f, below(w, 4 * STORE_CHUNK_BYTES));
    case 7:
        return below(w, 2) == 0 ? make_release(&w->files[below(w, 4)], 1)
                                : make_rmdir(ROOT, w->name);
    default:
        return any_write(w);
    }
}

/* What the twin grew by is what must fit, and nothing less. */
static void try_at_the_brim(struct world *w, struct command c)
{
    uint64_t before = usage_of(&w->twin).used;
    struct store_result expected = run(&w->twin, c);
    uint64_t after = usage_of(&w->twin).used;
    struct store_result r;

    assert_int_equal(usage_of(w->fx).used, before);
    if (after > before) {
        set_quota(w->fx, after - 1);
        assert_refused(w->fx, c);
    }
    set_quota(w->fx, after > before ? after : 1);
    assert_false(lacks_room(w->fx, c));
    r = run(w->fx, c);
    assert_int_equal(r.rc, expected.rc);
    assert_int_equal(usage_of(w->fx).used, after);
    if (r.rc == 0 && (c.op == COMMAND_CREATE || c.op == COMMAND_WRITE))
        w->files[below(w, 4)] = r.inode;
}

static void exactly_what_a_command_adds_must_fit(void **state)
{
    const char *seed = getenv("PX_SEED");
    struct world w = {.fx = *state, .files = {9999, 9999, 9999, 9999}};

    px_rand_init(&w.rand, seed != NULL ? strtoull(seed, NULL, 0) : 1);
    fixture_open(&w.twin);
    w.twin.session = open_session(&w.twin, "node-0", 1);
    for (int step = 0; step < 4000; step++)
        try_at_the_brim(&w, any_command(&w));
    check(&w.twin);
    fixture_close(&w.twin);
    fixture_remove(&w.twin);
}

/* ---- Full and empty, again and again ---- */

#define QUOTA (UINT64_C(4) << 20)
#define ROUNDS 100
#define FILES_MAX 4096u

struct pile {
    struct fixture *fx;
    struct px_rand rand;
    uint64_t files[FILES_MAX];
    char names[FILES_MAX][16];
    size_t count;
    unsigned made; /* ever: names are new each time */
};

/* Files of all sizes, until the first that does not fit. */
static void fill(struct pile *p)
{
    static const uint8_t bytes[16 * STORE_CHUNK_BYTES];

    for (;;) {
        char *name = p->names[p->count];
        struct store_result r;
        struct command c;

        (void)snprintf(name, sizeof p->names[0], "f-%u", p->made++);
        c = make_create(p->fx, ROOT, name);
        c.op = COMMAND_WRITE;
        c.flags = COMMAND_CREATES;
        c.data = bytes;
        c.data_size = px_rand_below(&p->rand, sizeof bytes);
        r = run(p->fx, c);
        assert_true(r.rc == 0 || r.rc == -ENOSPC);
        if (r.rc < 0)
            return;
        p->files[p->count++] = r.inode;
        assert_true(p->count < FILES_MAX);
    }
}

/* All but a few, here and there. */
static void empty(struct pile *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (px_rand_below(&p->rand, 10) == 0) {
            p->files[kept] = p->files[i];
            memcpy(p->names[kept++], p->names[i], sizeof p->names[0]);
            continue;
        }
        assert_int_equal(run(p->fx, make_unlink(ROOT, p->names[i])).rc, 0);
        assert_int_equal(run(p->fx, make_release(&p->files[i], 1)).rc, 0);
    }
    p->count = kept;
    p->fx->orphans.count = 0;
}

static void filling_and_emptying_does_not_make_the_database_grow(void **state)
{
    static struct pile p;
    uint64_t early;

    p = (struct pile){.fx = *state};
    px_rand_init(&p.rand, 1);
    set_quota(p.fx, QUOTA);
    for (int round = 0; round < ROUNDS / 10; round++) {
        fill(&p);
        empty(&p);
    }
    early = usage_of(p.fx).file_bytes;
    assert_true(early < 3 * QUOTA);
    for (int round = 0; round < ROUNDS; round++) {
        fill(&p);
        /* What did not fit was a file of sixteen chunks at most. */
        assert_true(usage_of(p.fx).used + 17 * STORE_CHUNK_BYTES > QUOTA);
        empty(&p);
    }
    assert_true(usage_of(p.fx).file_bytes < early + early / 4);
}

#define room_test(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        room_test(there_is_none_until_it_is_set),
        room_test(the_first_one_does_not_replace_another),
        room_test(it_is_part_of_the_hash_and_survives_a_restart),
        room_test(everything_that_takes_room_counts),
        room_test(a_removed_file_counts_until_nobody_holds_it),
        room_test(what_is_cut_from_a_large_file_counts_until_it_is_reaped),
        room_test(what_fits_to_the_byte_fits),
        room_test(what_grows_is_refused),
        room_test(what_does_not_grow_is_done_at_any_fill),
        room_test(what_is_wrong_for_another_reason_is_told_so),
        room_test(garbage_is_no_room_for_what_replaces_it),
        room_test(exactly_what_a_command_adds_must_fit),
        room_test(filling_and_emptying_does_not_make_the_database_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
