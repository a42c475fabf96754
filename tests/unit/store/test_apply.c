/* store/apply_create.c, apply_remove.c: names that come and go, and every
 * errno on the way. */
#include "tests/unit/store/state_fixture.h"

#define EXPECT(fx, command, expected) \
    assert_int_equal(run((fx), (command)).rc, (expected))

/* ---- CREATE ---- */

static void a_created_file_is_empty_and_has_what_the_command_says(void **state)
{
    struct fixture *fx = *state;
    struct command c = make_create(fx, ROOT, "f");
    struct store_inode i;

    c.uid = 10;
    c.gid = 20;
    c.mode = S_IFREG | 04640;
    c.time = 12345;
    EXPECT(fx, c, 0);
    i = stat_of(fx, c.inode);
    assert_int_equal(i.mode, S_IFREG | 04640);
    assert_int_equal(i.links, 1);
    assert_int_equal(i.uid, 10);
    assert_int_equal(i.gid, 20);
    assert_int_equal(i.size, 0);
    assert_int_equal(i.blocks, 0);
    assert_int_equal(i.atime, 12345);
    assert_int_equal(i.mtime, 12345);
    assert_int_equal(i.ctime, 12345);
    assert_int_equal(i.created, fx->last);
    assert_int_equal(i.changed, fx->last);
    i = stat_of(fx, ROOT);
    assert_int_equal(i.mtime, 12345);
    assert_int_equal(i.ctime, 12345);
    assert_int_equal(i.changed, fx->last);
    assert_int_equal(i.size, 1);
    assert_int_equal(i.links, 2);
}

static void create_finds_the_file_that_is_there_unless_exclusive(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct command c = make_create(fx, ROOT, "f");
    struct store_result r = run(fx, c);

    assert_int_equal(r.rc, 0);
    assert_int_equal(r.inode, f);
    assert_int_equal(stat_rc(fx, c.inode), -ENOENT);
    c = make_create(fx, ROOT, "f");
    c.flags = COMMAND_EXCLUSIVE;
    EXPECT(fx, c, -EEXIST);
}

static void create_truncates_only_when_told(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct command c;

    do_write(fx, f, 0, "data", 4);
    EXPECT(fx, make_create(fx, ROOT, "f"), 0);
    assert_bytes(fx, f, 0, "data", 4);
    c = make_create(fx, ROOT, "f");
    c.flags = COMMAND_TRUNCATES;
    EXPECT(fx, c, 0);
    assert_int_equal(stat_of(fx, f).size, 0);
    assert_int_equal(usage_of(fx).data_bytes, 0);
}

static void create_over_something_else_is_refused(void **state)
{
    struct fixture *fx = *state;

    (void)do_mkdir(fx, ROOT, "d");
    EXPECT(fx, make_symlink(fx, ROOT, "l", "target"), 0);
    EXPECT(fx, make_create(fx, ROOT, "d"), -EISDIR);
    EXPECT(fx, make_create(fx, ROOT, "l"), -ESTALE); /* look again, follow */
}

/* The same for every operation that makes a name. */
static void a_name_needs_a_directory_that_is_there(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    uint64_t d = do_mkdir(fx, ROOT, "d");
    uint64_t nowhere = fresh(fx);
    struct {
        uint64_t parent;
        int rc;
    } cases[] = {{nowhere, -ENOENT}, {f, -ENOTDIR}, {d, -ENOENT}};

    EXPECT(fx, make_rmdir(ROOT, "d"), 0); /* still open somewhere, perhaps */
    assert_int_equal(stat_of(fx, d).links, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t p = cases[i].parent;
        int rc = cases[i].rc;

        EXPECT(fx, make_create(fx, p, "n"), rc);
        EXPECT(fx, make_mkdir(fx, p, "n"), rc);
        EXPECT(fx, make_symlink(fx, p, "n", "t"), rc);
        EXPECT(fx, make_link(f, p, "n"), rc);
        EXPECT(fx, make_rename(ROOT, "f", p, "n", 0), rc);
        EXPECT(fx, make_rename(p, "n", ROOT, "n", 0), rc);
        EXPECT(fx, make_unlink(p, "n"), rc);
        EXPECT(fx, make_rmdir(p, "n"), rc);
    }
    assert_int_equal(lookup(fx, ROOT, "f"), f);
}

