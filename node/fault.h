/* What on this disk says that the node may have forgotten something, and must
 * not vote; and when raft hears that nothing says so any more (raft/fault.c).
 *
 *   the log's note     it was damaged, or lacks what was acknowledged
 *   the identity       has not begun: the disk may have been emptied, unless the
 *                      cluster is new (bootstrap.h)
 *
 * Raft hears of nothing that a restart in the next moment would not know:
 *
 *   raft has lost  ─▶ io.note_loss                     ─▶ replica_on_loss_noted
 *   raft is whole  ─▶ io.forget_loss, then io.keep if it
 *                     has not begun                    ─▶ replica_on_recovered
 *   cluster is new ─▶ io.keep                          ─▶ replica_sound
 *
 * Each of io's calls ends later. Those about the log end in the order in which
 * they were made, behind the writes that were given before; anything may come
 * between: what is lost while the last loss is being forgotten keeps the node
 * faulty. The server and the simulator share this.
 *
 * Thread: the replica's. */
#ifndef NODE_FAULT_H
#define NODE_FAULT_H

#include "node/bootstrap.h"
#include "node/replica.h"

struct fault_io {
    void *ctx;
    /* The identity is to be durable as it is now. Ends in fault_on_kept. */
    void (*keep)(void *ctx);
    /* Entry @index is to be noted as lost. Ends in fault_on_loss_noted. */
    void (*note_loss)(void *ctx, raft_index index);
    /* The log's note, if there is one, is to go. Ends in fault_on_mended. */
    void (*forget_loss)(void *ctx);
};

struct fault {
    struct fault_io io;
    raft_id self;
    struct store_identity *identity;      /* the caller's, as it is to be */
    const struct store_identity *durable; /* and as it is */
    struct raft_config initial;           /* that the cluster began with */
    struct replica *replica;              /* NULL: there is none yet */
    struct bootstrap_empties empties;
    bool is_cluster_new; /* others prove it; raft waits for the identity */
    bool has_note;       /* the log, durably, unless: */
    bool is_noting;      /* raft waits until that is durable */
    bool is_recovered;   /* raft says so, and waits until that is durable */
    raft_index lost;     /* what went while we ran; 0: nothing */
};

/* A word of @peer, each time it connects. @is_log_empty: ours. */
void fault_on_hello(struct fault *f, raft_id peer, bool is_empty,
                    bool is_log_empty);

/* What replica_io calls lost and recovered. */
void fault_on_lost(struct fault *f, raft_index index);
void fault_on_recovered(struct fault *f);

/* What was asked for is durable. */
void fault_on_kept(struct fault *f);
void fault_on_loss_noted(struct fault *f);
void fault_on_mended(struct fault *f);

#endif
