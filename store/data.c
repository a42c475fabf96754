/* A file's bytes: chunks, in extents (key_format.h has the picture).
 *
 *   offset ─▶ chunk = offset / CHUNK ─▶ extent = chunk / EXTENT_CHUNKS
 *                                       extent 0: under the inode's number
 *                                       others: under a number of their own
 *
 * Counters follow every change, so that they can be checked: an inode's stored
 * bytes, each extent's chunks and bytes, the state's data bytes.
 *
 * Work is bounded for every command: a write touches the chunks it covers; a
 * cut deletes chunks of one extent, and turns each whole extent behind it into
 * garbage, one record for each (65,922 in the largest file); what drops the
 * data of inodes that go has a budget, of chunks and extents together.
 *
 * Bytes that are read, for a reader or to be kept in a chunk that changes, are
 * compared with the chunk's hash first: what the disk has damaged is neither
 * shown nor given a new hash. */
#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/apply.h"
#include "store/hash.h"
#include "store/room.h"

#define CHUNK ((uint64_t)STORE_CHUNK_BYTES)
#define EXTENT ((uint64_t)STORE_EXTENT_CHUNKS)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- Extents ---- */

struct extent {
    uint32_t number;
    bool is_stored; /* there is a record; extent 0 needs none */
    struct extent_record rec;
};

static bool extent_load(struct store_kv *kv, const struct inode *f,
                        uint32_t number, struct extent *x)
{
    struct store_key key;

    *x = (struct extent){.number = number};
    if (number == 0) {
        x->rec.data = f->number;
        x->rec.chunks = f->rec.file.chunks;
        return true;
    }
    store_key_extent(&key, f->number, number);
    x->is_stored = store_kv_get_record(kv, &key, &x->rec, sizeof x->rec);
    return x->is_stored;
}

/* For a write: an extent that is not there yet gets its number. */
static void extent_want(struct apply *a, const struct inode *f, uint32_t number,
                        struct extent *x)
{
    if (extent_load(&a->kv, f, number, x))
        return;
    if (a->meta.next_data >= STORE_DATA_END) {
        store_kv_fail(&a->kv, -PX_ECORRUPT); /* no log is that long */
        return;
    }
    x->rec.data = a->meta.next_data++;
}

static void extent_save(struct apply *a, struct inode *f, struct extent *x)
{
    struct store_key key;

    if (x->number == 0) {
        f->rec.file.chunks = x->rec.chunks;
        return;
    }
    store_key_extent(&key, f->number, x->number);
    if (x->rec.chunks > 0) {
        store_kv_put(&a->kv, &key, &x->rec, sizeof x->rec);
        f->rec.file.extents += x->is_stored ? 0 : 1;
        x->is_stored = true;
    } else if (x->is_stored) {
        store_kv_del(&a->kv, &key);
        f->rec.file.extents--;
        x->is_stored = false;
    }
}

/* A chunk of @x went from @before stored bytes to @after; 0: not there. */
static void count_chunk(struct apply *a, struct inode *f, struct extent *x,
                        uint64_t before, uint64_t after)
{
    x->rec.chunks += (after > 0 ? 1u : 0u) - (before > 0 ? 1u : 0u);
    x->rec.bytes += after - before;
    f->rec.file.bytes += after - before;
    a->meta.data_bytes += after - before;
    a->work++;
}

/* ---- Chunks ---- */

static bool is_sound(struct store_kv *kv, const struct store_key *key,
                     const MDB_val *value)
{
    const MDB_val k = {.mv_size = key->size,
                       .mv_data = (void *)(uintptr_t)key->bytes};

    if (store_chunk_is_sound(&k, value) || px_mutant(CHUNK_UNCHECKED))
        return true;
    store_kv_fail(kv, -PX_ECORRUPT);
    return false;
}

/* ---- Writing ---- */

/* A range within one chunk, and what it is filled with. */
struct piece {
    uint32_t chunk; /* within the extent */
    size_t within;
    size_t size;
    const uint8_t *data;
};

