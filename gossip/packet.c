/* To bytes and back, as drawn in packet_format.h. */
#include "gossip/packet_format.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "base/assert.h"
#include "base/err.h"
#include "gossip/swim.h"

static_assert(SWIM_LENGTH_BYTES >= SWIM_AT_BYTES + 4, "the length is in it");

static void put_u16(uint8_t *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof value);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint16_t get_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static uint64_t checksum(const uint8_t *data, size_t size)
{
    return XXH3_64bits_withSeed(data + SWIM_AT_RUN, size - SWIM_AT_RUN,
                                XXH3_64bits(data, SWIM_AT_CHECKSUM));
}

/* ---- What may be in a packet ---- */

bool swim_addr_is_sound(const struct swim_addr *addr)
{
    static const uint8_t zero[16];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *ip = addr->ip;

    if (addr->port == 0 || memcmp(ip, zero, sizeof zero) == 0)
        return false;
    if (memcmp(ip, mapped, sizeof mapped) == 0) /* IPv4: 0/8, 224/3 */
        return ip[12] != 0 && ip[12] < 224;
    return ip[0] != 0xff && !(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
}

bool swim_text_is_sound(const char *text, size_t max)
{
    size_t size = 0;

    for (; text[size] != '\0'; size++) {
        if (size == max || text[size] <= ' ' || text[size] > '~')
            return false;
    }
    return true;
}

static bool is_news_sound(const struct swim_news *n)
{
    const bool is_accused = n->state == SWIM_SUSPECT || n->state == SWIM_DEAD;

    return n->state >= SWIM_ALIVE && n->state <= SWIM_LEFT &&
           n->role <= SWIM_ROLE_LEARNER && n->incarnation > 0 &&
           n->incarnation <= SWIM_INCARNATION_MAX && n->id[0] != '\0' &&
           n->accuser_count <= SWIM_ACCUSERS_MAX &&
           is_accused == (n->accuser_count > 0) &&
           swim_addr_is_sound(&n->gossip);
}

/* Which question an answer is for, whom a question is about, and that only
 * states are long. */
static bool is_head_sound(const struct swim_head *h, size_t bytes)
{
    const bool is_state = h->type == SWIM_STATE_ASK || h->type == SWIM_STATE;

    return h->type >= SWIM_PING && h->type <= SWIM_STATE && h->run > 0 &&
           h->run <= SWIM_INCARNATION_MAX && h->number > 0 &&
           (h->type == SWIM_NEWS) == (h->seq == 0) && h->label[0] != '\0' &&
           h->from[0] != '\0' && (h->to[0] != '\0' || is_state) &&
           (h->type == SWIM_PING_REQ) == (h->target[0] != '\0') &&
           (is_state || bytes <= SWIM_PACKET_BYTES_MAX);
}

/* ---- Out ---- */

static void put_text(struct swim_writer *w, const char *text)
{
    const size_t size = strlen(text);

    px_assert(size <= PX_NODE_ID_BYTES_MAX);
    w->data[w->used++] = (uint8_t)size;
    memcpy(w->data + w->used, text, size);
    w->used += size;
}

void swim_write_head(struct swim_writer *w, const struct swim_head *head,
                     uint8_t *data, size_t size)
{
    px_assert(size >= SWIM_HEAD_BYTES_MAX);
    px_assert(is_head_sound(head, SWIM_HEAD_BYTES_MAX));
    *w =
        (struct swim_writer){.data = data, .size = size, .used = SWIM_AT_TEXTS};
    memset(data, 0, SWIM_AT_TEXTS);
    put_u32(data, SWIM_MAGIC);
    data[SWIM_AT_VERSION] = SWIM_VERSION;
    data[SWIM_AT_TYPE] = (uint8_t)head->type;
    put_u64(data + SWIM_AT_RUN, head->run);
    put_u64(data + SWIM_AT_NUMBER, head->number);
    put_u64(data + SWIM_AT_SEQ, head->seq);
    put_text(w, head->label);
    put_text(w, head->from);
    put_text(w, head->to);
    put_text(w, head->target);
}

size_t swim_news_bytes(const struct swim_news *news)
{
    return SWIM_NEWS_AT_TEXTS + 1 + strlen(news->id) + 1 + strlen(news->zone) +
           2 + strlen(news->peer) + sizeof(uint64_t) * news->accuser_count;
}

static void put_news(struct swim_writer *w, const struct swim_news *n)
{
    uint8_t *at = w->data + w->used;
    const size_t peer_size = strlen(n->peer);

    at[0] = (uint8_t)n->state;
    at[1] = n->accuser_count;
    at[2] = (uint8_t)n->role;
    at[3] = n->expect;
    put_u16(at + 4, n->protocol);
    put_u16(at + SWIM_NEWS_AT_PORT, n->gossip.port);
    memcpy(at + SWIM_NEWS_AT_IP, n->gossip.ip, sizeof n->gossip.ip);
    put_u64(at + SWIM_NEWS_AT_INCARNATION, n->incarnation);
    put_u64(at + SWIM_NEWS_AT_CLUSTER, n->cluster);
    put_u64(at + SWIM_NEWS_AT_VIEW, n->view);
    w->used += SWIM_NEWS_AT_TEXTS;
    put_text(w, n->id);
    put_text(w, n->zone);
    put_u16(w->data + w->used, (uint16_t)peer_size);
    memcpy(w->data + w->used + 2, n->peer, peer_size);
    w->used += 2 + peer_size;
    for (unsigned i = 0; i < n->accuser_count; i++) {
        put_u64(w->data + w->used, n->accusers[i]);
        w->used += sizeof(uint64_t);
    }
}

bool swim_write_news(struct swim_writer *w, const struct swim_news *news)
{
    const size_t bytes = swim_news_bytes(news);
    const size_t begin = w->used;

    px_assert(is_news_sound(news)); /* or it could not be read back */
    if (bytes > w->size - w->used || w->news == SWIM_MEMBERS_MAX)
        return false;
    put_news(w, news);
    px_assert(w->used == begin + bytes);
    w->news++;
    return true;
}

size_t swim_write_end(struct swim_writer *w)
{
    put_u16(w->data + SWIM_AT_NEWS, w->news);
    put_u32(w->data + SWIM_AT_BYTES, (uint32_t)w->used);
    put_u64(w->data + SWIM_AT_CHECKSUM, checksum(w->data, w->used));
    return w->used;
}

/* ---- In ---- */

static size_t left(const struct swim_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* @size bytes to @text, of at most @max; false: there are less, or other than
 * a text has. */
static bool get_bytes(struct swim_reader *r, size_t size, char *text,
                      size_t max)
{
    if (size > max || size > left(r))
        return false;
    memcpy(text, r->at, size);
    text[size] = '\0';
    r->at += size;
    return strlen(text) == size && swim_text_is_sound(text, max);
}

static bool get_text(struct swim_reader *r, char *text)
{
    return left(r) >= 1 && get_bytes(r, *r->at++, text, PX_NODE_ID_BYTES_MAX);
}

static bool get_peer(struct swim_reader *r)
{
    size_t size;

    if (left(r) < 2)
        return false;
    size = get_u16(r->at);
    r->at += 2;
    return get_bytes(r, size, r->peer, PX_ADDRESS_BYTES_MAX);
}

static bool get_news(struct swim_reader *r, struct swim_news *n)
{
    const uint8_t *at = r->at;

    if (left(r) < SWIM_NEWS_AT_TEXTS)
        return false;
    *n = (struct swim_news){
        .id = r->id,
        .peer = r->peer,
        .zone = r->zone,
        .incarnation = get_u64(at + SWIM_NEWS_AT_INCARNATION),
        .cluster = get_u64(at + SWIM_NEWS_AT_CLUSTER),
        .view = get_u64(at + SWIM_NEWS_AT_VIEW),
        .gossip.port = get_u16(at + SWIM_NEWS_AT_PORT),
        .state = (enum swim_state)at[0],
        .role = (enum swim_role)at[2],
        .protocol = get_u16(at + 4),
        .expect = at[3],
        .accuser_count = at[1],
    };
    memcpy(n->gossip.ip, at + SWIM_NEWS_AT_IP, sizeof n->gossip.ip);
    r->at += SWIM_NEWS_AT_TEXTS;
    if (!get_text(r, r->id) || !get_text(r, r->zone) || !get_peer(r) ||
        !is_news_sound(n) || left(r) < sizeof(uint64_t) * n->accuser_count)
        return false;
    for (unsigned i = 0; i < n->accuser_count; i++) {
        n->accusers[i] = get_u64(r->at);
        r->at += sizeof(uint64_t);
    }
    return true;
}

/* All news, to its last byte; then back to where it begins. */
static bool is_all_news_sound(struct swim_reader *r)
{
    const uint8_t *begin = r->at;
    struct swim_news news;

    for (unsigned i = 0; i < r->news; i++) {
        if (!get_news(r, &news))
            return false;
    }
    if (r->at != r->end)
        return false;
    r->at = begin;
    return true;
}

int swim_stream_bytes(const uint8_t *data, size_t size)
{
    uint32_t bytes;

    if (size < SWIM_LENGTH_BYTES)
        return -EAGAIN;
    bytes = get_u32(data + SWIM_AT_BYTES);
    if (get_u32(data) != SWIM_MAGIC || get_u32(data + SWIM_AT_ZERO) != 0 ||
        bytes < SWIM_AT_TEXTS || bytes > SWIM_STATE_BYTES_MAX)
        return -EPROTO;
    return (int)bytes;
}

int swim_read_packet(struct swim_reader *r, const uint8_t *data, size_t size)
{
    const int bytes = swim_stream_bytes(data, size);

    if (bytes < 0 || (size_t)bytes != size)
        return -EPROTO;
    if (get_u64(data + SWIM_AT_CHECKSUM) != checksum(data, size))
        return -PX_ECORRUPT;
    if (data[SWIM_AT_VERSION] != SWIM_VERSION)
        return -PX_EFORMAT;
    r->head = (struct swim_head){
        .type = (enum swim_packet_type)data[SWIM_AT_TYPE],
        .run = get_u64(data + SWIM_AT_RUN),
        .number = get_u64(data + SWIM_AT_NUMBER),
        .seq = get_u64(data + SWIM_AT_SEQ),
        .label = r->label,
        .from = r->from,
        .to = r->to,
        .target = r->target,
    };
    r->news = get_u16(data + SWIM_AT_NEWS);
    r->at = data + SWIM_AT_TEXTS;
    r->end = data + size;
    if (r->news > SWIM_MEMBERS_MAX || !get_text(r, r->label) ||
        !get_text(r, r->from) || !get_text(r, r->to) ||
        !get_text(r, r->target) || !is_head_sound(&r->head, size) ||
        !is_all_news_sound(r))
        return -EPROTO;
    return 0;
}

bool swim_read_news(struct swim_reader *r, struct swim_news *news_out)
{
    bool is_read;

    if (r->news == 0)
        return false;
    r->news--;
    is_read = get_news(r, news_out);
    px_assert(is_read); /* swim_read_packet has seen it */
    return true;
}
