/* Programs on the mounts: each asks one thing after the other of the node that
 * it runs on, as fs/ would, and moves to another node now and then. What was
 * asked and answered goes into a history (tests/lib/history.h).
 *
 *   registers   "r0": written whole, read whole, deleted
 *   lists       "l0": a token appended, all read
 *   names       "d0-7": created exclusively, as file or directory, removed,
 *               renamed over each other, looked up
 *
 * A client whose node dies has no answer: a command may have been proposed, a
 * read has had no effect. */
#ifndef TESTS_SIM_CLIENTS_H
#define TESTS_SIM_CLIENTS_H

#include "tests/sim/server.h"

struct clients;

struct clients *clients_new(struct world *w);
void clients_free(struct clients *cs);
void clients_begin(struct world *w);
/* Nothing new is asked. */
void clients_end(struct world *w);
bool clients_are_idle(const struct world *w);

/* A write on @s, unless one is under way or has succeeded since they were
 * forgotten. */
void clients_probe(struct server *s);
bool clients_is_probed(const struct server *s);
void clients_forget_probes(struct world *w);

/* Asks the checker. */
void clients_check(struct world *w);

#endif
