/* host:port as people write it. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

struct net_addr {
    char host[PX_ADDRESS_BYTES_MAX + 1]; /* without brackets; empty: any */
    uint16_t port;
};

/* "10.0.0.1:9000", "[::1]:9000", "node-1.local:9000", ":9000" (any address).
 * -EINVAL otherwise, port 0 and an IPv6 address without brackets included. */
int net_addr_parse(const char *text, struct net_addr *out);

/* The same for an address to listen on, where port 0 is "any free one". */
int net_addr_parse_listen(const char *text, struct net_addr *out);

#endif
