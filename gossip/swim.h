/* Who is alive, as a function: SWIM with Lifeguard, without I/O, clock, threads
 * or libuv.
 *
 * A caller makes a member with swim_new, then feeds it inputs, one swim_step
 * each: the time, bytes that came, what is durable. Each step fills a swim_out:
 * what to do. Same inputs, same outputs, byte for byte.
 *
 *   swim_new ─▶ swim_step(in, &out) ─▶ 1. send out.packets
 *                    ▲                 2. make out.reserve durable, then step
 *                    │                    SWIM_IN_RESERVED
 *                    │                 3. look at out.events
 *                    │                 4. out.wants_seeds: resolve their names
 *                    │                    (again), then step SWIM_IN_SEEDS
 *                    └──────────────── 5. step again by out.deadline
 *
 * A packet leaves in one of three ways, packet.via says which:
 *
 *   SWIM_UDP     one datagram to packet.to
 *   SWIM_DIAL    a TCP connection to packet.to: send it; what comes back, one
 *                packet, is fed as SWIM_IN_PACKET with is_stream; close. If it
 *                can't be made, nothing is to be done.
 *   SWIM_ANSWER  down the TCP connection on which the input of this step came
 *
 * The length of a packet on a stream is in its first SWIM_LENGTH_BYTES: see
 * swim_stream_bytes.
 *
 * What gossip says is advice. It finds nodes, and maps ids to addresses; only
 * the log changes who votes. A lie in it can cost liveness, never safety.
 *
 * How a member is found dead, by whoever looks:
 *
 *    0         timeout                       interval
 *    ├─ ping ────┼─ ask k others to ping it ────┼─ no answer: SUSPECT
 *    │           ├─ ping it over TCP            │    min .. max of suspicion,
 *    │           │                              │    no refutation: DEAD
 *
 *   A round is a walk through all others, shuffled anew each time (SWIM 4.3).
 *   The time that a suspect has falls from max to min as others say that they
 *   suspect it too (LHA-Suspicion); both grow with the digits of the number of
 *   members.
 *   A node that notices that it is itself slow or cut off stretches its
 *   interval and timeout up to health_max + 1 times (LHA-Probe).
 *   A node that was not run for a while (SIGSTOP, a stalled machine) does not
 *   count that time against others: all its timers are moved on by it.
 *
 * Where we depart from the papers:
 *   - A death that others tell of does not kill at once (SWIM: Confirm
 *     overrides). It makes the member a suspect here, the suspicion confirmed,
 *     so that the member has suspicion min to refute, at each node. A node that
 *     comes back from behind a partition can't take anybody with it.
 *   - News goes out at once, in packets of its own to gossip_fanout members
 *     every gossip_interval, as long as there is any (as memberlist does), and
 *     on all pings and answers.
 *   - The dead are pinged now and then, with the news of their death, so that
 *     the halves of a healed partition find each other (as serf's reconnect).
 *
 * Sources: SWIM = Das, Gupta, Motivala 2002. Lifeguard = Dadgar, Phillips,
 * Currey 2018. memberlist and serf: HashiCorp's implementation; no code is
 * taken from it.
 * Thread: one, the loop. */
#ifndef GOSSIP_SWIM_H
#define GOSSIP_SWIM_H

#include "gossip/types.h"

struct swim;

/* All durations and counts of the protocol. The same on all nodes, or nearly:
 * nothing breaks where they differ, but bounds are those of the slowest. */
struct swim_settings {
    px_ns probe_timeout;  /* for a direct answer: above the usual round trip */
    px_ns probe_interval; /* a probe in all: >= 3 x probe_timeout */
    uint8_t relays;       /* k: how many are asked to ping on our behalf */
    px_ns gossip_interval;
    uint8_t gossip_fanout;
    uint8_t spread_mult;    /* lambda: news is told lambda x digits(n) times */
    uint8_t suspicion_mult; /* alpha: min = alpha x digits(n) x interval */
    uint8_t suspicion_max_mult; /* beta: max = beta x min */
    uint8_t confirmations;      /* others that must agree, for min */
    uint8_t health_max;         /* S: worst health, stretch by S + 1 */
    px_ns sync_interval;        /* of push-pull, for up to 32 members */
    px_ns seed_interval; /* of asking seeds while alone, or of no cluster yet;
                            backs off x 10 */
    px_ns forget;        /* for how long the dead are remembered */
};

