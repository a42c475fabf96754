/* The status page of a server: who leads? */
#ifndef BENCH_STATUS_H
#define BENCH_STATUS_H

#include <stddef.h>
#include <stdint.h>

/* GET /debug/status from 127.0.0.1:@port; its "leader_id" to @name. 0, or
 * -errno; -EAGAIN when it knows no leader. */
int status_leader(uint16_t port, char *name, size_t size);

#endif
