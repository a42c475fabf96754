/* The network: for each pair of servers a connection for urgent messages and
 * one for bulk, as net/net.h has them, each way.
 *
 * What a connection carries arrives in order, after a delay, or not at all:
 * then the connection has broken, its sender is told, and it is dialled again.
 * So partitions break connections, at once or when somebody notices. In rough
 * runs raft's messages are lost, doubled and reordered one by one besides,
 * without a word: raft promises to live with that.
 *
 * Messages are the bytes of net/codec.h. */
#ifndef TESTS_SIM_WIRE_H
#define TESTS_SIM_WIRE_H

#include "net/net.h"
#include "tests/sim/server.h"

struct wire;

struct wire *wire_new(struct world *w);
void wire_free(struct wire *wire);

/* As net_send_*: 0, or -ENOTCONN. */
int wire_send_raft(struct server *from, const struct raft_msg *msg);
int wire_send_forward(struct server *from, raft_id to,
                      const struct net_forward *f);
int wire_send_snapshot(struct server *from, raft_id to,
                       const struct net_snapshot *s);
int wire_send_refused(struct server *from, raft_id to,
                      const struct net_forward_refused *f);

/* One way. */
void wire_cut(struct world *w, size_t from, size_t to, bool is_cut);
bool wire_is_cut(const struct world *w, size_t from, size_t to);
/* Breaks both connections from @from to @to. */
void wire_break(struct world *w, size_t from, size_t to);
/* What is sent until then takes up to @extra longer. */
void wire_slow(struct world *w, size_t from, size_t to, px_ns until,
               px_ns extra);
/* The server has just started, or is gone: connections to it and from it. */
void wire_on_start(struct server *s);
void wire_on_crash(struct server *s, bool is_machine);
/* For gossip: how late something is that leaves now. */
px_ns wire_draw_delay(struct world *w, size_t from, size_t to);
/* As much of a datagram: of how many copies, and when each arrives. 0: it is
 * lost. */
#define WIRE_COPIES_MAX 2
size_t wire_draw_datagram(struct server *from, size_t to,
                          px_ns at[WIRE_COPIES_MAX]);
/* Percents, for each message of raft, and datagram. */
struct wire_roughness {
    unsigned lose;
    unsigned copy;
    unsigned reorder;
};
void wire_set_roughness(struct world *w, struct wire_roughness rough);

#endif
