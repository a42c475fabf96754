/* How long does applying take, and looking?
 *
 *   apply_rate DIR [FILES]
 *
 * FILES small files (default 10000), then, on that state: the whole-file
 * overwrite of 256 bytes that `echo v > key` makes, applied one command a
 * transaction and 64 a transaction; appends of a line; writes of 1 MiB; a
 * lookup and a read of 256 bytes through a view. Microseconds a command, p50
 * and p99. Entries are encoded beforehand: only store_apply is timed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "base/rand.h"
#include "store/state.h"

#define BATCH_MAX 64u
#define TIMED 4000u
#define TIMED_LARGE 200u
#define VALUE_BYTES 256u

struct bench {
    struct store_state *s;
    struct store_view *v;
    struct store_orphans orphans;
    struct px_rand rand;
    raft_index last;
    uint64_t session;
    uint64_t sequence;
    uint32_t files;
    uint8_t *data; /* 1 MiB */
};

static double now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* always there */
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "apply_rate: %s: %s\n", what, px_strerror(rc));
    exit(1);
}

/* ---- Commands ---- */

static uint64_t inode_of(const struct bench *b, uint32_t file)
{
    return (b->session << STORE_INODE_SESSION_SHIFT) + 256 + file;
}

static struct raft_entry entry_of(struct bench *b, struct command *c)
{
    struct raft_entry e = {.kind = RAFT_ENTRY_COMMAND};

    c->session = b->session;
    c->sequence = ++b->sequence;
    c->floor = c->sequence > BATCH_MAX ? c->sequence - BATCH_MAX : 0;
    c->time = (int64_t)c->sequence;
    must(command_encode(c, &e.data), "encode");
    e.pos = (struct raft_pos){.term = 1, .index = ++b->last};
    return e;
}

enum act { OVERWRITE, APPEND, WRITE_LARGE };

static struct raft_entry make(struct bench *b, enum act act, uint32_t n)
{
    struct command c = {.op = COMMAND_WRITE, .data = b->data};

    switch (act) {
    case OVERWRITE:
        c.inode = inode_of(b, (uint32_t)px_rand_below(&b->rand, b->files));
        c.flags = COMMAND_TRUNCATES;
        c.data_size = VALUE_BYTES;
        break;
    case APPEND:
        c.inode = inode_of(b, 0);
        c.flags = COMMAND_APPENDS;
        c.data_size = 64;
        break;
    case WRITE_LARGE:
        c.inode = inode_of(b, 1);
        c.offset = (uint64_t)n * PX_MIB;
        c.data_size = PX_MIB;
        break;
    }
    return entry_of(b, &c);
}

/* Returns the microseconds of store_apply alone. */
static double apply(struct bench *b, struct raft_entry *entries, size_t count)
{
    struct store_result results[BATCH_MAX];
    double from = now_us(), took;

    must(store_apply(b->s, entries, count, results, &b->orphans), "apply");
    took = now_us() - from;
    for (size_t i = 0; i < count; i++) {
        must(results[i].rc, "a command");
        px_slice_unref(&entries[i].data);
    }
    return took;
}

static void fill(struct bench *b)
{
    struct command open = {.op = COMMAND_SESSION_OPEN,
                           .name = {.data = "bench", .size = 5},
                           .incarnation = 1};
    struct raft_entry e = {.kind = RAFT_ENTRY_COMMAND};
    char name[16];

    must(command_encode(&open, &e.data), "encode");
    e.pos = (struct raft_pos){.term = 1, .index = ++b->last};
    (void)apply(b, &e, 1);
    b->session = 1;
    for (uint32_t i = 0; i < b->files; i++) {
        int size = snprintf(name, sizeof name, "file-%u", i);
        struct command c = {.op = COMMAND_WRITE,
                            .flags = COMMAND_CREATES,
                            .parent = STORE_ROOT_INODE,
                            .name = {.data = name, .size = (size_t)size},
                            .inode = inode_of(b, i),
                            .mode = S_IFREG | 0644,
                            .data = b->data,
                            .data_size = VALUE_BYTES};

        e = entry_of(b, &c);
        (void)apply(b, &e, 1);
    }
}

