/* What is done to a server's state behind the program's back, and what is known
 * of it, so that the checks tell a state that is rightly found to be wrong.
 *
 *   value    a bit of a chunk changes: in its bytes, or in the checksum before
 *            them. A read that meets it ends with EIO, and the process, too; so
 *            does a write, or a snapshot. The start looks at all of it.
 *   sum      the sum of all records is off: the start finds it, a snapshot, or
 *            the comparison with the others.
 *   record   the root's group changes, and all sums with it, as if a command had
 *            done it. No client looks there. Only the comparison finds it.
 *   mark     a person says that it is wrong, whether it is or not.
 *
 * It happens on disks where bits flip: of a minority. A state whose record has
 * changed must not be given to others: with it, they would be a majority that is
 * wrong in the same way (docs/decisions/0007-state-hash.md). So a person marks it
 * as soon as it is offered to one, as he does where nobody has outvoted it in the
 * end, for too few have a say. */
#ifndef TESTS_SIM_STATE_H
#define TESTS_SIM_STATE_H

#include "tests/sim/server.h"

/* Something changes in it: while the server is up, or while it is down. */
void state_change(struct server *s);
/* It has opened its state; it goes on with a snapshot's; it is about to end. */
void state_on_open(struct server *s);
void state_on_adopt(struct server *s);
void state_on_end(struct server *s, bool is_machine);
/* After each turn. */
void state_look(struct server *s);
/* It offers a snapshot. False: it must not. */
bool state_may_offer(struct server *s);

/* Does a member have a state with another record, which nobody has found? Would
 * the others' claims decide it? */
bool states_have_wrong(const struct world *w);
bool states_are_decided(const struct world *w);
/* A person marks those that are wrong, and not found yet. */
void states_give_up(struct world *w);

#endif
