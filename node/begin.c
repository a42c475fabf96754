/* A node without data that has to find its cluster first. It has a locked folder,
 * a port that refuses peers, gossip and pages; no log, no state, no replica and
 * no mount.
 *
 *   open.c ─▶ waits ─▶ at each change of gossip: bootstrap_next
 *                          │  PROMISE, ENTER: the identity is kept, then again
 *                          └─ FOUND: node_begin, and all goes on as elsewhere
 *
 * Whether it may vote then is another question: fault.h. */
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

/* ---- Once it has a cluster ---- */

void begin_on_kept(struct node *n)
{
    const struct store_identity *kept = &n->keep.durable;

    if (kept->is_removed) {
        node_end(n, "the cluster has removed this node: its id is not used "
                    "again; start it with another NODE_ID and an empty "
                    "DATA_DIR to have it back");
    } else {
        fault_on_kept(&n->fault);
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
