/* Who the members are, and all that this node knows of each, in one table: the
 * configuration in force, names and addresses (peers.h), what gossip shows, and,
 * on the leader, how far raft has got with it.
 *
 * Thread: loop. */
#ifndef NODE_MEMBERS_H
#define NODE_MEMBERS_H

#include "gossip/types.h"
#include "node/replica.h"

struct member {
    raft_id id;
    enum raft_member_role role;
    char name[PX_NODE_ID_BYTES_MAX + 1];    /* or the id, as a number */
    char address[PX_ADDRESS_BYTES_MAX + 1]; /* empty: not known */
    char zone[PX_NODE_ID_BYTES_MAX + 1];
    const char *gossip; /* "alive" ..., "unknown" */
    bool is_named;      /* that is its name */
    bool is_self;
    bool is_leader;
    bool is_alive;  /* as far as can be said here: gossip shows it, or it
                      answers us, who lead */
    bool is_faulty; /* leader: it says so */
    bool has_match;
    raft_index match; /* leader: it holds the log up to here */
};

struct members {
    struct raft_config config; /* in force */
    bool is_settled; /* it is committed, and the state here knows of it: who
                        was removed, too */
    struct raft_status status;
    size_t peer_count; /* leader: what it knows of the others */
    struct raft_peer_status peers[RAFT_MEMBERS_MAX];
    struct member list[RAFT_MEMBERS_MAX]; /* config.count, in its order */
};

/* Where they come from. */
struct members_from {
    void *ctx;
    const struct replica *replica;
    px_ns now;
    px_ns election;
    /* Its name and address, which may be ""; false: it is not known. */
    bool (*name)(void *ctx, raft_id id, const char **name_out,
                 const char **address_out);
    /* What gossip shows of it; false: nothing. */
    bool (*find)(void *ctx, raft_id id, struct swim_member_info *out);
};

void members_get(const struct members_from *from, struct members *out);

/* "voter", "learner" */
const char *members_role_text(enum raft_member_role role);
/* NULL: no member. */
const struct member *members_find(const struct members *m, raft_id id);
/* NULL: nobody is known to lead. */
const struct member *members_leader(const struct members *m);

/* A change was committed; @by: "admin", or "leader" for its policy. */
void members_note(enum raft_change_what what, const char *name, const char *by);

/* Of the configuration's change: what the state is to keep. With an ADD @name
 * and @address say who comes. out->added is to be unreferenced. -ENOMEM. */
int members_change(const struct members *m, enum raft_change_what what,
                   raft_id id, const char *name, const char *address,
                   struct raft_change *out);

#endif
