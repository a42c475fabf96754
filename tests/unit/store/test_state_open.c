/* store/state.c and boot.c: what is believed at open, and what a crash leaves. */
#include "tests/unit/store/state_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "store/boot.h"
#include "store/hash.h"

/* Opens without the fixture's expectations. */
static int try_open(struct fixture *fx, const char *boot_id,
                    enum store_state_origin *origin, char *why, size_t why_size)
{
    struct store_state_options options = {.dir = fx->dir, .boot_id = boot_id};

    return store_state_open(&options, &fx->s, origin, why, why_size);
}

static int read_note(const struct fixture *fx, struct store_boot *note_out)
{
    struct store_disk *disk;
    int rc;

    assert_int_equal(store_disk_open(fx->dir, &disk), 0);
    rc = store_boot_read(disk, note_out);
    store_disk_close(disk);
    return rc;
}

/* What is left when the process dies: nothing is synced or noted. */
static void die(struct fixture *fx)
{
    store_view_free(fx->v);
    store_state_abandon(fx->s);
    fx->v = NULL;
    fx->s = NULL;
}

static void a_new_state_is_an_empty_root(void **state)
{
    struct fixture fx;
    struct store_inode root;

    (void)state;
    fixture_open(&fx);
    root = stat_of(&fx, ROOT);
    assert_int_equal(root.mode, S_IFDIR | 0755);
    assert_int_equal(root.links, 2);
    assert_int_equal(root.parent, ROOT);
    assert_int_equal(store_state_applied(fx.s).index, 0);
    assert_int_equal(store_state_applied(fx.s).term, 0);
    check(&fx);
    fixture_close(&fx);
    fixture_remove(&fx);
}

static void after_a_clean_close_the_state_is_kept_on_any_boot(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f"), hash = hash_of(fx);
    raft_index last = fx->last;

    fixture_close(fx);
    fixture_reopen(fx, "boot-2", false, STORE_STATE_KEPT);
    assert_int_equal(lookup(fx, ROOT, "f"), f);
    assert_int_equal(hash_of(fx), hash);
    assert_int_equal(fx->last, last);
}

static void after_a_crash_of_the_process_the_state_is_kept(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");

    die(fx);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
    assert_int_equal(lookup(fx, ROOT, "f"), f);
}

static void after_a_crash_of_the_machine_the_state_starts_empty(void **state)
{
    struct fixture *fx = *state;

    (void)do_create(fx, ROOT, "f");
    die(fx);
    fixture_reopen(fx, "boot-2", false, STORE_STATE_DISTRUSTED);
    assert_int_equal(lookup(fx, ROOT, "f"), 0);
    assert_int_equal(fx->last, 0);
}

static void an_abandoned_state_is_not_noted_as_clean(void **state)
{
    struct fixture *fx = *state;
    struct store_boot note;

    (void)do_create(fx, ROOT, "f");
    store_view_free(fx->v);
    store_state_abandon(fx->s);
    store_state_abandon(NULL);
    assert_int_equal(read_note(fx, &note), 0);
    assert_false(note.is_clean);
    assert_string_equal(note.id, "boot-1");
    fixture_reopen(fx, "boot-2", false, STORE_STATE_DISTRUSTED);
}

static void distrust_on_request_empties_a_clean_state(void **state)
{
    struct fixture *fx = *state;

    (void)do_create(fx, ROOT, "f");
    fixture_close(fx);
    fixture_reopen(fx, "boot-1", true, STORE_STATE_DISTRUSTED);
    assert_int_equal(lookup(fx, ROOT, "f"), 0);
    fixture_close(fx);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
}

static void overwrite(struct fixture *fx, const char *file, const char *text)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", fx->dir, file);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void a_damaged_note_is_not_believed(void **state)
{
    static const char *const notes[] = {
        "",
        "phalanx-state 3 clean\n",
        "phalanx-state 4 clean boot-1",
        "phalanx-state 4 clean boot-1 \n",
        "phalanx-state  3 clean boot-1\n",
        "phalanx-state 0 clean boot-1\n",
        "phalanx-state 04 clean boot-1\n",
        "phalanx-state 4",
        "phalanx-state 3 cleaner boot-1\n",
        "phalanx-state 3 fresh boot-1\n",
        "phalanx-state 3 damage boot-1\n",
        "phalanx-state 4 damaged boot-1\n",
        "phalanx-state 4 closing boot-1\n",
        "rubbish\n",
    };
    struct fixture *fx = *state;

    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        fx->session = open_session(fx, "node-0", i + 10);
        fx->sequence = 0;
        (void)do_create(fx, ROOT, "f");
        fixture_close(fx);
        overwrite(fx, "boot", notes[i]);
        fixture_reopen(fx, "boot-1", false, STORE_STATE_DISTRUSTED);
        assert_int_equal(lookup(fx, ROOT, "f"), 0);
    }
}

