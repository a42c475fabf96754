/* A file that says it is a snapshot, through verify and load.
 *
 *   byte 0   0: the rest is the file, as it is
 *            1: the rest is the file; its checksums are put right first
 *            else: the rest is records, each two bytes of sizes (key, value;
 *            what is longer is cut), key and value. They are made a file with
 *            everything around them right, a block for each byte 0 of them
 *
 * What verify accepts, load does too; and what load has built opens, or is
 * refused with a sentence. Run as
 *   fuzz_snapshot -max_len=65536 CORPUS_DIR */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "store/apply.h"
#include "store/hash.h"
#include "store/snapshot.h"
#include "store/snapshot_format.h"
#include "tests/unit/store/memory_disk.h"

#include <zstd.h>

#define STAMP UINT64_C(0x1234)
#define NAME "fuzz"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- A file, mended ---- */

static void mend(uint8_t *file, size_t size)
{
    size_t at = SNAPSHOT_HEAD_BYTES;
    struct snapshot_foot foot = {.bytes = size};
    struct snapshot_head head;
    struct snapshot_block b;
    struct meta_record meta;

    if (size < SNAPSHOT_HEAD_BYTES + SNAPSHOT_FOOT_BYTES)
        return;
    memcpy(&meta, file, sizeof meta); /* anything will do */
    head = (struct snapshot_head){
        .state_format = STORE_STATE_FORMAT,
        .stamp = STAMP,
        .pos = {.term = file[32], .index = file[40]},
        .config = {.count = 1, .members = {{file[64] | 1u, RAFT_VOTER}}}};
    snapshot_head_encode(&head, file);
    foot.chain = head.checksum;
    while (size - SNAPSHOT_FOOT_BYTES - at > SNAPSHOT_BLOCK_HEAD_BYTES &&
           snapshot_block_decode(file + at, &b) == 0 &&
           b.packed_bytes <=
               size - SNAPSHOT_FOOT_BYTES - at - SNAPSHOT_BLOCK_HEAD_BYTES) {
        b.chain = foot.chain;
        b.offset = at;
        b.number = foot.blocks++;
        snapshot_block_encode(&b, STAMP, file + at);
        foot.chain = b.checksum;
        foot.records += b.records;
        foot.records_bytes += b.records_bytes;
        at += SNAPSHOT_BLOCK_HEAD_BYTES + b.packed_bytes;
    }
    foot.state_hash = store_meta_hash(&meta);
    snapshot_foot_encode(&foot, STAMP, file + size - SNAPSHOT_FOOT_BYTES);
}

/* ---- Records, made a file ---- */

struct making {
    struct memory_file *f;
    struct snapshot_block block;
    struct snapshot_foot foot;
    struct meta_record meta;
    uint64_t hashes;           /* the sum of the records' */
    struct raft_config config; /* of the records, or else of the head alone */
    uint8_t *records;
    uint8_t *packed;
};

static void add_bytes(struct making *k, const void *data, size_t size)
{
    k->f->data = realloc(k->f->data, k->f->size + size);
    px_assert(k->f->data != NULL);
    memcpy(k->f->data + k->f->size, data, size);
    k->f->size += size;
}

static void end_block(struct making *k)
{
    struct snapshot_block *b = &k->block;
    size_t size;

    if (b->records == 0)
        return;
    size = ZSTD_compress(k->packed + SNAPSHOT_BLOCK_HEAD_BYTES,
                         SNAPSHOT_PACKED_BYTES_MAX, k->records,
                         b->records_bytes, 1);
    px_assert(!ZSTD_isError(size));
    b->packed_bytes = (uint32_t)size;
    b->number = k->foot.blocks++;
    b->offset = k->f->size;
    snapshot_block_encode(b, STAMP, k->packed);
    add_bytes(k, k->packed, SNAPSHOT_BLOCK_HEAD_BYTES + size);
    k->foot.records += b->records;
    k->foot.records_bytes += b->records_bytes;
    *b = (struct snapshot_block){.chain = b->checksum};
}

/* The head has to say the same. */
static void put_config_right(struct making *k, const MDB_val *value,
                             uint8_t *room)
{
    const struct config_record rec = {.index = 1};
    struct raft_config_at at;

    memcpy(room, &rec, sizeof rec);
    if (store_config_parse(value, &at))
        k->config = at.config;
}

/* As pack would, but of any sizes; a chunk's hash, the configuration's index
 * and META are put right. */
