/* Questions about members, and their answers: see admin.h.
 *
 *   admin_ask ─▶ looked at by what is known here ─▶ refused, with a sentence
 *                         │
 *                         ▼
 *            replica_change, replica_transfer ─▶ on_settled ─▶ answered */
#include "node/admin.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/note.h"
#include "net/addr.h"
#include "node/config.h"
#include "node/policy.h"
#include "raft/config.h"

/* A question whose outcome is not known yet. */
struct asked {
    struct replica_change_wait wait; /* first */
    struct admin *admin;             /* NULL: free */
    uint64_t token;
    struct net_admin question;
};

struct admin {
    struct admin_options options;
    struct admin_io io;
    struct asked asked[NET_ADMINS_MAX];
};

/* ---- Answers ---- */

static void copy(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from); /* what is too long is cut */
}

static void put_head(const struct admin *a, const struct members *m,
                     struct net_admin_reply *reply)
{
    const struct member *leader = members_leader(m);

    reply->cluster = a->options.cluster;
    if (leader == NULL)
        return;
    copy(reply->leader, sizeof reply->leader, leader->name);
    copy(reply->leader_address, sizeof reply->leader_address, leader->address);
}

__attribute__((format(printf, 4, 5))) static void
answer(struct admin *a, uint64_t token, int rc, const char *format, ...)
{
    struct net_admin_reply reply = {.rc = rc};
    struct members m;
    va_list args;

    a->io.members(a->io.ctx, &m);
    put_head(a, &m, &reply);
    va_start(args, format);
    (void)vsnprintf(reply.text, sizeof reply.text, format, args); /* or cut */
    va_end(args);
    a->io.reply(a->io.ctx, token, &reply);
}

static void answer_elsewhere(struct admin *a, uint64_t token,
                             const struct members *m)
{
    const struct member *leader = members_leader(m);

    if (leader == NULL || leader->is_self)
        answer(a, token, -PX_ENOTLEADER,
               "nobody is known to lead: ask again in a moment; if it lasts, "
               "/health of each node says what it waits for");
    else
        answer(a, token, -PX_ENOTLEADER, "%s leads: ask it at %s", leader->name,
               leader->address[0] != '\0' ? leader->address
                                          : "an address not known here");
}

/* ---- LIST ---- */

static void put_member(struct net_admin_reply *reply, const struct member *m)
{
    struct net_admin_member *to = &reply->list[reply->count++];

    copy(to->name, sizeof to->name, m->name);
    copy(to->address, sizeof to->address, m->address);
    copy(to->zone, sizeof to->zone, m->zone);
    to->role = (uint8_t)m->role;
    to->is_leader = m->is_leader;
    to->is_alive = m->is_alive;
    to->is_self = m->is_self;
    to->match = m->match;
}

/* Nodes that are there and are no members: who waits to be added. */
static void put_others(const struct admin *a, const struct members *m,
                       struct net_admin_reply *reply)
{
    const struct swim_member_info *list;
    size_t count = a->io.seen(a->io.ctx, &list);

    for (size_t i = 0; i < count && reply->count < NET_ADMIN_MEMBERS_MAX; i++) {
        struct net_admin_member *to = &reply->list[reply->count];

        if (list[i].state != SWIM_ALIVE ||
            members_find(m, a->options.id_of(list[i].id)) != NULL)
            continue;
        reply->count++;
        copy(to->name, sizeof to->name, list[i].id);
        copy(to->address, sizeof to->address, list[i].peer);
        copy(to->zone, sizeof to->zone, list[i].zone);
        to->is_alive = true;
        to->is_self = list[i].is_self;
    }
}

static void answer_list(struct admin *a, uint64_t token,
                        const struct members *m)
{
    struct net_admin_reply reply = {.rc = 0};

    put_head(a, m, &reply);
    for (size_t i = 0; i < m->config.count; i++)
        put_member(&reply, &m->list[i]);
    put_others(a, m, &reply);
    if (!m->is_settled)
        copy(reply.text, sizeof reply.text, "the last change is under way");
    a->io.reply(a->io.ctx, token, &reply);
}

