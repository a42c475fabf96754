/* The played network is a heap of events in the order of their times. */
#include "tests/unit/gossip/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "gossip/packet_format.h"

#define PPM 1000000u
#define RETRANSMIT SECOND /* of a lost TCP segment */

enum event_type {
    EVENT_TIMER,
    EVENT_PACKET,
    EVENT_ANSWER, /* down a connection that the node dialled */
    EVENT_DURABLE,
    EVENT_RESOLVED,
};

struct world_event {
    px_ns at;
    uint64_t order; /* of those at the same time */
    enum event_type type;
    size_t node; /* EVENT_PACKET: who it was that sent it */
    uint64_t life;
    struct swim_addr from;
    struct swim_addr to;
    swim_incarnation incarnation;
    bool is_stream;
    size_t size;
    uint8_t data[];
};

/* ---- The heap ---- */

static bool is_before(const struct world_event *a, const struct world_event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void push(struct world *w, struct world_event *e)
{
    size_t i = w->event_count++;

    if (w->event_count > w->event_room) {
        w->event_room = 2 * w->event_count;
        w->heap =
            realloc(w->heap, w->event_room * sizeof(struct world_event *));
        px_assert(w->heap != NULL);
    }
    e->order = w->event_next++;
    for (; i > 0 && is_before(e, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = e;
}

static struct world_event *pop(struct world *w)
{
    struct world_event *first = w->heap[0];
    struct world_event *last = w->heap[--w->event_count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w->event_count)
            break;
        if (child + 1 < w->event_count &&
            is_before(w->heap[child + 1], w->heap[child]))
            child++;
        if (!is_before(w->heap[child], last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return first;
}

static struct world_event *event_new(const struct world *w,
                                     enum event_type type, size_t node,
                                     const uint8_t *data, size_t size)
{
    struct world_event *e = calloc(1, sizeof *e + size);

    px_assert(e != NULL);
    e->type = type;
    e->node = node;
    e->life = w->nodes[node].life;
    e->size = size;
    if (size > 0)
        memcpy(e->data, data, size);
    return e;
}

static void push_after(struct world *w, struct world_event *e, px_ns delay)
{
    e->at = w->now + delay;
    push(w, e);
}

/* ---- The network ---- */

static bool is_one_in(struct world *w, uint32_t ppm)
{
    return px_rand_below(&w->rand, PPM) < ppm;
}

static px_ns one_way(struct world *w)
{
    const struct world_options *o = &w->options;

    return o->delay_min +
           px_rand_below(&w->rand, o->delay_max - o->delay_min + 1);
}

static void send_datagram(struct world *w, size_t node,
                          const struct swim_packet_out *p)
{
    unsigned copies = is_one_in(w, w->options.double_ppm) ? 2 : 1;

    for (; copies > 0; copies--) {
        struct world_event *e;

        if (is_one_in(w, w->options.loss_ppm))
            continue;
        e = event_new(w, EVENT_PACKET, node, p->data, p->size);
        e->from = w->nodes[node].addr;
        e->to = p->to;
        push_after(w, e, one_way(w));
    }
}

/* @trips one way each; a lost one is sent again. */
static px_ns stream_time(struct world *w, unsigned trips)
{
    px_ns time = 0;

    for (; trips > 0; trips--) {
        while (is_one_in(w, w->options.loss_ppm))
            time += RETRANSMIT;
        time += one_way(w);
    }
    return time;
}

static void dial(struct world *w, size_t node, const struct swim_packet_out *p)
{
    struct world_event *e = event_new(w, EVENT_PACKET, node, p->data, p->size);

    e->from = w->nodes[node].addr;
    e->to = p->to;
    e->is_stream = true;
    push_after(w, e, stream_time(w, 3)); /* SYN, SYN-ACK, data */
}

static void answer(struct world *w, size_t node,
                   const struct swim_packet_out *p,
                   const struct world_event *question)
{
    struct world_event *e;

    px_assert(question != NULL && question->is_stream);
    e = event_new(w, EVENT_ANSWER, question->node, p->data, p->size);
    e->life = question->life;
    e->from = w->nodes[node].addr;
    e->is_stream = true;
    push_after(w, e, stream_time(w, 1));
}

/* The last two bytes of an address are the node's number; world_move changes
 * others. */
static int node_at(const struct world *w, const struct swim_addr *addr)
{
    const size_t number = (size_t)addr->ip[14] << 8 | addr->ip[15];

    if (number == 0 || number > w->options.nodes ||
        w->nodes[number - 1].swim == NULL ||
        memcmp(&w->nodes[number - 1].addr, addr, sizeof *addr) != 0)
        return -1;
    return (int)number - 1;
}

/* ---- A step, and what comes of it ---- */

/* Nothing leaves that should not: it is sound, within its bound, and what it
 * says of its sender is durable. */
static void check_packet(const struct world *w, size_t node,
                         const struct swim_packet_out *p)
{
    const struct world_node *n = &w->nodes[node];
    struct swim_reader r;
    struct swim_news news;

    if (p->data[SWIM_AT_TYPE] < SWIM_STATE_ASK)
        px_assert(p->size <= SWIM_PACKET_BYTES_MAX);
    px_assert(swim_read_packet(&r, p->data, p->size) == 0);
    while (swim_read_news(&r, &news)) {
        if (strcmp(news.id, n->id) == 0)
            px_assert(news.incarnation <= n->durable);
    }
}

static void send_all(struct world *w, size_t node, const struct swim_out *out,
                     const struct world_event *question)
{
    for (size_t i = 0; i < out->packet_count; i++) {
        const struct swim_packet_out *p = &out->packets[i];

        if (!w->options.unchecked)
            check_packet(w, node, p);
        if (w->tap != NULL)
            w->tap(w, p);
        w->counts.packets++;
        w->counts.bytes += p->size;
        w->counts.dials += p->via == SWIM_DIAL;
        w->counts.sum =
            w->counts.sum * 31 + px_djb2((const char *)p->data, p->size);
        switch (p->via) {
        case SWIM_UDP:
            send_datagram(w, node, p);
            break;
        case SWIM_DIAL:
            dial(w, node, p);
            break;
        case SWIM_ANSWER:
            answer(w, node, p, question);
            break;
        }
    }
}

static void arm(struct world *w, size_t node, px_ns deadline)
{
    struct world_node *n = &w->nodes[node];
    struct world_event *e;

    if (deadline >= n->armed)
        return;
    n->armed = deadline;
    e = event_new(w, EVENT_TIMER, node, NULL, 0);
    e->at = deadline > w->now ? deadline : w->now;
    push(w, e);
}

static void count_event(struct world *w, const struct swim_event *e)
{
    w->counts.suspicions += e->type == SWIM_EVENT_SUSPECT;
    if (e->type != SWIM_EVENT_DEAD)
        return;
    w->counts.deaths++;
    for (size_t i = 0; i < w->options.nodes; i++)
        w->nodes[i].died += strcmp(w->nodes[i].id, e->member.id) == 0;
}

static void step(struct world *w, size_t node, struct swim_in *in,
                 const struct world_event *question)
{
    struct world_node *n = &w->nodes[node];
    struct swim_out out;
    int rc;

    in->now = w->now;
    rc = swim_step(n->swim, in, &out);
    px_assert(rc == 0);
    if (!w->options.unchecked)
        swim_check(n->swim);
    for (size_t i = 0; i < out.event_count; i++) {
        count_event(w, &out.events[i]);
    }
    if (out.reserve > 0) {
        struct world_event *e = event_new(w, EVENT_DURABLE, node, NULL, 0);

        e->incarnation = out.reserve;
        push_after(w, e, w->options.disk);
    }
    if (out.wants_seeds && n->seed != node)
        push_after(w, event_new(w, EVENT_RESOLVED, node, NULL, 0), one_way(w));
    n->is_left = out.is_left;
    send_all(w, node, &out, question);
    arm(w, node, out.deadline);
}

/* ---- Events ---- */

static void on_arrival(struct world *w, struct world_event *e, size_t node)
{
    struct swim_in in = {.type = SWIM_IN_PACKET};

    in.packet.data = e->data;
    in.packet.size = e->size;
    in.packet.from = e->from;
    in.packet.is_stream = e->is_stream;
    step(w, node, &in, e);
}

static void on_durable(struct world *w, const struct world_event *e)
{
    struct swim_in in = {.type = SWIM_IN_RESERVED, .reserved = e->incarnation};

    w->nodes[e->node].durable = e->incarnation;
    step(w, e->node, &in, NULL);
}

static void on_timer(struct world *w, const struct world_event *e)
{
    struct swim_in in = {.type = SWIM_IN_TICK};

    w->nodes[e->node].armed = PX_NS_NEVER;
    step(w, e->node, &in, NULL);
}

static void on_resolved(struct world *w, size_t node)
{
    const struct world_node *n = &w->nodes[node];
    struct swim_in in = {.type = SWIM_IN_SEEDS};

    in.seeds.list = &w->nodes[n->seed].addr;
    in.seeds.count = n->seed != node;
    step(w, node, &in, NULL);
}

/* Whom an event is for; -1: nobody hears it. */
static int target_of(const struct world *w, const struct world_event *e)
{
    int to = (int)e->node;

    if (e->type == EVENT_PACKET) {
        to = node_at(w, &e->to);
        if (to < 0 || w->nodes[to].side != w->nodes[e->node].side)
            return -1;
        return to;
    }
    if (w->nodes[to].swim == NULL || w->nodes[to].life != e->life)
        return -1;
    if (e->type == EVENT_ANSWER) {
        const int from = node_at(w, &e->from);

        if (from < 0 || w->nodes[from].side != w->nodes[to].side)
            return -1;
    }
    return to;
}

/* False: it goes back to the heap, for when its node is run again. */
static bool handle(struct world *w, struct world_event *e)
{
    const int to = target_of(w, e);

    if (to < 0)
        return true;
    if (w->nodes[to].paused_until > w->now) {
        e->at = w->nodes[to].paused_until;
        push(w, e);
        return false;
    }
    switch (e->type) {
    case EVENT_TIMER:
        on_timer(w, e);
        break;
    case EVENT_PACKET:
    case EVENT_ANSWER:
        on_arrival(w, e, (size_t)to);
        break;
    case EVENT_DURABLE:
        on_durable(w, e);
        break;
    case EVENT_RESOLVED:
        on_resolved(w, e->node);
        break;
    }
    return true;
}

px_ns world_run_until(struct world *w, px_ns duration,
                      bool (*is_done)(struct world *w, void *ctx), void *ctx)
{
    const px_ns begin = w->now;
    const px_ns end = begin + duration;

    while (!is_done(w, ctx)) {
        struct world_event *e;

        if (w->event_count == 0 || w->heap[0]->at > end) {
            w->now = end;
            return is_done(w, ctx) ? end - begin : PX_NS_NEVER;
        }
        e = pop(w);
        w->now = e->at;
        if (handle(w, e))
            free(e);
    }
    return w->now - begin;
}

static bool never(struct world *w, void *unused)
{
    (void)w;
    (void)unused;
    return false;
}

void world_run(struct world *w, px_ns duration)
{
    (void)world_run_until(w, duration, never, NULL); /* it is not to end */
}

/* ---- Nodes ---- */

static struct swim_addr address(size_t number)
{
    return (struct swim_addr){.ip = {[10] = 0xff,
                                     [11] = 0xff,
                                     [12] = 10,
                                     [13] = (uint8_t)(number >> 16),
                                     [14] = (uint8_t)(number >> 8),
                                     [15] = (uint8_t)number},
                              .port = 7946};
}

struct world_options world_lan(size_t nodes, uint64_t seed)
{
    return (struct world_options){
        .nodes = nodes,
        .seed = seed,
        .settings = swim_settings_of_tick(20 * MS),
        .delay_min = MS / 10,
        .delay_max = MS,
        .disk = 2 * MS,
    };
}

struct world_options world_wan(size_t nodes, uint64_t seed)
{
    return (struct world_options){
        .nodes = nodes,
        .seed = seed,
        .settings = swim_settings_of_tick(200 * MS),
        .delay_min = 140 * MS,
        .delay_max = 160 * MS,
        .loss_ppm = 50000,
        .disk = 10 * MS,
    };
}

void world_open(struct world *w, const struct world_options *options)
{
    *w = (struct world){.options = *options, .now = SECOND};
    px_rand_init(&w->rand, options->seed);
    w->nodes = calloc(options->nodes, sizeof *w->nodes);
    px_assert(w->nodes != NULL);
    for (size_t i = 0; i < options->nodes; i++) {
        struct world_node *n = &w->nodes[i];

        (void)snprintf(n->id, sizeof n->id, "node-%zu", i + 1);
        n->addr = address(i + 1);
        n->about = (struct swim_about){.zone = "zone", .protocol = 1};
        (void)snprintf(n->about.peer, sizeof n->about.peer, "10.0.%zu.%zu:9000",
                       (i + 1) / 256, (i + 1) % 256);
    }
}

void world_close(struct world *w)
{
    for (size_t i = 0; i < w->event_count; i++)
        free(w->heap[i]);
    for (size_t i = 0; i < w->options.nodes; i++)
        swim_free(w->nodes[i].swim);
    free(w->heap);
    free(w->nodes);
}

void world_start(struct world *w, size_t node, size_t seed)
{
    struct world_node *n = &w->nodes[node];
    struct swim_options o = {
        .id = n->id,
        .label = WORLD_LABEL,
        .settings = w->options.settings,
        .seed = px_djb2(n->id, strlen(n->id)) ^ w->options.seed,
        .incarnation = ++n->durable,
        .now = w->now,
    };

    px_assert(n->swim == NULL);
    n->about.gossip = n->addr;
    o.about = n->about;
    px_assert(swim_new(&o, &n->swim) == 0);
    n->life++;
    n->armed = PX_NS_NEVER;
    n->paused_until = 0;
    n->is_left = false;
    n->seed = seed;
    on_resolved(w, node);
}

void world_start_all(struct world *w)
{
    for (size_t i = 0; i < w->options.nodes; i++)
        world_start(w, i, 0);
}

/* Node 0 is told of each by that node's own first state, and then tells all. */
void world_start_known(struct world *w)
{
    static uint8_t state[SWIM_STATE_BYTES_MAX];
    struct swim_head head = {.type = SWIM_STATE,
                             .run = 1,
                             .number = 1,
                             .seq = 1,
                             .label = WORLD_LABEL,
                             .from = "herald",
                             .to = "",
                             .target = ""};
    struct swim_writer writer;
    size_t size;

    swim_write_head(&writer, &head, state, sizeof state);
    for (size_t i = 0; i < w->options.nodes; i++) {
        const struct world_node *n = &w->nodes[i];
        const struct swim_news news = {.id = n->id,
                                       .peer = n->about.peer,
                                       .zone = n->about.zone,
                                       .incarnation = n->durable + 1,
                                       .gossip = n->addr,
                                       .state = SWIM_ALIVE,
                                       .protocol = 1};

        px_assert(swim_write_news(&writer, &news));
    }
    size = swim_write_end(&writer);
    for (size_t i = 0; i < w->options.nodes; i++) {
        world_start(w, i, i);
        world_inject(w, i, state, size, address(0), true);
    }
}

static void node_stop(struct world_node *n)
{
    swim_free(n->swim);
    n->swim = NULL;
    n->life++;
}

void world_kill(struct world *w, size_t node)
{
    node_stop(&w->nodes[node]);
}

void world_pause(struct world *w, size_t node, px_ns duration)
{
    w->nodes[node].paused_until = w->now + duration;
}

void world_leave(struct world *w, size_t node)
{
    struct swim_in in = {.type = SWIM_IN_LEAVE};

    step(w, node, &in, NULL);
}

void world_move(struct world *w, size_t node)
{
    struct world_node *n = &w->nodes[node];

    n->addr.ip[13]++; /* nobody else is there: worlds have below 65,536 nodes */
    n->about.gossip = n->addr;
}

void world_say(struct world *w, size_t node, const struct swim_about *about)
{
    struct swim_in in = {.type = SWIM_IN_SELF, .self = about};

    w->nodes[node].about = *about;
    step(w, node, &in, NULL);
}

void world_inject(struct world *w, size_t node, const uint8_t *data,
                  size_t size, struct swim_addr from, bool is_stream)
{
    struct swim_in in = {.type = SWIM_IN_PACKET};
    struct world_event *question =
        event_new(w, EVENT_PACKET, node, NULL, 0); /* answers go to nobody */

    question->is_stream = is_stream;
    question->life = 0;
    in.packet.data = data;
    in.packet.size = size;
    in.packet.from = from;
    in.packet.is_stream = is_stream;
    step(w, node, &in, question);
    free(question);
}

/* ---- Questions ---- */

struct swim_status world_status(const struct world *w, size_t node)
{
    struct swim_status status;

    swim_get_status(w->nodes[node].swim, &status);
    return status;
}

enum swim_state world_state(const struct world *w, size_t node, size_t other)
{
    struct swim_member_info m;

    if (!swim_find(w->nodes[node].swim, w->nodes[other].id, &m))
        return 0;
    return m.state;
}

bool world_is_whole(struct world *w, void *unused)
{
    (void)unused;
    for (size_t i = 0; i < w->options.nodes; i++) {
        if (w->nodes[i].swim == NULL)
            continue;
        for (size_t k = 0; k < w->options.nodes; k++) {
            struct swim_member_info m;

            if (w->nodes[k].swim == NULL)
                continue;
            if (!swim_find(w->nodes[i].swim, w->nodes[k].id, &m) ||
                m.state != SWIM_ALIVE ||
                memcmp(&m.gossip, &w->nodes[k].addr, sizeof m.gossip) != 0)
                return false;
        }
    }
    return true;
}

static bool is_everywhere(const struct world *w, size_t node,
                          enum swim_state state)
{
    for (size_t i = 0; i < w->options.nodes; i++) {
        if (i != node && w->nodes[i].swim != NULL &&
            world_state(w, i, node) != state)
            return false;
    }
    return true;
}

bool world_is_dead(struct world *w, void *ctx)
{
    return is_everywhere(w, *(const size_t *)ctx, SWIM_DEAD);
}

bool world_is_left(struct world *w, void *ctx)
{
    return is_everywhere(w, *(const size_t *)ctx, SWIM_LEFT);
}

uint64_t world_deaths_but(const struct world *w, size_t except)
{
    uint64_t deaths = 0;

    for (size_t i = 0; i < w->options.nodes; i++) {
        if (i != except)
            deaths += w->nodes[i].died;
    }
    return deaths;
}

void world_open_whole(struct world *w, const struct world_options *options)
{
    world_open(w, options);
    world_start_all(w);
    px_assert(world_run_until(w, 100 * options->settings.probe_interval,
                              world_is_whole, NULL) != PX_NS_NEVER);
    px_assert(w->counts.deaths == 0);
    w->counts = (struct world_counts){0};
}
