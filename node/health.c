/* Does this node serve, and if not, what does it wait for? /health, and
 * .phalanx/health. */
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "node/status.h"
#include "raft/config.h"

struct wait_text {
    char text[CONFIG_TEXT_MAX + 128];
};

/* "a leader: reaches 2 of 5 voters, needs 3": of those in force, ourselves
 * among them if we are one. Who has joined a cluster by gossip knows of no
 * voter before its leader speaks. */
static void add_reached(const struct node *n, struct px_text *text)
{
    struct net_peer_info links[NET_PEERS_MAX];
    size_t count = net_get_peers(n->net, links, NET_PEERS_MAX);
    struct raft_config config;
    size_t voters, connected = 0;

    (void)replica_get_config(n->replica, &config); /* committed or not */
    voters = raft_config_voters(&config);
    if (voters == 0) {
        px_text_add(text,
                    "a leader that takes it in: by itself where AUTO_JOIN is "
                    "on, else after `phalanx member add %s`",
                    n->config.node);
        return;
    }
    for (size_t i = 0; i < config.count; i++) {
        const struct raft_member *m = &config.members[i];
        bool is_reached = m->id == n->config.id;

        for (size_t k = 0; k < count; k++)
            is_reached |= links[k].id == m->id && links[k].is_connected;
        connected += m->role == RAFT_VOTER && is_reached;
    }
    px_text_add(text, "a leader: reaches %zu of %zu voters, needs %zu",
                connected, voters, voters / 2 + 1);
}

/* Nobody else is a voter. */
static bool is_alone(const struct node *n)
{
    struct raft_config config;

    (void)replica_get_config(n->replica, &config); /* committed or not */
    return raft_config_voters(&config) == 1 &&
           raft_config_find(&config, n->config.id) >= 0;
}

static void add_progress(const struct raft_status *s, struct px_text *text)
{
    if (s->recovered_at != 0)
        px_text_add(text, ", has %llu of %llu", (unsigned long long)s->durable,
                    (unsigned long long)s->recovered_at);
}

/* It began without a log in a cluster that may have known it, and does not vote
 * yet (bootstrap.h). */
static void add_beginner(const struct node *n, const struct raft_status *s,
                         struct px_text *text)
{
    if (s->leader != 0) {
        px_text_add(text, "what the cluster holds, from %s",
                    peers_name(n, s->leader));
        add_progress(s, text);
        return;
    }
    add_reached(n, text);
    if (n->fault.initial.count > 0)
        px_text_add(text,
                    "; it has no data, and votes once a leader has given it "
                    "some, or %zu others have said that they have none: %zu "
                    "did",
                    bootstrap_empties_needed(&n->fault.initial),
                    n->fault.empties.count);
}

/* It serves, if there is a leader, but it does not vote: its log has lost
 * something. */
static void add_fault(const struct node *n, const struct raft_status *s,
                      struct px_text *text)
{
    px_text_add(text, "its log to be repaired by ");
    if (is_alone(n))
        px_text_add(text, "nobody: there is no other node");
    else if (s->leader != 0)
        px_text_add(text, "%s", peers_name(n, s->leader));
    else
        add_reached(n, text);
    add_progress(s, text);
    if (n->fault.lost != 0)
        px_text_add(
            text, ". The leader counts on entry %llu, which this disk has lost",
            (unsigned long long)n->fault.lost);
    else
        px_text_add(text, ". %s", n->storage.found.fault);
}

static uint64_t free_bytes(const char *folder)
{
    struct statvfs st;

    return statvfs(folder, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : 0;
}

static void add_disk(const struct node *n, struct px_text *text)
{
    struct disk_counters d;
    px_ns now;

    disk_get_counters(n, &d);
    now = px_now(); /* after what it is compared with */
    if (d.full_waits > 0)
        px_text_add(text, "room: disk full: %llu bytes free at %s",
                    (unsigned long long)free_bytes(n->config.data_dir),
                    n->config.data_dir);
    else
        px_text_add(
            text, "its disk: a flush has taken %llu ms so far",
            d.flush_begun == 0
                ? 0ull
                : (unsigned long long)((now - d.flush_begun) / PX_NS_PER_MS));
}

/* What is wrong with the state here; empty when nothing is known to be. */
static struct wait_text quarantined_for(const struct node *n)
{
    struct wait_text wait = {""};
    struct replica_divergence d;
    struct px_text text;

    replica_get_divergence(n->replica, &d);
    if (d.index == 0)
        return wait;
    px_text_init(&text, wait.text, sizeof wait.text);
    px_text_add(&text,
                "the state at index %llu has hash %016llx, the others have "
                "%016llx: rebuilding",
                (unsigned long long)d.index, (unsigned long long)d.own,
                (unsigned long long)d.others);
    return wait;
}

/* What this node waits for; empty when it serves. A majority is reached and no
 * one leads: an election is under way. */
static struct wait_text waits_for(const struct node *n)
{
    struct wait_text wait = {""};
    struct raft_status status;
    struct px_text text;
    bool is_stuck;

    replica_get_status(n->replica, &status);
    px_text_init(&text, wait.text, sizeof wait.text);
    is_stuck = disk_is_stuck(n);
    if (!is_stuck && replica_is_ready(n->replica) && !status.is_faulty)
        return wait;
    if (replica_is_quarantined(n->replica))
        return wait; /* that is worse, and is said apart */
    if (is_stuck)
        add_disk(n, &text);
    else if (status.is_faulty && !n->fault.has_note)
        add_beginner(n, &status, &text);
    else if (status.is_faulty)
        add_fault(n, &status, &text);
    else if (status.is_installing)
        px_text_add(&text, "the leader's snapshot: has %d%%",
                    replica_percent_installed(n->replica));
    else if (replica_is_healing(n->replica))
        px_text_add(&text, "its new state, behind which the log is applied");
    else if (status.leader == 0)
        add_reached(n, &text);
    else if (status.role == RAFT_LEADER && !status.can_serve)
        px_text_add(&text, "the first commit of its term");
    else
        px_text_add(&text, "its session");
    return wait;
}

char *status_health_json(const struct node *n, bool *is_healthy_out)
{
    struct wait_text wait = waits_for(n);
    struct wait_text wrong = quarantined_for(n);
    bool waits = wait.text[0] != '\0';
    bool is_wrong = wrong.text[0] != '\0';

    *is_healthy_out = !waits && !is_wrong;
    return status_page(json_pack("{s:b, s:s, s:s?, s:s?}", "healthy",
                                 *is_healthy_out, "node_id", n->config.node,
                                 "waiting_for", waits ? wait.text : NULL,
                                 "quarantined", is_wrong ? wrong.text : NULL),
                       JSON_COMPACT);
}

char *status_health_text(const struct node *n)
{
    struct wait_text wait = waits_for(n);
    struct wait_text wrong = quarantined_for(n);

    if (wrong.text[0] != '\0')
        return status_line("quarantined: ", wrong.text);
    return wait.text[0] == '\0' ? status_line("ok", "")
                                : status_line("waiting: for ", wait.text);
}
