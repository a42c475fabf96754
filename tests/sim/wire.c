#include "tests/sim/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "net/codec.h"
#include "raft/text.h"
#include "tests/sim/gossip.h"
#include "tests/sim/hello.h"
#include "tests/sim/transfers.h"

struct link {
    bool is_up;
    bool is_dialling; /* an event will try */
    bool is_breaking; /* an event will end it */
    bool has_lost;    /* it must break: something is missing */
    uint64_t epoch;   /* of connections: what an old one carried is lost */
    px_ns last_at;    /* when its last message arrives */
};

struct way {
    bool is_cut;
    px_ns slow_until;
    px_ns slow_extra;
    struct link links[NET_CLASSES]; /* by class - 1 */
};

struct wire {
    struct way ways[SERVERS_MAX][SERVERS_MAX]; /* from, to */
    struct wire_roughness rough;
    px_ns latency;
    struct raft_entry entries[PX_BATCH_ENTRIES_MAX]; /* of one message */
};

static struct way *way_of(const struct world *w, size_t from, size_t to)
{
    return &w->wire->ways[from][to];
}

/* Events of one connection. */
struct link_event {
    struct event event;
    size_t from;
    size_t to;
    enum net_class class;
    uint64_t epoch;
};

static struct link *link_of(const struct world *w, const struct link_event *l)
{
    return &way_of(w, l->from, l->to)->links[l->class - 1];
}

static struct link_event *link_event_new(size_t size, size_t from, size_t to,
                                         enum net_class class)
{
    struct link_event *l = event_new(size);

    l->event.drop = event_drop;
    l->from = from;
    l->to = to;
    l->class = class;
    return l;
}

/* ---- Connections ---- */

static void run_peer_up(struct world *w, struct event *e)
{
    struct link_event *l = (struct link_event *)e;

    (void)w;
    replica_on_peer_up(e->server->replica, l->to + 1);
    free(l);
}

static void run_peer_down(struct world *w, struct event *e)
{
    struct link_event *l = (struct link_event *)e;

    (void)w;
    replica_on_peer_down(e->server->replica, l->to + 1);
    free(l);
}

/* net/ tells of the bulk connection alone. */
static void tell(struct world *w, const struct link_event *of,
                 void (*run)(struct world *w, struct event *e))
{
    struct link_event *l;

    if (of->class != NET_BULK || !server_is_up(w->servers[of->from]))
        return;
    l = link_event_new(sizeof *l, of->from, of->to, of->class);
    l->event.run = run;
    world_plan(w, &l->event, w->servers[of->from],
               w->now + world_draw(w, 0, PX_NS_PER_MS));
}

static bool can_connect(const struct world *w, size_t from, size_t to)
{
    const struct server *a = w->servers[from];
    const struct server *b = w->servers[to];

    return server_is_up(a) && server_is_up(b) && a->stopped_until <= w->now &&
           b->stopped_until <= w->now && !way_of(w, from, to)->is_cut &&
           !way_of(w, to, from)->is_cut;
}

static void dial(struct world *w, size_t from, size_t to, enum net_class class);

static void run_dial(struct world *w, struct event *e)
{
    struct link_event *l = (struct link_event *)e;
    struct link *link = link_of(w, l);

    link->is_dialling = false;
    if (!link->is_up && can_connect(w, l->from, l->to) &&
        gossip_reaches(w, l->from, l->to) &&
        hello_is_taken(w, l->from, l->to)) {
        link->is_up = true;
        link->has_lost = false;
        link->epoch++;
        link->last_at = w->now;
        hello_say(w, l->from, l->to);
        tell(w, l, run_peer_up);
    } else if (!link->is_up && server_is_up(w->servers[l->from]) &&
               !w->servers[l->to]->is_gone) {
        dial(w, l->from, l->to, l->class);
    }
    free(l);
}

static void dial(struct world *w, size_t from, size_t to, enum net_class class)
{
    struct link_event *l = link_event_new(sizeof *l, from, to, class);
    struct link *link = link_of(w, l);

    if (link->is_up || link->is_dialling) {
        free(l);
        return;
    }
    link->is_dialling = true;
    l->event.run = run_dial;
    world_plan(w, &l->event, NULL,
               w->now + world_draw(w, PX_NS_PER_MS, w->election / 2));
}

