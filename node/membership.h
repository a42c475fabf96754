/* Members that come and go, as the server sees to it: once a second the leader's
 * policy (policy.h), and what admins ask (admin.h), both by replica_change.
 *
 * Thread: loop. */
#ifndef NODE_MEMBERSHIP_H
#define NODE_MEMBERSHIP_H

#include "net/net.h"
#include "node/members.h"
#include "node/policy.h"

struct admin;
struct node;

struct membership {
    struct admin *admin; /* made when something is first asked */

    raft_term term; /* that we lead in; 0: we don't */
    px_ns leads_since;
    struct replica_change_wait wait; /* of the policy's change */
    bool is_waiting;
    struct raft_change change;
    char name[PX_NODE_ID_BYTES_MAX + 1]; /* whom it is about */
    raft_id noted;                       /* of whom a failure was noted last */
};

/* Who the members are, and what this node knows of each. There is a replica. */
void membership_get(const struct node *n, struct members *out);
/* Once a second. */
void policy_turn(struct node *n, px_ns now);
/* Ends in net_admin_reply. */
void membership_ask(struct node *n, uint64_t token, const struct net_admin *q);
/* After replica_stop. */
void membership_close(struct node *n);

#endif
