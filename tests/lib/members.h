/* Members of a cluster: what nodes say of each other on their status pages, and
 * what asks them for changes. */
#ifndef TESTS_LIB_MEMBERS_H
#define TESTS_LIB_MEMBERS_H

#include <stdbool.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"

#define MEMBER_TEXT_BYTES 64

/* What node @at says of node @i under @key: "role", "gossip", "zone" ...; "": it
 * knows no such member; "?": it doesn't answer. */
void member_text(struct cluster *c, int at, int i, const char *key,
                 char text[MEMBER_TEXT_BYTES]);
bool member_is(struct cluster *c, int at, int i, const char *key,
               const char *value);

/* Runs @o, a `phalanx member` command, as an operator does. Where it ends with
 * "it is not known whether this took effect", because its leader was deposed
 * meanwhile, it is run again; who is told then that nothing is left to be done
 * has what he wanted: status 0, with that in r->err. */
void member_run(const struct process_options *o, unsigned ms_max,
                struct process_result *r);

#endif