/* ---- Timing ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *what, double *took, uint32_t count)
{
    qsort(took, count, sizeof took[0], compare);
    printf("%-36s %8.2f / %8.2f\n", what, took[count / 2],
           took[count - 1 - count / 100]);
}

static void measure(struct bench *b, const char *what, enum act act,
                    uint32_t rounds, uint32_t batch)
{
    static double took[TIMED];
    struct raft_entry entries[BATCH_MAX];

    for (uint32_t i = 0; i < rounds; i++) {
        for (uint32_t n = 0; n < batch; n++)
            entries[n] = make(b, act, i * batch + n);
        took[i] = apply(b, entries, batch) / batch;
    }
    report(what, took, rounds);
}

static void measure_views(struct bench *b)
{
    static double took[TIMED];
    struct store_inode i;
    char name[16];

    for (uint32_t n = 0; n < TIMED; n++) {
        uint32_t file = (uint32_t)px_rand_below(&b->rand, b->files);
        int size = snprintf(name, sizeof name, "file-%u", file);
        double from = now_us();

        must(store_view_begin(b->v), "begin");
        must(store_view_lookup(
                 b->v, STORE_ROOT_INODE,
                 (struct command_name){.data = name, .size = (size_t)size}, &i),
             "lookup");
        store_view_end(b->v);
        took[n] = now_us() - from;
    }
    report("view: begin, lookup, end", took, TIMED);
    for (uint32_t n = 0; n < TIMED; n++) {
        uint32_t file = 2 + (uint32_t)px_rand_below(&b->rand, b->files - 2);
        double from = now_us();

        must(store_view_begin(b->v), "begin");
        must((int)store_view_read(b->v, inode_of(b, file), 0, b->data,
                                  VALUE_BYTES),
             "read");
        store_view_end(b->v);
        took[n] = now_us() - from;
    }
    report("view: begin, read 256 B, end", took, TIMED);
    for (uint32_t n = 0; n < TIMED_LARGE; n++) {
        double from = now_us();

        must(store_view_begin(b->v), "begin");
        must((int)store_view_read(b->v, inode_of(b, 1), (uint64_t)n * PX_MIB,
                                  b->data, PX_MIB),
             "read");
        store_view_end(b->v);
        took[n] = now_us() - from;
    }
    report("view: begin, read 1 MiB, end", took, TIMED_LARGE);
}

int main(int argc, char **argv)
{
    struct store_state_options options = {.boot_id = "bench", .distrust = true};
    enum store_state_origin origin;
    struct bench b = {.files = 10000};
    char why[256];

    if (argc > 2)
        b.files = (uint32_t)strtoul(argv[2], NULL, 10);
    if (argc < 2 || b.files < 3) {
        fprintf(stderr, "usage: apply_rate DIR [FILES, at least 3]\n");
        return 2;
    }
    options.dir = argv[1];
    b.data = calloc(1, PX_MIB);
    if (b.data == NULL)
        return 1;
    px_rand_init(&b.rand, 1);
    if (store_state_open(&options, &b.s, &origin, why, sizeof why) < 0) {
        fprintf(stderr, "apply_rate: %s\n", why);
        return 1;
    }
    must(store_view_new(b.s, &b.v), "view");
    fill(&b);
    measure(&b, "overwrite of 256 B, alone", OVERWRITE, TIMED, 1);
    measure(&b, "overwrite of 256 B, 64 together", OVERWRITE, TIMED, BATCH_MAX);
    measure(&b, "append of 64 B, alone", APPEND, TIMED, 1);
    measure(&b, "append of 64 B, 64 together", APPEND, TIMED / 4, BATCH_MAX);
    measure(&b, "write of 1 MiB, alone", WRITE_LARGE, TIMED_LARGE, 1);
    measure_views(&b);
    store_view_free(b.v);
    must(store_state_close(b.s), "close");
    free(b.orphans.inodes);
    free(b.data);
    return 0;
}
