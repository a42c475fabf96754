/* How long the machine stands still while something is measured.
 *
 * A virtual machine's processors are taken away for tens of milliseconds, which
 * /proc/stat need not show, and a call that takes so long may not be ours. A
 * thread of real-time priority on each processor wakes every millisecond: our
 * own load can't keep it from that, only who is below the kernel. */
#ifndef BENCH_STALL_H
#define BENCH_STALL_H

#include "base/time.h"

struct stall;

/* NULL, with errno: no threads, or none of such a priority (CAP_SYS_NICE). */
struct stall *stall_watch(void);
/* The longest since the last call, on any processor. NULL is accepted: 0. */
px_ns stall_take(struct stall *s);
/* NULL is accepted. */
void stall_free(struct stall *s);

#endif
