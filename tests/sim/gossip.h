/* Gossip in the cluster: in some worlds each server that is up has a real member
 * of gossip (gossip/swim.h), and raft's messages reach a peer only where gossip
 * says that it is.
 *
 *   swim_step ─▶ packets ─▶ the network's delays, losses and cuts ─▶ swim_step
 *      │ reserve ─▶ the identity, durable a while later
 *      └ members ─▶ node/peers.c ─▶ where a connection is dialled
 *
 * A server that starts again may come back at another address, perhaps one that
 * was another's. Seeds are names: they stand for where a server is now.
 *
 *   gossip.c        a member's steps, its disk, its clock, what it says
 *   gossip_net.c    addresses and packets
 *   gossip_policy.c  who is taken in
 *   gossip_judge.c  what must be true of what they say
 *
 * Raft is judged as ever: whatever gossip says, it may cost time alone. */
#ifndef TESTS_SIM_GOSSIP_H
#define TESTS_SIM_GOSSIP_H

#include "tests/sim/server.h"

#define GOSSIP_PERCENT 25 /* of the runs */

struct gossip;

/* NULL: not in this world. All others run as if there were none. */
struct gossip *gossip_new(struct world *w);
void gossip_free(struct gossip *g);

/* The next incarnation, in an identity that is about to be written. */
void gossip_incarnate(struct server *s);
/* It is up; it is about to be down: a clean stop says goodbye. */
void gossip_on_start(struct server *s);
void gossip_on_end(struct server *s, enum server_end how);

/* Would @from dial @to where that is? */
bool gossip_reaches(struct world *w, size_t from, size_t to);
/* Where @number is, or was last, to be written into a change of members. */
void gossip_address(const struct world *w, size_t number,
                    char out[PX_ADDRESS_BYTES_MAX + 1]);

/* Everything has healed: within the bound of the settings each living server of
 * @of holds each other one for alive, where it is; from then on none of them is
 * held for dead. */
void gossip_must_agree(struct world *w, const bool of[]);
/* Within the same time after its end, one that is stopped for good is dead, or
 * left, or unknown, to all. */
void gossip_must_bury(struct world *w);

#endif