/* Joins @p, in a->chunk, with the bytes of @old (NULL: none) that stay. Returns
 * the size of the whole. */
static size_t piece_join(struct apply *a, const struct store_key *key,
                         const MDB_val *old, const struct piece *p)
{
    size_t end = p->within + p->size;
    size_t kept = 0;

    if (old != NULL) {
        if (!is_sound(&a->kv, key, old))
            return 0;
        kept = store_chunk_size(old);
        memcpy(a->chunk, store_chunk_data(old), kept);
    }
    if (p->within > kept)
        memset(a->chunk + kept, 0, p->within - kept);
    memcpy(a->chunk + p->within, p->data, p->size);
    return kept > end ? kept : end;
}

static void piece_write(struct apply *a, struct inode *f, struct extent *x,
                        const struct piece *p)
{
    size_t after = p->size, before = 0;
    const uint8_t *data = p->data;
    struct store_key key;
    MDB_val old;
    bool is_there;

    store_key_chunk(&key, x->rec.data, p->chunk);
    is_there = store_kv_get(&a->kv, &key, &old);
    if (is_there) {
        before = store_chunk_size(&old);
        if (before == 0)
            store_kv_fail(&a->kv, -PX_ECORRUPT);
    }
    if (p->within > 0 || p->size < before) {
        after = piece_join(a, &key, is_there ? &old : NULL, p);
        data = a->chunk;
    }
    if (a->kv.rc < 0)
        return;
    store_kv_put_chunk(&a->kv, &key, data, after);
    count_chunk(a, f, x, before, after);
}

void store_data_write(struct apply *a, struct inode *f, uint64_t offset,
                      const uint8_t *data, size_t size)
{
    uint64_t end = offset + size;
    struct extent x;
    bool is_loaded = false;

    px_assert(end >= offset && end <= PX_FILE_BYTES_MAX);
    while (offset < end) {
        uint64_t chunk = offset / CHUNK;
        uint64_t start = chunk * CHUNK;
        struct piece p = {
            .chunk = (uint32_t)(chunk % EXTENT),
            .within = offset - start,
            .size = least(end, start + CHUNK) - offset,
            .data = data,
        };

        if (is_loaded && x.number != chunk / EXTENT) {
            extent_save(a, f, &x);
            is_loaded = false;
        }
        if (!is_loaded)
            extent_want(a, f, (uint32_t)(chunk / EXTENT), &x);
        is_loaded = true;
        piece_write(a, f, &x, &p);
        data += p.size;
        offset += p.size;
    }
    if (is_loaded)
        extent_save(a, f, &x);
    if (end > f->rec.size)
        f->rec.size = end;
}

/* ---- What a write costs ---- */

/* Of a chunk that is there, or not (0). */
static int64_t cost_of(uint64_t bytes)
{
    return bytes > 0 ? (int64_t)(bytes + STORE_CHUNK_COST) : 0;
}

static size_t stored_bytes(struct store_kv *kv, const struct inode *f,
                           uint64_t chunk)
{
    struct store_key key;
    struct extent x;
    MDB_val value;

    if (!extent_load(kv, f, (uint32_t)(chunk / EXTENT), &x))
        return 0;
    store_key_chunk(&key, x.rec.data, (uint32_t)(chunk % EXTENT));
    return store_kv_get(kv, &key, &value) ? store_chunk_size(&value) : 0;
}

int64_t store_data_growth(struct store_kv *kv, const struct inode *f,
                          uint64_t offset, size_t size, bool truncates)
{
    uint64_t end = offset + size;
    bool is_replaced = truncates && f->rec.file.extents == 0;
    int64_t growth = 0;

    px_assert(size > 0 && end > offset && end <= PX_FILE_BYTES_MAX);
    if (is_replaced) /* all of it is deleted at once, or overwritten */
        growth = -(int64_t)(f->rec.file.bytes +
                            f->rec.file.chunks * STORE_CHUNK_COST);
    for (uint64_t chunk = offset / CHUNK; chunk * CHUNK < end; chunk++) {
        bool is_gone = is_replaced || (truncates && chunk >= EXTENT);
        uint64_t before = is_gone ? 0 : stored_bytes(kv, f, chunk);
        uint64_t after = least(end - chunk * CHUNK, CHUNK);

        growth -= cost_of(before);
        growth += cost_of(truncates || after > before ? after : before);
    }
    return growth;
}

