/* What must hold between records. One walk over everything; each record is
 * compared with those it speaks of, and totals with the sums of their parts.
 *
 *   C1  every name's inode exists, has the name's type, and is not an orphan
 *   C2  a name and its directory entry say the same
 *   C3  an inode has as many links as names; a directory has one name, and
 *       two links and one for each subdirectory
 *   C4  a directory knows its parent and how many names it has
 *   C5  a file's chunks lie below its size, and add up: extents, inode, total
 *   C6  every chunk belongs to an inode, an extent or garbage
 *   C7  an inode without a name is an orphan, and nothing else is
 *   C8  every result has its session
 *   C9  meta counts what there is
 *   C10 a chunk begins with the hash of its bytes
 *   C11 meta has the sum of the hashes of all other records
 *   C12 and that of their costs
 *   C13 names and addresses are of members; the configuration was applied
 *   C14 a removed name and a removed member say the same, and no session is of
 *       one */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "raft/config.h"
#include "store/hash.h"
#include "store/room.h"
#include "store/state_core.h"

struct seen_inode {
    uint64_t number;
    uint64_t names;
};

struct check {
    struct store_kv *kv;   /* the walk over everything */
    struct store_kv inner; /* shorter walks within, with their own cursor */
    struct meta_record sums;
    uint64_t chunks;         /* CHUNK records */
    uint64_t chunks_claimed; /* by inodes, extents and garbage */
    struct seen_inode *seen; /* in order: the walk meets them so */
    size_t seen_count;
    size_t seen_capacity;
    raft_index applied_index;
    struct raft_config_at members; /* none: count 0 */
};

/* ---- Files ---- */

/* Chunks under @data: how many, their bytes; none at or beyond @size_max bytes
 * from the extent's start. */
static uint64_t sum_chunks(struct check *ck, uint64_t data, uint64_t size_max,
                           uint64_t *bytes_out)
{
    uint64_t count = 0;
    struct store_key from;
    MDB_val key, value;

    *bytes_out = 0;
    store_key_chunk(&from, data, 0);
    for (bool more = store_kv_first(&ck->inner, &from, STORE_KEY_NUMBER_BYTES,
                                    &key, &value);
         more; more = store_kv_next(&ck->inner, &from, STORE_KEY_NUMBER_BYTES,
                                    &key, &value)) {
        uint64_t chunk = store_key_second32(key.mv_data);

        px_assert(store_chunk_is_sound(&key, &value)); /* C10 */
        px_assert(chunk < STORE_EXTENT_CHUNKS);
        px_assert(chunk * STORE_CHUNK_BYTES + store_chunk_size(&value) <=
                  size_max); /* C5 */
        *bytes_out += store_chunk_size(&value);
        count++;
    }
    ck->chunks_claimed += count;
    return count;
}

#define EXTENT_BYTES ((uint64_t)STORE_CHUNK_BYTES * STORE_EXTENT_CHUNKS)

/* Extent @number of @f: its bytes. */
static uint64_t check_extent(struct check *ck, const struct inode *f,
                             uint32_t number)
{
    struct extent_record rec;
    struct store_key key;
    uint64_t bytes;

    store_key_extent(&key, f->number, number);
    if (!store_kv_get_record(ck->kv, &key, &rec, sizeof rec))
        return 0;
    px_assert(number > 0);
    px_assert(f->rec.size > number * EXTENT_BYTES); /* C5 */
    px_assert(rec.chunks > 0);
    px_assert(rec.chunks == sum_chunks(ck, rec.data,
                                       f->rec.size - number * EXTENT_BYTES,
                                       &bytes)); /* C5 */
    px_assert(rec.bytes == bytes);               /* C5 */
    return bytes;
}

static void check_file(struct check *ck, const struct inode *f)
{
    uint64_t extents = 0, bytes;
    uint32_t number = 0;
    struct store_key from;
    MDB_val key, value;

    px_assert(f->rec.file.chunks ==
              sum_chunks(ck, f->number, f->rec.size, &bytes)); /* C5 */
    /* The inner cursor is needed for each extent's chunks: seek, not step. */
    for (;;) {
        store_key_extent(&from, f->number, number);
        if (!store_kv_first(&ck->inner, &from, STORE_KEY_NUMBER_BYTES, &key,
                            &value))
            break;
        number = store_key_second32(key.mv_data);
        bytes += check_extent(ck, f, number);
        extents++;
        number++;
    }
    px_assert(f->rec.file.extents == extents); /* C5 */
    px_assert(f->rec.file.bytes == bytes);     /* C5 */
}

/* ---- Directories ---- */