static void a_new_inode_needs_a_number_of_its_own_session(void **state)
{
    struct fixture *fx = *state;
    uint64_t other = open_session(fx, "node-1", 1);
    uint64_t f = do_create(fx, ROOT, "f");
    const uint64_t bad[] = {
        1, 2,          255, 256, (other << STORE_INODE_SESSION_SHIFT) + 300,
        f, UINT64_MAX,
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct command c = make_create(fx, ROOT, "n");

        c.inode = bad[i];
        EXPECT(fx, c, -EINVAL);
        c = make_mkdir(fx, ROOT, "n");
        c.inode = bad[i];
        EXPECT(fx, c, -EINVAL);
        c = make_symlink(fx, ROOT, "n", "t");
        c.inode = bad[i];
        EXPECT(fx, c, -EINVAL);
        c = make_write(bad[i], 0, "x", 1, COMMAND_CREATES);
        c.parent = ROOT;
        c.name = name_of_text("n");
        EXPECT(fx, c, -EINVAL);
    }
    assert_int_equal(lookup(fx, ROOT, "n"), 0);
    assert_int_equal(usage_of(fx).inodes, 2);
}

/* ---- MKDIR, SYMLINK, LINK ---- */

static void directories_count_their_subdirectories_as_links(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d");

    assert_int_equal(stat_of(fx, d).links, 2);
    assert_int_equal(stat_of(fx, d).parent, ROOT);
    assert_int_equal(stat_of(fx, ROOT).links, 3);
    (void)do_mkdir(fx, d, "e");
    (void)do_create(fx, d, "f");
    assert_int_equal(stat_of(fx, d).links, 3);
    assert_int_equal(stat_of(fx, ROOT).links, 3);
    EXPECT(fx, make_rmdir(d, "e"), 0);
    assert_int_equal(stat_of(fx, d).links, 2);
}

static void a_name_that_is_there_is_not_made_again(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");

    EXPECT(fx, make_mkdir(fx, ROOT, "f"), -EEXIST);
    EXPECT(fx, make_symlink(fx, ROOT, "f", "t"), -EEXIST);
    EXPECT(fx, make_link(f, ROOT, "f"), -EEXIST);
}

static void a_setgid_directory_hands_its_group_down(void **state)
{
    struct fixture *fx = *state;
    struct command c = make_mkdir(fx, ROOT, "d");
    uint64_t d = c.inode, sub;

    c.gid = 77;
    c.mode = S_IFDIR | 02775;
    EXPECT(fx, c, 0);
    c = make_create(fx, d, "f");
    c.gid = 5;
    EXPECT(fx, c, 0);
    assert_int_equal(stat_of(fx, c.inode).gid, 77);
    assert_int_equal(stat_of(fx, c.inode).mode & S_ISGID, 0);
    sub = do_mkdir(fx, d, "sub");
    assert_int_equal(stat_of(fx, sub).gid, 77);
    assert_int_equal(stat_of(fx, sub).mode & S_ISGID, S_ISGID);
}

static void a_symbolic_link_keeps_its_target(void **state)
{
    struct fixture *fx = *state;
    char target[PX_SYMLINK_BYTES_MAX + 1], found[PX_SYMLINK_BYTES_MAX + 1];
    struct command c;

    memset(target, 't', sizeof target);
    target[PX_SYMLINK_BYTES_MAX] = '\0';
    c = make_symlink(fx, ROOT, "l", target);
    EXPECT(fx, c, 0);
    assert_int_equal(stat_of(fx, c.inode).size, PX_SYMLINK_BYTES_MAX);
    assert_int_equal(stat_of(fx, c.inode).mode, S_IFLNK | 0777);
    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_readlink(fx->v, c.inode, found, sizeof found),
                     PX_SYMLINK_BYTES_MAX);
    assert_memory_equal(found, target, PX_SYMLINK_BYTES_MAX);
    assert_int_equal(store_view_readlink(fx->v, c.inode, found, 3), 3);
    assert_int_equal(store_view_readlink(fx->v, ROOT, found, 3), -EINVAL);
    assert_int_equal(store_view_read(fx->v, c.inode, 0, found, 3), -EINVAL);
    store_view_end(fx->v);
}

static void a_link_is_the_same_file_under_two_names(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d"), f = do_create(fx, ROOT, "f");
    int64_t mtime = stat_of(fx, f).mtime;

    EXPECT(fx, make_link(f, d, "g"), 0);
    assert_int_equal(lookup(fx, d, "g"), f);
    assert_int_equal(stat_of(fx, f).links, 2);
    assert_int_equal(stat_of(fx, f).ctime, fx->time);
    assert_int_equal(stat_of(fx, f).mtime, mtime);
    assert_int_equal(stat_of(fx, d).mtime, fx->time);
    EXPECT(fx, make_unlink(ROOT, "f"), 0);
    assert_int_equal(stat_of(fx, f).links, 1);
    assert_int_equal(lookup(fx, d, "g"), f);
}

