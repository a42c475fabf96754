/* A frame between nodes, byte by byte. Numbers are little-endian.
 *
 *    0        4      6       8            12           16         24
 *    +--------+------+-------+------------+------------+----------+------+------+
 *    | magic  | type | zero  | head bytes | body bytes | checksum | head | body |
 *    +--------+------+-------+------------+------------+----------+------+------+
 *
 * The head is a message of peer.proto, by type; the body is raw: the data of
 * an append's entries, a forwarded command, or a piece of a snapshot. The
 * checksum is XXH3_64 over all the rest: bytes 0 to 15, the head and the body.
 * TCP's own checksum lets one damaged segment in some ten thousand pass, and
 * what we carry ends up in the log.
 *
 * The first byte is neither ASCII, as a client's "PRI * HTTP/2.0" would be,
 * nor a TLS record's 0x16: the first bytes of a connection tell them apart. */
#ifndef NET_FRAME_FORMAT_H
#define NET_FRAME_FORMAT_H

#define NET_FRAME_MAGIC "\xf1PHX" /* without the terminator */
#define NET_FRAME_MAGIC_BYTES 4u

#define NET_FRAME_AT_TYPE 4u
#define NET_FRAME_AT_ZERO 6u
#define NET_FRAME_AT_HEAD_BYTES 8u
#define NET_FRAME_AT_BODY_BYTES 12u
#define NET_FRAME_AT_CHECKSUM 16u
#define NET_FRAME_HEADER_BYTES 24u

/* Numbers are on the wire: never renumber. */
enum net_frame_type {
    NET_FRAME_HELLO = 1,
    NET_FRAME_HELLO_OK = 2,
    NET_FRAME_HELLO_REFUSED = 3,
    NET_FRAME_RAFT = 4,
    NET_FRAME_FORWARD = 5,
    NET_FRAME_FORWARD_REFUSED = 6,
    NET_FRAME_SNAPSHOT = 7,
    NET_FRAME_ADMIN = 8,
    NET_FRAME_ADMIN_REPLY = 9,
};

/* Before a hello is accepted, nothing longer is listened to, and no body. */
#define NET_HELLO_HEAD_BYTES_MAX 256u
/* The same for who only asks. */
#define NET_ADMIN_HEAD_BYTES_MAX 512u

#endif
