/* An administrator who exchanges the members, one after the other, while all
 * that can go wrong goes wrong; and what becomes of those that he removes.
 *
 *   goal ─▶ a server is asked: add, promote, remove, or hand over ─▶ answer,
 *    ▲         │ the step towards the goal from the members that     │ or none
 *    │         │ this server goes by                                 │
 *    └─────────┴──────────── later; perhaps the same again ◀─────────┘
 *
 * He asks whoever leads, or says so, or anybody; a leader as soon as it arises.
 * Often the one that has taken a change crashes, or is cut off with it, alone
 * or with one other, so that the next leader begins a change of its own.
 *
 * What he is careful of, as one has to be: of no configuration a majority is
 * lost, or may lose entries; and no id comes back. A member whose disks are lost
 * is removed, and another one added in its place.
 *
 * Who was removed is stopped for good, at once or much later, or never. In some
 * runs it is told, by a member whose state says so, and ends by itself. */
#ifndef TESTS_SIM_MEMBERS_H
#define TESTS_SIM_MEMBERS_H

#include "tests/sim/server.h"

#define MEMBERS_PERCENT 33 /* of the runs */

struct members;

struct members *members_new(struct world *w);
void members_free(struct members *m);
void members_begin(struct world *w);
/* Nothing more is asked. Those that were removed go on as they do. */
void members_end(struct world *w);

/* A server leads a term. */
void members_on_leader(struct server *s);
/* A configuration is committed. */
void members_on_settled(struct world *w, const struct raft_config *before,
                        const struct raft_config *now);
/* @s learns from @by, which refuses it, that it was removed; or does not. */
void members_tell(struct server *s, const struct server *by);

#endif
