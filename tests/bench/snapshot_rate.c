/* How long until a state is there again?
 *
 *   snapshot_rate DIR [KEYS]
 *
 * KEYS files of 256 random bytes (default 100000) are applied from encoded
 * entries, as a replay of the log does; the state is saved, verified, loaded
 * into another folder below DIR, and opened. Seconds. The snapshot's file is in
 * memory: what a disk adds is its bytes by the disk's speed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rand.h"
#include "store/snapshot.h"
#include "tests/unit/store/memory_disk.h"

#define BATCH 64u
#define VALUE_BYTES 256u

struct bench {
    struct store_state *s;
    struct store_orphans orphans;
    struct px_rand rand;
    raft_index last;
    uint32_t made; /* files */
};

static double now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* always there */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "snapshot_rate: %s: %s\n", what, px_strerror(rc));
    exit(1);
}

/* The time since @from, and what the process ever held. */
static void report(const char *what, double from)
{
    struct rusage usage;
    double took = now() - from;

    (void)getrusage(RUSAGE_SELF, &usage); /* can't fail with these */
    printf("%-28s %8.3f s   %6ld MiB at most\n", what, took,
           usage.ru_maxrss / 1024);
}

static struct store_state *open_state(const char *dir)
{
    struct store_state_options options = {.dir = dir, .boot_id = "bench"};
    enum store_state_origin origin;
    struct store_state *s;
    char why[256];

    if (store_state_open(&options, &s, &origin, why, sizeof why) < 0) {
        fprintf(stderr, "snapshot_rate: %s\n", why);
        exit(1);
    }
    return s;
}

/* ---- Filling ---- */

static struct raft_entry next_entry(struct bench *b)
{
    struct raft_entry e = {.kind = RAFT_ENTRY_COMMAND};
    uint64_t value[VALUE_BYTES / sizeof(uint64_t)];
    char name[16] = "node-0";
    struct command c = {.op = COMMAND_SESSION_OPEN,
                        .name = {.data = name, .size = 6},
                        .incarnation = 1};

    e.pos = (struct raft_pos){.term = 1, .index = ++b->last};
    if (b->last > 1) {
        for (size_t i = 0; i < sizeof value / sizeof value[0]; i++)
            value[i] = px_rand_next(&b->rand);
        c = (struct command){
            .op = COMMAND_WRITE,
            .flags = COMMAND_CREATES,
            .session = 1,
            .sequence = b->last,
            .floor = b->last,
            .parent = STORE_ROOT_INODE,
            .name = {.data = name,
                     .size = (size_t)snprintf(name, sizeof name, "key-%u",
                                              b->made)},
            .inode = (UINT64_C(1) << STORE_INODE_SESSION_SHIFT) + 256 + b->made,
            .mode = S_IFREG | 0644,
            .data = (const uint8_t *)value,
            .data_size = sizeof value};
        b->made++;
    }
    must(command_encode(&c, &e.data), "encode");
    return e;
}

static void fill(struct bench *b, uint32_t keys)
{
    struct store_result results[BATCH];
    struct raft_entry entries[BATCH];

    while (b->made < keys) {
        size_t count = 0;

        while (count < BATCH && b->made < keys)
            entries[count++] = next_entry(b);
        must(store_apply(b->s, entries, count, results, &b->orphans), "apply");
        for (size_t i = 0; i < count; i++) {
            must(results[i].rc, "a command");
            px_slice_unref(&entries[i].data);
        }
    }
}

/* ---- There and back ---- */

static void there_and_back(struct bench *b, const char *dir)
{
    const struct raft_config config = {.count = 1,
                                       .members = {{1, RAFT_VOTER}}};
    struct store_snapshot_save_options options = {.config = config};
    struct store_snapshot_info info;
    struct memory_disk m;
    char name[STORE_SNAPSHOT_NAME_BYTES], why[256];
    double from;

    memory_disk_init(&m);
    options.disk = &m.disk;
    from = now();
    must(store_snapshot_save(b->s, &options, &info), "save");
    report("save", from);
    printf("%-28s %8.1f MiB\n", "the snapshot",
           (double)info.bytes / (double)PX_MIB);
    store_snapshot_name(info.pos.index, name);
    from = now();
    must(store_snapshot_verify(&m.disk, name, 0, NULL, &info, why, sizeof why),
         "verify");
    report("verify", from);
    from = now();
    must(store_snapshot_load(&m.disk, name, 0, dir, "bench", NULL, NULL, why,
                             sizeof why),
         "load");
    report("load, synced", from);
    from = now();
    must(store_state_close(open_state(dir)), "close");
    report("open and close what is loaded", from);
    memory_disk_fini(&m);
}

int main(int argc, char **argv)
{
    uint32_t keys = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100000;
    struct bench b = {.made = 0};
    char from_dir[512], to_dir[512];
    double from;

    if (argc < 2 || keys == 0) {
        fprintf(stderr, "usage: snapshot_rate DIR [KEYS]\n");
        return 2;
    }
    (void)snprintf(from_dir, sizeof from_dir, "%s/applied", argv[1]);
    (void)snprintf(to_dir, sizeof to_dir, "%s/loaded", argv[1]);
    if (mkdir(from_dir, 0755) < 0 || mkdir(to_dir, 0755) < 0) {
        perror("snapshot_rate: DIR/applied, DIR/loaded");
        return 1;
    }
    px_rand_init(&b.rand, 1);
    b.s = open_state(from_dir);
    from = now();
    fill(&b, keys);
    report("encode and apply", from);
    there_and_back(&b, to_dir);
    must(store_state_close(b.s), "close");
    free(b.orphans.inodes);
    return 0;
}
