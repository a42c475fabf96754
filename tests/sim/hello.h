/* What two servers learn of each other as they connect, as node/ has it with
 * net/'s hellos: whether the one's log is empty, and that it is a member no
 * more.
 *
 * A first voter does not know at first whether the cluster is new or its own
 * disk was emptied. It is faulty to raft until so many of the other voters have
 * empty logs that no majority with itself in it can hold anything; or until a
 * leader has given it the log, as a joiner is given it. */
#ifndef TESTS_SIM_HELLO_H
#define TESTS_SIM_HELLO_H

#include "tests/sim/server.h"

/* Can they be connected? One whose state says that the other was removed
 * refuses, and perhaps tells it. */
bool hello_is_taken(struct world *w, size_t from, size_t to);
/* They are. */
void hello_say(struct world *w, size_t from, size_t to);
/* Its state has other members, perhaps: whoever was removed is cut off. */
void hello_on_members(struct server *s);

#endif