static void break_link(struct world *w, const struct link_event *l)
{
    struct link *link = link_of(w, l);

    if (!link->is_up)
        return;
    link->is_up = false;
    link->epoch++;
    w->counts[COUNT_BREAKS]++;
    tell(w, l, run_peer_down);
    dial(w, l->from, l->to, l->class);
}

static void run_break(struct world *w, struct event *e)
{
    struct link_event *l = (struct link_event *)e;
    struct link *link = link_of(w, l);

    link->is_breaking = false;
    if (link->epoch == l->epoch)
        break_link(w, l);
    free(l);
}

/* Something is missing on it: somebody will notice, within @limit. */
static void break_within(struct world *w, size_t from, size_t to,
                         enum net_class class, px_ns limit)
{
    struct link_event *l = link_event_new(sizeof *l, from, to, class);
    struct link *link = link_of(w, l);

    if (!link->is_up || link->is_breaking) {
        free(l);
        return;
    }
    link->is_breaking = true;
    l->epoch = link->epoch;
    l->event.run = run_break;
    world_plan(w, &l->event, NULL, w->now + world_draw(w, 0, limit));
}

static void for_both(struct world *w, size_t from, size_t to, px_ns limit)
{
    break_within(w, from, to, NET_URGENT, limit);
    break_within(w, from, to, NET_BULK, limit);
}

void wire_break(struct world *w, size_t from, size_t to)
{
    for (int class = NET_URGENT; class <= NET_BULK; class ++) {
        struct link_event l = {
            .from = from, .to = to, .class = (enum net_class) class};

        break_link(w, &l);
    }
}

/* ---- Messages ---- */

struct packet {
    struct link_event link; /* first */
    struct px_buf *bytes;
};

static void drop_packet(struct world *w, struct event *e)
{
    (void)w;
    px_buf_unref(((struct packet *)e)->bytes);
    free(e);
}

static void on_raft(struct server *s, const struct net_frame_in *frame)
{
    struct raft_msg msg;
    int rc = net_decode_raft(frame, s->world->wire->entries, &msg);
    char line[256];
    struct px_text text;

    px_assert(rc == 0);
    if (s->world->options.is_traced) {
        px_text_init(&text, line, sizeof line);
        raft_msg_text(&msg, &text);
        world_trace(s->world, s, "gets %s", line);
    }
    replica_on_message(s->replica, &msg);
}

static void on_snapshot(struct server *s, const struct net_frame_in *frame,
                        uint64_t epoch)
{
    static const char *const texts[] = {
        [NET_SNAPSHOT_OFFER] = "offer",     [NET_SNAPSHOT_WANT] = "want",
        [NET_SNAPSHOT_PIECE] = "piece",     [NET_SNAPSHOT_DONE] = "done",
        [NET_SNAPSHOT_REFUSED] = "refusal", [NET_SNAPSHOT_ASK] = "question",
    };
    struct net_snapshot n;

    px_assert(net_decode_snapshot(frame, &n) == 0);
    world_trace(s->world, s, "gets %s of snapshot %llu from n%llu, at %llu",
                texts[n.what], (unsigned long long)n.pos.index,
                (unsigned long long)n.from, (unsigned long long)n.offset);
    transfers_take(s, &n, epoch);
}

static void on_frame(struct server *s, const struct net_frame_in *frame,
                     uint64_t epoch)
{
    struct net_forward forward;
    struct net_forward_refused refused;

    if (frame->type == NET_FRAME_RAFT) {
        on_raft(s, frame);
    } else if (frame->type == NET_FRAME_SNAPSHOT) {
        on_snapshot(s, frame, epoch);
    } else if (frame->type == NET_FRAME_FORWARD) {
        px_assert(net_decode_forward(frame, &forward) == 0);
        world_trace(s->world, s, "gets forward of %llu/%llu",
                    (unsigned long long)forward.session,
                    (unsigned long long)forward.sequence);
        replica_on_forward(s->replica, &forward);
    } else {
        px_assert(frame->type == NET_FRAME_FORWARD_REFUSED);
        px_assert(net_decode_forward_refused(frame, &refused) == 0);
        world_trace(s->world, s, "gets refusal of %llu/%llu",
                    (unsigned long long)refused.session,
                    (unsigned long long)refused.sequence);
        replica_on_refused(s->replica, &refused);
    }
}

