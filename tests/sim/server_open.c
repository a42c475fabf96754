/* What a node opens, in the order of node/node.c: identity, storage (snapshot,
 * state, log: node/storage.c itself), a note of this start, replica. Whatever
 * the disks did in a crash, it succeeds, unless a disk fails meanwhile. */
#include "tests/sim/server_open.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/boot.h"
#include "store/identity_file.h"
#include "tests/sim/check.h"
#include "tests/sim/gossip.h"
#include "tests/sim/server_io.h"
#include "tests/sim/state.h"

void server_name_boot(const struct server *s,
                      char boot_id[SERVER_BOOT_ID_BYTES])
{
    (void)snprintf(boot_id, SERVER_BOOT_ID_BYTES, "boot-%" PRIu64, s->boot);
}

/* A folder that has lost a part is refused: store/identity.c. */
static bool has_lost_a_part(const struct server *s, bool is_new)
{
    bool has_log = sim_disk_file_count(s->disks[SERVER_LOG]) > 0;
    bool has_snapshot = sim_disk_file_count(s->disks[SERVER_SNAPSHOTS]) > 0;

    return is_new ? has_log || has_snapshot : s->identity.has_log && !has_log;
}

int server_write_identity(struct server *s)
{
    int rc = identity_write(sim_disk_door(s->disks[SERVER_HOME]), &s->identity);

    if (rc == 0)
        s->durable = s->identity;
    return rc;
}

/* What has been durable is not taken back, whichever of the files is read. */
static bool is_older(const struct store_identity *id,
                     const struct store_identity *durable)
{
    return id->incarnation < durable->incarnation ||
           id->gossip_reserve < durable->gossip_reserve ||
           id->promise < durable->promise || id->has_log < durable->has_log ||
           id->is_begun < durable->is_begun;
}

static int open_identity(struct server *s, bool *is_new)
{
    struct store_identity *id = &s->identity;
    struct store_disk *home = sim_disk_door(s->disks[SERVER_HOME]);
    const char *bad;
    int rc = identity_read(home, id, &bad);

    if (rc < 0 && rc != -ENOENT)
        return rc;
    *is_new = rc == -ENOENT;
    s->world->counts[COUNT_HOME_FROM_COPY] +=
        bad != NULL && strcmp(bad, IDENTITY_NAME) == 0;
    if (is_older(*is_new ? &(struct store_identity){0} : id, &s->durable))
        world_fail(s->world, "%s: its identity is an older one", s->name);
    if (*is_new) {
        *id = (struct store_identity){.format = STORE_FORMAT_VERSION,
                                      .cluster = CLUSTER,
                                      .is_begun = s->world->voter_count == 1 &&
                                                  s->number == 0};
        (void)strcpy(id->node, s->name);
        (void)strcpy(id->cluster_name, "sim");
    }
    if (has_lost_a_part(s, *is_new))
        return -PX_ECORRUPT;
    id->incarnation++;
    gossip_incarnate(s);
    return server_write_identity(s);
}

static void count_storage(struct server *s)
{
    const struct storage *st = &s->storage;
    uint64_t *counts = s->world->counts;

    counts[COUNT_STATE_KEPT] += !st->is_rebuilt;
    counts[COUNT_STATE_REBUILT] += st->is_rebuilt;
    counts[COUNT_STATE_FROM_SNAPSHOT] +=
        st->is_rebuilt && st->snapshot.pos.index > 0;
    counts[COUNT_LOG_FAULTY] += st->found.fault != NULL;
    counts[COUNT_TORN_TAILS] += st->found.torn_bytes > 0;
    counts[COUNT_LOG_BEHIND_SNAPSHOT] +=
        st->found.base.index > 0 &&
        st->found.base.index == st->snapshot.pos.index &&
        st->found.last == st->found.base.index;
    world_trace(
        s->world, s,
        "snapshot at %" PRIu64 ", state at %" PRIu64 "%s, log %" PRIu64
        " to %" PRIu64 ", term %" PRIu64 ", vote %" PRIu64 ", torn %" PRIu64,
        st->snapshot.pos.index, store_state_applied(st->state).index,
        st->is_rebuilt ? " (distrusted)" : "", st->found.first, st->found.last,
        st->found.hard.term, st->found.hard.voted_for, st->found.torn_bytes);
    if (st->found.fault != NULL)
        world_trace(s->world, s, "log faulty: %s", st->found.fault);
}

/* Who joins later doesn't know it. */
static void initial_config(const struct server *s, struct raft_config *out)
{
    out->count = s->number < s->world->voter_count ? s->world->voter_count : 0;
    for (size_t i = 0; i < out->count; i++)
        out->members[i] = (struct raft_member){i + 1, RAFT_VOTER};
}

static int open_storage(struct server *s, char *why, size_t why_size)
{
    char boot_id[SERVER_BOOT_ID_BYTES];
    struct storage_options options = {
        .log_disk = sim_disk_door(s->disks[SERVER_LOG]),
        .term_disk = sim_disk_door(s->disks[SERVER_HOME]),
        .snapshot_disk = sim_disk_door(s->disks[SERVER_SNAPSHOTS]),
        .log_dir = "log",
        .state_dir = s->dir,
        .boot_id = boot_id,
        .cluster = CLUSTER,
        .id = s->number + 1,
        .segment_bytes = s->world->segment_bytes,
        .is_begun = s->identity.has_log,
    };
    int rc;

    server_name_boot(s, boot_id);
    initial_config(s, &options.initial);
    rc = storage_open(&s->storage, &options, why, why_size);
    if (rc < 0)
        return rc;
    if (s->storage.found.fault != NULL && !s->has_flips)
        world_fail(s->world, "%s: faulty: %s", s->name, s->storage.found.fault);
    count_storage(s);
    check_on_open(s);
    rc = store_view_new(s->storage.state, &s->view);
    if (rc < 0)
        return rc;
    state_on_open(s);
    check_state(s);
    return 0;
}

