/* Nets on one loop, and raw sockets that play a peer badly on purpose.
 *
 * Time is waited for by conditions only: world_run_until turns the loop until
 * one holds, and fails the test when that takes absurdly long. */
#ifndef TEST_NET_WORLD_H
#define TEST_NET_WORLD_H

/* cmocka.h wants these before itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/core.h"

#define CLUSTER UINT64_C(0xfeedfacecafebeef)

struct world {
    uv_loop_t loop;
    uv_timer_t tick;     /* so that a turn ends although no socket stirs */
    uv_timer_t watchdog; /* no test needs it to run out */
    bool is_late;
};

void world_open(struct world *w);
/* Fails the test if a handle was left open. */
void world_close(struct world *w);
void world_run_until(struct world *w, bool (*is_done)(void *ctx), void *ctx);

/* ---- A net, and what its handler saw ---- */

/* What a handler may be told, and a test may act on from within. */
enum seen {
    SEEN_NOTHING,
    SEEN_RAFT,
    SEEN_UP,
    SEEN_DOWN,
    SEEN_HELLO,
    SEEN_REFUSED,
    SEEN_ADMIN,
};

struct node {
    struct world *world;
    raft_id id;
    struct net *net;
    size_t raft_count;
    size_t forward_count;
    size_t forward_refused_count;
    struct raft_msg raft_last; /* an append's entries are not kept */
    uint64_t entries_bytes;    /* of all appends */
    uint64_t sum;              /* over the bytes of all entries and commands */
    struct px_slice kept;      /* the first entry's or command's, referenced */
    struct net_forward forward_last;
    struct net_forward_refused forward_refused_last;
    size_t snapshot_count;
    struct net_snapshot snapshot_last;
    size_t up_count;
    size_t down_count;
    bool is_closed;
    size_t hello_count;
    bool hello_last_is_empty;
    size_t refused_count;
    enum net_refusal refused_last;
    size_t admin_count;
    struct net_admin admin_last;
    uint64_t token_last;
    size_t judged_count;
    struct net_hello_info judged_last; /* without its name */
    enum net_refusal verdict;          /* the answer to all */
    /* Called once, from within the handler, when it is told of acts_on. */
    enum seen acts_on;
    void (*act)(struct node *node);
};

struct net_options node_options(struct world *w, raft_id id);
/* Listens on a free port of the loopback. */
void node_open(struct node *node, struct world *w, raft_id id);
void node_open_with(struct node *node, struct world *w,
                    const struct net_options *options);
/* Closes, and runs until that is done. */
void node_close(struct node *node);
/* Begins to close. */
void node_close_start(struct node *node);
/* @node dials @peer by the loopback's address. */
void node_add(struct node *node, raft_id peer, uint16_t port);
struct net_peer_info node_peer(const struct node *node, raft_id peer);
void node_await_up(struct node *node, size_t up_count);
void node_await_down(struct node *node, size_t down_count);
void node_await_connected(struct node *node, raft_id peer);
void node_await_raft(struct node *node, size_t raft_count);
struct net_counters node_counters(const struct node *node);

struct raft_msg heartbeat(raft_id from, raft_id to, uint64_t round);
/* An append of one entry with @data, after an empty log. */
struct raft_msg append_one(raft_id from, raft_id to, struct raft_entry *entry,
                           struct px_slice data);
struct px_slice pattern(size_t size, uint8_t seed);
uint64_t sum_of(const uint8_t *data, size_t size);

/* ---- Raw sockets ---- */

struct raw {
    struct world *world;
    int fd;
    struct net_reader reader;
    size_t frame_count;
    size_t counts[NET_FRAME_ADMIN_REPLY + 1]; /* by type */
    struct net_hello hello;                   /* the last one */
    struct net_hello_ok ok;                   /* the last one */
    enum net_refusal refusal;                 /* the last one */
    struct raft_msg raft_last;
    struct net_admin_reply *reply; /* where the last one goes, if anywhere */
    uint64_t body_bytes;
    bool is_ended; /* the other side closed */
};

/* A socket that listens on the loopback and never accepts by itself. */
int raw_listen(int backlog);
/* The next connection that @listener got. */
void raw_accept(struct raw *raw, struct world *w, int listener);
void raw_connect(struct raw *raw, struct world *w, uint16_t port);
/* The same; the kernel takes as little as it can before it is read. */
void raw_connect_narrow(struct raw *raw, struct world *w, uint16_t port);
void raw_close(struct raw *raw);
uint16_t raw_port(int listener);
void raw_close_listener(int listener);
void raw_write(struct raw *raw, const void *data, size_t size);
/* Takes @f. */
void raw_write_frame(struct raw *raw, struct net_frame *f);
void raw_hello(struct raw *raw, raft_id from, raft_id to, enum net_class class);
/* Reads what is there, without waiting. */
void raw_read(struct raw *raw);
void raw_await_type(struct raw *raw, enum net_frame_type type, size_t count);
void raw_await_end(struct raw *raw);

/* A raw peer's two connections, as a node dialled them. */
struct lanes {
    struct raw urgent;
    struct raw bulk;
};

/* Accepts both, and their hellos, as node @id. */
void lanes_accept(struct lanes *l, struct world *w, int listener, raft_id id);
void lanes_close(struct lanes *l);

#endif