static void run_packet(struct world *w, struct event *e)
{
    struct packet *p = (struct packet *)e;
    struct net_frame_header h;
    struct net_frame_in frame;

    if (p->link.epoch == link_of(w, &p->link)->epoch) {
        px_assert(net_frame_header_decode(p->bytes->data, &h) == 0);
        px_assert(net_frame_is_intact(&h, p->bytes->data));
        frame = (struct net_frame_in){
            .type = h.type,
            .bytes = p->bytes->size,
            .head = p->bytes->data + NET_FRAME_HEADER_BYTES,
            .head_bytes = h.head_bytes,
            .body = px_slice_of(p->bytes, NET_FRAME_HEADER_BYTES + h.head_bytes,
                                h.body_bytes),
        };
        w->counts[COUNT_MESSAGES]++;
        on_frame(e->server, &frame, p->link.epoch);
    }
    drop_packet(w, e);
}

static struct px_buf *flatten(const struct net_frame *f)
{
    struct px_buf *b = px_buf_new(f->bytes);
    size_t at = f->lead_bytes;

    px_assert(b != NULL);
    memcpy(b->data, f->lead, f->lead_bytes);
    for (size_t i = 0; i < f->slice_count; i++) {
        if (f->slices[i].size > 0)
            memcpy(b->data + at, f->slices[i].data, f->slices[i].size);
        at += f->slices[i].size;
    }
    px_assert(at == f->bytes);
    return b;
}

static px_ns delay_of(struct world *w, const struct way *way)
{
    px_ns delay = world_draw(w, w->wire->latency / 2, w->wire->latency * 2);

    if (w->now < way->slow_until)
        delay += px_rand_below(&w->rand, way->slow_extra + 1);
    return delay;
}

static void post(struct world *w, const struct link_event *on,
                 struct px_buf *bytes, px_ns at)
{
    struct packet *p = event_new(sizeof *p);

    p->link.from = on->from;
    p->link.to = on->to;
    p->link.class = on->class;
    p->link.epoch = link_of(w, on)->epoch;
    p->link.event.run = run_packet;
    p->link.event.drop = drop_packet;
    p->bytes = px_buf_ref(bytes);
    world_plan(w, &p->link.event, w->servers[on->to], at);
}

px_ns wire_draw_delay(struct world *w, size_t from, size_t to)
{
    return delay_of(w, way_of(w, from, to));
}

size_t wire_draw_datagram(struct server *from, size_t to,
                          px_ns at[WIRE_COPIES_MAX])
{
    struct world *w = from->world;
    const struct wire_roughness *r = &w->wire->rough;
    px_ns now = server_true_now(from);
    px_ns late = now + world_draw(w, w->wire->latency, 2 * w->heartbeat);
    size_t copies = 0;

    if (world_chance(w, r->lose))
        return 0;
    at[copies++] = now + wire_draw_delay(w, from->number, to);
    if (world_chance(w, r->reorder))
        at[0] = late;
    if (world_chance(w, r->copy))
        at[copies++] = late;
    return copies;
}

/* One message of raft on a rough wire. True: it goes its usual way too. */
static bool go_rough(struct world *w, const struct link_event *on,
                     struct px_buf *bytes)
{
    const struct wire_roughness *r = &w->wire->rough;
    px_ns late = server_true_now(w->servers[on->from]) +
                 world_draw(w, w->wire->latency, 2 * w->heartbeat);

    if (r->lose > 0 && world_chance(w, r->lose)) {
        w->counts[COUNT_LOST]++;
        return false;
    }
    if (r->copy > 0 && world_chance(w, r->copy)) {
        w->counts[COUNT_DUPLICATED]++;
        post(w, on, bytes, late);
    }
    if (r->reorder > 0 && world_chance(w, r->reorder)) {
        w->counts[COUNT_REORDERED]++;
        post(w, on, bytes, late);
        return false;
    }
    return true;
}

static int send_frame(struct server *from, raft_id to, enum net_class class,
                      struct net_frame *f, bool is_raft)
{
    struct world *w = from->world;
    struct link_event on = {
        .from = from->number, .to = (size_t)to - 1, .class = class};
    struct way *way = way_of(w, on.from, on.to);
    struct link *link = link_of(w, &on);
    struct px_buf *bytes;