/* Somebody may just have been impatient; LMDB crashes there again. */
static void a_start_that_ended_while_it_looked_is_forgiven(void **state)
{
    struct fixture *fx = *state;

    (void)do_create(fx, ROOT, "f");
    fixture_close(fx);
    overwrite(fx, "boot", "phalanx-state 4 looking boot-1\n");
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
    assert_true(lookup(fx, ROOT, "f") > 0);
    fixture_close(fx);
    overwrite(fx, "boot", "phalanx-state 4 looking boot-1\n");
    fixture_reopen(fx, "boot-2", false, STORE_STATE_DISTRUSTED);
}

static void an_older_format_is_rebuilt_and_said(void **state)
{
    struct fixture *fx = *state;
    enum store_state_origin origin;
    char why[128];

    (void)do_create(fx, ROOT, "f");
    fixture_close(fx);
    overwrite(fx, "boot", "phalanx-state 2 clean boot-1\n");
    assert_int_equal(try_open(fx, "boot-1", &origin, why, sizeof why), 0);
    assert_int_equal(origin, STORE_STATE_DISTRUSTED);
    assert_non_null(strstr(why, "older program"));
    assert_int_equal(store_view_new(fx->s, &fx->v), 0);
    assert_int_equal(lookup(fx, ROOT, "f"), 0);
}

static void a_database_without_a_note_is_not_believed(void **state)
{
    struct fixture *fx = *state;
    char path[128];

    (void)do_create(fx, ROOT, "f");
    fixture_close(fx);
    (void)snprintf(path, sizeof path, "%s/boot", fx->dir);
    assert_int_equal(unlink(path), 0);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_DISTRUSTED);
    assert_int_equal(lookup(fx, ROOT, "f"), 0);
}

static void a_database_that_is_none_is_rebuilt_and_said(void **state)
{
    struct fixture *fx = *state;
    enum store_state_origin origin;
    char rubbish[9000], why[128];

    fixture_close(fx);
    memset(rubbish, 'r', sizeof rubbish);
    rubbish[sizeof rubbish - 1] = '\0';
    overwrite(fx, "data.mdb", rubbish);
    assert_int_equal(try_open(fx, "boot-1", &origin, why, sizeof why), 0);
    assert_int_equal(origin, STORE_STATE_DISTRUSTED);
    assert_non_null(strstr(why, "can't be read"));
    assert_int_equal(store_state_applied(fx->s).index, 0);
    assert_int_equal(store_view_new(fx->s, &fx->v), 0);
}

