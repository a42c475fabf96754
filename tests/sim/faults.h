/* What goes wrong, and when: drawn from the seed. Each run has kinds of faults
 * of its own, so that some runs see much of one kind.
 *
 * To add one: a kind in faults.c, what it does, how faults_heal ends it, and a
 * count. */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include "tests/sim/server.h"

struct faults;

struct faults *faults_new(struct world *w);
void faults_free(struct faults *f);
/* From now on; until healed. */
void faults_begin(struct world *w);
/* One of them: it ends, and starts again after a while. */
void faults_end(struct world *w, struct server *s, enum server_end how);
/* A server has just noticed what a flush that lied has cost: its log ended at
 * @pos. */
void faults_on_noticed(struct server *s, struct raft_pos pos);
/* One side does not reach the other, for a while; each is whole. */
void faults_cut_off(struct world *w, const bool side[]);
/* Everything works again, and nothing new goes wrong. */
void faults_heal(struct world *w);
/* Nothing new goes wrong. Servers of @core work, and reach each other; the
 * others stay broken for ever. */
void faults_heal_core(struct world *w, const bool core[]);

#endif
