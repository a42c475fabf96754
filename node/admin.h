/* What an operator asks of a node about its members, and the answers: who they
 * are, and changes of that, one at a time.
 *
 *   admin_new ─▶ admin_ask(token, question) ─▶ io.reply(token, answer), once,
 *            │                                 now or by the deadline
 *            └─▶ admin_free, once the replica has stopped
 *
 * Any node answers LIST. The rest is the leader's: another node says who that
 * is (-PX_ENOTLEADER, with its name and address), and the client asks there.
 * What is answered with 0 is committed. -PX_EUNKNOWN: it may yet be; LIST shows.
 * Every answer has a sentence for the operator, that says what to do next.
 *
 * A leader that is asked to remove itself hands leadership over, and then
 * answers as one that doesn't lead.
 *
 * Thread: loop. */
#ifndef NODE_ADMIN_H
#define NODE_ADMIN_H

#include "net/net.h"
#include "node/members.h"

struct admin;

struct admin_io {
    void *ctx;
    void (*reply)(void *ctx, uint64_t token, const struct net_admin_reply *r);
    void (*members)(void *ctx, struct members *out);
    /* 1, 0, -errno. */
    int (*was_removed)(void *ctx, raft_id id);
    /* What gossip shows: of one; of all, the number of which is returned. */
    bool (*find)(void *ctx, raft_id id, struct swim_member_info *out);
    size_t (*seen)(void *ctx, const struct swim_member_info **list_out);
};

struct admin_options {
    struct replica *replica;
    px_ns (*now)(void *ctx); /* ctx of the io */
    raft_id (*id_of)(const char *name);
    px_ns timeout; /* of a question */
    px_ns election;
    uint64_t cluster;
};

/* -ENOMEM. */
int admin_new(const struct admin_options *options, const struct admin_io *io,
              struct admin **admin_out);
/* NULL is accepted. No question is under way: the replica has stopped. */
void admin_free(struct admin *a);
void admin_ask(struct admin *a, uint64_t token, const struct net_admin *q);

#endif
