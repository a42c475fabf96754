/* What the node says of itself: /debug/status, /health, .phalanx/, and notes
 * of role changes. Names, numbers and counters; never a value of a key. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "node/node_core.h"
#include "raft/text.h"

static const char *name_of(const struct node *n, raft_id id)
{
    for (size_t i = 0; i < n->config.peer_count; i++) {
        if (n->config.peers[i].id == id)
            return n->config.peers[i].name;
    }
    return "none";
}

void node_note_changes(struct node *n, const struct raft_status *now)
{
    struct raft_status *seen = &n->noted;

    if (now->term != seen->term)
        px_note_set_term(now->term);
    if (now->role != seen->role || now->leader != seen->leader)
        px_note(PX_NOTE_INFO,
                "raft: %s leader=%s last=%llu/%llu commit=%llu applied=%llu",
                raft_role_text(now->role), name_of(n, now->leader),
                (unsigned long long)now->last.term,
                (unsigned long long)now->last.index,
                (unsigned long long)now->commit,
                (unsigned long long)now->applied);
    *seen = *now;
}

/* "BEFORE" "WORD" "\n" */
static char *line(const char *before, const char *word)
{
    char *text = NULL;

    return asprintf(&text, "%s%s\n", before, word) < 0 ? NULL : text;
}

/* ---- Health ---- */

struct wait_text {
    char text[CONFIG_TEXT_MAX + 128];
};

/* Voters that this node reaches, itself included. */
static size_t reached(const struct node *n)
{
    struct net_peer_info links[NET_PEERS_MAX];
    size_t count = net_get_peers(n->net, links, NET_PEERS_MAX);
    size_t connected = 1;

    for (size_t i = 0; i < count; i++)
        connected += links[i].is_connected;
    return connected;
}

/* It serves, if there is a leader, but it does not vote. */
static void add_fault(const struct node *n, const struct raft_status *s,
                      struct px_text *text)
{
    px_text_add(text, "its log to be repaired by ");
    if (n->config.peer_count == 1)
        px_text_add(text, "nobody: there is no other node");
    else if (s->leader != 0)
        px_text_add(text, "%s", name_of(n, s->leader));
    else
        px_text_add(text, "a leader: reaches %zu of %zu voters, needs %zu",
                    reached(n), n->config.peer_count,
                    n->config.peer_count / 2 + 1);
    if (s->recovered_at != 0)
        px_text_add(text, ", has %llu of %llu", (unsigned long long)s->durable,
                    (unsigned long long)s->recovered_at);
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
    now = node_now(); /* after what it is compared with */
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
    else if (status.is_faulty)
        add_fault(n, &status, &text);
    else if (status.is_installing)
        px_text_add(&text, "the leader's snapshot: has %d%%",
                    replica_percent_installed(n->replica));
    else if (replica_is_healing(n->replica))
        px_text_add(&text, "its new state, behind which the log is applied");
    else if (status.leader == 0)
        px_text_add(&text, "a leader: reaches %zu of %zu voters, needs %zu",
                    reached(n), n->config.peer_count,
                    n->config.peer_count / 2 + 1);
    else if (status.role == RAFT_LEADER && !status.can_serve)
        px_text_add(&text, "the first commit of its term");
    else
        px_text_add(&text, "its session");
    return wait;
}

/* @root as a page of its own, ending with a newline; takes @root. NULL without
 * memory, or without @root. */
static char *page(json_t *root, size_t flags)
{
    char *json = root != NULL ? json_dumps(root, flags) : NULL;
    char *text = json != NULL ? line("", json) : NULL;

    free(json);
    json_decref(root);
    return text;
}

char *status_health_json(const struct node *n, bool *is_healthy_out)
{
    struct wait_text wait = waits_for(n);
    struct wait_text wrong = quarantined_for(n);
    bool waits = wait.text[0] != '\0';
    bool is_wrong = wrong.text[0] != '\0';

    *is_healthy_out = !waits && !is_wrong;
    return page(json_pack("{s:b, s:s, s:s?, s:s?}", "healthy", *is_healthy_out,
                          "node_id", n->config.node, "waiting_for",
                          waits ? wait.text : NULL, "quarantined",
                          is_wrong ? wrong.text : NULL),
                JSON_COMPACT);
}

/* ---- Status ---- */

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static void set(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, number(value)); /* a key less */
}

