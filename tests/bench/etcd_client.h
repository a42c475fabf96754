/* The least client that can talk to etcd as its own clients do: gRPC over one
 * persistent HTTP/2 connection without TLS, one call at a time, blocking.
 *
 * Source: etcd v3 API (rpc.proto, kv.proto); gRPC over HTTP2. */
#ifndef BENCH_ETCD_CLIENT_H
#define BENCH_ETCD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct etcd_client;

/* Connects to 127.0.0.1:@port. 0, or -errno. */
int etcd_client_open(uint16_t port, struct etcd_client **client_out);
void etcd_client_close(struct etcd_client *c); /* NULL is fine */

/* Each: 0, or -errno; -EPROTO for an answer that is not a success. After a
 * failure the connection may not be used again. */
int etcd_client_put(struct etcd_client *c, const char *key, const void *value,
                    size_t bytes);
/* Linearizable. -ENOENT: no such key. */
int etcd_client_get(struct etcd_client *c, const char *key);
int etcd_client_is_leader(struct etcd_client *c, bool *leader_out);

#endif
