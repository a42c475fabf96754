/* What a worker does: an operation in its own process. */
#ifndef BENCH_OP_H
#define BENCH_OP_H

#include "tests/bench/disk.h"
#include "tests/bench/etcd_client.h"
#include "tests/bench/work.h"

struct op_state {
    const struct op *op;
    char path[4200]; /* the worker's file, or key */
    char value[VALUE_BYTES];
    struct disk_log log;
    struct etcd_client *etcd;
};

/* Connects, creates, and writes the value once, so that a read finds it. Each
 * returns 0, or -errno. */
int op_begin(struct op_state *s, const struct op *op, unsigned worker);
int op_once(struct op_state *s);

#endif