static void check_dir(struct check *ck, const struct inode *dir)
{
    uint64_t names = 0, subdirs = 0;
    struct store_name name;
    struct store_key from;
    MDB_val key, value;

    store_key_entry(&from, dir->number, 0);
    for (bool more = store_kv_first(&ck->inner, &from, STORE_KEY_NUMBER_BYTES,
                                    &key, &value);
         more; more = store_kv_next(&ck->inner, &from, STORE_KEY_NUMBER_BYTES,
                                    &key, &value)) {
        if (!store_entry_parse(&ck->inner, &key, &value, &name))
            return;
        px_assert(name.cookie >= STORE_COOKIE_MIN);
        px_assert(name.cookie < dir->rec.dir.next_cookie);
        names++;
        subdirs += S_ISDIR(name.mode) ? 1 : 0;
    }
    px_assert(dir->rec.size == names); /* C4 */
    if (dir->rec.links == 0)
        px_assert(names == 0);
    else
        px_assert(dir->rec.links == 2 + subdirs); /* C3 */
}

static struct seen_inode *find_seen(struct check *ck, uint64_t number)
{
    size_t low = 0, high = ck->seen_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ck->seen[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    px_assert(low < ck->seen_count && ck->seen[low].number == number); /* C1 */
    return &ck->seen[low];
}

static void check_name(struct check *ck, const MDB_val *key,
                       const MDB_val *value)
{
    uint64_t parent = store_key_first(key->mv_data);
    const uint8_t *name =
        (const uint8_t *)key->mv_data + STORE_KEY_NUMBER_BYTES;
    size_t size = key->mv_size - STORE_KEY_NUMBER_BYTES;
    struct name_record rec;
    struct store_name entry;
    struct inode i;
    struct store_key k;
    MDB_val found, found_key;

    px_assert(value->mv_size == sizeof rec);
    memcpy(&rec, value->mv_data, sizeof rec);
    px_assert(store_inode_load(ck->kv, rec.inode, &i)); /* C1 */
    px_assert((i.rec.mode & S_IFMT) == rec.type);       /* C1 */
    px_assert(i.rec.links > 0);                         /* C1 */
    if (inode_is_dir(&i))
        px_assert(i.rec.dir.parent == parent); /* C4 */
    store_key_entry(&k, parent, rec.cookie);
    px_assert(store_kv_get(ck->kv, &k, &found)); /* C2 */
    found_key = (MDB_val){.mv_size = k.size, .mv_data = k.bytes};
    px_assert(store_entry_parse(ck->kv, &found_key, &found, &entry));
    px_assert(entry.inode == rec.inode);                 /* C2 */
    px_assert(entry.mode == rec.type);                   /* C2 */
    px_assert(entry.name.size == size);                  /* C2 */
    px_assert(memcmp(entry.name.data, name, size) == 0); /* C2 */
    px_assert(store_inode_load(ck->kv, parent, &i));     /* C2 */
    px_assert(inode_is_dir(&i));                         /* C2 */
    find_seen(ck, rec.inode)->names++;
}

/* ---- Everything ---- */

static bool exists(struct store_kv *kv, enum store_tag tag, uint64_t number)
{
    struct store_key key;
    MDB_val ignored;

    store_key_number(&key, tag, number);
    return store_kv_get(kv, &key, &ignored);
}

static void check_inode(struct check *ck, uint64_t number)
{
    struct inode i;

    px_assert(store_inode_load(ck->kv, number, &i));
    px_assert((i.rec.links == 0) ==
              exists(ck->kv, STORE_TAG_ORPHAN, number)); /* C7 */
    if (inode_is_dir(&i))
        check_dir(ck, &i);
    else
        check_file(ck, &i);
    if (ck->seen_count == ck->seen_capacity) {
        size_t capacity = 2 * ck->seen_capacity + 64;
        struct seen_inode *grown =
            realloc(ck->seen, capacity * sizeof grown[0]);

        if (grown == NULL) {
            store_kv_fail(ck->kv, -ENOMEM);
            return;
        }
        ck->seen = grown;
        ck->seen_capacity = capacity;
    }
    ck->seen[ck->seen_count++] = (struct seen_inode){.number = number};
    ck->sums.inodes++;
}

static void check_garbage(struct check *ck, uint64_t data, const MDB_val *value)
{
    struct garbage_record rec;
    uint64_t bytes;

    px_assert(value->mv_size == sizeof rec);
    memcpy(&rec, value->mv_data, sizeof rec);
    px_assert(rec.chunks == sum_chunks(ck, data, UINT64_MAX, &bytes)); /* C6 */
    ck->sums.garbage++;
}

static void check_session(struct check *ck, const MDB_val *value)
{
    struct command_name node = {
        .data = (const char *)value->mv_data + sizeof(struct session_record),
        .size = value->mv_size - sizeof(struct session_record)};

    px_assert(!store_members_has_removed(ck->kv, node)); /* C14 */
    ck->sums.sessions++;
}

/* The walk meets it before the members. */
static void check_config(struct check *ck, const MDB_val *value)
{
    px_assert(store_config_parse(value, &ck->members)); /* C13 */
    px_assert(ck->members.index <= ck->applied_index);  /* C13 */
}

static void check_removed(struct check *ck, const MDB_val *value)
{
    struct command_name name = {
        .data = (const char *)value->mv_data + sizeof(struct removed_record),
        .size = value->mv_size - sizeof(struct removed_record)};

    if (name.size > 0)
        px_assert(store_members_has_removed(ck->kv, name)); /* C14 */
}

static void check_removed_name(struct check *ck, const MDB_val *key,
                               const MDB_val *value)
{
    size_t name_size = key->mv_size - 1;
    struct store_key member;
    MDB_val removed;
    raft_id id;

    px_assert(value->mv_size == sizeof id);
    memcpy(&id, value->mv_data, sizeof id);
    store_key_number(&member, STORE_TAG_REMOVED, id);
    px_assert(store_kv_get(ck->kv, &member, &removed)); /* C14 */
    px_assert(removed.mv_size == sizeof(struct removed_record) + name_size);
    px_assert(
        memcmp((const uint8_t *)removed.mv_data + sizeof(struct removed_record),
               (const uint8_t *)key->mv_data + 1, name_size) == 0);
}

static void check_pair(struct check *ck, const MDB_val *key,
                       const MDB_val *value)
{
    enum store_tag tag = ((const uint8_t *)key->mv_data)[0];
    uint64_t number = key->mv_size < STORE_KEY_NUMBER_BYTES
                          ? 0
                          : store_key_first(key->mv_data);

    ck->sums.hashes += store_record_hash(key, value);
    ck->sums.used += store_record_cost(key, value);
    switch (tag) {
    case STORE_TAG_META:
        break;
    case STORE_TAG_SESSION:
        check_session(ck, value);
        break;
    case STORE_TAG_RESULT:
        px_assert(exists(ck->kv, STORE_TAG_SESSION, number)); /* C8 */
        break;
    case STORE_TAG_INODE:
        check_inode(ck, number);
        break;
    case STORE_TAG_NAME:
        check_name(ck, key, value);
        break;
    case STORE_TAG_ENTRY: /* C4 counted them, C2 met each by its name */
        break;
    case STORE_TAG_EXTENT:
        px_assert(exists(ck->kv, STORE_TAG_INODE, number)); /* C5 */
        break;
    case STORE_TAG_CHUNK:
        ck->chunks++;
        ck->sums.data_bytes += store_chunk_size(value);
        break;
    case STORE_TAG_ORPHAN:
        px_assert(exists(ck->kv, STORE_TAG_INODE, number)); /* C7 */
        ck->sums.orphans++;
        break;
    case STORE_TAG_GARBAGE:
        check_garbage(ck, number, value);
        break;
    case STORE_TAG_CONFIG:
        check_config(ck, value);
        break;
    case STORE_TAG_MEMBER:
        px_assert(raft_config_find(&ck->members.config, number) >= 0); /* C13 */
        break;
    case STORE_TAG_REMOVED:
        check_removed(ck, value);
        break;
    case STORE_TAG_REMOVED_NAME:
        check_removed_name(ck, key, value);
        break;
    }
}

static void check_links(struct check *ck)
{
    struct inode i;

    for (size_t n = 0; n < ck->seen_count; n++) {
        const struct seen_inode *seen = &ck->seen[n];

        if (!store_inode_load(ck->kv, seen->number, &i))
            return;
        if (i.number == STORE_ROOT_INODE)
            px_assert(seen->names == 0);
        else if (inode_is_dir(&i) && i.rec.links > 0)
            px_assert(seen->names == 1); /* C3 */
        else
            px_assert(seen->names == i.rec.links); /* C3 */
    }
}

static void check_sums(const struct check *ck, const struct meta_record *meta)
{
    px_assert(ck->chunks == ck->chunks_claimed);        /* C6 */
    px_assert(ck->sums.inodes == meta->inodes);         /* C9 */
    px_assert(ck->sums.data_bytes == meta->data_bytes); /* C9 */
    px_assert(ck->sums.orphans == meta->orphans);       /* C9 */
    px_assert(ck->sums.garbage == meta->garbage);       /* C9 */
    px_assert(ck->sums.sessions == meta->sessions);     /* C9 */
    px_assert(ck->sums.hashes == meta->hashes);         /* C11 */
    px_assert(ck->sums.used == meta->used);             /* C12 */
}

int store_view_check(struct store_view *v)
{
    struct check ck = {.kv = &v->kv,
                       .applied_index = v->meta.applied_index,
                       .inner = {.txn = v->kv.txn, .dbi = v->kv.dbi}};
    struct store_key from;
    MDB_val key, value;

    px_assert(v->is_begun);
    v->kv.rc = 0;
    store_key_start(&from, STORE_TAG_META);
    for (bool more = store_kv_first(ck.kv, &from, 0, &key, &value); more;
         more = store_kv_next(ck.kv, &from, 0, &key, &value))
        check_pair(&ck, &key, &value);
    if (ck.kv->rc == 0 && ck.inner.rc < 0)
        store_kv_fail(ck.kv, ck.inner.rc);
    if (ck.kv->rc == 0)
        check_links(&ck);
    if (ck.kv->rc == 0)
        check_sums(&ck, &v->meta);
    if (ck.inner.cursor != NULL)
        mdb_cursor_close(ck.inner.cursor);
    free(ck.seen);
    return ck.kv->rc;
}
