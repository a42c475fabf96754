/* A packet between members, byte by byte. Numbers are little-endian.
 *
 *    0  u32  magic
 *    4  u8   version of this format
 *    5  u8   type
 *    6  u16  news: how many follow; at most SWIM_MEMBERS_MAX
 *    8  u32  bytes in all
 *   12  u32  zero
 *   16  u64  checksum: XXH3 of bytes 24 to the end, seeded with the XXH3 of
 *            bytes 0 to 15
 *   24  u64  run: the incarnation with which the sender was started
 *   32  u64  number: of this packet in that run, from 1; see replay.c
 *   40  u64  seq: an answer carries that of its question
 *   48       four texts, each a u8 of length and its bytes:
 *            label   the cluster's, never empty
 *            from    the sender's id
 *            to      for whom this is; empty: whoever is at the address
 *            target  PING_REQ: whom to ping; else empty
 *            then the news
 *
 *   type           on    seq  answer          meaning
 *   1 PING         both  yes  ACK             are you there?
 *   2 ACK          both  yes                  I am; or: it is (of a PING_REQ)
 *   3 PING_REQ     UDP   yes  ACK or NACK     please ping target
 *   4 NACK         UDP   yes                  no answer from it so far
 *   5 NEWS         UDP   0                    just the news
 *   6 STATE_ASK    TCP   yes  STATE           all that I know; and you?
 *   7 STATE        TCP   yes                  all that I know
 *
 * A piece of news tells all of one member, so that it can stand alone:
 *
 *    0  u8   state
 *    1  u8   accusers: how many follow; not 0 for SUSPECT and DEAD, else 0
 *    2  u8   role
 *    3  u8   expect
 *    4  u16  protocol
 *    6  u16  port of gossip
 *    8       16 bytes of IP address
 *   24  u64  incarnation
 *   32  u64  cluster
 *   40  u64  view
 *   48       id, zone: a u8 of length and the bytes
 *            peer: a u16 of length and the bytes
 *            u64 for each accuser: px_djb2 of its id
 *
 * The checksum is against accidents: UDP's own has 16 bits, and is optional on
 * IPv4. It is no proof of who sent a packet. */
#ifndef GOSSIP_PACKET_FORMAT_H
#define GOSSIP_PACKET_FORMAT_H

#include "gossip/types.h"

#define SWIM_MAGIC UINT32_C(0x584850f2) /* "\xf2PHX", as on the wire */
#define SWIM_VERSION 1u
#define SWIM_ACCUSERS_MAX 4u
static_assert(SWIM_MEMBERS_MAX <= UINT16_MAX, "a state can tell of all");

#define SWIM_AT_VERSION 4u
#define SWIM_AT_TYPE 5u
#define SWIM_AT_NEWS 6u
#define SWIM_AT_BYTES 8u
#define SWIM_AT_ZERO 12u
#define SWIM_AT_CHECKSUM 16u
#define SWIM_AT_RUN 24u
#define SWIM_AT_NUMBER 32u
#define SWIM_AT_SEQ 40u
#define SWIM_AT_TEXTS 48u

#define SWIM_NEWS_AT_PORT 6u
#define SWIM_NEWS_AT_IP 8u
#define SWIM_NEWS_AT_INCARNATION 24u
#define SWIM_NEWS_AT_CLUSTER 32u
#define SWIM_NEWS_AT_VIEW 40u
#define SWIM_NEWS_AT_TEXTS 48u

#define SWIM_TEXT_BYTES_MAX (1u + PX_NODE_ID_BYTES_MAX)
#define SWIM_HEAD_BYTES_MAX (SWIM_AT_TEXTS + 4u * SWIM_TEXT_BYTES_MAX)
static_assert(SWIM_NEWS_AT_TEXTS + 2u * SWIM_TEXT_BYTES_MAX + 2u +
                      PX_ADDRESS_BYTES_MAX + 8u * SWIM_ACCUSERS_MAX <=
                  SWIM_NEWS_BYTES_MAX,
              "the longest piece of news is within its bound");
static_assert(SWIM_HEAD_BYTES_MAX + SWIM_NEWS_BYTES_MAX <=
                  SWIM_PACKET_BYTES_MAX,
              "any piece of news fits in a packet");

enum swim_packet_type {
    SWIM_PING = 1,
    SWIM_ACK = 2,
    SWIM_PING_REQ = 3,
    SWIM_NACK = 4,
    SWIM_NEWS = 5,
    SWIM_STATE_ASK = 6,
    SWIM_STATE = 7,
};

/* All that is known of one member. The texts are somebody else's. */
struct swim_news {
    const char *id;
    const char *peer;
    const char *zone;
    swim_incarnation incarnation;
    uint64_t cluster;
    uint64_t view;
    struct swim_addr gossip;
    enum swim_state state;
    enum swim_role role;
    uint16_t protocol;
    uint8_t expect;
    uint8_t accuser_count;
    uint64_t accusers[SWIM_ACCUSERS_MAX];
};

struct swim_head {
    enum swim_packet_type type;
    uint64_t run;
    uint64_t number;
    uint64_t seq;
    const char *label;
    const char *from;
    const char *to;     /* "": anybody */
    const char *target; /* "": none */
};

/* ---- Out ---- */

struct swim_writer {
    uint8_t *data;
    size_t size; /* room */
    size_t used;
    uint16_t news;
};

/* @size >= SWIM_HEAD_BYTES_MAX. */
void swim_write_head(struct swim_writer *w, const struct swim_head *head,
                     uint8_t *data, size_t size);
size_t swim_news_bytes(const struct swim_news *news);
/* False: it does not fit, and nothing was written. */
bool swim_write_news(struct swim_writer *w, const struct swim_news *news);
/* Completes the packet; returns its size. */
size_t swim_write_end(struct swim_writer *w);

/* ---- In ---- */

struct swim_reader {
    struct swim_head head; /* its texts are below */
    uint16_t news;         /* that are still to be read */
    const uint8_t *at;
    const uint8_t *end;
    char label[SWIM_TEXT_BYTES_MAX];
    char from[SWIM_TEXT_BYTES_MAX];
    char to[SWIM_TEXT_BYTES_MAX];
    char target[SWIM_TEXT_BYTES_MAX];
    char id[SWIM_TEXT_BYTES_MAX];
    char zone[SWIM_TEXT_BYTES_MAX];
    char peer[PX_ADDRESS_BYTES_MAX + 1];
};

/* Checks all of a packet, each piece of its news included, before anything is
 * made of it. @data has to outlive @r.
 * Errors: -EPROTO: malformed; -PX_ECORRUPT: its checksum is wrong;
 *         -PX_EFORMAT: of another version. */
int swim_read_packet(struct swim_reader *r, const uint8_t *data, size_t size);
/* The next piece; its texts are good until the one after. False: no more. */
bool swim_read_news(struct swim_reader *r, struct swim_news *news_out);

/* Can others send there? Neither zero, multicast, nor link-local. */
bool swim_addr_is_sound(const struct swim_addr *addr);
/* @max: without the terminator. Printable, without blanks; may be empty. */
bool swim_text_is_sound(const char *text, size_t max);

#endif