static void links_that_can_not_be_are_refused(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d"), f = do_create(fx, ROOT, "f");

    EXPECT(fx, make_link(d, ROOT, "g"), -EPERM);
    EXPECT(fx, make_link(fresh(fx), ROOT, "g"), -ENOENT);
    EXPECT(fx, make_unlink(ROOT, "f"), 0);
    EXPECT(fx, make_link(f, ROOT, "g"), -ENOENT); /* an orphan */
}

/* In batches: 65,000 links one by one would take a while. */
static void apply_batch(struct fixture *fx, struct command *commands,
                        size_t count, struct store_result *results)
{
    struct raft_entry *entries = calloc(count, sizeof *entries);

    for (size_t i = 0; i < count; i++) {
        entries[i].pos = (struct raft_pos){.term = 1, .index = fx->last + 1};
        entries[i].kind = RAFT_ENTRY_COMMAND;
        commands[i].session = fx->session;
        commands[i].sequence = ++fx->sequence;
        commands[i].floor = fx->sequence;
        assert_int_equal(command_encode(&commands[i], &entries[i].data), 0);
        fx->last++;
    }
    assert_int_equal(store_apply(fx->s, entries, count, results, &fx->orphans),
                     0);
    for (size_t i = 0; i < count; i++)
        px_slice_unref(&entries[i].data);
    free(entries);
}

static void links_are_bounded(void **state)
{
    enum { BATCH = 500 };
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f"), made = 1;
    struct command commands[BATCH];
    struct store_result results[BATCH];
    char names[BATCH][16];

    while (made < PX_LINKS_MAX) {
        for (size_t i = 0; i < BATCH; i++) {
            (void)snprintf(names[i], sizeof names[i], "l%zu", (size_t)made + i);
            commands[i] = make_link(f, ROOT, names[i]);
        }
        apply_batch(fx, commands, BATCH, results);
        for (size_t i = 0; i < BATCH; i++, made++)
            assert_int_equal(results[i].rc, made < PX_LINKS_MAX ? 0 : -EMLINK);
    }
    assert_int_equal(stat_of(fx, f).links, PX_LINKS_MAX);
}

static void subdirectories_are_bounded(void **state)
{
    enum { BATCH = 500 };
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d"), links = 2, away;
    struct command commands[BATCH];
    struct store_result results[BATCH];
    char names[BATCH][16];

    while (links < PX_LINKS_MAX) {
        for (size_t i = 0; i < BATCH; i++) {
            (void)snprintf(names[i], sizeof names[i], "s%zu",
                           (size_t)links + i);
            commands[i] = make_mkdir(fx, d, names[i]);
        }
        apply_batch(fx, commands, BATCH, results);
        for (size_t i = 0; i < BATCH; i++, links++)
            assert_int_equal(results[i].rc, links < PX_LINKS_MAX ? 0 : -EMLINK);
    }
    assert_int_equal(stat_of(fx, d).links, PX_LINKS_MAX);
    away = do_mkdir(fx, ROOT, "away");
    EXPECT(fx, make_rename(ROOT, "away", d, "in", 0), -EMLINK);
    (void)do_create(fx, away, "file");
    EXPECT(fx, make_rename(away, "file", d, "in", 0), 0);
    EXPECT(fx, make_rename(ROOT, "away", d, "in", COMMAND_EXCHANGE), -EMLINK);
    EXPECT(fx, make_rename(ROOT, "away", d, "s100", 0), 0); /* makes room */
}

/* ---- UNLINK and RMDIR ---- */

static void unlink_and_rmdir_know_what_they_remove(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d");

    (void)do_create(fx, ROOT, "f");
    (void)do_create(fx, d, "inside");
    EXPECT(fx, make_unlink(ROOT, "none"), -ENOENT);
    EXPECT(fx, make_rmdir(ROOT, "none"), -ENOENT);
    EXPECT(fx, make_unlink(ROOT, "d"), -EISDIR);
    EXPECT(fx, make_rmdir(ROOT, "f"), -ENOTDIR);
    EXPECT(fx, make_rmdir(ROOT, "d"), -ENOTEMPTY);
    EXPECT(fx, make_unlink(d, "inside"), 0);
    EXPECT(fx, make_rmdir(ROOT, "d"), 0);
    EXPECT(fx, make_unlink(ROOT, "f"), 0);
    assert_int_equal(lookup(fx, ROOT, "d"), 0);
    assert_int_equal(lookup(fx, ROOT, "f"), 0);
    assert_int_equal(stat_of(fx, ROOT).size, 0);
    assert_int_equal(stat_of(fx, ROOT).links, 2);
    assert_int_equal(stat_of(fx, ROOT).mtime, fx->time);
}

/* ---- Time ---- */

