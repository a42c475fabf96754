/* Which chunk size suits LMDB once its free list has aged?
 *
 *   chunk_size DIR [MIB]
 *
 * For each candidate, a new database, the state's own flags and key shapes, and
 * no code of store/ : only what the chunk size changes is measured.
 *
 *   fill    MIB mebibytes: small files of 256 B to 4 KiB, and files of 1 MiB
 *   age     rounds of: small files overwritten at random, one transaction
 *           each; a 1 MiB file written anew; another one deleted. Free pages
 *           scatter: a value that needs a run of them must search for it.
 *   then    each act below is timed, on what that left
 *
 * Figures are microseconds, p50 / p99, of one transaction; the database's
 * final size beside the bytes that are live in it shows what is lost to free
 * pages. docs/decisions/0003-chunk-size.md has a run. */
#include <endian.h>
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/rand.h"

#define SMALL_FILES 20000u
#define AGE_ROUNDS 400u
#define AGE_SMALL_A_ROUND 200u
#define TIMED 2000u
#define TIMED_LARGE 200u
#define META_BYTES 80u
#define INODE_BYTES 88u
#define RESULT_BYTES 40u

static const size_t candidates[] = {4080, 16368, 32752, 65520};

struct bench {
    MDB_env *env;
    MDB_dbi dbi;
    size_t chunk;
    uint32_t large_files;
    struct px_rand rand;
    uint8_t *data; /* 1 MiB, and room to read into */
    uint64_t result;
    uint64_t live_bytes;
};

static double now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* always there */
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "chunk_size: %s: %s\n", what, mdb_strerror(rc));
    exit(1);
}

/* ---- The state's shapes ---- */

static MDB_val key_of(uint8_t *room, uint8_t tag, uint64_t number, uint32_t sub)
{
    uint64_t number_be = htobe64(number);
    uint32_t sub_be = htobe32(sub);

    room[0] = tag;
    memcpy(room + 1, &number_be, sizeof number_be);
    memcpy(room + 9, &sub_be, sizeof sub_be);
    return (MDB_val){.mv_size = 13, .mv_data = room};
}

static void put(struct bench *b, MDB_txn *txn, uint8_t tag, uint64_t number,
                uint32_t sub, const void *data, size_t size)
{
    uint8_t room[16];
    MDB_val key = key_of(room, tag, number, sub);
    MDB_val value = {.mv_size = size};

    must(mdb_put(txn, b->dbi, &key, &value, MDB_RESERVE), "put");
    memcpy(value.mv_data, data, size);
}

/* What every command writes besides data. */
static void put_frame(struct bench *b, MDB_txn *txn, uint64_t inode)
{
    put(b, txn, 1, 0, 0, b->data, META_BYTES);
    put(b, txn, 3, 1, (uint32_t)(b->result++ % 1025), b->data, RESULT_BYTES);
    put(b, txn, 4, inode, 0, b->data, INODE_BYTES);
}

/* @size bytes at @offset; a chunk that is only partly covered is read first,
 * as the state does. @old is the file's size. */
static void write_range(struct bench *b, MDB_txn *txn, uint64_t inode,
                        size_t offset, size_t size, size_t old)
{
    uint8_t room[16];
    uint8_t *whole = b->data + PX_MIB;

    while (size > 0) {
        size_t n = offset / b->chunk, within = offset % b->chunk;
        size_t part = size < b->chunk - within ? size : b->chunk - within;
        size_t end = within + part, kept = 0;
        MDB_val key = key_of(room, 8, inode, (uint32_t)n), value;

        if (old > n * b->chunk && (within > 0 || old > n * b->chunk + end)) {
            must(mdb_get(txn, b->dbi, &key, &value), "get");
            kept = value.mv_size;
            memcpy(whole, value.mv_data, kept);
        }
        value.mv_size = kept > end ? kept : end;
        must(mdb_put(txn, b->dbi, &key, &value, MDB_RESERVE), "put");
        memcpy(value.mv_data, whole, kept);
        memcpy((uint8_t *)value.mv_data + within, b->data + within % 64, part);
        offset += part;
        size -= part;
    }
}

static MDB_txn *begin(struct bench *b, unsigned flags)
{
    MDB_txn *txn;

    must(mdb_txn_begin(b->env, NULL, flags, &txn), "begin");
    return txn;
}

/* ---- Acts ---- */

static size_t small_size(struct bench *b)
{
    return 256 + px_rand_below(&b->rand, 4096 - 256);
}

static void overwrite_small(struct bench *b)
{
    uint64_t inode = 1000 + px_rand_below(&b->rand, SMALL_FILES);
    MDB_txn *txn = begin(b, 0);

    put_frame(b, txn, inode);
    write_range(b, txn, inode, 0, small_size(b), 0);
    must(mdb_txn_commit(txn), "commit");
}

static uint64_t large_inode(struct bench *b, uint64_t n)
{
    return 1000000 + n % b->large_files;
}

static void write_large(struct bench *b, uint64_t n)
{
    MDB_txn *txn = begin(b, 0);

    put_frame(b, txn, large_inode(b, n));
    write_range(b, txn, large_inode(b, n), 0, PX_MIB, 0);
    must(mdb_txn_commit(txn), "commit");
}

static void delete_large(struct bench *b, uint64_t n)
{
    uint64_t inode = large_inode(b, n);
    MDB_txn *txn = begin(b, 0);
    uint8_t room[16];

    put_frame(b, txn, inode);
    for (size_t i = 0; i * b->chunk < PX_MIB; i++) {
        MDB_val key = key_of(room, 8, inode, (uint32_t)i);
        int rc = mdb_del(txn, b->dbi, &key, NULL);

        must(rc == MDB_NOTFOUND ? 0 : rc, "del");
    }
    must(mdb_txn_commit(txn), "commit");
}

