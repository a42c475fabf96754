#include "node/bootstrap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"

/* ---- At the start ---- */

static void set_voter(struct store_identity *identity, const char *name)
{
    px_assert(identity->voter_count < RAFT_MEMBERS_MAX);
    px_assert(strlen(name) <= PX_NODE_ID_BYTES_MAX);
    strcpy(identity->voters[identity->voter_count++], name); /* just measured */
}

/* Others may found on it, but it has no log yet. A begin with PEERS that was cut
 * short has none either: it is the one that knows an election timeout. */
static bool is_promise(const struct store_identity *identity)
{
    return identity->cluster != 0 && !identity->is_begun &&
           !identity->has_log && identity->promise == 0 &&
           identity->voter_count > 0;
}

static void begin_with_peers(const struct config *c, uint64_t drawn,
                             struct store_identity *identity)
{
    identity->cluster = c->peer_count > 1 ? c->cluster : drawn;
    identity->voter_count = 0;
    for (size_t i = 0; i < c->peer_count; i++)
        set_voter(identity, c->peers[i].name);
    identity->is_begun = c->peer_count == 1; /* nobody else could know better */
    identity->promise = c->election_ticks * c->tick; /* is_promise */
    px_assert(identity->promise > 0);
}

/* By their names, not by the id, which may have been drawn. */
static bool began_with_peers(const struct config *c,
                             const struct store_identity *identity)
{
    if (identity->voter_count != c->peer_count)
        return false;
    for (size_t i = 0; i < c->peer_count; i++) {
        if (strcmp(identity->voters[i], c->peers[i].name) != 0)
            return false;
    }
    return true;
}

int bootstrap_start(const struct config *config, bool is_new, uint64_t drawn,
                    struct store_identity *identity,
                    enum bootstrap_start *start_out, char *why, size_t why_size)
{
    if (is_new && config->peer_count == 0) {
        *start_out = BOOTSTRAP_WAIT;
        return 0;
    }
    if (is_new) {
        begin_with_peers(config, drawn, identity);
        *start_out = BOOTSTRAP_BEGIN;
        return 0;
    }
    if (config->has_peers && !began_with_peers(config, identity)) {
        (void)snprintf(
            why, why_size,
            "the data folder %s belongs to cluster %016" PRIx64
            ", which did not begin with these PEERS: they are the initial "
            "voters and stay as they were; members change with `phalanx "
            "member`. Write PEERS as it was, or none",
            config->data_dir, identity->cluster);
        return -PX_ECLUSTER;
    }
    *start_out = is_promise(identity) && !config->has_peers ? BOOTSTRAP_WAIT
                                                            : BOOTSTRAP_RUN;
    return 0;
}

/* ---- While it waits ---- */

static uint64_t cluster_of(const struct swim_bootstrap *b,
                           const struct store_identity *identity)
{
    px_assert(b->count >= 2); /* BOOTSTRAP_EXPECT is */
    px_assert(b->count <= RAFT_MEMBERS_MAX);
    return config_cluster_id(identity->cluster_name, b->ids, b->count);
}

/* Durable, or it would not be in the identity. */
static bool has_entered(const struct store_identity *identity, uint64_t cluster)
{
    return identity->voter_count == 0 && identity->cluster == cluster;
}

static bool has_promised(const struct store_identity *identity,
                         uint64_t cluster)
{
    return is_promise(identity) && identity->cluster == cluster;
}

enum bootstrap_step bootstrap_next(const struct swim_bootstrap *b,
                                   const struct store_identity *identity)
{
    bool is_promised =
        b->view != 0 && has_promised(identity, cluster_of(b, identity));

    switch (b->verdict) {
    case SWIM_BOOTSTRAP_WAIT:
        return b->view == 0 || is_promised ? BOOTSTRAP_STAY : BOOTSTRAP_PROMISE;
    case SWIM_BOOTSTRAP_FORM:
        return is_promised ? BOOTSTRAP_FOUND : BOOTSTRAP_PROMISE;
    case SWIM_BOOTSTRAP_JOIN:
        return has_promised(identity, b->cluster) ||
                       has_entered(identity, b->cluster)
                   ? BOOTSTRAP_FOUND
                   : BOOTSTRAP_ENTER;
    }
    px_assert_failed("a known verdict", __FILE__, __LINE__);
}

uint64_t bootstrap_view(const struct swim_bootstrap *b,
                        const struct store_identity *identity)
{
    if (b->view == 0 || !has_promised(identity, cluster_of(b, identity)))
        return 0;
    return b->view;
}

void bootstrap_promise(const struct swim_bootstrap *b,
                       struct store_identity *identity)
{
    identity->cluster = cluster_of(b, identity);
    identity->voter_count = 0;
    for (size_t i = 0; i < b->count; i++)
        set_voter(identity, b->ids[i]);
    identity->is_begun = false;
}

void bootstrap_enter(uint64_t cluster, struct store_identity *identity)
{
    identity->cluster = cluster;
    identity->voter_count = 0;
    identity->is_begun = false;
}

/* ---- Is the cluster new? ---- */

void bootstrap_config(const struct store_identity *identity,
                      struct raft_config *config_out)
{
    *config_out = (struct raft_config){.count = identity->voter_count};
    for (size_t i = 0; i < identity->voter_count; i++)
        config_out->members[i] =
            (struct raft_member){config_id_of(identity->voters[i]), RAFT_VOTER};
}

bool bootstrap_is_blank(const struct store_identity *identity, raft_term term,
                        bool is_log_empty)
{
    return is_log_empty && (!identity->is_begun || term == 0);
}

static bool has_voter(const struct raft_config *initial, raft_id id)
{
    for (size_t i = 0; i < initial->count; i++) {
        if (initial->members[i].id == id)
            return true;
    }
    return false;
}

void bootstrap_hear(struct bootstrap_empties *e,
                    const struct raft_config *initial, raft_id self,
                    raft_id peer, bool is_empty)
{
    if (peer == self)
        return;
    if (!is_empty)
        e->has_begun = true;
    if (!is_empty || !has_voter(initial, peer))
        return;
    for (size_t i = 0; i < e->count; i++) {
        if (e->list[i] == peer)
            return;
    }
    px_assert(e->count < RAFT_MEMBERS_MAX);
    e->list[e->count++] = peer;
}

size_t bootstrap_empties_needed(const struct raft_config *initial)
{
    size_t majority = initial->count / 2 + 1;

    return initial->count - majority + 1;
}

bool bootstrap_is_new(const struct bootstrap_empties *e,
                      const struct raft_config *initial)
{
    return initial->count > 0 && !e->has_begun &&
           e->count >= bootstrap_empties_needed(initial);
}