static void add_fs_counters(const struct node *n, json_t *to)
{
    struct fs_counters fs = {0};

    if (n->fs != NULL)
        fs_get_counters(n->fs, &fs);
    set(to, "fs_requests", fs.requests);
    set(to, "fs_errors", fs.replies_err);
    set(to, "fs_reads_direct", fs.reads_direct);
    set(to, "fs_reads_waited", fs.reads_waited);
    set(to, "fs_commands", fs.commands);
    set(to, "fs_staged", fs.staged);
    set(to, "fs_interrupts", fs.interrupts);
}

static void add_replica_counters(const struct node *n, json_t *to)
{
    struct replica_counters c;

    replica_get_counters(n->replica, &c);
    set(to, "commands", c.commands);
    set(to, "commands_resent", c.resent);
    set(to, "commands_forwarded", c.forwarded);
    set(to, "commands_for_others", c.for_others);
    set(to, "commands_refused", c.refused);
    set(to, "requests_expired", c.expired);
    set(to, "requests_without_room", c.without_room);
    set(to, "entries_applied", c.entries_applied);
    set(to, "batches_applied", c.batches_applied);
    set(to, "reads_local", c.reads_local);
    set(to, "reads_asked", c.reads_asked);
    set(to, "elections_won", c.elections);
    set(to, "log_writes", c.log_writes);
    set(to, "snapshots_saved", c.snapshots_saved);
    set(to, "snapshots_sent", c.snapshots_sent);
    set(to, "snapshots_installed", c.snapshots_installed);
    set(to, "log_repairs", c.log_repairs);
    set(to, "hashes_equal", c.hashes_equal);
    set(to, "hashes_undecided", c.hashes_undecided);
    set(to, "divergences", c.divergences);
}

static void add_disk_counters(const struct node *n, json_t *to)
{
    struct disk_counters d;
    struct net_counters net;

    disk_get_counters(n, &d);
    set(to, "log_syncs", d.log_syncs);
    set(to, "log_sync_us_max", d.log_sync_ns_max / PX_NS_PER_US);
    set(to, "disk_full_retries", d.full_retries);
    set(to, "applied_on_loop", d.applied_here);
    set(to, "applied_by_thread", d.applied_by_thread);
    net_get_counters(n->net, &net);
    set(to, "frames_bad", net.frames_bad);
    set(to, "hellos_refused", net.hellos_refused);
}

static json_t *counters(const struct node *n)
{
    json_t *object = json_object();

    if (object == NULL)
        return NULL;
    add_fs_counters(n, object);
    add_replica_counters(n, object);
    add_disk_counters(n, object);
    return object;
}

static const struct raft_peer_status *
find_peer(const struct raft_peer_status *peers, size_t count, raft_id id)
{
    for (size_t i = 0; i < count; i++) {
        if (peers[i].id == id)
            return &peers[i];
    }
    return NULL;
}

/* Only a leader knows how far the others are: for the rest, null. */
static json_t *progress_json(const struct raft_peer_status *p)
{
    if (p == NULL)
        return json_pack("{s:n, s:n, s:n}", "state", "match", "next");
    return json_pack("{s:s, s:I, s:I}", "state", p->state, "match",
                     (json_int_t)p->match, "next", (json_int_t)p->next);
}

static json_t *peers(const struct node *n, bool leads)
{
    struct raft_peer_status progress[RAFT_MEMBERS_MAX];
    struct net_peer_info links[NET_PEERS_MAX];
    size_t known =
        leads ? replica_get_peers(n->replica, progress, RAFT_MEMBERS_MAX) : 0;
    size_t count = net_get_peers(n->net, links, NET_PEERS_MAX);
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < count; i++) {
        const struct raft_peer_status *p =
            find_peer(progress, known, links[i].id);
        json_t *peer =
            json_pack("{s:s, s:s, s:b}", "id", links[i].name, "address",
                      links[i].address, "connected", links[i].is_connected);

        if (peer == NULL)
            break;
        (void)json_object_update_new(peer, progress_json(p)); /* keys less */
        set(peer, "frames_out", links[i].frames_out);
        set(peer, "frames_in", links[i].frames_in);
        set(peer, "bytes_out", links[i].bytes_out);
        set(peer, "bytes_in", links[i].bytes_in);
        set(peer, "dropped", links[i].dropped);
        set(peer, "dials", links[i].dials);
        (void)json_array_append_new(array, peer); /* a peer less */
    }
    return array;
}

