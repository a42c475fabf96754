/* A large file, written and read once from end to end in calls of 1 MiB. */
#ifndef BENCH_SEQ_H
#define BENCH_SEQ_H

#include <stdint.h>

/* Writes @mib MiB to @path anew, and fsyncs. 0 and the rate, or -errno. */
int seq_write(const char *path, unsigned mib, double *mib_per_s_out);

enum seq_read_flag {
    SEQ_COLD = 1,  /* drop it from the page cache first */
    SEQ_CHECK = 2, /* -EILSEQ if it is not what was written */
};

/* Reads it back. @flags: of seq_read_flag. */
int seq_read(const char *path, unsigned mib, unsigned flags,
             double *mib_per_s_out);

#endif