/* ---- What came of it ---- */

static void answer_done(struct admin *a, const struct asked *q)
{
    const char *name = q->question.name;

    switch (q->question.what) {
    case NET_ADMIN_LIST:
        break; /* answered at once */
    case NET_ADMIN_ADD:
        members_note(RAFT_ADD, name, "admin");
        answer(a, q->token, 0,
               "%s is a learner: it gets the data, serves, and has no vote",
               name);
        break;
    case NET_ADMIN_PROMOTE:
        members_note(RAFT_PROMOTE, name, "admin");
        answer(a, q->token, 0, "%s is a voter", name);
        break;
    case NET_ADMIN_REMOVE:
        members_note(RAFT_REMOVE, name, "admin");
        answer(a, q->token, 0,
               "%s is removed, and ends if it runs; its name is never used "
               "again",
               name);
        break;
    case NET_ADMIN_TRANSFER:
        answer(a, q->token, 0, "leadership is handed over");
        break;
    }
}

static void answer_again(struct admin *a, const struct asked *q,
                         const struct members *m)
{
    const struct member *who =
        members_find(m, a->options.id_of(q->question.name));

    if (q->question.what == NET_ADMIN_PROMOTE && who != NULL && who->is_faulty)
        answer(a, q->token, -EAGAIN,
               "%s does not hold all that it should yet, and would not vote: "
               "its /health says what it waits for",
               who->name);
    else if (q->question.what == NET_ADMIN_PROMOTE && who != NULL &&
             who->match < m->status.last.index)
        answer(a, q->token, -EAGAIN,
               "%s has not caught up: it holds the log up to %llu of %llu; ask "
               "again when it has",
               who->name, (unsigned long long)who->match,
               (unsigned long long)m->status.last.index);
    else if (q->question.what == NET_ADMIN_TRANSFER ||
             (who != NULL && who->is_leader))
        answer(a, q->token, -EAGAIN,
               "no other voter has taken over: it can't be reached, or lacks "
               "too much; see the list of members, and ask again");
    else
        answer(a, q->token, -EAGAIN,
               "the leader is not ready for a change, or too few voters "
               "answer: ask again in a moment");
}

static void answer_refused(struct admin *a, const struct asked *q, int rc)
{
    const char *name = q->question.name;
    struct members m;

    a->io.members(a->io.ctx, &m);
    if (rc == -PX_ENOTLEADER)
        answer_elsewhere(a, q->token, &m);
    else if (rc == -EAGAIN)
        answer_again(a, q, &m);
    else if (rc == -EBUSY)
        answer(a, q->token, rc,
               "another change is under way: ask again in a moment");
    else if (rc == -EEXIST)
        answer(a, q->token, rc, "%s is that already", name);
    else if (rc == -ENOENT)
        answer(a, q->token, rc,
               "no member is called %s: see the list of members", name);
    else if (rc == -ENOSPC)
        answer(a, q->token, rc,
               "the cluster has %u members, and can't have more: remove one "
               "first",
               RAFT_MEMBERS_MAX);
    else if (rc == -PX_EUNKNOWN)
        answer(a, q->token, rc,
               "it is not known whether this took effect: see the list of "
               "members, and ask again if it has not");
    else
        answer(a, q->token, rc, "%s", px_strerror(rc));
}

/* ---- What is done ---- */

static struct asked *take_slot(struct admin *a, uint64_t token,
                               const struct net_admin *question)
{
    for (size_t i = 0; i < NET_ADMINS_MAX; i++) {
        struct asked *q = &a->asked[i];

        if (q->admin != NULL)
            continue;
        *q = (struct asked){.admin = a, .token = token, .question = *question};
        q->wait.deadline = a->options.now(a->io.ctx) + a->options.timeout;
        return q;
    }
    answer(a, token, -EBUSY,
           "%u others ask for changes already: ask again in a moment",
           NET_ADMINS_MAX);
    return NULL;
}

