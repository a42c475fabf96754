/* The inside of a node, for node/'s own files. All of it belongs to the loop
 * thread, except what disk.c says. */
#ifndef NODE_NODE_CORE_H
#define NODE_NODE_CORE_H

#include <stdatomic.h>
#include <uv.h>

#include "fs/fs.h"
#include "gossip/udp.h"
#include "net/http.h"
#include "net/net.h"
#include "node/bootstrap.h"
#include "node/config.h"
#include "node/fault.h"
#include "node/log_writer.h"
#include "node/membership.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/storage.h"
#include "node/timer.h"
#include "node/worker.h"
#include "store/identity.h"
#include "store/log.h"
#include "store/peers_file.h"
#include "store/state.h"

#define FS_REQUESTS_PER_TURN 64

struct disk_counters {
    uint64_t log_syncs;
    uint64_t log_sync_ns_max;
    uint64_t full_waits;   /* threads that wait for room now */
    uint64_t full_retries; /* what found no room, each time */
    px_ns flush_begun;     /* of writes that are not durable yet; 0: none */
    uint64_t applied_here; /* batches, on the loop */
    uint64_t applied_by_thread;
};

/* keep.c */
struct keep {
    bool has_identity; /* the folder does */
    struct store_identity durable;
    uv_work_t work;
    struct store_identity writing;
    int rc;
    bool is_busy;
    bool is_wanted;    /* n->identity has changed since @writing was taken */
    bool is_disk_full; /* the last write found it so, and is tried again */
};

/* known.c */
struct known {
    struct store_peers now; /* the newest that is known */
    bool is_kept;           /* and the file says so */
    bool is_failed;         /* the last write did, and is tried again */
    px_ns again_at;         /* not before */
    uv_work_t work;
    struct store_peers writing;
    int rc;
    bool is_busy;
};

/* gossip.c */
struct gossip {
    struct swim_udp *udp;
    struct swim_member_info *members; /* room for SWIM_MEMBERS_MAX */
    struct swim_about about;          /* as said last; without its address */
    uint64_t view;                    /* with whom we would found a cluster */
    swim_incarnation reserved;        /* as it was told last */
    bool is_changed;                  /* something is to be looked at */
    bool has_left;
    bool is_namesake_noted;
    uint64_t foreign_noted; /* a cluster */
};

/* begin.c: for whom it waits. */
struct waiting {
    char text[2048];
    px_ns noted;
};

struct node {
    struct config config;
    uv_loop_t loop;
    bool has_loop;
    int exit_status;
    bool is_closing;
    struct store_identity identity; /* as it is to be; see keep */
    struct keep keep;
    struct fault fault;
    struct known known;
    struct gossip gossip;
    struct peers peers;
    struct membership membership;
    struct waiting waiting;

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
    struct node_timer timer;
    px_ns leave_by; /* it leaves, and ends then at the latest; PX_NS_NEVER: it
                       doesn't */
    bool is_handing_over; /* it leaves, and leads, or nobody does yet */
    uv_timer_t second;
    bool is_log_empty; /* and never was anything else; as net was told */
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
    struct log_writer log_writer;
    _Atomic int log_rc; /* the log thread's failure */
    _Atomic uint64_t sync_count;
    _Atomic uint64_t sync_ns_max;
    _Atomic uint64_t full_waits; /* see struct disk_counters */
    _Atomic uint64_t full_retries;
    _Atomic px_ns flush_begun;
    struct replica_apply *apply_job; /* under way on the apply thread */
    int apply_rc;           /* the apply thread's, read when it is done */
    px_ns apply_here_after; /* no applying on the loop before */
    px_ns apply_noted;      /* when its progress was last noted, or was none */
    size_t pool_jobs;       /* of ours, on libuv's pool */
    uint64_t applied_here;
    uint64_t applied_by_thread;
};

