/* A snapshot takes the place of the log, and of the state (chapter 5): the
 * follower's side. The other one is in snapshot.c.
 *
 *   INSTALLING(term) ─▶ INSTALLED(pos) ─▶ [reset durable] ─▶ INSTALLING(0)
 *
 * In between it does not campaign: it would compete with what it waits for, and
 * could not serve. Its log and term are what they were, so its votes mean what
 * they did.
 *
 * INSTALLED moves the log to the snapshot at once: what we then say of it is
 * true on disk when the reset is, and acknowledgements wait for that. Should
 * power fail in between, the snapshot is there, and the caller resets the log
 * from it. No entry that counts is lost: a committed one up to pos is in the
 * snapshot. One behind pos, in a log that doesn't hold pos, follows an entry
 * that another one was committed in place of, and can't be committed itself.
 *
 * The sender's term is adopted first. What a snapshot holds was committed in
 * that term or before; leaders of it and of later terms hold all of it (leader
 * completeness), and so may take our word that we do, without comparing. A
 * leader of an older term may not: it could count us for another entry. */
#include <errno.h>

#include "raft/core.h"

int raft_on_installing(struct raft *r, raft_term term)
{
    if (term == 0) {
        r->installing = 0;
        return 0;
    }
    if (term > RAFT_TERM_MAX)
        return -EINVAL;
    if (r->role == RAFT_LEADER && term <= r->hard.term)
        return -EBUSY;
    if (term > r->hard.term || r->role != RAFT_FOLLOWER)
        raft_become_follower(r, term > r->hard.term ? term : r->hard.term);
    r->installing = term;
    return 0;
}

/* Can a snapshot beyond our commit end at @pos? */
static bool is_sound(const struct raft *r, struct raft_pos pos,
                     const struct raft_config *config)
{
    if (!raft_config_is_sound(config) || raft_config_voters(config) == 0)
        return false;
    return pos.term > 0 && pos.term <= r->installing &&
           pos.term >= raft_log_term(&r->log, r->commit) &&
           pos.index <= UINT64_MAX - PX_BATCH_ENTRIES_MAX;
}

static void acknowledge(struct raft *r, raft_index match)
{
    struct raft_msg *reply;

    if (r->leader == 0)
        return;
    reply = raft_msg_after(r, r->leader, RAFT_MSG_APPEND_REPLY);
    reply->append_reply.is_accepted = true;
    reply->append_reply.match = match;
}

int raft_on_installed(struct raft *r, struct raft_pos pos,
                      const struct raft_config *config)
{
    px_assert(r->installing != 0);
    px_assert(!r->draft.is_log_shown); /* R11 */
    if (pos.index <= r->commit)
        return 0; /* no news: we hold it, or will, from the log */
    if (!is_sound(r, pos, config)) {
        r->refused++;
        return -EINVAL;
    }
    if (raft_log_holds(&r->log, pos)) {
        raft_log_install(&r->log, pos);
    } else {
        raft_log_reset(&r->log, pos, r->write_seq + 1);
        r->draft.is_reset = true;
    }
    raft_configs_install(r, pos.index, config);
    raft_commit_to(r, pos.index);
    r->draft.is_installed = true;
    acknowledge(r, pos.index);
    return 0;
}
