/* How a node comes to its cluster: decisions only, each a function of what it
 * is told, what its folder says and what gossip shows.
 *
 *   the folder has an identity     it decides; PEERS must not contradict it
 *   neither PEERS nor SEEDS        a cluster of one, at once, under an id that
 *                                  was drawn (below)
 *   PEERS                          these voters, at once; but a node without
 *                                  data is not trusted before it is known that
 *                                  the cluster is new (below)
 *   SEEDS, BOOTSTRAP_EXPECT=n      waits for n - 1 others, and founds
 *   SEEDS                          waits for a cluster, and joins
 *
 * Founding, on top of gossip/bootstrap.h, which says who would found with whom:
 *
 *   STAY ─▶ PROMISE ─▶ durable: the view is announced ─▶ FOUND
 *    │                                                     ▲
 *    │      a member of the very cluster that we promised ─┘
 *    └────▶ ENTER: a member of any other
 *
 * What is announced binds: others found on it. So it is in the identity first
 * (is_begun false, no log yet), and a node that is started again while it waits,
 * or that was gone for the moment in which the others founded, is one of them
 * all the same: the id of a cluster is made of its first voters, so one that is
 * of the promised id was founded with us. A begin with PEERS that was cut short
 * is another thing: nobody founds on it, so nobody's word makes it trusted. It is
 * told by identity.promise, which is 0 in the former until it has a log.
 *
 * The id of a cluster of one is drawn at random: nobody could tell its voter that
 * its disk was emptied, so it begins at once, and what it begins is another
 * cluster. Under the same id the others, who may have joined it since, would
 * take its new entries for those that they hold under the same terms.
 *
 * A node without data that PEERS names, or that joins, may be one whose disk was
 * emptied: what it acknowledged is forgotten, so it must not vote. It begins as
 * faulty (raft/fault.c), and is whole once a leader has given it the log; or
 * once it is plain that there was never anything to forget, bootstrap_is_new. */
#ifndef NODE_BOOTSTRAP_H
#define NODE_BOOTSTRAP_H

#include "gossip/bootstrap.h"
#include "node/config.h"
#include "raft/types.h"
#include "store/identity.h"

enum bootstrap_start {
    BOOTSTRAP_RUN,   /* it has an identity, and a cluster */
    BOOTSTRAP_BEGIN, /* it has its first identity now, to be written */
    BOOTSTRAP_WAIT,  /* gossip says with whom */
};

/* @identity: as the folder has it, or with @is_new a draft, which is filled in
 * for BEGIN. @drawn: an id that nobody has, should one be needed.
 * Errors: -PX_ECLUSTER, and a sentence in @why. */
int bootstrap_start(const struct config *config, bool is_new, uint64_t drawn,
                    struct store_identity *identity,
                    enum bootstrap_start *start_out, char *why,
                    size_t why_size);

enum bootstrap_step {
    BOOTSTRAP_STAY,
    BOOTSTRAP_PROMISE, /* the identity is to be bootstrap_promise's, durably */
    BOOTSTRAP_ENTER,   /* the identity is to be bootstrap_enter's, durably */
    BOOTSTRAP_FOUND,   /* it is: begin */
};

/* Of a node that waits. @identity: what is durable. */
enum bootstrap_step bootstrap_next(const struct swim_bootstrap *b,
                                   const struct store_identity *identity);
/* What may be announced as about.view. */
uint64_t bootstrap_view(const struct swim_bootstrap *b,
                        const struct store_identity *identity);
void bootstrap_promise(const struct swim_bootstrap *b,
                       struct store_identity *identity);
void bootstrap_enter(uint64_t cluster, struct store_identity *identity);

/* The configuration that the cluster began with; empty for one who joined. */
void bootstrap_config(const struct store_identity *identity,
                      struct raft_config *config_out);

/* Of a node that starts: may peers take it for new, or for one whose disk was
 * emptied? An empty log is not enough where the log was made sure of and there is
 * a term: such a disk is no other than it was. A leader had the first entries
 * cut, and a crash has torn those that it sent instead. */
bool bootstrap_is_blank(const struct store_identity *identity, raft_term term,
                        bool is_log_empty);

/* Who of the other first voters has said that its log is empty. */
struct bootstrap_empties {
    size_t count;
    raft_id list[RAFT_MEMBERS_MAX];
    bool has_begun; /* somebody's isn't: first voter or not, it has it from a
                       leader */
};

/* A word of @peer. That one's log is empty counts of a first voter alone. */
void bootstrap_hear(struct bootstrap_empties *e,
                    const struct raft_config *initial, raft_id self,
                    raft_id peer, bool is_empty);
/* How many others have to be empty: so many that every majority has one of
 * them, ourselves counted as one who may have lost what it acknowledged. Then
 * nothing was ever committed. */
size_t bootstrap_empties_needed(const struct raft_config *initial);
/* Never of an empty @initial: one who joins has no part in this. */
bool bootstrap_is_new(const struct bootstrap_empties *e,
                      const struct raft_config *initial);

#endif
