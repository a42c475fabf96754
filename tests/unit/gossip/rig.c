#include "tests/unit/gossip/rig.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

/* ---- Opening ---- */

struct swim_addr rig_addr(const char *id)
{
    struct swim_addr addr = {.ip = {[0] = 0xfd, [15] = 1}, .port = 7946};

    if (strcmp(id, "me") != 0) {
        addr.ip[14] = (uint8_t)id[0];
        addr.ip[15] = (uint8_t)id[1];
    }
    return addr;
}

const char *rig_id(size_t number)
{
    static char ids[26 * 26][3];

    px_assert(number < 26 * 26);
    ids[number][0] = (char)('a' + number % 26);
    ids[number][1] = number < 26 ? '\0' : (char)('a' + number / 26);
    return ids[number];
}

struct swim_news rig_news(const char *id, swim_incarnation incarnation,
                          enum swim_state state)
{
    const bool is_accused = state == SWIM_SUSPECT || state == SWIM_DEAD;

    return (struct swim_news){.id = id,
                              .peer = "host:9000",
                              .zone = "here",
                              .incarnation = incarnation,
                              .gossip = rig_addr(id),
                              .state = state,
                              .protocol = 1,
                              .accuser_count = is_accused,
                              .accusers = {px_djb2("z", 1)}};
}

struct swim_options rig_options(void)
{
    return (struct swim_options){
        .id = "me",
        .label = RIG_LABEL,
        .about = {.gossip = rig_addr("me"),
                  .peer = "host:9000",
                  .zone = "here",
                  .cluster = 1,
                  .protocol = 1},
        .settings = swim_settings_of_tick(20 * MS),
        .seed = 1,
        .incarnation = RIG_INCARNATION,
        .now = 1000 * MS,
    };
}

void rig_open_with(struct rig *g, const struct swim_options *options)
{
    *g = (struct rig){.now = options->now};
    g->sent = calloc(RIG_SENT_MAX, sizeof *g->sent);
    px_assert(g->sent != NULL);
    px_assert(swim_new(options, &g->swim) == 0);
    rig_tick(g);
    if (g->out.reserve > 0)
        rig_reserved(g, g->out.reserve);
    rig_clear(g);
}

void rig_open(struct rig *g)
{
    const struct swim_options options = rig_options();

    rig_open_with(g, &options);
}

void rig_open_among(struct rig *g, size_t others)
{
    rig_open(g);
    for (size_t i = 0; i < others; i++)
        rig_hear(g, rig_id(i), 1, SWIM_ALIVE);
    while (swim_has_news(g->swim))
        rig_pass_answering(g, RIG_INTERVAL, NULL);
    rig_clear(g);
}

void rig_close(struct rig *g)
{
    swim_free(g->swim);
    free(g->sent);
}

void rig_clear(struct rig *g)
{
    g->sent_count = 0;
    g->seeds_wanted = 0;
}

/* ---- Steps ---- */

static void note_news(struct rig_sent *sent, struct swim_reader *r)
{
    struct swim_news news;

    while (swim_read_news(r, &news)) {
        const size_t i = sent->news_count++;

        if (i >= RIG_NEWS_MAX)
            continue;
        strcpy(sent->news[i].id, news.id);
        sent->news[i].state = news.state;
        sent->news[i].incarnation = news.incarnation;
        sent->news[i].accusers = news.accuser_count;
    }
}

static void note_sent(struct rig *g, const struct swim_packet_out *p)
{
    struct rig_sent *sent = &g->sent[g->sent_count++];
    struct swim_reader r;

    px_assert(g->sent_count < RIG_SENT_MAX);
    px_assert(swim_read_packet(&r, p->data, p->size) == 0);
    px_assert(strcmp(r.head.from, "me") == 0);
    *sent = (struct rig_sent){.at = g->now,
                              .via = p->via,
                              .addr = p->to,
                              .type = r.head.type,
                              .seq = r.head.seq,
                              .size = p->size};
    strcpy(sent->to, r.head.to);
    strcpy(sent->target, r.head.target);
    note_news(sent, &r);
}

void rig_step(struct rig *g, struct swim_in *in)
{
    in->now = g->now;
    g->rc = swim_step(g->swim, in, &g->out);
    swim_check(g->swim);
    g->seeds_wanted += g->out.wants_seeds;
    for (size_t i = 0; i < g->out.packet_count; i++)
        note_sent(g, &g->out.packets[i]);
}

void rig_tick(struct rig *g)
{
    rig_step(g, &(struct swim_in){.type = SWIM_IN_TICK});
}

void rig_reserved(struct rig *g, swim_incarnation incarnation)
{
    rig_step(g, &(struct swim_in){.type = SWIM_IN_RESERVED,
                                  .reserved = incarnation});
}

static void bytes_from(struct rig *g, const char *from, const uint8_t *data,
                       size_t size, bool is_stream)
{
    struct swim_in in = {.type = SWIM_IN_PACKET};

    in.packet.data = data;
    in.packet.size = size;
    in.packet.from = rig_addr(from);
    in.packet.is_stream = is_stream;
    rig_step(g, &in);
}

void rig_bytes(struct rig *g, const uint8_t *data, size_t size, bool is_stream)
{
    bytes_from(g, "a", data, size, is_stream);
}

