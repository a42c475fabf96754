#include "tests/unit/raft/rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void rig_init(struct rig *g, size_t voters)
{
    *g = (struct rig){.now = RIG_START};
    g->options = (struct raft_options){
        .id = 1,
        .seed = px_djb2("node-1", 6),
        .election = RIG_E,
        .heartbeat = RIG_H,
        .clock_drift_ppm = RIG_DRIFT_PPM,
        .is_first_boot = true,
        .config = {.count = voters},
    };
    for (size_t i = 0; i < voters; i++)
        g->options.config.members[i] =
            (struct raft_member){.id = i + 1, .role = RAFT_VOTER};
}

void rig_log(struct rig *g, const raft_term *terms)
{
    struct raft_options *o = &g->options;

    for (; *terms != 0; terms++) {
        o->last++;
        if (o->run_count == 0 || o->hard.term != *terms)
            g->runs[o->run_count++] =
                (struct raft_term_run){.term = *terms, .first = o->last};
        o->hard.term = *terms;
    }
    o->runs = g->runs;
    o->is_first_boot = false;
}

void rig_base(struct rig *g, struct raft_pos base)
{
    g->options.base = base;
    g->options.last = base.index;
    g->options.applied = base.index;
    g->options.hard.term = base.term;
    g->options.is_first_boot = false;
}

void rig_open(struct rig *g)
{
    g->options.now = g->now;
    g->rc = raft_new(&g->options, &g->raft);
    px_assert(g->rc == 0);
    raft_check(g->raft);
}

void rig_start(struct rig *g, size_t voters)
{
    rig_init(g, voters);
    rig_open(g);
}

void rig_start_leading(struct rig *g, size_t voters)
{
    rig_start(g, voters);
    rig_lead_and_commit(g);
    rig_applied(g, 1);
}

void rig_close(struct rig *g)
{
    raft_free(g->raft);
    g->raft = NULL;
}

int rig_setup(void **state)
{
    const struct rig_begin *as = *state;
    struct rig *g = calloc(1, sizeof *g);

    px_assert(g != NULL);
    as->begin(g);
    *state = g;
    return 0;
}

int rig_teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

void rig_three(struct rig *g)
{
    rig_start(g, 3);
}

void rig_three_leading(struct rig *g)
{
    rig_start_leading(g, 3);
}

static void step(struct rig *g, struct raft_in in)
{
    in.now = g->now;
    g->rc = raft_step(g->raft, &in, &g->out);
    raft_check(g->raft);
    if (g->out.write.seq > 0)
        g->write = g->out.write;
}

void rig_pass(struct rig *g, px_ns duration)
{
    g->now += duration;
    step(g, (struct raft_in){.type = RAFT_IN_TICK});
}

void rig_msg(struct rig *g, struct raft_msg m)
{
    step(g, (struct raft_in){.type = RAFT_IN_MSG, .msg = &m});
}

void rig_write_done(struct rig *g, struct raft_write write)
{
    step(g, (struct raft_in){.type = RAFT_IN_DURABLE, .durable = write});
}

void rig_sync(struct rig *g)
{
    if (g->write.seq > 0)
        rig_write_done(g, g->write);
    else
        rig_pass(g, 0);
}

void rig_propose(struct rig *g, const char *text, raft_id origin)
{
    struct raft_proposal proposal = {
        .kind = RAFT_ENTRY_COMMAND,
        .data = {.data = (const uint8_t *)text, .size = strlen(text)},
        .origin = origin,
    };

    step(g, (struct raft_in){.type = RAFT_IN_PROPOSE,
                             .propose = {.list = &proposal, .count = 1}});
}

void rig_read(struct rig *g, uint64_t id)
{
    step(g, (struct raft_in){.type = RAFT_IN_READ, .read_id = id});
}

void rig_applied(struct rig *g, raft_index index)
{
    step(g, (struct raft_in){.type = RAFT_IN_APPLIED, .applied = index});
}

void rig_unreachable(struct rig *g, raft_id peer)
{
    step(g, (struct raft_in){.type = RAFT_IN_UNREACHABLE, .unreachable = peer});
}

void rig_fetched(struct rig *g, raft_id peer, raft_index first,
                 const struct raft_entry *entries, size_t count)
{
    step(g, (struct raft_in){.type = RAFT_IN_FETCHED,
                             .fetched = {.peer = peer,
                                         .first = first,
                                         .entries = entries,
                                         .count = count}});
}

