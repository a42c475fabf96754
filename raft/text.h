/* Roles and messages as text, for notes, status pages and traces. */
#ifndef RAFT_TEXT_H
#define RAFT_TEXT_H

#include "base/text.h"
#include "raft/types.h"

/* "follower", "pre-candidate", "candidate", "leader". */
const char *raft_role_text(enum raft_role role);
/* "append-reply", ...; "unknown" for another number. */
const char *raft_msg_type_text(enum raft_msg_type type);
/* One message on one line: `append 1>2 term=3 prev=2/7 commit=6 count=1`. */
void raft_msg_text(const struct raft_msg *m, struct px_text *text);

#endif
