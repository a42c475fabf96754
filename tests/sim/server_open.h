/* What a node opens and closes: server_open.c. */
#ifndef TESTS_SIM_SERVER_OPEN_H
#define TESTS_SIM_SERVER_OPEN_H

#include "tests/sim/server.h"

#define SERVER_BOOT_ID_BYTES 32
#define SERVER_HASH_EVERY 64u /* entries: runs are short */

/* Of the machine, since it last went down. */
void server_name_boot(const struct server *s,
                      char boot_id[SERVER_BOOT_ID_BYTES]);
/* As node/node.c does, in its order. On an error all is closed, and @why has a
 * sentence. */
int server_open(struct server *s, char *why, size_t why_size);
/* The identity, durable on return. -errno. */
int server_write_identity(struct server *s);
/* The replica has been closed. Clean: as a process that ends by itself. */
void server_close(struct server *s, bool is_clean);
/* What a machine that went down leaves of the states: nothing of them was
 * synced. */
void server_spoil_states(struct server *s);
/* A process that died in a start notes nothing: what closing has noted is
 * taken back. */
void server_note_dirty(struct server *s);
void server_remove_dir(struct server *s);

#endif