/* Truncations of files of 100 chunks each, and no more than 150 at a time. */
static void a_part_of_a_batch_ends_by_the_work_it_met(void **state)
{
    enum { FILES = 4, CHUNKS = 100 };
    struct fixture *fx = *state;
    static uint8_t data[CHUNKS * STORE_CHUNK_BYTES];
    struct raft_entry entries[FILES];
    struct store_result results[FILES];
    uint64_t files[FILES];
    raft_index before;
    int parts[FILES];
    int count = 0;
    int done = 0;

    for (int i = 0; i < FILES; i++) {
        char name[] = {'f', (char)('0' + i), '\0'};

        files[i] = do_create(fx, ROOT, name);
        do_write(fx, files[i], 0, data, sizeof data);
    }
    before = fx->last;
    for (int i = 0; i < FILES; i++) {
        struct command c = make_truncate(files[i], 0);

        c.session = fx->session;
        c.sequence = c.floor = ++fx->sequence;
        entries[i].pos = (struct raft_pos){.term = 1, .index = ++fx->last};
        entries[i].kind = RAFT_ENTRY_COMMAND;
        assert_int_equal(command_encode(&c, &entries[i].data), 0);
    }
    while (done < FILES) {
        parts[count] =
            store_apply_some(fx->s, entries + done, (size_t)(FILES - done), 150,
                             results + done, &fx->orphans);
        assert_true(parts[count] > 0);
        done += parts[count++];
        assert_int_equal(store_state_applied(fx->s).index,
                         before + (raft_index)done);
    }
    assert_int_equal(count, 2);
    assert_int_equal(parts[0], 2);
    assert_int_equal(parts[1], 2);
    for (int i = 0; i < FILES; i++) {
        assert_int_equal(results[i].rc, 0);
        px_slice_unref(&entries[i].data);
    }
    assert_int_equal(usage_of(fx).data_bytes, 0);
}

/* Without a byte in any of them. */
static void the_inodes_that_a_release_or_reap_names_are_work(void **state)
{
    enum { FILES = 3 };
    struct fixture *fx = *state;
    struct raft_entry entries[3];
    struct store_result results[3];
    uint64_t files[2 * FILES] = {0};
    struct command list[3] = {make_release(files, FILES),
                              make_reap(files + FILES, FILES, COMMAND_FORCE),
                              make_create(fx, ROOT, "last")};

    for (int i = 0; i < 2 * FILES; i++) {
        files[i] = do_create(fx, ROOT, "f");
        EXPECT(fx, make_unlink(ROOT, "f"), 0);
    }
    for (int i = 0; i < 3; i++) {
        list[i].session = fx->session;
        list[i].sequence = list[i].floor = ++fx->sequence;
        entries[i].pos = (struct raft_pos){.term = 1, .index = ++fx->last};
        entries[i].kind = RAFT_ENTRY_COMMAND;
        assert_int_equal(command_encode(&list[i], &entries[i].data), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store_apply_some(fx->s, entries + i, 3 - (size_t)i,
                                          FILES, results + i, &fx->orphans),
                         1);
        assert_int_equal(results[i].rc, 0);
        px_slice_unref(&entries[i].data);
    }
    assert_int_equal(usage_of(fx).orphans, 0);
}

static void the_time_of_the_log_never_runs_backwards(void **state)
{
    struct fixture *fx = *state;
    struct command c = make_create(fx, ROOT, "early");

    c.time = 1000;
    EXPECT(fx, c, 0);
    c = make_create(fx, ROOT, "late");
    c.time = 400; /* a node whose clock lags */
    EXPECT(fx, c, 0);
    assert_int_equal(stat_of(fx, c.inode).mtime, 1000);
    assert_int_equal(stat_of(fx, ROOT).mtime, 1000);
    c = make_create(fx, ROOT, "later");
    c.time = 1001;
    EXPECT(fx, c, 0);
    assert_int_equal(stat_of(fx, c.inode).mtime, 1001);
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_created_file_is_empty_and_has_what_the_command_says),
        T(create_finds_the_file_that_is_there_unless_exclusive),
        T(create_truncates_only_when_told),
        T(create_over_something_else_is_refused),
        T(a_name_needs_a_directory_that_is_there),
        T(a_new_inode_needs_a_number_of_its_own_session),
        T(directories_count_their_subdirectories_as_links),
        T(a_name_that_is_there_is_not_made_again),
        T(a_setgid_directory_hands_its_group_down),
        T(a_symbolic_link_keeps_its_target),
        T(a_link_is_the_same_file_under_two_names),
        T(links_that_can_not_be_are_refused),
        T(links_are_bounded),
        T(subdirectories_are_bounded),
        T(unlink_and_rmdir_know_what_they_remove),
        T(a_part_of_a_batch_ends_by_the_work_it_met),
        T(the_inodes_that_a_release_or_reap_names_are_work),
        T(the_time_of_the_log_never_runs_backwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
