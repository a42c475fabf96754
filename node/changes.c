/* Who the members are, and what is asked of that: changes and hand-overs, each
 * answered when its outcome is known.
 *
 * A change is an entry. While the leader that proposed it leads on, in the same
 * term, nobody overwrites it: committed up to there, it is done. When it does
 * not, the entry may have reached others, so the outcome is unknown; whoever
 * asked looks at the members that are in force, and asks again. */
#include <errno.h>

#include "base/err.h"
#include "base/mutant.h"
#include "node/replica_core.h"

/* ---- Who the members are ---- */

void changes_look(struct replica *r)
{
    struct raft_config_at at;

    if (r->status.config_changes == r->config_changes)
        return;
    r->config_changes = r->status.config_changes;
    raft_get_config(r->raft, &at);
    r->config = at.config;
    r->config_at = at.index;
    r->is_config_told = false;
    transfer_out_on_config(r);
}

bool replica_get_config(const struct replica *r, struct raft_config *out)
{
    *out = r->config;
    return r->config_at <= r->status.commit;
}

bool replica_is_log_empty(const struct replica *r)
{
    return r->status.durable == 0;
}

void replica_sound(struct replica *r)
{
    struct raft_in in = {.type = RAFT_IN_SOUND};

    (void)replica_step(r, &in); /* it has no error to report */
}

/* ---- What is asked ---- */

static void finish(struct replica_change_wait *w, int rc)
{
    px_list_remove(&w->link);
    w->done(w, rc);
}

static void begin(struct replica *r, struct replica_change_wait *w,
                  raft_index index, int rc)
{
    px_list_init(&w->link);
    w->index = index;
    w->term = r->status.term;
    if (rc < 0)
        w->done(w, rc);
    else
        px_list_push_back(&r->changes, &w->link);
}

void replica_change(struct replica *r, struct replica_change_wait *w,
                    const struct raft_change *c)
{
    struct raft_in in = {.type = RAFT_IN_CHANGE, .change = c};
    int rc = replica_step(r, &in);

    begin(r, w, r->status.config, rc);
}

void replica_transfer(struct replica *r, struct replica_change_wait *w,
                      raft_id to)
{
    struct raft_in in = {.type = RAFT_IN_TRANSFER, .transfer = to};
    int rc = replica_step(r, &in);

    begin(r, w, 0, rc);
}

/* 1: not known yet. */
static int outcome_of_change(const struct replica *r,
                             const struct replica_change_wait *w)
{
    bool is_over = r->status.role != RAFT_LEADER || r->status.term != w->term;

    if (is_over && !px_mutant(OVERWRITTEN_ACKED))
        return px_mutant(STEP_DOWN_SILENT) ? 1 : -PX_EUNKNOWN;
    return r->commit >= w->index ? 0 : 1;
}

static int outcome_of_transfer(const struct replica *r,
                               const struct replica_change_wait *w)
{
    if (r->status.term == w->term)
        return r->status.role != RAFT_LEADER || r->status.transfer != 0
                   ? 1
                   : -EAGAIN;
    if (r->status.leader == 0)
        return 1;
    return r->status.leader != r->id ? 0 : -EAGAIN;
}

/* One whose outcome is known, or whose time is up; NULL: none. */
static struct replica_change_wait *first_settled(const struct replica *r,
                                                 px_ns now, int *rc_out)
{
    px_list_for_each (it, &r->changes) {
        struct replica_change_wait *w =
            px_list_entry(it, struct replica_change_wait, link);

        *rc_out =
            w->index != 0 ? outcome_of_change(r, w) : outcome_of_transfer(r, w);
        if (*rc_out == 1 && now >= w->deadline)
            *rc_out = -PX_EUNKNOWN;
        if (*rc_out <= 0)
            return w;
    }
    return NULL;
}

void changes_turn(struct replica *r, px_ns now)
{
    struct replica_change_wait *w;
    int rc;

    while ((w = first_settled(r, now, &rc)) != NULL)
        finish(w, rc);
    if (!r->is_config_told && r->io.on_config != NULL)
        r->io.on_config(r->io.ctx);
    r->is_config_told = true;
}

px_ns changes_deadline(const struct replica *r)
{
    px_ns deadline = r->is_config_told ? PX_NS_NEVER : 0;

    px_list_for_each (it, &r->changes) {
        const struct replica_change_wait *w =
            px_list_entry(it, struct replica_change_wait, link);

        if (w->deadline < deadline)
            deadline = w->deadline;
    }
    return deadline;
}

void changes_stop(struct replica *r)
{
    while (!px_list_empty(&r->changes))
        finish(px_list_entry(r->changes.next, struct replica_change_wait, link),
               -PX_EUNKNOWN);
}
