/* What gossip shows and has counted, for /debug/status: of a node that waits for
 * its cluster, too. */
#include "node/status.h"

#define SHOWN_MAX 64u /* the page has a bound */

static json_t *member_json(const struct swim_member_info *m)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:b}", "id", m->id, "state",
                     swim_state_text(m->state), "address", m->peer, "zone",
                     m->zone, "protocol", (int)m->protocol, "same_cluster", 0);
}

static json_t *members_json(const struct node *n)
{
    const struct swim_member_info *list;
    size_t count = gossip_members(n, &list);
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < count && i < SHOWN_MAX; i++) {
        json_t *member = member_json(&list[i]);

        if (member == NULL)
            break;
        /* A key less, or a member less, if there is no memory. */
        (void)json_object_set_new(
            member, "same_cluster",
            json_boolean(list[i].cluster != 0 &&
                         list[i].cluster == n->identity.cluster));
        (void)json_array_append_new(array, member);
    }
    return array;
}

/* ---- What was counted ---- */

static void set(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key,
                              json_integer((json_int_t)value)); /* a key less */
}

/* Packets that changed nothing, by why. */
static void add_refused(json_t *to, const struct swim_counters *c)
{
    set(to, "malformed", c->malformed);
    set(to, "corrupt", c->corrupt);
    set(to, "other_version", c->version);
    set(to, "other_label", c->label);
    set(to, "replayed", c->replayed);
    set(to, "misdirected", c->misdirected);
    set(to, "namesakes", c->namesakes);
}

static void add_traffic(json_t *to, const struct swim_counters *c)
{
    set(to, "packets_out", c->packets_out);
    set(to, "bytes_out", c->bytes_out);
    set(to, "packets_in", c->packets_in);
    set(to, "bytes_in", c->bytes_in);
    set(to, "dials", c->dials);
    set(to, "dropped", c->dropped);
    set(to, "syncs", c->syncs);
}

static void add_probes(json_t *to, const struct swim_counters *c)
{
    set(to, "probes", c->probes);
    set(to, "probes_relayed", c->probes_relayed);
    set(to, "probes_failed", c->probes_failed);
    set(to, "rescued_by_tcp", c->rescued_by_tcp);
    set(to, "suspicions", c->suspicions);
    set(to, "deaths", c->deaths);
    set(to, "refutations", c->refutations);
    set(to, "pauses", c->pauses);
    set(to, "table_full", c->full);
}

static json_t *counters_json(const struct swim_counters *c)
{
    json_t *json = json_object();

    if (json == NULL)
        return NULL;
    add_refused(json, c);
    add_traffic(json, c);
    add_probes(json, c);
    return json;
}

json_t *gossip_json(const struct node *n)
{
    struct swim_status s;
    json_t *root;

    if (n->gossip.udp == NULL)
        return json_null();
    swim_get_status(swim_udp_swim(n->gossip.udp), &s);
    root = json_pack(
        "{s:i, s:I, s:i, s:I, s:I}", "port", (int)swim_udp_port(n->gossip.udp),
        "incarnation", (json_int_t)s.incarnation, "health", (int)s.health,
        "known", (json_int_t)s.members, "living", (json_int_t)s.living);
    if (root == NULL)
        return NULL;
    /* A part less, if there is no memory. */
    (void)json_object_set_new(root, "members", members_json(n));
    (void)json_object_set_new(root, "counters", counters_json(&s.counters));
    return root;
}
