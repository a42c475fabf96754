/* One question to a cluster, by way of any of its nodes: the addresses are
 * tried in turn; a node that does not lead names the leader, and is followed;
 * while there is no leader, or the leader can't yet, it is asked again, until
 * the deadline.
 *
 * A question that changes something is never sent twice without an answer in
 * between which says that nothing came of it.
 *
 * Thread: one. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "base/time.h"
#include "net/net.h"

#define ASK_ADDRESSES_MAX 16
#define ASK_WHY_BYTES (NET_ADMIN_TEXT_BYTES_MAX + PX_ADDRESS_BYTES_MAX + 128)

struct ask_options {
    size_t count; /* at least one */
    char addresses[ASK_ADDRESSES_MAX][PX_ADDRESS_BYTES_MAX + 1];
    px_ns timeout;
};

/* 0: @reply is an answer that counts, its rc 0 or why it was refused.
 * Errors, each with a sentence in @why: -PX_EUNKNOWN, asked, and no answer
 *         came; others: nothing came of it. */
int ask_cluster(const struct ask_options *options,
                const struct net_admin *question, struct net_admin_reply *reply,
                char why[ASK_WHY_BYTES]);

#endif