    px_assert(f != NULL);
    if (!link->is_up) {
        net_frame_free(f);
        return -ENOTCONN;
    }
    bytes = flatten(f);
    net_frame_free(f);
    if (way->is_cut || link->has_lost || !server_is_up(w->servers[on.to])) {
        link->has_lost = true;
        break_within(w, on.from, on.to, class, 2 * w->election);
    } else if (!is_raft || go_rough(w, &on, bytes)) {
        px_ns at = server_true_now(from) + delay_of(w, way);

        link->last_at = at > link->last_at ? at : link->last_at + 1;
        post(w, &on, bytes, link->last_at);
    }
    px_buf_unref(bytes);
    return 0;
}

/* Appends are bulk, whatever their size: net/peer.c. */
int wire_send_raft(struct server *from, const struct raft_msg *msg)
{
    return send_frame(from, msg->to,
                      msg->type == RAFT_MSG_APPEND ? NET_BULK : NET_URGENT,
                      net_encode_raft(msg), true);
}

int wire_send_forward(struct server *from, raft_id to,
                      const struct net_forward *f)
{
    return send_frame(from, to, NET_BULK, net_encode_forward(f), false);
}

int wire_send_snapshot(struct server *from, raft_id to,
                       const struct net_snapshot *s)
{
    return send_frame(from, to, NET_BULK, net_encode_snapshot(s), false);
}

int wire_send_refused(struct server *from, raft_id to,
                      const struct net_forward_refused *f)
{
    return send_frame(from, to, NET_URGENT, net_encode_forward_refused(f),
                      false);
}

/* ---- Faults ---- */

void wire_cut(struct world *w, size_t from, size_t to, bool is_cut)
{
    struct way *way = way_of(w, from, to);

    if (from == to || way->is_cut == is_cut)
        return;
    way->is_cut = is_cut;
    world_trace(w, w->servers[from], "%s n%zu",
                is_cut ? "is cut off from" : "reaches again", to + 1);
    if (is_cut)
        for_both(w, from, to, 3 * w->election);
}

bool wire_is_cut(const struct world *w, size_t from, size_t to)
{
    return way_of(w, from, to)->is_cut;
}

void wire_slow(struct world *w, size_t from, size_t to, px_ns until,
               px_ns extra)
{
    way_of(w, from, to)->slow_until = until;
    way_of(w, from, to)->slow_extra = extra;
}

void wire_set_roughness(struct world *w, struct wire_roughness rough)
{
    w->wire->rough = rough;
}

static void forget_links(struct world *w, size_t from, size_t to)
{
    for (size_t i = 0; i < NET_CLASSES; i++) {
        way_of(w, from, to)->links[i].is_up = false;
        way_of(w, from, to)->links[i].epoch++;
    }
}

void wire_on_start(struct server *s)
{
    struct world *w = s->world;

    for (size_t i = 0; i < w->server_count; i++) {
        if (i == s->number)
            continue;
        wire_break(w, i, s->number); /* who did not notice does now */
        dial(w, s->number, i, NET_URGENT);
        dial(w, s->number, i, NET_BULK);
        if (server_is_up(w->servers[i])) { /* it may be new to them */
            dial(w, i, s->number, NET_URGENT);
            dial(w, i, s->number, NET_BULK);
        }
    }
}

/* A process takes its connections with it; a machine is only missed. */
void wire_on_crash(struct server *s, bool is_machine)
{
    struct world *w = s->world;

    for (size_t i = 0; i < w->server_count; i++) {
        if (i == s->number)
            continue;
        forget_links(w, s->number, i);
        for_both(w, i, s->number, is_machine ? 3 * w->election : PX_NS_PER_MS);
    }
}

/* ---- Life ---- */

struct wire *wire_new(struct world *w)
{
    struct wire *wire = calloc(1, sizeof *wire);
    px_ns longest = w->election / 100;

    px_assert(wire != NULL);
    wire->latency = world_draw(w, 50 * PX_NS_PER_US, longest);
    return wire;
}

void wire_free(struct wire *wire)
{
    free(wire);
}