/* A line of 64 bytes at a random place, as an append or a database page. */
static void patch_large(struct bench *b, size_t size)
{
    uint64_t inode = large_inode(b, 0);
    size_t offset = px_rand_below(&b->rand, PX_MIB / size) * size;
    MDB_txn *txn = begin(b, 0);

    put_frame(b, txn, inode);
    write_range(b, txn, inode, offset, size, PX_MIB);
    must(mdb_txn_commit(txn), "commit");
}

static void read_large(struct bench *b)
{
    uint64_t inode = large_inode(b, 0);
    MDB_txn *txn = begin(b, MDB_RDONLY);
    uint8_t room[16];

    for (size_t i = 0; i * b->chunk < PX_MIB; i++) {
        MDB_val key = key_of(room, 8, inode, (uint32_t)i), value;

        must(mdb_get(txn, b->dbi, &key, &value), "get");
        memcpy(b->data + PX_MIB, value.mv_data, value.mv_size);
    }
    mdb_txn_abort(txn);
}

/* ---- Timing ---- */

enum act { SMALL, LINE, PAGE, WRITE, READ, DELETE, ACTS };
static const char *const act_names[ACTS] = {"small file",     "64 B in 1 MiB",
                                            "4 KiB in 1 MiB", "1 MiB write",
                                            "1 MiB read",     "1 MiB delete"};

static void perform(struct bench *b, enum act act, uint64_t n)
{
    switch (act) {
    case SMALL:
        overwrite_small(b);
        break;
    case LINE:
        patch_large(b, 64);
        break;
    case PAGE:
        patch_large(b, 4096);
        break;
    case WRITE:
        write_large(b, n);
        break;
    case READ:
        read_large(b);
        break;
    case DELETE:
        delete_large(b, n);
        break;
    case ACTS:
        break;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(struct bench *b, enum act act)
{
    static double took[TIMED];
    uint32_t count = act >= WRITE ? TIMED_LARGE : TIMED;
    /* Patches and reads look at file 0, which must be whole: deleting comes
     * last, and starts behind it. */
    uint64_t start = act == DELETE ? 1 : 0;

    if (count > b->large_files - 1 && act == DELETE)
        count = b->large_files - 1;
    for (uint32_t i = 0; i < count; i++) {
        double from = now_us();

        perform(b, act, start + i);
        took[i] = now_us() - from;
    }
    qsort(took, count, sizeof took[0], compare);
    printf("  %-15s %9.1f / %9.1f\n", act_names[act], took[count / 2],
           took[count - 1 - count / 100]);
}

/* ---- One candidate ---- */

static void fill(struct bench *b, uint32_t mib)
{
    b->large_files = mib;
    for (uint32_t i = 0; i < mib; i++)
        write_large(b, i);
    for (uint32_t i = 0; i < SMALL_FILES; i++)
        overwrite_small(b);
}

static double age(struct bench *b)
{
    double from = now_us();

    for (uint32_t round = 0; round < AGE_ROUNDS; round++) {
        for (uint32_t i = 0; i < AGE_SMALL_A_ROUND; i++)
            overwrite_small(b);
        delete_large(b, px_rand_next(&b->rand));
        write_large(b, px_rand_next(&b->rand));
    }
    for (uint32_t i = 0; i < b->large_files; i++)
        write_large(b, i);
    return (now_us() - from) / 1e6;
}

static void open_env(struct bench *b, const char *path)
{
    MDB_txn *txn;

    must(mdb_env_create(&b->env), "create");
    must(mdb_env_set_mapsize(b->env, UINT64_C(1) << 40), "map size");
    must(mdb_env_open(b->env, path,
                      MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD,
                      0600),
         path);
    txn = begin(b, 0);
    must(mdb_dbi_open(txn, NULL, 0, &b->dbi), "dbi");
    must(mdb_txn_commit(txn), "commit");
}

static void run(struct bench *b, const char *dir, size_t chunk, uint32_t mib)
{
    char path[4096], lock[4096 + 8];
    struct stat st;
    double aging_s;

    (void)snprintf(path, sizeof path, "%s/chunk-%zu.mdb", dir, chunk);
    (void)snprintf(lock, sizeof lock, "%s-lock", path);
    (void)unlink(path); /* a run before this one may have left it */
    b->chunk = chunk;
    b->result = 0;
    px_rand_init(&b->rand, 1);
    open_env(b, path);
    fill(b, mib);
    aging_s = age(b);
    must(stat(path, &st), "stat");
    printf("chunk %zu: aging took %.1f s, file %.0f MiB, live about %.0f MiB\n",
           chunk, aging_s, (double)st.st_size / PX_MIB,
           (double)mib + SMALL_FILES * 2176.0 / PX_MIB);
    for (int act = 0; act < ACTS; act++)
        measure(b, (enum act)act);
    mdb_env_close(b->env);
    (void)unlink(path); /* measured, and of no more use */
    (void)unlink(lock);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    uint32_t mib = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 512;

    if (argc < 2 || mib < 2) {
        fprintf(stderr, "usage: chunk_size DIR [MIB, at least 2]\n");
        return 2;
    }
    b.data = calloc(1, 2 * (size_t)PX_MIB);
    if (b.data == NULL)
        return 1;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++)
        run(&b, argv[1], candidates[i], mib);
    free(b.data);
    return 0;
}