/* ---- Cutting ---- */

static void garbage_add(struct apply *a, uint64_t data, uint64_t chunks)
{
    struct garbage_record rec = {.chunks = chunks};
    struct store_key key;

    store_key_number(&key, STORE_TAG_GARBAGE, data);
    store_kv_put(&a->kv, &key, &rec, sizeof rec);
    a->meta.garbage++;
    a->work++;
}

/* Extents behind @last leave the file whole, @max of them at most. Returns how
 * many did. */
static uint64_t drop_extents_behind(struct apply *a, struct inode *f,
                                    uint32_t last, uint64_t max)
{
    uint64_t count = 0;
    struct extent_record rec;
    struct store_key from;
    MDB_val key, value;

    if (f->rec.file.extents == 0)
        return 0;
    store_key_extent(&from, f->number, last + 1);
    while (count < max && store_kv_first(&a->kv, &from, STORE_KEY_NUMBER_BYTES,
                                         &key, &value)) {
        if (value.mv_size != sizeof rec || f->rec.file.extents == 0) {
            store_kv_fail(&a->kv, -PX_ECORRUPT);
            break;
        }
        memcpy(&rec, value.mv_data, sizeof rec);
        store_kv_del_current(&a->kv);
        f->rec.file.extents--;
        f->rec.file.bytes -= rec.bytes;
        garbage_add(a, rec.data, rec.chunks);
        count++;
    }
    return count;
}

/* Deletes the chunks under @data from @first on. Returns how many, and their
 * bytes. */
static uint64_t delete_chunks(struct apply *a, uint64_t data, uint32_t first,
                              uint64_t *bytes_out)
{
    uint64_t count = 0;
    struct store_key from;
    MDB_val key, value;

    *bytes_out = 0;
    store_key_chunk(&from, data, first);
    for (bool more = store_kv_first(&a->kv, &from, STORE_KEY_NUMBER_BYTES, &key,
                                    &value);
         more; more = store_kv_next(&a->kv, &from, STORE_KEY_NUMBER_BYTES, &key,
                                    &value)) {
        *bytes_out += store_chunk_size(&value);
        store_kv_del_current(&a->kv);
        count++;
    }
    a->work += count;
    a->meta.data_bytes -= *bytes_out;
    return count;
}

static void cut_chunks(struct apply *a, struct inode *f, struct extent *x,
                       uint32_t first)
{
    uint64_t bytes;
    uint64_t count = delete_chunks(a, x->rec.data, first, &bytes);

    if (count > x->rec.chunks || bytes > f->rec.file.bytes) {
        store_kv_fail(&a->kv, -PX_ECORRUPT);
        return;
    }
    x->rec.chunks -= count;
    x->rec.bytes -= bytes;
    f->rec.file.bytes -= bytes;
}

/* The chunk that the new end lies in keeps @size > 0 bytes at most. */
static void trim_chunk(struct apply *a, struct inode *f, struct extent *x,
                       uint32_t chunk, size_t size)
{
    struct store_key key;
    MDB_val old;
    size_t before;

    store_key_chunk(&key, x->rec.data, chunk);
    if (!store_kv_get(&a->kv, &key, &old))
        return;
    before = store_chunk_size(&old);
    if (!is_sound(&a->kv, &key, &old) || before <= size)
        return;
    memcpy(a->chunk, store_chunk_data(&old), size);
    store_kv_put_chunk(&a->kv, &key, a->chunk, size);
    count_chunk(a, f, x, before, size);
}

