/* The member: its table, its timers, its invariants.
 *
 *                  its own word, of a higher incarnation
 *          ┌────────────────────────┬───────────────────────┐
 *          ▼                        │                       │
 *        ALIVE ───────────────▶ SUSPECT ───────────────▶ DEAD ──▶ forgotten
 *          │    no answer, or       │    suspicion          │     after
 *          │    others say so       │    has run out        │     settings
 *          │    suspect.c           │    suspect.c          │     .forget
 *          └───────────────────▶ LEFT ◀─────────────────────┘
 *               its own word         (LEFT: forgotten likewise)
 *
 * ALIVE and SUSPECT are the living: they are pinged, asked and told. Of one
 * incarnation a member only moves to the right, and down. So whoever has heard
 * the same news has the same table, in whatever order it came.
 *
 * Invariants, asserted where the state changes and by swim_check:
 *
 *   G1  A member's (incarnation, state) only grows, until it is forgotten.
 *   G2  Our own incarnation is durable: incarnation <= reserved.
 *   G3  We are in our own table, alive, or left once we leave; never suspect.
 *   G4  order holds each living other once, and nobody else.
 *   G5  A suspect has accusers, is in suspects, and has been suspected by the
 *       time of now; nobody else is, has or was.
 *   G6  The dead and those that left are in dead, the longest dead first.
 *   G7  News is queued by how often it was told, below the limit.
 *   G8  A probe's target is a living other.
 *   G9  health is within 0 .. health_max.
 *   G10 members are at most SWIM_MEMBERS_MAX, each found by its id. */
#ifndef GOSSIP_CORE_H
#define GOSSIP_CORE_H

#include "base/assert.h"
#include "base/list.h"
#include "base/rand.h"
#include "gossip/packet_format.h"
#include "gossip/swim.h"

#define SWIM_BUCKETS 1024u
#define SWIM_LETTERS_MAX (SWIM_OUT_MAX / 2) /* of one step; the rest: states */
/* lambda times the digits of SWIM_MEMBERS_MAX. */
#define SWIM_TOLD_MAX (SWIM_MULT_MAX * 4u)
static_assert(SWIM_MEMBERS_MAX < 9999, "it has four digits");
static_assert(SWIM_CONFIRMATIONS_MAX + 1 <= SWIM_ACCUSERS_MAX,
              "who suspected first is no confirmation");

/* Who sent what before (replay.c). */
struct swim_replay {
    uint64_t run;  /* 0: nothing was heard from it */
    uint64_t last; /* the highest number */
    uint64_t seen; /* bit i: last - i was */
};

struct swim_member {
    struct swim_news news; /* its texts are ours: id below, the others on the
                              heap */
    uint64_t key;          /* px_djb2 of its id; what accusers are known by */
    px_ns since;           /* that it is in its state; of a suspect, moved on by
                              our pauses */
    struct swim_replay replay;
    struct swim_member *next; /* in its bucket */
    struct px_list state;     /* in suspects or dead */
    struct px_list told;      /* in queue[told_count]; or alone */
    uint64_t told_in;         /* the number of the last packet that told it */
    uint32_t at;              /* in members */
    uint8_t told_count;
    bool is_ordered;
    bool is_confirmed;   /* suspect: others say that it is dead */
    uint64_t event_step; /* the step in which draft.events[event_at] is its */
    uint32_t event_at;
    swim_incarnation seen_incarnation; /* swim_check's last look */
    enum swim_state seen_state;
    char *texts; /* peer and zone */
    char id[];
};

/* The one probe that is under way, from the beginning to the end of its
 * interval. */
struct swim_probe {
    struct swim_member *target; /* NULL: none */
    uint64_t seq;
    px_ns timeout_at; /* then others are asked; PX_NS_NEVER: they were */
    px_ns end_at;
    unsigned asked; /* relays, which owe an answer */
    unsigned nacks;
    bool is_acked;
};

/* A ping made for somebody else. */
struct swim_relay {
    uint64_t seq; /* of our ping; 0: free */
    uint64_t asker_seq;
    char asker[PX_NODE_ID_BYTES_MAX + 1];
    struct swim_addr asker_addr;
    px_ns nack_at; /* PX_NS_NEVER: said */
    px_ns end_at;
};

