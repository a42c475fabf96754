/* See fault.h. */
#include "node/fault.h"

#include "base/assert.h"
#include "base/note.h"

/* Where all others' logs are empty, or enough of them, there is nothing that we
 * could have promised to keep. */
void fault_on_hello(struct fault *f, raft_id peer, bool is_empty,
                    bool is_log_empty)
{
    if (f->identity->is_begun || f->has_note)
        return; /* a log that was emptied by damage has something to forget */
    bootstrap_hear(&f->empties, &f->initial, f->self, peer, is_empty);
    if (!bootstrap_is_new(&f->empties, &f->initial) || !is_log_empty)
        return;
    px_note(PX_NOTE_INFO, "node: the cluster is new: empty_logs=%zu of %zu",
            f->empties.count + 1, f->initial.count);
    f->is_cluster_new = true;
    f->identity->is_begun = true;
    f->io.keep(f->io.ctx);
}

static void tell_sound(struct fault *f)
{
    if (!f->is_cluster_new || !f->durable->is_begun)
        return;
    px_assert(!f->has_note);
    f->is_cluster_new = false;
    replica_sound(f->replica);
}

/* Neither the log's note nor the identity says otherwise any more. */
static void tell_recovered(struct fault *f)
{
    if (!f->is_recovered || f->has_note || !f->durable->is_begun)
        return;
    f->is_recovered = false;
    replica_on_recovered(f->replica);
}

void fault_on_lost(struct fault *f, raft_index index)
{
    px_note(PX_NOTE_WARN,
            "log: faulty: the leader counts on entry=%llu, which this disk has "
            "lost: it is repaired from the other nodes, and until then this "
            "one does not vote",
            (unsigned long long)index);
    f->has_note = true;
    f->lost = index;
    f->is_noting = true;
    f->is_cluster_new = false;
    f->io.note_loss(f->io.ctx, index);
}

void fault_on_loss_noted(struct fault *f)
{
    f->is_noting = false;
    replica_on_loss_noted(f->replica);
}

/* The log first, note or not: what made it whole is durable when that is done. */
void fault_on_recovered(struct fault *f)
{
    f->is_recovered = true;
    f->io.forget_loss(f->io.ctx);
}

static void begin(struct fault *f)
{
    px_note(PX_NOTE_INFO, "node: has what the cluster holds");
    f->identity->is_begun = true; /* or is already: the cluster was new, but a
                                     leader's entry came first */
    f->io.keep(f->io.ctx);
}

void fault_on_mended(struct fault *f)
{
    if (f->is_noting)
        return; /* something has gone since: the note comes back */
    f->has_note = false;
    f->lost = 0;
    if (f->durable->is_begun)
        tell_recovered(f);
    else
        begin(f);
}

void fault_on_kept(struct fault *f)
{
    if (f->replica == NULL)
        return;
    tell_sound(f);
    tell_recovered(f);
}