void rig_compacted(struct rig *g, raft_index index)
{
    step(g, (struct raft_in){.type = RAFT_IN_COMPACTED, .compacted = index});
}

void rig_snapshot_sent(struct rig *g, raft_id peer, bool is_ok,
                       raft_index index)
{
    step(g, (struct raft_in){
                .type = RAFT_IN_SNAPSHOT_SENT,
                .sent = {.peer = peer, .is_ok = is_ok, .index = index}});
}

void rig_transfer(struct rig *g, raft_id to)
{
    step(g, (struct raft_in){.type = RAFT_IN_TRANSFER, .transfer = to});
}

void rig_change(struct rig *g, const struct raft_change *change)
{
    step(g, (struct raft_in){.type = RAFT_IN_CHANGE, .change = change});
}

void rig_installing(struct rig *g, raft_term term)
{
    step(g, (struct raft_in){.type = RAFT_IN_INSTALLING, .installing = term});
}

void rig_installed(struct rig *g, struct raft_pos pos)
{
    rig_installed_as(g, pos, &g->options.config);
}

void rig_installed_as(struct rig *g, struct raft_pos pos,
                      const struct raft_config *config)
{
    step(g, (struct raft_in){.type = RAFT_IN_INSTALLED,
                             .installed = {.pos = pos, .config = config}});
}

void rig_sound(struct rig *g)
{
    step(g, (struct raft_in){.type = RAFT_IN_SOUND});
}

void rig_noted(struct rig *g)
{
    step(g, (struct raft_in){.type = RAFT_IN_NOTED});
}

void rig_recovered(struct rig *g)
{
    step(g, (struct raft_in){.type = RAFT_IN_RECOVERED});
}

void rig_passive(struct rig *g, bool is_passive)
{
    step(g,
         (struct raft_in){.type = RAFT_IN_PASSIVE, .is_passive = is_passive});
}

void rig_lead(struct rig *g)
{
    size_t majority = g->options.config.count / 2;
    raft_term term = rig_status(g).term + 1;

    rig_pass(g, 2 * RIG_E + RIG_E / 10);
    for (raft_id id = 2; id < 2 + majority; id++)
        rig_msg(g, rig_pre_vote_reply(id, term, true));
    rig_sync(g);
    for (raft_id id = 2; id < 2 + majority; id++)
        rig_msg(g, rig_vote_reply(id, term, true));
    px_assert(rig_status(g).role == RAFT_LEADER);
    px_assert(rig_status(g).term == term);
}

void rig_lead_and_commit(struct rig *g)
{
    rig_lead(g);
    rig_sync(g);
    for (raft_id id = 2; id <= g->options.config.count; id++)
        rig_accept(g, id, rig_status(g).last.index);
    px_assert(rig_status(g).can_serve);
}

void rig_accept(struct rig *g, raft_id peer, raft_index match)
{
    rig_msg(g, rig_append_reply(peer, rig_status(g).term, match));
}

void rig_beat(struct rig *g, raft_id peer, raft_index last)
{
    rig_msg(g, rig_heartbeat_reply(peer, rig_status(g).term,
                                   g->raft->round_stamp, g->raft->round, last));
}

void rig_beat_unfit(struct rig *g, raft_id peer)
{
    struct raft_msg m =
        rig_heartbeat_reply(peer, rig_status(g).term, g->raft->round_stamp,
                            g->raft->round, rig_status(g).last.index);

    m.heartbeat_reply.is_unfit = true;
    rig_msg(g, m);
}

void rig_follow(struct rig *g, raft_id leader, raft_term term)
{
    rig_msg(g, rig_heartbeat(leader, term, POS(0, 0), 0, 1));
    px_assert(rig_status(g).leader == leader);
    rig_sync(g);
}

static struct raft_msg message(enum raft_msg_type type, raft_id from,
                               raft_term term)
{
    return (struct raft_msg){.type = type, .from = from, .to = 1, .term = term};
}

struct raft_msg rig_vote(raft_id from, raft_term term, struct raft_pos last)
{
    struct raft_msg m = message(RAFT_MSG_VOTE, from, term);

