/* Every maximum, and how they hang together. A queue that is full refuses; it
 * does not grow. */
#ifndef PX_LIMITS_H
#define PX_LIMITS_H

#include <assert.h>
#include <stdint.h>

#define PX_KIB (UINT32_C(1) << 10)
#define PX_MIB (UINT32_C(1) << 20)

/* What the state may hold, by what it counts (store/room.h). Beyond any disk,
 * and far from where sums overflow. */
#define PX_QUOTA_BYTES_MAX (UINT64_C(1) << 50)

/* Names and files, as POSIX and the kernel see them. */
#define PX_NAME_BYTES_MAX 255u
#define PX_SYMLINK_BYTES_MAX 4095u
#define PX_LINKS_MAX 65000u
#define PX_FILE_BYTES_MAX (UINT64_C(1) << 40) /* EFBIG beyond */

/* One write(2) as FUSE hands it over, one command, one entry of the log. */
#define PX_FUSE_WRITE_BYTES_MAX PX_MIB
#define PX_COMMAND_HEAD_BYTES_MAX (16u * PX_KIB)
#define PX_ENTRY_BYTES_MAX (PX_FUSE_WRITE_BYTES_MAX + PX_COMMAND_HEAD_BYTES_MAX)
static_assert(PX_FUSE_WRITE_BYTES_MAX + PX_COMMAND_HEAD_BYTES_MAX <=
                  PX_ENTRY_BYTES_MAX,
              "one FUSE write fits in one entry");
static_assert(2 * PX_NAME_BYTES_MAX + PX_SYMLINK_BYTES_MAX + 512 <=
                  PX_COMMAND_HEAD_BYTES_MAX,
              "the longest names fit in a command's head");

/* Entries that travel or are written together. */
#define PX_BATCH_ENTRIES_MAX 512u
#define PX_BATCH_BYTES_MAX (4u * PX_MIB)
static_assert(PX_BATCH_BYTES_MAX >= 2 * PX_ENTRY_BYTES_MAX,
              "a batch holds the largest entry, with room to pipeline");

/* A frame between peers: a batch of entries and their heads. */
#define PX_FRAME_HEAD_BYTES_MAX (64u * PX_KIB)
#define PX_FRAME_BODY_BYTES_MAX (PX_BATCH_BYTES_MAX + PX_ENTRY_BYTES_MAX)

/* The log's entries that raft keeps in memory: for followers that lag a
 * little, and until they are durable and applied. Proposals wait beyond
 * RAFT_UNAPPLIED_BYTES_MAX. */
#define RAFT_TAIL_BYTES_MAX (64u * PX_MIB)
#define RAFT_UNAPPLIED_BYTES_MAX (32u * PX_MIB)
#define RAFT_UNAPPLIED_ENTRIES_MAX 16384u
static_assert(RAFT_UNAPPLIED_BYTES_MAX + PX_BATCH_BYTES_MAX <
                  RAFT_TAIL_BYTES_MAX,
              "what is not yet applied fits in the tail");

/* To one follower, in flight. */
#define RAFT_INFLIGHT_MSGS_MAX 64u
#define RAFT_INFLIGHT_BYTES_MAX (16u * PX_MIB)
#define RAFT_MEMBERS_MAX 16u

/* Requests of one node that wait for the log: (session, sequence) pairs whose
 * results the state keeps. */
#define PX_SESSION_INFLIGHT_MAX 1024u
#define PX_SESSIONS_MAX 256u

/* Bounded work of one command that deletes or releases. */
#define PX_REAP_CHUNKS_MAX 4096u
#define PX_RELEASE_INODES_MAX 512u

/* A peer's queue, from messages to bytes on the wire. */
#define NET_PEER_QUEUE_BYTES_MAX (32u * PX_MIB)
#define NET_PEER_QUEUE_FRAMES_MAX 8192u
static_assert(NET_PEER_QUEUE_BYTES_MAX >= RAFT_INFLIGHT_BYTES_MAX,
              "what raft may have in flight fits in the queue");
/* A snapshot travels in pieces, some of them ahead of what was acknowledged. */
#define NET_SNAPSHOT_PIECE_BYTES_MAX (256u * PX_KIB)
#define NET_SNAPSHOT_PIECES_AHEAD 8u
static_assert(NET_SNAPSHOT_PIECE_BYTES_MAX * NET_SNAPSHOT_PIECES_AHEAD <=
                  NET_PEER_QUEUE_BYTES_MAX / 2,
              "what is ahead fits in the queue");
#define NET_CONNECTIONS_IN_MAX 256u
/* Nodes that one dials: the members, and those that may become some. */
#define NET_PEERS_MAX 64u
static_assert(RAFT_MEMBERS_MAX <= NET_PEERS_MAX, "all members can be dialled");
/* Those who ask for changes of the membership: connections at a time; what an
 * answer shows. */
#define NET_ADMINS_MAX 16u
#define NET_ADMIN_MEMBERS_MAX 64u
#define NET_ADMIN_TEXT_BYTES_MAX 511u
static_assert(RAFT_MEMBERS_MAX <= NET_ADMIN_MEMBERS_MAX,
              "an answer shows all members");

#define PX_NODE_ID_BYTES_MAX 63u
#define PX_ADDRESS_BYTES_MAX 271u /* a DNS name, a colon, a port */

/* Gossip: members that one knows, the dead that it remembers included; a packet
 * that no IPv6 path cuts in pieces (1280 less 48 of headers); the full state,
 * over TCP. */
#define SWIM_MEMBERS_MAX 2048u
#define SWIM_PACKET_BYTES_MAX 1232u
#define SWIM_NEWS_BYTES_MAX 512u
#define SWIM_STATE_BYTES_MAX (SWIM_MEMBERS_MAX * SWIM_NEWS_BYTES_MAX)
/* Addresses that seeds were resolved to, and where others were once; pings made
 * for others, under way; packets of one step. */
#define SWIM_SEEDS_MAX 32u
#define SWIM_KNOWN_MAX 16u
#define SWIM_RELAYS_MAX 32u
#define SWIM_OUT_MAX 64u
static_assert(SWIM_OUT_MAX >= SWIM_SEEDS_MAX + 16,
              "all seeds can be asked in one step");
/* Its sockets: ports that are tried from BIND_PORT on, names of SEEDS,
 * connections at a time, each way. */
#define SWIM_PORTS 16u
#define SWIM_SEED_NAMES_MAX 16u
static_assert(RAFT_MEMBERS_MAX <= SWIM_SEED_NAMES_MAX,
              "the hosts of all PEERS can be seeds");
#define SWIM_STREAMS_MAX 64u
static_assert(SWIM_PORTS + SWIM_KNOWN_MAX <= SWIM_SEEDS_MAX,
              "all ports are asked at once");
static_assert(RAFT_MEMBERS_MAX <= SWIM_KNOWN_MAX,
              "all members are looked for where they were");

#endif
