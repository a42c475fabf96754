/* What a command adds to what the state holds, looked at before it is applied:
 * by who is about to propose it, so that what has no room never gets into the
 * log; and again, by the same rules, by every replica when it is applied.
 *
 * Far from the quota a bound decides, which looks at nothing. Near it the
 * records are looked up that the command would change. */
#include "store/room.h"

#include "base/mutant.h"
#include "store/apply.h"
#include "store/hash.h"

uint64_t store_record_cost(const MDB_val *key, const MDB_val *value)
{
    switch ((enum store_tag)store_key_tag(key)) {
    case STORE_TAG_INODE:
        return STORE_INODE_COST;
    case STORE_TAG_NAME: /* and its ENTRY */
        return STORE_NAME_COST;
    case STORE_TAG_CHUNK:
        return store_chunk_size(value) + STORE_CHUNK_COST;
    case STORE_TAG_META:
    case STORE_TAG_SESSION:
    case STORE_TAG_RESULT:
    case STORE_TAG_ENTRY:
    case STORE_TAG_EXTENT: /* has a chunk at least */
    case STORE_TAG_ORPHAN: /* has an inode */
    case STORE_TAG_GARBAGE:
    case STORE_TAG_CONFIG:
    case STORE_TAG_MEMBER:
    case STORE_TAG_REMOVED:
    case STORE_TAG_REMOVED_NAME:
        return 0;
    }
    return 0; /* no record of ours: whoever loads it refuses it */
}

/* ---- What a command adds at most ---- */

static uint64_t growth_max(const struct command *c)
{
    uint64_t made = STORE_INODE_COST + STORE_NAME_COST;
    uint64_t chunks = c->data_size / STORE_CHUNK_BYTES + 2;

    switch (c->op) {
    case COMMAND_CREATE:
    case COMMAND_MKDIR:
    case COMMAND_LINK:
        return made;
    case COMMAND_SYMLINK:
    case COMMAND_WRITE: /* zeros in front of it, in its first chunk */
        return made + STORE_CHUNK_BYTES + c->data_size +
               chunks * STORE_CHUNK_COST;
    case COMMAND_SESSION_OPEN:
    case COMMAND_UNLINK:
    case COMMAND_RMDIR:
    case COMMAND_RENAME:
    case COMMAND_SETATTR: /* a longer file has a longer hole */
    case COMMAND_RELEASE:
    case COMMAND_REAP:
    case COMMAND_HASH:
    case COMMAND_SET_QUOTA:
        return 0;
    }
    return 0; /* decode lets no other through */
}

/* ---- What it adds ---- */

enum place { PLACE_NONE, PLACE_FREE, PLACE_TAKEN };

/* Where a name would be made: is there such a directory, and is it free? */
static enum place find_place(struct store_kv *kv, uint64_t parent,
                             struct command_name name,
                             struct name_record *there)
{
    struct inode dir;

    if (!store_inode_load(kv, parent, &dir) || !inode_is_dir(&dir) ||
        dir.rec.links == 0)
        return PLACE_NONE;
    return store_name_load(kv, parent, name, there) ? PLACE_TAKEN : PLACE_FREE;
}

static int64_t growth_made(struct store_kv *kv, const struct command *c)
{
    struct inode nothing = {0};
    struct name_record there;
    int64_t growth = STORE_INODE_COST + STORE_NAME_COST;

    if (find_place(kv, c->parent, c->name, &there) != PLACE_FREE)
        return 0;
    if (c->data_size > 0)
        growth += store_data_growth(kv, &nothing, 0, c->data_size, true);
    return growth;
}

static int64_t growth_linked(struct store_kv *kv, const struct command *c)
{
    struct name_record there;
    struct inode target;

    if (find_place(kv, c->new_parent, c->new_name, &there) != PLACE_FREE ||
        !store_inode_load(kv, c->inode, &target) || inode_is_dir(&target) ||
        target.rec.links == 0)
        return 0;
    return STORE_NAME_COST;
}

/* The file that a WRITE changes, and what making it adds. False: it will be
 * refused. */
static bool find_written(struct store_kv *kv, const struct command *c,
                         struct inode *f, int64_t *made_out)
{
    struct name_record there;
    uint64_t number = c->inode;

    *made_out = 0;
    if ((c->flags & COMMAND_CREATES) != 0) {
        switch (find_place(kv, c->parent, c->name, &there)) {
        case PLACE_NONE:
            return false;
        case PLACE_FREE:
            *f = (struct inode){.rec = {.mode = S_IFREG}};
            *made_out = STORE_INODE_COST + STORE_NAME_COST;
            return true;
        case PLACE_TAKEN:
            number = there.inode;
            break;
        }
        if ((c->flags & COMMAND_EXCLUSIVE) != 0)
            return false;
    }
    return store_inode_load(kv, number, f) && S_ISREG(f->rec.mode);
}

static int64_t growth_written(struct store_kv *kv, const struct command *c)
{
    bool truncates = (c->flags & COMMAND_TRUNCATES) != 0;
    uint64_t offset = c->offset;
    struct inode f;
    int64_t made;

    if (!find_written(kv, c, &f, &made))
        return 0;
    if ((c->flags & COMMAND_APPENDS) != 0)
        offset = truncates ? 0 : f.rec.size;
    if (offset > PX_FILE_BYTES_MAX - c->data_size)
        return 0; /* -EFBIG */
    if (c->data_size == 0)
        return made;
    return made + store_data_growth(kv, &f, offset, c->data_size, truncates);
}

static int64_t growth(struct store_kv *kv, const struct command *c)
{
    if (c->op == COMMAND_WRITE)
        return growth_written(kv, c);
    if (c->op == COMMAND_LINK)
        return growth_linked(kv, c);
    return growth_made(kv, c);
}

bool store_room_is_lacking(struct store_kv *kv, struct store_room room,
                           const struct command *c)
{
    uint64_t most = growth_max(c);
    int64_t grows;

    if (room.quota == 0 || room.used + most <= room.quota ||
        (most == 0 && !px_mutant(QUOTA_STOPS_ALL)))
        return false;
    grows = growth(kv, c);
    return (grows > 0 || px_mutant(QUOTA_STOPS_ALL)) &&
           room.used + (uint64_t)grows > room.quota;
}

/* ---- For applying ---- */

bool store_apply_lacks_room(struct apply *a, const struct command *c)
{
    struct store_room room = {.quota = a->meta.quota,
                              .used = a->meta.used + a->kv.used};

    return store_room_is_lacking(&a->kv, room, c);
}

/* A quota below what is used is one: then the state only shrinks. */
int store_apply_set_quota(struct apply *a, const struct command *c,
                          struct store_result *r)
{
    if ((c->flags & COMMAND_EXCLUSIVE) == 0 || a->meta.quota == 0)
        a->meta.quota = c->offset;
    r->value = a->meta.quota;
    return 0;
}
