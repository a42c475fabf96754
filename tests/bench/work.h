/* One kind of operation, done over and over by processes of their own for a
 * while: a slot. */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stdint.h>

#include "base/time.h"

#define WORKERS_MAX 16u
#define VALUE_BYTES 256u

enum op_kind {
    OP_FILE_WRITE, /* open O_CREAT|O_TRUNC, write VALUE_BYTES, close */
    OP_FILE_READ,  /* open, read, close */
    OP_DISK,       /* pwrite of a record, fdatasync */
    OP_ETCD_PUT,
    OP_ETCD_GET, /* linearizable */
};

struct op {
    enum op_kind kind;
    const char *folder; /* file operations: worker n has the file fn; OP_DISK */
    uint16_t port;      /* etcd */
};

struct work_result {
    uint64_t ops;
    uint64_t errors;
    int first_error; /* -errno, of those */
    double p50_us;
    double p99_us;
    double ops_per_s;
    double client_switches; /* voluntary, per operation */
};

/* Forks @workers processes, lets each make ready, starts them together, and
 * waits until they end after @length. @before is called when all are ready and
 * nothing has begun. 0, or -errno if a worker could not make ready. */
int work_run(const struct op *op, unsigned workers, px_ns length,
             void (*before)(void *ctx), void *ctx, struct work_result *out);

#endif
