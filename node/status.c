/* The page /debug/status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/status.h"
#include "raft/text.h"

char *status_page(json_t *root, size_t flags)
{
    char *json = root != NULL ? json_dumps(root, flags) : NULL;
    char *text = json != NULL ? status_line("", json) : NULL;

    free(json);
    json_decref(root);
    return text;
}

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
    set(to, "losses_noticed", c.losses_noticed);
    set(to, "log_reads_failed", c.fetches_failed);
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

/* How far it is: known to the leader alone; for the rest, null. */
static json_t *member_json(const struct member *m)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "name", m->name, "role",
        members_role_text(m->role), "address", m->address, "zone", m->zone,
        "gossip", m->gossip, "leader", m->is_leader, "alive", m->is_alive);

    if (json != NULL) /* or a key less */
        (void)json_object_set_new(
            json, "match", m->has_match ? number(m->match) : json_null());
    return json;
}

/* In hexadecimal: a JSON number is not wide enough for some readers. */
static void set_hex(json_t *to, const char *key, uint64_t value)
{
    char text[17];

    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)value);
    (void)json_object_set_new(to, key, json_string(text)); /* or not */
}

static void set_members(const struct node *n, json_t *to)
{
    json_t *array = json_array();
    struct members m;

    membership_get(n, &m);
    for (size_t i = 0; array != NULL && i < m.config.count; i++)
        (void)json_array_append_new(array, member_json(&m.list[i]));
    /* A part less, if there is no memory. */
    (void)json_object_set_new(to, "members", array);
    (void)json_object_set_new(to, "members_settled",
                              json_boolean(m.is_settled));
    (void)json_object_set_new(to, "zone", json_string(n->config.region));
    set_hex(to, "cluster", n->identity.cluster);
}

/* Equal on all nodes that have applied the same. */
static void set_state_hash(const struct node *n, json_t *to)
{
    uint64_t hash;
    struct raft_pos at = store_state_hash(n->storage.state, &hash);

    set(to, "state_index", at.index);
    set_hex(to, "state_hash", hash);
}

char *status_text(const struct node *n, size_t flags)
{
    struct raft_status s;
    json_t *root;

    replica_get_status(n->replica, &s);
    root =
        json_pack("{s:s, s:s, s:s, s:s?}", "node_id", n->config.node, "version",
                  PX_VERSION, "state", raft_role_text(s.role), "leader_id",
                  s.leader != 0 ? peers_name(n, s.leader) : NULL);
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
    set_members(n, root);
    /* A part less, if there is no memory. */
    (void)json_object_set_new(root, "peers", peers(n, s.role == RAFT_LEADER));
    (void)json_object_set_new(root, "gossip", gossip_json(n));
    (void)json_object_set_new(root, "counters", counters(n));
    return status_page(root, flags);
}

char *status_json(const struct node *n)
{
    return status_text(n, JSON_COMPACT);
}