/* Equal on all nodes that have applied the same. In hexadecimal: a JSON number
 * is not wide enough for some readers. */
static void set_state_hash(const struct node *n, json_t *to)
{
    uint64_t hash;
    struct raft_pos at = store_state_hash(n->storage.state, &hash);
    char text[17];

    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    set(to, "state_index", at.index);
    (void)json_object_set_new(to, "state_hash", json_string(text)); /* or not */
}

static char *status_text(const struct node *n, size_t flags)
{
    struct raft_status s;
    json_t *root;

    replica_get_status(n->replica, &s);
    root = json_pack("{s:s, s:s, s:s, s:s?}", "node_id", n->config.node,
                     "version", PX_VERSION, "state", raft_role_text(s.role),
                     "leader_id", s.leader != 0 ? name_of(n, s.leader) : NULL);
    if (root == NULL)
        return NULL;
    set(root, "term", s.term);
    set(root, "commit_index", s.commit);
    set(root, "applied_index", s.applied);
    set(root, "durable_index", s.durable);
    set(root, "log_first", s.base.index + 1);
    set(root, "log_length", s.last.index);
    set_state_hash(n, root);
    set(root, "session", replica_session(n->replica));
    /* Nothing, if there is no memory. */
    (void)json_object_set_new(root, "installing",
                              json_boolean(s.is_installing));
    (void)json_object_set_new(root, "faulty", json_boolean(s.is_faulty));
    (void)json_object_set_new(root, "quarantined",
                              json_boolean(replica_is_quarantined(n->replica)));
    /* A part less, if there is no memory. */
    (void)json_object_set_new(root, "peers", peers(n, s.role == RAFT_LEADER));
    (void)json_object_set_new(root, "counters", counters(n));
    return page(root, flags);
}

char *status_json(const struct node *n)
{
    return status_text(n, JSON_COMPACT);
}

/* ---- Files under .phalanx/ ---- */

static char *health_text(const struct node *n)
{
    struct wait_text wait = waits_for(n);
    struct wait_text wrong = quarantined_for(n);

    if (wrong.text[0] != '\0')
        return line("quarantined: ", wrong.text);
    return wait.text[0] == '\0' ? line("ok", "")
                                : line("waiting: for ", wait.text);
}

static char *leader_text(const struct node *n)
{
    struct raft_status s;

    replica_get_status(n->replica, &s);
    return line("", name_of(n, s.leader));
}

/* "id role address", one line a member. */
static char *members_text(const struct node *n)
{
    size_t size = n->config.peer_count *
                      (PX_NODE_ID_BYTES_MAX + PX_ADDRESS_BYTES_MAX + 16) +
                  1;
    char *data = malloc(size);
    struct px_text text;

    if (data == NULL)
        return NULL;
    px_text_init(&text, data, size);
    for (size_t i = 0; i < n->config.peer_count; i++) {
        const struct config_peer *p = &n->config.peers[i];

        px_text_add(&text, "%s voter %s\n", p->name,
                    p->address[0] != '\0' ? p->address : "-");
    }
    return data;
}

/* Bytes, or "none": a cluster that was founded just now. */
static char *quota_text(const struct node *n)
{
    struct store_usage usage;
    char *text = NULL;

    if (store_view_begin(n->view) < 0)
        return line("none", "");
    store_view_usage(n->view, &usage);
    store_view_end(n->view);
    if (usage.quota == 0)
        return line("none", "");
    return asprintf(&text, "%llu\n", (unsigned long long)usage.quota) < 0
               ? NULL
               : text;
}

ssize_t status_file(const struct node *n, enum fs_status_file file,
                    char **text_out)
{
    char *text = NULL;

    switch (file) {
    case FS_STATUS_STATUS:
        text = status_text(n, JSON_INDENT(2));
        break;
    case FS_STATUS_LEADER:
        text = leader_text(n);
        break;
    case FS_STATUS_MEMBERS:
        text = members_text(n);
        break;
    case FS_STATUS_HEALTH:
        text = health_text(n);
        break;
    case FS_STATUS_QUOTA:
        text = quota_text(n);
        break;
    case FS_STATUS_FILES:
        return -ENOENT;
    }
    if (text == NULL)
        return -ENOMEM;
    *text_out = text;
    return (ssize_t)strlen(text);
}
