/* store/apply_write.c and store/data.c: bytes at every border. */
#include "tests/unit/store/state_fixture.h"

#include "base/rand.h"

#define EXPECT(fx, command, expected) \
    assert_int_equal(run((fx), (command)).rc, (expected))

static uint8_t *noise(size_t size, uint64_t seed)
{
    uint8_t *bytes = malloc(size);
    struct px_rand rand;

    assert_non_null(bytes);
    px_rand_init(&rand, seed);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)px_rand_next(&rand);
    return bytes;
}

/* ---- Where bytes lie ---- */

static void bytes_are_read_back_across_chunk_borders(void **state)
{
    static const uint64_t offsets[] = {0,
                                       1,
                                       CHUNK - 1,
                                       CHUNK,
                                       CHUNK + 1,
                                       2 * CHUNK,
                                       EXTENT - 1,
                                       EXTENT,
                                       EXTENT + 1,
                                       EXTENT - CHUNK,
                                       3 * EXTENT + 5};
    static const size_t sizes[] = {1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 20000};
    struct fixture *fx = *state;
    uint8_t *bytes = noise(20000, 1);
    char name[16];

    for (size_t o = 0; o < sizeof offsets / sizeof offsets[0]; o++) {
        for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
            uint64_t f;
            struct store_result r;

            (void)snprintf(name, sizeof name, "f-%zu-%zu", o, n);
            f = do_create(fx, ROOT, name);
            r = run(fx, make_write(f, offsets[o], bytes, sizes[n], 0));
            assert_int_equal(r.rc, 0);
            assert_int_equal(r.inode, f);
            assert_int_equal(r.value, offsets[o] + sizes[n]);
            assert_int_equal(stat_of(fx, f).size, r.value);
            assert_bytes(fx, f, offsets[o], bytes, sizes[n]);
            if (offsets[o] > 0)
                assert_zeros(fx, f, offsets[o] - 1, 1);
            /* From the middle, and no further than the end. */
            assert_bytes(fx, f, offsets[o] + sizes[n] / 2, bytes + sizes[n] / 2,
                         sizes[n] - sizes[n] / 2);
        }
    }
    free(bytes);
}

static void reading_stops_at_the_end(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    char found[64];

    do_write(fx, f, 0, "0123456789", 10);
    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_read(fx->v, f, 0, found, 64), 10);
    assert_int_equal(store_view_read(fx->v, f, 7, found, 64), 3);
    assert_int_equal(store_view_read(fx->v, f, 10, found, 64), 0);
    assert_int_equal(store_view_read(fx->v, f, UINT64_MAX, found, 64), 0);
    assert_int_equal(store_view_read(fx->v, f, 2, found, 0), 0);
    assert_int_equal(store_view_read(fx->v, ROOT, 0, found, 64), -EISDIR);
    assert_int_equal(store_view_read(fx->v, 999, 0, found, 64), -ENOENT);
    store_view_end(fx->v);
}

static void an_overwrite_changes_only_its_range(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    size_t size = 3 * CHUNK;
    uint8_t *model = noise(size, 1), *patch = noise(size, 2);
    static const struct {
        uint64_t offset;
        size_t size;
    } patches[] = {{0, 1},         {10, 100},          {CHUNK - 1, 2},
                   {CHUNK, CHUNK}, {3 * CHUNK - 1, 1}, {5, 2 * CHUNK},
                   {CHUNK + 7, 1}, {0, 3 * CHUNK}};

    do_write(fx, f, 0, model, size);
    for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++) {
        do_write(fx, f, patches[i].offset, patch, patches[i].size);
        memcpy(model + patches[i].offset, patch, patches[i].size);
        assert_bytes(fx, f, 0, model, size);
        assert_int_equal(stat_of(fx, f).size, size);
    }
    assert_int_equal(usage_of(fx).data_bytes, size);
    free(model);
    free(patch);
}

static void holes_read_as_zeros_and_store_nothing(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");

    do_write(fx, f, 0, "head", 4);
    do_write(fx, f, 5 * EXTENT + 3, "tail", 4);
    assert_bytes(fx, f, 0, "head", 4);
    assert_zeros(fx, f, 4, 3 * CHUNK);
    assert_zeros(fx, f, EXTENT - 10, 20);
    assert_zeros(fx, f, 5 * EXTENT, 3);
    assert_bytes(fx, f, 5 * EXTENT + 3, "tail", 4);
    assert_int_equal(stat_of(fx, f).size, 5 * EXTENT + 7);
    assert_int_equal(usage_of(fx).data_bytes, 4 + 7);
    assert_int_equal(stat_of(fx, f).blocks, 1);
}

/* ---- Sizes ---- */