#define SWIM_RELAYS_ASKED_MAX 8u
#define SWIM_FANOUT_MAX 8u
#define SWIM_CONFIRMATIONS_MAX 3u
#define SWIM_MULT_MAX 8u

/* The settings that go with a tick of raft's (TICK_MS), since both follow from
 * the same round trips:
 *
 *                                    tick    LAN, 20 ms   WAN, 200 ms
 *   probe_timeout                       5        100 ms        1 s
 *   probe_interval                     15        300 ms        3 s
 *   gossip_interval                     3         60 ms      0.6 s
 *   sync_interval                     150          3 s        30 s
 *   seed_interval                       5        100 ms        1 s
 *   suspicion, up to 10 members   75 .. 450   1.5 .. 9 s   15 .. 90 s
 *              up to 100         150 .. 900    3 .. 18 s   30 .. 180 s
 *
 * k = 3, fanout 3, lambda 4, alpha 5, beta 6 and K = 3 (the paper's choice, its
 * section V), S = 8; the dead are remembered for 24 hours. A round trip of
 * 300 ms leaves a WAN probe 700 ms for two of its packets to be late, and the
 * indirect way two seconds for its four.
 * @tick is taken to be between 1 ms and 10 s. */
struct swim_settings swim_settings_of_tick(px_ns tick);

/* Within this time after a member of @members has stopped, every healthy other
 * holds it for dead, provided that they reach each other: someone pings it
 * within a round (or, e^-20 apart, within 20 intervals), an interval for the
 * verdict, the spread of that, and the longest suspicion; @is_confirmed: the
 * shortest, as when K others noticed too. */
px_ns swim_detection_bound(const struct swim_settings *settings, size_t members,
                           bool is_confirmed);

struct swim_options {
    const char *id;          /* 1 .. PX_NODE_ID_BYTES_MAX, printable */
    const char *label;       /* of the cluster; other labels are ignored */
    struct swim_about about; /* of ourselves; gossip is what others send to */
    struct swim_settings settings;
    uint64_t seed; /* px_djb2 of the id */

    /* The first incarnation of this run: durable, and higher than any that was
     * used or reserved before. */
    swim_incarnation incarnation;
    px_ns now;
};

enum swim_in_type {
    SWIM_IN_TICK,     /* time has passed; every input carries the time */
    SWIM_IN_PACKET,   /* bytes came */
    SWIM_IN_RESERVED, /* out.reserve is durable */
    SWIM_IN_SEEDS,    /* what the seeds' names stand for; replaces the former */
    SWIM_IN_SELF,     /* what we say of ourselves has changed */
    SWIM_IN_LEAVE,    /* say goodbye: out.is_left when enough have been told */
};

struct swim_in {
    enum swim_in_type type;
    px_ns now; /* read after the input arrived; never runs backwards */
    union {
        struct {
            const uint8_t *data;
            size_t size;
            struct swim_addr from; /* a datagram's: where answers go */
            bool is_stream;
        } packet;
        swim_incarnation reserved;
        struct {
            const struct swim_addr *list;
            size_t count; /* what is beyond SWIM_SEEDS_MAX is not looked at */
        } seeds;
        const struct swim_about *self;
    };
};

enum swim_via {
    SWIM_UDP,
    SWIM_DIAL,
    SWIM_ANSWER,
};

struct swim_packet_out {
    enum swim_via via;
    struct swim_addr to; /* zero for SWIM_ANSWER */
    const uint8_t *data;
    size_t size;
};

enum swim_event_type {
    SWIM_EVENT_ALIVE,     /* new, or back */
    SWIM_EVENT_CHANGED,   /* what it says of itself */
    SWIM_EVENT_SUSPECT,   /* not to be acted upon */
    SWIM_EVENT_DEAD,      /* failed */
    SWIM_EVENT_LEFT,      /* of its own will */
    SWIM_EVENT_FORGOTTEN, /* dead for so long that its entry is gone */
};