/* What later starts have to know of this one: node/node.c. */
static int note_start(struct server *s)
{
    px_ns election = s->world->election;

    if (s->identity.has_log && s->identity.promise >= election)
        return 0;
    s->identity.has_log = true;
    if (s->identity.promise < election)
        s->identity.promise = election;
    return server_write_identity(s);
}

static int open_replica(struct server *s, bool is_new)
{
    struct world *w = s->world;
    struct replica_io io = server_io(s);
    struct replica_options options = {
        .node = s->name,
        .incarnation = s->identity.incarnation,
        .start = world_draw(w, 1, UINT64_MAX),
        .request_timeout = w->request_timeout,
        .view = s->view,
        .snapshot = s->storage.snapshot,
        .snapshot_bytes = w->snapshot_bytes,
        .quota_bytes = w->quota_bytes,
        .hash_every = SERVER_HASH_EVERY,
        .divergence = s->storage.divergence,
    };
    struct raft_options *raft = &options.raft;
    int rc;

    log_writer_init(&s->log_writer, &s->storage);
    raft->id = s->number + 1;
    raft->seed = px_djb2(s->name, strlen(s->name)) ^ s->identity.incarnation;
    s->fault = server_fault(s);
    s->fault.has_note = s->storage.found.fault != NULL;
    initial_config(s, &s->fault.initial);
    raft->config = s->fault.initial;
    raft->election = w->election;
    raft->heartbeat = w->heartbeat;
    raft->promise = s->identity.promise;
    raft->clock_drift_ppm = WORLD_DRIFT_PPM;
    storage_to_raft(&s->storage, raft);
    raft->is_faulty |= !s->identity.is_begun; /* hello.h */
    raft->is_first_boot =
        is_new && raft->last == 0 && raft->hard.term == 0 && !raft->is_faulty;
    s->is_blank = bootstrap_is_blank(&s->identity, raft->hard.term, true);
    rc = replica_open(&options, &io, &s->replica);
    s->fault.replica = s->replica;
    return rc;
}

int server_open(struct server *s, char *why, size_t why_size)
{
    bool is_new;
    int rc = open_identity(s, &is_new);

    if (rc == 0)
        rc = open_storage(s, why, why_size);
    if (rc == 0)
        rc = note_start(s);
    if (rc == 0)
        rc = open_replica(s, is_new);
    if (rc < 0)
        server_close(s, !server_has_crashed(s));
    return rc;
}

void server_close(struct server *s, bool is_clean)
{
    store_view_free(s->view);
    s->view = NULL;
    if (!is_clean) {
        store_state_abandon(s->storage.state);
        s->storage.state = NULL;
    }
    storage_close(&s->storage);
}

/* ---- The states' folders ---- */

/* nftw takes no context. It goes in an order of the kernel's, so nothing is
 * drawn on the way. */
static struct server *walking;
static uint64_t walking_salt;

static void walk(struct server *s,
                 int (*each)(const char *path, const struct stat *st, int type,
                             struct FTW *ftw))
{
    walking = s;
    px_assert(nftw(s->dir, each, 8, FTW_DEPTH | FTW_PHYS) == 0);
    walking = NULL;
}

static int spoil_one(const char *path, const struct stat *st, int type,
                     struct FTW *ftw)
{
    uint8_t junk[4096];
    int fd;

    if (type != FTW_F || strcmp(path + ftw->base, "data.mdb") != 0 ||
        st->st_size == 0)
        return 0;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    px_assert(fd >= 0);
    memset(junk, (int)(walking_salt % 256), sizeof junk);
    px_assert(pwrite(fd, junk, sizeof junk,
                     (off_t)(walking_salt / 256 % (uint64_t)st->st_size)) ==
              sizeof junk);
    (void)close(fd);
    return 0;
}

void server_spoil_states(struct server *s)
{
    walking_salt = world_draw(s->world, 0, UINT64_MAX);
    walk(s, spoil_one);
}

static int note_one(const char *path, const struct stat *st, int type,
                    struct FTW *ftw)
{
    struct store_boot note;
    struct store_disk *disk;
    char boot_id[SERVER_BOOT_ID_BYTES];

    (void)st;
    if (type != FTW_DP || ftw->level != 1)
        return 0;
    server_name_boot(walking, boot_id);
    px_assert(store_disk_open(path, &disk) == 0);
    if (store_boot_read(disk, &note) == 0 && strcmp(note.id, boot_id) == 0) {
        note.is_clean = false;
        px_assert(store_boot_write(disk, &note) == 0);
    }
    store_disk_close(disk);
    return 0;
}

void server_note_dirty(struct server *s)
{
    walk(s, note_one);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void server_remove_dir(struct server *s)
{
    walk(s, remove_one);
}