static void a_cut_file_shows_nothing_old_when_it_grows_again(void **state)
{
    static const uint64_t cuts[] = {0,          1,         CHUNK - 1,
                                    CHUNK,      CHUNK + 1, 2 * CHUNK,
                                    EXTENT - 1, EXTENT,    EXTENT + 1};
    struct fixture *fx = *state;
    size_t size = EXTENT + 3 * CHUNK;
    uint8_t *bytes = noise(size, 1);
    char name[16];

    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        uint64_t f;
        size_t cut = cuts[i];

        (void)snprintf(name, sizeof name, "f%zu", i);
        f = do_create(fx, ROOT, name);
        for (size_t at = 0; at < size; at += PX_MIB)
            do_write(fx, f, at, bytes + at,
                     size - at < PX_MIB ? size - at : PX_MIB);
        do_truncate(fx, f, cut);
        assert_int_equal(stat_of(fx, f).size, cut);
        do_truncate(fx, f, size);
        assert_int_equal(stat_of(fx, f).size, size);
        assert_bytes(fx, f, 0, bytes, cut);
        assert_zeros(fx, f, cut, size - cut);
        /* Grown by a write instead: the same zeros before it. */
        do_truncate(fx, f, cut);
        do_write(fx, f, size - 1, "x", 1);
        assert_zeros(fx, f, cut, size - cut - 1);
        check(fx);
        EXPECT(fx, make_unlink(ROOT, name), 0);
        EXPECT(fx, make_release(&f, 1), 0);
        reap_all(fx);
        assert_int_equal(usage_of(fx).data_bytes, 0);
    }
    free(bytes);
}

static void cutting_a_large_file_leaves_garbage_for_later(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f"), garbage[8];
    uint8_t *bytes = noise(PX_MIB, 1);

    for (uint64_t at = 0; at < 3 * EXTENT; at += PX_MIB)
        do_write(fx, f, at, bytes, PX_MIB);
    assert_int_equal(reapable(fx, garbage, 8), 0);
    do_truncate(fx, f, 5);
    assert_int_equal(stat_of(fx, f).size, 5);
    assert_int_equal(stat_of(fx, f).blocks, 1);
    /* Extents 1 and 2, and what lies in the third MiB-wise. */
    assert_true(usage_of(fx).data_bytes >= 2 * EXTENT);
    assert_int_equal(usage_of(fx).orphans, 3);
    assert_int_equal(reapable(fx, garbage, 8), 3);
    /* It grows into the same range meanwhile, and is cut again. */
    do_write(fx, f, EXTENT, "new", 3);
    assert_bytes(fx, f, EXTENT, "new", 3);
    assert_zeros(fx, f, 5, EXTENT - 5);
    do_truncate(fx, f, EXTENT);
    assert_int_equal(usage_of(fx).orphans, 4);
    reap_all(fx);
    assert_int_equal(usage_of(fx).orphans, 0);
    assert_int_equal(usage_of(fx).data_bytes, 5);
    assert_bytes(fx, f, 0, bytes, 5);
    free(bytes);
}

static void files_are_bounded(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct command c;

    EXPECT(fx, make_write(f, PX_FILE_BYTES_MAX, "x", 1, 0), -EFBIG);
    EXPECT(fx, make_write(f, UINT64_MAX, "x", 1, 0), -EFBIG);
    EXPECT(fx, make_truncate(f, PX_FILE_BYTES_MAX + 1), -EFBIG);
    assert_int_equal(stat_of(fx, f).size, 0);
    EXPECT(fx, make_write(f, PX_FILE_BYTES_MAX - 1, "x", 1, 0), 0);
    EXPECT(fx, make_write(f, 0, "x", 1, COMMAND_APPENDS), -EFBIG);
    EXPECT(fx, make_truncate(f, PX_FILE_BYTES_MAX), 0);
    /* A file that would be too large is not made either. */
    c = make_write(fresh(fx), PX_FILE_BYTES_MAX, "x", 1, COMMAND_CREATES);
    c.parent = ROOT;
    c.name = name_of_text("g");
    EXPECT(fx, c, -EFBIG);
    assert_int_equal(lookup(fx, ROOT, "g"), 0);
}

/* ---- WRITE's flags ---- */

static struct command staged(struct fixture *fx, const char *name,
                             const char *text, uint32_t flags)
{
    struct command c =
        make_write(fresh(fx), 0, text, strlen(text), flags | COMMAND_CREATES);

    c.parent = ROOT;
    c.name = name_of_text(name);
    c.mode = S_IFREG | 0600;
    return c;
}

