/* What nodes of a cluster say of each other on their status pages. */
#ifndef TESTS_LIB_MEMBERS_H
#define TESTS_LIB_MEMBERS_H

#include <stdbool.h>

#include "tests/lib/cluster.h"

#define MEMBER_TEXT_BYTES 64

/* What node @at says of node @i under @key: "role", "gossip", "zone" ...; "": it
 * doesn't answer, or knows no such member. */
void member_text(struct cluster *c, int at, int i, const char *key,
                 char text[MEMBER_TEXT_BYTES]);
bool member_is(struct cluster *c, int at, int i, const char *key,
               const char *value);

#endif
