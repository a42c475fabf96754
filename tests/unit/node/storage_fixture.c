#include "tests/unit/node/storage_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CLUSTER UINT64_C(0x77)
#define FILE_BYTES_MAX 65536

const struct raft_pos pos = {TERM, 100};
const struct raft_config config = {.count = 1, .members = {{1, RAFT_VOTER}}};

uint8_t file[FILE_BYTES_MAX];
size_t file_bytes;

char why[512];

/* ---- A data folder ---- */

void remove_folder(const char *path)
{
    char command[96];

    (void)snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
}

static void copy_folder(const char *from, const char *to)
{
    char command[192];

    (void)snprintf(command, sizeof command, "cp -a '%s'/. '%s'", from, to);
    assert_int_equal(system(command), 0);
}

void new_state_folder(char path[64])
{
    (void)snprintf(path, 64, "%s/phalanx-storage-XXXXXX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(path));
}

struct folder folder_new(void)
{
    struct folder f = {.log = memdisk_new(), .snapshots = memdisk_new()};

    new_state_folder(f.state);
    return f;
}

struct folder folder_copy(const struct folder *from)
{
    struct folder f = {.log = memdisk_clone(from->log),
                       .snapshots = memdisk_clone(from->snapshots)};

    new_state_folder(f.state);
    copy_folder(from->state, f.state);
    return f;
}

void folder_free(struct folder *f)
{
    if (f->log != f->snapshots)
        memdisk_free(f->log);
    memdisk_free(f->snapshots);
    remove_folder(f->state);
}

int try_open(struct folder *f, struct storage *s, const char *boot_id,
             bool distrust)
{
    bool is_one = f->log == f->snapshots;
    struct storage_options options = {
        .term_disk = is_one ? memdisk_disk(f->log) : NULL,
        .log_disk = memdisk_disk(f->log),
        .snapshot_disk = f->real != NULL ? f->real : memdisk_disk(f->snapshots),
        .log_dir = "log",
        .state_dir = f->state,
        .boot_id = boot_id,
        .cluster = CLUSTER,
        .id = 1,
        .segment_bytes = SEGMENT_BYTES,
        .distrust_state = distrust,
    };

    return storage_open(s, &options, why, sizeof why);
}

void open_it(struct folder *f, struct storage *s, const char *boot_id)
{
    int rc = try_open(f, s, boot_id, false);

    if (rc < 0)
        fail_msg("%s", why);
}

void drop(struct storage *s)
{
    store_state_abandon(s->state);
    s->state = NULL;
    storage_close(s);
}

/* ---- What is done ---- */

void apply_noops(struct store_state *state, raft_index last)
{
    raft_index from = store_state_applied(state).index;
    struct store_orphans orphans = {.count = 0};
    struct raft_entry e = {.kind = RAFT_ENTRY_NOOP};
    struct store_result result;

    for (raft_index i = from + 1; i <= last; i++) {
        e.pos = (struct raft_pos){TERM, i};
        assert_int_equal(store_apply(state, &e, 1, &result, &orphans), 0);
    }
    free(orphans.inodes);
}

void write_and_apply(struct storage *s, raft_term term)
{
    const struct raft_hard_state hard = {.term = TERM};
    struct raft_entry entries[HELD];

    for (raft_index i = 0; i < HELD; i++)
        entries[i] =
            (struct raft_entry){.kind = RAFT_ENTRY_NOOP, .pos = {term, i + 1}};
    assert_int_equal(store_log_write(s->log, &hard, entries, HELD), 0);
    assert_int_equal(store_log_sync(s->log), 0);
    apply_noops(s->state, HELD);
}

int do_job(struct storage *s, enum replica_snapshot_what what, size_t piece)
{
    size_t size = file_bytes / PIECES;
    struct replica_snapshot_job job = {
        .what = what, .info = {.pos = pos, .bytes = file_bytes}};

    if (what == REPLICA_SAVE)
        job.info.config = config;
    if (what == REPLICA_STORE) {
        job.offset = piece * size;
        job.data.data = file + job.offset;
        job.data.size = piece == PIECES - 1 ? file_bytes - job.offset : size;
    }
    return storage_do(s, &job);
}

int install(struct storage *s, bool *is_kept_out)
{
    const struct raft_hard_state hard = {.term = TERM, .voted_for = 1};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < PIECES; i++)
        rc = do_job(s, REPLICA_STORE, i);
    *is_kept_out = rc == 0;
    if (rc == 0)
        rc = do_job(s, REPLICA_LOAD, 0);
    if (rc == 0)
        rc = storage_adopt(s);
    if (rc == 0)
        rc = store_log_reset(s->log, pos);
    if (rc == 0)
        rc = store_log_write(s->log, &hard, NULL, 0);
    return rc < 0 ? rc : store_log_sync(s->log);
}

static void make_file(void)
{
    struct folder f = folder_new();
    struct storage s;
    struct store_disk *d = memdisk_disk(f.snapshots);
    char name[STORE_SNAPSHOT_NAME_BYTES];
    ssize_t n;
    int fd;

    open_it(&f, &s, "source");
    apply_noops(s.state, pos.index);
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    store_snapshot_name(pos.index, name);
    fd = d->open(d, name, STORE_DISK_READ);
    assert_true(fd >= 0);
    n = d->read(d, fd, file, sizeof file, 0);
    assert_in_range(n, PIECES, sizeof file - 1);
    file_bytes = (size_t)n;
    d->close(d, fd);
    drop(&s);
    folder_free(&f);
}

bool has_folder(const struct folder *f, const char *name)
{
    char path[128];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/%s", f->state, name);
    return stat(path, &st) == 0;
}

static struct folder *begin(struct folder f)
{
    static struct folder begun;
    struct storage s;

    begun = f;
    open_it(&begun, &s, "one");
    write_and_apply(&s, TERM);
    drop(&s);
    return &begun;
}

int setup(void **state)
{
    if (file_bytes == 0)
        make_file();
    *state = begin(folder_new());
    return 0;
}

int setup_one_disk(void **state)
{
    struct folder f = folder_new();

    if (file_bytes == 0)
        make_file();
    memdisk_free(f.log);
    f.log = f.snapshots;
    *state = begin(f);
    return 0;
}

int teardown(void **state)
{
    folder_free(*state);
    return 0;
}

/* ---- A start ---- */

void check_start(struct folder *f, const char *boot_id, bool is_kept)
{
    struct store_log_info info;
    struct raft_pos applied;
    struct storage s;

    open_it(f, &s, boot_id);
    store_log_info(s.log, &info);
    applied = store_state_applied(s.state);
    assert_int_equal(info.hard.term, TERM);
    if (is_kept)
        assert_int_equal(s.snapshot.pos.index, pos.index);
    if (s.snapshot.pos.index == pos.index) {
        assert_int_equal(info.last, pos.index);
        assert_int_equal(info.base.index, pos.index);
        assert_int_equal(applied.index, pos.index);
        assert_int_equal(applied.term, pos.term);
    } else {
        assert_int_equal(info.last, HELD);
        assert_in_range(applied.index, 0, HELD);
    }
    assert_false(has_folder(f, "new"));
    drop(&s);
}