static void a_staged_create_makes_the_file_with_its_bytes(void **state)
{
    struct fixture *fx = *state;
    struct command c = staged(fx, "f", "hello", 0);
    struct store_result r = run(fx, c);

    assert_int_equal(r.rc, 0);
    assert_int_equal(r.inode, c.inode);
    assert_int_equal(r.value, 5);
    assert_int_equal(stat_of(fx, c.inode).mode, S_IFREG | 0600);
    assert_bytes(fx, c.inode, 0, "hello", 5);
    assert_int_equal(lookup(fx, ROOT, "f"), c.inode);
}

static void a_staged_create_meets_what_another_node_made(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct command c;
    struct store_result r;

    do_write(fx, f, 0, "longer than it", 14);
    r = run(fx, staged(fx, "f", "new", COMMAND_TRUNCATES));
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.inode, f);
    assert_int_equal(r.value, 3);
    assert_bytes(fx, f, 0, "new", 3);
    EXPECT(fx, staged(fx, "f", "x", COMMAND_EXCLUSIVE), -EEXIST);
    (void)do_mkdir(fx, ROOT, "d");
    EXPECT(fx, staged(fx, "d", "x", 0), -EISDIR);
    EXPECT(fx, make_symlink(fx, ROOT, "l", "t"), 0);
    EXPECT(fx, staged(fx, "l", "x", 0), -ESTALE);
    c = staged(fx, "n", "x", 0);
    c.parent = fresh(fx);
    EXPECT(fx, c, -ENOENT);
}

static void a_truncating_write_replaces_the_value_at_any_size(void **state)
{
    static const size_t sizes[] = {0,     1,         300,           256,
                                   CHUNK, CHUNK + 1, CHUNK - 1,     100000,
                                   7,     100000,    2 * CHUNK + 1, 0};
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *bytes = noise(sizes[i] + 1, i);

        EXPECT(fx, make_write(f, 0, bytes, sizes[i], COMMAND_TRUNCATES), 0);
        assert_int_equal(stat_of(fx, f).size, sizes[i]);
        assert_bytes(fx, f, 0, bytes, sizes[i]);
        assert_int_equal(usage_of(fx).data_bytes, sizes[i]);
        free(bytes);
    }
    do_write(fx, f, 0, "0123456789", 10);
    EXPECT(fx, make_write(f, 4, "x", 1, COMMAND_TRUNCATES), 0);
    assert_bytes(fx, f, 0, "\0\0\0\0x", 5);
    assert_int_equal(stat_of(fx, f).size, 5);
}

static void appends_go_to_the_end_as_it_is_then(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct store_result r;

    EXPECT(fx, make_write(f, 999, "one\n", 4, COMMAND_APPENDS), 0);
    r = run(fx, make_write(f, 0, "two\n", 4, COMMAND_APPENDS));
    assert_int_equal(r.value, 8);
    do_truncate(fx, f, CHUNK - 2);
    EXPECT(fx, make_write(f, 0, "cross", 5, COMMAND_APPENDS), 0);
    assert_bytes(fx, f, 0, "one\ntwo\n", 8);
    assert_bytes(fx, f, CHUNK - 2, "cross", 5);
    EXPECT(fx, make_write(f, 0, "new", 3, COMMAND_APPENDS | COMMAND_TRUNCATES),
           0);
    assert_bytes(fx, f, 0, "new", 3);
    assert_int_equal(stat_of(fx, f).size, 3);
    r = run(fx, staged(fx, "g", "first\n", COMMAND_APPENDS));
    assert_int_equal(r.value, 6);
}

static void a_write_of_nothing_changes_nothing(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    uint64_t changed = stat_of(fx, f).changed;

    do_write(fx, f, 100, "", 0);
    assert_int_equal(stat_of(fx, f).size, 0);
    assert_int_equal(stat_of(fx, f).changed, changed);
}

static void only_files_are_written(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d");
    struct command l = make_symlink(fx, ROOT, "l", "t");

    EXPECT(fx, l, 0);
    EXPECT(fx, make_write(fresh(fx), 0, "x", 1, 0), -ENOENT);
    EXPECT(fx, make_write(d, 0, "x", 1, 0), -EISDIR);
    EXPECT(fx, make_write(l.inode, 0, "x", 1, 0), -EINVAL);
    EXPECT(fx, make_truncate(fresh(fx), 0), -ENOENT);
    EXPECT(fx, make_truncate(d, 0), -EISDIR);
    EXPECT(fx, make_truncate(l.inode, 0), -EINVAL);
}

/* ---- Attributes ---- */

static struct command setattr(uint64_t inode, uint32_t attrs)
{
    return (struct command){
        .op = COMMAND_SETATTR, .inode = inode, .attrs = attrs};
}

