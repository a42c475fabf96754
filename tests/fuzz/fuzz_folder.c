/* A data folder in which everything is sound but for small things that anybody
 * could have put there: the notes of a mark and of a snapshot that stands in,
 * and files and folders under names of any kind. Through the start of a node.
 *
 *   byte 0   bit 0: the machine was down since, so the state isn't believed;
 *            bit 1: an entry of the log is damaged
 *   the rest three bytes (where and under which name, how long the name is, how
 *            long the file is), the name, and what the file says, for a single
 *            byte a note of that index; then the next
 *
 * The folder opens with all that it held, and again in the same way; only where
 * the log is damaged, or strange things lie among the states, it may have lost
 * something, or be refused, with a sentence. Run as
 *   fuzz_folder -max_len=1024 CORPUS_DIR */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/note.h"
#include "node/storage.h"
#include "tests/lib/memdisk.h"

#define CLUSTER UINT64_C(0x77)
#define TERM 5u
#define HELD 10u
#define SAVED 6u /* entries that the snapshot has */
#define SEGMENT_BYTES (64u * PX_KIB)
#define NAME_BYTES_MAX 40u
#define PATH_BYTES 128

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct folder {
    struct memdisk *log;
    struct memdisk *snapshots;
    char state[64];
};

static struct folder sound;

/* ---- Folders ---- */

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *place)
{
    (void)st;
    (void)type;
    (void)place;
    return remove(path);
}

static void folder_free(struct folder *f)
{
    memdisk_free(f->log);
    memdisk_free(f->snapshots);
    px_assert(nftw(f->state, remove_one, 4, FTW_DEPTH | FTW_PHYS) == 0);
}

static void end(void)
{
    folder_free(&sound);
}

static void make_state_folder(struct folder *f)
{
    (void)strcpy(f->state, "/dev/shm/fuzz-folder-XXXXXX");
    px_assert(mkdtemp(f->state) != NULL);
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 20];
    FILE *in = fopen(from, "re");
    FILE *out = fopen(to, "we");
    size_t size;

    px_assert(in != NULL && out != NULL);
    size = fread(bytes, 1, sizeof bytes, in);
    px_assert(size > 0 && size < sizeof bytes);
    px_assert(fwrite(bytes, 1, size, out) == size);
    px_assert(fclose(in) == 0 && fclose(out) == 0);
}

/* Files of its one state, as a process that was killed leaves them. */
static struct folder folder_copy(const struct folder *from)
{
    static const char *const files[] = {"data.mdb", "boot"};
    struct folder f = {.log = memdisk_clone(from->log),
                       .snapshots = memdisk_clone(from->snapshots)};
    char a[PATH_BYTES], b[PATH_BYTES];

    make_state_folder(&f);
    (void)snprintf(b, sizeof b, "%s/1", f.state);
    px_assert(mkdir(b, 0700) == 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(a, sizeof a, "%s/1/%s", from->state, files[i]);
        (void)snprintf(b, sizeof b, "%s/1/%s", f.state, files[i]);
        copy_file(a, b);
    }
    return f;
}

static int open_it(struct folder *f, const char *boot_id, struct storage *s)
{
    const struct storage_options options = {
        .term_disk = memdisk_disk(f->log),
        .log_disk = memdisk_disk(f->log),
        .snapshot_disk = memdisk_disk(f->snapshots),
        .log_dir = "log",
        .state_dir = f->state,
        .boot_id = boot_id,
        .cluster = CLUSTER,
        .id = 1,
        .initial = {.count = 1, .members = {{1, RAFT_VOTER}}},
        .segment_bytes = SEGMENT_BYTES,
        .is_begun = memdisk_file_count(f->log) > 0,
    };
    char why[512] = "";
    int rc = storage_open(s, &options, why, sizeof why);

    px_assert(rc == 0 || why[0] != '\0');
    return rc;
}

static void apply_up_to(struct storage *s, raft_index last)
{
    struct store_orphans orphans = {.count = 0};
    struct raft_entry e = {.kind = RAFT_ENTRY_NOOP};
    struct store_result result;
    raft_index i = store_state_applied(s->state).index;

    while (i < last) {
        e.pos = (struct raft_pos){TERM, ++i};
        px_assert(store_apply(s->state, &e, 1, &result, &orphans) == 0);
    }
    free(orphans.inodes);
}

static void make_sound(void)
{
    const struct raft_hard_state hard = {.term = TERM};
    struct replica_snapshot_job save = {
        .what = REPLICA_SAVE,
        .info.config = {.count = 1, .members = {{1, RAFT_VOTER}}}};
    struct raft_entry entries[HELD];
    struct storage s;

    sound = (struct folder){.log = memdisk_new(), .snapshots = memdisk_new()};
    make_state_folder(&sound);
    px_assert(open_it(&sound, "one", &s) == 0);
    for (raft_index i = 0; i < HELD; i++)
        entries[i] =
            (struct raft_entry){.kind = RAFT_ENTRY_NOOP, .pos = {TERM, i + 1}};
    px_assert(store_log_write(s.log, &hard, entries, HELD) == 0);
    px_assert(store_log_sync(s.log) == 0);
    apply_up_to(&s, SAVED);
    px_assert(storage_do(&s, &save) == 0);
    apply_up_to(&s, HELD);
    storage_close(&s);
}

