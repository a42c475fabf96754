/* Who the members are, as of the applied index: a part of the replicated state,
 * which entries of kind RAFT_ENTRY_CONFIG change.
 *
 *   store_change_encode ─▶ raft_change.added ─▶ the entry: configuration, then
 *                                               what was added
 *   store_apply         ─▶ store_view_members, store_view_was_removed
 *
 * Raft goes by the newest configuration in its log, committed or not; this one
 * is committed and applied, and it knows more: the members' names and
 * addresses, and who was a member once.
 *
 * What an entry does:
 *   - its configuration is the one in force
 *   - names and addresses of its members are taken from what was added; what
 *     that does not tell stays as it was
 *   - whoever was a member and isn't any more is removed, for ever; and so is
 *     whom the addition names, for the initial configuration, which no entry
 *     holds, is not known here. A removed node's session ends, and its name
 *     opens no other
 *
 * What was added and does not decode is as if nothing had been added: every
 * replica does the same. */
#ifndef STORE_MEMBERS_H
#define STORE_MEMBERS_H

#include "raft/types.h"
#include "store/state.h"

struct store_member {
    raft_id id;
    enum raft_member_role role;
    char name[PX_NODE_ID_BYTES_MAX + 1];    /* empty: not known */
    char address[PX_ADDRESS_BYTES_MAX + 1]; /* host:port; empty: not known */
};

struct store_members {
    raft_index index; /* of the entry; 0: none has been applied yet, and the
                         initial configuration holds */
    size_t count;
    struct store_member list[RAFT_MEMBERS_MAX]; /* in the entry's order */
};

/* What is added behind the configuration. */
struct store_change {
    raft_id removed; /* 0: nobody */
    size_t count;
    /* Names and addresses, of the members and of who is removed, as far as the
     * leader knows them. Roles are ignored. */
    struct store_member list[RAFT_MEMBERS_MAX];
};

/* Errors: -ENOMEM; -EINVAL for what decoding would refuse: an id that is 0 or
 *         there twice, a byte in a name or address that isn't printable. */
int store_change_encode(const struct store_change *c,
                        struct px_slice *slice_out);

/* Errors of all: -PX_ECORRUPT, LMDB's as errno. */
int store_view_members(struct store_view *v, struct store_members *out);
/* 1: it was a member, and was removed. 0. */
int store_view_was_removed(struct store_view *v, raft_id id);
/* 1: a session of that node lives, so it has been here before. 0. */
int store_view_knows_node(struct store_view *v, const char *name);

#endif
