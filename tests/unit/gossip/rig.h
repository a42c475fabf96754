/* One member, driven by hand: "me", of a LAN's timing, with others that the test
 * plays: "a", "b", "c" ... */
#ifndef TEST_GOSSIP_RIG_H
#define TEST_GOSSIP_RIG_H

#include "gossip/core.h"

#define MS PX_NS_PER_MS
#define RIG_TIMEOUT (100 * MS)  /* of a probe, at ticks of 20 ms */
#define RIG_INTERVAL (300 * MS) /* of probes */
#define RIG_LABEL "test"
#define RIG_INCARNATION 10u /* "me" begins with it */
#define RIG_SENT_MAX 4096u
#define RIG_NEWS_MAX 64u

/* A packet that left. */
struct rig_sent {
    px_ns at;
    enum swim_via via;
    struct swim_addr addr;
    enum swim_packet_type type;
    uint64_t seq;
    size_t size;
    char to[SWIM_TEXT_BYTES_MAX];
    char target[SWIM_TEXT_BYTES_MAX];
    size_t news_count; /* those beyond RIG_NEWS_MAX are counted alone */
    struct {
        char id[SWIM_TEXT_BYTES_MAX];
        enum swim_state state;
        swim_incarnation incarnation;
        unsigned accusers;
    } news[RIG_NEWS_MAX];
};

struct rig {
    struct swim *swim;
    struct swim_out out; /* of the last step */
    px_ns now;
    int rc;                /* of the last step */
    uint64_t number;       /* of the others' packets, the last */
    unsigned seeds_wanted; /* steps that said so, since rig_clear */
    size_t sent_count;
    struct rig_sent *sent; /* since rig_clear */
};

struct swim_options rig_options(void);
void rig_open(struct rig *g);
void rig_open_with(struct rig *g, const struct swim_options *options);
/* With so many others, known and alive, in incarnation 1; their news told. */
void rig_open_among(struct rig *g, size_t others);
void rig_close(struct rig *g);
void rig_clear(struct rig *g);

/* Where the played "a", "b" ... are, and "me". */
struct swim_addr rig_addr(const char *id);
/* "a", "b" ... by number, from 0. */
const char *rig_id(size_t number);
/* Of @id, at its address; SUSPECT and DEAD have one accuser, "z". */
struct swim_news rig_news(const char *id, swim_incarnation incarnation,
                          enum swim_state state);

/* ---- Inputs: each is one step ---- */

void rig_step(struct rig *g, struct swim_in *in);
void rig_tick(struct rig *g);
/* A packet of @from, in its run 1. @news may be NULL. */
void rig_packet(struct rig *g, enum swim_packet_type type, const char *from,
                uint64_t seq, const struct swim_news *news, size_t count);
/* The same on a TCP connection. */
void rig_stream(struct rig *g, enum swim_packet_type type, const char *from,
                uint64_t seq, const struct swim_news *news, size_t count);
void rig_ping_req(struct rig *g, const char *from, uint64_t seq,
                  const char *target);
/* One piece of news, from "a". */
void rig_hear(struct rig *g, const char *id, swim_incarnation incarnation,
              enum swim_state state);
void rig_bytes(struct rig *g, const uint8_t *data, size_t size, bool is_stream);
void rig_reserved(struct rig *g, swim_incarnation incarnation);
/* Lets time pass: a step at each deadline until then, and one at its end. */
void rig_pass(struct rig *g, px_ns duration);
/* The same; each ping is answered at once by its target, but by @silent. */
void rig_pass_answering(struct rig *g, px_ns duration, const char *silent);

/* Until a probe begins, to that very moment; its ping, the first of sent. */
struct rig_sent rig_await_ping(struct rig *g);

/* ---- Questions ---- */

/* The first packet since rig_clear of that type, to that id; NULL: none. */
const struct rig_sent *rig_find(const struct rig *g, enum swim_packet_type type,
                                const char *to);
size_t rig_count(const struct rig *g, enum swim_packet_type type);
bool rig_tells(const struct rig_sent *sent, const char *id,
               enum swim_state state);
/* 0: not known. */
enum swim_state rig_state(const struct rig *g, const char *id);
struct swim_status rig_status(const struct rig *g);
/* Of the last step, about @id, plus one; 0: none. */
int rig_event(const struct rig *g, const char *id);

/* Mends length and checksum of a packet that a test has changed. */
void rig_seal(uint8_t *data, size_t size);

#endif
