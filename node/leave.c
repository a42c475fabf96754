/* A node's last steps, when it is told to stop:
 *
 *   leads ── nobody can take over ────┐
 *     │                               ▼
 *     └── another leads ──▶ enough have heard goodbye (gossip): no failure
 *                                     │
 *                                     ▼
 *                           takes no request more of its mount
 *                                     │
 *            those it has are answered▼           time is up, from anywhere
 *                             the loop ends ◀──────────────────────────────
 *
 * The mount serves as always up to then: to those who use it, too, the change of
 * leaders is one slow call, and goodbyes, which take as long as gossip's interval,
 * are none. Who asks after that is told that nothing happened (node_close), or
 * that the mount is gone.
 *
 * A node that waits for its cluster has nothing to hand over, and says goodbye
 * all the same: until then the others count it among those who found one. */
#include "base/note.h"
#include "node/node_core.h"

/* For one to be elected in our place, should the hand-over fail. */
#define LEAVE_ELECTIONS 2u

void leave_init(struct node *n)
{
    n->leave_by = PX_NS_NEVER;
}

void leave_begin(struct node *n)
{
    if (n->leave_by != PX_NS_NEVER) {
        uv_stop(&n->loop); /* who asks twice doesn't wait */
        return;
    }
    n->leave_by =
        px_now() + LEAVE_ELECTIONS * n->config.election_ticks * n->config.tick;
    n->is_handing_over =
        !begin_is_waiting(n) && replica_hand_over(n->replica) == 0;
    if (n->is_handing_over)
        px_note(PX_NOTE_INFO, "node: hands over leadership");
    gossip_leave(n);
}

bool leave_is_begun(const struct node *n)
{
    return n->leave_by != PX_NS_NEVER;
}

void leave_turn_waiting(struct node *n)
{
    if (leave_is_begun(n) && (n->gossip.has_left || px_now() >= n->leave_by))
        uv_stop(&n->loop);
}

void leave_turn(struct node *n, const struct raft_status *status)
{
    bool may_go;

    if (!leave_is_begun(n))
        return;
    if (status->role != RAFT_LEADER && status->leader != 0)
        n->is_handing_over = false;
    may_go = !n->is_handing_over && n->gossip.has_left;
    if (may_go && n->has_fs_poll)
        (void)uv_poll_stop(&n->fs_poll); /* always succeeds */
    if ((may_go && !replica_has_requests(n->replica)) ||
        px_now() >= n->leave_by)
        uv_stop(&n->loop);
}
