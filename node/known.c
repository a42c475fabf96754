/* Where the other members were last, kept for the next start.
 *
 *   second ─▶ the configuration in force, names, addresses, gossip: changed?
 *                ─▶ libuv's pool writes the file `peers`
 *   start  ─▶ the worst source of names and addresses (peers.h), and where
 *             gossip looks besides the seeds
 *
 * For the node whose state is built anew, and tells no names before there is a
 * leader, while those that SEEDS names are gone: the others that are left are
 * where they were, and without this none would dial any. It is advice: with whom
 * there are connections, the configuration says, and who has come to live at such
 * an address refuses by the cluster's id and the node that is asked for, or hears
 * nothing for the label. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "net/addr.h"
#include "node/node_core.h"

#define AGAIN (60 * PX_NS_PER_S) /* after a write that failed */

/* ---- At the start ---- */

void known_open(struct node *n)
{
    struct known *k = &n->known;
    struct store_peers found;
    int rc = peers_file_read(store_folder_disk(n->folder), &found);

    k->is_kept = true; /* as far as it matters: nobody is known */
    if (rc == -ENOENT)
        return;
    if (rc == 0 && found.cluster == n->identity.cluster) {
        k->now = found;
        return;
    }
    k->is_kept = false;
    px_note(PX_NOTE_WARN,
            "node: where the other members were is not known: %s/peers: %s",
            n->config.data_dir, px_strerror(rc < 0 ? rc : -PX_ECLUSTER));
}

void known_tell(const struct node *n, struct peers *p)
{
    const struct store_peers *now = &n->known.now;

    for (size_t i = 0; i < now->count; i++)
        peers_know(p, now->list[i].name, now->list[i].address);
}

static int gossip_parse(const char *text, struct swim_addr *addr_out)
{
    struct net_addr addr;
    int rc = net_addr_parse(text, &addr);

    if (rc == 0)
        rc = swim_addr_parse(addr.host, addr_out);
    if (rc == 0)
        addr_out->port = addr.port;
    return rc;
}

size_t known_gossip(const struct node *n,
                    struct swim_addr list_out[RAFT_MEMBERS_MAX])
{
    const struct store_peers *now = &n->known.now;
    size_t count = 0;

    for (size_t i = 0; i < now->count; i++)
        count += gossip_parse(now->list[i].gossip, &list_out[count]) == 0;
    return count;
}

/* ---- What is to be kept ---- */

static const struct store_peer *find(const struct store_peers *p,
                                     const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->list[i].name, name) == 0)
            return &p->list[i];
    }
    return NULL;
}

/* What gossip says of it now, or what it said once. */
static void fill_gossip(const struct node *n, raft_id id,
                        struct store_peer *peer)
{
    const struct store_peer *before = find(&n->known.now, peer->name);
    struct swim_member_info m;

    if (gossip_find(n, id, &m) && m.cluster == n->identity.cluster)
        peers_gossip_text(&m.gossip, peer->gossip);
    else if (before != NULL)
        strcpy(peer->gossip, before->gossip); /* of one size */
}

/* The members but for ourselves, in the configuration's order. False: there is
 * none in force yet. */
static bool draft(const struct node *n, struct store_peers *out)
{
    struct raft_config config;

    *out = (struct store_peers){.cluster = n->identity.cluster};
    (void)replica_get_config(n->replica, &config); /* committed or not */
    for (size_t i = 0; i < config.count; i++) {
        raft_id id = config.members[i].id;
        const struct peer *peer = peers_find(&n->peers, id);
        struct store_peer *to = &out->list[out->count];

        if (peer == NULL || id == n->config.id)
            continue;
        strcpy(to->name, peer->name);       /* of one size */
        strcpy(to->address, peer->address); /* likewise */
        fill_gossip(n, id, to);
        out->count++;
    }
    return config.count > 0;
}

static bool is_same(const struct store_peers *a, const struct store_peers *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->list[i].name, b->list[i].name) != 0 ||
            strcmp(a->list[i].address, b->list[i].address) != 0 ||
            strcmp(a->list[i].gossip, b->list[i].gossip) != 0)
            return false;
    }
    return true;
}

/* ---- Keeping it ---- */

static void work(uv_work_t *work)
{
    struct node *n = work->data;

    n->known.rc =
        peers_file_write(store_folder_disk(n->folder), &n->known.writing);
}

/* No node ends for what is advice. */
static void on_failed(struct node *n, int rc)
{
    struct known *k = &n->known;

    if (!k->is_failed)
        px_note(PX_NOTE_WARN,
                "node: where the other members are can't be kept: %s/peers: %s",
                n->config.data_dir, px_strerror(rc));
    k->is_failed = true;
    k->again_at = px_now() + AGAIN;
}

static void done(uv_work_t *work, int status)
{
    struct node *n = work->data;
    struct known *k = &n->known;
    int rc = status < 0 ? status : k->rc;

    n->pool_jobs--;
    k->is_busy = false;
    if (rc < 0) {
        on_failed(n, rc);
        return;
    }
    k->is_kept = true;
    k->is_failed = false;
}

static void start(struct node *n)
{
    struct known *k = &n->known;
    int rc;

    k->writing = k->now;
    k->work.data = n;
    rc = uv_queue_work(&n->loop, &k->work, work, done);
    px_assert(rc == 0); /* it fails without a callback only */
    k->is_busy = true;
    n->pool_jobs++;
}

void known_second(struct node *n)
{
    struct known *k = &n->known;
    struct store_peers next;

    if (n->replica == NULL || k->is_busy || px_now() < k->again_at ||
        !draft(n, &next))
        return;
    if (k->is_kept && is_same(&next, &k->now))
        return;
    k->now = next;
    k->is_kept = false;
    start(n);
}
