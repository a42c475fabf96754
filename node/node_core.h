/* The inside of a node, for node/'s own files. All of it belongs to the loop
 * thread, except what disk.c says. */
#ifndef NODE_NODE_CORE_H
#define NODE_NODE_CORE_H

#include <stdatomic.h>
#include <uv.h>

#include "fs/fs.h"
#include "net/http.h"
#include "net/net.h"
#include "node/config.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/storage.h"
#include "node/worker.h"
#include "store/identity.h"
#include "store/log.h"
#include "store/state.h"

struct disk_counters {
    uint64_t log_syncs;
    uint64_t log_sync_ns_max;
    uint64_t full_waits;   /* threads that wait for room now */
    uint64_t full_retries; /* what found no room, each time */
    px_ns flush_begun;     /* of writes that are not durable yet; 0: none */
    uint64_t applied_here; /* batches, on the loop */
    uint64_t applied_by_thread;
};

struct node {
    struct config config;
    uv_loop_t loop;
    bool has_loop;
    int exit_status;
    struct store_identity identity;

    struct store_folder *folder;
    struct store_disk *log_disk;
    struct store_disk *snapshot_disk;
    struct storage storage;
    struct store_view *view;
    struct replica *replica;
    struct net *net;
    struct http *http;
    struct fs *fs;

    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer;
    px_ns timer_at; /* what the timer is set to; PX_NS_NEVER: stopped */
    px_ns leave_by; /* it leaves, and ends then at the latest; PX_NS_NEVER: it
                       doesn't */
    bool is_handing_over; /* it leaves, and leads, or nobody does yet */
    uv_signal_t sigint;
    uv_signal_t sigterm;
    uv_signal_t sigusr1; /* a snapshot is wanted */
    uv_poll_t fs_poll;
    bool has_fs_poll;
    struct raft_status noted; /* the last one noted */
    size_t closing;           /* parts whose `closed` has yet to be called */

    struct worker log_worker;
    struct worker apply_worker;
    struct worker snapshot_worker; /* saves and loads */
    struct worker piece_worker;    /* reads and stores pieces */
    struct px_list recovered_job;  /* for the log thread: not a write */
    _Atomic raft_index log_cut;    /* the log's head may go up to here */
    _Atomic int log_rc;            /* the log thread's failure */
    _Atomic uint64_t sync_count;
    _Atomic uint64_t sync_ns_max;
    _Atomic uint64_t full_waits; /* see struct disk_counters */
    _Atomic uint64_t full_retries;
    _Atomic px_ns flush_begun;
    struct replica_apply *apply_job; /* under way on the apply thread */
    int apply_rc;           /* the apply thread's, read when it is done */
    px_ns apply_here_after; /* no applying on the loop before */
    px_ns apply_noted;      /* when its progress was last noted, or was none */
    size_t fetches;         /* on libuv's pool */
    uint64_t applied_here;
    uint64_t applied_by_thread;
};

px_ns node_now(void);
/* The process can't go on. */
void node_fail(struct node *n, const char *why, int rc);

/* disk.c: the log, apply and snapshot threads, reads of old entries. */
int disk_start(struct node *n);
void disk_stop(struct node *n);
void disk_write(void *ctx, struct px_list *writes);
void disk_apply(void *ctx, struct replica_apply *job);
void disk_fetch(void *ctx, struct replica_fetch *job);
void disk_snapshot(void *ctx, struct replica_snapshot_job *job);
uint64_t disk_log_bytes(void *ctx);
void disk_cut_log(void *ctx, raft_index index);
void disk_recovered(void *ctx);
/* Something waits for room, or a flush has taken half an election timeout. */
bool disk_is_stuck(const struct node *n);
void disk_get_counters(const struct node *n, struct disk_counters *out);

/* port.c: what fs asks, what replica asks, what net tells. */
struct fs_port port_for_fs(struct node *n);
struct replica_io port_for_replica(struct node *n);
struct net_handler port_for_net(struct node *n);
struct http_handler port_for_http(struct node *n);

/* The name of a member, or "none". */
const char *peers_name(const struct node *n, raft_id id);
/* Notes a change of role or leader since it was last called. */
void node_note_changes(struct node *n, const struct raft_status *now);

/* leave.c: from the signal to the end of the loop. */
void leave_init(struct node *n);
/* Once more: at once. */
void leave_begin(struct node *n);
void leave_turn(struct node *n, const struct raft_status *status);

#endif