/* ---- What lies there ---- */

static void name_of(unsigned which, const uint8_t *data, size_t size,
                    char name[NAME_BYTES_MAX + 1])
{
    static const char *const known[] = {"standing",
                                        "standing.new",
                                        "diverged",
                                        "damaged.bad",
                                        "0000000000000008.snap",
                                        "0000000000000006.new",
                                        "2",
                                        "diverged-8"};

    memset(name, 0, NAME_BYTES_MAX + 1);
    if (size == 0)
        (void)strcpy(name, known[which % 8u]);
    else
        memcpy(name, data, size);
    for (size_t i = 0; i < size; i++) {
        if (name[i] == '/' || name[i] == '\0')
            name[i] = '0';
    }
}

/* Where it is what the start looks for, and of one byte, it is as it could have
 * been written; @room is for that. */
static const void *note_of(const char *name, const uint8_t *data, size_t *size,
                           char room[64])
{
    int n = 0;

    if (*size == 1 && strcmp(name, "standing") == 0)
        n = snprintf(room, 64, "%u\n", data[0]);
    if (*size == 1 && strcmp(name, "diverged") == 0)
        n = snprintf(room, 64, "index=%u own=7 others=8\n", data[0]);
    if (n > 0)
        *size = (size_t)n;
    return n > 0 ? (const void *)room : data;
}

static void put_file(const char *dir, const char *name, const void *data,
                     size_t size)
{
    char path[PATH_BYTES];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return; /* "..", or a folder */
    px_assert(write(fd, data, size) == (ssize_t)size);
    (void)close(fd);
}

/* A state of this number has no entry of its own. */
static void put_folder(const char *dir, const char *name)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)mkdir(path, 0700); /* or it is there */
}

/* False: what lies among the states now may be in the way of one. */
static bool put_one(struct folder *f, unsigned which, const char *name,
                    const void *data, size_t size)
{
    switch (which % 4u) {
    case 0:
        if (!memdisk_has(f->snapshots, name))
            memdisk_put(f->snapshots, name, data, size);
        return true;
    case 1:
        if (!memdisk_has(f->log, name) && strstr(name, ".log") == NULL)
            memdisk_put(f->log, name, data, size);
        return true;
    case 2:
        put_file(f->state, name, data, size);
        return strcmp(name, "diverged") == 0;
    default:
        put_folder(f->state, name);
        return false;
    }
}

static bool put_all(struct folder *f, const uint8_t *data, size_t size)
{
    bool is_harmless = true;

    while (size >= 3) {
        const unsigned which = data[0];
        size_t name_size = data[1] % (NAME_BYTES_MAX + 1);
        size_t file_size = data[2];
        char name[NAME_BYTES_MAX + 1], room[64];
        const void *bytes;
        size_t bytes_size;

        data += 3;
        size -= 3;
        name_size = name_size < size ? name_size : size;
        name_of(which / 4u, data, name_size, name);
        data += name_size;
        size -= name_size;
        file_size = file_size < size ? file_size : size;
        bytes_size = file_size;
        bytes = note_of(name, data, &bytes_size, room);
        is_harmless &= put_one(f, which, name, bytes, bytes_size);
        data += file_size;
        size -= file_size;
    }
    return is_harmless;
}

/* ---- What must hold ---- */

static void check_held(const struct storage *s)
{
    px_assert(s->found.fault == NULL);
    px_assert(s->found.last == HELD && s->found.hard.term == TERM);
    px_assert(s->snapshot.pos.index >= SAVED);
    px_assert(store_state_applied(s->state).index <= HELD);
}

static void check_same(const struct storage *a, struct raft_pos a_applied,
                       const struct storage *b)
{
    px_assert(a_applied.index == store_state_applied(b->state).index);
    px_assert(a->found.last == b->found.last);
    px_assert((a->found.fault == NULL) == (b->found.fault == NULL));
    px_assert(a->snapshot.pos.index == b->snapshot.pos.index);
    px_assert(a->divergence.index == b->divergence.index);
}

static void fuzz(struct folder *f, unsigned how, bool is_harmless)
{
    const char *boot_id = (how & 1u) != 0 ? "two" : "one";
    struct raft_pos applied;
    struct storage s, before;

    if ((how & 2u) != 0)
        (void)memdisk_flip(f->log, "0000000001.log",
                           PX_KIB * 4u + (how >> 2) * 16u, 1);
    if (open_it(f, boot_id, &s) < 0) {
        px_assert(!is_harmless || (how & 2u) != 0);
        return;
    }
    if ((how & 2u) == 0)
        check_held(&s);
    before = s; /* its numbers alone are looked at again */
    applied = store_state_applied(s.state);
    storage_close(&s);
    px_assert(open_it(f, boot_id, &s) == 0);
    check_same(&before, applied, &s);
    storage_close(&s);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    px_note_init(PX_NOTE_ERROR, "fuzz");
    make_sound();
    px_assert(atexit(end) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct folder f;
    bool is_harmless;

    if (size == 0)
        return 0;
    f = folder_copy(&sound);
    is_harmless = put_all(&f, data + 1, size - 1);
    fuzz(&f, data[0], is_harmless);
    folder_free(&f);
    return 0;
}