static void add_record(struct making *k, const uint8_t *key, size_t key_size,
                       const uint8_t *value, size_t value_size)
{
    uint8_t room[STORE_CHUNK_HASH_BYTES + 256];
    uint16_t sizes[2] = {(uint16_t)key_size, (uint16_t)value_size};
    MDB_val kv = {key_size, (void *)(uintptr_t)key}, v = {value_size, room};
    uint8_t *at = k->records + k->block.records_bytes;
    uint64_t hash;

    memcpy(room, value, value_size);
    if (key_size > 0 && key[0] == STORE_TAG_CHUNK && value_size > 8) {
        hash = store_chunk_hash(key, key_size, value + 8, value_size - 8);
        memcpy(room, &hash, sizeof hash);
    }
    if (key_size == 1 && key[0] == STORE_TAG_CONFIG &&
        value_size >= sizeof(struct config_record))
        put_config_right(k, &v, room);
    if (key_size == 1 && key[0] == STORE_TAG_META &&
        value_size == sizeof k->meta) {
        k->meta.format = STORE_STATE_FORMAT;
        k->meta.applied_index = k->meta.applied_term = 1;
        k->meta.hash = store_meta_hash(&k->meta);
        memcpy(room, &k->meta, sizeof k->meta);
    } else if (value_size > 0 && key_size > 0) {
        k->hashes += store_record_hash(&kv, &v);
    }
    memcpy(at, sizes, sizeof sizes);
    memcpy(at + sizeof sizes, key, key_size);
    memcpy(at + sizeof sizes + key_size, room, value_size);
    k->block.records_bytes += (uint32_t)(sizeof sizes + key_size + value_size);
    k->block.records++;
}

static void add_records(struct making *k, const uint8_t *data, size_t size)
{
    while (size >= 2) {
        size_t key_size = data[0], value_size = data[1];

        data += 2;
        size -= 2;
        key_size = key_size < size ? key_size : size;
        value_size =
            value_size < size - key_size ? value_size : size - key_size;
        if (key_size == 0)
            end_block(k);
        else
            add_record(k, data, key_size, data + key_size, value_size);
        data += key_size + value_size;
        size -= key_size + value_size;
    }
    end_block(k);
}

/* Twice: META comes first, and has the sum of what follows. */
static void make(struct memory_disk *m, const uint8_t *data, size_t size)
{
    struct snapshot_head head = {
        .state_format = STORE_STATE_FORMAT, .stamp = STAMP, .pos = {1, 1}};
    struct making k = {.config = {.count = 1, .members = {{1, RAFT_VOTER}}},
                       .records = malloc(SNAPSHOT_RECORDS_BYTES_MAX),
                       .packed = malloc(SNAPSHOT_BLOCK_BYTES_MAX)};
    uint8_t bytes[SNAPSHOT_HEAD_BYTES];

    px_assert(k.records != NULL && k.packed != NULL);
    for (int round = 0; round < 2; round++) {
        head.config = k.config;
        snapshot_head_encode(&head, bytes);
        k.f = memory_disk_put(m, NAME, bytes, sizeof bytes);
        k.block = (struct snapshot_block){.chain = head.checksum};
        k.foot = (struct snapshot_foot){.blocks = 0};
        k.meta.hashes = k.hashes;
        k.hashes = 0;
        add_records(&k, data, size);
    }
    k.foot.chain = k.block.chain;
    k.foot.bytes = k.f->size + SNAPSHOT_FOOT_BYTES;
    k.foot.state_hash = store_meta_hash(&k.meta);
    snapshot_foot_encode(&k.foot, STAMP, bytes);
    add_bytes(&k, bytes, SNAPSHOT_FOOT_BYTES);
    free(k.records);
    free(k.packed);
}

/* ---- Through both ---- */

static void empty_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    px_assert(dir != NULL);
    while ((e = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), e->d_name, 0); /* "." and ".." stay */
    (void)closedir(dir);
    px_assert(rmdir(path) == 0);
}

static void load_and_open(struct memory_disk *m)
{
    char dir[] = "/dev/shm/fuzz-snapshot-XXXXXX", why[256];
    struct store_state_options options = {.dir = dir, .boot_id = "boot-1"};
    enum store_state_origin origin;
    struct store_state *s;
    uint64_t hash;
    int rc;

    px_assert(mkdtemp(dir) != NULL);
    rc = store_snapshot_load(&m->disk, NAME, STAMP, dir, "boot-1", NULL, NULL,
                             why, sizeof why);
    px_assert(rc == 0);
    rc = store_state_open(&options, &s, &origin, why, sizeof why);
    px_assert(rc == 0);
    px_assert(origin == STORE_STATE_KEPT || why[0] != '\0');
    (void)store_state_hash(s, &hash);
    px_assert(store_state_close(s) == 0);
    empty_folder(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_snapshot_info info;
    struct memory_disk m;
    char why[256];

    if (size == 0)
        return 0;
    memory_disk_init(&m);
    if (data[0] > 1)
        make(&m, data + 1, size - 1);
    else
        (void)memory_disk_put(&m, NAME, data + 1, size - 1);
    if (data[0] == 1)
        mend(memory_disk_find(&m, NAME)->data, size - 1);
    if (store_snapshot_verify(&m.disk, NAME, STAMP, NULL, &info, why,
                              sizeof why) == 0)
        load_and_open(&m);
    else
        px_assert(why[0] != '\0');
    memory_disk_fini(&m);
    return 0;
}
