/* Whom the leader takes in, promotes and lets go without being asked: a
 * function of what it sees, with one action at most for an answer.
 *
 *   gossip brings a node ─▶ ADD ─▶ learner, catches up ─▶ PROMOTE ─▶ voter
 *                                                gone for long ─▶ REMOVE
 *
 * Rules, each with a test of its own:
 *
 *   One change at a time: nothing while the configuration in force is not
 *   committed, or the state does not know of it, and so of who was removed.
 *   ADD      with auto_join: a node that gossip shows alive, of our cluster, that
 *            is no member and never was removed, while there is room for a
 *            member. Who has been there longest comes first.
 *   PROMOTE  with auto_join: a learner that raft holds for caught up, and gossip
 *            not for dead, while there are fewer than voters_max voters. Who
 *            lacks least comes first. One that is still far behind does not keep
 *            others from coming, or the dead from going.
 *   REMOVE   with remove_after: a member that gossip has held for dead, or knows
 *            to have left, or has not known, or knows as another of its name, of
 *            no cluster or another, for so long; and that we, who have led for so
 *            long, have not heard of either. Never ourselves, and never if the
 *            living voters were no majority of the voters that there are, or of
 *            those that would remain.
 *
 * Gossip only advises. It may hold a node for dead whose UDP alone is lost, so a
 * member is gone only when raft does not hear of it either.
 *
 * A promotion goes before a removal: who stands ready makes up for who is gone.
 * A removal goes before an addition: it makes the room. */
#ifndef NODE_POLICY_H
#define NODE_POLICY_H

#include "gossip/types.h"
#include "raft/raft.h"

struct policy_settings {
    bool auto_join;
    size_t voters_max;
    px_ns remove_after; /* 0: nobody is removed */
    px_ns election;     /* who was not heard of for so long does not live */
};

/* A node as gossip shows it. */
struct policy_seen {
    raft_id id;
    enum swim_state state;
    px_ns since; /* that it is in this state */
    uint64_t cluster;
    bool was_removed; /* by the state; need be right of non-members only */
};

struct policy_view {
    px_ns now;
    px_ns leads_since;
    raft_id self; /* the leader */
    uint64_t cluster;
    const struct raft_config *config; /* in force */
    bool is_settled;                  /* committed, and applied here */
    const struct raft_peer_status *peers;
    size_t peer_count;
    const struct policy_seen *seen;
    size_t seen_count;
};

enum policy_what {
    POLICY_NOTHING,
    POLICY_ADD,
    POLICY_PROMOTE,
    POLICY_REMOVE,
};

struct policy_action {
    enum policy_what what;
    raft_id id; /* 0 for NOTHING */
};

struct policy_action policy_decide(const struct policy_settings *settings,
                                   const struct policy_view *view);

/* Does gossip show one that could be added, were it no member? The role that it
 * says it has is not asked: it goes by its own log, which may have the entry of a
 * leader that died, and that the next one doesn't have. */
bool policy_is_candidate(const struct swim_member_info *info, uint64_t cluster);

/* Voters that live, as raft sees it: heard of within an election timeout, and
 * whole; and ourselves. */
size_t policy_living_voters(const struct policy_settings *settings,
                            const struct policy_view *view);
/* May @id go, and the voters that live still decide? A voter that is gone may,
 * as long as the living are a majority now. */
bool policy_may_remove(const struct policy_settings *settings,
                       const struct policy_view *view, raft_id id);

#endif
