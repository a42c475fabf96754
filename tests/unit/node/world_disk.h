/* A node's state and snapshots, in a real folder by way of node/storage.c. */
#ifndef TESTS_UNIT_NODE_WORLD_DISK_H
#define TESTS_UNIT_NODE_WORLD_DISK_H

#include "tests/unit/node/world.h"

/* n->dir is there. */
void world_disk_open(struct world_node *n);
void world_disk_close(struct world_node *n);
/* What a start of the node finds there. */
void world_disk_start(struct world_node *n, struct replica_options *options);
/* The work that was under way is lost. */
void world_disk_kill(struct world_node *n);
/* Entries of the log, for a peer. */
void world_disk_fetch(struct world_node *n, struct replica_fetch *job);
/* Does what waits; false: there is nothing. */
bool world_disk_work(struct world_node *n);
struct store_view *world_disk_adopt(struct world_node *n);

#endif