struct swim_event {
    enum swim_event_type type;
    struct swim_member_info member;
};

struct swim_out {
    const struct swim_packet_out *packets;
    size_t packet_count;
    swim_incarnation reserve; /* 0: nothing is to be made durable. Else the
                                 highest incarnation that may be used: after a
                                 restart begin above it */
    const struct swim_event *events; /* at most one for each member */
    size_t event_count;
    bool wants_seeds; /* we are alone, or no living member is at some seed's
                         address: its name may stand for another by now */
    bool is_left;
    px_ns deadline;
};

/* What was counted since swim_new. A packet of the second group changed
 * nothing. */
struct swim_counters {
    uint64_t packets_out;
    uint64_t bytes_out;
    uint64_t dials;
    uint64_t dropped; /* not sent: the step had enough to say */
    uint64_t packets_in;
    uint64_t bytes_in;

    uint64_t malformed;   /* truncated, oversized, or of no sound member */
    uint64_t corrupt;     /* its checksum is wrong */
    uint64_t version;     /* of another version of this protocol */
    uint64_t label;       /* of another cluster */
    uint64_t replayed;    /* seen before, or of an earlier run of its sender */
    uint64_t misdirected; /* for another id: the address was somebody else's */
    uint64_t own;         /* our own, come back: a seed that is ourselves */
    uint64_t namesakes;   /* somebody else uses our id */

    uint64_t news;    /* heard, and new */
    uint64_t full;    /* members not taken up: the table was full */
    uint64_t unknown; /* deaths of members that we never knew */
    uint64_t probes;
    uint64_t probes_relayed; /* that needed others, or TCP */
    uint64_t probes_failed;
    uint64_t rescued_by_tcp; /* UDP does not come through to somebody */
    uint64_t relayed;        /* pings made for others */
    uint64_t relays_full;
    uint64_t nacks_out;
    uint64_t late_acks;
    uint64_t suspicions;
    uint64_t deaths;
    uint64_t refutations;
    uint64_t pauses; /* times that we were not run */
    uint64_t syncs;  /* full states merged */
};

struct swim_status {
    const char *id;
    swim_incarnation incarnation;
    swim_incarnation reserved;
    unsigned health; /* 0: well, up to settings.health_max */
    size_t members;  /* in the table, with ourselves */
    size_t living;   /* alive or suspect, with ourselves */
    bool is_leaving;
    struct swim_counters counters;
};

/* Errors: -ENOMEM; -EINVAL for options that contradict themselves. */
int swim_new(const struct swim_options *options, struct swim **swim_out);
void swim_free(struct swim *s);

/* Advance the member by one input, and say what the caller has to do next.
 *
 * Owns:    @in stays the caller's. @out points into @s and is good until the
 *          next swim_step().
 * Errors:  all with a valid @out:
 *          -ENOMEM  a member or a packet was not taken up, as if the packet
 *                   had been lost.
 *          -EINVAL  SELF with an address that can't be one; no effect.
 * Thread:  loop. */
int swim_step(struct swim *s, const struct swim_in *in, struct swim_out *out);

/* How long a packet is that begins with @data on a stream.
 * Errors: -EAGAIN: less than SWIM_LENGTH_BYTES are there; -EPROTO: this is none,
 *         or one longer than SWIM_STATE_BYTES_MAX. */
#define SWIM_LENGTH_BYTES 16u
int swim_stream_bytes(const uint8_t *data, size_t size);

void swim_get_status(const struct swim *s, struct swim_status *status_out);
/* The members in no particular order, ourselves included: at most @max of them;
 * returns how many there are. Good until the next swim_step(). */
size_t swim_get_members(const struct swim *s, struct swim_member_info *members,
                        size_t max);
/* False: not known. */
bool swim_find(const struct swim *s, const char *id,
               struct swim_member_info *member_out);

/* "alive", "suspect", "dead", "left" */
const char *swim_state_text(enum swim_state state);
const char *swim_event_text(enum swim_event_type type);

/* Asserts every invariant of core.h, then of the change since the last look. */
void swim_check(struct swim *s);

#endif