static void feed(struct rig *g, const struct swim_head *head,
                 const struct swim_news *news, size_t count, bool is_stream)
{
    static uint8_t data[SWIM_STATE_BYTES_MAX];
    struct swim_writer w;

    swim_write_head(&w, head, data,
                    is_stream ? sizeof data : SWIM_PACKET_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        px_assert(swim_write_news(&w, &news[i]));
    bytes_from(g, head->from, data, swim_write_end(&w), is_stream);
}

static struct swim_head head_of(struct rig *g, enum swim_packet_type type,
                                const char *from, uint64_t seq)
{
    return (struct swim_head){.type = type,
                              .run = 1,
                              .number = ++g->number,
                              .seq = seq,
                              .label = RIG_LABEL,
                              .from = from,
                              .to = "me",
                              .target = ""};
}

void rig_packet(struct rig *g, enum swim_packet_type type, const char *from,
                uint64_t seq, const struct swim_news *news, size_t count)
{
    const struct swim_head head = head_of(g, type, from, seq);

    feed(g, &head, news, count, false);
}

void rig_stream(struct rig *g, enum swim_packet_type type, const char *from,
                uint64_t seq, const struct swim_news *news, size_t count)
{
    const struct swim_head head = head_of(g, type, from, seq);

    feed(g, &head, news, count, true);
}

void rig_ping_req(struct rig *g, const char *from, uint64_t seq,
                  const char *target)
{
    struct swim_head head = head_of(g, SWIM_PING_REQ, from, seq);

    head.target = target;
    feed(g, &head, NULL, 0, false);
}

void rig_hear(struct rig *g, const char *id, swim_incarnation incarnation,
              enum swim_state state)
{
    const struct swim_news news = rig_news(id, incarnation, state);

    rig_packet(g, SWIM_NEWS, "a", 0, &news, 1);
}

/* ---- Time ---- */

/* Acknowledges the pings that have left since @first. */
static void answer_pings(struct rig *g, size_t first, const char *silent)
{
    for (size_t i = first; i < g->sent_count; i++) {
        const struct rig_sent sent = g->sent[i];

        if (sent.type == SWIM_PING && sent.via == SWIM_UDP &&
            (silent == NULL || strcmp(sent.to, silent) != 0))
            rig_packet(g, SWIM_ACK, sent.to, sent.seq, NULL, 0);
    }
}

static void pass(struct rig *g, px_ns duration, bool is_answering,
                 const char *silent)
{
    const px_ns end = g->now + duration;

    while (g->now < end) {
        const size_t first = g->sent_count;
        px_ns next = g->out.deadline < end ? g->out.deadline : end;

        g->now = next > g->now ? next : g->now;
        rig_tick(g);
        if (is_answering)
            answer_pings(g, first, silent);
    }
}

void rig_pass(struct rig *g, px_ns duration)
{
    pass(g, duration, false, NULL);
}

void rig_pass_answering(struct rig *g, px_ns duration, const char *silent)
{
    pass(g, duration, true, silent);
}

struct rig_sent rig_await_ping(struct rig *g)
{
    rig_clear(g);
    while (rig_count(g, SWIM_PING) == 0) {
        rig_clear(g);
        rig_pass(g, g->out.deadline > g->now ? g->out.deadline - g->now : 1);
    }
    px_assert(g->sent[0].type == SWIM_PING);
    return g->sent[0];
}

/* ---- Questions ---- */

const struct rig_sent *rig_find(const struct rig *g, enum swim_packet_type type,
                                const char *to)
{
    for (size_t i = 0; i < g->sent_count; i++) {
        if (g->sent[i].type == type && strcmp(g->sent[i].to, to) == 0)
            return &g->sent[i];
    }
    return NULL;
}

size_t rig_count(const struct rig *g, enum swim_packet_type type)
{
    size_t count = 0;

    for (size_t i = 0; i < g->sent_count; i++)
        count += g->sent[i].type == type;
    return count;
}

bool rig_tells(const struct rig_sent *sent, const char *id,
               enum swim_state state)
{
    for (size_t i = 0; i < sent->news_count && i < RIG_NEWS_MAX; i++) {
        if (strcmp(sent->news[i].id, id) == 0 && sent->news[i].state == state)
            return true;
    }
    return false;
}

enum swim_state rig_state(const struct rig *g, const char *id)
{
    struct swim_member_info m;

    return swim_find(g->swim, id, &m) ? m.state : 0;
}

struct swim_status rig_status(const struct rig *g)
{
    struct swim_status status;

    swim_get_status(g->swim, &status);
    return status;
}

int rig_event(const struct rig *g, const char *id)
{
    for (size_t i = 0; i < g->out.event_count; i++) {
        if (strcmp(g->out.events[i].member.id, id) == 0)
            return (int)g->out.events[i].type + 1;
    }
    return 0;
}

void rig_seal(uint8_t *data, size_t size)
{
    uint64_t sum;

    for (unsigned i = 0; i < 4; i++)
        data[SWIM_AT_BYTES + i] = (uint8_t)(size >> 8 * i);
    sum = XXH3_64bits_withSeed(data + SWIM_AT_RUN, size - SWIM_AT_RUN,
                               XXH3_64bits(data, SWIM_AT_CHECKSUM));
    for (unsigned i = 0; i < 8; i++)
        data[SWIM_AT_CHECKSUM + i] = (uint8_t)(sum >> 8 * i);
}
