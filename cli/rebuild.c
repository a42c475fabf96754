/* See rebuild.h, which numbers the steps. */
#include "cli/rebuild.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/err.h"
#include "cli/rebuild_folder.h"
#include "raft/config.h"

struct rebuild {
    struct survivor *old;
    const char *dir;
    struct data new;
    struct store_orphans orphans; /* nobody asks about them: sessions end */
    char *why;                    /* of DATA_WHY_BYTES */
};

static int say(struct rebuild *r, int rc)
{
    return rc < 0 && r->why[0] == '\0' ? data_say(r->why, r->dir, rc) : rc;
}

/* ---- 1, 2: folder and mark ---- */

/* Never 0, which means "not known". */
static int draw_cluster(uint64_t *cluster_out)
{
    *cluster_out = 0;
    while (*cluster_out == 0) {
        ssize_t n = getrandom(cluster_out, sizeof *cluster_out, 0);

        if (n != (ssize_t)sizeof *cluster_out)
            return n < 0 ? -errno : -EIO;
    }
    return 0;
}

/* What the node was goes on: its name, its incarnations, what it promised to
 * leaders and to gossip. */
static int describe(struct rebuild *r)
{
    const struct store_identity *old = &r->old->data.identity;
    struct store_identity *id = &r->new.identity;

    id->incarnation = old->incarnation;
    id->promise = old->promise;
    id->gossip_reserve = old->gossip_reserve;
    id->voter_count = 1;
    (void)strcpy(id->voters[0], old->node); /* of one size */
    id->is_begun = true;
    return draw_cluster(&id->cluster);
}

static int make_folder(struct rebuild *r)
{
    const struct store_identity *old = &r->old->data.identity;
    const struct store_folder_options options = {
        .dir = r->dir, .node = old->node, .cluster_name = old->cluster_name};
    bool is_new;
    int rc = rebuild_tidy(r->dir, r->why);

    if (rc == 0)
        rc = store_folder_open(&options, &r->new.folder, &r->new.identity,
                               &is_new, r->why, DATA_WHY_BYTES);
    if (rc < 0)
        return rc;
    if (!is_new) /* somebody has begun it since rebuild_tidy */
        return -EEXIST;
    rc = data_open_disks(&r->new, r->why);
    if (rc == 0)
        rc = rebuild_mark(r->new.snapshot_disk);
    return rc == 0 ? describe(r) : rc;
}

/* ---- 3, 4: the survivor's state, and all that it holds behind it ---- */

static int save(struct rebuild *r, struct store_state *state)
{
    const struct store_snapshot_save_options options = {
        .disk = r->new.snapshot_disk,
        .stamp = r->new.identity.cluster,
        .config = {.count = 1, .members = {{r->old->data.id, RAFT_VOTER}}},
    };
    struct store_snapshot_info info;

    return store_snapshot_save(state, &options, &info);
}

/* Nothing applied: the state begins empty, and there is no snapshot of it. */
static int take_state(struct rebuild *r)
{
    int rc = 0;

    if (r->old->applied.index > 0)
        rc = save(r, r->old->data.storage.state);
    return rc == 0 ? data_open(&r->new, r->why) : rc;
}

/* A change without this node, perhaps under way to remove it, leaves no more than
 * its place. The others stay: who came by them goes by our own entry, session
 * and all. */
static void disarm(const struct rebuild *r, struct raft_entry *e)
{
    struct raft_config config;

    if (e->kind == RAFT_ENTRY_CONFIG &&
        (raft_config_decode(e->data, &config) < 0 ||
         raft_config_find(&config, r->old->data.id) < 0))
        e->kind = RAFT_ENTRY_NOOP;
}

/* Applies what a read of the old log from @first on yields; how many. */
static int apply_batch(struct rebuild *r, raft_index first)
{
    static struct raft_entry entries[PX_BATCH_ENTRIES_MAX];
    static struct store_result results[PX_BATCH_ENTRIES_MAX];
    int count =
        store_log_read(r->old->data.storage.log, first, PX_BATCH_ENTRIES_MAX,
                       PX_BATCH_BYTES_MAX, entries);
    int rc;

    if (count < 0)
        return count;
    for (int i = 0; i < count; i++)
        disarm(r, &entries[i]);
    rc = store_apply(r->new.storage.state, entries, (size_t)count, results,
                     &r->orphans);
    for (int i = 0; i < count; i++)
        px_slice_unref(&entries[i].data);
    return rc < 0 ? rc : count;
}

static int apply_rest(struct rebuild *r)
{
    raft_index next = r->old->applied.index + 1;
    int count = 0;

    while (count >= 0 && next <= r->old->last.index) {
        count = apply_batch(r, next);
        if (count > 0)
            next += (raft_index)count;
    }
    return count < 0 ? count : 0;
}

/* ---- 4: who is a member ---- */