/* What the step under way has to say; swim_step makes a swim_out of it. */
struct swim_draft {
    struct swim_packet_out packets[SWIM_OUT_MAX];
    size_t packet_count;
    uint8_t bytes[SWIM_LETTERS_MAX][SWIM_PACKET_BYTES_MAX];
    size_t bytes_count;
    struct swim_event *events; /* room for each member */
    size_t event_count;
    struct px_list forgotten; /* freed when the next step begins */
    swim_incarnation reserve;
    bool wants_seeds;
    bool is_out_of_memory;
};

struct swim {
    struct swim_settings settings;
    char label[PX_NODE_ID_BYTES_MAX + 1];
    uint64_t run;
    struct px_rand rand;
    uint64_t step; /* how many were made */
    px_ns now;
    px_ns deadline; /* what the last step asked for */
    struct swim_counters counters;

    struct swim_member *self;
    swim_incarnation reserved; /* durable */
    swim_incarnation asked;    /* to be reserved; >= reserved */
    swim_incarnation wanted;   /* ours has to become this; 0: it is well */
    struct swim_about about;   /* what we say from the next incarnation on */
    bool is_leaving;
    unsigned health;

    /* members.c */
    struct swim_member **members;
    struct swim_member **order; /* the living others, as they are pinged */
    size_t capacity;            /* of both, and of draft.events */
    size_t member_count;
    size_t order_count;
    size_t order_next; /* the next to be pinged */
    struct swim_member *buckets[SWIM_BUCKETS];
    struct px_list suspects;
    struct px_list dead;

    struct px_list queue[SWIM_TOLD_MAX]; /* news, by how often it was told */
    struct swim_probe probe;
    struct swim_relay relays[SWIM_RELAYS_MAX];
    uint64_t seq;    /* of questions, the last; begins anywhere */
    uint64_t number; /* of packets, the last */

    px_ns probe_at; /* the next one, if none is under way */
    px_ns gossip_at;
    px_ns sync_at;
    px_ns knock_at;
    size_t knock_next;
    px_ns seed_at;
    px_ns seed_pause;
    struct swim_addr seeds[SWIM_SEEDS_MAX];
    size_t seed_count;

    /* The full state, encoded: for one step. */
    uint8_t *state;
    size_t state_room;
    size_t state_bytes; /* 0: not encoded in this step */

    struct swim_draft draft;
};

/* Whom a packet in hand came from, and how. */
struct swim_origin {
    const struct swim_head *head;
    struct swim_addr addr;
    bool is_stream;
    struct swim_member *member; /* NULL: not known */
};

/* ---- members.c: the table ---- */

struct swim_member *swim_member_find(const struct swim *s, const char *id);
/* A new one, with a copy of @news, in no list: for swim_member_enter. NULL:
 * no memory, or the table is full of the living. */
struct swim_member *swim_member_add(struct swim *s,
                                    const struct swim_news *news);
/* Takes over what @news says of @m, but its state and accusers.
 * Errors: -ENOMEM; it is as it was. */
int swim_member_describe(struct swim *s, struct swim_member *m,
                         const struct swim_news *news);
/* Its lists, order and event follow from its new state. */
void swim_member_enter(struct swim *s, struct swim_member *m,
                       enum swim_state state);
void swim_member_forget(struct swim *s, struct swim_member *m);
void swim_member_free(struct swim_member *m);
bool swim_is_living(const struct swim_member *m);
void swim_member_touch(struct swim *s, struct swim_member *m,
                       enum swim_event_type type);
void swim_member_info(const struct swim *s, const struct swim_member *m,
                      struct swim_member_info *info_out);
/* The living, ourselves included. */
size_t swim_living(const struct swim *s);
/* A new round: everyone once, in another order (4.3). */
void swim_order_shuffle(struct swim *s);

/* ---- merge.c: news about others, and about ourselves ---- */

void swim_hear(struct swim *s, const struct swim_news *news,
               const struct swim_origin *origin);
/* What we say of ourselves needs a new incarnation, of at least @least. */
void swim_renew(struct swim *s, swim_incarnation least);
void swim_renew_try(struct swim *s);
/* We say something else of ourselves from now on. */
void swim_say(struct swim *s, const struct swim_about *about);
void swim_on_reserved(struct swim *s, swim_incarnation incarnation);

