/* Addresses, and packets on their way: datagrams one by one, and streams that
 * arrive whole or not at all. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/gossip_core.h"
#include "tests/sim/wire.h"

#define STREAM_TRIPS 3 /* SYN, SYN-ACK, data */

/* ---- Addresses ---- */

struct swim_addr gossip_at(size_t place)
{
    return (struct swim_addr){
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = (uint8_t)place},
        .port = 7946};
}

/* NULL: nobody is there. */
static struct server *resident(const struct world *w, size_t place)
{
    for (size_t i = 0; i < w->server_count; i++) {
        if (w->gossip->nodes[i].swim != NULL &&
            w->gossip->nodes[i].place == place)
            return w->servers[i];
    }
    return NULL;
}

void gossip_settle(struct server *s)
{
    struct world *w = s->world;
    struct gossip_node *n = gossip_node(s);
    bool is_first = n->place == 0;
    bool moves = !is_first && world_chance(w, w->gossip->move_percent);

    if (is_first)
        n->place = s->number + 1;
    if (!moves && resident(w, n->place) == NULL)
        return;
    do /* there are more places than servers */
        n->place = (size_t)world_draw(w, 1, PLACES + 1);
    while (resident(w, n->place) != NULL);
    w->counts[COUNT_GOSSIP_MOVES]++;
    world_trace(w, s, "is at 10.0.0.%zu", n->place);
}

/* ---- Packets ---- */

struct packet {
    struct event event;
    size_t from;       /* who sent it, */
    size_t from_place; /* and where that was */
    size_t to_place;
    bool is_stream;
    struct gossip_question question;
    size_t size;
    uint8_t data[];
};

static struct packet *packet_new(const struct server *from,
                                 const struct swim_packet_out *p)
{
    struct packet *e = event_new(sizeof *e + p->size);

    e->event.drop = event_drop;
    e->from = from->number;
    e->from_place = gossip_node(from)->place;
    e->to_place = p->to.ip[15];
    e->size = p->size;
    memcpy(e->data, p->data, p->size);
    return e;
}

static void run_hear(struct world *w, struct event *e)
{
    struct packet *p = (struct packet *)e;
    px_ns timeout = 2 * w->gossip->settings.probe_interval;

    /* A connection to one that stands still is given up, as udp_stream.c does. */
    if (!p->is_stream || w->now <= p->question.at + timeout) {
        w->counts[COUNT_GOSSIP_PACKETS]++;
        gossip_hear(e->server, p->data, p->size, gossip_at(p->from_place),
                    p->is_stream ? &p->question : NULL);
    }
    free(p);
}

static bool can_reach(const struct world *w, size_t from, size_t to,
                      bool is_stream)
{
    return !wire_is_cut(w, from, to) &&
           (!is_stream || !wire_is_cut(w, to, from));
}

/* It is there: whoever has the address now gets it, unless it stands still. */
static void run_arrive(struct world *w, struct event *e)
{
    struct packet *p = (struct packet *)e;
    struct server *to = resident(w, p->to_place);

    if (to == NULL || !can_reach(w, p->from, to->number, p->is_stream)) {
        free(p);
        return;
    }
    e->run = run_hear;
    world_plan(w, e, to, w->now);
}

static void post(struct world *w, struct packet *p, px_ns at)
{
    p->event.run = run_arrive;
    world_plan(w, &p->event, NULL, at);
}

static void send_datagram(struct server *s, size_t to,
                          const struct swim_packet_out *out)
{
    px_ns at[WIRE_COPIES_MAX];
    size_t copies = wire_draw_datagram(s, to, at);

    for (size_t i = 0; i < copies; i++)
        post(s->world, packet_new(s, out), at[i]);
}

static px_ns stream_time(struct world *w, size_t from, size_t to, int trips)
{
    px_ns time = 0;

    for (; trips > 0; trips--)
        time += wire_draw_delay(w, from, to);
    return time;
}

static void dial(struct server *s, size_t to, const struct swim_packet_out *out)
{
    struct packet *p = packet_new(s, out);
    px_ns now = server_true_now(s);

    p->is_stream = true;
    p->question = (struct gossip_question){s->number, s->life, now};
    post(s->world, p, now + stream_time(s->world, s->number, to, STREAM_TRIPS));
}

/* To the process that asked, wherever its machine is by now: were that another
 * place, the connection would be gone. */
static void answer(struct server *s, const struct swim_packet_out *out,
                   const struct gossip_question *question)
{
    struct world *w = s->world;
    struct server *to = w->servers[question->from];
    struct packet *p;

    if (to->life != question->life ||
        !can_reach(w, s->number, question->from, true))
        return;
    p = packet_new(s, out);
    p->is_stream = true;
    p->question = *question;
    p->event.run = run_hear;
    world_plan(w, &p->event, to,
               server_true_now(s) +
                   stream_time(w, s->number, question->from, 1));
}

void gossip_send(struct server *s, const struct swim_packet_out *packet,
                 const struct gossip_question *question)
{
    struct world *w = s->world;
    struct server *to;

    if (packet->via == SWIM_ANSWER) {
        px_assert(question != NULL && question->from != s->number);
        answer(s, packet, question);
        return;
    }
    to = resident(w, packet->to.ip[15]);
    if (to == NULL || !can_reach(w, s->number, to->number, false))
        return;
    if (packet->via == SWIM_UDP)
        send_datagram(s, to->number, packet);
    else
        dial(s, to->number, packet);
}
