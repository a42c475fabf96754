/* A node without data that has to find its cluster first. It has a locked folder,
 * a port that refuses peers, gossip and pages; no log, no state, no replica and
 * no mount.
 *
 *   open.c ─▶ waits ─▶ at each change of gossip: bootstrap_next
 *                          │  PROMISE, ENTER: the identity is kept, then again
 *                          └─ FOUND: node_begin, and all goes on as elsewhere
 *
 * Then, for one that PEERS names, or that has joined, the other question: may it
 * vote (bootstrap.h, raft/fault.c)? */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "base/text.h"
#include "node/node_core.h"
#include "node/status.h"

#define NOTE_INTERVAL (10 * PX_NS_PER_S)

bool begin_is_waiting(const struct node *n)
{
    return n->replica == NULL;
}

static struct swim_bootstrap look(const struct node *n)
{
    const struct swim_member_info *list;
    size_t count = gossip_members(n, &list);
    struct swim_bootstrap b;

    swim_bootstrap(list, count, n->config.bootstrap_expect, &b);
    return b;
}

/* When it changes, and from time to time. */
static void note_wait(struct node *n, const struct swim_bootstrap *b)
{
    char before[sizeof n->waiting.text];
    struct px_text text;
    px_ns now = px_now();

    memcpy(before, n->waiting.text, sizeof before);
    px_text_init(&text, n->waiting.text, sizeof n->waiting.text);
    swim_bootstrap_text(b, &text);
    if (strcmp(before, n->waiting.text) == 0 &&
        now - n->waiting.noted < NOTE_INTERVAL)
        return;
    n->waiting.noted = now;
    px_note(PX_NOTE_INFO, "node: %s", n->waiting.text);
}

static void found(struct node *n)
{
    char why[1024] = "";
    bool is_founder = n->identity.voter_count > 0;

    n->identity.is_begun = is_founder; /* else it may have been here before */
    px_note(PX_NOTE_INFO, "node: %s cluster=%016llx",
            is_founder ? "founds" : "joins",
            (unsigned long long)n->identity.cluster);
    if (node_begin(n, why, sizeof why) < 0)
        node_end(n, why);
}

void begin_turn(struct node *n)
{
    struct swim_bootstrap b;

    if ((n->keep.is_busy || n->keep.is_disk_full) &&
        !px_mutant(FOUNDED_UNPROMISED))
        return; /* what we have decided is not durable yet: then again */
    b = look(n);
    note_wait(n, &b);
    n->gossip.view = bootstrap_view(&b, &n->identity);
    switch (bootstrap_next(&b, &n->identity)) {
    case BOOTSTRAP_STAY:
        return;
    case BOOTSTRAP_PROMISE:
        bootstrap_promise(&b, &n->identity);
        keep_identity(n);
        return;
    case BOOTSTRAP_ENTER:
        bootstrap_enter(b.cluster, &n->identity);
        keep_identity(n);
        return;
    case BOOTSTRAP_FOUND:
        found(n);
        return;
    }
}

/* ---- Once it has a replica ---- */

/* Nobody has anything that we could have promised to keep. */
void begin_on_peer_hello(struct node *n, raft_id peer, bool is_empty)
{
    if (n->identity.is_begun)
        return;
    bootstrap_hear(&n->empties, &n->initial, n->config.id, peer, is_empty);
    if (!bootstrap_is_new(&n->empties, &n->initial) || !n->is_log_empty)
        return;
    px_note(PX_NOTE_INFO, "node: the cluster is new: empty_logs=%zu of %zu",
            n->empties.count + 1, n->initial.count);
    n->is_cluster_new = true;
    n->identity.is_begun = true;
    keep_identity(n);
}

/* Never for a log that was emptied by damage: that one has something to forget. */
static void tell_sound(struct node *n)
{
    if (!n->is_cluster_new || !n->keep.durable.is_begun)
        return;
    px_assert(!n->has_log_note);
    n->is_cluster_new = false;
    replica_sound(n->replica);
}

/* Raft is told once no restart would take it back: neither the log's note nor
 * the identity says otherwise any more. */
static void tell_recovered(struct node *n)
{
    if (!n->is_recovered || n->has_log_note || !n->keep.durable.is_begun)
        return;
    n->is_recovered = false;
    replica_on_recovered(n->replica);
}

void begin_on_lost(struct node *n, raft_index index)
{
    px_note(PX_NOTE_WARN,
            "log: faulty: the leader counts on entry=%llu, which this disk has "
            "lost: it is repaired from the other nodes, and until then this "
            "one does not vote",
            (unsigned long long)index);
    n->has_log_note = true;
    n->lost = index;
    n->is_noting = true;
    disk_note_loss(n);
}

void begin_on_loss_noted(struct node *n)
{
    n->is_noting = false;
    replica_on_loss_noted(n->replica);
}

void begin_on_recovered(struct node *n)
{
    n->is_recovered = true;
    if (n->has_log_note)
        disk_recovered(n);
    if (n->has_log_note && n->identity.is_begun)
        return; /* that is all that is to be kept */
    px_note(PX_NOTE_INFO, "node: has what the cluster holds");
    n->identity.is_begun = true; /* or is already: the cluster was new, but a
                                    leader's entry came first */
    keep_identity(n);
}

void begin_on_log_mended(struct node *n)
{
    if (n->is_noting)
        return; /* something has gone since: the note comes back */
    n->has_log_note = false;
    n->lost = 0;
    tell_recovered(n);
}

void begin_on_kept(struct node *n)
{
    const struct store_identity *kept = &n->keep.durable;

    if (kept->is_removed) {
        node_end(n, "the cluster has removed this node: its id is not used "
                    "again; start it with another NODE_ID and an empty "
                    "DATA_DIR to have it back");
    } else if (n->replica != NULL) {
        tell_sound(n);
        tell_recovered(n);
    }
    n->gossip.is_changed = true;
}

/* What our dial was answered with: each time. */
void begin_on_refused(struct node *n, enum net_refusal reason)
{
    char why[CONFIG_TEXT_MAX + 512];

    if (reason == NET_REFUSED_REMOVED && !n->identity.is_removed) {
        n->identity.is_removed = true;
        keep_identity(n);
    }
    if (reason != NET_REFUSED_WIPED || !n->is_log_empty)
        return;
    (void)snprintf(
        why, sizeof why,
        "the cluster knows a node \"%s\" with data, and the data folder %s is "
        "empty: run `phalanx member remove %s` on another node and start this "
        "one with another NODE_ID, or bring the data back",
        n->config.node, n->config.data_dir, n->config.node); /* may be cut */
    node_end(n, why);
}

/* ---- Pages ---- */

char *begin_health_json(const struct node *n)
{
    return status_page(json_pack("{s:b, s:s, s:s}", "healthy", 0, "node_id",
                                 n->config.node, "waiting_for",
                                 n->waiting.text),
                       JSON_COMPACT);
}

char *begin_status_json(const struct node *n)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:s}", "node_id", n->config.node,
                             "version", PX_VERSION, "state", "waiting",
                             "waiting_for", n->waiting.text);

    if (root != NULL) /* a part less, if there is no memory */
        (void)json_object_set_new(root, "gossip", gossip_json(n));
    return status_page(root, JSON_COMPACT);
}
