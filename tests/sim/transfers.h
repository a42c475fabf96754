/* Snapshots on their way to a server: what of it is worth a count. */
#ifndef TESTS_SIM_TRANSFERS_H
#define TESTS_SIM_TRANSFERS_H

#include "tests/sim/server.h"

/* Hands it @n, which came by connection @epoch of those from the same peer. */
void transfers_take(struct server *s, const struct net_snapshot *n,
                    uint64_t epoch);
/* After each turn. */
void transfers_look(struct server *s);

#endif