/* The process can't go on. */
void node_fail(struct node *n, const char *why, int rc);
/* The same for what is no error of a call: @why is all that there is to say. */
void node_end(struct node *n, const char *why);
/* As the last argument of a part's close, with @ctx the node. */
void node_on_part_closed(void *ctx);

/* Turns begin. */
int node_start_handles(struct node *n);
/* The timer's: another turn. */
void node_on_due(void *ctx);

/* open.c: storage, replica and mount of a node whose cluster is known. Errors:
 * -errno, with a sentence in @why. */
int node_begin(struct node *n, char *why, size_t why_size);

/* keep.c: n->identity is to be durable: soon, then gossip_on_kept and
 * begin_on_kept are called; or on return, nobody else writing. */
void keep_identity(struct node *n);
/* Tries again what a full disk has held up. */
void keep_second(struct node *n);
int keep_identity_now(struct node *n);

/* known.c: where the other members were last, over restarts. */
void known_open(struct node *n);
/* To be called before any better source. */
void known_tell(const struct node *n, struct peers *p);
/* Where their gossip was; returns how many. */
size_t known_gossip(const struct node *n,
                    struct swim_addr list_out[RAFT_MEMBERS_MAX]);
/* Keeps what has changed. */
void known_second(struct node *n);

/* begin.c: the first cluster of a node. */
bool begin_is_waiting(const struct node *n);
void begin_turn(struct node *n);
void begin_on_kept(struct node *n);
void begin_on_refused(struct node *n, enum net_refusal reason);
char *begin_health_json(const struct node *n);
char *begin_status_json(const struct node *n);

/* gossip.c: who is there. Members are good until the loop goes on. */
int gossip_open(struct node *n, char *why, size_t why_size);
void gossip_close(struct node *n);
/* False: gossip does not know it. */
bool gossip_find(const struct node *n, raft_id id,
                 struct swim_member_info *out);
size_t gossip_members(const struct node *n,
                      const struct swim_member_info **list_out);
void gossip_turn(struct node *n);
void gossip_second(struct node *n);
void gossip_say(struct node *n);
void gossip_refresh_peers(struct node *n);
void gossip_on_kept(struct node *n);
void gossip_leave(struct node *n);
/* "none", and "", for one that isn't known. */
const char *peers_name(const struct node *n, raft_id id);
const char *peers_address(const struct node *n, raft_id id);

/* disk.c: the log, apply and snapshot threads, reads of old entries. */
int disk_start(struct node *n);
void disk_stop(struct node *n);
void disk_write(void *ctx, struct px_list *writes);
void disk_apply(void *ctx, struct replica_apply *job);
void disk_fetch(void *ctx, struct replica_fetch *job);
void disk_snapshot(void *ctx, struct replica_snapshot_job *job);
uint64_t disk_log_bytes(void *ctx);
uint64_t disk_snapshot_room(void *ctx);
void disk_cut_log(void *ctx, raft_index index);
void disk_note_loss(void *ctx, raft_index index);
void disk_forget_loss(void *ctx);
/* Something waits for room, or a flush has taken half an election timeout. */
bool disk_is_stuck(const struct node *n);
void disk_get_counters(const struct node *n, struct disk_counters *out);

/* port.c: what fs asks, what replica asks, what net tells. */
struct fs_port port_for_fs(struct node *n);
struct replica_io port_for_replica(struct node *n);
struct net_handler port_for_net(struct node *n);
struct http_handler port_for_http(struct node *n);

/* Notes a change of role or leader since it was last called. */
void node_note_changes(struct node *n, const struct raft_status *now);

/* leave.c: from the signal to the end of the loop. */
void leave_init(struct node *n);
/* Once more: at once. */
void leave_begin(struct node *n);
bool leave_is_begun(const struct node *n);
void leave_turn(struct node *n, const struct raft_status *status);
/* Of a node that waits for its cluster. */
void leave_turn_waiting(struct node *n);

#endif