/* ---- suspect.c ---- */

/* A probe of ours has failed. */
void swim_suspect(struct swim *s, struct swim_member *m);
/* Others say that @m is suspect or dead, in its present incarnation. */
void swim_accuse(struct swim *s, struct swim_member *m,
                 const struct swim_news *news);
px_ns swim_suspicion_end(const struct swim *s, const struct swim_member *m);
px_ns swim_suspicion_min(const struct swim_settings *settings, size_t members);
/* The dead of those whose time is up; and when the next one's is. */
void swim_suspects_expire(struct swim *s);
px_ns swim_suspects_at(const struct swim *s);
/* The number of decimal digits of n - 1: 1 for up to 10, 2 for up to 100 ... */
unsigned swim_digits(size_t n);

/* ---- probe.c, relay.c ---- */

void swim_probe_time(struct swim *s);
px_ns swim_probe_due(const struct swim *s);
/* The target is no longer to be probed. */
void swim_probe_drop(struct swim *s, const struct swim_member *m);
void swim_on_ack(struct swim *s, const struct swim_origin *o);
void swim_on_nack(struct swim *s, const struct swim_origin *o);

void swim_on_ping(struct swim *s, const struct swim_origin *o);
void swim_on_ping_req(struct swim *s, const struct swim_origin *o);
/* Is it the answer to a ping that we made for another? Then pass it on. */
bool swim_relay_ack(struct swim *s, const struct swim_origin *o);
void swim_relay_time(struct swim *s);
px_ns swim_relay_due(const struct swim *s);

/* ---- spread.c: news ---- */

/* @m's news is to be told, from the beginning. */
void swim_spread(struct swim *s, struct swim_member *m);
void swim_spread_stop(struct swim_member *m);
bool swim_has_news(const struct swim *s);
unsigned swim_told_limit(const struct swim *s);
void swim_gossip_time(struct swim *s);
px_ns swim_gossip_due(const struct swim *s);

/* A packet to be: with as much news as fits if @to is given, and first what it
 * should know of itself. */
struct swim_letter {
    enum swim_packet_type type;
    enum swim_via via;
    struct swim_addr addr;
    struct swim_member *to; /* NULL: no news for it */
    const char *to_id;
    uint64_t seq;
    const char *target; /* of a PING_REQ */
    bool is_about_us;   /* with our own news, however often it was told */
};

void swim_send(struct swim *s, const struct swim_letter *letter);
/* The full state, which sync.c has encoded. */
void swim_send_state(struct swim *s, enum swim_via via,
                     const struct swim_addr *addr);
/* Tells @m at once what is said of it, so that it can refute (Lifeguard's
 * buddy system, without waiting for the next ping). */
void swim_warn(struct swim *s, struct swim_member *m);
/* Our own news, to one who holds an older story of us. */
void swim_answer_rumour(struct swim *s, const struct swim_origin *o);

/* ---- sync.c: push-pull, seeds, and the dead ---- */

void swim_on_state_ask(struct swim *s, const struct swim_origin *o);
void swim_sync_time(struct swim *s);
px_ns swim_sync_due(const struct swim *s);
/* Our table is likely to be out of date. */
void swim_sync_soon(struct swim *s);
void swim_on_seeds(struct swim *s, const struct swim_addr *list, size_t count);

/* ---- health.c ---- */

/* Lifeguard's local health multiplier. */
void swim_health_add(struct swim *s, int change);
/* A duration, stretched by our own health. */
px_ns swim_stretched(const struct swim *s, px_ns duration);
/* Were we not run since the last step's deadline? Then that time does not
 * count. */
void swim_note_pause(struct swim *s, px_ns now);

/* ---- replay.c ---- */

/* Is this packet new? Remembers it, if so. */
bool swim_is_fresh(struct swim_member *m, const struct swim_head *head);

/* ---- new.c ---- */

bool swim_about_is_sound(const struct swim_about *about);

/* ---- receive.c ---- */

void swim_on_packet(struct swim *s, const struct swim_in *in);

#endif
