/* What gossip shows, for /debug/status. */
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

static json_t *counters_json(const struct swim_status *s)
{
    const struct swim_counters *c = &s->counters;

    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "packets_out",
        (json_int_t)c->packets_out, "packets_in", (json_int_t)c->packets_in,
        "packets_bad", (json_int_t)(c->malformed + c->corrupt + c->version),
        "packets_replayed", (json_int_t)c->replayed, "other_labels",
        (json_int_t)c->label, "namesakes", (json_int_t)c->namesakes, "probes",
        (json_int_t)c->probes, "probes_failed", (json_int_t)c->probes_failed,
        "suspicions", (json_int_t)c->suspicions, "refutations",
        (json_int_t)c->refutations);
}

json_t *gossip_json(const struct node *n)
{
    struct swim_status s;
    json_t *root;

    swim_get_status(swim_udp_swim(n->gossip.udp), &s);
    root = json_pack(
        "{s:i, s:I, s:i, s:I, s:I}", "port", (int)swim_udp_port(n->gossip.udp),
        "incarnation", (json_int_t)s.incarnation, "health", (int)s.health,
        "known", (json_int_t)s.members, "living", (json_int_t)s.living);
    if (root == NULL)
        return NULL;
    /* A part less, if there is no memory. */
    (void)json_object_set_new(root, "members", members_json(n));
    (void)json_object_set_new(root, "counters", counters_json(&s));
    return root;
}