static void on_settled(struct replica_change_wait *w, int rc)
{
    struct asked *q = (struct asked *)w;
    struct admin *a = q->admin;

    if (rc == 0)
        answer_done(a, q);
    else
        answer_refused(a, q, rc);
    q->admin = NULL;
}

static void change(struct admin *a, uint64_t token, const struct net_admin *q,
                   const struct members *m, enum raft_change_what what,
                   const char *address)
{
    raft_id id = a->options.id_of(q->name);
    struct asked *slot = take_slot(a, token, q);
    struct raft_change c;
    int rc;

    if (slot == NULL)
        return;
    slot->wait.done = on_settled;
    rc = members_change(m, what, id, q->name, address, &c);
    if (rc < 0)
        on_settled(&slot->wait, rc);
    else
        replica_change(a->options.replica, &slot->wait, &c);
    if (rc == 0)
        px_slice_unref(&c.added);
}

/* The leader is to go: another one leads by now, and is to be asked. */
static void on_left(struct replica_change_wait *w, int rc)
{
    struct asked *q = (struct asked *)w;
    struct members m;

    if (rc < 0) {
        on_settled(w, rc);
        return;
    }
    q->admin->io.members(q->admin->io.ctx, &m);
    answer_elsewhere(q->admin, q->token, &m);
    q->admin = NULL;
}

static void transfer(struct admin *a, uint64_t token, const struct net_admin *q,
                     raft_id to)
{
    struct asked *slot = take_slot(a, token, q);

    if (slot == NULL)
        return;
    slot->wait.done = q->what == NET_ADMIN_REMOVE ? on_left : on_settled;
    replica_transfer(a->options.replica, &slot->wait, to);
}

/* ---- ADD ---- */

/* Where it is: as the operator says, else as gossip does. False: answered. */
static bool find_address(struct admin *a, uint64_t token,
                         const struct net_admin *q,
                         char address[PX_ADDRESS_BYTES_MAX + 1])
{
    raft_id id = a->options.id_of(q->name);
    struct swim_member_info seen = {.peer = ""};
    bool is_seen = a->io.find(a->io.ctx, id, &seen);
    struct net_addr parsed;

    copy(address, PX_ADDRESS_BYTES_MAX + 1,
         q->address[0] != '\0' ? q->address : seen.peer);
    if (is_seen && seen.cluster != 0 && seen.cluster != a->options.cluster)
        answer(a, token, -PX_ECLUSTER,
               "%s belongs to another cluster: give it an empty DATA_DIR",
               q->name);
    else if (address[0] == '\0')
        answer(a, token, -EINVAL,
               "gossip does not know %s: say where it is, as host:port",
               q->name);
    else if (net_addr_parse(address, &parsed) < 0 || parsed.host[0] == '\0')
        answer(a, token, -EINVAL,
               "%s is no address: write host:port, [IPv6]:port", address);
    else
        return true;
    return false;
}

static void ask_add(struct admin *a, uint64_t token, const struct net_admin *q,
                    const struct members *m)
{
    raft_id id = a->options.id_of(q->name);
    const struct member *old = members_find(m, id);
    int removed = a->io.was_removed(a->io.ctx, id);
    char address[PX_ADDRESS_BYTES_MAX + 1];

    if (!config_is_name(q->name, strlen(q->name)))
        answer(a, token, -EINVAL, "\"%s\" is no name: use " CONFIG_NAME_ADVICE,
               q->name);
    else if (old != NULL)
        answer(a, token, -EEXIST, "%s is a %s already", q->name,
               members_role_text(old->role));
    else if (!m->is_settled) /* it may be about this very name */
        answer(a, token, -EBUSY,
               "another change is under way: ask again in a moment");
    else if (removed < 0)
        answer(a, token, -EIO, "who was removed can't be read here: %s",
               px_strerror(removed));
    else if (removed > 0)
        answer(a, token, -EPERM,
               "%s was removed, and a name is never used again: give the node "
               "another NODE_ID and an empty DATA_DIR",
               q->name);
    else if (find_address(a, token, q, address))
        change(a, token, q, m, RAFT_ADD, address);
}

