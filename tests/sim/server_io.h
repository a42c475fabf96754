/* The world of a server's replica: server_io.c, server_work.c. */
#ifndef TESTS_SIM_SERVER_IO_H
#define TESTS_SIM_SERVER_IO_H

#include "tests/sim/server.h"

struct replica_io server_io(struct server *s);
struct fault server_fault(struct server *s);

/* It can't go on: it ends after this event. */
void server_die(struct server *s, const char *why, int rc);

/* As in replica_io; @ctx is the server. */
void server_apply(void *ctx, struct replica_apply *job);
void server_fetch(void *ctx, struct replica_fetch *job);
void server_snapshot(void *ctx, struct replica_snapshot_job *job);
struct store_view *server_adopt(void *ctx);

#endif