/* This node alone; @removed, if any, for ever. */
static int encode_config(const struct store_member *self,
                         const struct store_member *removed,
                         struct px_slice *data_out)
{
    const struct raft_config config = {.count = 1,
                                       .members = {{self->id, RAFT_VOTER}}};
    struct store_change change = {.count = 1, .list = {*self}};
    struct px_slice added;
    struct px_buf *buf;
    size_t size;
    int rc;

    if (removed != NULL) {
        change.removed = removed->id;
        change.list[change.count++] = *removed;
    }
    rc = store_change_encode(&change, &added);
    if (rc < 0)
        return rc;
    buf = px_buf_new(RAFT_CONFIG_BYTES_MAX + added.size);
    if (buf != NULL) {
        size = raft_config_encode(&config, buf->data);
        memcpy(buf->data + size, added.data, added.size);
        *data_out = px_slice_of(buf, 0, size + added.size);
    }
    px_slice_unref(&added);
    return buf != NULL ? 0 : -ENOMEM;
}

static int apply_config(struct rebuild *r, raft_term term,
                        const struct store_member *self,
                        const struct store_member *removed)
{
    struct store_state *state = r->new.storage.state;
    struct raft_entry e = {.pos = {term, store_state_applied(state).index + 1},
                           .kind = RAFT_ENTRY_CONFIG};
    struct store_result result;
    int rc = encode_config(self, removed, &e.data);

    if (rc < 0)
        return rc;
    rc = store_apply(state, &e, 1, &result, &r->orphans);
    px_slice_unref(&e.data);
    return rc;
}

static struct store_member self_of(const struct survivor *s)
{
    struct store_member self = {.id = s->data.id};

    (void)strcpy(self.name, s->data.identity.node); /* of one size */
    for (size_t i = 0; i < s->members.count; i++) {
        if (s->members.list[i].id == self.id)
            self = s->members.list[i];
    }
    self.role = RAFT_VOTER;
    return self;
}

/* Whoever is in the state's configuration goes with the first. An entry for each
 * of those that the survivor knew, because an entry can name one. */
static int apply_configs(struct rebuild *r, raft_term term)
{
    const struct store_members *members = &r->old->members;
    const struct store_member self = self_of(r->old);
    int rc = apply_config(r, term, &self, NULL);

    for (size_t i = 0; rc == 0 && i < members->count; i++) {
        if (members->list[i].id != self.id)
            rc = apply_config(r, term, &self, &members->list[i]);
    }
    return rc;
}

/* ---- 5, 6: a log behind it, and the identity ---- */

/* As if this node had led the new cluster once, and voted for itself then. */
static int begin_log(struct rebuild *r, raft_term term)
{
    const struct raft_hard_state hard = {term, r->old->data.id};
    struct store_log *log = r->new.storage.log;
    int rc = store_log_write(log, &hard, NULL, 0);

    if (rc == 0)
        rc = store_log_sync(log);
    return rc == 0
               ? store_log_reset(log, store_state_applied(r->new.storage.state))
               : rc;
}

/* Closes all but the folder and its disks, and opens it again. */
static int look_through(struct rebuild *r, struct raft_pos pos, raft_term term)
{
    const struct storage *s = &r->new.storage;
    int rc;

    storage_close(&r->new.storage);
    r->new.identity.has_log = true;
    rc = data_open(&r->new, r->why);
    if (rc < 0)
        return rc;
    if (s->found.fault != NULL || s->is_rebuilt || s->found.hard.term != term ||
        s->found.last != pos.index ||
        store_state_applied(s->state).index != pos.index)
        return -PX_ECORRUPT;
    storage_close(&r->new.storage);
    return 0;
}

static int fill(struct rebuild *r)
{
    raft_term term = r->old->data.storage.found.hard.term + 1;
    struct raft_pos pos;
    int rc = take_state(r);

    px_assert(term > r->old->last.term);
    if (rc == 0)
        rc = apply_rest(r);
    if (rc == 0)
        rc = apply_configs(r, term);
    if (rc < 0)
        return rc;
    pos = store_state_applied(r->new.storage.state);
    rc = save(r, r->new.storage.state);
    if (rc == 0)
        rc = begin_log(r, term);
    return rc == 0 ? look_through(r, pos, term) : rc;
}

int rebuild(struct survivor *s, const char *dir, uint64_t *cluster_out,
            char why[DATA_WHY_BYTES])
{
    struct rebuild r = {.old = s, .dir = dir, .why = why};
    int rc;

    why[0] = '\0';
    rc = make_folder(&r);
    if (rc == 0)
        rc = fill(&r);
    if (rc == 0)
        rc = store_folder_begin(r.new.folder, &r.new.identity);
    if (rc == 0) {
        /* Beside an identity nobody looks at the mark. */
        (void)rebuild_unmark(r.new.snapshot_disk);
        *cluster_out = r.new.identity.cluster;
    }
    rc = say(&r, rc);
    data_close(&r.new);
    free(r.orphans.inodes);
    return rc;
}
