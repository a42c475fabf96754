/* How a node that has no data, and was given no PEERS, comes to its cluster: a
 * function of what gossip shows.
 *
 *   WAIT   for others: the text says for whom
 *   FORM   the cluster of these voters, the same at each of them
 *   JOIN   a cluster that exists
 *
 * A caller asks whenever the table has changed, and says (SWIM_IN_SELF) in
 * about.view what comes back as view, then in about.cluster the cluster that it
 * has formed or joined. It forms once in its life: a node that has data does
 * not ask.
 *
 * BOOTSTRAP_EXPECT=n founds a cluster when n nodes see each other:
 *
 *   1. a candidate has no cluster, and expects n
 *   2. where exactly n are living, their sorted ids have a hash: the view
 *   3. each announces it; who sees all n announce the same forms
 *
 * Who forms goes on announcing its view, so that the others, who may not have
 * seen all of them yet, do the same. It is no candidate for another view, and no
 * new view is announced beside a cluster, be it down: it may be the one of those
 * who have seen what we announced before.
 *
 * A view is of all n candidates, and with n of them in the world there is only
 * one: so there can't be two clusters, whatever is lost or late. With more than n
 * in the world, those who see more than n wait until one of them is taken away. A
 * cluster that is known, be it down, is not founded beside.
 *
 * A node that was a candidate and has lost its disk since does not form: what it
 * promised before is gone. It asks to join, and is refused there by its id.
 *
 * Without BOOTSTRAP_EXPECT a node only joins. */
#ifndef GOSSIP_BOOTSTRAP_H
#define GOSSIP_BOOTSTRAP_H

#include "base/text.h"
#include "gossip/types.h"

enum swim_bootstrap_verdict {
    SWIM_BOOTSTRAP_WAIT,
    SWIM_BOOTSTRAP_FORM,
    SWIM_BOOTSTRAP_JOIN,
};

enum swim_bootstrap_reason {
    SWIM_WAITS_FOR_CLUSTER, /* it may only join, and there is none to be seen */
    SWIM_WAITS_FOR_MORE,    /* too few candidates */
    SWIM_WAITS_FOR_FEWER,   /* too many: which of them is not for us to say */
    SWIM_WAITS_FOR_VIEWS,   /* not all see all yet */
    SWIM_WAITS_FOR_DEAD,    /* there is a cluster, none of it living */
    SWIM_WAITS_FOR_ONE,     /* there are two clusters under one label */
    SWIM_WAITS_FOR_ACCORD,  /* others expect another number */
};

struct swim_bootstrap {
    enum swim_bootstrap_verdict verdict;
    enum swim_bootstrap_reason reason; /* of WAIT */
    uint64_t view;                     /* to be said in about.view */
    uint64_t cluster;                  /* JOIN */
    unsigned expect;
    size_t count; /* candidates, ourselves included */
    /* Their ids, sorted, as far as there is room: FORM: the voters. They are
     * the members' own. */
    const char *ids[RAFT_MEMBERS_MAX];
};

/* @members: all that swim_get_members gave. @expect: 0 .. RAFT_MEMBERS_MAX. */
void swim_bootstrap(const struct swim_member_info *members, size_t count,
                    unsigned expect, struct swim_bootstrap *out);

/* One sentence, for an operator. */
void swim_bootstrap_text(const struct swim_bootstrap *b, struct px_text *text);

#endif