void store_data_resize(struct apply *a, struct inode *f, uint64_t size)
{
    uint64_t kept = (size + CHUNK - 1) / CHUNK; /* chunks that stay */
    uint32_t last = (uint32_t)((kept > 0 ? kept - 1 : 0) / EXTENT);
    uint64_t before = f->rec.size;
    struct extent x;

    px_assert(size <= PX_FILE_BYTES_MAX);
    f->rec.size = size;
    if (size >= before)
        return;
    (void)drop_extents_behind(a, f, last, UINT64_MAX);
    if (!extent_load(&a->kv, f, last, &x))
        return; /* a hole */
    if (before > kept * CHUNK)
        cut_chunks(a, f, &x, (uint32_t)(kept - last * EXTENT));
    if (size < kept * CHUNK)
        trim_chunk(a, f, &x, (uint32_t)(kept - 1 - last * EXTENT),
                   (size_t)(size - (kept - 1) * CHUNK));
    extent_save(a, f, &x);
}

/* ---- Dropping ---- */

bool store_data_drop(struct apply *a, struct inode *f, uint64_t *budget)
{
    uint64_t bytes;

    *budget -= drop_extents_behind(a, f, 0, *budget);
    if (f->rec.file.extents > 0 && *budget > 0)
        store_kv_fail(&a->kv, -PX_ECORRUPT); /* more were counted */
    if (f->rec.file.extents > 0)
        return false;
    if (f->rec.file.chunks == 0)
        return true;
    if (*budget == 0)
        return false;
    if (f->rec.file.chunks > *budget) {
        garbage_add(a, f->number, f->rec.file.chunks);
        (*budget)--;
        return true;
    }
    *budget -= f->rec.file.chunks;
    if (delete_chunks(a, f->number, 0, &bytes) != f->rec.file.chunks)
        store_kv_fail(&a->kv, -PX_ECORRUPT);
    return true;
}

void store_data_reap(struct apply *a, uint64_t data, uint64_t *budget)
{
    struct garbage_record rec;
    struct store_key key;
    uint64_t bytes;

    store_key_number(&key, STORE_TAG_GARBAGE, data);
    if (!store_kv_get_record(&a->kv, &key, &rec, sizeof rec))
        return;
    if (rec.chunks > *budget)
        return;
    *budget -= rec.chunks;
    store_kv_del(&a->kv, &key);
    a->meta.garbage--;
    if (delete_chunks(a, data, 0, &bytes) != rec.chunks)
        store_kv_fail(&a->kv, -PX_ECORRUPT);
}

/* ---- Reading ---- */

/* What of one chunk lies in [within, within + size); zeros for the rest. */
static void chunk_read(struct store_kv *kv, const struct extent *x,
                       uint32_t chunk, size_t within, uint8_t *data,
                       size_t size)
{
    size_t stored = 0;
    struct store_key key;
    MDB_val value;

    store_key_chunk(&key, x->rec.data, chunk);
    if (store_kv_get(kv, &key, &value) && is_sound(kv, &key, &value) &&
        store_chunk_size(&value) > within) {
        stored = least(size, store_chunk_size(&value) - within);
        memcpy(data, store_chunk_data(&value) + within, stored);
    }
    memset(data + stored, 0, size - stored);
}

size_t store_data_read(struct store_kv *kv, const struct inode *f,
                       uint64_t offset, uint8_t *data, size_t size)
{
    struct extent x = {.number = UINT32_MAX};
    size_t done = 0;
    bool is_there = false;

    if (offset >= f->rec.size)
        return 0;
    size = least(size, f->rec.size - offset);
    while (done < size) {
        uint64_t chunk = (offset + done) / CHUNK;
        size_t within = (offset + done) % CHUNK;
        size_t part = least(size - done, CHUNK - within);

        if (x.number != chunk / EXTENT)
            is_there = extent_load(kv, f, (uint32_t)(chunk / EXTENT), &x);
        if (is_there)
            chunk_read(kv, &x, (uint32_t)(chunk % EXTENT), within, data + done,
                       part);
        else
            memset(data + done, 0, part);
        done += part;
    }
    return size;
}