    m.vote.last = last;
    return m;
}

struct raft_msg rig_pre_vote(raft_id from, raft_term term, struct raft_pos last)
{
    struct raft_msg m = message(RAFT_MSG_PRE_VOTE, from, term);

    m.vote.last = last;
    return m;
}

struct raft_msg rig_vote_reply(raft_id from, raft_term term, bool is_granted)
{
    struct raft_msg m = message(RAFT_MSG_VOTE_REPLY, from, term);

    m.vote_reply.is_granted = is_granted;
    return m;
}

struct raft_msg rig_pre_vote_reply(raft_id from, raft_term term,
                                   bool is_granted)
{
    struct raft_msg m = message(RAFT_MSG_PRE_VOTE_REPLY, from, term);

    m.vote_reply.is_granted = is_granted;
    return m;
}

struct raft_msg rig_append(raft_id from, raft_term term, struct raft_pos prev,
                           raft_index commit, const struct raft_entry *entries,
                           size_t count)
{
    struct raft_msg m = message(RAFT_MSG_APPEND, from, term);

    m.append.prev = prev;
    m.append.commit = commit;
    m.append.entries = entries;
    m.append.count = count;
    return m;
}

struct raft_msg rig_append_reply(raft_id from, raft_term term, raft_index match)
{
    struct raft_msg m = message(RAFT_MSG_APPEND_REPLY, from, term);

    m.append_reply.is_accepted = true;
    m.append_reply.match = match;
    return m;
}

struct raft_msg rig_refusal(raft_id from, raft_term term, raft_index prev,
                            struct raft_pos conflict)
{
    struct raft_msg m = message(RAFT_MSG_APPEND_REPLY, from, term);

    m.append_reply.match = prev;
    m.append_reply.conflict = conflict;
    return m;
}

struct raft_msg rig_heartbeat(raft_id from, raft_term term,
                              struct raft_pos match, raft_index commit,
                              uint64_t round)
{
    struct raft_msg m = message(RAFT_MSG_HEARTBEAT, from, term);

    m.heartbeat.match = match;
    m.heartbeat.commit = commit;
    m.heartbeat.stamp = 77;
    m.heartbeat.round = round;
    return m;
}

struct raft_msg rig_heartbeat_reply(raft_id from, raft_term term, px_ns stamp,
                                    uint64_t round, raft_index last)
{
    struct raft_msg m = message(RAFT_MSG_HEARTBEAT_REPLY, from, term);

    m.heartbeat_reply.stamp = stamp;
    m.heartbeat_reply.round = round;
    m.heartbeat_reply.last = last;
    return m;
}

struct raft_entry rig_entry(raft_term term, raft_index index)
{
    return (struct raft_entry){
        .pos = POS(term, index),
        .kind = RAFT_ENTRY_COMMAND,
        .data = {.data = (const uint8_t *)"command", .size = 7},
    };
}

static const struct raft_msg *find(struct raft_msgs msgs, raft_id to,
                                   enum raft_msg_type type)
{
    for (size_t i = 0; i < msgs.count; i++)
        if (msgs.list[i].to == to && msgs.list[i].type == type)
            return &msgs.list[i];
    return NULL;
}

const struct raft_msg *rig_now(const struct rig *g, raft_id to,
                               enum raft_msg_type type)
{
    return find(g->out.now, to, type);
}

const struct raft_msg *rig_after(const struct rig *g, raft_id to,
                                 enum raft_msg_type type)
{
    return find(g->out.after, to, type);
}

const struct raft_msg *rig_any(const struct rig *g, raft_id to,
                               enum raft_msg_type type)
{
    const struct raft_msg *m = rig_now(g, to, type);

    return m != NULL ? m : rig_after(g, to, type);
}

struct raft_status rig_status(const struct rig *g)
{
    struct raft_status status;

    raft_get_status(g->raft, &status);
    return status;
}

struct raft_peer_status rig_peer(const struct rig *g, raft_id id)
{
    struct raft_peer_status peers[RAFT_MEMBERS_MAX];
    size_t count = raft_get_peers(g->raft, peers, RAFT_MEMBERS_MAX);

    for (size_t i = 0; i < count; i++)
        if (peers[i].id == id)
            return peers[i];
    px_assert_failed("a peer", __FILE__, __LINE__);
}