/* ---- PROMOTE, REMOVE, TRANSFER: of members ---- */

static void ask_promote(struct admin *a, uint64_t token,
                        const struct net_admin *q, const struct members *m,
                        const struct member *who)
{
    if (who->role == RAFT_VOTER)
        answer(a, token, -EEXIST, "%s is a voter already", q->name);
    else
        change(a, token, q, m, RAFT_PROMOTE, "");
}

static bool may_remove(const struct admin *a, const struct members *m,
                       raft_id id, size_t *living_out)
{
    const struct policy_settings settings = {.election = a->options.election};
    const struct policy_view view = {
        .now = a->options.now(a->io.ctx),
        .self = m->status.id,
        .config = &m->config,
        .peers = m->peers,
        .peer_count = m->peer_count,
    };

    *living_out = policy_living_voters(&settings, &view);
    return policy_may_remove(&settings, &view, id);
}

static void ask_remove(struct admin *a, uint64_t token,
                       const struct net_admin *q, const struct members *m,
                       const struct member *who)
{
    size_t voters = raft_config_voters(&m->config);
    size_t living;

    if (who->role == RAFT_VOTER && voters == 1)
        answer(a, token, -EINVAL,
               "%s is the only voter: add another node and promote it first",
               q->name);
    else if (!may_remove(a, m, who->id, &living))
        answer(a, token, -EAGAIN,
               "%zu of %zu voters answer: without %s the others would be no "
               "majority; start or remove those that are down first",
               living, voters, q->name);
    else if (who->is_self)
        transfer(a, token, q, 0);
    else
        change(a, token, q, m, RAFT_REMOVE, "");
}

/* To whoever lacks least. */
static void ask_transfer_away(struct admin *a, uint64_t token,
                              const struct net_admin *q,
                              const struct members *m)
{
    if (raft_config_voters(&m->config) == 1)
        answer(a, token, -EINVAL,
               "this is the only voter: add another node and promote it first");
    else
        transfer(a, token, q, 0);
}

static void ask_transfer(struct admin *a, uint64_t token,
                         const struct net_admin *q, const struct member *who)
{
    if (who->is_self)
        answer(a, token, 0, "%s leads already", q->name);
    else if (who->role != RAFT_VOTER)
        answer(a, token, -EINVAL,
               "%s is a learner, which can't lead: promote it first", q->name);
    else
        transfer(a, token, q, who->id);
}

static void ask_of_member(struct admin *a, uint64_t token,
                          const struct net_admin *q, const struct members *m)
{
    const struct member *who = members_find(m, a->options.id_of(q->name));

    if (q->what == NET_ADMIN_TRANSFER && q->name[0] == '\0')
        ask_transfer_away(a, token, q, m);
    else if (who == NULL)
        answer(a, token, -ENOENT,
               "no member is called \"%s\": see the list of members", q->name);
    else if (q->what == NET_ADMIN_PROMOTE)
        ask_promote(a, token, q, m, who);
    else if (q->what == NET_ADMIN_REMOVE)
        ask_remove(a, token, q, m, who);
    else
        ask_transfer(a, token, q, who);
}

/* ---- The door ---- */

int admin_new(const struct admin_options *options, const struct admin_io *io,
              struct admin **admin_out)
{
    struct admin *a = calloc(1, sizeof *a);

    if (a == NULL)
        return -ENOMEM;
    a->options = *options;
    a->io = *io;
    *admin_out = a;
    return 0;
}

void admin_free(struct admin *a)
{
    free(a);
}

void admin_ask(struct admin *a, uint64_t token, const struct net_admin *q)
{
    struct members m;

    a->io.members(a->io.ctx, &m);
    if (q->what == NET_ADMIN_LIST)
        answer_list(a, token, &m);
    else if (m.status.role != RAFT_LEADER)
        answer_elsewhere(a, token, &m);
    else if (q->what == NET_ADMIN_ADD)
        ask_add(a, token, q, &m);
    else
        ask_of_member(a, token, q, &m);
}