static void attributes_are_set_and_only_those_given(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct command c = setattr(f, COMMAND_MODE | COMMAND_ATIME);
    struct store_inode before = stat_of(fx, f), i;

    c.mode = 04711;
    c.atime = -5;
    c.mtime = 99;
    c.attr_uid = 1;
    EXPECT(fx, c, 0);
    i = stat_of(fx, f);
    assert_int_equal(i.mode, S_IFREG | 04711);
    assert_int_equal(i.atime, -5);
    assert_int_equal(i.mtime, before.mtime);
    assert_int_equal(i.uid, before.uid);
    assert_int_equal(i.ctime, fx->time);
    assert_int_equal(i.changed, fx->last);
    c = setattr(f, COMMAND_ATIME_NOW | COMMAND_MTIME_NOW | COMMAND_UID);
    c.attr_uid = 7;
    EXPECT(fx, c, 0);
    i = stat_of(fx, f);
    assert_int_equal(i.atime, fx->time);
    assert_int_equal(i.mtime, fx->time);
    assert_int_equal(i.uid, 7);
    assert_int_equal(i.gid, before.gid);
    EXPECT(fx, setattr(fresh(fx), COMMAND_MODE), -ENOENT);
}

static uint32_t mode_after(struct fixture *fx, uint64_t f, uint32_t mode,
                           struct command c)
{
    struct command chmod = setattr(f, COMMAND_MODE);

    chmod.mode = mode;
    EXPECT(fx, chmod, 0);
    EXPECT(fx, c, 0);
    return stat_of(fx, f).mode & 07777;
}

static void set_id_bits_go_when_content_or_owner_changes(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f"), d = do_mkdir(fx, ROOT, "d");
    struct command chown = setattr(f, COMMAND_UID);
    struct command keeps = make_truncate(f, 3);

    assert_int_equal(mode_after(fx, f, 06755, make_write(f, 0, "x", 1, 0)),
                     0755);
    assert_int_equal(mode_after(fx, f, 06745, make_write(f, 0, "x", 1, 0)),
                     02745); /* no group execution: mandatory locking */
    assert_int_equal(
        mode_after(fx, f, 06755, make_write(f, 0, "x", 1, COMMAND_KEEPS_SETID)),
        06755);
    assert_int_equal(mode_after(fx, f, 06755, make_write(f, 0, "", 0, 0)),
                     06755);
    assert_int_equal(mode_after(fx, f, 06755, make_truncate(f, 0)), 0755);
    keeps.flags = COMMAND_KEEPS_SETID;
    assert_int_equal(mode_after(fx, f, 06755, keeps), 06755);
    assert_int_equal(mode_after(fx, f, 06755, chown), 0755);
    assert_int_equal(mode_after(fx, f, 06745, chown), 02745);
    chown.inode = d;
    assert_int_equal(mode_after(fx, d, 06755, chown), 06755);
    chown.attrs |= COMMAND_MODE;
    chown.inode = f;
    chown.mode = 04700;
    assert_int_equal(mode_after(fx, f, 0644, chown), 04700); /* said outright */
}

static void changing_bytes_changes_the_times(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct command c;

    do_write(fx, f, 0, "x", 1);
    assert_int_equal(stat_of(fx, f).mtime, fx->time);
    assert_int_equal(stat_of(fx, f).ctime, fx->time);
    assert_int_equal(stat_of(fx, f).changed, fx->last);
    do_truncate(fx, f, 1);
    assert_int_equal(stat_of(fx, f).mtime, fx->time);
    c = make_truncate(f, 0);
    c.attrs |= COMMAND_MTIME;
    c.mtime = 3;
    EXPECT(fx, c, 0);
    assert_int_equal(stat_of(fx, f).mtime, 3);
    assert_int_equal(stat_of(fx, f).ctime, fx->time);
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(bytes_are_read_back_across_chunk_borders),
        T(reading_stops_at_the_end),
        T(an_overwrite_changes_only_its_range),
        T(holes_read_as_zeros_and_store_nothing),
        T(a_cut_file_shows_nothing_old_when_it_grows_again),
        T(cutting_a_large_file_leaves_garbage_for_later),
        T(files_are_bounded),
        T(a_staged_create_makes_the_file_with_its_bytes),
        T(a_staged_create_meets_what_another_node_made),
        T(a_truncating_write_replaces_the_value_at_any_size),
        T(appends_go_to_the_end_as_it_is_then),
        T(a_write_of_nothing_changes_nothing),
        T(only_files_are_written),
        T(attributes_are_set_and_only_those_given),
        T(set_id_bits_go_when_content_or_owner_changes),
        T(changing_bytes_changes_the_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
