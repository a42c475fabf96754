/* What must be true of a whole cluster, whatever happens to it: see
 * harness.h for the list. */
#ifndef ORACLE_H_
#define ORACLE_H_

#include "tests/unit/raft/harness.h"

/* An entry by the name that log matching gives it (figure 3.2). */
struct entry_name {
    struct raft_pos pos;
    raft_term prev_term;
    enum raft_entry_kind kind;
    uint64_t value; /* of its data; 0: none */
};
#define ORACLE_NAMES (UINT32_C(1) << 16)

/* Prints the seed, and ends the process. */
_Noreturn void oracle_fail(const struct cluster *c, const char *what);

void oracle_on_step(struct cluster *c, struct node *n, const struct raft_in *in,
                    const struct raft_out *out);
/* A message leaves @n. */
void oracle_on_send(struct cluster *c, const struct node *n,
                    const struct raft_msg *m);
void oracle_on_apply(struct cluster *c, const struct node *n,
                     const struct raft_entry *e);
void oracle_on_read(struct cluster *c, const struct node *n, raft_index index,
                    raft_index floor);
void oracle_fini(struct cluster *c);

#endif
