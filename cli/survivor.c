/* See survivor.h. Nothing in here is written but what a start would write. */
#include "cli/survivor.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "node/config.h"
#include "store/command.h"

/* Of the entries at the log's end, as many are looked at for one with a time:
 * those of new leaders have none. */
#define LOOK_BACK 1024u

/* ---- Members ---- */

static void take_initial(const struct store_identity *identity,
                         struct store_members *out)
{
    *out = (struct store_members){.count = identity->voter_count};
    for (size_t i = 0; i < out->count; i++) {
        struct store_member *m = &out->list[i];

        m->id = config_id_of(identity->voters[i]);
        m->role = RAFT_VOTER;
        (void)strcpy(m->name, identity->voters[i]); /* of one size */
    }
}

/* 1: the node itself was removed; 0. */
static int look_at_members(struct survivor *s, struct store_view *v)
{
    int rc = store_view_members(v, &s->members);

    if (rc == 0 && s->members.index == 0)
        take_initial(&s->data.identity, &s->members);
    return rc == 0 ? store_view_was_removed(v, s->data.id) : rc;
}

static int read_members(struct survivor *s)
{
    struct store_view *v;
    int rc = store_view_new(s->data.storage.state, &v);

    if (rc < 0)
        return rc;
    rc = store_view_begin(v);
    if (rc == 0) {
        rc = look_at_members(s, v);
        store_view_end(v);
    }
    store_view_free(v);
    if (rc >= 0)
        s->is_removed = rc > 0 || s->data.identity.is_removed;
    return rc < 0 ? rc : 0;
}

/* ---- The last entry ---- */

static struct raft_pos last_of(const struct store_log_info *info)
{
    struct raft_pos last = info->base;

    if (info->run_count > 0)
        last =
            (struct raft_pos){info->runs[info->run_count - 1].term, info->last};
    return last;
}

/* 1: *time_out is its command's; 0: it is no command. */
static int read_time(struct store_log *log, raft_index index,
                     struct command_scratch *scratch, int64_t *time_out)
{
    struct raft_entry e;
    struct command c;
    int rc = store_log_read(log, index, 1, PX_ENTRY_BYTES_MAX, &e);

    if (rc < 0)
        return rc;
    rc = e.kind == RAFT_ENTRY_COMMAND &&
         command_decode(e.data, scratch, &c) == 0;
    if (rc == 1)
        *time_out = c.time;
    px_slice_unref(&e.data);
    return rc;
}

static int find_time(struct survivor *s)
{
    const struct storage *storage = &s->data.storage;
    struct command_scratch *scratch = command_scratch_new();
    raft_index index = storage->found.last;
    int rc = scratch != NULL ? 0 : -ENOMEM;

    for (unsigned i = 0;
         rc == 0 && i < LOOK_BACK && index >= storage->found.first;
         i++, index--)
        rc = read_time(storage->log, index, scratch, &s->time);
    command_scratch_free(scratch);
    return rc < 0 ? rc : 0;
}

/* ---- Opening ---- */

static int say_empty(const char *dir, char why[DATA_WHY_BYTES])
{
    (void)snprintf(why, DATA_WHY_BYTES,
                   "%s holds no entry: there is nothing to recover", dir);
    return -ENODATA;
}

static int check(const struct survivor *s, const char *dir,
                 char why[DATA_WHY_BYTES])
{
    if (s->is_removed) {
        (void)snprintf(why, DATA_WHY_BYTES,
                       "node %s was removed from its cluster before: what %s "
                       "holds is older than the cluster, so take another node",
                       s->data.identity.node, dir);
        return -PX_ECLUSTER;
    }
    return s->last.index == 0 && s->applied.index == 0 ? say_empty(dir, why)
                                                       : 0;
}

static int look(struct survivor *s, const char *dir, char why[DATA_WHY_BYTES])
{
    int rc;

    s->applied = store_state_applied(s->data.storage.state);
    s->last = last_of(&s->data.storage.found);
    rc = read_members(s);
    if (rc == 0)
        rc = find_time(s);
    return rc < 0 ? data_say(why, dir, rc) : check(s, dir, why);
}

int survivor_open(struct survivor *s, const char *dir, char why[DATA_WHY_BYTES])
{
    int rc;

    *s = (struct survivor){.time = 0};
    rc = store_folder_open_found(dir, &s->data.folder, &s->data.identity, why,
                                 DATA_WHY_BYTES);
    if (rc == 0 && !s->data.identity.has_log)
        rc = say_empty(dir, why); /* its cluster may not be the one it says */
    if (rc == 0)
        rc = data_open_disks(&s->data, why);
    if (rc == 0)
        rc = data_open(&s->data, why);
    if (rc == 0)
        rc = look(s, dir, why);
    if (rc < 0)
        survivor_close(s);
    return rc;
}

void survivor_close(struct survivor *s)
{
    data_close(&s->data);
}