/* Reads or writes the META record of a closed state, with LMDB itself. */
static void exchange_meta(struct fixture *fx, const struct meta_record *put,
                          struct meta_record *got)
{
    uint8_t tag = STORE_TAG_META;
    MDB_val key = {1, &tag}, value;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    assert_int_equal(mdb_env_create(&env), 0);
    /* Else it maps as much as the state did: ThreadSanitizer may not have that
     * room. */
    assert_int_equal(mdb_env_set_mapsize(env, 64 * PX_MIB), 0);
    assert_int_equal(mdb_env_open(env, fx->dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    if (got != NULL) {
        assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
        assert_int_equal(value.mv_size, sizeof *got);
        memcpy(got, value.mv_data, sizeof *got);
    }
    if (put != NULL) {
        value = (MDB_val){sizeof *put, (void *)(uintptr_t)put};
        assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void a_flipped_byte_of_the_summary_is_found_at_open(void **state)
{
    struct fixture *fx = *state;
    enum store_state_origin origin;
    struct meta_record meta, flipped;
    char why[128];

    (void)do_create(fx, ROOT, "f");
    /* Of this state, then of the new one that each round leaves. */
    for (size_t i = 0; i < sizeof meta; i++) {
        fixture_close(fx);
        exchange_meta(fx, NULL, &meta);
        flipped = meta;
        ((uint8_t *)&flipped)[i] ^= 0x10;
        exchange_meta(fx, &flipped, NULL);
        assert_int_equal(try_open(fx, "boot-1", &origin, why, sizeof why), 0);
        assert_int_equal(origin, STORE_STATE_DISTRUSTED);
        assert_int_equal(store_state_applied(fx->s).index, 0);
        assert_int_equal(store_view_new(fx->s, &fx->v), 0);
    }
}

/* A later format, made by hand with LMDB itself. */
static void a_newer_format_is_refused_and_left_as_it_was(void **state)
{
    struct fixture *fx = *state;
    enum store_state_origin origin;
    struct store_boot note;
    char why[128];
    struct meta_record meta;

    fixture_close(fx);
    exchange_meta(fx, NULL, &meta);
    meta.format++;
    meta.hash = store_meta_hash(&meta);
    exchange_meta(fx, &meta, NULL);
    assert_int_equal(try_open(fx, "boot-1", &origin, why, sizeof why),
                     -PX_EFORMAT);
    assert_non_null(strstr(why, "format 5"));
    assert_int_equal(read_note(fx, &note), 0);
    assert_true(note.is_clean);
    fx->s = NULL;
}

static size_t load(struct fixture *fx, const char *file, char *bytes,
                   size_t size)
{
    char path[128];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", fx->dir, file);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    n = read(fd, bytes, size);
    close(fd);
    assert_true(n >= 0 && (size_t)n < size); /* all of it */
    return (size_t)n;
}

/* Refused, and nothing is touched: whatever else would be a reason to empty the
 * folder, as another boot without a clean close, or a request. */
static void expect_newer(struct fixture *fx)
{
    static const char *const notes[] = {
        "phalanx-state 5 clean boot-1\n",
        "phalanx-state 5 dirty another-boot\n",
        "phalanx-state 17 whatever that writes\nin more lines\n",
    };
    struct store_state_options options = {.dir = fx->dir, .boot_id = "boot-1"};
    static char before[PX_MIB], after[PX_MIB];
    enum store_state_origin origin;
    char why[128], found[128];
    size_t size = load(fx, "data.mdb", before, sizeof before);

    for (size_t i = 0; i < 2 * (sizeof notes / sizeof notes[0]); i++) {
        const char *text = notes[i / 2];

        overwrite(fx, "boot", text);
        options.distrust = i % 2 == 1;
        assert_int_equal(
            store_state_open(&options, &fx->s, &origin, why, sizeof why),
            -PX_EFORMAT);
        assert_non_null(strstr(why, i < 4 ? "format 5," : "format 17,"));
        assert_int_equal(load(fx, "boot", found, sizeof found), strlen(text));
        assert_memory_equal(found, text, strlen(text));
        assert_int_equal(load(fx, "data.mdb", after, sizeof after), size);
        assert_memory_equal(after, before, size);
    }
}

static void a_note_of_a_newer_format_keeps_everything_as_it_was(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    struct meta_record meta, newer;

    fixture_close(fx);
    exchange_meta(fx, NULL, &meta);
    newer = meta;
    newer.format++;
    newer.hash = store_meta_hash(&newer);
    exchange_meta(fx, &newer, NULL);
    expect_newer(fx);
    exchange_meta(fx, &meta, NULL);
    overwrite(fx, "boot", "phalanx-state 4 clean boot-1\n");
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
    assert_int_equal(lookup(fx, ROOT, "f"), f); /* the database was kept */
}

/* What only a newer program can read may look like that. */
static void so_does_one_whose_database_cannot_be_read(void **state)
{
    struct fixture *fx = *state;
    struct meta_record meta;
    char rubbish[9000];

    fixture_close(fx);
    exchange_meta(fx, NULL, &meta);
    meta.quota++; /* its checksum is wrong now */
    exchange_meta(fx, &meta, NULL);
    expect_newer(fx);
    memset(rubbish, 'r', sizeof rubbish);
    rubbish[sizeof rubbish - 1] = '\0';
    overwrite(fx, "data.mdb", rubbish);
    expect_newer(fx);
    overwrite(fx, "data.mdb", "");
    expect_newer(fx);
    fx->s = NULL;
}

/* The fault: a 4 that had become a 5 was a newer program's, for ever. */
static void no_flipped_bit_of_the_format_refuses_a_start(void **state)
{
    const size_t at = sizeof "phalanx-state " - 1;
    struct fixture *fx = *state;
    enum store_state_origin origin;
    char text[128], why[128];

    fixture_close(fx);
    for (size_t i = 8 * (at - 1); i < 8 * (at + 2); i++) { /* blanks, too */
        text[load(fx, "boot", text, sizeof text)] = '\0';
        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
        overwrite(fx, "boot", text);
        assert_int_equal(try_open(fx, "boot-1", &origin, why, sizeof why), 0);
        assert_int_equal(origin, STORE_STATE_DISTRUSTED);
        assert_string_equal(why, "the note of the last boot can't be read");
        fixture_close(fx);
    }
    fx->s = NULL;
}

static void a_missing_folder_is_an_error_with_a_sentence(void **state)
{
    struct store_state_options options = {.dir = "/tmp/phalanx-none/state",
                                          .boot_id = "boot-1"};
    enum store_state_origin origin;
    struct store_state *s;
    char why[128];

    (void)state;
    assert_int_equal(store_state_open(&options, &s, &origin, why, sizeof why),
                     -ENOENT);
    assert_non_null(strstr(why, "/tmp/phalanx-none/state"));
}

static void bad_boot_ids_are_refused(void **state)
{
    static const char *const ids[] = {
        "", "two words", "new\nline",
        "0123456789012345678901234567890123456789012345678901234567890123"};
    struct fixture *fx = *state;
    enum store_state_origin origin;
    char why[128];

    fixture_close(fx);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        assert_int_equal(try_open(fx, ids[i], &origin, why, sizeof why),
                         -EINVAL);
    fx->s = NULL;
}

static void the_map_grows_when_it_is_full(void **state)
{
    struct fixture fx = {.dir = "/tmp/phalanx-state-XXXXXX"};
    struct store_state_options options = {
        .dir = fx.dir, .boot_id = "boot-1", .map_bytes = 1u << 20};
    static uint8_t bytes[PX_MIB];
    enum store_state_origin origin;
    char why[128];
    uint64_t f;

    (void)state;
    assert_non_null(mkdtemp(fx.dir));
    assert_int_equal(store_state_open(&options, &fx.s, &origin, why, 128), 0);
    assert_int_equal(store_view_new(fx.s, &fx.v), 0);
    fx.session = open_session(&fx, "node-0", 1);
    f = do_create(&fx, ROOT, "f");
    memset(bytes, 'x', sizeof bytes);
    for (uint64_t i = 0; i < 20; i++)
        do_write(&fx, f, i * PX_MIB, bytes, sizeof bytes);
    for (uint64_t i = 0; i < 20; i++)
        assert_bytes(&fx, f, i * PX_MIB, bytes, sizeof bytes);
    check(&fx);
    fixture_close(&fx);
    fixture_remove(&fx);
}

/* ---- kill -9 ---- */

/* Entry n of a history that is the same in every run: after it, file "f" holds
 * the number n, and directory "d<n % 8>" has come or gone. */
static struct raft_entry history_entry(uint64_t session, uint64_t n)
{
    static char text[64], name[8];
    struct raft_entry e = {.pos = {.term = 1, .index = n},
                           .kind = RAFT_ENTRY_COMMAND};
    struct command c = {.session = session,
                        .sequence = n,
                        .floor = n,
                        .parent = ROOT,
                        .name = {name, 0},
                        .inode =
                            (session << STORE_INODE_SESSION_SHIFT) + 256 + n};

    if (n == 1) {
        c = (struct command){.op = COMMAND_SESSION_OPEN,
                             .name = name_of_text("node-0"),
                             .incarnation = 1};
    } else if (n % 2 == 0) {
        c.op = COMMAND_WRITE;
        c.flags = COMMAND_CREATES | COMMAND_TRUNCATES;
        c.name = name_of_text("f");
        c.data = text;
        c.data_size = (size_t)snprintf(text, sizeof text, "%020u", (unsigned)n);
    } else {
        c.op = (n / 16) % 2 == 0 ? COMMAND_MKDIR : COMMAND_RMDIR;
        c.name.size =
            (size_t)snprintf(name, sizeof name, "d%u", (unsigned)(n / 2 % 8));
    }
    assert_int_equal(command_encode(&c, &e.data), 0);
    return e;
}

static void apply_history(struct store_state *s, raft_index to, size_t batch)
{
    raft_index next = store_state_applied(s).index + 1;
    struct store_orphans orphans = {0};
    struct raft_entry entries[16];
    struct store_result results[16];

    while (next <= to) {
        size_t count = 0;

        for (; count < batch && next <= to; count++, next++)
            entries[count] = history_entry(1, next);
        assert_int_equal(store_apply(s, entries, count, results, &orphans), 0);
        for (size_t i = 0; i < count; i++)
            px_slice_unref(&entries[i].data);
    }
    free(orphans.inodes);
}

/* In the child: applies until it is killed; each byte in the pipe says that a
 * batch more has been applied. */
static void write_until_killed(const char *dir, int pipe_fd)
{
    struct store_state_options options = {.dir = dir, .boot_id = "boot-1"};
    enum store_state_origin origin;
    struct store_state *s;
    char why[128];

    if (store_state_open(&options, &s, &origin, why, sizeof why) < 0)
        _exit(1);
    for (;;) {
        apply_history(s, store_state_applied(s).index + 5, 5);
        if (write(pipe_fd, "", 1) != 1)
            _exit(1);
    }
}

/* Kills a writer after it has reported @batches; returns how many batches it
 * had reported by the time it was dead. */
static uint64_t kill_a_writer(const char *dir, uint64_t batches)
{
    int fds[2], status;
    uint64_t reported = 0;
    char byte;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        write_until_killed(dir, fds[1]);
    }
    close(fds[1]);
    while (reported < batches && read(fds[0], &byte, 1) == 1)
        reported++;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(fds[0], &byte, 1) == 1)
        reported++;
    close(fds[0]);
    return reported;
}

/* After SIGKILL at any moment, the state is exactly that of its applied index,
 * and holds every batch that was reported. */
static void a_killed_writer_leaves_a_prefix(void **state)
{
    struct fixture fx, model;

    (void)state;
    fixture_open(&fx);
    fixture_close(&fx);
    fixture_open(&model);
    for (int round = 0; round < 30; round++) {
        raft_index before, applied;
        uint64_t reported;

        fixture_reopen(&fx, "boot-1", false, STORE_STATE_KEPT);
        before = store_state_applied(fx.s).index;
        die(&fx);
        reported = kill_a_writer(fx.dir, 1 + (uint64_t)(round * 7 % 40));
        fixture_reopen(&fx, "boot-1", false, STORE_STATE_KEPT);
        applied = store_state_applied(fx.s).index;
        assert_true(applied >= before + 5 * reported);
        assert_int_equal(applied % 5, 0); /* whole batches */
        check(&fx);
        apply_history(model.s, applied, 16);
        assert_int_equal(hash_of(&fx), hash_of(&model));
        die(&fx);
    }
    fixture_close(&model);
    fixture_remove(&model);
    fixture_remove(&fx);
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_state_is_an_empty_root),
        T(after_a_clean_close_the_state_is_kept_on_any_boot),
        T(after_a_crash_of_the_process_the_state_is_kept),
        T(after_a_crash_of_the_machine_the_state_starts_empty),
        T(an_abandoned_state_is_not_noted_as_clean),
        T(distrust_on_request_empties_a_clean_state),
        T(a_damaged_note_is_not_believed),
        T(a_start_that_ended_while_it_looked_is_forgiven),
        T(an_older_format_is_rebuilt_and_said),
        T(a_database_without_a_note_is_not_believed),
        T(a_database_that_is_none_is_rebuilt_and_said),
        T(a_flipped_byte_of_the_summary_is_found_at_open),
        T(a_newer_format_is_refused_and_left_as_it_was),
        T(a_note_of_a_newer_format_keeps_everything_as_it_was),
        T(so_does_one_whose_database_cannot_be_read),
        T(no_flipped_bit_of_the_format_refuses_a_start),
        cmocka_unit_test(a_missing_folder_is_an_error_with_a_sentence),
        T(bad_boot_ids_are_refused),
        cmocka_unit_test(the_map_grows_when_it_is_full),
        cmocka_unit_test(a_killed_writer_leaves_a_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
